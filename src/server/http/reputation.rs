//! `/v1/reputation`: whether block lists have our own addresses.
//!
//! Knows: the fields of this answer (they are a contract). Must not know: how lists are asked, or when they are believed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use super::question::Question;
use super::walk::tagged;
use super::{Staff, sheet};

/// One of our own addresses on one list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReputationRow {
    /// The address.
    pub address: String,
    /// The list: its name, or else its zone.
    pub list: String,
    /// `listed`, `clean`, or `unknown`: it was not asked yet, or does not answer so that it could be believed.
    pub state: String,
    /// Since when.
    pub since: Option<String>,
    /// The last answer said otherwise; if the next one does, too, it is believed.
    pub doubted: bool,
    /// When it was asked about last.
    pub asked: Option<String>,
    /// What the list answers while it has the address.
    pub answers: Vec<String>,
    /// What it says beside.
    pub text: Option<String>,
    /// What the list showed of itself: `unproven` (it was not asked yet), `sane`, `empty`, `lists-everything`, `barred`,
    /// `foreign`, `timeout`, `server-failure`, `refused` or `unreachable`. It is believed only when it is `sane`.
    pub sanity: String,
    /// Why the state is not known, or not known anew, in words.
    pub why: Option<String>,
    /// The open case about it.
    pub case: Option<u64>,
}

/// It is about us and about nobody: it is answered without a record.
pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let as_sheet = question.sheet(&headers)?;
    question.parameters.finish()?;
    let rows = staff.reputation();
    Ok(if as_sheet { sheet::answer("reputation", &rows) } else { tagged(&headers, &rows) })
}
