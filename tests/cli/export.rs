//! `export`: the table, when it is written and when the old one stays.

use std::fs;

use relaywarden::server::http::Trouble;

use crate::fake::{Answers, Daemon, impostor, run_with};

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
