//! Each exit code, and that standard error then says what to do.

use std::ffi::OsStr;

use relaywarden::relay::standing::{Order, Subject};
use relaywarden::server::http::cases::Deed;
use relaywarden::server::http::{OrderError, Trouble};
use relaywarden::session::{Name, Timestamp};

use crate::fake::{Answers, Daemon, Run, impostor, run_with};

fn expect(run: &Run, exit: i32, complaint: &str) {
    assert_eq!(run.exit, exit, "{run:?}");
    assert!(run.err.contains(complaint), "{run:?}");
    assert_eq!(run.err.is_empty(), complaint.is_empty(), "{run:?}");
}

#[test]
fn found_is_0_nothing_is_1_and_not_known_yet_is_75() {
    let daemon = Daemon::start(Answers::full());
    expect(&daemon.run(&["who", "198.51.100.7"]), 0, "");
    expect(&daemon.run(&["who", "198.51.100.9"]), 0, "");
    expect(&daemon.run(&["who", "198.51.100.200"]), 1, "");
    expect(&daemon.run(&["who", "198.51.100.8"]), 75, "");
    expect(&daemon.run(&["who", "203.0.113.77"]), 0, "");
    expect(&daemon.run(&["who", "--token", "Zk3vQ"]), 0, "");
    expect(&daemon.run(&["explain", "198.51.100.7"]), 0, "");
    let run = daemon.run(&["who", "--token", "other"]);
    expect(&run, 1, "");
    assert!(run.out.contains("unknown: no message with this token was written down"), "{run:?}");
    for command in ["sessions", "messages", "attempts", "scanned", "nas", "reputation", "suspensions"] {
        expect(&daemon.run(&[command]), 0, "");
    }
}

#[test]
fn empty_lists_are_1_in_every_format() {
    let daemon = Daemon::start(Answers::default());
    for command in [
        ["sessions"].as_slice(),
        &["messages"],
        &["attempts"],
        &["nas"],
        &["reputation"],
        &["suspensions"],
        &["explain", "192.0.2.1"],
    ] {
        let run = |format| daemon.run(&[command, &["-o", format]].concat());
        let table = daemon.run(command);
        assert_eq!((table.exit, table.out.as_str(), table.err.is_empty()), (1, "", false), "{table:?}");
        let json = run("json");
        assert_eq!((json.exit, json.out.as_str(), json.err.as_str()), (1, "[]\n", ""), "{json:?}");
        let ndjson = run("ndjson");
        assert_eq!((ndjson.exit, ndjson.out.as_str()), (1, ""), "{ndjson:?}");
        let csv = run("csv");
        assert_eq!((csv.exit, csv.out.lines().count()), (1, 1), "{csv:?}");
    }
}

#[test]
fn a_list_that_may_lack_rows_says_so_and_an_empty_one_is_65_then() {
    let lost_from = Some(Timestamp::from_seconds(1_795_000_000));
    let whole = Daemon::start(Answers { lost_from, ..Answers::full() });
    let remark = "a part of the past from 2026-11-18T11:06:40.000Z on is lost";
    for command in [["sessions"].as_slice(), &["messages"], &["attempts"], &["explain", "192.0.2.1"]] {
        for format in ["table", "json", "csv"] {
            expect(&whole.run(&[command, &["-o", format]].concat()), 0, remark);
        }
    }
    // What was lost is later.
    expect(&whole.run(&["messages", "--until", "2026-11-18T10:00:00Z"]), 0, "");
    let empty = Daemon::start(Answers { lost_from, ..Answers::default() });
    expect(&empty.run(&["messages", "-o", "json"]), 65, remark);
    let ever = Daemon::start(Answers { lost_from: Some(Timestamp::EARLIEST), ..Answers::full() });
    expect(&ever.run(&["messages"]), 0, "a part of the past is lost, so rows may be missing");
}

#[test]
fn a_complaint_is_0_when_it_is_taken_65_when_it_is_none_and_75_whatever_else_is_wrong() {
    let report = include_bytes!("../data/complaint/arf.eml");
    let daemon = Daemon::start(Answers::full());
    let run = daemon.run_fed(&["complaint", "-"], report);
    expect(&run, 0, "");
    assert!(run.out.starts_with("Case        4711 (new)\nSubscriber  alice@isp.example\n"), "{run:?}");
    expect(&daemon.run_fed(&["complaint", "-"], b"From: a@b\n\nStop\n"), 65, "a mail without a report");
    expect(&daemon.run(&["complaint", "/nonexistent/report.eml"]), 74, "/nonexistent/report.eml");
    for trouble in [Trouble::Unrecorded, Trouble::Storage, Trouble::Damaged, Trouble::NotReady] {
        let daemon = Daemon::start(Answers { trouble: Some(trouble), ..Answers::default() });
        let run = daemon.run_fed(&["complaint", "-"], report);
        assert_eq!((run.exit, run.out.as_str()), (75, ""), "{run:?}");
    }
    // What a mailbox is piped into must not lose a mail to somebody's mistake in a configuration.
    expect(
        &daemon.run_fed(&["complaint", "-", "--config", "/nonexistent/relaywarden.toml"], report),
        75,
        "/nonexistent/relaywarden.toml",
    );
}

#[test]
fn a_case_is_found_or_not_and_closed_once() {
    let daemon = Daemon::start(Answers::full());
    expect(&daemon.run(&["cases"]), 0, "");
    expect(&daemon.run(&["cases", "4711"]), 0, "");
    expect(&daemon.run(&["cases", "--state", "closed"]), 1, "no case matches");
    expect(&daemon.run(&["cases", "7"]), 1, "There is no case of that number");
    expect(&daemon.run(&["cases", "close", "4711", "--reason", "x"]), 0, "");
    expect(&daemon.run(&["cases", "close", "4710", "--reason", "x"]), 1, "closed already");
    expect(&daemon.run(&["cases", "close", "4709", "--reason", "x"]), 75, "see /readyz");
    expect(&daemon.run(&["cases", "close", "4711", "--reason", " "]), 2, "reason");
}

#[test]
fn an_act_on_a_case_carries_who_which_whom_why_until_and_the_ticket() {
    let daemon = Daemon::start(Answers::full());
    let until = "2099-12-01T08:00:00Z";
    let text = |arguments: &[&str]| {
        let run = daemon.run(&[["cases"].as_slice(), arguments, &["--reason", "x"]].concat());
        assert_eq!(run.exit, 0, "{run:?}");
        run.out
    };
    assert_eq!(
        text(&["open", "bob", "--login", "--ticket", "T-1", "--force"]),
        "case 4715: opened about login bob; reference 4715\n"
    );
    assert_eq!(text(&["note", "4710", "--ticket", "T-2"]), "case 4710: noted; reference 4716\n");
    assert_eq!(
        text(&["limit", "4711"]),
        "case 4711: limited subscriber alice@isp.example until released; reference 4716\n"
    );
    assert_eq!(
        text(&["suspend", "4711", "--subject", "bob", "--login", "--until", until, "--force"]),
        "case 4711: suspended login bob until 2099-12-01 08:00:00 +00:00 (2099-12-01T08:00:00.000Z); reference 4716\n"
    );
    assert_eq!(
        text(&["release", "4710", "--subject", "caf\u{e9}"]),
        "case 4710: released subscriber caf\u{e9}; reference 4716\n"
    );
    assert_eq!(text(&["dismiss", "4711"]), "case 4711: dismissed; reference 4716\n");
    assert_eq!(text(&["close", "4711"]), "case 4711: closed; reference 4716\n");
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    let opened = daemon.answers.opened.lock().unwrap();
    assert_eq!(
        (&opened[0].by, &opened[0].subject),
        (&Name::from(me.as_str()), &Subject::Login(Name::from("bob")))
    );
    assert!(opened[0].force && opened[0].ticket == Some(Name::from("T-1")));
    let acted = daemon.answers.acted.lock().unwrap();
    assert!(acted.iter().all(|doing| doing.by == Name::from(me.as_str()) && doing.reason == Name::from("x")));
    let told: Vec<_> = acted.iter().map(|doing| (doing.case, doing.deed, doing.force)).collect();
    let until = Some(Timestamp::from_seconds(4_099_795_200));
    let expected = [
        (4710, Deed::Note, false),
        (4711, Deed::Limit(None), false),
        (4711, Deed::Suspend(until), true),
        (4710, Deed::Release, false),
        (4711, Deed::Dismiss, false),
        (4711, Deed::Close, false),
    ];
    assert_eq!(told, expected);
    assert_eq!((&acted[0].ticket, &acted[1].ticket), (&Some(Name::from("T-2")), &None));
    assert_eq!((&acted[1].subject, &acted[2].subject), (&None, &Some(Subject::Login(Name::from("bob")))));
}

#[test]
fn a_rehearsal_of_a_rule_that_is_not_there_is_1_and_of_a_name_that_is_none_2() {
    let daemon = Daemon::start(Answers::full());
    expect(&daemon.run(&["rules"]), 0, "");
    expect(&daemon.run(&["rules", "--dry-run", "flood"]), 0, "");
    expect(&daemon.run(&["rules", "--dry-run", "drought"]), 1, "There is no rule of that name");
    expect(&daemon.run(&["rules", "--dry-run", "../cases"]), 2, "no rule's name");
    let empty = Daemon::start(Answers::default());
    expect(&empty.run(&["rules"]), 1, "no [[rule]] is configured");
    expect(&empty.run(&["rules", "--dry-run", "flood"]), 1, "nothing to any case");
    let asked = daemon.answers.asked.lock().unwrap();
    assert_eq!(asked.len(), 2, "what it would have done is about people, the rules are not: {asked:?}");
}

#[test]
fn an_act_on_a_case_that_comes_to_nothing_says_why() {
    let daemon = Daemon::start(Answers::full());
    let suspend = |id: &str, more: &[&str]| {
        daemon.run(&[["cases", "suspend", id, "--reason", "x"].as_slice(), more].concat())
    };
    expect(&suspend("7", &[]), 1, "There is no case of that number");
    expect(&suspend("4710", &[]), 1, "closed already");
    expect(&suspend("4709", &[]), 75, "see /readyz");
    expect(&suspend("4708", &[]), 2, "name whom you mean");
    expect(&suspend("4708", &["--subject", "bob"]), 2, "not about them");
    expect(&suspend("4711", &["--until", "1h ago"]), 2, "this moment is past");
    expect(&suspend("4711", &["--login"]), 2, "--subject");
    assert!(daemon.answers.acted.lock().unwrap().is_empty());
    for (error, exit, complaint) in [
        (OrderError::StaticRange, 2, "say --force"),
        (OrderError::NotSuspended, 1, "nothing to release"),
        (OrderError::UnknownSubject, 1, "say --force"),
        (OrderError::Storage, 75, "does not hold"),
    ] {
        let daemon = Daemon::start(Answers { order_error: Some(error), ..Answers::full() });
        expect(&daemon.run(&["cases", "release", "4711", "--reason", "x"]), exit, complaint);
        expect(&daemon.run(&["cases", "open", "bob", "--reason", "x"]), exit, complaint);
        expect(&daemon.run(&["cases", "note", "4711", "--reason", "x"]), 0, "");
    }
}

#[test]
fn a_realm_never_heard_of_is_1_and_says_so() {
    let daemon = Daemon::start(Answers::full());
    for command in
        [["who", "10.0.0.7"].as_slice(), &["explain", "10.0.0.7"], &["sessions", "--address", "10.0.0.7"]]
    {
        expect(&daemon.run(&[command, &["--realm", "blu"]].concat()), 1, "realm of that name: realm:");
        expect(
            &daemon.run(&[command, &["--realm", "blue"]].concat()),
            if command[0] == "who" { 1 } else { 0 },
            "",
        );
    }
    assert_eq!(daemon.answers.asked.lock().unwrap().len(), 3, "what was not answered is not recorded");
}

#[test]
fn a_wrong_command_line_is_2() {
    let nowhere = |arguments: &[&str]| run_with(arguments, &[]);
    for arguments in [
        ["who", "alice"].as_slice(),
        &["who"],
        &["who", "198.51.100.7", "--port", "0"],
        &["who", "198.51.100.7", "--port", "65536"],
        &["who", "198.51.100.7", "--token", "x"],
        &["who", "--realm", "blue", "--token", "x"],
        &["explain"],
        &["explain", "198.51.100.0/24"],
        &["explain", "198.51.100.7", "--port", "0"],
        &["explain", "198.51.100.7", "--port", "65536"],
        &["sessions", "--realm", "blue"],
        &["who", "198.51.100.7", "--at", "yesterday"],
        &["who", "198.51.100.7", "--at", "2026-10-25 02:30", "--tz", "Europe/Berlin"],
        &["who", "198.51.100.7", "--tz", "Nowhere/At-All"],
        &["attempts", "4711"],
        &["scanned", "--finding", "clean"],
        &["sample"],
        &["sample", "--refused", "0"],
        &["attempts", "--reason", "online"],
        &["messages", "--limit", "0"],
        &["messages", "--limit", "100001"],
        &["suspend", "bob"],
        &["nas", "-o", "xml"],
        &["nas", "bras1", "hold"],
        &["nas", "hold", "bras1", "--reason", "x"],
        &["nas", "hold", "bras1", "--until", "2h ago"],
        &["nas", "hold", "bras1", "--until", "tomorrow", "--reason", "x"],
        &["nas", "unhold", "bras1"],
        &["nas", "unhold", "bras1", "--reason", "x", "--until", "2099-01-01T00:00:00Z"],
        &["send", "start", "--secret", "testing123"],
        &["send", "status"],
        &["send", "status", "--secret", "testing123", "--server", "127.0.0.1"],
        &["frobnicate"],
    ] {
        let run = nowhere(arguments);
        assert_eq!(run.exit, 2, "{arguments:?} {run:?}");
        assert!(!run.err.is_empty() && run.out.is_empty(), "{arguments:?} {run:?}");
    }
}

#[test]
fn an_hour_that_was_there_twice_is_refused_with_both_readings() {
    let run = run_with(&["who", "198.51.100.7", "--at", "2026-10-25 02:30", "--tz", "Europe/Berlin"], &[]);
    expect(&run, 2, "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00");
}

#[test]
fn help_and_version_are_0() {
    for arguments in [["--help"].as_slice(), &["--version"], &["who", "--help"]] {
        assert_eq!(run_with(arguments, &[]).exit, 0);
    }
}

#[test]
fn no_daemon_is_69_and_says_where_it_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.sock");
    let run = run_with(&["who", "198.51.100.7", "--socket", missing.to_str().unwrap()], &[]);
    expect(&run, 69, "systemctl start relaywarden");
    assert!(run.err.contains(missing.to_str().unwrap()), "{run:?}");
    // A socket that a dead daemon left behind is the same answer.
    drop(std::os::unix::net::UnixListener::bind(&missing).unwrap());
    expect(&run_with(&["nas", "--socket", missing.to_str().unwrap()], &[]), 69, "no daemon answers");
}

#[test]
fn the_daemons_troubles_keep_their_codes() {
    for (trouble, exit, complaint) in [
        (Trouble::Damaged, 65, "log names the file"),
        (Trouble::Storage, 75, "can't be read now"),
        (Trouble::Unrecorded, 75, "written down"),
    ] {
        let daemon = Daemon::start(Answers { trouble: Some(trouble), ..Answers::full() });
        expect(&daemon.run(&["messages"]), exit, complaint);
    }
}

#[test]
fn a_question_that_cant_be_recorded_is_not_answered() {
    let daemon = Daemon::start(Answers { trouble: Some(Trouble::Unrecorded), ..Answers::full() });
    let run = daemon.run(&["who", "198.51.100.7"]);
    assert_eq!((run.exit, run.out.as_str()), (75, ""), "{run:?}");
}

#[test]
fn a_broken_connection_is_74_a_stranger_is_69_and_a_refusal_is_77() {
    let dir = tempfile::tempdir().unwrap();
    for (number, says, exit) in [
        (1, "", 74),
        (2, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope", 69),
        (
            3,
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 108\r\n\r\n{\"type\":\"urn:relaywarden:problem:not-permitted\",\
             \"title\":\"Not \\u001b[2Jpermitted\",\"status\":403,\"detail\":\"no\"}\n",
            77,
        ),
    ] {
        let socket = dir.path().join(format!("{number}.sock"));
        let peer = impostor(&socket, says);
        let run = run_with(&["nas", "--socket", socket.to_str().unwrap()], &[]);
        peer.join().unwrap();
        assert_eq!(run.exit, exit, "{run:?}");
        assert!(!run.err.contains('\u{1b}'), "{run:?}");
    }
}

#[test]
fn a_configuration_that_was_named_and_is_no_use_is_78() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("relaywarden.toml");
    let run = || run_with(&["nas", "--config", config.to_str().unwrap()], &[]);
    expect(&run(), 78, "name the socket itself with --socket");
    std::fs::write(&config, "[http\n").unwrap();
    expect(&run(), 78, "relaywarden.toml");
}

#[test]
fn the_socket_is_found_through_the_configuration() {
    let daemon = Daemon::start(Answers::full());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("relaywarden.toml");
    std::fs::write(&config, format!("[http]\nsocket = {:?}\n", daemon.socket())).unwrap();
    let environment = [("RELAYWARDEN_SOCKET", OsStr::new("/nowhere"))];
    assert_eq!(run_with(&["nas", "--config", config.to_str().unwrap()], &environment).exit, 0);
}

#[test]
fn orders_hold_or_say_why_not() {
    for (error, exit, complaint) in [
        (OrderError::UnknownSubject, 1, "say --force"),
        (OrderError::StaticRange, 2, "say --force"),
        (OrderError::NotSuspended, 1, "nothing to release"),
        (OrderError::Storage, 75, "does not hold"),
    ] {
        let daemon = Daemon::start(Answers { order_error: Some(error), ..Answers::full() });
        expect(&daemon.run(&["suspend", "bob", "--reason", "spam"]), exit, complaint);
        assert_eq!(daemon.run(&["suspend", "bob", "--reason", "spam", "--force"]).exit, 0);
    }
}

#[test]
fn an_order_carries_who_whom_why_and_until() {
    let daemon = Daemon::start(Answers::full());
    let until = "2099-12-01T08:00:00Z";
    let run = daemon.run(&["suspend", "bob", "--login", "--reason", " open proxy ", "--until", until]);
    assert_eq!(
        run.out,
        "login bob is suspended until 2099-12-01 08:00:00 +00:00 (2099-12-01T08:00:00.000Z); reference 4712\n"
    );
    let run = daemon.run(&["release", "caf\u{e9}", "--reason", "cleaned"]);
    assert_eq!(run.out, "subscriber caf\u{e9} is released; reference 4712\n");
    let run = daemon.run(&["limit", "bob", "--reason", "x", "--until", until]);
    assert_eq!(
        run.out,
        "subscriber bob is limited until 2099-12-01 08:00:00 +00:00 (2099-12-01T08:00:00.000Z); reference 4712\n"
    );
    let ordered = daemon.answers.ordered.lock().unwrap();
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    assert_eq!(ordered[2].order, Order::Limit { until: Some(Timestamp::from_seconds(4_099_795_200)) });
    assert_eq!(ordered[0].by, Name::from(me.as_str()));
    assert_eq!(ordered[0].subject, Subject::Login(Name::from("bob")));
    assert_eq!(ordered[0].reason, Name::from("open proxy"));
    assert_eq!(ordered[0].order, Order::Suspend { until: Some(Timestamp::from_seconds(4_099_795_200)) });
    assert_eq!(ordered[1].subject, Subject::Subscriber(Name::from("caf\u{e9}")));
    assert_eq!(ordered[1].order, Order::Release);
}

/// A moment so many minutes ahead, as the command line takes it.
fn ahead(minutes: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
}

#[test]
fn a_hold_carries_who_which_why_and_until() {
    let daemon = Daemon::start(Answers::full());
    let until = ahead(60);
    let run =
        daemon.run(&["nas", "hold", "bras2/192.0.2.9", "--until", &until, "--reason", " new line card "]);
    assert!(run.out.starts_with("bras2/192.0.2.9 is held until 20"), "{run:?}");
    assert!(run.out.ends_with("; reference 4713\n"), "{run:?}");
    let run = daemon.run(&["nas", "unhold", "0xff00", "--reason", "it is back"]);
    assert_eq!(run.out, "0xff00 is held no longer; reference 4713\n");
    let held = daemon.answers.held.lock().unwrap();
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    assert_eq!(held[0].by, Name::from(me.as_str()));
    assert_eq!(held[0].nas, Name::from("bras2/192.0.2.9"));
    assert_eq!(held[0].reason, Name::from("new line card"));
    let asked: jiff::Timestamp = until.parse().unwrap();
    assert_eq!(held[0].until, Some(Timestamp::from_millis(asked.as_millisecond())));
    assert_eq!((&held[1].nas, held[1].until), (&Name::new(b"\xff\x00"), None));
}

#[test]
fn a_hold_ends_within_seven_days_and_not_in_the_past() {
    let daemon = Daemon::start(Answers::full());
    let week = 7 * 24 * 60;
    for (minutes, exit, complaint) in [
        (-1, 2, "this moment is past"),
        (1, 0, ""),
        (week - 1, 0, ""),
        (week + 1, 2, "more than 7 days ahead"),
    ] {
        let run = daemon.run(&["nas", "hold", "bras1", "--until", &ahead(minutes), "--reason", "x"]);
        expect(&run, exit, complaint);
    }
    assert_eq!(daemon.answers.held.lock().unwrap().len(), 2);
}

#[test]
fn a_hold_that_does_not_hold_says_why() {
    for (error, exit, complaint) in [
        (OrderError::UnknownNas, 1, "No NAS of that name"),
        (OrderError::NotHeld, 1, "not held"),
        (OrderError::Storage, 75, "does not hold"),
    ] {
        let daemon = Daemon::start(Answers { order_error: Some(error), ..Answers::full() });
        expect(&daemon.run(&["nas", "unhold", "bras1", "--reason", "x"]), exit, complaint);
    }
}

#[test]
fn a_nas_that_was_never_heard_of_is_1() {
    let daemon = Daemon::start(Answers::full());
    expect(&daemon.run(&["nas", "bras1"]), 0, "");
    expect(&daemon.run(&["nas", "bras9"]), 1, "without a name all are listed");
    assert_eq!(daemon.run(&["nas", "bras9", "-o", "json"]).out, "[]\n");
}

#[test]
fn a_suspension_that_would_be_over_already_is_2() {
    let daemon = Daemon::start(Answers::full());
    expect(
        &daemon.run(&["suspend", "bob", "--reason", "spam", "--until", "1h ago"]),
        2,
        "this moment is past",
    );
    assert!(daemon.answers.ordered.lock().unwrap().is_empty());
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let daemon = Daemon::start(Answers::full());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_relaywarden"))
        .args(["messages", "--socket", daemon.socket().to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn output_that_cant_be_written_is_74() {
    let daemon = Daemon::start(Answers::full());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_relaywarden"))
        .args(["messages", "--socket", daemon.socket().to_str().unwrap()])
        .stdout(full)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(74));
}
