//! `top`: who sent most, and how that compares with what is usual.
//!
//! Knows: which options become which parameters. Must not know: how anything is counted.

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::output::Row;
use super::read::{Question, listed};
use super::rows::{NOTHING, number};
use super::{Answer, Daemon, Failure, Shown};
use crate::server::http::top::TopRow;

/// `top`
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// In which order
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub by: By,
    /// From then on [default: 24 hours before the end]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before then [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: Option<u32>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// What senders are put in order of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum By {
    /// Messages
    #[default]
    Messages,
    /// Recipients, all of them
    Recipients,
    /// Octets, each message once
    Bytes,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            By::Messages => "messages",
            By::Recipients => "recipients",
            By::Bytes => "bytes",
        }
    }
}

impl Row for TopRow {
    const HEADINGS: &'static [&'static str] = &["WHO", "MESSAGES", "RECIPIENTS", "BYTES", "USUAL", "MOST"];
    const FIELDS: &'static [&'static str] =
        &["kind", "subject", "messages", "recipients", "bytes", "usual", "most_before"];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        let known = |count: Option<u64>| count.map_or_else(|| NOTHING.to_owned(), |count| count.to_string());
        vec![
            self.subject.clone(),
            self.messages.to_string(),
            self.recipients.to_string(),
            self.bytes.to_string(),
            known(self.usual),
            known(self.most_before),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.subject.clone(),
            self.messages.to_string(),
            self.recipients.to_string(),
            self.bytes.to_string(),
            number(self.usual),
            number(self.most_before),
        ]
    }
}

/// Who sent most.
///
/// # Errors
/// See [`Failure`].
pub fn top(args: &TopArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/top", &args.shown);
    question.with("by", Some(args.by.word()));
    question.with_time("since", "--since", args.since.as_deref(), &style.zone)?;
    question.with_time("until", "--until", args.until.as_deref(), &style.zone)?;
    question.with("limit", args.limit);
    listed::<TopRow>(&question, &args.daemon, &style, "nobody sent anything in this time")
}
