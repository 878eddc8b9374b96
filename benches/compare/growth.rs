//! What a Start, a lookup, a session and a restart cost among more and more sessions.
//!
//! Knows: sizes, and what is measured at each. Must not know: how.

use std::time::Duration;

use super::acks::SETTLES_WITHIN;
use super::asker::Dialect;
use super::daemon::Daemon;
use super::feed::{Feed, WIDE};
use super::picture::{self, Panel};
use super::report::{Report, mebibytes, median, millis, whole};
use super::{Failure, Scale, crash, lookups, say};

/// Turns at each size; each has the machine as it is then.
const TURNS: u32 = 3;
const WINDOW: Duration = Duration::from_secs(2);

/// What was seen at one size.
struct Seen {
    sessions: u64,
    acks: f64,
    lookups: f64,
    octets_each: u64,
    restart: crash::Restart,
}

/// Every size up to the largest, each on a daemon of its own.
pub(crate) fn measure(scale: &Scale, largest: u32, report: &mut Report) -> Result<(), Failure> {
    let tens = std::iter::successors(Some(10_000_u32), |size| size.checked_mul(10));
    let sizes = tens.take_while(|&size| size < largest).chain([largest]);
    let seen = sizes.map(|size| at(scale, size)).collect::<Result<Vec<_>, _>>()?;
    tell(&seen, report);
    Ok(())
}

fn at(scale: &Scale, size: u32) -> Result<Seen, Failure> {
    say(&format!("growth: {size} sessions"));
    let mut daemon = Daemon::start(&scale.program, &scale.disk)?;
    let mut feed = Feed::new(daemon.radius, WIDE, 0)?;
    let before = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    feed.fill(size.into())?;
    let _ = daemon.settle(SETTLES_WITHIN);
    let resident = daemon.memory("VmRSS").ok_or(Failure::NoMetrics)?;
    let (mut acks, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let window = scale.longest.min(WINDOW);
        let seen = lookups::ask(daemon.socketmap, feed.known(), Dialect::Socketmap, window)?;
        asked.push(seen.rate());
        feed.prepare((size / 10).clamp(3_000, 100_000))?;
        acks.push(feed.run(scale.longest)?.rate());
        let _ = daemon.settle(SETTLES_WITHIN);
    }
    daemon.kill()?;
    let restart = crash::restart(&mut daemon, 0)?;
    Ok(Seen {
        sessions: size.into(),
        acks: median(acks.into_iter()),
        lookups: median(asked.into_iter()),
        octets_each: resident.saturating_sub(before) / u64::from(size),
        restart,
    })
}

#[expect(clippy::cast_precision_loss, reason = "numbers for a picture")]
fn tell(seen: &[Seen], report: &mut Report) {
    let mut table = String::from(
        "| sessions | durable acks/s | lookups/s | octets resident per session | restart to first right answer | reading the \
         same octets | ratio |\n|---|---|---|---|---|---|---|\n",
    );
    for at in seen {
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} in {} | {:.2} |\n",
            whole(at.sessions as f64),
            whole(at.acks),
            whole(at.lookups),
            at.octets_each,
            millis(at.restart.took),
            mebibytes(at.restart.octets),
            millis(at.restart.reading),
            at.restart.ratio()
        ));
    }
    report.table(table);
    report.note(format!(
        "Each size on a daemon of its own; medians of {TURNS} turns. The Starts of a turn come on top of the sessions, a tenth \
         of them but at most 100,000; the restart follows kill -9 and has them, too."
    ));
    let panel = |title: &str, value: &dyn Fn(&Seen) -> f64| Panel {
        title: title.to_owned(),
        points: seen.iter().map(|at| (at.sessions, value(at))).collect(),
    };
    report.draw(picture::lines(
        "What more sessions cost",
        "sessions",
        &[
            panel("durable acks/s", &|at| at.acks),
            panel("lookups/s", &|at| at.lookups),
            panel("octets resident per session", &|at| at.octets_each as f64),
            panel("restart, in times of reading the same octets", &|at| at.restart.ratio()),
        ],
    ));
}
