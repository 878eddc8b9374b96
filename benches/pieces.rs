//! What each piece of the hot path takes in time; `benches/instructions` counts the same in instructions.

mod hot_path;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hot_path::{HotPath, PIECES};

/// The most that is made ready at once.
const AT_ONCE: u64 = 4096;

fn pieces(c: &mut Criterion) {
    let mut path = HotPath::new();
    let mut group = c.benchmark_group("pieces");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(1));
    for piece in PIECES {
        group.bench_function(piece.name, |b| {
            b.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                let mut left = count;
                while left > 0 {
                    let now = left.min(AT_ONCE);
                    (piece.round)(&mut path, usize::try_from(now).unwrap_or_default(), &mut |work| {
                        let began = Instant::now();
                        work();
                        spent += began.elapsed();
                    });
                    left -= now;
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pieces);
criterion_main!(benches);
