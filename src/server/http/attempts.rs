//! `/v1/attempts`: what was refused or deferred, for the help desk that has a bounce in its hand.
//!
//! Knows: the fields of these answers (they are a contract). Must not know: how attempts are kept.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{Candidate, rfc3339};
use super::lists::{mark, until};
use super::problem::Problem;
use super::question::Question;
use super::walk::Walked;
use super::{Staff, Trouble, in_order};
use crate::audit::rows::{AttemptFilter, Listed};
use crate::relay::advice::{Advice, COUNTED};
use crate::relay::attempts::{Attempt, Reference};
use crate::relay::verdict::Reason;
use crate::session::{Name, Timestamp};

/// The word for attempts that were more than could be told apart.
pub const TOO_MANY: &str = "too-many";

/// Attempts of one minute that have address, reason, profile and mail server in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AttemptRow {
    /// What the text of the refusal ended with.
    pub reference: String,
    /// When the first of them was.
    pub at: String,
    /// When the last of them was.
    pub until: String,
    /// How many: one for each recipient.
    pub count: u64,
    /// Which MTA.
    pub mta: String,
    /// What its listener is for.
    pub profile: String,
    /// `refuse` or `defer`; `None`: of some one, of some the other.
    pub verdict: Option<String>,
    /// Why; `too-many`: they were only counted.
    pub reason: String,
    /// What that means.
    pub meaning: String,
    /// What to do about it.
    pub remedy: String,
    /// The client's address.
    pub address: Option<String>,
    /// The port of the last one.
    pub port: Option<u16>,
    /// Whose it is; `None` when nobody or more than one is named.
    pub subscriber: Option<String>,
    /// By which session.
    pub session: Option<String>,
    /// The NAS of the session.
    pub nas: Option<String>,
    /// The SASL login of the last one that had one.
    pub login: Option<String>,
    /// The HELO name of the last one.
    pub helo: String,
    /// The envelope sender of the last one.
    pub sender: String,
    /// The domain of the last one's recipient.
    pub recipient_domain: String,
    /// The suspension that held, by its reference.
    pub suspension: Option<u64>,
    /// Decided under `observe`.
    pub observed: bool,
    /// Everybody who owned the address in that minute.
    pub candidates: Vec<Candidate>,
}

impl From<&Attempt> for AttemptRow {
    fn from(attempt: &Attempt) -> Self {
        let only = attempt.owner().map(Candidate::from).unwrap_or_default();
        let Advice { meaning, remedy } = attempt.reason.map_or(COUNTED, Advice::on);
        let text = |name: &Name| if name.octets().is_empty() { String::new() } else { name.to_string() };
        AttemptRow {
            reference: attempt.reference.to_string(),
            at: rfc3339(attempt.first).unwrap_or_default(),
            until: rfc3339(attempt.last).unwrap_or_default(),
            count: attempt.count,
            mta: text(&attempt.mta),
            profile: attempt.reason.map_or(String::new(), |_| attempt.profile.word().to_owned()),
            verdict: attempt.reason.map(|reason| reason.verdict().word().to_owned()),
            reason: attempt.reason.map_or(TOO_MANY, Reason::word).to_owned(),
            meaning: meaning.to_owned(),
            remedy: remedy.to_owned(),
            address: attempt.address.map(|address| address.to_string()),
            port: attempt.port,
            subscriber: only.subscriber,
            session: only.session,
            nas: only.nas,
            login: attempt.login.as_ref().map(Name::to_string),
            helo: text(&attempt.helo),
            sender: text(&attempt.sender),
            recipient_domain: text(&attempt.recipient_domain),
            suspension: attempt.suspension,
            observed: attempt.observed,
            candidates: attempt.owners.iter().map(Candidate::from).collect(),
        }
    }
}

impl Walked for AttemptFilter {
    type Row = AttemptRow;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AttemptRow>, Trouble> {
        let until = until(self.until, mark);
        staff.attempts(&AttemptFilter { until, limit, ..self.clone() }).await
    }

    fn lost<S: Staff>(&self, staff: &S) -> Option<Timestamp> {
        staff.lost(Listed::Attempts, self.since, self.until)
    }

    fn mark(&self, row: &AttemptRow) -> Option<i64> {
        mark(Some(&row.at))
    }
}

pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let reference = match parameters.text("reference")? {
        None => None,
        Some(text) => Some(Reference::of(&text).ok_or_else(|| {
            Problem::parameter("reference", "not the eight hex digits that a refusal ends with")
        })?),
    };
    let reason = match parameters.text("reason")? {
        None => None,
        Some(text) => {
            let reason = Reason::ALL.iter().find(|reason| reason.word() == text);
            Some(*reason.ok_or_else(|| {
                Problem::parameter("reason", "not one of the words that answers are given by")
            })?)
        }
    };
    let filter = AttemptFilter {
        reference,
        subscriber: parameters.name("subscriber")?,
        address: parameters.address("address")?,
        reason,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}
