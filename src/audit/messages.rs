//! What a message is found by, and how much each sent.
//!
//! Knows: the terms of a message. Must not know: how items are kept and found (`by_term.rs`), or how a list is shown.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::by_term::{self, ANY, Asked, Item, Items, term};
use super::entries::Entries;
use super::partition::Partition;
use super::rows::{Count, MessageFilter, Sum};
use super::schema::wide;
use super::shelf::{Published, View};
use super::{AuditError, counts, message_ids};
use crate::relay::message::Message;
use crate::relay::message_id::MessageId;
use crate::relay::standing::Subject;
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// By what a message is found.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    Subscriber(&'a Name),
    Address(IpAddr),
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
            By::Subscriber(name) => term(1, name.octets()),
            By::Address(address) => term(2, &wide(address).octets()),
            By::QueueId(name) => term(3, name.octets()),
            By::Token(name) => term(4, name.octets()),
            By::Login(name) => term(5, name.octets()),
            By::Sender(name) => term(6, &name.octets().to_ascii_lowercase()),
            By::Recipient(hash) => term(7, &hash.to_be_bytes()),
            By::RecipientDomain(name) => term(8, &name.octets().to_ascii_lowercase()),
            By::Helo(name) => term(9, &name.octets().to_ascii_lowercase()),
        }
    }

    /// The narrowest of what is asked for; `None`: any message.
    fn narrowest(filter: &MessageFilter) -> Option<By<'_>> {
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
    }
}

impl Item for Message {
    const KIND: &'static str = "messages";

    fn of(outcome: &Outcome) -> Option<&[Message]> {
        match outcome {
            Outcome::Message(message, _) => Some(std::slice::from_ref(message)),
            _ => None,
        }
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn terms(&self) -> Vec<i64> {
        let mut by = vec![By::Helo(&self.helo), By::Sender(&self.sender)];
        by.extend(self.subscribers().map(By::Subscriber));
        by.extend(self.address.map(By::Address));
        // Many have none: it would be found with all of these.
        by.extend(Some(&self.queue_id).filter(|id| !id.octets().is_empty()).map(By::QueueId));
        by.extend(self.token.as_ref().map(By::Token));
        by.extend(self.login.as_ref().map(By::Login));
        by.extend(self.recipient_hashes.iter().copied().map(By::Recipient));
        by.extend(self.recipient_domains.iter().map(By::RecipientDomain));
        by.into_iter().map(By::term).collect()
    }

    fn subscribers(&self) -> impl Iterator<Item = &Name> {
        self.owners.iter().filter_map(|owner| owner.subscriber.as_ref())
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }

    fn beside(entries: &mut Entries, number: u64, new: &[&Message]) -> Result<(), postcard::Error> {
        counts::enter(entries, number, new.iter().copied())
    }
}

/// The term of a queue id.
pub(super) fn with_queue_id(queue_id: &Name) -> i64 {
    By::QueueId(queue_id).term()
}

/// Those that fit, newest first, with their Message-IDs.
pub(super) fn list(
    view: &View<Items<Message>>,
    ids: &View<Items<MessageId>>,
    filter: &MessageFilter,
) -> Result<Vec<Message>, AuditError> {
    if let Some(id) = &filter.message_id {
        return message_ids::named(view, ids, id, filter);
    }
    let mut messages = without_ids(view, filter)?;
    message_ids::fill(ids, &mut messages)?;
    Ok(messages)
}

/// The same, where nobody asks for a Message-ID.
pub(super) fn without_ids(
    view: &View<Items<Message>>,
    filter: &MessageFilter,
) -> Result<Vec<Message>, AuditError> {
    let asked = Asked {
        term: By::narrowest(filter).map_or(ANY, By::term),
        since: filter.since.unwrap_or(Timestamp::EARLIEST),
        until: filter.until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        limit: filter.limit,
    };
    by_term::list(view, asked, &|message| filter.admits(message))
}

/// Whether a message ever came with this SASL login.
pub(super) fn knows_login(view: &View<Items<Message>>, login: &Name) -> Result<bool, AuditError> {
    by_term::is_known(view, By::Login(login).term())
}

/// Who sent most, from `since` on and before `until`, in whole minutes.
pub(super) fn top(
    published: &Published<Items<Message>>,
    by: Count,
    span: (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<(Subject, Sum)>, AuditError> {
    published.once(|view| {
        let mut sums = HashMap::new();
        view.runs.iter().for_each(|run| counts::add_gathered(run.iter(), span, &mut sums));
        for partition in view.partitions.iter().filter(|partition| touches(partition, span)) {
            partition.ask(|connection| counts::add_all(connection, span, &mut sums))?;
        }
        Ok(counts::top(sums, by, limit))
    })
}

/// What somebody sent, by the minute; minutes without messages are not there.
pub(super) fn minutes(
    published: &Published<Items<Message>>,
    subject: &Subject,
    span: (Timestamp, Timestamp),
) -> Result<Vec<(Timestamp, Sum)>, AuditError> {
    published.once(|view| {
        let mut minutes = BTreeMap::new();
        for run in &view.runs {
            counts::add_gathered_minutes(run.iter(), subject, span, &mut minutes);
        }
        for partition in view.partitions.iter().filter(|partition| touches(partition, span)) {
            partition.ask(|connection| counts::add_minutes(connection, subject, span, &mut minutes))?;
        }
        Ok(minutes.into_iter().collect())
    })
}

/// Whether a partition may tell of a time; its first minute may have begun before its first message.
fn touches(partition: &Partition, (since, until): (Timestamp, Timestamp)) -> bool {
    let since = since.minus(Duration::from_secs(60));
    partition.about.span.is_some_and(|span| span.first < until && span.last >= since)
}
