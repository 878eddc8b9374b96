//! `import --maillog`: what is sent of a log, how far it came, and with which exit code.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use relaywarden::server::http::Trouble;
use relaywarden::server::http::maillog::MailRow;
use serde_json::Value;
use tempfile::TempDir;

use crate::fake::{Answers, Daemon, Run};

/// So many messages from line 1 on, three lines each.
fn log(from: usize, count: usize) -> String {
    let message = |number: usize| {
        let id = format!("4AA2D{number:06}");
        format!(
            "Nov 23 13:05:02 mail1 postfix/smtpd[1]: {id}: client=unknown[198.51.100.7]\n\
             Nov 23 13:05:02 mail1 postfix/cleanup[1]: {id}: message-id=<{number}@x>\n\
             Nov 23 13:05:03 mail1 postfix/qmgr[1]: {id}: from=<a@b>, size=7, nrcpt=1 (queue active)\n"
        )
    };
    (from..from + count).map(message).collect()
}

struct Home(TempDir);

impl Home {
    fn with(content: impl AsRef<[u8]>) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::write(home.file(), content).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("mail.log")
    }

    fn import(&self, daemon: &Daemon, more: &[&str]) -> Run {
        let file = self.file();
        let command = ["import", "--maillog", file.to_str().unwrap(), "--as-of", "2026-11-23T14:00:00Z"];
        daemon.run(&[command.as_slice(), &["--tz", "UTC"], more].concat())
    }
}

fn summary(run: &Run) -> Value {
    serde_json::from_str::<Value>(&run.out).unwrap()[0].take()
}

/// Lines of what was taken, chunk by chunk.
fn taken(daemon: &Daemon) -> Vec<Vec<MailRow>> {
    let chunks = std::mem::take(&mut *daemon.answers.mail_imported.lock().unwrap());
    chunks.into_iter().map(|chunk| chunk.rows).collect()
}

#[test]
fn a_log_is_joined_and_sent_in_chunks_and_its_summary_goes_into_a_ticket() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(log(0, 1001));
    let run = home.import(&daemon, &["--mta", "mx1"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.out.contains("FORMAT") && run.out.contains("maillog"), "{run:?}");
    let chunks = taken(&daemon);
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1]);
    let expected = MailRow {
        line: 3,
        at: "2026-11-23T13:05:02.000Z".to_owned(),
        mta: "mx1".to_owned(),
        queue_id: "4AA2D000000".to_owned(),
        address: "198.51.100.7".parse().ok(),
        message_id: Some("<0@x>".to_owned()),
        sender: "a@b".to_owned(),
        size: 7,
        recipients: 1,
        ..MailRow::default()
    };
    assert_eq!(chunks[0][0], expected);
    let json = summary(&home.import(&daemon, &["--from-start", "-o", "json"]));
    assert_eq!(
        (&json["rows"], &json["accepted"], &json["ignored"]),
        (&1001.into(), &901.into(), &100.into())
    );
    assert_eq!(taken(&daemon)[0][0].mta, "mail1", "without a name it is the host of the lines");
}

#[test]
fn a_log_that_has_grown_is_read_again_and_only_what_is_new_is_sent() {
    let daemon = Daemon::start(Answers::full());
    let whole = log(0, 4);
    // The third message has begun, and qmgr does not have it yet.
    let cut = whole.match_indices('\n').nth(7).unwrap().0 + 1;
    let home = Home::with(&whole[..cut]);
    let run = home.import(&daemon, &["-o", "json"]);
    assert_eq!((run.exit, &summary(&run)["rows"]), (0, &2.into()), "{run:?}");
    assert_eq!(taken(&daemon).concat().len(), 2);
    fs::write(home.file(), &whole).unwrap();
    let run = home.import(&daemon, &["-o", "json"]);
    assert_eq!((&summary(&run)["rows"], &summary(&run)["resumed_at"]), (&4.into(), &8.into()), "{run:?}");
    let rows = taken(&daemon).concat();
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [9, 12]);
    assert_eq!(rows[0].message_id.as_deref(), Some("<2@x>"), "joined with what came before");
}

#[test]
fn a_run_that_is_halted_goes_on_and_a_dry_run_keeps_nothing() {
    let daemon = Daemon::start(Answers::full());
    let home = Home::with(log(0, 1500));
    assert_eq!(home.import(&daemon, &["--dry-run"]).exit, 0);
    assert!(daemon.answers.mail_imported.lock().unwrap().iter().all(|chunk| chunk.dry_run));
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 1, "no state");
    taken(&daemon);
    daemon.answers.import_troubles.lock().unwrap().extend([None, Some(Trouble::Damaged)]);
    let run = home.import(&daemon, &[]);
    assert!(run.exit != 0 && run.err.contains("3000 lines are taken, the same command goes on"), "{run:?}");
    assert_eq!(home.import(&daemon, &[]).exit, 0);
    assert_eq!(taken(&daemon).concat().len(), 1500, "none twice, none missing");
}

#[test]
fn two_files_of_a_rotation_are_one_log_and_gzip_is_read() {
    let daemon = Daemon::start(Answers::full());
    let whole = log(0, 1);
    let middle = whole.find('\n').unwrap() + 1;
    let home = Home::with(&whole[middle..]);
    let older = home.0.path().join("mail.log.1.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&whole.as_bytes()[..middle]).unwrap();
    fs::write(&older, encoder.finish().unwrap()).unwrap();
    let (older, newer) = (older.to_str().unwrap().to_owned(), home.file());
    let run = daemon.run(&["import", "--maillog", &older, newer.to_str().unwrap(), "--tz", "UTC"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert_eq!(taken(&daemon).concat().len(), 1);
}

#[test]
fn a_log_without_a_postfix_is_65_and_a_stamp_that_is_no_moment_is_told_with_its_line() {
    let daemon = Daemon::start(Answers::full());
    let run = Home::with("Nov 23 13:05:02 h dovecot: imap: x\n").import(&daemon, &[]);
    assert!(run.exit == 65 && run.err.contains("no line of it is of a Postfix"), "{run:?}");
    let run =
        Home::with(log(0, 1).replace("Nov 23 13:05:02", "Nov 31 13:05:02") + &log(1, 1)).import(&daemon, &[]);
    assert_eq!(run.exit, 65, "{run:?}");
    assert!(run.err.contains("mail.log:1: rejected: its stamp is no moment"), "{run:?}");
    assert_eq!(taken(&daemon).concat().len(), 1, "the rest is taken");
    let quiet = "Nov 23 13:05:02 h postfix/smtpd[1]: connect from x[198.51.100.7]\n";
    assert_eq!(Home::with(quiet).import(&daemon, &[]).exit, 1);
    let usage = [["--client", "bras1"], ["--format", "detail"]];
    for wrong in usage {
        assert_eq!(Home::with(quiet).import(&daemon, &wrong).exit, 2);
    }
    assert_eq!(daemon.run(&["import", "x.csv", "--mta", "mx1"]).exit, 2);
}
