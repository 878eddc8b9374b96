//! What stands in the box that takes anything: an address with or without its port, a line of a log, or a word that may be
//! a subscriber, a queue id, a token or a Message-ID.
//!
//! Knows: how to tell them apart. Must not know: which words anybody ever had.

use std::net::IpAddr;

use super::moment::Zone;
use crate::paste::wall::NotOnce;
use crate::paste::{self, Endpoint};
use crate::session::Timestamp;

/// What somebody typed or pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// One address.
    Address {
        /// Which.
        endpoint: Endpoint,
        /// The moment that a pasted line tells. An error: it was there twice or never.
        at: Option<Result<Timestamp, NotOnce>>,
        /// Whether it was found in a line.
        line: bool,
    },
    /// A line with several, and none marked as the client's.
    Several(Vec<Endpoint>, Option<Timestamp>),
    /// One word.
    Word(String),
    /// Several words and no address in them.
    NoAddress,
}

impl Asked {
    /// Reads it. A moment without a year or an offset is read as of `now` and in `zone`.
    #[must_use]
    pub fn of(text: &str, now: Timestamp, zone: &Zone) -> Asked {
        let text = text.trim();
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            let endpoint = Endpoint { address: address.to_canonical(), port: None };
            return Asked::Address { endpoint, at: None, line: false };
        }
        let understood = paste::read(text.as_bytes(), now, zone.zone());
        let is_word = !text.contains(char::is_whitespace);
        match understood.endpoints.as_slice() {
            // In a word an address counts only with its port and nothing else: names of subscribers may hold one.
            [endpoint] if !is_word || spelled(text, *endpoint) => {
                Asked::Address { endpoint: *endpoint, at: understood.at, line: !is_word }
            }
            [_, _, ..] if !is_word => {
                Asked::Several(understood.endpoints, understood.at.and_then(Result::ok))
            }
            _ if is_word => Asked::Word(text.to_owned()),
            _ => Asked::NoAddress,
        }
    }
}

fn spelled(text: &str, Endpoint { address, port }: Endpoint) -> bool {
    let Some(port) = port else { return false };
    [':', '#', '.']
        .iter()
        .any(|mark| text == format!("{address}{mark}{port}") || text == format!("[{address}]{mark}{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn asked(text: &str) -> Asked {
        Asked::of(text, Timestamp::from_seconds(1_795_780_800), &Zone::new(TimeZone::UTC))
    }

    fn address(text: &str, port: Option<u16>) -> Asked {
        let endpoint = Endpoint { address: text.parse().unwrap(), port };
        Asked::Address { endpoint, at: None, line: false }
    }

    #[test]
    fn addresses_are_told_from_words_whatever_their_spelling() {
        assert_eq!(asked(" 198.51.100.7 "), address("198.51.100.7", None));
        assert_eq!(asked("[2001:db8::7]"), address("2001:db8::7", None));
        assert_eq!(asked("::ffff:198.51.100.7"), address("198.51.100.7", None));
        assert_eq!(asked("198.51.100.7:40112"), address("198.51.100.7", Some(40112)));
        assert_eq!(asked("[2001:db8::7]:40112"), address("2001:db8::7", Some(40112)));
        for word in [
            "alice@isp.example",
            "4XyZ1b2c3d",
            "Zk3vQ",
            "customer-198.51.100.7",
            "0x2e",
            "<script>",
            "<1@198.51.100.7>",
            "..",
        ] {
            assert_eq!(asked(word), Asked::Word(word.to_owned()));
        }
    }

    #[test]
    fn a_pasted_line_tells_address_port_and_moment() {
        let line = "2026-11-26T02:39:26+00:00 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.7]:40112";
        let Asked::Address { endpoint, at, line: true } = asked(line) else { panic!("{:?}", asked(line)) };
        assert_eq!((endpoint.address.to_string().as_str(), endpoint.port), ("198.51.100.7", Some(40112)));
        assert!(matches!(at, Some(Ok(_))));
        assert!(
            matches!(asked("either 198.51.100.7 or 198.51.100.8"), Asked::Several(both, None) if both.len() == 2)
        );
        assert_eq!(asked("no address in here"), Asked::NoAddress);
    }
}
