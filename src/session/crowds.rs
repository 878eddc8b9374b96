//! How many sessions each subscriber has.
//!
//! Knows: who has more than one. Must not know: when that is too many, or what a session is.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::HashMap;
use foldhash::fast::RandomState;

use super::Name;
use super::numbers::Numbers;
use super::sessions::Sessions;

/// Subscribers by their sessions. Nearly all have one, which knows whose it is.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    /// A session of each subscriber.
    first: Numbers,
    /// The others of those who have several.
    others: HashMap<Name, HashSet<u32>>,
    /// Names come from outside: with a seed of this process nobody can choose such as fall together.
    hasher: RandomState,
}

impl Crowds {
    /// Makes room in an empty table for so many subscribers.
    pub(super) fn reserve(&mut self, subscribers: usize) {
        self.first = Numbers::with_capacity(subscribers);
    }

    /// The subscriber has the living session of this number from here on.
    pub(super) fn join(&mut self, number: u32, subscriber: &[u8], sessions: &Sessions) {
        let hash = self.hasher.hash_one(subscriber);
        if self.first.find(hash, |first| whose(first, sessions) == subscriber).is_some() {
            self.others.entry(Name::new(subscriber)).or_default().insert(number);
            return;
        }
        self.first.insert(hash, number);
    }

    /// The reverse; the session may be gone by now, or another one's.
    pub(super) fn leave(&mut self, number: u32, subscriber: &[u8]) {
        let hash = self.hasher.hash_one(subscriber);
        let mut others = self.others.get_mut(subscriber);
        let was_first = others.as_mut().is_none_or(|others| !others.remove(&number));
        if was_first && self.first.find(hash, |one| one == number).is_some() {
            let another = others.as_ref().and_then(|others| others.iter().next().copied());
            match another.filter(|another| others.as_mut().is_some_and(|others| others.remove(another))) {
                Some(another) => self.first.replace(hash, number, another),
                None => self.first.remove(hash, number),
            };
        }
        if others.is_some_and(|others| others.is_empty()) {
            self.others.remove(subscriber);
        }
    }

    /// The numbers of the subscriber's sessions, in no order.
    pub(super) fn numbers(&self, subscriber: &[u8], sessions: &Sessions) -> Vec<u32> {
        let hash = self.hasher.hash_one(subscriber);
        let first = self.first.find(hash, |first| whose(first, sessions) == subscriber);
        let others = self.others.get(subscriber).into_iter().flatten().copied();
        first.into_iter().chain(others).collect()
    }

    pub(super) fn count(&self, subscriber: &[u8], sessions: &Sessions) -> u32 {
        let hash = self.hasher.hash_one(subscriber);
        let first = self.first.find(hash, |first| whose(first, sessions) == subscriber);
        let others = self.others.get(subscriber).map_or(0, HashSet::len);
        u32::try_from(others.saturating_add(first.into_iter().count())).unwrap_or(u32::MAX)
    }
}

fn whose(number: u32, sessions: &Sessions) -> &[u8] {
    sessions.at(number).and_then(|held| held.session.subscriber_octets()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::alive::{Saying, Session};
    use super::super::event::Scope;
    use super::super::held::{Held, Id, State};
    use super::super::nas::NasState;
    use super::super::{Line, Timestamp};
    use super::*;

    /// Sessions of these subscribers, in order of their numbers.
    fn sessions(subscribers: &[&str]) -> Sessions {
        let name = Name::from("bras1");
        let nas = NasState::new(0, name.clone(), name, Timestamp::EARLIEST, Timestamp::EARLIEST).shared;
        let mut sessions = Sessions::default();
        for (place, subscriber) in subscribers.iter().enumerate() {
            let id = Name::from(format!("{place}").as_str());
            let saying = Saying {
                id: id.clone(),
                incarnation: Timestamp::EARLIEST,
                claimed: Timestamp::EARLIEST,
                subscriber: Some(Name::from(*subscriber)),
                user_name: None,
                line: Line::default(),
                inside: None,
            };
            let session = Session::new(&saying, Arc::clone(&nas), Timestamp::EARLIEST);
            let scope = Arc::new(Scope::default());
            let held = Held::new(session, State::Pending, Timestamp::EARLIEST, scope);
            sessions.insert(&Id { nas: 0, session: id }, held);
        }
        sessions
    }

    #[test]
    fn each_subscribers_sessions_are_counted_whichever_goes_first() {
        let sessions = sessions(&["alice", "bob", "alice", "alice"]);
        for order in [[0, 2, 3], [3, 2, 0], [2, 0, 3]] {
            let mut crowds = Crowds::default();
            let count = |crowds: &Crowds, name: &str| crowds.count(name.as_bytes(), &sessions);
            for (number, name) in [(0, "alice"), (1, "bob"), (2, "alice"), (3, "alice")] {
                crowds.join(number, name.as_bytes(), &sessions);
            }
            assert_eq!((count(&crowds, "alice"), count(&crowds, "bob"), count(&crowds, "carol")), (3, 1, 0));
            for (number, left) in order.into_iter().zip([2, 1, 0]) {
                crowds.leave(number, b"alice");
                assert_eq!((count(&crowds, "alice"), count(&crowds, "bob")), (left, 1), "{order:?}");
            }
            assert!(crowds.others.is_empty() && crowds.first.len() == 1, "nothing is left behind");
        }
    }
}
