//! What can happen to sessions, already resolved at the edge; what follows from it is in `effect.rs`.
//!
//! Knows: the shape of an event (it is part of a log entry, so its fields are a file format). Must not know: how an event
//! was decoded.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Line, Name, Ports, Timestamp};

/// Something that the machine folds. Everything in it was resolved by the rules in force when it arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// One accounting record that may change ownership.
    Record(Box<Record>),
    /// Interim updates that said no more than "still alive", gathered for a few seconds.
    Refreshes(Vec<Refresh>),
    /// The rules, static prefixes and pools that hold from here on.
    Applied(Box<Applied>),
    /// We receive again after a time in which nothing was heard by us; `since` is the last moment we surely listened.
    /// `None`: there is no past at all, the log is new.
    Resumed {
        /// Last moment before the gap.
        since: Option<Timestamp>,
    },
    /// One accounting record out of a file of somebody else's: it says nothing about whether its NAS speaks now. Its
    /// arrival is the moment as of which it is to be judged.
    Imported(Box<Record>),
}

/// Staff's word that a NAS is under maintenance: its sessions are believed and its silence is no alarm. A log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NasHold {
    /// When it was given.
    pub at: Timestamp,
    /// By whom: the Unix user behind the socket.
    pub by: Name,
    /// Which NAS, as resolved at the edge.
    pub nas: Name,
    /// Until when; not later than `at`: no longer.
    pub until: Timestamp,
    /// Why.
    pub reason: Name,
}

/// What an accounting record reports (Acct-Status-Type, RFC 2866 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// 1.
    Start,
    /// 2; also 15 Failed, which ends a session that never came up.
    Stop,
    /// 3.
    Interim,
    /// 7 Accounting-On, 18 Subsystem-On: the NAS (or the part in scope) begins anew.
    On,
    /// 8 Accounting-Off, 19 Subsystem-Off.
    Off,
}

/// An accounting record as the machine wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When the datagram reached us.
    pub arrival: Timestamp,
    /// When it happened, on our clock: corrected Event-Timestamp, or arrival less Acct-Delay-Time.
    pub event: Timestamp,
    /// Whether `event` comes from the NAS's own dated statement rather than from when it reached us.
    pub dated: bool,
    /// How far the NAS's clock was known to be from ours. `None`: it says nothing about it.
    pub clock_offset: Option<ClockOffset>,
    /// The RADIUS client (by configuration) that sent it; pools and coverage belong to it.
    pub client: Name,
    /// The NAS it speaks for.
    pub nas: Name,
    /// What it reports.
    pub kind: Kind,
    /// Acct-Session-Id. Empty only for On and Off.
    pub session_id: Name,
    /// The subscriber by the identity rules; `None` when no rule found one.
    pub subscriber: Option<Name>,
    /// User-Name as it came, for people.
    pub user_name: Option<Name>,
    /// The VRF in which private addresses among the claims lie; `None`: the public space.
    pub realm: Option<Name>,
    /// What it asks for, already admitted.
    pub claims: Vec<Claim>,
    /// What it gives back besides what its claims replace.
    pub releases: Vec<Release>,
    /// The address behind a translator whose blocks the claims are, where the record itself names no subscriber: they
    /// belong to whoever owns that address.
    pub inside: Option<IpAddr>,
    /// It reports a service within a session, which never owns anything.
    pub service: Option<Service>,
    /// Acct-Multi-Session-Id, by which several accounts of one host belong together.
    pub multi_session_id: Option<Name>,
    /// The redundancy group of its NAS: NASes that take each other's sessions over.
    pub group: Option<Name>,
    /// How many claims were dropped at the edge (pool, special address, prefix too wide, never-list).
    pub claims_dropped: u16,
    /// Acct-Session-Time in seconds.
    pub session_time: Option<u32>,
    /// Acct-Interim-Interval (85) in seconds, when the record announces it.
    pub interval: Option<u32>,
    /// Where the line ends.
    pub line: Line,
    /// Which part of the NAS it belongs to (a session) or speaks for (On and Off).
    pub scope: Scope,
    /// Acct-Terminate-Cause.
    pub terminate_cause: Option<u32>,
    /// The client is declared to send Stop and Start instead of interim updates.
    pub stop_start: bool,
    /// Further attributes that the operator wants kept for people, under the names by which they were asked for.
    pub kept: Vec<(Name, Name)>,
}

impl Record {
    /// A record that says nothing but this much, at this moment.
    #[must_use]
    pub fn bare(kind: Kind, nas: Name, session_id: Name, at: Timestamp) -> Self {
        Record {
            arrival: at,
            event: at,
            dated: true,
            clock_offset: None,
            client: nas.clone(),
            nas,
            kind,
            session_id,
            subscriber: None,
            user_name: None,
            realm: None,
            claims: Vec::new(),
            releases: Vec::new(),
            inside: None,
            service: None,
            multi_session_id: None,
            group: None,
            claims_dropped: 0,
            session_time: None,
            interval: None,
            line: Line::default(),
            scope: Scope::default(),
            terminate_cause: None,
            stop_start: false,
            kept: Vec::new(),
        }
    }
}

/// How far a NAS's clock is from ours: what is to be added to its stamps, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockOffset {
    /// Learned from live records.
    Known(i64),
    /// Not more than this: something came that had this stamp, and nothing comes before it happened.
    AtMost(i64),
}

/// A service within a session (Cisco ISG, Juniper, Nokia): it has a record, an Acct-Session-Id and an end of its own,
/// but the address belongs to the session that it is part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Acct-Session-Id of the session, when the record tells it.
    pub parent: Option<Name>,
}

/// What a record gives back explicitly: a session that goes on no longer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Release {
    /// Everything that came by this attribute, but for what the very same record claims.
    All(ClaimSource),
    /// These ports of this address.
    Only(IpNet, Ports),
}

/// Attributes by which an Accounting-On or -Off can be limited to a part of its NAS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Scope {
    /// NAS-Identifier (32).
    pub nas_identifier: Option<Name>,
    /// Called-Station-Id (30): a BSSID, an APN.
    pub called_station: Option<Name>,
    /// NAS-Port (5).
    pub nas_port: Option<u32>,
    /// The virtual router or context, under whichever attribute its vendor tells it.
    pub context: Option<Name>,
}

/// An address or prefix that a record asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// Host bits are zero.
    pub prefix: IpNet,
    /// Which ports of it.
    pub ports: Ports,
    /// Which attribute asked.
    pub source: ClaimSource,
}

impl Claim {
    /// A claim on a whole prefix.
    #[must_use]
    pub fn whole(prefix: IpNet, source: ClaimSource) -> Self {
        Claim { prefix, ports: Ports::ALL, source }
    }
}

/// The attribute a claim came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ClaimSource {
    /// Framed-IP-Address (8). A session has one: a newer one replaces it.
    FramedAddress,
    /// Framed-Route (22).
    FramedRoute,
    /// Framed-IPv6-Prefix (97).
    FramedIpv6Prefix,
    /// Framed-IPv6-Address (168).
    FramedIpv6Address,
    /// Delegated-IPv6-Prefix (123).
    DelegatedIpv6Prefix,
    /// Framed-IPv6-Route (99).
    FramedIpv6Route,
    /// A block of ports of a translator's public address, or all of them, under its vendor's attribute.
    PortBlock,
    /// No attribute: the operator's list of prefixes.
    Listed,
}

impl ClaimSource {
    /// All that records carry.
    pub const ALL: [ClaimSource; 7] = [
        ClaimSource::FramedAddress,
        ClaimSource::FramedRoute,
        ClaimSource::FramedIpv6Prefix,
        ClaimSource::FramedIpv6Address,
        ClaimSource::DelegatedIpv6Prefix,
        ClaimSource::FramedIpv6Route,
        ClaimSource::PortBlock,
    ];
}

/// "Still alive": an interim update that changes nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The NAS.
    pub nas: Name,
    /// Acct-Session-Id.
    pub session_id: Name,
    /// Event time of the update.
    pub event: Timestamp,
    /// When the datagram reached us.
    pub arrival: Timestamp,
    /// Acct-Session-Time in seconds.
    pub session_time: Option<u32>,
}

/// The part of the configuration that decides what an event means. Logged whenever it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Applied {
    /// Time limits.
    pub rules: Rules,
    /// Prefixes that always belong to the same subscriber.
    pub statics: Vec<(IpNet, Name)>,
    /// Addresses of our own that are never bound and never permitted.
    pub never: Vec<IpNet>,
    /// Prefixes that no record carries: each belongs to the subscriber while one of their sessions is active.
    pub listed: Vec<(Name, IpNet)>,
    /// For each RADIUS client the prefixes it may assign; an empty list means everything.
    pub pools: Vec<(Name, Vec<IpNet>)>,
    /// Translators that report no blocks, because their blocks follow from the inside address (RFC 7422).
    pub translations: Vec<Translation>,
    /// So many live sessions of one subscriber are worth a look by a human; zero: never.
    pub crowd: u32,
}

/// A deterministic translation (RFC 7422): inside addresses share the outside ones in order, a block of ports each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// The VRF of the inside addresses; `None`: the public space.
    pub realm: Option<Name>,
    /// IPv4, not longer than the outside prefix can serve.
    pub inside: IpNet,
    /// IPv4.
    pub outside: IpNet,
    /// The lowest port that is given to anybody.
    pub first_port: u16,
    /// Ports in a block; at least one.
    pub block: u16,
}

/// How long things are believed. All durations are positive; zero switches the thing off where that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// A just-freed address is deferred this long before it is refused.
    pub defer_after_stop: Duration,
    /// A session is suspect when nothing was heard for this long, in interim intervals or absolute.
    pub interim_overdue: Span,
    /// How long a session is believed whose NAS never sends interim updates.
    pub lifetime_without_interim: Duration,
    /// A silent NAS keeps its sessions this long.
    pub nas_silence_grace: Duration,
    /// A Start or interim whose event is older than this when it arrives is history, not ownership.
    pub stale_limit: Duration,
    /// How long the map counts as incomplete after a receiving gap.
    pub warm_up: Span,
}

/// A span given either in interim intervals of the NAS concerned or as an absolute time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// So many interim intervals, in tenths: `3x` is 30.
    Intervals {
        /// Tenths of an interval.
        tenths: u32,
    },
    /// An absolute time.
    Fixed(Duration),
}

impl Default for Rules {
    /// The values of the sample configuration.
    fn default() -> Self {
        Rules {
            defer_after_stop: Duration::from_secs(10 * 60),
            interim_overdue: Span::Intervals { tenths: 30 },
            lifetime_without_interim: Duration::from_secs(14 * 24 * 3600),
            nas_silence_grace: Duration::from_secs(4 * 3600),
            stale_limit: Duration::from_secs(3600),
            warm_up: Span::Intervals { tenths: 30 },
        }
    }
}
