//! `/v1/coverage`: for how long the past is kept, and when nothing was heard. What an answer about the past can't hold follows
//! from it.
//!
//! Knows: the fields of this answer (they are a contract). Must not know: how the past is kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use super::question::Question;
use super::{Staff, in_order};
use crate::config::Retention;

/// What can be known of a period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CoverageRow {
    /// How long each part of the past is kept.
    pub retention: RetentionRow,
    /// Since when anything is known, gaps too; `None`: nothing is yet.
    pub known_from: Option<String>,
    /// From then on a part of what was kept is lost: a file was damaged or is gone. `None`: nothing is.
    pub lost_from: Option<String>,
    /// Spans within the period in which nothing was received, oldest first.
    pub gaps: Vec<GapRow>,
}

/// `[retention]`, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct RetentionRow {
    /// Sessions and who had which address, after the session's end.
    pub sessions_seconds: u64,
    /// Messages, and closed cases.
    pub messages_seconds: u64,
    /// What staff asked and ordered.
    pub questions_seconds: u64,
}

/// A span in which nothing was received.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct GapRow {
    /// From when on; `None`: nothing was received ever before.
    pub since: Option<String>,
    /// Until when.
    pub until: String,
}

impl From<Retention> for RetentionRow {
    fn from(retention: Retention) -> Self {
        RetentionRow {
            sessions_seconds: retention.sessions.as_secs(),
            messages_seconds: retention.messages.as_secs(),
            questions_seconds: retention.questions.as_secs(),
        }
    }
}

/// It is about us and about nobody: it is answered without a record.
pub(super) async fn show<S: Staff>(
    State(staff): State<Arc<S>>,
    mut question: Question,
) -> Result<Json<CoverageRow>, Problem> {
    let since = question.parameters.time("since")?;
    let until = question.parameters.time("until")?;
    in_order(since, until)?;
    question.parameters.finish()?;
    Ok(Json(staff.coverage(since, until).await?))
}
