//! One accepted mail, as it is written down; and the bounded memory of those just written down.
//!
//! Knows: the shape of a message (part of a log entry, so its fields are a file format). Must not know: how it
//! was asked for, or where it is kept.

use std::net::IpAddr;

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
