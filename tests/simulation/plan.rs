//! A day before it is lived: the NASes and their pools, what they say and when, and what befalls us meanwhile.
//!
//! Knows: everything that happens, as values. Must not know: what is lost on the way, or how records are judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use relaywarden::session::event::{Claim, ClaimSource, Kind};
use relaywarden::session::{Place, Ports, Realm};

use crate::dialect::{Boot, DIALECTS, Dialect};
use crate::dice::Dice;
use crate::lives;
use crate::truth::{Fact, Moment, Truth};

pub(crate) const SECOND: Moment = 1000;
pub(crate) const MINUTE: Moment = 60 * SECOND;
pub(crate) const HOUR: Moment = 60 * MINUTE;

/// How rough the day is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Datagrams of ten thousand, in each direction.
    pub(crate) lost: u64,
    /// Datagrams that arrive twice.
    pub(crate) doubled: u64,
    /// Datagrams that are under way for seconds: overtaken by others, and by their own repetitions.
    pub(crate) late: u64,
    /// Crashes, outages, stalls, clock steps, backlogs, probes; otherwise only short restarts.
    pub(crate) storms: bool,
}

/// One NAS.
#[derive(Debug, Clone)]
pub(crate) struct Nas {
    /// As the map calls it.
    pub(crate) name: String,
    /// The RADIUS client that it speaks through.
    pub(crate) client: String,
    pub(crate) source: IpAddr,
    pub(crate) dialect: Dialect,
    pub(crate) group: Option<String>,
    /// When it is down, and up again.
    pub(crate) boots: Vec<(Moment, Moment)>,
    pub(crate) feed: Feed,
    /// How long it waits for an answer.
    pub(crate) timeout: Moment,
    /// Each try has an Identifier of its own, though nothing else differs.
    pub(crate) anew: bool,
    /// Positions in [`Day::pools`].
    pub(crate) pools: Vec<usize>,
}

/// To whom a NAS reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    Only(usize),
    Both,
    /// To the second when the first does not answer.
    Failover,
}

/// Places that NASes give to lives.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) source: ClaimSource,
    pub(crate) places: Vec<Place>,
    /// Milliseconds between two owners.
    pub(crate) pause: Moment,
}

/// One thing that a NAS says.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) at: Moment,
    pub(crate) nas: usize,
    pub(crate) kind: Kind,
    pub(crate) session: String,
    pub(crate) subscriber: Option<String>,
    /// The subscriber's line, for Calling-Station-Id and NAS-Port-Id.
    pub(crate) line: usize,
    pub(crate) claims: Vec<Claim>,
    pub(crate) session_time: Option<u32>,
    pub(crate) beyond: Beyond,
    pub(crate) facts: Vec<Fact>,
    /// Keeps its dice when other records are left out of the day.
    pub(crate) salt: u64,
}

/// What only vendors' attributes tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beyond {
    /// Blocks that it has: all of them, or those given just now.
    pub(crate) blocks: Vec<Claim>,
    /// Blocks that were taken just now.
    pub(crate) taken: Vec<Place>,
    /// A service of the session with this id.
    pub(crate) service_of: Option<String>,
    pub(crate) host: Option<String>,
}

/// What befalls a receiver or a relay, each at its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The daemon is killed, and starts again after this long.
    Crash(Moment),
    /// The daemon is stopped in an orderly way, and starts again.
    Restart(Moment),
    /// Nothing reaches it.
    Cut(Moment),
    /// Its engine does not go round.
    Stall(Moment),
    /// Its host's clock is set by so much.
    Step(Moment),
    /// It writes a snapshot.
    Snapshot,
    /// The machine goes through its own image.
    Rest,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Incident {
    pub(crate) at: Moment,
    pub(crate) receiver: usize,
    pub(crate) what: Mishap,
}

/// A day.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    pub(crate) seed: u64,
    pub(crate) weather: Weather,
    pub(crate) nases: Vec<Nas>,
    pub(crate) pools: Vec<Pool>,
    /// While the relay with the detail file sends nothing.
    pub(crate) held_back: Vec<(Moment, Moment)>,
    pub(crate) receivers: usize,
    pub(crate) truth: Truth,
    pub(crate) said: Vec<Said>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) end: Moment,
}

impl Day {
    pub(crate) fn of(seed: u64, weather: Weather) -> Day {
        let mut dice = Dice::new(seed, 1);
        let end = dice.within(3, 7) * HOUR;
        let receivers = if weather.storms && dice.chance(4000) { 2 } else { 1 };
        let mut day = Day {
            seed,
            weather,
            nases: Vec::new(),
            pools: Vec::new(),
            held_back: Vec::new(),
            receivers,
            truth: Truth::default(),
            said: Vec::new(),
            incidents: Vec::new(),
            end,
        };
        day.build(&mut dice);
        lives::live(&mut day, &mut Dice::new(seed, 2));
        if weather.storms {
            day.brew(&mut Dice::new(seed, 3));
        } else {
            day.restart_now_and_then(&mut Dice::new(seed, 3));
        }
        day.said.sort_by_key(|said| said.at);
        day
    }

    /// Three to five NASes of different habits.
    fn build(&mut self, dice: &mut Dice) {
        let wanted = dice.within(3, 5);
        let mut left: Vec<&Dialect> = DIALECTS.iter().collect();
        for _ in 0..wanted {
            let index = usize::try_from(dice.below(left.len() as u64)).unwrap();
            let dialect = *left.remove(index);
            let group = dialect.pair.then(|| format!("pair{index}"));
            let pools = self.add_pools(&dialect, dice);
            for _ in 0..if dialect.pair { 2 } else { 1 } {
                self.add_nas(dialect, group.clone(), pools.clone(), dice);
            }
        }
    }

    fn add_nas(&mut self, dialect: Dialect, group: Option<String>, pools: Vec<usize>, dice: &mut Dice) {
        let number = self.nases.len() + 1;
        let (client, name) = match dialect.detail {
            true => ("relay".to_owned(), format!("relay/{}{number}", dialect.name)),
            false => (format!("{}{number}", dialect.name), format!("{}{number}", dialect.name)),
        };
        let feed = match (self.receivers, dice.below(3)) {
            (2, 0) => Feed::Both,
            (2, 1) if !dialect.in_turn && !dialect.detail => Feed::Failover,
            (2, _) => Feed::Only(usize::try_from(dice.below(2)).unwrap()),
            _ => Feed::Only(0),
        };
        let mut boots = Vec::new();
        if !dialect.pair && dice.chance(5000) {
            let down = dice.within(self.end / 5, self.end * 4 / 5);
            let takes = match dialect.boot {
                Boot::OnAndKeeps => 0,
                _ => dice.span(40, 400) * SECOND,
            };
            boots.push((down, down + takes));
        }
        self.nases.push(Nas {
            name,
            client,
            source: Ipv4Addr::new(192, 0, 2, u8::try_from(number).unwrap()).into(),
            dialect,
            group,
            boots,
            feed,
            timeout: dice.within(2, 5) * SECOND,
            // Where nothing in a record tells a repetition from the original, the same packet is sent again.
            anew: !dialect.stop_start && dice.chance(3000),
            pools,
        });
    }

    /// The pools of a NAS; at times the IPv4 one of another, so that an address moves from NAS to NAS.
    fn add_pools(&mut self, dialect: &Dialect, dice: &mut Dice) -> Vec<usize> {
        let number = u8::try_from(self.nases.len() + 1).unwrap();
        let pause = dialect.pause * SECOND;
        let mut mine = Vec::new();
        let mut add = |pools: &mut Vec<Pool>, source, places: Vec<Place>| {
            mine.push(pools.len());
            pools.push(Pool { source, places, pause });
        };
        let whole = |prefix| Place::whole(Realm::PUBLIC, prefix);
        let shared = dialect.blocks != crate::dialect::Blocks::None;
        let [first, second] = if shared { [100, 64] } else { [198, 51] };
        let host =
            |third: u8, last: u8| whole(IpNet::from(IpAddr::V4(Ipv4Addr::new(first, second, third, last))));
        let many = dice.within(3, 5);
        let addresses = (1..=u8::try_from(many).unwrap()).map(|last| host(100 + number, last)).collect();
        add(&mut self.pools, ClaimSource::FramedAddress, addresses);
        if dialect.ipv6 {
            let prefix = |block: u16, index: u16, length| {
                let address = Ipv6Addr::new(0x2001, 0xdb8, block + u16::from(number), index << 8, 0, 0, 0, 0);
                whole(IpNet::V6(Ipv6Net::new(address, length).unwrap()))
            };
            let many = u16::try_from(many).unwrap();
            add(
                &mut self.pools,
                ClaimSource::FramedIpv6Prefix,
                (1..=many).map(|i| prefix(0, i, 64)).collect(),
            );
            add(
                &mut self.pools,
                ClaimSource::DelegatedIpv6Prefix,
                (1..=many).map(|i| prefix(256, i, 56)).collect(),
            );
        }
        if shared {
            let outside = IpNet::V4(Ipv4Net::new(Ipv4Addr::new(203, 0, 113, number), 32).unwrap());
            let block = |index: u16| Ports::new(1024 + index * 1000, 2023 + index * 1000).unwrap();
            let places = (0..u16::try_from(many).unwrap() + 1)
                .map(|index| Place::new(Realm::PUBLIC, outside, block(index)));
            add(&mut self.pools, ClaimSource::PortBlock, places.collect());
        }
        let others: Vec<usize> = self.nases.iter().map(|nas| nas.pools[0]).collect();
        if !others.is_empty() && !shared && dice.chance(2500) {
            let theirs = *dice.pick(&others);
            // Two NASes' clocks and delays are not known to the second.
            self.pools[theirs].pause = self.pools[theirs].pause.max(pause).max(15 * SECOND);
            mine[0] = theirs;
        }
        mine
    }

    fn restart_now_and_then(&mut self, dice: &mut Dice) {
        for _ in 0..dice.below(3) {
            let at = dice.within(MINUTE, self.end);
            self.incidents.push(Incident { at, receiver: 0, what: Mishap::Snapshot });
            let pause = dice.within(1, 4) * SECOND;
            let what = if dice.chance(5000) { Mishap::Crash(pause) } else { Mishap::Restart(pause) };
            self.incidents.push(Incident { at: dice.within(at, self.end), receiver: 0, what });
        }
    }

    fn brew(&mut self, dice: &mut Dice) {
        for receiver in 0..self.receivers {
            for _ in 0..dice.within(2, 7) {
                let at = dice.within(MINUTE, self.end);
                let short = dice.span(SECOND, 30 * SECOND);
                let long = dice.span(MINUTE, 3 * HOUR);
                let pause = if dice.chance(6000) { short } else { long };
                let what = match dice.below(12) {
                    0 | 1 => Mishap::Crash(pause),
                    2 => Mishap::Restart(pause),
                    3 | 4 => Mishap::Cut(pause),
                    5 => Mishap::Stall(short),
                    6 => Mishap::Step(if dice.chance(7000) { dice.within(-5, 5) * SECOND } else { pause }),
                    7 => Mishap::Step(-pause.min(40 * MINUTE)),
                    8 | 9 => Mishap::Snapshot,
                    _ => Mishap::Rest,
                };
                self.incidents.push(Incident { at, receiver, what });
            }
        }
        if dice.chance(5000) {
            let from = dice.within(MINUTE, self.end);
            self.held_back.push((from, from + dice.span(MINUTE, 4 * HOUR)));
        }
        // Somebody tries accounting out, and sends an Accounting-On that means nothing.
        if dice.chance(2000) {
            let nas = usize::try_from(dice.below(self.nases.len() as u64)).unwrap();
            let at = dice.within(MINUTE, self.end);
            self.said.push(Said::of_nas(nas, Kind::On, at, Vec::new(), dice.below(u64::MAX)));
        }
    }
}

impl Said {
    /// An Accounting-On or -Off.
    pub(crate) fn of_nas(nas: usize, kind: Kind, at: Moment, facts: Vec<Fact>, salt: u64) -> Said {
        Said {
            at,
            nas,
            kind,
            session: String::new(),
            subscriber: None,
            line: 0,
            claims: Vec::new(),
            session_time: None,
            beyond: Beyond::default(),
            facts,
            salt,
        }
    }
}
