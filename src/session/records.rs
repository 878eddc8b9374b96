//! What one accounting record does to its session: the rows of the decision table, one function for each kind of record.
//!
//! Knows: a session's lives, and what a Start, an interim update, a Stop or a restart means for them (the row numbers in
//! the comments are those of the table in `docs/sessions.md`). Must not know: who else wants a prefix, deadlines, NASes.

use std::sync::Arc;
use std::time::Duration;

use super::alive::{Saying, Session};
use super::effect::{Effect, Ended, Remark};
use super::event::{Kind, Record};
use super::held::{
    AfterStop, Held, Hold, Id, RESTART_GRACE, SAME_MOMENT, State, Suspicion, Tombstone, began,
};
use super::interval::Interval;
use super::machine::Machine;
use super::queue::Due;
use super::{Name, Place, Realm, SessionKey, Timestamp};

/// Announced intervals outside of this are mistakes of a configuration, not intervals (RFC 2869, 5.16).
const INTERVALS_BELIEVED: std::ops::RangeInclusive<u32> = 60..=86_400;

/// When a session's life began, and when the one before it under the same id had ended.
#[derive(Clone, Copy)]
struct Life {
    opened: Timestamp,
    after: Timestamp,
}

impl Life {
    fn after(opened: Timestamp, after: Timestamp) -> Self {
        Life { opened, after }
    }
}

impl Machine {
    pub(super) fn start(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        if let Some(held) = self.sessions.get(id) {
            let restarted = match held.state() {
                State::Suspect { why: Suspicion::Restarted { at }, .. } => record.event >= at,
                _ => false,
            };
            if restarted {
                // The NAS began anew and uses the id again, be it for the same subscriber.
                self.close(id, record.event, Ended::Reused, effects);
                self.open(id, record, Life::after(record.event, record.event), State::Active, effects);
            } else if record.event <= held.born_after() {
                self.note_past(id, record, record.event, effects);
            } else if held.same_identity(record) && held.is_followed_by(record) {
                // Row 16, though something straggled in between.
                let last = held.last();
                self.close(id, last, Ended::Reused, effects);
                self.open(id, record, Life::after(record.event, last), State::Active, effects);
            } else if held.same_identity(record) && !held.begins_again(record) {
                // Row 14, row 19.
                self.update(id, record, effects);
            } else if record.event >= held.last() {
                // Row 14 or 15: it inherits nothing.
                let last = held.last();
                self.close(id, record.event, Ended::Reused, effects);
                self.open(id, record, Life::after(record.event, last), State::Active, effects);
            } else {
                self.note_past(id, record, record.event, effects);
            }
            return;
        }
        let tombstone = self.tombstones.get(id);
        let before = tombstone.map_or(Timestamp::EARLIEST, |tomb| tomb.stopped);
        let state = match tombstone {
            None => State::Active,
            // Row 17; at the very moment of the Stop the order of arrival counts only where Stop and Start come in
            // pairs (row 16).
            Some(tomb)
                if record.event < tomb.stopped || (record.event == tomb.stopped && !record.stop_start) =>
            {
                self.told_after_stop(id, record);
                return self.ignore(id, record, Remark::BeforeStop, effects);
            }
            Some(tomb) => {
                let resumed = self.nases.get(id.nas as usize).map_or(Timestamp::EARLIEST, |nas| nas.resumed);
                let doubtful = !record.dated && !record.stop_start && tomb.may_be_of(record, resumed);
                let why = Suspicion::DoubtfulStart { stopped: tomb.stopped };
                if doubtful { self.suspect(id.nas, record, why) } else { State::Active }
            }
        };
        // Rows 1, 2 and 16.
        self.open(id, record, Life::after(record.event, before), state, effects);
    }

    pub(super) fn interim(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else {
            return self.interim_of_unknown(id, record, effects);
        };
        if record.event <= held.born_after() {
            return self.note_past(id, record, record.event, effects);
        }
        let newer = record.event >= held.last();
        let shorter = newer && !held.continues(record.session_time);
        if let State::Suspect { why: Suspicion::Restarted { at }, .. } = held.state() {
            if record.event <= at {
                return self.ignore(id, record, Remark::BeforeRestart, effects);
            }
            if shorter || (newer && !held.same_identity(record)) {
                self.close(id, at, Ended::Reused, effects);
                return self.open(id, record, Life::after(began(record).max(at), at), State::Active, effects);
            }
            return self.update(id, record, effects);
        }
        // The session time only grows within one life; another subscriber with a shorter one, or on another line, or one that
        // began since, has the id now, but not what the former one held.
        let another_life = shorter && (!held.same_identity(record) || held.is_begun_since(record));
        if another_life || (newer && held.is_elsewhere(record)) {
            let last = held.last();
            let from = began(record).max(last);
            self.close(id, from, Ended::Reused, effects);
            return self.open(id, record, Life::after(from, last), State::Active, effects);
        }
        if !newer && !held.same_identity(record) {
            // Sent by an earlier life under the same id, or before the name changed: it moves nothing.
            return self.note_past(id, record, record.event, effects);
        }
        self.update(id, record, effects);
    }

    fn interim_of_unknown(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(tomb) = self.tombstones.get(id) else {
            // Row 7. What it held before is told by its session time, but only as far as that.
            let life = Life::after(began(record), Timestamp::EARLIEST);
            return self.open(id, record, life, State::Active, effects);
        };
        let life = match tomb.judge(record) {
            // Row 8.
            AfterStop::Late => {
                self.told_after_stop(id, record);
                return self.ignore(id, record, Remark::BeforeStop, effects);
            }
            // Row 9.
            AfterStop::Revived => Life::after(tomb.incarnation, Timestamp::EARLIEST),
            AfterStop::AnotherLife => Life::after(began(record).max(tomb.stopped), tomb.stopped),
        };
        let state = self.suspect(id.nas, record, Suspicion::Revived);
        self.open(id, record, life, state, effects);
    }

    pub(super) fn stop(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else {
            return self.stop_of_unknown(id, record, effects);
        };
        if held.stopped_before_it_began(record) {
            return self.ignore(id, record, Remark::BeforeStart, effects);
        }
        if held.is_elsewhere(record) && held.is_begun_since(record) {
            // The id was used again, and of that life nothing but its end is heard.
            self.close(id, began(record), Ended::Reused, effects);
            return self.stop_of_unknown(id, record, effects);
        }
        if held.is_stop_of_another(record) {
            return self.note_past(id, record, began(record), effects);
        }
        let (stopped_at, heard_at) = (record.session_time, held.session_time);
        let overtaken = match (stopped_at, heard_at) {
            (Some(stopped), Some(heard)) => heard > stopped && record.event < held.last(),
            _ => record.event.plus(SAME_MOMENT) < held.last(),
        };
        if overtaken {
            // Row 9 the other way round: an interim update that is later than this Stop was heard before it.
            let state = self.suspect(id.nas, record, Suspicion::Revived);
            if let Some(held) = self.sessions.get_mut(id) {
                held.enter(state);
                held.remark(record.event, Remark::Overtaken, effects);
            }
            return;
        }
        self.tell_ends(id, record, effects);
        // Rows 10, 11 and 44.
        let (life, incarnation) = (held.tombstone_life(), held.opened());
        self.doubt_claims(id, record);
        self.close(id, record.event, Ended::Stopped, effects);
        self.bury(id, record, incarnation, true, life);
    }

    /// What a Stop tells of addresses that its session does not have: those that the Stop alone names were held until now,
    /// too, and those that were lost were held until then at the longest.
    fn tell_ends(&self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let at = record.event;
        for claim in record.claims.iter().filter(|claim| held.claim(claim.prefix, claim.ports).is_none()) {
            effects.push(Effect::PastHeld {
                session: held.session.key(),
                subscriber: held.session.subscriber(),
                place: held.place(claim.prefix, claim.ports),
                from: at,
                until: at,
                ended: true,
                inferred: false,
            });
        }
        for claim in held.claims.iter().filter(|claim| claim.hold == Hold::Lost) {
            let (session, place) = (held.session.key(), held.place(claim.prefix, claim.ports));
            effects.push(Effect::EndTold { session, place, at });
        }
    }

    fn stop_of_unknown(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        // Row 12. A Stop sent again with another delay is the same Stop.
        let known = self.tombstones.get(id);
        if known.is_some_and(|tomb| record.event <= tomb.stopped) {
            return;
        }
        let incarnation = match known {
            Some(tomb) if !self.is_life_unheard(id, record) => tomb.incarnation,
            _ => {
                self.tombstones.remove(id);
                self.note_past(id, record, began(record), effects);
                self.remember_claims(record, began(record), record.event);
                began(record)
            }
        };
        self.bury(id, record, incarnation, false, Tombstone::LIFE);
    }

    /// Whether nothing was heard of the life that a Stop ends, so that it is told of by that Stop.
    pub(super) fn is_life_unheard(&self, id: &Id, record: &Record) -> bool {
        let later = |tomb: &Tombstone| record.event > tomb.stopped && tomb.is_before(record);
        !self.sessions.contains(id) && self.tombstones.get(id).is_none_or(later)
    }

    /// Rows 8 and 17: a record that comes after its session's Stop tells what the session had, if that was not heard before.
    fn told_after_stop(&mut self, id: &Id, record: &Record) {
        let Some(tomb) = self.tombstones.get(id) else { return };
        let (known, stopped) = (tomb.known, tomb.stopped);
        self.doubt_claims(id, record);
        if !known {
            self.remember_claims(record, record.event, stopped);
        }
    }

    /// An interim update that was overtaken by a younger one, at its own time.
    pub(super) fn overtaken(&self, id: &Id, record: &Record) -> Option<Record> {
        let event = self.sessions.get(id)?.overtaken_at(record)?;
        Some(Record { event, ..record.clone() })
    }

    fn bury(&mut self, id: &Id, record: &Record, incarnation: Timestamp, known: bool, life: Duration) {
        let until = record.arrival.plus(life);
        let tombstone = Tombstone {
            stopped: record.event,
            arrival: record.arrival,
            session_time: record.session_time,
            incarnation,
            known,
            until,
        };
        self.tombstones.insert(id.clone(), tombstone);
        self.deadlines.push(until, Due::Tombstone(id.clone()));
    }

    /// Rows 25 and 26: everything in scope that was last heard before is in doubt until it reports again.
    pub(super) fn restart(&mut self, nas: u32, record: &Record, effects: &mut Vec<Effect>) {
        effects.push(Effect::Restarted { nas: record.nas.clone(), at: record.event });
        let why = Suspicion::Restarted { at: record.event };
        self.sessions.each_of_mut(nas, |held| {
            if held.last() < record.event && held.in_scope(&record.scope) {
                // Some NASes keep their sessions through it, and whoever tries accounting out sends one: what lives must
                // have had its turn to say so.
                let turn = held.reports_every().unwrap_or(Duration::ZERO);
                let close_at = record.arrival.plus(turn).plus(RESTART_GRACE);
                held.enter(State::Suspect { why, close_at });
            }
        });
        self.schedule_all_of(nas);
    }

    /// The doubt that a record leaves, and when it is given up unless something confirms it.
    fn suspect(&self, nas: u32, record: &Record, why: Suspicion) -> State {
        let patience = self.nases.get(nas as usize).map_or(RESTART_GRACE, |nas| {
            let interval = nas.shared.interval().unwrap_or(super::nas::INTERVAL_ASSUMED);
            super::nas::span(self.rules().interim_overdue, interval).max(super::nas::OVERDUE_AT_LEAST)
        });
        State::Suspect { why, close_at: record.arrival.plus(patience) }
    }

    fn open(&mut self, id: &Id, record: &Record, life: Life, state: State, effects: &mut Vec<Effect>) {
        let opened = life.opened;
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        let Some(nas) = self.nases.get(id.nas as usize) else { return };
        let saying = Saying {
            id: record.session_id.clone(),
            incarnation: opened,
            claimed: record.event,
            subscriber: record.subscriber.clone(),
            user_name: record.user_name.clone(),
            line: record.line.clone(),
            inside: record.inside.map(|inside| (realm, inside)),
        };
        let session = Session::new(&saying, Arc::clone(&nas.shared), record.event);
        let address_less = state == State::Active && record.claims.is_empty();
        let first = if address_less { State::Pending } else { state };
        let mut held = Held::new(session, first, life.after, self.scopes.shared(&record.scope));
        held.is_started = record.kind == Kind::Start || record.session_time.is_some();
        held.session_time = record.session_time;
        held.set_interval_of_nas(nas.shared.interval());
        held.nas_port = record.scope.nas_port;
        held.realm = realm;
        held.set_host(record.multi_session_id.as_ref());
        held.begin();
        effects.push(Effect::SessionOpened {
            session: held.session.key(),
            subscriber: record.subscriber.clone(),
            user_name: record.user_name.clone(),
            line: record.line.clone(),
            inside: record.inside.map(|inside| (realm, inside)),
            kept: record.kept.clone(),
        });
        self.tombstones.remove(id);
        self.sessions.insert(id, held);
        self.enrol(id);
        self.look_for_crowd(record.subscriber.as_ref(), effects);
        if opened < record.event {
            self.note_past(id, record, opened, effects);
        }
        self.announced(id, record);
        self.admit(id, record, effects);
        self.claim_listed(id, record.event, effects);
        let doubt = match state {
            State::Suspect { why: Suspicion::Revived, .. } => Remark::Revived,
            State::Suspect { why: Suspicion::DoubtfulStart { .. }, .. } => Remark::DoubtfulStart,
            _ => return,
        };
        if let Some(held) = self.sessions.get(id) {
            held.remark(record.event, doubt, effects);
        }
    }

    /// A record of a session that goes on.
    fn update(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id) else { return };
        let last = held.last();
        let newer = record.event >= last;
        if newer && held.is_named_anew(record) {
            self.rename(id, record, effects);
        }
        self.confirm(id, record, effects);
        self.announced(id, record);
        if newer {
            self.learned(id, record.event.since(last));
            if let Some(held) = self.sessions.get_mut(id) {
                held.session.see(record.event);
                held.set_interval_of_nas(held.session.nas().interval());
                held.session_time = record.session_time.or(held.session_time);
            }
        }
        if let Some(held) = self.sessions.get_mut(id)
            && held.state() == State::Pending
            && !record.claims.is_empty()
        {
            // Row 3. Before the claim: only an active session takes an address from its last owner.
            held.enter(State::Active);
        }
        self.adopt(id, record.multi_session_id.as_ref());
        if newer {
            self.change_realm(id, record, effects);
        }
        self.admit(id, record, effects);
        self.claim_listed(id, record.event, effects);
    }

    /// Ends a session's doubt where the record does.
    fn confirm(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get_mut(id) else { return };
        let State::Suspect { why, .. } = held.state() else { return };
        let newer = record.event > held.last();
        let confirmed = match why {
            Suspicion::Overdue | Suspicion::Unheard => newer,
            Suspicion::Restarted { at } => record.event > at && held.continues(record.session_time),
            Suspicion::Revived => newer && record.kind == Kind::Interim,
            Suspicion::DoubtfulStart { stopped } => {
                let begun_later = record.session_time.is_none() || began(record).plus(SAME_MOMENT) >= stopped;
                record.kind == Kind::Interim && record.event > stopped && begun_later
            }
        };
        if confirmed {
            held.enter(held.settled());
            held.remark(record.event, Remark::Confirmed, effects);
        }
    }

    /// Row 42: the same session under another name. Slots are replaced in place.
    fn rename(&mut self, id: &Id, record: &Record, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get_mut(id) else { return };
        let old = &held.session;
        let saying = Saying {
            subscriber: record.subscriber.clone(),
            user_name: record.user_name.clone(),
            line: record.line.clone(),
            ..old.saying()
        };
        let session = Session::new(&saying, Arc::clone(old.nas()), old.seen());
        session.set_active(held.is_active());
        let before = std::mem::replace(&mut held.session, session);
        effects.push(Effect::SubscriberChanged {
            session: held.session.key(),
            subscriber: record.subscriber.clone(),
            at: record.event,
        });
        self.leave_crowd(id, before.subscriber_octets());
        self.join_crowd(id, record.subscriber.as_ref().map(Name::octets));
        self.give_back_listed(id, &[], record.event, effects);
        self.look_for_crowd(record.subscriber.as_ref(), effects);
        self.repoint(id, record.event, effects);
    }

    fn announced(&mut self, id: &Id, record: &Record) {
        let Some(seconds) = record.interval.filter(|seconds| INTERVALS_BELIEVED.contains(seconds)) else {
            return;
        };
        self.set_interval(id, |interval| interval.announce(seconds));
        self.nas_interval(id.nas, seconds);
    }

    pub(super) fn learned(&mut self, id: &Id, gap: Duration) {
        let (before, known) = self.set_interval(id, |interval| interval.learn(gap));
        if let Some(seconds) = known.filter(|_| known != before) {
            self.nas_interval(id.nas, seconds);
        }
    }

    /// Changes a session's own interval and counts it among those that have one. What was known before, and is now.
    fn set_interval(&mut self, id: &Id, change: impl FnOnce(&mut Interval)) -> (Option<u32>, Option<u32>) {
        let Some(held) = self.sessions.get_mut(id) else { return (None, None) };
        let before = held.interval.known();
        change(&mut held.interval);
        let known = held.interval.known();
        if let Some(nas) = self.nases.get_mut(id.nas as usize)
            && before.is_none()
            && known.is_some()
        {
            nas.reporting = nas.reporting.saturating_add(1);
        }
        (before, known)
    }

    /// That a record changes nothing about what it claims, for whoever asks.
    fn ignore(&self, id: &Id, record: &Record, why: Remark, effects: &mut Vec<Effect>) {
        let incarnation = match (self.sessions.get(id), self.tombstones.get(id)) {
            (Some(held), _) => held.opened(),
            (None, Some(tomb)) => tomb.incarnation,
            (None, None) => return,
        };
        let (nas, id) = (record.nas.clone(), record.session_id.clone());
        let session = SessionKey { nas, id, incarnation };
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        effects.extend(record.claims.iter().map(|claim| {
            let place = Place::new(realm, claim.prefix, claim.ports);
            Effect::Noted { session: session.clone(), place, at: record.event, why }
        }));
    }

    /// A past that a record tells of without changing who owns what.
    pub(super) fn note_past(&mut self, id: &Id, record: &Record, from: Timestamp, effects: &mut Vec<Effect>) {
        self.doubt_claims(id, record);
        let living = self.sessions.get(id).filter(|held| held.same_identity(record));
        let living = living.map(|held| held.session.key());
        let (nas, session_id) = (&record.nas, &record.session_id);
        let key = || SessionKey { nas: nas.clone(), id: session_id.clone(), incarnation: from };
        match living {
            // Its Stop is all that is heard of it.
            None if record.kind == Kind::Stop => self.tell_life(key(), record, from, effects),
            living => self.tell_held(&living.unwrap_or_else(key), record, from, effects),
        }
    }

    /// What a record tells of a session that is over, and of which nothing else is heard: that it was, what it held, and
    /// how it ended.
    pub(super) fn tell_life(
        &self,
        session: SessionKey,
        record: &Record,
        from: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        effects.push(Effect::SessionOpened {
            session: session.clone(),
            subscriber: record.subscriber.clone(),
            user_name: record.user_name.clone(),
            line: record.line.clone(),
            inside: record.inside.map(|inside| (realm, inside)),
            kept: record.kept.clone(),
        });
        self.tell_held(&session, record, from, effects);
        let how = match record.kind {
            Kind::Stop => Ended::Stopped,
            // Nothing more was heard of it, or what was comes next.
            Kind::Interim => Ended::Expired,
            Kind::Start | Kind::On | Kind::Off => return,
        };
        effects.push(Effect::SessionClosed { session, at: record.event, last_seen: record.event, how });
    }

    /// What a record tells that its session held until then.
    pub(super) fn tell_held(
        &self,
        session: &SessionKey,
        record: &Record,
        from: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        effects.extend(record.claims.iter().map(|claim| Effect::PastHeld {
            session: session.clone(),
            subscriber: record.subscriber.clone(),
            place: Place::new(realm, claim.prefix, claim.ports),
            from,
            until: record.event,
            ended: record.kind == Kind::Stop,
            inferred: from < record.event,
        }));
    }
}
