//! Makes a snapshot beside the engine, from the snapshot before and what the log has since.
//!
//! The engine can't stop to encode millions of sessions, and what it would encode can be had without it: a snapshot and the
//! entries after it come to the same views wherever they are folded. That takes the memory of the views once more while it lasts,
//! and the processor when nobody else wants it.
//!
//! Knows: where both are. Must not know: when a snapshot is due, or what may be forgotten after it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log::LogError;
use crate::log::snapshot;
use crate::log::sqlite::SqliteLog;
use crate::views::{Shared, Views};

/// The octets of the views at `through`, all of whose entries are in sealed files; `None`: we were told to stop.
///
/// # Errors
/// The log lacks something, or neither can be read. Nothing is lost by it: the log is kept for the next one.
pub fn made(data: &Path, through: u64, stop: &AtomicBool) -> Result<Option<Vec<u8>>, LogError> {
    let shared = Arc::<Shared>::default();
    let mut views = match snapshot::load(data)? {
        None => Views::new(shared),
        Some(before) => Views::restore(shared, &before.body).map_err(|_| LogError::Damaged {
            file: data.join("snapshots"),
            row: Some(before.sequence),
            what: "a snapshot of another version",
        })?,
    };
    // What comes of it is in the index already.
    let mut folded = Vec::new();
    let after = views.sequence();
    SqliteLog::read_sealed(data, after, through, &mut |batch| {
        if stop.load(Ordering::Acquire) {
            return;
        }
        for (sequence, entry) in (batch.sequence..).zip(&batch.entries) {
            views.fold(batch.at, sequence, entry, &mut folded);
        }
        folded.clear();
    })?;
    if stop.load(Ordering::Acquire) {
        return Ok(None);
    }
    Ok(Some(views.snapshot()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::entry::Entry;
    use crate::log::{Batch, Log};
    use crate::session::event::{Claim, ClaimSource, Event, Kind, Record};
    use crate::session::{Name, Ports, Timestamp};

    fn start(number: u32) -> Entry {
        let at = Timestamp::from_seconds(1_800_000_000 + i64::from(number));
        let prefix = std::net::IpAddr::from([192, 0, 2, u8::try_from(number % 200).unwrap()]).into();
        Entry::Session(Event::Record(Box::new(Record {
            subscriber: Some(Name::from(format!("subscriber{number}").as_str())),
            claims: vec![Claim { prefix, ports: Ports::ALL, source: ClaimSource::FramedAddress }],
            ..Record::bare(Kind::Start, Name::from("bras1"), Name::from(format!("s{number}").as_str()), at)
        })))
    }

    /// Batches of a few entries; a file of the log now and then.
    fn log(data: &Path, views: &mut Views, entries: std::ops::Range<u32>) -> u64 {
        let after = views.sequence();
        let mut log = SqliteLog::open(data, after, &mut |_| {}).unwrap();
        let mut folded = Vec::new();
        for number in entries {
            let sequence = log.next_sequence();
            let at = Timestamp::from_seconds(1_800_000_000 + i64::from(number));
            let entries = vec![start(2 * number), start(2 * number + 1)];
            for (sequence, entry) in (sequence..).zip(&entries) {
                views.fold(at, sequence, entry, &mut folded);
            }
            log.append(&Batch { sequence, at, entries }).unwrap();
            if number % 7 == 6 {
                log.seal().unwrap();
            }
        }
        log.seal().unwrap();
        views.sequence()
    }

    #[test]
    fn a_snapshot_made_from_the_one_before_and_the_log_is_that_of_the_views() {
        let data = tempfile::tempdir().unwrap();
        let mut views = Views::new(Arc::default());
        for (until, count) in [(20, 0..20), (50, 20..50), (51, 50..51)] {
            let through = log(data.path(), &mut views, count);
            let body = made(data.path(), through, &AtomicBool::new(false)).unwrap().unwrap();
            let again = Views::restore(Arc::default(), &body).unwrap();
            assert!(again.are_as(&views), "after {until} batches");
            snapshot::store(data.path(), through, Timestamp::from_seconds(0), &body).unwrap();
        }
        assert_eq!(made(data.path(), views.sequence(), &AtomicBool::new(true)).unwrap(), None);
    }

    #[test]
    fn what_is_written_meanwhile_is_not_in_it_and_what_the_log_lacks_makes_none() {
        let data = tempfile::tempdir().unwrap();
        let mut views = Views::new(Arc::default());
        let through = log(data.path(), &mut views, 0..10);
        let body = made(data.path(), through, &AtomicBool::new(false)).unwrap().unwrap();
        log(data.path(), &mut views, 10..20);
        let later = made(data.path(), through, &AtomicBool::new(false)).unwrap().unwrap();
        let [one, other] = [body, later].map(|body| Views::restore(Arc::default(), &body).unwrap());
        assert!(one.are_as(&other) && one.sequence() == through);
        assert!(made(data.path(), views.sequence() + 1, &AtomicBool::new(false)).is_err());
    }
}
