//! The pages of one subscriber and of one message.
//!
//! Knows: which questions make up an answer. Must not know: how any of them is found, or how it looks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Looker, page};
use crate::audit::rows::{MessageFilter, ScannedFilter, SessionFilter};
use crate::console::Place;
use crate::console::cards::Message;
use crate::console::chart::{Bars, Window};
use crate::console::link::{self, Href, Link};
use crate::console::person::{Subscriber, addresses};
use crate::relay::scanned::Finding;
use crate::server::http::api::rfc3339;
use crate::server::http::cases::{CaseFilter, CaseRow};
use crate::server::http::known_now::known_now;
use crate::server::http::problem::Problem;
use crate::server::http::question::Question;
use crate::server::http::scanned::ScannedRow;
use crate::server::http::{Staff, Trouble};
use crate::session::Name;

/// Sessions of a subscriber's page.
const SESSIONS_MAX: usize = 500;
/// Messages of it; all of them have a page of their own.
const MESSAGES_MAX: usize = 25;
/// Verdicts of scanners that are counted for it.
const SCANNED_MAX: usize = 10_000;
/// Open cases of it.
const CASES_MAX: usize = 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// For how long a subscriber can be looked at.
const SPANS: [(u32, &str); 3] = [(1, "24 hours"), (7, "7 days"), (30, "30 days")];

pub(in super::super) async fn subscriber<S: Staff>(
    State(staff): State<Arc<S>>,
    name: Result<Path<String>, PathRejection>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Elsewhere, question.purpose());
    let days = days(question.parameters.text("days")?.as_deref())?;
    let until = super::moment(&mut question.parameters, "until", &frame.zone)?.unwrap_or(frame.now);
    let window = Window { since: until.minus(DAY.saturating_mul(days)), until };
    let unread = |_| Problem::parameter("name", "not UTF-8; write such a name as 0x and hex digits");
    let Path(typed) = name.map_err(unread)?;
    // People type a name as its owner writes it; standing, and the rest, are of the name as it is kept.
    let asked = staff.canonical(&Name::from_text(&typed));
    let name = asked.to_string();
    let ready = question.ready(&*staff)?.and_about([asked.clone()]);
    let (since, until) = (Some(window.since), Some(window.until));
    let sessions = SessionFilter {
        subscriber: Some(asked.clone()),
        since,
        until,
        limit: SESSIONS_MAX,
        ..SessionFilter::default()
    };
    let sessions = staff.sessions(&sessions).await?;
    let messages = MessageFilter {
        subscriber: Some(asked.clone()),
        since,
        until,
        limit: MESSAGES_MAX,
        ..MessageFilter::default()
    };
    let messages = staff.messages(&messages).await?;
    let (spam, viruses) = scanned(&*staff, &asked, window).await?;
    let minutes = staff.minutes(&asked, window.since, window.until).await?;
    let cases = staff.cases(&CaseFilter::open_of(asked, CASES_MAX));
    ready
        .answered(&*staff, sessions.len().saturating_add(messages.len()).saturating_add(cases.len()))
        .await?;
    let case = |row: &CaseRow| {
        Link::new(frame.href(&format!("/case/{}", row.id), &[]), &format!("Case {}, {}", row.id, row.kind))
    };
    let cases = cases.iter().map(case).collect();
    // Of several owners nobody is accused: what may be somebody else's is listed, and not counted.
    let hours = Bars::new(
        "hours",
        "Messages",
        window,
        &frame.zone,
        minutes.iter().map(|(at, sum)| (*at, sum.messages)),
    );
    let recipients = minutes.iter().fold(0_u64, |all, (_, sum)| all.saturating_add(sum.recipients));
    let octets = minutes.iter().fold(0_u64, |all, (_, sum)| all.saturating_add(sum.octets));
    let suspension =
        staff.suspensions().into_iter().find(|row| row.kind == "subscriber" && row.subject == name);
    let path = link::subscriber(&name);
    let span = |(each, text): (u32, &str)| {
        (Link::new(frame.href(&path, &[("days", &each.to_string())]), text), each == days)
    };
    let (since, until) =
        (rfc3339(window.since).unwrap_or_default(), rfc3339(window.until).unwrap_or_default());
    let about = [("subscriber", name.as_str()), ("since", &since), ("until", &until)];
    let subscriber = Subscriber {
        spans: SPANS.into_iter().map(span).collect(),
        addresses: addresses(&frame, &name, &sessions, window),
        cases,
        all_sessions: Link::new(frame.href("/sessions", &about), "All sessions of this time"),
        all_messages: Link::new(frame.href("/messages", &about), "All messages of this time"),
        name,
        window,
        hours,
        recipients,
        octets,
        spam,
        viruses,
        sessions,
        messages,
        suspension,
        frame,
    };
    Ok(page(StatusCode::OK, &subscriber))
}

/// For how many days it is asked.
fn days(told: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = told else { return Ok(1) };
    let found = SPANS.iter().map(|(days, _)| *days).find(|days| days.to_string() == text);
    found.ok_or_else(|| Problem::parameter("days", "none of 1, 7 and 30"))
}

/// How often scanners found spam and viruses in what somebody sent. Of several owners nobody is accused.
async fn scanned<S: Staff>(staff: &S, asked: &Name, window: Window) -> Result<(usize, usize), Trouble> {
    let filter = ScannedFilter {
        subscriber: Some(asked.clone()),
        since: Some(window.since),
        until: Some(window.until),
        limit: SCANNED_MAX,
        ..ScannedFilter::default()
    };
    let (rows, name) = (staff.scanned(&filter).await?, asked.to_string());
    let theirs = |finding: Finding| {
        let is = |row: &&ScannedRow| row.finding == finding.word() && row.subscriber.as_ref() == Some(&name);
        rows.iter().filter(is).count()
    };
    Ok((theirs(Finding::Spam), theirs(Finding::Virus)))
}

pub(in super::super) async fn message<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::Elsewhere, question.purpose());
    let parameters = &mut question.parameters;
    let at = super::moment(parameters, "at", &frame.zone)?;
    let (mta, instance) = (parameters.text("mta")?, parameters.text("instance")?);
    let (queue_id, token) = (parameters.name("queue_id")?, parameters.name("token")?);
    if at.is_none() && queue_id.is_none() && token.is_none() {
        return Err(Problem::parameter(
            "queue_id",
            "name a message by its queue_id, its token, or its moment",
        ));
    }
    let filter = MessageFilter {
        queue_id: queue_id.clone(),
        token: token.clone(),
        since: at,
        until: at.map(|at| at.plus(Duration::from_millis(1))),
        limit: 100,
        ..MessageFilter::default()
    };
    let ready = question.ready(&*staff)?;
    let mut rows = staff.messages(&filter).await?;
    rows.retain(|row| mta.as_ref().is_none_or(|mta| row.mta == *mta));
    rows.retain(|row| instance.as_ref().is_none_or(|instance| row.instance == *instance));
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        known.push(known_now(&*staff, row).await?);
    }
    ready.answered(&*staff, rows.len().saturating_add(known.iter().flatten().count())).await?;
    let rows = rows.into_iter().zip(known).collect();
    let [queue_id, token] =
        [queue_id, token].map(|name| name.map(|name| name.to_string()).unwrap_or_default());
    let since = at.and_then(rfc3339).unwrap_or_default();
    let until = filter.until.and_then(rfc3339).unwrap_or_default();
    let purpose = frame.purpose.clone().unwrap_or_default();
    let as_rows = ["csv", ""].map(|format| {
        let told = [
            ("queue_id", queue_id.as_str()),
            ("token", &token),
            ("since", &since),
            ("until", &until),
            ("format", format),
            ("purpose", &purpose),
        ];
        Href::new("/v1/messages", told)
    });
    let message = Message { frame, queue_id, rows, as_rows };
    let status = if message.rows.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    Ok(page(status, &message))
}
