//! What MTAs say, as codecs over octets: octets to a question, an answer to octets.
//!
//! Knows: framing and spelling, with limits. Must not know: sockets, the live map, or why an answer is what it is.

pub mod milter;
pub mod netstring;
pub mod policy;
pub mod socketmap;

use std::fmt;
use std::io;
use std::net::IpAddr;

/// Why a stream of requests can't be read on. `B` says what is broken about the octets.
#[derive(Debug)]
pub enum ReadError<B> {
    /// The octets are no request and never will be. It stays so: nobody knows where the next request begins.
    Broken(B),
    /// The stream itself failed; only a framed reader that owns a socket makes this one.
    Io(io::Error),
}

impl<B> From<io::Error> for ReadError<B> {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

impl<B: fmt::Display> fmt::Display for ReadError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Broken(broken) => broken.fmt(f),
            ReadError::Io(error) => error.fmt(f),
        }
    }
}

impl<B: fmt::Debug + fmt::Display> std::error::Error for ReadError<B> {}

/// The client address that an MTA tells, in any spelling that MTAs use, folded to the family it really is.
///
/// A host name, `unknown` and everything else give `None`. Host names come from reverse DNS, which the client
/// chooses: nothing that is not an address in full may ever match.
#[must_use]
pub fn address(octets: &[u8]) -> Option<IpAddr> {
    let mut text = std::str::from_utf8(octets).ok()?;
    if let Some(inner) = text.strip_prefix('[') {
        text = inner.strip_suffix(']')?;
    }
    // Sendmail writes `IPv6:2001:db8::1` and lower-cases its keys.
    let tagged = text.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("ipv6:"));
    let address: IpAddr = match tagged {
        Some((_, rest)) => IpAddr::V6(rest.parse().ok()?),
        None => text.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// The client port that an MTA tells. Zero and words (`unknown`) mean that it does not know.
#[must_use]
pub fn port(octets: &[u8]) -> Option<u16> {
    number(octets).filter(|&port| port != 0)
}

/// Decimal digits and nothing else; the standard parser would take a sign.
fn number<N: std::str::FromStr>(octets: &[u8]) -> Option<N> {
    let digits = std::str::from_utf8(octets).ok()?;
    digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_the_same_address() {
        for spelling in [
            "2001:db8::7",
            "2001:0DB8:0000:0000:0000:0000:0000:0007",
            "[2001:db8::7]",
            "ipv6:2001:db8::7",
            "IPv6:2001:DB8::7",
            "[IPv6:2001:db8::7]",
        ] {
            assert_eq!(address(spelling.as_bytes()), "2001:db8::7".parse().ok(), "{spelling}");
        }
        for spelling in
            ["192.0.2.7", "[192.0.2.7]", "::ffff:192.0.2.7", "::FFFF:c000:207", "IPv6:::ffff:192.0.2.7"]
        {
            assert_eq!(address(spelling.as_bytes()), "192.0.2.7".parse().ok(), "{spelling}");
        }
    }

    #[test]
    fn what_is_not_wholly_an_address_is_none() {
        for key in [
            "",
            "unknown",
            "host7.isp.example",
            "192.0.2",
            "192.0.2.7 ",
            " 192.0.2.7",
            "192.0.2.7\0",
            "192.0.2.07",
            "192.0.2.7.isp.example",
            "[192.0.2.7",
            "192.0.2.7]",
            "ipv6:192.0.2.7",
            "ipv6:",
            "fe80::1%eth0",
            "2001:db8::/64",
            "ünknown",
        ] {
            assert_eq!(address(key.as_bytes()), None, "{key:?}");
        }
        assert_eq!(address(b"\xff\xfe"), None);
    }

    #[test]
    fn a_port_is_digits_from_1_to_65535() {
        assert_eq!(port(b"65535"), Some(65535));
        assert_eq!(port(b"65536"), None);
        assert_eq!(port(b"1"), Some(1));
        assert_eq!(port(b"0"), None);
        for word in ["", "+80", "-1", "80 ", "unknown", "0x50"] {
            assert_eq!(port(word.as_bytes()), None, "{word:?}");
        }
    }
}
