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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::question::Reply;
    use crate::access::token::TokenId;
    use crate::access::{Role, Via};
    use crate::audit::index::Index;
    use crate::audit::past::Past;
    use crate::audit::schema::file_in;
    use crate::views::{Folded, Outcome};

    fn asked(number: u64, about: &str) -> Asked {
        let token = Via::Token(TokenId(u32::try_from(number % 2).unwrap()));
        Asked {
            at: Timestamp::from_seconds(i64::try_from(number).unwrap()),
            by: Name::from(if number.is_multiple_of(3) { "root" } else { "noc" }),
            role: Some(Role::Viewer),
            via: token,
            what: Name::from("/v1/sessions"),
            about: vec![Name::from(about)],
            purpose: None,
            reply: Reply::Rows(number),
        }
    }

    /// Questions of the entries 10, 20, 30 and so on.
    fn world(count: u64) -> (tempfile::TempDir, Past, Link) {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        let (mut link, mut folded) = (Link::default(), Vec::new());
        for number in 1..=count {
            let about = if number % 2 == 0 { "198.51.100.0/24" } else { "alice" };
            let asked = asked(number, about);
            link = link.then(&asked.packed());
            folded.push(Folded { sequence: number * 10, outcome: Outcome::Asked(Box::new(asked), link) });
        }
        index.apply(count * 10, &folded).unwrap();
        let past = Past::open(data.path()).unwrap();
        (data, past, link)
    }

    fn sequences(past: &Past, filter: AskedFilter) -> Vec<u64> {
        let rows = past.questions(&AskedFilter { limit: 100, ..filter }).unwrap();
        rows.into_iter().map(|row| row.sequence).collect()
    }

    #[test]
    fn they_are_found_by_whom_about_what_and_when_newest_first() {
        let (_data, past, _) = world(6);
        let name = |text| Some(Name::from(text));
        assert_eq!(sequences(&past, AskedFilter::default()), [60, 50, 40, 30, 20, 10]);
        assert_eq!(sequences(&past, AskedFilter { by: name("root"), ..AskedFilter::default() }), [60, 30]);
        let by_token = AskedFilter { by: name("00000001"), ..AskedFilter::default() };
        assert_eq!(sequences(&past, by_token), [50, 30, 10]);
        let about = |text| AskedFilter { about: name(text), ..AskedFilter::default() };
        assert_eq!(sequences(&past, about("alice")), [50, 30, 10]);
        assert_eq!(sequences(&past, about("198.51.100.7")), [60, 40, 20], "within what was asked about");
        assert_eq!(sequences(&past, about("198.51.101.7")), [0; 0]);
        let (since, until) = (Some(Timestamp::from_seconds(2)), Some(Timestamp::from_seconds(4)));
        assert_eq!(sequences(&past, AskedFilter { since, until, ..AskedFilter::default() }), [30, 20]);
        assert_eq!(sequences(&past, AskedFilter { before: Some(30), ..AskedFilter::default() }), [20, 10]);
    }

    #[test]
    fn a_chain_is_whole_from_the_oldest_that_is_kept_on() {
        let (data, past, link) = world(6);
        let (chain, last) = past.chain(60).unwrap();
        assert_eq!((chain.rows, chain.first, chain.broken_at), (6, Some(10), None));
        assert_eq!((chain.last, last), (Some((60, link)), Some(link)));
        edit(data.path(), "DELETE FROM question WHERE sequence <= 20");
        let (chain, last) = past.chain(60).unwrap();
        assert_eq!((chain.first, chain.broken_at, last), (Some(30), None, Some(link)));
    }

    fn edit(data: &std::path::Path, sql: &str) {
        Connection::open(file_in(data)).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn whoever_changes_removes_or_inserts_a_question_breaks_the_chain_behind_it() {
        for (sql, broken_at) in [
            (
                "UPDATE question SET packed = (SELECT packed FROM question WHERE sequence = 40) WHERE sequence = 30",
                30,
            ),
            ("UPDATE question SET link = zeroblob(32) WHERE sequence = 30", 30),
            ("DELETE FROM question WHERE sequence = 30", 40),
            ("INSERT INTO question SELECT 35, at, packed, link FROM question WHERE sequence = 30", 35),
            ("UPDATE question SET sequence = 25 WHERE sequence = 10", 20),
        ] {
            let (data, past, _) = world(6);
            edit(data.path(), sql);
            let found = past.chain(60).unwrap().0.broken_at;
            // Taken from the front, the oldest kept one is another; what follows it does not fit.
            assert!(
                found.is_some_and(|at| at == broken_at || sql.contains("= 10") && at > 20),
                "{sql}: {found:?}"
            );
        }
        let (data, past, _) = world(6);
        edit(data.path(), "DELETE FROM question WHERE sequence = 60");
        let (chain, last) = past.chain(60).unwrap();
        assert_eq!((chain.broken_at, last), (None, None), "the newest is not there any more");
    }
}
