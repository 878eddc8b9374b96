//! A release daemon under load, beside the least that could do the same work, in one run on one machine.
//!
//! ```text
//! cargo build --release && cargo run --release --example load
//! ```
//!
//! Everything is measured in turns, so that a machine that is busy with something else is so for everybody. The daemon
//! is a child process with a directory of its own, and talks to loopback only. In the end it is killed in the middle of
//! a storm of Starts and started again; then it must know exactly the sessions that it acknowledged.

mod daemon;
mod disk;
mod feed;
mod floors;
mod mta;
mod report;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use daemon::Daemon;
use feed::{Feed, IN_FLIGHT, OCTETS, SOCKETS};
use floors::Floor;
use mta::{CONNECTIONS, Expect, Seen};
use report::{Report, mebibytes, millis, whole};

/// Turns of everything that is compared.
const ROUNDS: u32 = 5;
/// Sessions come in so many parts: one for each round, two for the storm with lookups, one for the crash.
const PARTS: u32 = ROUNDS + 3;
/// During the storm each connection asks once in this time: four thousand questions a second in all.
const PACE: Duration = Duration::from_millis(2);
/// How long the work behind the acknowledgements is waited for between two measurements.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// Measures a release daemon on loopback beside the least that could do the same work
#[derive(Parser)]
#[command(
    name = "load",
    after_help = "\
Example: a short run, on the disk that matters
  cargo build --release
  cargo run --release --example load -- --seconds 2 --sessions 200000 --data-dir /var/tmp

Exit 0: every acknowledged session was there after kill -9. Exit 1: not, or it could not be measured."
)]
struct Arguments {
    /// The longest that one measurement may last
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many sessions are opened in all
    #[arg(long, value_name = "N", default_value_t = 400_000,
          value_parser = clap::value_parser!(u32).range(8_000..=4_000_000))]
    sessions: u32,
    /// The disk to be measured: a directory, in which one is made and removed again [default: beside the program]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The daemon [default: the release build beside this program]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Why nothing could be measured.
#[derive(Debug)]
enum Failure {
    /// There is no release build of the daemon.
    NoProgram(PathBuf),
    /// The system refused something.
    System(&'static str, std::io::Error),
    /// A Start could not be encoded.
    Encoding,
    /// A server stopped answering.
    NoAnswer,
    /// The daemon ended, or did not become ready; its last words.
    NotReady(String),
    /// The daemon's metrics or process could not be read.
    NoMetrics,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoProgram(path) => {
                write!(
                    f,
                    "there is no {}: run `cargo build --release` first, or name it with --program",
                    path.display()
                )
            }
            Failure::System(what, error) => write!(f, "{what}: {error}"),
            Failure::Encoding => f.write_str("a Start does not fit a packet"),
            Failure::NoAnswer => f.write_str("a server stopped answering"),
            Failure::NotReady(log) => write!(f, "relaywarden did not become ready; its last words:\n{log}"),
            Failure::NoMetrics => f.write_str("relaywarden does not tell its metrics"),
        }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints its findings")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if cfg!(debug_assertions) {
        eprintln!("load: what a debug build measures misleads: cargo run --release --example load");
        return ExitCode::FAILURE;
    }
    match measure(&arguments) {
        Ok((report, lost)) => {
            println!("{}", report.text());
            if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(failure) => {
            eprintln!("load: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the impatient how far it is, where it does not disturb what is pasted.
#[expect(clippy::print_stderr, reason = "a program that says what it does")]
fn say(what: &str) {
    eprintln!("load: {what}");
}

/// Everything that one run needs.
struct Run {
    longest: Duration,
    part: u32,
    disk: PathBuf,
    daemon: Daemon,
    feed: Feed,
    report: Report,
}

/// The report, and whether something acknowledged was lost.
fn measure(arguments: &Arguments) -> Result<(Report, bool), Failure> {
    let program = program(arguments)?;
    let disk = arguments.data_dir.clone().or_else(|| program.parent().map(PathBuf::from)).unwrap_or_default();
    let daemon = Daemon::start(&program, &disk)?;
    let feed = Feed::new(daemon.radius, 0)?;
    let longest = Duration::from_secs(arguments.seconds);
    let mut run =
        Run { longest, part: arguments.sessions / PARTS, disk, daemon, feed, report: Report::default() };
    run.describe_disk()?;
    let before = run.daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    run.compare_acks()?;
    run.compare_lookups()?;
    run.storm()?;
    run.weigh(before)?;
    let lost = run.crash()?;
    Ok((run.report, lost))
}

fn program(arguments: &Arguments) -> Result<PathBuf, Failure> {
    let ours = std::env::current_exe().map_err(|error| Failure::System("where this program is", error))?;
    // target/release/examples/load, and target/release/relaywarden.
    let sibling = ours.ancestors().nth(2).map(|directory| directory.join("relaywarden")).unwrap_or_default();
    let program = arguments.program.clone().unwrap_or(sibling);
    if program.is_file() { Ok(program) } else { Err(Failure::NoProgram(program)) }
}

impl Run {
    fn describe_disk(&mut self) -> Result<(), Failure> {
        let times = disk::fsync_times(&self.disk);
        let (middle, slowest) = times.map_err(|error| Failure::System("trying the disk", error))?;
        self.report.note(format!(
            "Disk: an fsync of 4 KiB takes {} in the middle of fifty, {} at worst. {} processors.",
            millis(middle),
            millis(slowest),
            thread::available_parallelism().map_or(0, usize::from),
        ));
        Ok(())
    }

    /// Starts of new sessions: the daemon and both floors, one after the other, in an order that moves on.
    fn compare_acks(&mut self) -> Result<(), Failure> {
        let durable = Floor::durable(self.daemon.data_dir().parent().unwrap_or(&self.disk))?;
        let least = Floor::least()?;
        let mut to_durable = Feed::new(durable.address, 0)?;
        let mut to_least = Feed::new(least.address, 0)?;
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        let (mut again, mut behind) = (0, Some(Duration::ZERO));
        for round in 0..ROUNDS {
            say(&format!("durable acknowledgements, round {} of {ROUNDS}", round + 1));
            for turn in 0..3 {
                let who = (round + turn) % 3;
                let feed = match who {
                    0 => &mut self.feed,
                    1 => &mut to_durable,
                    _ => &mut to_least,
                };
                feed.prepare(self.part)?;
                let window = feed.run(self.longest)?;
                if let Some(rates) = rates.get_mut(who as usize) {
                    rates.push(window.rate());
                }
                if who == 0 {
                    again += window.again;
                    // What the daemon does behind its acknowledgements must not slow the others' turns down.
                    behind = behind.zip(self.daemon.settle(SETTLES_WITHIN)).map(|(sum, more)| sum + more);
                }
            }
        }
        let what = format!(
            "durable acks/s, Starts of {OCTETS} octets, {SOCKETS} sockets with {IN_FLIGHT} in flight"
        );
        let [ours, theirs, least] = rates;
        self.report.compare(&what, &ours, "one thread, one file, an fdatasync per group", &theirs, 0.9);
        self.report.compare(&what, &ours, "one thread, a packet a call, nothing kept", &least, 0.6);
        let sessions = self.feed.acknowledged;
        self.report.note(format!(
            "{sessions} sessions in {ROUNDS} rounds; every answer compared octet by octet, {} wrong, {again} requests \
             sent again. The audit index was complete {} after the last answers (all rounds together).",
            self.feed.wrong,
            behind.map_or_else(|| "not even two minutes".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
        ));
        Ok(())
    }

    /// Questions one after the other on eight connections, to the daemon and to two echoes.
    fn compare_lookups(&mut self) -> Result<(), Failure> {
        let (tasks, threads) = (Floor::echo_of_tasks()?, Floor::echo_of_threads()?);
        let known = self.feed.known();
        let whom = [
            (self.daemon.socketmap, Expect::Owner),
            (tasks.address, Expect::Echo),
            (threads.address, Expect::Echo),
        ];
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        let mut wrong = 0;
        for round in 0..ROUNDS as usize {
            say(&format!("lookups, round {} of {ROUNDS}", round + 1));
            for turn in 0..whom.len() {
                let who = (round + turn) % whom.len();
                let (Some(&(server, expect)), Some(rates)) = (whom.get(who), rates.get_mut(who)) else {
                    continue;
                };
                let window = self.longest.min(Duration::from_secs(2));
                let seen = mta::ask(server, known, expect, None, window, &AtomicBool::new(false))?;
                wrong += seen.wrong;
                rates.push(seen.rate());
            }
        }
        let what = format!("socketmap lookups/s, {CONNECTIONS} connections, {known} sessions");
        let [ours, tasks, threads] = rates;
        self.report.compare(&what, &ours, "an echo on tokio, a task per connection", &tasks, 0.95);
        self.report.compare(&what, &ours, "an echo with a blocking thread per connection", &threads, 0.65);
        self.report.note(format!("Lookups: every answer compared, {wrong} wrong."));
        Ok(())
    }

    /// Questions at an ordinary pace while Starts come as fast as they are acknowledged.
    fn storm(&mut self) -> Result<(), Failure> {
        say("lookups during a storm of Starts");
        let (known, server) = (self.feed.known(), self.daemon.socketmap);
        let count = self.part * 2;
        self.feed.prepare(count)?;
        let over = AtomicBool::new(false);
        let (window, seen) = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                mta::ask(server, known, Expect::Owner, Some(PACE), Duration::from_secs(600), &over)
            });
            let window = self.feed.run(self.longest.saturating_mul(2));
            over.store(true, Ordering::Relaxed);
            (window, asking.join().unwrap_or(Err(Failure::NoAnswer)))
        });
        let (window, seen): (_, Seen) = (window?, seen?);
        let p99 = seen.percentile(99);
        self.report.limit(
            &format!("lookup p99 during a storm of {} Starts", window.answered),
            format!("{} (p50 {})", millis(p99), millis(seen.percentile(50))),
            "5 ms",
            p99.as_secs_f64() / 0.005,
            "at most 1",
        );
        self.report.note(format!(
            "During the storm {} Starts/s were acknowledged and {} questions/s answered, {} wrong.",
            whole(window.rate()),
            whole(seen.rate()),
            seen.wrong
        ));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    fn weigh(&mut self, before: u64) -> Result<(), Failure> {
        say("memory");
        let settled = self.daemon.settle(SETTLES_WITHIN);
        let now = self.daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
        let peak = self.daemon.memory("VmHWM").ok_or(Failure::NoMetrics)?;
        let sessions = self.feed.acknowledged.max(1);
        let each = now.saturating_sub(before) / sessions;
        self.report.limit(
            &format!("resident memory per session, {sessions} of them, three prefixes each"),
            format!("{each} octets"),
            "256 octets",
            each as f64 / 256.0,
            "at most 1",
        );
        self.report.note(format!(
            "Resident: {} before the first session, {} with {sessions} ({}), {} at the peak.",
            mebibytes(before),
            mebibytes(now),
            if settled.is_some() { "at rest" } else { "still filling the audit index" },
            mebibytes(peak)
        ));
        Ok(())
    }

    /// `kill -9` in the middle of a storm, a restart, and the count. True when something acknowledged is missing.
    fn crash(&mut self) -> Result<bool, Failure> {
        say("kill -9, restart, count");
        self.feed.prepare(self.part)?;
        self.feed.run_and_leave(Duration::from_millis(200))?;
        self.daemon.kill()?;
        self.feed.collect()?;
        let (acknowledged, open) = (self.feed.acknowledged, self.feed.in_flight() as u64);

        let data = self.daemon.data_dir();
        let failed = |error| Failure::System("reading the daemon's files", error);
        disk::forget(&data).map_err(failed)?;
        let (octets, reading) = disk::read_all(&data.join("log")).map_err(failed)?;
        disk::forget(&data).map_err(failed)?;
        let began = Instant::now();
        self.daemon.launch()?;
        self.daemon.wait_for_owner(0)?;
        let took = began.elapsed();
        let found = self.sessions()?;

        // As NASes do, everything without an answer is sent again; then there is no "perhaps" any more.
        self.feed.repeat();
        self.feed.run(self.longest)?;
        let (acknowledged_then, found_then) = (self.feed.acknowledged, self.sessions()?);
        let kept = (acknowledged..=acknowledged + open).contains(&found) && found_then == acknowledged_then;
        self.report.limit(
            &format!("restart to first right answer, {found} sessions"),
            millis(took),
            &format!("reading the log, {}, from the disk: {}", mebibytes(octets), millis(reading)),
            took.as_secs_f64() / reading.as_secs_f64().max(f64::EPSILON),
            "at most 5",
        );
        self.report.note(format!(
            "kill -9 with {acknowledged} acknowledged and {open} on their way: {found} sessions found after the restart; \
             {found_then} of {acknowledged_then} after the NASes had sent the rest. {}.",
            if kept { "Nothing acknowledged was lost" } else { "THE COUNTS DIFFER" }
        ));
        let wrong = self.feed.wrong;
        Ok(!kept || wrong > 0)
    }

    fn sessions(&self) -> Result<u64, Failure> {
        self.daemon.metrics().map(|metrics| metrics.sum("sessions")).ok_or(Failure::NoMetrics)
    }
}
