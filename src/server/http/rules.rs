//! `/v1/rules`: what acts alone on cases, and what each would have done to those that are kept.
//!
//! Knows: the fields of these answers (they are a contract). Must not know: how a rule is judged.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Staff;
use super::problem::{Kind, Problem};
use super::question::Question;
use crate::session::Name;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct RuleRow {
    /// Its name.
    pub name: String,
    /// What makes it act, as written.
    pub when: String,
    /// What it does, as written.
    pub then: String,
    /// `observe` or `enforce`.
    pub mode: String,
    /// Its own brake, as written.
    pub max_actions: Option<String>,
    /// On how many cases that are kept it has acted, or would have.
    pub cases: u64,
}

/// What a rule would have done to a case that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct WouldRow {
    /// Which case.
    pub case: u64,
    /// When.
    pub at: Option<String>,
    /// `noted`, `limited` or `suspended`; `called`: the brake would have held it, and a human been called.
    pub what: String,
    /// `subscriber` or `login`.
    pub kind: Option<String>,
    /// Whom.
    pub subject: Option<String>,
    /// Until when; `None`: until released.
    pub until: Option<String>,
    /// Until the listing is over; left out where it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_delisted: bool,
    /// Why.
    pub reason: String,
    /// What became of the case: `open`, `closed`, or `dismissed`, which says that the rule would have been wrong.
    pub outcome: String,
}

/// Rules are about nobody, and are told without a record.
pub(super) async fn list<S: Staff>(
    State(staff): State<Arc<S>>,
    question: Question,
) -> Result<Json<Vec<RuleRow>>, Problem> {
    question.parameters.finish()?;
    Ok(Json(staff.rules()))
}

pub(super) async fn rehearse<S: Staff>(
    State(staff): State<Arc<S>>,
    name: Result<Path<String>, PathRejection>,
    question: Question,
) -> Result<Json<Vec<WouldRow>>, Problem> {
    let Path(name) = name.map_err(|_| Problem::parameter("name", "not UTF-8, and no rule's name"))?;
    let ready = question.ready(&*staff)?;
    let rows = staff.rehearse(&Name::from_text(&name));
    ready.answered(&*staff, rows.as_ref().map_or(0, Vec::len)).await?;
    let unknown =
        || Problem::new(Kind::UnknownRule, "the list of rules has the names, as they are configured");
    rows.map(Json).ok_or_else(unknown)
}
