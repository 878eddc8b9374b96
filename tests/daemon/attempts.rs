//! What was refused or deferred is found again: by the reference in the refusal, by address and time, after a restart.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::nas::Status;
use crate::house::{metric, printed};

const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";
const CAROL: &str = "100.64.0.9";
const NOBODY: &str = "100.64.0.200";

/// The reference that a text ends with.
fn reference(action: &str) -> String {
    let end = action.rsplit_once(" (ref ").and_then(|(_, end)| end.strip_suffix(')'));
    end.unwrap_or_else(|| panic!("no reference at the end of {action:?}")).to_owned()
}

fn attempts(daemon: &Daemon, filter: &[&str]) -> Vec<Value> {
    match daemon.json(&[&["attempts"], filter].concat()) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    }
}

/// Attempts may lie on both sides of the end of a minute.
fn count(rows: &[Value]) -> u64 {
    rows.iter().filter_map(|row| row["count"].as_u64()).sum()
}

#[test]
fn the_help_desk_finds_why_from_the_reference_at_once_and_after_a_restart() {
    let policy = "contact = \"https://isp.example/help\"";
    let mut daemon = Daemon::start_with(&Wanted { policy, ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    nas.report(Status::Start, "carol", "s3", CAROL);
    nas.report(Status::Stop, "carol", "s3", CAROL);
    daemon.order(&["suspend", "bob", "--reason", "open proxy"]);
    let mut mta = Policy::connect(daemon.policy);
    let mut asked = |client, login| mta.rcpt(&Mail { client, login, ..Mail::default() });
    assert_eq!(asked(ALICE, ""), "OK");
    let refused = asked(BOB, "bob@home");
    assert!(refused.starts_with("550 5.7.1 ") && refused.contains("https://isp.example/help"), "{refused}");
    let deferred = asked(CAROL, "");
    assert!(deferred.starts_with("451 4.7.1 "), "{deferred}");
    assert_eq!(asked(NOBODY, ""), "DUNNO", "the operator's own reject follows");
    for _ in 0..9 {
        asked(NOBODY, "");
    }
    let (of_bob, of_carol) = (reference(&refused), reference(&deferred));

    let answers = |daemon: &Daemon| {
        let rows = attempts(daemon, &[&of_bob]);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((&row["reason"], &row["verdict"]), (&"suspended".into(), &"refuse".into()));
        assert_eq!((&row["subscriber"], &row["login"]), (&"bob".into(), &"bob@home".into()));
        assert_eq!((&row["address"], &row["port"], &row["count"]), (&BOB.into(), &40001.into(), &1.into()));
        assert_eq!((&row["sender"], &row["helo"]), (&"sender@example.org".into(), &"client.example".into()));
        assert_eq!((&row["recipient_domain"], &row["observed"]), (&"example.net".into(), &false.into()));
        assert_eq!(attempts(daemon, &[&of_carol])[0]["reason"], "just-freed");
        let of_nobody = attempts(daemon, &["--address", NOBODY, "--since", "1h ago"]);
        assert_eq!(count(&of_nobody), 10, "one row a minute: {of_nobody:?}");
        assert!(of_nobody.len() <= 2 && of_nobody[0]["reason"] == "not-online", "{of_nobody:?}");
        assert_eq!(attempts(daemon, &["--subscriber", "bob"]).len(), 1);
        assert!(attempts(daemon, &["--subscriber", "alice"]).is_empty(), "hers was let go");
        assert!(attempts(daemon, &["--until", "1h ago"]).is_empty());
    };
    answers(&daemon);
    let table = printed(&daemon.cli(&["attempts", &of_bob]), 0);
    assert!(table.contains("suspended: this subscriber or login is suspended.\n  To do: "), "{table}");
    assert_eq!(metric(&daemon, "relaywarden_attempts_total{kept=\"apart\"}"), 12);
    daemon.restart();
    answers(&daemon);
}

#[test]
fn inbound_mail_and_lookups_are_no_attempts_and_a_message_held_back_at_its_end_is_one() {
    let daemon = Daemon::start();
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    let mut mta = Policy::connect(daemon.policy);
    let inbound = Mail { context: "mx", client: NOBODY, instance: "i1", ..Mail::default() };
    assert_eq!([mta.rcpt(&inbound), mta.end_of_message(&inbound)], ["DUNNO", "DUNNO"]);
    assert_eq!(daemon.map("relay", NOBODY), "NOTFOUND ");
    assert!(attempts(&daemon, &[]).is_empty());

    let mail = Mail { client: BOB, instance: "i2", ..Mail::default() };
    assert_eq!(mta.rcpt(&mail), "OK");
    daemon.order(&["suspend", "bob", "--reason", "open proxy"]);
    let held_back = mta.end_of_message(&mail);
    assert!(held_back.starts_with("550 5.7.1 "), "{held_back}");
    assert_eq!(attempts(&daemon, &[&reference(&held_back)])[0]["subscriber"], "bob");
    // Standing holds on `mx`, too.
    let from_bob = mta.rcpt(&Mail { context: "mx", client: BOB, instance: "i3", ..Mail::default() });
    assert_eq!(attempts(&daemon, &[&reference(&from_bob)])[0]["profile"], "mx");
}

#[test]
fn observed_attempts_say_so() {
    let daemon = Daemon::start_with(&Wanted { relay: "mode = \"observe\"", ..Wanted::default() });
    let mut mta = Policy::connect(daemon.policy);
    assert_eq!(mta.rcpt(&Mail { client: NOBODY, ..Mail::default() }), "DUNNO");
    let rows = attempts(&daemon, &["--reason", "not-online"]);
    assert_eq!((rows.len(), &rows[0]["observed"]), (1, &true.into()), "{rows:?}");
}
