//! What was taken already, so that nothing is taken twice.
//!
//! After a crash the caller folds again from its newest snapshot, so everything may come a second time. What belongs
//! to an entry before the last one applied is passed over. What belongs to that entry itself may be new all the same (a
//! deadline that took effect after it carries its sequence), so its outcomes are remembered by their digests until the
//! next entry, and only those are passed over.
//!
//! Knows: sequences and digests, and how both are kept in a file beside what was taken. Must not know: what an outcome
//! means.

use rusqlite::{Connection, Transaction};
use sha2::{Digest as _, Sha256};

use super::facts::Position;
use super::schema::column;
use crate::views::{Folded, Outcome};

/// Tables of every file that is filled from the log.
pub(super) const TABLES: &str = "
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    applied INTEGER NOT NULL,
    steps INTEGER NOT NULL
) STRICT;
INSERT INTO progress VALUES (1, 0, 0);
CREATE TABLE written (
    digest BLOB NOT NULL
) STRICT;
";

type Digest = [u8; 32];

/// An outcome, and how it is known again, where that may be needed.
pub(super) struct Marked<'a> {
    item: &'a Folded,
    digest: Option<Digest>,
}

/// Marks outcomes up to `through` for everything that is filled as far as `applied` says.
pub(super) fn marked<'a>(folded: &'a [Folded], through: u64, applied: &[u64]) -> Vec<Marked<'a>> {
    let may_be_told_again = |sequence| sequence == through || applied.contains(&sequence);
    let mark =
        |item: &'a Folded| Marked { item, digest: may_be_told_again(item.sequence).then(|| digest(item)) };
    folded.iter().map(mark).collect()
}

/// How far something is filled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Sequence of the last entry whose outcomes were taken; 0: of none.
    applied: u64,
    /// How many outcomes of it were taken.
    steps: u32,
    written: Vec<Digest>,
}

impl Progress {
    /// Everything up to this entry counts as taken.
    pub(super) fn behind(applied: u64) -> Progress {
        Progress { applied, ..Progress::default() }
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied
    }

    /// Those outcomes that are new and wanted, and where they stand among all of their entry; afterwards everything up to
    /// `through` counts as taken.
    pub(super) fn sift<'a>(
        &mut self,
        through: u64,
        items: &[Marked<'a>],
        wanted: impl Fn(&Outcome) -> bool,
    ) -> Vec<(Position, &'a Outcome)> {
        let through = through.max(self.applied);
        let mut told =
            if through > self.applied { std::mem::take(&mut self.written) } else { self.written.clone() };
        let mut next = Position { sequence: self.applied, step: self.steps };
        let mut new = Vec::new();
        for Marked { item, digest } in items.iter().filter(|marked| marked.item.sequence >= self.applied) {
            if let Some(digest) = digest
                && let Some(place) = told.iter().position(|told| told == digest)
            {
                told.swap_remove(place);
                continue;
            }
            if item.sequence != next.sequence {
                next = Position { sequence: item.sequence, step: 0 };
            }
            if wanted(&item.outcome) {
                new.push((next, &item.outcome));
            }
            next.step = next.step.saturating_add(1);
            self.written.extend(digest.filter(|_| item.sequence == through));
        }
        self.steps = if next.sequence == through { next.step } else { 0 };
        self.applied = through;
        new
    }

    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Progress> {
        let (applied, steps) = connection.query_row("SELECT applied, steps FROM progress", (), |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })?;
        let applied = u64::try_from(applied).unwrap_or_default();
        let written = connection
            .prepare("SELECT digest FROM written")?
            .query_map((), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(Progress { applied, steps, written })
    }

    pub(super) fn store(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction
            .prepare_cached("UPDATE progress SET applied = ?1, steps = ?2")?
            .execute((column(self.applied), self.steps))?;
        transaction.prepare_cached("DELETE FROM written")?.execute(())?;
        let mut insert = transaction.prepare_cached("INSERT INTO written VALUES (?1)")?;
        for digest in &self.written {
            insert.execute((digest,))?;
        }
        Ok(())
    }
}

/// One outcome of an entry, as its debugging text tells it from others.
fn digest(item: &Folded) -> Digest {
    Sha256::digest(format!("{item:?}")).into()
}
