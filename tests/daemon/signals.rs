//! Who does not send as usual: the case that says so, the rule that acts on it, and a crash in between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::Status;
use crate::house::{metric, printed};

const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";

/// Nothing need be learned first; and who was a stranger to so many strangers is stopped.
const WATCHED: &str = r#"
[trend]
learn = "0s"
[[rule]]
name = "bot"
when = "strangers >= 9"
then = "suspend 24h"
mode = "enforce""#;

fn world() -> Daemon {
    let daemon = Daemon::start_with(&Wanted { policy: WATCHED, ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    daemon
}

/// One message each to so many people to whom nobody here ever wrote.
fn to_strangers(daemon: &Daemon, client: &str, numbers: std::ops::Range<u32>) {
    let mut policy = Policy::connect(daemon.policy);
    for number in numbers {
        let recipient = format!("somebody@d{number}.example");
        let instance = format!("{client}.{number}");
        let mail = Mail { client, instance: &instance, recipient: &recipient, ..Mail::default() };
        assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["OK", "DUNNO"], "{number}");
    }
}

fn signals(daemon: &Daemon) -> Vec<Value> {
    let cases = daemon.json(&["cases", "--kind", "signal"]).unwrap_or_default();
    cases.as_array().cloned().unwrap_or_default()
}

#[test]
fn nine_messages_to_strangers_open_a_case_and_the_rule_stops_that_sender_and_nobody_else() {
    let mut daemon = world();
    to_strangers(&daemon, ALICE, 0..8);
    // What was learned is not forgotten in a crash, and what was nothing before it is nothing after it.
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(signals(&daemon), Vec::<Value>::new());
    to_strangers(&daemon, ALICE, 8..9);
    let case = eventually("a case", || signals(&daemon).pop());
    assert_eq!(case["subscribers"][0], "alice", "{case}");
    let signal = &case["evidence"][0]["signal"];
    assert_eq!(
        (&signal["name"], &signal["value"], &signal["threshold"]),
        (&"strangers".into(), &9.into(), &9.into()),
        "{case}"
    );
    assert_eq!(
        signal["words"],
        "9 messages within half an hour under new sender addresses to new domains; nothing is known of the days before"
    );
    let rcpt = |client| {
        Policy::connect(daemon.policy).rcpt(&Mail { client, recipient: "x@d99.example", ..Mail::default() })
    };
    eventually("the rule to act", || rcpt(ALICE).starts_with("550 5.7.1 ").then_some(()));
    assert_eq!(rcpt(BOB), "OK");

    // It was her club. She is let go, and the rule has had its say about this case.
    let id = case["id"].to_string();
    daemon.order(&["cases", "release", &id, "--reason", "she called"]);
    daemon.order(&["cases", "dismiss", &id, "--reason", "invitations of her club"]);
    to_strangers(&daemon, ALICE, 9..12);
    assert_eq!(signals(&daemon)[0]["state"], "closed");
}

/// What rspamd tells of a message with a virus; the status of the answer.
fn infected(daemon: &Daemon, token: &str, client: &str) -> u16 {
    let body = format!(
        r#"{{"action":"reject","score":20,"ip":"{client}","symbols":[{{"name":"CLAM_VIRUS","options":["Eicar"]}}]}}"#
    );
    let mut stream = TcpStream::connect(daemon.web).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    write!(
        stream,
        "POST /v1/verdicts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[test]
fn one_virus_is_a_signal_before_anything_was_learned_and_a_rule_stops_its_sender() {
    let rule =
        "\n[[rule]]\nname = \"virus\"\nwhen = \"virus >= 1\"\nthen = \"suspend 24h\"\nmode = \"enforce\"";
    let daemon = Daemon::start_with(&Wanted { policy: rule, web: true, ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    let token = ["token", "create", "--role", "operator", "--scope", "verdicts", "--note", "rspamd"];
    let token = printed(&daemon.cli(&token), 0).trim().to_owned();
    assert_eq!(infected(&daemon, &token, "100.64.9.9"), 200, "nobody's");
    assert_eq!(infected(&daemon, &token, ALICE), 200);
    let case = eventually("a case", || signals(&daemon).pop());
    assert_eq!(
        (&case["subscribers"][0], &case["evidence"][0]["signal"]["name"]),
        (&"alice".into(), &"virus".into())
    );
    let rcpt = |client| Policy::connect(daemon.policy).rcpt(&Mail { client, ..Mail::default() });
    eventually("the rule to act", || rcpt(ALICE).starts_with("550 5.7.1 ").then_some(()));
    assert_eq!((rcpt(BOB).as_str(), signals(&daemon).len()), ("OK", 1));
}

#[test]
fn where_mail_servers_have_an_address_in_different_spaces_a_scanners_word_of_it_accuses_nobody() {
    let elsewhere = "\n[[mta]]\nname = \"mx2\"\naddress = \"192.0.2.25\"\nrealm = \"vrf-b\"";
    let daemon = Daemon::start_with(&Wanted { policy: elsewhere, web: true, ..Wanted::default() });
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let token = ["token", "create", "--role", "operator", "--scope", "verdicts", "--note", "rspamd"];
    let token = printed(&daemon.cli(&token), 0).trim().to_owned();
    assert_eq!(infected(&daemon, &token, ALICE), 200);
    let count = |outcome: &str| {
        let name =
            format!("relaywarden_scanned_total{{verdict=\"virus\",by=\"scanner\",outcome=\"{outcome}\"}}");
        metric(&daemon, &name)
    };
    eventually("it to be counted", || (count("nobodys") == 1).then_some(()));
    assert_eq!(daemon.json(&["scanned"]), None);
}

#[test]
fn where_signals_are_switched_off_nobody_is_looked_at() {
    let daemon = Daemon::start_with(&Wanted {
        policy: "\n[trend]\nlearn = \"0s\"\nsignals = false",
        ..Wanted::default()
    });
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    to_strangers(&daemon, ALICE, 0..30);
    assert_eq!(signals(&daemon), Vec::<Value>::new());
}

#[test]
fn a_site_that_was_broken_into_has_a_case_by_its_own_name_and_its_neighbour_sends_on() {
    let mut daemon = Daemon::start_with(&Wanted {
        relay: "static = [{ prefix = \"192.0.2.16/28\", subscriber = \"web\", within = \"sender-domain\" }]",
        policy: "\n[trend]\nlearn = \"0s\"",
        ..Wanted::default()
    });
    let send = |daemon: &Daemon, sender: &str, numbers: std::ops::Range<u32>| {
        let mut policy = Policy::connect(daemon.policy);
        for number in numbers {
            let recipient = format!("somebody@d{number}.example");
            let instance = format!("{sender}.{number}");
            let mail = Mail { client: "192.0.2.17", sender, recipient: &recipient, ..Mail::default() };
            let mail = Mail { instance: &instance, ..mail };
            assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["OK", "DUNNO"], "{number}");
        }
    };
    let within = |daemon: &Daemon| -> Vec<Value> {
        let cases = signals(daemon).into_iter();
        cases.filter(|case| case["within"].is_array()).collect()
    };
    send(&daemon, "www@club.example", 100..103);
    send(&daemon, "www@shop.example", 0..8);
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(within(&daemon), Vec::<Value>::new());
    send(&daemon, "info@shop.example", 8..9);
    let case = eventually("a case", || within(&daemon).pop());
    assert_eq!((&case["within"][0], &case["confidence"]), (&"web/shop.example".into(), &"exact".into()));
    assert_eq!(case["evidence"][0]["signal"]["name"], "strangers", "{case}");
    assert_eq!(within(&daemon).len(), 1);

    daemon.order(&["cases", "suspend", &case["id"].to_string(), "--reason", "broken into"]);
    let rcpt = |sender| {
        let mail = Mail { client: "192.0.2.17", sender, recipient: "x@d99.example", ..Mail::default() };
        Policy::connect(daemon.policy).rcpt(&mail)
    };
    assert!(rcpt("www@shop.example").starts_with("550 5.7.1 "));
    assert_eq!(rcpt("www@club.example"), "OK");
    daemon.order(&["release", "--within", "web/shop.example", "--reason", "cleaned"]);
    assert_eq!(rcpt("www@shop.example"), "OK");
}
