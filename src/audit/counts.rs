//! How much somebody sent, by the minute: counted as messages are written, so that nobody walks them for it.
//!
//! A message counts for its subscriber when it is surely one's, else for its login; what may be several people's counts for
//! nobody.
//!
//! Knows: the table of counts. Must not know: messages one by one.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Transaction};

use super::rows::{Count, Sum};
use super::schema::{Moment, Octets};
use crate::relay::message::Message;
use crate::relay::standing::Subject;
use crate::session::Timestamp;

/// In the order in which one subject's are asked for; who sent most is found by going through a partition's.
pub(super) const TABLE: &str = "
CREATE TABLE count (
    kind INTEGER NOT NULL,
    name BLOB NOT NULL,
    minute INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    PRIMARY KEY (kind, name, minute)
) STRICT, WITHOUT ROWID;
";

pub(super) const OF_SUBJECT: &str = "SELECT minute, messages, recipients, octets FROM count
    WHERE kind = ?1 AND name = ?2 AND minute >= ?3 AND minute < ?4 ORDER BY minute";

/// Goes through all: a partition has fewer counts than messages.
pub(super) const OF_ALL: &str = "SELECT kind, name, sum(messages), sum(recipients), sum(octets) FROM count
    WHERE minute >= ?1 AND minute < ?2 GROUP BY kind, name";

const MINUTE_MILLIS: i64 = 60_000;

/// The minute in which a moment lies.
fn minute(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(MINUTE_MILLIS).saturating_mul(MINUTE_MILLIS))
}

/// For whom a message counts.
fn subject(message: &Message) -> Option<Subject> {
    match message.owners.as_slice() {
        [owner] => owner.subscriber.clone().map(Subject::Subscriber),
        [] => message.login.clone().map(Subject::Login),
        _ => None,
    }
}

/// Kind and name, as they stand in columns.
fn columns(subject: &Subject) -> (u8, &[u8]) {
    match subject {
        Subject::Subscriber(name) => (0, name.octets()),
        Subject::Login(name) => (1, name.octets()),
        Subject::Within(name) => (2, name.octets()),
    }
}

fn of_columns(kind: u8, name: Octets) -> Subject {
    match kind {
        0 => Subject::Subscriber(name.0),
        1 => Subject::Login(name.0),
        _ => Subject::Within(name.0),
    }
}

fn one(message: &Message) -> Sum {
    Sum { messages: 1, recipients: message.recipient_count.into(), octets: message.size }
}

/// Counts messages.
pub(super) fn write<'a>(
    transaction: &Transaction<'_>,
    messages: impl Iterator<Item = &'a Message>,
) -> rusqlite::Result<()> {
    let mut counts: BTreeMap<(Subject, Timestamp), Sum> = BTreeMap::new();
    for message in messages {
        if let Some(subject) = subject(message) {
            *counts.entry((subject, minute(message.at))).or_default() += one(message);
        }
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO count VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
            messages = messages + excluded.messages, recipients = recipients + excluded.recipients,
            octets = octets + excluded.octets",
    )?;
    for ((subject, minute), Sum { messages, recipients, octets }) in counts {
        let (kind, name) = columns(&subject);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        insert.execute((kind, name, Moment(minute), number(messages), number(recipients), number(octets)))?;
    }
    Ok(())
}

/// Adds what each sent from `since` on and before `until`, out of a partition.
pub(super) fn add_all(
    connection: &Connection,
    (since, until): (Timestamp, Timestamp),
    sums: &mut HashMap<Subject, Sum>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(OF_ALL)?;
    let mut rows = statement.query((Moment(minute(since)), Moment(until)))?;
    while let Some(row) = rows.next()? {
        let number = |index| row.get::<_, i64>(index).map(|number| u64::try_from(number).unwrap_or_default());
        let sum = Sum { messages: number(2)?, recipients: number(3)?, octets: number(4)? };
        *sums.entry(of_columns(row.get(0)?, row.get(1)?)).or_default() += sum;
    }
    Ok(())
}

/// The same of messages that are not written yet.
pub(super) fn add_gathered<'a>(
    messages: impl Iterator<Item = &'a Message>,
    (since, until): (Timestamp, Timestamp),
    sums: &mut HashMap<Subject, Sum>,
) {
    for message in messages {
        if let Some(subject) = subject(message).filter(|_| is_within(message, since, until)) {
            *sums.entry(subject).or_default() += one(message);
        }
    }
}

/// Adds what one sent by the minute, out of a partition.
pub(super) fn add_minutes(
    connection: &Connection,
    wanted: &Subject,
    (since, until): (Timestamp, Timestamp),
    minutes: &mut BTreeMap<Timestamp, Sum>,
) -> rusqlite::Result<()> {
    let (kind, name) = columns(wanted);
    let mut statement = connection.prepare_cached(OF_SUBJECT)?;
    let mut rows = statement.query((kind, name, Moment(minute(since)), Moment(until)))?;
    while let Some(row) = rows.next()? {
        let number = |index| row.get::<_, i64>(index).map(|number| u64::try_from(number).unwrap_or_default());
        let sum = Sum { messages: number(1)?, recipients: number(2)?, octets: number(3)? };
        *minutes.entry(row.get::<_, Moment>(0)?.0).or_default() += sum;
    }
    Ok(())
}

/// The same of messages that are not written yet.
pub(super) fn add_gathered_minutes<'a>(
    messages: impl Iterator<Item = &'a Message>,
    wanted: &Subject,
    (since, until): (Timestamp, Timestamp),
    minutes: &mut BTreeMap<Timestamp, Sum>,
) {
    for message in messages {
        if is_within(message, since, until) && subject(message).as_ref() == Some(wanted) {
            *minutes.entry(minute(message.at)).or_default() += one(message);
        }
    }
}

/// Counts are of whole minutes, so a span that begins in one has all of it.
fn is_within(message: &Message, since: Timestamp, until: Timestamp) -> bool {
    let at = minute(message.at);
    at >= minute(since) && at < until
}

/// The largest, by what is counted; of equals the one whose name comes first.
pub(super) fn top(sums: HashMap<Subject, Sum>, by: Count, limit: usize) -> Vec<(Subject, Sum)> {
    let mut all: Vec<(Subject, Sum)> = sums.into_iter().collect();
    all.sort_by(|a, b| b.1.of(by).cmp(&a.1.of(by)).then_with(|| a.0.cmp(&b.0)));
    all.truncate(limit);
    all
}
