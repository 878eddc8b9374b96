//! Whose the messages were that were written down lately, by queue id and client: what a scanner speaks of moments later, and a milter
//! that sees their headers.
//!
//! Knows: a message's owners for as long as a scanner may take, bounded in number and time. Must not know: who asks how.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::message::Message;
use super::message_id::MessageId;
use super::scanned::{Finding, Scanned, Whose};
use crate::session::{Name, Timestamp};

/// How long after a message's end a scanner may speak of it.
pub const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How many messages are known; beyond, the oldest are forgotten, and it is asked who has the address.
pub const KEPT: usize = 50_000;

type Key = (Name, Option<IpAddr>);

fn key(queue_id: &Name, address: Option<IpAddr>) -> Key {
    (queue_id.clone(), address.map(|address| address.to_canonical()))
}

/// A message that was written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    at: Timestamp,
    queue_id: Name,
    instance: Name,
    address: Option<IpAddr>,
    whose: Whose,
}

impl Noted {
    /// What of a message is remembered.
    #[must_use]
    pub fn of(message: &Message) -> Noted {
        Noted {
            at: message.at,
            queue_id: message.queue_id.clone(),
            instance: message.instance.clone(),
            address: message.address,
            whose: Whose::of(message),
        }
    }

    fn key(&self) -> Key {
        key(&self.queue_id, self.address)
    }
}

#[derive(Debug)]
struct Known {
    noted: Noted,
    findings: Vec<Finding>,
    /// Its Message-ID is written down, too.
    is_named: bool,
}

/// Messages that were written down lately.
#[derive(Debug, Default)]
pub struct Written {
    known: HashMap<Key, Known>,
    in_order: VecDeque<(Timestamp, Key)>,
    /// What was found in messages of which nothing else is known.
    others: VecDeque<(Timestamp, Key, Finding)>,
}

impl Written {
    /// Notes a message that was written down. Without a queue id nobody can speak of it.
    pub fn note(&mut self, noted: Noted) {
        self.forget(noted.at);
        if noted.queue_id.octets().is_empty() {
            return;
        }
        let (at, key) = (noted.at, noted.key());
        if let Some(known) = self.known.get_mut(&key) {
            // Asked about again it is the one that it was.
            if known.noted.instance == noted.instance {
                known.noted.whose = noted.whose;
            } else {
                *known = Known { noted, findings: Vec::new(), is_named: false };
            }
            return;
        }
        // A scanner that sees a message before us may have told of it already.
        let found = self.others.iter().filter(|(_, other, _)| *other == key).map(|(.., finding)| *finding);
        let findings = found.collect();
        self.others.retain(|(_, other, _)| *other != key);
        self.known.insert(key.clone(), Known { noted, findings, is_named: false });
        self.in_order.push_back((at, key));
    }

    /// The Message-ID of a message that was written down, for the log; once for each. `None`: there is no such message, or
    /// nothing tells it from others.
    pub fn name(&mut self, queue_id: &Name, address: Option<IpAddr>, id: Name) -> Option<MessageId> {
        let Known { noted, is_named, .. } = self.known.get_mut(&key(queue_id, address))?;
        if noted.instance.octets().is_empty() || std::mem::replace(is_named, true) {
            return None;
        }
        let subscribers = noted.whose.owners.iter().filter_map(|owner| owner.subscriber.clone());
        Some(MessageId {
            at: noted.at,
            id,
            mta: noted.whose.mta.clone(),
            instance: noted.instance.clone(),
            queue_id: noted.queue_id.clone(),
            address: noted.address,
            subscribers: subscribers.collect(),
        })
    }

    /// Takes back that its Message-ID is written down: it could not be.
    pub fn take_back_name(&mut self, of: &MessageId) {
        if let Some(known) = self.known.get_mut(&key(&of.queue_id, of.address)) {
            known.is_named = false;
        }
    }

    /// Remembers what was written down before a restart, as of now: messages, their Message-IDs and verdicts, each newest first.
    pub fn remember(
        &mut self,
        messages: &[Message],
        message_ids: &[MessageId],
        scanned: &[Scanned],
        now: Timestamp,
    ) {
        messages.iter().rev().for_each(|message| self.note(Noted::of(message)));
        for id in message_ids {
            let known = self.known.get_mut(&key(&id.queue_id, id.address));
            if let Some(known) = known.filter(|known| known.noted.instance == id.instance) {
                known.is_named = true;
            }
        }
        for one in scanned.iter().rev() {
            self.is_news(&one.queue_id, one.address, one.finding, one.at);
        }
        self.forget(now);
    }

    /// Whose the message of this queue id was, that came from this address.
    #[must_use]
    pub fn recall(&self, queue_id: &Name, address: Option<IpAddr>) -> Option<&Whose> {
        self.known.get(&key(queue_id, address)).map(|known| &known.noted.whose)
    }

    /// Whether this was not found in the message before: a scanner may tell of it, and write a header, too.
    pub fn is_news(
        &mut self,
        queue_id: &Name,
        address: Option<IpAddr>,
        finding: Finding,
        now: Timestamp,
    ) -> bool {
        self.forget(now);
        if queue_id.octets().is_empty() {
            return true;
        }
        let key = key(queue_id, address);
        if let Some(known) = self.known.get_mut(&key) {
            let is_news = !known.findings.contains(&finding);
            if is_news {
                known.findings.push(finding);
            }
            return is_news;
        }
        let is_news = !self.others.iter().any(|(_, other, found)| *other == key && *found == finding);
        if is_news {
            self.others.push_back((now, key, finding));
            if self.others.len() > OTHERS {
                self.others.pop_front();
            }
        }
        is_news
    }

    /// Takes back that something was found: it could not be written down.
    pub fn take_back(&mut self, queue_id: &Name, address: Option<IpAddr>, finding: Finding) {
        let key = key(queue_id, address);
        if let Some(known) = self.known.get_mut(&key) {
            known.findings.retain(|found| *found != finding);
        }
        self.others.retain(|(_, other, found)| *other != key || *found != finding);
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.in_order.front()
            && (now.since(*at) > KEPT_FOR || self.in_order.len() >= KEPT)
        {
            if let Some((_, key)) = self.in_order.pop_front() {
                self.known.remove(&key);
            }
        }
        while self.others.front().is_some_and(|(at, ..)| now.since(*at) > KEPT_FOR) {
            self.others.pop_front();
        }
    }
}

/// So many verdicts on messages of which nothing else is known are told apart from repetitions.
const OTHERS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::message::Owner;
    use crate::relay::scanned::{By, Found};
    use crate::session::Line;

    fn message(seconds: i64, queue_id: &str) -> Message {
        let plain = Message::plain(Timestamp::from_seconds(seconds));
        let address = "::ffff:192.0.2.7".parse().ok();
        Message { queue_id: Name::from(queue_id), instance: Name::from(queue_id), address, ..plain }
    }

    fn note(written: &mut Written, seconds: i64, queue_id: &str) {
        written.note(Noted::of(&message(seconds, queue_id)));
    }

    #[test]
    fn a_message_is_known_by_queue_id_and_client_for_an_hour() {
        let mut written = Written::default();
        note(&mut written, 0, "a");
        note(&mut written, 0, "");
        let (a, client) = (Name::from("a"), "192.0.2.7".parse().ok());
        assert!(written.recall(&a, client).is_some());
        assert!(written.recall(&a, "192.0.2.8".parse().ok()).is_none(), "another's with the same queue id");
        assert!(written.recall(&Name::from(""), client).is_none());
        note(&mut written, 3600, "b");
        assert!(written.recall(&a, client).is_some());
        note(&mut written, 3601, "c");
        assert!(written.recall(&a, client).is_none());
    }

    #[test]
    fn the_same_verdict_is_news_once_and_again_when_it_could_not_be_written_down() {
        let mut written = Written::default();
        note(&mut written, 0, "a");
        let client: Option<IpAddr> = "192.0.2.7".parse().ok();
        let now = Timestamp::from_seconds(1);
        for id in ["a", "unknown"] {
            let id = Name::from(id);
            assert!(written.is_news(&id, client, Finding::Spam, now));
            assert!(!written.is_news(&id, client, Finding::Spam, now));
            assert!(written.is_news(&id, client, Finding::Virus, now), "another verdict");
            written.take_back(&id, client, Finding::Spam);
            assert!(written.is_news(&id, client, Finding::Spam, now));
        }
        let none = Name::from("");
        assert!(written.is_news(&none, client, Finding::Spam, now));
        assert!(written.is_news(&none, client, Finding::Spam, now), "nothing tells them apart");
    }

    #[test]
    fn what_was_told_before_its_message_was_written_down_is_no_news_after_it() {
        let mut written = Written::default();
        let (id, client): (_, Option<IpAddr>) = (Name::from("a"), "192.0.2.7".parse().ok());
        let now = Timestamp::from_seconds(1);
        assert!(written.is_news(&id, client, Finding::Spam, now));
        for _ in 0..2 {
            note(&mut written, 1, "a");
            assert!(!written.is_news(&id, client, Finding::Spam, now));
        }
        assert!(written.is_news(&id, client, Finding::Virus, now) && written.others.is_empty());
    }

    #[test]
    fn verdicts_without_end_take_no_memory_for_ever() {
        let mut written = Written::default();
        for number in 0..3000 {
            let id = Name::from(format!("q{number}").as_str());
            assert!(written.is_news(&id, None, Finding::Spam, Timestamp::from_seconds(0)));
        }
        assert_eq!(written.others.len(), OTHERS);
        assert!(written.is_news(&Name::from("q0"), None, Finding::Spam, Timestamp::from_seconds(0)));
    }
    #[test]
    fn a_message_id_is_of_the_message_with_this_queue_id_and_client_and_counts_once() {
        let mut written = Written::default();
        let owner = |name: &str| Owner {
            subscriber: Some(Name::from(name)),
            session: None,
            since: Timestamp::from_seconds(0),
            line: Line::default(),
        };
        let owners = vec![owner("alice"), owner("bob")];
        let first = Message { owners, ..message(7, "a") };
        written.note(Noted::of(&first));
        let (a, client): (_, Option<IpAddr>) = (Name::from("a"), "192.0.2.7".parse().ok());
        let id = || Name::from("1@x");
        assert_eq!(
            written.name(&a, "192.0.2.8".parse().ok(), id()),
            None,
            "another's with the same queue id"
        );
        assert_eq!(written.name(&Name::from("b"), client, id()), None);
        let named = written.name(&a, client, id()).unwrap();
        assert!(named.is_of(&first) && named.at == first.at && named.id == id());
        assert_eq!(named.subscribers, [Name::from("alice"), Name::from("bob")]);
        assert_eq!(written.name(&a, client, Name::from("2@x")), None, "it has one");
        note(&mut written, 8, "a");
        assert_eq!(written.name(&a, client, id()), None, "asked about again it is the same");
        written.take_back_name(&named);
        assert_eq!(written.name(&a, client, id()), Some(MessageId { subscribers: Vec::new(), ..named }));
        written.note(Noted::of(&Message { instance: Name::from("other"), ..message(9, "a") }));
        let other = written.name(&a, client, id()).unwrap();
        assert_eq!((other.at, other.instance), (Timestamp::from_seconds(9), Name::from("other")));
        written.note(Noted::of(&Message { instance: Name::from(""), ..message(9, "c") }));
        assert_eq!(written.name(&Name::from("c"), client, id()), None, "nothing tells it from others");
    }

    #[test]
    fn what_was_written_down_before_a_restart_is_known_after_it() {
        let client: Option<IpAddr> = "192.0.2.7".parse().ok();
        let now = Timestamp::from_seconds(3700);
        let mut before = Written::default();
        let messages = [message(3600, "b"), message(3500, "a"), message(1, "old")];
        messages.iter().rev().for_each(|message| before.note(Noted::of(message)));
        let id = before.name(&Name::from("a"), client, Name::from("1@x")).unwrap();
        let scanned = |queue_id: &str| {
            let found = Found::new(Finding::Spam, b"");
            Whose::of(&message(0, "")).scanned(
                messages[0].at,
                By::Header,
                found,
                Name::from(queue_id),
                client,
            )
        };
        let mut written = Written::default();
        written.remember(&messages, &[id], &[scanned("unknown"), scanned("b")], now);
        let name = |written: &mut Written, id: &str| written.name(&Name::from(id), client, Name::from("1@x"));
        assert!(name(&mut written, "a").is_none() && name(&mut written, "b").is_some());
        assert!(written.recall(&Name::from("old"), client).is_none(), "nobody speaks of it any more");
        for (id, finding, news) in [
            ("b", Finding::Spam, false),
            ("b", Finding::Virus, true),
            ("unknown", Finding::Spam, false),
            ("a", Finding::Spam, true),
        ] {
            assert_eq!(written.is_news(&Name::from(id), client, finding, now), news, "{id} {finding:?}");
        }
    }
}
