//! A daemon without its sockets and files: datagrams to records, records to entries, entries to views, as the rooms of
//! `server` do it (`radius/gate.rs`, `engine.rs`, `recovery.rs`).
//!
//! Knows: what is durable and what is lost in a crash. Must not know: the truth.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use relaywarden::clock::{Clock, Host};
use relaywarden::config::{AttributePath, Client, Identity, NasIdentity, Secret};
use relaywarden::log::entry::Entry;
use relaywarden::radius::accounting::{self, Rules};
use relaywarden::radius::authenticator;
use relaywarden::radius::duplicate::{Admission, Key, Memory};
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::session::event::{Applied, Event, Record, Refresh};
use relaywarden::session::identity::Canonical;
use relaywarden::session::machine::GAP_BRIDGED;
use relaywarden::session::{Name, Timestamp};
use relaywarden::views::{Shared, Views};

use crate::plan::Day;
use crate::speech::SECRET;
use crate::truth::Moment;

/// As `engine.rs` has it: refreshes are logged at the latest after half of five seconds.
const REFRESHES_WITHIN: Duration = Duration::from_millis(2500);
/// While nothing else is logged, an entry says that often that we listen.
pub(crate) const ALIVE_EVERY: Moment = 5000;

/// While our time is further ahead of the host's clock, an entry says so as often.
const AHEAD: Duration = Duration::from_secs(2);

/// What becomes of a datagram at the gate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Answered before; the same answer again.
    Again,
    /// The engine has it.
    Taken,
    /// Silence.
    Dropped,
}

/// A record in the inbox, and who waits for its acknowledgement.
struct Input {
    record: Box<Record>,
    key: Key,
    errand: usize,
}

/// What was made durable together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) entries: Vec<Entry>,
}

/// What lives only as long as the process.
struct Process {
    views: Views,
    shared: Arc<Shared>,
    memory: Memory,
    clocks: NasClocks,
    inbox: Vec<Input>,
    refreshes: Vec<Refresh>,
    refreshes_since: Option<Timestamp>,
    clock: Clock,
    last: Timestamp,
    /// When it was told last that we listen.
    alive: Timestamp,
    deaf_since: Option<Timestamp>,
}

/// A daemon and its disk.
pub(crate) struct Receiver {
    clients: Vec<Client>,
    identity: Identity,
    applied: Applied,
    process: Option<Process>,
    log: Vec<Batch>,
    snapshots: Vec<(u64, Timestamp, Vec<u8>)>,
}

impl Receiver {
    pub(crate) fn new(day: &Day, rules: relaywarden::session::event::Rules) -> Receiver {
        let mut clients: Vec<Client> = Vec::new();
        for nas in &day.nases {
            let pools = nas.pools.iter().flat_map(|pool| &day.pools[*pool].places).map(|place| place.prefix);
            match clients.iter_mut().find(|client| client.name == Name::from(nas.client.as_str())) {
                Some(client) => client.may_assign.extend(pools),
                None => {
                    let name = Name::from(nas.client.as_str());
                    let mut client = Client::new(name, nas.source.into(), Secret::new(SECRET));
                    client.may_assign = pools.collect();
                    client.nas =
                        if nas.dialect.detail { NasIdentity::Attributes } else { NasIdentity::Source };
                    client.stop_start = nas.dialect.stop_start;
                    client.group = nas.group.as_deref().map(Name::from);
                    clients.push(client);
                }
            }
        }
        for client in &mut clients {
            client.may_assign.sort();
            client.may_assign.dedup();
        }
        let pools = clients.iter().map(|client| (client.name.clone(), client.may_assign.clone())).collect();
        let canonical = Canonical { lowercase: true, strip_realm: false, fold_mac: false };
        let identity = Identity {
            chain: vec![AttributePath::standard(1)],
            canonical,
            shared_names: Vec::new(),
            keep: Vec::new(),
        };
        let applied = Applied { rules, pools, crowd: 5, ..Applied::default() };
        Receiver { clients, identity, applied, process: None, log: Vec::new(), snapshots: Vec::new() }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn log(&self) -> &[Batch] {
        &self.log
    }

    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.process.as_ref().map(|process| process.shared.as_ref())
    }

    pub(crate) fn views(&self) -> Option<&Views> {
        self.process.as_ref().map(|process| &process.views)
    }

    /// The present moment as the process sees it.
    pub(crate) fn clock(&mut self, host: Host) -> Timestamp {
        let process = self.process.as_mut().expect("only a process has a clock");
        let look = process.clock.look(host);
        process.clocks.follow(look.lead, look.now);
        look.now
    }

    /// A datagram at the gate.
    pub(crate) fn arrive(&mut self, octets: &[u8], peer: SocketAddr, errand: usize, host: Host) -> Arrived {
        if !self.is_up() {
            return Arrived::Dropped;
        }
        let now = self.clock(host);
        let Some(process) = &mut self.process else { return Arrived::Dropped };
        let packet = Packet::decode(octets).expect("well formed");
        let client =
            self.clients.iter().find(|client| client.address.contains(&peer.ip())).expect("a client");
        assert!(authenticator::is_authentic(&packet, client.secret.octets()));
        let key = Key::new(peer, &packet);
        match process.memory.admit(key, now) {
            Admission::New => {}
            Admission::InFlight | Admission::Full => return Arrived::Dropped,
            Admission::Answered(_) => return Arrived::Again,
        }
        let source: IpAddr = peer.ip();
        let rules = Rules { client, source, identity: &self.identity, never: &[] };
        let record = accounting::read(&packet, &rules, now, &mut process.clocks).expect("a record");
        process.inbox.push(Input { record, key, errand });
        Arrived::Taken
    }

    /// Whether refreshes wait to be logged, and until when.
    pub(crate) fn refreshes_due(&self) -> Option<Timestamp> {
        self.process.as_ref()?.refreshes_since.map(|since| since.plus(REFRESHES_WITHIN))
    }

    /// The engine goes round once. Whose records are acknowledged by it, and what was made durable.
    pub(crate) fn round(&mut self, host: Host, flush: bool) -> (Vec<usize>, Option<Batch>) {
        let now = self.clock(host);
        let process = self.process.as_mut().expect("a process");
        process.let_pass(now);
        let mut entries = Vec::new();
        if let Some(since) = process.deaf_since.take() {
            entries.push(Entry::Session(Event::Resumed { since: Some(since) }));
        }
        let mut touched = HashSet::new();
        let inbox = std::mem::take(&mut process.inbox);
        let mut waiting = Vec::new();
        for Input { record, key, errand } in inbox {
            waiting.push((key, errand));
            process.sort(record, &mut touched, &mut entries);
        }
        let due = process.refreshes_since.is_some_and(|since| process.last.since(since) >= REFRESHES_WITHIN);
        if (due || flush) && !process.refreshes.is_empty() {
            process.refreshes.sort_by_key(|refresh| refresh.arrival);
            entries.push(Entry::Session(Event::Refreshes(std::mem::take(&mut process.refreshes))));
        }
        if due || flush {
            process.refreshes_since = None;
        }
        let ahead = process.clock.look(host).ahead;
        if ahead >= AHEAD
            && process.last.since(process.alive).as_millis() >= ALIVE_EVERY.unsigned_abs().into()
        {
            process.alive = process.last;
            entries.push(Entry::Alive { ahead });
        }
        process.last = process.last.max(now);
        let batch = (!entries.is_empty()).then(|| self.commit(entries));
        let process = self.process.as_mut().expect("a process");
        let mut acknowledged = Vec::new();
        for (key, errand) in waiting {
            process.memory.answer(&key, authenticator::Response::new(), now);
            acknowledged.push(errand);
        }
        (acknowledged, batch)
    }

    fn commit(&mut self, entries: Vec<Entry>) -> Batch {
        let sequence = self.log.last().map_or(1, |batch| batch.sequence + batch.entries.len() as u64);
        let process = self.process.as_mut().expect("a process");
        let batch = Batch { sequence, at: process.last, entries };
        fold(&mut process.views, &batch);
        self.log.push(batch.clone());
        batch
    }

    /// The engine did not go round between these moments, or the clock jumped.
    pub(crate) fn turned(&mut self, before: Timestamp, host: Host) {
        let now = self.clock(host);
        let process = self.process.as_mut().expect("a process");
        if now.since(before) > GAP_BRIDGED {
            process.deaf_since.get_or_insert(before);
        }
    }

    /// Lets deadlines take effect, as the engine does each second. The moment up to which they did.
    pub(crate) fn advance(&mut self, host: Host) -> Timestamp {
        let now = self.clock(host);
        let process = self.process.as_mut().expect("a process");
        process.let_pass(now);
        process.last
    }

    pub(crate) fn snapshot(&mut self) {
        if let Some(process) = &self.process {
            self.snapshots.push((process.views.sequence(), process.last, process.views.snapshot()));
        }
    }

    /// Writes down that we still listen.
    pub(crate) fn alive(&mut self, host: Host) -> Batch {
        let now = self.clock(host);
        let process = self.process.as_mut().expect("a process");
        process.last = process.last.max(now);
        let ahead = process.clock.look(host).ahead;
        self.commit(vec![Entry::Alive { ahead }])
    }

    /// The process is gone, with whatever was not durable. Its views, to compare with.
    pub(crate) fn kill(&mut self) -> Option<Views> {
        self.process.take().map(|process| process.views)
    }

    /// Reads snapshot and log, and goes on. The views as they were read, before anything is added to them.
    pub(crate) fn start(&mut self, host: Host) -> (Batch, Vec<u8>) {
        let shared = Arc::new(Shared::default());
        let newest = self.snapshots.last();
        let mut last = newest.map(|(_, at, _)| *at);
        let mut views = match newest {
            Some((_, _, octets)) => Views::restore(Arc::clone(&shared), octets).expect("a snapshot of ours"),
            None => Views::new(Arc::clone(&shared)),
        };
        let after = views.sequence();
        for batch in self.log.iter().filter(|batch| batch.sequence + batch.entries.len() as u64 - 1 > after) {
            fold(&mut views, batch);
            last = Some(batch.at);
        }
        let recovered = views.snapshot();
        let mut clock = Clock::new();
        if let Some(last) = last {
            clock.begin_after(last, views.ahead(), host.wall);
        }
        let now = clock.look(host).now;
        let mut clocks = NasClocks::default();
        views.machine().clock_offsets().for_each(|(nas, offset)| clocks.seed(nas, offset));
        let mut entries = vec![Entry::Session(Event::Resumed { since: last })];
        if *views.machine().applied() != self.applied {
            entries.push(Entry::Session(Event::Applied(Box::new(self.applied.clone()))));
        }
        self.process = Some(Process {
            views,
            shared,
            memory: Memory::new(4096),
            clocks,
            inbox: Vec::new(),
            refreshes: Vec::new(),
            refreshes_since: None,
            clock,
            last: now,
            alive: Timestamp::EARLIEST,
            deaf_since: None,
        });
        (self.commit(entries), recovered)
    }
}

impl Process {
    /// The time in which it did not listen is let pass by the entry that says so.
    fn let_pass(&mut self, now: Timestamp) {
        self.last = self.last.max(self.deaf_since.unwrap_or(now));
        self.views.advance(self.last, &mut Vec::new());
    }

    /// As the engine sorts a record: what says nothing new becomes a refresh, unless something of the session, or of one
    /// that it concerns, is on its way.
    fn sort(&mut self, record: Box<Record>, touched: &mut HashSet<(Name, Name)>, entries: &mut Vec<Entry>) {
        let key = (record.nas.clone(), record.session_id.clone());
        if !touched.contains(&key)
            && let Some(refresh) = self.views.machine().as_refresh(&record)
        {
            self.refreshes_since.get_or_insert(record.arrival);
            self.refreshes.retain(|other| (&other.nas, &other.session_id) != (&key.0, &key.1));
            self.refreshes.push(refresh);
            return;
        }
        let concerned = self.views.machine().concerned(&record);
        for (nas, session) in std::iter::once(key).chain(concerned) {
            let of = |refresh: &Refresh| refresh.nas == nas && refresh.session_id == session;
            if let Some(index) = self.refreshes.iter().position(of) {
                entries.push(Entry::Session(Event::Refreshes(vec![self.refreshes.remove(index)])));
            }
            touched.insert((nas, session));
        }
        entries.push(Entry::Session(Event::Record(record)));
    }
}

pub(crate) fn fold(views: &mut Views, batch: &Batch) {
    for (sequence, entry) in (batch.sequence..).zip(&batch.entries) {
        views.fold(batch.at, sequence, entry, &mut Vec::new());
    }
}
