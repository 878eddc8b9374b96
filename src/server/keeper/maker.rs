//! Has snapshots made one after the other, in a thread that steps back behind those that somebody waits for.
//!
//! With very many sessions one takes longer than the log needs to be full again. What was asked for meanwhile is made next, and of
//! several only the newest: the log behind the last snapshot is what a start has to fold.
//!
//! Knows: where they go, and what the log may forget then. Must not know: when one is due.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::STEPS_BACK;
use crate::log::snapshot;
use crate::server::snapshots;
use crate::session::Timestamp;

/// What the log holds up to here, at that time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
}

/// The keeper's end.
pub(super) struct Maker {
    place: Place,
    asked: Arc<Mutex<Asked>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Asked {
    next: Option<Due>,
    /// There is a thread that will look at `next`.
    is_seen: bool,
}

impl Maker {
    pub(super) fn new(dir: PathBuf, forgettable: Arc<AtomicU64>) -> Self {
        let place = Place { dir, forgettable };
        Maker { place, asked: Arc::default(), stop: Arc::default(), thread: None }
    }

    /// Has one made of what is on disk, after the one that is being made.
    pub(super) fn make(&mut self, due: Due) {
        {
            let mut asked = locked(&self.asked);
            asked.next = Some(due);
            if asked.is_seen {
                return;
            }
            asked.is_seen = true;
        }
        let (place, asked, stop) = (self.place.clone(), Arc::clone(&self.asked), Arc::clone(&self.stop));
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(move || {
            let _ = rustix::process::setpriority_process(None, STEPS_BACK);
            while let Some(due) = next(&asked) {
                place.make(due, &stop);
            }
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no snapshot: no thread could be started; the log is kept");
                *locked(&self.asked) = Asked::default();
            }
        }
    }

    /// Stores this one, and makes none any more.
    pub(super) fn store(&mut self, due: Due, body: &[u8]) {
        self.stop();
        self.place.store(due, body);
    }

    /// One that is being made is not waited for.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has no other way to end than having stopped.
            let _ = thread.join();
        }
    }
}

fn locked(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` ends the thread: whoever asks from now on starts another.
fn next(asked: &Mutex<Asked>) -> Option<Due> {
    let mut asked = locked(asked);
    let next = asked.next.take();
    asked.is_seen = next.is_some();
    next
}

/// The sequence below which no start needs the log: that of the older of two snapshots, and the next. None before.
pub(super) fn forgettable_in(dir: &Path) -> u64 {
    match snapshot::oldest_sequence(dir) {
        Ok(oldest) => oldest.map_or(0, |oldest| oldest.saturating_add(1)),
        Err(error) => {
            tracing::warn!(%error, "snapshots cannot be listed; the log is kept");
            0
        }
    }
}

/// Where a snapshot goes, and who wants to know of it.
#[derive(Clone)]
struct Place {
    dir: PathBuf,
    forgettable: Arc<AtomicU64>,
}

impl Place {
    fn make(&self, due: Due, stop: &AtomicBool) {
        let began = Instant::now();
        match snapshots::made(&self.dir, due.sequence, stop) {
            Ok(Some(body)) => {
                self.store(due, &body);
                tracing::info!(sequence = due.sequence, took = ?began.elapsed(), "a snapshot is made");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a snapshot could not be made; the log is kept"),
        }
    }

    fn store(&self, due: Due, body: &[u8]) {
        match snapshot::store(&self.dir, due.sequence, due.at, body) {
            Ok(()) => self.forgettable.store(forgettable_in(&self.dir), Ordering::Release),
            Err(error) => tracing::warn!(%error, "a snapshot could not be stored; the log is kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::entry::Entry;
    use crate::log::sqlite::SqliteLog;
    use crate::log::{Batch, Log};
    use crate::session::Name;
    use crate::session::event::{Event, Kind, Record};

    /// A sealed file of the log for each of so many snapshots.
    fn log(data: &Path, files: u64) -> Vec<Due> {
        let mut log = SqliteLog::open(data, 0, &mut |_| {}).unwrap();
        let at = Timestamp::from_seconds(1_800_000_000);
        let start = |number: u64| {
            let id = Name::from(format!("s{number}").as_str());
            Entry::Session(Event::Record(Box::new(Record::bare(Kind::Start, Name::from("bras1"), id, at))))
        };
        let mut due = Vec::new();
        for file in 0..files {
            let sequence = log.next_sequence();
            let entries = (0..4000).map(|number| start(file * 4000 + number)).collect();
            log.append(&Batch { sequence, at, entries }).unwrap();
            log.seal().unwrap();
            due.push(Due { sequence: log.next_sequence() - 1, at });
        }
        due
    }

    #[test]
    fn the_newest_that_was_asked_for_while_one_is_made_is_made_next() {
        let data = tempfile::tempdir().unwrap();
        let due = log(data.path(), 4);
        let forgettable = Arc::<AtomicU64>::default();
        let mut maker = Maker::new(data.path().to_owned(), Arc::clone(&forgettable));
        for due in &due[..3] {
            maker.make(*due);
        }
        maker.thread.take().unwrap().join().unwrap();
        let newest = || snapshot::load(data.path()).unwrap().unwrap().sequence;
        assert_eq!(newest(), due[2].sequence);
        // Nobody looks any more, so that the next one to ask starts somebody who does.
        maker.make(due[3]);
        maker.thread.take().unwrap().join().unwrap();
        assert_eq!(newest(), due[3].sequence);
        assert_eq!(forgettable.load(Ordering::Acquire), due[2].sequence + 1);
    }

    #[test]
    fn one_that_is_told_to_stop_makes_none_that_was_asked_for_before() {
        let data = tempfile::tempdir().unwrap();
        let due = log(data.path(), 2);
        let mut maker = Maker::new(data.path().to_owned(), Arc::default());
        maker.stop.store(true, Ordering::Release);
        due.iter().for_each(|due| maker.make(*due));
        maker.stop();
        assert!(snapshot::load(data.path()).unwrap().is_none());
    }
}
