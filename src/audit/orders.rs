//! Orders about somebody's mail, and what was refused, as a day's report sums them up.
//!
//! Knows: where both are kept. Must not know: what a day is, or how a report looks.

use std::cell::RefCell;
use std::collections::HashMap;

use super::AuditError;
use super::by_term::{self, ANY, Asked, Items};
use super::past::Register;
use super::schema::{Moment, Octets};
use super::shelf::Published;
use crate::relay::attempts::{Attempt, MINUTE};
use crate::relay::verdict::Reason;
use crate::session::{Name, Timestamp};

/// An order that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Name,
    /// `subscriber`, `login` or `within`.
    pub kind: String,
    /// About whom.
    pub subject: Name,
    /// `suspend`, `limit` or `release`.
    pub order: String,
    /// Until when; `None`: until released.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Name,
}

/// Attempts that came to nothing for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// Of them those that were only observed.
    pub observed: u64,
}

/// What is ordered about mail. That somebody's past is preserved is an order about the same people, and for auditors alone.
pub(super) const GIVEN: &str = "SELECT at, by, kind, subject, verb, until, reason FROM command
    WHERE at >= ?1 AND at < ?2 AND verb IN ('suspend', 'limit', 'limit-until-delisted', 'release', 'delist')
    ORDER BY sequence DESC";

/// Another order of the same kind, or a release, comes before its end.
pub(super) const RAN_OUT: &str = "SELECT count(*) FROM command AS one
    WHERE one.until >= ?1 AND one.until < ?2 AND one.verb IN ('suspend', 'limit') AND NOT EXISTS (
        SELECT 1 FROM command AS other WHERE other.subject = one.subject AND other.kind = one.kind
            AND other.sequence > one.sequence AND other.at < one.until AND other.verb IN ('release', one.verb))";

/// Those given from `since` on and before `until`, the newest first.
pub(super) fn given(
    register: &Register<'_>,
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Ordered>, AuditError> {
    register.get(|connection| {
        let mut statement = connection.prepare_cached(GIVEN)?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Ordered {
                at: row.get::<_, Moment>(0)?.0,
                by: row.get::<_, Octets>(1)?.0,
                kind: row.get(2)?,
                subject: row.get::<_, Octets>(3)?.0,
                order: row.get(4)?,
                until: row.get::<_, Option<Moment>>(5)?.map(|until| until.0),
                reason: row.get::<_, Octets>(6)?.0,
            })
        };
        statement.query_map((Moment(since), Moment(until)), row)?.collect()
    })
}

/// How many ended by themselves from `since` on and before `until`.
pub(super) fn ran_out(
    register: &Register<'_>,
    (since, until): (Timestamp, Timestamp),
) -> Result<u64, AuditError> {
    let count: i64 = register.get(|connection| {
        connection.prepare_cached(RAN_OUT)?.query_row((Moment(since), Moment(until)), |row| row.get(0))
    })?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// How often each reason was given from `since` on and before `until`; `None`: of what was only counted.
pub(super) fn refused(
    published: &Published<Items<Attempt>>,
    (since, until): (Timestamp, Timestamp),
) -> Result<HashMap<Option<Reason>, Refused>, AuditError> {
    published.once(|view| {
        let sums = RefCell::new(HashMap::<Option<Reason>, Refused>::new());
        let asked = Asked { term: ANY, since: since.minus(MINUTE), until, limit: usize::MAX };
        // None of them is kept, however many they are.
        let counted = |attempt: &Attempt| {
            if attempt.first >= since && attempt.first < until {
                let mut sums = sums.borrow_mut();
                let sum = sums.entry(attempt.reason).or_default();
                sum.count = sum.count.saturating_add(attempt.count);
                sum.observed = sum.observed.saturating_add(if attempt.observed { attempt.count } else { 0 });
            }
            false
        };
        by_term::list(view, asked, &counted)?;
        Ok(sums.into_inner())
    })
}
