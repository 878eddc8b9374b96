//! How much somebody sent, by the minute: counted as messages are written, so that nobody walks them for it.
//!
//! A message counts for its subscriber when it is surely one's, else for its login; what may be several people's counts for
//! nobody.
//!
//! Knows: the form of counts. Must not know: messages one by one.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::blocks::{self, Range};
use super::entries::{Entries, Spelled, Words};
use super::rows::{Count, Sum};
use crate::relay::message::Message;
use crate::relay::standing::Subject;
use crate::session::Timestamp;

/// What one sent in a minute: kind of subject, name, minute, and the number of the first message that was counted with it. What was
/// counted another time is another entry, so whoever asks adds them up. The counts stand at the end of the key.
const COUNT: u8 = 3;

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

fn of_subject(words: Words, subject: &Subject) -> Words {
    let (kind, name) = match subject {
        Subject::Subscriber(name) => (0, name),
        Subject::Login(name) => (1, name),
        Subject::Within(name) => (2, name),
    };
    words.kind(COUNT).octets(&[kind]).name(name)
}

/// Subject, minute and counts of a key.
fn read(key: &[u8]) -> Option<(Subject, Timestamp, Sum)> {
    let mut spelled = Spelled::behind(key, 1);
    let [kind] = spelled.array()?;
    let name = spelled.name()?;
    let subject = match kind {
        0 => Subject::Subscriber(name),
        1 => Subject::Login(name),
        _ => Subject::Within(name),
    };
    let minute = spelled.moment()?;
    let _first: [u8; 8] = spelled.array()?;
    let (messages, recipients, octets) = postcard::from_bytes(spelled.rest()).ok()?;
    Some((subject, minute, Sum { messages, recipients, octets }))
}

fn one(message: &Message) -> Sum {
    Sum { messages: 1, recipients: message.recipient_count.into(), octets: message.size }
}

/// Counts messages, the first of which has this number.
pub(super) fn enter<'a>(
    entries: &mut Entries,
    number: u64,
    messages: impl Iterator<Item = &'a Message>,
) -> Result<(), postcard::Error> {
    let mut counts: BTreeMap<(Subject, Timestamp), Sum> = BTreeMap::new();
    for message in messages {
        if let Some(subject) = subject(message) {
            *counts.entry((subject, minute(message.at))).or_default() += one(message);
        }
    }
    for ((subject, minute), Sum { messages, recipients, octets }) in counts {
        let packed = postcard::to_stdvec(&(messages, recipients, octets))?;
        entries.add_key(|words| {
            of_subject(words, &subject).moment(minute).octets(&number.to_be_bytes()).octets(&packed)
        });
    }
    Ok(())
}

/// Adds what each sent from `since` on and before `until`, out of a partition. It goes through all: a partition has fewer counts
/// than messages.
pub(super) fn add_all(
    connection: &Connection,
    (since, until): (Timestamp, Timestamp),
    sums: &mut HashMap<Subject, Sum>,
) -> rusqlite::Result<()> {
    let since = minute(since);
    // Those of one subject stand side by side.
    let mut last: Option<(Subject, Sum)> = None;
    blocks::each(connection, &Range::beginning(Words::default().kind(COUNT)), &mut |key, _| {
        let (subject, minute, sum) = read(key).ok_or_else(blocks::torn)?;
        if minute < since || minute >= until {
            return Ok(());
        }
        match &mut last {
            Some((same, sums)) if *same == subject => *sums += sum,
            _ => {
                if let Some((subject, sum)) = last.replace((subject, sum)) {
                    *sums.entry(subject).or_default() += sum;
                }
            }
        }
        Ok(())
    })?;
    if let Some((subject, sum)) = last {
        *sums.entry(subject).or_default() += sum;
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
    let from = |moment| of_subject(Words::default(), wanted).moment(moment);
    blocks::each(connection, &Range::between(from(minute(since)), from(until)), &mut |key, _| {
        let (_, minute, sum) = read(key).ok_or_else(blocks::torn)?;
        *minutes.entry(minute).or_default() += sum;
        Ok(())
    })
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
