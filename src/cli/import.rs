//! `import`: somebody else's accounting records out of files, to warm an empty map and to fill the past.
//!
//! Knows: options, chunks, when to try again, and how far a run came. Must not know: what a row comes to; the daemon
//! judges each, by the same code as packets.

mod mail;
pub mod maillog;
pub mod progress;
pub mod radacct;
pub mod reader;
pub mod source;
pub mod state;
pub mod summary;
pub mod table;

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use self::progress::Progress;
use self::reader::{Fault, Format, Item, Reader};
use self::source::{About, Source};
use self::state::{State, StateError};
use self::summary::FileSummary;
use super::client::{Client, ClientError};
use super::output::{self, Style, safe};
use super::{Answer, Daemon, Exit, Failure, time};
use crate::clock;
use crate::server::http::api::{parse_rfc3339, rfc3339};
use crate::server::http::import::{Fate, ImportAnswer, ImportBody, ImportRow, Outcome, ROWS_MAX};
use crate::session::{Name, Timestamp};

/// Octets of attributes, in hex, of one chunk: well below what the daemon takes.
const CHUNK_OCTETS: usize = 1024 * 1024;
/// What of a row is not its attributes.
const ROW_OCTETS: usize = 256;
/// Rejected rows that are shown; a file may have the others.
const SHOWN_MAX: u64 = 20;
/// A daemon that is busy, or whose disk is full, is asked again for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// And this often.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// `import`
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Exports of radacct, detail files, or logs (--maillog), plain or gzip; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What they are [default: seen from their beginning]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Whose records they are: the name of a [[radius.client]] [default: the one that has nasipaddress]
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
    /// They are logs of Postfix: record whose each message was that was let go while we were away
    #[arg(long, conflicts_with_all = ["format", "client"])]
    pub maillog: bool,
    /// Which mail server wrote the log: its name in the configuration [default: the host that its lines name]
    #[arg(long, value_name = "NAME", requires = "maillog")]
    pub mta: Option<String>,
    /// The moment that they tell of [default: when the file was written]
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// Zone of times without one, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Have each row judged, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Begin anew, though an earlier run came further
    #[arg(long)]
    pub from_start: bool,
    /// Where to keep how far a run came [default: FILE.relaywarden-import]
    #[arg(long, value_name = "PATH")]
    pub state: Option<PathBuf>,
    /// Write a line into this file for each row that needs a word: where it is, what became of it, and why
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// How to print the summary
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: output::Format,
    #[command(flatten)]
    daemon: Daemon,
}

/// Why an import came to nothing, or to a halt.
#[derive(Debug)]
pub enum ImportFailure {
    /// The file is none of ours.
    File(PathBuf, Fault),
    /// `--as-of` is still to come.
    Future,
    /// One state can't be that of several files, nor standard input have one of its own.
    OneState,
    /// The state can't be used.
    State(PathBuf, StateError),
    /// The daemon stopped taking rows.
    Halted {
        /// Which file.
        file: PathBuf,
        /// So many of its lines are taken.
        lines: u64,
        /// Whether another run goes on from there.
        resumable: bool,
        /// What it said.
        error: ClientError,
    },
}

impl ImportFailure {
    /// The exit code it stands for.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ImportFailure::File(_, Fault::File(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                Exit::NotPermitted
            }
            ImportFailure::File(_, Fault::File(_)) | ImportFailure::State(_, StateError::File(_)) => {
                Exit::InputOutput
            }
            ImportFailure::File(_, Fault::NoFormat | Fault::NoMail | Fault::Head(_)) => Exit::Damaged,
            ImportFailure::Future
            | ImportFailure::OneState
            | ImportFailure::State(_, StateError::NotOne | StateError::OfAnother) => Exit::Usage,
            ImportFailure::Halted { error, .. } => error.exit(),
        }
    }
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportFailure::File(file, fault) => write!(f, "{}: {fault}", file.display()),
            ImportFailure::Future => f.write_str("--as-of: this moment is still to come"),
            ImportFailure::OneState => f.write_str("--state: needs a single file that is not standard input"),
            ImportFailure::State(path, error) => {
                let path = path.display();
                match error {
                    StateError::File(error) => {
                        write!(f, "{path}: {error}; name a place that can be written with --state")
                    }
                    StateError::NotOne => write!(f, "{path}: is no state of an import; say --from-start"),
                    StateError::OfAnother => {
                        write!(f, "{path}: is of another file with this name; say --from-start")
                    }
                }
            }
            ImportFailure::Halted { file, lines, resumable, error } => {
                write!(f, "{error}; {}: {lines} lines are taken", file.display())?;
                if *resumable { f.write_str(", the same command goes on from there") } else { Ok(()) }
            }
        }
    }
}

impl From<ImportFailure> for Failure {
    fn from(failure: ImportFailure) -> Self {
        Failure::Import(Box::new(failure))
    }
}

/// Octets as hex digits.
fn hex(octets: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

/// Imports the files, one after the other.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &ImportArgs) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let now = clock::now();
    let as_of = match &args.as_of {
        None => None,
        Some(text) => Some(time::parse(text, now, &zone).map_err(|error| Failure::Time("--as-of", error))?),
    };
    if as_of.is_some_and(|as_of| as_of > now) {
        return Err(ImportFailure::Future.into());
    }
    if args.state.is_some() && (args.files.len() != 1 || args.files.iter().any(|file| file == Path::new("-")))
    {
        return Err(ImportFailure::OneState.into());
    }
    let client = args.daemon.client()?;
    let mut rejects = Rejects::new(args.rejects.as_deref());
    let mut summaries = Vec::new();
    let mut joiner = maillog::Joiner::default();
    for file in &args.files {
        let import = Import { args, zone: &zone, client: &client, file, as_of };
        let summary = if args.maillog {
            mail::run(&import, &mut joiner, &mut rejects)?
        } else {
            import.run(&mut rejects)?
        };
        if let Some(summary) = summary {
            summaries.push(summary);
        }
    }
    rejects.finish()?;
    let text = output::rows(&summaries, &Style::new(args.output, zone))?;
    let rows = summaries.iter().map(|summary| summary.rows).sum::<u64>();
    let rejected = summaries.iter().map(|summary| summary.rejected).sum::<u64>();
    let exit = match (rows, rejected) {
        (0, _) => Exit::NothingFound,
        (_, 0) => Exit::Found,
        _ => Exit::Damaged,
    };
    Ok(Answer { text, remark: (rows == 0).then(|| "no rows".to_owned()), exit })
}

/// One file.
struct Import<'a> {
    args: &'a ImportArgs,
    zone: &'a TimeZone,
    client: &'a Client,
    file: &'a Path,
    as_of: Option<Timestamp>,
}

/// What is read and not acknowledged yet.
#[derive(Default)]
struct Chunk {
    rows: Vec<ImportRow>,
    octets: usize,
    /// Rows that are never sent: their lines, and why. They are told of with the others.
    unreadable: Vec<(u64, String)>,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.rows.len().max(self.unreadable.len()) >= ROWS_MAX || self.octets >= CHUNK_OCTETS
    }

    fn push(&mut self, row: ImportRow) {
        let attributes: usize = row.records.iter().map(|record| record.attributes.len()).sum();
        self.octets = self.octets.saturating_add(attributes).saturating_add(ROW_OCTETS);
        self.rows.push(row);
    }
}

impl Import<'_> {
    fn run(&self, rejects: &mut Rejects) -> Result<Option<FileSummary>, Failure> {
        let failed = |fault| ImportFailure::File(self.file.to_owned(), fault);
        let source = Source::open(self.file).map_err(|error| failed(Fault::File(error)))?;
        let about = source.about.clone();
        let place = self.state_place();
        let known = self.known(place.as_deref(), &about)?;
        let as_of = self.as_of(&about, known.as_ref());
        let reader = Reader::open(source, self.args.format, self.zone, as_of).map_err(failed)?;
        let Some(mut reader) = reader else { return Ok(None) };
        let mut progress = Progress::new(&self.name(), about.size);
        let mut state = State::beginning(&about, rfc3339(as_of).unwrap_or_default());
        let mut resumed_at = 0;
        if let Some(known) = known {
            reader.resume(known.octets, known.lines).map_err(|error| failed(Fault::File(error)))?;
            resumed_at = known.lines;
            state = State { as_of: state.as_of, ..known };
            progress.say(&format!("{}: goes on behind line {resumed_at}", self.name()));
        }
        rejects.begin(&self.name(), resumed_at > 0)?;
        // Before the first row is sent: what can't be kept should be known then.
        self.keep(place.as_deref(), &state)?;
        let cut_short = self.rows(&mut reader, &mut state, place.as_deref(), &mut progress, rejects)?;
        let mut counts = state.counts;
        if cut_short {
            counts.count(Fate::Rejected);
        }
        if reader.left_out > 0 {
            progress.say(&format!(
                "{}: {} attributes without a name or value in the dictionary were left out",
                self.name(),
                reader.left_out
            ));
        }
        Ok(Some(FileSummary {
            file: self.name(),
            format: reader.format.word().to_owned(),
            as_of: state.as_of,
            dry_run: self.args.dry_run,
            resumed_at,
            rows: counts.rows(),
            accepted: counts.accepted,
            history: counts.history,
            ignored: counts.ignored,
            rejected: counts.rejected,
        }))
    }

    /// Reads and sends until the end. True when the file ends in the middle of a record, which is not passed over: it may
    /// still be written.
    fn rows(
        &self,
        reader: &mut Reader,
        state: &mut State,
        place: Option<&Path>,
        progress: &mut Progress,
        rejects: &mut Rejects,
    ) -> Result<bool, Failure> {
        let mut chunk = Chunk::default();
        loop {
            let before = reader.place();
            let item =
                reader.item().map_err(|error| ImportFailure::File(self.file.to_owned(), Fault::File(error)));
            let item = item?;
            let mut end = None;
            match item {
                Some(Item::Row(row)) => chunk.push(row),
                Some(Item::Unreadable(line, why)) => chunk.unreadable.push((line, why)),
                Some(Item::CutShort(line, why)) => end = Some((before, Some((line, why)))),
                None => end = Some((reader.place(), None)),
            }
            if chunk.is_full() || end.is_some() {
                let (octets, lines) = end.as_ref().map_or_else(|| reader.place(), |(place, _)| *place);
                self.send(std::mem::take(&mut chunk), state, progress, rejects)?;
                (state.octets, state.lines) = (octets, lines);
                rejects.flush()?;
                self.keep(place, state)?;
                progress.show(reader.octets_read(), state.counts.rows());
            }
            if let Some((_, cut_short)) = end {
                if let Some((line, why)) = &cut_short {
                    rejects.note(*line, Fate::Rejected, why, progress)?;
                }
                return Ok(cut_short.is_some());
            }
        }
    }

    /// Sends a chunk, counts what became of it and tells what is worth telling, in the order of lines.
    fn send(
        &self,
        chunk: Chunk,
        state: &mut State,
        progress: &Progress,
        rejects: &mut Rejects,
    ) -> Result<(), Failure> {
        let outcomes = self.outcomes(chunk.rows, state)?;
        tell(outcomes, chunk.unreadable, state, progress, rejects)
    }

    fn outcomes(&self, rows: Vec<ImportRow>, state: &State) -> Result<Vec<Outcome>, Failure> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let expected = rows.len();
        let body = ImportBody {
            file: self.name(),
            as_of: state.as_of.clone(),
            client: self.args.client.as_deref().map(|name| Name::from_text(name).to_string()),
            dry_run: self.args.dry_run,
            rows,
        };
        self.deliver("/v1/import", &body, expected, state)
    }

    /// Sends a chunk and waits until what comes of it is durable.
    fn deliver(
        &self,
        path: &str,
        body: &impl Serialize,
        expected: usize,
        state: &State,
    ) -> Result<Vec<Outcome>, Failure> {
        let body = serde_json::to_vec(body).map_err(|_| Failure::Unspellable)?;
        let halted = |error| ImportFailure::Halted {
            file: self.file.to_owned(),
            lines: state.lines,
            resumable: self.state_place().is_some(),
            error,
        };
        let answer = self.patiently(path, &body).map_err(halted)?;
        if answer.rows.len() != expected {
            return Err(halted(ClientError::NotUnderstood("it does not tell of every row".to_owned())).into());
        }
        Ok(answer.rows)
    }

    /// A chunk that the daemon can't take now is offered again for a while. What was written although the answer got lost
    /// does no harm when it is written again.
    fn patiently(&self, path: &str, body: &[u8]) -> Result<ImportAnswer, ClientError> {
        let begun = Instant::now();
        loop {
            match self.client.order(path, body.to_vec()) {
                Err(error) if error.exit() == Exit::TryAgain && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(AGAIN_AFTER);
                }
                settled => return settled,
            }
        }
    }

    fn name(&self) -> String {
        self.file.file_name().unwrap_or(self.file.as_os_str()).to_string_lossy().into_owned()
    }

    /// Where how far a run came is kept. A dry run comes nowhere, and standard input can't be begun in its middle.
    fn state_place(&self) -> Option<PathBuf> {
        if self.args.dry_run || self.file == Path::new("-") {
            return None;
        }
        Some(self.args.state.clone().unwrap_or_else(|| state::beside(self.file)))
    }

    fn known(&self, place: Option<&Path>, about: &About) -> Result<Option<State>, Failure> {
        let Some(place) = place.filter(|_| !self.args.from_start) else { return Ok(None) };
        let known =
            State::read(place, about).map_err(|error| ImportFailure::State(place.to_owned(), error))?;
        Ok(known.filter(|state| state.octets > 0))
    }

    fn keep(&self, place: Option<&Path>, state: &State) -> Result<(), Failure> {
        let Some(place) = place else { return Ok(()) };
        let failed = |error| ImportFailure::State(place.to_owned(), StateError::File(error));
        Ok(state.write(place).map_err(failed)?)
    }

    /// The moment that the file tells of: as it was said, or as an earlier run took it, or when the file was written. Never
    /// one that is still to come.
    fn as_of(&self, about: &About, known: Option<&State>) -> Timestamp {
        let known = known.and_then(|state| parse_rfc3339(&state.as_of));
        let now = clock::now();
        self.as_of.or(known).or(about.modified).unwrap_or(now).min(now)
    }
}

/// Counts what became of a chunk and tells what is worth telling, in the order of lines.
fn tell(
    mut outcomes: Vec<Outcome>,
    unreadable: Vec<(u64, String)>,
    state: &mut State,
    progress: &Progress,
    rejects: &mut Rejects,
) -> Result<(), Failure> {
    let rejected = |(line, why)| Outcome { line, outcome: Fate::Rejected, reason: Some(why) };
    outcomes.extend(unreadable.into_iter().map(rejected));
    outcomes.sort_by_key(|outcome| outcome.line);
    for outcome in outcomes {
        state.counts.count(outcome.outcome);
        if let Some(reason) = &outcome.reason {
            rejects.note(outcome.line, outcome.outcome, reason, progress)?;
        }
    }
    Ok(())
}

/// Rows that came to nothing, and what else is worth telling of a row: the first ones are shown, a file has all of them.
struct Rejects {
    path: Option<PathBuf>,
    file: Option<BufWriter<File>>,
    name: String,
    count: u64,
}

impl Rejects {
    fn new(path: Option<&Path>) -> Self {
        Rejects { path: path.map(Path::to_owned), file: None, name: String::new(), count: 0 }
    }

    /// A file begins; `on`: an earlier run has listed a part of it already.
    fn begin(&mut self, name: &str, on: bool) -> Result<(), Failure> {
        self.name = safe(name);
        if let (Some(path), None) = (&self.path, &self.file) {
            let opened = File::options().create(true).write(true).append(on).truncate(!on).open(path);
            self.file = Some(BufWriter::new(opened.map_err(|error| Failure::File(path.clone(), error))?));
        }
        Ok(())
    }

    fn note(&mut self, line: u64, fate: Fate, reason: &str, progress: &Progress) -> Result<(), Failure> {
        let text = format!("{}:{line}: {}: {}", self.name, fate.word(), safe(reason));
        self.count = self.count.saturating_add(1);
        if self.count <= SHOWN_MAX {
            progress.say(&text);
        }
        let (Some(path), Some(file)) = (&self.path, &mut self.file) else { return Ok(()) };
        writeln!(file, "{text}").map_err(|error| Failure::File(path.clone(), error))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.count > SHOWN_MAX {
            let more = self.count.saturating_sub(SHOWN_MAX);
            let all = match &self.path {
                Some(path) => format!("{} has all of them", path.display()),
                None => "--rejects FILE keeps all of them".to_owned(),
            };
            super::complain(&format!("and {more} more rows with a remark; {all}"));
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let (Some(path), Some(file)) = (&self.path, &mut self.file) else { return Ok(()) };
        file.flush().map_err(|error| Failure::File(path.clone(), error))
    }
}
