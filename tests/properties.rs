//! Invariants of the session machine over random histories, each against something naive: a `Vec` that is scanned.
//!
//! A history is what really happened: subscribers come and go on a few addresses of two NASes, some move without a
//! Stop, some session ids are used again. A delivery is what reached us of it: lost, doubled, late, out of order, or
//! sent again under another Identifier with another Acct-Delay-Time.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use relaywarden::session::bindings::{Found, LiveMap, Lookup};
use relaywarden::session::event::{
    Applied, Claim, ClaimSource, Event, Kind, Record, Release, Rules, Service, Span,
};
use relaywarden::session::machine::Machine;
use relaywarden::session::{Line, Name, Ports, Realm, Timestamp};

const ADDRESSES: u8 = 4;
const BEGIN: i64 = 1_800_000_000;

/// The same ten thousand histories in each run, so that a red run stays red. `PROPTEST_CASES` and `RELAYWARDEN_SEED`
/// search further: as many as there is time for, from another beginning.
fn search() -> ProptestConfig {
    let told = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    ProptestConfig {
        cases: told("PROPTEST_CASES").unwrap_or(10_000),
        rng_seed: RngSeed::Fixed(told("RELAYWARDEN_SEED").unwrap_or(2866).into()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What one session says at one moment.
#[derive(Clone, PartialEq)]
struct Told {
    second: i64,
    nas: u8,
    session: u32,
    subscriber: u8,
    address: u8,
    kind: Kind,
    since: i64,
}

/// One line, so that a failing history can be read: `5s bras1 #2 s3 192.0.2.1 Start`.
impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Told { second, nas, session, subscriber, address, kind, .. } = self;
        write!(f, "{second}s bras{} #{session} s{subscriber} 192.0.2.{address} {kind:?}", nas + 1)
    }
}

/// What may happen next in a history.
#[derive(Debug, Clone)]
enum Step {
    Connect { nas: u8, subscriber: u8, address: u8 },
    Report { which: usize },
    Leave { which: usize },
    Vanish { which: usize },
    Move { which: usize, address: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_u8, 0..5_u8, 0..ADDRESSES)
            .prop_map(|(nas, subscriber, address)| Step::Connect { nas, subscriber, address }),
        4 => any::<usize>().prop_map(|which| Step::Report { which }),
        2 => any::<usize>().prop_map(|which| Step::Leave { which }),
        1 => any::<usize>().prop_map(|which| Step::Vanish { which }),
        1 => (any::<usize>(), 0..ADDRESSES).prop_map(|(which, address)| Step::Move { which, address }),
    ]
}

/// Tells a history: one record per step, a few seconds apart. A session that vanished goes on reporting at times, as
/// one whose Stop was lost on a NAS that never noticed. All of it lies within the quarter of an hour in which nothing is
/// overdue yet.
fn history(steps: &[(Step, u8)]) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut live: Vec<Told> = Vec::new();
    let (mut second, mut next_session) = (0, 0);
    for (step, pause) in steps {
        second += 1 + i64::from(*pause % 25);
        match step {
            Step::Connect { nas, subscriber, address } => {
                next_session += 1;
                live.push(Told {
                    second,
                    nas: *nas,
                    session: next_session,
                    subscriber: *subscriber,
                    address: *address,
                    kind: Kind::Start,
                    since: second,
                });
                told.extend(live.last().cloned());
            }
            Step::Report { which }
            | Step::Move { which, .. }
            | Step::Leave { which }
            | Step::Vanish { which } => {
                if live.is_empty() {
                    continue;
                }
                let which = which % live.len();
                live[which].second = second;
                match step {
                    Step::Move { address, .. } => {
                        live[which].address = *address;
                        live[which].kind = Kind::Interim;
                        told.push(live[which].clone());
                    }
                    Step::Leave { .. } => {
                        live[which].kind = Kind::Stop;
                        told.push(live.swap_remove(which));
                    }
                    Step::Vanish { .. } => {
                        live.swap_remove(which);
                    }
                    _ => {
                        live[which].kind = Kind::Interim;
                        told.push(live[which].clone());
                    }
                }
            }
        }
    }
    told
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(BEGIN + second)
}

fn address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))
}

fn record(told: &Told, arrival: i64) -> Record {
    let nas = Name::from(if told.nas == 0 { "bras1" } else { "bras2" });
    let subscriber = Some(Name::from(format!("s{}", told.subscriber).as_str()));
    let session = Name::from(told.session.to_string().as_str());
    Record {
        event: at(told.second),
        user_name: subscriber.clone(),
        subscriber,
        claims: vec![Claim::whole(address(told.address).into(), ClaimSource::FramedAddress)],
        session_time: (told.kind != Kind::Start).then(|| u32::try_from(told.second - told.since).unwrap()),
        line: Line { calling_station: Some(session.clone()), ..Line::default() },
        ..Record::bare(told.kind, nas, session, at(arrival))
    }
}

fn machine() -> Machine {
    let rules = Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() };
    let pools = vec![(Name::from("bras1"), Vec::new()), (Name::from("bras2"), Vec::new())];
    let mut machine = Machine::new(Arc::new(LiveMap::default()));
    let applied = Applied { rules, pools, ..Applied::default() };
    machine.fold(Timestamp::EARLIEST, &Event::Applied(Box::new(applied)), &mut Vec::new());
    machine
}

fn feed(machine: &mut Machine, told: &Told, arrival: i64) {
    machine.fold(at(arrival), &Event::Record(Box::new(record(told, arrival))), &mut Vec::new());
}

/// The same, but the way the daemon does it: what says nothing new goes in as a refresh.
fn feed_as_daemon(machine: &mut Machine, told: &Told, arrival: i64) {
    machine.advance(at(arrival), &mut Vec::new());
    let record = record(told, arrival);
    let event = match machine.as_refresh(&record) {
        Some(refresh) => Event::Refreshes(vec![refresh]),
        None => Event::Record(Box::new(record)),
    };
    machine.fold(at(arrival), &event, &mut Vec::new());
}

/// Who owns each address: subscribers, sorted; empty for nobody.
fn owners(machine: &Machine, second: i64) -> Vec<Vec<String>> {
    let ask = |number| match machine.map().lookup(Realm::PUBLIC, address(number), None, at(second)) {
        Lookup::Found(found) => vec![found.subscriber().unwrap().to_string()],
        Lookup::Ambiguous(all) => {
            let mut names: Vec<_> =
                all.into_iter().map(|found| found.subscriber().unwrap().to_string()).collect();
            names.sort();
            names.dedup();
            names
        }
        Lookup::Absent | Lookup::Unready(..) => Vec::new(),
    };
    (0..ADDRESSES).map(ask).collect()
}

/// The naive model for records that come in order: a list of claims, scanned for everything.
#[derive(Debug, Clone)]
struct Claimed {
    session: u32,
    subscriber: u8,
    address: u8,
    since: i64,
    heard: i64,
    lost: bool,
    /// Somebody else's record told that it was theirs meanwhile.
    doubted: i64,
}

#[derive(Default)]
struct Model {
    claims: Vec<Claimed>,
    /// Sessions that stopped.
    stopped: Vec<u32>,
}

impl Model {
    fn feed(&mut self, told: &Told) {
        let mine = self.claims.iter().position(|claim| claim.session == told.session);
        if told.kind == Kind::Stop {
            if let Some(mine) = mine {
                let elsewhere = self.claims[mine].address != told.address;
                self.leave(mine);
                if elsewhere {
                    self.doubt(told);
                }
            } else if !self.stopped.contains(&told.session) {
                self.doubt(told);
            }
            self.stopped.push(told.session);
            return;
        }
        if let Some(mine) = mine {
            self.claims[mine].heard = told.second;
        }
        match mine {
            Some(mine) if self.claims[mine].address == told.address => {
                if !self.claims[mine].lost {
                    return;
                }
                // It lost the address and claims it again: beside another subscriber that is a conflict.
                let (address, subscriber) = (told.address, told.subscriber);
                let holding = |claim: &&mut Claimed| claim.address == address && !claim.lost;
                if self.claims.iter_mut().filter(holding).all(|rival| rival.subscriber == subscriber) {
                    self.claims.iter_mut().filter(holding).for_each(|rival| rival.lost = true);
                }
                (self.claims[mine].lost, self.claims[mine].since) = (false, told.second);
                return;
            }
            Some(mine) => self.leave(mine),
            None => {}
        }
        for rival in self.claims.iter_mut().filter(|claim| claim.address == told.address) {
            rival.lost = true;
        }
        self.claims.push(Claimed {
            session: told.session,
            subscriber: told.subscriber,
            address: told.address,
            since: told.second,
            heard: told.second,
            lost: false,
            doubted: 0,
        });
    }

    /// Its session was not heard with this address before, and had it until now: so somebody's Stop was lost.
    fn doubt(&mut self, told: &Told) {
        // The Stop of an older session, moments after a newer one's claim, tells what is known.
        let older = |claim: &Claimed| told.since < claim.since && told.second - claim.since < 120;
        let rivals = self.claims.iter_mut().filter(|claim| {
            claim.address == told.address
                && claim.subscriber != told.subscriber
                && !claim.lost
                && !older(claim)
        });
        rivals.for_each(|rival| rival.doubted = told.second);
    }

    /// One claim less. If a conflict is over with it, the one heard last of the sessions that are left is the owner, and
    /// named when it was heard after whoever is gone had claimed the address. What the last owner leaves goes back to a
    /// session of the same subscriber that was heard since.
    fn leave(&mut self, mine: usize) {
        let gone = self.claims.remove(mine);
        if gone.lost {
            return;
        }
        let holding = |claim: &&mut Claimed| claim.address == gone.address && !claim.lost;
        let mut left: Vec<_> = self.claims.iter_mut().filter(holding).collect();
        left.sort_by_key(|claim| claim.heard);
        match left.split_last_mut() {
            Some((newest, others)) if others.iter().all(|other| other.subscriber == newest.subscriber) => {
                others.iter_mut().for_each(|other| other.lost = true);
                if newest.subscriber != gone.subscriber && gone.since - newest.since >= 120 {
                    newest.doubted = newest.doubted.max(gone.since);
                }
            }
            Some(_) => {}
            None => {
                let own = |claim: &&mut Claimed| {
                    claim.address == gone.address
                        && claim.subscriber == gone.subscriber
                        && claim.heard > gone.since
                };
                if let Some(heir) = self.claims.iter_mut().filter(own).max_by_key(|claim| claim.heard) {
                    (heir.lost, heir.since, heir.doubted) = (false, gone.since, gone.doubted);
                }
            }
        }
    }

    fn owners(&self) -> Vec<Vec<String>> {
        let of = |address| {
            let holding: Vec<_> =
                self.claims.iter().filter(|claim| claim.address == address && !claim.lost).collect();
            if let [owner] = holding[..]
                && owner.doubted > owner.heard
            {
                return Vec::new();
            }
            let mut names: Vec<_> = holding.iter().map(|claim| format!("s{}", claim.subscriber)).collect();
            names.sort();
            names.dedup();
            names
        };
        (0..ADDRESSES).map(of).collect()
    }
}

fn histories() -> impl Strategy<Value = Vec<Told>> {
    prop::collection::vec((step(), any::<u8>()), 1..30).prop_map(|steps| history(&steps))
}

proptest! {
    #![proptest_config(search())]

    /// I1 and I4 in order: with loss and repetition, the map is what scanning a list of claims finds.
    #[test]
    fn in_order_the_map_is_what_a_scan_finds(
        told in histories(),
        fate in prop::collection::vec(0..10_u8, 30),
    ) {
        let mut machine = machine();
        let mut model = Model::default();
        for (told, fate) in told.iter().zip(fate) {
            // A tenth is lost; two tenths come twice, the second time as a retransmission with another delay.
            if fate == 0 {
                continue;
            }
            model.feed(told);
            feed_as_daemon(&mut machine, told, told.second);
            if fate > 7 {
                feed(&mut machine, told, told.second);
            }
            prop_assert_eq!(owners(&machine, told.second), model.owners());
        }
    }

    /// I4 out of order: whoever is found has the newest claim among those who have not stopped, and a conflict is
    /// only reported between subscribers who both live.
    #[test]
    fn out_of_order_only_the_newest_live_claimant_is_found(
        told in histories(),
        lateness in prop::collection::vec(0..300_i64, 30),
        doubled in prop::collection::vec(any::<bool>(), 30),
    ) {
        let mut delivery: Vec<(i64, Told)> = Vec::new();
        for ((told, late), twice) in told.iter().zip(&lateness).zip(&doubled) {
            delivery.push((told.second + late, told.clone()));
            if *twice {
                delivery.push((told.second + late + 7, told.clone()));
            }
        }
        delivery.sort_by_key(|(arrival, _)| *arrival);
        let mut machine = machine();
        let mut heard: Vec<Told> = Vec::new();
        for (arrival, told) in &delivery {
            feed(&mut machine, told, *arrival);
            heard.push(told.clone());
            // Of every session that has not stopped: its newest record.
            let mut live: BTreeMap<u32, &Told> = BTreeMap::new();
            for told in &heard {
                let newest = live.entry(told.session).or_insert(told);
                if told.second > newest.second {
                    *newest = told;
                }
            }
            let stopped = |session| heard.iter().any(|told| told.session == session && told.kind == Kind::Stop);
            live.retain(|session, _| !stopped(*session));
            for (number, found) in (0..ADDRESSES).zip(owners(&machine, *arrival)) {
                let claimants: Vec<_> = live.values().filter(|told| told.address == number).collect();
                match &found[..] {
                    [] => {}
                    [only] => {
                        let newest = claimants.iter().map(|told| told.second).max();
                        let named = claimants.iter().filter(|told| format!("s{}", told.subscriber) == *only);
                        prop_assert_eq!(named.map(|told| told.second).max(), newest, "192.0.2.{} after {:?}", number, heard);
                    }
                    several => {
                        for name in several {
                            let lives = claimants.iter().any(|told| format!("s{}", told.subscriber) == *name);
                            prop_assert!(lives, "{} is not a live claimant of {}", name, number);
                        }
                    }
                }
            }
        }
    }

    /// I3: one session's records, in any order and any number of times, end in the same place.
    #[test]
    fn one_sessions_records_commute(
        moves in prop::collection::vec((0..ADDRESSES, any::<bool>()), 1..6),
        stops in any::<bool>(),
        order in prop::collection::vec(any::<u32>(), 16),
    ) {
        let told = |second: i64, address: u8, kind: Kind| {
            Told { second, nas: 0, session: 1, subscriber: 1, address, kind, since: 0 }
        };
        let mut records = vec![told(0, moves[0].0, Kind::Start)];
        let mut second = 0;
        for (address, _) in &moves {
            second += 100;
            records.push(told(second, *address, Kind::Interim));
        }
        if stops {
            records.push(told(second + 100, moves[moves.len() - 1].0, Kind::Stop));
        }
        let twice = moves.iter().zip(records.clone()).filter(|((_, twice), _)| *twice).map(|(_, record)| record);
        let mut shuffled: Vec<_> = records.iter().cloned().chain(twice).zip(order).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let end = second + 200;
        let (mut straight, mut mixed) = (machine(), machine());
        records.iter().for_each(|told| feed(&mut straight, told, end));
        shuffled.iter().for_each(|(told, _)| feed(&mut mixed, told, end));
        prop_assert_eq!(owners(&straight, end), owners(&mixed, end));
        prop_assert_eq!(straight.sessions(), mixed.sessions());
    }

    /// I6: yesterday's records, replayed today in any amount, change none of today's owners.
    #[test]
    fn replaying_yesterday_changes_nothing_today(
        yesterday in histories(),
        today in histories(),
        replayed in prop::collection::vec(any::<bool>(), 30),
    ) {
        const DAY: i64 = 86_400;
        let mut machine = machine();
        yesterday.iter().for_each(|told| feed(&mut machine, told, told.second));
        let mut now = 2 * DAY;
        for mut told in today {
            // Ids are used again, as on a NAS that counts from one after each reboot.
            told.second += DAY;
            told.since += DAY;
            now = told.second;
            feed(&mut machine, &told, now);
        }
        now += 60;
        machine.advance(at(now), &mut Vec::new());
        let before = owners(&machine, now);
        for (told, replay) in yesterday.iter().zip(replayed) {
            if replay {
                feed(&mut machine, told, now);
            }
        }
        prop_assert_eq!(owners(&machine, now), before);
    }

    /// I7: an Accounting-On or -Off touches the sender's sessions and nobody else's; of its own none is found after it.
    #[test]
    fn a_restart_touches_the_sender_only(told in histories(), off in any::<bool>()) {
        let mut machine = machine();
        let mut now = 0;
        for told in told.iter().filter(|told| told.nas == 0) {
            now = told.second;
            feed(&mut machine, told, now);
        }
        let before = owners(&machine, now + 1);
        let kind = if off { Kind::Off } else { Kind::On };
        let told = Told { second: now + 1, nas: 1, session: 0, subscriber: 0, address: 0, kind, since: now + 1 };
        let restart = Record { claims: Vec::new(), session_id: Name::from(""), subscriber: None, ..record(&told, now + 1) };
        machine.fold(at(now + 1), &Event::Record(Box::new(restart.clone())), &mut Vec::new());
        prop_assert_eq!(owners(&machine, now + 1), before);
        let own = Record { nas: Name::from("bras1"), client: Name::from("bras1"), ..restart };
        machine.fold(at(now + 1), &Event::Record(Box::new(own)), &mut Vec::new());
        prop_assert!(owners(&machine, now + 1).iter().all(|owners| owners.len() != 1));
    }

    /// I2: the Stop of a service ends nothing, whichever session it is part of and whatever it names.
    #[test]
    fn a_services_stop_ends_nothing(
        told in histories(),
        services in prop::collection::vec((0..8_u32, 0..ADDRESSES, any::<bool>(), any::<bool>()), 30),
    ) {
        let (mut with, mut without) = (machine(), machine());
        for (told, (parent, address, named, whole)) in told.iter().zip(services) {
            feed(&mut with, told, told.second);
            feed(&mut without, told, told.second);
            let parent = if whole { told.session } else { parent };
            let stop = Told { kind: Kind::Stop, address, ..told.clone() };
            let parent = Name::from(parent.to_string().as_str());
            let stop = Record {
                session_id: if named { parent.clone() } else { Name::from("service") },
                service: Some(Service { parent: Some(parent) }),
                ..record(&stop, told.second)
            };
            with.fold(at(told.second), &Event::Record(Box::new(stop)), &mut Vec::new());
            prop_assert_eq!(owners(&with, told.second), owners(&without, told.second));
        }
        prop_assert_eq!(with.sessions(), without.sessions());
    }

    /// I8: whoever shares an address by ports is never named for a question without one.
    #[test]
    fn without_a_port_nobody_of_a_shared_address_is_named(
        told in histories(),
        blocks in prop::collection::vec((0..6_u16, 1..4_u16, any::<bool>()), 30),
    ) {
        let mut machine = machine();
        for (told, (first, size, gives_back)) in told.iter().zip(blocks) {
            let prefix = address(told.address).into();
            let ports = Ports::new(1000 + first * 1000, 999 + (first + size) * 1000).unwrap();
            let mut record = record(told, told.second);
            record.claims = vec![Claim { prefix, ports, source: ClaimSource::PortBlock }];
            if gives_back && told.kind == Kind::Interim {
                record.claims.clear();
                record.releases = vec![Release::Only(prefix, ports)];
            }
            machine.fold(at(told.second), &Event::Record(Box::new(record)), &mut Vec::new());
            for number in 0..ADDRESSES {
                let now = at(told.second);
                let without = machine.map().lookup(Realm::PUBLIC, address(number), None, now);
                prop_assert!(matches!(without, Lookup::Absent | Lookup::Unready(..)), "{:?}", without);
                // With a port nobody is named who has no block around it.
                for port in (500..9500).step_by(1000) {
                    let Lookup::Found(found) = machine.map().lookup(Realm::PUBLIC, address(number), Some(port), now) else {
                        continue;
                    };
                    let session = found.session.unwrap().id();
                    let sharers = machine.map().sharers(Realm::PUBLIC, address(number));
                    let has = |(ports, sharer): &(Ports, Found)| {
                        ports.contains(port) && sharer.session.as_ref().unwrap().id() == session
                    };
                    prop_assert!(sharers.iter().any(has));
                }
            }
        }
    }

    /// Replay: an image in the middle and the rest of the log give what living through all of it gave, whenever
    /// deadlines happened to be looked at meanwhile.
    #[test]
    fn an_image_and_the_rest_of_the_log_are_the_whole(
        told in histories(),
        cut in 0..30_usize,
        looks in prop::collection::vec(0..4000_i64, 30),
    ) {
        let told: Vec<_> = told
            .into_iter()
            .map(|told| Told { second: told.second * 40, since: told.since * 40, ..told })
            .collect();
        let (mut lived, mut replayed) = (machine(), machine());
        for (index, (told, look)) in told.iter().zip(&looks).enumerate() {
            if index == cut {
                let image = postcard::to_stdvec(&replayed.image()).unwrap();
                let image = postcard::from_bytes(&image).unwrap();
                replayed = Machine::restore(Arc::new(LiveMap::default()), image);
            }
            feed_as_daemon(&mut lived, told, told.second);
            feed_as_daemon(&mut replayed, told, told.second);
            let next = told.second + look.min(&39);
            lived.advance(at(next), &mut Vec::new());
        }
        let end = told.last().map_or(0, |told| told.second) + 40;
        lived.advance(at(end), &mut Vec::new());
        replayed.advance(at(end), &mut Vec::new());
        let told = |machine: &Machine| format!("{:#?}", machine.image().in_order());
        let (a, b) = (told(&lived), told(&replayed));
        let diff: Vec<_> = a.lines().zip(b.lines()).filter(|(a, b)| a != b).collect();
        prop_assert!(diff.is_empty(), "{:?}", diff);
        prop_assert_eq!(owners(&lived, end), owners(&replayed, end));
    }
}
