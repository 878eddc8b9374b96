//! The words that are said of a session, one behind the other in few octets.
//!
//! Knows: how a word is laid down and found again. Must not know: which word means what.
//!
//! They are read far more often than written: each record asks its session thirty times what it is called, and each
//! lookup whose it is. So a word is its length and its octets, found without looking at any other octet; a serializer that
//! takes numbers apart octet by octet took a third of what folding a Start took.

use smallvec::SmallVec;

use super::Name;

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// Nobody said it.
    Untold,
    /// It is what somebody else's word is; which one, those who write and read it know.
    Same,
    /// As it was said.
    Told(&'a [u8]),
}

/// Marks in place of a length.
const UNTOLD: u8 = 255;
const SAME: u8 = 254;
/// Four octets of length follow. No attribute is as long, but what is imported may be.
const LONG: u8 = 253;

/// What is written first and copied to where it stays.
pub(super) type Octets = SmallVec<[u8; 256]>;

impl<'a> Word<'a> {
    pub(super) fn of(octets: Option<&'a [u8]>) -> Self {
        octets.map_or(Word::Untold, Word::Told)
    }

    pub(super) fn of_name(name: Option<&'a Name>) -> Self {
        Word::of(name.map(Name::octets))
    }

    pub(super) fn octets(self) -> Option<&'a [u8]> {
        match self {
            Word::Told(octets) => Some(octets),
            Word::Untold | Word::Same => None,
        }
    }
}

/// Lays the words down. What nobody said behind the last word takes no room.
pub(super) fn pack(words: &[Word<'_>]) -> Octets {
    let last = words.iter().rposition(|word| *word != Word::Untold);
    let mut octets = Octets::new();
    for word in words.iter().take(last.map_or(0, |last| last.saturating_add(1))) {
        match word {
            Word::Untold => octets.push(UNTOLD),
            Word::Same => octets.push(SAME),
            Word::Told(told) => {
                match u8::try_from(told.len()) {
                    Ok(length) if length < LONG => octets.push(length),
                    _ => {
                        let length = u32::try_from(told.len()).unwrap_or(u32::MAX);
                        octets.push(LONG);
                        octets.extend_from_slice(&length.to_be_bytes());
                    }
                }
                octets.extend_from_slice(told);
            }
        }
    }
    octets
}

/// Finds the words again, in their order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Words<'a> {
    /// The next word; behind the last one nothing was said.
    pub(super) fn next(&mut self) -> Word<'a> {
        let Some((&mark, rest)) = self.0.split_first() else { return Word::Untold };
        let (length, rest) = match mark {
            UNTOLD | SAME => {
                self.0 = rest;
                return if mark == SAME { Word::Same } else { Word::Untold };
            }
            LONG => match rest.split_first_chunk() {
                Some((length, rest)) => (u32::from_be_bytes(*length) as usize, rest),
                None => (usize::MAX, rest),
            },
            length => (usize::from(length), rest),
        };
        let (told, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        self.0 = rest;
        Word::Told(told)
    }

    /// Passes over so many words.
    pub(super) fn skip(mut self, count: usize) -> Self {
        for _ in 0..count {
            self.next();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_as_they_were_laid_down_whatever_their_length() {
        let octets = vec![b'x'; 70_000];
        let told = |length: usize| Word::Told(&octets[..length]);
        let words = [
            told(0),
            Word::Untold,
            told(252),
            told(253),
            Word::Same,
            told(254),
            told(255),
            told(256),
            told(70_000),
            told(1),
        ];
        let packed = pack(&words);
        let mut found = Words(&packed);
        assert!(words.iter().all(|word| found.next() == *word));
        assert_eq!(found.next(), Word::Untold);
        assert_eq!(Words(&packed).skip(9).next(), told(1));
        assert_eq!(Words(&packed).skip(99).next(), Word::Untold);
    }

    #[test]
    fn what_nobody_said_at_the_end_takes_no_room() {
        assert_eq!(pack(&[Word::Told(b"a"), Word::Untold, Word::Untold]).as_slice(), [1, b'a']);
        assert!(pack(&[Word::Untold]).is_empty());
    }
}
