//! Answers that depend on the configuration: observe, `never`, `may-assign`, coverage by pool; and questions that are
//! none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::Status;
use crate::house::{edit, metric};

const ALICE: &str = "100.64.0.7";
const SUSPENDED: &str = "100.64.0.8";
const NOBODY: &str = "100.64.0.200";

/// A daemon whose two clients may each assign one pool.
fn with_pools(session: &'static str) -> Daemon {
    let mut daemon = Daemon::start_with(&Wanted { session, ..Wanted::default() });
    edit(
        &daemon,
        "address = \"127.0.0.0/8\"\n",
        "address = \"127.0.0.0/8\"\nmay-assign = [\"100.64.0.0/16\"]\n",
    );
    edit(&daemon, "address = \"::1/128\"\n", "address = \"::1/128\"\nmay-assign = [\"2001:db8::/32\"]\n");
    daemon.restart();
    daemon
}

fn nas_row(daemon: &Daemon) -> Value {
    let Value::Array(rows) = daemon.json(&["nas"]).expect("a NAS was heard") else { panic!("an array") };
    rows.into_iter().find(|row| row["nas"] == "127.0.0.1" || row["client"] == "bras1").expect("our NAS")
}

#[test]
fn observing_no_map_ever_says_yes_or_not_now() {
    let relay = "mode = \"observe\"\nstatic = [{ prefix = \"192.0.2.0/28\", subscriber = \"office\" }]";
    let daemon = Daemon::start_with(&Wanted { relay, ..Wanted::default() });
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", SUSPENDED);
    nas.report(Status::Start, "carol", "s3", "100.64.0.9");
    nas.report(Status::Stop, "carol", "s3", "100.64.0.9");
    daemon.order(&["suspend", "bob", "--reason", "to be observed"]);
    let mut policy = Policy::connect(daemon.policy);
    let clients =
        [(ALICE, "online"), (SUSPENDED, "suspended"), ("100.64.0.9", "just-freed"), (NOBODY, "not-online")];
    for (number, (client, reason)) in clients.into_iter().chain([("192.0.2.3", "static")]).enumerate() {
        for map in ["relay", "access", "subscriber"] {
            assert_eq!(daemon.map(map, client), "NOTFOUND ", "{map} {client}");
        }
        let (instance, queue_id) = (format!("i{number}"), format!("Q{number}"));
        let mail = Mail { client, instance: &instance, queue_id: &queue_id, ..Mail::default() };
        assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["DUNNO", "DUNNO"], "{client}");
        let message = &daemon.messages(&["--queue-id", &queue_id], 1)[0];
        assert_eq!(message["reason"], reason, "what would have been answered is written down: {message}");
        assert_eq!(message["observed"], true);
    }
}

#[test]
fn an_unknown_map_is_not_now_and_a_key_that_is_no_address_is_nobodys() {
    let daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    assert!(daemon.map("mynetworks", ALICE).starts_with("TEMP "));
    assert!(daemon.map("Relay", ALICE).starts_with("TEMP "), "names of maps are case-sensitive");
    for key in ["", "unknown", "100.64.0.7.example", "100.64.0", "100.64.0.7/32", "[100.64.0.7"] {
        assert_eq!(daemon.map("relay", key), "NOTFOUND ", "{key:?}");
    }
    for key in ["::ffff:100.64.0.7", "100.64.0.7"] {
        assert_eq!(daemon.map("relay", key), "OK alice", "{key:?}");
    }
}

#[test]
fn our_own_addresses_are_never_bound_and_whoever_claims_one_is_told_about() {
    let daemon = Daemon::start_with(&Wanted { relay: "never = [\"192.0.2.250/32\"]", ..Wanted::default() });
    daemon.nas().report(Status::Start, "eve", "s1", "192.0.2.250");
    for map in ["relay", "access"] {
        assert_eq!(daemon.map(map, "192.0.2.250"), "NOTFOUND ", "{map}");
    }
    let output = daemon.cli(&["who", "192.0.2.250", "-o", "json"]);
    let who: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&who["verdict"], &who["reason"]), (&"refuse".into(), &"never".into()), "{who}");
    assert_eq!(nas_row(&daemon)["claims_dropped"], 1);
    let log = daemon.log_text();
    assert!(log.contains("WARN") && log.contains("claims"), "{log}");
    assert_eq!(metric(&daemon, "relaywarden_alarms_total"), 1);
}

#[test]
fn a_claim_outside_of_the_pool_is_dropped_counted_and_shown_and_the_record_is_kept() {
    let daemon = with_pools("warm-up = \"0s\"");
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "eve", "s2", "198.51.100.9");
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    assert_eq!(daemon.map("relay", "198.51.100.9"), "NOTFOUND ");
    let row = nas_row(&daemon);
    assert_eq!(row["claims_dropped"], 1, "{row}");
    assert_eq!(metric(&daemon, "relaywarden_claims_dropped_total"), 1);
    let kept = &daemon.sessions(&["--subscriber", "eve"], 1)[0];
    assert_eq!(kept["state"], "pending", "a session without an address: {kept}");
    assert_eq!(nas_row(&daemon)["records"], 2, "both records count");
}

#[test]
fn of_a_moment_that_is_yet_to_come_nobody_is_known() {
    let daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    let output = daemon.cli(&["who", ALICE, "--at", "2099-01-01T00:00:00Z", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let who: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    assert_eq!((&who["subscriber"], &who["confidence"]), (&Value::Null, &"unknown".into()), "{who}");
    assert_eq!(who["because"], "this moment is yet to come", "{who}");
}

#[test]
fn what_was_not_listened_for_long_enough_is_not_now_within_a_pool_and_no_outside() {
    let daemon = with_pools("warm-up = \"24h\"");
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    assert_eq!(daemon.map("relay", ALICE), "OK alice", "who is there is there");
    assert_eq!(daemon.map("relay", NOBODY), "TEMP warm-up");
    assert_eq!(daemon.map("relay", "2001:db8::7"), "TEMP warm-up", "each pool is uncertain by itself");
    assert_eq!(daemon.map("relay", "198.51.100.9"), "NOTFOUND ", "no pool has it: nobody could");
    let row = nas_row(&daemon);
    assert_eq!(row["whole"], false, "{row}");
    assert!(row["why"].as_str().is_some_and(|why| why.starts_with("warm-up until ")), "{row}");
    let output = daemon.cli(&["who", NOBODY]);
    assert_eq!(output.status.code(), Some(75), "not known is not nobody");
}

#[test]
fn a_frame_that_is_none_ends_its_connection_and_no_other() {
    let daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    for octets in [b"99999999999:relay 100.64.0.7,".as_slice(), b"-1:,", b"05:relay,", b"3:abcd", b"\x00\x01"]
    {
        let mut stream = TcpStream::connect(daemon.socketmap).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
        stream.write_all(octets).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and an end");
        assert!(answer.contains(":TEMP "), "{octets:?}: {answer:?}");
    }
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    eventually("five to be counted", || {
        (metric(&daemon, "relaywarden_mta_connections_total{outcome=\"broken\"}") == 5).then_some(())
    });
}

#[test]
fn somebody_else_on_the_policy_port_gets_silence_and_an_end() {
    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(daemon.policy).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    stream.shutdown(Shutdown::Write).expect("the end of it");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert!(answer.is_empty(), "{answer:?}");
    eventually("it to be counted", || {
        (metric(&daemon, "relaywarden_mta_connections_total{outcome=\"broken\"}") == 1).then_some(())
    });
}
