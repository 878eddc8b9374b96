//! A question by staff about a person, as it is written down, and the chain that ties each to the one before.
//!
//! Knows: the record of a question, and how the chain is computed. Must not know: what the answer was.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Role, Via};
use crate::session::{Name, Timestamp};

/// A question, and what came of it. It is durable before the answer leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// Who: see [`super::Asker::name`].
    pub by: Name,
    /// What they may do; `None`: it was asked before there were roles.
    pub role: Option<Role>,
    /// How they came in.
    pub via: Via,
    /// What, as path and query of the API.
    pub what: Name,
    /// The addresses, names and other marks that were asked about.
    pub about: Vec<Name>,
    /// Why, or the ticket it belongs to.
    pub purpose: Option<Name>,
    /// What came of it.
    pub reply: Reply,
}

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// So many rows were answered.
    Rows(u64),
    /// The asker's role or scope did not suffice; this often within a minute, as far as it was counted.
    Refused,
    /// It was asked before answers were counted.
    Uncounted,
}

/// Each link covers a question and all before it: whoever changes, inserts or removes one within would have to change all
/// that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// The link behind this one, for a question in its packed form.
    #[must_use]
    pub fn then(self, packed: &[u8]) -> Link {
        Link(Sha256::new().chain_update(self.0).chain_update(packed).finalize().into())
    }
}

impl Asked {
    /// The form that is hashed, and stored beside its link.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        // A vector takes every octet.
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(what: &str) -> Vec<u8> {
        let asked = Asked {
            at: Timestamp::from_seconds(1),
            by: Name::from("root"),
            role: Some(Role::Auditor),
            via: Via::Socket,
            what: Name::from(what),
            about: Vec::new(),
            purpose: None,
            reply: Reply::Rows(1),
        };
        asked.packed()
    }

    #[test]
    fn another_question_another_order_or_one_less_is_another_link() {
        let chain = |all: &[&str]| all.iter().fold(Link::default(), |link, what| link.then(&asked(what)));
        let whole = chain(&["/a", "/b", "/c"]);
        assert_eq!(whole, chain(&["/a", "/b", "/c"]));
        for other in [&["/a", "/x", "/c"][..], &["/b", "/a", "/c"], &["/a", "/c"], &["/a", "/b"]] {
            assert_ne!(whole, chain(other), "{other:?}");
        }
    }
}
