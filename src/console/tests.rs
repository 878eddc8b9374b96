//! Pages with hostile values in every field, and pages with nothing in them.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::cards::{Card, Found, Look, Message, Outcome, Overview, owners};
use super::chart::{Bars, Window};
use super::link::{Href, Link};
use super::lists::{
    Case, Cases, DryRun, Feeds, Field, List, Pager, Questions, Rows, Rules, Suspensions, Top,
};
use super::moment::Zone;
use super::person::{Subscriber, addresses};
use super::*;
use crate::server::http::access::AccessRow;
use crate::server::http::api::{
    Candidate, LineRow, MessageRow, SessionRow, StoryRow, SuspensionRow, Who, parse_rfc3339,
};
use crate::server::http::cases::{CaseRow, EvidenceRow, HistoryRow, ListingRow, SignalRow};
use crate::server::http::nas::{NasRow, UnusableRow};
use crate::server::http::questions::QuestionRow;
use crate::server::http::reputation::ReputationRow;
use crate::server::http::rules::{RuleRow, WouldRow};
use crate::server::http::top::TopRow;

/// What would end an attribute, an element and a script, call a template, turn the text around and end a line.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\u{202e}\r\n=cmd&amp;";
const NOON: &str = "2026-11-23T12:00:00.000Z";
const ONE: &str = "2026-11-23T13:00:00.000Z";

fn hostile() -> String {
    HOSTILE.to_owned()
}

fn some() -> Option<String> {
    Some(hostile())
}

fn at(text: &str) -> Timestamp {
    parse_rfc3339(text).expect("a moment")
}

fn frame() -> Frame {
    Frame {
        here: Place::LookUp,
        asker: hostile(),
        role: Role::Auditor,
        csrf: "0c".to_owned(),
        zone: Zone::new(TimeZone::UTC),
        now: at(ONE),
        purpose: some(),
        purpose_required: true,
        lost: Some(at(ONE)),
    }
}

fn window() -> Window {
    Window { since: at("2026-11-22T13:00:00Z"), until: at(ONE) }
}

fn line() -> LineRow {
    LineRow { port_id: some(), calling_station: some(), circuit_id: some(), remote_id: some() }
}

fn candidate() -> Candidate {
    Candidate {
        subscriber: some(),
        session: some(),
        nas: some(),
        valid_from: some(),
        valid_until: Some(NOON.to_owned()),
        ports: some(),
        line: line(),
    }
}

fn session() -> SessionRow {
    SessionRow {
        subscriber: some(),
        user_name: some(),
        addresses: vec![hostile(), "198.51.100.7".to_owned()],
        realm: some(),
        inside: some(),
        session: hostile(),
        nas: hostile(),
        state: hostile(),
        valid_from: Some(NOON.to_owned()),
        valid_until: None,
        last_seen: some(),
        line: line(),
        kept: BTreeMap::from([(hostile(), hostile())]),
    }
}

fn message() -> MessageRow {
    MessageRow {
        at: NOON.to_owned(),
        mta: hostile(),
        profile: hostile(),
        queue_id: hostile(),
        instance: hostile(),
        subscriber: some(),
        session: some(),
        nas: some(),
        address: some(),
        port: Some(25),
        login: some(),
        helo: hostile(),
        sender: hostile(),
        recipient_count: 7,
        recipient_domains: vec![hostile(); 5],
        size: 2048,
        token: some(),
        message_id: some(),
        verdict: hostile(),
        reason: hostile(),
        observed: true,
        candidates: vec![candidate(), candidate()],
    }
}

fn suspension() -> SuspensionRow {
    SuspensionRow {
        until_delisted: Vec::new(),
        kind: hostile(),
        subject: hostile(),
        standing: hostile(),
        reference: 7,
        since: some(),
        until: some(),
        by: hostile(),
        reason: hostile(),
        case: Some(7),
        access: vec![AccessRow {
            at: some(),
            nas: hostile(),
            session: hostile(),
            act: hostile(),
            request: hostile(),
            outcome: hostile(),
            words: hostile(),
        }],
    }
}

fn who() -> Who {
    Who {
        address: some(),
        port: Some(25),
        realm: some(),
        at: hostile(),
        within_seconds: Some(7),
        verdict: some(),
        reason: some(),
        subscriber: some(),
        session: some(),
        nas: some(),
        valid_from: some(),
        valid_until: some(),
        confidence: hostile(),
        because: some(),
        candidates: vec![candidate(), candidate()],
    }
}

fn fields() -> Vec<Field> {
    vec![Field { name: "about", label: "About", value: hostile(), example: "" }]
}

fn pager() -> Pager {
    let href = || Href::new("/x", [("y", HOSTILE)]);
    Pager { first: Some(href()), next: Some(href()), csv: href(), json: href() }
}

fn link() -> Link {
    Link::new(Href::new("/x", [("y", HOSTILE)]), HOSTILE)
}

fn look(outcome: Outcome) -> Look {
    Look { frame: frame(), q: hostile(), at: hostile(), realm: hostile(), outcome }
}

fn card() -> Card {
    let sessions = vec![session(), session()];
    Card {
        who: who(),
        now: who(),
        past: true,
        from_line: true,
        owners: owners(&frame(), &who(), &sessions, window(), at(NOON)),
        sessions,
        messages: vec![message()],
        suspension: Some(suspension()),
        links: vec![link()],
    }
}

fn person(sessions: Vec<SessionRow>, messages: Vec<MessageRow>) -> Subscriber {
    Subscriber {
        addresses: addresses(&frame(), HOSTILE, &sessions, window()),
        hours: Bars::new("hours", HOSTILE, window(), &frame().zone, messages.iter().map(|_| (at(NOON), 1))),
        frame: frame(),
        name: hostile(),
        spans: vec![(link(), true), (link(), false)],
        window: window(),
        recipients: 7,
        octets: 7,
        spam: 3,
        viruses: 1,
        cases: vec![link()],
        sessions,
        messages,
        suspension: Some(suspension()),
        all_sessions: link(),
        all_messages: link(),
    }
}

fn list(rows: Rows) -> List {
    List { frame: frame(), title: "List", path: "/list", fields: fields(), rows, pager: pager() }
}

fn top(rows: Vec<TopRow>) -> Top {
    Top {
        frame: frame(),
        measures: vec![(link(), true), (link(), false)],
        by: "messages",
        from: hostile(),
        to: hostile(),
        since: hostile(),
        until: hostile(),
        rows,
        pager: pager(),
    }
}

fn feed() -> NasRow {
    NasRow {
        nas: hostile(),
        client: hostile(),
        feed: hostile(),
        last_heard: some(),
        unusable: vec![UnusableRow { reason: hostile(), count: 7, last: some() }],
        last_fault: some(),
        why: some(),
        clock: hostile(),
        held_until: some(),
        held_by: some(),
        held_reason: some(),
        ..NasRow::default()
    }
}

fn listed() -> ReputationRow {
    ReputationRow {
        address: hostile(),
        list: hostile(),
        state: hostile(),
        since: some(),
        doubted: true,
        asked: some(),
        answers: vec![hostile()],
        text: some(),
        sanity: hostile(),
        why: some(),
        case: Some(7),
    }
}

fn case() -> CaseRow {
    let signal = SignalRow {
        at: some(),
        kind: hostile(),
        subject: hostile(),
        name: hostile(),
        value: 7,
        threshold: 7,
        words: hostile(),
    };
    let listing = ListingRow {
        at: some(),
        address: hostile(),
        list: hostile(),
        answers: vec![hostile()],
        text: some(),
        suspects: vec![signal.clone()],
    };
    let evidence = EvidenceRow {
        kind: hostile(),
        signal: Some(signal),
        listing: Some(listing),
        form: some(),
        feedback: some(),
        reporter: some(),
        address: some(),
        port: Some(25),
        arrival: some(),
        message_id: some(),
        token: some(),
        messages: vec![hostile()],
        found_by: vec![hostile()],
    };
    let history = HistoryRow {
        until_delisted: false,
        reference: 7,
        at: some(),
        by: hostile(),
        what: "observed".to_owned(),
        order: some(),
        kind: some(),
        subject: some(),
        until: some(),
        note: some(),
        ticket: some(),
    };
    CaseRow {
        opened: some(),
        kind: hostile(),
        state: "open".to_owned(),
        subscribers: vec![hostile()],
        logins: vec![hostile()],
        in_force: vec![suspension()],
        confidence: hostile(),
        evidence: vec![evidence],
        history: vec![history],
        ..CaseRow::default()
    }
}

fn rule() -> RuleRow {
    let (name, when, then, mode) = (hostile(), hostile(), hostile(), hostile());
    RuleRow { name, when, then, mode, max_actions: some(), cases: 7 }
}

fn dry_run() -> DryRun {
    let row = WouldRow {
        until_delisted: false,
        case: 7,
        at: some(),
        what: hostile(),
        kind: some(),
        subject: some(),
        until: some(),
        reason: hostile(),
        outcome: hostile(),
    };
    DryRun { rule: hostile(), rows: vec![row] }
}

fn question() -> QuestionRow {
    QuestionRow {
        at: some(),
        by: hostile(),
        role: some(),
        via: hostile(),
        what: hostile(),
        about: vec![hostile()],
        purpose: some(),
        rows: Some(7),
        ..QuestionRow::default()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one hostile value in every place of every page")]
fn hostile_values_stay_inert_wherever_they_stand() {
    let story = StoryRow {
        at: some(),
        arrival: some(),
        record: hostile(),
        nas: some(),
        session: some(),
        subscriber: some(),
        address: some(),
        what: hostile(),
        others: vec![hostile()],
        ..StoryRow::default()
    };
    let found = Found {
        word: hostile(),
        by_queue_id: vec![message()],
        by_token: vec![message()],
        by_message_id: vec![message()],
        by_login: vec![message()],
        sessions: vec![session()],
        subscriber: true,
    };
    let row =
        TopRow { kind: hostile(), subject: hostile(), messages: 7, usual: Some(0), ..TopRow::default() };
    let overview = Overview { reasons: vec![hostile()], ..Overview::default() };
    let again = vec![(hostile(), hostile())];
    let pages: Vec<(&str, Result<String, askama::Error>)> = vec![
        ("overview", look(Outcome::Overview(overview)).render()),
        ("remark", look(Outcome::Remark(hostile())).render()),
        ("choice", look(Outcome::Choice(hostile(), vec![link()])).render()),
        ("card", look(Outcome::Card(Box::new(card()))).render()),
        ("found", look(Outcome::Found(found)).render()),
        (
            "message",
            Message {
                frame: frame(),
                queue_id: hostile(),
                rows: vec![(message(), None), (message(), Some(who()))],
                as_rows: [Href::default(), Href::default()],
            }
            .render(),
        ),
        ("subscriber", person(vec![session()], vec![message()]).render()),
        ("sessions", list(Rows::Sessions(vec![session()])).render()),
        ("messages", list(Rows::Messages(vec![message()])).render()),
        ("story", list(Rows::Story(vec![story])).render()),
        ("top", top(vec![row]).render()),
        (
            "feeds",
            Feeds { frame: frame(), rows: vec![feed()], reputation: vec![listed()], pager: pager() }.render(),
        ),
        ("case", Case { frame: frame(), row: case(), json: Href::default() }.render()),
        (
            "cases",
            Cases {
                frame: frame(),
                states: vec![(link(), true)],
                kinds: vec![(link(), true)],
                about: hostile(),
                rows: vec![case()],
                pager: pager(),
            }
            .render(),
        ),
        (
            "rules",
            Rules { frame: frame(), rows: vec![rule()], dry_run: Some(dry_run()), json: Href::default() }
                .render(),
        ),
        ("suspensions", Suspensions { frame: frame(), rows: vec![suspension()], pager: pager() }.render()),
        (
            "questions",
            Questions {
                frame: frame(),
                fields: fields(),
                rows: vec![question()],
                chain: None,
                verify: Href::default(),
                pager: pager(),
            }
            .render(),
        ),
        ("login", Login { remark: HOSTILE, next: HOSTILE }.render()),
        (
            "trouble",
            Trouble {
                title: HOSTILE,
                detail: HOSTILE,
                parameter: Some(HOSTILE),
                status: 400,
                again: Some((HOSTILE, again)),
            }
            .render(),
        ),
    ];
    for (name, page) in pages {
        let page = page.expect("a page");
        assert!(page.contains("alert(1)"), "{name} shows it");
        for forbidden in ["<script", "<img", "\"'>", "'><"] {
            let shown = page.find(forbidden).map(|place| page.get(place.saturating_sub(80)..place + 40));
            assert!(shown.is_none(), "{forbidden} in {name}: {shown:?}");
        }
    }
}

#[test]
fn an_empty_page_says_what_to_do() {
    let quiet = |page: Result<String, askama::Error>, name: &str, said: &str| {
        let page = page.expect("a page");
        assert!(page.contains("class=\"empty\"") && page.contains(said), "{name}: {page}");
    };
    let nothing = || Pager::default();
    let unfiltered = |rows| List { fields: Vec::new(), pager: nothing(), ..list(rows) };
    quiet(look(Outcome::Overview(Overview::default())).render(), "overview", "send its accounting here");
    quiet(look(Outcome::Found(Found::default())).render(), "found", "queue-id");
    quiet(unfiltered(Rows::Messages(Vec::new())).render(), "messages", "It fills as");
    quiet(list(Rows::Sessions(Vec::new())).render(), "sessions", "Show everything");
    quiet(top(Vec::new()).render(), "top", "Choose another time");
    quiet(
        Feeds { frame: frame(), rows: Vec::new(), reputation: Vec::new(), pager: nothing() }.render(),
        "feeds",
        "[[radius.client]]",
    );
    quiet(
        Suspensions { frame: frame(), rows: Vec::new(), pager: nothing() }.render(),
        "suspensions",
        "The form below",
    );
    quiet(
        Cases {
            frame: frame(),
            states: Vec::new(),
            kinds: Vec::new(),
            about: String::new(),
            rows: Vec::new(),
            pager: nothing(),
        }
        .render(),
        "cases",
        "A case is",
    );
    quiet(person(Vec::new(), Vec::new()).render(), "subscriber", "A longer time may show more");
    quiet(
        Rules { frame: frame(), rows: Vec::new(), dry_run: None, json: Href::default() }.render(),
        "rules",
        "There are none",
    );
    let message = Message {
        frame: frame(),
        queue_id: String::new(),
        rows: Vec::new(),
        as_rows: [Href::default(), Href::default()],
    };
    quiet(message.render(), "message", "No message fits");
}

#[test]
fn a_doubtful_answer_names_nobody_and_shows_every_candidate() {
    let one = |name: &str| Candidate { subscriber: Some(name.to_owned()), ..Candidate::default() };
    let who = Who {
        address: Some("198.51.100.7".to_owned()),
        at: NOON.to_owned(),
        confidence: "ambiguous".to_owned(),
        because: Some("two sessions claim it".to_owned()),
        candidates: vec![one("alice"), one("bob")],
        ..Who::default()
    };
    let owners = owners(&frame(), &who, &[], window(), at(NOON));
    let card = Card { who, owners, sessions: Vec::new(), messages: Vec::new(), suspension: None, ..card() };
    let page = look(Outcome::Card(Box::new(card))).render().expect("a page");
    assert!(page.contains("<h2 id=\"whose\">One of those below</h2>"), "{page}");
    assert!(page.contains("accuse nobody on this alone: two sessions claim it."), "{page}");
    assert!(page.contains("<bdi>alice</bdi>") && page.contains("<bdi>bob</bdi>"), "{page}");
}

#[test]
fn a_session_that_was_taken_over_without_a_stop_ends_where_the_next_begins() {
    let row = |name: &str, from: &str, state: &str| SessionRow {
        subscriber: Some(name.to_owned()),
        session: name.to_owned(),
        state: state.to_owned(),
        valid_from: Some(from.to_owned()),
        ..SessionRow::default()
    };
    let rows = [row("bob", NOON, "active"), row("alice", "2026-11-23T01:00:00Z", "superseded")];
    let who = Who { session: Some("bob".to_owned()), ..Who::default() };
    let lanes = owners(&frame(), &who, &rows, window(), at(NOON));
    assert_eq!(lanes.lanes.len(), 1, "one after the other");
    let classes: Vec<_> = lanes.lanes.iter().flat_map(|lane| &lane.spans).map(|span| span.class).collect();
    assert_eq!(classes, ["other", "chosen"]);
    assert!(
        lanes.description.contains("alice: 2026-11-23 01:00 UTC to 2026-11-23 12:00 UTC"),
        "{}",
        lanes.description
    );
}
