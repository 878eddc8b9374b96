//! Which session owns a prefix: taking, superseding, contesting.
//!
//! Knows: claims and slots. Must not know: what kind of record a claim came with, or a session's deadlines.
//!
//! The newest event time owns a prefix. A session that lost one and claims it again, later than the claim it lost to,
//! begins a conflict: nobody is told to own it until one of the two is gone.

use std::time::Duration;

use super::bindings::{Session, same_subscriber};
use super::effect::{Alarm, Effect, Ended, Remark};
use super::event::{Claim, ClaimSource, ClockOffset, Record};
use super::held::{Held, HeldClaim, Hold, Id, State, Suspicion};
use super::machine::Machine;
use super::nas::LAG;
use super::slot::{Binding, Slot};
use super::{Place, SessionKey, Timestamp};

/// The shortest time there is.
const INSTANT: Duration = Duration::from_millis(1);

/// How a session comes to claim a place.
#[derive(Clone, Copy)]
struct Claimed {
    /// It had lost it before.
    again: bool,
    /// Its event time is only how old it is at least.
    unsure: bool,
}

impl Machine {
    /// Takes over what a record gives back and claims.
    pub(super) fn admit(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        self.give_back(id, record, effects);
        for claim in &record.claims {
            let Some(held) = self.sessions.get(id) else { return };
            let place = held.place(claim.prefix, claim.ports);
            let late = held.whole.contains(claim.source) && record.event < held.last();
            let mut known = held.claim(place.prefix, place.ports).copied();
            if known.is_some_and(|known| known.source == ClaimSource::Listed && known.hold != Hold::Shares) {
                if claim.source == ClaimSource::FramedAddress && !self.move_address(id, record, effects) {
                    continue;
                }
                // What a record says itself is more than what the list says.
                if let Some(known) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(place)) {
                    known.source = claim.source;
                }
                known = self.sessions.get(id).and_then(|held| held.claim(place.prefix, place.ports).copied());
            }
            match known.map(|known| (known.hold, known.since)) {
                Some((Hold::Owns, _)) => {
                    self.believe(id, place, record.event);
                    continue;
                }
                Some((Hold::Shares, _)) => {
                    self.relieve(id, place, record.event, effects);
                    continue;
                }
                Some((Hold::Left, left)) if record.event <= left => {
                    let Some(held) = self.sessions.get(id) else { return };
                    effects.push(noted(&held.session, place, record.event, Remark::GivenBack));
                    continue;
                }
                Some((hold @ (Hold::Lost | Hold::Waits), _)) => {
                    self.claim(id, place, record, hold == Hold::Lost, effects);
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
            self.claim(id, place, record, false, effects);
        }
        if let Some(held) = self.sessions.get_mut(id)
            && record.claims.iter().any(|claim| claim.source == ClaimSource::FramedAddress)
        {
            held.address_at = held.address_at.max(record.event);
        }
    }

    /// A session claims a place by a record.
    fn claim(&mut self, id: &Id, place: Place, record: &Record, again: bool, effects: &mut Vec<Effect>) {
        // How old it is, is known at least only.
        let unsure = matches!(record.clock_offset, Some(ClockOffset::AtMost(_)));
        self.take(id, place, record.event, Claimed { again, unsure }, effects);
        if unsure && record.arrival.since(record.event) > LAG {
            self.doubt_own(id, place, record.arrival);
        }
    }

    /// A session claims a place at an event time.
    fn take(&mut self, id: &Id, place: Place, at: Timestamp, how: Claimed, effects: &mut Vec<Effect>) {
        let again = how.again;
        let Some(held) = self.sessions.get(id) else { return };
        let (session, active) = (held.session.clone(), held.is_active());
        let revived = matches!(held.state(), State::Suspect { why: Suspicion::Revived, .. });
        let claim = Binding::new(session, at);
        // Mostly nobody has it, and what is remembered of who had is not to be copied for this.
        let freed = self.map.see(place, |slot| match slot {
            Slot::Freed(freed) => {
                Some((at < freed.claimed || freed.is_before_its_end(&claim), freed.losers.is_empty()))
            }
            _ => None,
        });
        match freed {
            None | Some(Some((false, true))) => return self.own_free(id, place, claim, effects),
            Some(Some((true, _))) => return self.outdone(id, place, at, how, effects),
            Some(Some((false, false))) => return self.own(id, place, claim, effects),
            Some(None) => {}
        }
        match self.map.slot(place) {
            None | Some(Slot::Freed(_)) => {}
            Some(Slot::Owned(owner)) if owner.session.is(&claim.session) => {
                self.hold(id, place, owner.since);
            }
            // Row 23.
            Some(Slot::Owned(owner)) if self.is_same_host(id, &owner) => {
                self.set_hold(id, place, Hold::Shares);
            }
            // A session in doubt takes nothing from anybody; but that somebody else had it is heard.
            Some(_) if !active => {
                let known = held.claim(place.prefix, place.ports).map(|claim| claim.hold);
                if !again && known != Some(Hold::Waits) {
                    effects.push(noted(&claim.session, place, at, Remark::Waits));
                }
                self.set_hold(id, place, if revived { Hold::Lost } else { Hold::Waits });
                self.note_loser(place, id);
                // An undated Start may be the old one: it tells nothing against anybody.
                if revived {
                    let another = |holder: &Session| {
                        !same_subscriber(holder.subscriber_octets(), claim.session.subscriber_octets())
                    };
                    self.doubt(place, &|_| at, &another);
                }
            }
            // What the operator listed is what no record says: a record that says it comes first.
            Some(Slot::Owned(owner)) if self.yields(&owner, at) || self.is_by_list(&owner.session, place) => {
                self.supersede(&owner, place, at, effects);
                self.own(id, place, claim, effects);
            }
            Some(Slot::Owned(mut owner)) => match judge(&owner, &claim, again) {
                Judgement::Newer => {
                    self.supersede(&owner, place, at, effects);
                    self.own(id, place, claim, effects);
                }
                Judgement::Older => {
                    let against = owner.against_mut();
                    against.outdone = against.outdone.max(at);
                    self.map.put(place, Slot::Owned(owner));
                    self.outdone(id, place, at, how, effects);
                }
                Judgement::Conflict => self.contest(id, place, vec![owner], claim, again, effects),
            },
            Some(Slot::Contested(claimants)) => {
                self.join(id, place, claimants, claim, how, effects);
            }
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
        how: Claimed,
        effects: &mut Vec<Effect>,
    ) {
        let again = how.again;
        if claimants.iter().any(|claimant| claimant.session.is(&claim.session)) {
            return;
        }
        let judgements: Vec<_> = claimants.iter().map(|claimant| judge(claimant, &claim, again)).collect();
        let all = |judgement| judgements.iter().all(|each| *each == judgement);
        if all(Judgement::Older) {
            self.outdone(id, place, claim.since, how, effects);
        } else if all(Judgement::Newer) {
            let at = claim.since;
            claimants.iter().for_each(|claimant| self.supersede(claimant, place, at, effects));
            effects.push(Effect::Conflict { place, sessions: Vec::new(), at });
            self.own(id, place, claim, effects);
        } else {
            // Newer than some and older than others: one more who lives and claims it.
            self.contest(id, place, claimants, claim, again, effects);
        }
    }

    pub(super) fn own(&mut self, id: &Id, place: Place, claim: Binding, effects: &mut Vec<Effect>) {
        self.hold(id, place, claim.since);
        effects.push(self.bound(&claim, place));
        let against = self.left_against(id, place, claim.since);
        self.map.put(place, Slot::Owned(Binding::remembering(claim.session, claim.since, against)));
    }

    /// The same where nobody was, or left anybody behind: nothing is taken over of what spoke against them.
    fn own_free(&mut self, id: &Id, place: Place, claim: Binding, effects: &mut Vec<Effect>) {
        self.hold(id, place, claim.since);
        effects.push(self.bound(&claim, place));
        self.map.put(place, Slot::Owned(claim));
    }

    pub(super) fn bound(&self, claim: &Binding, place: Place) -> Effect {
        let (session, subscriber) = (claim.session.key(), self.subscriber_of(&claim.session));
        Effect::Bound { session, subscriber, place, from: claim.since }
    }

    fn contest(
        &mut self,
        id: &Id,
        place: Place,
        mut claimants: Vec<Binding>,
        claim: Binding,
        again: bool,
        effects: &mut Vec<Effect>,
    ) {
        let at = claim.since;
        if let Some(held) = self.sessions.get(id).filter(|_| again)
            && let Some(before) = held.claim(place.prefix, place.ports)
        {
            // It never went, though that was believed when another took its place.
            effects.push(still_held(&held.session, place, before.since, at));
        }
        self.hold(id, place, at);
        effects.push(self.bound(&claim, place));
        claimants.push(claim);
        let sessions = claimants.iter().map(|claimant| claimant.session.key()).collect();
        effects.push(Effect::Conflict { place, sessions, at });
        effects.push(Effect::Alarm(Alarm::Conflict { place }));
        self.map.put(place, Slot::Contested(claimants));
    }

    pub(super) fn hold(&mut self, id: &Id, place: Place, since: Timestamp) {
        if let Some(claim) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(place)) {
            (claim.since, claim.hold) = (since, Hold::Owns);
        }
    }

    /// A claim that loses as soon as it is made. One that had lost before changes nothing by being made again.
    fn outdone(&mut self, id: &Id, place: Place, at: Timestamp, how: Claimed, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        if !how.again {
            effects.push(noted(&held.session, place, at, Remark::Outdone));
        }
        let session = held.session.clone();
        self.set_hold(id, place, Hold::Lost);
        self.note_loser(place, id);
        // It may have lost to what is over by now, and yet be newer than whoever has the place was heard; and one of which it
        // is known only how old it is at least may be newer in any case.
        let since = |holder: &Binding| if how.unsure { holder.session.seen().plus(INSTANT) } else { at };
        self.doubt(place, &since, &|holder: &Session| {
            !same_subscriber(holder.subscriber_octets(), session.subscriber_octets())
        });
    }

    pub(super) fn set_hold(&mut self, id: &Id, place: Place, hold: Hold) {
        if let Some(claim) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(place)) {
            claim.hold = hold;
        }
    }

    pub(super) fn supersede(
        &mut self,
        loser: &Binding,
        place: Place,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let id = id_of(&loser.session);
        let hold = if self.is_by_list(&loser.session, place) { Hold::Waits } else { Hold::Lost };
        self.set_hold(&id, place, hold);
        self.lose_shares(&loser.session, place);
        effects.push(unbound(&loser.session, place, at, Ended::Superseded));
    }

    /// Puts a session's replaced value where the old one stood, in place.
    pub(super) fn repoint(&mut self, id: &Id, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let session = held.session.clone();
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
    let same = same_subscriber(owner.session.subscriber_octets(), claim.session.subscriber_octets());
    // A first claim that comes late finds an owner who was heard after it: both were alive, and neither has stopped.
    let owner_heard_since = owner.session.is_active() && owner.session.seen() > claim.since;
    match claim.since.cmp(&owner.since) {
        std::cmp::Ordering::Less => Judgement::Older,
        std::cmp::Ordering::Equal if again => Judgement::Older,
        // Either answer names the same subscriber; the session that was heard last is the one that lives.
        _ if same && owner_heard_since => Judgement::Older,
        _ if same => Judgement::Newer,
        _ if again || owner_heard_since => Judgement::Conflict,
        _ if claim.since < owner.against().outdone => Judgement::Older,
        _ => Judgement::Newer,
    }
}

pub(super) fn id_of(session: &Session) -> Id {
    Id { nas: session.nas().number, session: session.id() }
}

pub(super) fn unbound(session: &Session, place: Place, until: Timestamp, how: Ended) -> Effect {
    Effect::Unbound { session: session.key(), place, until, last_seen: session.seen(), how }
}

pub(super) fn noted(session: &Session, place: Place, at: Timestamp, why: Remark) -> Effect {
    Effect::Noted { session: session.key(), place, at, why }
}

/// That a session had a place all the while from one moment to another.
fn still_held(session: &Session, place: Place, from: Timestamp, until: Timestamp) -> Effect {
    let (session, subscriber) = (session.key(), session.subscriber());
    Effect::PastHeld { session, subscriber, place, from, until, ended: false, inferred: false }
}

/// What a record that is older than the session's present address tells: it held that one then.
fn past(held: Option<&Held>, record: &Record, place: Place) -> Effect {
    let key =
        SessionKey { nas: record.nas.clone(), id: record.session_id.clone(), incarnation: record.event };
    Effect::PastHeld {
        session: held.map_or(key, |held| held.session.key()),
        subscriber: record.subscriber.clone(),
        place,
        from: record.event,
        until: record.event,
        ended: false,
        inferred: false,
    }
}
