//! Cases: what a human should look at, as a fold over what opened them and what was done about them.
//!
//! A case is about the subscribers and logins that it may have been, with the confidence of that; it has evidence, a history and
//! a state. Whatever opens a case or acts on one is an entry of its own; kinds of either are added at the end of their lists.
//!
//! An open case waits for somebody, however old it is. Whoever closes it says until when it is kept, by the rules of that moment;
//! what must be kept longer is asked about then.
//!
//! Knows: entries about cases. Must not know: how a complaint was read, how a subscriber was found, what an order does to
//! mail, or for how long anything is kept.

mod entry;
mod fold;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::entry::{Act, Action, Complaint, Opened, RULE, Reported};
pub use self::fold::{Cases, Changed};
use super::confidence::Confidence;
use super::signal::{Listing, Signal};
use super::standing::{Order, Subject};
use crate::session::{Name, Timestamp};

/// So many cases are kept. Beyond that the oldest closed one goes first, and an open one only where none is closed.
const CASES_MAX: usize = 10_000;
/// So many pieces of evidence of one case are kept, the first ones and the newest; the others are counted.
const EVIDENCE_MAX: usize = 20;
/// So much of the history of one case is kept, the newest; what opened it stays.
const HISTORY_MAX: usize = 100;
/// So many subjects a case is about at most.
const ABOUT_MAX: usize = 500;
/// So many messages of one complaint are named.
pub const MESSAGES_MAX: usize = 20;

/// What opened a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A complaint.
    Complaint,
    /// A signal: somebody sends as they never did.
    Signal,
    /// A block list has one of our own addresses.
    Listing,
    /// Somebody of the staff.
    Staff,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Complaint, Kind::Signal, Kind::Listing, Kind::Staff];

    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Complaint => "complaint",
            Kind::Signal => "signal",
            Kind::Listing => "listing",
            Kind::Staff => "staff",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Whether a case waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It does.
    Open,
    /// It is dealt with.
    Closed,
}

impl State {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Closed => "closed",
        }
    }
}

/// What speaks for a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// A complaint.
    Complaint(Reported),
    /// A signal.
    Signal(Signal),
    /// A listing.
    Listing(Listing),
}

/// What happened to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// It was opened.
    Opened,
    /// More came of the same.
    Joined,
    /// It was closed.
    Closed,
    /// Something was noted.
    Noted,
    /// One whom it is about was suspended.
    Suspended,
    /// One whom it is about was limited.
    Limited,
    /// One whom it is about was released.
    Released,
    /// It was closed as unfounded.
    Dismissed,
    /// A rule that is only watched would have given an order.
    Observed,
    /// A rule would have given an order, has given too many, and calls a human.
    Called,
    /// The access side said something about a line of one whom it is about.
    Access,
    /// The list no longer has the address.
    Delisted,
}

impl Happened {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Happened::Opened => "opened",
            Happened::Joined => "joined",
            Happened::Closed => "closed",
            Happened::Noted => "noted",
            Happened::Suspended => "suspended",
            Happened::Limited => "limited",
            Happened::Released => "released",
            Happened::Dismissed => "dismissed",
            Happened::Observed => "observed",
            Happened::Called => "called",
            Happened::Access => "access",
            Happened::Delisted => "delisted",
        }
    }
}

impl From<&Act> for Happened {
    fn from(act: &Act) -> Self {
        match act {
            Act::Close { .. } => Happened::Closed,
            Act::Note => Happened::Noted,
            Act::Order(_, Order::Suspend { .. }) => Happened::Suspended,
            Act::Order(_, Order::Limit { .. } | Order::UntilDelisted) => Happened::Limited,
            Act::Order(_, Order::Release | Order::Delisted) => Happened::Released,
            Act::Dismiss { .. } => Happened::Dismissed,
            Act::Observed(..) => Happened::Observed,
            Act::Called(..) => Happened::Called,
        }
    }
}

/// A line of the history of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Sequence of the entry.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Name,
    /// What.
    pub what: Happened,
    /// The order that was given, or would have been, and about whom.
    pub order: Option<(Subject, Order)>,
    /// Why, in the words of whoever did it.
    pub note: Option<Name>,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<Name>,
}

impl Event {
    fn new(sequence: u64, at: Timestamp, by: Name, what: Happened) -> Event {
        Event { sequence, at, by, what, order: None, note: None, ticket: None }
    }
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Sequence of the entry that opened it.
    pub id: u64,
    /// When it was opened.
    pub opened: Timestamp,
    /// By what.
    pub kind: Kind,
    /// Whom it may be about.
    pub about: Vec<Subject>,
    /// How far that can be trusted.
    pub confidence: Confidence,
    /// Whether it waits for somebody.
    pub state: State,
    /// What speaks for it, the first pieces and the newest.
    pub evidence: Vec<Evidence>,
    /// How many pieces there were.
    pub evidence_count: u64,
    /// What happened, oldest first.
    pub history: Vec<Event>,
    /// When it goes; `None`: not before it is closed.
    pub kept_until: Option<Timestamp>,
    /// Rules that have acted on it, each once.
    pub ruled: Vec<Name>,
    /// What was said of its end when it was closed.
    wanted_until: Option<Timestamp>,
    key: Option<(Name, Name)>,
}

impl Case {
    /// Source addresses that its evidence names.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.evidence.iter().filter_map(|evidence| match evidence {
            Evidence::Complaint(reported) => reported.address.map(|address| address.to_canonical()),
            // One of our own is nobody's.
            Evidence::Signal(_) | Evidence::Listing(_) => None,
        })
    }

    /// Which list has which address, if that is what it is about.
    #[must_use]
    pub fn listing(&self) -> Option<&Listing> {
        self.evidence.iter().rev().find_map(|evidence| match evidence {
            Evidence::Listing(listing) => Some(listing),
            Evidence::Complaint(_) | Evidence::Signal(_) => None,
        })
    }

    /// The same, while nothing says that the list no longer has it.
    #[must_use]
    pub fn is_listed(&self) -> Option<&Listing> {
        let tells =
            |event: &&Event| matches!(event.what, Happened::Opened | Happened::Joined | Happened::Delisted);
        let last = self.history.iter().rev().find(tells)?;
        self.listing().filter(|_| last.what != Happened::Delisted)
    }

    fn note(&mut self, event: Event) {
        if self.history.len() >= HISTORY_MAX {
            // What opened it stays first.
            self.history.remove(1);
        }
        self.history.push(event);
    }
}
