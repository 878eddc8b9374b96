//! Octets of one attribute to a typed value, or `None` when they do not fit: the packet goes on without it.
//!
//! Knows: the wire forms of integers, addresses, prefixes and routes. Must not know: which attribute matters
//! to us.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// An integer, or a date in seconds since 1970: exactly four octets.
#[must_use]
pub fn integer(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// An IPv4 address: exactly four octets (CVE-2022-24704: a longer one was copied into a field of four).
#[must_use]
pub fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

/// An IPv6 address: exactly sixteen octets.
#[must_use]
pub fn ipv6(value: &[u8]) -> Option<Ipv6Addr> {
    <[u8; 16]>::try_from(value).ok().map(Ipv6Addr::from)
}

/// An IPv6 prefix (RFC 3162 section 2.3, RFC 4818 section 3): a zero octet, a length up to 128, and up to
/// sixteen octets of which trailing zeros may be missing.
///
/// Old equipment uses the same type numbers for other things (a Catalyst sends text). So the reserved octet,
/// which RFC 4818 would have us ignore, must be zero, and so must the bits beyond the length: text fails
/// both.
#[must_use]
pub fn ipv6_prefix(value: &[u8]) -> Option<Ipv6Net> {
    let (&[reserved, length], octets) = value.split_first_chunk()?;
    if reserved != 0 {
        return None;
    }
    let mut address = [0; 16];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    let prefix = Ipv6Net::new(Ipv6Addr::from(address), length).ok()?;
    (prefix.addr() == prefix.network()).then_some(prefix)
}

/// An IPv4 prefix (RFC 8044 section 3.11): a zero octet, a length up to 32, and four octets.
#[must_use]
pub fn ipv4_prefix(value: &[u8]) -> Option<Ipv4Net> {
    let &[0, length, a, b, c, d] = value else { return None };
    let prefix = Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length).ok()?;
    (prefix.addr() == prefix.network()).then_some(prefix)
}

/// The destination of a Framed-Route (RFC 2865 section 5.22): the first word. Without a length the old
/// classes decide it. Gateway, metric and what vendors append are not ours.
#[must_use]
pub fn ipv4_route(value: &[u8]) -> Option<Ipv4Net> {
    let (address, length) = destination(value)?;
    let address: Ipv4Addr = address.parse().ok()?;
    let length = match length {
        Some(length) => length,
        None => classful_length(address)?,
    };
    Ipv4Net::new(address, length).ok().map(|prefix| prefix.trunc())
}

/// The destination of a Framed-IPv6-Route (RFC 3162 section 2.5): the first word; without a length a host.
#[must_use]
pub fn ipv6_route(value: &[u8]) -> Option<Ipv6Net> {
    let (address, length) = destination(value)?;
    Ipv6Net::new(address.parse().ok()?, length.unwrap_or(128)).ok().map(|prefix| prefix.trunc())
}

fn destination(value: &[u8]) -> Option<(&str, Option<u8>)> {
    // Everything up to the space counts as a separator, so that a C string's NUL ends the word too.
    let word = value.split(|&octet| octet <= b' ').find(|word| !word.is_empty())?;
    let word = std::str::from_utf8(word).ok()?;
    match word.split_once('/') {
        None => Some((word, None)),
        // `parse` alone would take a leading plus sign.
        Some((address, length)) if length.bytes().all(|octet| octet.is_ascii_digit()) => {
            Some((address, Some(length.parse().ok()?)))
        }
        Some(_) => None,
    }
}

fn classful_length(address: Ipv4Addr) -> Option<u8> {
    match address.octets() {
        [0..=127, ..] => Some(8),
        [128..=191, ..] => Some(16),
        [192..=223, ..] => Some(24),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(prefix: &str) -> Option<Ipv6Net> {
        Some(prefix.parse().unwrap())
    }

    #[test]
    fn integers_have_four_octets() {
        assert_eq!(integer(&[0, 0, 1, 2]), Some(258));
        assert_eq!(integer(&[0, 1, 2]), None);
        assert_eq!(integer(&[0, 0, 0, 1, 2]), None);
    }

    // CVE-2022-24704 and CVE-2022-0982: an attribute's length was believed for a field of fixed size.
    #[test]
    fn addresses_have_exactly_their_size() {
        assert_eq!(ipv4(&[192, 0, 2, 1]), Some(Ipv4Addr::new(192, 0, 2, 1)));
        for length in [0, 3, 5, 16, 253] {
            assert_eq!(ipv4(&vec![1; length]), None, "{length}");
        }
        assert_eq!(ipv6(&[0; 16]), Some(Ipv6Addr::UNSPECIFIED));
        for length in [0, 4, 15, 17, 253] {
            assert_eq!(ipv6(&vec![1; length]), None, "{length}");
        }
    }

    #[test]
    fn a_prefix_keeps_its_length() {
        let octets = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0x10];
        assert_eq!(ipv6_prefix(&[[0, 60].as_slice(), &octets].concat()), v6("2001:db8:1:10::/60"));
        assert_eq!(ipv6_prefix(&[[0, 64].as_slice(), &octets].concat()), v6("2001:db8:1:10::/64"));
        let padded = [[0, 56].as_slice(), &[0x20, 0x01, 0x0d, 0xb8], &[0; 12]].concat();
        assert_eq!(ipv6_prefix(&padded), v6("2001:db8::/56"));
    }

    #[test]
    fn trailing_zeros_of_a_prefix_may_be_missing() {
        assert_eq!(ipv6_prefix(&[0, 48, 0x20, 0x01, 0x0d, 0xb8]), v6("2001:db8::/48"));
        assert_eq!(ipv6_prefix(&[0, 0]), v6("::/0"));
    }

    #[test]
    fn a_prefix_has_2_to_18_octets() {
        assert_eq!(ipv6_prefix(&[]), None);
        assert_eq!(ipv6_prefix(&[0]), None);
        assert!(ipv6_prefix(&[[0, 128].as_slice(), &[1; 16]].concat()).is_some());
        assert_eq!(ipv6_prefix(&[[0, 128].as_slice(), &[1; 17]].concat()), None);
    }

    #[test]
    fn a_prefix_length_of_128_is_accepted_and_129_refused() {
        assert!(ipv6_prefix(&[[0, 128].as_slice(), &[1; 16]].concat()).is_some());
        assert_eq!(ipv6_prefix(&[[0, 129].as_slice(), &[1; 16]].concat()), None);
        assert_eq!(ipv6_prefix(&[0, 200, 0x20, 0x01]), None);
    }

    #[test]
    fn bits_beyond_a_prefix_length_refuse_it() {
        assert!(ipv6_prefix(&[0, 63, 0x20, 1, 0, 0, 0, 0, 0, 2]).is_some());
        assert_eq!(ipv6_prefix(&[0, 63, 0x20, 1, 0, 0, 0, 0, 0, 1]), None);
    }

    #[test]
    fn an_ipv4_prefix_has_6_octets_a_length_up_to_32_and_nothing_beyond_it() {
        assert_eq!(ipv4_prefix(&[0, 24, 192, 0, 2, 0]), Some("192.0.2.0/24".parse().unwrap()));
        assert_eq!(ipv4_prefix(&[0, 32, 192, 0, 2, 1]), Some("192.0.2.1/32".parse().unwrap()));
        let wrong: [&[u8]; 5] = [
            &[0, 33, 192, 0, 2, 1],
            &[0, 24, 192, 0, 2, 1],
            &[1, 24, 192, 0, 2, 0],
            &[0, 24, 192, 0, 2],
            &[0, 24, 192, 0, 2, 0, 0],
        ];
        for octets in wrong {
            assert_eq!(ipv4_prefix(octets), None, "{octets:?}");
        }
    }

    #[test]
    fn text_in_the_place_of_a_prefix_is_none() {
        assert_eq!(ipv6_prefix(b"?0E81DEF"), None);
        assert_eq!(ipv6_prefix(&[1, 64, 0x20, 1]), None);
    }

    #[test]
    fn a_route_is_its_first_word() {
        let route = |text: &str| ipv4_route(text.as_bytes()).map(|prefix| prefix.to_string());
        assert_eq!(route("198.51.100.8/29 0.0.0.0 1").as_deref(), Some("198.51.100.8/29"));
        assert_eq!(route("198.51.100.9/29 0.0.0.0 pref 0 type managed").as_deref(), Some("198.51.100.8/29"));
        assert_eq!(route(" 198.51.100.8/32\0").as_deref(), Some("198.51.100.8/32"));
        for nonsense in
            ["", " ", "/24", "198.51.100.8/", "198.51.100.8/33", "198.51.100.8/+2", "198.51.100/24", "x"]
        {
            assert_eq!(route(nonsense), None, "{nonsense}");
        }
        assert_eq!(ipv4_route(b"\xff\xfe"), None);
    }

    #[test]
    fn a_route_without_a_length_is_classful() {
        let route = |text: &str| ipv4_route(text.as_bytes()).map(|prefix| prefix.to_string());
        assert_eq!(route("10.0.0.0 0.0.0.0 1").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(route("128.1.0.0").as_deref(), Some("128.1.0.0/16"));
        assert_eq!(route("198.51.100.0 192.0.2.1 1").as_deref(), Some("198.51.100.0/24"));
        assert_eq!(route("224.0.0.0"), None);
    }

    #[test]
    fn an_ipv6_route_is_its_first_word() {
        let text = b"2001:db8:1000::/64 :: 0 pref 0 type pd-host";
        assert_eq!(ipv6_route(text), v6("2001:db8:1000::/64"));
        assert_eq!(ipv6_route(b"2001:db8::7"), v6("2001:db8::7/128"));
        assert_eq!(ipv6_route(b"2001:db8::/129"), None);
    }
}
