//! `/v1/complaints`: a report about a message comes in, whose it was goes out; and who-had-it in the words of other
//! programs that keep complaints (`/v1/resolver/...`).
//!
//! Knows: the fields of these answers (they are a contract). Must not know: how a report is read, or how a subscriber is found.

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{MessageRow, Who, rfc3339};
use super::cases::{CaseError, CaseFilter, CaseRow, Doing, Done, Opening};
use super::problem::{Kind, Problem};
use super::question::Question;
use super::rules::{RuleRow, WouldRow};
use super::{Staff, Trouble, realm, required};
use crate::access::Asker;
use crate::clock;
use crate::complaint::Unreadable;
use crate::session::{Name, Timestamp};

/// Whoever takes complaints and keeps cases.
pub trait Desk: Send + Sync + 'static {
    /// Takes a report; answers once its case is durable.
    fn complain(&self, by: Name, report: Bytes)
    -> impl Future<Output = Result<ComplaintRow, Refused>> + Send;

    /// Cases, the newest first.
    fn cases(&self, filter: &CaseFilter) -> Vec<CaseRow>;

    /// The case of this number.
    fn case(&self, id: u64) -> Option<CaseRow>;

    /// Opens a case; answers once that is durable.
    fn open(&self, opening: Opening) -> impl Future<Output = Result<Done, CaseError>> + Send;

    /// What acts alone on cases.
    fn rules(&self) -> Vec<RuleRow>;

    /// What the rule of this name would have done to the cases that are kept; `None`: there is none.
    fn rehearse(&self, rule: &Name) -> Option<Vec<WouldRow>>;

    /// Acts on a case; answers once that is durable and holds.
    fn act(&self, doing: Doing) -> impl Future<Output = Result<Done, CaseError>> + Send;
}

/// Why a report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is none.
    Unreadable(Unreadable),
    /// It is one, and can't be taken now.
    Trouble(Trouble),
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unreadable(Unreadable::TooLong) => {
                Problem::new(Kind::BodyTooLarge, Unreadable::TooLong.to_string())
            }
            Refused::Unreadable(unreadable) => Problem::new(Kind::BadBody, unreadable.to_string()),
            Refused::Trouble(trouble) => trouble.into(),
        }
    }
}

/// What a complaint led to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ComplaintRow {
    /// The number of its case.
    pub case: u64,
    /// Whether the case was there already: the same complaint came again.
    pub joined: bool,
    /// Whose message it was, when it can only be one's.
    pub subscriber: Option<String>,
    /// `exact`, `until-last-interim`, `ambiguous` or `unknown`.
    pub confidence: String,
    /// Why the confidence is what it is, for people.
    pub because: String,
    /// Everybody it may have been, by name.
    pub candidates: Vec<String>,
    /// `arf` or `x-arf`.
    pub form: String,
    /// What is complained about.
    pub feedback: Option<String>,
    /// Who complains.
    pub reporter: Option<String>,
    /// The source address it names.
    pub address: Option<String>,
    /// The source port it names.
    pub port: Option<u16>,
    /// When the message arrived there.
    pub arrival: Option<String>,
    /// Message-ID of the message.
    pub message_id: Option<String>,
    /// The token in its header.
    pub token: Option<String>,
    /// What the report does not say and would have helped.
    pub missing: Vec<String>,
    /// Each way that was gone, and its answer; the surest first.
    pub ways: Vec<WayRow>,
    /// Messages that were written down and match.
    pub messages: Vec<MessageRow>,
}

/// A way from a complaint to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct WayRow {
    /// `token`, `queue-id`, `message-id` or `address`.
    pub way: String,
    /// What it led to.
    pub answer: Who,
}

/// What AbuseHQ's API resolver takes for an answer. It keeps it, and asks no more about this address between the two moments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AbuseHq {
    /// Whose it was.
    pub subscriber: AbuseHqSubscriber,
    /// From when on the answer holds.
    pub result_valid_from: Option<String>,
    /// Until when.
    pub result_valid_until: Option<String>,
}

/// The part of the answer that names somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AbuseHqSubscriber {
    /// The subscriber.
    pub id: String,
}

/// What a findcontact class for AbuseIO makes a contact of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AbuseIo {
    /// The subscriber, by which the class finds name and mail address in the customer database.
    pub reference: String,
    /// From when on it was theirs.
    pub valid_from: Option<String>,
    /// Until when; `None` while it lasts.
    pub valid_until: Option<String>,
    /// `exact` or `until-last-interim`.
    pub confidence: String,
}

/// The complaint is an entry of its own; that its answer was told is one like any other question.
pub(super) async fn complain<S: Staff>(
    State(staff): State<Arc<S>>,
    Asker { name: by, .. }: Asker,
    question: Question,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ComplaintRow>, Problem> {
    let ready = question.ready(&*staff)?;
    let report = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::from(Refused::Unreadable(Unreadable::TooLong)),
        _ => Problem::new(Kind::BadBody, "it ended before its length"),
    })?;
    let row = staff.complain(by, report).await?;
    let about = [&row.address, &row.token].into_iter().flatten().chain(&row.candidates);
    let ready = ready.and_about(about.map(|name| Name::from_text(name)));
    ready.answered(&*staff, row.candidates.len()).await?;
    Ok(Json(row))
}

/// Who had it, asked in other words.
struct Resolved {
    subscriber: String,
    who: Who,
    at: Timestamp,
}

/// Of those it may have been nobody is told, so they are no rows of the answer.
async fn resolve<S: Staff>(staff: &S, mut question: Question) -> Result<Resolved, Problem> {
    let parameters = &mut question.parameters;
    let address = required("ip", parameters.address("ip")?)?;
    let port = parameters.port("port")?;
    let (_, realm) = realm(staff, parameters)?;
    let at = parameters.time("timestamp")?.unwrap_or_else(clock::now);
    let ready = question.ready(staff)?;
    let who = staff.owner(realm, address, port, at).await?;
    ready.answered(staff, who.subscriber.iter().len()).await?;
    let because = who.because.clone().unwrap_or_else(|| who.confidence.clone());
    let subscriber = who.subscriber.clone().ok_or_else(|| Problem::new(Kind::NotResolved, because))?;
    Ok(Resolved { subscriber, who, at })
}

/// The answer is kept by the asker for every later question about the address, with whichever port: so it holds no longer than
/// is known now, and where ports decide for the asked moment only.
pub(super) async fn abusehq<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<AbuseHq>, Problem> {
    let Resolved { subscriber, who, at } = resolve(&*staff, question).await?;
    let shared = who.candidates.iter().any(|candidate| candidate.ports.is_some());
    let (at, now) = (rfc3339(at), rfc3339(clock::now()));
    let (from, until) = match who.confidence.as_str() {
        _ if shared => (at.clone(), at),
        "exact" => (who.valid_from, who.valid_until.or(now)),
        // It may have ended at any moment after what was last heard of it.
        _ => (who.valid_from, at),
    };
    let subscriber = AbuseHqSubscriber { id: subscriber };
    Ok(Json(AbuseHq { subscriber, result_valid_from: from, result_valid_until: until }))
}

pub(super) async fn abuseio<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<AbuseIo>, Problem> {
    let Resolved { subscriber: reference, who, .. } = resolve(&*staff, question).await?;
    let Who { valid_from, valid_until, confidence, .. } = who;
    Ok(Json(AbuseIo { reference, valid_from, valid_until, confidence }))
}
