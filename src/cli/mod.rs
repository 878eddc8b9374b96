//! The command line: what can be said, and the exit code that follows. One file per family of commands.
//!
//! Knows: commands, options and their help. Must not know: how the daemon works; reading and ordering go through its
//! API like everybody else's.

pub mod attempts;
pub mod cases;
pub mod check;
pub mod client;
pub mod command;
pub mod complaint;
pub mod export;
pub mod feeds;
pub mod import;
mod lines;
pub mod nas;
pub mod notice;
pub mod output;
pub mod past;
pub mod preservation;
pub mod questions;
pub mod read;
pub mod rehearse;
pub mod report;
pub mod reputation;
pub mod request;
pub mod rows;
pub mod rules;
pub mod sample;
pub mod scanned;
pub mod send;
pub mod serve;
pub mod story;
pub mod time;
pub mod token;
pub mod top;
pub mod usage;
pub mod whole;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::fault::ConfigError;
use crate::radius::dictionary::fault::DictionaryError;
use crate::radius::text::TextError;
use crate::rehearsal::Mistake;
use client::{Client, ClientError, DEFAULT_CONFIG};
use output::{Format, Style, Unspellable};
use time::TimeError;

/// Exit codes: the first three are ours, the others come from sysexits(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Found,
    /// 1.
    NothingFound,
    /// 2.
    Usage,
    /// 65.
    Damaged,
    /// 69.
    Unavailable,
    /// 70.
    Software,
    /// 74.
    InputOutput,
    /// 75.
    TryAgain,
    /// 76.
    Protocol,
    /// 77.
    NotPermitted,
    /// 78.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Found => 0,
            Exit::NothingFound => 1,
            Exit::Usage => 2,
            Exit::Damaged => 65,
            Exit::Unavailable => 69,
            Exit::Software => 70,
            Exit::InputOutput => 74,
            Exit::TryAgain => 75,
            Exit::Protocol => 76,
            Exit::NotPermitted => 77,
            Exit::Config => 78,
        })
    }
}

/// Lets mail servers relay for exactly those addresses whose subscriber is online, and says afterwards whose message it
/// was.
#[derive(Debug, Parser)]
#[command(name = "relaywarden", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 found, 1 nothing found, 2 usage, 69 daemon not there, 75 try again; others as in \
                        sysexits(3)."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    #[command(after_help = "Example:\n  relaywarden serve --demo")]
    Serve(ServeArgs),
    /// Check a configuration without touching anything
    #[command(after_help = "Example:\n  relaywarden check-config --config ./relaywarden.toml && echo good")]
    CheckConfig(CheckArgs),
    /// Who owns an address, or owned it then; why it may relay or not
    #[command(
        after_help = "Examples:\n  relaywarden who 198.51.100.7\n  relaywarden who 198.51.100.7 --port 40112 --at \
                            '2026-11-23 14:00' --tz Europe/Berlin\n  relaywarden who 198.51.100.7 --at \
                            2026-11-23T14:00:00Z --within 2m\n  relaywarden who --token Zk3vQ\n  relaywarden who - -o \
                            csv < mail.log\n\nLines on standard input may be of Postfix, Exim, a web server, a \
                            firewall, or a mail's header. Blank ones are passed over. Where a line tells no port or \
                            no time, --port and --at count."
    )]
    Who(read::WhoArgs),
    /// The story of an address: what came of each report about it, oldest first
    #[command(
        after_help = "Examples:\n  relaywarden explain 198.51.100.7 --since '2d ago'\n  relaywarden explain \
                            198.51.100.7 --port 40112 --tz UTC > ticket.txt"
    )]
    Explain(read::ExplainArgs),
    /// Sessions, living and past
    #[command(
        after_help = "Example:\n  relaywarden sessions --subscriber alice@isp.example --since '2d ago'"
    )]
    Sessions(read::SessionsArgs),
    /// Messages that were let go
    #[command(after_help = "Example:\n  relaywarden messages --queue-id 4XyZ1b2c3d -o json")]
    Messages(read::MessagesArgs),
    /// Who sent most in the last 24 hours, or another time, and what is usual for them
    #[command(
        after_help = "USUAL is the average of the same hours on up to seven days before, MOST the most on one of them.\n\n\
                            Examples:\n  relaywarden top\n  relaywarden top --by recipients --since '2h ago'"
    )]
    Top(top::TopArgs),
    /// How much a subscriber or a login sent lately, beside the limits
    #[command(
        after_help = "What is told is what was let go; a message counts until its window is over.\n\nExamples:\n  \
                            relaywarden usage alice@isp.example\n  relaywarden usage --login office@isp.example -o json"
    )]
    Usage(usage::UsageArgs),
    /// Attempts that were refused or deferred: why, and what to do about it
    #[command(
        after_help = "Examples:\n  relaywarden attempts 1a2b3c4d\n  relaywarden attempts --address 198.51.100.7 --since \
                            '2026-11-23 14:04' --until '2026-11-23 14:06'\n  relaywarden attempts --reason suspended \
                            --since '1d ago' -o csv"
    )]
    Attempts(attempts::AttemptsArgs),
    /// Some of what was refused lately, by chance: for a human to judge
    #[command(
        after_help = "What was tried often in one minute is one row, and has the same chance as any other.\n\nExamples:\n  \
                            relaywarden sample --refused 20\n  relaywarden sample --refused 20 --since '7d ago' -o csv \
                            > judge.csv"
    )]
    Sample(sample::SampleArgs),
    /// What scanners found in messages that were sent: spam and viruses, and whose they were
    #[command(
        after_help = "Examples:\n  relaywarden scanned --subscriber alice@isp.example --since '7d ago'\n  relaywarden \
                            scanned --finding virus -o csv"
    )]
    Scanned(scanned::ScannedArgs),
    /// Feed health: a line per NAS, what is wrong and what to do; or everything about one
    #[command(
        after_help = "Examples:\n  relaywarden nas\n  relaywarden nas bras1\n  relaywarden nas -o csv > \
                            feeds.csv\n  relaywarden nas hold bras1 --until 2026-11-23T18:00:00Z --reason 'new line \
                            card'\n  relaywarden nas unhold bras1 --reason 'it is back'"
    )]
    Nas(nas::NasArgs),
    /// Block lists: whether they have our own addresses, and which of them are believed
    #[command(
        after_help = "A state with a question mark is in doubt: the last answer said otherwise, and the next round decides. A \
                            list is believed only while its SANITY is `sane`.\n\nExamples:\n  relaywarden \
                            reputation\n  relaywarden reputation -o csv > reputation.csv"
    )]
    Reputation(read::PlainArgs),
    /// Tokens for the API and for browsers: make, list and revoke them
    #[command(
        subcommand,
        after_help = "Example:\n  relaywarden token create --role viewer --note 'help desk'"
    )]
    Token(token::TokenCommand),
    /// The record of who asked what
    #[command(subcommand, after_help = "Example:\n  relaywarden audit questions --since '7d ago'")]
    Audit(questions::AuditCommand),
    /// Who is suspended or limited now
    #[command(after_help = "Example:\n  relaywarden suspensions")]
    Suspensions(read::PlainArgs),
    /// Let a subscriber or a login send no mail
    #[command(
        after_help = "Example:\n  relaywarden suspend bob@isp.example --reason 'case 4711: open proxy' --until \
                            2026-12-01T08:00:00Z"
    )]
    Suspend(command::HoldBackArgs),
    /// Let a subscriber or a login send little mail: as much as is configured for those who are limited
    #[command(
        after_help = "A suspension outranks a limit: whoever is both sends nothing. A release ends both.\n\nExample:\n  \
                            relaywarden limit bob@isp.example --reason 'case 4711: until he calls back' --until \
                            2099-12-01T08:00:00Z"
    )]
    Limit(command::HoldBackArgs),
    /// Let a suspended or limited subscriber or login send as before
    #[command(after_help = "Example:\n  relaywarden release bob@isp.example --reason 'case 4711: cleaned'")]
    Release(command::ReleaseArgs),
    /// Take a complaint about a message (ARF, X-ARF): whose it was, which messages match, and a case
    #[command(
        after_help = "Exit status: 0 taken, 65 it is no report, 75 not now, try again (also when the daemon is not \
                            there): so a mail server may pipe a mailbox into it.\n\nExamples:\n  relaywarden complaint \
                            report.eml\n  relaywarden complaint - < report.json"
    )]
    Complaint(complaint::ComplaintArgs),
    /// Cases: what somebody should look at; everything about one; open one, and act on it
    #[command(
        after_help = "Examples:\n  relaywarden cases --state open --kind signal\n  relaywarden cases 4711\n  relaywarden \
                            cases suspend 4711 --reason 'open proxy' --ticket T-17\n  relaywarden cases close 4711 \
                            --reason 'customer cleaned the machine'"
    )]
    Cases(cases::CasesArgs),
    /// Rules that act alone on cases; and what one would have done
    #[command(
        after_help = "Examples:\n  relaywarden rules\n  relaywarden rules --dry-run flood\n\nA dry run looks at each case that is \
                            kept as of when something was last told of it. OUTCOME says what became of the case: \
                            where it is dismissed, the rule would have been wrong."
    )]
    Rules(rules::RulesArgs),
    /// What a day was like: sums, who sent most, refusals, cases, orders, feeds
    #[command(
        after_help = "Examples:\n  relaywarden report\n  relaywarden report --day 2026-11-25 --format html > day.html"
    )]
    Report(report::ReportArgs),
    /// Who is told what happens, and how far behind each is
    #[command(after_help = "Examples:\n  relaywarden notice\n  relaywarden notice test portal")]
    Notice(notice::NoticeArgs),
    /// Write what is kept about a subscriber or an address, for a lawful request; or the live map as a table
    #[command(
        after_help = "What is kept goes into one file that says what it is about, its time basis, precision and gaps; its \
                            SHA-256 into FILE.sha256.\n\nExamples:\n  relaywarden export cidr -o \
                            /etc/postfix/online.cidr\n  relaywarden export --subscriber alice@isp.example --since \
                            2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z --reference '4711 Js 1/26' --file \
                            alice.json"
    )]
    Export(export::ExportArgs),
    /// Take what others wrote down: accounting records of a FreeRADIUS, messages of a Postfix (--maillog)
    #[command(
        long_about = "Take what others wrote down: accounting records of a FreeRADIUS, messages of a Postfix (--maillog)\n\n\
                      An open row of radacct counts as its Start and an interim update at acctupdatetime, a closed one\n\
                      as Start and Stop; a record of a detail file as what it is. All are read by the rules for packets\n\
                      (identity, may-assign, never).\n\n\
                      What was fresh when the file was made, in a file that is fresh now (stale-limit, both times),\n\
                      counts for who owns what. Everything else fills the past only. An address that nobody owns\n\
                      stays deferred until warm-up is over: a table may lack whoever came last.\n\n\
                      With --maillog: logs of Postfix. Each message that was taken into the queue while nobody asked us is\n\
                      attributed by what is known of the past (so import accounting records first), and recorded with\n\
                      the reason `imported`; those that are recorded already are passed over.\n\n\
                      Rows are taken in chunks, each durable before the next. The same command goes on with a run that\n\
                      was interrupted.",
        after_help = "Exit status: 0 all rows were taken, 1 there were none, 65 some were rejected.\n\nExamples:\n  \
                      relaywarden import radacct.csv --dry-run\n  relaywarden import radacct.csv --tz Europe/Berlin \
                      --rejects rejects.txt\n  relaywarden import detail-20261122.gz detail-20261123 --client radius1\n  \
                      relaywarden import - --as-of '5m ago'\n  relaywarden import --maillog mail.log.1 mail.log --mta mx1 \
                      --tz Europe/Berlin"
    )]
    Import(import::ImportArgs),
    /// Speak RADIUS to an accounting server, to try things
    #[command(
        after_help = "Examples:\n  relaywarden send start --server 127.0.0.1:1813 --secret-file secrets/bras1 --user \
                            alice --session-id s1 --address 198.51.100.7\n  relaywarden send --file records.txt \
                            --secret-file secrets/bras1"
    )]
    Send(send::SendArgs),
    /// Play scenarios: what would be answered if NASes sent this, without a daemon
    #[command(
        after_help = "Examples:\n  relaywarden rehearse ticket-4711.txt\n  relaywarden rehearse ticket-4711.txt \
                            --config /etc/relaywarden/relaywarden.toml"
    )]
    Rehearse(rehearse::RehearseArgs),
}

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Feed it made-up subscribers on loopback; needs no configuration and keeps nothing
    #[arg(long, conflicts_with = "config")]
    pub demo: bool,
    /// How log lines on standard error look
    #[arg(long, value_name = "FORMAT", default_value = "plain")]
    pub log: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people, and for journald.
    Plain,
    /// One JSON object a line.
    Json,
}

/// `check-config`
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
}

/// Where the daemon is.
#[derive(Debug, Clone, Args)]
pub struct Daemon {
    /// The daemon's socket; RELAYWARDEN_SOCKET says the same
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Take the socket from this configuration [default: /etc/relaywarden/relaywarden.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Daemon {
    fn client(&self) -> Result<Client, ClientError> {
        let environment = std::env::var_os("RELAYWARDEN_SOCKET").filter(|value| !value.is_empty());
        let socket = client::find_socket(
            self.socket.as_deref(),
            environment.as_deref().map(Path::new),
            self.config.as_deref(),
        )?;
        Ok(Client::new(socket))
    }
}

/// How an answer is shown.
#[derive(Debug, Clone, Args)]
pub struct Shown {
    /// How to print the answer
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Why you ask, or the ticket; kept in the record of who asked what
    #[arg(long, value_name = "TEXT", visible_alias = "ticket")]
    pub purpose: Option<String>,
}

impl Shown {
    fn style(&self) -> Result<Style, Failure> {
        let zone = time::zone(self.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
        Ok(Style::new(self.output, zone))
    }
}

/// Why a command came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The daemon is not there, or refused.
    Client(ClientError),
    /// A complaint was not taken.
    NotTaken(ClientError),
    /// An option holds no moment or no zone.
    Time(&'static str, TimeError),
    /// The answer has no spelling in this format.
    Unspellable,
    /// Standard output can't be written.
    Output(io::Error),
    /// A packet can't be made or sent.
    Send(crate::server::nas::SendError),
    /// A file that was named can't be read.
    File(PathBuf, io::Error),
    /// A dictionary can't be used.
    Dictionary(DictionaryError),
    /// A list of attributes is not understood.
    List(PathBuf, TextError),
    /// A list of attributes holds no request.
    EmptyList(PathBuf),
    /// A scenario that is not understood, or can't be played.
    Story(PathBuf, Mistake),
    /// The configuration can't be used.
    Configuration(Box<ConfigError>),
    /// The server's name means nothing.
    NoServer(String, io::Error),
    /// Neither a form nor somebody to export.
    NothingToExport,
    /// More rows than are answered at once.
    TooManyRows(usize),
    /// More lines on standard input than are answered at once.
    TooManyLines(u64),
    /// An import came to nothing, or to a halt.
    Import(Box<import::ImportFailure>),
    /// The daemon's own files can't be used.
    Daemon(crate::server::failure::Failure),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Failure::Client(error) => error.exit(),
            Failure::NotTaken(error) => complaint::exit_of(error),
            Failure::Time(..) => Exit::Usage,
            Failure::Unspellable => Exit::Software,
            Failure::Output(_) => Exit::InputOutput,
            Failure::Send(crate::server::nas::SendError::Socket(_)) => Exit::InputOutput,
            Failure::Send(_) => Exit::Usage,
            Failure::File(_, error) if error.kind() == io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            Failure::File(..) => Exit::InputOutput,
            Failure::Dictionary(_)
            | Failure::List(..)
            | Failure::EmptyList(_)
            | Failure::NoServer(..)
            | Failure::TooManyLines(_)
            | Failure::TooManyRows(_)
            | Failure::NothingToExport
            | Failure::Story(..) => Exit::Usage,
            Failure::Configuration(_) => Exit::Config,
            Failure::Import(failure) => failure.exit(),
            Failure::Daemon(failure) => serve::exit_of(failure),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Client(error) | Failure::NotTaken(error) => write!(f, "{error}"),
            Failure::Time(option, error) => write!(f, "{option}: {error}"),
            Failure::Unspellable => write!(f, "the answer can't be spelled so; try -o json"),
            Failure::Output(error) => write!(f, "standard output: {error}"),
            Failure::Send(error) => write!(f, "{error}"),
            Failure::File(path, error) => write!(f, "{}: {error}", path.display()),
            Failure::Dictionary(error) => write!(f, "--dictionary: {error}"),
            Failure::List(path, error) => write!(f, "{}: {error}", path.display()),
            Failure::Import(failure) => write!(f, "{failure}"),
            Failure::Daemon(failure) => write!(f, "{failure}"),
            Failure::EmptyList(path) => write!(f, "{}: no attributes in it", path.display()),
            Failure::Story(path, mistake) => {
                write!(f, "{}:{}", path.display(), output::safe(&mistake.to_string()))
            }
            Failure::Configuration(error) => write!(f, "{error}"),
            Failure::NothingToExport => write!(
                f,
                "say what to export: cidr; or --subscriber or --address, with --since, --until, --reference and --file"
            ),
            Failure::TooManyRows(most) => {
                write!(f, "{most} rows or more, which would not all be in it; export shorter periods")
            }
            Failure::TooManyLines(most) => {
                write!(f, "more than {most} lines, each of which is a question about a person; ask in parts")
            }
            Failure::NoServer(server, error) => {
                write!(f, "--server {}: {error}; say HOST:PORT, such as 127.0.0.1:1813", output::safe(server))
            }
        }
    }
}

impl std::error::Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Client(error)
    }
}

impl From<Unspellable> for Failure {
    fn from(_: Unspellable) -> Self {
        Failure::Unspellable
    }
}

/// What a command has to say, and the exit code that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// A remark for standard error.
    pub remark: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

/// Does what the command line says.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    let answer = match &cli.command {
        Command::Serve(args) => return serve::run(args),
        Command::CheckConfig(args) => return check::run(&args.config),
        Command::Who(args) => read::who(args),
        Command::Explain(args) => read::explain(args),
        Command::Sessions(args) => read::sessions(args),
        Command::Messages(args) => read::messages(args),
        Command::Top(args) => top::top(args),
        Command::Usage(args) => usage::usage(args),
        Command::Attempts(args) => attempts::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Scanned(args) => scanned::run(args),
        Command::Nas(args) => nas::run(args),
        Command::Reputation(args) => reputation::run(args),
        Command::Token(command) => token::run(command),
        Command::Audit(command) => questions::run(command),
        Command::Suspensions(args) => read::suspensions(args),
        Command::Suspend(args) => command::suspend(args),
        Command::Limit(args) => command::limit(args),
        Command::Release(args) => command::release(args),
        Command::Complaint(args) => complaint::run(args),
        Command::Cases(args) => cases::run(args),
        Command::Rules(args) => rules::run(args),
        Command::Report(args) => report::run(args),
        Command::Notice(args) => notice::run(args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::Send(args) => send::run(args),
        Command::Rehearse(args) => rehearse::run(args),
    };
    match answer.and_then(|answer| print(&answer)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            complain(&failure.to_string());
            failure.exit().into()
        }
    }
}

fn print(answer: &Answer) -> Result<Exit, Failure> {
    if let Some(remark) = &answer.remark {
        complain(remark);
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(answer.text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(answer.exit),
        // `| head` has seen enough; that is no failure of the question.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(answer.exit),
        Err(error) => Err(Failure::Output(error)),
    }
}

fn complain(text: &str) {
    // When standard error is gone too, the exit code is all that is left to say.
    let _ = writeln!(io::stderr(), "relaywarden: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }

    /// All of them, also those within others.
    fn commands() -> Vec<clap::Command> {
        let mut found: Vec<_> = Cli::command().get_subcommands().cloned().collect();
        let within: Vec<_> = found.iter().flat_map(|command| command.get_subcommands().cloned()).collect();
        found.extend(within);
        found
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("\n  relaywarden "), "{}", command.get_name());
        }
    }

    #[test]
    fn every_example_is_understood() {
        for command in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter_map(|line| line.strip_prefix("  ")) {
                let words = words(line);
                assert!(Cli::try_parse_from(&words).is_ok(), "{words:?}");
            }
        }
    }

    /// The words of an example, as a shell would cut it.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (index, part) in line.split('\'').enumerate() {
            match index % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        words.into_iter().take_while(|word| ![">", "<", "&&"].contains(&word.as_str())).collect()
    }
}
