//! The index that answers about the past, filled from the log behind the acknowledgement.
//!
//! One writer ([`index::Index`]) folds what came of each entry into rows; any number of readers ([`past::Past`]) ask.
//! The log is the truth: an index that is damaged or gone is begun anew and filled by replay. Nobody outside sees SQL.
//!
//! Knows: effects, messages and questions as rows; what was known when. Must not know: how an answer is shown.

pub mod index;
mod listing;
pub mod past;
pub mod rows;
mod schema;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serializer;

use crate::session::{Name, Timestamp};

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
                write!(f, "{}: {what}; begin it anew, it is filled from the log by replay", file.display())
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

/// A moment as RFC 3339 in UTC with milliseconds. What lies outside the years that can be written becomes the nearest.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let extreme = if at.millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    format!("{:.3}", jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(extreme))
}

/// Serialisers for fields of rows, named as serde's `with` wants them.
mod shown {
    use super::{Name, Serializer, Timestamp, rfc3339};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*at))
    }

    pub(super) fn time_if_any<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.serialize_some(&rfc3339(*at)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn name<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(super) fn name_if_any<S: Serializer>(name: &Option<Name>, serializer: S) -> Result<S::Ok, S::Error> {
        match name {
            Some(name) => serializer.collect_str(name),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn names<S: Serializer>(names: &[Name], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(names.iter().map(Name::to_string))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(Timestamp::from_millis(1_700_000_000_007)), "2023-11-14T22:13:20.007Z");
        assert_eq!(rfc3339(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_written_as_its_end() {
        assert!(rfc3339(Timestamp::EARLIEST).starts_with("-009999-"));
        assert!(rfc3339(Timestamp::from_millis(i64::MAX)).starts_with("9999-12-3"));
    }
}
