//! A mail as the parts it is made of. The crate `mail-parser` reads headers; the parts are found here, as it follows mails
//! within mails as deep as they go, which only stack overflow would end.
//!
//! Knows: MIME (RFC 2045, 2046). Must not know: what a part means.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Message, MessageParser, MimeHeaders};

/// So many parts are looked at.
const PARTS_MAX: usize = 64;
/// So many multiparts may be within each other.
const DEPTH_MAX: usize = 4;
/// So long may the headers of a part be altogether.
const HEADERS_OCTETS_MAX: usize = 256 * 1024;
/// So many of them are looked at.
const HEADERS_MAX: usize = 1000;
/// RFC 2046, 5.1.1: at most 70, and not every author has read it.
const BOUNDARY_OCTETS_MAX: usize = 200;

/// A part that has no further ones in it.
pub(super) struct Part<'x> {
    /// Lower-case.
    kind: String,
    /// Lower-case.
    subtype: String,
    /// The headers of the mail that holds it.
    pub(super) from: Option<String>,
    /// Decoded.
    pub(super) body: Cow<'x, [u8]>,
}

impl Part<'_> {
    pub(super) fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }
}

/// The parts of a mail, in order. `None`: it does not begin as mails do.
pub(super) fn parts(octets: &[u8]) -> Option<Vec<Part<'_>>> {
    let (headers, _) = split(octets);
    // Whatever has no field is taken for a header by the crate all the same.
    let message = parsed(headers).filter(|_| !fields(headers).is_empty())?;
    let from = message.from().and_then(|from| from.first()).and_then(|from| from.address());
    let mut parts = Vec::new();
    walk(octets, from, 0, &mut parts);
    Some(parts)
}

fn walk<'x>(octets: &'x [u8], from: Option<&str>, depth: usize, parts: &mut Vec<Part<'x>>) {
    if parts.len() >= PARTS_MAX {
        return;
    }
    let (headers, body) = split(octets);
    let message = parsed(headers);
    let content = message.as_ref().and_then(Message::content_type);
    let kind = content.map_or("text", |content| content.ctype()).to_ascii_lowercase();
    let subtype = content.and_then(|content| content.subtype()).unwrap_or("plain").to_ascii_lowercase();
    let boundary = content.and_then(|content| content.attribute("boundary"));
    let boundary = boundary.filter(|boundary| (1..=BOUNDARY_OCTETS_MAX).contains(&boundary.len()));
    if let Some(boundary) = boundary.filter(|_| kind == "multipart" && depth < DEPTH_MAX) {
        for part in between(body, boundary.as_bytes()) {
            walk(part, from, depth.saturating_add(1), parts);
        }
        return;
    }
    let encoding = message.as_ref().and_then(Message::content_transfer_encoding).map(str::to_ascii_lowercase);
    let decoded = match encoding.as_deref() {
        Some("base64") => base64_decode(body),
        Some("quoted-printable") => quoted_printable_decode(body),
        _ => None,
    };
    let body = decoded.map_or(Cow::Borrowed(body), Cow::Owned);
    parts.push(Part { kind, subtype, from: from.map(str::to_owned), body });
}

/// Headers and what follows the empty line behind them.
fn split(octets: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
        let length =
            rest.iter().position(|&octet| octet == b'\n').map_or(rest.len(), |end| end.saturating_add(1));
        let line = rest.get(..length).unwrap_or(rest);
        let after = at.saturating_add(length);
        if line == b"\n" || line == b"\r\n" {
            return (octets.get(..at).unwrap_or_default(), octets.get(after..).unwrap_or_default());
        }
        at = after;
    }
    (octets, &[])
}

/// What stands between the lines of a boundary.
fn between<'x>(body: &'x [u8], boundary: &[u8]) -> Vec<&'x [u8]> {
    let mut found = Vec::new();
    let (mut at, mut begun) = (0, None);
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let length =
            rest.iter().position(|&octet| octet == b'\n').map_or(rest.len(), |end| end.saturating_add(1));
        let line = rest.get(..length).unwrap_or(rest);
        let after =
            line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)).map(<[u8]>::trim_ascii_end);
        if let Some(after) = after.filter(|after| after.is_empty() || *after == b"--") {
            found.extend(begun.and_then(|begun| body.get(begun..at)));
            begun = after.is_empty().then_some(at.saturating_add(length));
            if begun.is_none() || found.len() >= PARTS_MAX {
                return found;
            }
        }
        at = at.saturating_add(length);
    }
    // A report that was cut off has its last part all the same.
    found.extend(begun.and_then(|begun| body.get(begun..)));
    found
}

/// Only ever headers: see above.
fn parsed(headers: &[u8]) -> Option<Message<'_>> {
    let headers = headers.get(..HEADERS_OCTETS_MAX).unwrap_or(headers);
    let parser = MessageParser::new().with_mime_headers().with_address_headers().default_header_raw();
    let message = parser.parse_headers(headers)?;
    (!message.headers().is_empty()).then_some(message)
}

/// Fields as mails and reports have them, in order: names in lower case, values in one line.
pub(super) fn fields(octets: &[u8]) -> Vec<(String, String)> {
    let (headers, _) = split(octets.trim_ascii_start());
    let headers = headers.get(..HEADERS_OCTETS_MAX).unwrap_or(headers);
    let text = String::from_utf8_lossy(headers);
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if fields.len() >= HEADERS_MAX {
            break;
        }
        fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    fields
}
