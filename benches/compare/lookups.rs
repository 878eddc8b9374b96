//! Lookups: who has this address? Asked of everybody in turns, eight connections with one question on its way each.
//!
//! Knows: who takes part, what ratio is wanted. Must not know: how they are asked.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::acks::SETTLES_WITHIN;
use super::asker::{self, CONNECTIONS, Dialect, Seen};
use super::daemon::Daemon;
use super::feed::Feed;
use super::floors::{Floor, Kind};
use super::postgres::Postgres;
use super::redis::Redis;
use super::report::{Limit, Rates, Report, mebibytes, median, whole};
use super::{Failure, Scale, say};

/// One measurement need not be longer.
const WINDOW: Duration = Duration::from_secs(2);

/// Somebody who is asked.
struct Other {
    name: &'static str,
    promise: &'static str,
    wanted: f64,
    server: SocketAddr,
    dialect: Dialect,
    rates: Vec<f64>,
}

/// Everybody in turns, in an order that moves on. Whether every answer was right.
pub(crate) fn compare(
    scale: &Scale,
    daemon: &Daemon,
    feed: &mut Feed,
    database: Option<&Postgres>,
    report: &mut Report,
) -> Result<bool, Failure> {
    say(&format!("opening {} sessions", scale.sessions));
    feed.fill(scale.sessions.into())?;
    let _ = daemon.settle(SETTLES_WITHIN);
    let known = feed.known();
    let (tasks, threads) =
        (Floor::start(Kind::EchoOfTasks, &scale.disk)?, Floor::start(Kind::EchoOfThreads, &scale.disk)?);
    let other = |name, promise, wanted, server, dialect| Other {
        name,
        promise,
        wanted,
        server,
        dialect,
        rates: Vec::new(),
    };
    let mut others = vec![
        other(
            "an echo on tokio, a task per connection",
            "nothing: the question comes back",
            0.95,
            tasks.address,
            Dialect::Echo,
        ),
        other(
            "an echo with a blocking thread per connection",
            "nothing: the question comes back",
            0.65,
            threads.address,
            Dialect::Echo,
        ),
    ];
    let mut redis = None;
    if let Some(database) = database {
        say(&format!("loading {known} rows into PostgreSQL and keys into Redis"));
        database.load(known)?;
        let server = redis.insert(Redis::start(&scale.disk)?);
        server.load(known)?;
        report.note(format!("{}.", server.version));
        others.push(other(
            "PostgreSQL, a simple query as Postfix asks it",
            "so it was committed",
            3.3,
            database.address,
            Dialect::Postgres,
        ));
        others.push(other(
            "Redis, GET",
            "so it is in memory, nothing is on disk",
            0.9,
            server.address,
            Dialect::Redis,
        ));
    }
    let (mut ours, mut wrong) = (Vec::new(), 0);
    for round in 0..scale.rounds as usize {
        say(&format!("lookups, round {} of {}", round + 1, scale.rounds));
        let turns = others.len() + 1;
        for turn in 0..turns {
            let who = (round + turn) % turns;
            let (server, dialect, rates) = match who.checked_sub(1).and_then(|place| others.get_mut(place)) {
                Some(other) => (other.server, other.dialect, &mut other.rates),
                None => (daemon.socketmap, Dialect::Socketmap, &mut ours),
            };
            let seen = ask(server, known, dialect, scale.longest.min(WINDOW))?;
            wrong += seen.wrong;
            rates.push(seen.rate());
        }
    }
    let what = format!("lookups/s, {CONNECTIONS} connections, {known} sessions");
    for other in &others {
        report.compare(&Rates {
            what: &what,
            ours: &ours,
            against: other.name,
            promise: other.promise,
            theirs: &other.rates,
            wanted: Some(other.wanted),
        });
    }
    report.note(format!("Lookups: every answer of everybody compared, {wrong} wrong."));
    Ok(wrong == 0)
}

/// As fast as answers come.
pub(crate) fn ask(
    server: SocketAddr,
    sessions: u32,
    dialect: Dialect,
    window: Duration,
) -> Result<Seen, Failure> {
    asker::ask(server, sessions, dialect, None, window, &AtomicBool::new(false))
}

/// What a session costs in memory. `before` is what was resident before the first.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
pub(crate) fn weigh(daemon: &Daemon, feed: &Feed, before: u64, report: &mut Report) -> Result<(), Failure> {
    say("memory");
    let settled = daemon.settle(SETTLES_WITHIN);
    let now = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    let peak = daemon.memory("VmHWM").ok_or(Failure::NoMetrics)?;
    let sessions = feed.acknowledged.max(1);
    let each = now.saturating_sub(before) / sessions;
    report.limit(Limit {
        what: format!("resident memory per session, {sessions} of them, three prefixes each"),
        ours: format!("{each} octets"),
        against: "256 octets".to_owned(),
        ratio: each as f64 / 256.0,
        at_most: 1.0,
    });
    report.note(format!(
        "Resident: {} before the first session, {} with {sessions} ({}), {} at the peak.",
        mebibytes(before),
        mebibytes(now),
        if settled.is_some() { "at rest" } else { "still filling the audit index" },
        mebibytes(peak)
    ));
    Ok(())
}

/// The same questions while thousands of connections stand idle, and without them, twice each. Whether every answer was
/// right.
pub(crate) fn beside_idle(
    scale: &Scale,
    daemon: &Daemon,
    feed: &Feed,
    report: &mut Report,
) -> Result<bool, Failure> {
    if scale.idle == 0 {
        return Ok(true);
    }
    say(&format!("lookups beside {} idle connections", scale.idle));
    let (mut with, mut without, mut wrong) = (Vec::new(), Vec::new(), 0);
    let mut measure = |rates: &mut Vec<f64>| -> Result<(), Failure> {
        for _ in 0..2 {
            let seen = ask(daemon.socketmap, feed.known(), Dialect::Socketmap, scale.longest.min(WINDOW))?;
            wrong += seen.wrong;
            rates.push(seen.rate());
        }
        Ok(())
    };
    measure(&mut without)?;
    let before = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    let opened: Result<Vec<_>, _> = (0..scale.idle).map(|_| TcpStream::connect(daemon.socketmap)).collect();
    let opened = opened.map_err(|error| Failure::System("opening idle connections", error))?;
    // The last one is in as soon as somebody behind it in the queue is answered.
    ask(daemon.socketmap, feed.known(), Dialect::Socketmap, Duration::from_millis(100))?;
    let after = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    let open = daemon.metrics().ok_or(Failure::NoMetrics)?.sum("mta_connections_open");
    measure(&mut with)?;
    drop(opened);
    measure(&mut without)?;
    report.note(format!(
        "Beside {open} idle connections {} lookups/s, without them {} (medians), ratio {:.2}; resident memory grew by {}, \
         {} octets for each.",
        whole(median(with.iter().copied())),
        whole(median(without.iter().copied())),
        median(with.iter().copied()) / median(without.iter().copied()).max(f64::EPSILON),
        mebibytes(after.saturating_sub(before)),
        after.saturating_sub(before) / u64::from(scale.idle),
    ));
    Ok(wrong == 0)
}
