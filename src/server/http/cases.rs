//! `/v1/cases`: what somebody should look at.
//!
//! Knows: the fields of a case as it is told (they are a contract). Must not know: what opens one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::api::rfc3339;
use super::problem::{Kind, Problem};
use super::{Asked, Peer, Staff, body_of, reason};
use crate::relay::case::{Case, Event, Evidence, Reported, State as CaseState};
use crate::session::Name;

/// Why nothing was done to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseError {
    /// There is none of this number, or no longer.
    Unknown,
    /// It is closed already.
    Closed,
    /// It could not be made durable.
    Storage,
}

impl From<CaseError> for Problem {
    fn from(error: CaseError) -> Self {
        match error {
            CaseError::Unknown => Problem::new(
                Kind::UnknownCase,
                "the list of cases has the numbers; the oldest closed ones go",
            ),
            CaseError::Closed => Problem::new(Kind::CaseClosed, "there is nothing to close"),
            CaseError::Storage => Problem::new(
                Kind::Unrecorded,
                "the case is as before: this could not be made durable; see /readyz",
            ),
        }
    }
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaseRow {
    /// Its number.
    pub id: u64,
    /// When it was opened.
    pub opened: Option<String>,
    /// By what: `complaint`.
    pub kind: String,
    /// `open` or `closed`.
    pub state: String,
    /// Whom it may be about.
    pub subscribers: Vec<String>,
    /// How far that can be trusted.
    pub confidence: String,
    /// How many pieces of evidence came; not all of them are kept.
    pub evidence_count: u64,
    /// Those that are.
    pub evidence: Vec<EvidenceRow>,
    /// What happened, oldest first.
    pub history: Vec<HistoryRow>,
}

/// A piece of evidence: what a complaint says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// `arf` or `x-arf`.
    pub form: String,
    /// What is complained about.
    pub feedback: Option<String>,
    /// Who complains.
    pub reporter: Option<String>,
    /// Source address.
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
}

/// What happened to a case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Sequence of the entry.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// By whom.
    pub by: String,
    /// `opened`, `joined` or `closed`.
    pub what: String,
    /// Why.
    pub note: Option<String>,
}

/// What a client sends to close a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseBody {
    /// Why.
    pub reason: String,
}

/// What closing came to, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CloseRow {
    /// Which case.
    pub case: u64,
    /// Sequence of the entry.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

fn spelled(name: &Option<Name>) -> Option<String> {
    name.as_ref().map(Name::to_string)
}

impl From<&Case> for CaseRow {
    fn from(case: &Case) -> Self {
        let evidence = case.evidence.iter().map(|Evidence::Complaint(reported)| EvidenceRow::from(reported));
        CaseRow {
            id: case.id,
            opened: rfc3339(case.opened),
            kind: case.kind.word().to_owned(),
            state: case.state.word().to_owned(),
            subscribers: case.about.iter().map(Name::to_string).collect(),
            confidence: case.confidence.word().to_owned(),
            evidence_count: case.evidence_count,
            evidence: evidence.collect(),
            history: case.history.iter().map(HistoryRow::from).collect(),
        }
    }
}

impl From<&Reported> for EvidenceRow {
    fn from(reported: &Reported) -> Self {
        let message = |(mta, queue_id): &(Name, Name)| format!("{mta} {queue_id}");
        EvidenceRow {
            form: reported.form.to_string(),
            feedback: spelled(&reported.feedback),
            reporter: spelled(&reported.reporter),
            address: reported.address.map(|address| address.to_string()),
            port: reported.port,
            arrival: reported.arrival.and_then(rfc3339),
            message_id: spelled(&reported.message_id),
            token: spelled(&reported.token),
            messages: reported.messages.iter().map(message).collect(),
            found_by: reported.found_by.iter().map(Name::to_string).collect(),
        }
    }
}

impl From<&Event> for HistoryRow {
    fn from(event: &Event) -> Self {
        HistoryRow {
            reference: event.sequence,
            at: rfc3339(event.at),
            by: event.by.to_string(),
            what: event.what.word().to_owned(),
            note: spelled(&event.note),
        }
    }
}

pub(super) fn routes<S: Staff>() -> Router<Arc<S>> {
    Router::new()
        .route("/v1/cases", get(list::<S>))
        .route("/v1/cases/{id}", get(one::<S>))
        .route("/v1/cases/{id}/close", post(close::<S>))
}

async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    mut asked: Asked,
) -> Result<Json<Vec<CaseRow>>, Problem> {
    let parameters = &mut asked.parameters;
    let state = match parameters.text("state")?.as_deref() {
        None => None,
        Some("open") => Some(CaseState::Open),
        Some("closed") => Some(CaseState::Closed),
        Some(_) => return Err(Problem::parameter("state", "neither open nor closed")),
    };
    let subscriber = parameters.name("subscriber")?;
    let limit = parameters.limit()?;
    asked.recorded(&*staff).await?;
    Ok(Json(staff.cases(state, subscriber.as_ref(), limit)))
}

/// A number that is none is that of no case.
fn number(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| Problem::parameter("id", "not the number of a case"))
}

async fn one<S: Staff>(
    State(staff): State<Arc<S>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Json<CaseRow>, Problem> {
    let id = number(&id)?;
    asked.recorded(&*staff).await?;
    staff.case(id).map(Json).ok_or_else(|| CaseError::Unknown.into())
}

async fn close<S: Staff>(
    State(staff): State<Arc<S>>,
    Path(id): Path<String>,
    Peer(by): Peer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<CloseRow>, Problem> {
    let id = number(&id)?;
    let body: CloseBody = body_of(body, super::BODY_OCTETS_MAX)?;
    let reason = reason(&body.reason)?;
    let ordered = staff.close(by.clone(), id, reason.clone()).await?;
    Ok(Json(CloseRow {
        case: id,
        reference: ordered.reference,
        at: rfc3339(ordered.at),
        by: by.to_string(),
        reason: reason.to_string(),
    }))
}
