//! `complaint`: hands a report to the daemon, and shows whose message it was. Fit to be what a mailbox is piped into.
//!
//! Knows: where a report comes from, and which exit code makes a mail server keep it for later. Must not know: how it is read.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::tz::TimeZone;

use super::client::ClientError;
use super::output::{self, Format, Row, Style, safe};
use super::rows::{number, text};
use super::{Answer, Daemon, Exit, Failure, time};
use crate::complaint::{OCTETS_MAX, Unreadable};
use crate::server::http::complaints::ComplaintRow;
use crate::server::http::problem::{Kind, Problem};

/// `complaint`
#[derive(Debug, Clone, Args)]
pub struct ComplaintArgs {
    /// The report: a mail (ARF, X-ARF) or the JSON of X-ARF alone; or - for standard input
    #[arg(allow_hyphen_values = true)]
    pub file: PathBuf,
    /// Why you ask, or the ticket; kept in the record of who asked what
    #[arg(long, value_name = "TEXT", visible_alias = "ticket")]
    pub purpose: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// Hands it in.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &ComplaintArgs) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let report = report(&args.file)?;
    if report.len() > OCTETS_MAX {
        let problem = Problem::new(Kind::BodyTooLarge, Unreadable::TooLong.to_string());
        return Err(Failure::NotTaken(ClientError::Refused(Box::new(problem))));
    }
    let purpose: Vec<_> = args.purpose.iter().map(|purpose| ("purpose", purpose.clone())).collect();
    let row: ComplaintRow = args
        .daemon
        .client()
        .and_then(|client| client.hand_in("/v1/complaints", &purpose, report))
        .map_err(Failure::NotTaken)?;
    let style = Style::new(args.output, zone);
    let text = match style.format {
        Format::Table => card(&row, &style)?,
        Format::Json => output::json(&row)?,
        Format::Ndjson => output::ndjson(&row)?,
        Format::Csv => output::csv(std::slice::from_ref(&row))?,
    };
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

/// One octet more than is taken says that it is too long, and no more is read.
fn report(path: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(OCTETS_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut report = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut report)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut report))
    };
    read.map_err(|error| Failure::File(path.to_owned(), error))?;
    Ok(report)
}

/// What a mail server does next follows from it: a report that is none goes back, everything else is tried again.
pub(super) fn exit_of(error: &ClientError) -> Exit {
    match error {
        ClientError::Refused(problem)
            if matches!(problem.kind(), Some(Kind::BadBody | Kind::BodyTooLarge | Kind::BadParameter)) =>
        {
            Exit::Damaged
        }
        _ => Exit::TryAgain,
    }
}

fn card(row: &ComplaintRow, style: &Style) -> Result<String, Failure> {
    let both = |at: &str| format!("{} ({at})", time::shown(at, &style.zone));
    let whose = match (&row.subscriber, row.candidates.as_slice()) {
        (Some(subscriber), _) => subscriber.clone(),
        (None, []) => "not known".to_owned(),
        (None, candidates) => format!("one of: {}", candidates.join(" ")),
    };
    let source = row.address.as_ref().map(|address| match row.port {
        Some(port) => format!("{address} port {port}"),
        None => address.clone(),
    });
    let known = if row.joined { "it was there already: the same complaint came before" } else { "new" };
    let mut facts = vec![
        ("Case", Some(format!("{} ({known})", row.case))),
        ("Subscriber", Some(whose)),
        ("Confidence", Some(format!("{}: {}", row.confidence, row.because))),
        ("Complaint", Some(row.feedback.clone().unwrap_or_else(|| "of an unnamed kind".to_owned()))),
        ("Reporter", row.reporter.clone()),
        ("Source", source),
        ("Arrival", row.arrival.as_deref().map(both)),
        ("Message-ID", row.message_id.clone()),
        ("Token", row.token.clone()),
        ("Missing", (!row.missing.is_empty()).then(|| row.missing.join(", "))),
    ];
    for way in &row.ways {
        let names: Vec<_> = way.answer.candidates.iter().filter_map(|one| one.subscriber.clone()).collect();
        let whom = way.answer.subscriber.clone().unwrap_or_else(|| names.join(" "));
        let whom = if whom.is_empty() { "nobody".to_owned() } else { whom };
        facts.push(("By", Some(format!("{}: {whom} ({})", way.way, way.answer.confidence))));
    }
    let mut card = String::new();
    for (title, fact) in facts {
        let Some(fact) = fact else { continue };
        // Writing to a String can't fail.
        let _ = writeln!(card, "{title:<12}{}", safe(&fact));
    }
    if !row.messages.is_empty() {
        card.push('\n');
        card.push_str(&output::rows(&row.messages, style)?);
    }
    Ok(card)
}

impl Row for ComplaintRow {
    const HEADINGS: &'static [&'static str] = ComplaintRow::FIELDS;
    const FIELDS: &'static [&'static str] = &[
        "case",
        "joined",
        "subscriber",
        "confidence",
        "because",
        "candidates",
        "form",
        "feedback",
        "reporter",
        "address",
        "port",
        "arrival",
        "message_id",
        "token",
        "missing",
        "messages",
    ];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        self.fields()
    }

    fn fields(&self) -> Vec<String> {
        let messages: Vec<_> = self.messages.iter().map(|message| message.queue_id.as_str()).collect();
        vec![
            self.case.to_string(),
            self.joined.to_string(),
            text(self.subscriber.as_deref()),
            self.confidence.clone(),
            self.because.clone(),
            self.candidates.join(" "),
            self.form.clone(),
            text(self.feedback.as_deref()),
            text(self.reporter.as_deref()),
            text(self.address.as_deref()),
            number(self.port),
            text(self.arrival.as_deref()),
            text(self.message_id.as_deref()),
            text(self.token.as_deref()),
            self.missing.join(", "),
            messages.join(" "),
        ]
    }
}
