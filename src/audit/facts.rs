//! What the index keeps of sessions: facts, each told by one entry and never changed.
//!
//! Nothing that is kept is ever corrected: who had what is what the facts of a place come to (`holds.rs`), and what
//! is learned later is one more fact. So filling the index reads nothing, and a row is written once.
//!
//! Knows: the shape of facts, and which outcome tells which. Must not know: where they are kept, or what they come to.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::rows::What;
use super::schema::Key;
use crate::session::effect::{Effect, Ended};
use crate::session::{Line, Name, Place, Ports, Realm, SessionKey, Timestamp};
use crate::views::{Cause, Outcome};

/// Where a fact stands among all: the sequence of its entry, and the how manieth it is of that entry. Deadlines that took
/// effect after an entry carry its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) sequence: u64,
    pub(super) step: u32,
}

impl Position {
    pub(super) fn octets(self) -> [u8; 12] {
        let mut octets = [0; 12];
        let (sequence, step) = octets.split_at_mut(8);
        sequence.copy_from_slice(&self.sequence.to_be_bytes());
        step.copy_from_slice(&self.step.to_be_bytes());
        octets
    }
}

/// What came of an entry for a prefix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlaceFact {
    pub(super) realm: u16,
    pub(super) key: Key,
    pub(super) position: Position,
    pub(super) told: Told,
}

/// What was told of a prefix, or of ports of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) cause: Cause,
    pub(super) ports: Ports,
    pub(super) session: Option<SessionKey>,
    pub(super) subscriber: Option<Name>,
    pub(super) others: Vec<SessionKey>,
    pub(super) what: What,
}

impl Told {
    pub(super) fn new(cause: Cause, at: Timestamp, what: What) -> Told {
        Told { at, cause, ports: Ports::ALL, session: None, subscriber: None, others: Vec::new(), what }
    }

    fn of(self, session: &SessionKey, subscriber: Option<&Name>) -> Told {
        Told { session: Some(session.clone()), subscriber: subscriber.cloned(), ..self }
    }
}

/// What came of an entry for a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SessionFact {
    pub(super) session: SessionKey,
    pub(super) position: Position,
    pub(super) said: Said,
}

/// What was told of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Said {
    /// It began to exist, and held these places at once.
    Opened { opened: Box<Opened>, places: Vec<Place> },
    /// It held these, once or from then on.
    Held { subscriber: Option<Name>, places: Vec<Place> },
    /// It has another name.
    Named { subscriber: Option<Name> },
    /// Something else was told of these, that it held. A session is found by it in each partition that tells anything of it.
    Touched { places: Vec<Place> },
    /// It ended, and these with it.
    Closed { at: Timestamp, last_seen: Timestamp, how: Ended, places: Vec<Place> },
}

/// What is known of a session from its beginning on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) subscriber: Option<Name>,
    pub(super) user_name: Option<Name>,
    pub(super) line: Line,
    pub(super) inside: Option<(Realm, IpAddr)>,
    pub(super) kept: Vec<(Name, Name)>,
}

/// Facts in the making, in the order in which they are told.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) places: Vec<PlaceFact>,
    pub(super) sessions: Vec<SessionFact>,
}

impl Facts {
    /// Whether an outcome tells any.
    pub(super) fn are_in(outcome: &Outcome) -> bool {
        matches!(
            outcome,
            Outcome::Effect(
                _,
                Effect::SessionOpened { .. }
                    | Effect::SubscriberChanged { .. }
                    | Effect::SessionClosed { .. }
                    | Effect::Bound { .. }
                    | Effect::Unbound { .. }
                    | Effect::PastHeld { .. }
                    | Effect::EndTold { .. }
                    | Effect::Noted { .. }
            )
        )
    }

    pub(super) fn gather(&mut self, position: Position, outcome: &Outcome) {
        let Outcome::Effect(cause, effect) = outcome else { return };
        let cause = *cause;
        match effect {
            Effect::SessionOpened { session, subscriber, user_name, line, inside, kept } => {
                let opened = Opened {
                    subscriber: subscriber.clone(),
                    user_name: user_name.clone(),
                    line: line.clone(),
                    inside: *inside,
                    kept: kept.clone(),
                };
                let said = Said::Opened { opened: Box::new(opened), places: Vec::new() };
                self.say(session, position, said);
            }
            Effect::SubscriberChanged { session, subscriber, .. } => {
                self.say(session, position, Said::Named { subscriber: subscriber.clone() });
            }
            Effect::SessionClosed { session, at, last_seen, how } => {
                // What it lost in the same moment was told just before.
                let touched = self.sessions.pop_if(|last| {
                    last.is_of(session, position) && matches!(last.said, Said::Touched { .. })
                });
                let places = touched.map(|touched| touched.said.places().to_vec()).unwrap_or_default();
                let said = Said::Closed { at: *at, last_seen: *last_seen, how: *how, places };
                self.say(session, position, said);
            }
            Effect::Bound { session, subscriber, place, from } => {
                self.hold(session, subscriber.as_ref(), position, *place);
                let told = Told::new(cause, *from, What::Bound).of(session, subscriber.as_ref());
                self.tell(position, place, told);
            }
            Effect::PastHeld { session, subscriber, place, from, until, ended, inferred } => {
                self.hold(session, subscriber.as_ref(), position, *place);
                let what = What::Past { from: *from, ended: *ended, inferred: *inferred };
                let told = Told::new(cause, *until, what).of(session, subscriber.as_ref());
                self.tell(position, place, told);
            }
            Effect::Unbound { session, place, until, last_seen, how } => {
                let what = What::Unbound { how: *how, last_seen: *last_seen };
                self.touch(session, position, *place);
                self.tell(position, place, Told::new(cause, *until, what).of(session, None));
            }
            Effect::EndTold { session, place, at } => {
                self.touch(session, position, *place);
                self.tell(position, place, Told::new(cause, *at, What::EndTold).of(session, None));
            }
            Effect::Noted { session, place, at, why } => {
                self.touch(session, position, *place);
                self.tell(position, place, Told::new(cause, *at, What::Noted(*why)).of(session, None));
            }
            // Few, and in the register; or for people now.
            Effect::Conflict { .. }
            | Effect::StaticApplied { .. }
            | Effect::TranslationsApplied { .. }
            | Effect::RealmNamed { .. }
            | Effect::Gap { .. }
            | Effect::Restarted { .. }
            | Effect::Alarm(_) => {}
        }
    }

    fn tell(&mut self, position: Position, place: &Place, told: Told) {
        let (realm, key) = (place.realm.number(), Key::of(place.prefix));
        self.places.push(PlaceFact { realm, key, position, told: Told { ports: place.ports, ..told } });
    }

    fn say(&mut self, session: &SessionKey, position: Position, said: Said) {
        self.sessions.push(SessionFact { session: session.clone(), position, said });
    }

    /// What one entry gives to a session is one fact of it.
    fn hold(&mut self, session: &SessionKey, subscriber: Option<&Name>, position: Position, place: Place) {
        match self.last_of(session, position) {
            Some(Said::Opened { opened, places }) if opened.subscriber.as_ref() == subscriber => {
                places.push(place);
            }
            Some(Said::Held { subscriber: held_by, places }) if held_by.as_ref() == subscriber => {
                places.push(place);
            }
            _ => self.say(
                session,
                position,
                Said::Held { subscriber: subscriber.cloned(), places: vec![place] },
            ),
        }
    }

    /// What was told of a place only is found by its session too: else it would be lost with its partition, although the session
    /// is kept.
    fn touch(&mut self, session: &SessionKey, position: Position, place: Place) {
        match self.last_of(session, position) {
            Some(
                Said::Opened { places, .. }
                | Said::Held { places, .. }
                | Said::Touched { places }
                | Said::Closed { places, .. },
            ) => {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            Some(Said::Named { .. }) | None => {
                self.say(session, position, Said::Touched { places: vec![place] });
            }
        }
    }

    /// What the same entry told of a session just before.
    fn last_of(&mut self, session: &SessionKey, position: Position) -> Option<&mut Said> {
        self.sessions.last_mut().filter(|last| last.is_of(session, position)).map(|last| &mut last.said)
    }
}

impl SessionFact {
    fn is_of(&self, session: &SessionKey, position: Position) -> bool {
        self.position.sequence == position.sequence && self.session == *session
    }
}

impl Said {
    /// The name that the session had then, where it is told.
    pub(super) fn subscriber(&self) -> Option<&Name> {
        match self {
            Said::Opened { opened, .. } => opened.subscriber.as_ref(),
            Said::Held { subscriber, .. } | Said::Named { subscriber } => subscriber.as_ref(),
            Said::Touched { .. } | Said::Closed { .. } => None,
        }
    }

    /// What it held, then or before.
    pub(super) fn places(&self) -> &[Place] {
        match self {
            Said::Opened { places, .. }
            | Said::Held { places, .. }
            | Said::Touched { places }
            | Said::Closed { places, .. } => places,
            Said::Named { .. } => &[],
        }
    }
}
