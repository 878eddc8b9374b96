//! Whose the messages were that were written down lately, by queue id and client: what a scanner speaks of moments later.
//!
//! Knows: a message's owners for as long as a scanner may take, bounded in number and time. Must not know: who asks how.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::scanned::{Finding, Whose};
use crate::session::{Name, Timestamp};

/// How long after a message's end a scanner may speak of it.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How many messages are known; beyond, the oldest are forgotten, and it is asked who has the address.
const KEPT: usize = 50_000;

type Key = (Name, Option<IpAddr>);

#[derive(Debug)]
struct Known {
    whose: Whose,
    findings: Vec<Finding>,
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
    /// Notes a message that was written down then. Without a queue id nobody can speak of it.
    pub fn note(&mut self, at: Timestamp, queue_id: Name, address: Option<IpAddr>, whose: Whose) {
        self.forget(at);
        if queue_id.octets().is_empty() {
            return;
        }
        let key = (queue_id, address.map(|address| address.to_canonical()));
        if let Some(known) = self.known.get_mut(&key) {
            known.whose = whose;
            return;
        }
        // A scanner that sees a message before us may have told of it already.
        let found = self.others.iter().filter(|(_, other, _)| *other == key).map(|(.., finding)| *finding);
        let findings = found.collect();
        self.others.retain(|(_, other, _)| *other != key);
        self.known.insert(key.clone(), Known { whose, findings });
        self.in_order.push_back((at, key));
    }

    /// Whose the message of this queue id was, that came from this address.
    #[must_use]
    pub fn recall(&self, queue_id: &Name, address: Option<IpAddr>) -> Option<&Whose> {
        let key = (queue_id.clone(), address.map(|address| address.to_canonical()));
        self.known.get(&key).map(|known| &known.whose)
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
        let key = (queue_id.clone(), address.map(|address| address.to_canonical()));
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
        let key = (queue_id.clone(), address.map(|address| address.to_canonical()));
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
    use crate::relay::ruling::Ruling;
    use crate::relay::verdict::Reason;

    fn note(written: &mut Written, seconds: i64, queue_id: &str) {
        let ruling = Ruling { reason: Reason::Online, owners: Vec::new(), suspension: None };
        let whose = Whose::ruled(Name::from("mx1"), None, None, ruling);
        let address = "::ffff:192.0.2.7".parse().ok();
        written.note(Timestamp::from_seconds(seconds), Name::from(queue_id), address, whose);
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
}
