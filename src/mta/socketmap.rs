//! Socketmap (Postfix `socketmap_table(5)`, Sendmail, Exim's `readsocket`): `name key` asked, a word and data answered.
//!
//! Knows: maps by name, keys as addresses, and which spellings of an answer do harm in which MTA. Must not know:
//! what any key maps to.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::netstring::{self, Broken, Netstrings};
use super::{ReadError, address, port};

/// Longest answer in octets. Names are far shorter: RADIUS attributes hold 253 octets, twice that in hex.
pub const DATA_LIMIT: usize = 1_000;

/// Longest reason in octets: Postfix logs no more of it.
const REASON_LIMIT: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// `relay`: may this address relay, and whose is it?
    Relay,
    /// `access`: the same as an access(5) action.
    Access,
    /// `subscriber`: whose is it, whatever the verdict?
    Subscriber,
    /// No map of ours.
    Unknown,
}

/// About whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key {
    /// `None`: the key is no address (Postfix asks for the host name first).
    pub address: Option<IpAddr>,
    /// Only the map `subscriber` takes one.
    pub port: Option<u16>,
}

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which map.
    pub map: Map,
    /// Which key.
    pub key: Key,
}

impl Request {
    /// The question in a frame's payload. Anything can be asked; what isn't understood has no answer.
    #[must_use]
    pub fn from_payload(payload: &[u8]) -> Self {
        // Only the first space divides: a key may hold further ones, a map's name none.
        let mut halves = payload.splitn(2, |&octet| octet == b' ');
        let name = halves.next().unwrap_or_default();
        let key = halves.next().unwrap_or_default();
        match name {
            b"relay" => Request { map: Map::Relay, key: Key { address: address(key), port: None } },
            b"access" => Request { map: Map::Access, key: Key { address: address(key), port: None } },
            b"subscriber" => Request { map: Map::Subscriber, key: address_and_port(key).unwrap_or_default() },
            _ => Request { map: Map::Unknown, key: Key::default() },
        }
    }
}

/// `address` or `address port`. A port that is told and can't be read makes the whole key unreadable: on an address
/// shared by ports, answering for another port would name another person.
fn address_and_port(key: &[u8]) -> Option<Key> {
    let mut words = key.splitn(2, |&octet| octet == b' ');
    let address = address(words.next()?)?;
    match words.next() {
        None | Some(b"0") => Some(Key { address: Some(address), port: None }),
        Some(word) => Some(Key { address: Some(address), port: Some(port(word)?) }),
    }
}

/// One answer.
///
/// There is no `PERM`: Postfix takes it for a temporary failure and Sendmail for "not found".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Found, with the data.
    Ok(Bytes),
    /// Surely not found.
    NotFound,
    /// Not known now, and why.
    Temp(&'static str),
}

impl Reply {
    /// What follows from octets that are no request; the connection ends after it.
    pub const BROKEN: Reply = Reply::Temp("malformed request");

    /// Appends the answer to `stream`.
    pub fn write(&self, stream: &mut BytesMut) {
        match self {
            Reply::Ok(data) => match spoken(data) {
                Ok(data) => netstring::write(stream, &[b"OK ", data.as_ref()]),
                Err(reason) => netstring::write(stream, &[b"TEMP ", reason]),
            },
            // With its space: that is how the protocol is written down, and what every MTA was tried with.
            Reply::NotFound => netstring::write(stream, &[b"NOTFOUND "]),
            Reply::Temp(reason) => {
                let reason = printable(reason.as_bytes());
                let reason = reason.get(..REASON_LIMIT).unwrap_or(&reason);
                netstring::write(stream, &[b"TEMP ", reason]);
            }
        }
    }
}

/// The data as it may be sent, or why nothing is found after all.
fn spoken(data: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, &'static [u8]> {
    // A bare `OK` crashes Sendmail 8.17, and Postfix relays for an empty answer: neither can leave this function.
    if data.trim_ascii().is_empty() {
        return Err(b"the answer is empty");
    }
    // An answer cut short could be somebody else's name, so it is not cut.
    if data.len() > DATA_LIMIT {
        return Err(b"the answer is too long");
    }
    Ok(printable(data))
}

/// Control octets would end up in log files and mail headers of the MTA.
fn printable(octets: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !octets.iter().any(u8::is_ascii_control) {
        return octets.into();
    }
    octets.iter().map(|&octet| if octet.is_ascii_control() { b'?' } else { octet }).collect::<Vec<_>>().into()
}

/// A stream of questions, and of answers the other way.
#[derive(Debug, Clone)]
pub struct Socketmap(Netstrings);

impl Default for Socketmap {
    fn default() -> Self {
        Socketmap(Netstrings::new(netstring::REQUEST_LIMIT))
    }
}

impl Decoder for Socketmap {
    type Item = Request;
    type Error = ReadError<Broken>;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Request>, Self::Error> {
        self.0.next(stream, Request::from_payload).map_err(ReadError::Broken)
    }

    fn decode_eof(&mut self, stream: &mut BytesMut) -> Result<Option<Request>, Self::Error> {
        self.0.last(stream, Request::from_payload).map_err(ReadError::Broken)
    }
}

impl Encoder<Reply> for Socketmap {
    type Error = ReadError<Broken>;

    fn encode(&mut self, reply: Reply, stream: &mut BytesMut) -> Result<(), Self::Error> {
        reply.write(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(payload: &str) -> Request {
        Request::from_payload(payload.as_bytes())
    }

    fn key(address: &str, port: Option<u16>) -> Key {
        Key { address: address.parse().ok(), port }
    }

    fn written(reply: &Reply) -> String {
        let mut stream = BytesMut::new();
        reply.write(&mut stream);
        String::from_utf8(stream.to_vec()).unwrap()
    }

    #[test]
    fn each_map_has_its_name_and_case_counts() {
        assert_eq!(request("relay 192.0.2.7").map, Map::Relay);
        assert_eq!(request("access 192.0.2.7").map, Map::Access);
        assert_eq!(request("subscriber 192.0.2.7").map, Map::Subscriber);
        for unknown in ["Relay 192.0.2.7", "relays 192.0.2.7", " 192.0.2.7", "", "192.0.2.7"] {
            assert_eq!(request(unknown).map, Map::Unknown, "{unknown:?}");
        }
    }

    #[test]
    fn a_request_without_a_key_asks_about_nobody() {
        for bare in ["relay", "relay ", "access", "subscriber "] {
            assert_eq!(request(bare).key, Key::default(), "{bare:?}");
        }
    }

    #[test]
    fn only_the_first_space_divides_name_and_key() {
        assert_eq!(request("relay 192.0.2.7 25").key, Key::default());
        assert_eq!(request("relay  192.0.2.7").key, Key::default());
    }

    #[test]
    fn the_subscriber_map_takes_a_port() {
        assert_eq!(request("subscriber 192.0.2.7 40001").key, key("192.0.2.7", Some(40001)));
        assert_eq!(request("subscriber ipv6:2001:db8::1 7").key, key("2001:db8::1", Some(7)));
        assert_eq!(request("subscriber 192.0.2.7").key, key("192.0.2.7", None));
        assert_eq!(request("subscriber 192.0.2.7 0").key, key("192.0.2.7", None));
    }

    #[test]
    fn an_unreadable_port_never_falls_back_to_the_whole_address() {
        for told in ["65536", "", "x", "1 2", "+1"] {
            assert_eq!(request(&format!("subscriber 192.0.2.7 {told}")).key, Key::default(), "{told:?}");
        }
    }

    #[test]
    fn answers_are_spelled_as_the_protocol_says() {
        assert_eq!(written(&Reply::Ok(Bytes::from_static(b"alice"))), "8:OK alice,");
        assert_eq!(written(&Reply::NotFound), "9:NOTFOUND ,");
        assert_eq!(written(&Reply::Temp("starting")), "13:TEMP starting,");
    }

    #[test]
    fn an_ok_without_data_never_leaves() {
        for nothing in ["", " ", "\n"] {
            let reply = written(&Reply::Ok(Bytes::from(nothing)));
            assert_eq!(reply, "24:TEMP the answer is empty,", "{nothing:?}");
        }
    }

    #[test]
    fn the_longest_data_is_sent_and_one_octet_more_is_not() {
        let longest = written(&Reply::Ok(Bytes::from(vec![b'a'; DATA_LIMIT])));
        assert!(longest.starts_with("1003:OK aaa"));
        let longer = written(&Reply::Ok(Bytes::from(vec![b'a'; DATA_LIMIT + 1])));
        assert_eq!(longer, "27:TEMP the answer is too long,");
    }

    #[test]
    fn no_control_octet_reaches_the_mta() {
        assert_eq!(written(&Reply::Ok(Bytes::from_static(b"a\r\nb\0\x7fc"))), "10:OK a??b??c,");
        assert_eq!(written(&Reply::Temp("a\nb")), "8:TEMP a?b,");
        assert_eq!(written(&Reply::Ok("böb".into())), "7:OK böb,");
    }
}
