//! Who asked what: writing it down, listing it, and looking whether the chain is whole.
//!
//! Knows: the table of questions. Must not know: who may read it, or how it is shown.

use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::schema::{Moment, column, unpacked_value};
use crate::access::question::{Asked, Link};
use crate::session::{Name, Timestamp};

/// Which questions are wanted. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AskedFilter {
    /// Who asked: a name, or the number of a token.
    pub by: Option<Name>,
    /// About whom or what; an address is also found in a prefix that was asked about.
    pub about: Option<Name>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Of entries before this one.
    pub before: Option<u64>,
    /// At most so many, newest first.
    pub limit: usize,
}

/// A question, and the sequence of its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedRow {
    /// Sequence of the entry.
    pub sequence: u64,
    /// The question.
    pub asked: Asked,
}

/// What looking at the whole chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Questions that were looked at.
    pub rows: u64,
    /// The oldest: what came before it is not kept, so that nothing can be said about it.
    pub first: Option<u64>,
    /// The newest, and its link.
    pub last: Option<(u64, Link)>,
    /// The first question that does not fit to the one before it, or is not what was written.
    pub broken_at: Option<u64>,
}

pub(super) const BY_SEQUENCE: &str = "SELECT sequence, packed FROM question
    WHERE sequence < ?1 AND at >= ?2 AND at < ?3 ORDER BY sequence DESC";

pub(super) const ALL: &str = "SELECT sequence, packed, link FROM question ORDER BY sequence";

pub(super) fn write(
    transaction: &Transaction<'_>,
    sequence: u64,
    asked: &Asked,
    link: &Link,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO question VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
        .execute((column(sequence), Moment(asked.at), asked.packed(), link.0))?;
    Ok(())
}

pub(super) fn questions(connection: &Connection, filter: &AskedFilter) -> rusqlite::Result<Vec<AskedRow>> {
    let mut statement = connection.prepare_cached(BY_SEQUENCE)?;
    let mut rows = statement.query((
        filter.before.map_or(i64::MAX, column),
        Moment(filter.since.unwrap_or(Timestamp::EARLIEST)),
        Moment(filter.until.unwrap_or(Timestamp::from_millis(i64::MAX))),
    ))?;
    let mut found = Vec::new();
    while found.len() < filter.limit {
        let Some(row) = rows.next()? else { break };
        let asked: Asked = unpacked_value(row, 1)?;
        if filter.admits(&asked) {
            found.push(AskedRow { sequence: row.get::<_, i64>(0)?.unsigned_abs(), asked });
        }
    }
    Ok(found)
}

/// Walks all that is kept, in order, with no more than one row in memory.
pub(super) fn chain(connection: &Connection) -> rusqlite::Result<Chain> {
    let mut statement = connection.prepare_cached(ALL)?;
    let mut rows = statement.query(())?;
    let mut chain = Chain { rows: 0, first: None, last: None, broken_at: None };
    while let Some(row) = rows.next()? {
        let sequence = row.get::<_, i64>(0)?.unsigned_abs();
        let (packed, link): (Vec<u8>, [u8; 32]) = (row.get(1)?, row.get(2)?);
        // What the oldest is tied to is not kept any more.
        let fits = chain.last.is_none_or(|(_, before)| before.then(&packed) == Link(link));
        if !fits && chain.broken_at.is_none() {
            chain.broken_at = Some(sequence);
        }
        chain.rows = chain.rows.saturating_add(1);
        chain.first = chain.first.or(Some(sequence));
        chain.last = Some((sequence, Link(link)));
    }
    Ok(chain)
}

/// The link of one question.
pub(super) fn link_of(connection: &Connection, sequence: u64) -> rusqlite::Result<Option<Link>> {
    let mut statement = connection.prepare_cached("SELECT link FROM question WHERE sequence = ?1")?;
    Ok(statement.query_row((column(sequence),), |row| row.get(0)).optional()?.map(Link))
}

impl AskedFilter {
    fn admits(&self, asked: &Asked) -> bool {
        let by = |wanted: &Name| {
            let number = asked.via.token().map(|token| Name::from(token.to_string().as_str()));
            asked.by == *wanted || number.as_ref() == Some(wanted)
        };
        let about = |wanted: &Name| asked.about.iter().any(|about| about == wanted || lies_in(wanted, about));
        self.by.as_ref().is_none_or(by) && self.about.as_ref().is_none_or(about)
    }
}

/// Whether an address that is wanted lies in a prefix that was asked about.
fn lies_in(wanted: &Name, about: &Name) -> bool {
    let address = wanted.text().and_then(|text| text.parse::<std::net::IpAddr>().ok());
    let prefix = about.text().and_then(|text| text.parse::<IpNet>().ok());
    address.zip(prefix).is_some_and(|(address, prefix)| prefix.contains(&address))
}
