//! Message-IDs: a milter sees them behind policy delegation, messages are found by them, and complaints that quote little else.

use serde_json::{Value, json};

use crate::common::asking::{Content, Mail, Policy};
use crate::common::daemon::{Daemon, Wanted, text};
use crate::common::eventually;
use crate::common::nas::Status;
use crate::complaints::{Report, field, taken};

const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";
/// One of our own servers, from which reporters get what our customers send.
const OURS: &str = "198.51.100.25";
/// As reports of these tests quote it.
const ID: &str = "<1@x>";

fn online(milter: &'static str) -> Daemon {
    let daemon = Daemon::start_with(&Wanted { milter: Some(milter), ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    daemon
}

fn written_down(daemon: &Daemon, client: &str, queue_id: &str) {
    let mut policy = Policy::connect(daemon.policy);
    let mail = Mail { client, instance: queue_id, queue_id, ..Mail::default() };
    assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["OK", "DUNNO"]);
}

fn seen(daemon: &Daemon, client: &str, queue_id: &str, headers: &[(&str, &str)]) {
    assert_eq!(Content { client, queue_id, headers }.told(daemon.milter), 'c', "every message passes");
}

/// Queue ids of the messages with this Message-ID, newest first.
fn named(daemon: &Daemon, id: &str) -> Vec<String> {
    let found = daemon.json(&["messages", "--message-id", id]).unwrap_or_default();
    found.as_array().into_iter().flatten().map(|row| field(row, "queue_id").to_owned()).collect()
}

fn counted(daemon: &Daemon, name: &str) -> u64 {
    let (_, metrics) = daemon.http("/metrics").expect("the daemon answers");
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// Until so many are on disk.
fn recorded(daemon: &Daemon, count: u64) {
    eventually(&format!("{count} Message-IDs on disk"), || {
        let name = "relaywarden_message_ids_total{outcome=\"recorded\"}";
        (counted(daemon, name) == count).then_some(())
    });
}

#[test]
fn a_message_is_found_by_the_first_message_id_that_a_milter_saw_and_by_no_other_customers() {
    let mut daemon = online("");
    written_down(&daemon, ALICE, "4bAlice");
    let headers = [("Subject", "hello"), ("MESSAGE-Id", "\r\n <1@x>"), ("Message-ID", "<2@x>")];
    seen(&daemon, ALICE, "4bAlice", &headers);
    recorded(&daemon, 1);
    // Twice seen is once written; another's client with the same queue id, and a message that nobody wrote down, are none.
    seen(&daemon, ALICE, "4bAlice", &[("Message-ID", "<3@x>")]);
    seen(&daemon, BOB, "4bAlice", &[("Message-ID", "<4@x>")]);
    seen(&daemon, ALICE, "4bNever", &[("Message-ID", "<5@x>")]);
    written_down(&daemon, ALICE, "4bWithout");
    seen(&daemon, ALICE, "4bWithout", &[("Subject", "none")]);
    // Whoever copies one is found with it, and is not taken for whom it was copied from.
    written_down(&daemon, BOB, "4bBob");
    seen(&daemon, BOB, "4bBob", &[("Message-ID", ID)]);
    written_down(&daemon, BOB, "4bHostile");
    let hostile = format!("<{}\u{1b}[2J\u{202e}{}@x>", "=cmd()", "a".repeat(5000));
    seen(&daemon, BOB, "4bHostile", &[("Message-ID", &hostile)]);
    recorded(&daemon, 3);
    let told = |daemon: &Daemon| {
        assert_eq!(named(daemon, ID), ["4bBob", "4bAlice"]);
        assert_eq!(named(daemon, "1@x"), ["4bBob", "4bAlice"], "brackets are no part of it");
        for other in ["<2@x>", "<3@x>", "<4@x>", "<5@x>"] {
            assert_eq!(named(daemon, other), [""; 0], "{other}");
        }
        let only = daemon.json(&["messages", "--message-id", ID, "--subscriber", "alice"]).expect("a row");
        assert_eq!((only[0]["message_id"].as_str(), only[1].as_object()), (Some("1@x"), None), "{only}");
        let ids: Vec<_> = daemon.messages(&[], 4).iter().map(|row| row["message_id"].clone()).collect();
        assert!(ids[0].as_str().is_some_and(|id| id.starts_with("0x") && id.len() < 2100), "{ids:?}");
        assert_eq!(ids[1..], [json!("1@x"), Value::Null, json!("1@x")]);
    };
    told(&daemon);
    let empty = daemon.cli(&["messages", "--message-id", "<>"]);
    assert_eq!(empty.status.code(), Some(2), "{}", text(&empty.stderr));
    daemon.restart();
    told(&daemon);
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    told(&daemon);
}

#[test]
fn a_complaint_is_led_by_a_message_id_where_address_and_time_are_of_that_message_and_by_itself_to_nobody() {
    let daemon = online("");
    written_down(&daemon, ALICE, "4bAlice");
    seen(&daemon, ALICE, "4bAlice", &[("Message-ID", ID)]);
    recorded(&daemon, 1);
    let alice = daemon.messages(&["--subscriber", "alice"], 1).remove(0);
    let at = field(&alice, "at");
    // The queue id is that of a relay behind ours, which names our customer in its header.
    let report =
        Report { reporter: "a@example.org", source: "", token: "", queue_id: "4bOther", client: ALICE, at };
    // Where the source address is another customer's, nobody is named.
    let differs = Report { reporter: "g@example.org", source: BOB, ..report };
    let row = taken(&daemon, &differs.text());
    assert_eq!((&row["subscriber"], &row["confidence"]), (&Value::Null, &"ambiguous".into()), "{row}");
    // Another customer's message with the same one is none that the report is about.
    written_down(&daemon, BOB, "4bBob");
    seen(&daemon, BOB, "4bBob", &[("Message-ID", ID)]);
    recorded(&daemon, 2);
    let row = taken(&daemon, &report.text());
    assert_eq!((&row["subscriber"], &row["confidence"]), (&"alice".into(), &"exact".into()), "{row}");
    assert_eq!(row["because"], "by message-id", "{row}");
    let ways: Vec<_> = row["ways"].as_array().expect("ways").iter().map(|way| field(way, "way")).collect();
    assert_eq!(ways, ["queue-id", "message-id"]);
    assert_eq!((&row["messages"][0]["queue_id"], &row["messages"][1]), (&"4bAlice".into(), &Value::Null));

    // Somebody writes a Message-ID that he has seen into mail of his own, and sends it by another provider: nobody is accused, and
    // nobody is named.
    let elsewhere = "203.0.113.99";
    let (day_before, forged) = ("2026-11-23T14:00:00Z", Report { queue_id: "", ..report });
    for (reporter, report) in [
        ("b@example.org", Report { source: elsewhere, ..forged }),
        ("c@example.org", Report { source: OURS, ..forged }),
        ("d@example.org", Report { source: "", ..forged }),
        ("e@example.org", Report { queue_id: "4bOther", client: elsewhere, ..forged }),
        ("f@example.org", Report { queue_id: "4bOther", at: day_before, ..forged }),
    ] {
        let row = taken(&daemon, &Report { reporter, ..report }.text());
        assert_eq!((&row["subscriber"], &row["confidence"]), (&Value::Null, &"unknown".into()), "{row}");
        assert_eq!((&row["candidates"], &row["messages"]), (&json!([]), &json!([])), "{row}");
        let way = row["ways"].as_array().and_then(|ways| ways.iter().find(|way| way["way"] == "message-id"));
        let way = way.unwrap_or_else(|| panic!("it says why: {row}"));
        assert!(
            field(&way["answer"], "because").contains("whoever has seen a Message-ID can write it"),
            "{way}"
        );
        let case = daemon.json(&["cases", &row["case"].to_string()]).expect("the case");
        assert_eq!(case["subscribers"], json!([]), "{case}");
    }
}

#[test]
fn what_was_said_of_a_message_before_a_restart_is_no_news_after_it() {
    let mut daemon = online("");
    written_down(&daemon, ALICE, "4bSpam");
    written_down(&daemon, ALICE, "4bLater");
    let spam = [("X-Spam-Flag", "YES"), ("Message-ID", ID)];
    seen(&daemon, ALICE, "4bSpam", &spam);
    recorded(&daemon, 1);
    let verdicts = |daemon: &Daemon, at_least: usize| -> usize {
        eventually("verdicts", || {
            let found = daemon.json(&["scanned"])?.as_array()?.len();
            (found >= at_least).then_some(found)
        })
    };
    assert_eq!(verdicts(&daemon, 1), 1);
    for crash in [false, true] {
        match crash {
            true => daemon.crash(),
            false => daemon.terminate(),
        }
        daemon.launch();
        daemon.wait_until_ready();
        seen(&daemon, ALICE, "4bSpam", &spam);
        eventually("the verdict to be known", || {
            let name = "relaywarden_scanned_total{verdict=\"spam\",by=\"header\",outcome=\"known\"}";
            (counted(&daemon, name) == 1).then_some(())
        });
        assert_eq!(verdicts(&daemon, 1), 1, "written down once");
        assert_eq!(named(&daemon, ID), ["4bSpam"]);
    }
    // Written down before, and seen after.
    seen(&daemon, ALICE, "4bLater", &[("Message-ID", "<2@x>")]);
    recorded(&daemon, 1);
    assert_eq!(named(&daemon, "<2@x>"), ["4bLater"]);
}

#[test]
fn where_message_ids_are_not_wanted_none_is_kept() {
    let daemon = online("message-ids = false");
    written_down(&daemon, ALICE, "4bAlice");
    seen(&daemon, ALICE, "4bAlice", &[("Message-ID", ID), ("X-Spam-Flag", "YES")]);
    eventually("the verdict of the same message", || daemon.json(&["scanned", "--queue-id", "4bAlice"]));
    seen(&daemon, ALICE, "4bAlice", &[("Message-ID", ID), ("X-Virus-Status", "Infected (x)")]);
    eventually("another verdict on it", || daemon.json(&["scanned", "--finding", "virus"]));
    assert_eq!(named(&daemon, ID), [""; 0]);
    assert_eq!(daemon.messages(&[], 1)[0]["message_id"], Value::Null);
}
