//! Sessions that belong together: accounts of one host, a service and the session it is part of, one session on two NASes
//! that stand in for each other, and a subscriber with suspiciously many.
//!
//! Knows: by what they are recognised (rows 21 to 23 and 34 of `docs/sessions.md`). Must not know: who else wants a place,
//! deadlines, or how a record was decoded.

use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;

use super::alive::{Session, differ, same_subscriber};
use super::crowds::Crowds;
use super::effect::{Alarm, Effect, Ended};
use super::event::{Claim, Kind, Record, Service};
use super::held::{Held, Hold, Id, State, Suspicion};
use super::image::Both;
use super::listed::Listed;
use super::machine::Machine;
use super::ownership::id_of;
use super::sessions::Sessions;
use super::slot::{Binding, Slot};
use super::{Name, Place, Timestamp};

/// Sessions of a host of several accounts, by its NAS and its Acct-Multi-Session-Id.
pub(super) type Hosts = HashMap<(u32, Name), Vec<Name>>;

fn note(
    id: &Id,
    (number, held): (u32, &Held),
    sessions: &Sessions,
    hosts: &mut Hosts,
    (crowds, listed): (&mut Crowds, &mut Listed),
) {
    if let Some(host) = held.host() {
        hosts.entry((id.nas, host.clone())).or_default().push(id.session.clone());
    }
    if let Some(subscriber) = held.session.subscriber_octets() {
        crowds.join(number, subscriber, sessions);
        listed.join(id, subscriber);
    }
}

impl Machine {
    /// Notes a session that begins to be held among its kin.
    pub(super) fn enrol(&mut self, id: &Id) {
        let Machine { sessions, hosts, crowds, listed, .. } = self;
        let Some(number) = sessions.number(id) else { return };
        if let Some(held) = sessions.at(number) {
            note(id, (number, held), sessions, hosts, (crowds, listed));
        }
    }

    /// The same of all that are held, into empty tables; and on the other hand what each has, for all to find.
    pub(super) fn enrol_all(&mut self, both: Both) {
        let Machine { sessions, hosts, crowds, listed, map, .. } = self;
        let sessions = &*sessions;
        crowds.reserve(sessions.len());
        map.reserve(sessions.values().map(|held| held.claims.len()).sum());
        // Finding out whose they are takes a third of what mapping them takes.
        let (few, most) = (0..sessions.len() / 3, sessions.len() / 3..sessions.len());
        let to_map = |some: Range<usize>| {
            sessions.values().skip(some.start).take(some.len()).for_each(|held| held.map_usual(map));
        };
        let mut to_kin = || {
            for (number, held) in sessions.numbered() {
                note(&id_of(&held.session), (number, held), sessions, hosts, (crowds, listed));
            }
            to_map(few.clone());
        };
        both(&mut to_kin, &mut || to_map(most.clone()));
    }

    /// The Acct-Multi-Session-Id that a session did not tell when it began.
    pub(super) fn adopt(&mut self, id: &Id, host: Option<&Name>) {
        let Some(held) = self.sessions.get_mut(id).filter(|held| held.host().is_none()) else { return };
        let Some(host) = host else { return };
        held.set_host(Some(host));
        self.hosts.entry((id.nas, host.clone())).or_default().push(id.session.clone());
    }

    /// Notes that a session is about to be held no longer.
    pub(super) fn dismiss(&mut self, id: &Id) {
        let Some(held) = self.sessions.get(id) else { return };
        if let Some(host) = held.host() {
            let key = (id.nas, host.clone());
            if let Some(accounts) = self.hosts.get_mut(&key) {
                accounts.retain(|account| *account != id.session);
                if accounts.is_empty() {
                    self.hosts.remove(&key);
                }
            }
        }
        self.scopes.leave(&held.scope);
        let session = held.session.clone();
        self.leave_crowd(id, session.subscriber_octets());
    }

    /// A subscriber has one session more.
    pub(super) fn join_crowd(&mut self, id: &Id, subscriber: Option<&[u8]>) {
        let (Some(subscriber), Some(number)) = (subscriber, self.sessions.number(id)) else { return };
        self.crowds.join(number, subscriber, &self.sessions);
        self.listed.join(id, subscriber);
    }

    /// The reverse.
    pub(super) fn leave_crowd(&mut self, id: &Id, subscriber: Option<&[u8]>) {
        let (Some(subscriber), Some(number)) = (subscriber, self.sessions.number(id)) else { return };
        self.crowds.leave(number, subscriber);
        self.listed.leave(id, subscriber);
    }

    /// Says so when a subscriber's sessions have just become so many that somebody should look.
    pub(super) fn look_for_crowd(&self, subscriber: Option<&Name>, effects: &mut Vec<Effect>) {
        let Some(subscriber) = subscriber.filter(|_| self.applied.crowd > 0) else { return };
        let sessions = self.crowds.count(subscriber.octets(), &self.sessions);
        if sessions == self.applied.crowd {
            let subscriber = subscriber.clone();
            effects.push(Effect::Alarm(Alarm::Crowd { subscriber, sessions }));
        }
    }

    /// Rows 21 and 22: that a service is alive says that its session is. Its end says nothing, and it owns nothing.
    pub(super) fn service(&mut self, nas: u32, service: &Service, record: &Record) {
        let Some(parent) = service.parent.clone() else { return };
        let id = Id { nas, session: parent };
        if matches!(record.kind, Kind::Stop) {
            return;
        }
        let Some(held) = self.sessions.get_mut(&id) else { return };
        let another = differ(held.session.subscriber_octets(), record.subscriber.as_ref());
        if another || record.event <= held.last() {
            return;
        }
        held.session.see(record.event);
        if let State::Suspect { why: Suspicion::Overdue | Suspicion::Unheard, .. } = held.state() {
            held.enter(held.settled());
        }
        self.schedule(&id);
    }

    /// Whether two sessions are accounts of one host: one subscriber, one NAS, one Acct-Multi-Session-Id.
    pub(super) fn is_same_host(&self, id: &Id, owner: &Binding) -> bool {
        let Some(held) = self.sessions.get(id) else { return false };
        let other = Id { nas: owner.session.nas().number, session: owner.session.id() };
        let Some(other_held) = self.sessions.get(&other) else { return false };
        held.host().is_some()
            && other.nas == id.nas
            && held.host() == other_held.host()
            && same_subscriber(held.session.subscriber_octets(), other_held.session.subscriber_octets())
    }

    /// Row 23: the account of the same host that takes a place over from one that ends. An active one before one in doubt.
    pub(super) fn heir(&self, session: &Session, host: Option<&Name>, place: Place) -> Option<Id> {
        let nas = session.nas().number;
        let accounts = self.hosts.get(&(nas, host?.clone()))?;
        let shares = |id: &Id| {
            let held = self.sessions.get(id)?;
            let claim = held.claim(place.prefix, place.ports)?;
            let kin = claim.hold == Hold::Shares
                && held.place(claim.prefix, claim.ports) == place
                && held.session.id_octets() != session.id_octets();
            kin.then_some((held.is_active(), held.last()))
        };
        let accounts = accounts.iter().map(|session| Id { nas, session: session.clone() });
        accounts.filter_map(|id| Some((shares(&id)?, id))).max().map(|(_, id)| id)
    }

    /// What the accounts of a host shared in is lost to all of them with the one that owned it.
    pub(super) fn lose_shares(&mut self, loser: &Session, place: Place) {
        let id = Id { nas: loser.nas().number, session: loser.id() };
        let Some(host) = self.sessions.get(&id).and_then(|held| held.host().cloned()) else { return };
        let mut accounts = self.hosts.get(&(id.nas, host)).cloned().unwrap_or_default();
        accounts.sort();
        for session in accounts {
            let account = Id { nas: id.nas, session };
            let Some(held) = self.sessions.get_mut(&account) else { continue };
            if let Some(claim) = held.claim_mut(place).filter(|claim| claim.hold == Hold::Shares) {
                claim.hold = Hold::Lost;
                self.note_loser(place, &account);
            }
        }
    }

    /// Whether this session, unknown under this NAS, stopped under another one of its redundancy group no earlier than
    /// this record tells of.
    pub(super) fn has_stopped_at_partner(&self, id: &Id, record: &Record) -> bool {
        let Some(group) = record.group.as_ref().filter(|_| !self.sessions.contains(id)) else { return false };
        let partners = self.nases.iter().filter(|nas| nas.group.as_ref() == Some(group));
        partners.map(|nas| Id { nas: nas.shared.number, session: id.session.clone() }).any(|partner| {
            let tombstone = self.tombstones.get(&partner).filter(|_| partner.nas != id.nas);
            tombstone.is_some_and(|tombstone| record.event <= tombstone.stopped)
        })
    }

    /// Row 34: the session of this record under another NAS of its redundancy group comes over to this one. Only one
    /// with the same id, subscriber and an address of it is the same; and only a newer record moves it.
    pub(super) fn take_over(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(group) = &record.group else { return };
        if record.subscriber.is_none() {
            return;
        }
        // Heard under both already, the first time perhaps the wrong way round: then they need no address in common.
        let here = self.sessions.get(id).is_some_and(|held| held.same_identity(record));
        if self.sessions.contains(id) && !here {
            return;
        }
        // A Stop often tells no address.
        let told_enough = record.kind == Kind::Stop && record.claims.is_empty();
        let same = |held: &Held| {
            let shared = |claim: &Claim| held.claim(claim.prefix, claim.ports).is_some();
            same_subscriber(held.session.subscriber_octets(), record.subscriber.as_ref())
                && record.event > held.last()
                && !held.session.is_of_other_station(&record.line)
                && (here || told_enough || record.claims.iter().any(shared))
        };
        let partners = self.nases.iter().filter(|nas| nas.group.as_ref() == Some(group));
        let from = partners
            .map(|nas| Id { nas: nas.shared.number, session: id.session.clone() })
            .find(|partner| partner.nas != id.nas && self.sessions.get(partner).is_some_and(same));
        match from {
            Some(from) if here => self.close(&from, record.event, Ended::Moved, effects),
            Some(from) => self.carry_over(&from, id, record.event, effects),
            None => {}
        }
    }

    /// Moves a session to another NAS with everything it holds; readers see the one or the other, never nobody.
    fn carry_over(&mut self, from: &Id, to: &Id, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(nas) = self.nases.get(to.nas as usize).map(|nas| Arc::clone(&nas.shared)) else { return };
        self.dismiss(from);
        let Some(mut held) = self.sessions.remove(from) else { return };
        held.uncount();
        let reports = u64::from(held.interval.known().is_some());
        for (number, sign) in [(from.nas, false), (to.nas, true)] {
            let Some(state) = self.nases.get_mut(number as usize) else { continue };
            state.reporting = if sign {
                state.reporting.saturating_add(reports)
            } else {
                state.reporting.saturating_sub(reports)
            };
        }
        let old = held.session.clone();
        held.session = Session::new(&old.saying(), nas, old.seen());
        held.due = Timestamp::from_millis(i64::MAX);
        held.begin();
        effects.push(held.opened_effect());
        for claim in &held.claims {
            let place = held.place(claim.prefix, claim.ports);
            self.replace(&old, &held.session, place, at, effects);
            self.rename_loser(place, from, to);
        }
        let (session, last_seen) = (old.key(), old.seen());
        effects.push(Effect::SessionClosed { session, at, last_seen, how: Ended::Moved });
        self.tombstones.remove(to);
        self.sessions.insert(to, held);
        self.enrol(to);
    }

    /// Puts a session's new value where its old one stood.
    pub(super) fn replace(
        &mut self,
        old: &Session,
        new: &Session,
        place: Place,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let same = |binding: &Binding| binding.session.is(old);
        let slot = match self.map.slot(place) {
            Some(Slot::Owned(owner)) if same(&owner) => {
                effects.push(super::ownership::unbound(&owner.session, place, at, Ended::Moved));
                effects.push(self.bound(&Binding::new(new.clone(), at), place));
                Slot::Owned(owner.held_by(new.clone()))
            }
            Some(Slot::Contested(mut claimants)) => {
                for claimant in claimants.iter_mut().filter(|claimant| same(claimant)) {
                    claimant.session = new.clone();
                }
                Slot::Contested(claimants)
            }
            _ => return,
        };
        self.map.put(place, slot);
    }
}
