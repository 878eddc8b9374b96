//! All values of an attribute in a packet, wherever its numbers say that it stands (RFC 2865 section 5.26, RFC 6929).
//!
//! Knows: how attributes are wrapped in others, and how a value that goes on in the next one is put together. Must not
//! know: what any of them means.

use std::borrow::Cow;
use std::vec;

use smallvec::SmallVec;

use super::packet::{Attributes, Packet};
use super::vendor::{self, Pieces, VENDOR_SPECIFIC};
use crate::config::{AttributePath, Envelope, VendorFormat};

/// The most octets of a value that is put together: four attributes full. What is longer is no value, so that one
/// packet can't have us copy itself again and again.
pub const CONCATENATED_MAX: usize = 1024;

/// RFC 6929 section 2.2, and WiMAX alike: the value goes on in the next attribute.
const MORE: u8 = 0x80;

/// The values, in the order of the packet. What does not fit its envelope is left out, and never harms the packet.
/// They are borrowed from it, but for those that were put together.
#[must_use]
pub fn values<'a, 'p>(packet: &Packet<'a>, path: &'p AttributePath) -> Values<'a, 'p> {
    let (envelope, nested) = path.envelope().map_or((None, [].as_slice()), |(e, nested)| (Some(e), nested));
    Values {
        parts: Parts {
            attributes: packet.attributes(),
            envelope,
            vendors: vendor::pieces(&[], VendorFormat::USUAL),
        },
        head: match envelope {
            Some(Envelope::Extended { vendor, .. }) => vendor,
            _ => None,
        },
        nested,
        open: None,
        found: Tlvs::none(),
        together: Vec::new().into_iter(),
    }
}

/// See [`values`].
#[derive(Debug)]
pub struct Values<'a, 'p> {
    parts: Parts<'a>,
    /// With which vendor and type a value must begin.
    head: Option<(u32, u8)>,
    /// The way to it through TLVs.
    nested: &'p [u32],
    open: Option<Open>,
    found: Tlvs<'a, 'p>,
    together: vec::IntoIter<Vec<u8>>,
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        loop {
            if let Some(value) = self.found.next() {
                return Some(Cow::Borrowed(value));
            }
            if let Some(value) = self.together.next() {
                return Some(Cow::Owned(value));
            }
            let Part { value, more, adjacent } = self.parts.next()?;
            // RFC 6929 section 2.2: the parts stand next to each other. One whose continuation is missing is no value.
            if !adjacent {
                self.open = None;
            }
            match (self.open.take(), more) {
                // Nearly all are asked for as they stand.
                (None, false) if self.head.is_none() && self.nested.is_empty() => {
                    return Some(Cow::Borrowed(value));
                }
                (None, false) => self.found = Tlvs::of(value, self.head, self.nested),
                (open, more) => {
                    let open = open.unwrap_or(Open::Octets(Vec::new())).and(value);
                    if more {
                        self.open = Some(open);
                    } else if let Open::Octets(octets) = open {
                        let found: Vec<_> =
                            Tlvs::of(&octets, self.head, self.nested).map(<[u8]>::to_vec).collect();
                        self.together = found.into_iter();
                    }
                }
            }
        }
    }
}

/// A value whose end has not come yet.
#[derive(Debug)]
enum Open {
    Octets(Vec<u8>),
    /// Its remaining parts are skipped.
    TooLong,
}

impl Open {
    fn and(self, value: &[u8]) -> Open {
        match self {
            Open::Octets(mut octets) if octets.len().saturating_add(value.len()) <= CONCATENATED_MAX => {
                octets.extend_from_slice(value);
                Open::Octets(octets)
            }
            _ => Open::TooLong,
        }
    }
}

/// The parts of an attribute's values. Everything else in the packet is passed over without a word: a record is asked for
/// several attributes that it mostly lacks, and handing over each one between them was half of what reading it took.
#[derive(Debug)]
struct Parts<'a> {
    attributes: Attributes<'a>,
    envelope: Option<Envelope>,
    /// What is left of the Vendor-Specific attribute that is walked.
    vendors: Pieces<'a>,
}

struct Part<'a> {
    value: &'a [u8],
    more: bool,
    /// Whether nothing else stood between the part before and this one.
    adjacent: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let mut adjacent = true;
        match self.envelope? {
            Envelope::Standard { kind } => {
                let value = self.outer(kind, &mut adjacent)?;
                Some(Part { value, more: false, adjacent })
            }
            Envelope::Extended { kind, long, extension, .. } => loop {
                let value = self.outer(kind, &mut adjacent)?;
                if let Some((value, more)) = extended(value, long, extension) {
                    return Some(Part { value, more, adjacent });
                }
                adjacent = false;
            },
            Envelope::Vendor { vendor, format, kind } => loop {
                for piece in self.vendors.by_ref() {
                    if piece.kind == kind {
                        return Some(Part { value: piece.value, more: piece.more, adjacent });
                    }
                    adjacent = false;
                }
                let value = self.outer(VENDOR_SPECIFIC, &mut adjacent)?;
                let within = value.strip_prefix(&vendor.to_be_bytes());
                self.vendors = vendor::pieces(within.unwrap_or_default(), format);
                match self.vendors.next() {
                    Some(piece) if piece.kind == kind => {
                        return Some(Part { value: piece.value, more: piece.more, adjacent });
                    }
                    _ => adjacent = false,
                }
            },
        }
    }
}

impl<'a> Parts<'a> {
    /// The value of the next attribute of this type.
    fn outer(&mut self, kind: u8, adjacent: &mut bool) -> Option<&'a [u8]> {
        loop {
            let attribute = self.attributes.next()?;
            if attribute.kind == kind {
                return Some(attribute.value);
            }
            *adjacent = false;
        }
    }
}

/// RFC 6929 sections 2.1 and 2.2: behind the extended type, and for some an octet of flags, the value; and whether it goes
/// on. `None`: it is of another extended type.
fn extended(octets: &[u8], long: bool, extension: u8) -> Option<(&[u8], bool)> {
    let (&first, value) = octets.split_first()?;
    if first != extension {
        return None;
    }
    if !long {
        return Some((value, false));
    }
    let (&flags, value) = value.split_first()?;
    Some((value, flags & MORE != 0))
}

/// Looks for TLVs within TLVs (RFC 6929 section 2.3): depth first, which is the order of the packet.
#[derive(Debug)]
struct Tlvs<'a, 'p> {
    /// The value itself, when no TLV in it is asked for.
    whole: Option<&'a [u8]>,
    /// The way down.
    kinds: &'p [u32],
    /// What is left at each level that was entered; never more levels than `kinds`.
    levels: SmallVec<[Pieces<'a>; 2]>,
}

impl<'a, 'p> Tlvs<'a, 'p> {
    fn none() -> Self {
        Tlvs { whole: None, kinds: &[], levels: SmallVec::new() }
    }

    /// Within this value; `head` says with which vendor and type it must begin (RFC 6929 section 2.4).
    fn of(value: &'a [u8], head: Option<(u32, u8)>, kinds: &'p [u32]) -> Self {
        let value = match head {
            None => Some(value),
            Some((vendor, kind)) => {
                value.strip_prefix(&vendor.to_be_bytes()).and_then(|rest| rest.strip_prefix(&[kind]))
            }
        };
        match value {
            None => Tlvs::none(),
            Some(value) if kinds.is_empty() => Tlvs { whole: Some(value), ..Tlvs::none() },
            Some(value) => {
                let mut levels = SmallVec::new();
                levels.push(vendor::pieces(value, VendorFormat::USUAL));
                Tlvs { whole: None, kinds, levels }
            }
        }
    }
}

impl<'a> Iterator for Tlvs<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(whole) = self.whole.take() {
            return Some(whole);
        }
        loop {
            let depth = self.levels.len();
            let Some(piece) = self.levels.last_mut()?.next() else {
                self.levels.pop();
                continue;
            };
            let wanted = depth.checked_sub(1).and_then(|level| self.kinds.get(level));
            if wanted != Some(&piece.kind) {
                continue;
            }
            if depth == self.kinds.len() {
                return Some(piece.value);
            }
            self.levels.push(vendor::pieces(piece.value, VendorFormat::USUAL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::dictionary::Dictionary;
    use crate::radius::text;

    /// A packet of these attributes.
    fn packet(attributes: &[&[u8]]) -> Vec<u8> {
        let attributes = attributes.concat();
        let length = u16::try_from(20 + attributes.len()).unwrap();
        [[4, 1].as_slice(), &length.to_be_bytes(), &[0; 16], &attributes].concat()
    }

    /// All values of the attribute, and whether each was borrowed.
    fn found(octets: &[u8], spelling: &str) -> Vec<(Vec<u8>, bool)> {
        let packet = Packet::decode(octets).unwrap();
        let path = Dictionary::builtin().find(spelling).unwrap().path;
        let found = values(&packet, &path).map(|value| match value {
            Cow::Borrowed(value) => (value.to_vec(), true),
            Cow::Owned(value) => (value, false),
        });
        found.collect()
    }

    /// The same where all of them were borrowed.
    fn borrowed(octets: &[u8], spelling: &str) -> Vec<String> {
        let found = found(octets, spelling);
        assert!(found.iter().all(|(_, borrowed)| *borrowed), "{spelling}");
        found.into_iter().map(|(value, _)| String::from_utf8(value).unwrap()).collect()
    }

    /// What is written with this list, and read again under the name.
    fn written(lines: &str, spelling: &str) -> Vec<(Vec<u8>, bool)> {
        found(&packet(&[&text::parse_attributes(lines, Dictionary::builtin()).unwrap()]), spelling)
    }

    /// A Vendor-Specific attribute.
    fn of_vendor(vendor: u32, octets: &[u8]) -> Vec<u8> {
        let length = u8::try_from(octets.len() + 6).unwrap();
        [[26, length].as_slice(), &vendor.to_be_bytes(), octets].concat()
    }

    /// WiMAX: one part of an attribute of type 1.
    fn part(more: bool, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len() + 3).unwrap();
        of_vendor(24757, &[[1, length, if more { 0x80 } else { 0 }].as_slice(), value].concat())
    }

    /// RFC 6929: one part of 245.1.
    fn long(more: bool, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len() + 4).unwrap();
        [[245, length, 1, if more { 0x80 } else { 0 }].as_slice(), value].concat()
    }

    #[test]
    fn standard_attributes_come_in_order_and_are_borrowed() {
        let octets = packet(&[&[25, 3, b'a'], &[1, 3, b'x'], &[25, 2], &[25, 4, b'b', b'c']]);
        assert_eq!(borrowed(&octets, "Class"), ["a", "", "bc"]);
        assert_eq!(borrowed(&octets, "NAS-Port"), Vec::<String>::new());
    }

    #[test]
    fn vendors_attributes_come_from_all_envelopes_in_order_and_are_borrowed() {
        let octets = packet(&[
            &of_vendor(9, &[1, 3, b'a', 2, 3, b'x', 1, 3, b'b']),
            &of_vendor(3561, &[1, 3, b'x']),
            &of_vendor(9, &[1, 3, b'c']),
        ]);
        assert_eq!(borrowed(&octets, "Cisco-AVPair"), ["a", "b", "c"]);
        assert_eq!(borrowed(&octets, "26.9.0"), Vec::<String>::new());
    }

    #[test]
    fn each_vendor_is_read_in_its_own_form() {
        for (vendor, octets, spelling) in [
            (8164, [1, 41, 0, 5, b'a', 1, 41, 0, 5, b'b'].as_slice(), "SN-NAT-IP-Address"),
            (4846, &[1, 0, 4, b'a', 1, 0, 4, b'b'], "26.4846.256"),
            (24757, &[1, 4, 0, b'a', 1, 4, 0, b'b'], "26.24757.1"),
        ] {
            assert_eq!(borrowed(&packet(&[&of_vendor(vendor, octets)]), spelling), ["a", "b"], "{spelling}");
        }
        let octets =
            packet(&[&of_vendor(429, &[0, 0, 0x98, 0x43, b'a', b'b']), &of_vendor(429, &[0, 0, 0x98, 0x43])]);
        assert_eq!(borrowed(&octets, "26.429.38979"), ["ab", ""]);
    }

    #[test]
    fn a_length_that_lies_hides_what_follows_in_its_envelope_and_nothing_else() {
        for (vendor, good, lie, spelling) in [
            (9, [1, 3, b'a'].as_slice(), [1, 1, 1].as_slice(), "26.9.1"),
            (8164, &[0, 1, 0, 5, b'a'], &[0, 1, 0, 3], "26.8164.1"),
            (4846, &[0, 1, 4, b'a'], &[0, 1, 9], "26.4846.1"),
            (24757, &[1, 4, 0, b'a'], &[1, 2, 0], "26.24757.1"),
            (429, &[0, 0, 0, 1, b'a'], &[0, 0, 1], "26.429.1"),
        ] {
            let lies = of_vendor(vendor, &[lie, good].concat());
            // In 3Com's form there is no length that could lie; only the type can be cut short.
            let lies = if vendor == 429 { of_vendor(vendor, lie) } else { lies };
            let octets = packet(&[&of_vendor(vendor, good), &lies, &of_vendor(vendor, good)]);
            assert_eq!(borrowed(&octets, spelling), ["a", "a"], "{spelling}");
        }
    }

    #[test]
    fn extended_attributes_are_found_by_both_types() {
        let octets =
            packet(&[&[241, 4, 6, b'a'], &[241, 4, 5, b'x'], &[242, 4, 6, b'x'], &[241, 3, 6], &[241, 2]]);
        assert_eq!(borrowed(&octets, "241.6"), ["a", ""]);
    }

    #[test]
    fn tlvs_are_found_at_any_depth_in_order() {
        // Two in the first envelope with another between them, one in the second.
        let octets = packet(&[
            &[241, 15, 6, 1, 3, b'a', 2, 5, 1, 3, b'x', 1, 4, b'b', b'c'],
            &[1, 2],
            &[241, 6, 6, 1, 3, b'd'],
        ]);
        assert_eq!(borrowed(&octets, "241.6.1"), ["a", "bc", "d"]);
        assert_eq!(borrowed(&octets, "241.6.2.1"), ["x"]);
        assert_eq!(borrowed(&octets, "241.6.1.1"), Vec::<String>::new());
        let nested = packet(&[&of_vendor(24757, &[28, 12, 0, 11, 9, 5, 7, 5, 5, 1, 2, b'y'])]);
        assert_eq!(borrowed(&nested, "26.24757.28.11.5.5"), ["\x01\x02y"]);
        assert_eq!(borrowed(&packet(&[&[173, 5, 1, 3, b'z']]), "IPv6-6rd-IPv4MaskLen"), ["z"]);
    }

    #[test]
    fn a_tlv_that_lies_hides_what_follows_within_its_parent_and_nothing_else() {
        // Within the first child: a length of 1, then one beyond its end.
        let octets = packet(&[&[241, 18, 6, 2, 5, 1, 1, b'x', 2, 5, 1, 4, b'x', 2, 5, 1, 3, b'a']]);
        assert_eq!(borrowed(&octets, "241.6.2.1"), ["a"]);
        let octets = packet(&[&[241, 9, 6, 2, 0, 2, 3, 1, 2], &[241, 8, 6, 2, 5, 1, 3, b'a']]);
        assert_eq!(borrowed(&octets, "241.6.2.1"), ["a"]);
    }

    #[test]
    fn an_extended_vendors_attribute_begins_with_its_number_and_type() {
        let evs = |kind: u8, vendor: u32, inner: u8, value: &[u8]| {
            let head = if kind > 244 { [26, 0].as_slice() } else { &[26] };
            let length = u8::try_from(head.len() + value.len() + 7).unwrap();
            [[kind, length].as_slice(), head, &vendor.to_be_bytes(), &[inner], value].concat()
        };
        let octets = packet(&[
            &evs(241, 99, 1, b"a"),
            &evs(241, 98, 1, b"x"),
            &evs(241, 99, 2, b"x"),
            &[241, 6, 26, 0, 0, 0],
            &evs(245, 99, 1, &[5, 3, b'b']),
        ]);
        assert_eq!(borrowed(&octets, "241.26.99.1"), ["a"]);
        assert_eq!(borrowed(&octets, "245.26.99.1.5"), ["b"]);
    }

    #[test]
    fn a_value_in_parts_is_put_together() {
        for (part, spelling) in [(part as fn(bool, &[u8]) -> Vec<u8>, "26.24757.1"), (long, "245.1")] {
            let octets = packet(&[
                &part(true, b"ab"),
                &part(true, b""),
                &part(false, b"c"),
                &part(false, b"d"),
                &part(true, b"e"),
                &part(false, b""),
            ]);
            let expected = [(b"abc".to_vec(), false), (b"d".to_vec(), true), (b"e".to_vec(), false)];
            assert_eq!(found(&octets, spelling), expected, "{spelling}");
        }
    }

    #[test]
    fn tlvs_are_found_in_a_value_that_was_put_together() {
        let octets = packet(&[&long(true, &[5, 3, b'a', 5]), &long(false, &[4, b'b', b'c', 6, 2])]);
        assert_eq!(found(&octets, "245.1.5"), [(b"a".to_vec(), false), (b"bc".to_vec(), false)]);
        let octets = packet(&[&[245, 7, 26, 0x80, 0, 0, 0], &[245, 7, 26, 0, 99, 1, b'x']]);
        assert_eq!(found(&octets, "245.26.99.1"), [(b"x".to_vec(), false)]);
    }

    #[test]
    fn a_value_whose_next_part_is_missing_is_none() {
        for (part, spelling) in [(part as fn(bool, &[u8]) -> Vec<u8>, "26.24757.1"), (long, "245.1")] {
            for between in
                [vec![1, 2], of_vendor(9, &[1, 2]), of_vendor(24757, &[2, 3, 0]), vec![245, 4, 2, 0]]
            {
                let octets = packet(&[&part(true, b"a"), &between, &part(false, b"b")]);
                assert_eq!(found(&octets, spelling), [(b"b".to_vec(), true)], "{spelling} {between:?}");
            }
            assert_eq!(found(&packet(&[&part(true, b"a")]), spelling), [], "{spelling}");
        }
    }

    // CVE-2017-10985: another server went round and round over concatenated attributes.
    #[test]
    fn a_concatenation_of_1024_octets_is_a_value_and_one_octet_more_is_none() {
        for (part, spelling) in [(part as fn(bool, &[u8]) -> Vec<u8>, "26.24757.1"), (long, "245.1")] {
            let of = |last: usize| {
                let full = part(true, &[b'x'; 246]);
                packet(&[&full, &full, &full, &full, &part(false, &vec![b'x'; last]), &part(false, b"after")])
            };
            let after = (b"after".to_vec(), true);
            assert_eq!(found(&of(40), spelling), [(vec![b'x'; 1024], false), after.clone()], "{spelling}");
            assert_eq!(found(&of(41), spelling), [after], "{spelling}");
        }
    }

    #[test]
    fn what_is_written_in_any_form_is_found_again() {
        let text = |octets: usize| "x".repeat(octets);
        for (spelling, octets, whole) in [
            ("User-Name", 253, true),
            ("Cisco-AVPair", 247, true),
            ("SN-VPN-Name", 245, true),
            ("Attr-26.429.38979", 245, true),
            ("Attr-26.4846.300", 246, true),
            ("Attr-26.24757.1", 246, true),
            ("Attr-26.24757.1", 247, false),
            ("Attr-26.24757.1", 1024, false),
            ("IP-Port-Range-Local-Id", 250, true),
            ("Attr-245.1", 251, true),
            ("Attr-245.1", 252, false),
            ("Attr-246.26.11344.1", 300, false),
            ("Attr-26.24757.28.11.5.5", 240, true),
            ("Attr-173.9", 251, true),
        ] {
            let found = written(&format!("{spelling} = \"{}\"", text(octets)), spelling);
            assert_eq!(found, [(text(octets).into_bytes(), whole)], "{spelling} {octets}");
        }
    }

    #[test]
    fn neighbours_of_one_parent_are_written_so_that_each_is_found() {
        for parent in ["241.6", "241.26.99.1", "245.26.99.1", "26.24757.28", "173"] {
            let lines = format!("Attr-{parent}.1 = \"a\"\nAttr-{parent}.2 = \"b\"\nAttr-{parent}.1 = \"c\"");
            let expected = [(b"a".to_vec(), true), (b"c".to_vec(), true)];
            assert_eq!(written(&lines, &format!("{parent}.1")), expected, "{parent}");
        }
    }

    #[test]
    fn internal_attributes_are_in_no_packet() {
        let path = AttributePath::new(0, VendorFormat::USUAL, &[1000]).unwrap();
        let octets = packet(&[&[1, 3, b'x']]);
        assert_eq!(values(&Packet::decode(&octets).unwrap(), &path).count(), 0);
    }
}
