//! Which session owns a prefix: taking, superseding, contesting, freeing.
//!
//! Knows: claims and slots. Must not know: what kind of record a claim came with, or a session's deadlines.
//!
//! The newest event time owns a prefix. A session that lost one and claims it again, later than the claim it lost to,
//! begins a conflict: nobody is told to own it until one of the two is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::bindings::{Binding, Session, Slot, same_subscriber};
use super::deadlines::Due;
use super::event::{Alarm, Claim, ClaimSource, Effect, Ended, Kind, Record, Release};
use super::held::{Held, HeldClaim, Hold, Id, SAME_MOMENT, State, Suspicion};
use super::machine::Machine;
use super::{Name, Place, Realm, SessionKey, Timestamp};

impl Machine {
    /// Takes over what a record gives back and claims.
    pub(super) fn admit(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        self.give_back(id, record, effects);
        for claim in &record.claims {
            let Some(held) = self.sessions.get(id) else { return };
            let place = held.place(claim.prefix, claim.ports);
            let late = held.whole.contains(claim.source) && record.event < held.last();
            if let Some(held) = self.sessions.get_mut(id)
                && let Some(known) = held.claim_mut(place)
                && known.source == ClaimSource::Listed
                && known.hold != Hold::Shares
            {
                // What a record says itself is more than what the list says.
                known.source = claim.source;
            }
            let Some(held) = self.sessions.get(id) else { return };
            match held.claim(claim.prefix, claim.ports).map(|known| (known.hold, known.since)) {
                Some((Hold::Owns | Hold::Shares, _)) => continue,
                Some((Hold::Left, left)) if record.event <= left => continue,
                Some((hold @ (Hold::Lost | Hold::Waits), _)) => {
                    self.take(id, place, record.event, hold == Hold::Lost, effects);
                    continue;
                }
                Some((Hold::Left, _)) | None => {}
            }
            if late || (claim.source == ClaimSource::FramedAddress && !self.move_address(id, record, effects))
            {
                // An older record tells of what the session has left since.
                effects.push(past(self.sessions.get(id), record, place));
                continue;
            }
            let Some(held) = self.sessions.get_mut(id) else { return };
            let Claim { prefix, ports, source } = *claim;
            held.claims.retain(|known| (known.prefix, known.ports) != (prefix, ports));
            held.claims.push(HeldClaim { prefix, ports, source, since: record.event, hold: Hold::Lost });
            self.take(id, place, record.event, false, effects);
        }
        if let Some(held) = self.sessions.get_mut(id)
            && record.claims.iter().any(|claim| claim.source == ClaimSource::FramedAddress)
        {
            held.address_at = held.address_at.max(record.event);
        }
    }

    /// Rows 6 and 36: what the session no longer has though it goes on.
    fn give_back(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        if record.releases.is_empty() {
            return;
        }
        let forgotten = record.event.minus(self.rules().stale_limit);
        let Some(held) = self.sessions.get_mut(id) else { return };
        held.claims.retain(|claim| claim.hold != Hold::Left || claim.since > forgotten);
        for release in &record.releases {
            match *release {
                Release::All(source) => {
                    held.whole.insert(source);
                    if source == ClaimSource::FramedAddress {
                        held.address_at = held.address_at.max(record.event);
                    }
                }
                // Remembered even when it was never claimed: the claim may still be on its way.
                Release::Only(prefix, ports) if held.claim(prefix, ports).is_none() => {
                    let (source, since) = (ClaimSource::PortBlock, record.event);
                    held.claims.push(HeldClaim { prefix, ports, source, since, hold: Hold::Left });
                }
                Release::Only(..) => {}
            }
        }
        let given: SmallVec<[HeldClaim; 2]> =
            held.claims.iter().filter(|claim| held.is_given_back(claim, record)).copied().collect();
        for claim in given {
            let Some(held) = self.sessions.get_mut(id) else { return };
            let place = held.place(claim.prefix, claim.ports);
            if let Some(claim) = held.claim_mut(place) {
                (claim.hold, claim.since) = (Hold::Left, record.event);
            }
            if matches!(claim.hold, Hold::Owns) {
                self.release(id, place, record.event, Ended::Moved, effects);
            }
        }
    }

    /// Row 4: a session has one framed address; a newer one replaces it. False when the record is the older one.
    fn move_address(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) -> bool {
        let Some(held) = self.sessions.get_mut(id) else { return false };
        if record.event < held.address_at {
            return false;
        }
        held.address_at = record.event;
        let left = held.claims.iter().position(|claim| claim.source == ClaimSource::FramedAddress);
        if let Some(claim) = left.map(|position| held.claims.remove(position)) {
            let place = held.place(claim.prefix, claim.ports);
            self.release(id, place, record.event, Ended::Moved, effects);
        }
        true
    }

    /// A session claims a place at an event time; `again` if it had lost it before.
    fn take(&mut self, id: &Id, place: Place, at: Timestamp, again: bool, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let (session, active) = (Arc::clone(&held.session), held.is_active());
        let revived = matches!(held.state, State::Suspect { why: Suspicion::Revived, .. });
        let claim = Binding::new(session, at);
        match self.map.slot(place) {
            None => self.own(id, place, claim, effects),
            Some(Slot::Freed { claimed, .. }) if at < claimed => self.lose(id, place),
            Some(Slot::Freed { .. }) => self.own(id, place, claim, effects),
            Some(Slot::Owned(owner)) if owner.session.key == claim.session.key => {
                self.hold(id, place, owner.since);
            }
            // Row 23.
            Some(Slot::Owned(owner)) if self.is_same_host(id, &owner) => {
                self.set_hold(id, place, Hold::Shares);
            }
            // A session in doubt takes nothing from anybody; but that somebody else had it is heard.
            Some(_) if !active => {
                self.set_hold(id, place, if revived { Hold::Lost } else { Hold::Waits });
                // An undated Start may be the old one: it tells nothing against anybody.
                if revived {
                    self.doubt(place, id, claim.session.subscriber.as_ref(), at);
                }
            }
            // What the operator listed is what no record says: a record that says it comes first.
            Some(Slot::Owned(owner)) if self.yields(&owner, at) || self.is_by_list(&owner.session, place) => {
                self.supersede(&owner, place, at, effects);
                self.own(id, place, claim, effects);
            }
            Some(Slot::Owned(owner)) => match judge(&owner, &claim, again) {
                Judgement::Newer => {
                    self.supersede(&owner, place, at, effects);
                    self.own(id, place, claim, effects);
                }
                Judgement::Older => {
                    self.lose(id, place);
                    let outdone = owner.outdone.max(at);
                    self.map.put(place, Slot::Owned(Binding { outdone, ..owner }));
                }
                Judgement::Conflict => self.contest(id, place, vec![owner], claim, effects),
            },
            Some(Slot::Contested(claimants)) => {
                self.join(id, place, claimants, claim, again, effects);
            }
        }
    }

    /// A record tells that another subscriber had a place, and takes nothing over: it came too late, or is in doubt itself.
    /// The owner is not named until it is heard again after that moment.
    fn doubt(&mut self, place: Place, id: &Id, subscriber: Option<&Name>, at: Timestamp) {
        let Some(mut slot) = self.map.slot(place) else { return };
        let other = |holder: &&mut Binding| {
            id_of(&holder.session) != *id
                && !same_subscriber(holder.session.subscriber.as_ref(), subscriber)
                && at > holder.session.seen().max(holder.doubted)
        };
        let mut told = false;
        for holder in slot.holders_mut().iter_mut().filter(other) {
            (holder.doubted, told) = (at, true);
        }
        if told {
            self.map.put(place, slot);
        }
    }

    /// The same for all that a record claims. What a session lost it may keep naming in its Stop.
    pub(super) fn doubt_claims(&mut self, id: &Id, record: &Record) {
        // I6: what is history may have been judged long ago, and so may what a known session said before it stopped.
        let judged = self.tombstones.get(id).is_some_and(|tombstone| tombstone.known)
            || self.sessions.get(id).is_some_and(|held| record.event < held.last());
        if judged || record.arrival.since(record.event) > self.rules().stale_limit {
            return;
        }
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        // Undated moments may be rounded past each other.
        let at = if record.dated { record.event } else { record.event.minus(SAME_MOMENT) };
        for claim in &record.claims {
            let held = self.sessions.get(id).and_then(|held| held.claim(claim.prefix, claim.ports));
            if held.is_none() || record.kind != Kind::Stop {
                let place = Place::new(realm, claim.prefix, claim.ports);
                self.doubt(place, id, record.subscriber.as_ref(), at);
            }
        }
    }

    /// A record that is too old to bind anything tells that its session had another address then: so it had left the one
    /// that it had before, if it was not heard with it since.
    pub(super) fn leave_by_history(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get_mut(id) else { return };
        let framed = |claim: &Claim| claim.source == ClaimSource::FramedAddress;
        let Some(told) = record.claims.iter().find(|claim| framed(claim)) else { return };
        if record.event <= held.last() || record.event <= held.address_at || !held.same_identity(record) {
            return;
        }
        let left = |claim: &HeldClaim| {
            claim.source == ClaimSource::FramedAddress
                && (claim.prefix, claim.ports) != (told.prefix, told.ports)
        };
        let Some(position) = held.claims.iter().position(left) else { return };
        let claim = held.claims.remove(position);
        held.address_at = record.event;
        let place = held.place(claim.prefix, claim.ports);
        self.release(id, place, record.event, Ended::Moved, effects);
    }

    /// Row 38: a record that names another VRF than the session's moves what lies in private space; one that names none
    /// leaves it.
    pub(super) fn change_realm(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(realm) = record.realm.as_ref().and_then(|name| self.realms.get(name).copied()) else {
            return;
        };
        let Some(held) = self.sessions.get_mut(id).filter(|held| held.realm != realm) else { return };
        let place = |realm, claim: &HeldClaim| Place::new(realm, claim.prefix, claim.ports);
        let before = std::mem::replace(&mut held.realm, realm);
        let left: Vec<Place> = held
            .claims
            .iter()
            .filter(|claim| place(before, claim) != place(realm, claim))
            .map(|claim| place(before, claim))
            .collect();
        held.claims.retain(|claim| place(before, claim) == place(realm, claim));
        for place in left {
            self.release(id, place, record.event, Ended::Moved, effects);
        }
    }

    /// Whether an owner that stopped, and was heard once more since, gives way to a claim from after its beginning: it
    /// would have, had it been heard in the other order. Confirmed it may claim again.
    fn yields(&self, owner: &Binding, at: Timestamp) -> bool {
        let held = self.sessions.get(&id_of(&owner.session));
        held.is_some_and(|held| held.has_stopped() && at > held.opened())
    }

    /// A claim on a prefix that is contested already.
    fn join(
        &mut self,
        id: &Id,
        place: Place,
        claimants: Vec<Binding>,
        claim: Binding,
        again: bool,
        effects: &mut Vec<Effect>,
    ) {
        if claimants.iter().any(|claimant| claimant.session.key == claim.session.key) {
            return;
        }
        let judgements: Vec<_> = claimants.iter().map(|claimant| judge(claimant, &claim, again)).collect();
        let all = |judgement| judgements.iter().all(|each| *each == judgement);
        if all(Judgement::Older) {
            self.lose(id, place);
        } else if all(Judgement::Newer) {
            let at = claim.since;
            claimants.iter().for_each(|claimant| self.supersede(claimant, place, at, effects));
            effects.push(Effect::Conflict { place, sessions: Vec::new(), at });
            self.own(id, place, claim, effects);
        } else {
            // Newer than some and older than others: one more who lives and claims it.
            self.contest(id, place, claimants, claim, effects);
        }
    }

    pub(super) fn own(&mut self, id: &Id, place: Place, claim: Binding, effects: &mut Vec<Effect>) {
        self.hold(id, place, claim.since);
        effects.push(bound(&claim, place));
        self.map.put(place, Slot::Owned(claim));
    }

    fn contest(
        &mut self,
        id: &Id,
        place: Place,
        mut claimants: Vec<Binding>,
        claim: Binding,
        effects: &mut Vec<Effect>,
    ) {
        self.hold(id, place, claim.since);
        effects.push(bound(&claim, place));
        let at = claim.since;
        claimants.push(claim);
        let sessions = claimants.iter().map(|claimant| claimant.session.key.clone()).collect();
        effects.push(Effect::Conflict { place, sessions, at });
        effects.push(Effect::Alarm(Alarm::Conflict { place }));
        self.map.put(place, Slot::Contested(claimants));
    }

    fn hold(&mut self, id: &Id, place: Place, since: Timestamp) {
        if let Some(claim) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(place)) {
            (claim.since, claim.hold) = (since, Hold::Owns);
        }
    }

    fn lose(&mut self, id: &Id, place: Place) {
        self.set_hold(id, place, Hold::Lost);
    }

    pub(super) fn set_hold(&mut self, id: &Id, place: Place, hold: Hold) {
        if let Some(claim) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(place)) {
            claim.hold = hold;
        }
    }

    fn supersede(&mut self, loser: &Binding, place: Place, at: Timestamp, effects: &mut Vec<Effect>) {
        let id = id_of(&loser.session);
        let hold = if self.is_by_list(&loser.session, place) { Hold::Waits } else { Hold::Lost };
        self.set_hold(&id, place, hold);
        self.lose_shares(&loser.session, place);
        effects.push(unbound(&loser.session, place, at, Ended::Superseded));
    }

    /// Invariant I1: a session frees only what it still owns.
    pub(super) fn release(
        &mut self,
        id: &Id,
        place: Place,
        at: Timestamp,
        how: Ended,
        effects: &mut Vec<Effect>,
    ) {
        let Some(held) = self.sessions.get(id) else { return };
        let (session, host) = (Arc::clone(&held.session), held.host.clone());
        self.release_of(&session, host.as_ref(), place, at, how, effects);
    }

    fn release_of(
        &mut self,
        session: &Arc<Session>,
        host: Option<&Name>,
        place: Place,
        at: Timestamp,
        how: Ended,
        effects: &mut Vec<Effect>,
    ) {
        match self.map.slot(place) {
            Some(Slot::Owned(owner)) if owner.session.key == session.key => {
                effects.push(unbound(session, place, at.max(owner.since), how));
                let heir = self.heir(session, host, place).or_else(|| self.listed_heir(session, place));
                if let Some(heir) = heir {
                    return self.inherit(&heir, place, &owner, at, effects);
                }
                // Only an owner who said goodbye is followed by somebody at once.
                let until = match how {
                    Ended::Stopped | Ended::Moved | Ended::Reused => at.plus(self.rules().defer_after_stop),
                    Ended::Superseded | Ended::NasRestarted | Ended::Expired => Timestamp::EARLIEST,
                };
                let forget = until.max(at.plus(self.rules().stale_limit));
                let claimed = owner.since.max(owner.outdone);
                self.map.put(place, Slot::Freed { claimed, until, forget });
                self.remind(forget, Due::Slot(place));
            }
            Some(Slot::Contested(mut claimants)) => {
                let Some(gone) = claimants.iter().position(|claimant| claimant.session.key == session.key)
                else {
                    return;
                };
                let gone = claimants.remove(gone);
                effects.push(unbound(session, place, at.max(gone.since), how));
                let slot = self.settle(claimants, &gone, place, at, effects);
                self.map.put(place, slot);
            }
            _ => {}
        }
    }

    /// Row 23: another account of the same host goes on with what this one had.
    fn inherit(
        &mut self,
        heir: &Id,
        place: Place,
        owner: &Binding,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(held) = self.sessions.get(heir) else { return };
        let session = Arc::clone(&held.session);
        self.hold(heir, place, owner.since);
        effects.push(bound(&Binding::new(Arc::clone(&session), at.max(owner.since)), place));
        self.map.put(place, Slot::Owned(Binding { session, ..owner.clone() }));
    }

    /// What is left of a conflict when one claimant is gone: it is over when only one subscriber's sessions remain. If
    /// somebody's newer claim had lost meanwhile, nobody owns the prefix until one of them says so again.
    fn settle(
        &mut self,
        claimants: Vec<Binding>,
        gone: &Binding,
        place: Place,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Slot {
        let subscriber = |claimant: &Binding| claimant.session.subscriber.clone();
        let first = claimants.first().and_then(subscriber);
        let agree =
            claimants.iter().all(|claimant| same_subscriber(subscriber(claimant).as_ref(), first.as_ref()));
        // Of one subscriber's sessions the one that was heard last is the one that lives.
        let newest =
            claimants.iter().max_by_key(|claimant| (claimant.session.seen(), claimant.since)).cloned();
        // What a claim had lost to does not speak against its own subscriber.
        let outdone = newest.as_ref().map_or(Timestamp::EARLIEST, |newest| {
            let others = claimants
                .iter()
                .chain([gone])
                .filter(|other| !same_subscriber(subscriber(other).as_ref(), subscriber(newest).as_ref()));
            others.map(|other| other.outdone).fold(Timestamp::EARLIEST, Timestamp::max)
        });
        match newest {
            Some(newest) if newest.since < outdone && (agree || claimants.len() == 1) => {
                claimants.iter().for_each(|claimant| self.supersede(claimant, place, at, effects));
                effects.push(Effect::Conflict { place, sessions: Vec::new(), at });
                let until = at.plus(self.rules().defer_after_stop);
                let forget = until.max(at.plus(self.rules().stale_limit));
                self.remind(forget, Due::Slot(place));
                Slot::Freed { claimed: outdone, until, forget }
            }
            Some(newest) if agree || claimants.len() == 1 => {
                let others = claimants.iter().filter(|claimant| claimant.session.key != newest.session.key);
                let mut outdone = newest.outdone;
                for other in others {
                    outdone = outdone.max(other.since);
                    self.supersede(other, place, at, effects);
                }
                effects.push(Effect::Conflict { place, sessions: Vec::new(), at });
                Slot::Owned(Binding { outdone, ..newest })
            }
            _ => {
                let sessions = claimants.iter().map(|claimant| claimant.session.key.clone()).collect();
                effects.push(Effect::Conflict { place, sessions, at });
                Slot::Contested(claimants)
            }
        }
    }

    /// Ends a session with everything it owns.
    pub(super) fn close(&mut self, id: &Id, at: Timestamp, how: Ended, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.remove(id) else { return };
        self.dismiss(id, &held);
        held.uncount();
        if let Some(nas) = self.nases.get_mut(id.nas as usize) {
            if held.interval.known().is_some() {
                nas.reporting = nas.reporting.saturating_sub(1);
            }
            if !matches!(how, Ended::Stopped | Ended::Moved) {
                nas.shared.stops_missed.fetch_add(1, Ordering::Relaxed);
            }
        }
        for claim in &held.claims {
            let place = held.place(claim.prefix, claim.ports);
            self.release_of(&held.session, held.host.as_ref(), place, at, how, effects);
        }
        let (session, last_seen) = (held.session.key.clone(), held.session.seen());
        effects.push(Effect::SessionClosed { session, at, last_seen, how });
    }

    /// Puts a session's replaced value where the old one stood, in place.
    pub(super) fn repoint(&mut self, id: &Id, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let session = Arc::clone(&held.session);
        let places: Vec<_> = held.claims.iter().map(|claim| held.place(claim.prefix, claim.ports)).collect();
        for place in places {
            self.replace(&session, &session, place, at, effects);
        }
    }
}

/// Which of two claims on one prefix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Newer,
    Older,
    Conflict,
}

/// Rows 24 and 35.
fn judge(owner: &Binding, claim: &Binding, again: bool) -> Judgement {
    let same = same_subscriber(owner.session.subscriber.as_ref(), claim.session.subscriber.as_ref());
    // A first claim that comes late finds an owner who was heard after it: both were alive, and neither has stopped.
    let owner_heard_since = owner.session.is_active() && owner.session.seen() > claim.since;
    match claim.since.cmp(&owner.since) {
        std::cmp::Ordering::Less => Judgement::Older,
        std::cmp::Ordering::Equal if again => Judgement::Older,
        // Either answer names the same subscriber; the session that was heard last is the one that lives.
        _ if same && owner_heard_since => Judgement::Older,
        _ if same => Judgement::Newer,
        _ if again || owner_heard_since => Judgement::Conflict,
        _ if claim.since < owner.outdone => Judgement::Older,
        _ => Judgement::Newer,
    }
}

fn id_of(session: &Session) -> Id {
    Id { nas: session.nas.number, session: session.key.id.clone() }
}

pub(super) fn bound(claim: &Binding, place: Place) -> Effect {
    let (session, subscriber) = (claim.session.key.clone(), claim.session.subscriber.clone());
    Effect::Bound { session, subscriber, place, from: claim.since }
}

pub(super) fn unbound(session: &Session, place: Place, until: Timestamp, how: Ended) -> Effect {
    Effect::Unbound { session: session.key.clone(), place, until, last_seen: session.seen(), how }
}

/// What a record that is older than the session's present address tells: it held that one then.
fn past(held: Option<&Held>, record: &Record, place: Place) -> Effect {
    let key =
        SessionKey { nas: record.nas.clone(), id: record.session_id.clone(), incarnation: record.event };
    Effect::PastHeld {
        session: held.map_or(key, |held| held.session.key.clone()),
        subscriber: record.subscriber.clone(),
        place,
        from: record.event,
        until: record.event,
        ended: false,
        inferred: false,
    }
}
