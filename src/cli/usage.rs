//! `usage`: how much somebody sent, beside the limits.
//!
//! Knows: which options become which parameters. Must not know: how anything is counted.

use clap::Args;
use jiff::tz::TimeZone;

use super::output::Row;
use super::read::{Question, listed, name};
use super::rows::{NOTHING, number};
use super::{Answer, Daemon, Failure, Shown};
use crate::server::http::usage::UsageRow;

/// `usage`
#[derive(Debug, Clone, Args)]
pub struct UsageArgs {
    /// The subscriber, or with --login the SASL login
    #[arg(value_name = "WHO")]
    pub who: String,
    /// WHO is a login
    #[arg(long)]
    pub login: bool,
    /// WHO sends within a trusted host, as host/sender
    #[arg(long, conflicts_with = "login")]
    pub within: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

impl Row for UsageRow {
    const HEADINGS: &'static [&'static str] =
        &["LIMIT", "MODE", "FOR", "WHAT", "SENT", "MOST", "WITHIN", "FULL"];
    const FIELDS: &'static [&'static str] =
        &["limit", "mode", "kind", "measure", "sent", "most", "within", "full"];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        let or_nothing = |text: &str| if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() };
        vec![
            self.limit.clone(),
            self.mode.clone(),
            or_nothing(&self.kind),
            self.measure.clone(),
            or_nothing(&number(self.sent)),
            self.most.to_string(),
            or_nothing(&self.within.map(span).unwrap_or_default()),
            if self.full { "full" } else { NOTHING }.to_owned(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.limit.clone(),
            self.mode.clone(),
            self.kind.clone(),
            self.measure.clone(),
            number(self.sent),
            self.most.to_string(),
            number(self.within),
            self.full.to_string(),
        ]
    }
}

/// As it stands in the configuration.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let whole = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

/// How much somebody sent.
///
/// # Errors
/// See [`Failure`].
pub fn usage(args: &UsageArgs) -> Result<Answer, Failure> {
    let mut question = Question::new("/v1/usage", &args.shown);
    let key = match (args.login, args.within) {
        (true, _) => "login",
        (_, true) => "within",
        _ => "subscriber",
    };
    question.with(key, name(Some(&args.who)));
    listed::<UsageRow>(
        &question,
        &args.daemon,
        &args.shown.style()?,
        "no [[limit]] is configured for this name",
    )
}
