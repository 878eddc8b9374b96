//! The one ordered log: what an entry is, and the promise a log makes.
//!
//! Knows: entries, sequences, the trait. Must not know: what folding an entry does.

pub mod entry;
#[cfg(feature = "daemon")]
pub mod snapshot;
#[cfg(feature = "daemon")]
pub mod sqlite;

use std::path::PathBuf;

use crate::session::Timestamp;
use entry::Entry;

/// A group of entries that became durable together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Sequence of the first entry. Sequences begin at 1 and have no holes.
    pub sequence: u64,
    /// The moment at which the batch takes effect; never earlier than that of the batch before.
    pub at: Timestamp,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

/// An ordered log with one writer.
pub trait Log: Send {
    /// Makes the entries durable: when this returns `Ok`, they survive a loss of power.
    ///
    /// After an error nothing of the batch may be acknowledged, and the caller tries again with **the same batch**
    /// (same sequence, same entries): the log then writes it to a fresh place and never to the one that failed.
    ///
    /// # Errors
    /// What the storage said; the log stays usable.
    fn append(&mut self, batch: &Batch) -> Result<(), LogError>;

    /// Sequence of the next entry.
    fn next_sequence(&self) -> u64;

    /// Octets written to the file in use, for deciding when to take a snapshot.
    fn size(&self) -> u64;

    /// Closes the file in use and opens the next at the next append.
    ///
    /// # Errors
    /// What the storage said.
    fn seal(&mut self) -> Result<(), LogError>;

    /// Removes sealed files all of whose entries are below `sequence`.
    ///
    /// # Errors
    /// What the storage said.
    fn forget_below(&mut self, sequence: u64) -> Result<(), LogError>;
}

/// What can go wrong with stored state. Variants are facts; the texts say what to do next.
#[derive(Debug)]
pub enum LogError {
    /// A file holds something that was not written by us so: nothing is guessed, nothing starts.
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Sequence of the row, when one can be named.
        row: Option<u64>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file is of a later version than this program.
    TooNew {
        /// Which file.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Another daemon holds the data directory.
    InUse {
        /// The lock file.
        file: PathBuf,
    },
    /// The caller offered a batch that is not the next one; nothing was written.
    OutOfOrder {
        /// The sequence that is due.
        expected: u64,
        /// The sequence that was offered.
        given: u64,
    },
    /// SQLite or the file system refused.
    Storage {
        /// Which file.
        file: PathBuf,
        /// What it said.
        error: String,
    },
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogError::Damaged { file, row: Some(row), what } => {
                write!(f, "{}: row {row}: {what}", file.display())
            }
            LogError::Damaged { file, row: None, what } => write!(f, "{}: {what}", file.display()),
            LogError::TooNew { file, version } => {
                write!(
                    f,
                    "{}: written by a later version (format {version}); use that version",
                    file.display()
                )
            }
            LogError::InUse { file } => {
                write!(f, "{}: another relaywarden is using this data directory", file.display())
            }
            LogError::OutOfOrder { expected, given } => {
                write!(f, "batch {given} was offered to the log, batch {expected} is due")
            }
            LogError::Storage { file, error } => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for LogError {}
