//! One line of somebody's log, as text to what can be asked about it: whose address, which port, at which moment.
//!
//! Nothing is guessed. An address that the line marks as the client's is taken before others; where none is marked, all are
//! returned and a person chooses. A local hour that was there twice is said to be so, with both readings.
//!
//! Knows: how logs spell addresses and time. Must not know: what time it is, in which zone the log was written (both are
//! arguments), or who had an address.

mod addresses;
mod moment;
pub mod wall;

use std::net::IpAddr;

use jiff::tz::TimeZone;

use crate::session::Timestamp;
use wall::NotOnce;

/// So much of a line is looked at: what matters stands at its beginning, and somebody else chose how long it is.
pub const LINE_OCTETS_MAX: usize = 16 * 1024;
/// So many different addresses of one line are told.
pub const ADDRESSES_MAX: usize = 16;

/// An address as a line tells it, with its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; `::ffff:192.0.2.1` is the IPv4 address it carries.
    pub address: IpAddr,
    /// The source port, from 1 on.
    pub port: Option<u16>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Understood {
    /// Whom it can be about, each once, as they stand in it. More than one: the line marks none as the client.
    pub endpoints: Vec<Endpoint>,
    /// When; `None`: it tells no moment. An error: it tells one that was not there exactly once.
    pub at: Option<Result<Timestamp, NotOnce>>,
}

/// The endpoints of a text without a line's conventions, such as a part of a Received header.
#[must_use]
pub fn endpoints(text: &str) -> Vec<Endpoint> {
    addresses::find(&ascii(text.as_bytes()), false)
}

/// A moment that is told with its offset: RFC 5322 or RFC 3339. Without one it would mean something else to each reader.
#[must_use]
pub fn dated(text: &str) -> Option<Timestamp> {
    moment::dated(&ascii(text.as_bytes()))
}

/// Octet by octet, so that a line in any charset has the same places; nothing that is looked for goes beyond ASCII.
fn ascii(line: &[u8]) -> String {
    let line = line.get(..LINE_OCTETS_MAX).unwrap_or(line);
    line.iter().map(|&octet| if octet.is_ascii() { char::from(octet) } else { '?' }).collect()
}

/// Reads a line. Without a year or an offset it is read as of `now` and in `zone`.
#[must_use]
pub fn read(line: &[u8], now: Timestamp, zone: &TimeZone) -> Understood {
    let text = ascii(line);
    let stamp = moment::find(&text, now, zone);
    let endpoints = addresses::find(&text, stamp.as_ref().is_some_and(|stamp| stamp.common_log));
    Understood { endpoints, at: stamp.map(|stamp| stamp.at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-27T12:00:00Z.
    pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_795_780_800);

    /// Central European Time by its rule, so that the tests need no zone files.
    pub(super) fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule")
    }

    /// What was understood, as the table spells it.
    fn spelled(understood: &Understood) -> String {
        let endpoint = |endpoint: &Endpoint| match endpoint.port {
            Some(port) => format!("{} port {port}", endpoint.address),
            None => endpoint.address.to_string(),
        };
        let endpoints: Vec<String> = understood.endpoints.iter().map(endpoint).collect();
        let endpoints = if endpoints.is_empty() { "-".to_owned() } else { endpoints.join(", ") };
        let at = match &understood.at {
            None => "-".to_owned(),
            Some(Ok(at)) => {
                format!("{:.3}", jiff::Timestamp::from_millisecond(at.millis()).expect("a moment"))
            }
            Some(Err(NotOnce::Twice { earlier, later })) => format!("twice {earlier} {later}"),
            Some(Err(NotOnce::Never { .. })) => "never".to_owned(),
            Some(Err(NotOnce::OutOfRange)) => "beyond".to_owned(),
        };
        format!("{endpoints} | {at}")
    }

    #[test]
    fn every_line_of_the_table_is_understood_as_it_says() {
        let table = include_str!("../../tests/data/paste/lines.txt");
        let mut count = 0;
        let mut wrong = Vec::new();
        let mut lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        while let (Some(line), Some(expected)) = (lines.next(), lines.next()) {
            let expected = expected.strip_prefix("  = ").expect("an expectation under each line");
            let found = spelled(&read(line.as_bytes(), NOW, &berlin()));
            if found != expected {
                wrong.push(format!("{line}\n  expected {expected}\n  found    {found}"));
            }
            count += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(count >= 60, "only {count} lines");
    }

    #[test]
    fn a_year_that_is_not_told_is_the_one_that_makes_it_past() {
        let year = |line: &str, now: &str| {
            let now: jiff::Timestamp = now.parse().expect("a moment");
            let now = Timestamp::from_millis(now.as_millisecond());
            let at = read(line.as_bytes(), now, &TimeZone::UTC).at.expect("a moment").expect("once");
            jiff::Timestamp::from_millisecond(at.millis()).expect("a moment").to_string()
        };
        // Clocks differ: a day ahead is still this year's, a moment more is last year's.
        assert_eq!(year("Nov 28 12:00:00 mx x", "2026-11-27T12:00:00Z"), "2026-11-28T12:00:00Z");
        assert_eq!(year("Nov 28 12:00:01 mx x", "2026-11-27T12:00:00Z"), "2025-11-28T12:00:01Z");
        assert_eq!(year("Dec 31 23:59:59 mx x", "2027-01-01T00:00:10Z"), "2026-12-31T23:59:59Z");
        assert_eq!(year("Jan  1 00:00:05 mx x", "2026-12-31T23:59:55Z"), "2027-01-01T00:00:05Z");
        // There was none since 2024.
        assert_eq!(year("Feb 29 01:00:00 mx x", "2027-06-01T00:00:00Z"), "2024-02-29T01:00:00Z");
    }

    #[test]
    fn what_stands_behind_the_longest_line_is_not_looked_at() {
        let beyond =
            |blanks: usize| read(&[vec![b' '; blanks], b"192.0.2.7".to_vec()].concat(), NOW, &berlin());
        assert_eq!(beyond(LINE_OCTETS_MAX - 9).endpoints.len(), 1);
        assert_eq!(beyond(LINE_OCTETS_MAX).endpoints.len(), 0);
        let many: String = (0..=255).map(|last| format!("192.0.2.{last} ")).collect();
        assert_eq!(read(many.as_bytes(), NOW, &berlin()).endpoints.len(), ADDRESSES_MAX);
    }

    /// Pieces that mean something, in any order.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "192.0.2.7",
            "2001:db8::7",
            "[",
            "]",
            ":51234",
            " port ",
            "Nov 26 02:39:26",
            "26/Nov/2026:02:39:26 +0100",
            "2026-11-26T02:39:26",
            "+01:00",
            "Z",
            "1795438800",
            "client=",
            "SRC=",
            "SPT=",
            "from ",
            "by ",
            "H=(",
            "::",
            "99999",
            "\u{fc}",
            "Thu, 26 Nov 2026 02:39:26 +2400",
            "-",
            " ",
            "\u{0}",
            "IPv6:",
            "%",
            "#",
            "/",
            "(",
            "9999-99-99 99:99:99",
        ];
        let word = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
        let any = prop::collection::vec(any::<u8>(), 0..8);
        prop::collection::vec(prop_oneof![4 => word, 1 => any], 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_line_is_survived_and_what_is_found_can_be_asked_about(line in pieces()) {
            let understood = read(&line, NOW, &berlin());
            prop_assert!(understood.endpoints.len() <= ADDRESSES_MAX);
            for endpoint in &understood.endpoints {
                prop_assert_ne!(endpoint.port, Some(0));
                prop_assert!(!endpoint.address.is_unspecified());
                prop_assert_eq!(endpoint.address, endpoint.address.to_canonical());
            }
            if let Some(Ok(at)) = understood.at {
                prop_assert!(jiff::Timestamp::from_millisecond(at.millis()).is_ok());
            }
        }

        #[test]
        fn an_address_and_its_port_are_found_in_every_spelling(
            v4 in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), port in 1u16.., six in any::<bool>(),
        ) {
            let address: IpAddr = if six { v6.into() } else { v4.into() };
            prop_assume!(!address.is_unspecified() && address == address.to_canonical());
            prop_assume!(address.to_string().bytes().any(|octet| octet.is_ascii_digit()));
            let endpoint = Endpoint { address, port: Some(port) };
            for line in [
                format!("client=x[{address}]:{port}"),
                format!("from {address} port {port}"),
                format!("[{address}]:{port}"),
                format!("SRC={address} DST=198.51.100.1 SPT={port} DPT=25"),
                format!("{address}#{port}"),
            ] {
                prop_assert_eq!(read(line.as_bytes(), NOW, &berlin()).endpoints, vec![endpoint], "{}", line);
            }
        }
    }
}
