//! The index that answers about the past, filled from the log behind the acknowledgement.
//!
//! One writer ([`index::Index`]) folds what came of each entry into rows; any number of readers ([`past::Past`]) ask.
//! The log is the truth: an index that is damaged or gone is begun anew and filled by replay. Nobody outside sees SQL.
//!
//! Knows: effects, messages, their Message-IDs, attempts, verdicts and questions as rows; what was known when. Must not know: how an answer is shown.

pub mod asked;
mod attempts;
mod blocks;
mod by_term;
mod checksum;
mod counts;
mod entries;
mod facts;
mod holds;
pub mod index;
mod listing;
mod message_ids;
mod messages;
pub mod orders;
mod partition;
pub mod past;
mod progress;
mod questions;
mod register;
mod retention;
pub mod rows;
mod scanned;
mod schema;
mod sessions;
mod shelf;
mod story;
pub mod top;
pub mod verify;

use std::fmt;
use std::path::{Path, PathBuf};

/// What can go wrong with the index. Variants are facts; the texts say what to do next.
#[derive(Debug)]
pub enum AuditError {
    /// The file is not what was written.
    Damaged {
        /// Which file.
        file: PathBuf,
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
    /// SQLite or the file system refused.
    Storage {
        /// Which file.
        file: PathBuf,
        /// What it said.
        error: String,
    },
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditError::Damaged { file, what } => {
                write!(
                    f,
                    "{}: {what}; it is set aside, and made again from the log as far as that has it",
                    file.display()
                )
            }
            AuditError::TooNew { file, version } => {
                let file = file.display();
                write!(f, "{file}: written by a later version (format {version}); use that version")
            }
            AuditError::Storage { file, error } => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for AuditError {}

impl AuditError {
    fn storage(file: &Path, error: &dyn std::error::Error) -> AuditError {
        AuditError::Storage { file: file.to_path_buf(), error: error.to_string() }
    }
}
