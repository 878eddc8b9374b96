//! The pages behind the real router: what each answers, what it writes down, and what becomes of wrong questions and of
//! forms that are not ours.

use relaywarden::access::question::Reply;
use relaywarden::relay::standing::{Order, Subject};
use relaywarden::server::http::cases::Deed;
use relaywarden::server::http::{OrderError, Trouble};
use relaywarden::session::{Name, Timestamp};

use crate::access::{Response, bearer, daemon, sent};
use crate::fake::{Answers, Daemon};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

fn get(daemon: &Daemon, token: &str, path: &str) -> Response {
    sent(daemon, &format!("GET {path}"), &[&bearer(token), "Accept: text/html"], "")
}

/// A daemon with these answers that knows a token of each role.
fn known(answers: Answers) -> (Daemon, [String; 3]) {
    let (other, tokens) = daemon();
    *answers.tokens.lock().unwrap() = other.answers.tokens.lock().unwrap().clone();
    (Daemon::start(answers), tokens)
}

/// A browser's session: its cookie, and what its forms carry.
fn browser(daemon: &Daemon, token: &str) -> (String, String) {
    let reply = sent(daemon, "POST /login", &["Sec-Fetch-Site: same-origin"], &format!("token={token}"));
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    let cookie = format!("Cookie: {cookie}");
    let page = sent(daemon, "GET /", &[&cookie], "");
    let csrf =
        page.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    (cookie, csrf)
}

#[test]
fn every_page_says_when_a_part_of_the_past_is_lost() {
    let said = |lost_from| {
        let (daemon, [viewer, ..]) = known(Answers { lost_from, ..Answers::full() });
        ["/", "/messages", "/subscriber/alice"].map(|path| {
            let body = get(&daemon, &viewer, path).body;
            let note =
                body.split("A part of the past is lost: ").nth(1).and_then(|rest| rest.split("</p>").next());
            note.map(|note| (note.contains("2026-11-18"), note.contains("may be missing")))
        })
    };
    assert_eq!(said(None), [None; 3]);
    assert_eq!(said(Some(Timestamp::from_seconds(1_795_000_000))), [Some((true, true)); 3]);
    assert_eq!(said(Some(Timestamp::EARLIEST)), [Some((false, true)); 3]);
}

#[test]
fn every_page_is_html_under_the_policy_that_allows_no_script() {
    let (daemon, [.., auditor]) = daemon();
    for path in [
        "/",
        "/?q=198.51.100.7",
        "/?q=198.51.100.7&at=2026-11-23+15:00",
        "/?q=4XyZ1b2c3d",
        "/subscriber/alice@isp.example",
        "/subscriber/alice?days=30",
        "/message?queue_id=4XyZ1b2c3d",
        "/messages",
        "/sessions",
        "/story?address=198.51.100.7",
        "/top?by=bytes",
        "/feeds",
        "/cases",
        "/cases?state=closed&kind=signal",
        "/case/4711",
        "/case/4700",
        "/case/4690",
        "/rules",
        "/rules?dry_run=flood",
        "/suspensions",
        "/questions",
        "/questions?verify=yes",
    ] {
        let reply = get(&daemon, &auditor, path);
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(reply.header("content-security-policy"), POLICY, "{path}");
        for forbidden in ["<script", " style=", "javascript:", " onload", "=\"http", "=\"//", "src="] {
            assert!(!reply.body.contains(forbidden), "{forbidden} in {path}");
        }
        assert_eq!(reply.body.matches("<h1").count(), 1, "{path}");
        assert!(
            reply.body.contains("<main id=\"main\"") && reply.body.contains("<html lang=\"en\">"),
            "{path}"
        );
    }
    let style = sent(&daemon, "GET /assets/page.css", &[], "");
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(!style.body.contains("url(") && !style.body.contains("@import"));
}

#[test]
fn a_page_about_a_person_is_written_down_with_whom_it_is_about_and_one_about_machines_is_not() {
    let (daemon, [viewer, ..]) = daemon();
    for path in ["/", "/feeds", "/assets/page.css"] {
        get(&daemon, &viewer, path);
    }
    assert!(daemon.answers.questions.lock().unwrap().is_empty());
    for (path, about) in [
        ("/?q=198.51.100.7:40112&purpose=case+7", "198.51.100.7"),
        ("/?q=4XyZ1b2c3d&purpose=case+7", "4XyZ1b2c3d"),
        ("/subscriber/alice%40isp.example?purpose=case+7", "alice@isp.example"),
        ("/message?queue_id=4XyZ1b2c3d&purpose=case+7", "4XyZ1b2c3d"),
        ("/sessions?subscriber=alice&purpose=case+7", "alice"),
    ] {
        let reply = get(&daemon, &viewer, path);
        assert_eq!(reply.status, 200, "{path}");
        let asked = daemon.answers.questions.lock().unwrap().pop().unwrap();
        assert_eq!(asked.about.first(), Some(&Name::from(about)), "{path}");
        assert_eq!(asked.purpose, Some(Name::from("case 7")), "{path}");
        assert!(matches!(asked.reply, Reply::Rows(rows) if rows > 0), "{path}");
        assert!(reply.body.contains("purpose=case%207"), "links of {path} go on with the purpose");
    }
}

#[test]
fn a_subscriber_is_the_same_one_however_the_name_is_typed() {
    let (daemon, [viewer, operator, _]) = daemon();
    let about = || daemon.answers.questions.lock().unwrap().pop().unwrap().about;
    let reply = get(&daemon, &operator, "/subscriber/BOB@isp.example");
    assert!(
        reply.body.contains("open proxy") && reply.body.contains("value=\"bob@isp.example\""),
        "{}",
        reply.body
    );
    assert_eq!(about(), [Name::from("bob@isp.example")]);
    get(&daemon, &viewer, "/?q=ALICE");
    assert_eq!(about(), ["ALICE", "alice"].map(Name::from));
    // An address, too: whoever looks through the record knows one spelling of it.
    for path in ["/sessions", "/v1/sessions"] {
        let path = format!("{path}?subscriber=BOB&address=2001:DB8:0::7");
        assert_eq!(get(&daemon, &viewer, &path).status, 200);
        assert_eq!(about(), ["BOB", "bob", "2001:DB8:0::7", "2001:db8::7"].map(Name::from));
    }
    let reply = get(&daemon, &viewer, "/subscriber/%ff");
    assert_eq!((reply.status, reply.header("content-type")), (400, "text/html; charset=utf-8"));
}

#[test]
fn what_scanners_found_is_on_the_page_of_whoever_sent_it_and_on_nobody_elses() {
    let (daemon, [viewer, ..]) = daemon();
    let alice = get(&daemon, &viewer, "/subscriber/alice@isp.example").body;
    assert!(alice.contains("spam <strong>1</strong> and viruses <strong>0</strong> times"), "{alice}");
    // Rows of messages of which it is not sure whose they are come, too, and are not counted.
    let bob = get(&daemon, &viewer, "/subscriber/bob@isp.example").body;
    assert!(!bob.contains("Scanners found"), "{bob}");
}

#[test]
fn the_box_takes_a_message_id_with_its_brackets() {
    let (daemon, [viewer, ..]) = daemon();
    let reply = get(&daemon, &viewer, "/?q=%3C1.4711@laptop.home%3E");
    let asked = daemon.answers.messages_asked.lock().unwrap().clone().unwrap();
    assert_eq!(asked.message_id, Some(Name::from("1.4711@laptop.home")));
    assert!(reply.body.contains("Messages with this Message-ID"), "{}", reply.body);
    let listed = get(&daemon, &viewer, "/messages?message_id=%3C1.4711@laptop.home%3E").body;
    assert!(listed.contains("value=\"1.4711@laptop.home\""), "{listed}");
    assert!(get(&daemon, &viewer, "/message?token=Zk3vQ").body.contains("<dt>Message-ID</dt>"));
}

#[test]
fn a_message_that_is_named_by_its_token_is_the_only_one_in_its_rows_for_programs() {
    let (daemon, [viewer, ..]) = daemon();
    let reply = get(&daemon, &viewer, "/message?token=Zk3vQ");
    for rows in ["/v1/messages?token=Zk3vQ\"", "/v1/messages?token=Zk3vQ&#38;format=csv\""] {
        assert!(reply.body.contains(rows), "{rows} in {}", reply.body);
    }
}

#[test]
fn what_can_not_be_written_down_is_not_shown() {
    let answers = Answers { trouble: Some(Trouble::Unrecorded), ..Answers::full() };
    let (daemon, [viewer, ..]) = known(answers);
    for path in ["/?q=198.51.100.7", "/subscriber/alice", "/messages", "/top", "/suspensions"] {
        let reply = get(&daemon, &viewer, path);
        assert!(reply.status == 503 && !reply.body.contains("alice@isp.example"), "{path}: {}", reply.body);
    }
}

#[test]
fn where_a_purpose_is_required_the_page_asks_for_it_and_keeps_the_question() {
    let (daemon, [viewer, ..]) = known(Answers { purpose_required: true, ..Answers::full() });
    let reply = get(&daemon, &viewer, "/?q=198.51.100.7&at=2h+ago");
    assert_eq!((reply.status, reply.header("content-type")), (400, "text/html; charset=utf-8"));
    for kept in ["name=\"q\" value=\"198.51.100.7\"", "name=\"at\" value=\"2h ago\"", "name=\"purpose\""] {
        assert!(reply.body.contains(kept), "{kept} in {}", reply.body);
    }
    assert_eq!(get(&daemon, &viewer, "/?q=198.51.100.7&purpose=case+7").status, 200);
    assert_eq!(get(&daemon, &viewer, "/").status, 200, "the first page tells of nobody");
}

#[test]
fn wrong_questions_are_told_on_a_page_and_by_what_is_wrong() {
    let (daemon, [viewer, ..]) = daemon();
    for (path, said) in [
        ("/?q=198.51.100.7&at=soon", "no time"),
        ("/?q=198.51.100.7&at=2026-10-25+02:30", "there twice"),
        ("/?q=hello+world", "No address"),
        ("/?q=198.51.100.7&adress=x", "adress"),
        ("/subscriber/alice?days=8", "none of 1, 7 and 30"),
        ("/message", "queue_id"),
        ("/messages?since=2026-11-23T14:00:00Z&until=2026-11-23T13:00:00Z", "not after since"),
        ("/messages?cursor=1.1-00000000", "cursor"),
        ("/sessions?address=198.51.100.300", "IP address"),
        ("/story?port=7", "address"),
        ("/top?by=size", "none of messages"),
        ("/top?since=2026-11-01T00:00:00Z&until=2026-11-09T00:00:00Z", "7 days"),
    ] {
        let reply = get(&daemon, &viewer, path);
        assert_eq!((reply.status, reply.header("content-type")), (400, "text/html; charset=utf-8"), "{path}");
        assert!(reply.body.contains(said), "{said} in {path}: {}", reply.body);
    }
    assert!(daemon.answers.questions.lock().unwrap().is_empty());
    // A program that asks the same gets the problem document.
    let reply = sent(&daemon, "GET /message", &[&bearer(&viewer)], "");
    assert_eq!(reply.header("content-type"), "application/problem+json");
}

#[test]
fn a_line_with_several_addresses_and_an_hour_that_was_there_twice_is_left_to_a_human() {
    let (daemon, [viewer, ..]) = daemon();
    let reply = get(&daemon, &viewer, "/?q=198.51.100.7+or+198.51.100.8");
    assert!(reply.status == 200 && reply.body.contains("Which one is meant"), "{}", reply.body);
    assert!(reply.body.contains("href=\"/?q=198.51.100.8\""), "{}", reply.body);
    let reply = get(&daemon, &viewer, "/?q=2026-10-25T02:30:00+mx+client=x[198.51.100.7]:25");
    assert!(reply.body.contains("there twice") && reply.body.contains("%2B01:00"), "{}", reply.body);
    assert!(daemon.answers.questions.lock().unwrap().is_empty(), "nobody was told of yet");
}

#[test]
fn forms_give_orders_as_their_session_and_only_with_its_token() {
    let (daemon, [viewer, operator, _]) = daemon();
    let (cookie, csrf) = browser(&daemon, &operator);
    let here = ["Sec-Fetch-Site: same-origin", "Accept: text/html", &cookie];
    let body = format!("csrf={csrf}&subject=bob%40isp.example&reason=case+7&until=7d&back=subscriber");
    let reply = sent(&daemon, "POST /suspensions/suspend", &here, &body);
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, "/subscriber/bob@isp.example"),
        "{}",
        reply.body
    );
    let ordered = daemon.answers.ordered.lock().unwrap().pop().unwrap();
    assert_eq!(ordered.subject, Subject::Subscriber(Name::from("bob@isp.example")));
    assert!(matches!(ordered.order, Order::Suspend { until: Some(_) }) && !ordered.force);
    assert!(ordered.by.to_string().starts_with("token:"), "{}", ordered.by);
    let body = format!("csrf={csrf}&subject=joe&kind=login&reason=cleaned");
    let reply = sent(&daemon, "POST /suspensions/release", &here, &body);
    assert_eq!((reply.status, reply.header("location")), (303, "/suspensions"));
    let ordered = daemon.answers.ordered.lock().unwrap().pop().unwrap();
    assert_eq!((ordered.subject, ordered.order), (Subject::Login(Name::from("joe")), Order::Release));

    let body = format!("csrf={csrf}&subject=joe&reason=slow&until=7d");
    assert_eq!(sent(&daemon, "POST /suspensions/limit", &here, &body).status, 303);
    let ordered = daemon.answers.ordered.lock().unwrap().pop().unwrap();
    assert!(matches!(ordered.order, Order::Limit { until: Some(_) }));

    for (body, status) in [
        ("subject=bob&reason=x".to_owned(), 403),
        ("csrf=0&subject=bob&reason=x".to_owned(), 403),
        (format!("csrf={csrf}&subject=bob&reason=+"), 400),
        (format!("csrf={csrf}&subject=&reason=x"), 400),
        (format!("csrf={csrf}&subject=bob&reason=x&until=2h+ago"), 400),
        (format!("csrf={csrf}&subject=bob&reason=x&kind=dog"), 400),
        (format!("csrf={csrf}&subject=bob&reason=x&color=red"), 400),
    ] {
        let reply = sent(&daemon, "POST /suspensions/suspend", &here, &body);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, "text/html; charset=utf-8"),
            "{body}"
        );
    }
    let (cookie, csrf) = browser(&daemon, &viewer);
    let here = ["Sec-Fetch-Site: same-origin", &cookie];
    let reply =
        sent(&daemon, "POST /suspensions/suspend", &here, &format!("csrf={csrf}&subject=bob&reason=x"));
    assert_eq!(reply.status, 403);
    assert!(daemon.answers.ordered.lock().unwrap().is_empty());
}

#[test]
fn forms_of_a_case_act_on_it_and_lead_back_to_it() {
    let (daemon, [viewer, operator, _]) = daemon();
    let (cookie, csrf) = browser(&daemon, &operator);
    let here = ["Sec-Fetch-Site: same-origin", "Accept: text/html", &cookie];
    let send = |path: &str, body: &str| {
        sent(&daemon, &format!("POST {path}"), &here, &format!("csrf={csrf}&{body}"))
    };
    let opened = send("/cases/open", "subject=bob&kind=login&reason=called&ticket=T-1&force=yes");
    assert_eq!((opened.status, opened.header("location")), (303, "/case/4715"), "{}", opened.body);
    let opening = daemon.answers.opened.lock().unwrap().pop().unwrap();
    assert_eq!((opening.subject, opening.force), (Subject::Login(Name::from("bob")), true));
    assert_eq!(opening.ticket, Some(Name::from("T-1")));
    for (act, body) in [
        ("note", "reason=x&ticket="),
        ("limit", "about=subscriber%3Aalice%40isp.example&reason=x&ticket=&until="),
        ("suspend", "about=login%3Aa%3Ab&reason=x&ticket=T-1&until=7d&force=yes"),
        ("release", "about=subscriber%3Aalice%40isp.example&reason=x"),
        ("dismiss", "reason=x"),
        ("close", "reason=x"),
    ] {
        let reply = send(&format!("/case/4711/{act}"), body);
        assert_eq!((reply.status, reply.header("location")), (303, "/case/4711"), "{act}: {}", reply.body);
    }
    let acted = std::mem::take(&mut *daemon.answers.acted.lock().unwrap());
    let done: Vec<_> = acted.iter().map(|doing| doing.deed.done()).collect();
    assert_eq!(done, ["noted", "limited", "suspended", "released", "dismissed", "closed"]);
    assert_eq!(acted[1].subject, Some(Subject::Subscriber(Name::from("alice@isp.example"))));
    assert_eq!((&acted[1].ticket, acted[1].deed), (&None, Deed::Limit(None)));
    assert_eq!(acted[2].subject, Some(Subject::Login(Name::from("a:b"))));
    assert!(matches!(acted[2].deed, Deed::Suspend(Some(_))) && acted[2].force);
    assert!(acted.iter().all(|doing| doing.by.to_string().starts_with("token:")));
    for (path, body, status) in [
        ("/case/4711/suspend", "about=alice&reason=x", 400),
        ("/case/4711/suspend", "about=nas%3Ax&reason=x", 400),
        ("/case/4711/suspend", "reason=+", 400),
        ("/case/4711/suspend", "reason=x&until=2h+ago", 400),
        ("/case/4711/note", "reason=x&until=7d", 400),
        ("/case/4710/close", "reason=x", 409),
        ("/case/4708/limit", "reason=x", 400),
        ("/case/7/note", "reason=x", 404),
        ("/case/x/note", "reason=x", 400),
        ("/cases/open", "subject=&reason=x", 400),
    ] {
        let reply = send(path, body);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, "text/html; charset=utf-8"),
            "{path} {body}"
        );
    }
    assert_eq!(sent(&daemon, "POST /case/4711/note", &here, "reason=x").status, 403, "no token of ours");
    let (cookie, csrf) = browser(&daemon, &viewer);
    for path in ["/cases/open", "/case/4711/note", "/case/4711/suspend", "/suspensions/limit"] {
        let body = format!("csrf={csrf}&subject=bob&reason=x");
        let here = ["Sec-Fetch-Site: same-origin", &cookie];
        assert_eq!(sent(&daemon, &format!("POST {path}"), &here, &body).status, 403, "{path}");
    }
    assert!(daemon.answers.acted.lock().unwrap().is_empty());
}

#[test]
fn a_case_shows_what_speaks_for_it_what_holds_and_whom_an_order_may_be_about() {
    let (daemon, [viewer, operator, _]) = daemon();
    let page = |id: u64| get(&daemon, &operator, &format!("/case/{id}")).body;
    let signal = page(4700);
    for told in [
        "1,024 messages today; 3 to 14 on the last 28 days",
        "login sales",
        "password stolen",
        "T-17",
        "name=\"about\" value=\"login:sales\"",
        "action=\"/case/4700/release\"",
        "formaction=\"/case/4700/suspend\"",
    ] {
        assert!(signal.contains(told), "{told} in {signal}");
    }
    let complaint = page(4711);
    assert!(
        complaint.contains("<option value=\"\">choose one</option>"),
        "nobody is chosen for the operator"
    );
    let listing = page(4690);
    for told in
        ["192.0.2.25", "bl.example.org", "127.0.0.4", "Stood out before", "/subscriber/alice@isp.example"]
    {
        assert!(listing.contains(told), "{told} in {listing}");
    }
    let rules = get(&daemon, &viewer, "/rules").body;
    assert!(rules.contains("messages &#62;= 1000") && rules.contains("/rules?dry_run=listed"), "{rules}");
    daemon.answers.questions.lock().unwrap().clear();
    let would = get(&daemon, &viewer, "/rules?dry_run=flood").body;
    assert!(would.contains("href=\"/case/4700\"") && would.contains("dismissed"), "{would}");
    assert_eq!(daemon.answers.questions.lock().unwrap().len(), 1, "what it would have done is about people");
    assert_eq!(get(&daemon, &viewer, "/rules?dry_run=drought").status, 404);
    // A closed one takes notes.
    assert!(
        !listing.contains("formaction=\"/case/4690/suspend\"")
            && listing.contains("action=\"/case/4690/note\"")
    );
    let looked = get(&daemon, &viewer, "/case/4700").body;
    assert!(!looked.contains("action=\"/case/") && looked.contains("takes the role operator"));
}

#[test]
fn an_order_that_fails_says_why_on_a_page() {
    let answers = Answers { order_error: Some(OrderError::UnknownSubject), ..Answers::full() };
    let (daemon, [_, operator, _]) = known(answers);
    let (cookie, csrf) = browser(&daemon, &operator);
    let here = ["Sec-Fetch-Site: same-origin", "Accept: text/html", &cookie];
    let reply =
        sent(&daemon, "POST /suspensions/suspend", &here, &format!("csrf={csrf}&subject=bbo&reason=x"));
    assert!(
        reply.status == 404 && reply.body.contains("Nobody of that name was ever seen"),
        "{}",
        reply.body
    );
}

#[test]
fn what_a_role_may_not_do_is_not_offered() {
    let (daemon, [viewer, operator, auditor]) = daemon();
    let offers = |token: &str, path: &str, text: &str| get(&daemon, token, path).body.contains(text);
    for (token, orders, questions) in
        [(&viewer, false, false), (&operator, true, false), (&auditor, true, true)]
    {
        assert_eq!(offers(token, "/suspensions", "action=\"/suspensions/suspend\""), orders);
        assert_eq!(offers(token, "/suspensions", "action=\"/suspensions/release\""), orders);
        assert_eq!(offers(token, "/subscriber/zoe", "action=\"/suspensions/"), orders);
        assert_eq!(offers(token, "/", "href=\"/questions\""), questions);
    }
}

#[test]
fn whoever_is_sent_to_log_in_comes_to_where_they_wanted_to_go() {
    let (daemon, [viewer, ..]) = daemon();
    let reply = sent(&daemon, "GET /subscriber/alice?days=7", &[], "");
    assert_eq!((reply.status, reply.header("location")), (303, "/login?next=/subscriber/alice%3Fdays%3D7"));
    let page = sent(&daemon, "GET /login?next=/subscriber/alice%3Fdays%3D7", &[], "");
    assert!(page.body.contains("name=\"next\" value=\"/subscriber/alice?days=7\""), "{}", page.body);
    let here = ["Sec-Fetch-Site: same-origin"];
    let body = format!("token={viewer}&next=/subscriber/alice%3Fdays%3D7");
    assert_eq!(sent(&daemon, "POST /login", &here, &body).header("location"), "/subscriber/alice?days=7");
    for elsewhere in ["https://evil.example/", "//evil.example/", "/%5Cevil.example"] {
        let body = format!("token={viewer}&next={elsewhere}");
        assert_eq!(sent(&daemon, "POST /login", &here, &body).header("location"), "/", "{elsewhere}");
        assert!(!sent(&daemon, &format!("GET /login?next={elsewhere}"), &[], "").body.contains("evil"));
    }
}

#[test]
fn the_same_rows_are_there_as_csv_and_hostile_cells_are_inert() {
    let (daemon, [.., auditor]) = daemon();
    for path in
        ["messages", "sessions", "explain?address=198.51.100.7", "nas", "suspensions", "top", "questions"]
    {
        let mark = if path.contains('?') { '&' } else { '?' };
        let reply = sent(&daemon, &format!("GET /v1/{path}{mark}format=csv"), &[&bearer(&auditor)], "");
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "text/csv; charset=utf-8; header=present"),
            "{path}"
        );
        assert!(reply.header("content-disposition").starts_with("attachment"), "{path}");
        assert!(reply.body.lines().count() > 1, "{path}");
        let accepted =
            sent(&daemon, &format!("GET /v1/{path}"), &[&bearer(&auditor), "Accept: text/csv"], "");
        assert!(accepted.header("content-type").starts_with("text/csv"), "{path}");
    }
    let top = sent(&daemon, "GET /v1/top?format=csv", &[&bearer(&auditor)], "");
    assert!(top.body.contains(",'=cmd|"), "{}", top.body);
    assert_eq!(sent(&daemon, "GET /v1/top?format=xls", &[&bearer(&auditor)], "").status, 400);
}

#[test]
fn a_long_list_goes_on_from_page_to_page_until_all_was_shown() {
    let (daemon, [viewer, ..]) = known(Answers { messages_there: Some(250), ..Answers::full() });
    // As a form sends it: with empty fields, and a time as people type it.
    let first = "/messages?subscriber=alice&address=&until=2026-11-24+00:00&since=";
    let (mut path, mut rows, mut pages) = (first.to_owned(), 0, 0);
    loop {
        let body = get(&daemon, &viewer, &path).body;
        rows += body.matches("<td class=\"number\">").count() / 2;
        pages += 1;
        let Some(next) = body.split("<a href=\"").find(|part| part.contains("rel=\"next\"")) else { break };
        path = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        assert!(path.contains("subscriber=alice"), "{path}");
    }
    assert_eq!((rows, pages), (250, 3));
}
