//! How far what is known of the past can be trusted at the moment it is asked about.
//!
//! Knows: what the index may lack, and what the live map says of an owner who has not ended. Must not know: how an owner is found.

use super::StaffDesk;
use super::rows::{answer, past_candidate};
use crate::audit::rows::{self as past, Confidence};
use crate::clock;
use crate::server::http::api::Who;
use crate::session::{Place, SessionKey, Timestamp};
use crate::views::Shared;

/// How much of what happened an answer about the past can rest on.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The index holds what was committed.
    indexed: bool,
    /// And we hear and write.
    whole: bool,
}

impl Known {
    /// An owner that has not ended is the one the live map has at this place. While it is active and its NAS is heard, it
    /// is known to be alive as much as anything is known.
    pub(super) fn last_seen(self, shared: &Shared) -> impl Fn(&SessionKey, Place) -> Option<Timestamp> {
        move |key, place| {
            let holder = shared.map.holder(place, key)?;
            let known = self.whole && holder.is_believed() && !holder.session.is_stale();
            Some(if known { clock::now() } else { holder.session.seen() })
        }
    }
}

impl StaffDesk {
    pub(super) async fn known(&self) -> Known {
        let indexed = self.indexed().await;
        Known { indexed, whole: indexed && self.health.is_ready() && !self.health.is_blind(clock::now()) }
    }

    /// What happened last may not be indexed or not even be taken: then neither "nobody" nor a name is sure.
    pub(super) fn as_known(&self, asked: Who, owner: past::PastOwner, at: Timestamp, known: Known) -> Who {
        let (confidence, because) = match owner.confidence {
            _ if !known.indexed => (Confidence::Unknown, "the index does not hold yet what was taken last"),
            Confidence::Exact
                if !known.whole && owner.candidates.is_empty() && at > self.health.last_commit() =>
            {
                (Confidence::Unknown, "nothing could be taken at this moment")
            }
            as_told => (as_told, owner.because),
        };
        let who = Who { because: Some(because.to_owned()), ..asked };
        answer(who, owner.candidates.into_iter().map(past_candidate).collect(), confidence)
    }
}
