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
