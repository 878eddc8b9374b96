//! From a data directory to views, index and log as they were: the newest snapshot, and the log after it.
//!
//! Knows: that the index must never be behind the snapshot the replay begins at. Must not know: what is done next.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failure::Failure;
use crate::audit::AuditError;
use crate::audit::index::Index;
use crate::audit::past::Past;
use crate::log::snapshot::{self, Snapshot};
use crate::log::sqlite::SqliteLog;
use crate::log::{Batch, LogError};
use crate::session::Timestamp;
use crate::views::{Folded, Shared, Views};

/// How many folded entries are indexed in one transaction while replaying.
const AT_ONCE: usize = 50_000;
/// How often a long replay says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What was recovered.
pub struct Recovered {
    /// The log, ready to be appended to.
    pub log: SqliteLog,
    /// The views after its last entry.
    pub views: Views,
    /// The index, with everything in it.
    pub index: Index,
    /// The last moment at which we surely listened; `None`: the log is new.
    pub last: Option<Timestamp>,
    /// How many entries were read.
    pub entries: u64,
}

/// Makes the data directory, for nobody else to read.
///
/// # Errors
/// What the file system said.
pub fn prepare(data_dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(data_dir)
}

/// Opens the past for readers; an index that is damaged is begun anew, to be filled by the replay.
///
/// # Errors
/// It can't be made either.
pub fn open_past(data_dir: &Path) -> Result<Past, AuditError> {
    match Index::open(data_dir) {
        Ok(_) => {}
        Err(error @ AuditError::Damaged { .. }) => {
            tracing::warn!(%error, "the audit index is begun anew from the log");
            Index::begin_anew(data_dir)?;
        }
        Err(error) => return Err(error),
    }
    Past::open(data_dir)
}

/// Rebuilds everything.
///
/// # Errors
/// The log is damaged, of a later version, in use, or can't be read.
pub fn recover(data_dir: &Path, shared: Arc<Shared>) -> Result<Recovered, Failure> {
    let index = Index::open(data_dir)?;
    let snapshot = snapshot::load(data_dir)?;
    // Views at a snapshot that the index has not reached would leave a hole in the past for ever.
    let behind = snapshot.as_ref().is_some_and(|snapshot| index.applied() < snapshot.sequence);
    if behind {
        match replay(data_dir, None, index, Arc::clone(&shared)) {
            Err(Failure::Log(LogError::Damaged { what, .. })) => {
                tracing::warn!(
                    what,
                    "the audit index cannot be filled from the beginning: the past before the snapshot is lost"
                );
                return replay(data_dir, snapshot.as_ref(), Index::open(data_dir)?, shared);
            }
            other => return other,
        }
    }
    replay(data_dir, snapshot.as_ref(), index, shared)
}

fn replay(
    data_dir: &Path,
    snapshot: Option<&Snapshot>,
    index: Index,
    shared: Arc<Shared>,
) -> Result<Recovered, Failure> {
    let began = Instant::now();
    let mut last = snapshot.map(|snapshot| snapshot.at);
    let views = match snapshot {
        None => Views::new(shared),
        Some(snapshot) => Views::restore(shared, &snapshot.body).map_err(|_| LogError::Damaged {
            file: data_dir.join("snapshots"),
            row: Some(snapshot.sequence),
            what: "a snapshot of another version: remove it, and the log is replayed from its beginning",
        })?,
    };
    let after = views.sequence();
    let mut replay = Replay { views, index, folded: Vec::new(), failed: None, entries: 0, said: began };
    let log = SqliteLog::open(data_dir, after, &mut |batch| {
        last = Some(batch.at);
        replay.batch(&batch);
    })?;
    replay.flush();
    if let Some(error) = replay.failed {
        return Err(error.into());
    }
    let took = began.elapsed();
    let sessions = replay.views.machine().sessions();
    tracing::info!(snapshot = after, entries = replay.entries, sessions, ?took, "the log is read");
    Ok(Recovered { log, views: replay.views, index: replay.index, last, entries: replay.entries })
}

struct Replay {
    views: Views,
    index: Index,
    folded: Vec<Folded>,
    failed: Option<AuditError>,
    entries: u64,
    said: Instant,
}

impl Replay {
    fn batch(&mut self, batch: &Batch) {
        for (sequence, entry) in (batch.sequence..).zip(&batch.entries) {
            self.views.fold(batch.at, sequence, entry, &mut self.folded);
            self.entries += 1;
        }
        if self.folded.len() >= AT_ONCE {
            self.flush();
        }
        if self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            tracing::info!(entries = self.entries, "reading the log");
        }
    }

    /// What the index has already, it takes again without a change.
    fn flush(&mut self) {
        if self.failed.is_none() && !self.folded.is_empty() {
            self.failed = self.index.apply(self.views.sequence(), &self.folded).err();
        }
        self.folded.clear();
    }
}
