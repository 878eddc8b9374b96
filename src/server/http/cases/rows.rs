//! A case as it is told. Its fields are a contract.
//!
//! Knows: field names, and how a case is spelled in them. Must not know: HTTP, or what opens a case.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::relay::case::{Case, Event, Evidence, Reported};
use crate::relay::signal::{Listing, Signal};
use crate::relay::standing::Subject;
use crate::server::http::api::{SuspensionRow, rfc3339};
use crate::session::Name;

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CaseRow {
    /// Its number.
    pub id: u64,
    /// When it was opened.
    pub opened: Option<String>,
    /// By what: `complaint`, `signal`, `listing` or `staff`.
    pub kind: String,
    /// `open` or `closed`.
    pub state: String,
    /// Subscribers whom it may be about.
    pub subscribers: Vec<String>,
    /// Logins whom it may be about.
    pub logins: Vec<String>,
    /// Who sends within a trusted host, as `host/sender`, and it may be about; left out where that is nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// How far that can be trusted.
    pub confidence: String,
    /// How many pieces of evidence came; not all of them are kept.
    pub evidence_count: u64,
    /// Those that are.
    pub evidence: Vec<EvidenceRow>,
    /// What happened, oldest first.
    pub history: Vec<HistoryRow>,
    /// Orders in force about whom it may be about, from whichever case.
    pub in_force: Vec<SuspensionRow>,
    /// When it goes; `None`: not before it is closed.
    pub kept_until: Option<String>,
}

/// A piece of evidence: what a complaint says, a signal, or a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct EvidenceRow {
    /// `complaint`, `signal` or `listing`.
    pub kind: String,
    /// Of a complaint: `arf` or `x-arf`.
    pub form: Option<String>,
    /// What is complained about.
    pub feedback: Option<String>,
    /// Who complains.
    pub reporter: Option<String>,
    /// Source address that a complaint names.
    pub address: Option<String>,
    /// Source port.
    pub port: Option<u16>,
    /// When the message arrived there.
    pub arrival: Option<String>,
    /// Message-ID.
    pub message_id: Option<String>,
    /// The token in the message's header.
    pub token: Option<String>,
    /// Messages that were written down and match, as mail server and queue id.
    pub messages: Vec<String>,
    /// By which ways it was found whose it is.
    pub found_by: Vec<String>,
    /// The signal.
    pub signal: Option<SignalRow>,
    /// The listing.
    pub listing: Option<ListingRow>,
}

/// Somebody sends as they never did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SignalRow {
    /// When it was seen.
    pub at: Option<String>,
    /// `subscriber` or `login`.
    pub kind: String,
    /// Of whom.
    pub subject: String,
    /// Its name, such as `messages`.
    pub name: String,
    /// What was measured.
    pub value: u64,
    /// From where on it is a signal.
    pub threshold: u64,
    /// The same in words, with what is usual.
    pub words: String,
}

/// A block list has one of our own addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ListingRow {
    /// When it was seen.
    pub at: Option<String>,
    /// Which address.
    pub address: String,
    /// The list, by its zone.
    pub list: String,
    /// What the list answered.
    pub answers: Vec<String>,
    /// What it said beside.
    pub text: Option<String>,
    /// Who stood out in the time before; any of them may be it, or somebody else.
    pub suspects: Vec<SignalRow>,
}

/// What happened to a case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct HistoryRow {
    /// Sequence of the entry.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// By whom: a user, a token, or `rule:` and a rule's name.
    pub by: String,
    /// `opened`, `joined`, `noted`, `limited`, `suspended`, `released`, `dismissed` or `closed`; of a rule also `observed` (it
    /// would have given the order) or `called` (it has given too many, and calls a human); `access` is what a NAS said; `delisted`:
    /// the list no longer has the address.
    pub what: String,
    /// `limit`, `suspend` or `release`: the order that was given, or would have been.
    pub order: Option<String>,
    /// `subscriber` or `login`, of whom that is about.
    pub kind: Option<String>,
    /// About whom that is.
    pub subject: Option<String>,
    /// Until when that holds; `None`: until another order.
    pub until: Option<String>,
    /// It holds until the listing is over; left out where it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_delisted: bool,
    /// Why; of a note, its text.
    pub note: Option<String>,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<String>,
}

fn spelled(name: &Option<Name>) -> Option<String> {
    name.as_ref().map(Name::to_string)
}

impl From<&Case> for CaseRow {
    fn from(case: &Case) -> Self {
        let of = |kind: &str| -> Vec<String> {
            let of = case.about.iter().filter(|subject| subject.kind() == kind);
            of.map(|subject| subject.name().to_string()).collect()
        };
        CaseRow {
            id: case.id,
            opened: rfc3339(case.opened),
            kind: case.kind.word().to_owned(),
            state: case.state.word().to_owned(),
            subscribers: case.about.iter().filter_map(Subject::subscriber).map(Name::to_string).collect(),
            logins: of("login"),
            within: of("within"),
            confidence: case.confidence.word().to_owned(),
            evidence_count: case.evidence_count,
            evidence: case.evidence.iter().map(EvidenceRow::from).collect(),
            history: case.history.iter().map(HistoryRow::from).collect(),
            in_force: Vec::new(),
            kept_until: case.kept_until.and_then(rfc3339),
        }
    }
}

impl CaseRow {
    /// What the first piece of evidence says, or whoever opened the case, in a line.
    #[must_use]
    pub fn what(&self) -> Option<String> {
        match self.evidence.first() {
            Some(EvidenceRow { signal: Some(signal), .. }) => Some(signal.words.clone()),
            Some(EvidenceRow { listing: Some(listing), .. }) => {
                Some(format!("{} on {}", listing.address, listing.list))
            }
            Some(EvidenceRow { feedback, reporter, .. }) => {
                let parts: Vec<_> = [feedback, reporter].into_iter().flatten().map(String::as_str).collect();
                (!parts.is_empty()).then(|| parts.join(" from "))
            }
            None => self.history.first().and_then(|opened| opened.note.clone()),
        }
    }
}

impl From<&Evidence> for EvidenceRow {
    fn from(evidence: &Evidence) -> Self {
        match evidence {
            Evidence::Complaint(reported) => EvidenceRow::from(reported),
            Evidence::Signal(signal) => EvidenceRow {
                kind: "signal".to_owned(),
                signal: Some(SignalRow::from(signal)),
                ..EvidenceRow::default()
            },
            Evidence::Listing(listing) => EvidenceRow {
                kind: "listing".to_owned(),
                listing: Some(ListingRow::from(listing)),
                ..EvidenceRow::default()
            },
        }
    }
}

impl From<&Reported> for EvidenceRow {
    fn from(reported: &Reported) -> Self {
        let message = |(mta, queue_id): &(Name, Name)| format!("{mta} {queue_id}");
        EvidenceRow {
            kind: "complaint".to_owned(),
            form: Some(reported.form.to_string()),
            feedback: spelled(&reported.feedback),
            reporter: spelled(&reported.reporter),
            address: reported.address.map(|address| address.to_string()),
            port: reported.port,
            arrival: reported.arrival.and_then(rfc3339),
            message_id: spelled(&reported.message_id),
            token: spelled(&reported.token),
            messages: reported.messages.iter().map(message).collect(),
            found_by: reported.found_by.iter().map(Name::to_string).collect(),
            signal: None,
            listing: None,
        }
    }
}

impl From<&Signal> for SignalRow {
    fn from(signal: &Signal) -> Self {
        SignalRow {
            at: rfc3339(signal.at),
            kind: signal.subject.kind().to_owned(),
            subject: signal.subject.name().to_string(),
            name: signal.name.to_string(),
            value: signal.value,
            threshold: signal.threshold,
            words: signal.words.to_string(),
        }
    }
}

impl From<&Listing> for ListingRow {
    fn from(listing: &Listing) -> Self {
        ListingRow {
            at: rfc3339(listing.at),
            address: listing.address.to_string(),
            list: listing.list.to_string(),
            answers: listing.answers.iter().map(ToString::to_string).collect(),
            text: spelled(&listing.text),
            suspects: listing.suspects.iter().map(SignalRow::from).collect(),
        }
    }
}

impl HistoryRow {
    /// The order that was not given, and would have been.
    #[must_use]
    pub fn unfulfilled(&self) -> Option<&str> {
        self.order.as_deref().filter(|_| ["observed", "called"].contains(&self.what.as_str()))
    }
}

impl From<&Event> for HistoryRow {
    fn from(event: &Event) -> Self {
        let order = event.order.as_ref();
        HistoryRow {
            reference: event.sequence,
            at: rfc3339(event.at),
            by: event.by.to_string(),
            what: event.what.word().to_owned(),
            order: order.map(|(_, order)| order.word().to_owned()),
            kind: order.map(|(subject, _)| subject.kind().to_owned()),
            subject: order.map(|(subject, _)| subject.name().to_string()),
            until: order.and_then(|(_, order)| order.until()).and_then(rfc3339),
            until_delisted: order.is_some_and(|(_, order)| order.is_until_delisted()),
            note: spelled(&event.note),
            ticket: spelled(&event.ticket),
        }
    }
}
