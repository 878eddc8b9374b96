//! Sends requests to NASes about the lines of those who are held back, and writes down what they say.
//!
//! What is to be asked follows from what is known each time anew (`watch::coa`); here it is written down before it is sent, so that a
//! daemon that is stopped in between asks again, or undoes it.
//!
//! Knows: sockets, the clock, the order of writing and sending. Must not know: who is to be asked about, or what an answer means.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::health::Health;
use super::inbox::Inbox;
use crate::clock;
use crate::config::{Coa, Config};
use crate::log::entry::Entry;
use crate::radius::dynamic::Answer;
use crate::radius::template::{self, Facts};
use crate::relay::line::{Said, Told};
use crate::session::reach::{Living, Sessions};
use crate::session::{Name, Timestamp};
use crate::views::Shared;
use crate::watch::coa::outbox::{Ignored, Letter, Outbox};
use crate::watch::coa::{self, Brake, Online, Patience};

/// How often it is looked whether something is to be asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long an entry may take to be durable before it is tried again.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// No answer is longer.
const DATAGRAM: usize = 4096;
/// At most one line says so in this time that the brake holds.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What NASes were asked and what they said.
#[derive(Debug, Default)]
pub struct Counters {
    said: Mutex<BTreeMap<(Name, &'static str, &'static str), u64>>,
    ignored: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    fn count(&self, nas: &Name, kind: &'static str, outcome: &'static str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let count = said.entry((nas.clone(), kind, outcome)).or_default();
        *count = count.saturating_add(1);
    }

    fn ignore(&self, why: Ignored) {
        let mut ignored = self.ignored.lock().unwrap_or_else(PoisonError::into_inner);
        let count = ignored.entry(why.word()).or_default();
        *count = count.saturating_add(1);
    }

    /// NAS, request and outcome, and how often.
    pub fn read(&self) -> Vec<((Name, &'static str, &'static str), u64)> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(|(what, count)| (what.clone(), *count)).collect()
    }

    /// Why datagrams were no answers, and how often.
    pub fn read_ignored(&self) -> Vec<(&'static str, u64)> {
        let ignored = self.ignored.lock().unwrap_or_else(PoisonError::into_inner);
        ignored.iter().map(|(why, count)| (*why, *count)).collect()
    }
}

/// Whoever asks the access side.
pub struct Asker {
    /// Reloaded as a whole.
    pub config: Arc<ArcSwap<Config>>,
    /// Standing, sessions, what was said.
    pub shared: Arc<Shared>,
    /// Where entries go.
    pub inbox: Arc<Inbox>,
    /// Whether they can be written.
    pub health: Arc<Health>,
    /// What was asked and said.
    pub counters: Arc<Counters>,
}

/// What is under way, and what is known of it alone.
struct Work {
    sockets: Sockets,
    outbox: Outbox<Told>,
    patience: Patience,
    brake: Brake,
    /// What was said and could not be written yet.
    unwritten: Vec<Told>,
    /// The answer about sessions that was looked at last.
    seen: u64,
    /// By which configuration NASes were asked last.
    config: Option<Coa>,
    braked: Timestamp,
    complained: Timestamp,
}

/// A socket for either kind of address, as far as there is one.
struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Sockets {
    async fn open() -> Sockets {
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await;
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await;
        Sockets { v4: v4.ok(), v6: v6.ok() }
    }

    async fn send(&self, to: SocketAddr, octets: &[u8]) -> io::Result<()> {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        let socket = socket.as_ref().ok_or(io::ErrorKind::AddrNotAvailable)?;
        socket.send_to(octets, to).await.map(|_| ())
    }

    async fn receive(socket: Option<&UdpSocket>, octets: &mut [u8]) -> (usize, SocketAddr) {
        loop {
            let Some(socket) = socket else { std::future::pending().await };
            // An ICMP error about what was sent before is as good as silence.
            if let Ok(received) = socket.recv_from(octets).await {
                return received;
            }
        }
    }
}

impl Asker {
    /// Asks until told to stop.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut seed = [0; 8];
        // Without one, repetitions are spread by the clock.
        if getrandom::fill(&mut seed).is_err() {
            seed = clock::now().millis().to_ne_bytes();
        }
        let mut work = Work {
            sockets: Sockets::open().await,
            outbox: Outbox::new(u64::from_ne_bytes(seed)),
            patience: Patience::default(),
            brake: Brake::default(),
            unwritten: Vec::new(),
            seen: 0,
            config: None,
            braked: Timestamp::EARLIEST,
            complained: Timestamp::EARLIEST,
        };
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut v4, mut v6) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
        loop {
            let due = work.outbox.next().map(|next| next.since(clock::now()));
            tokio::select! {
                _ = look.tick() => self.look(&mut work).await,
                () = tokio::time::sleep(due.unwrap_or(LOOK_EVERY)) => self.turn(&mut work).await,
                (length, from) = Sockets::receive(work.sockets.v4.as_ref(), &mut v4) => {
                    let octets = v4.get(..length).unwrap_or_default();
                    self.hear(&mut work, from, octets).await;
                }
                (length, from) = Sockets::receive(work.sockets.v6.as_ref(), &mut v6) => {
                    let octets = v6.get(..length).unwrap_or_default();
                    self.hear(&mut work, from, octets).await;
                }
                _ = stopping.changed() => return,
            }
        }
    }

    async fn look(&self, work: &mut Work) {
        let (config, now) = (self.config.load_full(), clock::now());
        if self.health.is_blind(now) {
            // What happens meanwhile is not known: who has an address may have it no more.
            for told in work.outbox.withdraw(|_| false) {
                self.withdrawn(work, told, now);
            }
            return;
        }
        self.write(work).await;
        if work.config.as_ref() != Some(&config.coa) {
            // Whoever has put a secret right need not wait.
            (work.config, work.patience) = (Some(config.coa.clone()), Patience::default());
        }
        let answer = self.shared.reach.answer();
        if answer.0 > work.seen {
            work.seen = answer.0;
            self.ask(work, &config.coa, &answer.1).await;
        }
        let mut subscribers = {
            let (standing, lines) = (self.shared.standing.load(), self.shared.lines.load());
            coa::subscribers(&config.coa, &standing, &lines, now)
        };
        // Whether what is under way is still to be sent must be known, too, though nobody is held back any more.
        subscribers.extend(work.outbox.under_way().map(|told| told.subscriber.clone()));
        subscribers.sort_unstable();
        subscribers.dedup();
        if !subscribers.is_empty() {
            self.shared.reach.ask(subscribers);
        }
    }

    /// Asks what must be asked, as far as there is room and the brake lets it go.
    async fn ask(&self, work: &mut Work, coa: &Coa, sessions: &Sessions) {
        let now = clock::now();
        let online = self.online(sessions, now);
        let there: HashSet<_> = online.iter().map(|one| &one.session).collect();
        work.patience.keep(|session| there.contains(session));
        let unwanted = {
            let is_wanted = self.is_wanted(coa, &online, now);
            work.outbox.withdraw(is_wanted)
        };
        for told in unwanted {
            self.withdrawn(work, told, now);
        }
        let busy: HashSet<_> =
            work.outbox.under_way().chain(&work.unwritten).map(|told| told.session.clone()).collect();
        let wishes = {
            let (standing, lines) = (self.shared.standing.load(), self.shared.lines.load());
            coa::wishes(coa, &standing, &lines, &online, now)
        };
        let mut letters = Vec::new();
        let mut taken: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for wish in wishes {
            let mut told = wish.told;
            let (session, to) = (&told.session, wish.reached.address);
            if busy.contains(session) || !work.patience.is_over(session, told.act, now) {
                continue;
            }
            let facts = Facts { reference: told.reference, ..wish.online.facts.clone() };
            let Ok(attributes) = template::fill(&wish.request.attributes, &facts) else {
                (told.said, told.words) = (Said::Unsayable, coa::words(Said::Unsayable));
                self.tell(&told);
                work.unwritten.push(told);
                continue;
            };
            if !coa.enforce {
                self.tell(&told);
                work.unwritten.push(told);
                continue;
            }
            let taken = taken.entry(to).or_default();
            if !work.outbox.has_room_for(to, taken.saturating_add(1)) {
                continue;
            }
            if !work.brake.lets_go(coa.most, now) {
                self.say_braked(work, &told, now);
                break;
            }
            *taken = taken.saturating_add(1);
            let letter = Letter {
                to,
                secret: wish.reached.secret.clone(),
                signed: wish.reached.signed,
                asking: coa::asking(told.means),
                attributes,
            };
            letters.push((letter, told, wish.is_told));
        }
        self.write(work).await;
        self.put(work, coa, letters).await;
        self.turn(work).await;
    }

    /// Writes down what is about to be asked, all of it at once, and only then has it sent.
    async fn put(&self, work: &mut Work, coa: &Coa, letters: Vec<(Letter, Told, bool)>) {
        let submit = |(letter, told, is_told): (Letter, Told, bool)| {
            let entry = || Entry::Coa(Box::new(told.clone()));
            let done = if is_told { None } else { Some(self.inbox.submit(entry())?) };
            Some((letter, told, done))
        };
        let submitted: Vec<_> = letters.into_iter().filter_map(submit).collect();
        for (letter, told, done) in submitted {
            if let Some(done) = done
                && !matches!(tokio::time::timeout(COMMIT_WITHIN, done).await, Ok(Ok(_)))
            {
                continue;
            }
            let now = clock::now();
            // Minutes may have gone by while nothing could be written, and somebody else may have the address by now.
            let online = self.online(&self.shared.reach.answer().1, now);
            if now.since(told.at) > COMMIT_WITHIN || !self.is_wanted(coa, &online, now)(&told) {
                continue;
            }
            // There was room; what does not fit a packet is found out here.
            if let Err(mut told) = work.outbox.put(&letter, told, now) {
                (told.said, told.words) = (Said::Unsayable, coa::words(Said::Unsayable));
                self.tell(&told);
                work.unwritten.push(told);
            }
        }
        self.write(work).await;
    }

    /// Sends what is due, and gives up what was sent often enough.
    async fn turn(&self, work: &mut Work) {
        let now = clock::now();
        let (letters, given_up) = work.outbox.turn(now);
        for (to, octets) in letters {
            if let Err(error) = work.sockets.send(to, &octets).await
                && now.since(work.complained) >= SAY_EVERY
            {
                work.complained = now;
                tracing::warn!(%to, %error, "a request to a NAS could not be sent; it is sent again");
            }
        }
        for told in given_up {
            self.learn(work, told, Said::Silence).await;
        }
    }

    async fn hear(&self, work: &mut Work, from: SocketAddr, octets: &[u8]) {
        match work.outbox.hear(from, octets) {
            Ok((told, Answer::Ack)) => self.learn(work, told, Said::Ack).await,
            Ok((told, Answer::Nak(cause))) => self.learn(work, told, Said::Nak(cause)).await,
            Err(why) => {
                self.counters.ignore(why);
                let now = clock::now();
                if now.since(work.complained) >= SAY_EVERY {
                    work.complained = now;
                    tracing::warn!(%from, why = why.word(), "what came is no answer to what a NAS was asked");
                }
            }
        }
    }

    /// Whether a request is still to be sent: its session lives and is certain, and what is ordered asks for it.
    fn is_wanted<'a>(
        &self,
        coa: &'a Coa,
        online: &'a [Online],
        now: Timestamp,
    ) -> impl Fn(&Told) -> bool + 'a {
        let standing = self.shared.standing.load_full();
        move |told| {
            let is_certain = online.iter().any(|one| one.is_certain && one.session == told.session);
            is_certain && coa::is_wanted(coa, &standing, told, now)
        }
    }

    /// What was sent may have been done.
    fn withdrawn(&self, work: &mut Work, told: Told, at: Timestamp) {
        let told = Told { at, said: Said::Silence, words: coa::words(Said::Silence), ..told };
        self.tell(&told);
        work.unwritten.push(told);
    }

    async fn learn(&self, work: &mut Work, told: Told, said: Said) {
        let at = clock::now();
        let told = Told { at, said, words: coa::words(said), ..told };
        work.patience.hear(&told.session, told.act, said, at);
        let was_silent = {
            let lines = self.shared.lines.load();
            let known = lines.about(&told.subscriber, &told.session);
            known.is_some_and(|line| {
                (line.told.said, line.told.act) == (said, told.act) && said == Said::Silence
            })
        };
        self.tell(&told);
        // That nothing is heard, for the tenth time, is no news.
        if !was_silent {
            work.unwritten.push(told);
            self.write(work).await;
        }
    }

    /// Writes down what was said, all of it at once: meanwhile nothing is heard. What can't be written waits.
    async fn write(&self, work: &mut Work) {
        let submit = |told: Told| (self.inbox.submit(Entry::Coa(Box::new(told.clone()))), told);
        let submitted: Vec<_> = std::mem::take(&mut work.unwritten).into_iter().map(submit).collect();
        for (done, told) in submitted {
            let written = match done {
                Some(done) => matches!(tokio::time::timeout(COMMIT_WITHIN, done).await, Ok(Ok(_))),
                None => false,
            };
            if !written {
                work.unwritten.push(told);
            }
        }
    }

    fn tell(&self, told: &Told) {
        self.counters.count(&told.session.nas, told.means.word(), told.said.word());
        let Told { subscriber, reference, .. } = told;
        match told.said {
            Said::Ack | Said::Observed => tracing::info!(%subscriber, reference, "{told}"),
            _ => tracing::warn!(%subscriber, reference, "{told}"),
        }
    }

    fn say_braked(&self, work: &mut Work, told: &Told, now: Timestamp) {
        self.counters.count(&told.session.nas, told.means.word(), "braked");
        if now.since(work.braked) >= SAY_EVERY {
            work.braked = now;
            tracing::error!(
                "coa.max-requests is reached: the others wait. Is that what was meant? mode = \"observe\" stops it"
            );
        }
    }

    fn online(&self, sessions: &Sessions, now: Timestamp) -> Vec<Online> {
        let seconds = u32::try_from(now.millis() / 1000).unwrap_or_default();
        let of = |subscriber: &Name, living: &Living| {
            let (session, line) = (&living.session, living.session.line());
            Online {
                session: session.key(),
                subscriber: subscriber.clone(),
                is_certain: living.is_certain(&self.shared.map, now),
                facts: Facts {
                    user_name: session.user_name(),
                    subscriber: Some(subscriber.clone()),
                    session: Some(session.id()),
                    nas_identifier: living.nas_identifier.clone(),
                    port_id: line.port_id,
                    calling_station: line.calling_station,
                    address: living.address(),
                    ipv6_address: living.ipv6_address(),
                    ipv6_prefix: living.ipv6_prefix(),
                    delegated_prefix: living.delegated_prefix(),
                    reference: 0,
                    now: seconds,
                },
            }
        };
        let each = sessions.iter().flat_map(|(name, living)| living.iter().map(move |one| (name, one)));
        each.map(|(name, one)| of(name, one)).collect()
    }
}
