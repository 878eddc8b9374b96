//! `cases`: what somebody should look at, one of them, and the order to close it.
//!
//! Knows: options, parameters, and how a case looks to people. Must not know: what opens one.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

use super::output::{self, Format, Row, safe};
use super::read::{Question, name};
use super::rows::{NOTHING, local, or_nothing, text};
use super::{Answer, Daemon, Exit, Failure, Shown, time};
use crate::server::http::cases::{CaseRow, CloseBody, CloseRow, EvidenceRow};

/// `cases`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CasesArgs {
    #[command(subcommand)]
    order: Option<CaseOrder>,
    /// Everything about this one
    id: Option<u64>,
    /// Only those in this state
    #[arg(long, value_enum, conflicts_with = "id")]
    pub state: Option<Which>,
    /// Only those that may be about this subscriber
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub subscriber: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", conflicts_with = "id", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: Option<u32>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// A state of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// They wait for somebody.
    Open,
    /// They are dealt with.
    Closed,
}

/// What can be ordered.
#[derive(Debug, Clone, Subcommand)]
pub enum CaseOrder {
    /// It is dealt with
    #[command(
        after_help = "Example:\n  relaywarden cases close 4711 --reason 'customer cleaned the machine'"
    )]
    Close(CloseArgs),
}

/// `cases close`
#[derive(Debug, Clone, Args)]
pub struct CloseArgs {
    /// Which, by its number
    pub id: u64,
    /// Why; kept with the case
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    daemon: Daemon,
}

/// A list, a case, or an order.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &CasesArgs) -> Result<Answer, Failure> {
    match (&args.order, args.id) {
        (Some(CaseOrder::Close(args)), _) => close(args),
        (None, Some(id)) => one(args, id),
        (None, None) => list(args),
    }
}

fn list(args: &CasesArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/cases", &args.shown);
    let state = args.state.map(|state| match state {
        Which::Open => "open",
        Which::Closed => "closed",
    });
    question.with("state", state);
    question.with("subscriber", name(args.subscriber.as_ref()));
    question.with("limit", args.limit);
    let rows: Vec<CaseRow> = question.ask(&args.daemon)?;
    let text = output::rows(&rows, &style)?;
    let nothing = rows.is_empty();
    let remark = (nothing && style.format == Format::Table).then(|| "no case matches".to_owned());
    Ok(Answer { text, remark, exit: if nothing { Exit::NothingFound } else { Exit::Found } })
}

fn one(args: &CasesArgs, id: u64) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let question = Question::of(format!("/v1/cases/{id}"), &args.shown);
    let row: CaseRow = question.ask(&args.daemon)?;
    let text = match style.format {
        Format::Table => card(&row, &style.zone),
        Format::Json => output::json(&row)?,
        Format::Ndjson => output::ndjson(&row)?,
        Format::Csv => output::csv(std::slice::from_ref(&row))?,
    };
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn close(args: &CloseArgs) -> Result<Answer, Failure> {
    let body =
        serde_json::to_vec(&CloseBody { reason: args.reason.clone() }).map_err(|_| Failure::Unspellable)?;
    let row: CloseRow = args.daemon.client()?.order(&format!("/v1/cases/{}/close", args.id), body)?;
    let text = format!("case {} is closed; reference {}\n", row.case, row.reference);
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn card(row: &CaseRow, zone: &TimeZone) -> String {
    let both = |at: Option<&str>| at.map(|at| format!("{} ({at})", time::shown(at, zone)));
    let mut facts = vec![
        ("Case", Some(format!("{}, {}", row.id, row.state))),
        ("Opened", both(row.opened.as_deref()).map(|at| format!("{at} by a {}", row.kind))),
        ("Subscriber", Some(about(row))),
        ("Confidence", Some(row.confidence.clone())),
        ("Kept until", both(row.kept_until.as_deref())),
    ];
    for evidence in &row.evidence {
        facts.push(("Evidence", Some(told(evidence, zone))));
    }
    let kept = u64::try_from(row.evidence.len()).unwrap_or(u64::MAX);
    let more = row.evidence_count.checked_sub(kept).filter(|more| *more > 0);
    facts.push(("", more.map(|more| format!("and {more} more of the same"))));
    for event in &row.history {
        let note = event.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        facts.push((
            "History",
            Some(format!("{} {} by {}{note}", local(event.at.as_deref(), zone), event.what, event.by)),
        ));
    }
    let mut card = String::new();
    for (title, fact) in facts {
        let Some(fact) = fact else { continue };
        // Writing to a String can't fail.
        let _ = writeln!(card, "{title:<12}{}", safe(&fact));
    }
    card
}

fn told(evidence: &EvidenceRow, zone: &TimeZone) -> String {
    let source = evidence.address.as_ref().map(|address| match evidence.port {
        Some(port) => format!("{address} port {port}"),
        None => address.clone(),
    });
    let facts = [
        ("by", evidence.reporter.clone()),
        ("about", source),
        ("at", evidence.arrival.as_deref().map(|at| time::shown(at, zone))),
        ("message", evidence.message_id.clone()),
        ("token", evidence.token.clone()),
        ("written down as", (!evidence.messages.is_empty()).then(|| evidence.messages.join(", "))),
        ("found by", (!evidence.found_by.is_empty()).then(|| evidence.found_by.join(", "))),
    ];
    let mut told = evidence.feedback.clone().unwrap_or_else(|| evidence.form.clone());
    for (title, fact) in facts {
        if let Some(fact) = fact {
            let _ = write!(told, ", {title} {fact}");
        }
    }
    told
}

fn about(row: &CaseRow) -> String {
    match row.subscribers.as_slice() {
        [] => "not known".to_owned(),
        [only] if row.confidence != "ambiguous" => only.clone(),
        several => format!("one of: {}", several.join(" ")),
    }
}

impl Row for CaseRow {
    const HEADINGS: &'static [&'static str] =
        &["CASE", "STATE", "OPENED", "KIND", "SUBSCRIBER", "CONFIDENCE", "EVIDENCE", "REPORTER"];
    const FIELDS: &'static [&'static str] = &[
        "id",
        "opened",
        "kind",
        "state",
        "subscribers",
        "confidence",
        "evidence_count",
        "feedback",
        "reporter",
        "address",
        "port",
        "arrival",
        "message_id",
        "token",
        "kept_until",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let first = self.evidence.first();
        vec![
            self.id.to_string(),
            self.state.clone(),
            local(self.opened.as_deref(), zone),
            self.kind.clone(),
            if self.subscribers.is_empty() { NOTHING.to_owned() } else { about(self) },
            self.confidence.clone(),
            self.evidence_count.to_string(),
            or_nothing(first.and_then(|evidence| evidence.reporter.as_deref())),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let first = self.evidence.first().cloned().unwrap_or_default();
        vec![
            self.id.to_string(),
            text(self.opened.as_deref()),
            self.kind.clone(),
            self.state.clone(),
            self.subscribers.join(" "),
            self.confidence.clone(),
            self.evidence_count.to_string(),
            text(first.feedback.as_deref()),
            text(first.reporter.as_deref()),
            text(first.address.as_deref()),
            first.port.map(|port| port.to_string()).unwrap_or_default(),
            text(first.arrival.as_deref()),
            text(first.message_id.as_deref()),
            text(first.token.as_deref()),
            text(self.kept_until.as_deref()),
        ]
    }
}
