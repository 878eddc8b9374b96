//! `export --subscriber|--address`: the answer to a lawful request as one file that stands for itself, and its checksum.
//!
//! The file says what it is about, how its times are to be read, where nothing was heard, and by what it was made. It is made
//! whole or not at all.
//!
//! Knows: what such a file has to say, and sha256sum's format. Must not know: who may ask, or how rows are found.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::output::{self, Row, safe};
use super::read::{Question, name};
use super::{Answer, Daemon, Exit, Failure, Shown, time, whole};
use crate::clock;
use crate::server::http::api::{MessageRow, SessionRow, rfc3339};
use crate::server::http::coverage::{CoverageRow, GapRow};

/// Others on the machine have no business in it.
const MODE: u32 = 0o600;
/// So many rows are answered at once; as many as that may not be all.
const ROWS_MAX: usize = 100_000;

/// What a request is about.
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// All that is kept about this subscriber
    #[arg(long, value_name = "NAME", requires_all = ["since", "until", "file", "reference"], conflicts_with = "address")]
    pub subscriber: Option<String>,
    /// All that is kept about this address
    #[arg(long, requires_all = ["since", "until", "file", "reference"])]
    pub address: Option<IpAddr>,
    /// The VRF of that address, where it is a private one [default: the public space]
    #[arg(long, value_name = "NAME", requires = "address")]
    pub realm: Option<String>,
    /// From then on
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Write it there, and its checksum beside it, in FILE.sha256
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The reference of the request; stands in the file and in the record of who asked what
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// In which form
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Form,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// One JSON object: `about`, `sessions`, `messages`.
    #[default]
    Json,
    /// Lines with `#` that say what it is, then a table; its first column says what a row is.
    Csv,
}

/// What stands at the head of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct About {
    reference: String,
    subscriber: Option<String>,
    address: Option<String>,
    realm: Option<String>,
    since: String,
    until: String,
    made_at: String,
    made_by: String,
    time_basis: &'static str,
    precision: &'static str,
    retention: Retention,
    /// Nothing is known of what was before, gaps neither; `None`: nothing is known at all.
    known_from: Option<String>,
    /// From then on something that was kept is lost; `None`: nothing is.
    lost_from: Option<String>,
    /// Spans in which nothing was received, within the period.
    gaps: Vec<GapRow>,
    sessions: usize,
    messages: usize,
}

/// What the period may have lost to `[retention]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Retention {
    sessions_seconds: u64,
    messages_seconds: u64,
    meaning: &'static str,
}

#[derive(Serialize)]
struct Export<'a> {
    about: &'a About,
    sessions: &'a [SessionRow],
    messages: &'a [MessageRow],
}

const TIME_BASIS: &str = "UTC (RFC 3339), by the clock of the machine that the daemon runs on";
const PRECISION: &str = "milliseconds as written; a session's times are those of its router, corrected by the learned offset of \
                         its clock and good to a few seconds, and an end that was never reported is inferred (state, last_seen)";
const RETENTION: &str = "sessions are kept for so long after their end, messages for so long; what was removed before made_at is not in it";

/// Writes the file and its checksum.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &RequestArgs) -> Result<Answer, Failure> {
    let (Some(since), Some(until), Some(file), Some(reference)) =
        (&args.since, &args.until, &args.file, &args.reference)
    else {
        return Err(Failure::NothingToExport);
    };
    // Everybody's messages are no answer to any request.
    if args.subscriber.is_none() && args.address.is_none() {
        return Err(Failure::NothingToExport);
    }
    let checksum = checksum_file(file)?;
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let parsed = |option, text: &str| {
        let at = time::parse(text, clock::now(), &zone).map_err(|error| Failure::Time(option, error))?;
        rfc3339(at).ok_or(Failure::Time(option, time::TimeError::OutOfRange))
    };
    let (since, until) = (parsed("--since", since)?, parsed("--until", until)?);
    let shown = Shown { output: output::Format::Json, tz: None, purpose: Some(reference.clone()) };
    let ask = Asking { args, shown: &shown, since: &since, until: &until };
    let sessions: Vec<SessionRow> = ask.rows("/v1/sessions")?;
    let messages: Vec<MessageRow> = ask.rows("/v1/messages")?;
    let CoverageRow { retention, known_from, lost_from, gaps } = ask.coverage()?;
    let about = About {
        reference: reference.clone(),
        subscriber: args.subscriber.clone(),
        address: args.address.map(|address| address.to_string()),
        realm: args.realm.clone(),
        since,
        until,
        made_at: rfc3339(clock::now()).unwrap_or_default(),
        made_by: format!("relaywarden {}", env!("CARGO_PKG_VERSION")),
        time_basis: TIME_BASIS,
        precision: PRECISION,
        retention: Retention {
            sessions_seconds: retention.sessions_seconds,
            messages_seconds: retention.messages_seconds,
            meaning: RETENTION,
        },
        known_from,
        lost_from,
        gaps,
        sessions: sessions.len(),
        messages: messages.len(),
    };
    let text = match args.output {
        Form::Json => output::json(&Export { about: &about, sessions: &sessions, messages: &messages })?,
        Form::Csv => table(&about, &sessions, &messages)?,
    };
    let write = |path: &Path, octets: &[u8]| {
        whole::replace(path, octets, MODE).map_err(|error| Failure::File(path.to_owned(), error))
    };
    write(file, text.as_bytes())?;
    let (name, path) = checksum;
    let sum: String = Sha256::digest(text.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect();
    let line = format!("{sum}  {name}\n");
    write(&path, line.as_bytes())?;
    let exit = if sessions.is_empty() && messages.is_empty() { Exit::NothingFound } else { Exit::Found };
    let remark = format!(
        "{} sessions and {} messages in {}; check with: sha256sum -c {}",
        sessions.len(),
        messages.len(),
        file.display(),
        path.display()
    );
    Ok(Answer { text: line, remark: Some(safe(&remark)), exit })
}

/// sha256sum(1) reads the name beside the sum, from the directory in which the file is.
fn checksum_file(file: &Path) -> Result<(String, PathBuf), Failure> {
    let wrong = || {
        let error =
            std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a name that sha256sum -c reads");
        Failure::File(file.to_owned(), error)
    };
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
    if name.contains(['\\', '\n', '\r']) {
        return Err(wrong());
    }
    Ok((name.to_owned(), file.with_file_name(format!("{name}.sha256"))))
}

/// The questions of one export.
struct Asking<'a> {
    args: &'a RequestArgs,
    shown: &'a Shown,
    since: &'a str,
    until: &'a str,
}

impl Asking<'_> {
    fn rows<R: serde::de::DeserializeOwned>(&self, path: &'static str) -> Result<Vec<R>, Failure> {
        let mut question = Question::new(path, self.shown);
        question.with("subscriber", name(self.args.subscriber.as_ref()));
        question.with("address", self.args.address);
        // Messages have no realm: the client's address is what the mail server saw.
        if path == "/v1/sessions" {
            question.with("realm", name(self.args.realm.as_ref()));
        }
        question.with("since", Some(self.since));
        question.with("until", Some(self.until));
        question.with("limit", Some(ROWS_MAX));
        let rows: Vec<R> = question.ask(&self.args.daemon)?;
        // More than that are left out of an answer unsaid.
        if rows.len() >= ROWS_MAX { Err(Failure::TooManyRows(ROWS_MAX)) } else { Ok(rows) }
    }

    fn coverage(&self) -> Result<CoverageRow, Failure> {
        let mut question = Question::new("/v1/coverage", self.shown);
        question.with("since", Some(self.since));
        question.with("until", Some(self.until));
        question.ask(&self.args.daemon)
    }
}

/// In days where it is a number of them, as configurations say it.
fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400) {
        (days, 0) => format!("{days} days"),
        _ => format!("{seconds} s"),
    }
}

/// Both kinds of rows in one table: a column for each field, those that both have once.
fn table(about: &About, sessions: &[SessionRow], messages: &[MessageRow]) -> Result<String, Failure> {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Memory takes everything.
        let _ = writeln!(text, "# {key}: {}", safe(value));
    };
    line("reference", &about.reference);
    for (key, value) in
        [("subscriber", &about.subscriber), ("address", &about.address), ("realm", &about.realm)]
    {
        if let Some(value) = value {
            line(key, value);
        }
    }
    line("since", &about.since);
    line("until", &about.until);
    line("made_at", &about.made_at);
    line("made_by", &about.made_by);
    line("time_basis", about.time_basis);
    line("precision", about.precision);
    line("retention_sessions", &span(about.retention.sessions_seconds));
    line("retention_messages", &span(about.retention.messages_seconds));
    line("retention", about.retention.meaning);
    line("known_from", about.known_from.as_deref().unwrap_or("nothing is known"));
    line("lost_from", about.lost_from.as_deref().unwrap_or("nothing is lost"));
    for gap in &about.gaps {
        line("gap", &format!("{} to {}", gap.since.as_deref().unwrap_or("ever before"), gap.until));
    }
    line("sessions", &about.sessions.to_string());
    line("messages", &about.messages.to_string());
    let rows = sessions.iter().map(|row| Either::Session(Box::new(row.clone())));
    let rows: Vec<_> =
        rows.chain(messages.iter().map(|row| Either::Message(Box::new(row.clone())))).collect();
    text.push_str(&output::csv(&rows)?);
    Ok(text)
}

#[derive(Serialize)]
enum Either {
    Session(Box<SessionRow>),
    Message(Box<MessageRow>),
}

impl Either {
    fn field(&self, wanted: &str) -> Option<String> {
        let (names, values) = match self {
            Either::Session(row) => (SessionRow::FIELDS, row.fields()),
            Either::Message(row) => (MessageRow::FIELDS, row.fields()),
        };
        names.iter().zip(values).find(|(name, _)| **name == wanted).map(|(_, value)| value)
    }
}

impl Row for Either {
    const HEADINGS: &'static [&'static str] = Either::FIELDS;
    const FIELDS: &'static [&'static str] = &[
        "kind",
        "subscriber",
        "session",
        "nas",
        "valid_from",
        "valid_until",
        "last_seen",
        "state",
        "addresses",
        "realm",
        "inside",
        "user_name",
        "port_id",
        "calling_station",
        "circuit_id",
        "remote_id",
        "kept",
        "at",
        "mta",
        "profile",
        "queue_id",
        "instance",
        "address",
        "port",
        "login",
        "helo",
        "sender",
        "recipient_count",
        "recipient_domains",
        "size",
        "token",
        "message_id",
        "verdict",
        "reason",
        "observed",
        "candidates",
    ];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        self.fields()
    }

    fn fields(&self) -> Vec<String> {
        let kind = match self {
            Either::Session(_) => "session",
            Either::Message(_) => "message",
        };
        let rest = Either::FIELDS.iter().skip(1).map(|name| self.field(name).unwrap_or_default());
        std::iter::once(kind.to_owned()).chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_of_a_session_or_a_message_is_left_out_of_the_table() {
        for name in SessionRow::FIELDS.iter().chain(MessageRow::FIELDS) {
            assert!(Either::FIELDS.contains(name), "{name}");
        }
    }

    #[test]
    fn a_span_is_told_in_days_only_where_it_is_whole_days() {
        assert_eq!((span(180 * 86_400).as_str(), span(86_401).as_str()), ("180 days", "86401 s"));
    }
}
