//! Which session owns a prefix: taking, superseding, contesting, freeing.
//!
//! Knows: claims and slots. Must not know: what kind of record a claim came with, or a session's deadlines.
//!
//! The newest event time owns a prefix. A session that lost one and claims it again, later than the claim it lost to,
//! begins a conflict: nobody is told to own it until one of the two is gone.

use std::sync::Arc;

use ipnet::IpNet;

use super::bindings::{Binding, Session, Slot, same_subscriber};
use super::deadlines::Due;
use super::event::{Alarm, ClaimSource, Effect, Ended, Record};
use super::held::{Held, HeldClaim, Hold, Id, State, Suspicion};
use super::machine::Machine;
use super::{Realm, SessionKey, Timestamp};

impl Machine {
    /// Takes over what a record claims.
    pub(super) fn admit(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        for claim in &record.claims {
            let Some(held) = self.sessions.get(id) else { return };
            if let Some(known) = held.claim(claim.prefix) {
                if known.hold != Hold::Owns {
                    self.take(id, claim.prefix, record.event, known.hold == Hold::Lost, effects);
                }
                continue;
            }
            if claim.source == ClaimSource::FramedAddress && !self.move_address(id, record, effects) {
                // An older record tells of an address that the session has left since.
                effects.push(past(self.sessions.get(id), record, claim.prefix));
                continue;
            }
            let Some(held) = self.sessions.get_mut(id) else { return };
            let (prefix, source) = (claim.prefix, claim.source);
            held.claims.push(HeldClaim { prefix, source, since: record.event, hold: Hold::Lost });
            self.take(id, prefix, record.event, false, effects);
        }
        if let Some(held) = self.sessions.get_mut(id)
            && record.claims.iter().any(|claim| claim.source == ClaimSource::FramedAddress)
        {
            held.address_at = held.address_at.max(record.event);
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
            self.release(id, claim.prefix, record.event, Ended::Moved, effects);
        }
        true
    }

    /// A session claims a prefix at an event time; `again` if it had lost it before.
    fn take(&mut self, id: &Id, prefix: IpNet, at: Timestamp, again: bool, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let (session, realm, active) = (Arc::clone(&held.session), held.realm, held.is_active());
        let revived = matches!(held.state, State::Suspect { why: Suspicion::Revived, .. });
        let claim = Binding { session, since: at, outdone: Timestamp::EARLIEST };
        match self.map.slot(realm, prefix) {
            None => self.own(id, realm, prefix, claim, effects),
            Some(Slot::Freed { claimed, .. }) if at < claimed => self.lose(id, prefix),
            Some(Slot::Freed { .. }) => self.own(id, realm, prefix, claim, effects),
            Some(Slot::Owned(owner)) if owner.session.key == claim.session.key => {
                self.hold(id, prefix, owner.since);
            }
            // A session in doubt takes nothing from anybody.
            Some(_) if !active => self.set_hold(id, prefix, if revived { Hold::Lost } else { Hold::Waits }),
            Some(Slot::Owned(owner)) if self.yields(&owner, at) => {
                self.supersede(&owner, realm, prefix, at, effects);
                self.own(id, realm, prefix, claim, effects);
            }
            Some(Slot::Owned(owner)) => match judge(&owner, &claim, again) {
                Judgement::Newer => {
                    self.supersede(&owner, realm, prefix, at, effects);
                    self.own(id, realm, prefix, claim, effects);
                }
                Judgement::Older => {
                    self.lose(id, prefix);
                    let outdone = owner.outdone.max(at);
                    self.map.put(realm, prefix, Slot::Owned(Binding { outdone, ..owner }));
                }
                Judgement::Conflict => self.contest(id, realm, prefix, vec![owner], claim, effects),
            },
            Some(Slot::Contested(claimants)) => {
                self.join(id, realm, prefix, claimants, claim, again, effects);
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
    #[expect(clippy::too_many_arguments, reason = "one step of `take`, with what that has at hand")]
    fn join(
        &mut self,
        id: &Id,
        realm: Realm,
        prefix: IpNet,
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
            self.lose(id, prefix);
        } else if all(Judgement::Newer) {
            let at = claim.since;
            claimants.iter().for_each(|claimant| self.supersede(claimant, realm, prefix, at, effects));
            effects.push(Effect::Conflict { realm, prefix, sessions: Vec::new(), at });
            self.own(id, realm, prefix, claim, effects);
        } else {
            // Newer than some and older than others: one more who lives and claims it.
            self.contest(id, realm, prefix, claimants, claim, effects);
        }
    }

    fn own(&mut self, id: &Id, realm: Realm, prefix: IpNet, claim: Binding, effects: &mut Vec<Effect>) {
        self.hold(id, prefix, claim.since);
        effects.push(bound(&claim, realm, prefix));
        self.map.put(realm, prefix, Slot::Owned(claim));
    }

    fn contest(
        &mut self,
        id: &Id,
        realm: Realm,
        prefix: IpNet,
        mut claimants: Vec<Binding>,
        claim: Binding,
        effects: &mut Vec<Effect>,
    ) {
        self.hold(id, prefix, claim.since);
        effects.push(bound(&claim, realm, prefix));
        let at = claim.since;
        claimants.push(claim);
        let sessions = claimants.iter().map(|claimant| claimant.session.key.clone()).collect();
        effects.push(Effect::Conflict { realm, prefix, sessions, at });
        effects.push(Effect::Alarm(Alarm::Conflict { prefix }));
        self.map.put(realm, prefix, Slot::Contested(claimants));
    }

    fn hold(&mut self, id: &Id, prefix: IpNet, since: Timestamp) {
        if let Some(claim) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(prefix)) {
            (claim.since, claim.hold) = (since, Hold::Owns);
        }
    }

    fn lose(&mut self, id: &Id, prefix: IpNet) {
        self.set_hold(id, prefix, Hold::Lost);
    }

    fn set_hold(&mut self, id: &Id, prefix: IpNet, hold: Hold) {
        if let Some(claim) = self.sessions.get_mut(id).and_then(|held| held.claim_mut(prefix)) {
            claim.hold = hold;
        }
    }

    fn supersede(
        &mut self,
        loser: &Binding,
        realm: Realm,
        prefix: IpNet,
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let id = id_of(&loser.session);
        self.lose(&id, prefix);
        effects.push(unbound(&loser.session, realm, prefix, at, Ended::Superseded));
    }

    /// Invariant I1: a session frees only what it still owns.
    pub(super) fn release(
        &mut self,
        id: &Id,
        prefix: IpNet,
        at: Timestamp,
        how: Ended,
        effects: &mut Vec<Effect>,
    ) {
        let Some(held) = self.sessions.get(id) else { return };
        let (session, realm) = (Arc::clone(&held.session), held.realm);
        self.release_of(&session, realm, prefix, at, how, effects);
    }

    fn release_of(
        &mut self,
        session: &Arc<Session>,
        realm: Realm,
        prefix: IpNet,
        at: Timestamp,
        how: Ended,
        effects: &mut Vec<Effect>,
    ) {
        match self.map.slot(realm, prefix) {
            Some(Slot::Owned(owner)) if owner.session.key == session.key => {
                // Only an owner who said goodbye is followed by somebody at once.
                let until = match how {
                    Ended::Stopped | Ended::Moved | Ended::Reused => at.plus(self.rules().defer_after_stop),
                    Ended::Superseded | Ended::NasRestarted | Ended::Expired => Timestamp::EARLIEST,
                };
                let forget = until.max(at.plus(self.rules().stale_limit));
                let claimed = owner.since.max(owner.outdone);
                self.map.put(realm, prefix, Slot::Freed { claimed, until, forget });
                self.remind(forget, Due::Slot(realm, prefix));
                effects.push(unbound(session, realm, prefix, at.max(owner.since), how));
            }
            Some(Slot::Contested(mut claimants)) => {
                let Some(gone) = claimants.iter().position(|claimant| claimant.session.key == session.key)
                else {
                    return;
                };
                let gone = claimants.remove(gone);
                effects.push(unbound(session, realm, prefix, at.max(gone.since), how));
                let slot = self.settle(claimants, &gone, realm, prefix, at, effects);
                self.map.put(realm, prefix, slot);
            }
            _ => {}
        }
    }

    /// What is left of a conflict when one claimant is gone: it is over when only one subscriber's sessions remain. If
    /// somebody's newer claim had lost meanwhile, nobody owns the prefix until one of them says so again.
    fn settle(
        &mut self,
        claimants: Vec<Binding>,
        gone: &Binding,
        realm: Realm,
        prefix: IpNet,
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
                claimants.iter().for_each(|claimant| self.supersede(claimant, realm, prefix, at, effects));
                effects.push(Effect::Conflict { realm, prefix, sessions: Vec::new(), at });
                let until = at.plus(self.rules().defer_after_stop);
                let forget = until.max(at.plus(self.rules().stale_limit));
                self.remind(forget, Due::Slot(realm, prefix));
                Slot::Freed { claimed: outdone, until, forget }
            }
            Some(newest) if agree || claimants.len() == 1 => {
                let others = claimants.iter().filter(|claimant| claimant.session.key != newest.session.key);
                let mut outdone = newest.outdone;
                for other in others {
                    outdone = outdone.max(other.since);
                    self.supersede(other, realm, prefix, at, effects);
                }
                effects.push(Effect::Conflict { realm, prefix, sessions: Vec::new(), at });
                Slot::Owned(Binding { outdone, ..newest })
            }
            _ => {
                let sessions = claimants.iter().map(|claimant| claimant.session.key.clone()).collect();
                effects.push(Effect::Conflict { realm, prefix, sessions, at });
                Slot::Contested(claimants)
            }
        }
    }

    /// Ends a session with everything it owns.
    pub(super) fn close(&mut self, id: &Id, at: Timestamp, how: Ended, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.remove(id) else { return };
        held.count_of(held.state).fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(nas) = self.nases.get_mut(id.nas as usize)
            && held.interval.known().is_some()
        {
            nas.reporting = nas.reporting.saturating_sub(1);
        }
        for claim in &held.claims {
            self.release_of(&held.session, held.realm, claim.prefix, at, how, effects);
        }
        let (session, last_seen) = (held.session.key.clone(), held.session.seen());
        effects.push(Effect::SessionClosed { session, at, last_seen, how });
    }

    /// Puts a session's replaced value where the old one stood, in place.
    pub(super) fn repoint(&mut self, id: &Id, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let (session, realm) = (Arc::clone(&held.session), held.realm);
        let prefixes: Vec<_> = held.claims.iter().map(|claim| claim.prefix).collect();
        let same = |binding: &Binding| binding.session.key == session.key;
        for prefix in prefixes {
            let slot = match self.map.slot(realm, prefix) {
                Some(Slot::Owned(owner)) if same(&owner) => {
                    effects.push(unbound(&owner.session, realm, prefix, at, Ended::Moved));
                    let binding =
                        Binding { session: Arc::clone(&session), since: at, outdone: owner.outdone };
                    effects.push(bound(&binding, realm, prefix));
                    Slot::Owned(Binding { since: owner.since, ..binding })
                }
                Some(Slot::Contested(mut claimants)) => {
                    for claimant in claimants.iter_mut().filter(|claimant| same(claimant)) {
                        claimant.session = Arc::clone(&session);
                    }
                    Slot::Contested(claimants)
                }
                _ => continue,
            };
            self.map.put(realm, prefix, slot);
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

fn bound(claim: &Binding, realm: Realm, prefix: IpNet) -> Effect {
    let (session, subscriber) = (claim.session.key.clone(), claim.session.subscriber.clone());
    Effect::Bound { session, subscriber, realm, prefix, from: claim.since }
}

fn unbound(session: &Session, realm: Realm, prefix: IpNet, until: Timestamp, how: Ended) -> Effect {
    Effect::Unbound { session: session.key.clone(), realm, prefix, until, last_seen: session.seen(), how }
}

/// What a record that is older than the session's present address tells: it held that one then.
fn past(held: Option<&Held>, record: &Record, prefix: IpNet) -> Effect {
    let key =
        SessionKey { nas: record.nas.clone(), id: record.session_id.clone(), incarnation: record.event };
    Effect::PastHeld {
        session: held.map_or(key, |held| held.session.key.clone()),
        subscriber: record.subscriber.clone(),
        realm: record.realm,
        prefix,
        from: record.event,
        until: record.event,
        ended: false,
        inferred: false,
    }
}
