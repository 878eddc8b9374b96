//! Files that are not what was written: what is needed stops the start and is named, what can be made again is made
//! again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use relaywarden::log::entry::Entry;
use relaywarden::log::sqlite::SqliteLog;
use relaywarden::log::{Batch, Log};
use relaywarden::session::Timestamp;

use crate::common::daemon::Daemon;
use crate::common::eventually;
use crate::common::nas::Status;
use crate::house::{a_moment, printed, refused, serve};

const ALICE: &str = "100.64.0.7";

/// A daemon that was stopped after it had written several rows.
fn stopped() -> Daemon {
    let mut daemon = Daemon::start();
    let mut nas = daemon.nas();
    for number in 1..=5 {
        nas.report(
            Status::Start,
            &format!("u{number}"),
            &format!("s{number}"),
            &format!("100.64.1.{number}"),
        );
    }
    nas.report(Status::Start, "alice", "s-alice", ALICE);
    daemon.terminate();
    daemon
}

fn log_file(daemon: &Daemon) -> PathBuf {
    let mut files = files(&daemon.data_dir().join("log"), "sqlite3");
    files.sort();
    files.first().expect("a log file").clone()
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

/// The entry that the older of two snapshots stands for: the log begins behind it.
fn older_snapshot(daemon: &Daemon) -> u64 {
    let snapshots = files(&daemon.data_dir().join("snapshots"), "snapshot");
    assert_eq!(snapshots.len(), 2, "{snapshots:?}");
    let sequence = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
    snapshots.iter().filter_map(sequence).min().expect("its number")
}

fn edit_log(daemon: &Daemon, sql: &str) {
    Connection::open(log_file(daemon)).expect("a database").execute_batch(sql).expect("our own change");
}

fn middle_row(daemon: &Daemon) -> i64 {
    let connection = Connection::open(log_file(daemon)).expect("a database");
    let row =
        connection
            .query_row("SELECT sequence FROM batch ORDER BY sequence LIMIT 1 OFFSET 2", (), |row| row.get(0));
    row.expect("three rows")
}

#[test]
fn a_damaged_row_in_the_middle_ends_with_65_and_names_file_and_row() {
    let daemon = stopped();
    let row = middle_row(&daemon);
    edit_log(&daemon, &format!("UPDATE batch SET at = at + 1 WHERE sequence = {row}"));
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 65, "{said}");
    let place = format!("{}: row {row}", log_file(&daemon).display());
    assert!(said.contains(&place), "{place:?} is not in {said}");
    assert!(!daemon.socket().exists(), "what was bound goes with it");

    edit_log(&daemon, &format!("UPDATE batch SET at = at - 1 WHERE sequence = {row}"));
    let mut daemon = daemon;
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(daemon.map("relay", ALICE), "OK alice", "refusing changed nothing");
}

#[test]
fn a_missing_row_ends_with_65_and_names_file_and_row() {
    let daemon = stopped();
    let row = middle_row(&daemon);
    edit_log(&daemon, &format!("DELETE FROM batch WHERE sequence = {row}"));
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 65, "{said}");
    assert!(said.contains(&format!("row {row}")), "{said}");
}

#[test]
fn a_log_of_a_later_version_ends_with_78_and_says_so() {
    let daemon = stopped();
    edit_log(&daemon, "PRAGMA user_version = 99");
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("99") && said.contains("later version"), "{said}");
    assert!(said.contains(&log_file(&daemon).display().to_string()), "{said}");
}

#[test]
fn an_index_of_a_later_version_ends_with_78_and_says_so() {
    let daemon = stopped();
    let index = daemon.data_dir().join("audit/register.sqlite3");
    Connection::open(&index).expect("a database").execute_batch("PRAGMA user_version = 99").expect("changed");
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("later version") && said.contains("register.sqlite3"), "{said}");
}

fn damage(path: &Path) {
    let mut octets = fs::read(path).expect("a file");
    let middle = octets.len() / 2;
    octets[middle] ^= 0x40;
    fs::write(path, octets).expect("our own change");
}

#[test]
fn a_damaged_snapshot_falls_back_to_the_older_one() {
    let mut daemon = stopped();
    daemon.launch();
    daemon.wait_until_ready();
    daemon.nas().report(Status::Start, "bob", "s-bob", "100.64.0.8");
    daemon.terminate();
    let mut snapshots = files(&daemon.data_dir().join("snapshots"), "snapshot");
    snapshots.sort();
    assert_eq!(snapshots.len(), 2, "two generations");
    damage(&snapshots[1]);
    daemon.launch();
    daemon.wait_until_ready();
    let log = daemon.log_text();
    assert!(log.contains("this snapshot is damaged and set aside"), "{log}");
    assert_eq!(
        daemon.map("relay", "100.64.0.8"),
        "OK bob",
        "what came after the older one is read from the log"
    );
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
}

#[test]
fn without_a_good_snapshot_the_whole_log_is_read() {
    let mut daemon = stopped();
    files(&daemon.data_dir().join("snapshots"), "snapshot").iter().for_each(|path| damage(path));
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(daemon.map("relay", ALICE), "OK alice");
    assert_eq!(daemon.map("relay", "100.64.1.3"), "OK u3");
}

/// Stops it, does something to the audit index, starts it again: the past is as it was.
fn assert_past_survives(spoil: impl FnOnce(&Path)) -> String {
    let mut daemon = Daemon::start();
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    let then = a_moment();
    nas.report(Status::Start, "bob", "s2", ALICE);
    let owner = |daemon: &Daemon| daemon.json(&["who", ALICE, "--at", &then]).expect("an owner");
    let before = owner(&daemon);
    assert_eq!(before["subscriber"], "alice", "{before}");
    daemon.terminate();
    spoil(&daemon.data_dir().join("audit"));
    daemon.launch();
    daemon.wait_until_ready();
    let after = owner(&daemon);
    assert_eq!(before, after);
    daemon.log_text()
}

#[test]
fn a_removed_audit_index_is_filled_again_from_the_log() {
    assert_past_survives(|audit| fs::remove_dir_all(audit).expect("our own directory"));
}

#[test]
fn a_damaged_audit_index_is_begun_anew_and_filled_again_from_the_log() {
    for file in ["register.sqlite3", "sessions-000001.sqlite3"] {
        let log = assert_past_survives(|audit| {
            fs::write(audit.join(file), vec![0x5a; 8192]).expect("our own file");
        });
        assert!(log.contains("filled again from there"), "{log}");
    }
}

#[test]
fn an_index_is_rebuilt_from_the_log_while_no_daemon_has_it_and_the_old_one_stays_beside_it() {
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let then = a_moment();
    daemon.nas().report(Status::Start, "bob", "s2", ALICE);
    let who = |daemon: &Daemon| daemon.json(&["who", ALICE, "--at", &then]).unwrap_or_default();
    assert_eq!(who(&daemon)["subscriber"], "alice");
    let data = daemon.data_dir();
    let data_dir = data.to_str().expect("a path of ours").to_owned();
    let rebuild = |daemon: &Daemon| daemon.cli(&["audit", "rebuild", "--data-dir", &data_dir]);
    assert_eq!(rebuild(&daemon).status.code(), Some(75), "a daemon has it");
    daemon.terminate();
    fs::write(data.join("audit/sessions-000001.sqlite3"), vec![0x5a; 8192]).expect("our own file");
    let output = rebuild(&daemon);
    assert!(printed(&output, 0).contains("made anew from"), "{output:?}");
    assert!(data.join("audit.before/sessions-000001.sqlite3").exists());
    let again = rebuild(&daemon);
    assert_eq!(again.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&again.stderr).contains("remove it first"));
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(who(&daemon)["subscriber"], "alice");
}

#[test]
fn an_index_is_not_rebuilt_from_a_log_that_lacks_something_and_stays_as_it_is() {
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    // Each start begins a file of the log; the second stop would let go of the first one.
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    daemon.nas().report(Status::Start, "bob", "s2", "100.64.0.8");
    daemon.terminate();
    let data = daemon.data_dir();
    let mut all = files(&data.join("log"), "sqlite3");
    all.sort();
    for (lost, what) in [(all.first(), "no file has it any more"), (all.last(), "lacks its end")] {
        let (lost, away) = (lost.expect("a file"), data.join("away"));
        fs::rename(lost, &away).expect("our own file");
        let output = daemon.cli(&["audit", "rebuild", "--data-dir", data.to_str().expect("a path of ours")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(65) && said.contains(what), "{output:?}");
        assert!(data.join("audit/register.sqlite3").exists() && !data.join("audit.before").exists());
        fs::rename(&away, lost).expect("our own file");
    }
}

#[test]
fn an_audit_index_that_turns_out_to_be_damaged_while_it_is_written_is_made_again_by_the_next_start() {
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let then = a_moment();
    daemon.terminate();
    let path = daemon.data_dir().join("audit/register.sqlite3");
    let connection = Connection::open(&path).expect("our own file");
    let root = "SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name = 'gap'";
    let page: u32 = connection.query_row(root, (), |row| row.get(0)).expect("a table");
    drop(connection);
    let mut octets = fs::read(&path).expect("our own file");
    octets.iter_mut().skip(page as usize).take(4096).for_each(|octet| *octet = 0x5a);
    fs::write(&path, octets).expect("our own file");
    // That it listens again is a row of the damaged table.
    daemon.launch();
    eventually("the index to be given up", || daemon.log_text().contains("given up").then_some(()));
    daemon.terminate();
    daemon.launch();
    daemon.wait_until_ready();
    let owner = daemon.json(&["who", ALICE, "--at", &then]).expect("an owner");
    assert_eq!(owner["subscriber"], "alice", "{owner}");
}

#[test]
fn one_octet_that_is_another_in_any_row_of_the_past_is_found() {
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    daemon.json(&["who", ALICE, "--at", &a_moment()]).expect("an answer, and a question that is kept");
    let verify = |daemon: &Daemon| {
        let data = daemon.data_dir().display().to_string();
        let output = daemon.cli(&["audit", "verify", "--data-dir", &data, "-o", "json"]);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("rows");
        let is_whole = |row: &serde_json::Value| row["state"] == "whole";
        let wrong = rows.as_array().expect("rows").iter().filter(|row| !is_whole(row));
        let wrong: Vec<_> = wrong.map(|row| row["file"].as_str().expect("a name").to_owned()).collect();
        (output.status.code(), wrong)
    };
    assert_eq!(verify(&daemon), (Some(0), vec![]), "beside the daemon");
    daemon.terminate();
    assert_eq!(verify(&daemon), (Some(0), vec![]));
    for (file, change) in [
        ("sessions-000001.sqlite3", "UPDATE block SET packed = zeroblob(length(packed))"),
        ("questions-000001.sqlite3", "UPDATE question SET at = at + 1"),
    ] {
        let path = daemon.data_dir().join("audit").join(file);
        let good = fs::read(&path).expect("our own file");
        Connection::open(&path).expect("a database").execute_batch(change).expect("changed");
        assert_eq!(verify(&daemon), (Some(65), vec![file.to_owned()]));
        fs::write(&path, good).expect("our own file");
    }
    // The register has no sum: a page of it that is none is found.
    let path = daemon.data_dir().join("audit/register.sqlite3");
    let good = fs::read(&path).expect("our own file");
    let mut spoiled = good.clone();
    spoiled.get_mut(8192..8208).expect("a third page").fill(0xff);
    fs::write(&path, spoiled).expect("our own file");
    assert_eq!(verify(&daemon), (Some(65), vec!["register.sqlite3".to_owned()]));
    fs::write(&path, good).expect("our own file");
    let path = daemon.data_dir().join("audit/messages-000001.sqlite3");
    fs::rename(&path, path.with_extension("sqlite3.damaged")).expect("our own file");
    assert_eq!(verify(&daemon), (Some(65), vec!["messages-000001.sqlite3".to_owned()]));
}

#[test]
fn a_data_directory_that_is_a_file_ends_with_74_and_is_named() {
    let daemon = stopped();
    fs::rename(daemon.data_dir(), daemon.data_dir().with_extension("aside")).expect("our own directory");
    fs::write(daemon.data_dir(), "").expect("our own directory");
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 74, "{said}");
    assert!(said.contains(&daemon.data_dir().display().to_string()), "{said}");
}

/// As if the log had been written until so much later than now.
fn written_ahead(daemon: &Daemon, by: Duration) -> Timestamp {
    let mut last = 0;
    let mut log =
        SqliteLog::open(&daemon.data_dir(), 0, &mut |batch| last = batch.at.millis()).expect("our own log");
    let ahead = Timestamp::from_millis(last).plus(by);
    let batch = Batch {
        sequence: log.next_sequence(),
        at: ahead,
        entries: vec![Entry::Alive { ahead: Duration::ZERO }],
    };
    log.append(&batch).expect("room for a row");
    ahead
}

#[test]
fn a_clock_a_little_behind_the_log_is_said_and_time_goes_on_from_its_last_moment() {
    let mut daemon = stopped();
    let ahead = written_ahead(&daemon, Duration::from_secs(600));
    daemon.launch();
    daemon.wait_until_ready();
    let said = eventually("it to be told", || {
        daemon.http("/readyz").map(|(_, said)| said).filter(|said| said.contains("clock-set-back"))
    });
    assert!(said.contains("s ahead of this machine's clock"), "{said}");
    assert!(daemon.log_text().contains("behind the log's last moment"));
    daemon.nas().report(Status::Start, "bob", "s-bob", "100.64.0.8");
    daemon.terminate();
    let mut moments = Vec::new();
    let older = older_snapshot(&daemon);
    let replay = SqliteLog::open(&daemon.data_dir(), older, &mut |batch| moments.push(batch.at));
    drop(replay.expect("our own log"));
    assert!(moments.is_sorted(), "{moments:?}");
    let since = moments.last().expect("several").since(ahead);
    assert!(since > Duration::ZERO && since < Duration::from_secs(300), "{since:?}");
}

/// An hour may be stepped away; a machine that begins in another year must be set right first.
#[test]
fn a_clock_behind_the_log_ends_with_75_and_says_to_set_it() {
    let daemon = stopped();
    written_ahead(&daemon, Duration::from_secs(2 * 3600));
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("set the clock"), "{said}");
}

/// The log was moved away and the index was not: the two tell different stories.
#[test]
fn an_index_of_another_log_ends_with_65_and_names_the_directory() {
    let daemon = stopped();
    fs::remove_dir_all(daemon.data_dir().join("log")).expect("our own directory");
    fs::remove_dir_all(daemon.data_dir().join("snapshots")).expect("our own directory");
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("audit") && said.contains("another one"), "{said}");
}
