//! What is said, as the octets of a datagram.
//!
//! Knows: attribute numbers, and how each dialect uses them. Must not know: what becomes of a datagram. The attributes are
//! written here by number, independent of the crate's own encoder.

use std::net::IpAddr;

use ipnet::IpNet;
use relaywarden::radius::authenticator;
use relaywarden::session::Ports;
use relaywarden::session::event::{ClaimSource, Kind};

use crate::dialect::{Blocks, Delay, Dialect, Stamp};
use crate::plan::{Day, SECOND, Said};
use crate::truth::Moment;

pub(crate) const SECRET: &[u8] = b"testing123";
/// Seconds since 1970 at which every day begins.
pub(crate) const BEGIN: i64 = 1_800_000_000;

/// An Accounting-Request of what is said, as it is sent at this moment.
pub(crate) fn octets(day: &Day, said: &Said, identifier: u8, sent: Moment) -> Vec<u8> {
    let nas = &day.nases[said.nas];
    let dialect = &nas.dialect;
    let mut attributes = Vec::with_capacity(160);
    let mut put = |kind: u8, value: &[u8]| {
        attributes.extend([kind, u8::try_from(value.len() + 2).unwrap()]);
        attributes.extend(value);
    };
    let number = |value: i64| u32::try_from(value).unwrap().to_be_bytes();
    let status = match said.kind {
        Kind::Start => 1,
        Kind::Stop => 2,
        Kind::Interim => 3,
        Kind::On => 7,
        Kind::Off => 8,
    };
    put(40, &number(status));
    put(32, nas.name.rsplit('/').next().unwrap().as_bytes());
    if let Some(subscriber) = &said.subscriber {
        put(44, said.session.as_bytes());
        put(1, subscriber.as_bytes());
        if dialect.lines {
            put(31, format!("02:00:00:00:00:{:02x}", said.line).as_bytes());
            put(87, format!("eth 1/{}", said.line).as_bytes());
        }
    }
    for claim in &said.claims {
        match (claim.source, claim.prefix) {
            (ClaimSource::FramedAddress, IpNet::V4(net)) => put(8, &net.addr().octets()),
            (source, IpNet::V6(net)) => {
                let kind = if source == ClaimSource::FramedIpv6Prefix { 97 } else { 123 };
                let covered = usize::from(net.prefix_len().div_ceil(8));
                put(kind, &[&[0, net.prefix_len()], &net.network().octets()[..covered]].concat());
            }
            other => panic!("nobody says {other:?}"),
        }
    }
    beyond(said, dialect, &mut put);
    if let Some(time) = said.session_time {
        put(46, &time.to_be_bytes());
    }
    if let Some(interval) = dialect.interim.filter(|_| dialect.announced && said.subscriber.is_some()) {
        put(85, &number(interval));
    }
    if let Some(stamp) = stamp(day, dialect, said.at) {
        put(55, &number(stamp));
    }
    match dialect.delay {
        // The relay knows from the stamp, or from its file, for how long it kept a record.
        _ if dialect.detail => put(41, &number((sent - said.at) / SECOND)),
        Delay::None => {}
        Delay::Counted => put(41, &number((sent - said.at) / SECOND)),
        Delay::Frozen => put(41, &number(0)),
    }
    authenticator::sign_request(4, identifier, &[0; 16], &attributes, SECRET).unwrap()
}

/// What only vendors' attributes tell.
fn beyond(said: &Said, dialect: &Dialect, put: &mut impl FnMut(u8, &[u8])) {
    let vendors = |vendor: u32, kind: u8, value: &[u8], put: &mut dyn FnMut(u8, &[u8])| {
        let inner =
            [&vendor.to_be_bytes(), &[kind, u8::try_from(value.len() + 2).unwrap()][..], value].concat();
        put(26, &inner);
    };
    if let Some(host) = &said.beyond.host {
        put(50, host.as_bytes());
    }
    if let Some(parent) = &said.beyond.service_of {
        vendors(9, 1, format!("parent-session-id={parent}").as_bytes(), put);
    }
    let ends = |ports: Ports| (ports.first(), ports.last());
    match dialect.blocks {
        // Alc-Nat-Port-Range; where there is no block left, Alc-Acct-Triggered-Reason says what this is about.
        Blocks::Whole => {
            for block in &said.beyond.blocks {
                let (first, last) = ends(block.ports);
                let text = format!("{} {first}-{last} router base", block.prefix.addr());
                vendors(6527, 121, text.as_bytes(), put);
            }
            if said.beyond.blocks.is_empty() && said.kind == Kind::Interim {
                vendors(6527, 163, &17_u32.to_be_bytes(), put);
            }
        }
        // RFC 8045: IP-Port-Range, allocated or deallocated.
        Blocks::Changes => {
            let given = said.beyond.blocks.iter().map(|block| (1_u32, block.prefix.addr(), block.ports));
            let taken = said.beyond.taken.iter().map(|place| (2, place.prefix.addr(), place.ports));
            for (alloc, address, ports) in given.chain(taken) {
                let IpAddr::V4(address) = address else { continue };
                let (first, last) = ends(ports);
                let mut range = vec![6];
                let numbers = [(8, alloc), (9, first.into()), (10, last.into())];
                range.extend([3, 6]);
                range.extend(address.octets());
                for (kind, number) in numbers {
                    range.extend([kind, 6]);
                    range.extend(number.to_be_bytes());
                }
                put(241, &range);
            }
        }
        Blocks::None => {}
    }
}

fn stamp(day: &Day, dialect: &Dialect, at: Moment) -> Option<i64> {
    let right = BEGIN + at / SECOND;
    match dialect.stamp {
        Stamp::None => None,
        Stamp::Behind(seconds) => Some(right - seconds),
        Stamp::Absurd => Some(right - BEGIN + 1_200_000_000),
        Stamp::SetBy(seconds) if at < day.end / 2 => Some(right - seconds),
        Stamp::SetBy(_) => Some(right),
    }
}
