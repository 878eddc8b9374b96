//! Requests as NASes send them, and what becomes of each between the socket and the engine's queue.
//!
//! Knows: RADIUS octets, and the rules by which a record is read. Must not know: what a record does.

use std::hint::black_box;

use relaywarden::config::{Client, Identity, Secret};
use relaywarden::radius::accounting::{self, Rules};
use relaywarden::radius::authenticator;
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::{Packet, code};
use relaywarden::radius::text;
use relaywarden::session::identity::Canonical;
use relaywarden::session::{Name, Timestamp};

use super::Measure;
use super::subscribers::ipv4;

const SECRET: &[u8] = b"a secret of a usual length";
/// So many different ones are sent again and again.
const DIFFERENT: u32 = 256;
/// Octets of a plain one.
const OCTETS: usize = 300;

/// Requests of one kind, and the rules for them.
pub(super) struct Datagrams {
    octets: Vec<Vec<u8>>,
    arrival: Timestamp,
    client: Client,
    identity: Identity,
    clocks: NasClocks,
}

impl Datagrams {
    /// Starts with what the RFCs know: an IPv4 address, two IPv6 prefixes, 300 octets.
    pub(super) fn plain() -> Datagrams {
        const SENT: i64 = 1_800_000_000;
        let one = |number: u32| {
            let [_, high, middle, low] = number.to_be_bytes();
            let attributes = format!(
                "Acct-Status-Type = Start\nAcct-Session-Id = \"{number:016x}\"\n\
                 User-Name = \"subscriber{number}@isp.example\"\nEvent-Timestamp = {SENT}\n\
                 Framed-IP-Address = {}\nFramed-IPv6-Prefix = 2001:db8:c0{high:02x}:{middle:02x}{low:02x}::/64\n\
                 Delegated-IPv6-Prefix = 2001:db8:{high:02x}{middle:02x}:{low:02x}00::/56\n\
                 NAS-Identifier = \"petrel1.isp.example\"\nNAS-IP-Address = 192.0.2.1\nNAS-Port = {number}\n\
                 NAS-Port-Id = \"ge-3/1/0.demux0.{number}:100-200\"\n\
                 Calling-Station-Id = \"02:00:{high:02x}:{middle:02x}:{low:02x}:01\"\nService-Type = Framed-User\n\
                 Framed-Protocol = PPP\nNAS-Port-Type = Ethernet\nAcct-Authentic = RADIUS\n",
                ipv4(number.into()),
            );
            let mut attributes = attributes_of(&attributes);
            // Whatever is left of the size is a Class, which a NAS hands back as it got it.
            let class = OCTETS - 20 - attributes.len();
            attributes.extend([25, u8::try_from(class).expect("less than an attribute holds")]);
            attributes.resize(OCTETS - 20, b'c');
            signed(&attributes)
        };
        // Three digits, so that all are alike.
        Datagrams::new((100..100 + DIFFERENT).map(one).collect(), "192.0.2.1", Timestamp::from_seconds(SENT))
    }

    /// A Start of an MX with vendor's attributes, a sample that tests read, too; it came 66 seconds after its stamp.
    pub(super) fn vendors() -> Datagrams {
        let sample = include_str!("../../tests/data/samples/juniper-mx-pppoe-1-start.txt");
        let arrival = Timestamp::from_seconds(1_616_521_905);
        Datagrams::new(vec![signed(&attributes_of(sample))], "1.1.1.1", arrival)
    }

    fn new(octets: Vec<Vec<u8>>, source: &str, arrival: Timestamp) -> Datagrams {
        let address: std::net::IpAddr = source.parse().expect("an address");
        let everything = ["0.0.0.0/0", "::/0"].map(|prefix| prefix.parse().expect("a prefix"));
        let client = Client {
            may_assign: everything.to_vec(),
            ..Client::new(Name::from("bras1"), address.into(), Secret::new(SECRET))
        };
        let chain = Dictionary::builtin().id("User-Name").into_iter().collect();
        let identity = Identity::new(chain, Canonical { lowercase: true, ..Canonical::default() });
        Datagrams { octets, arrival, client, identity, clocks: NasClocks::default() }
    }

    pub(super) fn decode(&self, count: usize, measure: Measure<'_>) {
        measure(&mut || {
            for octets in self.octets.iter().cycle().take(count) {
                let packet = Packet::decode(black_box(octets)).expect("what was encoded is a packet");
                assert!(authenticator::is_authentic(black_box(&packet), SECRET), "it was signed");
            }
        });
    }

    pub(super) fn read(&mut self, count: usize, measure: Measure<'_>) {
        let Datagrams { octets, arrival, client, identity, clocks } = self;
        let packets: Vec<Packet<'_>> =
            octets.iter().filter_map(|octets| Packet::decode(octets).ok()).collect();
        let source = client.address.addr();
        let rules = Rules { client, source, identity, never: &[] };
        measure(&mut || {
            for packet in packets.iter().cycle().take(count) {
                let record = accounting::read(black_box(packet), &rules, *arrival, clocks);
                assert!(!black_box(record).expect("a Start").claims.is_empty(), "an address is claimed");
            }
        });
    }

    pub(super) fn answer(&self, count: usize, measure: Measure<'_>) {
        let packets: Vec<Packet<'_>> =
            self.octets.iter().filter_map(|octets| Packet::decode(octets).ok()).collect();
        measure(&mut || {
            for packet in packets.iter().cycle().take(count) {
                black_box(authenticator::accounting_response(black_box(packet), SECRET));
            }
        });
    }
}

fn attributes_of(text: &str) -> Vec<u8> {
    text::parse_attributes(text, Dictionary::builtin()).expect("attributes with their names")
}

fn signed(attributes: &[u8]) -> Vec<u8> {
    text::encode_request(code::ACCOUNTING_REQUEST, 1, attributes, SECRET).expect("it fits a packet")
}
