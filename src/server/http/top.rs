//! `/v1/top`: who sent most in a time, and how that compares with the same hours on the days before.
//!
//! Knows: the fields of this answer (they are a contract). Must not know: how anything is counted.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parameters::Parameters;
use super::problem::Problem;
use super::question::Question;
use super::{Staff, in_order, sheet};
use crate::audit::rows::Count;
use crate::clock;
use crate::session::Timestamp;

/// Senders that are answered when no limit is named.
pub(super) const LIMIT_DEFAULT: usize = 20;
/// More than that is no list of the first.
const LIMIT_MAX: usize = 1000;
/// What is looked at when no time is named.
const LATELY: Duration = Duration::from_secs(24 * 3600);
/// A longer time is another question.
const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Who sent much.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TopRow {
    /// `subscriber`, or `login` for what is no subscriber's.
    pub kind: String,
    /// Who.
    pub subject: String,
    /// Messages.
    pub messages: u64,
    /// Recipients of all of them.
    pub recipients: u64,
    /// Octets of all of them.
    pub bytes: u64,
    /// What is usual of what they are in order of: the average of the same hours on up to seven days before; `None`:
    /// nothing is kept of those.
    pub usual: Option<u64>,
    /// The most on one of those days.
    pub most_before: Option<u64>,
}

/// What can be counted, and its word.
pub(super) const MEASURES: [(Count, &str); 3] =
    [(Count::Messages, "messages"), (Count::Recipients, "recipients"), (Count::Octets, "bytes")];

fn measure(word: &str) -> Option<Count> {
    MEASURES.into_iter().find(|(_, known)| *known == word).map(|(count, _)| count)
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopFilter {
    /// In which order.
    pub by: Count,
    /// From then on.
    pub since: Timestamp,
    /// Before then.
    pub until: Timestamp,
    /// At most so many.
    pub limit: usize,
}

impl TopFilter {
    /// Takes `by`, `since`, `until` and `limit`.
    pub(super) fn of(parameters: &mut Parameters) -> Result<TopFilter, Problem> {
        let until = parameters.time("until")?.unwrap_or_else(clock::now);
        let since = parameters.time("since")?.unwrap_or_else(|| until.minus(LATELY));
        TopFilter::within(parameters, since, until)
    }

    /// Takes `by` and `limit`.
    pub(super) fn within(
        parameters: &mut Parameters,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<TopFilter, Problem> {
        let by = match parameters.text("by")? {
            None => Count::Messages,
            Some(word) => measure(&word)
                .ok_or_else(|| Problem::parameter("by", "none of messages, recipients and bytes"))?,
        };
        let limit = parameters.limit_if_told()?.unwrap_or(LIMIT_DEFAULT);
        if limit > LIMIT_MAX {
            return Err(Problem::parameter("limit", format!("not a number from 1 to {LIMIT_MAX}")));
        }
        in_order(Some(since), Some(until))?;
        if until.since(since) > WINDOW_MAX {
            return Err(Problem::parameter("since", "more than 7 days before until"));
        }
        Ok(TopFilter { by, since, until, limit })
    }
}

pub(super) async fn top<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let as_sheet = question.sheet(&headers)?;
    let filter = TopFilter::of(&mut question.parameters)?;
    let ready = question.ready(&*staff)?;
    let rows = staff.top(&filter).await?;
    ready.answered(&*staff, rows.len()).await?;
    Ok(if as_sheet { sheet::answer("top", &rows) } else { Json(rows).into_response() })
}
