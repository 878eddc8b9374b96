//! Who may what: every path against everybody who may come, browsers' sessions, and what is written down of a question.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use relaywarden::access::question::Reply;
use relaywarden::access::table::{ENDPOINTS, Endpoint, Needs, Scope};
use relaywarden::access::token::{SECRET_OCTETS, TokenId, TokenOrder, Tokens, Verb, issue};
use relaywarden::access::{Role, Via};
use relaywarden::server::http;
use relaywarden::session::{Name, Timestamp};
use serde_json::Value;

use crate::fake::{Answers, Daemon};

/// What came back.
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// A request over TCP with these lines of a head.
pub(crate) fn sent(daemon: &Daemon, line: &str, head: &[&str], body: &str) -> Response {
    let mut stream = TcpStream::connect(daemon.tcp).unwrap();
    let host = if head.iter().any(|line| line.to_lowercase().starts_with("host:")) {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let text =
        format!("{line} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}");
    stream.write_all(text.as_bytes()).unwrap();
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    let text = String::from_utf8(octets).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Response { status, headers, body: body.to_owned() }
}

const REPORT: &str = include_str!("../data/complaint/arf.eml");
const EVER: Timestamp = Timestamp::from_seconds(1_000_000_000);

/// A token as it would have been made long ago.
pub(crate) fn given(
    tokens: &mut Tokens,
    id: u32,
    role: Role,
    scopes: &[Scope],
    expires: Option<Timestamp>,
) -> String {
    let (text, hash) = issue(TokenId(id), &[u8::try_from(id).unwrap(); SECRET_OCTETS]);
    let (scopes, note) = (scopes.to_vec(), Name::from("desk <b>1</b>"));
    let verb = Verb::Create { hash, role, scopes, expires, note };
    tokens.fold(&TokenOrder { at: EVER, by: Name::from("root"), id: TokenId(id), verb });
    text
}

/// A daemon, and a token of each role.
pub(crate) fn daemon() -> (Daemon, [String; 3]) {
    let answers = Answers::full();
    let tokens = {
        let mut known = answers.tokens.lock().unwrap();
        [Role::Viewer, Role::Operator, Role::Auditor]
            .map(|role| given(&mut known, role as u32 + 1, role, &[], None))
    };
    (Daemon::start(answers), tokens)
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn problem(reply: &Response) -> String {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or_default();
    kind.strip_prefix("urn:relaywarden:problem:").unwrap_or_default().to_owned()
}

#[test]
fn what_is_served_stands_in_the_table_and_what_stands_in_the_table_is_served() {
    let mut served = http::served::<Answers>();
    let mut table: Vec<_> = ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.path)).collect();
    served.sort_unstable();
    table.sort_unstable();
    assert_eq!(served, table);
}

/// Whether a refusal at the gate; anything else got past it, whatever became of it there.
fn outcome(reply: &Response) -> &'static str {
    match (reply.status, problem(reply).as_str()) {
        (401, "no-token") => "no-token",
        (401, "bad-token") => "bad-token",
        (403, "not-permitted") => "not-permitted",
        (303, _) if reply.header("location").starts_with("/login") => "login",
        _ => "in",
    }
}

#[test]
fn every_path_lets_in_whom_the_table_says_and_nobody_else() {
    let answers = Answers::full();
    let (roles, expired, revoked) = {
        let mut known = answers.tokens.lock().unwrap();
        let roles = Role::ALL.map(|role| given(&mut known, role as u32 + 1, role, &[], None));
        let over =
            given(&mut known, 9, Role::Auditor, &[], Some(EVER.plus(std::time::Duration::from_secs(1))));
        let gone = given(&mut known, 10, Role::Auditor, &[], None);
        let order = TokenOrder { at: EVER, by: Name::from("root"), id: TokenId(10), verb: Verb::Revoke };
        known.fold(&order);
        (roles, over, gone)
    };
    let wrong = issue(TokenId(3), &[99; SECRET_OCTETS]).0;
    let mut looked_at = 0;
    for &(method, path) in &http::served::<Answers>() {
        // Wrong tokens are counted by source: each path gets a daemon that has not seen any.
        let fresh = Answers::full();
        *fresh.tokens.lock().unwrap() = answers.tokens.lock().unwrap().clone();
        let daemon = Daemon::start(fresh);
        let Endpoint { needs, .. } =
            ENDPOINTS.iter().find(|row| (row.method, row.path) == (method, path)).unwrap();
        let line = format!("{method} {}", path.replace("{id}", "4711"));
        let ask = |head: &[&str]| match sent(&daemon, &line, head, "{}") {
            // Whoever goes is sent there, too.
            Response { status: 303, .. } if path == "/logout" => "in",
            reply => outcome(&reply),
        };
        let by = |token: &str| ask(&[&bearer(token)]);
        let expected = |held: Role| match needs {
            Needs::Nothing => "in",
            Needs::Role(least, _) if held >= *least => "in",
            Needs::Role(..) => "not-permitted",
        };
        let (nobody, bad) = match needs {
            Needs::Nothing => ("in", "in"),
            Needs::Role(_, Scope::Console) => ("login", "bad-token"),
            Needs::Role(..) => ("no-token", "bad-token"),
        };
        assert_eq!(ask(&[]), nobody, "{method} {path}");
        for token in [wrong.as_str(), &expired, &revoked, "", "rw_x"] {
            assert_eq!(by(token), bad, "{method} {path} {token}");
        }
        assert_eq!(ask(&["Authorization: Basic cm9vdDo="]), bad, "{method} {path}");
        for (role, token) in Role::ALL.into_iter().zip(&roles) {
            assert_eq!(by(token), expected(role), "{method} {path} as {role}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 75, "{looked_at}");
}

#[test]
fn no_answer_leaves_without_its_headers() {
    let (daemon, [viewer, ..]) = daemon();
    for (line, token) in [
        ("GET /v1/lookup?address=198.51.100.7", Some(&viewer)),
        ("GET /v1/lookup?address=198.51.100.7", None),
        ("GET /healthz", None),
        ("GET /login", None),
        ("GET /nowhere", None),
        ("PUT /v1/lookup", None),
    ] {
        let token = token.map(|token| bearer(token)).unwrap_or_else(|| "X: y".to_owned());
        let reply = sent(&daemon, line, &[&token], "");
        assert!(reply.header("content-security-policy").starts_with("default-src 'none'"), "{line}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{line}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{line}");
        assert_eq!(reply.header("cache-control"), "no-store", "{line}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{line}");
    }
}

#[test]
fn a_refusal_says_what_would_suffice_and_a_missing_token_how_to_send_one() {
    let (daemon, [viewer, ..]) = daemon();
    let reply = sent(&daemon, "GET /v1/nas", &[], "");
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"relaywarden\"");
    let reply = sent(&daemon, "GET /v1/nas", &[&bearer("rw_x")], "");
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"relaywarden\", error=\"invalid_token\"");
    let reply = sent(&daemon, "GET /v1/tokens", &[&bearer(&viewer)], "");
    assert!(reply.header("www-authenticate").ends_with("error=\"insufficient_scope\""));
    assert!(reply.body.contains("the role auditor"), "{}", reply.body);
}

#[test]
fn a_token_with_a_scope_may_no_more_than_that() {
    let answers = Answers::full();
    let token =
        given(&mut answers.tokens.lock().unwrap(), 5, Role::Auditor, &[Scope::Owner, Scope::Tokens], None);
    let daemon = Daemon::start(answers);
    let ask = |line: &str, body: &str| sent(&daemon, line, &[&bearer(&token)], body);
    assert_eq!(ask("GET /v1/owner?address=198.51.100.7", "").status, 200);
    assert_eq!(ask("GET /v1/lookup?address=198.51.100.7", "").status, 403);
    // What it may make may no more than itself.
    let made = |scopes: &str| ask("POST /v1/tokens", &format!(r#"{{"role":"viewer"{scopes}}}"#)).status;
    assert_eq!(made(r#","scopes":["owner"]"#), 200);
    assert_eq!(made(""), 400);
    assert_eq!(made(r#","scopes":["owner","messages"]"#), 400);
}

#[test]
fn an_order_from_a_case_takes_what_an_order_takes_and_what_a_case_takes() {
    for (scopes, orders, notes) in [
        ([Scope::Cases].as_slice(), 403, 200),
        (&[Scope::Suspensions], 403, 403),
        (&[Scope::Cases, Scope::Suspensions], 200, 200),
    ] {
        let answers = Answers::full();
        let token = given(&mut answers.tokens.lock().unwrap(), 5, Role::Operator, scopes, None);
        let daemon = Daemon::start(answers);
        let ask = |act: &str| {
            let line = format!("POST /v1/cases/4711/{act}");
            sent(&daemon, &line, &[&bearer(&token)], r#"{"reason":"x"}"#).status
        };
        for act in ["limit", "suspend", "release"] {
            assert_eq!(ask(act), orders, "{act} {scopes:?}");
        }
        for act in ["note", "dismiss", "close"] {
            assert_eq!(ask(act), notes, "{act} {scopes:?}");
        }
    }
}

#[test]
fn ten_wrong_tokens_are_answered_401_and_the_next_429_while_a_right_one_comes_in() {
    let (daemon, [viewer, ..]) = daemon();
    for _ in 0..10 {
        assert_eq!(sent(&daemon, "GET /v1/nas", &[&bearer("rw_x")], "").status, 401);
    }
    let reply = sent(&daemon, "GET /v1/nas", &[&bearer("rw_x")], "");
    assert_eq!((reply.status, problem(&reply).as_str()), (429, "too-many-attempts"));
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&seconds), "{seconds}");
    assert_eq!(sent(&daemon, "POST /login", &[], "token=rw_x").status, 429);
    assert_eq!(sent(&daemon, "GET /v1/nas", &[&bearer(&viewer)], "").status, 200);
}

#[test]
fn a_name_that_is_none_of_ours_is_refused_before_anything_else() {
    let (daemon, [viewer, ..]) = daemon();
    let ask = |path: &str, host: &str| {
        let reply = sent(&daemon, &format!("GET {path}"), &[&format!("Host: {host}"), &bearer(&viewer)], "");
        reply.status
    };
    for host in ["evil.example", "evil.example:8025", "localhost.evil.example", "192.0.2.1", "x"] {
        for path in ["/v1/nas", "/metrics", "/readyz", "/login"] {
            assert_eq!(ask(path, host), 421, "{path} {host}");
        }
        assert_eq!(ask("/healthz", host), 200);
    }
    for host in ["localhost", "127.0.0.1:8025", "[::1]", "WARDEN.isp.example"] {
        assert_eq!(ask("/v1/nas", host), 200, "{host}");
    }
    let reply = sent(&daemon, "GET http://evil.example/v1/nas", &["Host: localhost", &bearer(&viewer)], "");
    assert_eq!(reply.status, 421);
}

/// Logs in; returns the cookie and the CSRF token of the page.
fn logged_in(daemon: &Daemon, token: &str) -> (String, String) {
    let reply = sent(daemon, "POST /login", &["Sec-Fetch-Site: same-origin"], &format!("token={token}"));
    assert_eq!((reply.status, reply.header("location")), (303, "/"), "{}", reply.body);
    let cookie = reply.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(token), "{cookie}");
    let cookie = format!("Cookie: other=1; {}", cookie.split(';').next().unwrap());
    let page = sent(daemon, "GET /", &[&cookie], "");
    assert_eq!(page.status, 200);
    let csrf = page.body.split("name=\"csrf\" value=\"").nth(1).unwrap();
    (cookie, csrf.split('"').next().unwrap().to_owned())
}

#[test]
fn a_session_is_who_its_token_is_until_it_is_ended_or_the_token_is_revoked() {
    let (daemon, [viewer, operator, _]) = daemon();
    let (cookie, csrf) = logged_in(&daemon, &viewer);
    assert_eq!(sent(&daemon, "GET /v1/lookup?address=198.51.100.7", &[&cookie], "").status, 200);
    assert_eq!(sent(&daemon, "GET /v1/tokens", &[&cookie], "").status, 403);
    {
        let questions = daemon.answers.questions.lock().unwrap();
        assert_eq!((questions[0].via, questions[0].reply), (Via::Browser(TokenId(1)), Reply::Rows(1)));
        assert_eq!(questions[0].by.to_string(), "token:00000001 desk <b>1</b>");
    }
    let reply = sent(&daemon, "POST /logout", &[&cookie], &format!("csrf={csrf}"));
    assert_eq!((reply.status, reply.header("location")), (303, "/login"));
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(sent(&daemon, "GET /v1/nas", &[&cookie], "").status, 401);

    let (cookie, _) = logged_in(&daemon, &operator);
    assert_eq!(sent(&daemon, "GET /v1/nas", &[&cookie], "").status, 200);
    let order = TokenOrder { at: EVER, by: Name::from("root"), id: TokenId(2), verb: Verb::Revoke };
    daemon.answers.tokens.lock().unwrap().fold(&order);
    assert_eq!(sent(&daemon, "GET /v1/nas", &[&cookie], "").status, 401);
    assert_eq!(sent(&daemon, "GET /", &[&cookie], "").header("location"), "/login");
}

#[test]
fn a_page_that_is_shown_holds_a_note_and_no_markup_of_its_writer() {
    let (daemon, [viewer, ..]) = daemon();
    let (cookie, _) = logged_in(&daemon, &viewer);
    let page = sent(&daemon, "GET /", &[&cookie], "");
    assert!(
        page.body.contains("desk &#60;b&#62;1&#60;/b&#62;") && !page.body.contains("<b>"),
        "{}",
        page.body
    );
    assert!(page.header("content-security-policy").contains("form-action 'self'"));
}

#[test]
fn a_form_without_the_sessions_own_token_changes_nothing() {
    let (daemon, [_, operator, _]) = daemon();
    let (cookie, csrf) = logged_in(&daemon, &operator);
    let order = r#"{"subject":"bob","reason":"x"}"#;
    let suspend = |head: &[&str]| {
        let head: Vec<&str> = [cookie.as_str()].into_iter().chain(head.iter().copied()).collect();
        let reply = sent(&daemon, "POST /v1/suspensions", &head, order);
        (reply.status, problem(&reply))
    };
    let refused = (403, "cross-site".to_owned());
    assert_eq!(suspend(&[]), refused);
    assert_eq!(suspend(&["X-CSRF-Token: "]), refused);
    assert_eq!(suspend(&[&format!("X-CSRF-Token: {}", csrf.replace(['1', '2', '3'], "4"))]), refused);
    let header = format!("X-CSRF-Token: {csrf}");
    for foreign in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://evil.example",
        "Origin: http://localhost:3000",
        "Origin: null",
    ] {
        assert_eq!(suspend(&[&header, foreign]), refused, "{foreign}");
    }
    assert!(daemon.answers.ordered.lock().unwrap().is_empty());
    assert_eq!(suspend(&[&header, "Origin: http://localhost", "Sec-Fetch-Site: same-origin"]).0, 200);
    assert_eq!(suspend(&[&header, "Origin: https://warden.isp.example"]).0, 200, "behind a proxy");
    assert_eq!(suspend(&[&header]).0, 200);
    assert_eq!(sent(&daemon, "POST /logout", &[&cookie], "csrf=").status, 403);
    let (other, _) = logged_in(&daemon, &operator);
    let reply = sent(&daemon, "POST /logout", &[&other], &format!("csrf={csrf}"));
    assert_eq!(reply.status, 403, "that of another session");
}

#[test]
fn nobody_is_logged_in_by_somebody_elses_page() {
    let (daemon, [viewer, ..]) = daemon();
    let body = format!("token={viewer}");
    for foreign in ["Sec-Fetch-Site: cross-site", "Origin: https://evil.example"] {
        let reply = sent(&daemon, "POST /login", &[foreign], &body);
        assert_eq!((reply.status, problem(&reply).as_str()), (403, "cross-site"), "{foreign}");
        assert_eq!(reply.header("set-cookie"), "");
    }
    let reply = sent(&daemon, "POST /login", &["X-Forwarded-Proto: https"], &body);
    assert!(reply.header("set-cookie").ends_with("; Secure"));
}

#[test]
fn a_question_is_written_down_with_who_what_why_and_how_many() {
    let (daemon, [viewer, ..]) = daemon();
    let head = [&bearer(&viewer), "Purpose: ticket 4711"];
    assert_eq!(sent(&daemon, "GET /v1/messages?subscriber=alice&queue_id=4Xy", &head, "").status, 200);
    assert_eq!(
        sent(&daemon, "GET /v1/messages?purpose=x", &["Purpose: y", &bearer(&viewer)], "").status,
        200
    );
    assert_eq!(sent(&daemon, "GET /v1/messages", &["Purpose: prefetch", &bearer(&viewer)], "").status, 200);
    let questions = daemon.answers.questions.lock().unwrap();
    let first = &questions[0];
    assert_eq!((first.via, first.role), (Via::Token(TokenId(1)), Some(Role::Viewer)));
    assert_eq!(first.about, [Name::from("alice"), Name::from("4Xy")]);
    assert_eq!(first.what, Name::from("/v1/messages?subscriber=alice&queue_id=4Xy"));
    assert_eq!((first.purpose.clone(), first.reply), (Some(Name::from("ticket 4711")), Reply::Rows(2)));
    assert_eq!(questions[1].purpose, Some(Name::from("x")));
    assert_eq!(questions[2].purpose, None, "a browser's guess is no purpose");
}

#[test]
fn a_program_that_resolves_addresses_may_nothing_else_and_is_written_down() {
    let answers = Answers::full();
    let token = given(&mut answers.tokens.lock().unwrap(), 6, Role::Viewer, &[Scope::Resolver], None);
    let daemon = Daemon::start(answers);
    let ask = |line: &str, body: &str| sent(&daemon, line, &[&bearer(&token), "Purpose: AbuseHQ"], body);
    let reply = ask("GET /v1/resolver/abusehq?ip=198.51.100.7&timestamp=2026-11-23T14:00:00Z", "");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let nobody = ask("GET /v1/resolver/abuseio?ip=203.0.113.77", "");
    assert_eq!(
        (nobody.status, problem(&nobody).as_str()),
        (404, "not-resolved"),
        "of several nobody is named"
    );
    for line in
        ["GET /v1/owner?address=198.51.100.7", "GET /v1/cases", "GET /v1/cases/4711", "POST /v1/complaints"]
    {
        assert_eq!(ask(line, REPORT).status, 403, "{line}");
    }
    let questions = daemon.answers.questions.lock().unwrap();
    let told: Vec<_> = questions.iter().map(|asked| (asked.about.clone(), asked.reply)).collect();
    let about = |address: &str| vec![Name::from(address)];
    assert_eq!(told[..2], [(about("198.51.100.7"), Reply::Rows(1)), (about("203.0.113.77"), Reply::Rows(0))],);
    assert!(told[2..].iter().all(|(_, reply)| *reply == Reply::Refused), "{told:?}");
    assert!(questions.iter().all(|asked| asked.via == Via::Token(TokenId(6))));
    assert_eq!(questions[0].purpose, Some(Name::from("AbuseHQ")));
}

#[test]
fn a_complaint_and_a_case_are_questions_about_everybody_they_name() {
    let (daemon, [viewer, operator, _]) = daemon();
    assert_eq!(sent(&daemon, "POST /v1/complaints", &[&bearer(&viewer)], REPORT).status, 403);
    daemon.answers.questions.lock().unwrap().clear();
    let taken = sent(&daemon, "POST /v1/complaints?purpose=mailbox", &[&bearer(&operator)], REPORT);
    assert_eq!(taken.status, 200, "{}", taken.body);
    // A report that is none has no answer.
    assert_eq!(
        sent(&daemon, "POST /v1/complaints", &[&bearer(&operator)], "From: a@b\n\nStop\n").status,
        400
    );
    assert_eq!(sent(&daemon, "GET /v1/cases/4711", &[&bearer(&viewer)], "").status, 200);
    assert_eq!(sent(&daemon, "GET /v1/cases/7", &[&bearer(&viewer)], "").status, 404);
    let questions = daemon.answers.questions.lock().unwrap();
    let told: Vec<_> = questions
        .iter()
        .map(|asked| {
            (asked.what.to_string(), asked.reply, asked.about.contains(&Name::from("alice@isp.example")))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("/v1/complaints?purpose=mailbox".to_owned(), Reply::Rows(1), true),
            ("/v1/cases/4711".to_owned(), Reply::Rows(1), true),
            ("/v1/cases/7".to_owned(), Reply::Rows(0), false),
        ]
    );
    assert_eq!(questions[0].by, Name::from("token:00000002 desk <b>1</b>"));
    drop(questions);
    // A login that a case is about is somebody, too, and so is whoever stood out before a listing.
    for (id, about) in [(4700, "sales"), (4690, "alice@isp.example")] {
        for path in [format!("/v1/cases/{id}"), format!("/case/{id}")] {
            daemon.answers.questions.lock().unwrap().clear();
            assert_eq!(sent(&daemon, &format!("GET {path}"), &[&bearer(&viewer)], "").status, 200);
            let questions = daemon.answers.questions.lock().unwrap();
            assert!(questions.len() == 1 && questions[0].about.contains(&Name::from(about)), "{path}");
        }
    }
}

#[test]
fn where_a_purpose_is_required_there_is_no_answer_without_one() {
    let answers = Answers { purpose_required: true, ..Answers::full() };
    let token = given(&mut answers.tokens.lock().unwrap(), 3, Role::Auditor, &[], None);
    let daemon = Daemon::start(answers);
    for path in [
        "/v1/lookup?address=198.51.100.7",
        "/v1/owner?address=198.51.100.7",
        "/v1/owner?token=x",
        "/v1/explain?address=198.51.100.7",
        "/v1/sessions",
        "/v1/messages",
        "/v1/attempts",
        "/v1/scanned",
        "/v1/suspensions",
        "/v1/complaints",
        "/v1/cases",
        "/v1/cases/4711",
        "/v1/resolver/abusehq?ip=198.51.100.7",
        "/v1/resolver/abuseio?ip=198.51.100.7",
        "/v1/questions",
        "/v1/questions/verify",
    ] {
        let (method, body) = match path {
            "/v1/complaints" => ("POST", REPORT),
            _ => ("GET", ""),
        };
        let line = format!("{method} {path}");
        let reply = sent(&daemon, &line, &[&bearer(&token), "Purpose:  "], body);
        assert_eq!((reply.status, problem(&reply).as_str()), (400, "purpose-required"), "{path}");
        assert!(daemon.answers.questions.lock().unwrap().is_empty());
        assert_eq!(sent(&daemon, &line, &[&bearer(&token), "Purpose: case 1"], body).status, 200, "{path}");
        let questions = std::mem::take(&mut *daemon.answers.questions.lock().unwrap());
        assert_eq!(questions.len(), 1, "{path}");
        assert_eq!(questions[0].purpose, Some(Name::from("case 1")), "{path}");
    }
    // What names nobody needs none.
    for path in ["/v1/nas", "/v1/reputation", "/v1/coverage"] {
        assert_eq!(sent(&daemon, &format!("GET {path}"), &[&bearer(&token)], "").status, 200);
    }
    assert!(daemon.answers.questions.lock().unwrap().is_empty());
    let report = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/complaint/arf.eml");
    let run = daemon.run(&["complaint", report]);
    assert_eq!(run.exit, 75, "a mail is kept until somebody has mended that: {run:?}");
    assert!(run.err.contains("--purpose TEXT"), "{run:?}");
    assert_eq!(daemon.run(&["complaint", report, "--purpose", "abuse mailbox"]).exit, 0);
    let run = daemon.run(&["who", "198.51.100.7"]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("--purpose TEXT"), "{run:?}");
    assert_eq!(daemon.run(&["who", "198.51.100.7", "--ticket", "4711"]).exit, 0);
}

#[test]
fn a_refused_question_is_written_down_once_a_minute() {
    let (daemon, [viewer, ..]) = daemon();
    for number in 0..20 {
        let line = format!("GET /v1/questions?about={number}");
        assert_eq!(sent(&daemon, &line, &[&bearer(&viewer)], "").status, 403);
    }
    assert_eq!(sent(&daemon, "GET /v1/tokens", &[&bearer(&viewer)], "").status, 403);
    let questions = daemon.answers.questions.lock().unwrap();
    let kept: Vec<String> = questions.iter().map(|asked| asked.what.to_string()).collect();
    assert_eq!(kept, ["/v1/questions?about=0", "/v1/tokens"]);
    assert!(questions.iter().all(|asked| asked.reply == Reply::Refused));
}

#[test]
fn a_purpose_of_1024_octets_is_kept_and_a_longer_one_refused() {
    let (daemon, [viewer, ..]) = daemon();
    let ask = |octets: usize| {
        let purpose = format!("Purpose: {}", "a".repeat(octets));
        sent(&daemon, "GET /v1/messages", &[&bearer(&viewer), &purpose], "").status
    };
    assert_eq!((ask(1024), ask(1025)), (200, 400));
}

#[test]
fn the_command_makes_lists_and_revokes_a_token_and_shows_its_secret_once() {
    let daemon = Daemon::start(Answers::full());
    let run =
        daemon.run(&["token", "create", "--role", "viewer", "--note", "help desk", "--scope", "lookup"]);
    assert_eq!(run.exit, 0, "{run:?}");
    let token = run.out.trim();
    assert!(token.starts_with("rw_") && token.len() == 76, "{run:?}");
    assert!(
        run.err.contains("viewer, lookup only, until 20") && run.err.contains("shown this once"),
        "{run:?}"
    );
    let ask = || sent(&daemon, "GET /v1/lookup?address=198.51.100.7", &[&bearer(token)], "").status;
    assert_eq!(ask(), 200);
    let list = daemon.run(&["token", "list", "-o", "csv"]);
    assert!(
        list.out.contains("viewer,lookup,good,help desk") && !list.out.contains(&token[12..]),
        "{list:?}"
    );
    let run = daemon.run(&["token", "revoke", token]);
    assert_eq!((run.exit, run.out.as_str()), (0, &*format!("token {} is revoked\n", &token[3..11])));
    assert_eq!(ask(), 401);
    assert_eq!(daemon.run(&["token", "revoke", &token[3..11]]).exit, 1, "it is revoked already");
}

#[test]
fn each_wrong_order_about_a_token_is_named() {
    let (daemon, [_, _, auditor]) = daemon();
    for (path, body, kind, parameter) in [
        ("", "", "bad-body", Value::Null),
        ("", r#"{"role":"viewer","secret":"x"}"#, "bad-body", Value::Null),
        ("", r#"{"role":"root"}"#, "bad-parameter", "role".into()),
        ("", r#"{"role":"viewer","scopes":["all"]}"#, "bad-parameter", "scopes".into()),
        ("", r#"{"role":"viewer","expires":"2001-01-01T00:00:00Z"}"#, "bad-parameter", "expires".into()),
        ("", r#"{"role":"viewer","expires":"90d"}"#, "bad-parameter", "expires".into()),
        ("/revoke", "{}", "bad-body", Value::Null),
        ("/revoke", r#"{"id":"x"}"#, "bad-parameter", "id".into()),
        ("/revoke", r#"{"id":"0000ffff"}"#, "unknown-token", Value::Null),
    ] {
        let reply = sent(&daemon, &format!("POST /v1/tokens{path}"), &[&bearer(&auditor)], body);
        let told: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((problem(&reply).as_str(), &told["parameter"]), (kind, &parameter), "{body}");
    }
    let note = |octets: usize| {
        let body = format!(r#"{{"role":"viewer","note":"{}"}}"#, "a".repeat(octets));
        sent(&daemon, "POST /v1/tokens", &[&bearer(&auditor)], &body).status
    };
    assert_eq!((note(256), note(257)), (200, 400));
    for arguments in [
        ["token", "create"].as_slice(),
        &["token", "create", "--role", "root"],
        &["token", "create", "--role", "viewer", "--scope", "all"],
        &["token", "create", "--role", "viewer", "--expires", "soon"],
        &["token", "create", "--role", "viewer", "--expires", "2h ago"],
        &["token", "revoke", "x"],
        &["audit", "questions", "--verify", "--by", "x"],
    ] {
        let run = daemon.run(arguments);
        assert_eq!(run.exit, 2, "{arguments:?} {run:?}");
    }
}

#[test]
fn there_are_a_thousand_good_tokens_and_no_more() {
    let answers = Answers::full();
    {
        let mut known = answers.tokens.lock().unwrap();
        for id in 1000..1999 {
            let verb = Verb::Create {
                hash: [0; 32],
                role: Role::Viewer,
                scopes: Vec::new(),
                expires: None,
                note: Name::from(""),
            };
            known.fold(&TokenOrder { at: EVER, by: Name::from("root"), id: TokenId(id), verb });
        }
    }
    let daemon = Daemon::start(answers);
    assert_eq!(daemon.run(&["token", "create", "--role", "viewer"]).exit, 0);
    let run = daemon.run(&["token", "create", "--role", "viewer"]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("revoke those that nobody needs"), "{run:?}");
}

#[test]
fn the_record_is_listed_by_auditors_who_are_in_it() {
    let (daemon, [viewer, _, auditor]) = daemon();
    sent(&daemon, "GET /v1/lookup?address=198.51.100.7", &[&bearer(&viewer), "Purpose: case 7"], "");
    let reply = sent(&daemon, "GET /v1/questions", &[&bearer(&auditor)], "");
    let rows: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(rows[0]["what"], "/v1/lookup?address=198.51.100.7");
    assert_eq!((&rows[0]["purpose"], &rows[0]["rows"]), (&"case 7".into(), &1.into()));
    assert_eq!(daemon.answers.questions.lock().unwrap()[1].what, Name::from("/v1/questions"));
    let run = daemon.run(&["audit", "questions"]);
    assert!(run.exit == 0 && run.out.contains("token:00000001"), "{run:?}");
    let run = daemon.run(&["audit", "questions", "--verify"]);
    assert_eq!((run.exit, run.out.as_str()), (0, "the record is whole: 7 questions, from reference 3 on\n"));
    let broken = Daemon::start(Answers::default());
    assert_eq!(broken.run(&["audit", "questions", "--verify"]).exit, 65);
}
