//! Octets to a packet that may be read without further checks, borrowed from the datagram (RFC 2865 section
//! 3, RFC 2866 section 3).
//!
//! Knows: the header, and where each attribute begins and ends. Must not know: what an attribute means,
//! secrets.

use std::fmt;

/// Octets before the attributes.
pub const HEADER_LENGTH: usize = 20;
/// RFC 2865 section 3; RFC 2866 says 4095, and the wider of the two is harmless.
pub const LENGTH_MAX: usize = 4096;

/// Packet codes that concern an accounting server.
pub mod code {
    /// Accounting-Request.
    pub const ACCOUNTING_REQUEST: u8 = 4;
    /// Accounting-Response.
    pub const ACCOUNTING_RESPONSE: u8 = 5;
    /// Status-Server (RFC 5997).
    pub const STATUS_SERVER: u8 = 12;
}

/// A well-formed packet: its Length fits the datagram and its attributes fill it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    code: u8,
    identifier: u8,
    authenticator: &'a [u8; 16],
    octets: &'a [u8],
    attributes: &'a [u8],
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Type; 26 holds a vendor's own.
    pub kind: u8,
    /// The value, 0 to 253 octets.
    pub value: &'a [u8],
}

/// Why a datagram is no packet. It is discarded as a whole, without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Not even a header.
    NoHeader {
        /// Octets received.
        octets: usize,
    },
    /// Length is below that of the header.
    LengthBelowMinimum {
        /// What the header says.
        length: usize,
    },
    /// Length is above what the protocol allows.
    LengthAboveMaximum {
        /// What the header says.
        length: usize,
    },
    /// The datagram is shorter than its Length.
    Truncated {
        /// What the header says.
        length: usize,
        /// Octets received.
        octets: usize,
    },
    /// An attribute's own length is 0 or 1, so no reader could get past it.
    AttributeBelowMinimum {
        /// Its type.
        kind: u8,
    },
    /// An attribute reaches beyond the packet.
    AttributeOverrun {
        /// Its type.
        kind: u8,
    },
    /// One octet is left behind the last attribute.
    AttributeWithoutLength,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::NoHeader { octets } => write!(f, "{octets} octets are no RADIUS header"),
            Malformed::LengthBelowMinimum { length } => write!(f, "Length {length} is below {HEADER_LENGTH}"),
            Malformed::LengthAboveMaximum { length } => write!(f, "Length {length} is above {LENGTH_MAX}"),
            Malformed::Truncated { length, octets } => {
                write!(f, "Length is {length}, but only {octets} octets came")
            }
            Malformed::AttributeBelowMinimum { kind } => write!(f, "attribute {kind} has a length below 2"),
            Malformed::AttributeOverrun { kind } => write!(f, "attribute {kind} reaches beyond the packet"),
            Malformed::AttributeWithoutLength => f.write_str("the last attribute has no length"),
        }
    }
}

impl std::error::Error for Malformed {}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// The first thing that is wrong with it; the attributes are all checked before any of them can be read.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let no_header = Malformed::NoHeader { octets: datagram.len() };
        let (&[code, identifier, high, low], rest) = datagram.split_first_chunk().ok_or(no_header)?;
        let (authenticator, _) = rest.split_first_chunk::<16>().ok_or(no_header)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < HEADER_LENGTH {
            return Err(Malformed::LengthBelowMinimum { length });
        }
        if length > LENGTH_MAX {
            return Err(Malformed::LengthAboveMaximum { length });
        }
        // RFC 2865 section 3: octets beyond Length are padding. They are cut off here, so that what is
        // authenticated and what is read are the same octets.
        let truncated = Malformed::Truncated { length, octets: datagram.len() };
        let octets = datagram.get(..length).ok_or(truncated)?;
        let attributes = octets.get(HEADER_LENGTH..).ok_or(truncated)?;
        validate(attributes)?;
        Ok(Packet { code, identifier, authenticator, octets, attributes })
    }

    /// The packet's code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Matches an answer to its request.
    #[must_use]
    pub fn identifier(&self) -> u8 {
        self.identifier
    }

    /// The Request Authenticator.
    #[must_use]
    pub fn authenticator(&self) -> &'a [u8; 16] {
        self.authenticator
    }

    /// The packet without padding.
    #[must_use]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The attribute list as it came.
    #[must_use]
    pub fn attribute_octets(&self) -> &'a [u8] {
        self.attributes
    }

    /// The attributes, in order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.attributes }
    }

    /// The values of all attributes of one type, in order.
    pub fn values(&self, kind: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.attributes().filter(move |attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }
}

/// RFC 2866 section 5: one attribute of an invalid length discards the entire request.
fn validate(mut rest: &[u8]) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let (&[kind, length], _) = rest.split_first_chunk().ok_or(Malformed::AttributeWithoutLength)?;
        if length < 2 {
            return Err(Malformed::AttributeBelowMinimum { kind });
        }
        rest = rest.get(usize::from(length)..).ok_or(Malformed::AttributeOverrun { kind })?;
    }
    Ok(())
}

/// Walks a validated attribute list.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (&[kind, length], _) = self.rest.split_first_chunk()?;
        let (attribute, rest) = self.rest.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(Attribute { kind, value: attribute.get(2..)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(length: u16, attributes: &[u8]) -> Vec<u8> {
        let mut octets = vec![4, 7];
        octets.extend(length.to_be_bytes());
        octets.extend([0xaa; 16]);
        octets.extend(attributes);
        octets
    }

    fn of(attributes: &[u8]) -> Vec<u8> {
        packet(u16::try_from(20 + attributes.len()).unwrap(), attributes)
    }

    #[test]
    fn attributes_come_in_order_with_their_values() {
        let octets = of(&[1, 5, b'b', b'o', b'b', 40, 6, 0, 0, 0, 1, 25, 2]);
        let packet = Packet::decode(&octets).unwrap();
        assert_eq!((packet.code(), packet.identifier(), packet.authenticator()), (4, 7, &[0xaa; 16]));
        let seen: Vec<_> = packet.attributes().map(|a| (a.kind, a.value)).collect();
        assert_eq!(seen, [(1, b"bob".as_slice()), (40, &[0, 0, 0, 1]), (25, &[])]);
        assert_eq!(packet.values(40).count(), 1);
    }

    #[test]
    fn a_header_alone_is_a_packet_and_one_octet_less_is_not() {
        assert!(Packet::decode(&of(&[])).is_ok());
        assert_eq!(Packet::decode(&of(&[])[..19]), Err(Malformed::NoHeader { octets: 19 }));
        assert_eq!(Packet::decode(&[]), Err(Malformed::NoHeader { octets: 0 }));
    }

    #[test]
    fn length_20_is_accepted_and_19_refused() {
        assert!(Packet::decode(&packet(20, &[])).is_ok());
        assert_eq!(Packet::decode(&packet(19, &[])), Err(Malformed::LengthBelowMinimum { length: 19 }));
    }

    #[test]
    fn length_4096_is_accepted_and_4097_refused() {
        let full: Vec<u8> = [[26, 254].as_slice(), &[0; 252]].concat().repeat(16);
        let mut attributes = full[..254 * 16].to_vec();
        attributes.extend([26, 12, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0]);
        assert_eq!(attributes.len(), 4076);
        assert!(Packet::decode(&packet(4096, &attributes)).is_ok());
        attributes.push(0);
        let refused = Packet::decode(&packet(4097, &attributes)).unwrap_err();
        assert_eq!(refused, Malformed::LengthAboveMaximum { length: 4097 });
    }

    #[test]
    fn octets_beyond_length_are_padding_and_are_cut_off() {
        let mut octets = of(&[1, 3, b'x']);
        let plain = octets.clone();
        octets.extend([0xff; 50]);
        assert_eq!(Packet::decode(&octets).unwrap().octets(), plain);
    }

    #[test]
    fn a_datagram_shorter_than_its_length_is_refused() {
        let refused = Packet::decode(&packet(24, &[1, 3, b'x'])).unwrap_err();
        assert_eq!(refused, Malformed::Truncated { length: 24, octets: 23 });
    }

    // CVE-2021-29629: a length of 0 must end the walk, not repeat it for ever.
    #[test]
    fn an_attribute_of_length_0_or_1_discards_the_packet() {
        for length in [0, 1] {
            let octets = of(&[44, 4, b'a', b'b', 1, length, 0]);
            assert_eq!(Packet::decode(&octets), Err(Malformed::AttributeBelowMinimum { kind: 1 }));
        }
    }

    #[test]
    fn an_attribute_that_ends_one_octet_too_far_discards_the_packet() {
        assert!(Packet::decode(&of(&[1, 4, 0, 0])).is_ok());
        assert_eq!(Packet::decode(&of(&[1, 5, 0, 0])), Err(Malformed::AttributeOverrun { kind: 1 }));
        assert_eq!(Packet::decode(&of(&[1, 4, 0, 0, 9])), Err(Malformed::AttributeWithoutLength));
    }
}
