//! What the access side said about a line, as it is told. Its fields are a contract.
//!
//! Knows: field names, and how an answer is spelled in them. Must not know: who was asked, or how.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::rfc3339;
use crate::relay::line::Told;

/// The last word about a session of somebody who is held back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AccessRow {
    /// When it was said, or asked.
    pub at: Option<String>,
    /// The NAS.
    pub nas: String,
    /// Acct-Session-Id.
    pub session: String,
    /// `restrict` or `restore`.
    pub act: String,
    /// `coa` or `disconnect`.
    pub request: String,
    /// `asked`, `ack`, `nak`, `silence`, `observed` or `unsayable`.
    pub outcome: String,
    /// All of it in a sentence.
    pub words: String,
}

impl From<&Told> for AccessRow {
    fn from(told: &Told) -> Self {
        AccessRow {
            at: rfc3339(told.at),
            nas: told.session.nas.to_string(),
            session: told.session.id.to_string(),
            act: told.act.word().to_owned(),
            request: told.means.word().to_owned(),
            outcome: told.said.word().to_owned(),
            words: told.to_string(),
        }
    }
}
