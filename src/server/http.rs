//! The HTTP API: paths to questions, answers to JSON. One router serves the Unix socket and TCP; who comes, and whether they
//! may, is the gate's business (`auth.rs`).
//!
//! Knows: paths, parameters, and which question is about a person. Must not know: how an answer is found (that is
//! behind [`Staff`]), or what a socket is (`web.rs` accepts and names the peer).

pub mod access;
pub mod api;
pub mod attempts;
pub mod auth;
pub mod cases;
pub mod complaints;
pub mod coverage;
pub mod document;
pub mod hosts;
pub mod import;
pub mod known_now;
mod lists;
mod login;
pub mod maillog;
pub mod metrics;
pub mod nas;
pub mod notices;
mod pages;
pub mod parameters;
pub mod peers;
pub mod permitted;
pub mod preservations;
pub mod problem;
mod question;
pub mod questions;
pub mod report;
pub mod reputation;
pub mod rules;
pub mod scanned;
pub mod sessions;
mod sheet;
mod suspensions;
pub mod throttle;
pub mod tokens;
pub mod top;
pub mod usage;
pub mod walk;
pub mod web;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Json, Router};
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use self::api::{Instruction, MessageRow, SessionRow, StoryRow, SuspensionRow, Who};
use self::attempts::AttemptRow;
use self::auth::{Gate, Keeper};
use self::coverage::CoverageRow;
use self::import::{Chunk, ImportAnswer, import};
use self::maillog::MailChunk;
use self::nas::{HoldOrder, NasRow};
use self::parameters::Parameters;
use self::permitted::{Permitted, permitted};
use self::problem::{Kind, Problem};
use self::question::Question;
use self::questions::{ChainRow, QuestionRow};
use self::reputation::ReputationRow;
use self::scanned::{ScannedRow, VerdictBody, VerdictRow};
use self::top::{TopFilter, TopRow};
use self::usage::UsageRow;
use crate::access::Role;
use crate::access::preservation::{PreservationOrder, Preservations};
use crate::access::question::Asked;
use crate::access::token::{TokenOrder, Tokens};
use crate::audit::asked::AskedFilter;
use crate::audit::rows::{
    AttemptFilter, Listed, MessageFilter, ScannedFilter, SessionFilter, StoryFilter, Sum,
};
use crate::relay::standing::Subject;
use crate::session::{Name, Realm, Timestamp};
use crate::{clock, complaint};

/// No order is longer; what is longer is refused unread.
const BODY_OCTETS_MAX: usize = 64 * 1024;
/// A reason is kept for years and shown in tables.
const REASON_OCTETS_MAX: usize = 1024;
/// A question about the past may read many files; beyond this the asker has given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What the public space is called where a realm can be named.
const PUBLIC: &str = "public";
/// The text format that Prometheus asks for by name.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whoever holds the answers for staff.
pub trait Staff: complaints::Desk + notices::Desk {
    /// The address space of this name; `None`: nothing was ever heard of it.
    fn realm(&self, name: &Name) -> Option<Realm>;

    /// The address space of an address of which is told without its space; `None`: it may be in several.
    fn realm_of(&self, address: IpAddr) -> Option<Realm>;

    /// Who owns the address now, and may it relay? From memory.
    fn lookup(&self, realm: Realm, address: IpAddr, port: Option<u16>) -> Who;

    /// Who owned the address then?
    fn owner(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
    ) -> impl Future<Output = Result<Who, Trouble>> + Send;

    /// Who owned the address at any moment from `within` before `at` to `within` after it?
    fn owner_within(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
        within: Duration,
    ) -> impl Future<Output = Result<Who, Trouble>> + Send;

    /// The messages that carry this token.
    fn by_token(&self, token: &Name) -> impl Future<Output = Result<Vec<MessageRow>, Trouble>> + Send;

    /// Sessions, newest first.
    fn sessions(
        &self,
        filter: &SessionFilter,
    ) -> impl Future<Output = Result<Vec<SessionRow>, Trouble>> + Send;

    /// What came of each entry for an address, oldest first.
    fn explain(&self, filter: &StoryFilter) -> impl Future<Output = Result<Vec<StoryRow>, Trouble>> + Send;

    /// The number under which a recipient is kept.
    fn recipient(&self, recipient: &Name) -> u64;

    /// Messages, newest first.
    fn messages(
        &self,
        filter: &MessageFilter,
    ) -> impl Future<Output = Result<Vec<MessageRow>, Trouble>> + Send;

    /// Who sent most.
    fn top(&self, filter: &TopFilter) -> impl Future<Output = Result<Vec<TopRow>, Trouble>> + Send;

    /// What a subscriber sent, by the minute; minutes without messages are not there.
    fn minutes(
        &self,
        subscriber: &Name,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<(Timestamp, Sum)>, Trouble>> + Send;

    /// In which zone the site tells times.
    fn zone(&self) -> TimeZone;

    /// For how long the past is kept, and in which spans from `since` on and before `until` nothing was heard.
    fn coverage(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> impl Future<Output = Result<CoverageRow, Trouble>> + Send;

    /// What scanners found, newest first.
    fn scanned(
        &self,
        filter: &ScannedFilter,
    ) -> impl Future<Output = Result<Vec<ScannedRow>, Trouble>> + Send;

    /// Takes what a scanner tells of a message; answers once it is durable.
    fn verdict(&self, told: VerdictBody) -> impl Future<Output = Result<VerdictRow, Trouble>> + Send;

    /// Attempts that were refused or deferred, newest first.
    fn attempts(
        &self,
        filter: &AttemptFilter,
    ) -> impl Future<Output = Result<Vec<AttemptRow>, Trouble>> + Send;

    /// The feed of each NAS.
    fn nas(&self) -> Vec<NasRow>;

    /// Our own addresses on each block list that is asked.
    fn reputation(&self) -> Vec<ReputationRow>;

    /// Every address that may relay now.
    fn permitted(&self) -> impl Future<Output = Result<Permitted, Trouble>> + Send;

    /// Takes a chunk of somebody else's records; answers once what came of them is durable.
    fn import(&self, chunk: Chunk) -> impl Future<Output = Result<ImportAnswer, Trouble>> + Send;

    /// Takes a chunk of what a mail server logged; answers once what came of it is durable.
    fn import_mail(&self, chunk: MailChunk) -> impl Future<Output = Result<ImportAnswer, Trouble>> + Send;

    /// How much somebody sent lately, beside the limits that may hold for it.
    fn usage(&self, subject: Subject) -> Vec<UsageRow>;

    /// Since when something is lost that a list of this time would have needed.
    fn lost(&self, listed: Listed, since: Option<Timestamp>, until: Option<Timestamp>) -> Option<Timestamp>;

    /// Suspensions and limits in force.
    fn suspensions(&self) -> Vec<SuspensionRow>;

    /// Carries out an order; answers once it is durable and holds.
    fn order(&self, instruction: Instruction) -> impl Future<Output = Result<Ordered, OrderError>> + Send;

    /// Believes a NAS for a while, or no longer; answers once that is durable and holds.
    fn hold(&self, order: HoldOrder) -> impl Future<Output = Result<Ordered, OrderError>> + Send;

    /// Writes a question down; answers once that is durable.
    fn asked(&self, asked: Asked) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Who asked what, newest first.
    fn questions(
        &self,
        filter: &AskedFilter,
    ) -> impl Future<Output = Result<Vec<QuestionRow>, Trouble>> + Send;

    /// Whether the chain of questions is whole.
    fn chain(&self) -> impl Future<Output = Result<ChainRow, Trouble>> + Send;

    /// Whether a question about a person takes a purpose.
    fn purpose_required(&self) -> bool;

    /// Who may come in with a token.
    fn tokens(&self) -> Arc<Tokens>;

    /// A subscriber's name as it is kept.
    fn canonical(&self, name: &Name) -> Name;

    /// What must be kept longer.
    fn preserved(&self) -> Arc<Preservations>;

    /// Has something kept longer, or no longer; answers once that is durable and holds.
    fn preserve(&self, order: PreservationOrder) -> impl Future<Output = Result<Ordered, OrderError>> + Send;

    /// Carries out an order about a token; answers once it is durable and holds.
    fn token(&self, order: TokenOrder) -> impl Future<Output = Result<Ordered, OrderError>> + Send;

    /// Are lookups true, and if not, why?
    fn health(&self) -> Health;

    /// The metrics in `OpenMetrics` text.
    fn metrics(&self) -> String;
}

/// An order that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// Sequence of its entry.
    pub reference: u64,
    /// When it was given.
    pub at: Timestamp,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderError {
    /// Nobody of that name was ever seen.
    UnknownSubject,
    /// Nobody of that name is in the past, which lacks the last of what was committed.
    Behind,
    /// The name stands for a static range: many may be behind it.
    StaticRange,
    /// There is nothing to release.
    NotSuspended,
    /// No record of a NAS of that name was ever taken.
    UnknownNas,
    /// The NAS is not held.
    NotHeld,
    /// It could not be made durable.
    Storage,
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The question could not be written down, so it is not answered.
    Unrecorded,
    /// The stored past can't be read now.
    Storage,
    /// A stored row is not what we wrote.
    Damaged,
    /// Lookups are not true yet.
    NotReady,
    /// What was taken before is not worked off yet.
    Behind,
    /// No RADIUS client has this name.
    NoSuchClient,
}

/// Whether lookups are true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// They are.
    pub ready: bool,
    /// Why they are not; also what else is wrong while they are.
    pub reasons: Vec<String>,
}

/// The Unix user at the other end of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub name: Name,
    /// What they may do; `None`: nothing.
    pub role: Option<Role>,
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unrecorded => Problem::new(
                Kind::Unrecorded,
                "questions about people are answered only once they are written down; see /readyz",
            ),
            Trouble::Storage => {
                Problem::new(Kind::Storage, "the past can't be read now; see /readyz and the log")
            }
            Trouble::Damaged => {
                Problem::new(Kind::Damaged, "a stored row fails its check; the log names the file")
            }
            Trouble::NotReady => Problem::new(Kind::NotReady, "the log is being read; see /readyz"),
            Trouble::Behind => {
                Problem::new(Kind::TooSlow, "what was taken before is not worked off yet; go on in a moment")
            }
            Trouble::NoSuchClient => {
                Problem::parameter("client", "no [[radius.client]] of the configuration has this name")
            }
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::UnknownSubject => Problem::new(
                Kind::UnknownSubject,
                "check the spelling, or say --force (over HTTP \"force\": true) to order it all the same",
            ),
            OrderError::Behind => Problem::new(
                Kind::TooSlow,
                "whether somebody of that name was seen is not known yet: try again in a moment, or say --force (over HTTP \"force\": \
                 true) to order it all the same",
            ),
            OrderError::StaticRange => Problem::new(
                Kind::StaticRange,
                "everybody in that range is concerned; say --force (over HTTP \"force\": true) if that is meant",
            ),
            OrderError::NotSuspended => Problem::new(Kind::NotSuspended, "there is nothing to release"),
            OrderError::UnknownNas => Problem::new(
                Kind::UnknownNas,
                "no record of it was ever taken, so there is nothing to believe; the list of NASes has the spelling",
            ),
            OrderError::NotHeld => Problem::new(Kind::NotHeld, "there is nothing to end"),
            OrderError::Storage => Problem::new(
                Kind::Unrecorded,
                "the order does not hold: it could not be made durable; see /readyz",
            ),
        }
    }
}

/// Routes, and what they are: a router does not tell.
struct Routes<S> {
    router: Router<Arc<S>>,
    listed: Vec<(&'static str, &'static str)>,
}

impl<S: Staff> Routes<S> {
    fn at(
        mut self,
        method: &'static str,
        path: &'static str,
        handler: impl FnOnce(MethodFilter) -> MethodRouter<Arc<S>>,
    ) -> Self {
        // A method that is none would be a route that nobody reaches; the test of the table would miss it.
        let filter = match method {
            "POST" => MethodFilter::POST,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        self.router = self.router.route(path, handler(filter));
        self.listed.push((method, path));
        self
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn routes<S: Staff>() -> Routes<S> {
    let chunk = DefaultBodyLimit::max(import::BODY_OCTETS_MAX);
    let report = DefaultBodyLimit::max(complaint::OCTETS_MAX);
    let verdict = DefaultBodyLimit::max(scanned::BODY_OCTETS_MAX);
    Routes { router: Router::new(), listed: Vec::new() }
        .at("GET", "/healthz", |m| on(m, async || "alive\n"))
        .at("GET", "/readyz", |m| on(m, readyz::<S>))
        .at("GET", "/metrics", |m| on(m, metrics::<S>))
        .at("GET", "/login", |m| on(m, login::ask))
        .at("POST", "/login", |m| on(m, login::login::<S>))
        .at("POST", "/logout", |m| on(m, login::logout))
        .at("GET", "/assets/page.css", |m| on(m, pages::style))
        .at("GET", "/assets/icon.svg", |m| on(m, pages::icon))
        .at("GET", "/", |m| on(m, pages::look::<S>))
        .at("GET", "/subscriber/{name}", |m| on(m, pages::subscriber::<S>))
        .at("GET", "/message", |m| on(m, pages::message::<S>))
        .at("GET", "/messages", |m| on(m, pages::messages::<S>))
        .at("GET", "/sessions", |m| on(m, pages::sessions::<S>))
        .at("GET", "/story", |m| on(m, pages::story::<S>))
        .at("GET", "/top", |m| on(m, pages::top::<S>))
        .at("GET", "/feeds", |m| on(m, pages::feeds::<S>))
        .at("GET", "/cases", |m| on(m, pages::cases::<S>))
        .at("GET", "/case/{id}", |m| on(m, pages::case::<S>))
        .at("GET", "/rules", |m| on(m, pages::rules::<S>))
        .at("POST", "/cases/open", |m| on(m, pages::open::<S>))
        .at("POST", "/case/{id}/note", |m| on(m, pages::note::<S>))
        .at("POST", "/case/{id}/limit", |m| on(m, pages::limit_from_case::<S>))
        .at("POST", "/case/{id}/suspend", |m| on(m, pages::suspend_from_case::<S>))
        .at("POST", "/case/{id}/release", |m| on(m, pages::release_from_case::<S>))
        .at("POST", "/case/{id}/dismiss", |m| on(m, pages::dismiss::<S>))
        .at("POST", "/case/{id}/close", |m| on(m, pages::close::<S>))
        .at("GET", "/suspensions", |m| on(m, pages::suspensions::<S>))
        .at("POST", "/suspensions/suspend", |m| on(m, pages::suspend::<S>))
        .at("POST", "/suspensions/limit", |m| on(m, pages::limit::<S>))
        .at("POST", "/suspensions/release", |m| on(m, pages::release::<S>))
        .at("GET", "/questions", |m| on(m, pages::questions::<S>))
        .at("GET", "/v1/openapi.json", |m| on(m, document::show))
        .at("GET", "/v1/lookup", |m| on(m, lookup::<S>))
        .at("GET", "/v1/owner", |m| on(m, owner::<S>))
        .at("GET", "/v1/sessions", |m| on(m, lists::sessions::<S>))
        .at("GET", "/v1/explain", |m| on(m, lists::explain::<S>))
        .at("GET", "/v1/messages", |m| on(m, lists::messages::<S>))
        .at("GET", "/v1/top", |m| on(m, top::top::<S>))
        .at("GET", "/v1/usage", |m| on(m, usage::usage::<S>))
        .at("GET", "/v1/attempts", |m| on(m, attempts::list::<S>))
        .at("GET", "/v1/scanned", |m| on(m, scanned::list::<S>))
        .at("POST", "/v1/verdicts", |m| on(m, scanned::tell::<S>).layer(verdict))
        .at("GET", "/v1/nas", |m| on(m, nas::list::<S>))
        .at("GET", "/v1/reputation", |m| on(m, reputation::list::<S>))
        .at("GET", "/v1/report", |m| on(m, report::report::<S>))
        .at("GET", "/v1/notices", |m| on(m, notices::list::<S>))
        .at("POST", "/v1/notices/{name}/test", |m| on(m, notices::test::<S>))
        .at("POST", "/v1/nas/hold", |m| on(m, nas::hold::<S>))
        .at("POST", "/v1/nas/unhold", |m| on(m, nas::unhold::<S>))
        .at("GET", "/v1/permitted", |m| on(m, permitted::<S>))
        .at("POST", "/v1/import", |m| on(m, import::<S>).layer(chunk))
        .at("POST", "/v1/complaints", |m| on(m, complaints::complain::<S>).layer(report))
        .at("GET", "/v1/cases", |m| on(m, cases::list::<S>))
        .at("GET", "/v1/rules", |m| on(m, rules::list::<S>))
        .at("GET", "/v1/rules/{name}/dry-run", |m| on(m, rules::rehearse::<S>))
        .at("POST", "/v1/cases", |m| on(m, cases::acts::open::<S>))
        .at("GET", "/v1/cases/{id}", |m| on(m, cases::one::<S>))
        .at("POST", "/v1/cases/{id}/note", |m| on(m, cases::acts::note::<S>))
        .at("POST", "/v1/cases/{id}/limit", |m| on(m, cases::acts::limit::<S>))
        .at("POST", "/v1/cases/{id}/suspend", |m| on(m, cases::acts::suspend::<S>))
        .at("POST", "/v1/cases/{id}/release", |m| on(m, cases::acts::release::<S>))
        .at("POST", "/v1/cases/{id}/dismiss", |m| on(m, cases::acts::dismiss::<S>))
        .at("POST", "/v1/cases/{id}/close", |m| on(m, cases::acts::close::<S>))
        .at("GET", "/v1/resolver/abusehq", |m| on(m, complaints::abusehq::<S>))
        .at("GET", "/v1/resolver/abuseio", |m| on(m, complaints::abuseio::<S>))
        .at("GET", "/v1/coverage", |m| on(m, coverage::show::<S>))
        .at("POST", "/v1/import/messages", |m| on(m, maillog::import::<S>).layer(chunk))
        .at("GET", "/v1/suspensions", |m| on(m, suspensions::list::<S>))
        .at("POST", "/v1/suspensions", |m| on(m, suspensions::suspend::<S>))
        .at("POST", "/v1/suspensions/limit", |m| on(m, suspensions::limit::<S>))
        .at("POST", "/v1/suspensions/release", |m| on(m, suspensions::release::<S>))
        .at("DELETE", "/v1/suspensions/release", |m| on(m, suspensions::release::<S>))
        .at("GET", "/v1/questions", |m| on(m, questions::list::<S>))
        .at("GET", "/v1/questions/verify", |m| on(m, questions::verify::<S>))
        .at("GET", "/v1/preservations", |m| on(m, preservations::list::<S>))
        .at("POST", "/v1/preservations", |m| on(m, preservations::give::<S>))
        .at("POST", "/v1/preservations/lift", |m| on(m, preservations::lift::<S>))
        .at("GET", "/v1/tokens", |m| on(m, tokens::list::<S>))
        .at("POST", "/v1/tokens", |m| on(m, tokens::create::<S>))
        .at("POST", "/v1/tokens/revoke", |m| on(m, tokens::revoke::<S>))
}

/// Method and path of everything that is served.
#[must_use]
pub fn served<S: Staff>() -> Vec<(&'static str, &'static str)> {
    routes::<S>().listed
}

/// Everything. A connection brings its [`Peer`] or its [`auth::Source`] as an extension; without either it is nobody's.
pub fn router<S: Staff>(staff: Arc<S>, gate: Arc<Gate>) -> Router {
    let keeper = Keeper { gate: Arc::clone(&gate), staff: Arc::clone(&staff) };
    routes::<S>()
        .router
        .route_layer(axum::middleware::from_fn_with_state(keeper, auth::admit::<S>))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(Extension(gate))
        .layer(axum::middleware::from_fn(within_time))
        .layer(axum::middleware::from_fn(pages::for_people))
        .layer(axum::middleware::map_response(auth::secured))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(staff)
}

async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::TooSlow, "narrow the question, for example with since and until")
            .into_response(),
    }
}

async fn no_such_path() -> Problem {
    Problem::new(Kind::NoSuchPath, "the paths are listed in docs/http.md")
}

async fn no_such_method() -> Problem {
    Problem::new(Kind::NoSuchMethod, "questions are GET, orders are POST")
}

/// The address that is asked about, in its space.
struct Wanted {
    /// Only where it matters: a public address is the same in every VRF.
    name: Option<String>,
    realm: Realm,
    address: IpAddr,
    port: Option<u16>,
}

impl Wanted {
    fn of<S: Staff>(staff: &S, parameters: &mut Parameters) -> Result<Self, Problem> {
        let address = required("address", parameters.address("address")?)?;
        let port = parameters.port("port")?;
        let (name, realm) = realm(staff, parameters)?;
        let name = name.filter(|_| realm.around(address) != Realm::PUBLIC).map(|name| name.to_string());
        Ok(Wanted { name, realm, address, port })
    }
}

/// The space that is asked about; public addresses need none.
fn realm<S: Staff>(staff: &S, parameters: &mut Parameters) -> Result<(Option<Name>, Realm), Problem> {
    let Some(name) = parameters.name("realm")?.filter(|name| *name != Name::from(PUBLIC)) else {
        return Ok((None, Realm::PUBLIC));
    };
    let unknown = || Problem {
        parameter: Some("realm".to_owned()),
        ..Problem::new(
            Kind::UnknownRealm,
            "no record and no configured translation named it; leave it out for public addresses",
        )
    };
    let realm = staff.realm(&name).ok_or_else(unknown)?;
    Ok((Some(name), realm))
}

async fn lookup<S: Staff>(State(staff): State<Arc<S>>, mut question: Question) -> Result<Json<Who>, Problem> {
    let Wanted { name, realm, address, port } = Wanted::of(&*staff, &mut question.parameters)?;
    let ready = question.ready(&*staff)?;
    let who = staff.lookup(realm, address, port);
    ready.answered(&*staff, who.candidates.len()).await?;
    Ok(Json(Who { realm: name, ..who }))
}

async fn owner<S: Staff>(State(staff): State<Arc<S>>, mut question: Question) -> Result<Json<Who>, Problem> {
    if let Some(token) = question.parameters.name("token")? {
        let ready = question.ready(&*staff)?;
        let rows = staff.by_token(&token).await?;
        ready.answered(&*staff, rows.len()).await?;
        return Ok(Json(Who::of_messages(&rows, clock::now())));
    }
    let Wanted { name, realm, address, port } = Wanted::of(&*staff, &mut question.parameters)?;
    let at = question.parameters.time("at")?;
    let within = question.parameters.span("within")?;
    if within.is_some() && at.is_none() {
        return Err(Problem::parameter("within", "says how far before and after at; name that too"));
    }
    let ready = question.ready(&*staff)?;
    let who = match (at, within) {
        (Some(at), Some(within)) => staff.owner_within(realm, address, port, at, within).await?,
        (Some(at), None) => staff.owner(realm, address, port, at).await?,
        (None, _) => staff.lookup(realm, address, port),
    };
    ready.answered(&*staff, who.candidates.len()).await?;
    Ok(Json(Who { realm: name, ..who }))
}

/// A body of at most so many octets, as the router sees to it.
fn body_of<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    octets_max: usize,
) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Kind::BodyTooLarge, format!("more than {octets_max} octets"))
        }
        _ => Problem::new(Kind::BadBody, "it ended before its length"),
    })?;
    serde_json::from_slice(&body).map_err(|error| Problem::new(Kind::BadBody, error.to_string()))
}

/// An order without a reason can't be judged by whoever finds it a year later.
fn reason(text: &str) -> Result<Name, Problem> {
    short("reason", text)
}

/// A text of this name that fits a table, and says something.
fn short(name: &str, text: &str) -> Result<Name, Problem> {
    if text.trim().is_empty() || text.len() > REASON_OCTETS_MAX {
        return Err(Problem::parameter(name, format!("empty, or longer than {REASON_OCTETS_MAX} octets")));
    }
    Ok(Name::from(text.trim()))
}

async fn readyz<S: Staff>(State(staff): State<Arc<S>>) -> Response {
    let health = staff.health();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

async fn metrics<S: Staff>(State(staff): State<Arc<S>>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], staff.metrics()).into_response()
}

fn required<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::parameter(name, "missing"))
}

fn in_order(since: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), Problem> {
    match (since, until) {
        (Some(since), Some(until)) if since >= until => Err(Problem::parameter("until", "not after since")),
        _ => Ok(()),
    }
}
