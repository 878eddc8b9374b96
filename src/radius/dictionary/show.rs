//! A value as people read it, by its type.
//!
//! Knows: how each type is spelled. Must not know: which attribute matters to us.

use std::fmt;

use super::{Definition, Dictionary, Type};
use crate::config::AttributePath;
use crate::radius::value;
use crate::session::Name;

/// A tag is one octet up to this (RFC 2868 section 3.1); a larger one is the text's first.
const TAG_MAX: u8 = 0x1f;

/// A value that shows itself. Safe for a terminal, a log line and a table: whatever could act there, or does not fit its
/// type, is `0x` and hex digits.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    dictionary: &'a Dictionary,
    definition: Option<&'a Definition>,
    octets: &'a [u8],
}

impl Dictionary {
    /// A value of this attribute, for people. Text, octets and what has no name are shown as text where they can be.
    #[must_use]
    pub fn show<'a>(&'a self, path: &AttributePath, octets: &'a [u8]) -> Shown<'a> {
        Shown { dictionary: self, definition: self.definition(path), octets }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(definition) = self.definition else { return Name::new(self.octets).fmt(f) };
        // A password has no business in anybody's table.
        if definition.flags.secret {
            return f.pad("(secret)");
        }
        match definition.kind {
            Type::Text if definition.flags.tagged => Name::new(without_tag(self.octets)).fmt(f),
            Type::Text | Type::Octets => Name::new(self.octets).fmt(f),
            Type::FixedOctets(length) if self.octets.len() == usize::from(length) => {
                Name::new(self.octets).fmt(f)
            }
            kind => match self.typed(definition, kind) {
                Some(text) => f.pad(&text),
                None => {
                    f.write_str("0x")?;
                    self.octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
                }
            },
        }
    }
}

impl Shown<'_> {
    /// `None` when the octets are not of the type, or it has no other spelling than octets.
    fn typed(&self, definition: &Definition, kind: Type) -> Option<String> {
        let octets = self.octets;
        Some(match kind {
            Type::Integer if definition.flags.tagged => {
                self.named(definition, value::integer(octets)? & 0x00ff_ffff)
            }
            Type::Integer => self.named(definition, value::integer(octets)?),
            Type::Short => self.named(definition, u16::from_be_bytes(octets.try_into().ok()?).into()),
            Type::Byte => self.named(definition, u8::from_be_bytes(octets.try_into().ok()?).into()),
            Type::Signed => i32::from_be_bytes(octets.try_into().ok()?).to_string(),
            Type::Integer64 => u64::from_be_bytes(octets.try_into().ok()?).to_string(),
            Type::Date => jiff::Timestamp::from_second(value::integer(octets)?.into()).ok()?.to_string(),
            Type::Ipv4 => value::ipv4(octets)?.to_string(),
            Type::Ipv6 => value::ipv6(octets)?.to_string(),
            Type::Ip => value::ipv4(octets)
                .map(|address| address.to_string())
                .or_else(|| value::ipv6(octets).map(|address| address.to_string()))?,
            Type::Ipv4Prefix => value::ipv4_prefix(octets)?.to_string(),
            Type::Ipv6Prefix => value::ipv6_prefix(octets)?.to_string(),
            Type::InterfaceId => {
                let id = u64::from_be_bytes(octets.try_into().ok()?);
                [48, 32, 16, 0].map(|shift| format!("{:x}", id >> shift & 0xffff)).join(":")
            }
            Type::Ether => <[u8; 6]>::try_from(octets).ok()?.map(|octet| format!("{octet:02x}")).join(":"),
            Type::Text | Type::Octets | Type::FixedOctets(_) | Type::Filter | Type::Tlv | Type::Envelope => {
                return None;
            }
        })
    }

    fn named(&self, definition: &Definition, number: u32) -> String {
        match self.dictionary.value_name(&definition.path, number) {
            // A name out of somebody's file.
            Some(name) => Name::from(name).to_string(),
            None => number.to_string(),
        }
    }
}

fn without_tag(octets: &[u8]) -> &[u8] {
    match octets.split_first() {
        Some((&tag, text)) if tag <= TAG_MAX => text,
        _ => octets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Dictionary {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.read_text(text.as_bytes()).unwrap().first, []);
        dictionary
    }

    /// Each type with a value that fits, and the same with an octet too many and one too few.
    #[test]
    fn a_value_is_shown_by_its_type_and_as_octets_when_it_does_not_fit() {
        let dictionary = good(
            "ATTRIBUTE integer 1 integer\nATTRIBUTE short 2 short\nATTRIBUTE byte 3 byte\nATTRIBUTE signed 4 signed\n\
             ATTRIBUTE integer64 5 integer64\nATTRIBUTE date 6 date\nATTRIBUTE ipaddr 7 ipaddr\nATTRIBUTE ipv6addr 8 ipv6addr\n\
             ATTRIBUTE ipv4prefix 9 ipv4prefix\nATTRIBUTE combo-ip 10 combo-ip\nATTRIBUTE ifid 11 ifid\nATTRIBUTE ether 12 ether\n\
             VALUE short Two 2",
        );
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let cases: [(&str, &[u8], &str); 13] = [
            ("integer", &[0, 0, 1, 2], "258"),
            ("short", &[0, 2], "Two"),
            ("byte", &[200], "200"),
            ("signed", &[255, 255, 255, 254], "-2"),
            ("integer64", &[0, 0, 0, 1, 0, 0, 0, 0], "4294967296"),
            ("date", &[0x65, 0x53, 0xf1, 0], "2023-11-14T22:13:20Z"),
            ("ipaddr", &[192, 0, 2, 1], "192.0.2.1"),
            ("ipv6addr", &v6, "2001:db8::7"),
            ("ipv4prefix", &[0, 24, 192, 0, 2, 0], "192.0.2.0/24"),
            ("combo-ip", &[192, 0, 2, 1], "192.0.2.1"),
            ("combo-ip", &v6, "2001:db8::7"),
            ("ifid", &[0, 0, 0, 1, 0, 2, 0xff, 0xff], "0:1:2:ffff"),
            ("ether", &[0, 0x1d, 0x60, 0xd7, 0x68, 0x79], "00:1d:60:d7:68:79"),
        ];
        for (name, octets, text) in cases {
            let path = dictionary.id(name).unwrap();
            let show = |octets: &[u8]| dictionary.show(&path, octets).to_string();
            let hex = |octets: &[u8]| {
                octets.iter().fold("0x".to_owned(), |text, octet| format!("{text}{octet:02x}"))
            };
            assert_eq!(show(octets), text, "{name}");
            let (more, fewer) = ([octets, &[0x41]].concat(), &octets[..octets.len() - 1]);
            assert_eq!(show(&more), hex(&more), "{name}");
            assert_eq!(show(fewer), hex(fewer), "{name}");
        }
    }

    #[test]
    fn an_ipv6_prefix_is_shown_however_many_zeros_are_missing() {
        let prefix = AttributePath::standard(97);
        let show = |octets: &[u8]| Dictionary::builtin().show(&prefix, octets).to_string();
        assert_eq!(show(&[0, 48, 0x20, 1, 0xd, 0xb8]), "2001:db8::/48");
        assert_eq!(show(&[&[0, 128][..], &[1; 16]].concat()), "101:101:101:101:101:101:101:101/128");
        assert_eq!(show(&[0, 129, 0x20]), "0x008120");
        assert_eq!(show(&[&[0, 128][..], &[1; 17]].concat()), format!("0x0080{}", "01".repeat(17)));
        // A Catalyst's text under the number of another attribute.
        assert_eq!(
            Dictionary::builtin().show(&AttributePath::standard(151), b"?0E81DEF").to_string(),
            "0x3f30453831444546"
        );
    }

    #[test]
    fn text_and_octets_are_shown_as_text_where_they_can_be() {
        let dictionary = good(
            "ATTRIBUTE Text 1 string\nATTRIBUTE Octets 2 octets\nATTRIBUTE Two 3 octets[2]\nATTRIBUTE Tlv 4 tlv",
        );
        let show =
            |kind: u8, octets: &[u8]| dictionary.show(&AttributePath::standard(kind), octets).to_string();
        for kind in [1, 2, 99] {
            assert_eq!(show(kind, "dslam1 é".as_bytes()), "dslam1 é");
            assert_eq!(show(kind, b"a\x1b"), "0x611b");
        }
        assert_eq!(
            (show(3, b"ab"), show(3, b"abc"), show(4, b"abc")),
            ("ab".into(), "0x616263".into(), "0x616263".into())
        );
    }

    #[test]
    fn a_tag_is_no_part_of_a_value_and_a_secret_is_not_shown() {
        let show = |name: &str, octets: &[u8]| {
            let path = Dictionary::builtin().id(name).unwrap();
            Dictionary::builtin().show(&path, octets).to_string()
        };
        assert_eq!(show("Tunnel-Type", &[1, 0, 0, 3]), "L2TP");
        assert_eq!(show("Tunnel-Type", &[1, 0, 0, 3, 0]), "0x0100000300");
        assert_eq!(show("Tunnel-Client-Endpoint", b"\x1f192.0.2.1"), "192.0.2.1");
        assert_eq!(show("Tunnel-Client-Endpoint", b"\x20192.0.2.1"), "0x203139322e302e322e31");
        assert_eq!(show("Tunnel-Client-Endpoint", b"192.0.2.1"), "192.0.2.1");
        assert_eq!(show("User-Password", b"hunter2"), "(secret)");
    }
}
