//! What an import came to, for a ticket and for programs.
//!
//! Knows: columns. Must not know: how rows are judged.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::cli::output::Row;
use crate::cli::time::shown;
use crate::server::http::import::Fate;

/// How many rows became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// They count for who owns what now.
    pub accepted: u64,
    /// They tell of the past only.
    pub history: u64,
    /// They are sound and concern nothing.
    pub ignored: u64,
    /// They can't be used.
    pub rejected: u64,
}

impl Counts {
    /// One row more.
    pub fn count(&mut self, fate: Fate) {
        let count = match fate {
            Fate::Accepted => &mut self.accepted,
            Fate::History => &mut self.history,
            Fate::Ignored => &mut self.ignored,
            Fate::Rejected => &mut self.rejected,
        };
        *count = count.saturating_add(1);
    }

    /// All of them.
    #[must_use]
    pub fn rows(&self) -> u64 {
        [self.accepted, self.history, self.ignored, self.rejected]
            .iter()
            .fold(0, |all, count| all.saturating_add(*count))
    }
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Its name.
    pub file: String,
    /// `radacct` or `detail`.
    pub format: String,
    /// The moment that it tells of.
    pub as_of: String,
    /// Whether rows were only judged.
    pub dry_run: bool,
    /// Lines that an earlier run had taken.
    pub resumed_at: u64,
    /// Rows in all, those of earlier runs included.
    pub rows: u64,
    /// Of them: count for who owns what now.
    pub accepted: u64,
    /// Of them: tell of the past only.
    pub history: u64,
    /// Of them: concern nothing.
    pub ignored: u64,
    /// Of them: can't be used.
    pub rejected: u64,
}

impl Row for FileSummary {
    const HEADINGS: &'static [&'static str] =
        &["FILE", "FORMAT", "AS OF", "ROWS", "ACCEPTED", "HISTORY", "IGNORED", "REJECTED"];
    const FIELDS: &'static [&'static str] = &[
        "file",
        "format",
        "as_of",
        "dry_run",
        "resumed_at",
        "rows",
        "accepted",
        "history",
        "ignored",
        "rejected",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            self.file.clone(),
            self.format.clone(),
            shown(&self.as_of, zone),
            self.rows.to_string(),
            self.accepted.to_string(),
            self.history.to_string(),
            self.ignored.to_string(),
            self.rejected.to_string(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.file.clone(),
            self.format.clone(),
            self.as_of.clone(),
            self.dry_run.to_string(),
            self.resumed_at.to_string(),
            self.rows.to_string(),
            self.accepted.to_string(),
            self.history.to_string(),
            self.ignored.to_string(),
            self.rejected.to_string(),
        ]
    }
}
