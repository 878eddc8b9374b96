//! One file of the past: rows of one kind that were taken while it was open.
//!
//! A partition is open, and the last of its kind, or closed, and then never written again. Its number says where it stands;
//! what it holds, since when and until when, stands in it.
//!
//! Knows: a partition's file and what it says of itself. Must not know: rows, or when one is to be closed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::AuditError;
use super::checksum::Checksum;
use super::progress::{self, Progress};
use super::schema::{self, Moment, failed};
use crate::session::Timestamp;

/// What a partition says of itself.
const TABLES: &str = "
CREATE TABLE partition (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    began INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    written INTEGER NOT NULL,
    closed INTEGER,
    checksum INTEGER NOT NULL
) STRICT;
";

/// Partitions are closed at the end of a day, UTC.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Which moments rows tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Span {
    pub(super) const fn of(at: Timestamp) -> Span {
        Span { first: at, last: at }
    }

    pub(super) fn has(self, at: Timestamp) -> bool {
        self.first <= at && at <= self.last
    }

    pub(super) fn and(self, other: Span) -> Span {
        Span { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// What a partition is, beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    pub(super) number: u32,
    /// When it was begun.
    pub(super) began: Timestamp,
    pub(super) rows: u64,
    /// Which moments its rows tell of; `None`: it has none.
    pub(super) span: Option<Span>,
    /// When rows were written last.
    pub(super) written: Timestamp,
    /// When it was closed.
    pub(super) closed: Option<Timestamp>,
    /// Of all its rows.
    pub(super) checksum: Checksum,
}

impl About {
    /// Whether a moment is of another day than the first rows.
    pub(super) fn is_of_another_day(&self, at: Timestamp) -> bool {
        let day = |at: Timestamp| at.millis().div_euclid(i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX));
        day(self.began) != day(at)
    }

    /// The last moment of which it tells, or at which it was told of any; `None`: it is open.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.closed?;
        Some(self.span.map_or(self.written, |span| span.last.max(self.written)))
    }

    pub(super) fn read(number: u32, connection: &Connection) -> rusqlite::Result<About> {
        connection.query_row(
            "SELECT began, rows, first, last, closed, checksum, written FROM partition",
            (),
            |row| {
                let (first, last): (Option<Moment>, Option<Moment>) = (row.get(2)?, row.get(3)?);
                let span = first.zip(last).map(|(Moment(first), Moment(last))| Span { first, last });
                Ok(About {
                    number,
                    began: row.get::<_, Moment>(0)?.0,
                    rows: row.get::<_, i64>(1)?.try_into().unwrap_or_default(),
                    span,
                    closed: row.get::<_, Option<Moment>>(4)?.map(|closed| closed.0),
                    checksum: Checksum::of_column(row.get(5)?),
                    written: row.get::<_, Moment>(6)?.0,
                })
            },
        )
    }
}

/// A partition as readers have it.
pub(super) struct Partition {
    pub(super) path: PathBuf,
    pub(super) about: About,
    connection: Mutex<Connection>,
}

impl Partition {
    /// Opens one that is closed.
    pub(super) fn open_closed(path: &Path, number: u32) -> Result<Partition, AuditError> {
        let connection = schema::open_closed(path)?;
        let about = About::read(number, &connection).map_err(|error| failed(path, &error))?;
        Ok(Partition { path: path.to_path_buf(), about, connection: Mutex::new(connection) })
    }

    /// Opens one that may be written meanwhile, or not.
    pub(super) fn open_any(path: &Path, number: u32) -> Result<Partition, AuditError> {
        let connection = schema::open_for_reading(path)?;
        let about = About::read(number, &connection).map_err(|error| failed(path, &error))?;
        Ok(Partition { path: path.to_path_buf(), about, connection: Mutex::new(connection) })
    }

    /// Opens the one that is written meanwhile.
    pub(super) fn open_beside(path: &Path, about: About) -> Result<Partition, AuditError> {
        let connection = schema::open_for_reading(path)?;
        Ok(Partition { path: path.to_path_buf(), about, connection: Mutex::new(connection) })
    }

    /// Asks it. While it is written, all that one question reads is of one moment: runs are replaced.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, AuditError> {
        let connection = self.connection();
        let answer = match self.about.closed {
            Some(_) => question(&connection),
            None => connection.unchecked_transaction().and_then(|transaction| question(&transaction)),
        };
        answer.map_err(|error| failed(&self.path, &error))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open partition as its writer has it.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) about: About,
    connection: Connection,
}

impl Writer {
    /// Begins a partition, with what was taken before it.
    pub(super) fn begin(
        path: PathBuf,
        number: u32,
        began: Timestamp,
        rows: &[&str],
        progress: &Progress,
    ) -> Result<Writer, AuditError> {
        // It has its name once it is whole: a crash leaves nothing that looks like a partition.
        let new = path.with_extension("new");
        remove(&new).map_err(|error| AuditError::storage(&new, &error))?;
        let lay_out = || -> rusqlite::Result<()> {
            let mut connection = schema::create(&new, &[&[progress::TABLES, TABLES][..], rows].concat())?;
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO partition VALUES (1, ?1, 0, NULL, NULL, ?1, NULL, 0)",
                (Moment(began),),
            )?;
            progress.store(&transaction)?;
            transaction.commit()
        };
        lay_out().map_err(|error| failed(&new, &error))?;
        fs::rename(&new, &path).map_err(|error| AuditError::storage(&path, &error))?;
        let connection = schema::open_for_writing(&path, &[])?;
        let about = About {
            number,
            began,
            rows: 0,
            span: None,
            written: began,
            closed: None,
            checksum: Checksum::default(),
        };
        Ok(Writer { path, about, connection })
    }

    /// Goes on with one; what it says of itself tells whether it was closed.
    pub(super) fn go_on(path: PathBuf, number: u32) -> Result<Writer, AuditError> {
        let connection = schema::open_for_writing(&path, &[])?;
        let about = About::read(number, &connection).map_err(|error| failed(&path, &error))?;
        Ok(Writer { path, about, connection })
    }

    /// How far it is filled.
    pub(super) fn progress(&self) -> Result<Progress, AuditError> {
        Progress::load(&self.connection).map_err(|error| failed(&self.path, &error))
    }

    /// Writes rows, and how far it is filled with them, in one transaction.
    pub(super) fn write(
        &mut self,
        progress: &Progress,
        span: Option<Span>,
        at: Timestamp,
        rows: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<(u64, Checksum)>,
    ) -> Result<(), AuditError> {
        let mut about = self.about;
        if span.is_some() {
            about.written = at;
        }
        about.span = match (about.span, span) {
            (Some(known), Some(new)) => Some(known.and(new)),
            (known, new) => known.or(new),
        };
        self.transact(about, |transaction| {
            progress.store(transaction)?;
            rows(transaction)
        })
    }

    /// Puts it in order, and then nothing is written to it any more. It says so when all of it is where readers look who lock nothing.
    pub(super) fn close(
        &mut self,
        at: Timestamp,
        settle: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), AuditError> {
        if self.about.closed.is_none() {
            // What is removed here is cut off the file a moment later: writing zeros over it first would be a third of the work.
            self.wipe(false)?;
            let settled = self.put_in_order(settle);
            self.wipe(true)?;
            settled?;
            self.sync()?;
            self.transact(About { closed: Some(at), ..self.about }, |_| Ok((0, Checksum::default())))?;
        }
        self.sync()
    }

    fn wipe(&self, wipes: bool) -> Result<(), AuditError> {
        schema::wipe(&self.connection, wipes).map_err(|error| failed(&self.path, &error))
    }

    fn put_in_order(
        &mut self,
        settle: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), AuditError> {
        self.transact(self.about, |transaction| {
            settle(transaction)?;
            Ok((0, Checksum::default()))
        })?;
        schema::give_back(&self.connection).map_err(|error| failed(&self.path, &error))
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&self) -> Result<(), AuditError> {
        schema::sync(&self.path, &self.connection)
    }

    fn transact(
        &mut self,
        mut about: About,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<(u64, Checksum)>,
    ) -> Result<(), AuditError> {
        let write = |connection: &mut Connection| -> rusqlite::Result<About> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (count, checksum) = work(&transaction)?;
            about.rows = about.rows.saturating_add(count);
            about.checksum = about.checksum.and(checksum);
            transaction
                .prepare_cached(
                    "UPDATE partition
                     SET rows = ?1, first = ?2, last = ?3, closed = ?4, checksum = ?5, written = ?6",
                )?
                .execute((
                    i64::try_from(about.rows).unwrap_or(i64::MAX),
                    about.span.map(|span| Moment(span.first)),
                    about.span.map(|span| Moment(span.last)),
                    about.closed.map(Moment),
                    about.checksum.column(),
                    Moment(about.written),
                ))?;
            transaction.commit()?;
            Ok(about)
        };
        self.about = write(&mut self.connection).map_err(|error| failed(&self.path, &error))?;
        Ok(())
    }
}

/// Says of a partition that rows of an older one moved to it.
const MOVED: &str = "-moved";
/// What SQLite keeps beside a database, and what we do.
const COMPANIONS: [&str; 5] = ["", "-wal", "-shm", "-journal", MOVED];

fn beside(path: &Path, companion: &str) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    name.push(companion);
    name.into()
}

/// Notes, durably, that rows of older partitions are in this one: the log does not have them any more. It stands beside the file, as
/// it has to be known when that can't be read.
pub(super) fn note_moved(path: &Path) -> io::Result<()> {
    fs::File::create(beside(path, MOVED))?.sync_all()?;
    path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
}

/// Whether that was noted, also of one that was set aside.
pub(super) fn has_moved(path: &Path) -> bool {
    [MOVED.to_owned(), format!("{ASIDE}{MOVED}")].iter().any(|companion| beside(path, companion).exists())
}

/// What one that was set aside is called behind its name.
const ASIDE: &str = ".damaged";

/// Removes a database with all that belongs to it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for companion in COMPANIONS {
        match fs::remove_file(beside(path, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a file that can't be used another name, by which nobody takes it for good.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    for companion in COMPANIONS {
        let aside = beside(path, &format!("{ASIDE}{companion}"));
        match fs::rename(beside(path, companion), aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
