//! `/v1/usage`: how much somebody sent lately, beside the limits that may hold for it.
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

use super::problem::Problem;
use super::question::Question;
use super::{Staff, sheet};
use crate::relay::limit::{Doing, Limit, Measure};
use crate::relay::standing::Subject;
use crate::relay::usage::{Amount, Usage, Usages};
use crate::session::Timestamp;

/// What a sender did lately, from wherever that is known.
pub(in crate::server) struct Lately<'a> {
    /// What it sent.
    pub(in crate::server) usage: Usage,
    /// Where refused recipients are counted.
    pub(in crate::server) usages: &'a Usages,
    /// Of those, so many are not written down yet.
    pub(in crate::server) unwritten: u64,
    /// SMTP sessions that are open.
    pub(in crate::server) connections: u64,
    /// Who.
    pub(in crate::server) subject: &'a Subject,
    /// When.
    pub(in crate::server) now: Timestamp,
}

impl Doing for Lately<'_> {
    fn sent(&self, window: Duration) -> Amount {
        self.usage.within(window, self.now)
    }

    fn refused(&self, window: Duration) -> u64 {
        self.usages.refused(self.subject, window, self.now).saturating_add(self.unwritten)
    }

    fn connection(&self) -> u64 {
        self.connections
    }
}

/// What was sent within the window of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UsageRow {
    /// The limit, by its name.
    pub limit: String,
    /// `observe` or `enforce`.
    pub mode: String,
    /// For whom it holds beside its name, such as `static` or `nas=bras*`; empty: for anybody but static prefixes.
    pub kind: String,
    /// `messages`, `recipients`, `bytes`, `refused` (recipients), `connections` or `message-size`.
    pub measure: String,
    /// So much was sent within the window that ends now, or so many are open; `None`: of a message's size there is none.
    pub sent: Option<u64>,
    /// So much may be.
    pub most: u64,
    /// How long the window is, in seconds.
    pub within: Option<u64>,
    /// Whether it is used up: one message more is not let go.
    pub full: bool,
}

impl UsageRow {
    /// A row for each measure of each limit that may hold for a sender of this name.
    pub(in crate::server) fn of(
        limits: &[Limit],
        subject: &Subject,
        limited: bool,
        lately: &Lately<'_>,
    ) -> Vec<UsageRow> {
        let mut rows = Vec::new();
        let may_hold = |limit: &&Limit| limit.kind.is_named(subject) && (limited || !limit.kind.limited);
        for limit in limits.iter().filter(may_hold) {
            let row = UsageRow {
                limit: limit.name.to_string(),
                mode: if limit.enforced { "enforce" } else { "observe" }.to_owned(),
                kind: limit.kind.to_string(),
                ..UsageRow::default()
            };
            rows.extend(limit.rates.iter().map(|rate| {
                let sent = rate.done(lately);
                UsageRow {
                    measure: rate.measure.word().to_owned(),
                    sent: Some(sent),
                    most: rate.most,
                    within: Some(rate.within.as_secs()),
                    full: sent >= rate.most,
                    ..row.clone()
                }
            }));
            rows.extend(limit.connections.map(|most| {
                let measure = Measure::Connections.word().to_owned();
                let open = lately.connection();
                UsageRow { measure, sent: Some(open), most, full: open >= most, ..row.clone() }
            }));
            rows.extend(limit.message_size.map(|most| {
                let measure = Measure::MessageSize.word().to_owned();
                UsageRow { measure, most, ..row }
            }));
        }
        rows
    }
}

pub(super) async fn usage<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let as_sheet = question.sheet(&headers)?;
    let subscriber = question.parameters.name("subscriber")?;
    let login = question.parameters.name("login")?;
    if let Some(name) = question.parameters.name("within")? {
        if subscriber.is_some() || login.is_some() {
            return Err(Problem::parameter("within", "somebody else is asked about already"));
        }
        let ready = question.ready(&*staff)?;
        let rows = staff.usage(Subject::Within(name));
        ready.answered(&*staff, rows.len()).await?;
        return Ok(if as_sheet { sheet::answer("usage", &rows) } else { Json(rows).into_response() });
    }
    let subject = match (subscriber, login) {
        (Some(name), None) => Subject::Subscriber(name),
        (None, Some(name)) => Subject::Login(name),
        (Some(_), Some(_)) => return Err(Problem::parameter("login", "a subscriber is asked about already")),
        (None, None) => return Err(Problem::parameter("subscriber", "missing, and no login either")),
    };
    let ready = question.ready(&*staff)?;
    let rows = staff.usage(subject);
    ready.answered(&*staff, rows.len()).await?;
    Ok(if as_sheet { sheet::answer("usage", &rows) } else { Json(rows).into_response() })
}
