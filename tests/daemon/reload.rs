//! `SIGHUP`: what is read again holds from then on, what was before stays known, and nothing is lost meanwhile.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::asking::Socketmap;
use crate::common::daemon::{Daemon, SECRET_V6, Wanted};
use crate::common::nas::{Attributes, Nas, Status};
use crate::house::{a_moment, edit, reload};

const ONCE: Duration = Duration::from_secs(3);
const NEW_SECRET: &str = "a secret that nobody knew";

fn start(number: u32) -> Attributes {
    let address = format!("100.64.{}.{}", number / 200, number % 200 + 1).parse().expect("an address");
    Attributes::record(Status::Start, &format!("u{number}"), &format!("s{number}"), address)
}

#[test]
fn twenty_reloads_lose_no_packet_of_a_constant_stream() {
    let daemon = Daemon::start();
    let over = AtomicBool::new(false);
    let unanswered = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let mut nas = daemon.nas();
            let mut numbers = 0..;
            let mut unanswered = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let number = numbers.next().unwrap_or_default();
                // Sent once: a lost packet can't hide behind its repetition.
                if !nas.tell_once(&start(number), ONCE) {
                    unanswered.push(number);
                }
            }
            assert!(numbers.start > 20, "too little was sent to prove anything");
            unanswered
        });
        for turn in 0..20 {
            let (from, to) = if turn % 2 == 0 {
                ("[relay]\n", "[relay]\nnever = [\"192.0.2.250\"]\n")
            } else {
                ("[relay]\nnever = [\"192.0.2.250\"]\n", "[relay]\n")
            };
            edit(&daemon, from, to);
            let told = reload(&daemon);
            assert!(told.contains("read again"), "{told}");
        }
        over.store(true, Ordering::Relaxed);
        stream.join().expect("the stream ends")
    });
    assert_eq!(unanswered, Vec::<u32>::new(), "each was sent once");
    assert_eq!(daemon.map("relay", "100.64.0.1"), "OK u0");
}

#[test]
fn a_new_secret_and_a_new_client_hold_from_the_reload_on() {
    let daemon = Daemon::start();
    let record =
        || Attributes::record(Status::Interim, "alice", "s1", "2001:db8::7".parse().expect("address"));
    let brief = Duration::from_millis(300);
    assert!(Nas::new(daemon.radius_v6, SECRET_V6.as_bytes()).tell(&record()));

    edit(&daemon, "address = \"::1/128\"", "address = \"2001:db8:ffff::1/128\"");
    reload(&daemon);
    let silence = !Nas::new(daemon.radius_v6, SECRET_V6.as_bytes()).tell_once(&record(), brief);
    assert!(silence, "a client that is gone is answered");

    edit(&daemon, "address = \"2001:db8:ffff::1/128\"", "address = \"::1/128\"");
    edit(&daemon, "secret-file = \"secret6\"", &format!("secret = \"{NEW_SECRET}\""));
    reload(&daemon);
    assert!(Nas::new(daemon.radius_v6, NEW_SECRET.as_bytes()).tell(&record()), "a new client is answered");
    let silence = !Nas::new(daemon.radius_v6, SECRET_V6.as_bytes()).tell_once(&record(), brief);
    assert!(silence, "the old secret is still good");
}

#[test]
fn a_bad_file_keeps_the_old_and_says_where_it_is_bad() {
    let daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    let good = fs::read_to_string(daemon.configuration()).expect("our own file");
    edit(&daemon, "[relay]\n", "[relay]\nnevr = [\"100.64.0.7\"]\n");
    let told = reload(&daemon);
    let place = good.lines().position(|line| line == "[relay]").map_or(0, |line| line + 2);
    for word in ["kept as it was", "nevr", &format!("relaywarden.toml:{place}")] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert_eq!(daemon.map("relay", "100.64.0.7"), "OK alice");
    daemon.nas().report(Status::Start, "bob", "s2", "100.64.0.8");
    assert_eq!(daemon.map("relay", "100.64.0.8"), "OK bob", "it goes on with what it had");

    fs::write(daemon.configuration(), good).expect("our own file");
    assert!(reload(&daemon).contains("read again"), "the next good file is taken");
}

#[test]
fn a_static_range_has_a_past() {
    let relay = "static = [{ prefix = \"192.0.2.0/28\", subscriber = \"office\" }]";
    let mut daemon = Daemon::start_with(&Wanted { relay, ..Wanted::default() });
    assert_eq!(daemon.map("subscriber", "192.0.2.3"), "OK office");
    let then = a_moment();
    edit(&daemon, "subscriber = \"office\"", "subscriber = \"branch\"");
    reload(&daemon);
    let past_and_present = |daemon: &Daemon| {
        assert_eq!(daemon.map("subscriber", "192.0.2.3"), "OK branch");
        let who = daemon.json(&["who", "192.0.2.3", "--at", &then]).expect("somebody had it");
        assert_eq!((&who["subscriber"], &who["confidence"]), (&"office".into(), &"exact".into()), "{who}");
    };
    past_and_present(&daemon);
    daemon.restart();
    past_and_present(&daemon);

    edit(&daemon, relay_of("branch"), "");
    reload(&daemon);
    assert_eq!(daemon.map("subscriber", "192.0.2.3"), "NOTFOUND ");
    past_and_gone(&daemon, &then);
}

#[test]
fn a_list_of_prefixes_is_read_again_and_a_bad_line_in_it_keeps_the_old() {
    let mut daemon = Daemon::start();
    let list = daemon.configuration().with_file_name("prefixes.csv");
    let listed = |lines: &str| fs::write(&list, lines).expect("our own directory");
    listed("office,192.0.2.0/28,always\nsmith,2001:db8:42::/48,online\n");
    edit(&daemon, "[session]\n", "[subscriber]\nprefixes = \"prefixes.csv\"\n[session]\n");
    reload(&daemon);
    assert_eq!(daemon.map("relay", "192.0.2.3"), "OK office");
    let then = a_moment();

    listed("branch,192.0.2.0/28,always\n");
    reload(&daemon);
    assert_eq!(daemon.map("relay", "192.0.2.3"), "OK branch", "the configuration itself is the same");

    listed("branch,192.0.2.0/28,always\nbranch,192.0.2.0/16,always\n");
    let told = reload(&daemon);
    for word in ["kept as it was", "prefixes.csv:2:8"] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert_eq!(daemon.map("relay", "192.0.2.3"), "OK branch");

    listed("");
    reload(&daemon);
    assert_eq!(daemon.map("relay", "192.0.2.3"), "NOTFOUND ");
    past_and_gone(&daemon, &then);
    daemon.restart();
    past_and_gone(&daemon, &then);
}

fn relay_of(subscriber: &str) -> &'static str {
    assert_eq!(subscriber, "branch");
    "static = [{ prefix = \"192.0.2.0/28\", subscriber = \"branch\" }]"
}

fn past_and_gone(daemon: &Daemon, then: &str) {
    let who = daemon.json(&["who", "192.0.2.3", "--at", then]).expect("somebody had it");
    assert_eq!(who["subscriber"], "office", "a range that nobody has any more had an owner: {who}");
}

#[test]
fn another_socket_waits_for_the_next_start_and_the_file_of_that_name_is_left_alone() {
    let mut daemon = Daemon::start();
    let old = daemon.socket();
    let other = old.with_file_name("other.sock");
    fs::write(&other, "somebody else's").expect("our own directory");
    edit(&daemon, &format!("socket = \"{}\"", old.display()), &format!("socket = \"{}\"", other.display()));
    let told = reload(&daemon);
    assert!(told.contains("[http] has changed: that takes effect at the next start"), "{told}");
    assert_eq!(daemon.http("/healthz").map(|(status, _)| status), Some(200), "the old one still answers");
    daemon.terminate();
    assert!(!old.exists(), "our own socket goes with us");
    assert_eq!(fs::read_to_string(&other).expect("it is still there"), "somebody else's");
}

#[test]
fn a_realm_and_a_translation_hold_from_the_reload_on() {
    let daemon = Daemon::start();
    // ERX-Virtual-Router-Name.
    let vrf = [[0, 0, 0x13, 0x0a, 1, 6].as_slice(), b"gold"].concat();
    let address = "100.64.0.7".parse().expect("an address");
    assert!(daemon.nas().tell(&Attributes::record(Status::Start, "alice", "s1", address).with(26, &vrf)));
    assert_eq!(daemon.map("subscriber", "100.64.0.7"), "NOTFOUND ", "it is not in the public space");
    assert_eq!(daemon.map("subscriber", "192.0.2.0 1724"), "NOTFOUND ");

    edit(&daemon, "[socketmap]\n", "[socketmap]\nrealm = \"gold\"\n");
    let nat = "[[nat]]\ninside = \"100.64.0.0/24\"\noutside = \"192.0.2.0\"\nblock = 100\nrealm = \"gold\"\n\n[relay]\n";
    edit(&daemon, "[relay]\n", nat);
    let told = reload(&daemon);
    assert!(!told.contains("at the next start"), "no socket has changed: {told}");
    assert_eq!(daemon.map("subscriber", "100.64.0.7"), "OK alice");
    assert_eq!(daemon.map("subscriber", "192.0.2.0 1724"), "OK alice");
    assert_eq!(daemon.map("relay", "192.0.2.0"), "TEMP port-required");
    assert_eq!(daemon.map("subscriber", "192.0.2.0 1824"), "NOTFOUND ", "the neighbour's block");
}

#[test]
fn room_for_connections_holds_from_the_next_start_on() {
    let mut daemon = Daemon::start();
    edit(&daemon, "[relay]\n", "[room]\nconnections = 10\n[relay]\n");
    let told = reload(&daemon);
    assert!(told.contains("[room] has changed: that takes effect at the next start"), "{told}");
    daemon.restart();
    let mut held: Vec<_> = (0..10).map(|_| Socketmap::connect(daemon.socketmap)).collect();
    for connection in &mut held {
        assert_eq!(connection.ask("relay", "100.64.0.1"), "NOTFOUND ");
    }
    let mut eleventh = TcpStream::connect(daemon.socketmap).expect("it listens");
    eleventh.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    assert_eq!(eleventh.read(&mut [0]).expect("closed at once"), 0);
    assert_eq!(held.pop().expect("ten").ask("relay", "100.64.0.1"), "NOTFOUND ");
}
