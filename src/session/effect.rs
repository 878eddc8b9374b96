//! What follows from an event.
//!
//! Knows: the shape of an effect. Must not know: who carries it out.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::event::Translation;
use super::{Line, Name, Place, Realm, SessionKey, Timestamp};

/// What follows from an event, in order. The audit index stores it; alarms go to people.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A session began to exist for us.
    SessionOpened {
        /// Which one.
        session: SessionKey,
        /// Its subscriber.
        subscriber: Option<Name>,
        /// User-Name as it came.
        user_name: Option<Name>,
        /// Where its line ends.
        line: Line,
        /// A translator's session belongs to whoever owns this address.
        inside: Option<(Realm, IpAddr)>,
        /// Further attributes that the operator wants kept.
        kept: Vec<(Name, Name)>,
    },
    /// The subscriber of a living session has another name now.
    SubscriberChanged {
        /// Which session.
        session: SessionKey,
        /// The name from here on.
        subscriber: Option<Name>,
        /// Event time.
        at: Timestamp,
    },
    /// A session ended.
    SessionClosed {
        /// Which one.
        session: SessionKey,
        /// When, by event time.
        at: Timestamp,
        /// When it was last heard of alive.
        last_seen: Timestamp,
        /// Why.
        how: Ended,
    },
    /// A session owns a prefix from `from` on.
    Bound {
        /// Which session.
        session: SessionKey,
        /// Whose it is.
        subscriber: Option<Name>,
        /// What.
        place: Place,
        /// Event time.
        from: Timestamp,
    },
    /// A session no longer owns a prefix.
    Unbound {
        /// Which session.
        session: SessionKey,
        /// What.
        place: Place,
        /// Event time.
        until: Timestamp,
        /// When the session was last heard of alive; between here and `until` ownership is an assumption.
        last_seen: Timestamp,
        /// Why.
        how: Ended,
    },
    /// A record that came too late to change ownership tells of a past one.
    PastHeld {
        /// Which session.
        session: SessionKey,
        /// Whose it was.
        subscriber: Option<Name>,
        /// What.
        place: Place,
        /// From when.
        from: Timestamp,
        /// Until when it is known to have held.
        until: Timestamp,
        /// Whether the end is known (a Stop) or only a last sign of life.
        ended: bool,
        /// Whether `from` is only what the session time tells: the session lasted as long, but nobody said that it
        /// held the prefix all the while.
        inferred: bool,
    },
    /// A session that had lost a place before is over by its own word: what was believed of its end there may be known better.
    EndTold {
        /// Which session.
        session: SessionKey,
        /// What it had.
        place: Place,
        /// When it ended.
        at: Timestamp,
    },
    /// Two live sessions of different subscribers claim one prefix in turn, or no longer do.
    Conflict {
        /// What.
        place: Place,
        /// The claimants while it lasts; empty when it is over.
        sessions: Vec<SessionKey>,
        /// When.
        at: Timestamp,
    },
    /// A static prefix belongs to `subscriber` from here on; `None`: to nobody.
    StaticApplied {
        /// The prefix.
        prefix: IpNet,
        /// Whose it is.
        subscriber: Option<Name>,
        /// When it was applied.
        at: Timestamp,
    },
    /// These deterministic translations hold from here on, and no others.
    TranslationsApplied {
        /// All of them.
        translations: Vec<Translation>,
        /// When they were applied.
        at: Timestamp,
    },
    /// A VRF was heard of for the first time and has this number from here on.
    RealmNamed {
        /// The number.
        realm: Realm,
        /// As the operator or the NAS calls it.
        name: Name,
    },
    /// Nothing was received between these moments.
    Gap {
        /// Last moment we surely listened; `None`: never before.
        since: Option<Timestamp>,
        /// When we listened again.
        until: Timestamp,
    },
    /// A NAS, or a part of it, began anew: its older sessions are in doubt.
    Restarted {
        /// Which.
        nas: Name,
        /// Event time.
        at: Timestamp,
    },
    /// Who owns the place stays as it was, and somebody will ask why.
    Noted {
        /// The session that was heard of.
        session: SessionKey,
        /// What it would have had, or has in doubt.
        place: Place,
        /// Event time.
        at: Timestamp,
        /// Why.
        why: Remark,
    },
    /// Something a human should look at.
    Alarm(Alarm),
}

/// Why a session or a binding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// Its Stop said so: exact.
    Stopped,
    /// The session moved to another address: exact.
    Moved,
    /// Another session took the address; when this one really ended is not known.
    Superseded,
    /// Its id was used again for another session.
    Reused,
    /// The NAS began anew.
    NasRestarted,
    /// It was not heard of any more.
    Expired,
}

impl Ended {
    /// Whether the moment of the end is known rather than inferred.
    #[must_use]
    pub fn is_exact(self) -> bool {
        matches!(self, Ended::Stopped | Ended::Moved)
    }

    /// The word used in output and in the audit index.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Ended::Stopped => "stopped",
            Ended::Moved => "moved",
            Ended::Superseded => "superseded",
            Ended::Reused => "reused",
            Ended::NasRestarted => "nas-restarted",
            Ended::Expired => "expired",
        }
    }
}

/// Why a record changed less than it asked for, or how sure we are of a session from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remark {
    /// A newer claim stands, or stood there since: this one lost.
    Outdone,
    /// The session is in doubt, and the place is somebody else's.
    Waits,
    /// Sent before the session's own Stop (rows 8 and 17).
    BeforeStop,
    /// A Stop from before the session began (row 13).
    BeforeStart,
    /// Sent before the session's NAS began anew.
    BeforeRestart,
    /// Claimed before it was given back.
    GivenBack,
    /// A Stop of what was somebody else's by then (row 11).
    NothingToFree,
    /// In doubt: its interim update is overdue.
    Overdue,
    /// In doubt: heard after its Stop.
    Revived,
    /// In doubt: a Start so soon after the Stop may be the old one.
    DoubtfulStart,
    /// In doubt: its Stop came after a later sign of life.
    Overtaken,
    /// In doubt no more.
    Confirmed,
}

impl Remark {
    /// All of them.
    pub const ALL: [Remark; 12] = [
        Remark::Outdone,
        Remark::Waits,
        Remark::BeforeStop,
        Remark::BeforeStart,
        Remark::BeforeRestart,
        Remark::GivenBack,
        Remark::NothingToFree,
        Remark::Overdue,
        Remark::Revived,
        Remark::DoubtfulStart,
        Remark::Overtaken,
        Remark::Confirmed,
    ];

    /// The word used in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Remark::Outdone => "outdone",
            Remark::Waits => "waits",
            Remark::BeforeStop => "before-stop",
            Remark::BeforeStart => "before-start",
            Remark::BeforeRestart => "before-restart",
            Remark::GivenBack => "given-back",
            Remark::NothingToFree => "nothing-to-free",
            Remark::Overdue => "overdue",
            Remark::Revived => "revived",
            Remark::DoubtfulStart => "doubtful-start",
            Remark::Overtaken => "overtaken",
            Remark::Confirmed => "confirmed",
        }
    }
}

/// Something a human should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// Two subscribers' live sessions claim one prefix.
    Conflict {
        /// What they claim.
        place: Place,
    },
    /// One subscriber has suspiciously many sessions at once: a shared name, or a shared password.
    Crowd {
        /// Whose.
        subscriber: Name,
        /// How many.
        sessions: u32,
    },
    /// A NAS is silent beyond what its sessions lead to expect.
    NasSilent {
        /// Which.
        nas: Name,
    },
    /// A silent NAS is heard again.
    NasHeard {
        /// Which.
        nas: Name,
    },
    /// A record asked for prefixes it may not have.
    ClaimsDropped {
        /// From which NAS.
        nas: Name,
        /// How many.
        count: u16,
    },
}
