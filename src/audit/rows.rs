//! What the past answers with. Field names are those of the API and of `-o json`.
//!
//! Knows: the shape of answers and how their values are written. Must not know: tables, or what was asked.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::shown;
use crate::relay::message::{Message, Owner};
use crate::session::{Line, Name, Realm, SessionKey, Timestamp};

/// How far an answer about the past can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PastOwner {
    /// How far this can be trusted.
    pub confidence: Confidence,
    /// Whoever may have had it; the likeliest first.
    pub candidates: Vec<Candidate>,
    /// Why the confidence is what it is, for people.
    pub because: &'static str,
}

/// Somebody who had an address, or may have had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// Whose it was; `None`: a session that no rule could name.
    #[serde(serialize_with = "shown::name_if_any")]
    pub subscriber: Option<Name>,
    /// The session, as text; `None` for a static prefix.
    pub session: Option<String>,
    /// Its NAS.
    #[serde(serialize_with = "shown::name_if_any")]
    pub nas: Option<Name>,
    /// Where the line ends.
    #[serde(flatten)]
    pub line: LineRow,
    /// The prefix that covers the address.
    pub prefix: IpNet,
    /// Since when.
    #[serde(serialize_with = "shown::time")]
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    #[serde(serialize_with = "shown::time_if_any")]
    pub valid_until: Option<Timestamp>,
    /// Last sign of life.
    #[serde(serialize_with = "shown::time_if_any")]
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<String>,
    /// The end that was believed before a late record corrected it.
    #[serde(serialize_with = "shown::time_if_any")]
    pub was_until: Option<Timestamp>,
    /// How it was believed to have ended before a late record corrected it.
    pub was_how: Option<String>,
    /// Configured, not reported.
    #[serde(rename = "static")]
    pub is_static: bool,
}

/// Where a line ends, as four fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LineRow {
    /// NAS-Port-Id.
    #[serde(serialize_with = "shown::name_if_any")]
    pub port_id: Option<Name>,
    /// Calling-Station-Id.
    #[serde(serialize_with = "shown::name_if_any")]
    pub calling_station: Option<Name>,
    /// Circuit id.
    #[serde(serialize_with = "shown::name_if_any")]
    pub circuit_id: Option<Name>,
    /// Remote id.
    #[serde(serialize_with = "shown::name_if_any")]
    pub remote_id: Option<Name>,
}

impl From<Line> for LineRow {
    fn from(line: Line) -> Self {
        let Line { port_id, calling_station, circuit_id, remote_id } = line;
        LineRow { port_id, calling_station, circuit_id, remote_id }
    }
}

/// Which sessions. What is `None` does not limit.
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionRow {
    /// The session, as text.
    pub session: String,
    /// The session, taken apart, for asking the live map.
    #[serde(skip)]
    pub key: SessionKey,
    /// Whose it is, by its latest name.
    #[serde(serialize_with = "shown::name_if_any")]
    pub subscriber: Option<Name>,
    /// User-Name as it came.
    #[serde(serialize_with = "shown::name_if_any")]
    pub user_name: Option<Name>,
    /// Its NAS.
    #[serde(serialize_with = "shown::name")]
    pub nas: Name,
    /// Acct-Session-Id.
    #[serde(serialize_with = "shown::name")]
    pub session_id: Name,
    /// Where the line ends.
    #[serde(flatten)]
    pub line: LineRow,
    /// Since when.
    #[serde(serialize_with = "shown::time")]
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    #[serde(serialize_with = "shown::time_if_any")]
    pub valid_until: Option<Timestamp>,
    /// Last sign of life; not known here while it lasts.
    #[serde(serialize_with = "shown::time_if_any")]
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<String>,
    /// What it held, in order of time.
    pub bindings: Vec<BindingRow>,
}

/// What a session held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BindingRow {
    /// The prefix.
    pub prefix: IpNet,
    /// Its address space; 0 is the public one.
    pub realm: u16,
    /// Whose it was then.
    #[serde(serialize_with = "shown::name_if_any")]
    pub subscriber: Option<Name>,
    /// Since when.
    #[serde(serialize_with = "shown::time")]
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    #[serde(serialize_with = "shown::time_if_any")]
    pub valid_until: Option<Timestamp>,
    /// Last sign of life.
    #[serde(serialize_with = "shown::time_if_any")]
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<String>,
    /// The end that was believed before a late record corrected it.
    #[serde(serialize_with = "shown::time_if_any")]
    pub was_until: Option<Timestamp>,
    /// How it was believed to have ended before a late record corrected it.
    pub was_how: Option<String>,
}

/// Which messages. What is `None` does not limit.
#[derive(Debug, Clone, Default)]
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

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageRow {
    /// When the MTA asked at its end.
    #[serde(serialize_with = "shown::time")]
    pub at: Timestamp,
    /// Which MTA.
    #[serde(serialize_with = "shown::name")]
    pub mta: Name,
    /// What its listener is for.
    pub profile: &'static str,
    /// The queue id; may be empty.
    #[serde(serialize_with = "text_or_empty")]
    pub queue_id: Name,
    /// The MTA's name for this message.
    #[serde(serialize_with = "text_or_empty")]
    pub instance: Name,
    /// Whose it is; `None` when nobody's, or when several may be meant.
    #[serde(flatten)]
    pub owner: OwnerRow,
    /// All whose it may be, when there are several.
    pub candidates: Vec<OwnerRow>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's port.
    pub port: Option<u16>,
    /// SASL login.
    #[serde(serialize_with = "shown::name_if_any")]
    pub login: Option<Name>,
    /// HELO name.
    #[serde(serialize_with = "text_or_empty")]
    pub helo: Name,
    /// Envelope sender; empty for bounces.
    #[serde(serialize_with = "text_or_empty")]
    pub sender: Name,
    /// Recipients, all of them.
    pub recipient_count: u32,
    /// Their domains.
    #[serde(serialize_with = "shown::names")]
    pub recipient_domains: Vec<Name>,
    /// A keyed hash per recipient, the first hundred, in hex.
    pub recipient_hashes: Vec<String>,
    /// Octets.
    pub size: u64,
    /// The token in its header.
    #[serde(serialize_with = "shown::name_if_any")]
    pub token: Option<Name>,
    /// What was decided.
    pub verdict: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Decided under observe.
    pub observed: bool,
}

/// The empty name is a value of its own here and not undecodable, so it is written as the empty text.
fn text_or_empty<S: serde::Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    if name.octets().is_empty() { serializer.serialize_str("") } else { shown::name(name, serializer) }
}

/// Whose a message is.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct OwnerRow {
    /// Who.
    #[serde(serialize_with = "shown::name_if_any")]
    pub subscriber: Option<Name>,
    /// By which session, as text; `None` for a static prefix.
    pub session: Option<String>,
    /// Its NAS.
    #[serde(serialize_with = "shown::name_if_any")]
    pub nas: Option<Name>,
    /// Since when the address was theirs.
    #[serde(serialize_with = "shown::time_if_any")]
    pub valid_from: Option<Timestamp>,
    /// Where the line ends.
    #[serde(flatten)]
    pub line: LineRow,
}

impl From<Owner> for OwnerRow {
    fn from(owner: Owner) -> Self {
        let Owner { subscriber, session, since, line } = owner;
        OwnerRow {
            subscriber,
            nas: session.as_ref().map(|session| session.nas.clone()),
            session: session.map(|session| session.to_string()),
            valid_from: Some(since),
            line: line.into(),
        }
    }
}

impl From<Message> for MessageRow {
    fn from(message: Message) -> Self {
        let mut owners: Vec<OwnerRow> = message.owners.into_iter().map(OwnerRow::from).collect();
        // Nobody is accused by a message that may be somebody else's.
        let owner = if owners.len() == 1 { owners.pop() } else { None };
        MessageRow {
            at: message.at,
            mta: message.mta,
            profile: message.profile.word(),
            queue_id: message.queue_id,
            instance: message.instance,
            owner: owner.unwrap_or_default(),
            candidates: owners,
            address: message.address,
            port: message.port,
            login: message.login,
            helo: message.helo,
            sender: message.sender,
            recipient_count: message.recipient_count,
            recipient_domains: message.recipient_domains,
            recipient_hashes: message.recipient_hashes.iter().map(|hash| format!("{hash:016x}")).collect(),
            size: message.size,
            token: message.token,
            verdict: message.reason.verdict().word(),
            reason: message.reason.word(),
            observed: message.observed,
        }
    }
}
