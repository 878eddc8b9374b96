//! Fills the audit index and stores snapshots behind the acknowledgement, in a thread of its own.
//!
//! Notices are behind the acknowledgement, too, and come first: an index that hangs or is given up holds up none of them.
//!
//! Knows: that a snapshot may only be stored when the index is past it, so that a restart never loses an effect. Must
//! not know: what an effect means.

mod maker;
mod storm;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::maker::{Due, Maker, forgettable_in};
use super::health::Health;
use super::notices::outbox::Outbox;
use super::reached::Reached;
use crate::access::preservation::Preservations;
use crate::audit::AuditError;
use crate::audit::index::Index;
use crate::clock;
use crate::config::Retention;
use crate::session::Timestamp;
use crate::views::Folded;

/// How long the engine waits before it looks again whether the index has caught up.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// How many folded entries are stored in one transaction.
const AT_ONCE: usize = 20_000;
/// Niceness of the thread, which Linux takes for the thread alone: against others that want the processor it gets a tenth.
const STEPS_BACK: i32 = 10;
/// How often is looked for what is older than it is to be kept.
const RETIRE_EVERY: Duration = Duration::from_secs(600);
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
    Snapshot { sequence: u64, at: Timestamp, body: Option<Vec<u8>> },
}

/// The engine's end.
pub struct Keeper {
    work: Option<Sender<Work>>,
    /// Outcomes handed over and not yet indexed.
    behind: Arc<AtomicU64>,
    /// How many they may be before the engine waits. It waits only for an index that is slow; one that fails is given up
    /// until the next start, which refills it from the log.
    room: u64,
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
    forgettable: Arc<AtomicU64>,
    forgotten: AtomicU64,
}

impl Keeper {
    /// Starts the thread. `reached` tells everybody how far the index is; it has room for so many outcomes that wait.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        dir: PathBuf,
        index: Index,
        reached: Arc<Reached>,
        health: Arc<Health>,
        outbox: Arc<Outbox>,
        room: u32,
        kept: impl Fn() -> (Retention, Arc<Preservations>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (work, tasks) = channel();
        let behind = Arc::new(AtomicU64::new(0));
        // A stop stores a snapshot and forgets nothing behind it any more, so this begins with what the snapshots that are there allow.
        let forgettable = Arc::new(AtomicU64::new(forgettable_in(&dir)));
        let maker = Maker::new(dir, Arc::clone(&forgettable));
        let done = Arc::clone(&behind);
        let watched = Arc::clone(&health);
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            // Whoever waits for an acknowledgement or an answer comes first; the past can wait, to the bound above. A system
            // that does not let us step back only costs time.
            let _ = rustix::process::setpriority_process(None, STEPS_BACK);
            let kept = Box::new(kept);
            Worker {
                index,
                reached,
                health,
                behind: done,
                room,
                kept,
                outbox,
                retires: Timestamp::EARLIEST,
                is_failing: false,
                ahead: VecDeque::new(),
                maker,
            }
            .run(&tasks);
        })?;
        let forgotten = AtomicU64::new(0);
        let (work, thread, room) = (Some(work), Some(thread), u64::from(room));
        Ok(Keeper { work, behind, room, health: watched, thread, forgettable, forgotten })
    }

    /// Hands over what came of a group commit.
    pub fn keep(&mut self, keep: Keep) {
        while self.behind.load(Ordering::Acquire) > self.room && !self.health.is_index_given_up() {
            // A worker that is gone will never catch up either.
            let gone = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if gone || self.health.is_index_failing() {
                // Nothing may be indexed after a hole, nor a snapshot stored beyond it.
                self.health.give_up_index();
                tracing::error!(
                    "the audit index is given up until the next start, which fills it from the log"
                );
            } else {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        self.behind.fetch_add(keep.folded.len() as u64, Ordering::AcqRel);
        self.hand_over(Work::Keep(keep));
    }

    /// Has a snapshot of the views at `sequence` stored: this one, or one that is made beside the engine.
    pub fn snapshot(&self, sequence: u64, at: Timestamp, body: Option<Vec<u8>>) {
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
    index: Index,
    reached: Arc<Reached>,
    health: Arc<Health>,
    behind: Arc<AtomicU64>,
    /// So many outcomes may wait for us, and so many rows for a disk that refuses.
    room: u32,
    /// For how long what is kept, and what longer.
    kept: Box<dyn Fn() -> (Retention, Arc<Preservations>) + Send>,
    /// What others are to be told of it.
    outbox: Arc<Outbox>,
    /// When is looked next for what is too old.
    retires: Timestamp,
    is_failing: bool,
    /// What is to be done, in order; others were told of it.
    ahead: VecDeque<Work>,
    maker: Maker,
}

impl Worker {
    fn run(mut self, tasks: &Receiver<Work>) {
        self.work(tasks);
        self.maker.stop();
        self.tell_on(tasks);
    }

    /// Until nothing comes any more, or nothing may be indexed any more: after a hole the next start fills it from the log.
    fn work(&mut self, tasks: &Receiver<Work>) {
        while self.comes_more(tasks) {
            self.let_storm_pass(tasks);
            let (mut folded, mut through) = (Vec::new(), None);
            while folded.len() < AT_ONCE
                && let Some(Work::Keep(keep)) = self.ahead.pop_front_if(|work| matches!(work, Work::Keep(_)))
            {
                through = Some(keep.through);
                folded.extend(keep.folded);
            }
            if let Some(through) = through {
                if self.health.is_index_given_up() || !self.apply(tasks, through, &folded) {
                    return;
                }
                self.behind.fetch_sub(folded.len() as u64, Ordering::AcqRel);
                if !self.retire(clock::now()) {
                    return;
                }
            }
            if let Some(Work::Snapshot { sequence, at, body }) =
                self.ahead.pop_front_if(|work| matches!(work, Work::Snapshot { .. }))
            {
                self.snapshot(sequence, at, body);
            }
        }
    }

    /// The past can no longer be written down, but others are told what happens.
    fn tell_on(&mut self, tasks: &Receiver<Work>) {
        self.ahead.clear();
        while let Ok(work) = tasks.recv() {
            if let Work::Keep(keep) = work {
                self.outbox.accept(&keep.folded, clock::now());
            }
        }
    }

    /// Takes all that there is to do, and waits for something where there is nothing. False: nothing will come.
    fn comes_more(&mut self, tasks: &Receiver<Work>) -> bool {
        if self.ahead.is_empty()
            && let Ok(work) = tasks.recv()
        {
            self.take_in(work);
        }
        tasks.try_iter().for_each(|work| self.take_in(work));
        !self.ahead.is_empty()
    }

    /// Others are told of it first, so that what is indexed is told, too, whatever happens between the two.
    fn take_in(&mut self, work: Work) {
        if let Work::Keep(keep) = &work {
            self.outbox.accept(&keep.folded, clock::now());
        }
        self.ahead.push_back(work);
    }

    /// Waits while there is a storm, unless somebody asks about the past.
    fn let_storm_pass(&mut self, tasks: &Receiver<Work>) {
        let began = Instant::now();
        loop {
            let before = self.behind.load(Ordering::Acquire);
            if self.reached.is_wanted() || !storm::may_wait(before, self.room, began.elapsed()) {
                return;
            }
            self.wait(tasks, storm::A_MOMENT);
            if !storm::is_storm(before, self.behind.load(Ordering::Acquire)) {
                return;
            }
        }
    }

    /// Waits a while, and tells others of what comes meanwhile. That is bounded: the engine hands over no more than
    /// there is room for.
    fn wait(&mut self, tasks: &Receiver<Work>, how_long: Duration) {
        let until = Instant::now().checked_add(how_long);
        while let Some(left) = until.and_then(|until| until.checked_duration_since(Instant::now())) {
            match tasks.recv_timeout(left) {
                Ok(work) => self.take_in(work),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(left),
            }
        }
    }

    /// False when nothing can be taken any more, or when we were told to stop before it could.
    fn apply(&mut self, tasks: &Receiver<Work>, through: u64, folded: &[Folded]) -> bool {
        while let Err(error) = self.take(through, folded) {
            if let AuditError::Damaged { file, .. } = &error {
                self.give_up(&error, file);
                return false;
            }
            self.failing(&error);
            if self.health.is_stopping() || self.health.is_index_given_up() {
                return false;
            }
            self.wait(tasks, TRY_AGAIN);
        }
        self.reached.set(through);
        true
    }

    /// What is taken is found, whether it can be written or not. Only when too much of it waits is nothing more taken.
    fn take(&mut self, through: u64, folded: &[Folded]) -> Result<(), AuditError> {
        self.index.apply(through, folded)?;
        match self.index.keep_up(clock::now()) {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    self.health.set_index_failing(false);
                    tracing::info!("the audit index is written again");
                }
                Ok(())
            }
            Err(error @ AuditError::Storage { .. }) if self.index.gathered() < self.room as usize => {
                self.failing(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn failing(&mut self, error: &AuditError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(%error, "the audit index cannot be written; questions about the past are late");
            self.health.set_index_failing(true);
        }
    }

    /// A part of the work at a time, so that what was handed over need not wait long.
    fn retire(&mut self, at: Timestamp) -> bool {
        if at < self.retires {
            return true;
        }
        let (kept, preserved) = (self.kept)();
        match self.index.retire(at, &kept, &preserved) {
            Ok(true) => {}
            Ok(false) => {
                self.health.set_retention_failing(false);
                self.retires = at.plus(RETIRE_EVERY);
            }
            Err(AuditError::Damaged { file, what }) => {
                self.give_up(&AuditError::Damaged { file: file.clone(), what }, &file);
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "what is older than it is to be kept cannot be removed");
                self.health.set_retention_failing(true);
                self.retires = at.plus(RETIRE_EVERY);
            }
        }
        true
    }

    fn give_up(&self, error: &AuditError, file: &Path) {
        self.health.set_index_failing(true);
        self.health.give_up_index();
        match self.index.condemn(file) {
            Ok(()) => {
                tracing::error!(%error, "the audit index is given up; the next start makes it again from the log");
            }
            Err(mark) => tracing::error!(
                %error, %mark, "the audit index is given up; remove it, and the next start makes it again from the log"
            ),
        }
    }

    fn snapshot(&mut self, sequence: u64, at: Timestamp, body: Option<Vec<u8>>) {
        // The index must be past the snapshot, also after a loss of power: what is folded before it is not folded again.
        if self.reached.sequence() < sequence {
            return;
        }
        if !self.outbox.is_durable() {
            return tracing::warn!(
                "no snapshot: what others are to be told cannot be written; the log is kept"
            );
        }
        if let Err(error) = self.index.sync(clock::now()) {
            return tracing::warn!(%error, "no snapshot: the audit index cannot be synced; the log is kept");
        }
        let due = Due { sequence, at };
        match body {
            Some(body) => self.maker.store(due, &body),
            None => self.maker.make(due),
        }
    }
}

#[cfg(test)]
mod tests;
