//! The HTTP API: paths to questions, answers to JSON. One router serves staff over the Unix socket, another serves
//! health and metrics over TCP.
//!
//! Knows: paths, parameters, and which question is about a person. Must not know: how an answer is found (that is
//! behind [`Staff`]), or what a socket is (`web.rs` accepts and names the peer).

pub mod api;
pub mod cases;
pub mod complaints;
pub mod import;
pub mod metrics;
pub mod nas;
pub mod parameters;
pub mod permitted;
pub mod problem;
pub mod web;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::api::{
    Instruction, MessageRow, OrderBody, OrderRow, SessionRow, StoryRow, SuspensionRow, Who, rfc3339,
};
use self::import::{Chunk, ImportAnswer, import};
use self::nas::{HoldOrder, NasRow};
use self::parameters::Parameters;
use self::permitted::{Permitted, permitted};
use self::problem::{Kind, Problem};
use crate::audit::rows::{MessageFilter, SessionFilter, StoryFilter};
use crate::clock;
use crate::relay::standing::{Order, Subject};
use crate::session::{Name, Realm, Timestamp};

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
pub trait Staff: complaints::Desk {
    /// The address space of this name; `None`: nothing was ever heard of it.
    fn realm(&self, name: &Name) -> Option<Realm>;

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

    /// Messages, newest first.
    fn messages(
        &self,
        filter: &MessageFilter,
    ) -> impl Future<Output = Result<Vec<MessageRow>, Trouble>> + Send;

    /// The feed of each NAS.
    fn nas(&self) -> Vec<NasRow>;

    /// Every address that may relay now.
    fn permitted(&self) -> impl Future<Output = Result<Permitted, Trouble>> + Send;

    /// Takes a chunk of somebody else's records; answers once what came of them is durable.
    fn import(&self, chunk: Chunk) -> impl Future<Output = Result<ImportAnswer, Trouble>> + Send;

    /// Suspensions in force.
    fn suspensions(&self) -> Vec<SuspensionRow>;

    /// Carries out an order; answers once it is durable and holds.
    fn order(&self, instruction: Instruction) -> impl Future<Output = Result<Ordered, OrderError>> + Send;

    /// Believes a NAS for a while, or no longer; answers once that is durable and holds.
    fn hold(&self, order: HoldOrder) -> impl Future<Output = Result<Ordered, OrderError>> + Send;

    /// Writes down that `by` asked `what` (path and query); answers once that is durable.
    fn asked(&self, by: Name, what: Name) -> impl Future<Output = Result<(), Trouble>> + Send;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// They are.
    pub ready: bool,
    /// Why they are not; also what else is wrong while they are.
    pub reasons: Vec<String>,
}

/// The Unix user at the other end of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer(pub Name);

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

/// Everything, for the Unix socket. Each connection brings its [`Peer`] as an extension.
pub fn for_staff<S: Staff>(staff: Arc<S>) -> Router {
    Router::new()
        .route("/v1/lookup", get(lookup::<S>))
        .route("/v1/owner", get(owner::<S>))
        .route("/v1/sessions", get(sessions::<S>))
        .route("/v1/explain", get(explain::<S>))
        .route("/v1/messages", get(messages::<S>))
        .route("/v1/nas", get(nas::list::<S>))
        .route("/v1/nas/hold", post(nas::hold::<S>))
        .route("/v1/nas/unhold", post(nas::unhold::<S>))
        .route("/v1/permitted", get(permitted::<S>))
        .route("/v1/import", post(import::<S>).layer(DefaultBodyLimit::max(import::BODY_OCTETS_MAX)))
        .route("/v1/suspensions", get(suspensions::<S>).post(suspend::<S>))
        .route("/v1/suspensions/release", post(release::<S>).delete(release::<S>))
        .merge(complaints::routes())
        .merge(health_routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn(within_time))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(staff)
}

/// Health and metrics, for TCP: whoever reaches the port learns nothing about a person.
pub fn for_anybody<S: Staff>(staff: Arc<S>) -> Router {
    Router::new()
        .merge(health_routes())
        .route("/v1/{*path}", axum::routing::any(socket_only))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn(within_time))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(staff)
}

fn health_routes<S: Staff>() -> Router<Arc<S>> {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz::<S>))
        .route("/metrics", get(metrics::<S>))
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

async fn socket_only() -> Problem {
    Problem::new(Kind::SocketOnly, "use the command line on this host, or the socket named in [http]")
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    /// Without a known asker nothing about a person is said or done: a router put behind another listener stays silent.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().cloned();
        peer.ok_or_else(|| Problem::new(Kind::NotPermitted, "the asker is not known on this connection"))
    }
}

/// A question: who asks, its parameters, and its spelling for the record.
struct Asked {
    by: Name,
    what: Name,
    parameters: Parameters,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Peer(by) = Peer::from_request_parts(parts, state).await?;
        let what = spelled(&parts.uri);
        let pairs: Result<Query<Vec<(String, String)>>, QueryRejection> =
            Query::from_request_parts(parts, state).await;
        let Query(pairs) =
            pairs.map_err(|_| Problem::parameter("query", "not a query of the form name=value&..."))?;
        let mut parameters = Parameters::new(pairs);
        // The purpose of a question is kept with it: the record holds the whole query.
        parameters.text("why")?;
        Ok(Asked { by, what, parameters })
    }
}

fn spelled(uri: &Uri) -> Name {
    Name::from(uri.path_and_query().map_or_else(|| uri.path(), |whole| whole.as_str()))
}

impl Asked {
    /// Refuses what is left of the parameters, then writes the question down. Only then may it be answered.
    async fn recorded<S: Staff>(self, staff: &S) -> Result<(), Problem> {
        self.parameters.finish()?;
        staff.asked(self.by, self.what).await?;
        Ok(())
    }
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

async fn lookup<S: Staff>(State(staff): State<Arc<S>>, mut asked: Asked) -> Result<Json<Who>, Problem> {
    let Wanted { name, realm, address, port } = Wanted::of(&*staff, &mut asked.parameters)?;
    asked.recorded(&*staff).await?;
    Ok(Json(Who { realm: name, ..staff.lookup(realm, address, port) }))
}

async fn owner<S: Staff>(State(staff): State<Arc<S>>, mut asked: Asked) -> Result<Json<Who>, Problem> {
    if let Some(token) = asked.parameters.name("token")? {
        asked.recorded(&*staff).await?;
        let rows = staff.by_token(&token).await?;
        return Ok(Json(Who::of_messages(&rows, clock::now())));
    }
    let Wanted { name, realm, address, port } = Wanted::of(&*staff, &mut asked.parameters)?;
    let at = asked.parameters.time("at")?;
    let within = asked.parameters.span("within")?;
    if within.is_some() && at.is_none() {
        return Err(Problem::parameter("within", "says how far before and after at; name that too"));
    }
    asked.recorded(&*staff).await?;
    let who = match (at, within) {
        (Some(at), Some(within)) => staff.owner_within(realm, address, port, at, within).await?,
        (Some(at), None) => staff.owner(realm, address, port, at).await?,
        (None, _) => staff.lookup(realm, address, port),
    };
    Ok(Json(Who { realm: name, ..who }))
}

async fn sessions<S: Staff>(
    State(staff): State<Arc<S>>,
    mut asked: Asked,
) -> Result<Json<Vec<SessionRow>>, Problem> {
    let parameters = &mut asked.parameters;
    let filter = SessionFilter {
        subscriber: parameters.name("subscriber")?,
        prefix: parameters.prefix("address")?,
        realm: realm(&*staff, parameters)?.1,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: parameters.limit()?,
    };
    in_order(filter.since, filter.until)?;
    if filter.realm != Realm::PUBLIC && filter.prefix.is_none() {
        return Err(Problem::parameter("realm", "says in which space address lies; name that too"));
    }
    asked.recorded(&*staff).await?;
    Ok(Json(staff.sessions(&filter).await?))
}

async fn explain<S: Staff>(
    State(staff): State<Arc<S>>,
    mut asked: Asked,
) -> Result<Json<Vec<StoryRow>>, Problem> {
    let Wanted { realm, address, port, .. } = Wanted::of(&*staff, &mut asked.parameters)?;
    let parameters = &mut asked.parameters;
    let filter = StoryFilter {
        realm,
        address,
        port,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: parameters.limit()?,
    };
    in_order(filter.since, filter.until)?;
    asked.recorded(&*staff).await?;
    Ok(Json(staff.explain(&filter).await?))
}

async fn messages<S: Staff>(
    State(staff): State<Arc<S>>,
    mut asked: Asked,
) -> Result<Json<Vec<MessageRow>>, Problem> {
    let parameters = &mut asked.parameters;
    let filter = MessageFilter {
        subscriber: parameters.name("subscriber")?,
        address: parameters.address("address")?,
        queue_id: parameters.name("queue_id")?,
        token: parameters.name("token")?,
        login: parameters.name("login")?,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        limit: parameters.limit()?,
    };
    in_order(filter.since, filter.until)?;
    asked.recorded(&*staff).await?;
    Ok(Json(staff.messages(&filter).await?))
}

async fn suspensions<S: Staff>(
    State(staff): State<Arc<S>>,
    asked: Asked,
) -> Result<Json<Vec<SuspensionRow>>, Problem> {
    asked.recorded(&*staff).await?;
    Ok(Json(staff.suspensions()))
}

async fn suspend<S: Staff>(
    State(staff): State<Arc<S>>,
    Peer(by): Peer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OrderRow>, Problem> {
    let body: OrderBody = body_of(body, BODY_OCTETS_MAX)?;
    let until = match &body.until {
        None => None,
        Some(text) => Some(parameters::time("until", text)?),
    };
    if until.is_some_and(|until| until <= clock::now()) {
        return Err(Problem::parameter("until", "this moment is past"));
    }
    carry_out(&*staff, by, body, Order::Suspend { until }).await
}

async fn release<S: Staff>(
    State(staff): State<Arc<S>>,
    Peer(by): Peer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OrderRow>, Problem> {
    let body: OrderBody = body_of(body, BODY_OCTETS_MAX)?;
    if body.until.is_some() {
        return Err(Problem::parameter("until", "a release holds at once and for good"));
    }
    carry_out(&*staff, by, body, Order::Release).await
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
    if text.trim().is_empty() || text.len() > REASON_OCTETS_MAX {
        return Err(Problem::parameter(
            "reason",
            format!("empty, or longer than {REASON_OCTETS_MAX} octets"),
        ));
    }
    Ok(Name::from(text.trim()))
}

async fn carry_out<S: Staff>(
    staff: &S,
    by: Name,
    body: OrderBody,
    order: Order,
) -> Result<Json<OrderRow>, Problem> {
    if body.subject.is_empty() {
        return Err(Problem::parameter("subject", "empty"));
    }
    let reason = reason(&body.reason)?;
    let name = Name::from_text(&body.subject);
    let kind = body.kind.as_deref().unwrap_or("subscriber");
    let subject = match kind {
        "subscriber" => Subject::Subscriber(name.clone()),
        "login" => Subject::Login(name.clone()),
        _ => return Err(Problem::parameter("kind", "neither subscriber nor login")),
    };
    let (word, until) = match &order {
        Order::Suspend { until } => ("suspend", *until),
        Order::Release => ("release", None),
    };
    let mut row = OrderRow {
        order: word.to_owned(),
        kind: kind.to_owned(),
        subject: name.to_string(),
        until: until.and_then(rfc3339),
        by: by.to_string(),
        reason: reason.to_string(),
        ..OrderRow::default()
    };
    let ordered = staff.order(Instruction { by, subject, order, reason, force: body.force }).await?;
    row.reference = ordered.reference;
    row.at = rfc3339(ordered.at);
    Ok(Json(row))
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
