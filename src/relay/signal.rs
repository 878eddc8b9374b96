//! What makes somebody look at a subscriber: a signal, and a listing of one of our own addresses, which may have such
//! behind it; and the end of a listing.
//!
//! Knows: the shape of each; they are entries of the log, so their fields are a file format. Must not know: by whom they were
//! found, or what follows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::standing::Subject;
use crate::session::{Name, Timestamp};

/// A sender does what it did not use to do; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// When it was seen.
    pub at: Timestamp,
    /// Of whom.
    pub subject: Subject,
    /// Its name, such as `messages`.
    pub name: Name,
    /// What was measured.
    pub value: u64,
    /// From where on it is a signal.
    pub threshold: u64,
    /// The same in words, with what is usual.
    pub words: Name,
}

/// A block list has one of our own addresses; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// When it was seen.
    pub at: Timestamp,
    /// Which address.
    pub address: IpAddr,
    /// The list, by its zone.
    pub list: Name,
    /// What the list answered.
    pub answers: Vec<IpAddr>,
    /// What it said beside.
    pub text: Option<Name>,
    /// Who stood out in the time before.
    pub suspects: Vec<Signal>,
}

/// A block list no longer has one of our own addresses; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delisted {
    /// When it was seen.
    pub at: Timestamp,
    /// Which address.
    pub address: IpAddr,
    /// The list, by its zone.
    pub list: Name,
}
