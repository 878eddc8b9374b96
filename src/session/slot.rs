//! What stands at one place, and what is remembered against it.
//!
//! Knows: shapes. Must not know: how a claim is judged, or who reads.

use serde::{Deserialize, Serialize};

use super::bindings::{Doubt, Session, same_subscriber};
use super::held::Id;
use super::ownership::id_of;
use super::{Name, Timestamp};

/// A session's hold on one place.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Who holds it.
    pub session: Session,
    /// Event time of the claim.
    pub since: Timestamp,
    /// Most have nothing against them.
    against: Option<Box<Against>>,
}

/// What is remembered against the holder of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Against {
    /// Event time of the newest claim that lost against it: when this one is gone, nothing older may win.
    pub(super) outdone: Timestamp,
    /// Event time of the newest record by which somebody else had it meanwhile, though it did not take it over; `EARLIEST`
    /// once the holder has claimed it again since.
    pub(super) doubted: Timestamp,
    /// Sessions that claimed it, lost, and were alive when they did: when this one is gone, they may be there still.
    pub(super) losers: Vec<Id>,
}

static NOTHING: Against =
    Against { outdone: Timestamp::EARLIEST, doubted: Timestamp::EARLIEST, losers: Vec::new() };

impl Binding {
    pub(super) fn new(session: Session, since: Timestamp) -> Self {
        Binding { session, since, against: None }
    }

    pub(super) fn remembering(session: Session, since: Timestamp, against: Against) -> Self {
        let against = (against != NOTHING).then(|| Box::new(against));
        Binding { session, since, against }
    }

    /// The same, held by another session.
    pub(super) fn held_by(self, session: Session) -> Self {
        Binding { session, ..self }
    }

    pub(super) fn against(&self) -> &Against {
        self.against.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn against_mut(&mut self) -> &mut Against {
        self.against.get_or_insert_with(|| Box::new(NOTHING.clone()))
    }

    /// Whether its owner may be named: nothing was heard against it that is newer than its own last claim.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.session.is_active() && !self.is_doubted()
    }

    /// Whether somebody else was told to have it since it was claimed.
    pub(super) fn is_doubted(&self) -> bool {
        self.against().doubted != Timestamp::EARLIEST
    }
}

/// What stands at one place.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    /// One owner.
    Owned(Binding),
    /// Live sessions of different subscribers claim it in turn.
    Contested(Vec<Binding>),
    /// Nobody any more.
    Freed(Box<Freed>),
}

/// A place whose owner is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Freed {
    /// The newest moment at which somebody was told to have it: an older claim that comes late must not win, so the slot
    /// stays for as long as such a one may come.
    pub(super) claimed: Timestamp,
    /// Deferred until then.
    pub(super) until: Timestamp,
    /// Kept until then, and for as long as there are losers.
    pub(super) forget: Timestamp,
    /// Sessions that live and had claimed it: nobody has said that they left.
    pub(super) losers: Vec<Id>,
    /// Whose Stop freed it.
    pub(super) stopped: Option<Stopped>,
}

/// A session whose Stop freed a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stopped {
    session: Id,
    subscriber: Option<Name>,
    /// Event time of the Stop.
    at: Timestamp,
}

impl Stopped {
    pub(super) fn new(session: &Session, subscriber: Option<Name>, at: Timestamp) -> Self {
        Stopped { session: id_of(session), subscriber, at }
    }
}

impl Freed {
    /// A place that was claimed then, and that nobody defers or remembers yet.
    pub(super) fn at(claimed: Timestamp) -> Self {
        let never = Timestamp::EARLIEST;
        Freed { claimed, until: never, forget: never, losers: Vec::new(), stopped: None }
    }

    /// Whether a claim is from before the Stop that freed the place, by what must be the same session, heard of by another
    /// way: two servers may each tell us of everything.
    pub(super) fn is_before_its_end(&self, claim: &Binding) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| {
            claim.since <= stopped.at
                && claim.session.id_octets() == stopped.session.session.octets()
                && claim.session.nas().number != stopped.session.nas
                && same_subscriber(claim.session.subscriber_octets(), stopped.subscriber.as_ref())
        })
    }
}

impl Slot {
    /// Whether there is more to it than an owner since when.
    pub(super) fn is_remembering(&self) -> bool {
        !matches!(self, Slot::Owned(owner) if *owner.against() == NOTHING)
    }

    /// Those who own or contest it.
    pub(super) fn holders(&self) -> &[Binding] {
        match self {
            Slot::Owned(owner) => std::slice::from_ref(owner),
            Slot::Contested(claimants) => claimants,
            Slot::Freed(_) => &[],
        }
    }

    pub(super) fn holders_mut(&mut self) -> &mut [Binding] {
        match self {
            Slot::Owned(owner) => std::slice::from_mut(owner),
            Slot::Contested(claimants) => claimants,
            Slot::Freed(_) => &mut [],
        }
    }

    /// Why it can't be said of a place without an owner that nobody has it. `None`: it can, or there is one.
    pub(super) fn doubt(&self, now: Timestamp) -> Option<Doubt> {
        match self {
            Slot::Freed(freed) if now < freed.until => Some(Doubt::JustFreed),
            Slot::Freed(freed) if !freed.losers.is_empty() => Some(Doubt::Suspect),
            _ => None,
        }
    }
}
