//! The log's home on this machine: numbered SQLite files, one packed row per group commit.
//!
//! A file is written by one life of one process. It is sealed when the caller says so, or at the first error, and is
//! not appended to again; the next append makes the next file. So an error leaves at most one row behind that was
//! written and never acknowledged: it is the last of its file, and the file after it begins with the same sequence.
//! On replay the later one counts.
//!
//! Knows: how a batch becomes a row, and which file may be trusted (`sqlite/replay.rs`: how it is read back). Must not
//! know: what an entry means.

mod files;
mod replay;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::entry::{Entry, FORMAT};
use super::{Batch, Log, LogError};
use crate::session::Timestamp;
pub use files::DataLock;
use files::{column, remove_database, remove_leftovers};
pub(super) use files::{directory_in, numbered_files, refused, sync_directory};
use replay::Replay;

/// Tells a log file from any other SQLite file: "RWlg".
const APPLICATION: i32 = 0x5257_6c67;

/// Version of the table. The packed entries carry their own.
const VERSION: u32 = 1;

const SCHEMA: &str = "CREATE TABLE batch (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;";

/// The write-ahead file is moved into the main file when it is about this long. Overwriting a short one again and
/// again spares the file system the allocation that a growing one needs at every sync.
const CHECKPOINT_OCTETS: u64 = 4 * 1024 * 1024;

/// What SQLite writes around a row: a leaf, a page of an overflow chain, the first page, and frame headers.
const ROW_OVERHEAD: u64 = 3 * 4096;

/// Nobody else has business with these files; whoever looks into one by hand is waited for this long.
const BUSY: Duration = Duration::from_secs(1);

/// The log of one data directory.
pub struct SqliteLog {
    directory: PathBuf,
    /// Held as long as the log is; closing it lets another daemon in.
    _lock: DataLock,
    sealed: Vec<Sealed>,
    current: Option<LogFile>,
    /// The number that the next file gets.
    number: u32,
    next_sequence: u64,
    /// Kept for its capacity.
    packed: Vec<u8>,
}

/// A file that is only read again at the next start.
struct Sealed {
    path: PathBuf,
    last: u64,
}

impl SqliteLog {
    /// Opens the log below `data`, which is made when it does not exist, and hands every entry above `after` to
    /// `each`, in order. Every row of every file is checked, also those below: they are what an older snapshot needs.
    ///
    /// # Errors
    /// `InUse` when another daemon runs here, `Damaged` when anything that was acknowledged may be missing or changed,
    /// `TooNew` for files of a later version, `Storage` when the file system refuses.
    pub fn open(data: &Path, after: u64, each: &mut dyn FnMut(Batch)) -> Result<SqliteLog, LogError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(data)
            .map_err(|error| refused(data, &error))?;
        SqliteLog::open_locked(DataLock::take(data)?, data, after, each)
    }

    /// The same for whoever holds the lock already.
    ///
    /// # Errors
    /// As for [`SqliteLog::open`], without `InUse`.
    pub fn open_locked(
        lock: DataLock,
        data: &Path,
        after: u64,
        each: &mut dyn FnMut(Batch),
    ) -> Result<SqliteLog, LogError> {
        let directory = directory_in(data);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&directory)
            .map_err(|error| refused(&directory, &error))?;
        remove_leftovers(&directory)?;
        let files = numbered_files(&directory)?;
        let number = files.last().map_or(1, |(number, _)| number.saturating_add(1));
        let mut replay = Replay { after, through: u64::MAX, each, held: None };
        let mut sealed = Vec::new();
        let mut empty = Vec::new();
        for (_, path) in files {
            match replay.file(&path)? {
                Some(last) => sealed.push(Sealed { path, last }),
                None => empty.push(path),
            }
        }
        let next_sequence = replay.finish(&directory)?;
        // Killed between making a file and the first commit in it: it never held anything.
        for path in empty {
            remove_database(&path).map_err(|error| refused(&path, &error))?;
        }
        Ok(SqliteLog {
            directory,
            _lock: lock,
            sealed,
            current: None,
            number,
            next_sequence,
            packed: Vec::new(),
        })
    }

    /// Hands the entries above `after` and up to `through` to `each`, in order, out of files that are sealed. It reads only, and may
    /// do so beside the log that writes on.
    ///
    /// # Errors
    /// `Damaged` when one of them is not there or not what was written, `Storage` when the file system refuses.
    pub fn read_sealed(
        data: &Path,
        after: u64,
        through: u64,
        each: &mut dyn FnMut(Batch),
    ) -> Result<(), LogError> {
        let directory = directory_in(data);
        let mut replay = Replay { after, through, each, held: None };
        for (_, path) in numbered_files(&directory)? {
            if replay.is_done() {
                break;
            }
            replay.sealed_file(&path)?;
        }
        let next = replay.finish(&directory)?;
        if next > through {
            return Ok(());
        }
        Err(LogError::Damaged {
            file: directory,
            row: Some(next),
            what: "it is needed and no file has it any more",
        })
    }

    fn pack(&mut self, entries: &Vec<Entry>) -> Result<(), LogError> {
        self.packed.clear();
        self.packed.push(FORMAT);
        postcard::to_io(entries, &mut self.packed).map_err(|error| refused(&self.directory, &error))?;
        Ok(())
    }

    /// Leaves a file for good. One without an acknowledged row is removed and its number used again, so that a full
    /// disk does not collect files while the caller tries again and again.
    fn abandon(&mut self, file: LogFile) {
        let LogFile { connection, path, last, .. } = file;
        drop(connection);
        match last {
            Some(last) => self.retire(path, last),
            // What can't be removed now is removed before the number is used again.
            None => drop(remove_database(&path)),
        }
    }

    fn retire(&mut self, path: PathBuf, last: u64) {
        self.sealed.push(Sealed { path, last });
        self.number = self.number.saturating_add(1);
    }
}

impl Log for SqliteLog {
    fn append(&mut self, batch: &Batch) -> Result<(), LogError> {
        if batch.sequence != self.next_sequence {
            return Err(LogError::OutOfOrder { expected: self.next_sequence, given: batch.sequence });
        }
        if batch.entries.is_empty() {
            return Ok(());
        }
        self.pack(&batch.entries)?;
        let row = Row {
            sequence: batch.sequence,
            at: batch.at,
            count: batch.entries.len() as u64,
            packed: &self.packed,
        };
        let Some(next) = row.next() else {
            return Err(LogError::OutOfOrder { expected: self.next_sequence, given: u64::MAX });
        };

        let mut file = match self.current.take() {
            Some(file) => file,
            None => LogFile::create(&self.directory, self.number)?,
        };
        if let Err(error) = file.insert(&row) {
            let error = refused(&file.path, &error);
            self.abandon(file);
            return Err(error);
        }
        self.next_sequence = next;
        file.last = Some(next.saturating_sub(1));
        // The row is durable in the write-ahead file whatever becomes of the checkpoint; only the file is done for.
        if file.unchecked >= CHECKPOINT_OCTETS && file.checkpoint("PASSIVE").is_err() {
            self.abandon(file);
        } else {
            self.current = Some(file);
        }
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    fn size(&self) -> u64 {
        self.current.as_ref().map_or(0, |file| file.octets)
    }

    fn seal(&mut self) -> Result<(), LogError> {
        let Some(mut file) = self.current.take() else { return Ok(()) };
        let merged = file.checkpoint("TRUNCATE").map_err(|error| refused(&file.path, &error));
        if merged.is_ok() {
            file.close_without_traces();
        }
        self.abandon(file);
        merged
    }

    fn forget_below(&mut self, sequence: u64) -> Result<(), LogError> {
        while let Some(oldest) = self.sealed.first() {
            if oldest.last >= sequence {
                break;
            }
            // The directory is synced for each: if two removals reached the disk in the other order, a loss of power
            // between them would leave a hole, and a hole is damage.
            remove_database(&oldest.path)
                .and_then(|()| sync_directory(&self.directory))
                .map_err(|error| refused(&oldest.path, &error))?;
            self.sealed.remove(0);
        }
        Ok(())
    }
}

/// The row of a batch, but for its checksum.
struct Row<'a> {
    sequence: u64,
    at: Timestamp,
    count: u64,
    packed: &'a [u8],
}

impl Row<'_> {
    /// Sequence of the entry after the last; `None` when the numbers end.
    fn next(&self) -> Option<u64> {
        self.sequence.checked_add(self.count).filter(|next| i64::try_from(*next).is_ok())
    }

    /// CRC-32 over everything else in the row: SQLite itself does not notice a changed octet within a value.
    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.sequence.to_le_bytes());
        hasher.update(&self.at.millis().to_le_bytes());
        hasher.update(&self.count.to_le_bytes());
        hasher.update(self.packed);
        hasher.finalize()
    }
}

/// The file in use.
struct LogFile {
    connection: Connection,
    path: PathBuf,
    /// Last sequence committed in it.
    last: Option<u64>,
    /// Octets written in all.
    octets: u64,
    /// Octets written to the write-ahead file since the last checkpoint.
    unchecked: u64,
}

impl LogFile {
    /// Makes the file under another name and gives it its own only when it is complete, so that under its own name
    /// there is never half a file.
    fn create(directory: &Path, number: u32) -> Result<LogFile, LogError> {
        let path = directory.join(format!("{number:06}.sqlite3"));
        let unfinished = directory.join(format!("{number:06}.sqlite3.new"));
        let made = remove_database(&path)
            .map_err(|error| refused(&path, &error))
            .and_then(|()| write_empty(&unfinished).map_err(|error| refused(&unfinished, &error)))
            .and_then(|()| {
                fs::rename(&unfinished, &path)
                    .and_then(|()| sync_directory(directory))
                    .map_err(|error| refused(&path, &error))
            })
            .and_then(|()| connect(&path).map_err(|error| refused(&path, &error)));
        match made {
            Ok(connection) => Ok(LogFile { connection, path, last: None, octets: 0, unchecked: 0 }),
            Err(error) => {
                // The error at hand says more than one met while clearing up would.
                drop(remove_database(&unfinished));
                drop(remove_database(&path));
                Err(error)
            }
        }
    }

    /// One statement outside a transaction is a transaction; with `synchronous=FULL` it returns after the sync.
    fn insert(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5)")?;
        statement.execute((
            column(row.sequence),
            row.at.millis(),
            column(row.count),
            row.checksum(),
            row.packed,
        ))?;
        let written = (row.packed.len() as u64).saturating_add(ROW_OVERHEAD);
        self.octets = self.octets.saturating_add(written);
        self.unchecked = self.unchecked.saturating_add(written);
        Ok(())
    }

    fn checkpoint(&mut self, mode: &str) -> rusqlite::Result<()> {
        checkpoint(&self.connection, mode)?;
        self.unchecked = 0;
        Ok(())
    }

    /// After a complete checkpoint: lets SQLite remove the empty write-ahead file when the connection ends.
    fn close_without_traces(&mut self) {
        drop(self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false));
    }
}

fn write_empty(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; BEGIN;")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch("COMMIT;")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.close().map_err(|(_, error)| error)
}

/// Opens an existing file for its one writer.
///
/// Exclusive locking keeps the index of the write-ahead file in memory instead of in a file mapped beside it: nothing
/// needs room on a full disk then, and no reader can keep a checkpoint from finishing. A connection that ends leaves
/// the write-ahead file alone: after an error, writing it into the main file is just what must not happen.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;",
    )?;
    Ok(connection)
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    let busy: i64 = statement.query_row((), |row| row.get(0))?;
    if busy != 0 {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
