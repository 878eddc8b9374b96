//! `/v1/verdicts`: what rspamd tells of a message comes in. `/v1/scanned`: what scanners found, and in whose messages.
//!
//! What comes in is answered without a name: a scanner that tells us of a message need not know whose it was.
//!
//! Knows: the fields of both (they are a contract; those that come in are of rspamd's `metadata_exporter`). Must not know: whose a
//! message was.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::api::{Candidate, rfc3339};
use super::lists::{mark, until};
use super::problem::Problem;
use super::question::Question;
use super::walk::Walked;
use super::{Staff, Trouble, body_of, in_order};
use crate::audit::rows::{Listed, ScannedFilter};
use crate::relay::scanned::{Finding, Scanned};
use crate::session::{Name, Timestamp};

/// Octets of what a scanner tells of one message.
pub const BODY_OCTETS_MAX: usize = 1024 * 1024;

/// What rspamd's `metadata_exporter` tells of a message (`formatter = "json"`). What else it tells is passed over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct VerdictBody {
    /// The client's address, or `unknown`.
    #[serde(default)]
    pub ip: String,
    /// The client's port, where a formatter of one's own tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The SASL login, or `unknown`.
    #[serde(default)]
    pub user: String,
    /// The queue id, or `unknown`.
    #[serde(default)]
    pub qid: String,
    /// What is done about it, such as `reject`.
    pub action: String,
    /// How bad it is.
    #[serde(default)]
    pub score: f64,
    /// What was found.
    #[serde(default, deserialize_with = "symbols")]
    pub symbols: Vec<Symbol>,
}

/// A list without anything in it is an object to whoever writes it from Lua.
fn symbols<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Symbol>, D::Error> {
    let told = Value::deserialize(deserializer)?;
    let text =
        |symbol: &Value, key: &str| symbol.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let symbol = |told: &Value| Symbol { name: text(told, "name"), group: text(told, "group") };
    Ok(told.as_array().map(|told| told.iter().map(symbol).collect()).unwrap_or_default())
}

/// A symbol of rspamd.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Symbol {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The group it is in.
    #[serde(default)]
    pub group: String,
}

/// What became of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct VerdictRow {
    /// `spam` or `virus`; `None`: neither, and nothing was written down.
    pub finding: Option<String>,
    /// `recorded`, `known` (it was told before), `nobodys` (whose the message was is not known for sure) or `clean`.
    pub outcome: String,
    /// Why.
    pub because: String,
}

/// What a scanner found in a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ScannedRow {
    /// When we were told.
    pub at: String,
    /// `spam` or `virus`.
    pub finding: String,
    /// `header` (a milter read it) or `scanner` (it was told by HTTP).
    pub by: String,
    /// Score or name, in the scanner's own words.
    pub told: String,
    /// Which MTA, where that is known.
    pub mta: String,
    /// The queue id; may be empty.
    pub queue_id: String,
    /// The client's address.
    pub address: Option<String>,
    /// The client's port.
    pub port: Option<u16>,
    /// Whose it was, where that is sure.
    pub subscriber: Option<String>,
    /// By which session.
    pub session: Option<String>,
    /// The NAS of the session.
    pub nas: Option<String>,
    /// The SASL login.
    pub login: Option<String>,
    /// Everybody who may have owned the address.
    pub candidates: Vec<Candidate>,
}

impl From<&Scanned> for ScannedRow {
    fn from(scanned: &Scanned) -> Self {
        let only = scanned.owner().map(Candidate::from).unwrap_or_default();
        let text = |name: &Name| if name.octets().is_empty() { String::new() } else { name.to_string() };
        ScannedRow {
            at: rfc3339(scanned.at).unwrap_or_default(),
            finding: scanned.finding.word().to_owned(),
            by: scanned.by.word().to_owned(),
            told: text(&scanned.told),
            mta: text(&scanned.mta),
            queue_id: text(&scanned.queue_id),
            address: scanned.address.map(|address| address.to_string()),
            port: scanned.port,
            subscriber: only.subscriber,
            session: only.session,
            nas: only.nas,
            login: scanned.login.as_ref().map(Name::to_string),
            candidates: scanned.owners.iter().map(Candidate::from).collect(),
        }
    }
}

impl Walked for ScannedFilter {
    type Row = ScannedRow;

    async fn rows<S: Staff>(
        &self,
        staff: &S,
        mark: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ScannedRow>, Trouble> {
        let until = until(self.until, mark);
        staff.scanned(&ScannedFilter { until, limit, ..self.clone() }).await
    }

    fn lost<S: Staff>(&self, staff: &S) -> Option<Timestamp> {
        staff.lost(Listed::Scanned, self.since, self.until)
    }

    fn mark(&self, row: &ScannedRow) -> Option<i64> {
        mark(Some(&row.at))
    }
}

pub(super) async fn tell<S: Staff>(
    State(staff): State<Arc<S>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<VerdictRow>, Problem> {
    let body: VerdictBody = body_of(body, BODY_OCTETS_MAX)?;
    Ok(Json(staff.verdict(body).await?))
}

pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let finding = match parameters.text("finding")? {
        None => None,
        Some(text) => {
            let finding = Finding::ALL.into_iter().find(|finding| finding.word() == text);
            Some(finding.ok_or_else(|| Problem::parameter("finding", "not spam or virus"))?)
        }
    };
    let filter = ScannedFilter {
        subscriber: parameters.name("subscriber")?,
        login: parameters.name("login")?,
        address: parameters.address("address")?,
        queue_id: parameters.name("queue_id")?,
        finding,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let ready = question.ready(&*staff)?;
    walk.answer(filter, ready, staff).await
}
