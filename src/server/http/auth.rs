//! The gate before every path: who comes, and may they?
//!
//! Over the Unix socket the peer's user is known. Over TCP a token says who it is, in the request or, from a browser, when a
//! session was begun with it. Then the table of [`crate::access::table`] decides. What a handler finds in a request is an
//! [`Asker`] that may do what is done there.
//!
//! Knows: credentials in requests, and what browsers tell of where a request comes from. Must not know: what is asked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::BASE64;

use super::hosts::Hosts;
use super::problem::{Kind, Problem};
use super::question::spelled;
use super::sessions::{Random, Session, Sessions};
use super::throttle::Throttle;
use super::{BODY_OCTETS_MAX, Peer, Staff};
use crate::access::question::{Asked, Reply};
use crate::access::table::{self, Endpoint, Found, Needs, Scope};
use crate::access::token::{Bad, Presented, TokenId};
use crate::access::{Asker, Via};
use crate::clock;
use crate::console::link::Href;
use crate::session::{Name, Timestamp};

/// The cookie of a browser's session.
const COOKIE: &str = "relaywarden";
/// Where a script puts the session's CSRF token.
const CSRF_HEADER: &str = "x-csrf-token";
/// Where a form puts it.
pub const CSRF_FIELD: &str = "csrf";
/// The path that lives while the process does: whoever watches may call it by any name.
const ALIVE: &str = "/healthz";
/// Where scanners tell of messages.
const VERDICTS: &str = "/v1/verdicts";
/// Where a browser shows its token.
const LOGIN: &str = "/login";
/// A refusal to the same asker at the same path is written down once within this.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);
/// Refusals that are told apart; more of them in a minute are counted only.
const REFUSALS_MAX: usize = 256;
/// One line in the journal for each reason within this.
const SAID_AGAIN: Duration = Duration::from_secs(10);

/// The host at the other end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub IpAddr);

/// A browser's session, for whatever answers it with a page: beside the [`Asker`] in the request.
#[derive(Debug, Clone)]
pub struct Browser(pub Session);

/// What the gate counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Logins by outcome, in the order of [`OUTCOMES`].
    logins: [AtomicU64; OUTCOMES.len()],
    /// Requests of somebody who may not do that.
    pub refused: AtomicU64,
    /// Requests under a name that is none of ours.
    pub wrong_host: AtomicU64,
    /// Requests that a page of somebody else sent.
    pub cross_site: AtomicU64,
}

/// What can become of a token that is shown.
pub const OUTCOMES: [&str; 7] =
    ["session", "malformed", "unknown", "wrong", "expired", "revoked", "throttled"];

impl Counters {
    fn login(&self, outcome: &str) {
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        if let Some(counter) = place.and_then(|place| self.logins.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each outcome, and how often it was.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.logins.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}

/// What the gate remembers.
#[derive(Debug, Default)]
pub struct Gate {
    /// Sessions of browsers.
    pub sessions: Sessions,
    throttle: Throttle,
    hosts: Hosts,
    refusals: Mutex<HashMap<(Name, &'static str), Timestamp>>,
    said: Mutex<HashMap<&'static str, Timestamp>>,
    counters: Arc<Counters>,
}

impl Gate {
    /// A gate of a daemon that has these names.
    #[must_use]
    pub fn new(hosts: Hosts, counters: Arc<Counters>) -> Self {
        Gate { hosts, counters, ..Gate::default() }
    }

    /// Who shows this token, from there.
    ///
    /// # Errors
    /// It is not good, or there were too many that were not.
    pub fn shown<S: Staff>(&self, staff: &S, text: &str, source: IpAddr) -> Result<Asker, Refusal> {
        let now = clock::now();
        let (why, known) = match Presented::of(text) {
            None => ("malformed", None),
            Some(presented) => match staff.tokens().asker(&presented, now) {
                Ok(asker) => return Ok(asker),
                // Only whoever has the secret made a line that may name its number.
                Err(Bad::Expired) => ("expired", Some(presented.id)),
                Err(Bad::Revoked) => ("revoked", Some(presented.id)),
                Err(Bad::Wrong) => ("wrong", None),
                Err(Bad::Unknown) => ("unknown", None),
            },
        };
        if let Err(wait) = self.throttle.failed(source, now) {
            self.counters.login("throttled");
            self.say("throttled", source, None, now);
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            return Err(Refusal::Throttled(seconds));
        }
        self.counters.login(why);
        self.say(why, source, known, now);
        let detail = match known {
            Some(_) if why == "expired" => "it has expired; an auditor can make another one",
            Some(_) => "it was revoked; an auditor can make another one",
            None => {
                "no token is spelled so: rw_, its number, _ and its secret, as it was shown when it was made"
            }
        };
        Err(Refusal::Problem(Problem::new(Kind::BadToken, detail)))
    }

    /// Begins a session with a token; returns the value of `Set-Cookie`.
    ///
    /// # Errors
    /// As for [`Gate::shown`].
    pub fn login<S: Staff>(
        &self,
        staff: &S,
        text: &str,
        source: IpAddr,
        secure: bool,
    ) -> Result<HeaderValue, Refusal> {
        let asker = self.shown(staff, text.trim(), source)?;
        let token = asker.via.token().ok_or_else(|| Problem::new(Kind::BadToken, "it is of nobody"))?;
        let (id, csrf) = (random()?, random()?);
        let id = self.sessions.begin(token, clock::now(), &id, &csrf);
        self.counters.login("session");
        tracing::info!(%source, %token, "a browser session begins");
        // SameSite=Strict: it is not sent with what another site links to or sends.
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={id}; HttpOnly; SameSite=Strict; Path=/{secure}");
        Ok(HeaderValue::from_str(&cookie).map_err(|_| Problem::new(Kind::BadToken, "it has no cookie"))?)
    }

    /// Ends the session of a request; returns the value of `Set-Cookie` that has the browser forget it.
    #[must_use]
    pub fn logout(&self, headers: &HeaderMap) -> HeaderValue {
        for id in cookies(headers) {
            self.sessions.end(id);
        }
        HeaderValue::from_static("relaywarden=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
    }

    /// The session that a request is of, and who it is. A token that is good no longer ends all sessions that it began.
    fn session<S: Staff>(&self, staff: &S, headers: &HeaderMap) -> Option<(Asker, Session)> {
        let now = clock::now();
        cookies(headers).find_map(|id| {
            let session = self.sessions.find(id, now)?;
            match staff.tokens().holder(session.token, now) {
                Ok(asker) => Some((asker, session)),
                Err(_) => {
                    self.sessions.end(id);
                    None
                }
            }
        })
    }

    fn say(&self, why: &'static str, source: IpAddr, token: Option<TokenId>, now: Timestamp) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(why).is_some_and(|last| now < last.plus(SAID_AGAIN)) {
            return;
        }
        said.insert(why, now);
        drop(said);
        match token {
            Some(token) => tracing::warn!(%source, why, %token, "a login failed"),
            None => tracing::warn!(%source, why, "a login failed"),
        }
    }

    /// Whether this refusal is to be written down: the first one within a minute is.
    fn is_news(&self, asker: &Asker, path: &'static str, now: Timestamp) -> bool {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.retain(|_, last| now < last.plus(REFUSED_AGAIN));
        let key = (asker.name.clone(), path);
        if refusals.contains_key(&key) || refusals.len() >= REFUSALS_MAX {
            return false;
        }
        refusals.insert(key, now);
        true
    }

    async fn refuse<S: Staff>(
        &self,
        staff: &S,
        asker: Asker,
        endpoint: &'static Endpoint,
        what: Name,
    ) -> Problem {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        let now = clock::now();
        if self.is_news(&asker, endpoint.path, now) {
            let asked = Asked {
                at: now,
                by: asker.name.clone(),
                role: Some(asker.role),
                via: asker.via,
                what,
                about: Vec::new(),
                purpose: None,
                reply: Reply::Refused,
            };
            // Whoever may not is refused all the same; that it can't be written down is on /readyz.
            let _ = staff.asked(asked).await;
        }
        let needs = match endpoint.needs {
            Needs::Role(role, scope) => {
                format!("this takes the role {role} or a higher one, and the scope {}", scope.word())
            }
            Needs::Nothing => String::new(),
        };
        Problem::new(Kind::NotPermitted, needs)
    }
}

/// Why nobody comes in.
#[derive(Debug)]
pub enum Refusal {
    /// As the document says.
    Problem(Problem),
    /// Too many wrong tokens came from there: again after so many seconds.
    Throttled(u64),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Problem(problem) => problem.into_response(),
            Refusal::Throttled(seconds) => {
                let detail =
                    format!("too many wrong tokens came from this address; try again in {seconds} s");
                let mut response = Problem::new(Kind::TooManyAttempts, detail).into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
        }
    }
}

/// What the gate works with.
pub(super) struct Keeper<S> {
    pub(super) gate: Arc<Gate>,
    pub(super) staff: Arc<S>,
}

impl<S> Clone for Keeper<S> {
    fn clone(&self) -> Self {
        Keeper { gate: Arc::clone(&self.gate), staff: Arc::clone(&self.staff) }
    }
}

/// Lets a request through to its handler, or answers in its place.
pub(super) async fn admit<S: Staff>(
    State(Keeper { gate, staff }): State<Keeper<S>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let source = request.extensions().get::<Source>().copied();
    if source.is_some() && path != ALIVE && !is_ours(&gate, &request) {
        gate.counters.wrong_host.fetch_add(1, Ordering::Relaxed);
        let detail = "name it by its address, or list its name in [http] names";
        return Problem::new(Kind::WrongHost, detail).into_response();
    }
    let endpoint = match table::find(request.method().as_str(), path) {
        Found::Row(endpoint) => endpoint,
        // The router knows the path and has an answer for its other methods.
        Found::OtherMethods => return next.run(request).await,
        Found::Nothing => {
            return Problem::new(Kind::NotPermitted, "nobody was given this path").into_response();
        }
    };
    let come = match come(&gate, &*staff, &request, source) {
        Ok(come) => come,
        Err(_) if endpoint.needs == Needs::Nothing => None,
        Err(refusal) => return refusal.into_response(),
    };
    // What carries its own token was not sent by a browser on its own.
    let ambient = source.is_some() && !request.headers().contains_key(header::AUTHORIZATION);
    if ambient && changes(request.method()) && !is_same_site(&gate, request.headers()) {
        gate.counters.cross_site.fetch_add(1, Ordering::Relaxed);
        return Problem::new(Kind::CrossSite, "open the page here and send its form from there")
            .into_response();
    }
    match come {
        Some((asker, browser)) => {
            if !asker.may(endpoint.needs) {
                let what = spelled(request.uri());
                return gate.refuse(&*staff, asker, endpoint, what).await.into_response();
            }
            if let Some(Browser(session)) = &browser
                && changes(request.method())
                && endpoint.path != LOGIN
            {
                request = match sent_by(request, session).await {
                    Ok(request) => request,
                    Err(problem) => {
                        gate.counters.cross_site.fetch_add(1, Ordering::Relaxed);
                        return problem.into_response();
                    }
                };
            }
            if let Some(browser) = browser {
                request.extensions_mut().insert(browser);
            }
            request.extensions_mut().insert(asker);
        }
        None if endpoint.needs == Needs::Nothing => {}
        None if matches!(endpoint.needs, Needs::Role(_, Scope::Console)) && source.is_some() => {
            return Redirect::to(&login_for(&request)).into_response();
        }
        None => return nobody(source).into_response(),
    }
    next.run(request).await
}

/// The login page, which leads on to where somebody wanted to go. A cookie that is `SameSite=Strict` does not come along
/// when a ticket's link is followed: from our own page on it does.
fn login_for(request: &Request) -> String {
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    let next = if wanted == "/" || changes(request.method()) { "" } else { wanted };
    Href::new(LOGIN, [("next", next)]).text().to_owned()
}

fn nobody(source: Option<Source>) -> Problem {
    match source {
        Some(_) => Problem::new(
            Kind::NoToken,
            "send it as \"Authorization: Bearer rw_...\"; \"relaywarden token create\" makes one",
        ),
        None => Problem::new(Kind::NotPermitted, "your Unix user is in none of the groups that [http] names"),
    }
}

type Come = Option<(Asker, Option<Browser>)>;

/// Who a request is of; `None`: nobody said.
fn come<S: Staff>(
    gate: &Gate,
    staff: &S,
    request: &Request,
    source: Option<Source>,
) -> Result<Come, Refusal> {
    let Some(Source(source)) = source else {
        let Some(Peer { name, role: Some(role) }) = request.extensions().get::<Peer>().cloned() else {
            return Ok(None);
        };
        return Ok(Some((Asker { name, role, via: Via::Socket, scopes: Vec::new() }, None)));
    };
    let headers = request.headers();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().ok();
        // rspamd sends what it knows by no other scheme.
        let told = value.and_then(bearer).map(str::to_owned);
        let token = told.or_else(|| value.filter(|_| request.uri().path() == VERDICTS).and_then(password));
        // Another scheme is a failure like any other: nothing of it is good here.
        return Ok(Some((gate.shown(staff, token.as_deref().unwrap_or_default(), source)?, None)));
    }
    Ok(gate.session(staff, headers).map(|(asker, session)| (asker, Some(Browser(session)))))
}

/// RFC 9110, 11.1: a scheme has no case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// RFC 7617: what stands behind the name, whatever that is.
fn password(value: &str) -> Option<String> {
    let (scheme, pair) = value.split_once(' ')?;
    let octets =
        scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(pair.trim().as_bytes()).ok())??;
    let (_, password) = std::str::from_utf8(&octets).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

fn is_ours(gate: &Gate, request: &Request) -> bool {
    // A target that names a host itself counts as well (RFC 9112, 3.2.2).
    let target = request.uri().authority().is_none_or(|authority| gate.hosts.are(authority.as_str()));
    target && host(request.headers()).is_some_and(|host| gate.hosts.are(host))
}

/// Whether a browser would say that a page of ours sent this. What says nothing is no browser, or an old one; its form
/// still needs the session's CSRF token.
fn is_same_site(gate: &Gate, headers: &HeaderMap) -> bool {
    let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let fetched = said("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = said("origin").is_none_or(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        // A proxy in front may call us by another name than its own.
        authority
            .is_some_and(|authority| Some(authority) == host(headers) || gate.hosts.are_listed(authority))
    });
    fetched && origin
}

/// Reads on until the CSRF token of the session is found: in a header, or in a field of the form.
async fn sent_by(request: Request, session: &Session) -> Result<Request, Problem> {
    let refused = || {
        Problem::new(
            Kind::CrossSite,
            "its csrf token is missing or is not of this session; load the page anew",
        )
    };
    if let Some(value) = request.headers().get(CSRF_HEADER) {
        return if session.sent(value.to_str().unwrap_or_default()) { Ok(request) } else { Err(refused()) };
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_OCTETS_MAX)
        .await
        .map_err(|_| Problem::new(Kind::BodyTooLarge, format!("more than {BODY_OCTETS_MAX} octets")))?;
    let fields = form(&body).unwrap_or_default();
    let sent = fields.iter().any(|(name, value)| name == CSRF_FIELD && session.sent(value));
    if sent { Ok(Request::from_parts(parts, Body::from(body))) } else { Err(refused()) }
}

/// The fields of a form (`application/x-www-form-urlencoded`).
#[must_use]
pub fn form(body: &Bytes) -> Option<Vec<(String, String)>> {
    serde_urlencoded::from_bytes(body).ok()
}

/// Octets that nobody can foresee.
///
/// # Errors
/// The kernel has none.
pub(super) fn random() -> Result<Random, Problem> {
    let mut octets = Random::default();
    getrandom::fill(&mut octets)
        .map_err(|_| Problem::new(Kind::Storage, "the system has no random numbers"))?;
    Ok(octets)
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    /// Without a known asker nothing about a person is said or done: a router without its gate stays silent.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let asker = parts.extensions.get::<Asker>().cloned();
        asker.ok_or_else(|| Problem::new(Kind::NotPermitted, "the asker is not known on this connection"))
    }
}

/// The CSRF token that every form of a page carries in a hidden field called [`CSRF_FIELD`]. Empty for whoever came with a
/// token or over the Unix socket: those need none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Csrf(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Csrf {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let browser = parts.extensions.get::<Browser>();
        Ok(browser.map(|Browser(session)| Csrf(session.csrf().to_owned())).unwrap_or_default())
    }
}

/// What no answer leaves without. A page that needs more has said its own policy before.
pub(super) async fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Under "no-referrer" a browser says "Origin: null" with our own forms (Fetch, "append a request Origin header").
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
