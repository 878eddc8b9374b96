//! A table that finds numbers by what they stand for.
//!
//! Knows: a part of each number's hash, so that growing looks at nothing else: asking what millions of numbers stand for
//! would wait for memory at each of them, and everybody else for that. Must not know: what they stand for.

use hashbrown::HashTable;

/// Numbers by hash.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    table: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    hash: Half,
    number: u32,
}

/// What is kept of a hash. The table wants its lowest bits and its highest seven, and up to thirty million entries those are
/// not the same ones of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Half(u32);

impl Half {
    fn of(hash: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "half of it is what is wanted")]
        Half((hash ^ (hash >> 32)) as u32)
    }

    fn whole(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

impl Numbers {
    /// An empty table with room for so many.
    pub(super) fn with_capacity(numbers: usize) -> Self {
        Numbers { table: HashTable::with_capacity(numbers) }
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.table.reserve(more, |entry| entry.hash.whole());
    }

    /// The number with this hash that is the right one.
    pub(super) fn find(&self, hash: u64, is_right: impl Fn(u32) -> bool) -> Option<u32> {
        let half = Half::of(hash);
        let found = self.table.find(half.whole(), |entry| entry.hash == half && is_right(entry.number));
        found.map(|entry| entry.number)
    }

    /// A number that is not in it.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        let half = Half::of(hash);
        self.table.insert_unique(half.whole(), Entry { hash: half, number }, |entry| entry.hash.whole());
    }

    /// Puts another number in the place of one. Whether that was there.
    pub(super) fn replace(&mut self, hash: u64, known: u32, number: u32) -> bool {
        let half = Half::of(hash);
        let known = Entry { hash: half, number: known };
        let found = self.table.find_mut(half.whole(), |entry| *entry == known);
        found.map(|entry| entry.number = number).is_some()
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, hash: u64, number: u32) -> bool {
        let half = Half::of(hash);
        let known = Entry { hash: half, number };
        self.table.find_entry(half.whole(), |entry| *entry == known).map(|entry| entry.remove()).is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.table.iter().map(|entry| entry.number)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn each_number_is_found_by_its_hash_and_by_being_the_right_one() {
        let mut numbers = Numbers::default();
        // Each hash is that of four numbers.
        let hash = |number: u32| u64::from(number / 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..10_000).for_each(|number| numbers.insert(hash(number), number));
        assert!(
            (0..10_000).all(|number| numbers.find(hash(number), |found| found == number) == Some(number))
        );
        assert_eq!(numbers.find(hash(7), |found| found == 8), None);
        assert!(numbers.remove(hash(6), 6) && !numbers.remove(hash(6), 6) && !numbers.remove(hash(8), 7));
        assert!(numbers.replace(hash(5), 5, 10_005) && !numbers.replace(hash(5), 5, 10_006));
        let of_hash = |hash| {
            let seen = RefCell::new(Vec::new());
            numbers.find(hash, |found| {
                seen.borrow_mut().push(found);
                false
            });
            let mut seen = seen.into_inner();
            seen.sort_unstable();
            seen
        };
        assert_eq!(of_hash(hash(4)), [4, 7, 10_005]);
        assert_eq!((numbers.len(), numbers.iter().count()), (9_999, 9_999));
    }

    #[test]
    fn a_number_of_another_hash_is_not_looked_at_however_often_the_table_grew() {
        // Where the table looks, and by what it tells apart at first, are the same for all of them.
        let hash = |number: u32| u64::from(number) << 16;
        let mut numbers = Numbers::with_capacity(1);
        (0..500).for_each(|number| numbers.insert(hash(number), number));
        numbers.reserve(10_000);
        let asked = Cell::new(0);
        let found = numbers.find(hash(499), |found| {
            asked.set(asked.get() + 1);
            found == 499
        });
        assert_eq!((found, asked.get()), (Some(499), 1));
    }
}
