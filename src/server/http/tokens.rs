//! `/v1/tokens`: tokens are given, listed and taken back by auditors.
//!
//! Knows: the fields of these answers and bodies (they are a contract). Must not know: how tokens are kept.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::rfc3339;
use super::auth::random;
use super::problem::{Kind, Problem};
use super::question::Question;
use super::{BODY_OCTETS_MAX, Staff, body_of, parameters};
use crate::access::table::Scope;
use crate::access::token::{TOKENS_MAX, Token, TokenId, TokenOrder, Verb, issue};
use crate::access::{Asker, Role};
use crate::clock;
use crate::session::{Name, Timestamp};

/// Who holds it, in a few words.
const NOTE_OCTETS_MAX: usize = 256;
/// Numbers that are tried until one is free.
const TRIES: usize = 16;

/// What is sent to make a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// `viewer`, `operator` or `auditor`.
    pub role: String,
    /// Parts of the API to which it is limited; none: all that the role may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// RFC 3339: until when it is good; without it, until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Who holds it, or what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is sent to take a token back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// Its number.
    pub id: String,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TokenRow {
    /// Its number.
    pub id: String,
    /// What its holder may do.
    pub role: String,
    /// Parts of the API to which it is limited; none: all that the role may do.
    pub scopes: Vec<String>,
    /// `good`, `expired` or `revoked`.
    pub state: String,
    /// Who holds it, or what it is for.
    pub note: String,
    /// When it was made.
    pub created: Option<String>,
    /// By whom.
    pub by: String,
    /// Until when it is good; `None`: until it is revoked.
    pub expires: Option<String>,
    /// When it was revoked.
    pub revoked: Option<String>,
    /// By whom.
    pub revoked_by: Option<String>,
}

/// A token that was just made. It is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token: `rw_`, its number, `_` and its secret.
    pub token: String,
    /// What is known of it from here on.
    #[serde(flatten)]
    pub row: TokenRow,
}

impl TokenRow {
    fn of(id: TokenId, token: &Token, now: Timestamp) -> TokenRow {
        let expired = token.expires.is_some_and(|expires| expires <= now);
        let state = match (&token.revoked, expired) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "good",
        };
        let revoked = token.revoked.as_ref();
        TokenRow {
            id: id.to_string(),
            role: token.role.word().to_owned(),
            scopes: token.scopes.iter().map(|scope| scope.word().to_owned()).collect(),
            state: state.to_owned(),
            note: if token.note.octets().is_empty() { String::new() } else { token.note.to_string() },
            created: rfc3339(token.created),
            by: token.by.to_string(),
            expires: token.expires.and_then(rfc3339),
            revoked: revoked.and_then(|(at, _)| rfc3339(*at)),
            revoked_by: revoked.map(|(_, by)| by.to_string()),
        }
    }
}

/// The list names programs and colleagues, not subscribers: it leaves no record.
pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<Vec<TokenRow>>, Problem> {
    question.parameters.finish()?;
    let (tokens, now) = (staff.tokens(), clock::now());
    Ok(Json(tokens.iter().map(|(id, token)| TokenRow::of(id, token, now)).collect()))
}

pub(super) async fn create<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<NewToken>, Problem> {
    let body: TokenBody = body_of(body, BODY_OCTETS_MAX)?;
    let now = clock::now();
    let role = Role::of(&body.role)
        .ok_or_else(|| Problem::parameter("role", "neither viewer, operator nor auditor"))?;
    let scopes: Option<Vec<Scope>> = body.scopes.iter().map(|word| Scope::of(word)).collect();
    let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.word()).collect();
    let mut scopes =
        scopes.ok_or_else(|| Problem::parameter("scopes", format!("none of {}", known.join(", "))))?;
    scopes.dedup();
    // Otherwise whoever may make tokens only could make one that may do everything.
    if !asker.scopes.is_empty() && (scopes.is_empty() || !scopes.iter().all(|s| asker.scopes.contains(s))) {
        return Err(Problem::parameter("scopes", "a token with scopes makes none with others"));
    }
    let expires = match &body.expires {
        None => None,
        Some(text) => Some(parameters::time("expires", text)?),
    };
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Problem::parameter("expires", "this moment is past"));
    }
    let note = body.note.unwrap_or_default();
    let note = note.trim();
    if note.len() > NOTE_OCTETS_MAX {
        return Err(Problem::parameter("note", format!("longer than {NOTE_OCTETS_MAX} octets")));
    }
    let tokens = staff.tokens();
    if tokens.good(now) >= TOKENS_MAX {
        let detail = format!("{TOKENS_MAX} are good; revoke those that nobody needs");
        return Err(Problem::new(Kind::TooManyTokens, detail));
    }
    let mut id = None;
    for _ in 0..TRIES {
        let [a, b, c, d, ..] = random()?;
        let tried = TokenId(u32::from_be_bytes([a, b, c, d]));
        if tokens.get(tried).is_none() {
            id = Some(tried);
            break;
        }
    }
    let id = id.ok_or_else(|| Problem::new(Kind::Storage, "no number is free"))?;
    let (token, hash) = issue(id, &random()?);
    let note = Name::from(note);
    let verb = Verb::Create { hash, role, scopes: scopes.clone(), expires, note: note.clone() };
    let order = TokenOrder { at: now, by: asker.name.clone(), id, verb };
    staff.token(order).await?;
    let row = TokenRow {
        id: id.to_string(),
        role: role.word().to_owned(),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        state: "good".to_owned(),
        note: if note.octets().is_empty() { String::new() } else { note.to_string() },
        created: rfc3339(now),
        by: asker.name.to_string(),
        expires: expires.and_then(rfc3339),
        ..TokenRow::default()
    };
    Ok(Json(NewToken { token, row }))
}

pub(super) async fn revoke<S: Staff>(
    State(staff): State<Arc<S>>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<TokenRow>, Problem> {
    let body: RevokeBody = body_of(body, BODY_OCTETS_MAX)?;
    let id = TokenId::of(&body.id)
        .ok_or_else(|| Problem::parameter("id", "not the number of a token: eight hex digits"))?;
    let (tokens, now) = (staff.tokens(), clock::now());
    let unknown = || Problem::new(Kind::UnknownToken, "the list of tokens has their numbers");
    let token = tokens.get(id).filter(|token| token.revoked.is_none()).ok_or_else(unknown)?;
    let order = TokenOrder { at: now, by: asker.name.clone(), id, verb: Verb::Revoke };
    staff.token(order).await?;
    let mut revoked = token.clone();
    revoked.revoked = Some((now, asker.name));
    Ok(Json(TokenRow::of(id, &revoked, now)))
}
