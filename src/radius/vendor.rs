//! Walks Vendor-Specific attributes (RFC 2865 section 5.26), in whichever form their vendor lays them out.
//!
//! Knows: the forms, and which vendors have another one than the usual. Must not know: what any vendor means.

use crate::config::VendorFormat;

/// Vendor-Specific.
pub const VENDOR_SPECIFIC: u8 = 26;

/// Vendors that do not follow the usual form of one octet of type and one of length. Read in another form than
/// theirs, their octets would yield attributes that nobody sent.
const FORMATS: [(u32, VendorFormat); 8] = [
    // The number under which FreeRADIUS keeps DHCP's options.
    (54, VendorFormat::plain(2, 1)),
    // 3Com, once US Robotics: no length at all.
    (429, VendorFormat::plain(4, 0)),
    // Alcatel's ESAM.
    (637, VendorFormat::plain(2, 1)),
    // Lucent.
    (4846, VendorFormat::plain(2, 1)),
    // Telrad, and the WiMAX Forum.
    (5323, VendorFormat::CONTINUED),
    (24757, VendorFormat::CONTINUED),
    // Starent, now Cisco's.
    (8164, VendorFormat::plain(2, 2)),
    // Kineto.
    (16445, VendorFormat::plain(2, 1)),
];

/// The form of a vendor that is known not to have the usual one.
#[must_use]
pub fn format_of(vendor: u32) -> Option<VendorFormat> {
    FORMATS.iter().find(|(known, _)| *known == vendor).map(|&(_, format)| format)
}

/// One attribute of a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorAttribute<'a> {
    /// Private enterprise number.
    pub vendor: u32,
    /// Type within the vendor's space.
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

/// The attributes within one Vendor-Specific value, if its vendor follows the usual form. The form inside is only a
/// recommendation (RFC 2865 section 5.26), so whatever does not follow it ends the walk and never harms the packet.
#[must_use]
pub fn attributes(value: &[u8]) -> VendorAttributes<'_> {
    let nothing = VendorAttributes { vendor: 0, pieces: pieces(&[], VendorFormat::USUAL) };
    let Some((vendor, rest)) = value.split_first_chunk() else { return nothing };
    let vendor = u32::from_be_bytes(*vendor);
    match format_of(vendor) {
        None => VendorAttributes { vendor, pieces: pieces(rest, VendorFormat::USUAL) },
        Some(_) => nothing,
    }
}

/// See [`attributes`].
#[derive(Debug, Clone)]
pub struct VendorAttributes<'a> {
    vendor: u32,
    pieces: Pieces<'a>,
}

impl<'a> Iterator for VendorAttributes<'a> {
    type Item = VendorAttribute<'a>;

    fn next(&mut self) -> Option<VendorAttribute<'a>> {
        let piece = self.pieces.next()?;
        Some(VendorAttribute {
            vendor: self.vendor,
            kind: u8::try_from(piece.kind).ok()?,
            value: piece.value,
        })
    }
}

/// One attribute in any form, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its type.
    pub kind: u32,
    /// Whether its value goes on in the next one.
    pub more: bool,
    /// The value.
    pub value: &'a [u8],
}

/// The attributes in what follows a vendor's number. A length that lies ends the walk. TLVs have the usual form too.
#[must_use]
pub fn pieces(octets: &[u8], format: VendorFormat) -> Pieces<'_> {
    Pieces { rest: octets, format }
}

/// See [`pieces`].
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    format: VendorFormat,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        // Taken out, so that whatever does not fit is the end, whichever step finds it.
        let octets = std::mem::take(&mut self.rest);
        let (kind, after) = number(octets, self.format.kind())?;
        let (length, after) = match self.format.length() {
            0 => (octets.len(), after),
            width => {
                let (length, after) = number(after, width)?;
                (usize::try_from(length).ok()?, after)
            }
        };
        // The length counts what stands before the value as well.
        let head = octets.len().checked_sub(after.len())?;
        let (value, rest) = after.split_at_checked(length.checked_sub(head)?)?;
        let (more, value) = match value.split_first() {
            Some((flags, value)) if self.format.continued() => (flags & 0x80 != 0, value),
            None if self.format.continued() => return None,
            _ => (false, value),
        };
        self.rest = rest;
        Some(Piece { kind, more, value })
    }
}

/// A number of so many octets, and what follows it.
fn number(octets: &[u8], width: u8) -> Option<(u32, &[u8])> {
    let (octets, rest) = octets.split_at_checked(usize::from(width))?;
    let number = octets.iter().fold(0_u32, |number, &octet| number.wrapping_shl(8) | u32::from(octet));
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(value: &[u8]) -> Vec<(u32, u8, Vec<u8>)> {
        attributes(value).map(|a| (a.vendor, a.kind, a.value.to_vec())).collect()
    }

    /// Type, whether there is more, and value of each piece in this form.
    fn walk_as(format: &str, octets: &[u8]) -> Vec<(u32, bool, Vec<u8>)> {
        let format = VendorFormat::parse(format).unwrap();
        pieces(octets, format).map(|piece| (piece.kind, piece.more, piece.value.to_vec())).collect()
    }

    #[test]
    fn several_attributes_in_one_are_all_seen() {
        let seen = walk(&[0, 0, 0x0d, 0xe9, 1, 4, b'a', b'b', 2, 2, 1, 3, b'c']);
        assert_eq!(seen, [(3561, 1, b"ab".to_vec()), (3561, 2, vec![]), (3561, 1, b"c".to_vec())]);
    }

    // CVE-2001-1377: a Vendor-Length below two crashed many servers.
    #[test]
    fn a_vendor_length_of_0_or_1_ends_the_walk() {
        for length in [0, 1] {
            assert_eq!(walk(&[0, 0, 0, 9, 1, 3, b'x', 1, length, b'y']), [(9, 1, b"x".to_vec())]);
        }
    }

    #[test]
    fn a_vendor_length_of_2_is_an_empty_value() {
        assert_eq!(walk(&[0, 0, 0, 9, 1, 2]), [(9, 1, vec![])]);
    }

    #[test]
    fn a_vendor_length_beyond_the_remainder_ends_the_walk() {
        assert_eq!(walk(&[0, 0, 0, 9, 1, 3, b'x']), [(9, 1, b"x".to_vec())]);
        assert_eq!(walk(&[0, 0, 0, 9, 1, 4, b'x']), []);
    }

    #[test]
    fn a_value_too_short_for_a_vendor_holds_nothing() {
        for length in 0..=5 {
            assert_eq!(walk(&[0; 5][..length]), []);
        }
    }

    #[test]
    fn vendors_of_another_form_are_not_misread() {
        assert_eq!(walk(&[0, 0, 0x1f, 0xe4, 1, 3, b'x']), []);
    }

    #[test]
    fn each_form_is_walked_from_one_attribute_to_the_next() {
        let x = || b"x".to_vec();
        assert_eq!(walk_as("1,1", &[7, 3, b'x', 8, 2]), [(7, false, x()), (8, false, vec![])]);
        assert_eq!(walk_as("2,1", &[1, 7, 4, b'x', 0, 8, 3]), [(263, false, x()), (8, false, vec![])]);
        assert_eq!(walk_as("2,2", &[1, 41, 0, 5, b'x', 0, 8, 0, 4]), [(297, false, x()), (8, false, vec![])]);
        // Without a length the first attribute is the only one.
        assert_eq!(walk_as("4,0", &[0, 0, 0x98, 0x43, b'x', 9]), [(0x9843, false, b"x\x09".to_vec())]);
        assert_eq!(walk_as("4,0", &[0, 0, 0x98, 0x43]), [(0x9843, false, vec![])]);
        assert_eq!(
            walk_as("1,1,c", &[1, 4, 0x80, b'x', 1, 4, 0x7f, b'x', 2, 3, 0]),
            [(1, true, x()), (1, false, x()), (2, false, vec![])]
        );
    }

    #[test]
    fn a_length_that_lies_ends_the_walk_in_every_form() {
        let one = || vec![(1, false, b"x".to_vec())];
        for (format, good, short, long) in [
            ("1,1", [1, 3, b'x'].as_slice(), [1, 1, b'y'].as_slice(), [1, 4, b'y'].as_slice()),
            ("2,1", &[0, 1, 4, b'x'], &[0, 1, 2, b'y'], &[0, 1, 5, b'y']),
            ("2,2", &[0, 1, 0, 5, b'x'], &[0, 1, 0, 3, b'y'], &[0, 1, 0, 6, b'y']),
            // The octet about continuation counts too.
            ("1,1,c", &[1, 4, 0, b'x'], &[1, 2, 0, b'y'], &[1, 5, 0, b'y']),
        ] {
            // Nobody knows where the one behind a lie begins, so it is not looked for.
            assert_eq!(walk_as(format, &[good, short, good].concat()), one(), "{format}");
            assert_eq!(walk_as(format, &[good, long].concat()), one(), "{format}");
            for cut in 1..long.len() {
                assert_eq!(walk_as(format, &[good, &long[..cut]].concat()), one(), "{format} {cut}");
            }
        }
        assert_eq!(walk_as("2,2", &[0, 1, 1, 5, b'y']), []);
        assert_eq!(walk_as("4,0", &[0, 0, 0]), []);
    }
}
