//! `notice`: who is told what happens, and a test of one.
//!
//! Knows: options, parameters and columns. Must not know: how anybody is told.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::output::{Row, safe};
use super::read::{Question, listed};
use super::rows::{local, or_nothing, text};
use super::{Answer, Daemon, Exit, Failure, Shown};
use crate::server::http::notices::{NoticeRow, TestRow};

/// `notice`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct NoticeArgs {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// What can be done with one.
#[derive(Debug, Clone, Subcommand)]
pub enum Act {
    /// Send a test, and print what the receiver says
    #[command(after_help = "Example:\n  relaywarden notice test portal")]
    Test(TestArgs),
}

/// `notice test`
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// The receiver, as it is named in the configuration
    #[arg(value_parser = name)]
    pub name: String,
    #[command(flatten)]
    daemon: Daemon,
}

/// It becomes a part of a path.
fn name(text: &str) -> Result<String, &'static str> {
    let may = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    match !text.is_empty() && text.bytes().all(may) {
        true => Ok(text.to_owned()),
        false => Err("no receiver's name: a to z, 0 to 9 and '-'"),
    }
}

/// Who is told, or a test.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &NoticeArgs) -> Result<Answer, Failure> {
    if let Some(Act::Test(test)) = &args.act {
        let row: TestRow =
            test.daemon.client()?.order(&format!("/v1/notices/{}/test", test.name), b"{}".to_vec())?;
        let text = format!(
            "{}: {} after {} ms: {}\n",
            safe(&row.name),
            safe(&row.outcome),
            row.took_ms,
            safe(&row.said)
        );
        let exit = if row.outcome == "taken" { Exit::Found } else { Exit::TryAgain };
        return Ok(Answer { text, remark: None, exit });
    }
    let style = args.shown.style()?;
    let question = Question::new("/v1/notices", &args.shown);
    listed::<NoticeRow>(&question, &args.daemon, &style, "no [[notice]] is configured")
}

impl Row for NoticeRow {
    const HEADINGS: &'static [&'static str] =
        &["NOTICE", "TO", "EVENTS", "WAITING", "OLDEST", "LOST", "TAKEN", "SAID"];
    const FIELDS: &'static [&'static str] =
        &["name", "way", "to", "events", "waiting", "oldest", "retry_at", "taken_at", "said", "lost"];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            self.name.clone(),
            self.to.clone(),
            self.events.join(" "),
            self.waiting.to_string(),
            local(self.oldest.as_deref(), zone),
            self.lost.to_string(),
            local(self.taken_at.as_deref(), zone),
            or_nothing(self.said.as_deref()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.way.clone(),
            self.to.clone(),
            self.events.join(" "),
            self.waiting.to_string(),
            text(self.oldest.as_deref()),
            text(self.retry_at.as_deref()),
            text(self.taken_at.as_deref()),
            text(self.said.as_deref()),
            self.lost.to_string(),
        ]
    }
}
