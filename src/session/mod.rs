//! Who owns which address: the words of the whole crate, and the pure machine behind them.
//!
//! Knows: time as a value, names as octets, sessions, claims and bindings. Must not know: octets of any
//! protocol, sockets, files, the configuration's text, or what time it is.

mod alive;
pub mod bindings;
mod crowds;
mod deadlines;
mod doubt;
pub mod effect;
pub mod event;
mod held;
pub mod identity;
pub mod image;
mod imports;
mod interval;
mod kin;
mod leaving;
mod lengths;
mod listed;
pub mod machine;
pub mod nas;
mod numbers;
mod ownership;
mod packed;
pub mod phase;
pub mod place;
mod queue;
pub mod reach;
mod records;
mod rows;
mod scopes;
mod sessions;
mod shared;
mod slab;
mod slot;
mod slots;
mod spread;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::place::{Place, Ports, Realm};

/// Milliseconds since 1970-01-01T00:00:00Z on our own clock. Only `clock.rs` makes one out of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment that can be written; "since ever".
    pub const EARLIEST: Timestamp = Timestamp(i64::MIN);

    /// A moment from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// A moment from seconds since the Unix epoch, saturating at the ends.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This much later, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Timestamp(self.0.saturating_add(millis_of(span)))
    }

    /// This much earlier, saturating.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Timestamp(self.0.saturating_sub(millis_of(span)))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_millis)
    }
}

fn millis_of(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Octets that somebody else chose: a subscriber, a session id, a NAS. Compared octet by octet; cheap to clone.
///
/// Shown as text when it is printable UTF-8 without white space at its ends, otherwise as `0x` and hex digits, so
/// that what is printed is safe for a terminal, a log line and a mail header, and stays a single word's worth.
#[derive(Clone)]
pub struct Name(Octets);

/// Most names are session ids, NASes and hardware addresses: short enough to need no memory of their own.
#[derive(Clone)]
enum Octets {
    Short { length: u8, octets: [u8; SHORT] },
    Long(Arc<[u8]>),
}

/// What fits beside a length into three machine words.
const SHORT: usize = 22;

impl Name {
    /// Takes the octets as they are.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match (u8::try_from(octets.len()), short.get_mut(..octets.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(octets);
                Name(Octets::Short { length, octets: short })
            }
            _ => Name(Octets::Long(Arc::from(octets))),
        }
    }

    /// The octets as they came.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        match &self.0 {
            Octets::Short { length, octets } => octets.get(..usize::from(*length)).unwrap_or_default(),
            Octets::Long(octets) => octets,
        }
    }

    /// The text, when it can be shown as such without doing harm.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let octets = self.octets();
        let text = std::str::from_utf8(octets).ok()?;
        // A name that looks like our own hex spelling is spelled in hex, so that the spelling stays unambiguous.
        let harmless = !text.is_empty()
            && text.trim() == text
            && !text.starts_with("0x")
            && match text.is_ascii() {
                // Nearly all are. Looked at to the end, so that it is done for many octets at once.
                true => !octets.iter().fold(false, |any, octet| any | octet.is_ascii_control()),
                false => !text.chars().any(is_harmful),
            };
        harmless.then_some(text)
    }

    /// Reads what `Display` wrote: `0x` and an even number of hex digits, or text as it stands.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if let Some(octets) = text.strip_prefix("0x").and_then(octets_of_hex) {
            return Name::new(&octets);
        }
        Name::new(text.as_bytes())
    }
}

/// Whether a character could act on whoever reads: move a terminal's cursor, end a line, be invisible, or reorder the text
/// around it, an attacker's way to make a line read differently than it is. Whoever shows text from outside asks here.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn octets_of_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets().cmp(other.octets())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        self.octets()
    }
}

/// Names are found by their octets.
impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.octets()
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name::new(text.as_bytes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.pad(text),
            None => {
                f.write_str("0x")?;
                self.octets().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.octets())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Octets;
        impl serde::de::Visitor<'_> for Octets {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octets")
            }
            fn visit_bytes<E>(self, octets: &[u8]) -> Result<Name, E> {
                Ok(Name::new(octets))
            }
        }
        deserializer.deserialize_bytes(Octets)
    }
}

/// Names one life of one session: the NAS, its Acct-Session-Id, and when that life began (ids are used again).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The NAS as resolved at the edge.
    pub nas: Name,
    /// Acct-Session-Id as it came; opaque and case-sensitive.
    pub id: Name,
    /// Event time at which this life began.
    pub incarnation: Timestamp,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.nas, self.id, self.incarnation.millis())
    }
}

/// Where the subscriber's line ends: what an engineer needs to find the socket in the wall.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Line {
    /// NAS-Port-Id (87).
    pub port_id: Option<Name>,
    /// Calling-Station-Id (31).
    pub calling_station: Option<Name>,
    /// The access line's circuit id (3561.1 and its vendor spellings).
    pub circuit_id: Option<Name>,
    /// The access line's remote id (3561.2 and its vendor spellings).
    pub remote_id: Option<Name>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_as_text_only_when_that_is_safe() {
        assert_eq!(Name::from("alice@isp.example").to_string(), "alice@isp.example");
        assert_eq!(Name::new("böb".as_bytes()).to_string(), "böb");
        assert_eq!(Name::new(b"caf\xe9").to_string(), "0x636166e9");
        assert_eq!(Name::from("a\x1b[2J").to_string(), "0x611b5b324a");
        assert_eq!(Name::from("a\u{202e}b").to_string(), "0x61e280ae62");
        assert_eq!(Name::from("a\u{200b}b").to_string(), "0x61e2808b62", "nobody would see it");
        assert_eq!(Name::from("").to_string(), "0x");
    }

    #[test]
    fn a_name_of_any_length_is_the_octets_it_was_made_of() {
        for length in [0, SHORT - 1, SHORT, SHORT + 1, 253, 1024] {
            let octets = vec![b'x'; length];
            let name = Name::new(&octets);
            assert_eq!(name.octets(), octets);
            assert_eq!(name.clone(), name);
            assert!(Name::new(&[octets.as_slice(), b"0"].concat()) > name, "the longer one comes after");
            let written = postcard::to_stdvec(&name).unwrap();
            assert_eq!(written, postcard::to_stdvec(&octets).unwrap(), "as plain octets, however it is kept");
            assert_eq!(postcard::from_bytes::<Name>(&written).unwrap(), name);
        }
    }

    #[test]
    fn names_are_ordered_by_their_octets_be_they_long_or_short() {
        let (short, long) = (Name::from("b"), Name::new(&[b'a'; SHORT + 1]));
        assert!(long < short && long != short);
    }

    #[test]
    fn a_name_takes_three_words() {
        assert_eq!(size_of::<Option<Name>>(), 24);
    }

    #[test]
    fn what_display_writes_is_read_back() {
        for octets in [b"alice".as_slice(), b"\xff\x00", b"0x41", b" x", b"two words"] {
            let name = Name::new(octets);
            assert_eq!(Name::from_text(&name.to_string()), name);
        }
    }

    #[test]
    fn time_saturates_instead_of_wrapping() {
        let now = Timestamp::from_millis(i64::MAX - 1);
        assert_eq!(now.plus(Duration::from_secs(9)).millis(), i64::MAX);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
