//! Everything that must last, as one type. Its fields are a file format: see `FORMAT`.
//!
//! Knows: the kinds of entries. Must not know: what follows from them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::Via;
use crate::access::preservation::PreservationOrder;
use crate::access::question::{Asked, Reply};
use crate::access::token::TokenOrder;
use crate::relay::attempts::Attempt;
use crate::relay::case::{Action, Complaint, Opened};
use crate::relay::line::Told;
use crate::relay::message::Message;
use crate::relay::message_id::MessageId;
use crate::relay::scanned::Scanned;
use crate::relay::signal::{Delisted, Listing, Signal};
use crate::relay::standing::{Command, Subject};
use crate::session::event::{Event, NasHold};
use crate::session::{Name, Timestamp};

/// Version of the packed form. A change to any type within `Entry` raises it, and the older one stays readable.
pub const FORMAT: u8 = 5;

/// The oldest form that is still read: what came later stands behind it.
pub const OLDEST: u8 = 2;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// Something that may change who owns what.
    Session(Event),
    /// A message that was let go.
    Message(Box<Message>),
    /// What staff ordered.
    Command(Command),
    /// What staff asked about a person, up to form 2.
    Question(Question),
    /// Staff asked to believe a NAS for a while.
    Hold(NasHold),
    /// We were listening: bounds a receiving gap when nothing else was written for a while.
    Alive {
        /// How far our time was ahead of the host's clock, which was set back.
        ahead: Duration,
    },
    /// What staff asked about a person, and what came of it.
    Asked(Box<Asked>),
    /// A token was given or taken back.
    Token(Box<TokenOrder>),
    /// Somebody complained about a message.
    Complaint(Box<Complaint>),
    /// Staff, or a rule, did something about a case.
    Case(Action),
    /// Something must be kept longer, or no longer.
    Preservation(Box<PreservationOrder>),
    /// What was not let go, of minutes that are over.
    Attempts(Vec<Attempt>),
    /// Somebody sends in a way that a human should look at.
    Signal(Box<Signal>),
    /// A block list has one of our own addresses.
    Listing(Box<Listing>),
    /// Somebody of the staff opened a case.
    CaseOpened(Box<Opened>),
    /// A scanner found something in a message.
    Scanned(Box<Scanned>),
    /// The access side was asked something about a session, or said something.
    Coa(Box<Told>),
    /// A message that was let go and concerns these as well, beside the owner of its address and its login.
    SentFor(Box<Message>, Vec<Subject>),
    /// A milter saw the Message-ID of a message that was let go.
    MessageId(Box<MessageId>),
    /// A block list no longer has one of our own addresses.
    Delisted(Box<Delisted>),
}

impl Entry {
    /// The message that was let go, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Entry::Message(message) | Entry::SentFor(message, _) => Some(message),
            _ => None,
        }
    }
}

/// A question by staff about a person or an address, as it was written down before there were roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// When.
    pub at: Timestamp,
    /// The Unix user who asked.
    pub by: Name,
    /// What, as path and query of the API.
    pub what: Name,
}

impl From<&Question> for Asked {
    fn from(question: &Question) -> Self {
        Asked {
            at: question.at,
            by: question.by.clone(),
            role: None,
            via: Via::Socket,
            what: question.what.clone(),
            about: Vec::new(),
            purpose: None,
            reply: Reply::Uncounted,
        }
    }
}
