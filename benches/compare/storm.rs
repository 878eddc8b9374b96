//! Storms: how long lookups take meanwhile, what is dropped and counted, and that nothing acknowledged is lost.
//!
//! Knows: which storms there are. Must not know: how they are made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::acks::SETTLES_WITHIN;
use super::asker::{self, Connection, Dialect, Seen};
use super::daemon::{Daemon, Metrics};
use super::feed::{Feed, Shape, WIDE};
use super::flood::{Flood, Passed, kernel_drops};
use super::report::{Limit, Report, mebibytes, millis, whole};
use super::{Failure, Scale, crash, say};

/// During a storm each connection asks once in this time: four thousand questions a second in all.
const PACE: Duration = Duration::from_millis(2);
/// No storm lasts longer.
const LONGEST: Duration = Duration::from_secs(900);
/// What p99 is held against.
const P99: Duration = Duration::from_millis(5);
/// Different Starts that the flood is made of, at most: three hundred octets of our memory each.
const DIFFERENT: u32 = 1_000_000;
/// A NAS at this host of 127.0.0.0/24 is the one that begins anew, with sessions from this number.
const REBOOTED: (u8, u32) = (100, 8_000_000);
/// The flood's sessions begin with this number.
const FLOODED: u32 = 9_000_000;
/// So many of the acknowledged sessions are asked for after the restart, spread over all.
const ASKED: usize = 20_000;

/// What the flood offers.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    /// Datagrams a second.
    pub(crate) rate: u32,
    /// For so long.
    pub(crate) lasts: Duration,
}

/// All three on a daemon of their own. Whether nothing acknowledged was lost and no answer was wrong.
pub(crate) fn measure(scale: &Scale, offer: Offer, report: &mut Report) -> Result<bool, Failure> {
    let mut daemon = Daemon::start(&scale.program, &scale.disk)?;
    let mut feed = Feed::new(daemon.radius, WIDE, 0)?;
    feed.fill(crowd(scale).into())?;
    let _ = daemon.settle(SETTLES_WITHIN);
    let right = starts(scale, &daemon, &mut feed, report)?;
    let right = reboot(scale, &daemon, &feed, report)? && right;
    let kept = flood(&mut daemon, &mut feed, offer, report)?;
    Ok(right && kept)
}

/// Sessions of a storm.
fn crowd(scale: &Scale) -> u32 {
    if scale.quick { 10_000 } else { 100_000 }
}

/// Asks at an ordinary pace while something else happens.
fn meanwhile<T>(
    daemon: &Daemon,
    known: u32,
    happens: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, Seen), Failure> {
    let over = AtomicBool::new(false);
    let (happened, seen) = thread::scope(|scope| {
        let asking = scope
            .spawn(|| asker::ask(daemon.socketmap, known, Dialect::Socketmap, Some(PACE), LONGEST, &over));
        let happened = happens();
        over.store(true, Ordering::Relaxed);
        (happened, asking.join().unwrap_or(Err(Failure::NoAnswer("lookups"))))
    });
    Ok((happened?, seen?))
}

fn tell(what: String, seen: &Seen, report: &mut Report) {
    let p99 = seen.percentile(99);
    report.limit(Limit {
        what,
        ours: format!("{} (p50 {})", millis(p99), millis(seen.percentile(50))),
        against: millis(P99),
        ratio: p99.as_secs_f64() / P99.as_secs_f64(),
        at_most: 1.0,
    });
}

/// Starts as fast as they are acknowledged. Whether every lookup was right.
pub(crate) fn starts(
    scale: &Scale,
    daemon: &Daemon,
    feed: &mut Feed,
    report: &mut Report,
) -> Result<bool, Failure> {
    say("lookups during a storm of Starts");
    let known = feed.known();
    feed.prepare(crowd(scale))?;
    let (window, seen) = meanwhile(daemon, known, || feed.run(LONGEST))?;
    tell(format!("lookup p99 in a storm, {} Starts", window.answered), &seen, report);
    report.note(format!(
        "During the storm of Starts {}/s were acknowledged and {} questions/s answered, {} wrong.",
        whole(window.rate()),
        whole(seen.rate()),
        seen.wrong
    ));
    Ok(seen.wrong == 0)
}

/// A NAS with many sessions says Accounting-On. Whether every other lookup was right, and exactly its sessions are no
/// longer believed.
fn reboot(scale: &Scale, daemon: &Daemon, feed: &Feed, report: &mut Report) -> Result<bool, Failure> {
    let (host, first) = REBOOTED;
    let shape = Shape { sockets: 1, in_flight: 128, ..WIDE };
    let mut nas = Feed::from(host, daemon.radius, shape, first)?;
    say(&format!("a NAS with {} sessions begins anew", crowd(scale)));
    nas.fill(crowd(scale).into())?;
    let _ = daemon.settle(SETTLES_WITHIN);
    let suspect = || daemon.metrics().map(|metrics| metrics.suspect()).ok_or(Failure::NoMetrics);
    let before = suspect()?;
    // Its sessions began in whole seconds, and must have begun before it did.
    thread::sleep(Duration::from_secs(2));
    let known = feed.known();
    let ((answer, doubted), seen) = meanwhile(daemon, known, || {
        thread::sleep(Duration::from_millis(500));
        let answer = nas.begin_anew()?;
        thread::sleep(Duration::from_millis(500));
        Ok((answer, suspect()?.saturating_sub(before)))
    })?;
    let mut connection = Connection::open(daemon.socketmap, Dialect::Socketmap)?;
    let still = (first..).take(ASKED).step_by(100).map(|number| connection.owns(number));
    let still = still.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|owned| *owned).count();
    let right = doubted == nas.acknowledged && still == 0 && seen.wrong == 0;
    tell(format!("lookup p99 as a NAS begins anew, {} sessions", nas.acknowledged), &seen, report);
    report.note(format!(
        "Accounting-On of a NAS with {} sessions: answered within {}; {doubted} sessions are doubted then, {still} of those \
         asked for are not; {} lookups of others wrong.",
        nas.acknowledged,
        millis(answer),
        seen.wrong
    ));
    Ok(right)
}

/// More than can be taken, then `kill -9`. Whether everything acknowledged is there after the restart.
fn flood(daemon: &mut Daemon, feed: &mut Feed, offer: Offer, report: &mut Report) -> Result<bool, Failure> {
    let whole_run = u64::from(offer.rate) * offer.lasts.as_secs();
    let count = u32::try_from(whole_run).unwrap_or(u32::MAX).min(DIFFERENT);
    say(&format!("{} datagrams a second for {} s", offer.rate, offer.lasts.as_secs()));
    let flood = Flood::new(daemon.radius, FLOODED, count)?;
    let _ = daemon.settle(SETTLES_WITHIN);
    let resident = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    let (before, dropped) =
        (daemon.metrics().ok_or(Failure::NoMetrics)?, kernel_drops(&[daemon.radius.port()]));
    let (passed, seen) = meanwhile(daemon, feed.known(), || flood.run(offer.rate, offer.lasts))?;
    // The kernel tells the daemon what it dropped with the next datagram that it does not drop.
    feed.fill(feed.acknowledged + 64)?;
    let (after, sessions) = (daemon.metrics().ok_or(Failure::NoMetrics)?, crash::sessions(daemon)?);
    let dropped = kernel_drops(&[daemon.radius.port()]).saturating_sub(dropped);
    let peak = daemon.memory("VmHWM").ok_or(Failure::NoMetrics)?;
    tell(
        format!("lookup p99 in a flood, {} datagrams/s offered for {} s", offer.rate, offer.lasts.as_secs()),
        &seen,
        report,
    );
    report.note(format!(
        "Flood: {} datagrams offered in {:.1} s ({}/s), Starts of {} sessions; {} answered ({}/s), {} of the answers wrong; \
         {} sessions acknowledged, {sessions} live; {} lookups wrong. Resident: {} before, {} at the peak.",
        passed.offered,
        passed.took.as_secs_f64(),
        whole(rate(passed.offered, passed.took)),
        passed.reported,
        passed.answered,
        whole(rate(passed.answered, passed.took)),
        passed.wrong,
        passed.acknowledged.len(),
        seen.wrong,
        mebibytes(resident),
        mebibytes(peak),
    ));
    account(&passed, &before, &after, dropped, report);
    let kept = survives(daemon, &passed, report)?;
    Ok(kept && passed.wrong == 0 && seen.wrong == 0)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::EPSILON)
}

/// What was not answered, and which counter says why.
fn account(passed: &Passed, before: &Metrics, after: &Metrics, dropped: u64, report: &mut Report) {
    let more = |outcome| after.datagrams(outcome).saturating_sub(before.datagrams(outcome));
    let silent =
        ["queue_full", "duplicate_in_flight", "memory_full", "send_failed"].map(|word| (word, more(word)));
    let counted: u64 = silent.iter().map(|(_, count)| count).sum::<u64>() + more("kernel_dropped");
    let unanswered = passed.offered.saturating_sub(passed.answered);
    let words: Vec<String> = silent.iter().map(|(word, count)| format!("{word} {count}")).collect();
    report.note(format!(
        "Not answered: {unanswered}. Counted by the daemon: kernel_dropped {}, {} ({counted} in all). The kernel says that it \
         dropped {dropped} before the daemon and {} answers before us. Nobody counted {}.",
        more("kernel_dropped"),
        words.join(", "),
        passed.unheard,
        unanswered.saturating_sub(counted).saturating_sub(passed.unheard),
    ));
}

fn survives(daemon: &mut Daemon, passed: &Passed, report: &mut Report) -> Result<bool, Failure> {
    say("kill -9, restart, count");
    let before = crash::sessions(daemon)?;
    daemon.kill()?;
    let Some(&first) = passed.acknowledged.first() else { return Ok(false) };
    let restart = crash::restart(daemon, first)?;
    let found = crash::sessions(daemon)?;
    let mut connection = Connection::open(daemon.socketmap, Dialect::Socketmap)?;
    let (mut asked, mut missing) = (0_u32, 0_u32);
    for &number in passed.acknowledged.iter().step_by(passed.acknowledged.len().div_ceil(ASKED).max(1)) {
        asked += 1;
        missing += u32::from(!connection.owns(number)?);
    }
    let kept = missing == 0 && found >= before.min(passed.acknowledged.len() as u64);
    report.note(format!(
        "kill -9 after the flood, with {before} sessions live: {found} found after the restart, the first right answer after \
         {}; of {asked} acknowledged sessions that were asked for, {missing} had not their owner. {}.",
        millis(restart.took),
        if kept { "Nothing acknowledged was lost" } else { "SOMETHING IS MISSING" }
    ));
    Ok(kept)
}
