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
use relaywarden::audit::rows::{
    AttemptFilter, Listed, MessageFilter, ScannedFilter, SessionFilter, StoryFilter, Sum,
};
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
use relaywarden::server::http::notices::{self, NoticeRow, TestRow};
use relaywarden::server::http::peers::Peers;
use relaywarden::server::http::permitted::Permitted;
use relaywarden::server::http::questions::{ChainRow, QuestionRow};
use relaywarden::server::http::report::{
    CaseLine, CasesRow, FeedRow, OrderLine, OrdersRow, RefusalRow, ReportRow, SentRow,
};
use relaywarden::server::http::reputation::ReputationRow;
use relaywarden::server::http::rules::{RuleRow, WouldRow};
use relaywarden::server::http::scanned::{ScannedRow, VerdictBody, VerdictRow};
use relaywarden::server::http::top::{TopFilter, TopRow};
use relaywarden::server::http::usage::UsageRow;
use relaywarden::server::http::web;
use relaywarden::server::http::{self, Health, OrderError, Ordered, Staff, Trouble, api};
use relaywarden::session::{Name, Realm, Timestamp};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

mod program;
mod rows;

pub(crate) use program::{Daemon, Run, impostor, run_with};
use rows::*;

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
            until_delisted: false,
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

impl notices::Desk for Answers {
    fn notices(&self) -> Vec<NoticeRow> {
        self.rows(receivers()).unwrap_or_default()
    }

    async fn test_notice(&self, name: &str, by: &Name) -> Option<TestRow> {
        self.asked.lock().unwrap().push(format!("{by} tests {name}"));
        let (outcome, said) = match name {
            "portal" => ("taken", "204 No Content"),
            "pager" => ("refused", "exit status: 1: no\u{1b}[2J pager"),
            _ => return None,
        };
        let (id, outcome) = ("test-1795442405007".to_owned(), outcome.to_owned());
        Some(TestRow { name: name.to_owned(), id, outcome, said: said.to_owned(), took_ms: 7 })
    }

    async fn report(&self, day: Option<jiff::civil::Date>) -> Result<ReportRow, Trouble> {
        let day = day.map_or_else(|| "2026-11-22".to_owned(), |day| day.to_string());
        let row = self.rows(vec![report()])?.pop().unwrap_or_default();
        Ok(ReportRow { day, zone: "Europe/Berlin".to_owned(), ..row })
    }
}

impl Staff for Answers {
    fn realm(&self, name: &Name) -> Option<Realm> {
        (*name == Name::from("blue")).then_some(Realm::of_number(1))
    }

    fn realm_of(&self, _: IpAddr) -> Option<Realm> {
        Some(Realm::PUBLIC)
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
        let mut rows = self.rows(story())?;
        rows.retain(|row| filter.through.is_none_or(|through| row.sequence <= through));
        rows.drain(..rows.len().saturating_sub(filter.limit));
        Ok(rows)
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

    async fn scanned(&self, filter: &ScannedFilter) -> Result<Vec<ScannedRow>, Trouble> {
        let mut rows = self.rows(scanned())?;
        rows.retain(|row| filter.finding.is_none_or(|finding| row.finding == finding.word()));
        Ok(rows)
    }

    async fn verdict(&self, told: VerdictBody) -> Result<VerdictRow, Trouble> {
        self.rows(Vec::<ScannedRow>::new())?;
        let finding = (told.action == "reject").then(|| "spam".to_owned());
        let outcome = if finding.is_some() { "recorded" } else { "clean" }.to_owned();
        Ok(VerdictRow { finding, outcome, because: "so it is".to_owned() })
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
            access: Vec::new(),
            until_delisted: Vec::new(),
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
