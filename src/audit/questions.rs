//! What staff asked, in partitions.
//!
//! Knows: the table. Must not know: how questions are found (`asked.rs`), or who may see them.

use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use super::checksum::Checksum;
use super::facts::Position;
use super::partition::Span;
use super::schema::{Moment, column};
use super::shelf::Rows;
use crate::access::question::{Asked, Link};
use crate::views::Outcome;

const TABLES: &str = "
CREATE TABLE question (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    packed BLOB NOT NULL,
    link BLOB NOT NULL
) STRICT;
";

/// Questions that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Questions(Vec<Row>);

/// One of them, and what ties it to all before it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) sequence: u64,
    pub(super) asked: Asked,
    pub(super) link: Link,
}

impl Questions {
    pub(super) fn rows(&self) -> &[Row] {
        &self.0
    }
}

impl Rows for Questions {
    const KIND: &'static str = "questions";
    const TABLES: &'static [&'static str] = &[TABLES];

    fn are_in(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Asked(..))
    }

    fn gather(&mut self, position: Position, outcome: &Outcome) {
        let Outcome::Asked(asked, link) = outcome else { return };
        self.0.push(Row { sequence: position.sequence, asked: (**asked).clone(), link: *link });
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|row| row.sequence);
    }

    fn add(&mut self, others: &Questions) {
        self.0.extend_from_slice(&others.0);
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn span(&self) -> Option<Span> {
        self.0.iter().map(|row| Span::of(row.asked.at)).reduce(Span::and)
    }

    fn write(
        runs: &[Arc<Questions>],
        transaction: &Transaction<'_>,
        _moved: Option<u64>,
    ) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut insert = transaction.prepare_cached("INSERT INTO question VALUES (?1, ?2, ?3, ?4)")?;
        for Row { sequence, asked, link } in runs.iter().flat_map(|run| run.rows()) {
            let packed = asked.packed();
            sum.add(&[&sequence.to_be_bytes(), &asked.at.millis().to_be_bytes(), &packed, &link.0]);
            insert.execute((column(*sequence), Moment(asked.at), packed, link.0))?;
            count = count.saturating_add(1);
        }
        Ok((count, sum))
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut statement = connection.prepare("SELECT sequence, at, packed, link FROM question")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (sequence, at): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (packed, link) = (row.get_ref(2)?.as_blob()?, row.get_ref(3)?.as_blob()?);
            sum.add(&[&sequence.to_be_bytes(), &at.to_be_bytes(), packed, link]);
            count = count.saturating_add(1);
        }
        Ok((count, sum))
    }
}
