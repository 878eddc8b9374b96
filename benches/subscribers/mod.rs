//! Made-up subscribers for the benches: as many as wanted, each with a session of three prefixes.

#![allow(dead_code, reason = "every bench uses its own part of what is shared here")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use relaywarden::session::bindings::LiveMap;
use relaywarden::session::event::{Claim, ClaimSource, Event, Kind, Record, Scope};
use relaywarden::session::machine::Machine;
use relaywarden::session::{Line, Name, Timestamp};

/// How many sessions live.
pub(crate) const SIZES: [u64; 2] = [10_000, 1_000_000];

/// So many milliseconds after the sessions began.
pub(crate) fn moment(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + i64::try_from(millis).expect("less than a geological age"))
}

/// Goes through all numbers below `count` in an order that no cache foresees: the factor is a prime above `count`.
pub(crate) fn scattered(turn: u64, count: u64) -> u64 {
    turn.wrapping_mul(2_147_483_647) % count
}

/// The address of a subscriber: 16 million of them fit.
pub(crate) fn ipv4(number: u64) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | u32::try_from(number).expect("few enough for 10.0.0.0/8"))
}

/// An address within the delegated prefix of a subscriber.
pub(crate) fn ipv6(number: u64) -> Ipv6Addr {
    Ipv6Addr::from(delegated(number) | 0xab_0000_0000_0000_cdef)
}

fn delegated(number: u64) -> u128 {
    0x2001_0db8_u128 << 96 | u128::from(number) << 72
}

/// One record of a subscriber's session.
pub(crate) fn record(kind: Kind, number: u64, at: Timestamp) -> Record {
    let name = |text: String| Some(Name::from(text.as_str()));
    let link = (0x2001_0db8_c000_0000_u128 | u128::from(number)) << 64;
    let v6 = |bits, length| Ipv6Net::new(Ipv6Addr::from(bits), length).expect("a length").into();
    Record {
        subscriber: name(format!("subscriber{number}@isp.example")),
        user_name: name(format!("subscriber{number}@isp.example")),
        claims: vec![
            Claim::whole(Ipv4Net::from(ipv4(number)).into(), ClaimSource::FramedAddress),
            Claim::whole(v6(link, 64), ClaimSource::FramedIpv6Prefix),
            Claim::whole(v6(delegated(number), 56), ClaimSource::DelegatedIpv6Prefix),
        ],
        line: Line {
            port_id: name(format!("ge-3/1/0.demux0.{number}:100-200")),
            calling_station: name(format!("02:00:{number:08x}")),
            circuit_id: None,
            remote_id: None,
        },
        scope: Scope { nas_identifier: Some(Name::from("petrel1")), ..Scope::default() },
        ..Record::bare(kind, Name::from("bras1"), Name::from(format!("{number:016x}").as_str()), at)
    }
}

/// A machine in which sessions 0 to `sessions` live, begun at the first moment.
pub(crate) fn filled(sessions: u64) -> Machine {
    let mut machine = Machine::new(Arc::new(LiveMap::default()));
    let mut effects = Vec::new();
    for number in 0..sessions {
        let start = Event::Record(Box::new(record(Kind::Start, number, moment(0))));
        machine.fold(moment(0), &start, &mut effects);
        effects.clear();
    }
    assert_eq!(machine.sessions(), usize::try_from(sessions).expect("as many as memory holds"));
    machine
}
