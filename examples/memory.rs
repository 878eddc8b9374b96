//! What a live session costs: folds so many Starts through the views, and says by how much the process has grown.
//!
//! ```text
//! cargo run --release --example memory -- 200000
//! ```
//!
//! Each session is that of a PPPoE line with an IPv4 address, a /64 for the link and a delegated /56, under names as long
//! as those of the routers that send such records, no two alike. The records are made one by one and dropped, as the
//! daemon does, so what is left is what the views keep. Counted are the octets that the allocator handed out and has not
//! got back, and the pages that the kernel says are resident: the difference is what the allocator itself needs.
//!
//! The tables grow by doubling: the cost of a session differs with how full they are, by the number of sessions.

#![expect(clippy::print_stdout, reason = "numbers are what it is for")]

use std::alloc::System;
use std::error::Error;
use std::fs;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use relaywarden::log::entry::Entry;
use relaywarden::server::recovery::side_by_side;
use relaywarden::session::bindings::{Binding, Session};
use relaywarden::session::event::{Claim, ClaimSource, Event, Kind, Record, Scope};
use relaywarden::session::{Line, Name, Place, Timestamp};
use relaywarden::views::{Shared, Views};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Sessions for each NAS.
const OF_A_NAS: u32 = 20_000;
/// More do not fit into the private addresses that they are given.
const AT_MOST: u32 = 1 << 24;

fn main() -> Result<(), Box<dyn Error>> {
    let sessions: u32 = std::env::args().nth(1).map_or(Ok(200_000), |number| number.parse())?;
    if sessions == 0 || sessions > AT_MOST {
        return Err(format!("a number of sessions from 1 to {AT_MOST}").into());
    }
    println!("octets of one value");
    for (what, octets) in [
        ("Name", size_of::<Name>()),
        ("Place", size_of::<Place>()),
        ("Binding", size_of::<Binding>()),
        ("Session", size_of::<Session>()),
        ("Record", size_of::<Record>()),
    ] {
        println!("  {what:<38}{octets:>10}");
    }

    let mut views = Views::new(Arc::new(Shared::default()));
    let before = Taken::now()?;
    let mut making = 0;
    for number in 0..sessions {
        let began = ALLOCATOR.stats().allocations;
        let entry = Entry::Session(Event::Record(Box::new(start(number)?)));
        making += ALLOCATOR.stats().allocations - began;
        views.fold(moment(number), u64::from(number) + 1, &entry, &mut Vec::new());
    }
    let after = Taken::now()?;
    assert_eq!(views.machine().sessions(), usize::try_from(sessions)?, "every Start opened a session");
    println!("{sessions} sessions, for each");
    told("octets resident", after.resident - before.resident, sessions);
    told("octets allocated", after.live()? - before.live()?, sessions);
    told("allocations that are kept", after.kept() - before.kept(), sessions);
    told("allocations to fold its Start", after.made() - before.made() - making, sessions);
    told("allocations to make its Start", making, sessions);

    let snapshot = views.snapshot();
    told("octets of a snapshot", snapshot.len(), sessions);
    drop(views);
    let before = Taken::now()?;
    let began = Instant::now();
    let views = Views::restore_by(Arc::new(Shared::default()), &snapshot, side_by_side)
        .map_err(|_| "a snapshot is read back")?;
    println!("  {:<38}{:>8.0} ms", "a restart from it, all in all", began.elapsed().as_secs_f64() * 1e3);
    told("octets allocated after a restart", Taken::now()?.live()? - before.live()?, sessions);
    assert_eq!(views.machine().sessions(), usize::try_from(sessions)?, "a snapshot holds every session");
    tombstones(views, sessions)
}

/// What is left of sessions that have ended, until it is forgotten.
fn tombstones(mut views: Views, sessions: u32) -> Result<(), Box<dyn Error>> {
    let ended = moment(sessions);
    for number in 0..sessions {
        let mut stop = start(number)?;
        (stop.kind, stop.event, stop.arrival) = (Kind::Stop, ended, ended);
        let entry = Entry::Session(Event::Record(Box::new(stop)));
        views.fold(ended, u64::from(sessions) + u64::from(number) + 1, &entry, &mut Vec::new());
    }
    // Until then whoever had an address is deferred.
    views.advance(ended.plus(Duration::from_secs(3600)), &mut Vec::new());
    assert_eq!(views.machine().sessions(), 0, "every Stop ended one");
    let snapshot = views.snapshot();
    drop(views);
    let before = Taken::now()?;
    // Read back, as tables keep the room that they once needed.
    let views =
        Views::restore(Arc::new(Shared::default()), &snapshot).map_err(|_| "a snapshot is read back")?;
    told("octets allocated once it has ended", Taken::now()?.live()? - before.live()?, sessions);
    drop(views);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a mean, to a tenth")]
fn told(what: &str, count: usize, sessions: u32) {
    println!("  {what:<38}{:>10.1}", count as f64 / f64::from(sessions));
}

/// What the process has taken so far.
struct Taken {
    resident: usize,
    allocator: Stats,
}

impl Taken {
    fn now() -> Result<Taken, Box<dyn Error>> {
        let allocator = ALLOCATOR.stats();
        let status = fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes: usize = resident
            .and_then(|text| text.trim().strip_suffix(" kB"))
            .ok_or("no VmRSS in /proc/self/status")?
            .parse()?;
        Ok(Taken { resident: kibibytes * 1024, allocator })
    }

    fn live(&self) -> Result<usize, Box<dyn Error>> {
        let Stats { bytes_allocated, bytes_deallocated, .. } = self.allocator;
        bytes_allocated.checked_sub(bytes_deallocated).ok_or_else(|| "more given back than taken".into())
    }

    fn kept(&self) -> usize {
        self.allocator.allocations - self.allocator.deallocations
    }

    fn made(&self) -> usize {
        self.allocator.allocations + self.allocator.reallocations
    }
}

/// A hundred sessions begin in each second.
fn moment(number: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + i64::from(number) * 10)
}

/// The Start of a session, as the router of `tests/data/samples/juniper-mx-pppoe-1-start.txt` would send it.
fn start(number: u32) -> Result<Record, Box<dyn Error>> {
    let name = |text: String| Some(Name::from(text.as_str()));
    let nas = format!("petrel{}", number / OF_A_NAS);
    let line = number % OF_A_NAS;
    let (outer, inner) = (100 + line / 4000, line % 4000);
    let port_id = format!("ge-3/1/{}.demux0.{}:{outer}-{inner}", line % 8, 3_221_225_472_u32 + line);
    let [_, high, middle, low] = number.to_be_bytes();
    let ipv4: IpNet = Ipv4Net::from(Ipv4Addr::new(10, high, middle, low)).into();
    let v6 = |bits: u128, length| Ipv6Net::new(Ipv6Addr::from(bits), length).map(IpNet::from);
    let link = v6((0x2001_0db8_8000_0000_u128 | u128::from(number)) << 64, 64)?;
    let delegated = v6(0x2001_0db8_u128 << 96 | u128::from(number) << 72, 56)?;
    let at = moment(number);
    Ok(Record {
        subscriber: name(format!("customer{number:07}@isp.example")),
        user_name: name(format!("customer{number:07}@isp.example")),
        claims: vec![
            Claim::whole(ipv4, ClaimSource::FramedAddress),
            Claim::whole(link, ClaimSource::FramedIpv6Prefix),
            Claim::whole(delegated, ClaimSource::DelegatedIpv6Prefix),
        ],
        line: Line {
            port_id: name(port_id),
            calling_station: name(format!("ac:16:2d:{high:02x}:{middle:02x}:{low:02x}")),
            circuit_id: None,
            remote_id: None,
        },
        scope: Scope {
            nas_identifier: name(nas.clone()),
            called_station: None,
            nas_port: Some(0x3000_0000 | line),
            context: name("default:default".to_owned()),
        },
        ..Record::bare(
            Kind::Start,
            Name::from(nas.as_str()),
            // What went on before differs from router to router.
            Name::from(format!("{}", 61 + u64::from(number) * 7).as_str()),
            at,
        )
    })
}
