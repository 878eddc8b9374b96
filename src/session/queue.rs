//! Deadlines in order of their time.
//!
//! Knows: what is due first. Must not know: what happens then.
//!
//! Millions of sessions wait for theirs: one is queued by its number, and told by its name. Of those that are due at one
//! moment the names decide who is first, not the numbers, which differ after a restart.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::held::Id;
use super::ownership::id_of;
use super::sessions::Sessions;
use super::{Place, Timestamp};

/// What is looked at when its time comes. The order settles which of two deadlines at one moment is first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Nas(u32),
    HoldOver(u32),
    Session(Id),
    Slot(Place),
    Tombstone(Id),
}

/// What is due, and when.
#[derive(Debug)]
pub(super) struct Queue {
    sessions: BinaryHeap<Reverse<(Timestamp, u32)>>,
    /// Sessions that are all due at `moment`, the first one last.
    at_once: Vec<(Id, u32)>,
    moment: Timestamp,
    others: BinaryHeap<Reverse<(Timestamp, Due)>>,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            sessions: BinaryHeap::new(),
            at_once: Vec::new(),
            moment: Timestamp::EARLIEST,
            others: BinaryHeap::new(),
        }
    }
}

impl Queue {
    /// Queues the session of this number.
    pub(super) fn push_session(&mut self, at: Timestamp, number: u32) {
        self.sessions.push(Reverse((at, number)));
    }

    /// Queues anything but a session.
    pub(super) fn push(&mut self, at: Timestamp, due: Due) {
        self.others.push(Reverse((at, due)));
    }

    /// When something is due next, at the earliest: what was put off since is found then.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let other = self.others.peek().map(|Reverse((time, _))| *time);
        self.next_session().into_iter().chain(other).min()
    }

    fn next_session(&self) -> Option<Timestamp> {
        let queued = self.sessions.peek().map(|Reverse((time, _))| *time);
        let at_once = self.at_once.last().map(|_| self.moment);
        queued.into_iter().chain(at_once).min()
    }

    /// The next deadline, when its time has come.
    pub(super) fn pop(&mut self, at: Timestamp, sessions: &Sessions) -> Option<(Timestamp, Due)> {
        loop {
            let session = self.next_session().filter(|time| *time <= at);
            let other = self.others.peek().filter(|Reverse((time, _))| *time <= at);
            match (session, other) {
                (None, None) => return None,
                (Some(session), other) => {
                    let before = |due: &Due| matches!(due, Due::Nas(_) | Due::HoldOver(_));
                    let is_first = |Reverse((time, due)): &Reverse<(Timestamp, Due)>| {
                        *time < session || (*time == session && before(due))
                    };
                    if other.is_some_and(is_first) {
                        return self.others.pop().map(|Reverse(next)| next);
                    }
                    self.gather(session, sessions);
                    // All that were gathered may have been put off.
                    if let Some((id, _)) = self.at_once.pop() {
                        return Some((session, Due::Session(id)));
                    }
                }
                (None, Some(_)) => return self.others.pop().map(|Reverse(next)| next),
            }
        }
    }

    /// Puts those who are due at this moment, the next one, in order.
    fn gather(&mut self, moment: Timestamp, sessions: &Sessions) {
        if moment != self.moment {
            let later = self.moment;
            self.sessions.extend(self.at_once.drain(..).map(|(_, number)| Reverse((later, number))));
            self.moment = moment;
        }
        let before = self.at_once.len();
        while let Some(&Reverse((time, number))) = self.sessions.peek()
            && time == moment
        {
            self.sessions.pop();
            // Whoever is due at another moment by now is queued for that, and so is whoever has the number of one that is gone.
            if let Some(held) = sessions.at(number).filter(|held| held.due == moment) {
                self.at_once.push((id_of(&held.session), number));
            }
        }
        if self.at_once.len() > before {
            self.at_once.sort_unstable_by(|a, b| b.cmp(a));
            self.at_once.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::alive::{Saying, Session};
    use super::super::event::Scope;
    use super::super::held::{Held, State};
    use super::super::nas::NasState;
    use super::super::{Line, Name};
    use super::*;

    /// Sessions of these ids, of one NAS, that have nothing and are due at these moments.
    fn sessions(due: &[(&str, i64)]) -> Sessions {
        let name = Name::from("bras1");
        let nas = NasState::new(0, name.clone(), name, Timestamp::EARLIEST, Timestamp::EARLIEST).shared;
        let mut sessions = Sessions::default();
        for (id, at) in due {
            let saying = Saying {
                id: Name::from(*id),
                incarnation: Timestamp::EARLIEST,
                claimed: Timestamp::EARLIEST,
                subscriber: Some(Name::from("alice")),
                user_name: None,
                line: Line::default(),
                inside: None,
            };
            let session = Session::new(&saying, Arc::clone(&nas), Timestamp::EARLIEST);
            let scope = Arc::new(Scope::default());
            let mut held = Held::new(session, State::Pending, Timestamp::EARLIEST, scope);
            held.due = Timestamp::from_millis(*at);
            sessions.insert(&Id { nas: 0, session: Name::from(*id) }, held);
        }
        sessions
    }

    fn id(session: &str) -> Id {
        Id { nas: 0, session: Name::from(session) }
    }

    /// What is due until then, in order: the names of sessions, and the moments.
    fn popped(queue: &mut Queue, sessions: &Sessions, until: i64) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((time, due)) = queue.pop(Timestamp::from_millis(until), sessions) {
            let what = match due {
                Due::Session(id) => id.session.to_string(),
                Due::Nas(number) => format!("nas {number}"),
                other => format!("{other:?}"),
            };
            told.push(format!("{} {what}", time.millis()));
        }
        told
    }

    fn queued(sessions: &Sessions, ids: &[(&str, i64)]) -> Queue {
        let mut queue = Queue::default();
        for (session, at) in ids {
            let number = sessions.number(&id(session)).unwrap();
            queue.push_session(Timestamp::from_millis(*at), number);
        }
        queue
    }

    #[test]
    fn of_those_that_are_due_at_once_the_names_decide_whatever_the_numbers_are() {
        for due in [[("b", 5), ("a", 5), ("c", 4)], [("c", 4), ("a", 5), ("b", 5)]] {
            let sessions = sessions(&due);
            let mut queue = queued(&sessions, &due);
            queue.push(Timestamp::from_millis(5), Due::Nas(7));
            queue.push(Timestamp::from_millis(5), Due::Tombstone(id("a")));
            assert_eq!(queue.next(), Some(Timestamp::from_millis(4)));
            assert_eq!(popped(&mut queue, &sessions, 3), [""; 0]);
            let tombstone = format!("5 {:?}", Due::Tombstone(id("a")));
            assert_eq!(popped(&mut queue, &sessions, 9), ["4 c", "5 nas 7", "5 a", "5 b", &tombstone]);
            assert_eq!(queue.next(), None);
        }
    }

    #[test]
    fn whoever_was_put_off_or_is_gone_is_not_due_and_nobody_twice() {
        let due = [("a", 9), ("b", 5), ("c", 5)];
        let mut sessions = sessions(&due);
        let mut queue = queued(&sessions, &[("a", 5), ("b", 5), ("b", 5), ("c", 5)]);
        sessions.remove(&id("c"));
        assert_eq!(popped(&mut queue, &sessions, 8), ["5 b"]);
    }

    #[test]
    fn what_is_queued_meanwhile_for_the_same_moment_or_an_earlier_one_has_its_turn() {
        let due = [("a", 5), ("b", 5), ("c", 5), ("d", 4)];
        let sessions = sessions(&due);
        let mut queue = queued(&sessions, &[("a", 5), ("c", 5)]);
        let at = Timestamp::from_millis(9);
        assert_eq!(queue.pop(at, &sessions), Some((Timestamp::from_millis(5), Due::Session(id("a")))));
        queue.push_session(Timestamp::from_millis(5), sessions.number(&id("b")).unwrap());
        queue.push_session(Timestamp::from_millis(4), sessions.number(&id("d")).unwrap());
        assert_eq!(popped(&mut queue, &sessions, 9), ["4 d", "5 b", "5 c"]);
    }
}
