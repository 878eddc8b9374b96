//! A restart, clean or not, changes no answer: about the present, the past, standing, messages, and what is due later.

use std::time::Duration;

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::{Attributes, Feed, Status};
use crate::house::a_moment;

const ONLINE: &str = "100.64.0.7";
const SUSPENDED: &str = "100.64.0.8";
const LEFT: &str = "100.64.0.9";
const STATIC: &str = "192.0.2.3";
const NOBODY: &str = "100.64.0.200";

/// Without what tells when the question was asked, or how often a NAS was heard.
fn lasting(mut value: Value) -> Value {
    match &mut value {
        Value::Array(rows) => rows.iter_mut().for_each(|row| *row = lasting(row.take())),
        Value::Object(fields) => {
            fields.remove("last_seen");
            if fields.contains_key("verdict") && fields.contains_key("confidence") {
                fields.remove("at");
            }
        }
        _ => {}
    }
    value
}

/// Everything that anybody can ask here.
fn answers(daemon: &Daemon, then: &str) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for address in [ONLINE, SUSPENDED, LEFT, STATIC, NOBODY, "2001:db8:7::1"] {
        for map in ["relay", "access", "subscriber"] {
            answers.push((format!("{map} {address}"), daemon.map(map, address)));
        }
        for at in [None, Some(then)] {
            let question: Vec<&str> =
                ["who", address].into_iter().chain(at.into_iter().flat_map(|at| ["--at", at])).collect();
            answers.push((question.join(" "), format!("{:#}", lasting(who(daemon, &question)))));
        }
    }
    for question in [
        ["sessions", "--subscriber", "alice"],
        ["sessions", "--subscriber", "carol"],
        ["messages", "--subscriber", "alice"],
        ["suspensions", "--tz", "UTC"],
    ] {
        let rows = daemon.json(&question).expect("rows");
        answers.push((question.join(" "), format!("{:#}", lasting(rows))));
    }
    answers
}

/// `who` ends with 1 where nobody is found, and with 75 where that is not certain; it says its answer all the same.
fn who(daemon: &Daemon, question: &[&str]) -> Value {
    let output = daemon.cli(&[question, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn lived_in() -> (Daemon, String) {
    let relay = "static = [{ prefix = \"192.0.2.0/28\", subscriber = \"office\" }]";
    let daemon = Daemon::start_with(&Wanted { relay, ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "carol", "s0", NOBODY);
    nas.report(Status::Start, "alice", "s1", ONLINE);
    nas.report(Status::Start, "bob", "s2", SUSPENDED);
    nas.report(Status::Start, "carol", "s3", LEFT);
    let home = Attributes::record(Status::Start, "dora", "s4", "100.64.0.10".parse().expect("an address"))
        // Delegated-IPv6-Prefix (RFC 4818): 2001:db8:7::/48.
        .with(123, &[0, 48, 0x20, 0x01, 0x0d, 0xb8, 0, 7]);
    assert!(nas.tell(&home));
    let then = a_moment();
    nas.report(Status::Stop, "carol", "s3", LEFT);
    let mut policy = Policy::connect(daemon.policy);
    let mail = Mail { client: ONLINE, ..Mail::default() };
    assert_eq!(policy.rcpt(&mail), "OK");
    assert_eq!(policy.end_of_message(&mail), "DUNNO");
    daemon.order(&["suspend", "bob", "--reason", "an open proxy"]);
    daemon.messages(&["--subscriber", "alice"], 1);
    assert_eq!(daemon.map("relay", ONLINE), "OK alice");
    assert_eq!(daemon.map("relay", SUSPENDED), "NOTFOUND ");
    assert_eq!(daemon.map("relay", LEFT), "TEMP just-freed");
    assert_eq!(daemon.map("relay", "2001:db8:7::1"), "OK dora");
    (daemon, then)
}

fn assert_same(before: &[(String, String)], after: &[(String, String)], how: &str) {
    for ((question, before), (_, after)) in before.iter().zip(after) {
        assert_eq!(before, after, "{question}: before and after {how}");
    }
}

#[test]
fn a_clean_restart_changes_no_answer() {
    let (mut daemon, then) = lived_in();
    let before = answers(&daemon, &then);
    for turn in 1..=3 {
        daemon.restart();
        assert_same(&before, &answers(&daemon, &then), &format!("restart {turn}"));
    }
}

#[test]
fn a_crash_changes_no_answer() {
    let (mut daemon, then) = lived_in();
    let before = answers(&daemon, &then);
    for turn in 1..=3 {
        daemon.crash();
        daemon.launch();
        daemon.wait_until_ready();
        assert_same(&before, &answers(&daemon, &then), &format!("crash {turn}"));
    }
}

#[test]
fn a_deadline_that_falls_into_a_restart_is_kept() {
    let session = "warm-up = \"0s\"\ndefer-after-stop = \"3s\"";
    let mut daemon = Daemon::start_with(&Wanted { session, ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ONLINE);
    nas.report(Status::Stop, "alice", "s1", ONLINE);
    assert_eq!(daemon.map("relay", ONLINE), "TEMP just-freed");
    daemon.terminate();
    daemon.launch();
    daemon.wait_until_ready();
    eventually("the grace to end without anything being heard", || {
        (daemon.map("relay", ONLINE) == "NOTFOUND ").then_some(())
    });
    let who = who(&daemon, &["who", ONLINE]);
    assert_eq!(who["reason"], "not-online", "{who}");
}

#[test]
fn a_suspension_ends_at_its_hour_also_when_nobody_is_there_then() {
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ONLINE);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let until = until.to_string();
    daemon.order(&["suspend", "alice", "--reason", "a short one", "--until", &until]);
    assert_eq!(daemon.map("relay", ONLINE), "NOTFOUND ");
    daemon.restart();
    eventually("the suspension to end", || (daemon.map("relay", ONLINE) == "OK alice").then_some(()));
    assert!(daemon.json(&["suspensions"]).is_none());
}

#[test]
fn what_is_sent_while_no_daemon_runs_waits_in_the_socket_that_a_service_manager_holds() {
    let mut daemon = Daemon::start();
    daemon.terminate();
    daemon.hold_socket();
    daemon.launch();
    daemon.wait_until_ready();
    daemon.nas().report(Status::Start, "alice", "s0", "198.51.100.1");
    daemon.terminate();
    let mut feed = Feed::new(daemon.nas(), 200);
    for number in 1..=200_u8 {
        let session = format!("s{number}");
        let address = [198, 51, 101, number].into();
        feed.send(&Attributes::record(Status::Start, "bob", &session, address), number);
    }
    daemon.launch();
    // Nothing is sent again.
    let mut missing = 200;
    eventually("all of them to be acknowledged", || {
        missing -= feed.acknowledged(Duration::from_millis(50)).len();
        (missing == 0).then_some(())
    });
    assert_eq!(daemon.map("subscriber", "198.51.101.200"), "OK bob");
    assert_eq!(daemon.map("subscriber", "198.51.100.1"), "OK alice");
}
