//! `scanned`: what scanners found in messages that were sent.
//!
//! Knows: options, and which columns people look at first. Must not know: how verdicts are kept.

use std::net::IpAddr;

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::tz::TimeZone;

use super::output::Row;
use super::read::{Question, Within, listed, name};
use super::rows::{NOTHING, local, number, or_nothing, subscribers, text};
use super::{Answer, Daemon, Failure, Shown};
use crate::relay::scanned::Finding;
use crate::server::http::scanned::ScannedRow;

/// `scanned`
#[derive(Debug, Clone, Args)]
pub struct ScannedArgs {
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub subscriber: Option<String>,
    /// With this SASL login
    #[arg(long, value_name = "NAME")]
    pub login: Option<String>,
    /// From this client address
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// With this queue id
    #[arg(long, value_name = "ID")]
    pub queue_id: Option<String>,
    /// What was found
    #[arg(long, value_name = "WHAT", value_parser = findings())]
    pub finding: Option<String>,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

fn findings() -> PossibleValuesParser {
    PossibleValuesParser::new(Finding::ALL.map(Finding::word))
}

/// Lists what scanners found.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &ScannedArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/scanned", &args.shown);
    question.with("subscriber", name(args.subscriber.as_ref()));
    question.with("login", name(args.login.as_ref()));
    question.with("address", args.address);
    question.with("queue_id", name(args.queue_id.as_ref()));
    question.with("finding", args.finding.as_ref());
    question.within(&args.within, &style.zone)?;
    listed::<ScannedRow>(&question, &args.daemon, &style, "no scanner found anything; that proves nothing")
}

impl Row for ScannedRow {
    const HEADINGS: &'static [&'static str] =
        &["AT", "FOUND", "ADDRESS", "SUBSCRIBER", "QUEUE ID", "BY", "TOLD"];
    const FIELDS: &'static [&'static str] = &[
        "at",
        "finding",
        "by",
        "told",
        "mta",
        "queue_id",
        "address",
        "port",
        "subscriber",
        "session",
        "nas",
        "login",
        "candidates",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let owner = match (&self.subscriber, &self.login) {
            (Some(subscriber), _) => subscriber.clone(),
            (None, Some(login)) => format!("login {login}"),
            (None, None) => NOTHING.to_owned(),
        };
        vec![
            local(Some(&self.at), zone),
            self.finding.clone(),
            or_nothing(self.address.as_deref()),
            owner,
            or_nothing(Some(&self.queue_id)),
            self.by.clone(),
            self.told.clone(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.at.clone(),
            self.finding.clone(),
            self.by.clone(),
            self.told.clone(),
            self.mta.clone(),
            self.queue_id.clone(),
            text(self.address.as_deref()),
            number(self.port),
            text(self.subscriber.as_deref()),
            text(self.session.as_deref()),
            text(self.nas.as_deref()),
            text(self.login.as_deref()),
            subscribers(&self.candidates),
        ]
    }
}
