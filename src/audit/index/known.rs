//! What the writer remembers of the rows that it wrote, so that it need not ask the file for them again.
//!
//! Knows: that a row which was seen in the file stays there. Must not know: statements. It may forget anything at any time, and
//! must forget all when a transaction is rolled back.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::audit::schema::{By, Key};
use crate::session::SessionKey;

/// So many sessions are remembered, about 100 octets each: those that report within one transaction or the next.
const SESSIONS_MAX: usize = 50_000;

/// What is known of the file.
#[derive(Debug, Default)]
pub(super) struct Known {
    sessions: RefCell<HashMap<SessionKey, i64>>,
    lengths: RefCell<HashSet<(By, u16, u8)>>,
    steps: RefCell<Steps>,
}

/// What an entry told so far.
#[derive(Debug, Default)]
struct Steps {
    sequence: u64,
    /// Whether all that it told is here.
    whole: bool,
    /// The next step in the story of each prefix.
    next: HashMap<(u16, Key), i64>,
}

impl Known {
    pub(super) fn session(&self, key: &SessionKey) -> Option<i64> {
        self.sessions.borrow().get(key).copied()
    }

    pub(super) fn remember_session(&self, key: &SessionKey, id: i64) {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear();
        }
        sessions.insert(key.clone(), id);
    }

    /// Whether a prefix length was not known to be in use until now.
    pub(super) fn is_new_length(&self, by: By, realm: u16, length: u8) -> bool {
        self.lengths.borrow_mut().insert((by, realm, length))
    }

    /// The next step of this entry in the story of this prefix. Of one after `applied` nothing is in the file yet; `None`: the
    /// file must be asked.
    pub(super) fn step(&self, sequence: u64, applied: u64, realm: u16, key: Key) -> Option<i64> {
        let mut steps = self.steps.borrow_mut();
        if steps.sequence != sequence {
            steps.sequence = sequence;
            steps.whole = sequence > applied;
            steps.next.clear();
        }
        if !steps.whole {
            return None;
        }
        let next = steps.next.entry((realm, key)).or_default();
        let step = *next;
        *next = step.saturating_add(1);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Name, Timestamp};

    #[test]
    fn the_steps_of_an_entry_are_counted_and_those_of_one_that_was_applied_before_are_asked_for() {
        let one = Key::of("192.0.2.1/32".parse().unwrap());
        let other = Key::of("192.0.2.2/32".parse().unwrap());
        let known = Known::default();
        let told = [(8, 7, one), (8, 7, one), (8, 7, other), (9, 7, one)];
        let steps = told.map(|(sequence, applied, key)| known.step(sequence, applied, 0, key));
        assert_eq!(steps, [Some(0), Some(1), Some(0), Some(0)]);
        assert_eq!(known.step(9, 9, 0, one), Some(1), "it goes on in the next transaction");
        assert_eq!(Known::default().step(9, 9, 0, one), None);
    }

    #[test]
    fn sessions_are_forgotten_rather_than_gathered() {
        let known = Known::default();
        let key = |id: usize| SessionKey {
            nas: Name::from("bras1"),
            id: Name::from(id.to_string().as_str()),
            incarnation: Timestamp::from_seconds(0),
        };
        (0..SESSIONS_MAX).for_each(|id| known.remember_session(&key(id), 1));
        assert_eq!(known.session(&key(0)), Some(1));
        known.remember_session(&key(SESSIONS_MAX), 2);
        assert_eq!((known.session(&key(0)), known.session(&key(SESSIONS_MAX))), (None, Some(2)));
    }
}
