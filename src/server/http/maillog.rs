//! `POST /v1/import/messages`: messages that a mail server logged while nobody asked us, a chunk at a time.
//!
//! Knows: the body (a contract), and how much a chunk may hold. Must not know: whose a message was, or how logs look;
//! whoever reads them sends what stands in them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::import::{BODY_OCTETS_MAX, ImportAnswer, ROWS_MAX};
use super::problem::Problem;
use super::{Staff, body_of};
use crate::access::Asker;
use crate::session::Name;

/// A file's or a mail server's name is for people.
const NAME_OCTETS_MAX: usize = 1024;

/// A chunk of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailBody {
    /// The file's name, for the record of who imported what.
    pub file: String,
    /// Only judge.
    #[serde(default)]
    pub dry_run: bool,
    /// In the order of the file.
    pub rows: Vec<MailRow>,
}

/// A message that was taken into the queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailRow {
    /// The line with which it was complete, counted from 1.
    pub line: u64,
    /// RFC 3339: when the mail server took it from its client.
    pub at: String,
    /// Which mail server.
    pub mta: String,
    /// The queue id.
    pub queue_id: String,
    /// The client's address.
    #[schema(value_type = String)]
    pub address: Option<IpAddr>,
    /// The client's port, where it is logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// SASL login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The Message-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Envelope sender; empty for the null sender.
    #[serde(default)]
    pub sender: String,
    /// Octets.
    pub size: u64,
    /// How many recipients.
    pub recipients: u32,
}

/// A chunk as it is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailChunk {
    /// Who imports it.
    pub by: Asker,
    /// The file's name.
    pub file: Name,
    /// Only judge.
    pub dry_run: bool,
    /// In the order of the file.
    pub rows: Vec<MailRow>,
}

pub(super) async fn import<S: Staff>(
    State(staff): State<Arc<S>>,
    by: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ImportAnswer>, Problem> {
    let body: MailBody = body_of(body, BODY_OCTETS_MAX)?;
    if body.file.is_empty() || body.file.len() > NAME_OCTETS_MAX {
        return Err(Problem::parameter("file", format!("empty, or longer than {NAME_OCTETS_MAX} octets")));
    }
    if body.rows.len() > ROWS_MAX {
        return Err(Problem::parameter("rows", format!("more than {ROWS_MAX} at once")));
    }
    let file = Name::from(body.file.as_str());
    let chunk = MailChunk { by, file, dry_run: body.dry_run, rows: body.rows };
    Ok(Json(staff.import_mail(chunk).await?))
}
