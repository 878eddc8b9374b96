//! `audit hold`, `audit unhold` and `audit holds`: what must be kept although it is older than is to be kept.
//!
//! Knows: options and bodies. Must not know: what is kept for how long.

use clap::Args;
use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::output::{self, Row, safe};
use super::rows::{local, text};
use super::{Answer, Daemon, Exit, Failure, Shown, read, time};
use crate::clock;
use crate::server::http::api::rfc3339;
use crate::server::http::preservations::{PreservationBody, PreservationRow};

/// About whom or what.
#[derive(Debug, Clone, Args)]
pub struct AboutArgs {
    /// An address, a prefix, or a subscriber
    #[arg(value_name = "SUBSCRIBER|ADDRESS")]
    about: String,
    /// It is a subscriber, although it looks like an address
    #[arg(long)]
    subscriber: bool,
    /// The number of the order, or why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// `audit hold`
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    about: AboutArgs,
    /// Until when: a span such as 90d, or a moment
    #[arg(long, value_name = "TIME")]
    until: String,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// `audit unhold`
#[derive(Debug, Clone, Args)]
pub struct UnholdArgs {
    #[command(flatten)]
    about: AboutArgs,
    #[command(flatten)]
    daemon: Daemon,
}

/// `audit holds`
#[derive(Debug, Clone, Args)]
pub struct HoldsArgs {
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

impl AboutArgs {
    fn body(&self, until: Option<String>) -> Result<Vec<u8>, Failure> {
        let is_prefix = !self.subscriber
            && (self.about.parse::<std::net::IpAddr>().is_ok() || self.about.parse::<IpNet>().is_ok());
        let named = Some(self.about.clone());
        let (subscriber, prefix) = if is_prefix { (None, named) } else { (named, None) };
        let body = PreservationBody { subscriber, prefix, until, reason: self.reason.clone() };
        serde_json::to_vec(&body).map_err(|_| Failure::Unspellable)
    }
}

/// Has something kept.
///
/// # Errors
/// See [`Failure`].
pub fn hold(args: &HoldArgs) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let until =
        time::ahead(&args.until, clock::now(), &zone).map_err(|error| Failure::Time("--until", error))?;
    let body = args.about.body(rfc3339(until))?;
    let row: PreservationRow = args.daemon.client()?.order("/v1/preservations", body)?;
    let until = row.until.as_deref().map(|until| time::shown(until, &zone)).unwrap_or_default();
    let said = format!(
        "all about {} {} is kept until {until} (reference {})\n",
        row.kind,
        safe(&row.about),
        row.reference
    );
    Ok(Answer { text: said, remark: None, exit: Exit::Found })
}

/// Has it kept no longer than everything else.
///
/// # Errors
/// See [`Failure`].
pub fn unhold(args: &UnholdArgs) -> Result<Answer, Failure> {
    let row: PreservationRow =
        args.daemon.client()?.order("/v1/preservations/lift", args.about.body(None)?)?;
    let said = format!(
        "all about {} {} is kept as long as everything else (reference {})\n",
        row.kind,
        safe(&row.about),
        row.reference
    );
    Ok(Answer { text: said, remark: None, exit: Exit::Found })
}

/// Orders in force.
///
/// # Errors
/// See [`Failure`].
pub fn holds(args: &HoldsArgs) -> Result<Answer, Failure> {
    let style: output::Style = args.shown.style()?;
    let question = read::Question::new("/v1/preservations", &args.shown);
    read::listed::<PreservationRow>(&question, &args.daemon, &style, "nothing is ordered to be kept longer")
}

impl Row for PreservationRow {
    const HEADINGS: &'static [&'static str] = &["ABOUT", "SINCE", "UNTIL", "BY", "REASON", "REFERENCE"];
    const FIELDS: &'static [&'static str] = &["reference", "kind", "about", "since", "until", "by", "reason"];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            format!("{} {}", self.kind, self.about),
            local(self.since.as_deref(), zone),
            local(self.until.as_deref(), zone),
            self.by.clone(),
            self.reason.clone(),
            self.reference.to_string(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.reference.to_string(),
            self.kind.clone(),
            self.about.clone(),
            text(self.since.as_deref()),
            text(self.until.as_deref()),
            self.by.clone(),
            self.reason.clone(),
        ]
    }
}
