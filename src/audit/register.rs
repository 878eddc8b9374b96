//! What is few and changes: statics, translations, realms, conflicts, gaps, restarts, orders. One small file.
//!
//! Knows: its file, and that it is filled from the log like the partitions beside it. Must not know: which outcome changes
//! which row (`writing.rs`; lines of stories, `telling.rs`), or what is asked.

mod telling;
mod writing;

use std::path::{Path, PathBuf};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql, TransactionBehavior};

use self::writing::{Writing, is_in};
use super::AuditError;
use super::progress::{self, Marked, Progress};
use super::schema::{self, Moment, failed, open_for_writing};
use crate::session::Timestamp;

/// Every reading query walks one of these indexes; a test asks SQLite for its plans.
///
/// `begins` is since when the index knows anything. `length_in_use` holds the prefix lengths that a lookup has to probe.
/// `story` and `restart` are what was folded, in that order, and are never corrected. Ports are 0 for all of them.
const TABLES: &str = "
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    begins INTEGER
) STRICT;
INSERT INTO state VALUES (1, NULL);

CREATE TABLE translation (
    id INTEGER PRIMARY KEY,
    valid_from INTEGER NOT NULL,
    valid_until INTEGER,
    realm INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;
CREATE INDEX translation_by_begin ON translation (valid_from);

CREATE TABLE realm (
    name BLOB PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX realm_by_number ON realm (number);

CREATE TABLE static_binding (
    length INTEGER NOT NULL,
    network BLOB NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_until INTEGER,
    subscriber BLOB NOT NULL,
    PRIMARY KEY (length, network, valid_from)
) STRICT, WITHOUT ROWID;
CREATE INDEX static_by_subscriber ON static_binding (subscriber);

CREATE TABLE length_in_use (
    by INTEGER NOT NULL,
    realm INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (by, realm, length)
) STRICT, WITHOUT ROWID;

CREATE TABLE story (
    realm INTEGER NOT NULL,
    length INTEGER NOT NULL,
    network BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    told BLOB NOT NULL,
    PRIMARY KEY (realm, length, network, sequence, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE restart (
    nas BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    told BLOB NOT NULL,
    PRIMARY KEY (nas, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE gap (
    until INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX gap_by_sequence ON gap (sequence);

CREATE TABLE conflict (
    id INTEGER PRIMARY KEY,
    realm INTEGER NOT NULL,
    length INTEGER NOT NULL,
    network BLOB NOT NULL,
    ports INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_until INTEGER,
    UNIQUE (realm, length, network, ports, valid_from)
) STRICT;
CREATE TABLE claimant (
    conflict INTEGER NOT NULL,
    nas BLOB NOT NULL,
    session_id BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    PRIMARY KEY (conflict, nas, session_id, incarnation)
) STRICT, WITHOUT ROWID;

CREATE TABLE command (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    by BLOB NOT NULL,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    verb TEXT NOT NULL,
    until INTEGER,
    reason BLOB NOT NULL
) STRICT;
CREATE INDEX command_by_subject ON command (subject, at);
";

/// Whose lengths those in use are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum By {
    /// Those of static prefixes.
    Statics,
    /// Those about which there is a story here.
    Stories,
}

impl ToSql for By {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as u8))
    }
}

/// Where it is.
pub(super) fn file_in(directory: &Path) -> PathBuf {
    directory.join("register.sqlite3")
}

/// Its writer.
pub(super) struct Register {
    connection: Connection,
    path: PathBuf,
    progress: Progress,
    begins: Option<Timestamp>,
}

impl Register {
    pub(super) fn open(directory: &Path) -> Result<Register, AuditError> {
        let path = file_in(directory);
        let connection = open_for_writing(&path, &[progress::TABLES, TABLES])?;
        let progress = Progress::load(&connection).map_err(|error| failed(&path, &error))?;
        let begins: Option<Moment> = connection
            .query_row("SELECT begins FROM state", (), |row| row.get(0))
            .map_err(|error| failed(&path, &error))?;
        Ok(Register { connection, path, progress, begins: begins.map(|begins| begins.0) })
    }

    /// Sequence of the last entry whose outcomes were taken.
    pub(super) fn applied(&self) -> u64 {
        self.progress.applied()
    }

    /// Takes what is new. After an error nothing was taken, and the same may be offered again.
    pub(super) fn apply(
        &mut self,
        through: u64,
        items: &[Marked<'_>],
        begins: impl Fn() -> Option<Timestamp>,
    ) -> Result<(), AuditError> {
        let mut progress = self.progress.clone();
        let new = progress.sift(through, items, is_in);
        let first = if self.begins.is_none() { begins() } else { None };
        if new.is_empty() && first.is_none() {
            // How far it is filled is written with the next that there is to write.
            self.progress = progress;
            return Ok(());
        }
        self.transact(|transaction| {
            for (position, outcome) in new {
                Writing { transaction, position }.outcome(outcome)?;
            }
            transaction
                .prepare_cached("UPDATE state SET begins = coalesce(begins, ?1)")?
                .execute((first.map(Moment),))?;
            progress.store(transaction)
        })?;
        self.progress = progress;
        self.begins = self.begins.or(first);
        Ok(())
    }

    /// Removes what was over before `sessions`, and orders from before `questions`.
    pub(super) fn forget(&mut self, sessions: Timestamp, questions: Timestamp) -> Result<(), AuditError> {
        let (sessions, questions) = (Moment(sessions), Moment(questions));
        self.transact(|transaction| {
            for table in ["translation", "static_binding", "conflict"] {
                let old = format!("DELETE FROM {table} WHERE valid_until < ?1");
                transaction.prepare_cached(&old)?.execute((&sessions,))?;
            }
            transaction.prepare_cached("DELETE FROM gap WHERE until < ?1")?.execute((&sessions,))?;
            for old in [
                "DELETE FROM claimant WHERE conflict NOT IN (SELECT id FROM conflict)",
                "DELETE FROM story WHERE at < ?1",
                "DELETE FROM restart WHERE at < ?1",
            ] {
                let mut statement = transaction.prepare_cached(old)?;
                let count = statement.parameter_count();
                if count == 0 {
                    statement.execute(())?
                } else {
                    statement.execute((&sessions,))?
                };
            }
            transaction.prepare_cached("DELETE FROM command WHERE at < ?1")?.execute((&questions,))?;
            // Of what was before, nothing is known any more.
            transaction.prepare_cached("UPDATE state SET begins = max(begins, ?1)")?.execute((&sessions,))?;
            Ok(())
        })
    }

    /// Writes how far it is filled.
    pub(super) fn flush(&mut self) -> Result<(), AuditError> {
        let progress = self.progress.clone();
        self.transact(|transaction| progress.store(transaction))
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&self) -> Result<(), AuditError> {
        schema::sync(&self.path, &self.connection)
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), AuditError> {
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction)?;
            transaction.commit()
        };
        write(&mut self.connection).map_err(|error| failed(&self.path, &error))
    }
}
