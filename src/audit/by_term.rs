//! Items that stand for themselves, in partitions, and by what they are found: messages, attempts.
//!
//! An item stands by its number. By what else it is asked for, whose it is, its queue id, its sender, stands as a term: a
//! short digest of what it is and how it is spelled. Two that have one digest cost a look at a row that does not fit.
//!
//! Knows: the tables, and how items are found in files and in runs. Must not know: what an item is ([`Item`]).

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::AuditError;
use super::checksum::Checksum;
use super::facts::Position;
use super::partition::{Partition, Span};
use super::schema::{Moment, column, packed_value, unpacked_value};
use super::shelf::{Rows, View};
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// `term` holds for each item all that it is found by.
pub(super) const TABLES: &str = "
CREATE TABLE item (
    number INTEGER PRIMARY KEY,
    packed BLOB NOT NULL
) STRICT;
CREATE TABLE term (
    term INTEGER NOT NULL,
    at INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (term, at, number)
) STRICT, WITHOUT ROWID;
";

pub(super) const BY_TERM: &str = "SELECT t.number, i.packed
    FROM term t CROSS JOIN item i ON i.number = t.number
    WHERE t.term = ?1 AND t.at >= ?2 AND t.at < ?3
    ORDER BY t.at DESC, t.number DESC";

pub(super) const IS_KNOWN: &str = "SELECT 1 FROM term WHERE term = ?1 LIMIT 1";

pub(super) const ALL: &str = "SELECT number, packed FROM item";

/// The term of any item.
pub(super) const ANY: i64 = 0;

/// A term: a short digest of what it is and how it is spelled.
pub(super) fn term(kind: u8, octets: &[u8]) -> i64 {
    let digest = Sha256::new().chain_update([kind]).chain_update(octets).finalize();
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest);
    // Never that of any.
    i64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1
}

/// What stands for itself.
pub(super) trait Item:
    Clone + Serialize + DeserializeOwned + Send + Sync + std::fmt::Debug + 'static
{
    /// What files of this kind are called.
    const KIND: &'static str;
    /// [`TABLES`], and those that the kind has beside them.
    const TABLES: &'static [&'static str];

    /// Those of an outcome, in order; `None`: it is none that has any.
    fn of(outcome: &Outcome) -> Option<&[Self]>;

    /// When it was.
    fn at(&self) -> Timestamp;

    /// Until when.
    fn until(&self) -> Timestamp {
        self.at()
    }

    /// By what it is found, beside [`ANY`]; the same may be there twice.
    fn terms(&self) -> Vec<i64>;

    /// Whose it may be: for their sake it may be kept longer.
    fn subscribers(&self) -> impl Iterator<Item = &Name>;

    /// From which address it came.
    fn address(&self) -> Option<IpAddr>;

    /// Writes what is kept beside items that are new in a file.
    fn beside(_transaction: &Transaction<'_>, _new: &[&Self]) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// Items of an entry are fewer: their numbers are that of the entry and their places in it.
const PLACES: u64 = 1 << 16;

/// Items that are not written yet, in order of time.
#[derive(Debug)]
pub(super) struct Items<T>(Vec<Arc<Kept<T>>>);

#[derive(Debug)]
struct Kept<T> {
    number: u64,
    item: T,
    terms: Vec<i64>,
}

impl<T: Item> Kept<T> {
    fn new(number: u64, item: T) -> Arc<Self> {
        let mut terms = item.terms();
        terms.push(ANY);
        terms.sort_unstable();
        terms.dedup();
        Arc::new(Kept { number, item, terms })
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items(Vec::new())
    }
}

impl<T: Item> Items<T> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|kept| &kept.item)
    }
}

impl<T: Item> Rows for Items<T> {
    const KIND: &'static str = T::KIND;
    const TABLES: &'static [&'static str] = T::TABLES;

    fn are_in(outcome: &Outcome) -> bool {
        T::of(outcome).is_some()
    }

    fn gather(&mut self, position: Position, outcome: &Outcome) {
        let items = T::of(outcome).unwrap_or_default();
        let first = position.sequence.saturating_mul(PLACES);
        self.0.extend((first..).zip(items).map(|(number, item)| Kept::new(number, item.clone())));
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|kept| (kept.item.at(), kept.number));
    }

    fn add(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn span(&self) -> Option<Span> {
        let span = |item: &T| Span::of(item.at()).and(Span::of(item.until()));
        self.iter().map(span).reduce(Span::and)
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<(u64, Checksum)> {
        let mut sum = Checksum::default();
        let mut by_number: Vec<&Kept<T>> = self.0.iter().map(AsRef::as_ref).collect();
        by_number.sort_by_key(|kept| kept.number);
        // What moved here before a crash may come once more.
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO item VALUES (?1, ?2)")?;
        let (mut new, mut terms) = (Vec::new(), Vec::new());
        for Kept { number, item, terms: of_item } in by_number {
            let packed = packed_value(item)?;
            if insert.execute((column(*number), &packed))? > 0 {
                sum.add(&[&number.to_be_bytes(), &packed]);
                terms.extend(of_item.iter().map(|term| (*term, item.at(), *number)));
                new.push(item);
            }
        }
        terms.sort_unstable();
        let mut insert = transaction.prepare_cached("INSERT INTO term VALUES (?1, ?2, ?3)")?;
        for (term, at, number) in terms {
            insert.execute((term, Moment(at), column(number)))?;
        }
        T::beside(transaction, &new)?;
        Ok((new.len() as u64, sum))
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut statement = connection.prepare(ALL)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            sum.add(&[&row.get::<_, i64>(0)?.to_be_bytes(), row.get_ref(1)?.as_blob()?]);
            count = count.saturating_add(1);
        }
        Ok((count, sum))
    }
}

/// What is asked of items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The narrowest term.
    pub(super) term: i64,
    /// Not before.
    pub(super) since: Timestamp,
    /// Before.
    pub(super) until: Timestamp,
    /// At most so many.
    pub(super) limit: usize,
}

/// Those that fit, newest first.
pub(super) fn list<T: Item>(
    view: &View<Items<T>>,
    asked: Asked,
    admits: &dyn Fn(&T) -> bool,
) -> Result<Vec<T>, AuditError> {
    let mut found: Vec<(Timestamp, u64, T)> = Vec::new();
    for run in &view.runs {
        let fits = run.0.iter().rev().filter(|kept| kept.terms.contains(&asked.term) && admits(&kept.item));
        let fits = fits.take(asked.limit);
        found.extend(fits.map(|kept| (kept.item.at(), kept.number, kept.item.clone())));
    }
    newest(&mut found, asked.limit);
    let mut partitions: Vec<&Partition> = view.partitions.iter().map(AsRef::as_ref).collect();
    partitions.sort_by_key(|partition| partition.about.span.map(|span| span.last));
    for partition in partitions.into_iter().rev() {
        let Some(span) = partition.about.span else { continue };
        let oldest = found.last().filter(|_| found.len() >= asked.limit).map(|(at, ..)| *at);
        // This one, and those after it, have nothing newer than what is found.
        if oldest.is_some_and(|oldest| oldest > span.last) {
            break;
        }
        if span.first < asked.until && span.last >= asked.since {
            let asked = Asked { since: asked.since.max(oldest.unwrap_or(asked.since)), ..asked };
            partition.ask(|connection| walk(connection, asked, admits, &mut found))?;
            newest(&mut found, asked.limit);
        }
    }
    Ok(found.into_iter().map(|(.., item)| item).collect())
}

/// The newest of a partition that fits.
pub(super) fn newest_of<T: Item>(
    partition: &Partition,
    asked: Asked,
    admits: &dyn Fn(&T) -> bool,
) -> Result<Option<T>, AuditError> {
    let mut found = Vec::new();
    partition.ask(|connection| walk(connection, asked, admits, &mut found))?;
    newest(&mut found, 1);
    Ok(found.pop().map(|(.., item)| item))
}

/// The newest of a partition, until there are enough.
fn walk<T: Item>(
    connection: &Connection,
    asked: Asked,
    admits: &dyn Fn(&T) -> bool,
    found: &mut Vec<(Timestamp, u64, T)>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(BY_TERM)?;
    let mut rows = statement.query((asked.term, Moment(asked.since), Moment(asked.until)))?;
    let mut taken: usize = 0;
    while taken < asked.limit {
        let Some(row) = rows.next()? else { break };
        let item: T = unpacked_value(row, 1)?;
        if admits(&item) {
            found.push((item.at(), row.get::<_, i64>(0)?.unsigned_abs(), item));
            taken = taken.saturating_add(1);
        }
    }
    Ok(())
}

/// The newest of these, each once: what is being written may be found in a file and in a run.
fn newest<T>(found: &mut Vec<(Timestamp, u64, T)>, limit: usize) {
    found.sort_by_key(|(at, number, _)| Reverse((*at, *number)));
    found.dedup_by_key(|(at, number, _)| (*at, *number));
    found.truncate(limit);
}

/// Whether any item is found by this.
pub(super) fn is_known<T: Item>(view: &View<Items<T>>, term: i64) -> Result<bool, AuditError> {
    if view.runs.iter().any(|run| run.0.iter().any(|kept| kept.terms.contains(&term))) {
        return Ok(true);
    }
    for partition in &view.partitions {
        if partition.ask(|connection| connection.prepare_cached(IS_KNOWN)?.exists((term,)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of a partition that must be kept although it goes.
pub(super) fn kept<T: Item>(
    partition: &Partition,
    keeps: impl Fn(&T) -> bool,
) -> Result<Items<T>, AuditError> {
    let mut items = Items::default();
    partition.ask(|connection| {
        let mut statement = connection.prepare_cached(ALL)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let item: T = unpacked_value(row, 1)?;
            if keeps(&item) {
                items.0.push(Kept::new(row.get::<_, i64>(0)?.unsigned_abs(), item));
            }
        }
        Ok(())
    })?;
    Ok(items)
}
