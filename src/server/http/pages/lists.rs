//! Pages that are lists: sessions, messages, the story of an address, top senders, feeds, suspensions, questions.
//!
//! Knows: by what each can be narrowed. Must not know: how rows are found, or how they look.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{Looker, ROWS, moment, page};
use crate::audit::asked::AskedFilter;
use crate::audit::rows::{MessageFilter, SessionFilter, StoryFilter};
use crate::console::link::{Href, Link};
use crate::console::lists::{
    Case, Cases, DryRun, Feeds, Field, List, Pager, Questions, Rows, Rules, Suspensions, Top,
};
use crate::console::{Frame, Place};
use crate::relay::case::{Kind as CaseKind, State as CaseState};
use crate::server::http::api::rfc3339;
use crate::server::http::cases::{CaseFilter, Id, asked, kind, number};
use crate::server::http::problem::{Kind, Problem};
use crate::server::http::question::Question;
use crate::server::http::top::{MEASURES, TopFilter};
use crate::server::http::{Staff, Wanted, in_order, realm};
use crate::session::{Name, Realm, Timestamp};

/// Lines of a story on a page: one wants to see it in one piece.
const STORY_ROWS: usize = 1000;

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
        message_id: parameters.message_id("message_id")?,
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
        ("message_id", spelled(filter.message_id.as_ref())),
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
        "Message-ID",
        "Login",
        "Sender",
        "Recipient",
        "Recipient's domain",
        "HELO",
        "From",
        "Until",
    ];
    let examples = ["", "198.51.100.7", "", "", "", "", "", "", "", "", "2026-11-23 14:00", "now"];
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
    headers: HeaderMap,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Elsewhere, question.purpose());
    let walk = question.walk(&headers)?;
    let Wanted { name, realm, address, port } = Wanted::of(&*staff, &mut question.parameters)?;
    let parameters = &mut question.parameters;
    let filter = StoryFilter {
        realm,
        address,
        port,
        since: moment(parameters, "since", &frame.zone)?,
        until: moment(parameters, "until", &frame.zone)?,
        through: None,
        limit: 0,
    };
    in_order(filter.since, filter.until)?;
    let told: Told = vec![
        ("address", address.to_string()),
        ("port", port.map(|port| port.to_string()).unwrap_or_default()),
        ("realm", name.unwrap_or_default()),
        ("since", instant(filter.since)),
        ("until", instant(filter.until)),
    ];
    let ready = question.ready(&*staff)?;
    let (rows, next) = walk.part(&filter, &*staff, STORY_ROWS, &told).await?;
    ready.answered(&*staff, rows.len()).await?;
    let labels = ["Address", "Port", "Realm", "From", "Until"];
    let examples = ["198.51.100.7", "", "public", "2026-11-23 14:00", "now"];
    let fields = told.iter().zip(labels).zip(examples);
    let fields = fields.map(|(((name, value), label), example)| field(name, label, value, example)).collect();
    let pager = pager(&frame, "/story", "/v1/explain", &told, walk.goes_on(), next.as_deref());
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
    let filter = CaseFilter {
        state,
        kind: kind(parameters)?,
        subscriber: parameters.name("subscriber")?,
        login: parameters.name("login")?,
        ..CaseFilter::default()
    };
    let of = |state: &'static str, kind: &'static str| -> Told {
        vec![
            ("state", state.to_owned()),
            ("kind", kind.to_owned()),
            ("subscriber", spelled(filter.subscriber.as_ref())),
            ("login", spelled(filter.login.as_ref())),
        ]
    };
    let by = filter.kind.map_or("", CaseKind::word);
    let told = of(word, by);
    let ready = question.ready(&*staff)?;
    let (rows, next) = walk.part(&filter, &*staff, ROWS, &told).await?;
    ready.answered(&*staff, rows.len()).await?;
    let link = |told: &Told, text| Link::new(href(&frame, "/cases", told, &[]), text);
    let states = ["open", "closed", "all"].map(|each| (link(&of(each, by), each), each == word));
    let kinds = std::iter::once("").chain(CaseKind::ALL.map(CaseKind::word));
    let any = |each: &'static str| if each.is_empty() { "anything" } else { each };
    let kinds = kinds.map(|each| (link(&of(word, each), any(each)), each == by)).collect();
    let api =
        pager(&frame, "/cases", "/v1/cases", &of(if state.is_some() { word } else { "" }, by), false, None);
    let pager = Pager {
        csv: api.csv,
        json: api.json,
        ..pager(&frame, "/cases", "", &told, walk.goes_on(), next.as_deref())
    };
    let named = [("", &filter.subscriber), ("login ", &filter.login)];
    let named = named.into_iter().filter_map(|(kind, name)| Some(format!("{kind}{}", name.as_ref()?)));
    let about = named.collect::<Vec<_>>().join(" and ");
    Ok(page(StatusCode::OK, &Cases { frame, states: states.into(), kinds, about, rows, pager }))
}

pub(in super::super) async fn case<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    looker: Looker,
    question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Cases, question.purpose());
    let id = number(id)?;
    let ready = question.ready(&*staff)?;
    let row = asked(&*staff, id, ready).await?;
    let json = frame.href(&format!("/v1/cases/{}", row.id), &[]);
    Ok(page(StatusCode::OK, &Case { frame, row, json }))
}

/// Rules are about nobody; what one would have done is about people.
pub(in super::super) async fn rules<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Cases, question.purpose());
    let rows = staff.rules();
    let Some(rule) = question.parameters.text("dry_run")? else {
        question.parameters.finish()?;
        let json = frame.href("/v1/rules", &[]);
        return Ok(page(StatusCode::OK, &Rules { frame, rows, dry_run: None, json }));
    };
    let ready = question.ready(&*staff)?;
    let would = staff.rehearse(&Name::from_text(&rule));
    ready.answered(&*staff, would.as_ref().map_or(0, Vec::len)).await?;
    let Some(would) = would else {
        return Err(Problem::new(
            Kind::UnknownRule,
            "the page of rules has the names, as they are configured",
        ));
    };
    let json = frame.href(&format!("/v1/rules/{rule}/dry-run"), &[]);
    let dry_run = Some(DryRun { rule, rows: would });
    Ok(page(StatusCode::OK, &Rules { frame, rows, dry_run, json }))
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
