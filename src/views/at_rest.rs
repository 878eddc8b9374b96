//! The views as they are at rest: what a snapshot holds, in each version that is still read.
//!
//! Knows: the order of its parts, which is a file format. Must not know: how a view is made of them, or files.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::access::preservation::Preservations;
use crate::access::question::Link;
use crate::access::token::Tokens;
use crate::relay::case::Cases;
use crate::relay::class::ClassesAtRest;
use crate::relay::delisting::Ties;
use crate::relay::line::Lines;
use crate::relay::message::RecentMessages;
use crate::relay::standing::{Standing, StandingBefore};
use crate::relay::trend;
use crate::relay::usage::{RefusedAtRest, UsagesAtRest};
use crate::session::Timestamp;
use crate::session::image::Image;

/// The views at rest. Its fields are a file format.
#[derive(Serialize, Deserialize)]
pub(super) struct Rest {
    pub(super) sequence: u64,
    pub(super) ahead: (Timestamp, Duration),
    pub(super) sessions: Image,
    pub(super) standing: Standing,
    pub(super) recent: RecentMessages,
    pub(super) tokens: Tokens,
    pub(super) link: (u64, Link),
    pub(super) cases: Cases,
    pub(super) preserved: Preservations,
    pub(super) usages: UsagesAtRest,
}

/// The same up to version 3, which ends where there were no tokens, no chain, no preservation orders and no cases yet.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct RestBefore {
    pub(super) sequence: u64,
    pub(super) ahead: (Timestamp, Duration),
    pub(super) sessions: Image,
    pub(super) standing: StandingBefore,
    pub(super) recent: RecentMessages,
}

/// Version of the views at rest. Up to 2 it was that of the log. From 5 on trends, lines and classes stand behind the rest, from 6 on
/// ties and refused recipients behind those, and from 7 on the sessions last, in parts.
pub(super) const SNAPSHOT: u8 = 7;
/// Those before, which are still read: the log may not reach back to where such a snapshot was taken.
pub(super) const IN_ONE: u8 = 6;
pub(super) const WITHOUT_TIES: u8 = 5;
pub(super) const WITHOUT_TRENDS: u8 = 4;
pub(super) const WITHOUT_CASES: u8 = 3;

impl From<RestBefore> for Rest {
    fn from(before: RestBefore) -> Self {
        let RestBefore { sequence, ahead, sessions, standing, recent } = before;
        let (tokens, link, cases, preserved, usages) = Default::default();
        let standing = Standing::from(standing);
        Rest { sequence, ahead, sessions, standing, recent, tokens, link, cases, preserved, usages }
    }
}

/// What came with version 5. Its fields are a file format.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Behind {
    pub(super) trends: trend::Image,
    pub(super) lines: Lines,
    pub(super) classes: ClassesAtRest,
}

/// What stands behind the rest. Its fields are a file format.
pub(super) type AtRest = (Rest, Behind, Ties, RefusedAtRest);

/// Sessions in parts, the one thing of which there are many: to be unpacked side by side.
struct Part(Vec<u8>);

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// The octets of a snapshot, its version before them.
pub(super) fn octets((mut rest, behind, ties, refused): AtRest) -> postcard::Result<Vec<u8>> {
    let parts: Vec<Part> = rest.sessions.pack_sessions()?.into_iter().map(Part).collect();
    postcard::to_extend(&(rest, behind, ties, refused, parts), vec![SNAPSHOT])
}

/// What the octets of this version hold, and the sessions that are in parts.
pub(super) fn at_rest(version: u8, octets: &[u8]) -> Option<(AtRest, Vec<&[u8]>)> {
    let alone = |rest| (rest, Behind::default(), Ties::default(), RefusedAtRest::default());
    let read = match version {
        SNAPSHOT => {
            let (rest, behind, ties, refused, parts) = postcard::from_bytes(octets).ok()?;
            return Some(((rest, behind, ties, refused), parts));
        }
        IN_ONE => postcard::from_bytes(octets),
        WITHOUT_TIES => postcard::from_bytes(octets)
            .map(|(rest, behind)| (rest, behind, Ties::default(), RefusedAtRest::default())),
        WITHOUT_TRENDS => postcard::from_bytes(octets).map(alone),
        WITHOUT_CASES => postcard::from_bytes(octets).map(|rest: RestBefore| alone(Rest::from(rest))),
        _ => return None,
    };
    Some((read.ok()?, Vec::new()))
}
