//! Fills the audit index and stores snapshots behind the acknowledgement, in a thread of its own.
//!
//! Knows: that a snapshot may only be stored when the index is past it, so that a restart never loses an effect. Must
//! not know: what an effect means.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::health::Health;
use crate::audit::index::Index;
use crate::log::snapshot;
use crate::session::Timestamp;
use crate::views::Folded;

/// How many group commits the index may be behind before the engine waits for it.
const BEHIND_AT_MOST: usize = 100_000;
/// How many folded entries are stored in one transaction.
const AT_ONCE: usize = 20_000;
/// How long after a failure the index is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What came of one group commit.
pub struct Keep {
    /// Sequence of its last entry.
    pub through: u64,
    /// What is to be indexed.
    pub folded: Vec<Folded>,
}

enum Work {
    Keep(Keep),
    Snapshot { sequence: u64, at: Timestamp, body: Vec<u8> },
}

/// The engine's end.
pub struct Keeper {
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
    forgettable: Arc<AtomicU64>,
    forgotten: AtomicU64,
}

impl Keeper {
    /// Starts the thread. `applied` tells everybody how far the index is.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        dir: PathBuf,
        index: Index,
        applied: Arc<watch::Sender<u64>>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let (work, tasks) = sync_channel(BEHIND_AT_MOST);
        let forgettable = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&forgettable);
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            Worker { dir, index, applied, health, forgettable: told }.run(&tasks);
        })?;
        Ok(Keeper { work: Some(work), thread: Some(thread), forgettable, forgotten: AtomicU64::new(0) })
    }

    /// Hands over what came of a group commit.
    pub fn keep(&self, keep: Keep) {
        self.hand_over(Work::Keep(keep));
    }

    /// Hands over a snapshot of the views at `sequence`.
    pub fn snapshot(&self, sequence: u64, at: Timestamp, body: Vec<u8>) {
        self.hand_over(Work::Snapshot { sequence, at, body });
    }

    /// A sequence below which the log is no longer needed, told once.
    pub fn forgettable(&self) -> Option<u64> {
        let sequence = self.forgettable.load(Ordering::Acquire);
        (self.forgotten.swap(sequence, Ordering::Relaxed) < sequence).then_some(sequence)
    }

    /// Waits until everything handed over is stored.
    pub fn finish(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // The worker has no other way to end than having done its work.
            let _ = thread.join();
        }
    }

    fn hand_over(&self, work: Work) {
        if let Some(sender) = &self.work {
            // A worker that is gone has said why; the log still has everything.
            let _ = sender.send(work);
        }
    }
}

struct Worker {
    dir: PathBuf,
    index: Index,
    applied: Arc<watch::Sender<u64>>,
    health: Arc<Health>,
    forgettable: Arc<AtomicU64>,
}

impl Worker {
    fn run(mut self, tasks: &Receiver<Work>) {
        while let Ok(first) = tasks.recv() {
            let (mut folded, mut through) = (Vec::new(), None);
            let mut next = Some(first);
            while let Some(Work::Keep(keep)) = next {
                through = Some(keep.through);
                folded.extend(keep.folded);
                next = if folded.len() < AT_ONCE { tasks.try_recv().ok() } else { None };
            }
            if let Some(through) = through {
                self.apply(through, &folded);
            }
            if let Some(Work::Snapshot { sequence, at, body }) = next {
                self.store(sequence, at, &body);
            }
        }
    }

    fn apply(&mut self, through: u64, folded: &[Folded]) {
        let mut failed = false;
        while let Err(error) = self.index.apply(through, folded) {
            if !failed {
                tracing::error!(%error, "the audit index cannot be written; questions about the past are late");
            }
            failed = true;
            self.health.set_index_failing(true);
            if self.health.is_stopping() {
                return;
            }
            std::thread::sleep(TRY_AGAIN);
        }
        if failed {
            self.health.set_index_failing(false);
            tracing::info!("the audit index is written again");
        }
        self.applied.send_replace(through);
    }

    fn store(&self, sequence: u64, at: Timestamp, body: &[u8]) {
        // The index must be past the snapshot: what is folded before it is not folded again.
        if *self.applied.borrow() < sequence {
            return;
        }
        match snapshot::store(&self.dir, sequence, at, body) {
            Ok(()) => match snapshot::oldest_sequence(&self.dir) {
                Ok(Some(oldest)) => self.forgettable.store(oldest.saturating_add(1), Ordering::Release),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "snapshots cannot be listed"),
            },
            Err(error) => tracing::warn!(%error, "a snapshot could not be stored; the log is kept"),
        }
    }
}
