//! `nas`: feed health, and the orders to believe a NAS while it is worked on, and no longer.
//!
//! Knows: options, parameters and bodies. Must not know: how a feed looks to people, or how it is judged.

use clap::{Args, Subcommand};

use super::output::{self, Format, safe};
use super::read::{Question, name};
use super::{Answer, Daemon, Exit, Failure, Shown, feeds, time};
use crate::clock;
use crate::server::http::api::rfc3339;
use crate::server::http::nas::{HoldBody, HoldRow, NasRow};
use crate::session::Name;

/// `nas`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct NasArgs {
    #[command(subcommand)]
    order: Option<NasOrder>,
    /// Everything about this one
    name: Option<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// What can be ordered.
#[derive(Debug, Clone, Subcommand)]
pub enum NasOrder {
    /// Believe its sessions and take its silence for no alarm, while it is worked on
    #[command(
        after_help = "Example:\n  relaywarden nas hold bras1 --until '2026-11-23 18:00' --tz Europe/Berlin --reason \
                            'new line card'"
    )]
    Hold(HoldArgs),
    /// Expect it to speak again
    #[command(after_help = "Example:\n  relaywarden nas unhold bras1 --reason 'it is back'")]
    Unhold(UnholdArgs),
}

/// What both orders need.
#[derive(Debug, Clone, Args)]
pub struct WhichArgs {
    /// Which, as the list spells it
    pub name: String,
    /// Why; kept with the order
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    daemon: Daemon,
}

/// `nas hold`
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Until then, at most 7 days ahead
    #[arg(long, value_name = "TIME")]
    pub until: String,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// `nas unhold`
#[derive(Debug, Clone, Args)]
pub struct UnholdArgs {
    #[command(flatten)]
    which: WhichArgs,
}

/// Feed health, or an order.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &NasArgs) -> Result<Answer, Failure> {
    match &args.order {
        None => health(args),
        Some(NasOrder::Hold(args)) => hold(args),
        Some(NasOrder::Unhold(args)) => unhold(args),
    }
}

fn health(args: &NasArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/nas", &args.shown);
    question.with("nas", name(args.name.as_ref()));
    let rows: Vec<NasRow> = question.ask(&args.daemon)?;
    let table = style.format == Format::Table;
    let text = match (rows.as_slice(), &args.name) {
        ([only], Some(_)) if table => feeds::card(only, &style.zone),
        (rows, _) if table => output::rows(rows, &style)? + &feeds::notes(rows, &style.zone),
        (rows, _) => output::rows(rows, &style)?,
    };
    if rows.is_empty() {
        let nothing = match args.name {
            Some(_) => "no NAS of this name was heard of; without a name all are listed",
            None => "no NAS was heard of yet",
        };
        let remark = table.then(|| nothing.to_owned());
        return Ok(Answer { text, remark, exit: Exit::NothingFound });
    }
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn hold(args: &HoldArgs) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let until =
        time::parse(&args.until, clock::now(), &zone).map_err(|error| Failure::Time("--until", error))?;
    let row = give("/v1/nas/hold", &args.which, rfc3339(until))?;
    let until = row.until.as_deref().unwrap_or_default();
    let both = format!("{} ({})", time::shown(until, &zone), safe(until));
    let text = format!("{} is held until {both}; reference {}\n", safe(&row.nas), row.reference);
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn unhold(args: &UnholdArgs) -> Result<Answer, Failure> {
    let row = give("/v1/nas/unhold", &args.which, None)?;
    let text = format!("{} is held no longer; reference {}\n", safe(&row.nas), row.reference);
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn give(path: &str, which: &WhichArgs, until: Option<String>) -> Result<HoldRow, Failure> {
    let nas = Name::from_text(&which.name).to_string();
    let body = HoldBody { nas, reason: which.reason.clone(), until };
    let body = serde_json::to_vec(&body).map_err(|_| Failure::Unspellable)?;
    Ok(which.daemon.client()?.order(path, body)?)
}
