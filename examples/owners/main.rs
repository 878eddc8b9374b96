//! The same made-up, disordered hour of accounting, told to FreeRADIUS with SQLite and to relaywarden: whom does each name
//! in the end, and who was it really? See docs/owners.md.

#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::indexing_slicing, reason = "an example: a mistake here ends it, and nothing else")]

mod capture;
mod servers;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::text;

use capture::{Capture, Delivery, Holding, NASES};
use servers::{SECRET, Said};

/// Compares whom FreeRADIUS with SQLite and relaywarden name after the same disordered hour of accounting.
#[derive(Debug, Parser)]
struct Arguments {
    /// About so many records.
    #[arg(long, default_value_t = 200_000)]
    records: usize,
    /// Seconds that the made-up time lasts.
    #[arg(long, default_value_t = 3600)]
    seconds: i64,
    /// How many times faster than real time.
    #[arg(long, default_value_t = 20)]
    speed: u32,
    /// The same seed makes the same hour.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What ends the run.
#[derive(Debug)]
enum Failure {
    System(&'static str, std::io::Error),
    Database(rusqlite::Error),
    Missing(&'static str),
    Wrong(usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::System(what, error) => write!(f, "{what}: {error}"),
            Failure::Database(error) => write!(f, "SQLite: {error}"),
            Failure::Missing(what) => write!(f, "missing: {what}"),
            Failure::Wrong(count) => {
                write!(f, "relaywarden named the wrong subscriber for {count} addresses")
            }
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let capture = capture::make(arguments.records, arguments.seconds, arguments.seed);
    println!("{} deliveries, {} addresses were ever used", capture.deliveries.len(), capture.truth.len());
    let home = tempfile::Builder::new()
        .prefix("owners-")
        .tempdir()
        .map_err(|e| Failure::System("a directory", e))?;
    // FreeRADIUS syncs after every record over its one connection: in memory, so that it keeps pace.
    let memory = Some(std::path::Path::new("/dev/shm")).filter(|memory| memory.is_dir());
    let memory = tempfile::Builder::new()
        .prefix("owners-")
        .tempdir_in(memory.unwrap_or(home.path()))
        .map_err(|e| Failure::System("a directory", e))?;
    let (ours, theirs) = (home.path().join("ours"), memory.path().join("theirs"));
    for directory in [&ours, &theirs] {
        std::fs::create_dir(directory).map_err(|e| Failure::System("a directory", e))?;
    }

    let noon = now().as_secs();
    let clock = format!("+0 x{}", arguments.speed);
    let theirs_server = servers::freeradius(&theirs, &clock)?;
    tell("FreeRADIUS", theirs_server.radius, &capture, arguments.speed)?;
    let by_them = servers::online(&theirs)?;
    drop(theirs_server);

    let (ours_server, map) = servers::relaywarden(&ours, &clock)?;
    let told = tell("relaywarden", ours_server.radius, &capture, arguments.speed)?;
    let by_us = ask_all(map, &capture)?;
    drop(ours_server);
    println!("begun {noon} (seconds since 1970), told within {:.0} s each\n", told.as_secs_f64());
    compare(&capture, arguments.seconds, &by_us, &by_them)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sends every delivery when its time has come, waiting for the answer of each before its NAS sends the next one.
fn tell(who: &str, server: SocketAddr, capture: &Capture, speed: u32) -> Result<Duration, Failure> {
    // The server's clock began to run fast when its process did; the records are dated by it.
    let began = Instant::now();
    let epoch = now();
    let workers: Vec<_> = (0..NASES)
        .map(|nas| {
            let deliveries: Vec<Delivery> =
                capture.deliveries.iter().filter(|delivery| delivery.nas == nas).cloned().collect();
            thread::spawn(move || speak(nas, server, &deliveries, began, epoch, speed))
        })
        .collect();
    let mut late = Duration::ZERO;
    let mut unanswered = 0;
    for worker in workers {
        let (lag, lost) = worker.join().map_err(|_| Failure::Missing("a thread that ends well"))??;
        (late, unanswered) = (late.max(lag), unanswered + lost);
    }
    println!(
        "{who}: told; behind by at most {:.1} s of real time, {unanswered} unanswered",
        late.as_secs_f64()
    );
    Ok(began.elapsed())
}

fn speak(
    nas: usize,
    server: SocketAddr,
    deliveries: &[Delivery],
    began: Instant,
    epoch: Duration,
    speed: u32,
) -> Result<(Duration, usize), Failure> {
    let failed = |error| Failure::System("sending", error);
    let host = u8::try_from(nas + 2).unwrap_or(2);
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).map_err(failed)?;
    socket.connect(server).map_err(failed)?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(failed)?;
    let (mut late, mut unanswered) = (Duration::ZERO, 0);
    for (number, delivery) in deliveries.iter().enumerate() {
        let due = Duration::from_secs(delivery.arrival.unsigned_abs()) / speed;
        match due.checked_sub(began.elapsed()) {
            Some(wait) => thread::sleep(wait),
            None => late = late.max(began.elapsed().saturating_sub(due)),
        }
        // Dated by the fast clock, whose zero is the real moment at which the telling began.
        let stamp = epoch.as_secs() + delivery.event.unsigned_abs();
        let lines = format!(
            "{}Event-Timestamp = {stamp}\nAcct-Delay-Time = {}\n",
            delivery.attributes, delivery.delay
        );
        let attributes = text::parse_attributes(&lines, Dictionary::builtin())
            .map_err(|_| Failure::Missing("attributes that can be read"))?;
        let identifier = u8::try_from(number % 256).unwrap_or(0);
        let request = text::encode_request(4, identifier, &attributes, SECRET.as_bytes())
            .map_err(|_| Failure::Missing("a record that fits a packet"))?;
        let mut answer = [0; 4096];
        let answered = (0..5).any(|_| {
            socket.send(&request).is_ok()
                && socket.recv(&mut answer).is_ok_and(|size| size >= 20 && answer[1] == identifier)
        });
        unanswered += usize::from(!answered);
    }
    Ok((late, unanswered))
}

fn ask_all(map: SocketAddr, capture: &Capture) -> Result<HashMap<Ipv4Addr, Said>, Failure> {
    let mut stream = TcpStream::connect(map).map_err(|e| Failure::System("socketmap", e))?;
    let mut answers = HashMap::new();
    for address in capture.truth.keys() {
        let said = servers::said(&mut stream, &address.to_string());
        answers.insert(*address, said.ok_or(Failure::Missing("an answer of the socketmap"))?);
    }
    Ok(answers)
}

/// What became of a question, against the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    RightNobody,
    Later,
    Refused,
    Gone,
    GoneUntold,
    Wrong,
}

impl Outcome {
    fn of(said: &Said, truth: Option<&Holding>, last: &Holding) -> Outcome {
        match (said, truth) {
            (Said::Later(_), _) => Outcome::Later,
            (Said::Nobody, None) => Outcome::RightNobody,
            (Said::Nobody, Some(_)) => Outcome::Refused,
            (Said::Owner(name), Some(holding)) if *name == holding.subscriber => Outcome::Right,
            (Said::Owner(name), None) if *name == last.subscriber && last.end_untold => Outcome::GoneUntold,
            (Said::Owner(name), None) if *name == last.subscriber => Outcome::Gone,
            (Said::Owner(_), _) => Outcome::Wrong,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Outcome::Right => "the owner, named",
            Outcome::RightNobody => "nobody's, and said so",
            Outcome::Later => "\"later\"",
            Outcome::Refused => "owned, and called nobody's",
            Outcome::Gone => "the last owner named, though the Stop arrived",
            Outcome::GoneUntold => "the last owner named, whose end was never told",
            Outcome::Wrong => "somebody else named",
        }
    }
}

fn compare(
    capture: &Capture,
    end: i64,
    by_us: &HashMap<Ipv4Addr, Said>,
    by_them: &HashMap<Ipv4Addr, String>,
) -> Result<(), Failure> {
    let mut counts: BTreeMap<Outcome, [usize; 2]> = BTreeMap::new();
    let mut differences: BTreeMap<(Outcome, Outcome, &str), usize> = BTreeMap::new();
    let mut wrong = 0;
    for (address, holdings) in &capture.truth {
        let Some(last) = holdings.last() else { continue };
        // What changed in the last half minute may be under way.
        if last.from > end - 30 || (last.until != i64::MAX && last.until > end - 30) {
            continue;
        }
        let truth = Some(last).filter(|last| last.until == i64::MAX);
        let ours = Outcome::of(&by_us[address], truth, last);
        let theirs = by_them.get(address).map_or(Said::Nobody, |name| Said::Owner(name.clone()));
        let theirs = Outcome::of(&theirs, truth, last);
        counts.entry(ours).or_default()[0] += 1;
        counts.entry(theirs).or_default()[1] += 1;
        if ours != theirs {
            let why = match &by_us[address] {
                Said::Later(why) => why,
                Said::Owner(_) | Said::Nobody => "",
            };
            *differences.entry((ours, theirs, why)).or_default() += 1;
        }
        if ours == Outcome::Wrong || ours == Outcome::Gone {
            wrong += 1;
            println!("{address}: said {:?}, really {truth:?}, last {last:?}", by_us[address]);
        }
    }
    println!("| address is | relaywarden | FreeRADIUS, SQLite |\n|---|---|---|");
    for (outcome, [ours, theirs]) in &counts {
        println!("| {} | {ours} | {theirs} |", outcome.text());
    }
    println!("\n| where they differ: relaywarden | why | FreeRADIUS | addresses |\n|---|---|---|---|");
    for ((ours, theirs, why), count) in &differences {
        println!("| {} | {why} | {} | {count} |", ours.text(), theirs.text());
    }
    if wrong > 0 { Err(Failure::Wrong(wrong)) } else { Ok(()) }
}
