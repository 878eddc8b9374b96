//! Pages for people: what is asked in their query, and which page is the answer. [`crate::console`] makes the HTML.
//!
//! A page about a person is a question like any other: it is made, written down with how many rows it tells, and then it
//! leaves.
//!
//! Knows: paths and parameters of pages. Must not know: HTML, or how an answer is found.

mod lists;
mod look;
mod orders;
mod people;

use std::collections::BTreeSet;
use std::convert::Infallible;

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(super) use self::lists::{
    case, cases, feeds, messages, questions, rules, sessions, story, suspensions, top,
};
pub(super) use self::look::look;
pub(super) use self::orders::{
    close, dismiss, limit, limit_from_case, note, open, release, release_from_case, suspend,
    suspend_from_case,
};
pub(super) use self::people::{message, subscriber};
use super::Staff;
use super::auth::Csrf;
use super::parameters::Parameters;
use super::problem::{Kind, Problem};
use crate::access::Asker;
use crate::audit::rows::Listed;
use crate::clock;
use crate::console::moment::Zone;
use crate::console::{Frame, ICON, Login, Place, STYLE, Trouble};
use crate::session::Timestamp;

/// One sheet and one picture of our own, forms that go to us, and nothing else: no script, no frame, no other origin.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";
/// Rows of a list on one page.
const ROWS: usize = 100;

/// A page that leaves.
pub(super) fn page<T: Template>(status: StatusCode, page: &T) -> Response {
    let Ok(text) = page.render() else {
        return Problem::new(Kind::Storage, "the page can't be made").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (status, headers, text).into_response()
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, text).into_response()
}

/// The page at which a token is shown.
pub(super) fn login(status: StatusCode, remark: &str, next: Option<&str>) -> Response {
    page(status, &Login { remark, next: next.and_then(ours).unwrap_or_default() })
}

/// A place of ours to go on to; nobody else's: a link that somebody made must not lead elsewhere from our login page.
pub(super) fn ours(next: &str) -> Option<&str> {
    let plain = next.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    (plain && next.starts_with('/') && !next.starts_with("//") && next != "/").then_some(next)
}

/// What a page's query holds beside its own parameters: who asks, and what their forms carry.
pub(super) struct Looker {
    asker: Asker,
    csrf: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Looker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asker = Asker::from_request_parts(parts, state).await?;
        let csrf: Result<Csrf, Infallible> = Csrf::from_request_parts(parts, state).await;
        Ok(Looker { asker, csrf: csrf.map(|Csrf(csrf)| csrf).unwrap_or_default() })
    }
}

impl Looker {
    fn frame<S: Staff>(self, staff: &S, here: Place, purpose: Option<String>) -> Frame {
        Frame {
            here,
            asker: self.asker.name.to_string(),
            role: self.asker.role,
            csrf: self.csrf,
            zone: Zone::new(staff.zone()),
            now: clock::now(),
            purpose,
            purpose_required: staff.purpose_required(),
            lost: Listed::ALL.into_iter().filter_map(|listed| staff.lost(listed, None, None)).min(),
        }
    }
}

/// A moment as people type it, or as links carry it.
fn moment(parameters: &mut Parameters, name: &str, zone: &Zone) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = parameters.text(name)? else { return Ok(None) };
    zone.read(&text, clock::now()).map(Some).map_err(|unread| Problem::parameter(name, unread.remark()))
}

/// Whoever asked with a browser gets a page in place of a problem document.
pub(super) async fn for_people(request: Request, next: Next) -> Response {
    let reads = request
        .headers()
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    let uri = request.uri().clone();
    let response = next.run(request).await;
    if !reads {
        return response;
    }
    match response.extensions().get::<Problem>() {
        Some(problem) => trouble(problem, &uri, response.headers()),
        None => response,
    }
}

fn trouble(problem: &Problem, uri: &Uri, told: &HeaderMap) -> Response {
    let asks_why = problem.kind() == Some(Kind::PurposeRequired);
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let again: Vec<_> = pairs
        .into_iter()
        .filter(|(name, value)| name != "purpose" && !value.is_empty() && seen.insert(name.clone()))
        .collect();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let detail = if asks_why {
        "Questions about people take a reason here: say why you ask, or name the ticket."
    } else {
        &problem.detail
    };
    let trouble = Trouble {
        title: &problem.title,
        detail,
        parameter: problem.parameter.as_deref().filter(|_| !asks_why),
        status: problem.status,
        again: asks_why.then(|| (uri.path(), again)),
    };
    let mut response = page(status, &trouble);
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = told.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::ours;

    #[test]
    fn nobody_is_led_elsewhere_from_the_login_page() {
        for next in ["/subscriber/alice", "/?q=198.51.100.7&at=2h%20ago"] {
            assert_eq!(ours(next), Some(next));
        }
        for next in [
            "",
            "/",
            "//evil.example/",
            "/\\evil.example",
            "https://evil.example/",
            "evil",
            "/a b",
            "/\r\nX: y",
        ] {
            assert_eq!(ours(next), None, "{next:?}");
        }
    }
}
