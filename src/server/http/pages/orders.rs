//! Forms that give orders: suspend, limit, release, open a case and act on one. The gate has seen to it that a page of ours sent them.
//!
//! Knows: their fields. Must not know: what an order does.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use crate::access::Asker;
use crate::clock;
use crate::console::link;
use crate::console::moment::Zone;
use crate::relay::standing::{Order, Subject};
use crate::server::http::Staff;
use crate::server::http::api::OrderBody;
use crate::server::http::auth::{CSRF_FIELD, form};
use crate::server::http::cases::acts::{Told, open_one};
use crate::server::http::cases::{self, Deed, Id, OpenBody, number};
use crate::server::http::problem::{Kind, Problem};
use crate::server::http::suspensions::{carry_out, subject_of};
use crate::session::Timestamp;

/// A form's fields, each taken by name; what is left over is refused.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(body: &Bytes) -> Result<Fields, Problem> {
        let mut fields = form(body).ok_or_else(|| Problem::new(Kind::BadBody, "no form"))?;
        fields.retain(|(name, _)| name != CSRF_FIELD);
        Ok(Fields(fields))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1).filter(|value| !value.trim().is_empty())
    }

    /// A moment ahead, as people type it.
    fn until<S: Staff>(&mut self, staff: &S) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.take("until") else { return Ok(None) };
        let (zone, now) = (Zone::new(staff.zone()), clock::now());
        let until = zone.ahead(&text, now).map_err(|unread| Problem::parameter("until", unread.remark()))?;
        if until <= now {
            return Err(Problem::parameter("until", "this moment is past"));
        }
        Ok(Some(until))
    }

    fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::parameter(&name, "unknown here, or given twice")),
        }
    }
}

pub(in super::super) async fn suspend<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    hold_back(&*staff, asker, &body, |until| Order::Suspend { until }).await
}

pub(in super::super) async fn limit<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    hold_back(&*staff, asker, &body, |until| Order::Limit { until }).await
}

async fn hold_back<S: Staff>(
    staff: &S,
    asker: Asker,
    body: &Bytes,
    order: fn(Option<Timestamp>) -> Order,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body)?;
    let until = fields.until(staff)?;
    let force = fields.take("force").is_some();
    ordered(staff, asker, fields, order(until), force).await
}

pub(in super::super) async fn release<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    ordered(&*staff, asker, Fields::of(&body)?, Order::Release, false).await
}

pub(in super::super) async fn open<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body)?;
    let body = OpenBody {
        subject: fields.take("subject").map(|text| text.trim().to_owned()).unwrap_or_default(),
        kind: fields.take("kind"),
        reason: fields.take("reason").unwrap_or_default(),
        ticket: fields.take("ticket"),
        force: fields.take("force").is_some(),
    };
    fields.finish()?;
    let opened = open_one(&*staff, &asker, body).await?;
    Ok(to_case(opened.case))
}

pub(in super::super) async fn note<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    acted(&*staff, id, &asker, Fields::of(&body)?, Deed::Note).await
}

pub(in super::super) async fn dismiss<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    acted(&*staff, id, &asker, Fields::of(&body)?, Deed::Dismiss).await
}

pub(in super::super) async fn close<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    acted(&*staff, id, &asker, Fields::of(&body)?, Deed::Close).await
}

pub(in super::super) async fn limit_from_case<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body)?;
    let deed = Deed::Limit(fields.until(&*staff)?);
    acted(&*staff, id, &asker, fields, deed).await
}

pub(in super::super) async fn suspend_from_case<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body)?;
    let deed = Deed::Suspend(fields.until(&*staff)?);
    acted(&*staff, id, &asker, fields, deed).await
}

pub(in super::super) async fn release_from_case<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    acted(&*staff, id, &asker, Fields::of(&body)?, Deed::Release).await
}

async fn acted<S: Staff>(
    staff: &S,
    id: Id,
    asker: &Asker,
    mut fields: Fields,
    deed: Deed,
) -> Result<Response, Problem> {
    let id = number(id)?;
    let told = Told {
        deed,
        subject: fields.take("about").map(|about| whom(&about)).transpose()?,
        reason: fields.take("reason").unwrap_or_default(),
        ticket: fields.take("ticket"),
        force: fields.take("force").is_some(),
    };
    fields.finish()?;
    cases::acts::carry_out(staff, asker, id, told).await?;
    Ok(to_case(id))
}

/// Whom a case's form is about: `subscriber:NAME` or `login:NAME`.
fn whom(about: &str) -> Result<Subject, Problem> {
    let wrong = || Problem::parameter("about", "neither a subscriber nor a login of this case");
    let (kind, name) = about.split_once(':').ok_or_else(wrong)?;
    subject_of(name, Some(kind)).map_err(|_| wrong())
}

fn to_case(id: u64) -> Response {
    Redirect::to(&format!("/case/{id}")).into_response()
}

async fn ordered<S: Staff>(
    staff: &S,
    asker: Asker,
    mut fields: Fields,
    order: Order,
    force: bool,
) -> Result<Response, Problem> {
    let subject = fields.take("subject").map(|text| text.trim().to_owned()).unwrap_or_default();
    let body = OrderBody {
        subject: subject.clone(),
        kind: fields.take("kind"),
        reason: fields.take("reason").unwrap_or_default(),
        until: None,
        force,
    };
    let back = fields.take("back");
    fields.finish()?;
    let Json(_) = carry_out(staff, asker.name, body, order).await?;
    let path = match back.as_deref() {
        Some("subscriber") => link::subscriber(&subject),
        _ => "/suspensions".to_owned(),
    };
    Ok(Redirect::to(&path).into_response())
}
