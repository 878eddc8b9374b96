//! `rules`: what acts alone on cases, and what a rule would have done.
//!
//! Knows: options, parameters and columns. Must not know: how a rule is judged.

use clap::Args;
use jiff::tz::TimeZone;

use super::output::Row;
use super::read::{Question, listed};
use super::rows::{local, or_nothing, text};
use super::{Answer, Daemon, Failure, Shown};
use crate::server::http::rules::{RuleRow, WouldRow};

/// `rules`
#[derive(Debug, Clone, Args)]
pub struct RulesArgs {
    /// What this one would have done to the cases that are kept, had it been there alone and in force
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub dry_run: Option<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// It becomes a part of a path.
fn name(text: &str) -> Result<String, &'static str> {
    let may = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    match !text.is_empty() && text.bytes().all(may) {
        true => Ok(text.to_owned()),
        false => Err("no rule's name: a to z, 0 to 9 and '-'"),
    }
}

/// The rules, or a rehearsal of one.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &RulesArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    match &args.dry_run {
        None => {
            let question = Question::new("/v1/rules", &args.shown);
            listed::<RuleRow>(&question, &args.daemon, &style, "no [[rule]] is configured")
        }
        Some(name) => {
            let question = Question::of(format!("/v1/rules/{name}/dry-run"), &args.shown);
            let nothing = "it would have done nothing to any case that is kept";
            listed::<WouldRow>(&question, &args.daemon, &style, nothing)
        }
    }
}

impl Row for RuleRow {
    const HEADINGS: &'static [&'static str] = &["RULE", "MODE", "WHEN", "THEN", "MAX-ACTIONS", "CASES"];
    const FIELDS: &'static [&'static str] = &["name", "when", "then", "mode", "max_actions", "cases"];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        vec![
            self.name.clone(),
            self.mode.clone(),
            self.when.clone(),
            self.then.clone(),
            or_nothing(self.max_actions.as_deref()),
            self.cases.to_string(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.when.clone(),
            self.then.clone(),
            self.mode.clone(),
            text(self.max_actions.as_deref()),
            self.cases.to_string(),
        ]
    }
}

impl Row for WouldRow {
    const HEADINGS: &'static [&'static str] = &["CASE", "AT", "WHAT", "WHOM", "UNTIL", "OUTCOME", "REASON"];
    const FIELDS: &'static [&'static str] =
        &["case", "at", "what", "kind", "subject", "until", "reason", "outcome", "until_delisted"];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let whom = match (self.kind.as_deref(), self.subject.as_deref()) {
            (Some("login"), Some(login)) => format!("login {login}"),
            (_, subject) => or_nothing(subject),
        };
        vec![
            self.case.to_string(),
            local(self.at.as_deref(), zone),
            self.what.clone(),
            whom,
            if self.until_delisted { "delisted".to_owned() } else { local(self.until.as_deref(), zone) },
            self.outcome.clone(),
            self.reason.clone(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.case.to_string(),
            text(self.at.as_deref()),
            self.what.clone(),
            text(self.kind.as_deref()),
            text(self.subject.as_deref()),
            text(self.until.as_deref()),
            self.reason.clone(),
            self.outcome.clone(),
            self.until_delisted.to_string(),
        ]
    }
}
