//! `kill -9`, a restart, and whether everything is there again.
//!
//! Knows: what must be found. Must not know: how it is kept.

use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::feed::Feed;
use super::report::{Limit, Report, mebibytes, millis};
use super::{Failure, Scale, disk, say};

/// What a restart took.
pub(crate) struct Restart {
    /// Until the first right answer.
    pub(crate) took: Duration,
    /// What the disk was asked for until then.
    pub(crate) octets: u64,
    /// How long the disk takes to deliver so much of the same files.
    pub(crate) reading: Duration,
}

impl Restart {
    /// How many times as long as reading.
    pub(crate) fn ratio(&self) -> f64 {
        self.took.as_secs_f64() / self.reading.as_secs_f64().max(f64::EPSILON)
    }
}

/// Starts a daemon that was killed, over cold files, and waits until this session's address has its owner.
pub(crate) fn restart(daemon: &mut Daemon, number: u32) -> Result<Restart, Failure> {
    let failed = |error| Failure::System("reading the daemon's files", error);
    let data = daemon.data_dir();
    disk::forget(&data).map_err(failed)?;
    // The audit index is the past: no start reads it whole.
    let (mut held, mut reading) = (0, Duration::ZERO);
    for part in ["log", "snapshots"].map(|part| data.join(part)).iter().filter(|part| part.is_dir()) {
        let (octets, took) = disk::read_all(part).map_err(failed)?;
        held += octets;
        reading += took;
    }
    disk::forget(&data).map_err(failed)?;
    let began = Instant::now();
    daemon.launch()?;
    daemon.wait_for_owner(number)?;
    let took = began.elapsed();
    // On a file system without a disk nothing is counted.
    let octets = daemon.octets_read().filter(|&octets| octets > 0).unwrap_or(held);
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    let share = octets as f64 / held.max(1) as f64;
    Ok(Restart { took, octets, reading: reading.mul_f64(share) })
}

/// Kills the daemon in the middle of a storm. Whether everything acknowledged is there afterwards.
pub(crate) fn crash(
    scale: &Scale,
    daemon: &mut Daemon,
    feed: &mut Feed,
    report: &mut Report,
) -> Result<bool, Failure> {
    say("kill -9, restart, count");
    feed.prepare((scale.sessions / 8).max(20_000))?;
    feed.run_and_leave(Duration::from_millis(200))?;
    daemon.kill()?;
    feed.collect()?;
    let (acknowledged, open) = (feed.acknowledged, feed.in_flight() as u64);
    let restart = restart(daemon, 0)?;
    let found = sessions(daemon)?;

    // As NASes do, everything without an answer is sent again; then there is no "perhaps" any more.
    feed.repeat();
    feed.run(scale.longest)?;
    let (acknowledged_then, found_then) = (feed.acknowledged, sessions(daemon)?);
    let kept = (acknowledged..=acknowledged + open).contains(&found) && found_then == acknowledged_then;
    report.limit(Limit {
        what: format!("restart to first right answer, {found} sessions"),
        ours: millis(restart.took),
        against: format!(
            "reading the same {} from the disk: {}",
            mebibytes(restart.octets),
            millis(restart.reading)
        ),
        ratio: restart.ratio(),
        at_most: 5.0,
    });
    report.note(format!(
        "kill -9 with {acknowledged} acknowledged and {open} on their way: {found} sessions found after the restart; \
         {found_then} of {acknowledged_then} after the NASes had sent the rest. {}.",
        if kept { "Nothing acknowledged was lost" } else { "THE COUNTS DIFFER" }
    ));
    Ok(kept && feed.wrong == 0)
}

/// How many the daemon says that it has.
pub(crate) fn sessions(daemon: &Daemon) -> Result<u64, Failure> {
    daemon.metrics().map(|metrics| metrics.sum("sessions")).ok_or(Failure::NoMetrics)
}
