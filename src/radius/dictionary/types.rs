//! The types of FreeRADIUS 3: their names, and what a flag changes.
//!
//! Knows: which words name a type or a flag. Must not know: how a value of a type is shown or written.

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text, or octets that are usually text.
    Text,
    /// Octets; also everything that is not understood.
    Octets,
    /// So many octets.
    FixedOctets(u8),
    /// Four octets.
    Integer,
    /// Four octets with a sign.
    Signed,
    /// Two octets.
    Short,
    /// One octet.
    Byte,
    /// Eight octets.
    Integer64,
    /// Seconds since 1970.
    Date,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv4 prefix.
    Ipv4Prefix,
    /// An IPv6 prefix.
    Ipv6Prefix,
    /// An address of either kind; its length says which.
    Ip,
    /// Eight octets in groups.
    InterfaceId,
    /// Six octets.
    Ether,
    /// Ascend's binary filters.
    Filter,
    /// Attributes within, with one octet of type and one of length.
    Tlv,
    /// What wraps others: RFC 6929's types and Vendor-Specific.
    Envelope,
}

impl Type {
    /// The type of this name, in either of the spellings that FreeRADIUS had for it.
    #[must_use]
    pub fn named(word: &str) -> Option<Type> {
        let word = word.to_ascii_lowercase();
        if let Some(length) = word.strip_prefix("octets[").and_then(|rest| rest.strip_suffix(']')) {
            return length.parse().ok().filter(|length| (1..=253).contains(length)).map(Type::FixedOctets);
        }
        Some(match word.as_str() {
            "string" => Type::Text,
            "octets" => Type::Octets,
            "integer" | "uint32" => Type::Integer,
            "signed" | "int32" => Type::Signed,
            "short" | "uint16" => Type::Short,
            "byte" | "uint8" => Type::Byte,
            "integer64" | "uint64" => Type::Integer64,
            "date" => Type::Date,
            "ipaddr" | "ipv4addr" => Type::Ipv4,
            "ipv6addr" => Type::Ipv6,
            "ipv4prefix" | "cidr" => Type::Ipv4Prefix,
            "ipv6prefix" => Type::Ipv6Prefix,
            "combo-ip" => Type::Ip,
            "ifid" => Type::InterfaceId,
            "ether" => Type::Ether,
            "abinary" => Type::Filter,
            "tlv" => Type::Tlv,
            "extended" | "long-extended" | "evs" | "vsa" => Type::Envelope,
            _ => return None,
        })
    }

    /// The largest number that a value of the type may stand for, if values may have names at all.
    #[must_use]
    pub(super) fn value_max(self) -> Option<u32> {
        match self {
            Type::Byte => Some(u32::from(u8::MAX)),
            Type::Short => Some(u32::from(u16::MAX)),
            // Octets: one vendor's dictionary has names for those too.
            Type::Integer | Type::Octets => Some(u32::MAX),
            _ => None,
        }
    }
}

/// What a flag says about a value's octets. Flags that say nothing about them are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// The first octet is a tag (RFC 2868 section 3.1).
    pub tagged: bool,
    /// It is encrypted, or a secret in clear: nothing to show to anybody.
    pub secret: bool,
}

impl Flags {
    /// Reads `has_tag,encrypt=2`. `None` when one of them is not known, so that nobody knows what the octets are.
    #[must_use]
    pub fn parse(words: &str) -> Option<Flags> {
        let mut flags = Flags::default();
        for word in words.split(',') {
            match word {
                "has_tag" | "has_tag=1" => flags.tagged = true,
                _ if word.starts_with("encrypt=") || word.starts_with("secret") => flags.secret = true,
                // Several in one attribute, a value across several attributes, and what no packet holds.
                _ if ["array", "concat", "virtual"].iter().any(|flag| word.starts_with(flag)) => {}
                _ => return None,
            }
        }
        Some(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_old_and_new_names_in_any_case() {
        for (words, kind) in [
            (["integer", "uint32"], Type::Integer),
            (["short", "UINT16"], Type::Short),
            (["byte", "uint8"], Type::Byte),
            (["signed", "int32"], Type::Signed),
            (["integer64", "uint64"], Type::Integer64),
            (["String", "string"], Type::Text),
            (["ipv4prefix", "cidr"], Type::Ipv4Prefix),
            (["evs", "vsa"], Type::Envelope),
        ] {
            assert_eq!(words.map(Type::named), [Some(kind); 2], "{words:?}");
        }
        assert_eq!(Type::named("struct"), None);
    }

    #[test]
    fn octets_of_1_to_253_are_a_type() {
        assert_eq!(Type::named("octets[1]"), Some(Type::FixedOctets(1)));
        assert_eq!(Type::named("octets[253]"), Some(Type::FixedOctets(253)));
        for wrong in ["octets[0]", "octets[254]", "octets[]", "octets[x]", "octets[4"] {
            assert_eq!(Type::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flags_are_read_in_any_number_and_an_unknown_one_spoils_them() {
        assert_eq!(Flags::parse("has_tag,encrypt=2"), Some(Flags { tagged: true, secret: true }));
        assert_eq!(Flags::parse("has_tag=1"), Some(Flags { tagged: true, secret: false }));
        assert_eq!(Flags::parse("secret"), Some(Flags { tagged: false, secret: true }));
        for plain in ["array", "concat", "virtual", "array,concat"] {
            assert_eq!(Flags::parse(plain), Some(Flags::default()), "{plain}");
        }
        for unknown in ["", "has_tag,", "HAS_TAG", "clone=1", "has_tags"] {
            assert_eq!(Flags::parse(unknown), None, "{unknown}");
        }
    }
}
