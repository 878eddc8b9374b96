//! What staff does to cases: opens one, and acts on one (`/v1/cases/{id}/...`).
//!
//! Knows: what each act has to say, and what it comes to. Must not know: what follows for a case, or for mail.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Id, number};
use crate::access::Asker;
use crate::access::table::{Needs, Scope};
use crate::clock;
use crate::relay::standing::Subject;
use crate::server::http::api::rfc3339;
use crate::server::http::problem::{Kind, Problem};
use crate::server::http::suspensions::subject_of;
use crate::server::http::{BODY_OCTETS_MAX, Staff, body_of, parameters, reason, short};
use crate::session::{Name, Timestamp};

/// What staff does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Something is to be remembered.
    Note,
    /// One of them may send little until then; `None`: until released.
    Limit(Option<Timestamp>),
    /// One of them may send nothing until then; `None`: until released.
    Suspend(Option<Timestamp>),
    /// One of them may send as before.
    Release,
    /// There was nothing in it.
    Dismiss,
    /// It is dealt with.
    Close,
}

impl Deed {
    /// The past of it, as a case's history has it.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Deed::Note => "noted",
            Deed::Limit(_) => "limited",
            Deed::Suspend(_) => "suspended",
            Deed::Release => "released",
            Deed::Dismiss => "dismissed",
            Deed::Close => "closed",
        }
    }

    fn until(self) -> Option<Timestamp> {
        match self {
            Deed::Limit(until) | Deed::Suspend(until) => until,
            Deed::Note | Deed::Release | Deed::Dismiss | Deed::Close => None,
        }
    }
}

/// What staff does to a case, as it is handed on. Whoever takes it stamps the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// Who: see [`Asker::name`].
    pub by: Name,
    /// Which case.
    pub case: u64,
    /// What.
    pub deed: Deed,
    /// Of an order: to whom. `None`: to whom the case is about, if that is one.
    pub subject: Option<Subject>,
    /// Why.
    pub reason: Name,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<Name>,
    /// Also to a static range.
    pub force: bool,
}

/// A case that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Who opens it: see [`Asker::name`].
    pub by: Name,
    /// About whom, as typed.
    pub subject: Subject,
    /// Why.
    pub reason: Name,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<Name>,
    /// Also about somebody who was never seen.
    pub force: bool,
}

/// What was done, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Which case.
    pub case: u64,
    /// Sequence of the entry.
    pub reference: u64,
    /// When.
    pub at: Timestamp,
    /// To whom, or about whom.
    pub subject: Option<Subject>,
}

/// What a client sends to note something, to dismiss a case, or to close it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActBody {
    /// Why; of a note, its text.
    pub reason: String,
    /// The ticket that goes with it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// What a client sends to limit, suspend or release somebody whom a case is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseOrderBody {
    /// Whom; may be left out where the case is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `subscriber` (the default) or `login`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why.
    pub reason: String,
    /// The ticket that goes with it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// RFC 3339; not for a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Also a static range.
    #[serde(default)]
    pub force: bool,
}

/// What a client sends to open a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenBody {
    /// About whom; `0x...` for octets that are not printable text.
    pub subject: String,
    /// `subscriber` (the default) or `login`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why.
    pub reason: String,
    /// The ticket that goes with it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Also about somebody who was never seen.
    #[serde(default)]
    pub force: bool,
}

/// What an act came to, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ActRow {
    /// Which case.
    pub case: u64,
    /// `opened`, `noted`, `limited`, `suspended`, `released`, `dismissed` or `closed`.
    pub what: String,
    /// `subscriber` or `login`, of whose standing was changed, or about whom a case was opened.
    pub kind: Option<String>,
    /// Whose standing was changed, or about whom a case was opened.
    pub subject: Option<String>,
    /// Until when that holds; `None`: until another order.
    pub until: Option<String>,
    /// Sequence of the entry; of an order, what the refusal's text refers to.
    pub reference: u64,
    /// When.
    pub at: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The ticket that goes with it elsewhere.
    pub ticket: Option<String>,
}

/// A ticket's number as it is told elsewhere; an empty one is none.
pub(crate) fn ticket(text: Option<&str>) -> Result<Option<Name>, Problem> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    short("ticket", text).map(Some)
}

/// An act on a case, as it was told and found to be well spelled.
pub(crate) struct Told {
    pub(crate) deed: Deed,
    pub(crate) subject: Option<Subject>,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    pub(crate) force: bool,
}

/// Does it.
pub(crate) async fn carry_out<S: Staff>(
    staff: &S,
    asker: &Asker,
    case: u64,
    told: Told,
) -> Result<ActRow, Problem> {
    let Told { deed, subject, reason: why, ticket: number, force } = told;
    let (reason, ticket) = (reason(&why)?, ticket(number.as_deref())?);
    let (what, until) = (deed.done(), deed.until());
    if until.is_some_and(|until| until <= clock::now()) {
        return Err(Problem::parameter("until", "this moment is past"));
    }
    let (by, why, number) = (asker.name.clone(), reason.clone(), ticket.clone());
    let done = staff.act(Doing { by, case, deed, subject, reason, ticket, force }).await?;
    Ok(row(what, &done, asker, &why, number.as_ref(), until))
}

fn row(
    what: &str,
    done: &Done,
    asker: &Asker,
    reason: &Name,
    ticket: Option<&Name>,
    until: Option<Timestamp>,
) -> ActRow {
    ActRow {
        case: done.case,
        what: what.to_owned(),
        kind: done.subject.as_ref().map(|subject| subject.kind().to_owned()),
        subject: done.subject.as_ref().map(|subject| subject.name().to_string()),
        until: until.and_then(rfc3339),
        reference: done.reference,
        at: rfc3339(done.at),
        by: asker.name.to_string(),
        reason: reason.to_string(),
        ticket: ticket.map(Name::to_string),
    }
}

/// Opens a case.
pub(crate) async fn open_one<S: Staff>(staff: &S, asker: &Asker, body: OpenBody) -> Result<ActRow, Problem> {
    let subject = subject_of(&body.subject, body.kind.as_deref())?;
    let (reason, ticket) = (reason(&body.reason)?, ticket(body.ticket.as_deref())?);
    let by = asker.name.clone();
    let (why, number) = (reason.clone(), ticket.clone());
    let done = staff.open(Opening { by, subject, reason, ticket, force: body.force }).await?;
    Ok(row("opened", &done, asker, &why, number.as_ref(), None))
}

pub(in super::super) async fn open<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    let body: OpenBody = body_of(body, BODY_OCTETS_MAX)?;
    Ok(Json(open_one(&*staff, &asker, body).await?))
}

async fn plain<S: Staff>(
    staff: &S,
    asker: &Asker,
    id: Id,
    deed: Deed,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    let id = number(id)?;
    let ActBody { reason, ticket } = body_of(body, BODY_OCTETS_MAX)?;
    let told = Told { deed, subject: None, reason, ticket, force: false };
    Ok(Json(carry_out(staff, asker, id, told).await?))
}

async fn order<S: Staff>(
    staff: &S,
    asker: &Asker,
    id: Id,
    deed: fn(Option<Timestamp>) -> Deed,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    may_see(asker)?;
    let id = number(id)?;
    let CaseOrderBody { subject, kind, reason, ticket, until, force } = body_of(body, BODY_OCTETS_MAX)?;
    let until = until.map(|text| parameters::time("until", &text)).transpose()?;
    let deed = deed(until);
    if until.is_some() && deed.until().is_none() {
        return Err(Problem::parameter("until", "a release holds at once and for good"));
    }
    let subject = match (subject, kind) {
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Problem::parameter("kind", "says of which kind subject is; name that too"));
        }
        (Some(subject), kind) => Some(subject_of(&subject, kind.as_deref())?),
    };
    let told = Told { deed, subject, reason, ticket, force };
    Ok(Json(carry_out(staff, asker, id, told).await?))
}

/// An order from a case takes what an order takes, which the table has; and its answer tells of the case.
fn may_see(asker: &Asker) -> Result<(), Problem> {
    let (role, scope) = (asker.role, Scope::Cases);
    if asker.may(Needs::Role(role, scope)) {
        return Ok(());
    }
    let detail = format!("this takes the scope {} as well", scope.word());
    Err(Problem::new(Kind::NotPermitted, detail))
}

pub(in super::super) async fn note<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    plain(&*staff, &asker, id, Deed::Note, body).await
}

pub(in super::super) async fn dismiss<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    plain(&*staff, &asker, id, Deed::Dismiss, body).await
}

pub(in super::super) async fn close<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    plain(&*staff, &asker, id, Deed::Close, body).await
}

pub(in super::super) async fn limit<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    order(&*staff, &asker, id, Deed::Limit, body).await
}

pub(in super::super) async fn suspend<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    order(&*staff, &asker, id, Deed::Suspend, body).await
}

pub(in super::super) async fn release<S: Staff>(
    State(staff): State<Arc<S>>,
    id: Id,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ActRow>, Problem> {
    order(&*staff, &asker, id, |_| Deed::Release, body).await
}
