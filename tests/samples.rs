//! Real packets to real outcomes: stories as an operator would tell them, `tests/data/outcomes/*.txt`.
//!
//! A packet goes the whole way: text, signed octets, decoding, the rules of its client, the machine, the answer that a
//! mail server would get. The packets are those of `tests/data/samples`, or written in the story itself.
//!
//! ```text
//! story: a Start before DHCP has chosen an address      a new world begins
//! client bras1 192.0.2.0/24 nas=client may-assign=10.0.0.0/8 realm=gold group=pair1 stop-start snapshot
//!                                                       none given: bras1, 192.0.2.1/32, everything assignable
//! identity Class User-Name                              none given: User-Name
//! never 203.0.113.9/32
//! at 12:00:00 packet cisco-isg-1-session-start-noip     [from 192.0.2.7] a sample; `=> ignored` when it changes nothing
//! at 12:00:01 send Acct-Status-Type = Stop, Acct-Session-Id = "x"
//! at 12:00:02 ask 172.20.125.183 => found alice         found NAME | absent | unready WHY | ambiguous NAMES
//! at 12:00:02 ask 203.0.113.77 port 4100 realm gold => found alice
//! at 12:00:02 nas bras1 => pending 1                    its sessions by state, those that it has
//! at 12:00:02 line 172.20.125.183 => port 0/0/2         where the owner's line ends: port, station, circuit, remote
//! at 12:00:03 bound => 172.20.125.183/32                every place that was ever bound in this story
//! ```
//!
//! Samples carry stamps of their own day. No NAS sends enough of them here for its clock to be learned, so what counts
//! is when they arrive.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing loudly"
)]

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use relaywarden::config::{Client, Identity, NamedRealm, NasIdentity, Secret};
use relaywarden::radius::accounting::{self, Ignored};
use relaywarden::radius::authenticator::{self, Integrity};
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::radius::text;
use relaywarden::session::bindings::{Found, LiveMap, Lookup};
use relaywarden::session::event::{Applied, Effect, Event, Record, Rules, Span};
use relaywarden::session::identity::Canonical;
use relaywarden::session::machine::Machine;
use relaywarden::session::{Name, Realm, Timestamp};

const SECRET: &[u8] = b"testing123";

struct World {
    clients: Vec<Client>,
    identity: Identity,
    never: Vec<IpNet>,
    clocks: NasClocks,
    machine: Machine,
    bound: BTreeSet<String>,
    identifier: u8,
    samples: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        World {
            clients: Vec::new(),
            identity: identity(&["User-Name"]),
            never: Vec::new(),
            clocks: NasClocks::default(),
            machine: Machine::new(Arc::new(LiveMap::default())),
            bound: BTreeSet::new(),
            identifier: 0,
            samples: BTreeSet::new(),
        }
    }

    fn line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["client", name, address, ref options @ ..] => self.clients.push(client(name, address, options)),
            ["identity", ref chain @ ..] => self.identity = identity(chain),
            ["never", ref prefixes @ ..] => {
                self.never.extend(prefixes.iter().map(|prefix| prefix.parse::<IpNet>().unwrap()));
            }
            ["at", time, command, ..] => {
                self.begin();
                let rest = line.split_once(command).unwrap().1.trim();
                let (what, expected) = rest.split_once("=>").unwrap_or((rest, ""));
                self.at(clock(time), command, what.trim(), expected.trim());
            }
            _ => panic!("not understood"),
        }
    }

    /// The configuration is complete with the first thing that happens.
    fn begin(&mut self) {
        if !self.machine.applied().pools.is_empty() {
            return;
        }
        if self.clients.is_empty() {
            self.clients.push(client("bras1", "192.0.2.1/32", &[]));
        }
        let pools = self.clients.iter().map(|client| (client.name.clone(), client.may_assign.clone()));
        let applied = Applied {
            rules: Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() },
            pools: pools.collect(),
            never: self.never.clone(),
            ..Applied::default()
        };
        self.fold(Timestamp::EARLIEST, &Event::Applied(Box::new(applied)));
    }

    fn at(&mut self, now: Timestamp, command: &str, what: &str, expected: &str) {
        let mut effects = Vec::new();
        self.machine.advance(now, &mut effects);
        let map = Arc::clone(self.machine.map());
        match command {
            "packet" => {
                let (name, from) = what.split_once(" from ").unwrap_or((what, ""));
                self.samples.insert(name.to_owned());
                let text = fs::read_to_string(data("samples").join(name).with_extension("txt")).unwrap();
                self.receive(now, &text, from, expected);
            }
            "send" => {
                let (list, from) = what.split_once(" from ").unwrap_or((what, ""));
                self.receive(now, &list.replace(", ", "\n"), from, expected);
            }
            "ask" => assert_eq!(told(&asked(&map, what, now)), expected),
            "line" => {
                let Lookup::Found(found) = asked(&map, what, now) else { panic!("nobody owns it") };
                assert_eq!(line_of(&found), expected);
            }
            "nas" => {
                let nases = map.nases();
                let nas = nases.iter().find(|nas| nas.name == Name::from(what)).unwrap();
                let counts = nas.counts();
                let states =
                    [("active", counts.active), ("suspect", counts.suspect), ("pending", counts.pending)];
                let some = states.iter().filter(|(_, count)| *count > 0);
                assert_eq!(words(some.map(|(state, count)| format!("{state} {count}"))), expected);
            }
            "bound" => assert_eq!(self.bound.iter().cloned().collect::<Vec<_>>().join(" "), expected),
            _ => panic!("not understood"),
        }
    }

    /// One datagram, handled as the daemon does.
    fn receive(&mut self, now: Timestamp, text: &str, from: &str, expected: &str) {
        self.identifier = self.identifier.wrapping_add(1);
        let attributes = text::parse_attributes(text, Dictionary::builtin()).unwrap();
        let octets = text::encode_request(4, self.identifier, &attributes, SECRET).unwrap();
        let packet = Packet::decode(&octets).unwrap();
        assert!(authenticator::is_authentic(&packet, SECRET));
        assert_ne!(authenticator::integrity(&packet, SECRET), Integrity::Invalid);
        let outcome = self.read(&packet, from, now);
        match &outcome {
            Ok(record) => {
                let event = match self.machine.as_refresh(record) {
                    Some(refresh) => Event::Refreshes(vec![refresh]),
                    None => Event::Record(record.clone()),
                };
                self.fold(now, &event);
            }
            Err(_) => assert_eq!(expected, "ignored"),
        }
        assert_eq!(outcome.is_err(), expected == "ignored");
        // Whatever it meant, it is answered, or its NAS would send it for ever.
        let answer = authenticator::accounting_response(&packet, SECRET);
        assert_eq!(answer.as_slice().first_chunk(), Some(&[5, self.identifier]));
    }

    fn read(&mut self, packet: &Packet<'_>, from: &str, now: Timestamp) -> Result<Box<Record>, Ignored> {
        let source: IpAddr = match from {
            "" => self.clients[0].address.addr(),
            from => from.parse().unwrap(),
        };
        let client = self.clients.iter().find(|client| client.address.contains(&source));
        let client = client.expect("a client of this address");
        let rules = accounting::Rules { client, source, identity: &self.identity, never: &self.never };
        accounting::read(packet, &rules, now, &mut self.clocks)
    }

    fn fold(&mut self, at: Timestamp, event: &Event) {
        let mut effects = Vec::new();
        self.machine.fold(at, event, &mut effects);
        for effect in effects {
            if let Effect::Bound { place, .. } = effect {
                self.bound.insert(place.to_string());
            }
        }
    }
}

fn client(name: &str, address: &str, options: &[&str]) -> Client {
    let mut client = Client::new(Name::from(name), address.parse().unwrap(), Secret::new(SECRET));
    for option in options {
        match option.split_once('=').unwrap_or((option, "")) {
            ("nas", "source") => client.nas = NasIdentity::Source,
            ("nas", "client") => client.nas = NasIdentity::Client,
            ("nas", "attributes") => client.nas = NasIdentity::Attributes,
            ("may-assign", pools) => {
                client.may_assign = pools.split(',').map(|pool| pool.parse().unwrap()).collect();
            }
            ("realm", "public") => client.realm = Some(NamedRealm::Public),
            ("realm", name) => client.realm = Some(NamedRealm::Vrf(Name::from(name))),
            ("group", name) => client.group = Some(Name::from(name)),
            ("stop-start", "") => client.stop_start = true,
            ("snapshot", "") => client.snapshot = true,
            _ => panic!("no such option: {option}"),
        }
    }
    client
}

fn identity(chain: &[&str]) -> Identity {
    let chain = chain.iter().map(|name| Dictionary::builtin().id(name).unwrap()).collect();
    Identity::new(chain, Canonical { lowercase: true, ..Canonical::default() })
}

/// `ADDRESS`, with `port N` and `realm NAME` behind it where they are told.
fn asked(map: &LiveMap, what: &str, now: Timestamp) -> Lookup {
    let words: Vec<_> = what.split_whitespace().collect();
    let (address, details) = words.split_first().expect("an address");
    let (mut port, mut realm) = (None, Realm::PUBLIC);
    for detail in details.chunks(2) {
        match *detail {
            ["port", number] => port = Some(number.parse().unwrap()),
            ["realm", name] => realm = map.realm(Some(&Name::from(name))),
            _ => panic!("not understood: {what}"),
        }
    }
    map.lookup(realm, address.parse().unwrap(), port, now)
}

fn told(answer: &Lookup) -> String {
    let name = |found: &Found| found.subscriber.as_ref().map_or("-".to_owned(), ToString::to_string);
    match answer {
        Lookup::Found(found) => format!("found {}", name(found)),
        Lookup::Absent => "absent".to_owned(),
        Lookup::Ambiguous(all) => {
            let names: BTreeSet<_> = all.iter().map(name).collect();
            format!("ambiguous {}", words(names.into_iter()))
        }
        Lookup::Unready(doubt, _) => format!("unready {}", doubt.word()),
    }
}

fn line_of(found: &Found) -> String {
    let line = &found.session.as_ref().unwrap().line;
    let parts = [
        ("port", &line.port_id),
        ("station", &line.calling_station),
        ("circuit", &line.circuit_id),
        ("remote", &line.remote_id),
    ];
    words(parts.iter().filter_map(|(word, part)| Some(format!("{word} {}", part.as_ref()?))))
}

fn words(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// `HH:MM:SS` of one day.
fn clock(text: &str) -> Timestamp {
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds] = parts[..] else { panic!("no time: {text}") };
    Timestamp::from_seconds(1_800_000_000 + hours * 3600 + minutes * 60 + seconds)
}

fn data(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(directory)
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

/// Tells the stories of a file; returns the samples that occurred in it.
fn tell(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut samples = BTreeSet::new();
    let mut world: Option<World> = None;
    let mut title = "";
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(next) = line.strip_prefix("story:") {
            title = next.trim();
            samples.extend(world.replace(World::new()).into_iter().flat_map(|world| world.samples));
            continue;
        }
        let world = world.as_mut().expect("a story begins with its title");
        let outcome = catch_unwind(AssertUnwindSafe(|| world.line(line)));
        assert!(outcome.is_ok(), "{}:{number}: {title}\n    {line}", file.display());
    }
    samples.extend(world.into_iter().flat_map(|world| world.samples));
    samples
}

#[test]
fn every_story_comes_out_as_told_and_every_sample_has_one() {
    let told: BTreeSet<String> = files("outcomes").iter().flat_map(|file| tell(file)).collect();
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let samples: BTreeSet<String> = files("samples").iter().map(stem).collect();
    assert_eq!(samples.len(), 36);
    assert_eq!(samples.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "without a story");
}
