//! `/v1/nas`: the feed of each NAS, and the order to believe one while it is worked on.
//!
//! Knows: the fields of these answers and bodies (they are a contract), and how long a NAS may be held. Must not know: how
//! a feed is judged, or what a hold does.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::rfc3339;
use super::problem::Problem;
use super::question::Question;
use super::walk::tagged;
use super::{Staff, body_of, parameters, reason, sheet};
use crate::access::Asker;
use crate::clock;
use crate::session::{Name, Timestamp};

/// A hold hides that a feed is broken: whoever needs a longer one says so again.
const HELD_AT_MOST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The feed of one NAS. What is said to count since the daemon's start is forgotten by a restart; everything else is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct NasRow {
    /// The NAS. A client of which no NAS was ever heard stands here by its own name.
    pub nas: String,
    /// The RADIUS client it speaks through.
    pub client: String,
    /// In a word, and what matters most: `unheard` (no record was ever taken), `held`, `silent`, `lagging` (catching up on
    /// old records), `warm-up`, or `whole`.
    pub feed: String,
    /// When a record of it was taken last.
    pub last_heard: Option<String>,
    /// When a packet came last that was proven to be its client's, of use or not; since the daemon's start.
    pub last_packet: Option<String>,
    /// Records taken in the last whole minute of the clock.
    pub records_last_minute: u64,
    /// Active sessions.
    pub active: u64,
    /// Suspect sessions.
    pub suspect: u64,
    /// Sessions that await a confirmation.
    pub pending: u64,
    /// Accounting records taken.
    pub records: u64,
    /// Of them those that said no more than "still alive".
    pub refreshes: u64,
    /// Identical requests again, since the daemon's start: our answer was late, or lost.
    pub duplicates: u64,
    /// Records that say that they had to wait (Acct-Delay-Time above zero), since the daemon's start. A copy under a new
    /// Identifier that does not say so can't be told from a new record.
    pub retransmits: u64,
    /// Records that were late by more than retransmissions explain.
    pub late: u64,
    /// Sessions that ended without a Stop.
    pub stops_missed: u64,
    /// Claims that its client may not make (`may-assign`, `never`).
    pub claims_dropped: u64,
    /// Packets that were of no use, by reason, since the daemon's start; only reasons that occurred.
    pub unusable: Vec<UnusableRow>,
    /// The reason of the last of them.
    pub last_fault: Option<String>,
    /// When that was.
    pub last_fault_at: Option<String>,
    /// Interim interval in seconds, announced or learned.
    pub interval_seconds: Option<u64>,
    /// Not heard for longer than its sessions lead to expect.
    pub silent: bool,
    /// Whether who is not in the map is known to be offline, in the pools of its client.
    pub whole: bool,
    /// When it was heard anew after the last gap or silence; what is known from before is old knowledge.
    pub since: Option<String>,
    /// Why the feed of its client is not whole.
    pub why: Option<String>,
    /// Its clock: `undated` (it tells no time), `learning`, `known`, or `absurd`.
    pub clock: String,
    /// Our clock less the NAS's, in milliseconds, once learned.
    pub clock_offset_ms: Option<i64>,
    /// Records that said something about time that can't be true, since the daemon's start.
    pub absurd_times: u64,
    /// Until when its sessions are believed and its silence is no alarm; `None`: it is not held.
    pub held_until: Option<String>,
    /// Who said so.
    pub held_by: Option<String>,
    /// Why.
    pub held_reason: Option<String>,
}

/// Packets of one NAS that were of no use for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UnusableRow {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// When the last one came.
    pub last: Option<String>,
}

/// What a client sends to hold a NAS, or to hold it no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBody {
    /// Which; `0x...` for octets that are not printable text.
    pub nas: String,
    /// Why.
    pub reason: String,
    /// RFC 3339; only for a hold, and required there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What a hold came to, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct HoldRow {
    /// `hold` or `unhold`.
    pub order: String,
    /// Which NAS.
    pub nas: String,
    /// Sequence of the entry.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// Until when; `None`: no longer.
    pub until: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A hold to be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOrder {
    /// Who gives it.
    pub by: Name,
    /// Which NAS.
    pub nas: Name,
    /// Until when; `None`: no longer.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Name,
}

/// The state of the feed is about machines: it is answered without a record.
pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let only = question.parameters.name("nas")?.map(|nas| nas.to_string());
    let as_sheet = question.sheet(&headers)?;
    question.parameters.finish()?;
    let mut rows = staff.nas();
    rows.retain(|row| only.as_ref().is_none_or(|only| row.nas == *only));
    Ok(if as_sheet { sheet::answer("nas", &rows) } else { tagged(&headers, &rows) })
}

pub(super) async fn hold<S: Staff>(
    State(staff): State<Arc<S>>,
    Asker { name: by, .. }: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<HoldRow>, Problem> {
    let body: HoldBody = body_of(body, super::BODY_OCTETS_MAX)?;
    let Some(until) = &body.until else { return Err(Problem::parameter("until", "missing")) };
    let (until, now) = (parameters::time("until", until)?, clock::now());
    if until <= now {
        return Err(Problem::parameter("until", "this moment is past"));
    }
    if until > now.plus(HELD_AT_MOST) {
        return Err(Problem::parameter("until", "more than 7 days ahead; hold it again when they are over"));
    }
    carry_out(&*staff, by, &body, Some(until)).await
}

pub(super) async fn unhold<S: Staff>(
    State(staff): State<Arc<S>>,
    Asker { name: by, .. }: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<HoldRow>, Problem> {
    let body: HoldBody = body_of(body, super::BODY_OCTETS_MAX)?;
    if body.until.is_some() {
        return Err(Problem::parameter("until", "a hold ends at once"));
    }
    carry_out(&*staff, by, &body, None).await
}

async fn carry_out<S: Staff>(
    staff: &S,
    by: Name,
    body: &HoldBody,
    until: Option<Timestamp>,
) -> Result<Json<HoldRow>, Problem> {
    if body.nas.is_empty() {
        return Err(Problem::parameter("nas", "empty"));
    }
    let (nas, reason) = (Name::from_text(&body.nas), reason(&body.reason)?);
    let mut row = HoldRow {
        order: if until.is_some() { "hold" } else { "unhold" }.to_owned(),
        nas: nas.to_string(),
        until: until.and_then(rfc3339),
        by: by.to_string(),
        reason: reason.to_string(),
        ..HoldRow::default()
    };
    let ordered = staff.hold(HoldOrder { by, nas, until, reason }).await?;
    row.reference = ordered.reference;
    row.at = rfc3339(ordered.at);
    Ok(Json(row))
}
