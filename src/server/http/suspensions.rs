//! `/v1/suspensions`: who may not send, or little, and the orders about it.
//!
//! Knows: what an order has to say. Must not know: what comes of it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;

use super::api::{Instruction, OrderBody, OrderRow, rfc3339};
use super::problem::Problem;
use super::question::Question;
use super::walk::tagged;
use super::{BODY_OCTETS_MAX, Staff, body_of, parameters, reason, sheet};
use crate::access::Asker;
use crate::clock;
use crate::relay::standing::{Order, Subject};
use crate::session::{Name, Timestamp};

pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let as_sheet = question.sheet(&headers)?;
    let ready = question.ready(&*staff)?;
    let rows = staff.suspensions();
    ready.answered(&*staff, rows.len()).await?;
    Ok(if as_sheet { sheet::answer("suspensions", &rows) } else { tagged(&headers, &rows) })
}

pub(super) async fn suspend<S: Staff>(
    State(staff): State<Arc<S>>,
    Asker { name: by, .. }: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OrderRow>, Problem> {
    hold_back(&*staff, by, body, |until| Order::Suspend { until }).await
}

pub(super) async fn limit<S: Staff>(
    State(staff): State<Arc<S>>,
    Asker { name: by, .. }: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OrderRow>, Problem> {
    hold_back(&*staff, by, body, |until| Order::Limit { until }).await
}

async fn hold_back<S: Staff>(
    staff: &S,
    by: Name,
    body: Result<Bytes, BytesRejection>,
    order: fn(Option<Timestamp>) -> Order,
) -> Result<Json<OrderRow>, Problem> {
    let body: OrderBody = body_of(body, BODY_OCTETS_MAX)?;
    let until = until(&body)?;
    carry_out(staff, by, body, order(until)).await
}

fn until(body: &OrderBody) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = &body.until else { return Ok(None) };
    let until = parameters::time("until", text)?;
    if until <= clock::now() {
        return Err(Problem::parameter("until", "this moment is past"));
    }
    Ok(Some(until))
}

/// Whom an order is about, as it was typed. Without a kind it is a subscriber.
pub(super) fn subject_of(name: &str, kind: Option<&str>) -> Result<Subject, Problem> {
    if name.is_empty() {
        return Err(Problem::parameter("subject", "empty"));
    }
    Subject::of(kind.unwrap_or("subscriber"), Name::from_text(name))
        .ok_or_else(|| Problem::parameter("kind", "none of subscriber, login, within"))
}

pub(super) async fn release<S: Staff>(
    State(staff): State<Arc<S>>,
    Asker { name: by, .. }: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OrderRow>, Problem> {
    let body: OrderBody = body_of(body, BODY_OCTETS_MAX)?;
    if body.until.is_some() {
        return Err(Problem::parameter("until", "a release holds at once and for good"));
    }
    carry_out(&*staff, by, body, Order::Release).await
}

pub(super) async fn carry_out<S: Staff>(
    staff: &S,
    by: Name,
    body: OrderBody,
    order: Order,
) -> Result<Json<OrderRow>, Problem> {
    let subject = subject_of(&body.subject, body.kind.as_deref())?;
    let reason = reason(&body.reason)?;
    let mut row = OrderRow {
        order: order.word().to_owned(),
        kind: subject.kind().to_owned(),
        subject: subject.name().to_string(),
        until: order.until().and_then(rfc3339),
        by: by.to_string(),
        reason: reason.to_string(),
        ..OrderRow::default()
    };
    let ordered = staff.order(Instruction { by, subject, order, reason, force: body.force }).await?;
    row.reference = ordered.reference;
    row.at = rfc3339(ordered.at);
    Ok(Json(row))
}
