//! A daemon that only says what it is told, behind the real routers and the real Unix socket; and a peer that is none.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use jiff::tz::TimeZone;
use relaywarden::access::preservation::{PreservationOrder, Preservations};
use relaywarden::access::question::{Asked, Reply};
use relaywarden::access::token::{TokenOrder, Tokens};
use relaywarden::audit::asked::{AskedFilter, AskedRow};
use relaywarden::audit::rows::{AttemptFilter, Listed, MessageFilter, SessionFilter, StoryFilter, Sum};
use relaywarden::complaint;
use relaywarden::config::Http;
use relaywarden::relay::advice::{Advice, COUNTED};
use relaywarden::relay::case::State;
use relaywarden::relay::standing::Subject;
use relaywarden::relay::verdict::Reason;
use relaywarden::server::http::api::{
    Candidate, Instruction, LineRow, MessageRow, SessionRow, StoryRow, SuspensionRow, Who,
};
use relaywarden::server::http::attempts::AttemptRow;
use relaywarden::server::http::auth::Gate;
use relaywarden::server::http::cases::{
    CaseError, CaseFilter, CaseRow, Deed, Doing, Done, EvidenceRow, HistoryRow, ListingRow, Opening,
    SignalRow,
};
use relaywarden::server::http::complaints::{ComplaintRow, Desk, Refused};
use relaywarden::server::http::coverage::{CoverageRow, GapRow, RetentionRow};
use relaywarden::server::http::hosts::Hosts;
use relaywarden::server::http::import::{Chunk, Fate, ImportAnswer, ImportRow, Outcome};
use relaywarden::server::http::maillog::MailChunk;
use relaywarden::server::http::nas::{HoldOrder, NasRow, UnusableRow};
use relaywarden::server::http::peers::Peers;
use relaywarden::server::http::permitted::Permitted;
use relaywarden::server::http::questions::{ChainRow, QuestionRow};
use relaywarden::server::http::reputation::ReputationRow;
use relaywarden::server::http::rules::{RuleRow, WouldRow};
use relaywarden::server::http::top::{TopFilter, TopRow};
use relaywarden::server::http::usage::UsageRow;
use relaywarden::server::http::web;
use relaywarden::server::http::{self, Health, OrderError, Ordered, Staff, Trouble, api};
use relaywarden::session::{Name, Realm, Timestamp};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What it answers. Rows are for alice and for a customer whose name is an attack.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) rows: bool,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) order_error: Option<OrderError>,
    /// From when on a part of the past is lost.
    pub(crate) lost_from: Option<Timestamp>,
    pub(crate) not_ready: bool,
    pub(crate) observed: bool,
    pub(crate) purpose_required: bool,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) questions: Mutex<Vec<Asked>>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) preserved: Mutex<Preservations>,
    /// So many messages, seven to a millisecond.
    pub(crate) messages_there: Option<usize>,
    pub(crate) most_at_once: AtomicUsize,
    /// So many cases, less one, beside the usual one, with smaller numbers.
    pub(crate) cases_there: u64,
    pub(crate) cases_asked: Mutex<Option<CaseFilter>>,
    pub(crate) opened: Mutex<Vec<Opening>>,
    pub(crate) acted: Mutex<Vec<Doing>>,
    pub(crate) imported: Mutex<Vec<Chunk>>,
    pub(crate) mail_imported: Mutex<Vec<MailChunk>>,
    pub(crate) import_troubles: Mutex<VecDeque<Option<Trouble>>>,
    pub(crate) ordered: Mutex<Vec<Instruction>>,
    pub(crate) held: Mutex<Vec<HoldOrder>>,
    pub(crate) sessions_asked: Mutex<Option<SessionFilter>>,
    pub(crate) messages_asked: Mutex<Option<MessageFilter>>,
    pub(crate) story_asked: Mutex<Option<StoryFilter>>,
    pub(crate) top_asked: Mutex<Option<TopFilter>>,
    pub(crate) attempts_asked: Mutex<Option<AttemptFilter>>,
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn alice() -> Candidate {
    Candidate {
        subscriber: some("alice@isp.example"),
        session: some("bras1/00a1/1795438800000"),
        nas: some("bras1"),
        valid_from: some("2026-11-23T13:00:00.000Z"),
        valid_until: None,
        ports: None,
        line: LineRow { port_id: some("eth 0/1:7"), circuit_id: some("dslam3 1/7"), ..LineRow::default() },
    }
}

fn bob() -> Candidate {
    Candidate {
        subscriber: some("bob@isp.example"),
        session: some("bras1/00b2/1795431600000"),
        nas: some("bras1"),
        valid_from: some("2026-11-23T11:00:00.000Z"),
        valid_until: some("2026-11-23T13:30:00.000Z"),
        ports: None,
        line: LineRow::default(),
    }
}

/// One of those who share an address by ports.
fn sharer(ports: &str) -> Candidate {
    Candidate { ports: some(ports), ..alice() }
}

/// Candidates of whom none is named.
fn several(address: IpAddr, port: Option<u16>, candidates: Vec<Candidate>) -> Who {
    Who { candidates, ..whose(address, port, Vec::new()) }
}

fn whose(address: IpAddr, port: Option<u16>, candidates: Vec<Candidate>) -> Who {
    let mut who = Who {
        address: Some(address.to_string()),
        port,
        at: "2026-11-23T14:00:05.007Z".to_owned(),
        confidence: "exact".to_owned(),
        candidates,
        ..Who::default()
    };
    if let [only] = who.candidates.as_slice() {
        who.subscriber.clone_from(&only.subscriber);
        who.session.clone_from(&only.session);
        who.nas.clone_from(&only.nas);
        who.valid_from.clone_from(&only.valid_from);
        who.valid_until.clone_from(&only.valid_until);
    }
    who
}

fn message() -> MessageRow {
    MessageRow {
        at: "2026-11-23T14:00:05.007Z".to_owned(),
        mta: "mx1".to_owned(),
        profile: "relay".to_owned(),
        queue_id: "4XyZ1b2c3d".to_owned(),
        instance: "1a2b.5678.0".to_owned(),
        subscriber: some("alice@isp.example"),
        session: some("bras1/00a1/1795438800000"),
        nas: some("bras1"),
        address: some("198.51.100.7"),
        port: Some(40112),
        helo: "laptop.home".to_owned(),
        sender: "alice@isp.example".to_owned(),
        recipient_count: 2,
        recipient_domains: vec!["a.example".to_owned(), "b.example".to_owned()],
        size: 2048,
        token: some("Zk3vQ"),
        verdict: "permit".to_owned(),
        reason: "online".to_owned(),
        candidates: vec![alice()],
        ..MessageRow::default()
    }
}

/// A suspended customer, nobody's address, and a flood.
fn attempts() -> Vec<AttemptRow> {
    let row = |reference: &str, reason: Reason| AttemptRow {
        reference: reference.to_owned(),
        at: "2026-11-23T13:05:02.100Z".to_owned(),
        until: "2026-11-23T13:05:41.000Z".to_owned(),
        count: 1,
        mta: "mx1".to_owned(),
        profile: "relay".to_owned(),
        verdict: some(reason.verdict().word()),
        reason: reason.word().to_owned(),
        meaning: Advice::on(reason).meaning.to_owned(),
        remedy: Advice::on(reason).remedy.to_owned(),
        helo: "laptop.home".to_owned(),
        ..AttemptRow::default()
    };
    vec![
        AttemptRow {
            count: 340,
            address: some("198.51.100.7"),
            port: Some(40112),
            subscriber: some("alice@isp.example"),
            session: some("bras1/00a1/1795438800000"),
            nas: some("bras1"),
            sender: "a\u{1b}[2J\u{202e}".to_owned(),
            recipient_domain: "b.example".to_owned(),
            suspension: Some(4711),
            candidates: vec![alice()],
            ..row("1a2b3c4d", Reason::Suspended)
        },
        AttemptRow {
            address: some("198.51.100.200"),
            sender: "=cmd|' /c calc'!a1".to_owned(),
            observed: true,
            ..row("0000002b", Reason::NotOnline)
        },
        AttemptRow {
            count: 81_022,
            verdict: None,
            reason: "too-many".to_owned(),
            meaning: COUNTED.meaning.to_owned(),
            remedy: COUNTED.remedy.to_owned(),
            mta: String::new(),
            profile: String::new(),
            helo: String::new(),
            ..row("ffffffff", Reason::NotOnline)
        },
    ]
}

fn session(subscriber: &str, state: &str, until: Option<&str>) -> SessionRow {
    SessionRow {
        subscriber: some(subscriber),
        user_name: some(subscriber),
        addresses: vec!["198.51.100.7".to_owned(), "2001:db8:1::/64".to_owned()],
        realm: None,
        inside: None,
        session: "bras1/00a1/1795438800000".to_owned(),
        nas: "bras1".to_owned(),
        state: state.to_owned(),
        valid_from: some("2026-11-23T13:00:00.000Z"),
        valid_until: until.map(str::to_owned),
        last_seen: some("2026-11-23T13:59:00.000Z"),
        line: alice().line,
        kept: BTreeMap::from([("ADSL-Agent-Circuit-Id".to_owned(), "dslam3 1/7".to_owned())]),
    }
}

/// One that is well, one that is silent, one that is held, and one that can't be understood.
fn feeds() -> Vec<NasRow> {
    let bras1 = NasRow {
        nas: "bras1".to_owned(),
        client: "bras1".to_owned(),
        feed: "whole".to_owned(),
        last_heard: some("2026-11-23T14:00:00.000Z"),
        last_packet: some("2026-11-23T14:00:01.000Z"),
        records_last_minute: 41,
        active: 812,
        suspect: 3,
        records: 12_345,
        refreshes: 11_000,
        duplicates: 12,
        retransmits: 5,
        late: 2,
        stops_missed: 7,
        unusable: vec![UnusableRow {
            reason: "other-status".to_owned(),
            count: 9,
            last: some("2026-11-23T13:59:00.000Z"),
        }],
        last_fault: some("other-status"),
        last_fault_at: some("2026-11-23T13:59:00.000Z"),
        interval_seconds: Some(300),
        whole: true,
        since: some("2026-11-23T08:00:00.000Z"),
        clock: "known".to_owned(),
        clock_offset_ms: Some(-120),
        ..NasRow::default()
    };
    let bras2 = NasRow {
        nas: "bras2/192.0.2.9".to_owned(),
        client: "bras2".to_owned(),
        feed: "silent".to_owned(),
        last_heard: some("2026-11-23T13:41:12.000Z"),
        active: 640,
        pending: 2,
        records: 900,
        claims_dropped: 1,
        silent: true,
        why: some("nas-silent until 2026-11-23T17:41:12.000Z"),
        clock: "absurd".to_owned(),
        absurd_times: 900,
        ..NasRow::default()
    };
    let bras3 = NasRow {
        nas: "bras3".to_owned(),
        client: "bras3".to_owned(),
        feed: "held".to_owned(),
        last_heard: some("2026-11-23T12:30:00.000Z"),
        active: 55,
        silent: true,
        whole: true,
        clock: "undated".to_owned(),
        held_until: some("2026-11-23T18:00:00.000Z"),
        held_by: some("noc"),
        held_reason: some("new line card"),
        ..NasRow::default()
    };
    let bras4 = NasRow {
        nas: "bras4".to_owned(),
        client: "bras4".to_owned(),
        feed: "unheard".to_owned(),
        unusable: vec![UnusableRow {
            reason: "bad-authenticator".to_owned(),
            count: 311,
            last: some("2026-11-23T14:00:02.000Z"),
        }],
        last_fault: some("bad-authenticator"),
        last_fault_at: some("2026-11-23T14:00:02.000Z"),
        whole: true,
        clock: "undated".to_owned(),
        ..NasRow::default()
    };
    vec![bras1, bras2, bras3, bras4]
}

/// Alice's address went to Bob while Alice's router was away; then a record of Alice's came late.
fn story() -> Vec<StoryRow> {
    let line = |at: &str, arrival: Option<&str>, record: &str, owner: &Candidate, what: &str| StoryRow {
        at: some(at),
        arrival: arrival.map(str::to_owned),
        sequence: 4711,
        record: record.to_owned(),
        nas: owner.nas.clone(),
        session: owner.session.clone(),
        subscriber: owner.subscriber.clone(),
        address: some("198.51.100.7"),
        what: what.to_owned(),
        ..StoryRow::default()
    };
    let (began, taken) = ("2026-11-23T13:00:00.000Z", "2026-11-23T13:30:00.000Z");
    vec![
        line(began, Some(began), "start", &alice(), "bound"),
        StoryRow {
            at: some("2026-11-23T13:20:00.000Z"),
            since: some("2026-11-23T13:10:00.000Z"),
            sequence: 4712,
            record: "resumed".to_owned(),
            what: "gap".to_owned(),
            ..StoryRow::default()
        },
        StoryRow {
            last_seen: some("2026-11-23T13:05:00.000Z"),
            ..line(taken, Some("2026-11-23T13:30:02.500Z"), "start", &alice(), "superseded")
        },
        line(taken, Some("2026-11-23T13:30:02.500Z"), "start", &bob(), "bound"),
        line("2026-11-23T13:15:00.000Z", Some("2026-11-23T14:16:00.000Z"), "interim", &alice(), "outdone"),
        line("2026-11-23T15:30:00.000Z", None, "deadline", &bob(), "overdue"),
    ]
}

impl Answers {
    pub(crate) fn full() -> Self {
        Answers { rows: true, ..Answers::default() }
    }

    fn rows<T>(&self, rows: Vec<T>) -> Result<Vec<T>, Trouble> {
        match self.trouble {
            Some(trouble) => Err(trouble),
            None if self.rows => Ok(rows),
            None => Ok(Vec::new()),
        }
    }
}

impl Desk for Answers {
    async fn complain(&self, by: Name, report: Bytes) -> Result<ComplaintRow, Refused> {
        let complaint = complaint::read(&report, Some("X-Subscriber-Token")).map_err(Refused::Unreadable)?;
        let messages = self.rows(vec![message()]).map_err(Refused::Trouble)?;
        self.asked.lock().unwrap().push(format!("{by} complains"));
        Ok(ComplaintRow {
            case: 4711,
            subscriber: some("alice@isp.example"),
            confidence: "exact".to_owned(),
            because: "by token".to_owned(),
            candidates: vec!["alice@isp.example".to_owned()],
            form: complaint.form.word().to_owned(),
            reporter: complaint.reporter.map(|reporter| reporter.to_string()),
            messages,
            ..ComplaintRow::default()
        })
    }

    fn cases(&self, filter: &CaseFilter) -> Vec<CaseRow> {
        *self.cases_asked.lock().unwrap() = Some(filter.clone());
        let mut rows = self.rows(vec![case()]).unwrap_or_default();
        rows.extend((1..self.cases_there).rev().map(|id| CaseRow { id, ..case() }));
        rows.retain(|row| {
            filter.state != Some(State::Closed) && filter.before.is_none_or(|before| row.id < before)
        });
        rows.truncate(filter.limit);
        rows
    }

    fn case(&self, id: u64) -> Option<CaseRow> {
        match id {
            4711 => Some(case()),
            4700 => Some(case_of_signal()),
            4690 => Some(case_of_listing()),
            _ => None,
        }
    }

    fn rules(&self) -> Vec<RuleRow> {
        let row = |name: &str, when: &str, then: &str, mode: &str| RuleRow {
            name: name.to_owned(),
            when: when.to_owned(),
            then: then.to_owned(),
            mode: mode.to_owned(),
            max_actions: (name == "flood").then(|| "5/1h".to_owned()),
            cases: 3,
        };
        let rules = vec![
            row("flood", "messages >= 1000", "suspend 24h", "enforce"),
            row("listed", "listing", "limit 24h", "observe"),
        ];
        self.rows(rules).unwrap_or_default()
    }

    fn rehearse(&self, rule: &Name) -> Option<Vec<WouldRow>> {
        let row = |case, what: &str, outcome: &str| WouldRow {
            case,
            at: some("2026-11-23T14:00:05.000Z"),
            what: what.to_owned(),
            kind: some(if case == 4700 { "login" } else { "subscriber" }),
            subject: some(if case == 4700 { "sales" } else { "=cmd()\u{1b}[2J" }),
            until: some("2026-11-24T14:00:05.000Z"),
            reason: "messages is 1024: 1,024 messages today; 3 to 14 on the last 28 days".to_owned(),
            outcome: outcome.to_owned(),
        };
        let rows = vec![row(4690, "suspended", "dismissed"), row(4700, "called", "open")];
        (*rule == Name::from("flood")).then(|| self.rows(rows).unwrap_or_default())
    }

    async fn open(&self, opening: Opening) -> Result<Done, CaseError> {
        if let Some(error) = self.order_error.filter(|_| !opening.force) {
            return Err(CaseError::Order(error));
        }
        let subject = Some(opening.subject.clone());
        self.opened.lock().unwrap().push(opening);
        Ok(Done { case: 4715, reference: 4715, at: Timestamp::from_seconds(1_795_442_405), subject })
    }

    /// 4710 is closed, 4709 can't be written, 4708 is about several.
    async fn act(&self, doing: Doing) -> Result<Done, CaseError> {
        let orders = matches!(doing.deed, Deed::Limit(_) | Deed::Suspend(_) | Deed::Release);
        let outlives = matches!(doing.deed, Deed::Note | Deed::Release);
        match doing.case {
            4711 | 4700 => {}
            4710 if outlives => {}
            4710 => return Err(CaseError::Closed),
            4709 => return Err(CaseError::Storage),
            4708 if orders && doing.subject.is_none() => return Err(CaseError::WhichOne),
            4708 if orders => return Err(CaseError::NotAbout),
            _ => return Err(CaseError::Unknown),
        }
        if let Some(error) = self.order_error.filter(|_| orders && !doing.force) {
            return Err(CaseError::Order(error));
        }
        let about = || Subject::Subscriber(Name::from("alice@isp.example"));
        let subject = orders.then(|| doing.subject.clone().unwrap_or_else(about));
        let case = doing.case;
        self.acted.lock().unwrap().push(doing);
        Ok(Done { case, reference: 4716, at: Timestamp::from_seconds(1_795_442_405), subject })
    }
}

/// A sender who does as never before, and what was done about it.
fn case_of_signal() -> CaseRow {
    let event = |reference, what: &str, by: &str| HistoryRow {
        reference,
        at: some("2026-11-23T14:00:05.000Z"),
        by: by.to_owned(),
        what: what.to_owned(),
        ..HistoryRow::default()
    };
    let held = HistoryRow {
        order: some("suspend"),
        kind: some("login"),
        subject: some("sales"),
        until: some("2026-12-01T08:00:00.000Z"),
        note: some("password stolen"),
        ticket: some("T-17"),
        ..event(4705, "suspended", "desk")
    };
    CaseRow {
        id: 4700,
        kind: "signal".to_owned(),
        subscribers: Vec::new(),
        logins: vec!["sales".to_owned()],
        confidence: "exact".to_owned(),
        evidence_count: 1,
        evidence: vec![EvidenceRow {
            kind: "signal".to_owned(),
            signal: Some(signal("login", "sales")),
            ..EvidenceRow::default()
        }],
        history: vec![
            event(4700, "opened", "relaywarden"),
            HistoryRow { note: some("no answer"), ..event(4703, "noted", "desk") },
            held,
        ],
        in_force: vec![SuspensionRow {
            kind: "login".to_owned(),
            subject: "sales".to_owned(),
            standing: "suspended".to_owned(),
            reference: 4705,
            since: some("2026-11-23T14:00:05.000Z"),
            until: some("2026-12-01T08:00:00.000Z"),
            by: "desk".to_owned(),
            reason: "password stolen".to_owned(),
            case: Some(4700),
        }],
        ..case()
    }
}

/// One of our own addresses on a list, and who stood out before.
fn case_of_listing() -> CaseRow {
    CaseRow {
        id: 4690,
        kind: "listing".to_owned(),
        state: "closed".to_owned(),
        subscribers: vec!["alice@isp.example".to_owned()],
        evidence_count: 1,
        evidence: vec![EvidenceRow {
            kind: "listing".to_owned(),
            listing: Some(ListingRow {
                at: some("2026-11-23T14:00:05.000Z"),
                address: "192.0.2.25".to_owned(),
                list: "bl.example.org".to_owned(),
                answers: vec!["127.0.0.4".to_owned()],
                text: some("https://bl.example.org/\u{1b}[2J"),
                suspects: vec![signal("subscriber", "alice@isp.example")],
            }),
            ..EvidenceRow::default()
        }],
        kept_until: some("2027-02-21T14:00:05.000Z"),
        ..case()
    }
}

fn signal(kind: &str, subject: &str) -> SignalRow {
    SignalRow {
        at: some("2026-11-23T13:58:00.000Z"),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        name: "messages".to_owned(),
        value: 1024,
        threshold: 40,
        words: "1,024 messages today; 3 to 14 on the last 28 days".to_owned(),
    }
}

fn reputation() -> Vec<ReputationRow> {
    let row = |address: &str, list: &str, state: &str, sanity: &str| ReputationRow {
        address: address.to_owned(),
        list: list.to_owned(),
        state: state.to_owned(),
        since: some("2026-11-23T14:00:05.000Z"),
        asked: some("2026-11-23T15:30:05.000Z"),
        sanity: sanity.to_owned(),
        ..ReputationRow::default()
    };
    vec![
        ReputationRow {
            answers: vec!["127.0.0.2".to_owned(), "127.0.0.4".to_owned()],
            text: some("=see https://zen.example/?q=192.0.2.25\u{1b}[2J"),
            case: Some(4711),
            ..row("192.0.2.25", "zen", "listed", "sane")
        },
        ReputationRow {
            why: some(
                "it has the address that no list may have, so it lists everything; it has closed, take it out",
            ),
            ..row("192.0.2.25", "dead.example.net", "unknown", "lists-everything")
        },
        ReputationRow { doubted: true, ..row("2001:db8::25", "zen", "clean", "sane") },
    ]
}

fn case() -> CaseRow {
    CaseRow {
        id: 4711,
        opened: some("2026-11-23T14:00:05.000Z"),
        kind: "complaint".to_owned(),
        state: "open".to_owned(),
        subscribers: vec!["alice@isp.example".to_owned(), "=cmd()\u{1b}[2J".to_owned()],
        logins: Vec::new(),
        confidence: "ambiguous".to_owned(),
        evidence_count: 3,
        evidence: vec![EvidenceRow {
            kind: "complaint".to_owned(),
            form: some("arf"),
            feedback: some("abuse"),
            reporter: some("complaints@example.org"),
            address: some("198.51.100.7"),
            port: Some(40112),
            arrival: some("2026-11-23T13:59:00.000Z"),
            message_id: some("1@x"),
            messages: vec!["mx1 4bX".to_owned()],
            found_by: vec!["queue-id".to_owned()],
            ..EvidenceRow::default()
        }],
        history: vec![HistoryRow {
            reference: 4711,
            at: some("2026-11-23T14:00:05.000Z"),
            by: "mail".to_owned(),
            what: "opened".to_owned(),
            ..HistoryRow::default()
        }],
        in_force: Vec::new(),
        kept_until: None,
    }
}

impl Staff for Answers {
    fn realm(&self, name: &Name) -> Option<Realm> {
        (*name == Name::from("blue")).then_some(Realm::of_number(1))
    }

    fn recipient(&self, recipient: &Name) -> u64 {
        recipient.octets().len() as u64
    }

    fn lookup(&self, _: Realm, address: IpAddr, port: Option<u16>) -> Who {
        let (verdict, reason, candidates) = match address.to_string().as_str() {
            "198.51.100.7" => ("permit", "online", vec![alice()]),
            "198.51.100.8" => ("defer", "warm-up", Vec::new()),
            "198.51.100.9" => ("defer", "conflict", vec![alice(), bob()]),
            "203.0.113.77" => ("defer", "port-required", vec![sharer("1024-2047")]),
            _ => ("refuse", "not-online", Vec::new()),
        };
        let sure = candidates.len() < 2 && reason != "port-required";
        let confidence = if sure { "exact" } else { "ambiguous" };
        let whose = if sure { whose(address, port, candidates) } else { several(address, port, candidates) };
        Who { verdict: some(verdict), reason: some(reason), confidence: confidence.to_owned(), ..whose }
    }

    async fn owner(
        &self,
        _: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
    ) -> Result<Who, Trouble> {
        self.rows(Vec::<u8>::new())?;
        let at = api::rfc3339(at).unwrap_or_default();
        if address.to_string() == "203.0.113.77" {
            let because = some("the address was shared by ports; ask with the source port");
            let candidates = vec![sharer("1024-2047"), sharer("2048-3071")];
            let confidence = "ambiguous".to_owned();
            return Ok(Who { at, confidence, because, ..several(address, port, candidates) });
        }
        let because = some("the end was never reported; sure only until the last sign of life");
        let confidence = "until-last-interim".to_owned();
        Ok(Who { at, confidence, because, ..whose(address, port, vec![bob()]) })
    }

    async fn owner_within(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
        within: Duration,
    ) -> Result<Who, Trouble> {
        let who = self.owner(realm, address, port, at).await?;
        Ok(Who { within_seconds: Some(within.as_secs()), ..who })
    }

    async fn explain(&self, filter: &StoryFilter) -> Result<Vec<StoryRow>, Trouble> {
        *self.story_asked.lock().unwrap() = Some(filter.clone());
        self.rows(story())
    }

    async fn by_token(&self, token: &Name) -> Result<Vec<MessageRow>, Trouble> {
        let mut rows = self.rows(vec![message()])?;
        rows.retain(|row| row.token.as_deref() == token.text());
        Ok(rows)
    }

    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, Trouble> {
        *self.sessions_asked.lock().unwrap() = Some(filter.clone());
        self.rows(vec![
            session("alice@isp.example", "active", None),
            session("=HYPERLINK(\"http://evil\")", "stopped", Some("2026-11-23T13:59:30.000Z")),
        ])
    }

    async fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageRow>, Trouble> {
        *self.messages_asked.lock().unwrap() = Some(filter.clone());
        self.most_at_once.fetch_max(filter.limit, Ordering::Relaxed);
        if let Some(count) = self.messages_there {
            let at = |number: usize| {
                Timestamp::from_millis(1_795_442_405_000 - i64::try_from(number / 7).unwrap())
            };
            let below = |number: &usize| filter.until.is_none_or(|until| at(*number) < until);
            let row = |number: usize| MessageRow {
                at: api::rfc3339(at(number)).unwrap(),
                queue_id: number.to_string(),
                ..message()
            };
            return self.rows((0..count).filter(below).take(filter.limit).map(row).collect());
        }
        let forged = MessageRow {
            subscriber: None,
            sender: "a\u{1b}[2J\u{202e}".to_owned(),
            verdict: "defer".to_owned(),
            reason: "conflict".to_owned(),
            observed: true,
            candidates: vec![alice(), bob()],
            ..message()
        };
        self.rows(vec![message(), forged])
    }

    async fn top(&self, filter: &TopFilter) -> Result<Vec<TopRow>, Trouble> {
        *self.top_asked.lock().unwrap() = Some(*filter);
        let row = |subscriber: &str, messages, usual| TopRow {
            kind: "subscriber".to_owned(),
            subject: subscriber.to_owned(),
            messages,
            recipients: messages * 3,
            bytes: messages * 2048,
            usual,
            most_before: usual,
        };
        self.rows(vec![row("alice@isp.example", 1024, Some(7)), row("=cmd|' /C calc'!A0", 2, None)])
    }

    async fn minutes(
        &self,
        _: &Name,
        since: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<(Timestamp, Sum)>, Trouble> {
        self.rows(vec![(since, Sum { messages: 2, recipients: 4, octets: 4096 })])
    }

    fn zone(&self) -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    async fn coverage(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<CoverageRow, Trouble> {
        let gap = |since: Option<&str>, until: &str| GapRow {
            since: since.map(str::to_owned),
            until: until.to_owned(),
        };
        let at = |text: &str| api::parse_rfc3339(text).unwrap();
        let mut gaps = self.rows(vec![
            gap(None, "2026-11-01T00:00:00.000Z"),
            gap(Some("2026-11-23T13:00:00.000Z"), "2026-11-23T13:05:00.000Z"),
        ])?;
        gaps.retain(|gap| {
            since.is_none_or(|since| at(&gap.until) > since)
                && until.is_none_or(|until| gap.since.as_deref().is_none_or(|since| at(since) < until))
        });
        let day = 86_400;
        let retention = RetentionRow {
            sessions_seconds: 180 * day,
            messages_seconds: 90 * day,
            questions_seconds: 365 * day,
        };
        let known_from = some("2026-11-01T00:00:00.000Z");
        Ok(CoverageRow { retention, known_from, lost_from: None, gaps })
    }

    async fn attempts(&self, filter: &AttemptFilter) -> Result<Vec<AttemptRow>, Trouble> {
        *self.attempts_asked.lock().unwrap() = Some(filter.clone());
        let mut rows = self.rows(attempts())?;
        rows.retain(|row| {
            filter.reference.is_none_or(|reference| row.reference == reference.to_string())
                && filter.reason.is_none_or(|reason| row.reason == reason.word())
        });
        Ok(rows)
    }

    fn nas(&self) -> Vec<NasRow> {
        self.rows(feeds()).unwrap_or_default()
    }

    fn reputation(&self) -> Vec<ReputationRow> {
        self.rows(reputation()).unwrap_or_default()
    }

    async fn permitted(&self) -> Result<Permitted, Trouble> {
        let prefixes = ["198.51.100.7/32", "198.51.100.8/29", "2001:db8:7::/48"];
        let prefixes = self.rows(prefixes.map(|prefix| prefix.parse().unwrap()).to_vec())?;
        Ok(Permitted { at: Timestamp::from_seconds(1_795_442_405), observed: self.observed, prefixes })
    }

    /// Refuses chunks as it was told to, one after the other; what it takes is history where a line's number ends with 3,
    /// and rejected where it ends with 7.
    async fn import(&self, chunk: Chunk) -> Result<ImportAnswer, Trouble> {
        if let Some(Some(trouble)) = self.import_troubles.lock().unwrap().pop_front() {
            return Err(trouble);
        }
        let fate = |row: &ImportRow| {
            let (outcome, reason) = match row.line % 10 {
                3 => (Fate::History, None),
                7 => (Fate::Rejected, Some("not\u{1b}[2J this one".to_owned())),
                _ => (Fate::Accepted, None),
            };
            Outcome { line: row.line, outcome, reason }
        };
        let rows = chunk.rows.iter().map(fate).collect();
        self.imported.lock().unwrap().push(chunk);
        Ok(ImportAnswer { reference: 4713, rows })
    }

    /// As for records, but whatever is taken is accepted.
    async fn import_mail(&self, chunk: MailChunk) -> Result<ImportAnswer, Trouble> {
        if let Some(Some(trouble)) = self.import_troubles.lock().unwrap().pop_front() {
            return Err(trouble);
        }
        let fate = |line| {
            let (outcome, reason) = match line % 10 {
                7 => (Fate::Ignored, Some("recorded already".to_owned())),
                _ => (Fate::Accepted, None),
            };
            Outcome { line, outcome, reason }
        };
        let rows = chunk.rows.iter().map(|row| fate(row.line)).collect();
        self.mail_imported.lock().unwrap().push(chunk);
        Ok(ImportAnswer { reference: 4714, rows })
    }

    fn usage(&self, subject: Subject) -> Vec<UsageRow> {
        let row = |measure: &str, sent, most, within| UsageRow {
            limit: "default".to_owned(),
            mode: "enforce".to_owned(),
            kind: String::new(),
            measure: measure.to_owned(),
            sent,
            most,
            within,
            full: sent >= Some(most),
        };
        let rows = vec![
            row("messages", Some(20), 20, Some(60)),
            row("bytes", Some(1_048_576), 2_147_483_648, Some(86_400)),
            row("message-size", None, 36_700_160, None),
        ];
        let known = matches!(subject, Subject::Subscriber(name) if name == Name::from("alice@isp.example"));
        self.rows(rows).unwrap_or_default().into_iter().filter(|_| known).collect()
    }

    fn lost(&self, _: Listed, _: Option<Timestamp>, until: Option<Timestamp>) -> Option<Timestamp> {
        self.lost_from.filter(|lost| until.is_none_or(|until| *lost < until))
    }

    fn suspensions(&self) -> Vec<SuspensionRow> {
        let row = SuspensionRow {
            kind: "subscriber".to_owned(),
            subject: "bob@isp.example".to_owned(),
            standing: "suspended".to_owned(),
            reference: 4711,
            since: some("2026-11-23T12:00:00.000Z"),
            until: None,
            by: "root".to_owned(),
            reason: "open proxy".to_owned(),
            case: None,
        };
        let limited = SuspensionRow {
            subject: "carol@isp.example".to_owned(),
            standing: "limited".to_owned(),
            reference: 4705,
            until: some("2026-12-01T08:00:00.000Z"),
            reason: "until she calls back".to_owned(),
            case: Some(4700),
            ..row.clone()
        };
        self.rows(vec![row, limited]).unwrap_or_default()
    }

    async fn order(&self, instruction: Instruction) -> Result<Ordered, OrderError> {
        if let Some(error) = self.order_error.filter(|_| !instruction.force) {
            return Err(error);
        }
        self.ordered.lock().unwrap().push(instruction);
        Ok(Ordered { reference: 4712, at: Timestamp::from_seconds(1_795_442_405) })
    }

    async fn hold(&self, order: HoldOrder) -> Result<Ordered, OrderError> {
        if let Some(error) = self.order_error {
            return Err(error);
        }
        self.held.lock().unwrap().push(order);
        Ok(Ordered { reference: 4713, at: Timestamp::from_seconds(1_795_442_405) })
    }

    async fn asked(&self, asked: Asked) -> Result<(), Trouble> {
        if self.trouble == Some(Trouble::Unrecorded) {
            return Err(Trouble::Unrecorded);
        }
        if asked.reply != Reply::Refused {
            self.asked.lock().unwrap().push(format!("{} {}", asked.by, asked.what));
        }
        self.questions.lock().unwrap().push(asked);
        Ok(())
    }

    async fn questions(&self, filter: &AskedFilter) -> Result<Vec<QuestionRow>, Trouble> {
        let questions = self.questions.lock().unwrap().clone();
        let numbered: Vec<(u64, Asked)> = (1..).zip(questions).collect();
        let below = numbered
            .into_iter()
            .rev()
            .filter(|(sequence, _)| filter.before.is_none_or(|before| *sequence < before));
        let rows = below.take(filter.limit).map(|(sequence, asked)| AskedRow { sequence, asked }.into());
        self.rows(rows.collect())
    }

    async fn chain(&self) -> Result<ChainRow, Trouble> {
        self.rows(Vec::<u8>::new())?;
        Ok(ChainRow { whole: self.rows, rows: 7, first: Some(3), last: Some(11), ..ChainRow::default() })
    }

    fn purpose_required(&self) -> bool {
        self.purpose_required
    }

    /// As where `identity` is told to fold case.
    fn canonical(&self, name: &Name) -> Name {
        Name::new(&name.octets().to_ascii_lowercase())
    }

    fn preserved(&self) -> Arc<Preservations> {
        Arc::new(self.preserved.lock().unwrap().clone())
    }

    async fn preserve(&self, order: PreservationOrder) -> Result<Ordered, OrderError> {
        let at = order.at;
        self.preserved.lock().unwrap().fold(4714, &order);
        Ok(Ordered { reference: 4714, at })
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::new(self.tokens.lock().unwrap().clone())
    }

    async fn token(&self, order: TokenOrder) -> Result<Ordered, OrderError> {
        if self.order_error.is_some() {
            return Err(OrderError::Storage);
        }
        self.tokens.lock().unwrap().fold(&order);
        Ok(Ordered { reference: 4714, at: order.at })
    }

    fn health(&self) -> Health {
        let reasons =
            if self.not_ready { vec!["log: No space left on device".to_owned()] } else { Vec::new() };
        Health { ready: !self.not_ready, reasons }
    }

    fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }
}

/// A daemon of nothing but its API, at a socket of its own; the answers are made up, unless they are somebody's.
pub(crate) struct Daemon<S = Answers> {
    pub(crate) answers: Arc<S>,
    pub(crate) tcp: std::net::SocketAddr,
    dir: TempDir,
    stop: watch::Sender<bool>,
    serving: [tokio::task::JoinHandle<()>; 2],
    runtime: Runtime,
}

impl<S: Staff> Daemon<S> {
    pub(crate) fn start(answers: S) -> Self {
        let answers = Arc::new(answers);
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = watch::channel(false);
        let guard = runtime.enter();
        let unix = web::bind_unix(&dir.path().join("api.sock"), 0o660, None).unwrap();
        let tcp = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let tcp_address = tcp.local_addr().unwrap();
        let hosts = Hosts::new(&[tcp_address], &["warden.isp.example".to_owned()]);
        let router = http::router(Arc::clone(&answers), Arc::new(Gate::new(hosts, Arc::default())));
        let peers = Peers::of(&Http::default()).unwrap();
        let serving = [
            runtime.spawn(web::serve_unix(unix, router.clone(), Arc::new(peers), stopped.clone())),
            runtime.spawn(web::serve_tcp(tcp, router, stopped)),
        ];
        drop(guard);
        Daemon { answers, tcp: tcp_address, dir, stop, serving, runtime }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    /// The program, told where this daemon is.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let socket = self.socket();
        run_with(arguments, &[("RELAYWARDEN_SOCKET", socket.as_os_str())])
    }

    /// The same, with these octets on its standard input.
    pub(crate) fn run_fed(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaywarden"));
        command.env_clear().env("TZ", "UTC").env("RELAYWARDEN_SOCKET", self.socket()).args(arguments);
        fed(command, input)
    }

    /// Says stop, and returns when nothing is served any more.
    pub(crate) fn stop(self) {
        self.stop.send(true).unwrap();
        for serving in self.serving {
            self.runtime.block_on(serving).unwrap();
        }
    }
}

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            exit: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, with no more environment than this.
pub(crate) fn run_with(arguments: &[&str], environment: &[(&str, &std::ffi::OsStr)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relaywarden"));
    command.env_clear().env("TZ", "UTC").envs(environment.iter().copied()).args(arguments);
    Run::from(command.output().unwrap())
}

/// Runs it with these octets on its standard input.
pub(crate) fn fed(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || stdin.write_all(input).map_err(|error| error.kind()));
        Run::from(child.wait_with_output().unwrap())
    })
}

/// Something else that listens on a Unix socket: reads a head, says these octets, and closes.
pub(crate) fn impostor(socket: &Path, says: &'static str) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(says.as_bytes()).unwrap();
    })
}

fn read_head(stream: &mut UnixStream) {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).unwrap() == 1 {
        head.extend(octet);
    }
}
