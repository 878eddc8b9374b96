//! One accepted mail, as it is written down; and the bounded memory of those just written down.
//!
//! Knows: the shape of a message (part of a log entry, so its fields are a file format). Must not know: how it
//! was asked for, or where it is kept.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Profile;
use super::verdict::Reason;
use crate::session::{Line, Name, SessionKey, Timestamp};

/// Recipients of one message that are kept as keyed hashes; the rest is only counted.
pub const RECIPIENTS_KEPT: usize = 100;

/// A message that was released to the MTA's queue (or, in observe mode, would have been judged so).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// When the MTA asked at its end.
    pub at: Timestamp,
    /// Which MTA: its configured name, or the peer's address.
    pub mta: Name,
    /// What its listener is for.
    pub profile: Profile,
    /// The queue id; may be empty.
    pub queue_id: Name,
    /// The MTA's name for this message.
    pub instance: Name,
    /// Whose it is. More than one: ambiguous, and then nobody is accused. None: a login or nobody.
    pub owners: Vec<Owner>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's port.
    pub port: Option<u16>,
    /// SASL login.
    pub login: Option<Name>,
    /// HELO name.
    pub helo: Name,
    /// Envelope sender.
    pub sender: Name,
    /// Recipients, all of them.
    pub recipient_count: u32,
    /// Their domains, each once, lower-case.
    pub recipient_domains: Vec<Name>,
    /// A keyed hash per recipient, the first hundred.
    pub recipient_hashes: Vec<u64>,
    /// Octets.
    pub size: u64,
    /// The opaque token that the message carries in its header, when it carries one.
    pub token: Option<Name>,
    /// What was decided, by its reason.
    pub reason: Reason,
    /// Decided under `observe`: the answer did not act on it.
    pub observed: bool,
    /// Its Message-ID, where a milter saw it. No part of the entry: it has one of its own ([`super::message_id`]), and is put here by
    /// whoever reads both.
    #[serde(skip)]
    pub message_id: Option<Name>,
}

/// A subscriber as the owner of an address at the time of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    /// Who.
    pub subscriber: Option<Name>,
    /// By which session; `None` for a static prefix.
    pub session: Option<SessionKey>,
    /// Since when the address is theirs.
    pub since: Timestamp,
    /// Where the line ends.
    pub line: Line,
}

/// How long a message may be repeated: an MTA asks again within minutes, or not at all.
pub const REPEATED_WITHIN: Duration = Duration::from_secs(3600);
/// How many are remembered at most; the oldest go first.
const REMEMBERED: usize = 200_000;

/// The messages written down lately, so that one that is asked about twice is counted once. A view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecentMessages {
    known: HashSet<MessageKey>,
    in_order: VecDeque<(Timestamp, MessageKey)>,
}

/// What makes two questions be about one message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageKey {
    mta: Name,
    instance: Name,
    queue_id: Name,
}

impl MessageKey {
    /// Without an instance nothing tells two messages apart, so none is taken for a repetition.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        (!message.instance.octets().is_empty()).then(|| MessageKey {
            mta: message.mta.clone(),
            instance: message.instance.clone(),
            queue_id: message.queue_id.clone(),
        })
    }
}

impl RecentMessages {
    /// Whether it was written down already.
    #[must_use]
    pub fn contains(&self, key: &MessageKey) -> bool {
        self.known.contains(key)
    }

    /// Forgets what is too old to be repeated.
    pub fn forget(&mut self, now: Timestamp) {
        while self.in_order.front().is_some_and(|(at, _)| now.since(*at) > REPEATED_WITHIN) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.in_order.pop_front() {
            self.known.remove(&oldest);
        }
    }

    /// Remembers one that was just written down, and forgets what is too old to be repeated.
    pub fn insert(&mut self, message: &Message) {
        self.forget(message.at);
        while self.in_order.len() >= REMEMBERED {
            self.forget_oldest();
        }
        if let Some(key) = MessageKey::of(message)
            && self.known.insert(key.clone())
        {
            self.in_order.push_back((message.at, key));
        }
    }
}

#[cfg(test)]
impl Message {
    /// One of which nothing matters but when it was: tests say what else does.
    pub(crate) fn plain(at: Timestamp) -> Message {
        Message {
            at,
            mta: Name::from("mx1"),
            profile: Profile::Relay,
            queue_id: Name::from("4bX"),
            instance: Name::from("1a.2b"),
            owners: Vec::new(),
            address: None,
            port: None,
            login: None,
            helo: Name::from("h"),
            sender: Name::from("s"),
            recipient_count: 1,
            recipient_domains: Vec::new(),
            recipient_hashes: Vec::new(),
            size: 1,
            token: None,
            reason: Reason::Online,
            observed: false,
            message_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seconds: i64, instance: &str) -> Message {
        Message { instance: Name::from(instance), ..Message::plain(Timestamp::from_seconds(seconds)) }
    }

    fn contains(recent: &RecentMessages, instance: &str) -> bool {
        MessageKey::of(&message(0, instance)).is_some_and(|key| recent.contains(&key))
    }

    #[test]
    fn a_message_is_a_repetition_for_an_hour() {
        let mut recent = RecentMessages::default();
        recent.insert(&message(0, "a"));
        recent.insert(&message(3600, "b"));
        assert!(contains(&recent, "a"));
        recent.insert(&message(3601, "c"));
        assert!(!contains(&recent, "a"));
        assert!(contains(&recent, "b"));
    }

    #[test]
    fn nothing_is_remembered_of_a_message_after_an_hour_though_no_other_comes() {
        let mut recent = RecentMessages::default();
        recent.insert(&message(0, "a"));
        recent.forget(Timestamp::from_seconds(3600));
        assert!(contains(&recent, "a"));
        recent.forget(Timestamp::from_seconds(3601));
        assert_eq!(recent, RecentMessages::default());
    }

    #[test]
    fn messages_without_an_instance_are_never_taken_for_one() {
        let mut recent = RecentMessages::default();
        recent.insert(&message(0, ""));
        assert!(!contains(&recent, ""));
    }
}
