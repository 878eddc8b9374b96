//! The rows of the API as columns, and the card that `who` shows.
//!
//! Knows: which fields people look at first. Must not know: formats, beyond a list of cells.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::output::{Row, safe};
use super::time::shown;
use crate::relay::verdict::Reason;
use crate::server::http::api::{Candidate, LineRow, MessageRow, SessionRow, SuspensionRow, Who};

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "-";
/// The confidences with which nobody is named.
const AMBIGUOUS: &str = "ambiguous";
const UNKNOWN: &str = "unknown";

pub(super) fn or_nothing(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or(NOTHING).to_owned()
}

pub(super) fn local(text: Option<&str>, zone: &TimeZone) -> String {
    text.map_or_else(|| NOTHING.to_owned(), |text| shown(text, zone))
}

pub(super) fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

pub(super) fn number<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The names of everybody it may have been.
pub(super) fn candidates_of(who: &Who) -> String {
    subscribers(&who.candidates)
}

pub(super) fn subscribers(candidates: &[Candidate]) -> String {
    let names: Vec<&str> =
        candidates.iter().filter_map(|candidate| candidate.subscriber.as_deref()).collect();
    names.join(" ")
}

impl Row for SessionRow {
    const HEADINGS: &'static [&'static str] = &["SUBSCRIBER", "ADDRESSES", "NAS", "STATE", "SINCE", "UNTIL"];
    const FIELDS: &'static [&'static str] = &[
        "subscriber",
        "user_name",
        "addresses",
        "realm",
        "inside",
        "session",
        "nas",
        "state",
        "valid_from",
        "valid_until",
        "last_seen",
        "port_id",
        "calling_station",
        "circuit_id",
        "remote_id",
        "kept",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            or_nothing(self.subscriber.as_deref()),
            or_nothing(Some(&self.addresses.join(" "))),
            self.nas.clone(),
            self.state.clone(),
            local(self.valid_from.as_deref(), zone),
            local(self.valid_until.as_deref(), zone),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let kept: Vec<String> = self.kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![
            text(self.subscriber.as_deref()),
            text(self.user_name.as_deref()),
            self.addresses.join(" "),
            text(self.realm.as_deref()),
            text(self.inside.as_deref()),
            self.session.clone(),
            self.nas.clone(),
            self.state.clone(),
            text(self.valid_from.as_deref()),
            text(self.valid_until.as_deref()),
            text(self.last_seen.as_deref()),
            text(self.line.port_id.as_deref()),
            text(self.line.calling_station.as_deref()),
            text(self.line.circuit_id.as_deref()),
            text(self.line.remote_id.as_deref()),
            kept.join(" "),
        ]
    }
}

impl Row for MessageRow {
    const HEADINGS: &'static [&'static str] =
        &["AT", "SUBSCRIBER", "ADDRESS", "QUEUE-ID", "SENDER", "RCPTS", "SIZE", "VERDICT"];
    const FIELDS: &'static [&'static str] = &[
        "at",
        "mta",
        "profile",
        "queue_id",
        "instance",
        "subscriber",
        "session",
        "nas",
        "address",
        "port",
        "login",
        "helo",
        "sender",
        "recipient_count",
        "recipient_domains",
        "size",
        "token",
        "message_id",
        "verdict",
        "reason",
        "observed",
        "candidates",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let owner = match (&self.subscriber, &self.login, self.candidates.as_slice()) {
            (Some(subscriber), _, _) => subscriber.clone(),
            (None, _, [_, ..]) => format!("one of: {}", subscribers(&self.candidates)),
            (None, Some(login), []) => format!("login {login}"),
            (None, None, []) => NOTHING.to_owned(),
        };
        let observed = if self.observed { ", observed" } else { "" };
        vec![
            shown(&self.at, zone),
            owner,
            or_nothing(self.address.as_deref()),
            or_nothing(Some(&self.queue_id)),
            format!("<{}>", self.sender),
            self.recipient_count.to_string(),
            self.size.to_string(),
            format!("{} ({}{observed})", self.verdict, self.reason),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.at.clone(),
            self.mta.clone(),
            self.profile.clone(),
            self.queue_id.clone(),
            self.instance.clone(),
            text(self.subscriber.as_deref()),
            text(self.session.as_deref()),
            text(self.nas.as_deref()),
            text(self.address.as_deref()),
            number(self.port),
            text(self.login.as_deref()),
            self.helo.clone(),
            self.sender.clone(),
            self.recipient_count.to_string(),
            self.recipient_domains.join(" "),
            self.size.to_string(),
            text(self.token.as_deref()),
            text(self.message_id.as_deref()),
            self.verdict.clone(),
            self.reason.clone(),
            self.observed.to_string(),
            subscribers(&self.candidates),
        ]
    }
}

impl Row for SuspensionRow {
    const HEADINGS: &'static [&'static str] =
        &["SUBJECT", "KIND", "STANDING", "SINCE", "UNTIL", "BY", "REFERENCE", "CASE", "REASON"];
    const FIELDS: &'static [&'static str] = &[
        "kind",
        "subject",
        "standing",
        "reference",
        "since",
        "until",
        "by",
        "reason",
        "case",
        "until_delisted",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            self.subject.clone(),
            self.kind.clone(),
            self.standing.clone(),
            local(self.since.as_deref(), zone),
            match self.until.as_deref() {
                Some(until) => shown(until, zone),
                None if self.until_delisted.is_empty() => "open-ended".to_owned(),
                None => "delisted".to_owned(),
            },
            self.by.clone(),
            self.reference.to_string(),
            or_nothing(self.case.map(|case| case.to_string()).as_deref()),
            self.reason.clone(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.subject.clone(),
            self.standing.clone(),
            self.reference.to_string(),
            text(self.since.as_deref()),
            text(self.until.as_deref()),
            self.by.clone(),
            self.reason.clone(),
            number(self.case),
            self.until_delisted.join("; "),
        ]
    }
}

impl Row for Who {
    const HEADINGS: &'static [&'static str] = Who::FIELDS;
    const FIELDS: &'static [&'static str] = &[
        "address",
        "port",
        "realm",
        "at",
        "verdict",
        "reason",
        "subscriber",
        "session",
        "nas",
        "valid_from",
        "valid_until",
        "confidence",
        "because",
        "candidates",
    ];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        self.fields()
    }

    fn fields(&self) -> Vec<String> {
        vec![
            text(self.address.as_deref()),
            number(self.port),
            text(self.realm.as_deref()),
            self.at.clone(),
            text(self.verdict.as_deref()),
            text(self.reason.as_deref()),
            text(self.subscriber.as_deref()),
            text(self.session.as_deref()),
            text(self.nas.as_deref()),
            text(self.valid_from.as_deref()),
            text(self.valid_until.as_deref()),
            self.confidence.clone(),
            text(self.because.as_deref()),
            subscribers(&self.candidates),
        ]
    }
}

/// The answer of `who` for people: one fact a line, times both local and in UTC, fit for a ticket.
#[must_use]
pub fn card(who: &Who, zone: &TimeZone) -> String {
    let both = |at: &str| format!("{} ({at})", shown(at, zone));
    let port = who.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let address = who.address.as_ref().map(|address| format!("{address}{port}"));
    // Of an answer that is not sure even a single candidate is no more than that.
    let only = match who.candidates.as_slice() {
        [only] if !is_doubtful(who) => Some(only),
        _ => None,
    };
    let until = match (&who.valid_until, &who.valid_from) {
        (Some(until), _) => Some(both(until)),
        (None, Some(_)) => Some("it still lasts".to_owned()),
        (None, None) => None,
    };
    let mut facts = vec![
        ("Address", address),
        ("Realm", who.realm.clone()),
        ("At", Some(both(&who.at))),
        ("Within", who.within_seconds.map(|seconds| format!("{seconds} s before and after"))),
        ("Verdict", verdict(who)),
        ("Subscriber", Some(whose(who))),
        ("Session", who.session.clone()),
        ("NAS", who.nas.clone()),
        ("Ports", only.and_then(|only| only.ports.clone())),
        ("Line", only.and_then(|only| line(&only.line))),
        ("Since", who.valid_from.as_deref().map(both)),
        ("Until", until),
        ("Confidence", Some(confidence(who))),
    ];
    if only.is_none() {
        facts.extend(who.candidates.iter().map(|each| ("Candidate", Some(candidate(each, zone)))));
    }
    let mut card = String::new();
    for (title, fact) in facts {
        let Some(fact) = fact else { continue };
        // Writing to a String can't fail.
        let _ = writeln!(card, "{title:<12}{}", safe(&fact));
    }
    card
}

fn verdict(who: &Who) -> Option<String> {
    let verdict = who.verdict.as_ref()?;
    let Some(word) = &who.reason else { return Some(verdict.clone()) };
    match Reason::ALL.iter().find(|reason| reason.word() == word) {
        Some(reason) if reason.text() == word => Some(format!("{verdict}: {word}")),
        Some(reason) => Some(format!("{verdict}: {} ({word})", reason.text())),
        None => Some(format!("{verdict} ({word})")),
    }
}

/// Whether nobody is named, whoever the candidates are.
fn is_doubtful(who: &Who) -> bool {
    [AMBIGUOUS, UNKNOWN].contains(&who.confidence.as_str())
}

fn whose(who: &Who) -> String {
    match (&who.subscriber, who.candidates.as_slice(), who.confidence.as_str()) {
        (Some(subscriber), _, _) => subscriber.clone(),
        (None, [_], AMBIGUOUS | UNKNOWN) => "not known; perhaps the candidate below".to_owned(),
        (None, [_], _) => "a session that no identity rule names".to_owned(),
        (None, [_, ..], _) => "one of the candidates below".to_owned(),
        (None, [], "exact") => "nobody".to_owned(),
        (None, [], _) => "not known".to_owned(),
    }
}

fn confidence(who: &Who) -> String {
    let word = &who.confidence;
    let meaning = match (word.as_str(), &who.because) {
        ("exact", _) => return word.clone(),
        ("until-last-interim", None) => "the end was never reported; sure only until the last sign of life",
        (AMBIGUOUS, None) => "more than one may have had it; accuse nobody on this alone",
        (AMBIGUOUS, Some(because)) => return format!("{word}: {because}; accuse nobody on this alone"),
        (_, Some(because)) => because,
        (UNKNOWN, None) if who.reason.as_deref() == Some(Reason::PortRequired.word()) => {
            "the address is shared by ports"
        }
        (UNKNOWN, None) => "the feed was not whole then",
        _ => return word.clone(),
    };
    format!("{word}: {meaning}")
}

fn line(line: &LineRow) -> Option<String> {
    let parts = [
        ("port", &line.port_id),
        ("station", &line.calling_station),
        ("circuit", &line.circuit_id),
        ("remote", &line.remote_id),
    ];
    let parts: Vec<String> =
        parts.iter().filter_map(|(name, part)| part.as_ref().map(|part| format!("{name} {part}"))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn candidate(candidate: &Candidate, zone: &TimeZone) -> String {
    let mut text = or_nothing(candidate.subscriber.as_deref());
    let facts = [
        ("ports", candidate.ports.clone()),
        ("session", candidate.session.clone()),
        ("since", candidate.valid_from.as_deref().map(|at| shown(at, zone))),
        ("until", candidate.valid_until.as_deref().map(|at| shown(at, zone))),
        ("line", line(&candidate.line)),
    ];
    for (title, fact) in facts {
        if let Some(fact) = fact {
            let _ = write!(text, ", {title} {fact}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_candidate_of_an_answer_that_is_not_known_is_shown_and_not_named() {
        let alice = Candidate { subscriber: Some("alice".to_owned()), ..Candidate::default() };
        let who = |confidence: &str, because: Option<&str>| Who {
            address: Some("192.0.2.7".to_owned()),
            confidence: confidence.to_owned(),
            because: because.map(str::to_owned),
            candidates: vec![alice.clone()],
            ..Who::default()
        };
        for confidence in [AMBIGUOUS, UNKNOWN] {
            let card = card(&who(confidence, Some("a reason")), &TimeZone::UTC);
            assert!(card.contains("Subscriber  not known; perhaps the candidate below\n"), "{card}");
            assert!(card.contains("Candidate   alice\n"), "{card}");
        }
        // Of a sure answer it is the owner, and this one has no name.
        let card = card(&who("exact", None), &TimeZone::UTC);
        assert!(card.contains("Subscriber  a session that no identity rule names\n"), "{card}");
        assert!(!card.contains("Candidate"), "{card}");
    }
}
