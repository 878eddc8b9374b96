//! What one durable group commit costs, beside the least that is possible: a bare file, one write and one fdatasync.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relaywarden::log::entry::Entry;
use relaywarden::log::sqlite::SqliteLog;
use relaywarden::log::{Batch, Log};
use relaywarden::session::event::{Claim, ClaimSource, Event, Kind, Record};
use relaywarden::session::{Line, Name, Timestamp};

fn entry(number: u64) -> Entry {
    let name = |text: String| Name::from(text.as_str());
    let at = Timestamp::from_millis(1_700_000_000_000);
    let prefix = std::net::Ipv4Addr::from(0x6440_0000 | u32::try_from(number % 4_000_000).unwrap_or(0));
    let address = std::net::IpAddr::V4(prefix).into();
    let session_id = name(format!("{number:016x}"));
    Entry::Session(Event::Record(Box::new(Record {
        subscriber: Some(name(format!("subscriber{number}@isp.example"))),
        user_name: Some(name(format!("subscriber{number}@isp.example"))),
        claims: vec![Claim::whole(address, ClaimSource::FramedAddress)],
        interval: Some(900),
        line: Line {
            port_id: Some(name(format!("ge-0/1/2.{number}"))),
            calling_station: Some(name(format!("02:00:{number:08x}"))),
            circuit_id: Some(name(format!("dslam1 eth 2/1:{number}"))),
            remote_id: None,
        },
        ..Record::bare(Kind::Start, name("bras1".to_owned()), session_id, at)
    })))
}

fn durable_commits(criterion: &mut Criterion) {
    // Below the build directory, on a disk: what is temporary is memory on some machines.
    let directory =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build directory is writable");
    let mut group = criterion.benchmark_group("durable commit");
    group.sample_size(20);
    for count in [64_u64, 512, 4096] {
        group.throughput(Throughput::Elements(count));
        let entries: Vec<Entry> = (0..count).map(entry).collect();

        let packed = postcard::to_stdvec(&entries).expect("entries can be packed");
        let mut file = File::create(directory.path().join("bare")).expect("the build directory is writable");
        group.bench_function(BenchmarkId::new("bare file", count), |bencher| {
            bencher.iter(|| {
                file.write_all(black_box(&packed)).expect("the disk has room");
                file.sync_data().expect("the disk works");
            });
        });

        let data = directory.path().join(count.to_string());
        let mut log = SqliteLog::open(&data, 0, &mut |_| {}).expect("the build directory is writable");
        let mut batch = Batch { sequence: 1, at: Timestamp::from_millis(1_700_000_000_000), entries };
        group.bench_function(BenchmarkId::new("sqlite log", count), |bencher| {
            bencher.iter(|| {
                log.append(black_box(&batch)).expect("the disk works");
                batch.sequence = log.next_sequence();
                if log.size() > 256 * 1024 * 1024 {
                    log.seal().expect("the disk works");
                    log.forget_below(u64::MAX).expect("the disk works");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, durable_commits);
criterion_main!(benches);
