//! What waits for a storm to pass, and for whom it does not.

use std::sync::mpsc::channel;

use super::*;
use crate::log::entry::Entry;
use crate::session::Name;
use crate::session::event::{Event, Kind, Record};
use crate::views::Views;

const KEPT: Retention = Retention::of_all(Duration::from_secs(180 * 86_400));

/// What comes of a hundred Starts more.
fn starts(views: &mut Views) -> Keep {
    let (mut folded, now) = (Vec::new(), clock::now());
    for _ in 0..100 {
        let sequence = views.sequence() + 1;
        let id = Name::from(sequence.to_string().as_str());
        let record = Record::bare(Kind::Start, Name::from("bras1"), id, now);
        views.fold(now, sequence, &Entry::Session(Event::Record(Box::new(record))), &mut folded);
    }
    assert!(folded.len() >= 100, "each is told of");
    Keep { through: views.sequence(), folded }
}

#[tokio::test]
async fn whoever_asks_in_a_storm_does_not_wait_until_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let reached = Arc::new(Reached::new(0));
    let (outbox, index) = (Arc::new(Outbox::open(dir.path()).unwrap()), Index::open(dir.path()).unwrap());
    let kept = || (KEPT, Arc::default());
    let mut keeper = Keeper::start(
        dir.path().to_path_buf(),
        index,
        Arc::clone(&reached),
        Arc::default(),
        outbox,
        2_000_000,
        kept,
    )
    .unwrap();
    let (over, stops) = channel::<()>();
    let storm = std::thread::spawn(move || {
        let mut views = Views::new(Arc::default());
        // Twice as many as are a storm, for as long as anybody waits.
        while let Err(RecvTimeoutError::Timeout) = stops.recv_timeout(Duration::from_millis(5)) {
            keeper.keep(starts(&mut views));
        }
        keeper.finish();
    });
    let is_there = reached.wait_for(5_000, Duration::from_secs(4)).await;
    drop(over);
    storm.join().unwrap();
    assert!(is_there, "it waited for the storm, which would have been five seconds");
}
