//! What one question about an address costs, in a small map and in a large one, alone and with a second reader.
//!
//! What is found is handed out by reference count. A subscriber's name of more than 22 octets is copied for whoever
//! asked, and an address that several sessions contest needs a list.

mod subscribers;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relaywarden::session::Realm;
use relaywarden::session::bindings::{LiveMap, Lookup};
use subscribers::{SIZES, filled, ipv4, ipv6, moment, scattered};

type Address = fn(u64) -> IpAddr;

/// What is asked, and whether somebody owns it.
const QUESTIONS: [(&str, Address, bool); 4] = [
    ("found, IPv4 /32", |number| ipv4(number).into(), true),
    ("found, IPv6 in a /56", |number| ipv6(number).into(), true),
    ("absent, IPv4", |number| Ipv4Addr::from(0xac10_0000 | low_bits(number)).into(), false),
    (
        "absent, IPv6",
        |number| std::net::Ipv6Addr::from(0x2001_0db8_ff00_u128 << 80 | u128::from(number)).into(),
        false,
    ),
];

fn low_bits(number: u64) -> u32 {
    u32::try_from(number & 0xf_ffff).unwrap_or_default()
}

fn lookup(c: &mut Criterion) {
    for sessions in SIZES {
        let map = Arc::clone(filled(sessions).map());
        let mut group = c.benchmark_group(format!("lookup among {sessions}"));
        group
            .sample_size(20)
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500));
        for (what, address, owned) in QUESTIONS {
            assert_eq!(matches!(ask(&map, address(1)), Lookup::Found(_)), owned, "{what}");
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(what, "1 thread"), |b| {
                b.iter_custom(|count| asking(&map, address, sessions, 0, count));
            });
            group.throughput(Throughput::Elements(2));
            group.bench_function(BenchmarkId::new(what, "2 threads"), |b| {
                b.iter_custom(|count| two_asking(&map, address, sessions, count));
            });
        }
        group.finish();
    }
}

fn ask(map: &LiveMap, address: IpAddr) -> Lookup {
    map.lookup(Realm::PUBLIC, address, None, moment(0))
}

fn asking(map: &LiveMap, address: Address, sessions: u64, first: u64, count: u64) -> Duration {
    let began = Instant::now();
    for turn in first..first + count {
        black_box(ask(map, black_box(address(scattered(turn, sessions)))));
    }
    began.elapsed()
}

/// Each of two readers asks `count` questions, about other subscribers than the other one; the slower one counts.
fn two_asking(map: &Arc<LiveMap>, address: Address, sessions: u64, count: u64) -> Duration {
    let together = Barrier::new(2);
    let reader = |first| {
        together.wait();
        asking(map, address, sessions, first, count)
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| reader(sessions / 2));
        reader(0).max(other.join().expect("a reader has no way to fail"))
    })
}

criterion_group!(benches, lookup);
criterion_main!(benches);
