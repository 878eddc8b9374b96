//! May this message leave, and whose is it: verdicts, messages and standing, all as values.
//!
//! Knows: what the map says and what the rules are. Must not know: how any MTA spells its questions, sockets,
//! files, or what time it is.

pub mod advice;
pub mod attempts;
pub mod attribution;
pub mod case;
pub mod class;
pub mod confidence;
pub mod connections;
pub mod delisting;
pub mod limit;
pub mod line;
pub mod message;
pub mod message_id;
pub mod permitted;
pub mod reserved;
pub mod rule;
pub mod ruling;
pub mod scanned;
pub mod scanner;
pub mod signal;
pub mod standing;
pub mod trend;
pub mod usage;
pub mod verdict;
pub mod within;
pub mod written;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What an MTA's listener is for; it decides what an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Profile {
    /// Customers' outgoing mail by address: the address decides.
    #[default]
    Relay,
    /// Authenticated submission: the login decides.
    Submission,
    /// Inbound mail: whoever is not ours passes untouched, whatever state we are in.
    Mx,
}

impl Profile {
    /// The word in `policy_context` and in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Profile::Relay => "relay",
            Profile::Submission => "submission",
            Profile::Mx => "mx",
        }
    }
}

/// At which point of an SMTP transaction an MTA asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// For each recipient.
    Rcpt,
    /// Once, before the content.
    Data,
    /// Once, after the content: the last moment at which a message can be held back.
    EndOfMessage,
    /// Anything else (CONNECT, EHLO, MAIL, VRFY, ETRN).
    Other,
}

/// What an MTA tells of a message when it asks, whatever its protocol. Octets as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where in the transaction.
    pub stage: Stage,
    /// What the listener is for.
    pub profile: Profile,
    /// The client's address, folded (`::ffff:` removed); `None` when it was no address.
    pub address: Option<IpAddr>,
    /// The client's port, when told.
    pub port: Option<u16>,
    /// The SASL login; `None` when there is none.
    pub login: Option<Vec<u8>>,
    /// Names one message within one MTA; empty when not told.
    pub instance: Vec<u8>,
    /// The MTA's queue id; may be empty even at the end of a message (Postfix before a proxy filter).
    pub queue_id: Vec<u8>,
    /// HELO or EHLO name.
    pub helo: Vec<u8>,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Envelope recipient: at RCPT this one, later only if there is exactly one.
    pub recipient: Vec<u8>,
    /// How many recipients were accepted.
    pub recipient_count: u32,
    /// Octets: announced before the content, real at its end.
    pub size: u64,
}
