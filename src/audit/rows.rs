//! What the past is asked and what it answers with, as values.
//!
//! Knows: the shape of questions and answers. Must not know: tables, or how an answer is shown.

use std::net::IpAddr;

use crate::relay::message::Message;
use crate::session::{Line, Name, Realm, SessionKey, Timestamp};
use ipnet::IpNet;

/// How far an answer about the past can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Confidence {
    /// It was so; with no candidate: nobody owned it.
    Exact,
    /// The owner was not heard of again before its end was inferred: probably still the same one.
    UntilLastInterim,
    /// More than one may have owned it.
    Ambiguous,
    /// Nobody is known, and somebody may have owned it.
    Unknown,
}

impl Confidence {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Exact => "exact",
            Confidence::UntilLastInterim => "until-last-interim",
            Confidence::Ambiguous => "ambiguous",
            Confidence::Unknown => "unknown",
        }
    }
}

/// Who had an address at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PastOwner {
    /// How far this can be trusted.
    pub confidence: Confidence,
    /// Whoever may have had it; the likeliest first.
    pub candidates: Vec<Candidate>,
    /// Why the confidence is what it is, for people.
    pub because: &'static str,
}

/// Somebody who had an address, or may have had.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Whose it was; `None`: a session that no rule could name.
    pub subscriber: Option<Name>,
    /// The session, as text; `None` for a static prefix.
    pub session: Option<String>,
    /// Its NAS.
    pub nas: Option<Name>,
    /// Where the line ends.
    pub line: Line,
    /// The prefix that covers the address.
    pub prefix: IpNet,
    /// Since when.
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<Timestamp>,
    /// Last sign of life.
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<String>,
    /// The end that was believed before a late record corrected it.
    pub was_until: Option<Timestamp>,
    /// How it was believed to have ended before a late record corrected it.
    pub was_how: Option<String>,
    /// Configured, not reported.
    pub is_static: bool,
}

/// Which sessions. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// Of this subscriber, also under a name it had earlier.
    pub subscriber: Option<Name>,
    /// That held this address or prefix, one around it or one within it.
    pub prefix: Option<IpNet>,
    /// The address space of `prefix`.
    pub realm: Realm,
    /// That lasted beyond this moment.
    pub since: Option<Timestamp>,
    /// That began before this moment.
    pub until: Option<Timestamp>,
    /// At most so many, newest first.
    pub limit: usize,
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// The session, as text.
    pub session: String,
    /// The session, taken apart, for asking the live map.
    pub key: SessionKey,
    /// Whose it is, by its latest name.
    pub subscriber: Option<Name>,
    /// User-Name as it came.
    pub user_name: Option<Name>,
    /// Its NAS.
    pub nas: Name,
    /// Acct-Session-Id.
    pub session_id: Name,
    /// Where the line ends.
    pub line: Line,
    /// Since when.
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<Timestamp>,
    /// Last sign of life; not known here while it lasts.
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<String>,
    /// What it held, in order of time.
    pub bindings: Vec<BindingRow>,
}

/// What a session held.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingRow {
    /// The prefix.
    pub prefix: IpNet,
    /// Its address space; 0 is the public one.
    pub realm: u16,
    /// Whose it was then.
    pub subscriber: Option<Name>,
    /// Since when.
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<Timestamp>,
    /// Last sign of life.
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<String>,
    /// The end that was believed before a late record corrected it.
    pub was_until: Option<Timestamp>,
    /// How it was believed to have ended before a late record corrected it.
    pub was_how: Option<String>,
}

/// Which messages. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageFilter {
    /// Of this subscriber, alone or among several.
    pub subscriber: Option<Name>,
    /// From this client address.
    pub address: Option<IpAddr>,
    /// With this queue id.
    pub queue_id: Option<Name>,
    /// With this token in the header.
    pub token: Option<Name>,
    /// With this SASL login.
    pub login: Option<Name>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// At most so many, newest first.
    pub limit: usize,
}

impl MessageFilter {
    pub(super) fn admits(&self, message: &Message) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        let owned = |name: &Name| message.owners.iter().any(|owner| owner.subscriber.as_ref() == Some(name));
        let address = message.address.map(|address| address.to_canonical());
        fits(self.address.map(|address| address.to_canonical()).as_ref(), address.as_ref())
            && fits(self.queue_id.as_ref(), Some(&message.queue_id))
            && fits(self.token.as_ref(), message.token.as_ref())
            && fits(self.login.as_ref(), message.login.as_ref())
            && self.subscriber.as_ref().is_none_or(owned)
            && self.since.is_none_or(|since| message.at >= since)
            && self.until.is_none_or(|until| message.at < until)
    }
}
