//! What can be ordered about cases: to open one, and each act on one.
//!
//! Knows: the body of each, and what to say once it holds. Must not know: who may; the socket's mode and the daemon decide that.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::output::safe;
use crate::cli::{Answer, Daemon, Exit, Failure, command, time};
use crate::server::http::cases::{ActBody, ActRow, CaseOrderBody, OpenBody};
use crate::session::Name;

/// What can be ordered.
#[derive(Debug, Clone, Subcommand)]
pub enum CaseOrder {
    /// Open one about a subscriber or a login
    #[command(
        after_help = "Example:\n  relaywarden cases open alice@isp.example --reason 'called: her PC sends by itself' \
                            --ticket T-4711"
    )]
    Open(OpenArgs),
    /// Have something remembered with it; also of a closed one
    #[command(after_help = "Example:\n  relaywarden cases note 4711 --reason 'no answer on the phone'")]
    Note(ActArgs),
    /// Let one whom it is about send little mail
    #[command(
        after_help = "Example:\n  relaywarden cases limit 4711 --reason 'until she calls back' --until \
                            2099-12-01T08:00:00Z"
    )]
    Limit(HoldBackArgs),
    /// Let one whom it is about send no mail
    #[command(
        after_help = "Example:\n  relaywarden cases suspend 4711 --reason 'open proxy' --ticket T-4711"
    )]
    Suspend(HoldBackArgs),
    /// Let one whom it is about send as before; also from a closed one
    #[command(after_help = "Example:\n  relaywarden cases release 4711 --reason cleaned")]
    Release(WhomArgs),
    /// There was nothing in it: what they did is usual for them, and the case is closed
    #[command(after_help = "Example:\n  relaywarden cases dismiss 4711 --reason 'the newsletter of a club'")]
    Dismiss(ActArgs),
    /// It is dealt with
    #[command(
        after_help = "Example:\n  relaywarden cases close 4711 --reason 'customer cleaned the machine'"
    )]
    Close(ActArgs),
}

/// `cases open`
#[derive(Debug, Clone, Args)]
pub struct OpenArgs {
    /// About whom: a subscriber, or a SASL login with --login
    pub subject: String,
    /// Why; kept with the case
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The ticket that goes with it elsewhere
    #[arg(long, value_name = "TEXT")]
    pub ticket: Option<String>,
    /// The name is a SASL login
    #[arg(long)]
    pub login: bool,
    /// Also about a name that was never seen
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// What each act needs.
#[derive(Debug, Clone, Args)]
pub struct ActArgs {
    /// Which, by its number
    pub id: u64,
    /// Why, or what is to be remembered; kept with the case
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The ticket that goes with it elsewhere
    #[arg(long, value_name = "TEXT")]
    pub ticket: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// `cases release`
#[derive(Debug, Clone, Args)]
pub struct WhomArgs {
    #[command(flatten)]
    act: ActArgs,
    /// Whom; has to be said where it may have been more than one
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// That name is a SASL login
    #[arg(long, requires = "subject")]
    pub login: bool,
}

/// `cases limit`, `cases suspend`
#[derive(Debug, Clone, Args)]
pub struct HoldBackArgs {
    #[command(flatten)]
    whom: WhomArgs,
    /// Until then [default: until released]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Also for a static range
    #[arg(long)]
    pub force: bool,
}

pub(super) fn run(order: &CaseOrder) -> Result<Answer, Failure> {
    match order {
        CaseOrder::Open(args) => open(args),
        CaseOrder::Note(args) => plain(args, "note"),
        CaseOrder::Dismiss(args) => plain(args, "dismiss"),
        CaseOrder::Close(args) => plain(args, "close"),
        CaseOrder::Release(args) => whom(args, "release", None, false, &TimeZone::UTC),
        CaseOrder::Limit(args) => hold_back(args, "limit"),
        CaseOrder::Suspend(args) => hold_back(args, "suspend"),
    }
}

fn open(args: &OpenArgs) -> Result<Answer, Failure> {
    let body = OpenBody {
        subject: Name::from_text(&args.subject).to_string(),
        kind: args.login.then(|| "login".to_owned()),
        reason: args.reason.clone(),
        ticket: args.ticket.clone(),
        force: args.force,
    };
    given(&args.daemon, "/v1/cases", &body, &TimeZone::UTC)
}

fn plain(args: &ActArgs, act: &str) -> Result<Answer, Failure> {
    let body = ActBody { reason: args.reason.clone(), ticket: args.ticket.clone() };
    given(&args.daemon, &format!("/v1/cases/{}/{act}", args.id), &body, &TimeZone::UTC)
}

fn hold_back(args: &HoldBackArgs, act: &str) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let until = command::until(args.until.as_deref(), &zone)?;
    whom(&args.whom, act, until, args.force, &zone)
}

fn whom(
    args: &WhomArgs,
    act: &str,
    until: Option<String>,
    force: bool,
    zone: &TimeZone,
) -> Result<Answer, Failure> {
    let body = CaseOrderBody {
        subject: args.subject.as_ref().map(|name| Name::from_text(name).to_string()),
        kind: args.login.then(|| "login".to_owned()),
        reason: args.act.reason.clone(),
        ticket: args.act.ticket.clone(),
        until,
        force,
    };
    given(&args.act.daemon, &format!("/v1/cases/{}/{act}", args.act.id), &body, zone)
}

fn given<B: Serialize>(daemon: &Daemon, path: &str, body: &B, zone: &TimeZone) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(body).map_err(|_| Failure::Unspellable)?;
    let row: ActRow = daemon.client()?.order(path, body)?;
    Ok(Answer { text: told(&row, zone), remark: None, exit: Exit::Found })
}

fn told(row: &ActRow, zone: &TimeZone) -> String {
    let mut text = format!("case {}: {}", row.case, safe(&row.what));
    if let (Some(kind), Some(subject)) = (&row.kind, &row.subject) {
        let about = if row.what == "opened" { "about " } else { "" };
        // Writing to a String can't fail.
        let _ = write!(text, " {about}{} {}", safe(kind), safe(subject));
    }
    if ["limited", "suspended"].contains(&row.what.as_str()) {
        let until = command::shown_until(row.until.as_deref(), zone);
        let _ = write!(text, " {until}");
    }
    let _ = writeln!(text, "; reference {}", row.reference);
    text
}
