//! `audit verify` and `audit size`: the files of the past, read where they lie, with or without the daemon.
//!
//! Knows: how they look to people, and what their growth leads to. Must not know: what is in them.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::client::DEFAULT_CONFIG;
use super::output::{self, Format, Row};
use super::rows::{local, or_nothing, text};
use super::{Answer, Exit, Failure, LogFormat, Shown, check, serve};
use crate::audit::verify::{FileReport, Wrong, files};
use crate::clock;
use crate::config::Retention;
use crate::server::http::api::rfc3339;
use crate::server::recovery::{self, Rebuilt};
use crate::session::Timestamp;

/// Which files.
#[derive(Debug, Clone, Args)]
pub struct FilesArgs {
    /// The configuration that names the data directory
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Another data directory, such as that of a backup
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

/// `audit size`
#[derive(Debug, Clone, Args)]
pub struct SizeArgs {
    /// Also how large everything will be, as it grows now and is kept as configured
    #[arg(long)]
    forecast: bool,
    #[command(flatten)]
    files: FilesArgs,
}

/// `audit rebuild`
#[derive(Debug, Clone, Args)]
pub struct RebuildArgs {
    /// The configuration that names the data directory
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Another data directory, such as that of a backup
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A file, as it is shown.
#[derive(Debug, Clone, Serialize)]
struct FileRow {
    file: String,
    kind: &'static str,
    octets: u64,
    rows: Option<u64>,
    began: Option<String>,
    closed: Option<String>,
    state: String,
}

impl FileRow {
    fn new(report: &FileReport, looked: bool) -> FileRow {
        let state = match &report.wrong {
            None if looked => "whole".to_owned(),
            None => if report.closed.is_none() { "open" } else { "closed" }.to_owned(),
            Some(Wrong::Missing) => "missing".to_owned(),
            Some(Wrong::SetAside) => "damaged, set aside".to_owned(),
            Some(Wrong::Damaged(why)) => format!("damaged: {}", output::safe(why)),
            Some(Wrong::OtherRows) => "rows are not those that were written".to_owned(),
        };
        FileRow {
            file: report.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            kind: report.kind,
            octets: report.octets,
            rows: report.rows,
            began: report.began.and_then(rfc3339),
            closed: report.closed.and_then(rfc3339),
            state,
        }
    }
}

impl Row for FileRow {
    const HEADINGS: &'static [&'static str] = &["FILE", "ROWS", "SIZE", "BEGAN", "CLOSED", "STATE"];
    const FIELDS: &'static [&'static str] = &["file", "kind", "octets", "rows", "began", "closed", "state"];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            self.file.clone(),
            or_nothing(self.rows.map(|rows| rows.to_string()).as_deref()),
            size(self.octets),
            local(self.began.as_deref(), zone),
            local(self.closed.as_deref(), zone),
            self.state.clone(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        vec![
            self.file.clone(),
            self.kind.to_owned(),
            self.octets.to_string(),
            number(self.rows),
            text(self.began.as_deref()),
            text(self.closed.as_deref()),
            self.state.clone(),
        ]
    }
}

/// Reads every row of every file.
///
/// # Errors
/// See [`Failure`].
pub fn verify(args: &FilesArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let data = args.data_dir()?.0;
    let bar = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar
    });
    let reports = files(&data, true, &mut |file, count| {
        if let Some(bar) = &bar {
            bar.set_length(u64::try_from(count).unwrap_or_default());
            bar.inc(1);
            bar.set_message(
                file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            );
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let reports = reports.map_err(|error| failed(&data, &error))?;
    let wrong = reports.iter().filter(|report| report.wrong.is_some()).count();
    let rows: Vec<FileRow> = reports.iter().map(|report| FileRow::new(report, true)).collect();
    let remark = match wrong {
        0 => format!("{} files are what was written", rows.len()),
        1 => "1 file is not whole; docs/past.md says what to do".to_owned(),
        many => format!("{many} files are not whole; docs/past.md says what to do"),
    };
    let exit = if wrong == 0 { Exit::Found } else { Exit::Damaged };
    Ok(Answer { text: output::rows(&rows, &style)?, remark: Some(remark), exit })
}

/// Makes the index anew.
///
/// # Errors
/// See [`Failure`].
pub fn rebuild(args: &RebuildArgs) -> Result<Answer, Failure> {
    let data = match &args.data_dir {
        Some(data) => data.clone(),
        None => match check::load(&args.config) {
            Ok(loaded) => loaded.config.data_dir,
            Err(error) => return Err(Failure::Configuration(Box::new(error))),
        },
    };
    // It may take minutes, and says how far it is.
    serve::log_to_stderr(LogFormat::Plain);
    let Rebuilt { entries, before } = recovery::rebuild(&data).map_err(Failure::Daemon)?;
    let remark = before
        .map(|before| format!("the index of before is in {}: remove it when all is well", before.display()));
    Ok(Answer {
        text: format!("the past was made anew from {entries} entries of the log\n"),
        remark,
        exit: Exit::Found,
    })
}

/// A kind, its size and what will become of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct KindRow {
    kind: &'static str,
    files: usize,
    rows: u64,
    octets: u64,
    /// How much came in a day, over the last week that there is.
    octets_a_day: Option<u64>,
    /// How long it is kept.
    days_kept: Option<u64>,
    /// How large it will be when the oldest are removed as fast as new ones come.
    octets_in_the_end: Option<u64>,
}

impl Row for KindRow {
    const HEADINGS: &'static [&'static str] =
        &["KIND", "FILES", "ROWS", "SIZE", "A DAY", "KEPT", "IN THE END"];
    const FIELDS: &'static [&'static str] =
        &["kind", "files", "rows", "octets", "octets_a_day", "days_kept", "octets_in_the_end"];

    fn line(&self, _: &TimeZone) -> Vec<String> {
        let some = |octets: Option<u64>| or_nothing(octets.map(size).as_deref());
        vec![
            self.kind.to_owned(),
            self.files.to_string(),
            self.rows.to_string(),
            size(self.octets),
            some(self.octets_a_day),
            or_nothing(self.days_kept.map(|days| format!("{days} d")).as_deref()),
            some(self.octets_in_the_end),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        vec![
            self.kind.to_owned(),
            self.files.to_string(),
            self.rows.to_string(),
            self.octets.to_string(),
            number(self.octets_a_day),
            number(self.days_kept),
            number(self.octets_in_the_end),
        ]
    }
}

/// How large the past is, and will be.
///
/// # Errors
/// See [`Failure`].
pub fn sizes(args: &SizeArgs) -> Result<Answer, Failure> {
    let style = args.files.shown.style()?;
    let (data, kept) = args.files.data_dir()?;
    let reports = files(&data, false, &mut |_, _| {}).map_err(|error| failed(&data, &error))?;
    let kinds = by_kind(&reports, kept.filter(|_| args.forecast), clock::now());
    let remark = args.forecast.then(|| told(&data, &kinds));
    let text = match style.format {
        Format::Table | Format::Csv | Format::Json | Format::Ndjson => output::rows(&kinds, &style)?,
    };
    Ok(Answer { text, remark, exit: Exit::Found })
}

fn told(data: &Path, kinds: &[KindRow]) -> String {
    let end: u64 = kinds.iter().filter_map(|kind| kind.octets_in_the_end).sum();
    let now: u64 = kinds.iter().map(|kind| kind.octets).sum();
    #[allow(clippy::useless_conversion, reason = "where a word has 32 bits these are u32")]
    let free = nix::sys::statvfs::statvfs(data)
        .map(|disk| u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size())));
    match free {
        Ok(free) if end > now.saturating_add(free) => format!(
            "{} now, {} in the end, and {} are free on this disk: it will be full before; keep less, or get more",
            size(now),
            size(end),
            size(free)
        ),
        Ok(free) => {
            format!("{} now, {} in the end; {} are free on this disk", size(now), size(end), size(free))
        }
        Err(_) => format!("{} now, {} in the end", size(now), size(end)),
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sums, and what they grow to: what came in the last week goes on to come.
fn by_kind(reports: &[FileReport], kept: Option<Retention>, now: Timestamp) -> Vec<KindRow> {
    let mut kinds: Vec<KindRow> = Vec::new();
    for kind in ["sessions", "messages", "message-ids", "attempts", "scanned", "questions", "register"] {
        let of_kind: Vec<&FileReport> = reports.iter().filter(|report| report.kind == kind).collect();
        let days_kept = kept.and_then(|kept| match kind {
            "sessions" => Some(kept.sessions),
            "messages" | "message-ids" | "attempts" | "scanned" => Some(kept.messages),
            "questions" => Some(kept.questions),
            _ => None,
        });
        let days_kept = days_kept.map(|kept| kept.as_secs() / DAY.as_secs());
        let octets_a_day = kept.and_then(|_| growth(&of_kind, now)).filter(|_| days_kept.is_some());
        let octets = of_kind.iter().map(|report| report.octets).sum();
        kinds.push(KindRow {
            kind,
            files: of_kind.len(),
            rows: of_kind.iter().filter_map(|report| report.rows).sum(),
            octets,
            octets_a_day,
            days_kept,
            // A day longer than is said, for a partition lasts one.
            octets_in_the_end: match (octets_a_day, days_kept) {
                (Some(a_day), Some(days)) => Some(a_day.saturating_mul(days.saturating_add(1))),
                _ => None,
            },
        });
    }
    kinds
}

/// Octets a day: of what was begun within the last week, or since the first.
fn growth(files: &[&FileReport], now: Timestamp) -> Option<u64> {
    let week = now.minus(DAY.saturating_mul(7));
    let lately: Vec<&&FileReport> =
        files.iter().filter(|report| report.began.is_some_and(|began| began >= week)).collect();
    let since = lately.iter().filter_map(|report| report.began).min()?;
    let octets: u64 = lately.iter().map(|report| report.octets).sum();
    // Of less than an hour nothing follows.
    let seconds = now.since(since).as_secs();
    (seconds >= 3600).then(|| octets.saturating_mul(DAY.as_secs()) / seconds)
}

impl FilesArgs {
    /// The data directory, and how long is kept what is in it.
    fn data_dir(&self) -> Result<(PathBuf, Option<Retention>), Failure> {
        let loaded = check::load(&self.config);
        match (&self.data_dir, loaded) {
            (Some(data), loaded) => Ok((data.clone(), loaded.ok().map(|loaded| loaded.config.retention))),
            (None, Ok(loaded)) => Ok((loaded.config.data_dir, Some(loaded.config.retention))),
            (None, Err(error)) => Err(Failure::Configuration(Box::new(error))),
        }
    }
}

fn failed(data: &Path, error: &crate::audit::AuditError) -> Failure {
    Failure::File(data.to_path_buf(), std::io::Error::other(error.to_string()))
}

/// Octets for people, in powers of 1024.
fn size(octets: u64) -> String {
    let mut size = octets;
    let mut tenths = 0;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if size < 1024 {
            break;
        }
        (tenths, size, unit) = (size % 1024 * 10 / 1024, size / 1024, next);
    }
    if unit == "B" || size >= 100 { format!("{size} {unit}") } else { format!("{size}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        let told = [0, 1023, 1024, 1536, 102_400, 1 << 30, 5 << 40].map(size);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 KiB", "1.0 GiB", "5.0 TiB"]);
    }

    fn file(kind: &'static str, day: i64, octets: u64) -> FileReport {
        let began = Some(Timestamp::from_seconds(day * 86_400));
        let file = PathBuf::from("x");
        FileReport { file, kind, octets, rows: Some(10), began, closed: None, wrong: None }
    }

    #[test]
    fn what_came_in_a_week_goes_on_for_as_long_as_it_is_kept() {
        let kept =
            Retention { messages: DAY.saturating_mul(90), ..Retention::of_all(DAY.saturating_mul(180)) };
        let mut files: Vec<FileReport> = (1..=20).map(|day| file("messages", day, 1_000)).collect();
        files.push(file("questions", 20, 50));
        let now = Timestamp::from_seconds(21 * 86_400);
        let kinds = by_kind(&files, Some(kept), now);
        let messages = kinds.iter().find(|kind| kind.kind == "messages").unwrap();
        assert_eq!((messages.files, messages.rows, messages.octets), (20, 200, 20_000));
        assert_eq!((messages.octets_a_day, messages.octets_in_the_end), (Some(1_000), Some(91_000)));
        let questions = kinds.iter().find(|kind| kind.kind == "questions").unwrap();
        assert_eq!((questions.octets_a_day, questions.octets_in_the_end), (Some(50), Some(9_050)));
        let sessions = kinds.iter().find(|kind| kind.kind == "sessions").unwrap();
        assert_eq!((sessions.files, sessions.octets_in_the_end), (0, None), "nothing follows from nothing");
        let first_hour = by_kind(&files[..1], Some(kept), Timestamp::from_seconds(86_400 + 3_599));
        assert_eq!(first_hour[1].octets_a_day, None);
    }
}
