//! Who asked what: listing it, and looking whether the chain is whole.
//!
//! Knows: how questions are found in files and in runs. Must not know: who may read it, or how it is shown.

use ipnet::IpNet;

use super::AuditError;
use super::questions::{Questions, Row};
use super::schema::{Moment, column, unpacked_value};
use super::shelf::View;
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

pub(super) const FROM_SEQUENCE: &str =
    "SELECT sequence, packed, link FROM question WHERE sequence > ?1 ORDER BY sequence";

pub(super) fn questions(view: &View<Questions>, filter: &AskedFilter) -> Result<Vec<AskedRow>, AuditError> {
    let before = filter.before.unwrap_or(u64::MAX);
    let since = filter.since.unwrap_or(Timestamp::EARLIEST);
    let until = filter.until.unwrap_or(Timestamp::from_millis(i64::MAX));
    let mut found = Vec::new();
    for Row { sequence, asked, .. } in gathered(view, 0).into_iter().rev() {
        if sequence < before && (since..until).contains(&asked.at) && filter.admits(&asked) {
            found.push(AskedRow { sequence, asked });
        }
    }
    for partition in view.partitions.iter().rev() {
        if found.len() >= filter.limit {
            break;
        }
        // What is being written may be found in a file, too.
        let before = found.last().map_or(before, |last| last.sequence.min(before));
        partition.ask(|connection| {
            let mut statement = connection.prepare_cached(BY_SEQUENCE)?;
            let mut rows = statement.query((column(before), Moment(since), Moment(until)))?;
            while found.len() < filter.limit {
                let Some(row) = rows.next()? else { break };
                let asked: Asked = unpacked_value(row, 1)?;
                if filter.admits(&asked) {
                    found.push(AskedRow { sequence: row.get::<_, i64>(0)?.unsigned_abs(), asked });
                }
            }
            Ok(())
        })?;
    }
    found.truncate(filter.limit);
    Ok(found)
}

/// Those that are not written yet, after one, in order.
fn gathered(view: &View<Questions>, after: u64) -> Vec<Row> {
    let rows = view.runs.iter().flat_map(|run| run.rows()).filter(|row| row.sequence > after);
    let mut rows: Vec<Row> = rows.cloned().collect();
    rows.sort_by_key(|row| row.sequence);
    rows
}

/// Walks all that is kept, in order, with no more than one row of a file in memory. Beside it the link of the entry `at`.
pub(super) fn chain(view: &View<Questions>, at: u64) -> Result<(Chain, Option<Link>), AuditError> {
    let mut walk =
        Walk { chain: Chain { rows: 0, first: None, last: None, broken_at: None }, at, link: None };
    for partition in &view.partitions {
        partition.ask(|connection| {
            let mut statement = connection.prepare_cached(FROM_SEQUENCE)?;
            let mut rows = statement.query((0,))?;
            while let Some(row) = rows.next()? {
                let sequence = row.get::<_, i64>(0)?.unsigned_abs();
                walk.step(sequence, row.get_ref(1)?.as_blob()?, Link(row.get(2)?));
            }
            Ok(())
        })?;
    }
    let written = walk.chain.last.map_or(0, |(sequence, _)| sequence);
    for Row { sequence, asked, link } in gathered(view, written) {
        walk.step(sequence, &asked.packed(), link);
    }
    Ok((walk.chain, walk.link))
}

struct Walk {
    chain: Chain,
    at: u64,
    link: Option<Link>,
}

impl Walk {
    fn step(&mut self, sequence: u64, packed: &[u8], link: Link) {
        let chain = &mut self.chain;
        // What the oldest is tied to is not kept any more.
        let fits = chain.last.is_none_or(|(_, before)| before.then(packed) == link);
        if !fits && chain.broken_at.is_none() {
            chain.broken_at = Some(sequence);
        }
        chain.rows = chain.rows.saturating_add(1);
        chain.first = chain.first.or(Some(sequence));
        chain.last = Some((sequence, link));
        if sequence == self.at {
            self.link = Some(link);
        }
    }
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
    use rusqlite::Connection;

    use super::*;
    use crate::access::question::Reply;
    use crate::access::token::TokenId;
    use crate::access::{Role, Via};
    use crate::audit::index::Index;
    use crate::audit::past::Past;
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
    fn world(count: u64, gathering: usize) -> (tempfile::TempDir, Past, Link) {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        let (mut link, mut folded) = (Link::default(), Vec::new());
        for number in 1..=count {
            let about = if number % 2 == 0 { "198.51.100.0/24" } else { "alice" };
            let asked = asked(number, about);
            link = link.then(&asked.packed());
            folded.push(Folded { sequence: number * 10, outcome: Outcome::Asked(Box::new(asked), link) });
        }
        // Some are in a file, the rest is still gathering.
        let written = folded.len().saturating_sub(gathering);
        if let Some(last) = folded[..written].last() {
            index.apply(last.sequence, &folded[..written]).unwrap();
            index.sync(Timestamp::from_seconds(0)).unwrap();
        }
        index.apply(count * 10, &folded[written..]).unwrap();
        let past = index.past().unwrap();
        (data, past, link)
    }

    fn sequences(past: &Past, filter: AskedFilter) -> Vec<u64> {
        let rows = past.questions(&AskedFilter { limit: 100, ..filter }).unwrap();
        rows.into_iter().map(|row| row.sequence).collect()
    }

    #[test]
    fn they_are_found_by_whom_about_what_and_when_newest_first() {
        for gathering in [0, 3, 6] {
            let (_data, past, _) = world(6, gathering);
            let name = |text| Some(Name::from(text));
            assert_eq!(sequences(&past, AskedFilter::default()), [60, 50, 40, 30, 20, 10]);
            assert_eq!(
                sequences(&past, AskedFilter { by: name("root"), ..AskedFilter::default() }),
                [60, 30]
            );
            let by_token = AskedFilter { by: name("00000001"), ..AskedFilter::default() };
            assert_eq!(sequences(&past, by_token), [50, 30, 10]);
            let about = |text| AskedFilter { about: name(text), ..AskedFilter::default() };
            assert_eq!(sequences(&past, about("alice")), [50, 30, 10]);
            assert_eq!(sequences(&past, about("198.51.100.7")), [60, 40, 20], "within what was asked about");
            assert_eq!(sequences(&past, about("198.51.101.7")), [0; 0]);
            let (since, until) = (Some(Timestamp::from_seconds(2)), Some(Timestamp::from_seconds(4)));
            assert_eq!(sequences(&past, AskedFilter { since, until, ..AskedFilter::default() }), [30, 20]);
            assert_eq!(
                sequences(&past, AskedFilter { before: Some(30), ..AskedFilter::default() }),
                [20, 10]
            );
            let newest = past.questions(&AskedFilter { limit: 4, ..AskedFilter::default() }).unwrap();
            assert_eq!(newest.iter().map(|row| row.sequence).collect::<Vec<_>>(), [60, 50, 40, 30]);
        }
    }

    #[test]
    fn a_chain_is_whole_from_the_oldest_that_is_kept_on() {
        let (data, past, link) = world(6, 2);
        let (chain, last) = past.chain(60).unwrap();
        assert_eq!((chain.rows, chain.first, chain.broken_at), (6, Some(10), None));
        assert_eq!((chain.last, last), (Some((60, link)), Some(link)));
        edit(data.path(), "DELETE FROM question WHERE sequence <= 20");
        let (chain, last) = past.chain(60).unwrap();
        assert_eq!((chain.first, chain.broken_at, last), (Some(30), None, Some(link)));
    }

    fn edit(data: &std::path::Path, sql: &str) {
        Connection::open(data.join("audit/questions-000001.sqlite3")).unwrap().execute_batch(sql).unwrap();
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
            let (data, past, _) = world(6, 0);
            edit(data.path(), sql);
            let found = past.chain(60).unwrap().0.broken_at;
            // Taken from the front, the oldest kept one is another; what follows it does not fit.
            assert!(
                found.is_some_and(|at| at == broken_at || sql.contains("= 10") && at > 20),
                "{sql}: {found:?}"
            );
        }
        let (data, past, _) = world(6, 0);
        edit(data.path(), "DELETE FROM question WHERE sequence = 60");
        let (chain, last) = past.chain(60).unwrap();
        assert_eq!((chain.broken_at, last), (None, None), "the newest is not there any more");
    }
}
