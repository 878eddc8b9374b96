//! Walks Vendor-Specific attributes (RFC 2865 section 5.26).
//!
//! Knows: the usual form, one octet of type and one of length. Must not know: what any vendor means.

/// Vendor-Specific.
pub const VENDOR_SPECIFIC: u8 = 26;

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

/// Vendors whose attributes have another form: 3Com/USR (four octets of type, no length), Lucent (two and
/// one), Starent (two and two), WiMAX and Telrad (a continuation octet). Read in the usual form they would
/// yield attributes that nobody sent, so they yield none; reassembling fragments is where other servers were
/// attacked (CVE-2017-10985).
const OTHER_FORMS: [u32; 5] = [429, 4846, 8164, 24757, 5323];

/// The attributes within one Vendor-Specific value. The form inside is only a recommendation (RFC 2865
/// section 5.26), so whatever does not follow it ends the walk and never harms the packet.
#[must_use]
pub fn attributes(value: &[u8]) -> VendorAttributes<'_> {
    let Some((vendor, rest)) = value.split_first_chunk() else {
        return VendorAttributes { vendor: 0, rest: &[] };
    };
    let vendor = u32::from_be_bytes(*vendor);
    VendorAttributes { vendor, rest: if OTHER_FORMS.contains(&vendor) { &[] } else { rest } }
}

/// See [`attributes`].
#[derive(Debug, Clone)]
pub struct VendorAttributes<'a> {
    vendor: u32,
    rest: &'a [u8],
}

impl<'a> Iterator for VendorAttributes<'a> {
    type Item = VendorAttribute<'a>;

    fn next(&mut self) -> Option<VendorAttribute<'a>> {
        let (&[kind, length], _) = self.rest.split_first_chunk()?;
        let (attribute, rest) = self.rest.split_at_checked(usize::from(length))?;
        let value = attribute.get(2..)?;
        self.rest = rest;
        Some(VendorAttribute { vendor: self.vendor, kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(value: &[u8]) -> Vec<(u32, u8, Vec<u8>)> {
        attributes(value).map(|a| (a.vendor, a.kind, a.value.to_vec())).collect()
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
}
