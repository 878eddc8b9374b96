//! Messages in partitions, and by what they are found.
//!
//! A message stands by its sequence. By what else it is asked for, whose it is, its queue id, its sender, stands as a term: a
//! short digest of what it is and how it is spelled. Two that have one digest cost a look at a row that does not fit.
//!
//! Knows: the tables, the terms of a message, and how messages are found in files and in runs. Must not know: how a list
//! is shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction};
use sha2::{Digest as _, Sha256};

use super::checksum::Checksum;
use super::facts::Position;
use super::partition::{Partition, Span};
use super::rows::{Count, MessageFilter, Sum};
use super::schema::{Moment, column, packed_value, unpacked_value};
use super::shelf::{Published, Rows, View};
use super::{AuditError, counts};
use crate::access::preservation::Preservations;
use crate::relay::message::Message;
use crate::relay::standing::Subject;
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// `term` holds for each message all that it is found by; 0 is any message.
const TABLES: &[&str] = &[
    "
CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    packed BLOB NOT NULL
) STRICT;
CREATE TABLE term (
    term INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (term, at, sequence)
) STRICT, WITHOUT ROWID;
",
    counts::TABLE,
];

pub(super) const BY_TERM: &str = "SELECT t.at, t.sequence, m.packed
    FROM term t CROSS JOIN message m ON m.sequence = t.sequence
    WHERE t.term = ?1 AND t.at >= ?2 AND (t.at, t.sequence) < (?3, ?4)
    ORDER BY t.at DESC, t.sequence DESC";

pub(super) const IS_KNOWN: &str = "SELECT 1 FROM term WHERE term = ?1 LIMIT 1";

/// By what a message is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// Any.
    Time,
    Subscriber(&'a Name),
    Address(std::net::IpAddr),
    QueueId(&'a Name),
    Token(&'a Name),
    Login(&'a Name),
    Sender(&'a Name),
    Recipient(u64),
    RecipientDomain(&'a Name),
    Helo(&'a Name),
}

impl By<'_> {
    fn term(self) -> i64 {
        match self {
            By::Time => 0,
            By::Subscriber(name) => digest(1, name.octets()),
            By::Address(address) => digest(2, &super::schema::wide(address).octets()),
            By::QueueId(name) => digest(3, name.octets()),
            By::Token(name) => digest(4, name.octets()),
            By::Login(name) => digest(5, name.octets()),
            By::Sender(name) => digest(6, &name.octets().to_ascii_lowercase()),
            By::Recipient(hash) => digest(7, &hash.to_be_bytes()),
            By::RecipientDomain(name) => digest(8, &name.octets().to_ascii_lowercase()),
            By::Helo(name) => digest(9, &name.octets().to_ascii_lowercase()),
        }
    }

    /// The narrowest of what is asked for.
    fn narrowest(filter: &MessageFilter) -> By<'_> {
        let token = filter.token.as_ref().map(By::Token);
        token
            .or(filter.queue_id.as_ref().map(By::QueueId))
            .or(filter.recipient.map(By::Recipient))
            .or(filter.subscriber.as_ref().map(By::Subscriber))
            .or(filter.login.as_ref().map(By::Login))
            .or(filter.address.map(By::Address))
            .or(filter.sender.as_ref().map(By::Sender))
            .or(filter.helo.as_ref().map(By::Helo))
            .or(filter.recipient_domain.as_ref().map(By::RecipientDomain))
            .unwrap_or(By::Time)
    }
}

/// A short digest of what it is and how it is spelled.
pub(super) fn digest(kind: u8, octets: &[u8]) -> i64 {
    let digest = Sha256::new().chain_update([kind]).chain_update(octets).finalize();
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest);
    // Never 0, which is any.
    i64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1
}

/// All terms of a message, each once.
fn terms(message: &Message) -> Vec<i64> {
    let mut terms = vec![By::Time.term(), By::Helo(&message.helo).term(), By::Sender(&message.sender).term()];
    let owners = message.owners.iter().filter_map(|owner| owner.subscriber.as_ref());
    terms.extend(owners.map(|name| By::Subscriber(name).term()));
    terms.extend(message.address.map(|address| By::Address(address).term()));
    // Many have none: it would be found with all of these.
    terms.extend((!message.queue_id.octets().is_empty()).then(|| By::QueueId(&message.queue_id).term()));
    terms.extend(message.token.as_ref().map(|token| By::Token(token).term()));
    terms.extend(message.login.as_ref().map(|login| By::Login(login).term()));
    terms.extend(message.recipient_hashes.iter().map(|hash| By::Recipient(*hash).term()));
    terms.extend(message.recipient_domains.iter().map(|domain| By::RecipientDomain(domain).term()));
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// Messages that are not written yet, in order of time.
#[derive(Debug, Default)]
pub(super) struct Gathered(Vec<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    sequence: u64,
    message: Message,
    terms: Vec<i64>,
}

impl Rows for Gathered {
    const KIND: &'static str = "messages";
    const TABLES: &'static [&'static str] = TABLES;

    fn are_in(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Message(_))
    }

    fn gather(&mut self, position: Position, outcome: &Outcome) {
        let Outcome::Message(message) = outcome else { return };
        let kept = Kept { sequence: position.sequence, message: (**message).clone(), terms: terms(message) };
        self.0.push(Arc::new(kept));
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|kept| (kept.message.at, kept.sequence));
    }

    fn add(&mut self, others: &Gathered) {
        self.0.extend_from_slice(&others.0);
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn span(&self) -> Option<Span> {
        self.0.iter().map(|kept| Span::of(kept.message.at)).reduce(Span::and)
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<(u64, Checksum)> {
        let mut sum = Checksum::default();
        let mut by_sequence: Vec<&Kept> = self.0.iter().map(AsRef::as_ref).collect();
        by_sequence.sort_by_key(|kept| kept.sequence);
        let mut insert = transaction.prepare_cached("INSERT INTO message VALUES (?1, ?2)")?;
        let mut terms = Vec::new();
        for Kept { sequence, message, terms: of_message } in by_sequence {
            let packed = packed_value(message)?;
            sum.add(&[&sequence.to_be_bytes(), &packed]);
            insert.execute((column(*sequence), packed))?;
            terms.extend(of_message.iter().map(|term| (*term, message.at, *sequence)));
        }
        counts::write(transaction, self.0.iter().map(|kept| &kept.message))?;
        terms.sort_unstable();
        let mut insert = transaction.prepare_cached("INSERT INTO term VALUES (?1, ?2, ?3)")?;
        for (term, at, sequence) in terms {
            insert.execute((term, Moment(at), column(sequence)))?;
        }
        Ok((self.0.len() as u64, sum))
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut statement = connection.prepare("SELECT sequence, packed FROM message")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            sum.add(&[&row.get::<_, i64>(0)?.to_be_bytes(), row.get_ref(1)?.as_blob()?]);
            count = count.saturating_add(1);
        }
        Ok((count, sum))
    }
}

/// The messages of a partition that must be kept although it goes. With none to be kept, nothing is read.
pub(super) fn preserved(
    partition: &Partition,
    preserved: &Preservations,
    now: Timestamp,
) -> Result<Gathered, AuditError> {
    let mut moved = Gathered::default();
    if preserved.in_force(now).next().is_none() {
        return Ok(moved);
    }
    partition.ask(|connection| {
        let mut statement = connection.prepare_cached("SELECT sequence, packed FROM message")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let message: Message = unpacked_value(row, 1)?;
            let mut owners = message.owners.iter().filter_map(|owner| owner.subscriber.as_ref());
            let is_owners = owners.any(|name| preserved.keep_subscriber(name, now));
            if is_owners || message.address.is_some_and(|address| preserved.keep_address(address, now)) {
                let sequence = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
                let terms = terms(&message);
                moved.0.push(Arc::new(Kept { sequence, message, terms }));
            }
        }
        Ok(())
    })?;
    Ok(moved)
}

/// What readers ask of messages.
pub(super) struct Messages(Arc<View<Gathered>>);

impl Messages {
    pub(super) fn now(published: &Published<Gathered>) -> Messages {
        Messages(published.now())
    }

    /// Since when something that should be known is lost; `None`: nothing is.
    pub(super) fn lost_since(&self) -> Option<Timestamp> {
        self.0.lost.iter().map(|lost| lost.since).min()
    }

    /// Those that fit, newest first.
    pub(super) fn list(&self, filter: &MessageFilter) -> Result<Vec<Message>, AuditError> {
        let term = By::narrowest(filter).term();
        let since = filter.since.unwrap_or(Timestamp::EARLIEST);
        let until = filter.until.unwrap_or(Timestamp::from_millis(i64::MAX));
        let mut found: Vec<(Timestamp, u64, Message)> = Vec::new();
        for run in &self.0.runs {
            let fits =
                run.0.iter().rev().filter(|kept| kept.terms.contains(&term) && filter.admits(&kept.message));
            found.extend(
                fits.take(filter.limit).map(|kept| (kept.message.at, kept.sequence, kept.message.clone())),
            );
        }
        newest(&mut found, filter.limit);
        let mut partitions: Vec<&Partition> = self.0.partitions.iter().map(AsRef::as_ref).collect();
        partitions.sort_by_key(|partition| partition.about.span.map(|span| span.last));
        for partition in partitions.into_iter().rev() {
            let Some(span) = partition.about.span else { continue };
            let oldest = found.last().filter(|_| found.len() >= filter.limit).map(|(at, ..)| *at);
            // This one, and those after it, have nothing newer than what is found.
            if oldest.is_some_and(|oldest| oldest > span.last) {
                break;
            }
            if span.first < until && span.last >= since {
                let least = since.max(oldest.unwrap_or(since));
                partition.ask(|connection| walk(connection, term, (least, until), filter, &mut found))?;
                newest(&mut found, filter.limit);
            }
        }
        Ok(found.into_iter().map(|(.., message)| message).collect())
    }

    /// Whether any message was found by this.
    pub(super) fn is_known(&self, by: By<'_>) -> Result<bool, AuditError> {
        let term = by.term();
        if self.0.runs.iter().any(|run| run.0.iter().any(|kept| kept.terms.contains(&term))) {
            return Ok(true);
        }
        for partition in &self.0.partitions {
            if partition.ask(|connection| connection.prepare_cached(IS_KNOWN)?.exists((term,)))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Messages {
    /// Who sent most, from `since` on and before `until`, in whole minutes.
    pub(super) fn top(
        published: &Published<Gathered>,
        by: Count,
        span: (Timestamp, Timestamp),
        limit: usize,
    ) -> Result<Vec<(Subject, Sum)>, AuditError> {
        published.once(|view| {
            let mut sums = HashMap::new();
            view.runs.iter().for_each(|run| counts::add_gathered(run.messages(), span, &mut sums));
            for partition in view.partitions.iter().filter(|partition| touches(partition, span)) {
                partition.ask(|connection| counts::add_all(connection, span, &mut sums))?;
            }
            Ok(counts::top(sums, by, limit))
        })
    }

    /// What somebody sent, by the minute; minutes without messages are not there.
    pub(super) fn minutes(
        published: &Published<Gathered>,
        subject: &Subject,
        span: (Timestamp, Timestamp),
    ) -> Result<Vec<(Timestamp, Sum)>, AuditError> {
        published.once(|view| {
            let mut minutes = BTreeMap::new();
            for run in &view.runs {
                counts::add_gathered_minutes(run.messages(), subject, span, &mut minutes);
            }
            for partition in view.partitions.iter().filter(|partition| touches(partition, span)) {
                partition.ask(|connection| counts::add_minutes(connection, subject, span, &mut minutes))?;
            }
            Ok(minutes.into_iter().collect())
        })
    }
}

/// Whether a partition may tell of a time; its first minute may have begun before its first message.
fn touches(partition: &Partition, (since, until): (Timestamp, Timestamp)) -> bool {
    partition
        .about
        .span
        .is_some_and(|span| span.first < until && span.last >= since.minus(Duration::from_secs(60)))
}

impl Gathered {
    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.0.iter().map(|kept| &kept.message)
    }
}

/// The newest of a partition, until there are enough.
fn walk(
    connection: &Connection,
    term: i64,
    (since, until): (Timestamp, Timestamp),
    filter: &MessageFilter,
    found: &mut Vec<(Timestamp, u64, Message)>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(BY_TERM)?;
    let mut rows = statement.query((term, Moment(since), Moment(until), 0))?;
    let mut taken: usize = 0;
    while taken < filter.limit {
        let Some(row) = rows.next()? else { break };
        let message: Message = unpacked_value(row, 2)?;
        if filter.admits(&message) {
            let sequence = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            found.push((message.at, sequence, message));
            taken = taken.saturating_add(1);
        }
    }
    Ok(())
}

/// The newest of these, each once: what is being written may be found in a file and in a run.
fn newest(found: &mut Vec<(Timestamp, u64, Message)>, limit: usize) {
    found.sort_by_key(|found| std::cmp::Reverse((found.0, found.1)));
    found.dedup_by_key(|(at, sequence, _)| (*at, *sequence));
    found.truncate(limit);
}
