//! What a session no longer has: given back, left for another address, freed by its end; and what becomes of the place.
//!
//! Knows: who comes after an owner. Must not know: how claims are judged, what kind of record tells of an end, deadlines.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::bindings::{Session, same_subscriber};
use super::effect::{Effect, Ended, Remark};
use super::event::{Claim, ClaimSource, Record, Release};
use super::held::{Held, HeldClaim, Hold, Id, UNDATED_START_DOUBT};
use super::machine::Machine;
use super::ownership::{id_of, noted, unbound};
use super::slot::{Against, Binding, Freed, Slot, Stopped};
use super::{Name, Place, Timestamp};

impl Machine {
    /// Rows 6 and 36: what the session no longer has though it goes on.
    pub(super) fn give_back(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
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
            self.release(id, place, record.event, Ended::Moved, effects);
        }
    }

    /// Row 4: a session has one framed address; a newer one replaces it. False when the record is the older one.
    pub(super) fn move_address(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) -> bool {
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
        let (session, host) = (held.session.clone(), held.host().cloned());
        self.release_of(&session, host.as_ref(), place, at, how, effects);
    }

    fn release_of(
        &mut self,
        session: &Session,
        host: Option<&Name>,
        place: Place,
        at: Timestamp,
        how: Ended,
        effects: &mut Vec<Effect>,
    ) {
        match self.map.slot(place) {
            Some(Slot::Owned(owner)) if owner.session.is(session) => {
                effects.push(unbound(session, place, at.max(owner.since), how));
                let heir = self
                    .heir(session, host, place)
                    .or_else(|| self.listed_heir(session, place))
                    .or_else(|| self.own_loser(&owner, place));
                if let Some(heir) = heir {
                    return self.inherit(&heir, place, &owner, at, effects);
                }
                let against = owner.against();
                let freed = Box::new(Freed {
                    until: self.deferred_after(at, how),
                    losers: self.living(place, &against.losers),
                    stopped: (how == Ended::Stopped)
                        .then(|| Stopped::new(session, self.subscriber_of(session), at)),
                    ..Freed::at(owner.since.max(against.outdone).max(against.doubted))
                });
                self.put_freed(place, freed, at);
            }
            Some(Slot::Freed(mut freed)) if freed.losers.contains(&id_of(session)) => {
                let others: Vec<Id> =
                    freed.losers.iter().filter(|loser| **loser != id_of(session)).cloned().collect();
                freed.losers = self.living(place, &others);
                // It may have been there until now.
                freed.until = freed.until.max(self.deferred_after(at, how));
                self.put_freed(place, freed, at);
            }
            Some(Slot::Contested(mut claimants)) => {
                let Some(gone) = claimants.iter().position(|claimant| claimant.session.is(session)) else {
                    return self.strike_loser(place, &id_of(session));
                };
                let gone = claimants.remove(gone);
                if let Some(first) = claimants.first_mut().filter(|_| !gone.against().losers.is_empty()) {
                    first.against_mut().losers.extend(gone.against().losers.iter().cloned());
                }
                effects.push(unbound(session, place, at.max(gone.since), how));
                self.settle(claimants, &gone, place, at, effects);
            }
            Some(Slot::Owned(_)) => {
                self.strike_loser(place, &id_of(session));
                if how == Ended::Stopped {
                    effects.push(noted(session, place, at, Remark::NothingToFree));
                }
            }
            _ => {}
        }
    }

    /// Only an owner who said goodbye is followed by somebody at once.
    fn deferred_after(&self, at: Timestamp, how: Ended) -> Timestamp {
        match how {
            Ended::Stopped | Ended::Moved | Ended::Reused => at.plus(self.rules().defer_after_stop),
            Ended::Superseded | Ended::NasRestarted | Ended::Expired => Timestamp::EARLIEST,
        }
    }

    /// Another session of the same subscriber that had lost the place to this one and was heard since: whichever of the two
    /// was there, the subscriber is.
    fn own_loser(&self, owner: &Binding, place: Place) -> Option<Id> {
        if owner.against().losers.is_empty() {
            return None;
        }
        let subscriber = owner.session.subscriber_octets();
        let losers = self.living(place, &owner.against().losers).into_iter();
        let mine = losers.filter_map(|id| {
            let held = self.sessions.get(&id)?;
            let mine = held.is_active()
                && held.last() > owner.since
                && same_subscriber(held.session.subscriber_octets(), subscriber)
                // Under one id it is the same session, heard of by another way, and has stopped as well.
                && held.session.id_octets() != owner.session.id_octets();
            mine.then_some((held.last(), id))
        });
        mine.max().map(|(_, id)| id)
    }

    /// An account of a host that is heard goes on with what another one has that is in doubt.
    pub(super) fn relieve(&mut self, id: &Id, place: Place, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(Slot::Owned(owner)) = self.map.slot(place) else { return };
        let active = self.sessions.get(id).is_some_and(Held::is_active);
        if active && !owner.session.is_active() && self.is_same_host(id, &owner) {
            self.hand_over(&owner, id, place, at, effects);
        }
    }

    /// An owner that lives shares from here on what it had.
    pub(super) fn hand_over(
        &mut self,
        owner: &Binding,
        heir: &Id,
        place: Place,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.set_hold(&id_of(&owner.session), place, Hold::Shares);
        effects.push(unbound(&owner.session, place, at.max(owner.since), Ended::Moved));
        self.inherit(heir, place, owner, at, effects);
    }

    /// Another session of the same subscriber goes on with what this one had.
    fn inherit(
        &mut self,
        heir: &Id,
        place: Place,
        owner: &Binding,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(held) = self.sessions.get(heir) else { return };
        let session = held.session.clone();
        self.hold(heir, place, owner.since);
        if owner.is_doubted() {
            self.set_doubted(heir);
        }
        effects.push(self.bound(&Binding::new(session.clone(), at.max(owner.since)), place));
        self.map.put(place, Slot::Owned(owner.clone().held_by(session)));
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
    ) {
        let subscriber = |claimant: &Binding| claimant.session.subscriber();
        let first = claimants.first().and_then(subscriber);
        let agree =
            claimants.iter().all(|claimant| same_subscriber(subscriber(claimant).as_ref(), first.as_ref()));
        // Of one subscriber's sessions the one that was heard last is the one that lives.
        let newest =
            claimants.iter().max_by_key(|claimant| (claimant.session.seen(), claimant.since)).cloned();
        let Some(newest) = newest.filter(|_| agree || claimants.len() == 1) else {
            let sessions = claimants.iter().map(|claimant| claimant.session.key()).collect();
            effects.push(Effect::Conflict { place, sessions, at });
            return self.map.put(place, Slot::Contested(claimants));
        };
        // What a claim had lost to does not speak against its own subscriber.
        let others = || {
            let of_another =
                |other: &&Binding| !same_subscriber(subscriber(other).as_ref(), subscriber(&newest).as_ref());
            claimants.iter().chain([gone]).filter(of_another)
        };
        let latest = |moment: fn(&Binding) -> Timestamp| {
            others().map(moment).fold(Timestamp::EARLIEST, Timestamp::max)
        };
        let outdone = latest(|other| other.against().outdone);
        if newest.since < outdone {
            claimants.iter().for_each(|claimant| self.supersede(claimant, place, at, effects));
            effects.push(Effect::Conflict { place, sessions: Vec::new(), at });
            let freed = Box::new(Freed {
                until: at.plus(self.rules().defer_after_stop),
                losers: self.those_left(place, claimants.iter()),
                ..Freed::at(outdone)
            });
            return self.put_freed(place, freed, at);
        }
        let lived = latest(|other| other.since);
        let mut against = Against {
            // Whoever is left is named when it was heard after the other had told that it lives; but what comes within
            // moments of the newest claim may be a copy of what was sent before it.
            doubted: if lived.since(newest.since) < UNDATED_START_DOUBT || lived <= newest.session.seen() {
                newest.against().doubted
            } else {
                newest.against().doubted.max(lived)
            },
            ..newest.against().clone()
        };
        if against.doubted != Timestamp::EARLIEST {
            self.set_doubted(&id_of(&newest.session));
        }
        for other in claimants.iter().filter(|claimant| !claimant.session.is(&newest.session)) {
            against.outdone = against.outdone.max(other.since);
            self.supersede(other, place, at, effects);
        }
        effects.push(Effect::Conflict { place, sessions: Vec::new(), at });
        against.losers = self.those_left(place, claimants.iter());
        let owner = Binding::remembering(newest.session, newest.since, against);
        self.map.put(place, Slot::Owned(owner));
    }

    /// Ends a session with everything it owns.
    pub(super) fn close(&mut self, id: &Id, at: Timestamp, how: Ended, effects: &mut Vec<Effect>) {
        self.dismiss(id);
        let Some(held) = self.sessions.remove(id) else { return };
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
            self.release_of(&held.session, held.host(), place, at, how, effects);
        }
        let (session, last_seen) = (held.session.key(), held.session.seen());
        effects.push(Effect::SessionClosed { session, at, last_seen, how });
    }
}
