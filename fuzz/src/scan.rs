//! A second telling of who owns what, for records that come in order: a list of claims that is scanned for everything. And
//! the days that it is told of: subscribers come, report, move, leave, or vanish without a word.
//!
//! Knows: `docs/sessions.md`, "Two claims on one prefix". Must not know: the machine.

use arbitrary::Arbitrary;
use relaywarden::session::event::{Claim, ClaimSource, Kind, Record, Release};
use relaywarden::session::{Line, Name, Ports, Timestamp};

use crate::NOW;

/// Places that are claimed: four addresses, and four blocks of one more.
pub const PLACES: u8 = 8;
const WHOLE: u8 = 4;
/// All of a day lies within the quarter of an hour in which nothing is overdue yet.
const STEPS_MAX: usize = 32;
const PAUSE_MAX: u8 = 25;

/// What may happen next.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Move {
    /// Somebody comes.
    Connect {
        /// At which NAS.
        nas: u8,
        /// Who.
        subscriber: u8,
        /// And is given what.
        place: u8,
    },
    /// A session reports, and nothing is new.
    Report(u8),
    /// A session is given another address, or a further block.
    Given(u8, u8),
    /// A session gives its newest block back.
    Free(u8),
    /// A session ends.
    Leave(u8),
    /// A session ends, and nobody is told.
    Vanish(u8),
}

/// A session as its NAS sees it.
#[derive(Debug, Clone)]
struct Living {
    session: u32,
    nas: u8,
    subscriber: u8,
    places: Vec<u8>,
    since: i64,
}

/// What a NAS says at one moment.
#[derive(Debug, Clone)]
pub struct Word {
    /// Seconds after the beginning.
    pub second: i64,
    kind: Kind,
    by: Living,
    freed: Option<u8>,
}

/// What the NASes say in a day.
pub fn told(moves: &[(Move, u8)]) -> Vec<Word> {
    let mut living: Vec<Living> = Vec::new();
    let mut told = Vec::new();
    let (mut second, mut sessions) = (0, 0);
    for (step, pause) in moves.iter().take(STEPS_MAX) {
        second += 1 + i64::from(pause % PAUSE_MAX);
        let mut say = |kind, by: &Living, freed| told.push(Word { second, kind, by: by.clone(), freed });
        let of = |which: u8| (!living.is_empty()).then(|| usize::from(which) % living.len());
        match *step {
            Move::Connect { nas, subscriber, place } => {
                sessions += 1;
                let (nas, subscriber) = (nas % 2, subscriber % 5);
                let places = vec![place % PLACES];
                living.push(Living { session: sessions, nas, subscriber, places, since: second });
                say(Kind::Start, &living[living.len() - 1], None);
            }
            Move::Report(which) => {
                let Some(which) = of(which) else { continue };
                say(Kind::Interim, &living[which], None);
            }
            Move::Given(which, place) => {
                let Some(which) = of(which) else { continue };
                let places = &mut living[which].places;
                if places.iter().all(|place| *place < WHOLE) {
                    *places = vec![place % WHOLE];
                } else {
                    let block = WHOLE + place % (PLACES - WHOLE);
                    places.retain(|place| *place != block);
                    places.push(block);
                }
                say(Kind::Interim, &living[which], None);
            }
            Move::Free(which) => {
                let Some(which) = of(which) else { continue };
                let places = &mut living[which].places;
                let freed = if places.len() > 1 { places.pop() } else { None };
                say(Kind::Interim, &living[which], freed);
            }
            Move::Leave(which) => {
                let Some(which) = of(which) else { continue };
                say(Kind::Stop, &living.swap_remove(which), None);
            }
            Move::Vanish(which) => {
                let Some(which) = of(which) else { continue };
                living.swap_remove(which);
            }
        }
    }
    told
}

/// A moment of the day.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.millis() / 1000 + second)
}

/// The claim on a place, and the port that asks for it.
pub fn place(number: u8) -> (Claim, Option<u16>) {
    if number < WHOLE {
        let prefix = format!("192.0.2.{number}/32").parse().expect("a prefix");
        return (Claim::whole(prefix, ClaimSource::FramedAddress), None);
    }
    let first = 1024 * u16::from(number - WHOLE + 1);
    let ports = Ports::new(first, first + 1023).expect("in order");
    let prefix = "198.51.100.1/32".parse().expect("a prefix");
    (Claim { prefix, ports, source: ClaimSource::PortBlock }, Some(first + 7))
}

impl Word {
    /// As the machine is told.
    pub fn record(&self) -> Record {
        let Living { session, nas, subscriber, places, since } = &self.by;
        let id = Name::from(session.to_string().as_str());
        let nas = Name::from(["bras1", "bras2"][usize::from(*nas)]);
        let mut claims: Vec<_> = places.iter().map(|number| place(*number).0).collect();
        claims.sort();
        let freed = self.freed.map(|number| place(number).0);
        let time = u32::try_from(self.second - since).expect("forwards");
        Record {
            subscriber: Some(Name::from(format!("s{subscriber}").as_str())),
            claims,
            releases: freed.map(|block| Release::Only(block.prefix, block.ports)).into_iter().collect(),
            session_time: (self.kind != Kind::Start).then_some(time),
            line: Line { port_id: Some(id.clone()), ..Line::default() },
            ..Record::bare(self.kind, nas, id, at(self.second))
        }
    }
}

/// One session's claim on one place.
#[derive(Debug, Clone)]
struct Claimed {
    session: u32,
    subscriber: u8,
    place: u8,
    since: i64,
    heard: i64,
    lost: bool,
    /// Who was left when another one was gone is named when heard after this.
    doubted: i64,
}

/// Claims closer together than this may be copies of each other.
const COPY: i64 = 120;

/// The list.
#[derive(Debug, Default)]
pub struct Scan(Vec<Claimed>);

impl Scan {
    /// Takes a word.
    pub fn hear(&mut self, word: &Word) {
        let mine: Vec<u8> =
            self.0.iter().filter(|claim| claim.session == word.by.session).map(|claim| claim.place).collect();
        if word.kind == Kind::Stop {
            return mine.iter().for_each(|place| self.leave(word.by.session, *place));
        }
        for claim in self.0.iter_mut().filter(|claim| claim.session == word.by.session) {
            claim.heard = word.second;
        }
        let mut wanted = word.by.places.clone();
        wanted.sort_unstable();
        // A session has one address; another one replaces it. Blocks are kept until they are given back.
        let moved = mine.iter().filter(|place| **place < WHOLE && !wanted.contains(place));
        moved.chain(&word.freed).for_each(|place| self.leave(word.by.session, *place));
        wanted.iter().for_each(|place| self.claim(word, *place));
    }

    fn claim(&mut self, word: &Word, place: u8) {
        let (session, subscriber) = (word.by.session, word.by.subscriber);
        let mine = self.0.iter().position(|claim| claim.session == session && claim.place == place);
        let rivals = |claim: &&mut Claimed| claim.place == place && claim.session != session && !claim.lost;
        match mine.map(|mine| self.0[mine].lost) {
            Some(false) => {}
            // It lost the place and claims it again: beside another subscriber that is a conflict.
            Some(true) => {
                if self.0.iter_mut().filter(rivals).all(|rival| rival.subscriber == subscriber) {
                    self.0.iter_mut().filter(rivals).for_each(|rival| rival.lost = true);
                }
                let mine = self.0.iter_mut().filter(|claim| claim.session == session && claim.place == place);
                mine.for_each(|claim| (claim.lost, claim.since) = (false, word.second));
            }
            None => {
                self.0.iter_mut().filter(rivals).for_each(|rival| rival.lost = true);
                let now = word.second;
                self.0.push(Claimed {
                    session,
                    subscriber,
                    place,
                    since: now,
                    heard: now,
                    lost: false,
                    doubted: 0,
                });
            }
        }
    }

    /// One claim less. If a conflict is over with it, the one heard last of the sessions that are left is the owner. What the
    /// last owner leaves goes back to a session of the same subscriber that was heard since.
    fn leave(&mut self, session: u32, place: u8) {
        let is_gone = |claim: &Claimed| (claim.session, claim.place) == (session, place);
        let Some(gone) = self.0.iter().position(is_gone).map(|index| self.0.remove(index)) else { return };
        if gone.lost {
            return;
        }
        let holding = |claim: &&mut Claimed| claim.place == place && !claim.lost;
        let mut left: Vec<_> = self.0.iter_mut().filter(holding).collect();
        left.sort_by_key(|claim| claim.heard);
        match left.split_last_mut() {
            Some((newest, others)) if others.iter().all(|other| other.subscriber == newest.subscriber) => {
                others.iter_mut().for_each(|other| other.lost = true);
                if newest.subscriber != gone.subscriber && gone.since - newest.since >= COPY {
                    newest.doubted = newest.doubted.max(gone.since);
                }
            }
            Some(_) => {}
            None => {
                let own = |claim: &&mut Claimed| {
                    claim.place == place && claim.subscriber == gone.subscriber && claim.heard > gone.since
                };
                if let Some(heir) = self.0.iter_mut().filter(own).max_by_key(|claim| claim.heard) {
                    (heir.lost, heir.since, heir.doubted) = (false, gone.since, gone.doubted);
                }
            }
        }
    }

    /// Who owns each place: subscribers, sorted; empty for nobody.
    pub fn owners(&self) -> Vec<Vec<String>> {
        let of = |place| {
            let holding = self.0.iter().filter(|claim| claim.place == place && !claim.lost);
            let holding: Vec<_> = holding.collect();
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
        (0..PLACES).map(of).collect()
    }
}
