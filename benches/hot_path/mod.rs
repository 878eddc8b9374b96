//! The pieces of the hot path, each made ready apart from being done: what is counted or timed is the piece alone.
//!
//! Ten thousand sessions are online before anything is asked, so that what is measured is a day like any other and not
//! the first moments. Whatever a piece adds it takes away again afterwards.
//!
//! Knows: what the daemon does with one record and one question, in which order. Must not know: who measures, and in what.

mod datagrams;
mod online;
#[path = "../subscribers/mod.rs"]
mod subscribers;

use std::hint::black_box;
use std::net::IpAddr;

use bytes::BytesMut;
use relaywarden::audit::index::Index;
use relaywarden::log::entry::Entry;
use relaywarden::log::sqlite::SqliteLog;
use relaywarden::log::{Batch, Log};
use relaywarden::mta::policy::Policy;
use relaywarden::mta::socketmap::{Reply, Socketmap};
use relaywarden::relay::Profile;
use relaywarden::relay::ruling::{Client, decide};
use relaywarden::relay::standing::Standing;
use relaywarden::session::Realm;
use relaywarden::session::bindings::Lookup;
use relaywarden::session::event::{Event, Kind};
use tempfile::TempDir;
use tokio_util::codec::Decoder;

use datagrams::Datagrams;
use online::Online;
use subscribers::{ipv4, ipv6, moment, scattered};

/// Sessions that are there all the time.
const SESSIONS: u64 = 10_000;
/// Entries that become durable together.
const BATCH: usize = 64;

/// Does the work that it is handed, once.
pub(crate) type Measure<'a> = &'a mut dyn FnMut(&mut dyn FnMut());

/// One piece.
pub(crate) struct Piece {
    /// What it is called wherever it is told of.
    pub(crate) name: &'static str,
    /// Makes it ready for so many times, hands that work over to be done, and clears up.
    pub(crate) round: fn(&mut HotPath, usize, Measure<'_>),
}

/// All of them, in the order in which a record and a question meet them.
pub(crate) const PIECES: [Piece; 15] = [
    Piece {
        name: "decode and verify a request",
        round: |path, count, measure| path.plain.decode(count, measure),
    },
    Piece {
        name: "decode and verify a vendor's request",
        round: |path, count, measure| path.vendors.decode(count, measure),
    },
    Piece { name: "read a record", round: |path, count, measure| path.plain.read(count, measure) },
    Piece { name: "read a vendor's record", round: |path, count, measure| path.vendors.read(count, measure) },
    Piece { name: "sign an answer", round: |path, count, measure| path.plain.answer(count, measure) },
    Piece { name: "append to the log", round: HotPath::append },
    Piece { name: "fold a Start", round: HotPath::start },
    Piece { name: "fold a Stop", round: HotPath::stop },
    Piece { name: "recognize and fold a refresh", round: HotPath::refresh },
    Piece { name: "index a Start", round: |path, count, measure| path.index(Kind::Start, count, measure) },
    Piece { name: "index a Stop", round: |path, count, measure| path.index(Kind::Stop, count, measure) },
    Piece {
        name: "look up an IPv4 address",
        round: |path, count, measure| path.lookup(|n| ipv4(n).into(), count, measure),
    },
    Piece {
        name: "look up an IPv6 address",
        round: |path, count, measure| path.lookup(|n| ipv6(n).into(), count, measure),
    },
    Piece { name: "answer a socketmap", round: HotPath::socketmap },
    Piece { name: "decode a policy request", round: HotPath::policy },
];

/// What the pieces need.
pub(crate) struct HotPath {
    plain: Datagrams,
    vendors: Datagrams,
    online: Online,
    log: SqliteLog,
    index: Index,
    standing: Standing,
    _directory: TempDir,
}

impl HotPath {
    /// Everybody comes online.
    pub(crate) fn new() -> HotPath {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut online = Online::default();
        let folded = online.begin(SESSIONS);
        let mut index = Index::open(directory.path()).expect("a new index");
        index.apply(online.sequence(), &folded).expect("the disk works");
        HotPath {
            plain: Datagrams::plain(),
            vendors: Datagrams::vendors(),
            online,
            log: SqliteLog::open(directory.path(), 0, &mut |_| {}).expect("a new log"),
            index,
            standing: Standing::default(),
            _directory: directory,
        }
    }

    fn append(&mut self, count: usize, measure: Measure<'_>) {
        let entries = self.online.entries(Kind::Start, count);
        let mut batches: Vec<Batch> = Vec::new();
        let mut sequence = self.log.next_sequence();
        for entries in entries.chunks(BATCH) {
            batches.push(Batch { sequence, at: moment(0), entries: entries.to_vec() });
            sequence += entries.len() as u64;
        }
        measure(&mut || batches.iter().for_each(|batch| self.log.append(batch).expect("the disk works")));
        // A file of the log is sealed by its size; here that would be in some rounds and not in others.
        self.log.seal().expect("the disk works");
        self.log.forget_below(sequence).expect("the disk works");
    }

    fn start(&mut self, count: usize, measure: Measure<'_>) {
        let starts = self.online.entries(Kind::Start, count);
        let mut folded = Vec::with_capacity(count);
        measure(&mut || starts.chunks(BATCH).for_each(|batch| folded.push(self.online.fold(batch))));
        let stops = self.online.entries(Kind::Stop, count);
        self.online.fold(&stops);
        self.online.assert_as_in_the_beginning();
    }

    fn stop(&mut self, count: usize, measure: Measure<'_>) {
        let starts = self.online.entries(Kind::Start, count);
        self.online.fold(&starts);
        let stops = self.online.entries(Kind::Stop, count);
        let mut folded = Vec::with_capacity(count);
        measure(&mut || stops.chunks(BATCH).for_each(|batch| folded.push(self.online.fold(batch))));
        self.online.assert_as_in_the_beginning();
    }

    fn refresh(&mut self, count: usize, measure: Measure<'_>) {
        let interims = self.online.interims(count);
        let mut refreshes = Some(Vec::with_capacity(count));
        measure(&mut || {
            let mut refreshes = refreshes.take().unwrap_or_default();
            refreshes.extend(interims.iter().filter_map(|record| self.online.machine().as_refresh(record)));
            assert_eq!(refreshes.len(), count, "an interim update without news is a refresh");
            let folded = self.online.fold(&[Entry::Session(Event::Refreshes(refreshes))]);
            assert!(folded.is_empty(), "a refresh changes nothing");
        });
    }

    fn index(&mut self, measured: Kind, count: usize, measure: Measure<'_>) {
        for kind in [Kind::Start, Kind::Stop] {
            let entries = self.online.entries(kind, count);
            let folded = self.online.fold(&entries);
            let through = self.online.sequence();
            let mut apply = || {
                self.index.apply(through, &folded).expect("the disk works");
                self.index.sync(moment(0)).expect("the disk works");
            };
            if kind == measured { measure(&mut apply) } else { apply() }
        }
    }

    fn lookup(&mut self, address: fn(u64) -> IpAddr, count: usize, measure: Measure<'_>) {
        let map = self.online.machine().map();
        let addresses: Vec<IpAddr> = numbers(count).map(address).collect();
        measure(&mut || {
            for address in &addresses {
                let found = map.lookup(Realm::PUBLIC, *black_box(address), None, moment(1));
                assert!(matches!(black_box(found), Lookup::Found(_)), "a subscriber who is online");
            }
        });
    }

    /// From the octets of a frame to those of the answer.
    fn socketmap(&mut self, count: usize, measure: Measure<'_>) {
        let map = self.online.machine().map();
        let frames = numbers(count).map(|number| {
            let question = format!("relay {}", ipv4(number));
            BytesMut::from(format!("{}:{question},", question.len()).as_str())
        });
        let mut frames: Vec<BytesMut> = frames.collect();
        let (mut socketmap, mut answer) = (Socketmap::default(), BytesMut::with_capacity(1024));
        measure(&mut || {
            for frame in &mut frames {
                let request = socketmap.decode(frame).ok().flatten().expect("a whole frame");
                let client = Client {
                    realm: Realm::PUBLIC,
                    address: request.key.address,
                    port: request.key.port,
                    login: None,
                    profile: Profile::Relay,
                    logins_relay: false,
                    blind: false,
                };
                let owner = decide(map, &self.standing, client, moment(1)).subscriber();
                Reply::Ok(owner.expect("a subscriber who is online").to_string().into()).write(&mut answer);
                black_box(&answer);
                answer.clear();
            }
        });
    }

    fn policy(&mut self, count: usize, measure: Measure<'_>) {
        let question = include_str!("end-of-message.txt");
        let mut questions: Vec<BytesMut> = (0..count).map(|_| BytesMut::from(question)).collect();
        let mut policy = Policy::default();
        measure(&mut || {
            for question in &mut questions {
                let request = policy.decode(question).ok().flatten();
                black_box(request.expect("a whole question"));
            }
        });
    }
}

/// Of subscribers who are online all the time, in an order that no cache foresees.
fn numbers(count: usize) -> impl Iterator<Item = u64> {
    (0..count as u64).map(|turn| scattered(turn, SESSIONS))
}
