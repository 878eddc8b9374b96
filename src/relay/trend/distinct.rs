//! How many different names there were, in bounded memory: small sets of hashes that are full at a stated number.
//!
//! Knows: hashes, and on which day one was seen last. Must not know: what is named.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::day::REMEMBERED;
use crate::session::Name;

/// So many domains of one sender are told apart. A household writes to a few dozen in nine weeks, an office with some hundred
/// invoices a month to several hundred.
pub const DOMAINS_MOST: usize = 1024;
/// So many sender addresses of one sender are told apart, and so many HELO names of one day.
pub const NAMES_MOST: usize = 64;

/// A hash of the octets, whatever their case: 64-bit FNV-1a, folded. It is a file format: another one would make every domain
/// a new one.
pub(super) fn hash(name: &Name) -> u32 {
    folded(name.octets().iter().map(u8::to_ascii_lowercase))
}

/// The same of an address; of IPv6 that of its /64, which is one line's (RFC 6177).
pub(super) fn hash_of(address: IpAddr) -> u32 {
    match address.to_canonical() {
        IpAddr::V4(address) => folded(address.octets().into_iter()),
        IpAddr::V6(address) => folded(address.octets().into_iter().take(8)),
    }
}

fn folded(octets: impl Iterator<Item = u8>) -> u32 {
    let mixed = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, f, g, h] = mixed.to_be_bytes();
    u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])
}

/// Different names of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Few(Vec<u32>);

impl Few {
    /// Notes one, and says how many there are.
    pub(super) fn note(&mut self, hash: u32) -> u8 {
        if let Err(place) = self.0.binary_search(&hash)
            && self.0.len() < NAMES_MOST
        {
            self.0.insert(place, hash);
        }
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What a noted name was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    /// Not seen for [`REMEMBERED`] days, if ever. Where there is no room for one more nothing is: who writes to more domains than
    /// that writes to them again.
    pub(super) is_new: bool,
    /// One more of this day.
    pub(super) is_first_today: bool,
    /// Since how many days it is known.
    pub(super) known_for: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    hash: u32,
    first: u16,
    last: u16,
}

/// Names of nine weeks, so many of them at most, in order of their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Known<const MOST: usize>(Vec<Seen>);

impl<const MOST: usize> Known<MOST> {
    pub(super) fn note(&mut self, hash: u32, day: u16) -> Noted {
        let found = self.0.binary_search_by_key(&hash, |seen| seen.hash);
        if let Some(seen) = found.ok().and_then(|place| self.0.get_mut(place)) {
            let since = day.saturating_sub(seen.last);
            let is_new = since > REMEMBERED;
            seen.first = if is_new { day } else { seen.first.min(day) };
            seen.last = seen.last.max(day);
            return Noted { is_new, is_first_today: since > 0, known_for: day.saturating_sub(seen.first) };
        }
        let is_first_today = self.0.len() < MOST || self.make_room(day);
        if is_first_today {
            let place = self.0.partition_point(|seen| seen.hash < hash);
            self.0.insert(place, Seen { hash, first: day, last: day });
        }
        Noted { is_new: is_first_today, is_first_today, known_for: 0 }
    }

    /// Forgets one of those that were not seen for longest; false where all were seen on this day. Not all of that day: a great
    /// newsletter's domains are of one, and a single new one must not make them all new.
    fn make_room(&mut self, day: u16) -> bool {
        let oldest = self.0.iter().enumerate().min_by_key(|(_, seen)| seen.last);
        let oldest = oldest.filter(|(_, seen)| seen.last < day).map(|(place, _)| place);
        oldest.is_some_and(|place| self.0.remove(place).last < day)
    }

    /// Forgets what was not seen for so long that it would be new again.
    pub(super) fn forget(&mut self, day: u16) {
        self.0.retain(|seen| day.saturating_sub(seen.last) <= REMEMBERED);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_differ_as_letters_do_in_their_case_are_two_and_those_of_one_line_are_one() {
        let hash = |address: &str| hash_of(address.parse().unwrap());
        assert_ne!(hash("192.0.2.65"), hash("192.0.2.97"));
        assert_eq!(hash("2001:db8:0:1::1"), hash("2001:db8:0:1::2"));
        assert_ne!(hash("2001:db8:0:1::1"), hash("2001:db8:0:2::1"));
        assert_eq!(super::hash(&Name::from("EXAMPLE.org")), super::hash(&Name::from("example.org")));
    }

    #[test]
    fn a_name_is_the_same_in_any_case() {
        assert_eq!(hash(&Name::from("Example.ORG")), hash(&Name::from("example.org")));
        assert_ne!(hash(&Name::from("example.org")), hash(&Name::from("example.net")));
        assert_eq!(hash(&Name::from("a")), 0x2962_30c0, "a file format");
    }

    #[test]
    fn names_are_told_apart_up_to_their_number() {
        let mut few = Few::default();
        let most = u32::try_from(NAMES_MOST).unwrap();
        for number in 0..most {
            few.note(number);
            assert_eq!(u32::from(few.note(number)), number + 1, "once each");
        }
        assert_eq!(u32::from(few.note(most)), most);
    }

    #[test]
    fn a_name_is_new_when_it_was_not_seen_for_nine_weeks() {
        let noted = |is_new, is_first_today, known_for| Noted { is_new, is_first_today, known_for };
        let mut known = Known::<9>::default();
        assert_eq!(known.note(7, 100), noted(true, true, 0));
        assert_eq!(known.note(7, 100), noted(false, false, 0));
        assert_eq!(known.note(7, 100 + REMEMBERED), noted(false, true, REMEMBERED));
        assert_eq!(known.note(7, 101 + 2 * REMEMBERED), noted(true, true, 0));
        assert_eq!(known.note(7, 99), noted(false, false, 0), "what comes late makes it no older");
        assert_eq!(known.note(7, 101 + 2 * REMEMBERED).known_for, 2 + 2 * REMEMBERED, "but known for longer");
        known.forget(101 + 3 * REMEMBERED);
        assert_eq!(known.len(), 1);
        known.forget(102 + 3 * REMEMBERED);
        assert_eq!(known.len(), 0);
    }

    #[test]
    fn the_oldest_names_make_room_and_those_of_the_day_do_not() {
        let mut known = Known::<64>::default();
        (0..2).for_each(|number| assert!(known.note(number, 1).is_new));
        (2..64).for_each(|number| assert!(known.note(number, 2).is_new));
        assert!(known.note(64, 3).is_first_today);
        assert_eq!(known.len(), 64, "one has gone");
        assert!(known.note(1, 3).is_first_today && !known.note(1, 3).is_new);
        assert!((2..64).all(|number| !known.note(number, 3).is_new));
        let beyond = known.note(u32::MAX, 3);
        assert_eq!((beyond.is_new, beyond.is_first_today, known.len()), (false, false, 64));
    }
}
