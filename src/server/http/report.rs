//! `/v1/report`: what a day was like, for whoever comes to work in the morning.
//!
//! Knows: the fields of this answer (they are a contract). Must not know: how anything is counted, or how it looks
//! (`console::report`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Staff;
use super::coverage::GapRow;
use super::notices::NoticeRow;
use super::problem::Problem;
use super::question::Question;
use super::reputation::ReputationRow;
use super::top::TopRow;

/// A day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReportRow {
    /// Which, by the clock of the site: `2026-11-25`.
    pub day: String,
    /// The zone of that clock.
    pub zone: String,
    /// When it began.
    pub since: Option<String>,
    /// When it ended; or when this was made, if it has not ended.
    pub until: Option<String>,
    /// What was let go.
    pub sent: SentRow,
    /// What was refused or deferred, the most first.
    pub refusals: Vec<RefusalRow>,
    /// Who sent most.
    pub top: Vec<TopRow>,
    /// Cases.
    pub cases: CasesRow,
    /// Orders about somebody's mail.
    pub orders: OrdersRow,
    /// Our own addresses that are on a block list now.
    pub listed: Vec<ReputationRow>,
    /// How many NASes there are now.
    pub feeds: u64,
    /// Of them those that are not whole now, and why.
    pub feeds_unwell: Vec<FeedRow>,
    /// Spans of the day in which nothing was heard.
    pub gaps: Vec<GapRow>,
    /// Receivers of notices for whom something waits or was lost.
    pub notices_behind: Vec<NoticeRow>,
}

/// What was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SentRow {
    /// Messages.
    pub messages: u64,
    /// Recipients of all of them.
    pub recipients: u64,
    /// Octets of all of them.
    pub bytes: u64,
    /// Subscribers and logins that sent something.
    pub senders: u64,
}

/// What was refused or deferred for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct RefusalRow {
    /// Why.
    pub reason: String,
    /// `refuse` or `defer`; `None`: of some one, of some the other.
    pub verdict: Option<String>,
    /// How many, one for each recipient.
    pub count: u64,
    /// Of them those that were only observed.
    pub observed: u64,
}

/// Cases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CasesRow {
    /// So many were opened on that day.
    pub opened: u64,
    /// So many were closed or dismissed on that day.
    pub closed: u64,
    /// So many are open now.
    pub open: u64,
    /// Those that were opened on that day, the newest first; at most 20.
    pub newest: Vec<CaseLine>,
}

/// A case in a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CaseLine {
    /// Its number.
    pub id: u64,
    /// When it was opened.
    pub opened: Option<String>,
    /// By what.
    pub kind: String,
    /// `open` or `closed`.
    pub state: String,
    /// Whom it may be about, at most three.
    pub about: Vec<String>,
    /// What speaks for it, in words.
    pub words: String,
    /// Where it is shown, if the configuration says where pages are.
    pub link: Option<String>,
}

/// Orders about somebody's mail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrdersRow {
    /// Suspensions that were given on that day.
    pub suspended: u64,
    /// Limits.
    pub limited: u64,
    /// Releases.
    pub released: u64,
    /// Suspensions and limits that ended by themselves on that day.
    pub ran_out: u64,
    /// So many are suspended now.
    pub suspended_now: u64,
    /// So many are limited now.
    pub limited_now: u64,
    /// The orders of that day, the newest first; at most 20.
    pub newest: Vec<OrderLine>,
}

/// An order in a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// When.
    pub at: Option<String>,
    /// `suspend`, `limit`, `limit-until-delisted`, `release`, or `delist`, the end of one that held until then.
    pub order: String,
    /// `subscriber`, `login` or `within`.
    pub kind: String,
    /// About whom.
    pub subject: String,
    /// Until when; `None`: until released.
    pub until: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A feed that is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct FeedRow {
    /// The NAS.
    pub nas: String,
    /// Its feed in a word.
    pub feed: String,
    /// When a record of it was taken last.
    pub last_heard: Option<String>,
    /// Why.
    pub why: Option<String>,
}

/// Who sent most stands in it, so it is a question about people and written down as one.
pub(super) async fn report<S: Staff>(
    State(staff): State<Arc<S>>,
    mut question: Question,
) -> Result<Json<ReportRow>, Problem> {
    let day = question.parameters.text("day")?.map(|text| {
        let day = text.parse().ok().filter(|_| text.len() == "2026-11-25".len());
        day.ok_or_else(|| Problem::parameter("day", "no day; write such as 2026-11-25"))
    });
    let day = day.transpose()?;
    let ready = question.ready(&*staff)?;
    let row = staff.report(day).await?;
    ready.answered(&*staff, row.top.len()).await?;
    Ok(Json(row))
}
