//! Histories of whatever can happen, folded by the machine: compared with a scan over a list where that can tell, and with
//! itself where a snapshot, a replay or a look at the deadlines must change nothing.
#![no_main]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use relaywarden::session::bindings::{LiveMap, Lookup};
use relaywarden::session::effect::Effect;
use relaywarden::session::event::{Applied, Event, Kind, NasHold, Record, Rules, Span};
use relaywarden::session::machine::Machine;
use relaywarden::session::{Name, Realm, SessionKey, Timestamp};
use relaywarden_fuzz::history::{self, Step, What};
use relaywarden_fuzz::scan::{self, Move, Scan};
use relaywarden_fuzz::{NOW, assert_shared_is_nobodys};

const STEPS_MAX: usize = 96;

#[derive(Debug, Arbitrary)]
enum Plan {
    Anything(Vec<Step>),
    InOrder(Vec<(Move, u8)>),
}

fuzz_target!(|octets: &[u8]| {
    match Plan::arbitrary_take_rest(Unstructured::new(octets)) {
        Ok(Plan::Anything(steps)) => anything(&steps),
        Ok(Plan::InOrder(moves)) => in_order(&moves),
        Err(_) => {}
    }
});

/// I1 and I4: with records in order, the map is what a scan over a list of claims finds.
fn in_order(moves: &[(Move, u8)]) {
    let rules = Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() };
    let pools = ["bras1", "bras2"].map(|nas| (Name::from(nas), Vec::new())).to_vec();
    let mut machine = Machine::new(Arc::new(LiveMap::default()));
    let applied = Applied { rules, pools, ..Applied::default() };
    machine.fold(NOW, &Event::Applied(Box::new(applied)), &mut Vec::new());
    let mut scan = Scan::default();
    for word in scan::told(moves) {
        let now = scan::at(word.second);
        scan.hear(&word);
        let event = taken(&mut machine, word.record(), now, &mut Vec::new());
        machine.fold(now, &event, &mut Vec::new());
        let owners: Vec<Vec<String>> = (0..scan::PLACES).map(|place| owners(&machine, place, now)).collect();
        assert_eq!(owners, scan.owners(), "after {word:?}");
    }
}

fn owners(machine: &Machine, place: u8, now: Timestamp) -> Vec<String> {
    let (claim, port) = scan::place(place);
    let all = match machine.map().lookup(Realm::PUBLIC, claim.prefix.addr(), port, now) {
        Lookup::Found(found) => vec![found],
        Lookup::Ambiguous(all) => all,
        Lookup::Absent | Lookup::Unready(..) => Vec::new(),
    };
    let mut names: Vec<_> =
        all.into_iter().filter_map(|found| found.subscriber()).map(|name| name.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

/// As the daemon takes a record: what says nothing new is a refresh.
fn taken(machine: &mut Machine, record: Record, now: Timestamp, effects: &mut Vec<Effect>) -> Event {
    machine.advance(now, effects);
    match machine.as_refresh(&record) {
        Some(refresh) => Event::Refreshes(vec![refresh]),
        None => Event::Record(Box::new(record)),
    }
}

/// What is in the log.
enum Logged {
    Event(Event),
    Hold(NasHold),
}

/// A machine and everything that it ever said.
struct Life {
    machine: Machine,
    effects: Vec<Effect>,
    /// A translator's record was among them.
    translated: bool,
}

impl Life {
    fn new() -> Self {
        Life { machine: Machine::new(Arc::new(LiveMap::default())), effects: Vec::new(), translated: false }
    }

    fn fold(&mut self, at: Timestamp, logged: &Logged) {
        match logged {
            Logged::Event(event) => self.machine.fold(at, event, &mut self.effects),
            Logged::Hold(hold) => self.machine.hold_nas(at, hold, &mut self.effects),
        }
    }

    fn restore(&mut self) {
        let image = postcard::to_stdvec(&self.machine.image()).expect("an image has a spelling");
        let image = postcard::from_bytes(&image).expect("it is one of ours");
        self.machine = Machine::restore(Arc::new(LiveMap::default()), image);
    }
}

fn anything(steps: &[Step]) {
    let mut lived = Life::new();
    let mut restored = Life::new();
    let mut log: Vec<(Timestamp, Logged)> = Vec::new();
    let mut now = NOW;
    // While we are deaf nobody looks: a gap begins after the last look.
    let mut looked = NOW;
    for Step { pause, what } in steps.iter().take(STEPS_MAX) {
        now = now.plus((*pause).into());
        let logged = match what {
            What::Told(told) => Logged::Event(Event::Record(Box::new(told.record(now)))),
            What::Reported(told) => {
                Logged::Event(taken(&mut lived.machine, told.record(now), now, &mut lived.effects))
            }
            What::Applied(settings) => Logged::Event(Event::Applied(Box::new(settings.applied()))),
            What::Resumed(gap) => {
                Logged::Event(Event::Resumed { since: gap.map(|gap| now.minus(gap.into()).max(looked)) })
            }
            What::Held { nas, long } => Logged::Hold(history::hold(*nas, now, *long)),
            What::Looked => {
                looked = now;
                lived.machine.advance(now, &mut lived.effects);
                continue;
            }
            What::Restored => {
                restored.restore();
                continue;
            }
        };
        fold_watched(&mut lived, now, &logged);
        restored.fold(now, &logged);
        log.push((now, logged));
        for address in addresses() {
            for realm in realms(&lived.machine) {
                assert_shared_is_nobodys(lived.machine.map(), realm, address, now);
            }
        }
    }
    let mut replayed = Life::new();
    log.iter().for_each(|(at, logged)| replayed.fold(*at, logged));
    restored.restore();
    for life in [&mut lived, &mut restored, &mut replayed] {
        life.machine.advance(now, &mut life.effects);
    }
    let image = |life: &Life| life.machine.image().in_order();
    assert_eq!(image(&lived), image(&replayed), "a replay");
    assert_eq!(lived.effects, replayed.effects, "a replay");
    assert_eq!(image(&lived), image(&restored), "a snapshot");
    assert_eq!(lived.effects, restored.effects, "a snapshot");
    assert_eq!(named(&lived.machine, now), named(&restored.machine, now));
}

/// I1 and I7: a Stop takes nothing from another session, and an On or Off nothing from another NAS.
fn fold_watched(life: &mut Life, now: Timestamp, logged: &Logged) {
    let Logged::Event(Event::Record(record)) = logged else { return life.fold(now, logged) };
    let others = |key: &SessionKey| match record.kind {
        // Within a group a NAS may have taken the session over, and its Stop is that of the session.
        Kind::Stop if record.group.is_some() => key.id != record.session_id,
        Kind::Stop => (&key.nas, &key.id) != (&record.nas, &record.session_id),
        _ => key.nas != record.nas,
    };
    life.translated |= record.inside.is_some();
    // What a translator's record ends was named after whoever owns the address behind it.
    if matches!(record.kind, Kind::Start | Kind::Interim) || life.translated {
        return life.fold(now, logged);
    }
    life.machine.advance(now, &mut life.effects);
    let before = named(&life.machine, now);
    life.fold(now, logged);
    for (before, after) in before.iter().zip(&named(&life.machine, now)) {
        let Named { session: Some(key), .. } = before else { continue };
        // It may tell against an owner, who is deferred then; but nobody else is named, and nobody refused.
        let deferred = after.session.is_none() && after.subscriber.is_none() && !after.absent;
        // A realm may have got its number only now.
        let same = before.session == after.session && before.subscriber == after.subscriber;
        assert!(!others(key) || same || deferred, "{record:?} made {before:?} {after:?}");
    }
}

/// Who is named at one place.
#[derive(Debug, PartialEq)]
struct Named {
    realm: Realm,
    address: IpAddr,
    port: Option<u16>,
    session: Option<SessionKey>,
    subscriber: Option<Name>,
    absent: bool,
}

fn named(machine: &Machine, now: Timestamp) -> Vec<Named> {
    let mut all = Vec::new();
    for realm in realms(machine) {
        for address in addresses() {
            for port in history::PORTS {
                let answer = machine.map().lookup(realm, address, port, now);
                let absent = matches!(answer, Lookup::Absent);
                let found = match answer {
                    Lookup::Found(found) => Some(found),
                    _ => None,
                };
                let session = found.as_ref().and_then(|found| found.session.as_ref());
                let session = session.map(|session| session.key());
                let subscriber = found.and_then(|found| found.subscriber());
                all.push(Named { realm, address, port, session, subscriber, absent });
            }
        }
    }
    all
}

fn addresses() -> impl Iterator<Item = IpAddr> {
    history::ADDRESSES.into_iter().map(|address| address.parse().expect("an address"))
}

fn realms(machine: &Machine) -> [Realm; 2] {
    [Realm::PUBLIC, machine.map().realm(Some(&Name::from("blue")))]
}
