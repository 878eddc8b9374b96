//! `export`: the table, when it is written and when the old one stays; and the file for a lawful request.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use relaywarden::server::http::Trouble;
use serde_json::Value;

use crate::fake::{Answers, Daemon, Run, impostor, run_with};

const TABLE: &str = "\
# Addresses that may relay, by relaywarden, 2026-11-23T14:00:05.000Z: 2 lines of IPv4, 1 of IPv6.
# Written by `relaywarden export cidr`, which replaces the whole file.
#
# For the day on which the daemon is gone; then run `postfix reload`:
#   smtpd_relay_restrictions = permit_auth_destination, check_client_access cidr:FILE, reject
# or, in place of a socketmap:
#   mynetworks = 127.0.0.0/8 [::1]/128 cidr:FILE
# An address changes hands within minutes, and nobody is written down as sender: use it for hours, not for days.
198.51.100.7/32 OK
198.51.100.8/29 OK
2001:db8:7::/48 OK
";

#[test]
fn the_table_goes_to_standard_output_or_in_the_place_of_a_file() {
    let daemon = Daemon::start(Answers::full());
    let run = daemon.run(&["export", "cidr"]);
    assert_eq!((run.exit, run.out.as_str(), run.err.as_str()), (0, TABLE, ""));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("online.cidr");
    fs::write(&file, "old\n").unwrap();
    let run = daemon.run(&["export", "cidr", "-o", file.to_str().unwrap(), "--result", "permit"]);
    assert_eq!((run.exit, run.out.as_str(), run.err.as_str()), (0, "", ""));
    assert_eq!(fs::read_to_string(&file).unwrap(), TABLE.replace(" OK\n", " permit\n"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(daemon.answers.asked.lock().unwrap().is_empty(), "it names no person, so it leaves no record");
}

#[test]
fn a_daemon_that_only_observes_says_so_in_the_table() {
    let daemon = Daemon::start(Answers { observed: true, ..Answers::full() });
    let run = daemon.run(&["export", "cidr"]);
    assert!(run.out.contains("# The daemon only observes"), "{run:?}");
}

#[test]
fn an_empty_table_does_not_replace_one_unless_that_is_meant() {
    let daemon = Daemon::start(Answers::default());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("online.cidr");
    fs::write(&file, "old\n").unwrap();
    let arguments = ["export", "cidr", "-o", file.to_str().unwrap()];
    let run = daemon.run(&arguments);
    assert_eq!((run.exit, fs::read_to_string(&file).unwrap().as_str()), (1, "old\n"));
    assert!(run.err.contains("is left as it is"), "{run:?}");
    assert_eq!(daemon.run(&[&arguments[..], &["--even-if-empty"]].concat()).exit, 0);
    assert!(fs::read_to_string(&file).unwrap().contains("0 lines of IPv4, 0 of IPv6"));
}

#[test]
fn a_table_that_cant_be_had_whole_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("online.cidr");
    fs::write(&file, "old\n").unwrap();
    let arguments = ["export", "cidr", "-o", file.to_str().unwrap()];

    let daemon = Daemon::start(Answers { trouble: Some(Trouble::NotReady), ..Answers::full() });
    let run = daemon.run(&arguments);
    assert_eq!(run.exit, 75, "{run:?}");
    assert!(run.err.contains("Not ready yet"), "{run:?}");

    let head = "{\"at\":\"2026-11-23T14:00:05.000Z\",\"mode\":\"enforce\"}\n{\"prefix\":\"192.0.2.7/32\"}\n";
    let cut: &'static str = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len()).leak();
    let socket = dir.path().join("cut.sock");
    let peer = impostor(&socket, cut);
    let run = run_with(&[&arguments[..], &["--socket", socket.to_str().unwrap()]].concat(), &[]);
    peer.join().unwrap();
    assert_eq!(run.exit, 69, "{run:?}");
    assert!(run.err.contains("its end is missing"), "{run:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old\n");
}

#[test]
fn a_place_where_no_file_can_be_is_74() {
    let daemon = Daemon::start(Answers::full());
    let run = daemon.run(&["export", "cidr", "-o", "/nonexistent/online.cidr"]);
    assert_eq!(run.exit, 74, "{run:?}");
    assert!(run.err.contains("/nonexistent/online.cidr"), "{run:?}");
    assert_eq!(daemon.run(&["export", "cidr", "--result", "OK\n0.0.0.0/0 OK"]).exit, 2);
    assert_eq!(daemon.run(&["export"]).exit, 2);
}

/// An export of this daemon's rows, and the file it is in.
fn request(daemon: &Daemon, file: &Path, more: &[&str]) -> Run {
    let period = ["--since", "2026-11-01 00:00", "--until", "2026-12-01 00:00", "--tz", "Europe/Berlin"];
    let named = ["--reference", "4711 Js 1/26", "--file", file.to_str().unwrap()];
    daemon.run(&[["export"].as_slice(), &period, &named, more].concat())
}

fn checked(file: &Path) -> std::process::Output {
    let sums = format!("{}.sha256", file.file_name().unwrap().to_str().unwrap());
    Command::new("sha256sum").args(["-c", &sums]).current_dir(file.parent().unwrap()).output().unwrap()
}

#[test]
fn a_lawful_request_is_one_file_that_says_what_it_is_and_a_checksum_that_fits() {
    let daemon = Daemon::start(Answers::full());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("alice.json");
    let run = request(&daemon, &file, &["--subscriber", "alice@isp.example"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.out.ends_with("  alice.json\n") && run.err.contains("sha256sum -c"), "{run:?}");
    assert!(checked(&file).status.success(), "{:?}", checked(&file));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let export: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let about = &export["about"];
    assert_eq!(about["reference"], "4711 Js 1/26");
    assert_eq!((&about["subscriber"], &about["address"]), (&"alice@isp.example".into(), &Value::Null));
    assert_eq!(about["since"], "2026-10-31T23:00:00.000Z", "its times are UTC");
    assert!(about["time_basis"].as_str().unwrap().starts_with("UTC"), "{about}");
    for said in ["precision", "made_at", "made_by", "known_from"] {
        assert!(about[said].as_str().is_some_and(|said| !said.is_empty()), "{said} in {about}");
    }
    // Both that end after its beginning and begin before its end, the one that began before anything too.
    let gap = &about["gaps"][1];
    assert_eq!(
        (&about["gaps"][0]["since"], &gap["until"]),
        (&Value::Null, &"2026-11-23T13:05:00.000Z".into())
    );
    let kept = &about["retention"];
    assert_eq!(
        (&kept["sessions_seconds"], &kept["messages_seconds"]),
        (&15_552_000.into(), &7_776_000.into())
    );
    assert_eq!((export["sessions"].as_array().unwrap().len(), &about["messages"]), (2, &2.into()));
    let asked = daemon.answers.asked.lock().unwrap().clone();
    assert!(
        asked.len() == 2 && asked.iter().all(|asked| asked.contains("purpose=4711%20Js%201%2F26")),
        "{asked:?}"
    );
    // Whatever is changed shows.
    fs::write(&file, "{}").unwrap();
    assert!(!checked(&file).status.success());
}

#[test]
fn as_a_table_it_says_the_same_and_nothing_in_it_acts() {
    let daemon = Daemon::start(Answers::full());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("address.csv");
    let run = request(&daemon, &file, &["--address", "198.51.100.7", "-o", "csv"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(checked(&file).status.success());
    let text = fs::read_to_string(&file).unwrap();
    for said in [
        "# reference: 4711 Js 1/26\n",
        "# address: 198.51.100.7\n",
        "# time_basis: UTC",
        "# retention_sessions: 180 days\n",
        "# retention_messages: 90 days\n",
        "# known_from: 2026-11-01T00:00:00.000Z\n",
        "# gap: 2026-11-23T13:00:00.000Z to 2026-11-23T13:05:00.000Z\n",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains(",=HYPERLINK"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!((rows.len(), rows[0].split(',').next()), (5, Some("kind")));
    let kinds: Vec<_> = rows[1..].iter().map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(kinds, ["session", "session", "message", "message"]);
}

#[test]
fn a_request_that_finds_nothing_is_1_and_one_that_lacks_something_2() {
    let daemon = Daemon::start(Answers::default());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("nobody.json");
    assert_eq!(request(&daemon, &file, &["--subscriber", "nobody"]).exit, 1);
    assert!(checked(&file).status.success(), "that there is nothing is an answer, too");
    assert_eq!(request(&daemon, &file, &[]).exit, 2);
    assert_eq!(request(&daemon, &file, &["--subscriber", "x", "--address", "198.51.100.7"]).exit, 2);
    assert_eq!(daemon.run(&["export", "--subscriber", "alice", "--since", "1d ago"]).exit, 2);
    let odd = request(&daemon, &home.path().join("a\\b"), &["--subscriber", "x"]);
    assert_eq!(odd.exit, 74, "{odd:?}");
    assert_eq!(request(&daemon, Path::new("/nonexistent/x.json"), &["--subscriber", "x"]).exit, 74);
}
