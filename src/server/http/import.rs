//! `POST /v1/import`: accounting records that somebody else wrote into a file, a chunk of its rows at a time.
//!
//! Knows: the body and the answer (a contract), and how much a chunk may hold. Must not know: what a row comes to, or how
//! files look; whoever reads them sends attribute lists.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use super::{Staff, body_of, parameters};
use crate::access::Asker;
use crate::clock;
use crate::session::{Name, Timestamp};

/// Octets of a chunk's body.
pub const BODY_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Rows of a chunk: one commit, which everybody else's records wait for.
pub const ROWS_MAX: usize = 1000;
/// Records of one row: a Start and what came last.
pub const RECORDS_OF_ROW_MAX: usize = 4;
/// A file's name is for people.
const FILE_OCTETS_MAX: usize = 1024;

/// A chunk of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportBody {
    /// The file's name, for the record of who imported what.
    pub file: String,
    /// RFC 3339: the moment that the file tells of. Nothing in it is later.
    pub as_of: String,
    /// The RADIUS client (by configuration) whose records they are; without it, the one whose address has `nas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Only judge.
    #[serde(default)]
    pub dry_run: bool,
    /// In the order of the file.
    pub rows: Vec<ImportRow>,
}

/// A row of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRow {
    /// Where it stands, counted from 1.
    pub line: u64,
    /// The NAS's address, as far as the row tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub nas: Option<IpAddr>,
    /// What the NAS said, in the order in which it did.
    pub records: Vec<ImportRecord>,
}

/// What a NAS said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRecord {
    /// RFC 3339: when the server that wrote the file had it.
    pub at: String,
    /// Whether that is when it happened, rather than when it was received.
    #[serde(default)]
    pub dated: bool,
    /// The attributes of the request (RFC 2865, 5) in hex.
    pub attributes: String,
}

/// What became of a chunk, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    /// Sequence of the entry that says who imported it; 0 for a dry run.
    pub reference: u64,
    /// One for each row, in order.
    pub rows: Vec<Outcome>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Where it stands in the file.
    pub line: u64,
    /// What became of it.
    pub outcome: Fate,
    /// Why, or what else is worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What can become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It counts for who owns what now.
    Accepted,
    /// It is too old for that, and tells of the past.
    History,
    /// It is sound and concerns nothing.
    Ignored,
    /// It can't be used.
    Rejected,
}

impl Fate {
    /// All of them.
    pub const ALL: [Fate; 4] = [Fate::Accepted, Fate::History, Fate::Ignored, Fate::Rejected];

    /// The word in output, in metrics and in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fate::Accepted => "accepted",
            Fate::History => "history",
            Fate::Ignored => "ignored",
            Fate::Rejected => "rejected",
        }
    }
}

/// A chunk as it is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Who imports it.
    pub by: Asker,
    /// The file's name.
    pub file: Name,
    /// The moment that the file tells of; not in the future.
    pub as_of: Timestamp,
    /// The client that was named.
    pub client: Option<Name>,
    /// Only judge.
    pub dry_run: bool,
    /// In the order of the file.
    pub rows: Vec<ImportRow>,
}

pub(super) async fn import<S: Staff>(
    State(staff): State<Arc<S>>,
    by: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ImportAnswer>, Problem> {
    let body: ImportBody = body_of(body, BODY_OCTETS_MAX)?;
    if body.file.is_empty() || body.file.len() > FILE_OCTETS_MAX {
        return Err(Problem::parameter("file", format!("empty, or longer than {FILE_OCTETS_MAX} octets")));
    }
    let as_of = parameters::time("as_of", &body.as_of)?;
    if as_of > clock::now() {
        return Err(Problem::parameter("as_of", "this moment is still to come"));
    }
    if body.rows.len() > ROWS_MAX {
        return Err(Problem::parameter("rows", format!("more than {ROWS_MAX} at once")));
    }
    let chunk = Chunk {
        by,
        file: Name::from(body.file.as_str()),
        as_of,
        client: body.client.as_deref().map(Name::from_text),
        dry_run: body.dry_run,
        rows: body.rows,
    };
    Ok(Json(staff.import(chunk).await?))
}
