//! What the past is asked and what it answers with, as values.
//!
//! Knows: the shape of questions and answers. Must not know: tables, or how an answer is shown.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::relay::attempts::{Attempt, Reference};
pub use crate::relay::confidence::Confidence;
use crate::relay::message::Message;
use crate::relay::scanned::{Finding, Scanned};
use crate::relay::verdict::Reason;
use crate::session::effect::{Ended, Remark};
use crate::session::{Line, Name, Place, Ports, Realm, SessionKey, Timestamp};
use crate::views::Cause;

/// How something that was held ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As the session machine says.
    Ended(Ended),
    /// The session lived on under another name.
    Renamed,
    /// A Stop alone told of it. The end is known; that it was held before, only the session time says.
    StopAlone,
}

impl How {
    /// Whether the end is known rather than inferred, and so all that was held until then.
    #[must_use]
    pub fn is_exact(self) -> bool {
        matches!(self, How::Renamed | How::Ended(Ended::Stopped | Ended::Moved))
    }

    /// The word used in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            How::Ended(how) => how.word(),
            How::Renamed => "renamed",
            How::StopAlone => "stop-alone",
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
    /// The session, taken apart.
    pub key: Option<SessionKey>,
    /// Its NAS.
    pub nas: Option<Name>,
    /// Where the line ends.
    pub line: Line,
    /// The prefix that covers the address; behind a translator, the inside address.
    pub prefix: IpNet,
    /// Which ports of the address that was asked about.
    pub ports: Ports,
    /// It had the ports for whoever owned this address, behind the translator that reported it.
    pub inside: Option<(Realm, IpAddr)>,
    /// Since when.
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<Timestamp>,
    /// Last sign of life.
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<How>,
    /// The end that was believed before a late record corrected it.
    pub was_until: Option<Timestamp>,
    /// How it was believed to have ended before a late record corrected it.
    pub was_how: Option<How>,
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
    pub how: Option<How>,
    /// The VRF in which its private addresses lie, or that of the address behind a translator.
    pub realm: Option<Name>,
    /// A translator's session belongs to whoever owns this address.
    pub inside: Option<IpAddr>,
    /// Further attributes that the operator wants kept.
    pub kept: Vec<(Name, Name)>,
    /// What it held, in order of time.
    pub bindings: Vec<BindingRow>,
}

/// What a session held.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingRow {
    /// What.
    pub place: Place,
    /// Whose it was then.
    pub subscriber: Option<Name>,
    /// Since when.
    pub valid_from: Timestamp,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<Timestamp>,
    /// Last sign of life.
    pub last_seen: Option<Timestamp>,
    /// How it ended.
    pub how: Option<How>,
    /// The end that was believed before a late record corrected it.
    pub was_until: Option<Timestamp>,
    /// How it was believed to have ended before a late record corrected it.
    pub was_how: Option<How>,
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
    /// With this Message-ID, as [`crate::relay::message_id::read`] has it.
    pub message_id: Option<Name>,
    /// With this SASL login.
    pub login: Option<Name>,
    /// From this envelope sender, whatever its case.
    pub sender: Option<Name>,
    /// To the recipient with this keyed hash.
    pub recipient: Option<u64>,
    /// To a recipient in this domain, whatever its case.
    pub recipient_domain: Option<Name>,
    /// With this HELO name, whatever its case.
    pub helo: Option<Name>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// At most so many, newest first.
    pub limit: usize,
}

/// Which attempts. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptFilter {
    /// Of the row that the text of a refusal named.
    pub reference: Option<Reference>,
    /// Of this subscriber, alone or among several.
    pub subscriber: Option<Name>,
    /// From this client address.
    pub address: Option<IpAddr>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// The last of them at this moment or later.
    pub since: Option<Timestamp>,
    /// The first of them before this moment.
    pub until: Option<Timestamp>,
    /// At most so many, newest first.
    pub limit: usize,
}

impl AttemptFilter {
    /// Whether it is wanted.
    #[must_use]
    pub fn admits(&self, attempt: &Attempt) -> bool {
        let address = attempt.address.map(|address| address.to_canonical());
        let owned = |name: &Name| attempt.owners.iter().any(|owner| owner.subscriber.as_ref() == Some(name));
        self.reference.is_none_or(|reference| attempt.reference == reference)
            && self.subscriber.as_ref().is_none_or(owned)
            && self.address.is_none_or(|wanted| address == Some(wanted.to_canonical()))
            && self.reason.is_none_or(|reason| attempt.reason == Some(reason))
            && self.since.is_none_or(|since| attempt.last >= since)
            && self.until.is_none_or(|until| attempt.first < until)
    }
}

/// Which verdicts of scanners. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScannedFilter {
    /// Of this subscriber, alone or among several.
    pub subscriber: Option<Name>,
    /// With this SASL login.
    pub login: Option<Name>,
    /// From this client address.
    pub address: Option<IpAddr>,
    /// With this queue id.
    pub queue_id: Option<Name>,
    /// That say this.
    pub finding: Option<Finding>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// At most so many, newest first.
    pub limit: usize,
}

impl ScannedFilter {
    /// Whether it is wanted.
    #[must_use]
    pub fn admits(&self, scanned: &Scanned) -> bool {
        let address = scanned.address.map(|address| address.to_canonical());
        let owned = |name: &Name| scanned.owners.iter().any(|owner| owner.subscriber.as_ref() == Some(name));
        self.subscriber.as_ref().is_none_or(owned)
            && self.login.as_ref().is_none_or(|login| scanned.login.as_ref() == Some(login))
            && self.address.is_none_or(|wanted| address == Some(wanted.to_canonical()))
            && self.queue_id.as_ref().is_none_or(|id| scanned.queue_id == *id)
            && self.finding.is_none_or(|finding| scanned.finding == finding)
            && self.since.is_none_or(|since| scanned.at >= since)
            && self.until.is_none_or(|until| scanned.at < until)
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Messages.
    Messages,
    /// Recipients, all of each message.
    Recipients,
    /// Octets, each message once.
    Octets,
}

/// How much somebody sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Messages.
    pub messages: u64,
    /// Recipients, all of each message.
    pub recipients: u64,
    /// Octets, each message once.
    pub octets: u64,
}

impl Sum {
    /// One of the three.
    #[must_use]
    pub fn of(self, count: Count) -> u64 {
        match count {
            Count::Messages => self.messages,
            Count::Recipients => self.recipients,
            Count::Octets => self.octets,
        }
    }
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.octets = self.octets.saturating_add(other.octets);
    }
}

/// About which address the story is to be told. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryFilter {
    /// The address space.
    pub realm: Realm,
    /// The address.
    pub address: IpAddr,
    /// One port of it.
    pub port: Option<u16>,
    /// What happened, or reached us, from this moment on.
    pub since: Option<Timestamp>,
    /// What happened, or reached us, before this moment.
    pub until: Option<Timestamp>,
    /// What came of entries up to this one.
    pub through: Option<u64>,
    /// At most so many lines, the newest.
    pub limit: usize,
}

/// What came of an entry for an address.
#[derive(Debug, Clone, PartialEq)]
pub struct StoryRow {
    /// Sequence of the entry; for a deadline, of the entry before it.
    pub sequence: u64,
    /// What kind of entry, and when it reached us.
    pub cause: Cause,
    /// Event time.
    pub at: Timestamp,
    /// The session that it is about.
    pub session: Option<SessionKey>,
    /// Its NAS; also for what is about a whole NAS.
    pub nas: Option<Name>,
    /// Whose the session, or the static prefix, was then.
    pub subscriber: Option<Name>,
    /// The address behind a translator to whose owner the session belongs.
    pub inside: Option<IpAddr>,
    /// Which part of the address space, when not all of it.
    pub place: Option<Place>,
    /// Other sessions that are concerned.
    pub others: Vec<SessionKey>,
    /// What came of it.
    pub what: What,
}

/// What can come of an entry for an address. A closed list; the words are in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The session owns it from here on.
    Bound,
    /// The session goes on owning it, under another name.
    Renamed,
    /// The session no longer owns it.
    Unbound {
        /// Why.
        how: Ended,
        /// When it was last heard of alive.
        last_seen: Timestamp,
    },
    /// The session held it once, as is known now.
    Past {
        /// From when.
        from: Timestamp,
        /// Whether its end is known.
        ended: bool,
        /// Whether only its session time tells of it.
        inferred: bool,
    },
    /// Sessions of different subscribers claim it in turn, or no longer do.
    Conflict {
        /// They no longer do.
        over: bool,
    },
    /// It is, or is no longer, somebody's by configuration.
    Static {
        /// It is no longer.
        over: bool,
    },
    /// It is, or is no longer, shared by the addresses of a prefix.
    Translation {
        /// The prefix.
        inside: IpNet,
        /// It is no longer.
        over: bool,
    },
    /// The session, which had lost it before, is over by its own word: its end here may be known better now.
    EndTold,
    /// Who owns it stays as it was.
    Noted(Remark),
    /// The NAS of a session that owned it, or a part of that NAS, began anew.
    Restarted,
    /// Nothing was received from this moment on.
    Gap {
        /// `EARLIEST`: never before.
        since: Timestamp,
    },
}

impl What {
    /// The word used in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            What::Bound => "bound",
            What::Renamed => "renamed",
            What::Unbound { how, .. } => how.word(),
            What::Past { .. } => "past-noted",
            What::Conflict { over: false } => "conflict",
            What::Conflict { over: true } => "conflict-over",
            What::Static { over: false } => "static",
            What::Static { over: true } => "static-over",
            What::Translation { over: false, .. } => "translation",
            What::Translation { over: true, .. } => "translation-over",
            What::EndTold => "end-told",
            What::Noted(why) => why.word(),
            What::Restarted => "nas-began-anew",
            What::Gap { .. } => "gap",
        }
    }
}

impl MessageFilter {
    /// Whether it is wanted. Its Message-ID stands elsewhere, and is not looked at.
    pub(super) fn admits(&self, message: &Message) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        let alike = |wanted: &Name, found: &Name| wanted.octets().eq_ignore_ascii_case(found.octets());
        let owned = |name: &Name| message.owners.iter().any(|owner| owner.subscriber.as_ref() == Some(name));
        let address = message.address.map(|address| address.to_canonical());
        fits(self.address.map(|address| address.to_canonical()).as_ref(), address.as_ref())
            && fits(self.queue_id.as_ref(), Some(&message.queue_id))
            && fits(self.token.as_ref(), message.token.as_ref())
            && fits(self.login.as_ref(), message.login.as_ref())
            && self.sender.as_ref().is_none_or(|sender| alike(sender, &message.sender))
            && self.helo.as_ref().is_none_or(|helo| alike(helo, &message.helo))
            && self.recipient.is_none_or(|hash| message.recipient_hashes.contains(&hash))
            && self
                .recipient_domain
                .as_ref()
                .is_none_or(|domain| message.recipient_domains.iter().any(|one| alike(domain, one)))
            && self.subscriber.as_ref().is_none_or(owned)
            && self.since.is_none_or(|since| message.at >= since)
            && self.until.is_none_or(|until| message.at < until)
    }
}

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Sessions and what they held.
    Sessions,
    /// Messages.
    Messages,
    /// Attempts that were not let go.
    Attempts,
    /// Questions of staff.
    Questions,
    /// Verdicts of scanners.
    Scanned,
}

impl Listed {
    /// All of them.
    pub const ALL: [Listed; 5] =
        [Listed::Sessions, Listed::Messages, Listed::Attempts, Listed::Questions, Listed::Scanned];
}
