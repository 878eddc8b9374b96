//! Writes what came of entries into rows.
//!
//! After a crash the caller folds again from its newest snapshot, so everything may come a second time. What belongs
//! to an entry before the last one applied is skipped. What belongs to that entry itself may be new all the same (a
//! deadline that took effect after it carries its sequence), so its outcomes are remembered by their digests until the
//! next entry, and only those are skipped.
//!
//! Knows: the file, its transactions, and what was written already. Must not know: which effect changes which row
//! (`writing.rs`; what late records change of the past, `correcting.rs`; the story of each prefix, `telling.rs`).

mod correcting;
mod known;
mod telling;
mod writing;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use self::known::Known;
use self::writing::Writing;
use super::AuditError;
use super::schema::{Moment, column, failed, file_in, open_for_writing};
use crate::session::Timestamp;
use crate::session::effect::{Effect, Ended};
use crate::views::{Folded, Outcome};

/// How a binding ended whose session lived on under another name. Exact, like those that `Ended` calls so.
pub(super) const RENAMED: &str = "renamed";

/// How a binding ended of which a Stop alone told. The end is known; that it was held before, only the session time says.
pub(super) const STOP_ALONE: &str = "stop-alone";

/// Whether an end is known rather than inferred, and so all that was held until then, by its word.
pub(super) fn is_exact(how: &str) -> bool {
    how == RENAMED || how == Ended::Stopped.word() || how == Ended::Moved.word()
}

/// The writer of the index. There is one.
pub struct Index {
    connection: Connection,
    path: PathBuf,
    applied: u64,
    known: Known,
}

impl Index {
    /// Opens the index below `data`, or makes an empty one.
    ///
    /// # Errors
    /// `Damaged` when it can't be used: then [`Index::begin_anew`] and a replay of the whole log make a good one.
    pub fn open(data: &Path) -> Result<Index, AuditError> {
        let path = file_in(data);
        if condemned(&path).exists() {
            return Err(AuditError::Damaged {
                file: path,
                what: "it was found damaged when it was written last",
            });
        }
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)
                .map_err(|error| AuditError::storage(directory, &error))?;
        }
        let connection = open_for_writing(&path)?;
        let applied: i64 = connection
            .query_row("SELECT applied FROM state", (), |row| row.get(0))
            .map_err(|error| failed(&path, &error))?;
        let applied = u64::try_from(applied)
            .map_err(|_| AuditError::Damaged { file: path.clone(), what: "its state makes no sense" })?;
        Ok(Index { connection, path, applied, known: Known::default() })
    }

    /// Removes the index and makes an empty one, to be filled by replay. What the log no longer holds is forgotten, and
    /// answers about that time say so. No reader may be open.
    ///
    /// # Errors
    /// What the file system said.
    pub fn begin_anew(data: &Path) -> Result<Index, AuditError> {
        let path = file_in(data);
        for companion in ["", "-wal", "-shm", "-journal", CONDEMNED] {
            let mut name = path.clone().into_os_string();
            name.push(companion);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(AuditError::storage(Path::new(&name), &error));
                }
                _ => {}
            }
        }
        Index::open(data)
    }

    /// Sequence of the last entry whose outcome is in the index; 0 when it is empty.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Has the next start make it again: it can't be written any more, for it is damaged.
    ///
    /// # Errors
    /// What the file system said.
    pub fn condemn(&self) -> io::Result<()> {
        fs::write(condemned(&self.path), "")
    }

    /// Makes what was applied so far survive a loss of power.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn sync(&mut self) -> Result<(), AuditError> {
        // A checkpoint syncs the write-ahead file and then the database, also at synchronous=NORMAL.
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        done.map_err(|error| failed(&self.path, &error))
    }

    /// Writes what came of the entries up to `through`, and that it did, in one transaction.
    ///
    /// # Errors
    /// What SQLite said; nothing was written then, and the same may be offered again.
    pub fn apply(&mut self, through: u64, folded: &[Folded]) -> Result<(), AuditError> {
        let through = through.max(self.applied);
        let (applied, known) = (self.applied, &self.known);
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let begins = folded.iter().find_map(|item| moment_of(&item.outcome)).map(Moment);
            let mut told =
                if through > applied { forget_written(&transaction)? } else { written(&transaction)? };
            for item in folded.iter().filter(|item| item.sequence >= applied) {
                let digest = (item.sequence == applied || item.sequence == through).then(|| digest(item));
                if let Some(digest) = &digest
                    && let Some(place) = told.iter().position(|told| told == digest)
                {
                    told.swap_remove(place);
                    continue;
                }
                let transaction = &transaction;
                Writing { transaction, known, applied, sequence: item.sequence }.outcome(&item.outcome)?;
                if let Some(digest) = digest.filter(|_| item.sequence == through) {
                    transaction.prepare_cached("INSERT INTO written VALUES (?1)")?.execute((digest,))?;
                }
            }
            transaction
                .prepare_cached("UPDATE state SET applied = ?1, begins = coalesce(begins, ?2)")?
                .execute((column(through), begins))?;
            transaction.commit()
        };
        match write(&mut self.connection) {
            Ok(()) => {
                self.applied = through;
                Ok(())
            }
            Err(error) => {
                self.known = Known::default();
                Err(failed(&self.path, &error))
            }
        }
    }
}

/// Ends the name of the file that says that the index is not to be used.
const CONDEMNED: &str = "-damaged";

fn condemned(path: &Path) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    name.push(CONDEMNED);
    name.into()
}

type Digest = [u8; 32];

/// One outcome of an entry, as its debugging text tells it from others.
fn digest(item: &Folded) -> Digest {
    Sha256::digest(format!("{item:?}")).into()
}

/// The outcomes of the last entry that are in the index.
fn written(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Digest>> {
    transaction.prepare_cached("SELECT digest FROM written")?.query_map((), |row| row.get(0))?.collect()
}

/// The same, when another entry is going to be the last.
fn forget_written(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Digest>> {
    let known = written(transaction)?;
    transaction.prepare_cached("DELETE FROM written")?.execute(())?;
    Ok(known)
}

/// When an outcome happened; the first one says since when the index knows anything.
fn moment_of(outcome: &Outcome) -> Option<Timestamp> {
    match outcome {
        Outcome::Message(message) => Some(message.at),
        Outcome::Command(command) => Some(command.at),
        Outcome::Asked(asked, _) => Some(asked.at),
        Outcome::Token(order) => Some(order.at),
        Outcome::Hold(hold) => Some(hold.at),
        Outcome::Effect(_, effect) => match effect {
            Effect::Gap { until, .. } => Some(*until),
            Effect::Bound { from, .. } => Some(*from),
            Effect::Unbound { until, .. } | Effect::PastHeld { until, .. } => Some(*until),
            Effect::EndTold { at, .. } => Some(*at),
            Effect::SubscriberChanged { at, .. }
            | Effect::SessionClosed { at, .. }
            | Effect::Conflict { at, .. }
            | Effect::StaticApplied { at, .. }
            | Effect::TranslationsApplied { at, .. } => Some(*at),
            // A session may have begun long before it was heard of, and what is too late may be as old as it likes.
            Effect::SessionOpened { .. }
            | Effect::Noted { .. }
            | Effect::Restarted { .. }
            | Effect::RealmNamed { .. }
            | Effect::Alarm(_) => None,
        },
    }
}

#[cfg(test)]
mod tests;
