//! A day as it is lived: NASes that send until they are answered, a network that loses, doubles and delays, and receivers
//! that crash.
//!
//! Knows: time, and what is under way. Must not know: what is right; that is asked after every step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use relaywarden::clock::Host;
use relaywarden::session::Timestamp;
use relaywarden::session::event::{Kind, Rules};

use crate::dialect::{Delay, Patience};
use crate::dice::Dice;
use crate::plan::{Day, Feed, MINUTE, Mishap, SECOND};
use crate::receiver::{ALIVE_EVERY, Arrived, Batch, Receiver};
use crate::speech::{self, BEGIN};
use crate::truth::Moment;

/// How long a NAS leaves a server alone that did not answer.
const DEAD_TIME: Moment = 10 * MINUTE;
/// A host whose clock is further behind its own log than this does not start.
const CLOCK_BEHIND: Moment = 55 * MINUTE;

/// Something that is going to happen.
#[derive(Debug, Clone)]
enum Due {
    /// A NAS says something for the first time.
    Say(usize),
    Try {
        errand: usize,
        tried: u32,
    },
    Arrive {
        receiver: usize,
        errand: usize,
        octets: Rc<[u8]>,
        peer: SocketAddr,
    },
    Round {
        receiver: usize,
    },
    Answer {
        errand: usize,
    },
    Mishap(usize),
    /// A daemon starts.
    Start {
        receiver: usize,
    },
    /// A stall is over.
    Turn {
        receiver: usize,
        since: Timestamp,
    },
    Look,
}

/// One record on its way to one receiver.
#[derive(Debug)]
struct Errand {
    said: usize,
    receiver: usize,
    /// Tries at this receiver.
    tries: u32,
    /// Tries in all.
    total: u32,
    switched: bool,
    identifier: u8,
    over: bool,
}

/// One receiver and what the network knows of it.
pub(crate) struct Post {
    pub(crate) daemon: Receiver,
    /// How far its host's clock is from the true one.
    offset: Moment,
    cut_until: Moment,
    stalled_until: Moment,
    round_at: Option<Moment>,
}

impl Post {
    /// What its host's clocks show; nobody sets the one that counts from the beginning.
    pub(crate) fn host(&self, now: Moment) -> Host {
        let wall = Timestamp::from_millis(BEGIN * 1000 + now + self.offset);
        Host { wall, elapsed: Duration::from_millis(u64::try_from(now).expect("the day has begun")) }
    }
}

/// What is looked at after every step.
pub(crate) enum Step<'a> {
    /// The engine went round: what was made durable, and what is acknowledged now.
    Round { batch: Option<&'a Batch>, said: &'a [usize] },
    /// A daemon started: what it had read before it went on, the views that were killed, and its first entries.
    Started { recovered: &'a [u8], batch: &'a Batch },
    /// Time went on.
    Looked,
    /// A machine is put through its own image.
    Rested,
}

/// Who looks. An error ends the day.
pub(crate) trait Witness {
    fn see(
        &mut self,
        day: &Day,
        post: &mut Post,
        receiver: usize,
        now: Moment,
        step: &Step<'_>,
    ) -> Result<(), String>;
    fn killed(&mut self, _receiver: usize, _views: relaywarden::views::Views) {}
}

/// How a day went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) step: usize,
    pub(crate) at: Moment,
    pub(crate) receiver: usize,
    pub(crate) what: String,
}

pub(crate) struct World<'a> {
    day: &'a Day,
    now: Moment,
    queue: BinaryHeap<Reverse<(Moment, usize)>>,
    dues: Vec<Option<Due>>,
    errands: Vec<Errand>,
    /// Records that wait for the one before them, by NAS and what they belong to.
    lanes: BTreeMap<(usize, String), VecDeque<usize>>,
    identifiers: Vec<u8>,
    dead_until: Vec<[Moment; 2]>,
    pub(crate) posts: Vec<Post>,
    steps: usize,
    dice: Dice,
}

impl<'a> World<'a> {
    /// A world before dawn, that is looked at so many times.
    pub(crate) fn new(day: &'a Day, rules: Rules, looks: i64) -> World<'a> {
        let post = |_| Post {
            daemon: Receiver::new(day, rules),
            offset: 0,
            cut_until: 0,
            stalled_until: 0,
            round_at: None,
        };
        let mut world = World {
            day,
            now: 0,
            queue: BinaryHeap::new(),
            dues: Vec::new(),
            errands: Vec::new(),
            lanes: BTreeMap::new(),
            identifiers: vec![0; day.nases.len()],
            dead_until: vec![[0; 2]; day.nases.len()],
            posts: (0..day.receivers).map(post).collect(),
            steps: 0,
            dice: Dice::new(day.seed, 4),
        };
        for receiver in 0..day.receivers {
            world.at(0, Due::Start { receiver });
        }
        for (index, said) in day.said.iter().enumerate() {
            world.at(said.at.max(SECOND), Due::Say(index));
        }
        for (index, incident) in day.incidents.iter().enumerate() {
            world.at(incident.at, Due::Mishap(index));
        }
        let mut looks_at: Vec<Moment> = (0..looks).map(|_| world.dice.within(MINUTE, day.end)).collect();
        looks_at.sort_unstable();
        looks_at.into_iter().for_each(|at| world.at(at, Due::Look));
        world
    }

    /// Lives the whole day.
    pub(crate) fn live(&mut self, witness: &mut dyn Witness) -> Result<usize, Fault> {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > self.day.end {
                break;
            }
            self.now = at;
            let due = self.dues[number].take().expect("each happens once");
            let receiver = match &due {
                Due::Round { receiver } | Due::Start { receiver } | Due::Turn { receiver, .. } => *receiver,
                Due::Mishap(index) => self.day.incidents[*index].receiver,
                _ => 0,
            };
            if let Err(what) = self.happen(due, witness) {
                return Err(Fault { step: self.steps, at, receiver, what });
            }
        }
        Ok(self.steps)
    }

    fn at(&mut self, at: Moment, due: Due) {
        self.queue.push(Reverse((at, self.dues.len())));
        self.dues.push(Some(due));
    }

    fn happen(&mut self, due: Due, witness: &mut dyn Witness) -> Result<(), String> {
        match due {
            Due::Say(said) => self.say(said),
            Due::Try { errand, tried } => {
                if self.errands[errand].total == tried {
                    self.attempt(errand);
                }
            }
            Due::Arrive { receiver, errand, octets, peer } => self.arrive(receiver, errand, &octets, peer),
            Due::Answer { errand } => self.finish(errand),
            Due::Round { receiver } => return self.round(receiver, witness),
            Due::Mishap(index) => return self.befall(index, witness),
            Due::Start { receiver } => return self.start(receiver, witness),
            Due::Turn { receiver, since } => {
                let post = &mut self.posts[receiver];
                if post.daemon.is_up() && post.stalled_until <= self.now {
                    let host = post.host(self.now);
                    post.daemon.turned(since, host);
                    self.round_soon(receiver, 0);
                }
            }
            Due::Look => {
                for receiver in 0..self.posts.len() {
                    if self.posts[receiver].daemon.is_up() {
                        self.look(receiver, witness, &Step::Looked)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, receiver: usize, witness: &mut dyn Witness, step: &Step<'_>) -> Result<(), String> {
        self.steps += 1;
        witness.see(self.day, &mut self.posts[receiver], receiver, self.now, step)
    }

    fn say(&mut self, said: usize) {
        let nas = self.day.said[said].nas;
        let receivers = match self.day.nases[nas].feed {
            Feed::Only(receiver) => vec![receiver],
            Feed::Both => vec![0, 1],
            Feed::Failover => vec![usize::from(self.dead_until[nas][0] > self.now)],
        };
        for receiver in receivers {
            let errand = self.errands.len();
            self.errands.push(Errand {
                said,
                receiver,
                tries: 0,
                total: 0,
                switched: false,
                identifier: 0,
                over: false,
            });
            match self.lane(errand) {
                Some(lane) => {
                    let lane = self.lanes.entry(lane).or_default();
                    lane.push_back(errand);
                    if lane.len() == 1 {
                        self.attempt(errand);
                    }
                }
                None => self.attempt(errand),
            }
        }
    }

    /// The queue of a record that has to wait for the one before it.
    fn lane(&self, errand: usize) -> Option<(usize, String)> {
        let Errand { said, receiver, .. } = &self.errands[errand];
        let said = &self.day.said[*said];
        let dialect = &self.day.nases[said.nas].dialect;
        if dialect.detail {
            return Some((said.nas, format!("detail {receiver}")));
        }
        dialect.in_turn.then(|| (said.nas, format!("{} {receiver}", said.session)))
    }

    fn attempt(&mut self, number: usize) {
        let errand = &self.errands[number];
        let said = &self.day.said[errand.said];
        let nas = &self.day.nases[said.nas];
        if errand.over {
            return;
        }
        if nas.dialect.detail
            && let Some((_, until)) =
                self.day.held_back.iter().find(|(from, to)| *from <= self.now && self.now < *to)
        {
            return self.at(*until, Due::Try { errand: number, tried: errand.total });
        }
        // What a NAS has not told when it goes down it never tells; nor does one that comes late to its turn.
        let rebooted = nas.boots.iter().any(|(down, up)| said.at < *up && *down < self.now && down < up);
        let late = nas.dialect.in_turn && errand.total == 0 && self.now - said.at > 30 * SECOND;
        if !nas.dialect.detail && (rebooted && said.kind != Kind::On || late) {
            return self.finish(number);
        }
        let tries = match nas.dialect.patience {
            _ if nas.dialect.detail => u32::MAX,
            Patience::Tries(tries) => tries,
            Patience::Endless => u32::MAX,
        };
        if nas.feed == Feed::Failover && errand.tries >= tries.min(3) && !errand.switched {
            self.dead_until[said.nas][errand.receiver] = self.now + DEAD_TIME;
            let errand = &mut self.errands[number];
            (errand.receiver, errand.tries, errand.switched) = (1 - errand.receiver, 0, true);
        } else if errand.tries >= tries {
            return self.finish(number);
        }
        self.send(number);
    }

    fn send(&mut self, number: usize) {
        let errand = &self.errands[number];
        let said = &self.day.said[errand.said];
        let nas = &self.day.nases[said.nas];
        let counted = nas.dialect.delay == Delay::Counted || nas.dialect.detail;
        let (receiver, total, tries) = (errand.receiver, errand.total, errand.tries);
        let identifier = if total == 0 || counted || nas.anew {
            self.identifiers[said.nas] = self.identifiers[said.nas].wrapping_add(1);
            self.identifiers[said.nas]
        } else {
            errand.identifier
        };
        let octets: Rc<[u8]> = speech::octets(self.day, said, identifier, self.now).into();
        let peer = SocketAddr::new(nas.source, 1646);
        let mut dice = self.fate(number, total);
        let weather = self.day.weather;
        for copy in 0..if dice.chance(weather.doubled) { 2 } else { 1 } {
            if dice.chance(weather.lost) {
                continue;
            }
            let under_way =
                if dice.chance(weather.late) { dice.within(200, 8000) } else { dice.within(1, 40) };
            let at = self.now + under_way + copy;
            self.at(at, Due::Arrive { receiver, errand: number, octets: Rc::clone(&octets), peer });
        }
        let errand = &mut self.errands[number];
        (errand.tries, errand.total, errand.identifier) = (tries + 1, total + 1, identifier);
        // One that never gives up tries less often in time.
        let pause = if tries >= 3 && nas.dialect.patience == Patience::Endless {
            dice.within(30, 90) * SECOND
        } else {
            nas.timeout
        };
        self.at(self.now + pause, Due::Try { errand: number, tried: total + 1 });
    }

    /// The dice of one try: its fate does not depend on what else happens.
    fn fate(&self, errand: usize, total: u32) -> Dice {
        let Errand { said, receiver, .. } = &self.errands[errand];
        let salt = self.day.said[*said]
            .salt
            .wrapping_mul(1009)
            .wrapping_add(u64::from(total) * 2 + *receiver as u64);
        Dice::new(self.day.seed.wrapping_add(77), salt)
    }

    fn finish(&mut self, number: usize) {
        if std::mem::replace(&mut self.errands[number].over, true) {
            return;
        }
        let Some(lane) = self.lane(number) else { return };
        let lane = self.lanes.get_mut(&lane).expect("it is in it");
        lane.retain(|errand| *errand != number);
        if let Some(next) = lane.front().copied() {
            self.attempt(next);
        }
    }

    fn arrive(&mut self, receiver: usize, errand: usize, octets: &[u8], peer: SocketAddr) {
        let post = &mut self.posts[receiver];
        if self.now < post.cut_until {
            return;
        }
        let host = post.host(self.now);
        match post.daemon.arrive(octets, peer, errand, host) {
            Arrived::Dropped => {}
            Arrived::Again => self.answer(errand),
            Arrived::Taken => {
                // Mostly the disk is quick.
                let takes =
                    if self.dice.chance(500) { self.dice.within(20, 900) } else { self.dice.within(0, 20) };
                self.round_soon(receiver, takes);
            }
        }
    }

    fn round_soon(&mut self, receiver: usize, takes: Moment) {
        let post = &mut self.posts[receiver];
        let at = (self.now + takes).max(post.stalled_until);
        if post.round_at.is_none_or(|planned| at < planned || planned < self.now) {
            post.round_at = Some(at);
            self.at(at, Due::Round { receiver });
        }
    }

    fn answer(&mut self, errand: usize) {
        let mut dice = self.fate(errand, 1000 + self.errands[errand].total);
        if !dice.chance(self.day.weather.lost) {
            self.at(self.now + dice.within(1, 40), Due::Answer { errand });
        }
    }

    fn round(&mut self, receiver: usize, witness: &mut dyn Witness) -> Result<(), String> {
        let now = self.now;
        let post = &mut self.posts[receiver];
        if post.round_at != Some(now) || !post.daemon.is_up() || now < post.stalled_until {
            return Ok(());
        }
        post.round_at = None;
        let host = post.host(now);
        let (acknowledged, batch) = post.daemon.round(host, false);
        if let Some(due) = post.daemon.refreshes_due() {
            let wait = due.since(post.daemon.clock(host)).as_millis();
            let wait = i64::try_from(wait).expect("soon");
            self.round_soon(receiver, wait);
        }
        self.acknowledge(receiver, &acknowledged, batch.as_ref(), witness)
    }

    fn acknowledge(
        &mut self,
        receiver: usize,
        errands: &[usize],
        batch: Option<&Batch>,
        witness: &mut dyn Witness,
    ) -> Result<(), String> {
        let said: Vec<usize> = errands.iter().map(|errand| self.errands[*errand].said).collect();
        errands.iter().for_each(|errand| self.answer(*errand));
        if batch.is_none() && said.is_empty() {
            return Ok(());
        }
        self.look(receiver, witness, &Step::Round { batch, said: &said })
    }

    fn start(&mut self, receiver: usize, witness: &mut dyn Witness) -> Result<(), String> {
        let post = &mut self.posts[receiver];
        if post.daemon.is_up() {
            return Ok(());
        }
        let host = post.host(self.now);
        let (batch, recovered) = post.daemon.start(host);
        post.round_at = None;
        post.stalled_until = 0;
        self.look(receiver, witness, &Step::Started { recovered: &recovered, batch: &batch })
    }

    fn befall(&mut self, index: usize, witness: &mut dyn Witness) -> Result<(), String> {
        let incident = self.day.incidents[index];
        let (receiver, now) = (incident.receiver, self.now);
        let post = &mut self.posts[receiver];
        if let Mishap::Cut(pause) = incident.what {
            post.cut_until = post.cut_until.max(now + pause);
            return Ok(());
        }
        if !post.daemon.is_up() {
            return Ok(());
        }
        let host = post.host(now);
        match incident.what {
            Mishap::Cut(_) => {}
            Mishap::Crash(pause) => {
                // While nothing else was written, an entry said every few seconds that we listened.
                let ago = self.dice.within(0, ALIVE_EVERY - 1);
                let post = &mut self.posts[receiver];
                let last = post.daemon.log().last().expect("the first entries").at;
                let alive = post.host(now - ago);
                let silent = post.daemon.clock(alive).since(last);
                if now >= post.stalled_until && silent.as_millis() > (ALIVE_EVERY - ago).unsigned_abs().into()
                {
                    let batch = post.daemon.alive(alive);
                    self.acknowledge(receiver, &[], Some(&batch), witness)?;
                }
                let views = self.posts[receiver].daemon.kill().expect("it was up");
                witness.killed(receiver, views);
                self.at(now + pause, Due::Start { receiver });
            }
            Mishap::Restart(pause) => {
                let (acknowledged, batch) = post.daemon.round(host, true);
                self.acknowledge(receiver, &acknowledged, batch.as_ref(), witness)?;
                let post = &mut self.posts[receiver];
                let batch = post.daemon.alive(host);
                post.daemon.snapshot();
                self.acknowledge(receiver, &[], Some(&batch), witness)?;
                let views = self.posts[receiver].daemon.kill().expect("it was up");
                witness.killed(receiver, views);
                self.at(now + pause, Due::Start { receiver });
            }
            Mishap::Stall(pause) => {
                let since = post.daemon.clock(host);
                post.stalled_until = now + pause;
                self.at(now + pause, Due::Turn { receiver, since });
            }
            Mishap::Step(by) => {
                let since = post.daemon.clock(host);
                if host.wall.millis() + by + CLOCK_BEHIND > since.millis() {
                    post.offset += by;
                    self.at(now, Due::Turn { receiver, since });
                }
            }
            Mishap::Snapshot => post.daemon.snapshot(),
            Mishap::Rest => return self.look(receiver, witness, &Step::Rested),
        }
        Ok(())
    }
}
