//! An hour in the life of some NASes, made up: who really had which address, and what a disordered network delivered of it.
//!
//! Knows: subscribers, sessions, and how records get lost. Must not know: who is told, or what they make of it.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

/// So many NASes; two of them share a pool of addresses.
pub(crate) const NASES: usize = 16;
/// Seconds between interim updates.
const INTERVAL: i64 = 300;
/// A NAS sends again after so many seconds, so many times in all.
const AGAIN_AFTER: i64 = 3;
const TRIES: i64 = 3;

/// How likely things go wrong, per thousand.
const DATAGRAM_LOST: u64 = 20;
const RECORD_LOST: u64 = 5;
const DELIVERED_TWICE: u64 = 10;
const HELD_BACK: u64 = 5;

/// One delivery of one record.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// Second of the hour at which it arrives.
    pub(crate) arrival: i64,
    /// Which NAS sends it.
    pub(crate) nas: usize,
    /// Its attributes as `Name = value` lines, without times.
    pub(crate) attributes: String,
    /// Second of the hour at which it happened.
    pub(crate) event: i64,
    /// Acct-Delay-Time.
    pub(crate) delay: i64,
}

/// Who had an address from when to when.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) subscriber: String,
    pub(crate) from: i64,
    /// `i64::MAX` while it lasts.
    pub(crate) until: i64,
    /// Whether the end was not told within the hour: the record of it was lost or is on its way, or the NAS just forgot the
    /// session.
    pub(crate) end_untold: bool,
}

/// The hour: deliveries in order of arrival, and the truth.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) truth: BTreeMap<Ipv4Addr, Vec<Holding>>,
}

/// Splitmix64: the same hour for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    fn happens(&mut self, per_thousand: u64) -> bool {
        self.below(1000) < per_thousand
    }

    /// Around a mean, from nearly nothing to twice as much.
    fn around(&mut self, mean: u64) -> i64 {
        i64::try_from(1 + self.below(2 * mean)).unwrap_or(1)
    }
}

struct Life {
    subscriber: usize,
    nas: usize,
    id: u64,
    address: Ipv4Addr,
    began: i64,
    ends: i64,
    next_interim: i64,
}

/// Makes about so many records within so many seconds.
pub(crate) fn make(records: usize, seconds: i64, seed: u64) -> Capture {
    // A subscriber who is online all the time sends an update in five minutes, and two records a session.
    let per_subscriber = usize::try_from(seconds / 360).unwrap_or(1).max(1);
    let mut world = World {
        dice: Dice(seed),
        capture: Capture::default(),
        seconds,
        free: (0..NASES / 2).map(pool).collect(),
        counters: vec![1; NASES],
        lives: Vec::new(),
    };
    let subscribers = records / per_subscriber;
    let mut rests: Vec<(i64, usize)> = (0..subscribers)
        .map(|subscriber| (world.dice.around(seconds.unsigned_abs() / 8), subscriber))
        .collect();
    let reboots = [(seconds / 3, 3), (seconds * 2 / 3, 8)];
    for now in 0..seconds {
        for &(at, nas) in &reboots {
            if at == now {
                world.reboot(nas, now, &mut rests);
            }
        }
        world.live(now, &mut rests);
        let due: Vec<usize> = rests.iter().filter(|(at, _)| *at == now).map(|(_, one)| *one).collect();
        rests.retain(|(at, _)| *at != now);
        due.into_iter().for_each(|subscriber| world.begin(subscriber, now, &mut rests));
    }
    let mut capture = world.capture;
    capture.deliveries.retain(|delivery| delivery.arrival < seconds);
    capture.deliveries.sort_by_key(|delivery| delivery.arrival);
    capture
}

fn pool(number: usize) -> VecDeque<Ipv4Addr> {
    let first = 0x6440_0000_u32 | (u32::try_from(number).unwrap_or(0) << 16);
    (1..8000).map(|host| Ipv4Addr::from(first + host)).collect()
}

struct World {
    dice: Dice,
    capture: Capture,
    seconds: i64,
    free: Vec<VecDeque<Ipv4Addr>>,
    /// The next Acct-Session-Id of each NAS; a reboot begins it anew.
    counters: Vec<u64>,
    lives: Vec<Life>,
}

impl World {
    fn begin(&mut self, subscriber: usize, now: i64, rests: &mut Vec<(i64, usize)>) {
        let nas = usize::try_from(self.dice.below(NASES as u64)).unwrap_or(0);
        let Some(address) = self.free[nas / 2].pop_front() else {
            rests.push((now + 60, subscriber));
            return;
        };
        let id = self.counters[nas];
        self.counters[nas] += 1;
        let ends = now + 20 + self.dice.around(1500);
        let life = Life { subscriber, nas, id, address, began: now, ends, next_interim: now + INTERVAL };
        self.tell(&life, "Start", now);
        let holding = Holding { subscriber: name(subscriber), from: now, until: i64::MAX, end_untold: false };
        self.capture.truth.entry(address).or_default().push(holding);
        self.lives.push(life);
    }

    fn live(&mut self, now: i64, rests: &mut Vec<(i64, usize)>) {
        let mut lives = std::mem::take(&mut self.lives);
        lives.retain_mut(|life| {
            if life.ends == now {
                let told = self.tell(life, "Stop", now);
                self.end(life, now, !told);
                rests.push((now + 5 + self.dice.around(300), life.subscriber));
                return false;
            }
            if life.next_interim == now {
                self.tell(life, "Interim-Update", now);
                life.next_interim += INTERVAL;
            }
            true
        });
        self.lives.append(&mut lives);
    }

    fn end(&mut self, life: &Life, now: i64, untold: bool) {
        if let Some(last) = self.capture.truth.get_mut(&life.address).and_then(|holdings| holdings.last_mut())
        {
            (last.until, last.end_untold) = (now, untold);
        }
        self.free[life.nas / 2].push_back(life.address);
    }

    /// All sessions of a NAS are gone without a word, its ids begin anew, and it says that it is back.
    fn reboot(&mut self, nas: usize, now: i64, rests: &mut Vec<(i64, usize)>) {
        let (gone, stay): (Vec<Life>, Vec<Life>) =
            std::mem::take(&mut self.lives).into_iter().partition(|life| life.nas == nas);
        self.lives = stay;
        for life in gone {
            self.end(&life, now, true);
            rests.push((now + 60 + self.dice.around(120), life.subscriber));
        }
        self.counters[nas] = 1;
        let attributes = format!(
            "Acct-Status-Type = Accounting-On\nAcct-Session-Id = \"{nas}\"\nNAS-Identifier = \"bras{nas}\"\n"
        );
        self.deliver(nas, &attributes, now + 30);
    }

    /// Whether any delivery of the record arrives in time.
    fn tell(&mut self, life: &Life, status: &str, now: i64) -> bool {
        let Life { nas, id, address, .. } = life;
        let time = match status {
            "Start" => String::new(),
            _ => format!("Acct-Session-Time = {}\n", now - life.began),
        };
        let attributes = format!(
            "Acct-Status-Type = {status}\nAcct-Session-Id = \"{id:08x}\"\nUser-Name = \"{user}\"\n\
             NAS-Identifier = \"bras{nas}\"\nNAS-IP-Address = 127.0.0.{host}\nNAS-Port = {port}\n\
             NAS-Port-Id = \"eth0/{port}\"\nFramed-IP-Address = {address}\nAcct-Interim-Interval = {INTERVAL}\n{time}",
            user = name(life.subscriber),
            host = nas + 2,
            port = life.subscriber,
        );
        self.deliver(life.nas, &attributes, now)
    }

    fn deliver(&mut self, nas: usize, attributes: &str, event: i64) -> bool {
        if self.dice.happens(RECORD_LOST) {
            return false;
        }
        let held_back = if self.dice.happens(HELD_BACK) { 60 + self.dice.around(400) } else { 0 };
        let mut told = false;
        for attempt in 0..TRIES {
            if self.dice.happens(DATAGRAM_LOST) {
                continue;
            }
            let delay = held_back + attempt * AGAIN_AFTER;
            let attributes = attributes.to_owned();
            self.capture.deliveries.push(Delivery { arrival: event + delay, nas, attributes, event, delay });
            told |= event + delay < self.seconds;
            // Its answer was lost: it comes once more, with another delay.
            if !self.dice.happens(DELIVERED_TWICE) {
                break;
            }
        }
        told
    }
}

fn name(subscriber: usize) -> String {
    format!("subscriber{subscriber}")
}
