//! Who does not send as usual: the case that says so, the rule that acts on it, and a crash in between.

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::Status;

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
