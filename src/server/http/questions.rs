//! `/v1/questions`: who asked what, for auditors, who are written down in turn.
//!
//! Knows: the fields of these answers (they are a contract). Must not know: how questions are kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::rfc3339;
use super::problem::Problem;
use super::question::Question;
use super::walk::Walked;
use super::{Staff, Trouble, in_order};
use crate::access::question::Reply;
use crate::audit::asked::{AskedFilter, AskedRow};
use crate::audit::rows::Listed;
use crate::session::Timestamp;

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct QuestionRow {
    /// Sequence of its entry.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// Who: the Unix user, or `token:` with its number and note.
    pub by: String,
    /// What they may do; `None`: it was asked before there were roles.
    pub role: Option<String>,
    /// `socket`, `token:ID` or `browser:ID`.
    pub via: String,
    /// What, as path and query.
    pub what: String,
    /// Whom or what it was about.
    pub about: Vec<String>,
    /// Why.
    pub purpose: Option<String>,
    /// How many rows were the answer; `None`: it was refused, or asked before that was counted.
    pub rows: Option<u64>,
    /// Whether the asker's role or scope did not suffice.
    pub refused: bool,
}

/// Whether the chain of questions is whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ChainRow {
    /// Whether every question that is kept fits to the one before it, and the newest to what the daemon has in memory.
    pub whole: bool,
    /// How many are kept.
    pub rows: u64,
    /// Sequence of the oldest.
    pub first: Option<u64>,
    /// Sequence of the newest.
    pub last: Option<u64>,
    /// Sequence of the first one that does not fit.
    pub broken_at: Option<u64>,
    /// Whether the newest is the one that the daemon has in memory.
    pub newest_is_known: bool,
}

impl From<AskedRow> for QuestionRow {
    fn from(row: AskedRow) -> Self {
        let AskedRow { sequence, asked } = row;
        let rows = match asked.reply {
            Reply::Rows(rows) => Some(rows),
            Reply::Refused | Reply::Uncounted => None,
        };
        QuestionRow {
            reference: sequence,
            at: rfc3339(asked.at),
            by: asked.by.to_string(),
            role: asked.role.map(|role| role.word().to_owned()),
            via: asked.via.to_string(),
            what: asked.what.to_string(),
            about: asked.about.iter().map(ToString::to_string).collect(),
            purpose: asked.purpose.map(|purpose| purpose.to_string()),
            rows,
            refused: asked.reply == Reply::Refused,
        }
    }
}

impl Walked for AskedFilter {
    type Row = QuestionRow;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<QuestionRow>, Trouble> {
        let before = mark.and_then(|mark| u64::try_from(mark.saturating_add(1)).ok());
        staff.questions(&AskedFilter { before, limit, ..self.clone() }).await
    }

    fn lost<S: Staff>(&self, staff: &S) -> Option<Timestamp> {
        staff.lost(Listed::Questions, self.since, self.until)
    }

    fn mark(&self, row: &QuestionRow) -> Option<i64> {
        i64::try_from(row.reference).ok()
    }
}

pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let filter = AskedFilter {
        by: parameters.name("by")?,
        about: parameters.name("about")?,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        before: None,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}

pub(super) async fn verify<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<ChainRow>, Problem> {
    let ready = question.ready(&*staff)?;
    let chain = staff.chain().await?;
    ready.answered(&*staff, 1).await?;
    Ok(Json(chain))
}
