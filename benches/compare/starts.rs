//! The requests that everybody is sent: Starts of new sessions, 300 octets each, signed, with the only right answer.
//!
//! Knows: what a NAS says of a PPPoE session. Must not know: sockets, who answers.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use relaywarden::radius::authenticator::{self, Response};
use relaywarden::radius::packet::{Packet, code};

use super::Failure;

/// Every Start is this long.
pub(crate) const OCTETS: usize = 300;
/// The secret that every NAS shares with every server.
pub(crate) const SECRET: &str = "a secret of four words";

/// The address of a subscriber, which identifies the session, too. Twelve million of them have prefixes as well.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | (number & 0x00ff_ffff))
}

/// The subscriber's name.
pub(crate) fn subscriber(number: u32) -> String {
    format!("subscriber{number}@isp.example")
}

/// A request that is signed, and the only answer that is right.
pub(crate) struct Request {
    /// Of the session.
    pub(crate) number: u32,
    pub(crate) octets: Vec<u8>,
    pub(crate) answer: Response,
}

/// Seconds since 1970, as Event-Timestamp has them.
pub(crate) fn dated() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(since).unwrap_or(u32::MAX)
}

/// A NAS says that it has just begun: whatever sessions it had are over.
pub(crate) fn accounting_on(identifier: u8, dated: u32) -> Result<Request, Failure> {
    let mut list = Attributes::default();
    list.add(40, &7_u32.to_be_bytes());
    list.add(55, &dated.to_be_bytes());
    list.add(32, b"petrel1.isp.example");
    list.signed(0, identifier)
}

/// The Start of a PPPoE session with an IPv4 address, a prefix for the link and a delegated one.
pub(crate) fn start(number: u32, identifier: u8, dated: u32) -> Result<Request, Failure> {
    let mut list = Attributes::default();
    let user = subscriber(number);
    let [_, high, middle, low] = number.to_be_bytes();
    // Below 2001:db8::/32, where delegated prefixes never reach the upper quarter that the links have.
    let prefix = |length: u8, [a, b, c, d]: [u8; 4]| [0, length, 0x20, 0x01, 0x0d, 0xb8, a, b, c, d];
    list.add(40, &1_u32.to_be_bytes());
    list.add(44, format!("{number:016x}").as_bytes());
    list.add(1, user.as_bytes());
    list.add(55, &dated.to_be_bytes());
    list.add(8, &address(number).octets());
    list.add(97, &prefix(64, [0xc0, high, middle, low]));
    list.add(123, &prefix(56, [high, middle, low, 0]));
    list.add(32, b"petrel1.isp.example");
    list.add(4, &[192, 0, 2, 1]);
    list.add(5, &number.to_be_bytes());
    list.add(87, format!("ge-3/1/0.demux0.{number}:100-200").as_bytes());
    list.add(31, format!("02:00:{high:02x}:{middle:02x}:{low:02x}:01").as_bytes());
    list.add(6, &2_u32.to_be_bytes());
    list.add(7, &1_u32.to_be_bytes());
    list.add(61, &15_u32.to_be_bytes());
    list.add(45, &1_u32.to_be_bytes());
    // Whatever is left of the size asked for is a Class, which a NAS hands back as it got it.
    let left = OCTETS.saturating_sub(list.0.len() + 20 + 2);
    list.add(25, &vec![b'c'; left]);

    list.signed(number, identifier)
}

#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn add(&mut self, number: u8, value: &[u8]) {
        // An attribute has room for 253 octets (RFC 2865 section 5); what is made here stays far below.
        let value = value.get(..253).unwrap_or(value);
        self.0.push(number);
        self.0.push(u8::try_from(value.len() + 2).unwrap_or(u8::MAX));
        self.0.extend_from_slice(value);
    }

    fn signed(self, number: u32, identifier: u8) -> Result<Request, Failure> {
        let octets = authenticator::sign_request(
            code::ACCOUNTING_REQUEST,
            identifier,
            &[0; 16],
            &self.0,
            SECRET.as_bytes(),
        );
        let octets = octets.map_err(|_| Failure::Encoding)?;
        let packet = Packet::decode(&octets).map_err(|_| Failure::Encoding)?;
        let answer = authenticator::accounting_response(&packet, SECRET.as_bytes());
        Ok(Request { number, octets, answer })
    }
}
