//! ARF: a mail with a part of fields about the message, and the message or its header behind it.
//!
//! RFC 5965 has the format, RFC 6591 what concerns authentication failures, RFC 6692 the source port.
//!
//! Knows: names of fields. Must not know: how a mail is taken apart.

use super::mime::{self, Part};
use super::{Complaint, Form, LIST_MAX, kept, original, unbracketed};
use crate::paste;
use crate::session::Name;

pub(super) fn read(parts: &[Part<'_>], header: Option<&str>) -> Option<Complaint> {
    let at = parts.iter().position(|part| part.is("message", "feedback-report"))?;
    let report = parts.get(at)?;
    let mut complaint = Complaint::empty(Form::Arf);
    complaint.reporter = report.from.as_deref().and_then(kept);
    for (name, value) in mime::fields(&report.body) {
        field(&mut complaint, &name, &value);
    }
    let behind = parts.get(at.saturating_add(1)..).unwrap_or_default();
    let quoted = behind.iter().find(|part| {
        part.is("message", "rfc822")
            || part.is("message", "global")
            || part.is("text", "rfc822-headers")
            || part.is("message", "rfc822-headers")
    });
    if let Some(quoted) = quoted {
        original::read(&mut complaint, &quoted.body, header);
    }
    Some(complaint)
}

/// Fields that may be there once count as they come first (RFC 5965, 3.1 and 3.2).
fn field(complaint: &mut Complaint, name: &str, value: &str) {
    let once = |place: &mut Option<Name>, value: Option<Name>| {
        if place.is_none() {
            *place = value;
        }
    };
    match name {
        "feedback-type" => once(&mut complaint.feedback, kept(&value.to_ascii_lowercase())),
        "source-ip" if complaint.address.is_none() => {
            complaint.address = original::address(value);
        }
        // RFC 6692, 3.
        "source-port" if complaint.port.is_none() => {
            complaint.port =
                value.split_whitespace().next().and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        }
        // RFC 5965, 3.2: Received-Date is the older name of it.
        "arrival-date" | "received-date" if complaint.arrival.is_none() => {
            complaint.arrival = paste::dated(value);
        }
        "original-mail-from" => once(&mut complaint.mail_from, unbracketed(value)),
        "original-rcpt-to" => add(&mut complaint.rcpt_to, unbracketed(value)),
        "reported-domain" => add(&mut complaint.domains, kept(value)),
        "reported-uri" => add(&mut complaint.uris, kept(value)),
        _ => {}
    }
}

pub(super) fn add(list: &mut Vec<Name>, value: Option<Name>) {
    if let Some(value) = value
        && list.len() < LIST_MAX
        && !list.contains(&value)
    {
        list.push(value);
    }
}
