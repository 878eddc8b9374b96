//! The API against its own document: what is served stands in it, and nothing is answered that does not. Long lists, and
//! what has not changed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;

use relaywarden::access::question::Reply;
use relaywarden::access::table::{ENDPOINTS, Needs, Scope};
use relaywarden::server::http::document::openapi;
use relaywarden::server::http::{self, OrderError, Trouble};
use serde_json::Value;

use crate::fake::{Answers, Daemon};

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().filter_map(|line| line.split_once(": "));
        line.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn rows(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn asked(daemon: &Daemon, method: &str, target: &str, head: &str, body: &str) -> Response {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let length = body.len();
    let text = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(octets[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = octets[end + 4..].to_vec();
    let body =
        if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
    Response { status, head, body }
}

/// RFC 9112, 7.1.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
}

fn document() -> Value {
    serde_json::from_str(&openapi().to_json().unwrap()).unwrap()
}

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

#[test]
fn what_is_served_and_what_is_documented_is_the_same() {
    // Pages are for people.
    let is_page = |path: &str| {
        path.starts_with("/assets/")
            || ENDPOINTS
                .iter()
                .any(|row| row.path == path && matches!(row.needs, Needs::Role(_, Scope::Console)))
    };
    let served: BTreeSet<(String, String)> = http::served::<Answers>()
        .into_iter()
        .filter(|(_, path)| !is_page(path))
        .map(|(method, path)| (path.to_owned(), method.to_lowercase()))
        .collect();
    let mut documented = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| METHODS.contains(&key.as_str())) {
            documented.insert((path.clone(), method.clone()));
        }
    }
    assert_eq!(served, documented);
    let daemon = Daemon::start(Answers::full());
    let shown = asked(&daemon, "GET", "/v1/openapi.json", "", "");
    assert_eq!(serde_json::from_slice::<Value>(&shown.body).unwrap(), document());
}

/// Numbers that look random and are the same each time (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Values that are right here and there, and wrong in many ways.
const VALUES: [&str; 34] = [
    "",
    "0",
    "1",
    "65535",
    "65536",
    "-1",
    "100000",
    "100001",
    "99999999999999999999",
    "1e3",
    "198.51.100.7",
    "198.51.100.0/24",
    "2001:db8::7",
    "::ffff:192.0.2.1",
    "2001:db8::/129",
    "alice",
    "blue",
    "public",
    "0xff00",
    "%00%ff%0a",
    "%zz",
    "%e2%80%ae",
    "2026-11-23T14:00:00Z",
    "2026-11-23T14:00:00%2b01:00",
    "9999-12-31T23:59:59Z",
    "-009999-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "now",
    "%27%20OR%201=1--",
    "%3Cscript%3E",
    "9223372036854775807.0-00000000",
    "-9223372036854775808.1000000-x",
    ".-",
    "../../etc/passwd",
];

fn value(dice: &mut Dice) -> String {
    match dice.below(12) {
        0 => "a".repeat(dice.below(2000)),
        _ => dice.one(&VALUES).to_owned(),
    }
}

const REPORT: &str = include_str!("../data/complaint/arf.eml");

/// A path with numbers that are of a case, of a closed one, of none, or none.
fn filled(dice: &mut Dice, path: &str) -> String {
    path.replace("{id}", dice.one(&["4711", "4710", "7", "-1", "x", "%ff"]))
        .replace("{name}", dice.one(&["flood", "drought", "%ff", "a%2fb"]))
}

/// A value that is right for a member of this name.
fn right(name: &str) -> &'static str {
    match name {
        "until" | "expires" => "\"2099-01-01T00:00:00Z\"",
        "as_of" | "at" => "\"2026-01-01T00:00:00Z\"",
        "role" => "\"viewer\"",
        "kind" => "\"login\"",
        "id" => "\"00000001\"",
        "scopes" => "[\"owner\"]",
        "force" | "dry_run" => "false",
        "rows" => "[]",
        _ => "\"bob\"",
    }
}

/// A body that may well be taken: what is required is there, and of the rest a little.
fn right_body(dice: &mut Dice, schema: &Value, document: &Value) -> String {
    let pointer = schema["$ref"].as_str().map(|name| name.trim_start_matches('#'));
    let schema = pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema);
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut pairs = Vec::new();
    for name in schema["properties"].as_object().into_iter().flat_map(|members| members.keys()) {
        if required(name) || dice.below(4) == 0 {
            pairs.push(format!("\"{name}\":{}", right(name)));
        }
    }
    format!("{{{}}}", pairs.join(","))
}

/// A body for this schema, with members left out, wrong, or unknown.
fn body(dice: &mut Dice, schema: &Value, document: &Value, depth: usize) -> String {
    let pointer = schema["$ref"].as_str().map(|name| name.trim_start_matches('#'));
    let schema = pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema);
    if dice.below(10) == 0 || depth > 4 {
        return dice.one(&["", "[]", "null", "7", "{", "\"x\"", "{\"x\":1}", "\u{0}"]).to_owned();
    }
    if let Some(items) = schema.get("items") {
        let inner: Vec<String> = (0..dice.below(3)).map(|_| body(dice, items, document, depth + 1)).collect();
        return format!("[{}]", inner.join(","));
    }
    let Some(members) = schema["properties"].as_object() else {
        let text = value(dice);
        return match dice.below(4) {
            0 => dice.one(&["true", "0", "-1", "1.5", "18446744073709551616"]).to_owned(),
            _ => serde_json::to_string(&text).unwrap(),
        };
    };
    let mut pairs = Vec::new();
    for (name, schema) in members {
        if dice.below(5) > 0 {
            pairs.push(format!("\"{name}\":{}", body(dice, schema, document, depth + 1)));
        }
    }
    format!("{{{}}}", pairs.join(","))
}

/// A few hundred requests of every kind, to a daemon that is well and to ones that are not.
#[test]
fn whatever_is_asked_no_answer_is_an_error_of_ours_or_undocumented() {
    let document = document();
    let mut dice = Dice(0x5eed_cafe_f00d_0001);
    let mut seen = BTreeSet::new();
    for troubled in [None, Some(Trouble::Unrecorded), Some(Trouble::Storage)] {
        let order_error = troubled.map(|_| OrderError::NotSuspended);
        let daemon = Daemon::start(Answers { trouble: troubled, order_error, ..Answers::full() });
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in METHODS {
                let operation = &item[method];
                let rounds = if operation.is_null() { 1 } else { 25 };
                for _ in 0..rounds {
                    let mut query = Vec::new();
                    let mut target = filled(&mut dice, path);
                    let given = operation["parameters"].as_array().into_iter().flatten();
                    for given in given.filter(|given| given["in"] == "query") {
                        if dice.below(3) > 0 {
                            let name = given["name"].as_str().unwrap();
                            query.push(format!("{name}={}", value(&mut dice)));
                        }
                    }
                    if dice.below(15) == 0 {
                        query.push(format!(
                            "{}={}",
                            dice.one(&["x", "limit", "realm", "%ff"]),
                            value(&mut dice)
                        ));
                    }
                    let content = operation["requestBody"]["content"].as_object();
                    let sent = content.and_then(|content| content.iter().next()).map(|(kind, media)| {
                        match dice.below(3) {
                            0 if kind == "message/rfc822" => REPORT.to_owned(),
                            0 => right_body(&mut dice, &media["schema"], &document),
                            _ => body(&mut dice, &media["schema"], &document, 0),
                        }
                    });
                    let sent = sent.unwrap_or_default();
                    if !query.is_empty() {
                        target = format!("{target}?{}", query.join("&"));
                    }
                    let head = dice.one(&[
                        "",
                        "accept: application/x-ndjson\r\n",
                        "if-none-match: *\r\n",
                        "purpose: \u{ff}\r\n",
                    ]);
                    let reply = asked(&daemon, &method.to_uppercase(), &target, head, &sent);
                    let what = format!("{method} {target} {sent}: {}", reply.status);
                    if operation.is_null() {
                        assert_eq!(reply.status, 405, "{what}");
                        continue;
                    }
                    let status = reply.status.to_string();
                    assert!(!operation["responses"][&status].is_null(), "undocumented: {what}");
                    // What can't be recorded or read now is told as such; nothing else is our fault.
                    let told = reply.status == 503 && troubled.is_some();
                    assert!(reply.status < 500 || told, "{what} {}", String::from_utf8_lossy(&reply.body));
                    let kind = reply.header("content-type").unwrap_or_default();
                    let kind = kind.split(';').next().unwrap();
                    let kinds = operation["responses"][&status]["content"].as_object();
                    let known = kinds.map_or(kind.is_empty(), |kinds| kinds.contains_key(kind));
                    assert!(known, "{what}: {kind}");
                    seen.insert((reply.status, method));
                }
            }
        }
    }
    for (status, method) in [
        (200, "get"),
        (200, "post"),
        (200, "delete"),
        (304, "get"),
        (400, "get"),
        (400, "post"),
        (404, "get"),
        (404, "post"),
        (404, "delete"),
        (503, "get"),
    ] {
        assert!(seen.contains(&(status, method)), "no {status} for {method} was ever seen: {seen:?}");
    }
}

/// The target of the next page.
fn next(reply: &Response) -> Option<String> {
    let link = reply.header("link")?;
    Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_owned())
}

#[test]
fn a_long_list_is_whole_page_by_page_and_each_page_is_written_down() {
    let daemon = Daemon::start(Answers { messages_there: Some(95), ..Answers::full() });
    let (mut target, mut ids) = (Some("/v1/messages?limit=10&purpose=case%207".to_owned()), Vec::new());
    while let Some(page) = target {
        let reply = asked(&daemon, "GET", &page, "", "");
        assert_eq!(reply.status, 200, "{page}");
        assert!(reply.rows().len() <= 10);
        ids.extend(
            reply.rows().iter().map(|row| row["queue_id"].as_str().unwrap().parse::<usize>().unwrap()),
        );
        target = next(&reply);
    }
    assert_eq!(ids, (0..95).collect::<Vec<_>>());
    let questions = daemon.answers.questions.lock().unwrap();
    let rows: Vec<Reply> = questions.iter().map(|asked| asked.reply).collect();
    assert_eq!((rows.len(), rows[0], rows[9]), (10, Reply::Rows(10), Reply::Rows(5)));
    assert!(questions.iter().all(|asked| asked.purpose.is_some()));
}

#[test]
fn cases_come_page_by_page_and_what_has_not_changed_does_not_come_again() {
    let daemon = Daemon::start(Answers { cases_there: 25, ..Answers::full() });
    let (mut target, mut ids) = (Some("/v1/cases?limit=10".to_owned()), Vec::new());
    while let Some(page) = target {
        let reply = asked(&daemon, "GET", &page, "", "");
        ids.extend(reply.rows().iter().map(|row| row["id"].as_u64().unwrap()));
        target = next(&reply);
    }
    assert_eq!(ids, std::iter::once(4711).chain((1..25).rev()).collect::<Vec<_>>());
    for target in ["/v1/cases?limit=10", "/v1/cases/4711"] {
        let first = asked(&daemon, "GET", target, "", "");
        let known = format!("if-none-match: {}\r\n", first.header("etag").unwrap());
        let again = asked(&daemon, "GET", target, &known, "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
        assert_eq!(next(&again), next(&first), "{target}");
    }
    let lines = asked(&daemon, "GET", "/v1/cases", "accept: application/x-ndjson\r\n", "");
    assert_eq!(lines.body.split(|octet| *octet == b'\n').count(), 26);
    let questions = daemon.answers.questions.lock().unwrap();
    assert_eq!(questions.len(), 3 + 4 + 1, "a question is one whatever its answer needs to say");
}

#[test]
fn a_story_comes_page_by_page_each_from_its_oldest_line_on() {
    let daemon = Daemon::start(Answers::full());
    let whole = asked(&daemon, "GET", "/v1/explain?address=198.51.100.7", "", "").rows();
    assert!(whole.len() > 3, "{whole:?}");
    for limit in 1..=whole.len() {
        let mut told = Vec::new();
        let mut target = Some(format!("/v1/explain?address=198.51.100.7&limit={limit}"));
        while let Some(page) = target {
            let reply = asked(&daemon, "GET", &page, "", "");
            told.splice(0..0, reply.rows());
            target = next(&reply);
        }
        assert_eq!(told, whole, "{limit} at once");
    }
    let accept = "accept: application/x-ndjson\r\n";
    let lines = asked(&daemon, "GET", "/v1/explain?address=198.51.100.7", accept, "");
    let lines = lines.body.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(lines, whole.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn a_list_that_ends_has_no_next_page() {
    let daemon = Daemon::start(Answers { messages_there: Some(10), ..Answers::full() });
    let page = |limit| next(&asked(&daemon, "GET", &format!("/v1/messages?limit={limit}"), "", ""));
    assert!(page(9).is_some() && page(10).is_none() && page(11).is_none());
}

#[test]
fn a_cursor_of_another_question_is_refused() {
    let daemon = Daemon::start(Answers { messages_there: Some(10), ..Answers::full() });
    let target = next(&asked(&daemon, "GET", "/v1/messages?limit=5", "", "")).unwrap();
    for other in [
        target.replace("/messages", "/sessions"),
        format!("{target}&subscriber=alice"),
        target.replace("cursor=", "cursor=1"),
    ] {
        let reply = asked(&daemon, "GET", &other, "", "");
        if other.contains("cursor=1") && reply.status == 200 {
            continue;
        }
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &body["parameter"]), (400, &"cursor".into()), "{other}");
    }
}

#[test]
fn ten_thousand_rows_come_in_lines_and_never_more_than_a_thousand_are_held() {
    let daemon = Daemon::start(Answers { messages_there: Some(10_000), ..Answers::full() });
    let reply = asked(&daemon, "GET", "/v1/messages", "accept: application/x-ndjson\r\n", "");
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(reply.body).unwrap();
    let ids: Vec<usize> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["queue_id"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(ids, (0..10_000).collect::<Vec<_>>());
    assert!(daemon.answers.most_at_once.load(Ordering::Relaxed) < 1100);
    let questions = daemon.answers.questions.lock().unwrap();
    let counted: u64 = questions
        .iter()
        .map(|asked| match asked.reply {
            Reply::Rows(rows) => rows,
            _ => 0,
        })
        .sum();
    assert_eq!(counted, 10_000, "every row is in the record");
}

#[test]
fn lines_end_where_the_limit_says() {
    let daemon = Daemon::start(Answers { messages_there: Some(5000), ..Answers::full() });
    for limit in [1, 999, 1000, 1001, 2500] {
        let target = format!("/v1/messages?limit={limit}");
        let reply = asked(&daemon, "GET", &target, "accept: application/x-ndjson\r\n", "");
        assert_eq!(reply.body.iter().filter(|octet| **octet == b'\n').count(), limit);
    }
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let daemon = Daemon::start(Answers::full());
    for path in ["/v1/suspensions", "/v1/nas", "/v1/reputation"] {
        let first = asked(&daemon, "GET", path, "", "");
        let tag = first.header("etag").unwrap();
        let again = asked(&daemon, "GET", path, &format!("if-none-match: \"x\", W/{tag}\r\n"), "");
        assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(tag), 0), "{path}");
        assert_eq!(asked(&daemon, "GET", path, "if-none-match: \"x\"\r\n", "").status, 200);
    }
}

#[test]
fn a_bad_question_is_answered_before_anything_is_looked_up() {
    let daemon = Daemon::start(Answers { messages_there: Some(1_000_000), ..Answers::full() });
    let began = std::time::Instant::now();
    for target in [
        "/v1/messages?since=2026-11-23T14:00:00Z&until=2026-11-23T13:00:00Z",
        "/v1/messages?limit=1000000000",
        "/v1/messages?since=2026-10-25T02:30:00",
        "/v1/messages?since=2026-11-23T14:00:00%5BNowhere/At-All%5D",
        "/v1/messages?cursor=0.1000000000-00000000",
    ] {
        assert_eq!(asked(&daemon, "GET", target, "", "").status, 400, "{target}");
    }
    assert!(daemon.answers.messages_asked.lock().unwrap().is_none());
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}
