//! The header of the message that is complained about: which hosts passed it on, its token and its id.
//!
//! Knows: what Received headers look like (RFC 5321, 4.4, and what mail servers make of it). Must not know: which hosts are
//! ours, or whether any of it is true.

use std::net::IpAddr;

use super::{Complaint, Hop, kept, mime};
use crate::paste;
use crate::relay::message_id;

/// A message that went through more hosts than that is in a loop.
const HOPS_MAX: usize = 30;

pub(super) fn read(complaint: &mut Complaint, octets: &[u8], header: Option<&str>) {
    let header = header.map(str::to_ascii_lowercase);
    for (name, value) in mime::fields(octets) {
        if name == "received" && complaint.hops.len() < HOPS_MAX {
            complaint.hops.push(hop(&value));
        } else if name == "message-id" && complaint.message_id.is_none() {
            complaint.message_id = message_id::read(value.as_bytes());
        } else if Some(&name) == header.as_ref() && complaint.token.is_none() {
            // Ours stands above whatever the sender put there.
            complaint.token = kept(&value);
        }
    }
}

/// `from helo (name [A]:P) by host (Postfix) with ESMTP id Q; date`.
fn hop(value: &str) -> Hop {
    let (clauses, date) = value.rsplit_once(';').unwrap_or((value, ""));
    let from = clauses.split(" by ").next().filter(|from| from.starts_with("from "));
    // What stands in parentheses the host saw itself; what stands before them the client only said.
    let seen = from.and_then(|from| from.split_once('(')).map(|(_, seen)| paste::endpoints(seen));
    let seen = seen.filter(|seen| !seen.is_empty());
    let client = seen.or_else(|| from.map(paste::endpoints)).unwrap_or_default();
    // Several addresses: the client's is not known.
    let client = match client.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let behind = |word: &str| {
        let mut words = clauses.split_whitespace().skip_while(|found| *found != word).skip(1);
        words.next().map(|found| found.trim_matches(['<', '>', '(', ')', ',']))
    };
    Hop {
        by: behind("by").and_then(kept),
        queue_id: behind("id").and_then(kept),
        address: client.map(|client| client.address),
        port: client.and_then(|client| client.port),
        at: paste::dated(date),
    }
}

/// One address, also in brackets and with the tag of RFC 5321, 4.1.3.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.split_whitespace().next()?.trim_matches(['[', ']']);
    let tagged = text.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:")).and_then(|_| text.get(5..));
    let address: IpAddr = tagged.unwrap_or(text).parse().ok()?;
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}
