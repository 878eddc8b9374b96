//! `/v1/cases`: what somebody should look at.
//!
//! Knows: by what cases can be narrowed, and why nothing was done to one. Must not know: what opens one.

pub mod acts;
pub mod rows;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

pub use self::acts::{ActBody, ActRow, CaseOrderBody, Deed, Doing, Done, OpenBody, Opening};
pub use self::rows::{CaseRow, EvidenceRow, HistoryRow, ListingRow, SignalRow};
use super::parameters::Parameters;
use super::problem::{Kind, Problem};
use super::question::{Question, Ready};
use super::walk::{Walked, tagged};
use super::{OrderError, Staff, Trouble};
use crate::relay::case::{Kind as CaseKind, State as CaseState};
use crate::session::Name;

/// Which cases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaseFilter {
    /// Only those in this state.
    pub state: Option<CaseState>,
    /// Only those that were opened by this.
    pub kind: Option<CaseKind>,
    /// Only those that may be about this subscriber.
    pub subscriber: Option<Name>,
    /// Only those that may be about this login.
    pub login: Option<Name>,
    /// Only those with a smaller number.
    pub before: Option<u64>,
    /// At most so many, the newest.
    pub limit: usize,
}

impl CaseFilter {
    /// So many that wait for somebody and may be about this subscriber.
    #[must_use]
    pub fn open_of(subscriber: Name, limit: usize) -> Self {
        let state = Some(CaseState::Open);
        CaseFilter { state, subscriber: Some(subscriber), limit, ..CaseFilter::default() }
    }
}

/// Why nothing was done to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseError {
    /// There is none of this number, or no longer.
    Unknown,
    /// It is closed already.
    Closed,
    /// It may have been one of several, or somebody else, and nobody was named.
    WhichOne,
    /// It is not about whom was named, or about nobody who is known.
    NotAbout,
    /// The order can't be given.
    Order(OrderError),
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
            CaseError::Closed => {
                Problem::new(Kind::CaseClosed, "a note can still be added, and whom it is about released")
            }
            CaseError::WhichOne => {
                Problem::parameter("subject", "it may have been any of several: name whom you mean")
            }
            CaseError::NotAbout => Problem::parameter("subject", "the case is not about them"),
            CaseError::Order(error) => error.into(),
            CaseError::Storage => Problem::new(
                Kind::Unrecorded,
                "the case is as before: this could not be made durable; see /readyz",
            ),
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
    let filter = CaseFilter {
        state,
        kind: kind(parameters)?,
        subscriber: parameters.name("subscriber")?,
        login: parameters.name("login")?,
        ..CaseFilter::default()
    };
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}

/// By what a case was opened; `None`: by anything.
pub(super) fn kind(parameters: &mut Parameters) -> Result<Option<CaseKind>, Problem> {
    let Some(word) = parameters.text("kind")? else { return Ok(None) };
    let wrong = || Problem::parameter("kind", "none of complaint, signal, listing and staff");
    CaseKind::of(&word).map(Some).ok_or_else(wrong)
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
    let about = case.iter().flat_map(|case| case.subscribers.iter().chain(&case.logins));
    let about = about.map(|name| Name::from_text(name));
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
