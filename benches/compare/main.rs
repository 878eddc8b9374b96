//! A release daemon beside those that could be used instead of it, and beside the least that could do the same work, in
//! one run on one machine. `benches/compare/run` installs what is missing, builds, and starts this program.
//!
//! Everything is measured in turns, so that a machine that is busy with something else is so for everybody. Whoever
//! takes part is a child process with a directory and ports of its own on loopback, and is ended by its process number.
//! In the end the daemon is killed in the middle of a storm of Starts and started again; then it must know exactly the
//! sessions that it acknowledged.
//!
//! Knows: the order of things. Must not know: how anybody is spoken to.

mod acks;
mod asker;
mod crash;
mod daemon;
mod disk;
mod feed;
mod flood;
mod floors;
mod freeradius;
mod growth;
mod lookups;
mod picture;
mod policy;
mod postgres;
mod process;
mod redis;
mod report;
mod starts;
mod storm;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use daemon::Daemon;
use feed::{Feed, WIDE};
use report::{Report, millis};

/// Everything beside the sessions needs less than so many open files.
const FILES_BESIDE: u64 = 1_000;

/// Measures a release daemon on loopback beside others that could do its work, and beside the least that could
#[derive(Parser)]
#[command(
    name = "compare",
    after_help = "\
Example: a short run without foreign programs, on the disk that matters
  benches/compare/run --quick --only ours --data-dir /var/tmp

Exit 0: every acknowledged session was there after kill -9. Exit 1: not, or it could not be measured."
)]
struct Arguments {
    /// Everybody in turns; what is measured when no part is named
    #[arg(long)]
    compare: bool,
    /// The daemon alone, with more and more sessions
    #[arg(long)]
    growth: bool,
    /// The daemon alone, under more than it can take
    #[arg(long)]
    storm: bool,
    /// The daemon alone: what limits cost at the end of a message
    #[arg(long)]
    limits: bool,
    /// Beside whom: `all`, or `ours`, which leaves out foreign programs
    #[arg(long, value_name = "WHO", value_enum, default_value_t = Only::All)]
    only: Only,
    /// A minute's worth with few sessions: shows that it works, and no figure to be trusted
    #[arg(long)]
    quick: bool,
    /// The longest that one measurement may last [default: 3]; how long the flood of `--storm` lasts [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// How many sessions lookups find [default: 1000000; 40000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(8_000..=4_000_000))]
    sessions: Option<u32>,
    /// The most sessions of `--growth` [default: 1000000; 100000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10_000..=10_000_000))]
    largest: Option<u32>,
    /// Datagrams that the flood of `--storm` offers in a second
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    offered: u32,
    /// Connections that stand idle beside those that ask [default: 10000; 1000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20_000))]
    idle: Option<u32>,
    /// Turns of everything that is compared [default: 5; 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Where the tables and pictures are written [default: the tables are printed only]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The disk to be measured: a directory, in which others are made and removed again [default: beside the program]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The daemon [default: the release build beside this program]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Be one of the least servers: what the program starts itself as
    #[arg(long, hide = true)]
    floor: Option<floors::Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    All,
    Ours,
}

/// Why nothing could be measured.
#[derive(Debug)]
enum Failure {
    /// There is no release build of the daemon.
    NoProgram(PathBuf),
    /// A foreign program, or a part of it, is not installed: what, and the Debian package that has it.
    Missing(&'static str, &'static str),
    /// The system refused something.
    System(&'static str, std::io::Error),
    /// A Start could not be encoded.
    Encoding,
    /// A server stopped answering: what it was asked.
    NoAnswer(&'static str),
    /// A database said no; its words.
    Refused(String),
    /// A program ended, or did not become ready; its last words.
    NotReady(&'static str, String),
    /// The daemon's metrics or process could not be read.
    NoMetrics,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoProgram(path) => {
                write!(f, "there is no {}: benches/compare/run builds it, --program names it", path.display())
            }
            Failure::Missing(what, package) => {
                write!(f, "{what} is missing (Debian package {package}); --only ours does without")
            }
            Failure::System(what, error) => write!(f, "{what}: {error}"),
            Failure::Encoding => f.write_str("a Start does not fit a packet"),
            Failure::NoAnswer(what) => write!(f, "a server stopped answering: {what}"),
            Failure::Refused(words) => write!(f, "a database refuses: {words}"),
            Failure::NotReady(who, log) => write!(f, "{who} did not become ready; its last words:\n{log}"),
            Failure::NoMetrics => f.write_str("relaywarden does not tell its metrics"),
        }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints its findings")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(kind) = arguments.floor {
        return match kind.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("compare: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if cfg!(debug_assertions) {
        eprintln!("compare: what a debug build measures misleads: use benches/compare/run");
        return ExitCode::FAILURE;
    }
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!(
                "Something that was acknowledged is missing, or an answer was wrong: see the notes above."
            );
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("compare: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the impatient how far it is, where it does not disturb what is pasted.
#[expect(clippy::print_stderr, reason = "a program that says what it does")]
fn say(what: &str) {
    eprintln!("compare: {what}");
}

/// How much of everything: what the arguments come to.
struct Scale {
    longest: Duration,
    rounds: u32,
    sessions: u32,
    idle: u32,
    quick: bool,
    foreign: bool,
    /// Where everybody's directories are made.
    disk: PathBuf,
    program: PathBuf,
}

impl Scale {
    fn new(arguments: &Arguments) -> Result<Scale, Failure> {
        let quick = arguments.quick;
        let or = |given: Option<u32>, usual, short| given.unwrap_or(if quick { short } else { usual });
        let program = program(arguments)?;
        let beside = program.parent().map(PathBuf::from).unwrap_or_default();
        let idle = or(arguments.idle, 10_000, 1_000);
        let files = open_files()?.saturating_sub(FILES_BESIDE);
        let granted = idle.min(u32::try_from(files).unwrap_or(u32::MAX));
        if granted < idle {
            say(&format!("{granted} instead of {idle} idle connections: raise the limit of open files"));
        }
        Ok(Scale {
            longest: Duration::from_secs(arguments.seconds.unwrap_or(if quick { 1 } else { 3 })),
            rounds: or(arguments.rounds, 5, 1),
            sessions: or(arguments.sessions, 1_000_000, 40_000),
            idle: granted,
            quick,
            foreign: arguments.only == Only::All,
            disk: arguments.data_dir.clone().unwrap_or(beside),
            program,
        })
    }
}

/// Every part that was asked for. Whether nothing acknowledged was lost in any of them.
fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    let scale = Scale::new(arguments)?;
    let mut kept = true;
    let finish = |name: &str, report: &Report| {
        report.publish(name, arguments.out.as_deref()).map_err(|e| Failure::System("writing to --out", e))
    };
    if arguments.compare || !(arguments.growth || arguments.storm || arguments.limits) {
        let mut report = describe(&scale)?;
        kept &= compare(&scale, &mut report)?;
        finish("compare", &report)?;
    }
    if arguments.growth {
        let mut report = describe(&scale)?;
        let largest = arguments.largest.unwrap_or(if scale.quick { 100_000 } else { 1_000_000 });
        growth::measure(&scale, largest, &mut report)?;
        finish("growth", &report)?;
    }
    if arguments.limits {
        let mut report = describe(&scale)?;
        kept &= policy::with_limits(&scale, &mut report)?;
        finish("limits", &report)?;
    }
    if arguments.storm {
        let mut report = describe(&scale)?;
        let seconds = arguments.seconds.unwrap_or(if scale.quick { 2 } else { 10 });
        let flood = storm::Offer { rate: arguments.offered, lasts: Duration::from_secs(seconds) };
        kept &= storm::measure(&scale, flood, &mut report)?;
        finish("storm", &report)?;
    }
    Ok(kept)
}

fn compare(scale: &Scale, report: &mut Report) -> Result<bool, Failure> {
    let mut daemon = Daemon::start(&scale.program, &scale.disk)?;
    let mut feed = Feed::new(daemon.radius, WIDE, 0)?;
    let before = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    let database = if scale.foreign { Some(postgres::Postgres::start(&scale.disk)?) } else { None };
    acks::compare(scale, &daemon, &mut feed, database.as_ref(), report)?;
    let right = lookups::compare(scale, &daemon, &mut feed, database.as_ref(), report)?;
    drop(database);
    lookups::weigh(&daemon, &feed, before, report)?;
    let right = lookups::beside_idle(scale, &daemon, &feed, report)? && right;
    let right = policy::compare(scale, &daemon, &feed, report)? && right;
    let right = storm::starts(scale, &daemon, &mut feed, report)? && right;
    let kept = crash::crash(scale, &mut daemon, &mut feed, report)?;
    Ok(kept && right)
}

/// A report that says where it was made.
fn describe(scale: &Scale) -> Result<Report, Failure> {
    let (middle, slowest) =
        disk::fsync_times(&scale.disk).map_err(|error| Failure::System("trying the disk", error))?;
    let mut report = Report::default();
    report.note(format!(
        "Disk: an fsync of 4 KiB takes {} in the middle of fifty, {} at worst. {} processors, Linux {}.",
        millis(middle),
        millis(slowest),
        thread::available_parallelism().map_or(0, usize::from),
        std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    ));
    if scale.quick {
        report.note("A quick run: it shows that everything works, and no figure to be trusted.".to_owned());
    }
    Ok(report)
}

fn program(arguments: &Arguments) -> Result<PathBuf, Failure> {
    let ours = std::env::current_exe().map_err(|error| Failure::System("where this program is", error))?;
    // target/release/examples/compare, and target/release/relaywarden.
    let sibling = ours.ancestors().nth(2).map(|directory| directory.join("relaywarden")).unwrap_or_default();
    let program = arguments.program.clone().unwrap_or(sibling);
    if program.is_file() { Ok(program) } else { Err(Failure::NoProgram(program)) }
}

/// As many open files as we may have; children inherit it.
fn open_files() -> Result<u64, Failure> {
    let failed = |error: nix::Error| Failure::System("the limit of open files", error.into());
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(failed)?;
    Ok(most)
}
