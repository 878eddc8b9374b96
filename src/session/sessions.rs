//! All living sessions, by NAS: what concerns one NAS must not cost a walk over those of the others.
//!
//! Knows: where a session is kept, and by which number. Must not know: anything about it but its name.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;

use super::held::{Held, Id};
use super::numbers::Numbers;
use super::ownership::id_of;
use super::slab::Slab;

/// Sessions by number of their NAS and Acct-Session-Id. The tables hold numbers alone: the name is the session's own.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    held: Slab<Held>,
    by_nas: Vec<Numbers>,
    /// Names come from outside: with a seed of this process nobody can choose such as fall together.
    hasher: RandomState,
    /// The number that was found last. What a record does asks for its session two dozen times in a row, and comparing one
    /// name costs less than hashing it and comparing it as well.
    last: AtomicU32,
}

impl Sessions {
    /// The number of a session, for as long as it lives.
    pub(super) fn number(&self, id: &Id) -> Option<u32> {
        Some(self.find(id)?.0)
    }

    fn find(&self, id: &Id) -> Option<(u32, &Held)> {
        let session = id.session.octets();
        let last = self.last.load(Ordering::Relaxed);
        let is_last =
            |held: &&Held| held.session.id_octets() == session && held.session.nas().number == id.nas;
        if let Some(held) = self.held.get(last).filter(is_last) {
            return Some((last, held));
        }
        let is_right =
            |number: u32| self.held.get(number).is_some_and(|held| held.session.id_octets() == session);
        let number = self.by_nas.get(id.nas as usize)?.find(self.hasher.hash_one(session), is_right)?;
        self.last.store(number, Ordering::Relaxed);
        Some((number, self.held.get(number)?))
    }

    pub(super) fn at(&self, number: u32) -> Option<&Held> {
        self.held.get(number)
    }

    pub(super) fn at_mut(&mut self, number: u32) -> Option<&mut Held> {
        self.held.get_mut(number)
    }

    pub(super) fn get(&self, id: &Id) -> Option<&Held> {
        Some(self.find(id)?.1)
    }

    pub(super) fn get_mut(&mut self, id: &Id) -> Option<&mut Held> {
        self.held.get_mut(self.number(id)?)
    }

    pub(super) fn contains(&self, id: &Id) -> bool {
        self.number(id).is_some()
    }

    /// Keeps a session under a name that no other one has.
    pub(super) fn insert(&mut self, id: &Id, held: Held) {
        let place = id.nas as usize;
        if self.by_nas.len() <= place {
            self.by_nas.resize_with(place.saturating_add(1), Numbers::default);
        }
        if let Some(number) = self.held.insert(held)
            && let Some(sessions) = self.by_nas.get_mut(place)
        {
            sessions.insert(self.hasher.hash_one(id.session.octets()), number);
            self.last.store(number, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Held> {
        let number = self.number(id)?;
        let hash = self.hasher.hash_one(id.session.octets());
        self.by_nas.get_mut(id.nas as usize)?.remove(hash, number);
        self.held.remove(number)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.values().map(|held| id_of(&held.session)).collect()
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        self.held.numbered().map(|(number, _)| number).collect()
    }

    pub(super) fn numbers_of(&self, nas: u32) -> Vec<u32> {
        self.by_nas.get(nas as usize).into_iter().flat_map(Numbers::iter).collect()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &Held)> {
        self.held.numbered()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.held.values_mut()
    }

    pub(super) fn each_of_mut(&mut self, nas: u32, mut change: impl FnMut(&mut Held)) {
        for number in self.by_nas.get(nas as usize).into_iter().flat_map(Numbers::iter) {
            if let Some(held) = self.held.get_mut(number) {
                change(held);
            }
        }
    }
}
