//! Answers in the words of the API: who is named and who is not, how places, ports and lines are spelled.
//!
//! Knows: the API's fields, and the values they are made of. Must not know: where the values come from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::audit::rows::{self, Confidence, What};
use crate::server::http::api::{Candidate, LineRow, StoryRow, Who, rfc3339};
use crate::session::bindings::Found;
use crate::session::{Name, Place, Ports, SessionKey};
use crate::views::Cause;

/// Nobody is named unless it can only be one: then the answer's own fields name it.
pub(super) fn answer(mut who: Who, candidates: Vec<Candidate>, confidence: Confidence) -> Who {
    confidence.word().clone_into(&mut who.confidence);
    let sure = matches!(confidence, Confidence::Exact | Confidence::UntilLastInterim);
    if let Some((first, others)) = candidates.split_first().filter(|_| sure) {
        // Several sessions of one subscriber are one owner, by none of them in particular.
        if others.iter().all(|other| other.subscriber == first.subscriber) {
            who.subscriber.clone_from(&first.subscriber);
        }
        if others.is_empty() {
            who.session.clone_from(&first.session);
            who.nas.clone_from(&first.nas);
            who.valid_from.clone_from(&first.valid_from);
            who.valid_until.clone_from(&first.valid_until);
        }
    }
    who.candidates = candidates;
    who
}

pub(super) fn living(found: &Found, ports: Option<Ports>) -> Candidate {
    let session = found.session.as_ref();
    Candidate {
        subscriber: found.subscriber().map(|name| name.to_string()),
        session: session.map(|session| session.key().to_string()),
        nas: session.map(|session| session.nas().name.to_string()),
        valid_from: rfc3339(found.since),
        valid_until: None,
        ports: ports.and_then(limited),
        line: session.map(|session| LineRow::from(&session.line())).unwrap_or_default(),
    }
}

pub(super) fn past_candidate(row: rows::Candidate) -> Candidate {
    Candidate {
        subscriber: row.subscriber.map(|name| name.to_string()),
        session: row.session,
        nas: row.nas.map(|name| name.to_string()),
        valid_from: rfc3339(row.valid_from),
        valid_until: row.valid_until.and_then(rfc3339),
        ports: limited(row.ports),
        line: LineRow::from(&row.line),
    }
}

/// Ports are spelled where they limit.
fn limited(ports: Ports) -> Option<String> {
    (!ports.is_all()).then(|| ports.to_string())
}

/// Attributes by name. One that came several times has all its values.
pub(super) fn kept(pairs: &[(Name, Name)]) -> BTreeMap<String, String> {
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        kept.entry(name.to_string())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value.to_string());
            })
            .or_insert_with(|| value.to_string());
    }
    kept
}

pub(super) fn story_row(row: rows::StoryRow) -> StoryRow {
    let arrival = match row.cause {
        Cause::Record(_, arrival) => rfc3339(arrival),
        _ => None,
    };
    let since = match row.what {
        What::Past { from, .. } => rfc3339(from),
        What::Gap { since } => rfc3339(since),
        _ => None,
    };
    let last_seen = match row.what {
        What::Unbound { how, last_seen } if !how.is_exact() => rfc3339(last_seen),
        _ => None,
    };
    let others = match row.what {
        What::Translation { inside, .. } => vec![inside.to_string()],
        _ => row.others.iter().map(SessionKey::to_string).collect(),
    };
    StoryRow {
        at: rfc3339(row.at),
        arrival,
        sequence: row.sequence,
        record: row.cause.word().to_owned(),
        nas: row.nas.map(|name| name.to_string()),
        session: row.session.map(|session| session.to_string()),
        subscriber: row.subscriber.map(|name| name.to_string()),
        inside: row.inside.map(|address| address.to_string()),
        address: row.place.map(spelled),
        what: row.what.word().to_owned(),
        since,
        last_seen,
        others,
    }
}

/// A host without its length, a prefix with it; ports where they limit.
pub(super) fn spelled(place: Place) -> String {
    let Place { prefix, ports, .. } = place;
    if prefix.prefix_len() != prefix.max_prefix_len() {
        return prefix.to_string();
    }
    match (prefix.addr(), limited(ports)) {
        (address, None) => address.to_string(),
        (IpAddr::V4(address), Some(ports)) => format!("{address}:{ports}"),
        (IpAddr::V6(address), Some(ports)) => format!("[{address}]:{ports}"),
    }
}
