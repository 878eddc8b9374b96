//! Invariant I5: whatever a record asks for and however its client is configured, nobody is bound to an address that no
//! subscriber may have; and whatever stands in an attribute, the packet is read and answered (row 50).
//!
//! What may be bound is told here a second time, naively: prefixes are ranges of numbers, and a list is scanned.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use relaywarden::config::{Client, Identity, Secret};
use relaywarden::radius::accounting::{self, Ignored, Rules};
use relaywarden::radius::authenticator;
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::radius::text;
use relaywarden::session::bindings::{LiveMap, Lookup};
use relaywarden::session::effect::Effect;
use relaywarden::session::event::{Applied, Event, Record};
use relaywarden::session::identity::Canonical;
use relaywarden::session::machine::Machine;
use relaywarden::session::{Name, Realm, Timestamp};

const SECRET: &[u8] = b"testing123";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// First and last addresses that are special.
const SPECIAL_V4: [(u32, u32); 5] = [
    (0x0000_0000, 0x00ff_ffff),
    (0x7f00_0000, 0x7fff_ffff),
    (0xa9fe_0000, 0xa9fe_ffff),
    (0xe000_0000, 0xefff_ffff),
    (0xffff_fffe, 0xffff_ffff),
];
const SPECIAL_V6: [(u128, u128); 3] = [
    // With the IPv4 addresses that are written as IPv6 ones.
    (0, 0xffff_ffff_ffff),
    (0xfe80 << 112, (0xfec0 << 112) - 1),
    (0xff00 << 112, u128::MAX),
];

/// Something that a record asks for, as the line that says so and the prefix that it means.
#[derive(Debug, Clone)]
struct Wish {
    line: String,
    prefix: IpNet,
}

/// Addresses at which rules change their mind, and any other.
fn ipv4() -> impl Strategy<Value = u32> {
    let edges = SPECIAL_V4.iter().flat_map(|(first, last)| [*first, *last]);
    let pools = [0x0a00_0000, 0x6440_0000, 0xc000_0200, 0xc633_6400, 0xcb00_7109];
    let edge = prop::sample::select(edges.chain(pools).collect::<Vec<u32>>());
    prop_oneof![
        3 => (edge, -2..=2_i32).prop_map(|(edge, by)| edge.wrapping_add_signed(by)),
        1 => any::<u32>(),
    ]
}

fn ipv6() -> impl Strategy<Value = u128> {
    let edges = SPECIAL_V6.iter().flat_map(|(first, last)| [*first, *last]);
    let pools = [0x2001_0db8 << 96, 0x2001_0db8_0f00 << 80, 0xfd00 << 112];
    let edge = prop::sample::select(edges.chain(pools).collect::<Vec<u128>>());
    prop_oneof![
        3 => (edge, -2..=2_i128, 0..128_u32)
            .prop_map(|(edge, by, shift)| edge.wrapping_add_signed(by.wrapping_shl(shift))),
        1 => any::<u128>(),
    ]
}

fn ipv4_net() -> impl Strategy<Value = IpNet> {
    (ipv4(), prop_oneof![3 => 20..=32_u8, 1 => 0..=32_u8])
        .prop_map(|(address, length)| IpNet::V4(Ipv4Net::new(address.into(), length).unwrap().trunc()))
}

fn ipv6_net() -> impl Strategy<Value = IpNet> {
    (ipv6(), prop_oneof![3 => 40..=64_u8, 1 => 0..=128_u8])
        .prop_map(|(address, length)| IpNet::V6(Ipv6Net::new(address.into(), length).unwrap().trunc()))
}

fn net() -> impl Strategy<Value = IpNet> {
    prop_oneof![ipv4_net(), ipv6_net()]
}

fn wish() -> impl Strategy<Value = Wish> {
    let told = |name: &'static str| move |prefix: IpNet| Wish { line: format!("{name} = {prefix}"), prefix };
    prop_oneof![
        3 => ipv4().prop_map(|address| {
            let address = Ipv4Addr::from(address);
            Wish { line: format!("Framed-IP-Address = {address}"), prefix: IpAddr::V4(address).into() }
        }),
        1 => ipv6().prop_map(|address| {
            let address = Ipv6Addr::from(address);
            Wish { line: format!("Framed-IPv6-Address = {address}"), prefix: IpAddr::V6(address).into() }
        }),
        2 => ipv6_net().prop_map(told("Framed-IPv6-Prefix")),
        2 => ipv6_net().prop_map(told("Delegated-IPv6-Prefix")),
        1 => ipv4_net()
            .prop_map(|prefix| Wish { line: format!("Framed-Route = \"{prefix} 0.0.0.0 1\""), prefix }),
        1 => (ipv6(), prop::sample::select(vec!["Alc-Ipv6-Address", "Huawei-Framed-IPv6-Address"])).prop_map(
            |(address, name)| {
                let address = Ipv6Addr::from(address);
                Wish { line: format!("{name} = {address}"), prefix: IpAddr::V6(address).into() }
            }
        ),
        1 => ipv6_net().prop_map(told("ERX-IPv6-NdRa-Prefix")),
        1 => (ipv4(), 1..=u16::MAX, 1..=u16::MAX).prop_map(|(address, a, b)| {
            let (address, first, last) = (Ipv4Addr::from(address), a.min(b), a.max(b));
            let line = format!("Alc-Nat-Port-Range = \"{address} {first}-{last} router base\"");
            Wish { line, prefix: IpAddr::V4(address).into() }
        }),
        1 => ipv4().prop_map(|address| Wish {
            line: format!("Attr-26.43823.21 = 0x{address:08x}"),
            prefix: IpAddr::V4(address.into()).into(),
        }),
        1 => ipv6_net()
            .prop_map(|prefix| Wish { line: format!("Framed-IPv6-Route = \"{prefix} :: 1\""), prefix }),
    ]
}

/// First and last address as numbers, and the family: what a prefix is when nobody thinks of prefixes.
fn range(prefix: &IpNet) -> (bool, u128, u128) {
    match prefix {
        IpNet::V4(net) => (false, u32::from(net.network()).into(), u32::from(net.broadcast()).into()),
        IpNet::V6(net) => (true, net.network().into(), net.broadcast().into()),
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    let ((family, first, last), (other, from, to)) = (range(a), range(b));
    family == other && first <= to && from <= last
}

fn within(inner: &IpNet, outer: &IpNet) -> bool {
    let ((family, first, last), (other, from, to)) = (range(inner), range(outer));
    family == other && from <= first && last <= to
}

/// Whether a subscriber may have this prefix at all.
fn may_be_had(prefix: &IpNet, may_assign: &[IpNet], never: &[IpNet]) -> bool {
    let (ipv6, first, last) = range(prefix);
    let special = if ipv6 {
        SPECIAL_V6.iter().any(|(from, to)| first <= *to && *from <= last)
    } else {
        SPECIAL_V4.iter().any(|(from, to)| first <= u128::from(*to) && u128::from(*from) <= last)
    };
    let too_wide = last - first > if ipv6 { (1 << 84) - 1 } else { 255 };
    let pooled = may_assign.is_empty() || may_assign.iter().any(|pool| within(prefix, pool));
    !special && !too_wide && pooled && !never.iter().any(|ours| overlap(prefix, ours))
}

/// A NAS's records on their way into the map.
struct World {
    client: Client,
    identity: Identity,
    never: Vec<IpNet>,
    clocks: NasClocks,
    machine: Machine,
    bound: Vec<IpNet>,
}

impl World {
    fn new(may_assign: Vec<IpNet>, never: Vec<IpNet>) -> Self {
        let applied = Applied {
            pools: vec![(Name::from("bras1"), may_assign.clone())],
            never: never.clone(),
            ..Applied::default()
        };
        let mut machine = Machine::new(Arc::new(LiveMap::default()));
        machine.fold(Timestamp::EARLIEST, &Event::Applied(Box::new(applied)), &mut Vec::new());
        let secret = Secret::new(SECRET);
        let client = Client {
            may_assign,
            ..Client::new(Name::from("bras1"), "192.0.2.1/32".parse().unwrap(), secret)
        };
        let chain = ["User-Name", "Class", "26.9.1"].map(|name| Dictionary::builtin().id(name).unwrap());
        let canonical = Canonical { lowercase: true, strip_realm: true, ..Canonical::default() };
        let identity = Identity::new(chain.to_vec(), canonical);
        World { client, identity, never, clocks: NasClocks::default(), machine, bound: Vec::new() }
    }

    /// Reads, folds and answers one packet with these attributes.
    fn receive(&mut self, attributes: &[u8]) -> Result<Box<Record>, Ignored> {
        let octets = text::encode_request(4, 1, attributes, SECRET).unwrap();
        let packet = Packet::decode(&octets).expect("its attributes are well formed");
        let source = "192.0.2.1".parse().unwrap();
        let rules = Rules { client: &self.client, source, identity: &self.identity, never: &self.never };
        let outcome = accounting::read(&packet, &rules, NOW, &mut self.clocks);
        if let Ok(record) = &outcome {
            let mut effects = Vec::new();
            self.machine.fold(NOW, &Event::Record(record.clone()), &mut effects);
            self.bound.extend(effects.iter().filter_map(|effect| match effect {
                Effect::Bound { place, .. } => Some(place.prefix),
                _ => None,
            }));
        }
        assert_eq!(authenticator::accounting_response(&packet, SECRET).as_slice().first(), Some(&5));
        outcome
    }

    fn finds(&self, address: IpAddr) -> bool {
        matches!(self.machine.map().lookup(Realm::PUBLIC, address, None, NOW), Lookup::Found(_))
    }
}

fn lines(text: &str) -> Vec<u8> {
    text::parse_attributes(text, Dictionary::builtin()).unwrap()
}

/// Vendors of whom we read something, and what.
const VENDORS: [(u32, &[u8]); 10] = [
    (9, &[1, 52, 251]),
    (2011, &[158, 159, 161, 162, 163, 165]),
    (2352, &[4, 132, 144, 213]),
    (3561, &[1, 2]),
    (4874, &[1, 83, 129, 164, 210]),
    (6527, &[11, 99, 100, 121, 141, 151, 163]),
    (8164, &[1]),
    (18681, &[16, 28, 29]),
    (25506, &[32, 33, 34]),
    (43823, &[21]),
];

/// Any attributes whose types and lengths are in order; what they hold is anybody's guess.
fn any_attributes() -> impl Strategy<Value = Vec<u8>> {
    // The attributes that we read come more often than those that we pass over.
    let read = [1, 4, 5, 8, 22, 25, 26, 30, 31, 32, 41, 46, 49, 55, 85, 87, 95, 97, 99, 123, 168, 241];
    let kind = prop_oneof![4 => prop::sample::select(read.to_vec()), 1 => any::<u8>()];
    let value = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..24),
        // Lengths that a type could have, with a first octet that a prefix could have.
        2 => (prop::sample::select(vec![4, 8, 16, 18]), any::<[u8; 18]>(), any::<bool>())
            .prop_map(|(length, octets, zero)| {
                let mut value: Vec<u8> = octets.into_iter().take(length).collect();
                value.iter_mut().take(usize::from(zero)).for_each(|octet| *octet = 0);
                value
            }),
        1 => prop::collection::vec(any::<u8>(), 253),
        1 => "[0-9a-f:./ ]{0,30}".prop_map(String::into_bytes),
    ];
    // What stands within Vendor-Specific and the extended attributes: types that we read, and any.
    let within =
        (prop::sample::select(VENDORS.to_vec()), any::<u8>(), prop::collection::vec(any::<u8>(), 0..20));
    let vendors = within.prop_map(|((vendor, kinds), which, octets)| {
        let kind = kinds.get(usize::from(which) % (kinds.len() + 1)).copied().unwrap_or(which);
        let length = u8::try_from(octets.len() + 2).unwrap();
        (26, [u32::to_be_bytes(vendor).as_slice(), &[kind, length], &octets].concat())
    });
    let tlv = (1..=11_u8, prop_oneof![4 => Just(4_usize), 1 => 0..9_usize], any::<[u8; 8]>());
    let tlvs = prop::collection::vec(tlv, 0..8).prop_map(|tlvs| {
        let mut octets = vec![6];
        for (kind, length, value) in tlvs {
            octets.extend([kind, u8::try_from(length + 2).unwrap()]);
            octets.extend(value.iter().take(length));
        }
        (241, octets)
    });
    let attribute = prop_oneof![6 => (kind, value), 3 => vendors, 1 => tlvs];
    prop::collection::vec(attribute, 0..12).prop_map(|list| {
        let mut attributes = Vec::new();
        for (kind, value) in list {
            attributes.extend([kind, u8::try_from(value.len() + 2).unwrap()]);
            attributes.extend(value);
        }
        attributes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// I5: what is admitted is exactly what may be had, and nothing else is ever bound or found.
    #[test]
    fn what_is_bound_may_be_had(
        wishes in prop::collection::vec(wish(), 0..5),
        later in prop::collection::vec(wish(), 0..3),
        may_assign in prop::collection::vec(net(), 0..4),
        never in prop::collection::vec(net(), 0..3),
    ) {
        let mut world = World::new(may_assign.clone(), never.clone());
        for (status, wishes) in [("Start", &wishes), ("Interim-Update", &later)] {
            let mut text = format!("Acct-Status-Type = {status}\nAcct-Session-Id = s1\nUser-Name = alice");
            wishes.iter().for_each(|wish| text.extend(["\n", &wish.line]));
            let record = world.receive(&lines(&text)).expect("a record");
            let mut admitted: Vec<_> = record.claims.iter().map(|claim| claim.prefix).collect();
            let mut expected: Vec<_> = wishes
                .iter()
                .map(|wish| wish.prefix)
                .filter(|prefix| may_be_had(prefix, &may_assign, &never))
                .collect();
            for prefixes in [&mut admitted, &mut expected] {
                prefixes.sort();
                prefixes.dedup();
            }
            prop_assert_eq!(admitted, expected);
        }
        for prefix in &world.bound {
            prop_assert!(may_be_had(prefix, &may_assign, &never), "{}", prefix);
        }
        for wish in wishes.iter().chain(&later) {
            if world.finds(wish.prefix.network()) {
                prop_assert!(world.bound.iter().any(|bound| bound.contains(&wish.prefix.network())));
            }
        }
    }

    /// Row 50: whatever its attributes hold, a record with a status and a session stays a record.
    #[test]
    fn no_attribute_fails_the_packet(attributes in any_attributes(), status in 1..=3_u32, may_assign in net()) {
        let mut world = World::new(vec![may_assign], Vec::new());
        let head = lines(&format!("Acct-Status-Type = {status}\nAcct-Session-Id = s1"));
        let outcome = world.receive(&[head, attributes].concat());
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
        for prefix in &world.bound {
            prop_assert!(may_be_had(prefix, &[may_assign], &[]), "{}", prefix);
        }
    }

    /// Also where the status or the session is the attribute in question: a record, or one that changes nothing.
    #[test]
    fn any_well_formed_attributes_are_read_and_answered(attributes in any_attributes(), status in any::<u32>()) {
        let mut world = World::new(Vec::new(), Vec::new());
        let _ = world.receive(&attributes);
        let _ = world.receive(&[attributes, lines(&format!("Acct-Status-Type = {status}"))].concat());
        for prefix in &world.bound {
            prop_assert!(may_be_had(prefix, &[], &[]), "{}", prefix);
        }
    }
}
