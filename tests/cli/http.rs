//! The HTTP API as a stranger sees it: plain octets over its sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use relaywarden::access::Role;
use relaywarden::access::table::Scope;
use relaywarden::relay::case::{Kind, State};
use relaywarden::server::http::OrderError;
use relaywarden::server::http::web::{self, BindError};
use relaywarden::session::Name;
use serde_json::Value;

use crate::access::{bearer, given, sent};
use crate::fake::{Answers, Daemon};

struct Reply {
    status: u16,
    head: String,
    body: String,
}

fn exchange<T: Read + Write>(mut stream: T, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).unwrap();
    let mut octets = Vec::new();
    // A daemon that closes on a request it has not read to its end resets the connection behind its answer.
    match stream.read_to_end(&mut octets) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    let text = String::from_utf8(octets).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn asked(daemon: &Daemon, method: &str, target: &str, body: &str) -> Reply {
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    exchange(UnixStream::connect(daemon.socket()).unwrap(), &request)
}

fn over_tcp(daemon: &Daemon, target: &str) -> Reply {
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    exchange(TcpStream::connect(daemon.tcp).unwrap(), &request)
}

/// A problem document of this type, which names this parameter.
fn problem(reply: &Reply, status: u16, kind: &str, parameter: Option<&str>) {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{}", reply.body));
    assert_eq!(reply.status, status, "{body}");
    assert!(reply.head.contains("content-type: application/problem+json"), "{}", reply.head);
    assert_eq!(body["type"], format!("urn:relaywarden:problem:{kind}"));
    assert_eq!(body["status"], status);
    assert_eq!(body.get("parameter").and_then(Value::as_str), parameter, "{body}");
    assert!(body["title"].is_string() && body["detail"].is_string());
}

#[test]
fn each_wrong_parameter_is_named() {
    let daemon = Daemon::start(Answers::full());
    for (target, parameter) in [
        ("/v1/lookup", "address"),
        ("/v1/lookup?address=", "address"),
        ("/v1/lookup?address=alice", "address"),
        ("/v1/lookup?address=198.51.100.7&port=0", "port"),
        ("/v1/lookup?address=198.51.100.7&port=65536", "port"),
        ("/v1/lookup?address=198.51.100.7&at=2026-11-23T14:00:00Z", "at"),
        ("/v1/lookup?address=198.51.100.7&address=198.51.100.8", "address"),
        ("/v1/lookup?address=10.0.0.7&realm=blue&realm=red", "realm"),
        ("/v1/owner?at=2026-11-23T14:00:00Z", "address"),
        ("/v1/owner?address=198.51.100.7&port=0&at=2026-11-23T14:00:00Z", "port"),
        ("/v1/owner?token=x&realm=blue", "realm"),
        ("/v1/owner?address=198.51.100.7&within=2m", "within"),
        ("/v1/owner?address=198.51.100.7&at=2026-11-23T14:00:00Z&within=25h", "within"),
        ("/v1/owner?address=198.51.100.7&at=2026-11-23T14:00:00Z&within=2", "within"),
        ("/v1/explain", "address"),
        ("/v1/explain?address=198.51.100.0/24", "address"),
        ("/v1/explain?address=198.51.100.7&port=65536", "port"),
        ("/v1/explain?address=198.51.100.7&at=2026-11-23T14:00:00Z", "at"),
        ("/v1/explain?address=198.51.100.7&since=2026-11-23T14:00:00Z&until=2026-11-23T14:00:00Z", "until"),
        ("/v1/explain?address=198.51.100.7&limit=0", "limit"),
        ("/v1/sessions?realm=blue", "realm"),
        ("/v1/owner?address=198.51.100.7&at=2026-11-23", "at"),
        ("/v1/owner?token=x&address=198.51.100.7", "address"),
        ("/v1/sessions?address=198.51.100.0/33", "address"),
        ("/v1/sessions?since=yesterday", "since"),
        ("/v1/sessions?queue_id=x", "queue_id"),
        ("/v1/sessions?since=2026-11-23T14:00:00Z&until=2026-11-23T14:00:00Z", "until"),
        ("/v1/messages?address=198.51.100.0/24", "address"),
        ("/v1/messages?until=1795442400", "until"),
        ("/v1/messages?limit=0", "limit"),
        ("/v1/messages?limit=100001", "limit"),
        ("/v1/messages?subscribr=alice", "subscribr"),
        ("/v1/scanned?finding=clean", "finding"),
        ("/v1/scanned?address=alice", "address"),
        ("/v1/attempts?reference=1a2b3c4", "reference"),
        ("/v1/attempts?reference=%2ba2b3c4d", "reference"),
        ("/v1/attempts?reason=no-such", "reason"),
        ("/v1/attempts?address=alice", "address"),
        ("/v1/attempts?since=2026-11-23T14:00:00Z&until=2026-11-23T14:00:00Z", "until"),
        ("/v1/attempts?queue_id=x", "queue_id"),
        ("/v1/nas?x=1", "x"),
        ("/v1/nas?nas=bras1&nas=bras2", "nas"),
        ("/v1/suspensions?x=1", "x"),
        ("/v1/reputation?x=1", "x"),
        ("/v1/permitted?x=1", "x"),
        ("/v1/coverage?x=1", "x"),
        ("/v1/coverage?since=2026-11-23T14:00:00Z&until=2026-11-23T14:00:00Z", "until"),
    ] {
        problem(&asked(&daemon, "GET", target, ""), 400, "bad-parameter", Some(parameter));
    }
    assert!(daemon.answers.asked.lock().unwrap().is_empty(), "nothing was answered, so nothing is recorded");
}

#[test]
fn a_realm_never_heard_of_is_not_found_and_a_public_address_has_none() {
    let daemon = Daemon::start(Answers::full());
    for path in ["/v1/lookup", "/v1/owner", "/v1/sessions", "/v1/explain"] {
        let reply = asked(&daemon, "GET", &format!("{path}?address=10.0.0.7&realm=blu"), "");
        problem(&reply, 404, "unknown-realm", Some("realm"));
    }
    assert!(daemon.answers.asked.lock().unwrap().is_empty(), "nothing was answered, so nothing is recorded");
    let realm = |target: &str| {
        let reply = asked(&daemon, "GET", target, "");
        serde_json::from_str::<Value>(&reply.body).unwrap()["realm"].clone()
    };
    assert_eq!(realm("/v1/lookup?address=10.0.0.7&realm=blue"), "blue");
    assert_eq!(realm("/v1/owner?address=10.0.0.7&realm=blue&at=2026-11-23T14:00:00Z"), "blue");
    assert_eq!(realm("/v1/lookup?address=10.0.0.7&realm=public"), Value::Null);
    assert_eq!(realm("/v1/lookup?address=198.51.100.7&realm=blue"), Value::Null);
}

#[test]
fn each_wrong_order_is_named() {
    let daemon = Daemon::start(Answers::full());
    for (body, kind, parameter) in [
        ("", "bad-body", None),
        ("[]", "bad-body", None),
        (r#"{"subject":"bob"}"#, "bad-body", None),
        (r#"{"subject":"bob","reason":"x","subjct":"y"}"#, "bad-body", None),
        (r#"{"subject":"","reason":"x"}"#, "bad-parameter", Some("subject")),
        (r#"{"subject":"bob","reason":" "}"#, "bad-parameter", Some("reason")),
        (r#"{"subject":"bob","reason":"x","kind":"nas"}"#, "bad-parameter", Some("kind")),
        (r#"{"subject":"bob","reason":"x","until":"tomorrow"}"#, "bad-parameter", Some("until")),
        (r#"{"subject":"bob","reason":"x","until":"2001-01-01T00:00:00Z"}"#, "bad-parameter", Some("until")),
    ] {
        problem(&asked(&daemon, "POST", "/v1/suspensions", body), 400, kind, parameter);
    }
    let until = r#"{"subject":"bob","reason":"x","until":"2099-01-01T00:00:00Z"}"#;
    problem(&asked(&daemon, "DELETE", "/v1/suspensions/release", until), 400, "bad-parameter", Some("until"));
    assert!(daemon.answers.ordered.lock().unwrap().is_empty());
}

#[test]
fn each_wrong_verdict_is_named_and_a_token_may_stand_as_a_password_there_alone() {
    let answers = Answers::full();
    let mut tokens = answers.tokens.lock().unwrap();
    let token = given(&mut tokens, 2, Role::Operator, &[Scope::Verdicts], None);
    drop(tokens);
    let daemon = Daemon::start(answers);
    for body in ["", "[]", "{}", r#"{"action":7}"#, r#"{"action":"reject","ip":7}"#] {
        problem(&asked(&daemon, "POST", "/v1/verdicts", body), 400, "bad-body", None);
    }
    let long = format!(r#"{{"action":"reject","qid":"{}"}}"#, "a".repeat(1024 * 1024));
    problem(&asked(&daemon, "POST", "/v1/verdicts", &long), 413, "body-too-large", None);
    // What rspamd tells besides, and how it writes a list without anything in it.
    let told = r#"{"action":"reject","score":15,"symbols":{},"fuzzy":[],"rcpt":"unknown","ip":"unknown"}"#;
    // "rspamd:" and the token.
    let basic = |token: &str| {
        let pair = data_encoding::BASE64.encode(format!("rspamd:{token}").as_bytes());
        format!("Authorization: Basic {pair}")
    };
    for (line, head, status) in [
        ("POST /v1/verdicts", basic(&token), 200),
        ("POST /v1/verdicts", bearer(&token), 200),
        ("POST /v1/verdicts", basic("rw_00000002_x"), 401),
        ("POST /v1/verdicts", "Authorization: Basic !!".to_owned(), 401),
        ("GET /v1/scanned", basic(&token), 401),
        ("GET /v1/scanned", bearer(&token), 403),
        ("GET /v1/lookup?address=198.51.100.7", bearer(&token), 403),
    ] {
        let body = if line.starts_with("POST") { told } else { "" };
        let reply = sent(&daemon, line, &[&head], body);
        assert_eq!(reply.status, status, "{line} {}", reply.body);
        assert!(!reply.body.contains("alice"), "a scanner need not know whose a message was");
    }
}

#[test]
fn each_wrong_hold_is_named() {
    let daemon = Daemon::start(Answers::full());
    for (body, kind, parameter) in [
        ("", "bad-body", None),
        (r#"{"nas":"bras1"}"#, "bad-body", None),
        (r#"{"nas":"bras1","reason":"x","force":true}"#, "bad-body", None),
        (r#"{"nas":"bras1","reason":"x"}"#, "bad-parameter", Some("until")),
        (r#"{"nas":"bras1","reason":"x","until":"tomorrow"}"#, "bad-parameter", Some("until")),
        (r#"{"nas":"bras1","reason":"x","until":"2001-01-01T00:00:00Z"}"#, "bad-parameter", Some("until")),
        (r#"{"nas":"bras1","reason":"x","until":"2099-01-01T00:00:00Z"}"#, "bad-parameter", Some("until")),
    ] {
        problem(&asked(&daemon, "POST", "/v1/nas/hold", body), 400, kind, parameter);
    }
    for (body, parameter) in [
        (r#"{"nas":"","reason":"x"}"#, "nas"),
        (r#"{"nas":"bras1","reason":" "}"#, "reason"),
        (r#"{"nas":"bras1","reason":"x","until":"2099-01-01T00:00:00Z"}"#, "until"),
    ] {
        problem(&asked(&daemon, "POST", "/v1/nas/unhold", body), 400, "bad-parameter", Some(parameter));
    }
    problem(&asked(&daemon, "GET", "/v1/nas/hold", ""), 405, "no-such-method", None);
    assert!(daemon.answers.held.lock().unwrap().is_empty());
}

#[test]
fn each_wrong_question_about_cases_is_named() {
    let daemon = Daemon::start(Answers::full());
    let close = |id: &str, body: &str| asked(&daemon, "POST", &format!("/v1/cases/{id}/close"), body);
    problem(&close("4711", ""), 400, "bad-body", None);
    problem(&close("4711", r#"{"reason":" "}"#), 400, "bad-parameter", Some("reason"));
    problem(&close("4711", r#"{"reason":"x","force":true}"#), 400, "bad-body", None);
    problem(&close("x", r#"{"reason":"x"}"#), 400, "bad-parameter", Some("id"));
    problem(&close("7", r#"{"reason":"x"}"#), 404, "unknown-case", None);
    problem(&close("4710", r#"{"reason":"x"}"#), 409, "case-closed", None);
    problem(&close("4709", r#"{"reason":"x"}"#), 503, "unrecorded", None);
    assert_eq!(close("4711", r#"{"reason":"x"}"#).status, 200);
    let order = |path: &str, body: &str| asked(&daemon, "POST", &format!("/v1/cases/{path}"), body);
    for (path, body, kind, parameter) in [
        ("4711/suspend", r#"{"subject":"bob"}"#, "bad-body", None),
        ("4711/suspend", r#"{"reason":"x","kind":"login"}"#, "bad-parameter", Some("kind")),
        ("4711/suspend", r#"{"reason":"x","subject":"bob","kind":"nas"}"#, "bad-parameter", Some("kind")),
        ("4711/suspend", r#"{"reason":"x","subject":""}"#, "bad-parameter", Some("subject")),
        ("4711/suspend", r#"{"reason":" "}"#, "bad-parameter", Some("reason")),
        ("4711/limit", r#"{"reason":"x","until":"tomorrow"}"#, "bad-parameter", Some("until")),
        ("4711/limit", r#"{"reason":"x","until":"2001-01-01T00:00:00Z"}"#, "bad-parameter", Some("until")),
        ("4711/release", r#"{"reason":"x","until":"2099-01-01T00:00:00Z"}"#, "bad-parameter", Some("until")),
        ("4711/note", r#"{"reason":"x","subject":"bob"}"#, "bad-body", None),
        ("4708/suspend", r#"{"reason":"x"}"#, "bad-parameter", Some("subject")),
        ("x/note", r#"{"reason":"x"}"#, "bad-parameter", Some("id")),
    ] {
        problem(&order(path, body), 400, kind, parameter);
    }
    problem(&order("4710/dismiss", r#"{"reason":"x"}"#), 409, "case-closed", None);
    problem(&asked(&daemon, "POST", "/v1/cases", r#"{"reason":"x"}"#), 400, "bad-body", None);
    problem(
        &asked(&daemon, "POST", "/v1/cases", r#"{"subject":"","reason":"x"}"#),
        400,
        "bad-parameter",
        Some("subject"),
    );
    let ticket = |octets| format!(r#"{{"reason":"x","ticket":"{}"}}"#, "a".repeat(octets));
    assert_eq!(order("4711/note", &ticket(1024)).status, 200);
    problem(&order("4711/note", &ticket(1025)), 400, "bad-parameter", Some("ticket"));
    assert_eq!(daemon.answers.acted.lock().unwrap().len(), 2, "a close and a note");
    for (target, parameter) in [
        ("/v1/cases?state=new", "state"),
        ("/v1/cases?kind=rumour", "kind"),
        ("/v1/cases?limit=0", "limit"),
        ("/v1/cases?id=7", "id"),
        ("/v1/cases/-1", "id"),
        ("/v1/cases/18446744073709551616", "id"),
        ("/v1/resolver/abusehq", "ip"),
        ("/v1/resolver/abusehq?ip=198.51.100.7&timestamp=yesterday", "timestamp"),
        ("/v1/resolver/abuseio?ip=198.51.100.7&port=0", "port"),
    ] {
        problem(&asked(&daemon, "GET", target, ""), 400, "bad-parameter", Some(parameter));
    }
    problem(&asked(&daemon, "GET", "/v1/cases/7", ""), 404, "unknown-case", None);
    problem(&asked(&daemon, "POST", "/v1/complaints", "x"), 400, "bad-body", None);
    problem(&asked(&daemon, "GET", "/v1/complaints", ""), 405, "no-such-method", None);
    problem(&asked(&daemon, "GET", "/v1/cases/%ff", ""), 400, "bad-parameter", Some("id"));
}

#[test]
fn cases_are_narrowed_by_what_opened_them_and_whom_they_are_about() {
    let daemon = Daemon::start(Answers::full());
    asked(&daemon, "GET", "/v1/cases?state=open&kind=signal&subscriber=alice&login=sales&limit=7", "");
    let filter = daemon.answers.cases_asked.lock().unwrap().clone().unwrap();
    assert_eq!((filter.state, filter.kind), (Some(State::Open), Some(Kind::Signal)));
    assert_eq!((filter.subscriber, filter.login), (Some(Name::from("alice")), Some(Name::from("sales"))));
    let run = daemon.run(&["cases", "--kind", "staff", "--login", "sales"]);
    assert_eq!(run.exit, 0, "{run:?}");
    let filter = daemon.answers.cases_asked.lock().unwrap().clone().unwrap();
    assert_eq!((filter.kind, filter.login), (Some(Kind::Staff), Some(Name::from("sales"))));
    assert_eq!(daemon.run(&["cases", "--kind", "rumour"]).exit, 2);
    let evidence = |id: u64| asked(&daemon, "GET", &format!("/v1/cases/{id}"), "").body;
    for (id, told) in [
        (
            4700,
            r#""signal":{"at":"2026-11-23T13:58:00.000Z","kind":"login","subject":"sales","name":"messages","value":1024,"threshold":40"#,
        ),
        (4690, r#""answers":["127.0.0.4"]"#),
        (4700, r#""in_force":[{"kind":"login","subject":"sales","standing":"suspended""#),
    ] {
        assert!(evidence(id).contains(told), "{told} in {}", evidence(id));
    }
}

#[test]
fn a_nas_that_is_unknown_or_not_held_is_not_found() {
    for (error, kind) in [(OrderError::UnknownNas, "unknown-nas"), (OrderError::NotHeld, "not-held")] {
        let daemon = Daemon::start(Answers { order_error: Some(error), ..Answers::full() });
        let body = r#"{"nas":"bras9","reason":"x"}"#;
        problem(&asked(&daemon, "POST", "/v1/nas/unhold", body), 404, kind, None);
    }
}

#[test]
fn a_reason_of_1024_octets_is_taken_and_one_of_1025_is_not() {
    let daemon = Daemon::start(Answers::full());
    let order = |length| format!(r#"{{"subject":"bob","reason":"{}"}}"#, "a".repeat(length));
    assert_eq!(asked(&daemon, "POST", "/v1/suspensions", &order(1024)).status, 200);
    problem(&asked(&daemon, "POST", "/v1/suspensions", &order(1025)), 400, "bad-parameter", Some("reason"));
}

#[test]
fn each_wrong_chunk_of_a_file_is_named() {
    let daemon = Daemon::start(Answers::full());
    let chunk =
        |more: &str| format!(r#"{{"file":"radacct.csv","as_of":"2026-01-01T00:00:00Z","rows":[]{more}}}"#);
    for (body, kind, parameter) in [
        ("", "bad-body", None),
        (r#"{"file":"x","rows":[]}"#, "bad-body", None),
        (&chunk(r#","client":7"#), "bad-body", None),
        (&chunk(r#","dry-run":true"#), "bad-body", None),
        (&chunk("").replace("radacct.csv", ""), "bad-parameter", Some("file")),
        (&chunk("").replace("radacct.csv", &"a".repeat(1025)), "bad-parameter", Some("file")),
        (&chunk("").replace("2026-01-01T00:00:00Z", "2026-01-01"), "bad-parameter", Some("as_of")),
        (&chunk("").replace("2026", "2126"), "bad-parameter", Some("as_of")),
    ] {
        problem(&asked(&daemon, "POST", "/v1/import", body), 400, kind, parameter);
    }
    assert!(daemon.answers.imported.lock().unwrap().is_empty());
    let rows = |count: usize| {
        let row = r#"{"line":2,"records":[]}"#;
        chunk("").replace("[]", &format!("[{}]", vec![row; count].join(",")))
    };
    assert_eq!(asked(&daemon, "POST", "/v1/import", &rows(1000)).status, 200);
    problem(&asked(&daemon, "POST", "/v1/import", &rows(1001)), 400, "bad-parameter", Some("rows"));
}

#[test]
fn each_wrong_chunk_of_a_log_is_named() {
    let daemon = Daemon::start(Answers::full());
    let chunk = |rows: &str| format!(r#"{{"file":"mail.log","rows":[{rows}]}}"#);
    let row = r#"{"line":3,"at":"2026-11-23T13:00:00Z","mta":"mx1","queue_id":"4AA2D1C0E9","address":"198.51.100.7","size":7,"recipients":1}"#;
    for (body, kind, parameter) in [
        ("", "bad-body", None),
        (r#"{"rows":[]}"#, "bad-body", None),
        (&chunk("").replace("rows", "row"), "bad-body", None),
        (&chunk(&row.replace("198.51.100.7", "unknown")), "bad-body", None),
        (&chunk(&row.replace("\"size\":7", "\"size\":-7")), "bad-body", None),
        (&chunk("").replace("mail.log", ""), "bad-parameter", Some("file")),
        (&chunk("").replace("mail.log", &"a".repeat(1025)), "bad-parameter", Some("file")),
        (&chunk(&vec![row; 1001].join(",")), "bad-parameter", Some("rows")),
    ] {
        problem(&asked(&daemon, "POST", "/v1/import/messages", body), 400, kind, parameter);
    }
    assert!(daemon.answers.mail_imported.lock().unwrap().is_empty());
    let whole = chunk(&vec![row; 1000].join(","));
    assert_eq!(asked(&daemon, "POST", "/v1/import/messages", &whole).status, 200);
}

#[test]
fn a_chunk_of_4_mib_is_read_and_a_longer_one_is_not() {
    let daemon = Daemon::start(Answers::full());
    let chunk = |octets: usize| {
        let body = r#"{"file":"radacct.csv","as_of":"2026-01-01T00:00:00Z","rows":[]}"#;
        format!("{body}{}", " ".repeat(octets - body.len()))
    };
    assert_eq!(asked(&daemon, "POST", "/v1/import", &chunk(4 * 1024 * 1024)).status, 200);
    problem(&asked(&daemon, "POST", "/v1/import", &chunk(4 * 1024 * 1024 + 1)), 413, "body-too-large", None);
    problem(&asked(&daemon, "POST", "/v1/suspensions", &chunk(64 * 1024 + 1)), 413, "body-too-large", None);
}

#[test]
fn a_body_of_64_kib_is_read_and_a_longer_one_is_not() {
    let daemon = Daemon::start(Answers::full());
    let order = |length: usize| {
        let order = r#"{"subject":"bob","reason":"x"}"#;
        format!("{order}{}", " ".repeat(length - order.len()))
    };
    assert_eq!(asked(&daemon, "POST", "/v1/suspensions", &order(65_536)).status, 200);
    problem(&asked(&daemon, "POST", "/v1/suspensions", &order(65_537)), 413, "body-too-large", None);
}

#[test]
fn unknown_paths_and_methods_are_problems_too() {
    let daemon = Daemon::start(Answers::full());
    problem(&asked(&daemon, "GET", "/v1/lookups", ""), 404, "no-such-path", None);
    problem(&asked(&daemon, "PUT", "/v1/lookup", ""), 405, "no-such-method", None);
    problem(&asked(&daemon, "GET", "/v1/suspensions/release", ""), 405, "no-such-method", None);
}

#[test]
fn without_a_token_tcp_answers_health_and_metrics_and_nothing_about_people() {
    let daemon = Daemon::start(Answers::full());
    assert_eq!(over_tcp(&daemon, "/healthz").status, 200);
    assert_eq!(over_tcp(&daemon, "/readyz").status, 200);
    let metrics = over_tcp(&daemon, "/metrics");
    assert_eq!((metrics.status, metrics.body.as_str()), (200, "# EOF\n"));
    assert!(metrics.head.contains("application/openmetrics-text"));
    for target in ["/v1/lookup?address=198.51.100.7", "/v1/sessions", "/v1/nas", "/v1/tokens"] {
        let reply = over_tcp(&daemon, target);
        problem(&reply, 401, "no-token", None);
        assert!(reply.head.contains("www-authenticate: bearer realm="), "{target}: {}", reply.head);
        assert!(!reply.body.contains("alice"), "{target}");
    }
    problem(&over_tcp(&daemon, "/v1/nas/hold"), 405, "no-such-method", None);
    problem(&over_tcp(&daemon, "/v1/"), 404, "no-such-path", None);
    assert!(daemon.answers.asked.lock().unwrap().is_empty());
}

#[test]
fn readiness_says_why_not() {
    let daemon = Daemon::start(Answers { not_ready: true, ..Answers::default() });
    let reply = over_tcp(&daemon, "/readyz");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.body, r#"{"ready":false,"reasons":["log: No space left on device"]}"#);
    assert_eq!(over_tcp(&daemon, "/healthz").status, 200);
}

#[test]
fn the_answer_to_who_has_the_fields_of_the_contract_and_no_others() {
    let daemon = Daemon::start(Answers::full());
    let reply = asked(&daemon, "GET", "/v1/lookup?address=198.51.100.7&port=40112", "");
    let body: serde_json::Map<String, Value> = serde_json::from_str(&reply.body).unwrap();
    let mut fields: Vec<&str> = body.keys().map(String::as_str).collect();
    fields.sort_unstable();
    let mut contract = [
        "address",
        "port",
        "realm",
        "at",
        "verdict",
        "reason",
        "subscriber",
        "session",
        "nas",
        "valid_from",
        "valid_until",
        "confidence",
        "because",
        "candidates",
    ];
    contract.sort_unstable();
    assert_eq!(fields, contract);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let daemon = Daemon::start(Answers::full());
    let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(exchange(UnixStream::connect(daemon.socket()).unwrap(), &request).status, 431);
}

#[test]
fn stop_ends_idle_connections_at_once() {
    let daemon = Daemon::start(Answers::full());
    let mut idle = UnixStream::connect(daemon.socket()).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut octets = [0; 12];
    idle.read_exact(&mut octets).unwrap();
    assert_eq!(&octets, b"HTTP/1.1 200");
    let began = std::time::Instant::now();
    daemon.stop();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let living = web::bind_unix(&path, 0o660, None).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
    assert!(matches!(web::bind_unix(&path, 0o660, None), Err(BindError::InUse(_))));
    drop(living);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    assert!(matches!(web::bind_unix(&path, 0o660, None), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    let unknown = web::bind_unix(&dir.path().join("s"), 0o660, Some("no-such-group-here"));
    assert!(matches!(unknown, Err(BindError::NoSuchGroup(_))));
}
