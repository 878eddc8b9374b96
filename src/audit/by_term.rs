//! Items that stand for themselves, in partitions, and by what they are found: messages, attempts.
//!
//! An item stands by its number. By what else it is asked for, whose it is, its queue id, its sender, stands as a term: a
//! short digest of what it is and how it is spelled. Two that have one digest cost a look at a row that does not fit.
//!
//! Knows: the tables, and how items are found in files and in runs. Must not know: what an item is ([`Item`]).

use std::cmp::Reverse;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::AuditError;
use super::blocks::{self, Range};
use super::checksum::Checksum;
use super::entries::{Entries, Spelled, Words};
use super::facts::Position;
use super::partition::{Partition, Span};
use super::shelf::{Rows, View};
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// An item: its number.
const ITEM: u8 = 1;
/// All that an item is found by: term, moment, number.
const TERM: u8 = 2;

fn of_item(words: Words, number: u64) -> Words {
    words.kind(ITEM).octets(&number.to_be_bytes())
}

fn of_term(words: Words, term: i64) -> Words {
    words.kind(TERM).octets(&term.to_be_bytes())
}

/// Octets of a key of [`TERM`] up to the number.
const TERM_LENGTH: usize = 17;

fn number_at(key: &[u8], known: usize) -> rusqlite::Result<u64> {
    Spelled::behind(key, known).array().map(u64::from_be_bytes).ok_or_else(blocks::torn)
}

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

    /// Adds what is kept beside items that are new in a file, the first of which has this number.
    fn beside(_entries: &mut Entries, _number: u64, _new: &[&Self]) -> Result<(), postcard::Error> {
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
    const TABLES: &'static [&'static str] = &[blocks::TABLES];

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

    fn write(
        runs: &[Arc<Self>],
        transaction: &Transaction<'_>,
        _moved: Option<u64>,
    ) -> rusqlite::Result<(u64, Checksum)> {
        // None of them is there: what moved before a crash was left out when it was taken again (`kept`).
        let mut entries = Entries::default();
        let mut new: Vec<&Kept<T>> = runs.iter().flat_map(|run| &run.0).map(AsRef::as_ref).collect();
        new.sort_by_key(|kept| kept.number);
        for Kept { number, item, .. } in &new {
            entries.add(|words| of_item(words, *number), item).map_err(blocks::unpackable)?;
        }
        for Kept { number, item, terms } in &new {
            for term in terms {
                entries
                    .add_key(|words| of_term(words, *term).moment(item.at()).octets(&number.to_be_bytes()));
            }
        }
        if let Some(first) = new.first() {
            let items: Vec<&T> = new.iter().map(|kept| &kept.item).collect();
            T::beside(&mut entries, first.number, &items).map_err(blocks::unpackable)?;
        }
        blocks::write(transaction, entries)
    }

    fn settle(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        // Whoever asks what somebody sent in a month probes each partition.
        blocks::settle_all(transaction)
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        blocks::read_again(connection)
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
    let from = |moment| of_term(Words::default(), asked.term).moment(moment);
    let range = Range::between(from(asked.since), from(asked.until));
    for run in blocks::runs(connection)? {
        let mut taken: usize = 0;
        blocks::descend(connection, run, &range, &mut |key, _| {
            let number = number_at(key, TERM_LENGTH)?;
            let item: T = item_of(connection, run, number)?;
            if admits(&item) {
                found.push((item.at(), number, item));
                taken = taken.saturating_add(1);
            }
            Ok(if taken < asked.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    Ok(())
}

/// An item stands in the run in which its terms stand.
fn item_of<T: Item>(connection: &Connection, run: i64, number: u64) -> rusqlite::Result<T> {
    let mut item = None;
    blocks::descend(
        connection,
        run,
        &Range::beginning(of_item(Words::default(), number)),
        &mut |_, packed| {
            item = Some(blocks::value(packed)?);
            Ok(ControlFlow::Break(()))
        },
    )?;
    item.ok_or_else(blocks::torn)
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
        let range = Range::beginning(of_term(Words::default(), term));
        if partition.ask(|connection| blocks::any(connection, &range))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of a partition that must be kept although it goes, but for what has moved to these already: before a crash.
pub(super) fn kept<T: Item>(
    partition: &Partition,
    moved_to: &[Arc<Partition>],
    keeps: impl Fn(&T) -> bool,
) -> Result<Items<T>, AuditError> {
    let mut items = Items::default();
    partition.ask(|connection| {
        blocks::each(connection, &Range::beginning(Words::default().kind(ITEM)), &mut |key, packed| {
            let item: T = blocks::value(packed)?;
            if keeps(&item) {
                items.0.push(Kept::new(number_at(key, 1)?, item));
            }
            Ok(())
        })
    })?;
    for other in moved_to {
        items = other.ask(|connection| {
            let is_there =
                |number| blocks::any(connection, &Range::beginning(of_item(Words::default(), number)));
            let mut missing = Items::default();
            for kept in items.0 {
                if !is_there(kept.number)? {
                    missing.0.push(kept);
                }
            }
            Ok(missing)
        })?;
    }
    Ok(items)
}
