//! The partitions of one kind, and the rows that have gathered for the next.
//!
//! New rows are gathered in memory, in sorted runs, and written many at a time, which costs each of them little. What was not
//! written when the process ended comes again from the log.
//!
//! Knows: when rows are written, and when a partition is closed. Must not know: what a row is ([`Rows`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::{Connection, Transaction};

use super::AuditError;
use super::checksum::Checksum;
use super::facts::Position;
use super::partition::{self, Partition, Span, Writer};
use super::progress::{Marked, Progress};
use crate::session::Timestamp;
use crate::views::Outcome;

/// A partition of so many rows is closed.
const ROWS_MAX: u64 = 1_000_000;

/// Rows of one kind.
pub(super) trait Rows: Default + Send + Sync + 'static {
    /// What files of this kind are called.
    const KIND: &'static str;
    /// Their tables.
    const TABLES: &'static [&'static str];

    /// Whether an outcome makes any.
    fn are_in(outcome: &Outcome) -> bool;

    /// Adds what an outcome makes.
    fn gather(&mut self, position: Position, outcome: &Outcome);

    /// Puts them in the order in which they are found and written.
    fn sort(&mut self);

    /// Adds others; not in order afterwards.
    fn add(&mut self, others: &Self);

    /// How many.
    fn count(&self) -> usize;

    /// The moments that they tell of.
    fn span(&self) -> Option<Span>;

    /// Writes all of these. Where rows of older partitions are among them, those of entries up to `moved` may be there already, and
    /// are not written again. Says how many were written.
    fn write(
        runs: &[Arc<Self>],
        transaction: &Transaction<'_>,
        moved: Option<u64>,
    ) -> rusqlite::Result<(u64, Checksum)>;

    /// Puts in order what was written, before nothing more is.
    fn settle(_transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    /// What was written into a file, read again.
    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)>;
}

/// Everything of one kind, at one moment.
pub(super) struct View<R> {
    /// In the order of their numbers; the last may be open.
    pub(super) partitions: Vec<Arc<Partition>>,
    /// Gathered and perhaps not written yet. What is in both is there once: facts have positions.
    pub(super) runs: Vec<Arc<R>>,
    /// Partitions that should be there.
    pub(super) lost: Vec<Lost>,
}

impl<R> View<R> {
    /// Since when something that should be known is lost; `None`: nothing is.
    pub(super) fn lost_since(&self) -> Option<Timestamp> {
        self.lost.iter().map(|lost| lost.since).min()
    }

    /// Since when something is lost that a list of this time would have needed; `None`: nothing is.
    pub(super) fn lost_within(&self, since: Timestamp, until: Timestamp) -> Option<Timestamp> {
        // A partition tells of nothing that was told after the one behind it began.
        let end = |lost: &Lost| {
            let behind = self.partitions.iter().find(|partition| partition.about.number > lost.number);
            behind.map_or(Timestamp::from_millis(i64::MAX), |behind| behind.about.began)
        };
        let touched = self.lost.iter().filter(|lost| lost.since < until && end(lost) >= since);
        touched.map(|lost| lost.since).min()
    }
}

/// A partition that can't be read, or is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) number: u32,
    /// It tells of nothing before this moment; `EARLIEST`: not known.
    pub(super) since: Timestamp,
}

/// What readers have.
pub(super) struct Published<R>(Arc<Inner<R>>);

struct Inner<R> {
    view: ArcSwap<View<R>>,
    /// Odd while rows go from memory to a file, where they are for a moment in both.
    turns: AtomicU64,
}

impl<R> Clone for Published<R> {
    fn clone(&self) -> Self {
        Published(Arc::clone(&self.0))
    }
}

/// How long a reader waits for rows to be written before it looks again, and how often.
const LOOK_AGAIN: (Duration, u32) = (Duration::from_millis(5), 1_000);

impl<R> Published<R> {
    fn new() -> Self {
        let view = View { partitions: Vec::new(), runs: Vec::new(), lost: Vec::new() };
        Published(Arc::new(Inner { view: ArcSwap::from_pointee(view), turns: AtomicU64::new(0) }))
    }

    /// Everything of this kind now. What is being written may be found twice.
    pub(super) fn now(&self) -> Arc<View<R>> {
        self.0.view.load_full()
    }

    /// An answer from each row once, for what can't tell that it saw one before.
    pub(super) fn once<T>(
        &self,
        mut answer: impl FnMut(&View<R>) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let (wait, times) = LOOK_AGAIN;
        for _ in 0..times {
            let before = self.0.turns.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let answer = answer(&self.now())?;
                if self.0.turns.load(Ordering::Acquire) == before {
                    return Ok(answer);
                }
            }
            std::thread::sleep(wait);
        }
        let error = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Err(AuditError::storage(Path::new("audit"), &error))
    }

    fn publish(&self, view: View<R>) {
        self.0.view.store(Arc::new(view));
    }
}

/// What is filled from the log, whatever its rows are.
pub(super) trait Fill {
    /// Sequence of the last entry whose rows are written or gathered.
    fn applied(&self) -> u64;

    /// How many rows have gathered.
    fn gathered(&self) -> usize;

    /// Gathers what is new.
    fn apply(&mut self, through: u64, items: &[Marked<'_>]);

    /// Writes what has gathered. After an error nothing was written, and it may be tried again.
    fn flush(&mut self, at: Timestamp) -> Result<(), AuditError>;

    /// Makes what was written survive a loss of power. Then the files go of which it had moved.
    fn sync(&mut self) -> Result<(), AuditError>;

    /// Whether a file waits for that.
    fn has_left(&self) -> bool;

    /// Has the next partition not take the place of one that was damaged.
    fn give_up_lost(&mut self);

    /// Says that these files, which were set aside, are not there any more: what partitions before the oldest had is not missed.
    fn forget_lost(&mut self, gone: &[String]);
}

/// The writer's side.
pub(super) struct Shelf<R> {
    directory: PathBuf,
    progress: Progress,
    open: Option<Writer>,
    /// The number of the next partition.
    next: u32,
    gathered: usize,
    /// Whether rows of an older partition are among them.
    moved: bool,
    /// Whatever is new is of a later entry, or of this one.
    written: u64,
    /// Files of partitions that nobody asks any more, the oldest first: what moved from them may not be written yet.
    left: Vec<PathBuf>,
    published: Published<R>,
}

impl<R: Rows> Shelf<R> {
    /// Opens what is in a directory.
    pub(super) fn open(directory: &Path) -> Result<Shelf<R>, AuditError> {
        let mut view = View { partitions: Vec::new(), runs: Vec::new(), lost: Vec::new() };
        let mut numbers = numbers(directory, R::KIND)?;
        let mut shelf = Shelf {
            directory: directory.to_path_buf(),
            progress: Progress::default(),
            open: None,
            next: 1,
            gathered: 0,
            moved: false,
            written: 0,
            left: Vec::new(),
            published: Published::new(),
        };
        shelf.pass_over_begun(&mut numbers)?;
        for (index, &number) in numbers.iter().enumerate() {
            let known =
                view.partitions.last().map_or(Timestamp::EARLIEST, |last: &Arc<Partition>| last.about.began);
            let before = index.checked_sub(1).and_then(|index| numbers.get(index).copied());
            for number in before.map_or(number, |before| before.saturating_add(1))..number {
                view.lost.push(Lost { number, since: known });
            }
            let path = shelf.path(number);
            let is_last = index.saturating_add(1) == numbers.len();
            match shelf.open_one(&path, number, is_last) {
                Ok(partition) => view.partitions.push(Arc::new(partition)),
                Err(error @ AuditError::Damaged { .. }) => {
                    tracing::error!(%error, "a partition of the past is damaged: it is set aside, and answers that need it say so");
                    partition::set_aside(&path).map_err(|error| AuditError::storage(&path, &error))?;
                    view.lost.push(Lost { number, since: known });
                }
                Err(error) => return Err(error),
            }
        }
        shelf.next = view.partitions.last().map_or(1, |last| last.about.number.saturating_add(1));
        for number in set_aside(directory, R::KIND)? {
            if view.partitions.iter().all(|partition| partition.about.number != number)
                && view.lost.iter().all(|lost| lost.number != number)
            {
                let before = view.partitions.iter().rfind(|partition| partition.about.number < number);
                view.lost.push(Lost {
                    number,
                    since: before.map_or(Timestamp::EARLIEST, |before| before.about.began),
                });
            }
        }
        shelf.give_up_moved(&mut view);
        // What a damaged partition had taken beyond the one before it is taken again, as far as the log has it.
        if let Some(last) = view.partitions.last().filter(|_| shelf.open.is_none()) {
            shelf.progress = last.ask(Progress::load)?;
        }
        shelf.written = shelf.progress.applied();
        shelf.published.publish(view);
        Ok(shelf)
    }

    /// Where rows of older partitions had moved to the last one, the log does not have all that is lost with it: nothing takes its
    /// place, so that each answer says so. What the log has comes into the next one.
    fn give_up_moved(&mut self, view: &mut View<R>) {
        let had_moved = view
            .lost
            .iter()
            .map(|lost| lost.number)
            .filter(|number| partition::has_moved(&self.path(*number)));
        let behind = had_moved.max().map_or(0, |number| number.saturating_add(1));
        self.next = self.next.max(behind);
        while partition::has_moved(&self.path(self.next)) {
            let since = view.partitions.last().map_or(Timestamp::EARLIEST, |last| last.about.began);
            view.lost.push(Lost { number: self.next, since });
            self.next = self.next.saturating_add(1);
        }
    }

    /// One that was begun before a crash, and into which nothing was written, knows nothing of what was taken before it.
    fn pass_over_begun(&self, numbers: &mut Vec<u32>) -> Result<(), AuditError> {
        while let [.., _, last] = numbers.as_slice() {
            let path = self.path(*last);
            match Writer::go_on(path.clone(), *last) {
                Ok(writer) if writer.progress()?.applied() == 0 => drop(writer),
                Ok(_) | Err(AuditError::Damaged { .. }) => break,
                Err(error) => return Err(error),
            }
            partition::remove(&path).map_err(|error| AuditError::storage(&path, &error))?;
            numbers.pop();
        }
        Ok(())
    }

    fn open_one(&mut self, path: &Path, number: u32, is_last: bool) -> Result<Partition, AuditError> {
        if !is_last {
            return Partition::open_closed(path, number);
        }
        let writer = Writer::go_on(path.to_path_buf(), number)?;
        // Somebody else who reads it may keep what was written last from going where it belongs: then it is closed later.
        if writer.about.closed.is_some() && writer.sync().is_ok() {
            drop(writer);
            return Partition::open_closed(path, number);
        }
        self.progress = writer.progress()?;
        let partition = Partition::open_beside(path, writer.about)?;
        self.open = Some(writer);
        Ok(partition)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}-{number:06}.sqlite3", R::KIND))
    }

    /// Goes on from this entry, if there never was anything of this kind, but for a file whose making was interrupted: a kind that came
    /// later than others.
    pub(super) fn begin_behind(&mut self, applied: u64) {
        let view = self.published.now();
        let has_rows = view.partitions.iter().any(|partition| partition.about.rows > 0);
        if !has_rows && view.lost.is_empty() && self.progress.applied() == 0 {
            self.progress = Progress::behind(applied);
        }
    }

    pub(super) fn readers(&self) -> Published<R> {
        self.published.clone()
    }

    fn take(&mut self, rows: R) {
        if rows.count() > 0 {
            let view = self.published.now();
            let runs = self.gather(view.runs.clone(), rows);
            let (partitions, lost) = (view.partitions.clone(), view.lost.clone());
            self.published.publish(View { partitions, runs, lost });
        }
    }

    fn gather(&mut self, mut runs: Vec<Arc<R>>, mut rows: R) -> Vec<Arc<R>> {
        if rows.count() == 0 {
            return runs;
        }
        self.gathered = self.gathered.saturating_add(rows.count());
        // Runs grow geometrically, so that there are few, and each row is copied a few times at most.
        while let Some(last) = runs.pop_if(|last| last.count() <= rows.count().saturating_mul(2)) {
            rows.add(&last);
        }
        rows.sort();
        runs.push(Arc::new(rows));
        runs
    }

    /// Closes the partition that is open when its day is over, or it has no room for what has gathered.
    fn close_when_due(&mut self, at: Timestamp) -> Result<(), AuditError> {
        let Some(writer) = &mut self.open else { return Ok(()) };
        let is_full = writer.about.rows.saturating_add(self.gathered as u64) > ROWS_MAX;
        let is_due = writer.about.rows > 0 && (is_full || writer.about.is_of_another_day(at));
        if !is_due && writer.about.closed.is_none() {
            return Ok(());
        }
        writer.close(at, R::settle)?;
        let closed = Partition::open_closed(&writer.path, writer.about.number)?;
        self.open = None;
        // At once: what comes next may fail.
        self.publish_last(closed, self.published.now().runs.clone());
        Ok(())
    }

    fn write_gathered(&mut self, at: Timestamp) -> Result<(), AuditError> {
        let mut writer = match self.open.take() {
            Some(writer) => writer,
            None => {
                let path = self.path(self.next);
                let writer = Writer::begin(path, self.next, at, R::TABLES, &Progress::default())?;
                self.next = self.next.saturating_add(1);
                writer
            }
        };
        let written = self.write_into(&mut writer, at);
        self.open = Some(writer);
        let partition = written?;
        (self.gathered, self.moved, self.written) = (0, false, self.progress.applied());
        self.publish_last(partition, Vec::new());
        Ok(())
    }

    /// Writes what has gathered, and nothing can go wrong once that is done: it would be written again.
    fn write_into(&self, writer: &mut Writer, at: Timestamp) -> Result<Partition, AuditError> {
        if self.moved {
            partition::note_moved(&writer.path).map_err(|error| AuditError::storage(&writer.path, &error))?;
        }
        let mut partition = Partition::open_beside(&writer.path, writer.about)?;
        let view = self.published.now();
        let span = view.runs.iter().filter_map(|run| run.span()).reduce(Span::and);
        let moved = self.moved.then_some(self.written);
        writer.write(&self.progress, span, at, |transaction| R::write(&view.runs, transaction, moved))?;
        partition.about = writer.about;
        Ok(partition)
    }

    /// Publishes the last partition as it is now.
    fn publish_last(&self, last: Partition, runs: Vec<Arc<R>>) {
        let view = self.published.now();
        let mut partitions = view.partitions.clone();
        let number = last.about.number;
        partitions.retain(|partition| partition.about.number != number);
        partitions.push(Arc::new(last));
        // A partition that was damaged while it was the last is made again under its number.
        let mut lost = view.lost.clone();
        lost.retain(|lost| lost.number != number);
        self.published.publish(View { partitions, runs, lost });
    }

    /// The oldest partition, when all of it is older than that.
    pub(super) fn too_old(&self, limit: Timestamp) -> Option<Arc<Partition>> {
        let view = self.published.now();
        view.partitions
            .first()
            .filter(|oldest| oldest.about.latest().is_some_and(|latest| latest < limit))
            .cloned()
    }

    /// Whether no younger one was written.
    pub(super) fn is_last(&self, partition: &Partition) -> bool {
        self.published.now().partitions.last().is_some_and(|last| last.about.number == partition.about.number)
    }

    /// The younger ones to which rows of older ones have moved.
    pub(super) fn moved_to(&self, from: &Partition) -> Vec<Arc<Partition>> {
        let view = self.published.now();
        let younger = view.partitions.iter().filter(|other| other.about.number > from.about.number);
        younger.filter(|other| partition::has_moved(&other.path)).cloned().collect()
    }

    /// What is kept of a partition takes its place: whoever asks finds the one or the other, and whoever is reading it goes on reading.
    /// Its file goes once what is kept would survive.
    pub(super) fn replace(&mut self, partition: &Partition, kept: R) {
        self.moved |= kept.count() > 0;
        let view = self.published.now();
        let number = partition.about.number;
        let mut partitions = view.partitions.clone();
        partitions.retain(|other| other.about.number != number);
        let mut lost = view.lost.clone();
        // What is missing before the oldest that is kept is not missed.
        lost.retain(|lost| lost.number > number);
        let runs = self.gather(view.runs.clone(), kept);
        self.published.publish(View { partitions, runs, lost });
        self.left.push(partition.path.clone());
    }

    /// Removes a partition of which nothing is kept.
    pub(super) fn remove(&mut self, partition: &Partition) -> Result<(), AuditError> {
        self.replace(partition, R::default());
        if self.moved { Ok(()) } else { self.remove_left() }
    }

    fn remove_left(&mut self) -> Result<(), AuditError> {
        // In their order: one that is missing between two others would be taken for lost.
        while let Some(path) = self.left.first() {
            partition::remove(path).map_err(|error| AuditError::storage(path, &error))?;
            self.left.remove(0);
        }
        Ok(())
    }
}

impl<R: Rows> Fill for Shelf<R> {
    fn applied(&self) -> u64 {
        self.progress.applied()
    }

    fn gathered(&self) -> usize {
        self.gathered
    }

    fn apply(&mut self, through: u64, items: &[Marked<'_>]) {
        let mut rows = R::default();
        for (position, outcome) in self.progress.sift(through, items, R::are_in) {
            rows.gather(position, outcome);
        }
        self.take(rows);
    }

    fn flush(&mut self, at: Timestamp) -> Result<(), AuditError> {
        // Which takes its time; nobody who asks sees a difference.
        self.close_when_due(at)?;
        self.published.0.turns.fetch_add(1, Ordering::AcqRel);
        let flushed = self.write_gathered(at);
        self.published.0.turns.fetch_add(1, Ordering::AcqRel);
        flushed
    }

    fn sync(&mut self) -> Result<(), AuditError> {
        self.open.as_ref().map_or(Ok(()), Writer::sync)?;
        if self.moved { Ok(()) } else { self.remove_left() }
    }

    fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    fn give_up_lost(&mut self) {
        let lost = self.published.now().lost.iter().map(|lost| lost.number).max();
        self.next = self.next.max(lost.unwrap_or_default().saturating_add(1));
    }

    fn forget_lost(&mut self, gone: &[String]) {
        let numbers: Vec<u32> = gone.iter().filter_map(|name| number_of(name, R::KIND, ASIDE)).collect();
        let view = self.published.now();
        let oldest = view.partitions.first().map_or(u32::MAX, |oldest| oldest.about.number);
        let mut lost = view.lost.clone();
        lost.retain(|lost| lost.number > oldest || !numbers.contains(&lost.number));
        let (partitions, runs) = (view.partitions.clone(), view.runs.clone());
        self.published.publish(View { partitions, runs, lost });
    }
}

/// The numbers of the partitions of a kind, in order.
pub(super) fn numbers(directory: &Path, kind: &str) -> Result<Vec<u32>, AuditError> {
    numbered(directory, kind, ".sqlite3")
}

/// The numbers of those that were set aside.
pub(super) fn set_aside(directory: &Path, kind: &str) -> Result<Vec<u32>, AuditError> {
    numbered(directory, kind, ASIDE)
}

const ASIDE: &str = ".sqlite3.damaged";

fn number_of(name: &str, kind: &str, suffix: &str) -> Option<u32> {
    name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(suffix)?.parse().ok()
}

fn numbered(directory: &Path, kind: &str, suffix: &str) -> Result<Vec<u32>, AuditError> {
    let failed = |error: std::io::Error| AuditError::storage(directory, &error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(name.to_str().and_then(|name| number_of(name, kind, suffix)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
