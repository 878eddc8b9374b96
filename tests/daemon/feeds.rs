//! The feed of each NAS as whoever is on call sees it: what comes again, what is of no use and why, and a NAS that is
//! worked on.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use std::time::Duration;

use serde_json::Value;

use crate::common::daemon::Daemon;
use crate::common::eventually;
use crate::common::nas::{Attributes, Nas, Status};
use crate::house::{edit, metric, printed, reload};

const ALICE: &str = "100.64.0.7";
/// The client has a whole range of addresses, so each of them is a NAS.
const NAS: &str = "bras1/127.0.0.1";

fn row(daemon: &Daemon, nas: &str) -> Value {
    let Some(Value::Array(rows)) = daemon.json(&["nas", nas]) else { panic!("no row of {nas}") };
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

fn start(session: &str) -> Attributes {
    Attributes::record(Status::Start, "alice", session, ALICE.parse().expect("an address"))
}

/// How many packets were of no use for this reason, as the row and as the metrics tell it.
fn unusable(daemon: &Daemon, nas: &str, reason: &str) -> u64 {
    let row = row(daemon, nas);
    let told = row["unusable"].as_array().expect("an array").iter().find(|one| one["reason"] == reason);
    let told = told.map_or(0, |one| one["count"].as_u64().expect("a count"));
    let labels = format!("relaywarden_nas_unusable_total{{nas=\"{nas}\",reason=\"{reason}\"}}");
    assert_eq!(metric(daemon, &labels), told, "{row}");
    told
}

#[test]
fn what_comes_again_is_counted_by_how_it_comes_again() {
    let daemon = Daemon::start();
    let mut nas = daemon.nas();
    let packet = nas.request(&start("s1"));
    for _ in 0..3 {
        assert!(nas.exchange(&packet, Duration::from_secs(5)));
    }
    // Acct-Delay-Time: the same record under a new Identifier, five seconds later.
    assert!(nas.tell(&start("s1").with(41, &5_u32.to_be_bytes())));
    assert!(nas.tell(&start("s2").with(41, &0_u32.to_be_bytes())));
    let row = row(&daemon, NAS);
    assert_eq!(
        (&row["duplicates"], &row["retransmits"], &row["records"]),
        (&2.into(), &1.into(), &3.into()),
        "{row}"
    );
    assert_eq!((&row["feed"], &row["active"]), (&"whole".into(), &2.into()), "{row}");
    assert!(row["last_packet"].is_string() && row["last_heard"].is_string(), "{row}");
    assert_eq!(metric(&daemon, &format!("relaywarden_nas_duplicates_total{{nas=\"{NAS}\"}}")), 2);
    assert_eq!(metric(&daemon, &format!("relaywarden_nas_retransmits_total{{nas=\"{NAS}\"}}")), 1);
    assert_eq!(metric(&daemon, &format!("relaywarden_nas_records_total{{nas=\"{NAS}\"}}")), 3);
}

#[test]
fn each_packet_of_no_use_is_counted_for_its_nas_with_the_reason() {
    let daemon = Daemon::start();
    let mut nas = daemon.nas();
    let address = [100, 64, 0, 7];
    assert!(nas.tell(&Attributes::of_nas(Status::Start).with(1, b"alice").with(8, &address)));
    assert!(nas.tell(&Attributes::default().with(44, b"s1").with(1, b"alice")));
    // 9: Tunnel-Start.
    assert!(nas.tell(&Attributes::default().with(40, &9_u32.to_be_bytes()).with(44, b"s1")));
    for reason in ["no-session-id", "no-status", "other-status"] {
        assert_eq!(unusable(&daemon, NAS, reason), 1, "{reason}");
    }
    let of_it = row(&daemon, NAS);
    assert_eq!((&of_it["feed"], &of_it["records"]), (&"unheard".into(), &0.into()), "{of_it}");
    assert!(of_it["last_fault"].is_string() && of_it["last_fault_at"].is_string(), "{of_it}");
    // Whose secret is another one may be anybody: it is told in the name of the client.
    let mut stranger = Nas::new(daemon.radius, b"not the secret");
    assert!(!stranger.tell_once(&start("s1"), Duration::from_millis(200)));
    eventually("the wrong secret to be counted", || {
        (daemon.json(&["nas", "bras1"]).is_some() && unusable(&daemon, "bras1", "bad-authenticator") == 1)
            .then_some(())
    });
    assert_eq!(row(&daemon, "bras1")["last_packet"], Value::Null);
    let table = printed(&daemon.cli(&["nas"]), 0);
    for told in
        ["let it send Acct-Session-Id", "is the secret the same on both sides?", "nothing ever came from it"]
    {
        assert!(table.contains(told), "{told} is not in\n{table}");
    }
    // It speaks, and then stands as one that is heard.
    nas.report(Status::Start, "alice", "s1", ALICE);
    assert_eq!(row(&daemon, NAS)["feed"], "whole");
}

#[test]
fn a_proxy_that_names_no_nas_and_claims_outside_of_the_pool_are_told_in_its_name() {
    let daemon = Daemon::start();
    edit(
        &daemon,
        "address = \"127.0.0.0/8\"",
        "address = \"127.0.0.0/8\"\nrole = \"proxy\"\nmay-assign = [\"100.64.0.0/10\"]",
    );
    assert!(reload(&daemon).contains("read again"));
    let mut nas = daemon.nas();
    let on = Attributes::default().with(40, &7_u32.to_be_bytes());
    assert!(nas.tell(&on));
    assert_eq!(unusable(&daemon, "bras1", "unnamed-nas"), 1);
    let elsewhere =
        Attributes::record(Status::Start, "eve", "s2", "198.51.100.9".parse().expect("an address"));
    assert!(nas.tell(&elsewhere));
    let row = row(&daemon, "bras1/bras1.isp.example");
    assert_eq!((&row["claims_dropped"], &row["pending"]), (&1.into(), &1.into()), "{row}");
}

#[test]
fn a_clock_that_says_what_cannot_be_true_is_told() {
    let daemon = Daemon::start();
    let undated = Attributes::undated(Status::Start, "alice", "s1", ALICE.parse().expect("an address"));
    let mut nas = daemon.nas();
    assert!(nas.tell(&undated));
    assert_eq!(row(&daemon, NAS)["clock"], "undated");
    // A day after 1970 began.
    assert!(nas.tell(&undated.with(55, &86_400_u32.to_be_bytes())));
    let told = row(&daemon, NAS);
    assert_eq!((&told["clock"], &told["absurd_times"]), (&"absurd".into(), &1.into()), "{told}");
    assert_eq!(metric(&daemon, &format!("relaywarden_nas_clock_absurd{{nas=\"{NAS}\"}}")), 1);
    assert!(printed(&daemon.cli(&["nas", NAS]), 0).contains("NTP"));
}

#[test]
fn what_is_known_of_a_clock_survives_a_crash() {
    let mut daemon = Daemon::start();
    assert!(daemon.nas().tell(&start("s1")));
    assert_eq!(row(&daemon, NAS)["clock"], "learning");
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(row(&daemon, NAS)["clock"], "learning", "nothing was heard of it since");
}

#[test]
fn a_hold_survives_a_restart_and_ends_when_it_is_lifted() {
    let mut daemon = Daemon::start();
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let hold = ["nas", "hold", NAS, "--until", &soon, "--reason", "new line card"];
    let unknown = daemon.cli(&hold);
    assert_eq!(unknown.status.code(), Some(1), "nothing was heard of it yet");
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    daemon.order(&hold);
    let held = metric(&daemon, &format!("relaywarden_nas_held{{nas=\"{NAS}\"}}"));
    assert_eq!(held, 1);
    let before = row(&daemon, NAS);
    assert_eq!(
        (&before["feed"], &before["held_reason"]),
        (&"held".into(), &"new line card".into()),
        "{before}"
    );
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    daemon.restart();
    let after = row(&daemon, NAS);
    for field in ["feed", "held_until", "held_by", "held_reason"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    let table = printed(&daemon.cli(&["nas"]), 0);
    assert!(table.contains("held until ") && table.contains(": new line card"), "{table}");
    let unhold = ["nas", "unhold", NAS, "--reason", "it is back"];
    daemon.order(&unhold);
    let lifted = row(&daemon, NAS);
    assert_eq!((&lifted["feed"], &lifted["held_until"]), (&"whole".into(), &Value::Null), "{lifted}");
    assert_eq!(daemon.cli(&unhold).status.code(), Some(1), "it is not held any more");
}
