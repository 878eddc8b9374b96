//! What staff asked, in partitions.
//!
//! Knows: the table, and how questions are found in files and in runs. Must not know: who may see them.

use rusqlite::Transaction;

use super::facts::Position;
use super::partition::Span;
use super::schema::{Moment, column, packed_value};
use super::shelf::Rows;
use crate::log::entry::Question;
use crate::views::Outcome;

const TABLES: &str = "
CREATE TABLE question (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;
";

/// Questions that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Questions(Vec<(u64, Question)>);

impl Rows for Questions {
    const KIND: &'static str = "questions";
    const TABLES: &'static [&'static str] = &[TABLES];

    fn are_in(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Question(_))
    }

    fn gather(&mut self, position: Position, outcome: &Outcome) {
        let Outcome::Question(question) = outcome else { return };
        self.0.push((position.sequence, question.clone()));
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|(sequence, _)| *sequence);
    }

    fn add(&mut self, others: &Questions) {
        self.0.extend_from_slice(&others.0);
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn span(&self) -> Option<Span> {
        self.0.iter().map(|(_, question)| Span::of(question.at)).reduce(Span::and)
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare_cached("INSERT INTO question VALUES (?1, ?2, ?3)")?;
        for (sequence, question) in &self.0 {
            insert.execute((column(*sequence), Moment(question.at), packed_value(question)?))?;
        }
        Ok(())
    }
}
