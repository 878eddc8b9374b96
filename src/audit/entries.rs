//! Many small rows as few large ones: sorted entries, and blocks of them.
//!
//! A row of its own costs SQLite a walk down a tree, some ten thousand instructions, whatever is in it; sixteen that stand in one
//! row cost hardly more than one. An entry is a key and a value, both octets, and keys are made so that their octets sort as
//! what they say does. What has no value is only found by its key.
//!
//! Knows: the form of keys and blocks. Must not know: what entries tell, or where blocks are kept.

use serde::Serialize;

use crate::session::{Name, Timestamp};

/// A block of no more octets, with its first key beside it, lies within a page of a SQLite table (of 4096 octets, less its header and the
/// row's), one to a page. One entry that is larger is a block of its own, in as many pages as it takes.
const BLOCK_MAX: usize = 4_000;

/// Entries in the making, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Entries {
    octets: Vec<u8>,
    places: Vec<Place>,
}

/// Where an entry stands among the octets.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The first octets of its key, by which most are told apart without a look at memory that is far away.
    begins: [u8; 8],
    key: usize,
    value: usize,
    end: usize,
}

impl Entries {
    /// Adds one that is only found by its key. Whatever is added in order is put in order faster.
    pub(super) fn add_key(&mut self, spell: impl FnOnce(Words) -> Words) {
        let key = self.octets.len();
        self.octets = spell(Words(std::mem::take(&mut self.octets))).0;
        self.place(key, self.octets.len());
    }

    pub(super) fn add_octets(&mut self, key: &[u8], value: &[u8]) {
        let start = self.octets.len();
        self.octets.extend_from_slice(key);
        let middle = self.octets.len();
        self.octets.extend_from_slice(value);
        self.place(start, middle);
    }

    /// Adds one that tells something.
    pub(super) fn add(
        &mut self,
        spell: impl FnOnce(Words) -> Words,
        value: &impl Serialize,
    ) -> Result<(), postcard::Error> {
        let key = self.octets.len();
        let octets = spell(Words(std::mem::take(&mut self.octets))).0;
        let middle = octets.len();
        self.octets = postcard::to_extend(value, octets)?;
        self.place(key, middle);
        Ok(())
    }

    fn place(&mut self, key: usize, value: usize) {
        let mut begins = [0; 8];
        begins
            .iter_mut()
            .zip(self.octets.get(key..value).unwrap_or_default())
            .for_each(|(to, from)| *to = *from);
        self.places.push(Place { begins, key, value, end: self.octets.len() });
    }

    /// Puts them in order, each key once.
    pub(super) fn sort(&mut self) {
        let octets = &self.octets;
        let key = |place: &Place| octets.get(place.key..place.value).unwrap_or_default();
        self.places.sort_by(|a, b| a.begins.cmp(&b.begins).then_with(|| key(a).cmp(key(b))));
        self.places.dedup_by(|a, b| a.begins == b.begins && key(a) == key(b));
    }

    /// Begins again, in the same memory.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.places.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&self, place: usize) -> Option<(&[u8], &[u8])> {
        self.places.get(place).map(|place| self.at(place))
    }

    /// Keys and values.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|place| self.at(place))
    }

    fn at(&self, place: &Place) -> (&[u8], &[u8]) {
        let octets = |from, to| self.octets.get(from..to).unwrap_or_default();
        (octets(place.key, place.value), octets(place.value, place.end))
    }
}

/// A block in the making.
#[derive(Debug, Default)]
pub(super) struct Packer {
    block: Vec<u8>,
    first: Vec<u8>,
    /// The key that came last.
    before: Option<Vec<u8>>,
}

impl Packer {
    /// Adds an entry, whose key is behind all before it, or the one before once more: that is one entry. A block that has no room
    /// for it is handed over with its first key.
    pub(super) fn push<E, T>(&mut self, key: &[u8], value: &[u8], take: &mut T) -> Result<(), E>
    where
        T: FnMut(&[u8], &[u8]) -> Result<(), E> + ?Sized,
    {
        if self.before.as_deref() == Some(key) {
            return Ok(());
        }
        // Lengths take at most three octets each below two megabytes.
        let room = key.len().saturating_add(value.len()).saturating_add(9);
        if self.block.len().saturating_add(self.first.len()).saturating_add(room) > BLOCK_MAX {
            self.finish(take)?;
        }
        if self.block.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(key);
        }
        let before = self.before.get_or_insert_default();
        // How much of the key is that of the entry before, then the rest of it, then the value.
        let shared = if self.block.is_empty() {
            0
        } else {
            before.iter().zip(key).take_while(|(a, b)| a == b).count()
        };
        let rest = key.get(shared..).unwrap_or_default();
        put_length(&mut self.block, shared);
        put_length(&mut self.block, rest.len());
        put_length(&mut self.block, value.len());
        self.block.extend_from_slice(rest);
        self.block.extend_from_slice(value);
        before.truncate(shared);
        before.extend_from_slice(rest);
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn finish<E, T>(&mut self, take: &mut T) -> Result<(), E>
    where
        T: FnMut(&[u8], &[u8]) -> Result<(), E> + ?Sized,
    {
        if !self.block.is_empty() {
            take(&self.first, &self.block)?;
            self.block.clear();
        }
        Ok(())
    }
}

/// Seven bits to an octet, the lowest first; the highest bit says that more follow.
fn put_length(block: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    while rest >= 0x80 {
        block.push(0x80 | u8::try_from(rest & 0x7f).unwrap_or_default());
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap_or_default());
}

/// A block is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Torn;

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a block whose entries do not fit into it")
    }
}

impl std::error::Error for Torn {}

/// A block that is being read, from its beginning, as each key stands on the one before it.
#[derive(Debug, Default)]
pub(super) struct Block {
    octets: Vec<u8>,
    at: usize,
    key: Vec<u8>,
    value: usize,
}

impl Block {
    /// Begins with another block.
    pub(super) fn load(&mut self, octets: &[u8]) {
        self.octets.clear();
        self.octets.extend_from_slice(octets);
        self.key.clear();
        (self.at, self.value) = (0, 0);
    }

    /// Goes to the next entry; false: that was all.
    pub(super) fn step(&mut self) -> Result<bool, Torn> {
        if self.at >= self.octets.len() {
            return Ok(false);
        }
        let (shared, rest, value) = (self.length()?, self.length()?, self.length()?);
        if shared > self.key.len() {
            return Err(Torn);
        }
        self.value = self.at.checked_add(rest).ok_or(Torn)?;
        let end = self.value.checked_add(value).filter(|end| *end <= self.octets.len()).ok_or(Torn)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(self.octets.get(self.at..self.value).ok_or(Torn)?);
        self.at = end;
        Ok(true)
    }

    /// The key of the entry that came last.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its value.
    pub(super) fn value(&self) -> &[u8] {
        self.octets.get(self.value..self.at).unwrap_or_default()
    }

    fn length(&mut self) -> Result<usize, Torn> {
        let mut length: usize = 0;
        for shift in [0, 7, 14, 21, 28] {
            let octet = *self.octets.get(self.at).ok_or(Torn)?;
            self.at = self.at.saturating_add(1);
            length |= usize::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Ok(length);
            }
        }
        Err(Torn)
    }
}

/// A key in the making, behind whatever is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(Vec<u8>);

impl Words {
    /// Tells entries of one file apart.
    pub(super) fn kind(self, kind: u8) -> Words {
        self.octets(&[kind])
    }

    pub(super) fn octets(mut self, octets: &[u8]) -> Words {
        self.0.extend_from_slice(octets);
        self
    }

    /// Of any length: an end that sorts before whatever a longer name has there, and octets that look like it told apart.
    pub(super) fn name(mut self, name: &Name) -> Words {
        for (place, part) in name.octets().split(|octet| *octet == 0).enumerate() {
            if place > 0 {
                self.0.extend_from_slice(&[0, ESCAPED]);
            }
            self.0.extend_from_slice(part);
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    pub(super) fn moment(self, moment: Timestamp) -> Words {
        self.octets(&moment.millis().wrapping_sub(i64::MIN).to_be_bytes())
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The least key behind all that begin with this one.
    pub(super) fn end(mut self) -> Words {
        while let Some(last) = self.0.pop() {
            if let Some(next) = last.checked_add(1) {
                self.0.push(next);
                break;
            }
        }
        self
    }
}

/// What follows an octet 0 that is a part of a name.
const ESCAPED: u8 = 0xff;

/// The rest of a key that is being read. `None`: that is none of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelled<'a>(&'a [u8]);

impl<'a> Spelled<'a> {
    /// Behind what is known of it.
    pub(super) fn behind(key: &'a [u8], known: usize) -> Spelled<'a> {
        Spelled(key.get(known..).unwrap_or_default())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*octets)
    }

    pub(super) fn name(&mut self) -> Option<Name> {
        let mut octets = Vec::new();
        loop {
            let zero = self.0.iter().position(|octet| *octet == 0)?;
            let (before, rest) = self.0.split_at_checked(zero)?;
            octets.extend_from_slice(before);
            let (mark, rest) = rest.split_first_chunk::<2>()?;
            self.0 = rest;
            match mark {
                [_, 0] => return Some(Name::new(&octets)),
                [_, ESCAPED] => octets.push(0),
                _ => return None,
            }
        }
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn moment(&mut self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(i64::from_be_bytes(self.array()?).wrapping_add(i64::MIN)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn read(blocks: &[(Vec<u8>, Vec<u8>)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut read, mut block) = (Vec::new(), Block::default());
        for (first, octets) in blocks {
            block.load(octets);
            let mut is_first = true;
            while block.step().unwrap() {
                assert!(!std::mem::take(&mut is_first) || block.key() == first);
                read.push((block.key().to_vec(), block.value().to_vec()));
            }
        }
        read
    }

    fn packed(entries: &Entries) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut blocks = Vec::new();
        let mut take = |first: &[u8], octets: &[u8]| {
            blocks.push((first.to_vec(), octets.to_vec()));
            Ok::<(), ()>(())
        };
        let mut packer = Packer::default();
        entries.iter().try_for_each(|(key, value)| packer.push(key, value, &mut take)).unwrap();
        packer.finish(&mut take).unwrap();
        blocks
    }

    proptest! {
        #[test]
        fn what_is_put_into_blocks_is_read_from_them_in_order(
            wanted in btree_map(vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..300), 0..200),
        ) {
            let mut entries = Entries::default();
            for (key, value) in wanted.iter().rev() {
                entries.add_octets(key, value);
                entries.add_octets(key, value);
            }
            entries.sort();
            let read: BTreeMap<_, _> = read(&packed(&entries)).into_iter().collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn names_and_moments_sort_as_keys_as_they_do_themselves_and_are_read_again(
            a in (vec(0_u8..3, 0..5), any::<i64>()),
            b in (vec(0_u8..3, 0..5), any::<i64>()),
        ) {
            let words = |(name, millis): &(Vec<u8>, i64)| {
                Words::default().kind(1).name(&Name::new(name)).moment(Timestamp::from_millis(*millis))
            };
            prop_assert_eq!(words(&a).as_slice().cmp(words(&b).as_slice()), a.cmp(&b));
            let key = words(&a);
            let mut spelled = Spelled::behind(key.as_slice(), 1);
            prop_assert_eq!(spelled.name(), Some(Name::new(&a.0)));
            prop_assert_eq!(spelled.moment(), Some(Timestamp::from_millis(a.1)));
            let above = key.clone().octets(&[0xff; 9]);
            let end = key.end();
            prop_assert_eq!(above.as_slice() < end.as_slice(), true);
        }

        #[test]
        fn octets_that_are_no_block_are_read_to_an_end(octets in vec(any::<u8>(), 0..200)) {
            let (mut block, mut count) = (Block::default(), 0);
            block.load(&octets);
            while let Ok(true) = block.step() {
                count += 1;
            }
            prop_assert_eq!(count <= octets.len(), true);
        }
    }

    #[test]
    fn a_block_lies_within_a_page_and_what_is_larger_alone() {
        let mut entries = Entries::default();
        for number in 0..100_u8 {
            entries.add_octets(&[number], &[number; 200]);
        }
        entries.add_octets(&[100], &[7; 20_000]);
        entries.add_octets(&[101], &[]);
        let blocks = packed(&entries);
        let (large, small): (Vec<_>, Vec<_>) = blocks.iter().partition(|(_, block)| block.len() > BLOCK_MAX);
        assert_eq!((large.len(), large[0].0.as_slice()), (1, &[100][..]));
        assert!(small.len() < 8, "{}", small.len());
        assert_eq!(read(&blocks).len(), 102);
    }

    #[test]
    fn the_end_of_what_has_none_is_that_of_what_is_before_it() {
        assert_eq!(Words::default().kind(4).octets(&[0xff, 0xff]).end().as_slice(), &[5]);
        assert_eq!(Words::default().kind(4).octets(&[7]).end().as_slice(), &[4, 8]);
    }
}
