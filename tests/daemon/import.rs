//! A new daemon takes over what the FreeRADIUS before it wrote down: the present as far as it is fresh, and the past.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted, program, text};
use crate::common::eventually;
use crate::common::nas::{Attributes, Status};
use crate::house::{metric, printed};

const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";
const NOBODY: &str = "100.64.9.9";

const HEADING: &str = "acctsessionid,username,nasipaddress,acctstarttime,acctupdatetime,acctstoptime,framedipaddress,\
                       delegatedipv6prefix\n";

/// So many seconds ago, in seconds since 1970.
fn ago(seconds: i64) -> i64 {
    jiff::Timestamp::now().as_second() - seconds
}

/// A row of the table; 0 seconds ago is "not told".
fn row(id: &str, user: &str, moments: [i64; 3], address: &str, prefix: &str) -> String {
    let told = |seconds: i64| if seconds == 0 { String::new() } else { ago(seconds).to_string() };
    let [start, update, stop] = moments.map(told);
    format!("{id},{user},127.0.0.1,{start},{update},{stop},{address},{prefix}\n")
}

/// A file beside the daemon's own.
fn file(daemon: &Daemon, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = daemon.configuration().with_file_name(name);
    fs::write(&path, content).expect("our own directory");
    path
}

fn import(daemon: &Daemon, file: &std::path::Path, more: &[&str]) -> Output {
    daemon.cli(&[&["import", file.to_str().expect("a path of ours")], more].concat())
}

/// What a summary says of its only file.
fn summary(output: &Output, code: i32) -> Value {
    serde_json::from_str::<Value>(&printed(output, code)).expect("JSON")[0].take()
}

/// `who` says its answer also where that is "nobody".
fn who(daemon: &Daemon, question: &[&str]) -> Value {
    let output = daemon.cli(&[&["who"], question, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

/// The NASes of which anything is known.
fn heard(daemon: &Daemon) -> Vec<Value> {
    let Some(Value::Array(nases)) = daemon.json(&["nas"]) else { return Vec::new() };
    nases.into_iter().filter(|nas| !nas["last_heard"].is_null()).collect()
}

#[test]
fn a_warm_map_gives_the_same_answers_as_the_live_feed_that_made_its_table() {
    let (live, warm) = (Daemon::start(), Daemon::start());
    let mut nas = live.nas();
    nas.report(Status::Start, "Alice", "s1", ALICE);
    nas.report(Status::Interim, "Alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    nas.report(Status::Stop, "bob", "s2", BOB);
    nas.report(Status::Start, "carol", "s3", "100.64.0.9");
    nas.report(Status::Stop, "carol", "s3", "100.64.0.9");
    nas.report(Status::Start, "dora", "s4", "100.64.0.9");
    let home = Attributes::record(Status::Start, "emil", "s5", "100.64.0.10".parse().expect("an address"))
        // Delegated-IPv6-Prefix (RFC 4818): 2001:db8:7::/48.
        .with(123, &[0, 48, 0x20, 0x01, 0x0d, 0xb8, 0, 7]);
    assert!(nas.tell(&home));
    nas.report(Status::Start, "fred", "s6", "0.0.0.0");

    let rows = [
        // What the table has does not depend on the order in which it is read.
        row("s4", "dora", [3, 3, 0], "100.64.0.9", ""),
        row("s3", "carol", [9, 6, 6], "100.64.0.9", ""),
        row("s1", "Alice", [9, 5, 0], ALICE, ""),
        row("s2", "bob", [9, 5, 5], BOB, ""),
        row("s5", "emil", [3, 3, 0], "100.64.0.10", "2001:db8:7::/48"),
        row("s6", "fred", [3, 3, 0], "0.0.0.0", ""),
    ];
    let table = file(&warm, "radacct.csv", HEADING.to_owned() + &rows.concat());
    let told = summary(&import(&warm, &table, &["-o", "json"]), 0);
    assert_eq!((&told["rows"], &told["accepted"]), (&6.into(), &6.into()), "{told}");

    let compare = || {
        for address in
            [ALICE, BOB, "100.64.0.9", "100.64.0.10", "0.0.0.0", NOBODY, "2001:db8:7:1::1", "2001:db8:8::1"]
        {
            for map in ["relay", "access", "subscriber"] {
                assert_eq!(live.map(map, address), warm.map(map, address), "{map} {address}");
            }
        }
    };
    compare();
    assert_eq!(warm.map("relay", ALICE), "OK alice");
    assert_eq!(warm.map("relay", BOB), "TEMP just-freed");

    // The feed goes on, now to both, and both understand it alike.
    for daemon in [&live, &warm] {
        let mut nas = daemon.nas();
        nas.report(Status::Interim, "Alice", "s1", "100.64.0.11");
        nas.report(Status::Stop, "dora", "s4", "100.64.0.9");
        nas.report(Status::Start, "bob", "s7", BOB);
    }
    compare();
    assert_eq!(warm.map("relay", "100.64.0.11"), "OK alice");
}

#[test]
fn what_was_not_heard_of_for_an_hour_fills_the_past_and_owns_nothing() {
    let mut daemon = Daemon::start();
    let day = 24 * 3600;
    let rows = [
        row("s1", "alice", [3 * day, 2 * day, 2 * day], ALICE, ""),
        // Its Stop was lost, as one of many.
        row("s2", "bob", [3 * day, 2 * day, 0], BOB, ""),
        row("s3", "carol", [5 * 3600, 60, 0], "100.64.0.9", ""),
    ];
    let table = file(&daemon, "radacct.csv", HEADING.to_owned() + &rows.concat());
    let told = summary(&import(&daemon, &table, &["-o", "json"]), 0);
    assert_eq!((&told["accepted"], &told["history"]), (&1.into(), &2.into()), "{told}");
    let at = |seconds: i64| jiff::Timestamp::from_second(ago(seconds)).expect("a moment").to_string();
    let answers = |daemon: &Daemon| {
        assert_eq!(daemon.map("relay", ALICE), "NOTFOUND ");
        assert_eq!(daemon.map("relay", BOB), "NOTFOUND ");
        assert_eq!(daemon.map("relay", "100.64.0.9"), "OK carol");
        let then = at(5 * day / 2);
        let had = who(daemon, &[ALICE, "--at", &then]);
        assert_eq!((&had["subscriber"], &had["confidence"]), (&"alice".into(), &"exact".into()), "{had}");
        // Alive at both ends of it, and nobody knows what came then.
        let had = who(daemon, &[BOB, "--at", &then]);
        assert_eq!((&had["subscriber"], &had["confidence"]), (&"bob".into(), &"exact".into()), "{had}");
        let had = who(daemon, &[BOB, "--at", &at(day)]);
        assert_eq!((&had["subscriber"], &had["confidence"]), (&Value::Null, &"unknown".into()), "{had}");
        let now = who(daemon, &[BOB]);
        assert_eq!((&now["subscriber"], &now["reason"]), (&Value::Null, &"not-online".into()), "{now}");
        let sessions = daemon.sessions(&["--subscriber", "alice"], 1);
        assert_eq!((sessions.len(), &sessions[0]["state"]), (1, &"stopped".into()), "{sessions:?}");
        let sessions = daemon.sessions(&["--subscriber", "bob"], 1);
        assert_eq!((sessions.len(), &sessions[0]["state"]), (1, &"expired".into()), "{sessions:?}");
    };
    daemon.sessions(&["--subscriber", "carol"], 1);
    answers(&daemon);
    daemon.restart();
    answers(&daemon);
    // The same file once more changes nothing.
    assert_eq!(import(&daemon, &table, &["--from-start"]).status.code(), Some(0));
    answers(&daemon);
}

#[test]
fn a_table_of_ten_minutes_ago_counts_as_of_then_and_one_of_two_hours_ago_is_history() {
    let daemon = Daemon::start();
    let table = |name: &str, user: &str, address: &str| {
        file(&daemon, name, HEADING.to_owned() + &row(name, user, [9000, 9 * 600, 0], address, ""))
    };
    // The row was 50 minutes old when the table was made; by now it is 90.
    let told = import(&daemon, &table("a.csv", "alice", ALICE), &["--as-of", "40m ago", "-o", "json"]);
    assert_eq!(summary(&told, 0)["accepted"], 1);
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    let told = import(&daemon, &table("b.csv", "bob", BOB), &["--as-of", "20m ago", "-o", "json"]);
    assert_eq!(summary(&told, 0)["history"], 1);
    let late = HEADING.to_owned() + &row("s3", "carol", [9000, 7500, 0], "100.64.0.9", "");
    let told = import(&daemon, &file(&daemon, "c.csv", late), &["--as-of", "2h ago", "-o", "json"]);
    assert_eq!(summary(&told, 0)["history"], 1);
    for address in [BOB, "100.64.0.9"] {
        assert_eq!(daemon.map("relay", address), "NOTFOUND ");
    }
}

#[test]
fn a_dry_run_judges_and_changes_nothing() {
    let daemon = Daemon::start();
    let mut rows = row("s1", "alice", [60, 60, 0], ALICE, "");
    rows.push_str(&row("s2", "bob", [60, 60, 0], BOB, "").replace("127.0.0.1", "192.0.2.9"));
    let table = file(&daemon, "radacct.csv", HEADING.to_owned() + &rows);
    let entries = metric(&daemon, "relaywarden_log_entries_total");
    let output = import(&daemon, &table, &["--dry-run", "-o", "json"]);
    let told = summary(&output, 65);
    assert_eq!((&told["accepted"], &told["rejected"]), (&1.into(), &1.into()), "{told}");
    let complaint = "radacct.csv:3: rejected: no [[radius.client]] has 192.0.2.9";
    assert!(text(&output.stderr).contains(complaint), "{}", text(&output.stderr));
    assert_eq!(daemon.map("relay", ALICE), "NOTFOUND ");
    assert_eq!(metric(&daemon, "relaywarden_imported_rows_total{outcome=\"accepted\"}"), 0);
    // Only that we listened may have been written meanwhile.
    assert!(metric(&daemon, "relaywarden_log_entries_total") <= entries + 1);
    assert_eq!(daemon.json(&["sessions"]), None);
    assert_eq!(heard(&daemon), [] as [Value; 0], "no NAS is known by it");

    assert_eq!(import(&daemon, &table, &[]).status.code(), Some(65));
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    for (outcome, count) in [("accepted", 1), ("history", 0), ("ignored", 0), ("rejected", 1)] {
        let name = format!("relaywarden_imported_rows_total{{outcome=\"{outcome}\"}}");
        assert_eq!(metric(&daemon, &name), count, "{outcome}");
    }
}

#[test]
fn an_import_goes_on_after_the_daemon_was_killed_in_its_middle() {
    const ROWS: usize = 12_000;
    let mut daemon = Daemon::start();
    let rows: String = (0..ROWS)
        .map(|n| {
            row(
                &format!("s{n}"),
                &format!("u{n}"),
                [60, 60, 0],
                &format!("100.65.{}.{}", n / 256, n % 256),
                "",
            )
        })
        .collect();
    let table = file(&daemon, "radacct.csv", HEADING.to_owned() + &rows);
    let arguments = ["import", table.to_str().expect("a path of ours"), "-o", "json"];
    let running = Command::new(program())
        .args(arguments)
        .env("RELAYWARDEN_SOCKET", daemon.socket())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("relaywarden starts");
    eventually("some rows to be taken", || {
        (metric(&daemon, "relaywarden_imported_rows_total{outcome=\"accepted\"}") > 1000).then_some(())
    });
    daemon.crash();
    let output = running.wait_with_output().expect("its end");
    assert!(matches!(output.status.code(), Some(69 | 74)), "{}: {}", output.status, text(&output.stderr));
    assert!(text(&output.stderr).contains("the same command goes on from there"), "{}", text(&output.stderr));

    daemon.launch();
    daemon.wait_until_ready();
    let output = daemon.cli(&arguments);
    assert!(text(&output.stderr).contains("goes on behind line"), "{}", text(&output.stderr));
    let told = summary(&output, 0);
    assert_eq!((&told["rows"], &told["accepted"]), (&ROWS.into(), &ROWS.into()), "{told}");
    let nases = heard(&daemon);
    assert_eq!((nases.len(), &nases[0]["active"]), (1, &ROWS.into()), "{nases:?}");
    for n in [0, 999, 1000, 1001, ROWS / 2, ROWS - 1] {
        let address = format!("100.65.{}.{}", n / 256, n % 256);
        assert_eq!(daemon.map("relay", &address), format!("OK u{n}"));
    }
}

#[test]
fn a_detail_file_of_the_last_hour_counts_as_if_its_records_had_come() {
    let daemon = Daemon::start();
    let record = |user: &str, status: &str, id: &str, address: &str, seconds: i64| {
        format!(
            "Wed Nov 25 16:23:24 2026\n\tUser-Name = \"{user}\"\n\tAcct-Status-Type = {status}\n\
             \tAcct-Session-Id = \"{id}\"\n\tNAS-IP-Address = 127.0.0.1\n\tFramed-IP-Address = {address}\n\
             \tTimestamp = {}\n\n",
            ago(seconds)
        )
    };
    let detail = [
        record("alice", "Start", "s1", ALICE, 1800),
        record("bob", "Start", "s2", BOB, 1700),
        record("bob", "Stop", "s2", BOB, 60),
        record("carol", "Start", "s3", "100.64.0.9", 4000),
        record("dora", "Accounting-On", "", "0.0.0.0", 4000),
    ];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(detail.concat().as_bytes()).expect("memory");
    let path = file(&daemon, "detail-20261125.gz", encoder.finish().expect("memory"));
    let told = summary(&import(&daemon, &path, &["-o", "json"]), 0);
    let counts = ["format", "rows", "accepted", "history"].map(|field| told[field].clone());
    assert_eq!(counts, [Value::from("detail"), Value::from(5), Value::from(3), Value::from(2)], "{told}");
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    assert_eq!(daemon.map("relay", BOB), "TEMP just-freed");
    assert_eq!(daemon.map("relay", "100.64.0.9"), "NOTFOUND ", "a Start without a word since");
}

#[test]
fn pools_and_our_own_addresses_hold_for_files_too() {
    let relay = "never = [\"100.64.0.250\"]";
    let daemon = Daemon::start_with(&Wanted { relay, ..Wanted::default() });
    let rows =
        row("s1", "mallory", [60, 60, 0], "100.64.0.250", "") + &row("s2", "alice", [60, 60, 0], ALICE, "");
    let output = import(&daemon, &file(&daemon, "radacct.csv", HEADING.to_owned() + &rows), &[]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let remark =
        "radacct.csv:2: accepted: left out what bras1 may not assign: 1 of its addresses and prefixes";
    assert!(told.contains(remark), "{told}");
    assert_eq!(daemon.map("relay", "100.64.0.250"), "NOTFOUND ");
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
}

#[test]
fn who_imported_which_lines_is_written_down() {
    let daemon = Daemon::start();
    let table =
        file(&daemon, "radacct.csv", HEADING.to_owned() + &row("s1", "alice", [60, 60, 0], ALICE, ""));
    assert_eq!(
        import(&daemon, &table, &["--client", "bras1", "--as-of", "2026-11-01T00:00:00Z"]).status.code(),
        Some(65)
    );
    assert_eq!(import(&daemon, &table, &["--client", "bras1", "--from-start"]).status.code(), Some(0));
    let asked = daemon.json(&["audit", "questions"]).expect("the record");
    let asked = asked.as_array().expect("an array");
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .expect("the user database")
        .expect("us")
        .name;
    assert_eq!(asked.len(), 1, "what was rejected as a whole brought nothing");
    assert_eq!((&asked[0]["by"], &asked[0]["rows"]), (&me.as_str().into(), &1.into()));
    let what = asked[0]["what"].as_str().expect("a path");
    assert!(what.starts_with("/v1/import?file=radacct.csv&client=bras1&as_of=20"), "{what}");
    assert!(what.ends_with("&lines=2-2"), "{what}");
}

#[test]
fn what_postfix_logged_while_we_were_away_is_attributed_and_what_is_recorded_is_passed_over() {
    let mut daemon = Daemon::start();
    let rows =
        [row("s1", "alice", [7200, 3600, 1800], ALICE, ""), row("s2", "bob", [7200, 3600, 3600], BOB, "")];
    let table = file(&daemon, "radacct.csv", HEADING.to_owned() + &rows.concat());
    printed(&import(&daemon, &table, &[]), 0);
    daemon.nas().report(Status::Start, "carol", "s3", "100.64.0.9");
    let mut mta = Policy::connect(daemon.policy);
    let mail = Mail { client: "100.64.0.9", queue_id: "4AA2D1C0E5", ..Mail::default() };
    assert_eq!([mta.rcpt(&mail), mta.end_of_message(&mail)], ["OK", "DUNNO"]);
    daemon.messages(&["--queue-id", "4AA2D1C0E5"], 1);

    let stamp = |seconds: i64| jiff::Timestamp::from_second(ago(seconds)).expect("a moment").to_string();
    let message = |id: &str, seconds: i64, client: &str| {
        let at = stamp(seconds);
        format!(
            "{at} mail1 postfix/smtpd[1]: {id}: client=x[{client}]:4711\n\
             {at} mail1 postfix/cleanup[1]: {id}: message-id=<{id}@x>\n\
             {at} mail1 postfix/qmgr[1]: {id}: from=<a@isp.example>, size=77, nrcpt=3 (queue active)\n"
        )
    };
    let log = [
        message("4AA2D1C0E1", 5400, ALICE),
        message("4AA2D1C0E2", 5400, BOB),
        message("4AA2D1C0E3", 5400, NOBODY),
        message("4AA2D1C0E4", 5400, "127.0.0.1"),
        message("4AA2D1C0E5", 5, "100.64.0.9"),
    ];
    let log = file(&daemon, "mail.log", log.concat());
    let judged = summary(&import(&daemon, &log, &["--maillog", "--dry-run", "-o", "json"]), 0);
    assert_eq!((&judged["accepted"], &judged["ignored"]), (&3.into(), &2.into()), "{judged}");
    assert!(daemon.json(&["messages", "--address", ALICE]).is_none(), "nothing was recorded");
    let told = summary(&import(&daemon, &log, &["--maillog", "-o", "json"]), 0);
    assert_eq!((&told["accepted"], &told["ignored"]), (&3.into(), &2.into()), "{told}");

    let answers = |daemon: &Daemon| {
        let of_alice = &daemon.messages(&["--subscriber", "alice"], 1)[0];
        assert_eq!((&of_alice["queue_id"], &of_alice["reason"]), (&"4AA2D1C0E1".into(), &"imported".into()));
        assert_eq!((&of_alice["verdict"], &of_alice["mta"]), (&"permit".into(), &"mail1".into()));
        assert_eq!((&of_alice["size"], &of_alice["recipient_count"]), (&77.into(), &3.into()));
        assert_eq!(of_alice["instance"], "<4AA2D1C0E1@x>");
        assert!(of_alice["session"].as_str().is_some_and(|session| session.contains("/s1/")), "{of_alice}");
        assert_eq!(daemon.messages(&["--queue-id", "4AA2D1C0E2"], 1)[0]["subscriber"], "bob");
        let of_nobody = &daemon.messages(&["--queue-id", "4AA2D1C0E3"], 1)[0];
        assert_eq!(
            (&of_nobody["subscriber"], &of_nobody["candidates"]),
            (&Value::Null, &Value::Array(Vec::new()))
        );
        assert_eq!(daemon.messages(&["--queue-id", "4AA2D1C0E5"], 1).len(), 1, "recorded already");
    };
    answers(&daemon);
    // Once more, from the beginning: nothing is there twice.
    let again = summary(&import(&daemon, &log, &["--maillog", "--from-start", "-o", "json"]), 0);
    assert_eq!((&again["accepted"], &again["ignored"]), (&0.into(), &5.into()), "{again}");
    daemon.restart();
    answers(&daemon);
    assert_eq!(daemon.messages(&[], 4).len(), 4);
}
