//! An answer of the live map, as far as it is compared.
//!
//! Knows: what a lookup says. Must not know: how it was come by.

use std::net::IpAddr;

use relaywarden::session::bindings::{Found, LiveMap, Lookup};
use relaywarden::session::{Name, Place, Realm, Timestamp};

/// What is asked: an address, and a port of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

impl Question {
    /// The question that a place answers.
    pub(crate) fn about(place: Place) -> Question {
        let port = place.ports.first() / 2 + place.ports.last() / 2;
        Question { address: place.prefix.addr(), port: (!place.ports.is_all()).then_some(port) }
    }
}

/// One who is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) subscriber: Option<Name>,
    pub(crate) nas: Name,
    pub(crate) session: Name,
    pub(crate) since: Timestamp,
    pub(crate) stale: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Found(Named),
    Absent,
    Ambiguous(Vec<Named>),
    Unready(&'static str, Option<Named>),
}

impl Answer {
    pub(crate) fn of(map: &LiveMap, question: Question, now: Timestamp) -> Answer {
        match map.lookup(Realm::PUBLIC, question.address, question.port, now) {
            Lookup::Found(found) => Answer::Found(named(&found)),
            Lookup::Absent => Answer::Absent,
            Lookup::Ambiguous(all) => {
                let mut all: Vec<_> = all.iter().map(named).collect();
                all.sort();
                Answer::Ambiguous(all)
            }
            Lookup::Unready(doubt, found) => Answer::Unready(doubt.word(), found.as_ref().map(named)),
        }
    }
}

fn named(found: &Found) -> Named {
    let session = found.session.as_ref().expect("there are no statics here");
    Named {
        subscriber: found.subscriber(),
        nas: session.nas().name.clone(),
        session: session.id(),
        since: found.since,
        stale: session.is_stale(),
    }
}
