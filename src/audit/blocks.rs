//! The blocks of a partition: sorted runs of entries, each written at once and read side by side.
//!
//! Rows gather in memory and are written many at a time (`shelf.rs`). Each time makes a run: all its entries in order, in
//! blocks. What is asked is found in each run by the first keys of its blocks. So that there are few runs, a small one is
//! written again as a part of the next, up to a size; a partition ends with one, or where it is large with four to eight.
//!
//! Knows: tables of blocks and runs. Must not know: what an entry tells.

use std::ops::ControlFlow;

use rusqlite::types::Type;
use rusqlite::{Connection, Rows, Transaction};

use super::checksum::Checksum;
use super::entries::{Block, Entries, Packer, Torn, Words};

pub(super) const TABLES: &str = "
CREATE TABLE run (
    run INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL
) STRICT;
CREATE TABLE block (
    block INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    first BLOB NOT NULL,
    packed BLOB NOT NULL
) STRICT;
CREATE INDEX block_first ON block (run, first);
";

/// As long as rows come, no run of more is made of several: each is written a few times, and as long as the disk takes what comes a
/// partition of a million has some eight runs at most.
const RUN_MAX: u64 = 250_000;

pub(super) const RUNS: &str = "SELECT run FROM run ORDER BY run";

/// Blocks that may have keys from ?2 on and before ?3: the first of them may begin before.
pub(super) const ASCENDING: &str = "SELECT packed FROM block
    WHERE run = ?1
      AND first >= coalesce((SELECT max(first) FROM block WHERE run = ?1 AND first <= ?2), ?2)
      AND first < ?3
    ORDER BY first";

/// Blocks that begin before ?2, the last first: whoever asks for what lies close together needs one of them.
pub(super) const DESCENDING: &str =
    "SELECT first, packed FROM block WHERE run = ?1 AND first < ?2 ORDER BY first DESC";

/// All blocks of a run, in order.
pub(super) const OF_RUN: &str = "SELECT first, packed FROM block WHERE run = ?1 ORDER BY first";

const NEWEST_RUNS: &str = "SELECT run, rows FROM run ORDER BY run DESC";

/// Keys from the first on and before the second.
pub(super) struct Range {
    from: Words,
    to: Words,
}

impl Range {
    /// All keys that begin so.
    pub(super) fn beginning(with: Words) -> Range {
        Range { to: with.clone().end(), from: with }
    }

    /// From one on and before another.
    pub(super) fn between(from: Words, to: Words) -> Range {
        Range { from, to }
    }
}

/// Takes an entry, or a block with its first key.
type Take<'a> = dyn FnMut(&[u8], &[u8]) -> rusqlite::Result<()> + 'a;

/// What one step of a walk comes to.
type Step = rusqlite::Result<ControlFlow<()>>;

/// Writes a run. Rows that were written, those with a value, are counted and summed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    mut entries: Entries,
) -> rusqlite::Result<(u64, Checksum)> {
    entries.sort();
    let (mut rows, mut sum) = (0_u64, Checksum::default());
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_empty()) {
        sum.add(&[key, value]);
        rows = rows.saturating_add(1);
    }
    let small = Newest::of(transaction, rows, RUN_MAX, |its, with_it| its <= with_it.saturating_mul(2))?;
    if entries.len() > 0 {
        replace(transaction, &small, &entries)?;
    }
    Ok((rows, sum))
}

/// Makes one run of as many as may be one, once nothing more is written.
pub(super) fn settle(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    become_one(transaction, RUN_MAX)
}

/// The same, of all: each question probes one run from then on. That takes as long as all that was written before.
pub(super) fn settle_all(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    become_one(transaction, u64::MAX)
}

fn become_one(transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<()> {
    let newest = Newest::of(transaction, 0, most, |_, _| true)?;
    if newest.runs.len() > 1 { replace(transaction, &newest, &Entries::default()) } else { Ok(()) }
}

/// The newest runs, which become one with what is new.
struct Newest {
    runs: Vec<i64>,
    /// The number of the next.
    next: i64,
    /// How many rows it will have.
    rows: u64,
}

impl Newest {
    /// Beginning with the last, as long as they are `small`, each held against all behind it and what is new.
    /// There will be no more than `most` rows, unless as many are new.
    fn of(
        connection: &Connection,
        new: u64,
        most: u64,
        small: impl Fn(u64, u64) -> bool,
    ) -> rusqlite::Result<Newest> {
        let mut newest = Newest { runs: Vec::new(), next: 1, rows: new };
        let mut statement = connection.prepare_cached(NEWEST_RUNS)?;
        let mut runs = statement.query(())?;
        while let Some(row) = runs.next()? {
            let (run, its): (i64, u64) = (row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs());
            newest.next = newest.next.max(run.saturating_add(1));
            if !small(its, newest.rows) || its.saturating_add(newest.rows) > most {
                break;
            }
            newest.runs.push(run);
            newest.rows = newest.rows.saturating_add(its);
        }
        Ok(newest)
    }
}

/// Writes a run of what is new and of others, which it takes the place of.
fn replace(transaction: &Transaction<'_>, newest: &Newest, entries: &Entries) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO block (run, first, packed) VALUES (?1, ?2, ?3)")?;
    merge(transaction, &newest.runs, entries, &mut |first, packed| {
        insert.execute((newest.next, first, packed)).map(drop)
    })?;
    for run in &newest.runs {
        transaction.prepare_cached("DELETE FROM block WHERE run = ?1")?.execute((run,))?;
        transaction.prepare_cached("DELETE FROM run WHERE run = ?1")?.execute((run,))?;
    }
    let row = (newest.next, i64::try_from(newest.rows).unwrap_or(i64::MAX));
    transaction.prepare_cached("INSERT INTO run VALUES (?1, ?2)")?.execute(row).map(drop)
}

/// Hands over the blocks of entries and of runs together, each key once.
fn merge(
    connection: &Connection,
    runs: &[i64],
    entries: &Entries,
    take: &mut Take<'_>,
) -> rusqlite::Result<()> {
    let mut statements =
        runs.iter().map(|_| connection.prepare(OF_RUN)).collect::<rusqlite::Result<Vec<_>>>()?;
    let mut sources = Vec::with_capacity(runs.len().saturating_add(1));
    if entries.len() > 0 {
        sources.push(Source::Gathered { entries, next: 0 });
    }
    for (statement, run) in statements.iter_mut().zip(runs) {
        let mut source = Source::Run { rows: statement.query((run,))?, block: Block::default() };
        if source.step()? {
            sources.push(source);
        }
    }
    let mut packer = Packer::default();
    // There are a few: the least is found by looking at all.
    while let Some((place, least)) =
        sources.iter_mut().enumerate().min_by(|(_, a), (_, b)| a.entry().0.cmp(b.entry().0))
    {
        let (key, value) = least.entry();
        packer.push(key, value, take)?;
        if !least.step()? {
            sources.swap_remove(place);
        }
    }
    packer.finish(take)
}

/// One of those that are merged, at its next entry.
enum Source<'a> {
    Gathered { entries: &'a Entries, next: usize },
    Run { rows: Rows<'a>, block: Block },
}

impl Source<'_> {
    fn entry(&self) -> (&[u8], &[u8]) {
        match self {
            Source::Gathered { entries, next } => entries.get(*next).unwrap_or_default(),
            Source::Run { block, .. } => (block.key(), block.value()),
        }
    }

    /// False: that was all.
    fn step(&mut self) -> rusqlite::Result<bool> {
        match self {
            Source::Gathered { entries, next } => {
                *next = next.saturating_add(1);
                Ok(*next < entries.len())
            }
            Source::Run { rows, block } => {
                while !block.step().map_err(of_torn)? {
                    match rows.next()? {
                        Some(row) => block.load(row.get_ref(1)?.as_blob()?),
                        None => return Ok(false),
                    }
                }
                Ok(true)
            }
        }
    }
}

/// All rows, read again, as they were counted and summed when they were written; keys must be in order.
pub(super) fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
    let (mut rows, mut sum) = (0_u64, Checksum::default());
    for run in runs(connection)? {
        let mut before: Option<Vec<u8>> = None;
        each_of_run(connection, run, &mut |key, value| {
            if before.as_ref().is_some_and(|before| before.as_slice() >= key) {
                return Err(torn());
            }
            before.get_or_insert_default().clear();
            before.get_or_insert_default().extend_from_slice(key);
            if !value.is_empty() {
                sum.add(&[key, value]);
                rows = rows.saturating_add(1);
            }
            Ok(())
        })?;
    }
    Ok((rows, sum))
}

/// Each run, in the order in which they were written.
pub(super) fn runs(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection.prepare_cached(RUNS)?.query_map((), |row| row.get(0))?.collect()
}

fn each_of_run(connection: &Connection, run: i64, take: &mut Take<'_>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(OF_RUN)?;
    let mut rows = statement.query((run,))?;
    let mut block = Block::default();
    while let Some(row) = rows.next()? {
        block.load(row.get_ref(1)?.as_blob()?);
        let mut is_first = true;
        while block.step().map_err(of_torn)? {
            if std::mem::take(&mut is_first) && block.key() != row.get_ref(0)?.as_blob()? {
                return Err(torn());
            }
            take(block.key(), block.value())?;
        }
    }
    Ok(())
}

/// The entries of a range, in no order.
pub(super) fn each(connection: &Connection, range: &Range, take: &mut Take<'_>) -> rusqlite::Result<()> {
    for run in runs(connection)? {
        descend(connection, run, range, &mut |key, value| take(key, value).map(ControlFlow::Continue))?;
    }
    Ok(())
}

/// Whether there is any in a range.
pub(super) fn any(connection: &Connection, range: &Range) -> rusqlite::Result<bool> {
    last(connection, range).map(|last| last.is_some())
}

/// The greatest key in a range.
pub(super) fn last(connection: &Connection, range: &Range) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut greatest: Option<Vec<u8>> = None;
    for run in runs(connection)? {
        descend(connection, run, range, &mut |key, _| {
            if greatest.as_ref().is_none_or(|greatest| key > greatest.as_slice()) {
                greatest = Some(key.to_vec());
            }
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(greatest)
}

/// The entries of a range in one run, in order, until it was enough.
pub(super) fn ascend(
    connection: &Connection,
    run: i64,
    range: &Range,
    take: &mut dyn FnMut(&[u8], &[u8]) -> Step,
) -> rusqlite::Result<()> {
    let (from, to) = (range.from.as_slice(), range.to.as_slice());
    let mut statement = connection.prepare_cached(ASCENDING)?;
    let mut rows = statement.query((run, from, to))?;
    let mut block = Block::default();
    while let Some(row) = rows.next()? {
        block.load(row.get_ref(0)?.as_blob()?);
        while block.step().map_err(of_torn)? {
            if block.key() >= to || block.key() >= from && take(block.key(), block.value())?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The same from the last to the first.
pub(super) fn descend(
    connection: &Connection,
    run: i64,
    range: &Range,
    take: &mut dyn FnMut(&[u8], &[u8]) -> Step,
) -> rusqlite::Result<()> {
    let (from, to) = (range.from.as_slice(), range.to.as_slice());
    let mut statement = connection.prepare_cached(DESCENDING)?;
    let mut rows = statement.query((run, to))?;
    let (mut block, mut entries) = (Block::default(), Entries::default());
    while let Some(row) = rows.next()? {
        // A key stands on that of the one before it, so a block is read from its beginning.
        entries.clear();
        let reaches_before = row.get_ref(0)?.as_blob()? <= from;
        block.load(row.get_ref(1)?.as_blob()?);
        while block.step().map_err(of_torn)? && block.key() < to {
            if block.key() >= from {
                entries.add_octets(block.key(), block.value());
            }
        }
        for (key, value) in entries.iter().rev() {
            if take(key, value)?.is_break() {
                return Ok(());
            }
        }
        if reaches_before {
            break;
        }
    }
    Ok(())
}

/// An entry could not be packed.
pub(super) fn unpackable(error: postcard::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// What says that an entry is not what was written.
pub(super) fn torn() -> rusqlite::Error {
    of_torn(Torn)
}

fn of_torn(torn: Torn) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(torn))
}

/// A value, read.
pub(super) fn value<T: serde::de::DeserializeOwned>(value: &[u8]) -> rusqlite::Result<T> {
    postcard::from_bytes(value)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    type Told = BTreeMap<Vec<u8>, Vec<u8>>;

    fn world() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection
    }

    fn write_all(connection: &mut Connection, told: &Told) -> (u64, Checksum) {
        let mut entries = Entries::default();
        told.iter().rev().for_each(|(key, value)| entries.add_octets(key, value));
        let transaction = connection.transaction().unwrap();
        let written = write(&transaction, entries).unwrap();
        transaction.commit().unwrap();
        written
    }

    fn range(from: &[u8], to: &[u8]) -> Range {
        Range::between(Words::default().kind(1).octets(from), Words::default().kind(1).octets(to))
    }

    fn found(connection: &Connection, range: &Range) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        each(connection, range, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
        found.sort();
        found
    }

    proptest! {
        #[test]
        fn whatever_is_written_in_whatever_turns_is_found(
            turns in vec(btree_map(vec(0_u8..4, 0..6), vec(any::<u8>(), 0..400), 0..60), 0..8),
            from in vec(0_u8..4, 0..6),
            to in vec(0_u8..4, 0..6),
        ) {
            let mut connection = world();
            let (mut all, mut rows, mut sum) = (Told::new(), 0, Checksum::default());
            for turn in turns {
                let key = |key: Vec<u8>| [&[1], key.as_slice()].concat();
                let mut new: Told = turn.into_iter().map(|(octets, value)| (key(octets), value)).collect();
                // What has a value is told once.
                new.retain(|key, _| !all.contains_key(key));
                let (written, its) = write_all(&mut connection, &new);
                (rows, sum) = (rows + written, sum.and(its));
                all.extend(new);
            }
            prop_assert_eq!(read_again(&connection).unwrap(), (rows, sum));
            let wanted: Vec<_> = all
                .iter()
                .filter(|(key, _)| (&from..&to).contains(&&key[1..].to_vec()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let asked = range(&from, &to);
            prop_assert_eq!(&found(&connection, &asked), &wanted);
            let greatest = wanted.last().map(|(key, _)| key.clone());
            prop_assert_eq!(last(&connection, &asked).unwrap(), greatest);
            prop_assert_eq!(super::any(&connection, &asked).unwrap(), !wanted.is_empty());
            let (mut forth, mut back) = (Vec::new(), Vec::new());
            for run in runs(&connection).unwrap() {
                let end = forth.len();
                ascend(&connection, run, &asked, &mut |key, value| {
                    forth.push((key.to_vec(), value.to_vec()));
                    Ok(ControlFlow::Continue(()))
                }).unwrap();
                let mut of_run = Vec::new();
                descend(&connection, run, &asked, &mut |key, value| {
                    of_run.push((key.to_vec(), value.to_vec()));
                    Ok(ControlFlow::Continue(()))
                }).unwrap();
                prop_assert!(forth[end..].is_sorted());
                of_run.reverse();
                back.extend(of_run);
            }
            prop_assert_eq!(forth, back);
        }
    }

    /// `count` rows that are nowhere else.
    fn rows(turn: u32, count: u32) -> Told {
        let key = |number: u32| [&[1], &number.to_be_bytes()[..], &turn.to_be_bytes()[..]].concat();
        (0..count).map(|number| (key(number), vec![7])).collect()
    }

    fn rows_of_runs(connection: &Connection) -> Vec<i64> {
        let mut statement = connection.prepare("SELECT rows FROM run ORDER BY run").unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn small_runs_become_one_with_the_next_so_that_there_are_few() {
        let mut connection = world();
        for turn in 0..200 {
            write_all(&mut connection, &rows(turn, 10));
            let runs = rows_of_runs(&connection);
            assert_eq!(runs.iter().sum::<i64>(), i64::from(turn + 1) * 10);
            assert!(runs.len() <= 8, "{runs:?}");
            assert!(runs.is_sorted_by(|a, b| a > b), "{runs:?}");
        }
        let all = found(&connection, &Range::beginning(Words::default().kind(1)));
        assert_eq!(all.len(), 2_000);
        // Of what became a part of another nothing is left.
        let blocks: i64 = connection
            .query_row("SELECT count(*) FROM block WHERE run NOT IN (SELECT run FROM run)", (), |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(blocks, 0);
    }

    #[test]
    fn what_would_become_too_large_stays_as_it_is() {
        let mut connection = world();
        write_all(&mut connection, &rows(0, 1));
        let most = RUN_MAX / 2;
        for (there, new, becomes_one) in
            [(most, most, true), (most, most + 1, false), (20, 10, true), (21, 10, false)]
        {
            connection.execute("UPDATE run SET rows = ?1", (i64::try_from(there).unwrap(),)).unwrap();
            let newest = Newest::of(&connection, new, RUN_MAX, |its, with_it| its <= 2 * with_it).unwrap();
            assert_eq!(newest.runs, if becomes_one { vec![1] } else { vec![] }, "{there} and {new}");
            assert_eq!((newest.next, newest.rows), (2, if becomes_one { there + new } else { new }));
        }
    }

    #[test]
    fn in_the_end_there_is_one_run_where_it_is_not_too_large_or_all_are_meant() {
        let mut connection = world();
        for (turn, count) in [(0, 700), (1, 300), (2, 100), (3, 40)] {
            write_all(&mut connection, &rows(turn, count));
        }
        let all = || Range::beginning(Words::default().kind(1));
        let before = (found(&connection, &all()), read_again(&connection).unwrap());
        assert!(rows_of_runs(&connection).len() > 1);
        for _ in 0..2 {
            let transaction = connection.transaction().unwrap();
            settle(&transaction).unwrap();
            transaction.commit().unwrap();
            assert_eq!(rows_of_runs(&connection), [1_140]);
            assert_eq!((found(&connection, &all()), read_again(&connection).unwrap()), before);
        }
        let rest = i64::try_from(RUN_MAX).unwrap() - 1_140;
        write_all(&mut connection, &rows(4, 10));
        for (larger, becomes_one) in [(rest + 1, false), (rest, true)] {
            let transaction = connection.transaction().unwrap();
            transaction.execute("UPDATE run SET rows = rows + ?1 WHERE rows > 1000", (larger - 10,)).unwrap();
            settle(&transaction).unwrap();
            assert_eq!(rows_of_runs(&transaction).len() == 1, becomes_one, "{larger}");
            settle_all(&transaction).unwrap();
            assert_eq!(rows_of_runs(&transaction), [larger + 1_140]);
        }
    }

    #[test]
    fn a_block_that_is_another_than_was_written_is_damage_and_no_answer() {
        let mut connection = world();
        write_all(&mut connection, &rows(0, 10));
        let all = Range::beginning(Words::default().kind(1));
        for change in ["packed = zeroblob(length(packed))", "packed = substr(packed, 1, length(packed) - 1)"]
        {
            let transaction = connection.transaction().unwrap();
            transaction.execute(&format!("UPDATE block SET {change}"), ()).unwrap();
            assert!(read_again(&transaction).is_err(), "{change}");
            let walk = each(&transaction, &all, &mut |_, _| Ok(()));
            assert!(change.contains("zero") || walk.is_err(), "{change}");
        }
        let transaction = connection.transaction().unwrap();
        transaction.execute("UPDATE block SET first = x'0100'", ()).unwrap();
        assert!(read_again(&transaction).is_err(), "it would not be found by its first key");
    }
}
