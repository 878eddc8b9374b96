//! The only reader of time. It never goes back, and never stands still for long.
//!
//! Knows: the host's two clocks: the wall clock, which people and NTP set, and the time since the machine came up, which
//! nobody sets. Must not know: who asks.
//!
//! While the wall clock is ahead of all that was handed out, it is our time. One that was set back is not followed: a
//! session must not become younger than its last record, and a moment that is handed out for minutes would put all that
//! happens meanwhile into one. Our time goes on instead, by the time since boot and more slowly, until the wall clock has
//! caught up.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::session::Timestamp;

/// A wall clock that moved by so much more or less than the time since boot was set. Less than that is nobody's matter:
/// stamps have whole seconds.
const STEP: u64 = 1000;
/// The two clocks are read so close to each other, or again: a thread that has to wait between them would see a step.
const TOGETHER: Duration = Duration::from_millis(50);
/// But not for ever, on a machine that is so busy.
const TRIES: u32 = 8;

/// What the host's clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// The wall clock.
    pub wall: Timestamp,
    /// Since the machine came up, with the time in which it slept.
    pub elapsed: Duration,
}

/// The present moment, and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The present moment.
    pub now: Timestamp,
    /// How far our time is ahead of the time since boot, in milliseconds. It stays the same until the host's clock is set;
    /// while it does, all that was measured against our time before is wrong by the difference.
    pub lead: i64,
    /// How far our time is ahead of the wall clock, because that was set back.
    pub ahead: Duration,
    /// How often the wall clock was seen to be set.
    pub steps: u64,
    /// By how many milliseconds it was set the last time; negative: back.
    pub step: i64,
}

/// Our time, made of what the host's clocks show.
#[derive(Debug)]
pub struct Clock {
    /// The latest moment handed out.
    latest: Timestamp,
    /// When the host's clocks were looked at last, and what our time was then.
    looked: Option<(Timestamp, Duration)>,
    /// Since when our time runs more slowly, and from where.
    slowed: Option<(Timestamp, Duration)>,
    lead: Option<i64>,
    /// How far the wall clock is ahead of the time since boot.
    wall_lead: Option<i64>,
    steps: u64,
    step: i64,
}

impl Clock {
    /// A clock that has shown nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Clock {
            latest: Timestamp::EARLIEST,
            looked: None,
            slowed: None,
            lead: None,
            wall_lead: None,
            steps: 0,
            step: 0,
        }
    }

    /// This moment was handed out, by this clock or by one before it: none that is earlier will be.
    pub fn begin_at(&mut self, moment: Timestamp) {
        self.latest = self.latest.max(moment);
    }

    /// `last` was handed out by a clock before this one, which once told how far it was ahead of the wall clock. While we were
    /// away its time went on.
    pub fn begin_after(&mut self, last: Timestamp, (at, ahead): (Timestamp, Duration), wall: Timestamp) {
        self.begin_at(last);
        if !ahead.is_zero() {
            self.begin_at(at.plus(slowly(wall.since(at.minus(ahead)))));
        }
    }

    /// The present moment, by what the host's clocks show; they are read in the order of the calls.
    pub fn look(&mut self, host: Host) -> Look {
        let now = match self.slower(host) {
            Some(slower) => slower.max(host.wall),
            None if host.wall >= self.latest => host.wall,
            None => self.slow_down(host),
        };
        if now == host.wall {
            self.slowed = None;
        }
        self.notice(host);
        self.latest = now;
        self.looked = Some((now, host.elapsed));
        let lead = lead(now, host.elapsed);
        let followed = self.lead.filter(|known| known.abs_diff(lead) < STEP).unwrap_or(lead);
        self.lead = Some(followed);
        Look { now, lead: followed, ahead: now.since(host.wall), steps: self.steps, step: self.step }
    }

    /// Our time while the wall clock is behind it: three quarters of the speed, so that an hour is made up for in four,
    /// the order of things is kept and no span is wrong by more than a quarter.
    fn slower(&self, host: Host) -> Option<Timestamp> {
        let (from, since) = self.slowed?;
        let now = from.plus(slowly(host.elapsed.saturating_sub(since)));
        // Where it lies before the latest moment it is over: the wall clock has caught up, and was handed out elsewhere.
        (now >= self.latest).then_some(now)
    }

    /// The wall clock was set back at some time since the last look: until now our time has gone on as ever.
    fn slow_down(&mut self, host: Host) -> Timestamp {
        let on = self.looked.map(|(then, at)| then.plus(host.elapsed.saturating_sub(at)));
        let from = on.unwrap_or(self.latest).max(self.latest);
        self.slowed = Some((from, host.elapsed));
        from
    }

    /// Whether the wall clock was set since the last look.
    fn notice(&mut self, host: Host) {
        let shown = lead(host.wall, host.elapsed);
        let by = shown.saturating_sub(*self.wall_lead.get_or_insert(shown));
        if by.unsigned_abs() >= STEP {
            self.steps = self.steps.saturating_add(1);
            self.step = by;
            self.wall_lead = Some(shown);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

fn slowly(span: Duration) -> Duration {
    span.saturating_mul(3) / 4
}

fn lead(moment: Timestamp, elapsed: Duration) -> i64 {
    moment.millis().saturating_sub(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// The latest moment handed out, by whichever way.
static LATEST: AtomicI64 = AtomicI64::new(0);
static CLOCK: Mutex<Clock> = Mutex::new(Clock::new());

/// The present moment, never earlier than one handed out before. Every lookup asks, so nobody waits for anybody as long as
/// the wall clock is not behind.
#[must_use]
pub fn now() -> Timestamp {
    let wall = wall();
    let latest = LATEST.fetch_max(wall.millis(), Ordering::Relaxed);
    if wall.millis() >= latest { wall } else { look().now }
}

/// The present moment, and what the host's clock was seen to do.
pub fn look() -> Look {
    look_with(lock())
}

/// Begins not before the log's last moment, for what happens from now on is later. `told`: how far our time was ahead of the
/// host's clock, and when.
pub fn begin_after(last: Timestamp, told: (Timestamp, Duration)) -> Look {
    let mut clock = lock();
    clock.begin_after(last, told, wall());
    look_with(clock)
}

fn lock() -> MutexGuard<'static, Clock> {
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look_with(mut clock: MutexGuard<'_, Clock>) -> Look {
    let host = host();
    clock.begin_at(Timestamp::from_millis(LATEST.load(Ordering::Relaxed)));
    let look = clock.look(host);
    let latest = LATEST.fetch_max(look.now.millis(), Ordering::Relaxed);
    // Somebody who came by the other way was a moment later.
    Look { now: look.now.max(Timestamp::from_millis(latest)), ..look }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Timestamp::from_millis(millis)
}

/// Of the clocks that nobody sets only this one goes on while the machine sleeps (`Instant` and `CLOCK_MONOTONIC` do not):
/// with another, waking up would look like a wall clock that was set forward.
fn elapsed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn host() -> Host {
    let mut before = elapsed();
    for _ in 0..TRIES {
        let wall = wall();
        let after = elapsed();
        if after.saturating_sub(before) <= TOGETHER {
            return Host { wall, elapsed: after };
        }
        before = after;
    }
    Host { wall: wall(), elapsed: elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    /// A host whose clock was right when the machine was up for `second` seconds, and is `off` seconds off now.
    fn host(second: u64, off: i64) -> Host {
        let elapsed = Duration::from_secs(second);
        let wall = Timestamp::from_millis(NOON + i64::try_from(second).unwrap() * 1000 + off * 1000);
        Host { wall, elapsed }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(NOON + second * 1000)
    }

    #[test]
    fn a_wall_clock_that_goes_on_is_our_time() {
        let mut clock = Clock::new();
        for second in [0, 1, 1, 60, 86_400] {
            let look = clock.look(host(second, 0));
            assert_eq!(look.now, host(second, 0).wall);
            assert_eq!((look.ahead, look.steps, look.lead), (Duration::ZERO, 0, NOON));
        }
    }

    #[test]
    fn time_goes_on_at_three_quarters_while_the_wall_clock_is_behind() {
        let mut clock = Clock::new();
        let _ = clock.look(host(0, 0));
        // Until it is seen that the clock was set back, time goes on as it did.
        assert_eq!(clock.look(host(100, -3600)).now, at(100));
        assert_eq!(clock.look(host(104, -3600)).now, at(103));
        let half = clock.look(host(100 + 7200, -3600));
        assert_eq!((half.now, half.ahead), (at(100 + 5400), Duration::from_secs(1800)));
        let over = clock.look(host(100 + 4 * 3600, -3600));
        assert_eq!((over.now, over.ahead), (at(100 + 3 * 3600), Duration::ZERO));
        assert_eq!(clock.look(host(100 + 4 * 3600 + 10, -3600)).now, at(110 + 3 * 3600));
        // The next time begins where it is seen.
        assert_eq!(clock.look(host(200 + 4 * 3600, -7200)).now, at(200 + 3 * 3600));
    }

    #[test]
    fn time_goes_on_however_often_it_is_asked() {
        let mut clock = Clock::new();
        let _ = clock.look(host(0, 0));
        let mut last = at(0);
        for millis in 0..1000 {
            let mut host = host(1, -600);
            host.elapsed += Duration::from_millis(millis);
            last = clock.look(host).now;
        }
        assert_eq!(last.millis(), at(1).millis() + 749);
    }

    #[test]
    fn it_never_goes_back_whatever_the_wall_clock_does() {
        let mut clock = Clock::new();
        let mut last = Timestamp::EARLIEST;
        for (second, off) in
            (0..4000).zip([0, -3600, -3600, -10, -7200, 500, 500, 0, -1, -86_400].into_iter().cycle())
        {
            let now = clock.look(host(second, off)).now;
            assert!(now >= last, "{second}: {now:?} after {last:?}");
            last = now;
        }
    }

    #[test]
    fn it_begins_not_before_what_an_earlier_one_handed_out() {
        let mut clock = Clock::new();
        clock.begin_at(at(600));
        let first = clock.look(host(0, 0));
        assert_eq!((first.now, first.ahead), (at(600), Duration::from_secs(600)));
        assert_eq!(first.steps, 0, "it was not set while we looked");
        assert_eq!(clock.look(host(4, 0)).now, at(603));
        assert_eq!(clock.look(host(2400, 0)).now, at(2400));
        let mut clock = Clock::new();
        clock.begin_at(at(-5));
        assert_eq!(clock.look(host(0, 0)).now, at(0));
    }

    #[test]
    fn a_clock_that_was_ahead_goes_on_while_we_are_away() {
        let ahead = Duration::from_secs(600);
        // It was told at 0, when the wall clock showed ten minutes less, and handed out ten seconds more.
        for (away, expected) in [(0, 10), (8, 10), (100, 75), (2399, 1799), (2400, 1800), (4000, 3400)] {
            let mut clock = Clock::new();
            let host = host(away, -600);
            clock.begin_after(at(10), (at(0), ahead), host.wall);
            assert_eq!(clock.look(host).now.since(at(0)).as_secs(), expected, "{away}");
        }
        let mut clock = Clock::new();
        clock.begin_after(at(10), (at(0), Duration::ZERO), host(1000, -600).wall);
        assert_eq!(clock.look(host(1000, -600)).now, at(400), "the wall clock is right, and not behind");
    }

    #[test]
    fn what_was_handed_out_meanwhile_ends_a_slower_time_that_was_not_seen_to_end() {
        let mut clock = Clock::new();
        let _ = clock.look(host(0, 0));
        let _ = clock.look(host(1, -10));
        // The wall clock caught up, and was handed out by another way.
        clock.begin_at(at(1000));
        assert_eq!(clock.look(host(1009, -10)).now, at(1009));
        assert_eq!(clock.look(host(1013, -10)).now, at(1012));
    }

    #[test]
    fn a_step_of_a_second_is_told_from_a_stall_and_from_less() {
        for (second, off, steps) in [(1, 1, 1), (1, 0, 0), (3600, 0, 0), (3600, -1, 1), (3600, 3600, 1)] {
            let mut clock = Clock::new();
            let _ = clock.look(host(0, 0));
            let look = clock.look(host(second, off));
            assert_eq!((look.steps, look.step), (steps, off * 1000), "{second} {off}");
            // It is seen once.
            assert_eq!(clock.look(host(second + 1, off)).steps, steps);
        }
        let mut clock = Clock::new();
        let _ = clock.look(host(0, 0));
        let mut less = host(1, 0);
        less.wall = less.wall.plus(Duration::from_millis(999));
        assert_eq!(clock.look(less).steps, 0);
    }

    #[test]
    fn the_lead_tells_by_how_much_our_time_has_moved_against_what_was_measured_by_it() {
        let mut clock = Clock::new();
        let before = clock.look(host(0, 0)).lead;
        assert_eq!(clock.look(host(10, 3660)).lead - before, 3_660_000);
        // Set right again it does not go back, but runs more slowly until it has come back.
        assert_eq!(clock.look(host(20, 0)).lead - before, 3_660_000);
        assert_eq!(clock.look(host(20 + 7320, 0)).lead - before, 1_830_000);
        assert_eq!(clock.look(host(20 + 14_640, 0)).lead, before);
    }

    #[test]
    fn ours_goes_on() {
        let (first, second, third) = (now(), look(), now());
        assert!(first <= second.now && second.now <= third);
        assert!(elapsed() > Duration::ZERO);
    }
}
