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
    /// Write a name that is wholly a hardware address as `ac:16:2d:75:9d:0a`, however its NAS spells it.
    pub fold_mac: bool,
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
        if self.fold_mac
            && let Some(folded) = hardware_address(octets)
        {
            return Some(Name::from(folded.as_str()));
        }
        if self.lowercase && octets.iter().any(u8::is_ascii_uppercase) {
            return Some(Name::new(&octets.to_ascii_lowercase()));
        }
        Some(Name::new(octets))
    }

    /// The first candidate that names somebody: names that many share name nobody.
    pub fn first(
        self,
        candidates: impl IntoIterator<Item = impl AsRef<[u8]>>,
        shared_names: &[Name],
    ) -> Option<Name> {
        let names = candidates.into_iter().filter_map(|raw| self.name(raw.as_ref()));
        names.into_iter().find(|name| !shared_names.contains(name))
    }
}

/// The four spellings of six octets: `ac:16:2d:75:9d:0a`, `AC-16-2D-75-9D-0A`, `ac16.2d75.9d0a`, `ac162d759d0a`.
/// Anything else is no hardware address, be it one with something behind it.
fn hardware_address(octets: &[u8]) -> Option<String> {
    let (separator, group) = match octets.len() {
        17 => (*octets.get(2)?, 2),
        14 => (*octets.get(4)?, 4),
        12 => (0, 12),
        _ => return None,
    };
    if !matches!((separator, group), (b':' | b'-', 2) | (b'.', 4) | (0, 12)) {
        return None;
    }
    let mut folded = String::with_capacity(17);
    let mut digits = 0_usize;
    for (at, &octet) in octets.iter().enumerate() {
        let is_separator = at % (group + 1) == group;
        match octet {
            _ if is_separator && octet == separator => {}
            _ if !is_separator && octet.is_ascii_hexdigit() => {
                if digits > 0 && digits.is_multiple_of(2) {
                    folded.push(':');
                }
                folded.push(char::from(octet.to_ascii_lowercase()));
                digits = digits.saturating_add(1);
            }
            _ => return None,
        }
    }
    Some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Canonical = Canonical { lowercase: true, strip_realm: false, fold_mac: false };
    const STRIP: Canonical = Canonical { lowercase: true, strip_realm: true, fold_mac: false };
    const FOLD: Canonical = Canonical { lowercase: false, strip_realm: true, fold_mac: true };

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
        assert_eq!(PLAIN.first([b"".as_slice(), b"\0", b"cui-7"], &[]), Some(Name::from("cui-7")));
        assert_eq!(PLAIN.first([b"".as_slice()], &[]), None);
    }

    #[test]
    fn a_name_that_many_share_names_nobody_and_the_chain_goes_on() {
        let shared = [Name::from("mig")];
        assert_eq!(
            PLAIN.first([b"MIG".as_slice(), b"447700900123"], &shared),
            Some(Name::from("447700900123"))
        );
        assert_eq!(PLAIN.first([b"migs".as_slice()], &shared), Some(Name::from("migs")));
        assert_eq!(PLAIN.first([b"mig".as_slice()], &shared), None);
    }

    #[test]
    fn four_spellings_of_a_hardware_address_are_one_name() {
        let folded = Some(Name::from("ac:16:2d:75:9d:0a"));
        for spelling in [
            "ac:16:2d:75:9d:0a",
            "AC-16-2D-75-9D-0A",
            "ac16.2d75.9d0a",
            "AC162D759d0a",
            "AC162D759d0a@isp.example",
            "ac162d759d0a\0",
        ] {
            assert_eq!(FOLD.name(spelling.as_bytes()), folded, "{spelling}");
        }
        assert_eq!(PLAIN.name(b"AC-16-2D-75-9D-0A"), Some(Name::from("ac-16-2d-75-9d-0a")));
    }

    #[test]
    fn what_is_not_wholly_a_hardware_address_is_left_alone() {
        for name in [
            "ac:16:2d:75:9d:0",
            "ac:16:2d:75:9d:0a:",
            "ac:16-2d:75:9d:0a",
            "ac-16:2d:75:9d:0a",
            "ac16:2d75:9d0a",
            "ac.16.2d.75.9d.0a",
            "ag162d759d0a",
            "ac162d759d0",
            "ac162d759d0a1",
            "xac:16:2d:75:9d:0a",
            "ac:16:2d:75:9d:\u{e9}",
        ] {
            assert_eq!(FOLD.name(name.as_bytes()), Some(Name::from(name)), "{name}");
        }
    }
}
