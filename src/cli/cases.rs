//! `cases`: what somebody should look at, one of them, and what is ordered about it.
//!
//! Knows: options, parameters, and how a case looks to people. Must not know: what opens one.

mod acts;

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::output::{self, Format, Row, safe};
use super::read::{Question, name};
use super::rows::{NOTHING, local, or_nothing, text};
use super::{Answer, Daemon, Exit, Failure, Shown, time};
use crate::relay::case::Kind;
use crate::server::http::cases::{CaseRow, EvidenceRow, HistoryRow, ListingRow, SignalRow};

pub use self::acts::CaseOrder;

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
    /// Only those that were opened by this
    #[arg(long, value_name = "WHAT", conflicts_with = "id", value_parser = Kind::ALL.map(Kind::word))]
    pub kind: Option<String>,
    /// Only those that may be about this subscriber
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub subscriber: Option<String>,
    /// Only those that may be about this SASL login
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub login: Option<String>,
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

/// A list, a case, or an order.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &CasesArgs) -> Result<Answer, Failure> {
    match (&args.order, args.id) {
        (Some(order), _) => acts::run(order),
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
    question.with("kind", args.kind.as_ref());
    question.with("subscriber", name(args.subscriber.as_ref()));
    question.with("login", name(args.login.as_ref()));
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

fn card(row: &CaseRow, zone: &TimeZone) -> String {
    let both = |at: Option<&str>| at.map(|at| format!("{} ({at})", time::shown(at, zone)));
    let mut facts = vec![
        ("Case", Some(format!("{}, {}", row.id, row.state))),
        ("Opened", both(row.opened.as_deref()).map(|at| format!("{at} by {}", opened_by(&row.kind)))),
        ("About", Some(about(row))),
        ("Confidence", Some(row.confidence.clone())),
        ("Kept until", both(row.kept_until.as_deref())),
    ];
    for order in &row.in_force {
        let case = order.case.map(|case| format!(", from case {case}")).unwrap_or_default();
        let until = order.until.as_deref().map(|at| format!("until {}", time::shown(at, zone)));
        let until = until.unwrap_or_else(|| order.until_what());
        facts.push((
            "Standing",
            Some(format!(
                "{} {} is {} {until}: {} (by {}, reference {}{case})",
                order.kind, order.subject, order.standing, order.reason, order.by, order.reference
            )),
        ));
    }
    for evidence in &row.evidence {
        facts.push(("Evidence", Some(told(evidence, zone))));
    }
    let kept = u64::try_from(row.evidence.len()).unwrap_or(u64::MAX);
    let more = row.evidence_count.checked_sub(kept).filter(|more| *more > 0);
    facts.push(("", more.map(|more| format!("and {more} more of the same"))));
    facts.extend(row.history.iter().map(|event| ("History", Some(happened(event, zone)))));
    let mut card = String::new();
    for (title, fact) in facts {
        let Some(fact) = fact else { continue };
        // Writing to a String can't fail.
        let _ = writeln!(card, "{title:<12}{}", safe(&fact));
    }
    card
}

fn opened_by(kind: &str) -> &str {
    match kind {
        "complaint" => "a complaint",
        "signal" => "a signal",
        "listing" => "a listing",
        kind => kind,
    }
}

fn happened(event: &HistoryRow, zone: &TimeZone) -> String {
    let mut told = format!("{} {}", local(event.at.as_deref(), zone), event.what);
    // Writing to a String can't fail.
    if let Some(order) = event.unfulfilled() {
        let _ = write!(told, ": {order}");
    }
    if let (Some(kind), Some(subject)) = (&event.kind, &event.subject) {
        let until = event.until.as_deref().map(|at| format!(" until {}", time::shown(at, zone)));
        let until = until.or_else(|| event.until_delisted.then(|| " until delisted".to_owned()));
        let _ = write!(told, " {kind} {subject}{}", until.unwrap_or_default());
    }
    let _ = write!(told, " by {}", event.by);
    if let Some(note) = &event.note {
        let _ = write!(told, ": {note}");
    }
    if let Some(ticket) = &event.ticket {
        let _ = write!(told, " (ticket {ticket})");
    }
    told
}

fn of_signal(signal: &SignalRow) -> String {
    let SignalRow { kind, subject, name, value, threshold, words, .. } = signal;
    format!("{name} of {kind} {subject}: {words} ({value}; a signal from {threshold} on)")
}

fn of_listing(listing: &ListingRow, zone: &TimeZone) -> String {
    let ListingRow { at, address, list, answers, text, suspects } = listing;
    let mut told = format!("{address} on {list}, {}", answers.join(" "));
    if let Some(text) = text {
        let _ = write!(told, " ({text})");
    }
    let _ = write!(told, ", seen {}", local(at.as_deref(), zone));
    match suspects.is_empty() {
        true => told.push_str("; nobody stood out before"),
        false => told.push_str("; stood out before: "),
    }
    told.push_str(&suspects.iter().map(of_signal).collect::<Vec<_>>().join("; "));
    told
}

fn told(evidence: &EvidenceRow, zone: &TimeZone) -> String {
    match evidence {
        EvidenceRow { signal: Some(signal), .. } => {
            return format!("{}, seen {}", of_signal(signal), local(signal.at.as_deref(), zone));
        }
        EvidenceRow { listing: Some(listing), .. } => return of_listing(listing, zone),
        _ => {}
    }
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
    let mut told = evidence.feedback.clone().or_else(|| evidence.form.clone()).unwrap_or_default();
    for (title, fact) in facts {
        if let Some(fact) = fact {
            let _ = write!(told, ", {title} {fact}");
        }
    }
    told
}

fn about(row: &CaseRow) -> String {
    let logins = row.logins.iter().map(|login| format!("login {login}"));
    let within = row.within.iter().map(|name| format!("within {name}"));
    let all: Vec<String> = row.subscribers.iter().cloned().chain(logins).chain(within).collect();
    match all.as_slice() {
        [] => "not known".to_owned(),
        [only] if !["ambiguous", "unknown"].contains(&row.confidence.as_str()) => only.clone(),
        several => format!("one of: {}", several.join(" ")),
    }
}

/// What holds of whom it may be about, each word once.
fn standing(row: &CaseRow) -> String {
    let mut words: Vec<&str> = row.in_force.iter().map(|order| order.standing.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

impl Row for CaseRow {
    const HEADINGS: &'static [&'static str] =
        &["CASE", "STATE", "OPENED", "KIND", "ABOUT", "CONFIDENCE", "STANDING", "EVIDENCE", "WHAT"];
    const FIELDS: &'static [&'static str] = &[
        "id",
        "opened",
        "kind",
        "state",
        "subscribers",
        "logins",
        "confidence",
        "in_force",
        "evidence_count",
        "what",
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
        let nobody = self.subscribers.is_empty() && self.logins.is_empty() && self.within.is_empty();
        vec![
            self.id.to_string(),
            self.state.clone(),
            local(self.opened.as_deref(), zone),
            self.kind.clone(),
            if nobody { NOTHING.to_owned() } else { about(self) },
            self.confidence.clone(),
            or_nothing(Some(&standing(self))),
            self.evidence_count.to_string(),
            or_nothing(self.what().as_deref()),
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
            self.logins.join(" "),
            self.confidence.clone(),
            standing(self),
            self.evidence_count.to_string(),
            text(self.what().as_deref()),
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
