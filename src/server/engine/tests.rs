//! The order of append, commit, fold and acknowledge, with a log that fails on command.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::audit::index::Index;
use crate::config::Retention;
use crate::log::LogError;
use crate::radius::duplicate::Key;
use crate::relay::message::Message;
use crate::relay::verdict::Reason;
use crate::server::notices::outbox::Outbox;
use crate::server::radius;
use crate::server::reached::Reached;
use crate::session::Realm;
use crate::session::bindings::Lookup;
use crate::session::event::{Applied, Claim, ClaimSource, Kind, Rules, Span};
use crate::views::Shared;

const KEPT: Retention = Retention::of_all(Duration::from_secs(180 * 86_400));

/// What was made durable, and how many appends are still to fail.
#[derive(Default)]
struct Disk {
    batches: Vec<Batch>,
    failures: u32,
    tried: Vec<Batch>,
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Disk>>);

impl Log for Paper {
    fn append(&mut self, batch: &Batch) -> Result<(), LogError> {
        let mut disk = self.0.lock().unwrap();
        disk.tried.push(batch.clone());
        if disk.failures > 0 {
            disk.failures -= 1;
            return Err(LogError::Storage { file: "paper".into(), error: "torn".to_owned() });
        }
        disk.batches.push(batch.clone());
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        let disk = self.0.lock().unwrap();
        disk.batches.last().map_or(1, |batch| batch.sequence + batch.entries.len() as u64)
    }

    fn size(&self) -> u64 {
        0
    }

    fn seal(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    fn forget_below(&mut self, _: u64) -> Result<(), LogError> {
        Ok(())
    }
}

struct World {
    engine: Engine<Paper>,
    paper: Paper,
    shared: Arc<Shared>,
    health: Arc<Health>,
    acknowledged: Receiver<(usize, usize)>,
    _dir: tempfile::TempDir,
}

impl World {
    /// Ready, with a feed that counts as whole.
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let (shared, health, paper) = (Arc::<Shared>::default(), Arc::<Health>::default(), Paper::default());
        let index = Index::open(dir.path()).unwrap();
        let outbox = Arc::new(Outbox::open(dir.path()).unwrap());
        let keeper = Keeper::start(
            dir.path().to_path_buf(),
            index,
            Arc::new(Reached::new(0)),
            Arc::clone(&health),
            outbox,
            1000,
            || (KEPT, Arc::default()),
        )
        .unwrap();
        let (tell, acknowledged) = channel();
        let disk = Arc::clone(&paper.0);
        let mut engine = Engine::new(
            paper.clone(),
            Views::new(Arc::clone(&shared)),
            Timestamp::EARLIEST,
            Arc::new(Inbox::new(100)),
            keeper,
            Arc::clone(&health),
            Arc::default(),
            // How many are acknowledged, and how many batches were durable by then.
            Box::new(move |receipts| {
                tell.send((receipts.len(), disk.lock().unwrap().batches.len())).unwrap();
            }),
        );
        let rules = Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() };
        let pools = vec![(Name::from("bras1"), Vec::new())];
        let applied = Applied { rules, pools, ..Applied::default() };
        assert!(engine.begin(vec![Entry::Session(Event::Applied(Box::new(applied)))]));
        World { engine, paper, shared, health, acknowledged, _dir: dir }
    }

    fn round(&mut self, inputs: Vec<Input>) -> bool {
        self.engine.advance();
        let round = self.engine.sort(inputs);
        self.engine.commit(round)
    }

    fn owner(&self) -> Vec<String> {
        let found = match self.shared.map.lookup(Realm::PUBLIC, address(), None, clock::now()) {
            Lookup::Found(found) => vec![found],
            Lookup::Ambiguous(all) => all,
            Lookup::Absent | Lookup::Unready(..) => Vec::new(),
        };
        found.into_iter().filter_map(|found| found.subscriber()).map(|name| name.to_string()).collect()
    }

    fn durable(&self) -> usize {
        self.paper.0.lock().unwrap().batches.len()
    }
}

fn address() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

fn receipt() -> Receipt {
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let key = Key { peer, identifier: 0, authenticator: [0; 16] };
    let response = smallvec::SmallVec::new();
    Receipt::Nas(radius::Receipt { listener: 0, peer, local: None, interface: 0, key, response })
}

/// A record about the one address there is, some seconds ago.
fn record(kind: Kind, id: &str, subscriber: &str, seconds_ago: u64) -> Input {
    let now = clock::now();
    let record = Record {
        event: now.minus(Duration::from_secs(seconds_ago)),
        subscriber: Some(Name::from(subscriber)),
        claims: vec![Claim::whole(address().into(), ClaimSource::FramedAddress)],
        ..Record::bare(kind, Name::from("bras1"), Name::from(id), now)
    };
    Input::Record(Box::new(record), receipt())
}

fn message(instance: &str) -> (Input, oneshot::Receiver<u64>) {
    let message =
        Message { instance: Name::from(instance), address: Some(address()), ..Message::plain(clock::now()) };
    let (asker, answer) = oneshot::channel();
    (Input::Entry(Box::new(Entry::Message(Box::new(message))), asker), answer)
}

#[test]
fn a_start_is_acknowledged_after_it_is_durable_and_holds() {
    let mut world = World::new();
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 9)]));
    assert_eq!(world.acknowledged.try_recv(), Ok((1, 2)));
    assert_eq!(world.owner(), ["alice"]);
}

/// A Start of somebody with an address of their own.
fn newcomer(number: u8) -> Record {
    let (now, name) = (clock::now(), Name::from(number.to_string().as_str()));
    let address = IpAddr::from([198, 51, 100, number]);
    Record {
        subscriber: Some(name.clone()),
        claims: vec![Claim::whole(address.into(), ClaimSource::FramedAddress)],
        ..Record::bare(Kind::Start, Name::from("bras1"), name, now)
    }
}

#[test]
fn whose_record_is_folded_is_acknowledged_before_the_next_part_is_and_no_sooner() {
    let mut world = World::new();
    let (tell, told) = channel();
    let shared = Arc::clone(&world.shared);
    world.engine.acknowledge = Box::new(move |receipts| {
        let holds = |number: &u8| {
            let address = IpAddr::from([198, 51, 100, *number]);
            matches!(shared.map.lookup(Realm::PUBLIC, address, None, clock::now()), Lookup::Found(_))
        };
        tell.send((receipts.len(), (0..66).filter(holds).count())).unwrap();
    });
    let inputs = (0..66).map(|number| Input::Record(Box::new(newcomer(number)), receipt()));
    let inputs = inputs.collect();
    assert!(world.round(inputs));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(64, 64), (2, 66)]);
}

#[test]
fn whoever_brings_a_file_is_answered_when_all_of_it_is_folded() {
    let mut world = World::new();
    let ((asker, answer), (tell, told)) = (oneshot::channel(), channel());
    let answer = Arc::new(Mutex::new(answer));
    let seen = Arc::clone(&answer);
    world.engine.acknowledge = Box::new(move |_| tell.send(seen.lock().unwrap().try_recv().ok()).unwrap());
    let by = Entry::Alive { ahead: Duration::ZERO };
    let import = Import { by, records: (1..100).map(newcomer).collect(), messages: Vec::new() };
    let sequence = world.engine.log.next_sequence();
    let [first, last] = [0, 200].map(|number| Input::Record(Box::new(newcomer(number)), receipt()));
    assert!(world.round(vec![first, Input::Import(Box::new(import), asker), last]));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [None, None]);
    assert_eq!(answer.lock().unwrap().try_recv(), Ok(sequence + 1));
}

#[test]
fn a_failed_append_is_tried_with_the_same_batch_and_nothing_is_acknowledged_before_it_succeeds() {
    let mut world = World::new();
    world.paper.0.lock().unwrap().failures = 1;
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 9)]));
    let disk = world.paper.0.lock().unwrap();
    let [.., first, second] = &disk.tried[..] else { panic!("tried once only") };
    assert_eq!(first, second);
    drop(disk);
    assert_eq!(world.acknowledged.try_recv(), Ok((1, 2)));
    assert!(!world.health.is_storage_failing());
}

#[test]
fn whoever_stops_while_storage_fails_acknowledges_nothing() {
    let mut world = World::new();
    world.paper.0.lock().unwrap().failures = u32::MAX;
    world.health.set_stopping();
    assert!(!world.round(vec![record(Kind::Start, "1", "alice", 9)]));
    assert!(world.acknowledged.try_recv().is_err());
    assert!(world.health.is_storage_failing());
    assert!(world.owner().is_empty());
}

#[test]
fn a_refresh_is_acknowledged_at_once_and_logged_later() {
    let mut world = World::new();
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 9)]));
    let durable = world.durable();
    assert!(world.round(vec![record(Kind::Interim, "1", "alice", 0)]));
    assert_eq!(world.acknowledged.try_iter().count(), 2);
    assert_eq!(world.durable(), durable);
    let mut round = Round::default();
    world.engine.flush_refreshes(&mut round);
    assert!(matches!(&round.entries[..], [Entry::Session(Event::Refreshes(one))] if one.len() == 1));
}

#[test]
fn what_a_session_said_before_its_stop_is_folded_before_it() {
    let mut world = World::new();
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 9)]));
    assert!(world.round(vec![record(Kind::Interim, "1", "alice", 5)]));
    assert!(world.round(vec![record(Kind::Stop, "1", "alice", 0)]));
    assert!(world.owner().is_empty());
    assert!(world.engine.refreshes.is_empty());
}

#[test]
fn an_owners_acknowledged_refresh_counts_when_another_claims_its_address() {
    let mut world = World::new();
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 60)]));
    assert!(world.round(vec![record(Kind::Interim, "1", "alice", 10)]));
    // Bob's Start is older than that: both live, so neither is named.
    assert!(world.round(vec![record(Kind::Start, "2", "bob", 30)]));
    assert_eq!(world.owner().len(), 2);
}

#[test]
fn an_interim_behind_a_rivals_start_in_one_round_is_no_refresh() {
    let mut world = World::new();
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 60)]));
    assert!(world.round(vec![record(Kind::Start, "2", "bob", 30), record(Kind::Interim, "1", "alice", 5)]));
    assert_eq!(world.owner().len(), 2);
}

#[test]
fn a_message_asked_about_twice_is_written_once_and_answered_twice() {
    let mut world = World::new();
    let ((first, mut one), (second, mut two), (third, mut three)) =
        (message("i"), message("i"), message("i"));
    assert!(world.round(vec![first, second]));
    assert!(world.round(vec![third]));
    assert!(one.try_recv().is_ok() && two.try_recv().is_ok() && three.try_recv().is_ok());
    let disk = world.paper.0.lock().unwrap();
    let entries = disk.batches.iter().flat_map(|batch| &batch.entries);
    assert_eq!(entries.filter(|entry| matches!(entry, Entry::Message(_))).count(), 1);
}

#[test]
fn a_message_whose_asker_is_gone_is_not_written() {
    let mut world = World::new();
    let durable = world.durable();
    let (input, answer) = message("i");
    drop(answer);
    assert!(world.round(vec![input]));
    assert_eq!(world.durable(), durable);
}

#[test]
fn after_a_long_failure_the_time_in_between_is_a_gap() {
    let mut world = World::new();
    world.engine.deaf_since = Some(clock::now().minus(Duration::from_secs(60)));
    assert!(world.round(vec![record(Kind::Start, "1", "alice", 0)]));
    let disk = world.paper.0.lock().unwrap();
    let last = &disk.batches.last().unwrap().entries;
    assert!(matches!(&last[..], [Entry::Session(Event::Resumed { since: Some(_) }), Entry::Session(_)]));
}

#[test]
fn until_a_gap_is_folded_nobody_unknown_is_refused() {
    let mut world = World::new();
    assert!(!world.health.is_blind(clock::now()));
    world.engine.turned = clock::now().minus(Duration::from_secs(11));
    world.engine.turn();
    assert!(world.health.is_blind(clock::now()));
    assert!(world.round(Vec::new()));
    assert!(!world.health.is_blind(clock::now()));
}

#[test]
fn a_turn_that_retransmissions_bridge_is_no_gap() {
    let mut world = World::new();
    world.engine.turned = clock::now().minus(Duration::from_secs(9));
    world.engine.turn();
    assert!(!world.health.is_blind(clock::now()));
    assert!(world.engine.deaf_since.is_none());
}

#[test]
fn who_sends_as_never_before_is_a_case_after_the_next_commit_and_once() {
    let mut world = World::new();
    let mut thresholds = Thresholds { learn: Duration::ZERO, ..Thresholds::default() };
    thresholds.of.iter_mut().for_each(|threshold| threshold.floor = 1000);
    thresholds.of[0].floor = 2;
    world.engine.thresholds = Some(Box::new(move || thresholds.clone()));
    let round = |world: &mut World, instances: &[&str], reason| {
        let inputs = instances.iter().map(|instance| {
            let message = Message {
                login: Some(Name::from("webmail")),
                reason,
                instance: Name::from(*instance),
                ..Message::plain(clock::now())
            };
            let (asker, answer) = oneshot::channel();
            // Who does not wait is passed over.
            std::mem::forget(answer);
            Input::Entry(Box::new(Entry::Message(Box::new(message))), asker)
        });
        let inputs = inputs.collect();
        assert!(world.round(inputs));
    };
    round(&mut world, &["a"], Reason::Login);
    assert!(world.engine.signals.is_empty());
    round(&mut world, &["b"], Reason::Imported);
    assert!(world.engine.signals.is_empty(), "a file calls nobody");
    round(&mut world, &["c"], Reason::Login);
    assert_eq!((world.engine.signals.len(), world.shared.cases().len()), (1, 0));
    assert_eq!(world.engine.patience(), Duration::ZERO);
    round(&mut world, &["d"], Reason::Login);
    assert_eq!((world.engine.signals.len(), world.shared.cases().len()), (0, 1), "told once");
    round(&mut world, &["e", "f"], Reason::Login);
    assert!(world.round(Vec::new()));
    let cases = world.shared.cases();
    assert_eq!((cases.len(), cases[0].evidence_count), (1, 2), "it has doubled");
}

#[test]
fn a_log_that_is_read_from_a_day_ago_is_sealed_though_the_daemon_has_just_begun() {
    let mut world = World::new();
    let begun = world.engine.sealed;
    world.engine.seal_when_full(false);
    assert_eq!(world.engine.sealed, begun, "nothing is due");
    world.engine.last = world.engine.last.plus(Duration::from_secs(1));
    let day_ago = world.engine.last.minus(LOG_FILE_LASTS);
    let mut engine = world.engine.with_log_since(Some(day_ago));
    engine.seal_when_full(false);
    assert_eq!(engine.sealed, engine.last);
}
