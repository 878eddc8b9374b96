//! From a data directory to views, index and log as they were: the newest snapshot, and the log after it.
//!
//! Knows: that the index must never be behind the snapshot the replay begins at. Must not know: what is done next.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use std::{fs, io};

use nix::unistd::Uid;

use super::failure::Failure;
use super::health::WORTH_SAYING;
use super::keeper::Keep;
use super::notices::outbox::noticed;
use crate::audit::AuditError;
use crate::audit::index::Index;
use crate::audit::verify::reached;
use crate::clock;
use crate::log::snapshot::{self, Snapshot};
use crate::log::sqlite::{DataLock, SqliteLog};
use crate::log::{Batch, LogError};
use crate::session::Timestamp;
use crate::views::{Folded, Shared, Views};

/// So many outcomes are indexed together where nobody waits for an answer meanwhile.
const FILLED_AT_ONCE: usize = 1_000_000;
/// How many batches are read ahead of the fold.
const READ_AHEAD: usize = 64;
/// Our clock may be behind the log's last moment by as much: less than that, it is stepped, not wrong.
const CLOCK_AHEAD: Duration = Duration::from_secs(3600);
/// How often a long replay says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What was recovered.
pub struct Recovered {
    /// The log, ready to be appended to.
    pub log: SqliteLog,
    /// The views after its last entry.
    pub views: Views,
    /// The index, as far as it was filled.
    pub index: Index,
    /// What it still lacks, in order.
    pub left: Vec<Keep>,
    /// What others may not have been told of yet, in order.
    pub told: Vec<Folded>,
    /// The last moment at which we surely listened; `None`: the log is new.
    pub last: Option<Timestamp>,
    /// The moment from which on it was read: that of the snapshot, or of the first entry.
    pub since: Option<Timestamp>,
    /// How many entries were read.
    pub entries: u64,
}

/// Makes the data directory, for nobody else to read, and takes it for us alone. Nothing below it is touched before.
///
/// # Errors
/// The file system refuses, or another daemon has it.
pub fn prepare(data_dir: &Path) -> Result<DataLock, Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(data_dir)
        .map_err(|error| Failure::DataDir(data_dir.to_path_buf(), error))?;
    Ok(DataLock::take(data_dir)?)
}

/// Rebuilds everything. `told` is the entry up to which others were told of everything; there is room for so many outcomes that
/// wait for the past.
///
/// # Errors
/// The log is damaged, of a later version, or can't be read; or it ends in the future.
pub fn recover(
    data_dir: &Path,
    lock: &DataLock,
    shared: Arc<Shared>,
    told: u64,
    room: u32,
) -> Result<Recovered, Failure> {
    let snapshot = snapshot::load(data_dir)?;
    let start = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    // Views at a snapshot that the index has not reached would leave a hole in the past for ever.
    let index = Some(Index::open(data_dir)?).filter(|index| index.applied() >= start);
    let begin = || {
        let replay = Replay::begin(data_dir, snapshot.as_ref(), index, shared)?;
        // More than half of the room is indexed before the first answer.
        Ok(Replay { told_through: told, left_at_most: room as usize / 2, ..replay })
    };
    let (mut replay, log) = Replay::read(data_dir, lock, start, begin)?;
    if let Some(last) = replay.last {
        begin_clock(last, replay.views.ahead())?;
    }
    let index = match replay.index.take() {
        Some(index) => index,
        None => refill(data_dir, lock, &replay.views)?,
    };
    if index.applied() > replay.views.sequence() {
        return Err(Failure::Index(AuditError::Damaged {
            file: data_dir.join("audit"),
            what: "it is ahead of the log, so it was made from another one: put that log back, or move this directory away",
        }));
    }
    let Replay { views, left, told, last, since, entries, .. } = replay;
    Ok(Recovered { log, views, index, left, told, last, since, entries })
}

/// What a rebuild came to.
#[derive(Debug)]
pub struct Rebuilt {
    /// How many entries were read.
    pub entries: u64,
    /// Where the index of before is; `None`: there was none.
    pub before: Option<PathBuf>,
}

/// Makes the index anew from a log that has all its entries. The one that was there stays beside it; where anything fails, in its
/// place.
///
/// # Errors
/// Somebody else's directory, or one in use; a log that does not reach back to its first entry, or can't be read.
pub fn rebuild(data_dir: &Path) -> Result<Rebuilt, Failure> {
    let refused = |error| Failure::DataDir(data_dir.to_path_buf(), error);
    // The daemon could not write what another user has made.
    if fs::metadata(data_dir).map_err(refused)?.uid() != Uid::effective().as_raw() {
        let what = "belongs to another user: run this as that one, with sudo -u";
        return Err(refused(io::Error::new(io::ErrorKind::PermissionDenied, what)));
    }
    let lock = DataLock::take(data_dir)?;
    let (index, before) = (data_dir.join("audit"), data_dir.join("audit.before"));
    if before.exists() {
        let what = format!("{} is there from a rebuild before: remove it first", before.display());
        return Err(refused(io::Error::new(io::ErrorKind::AlreadyExists, what)));
    }
    let had_one = index.exists();
    let snapshot = snapshot::load(data_dir)?.map_or(0, |snapshot| snapshot.sequence);
    let reached = reached(data_dir).max(snapshot);
    if had_one {
        fs::rename(&index, &before).map_err(refused)?;
    }
    match filled(data_dir, &lock, reached) {
        Ok(entries) => Ok(Rebuilt { entries, before: had_one.then_some(before) }),
        Err(failure) => {
            let removed = fs::remove_dir_all(&index);
            removed.or_else(|error| if index.exists() { Err(error) } else { Ok(()) }).map_err(refused)?;
            if had_one {
                fs::rename(&before, &index).map_err(refused)?;
            }
            Err(failure)
        }
    }
}

/// A new index, filled from the log's first entry to its last, which is this one at least.
fn filled(data_dir: &Path, lock: &DataLock, reached: u64) -> Result<u64, Failure> {
    let index = Index::open(data_dir)?;
    let begin = || Ok(Replay::begin(data_dir, None, Some(index), Arc::default())?);
    let (mut replay, _) = Replay::read(data_dir, lock, 0, begin)?;
    replay.flush();
    if let Some(error) = replay.failed.take() {
        return Err(error.into());
    }
    let lacking = match replay.entries {
        0 => Some("there is no log to fill it from"),
        _ if replay.views.sequence() < reached => {
            Some("it lacks its end, which the past or a snapshot knows of")
        }
        _ => None,
    };
    if let Some(what) = lacking {
        return Err(Failure::Index(AuditError::Damaged { file: data_dir.join("log"), what }));
    }
    Ok(replay.entries)
}

/// What happens from now on is later than what is in the log, whatever the host's clock shows.
fn begin_clock(last: Timestamp, told: (Timestamp, Duration)) -> Result<(), Failure> {
    let behind = last.since(clock::now());
    if behind > CLOCK_AHEAD {
        return Err(Failure::Clock { last });
    }
    let ahead = clock::begin_after(last, told).ahead;
    if ahead >= WORTH_SAYING {
        tracing::warn!(
            ?ahead,
            "this machine's clock is behind the log's last moment: our time begins there, and runs at three quarters of its \
             speed until the clock has caught up"
        );
    }
    Ok(())
}

/// Fills the index from the log, with views of its own: from the newest snapshot that the index had reached, or from the first entry;
/// or, where the log does not reach back as far, with what lives. What is in it already stays.
fn refill(data_dir: &Path, lock: &DataLock, views: &Views) -> Result<Index, Failure> {
    tracing::warn!("the audit index lacks what the log has: it is filled again from there");
    let index = Index::open(data_dir)?;
    // The log goes on from the older of two snapshots.
    let snapshot = snapshot::load_before(data_dir, index.applied())?;
    let start = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    // Told apart from a log that lacks something: the past is not done without because of a snapshot.
    let unreadable = |_| {
        let what = "the older snapshot is of another version: remove it, and the past is filled from what the log has";
        Failure::Index(AuditError::Damaged { file: data_dir.join("snapshots"), what })
    };
    let begin =
        || Replay::begin(data_dir, snapshot.as_ref(), Some(index), Arc::default()).map_err(unreadable);
    match Replay::read(data_dir, lock, start, begin) {
        Ok((mut replay, _)) => {
            replay.flush();
            if let Some(error) = replay.failed.take() {
                return Err(error.into());
            }
            if let Some(mut index) = replay.index.take() {
                // From now on it lacks nothing, and says so.
                index.sync(clock::now())?;
                return Ok(index);
            }
            let what = "it cannot be written although it was made a moment ago";
            Err(Failure::Index(AuditError::Damaged { file: data_dir.join("audit"), what }))
        }
        Err(Failure::Log(LogError::Damaged { .. })) => {
            tracing::warn!(
                "the log does not reach back to where the index ends: of what that lacks, only what lives is known"
            );
            let mut index = Index::open(data_dir)?;
            index.give_up_lost();
            index.apply(views.sequence(), &views.retell())?;
            index.keep_up(clock::now())?;
            Ok(index)
        }
        Err(error) => Err(error),
    }
}

/// Does both on two processors: a start waits for nothing else.
pub fn side_by_side(one: &mut (dyn FnMut() + Send), other: &mut (dyn FnMut() + Send)) {
    std::thread::scope(|scope| {
        scope.spawn(one);
        other();
    });
}

struct Replay {
    views: Views,
    /// Gone once it turned out to be damaged.
    index: Option<Index>,
    left: Vec<Keep>,
    told_through: u64,
    told: Vec<Folded>,
    outcomes: usize,
    /// So much of what the index lacks may wait, until it is filled or for the keeper.
    left_at_most: usize,
    failed: Option<AuditError>,
    last: Option<Timestamp>,
    since: Option<Timestamp>,
    entries: u64,
    began: Instant,
    said: Instant,
}

impl Replay {
    fn begin(
        data_dir: &Path,
        snapshot: Option<&Snapshot>,
        index: Option<Index>,
        shared: Arc<Shared>,
    ) -> Result<Self, LogError> {
        let began = Instant::now();
        let views = match snapshot {
            None => Views::new(shared),
            Some(snapshot) => Views::restore_by(shared, &snapshot.body, side_by_side).map_err(|_| LogError::Damaged {
                file: data_dir.join("snapshots"),
                row: Some(snapshot.sequence),
                what: "a snapshot of another version: remove it, and the log is replayed from its beginning",
            })?,
        };
        let last = snapshot.map(|snapshot| snapshot.at);
        let left = Vec::new();
        let (told_through, told) = (u64::MAX, Vec::new());
        Ok(Replay {
            views,
            index,
            left,
            told_through,
            told,
            outcomes: 0,
            left_at_most: FILLED_AT_ONCE,
            failed: None,
            last,
            since: last,
            entries: 0,
            began,
            said: began,
        })
    }

    /// Begins, and folds all of the log behind `after`. It is read meanwhile: what is in a snapshot takes some time to be had again,
    /// and reading and unpacking what follows takes as long as folding it.
    fn read(
        data_dir: &Path,
        lock: &DataLock,
        after: u64,
        begin: impl FnOnce() -> Result<Self, Failure>,
    ) -> Result<(Self, SqliteLog), Failure> {
        std::thread::scope(|scope| {
            let (read, batches) = sync_channel(READ_AHEAD);
            let reader = scope.spawn(move || {
                SqliteLog::open_locked(lock.clone(), data_dir, after, &mut |batch| {
                    // Nobody wants it where the snapshot can't be read.
                    let _ = read.send(batch);
                })
            });
            let mut replay = begin()?;
            batches.iter().for_each(|batch| replay.batch(&batch));
            let log = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            if let Some(error) = replay.failed.take() {
                return Err(error.into());
            }
            let (sessions, took) = (replay.views.machine().sessions(), replay.began.elapsed());
            tracing::info!(snapshot = after, entries = replay.entries, sessions, ?took, "the log is read");
            Ok((replay, log))
        })
    }

    fn batch(&mut self, batch: &Batch) {
        self.last = Some(batch.at);
        self.since.get_or_insert(batch.at);
        let mut folded = Vec::new();
        for (sequence, entry) in (batch.sequence..).zip(&batch.entries) {
            self.views.fold(batch.at, sequence, entry, &mut folded);
            self.entries += 1;
        }
        // More may have come of the entry that was the last one.
        let worth_telling =
            |folded: &&Folded| folded.sequence >= self.told_through && noticed(&folded.outcome).is_some();
        self.told.extend(folded.iter().filter(worth_telling).cloned());
        // What the index has already need not wait.
        if self.index.as_ref().is_some_and(|index| index.applied() <= self.views.sequence()) {
            self.outcomes += folded.len();
            self.left.push(Keep { through: self.views.sequence(), folded });
        }
        if self.outcomes >= self.left_at_most {
            self.flush();
        }
        if self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            // A service manager that would end us for being slow would only have us begin again.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(60_000_000)]);
            tracing::info!(entries = self.entries, "reading the log");
        }
    }

    /// What the index has already, it takes again without a change.
    fn flush(&mut self) {
        let folded: Vec<_> = self.left.drain(..).flat_map(|keep| keep.folded).collect();
        self.outcomes = 0;
        let Some(index) = self.index.as_mut() else { return };
        let taken = index.apply(self.views.sequence(), &folded).and_then(|()| index.keep_up(clock::now()));
        match taken {
            Ok(()) => {}
            Err(AuditError::Damaged { file, what }) => {
                tracing::warn!(file = %file.display(), what, "a file of the audit index is damaged: it is made again from the log");
                if let Err(error) = index.condemn(&file) {
                    self.failed = Some(AuditError::Storage { file, error: error.to_string() });
                }
                self.index = None;
            }
            Err(error) => self.failed = Some(error),
        }
    }
}
