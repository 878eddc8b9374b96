//! What folding one event costs the only writer, among ten thousand sessions and among a million.
//!
//! Sessions are those of a PPPoE line with an IPv4 address, a prefix for the link and a delegated one. Starts and Stops
//! come in turns of at most a tenth of the sessions, under ids that are always new and on addresses that the turn before
//! set free, so that the machine stays about as large as the name says. Only the folding is timed.

mod subscribers;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{
    BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use relaywarden::session::effect::Effect;
use relaywarden::session::event::{Event, Kind, Record, Refresh};
use relaywarden::session::machine::Machine;
use relaywarden::session::{Name, Timestamp};
use subscribers::{SIZES, filled, moment, record, scattered};

fn machine(c: &mut Criterion) {
    Among::new(1000).does_what_it_is_called();
    let mut group = c.benchmark_group("fold");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(1));
    for sessions in SIZES {
        let mut among = Among::new(sessions);
        group.bench_function(BenchmarkId::new("new Start", sessions), |b| {
            b.iter_custom(|count| among.in_turns(count, |among, most| among.start_and_stop(most).0));
        });
        group.bench_function(BenchmarkId::new("Stop", sessions), |b| {
            b.iter_custom(|count| among.in_turns(count, |among, most| among.start_and_stop(most).1));
        });
        group.bench_function(BenchmarkId::new("refresh", sessions), |b| {
            b.iter_custom(|count| among.in_turns(count, |among, most| among.repeat(most, Among::refresh)));
        });
        group.bench_function(BenchmarkId::new("interim with a new address", sessions), |b| {
            b.iter_custom(|count| among.in_turns(count, |among, most| among.repeat(most, Among::moved)));
        });
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("is it a refresh", sessions), |b| {
            let interim = || {
                turn += 1;
                record(Kind::Interim, scattered(turn, sessions), moment(3_600_000))
            };
            let asked = |record: &Record| black_box(among.machine.as_refresh(record)).is_some();
            b.iter_batched_ref(interim, |record| asked(record), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A machine with so many sessions, and how far time and numbers have come in it.
struct Among {
    machine: Machine,
    sessions: u64,
    /// Milliseconds since the sessions began.
    now: u64,
    /// Events of sessions that stay.
    turn: u64,
    /// Ids of sessions that come and go.
    fresh: u64,
}

impl Among {
    fn new(sessions: u64) -> Among {
        Among { machine: filled(sessions), sessions, now: 1, turn: 0, fresh: 0 }
    }

    fn in_turns(&mut self, count: u64, mut one: impl FnMut(&mut Among, u64) -> Duration) -> Duration {
        let at_once = (self.sessions / 10).min(10_000);
        let mut spent = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let most = left.min(at_once);
            spent += one(self, most);
            left -= most;
        }
        spent
    }

    /// Opens so many sessions and ends them again; what each half took.
    fn start_and_stop(&mut self, most: u64) -> (Duration, Duration) {
        let first = self.fresh;
        self.fresh += most;
        let both = [Kind::Start, Kind::Stop].map(|kind| {
            // Later than whatever the address saw before.
            self.now += 1;
            let at = moment(self.now);
            let records = (0..most).map(|place| {
                let session_id = Name::from(format!("fresh{:011x}", first + place).as_str());
                Record { session_id, ..record(kind, self.sessions + place, at) }
            });
            let events: Vec<Event> = records.map(|record| Event::Record(Box::new(record))).collect();
            self.fold(&events)
        });
        let [start, stop] = both;
        (start, stop)
    }

    /// Folds an event for each of so many sessions that stay, in an order that no cache foresees.
    fn repeat(&mut self, most: u64, event: fn(&Among, u64, Timestamp) -> Event) -> Duration {
        // A session's next event is a later one, and no session is overdue before the bench is over.
        self.now += 1;
        let at = moment(self.now);
        let events: Vec<Event> = (self.turn..self.turn + most).map(|turn| event(self, turn, at)).collect();
        self.turn += most;
        self.fold(&events)
    }

    fn refresh(&self, turn: u64, at: Timestamp) -> Event {
        let Record { nas, session_id, session_time, .. } =
            record(Kind::Interim, scattered(turn, self.sessions), at);
        Event::Refreshes(vec![Refresh { nas, session_id, event: at, arrival: at, session_time }])
    }

    /// The session has another address in every other round, and the first one again in the rounds between.
    fn moved(&self, turn: u64, at: Timestamp) -> Event {
        let number = scattered(turn, self.sessions);
        let mut interim = record(Kind::Interim, number, at);
        let elsewhere = record(Kind::Interim, number + 2 * self.sessions, at);
        if (turn / self.sessions).is_multiple_of(2)
            && let (Some(here), Some(there)) = (interim.claims.first_mut(), elsewhere.claims.first())
        {
            *here = *there;
        }
        Event::Record(Box::new(interim))
    }

    fn fold(&mut self, events: &[Event]) -> Duration {
        let mut effects = Vec::new();
        let at = moment(self.now);
        let began = Instant::now();
        for event in events {
            self.machine.fold(at, event, &mut effects);
            black_box(&effects);
            effects.clear();
        }
        began.elapsed()
    }

    /// The numbers of something else would look just as good.
    fn does_what_it_is_called(mut self) {
        let interim = record(Kind::Interim, 0, moment(1));
        assert!(self.machine.as_refresh(&interim).is_some(), "an interim update without news is a refresh");
        let mut effects = Vec::new();
        let refresh = self.refresh(0, moment(1));
        self.machine.fold(moment(1), &refresh, &mut effects);
        assert!(effects.is_empty(), "a refresh changes nothing");
        let moved = self.moved(0, moment(2));
        self.machine.fold(moment(2), &moved, &mut effects);
        let bound = effects.iter().any(|effect| matches!(effect, Effect::Bound { .. }));
        assert!(bound, "a new address is bound");
        self.now = 2;
        for _ in 0..2 {
            self.start_and_stop(10);
            assert_eq!(self.machine.sessions(), 1000, "whatever was started is stopped");
        }
    }
}

criterion_group!(benches, machine);
criterion_main!(benches);
