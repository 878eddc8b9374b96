//! All slots by place, for one writer and many readers; at a start for two writers, of different places.
//!
//! Knows: how slots are kept in little room, and who waits for whom. Must not know: what a slot means.

use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;

use super::Place;
use super::numbers::Numbers;
use super::rows::{Row, Unusual, Usual};
use super::slab::Slab;
use super::slot::Slot;

/// A reader waits for the writer only where both want the same part, and for one slot's time.
const PARTS: usize = 64;

/// Slots by place.
pub(super) struct Slots {
    parts: [RwLock<Part>; PARTS],
    /// Addresses come from outside: with a seed of this process nobody can choose such as fall together.
    hasher: RandomState,
}

/// Rows lie close together, and the table that finds them, half empty as it may be, holds no more than their numbers.
#[derive(Default)]
struct Part {
    usual: Slab<Usual>,
    unusual: Slab<Unusual>,
    table: Numbers,
}

/// Where a row is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Number(u32);

/// The bit that tells the kinds of rows apart.
const UNUSUAL: u32 = 1 << 31;

impl Default for Slots {
    fn default() -> Self {
        Slots { parts: std::array::from_fn(|_| RwLock::default()), hasher: RandomState::default() }
    }
}

impl Slots {
    /// What stands there at this moment.
    pub(super) fn get(&self, place: Place) -> Option<Slot> {
        let hash = self.hasher.hash_one(place);
        let part = self.part(hash);
        part.slot(part.number(hash, place)?)
    }

    /// Looks at what stands there without taking a copy; nothing may be put meanwhile.
    pub(super) fn see<T>(&self, place: Place, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        let hash = self.hasher.hash_one(place);
        let part = self.part(hash);
        let number = part.number(hash, place)?;
        match number.0 & UNUSUAL {
            0 => part.usual.get(number.0).map(|row| look(&row.slot())),
            _ => part.unusual.get(number.0 ^ UNUSUAL).map(|row| row.see(look)),
        }
    }

    pub(super) fn contains(&self, place: Place) -> bool {
        let hash = self.hasher.hash_one(place);
        self.part(hash).number(hash, place).is_some()
    }

    /// Readers see the old slot or the new one, never nothing. Where there was none, `beforehand` is done before any reader
    /// can see this one.
    pub(super) fn put(&self, place: Place, slot: Slot, beforehand: impl FnOnce()) {
        let hash = self.hasher.hash_one(place);
        let mut part = self.part_mut(hash);
        let known = part.number(hash, place);
        if known.is_none() {
            beforehand();
        }
        let row = Row::new(place, slot);
        let row = match known {
            Some(known) => match part.replace(known, row) {
                None => return,
                Some(another_kind) => another_kind,
            },
            None => row,
        };
        let Some(number) = part.insert(row) else { return };
        match known {
            Some(known) => {
                part.table.replace(hash, known.0, number.0);
                part.discard(known);
            }
            None => part.table.insert(hash, number.0),
        }
    }

    /// Whether there was something.
    pub(super) fn remove(&self, place: Place) -> bool {
        let hash = self.hasher.hash_one(place);
        let mut part = self.part_mut(hash);
        let Some(number) = part.number(hash, place) else { return false };
        part.table.remove(hash, number.0);
        part.discard(number);
        true
    }

    pub(super) fn each(&self, mut visit: impl FnMut(Place, &Slot)) {
        for part in &self.parts {
            let part = part.read().unwrap_or_else(PoisonError::into_inner);
            part.usual.values().for_each(|row| visit(row.place(), &row.slot()));
            part.unusual.values().for_each(|row| visit(row.place(), &row.slot()));
        }
    }

    /// Each slot of which more is known than that its owner's session claimed it when it claimed most of what it has.
    pub(super) fn each_unusual(&self, mut visit: impl FnMut(Place, &Slot)) {
        for part in &self.parts {
            let part = part.read().unwrap_or_else(PoisonError::into_inner);
            part.unusual.values().for_each(|row| visit(row.place(), &row.slot()));
        }
    }

    pub(super) fn reserve(&self, more: usize) {
        for part in &self.parts {
            let mut part = part.write().unwrap_or_else(PoisonError::into_inner);
            part.table.reserve(more.div_ceil(PARTS));
        }
    }

    // Whoever panicked while holding a part has changed it wholly or not at all.
    fn part(&self, hash: u64) -> RwLockReadGuard<'_, Part> {
        self.lock_of(hash).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn part_mut(&self, hash: u64) -> RwLockWriteGuard<'_, Part> {
        self.lock_of(hash).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part's table takes both halves of a hash together, so that what all of a part share says little there.
    fn lock_of(&self, hash: u64) -> &RwLock<Part> {
        let [.., middle, _, _, _, _] = hash.to_be_bytes();
        let [first, ..] = &self.parts;
        self.parts.get(usize::from(middle) % PARTS).unwrap_or(first)
    }
}

impl Part {
    fn number(&self, hash: u64, place: Place) -> Option<Number> {
        let is_right = |number: u32| match number & UNUSUAL {
            0 => self.usual.get(number).is_some_and(|row| row.is_at(&place)),
            _ => self.unusual.get(number ^ UNUSUAL).is_some_and(|row| row.is_at(&place)),
        };
        self.table.find(hash, is_right).map(Number)
    }

    fn slot(&self, number: Number) -> Option<Slot> {
        match number.0 & UNUSUAL {
            0 => self.usual.get(number.0).map(Usual::slot),
            _ => self.unusual.get(number.0 ^ UNUSUAL).map(Unusual::slot),
        }
    }

    fn insert(&mut self, row: Row) -> Option<Number> {
        match row {
            Row::Usual(row) => self.usual.insert(row).map(Number),
            Row::Unusual(row) => self.unusual.insert(row).map(|number| Number(number | UNUSUAL)),
        }
    }

    /// Puts a row where one of its kind stands. Otherwise it is handed back.
    fn replace(&mut self, number: Number, row: Row) -> Option<Row> {
        match (row, number.0 & UNUSUAL) {
            (Row::Usual(row), 0) => *self.usual.get_mut(number.0)? = row,
            (Row::Unusual(row), UNUSUAL) => *self.unusual.get_mut(number.0 ^ UNUSUAL)? = row,
            (row, _) => return Some(row),
        }
        None
    }

    fn discard(&mut self, number: Number) {
        match number.0 & UNUSUAL {
            0 => drop(self.usual.remove(number.0)),
            _ => drop(self.unusual.remove(number.0 ^ UNUSUAL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::Freed;
    use super::super::{Realm, Timestamp};
    use super::*;

    #[test]
    fn a_slot_is_found_until_it_is_removed_and_so_are_the_others() {
        let slots = Slots::default();
        let place = |number: u32| {
            Place::whole(Realm::PUBLIC, std::net::IpAddr::from(std::net::Ipv4Addr::from(number)).into())
        };
        let freed = |number: u32| Slot::Freed(Box::new(Freed::at(Timestamp::from_millis(number.into()))));
        let claimed = |number| match slots.get(place(number)) {
            Some(Slot::Freed(freed)) => Some(freed.claimed.millis()),
            _ => None,
        };
        (0..5000).for_each(|number| slots.put(place(number), freed(number), || {}));
        slots.put(place(7), freed(99), || panic!("it stands there already"));
        assert!(slots.remove(place(8)) && !slots.remove(place(8)));
        assert_eq!([6, 7, 8, 9].map(claimed), [Some(6), Some(99), None, Some(9)]);
        assert!((9..5000).all(|number| claimed(number) == Some(number.into())), "however often it grew");
        assert!(slots.contains(place(9)) && !slots.contains(place(8)));
        let mut seen = 0;
        slots.each(|_, _| seen += 1);
        assert_eq!(seen, 4999);
    }
}
