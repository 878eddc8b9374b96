//! From the octets of an accounting record's attributes to the subscriber's canonical name.
//!
//! Knows: the order of the identity chain and how a name is brought into its canonical form. Must not know:
//! how attributes are encoded; it is handed octets.

use super::Name;

/// How names are brought into one form. ASCII only: folding what is not ASCII would merge different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Canonical {
    /// Lower-case A-Z.
    pub lowercase: bool,
    /// Cut everything from the last `@` on, or up to the first `\`.
    pub strip_realm: bool,
}

impl Canonical {
    /// The canonical name, or `None` when nothing is left that could name anybody.
    #[must_use]
    pub fn name(self, raw: &[u8]) -> Option<Name> {
        // Some NASes pad with NUL; C servers behind them never see it, so the names must be equal to ours.
        let end = raw.iter().rposition(|&octet| octet != 0).map_or(0, |last| last.saturating_add(1));
        let mut octets = raw.get(..end).unwrap_or_default();
        if self.strip_realm {
            if let Some(at) = octets.iter().rposition(|&octet| octet == b'@') {
                octets = octets.get(..at).unwrap_or_default();
            } else if let Some(slash) = octets.iter().position(|&octet| octet == b'\\') {
                octets = octets.get(slash.saturating_add(1)..).unwrap_or_default();
            }
        }
        if octets.iter().all(|octet| octet.is_ascii_whitespace()) {
            return None;
        }
        if self.lowercase {
            return Some(Name::new(&octets.to_ascii_lowercase()));
        }
        Some(Name::new(octets))
    }

    /// The first candidate that names somebody.
    pub fn first(self, candidates: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Option<Name> {
        candidates.into_iter().find_map(|raw| self.name(raw.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Canonical = Canonical { lowercase: true, strip_realm: false };
    const STRIP: Canonical = Canonical { lowercase: true, strip_realm: true };

    #[test]
    fn ascii_is_folded_and_nothing_else() {
        assert_eq!(PLAIN.name("AlicE@ISP.Example".as_bytes()), Some(Name::from("alice@isp.example")));
        assert_eq!(PLAIN.name("ÄRGER".as_bytes()), Some(Name::new("Ärger".as_bytes())));
        assert_eq!(PLAIN.name(b"CAF\xc9"), Some(Name::new(b"caf\xc9")));
    }

    #[test]
    fn both_spellings_of_a_realm_are_stripped() {
        assert_eq!(STRIP.name(b"bob@isp.example"), Some(Name::from("bob")));
        assert_eq!(STRIP.name(b"ISP\\bob"), Some(Name::from("bob")));
        assert_eq!(STRIP.name(b"bob"), Some(Name::from("bob")));
    }

    #[test]
    fn an_empty_name_names_nobody_and_the_chain_goes_on() {
        assert_eq!(PLAIN.name(b""), None);
        assert_eq!(PLAIN.name(b" \0"), None);
        assert_eq!(STRIP.name(b"@isp.example"), None);
        assert_eq!(PLAIN.first([b"".as_slice(), b"\0", b"cui-7"]), Some(Name::from("cui-7")));
        assert_eq!(PLAIN.first([b"".as_slice()]), None);
    }
}
