//! How equipment speaks: the habits in which the NASes of a day differ.
//!
//! Knows: what each kind of NAS puts into its records and how it sends them again. Must not know: subscribers, loss, or what
//! becomes of a record. The habits are those that docs/sessions.md has rows for.

/// What a NAS's clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// It sends no Event-Timestamp.
    None,
    /// So many seconds behind ours.
    Behind(i64),
    /// It was never set: 2008.
    Absurd,
    /// It is set right (forward or backward, by so many seconds) in the middle of the day.
    SetBy(i64),
}

/// Acct-Delay-Time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delay {
    None,
    /// Counted up from try to try, so that each is another packet (RFC 2866, 5.2).
    Counted,
    /// Always zero.
    Frozen,
}

/// How a NAS begins after a reboot, and ends before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// It says nothing.
    Silent,
    On,
    OffAndOn,
    /// It says Accounting-On, and its sessions survive.
    OnAndKeeps,
}

/// What stands in Acct-Session-Id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Counted from one after each reboot.
    Counted,
    Random,
}

/// How blocks of ports are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    None,
    /// Each record tells all that holds.
    Whole,
    /// Only a change is told, when it happens.
    Changes,
}

/// For how long a NAS tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// So many tries.
    Tries(u32),
    /// Until it is answered.
    Endless,
}

/// The habits of one NAS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    pub(crate) stamp: Stamp,
    pub(crate) delay: Delay,
    pub(crate) patience: Patience,
    /// Seconds between interim updates.
    pub(crate) interim: Option<i64>,
    /// It announces them (Acct-Interim-Interval).
    pub(crate) announced: bool,
    /// The Start comes before there is an address.
    pub(crate) address_later: bool,
    pub(crate) ids: Ids,
    pub(crate) boot: Boot,
    /// Stop and Start under the same id at each interval instead of an interim update.
    pub(crate) stop_start: bool,
    /// The next record of a session waits until the one before it is answered or given up.
    pub(crate) in_turn: bool,
    /// Interim updates repeat the addresses, and tell the session time.
    pub(crate) full_interims: bool,
    /// It tells Calling-Station-Id and NAS-Port-Id.
    pub(crate) lines: bool,
    pub(crate) ipv6: bool,
    pub(crate) blocks: Blocks,
    /// Service sub-sessions with records of their own.
    pub(crate) services: bool,
    /// Two accounts of one host at the same time.
    pub(crate) accounts: bool,
    /// Two NASes that take each other's sessions over.
    pub(crate) pair: bool,
    /// It reports through a relay that keeps a detail file.
    pub(crate) detail: bool,
    /// An address is given again after this many seconds at the earliest.
    ///
    /// A NAS that neither dates its records nor counts their delay must wait until the retransmissions of the old
    /// session are over, or nobody can tell an old Start that comes late from a new one.
    pub(crate) pause: i64,
}

const PLAIN: Dialect = Dialect {
    name: "",
    stamp: Stamp::Behind(0),
    delay: Delay::None,
    patience: Patience::Tries(3),
    interim: Some(600),
    announced: false,
    address_later: false,
    ids: Ids::Random,
    boot: Boot::On,
    stop_start: false,
    in_turn: false,
    full_interims: true,
    lines: true,
    ipv6: false,
    blocks: Blocks::None,
    services: false,
    accounts: false,
    pair: false,
    detail: false,
    pause: 2,
};

/// All that a day may have. The first seven are the everyday ones.
pub(crate) const DIALECTS: [Dialect; 16] = [
    Dialect { name: "pppoe", announced: true, ids: Ids::Counted, ipv6: true, ..PLAIN },
    Dialect { name: "ipoe", interim: None, boot: Boot::Silent, ipv6: true, ..PLAIN },
    Dialect {
        name: "classic",
        stamp: Stamp::None,
        delay: Delay::Counted,
        interim: Some(900),
        ids: Ids::Counted,
        boot: Boot::OffAndOn,
        pause: 30,
        ..PLAIN
    },
    Dialect { name: "isg", address_later: true, services: true, interim: Some(1200), ..PLAIN },
    Dialect {
        name: "slow",
        stamp: Stamp::Behind(66),
        delay: Delay::Counted,
        lines: false,
        ids: Ids::Counted,
        ..PLAIN
    },
    Dialect {
        name: "absurd",
        stamp: Stamp::Absurd,
        delay: Delay::Counted,
        patience: Patience::Tries(4),
        pause: 30,
        ..PLAIN
    },
    Dialect { name: "accounts", accounts: true, blocks: Blocks::Whole, ids: Ids::Counted, ..PLAIN },
    Dialect {
        name: "frozen",
        stamp: Stamp::None,
        delay: Delay::Frozen,
        interim: Some(900),
        boot: Boot::Silent,
        pause: 90,
        ..PLAIN
    },
    Dialect {
        name: "portal",
        stamp: Stamp::None,
        interim: Some(180),
        stop_start: true,
        in_turn: true,
        boot: Boot::Silent,
        pause: 90,
        ..PLAIN
    },
    Dialect { name: "pair", pair: true, announced: true, ipv6: true, pause: 30, ..PLAIN },
    Dialect { name: "blocks", blocks: Blocks::Changes, interim: Some(1800), boot: Boot::OnAndKeeps, ..PLAIN },
    Dialect {
        name: "backlog",
        patience: Patience::Endless,
        delay: Delay::Counted,
        ids: Ids::Counted,
        ..PLAIN
    },
    Dialect { name: "undelayed", patience: Patience::Endless, ids: Ids::Counted, ..PLAIN },
    Dialect { name: "detail", detail: true, ids: Ids::Counted, ipv6: true, ..PLAIN },
    Dialect { name: "terse", full_interims: false, interim: Some(300), announced: true, ..PLAIN },
    Dialect { name: "set", stamp: Stamp::SetBy(66), delay: Delay::Counted, ..PLAIN },
];
