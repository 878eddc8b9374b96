//! `/`: a box that takes anything, and whose it was.
//!
//! Knows: which questions make up an answer. Must not know: how any of them is found, or how it looks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Looker, page};
use crate::audit::rows::{MessageFilter, SessionFilter};
use crate::clock;
use crate::console::asked::Asked;
use crate::console::cards::{Card, Found, Look, Outcome, Overview, owners};
use crate::console::chart::Window;
use crate::console::link::{self, Href, Link};
use crate::console::{Frame, Place};
use crate::paste::Endpoint;
use crate::paste::wall::NotOnce;
use crate::relay::message_id;
use crate::server::http::api::rfc3339;
use crate::server::http::problem::Problem;
use crate::server::http::question::Question;
use crate::server::http::{Staff, Trouble, realm};
use crate::session::{Name, Realm, Timestamp};

/// So far before and after a moment owners and messages are shown.
const AROUND: Duration = Duration::from_secs(24 * 3600);
/// Owners of an address in that time; more of them are in the list of sessions.
const SESSIONS_MAX: usize = 100;
/// Messages of that time.
const MESSAGES_MAX: usize = 10;

/// What stands in the form.
struct Typed {
    q: String,
    at: String,
    realm_name: String,
    realm: Realm,
}

pub(in super::super) async fn look<S: Staff>(
    State(staff): State<Arc<S>>,
    looker: Looker,
    mut question: Question,
) -> Result<Response, Problem> {
    let frame = looker.frame(&*staff, Place::LookUp, question.purpose());
    let parameters = &mut question.parameters;
    let (name, realm) = realm(&*staff, parameters)?;
    let typed = Typed {
        q: parameters.text("q")?.map(|text| text.trim().to_owned()).unwrap_or_default(),
        at: parameters.text("at")?.unwrap_or_default(),
        realm_name: name.map(|name| name.to_string()).unwrap_or_default(),
        realm,
    };
    if typed.q.is_empty() {
        question.parameters.finish()?;
        return Ok(shown(StatusCode::OK, frame, typed, Outcome::Overview(overview(&*staff))));
    }
    let asked = Asked::of(&typed.q, frame.now, &frame.zone);
    let at = match typed.at.as_str() {
        "" | "now" => None,
        text => match frame.zone.read(text, frame.now) {
            Ok(at) => Some(at),
            Err(unread) => {
                return Ok(shown(StatusCode::BAD_REQUEST, frame, typed, Outcome::Remark(unread.remark())));
            }
        },
    };
    let outcome = match asked {
        Asked::NoAddress => Outcome::Remark(
            "No address was found in this. Paste a line that has the client's address, or ask for one word: a \
             subscriber, a queue-id, a token, a Message-ID."
                .to_owned(),
        ),
        Asked::Several(endpoints, told) => several(&frame, &typed, &endpoints, at.or(told)),
        Asked::Address { at: Some(Err(not_once)), endpoint, .. } if at.is_none() => {
            twice(&frame, &typed, endpoint, &not_once)
        }
        Asked::Address { endpoint, at: told, line } => {
            let about = Name::from(endpoint.address.to_string().as_str());
            let ready = question.ready(&*staff)?.and_about([about]);
            let at = at.or(told.and_then(Result::ok));
            let card = card(&*staff, &frame, &typed, endpoint, at, line).await?;
            let rows = card.who.candidates.len().saturating_add(card.sessions.len());
            ready.answered(&*staff, rows.saturating_add(card.messages.len())).await?;
            Outcome::Card(Box::new(card))
        }
        Asked::Word(word) => {
            let name = Name::from_text(&word);
            let ready = question.ready(&*staff)?.and_about([name.clone()]);
            let found = found(&*staff, word).await?;
            let ready = ready.and_about(found.subscriber.then(|| staff.canonical(&name)));
            let Found { by_queue_id, by_token, by_message_id, by_login, .. } = &found;
            let messages = [by_queue_id, by_token, by_message_id, by_login].map(Vec::len);
            let rows = messages.into_iter().fold(found.sessions.len(), usize::saturating_add);
            ready.answered(&*staff, rows).await?;
            if found.subscriber && messages == [0; 4] {
                let href = frame.href(&link::subscriber(&found.word), &[]);
                return Ok(Redirect::to(href.text()).into_response());
            }
            Outcome::Found(found)
        }
    };
    let status = if matches!(outcome, Outcome::Remark(_)) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(shown(status, frame, typed, outcome))
}

fn shown(status: StatusCode, frame: Frame, typed: Typed, outcome: Outcome) -> Response {
    let Typed { q, at, realm_name: realm, .. } = typed;
    page(status, &Look { frame, q, at, realm, outcome })
}

fn overview<S: Staff>(staff: &S) -> Overview {
    let (health, rows) = (staff.health(), staff.nas());
    Overview {
        ready: health.ready,
        reasons: health.reasons,
        feeds: rows.len(),
        troubled: rows.iter().filter(|row| row.feed != "whole").count(),
        active: rows.iter().fold(0, |sum, row| sum.saturating_add(row.active)),
        suspended: staff.suspensions().iter().filter(|row| row.is_suspended()).count(),
    }
}

fn asking(frame: &Frame, typed: &Typed, endpoint: Endpoint, at: &str) -> Link {
    let address = endpoint.address.to_string();
    let q = match endpoint.port {
        Some(port) if endpoint.address.is_ipv6() => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address,
    };
    let href = frame.href("/", &[("q", &q), ("at", at), ("realm", &typed.realm_name)]);
    let text = if at.is_empty() { q } else { format!("{q} at {at}") };
    Link::new(href, &text)
}

fn several(frame: &Frame, typed: &Typed, endpoints: &[Endpoint], at: Option<Timestamp>) -> Outcome {
    let at = at.and_then(rfc3339).unwrap_or_default();
    let links = endpoints.iter().map(|endpoint| asking(frame, typed, *endpoint, &at)).collect();
    Outcome::Choice(
        "This line has several addresses and marks none as the client's. Which one is meant?".to_owned(),
        links,
    )
}

fn twice(frame: &Frame, typed: &Typed, endpoint: Endpoint, not_once: &NotOnce) -> Outcome {
    let (remark, readings): (&str, Vec<&String>) = match not_once {
        NotOnce::Twice { earlier, later } => (
            "The clocks were set back, so the hour in this line was there twice. Which one is meant?",
            vec![earlier, later],
        ),
        NotOnce::Never { before, after } => (
            "The clocks were set forward, so the hour in this line never was. Which one is meant?",
            vec![before, after],
        ),
        NotOnce::OutOfRange => {
            return Outcome::Remark("The time in this line is beyond the calendar.".to_owned());
        }
    };
    let links = readings.into_iter().map(|reading| asking(frame, typed, endpoint, reading)).collect();
    Outcome::Choice(remark.to_owned(), links)
}

async fn card<S: Staff>(
    staff: &S,
    frame: &Frame,
    typed: &Typed,
    Endpoint { address, port }: Endpoint,
    at: Option<Timestamp>,
    from_line: bool,
) -> Result<Card, Problem> {
    let Typed { realm, realm_name, .. } = typed;
    let now = staff.lookup(*realm, address, port);
    let mut who = match at {
        Some(at) => staff.owner(*realm, address, port, at).await?,
        None => now.clone(),
    };
    let moment = at.unwrap_or(frame.now);
    if realm.around(address) != Realm::PUBLIC {
        who.realm = Some(realm_name.clone());
    }
    let window =
        Window { since: moment.minus(AROUND), until: moment.plus(AROUND).min(clock::now().max(moment)) };
    let sessions = staff
        .sessions(&SessionFilter {
            prefix: Some(address.into()),
            realm: *realm,
            since: Some(window.since),
            until: Some(window.until),
            limit: SESSIONS_MAX,
            ..SessionFilter::default()
        })
        .await?;
    let messages = staff
        .messages(&MessageFilter {
            address: Some(address),
            since: Some(window.since),
            until: Some(window.until),
            limit: MESSAGES_MAX,
            ..MessageFilter::default()
        })
        .await?;
    let suspension = staff
        .suspensions()
        .into_iter()
        .find(|row| row.kind == "subscriber" && Some(row.subject.as_str()) == who.subscriber.as_deref());
    let (text, port) = (address.to_string(), port.map(|port| port.to_string()).unwrap_or_default());
    let since = rfc3339(window.since).unwrap_or_default();
    let until = rfc3339(window.until).unwrap_or_default();
    let told = at.and_then(rfc3339).unwrap_or_default();
    let about = [("address", text.as_str()), ("realm", realm_name), ("since", &since), ("until", &until)];
    let purpose = frame.purpose.as_deref().unwrap_or_default();
    let json = [
        ("address", text.as_str()),
        ("port", &port),
        ("realm", realm_name),
        ("at", &told),
        ("purpose", purpose),
    ];
    let links = vec![
        Link::new(frame.href("/story", &about), "Why: the story of this address"),
        Link::new(frame.href("/sessions", &about), "All sessions of it"),
        Link::new(
            frame.href("/messages", &[("address", &text), ("since", &since), ("until", &until)]),
            "All messages from it",
        ),
        Link::new(
            Href::new(if told.is_empty() { "/v1/lookup" } else { "/v1/owner" }, json),
            "This answer as JSON",
        ),
    ];
    let owners = owners(frame, &who, &sessions, window, moment);
    Ok(Card { who, now, past: at.is_some(), from_line, owners, sessions, messages, suspension, links })
}

async fn found<S: Staff>(staff: &S, word: String) -> Result<Found, Trouble> {
    let name = Name::from_text(&word);
    let of = |filter: MessageFilter| MessageFilter { limit: MESSAGES_MAX, ..filter };
    let (queue_id, token, login) = (
        of(MessageFilter { queue_id: Some(name.clone()), ..MessageFilter::default() }),
        of(MessageFilter { token: Some(name.clone()), ..MessageFilter::default() }),
        of(MessageFilter { login: Some(name.clone()), ..MessageFilter::default() }),
    );
    let by_queue_id = staff.messages(&queue_id).await?;
    let by_token = staff.messages(&token).await?;
    let by_login = staff.messages(&login).await?;
    let by_message_id = match message_id::read(name.octets()) {
        Some(id) => {
            staff.messages(&of(MessageFilter { message_id: Some(id), ..MessageFilter::default() })).await?
        }
        None => Vec::new(),
    };
    let filter = SessionFilter { subscriber: Some(name), limit: MESSAGES_MAX, ..SessionFilter::default() };
    let sessions = staff.sessions(&filter).await?;
    let subscriber = !sessions.is_empty();
    Ok(Found { word, by_queue_id, by_token, by_message_id, by_login, sessions, subscriber })
}
