//! What a scanner found in a message, as it is written down.
//!
//! Knows: the shape of a verdict (a log entry, so its fields are a file format), and who is held to it. Must not know: how it
//! reached us, or what follows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::message::{Message, Owner};
use super::ruling::Ruling;
use super::standing::Subject;
use super::verdict::Reason;
use crate::session::{Name, Timestamp};

/// Octets of what a scanner said that are kept.
const TOLD_KEPT: usize = 255;

/// What was found. That nothing was is never written down: it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Finding {
    /// Mail that nobody asked for.
    Spam,
    /// A virus, or whatever else does harm.
    Virus,
}

impl Finding {
    /// All of them.
    pub const ALL: [Finding; 2] = [Finding::Spam, Finding::Virus];

    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Finding::Spam => "spam",
            Finding::Virus => "virus",
        }
    }
}

/// By which way we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum By {
    /// A header that the scanner added, read as a milter.
    Header,
    /// The scanner told us itself.
    Scanner,
}

impl By {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            By::Header => "header",
            By::Scanner => "scanner",
        }
    }
}

/// A verdict on a message; a log entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scanned {
    /// When we were told.
    pub at: Timestamp,
    /// What was found.
    pub finding: Finding,
    /// By which way.
    pub by: By,
    /// Score or name, in the scanner's own words.
    pub told: Name,
    /// Which MTA, as far as that is known.
    pub mta: Name,
    /// The queue id; may be empty.
    pub queue_id: Name,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's port.
    pub port: Option<u16>,
    /// Whose the message is, as for a message that is let go. More than one: nobody is accused.
    pub owners: Vec<Owner>,
    /// The SASL login.
    pub login: Option<Name>,
    /// By which reason the address is theirs.
    pub reason: Reason,
}

impl Scanned {
    /// The only owner, if it is surely one.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        sure(self.reason, &self.owners)
    }

    /// Who is held to it: the only owner, where that is exact, and the login. Nobody: it is not written down.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> + '_ {
        let owner = self.owner().and_then(|owner| owner.subscriber.clone()).map(Subject::Subscriber);
        owner.into_iter().chain(self.login.clone().map(Subject::Login))
    }
}

/// Other reasons are doubts, or hide one: whoever is let go for a login, or held back for one, may have an address of which not much is
/// known.
fn sure(reason: Reason, owners: &[Owner]) -> Option<&Owner> {
    match owners {
        [owner] if matches!(reason, Reason::Online | Reason::Static) => Some(owner),
        _ => None,
    }
}

/// Whose a message is: what is known at its end, and asked for again when a scanner speaks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Whose {
    /// Which MTA.
    pub mta: Name,
    /// The client's port.
    pub port: Option<u16>,
    /// Its owners.
    pub owners: Vec<Owner>,
    /// The SASL login.
    pub login: Option<Name>,
    /// By which reason.
    pub reason: Reason,
}

impl Whose {
    /// As it was written down.
    #[must_use]
    pub fn of(message: &Message) -> Whose {
        Whose {
            mta: message.mta.clone(),
            port: message.port,
            owners: message.owners.clone(),
            login: message.login.clone(),
            reason: message.reason,
        }
    }

    /// As it is ruled.
    #[must_use]
    pub fn ruled(mta: Name, port: Option<u16>, login: Option<Name>, ruling: Ruling) -> Whose {
        Whose { mta, port, owners: ruling.owners, login, reason: ruling.reason }
    }

    /// A verdict on the message.
    #[must_use]
    pub fn scanned(
        self,
        at: Timestamp,
        by: By,
        found: Found,
        queue_id: Name,
        address: Option<IpAddr>,
    ) -> Scanned {
        let Whose { mta, port, owners, login, reason } = self;
        let Found { finding, told } = found;
        Scanned { at, finding, by, told, mta, queue_id, address, port, owners, login, reason }
    }
}

/// What a scanner says, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub finding: Finding,
    /// Score or name, in the scanner's own words.
    pub told: Name,
}

impl Found {
    /// With what was said.
    #[must_use]
    pub fn new(finding: Finding, told: &[u8]) -> Found {
        Found { finding, told: Name::new(told.get(..TOLD_KEPT).unwrap_or(told)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Line;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn scanned(reason: Reason, owners: &[&str], login: Option<&str>) -> Scanned {
        let owner = |name: &&str| Owner {
            subscriber: Some(Name::from(*name)),
            session: None,
            since: AT,
            line: Line::default(),
        };
        let ruling = Ruling { reason, owners: owners.iter().map(owner).collect(), suspension: None };
        let whose = Whose::ruled(Name::from("mx1"), None, login.map(Name::from), ruling);
        let found = Found::new(Finding::Spam, &[b'a'; 1000]);
        whose.scanned(AT, By::Header, found, Name::from("4bX"), None)
    }

    #[test]
    fn a_verdict_is_held_against_the_only_owner_and_the_login_and_nobody_else() {
        let subjects = |reason, owners, login| scanned(reason, owners, login).subjects().collect::<Vec<_>>();
        let alice = Subject::Subscriber(Name::from("alice"));
        let bob = Subject::Login(Name::from("bob"));
        assert_eq!(subjects(Reason::Online, &["alice"], Some("bob")), [alice.clone(), bob.clone()]);
        assert_eq!(subjects(Reason::Static, &["alice"], None), [alice]);
        for reason in [Reason::FeedStale, Reason::Conflict, Reason::ChangedHands, Reason::Suspended] {
            assert_eq!(subjects(reason, &["alice"], None), [], "{reason:?}");
        }
        assert_eq!(subjects(Reason::Online, &["alice", "carol"], None), []);
        for owners in [&[][..], &["alice"]] {
            let held = subjects(Reason::Login, owners, Some("bob"));
            assert_eq!(held, std::slice::from_ref(&bob), "she may be long gone");
        }
    }

    #[test]
    fn what_a_scanner_says_has_an_end() {
        assert_eq!(scanned(Reason::Online, &[], None).told.octets().len(), TOLD_KEPT);
    }
}
