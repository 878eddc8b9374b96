//! A history of whatever can happen to sessions: records of every kind, late and out of order, settings that change, gaps,
//! holds, and a restart now and then.
//!
//! Knows: how a plan of numbers becomes events. Must not know: what they do.

use std::net::IpAddr;
use std::time::Duration;

use arbitrary::Arbitrary;
use ipnet::IpNet;
use relaywarden::session::event::{
    Applied, Claim, ClaimSource, Kind, NasHold, Record, Release, Rules, Scope, Service, Span, Translation,
};
use relaywarden::session::{Line, Name, Ports, Timestamp};

/// What happens next, and how long after what was before.
#[derive(Debug, Arbitrary)]
pub struct Step {
    /// How long after.
    pub pause: Pause,
    /// What.
    pub what: What,
}

/// A while.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Pause {
    /// At once.
    None,
    /// Some seconds.
    Seconds(u8),
    /// Some minutes.
    Minutes(u8),
    /// Up to two days.
    Hours(u8),
}

impl From<Pause> for Duration {
    fn from(pause: Pause) -> Self {
        Duration::from_secs(match pause {
            Pause::None => 0,
            Pause::Seconds(seconds) => seconds.into(),
            Pause::Minutes(minutes) => u64::from(minutes) * 60,
            Pause::Hours(hours) => u64::from(hours % 48) * 3600,
        })
    }
}

/// What can happen.
#[derive(Debug, Arbitrary)]
pub enum What {
    /// A record comes.
    Told(Told),
    /// The same, as the daemon takes it: a refresh where it says nothing new.
    Reported(Told),
    /// The configuration is read again.
    Applied(Settings),
    /// We listen again after a while; `None`: for the first time.
    Resumed(Option<Pause>),
    /// Staff holds a NAS.
    Held {
        /// Which.
        nas: u8,
        /// For how long.
        long: Pause,
    },
    /// Deadlines are looked at.
    Looked,
    /// A snapshot is taken and read again.
    Restored,
}

/// A record in numbers.
#[derive(Debug, Arbitrary)]
pub struct Told {
    kind: u8,
    nas: u8,
    session: u8,
    subscriber: u8,
    claims: [Option<u8>; 3],
    late: Pause,
    undated: bool,
    session_time: Option<u16>,
    interval: Option<u16>,
    line: bool,
    host: Option<bool>,
    group: bool,
    release: Option<u8>,
    inside: Option<bool>,
    service: Option<Option<u8>>,
    realm: u8,
    scope: u8,
    stop_start: bool,
    dropped: bool,
}

/// Addresses that claims are about.
pub const ADDRESSES: [&str; 6] =
    ["192.0.2.1", "192.0.2.2", "198.51.100.1", "10.0.0.1", "2001:db8::1", "2001:db8:0:1::1"];
/// Ports at which the blocks begin, end and overlap.
pub const PORTS: [Option<u16>; 6] = [None, Some(1023), Some(1024), Some(1600), Some(2048), Some(3071)];

/// NASes have these names.
pub fn nas(number: u8) -> Name {
    Name::from(["bras1", "bras2", "bras3"][usize::from(number % 3)])
}

fn claim(number: u8) -> Claim {
    let whole = |prefix: &str, source| Claim::whole(net(prefix), source);
    let block = |first, last| Claim {
        prefix: net("198.51.100.1/32"),
        ports: Ports::new(first, last).expect("in order"),
        source: ClaimSource::PortBlock,
    };
    match number % 11 {
        0 => whole("192.0.2.1/32", ClaimSource::FramedAddress),
        1 => whole("192.0.2.2/32", ClaimSource::FramedAddress),
        2 => whole("192.0.2.0/28", ClaimSource::FramedRoute),
        3 => whole("10.0.0.1/32", ClaimSource::FramedAddress),
        4 => whole("2001:db8::/64", ClaimSource::FramedIpv6Prefix),
        5 => whole("2001:db8::/48", ClaimSource::DelegatedIpv6Prefix),
        6 => whole("2001:db8:0:1::1/128", ClaimSource::FramedIpv6Address),
        7 => whole("198.51.100.1/32", ClaimSource::FramedAddress),
        8 => block(1024, 2047),
        9 => block(2048, 3071),
        _ => block(1500, 2500),
    }
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn release(number: u8) -> Release {
    let all = ClaimSource::ALL;
    match all.get(usize::from(number) % (all.len() + 3)) {
        Some(source) => Release::All(*source),
        None => {
            let block = claim(8 + number % 3);
            Release::Only(block.prefix, block.ports)
        }
    }
}

impl Told {
    /// The record, as it arrives at this moment.
    pub fn record(&self, arrival: Timestamp) -> Record {
        let kind = match self.kind % 16 {
            0..=4 => Kind::Start,
            5..=10 => Kind::Interim,
            11..=13 => Kind::Stop,
            14 => Kind::On,
            _ => Kind::Off,
        };
        let whole_nas = matches!(kind, Kind::On | Kind::Off);
        let number = |number: u8| Name::from(number.to_string().as_str());
        let session = if whole_nas { Name::from("") } else { number(self.session % 5) };
        let claims = self.claims.iter().flatten().filter(|_| !whole_nas);
        let mut claims: Vec<Claim> = claims.map(|number| claim(*number)).collect();
        claims.sort();
        claims.dedup();
        Record {
            event: arrival.minus(self.late.into()),
            dated: !self.undated,
            subscriber: subscriber(self.subscriber),
            user_name: subscriber(self.subscriber),
            realm: (self.realm % 4 == 1).then(|| Name::from("blue")),
            claims,
            releases: self.release.map(release).filter(|_| !whole_nas).into_iter().collect(),
            inside: self.inside.filter(|_| !whole_nas).map(inside),
            service: self
                .service
                .filter(|_| !whole_nas)
                .map(|parent| Service { parent: parent.map(|p| number(p % 5)) }),
            multi_session_id: self.host.map(|host| number(host.into())),
            group: self.group.then(|| Name::from("pair")),
            claims_dropped: self.dropped.into(),
            session_time: self.session_time.map(u32::from),
            interval: self.interval.map(u32::from),
            line: Line { port_id: self.line.then(|| number(self.session)), ..Line::default() },
            scope: Scope {
                nas_identifier: (self.scope & 1 != 0).then(|| Name::from("bras")),
                called_station: (self.scope & 2 != 0).then(|| Name::from("cell")),
                nas_port: (self.scope & 4 != 0).then_some(7),
                context: (self.scope & 8 != 0).then(|| Name::from("blue")),
            },
            stop_start: self.stop_start,
            ..Record::bare(kind, nas(self.nas), session, arrival)
        }
    }
}

fn subscriber(number: u8) -> Option<Name> {
    ["alice", "bob", "carol"].get(usize::from(number % 4)).map(|name| Name::from(*name))
}

fn inside(other: bool) -> IpAddr {
    if other { "192.0.2.1" } else { "10.0.0.1" }.parse().expect("an address")
}

/// Settings in numbers.
#[derive(Debug, Arbitrary)]
pub struct Settings {
    statics: bool,
    listed: bool,
    translations: bool,
    crowd: u8,
    warm_up: bool,
    hurried: bool,
    /// Whose clients are known.
    clients: u8,
}

impl Settings {
    /// What they come to.
    pub fn applied(&self) -> Applied {
        let mut rules = Rules::default();
        if !self.warm_up {
            rules.warm_up = Span::Fixed(Duration::ZERO);
        }
        if self.hurried {
            rules.defer_after_stop = Duration::ZERO;
            rules.interim_overdue = Span::Fixed(Duration::from_secs(300));
            rules.lifetime_without_interim = Duration::from_secs(7200);
            rules.nas_silence_grace = Duration::from_secs(600);
            rules.stale_limit = Duration::from_secs(900);
        }
        let known = (0..3).filter(|number| self.clients & (1 << number) == 0);
        Applied {
            rules,
            statics: self.statics.then(|| (net("192.0.2.2/32"), Name::from("office"))).into_iter().collect(),
            never: Vec::new(),
            listed: if self.listed {
                vec![(Name::from("alice"), net("192.0.2.0/28")), (Name::from("bob"), net("2001:db8::/48"))]
            } else {
                Vec::new()
            },
            pools: known.map(|number| (nas(number), Vec::new())).collect(),
            translations: if self.translations { vec![translation()] } else { Vec::new() },
            crowd: u32::from(self.crowd % 4),
        }
    }
}

fn translation() -> Translation {
    Translation {
        realm: None,
        inside: net("10.0.0.0/30"),
        outside: net("198.51.100.1/32"),
        first_port: 1024,
        block: 1024,
    }
}

/// A hold from this moment on.
pub fn hold(number: u8, at: Timestamp, long: Pause) -> NasHold {
    let (by, reason) = (Name::from("root"), Name::from("new line card"));
    NasHold { at, by, nas: nas(number), until: at.plus(long.into()), reason }
}
