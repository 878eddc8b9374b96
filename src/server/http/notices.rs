//! `/v1/notices`: who is told what happens, how far behind each is, and a test of one.
//!
//! Knows: the fields of these answers (they are a contract). Must not know: how anybody is told.

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use super::question::Question;
use super::report::ReportRow;
use super::{Staff, Trouble};
use crate::access::Asker;
use crate::session::Name;

/// Who is told, and what a day was like.
pub trait Desk: Send + Sync + 'static {
    /// Everybody who is told.
    fn notices(&self) -> Vec<NoticeRow>;

    /// Sends a test to the receiver of this name; `None`: there is none.
    fn test_notice(&self, name: &str, by: &Name) -> impl Future<Output = Option<TestRow>> + Send;

    /// What a day was like; `None`: the one before today.
    fn report(
        &self,
        day: Option<jiff::civil::Date>,
    ) -> impl Future<Output = Result<ReportRow, Trouble>> + Send;
}

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct NoticeRow {
    /// Its name.
    pub name: String,
    /// `webhook` or `command`.
    pub way: String,
    /// Scheme, host and port, or the program. What follows may be a secret.
    pub to: String,
    /// Of what it is told.
    pub events: Vec<String>,
    /// So many wait for it.
    pub waiting: u64,
    /// Since when the first of them waits.
    pub oldest: Option<String>,
    /// When that is tried again.
    pub retry_at: Option<String>,
    /// When it took something last; since the daemon's start.
    pub taken_at: Option<String>,
    /// What it said last; since the daemon's start.
    pub said: Option<String>,
    /// So many it was never told.
    pub lost: u64,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TestRow {
    /// Whose.
    pub name: String,
    /// The test's id.
    pub id: String,
    /// `taken`, `later` or `refused`.
    pub outcome: String,
    /// What the receiver said.
    pub said: String,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
}

/// It is about nobody, and is told without a record.
pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<Vec<NoticeRow>>, Problem> {
    question.parameters.finish()?;
    Ok(Json(staff.notices()))
}

pub(super) async fn test<S: Staff>(
    State(staff): State<Arc<S>>,
    name: Result<Path<String>, PathRejection>,
    asker: Asker,
    question: Question,
) -> Result<Json<TestRow>, Problem> {
    question.parameters.finish()?;
    let Path(name) = name.map_err(|_| Problem::parameter("name", "not UTF-8, and no receiver's name"))?;
    let unknown =
        || Problem::new(Kind::UnknownNotice, "the list of notices has the names, as they are configured");
    staff.test_notice(&name, &asker.name).await.map(Json).ok_or_else(unknown)
}
