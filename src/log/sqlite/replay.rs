//! Reading log files back.
//!
//! Knows: which rows count, and what a damaged file looks like. Must not know: what an entry means, or how files are written.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::files::{beside, damaged_or_refused, refused};
use super::{APPLICATION, Row, VERSION, checkpoint, connect};
use crate::log::entry::{Entry, FORMAT, OLDEST};
use crate::log::{Batch, LogError};
use crate::session::Timestamp;

/// A batch read back, kept until the row after it shows that it counts.
pub(super) struct Held {
    batch: Batch,
    next: u64,
}

pub(super) struct Replay<'a> {
    pub(super) after: u64,
    /// What begins after it is not read.
    pub(super) through: u64,
    pub(super) each: &'a mut dyn FnMut(Batch),
    pub(super) held: Option<Held>,
}

impl Replay<'_> {
    /// Reads one file through; returns the last sequence in it.
    pub(super) fn file(&mut self, path: &Path) -> Result<Option<u64>, LogError> {
        let unreadable = |error: &rusqlite::Error| damaged_or_refused(path, None, error);
        let connection = connect(path).map_err(|error| unreadable(&error))?;
        check_header(&connection, path)?;
        let last = self.rows(&connection, path)?;
        settle(connection, path)?;
        Ok(last)
    }

    /// Reads one file that is not written any more, beside whoever writes the next.
    pub(super) fn sealed_file(&mut self, path: &Path) -> Result<(), LogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| damaged_or_refused(path, None, &error))?;
        check_header(&connection, path)?;
        self.rows(&connection, path).map(drop)
    }

    /// Whether all that is wanted was read.
    pub(super) fn is_done(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.next > self.through)
    }

    fn rows(&mut self, connection: &Connection, path: &Path) -> Result<Option<u64>, LogError> {
        let unreadable = |row: Option<u64>, error: &rusqlite::Error| damaged_or_refused(path, row, error);
        let mut statement = connection
            .prepare("SELECT sequence, at, count, checksum, packed FROM batch ORDER BY sequence")
            .map_err(|error| unreadable(None, &error))?;
        let mut rows = statement.query(()).map_err(|error| unreadable(None, &error))?;
        let mut last = None;
        loop {
            let due = self.held.as_ref().map(|held| held.next);
            let Some(row) = rows.next().map_err(|error| unreadable(due, &error))? else { return Ok(last) };
            let (row, checksum) = read_row(row).map_err(|error| unreadable(due, &error))?;
            let damaged =
                |what| LogError::Damaged { file: path.to_path_buf(), row: Some(row.sequence), what };
            if row.checksum() != checksum {
                return Err(damaged("the checksum does not fit"));
            }
            if row.sequence > self.through {
                return Ok(last);
            }
            let next = row.next().filter(|next| *next > row.sequence);
            let next = next.ok_or_else(|| damaged("it counts no entries"))?;
            let mut entries = Vec::new();
            if next > self.after.saturating_add(1) {
                entries = unpack(&row, path)?;
            }
            self.accept(path, Held { batch: Batch { sequence: row.sequence, at: row.at, entries }, next })?;
            last = Some(next.saturating_sub(1));
        }
    }

    /// Takes a row that is sound in itself, if it continues the one before.
    fn accept(&mut self, path: &Path, row: Held) -> Result<(), LogError> {
        let sequence = row.batch.sequence;
        let damaged = |row, what| Err(LogError::Damaged { file: path.to_path_buf(), row: Some(row), what });
        match self.held.take() {
            None if sequence > self.after.saturating_add(1) => {
                return damaged(self.after.saturating_add(1), "it is needed and no file has it any more");
            }
            None => {}
            // Only two files can hold the same sequence: the first was given up before this row was acknowledged.
            Some(held) if held.batch.sequence == sequence => {}
            Some(held) if held.next == sequence => self.deliver(held),
            Some(held) if held.next < sequence => return damaged(held.next, "it is missing"),
            Some(_) => return damaged(sequence, "it overlaps the row before"),
        }
        self.held = Some(row);
        Ok(())
    }

    fn deliver(&mut self, held: Held) {
        let Held { mut batch, next } = held;
        let wanted = self.after.saturating_add(1);
        if next <= wanted {
            return;
        }
        if batch.sequence < wanted {
            let known = usize::try_from(wanted.saturating_sub(batch.sequence)).unwrap_or(usize::MAX);
            batch.entries.drain(..known.min(batch.entries.len()));
            batch.sequence = wanted;
        }
        (self.each)(batch);
    }

    /// Delivers the last row; returns the sequence that is due next.
    pub(super) fn finish(mut self, directory: &Path) -> Result<u64, LogError> {
        let next = self.held.as_ref().map_or(1, |held| held.next);
        if next <= self.after {
            let what = "the log ends before the snapshot that was taken of it";
            return Err(LogError::Damaged { file: directory.to_path_buf(), row: Some(next), what });
        }
        if let Some(held) = self.held.take() {
            self.deliver(held);
        }
        Ok(next)
    }
}

pub(super) fn check_header(connection: &Connection, path: &Path) -> Result<(), LogError> {
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| damaged_or_refused(path, None, &error))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != APPLICATION {
        let what = "not a log file of relaywarden";
        return Err(LogError::Damaged { file: path.to_path_buf(), row: None, what });
    }
    match u32::try_from(version) {
        Ok(VERSION) => Ok(()),
        Ok(version) if version > VERSION => Err(LogError::TooNew { file: path.to_path_buf(), version }),
        _ => {
            let what = "no version of the log has this number";
            Err(LogError::Damaged { file: path.to_path_buf(), row: None, what })
        }
    }
}

pub(super) fn read_row<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<(Row<'a>, u32)> {
    let number = |index: usize| -> rusqlite::Result<u64> {
        let value: i64 = row.get(index)?;
        u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
    };
    let read = Row {
        sequence: number(0)?,
        at: Timestamp::from_millis(row.get(1)?),
        count: number(2)?,
        packed: row.get_ref(4)?.as_blob()?,
    };
    Ok((read, row.get(3)?))
}

pub(super) fn unpack(row: &Row<'_>, path: &Path) -> Result<Vec<Entry>, LogError> {
    let damaged = |what| LogError::Damaged { file: path.to_path_buf(), row: Some(row.sequence), what };
    let (&format, packed) = row.packed.split_first().ok_or_else(|| damaged("it is empty"))?;
    if format > FORMAT {
        return Err(LogError::TooNew { file: path.to_path_buf(), version: u32::from(format) });
    }
    if format < OLDEST {
        return Err(damaged("its entries are of an earlier version, which this one does not read"));
    }
    // The checksum fits, so this is what a version with other entries and the same number would look like.
    let entries: Vec<Entry> =
        postcard::from_bytes(packed).map_err(|_| damaged("its entries can't be read"))?;
    if entries.len() as u64 != row.count {
        return Err(damaged("its number of entries does not fit"));
    }
    Ok(entries)
}

/// Makes what was just read from a file durable. After `kill -9` the last commits may be in the page cache only, and
/// after a failed sync they may be there without ever being written again: counted now and lost at the next loss of
/// power, they would leave a hole. A checkpoint writes them anew.
pub(super) fn settle(connection: Connection, path: &Path) -> Result<(), LogError> {
    let ahead = beside(path, "-wal");
    let nothing_ahead = fs::metadata(&ahead).is_ok_and(|metadata| metadata.len() == 0);
    if nothing_ahead || checkpoint(&connection, "TRUNCATE").is_ok() {
        drop(connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false));
        return Ok(());
    }
    drop(connection);
    // A full disk has no room for a checkpoint, and a start must be possible on one: the map is served from memory.
    File::open(&ahead).and_then(|file| file.sync_all()).map_err(|error| refused(&ahead, &error))
}
