//! `import`: what is sent, how far it came, what is told of it, and with which exit code.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use relaywarden::server::http::Trouble;
use relaywarden::server::http::import::Chunk;
use relaywarden::session::{Name, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::fake::{Answers, Daemon, Run};

const HEADING: &str = "acctsessionid,username,nasipaddress,acctstarttime,acctstoptime,framedipaddress\n";

/// A table with so many rows, in lines 2 and after.
fn table(rows: usize) -> String {
    let row = |number: usize| {
        let (high, low) = (number / 256 % 256, number % 256);
        format!("s{number},u{number},192.0.2.1,2026-11-23 12:00:00+00,,100.64.{high}.{low}\n")
    };
    HEADING.to_owned() + &(0..rows).map(row).collect::<String>()
}

/// A file in a directory of its own.
struct Home(TempDir);

impl Home {
    fn with(content: impl AsRef<[u8]>) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::write(home.file(), content).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("radacct.csv")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("radacct.csv.relaywarden-import")
    }

    fn import(&self, daemon: &Daemon, more: &[&str]) -> Run {
        let file = self.file();
        daemon.run(&[&["import", file.to_str().unwrap()], more].concat())
    }

    /// The only row of the summary.
    fn summary(&self, daemon: &Daemon, more: &[&str], exit: i32) -> Value {
        let run = self.import(daemon, &[more, &["-o", "json"]].concat());
        assert_eq!(run.exit, exit, "{run:?}");
        serde_json::from_str::<Value>(&run.out).unwrap()[0].take()
    }
}

fn counts(summary: &Value) -> [u64; 5] {
    ["rows", "accepted", "history", "ignored", "rejected"].map(|count| summary[count].as_u64().unwrap())
}

fn gz(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn chunks(daemon: &Daemon) -> Vec<Chunk> {
    std::mem::take(&mut *daemon.answers.imported.lock().unwrap())
}

/// First and last lines of the chunks that were taken.
fn taken(daemon: &Daemon) -> Vec<(u64, u64)> {
    let ends = |chunk: &Chunk| (chunk.rows.first().unwrap().line, chunk.rows.last().unwrap().line);
    chunks(daemon).iter().map(ends).collect()
}

#[test]
fn a_table_is_sent_and_its_summary_goes_into_a_ticket() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(5));
    let run = home.import(&daemon, &["--as-of", "2026-11-23T14:00:00Z", "--client", "bras1"]);
    assert_eq!(run.exit, 0, "{run:?}");
    let expected = "\
FILE         FORMAT   AS OF                       ROWS  ACCEPTED  HISTORY  IGNORED  REJECTED
radacct.csv  radacct  2026-11-23 14:00:00 +00:00  5     4         1        0        0
";
    assert_eq!(home.import(&daemon, &["--as-of", "2026-11-23T14:00:00Z", "--from-start"]).out, expected);
    let chunk = chunks(&daemon).remove(0);
    assert_eq!((chunk.file, chunk.client), (Name::from("radacct.csv"), Some(Name::from("bras1"))));
    assert_eq!((chunk.as_of, chunk.dry_run), (Timestamp::from_seconds(1_795_442_400), false));
    assert_eq!(chunk.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert_eq!(chunk.rows[0].nas, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(chunk.rows[0].records.len(), 2);
}

#[test]
fn a_file_tells_of_the_moment_at_which_it_was_written() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(1));
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_442_400);
    fs::File::options().append(true).open(home.file()).unwrap().set_modified(written).unwrap();
    assert_eq!(home.import(&daemon, &[]).exit, 0);
    assert_eq!(chunks(&daemon)[0].as_of, Timestamp::from_seconds(1_795_442_400));
    // A clock that is ahead makes nothing happen in the future.
    let ahead = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    fs::File::options().append(true).open(home.file()).unwrap().set_modified(ahead).unwrap();
    assert_eq!(home.import(&daemon, &["--from-start"]).exit, 0);
    assert!(chunks(&daemon)[0].as_of <= relaywarden::clock::now());
}

#[test]
fn rows_go_in_chunks_of_a_thousand_and_of_a_megabyte() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(2001));
    assert_eq!(counts(&home.summary(&daemon, &[], 65)), [2001, 1601, 200, 0, 200]);
    assert_eq!(taken(&daemon), [(2, 1001), (1002, 2001), (2002, 2002)]);

    let wide: String = (0..6).map(|column| format!(",Attr-{}", 200 + column)).collect();
    let value: String = (0..6).map(|_| format!(",{}", "a".repeat(250))).collect();
    let text: String = table(1000)
        .lines()
        .enumerate()
        .fold(String::new(), |text, (line, row)| text + row + if line == 0 { &wide } else { &value } + "\n");
    let home = Home::with(text);
    home.import(&daemon, &[]);
    let sent = taken(&daemon);
    assert!(sent.len() > 3, "{sent:?}");
}

#[test]
fn rejected_rows_are_listed_with_line_and_reason_and_a_file_has_all_of_them() {
    let daemon = Daemon::start(Answers::full());
    let mut text = table(230);
    text.push_str("s,u,192.0.2.1,2026-10-25 02:30:00,,100.64.0.7\n");
    let home = Home::with(text);
    let rejects = home.0.path().join("rejects.txt");
    fs::write(&rejects, "of another day\n").unwrap();
    let run = home.import(&daemon, &["--tz", "Europe/Berlin", "--rejects", rejects.to_str().unwrap()]);
    assert_eq!(run.exit, 65);
    let told: Vec<&str> = run.err.lines().filter(|line| line.contains(": rejected: ")).collect();
    assert_eq!(told.len(), 20, "{}", run.err);
    assert_eq!(told[0], "relaywarden: radacct.csv:7: rejected: not\\u{1b}[2J this one");
    assert!(run.err.contains("and 4 more rows with a remark"), "{}", run.err);
    let all = fs::read_to_string(&rejects).unwrap();
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all.len(), 24);
    assert_eq!(all[22], "radacct.csv:227: rejected: not\\u{1b}[2J this one");
    assert!(
        all[23].starts_with("radacct.csv:232: rejected: acctstarttime: the clocks were set back"),
        "{}",
        all[23]
    );
}

#[test]
fn all_taken_is_0_nothing_there_is_1_and_some_rejected_is_65() {
    let daemon = Daemon::start(Answers::full());
    assert_eq!(Home::with(table(5)).import(&daemon, &[]).exit, 0);
    assert_eq!(Home::with(table(6)).import(&daemon, &[]).exit, 65);
    for empty in ["", "\n\n", HEADING] {
        let run = Home::with(empty).import(&daemon, &[]);
        assert_eq!((run.exit, run.err.as_str()), (1, "relaywarden: no rows\n"), "{empty:?}");
    }
}

#[test]
fn a_file_that_is_none_is_65_and_one_that_cant_be_had_74() {
    let daemon = Daemon::start(Answers::full());
    for (content, complaint) in [
        ("alice,192.0.2.0/28,always\n".as_bytes(), "neither a radacct export"),
        (b"acctsessionid,username\n", "has no column acctstarttime"),
        (b"acctsessionid,acctstarttime,acctstoptime,acctstoptime\n", "acctstoptime twice"),
    ] {
        let run = Home::with(content).import(&daemon, &[]);
        assert_eq!(run.exit, 65, "{run:?}");
        assert!(run.err.contains(complaint), "{run:?}");
    }
    let whole = gz(table(20_000).as_bytes());
    let run = Home::with(&whole[..whole.len() / 2]).import(&daemon, &[]);
    assert_eq!(run.exit, 74, "{run:?}");
    assert!(!taken(&daemon).is_empty(), "what came before is taken");
    for file in ["/nonexistent/radacct.csv", "/"] {
        assert_eq!(daemon.run(&["import", file]).exit, 74, "{file}");
    }
    let run = Home::with(table(1)).import(&daemon, &["--state", "/nonexistent/state"]);
    assert_eq!(run.exit, 74, "{run:?}");
    assert!(run.err.contains("--state"), "{run:?}");
    assert!(taken(&daemon).is_empty(), "nothing is sent whose taking could not be kept");
}

#[test]
fn a_wrong_command_line_is_2_and_sends_nothing() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(1));
    let file = home.file();
    let file = file.to_str().unwrap();
    for arguments in [
        ["import"].as_slice(),
        &["import", file, "--as-of", "2099-01-01T00:00:00Z"],
        &["import", file, "--as-of", "yesterday"],
        &["import", file, "--tz", "Nowhere/At-All"],
        &["import", file, "--format", "xml"],
        &["import", file, file, "--state", "/tmp/state"],
        &["import", "-", "--state", "/tmp/state"],
    ] {
        let run = daemon.run(arguments);
        assert_eq!(run.exit, 2, "{arguments:?} {run:?}");
    }
    assert!(taken(&daemon).is_empty());
}

#[test]
fn a_dry_run_says_so_and_keeps_nothing() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(2000));
    let summary = home.summary(&daemon, &["--dry-run"], 65);
    assert_eq!((&summary["dry_run"], counts(&summary)[0]), (&Value::Bool(true), 2000));
    assert!(chunks(&daemon).iter().all(|chunk| chunk.dry_run));
    assert!(!home.state().exists());
}

#[test]
fn a_run_that_was_halted_is_gone_on_with_where_it_stopped() {
    let troubles = [None, Some(Trouble::NoSuchClient)];
    let daemon =
        Daemon::start(Answers { import_troubles: std::sync::Mutex::new(troubles.into()), ..Answers::full() });
    let home = Home::with(table(2500));
    let run = home.import(&daemon, &["--as-of", "2026-11-23T14:00:00Z"]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("1001 lines are taken, the same command goes on from there"), "{run:?}");
    assert_eq!(taken(&daemon), [(2, 1001)]);

    let run = home.import(&daemon, &["-o", "json"]);
    assert!(run.err.contains("goes on behind line 1001"), "{run:?}");
    let summary = serde_json::from_str::<Value>(&run.out).unwrap()[0].take();
    assert_eq!((&summary["resumed_at"], counts(&summary)[0]), (&Value::from(1001), 2500));
    let went_on = chunks(&daemon);
    assert!(
        went_on.iter().all(|chunk| chunk.as_of == Timestamp::from_seconds(1_795_442_400)),
        "as of the same moment"
    );
    assert_eq!(went_on.iter().map(|chunk| chunk.rows[0].line).collect::<Vec<_>>(), [1002, 2002]);

    // All of it is in: the same command once more does nothing and says the same.
    assert_eq!(counts(&home.summary(&daemon, &[], 65)), counts(&summary));
    assert!(taken(&daemon).is_empty());
    home.import(&daemon, &["--from-start"]);
    assert_eq!(taken(&daemon), [(2, 1001), (1002, 2001), (2002, 2501)]);
}

#[test]
fn a_run_that_is_killed_in_the_middle_loses_nothing_and_repeats_at_most_a_chunk() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(60_000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_relaywarden"))
        .args(["import", home.file().to_str().unwrap(), "--socket", daemon.socket().to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while daemon.answers.imported.lock().unwrap().len() < 5 {
        assert!(std::time::Instant::now() < deadline, "nothing is taken");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = taken(&daemon);
    assert!(before.len() < 60, "it was over before it could be killed");

    let run = home.import(&daemon, &[]);
    assert!(run.err.contains("goes on behind line"), "{run:?}");
    let after = taken(&daemon);
    let lines = |chunks: &[(u64, u64)]| chunks.iter().map(|(first, last)| last - first + 1).sum::<u64>();
    let (last, next) = (before.last().unwrap().1, after[0].0);
    assert!(next <= last + 1, "lines {last} to {next} are lost");
    assert!(next + 1000 > last, "more than a chunk is repeated: {last}, {next}");
    assert_eq!(lines(&before) + lines(&after) - (last + 1 - next), 60_000);
    assert_eq!(after.last().unwrap().1, 60_001);
}

#[test]
fn a_state_of_another_file_is_not_gone_on_with() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(table(10));
    home.import(&daemon, &[]);
    taken(&daemon);
    fs::write(home.file(), table(10).replace("u3", "bob")).unwrap();
    let run = home.import(&daemon, &[]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("is of another file with this name; say --from-start"), "{run:?}");
    fs::write(home.state(), "{}").unwrap();
    assert_eq!(home.import(&daemon, &[]).exit, 2);
    assert!(taken(&daemon).is_empty());
    assert_eq!(home.import(&daemon, &["--from-start"]).exit, 65);
    assert_eq!(taken(&daemon), [(2, 11)]);
}

#[test]
fn a_daemon_that_is_behind_is_asked_again() {
    let troubles = [Some(Trouble::Behind), None];
    let daemon =
        Daemon::start(Answers { import_troubles: std::sync::Mutex::new(troubles.into()), ..Answers::full() });
    let home = Home::with(table(5));
    assert_eq!(home.import(&daemon, &[]).exit, 0);
    assert_eq!(taken(&daemon), [(2, 6)]);
}

#[test]
fn plain_gzip_and_standard_input_say_the_same() {
    let daemon = Daemon::start(Answers::full());
    let records = |daemon: &Daemon| {
        chunks(daemon).remove(0).rows.into_iter().map(|row| row.records).collect::<Vec<_>>()
    };
    Home::with(table(5)).import(&daemon, &[]);
    let plain = records(&daemon);
    Home::with(gz(table(5).as_bytes())).import(&daemon, &[]);
    assert_eq!(records(&daemon), plain);
    Home::with(table(5).replace('\n', "\r\n")).import(&daemon, &[]);
    assert_eq!(records(&daemon), plain);
    let mut child = Command::new(env!("CARGO_BIN_EXE_relaywarden"))
        .args(["import", "-", "--socket", daemon.socket().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(table(5).as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(records(&daemon), plain);
}

#[test]
fn detail_files_are_told_apart_and_one_that_is_still_written_goes_on_later() {
    let daemon = Daemon::start(Answers::full());
    let record = |user: &str| {
        format!(
            "Mon Nov 23 12:00:05 2026\n\tUser-Name = \"{user}\"\n\tAcct-Status-Type = Start\n\tAcct-Session-Id = \"s\"\n\
             \tNAS-IP-Address = 192.0.2.1\n\tNo-Such-Attribute = 7\n\tTimestamp = 1795435200\n\n"
        )
    };
    let home = Home::with(format!("{}Mon Nov 23 12:00:05 2026\n\tUser-Name = \"bob\"\n", record("alice")));
    let run = home.import(&daemon, &["-o", "json"]);
    let summary = serde_json::from_str::<Value>(&run.out).unwrap()[0].take();
    assert_eq!(
        (run.exit, &summary["format"], counts(&summary)),
        (65, &Value::from("detail"), [2, 1, 0, 0, 1])
    );
    assert!(run.err.contains("radacct.csv:9: rejected: a part of it is missing"), "{run:?}");
    assert!(
        run.err.contains("1 attributes without a name or value in the dictionary were left out"),
        "{run:?}"
    );
    fs::write(home.file(), [record("alice"), record("bob")].concat()).unwrap();
    assert_eq!(counts(&home.summary(&daemon, &[], 0)), [2, 2, 0, 0, 0]);
    let lines: Vec<_> = chunks(&daemon).iter().map(|chunk| chunk.rows[0].line).collect();
    assert_eq!(lines, [1, 9]);
}

#[test]
fn memory_does_not_grow_with_the_file_nor_with_its_longest_line() {
    let daemon = Daemon::start(Answers::full());
    let mut text = table(100_000);
    text.push_str(&"a".repeat(256 * 1024 * 1024));
    text.push('\n');
    let home = Home::with(gz(text.as_bytes()));
    // Of address space, which is more than is ever used.
    let limited = "ulimit -v 200000; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_relaywarden"), "import", "-o", "json"])
        .args([&home.file(), Path::new("--socket"), &daemon.socket()])
        .output()
        .unwrap();
    let run = Run::from(output);
    assert_eq!(run.exit, 65, "{run:?}");
    let summary = serde_json::from_str::<Value>(&run.out).unwrap()[0].take();
    assert_eq!(counts(&summary), [100_001, 80_000, 10_000, 0, 10_001]);
    assert!(fs::metadata(home.state()).unwrap().len() < 1024);
}
