//! The only writer: takes what has gathered, makes it durable, folds it, and only then lets it be acknowledged.
//!
//! Knows: the order of these four, batches of refreshes, snapshots, and what to do when storage fails. Must not know:
//! datagrams, protocols, or anybody's words for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::{HashMap, HashMapExt, HashSet};
use tokio::sync::oneshot;

use super::health::{Health, WORTH_SAYING};
use super::inbox::{Import, Inbox, Input, Receipt};
use super::keeper::{Keep, Keeper};
use super::signals;
use crate::clock;
use crate::log::entry::Entry;
use crate::log::{Batch, Log};
use crate::relay::message::MessageKey;
use crate::relay::signal::Signal;
use crate::relay::trend::Thresholds;
use crate::session::effect::{Alarm, Effect};
use crate::session::event::{Event, Record, Refresh};
use crate::session::machine::GAP_BRIDGED;
use crate::session::{Name, Timestamp};
use crate::views::{Folded, Outcome, Views};

/// Refreshes are acknowledged at once and logged at the latest after this.
const REFRESHES_WITHIN: Duration = Duration::from_secs(5);
/// As many refreshes are logged without waiting.
const REFRESHES_AT_ONCE: usize = 4096;
/// The engine looks around at least this often: a deadline that appears meanwhile is no later than that.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// While nothing else is logged, this often an entry says that we listen. Less than a gap that counts.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How long after a storage failure the batch is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// So many entries are folded before those who wait for them are answered: what they ask next is received while the others are folded.
const ANSWERED_AFTER: usize = 64;
/// A log file of this size is sealed and a snapshot taken.
const LOG_FILE_OCTETS: u64 = 256 * 1024 * 1024;
/// And at least this often, so that a quiet daemon's log does not reach back for ever.
const LOG_FILE_LASTS: Duration = Duration::from_secs(24 * 3600);

/// What the engine counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Group commits.
    pub batches: AtomicU64,
    /// Entries made durable.
    pub entries: AtomicU64,
    /// Refreshes acknowledged.
    pub refreshes: AtomicU64,
    /// Commits that storage refused.
    pub failures: AtomicU64,
    /// Messages asked about again.
    pub repeats: AtomicU64,
    /// Alarms raised.
    pub alarms: AtomicU64,
}

/// The writer and everything only it touches.
pub struct Engine<L: Log> {
    log: L,
    views: Views,
    inbox: Arc<Inbox>,
    keeper: Keeper,
    health: Arc<Health>,
    counters: Arc<Counters>,
    acknowledge: Box<dyn Fn(Vec<Receipt>) + Send>,
    refreshes: HashMap<(Name, Name), Refresh>,
    refreshes_since: Option<Timestamp>,
    last: Timestamp,
    /// How far our time is ahead of the host's clock, and when that was written down last.
    ahead: Duration,
    told_alive: Timestamp,
    sealed: Timestamp,
    /// Since when nothing could be written, to be told with the next round: what was sent meanwhile may be lost.
    deaf_since: Option<Timestamp>,
    /// When this loop was last seen to go round: we listen only as long as it does.
    turned: Timestamp,
    /// From where on it is a signal what somebody sends; `None`: nothing is.
    thresholds: Option<Box<dyn Fn() -> Thresholds + Send>>,
    /// Seen after the last commit, and part of the next one.
    signals: Vec<Signal>,
}

/// What one round makes durable, and who waits for it.
#[derive(Default)]
struct Round {
    entries: Vec<Entry>,
    /// How many of `entries` come before the acknowledgement, and whose it is.
    receipts: Vec<(usize, Receipt)>,
    askers: Vec<Asker>,
    /// Sessions with something on its way: what else comes of them is no refresh.
    touched: HashSet<(Name, Name)>,
    /// Index into `entries` of each message that may be asked about again in this very round.
    messages: HashMap<MessageKey, usize>,
}

/// Who waits for an entry of a round.
struct Asker {
    /// Index into the round's entries: that one's sequence is the answer.
    index: usize,
    /// How many of them come before it.
    before: usize,
    answer: oneshot::Sender<u64>,
}

impl<L: Log> Engine<L> {
    /// A writer over views that were rebuilt from `log` up to `last`.
    #[expect(clippy::too_many_arguments, reason = "the one place where everything comes together")]
    pub fn new(
        log: L,
        views: Views,
        last: Timestamp,
        inbox: Arc<Inbox>,
        keeper: Keeper,
        health: Arc<Health>,
        counters: Arc<Counters>,
        acknowledge: Box<dyn Fn(Vec<Receipt>) + Send>,
    ) -> Self {
        let (refreshes, refreshes_since, sealed) = (HashMap::new(), None, clock::now());
        Engine {
            log,
            views,
            inbox,
            keeper,
            health,
            counters,
            acknowledge,
            refreshes,
            refreshes_since,
            last,
            ahead: Duration::ZERO,
            told_alive: Timestamp::EARLIEST,
            sealed,
            deaf_since: None,
            turned: clock::now(),
            thresholds: None,
            signals: Vec::new(),
        }
    }

    /// Looks at senders, too, by the thresholds that hold whenever somebody sends.
    #[must_use]
    pub fn with_thresholds(self, thresholds: impl Fn() -> Thresholds + Send + 'static) -> Self {
        Engine { thresholds: Some(Box::new(thresholds)), ..self }
    }

    /// The log is read from that moment on at a start. A snapshot is due by it, not by ours: a daemon that dies every day would else
    /// never make one.
    #[must_use]
    pub fn with_log_since(self, since: Option<Timestamp>) -> Self {
        Engine { sealed: since.unwrap_or(self.sealed), ..self }
    }

    /// Makes entries durable before anything else: what was applied, and since when we were away. From then on lookups
    /// are true. False when we were told to stop before storage allowed it.
    pub fn begin(&mut self, entries: Vec<Entry>) -> bool {
        let durable = self.commit(Round { entries, ..Round::default() });
        if durable {
            self.health.set_ready();
        }
        durable
    }

    /// Works until the inbox is closed and empty; then writes down that we listened until now, and a snapshot.
    pub fn run(mut self) {
        loop {
            let taken = self.inbox.take(self.patience());
            self.turn();
            let over = taken.closed && taken.inputs.is_empty();
            self.advance();
            let mut round = self.sort(taken.inputs);
            if over || self.refreshes_are_due() {
                self.flush_refreshes(&mut round);
            }
            if over || self.alive_is_due(&round) {
                self.told_alive = self.last;
                round.entries.push(Entry::Alive { ahead: self.ahead });
            }
            if !self.commit(round) {
                return;
            }
            self.seal_when_full(over);
            self.turn();
            if over {
                self.keeper.finish();
                // Not before the last snapshot is stored, or one that is stopped daily would keep its whole log.
                self.forget();
                return;
            }
        }
    }

    /// Notes that we go on. If that took longer than retransmissions bridge (a commit, a snapshot, an index that had to be
    /// waited for, a machine that was paused), what was sent meanwhile may be lost.
    fn turn(&mut self) {
        let now = clock::now();
        if now.since(self.turned) > GAP_BRIDGED {
            self.deaf_since.get_or_insert(self.turned);
            self.health.set_deaf(true);
        }
        self.turned = now;
    }

    fn patience(&self) -> Duration {
        if !self.signals.is_empty() {
            return Duration::ZERO;
        }
        let due = self.views.machine().next_deadline().map_or(LOOK_AROUND, |due| due.since(clock::now()));
        // A deadline that is due to the millisecond is not worth a busy turn of this loop.
        due.clamp(Duration::from_millis(20), LOOK_AROUND)
    }

    fn advance(&mut self) {
        let mut folded = Vec::new();
        let look = clock::look();
        // The time in which we did not listen is let pass by the entry that says so.
        let now = self.deaf_since.unwrap_or(look.now).max(self.last);
        (self.last, self.ahead) = (now, look.ahead);
        self.views.advance(now, &mut folded);
        self.report(&folded);
        if !folded.is_empty() {
            self.keeper.keep(Keep { through: self.views.sequence(), folded });
        }
    }

    /// Sorts what has gathered into refreshes, which are answered with this round, and entries, which wait for it.
    fn sort(&mut self, inputs: Vec<Input>) -> Round {
        let mut round = Round::default();
        if let Some(since) = self.deaf_since.take() {
            round.entries.push(Entry::Session(Event::Resumed { since: Some(since) }));
        }
        // Before anything else of its sender, or it would be seen again.
        round.entries.extend(self.signals.drain(..).map(|signal| Entry::Signal(Box::new(signal))));
        for input in inputs {
            match input {
                Input::Record(record, receipt) => {
                    self.sort_record(record, &mut round);
                    round.receipts.push((round.entries.len(), receipt));
                }
                // Nobody waits any more: the MTA was told to try again, so it must not be written down.
                Input::Entry(_, asker) | Input::Import(_, asker) if asker.is_closed() => {}
                Input::Import(import, asker) => self.sort_import(*import, asker, &mut round),
                Input::Entry(entry, asker) => self.sort_entry(*entry, asker, &mut round),
            }
        }
        round
    }

    fn sort_record(&mut self, record: Box<Record>, round: &mut Round) {
        if let Some(refresh) = self.views.machine().as_refresh(&record) {
            let key = (record.nas.clone(), record.session_id.clone());
            if !round.touched.contains(&key) {
                self.counters.refreshes.fetch_add(1, Ordering::Relaxed);
                self.refreshes_since.get_or_insert(record.arrival);
                self.refreshes.insert(key, refresh);
                return;
            }
        }
        self.fold_before(&record, round);
        round.entries.push(Entry::Session(Event::Record(record)));
    }

    /// All of it is made durable by one commit, or none.
    fn sort_import(&mut self, import: Import, answer: oneshot::Sender<u64>, round: &mut Round) {
        let index = round.entries.len();
        round.entries.push(import.by);
        for record in import.records {
            self.fold_before(&record, round);
            round.entries.push(Entry::Session(Event::Imported(Box::new(record))));
        }
        round.entries.extend(import.messages.into_iter().map(|message| Entry::Message(Box::new(message))));
        round.askers.push(Asker { index, before: round.entries.len(), answer });
    }

    /// What a session said before must be folded before what it says now, and so must what those said whom it concerns:
    /// that they were heard decides between them.
    fn fold_before(&mut self, record: &Record, round: &mut Round) {
        self.fold_first((record.nas.clone(), record.session_id.clone()), round);
        for other in self.views.machine().concerned(record) {
            self.fold_first(other, round);
        }
    }

    /// Logs what is acknowledged of a session and not yet logged, and takes no further refresh of it in this round.
    fn fold_first(&mut self, key: (Name, Name), round: &mut Round) {
        if let Some(refresh) = self.refreshes.remove(&key) {
            round.entries.push(Entry::Session(Event::Refreshes(vec![refresh])));
        }
        round.touched.insert(key);
    }

    fn sort_entry(&self, entry: Entry, answer: oneshot::Sender<u64>, round: &mut Round) {
        let mut index = round.entries.len();
        if let Some(key) = entry.message().and_then(MessageKey::of) {
            if self.views.is_repeat(&key) {
                self.counters.repeats.fetch_add(1, Ordering::Relaxed);
                let _ = answer.send(self.views.sequence());
                return;
            }
            index = *round.messages.entry(key).or_insert(index);
        }
        if index == round.entries.len() {
            round.entries.push(entry);
        } else {
            self.counters.repeats.fetch_add(1, Ordering::Relaxed);
        }
        round.askers.push(Asker { index, before: round.entries.len(), answer });
    }

    fn refreshes_are_due(&self) -> bool {
        let old = self.refreshes_since.is_some_and(|since| self.last.since(since) >= REFRESHES_WITHIN / 2);
        old || self.refreshes.len() >= REFRESHES_AT_ONCE
    }

    fn flush_refreshes(&mut self, round: &mut Round) {
        self.refreshes_since = None;
        if !self.refreshes.is_empty() {
            let mut refreshes: Vec<_> = self.refreshes.drain().map(|(_, refresh)| refresh).collect();
            refreshes.sort_by_key(|refresh| refresh.arrival);
            round.entries.push(Entry::Session(Event::Refreshes(refreshes)));
        }
    }

    fn alive_is_due(&self, round: &Round) -> bool {
        let quiet = round.entries.is_empty() && self.last.since(self.health.last_commit()) >= ALIVE_EVERY;
        // A process that begins while our time is ahead goes on with it, and must know how far.
        let ahead = self.ahead >= WORTH_SAYING && self.last.since(self.told_alive) >= ALIVE_EVERY;
        quiet || ahead
    }

    fn batch(&mut self, entries: Vec<Entry>) -> Batch {
        let at = clock::now().max(self.last);
        self.last = at;
        Batch { sequence: self.log.next_sequence(), at, entries }
    }

    /// Append, commit, fold, then answer. False when we were told to stop while storage failed.
    fn commit(&mut self, round: Round) -> bool {
        let Round { entries, receipts, askers, .. } = round;
        if entries.is_empty() {
            self.acknowledge(receipts.into_iter());
            return true;
        }
        let batch = self.batch(entries);
        if !self.append(&batch) {
            return false;
        }
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.counters.entries.fetch_add(batch.entries.len() as u64, Ordering::Relaxed);
        self.fold(&batch, receipts, askers);
        true
    }

    /// Tries the very same batch until it is durable. Meanwhile nothing is acknowledged, the inbox fills up and then
    /// drops datagrams, and whoever asks is answered from memory.
    fn append(&mut self, batch: &Batch) -> bool {
        let mut failed = false;
        loop {
            match self.log.append(batch) {
                Ok(()) => {
                    if failed {
                        tracing::info!("storage works again; what was held back is durable");
                    }
                    // Before anybody is told that storage works: who came online meanwhile is still not known.
                    self.turn();
                    self.health.committed(clock::now());
                    return true;
                }
                Err(error) => {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                    if !failed {
                        tracing::error!(%error, "the log cannot be written: nothing is acknowledged until it can");
                    }
                    failed = true;
                    self.health.storage_failed(&error);
                    if self.health.is_stopping() {
                        tracing::error!(
                            entries = batch.entries.len(),
                            "stopping without having written the last batch; none of it was acknowledged"
                        );
                        return false;
                    }
                    std::thread::sleep(TRY_AGAIN);
                }
            }
        }
    }

    /// A part at a time, and whoever waits for it is answered before the next.
    fn fold(&mut self, batch: &Batch, receipts: Vec<(usize, Receipt)>, askers: Vec<Asker>) {
        let (mut receipts, mut askers) = (receipts.into_iter().peekable(), askers.into_iter().peekable());
        let mut folded = Vec::new();
        let mut done = 0;
        for part in batch.entries.chunks(ANSWERED_AFTER) {
            for (sequence, entry) in (batch.sequence + done as u64..).zip(part) {
                self.views.fold(batch.at, sequence, entry, &mut folded);
            }
            done += part.len();
            let resumed = |entry: &Entry| matches!(entry, Entry::Session(Event::Resumed { .. }));
            if self.deaf_since.is_none() && part.iter().any(resumed) {
                self.health.set_deaf(false);
            }
            let is_folded = |(before, _): &(usize, Receipt)| *before <= done;
            self.acknowledge(std::iter::from_fn(|| receipts.next_if(is_folded)));
            while let Some(Asker { index, answer, .. }) = askers.next_if(|asker| asker.before <= done) {
                // The asker may have run out of patience; what is written stays written.
                let _ = answer.send(batch.sequence + index as u64);
            }
        }
        self.report(&folded);
        if let Some(thresholds) = &self.thresholds {
            self.signals = signals::seen(self.views.trends(), &thresholds(), &folded, batch.at);
        }
        self.keeper.keep(Keep { through: self.views.sequence(), folded });
    }

    fn acknowledge(&self, receipts: impl Iterator<Item = (usize, Receipt)>) {
        let receipts: Vec<_> = receipts.map(|(_, receipt)| receipt).collect();
        if !receipts.is_empty() {
            (self.acknowledge)(receipts);
        }
    }

    fn report(&self, folded: &[Folded]) {
        for Folded { outcome, .. } in folded {
            let Outcome::Effect(_, Effect::Alarm(alarm)) = outcome else { continue };
            self.counters.alarms.fetch_add(1, Ordering::Relaxed);
            match alarm {
                Alarm::Conflict { place } => {
                    tracing::warn!(%place, "two subscribers' live sessions claim one prefix: deferred until one ends");
                }
                Alarm::Crowd { subscriber, sessions } => {
                    tracing::warn!(%subscriber, sessions, "one subscriber has suspiciously many sessions");
                }
                Alarm::NasSilent { nas } => {
                    tracing::warn!(%nas, "NAS is silent: its sessions are old knowledge");
                }
                Alarm::NasHeard { nas } => tracing::info!(%nas, "NAS is heard again"),
                Alarm::ClaimsDropped { nas, count } => {
                    tracing::warn!(%nas, count, "claims outside of what this client may assign were dropped");
                }
            }
        }
    }

    /// Seals the log file in use and hands a snapshot of the views to the keeper.
    pub fn take_snapshot(&mut self, over: bool) {
        self.sealed = self.last;
        if let Err(error) = self.log.seal() {
            tracing::warn!(%error, "the log file could not be sealed; the next one is opened all the same");
        }
        // In the end nobody waits for this thread, and the next start begins here.
        let body = over.then(|| self.views.snapshot());
        self.keeper.snapshot(self.views.sequence(), self.last, body);
    }

    fn seal_when_full(&mut self, over: bool) {
        let old = self.last.since(self.sealed) >= LOG_FILE_LASTS;
        if over || old || self.log.size() >= LOG_FILE_OCTETS {
            self.take_snapshot(over);
        }
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(sequence) = self.keeper.forgettable()
            && let Err(error) = self.log.forget_below(sequence)
        {
            tracing::warn!(%error, "log files that are no longer needed could not be removed");
        }
    }
}

#[cfg(test)]
mod tests;
