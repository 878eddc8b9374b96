//! What folding one event costs the only writer, among ten thousand sessions and among a million.
//!
//! Sessions are those of a PPPoE line with an IPv4 address, a prefix for the link and a delegated one. What uses
//! sessions up (a Start makes the machine larger, a Stop smaller) works on at most a tenth of them before a fresh
//! machine is restored, so that the size in the name is the size measured. Only the folding is timed.

mod subscribers;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{
    BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use relaywarden::session::Timestamp;
use relaywarden::session::bindings::LiveMap;
use relaywarden::session::event::{Effect, Event, Kind, Record, Refresh};
use relaywarden::session::image::Image;
use relaywarden::session::machine::Machine;
use subscribers::{SIZES, filled, moment, record, scattered};

/// Events made ready at a time, so that making them is not what is measured.
const AT_ONCE: u64 = 10_000;

fn machine(c: &mut Criterion) {
    let mut group = c.benchmark_group("fold");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(200));
    group.throughput(Throughput::Elements(1));
    does_what_it_is_called(1000);
    for sessions in SIZES {
        let octets = postcard::to_stdvec(&filled(sessions).image()).expect("a vector takes every octet");
        group.bench_function(BenchmarkId::new("new Start", sessions), |b| {
            b.iter_custom(|count| {
                consuming(&octets, sessions, count, &|number| {
                    record(Kind::Start, sessions + number, moment(1))
                })
            });
        });
        group.bench_function(BenchmarkId::new("Stop", sessions), |b| {
            b.iter_custom(|count| {
                let one = |number| record(Kind::Stop, scattered(number, sessions), moment(1));
                consuming(&octets, sessions, count, &one)
            });
        });

        let mut machine = restored(&octets);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("refresh", sessions), |b| {
            b.iter_custom(|count| repeating(&mut machine, sessions, &mut turn, count, &refresh));
        });
        group.bench_function(BenchmarkId::new("interim with a new address", sessions), |b| {
            b.iter_custom(|count| repeating(&mut machine, sessions, &mut turn, count, &moved));
        });
        group.bench_function(BenchmarkId::new("is it a refresh", sessions), |b| {
            let interim = |number| record(Kind::Interim, scattered(number, sessions), moment(3_600_000));
            let fresh = restored(&octets);
            let mut number = 0;
            b.iter_batched(
                || {
                    number += 1;
                    interim(number)
                },
                |record| black_box(fresh.as_refresh(&record)).is_some(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Numbers of something else would look just as good.
fn does_what_it_is_called(sessions: u64) {
    let octets = postcard::to_stdvec(&filled(sessions).image()).expect("a vector takes every octet");
    let effects_of = |event: Event, at| {
        let mut effects = Vec::new();
        restored(&octets).fold(at, &event, &mut effects);
        effects
    };
    let (event, at) = refresh(0, sessions);
    assert!(effects_of(event, at).is_empty(), "a refresh changes nothing");
    let (event, at) = moved(0, sessions);
    assert!(
        effects_of(event, at).iter().any(|effect| matches!(effect, Effect::Bound { .. })),
        "a new address is bound"
    );
    let interim = record(Kind::Interim, 0, moment(1));
    assert!(restored(&octets).as_refresh(&interim).is_some(), "an interim update without news is a refresh");
}

/// Folds records of which each takes a session that no other one takes, on as many fresh machines as that needs.
fn consuming(octets: &[u8], sessions: u64, count: u64, one: &dyn Fn(u64) -> Record) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let mut machine = restored(octets);
        let most = left.min(sessions / 10);
        let events: Vec<Event> = (0..most).map(|number| Event::Record(Box::new(one(number)))).collect();
        spent += folding(&mut machine, &events, moment(1));
        left -= most;
    }
    spent
}

/// Folds events that leave the machine as large as it was, on one machine, going round among all sessions.
fn repeating(
    machine: &mut Machine,
    sessions: u64,
    turn: &mut u64,
    count: u64,
    one: &dyn Fn(u64, u64) -> (Event, Timestamp),
) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let most = left.min(AT_ONCE);
        let made: Vec<_> = (*turn..*turn + most).map(|turn| one(turn, sessions)).collect();
        let at = made.last().map_or(moment(0), |(_, at)| *at);
        let events: Vec<Event> = made.into_iter().map(|(event, _)| event).collect();
        spent += folding(machine, &events, at);
        *turn += most;
        left -= most;
    }
    spent
}

fn folding(machine: &mut Machine, events: &[Event], at: Timestamp) -> Duration {
    let mut effects = Vec::new();
    let began = Instant::now();
    for event in events {
        machine.fold(at, event, &mut effects);
        black_box(&effects);
        effects.clear();
    }
    began.elapsed()
}

/// Time passes by a millisecond for a thousand events: fast enough that a session's next event is a later one, slow
/// enough that no session is overdue before the bench is over.
fn refresh(turn: u64, sessions: u64) -> (Event, Timestamp) {
    let at = moment(2 + turn / 1000);
    let alive = record(Kind::Interim, scattered(turn, sessions), at);
    let refresh = Refresh {
        nas: alive.nas,
        session_id: alive.session_id,
        event: at,
        arrival: at,
        session_time: alive.session_time,
    };
    (Event::Refreshes(vec![refresh]), at)
}

/// Its address is another one each time round, and the first one again after that.
fn moved(turn: u64, sessions: u64) -> (Event, Timestamp) {
    let at = moment(2 + turn / 1000);
    let number = scattered(turn, sessions);
    let mut interim = record(Kind::Interim, number, at);
    let elsewhere = record(Kind::Interim, number + 2 * sessions, at);
    if (turn / sessions).is_multiple_of(2)
        && let (Some(here), Some(there)) = (interim.claims.first_mut(), elsewhere.claims.first())
    {
        *here = *there;
    }
    (Event::Record(Box::new(interim)), at)
}

fn restored(octets: &[u8]) -> Machine {
    let image: Image = postcard::from_bytes(octets).expect("what was packed a moment ago");
    Machine::restore(Arc::new(LiveMap::default()), image)
}

criterion_group!(benches, machine);
criterion_main!(benches);
