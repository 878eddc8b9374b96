//! What the facts of a prefix come to: who held it, from when, until when, and how sure that is.
//!
//! A late record corrects an inferred end openly: a hold gets the better end and keeps the one that was believed.
//!
//! Knows: which of two beliefs is the better one. Must not know: where facts are kept, or what is asked. Pure.

use std::time::Duration;

use super::facts::{Position, Told};
use super::rows::{How, What};
use crate::session::effect::Ended;
use crate::session::{Name, Ports, SessionKey, Timestamp};

/// Something held by a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hold {
    pub(super) session: SessionKey,
    pub(super) subscriber: Option<Name>,
    pub(super) ports: Ports,
    pub(super) from: Timestamp,
    /// `None`: nothing was told of its end.
    pub(super) until: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) how: Option<How>,
    /// The end that was believed first.
    pub(super) was_until: Option<Timestamp>,
    pub(super) was_how: Option<How>,
    /// Where it was told first.
    pub(super) position: Position,
}

impl Hold {
    pub(super) fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| until > at)
    }

    fn is_inferred(&self) -> bool {
        self.how.is_some_and(|how| !how.is_exact())
    }

    fn end(&mut self, until: Timestamp, last_seen: Timestamp, how: How) {
        // An end before the beginning (clocks) still is an end: left open, it would accuse for ever.
        self.until = Some(until.max(self.from));
        self.last_seen = Some(last_seen.max(self.from));
        self.how = Some(how);
    }

    /// A late word from a session whose end was inferred. Its first belief is the one that is kept.
    fn correct(&mut self, until: Timestamp, ended: bool) {
        let end = until.max(self.from);
        if ended {
            self.believe();
            (self.until, self.last_seen) = (Some(end), Some(end));
            self.how = Some(How::Ended(Ended::Stopped));
            return;
        }
        if self.last_seen.is_none_or(|last_seen| until > last_seen) {
            self.last_seen = Some(until);
        }
        if self.until.is_some_and(|known| until > known) {
            self.believe();
            self.until = Some(end);
        }
    }

    fn believe(&mut self) {
        self.was_until = self.was_until.or(self.until);
        self.was_how = self.was_how.or(self.how);
    }
}

/// What is told of a past.
#[derive(Clone, Copy)]
struct Past {
    from: Timestamp,
    until: Timestamp,
    ended: bool,
    /// Only the session time tells of it.
    inferred: bool,
}

/// All holds of one prefix that its facts come to, in the order in which they were told.
pub(super) fn holds<'a>(facts: impl Iterator<Item = (Position, &'a Told)>) -> Vec<Hold> {
    let mut all = Holds::default();
    for (position, told) in facts {
        let Some(session) = &told.session else { continue };
        match told.what {
            What::Bound => all.bound(position, session, told),
            What::Unbound { how, last_seen } => {
                if let Some(hold) = all.open(session, told.ports) {
                    hold.end(told.at, last_seen, How::Ended(how));
                    all.ended = Some(position);
                }
            }
            What::Past { from, ended, inferred } => {
                all.past(position, session, told, Past { from, until: told.at, ended, inferred });
            }
            What::EndTold => all.end_told(session, told.ports, told.at),
            _ => {}
        }
    }
    all.holds
}

#[derive(Default)]
struct Holds {
    holds: Vec<Hold>,
    /// Where the last end was told.
    ended: Option<Position>,
}

impl Holds {
    fn open(&mut self, session: &SessionKey, ports: Ports) -> Option<&mut Hold> {
        let mut newest_first = self.holds.iter_mut().rev();
        newest_first.find(|hold| hold.until.is_none() && hold.ports == ports && hold.session == *session)
    }

    fn bound(&mut self, position: Position, session: &SessionKey, told: &Told) {
        // What is held already stays as it is.
        if self.open(session, told.ports).is_some() {
            return;
        }
        let mut of_session =
            self.holds.iter_mut().filter(|hold| hold.ports == told.ports && hold.session == *session);
        // One that begins at the same moment is this very one, unless the address came and went within it.
        if let Some(known) = of_session.find(|hold| hold.from == told.at) {
            if known.until.is_some_and(|until| until <= known.from) {
                (known.until, known.last_seen, known.how) = (None, None, None);
                known.subscriber.clone_from(&told.subscriber);
            }
            return;
        }
        // Another name of the session is told as an end and a beginning by one entry.
        let within_entry = self.ended.is_some_and(|ended| ended.sequence == position.sequence);
        if within_entry
            && let Some(before) = self.holds.iter_mut().find(|hold| {
                hold.ports == told.ports && hold.session == *session && hold.until == Some(told.at)
            })
            && before.how == Some(How::Ended(Ended::Moved))
            && before.subscriber != told.subscriber
        {
            before.how = Some(How::Renamed);
        }
        self.holds.push(Hold::begun(position, session, told));
    }

    fn past(&mut self, position: Position, session: &SessionKey, told: &Told, past: Past) {
        let known = self.known(session, told.ports, past.until);
        match known {
            // The same Stop again, out of a file.
            Some(known) if past.inferred && known.how == Some(How::StopAlone) => {}
            Some(known) if known.is_inferred() => known.correct(past.until, past.ended),
            Some(known) if known.until.is_none_or(|until| until >= past.from) => {}
            _ => {
                let is_there = |hold: &Hold| {
                    hold.session == *session && hold.ports == told.ports && hold.from == past.from
                };
                if self.holds.iter().any(is_there) {
                    return;
                }
                // Where only the session time tells of it, nothing but its last moment was ever said.
                let (how, last_seen) = match (past.inferred, past.ended) {
                    (true, true) => (How::StopAlone, past.from),
                    (true, false) => (How::Ended(Ended::Expired), past.from),
                    (false, true) => (How::Ended(Ended::Stopped), past.until),
                    (false, false) => (How::Ended(Ended::Expired), past.until),
                };
                let begun = Hold::begun(position, session, told);
                self.holds.push(Hold {
                    from: past.from,
                    // Half-open, so a moment in which it was held is a millisecond long.
                    until: Some(past.until.max(past.from.plus(Duration::from_millis(1)))),
                    last_seen: Some(last_seen),
                    how: Some(how),
                    ..begun
                });
            }
        }
    }

    /// The end of a session that had lost a place: it had it until then, unless it was lost before; then it lived until it
    /// was.
    fn end_told(&mut self, session: &SessionKey, ports: Ports, at: Timestamp) {
        let Some(known) = self.known(session, ports, at).filter(|known| known.is_inferred()) else { return };
        match known.until.filter(|until| *until <= at) {
            Some(lost) => known.correct(lost, false),
            None => known.correct(at, true),
        }
    }

    /// The last hold of a session that begins no later than that.
    fn known(&mut self, session: &SessionKey, ports: Ports, until: Timestamp) -> Option<&mut Hold> {
        let of_session = self.holds.iter_mut().filter(|hold| hold.ports == ports && hold.session == *session);
        of_session.filter(|hold| hold.from <= until).max_by_key(|hold| hold.from)
    }
}

impl Hold {
    fn begun(position: Position, session: &SessionKey, told: &Told) -> Hold {
        Hold {
            session: session.clone(),
            subscriber: told.subscriber.clone(),
            ports: told.ports,
            from: told.at,
            until: None,
            last_seen: None,
            how: None,
            was_until: None,
            was_how: None,
            position,
        }
    }
}
