//! What the fuzz targets share: octets as packets, the clients that send them, and what must be true of whatever they say.
//!
//! Knows: the crate from outside, as its tests do. Must not know: what a fuzzer is.

pub mod history;
pub mod scan;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use relaywarden::config::file::{self, Contents, Files};
use relaywarden::config::{Client, Config};
use relaywarden::radius::accounting::{self, Ignored, Rules};
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::session::bindings::{Found, LiveMap, Lookup};
use relaywarden::session::event::{Applied, Event, Record};
use relaywarden::session::machine::Machine;
use relaywarden::session::{Realm, Timestamp};

/// When everything begins.
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// RFC 2865, 3: the longest packet.
const PACKET_OCTETS_MAX: usize = 4096;
const HEADER_OCTETS: usize = 20;

const CONFIGURATION: &str = r#"
[retention]
sessions = "180d"
messages = "90d"
questions = "365d"

[[radius.client]]
name = "plain"
address = "192.0.2.1"
secret = "testing123"

[[radius.client]]
name = "pooled"
address = "192.0.2.2"
realm = "blue"
secret = "testing123"
may-assign = ["100.64.0.0/10", "198.51.100.0/24", "2001:db8::/32"]
stop-start = true

[[radius.client]]
name = "proxy"
address = "192.0.2.3"
secret = "testing123"
role = "proxy"
may-assign = ["0.0.0.0/0", "::/0"]

[relay]
never = ["203.0.113.0/28", "2001:db8:ffff::/48"]
"#;

struct Text;

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Contents> {
        Ok(Contents { octets: CONFIGURATION.as_bytes().to_vec(), mode: 0o600 })
    }
}

/// A client without pools, one with, and one that speaks for others.
pub struct Clients(&'static Config);

impl Clients {
    /// Where each of them sends from.
    pub const SOURCES: [IpAddr; 3] = [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3)),
    ];

    /// As configured above; read once.
    pub fn configured() -> Self {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        Clients(CONFIG.get_or_init(|| {
            let loaded = file::read(Path::new("relaywarden.toml"), &Text, &mut Dictionary::beside_builtin());
            loaded.map_err(|error| error.to_string()).expect("our own configuration").config
        }))
    }

    /// The one that sends from there.
    pub fn of(&self, source: IpAddr) -> &Client {
        self.0.radius.client(source).expect("one of ours")
    }

    /// What is nobody's.
    pub fn never(&self) -> &[IpNet] {
        &self.0.relay.never
    }

    /// Reads an accounting request as the daemon does, once its authenticator is proven.
    pub fn read(
        &self,
        request: &[u8],
        source: IpAddr,
        arrival: Timestamp,
        clocks: &mut NasClocks,
    ) -> Result<Box<Record>, Ignored> {
        let packet = Packet::decode(request).expect("it was made whole");
        let (client, identity, never) = (self.of(source), &self.0.identity, self.never());
        accounting::read(&packet, &Rules { client, source, identity, never }, arrival, clocks)
    }

    /// An empty machine that knows these clients.
    pub fn machine(&self) -> Machine {
        let clients = self.0.radius.clients.iter();
        let applied = Applied {
            pools: clients.map(|client| (client.name.clone(), client.may_assign.clone())).collect(),
            never: self.never().to_vec(),
            ..Applied::default()
        };
        let mut machine = Machine::new(Arc::new(LiveMap::default()));
        machine.fold(NOW, &Event::Applied(Box::new(applied)), &mut Vec::new());
        machine
    }
}

/// An Accounting-Request of these octets, whatever they are: lengths that lie are cut to what is there.
pub fn request(octets: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEADER_OCTETS];
    packet[0] = 4;
    let mut rest = octets;
    while let [kind, length, behind @ ..] = rest {
        let value = usize::from(*length).saturating_sub(2).min(behind.len());
        push(&mut packet, *kind, &behind[..value]);
        rest = &behind[value..];
    }
    let length = u16::try_from(packet.len()).expect("no longer than a packet");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// One attribute more, if it fits.
fn push(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = &value[..value.len().min(253)];
    if packet.len() + value.len() + 2 <= PACKET_OCTETS_MAX {
        packet.extend([kind, u8::try_from(value.len() + 2).expect("at most 255")]);
        packet.extend(value);
    }
}

/// One of a series of packets: an octet says who sends it after which pause, two how long it is.
pub struct Sent {
    /// From where.
    pub source: IpAddr,
    /// Seconds after the one before.
    pub pause: u64,
    /// The packet.
    pub request: Vec<u8>,
}

impl Sent {
    /// The series in some octets; a bounded number.
    pub fn all(octets: &[u8]) -> Vec<Sent> {
        // From a retransmission to a day.
        const PAUSES: [u64; 8] = [0, 1, 5, 60, 600, 3600, 14_400, 90_000];
        let mut series = Vec::new();
        let mut rest = octets;
        while let [how, high, low, behind @ ..] = rest
            && series.len() < 64
        {
            let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
            let (attributes, after) = behind.split_at(length);
            let source = Clients::SOURCES[usize::from(how & 0x0f) % Clients::SOURCES.len()];
            let pause = PAUSES[usize::from(how >> 4) % PAUSES.len()];
            series.push(Sent { source, pause, request: request(attributes) });
            rest = after;
        }
        series
    }

    /// Writes one down as `all` reads it, for the corpus.
    pub fn spelled(how: u8, attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).expect("no longer than a packet");
        [&[how], length.to_be_bytes().as_slice(), attributes].concat()
    }
}

/// Those whose attributes are read, and one that nobody knows.
pub const VENDORS: [u32; 16] =
    [9, 311, 529, 2011, 2352, 2636, 3561, 4874, 6527, 14_988, 18_681, 25_506, 43_823, 54_268, 10_055, 64_000];
/// Attributes whose content has a grammar of its own.
pub const OWN: [u8; 8] = [22, 25, 99, 241, 243, 245, 246, 97];

/// An interim update with the vendors' attributes in some octets: one says whose, one how long. With the highest bit the
/// vendor's own header is right and only what is in it is arbitrary.
pub fn vendors_record(octets: &[u8]) -> Vec<u8> {
    let mut attributes = vec![40, 6, 0, 0, 0, 3, 44, 4, b's', b'1', 1, 5, b'b', b'o', b'b'];
    let mut rest = octets;
    while let [whose, length, behind @ ..] = rest {
        let (content, after) = behind.split_at(usize::from(*length).min(behind.len()).min(245));
        let which = usize::from(whose & 0x3f);
        match (VENDORS.get(which), content) {
            (None, content) => push(&mut attributes, OWN[which % OWN.len()], content),
            (Some(vendor), [kind, value @ ..]) if whose & 0x80 != 0 => {
                let length = u8::try_from(value.len() + 2).expect("at most 246");
                let value = [&vendor.to_be_bytes(), [*kind, length].as_slice(), value].concat();
                push(&mut attributes, 26, &value);
            }
            (Some(vendor), raw) => push(&mut attributes, 26, &[&vendor.to_be_bytes(), raw].concat()),
        }
        rest = after;
    }
    request(&attributes)
}

/// First and last address as numbers, and the family: what a prefix is when nobody thinks of prefixes.
fn range(prefix: IpNet) -> (bool, u128, u128) {
    match prefix {
        IpNet::V4(net) => (false, u32::from(net.network()).into(), u32::from(net.broadcast()).into()),
        IpNet::V6(net) => (true, net.network().into(), net.broadcast().into()),
    }
}

/// Addresses that are nobody's: the ends of what is special.
pub fn special_addresses() -> impl Iterator<Item = IpAddr> {
    SPECIAL_V4
        .into_iter()
        .flat_map(|(first, last)| [first, last])
        .map(|number| IpAddr::V4(Ipv4Addr::from(number)))
        .chain(
            SPECIAL_V6
                .into_iter()
                .flat_map(|(first, last)| [first, last])
                .map(|number| IpAddr::V6(Ipv6Addr::from(number))),
        )
}

const SPECIAL_V4: [(u32, u32); 5] = [
    (0x0000_0000, 0x00ff_ffff),
    (0x7f00_0000, 0x7fff_ffff),
    (0xa9fe_0000, 0xa9fe_ffff),
    (0xe000_0000, 0xefff_ffff),
    (0xffff_fffe, 0xffff_ffff),
];
const SPECIAL_V6: [(u128, u128); 3] =
    [(0, 0xffff_ffff_ffff), (0xfe80 << 112, (0xfec0 << 112) - 1), (0xff00 << 112, u128::MAX)];

/// I5: what a record claims may be a subscriber's own, and this client's to give.
pub fn assert_admissible(record: &Record, client: &Client, never: &[IpNet]) {
    for claim in &record.claims {
        let (ipv6, first, last) = range(claim.prefix);
        let special = if ipv6 {
            SPECIAL_V6.iter().any(|(from, to)| first <= *to && *from <= last)
        } else {
            SPECIAL_V4.iter().any(|(from, to)| first <= u128::from(*to) && u128::from(*from) <= last)
        };
        assert!(!special, "{claim:?} is special");
        assert!(last - first <= if ipv6 { (1 << 84) - 1 } else { 255 }, "{claim:?} is too wide");
        let holds = |outer: &IpNet| {
            let (family, from, to) = range(*outer);
            family == ipv6 && from <= first && last <= to
        };
        assert!(
            client.may_assign.is_empty() || client.may_assign.iter().any(holds),
            "{claim:?} is no pool's"
        );
        let touches = |ours: &IpNet| {
            let (family, from, to) = range(*ours);
            family == ipv6 && first <= to && from <= last
        };
        assert!(!never.iter().any(touches), "{claim:?} is ours");
    }
}

/// I8: an address of which somebody has a part of the ports is nobody's as a whole.
pub fn assert_shared_is_nobodys(map: &LiveMap, realm: Realm, address: IpAddr, now: Timestamp) {
    let whole = map.lookup(realm, address, None, now);
    let sharers = map.sharers(realm, address);
    if !sharers.is_empty() {
        assert!(!matches!(whole, Lookup::Found(_)), "{address} is shared by {sharers:?} and {whole:?}");
    }
    // Whoever is named without a port is named with every port, or nobody is.
    let Lookup::Found(whole) = whole else { return };
    for port in [0, 1023, 1024, 2047, 2048, u16::MAX] {
        if let Lookup::Found(found) = map.lookup(realm, address, Some(port), now) {
            let key = |found: &Found| found.session.as_ref().map(|session| session.key());
            let same = key(&found) == key(&whole) && found.subscriber_octets() == whole.subscriber_octets();
            assert!(same, "{address} is {whole:?}, and its port {port} {found:?}");
        }
    }
}
