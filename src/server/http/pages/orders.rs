//! Forms that give orders: suspend, release, close a case. The gate has seen to it that a page of ours sent them.
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
use crate::relay::standing::Order;
use crate::server::http::api::OrderBody;
use crate::server::http::auth::{CSRF_FIELD, form};
use crate::server::http::cases::{Id, number};
use crate::server::http::problem::{Kind, Problem};
use crate::server::http::suspensions::carry_out;
use crate::server::http::{Staff, reason};

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
    let mut fields = Fields::of(&body)?;
    let now = clock::now();
    let until = match fields.take("until") {
        None => None,
        Some(text) => {
            let zone = Zone::new(staff.zone());
            let until =
                zone.ahead(&text, now).map_err(|unread| Problem::parameter("until", unread.remark()))?;
            if until <= now {
                return Err(Problem::parameter("until", "this moment is past"));
            }
            Some(until)
        }
    };
    let force = fields.take("force").is_some();
    ordered(&*staff, asker, fields, Order::Suspend { until }, force).await
}

pub(in super::super) async fn release<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    ordered(&*staff, asker, Fields::of(&body)?, Order::Release, false).await
}

pub(in super::super) async fn close<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body)?;
    let id = number(id)?;
    let reason = reason(&fields.take("reason").unwrap_or_default())?;
    fields.finish()?;
    staff.close(asker.name, id, reason).await.map_err(Problem::from)?;
    Ok(Redirect::to(&format!("/case/{id}")).into_response())
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
