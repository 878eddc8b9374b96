//! What opens a case, and what is done to one: entries of the log, so their fields are a file format.
//!
//! Knows: the shape of each. Must not know: what follows from them for a case; how a complaint was read; who may act.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::relay::confidence::Confidence;
use crate::relay::standing::{Command, Order, Subject};
use crate::session::{Name, Timestamp};

/// What a rule that acts alone is named by where others have their user. No Unix user has a colon in its name.
pub const RULE: &str = "rule:";

/// A complaint that was taken; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// When it was taken.
    pub at: Timestamp,
    /// By whom it was handed in: see [`crate::access::Asker::name`].
    pub by: Name,
    /// Whom it may be about, as found when it came.
    pub about: Vec<Name>,
    /// How far that can be trusted.
    pub confidence: Confidence,
    /// Who complains and of which message; a second complaint with the same belongs to the same case.
    pub key: Option<(Name, Name)>,
    /// What it says.
    pub evidence: Reported,
}

/// What a complaint says, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// `arf` or `x-arf`.
    pub form: Name,
    /// What is complained about.
    pub feedback: Option<Name>,
    /// Who complains.
    pub reporter: Option<Name>,
    /// The source address it names.
    pub address: Option<IpAddr>,
    /// The source port it names.
    pub port: Option<u16>,
    /// When the message arrived there.
    pub arrival: Option<Timestamp>,
    /// Message-ID.
    pub message_id: Option<Name>,
    /// The token in the message's header.
    pub token: Option<Name>,
    /// Messages that were written down and match: mail server and queue id.
    pub messages: Vec<(Name, Name)>,
    /// By which ways it was found whose it is.
    pub found_by: Vec<Name>,
}

/// A case that somebody of the staff opens; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// When.
    pub at: Timestamp,
    /// Who: see [`crate::access::Asker::name`].
    pub by: Name,
    /// Whom it is about.
    pub about: Subject,
    /// Why.
    pub reason: Name,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<Name>,
}

/// What is done to a case, by staff or by a rule; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When.
    pub at: Timestamp,
    /// Who: see [`crate::access::Asker::name`]; or the rule, after [`RULE`].
    pub by: Name,
    /// Which case.
    pub case: u64,
    /// What.
    pub act: Act,
    /// Why; of a note, its text.
    pub reason: Name,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<Name>,
}

/// What can be done to a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// It is dealt with.
    Close {
        /// Until when it is kept: how long that is changes, and a replay must not change what is there.
        kept_until: Timestamp,
    },
    /// Something is to be remembered of it.
    Note,
    /// One whom it is about gets another standing.
    Order(Subject, Order),
    /// There was nothing in it, and it is dealt with: what these did is usual for them.
    Dismiss {
        /// Whom it was about.
        about: Vec<Subject>,
        /// Until when it is kept.
        kept_until: Timestamp,
    },
    /// A rule that is only watched would have given this order.
    Observed(Subject, Order),
    /// A rule has given too many orders and calls a human for this one.
    Called(Subject, Order),
}

impl Act {
    /// Whom an order is about, be it given or not.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        match self {
            Act::Order(subject, _) | Act::Observed(subject, _) | Act::Called(subject, _) => Some(subject),
            Act::Close { .. } | Act::Note | Act::Dismiss { .. } => None,
        }
    }
}

impl Action {
    /// The order that it gives beside what it does to the case.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        let Act::Order(subject, order) = &self.act else { return None };
        Some(Command {
            at: self.at,
            by: self.by.clone(),
            subject: subject.clone(),
            order: *order,
            reason: self.reason.clone(),
        })
    }

    /// Whose behaviour is usual for them, as it turned out.
    #[must_use]
    pub fn usual_for(&self) -> &[Subject] {
        match &self.act {
            Act::Dismiss { about, .. } => about,
            _ => &[],
        }
    }

    /// The rule that did it.
    #[must_use]
    pub fn rule(&self) -> Option<Name> {
        self.by.octets().strip_prefix(RULE.as_bytes()).map(Name::new)
    }
}
