//! Whoever answers for block lists may be anybody: a server that is silent, slow, or lies makes no case and ends none.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::lists::{cases, first_round, of, round, rows, state, watching};
use crate::common::nas::Status;
use crate::common::peer::command;
use crate::common::{eventually, free_port};
use crate::house::{edit, inside_own_network, metric, printed, reload};

const OURS: &str = "192.0.2.25";
/// Longer than the daemon waits, with its second try.
const LATE: Duration = Duration::from_millis(2500);

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As a list that has us.
    Listing,
    /// As a list that does not.
    Clean,
    /// Not at all.
    Silent,
    /// That everything is listed, when nobody waits any more.
    Late,
    /// That everything is listed, to a question with another number.
    OtherId,
    /// That everything is listed, to another question.
    OtherQuestion,
    /// With octets that are no answer.
    Garbage,
    /// That there is more, which it does not say when it is asked by TCP.
    Truncated,
    /// That it could not find out.
    ServerFailure,
    /// As a list that has us, until it has proven itself; then nothing.
    SilentOnceProven,
}

/// A DNS server of a few lines.
struct Server {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(manner: Manner) -> Server {
        // No TCP either.
        Server::start_at(SocketAddr::from(([127, 0, 0, 1], free_port())), manner)
    }

    fn start_at(address: SocketAddr, manner: Manner) -> Server {
        let socket = UdpSocket::bind(address).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let (manner, stop) = (Arc::new(Mutex::new(manner)), Arc::new(AtomicBool::new(false)));
        let (mannered, stopped) = (Arc::clone(&manner), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut waiting: Vec<(Instant, Vec<u8>, SocketAddr)> = Vec::new();
            let mut query = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut query) {
                    let manner = *mannered.lock().expect("not poisoned");
                    let wait = if manner == Manner::Late { LATE } else { Duration::ZERO };
                    if let Some(answer) = answer(&query[..length], manner) {
                        waiting.push((Instant::now() + wait, answer, from));
                    }
                }
                let now = Instant::now();
                for (_, answer, to) in waiting.iter().filter(|(due, _, _)| *due <= now) {
                    let _ = socket.send_to(answer, to);
                }
                waiting.retain(|(due, _, _)| *due > now);
            }
        });
        Server { address, manner, stop, thread: Some(thread) }
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().expect("not poisoned") = manner;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The first label of the question.
fn first_label(query: &[u8]) -> &[u8] {
    let length = usize::from(query[12]);
    &query[13..13 + length]
}

fn answer(query: &[u8], manner: Manner) -> Option<Vec<u8>> {
    let mut end = 12;
    while query[end] != 0 {
        end += usize::from(query[end]) + 1;
    }
    end += 5;
    let is_text = query[end - 3] == 16;
    // What proves a list begins with 2 and 1; we with 25.
    let (always, never) = (first_label(query) == b"2", first_label(query) == b"1");
    let listed = match manner {
        Manner::Silent => return None,
        Manner::SilentOnceProven if !always && !never => return None,
        Manner::Clean | Manner::SilentOnceProven => always,
        Manner::Listing => !never,
        _ => true,
    } && !is_text;
    let (mut flags, mut answers) = (if listed { [0x81, 0x80] } else { [0x81, 0x83] }, u8::from(listed));
    match manner {
        Manner::Truncated => (flags, answers) = ([0x83, 0x80], 0),
        Manner::ServerFailure => (flags, answers) = ([0x81, 0x82], 0),
        _ => {}
    }
    let mut message = query[..2].to_vec();
    if manner == Manner::OtherId {
        message[1] ^= 1;
    }
    if manner == Manner::Garbage {
        message.extend([0x81, 0x80, 0, 9, 0, 9, 0, 9, 0, 9, 0xc0, 0x0c, 0xff]);
        return Some(message);
    }
    message.extend(flags);
    message.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    message.extend(&query[12..end]);
    if manner == Manner::OtherQuestion {
        message[13] = b'x';
    }
    if answers > 0 {
        message.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 2]);
    }
    Some(message)
}

fn daemon(server: &Server) -> Daemon {
    Daemon::start_with(&watching(&format!("[\"{OURS}\"]"), "[{ zone = \"zen.example\" }]", server.address))
}

const LIES: [(Manner, &str); 7] = [
    (Manner::Silent, "timeout"),
    (Manner::Late, "timeout"),
    (Manner::OtherId, "timeout"),
    (Manner::OtherQuestion, "timeout"),
    (Manner::Garbage, "unreachable"),
    (Manner::Truncated, "unreachable"),
    (Manner::ServerFailure, "server-failure"),
];

#[test]
fn a_server_that_is_silent_slow_or_lies_makes_no_case() {
    let server = Server::start(Manner::Silent);
    let daemon = daemon(&server);
    first_round(&daemon);
    for (manner, sanity) in LIES {
        server.behave(manner);
        let rows = round(&daemon);
        assert_eq!(
            state(&rows, OURS, "zen.example"),
            ("unknown".to_owned(), sanity.to_owned()),
            "{manner:?}"
        );
        assert_eq!(of(&rows, OURS, "zen.example", "doubted"), false, "{manner:?}");
    }
    server.behave(Manner::SilentOnceProven);
    let rows = round(&daemon);
    assert_eq!(state(&rows, OURS, "zen.example"), ("unknown".to_owned(), "sane".to_owned()));
    assert_eq!(of(&rows, OURS, "zen.example", "why"), "nothing was answered in time");
    assert!(cases(&daemon).is_empty());
    assert!(metric(&daemon, "relaywarden_dnsbl_failures_total{list=\"zen.example\"}") >= 8);
}

#[test]
fn a_server_that_falls_silent_or_begins_to_lie_frees_nobody() {
    let server = Server::start(Manner::Listing);
    let daemon = daemon(&server);
    first_round(&daemon);
    assert_eq!(state(&round(&daemon), OURS, "zen.example").0, "listed");
    for (manner, sanity) in LIES {
        server.behave(manner);
        let rows = round(&daemon);
        assert_eq!(state(&rows, OURS, "zen.example"), ("listed".to_owned(), sanity.to_owned()), "{manner:?}");
    }
    assert_eq!(cases(&daemon).len(), 1);
    // Only the list itself does, and it has to say so twice.
    server.behave(Manner::Clean);
    let rows = round(&daemon);
    assert_eq!((state(&rows, OURS, "zen.example").0.as_str(), cases(&daemon).len()), ("listed", 1));
    assert_eq!(state(&round(&daemon), OURS, "zen.example").0, "clean");
}

#[test]
fn without_a_list_nothing_is_asked_and_a_reload_begins_and_ends_it() {
    let server = Server::start(Manner::Clean);
    let daemon = Daemon::start();
    let said = daemon.cli(&["reputation"]);
    assert_eq!(printed(&said, 1), "");
    assert!(String::from_utf8_lossy(&said.stderr).contains("[watch.dnsbl]"), "{said:?}");
    let table = format!(
        "[watch.dnsbl]\naddresses = [\"{OURS}\"]\nlists = [{{ zone = \"zen.example\" }}]\nresolver = [\"{}\"]\n\n[session]\n",
        server.address
    );
    edit(&daemon, "[session]\n", &table);
    reload(&daemon);
    assert_eq!(state(&first_round(&daemon), OURS, "zen.example"), ("clean".to_owned(), "sane".to_owned()));
    edit(&daemon, "zen.example", "bl.example");
    reload(&daemon);
    eventually("the other list to be asked instead", || {
        let rows = rows(&daemon);
        (rows.len() == 1 && rows[0]["list"] == "bl.example" && rows[0]["state"] == "clean").then_some(())
    });
    edit(&daemon, &table.replace("zen.example", "bl.example"), "[session]\n");
    reload(&daemon);
    eventually("nothing to be asked", || rows(&daemon).is_empty().then_some(()));
}

#[test]
fn without_a_resolver_of_its_own_it_asks_whom_the_host_asks_now() {
    if !inside_own_network("reputation::without_a_resolver_of_its_own_it_asks_whom_the_host_asks_now") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let hosts = home.path().join("resolv.conf");
    let configure = |text: &str| fs::write(&hosts, text).expect("our own file");
    configure("nameserver 127.0.0.9\n");
    let bound =
        command("mount").arg("--bind").arg(&hosts).arg("/etc/resolv.conf").status().expect("mount starts");
    assert!(bound.success(), "/etc/resolv.conf can't be replaced in here");
    let server = Server::start_at(SocketAddr::from(([127, 0, 0, 1], 53)), Manner::Clean);
    let mut daemon = daemon(&server);
    daemon.terminate();
    edit(&daemon, &format!("resolver = [\"{}\"]\n", server.address), "");
    daemon.launch();
    daemon.wait_until_ready();
    let at_first = state(&first_round(&daemon), OURS, "zen.example");
    assert_eq!(at_first, ("unknown".to_owned(), "timeout".to_owned()), "nobody is there");
    configure("# moved\nnameserver 127.0.0.1\nsearch example\n");
    let rows = round(&daemon);
    assert_eq!(state(&rows, OURS, "zen.example"), ("clean".to_owned(), "sane".to_owned()));
    // Half a file.
    configure("nameserv");
    let after = state(&round(&daemon), OURS, "zen.example");
    assert_eq!(after, ("unknown".to_owned(), "unreachable".to_owned()));
}

/// Whoever stood out before a listing is limited until it is over.
const UNTIL_DELISTED: &str = r#"
[[rule]]
name = "listed"
when = "listing"
then = "limit until delisted"
mode = "enforce""#;

/// What happened in the only case, once this did.
fn history(daemon: &Daemon, what: &str) -> Vec<String> {
    eventually(&format!("the case to have {what}"), || {
        let case = cases(daemon).pop()?;
        let events = case["history"].as_array()?;
        let events: Vec<String> =
            events.iter().map(|event| event["what"].as_str().unwrap_or_default().to_owned()).collect();
        events.iter().any(|event| event == what).then_some(events)
    })
}

#[test]
fn who_stood_out_before_a_listing_is_limited_until_the_list_says_that_it_is_over() {
    let server = Server::start(Manner::Clean);
    let wanted = watching(&format!("[\"{OURS}\"]"), "[{ zone = \"zen.example\" }]", server.address);
    let mut daemon = Daemon::start_with(&Wanted { policy: UNTIL_DELISTED, ..wanted });
    let (alice, bob) = ("100.64.0.7", "100.64.0.8");
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", alice);
    nas.report(Status::Start, "bob", "s2", bob);
    for (client, count) in [(alice, 15), (bob, 2)] {
        let mut policy = Policy::connect(daemon.policy);
        for number in 0..count {
            let instance = format!("{client}.{number}");
            let mail = Mail { client, instance: &instance, ..Mail::default() };
            assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["OK", "DUNNO"]);
        }
    }
    first_round(&daemon);
    server.behave(Manner::Listing);
    round(&daemon);
    assert_eq!(state(&round(&daemon), OURS, "zen.example").0, "listed");
    assert_eq!(history(&daemon, "limited"), ["opened", "limited"]);
    let held = daemon.json(&["suspensions"]).expect("one");
    assert_eq!(held.as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!(
        (&held[0]["subject"], &held[0]["standing"], &held[0]["until_delisted"][0]),
        (&"alice".into(), &"limited".into(), &"192.0.2.25 on zen.example".into())
    );
    assert!(printed(&daemon.cli(&["suspensions"]), 0).contains("delisted"));

    // Neither who closes the case, nor a restart, nor a configuration without the rule and the list changes that.
    let id = held[0]["case"].to_string();
    daemon.order(&["cases", "close", &id, "--reason", "told the customer"]);
    daemon.restart();
    assert_eq!(state(&first_round(&daemon), OURS, "zen.example").0, "listed", "it is remembered");
    let table = format!(
        "[watch.dnsbl]\naddresses = [\"{OURS}\"]\nlists = [{{ zone = \"zen.example\" }}]\nresolver = [\"{}\"]\ntimeout = \"1s\"\n",
        server.address
    );
    edit(&daemon, UNTIL_DELISTED, "");
    edit(&daemon, &table, "");
    reload(&daemon);
    history(&daemon, "noted");
    assert_eq!(daemon.json(&["suspensions"]), Some(held));
    edit(&daemon, "[session]\n", &format!("{table}[session]\n"));
    reload(&daemon);
    server.behave(Manner::Silent);
    first_round(&daemon);
    assert_eq!(state(&round(&daemon), OURS, "zen.example").0, "listed", "silence frees nobody");

    server.behave(Manner::Clean);
    round(&daemon);
    assert_eq!(state(&round(&daemon), OURS, "zen.example").0, "clean");
    let told = history(&daemon, "released");
    assert_eq!(told, ["opened", "limited", "closed", "noted", "delisted", "released"]);
    let case = cases(&daemon).pop().expect("the case");
    let last = &case["history"][5];
    assert_eq!(
        (&last["by"], &last["subject"], &last["note"]),
        (&"rule:listed".into(), &"alice".into(), &"192.0.2.25 is no longer on zen.example".into())
    );
    assert_eq!(daemon.json(&["suspensions"]), None, "nobody is held back");
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    first_round(&daemon);
    assert_eq!((daemon.json(&["suspensions"]), cases(&daemon).len()), (None, 1));
}
