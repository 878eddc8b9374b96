//! `audit`: who asked what, and whether the record of it is whole; the files of the past are `past.rs`'s.
//!
//! Knows: options, and how the record looks to people. Must not know: how it is kept.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::output::{self, Format, Row};
use super::read::{Question, Within, listed, name};
use super::rows::{local, number, or_nothing, text};
use super::{Answer, Daemon, Exit, Failure, Shown};
use super::{past, preservation};
use crate::server::http::questions::{ChainRow, QuestionRow};

/// `audit`
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Who asked what about whom, and why; for auditors, who are written down in turn
    #[command(
        after_help = "Examples:\n  relaywarden audit questions --since '7d ago'\n  relaywarden audit questions \
                            --about alice@isp.example\n  relaywarden audit questions --by 5f1e0c2a\n  relaywarden \
                            audit questions --verify"
    )]
    Questions(QuestionsArgs),
    /// Read every row of every file of the past, with or without the daemon: are they what was written? 0 they are, 65 not
    #[command(
        after_help = "Examples:\n  relaywarden audit verify\n  relaywarden audit verify --data-dir /backup/relaywarden"
    )]
    Verify(past::FilesArgs),
    /// Make the index of the past anew from a log that still has all its entries; the daemon must be stopped
    #[command(
        after_help = "The index of before stays beside the new one, as audit.before. Where the log has lost its beginning nothing is \
                            changed: 65. Run it as the daemon's user.\n\nExample:\n  relaywarden audit rebuild"
    )]
    Rebuild(past::RebuildArgs),
    /// Keep all about a subscriber or an address until then, however old it is; for auditors
    #[command(
        after_help = "Examples:\n  relaywarden audit hold alice@isp.example --until 2027-06-30 --reason '4 Js 17/26'\n  relaywarden \
                            audit hold 203.0.113.77 --until 180d --reason 'ticket 4711'"
    )]
    Hold(preservation::HoldArgs),
    /// Keep it as long as everything else
    #[command(
        after_help = "Example:\n  relaywarden audit unhold alice@isp.example --reason '4 Js 17/26 closed'"
    )]
    Unhold(preservation::UnholdArgs),
    /// What must be kept longer
    #[command(after_help = "Example:\n  relaywarden audit holds")]
    Holds(preservation::HoldsArgs),
    /// How large the past is, and will be
    #[command(after_help = "Example:\n  relaywarden audit size --forecast")]
    Size(past::SizeArgs),
}

/// `audit questions`
#[derive(Debug, Clone, Args)]
pub struct QuestionsArgs {
    /// Asked by this Unix user, or with the token of this number
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// About this address, subscriber, login, queue id or token of a message
    #[arg(long, value_name = "WHAT")]
    pub about: Option<String>,
    #[command(flatten)]
    within: Within,
    /// Look whether the whole record is as it was written: 0 it is, 65 it is not
    #[arg(long, conflicts_with_all = ["by", "about", "since", "until", "limit"])]
    pub verify: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// Reads the record.
///
/// # Errors
/// See [`Failure`].
pub fn run(command: &AuditCommand) -> Result<Answer, Failure> {
    let args = match command {
        AuditCommand::Questions(args) => args,
        AuditCommand::Hold(args) => return preservation::hold(args),
        AuditCommand::Unhold(args) => return preservation::unhold(args),
        AuditCommand::Holds(args) => return preservation::holds(args),
        AuditCommand::Verify(args) => return past::verify(args),
        AuditCommand::Size(args) => return past::sizes(args),
        AuditCommand::Rebuild(args) => return past::rebuild(args),
    };
    if args.verify {
        return verify(args);
    }
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/questions", &args.shown);
    question.with("by", name(args.by.as_ref()));
    question.with("about", name(args.about.as_ref()));
    question.within(&args.within, &style.zone)?;
    listed::<QuestionRow>(&question, &args.daemon, &style, "no question matches")
}

fn verify(args: &QuestionsArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let question = Question::new("/v1/questions/verify", &args.shown);
    let chain: ChainRow = question.ask(&args.daemon)?;
    let text = match style.format {
        Format::Table => told(&chain),
        Format::Json => output::json(&chain)?,
        Format::Ndjson => output::ndjson(&chain)?,
        Format::Csv => output::csv(std::slice::from_ref(&chain))?,
    };
    let exit = if chain.whole { Exit::Found } else { Exit::Damaged };
    Ok(Answer { text, remark: None, exit })
}

fn told(chain: &ChainRow) -> String {
    let rows = chain.rows;
    match (chain.whole, chain.broken_at) {
        (true, _) => {
            let from = chain.first.map(|first| format!(", from reference {first} on")).unwrap_or_default();
            format!("the record is whole: {rows} questions{from}\n")
        }
        (false, Some(at)) => {
            format!(
                "the record is NOT as it was written: of {rows} questions the one of reference {at} is the first that \
                 does not fit to the one before it\n"
            )
        }
        (false, None) => {
            format!("the record is NOT as it was written: of {rows} questions the newest are missing\n")
        }
    }
}

impl Row for QuestionRow {
    const HEADINGS: &'static [&'static str] = &["AT", "BY", "ROLE", "VIA", "ROWS", "WHAT", "PURPOSE"];
    const FIELDS: &'static [&'static str] =
        &["reference", "at", "by", "role", "via", "what", "about", "purpose", "rows", "refused"];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let rows = if self.refused { "refused".to_owned() } else { number(self.rows) };
        vec![
            local(self.at.as_deref(), zone),
            self.by.clone(),
            or_nothing(self.role.as_deref()),
            self.via.clone(),
            or_nothing(Some(&rows)),
            self.what.clone(),
            or_nothing(self.purpose.as_deref()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.reference.to_string(),
            text(self.at.as_deref()),
            self.by.clone(),
            text(self.role.as_deref()),
            self.via.clone(),
            self.what.clone(),
            self.about.join(" "),
            text(self.purpose.as_deref()),
            number(self.rows),
            self.refused.to_string(),
        ]
    }
}

impl Row for ChainRow {
    const HEADINGS: &'static [&'static str] = ChainRow::FIELDS;
    const FIELDS: &'static [&'static str] =
        &["whole", "rows", "first", "last", "broken_at", "newest_is_known"];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        self.fields()
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.whole.to_string(),
            self.rows.to_string(),
            number(self.first),
            number(self.last),
            number(self.broken_at),
            self.newest_is_known.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_not_whole_says_where() {
        let chain = ChainRow { rows: 7, first: Some(3), ..ChainRow::default() };
        assert!(
            told(&ChainRow { whole: true, ..chain.clone() }).contains("whole: 7 questions, from reference 3")
        );
        assert!(told(&ChainRow { broken_at: Some(5), ..chain.clone() }).contains("reference 5"));
        assert!(told(&chain).contains("newest are missing"));
    }
}
