//! Each command in each format, byte by byte. `SNAPSHOTS=overwrite` writes them anew; then read the difference.

use relaywarden::relay::attempts::Reference;
use relaywarden::relay::verdict::Reason;
use relaywarden::session::{Name, Realm, Timestamp};

use crate::fake::{Answers, Daemon};

#[test]
fn every_command_looks_as_it_always_did() {
    let daemon = Daemon::start(Answers::full());
    let commands: [(&str, &[&str]); 24] = [
        ("who", &["who", "198.51.100.7", "--port", "40112"]),
        ("who-nobody", &["who", "198.51.100.200"]),
        ("who-conflict", &["who", "198.51.100.9"]),
        ("who-then", &["who", "198.51.100.7", "--at", "2026-11-23 14:20"]),
        ("who-shared", &["who", "203.0.113.77"]),
        ("who-shared-then", &["who", "203.0.113.77", "--at", "2026-11-23 14:20"]),
        ("explain", &["explain", "198.51.100.7"]),
        ("sessions", &["sessions"]),
        ("messages", &["messages"]),
        ("top", &["top"]),
        ("usage", &["usage", "alice@isp.example"]),
        ("attempts", &["attempts"]),
        ("scanned", &["scanned"]),
        ("nas", &["nas"]),
        ("nas-one", &["nas", "bras2/192.0.2.9"]),
        ("suspensions", &["suspensions"]),
        ("reputation", &["reputation"]),
        ("cases", &["cases"]),
        ("cases-one", &["cases", "4711"]),
        ("cases-signal", &["cases", "4700"]),
        ("cases-listing", &["cases", "4690"]),
        ("rules", &["rules"]),
        ("rules-dry-run", &["rules", "--dry-run", "flood"]),
        ("notice", &["notice"]),
    ];
    for (name, command) in commands {
        for format in ["table", "json", "ndjson", "csv"] {
            let run = daemon.run(&[command, &["-o", format, "--tz", "Europe/Berlin"]].concat());
            assert_eq!(run.err, "", "{name} {format}");
            golden(&format!("{name}.{format}"), run.out);
        }
    }
}

#[test]
fn a_sample_is_of_what_was_refused_and_of_no_more_than_is_wanted() {
    let daemon = Daemon::start(Answers::full());
    let sampled = |wanted: &str| -> Vec<String> {
        let run = daemon.run(&["sample", "--refused", wanted, "-o", "json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&run.out).unwrap();
        rows.iter().map(|row| row["reference"].as_str().unwrap().to_owned()).collect()
    };
    // Of the flood that was only counted nobody knows what was refused.
    assert_eq!(sampled("20"), ["1a2b3c4d", "0000002b"]);
    assert_eq!(sampled("1").len(), 1);
    let asked = daemon.answers.attempts_asked.lock().unwrap().clone().unwrap();
    assert!(asked.since.is_some(), "of the last day, unless it is said");
    let table = daemon.run(&["sample", "--refused", "20"]);
    assert!(table.out.contains("To do: ") && table.err.contains("2 of 2, by chance"), "{table:?}");
}

#[test]
fn a_day_fits_a_ticket_and_a_mail_and_names_in_it_do_nothing() {
    let daemon = Daemon::start(Answers::full());
    for (form, ending) in [("text", "txt"), ("html", "html"), ("json", "json")] {
        let run = daemon.run(&["report", "--day", "2026-11-22", "--format", form]);
        assert_eq!((run.exit, run.err.as_str()), (0, ""), "{form}");
        assert!(form != "html" || !run.out.contains("<script>"), "{}", run.out);
        assert!(run.out.chars().all(|c| c == '\n' || !c.is_control()), "{form}");
        assert!(!run.out.contains('\u{202e}'), "{form}");
        if form == "text" {
            let longest = run.out.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(78), "{}", run.out);
            assert!(!run.out.lines().any(|line| line.ends_with(' ')), "{}", run.out);
        }
        golden(&format!("report.{ending}"), run.out);
    }
    let asked = daemon.answers.asked.lock().unwrap();
    assert!(asked.iter().all(|asked| asked.ends_with(" /v1/report?day=2026-11-22")), "{asked:?}");
    assert_eq!(asked.len(), 3, "it names people, so it is written down");
}

#[test]
fn a_test_prints_what_the_receiver_said_and_its_exit_code_says_whether_it_took_it() {
    let daemon = Daemon::start(Answers::full());
    for (name, code, expected) in [
        ("portal", 0, "portal: taken after 7 ms: 204 No Content\n"),
        ("pager", 75, "pager: refused after 7 ms: exit status: 1: no\\u{1b}[2J pager\n"),
        ("nobody", 1, ""),
    ] {
        let run = daemon.run(&["notice", "test", name]);
        assert_eq!((run.exit, run.out.as_str()), (code, expected), "{}", run.err);
    }
    assert_eq!(daemon.run(&["notice", "test", "a/b"]).exit, 2);
}

#[test]
fn help_looks_as_it_always_did() {
    for command in [
        "who",
        "explain",
        "sessions",
        "messages",
        "attempts",
        "sample",
        "scanned",
        "top",
        "nas",
        "reputation",
        "report",
        "notice",
        "suspend",
        "send",
        "import",
        "complaint",
        "cases",
    ] {
        golden(&format!("help-{command}.txt"), crate::fake::run_with(&[command, "--help"], &[]).out);
    }
}

fn golden(name: &str, actual: String) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cli").join(name);
    let expected = snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text)).raw();
    snapbox::assert_data_eq!(actual, expected);
}

#[test]
fn the_list_of_feeds_fits_a_ticket() {
    let daemon = Daemon::start(Answers::full());
    let table = daemon.run(&["nas", "--tz", "Europe/Berlin"]).out;
    let longest = table.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(120), "{table}");
    assert!(!table.lines().any(|line| line.ends_with(' ')), "{table}");
}

#[test]
fn a_question_is_recorded_with_its_asker_its_words_and_its_purpose() {
    let daemon = Daemon::start(Answers::full());
    daemon.run(&["who", "198.51.100.7", "--purpose", "case 7&8"]);
    daemon.run(&["nas"]);
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    let asked = daemon.answers.asked.lock().unwrap();
    assert_eq!(*asked, [format!("{me} /v1/lookup?purpose=case%207%268&address=198.51.100.7")]);
}

#[test]
fn options_arrive_as_filters() {
    let daemon = Daemon::start(Answers::full());
    daemon.run(&[
        "explain",
        "10.0.0.7",
        "--port",
        "4711",
        "--realm",
        "blue",
        "--until",
        "2026-11-23T14:00:00Z",
    ]);
    let asked = daemon.answers.story_asked.lock().unwrap().clone().unwrap();
    assert_eq!((asked.realm, asked.address), (Realm::of_number(1), "10.0.0.7".parse().unwrap()));
    assert_eq!((asked.port, asked.since, asked.limit), (Some(4711), None, 1000 + 1));
    assert_eq!(asked.until, Some(Timestamp::from_seconds(1_795_442_400)));

    daemon.run(&["sessions", "--address", "10.0.0.0/8", "--realm", "blue"]);
    assert_eq!(daemon.answers.sessions_asked.lock().unwrap().clone().unwrap().realm, Realm::of_number(1));
    daemon.run(&["sessions", "--subscriber", "0x636166e9", "--address", "2001:db8::1/64", "--limit", "7"]);
    let asked = daemon.answers.sessions_asked.lock().unwrap().clone().unwrap();
    assert_eq!(asked.realm, Realm::PUBLIC);
    assert_eq!(asked.subscriber, Some(Name::new(b"caf\xe9")));
    assert_eq!(asked.prefix, Some("2001:db8::/64".parse().unwrap()));
    // One more tells whether there are more.
    assert_eq!((asked.since, asked.until, asked.limit), (None, None, 7 + 1));

    daemon.run(&[
        "messages",
        "--queue-id",
        "4XyZ",
        "--address",
        "::ffff:198.51.100.7",
        "--token",
        "a b",
        "--message-id",
        "<1@x.example>",
        "--login",
        "bob",
        "--since",
        "2026-11-23T14:00:00Z",
        "--until",
        "2026-11-23 16:00",
        "--tz",
        "Europe/Berlin",
    ]);
    let asked = daemon.answers.messages_asked.lock().unwrap().clone().unwrap();
    assert_eq!(asked.queue_id, Some(Name::from("4XyZ")));
    assert_eq!(asked.token, Some(Name::from("a b")));
    assert_eq!(asked.message_id, Some(Name::from("1@x.example")), "it has no brackets");
    assert_eq!(asked.login, Some(Name::from("bob")));
    assert_eq!(asked.address, Some("198.51.100.7".parse().unwrap()));
    assert_eq!(asked.since, Some(Timestamp::from_seconds(1_795_442_400)));
    assert_eq!(asked.until, Some(Timestamp::from_seconds(1_795_446_000)));
}

#[test]
fn a_refusal_pasted_from_a_bounce_finds_its_row_with_what_to_do() {
    let daemon = Daemon::start(Answers::full());
    let run = daemon.run(&["attempts", "(ref 1A2B3C4D)", "--subscriber", "alice", "--reason", "suspended"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.out.contains("340") && !run.out.contains("not-online"), "{run:?}");
    assert!(run.out.contains("To do: `relaywarden suspensions` has by whom and why"), "{run:?}");
    let asked = daemon.answers.attempts_asked.lock().unwrap().clone().unwrap();
    assert_eq!(asked.reference, Some(Reference(0x1a2b_3c4d)));
    assert_eq!((asked.subscriber, asked.reason), (Some(Name::from("alice")), Some(Reason::Suspended)));
    daemon.run(&["attempts", "--address", "198.51.100.7", "--since", "2026-11-23T14:00:00Z", "--limit", "7"]);
    let asked = daemon.answers.attempts_asked.lock().unwrap().clone().unwrap();
    assert_eq!((asked.address, asked.limit), (Some("198.51.100.7".parse().unwrap()), 7 + 1));
    assert_eq!((asked.since, asked.until), (Some(Timestamp::from_seconds(1_795_442_400)), None));
}
