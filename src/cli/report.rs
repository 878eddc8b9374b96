//! `report`: what a day was like.
//!
//! Knows: options, and which form is wanted. Must not know: how anything is counted.

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::output;
use super::read::Question;
use super::{Answer, Daemon, Exit, Failure, Shown, time};
use crate::console;
use crate::server::http::report::ReportRow;

/// `report`
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Which, by the clock of the site [default: yesterday]
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub day: Option<Date>,
    /// In which form
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub format: Form,
    /// Zone in which times are told, such as Europe/Berlin [default: the site's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Why you ask, or the ticket; kept with the question
    #[arg(long, value_name = "TEXT")]
    pub purpose: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// What it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// For a ticket
    #[default]
    Text,
    /// For a mail
    Html,
    /// For a program
    Json,
}

fn day(text: &str) -> Result<Date, &'static str> {
    let plain = text.len() == "2026-11-25".len();
    text.parse().ok().filter(|_| plain).ok_or("no day; write such as 2026-11-25")
}

/// What a day was like.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &ReportArgs) -> Result<Answer, Failure> {
    let shown = Shown { output: output::Format::Json, tz: None, purpose: args.purpose.clone() };
    let mut question = Question::new("/v1/report", &shown);
    question.with("day", args.day);
    let row: ReportRow = question.ask(&args.daemon)?;
    let zone = args.tz.as_deref().or(Some(row.zone.as_str()).filter(|zone| *zone != "local"));
    let zone = time::zone(zone).map_err(|error| Failure::Time("--tz", error))?;
    let text = match args.format {
        Form::Text => console::report::text(&row, &zone),
        Form::Html => console::report::html(&row, &zone),
        Form::Json => output::json(&row)?,
    };
    Ok(Answer { text, remark: None, exit: Exit::Found })
}
