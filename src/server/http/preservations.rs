//! `/v1/preservations`: what must be kept although it is older than is to be kept.
//!
//! Knows: the fields of these answers and bodies (they are a contract). Must not know: where the past is kept.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::rfc3339;
use super::problem::{Kind, Problem};
use super::question::Question;
use super::{BODY_OCTETS_MAX, Staff, body_of, parameters, reason};
use crate::access::Asker;
use crate::access::preservation::{About, Preservation, PreservationOrder};
use crate::clock;
use crate::session::{Name, Timestamp};

/// What is sent to have something kept, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreservationBody {
    /// A subscriber; either this or `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<String>,
    /// An address or a prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// RFC 3339; not to lift an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why; the number of the order, as a rule.
    pub reason: String,
}

/// An order in force, or that was just given or lifted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PreservationRow {
    /// Sequence of its entry.
    pub reference: u64,
    /// `subscriber` or `prefix`.
    pub kind: String,
    /// About whom or what.
    pub about: String,
    /// When it was given.
    pub since: Option<String>,
    /// Until when; `None`: it was lifted.
    pub until: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl PreservationRow {
    fn of(about: &About, preservation: &Preservation) -> PreservationRow {
        PreservationRow {
            reference: preservation.reference,
            kind: about.kind().to_owned(),
            about: about.to_string(),
            since: rfc3339(preservation.since),
            until: rfc3339(preservation.until),
            by: preservation.by.to_string(),
            reason: preservation.reason.to_string(),
        }
    }
}

/// It says about whom there are proceedings, so it leaves a record.
pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<Vec<PreservationRow>>, Problem> {
    let ready = question.ready(&*staff)?;
    let (preserved, now) = (staff.preserved(), clock::now());
    let rows: Vec<_> =
        preserved.in_force(now).map(|(about, order)| PreservationRow::of(about, order)).collect();
    ready.answered(&*staff, rows.len()).await?;
    Ok(Json(rows))
}

pub(super) async fn give<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<PreservationRow>, Problem> {
    let body: PreservationBody = body_of(body, BODY_OCTETS_MAX)?;
    let Some(until) = &body.until else { return Err(Problem::parameter("until", "missing")) };
    let until = parameters::time("until", until)?;
    if until <= clock::now() {
        return Err(Problem::parameter("until", "this moment is past"));
    }
    carry_out(&*staff, asker, &body, Some(until)).await
}

pub(super) async fn lift<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<PreservationRow>, Problem> {
    let body: PreservationBody = body_of(body, BODY_OCTETS_MAX)?;
    if body.until.is_some() {
        return Err(Problem::parameter("until", "an order is lifted at once"));
    }
    carry_out(&*staff, asker, &body, None).await
}

async fn carry_out<S: Staff>(
    staff: &S,
    asker: Asker,
    body: &PreservationBody,
    until: Option<Timestamp>,
) -> Result<Json<PreservationRow>, Problem> {
    let about = match (&body.subscriber, &body.prefix) {
        (Some(name), None) if name.trim().is_empty() => {
            return Err(Problem::parameter("subscriber", "empty"));
        }
        // Whoever was never seen may yet be: nothing is asked about him.
        (Some(name), None) => About::Subscriber(staff.canonical(&Name::from_text(name))),
        (None, Some(prefix)) => About::Prefix(parameters::prefix_of("prefix", prefix)?),
        (None, None) => return Err(Problem::parameter("subscriber", "missing; or say prefix")),
        (Some(_), Some(_)) => return Err(Problem::parameter("prefix", "beside subscriber; give two orders")),
    };
    let (reason, at) = (reason(&body.reason)?, clock::now());
    if until.is_none() && !staff.preserved().is_about(&about, at) {
        return Err(Problem::new(
            Kind::NotPreserved,
            "there is no order about this; the list has those in force",
        ));
    }
    let order =
        PreservationOrder { at, by: asker.name.clone(), about: about.clone(), until, reason: reason.clone() };
    let ordered = staff.preserve(order).await?;
    Ok(Json(PreservationRow {
        reference: ordered.reference,
        kind: about.kind().to_owned(),
        about: about.to_string(),
        since: rfc3339(at),
        until: until.and_then(rfc3339),
        by: asker.name.to_string(),
        reason: reason.to_string(),
    }))
}
