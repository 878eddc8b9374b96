//! `/v1/cases`: what somebody should look at.
//!
//! Knows: the fields of a case as it is told (they are a contract). Must not know: what opens one.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::rfc3339;
use super::problem::{Kind, Problem};
use super::question::{Question, Ready};
use super::walk::{Walked, tagged};
use super::{Staff, Trouble, body_of, reason};
use crate::access::Asker;
use crate::relay::case::{Case, Event, Evidence, Reported, State as CaseState};
use crate::session::Name;

/// Which cases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaseFilter {
    /// Only those in this state.
    pub state: Option<CaseState>,
    /// Only those that may be about this subscriber.
    pub subscriber: Option<Name>,
    /// Only those with a smaller number.
    pub before: Option<u64>,
    /// At most so many, the newest.
    pub limit: usize,
}

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
                "the list of cases has the numbers; a closed one goes when its time is over",
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
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
    /// When it goes; `None`: not before it is closed.
    pub kept_until: Option<String>,
}

/// A piece of evidence: what a complaint says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseBody {
    /// Why.
    pub reason: String,
}

/// What closing came to, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
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
        let evidence = case.evidence.iter().filter_map(|evidence| match evidence {
            Evidence::Complaint(reported) => Some(EvidenceRow::from(reported)),
            Evidence::Signal(_) | Evidence::Listing(_) => None,
        });
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
            kept_until: case.kept_until.and_then(rfc3339),
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

impl Walked for CaseFilter {
    type Row = CaseRow;
    const TAGGED: bool = true;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<CaseRow>, Trouble> {
        let before = mark.and_then(|mark| u64::try_from(mark.saturating_add(1)).ok());
        Ok(staff.cases(&CaseFilter { before, limit, ..self.clone() }))
    }

    fn mark(&self, row: &CaseRow) -> Option<i64> {
        i64::try_from(row.id).ok()
    }
}

pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let state = match parameters.text("state")?.as_deref() {
        None => None,
        Some("open") => Some(CaseState::Open),
        Some("closed") => Some(CaseState::Closed),
        Some(_) => return Err(Problem::parameter("state", "neither open nor closed")),
    };
    let filter = CaseFilter { state, subscriber: parameters.name("subscriber")?, before: None, limit: 0 };
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}

pub(super) type Id = Result<Path<String>, PathRejection>;

/// A number that is none is that of no case.
pub(super) fn number(id: Id) -> Result<u64, Problem> {
    let wrong = || Problem::parameter("id", "not the number of a case");
    let Path(id) = id.map_err(|_| wrong())?;
    id.parse().map_err(|_| wrong())
}

/// Whoever asks for a case asks about everybody in it.
pub(super) async fn asked<S: Staff>(staff: &S, id: u64, ready: Ready) -> Result<CaseRow, Problem> {
    let case = staff.case(id);
    let about = case.iter().flat_map(|case| &case.subscribers).map(|name| Name::from_text(name));
    ready.and_about(about).answered(staff, case.iter().len()).await?;
    Ok(case.ok_or(CaseError::Unknown)?)
}

pub(super) async fn one<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    headers: HeaderMap,
    question: Question,
) -> Result<Response, Problem> {
    let id = number(id)?;
    let ready = question.ready(&*staff)?;
    Ok(tagged(&headers, &asked(&*staff, id, ready).await?))
}

pub(super) async fn close<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    Asker { name: by, .. }: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<CloseRow>, Problem> {
    let id = number(id)?;
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
