//! X-ARF v4: a report as a JSON object, alone or as a part of a mail.
//!
//! Knows: its members. Must not know: where it came from. Members that are not of the type they should be are not there.

use mail_parser::decoders::base64::base64_decode;
use serde_json::Value;

use super::{Complaint, Form, arf, kept, original, unbracketed};
use crate::paste;
use crate::relay::message_id;

/// So many pieces of evidence are looked at; the format allows for 50.
const EVIDENCE_MAX: usize = 50;

/// `None`: it is none, or of another version.
pub(super) fn read(octets: &[u8], header: Option<&str>) -> Option<Complaint> {
    // Values nest 128 deep at most: the parser's own limit.
    let report: Value = serde_json::from_slice(octets).ok()?;
    let text = |name: &str| report.get(name).and_then(Value::as_str);
    // Version 3 has other members, with capitals.
    text("xarf_version").filter(|version| version.starts_with("4."))?;
    let mut complaint = Complaint::empty(Form::Xarf);
    let class = text("category").or_else(|| text("class"));
    complaint.feedback = match (class, text("type")) {
        (Some(class), Some(kind)) => kept(&format!("{class}/{kind}")),
        (class, kind) => class.or(kind).and_then(kept),
    };
    // It may be a name as well: then whose address it is, is not said.
    complaint.address = text("source_identifier").and_then(original::address);
    let port = report.get("source_port").and_then(Value::as_u64);
    complaint.port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    complaint.arrival = text("timestamp").and_then(paste::dated);
    complaint.report = text("report_id").and_then(kept);
    complaint.mail_from = text("smtp_from").and_then(unbracketed);
    arf::add(&mut complaint.rcpt_to, text("smtp_to").and_then(unbracketed));
    arf::add(&mut complaint.uris, text("url").and_then(kept));
    arf::add(&mut complaint.domains, text("domain").and_then(kept));
    let reporter = report.get("reporter");
    let of_reporter = |name: &str| reporter.and_then(|reporter| reporter.get(name)).and_then(Value::as_str);
    complaint.reporter = of_reporter("contact").or_else(|| of_reporter("org")).and_then(kept);
    let evidence = report.get("evidence").and_then(Value::as_array).into_iter().flatten().take(EVIDENCE_MAX);
    for piece in evidence {
        let text = |name: &str| piece.get(name).and_then(Value::as_str);
        let mail = text("content_type").is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            ["message/rfc822", "text/email", "text/rfc822-headers"]
                .iter()
                .any(|mail| kind.eq_ignore_ascii_case(mail))
        });
        let Some(payload) = text("payload").filter(|_| mail) else { continue };
        if let Some(message) = base64_decode(payload.as_bytes()) {
            original::read(&mut complaint, &message, header);
            break;
        }
    }
    complaint.message_id =
        complaint.message_id.or_else(|| text("message_id").and_then(|id| message_id::read(id.as_bytes())));
    Some(complaint)
}
