//! How many sessions each subscriber has.
//!
//! Knows: who has more than one. Must not know: when that is too many, or what a session is.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::Name;
use super::sessions::Sessions;

/// Subscribers by their sessions. Nearly all have one, which knows whose it is.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    /// A session of each subscriber.
    first: HashTable<u32>,
    /// The others of those who have several.
    others: HashMap<Name, HashSet<u32>>,
    /// Names come from outside: with a seed of this process nobody can choose such as fall together.
    hasher: RandomState,
}

impl Crowds {
    /// The subscriber has the living session of this number from here on.
    pub(super) fn join(&mut self, number: u32, subscriber: &[u8], sessions: &Sessions) {
        let hash = self.hasher.hash_one(subscriber);
        if self.first.find(hash, |first| whose(*first, sessions) == subscriber).is_some() {
            self.others.entry(Name::new(subscriber)).or_default().insert(number);
            return;
        }
        let hasher = &self.hasher;
        self.first.insert_unique(hash, number, |first| hasher.hash_one(whose(*first, sessions)));
    }

    /// The reverse; the session may be gone by now, or another one's.
    pub(super) fn leave(&mut self, number: u32, subscriber: &[u8]) {
        let hash = self.hasher.hash_one(subscriber);
        let mut others = self.others.get_mut(subscriber);
        let was_first = others.as_mut().is_none_or(|others| !others.remove(&number));
        if was_first && let Ok(mut first) = self.first.find_entry(hash, |one| *one == number) {
            let another = others.as_ref().and_then(|others| others.iter().next().copied());
            match another.filter(|another| others.as_mut().is_some_and(|others| others.remove(another))) {
                Some(another) => *first.get_mut() = another,
                None => {
                    first.remove();
                }
            }
        }
        if others.is_some_and(|others| others.is_empty()) {
            self.others.remove(subscriber);
        }
    }

    pub(super) fn count(&self, subscriber: &[u8], sessions: &Sessions) -> u32 {
        let hash = self.hasher.hash_one(subscriber);
        let first = self.first.find(hash, |first| whose(*first, sessions) == subscriber);
        let others = self.others.get(subscriber).map_or(0, HashSet::len);
        u32::try_from(others.saturating_add(first.into_iter().count())).unwrap_or(u32::MAX)
    }
}

fn whose(number: u32, sessions: &Sessions) -> &[u8] {
    sessions.at(number).and_then(|held| held.session.subscriber_octets()).unwrap_or_default()
}
