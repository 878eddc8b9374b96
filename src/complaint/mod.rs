//! A complaint about a message, as octets to what it says: ARF (RFC 5965, 6591, 6692) and X-ARF v4.
//!
//! Whoever complains chose every octet, and so did whoever wrote the message that is complained about. Everything has a
//! limit, nothing is fetched, and what a report does not say is missing rather than guessed.
//!
//! Knows: the formats, and what of them leads to a subscriber. Must not know: who had an address, which messages were
//! written down, or what time it is.

mod arf;
mod mime;
mod original;
mod xarf;

use std::fmt;
use std::net::IpAddr;

use crate::session::{Name, Timestamp};

/// No report is longer; what quotes a message with attachments may be long.
pub const OCTETS_MAX: usize = 10 * 1024 * 1024;
/// So many octets of a name, an address or a text are kept.
const TEXT_OCTETS_MAX: usize = 512;
/// So many domains, addresses of pages, or recipients are kept.
const LIST_MAX: usize = 20;

/// In which format it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 5965, and what extends it.
    Arf,
    /// X-ARF, version 4.
    Xarf,
}

impl Form {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Form::Arf => "arf",
            Form::Xarf => "x-arf",
        }
    }
}

/// What a report says. What is empty or `None` it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The format.
    pub form: Form,
    /// What is complained about: `abuse`, `auth-failure`, `fraud`, ...; in X-ARF `messaging/spam` and the like.
    pub feedback: Option<Name>,
    /// The address that the message came from, as the reporter saw it.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// When the message arrived there.
    pub arrival: Option<Timestamp>,
    /// Domains that are complained about.
    pub domains: Vec<Name>,
    /// Pages that are complained about.
    pub uris: Vec<Name>,
    /// Envelope sender.
    pub mail_from: Option<Name>,
    /// Envelope recipients, unless the reporter hides them.
    pub rcpt_to: Vec<Name>,
    /// Who complains.
    pub reporter: Option<Name>,
    /// The reporter's own number of this report.
    pub report: Option<Name>,
    /// The token in the header that our mail servers add.
    pub token: Option<Name>,
    /// Message-ID of the message.
    pub message_id: Option<Name>,
    /// Hosts that passed the message on, the last one first. Those below our own may be forged.
    pub hops: Vec<Hop>,
}

/// A host that took the message from another: one Received header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The host that took it.
    pub by: Option<Name>,
    /// Under this queue id.
    pub queue_id: Option<Name>,
    /// From this address.
    pub address: Option<IpAddr>,
    /// And this port of it.
    pub port: Option<u16>,
    /// When.
    pub at: Option<Timestamp>,
}

impl Complaint {
    fn empty(form: Form) -> Self {
        Complaint {
            form,
            feedback: None,
            address: None,
            port: None,
            arrival: None,
            domains: Vec::new(),
            uris: Vec::new(),
            mail_from: None,
            rcpt_to: Vec::new(),
            reporter: None,
            report: None,
            token: None,
            message_id: None,
            hops: Vec::new(),
        }
    }

    /// What it does not say and would have helped, in words for people.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let facts = [
            ("source address", self.address.is_some()),
            ("source port", self.port.is_some()),
            ("arrival date", self.arrival.is_some()),
            ("token header", self.token.is_some()),
            ("queue id", self.hops.iter().any(|hop| hop.queue_id.is_some())),
            ("message id", self.message_id.is_some()),
            ("reporter", self.reporter.is_some()),
        ];
        facts.into_iter().filter(|(_, there)| !there).map(|(fact, _)| fact).collect()
    }

    /// What makes two reports be about one message: who complains, and of what. Without both nothing tells them apart.
    #[must_use]
    pub fn key(&self) -> Option<(Name, Name)> {
        let message = self.token.as_ref().or(self.message_id.as_ref()).or(self.report.as_ref())?;
        Some((self.reporter.clone()?, message.clone()))
    }
}

/// Why octets are no complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Longer than any report.
    TooLong,
    /// Neither a mail nor a JSON object.
    NotAMail,
    /// A mail in which there is no report.
    NoReport,
    /// JSON that is no X-ARF, or of another version than 4.
    NotXarf,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::TooLong => "more than 10 MiB; a report needs the message's header only",
            Unreadable::NotAMail => "neither a mail nor a JSON object",
            Unreadable::NoReport => {
                "a mail without a report in it: neither a part message/feedback-report (ARF) nor one of JSON (X-ARF)"
            }
            Unreadable::NotXarf => "JSON, but no X-ARF report of version 4",
        })
    }
}

impl std::error::Error for Unreadable {}

/// Reads a complaint: a mail, or the JSON of an X-ARF report alone. `header` is the name of the header in which our mail
/// servers write a token.
///
/// # Errors
/// It is none.
pub fn read(octets: &[u8], header: Option<&str>) -> Result<Complaint, Unreadable> {
    if octets.len() > OCTETS_MAX {
        return Err(Unreadable::TooLong);
    }
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    if octets.trim_ascii_start().starts_with(b"{") {
        return xarf::read(octets, header).ok_or(Unreadable::NotXarf);
    }
    let parts = mime::parts(without_envelope(octets)).ok_or(Unreadable::NotAMail)?;
    if let Some(complaint) = arf::read(&parts, header) {
        return Ok(complaint);
    }
    let json = parts
        .iter()
        .filter(|part| part.is("application", "json") || part.body.trim_ascii_start().starts_with(b"{"));
    let mut json = json.peekable();
    let unreadable = if json.peek().is_some() { Unreadable::NotXarf } else { Unreadable::NoReport };
    json.find_map(|part| xarf::read(&part.body, header)).ok_or(unreadable)
}

/// local(8) of Postfix, and other agents that pipe into commands, put mbox's "From " line before the mail.
fn without_envelope(octets: &[u8]) -> &[u8] {
    if !octets.starts_with(b"From ") && !octets.starts_with(b">From ") {
        return octets;
    }
    let end =
        octets.iter().position(|&octet| octet == b'\n').map_or(octets.len(), |end| end.saturating_add(1));
    octets.get(end..).unwrap_or_default()
}

/// A text as it is kept: without blanks at its ends, and not longer than is shown.
fn kept(text: &str) -> Option<Name> {
    let text = text.trim();
    let mut end = text.len().min(TEXT_OCTETS_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).filter(|text| !text.is_empty()).map(Name::from)
}

/// The same, out of the brackets in which addresses and ids stand.
fn unbracketed(text: &str) -> Option<Name> {
    let text = text.trim();
    kept(text.strip_prefix('<').and_then(|text| text.split_once('>')).map_or(text, |(inside, _)| inside))
}

#[cfg(test)]
mod tests;
