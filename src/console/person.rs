//! The page of one subscriber: addresses over time, messages per hour, sessions, messages, standing.
//!
//! Knows: what is looked for first about somebody. Must not know: how it was found.

use askama::Template;

use super::chart::{Bars, Held, Lanes, Window};
use super::link::Link;
use super::lists::{MessageTable, SessionTable};
use super::{Frame, words};
use crate::server::http::api::{MessageRow, SessionRow, SuspensionRow, parse_rfc3339};

/// So many addresses are drawn.
const LANES_MAX: usize = 8;
/// So many sessions and messages are listed; all of them have pages of their own.
const ROWS_MAX: usize = 25;

/// The page of one subscriber.
#[derive(Debug, Template)]
#[template(path = "subscriber.html")]
pub struct Subscriber {
    /// What is around it.
    pub frame: Frame,
    /// Who.
    pub name: String,
    /// For how long, and whether it is this one.
    pub spans: Vec<(Link, bool)>,
    /// From when to when.
    pub window: Window,
    /// Addresses over time.
    pub addresses: Lanes,
    /// Messages per hour.
    pub hours: Bars,
    /// Sums of what was sent.
    pub recipients: u64,
    /// Octets of it.
    pub octets: u64,
    /// Messages in which scanners found spam.
    pub spam: usize,
    /// Those in which they found a virus.
    pub viruses: usize,
    /// Sessions, newest first.
    pub sessions: Vec<SessionRow>,
    /// Messages, newest first.
    pub messages: Vec<MessageRow>,
    /// The suspension in force, or else the limit.
    pub suspension: Option<SuspensionRow>,
    /// To open cases that may be about them.
    pub cases: Vec<Link>,
    /// To all sessions and messages.
    pub all_sessions: Link,
    /// To all messages.
    pub all_messages: Link,
}

impl Subscriber {
    fn shown_sessions(&self) -> &[SessionRow] {
        self.sessions.get(..ROWS_MAX).unwrap_or(&self.sessions)
    }

    fn shown_messages(&self) -> &[MessageRow] {
        self.messages.get(..ROWS_MAX).unwrap_or(&self.messages)
    }

    fn is_suspended(&self) -> bool {
        self.suspension.as_ref().is_some_and(SuspensionRow::is_suspended)
    }

    fn online(&self) -> bool {
        self.sessions.iter().any(|row| row.state == "active")
    }

    fn from(&self) -> String {
        self.frame.zone.spelled(self.window.since)
    }

    fn to(&self) -> String {
        self.frame.zone.spelled(self.window.until)
    }
}

/// Draws which addresses sessions held.
#[must_use]
pub fn addresses(frame: &Frame, name: &str, sessions: &[SessionRow], window: Window) -> Lanes {
    let mut held = Vec::new();
    for row in sessions {
        let Some(since) = row.valid_from.as_deref().and_then(parse_rfc3339) else { continue };
        let until = row.valid_until.as_deref().and_then(parse_rfc3339).unwrap_or(frame.now);
        let (from, to) = (frame.zone.spelled(since), frame.zone.spelled(until));
        let last = if row.valid_until.is_none() { "now" } else { &to };
        for address in &row.addresses {
            held.push(Held {
                lane: address.clone(),
                since,
                until,
                class: if row.valid_until.is_none() { "chosen" } else { "one" },
                text: String::new(),
                title: format!("{address}: {from} to {last}"),
            });
        }
    }
    let lanes = Lanes::new("addresses", format!("Addresses of {name}"), window, &frame.zone, held, LANES_MAX);
    Lanes { gap: "not theirs", ..lanes }
}
