//! Tokens and the record of questions, from the first command to the next start.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::common::daemon::{Daemon, text};
use crate::common::free_port;
use crate::common::nas::Status;
use crate::house::{edit, metric, printed, refused, serve};

/// A running daemon, and where it listens for HTTP.
fn listening() -> (Daemon, SocketAddr) {
    let mut daemon = Daemon::start();
    let http = listen(&mut daemon);
    (daemon, http)
}

/// Starts it again, listening for HTTP there.
pub(crate) fn listen(daemon: &mut Daemon) -> SocketAddr {
    daemon.terminate();
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    edit(daemon, "listen = []", &format!("listen = [\"{http}\"]"));
    daemon.launch();
    daemon.wait_until_ready();
    http
}

/// Status and body of a `GET` over TCP with a token.
pub(crate) fn get(http: SocketAddr, path: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let head = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    write!(stream, "GET {path} HTTP/1.1\r\n{head}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

pub(crate) fn token(daemon: &Daemon, role: &str) -> String {
    printed(&daemon.cli(&["token", "create", "--role", role, "--note", "help desk"]), 0).trim().to_owned()
}

/// Whether any file below a directory holds these octets.
fn holds(directory: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(directory).expect("our own directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, wanted);
        }
        let octets = fs::read(&path).unwrap_or_default();
        octets.windows(wanted.len()).any(|window| window == wanted)
    })
}

#[test]
fn a_token_is_good_until_it_is_revoked_also_after_a_restart_and_a_crash_and_its_secret_is_nowhere() {
    let (mut daemon, http) = listening();
    let token = token(&daemon, "viewer");
    let ask = || get(http, "/v1/lookup?address=100.64.0.7", &token).0;
    assert_eq!(ask(), 200);
    daemon.restart();
    assert_eq!(ask(), 200);
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(ask(), 200);
    let (id, secret) = (&token[3..11], &token[12..]);
    printed(&daemon.cli(&["token", "revoke", id]), 0);
    assert_eq!(ask(), 401);
    daemon.restart();
    assert_eq!(ask(), 401, "revoked is revoked");
    let log = daemon.log_text();
    assert!(log.contains("a login failed") && log.contains("revoked") && log.contains(id), "{log}");
    assert!(!log.contains(secret));
    let raw: Vec<u8> = (0..secret.len() / 2)
        .map(|at| u8::from_str_radix(&secret[at * 2..at * 2 + 2], 16).expect("hex"))
        .collect();
    assert!(holds(&daemon.data_dir(), b"help desk"), "it was looked for where tokens are");
    assert!(!holds(&daemon.data_dir(), secret.as_bytes()) && !holds(&daemon.data_dir(), &raw));
}

#[test]
fn who_asked_what_is_in_the_record_and_the_record_is_whole_across_a_crash() {
    let (mut daemon, http) = listening();
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    let viewer = token(&daemon, "viewer");
    assert_eq!(get(http, "/v1/lookup?address=100.64.0.7&purpose=case+7", &viewer).0, 200);
    printed(&daemon.cli(&["who", "100.64.0.7", "--purpose", "ticket 4711"]), 0);
    assert_eq!(get(http, "/v1/questions", &viewer).0, 403);
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    printed(&daemon.cli(&["sessions", "--subscriber", "alice"]), 0);
    let told = printed(&daemon.cli(&["audit", "questions", "--verify"]), 0);
    assert!(told.starts_with("the record is whole: 4 questions"), "{told}");
    let rows = daemon.json(&["audit", "questions"]).expect("rows");
    let rows = rows.as_array().expect("an array");
    let told: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {} {}", row["via"], row["role"], row["rows"], row["purpose"]))
        .collect();
    let (via, id) = (format!("\"token:{}\"", &viewer[3..11]), &viewer[3..11]);
    assert_eq!(
        told,
        [
            "\"socket\" \"auditor\" 1 null".to_owned(),
            "\"socket\" \"auditor\" 1 null".to_owned(),
            format!("{via} \"viewer\" null null"),
            "\"socket\" \"auditor\" 1 \"ticket 4711\"".to_owned(),
            format!("{via} \"viewer\" 1 \"case 7\""),
        ]
    );
    assert_eq!((&rows[2]["refused"], &rows[0]["what"]), (&Value::Bool(true), &"/v1/questions/verify".into()));
    let about = daemon.json(&["audit", "questions", "--about", "alice"]).expect("rows");
    assert_eq!(about.as_array().map(Vec::len), Some(1));
    let by = daemon.json(&["audit", "questions", "--by", id]).expect("rows");
    assert_eq!(by.as_array().map(Vec::len), Some(2));
}

#[test]
fn wrong_tokens_are_counted_and_said_once_without_what_was_shown() {
    let (daemon, http) = listening();
    let wrong = format!("rw_00000001_{}", "ab".repeat(32));
    for _ in 0..12 {
        get(http, "/v1/nas", &wrong);
    }
    assert_eq!(metric(&daemon, "relaywarden_http_logins_total{outcome=\"unknown\"}"), 10);
    assert_eq!(metric(&daemon, "relaywarden_http_logins_total{outcome=\"throttled\"}"), 2);
    let log = daemon.log_text();
    assert_eq!(log.matches("a login failed").count(), 2, "{log}");
    assert!(!log.contains("abab") && !log.contains("00000001"), "{log}");
}

#[test]
fn a_purpose_is_required_from_the_next_reload_on() {
    let (daemon, _) = listening();
    printed(&daemon.cli(&["who", "100.64.0.7"]), 1);
    edit(&daemon, "[http]", "[audit]\nrequire-purpose = true\n[http]");
    crate::house::reload(&daemon);
    let output = daemon.cli(&["who", "100.64.0.7"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--purpose TEXT"));
    printed(&daemon.cli(&["who", "100.64.0.7", "--ticket", "4711"]), 1);
}

#[test]
fn a_group_that_is_not_there_ends_a_start_with_69_and_names_its_key() {
    let mut daemon = Daemon::start();
    daemon.terminate();
    edit(&daemon, "[http]", "[http]\noperators-group = \"no-such-group-of-ours\"");
    let (code, told) = refused(&mut serve(&daemon));
    assert_eq!(code, 69, "{told}");
    assert!(told.contains("http.operators-group no-such-group-of-ours: there is no such group"), "{told}");
}

#[test]
fn what_must_be_kept_longer_is_ordered_listed_and_lifted_and_known_after_a_restart() {
    let mut daemon = Daemon::start();
    let ran = |daemon: &Daemon, arguments: &[&str]| {
        let output = daemon.cli(arguments);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = ran(&daemon, &["audit", "hold", "alice", "--until", "180d", "--reason", "4 Js 17/26"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("subscriber alice is kept until"), "{said}");
    let held = ["audit", "hold", "198.51.100.7", "--until", "180d", "--reason", "ticket 4711"];
    assert_eq!(ran(&daemon, &held).0, Some(0));
    assert_eq!(ran(&daemon, &["audit", "hold", "x", "--until", "1h ago", "--reason", "r"]).0, Some(2));
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    let rows = daemon.json(&["audit", "holds"]).expect("orders");
    let about: Vec<_> =
        rows.as_array().expect("rows").iter().map(|row| (&row["kind"], &row["about"])).collect();
    assert_eq!(about, [(&"subscriber".into(), &"alice".into()), (&"prefix".into(), &"198.51.100.7".into())]);
    let lift = ["audit", "unhold", "alice", "--reason", "closed"];
    assert_eq!(
        (ran(&daemon, &lift).0, ran(&daemon, &lift).0),
        (Some(0), Some(1)),
        "there is nothing to lift twice"
    );
    assert_eq!(daemon.json(&["audit", "holds"]).expect("orders").as_array().map(Vec::len), Some(1));
}
