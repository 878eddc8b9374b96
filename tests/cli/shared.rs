//! Addresses that subscribers share by ports, asked about through HTTP and by command: real views and a real index behind
//! the real API, fed by hand. Invariant I8: without a port nobody is named.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use relaywarden::audit::index::Index;
use relaywarden::clock;
use relaywarden::config::file::{Contents, Files, read};
use relaywarden::log::entry::Entry;
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::server::health::Health;
use relaywarden::server::inbox::{Inbox, Input};
use relaywarden::server::notices::Notices;
use relaywarden::server::notices::outbox::Outbox;
use relaywarden::server::radius::{self, Listeners, Offer, Offered};
use relaywarden::server::reached::Reached;
use relaywarden::server::secret_key::SecretKey;
use relaywarden::server::staff::{Counters, StaffDesk};
use relaywarden::server::{desk, engine, import, mta};
use relaywarden::session::event::{
    Applied, Claim, ClaimSource, Event, Kind, Record, Rules, Span, Translation,
};
use relaywarden::session::{Name, Ports, Timestamp};
use relaywarden::views::{Shared, Views};
use serde_json::Value;

use crate::fake::Daemon;

const NAT: &str = "203.0.113.77";
const CONFIGURED: &str = "203.0.113.200";
const BEFORE: Duration = Duration::from_secs(600);

struct Nobody;

impl Offer for Nobody {
    fn offer(&self, _: &mut Vec<Offered>) {}
}

struct OneFile;

impl Files for OneFile {
    fn read(&self, _: &Path) -> std::io::Result<Contents> {
        let octets = b"data-dir = \"/nowhere\"\n[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n[radius]\nlisten = []\n".to_vec();
        Ok(Contents { octets, mode: 0o600 })
    }
}

/// A desk that knows what these events tell, and writes down each question as the engine would.
struct World {
    daemon: Daemon<StaffDesk>,
    asked: Arc<Mutex<Vec<String>>>,
    inbox: Arc<Inbox>,
    began: Timestamp,
    _data: tempfile::TempDir,
}

impl World {
    fn new(records: impl IntoIterator<Item = Record>) -> World {
        let data = tempfile::tempdir().unwrap();
        let began = clock::now().minus(BEFORE);
        let shared = Arc::new(Shared::default());
        let mut views = Views::new(Arc::clone(&shared));
        let mut index = Index::open(data.path()).unwrap();
        let mut folded = Vec::new();
        let records = records.into_iter().map(|record| Event::Record(Box::new(record)));
        for (sequence, event) in (1..).zip([applied()].into_iter().chain(records)) {
            views.fold(began, sequence, &Entry::Session(event), &mut folded);
        }
        index.apply(views.sequence(), &folded).unwrap();
        let health = Arc::new(Health::default());
        health.committed(clock::now());
        health.set_ready();
        let (asked, inbox) = (Arc::default(), Arc::new(Inbox::new(100)));
        write_down(&inbox, &health, &asked);
        let past = OnceLock::from(index.past().unwrap());
        let config = read(Path::new("/c"), &OneFile, &mut Dictionary::default()).unwrap().config;
        let config = Arc::new(ArcSwap::from_pointee(config));
        let counters: Arc<radius::Counters> = Arc::default();
        let (offer, ready) = (Arc::new(Nobody), Arc::new(AtomicBool::new(false)));
        let listeners = Listeners::bind(&[]).unwrap();
        let radius = listeners.start(Arc::clone(&config), offer, ready, Arc::clone(&counters)).unwrap();
        let outbox = Arc::new(Outbox::open(data.path()).unwrap());
        let notices = Notices::new(Arc::clone(&config), outbox);
        let desk = StaffDesk {
            config,
            shared,
            past: Arc::new(past),
            reached: Arc::new(Reached::new(views.sequence())),
            inbox: Arc::clone(&inbox),
            health,
            radius: Arc::new(radius),
            details: Arc::default(),
            imported: import::Counters::default(),
            attempts: Arc::default(),
            scanning: Arc::default(),
            seats: Arc::default(),
            scales: Arc::default(),
            reputation: Arc::default(),
            notices: Arc::new(notices),
            key: Arc::new(SecretKey::open(data.path()).unwrap()),
            counters: Counters {
                radius: counters,
                mta: Arc::<mta::Counters>::default(),
                desk: Arc::<desk::Counters>::default(),
                engine: Arc::<engine::Counters>::default(),
                gate: Arc::default(),
                rules: Arc::default(),
                coa: Arc::default(),
            },
        };
        World { daemon: Daemon::start(desk), asked, inbox, began, _data: data }
    }

    fn http(&self, target: &str) -> Value {
        let mut stream = UnixStream::connect(self.daemon.socket()).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        serde_json::from_str(body).unwrap()
    }

    fn cli(&self, arguments: &[&str], exit: i32) -> Value {
        let run = self.daemon.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(run.exit, exit, "{run:?}");
        serde_json::from_str(&run.out).unwrap()
    }

    /// A moment at which everything below was so.
    fn then(&self) -> String {
        relaywarden::server::http::api::rfc3339(self.began.plus(BEFORE / 2)).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// In place of the engine: acknowledges questions, and goes on saying that something was written.
fn write_down(inbox: &Arc<Inbox>, health: &Arc<Health>, asked: &Arc<Mutex<Vec<String>>>) {
    let (inbox, health, asked) = (Arc::clone(inbox), Arc::clone(health), Arc::clone(asked));
    std::thread::spawn(move || {
        loop {
            let taken = inbox.take(Duration::from_secs(1));
            health.committed(clock::now());
            for input in taken.inputs {
                let Input::Entry(entry, asker) = input else { continue };
                if let Entry::Asked(question) = *entry {
                    asked.lock().unwrap().push(question.what.to_string());
                }
                let _ = asker.send(1);
            }
            if taken.closed {
                return;
            }
        }
    });
}

fn applied() -> Event {
    let rules = Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() };
    let translations = vec![Translation {
        realm: Some(Name::from("blue")),
        inside: "100.64.0.0/26".parse().unwrap(),
        outside: "203.0.113.200/32".parse().unwrap(),
        first_port: 1024,
        block: 1008,
    }];
    let pools = vec![(Name::from("bras1"), Vec::new())];
    Event::Applied(Box::new(Applied { rules, translations, pools, ..Applied::default() }))
}

fn start(id: &str, subscriber: Option<&str>, claims: Vec<Claim>) -> Record {
    let at = clock::now().minus(BEFORE);
    Record {
        subscriber: subscriber.map(Name::from),
        claims,
        kept: vec![(Name::from("Class"), Name::from("gold"))],
        ..Record::bare(Kind::Start, Name::from("bras1"), Name::from(id), at)
    }
}

fn block(first: u16, last: u16) -> Vec<Claim> {
    let (prefix, ports) = ("203.0.113.77/32".parse().unwrap(), Ports::new(first, last).unwrap());
    vec![Claim { prefix, ports, source: ClaimSource::PortBlock }]
}

fn whole(address: &str) -> Vec<Claim> {
    let address: std::net::IpAddr = address.parse().unwrap();
    vec![Claim::whole(address.into(), ClaimSource::FramedAddress)]
}

/// Alice and Bob share an address; so does Carol, by a translator that knows her inside address only.
fn world() -> World {
    let blue = Some(Name::from("blue"));
    World::new([
        start("a", Some("alice"), block(1024, 2047)),
        start("b", Some("bob"), block(2048, 3071)),
        Record { realm: blue.clone(), ..start("c", Some("carol"), whole("100.64.0.7")) },
        Record { realm: blue, inside: "100.64.0.7".parse().ok(), ..start("nat", None, block(4096, 5119)) },
    ])
}

fn sharers(who: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let candidates = who["candidates"].as_array().unwrap().iter();
    candidates.map(|one| format!("{} {}", text(&one["subscriber"]), text(&one["ports"]))).collect()
}

/// Nobody is named by any field that names.
#[track_caller]
fn names_nobody(who: &Value) {
    for field in ["subscriber", "session", "nas", "valid_from", "valid_until"] {
        assert_eq!(who[field], Value::Null, "{field} of {who}");
    }
}

const ALL: [&str; 3] = ["alice 1024-2047", "bob 2048-3071", "carol 4096-5119"];

#[test]
fn without_a_port_a_shared_address_names_nobody() {
    let world = world();
    let then = world.then();
    let now = [
        world.http(&format!("/v1/lookup?address={NAT}")),
        world.http(&format!("/v1/owner?address={NAT}")),
        world.cli(&["who", NAT], 0),
    ];
    for who in now {
        names_nobody(&who);
        assert_eq!((&who["verdict"], &who["reason"]), (&"defer".into(), &"port-required".into()), "{who}");
        assert_eq!(who["confidence"], "ambiguous");
        assert_eq!(sharers(&who), ALL);
    }
    for who in [
        world.http(&format!("/v1/owner?address={NAT}&at={then}")),
        world.cli(&["who", NAT, "--at", &then], 0),
    ] {
        names_nobody(&who);
        assert_eq!(who["confidence"], "ambiguous", "{who}");
        assert_eq!(sharers(&who), ALL);
        assert!(who["because"].as_str().unwrap().contains("ask with the source port"), "{who}");
    }
    let card = world.daemon.run(&["who", NAT]).out;
    assert!(card.contains("Subscriber  one of the candidates below\n"), "{card}");
}

#[test]
fn one_sharer_alone_is_not_named_either() {
    let world = World::new([start("a", Some("alice"), block(1024, 2047))]);
    let then = world.then();
    for who in [world.cli(&["who", NAT], 0), world.cli(&["who", NAT, "--at", &then], 0)] {
        names_nobody(&who);
        assert_eq!((sharers(&who), &who["confidence"]), (vec![ALL[0].to_owned()], &"ambiguous".into()));
    }
    let card = world.daemon.run(&["who", NAT]).out;
    assert!(card.contains("Subscriber  not known; perhaps the candidate below\n"), "{card}");
    assert!(card.contains("Candidate   alice, ports 1024-2047"), "{card}");
}

#[test]
fn without_a_port_a_configured_translation_names_nobody() {
    let world = world();
    let then = world.then();
    for who in [world.cli(&["who", CONFIGURED], 75), world.cli(&["who", CONFIGURED, "--at", &then], 1)] {
        names_nobody(&who);
        assert_eq!((sharers(&who).len(), &who["confidence"]), (0, &"unknown".into()), "{who}");
    }
}

#[test]
fn with_a_port_the_one_whose_block_it_is_is_named_now_and_then() {
    let world = world();
    let then = world.then();
    for (address, port, subscriber, session, ports) in [
        (NAT, "1024", "alice", "a", "1024-2047"),
        (NAT, "2047", "alice", "a", "1024-2047"),
        (NAT, "2048", "bob", "b", "2048-3071"),
        (NAT, "4096", "carol", "c", "4096-5119"),
        (CONFIGURED, "8080", "carol", "c", "8080-9087"),
        (CONFIGURED, "9087", "carol", "c", "8080-9087"),
    ] {
        let asked = ["who", address, "--port", port];
        for at in [[].as_slice(), &["--at", &then]] {
            let who = world.cli(&[asked.as_slice(), at].concat(), 0);
            assert_eq!(who["subscriber"], subscriber, "{who}");
            assert!(who["session"].as_str().unwrap().starts_with(&format!("bras1/{session}/")), "{who}");
            assert_eq!(sharers(&who), [format!("{subscriber} {ports}")]);
        }
    }
    for (address, port) in [(NAT, "1023"), (NAT, "3072"), (CONFIGURED, "1023"), (CONFIGURED, "9088")] {
        for at in [[].as_slice(), &["--at", &then]] {
            let who = world.cli(&[["who", address, "--port", port].as_slice(), at].concat(), 1);
            names_nobody(&who);
            assert_eq!((sharers(&who).len(), &who["confidence"]), (0, &"exact".into()), "{who}");
        }
    }
}

#[test]
fn a_private_address_is_found_in_its_own_realm_only() {
    let world = world();
    let then = world.then();
    for at in [[].as_slice(), &["--at", &then]] {
        let who = world.cli(&[["who", "100.64.0.7", "--realm", "blue"].as_slice(), at].concat(), 0);
        assert_eq!((&who["subscriber"], &who["realm"]), (&"carol".into(), &"blue".into()), "{who}");
        let who = world.cli(&[["who", "100.64.0.7"].as_slice(), at].concat(), 1);
        assert_eq!((&who["subscriber"], &who["realm"]), (&Value::Null, &Value::Null), "{who}");
    }
    let run = world.daemon.run(&["who", "100.64.0.7", "--realm", "red"]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(run.err.contains("realm"), "{run:?}");
}

#[test]
fn sessions_that_have_only_blocks_are_alive_and_show_them() {
    let world = world();
    let rows = world.cli(&["sessions", "--address", NAT], 0);
    let mut told: Vec<(&str, &str)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["addresses"][0].as_str().unwrap(), row["state"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("203.0.113.77:1024-2047", "active"),
            ("203.0.113.77:2048-3071", "active"),
            ("203.0.113.77:4096-5119", "active"),
        ]
    );
    let rows = world.cli(&["sessions", "--address", "100.64.0.7", "--realm", "blue"], 0);
    assert_eq!((rows[0]["subscriber"].as_str(), rows[0]["realm"].as_str()), (Some("carol"), Some("blue")));
    assert_eq!(rows[0]["kept"], serde_json::json!({ "Class": "gold" }));
    let none = world.cli(&["sessions", "--address", "100.64.0.7"], 1);
    assert_eq!(none, serde_json::json!([]));
}

#[test]
fn a_session_that_only_its_stop_tells_of_is_listed_as_stopped_with_what_it_had() {
    let at = clock::now().minus(BEFORE);
    let stop = |id: &str, address: &str, lasted| Record {
        subscriber: Some(Name::from(id)),
        claims: whole(address),
        session_time: lasted,
        ..Record::bare(Kind::Stop, Name::from("bras1"), Name::from(id), at)
    };
    let world = World::new([stop("long", "198.51.100.1", Some(600)), stop("short", "198.51.100.2", None)]);
    for (address, id) in [("198.51.100.1", "long"), ("198.51.100.2", "short")] {
        let rows = world.cli(&["sessions", "--address", address], 0);
        assert_eq!(rows[0]["subscriber"], id);
        assert_eq!(rows[0]["state"], "stopped");
        assert_eq!(rows[0]["addresses"], serde_json::json!([address]));
        assert_eq!(rows[0]["valid_until"], relaywarden::server::http::api::rfc3339(at).unwrap());
    }
}

#[test]
fn the_story_of_a_port_is_told_and_the_question_is_written_down() {
    let world = world();
    let told = |arguments: &[&str]| -> Vec<String> {
        let rows = world.cli(arguments, 0);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| format!("{} {} {}", row["record"], row["session"], row["address"])).collect()
    };
    assert_eq!(told(&["explain", NAT]).len(), 3);
    let one = told(&["explain", NAT, "--port", "2048", "--purpose", "case 7"]);
    assert_eq!(one.len(), 1);
    assert!(one[0].starts_with("\"start\" \"bras1/b/") && one[0].ends_with("\"203.0.113.77:2048-3071\""));
    let asked = world.asked.lock().unwrap();
    assert_eq!(
        asked.last().map(String::as_str),
        Some("/v1/explain?purpose=case%207&address=203.0.113.77&port=2048")
    );
}

#[test]
fn a_span_names_its_owner_only_if_nobody_else_had_it_at_any_moment_of_it() {
    let world = world();
    let began = relaywarden::server::http::api::rfc3339(world.began).unwrap();
    let then = world.then();
    let port = ["who", NAT, "--port", "1024", "--at"];
    // Since ten minutes ago; five minutes ago, and two before and after that.
    let who = world.cli(&[port.as_slice(), &[&then, "--within", "2m"]].concat(), 0);
    assert_eq!((&who["subscriber"], &who["within_seconds"]), (&"alice".into(), &120.into()), "{who}");
    // Before it began nothing is known of it.
    let who = world.cli(&[port.as_slice(), &[&began, "--within", "2m"]].concat(), 0);
    names_nobody(&who);
    assert_eq!((sharers(&who), &who["confidence"]), (vec![ALL[0].to_owned()], &"ambiguous".into()), "{who}");
    // Without a port everybody is a candidate, as at any one moment.
    let who = world.cli(&["who", NAT, "--at", &then, "--within", "2m"], 0);
    names_nobody(&who);
    assert_eq!((sharers(&who), &who["confidence"]), (ALL.map(str::to_owned).to_vec(), &"ambiguous".into()));
    // What is yet to come is nobody's, and what reaches into it ends now.
    let who = world.cli(&[port.as_slice(), &["2199-01-01T00:00:00Z", "--within", "2m"]].concat(), 1);
    assert_eq!(who["confidence"], "unknown", "{who}");
}

#[test]
fn a_span_in_which_the_address_changed_hands_lists_both_and_one_beside_it_names_its_owner() {
    let before = |seconds| clock::now().minus(BEFORE + Duration::from_secs(seconds));
    let record = |kind, id: &str, subscriber: &str, seconds| Record {
        subscriber: Some(Name::from(subscriber)),
        claims: whole("198.51.100.50"),
        ..Record::bare(kind, Name::from("bras1"), Name::from(id), before(seconds))
    };
    let world = World::new([
        record(Kind::Start, "a", "alice", 900),
        record(Kind::Stop, "a", "alice", 500),
        record(Kind::Start, "b", "bob", 480),
    ]);
    let asked = |seconds, within| {
        let at = relaywarden::server::http::api::rfc3339(before(seconds)).unwrap();
        world.cli(&["who", "198.51.100.50", "--at", &at, "--within", within], 0)
    };
    let who = asked(700, "1m");
    assert_eq!((&who["subscriber"], &who["confidence"]), (&"alice".into(), &"exact".into()), "{who}");
    // Each of the changes lies between two of the moments that are asked about anyway.
    let who = asked(490, "2m");
    names_nobody(&who);
    assert_eq!(
        (sharers(&who), &who["confidence"]),
        (vec!["alice -".to_owned(), "bob -".to_owned()], &"ambiguous".into())
    );
    let who = asked(300, "1m");
    // He was not heard of for a quarter of an hour.
    assert_eq!(
        (&who["subscriber"], &who["confidence"]),
        (&"bob".into(), &"until-last-interim".into()),
        "{who}"
    );
}
