//! Pages that are lists: sessions, messages, the story of an address, top senders, feeds, suspensions, questions.
//!
//! Knows: by what each can be narrowed. Must not know: how rows are found, or how they look.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{Looker, ROWS, moment, page};
use crate::audit::asked::AskedFilter;
use crate::audit::rows::{MessageFilter, SessionFilter, StoryFilter};
use crate::console::link::{Href, Link};
use crate::console::lists::{Case, Cases, Feeds, Field, List, Pager, Questions, Rows, Suspensions, Top};
use crate::console::{Frame, Place};
use crate::relay::case::State as CaseState;
use crate::server::http::api::rfc3339;
use crate::server::http::cases::{CaseError, CaseFilter};
use crate::server::http::problem::Problem;
use crate::server::http::question::Question;
use crate::server::http::top::{MEASURES, TopFilter};
use crate::server::http::{Staff, Wanted, in_order, realm};
use crate::session::{Name, Realm, Timestamp};

/// Names of parameters and what stands in them, as links of this list carry them.
type Told = Vec<(&'static str, String)>;

fn spelled(name: Option<&Name>) -> String {
    name.map(Name::to_string).unwrap_or_default()
}

fn instant(at: Option<Timestamp>) -> String {
    at.and_then(rfc3339).unwrap_or_default()
}

fn href(frame: &Frame, path: &str, told: &Told, more: &[(&str, &str)]) -> Href {
    let all: Vec<(&str, &str)> =
        told.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect();
    frame.href(path, &all)
}

/// The way through a list. `goes_on`: it does not begin at the newest row.
fn pager(frame: &Frame, path: &str, api: &str, told: &Told, goes_on: bool, next: Option<&str>) -> Pager {
    Pager {
        first: goes_on.then(|| href(frame, path, told, &[])),
        next: next.map(|cursor| href(frame, path, told, &[("cursor", cursor)])),
        csv: href(frame, api, told, &[("format", "csv")]),
        json: href(frame, api, told, &[]),
    }
}

fn field(name: &'static str, label: &'static str, value: &str, example: &'static str) -> Field {
    Field { name, label, value: value.to_owned(), example }
}

pub(in super::super) async fn sessions<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Elsewhere, question.purpose());
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let (realm_name, realm) = realm(&*staff, parameters)?;
    let filter = SessionFilter {
        subscriber: parameters.name("subscriber")?,
        prefix: parameters.prefix("address")?,
        realm,
        since: moment(parameters, "since", &frame.zone)?,
        until: moment(parameters, "until", &frame.zone)?,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    if realm != Realm::PUBLIC && filter.prefix.is_none() {
        return Err(Problem::parameter("realm", "says in which space address lies; name that too"));
    }
    let address = filter.prefix.map(|prefix| match prefix.prefix_len() == prefix.max_prefix_len() {
        true => prefix.addr().to_string(),
        false => prefix.to_string(),
    });
    let told: Told = vec![
        ("subscriber", spelled(filter.subscriber.as_ref())),
        ("address", address.unwrap_or_default()),
        ("realm", spelled(realm_name.as_ref())),
        ("since", instant(filter.since)),
        ("until", instant(filter.until)),
    ];
    let ready = question.ready(&*staff)?;
    let (rows, next) = walk.part(&filter, &*staff, ROWS, &told).await?;
    ready.answered(&*staff, rows.len()).await?;
    let value = |name: &str| told.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    let fields = vec![
        field("subscriber", "Subscriber", value("subscriber"), ""),
        field("address", "Address or prefix", value("address"), "198.51.100.0/24"),
        field("realm", "Realm", value("realm"), "public"),
        field("since", "From", &instant(filter.since), "2026-11-23 14:00"),
        field("until", "Until", &instant(filter.until), "now"),
    ];
    let pager = pager(&frame, "/sessions", "/v1/sessions", &told, walk.goes_on(), next.as_deref());
    let list =
        List { frame, title: "Sessions", path: "/sessions", fields, rows: Rows::Sessions(rows), pager };
    Ok(page(StatusCode::OK, &list))
}

pub(in super::super) async fn messages<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Elsewhere, question.purpose());
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let recipient = parameters.name("recipient")?;
    let filter = MessageFilter {
        subscriber: parameters.name("subscriber")?,
        address: parameters.address("address")?,
        queue_id: parameters.name("queue_id")?,
        token: parameters.name("token")?,
        login: parameters.name("login")?,
        sender: parameters.name("sender")?,
        recipient: recipient.as_ref().map(|recipient| staff.recipient(recipient)),
        recipient_domain: parameters.name("recipient_domain")?,
        helo: parameters.name("helo")?,
        since: moment(parameters, "since", &frame.zone)?,
        until: moment(parameters, "until", &frame.zone)?,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let told: Told = vec![
        ("subscriber", spelled(filter.subscriber.as_ref())),
        ("address", filter.address.map(|address| address.to_string()).unwrap_or_default()),
        ("queue_id", spelled(filter.queue_id.as_ref())),
        ("token", spelled(filter.token.as_ref())),
        ("login", spelled(filter.login.as_ref())),
        ("sender", spelled(filter.sender.as_ref())),
        ("recipient", spelled(recipient.as_ref())),
        ("recipient_domain", spelled(filter.recipient_domain.as_ref())),
        ("helo", spelled(filter.helo.as_ref())),
        ("since", instant(filter.since)),
        ("until", instant(filter.until)),
    ];
    let ready = question.ready(&*staff)?;
    let (rows, next) = walk.part(&filter, &*staff, ROWS, &told).await?;
    ready.answered(&*staff, rows.len()).await?;
    let labels = [
        "Subscriber",
        "Address",
        "Queue-id",
        "Token",
        "Login",
        "Sender",
        "Recipient",
        "Recipient's domain",
        "HELO",
        "From",
        "Until",
    ];
    let examples = ["", "198.51.100.7", "", "", "", "", "", "", "", "2026-11-23 14:00", "now"];
    let fields = told.iter().zip(labels).zip(examples);
    let fields = fields.map(|(((name, value), label), example)| field(name, label, value, example)).collect();
    let pager = pager(&frame, "/messages", "/v1/messages", &told, walk.goes_on(), next.as_deref());
    let list =
        List { frame, title: "Messages", path: "/messages", fields, rows: Rows::Messages(rows), pager };
    Ok(page(StatusCode::OK, &list))
}

pub(in super::super) async fn story<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Elsewhere, question.purpose());
    let Wanted { name, realm, address, port } = Wanted::of(&*staff, &mut question.parameters)?;
    let parameters = &mut question.parameters;
    let filter = StoryFilter {
        realm,
        address,
        port,
        since: moment(parameters, "since", &frame.zone)?,
        until: moment(parameters, "until", &frame.zone)?,
        limit: 1000,
    };
    in_order(filter.since, filter.until)?;
    let ready = question.ready(&*staff)?;
    let rows = staff.explain(&filter).await?;
    ready.answered(&*staff, rows.len()).await?;
    let told: Told = vec![
        ("address", address.to_string()),
        ("port", port.map(|port| port.to_string()).unwrap_or_default()),
        ("realm", name.unwrap_or_default()),
        ("since", instant(filter.since)),
        ("until", instant(filter.until)),
    ];
    let labels = ["Address", "Port", "Realm", "From", "Until"];
    let examples = ["198.51.100.7", "", "public", "2026-11-23 14:00", "now"];
    let fields = told.iter().zip(labels).zip(examples);
    let fields = fields.map(|(((name, value), label), example)| field(name, label, value, example)).collect();
    let pager = pager(&frame, "/story", "/v1/explain", &told, false, None);
    let list =
        List { frame, title: "Story of an address", path: "/story", fields, rows: Rows::Story(rows), pager };
    Ok(page(StatusCode::OK, &list))
}

pub(in super::super) async fn top<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Top, question.purpose());
    let parameters = &mut question.parameters;
    let (from, to) = (moment(parameters, "since", &frame.zone)?, moment(parameters, "until", &frame.zone)?);
    let until = to.unwrap_or(frame.now);
    // Today, as the wall has it; in its first moments, yesterday's last hour as well.
    let since = from
        .unwrap_or_else(|| frame.zone.midnight(until).min(until.minus(std::time::Duration::from_secs(3600))));
    let filter = TopFilter::within(parameters, since, until)?;
    let ready = question.ready(&*staff)?;
    let rows = staff.top(&filter).await?;
    ready.answered(&*staff, rows.len()).await?;
    let told: Told = vec![("since", instant(from)), ("until", instant(to))];
    let by = MEASURES.into_iter().find(|(count, _)| *count == filter.by).map_or("messages", |(_, word)| word);
    let measure =
        |(count, word)| (Link::new(href(&frame, "/top", &told, &[("by", word)]), word), count == filter.by);
    let as_api: Told =
        vec![("by", by.to_owned()), ("since", instant(Some(since))), ("until", instant(Some(until)))];
    let top = Top {
        measures: MEASURES.into_iter().map(measure).collect(),
        by,
        from: frame.zone.spelled(since),
        to: frame.zone.spelled(until),
        since: instant(from),
        until: instant(to),
        pager: pager(&frame, "/top", "/v1/top", &as_api, false, None),
        rows,
        frame,
    };
    Ok(page(StatusCode::OK, &top))
}

/// The state of the feed is about machines: it is shown without a record.
pub(in super::super) async fn feeds<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Feeds, question.purpose());
    question.parameters.finish()?;
    let pager = pager(&frame, "/feeds", "/v1/nas", &Vec::new(), false, None);
    Ok(page(StatusCode::OK, &Feeds { frame, rows: staff.nas(), reputation: staff.reputation(), pager }))
}

pub(in super::super) async fn cases<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Cases, question.purpose());
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let (state, word) = match parameters.text("state")?.as_deref() {
        None | Some("open") => (Some(CaseState::Open), "open"),
        Some("closed") => (Some(CaseState::Closed), "closed"),
        Some("all") => (None, "all"),
        Some(_) => return Err(Problem::parameter("state", "none of open, closed and all")),
    };
    let filter = CaseFilter { state, subscriber: parameters.name("subscriber")?, before: None, limit: 0 };
    let of = spelled(filter.subscriber.as_ref());
    let told: Told = vec![("state", word.to_owned()), ("subscriber", of.clone())];
    let ready = question.ready(&*staff)?;
    let (rows, next) = walk.part(&filter, &*staff, ROWS, &told).await?;
    ready.answered(&*staff, rows.len()).await?;
    let as_api: Told =
        vec![("state", if state.is_some() { word } else { "" }.to_owned()), ("subscriber", of.clone())];
    let state = |each: &'static str| {
        (Link::new(frame.href("/cases", &[("state", each), ("subscriber", &of)]), each), each == word)
    };
    let states = ["open", "closed", "all"].into_iter().map(state).collect();
    let api = pager(&frame, "/cases", "/v1/cases", &as_api, false, None);
    let pager = Pager {
        csv: api.csv,
        json: api.json,
        ..pager(&frame, "/cases", "", &told, walk.goes_on(), next.as_deref())
    };
    Ok(page(StatusCode::OK, &Cases { frame, states, subscriber: of, rows, pager }))
}

pub(in super::super) async fn case<S: Staff>(
    State(staff): State<Arc<S>>,
    Path(id): Path<String>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Cases, question.purpose());
    let unknown = || Problem::from(CaseError::Unknown);
    let row = staff.case(id.parse().map_err(|_| Problem::parameter("id", "not the number of a case"))?);
    for name in row.iter().flat_map(|row| &row.subscribers) {
        question.concerning(Name::from_text(name));
    }
    let ready = question.ready(&*staff)?;
    ready.answered(&*staff, row.iter().count()).await?;
    let row = row.ok_or_else(unknown)?;
    let json = frame.href(&format!("/v1/cases/{}", row.id), &[]);
    Ok(page(StatusCode::OK, &Case { frame, row, json }))
}

pub(in super::super) async fn suspensions<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Suspensions, question.purpose());
    let ready = question.ready(&*staff)?;
    let rows = staff.suspensions();
    ready.answered(&*staff, rows.len()).await?;
    let pager = pager(&frame, "/suspensions", "/v1/suspensions", &Vec::new(), false, None);
    Ok(page(StatusCode::OK, &Suspensions { frame, rows, pager }))
}

pub(in super::super) async fn questions<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Questions, question.purpose());
    let walk = question.walk(&headers)?;
    let parameters = &mut question.parameters;
    let verify = parameters.text("verify")?.is_some();
    let filter = AskedFilter {
        by: parameters.name("by")?,
        about: parameters.name("about")?,
        since: moment(parameters, "since", &frame.zone)?,
        until: moment(parameters, "until", &frame.zone)?,
        before: None,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let told: Told = vec![
        ("by", spelled(filter.by.as_ref())),
        ("about", spelled(filter.about.as_ref())),
        ("since", instant(filter.since)),
        ("until", instant(filter.until)),
    ];
    let ready = question.ready(&*staff)?;
    let (rows, next) = walk.part(&filter, &*staff, ROWS, &told).await?;
    let chain = if verify { Some(staff.chain().await?) } else { None };
    ready.answered(&*staff, rows.len()).await?;
    let labels = ["Asked by", "About", "From", "Until"];
    let examples = ["user, or a token's number", "address, subscriber, ...", "2026-11-23 14:00", "now"];
    let fields = told.iter().zip(labels).zip(examples);
    let fields = fields.map(|(((name, value), label), example)| field(name, label, value, example)).collect();
    let verify = href(&frame, "/questions", &told, &[("verify", "yes")]);
    let pager = pager(&frame, "/questions", "/v1/questions", &told, walk.goes_on(), next.as_deref());
    Ok(page(StatusCode::OK, &Questions { frame, fields, rows, chain, verify, pager }))
}
