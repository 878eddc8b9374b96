//! Complaints from the mailbox to the case: handed in by the command that a mail server pipes into.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use relaywarden::server::http::api::parse_rfc3339;
use serde_json::Value;

use crate::access::{get, listen};
use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted, program, text};
use crate::common::nas::Status;
use crate::house::printed;

/// As the configuration of these tests says.
const MESSAGES_KEPT: u64 = 90 * 24 * 3600;
const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";

/// As a mail server runs it: the report on standard input, hardly any environment, and the exit code that decides.
fn piped(socket: &Path, report: &str, more: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.env_clear().env("TZ", "UTC").args(["complaint", "-", "--socket"]).arg(socket).args(more);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("relaywarden starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A report that is refused early may not be read to its end.
    let _ = stdin.write_all(report.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

pub(crate) fn taken(daemon: &Daemon, report: &str) -> Value {
    let output = piped(&daemon.socket(), report, &["-o", "json"]);
    serde_json::from_str(&printed(&output, 0)).expect("JSON")
}

/// What of a message a report quotes, and whom it names.
pub(crate) struct Report<'a> {
    pub(crate) reporter: &'a str,
    pub(crate) source: &'a str,
    pub(crate) token: &'a str,
    pub(crate) queue_id: &'a str,
    pub(crate) client: &'a str,
    pub(crate) at: &'a str,
}

impl Report<'_> {
    pub(crate) fn text(&self) -> String {
        let Report { reporter, source, token, queue_id, client, at } = self;
        let mut header = String::new();
        if !queue_id.is_empty() {
            header.push_str(&format!(
                "Received: from x (unknown [{client}]:40001)\n\tby mail.isp.example (Postfix) with ESMTP id {queue_id};\n\t{at}\n"
            ));
        }
        if !token.is_empty() {
            header.push_str(&format!("X-Subscriber-Token: {token}\n"));
        }
        let source = if source.is_empty() {
            String::new()
        } else {
            format!("Source-IP: {source}\nArrival-Date: {at}\n")
        };
        format!(
            "From {reporter}  Thu Nov 26 09:00:00 2026\nFrom: <{reporter}>\nMIME-Version: 1.0\n\
             Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n\
             --b\nContent-Type: text/plain\n\nSpam.\n\
             --b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n{source}\n\
             --b\nContent-Type: text/rfc822-headers\n\n{header}Message-ID: <1@x>\n\n--b--\n"
        )
    }
}

/// A message of each, and the tokens that went with them.
pub(crate) fn world() -> (Daemon, SocketAddr, Value, Value) {
    let mut daemon =
        Daemon::start_with(&Wanted { policy: "header = \"X-Subscriber-Token\"", ..Wanted::default() });
    let http = listen(&mut daemon);
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    let mut policy = Policy::connect(daemon.policy);
    for (client, instance, queue_id) in [(ALICE, "i1", "4bAlice"), (BOB, "i2", "4bBob")] {
        let mail = Mail { client, instance, queue_id, ..Mail::default() };
        assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["OK", "DUNNO"]);
    }
    let row = |queue_id: &str| daemon.messages(&["--queue-id", queue_id], 1).remove(0);
    let (alice, bob) = (row("4bAlice"), row("4bBob"));
    (daemon, http, alice, bob)
}

pub(crate) fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_else(|| panic!("{name} of {row}"))
}

#[test]
fn a_complaint_leads_to_its_subscriber_by_each_way_and_opens_a_case_that_lasts() {
    let (mut daemon, _, alice, bob) = world();
    let at = field(&alice, "at");
    let none = Report { reporter: "a@example.org", source: "", token: "", queue_id: "", client: ALICE, at };
    let by_token = Report { token: field(&alice, "token"), ..none };
    let row = taken(&daemon, &by_token.text());
    assert_eq!((&row["subscriber"], &row["confidence"]), (&"alice".into(), &"exact".into()), "{row}");
    assert_eq!((&row["ways"][0]["way"], &row["joined"]), (&"token".into(), &false.into()));
    assert_eq!(row["messages"][0]["queue_id"], "4bAlice");
    let first = row["case"].as_u64().expect("a number");
    // The same complaint again, as a mail server may deliver it twice.
    let again = taken(&daemon, &by_token.text());
    assert_eq!((again["case"].as_u64(), &again["joined"]), (Some(first), &true.into()), "{again}");

    let by_queue_id = Report { reporter: "b@example.org", queue_id: "4bAlice", ..none };
    let row = taken(&daemon, &by_queue_id.text());
    assert_eq!((&row["subscriber"], &row["ways"][0]["way"]), (&"alice".into(), &"queue-id".into()), "{row}");
    assert_ne!(row["case"].as_u64(), Some(first), "another reporter has a case of its own");

    let by_address = Report { reporter: "c@example.org", source: ALICE, ..none };
    let row = taken(&daemon, &by_address.text());
    assert_eq!((&row["subscriber"], &row["ways"][0]["way"]), (&"alice".into(), &"address".into()), "{row}");
    assert_eq!(row["missing"], serde_json::json!(["source port", "token header", "queue id"]));

    // A spammer wrote Bob's queue id beside an address of her own: that is no message of Bob's.
    let forged = Report { reporter: "d@example.org", queue_id: "4bBob", ..none };
    let row = taken(&daemon, &forged.text());
    assert_eq!((&row["subscriber"], &row["confidence"]), (&Value::Null, &"unknown".into()), "{row}");
    // With his address as well: the ways differ, nobody is accused.
    let forged = Report { reporter: "e@example.org", client: BOB, ..by_token };
    let row = taken(&daemon, &Report { queue_id: "4bBob", ..forged }.text());
    assert_eq!((&row["subscriber"], &row["confidence"]), (&Value::Null, &"ambiguous".into()), "{row}");
    assert_eq!(row["candidates"], serde_json::json!(["alice", "bob"]));
    let unsure = row["case"].to_string();
    let suspend = |more: &[&str]| {
        daemon.cli(&[["cases", "suspend", &unsure, "--reason", "spam"].as_slice(), more].concat())
    };
    let unnamed = suspend(&[]);
    assert_eq!(unnamed.status.code(), Some(2), "{}", text(&unnamed.stderr));
    let mut policy = Policy::connect(daemon.policy);
    let mut asked = |client| policy.rcpt(&Mail { client, ..Mail::default() });
    assert_eq!([asked(ALICE), asked(BOB)], ["OK", "OK"], "nobody is suspended on a guess");
    printed(&suspend(&["--subject", "bob"]), 0);
    assert!(asked(BOB).starts_with("550 5.7.1 "));
    assert_eq!(asked(ALICE), "OK");
    daemon.order(&["cases", "release", &unsure, "--subject", "bob", "--reason", "it was forged"]);
    assert_eq!(asked(BOB), "OK");
    // Somebody's own server as the source says nothing about who it was.
    let row =
        taken(&daemon, &Report { reporter: "f@example.org", source: "198.51.100.25", ..by_token }.text());
    assert_eq!(row["subscriber"], "alice", "{row}");
    assert_eq!(field(&bob, "subscriber"), "bob");

    let cases = daemon.json(&["cases"]).expect("cases");
    assert_eq!(cases.as_array().map(Vec::len), Some(6), "{cases}");
    let number = first.to_string();
    daemon.order(&["cases", "close", &number, "--reason", "cleaned"]);
    let closed = daemon.cli(&["cases", "close", &number, "--reason", "again"]);
    assert_eq!(closed.status.code(), Some(1), "{}", text(&closed.stderr));
    let before = daemon.json(&["cases"]).expect("cases");
    for crash in [true, false] {
        match crash {
            true => daemon.crash(),
            false => daemon.terminate(),
        }
        daemon.launch();
        daemon.wait_until_ready();
        assert_eq!(daemon.json(&["cases"]), Some(before.clone()), "a start changes no case");
    }
    let case = daemon.json(&["cases", &number]).expect("the case");
    assert_eq!((&case["state"], &case["evidence_count"]), (&"closed".into(), &2.into()), "{case}");
    let moment = |text: &str| parse_rfc3339(text).expect("RFC 3339");
    let (closed, kept_until) = (moment(field(&case["history"][2], "at")), moment(field(&case, "kept_until")));
    assert_eq!(
        kept_until.since(closed),
        Duration::from_secs(MESSAGES_KEPT),
        "as [retention] says of messages"
    );
    let told: Vec<_> =
        case["history"].as_array().expect("a list").iter().map(|line| field(line, "what")).collect();
    assert_eq!(told, ["opened", "joined", "closed"]);
    assert_eq!(daemon.json(&["cases", "--state", "closed"]).expect("one").as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_exported_says_how_long_things_are_kept_and_since_when_anything_is_known() {
    let (mut daemon, ..) = world();
    daemon.restart();
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("alice.json");
    let path = file.to_str().expect("text");
    let period = [
        "--since",
        "1h ago",
        "--until",
        "2099-01-01T00:00:00Z",
        "--reference",
        "4711 Js 1/26",
        "--file",
        path,
    ];
    printed(&daemon.cli(&[["export", "--subscriber", "alice"].as_slice(), &period].concat()), 0);
    let export: Value = serde_json::from_slice(&std::fs::read(&file).expect("the file")).expect("JSON");
    let about = &export["about"];
    assert_eq!(about["retention"]["messages_seconds"], MESSAGES_KEPT, "{about}");
    // Before the daemon was started nothing was ever received.
    let gaps = about["gaps"].as_array().expect("a list");
    let first = gaps.first().expect("the time before the first record");
    assert_eq!((&first["since"], &first["until"]), (&Value::Null, &about["known_from"]), "{about}");
    assert_eq!((&about["lost_from"], &about["messages"]), (&Value::Null, &1.into()));
}

#[test]
fn a_mail_server_that_pipes_a_complaint_keeps_it_while_the_daemon_is_away() {
    let mut daemon = Daemon::start();
    let socket = daemon.socket();
    let report = Report {
        reporter: "a@example.org",
        source: ALICE,
        token: "",
        queue_id: "",
        client: "",
        at: "2026-11-23T14:00:00Z",
    };
    daemon.terminate();
    let away = piped(&socket, &report.text(), &[]);
    assert_eq!((away.status.code(), away.stdout.len()), (Some(75), 0), "{}", text(&away.stderr));
    daemon.launch();
    daemon.wait_until_ready();
    let taken = piped(&socket, &report.text(), &[]);
    assert!(printed(&taken, 0).contains("Case"), "{}", text(&taken.stdout));
    for (report, why) in [
        ("From: a@b\n\nPlease stop.\n".to_owned(), "a mail without a report in it"),
        ("{\"xarf_version\": \"3\"}".to_owned(), "no X-ARF report of version 4"),
        (String::new(), "neither a mail nor a JSON object"),
        ("x".repeat(10 * 1024 * 1024 + 1), "more than 10 MiB"),
    ] {
        let output = piped(&socket, &report, &[]);
        assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
    // What was refused opened no case.
    assert_eq!(daemon.json(&["cases"]).expect("one").as_array().map(Vec::len), Some(1));
}

#[test]
fn what_a_reporter_chose_does_not_act_on_a_terminal() {
    let daemon = Daemon::start();
    let reporter = "=cmd()\u{1b}[2J\u{202e}@x";
    let report =
        Report { reporter, source: ALICE, token: "", queue_id: "", client: "", at: "2026-11-23T14:00:00Z" };
    let report = report.text().replace("<1@x>", "<=1+1\u{1b}]0;x\u{7}@x>");
    for format in ["table", "json", "ndjson", "csv"] {
        let output = piped(&daemon.socket(), &report, &["-o", format]);
        let told = printed(&output, 0);
        let listed = printed(&daemon.cli(&["cases", "-o", format]), 0);
        for text in [told, listed] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        }
    }
}

#[test]
fn other_programs_ask_over_tcp_with_a_token_of_their_own_who_it_was() {
    let (daemon, http, alice, _) = world();
    let at = field(&alice, "at");
    let made =
        daemon.cli(&["token", "create", "--role", "viewer", "--scope", "resolver", "--note", "AbuseHQ"]);
    let token = printed(&made, 0).trim().to_owned();
    let ask = |target: String| {
        let (status, body) = get(http, &target, &token);
        (status, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let (status, answer) = ask(format!("/v1/resolver/abusehq?ip={ALICE}&timestamp={at}"));
    assert_eq!((status, &answer["subscriber"]["id"]), (200, &"alice".into()), "{answer}");
    assert!(
        field(&answer, "result_valid_from") <= at && field(&answer, "result_valid_until") >= at,
        "{answer}"
    );
    let (status, answer) = ask(format!("/v1/resolver/abuseio?ip={ALICE}&timestamp={at}"));
    assert_eq!(
        (status, &answer["reference"], &answer["confidence"]),
        (200, &"alice".into(), &"exact".into())
    );
    let (status, answer) = ask(format!("/v1/resolver/abuseio?ip=100.64.0.99&timestamp={at}"));
    assert_eq!((status, field(&answer, "type")), (404, "urn:relaywarden:problem:not-resolved"));
    assert_eq!(ask("/v1/resolver/abusehq?ip=x".to_owned()).0, 400);
    for path in ["/v1/owner?address=100.64.0.7", "/v1/cases", "/v1/messages"] {
        assert_eq!(ask(path.to_owned()).0, 403, "{path}");
    }
    assert_eq!(get(http, &format!("/v1/resolver/abuseio?ip={ALICE}"), "rw_x").0, 401);
    let asked = daemon.json(&["audit", "questions", "--about", ALICE]).expect("rows");
    let via = format!("token:{}", &token[3..11]);
    let rows: Vec<_> = asked.as_array().expect("a list").iter().filter(|row| row["via"] == via[..]).collect();
    assert_eq!(rows.len(), 2, "{asked}");
    assert!(rows.iter().all(|row| row["rows"] == 1), "{asked}");
}
