//! When something that was not taken is tried again, and when it is given up.
//!
//! | the receiver | then |
//! |---|---|
//! | took it | the next one |
//! | is away, slow, or says 408, 429 or 5xx | again, until it is four days old |
//! | refuses it: any other answer, a command that fails | again for an hour, as somebody may be mending it; then the next one |
//!
//! Knows: this table. Must not know: what time it is, what an answer looks like, or how chance comes about: both are arguments.

use std::time::Duration;

/// The first time that is waited for, at most.
const FIRST: Duration = Duration::from_secs(1);
/// The longest time, unless the receiver asks for more.
const LONGEST: Duration = Duration::from_secs(300);
/// However long a receiver asks to be left alone.
const ASKED_AT_MOST: Duration = Duration::from_secs(3600);
/// What is refused blocks what comes behind it for so long.
const REFUSED_FOR: Duration = Duration::from_secs(3600);
/// What is older than this is told no more. It may name people, and none of the past need be kept for longer than this.
pub const KEPT: Duration = Duration::from_secs(4 * 24 * 3600);

/// What came of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is taken.
    Taken,
    /// Not now, and perhaps how long to wait.
    Later(Option<Duration>),
    /// Not this.
    Refused,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on with the next one.
    Done,
    /// Try again after so long.
    Again(Duration),
    /// Go on with the next one; this one is lost.
    GiveUp,
}

/// How often something was tried, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    /// So often in vain, this time included.
    pub times: u32,
    /// How long ago it was to be told for the first time.
    pub age: Duration,
    /// How long ago it was refused for the first time, if it was.
    pub refused: Option<Duration>,
}

/// What follows. `dice` is any number; receivers that come back are not to be asked by everybody at the same moment.
#[must_use]
pub fn next(said: Said, tried: Tried, dice: u32) -> Next {
    let asked = match said {
        Said::Taken => return Next::Done,
        _ if tried.age >= KEPT => return Next::GiveUp,
        Said::Refused if tried.refused.is_some_and(|since| since >= REFUSED_FOR) => return Next::GiveUp,
        Said::Refused => Duration::ZERO,
        Said::Later(asked) => asked.unwrap_or_default().min(ASKED_AT_MOST),
    };
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(tried.times.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(LONGEST);
    // Half of it surely, the other half by chance.
    let part = whole.saturating_mul(dice % 1000) / 2000;
    Next::Again((whole / 2).saturating_add(part).max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn tried(times: u32) -> Tried {
        Tried { times, ..Tried::default() }
    }

    #[test]
    fn what_is_waited_for_doubles_up_to_five_minutes_and_half_of_it_is_chance() {
        for (times, least, most) in
            [(1, 500, 1000), (2, 1000, 2000), (9, 128_000, 256_000), (10, 150_000, 300_000)]
        {
            for dice in [0, 1, 499, 999, u32::MAX] {
                let Next::Again(wait) = next(Said::Later(None), tried(times), dice) else { panic!() };
                let wait = wait.as_millis();
                assert!((least..=most).contains(&wait), "{times} {dice}: {wait}");
            }
        }
        for times in [32, 33, 64, u32::MAX] {
            assert!(
                matches!(next(Said::Later(None), tried(times), 0), Next::Again(wait) if wait == seconds(150))
            );
        }
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_up_to_an_hour() {
        for (asked, waited) in [(0, 0), (20, 20), (3600, 3600), (3601, 3600), (u64::MAX, 3600)] {
            let Next::Again(wait) = next(Said::Later(Some(seconds(asked))), tried(1), 0) else { panic!() };
            assert_eq!(wait, seconds(waited).max(Duration::from_millis(500)), "{asked}");
        }
    }

    #[test]
    fn what_is_refused_is_tried_for_an_hour_and_what_is_not_taken_for_four_days() {
        let refused = |since| Tried { refused: Some(since), ..tried(20) };
        assert!(matches!(next(Said::Refused, refused(seconds(3599)), 0), Next::Again(_)));
        assert_eq!(next(Said::Refused, refused(seconds(3600)), 0), Next::GiveUp);
        // Refused once and away since then: it may have been mended.
        assert!(matches!(next(Said::Later(None), refused(seconds(3600)), 0), Next::Again(_)));
        let old = |age| Tried { age, ..tried(1000) };
        assert!(matches!(next(Said::Later(None), old(KEPT - seconds(1)), 0), Next::Again(_)));
        assert_eq!(next(Said::Later(None), old(KEPT), 0), Next::GiveUp);
        assert_eq!(next(Said::Taken, old(KEPT), 0), Next::Done, "late is better than never");
    }

    /// A receiver that is away for an hour, while something is to be told every minute.
    #[test]
    fn an_hour_without_a_receiver_loses_nothing_keeps_the_order_and_asks_it_few_times() {
        let (back, end) = (seconds(3600), seconds(7200));
        let mut waiting =
            (0..60).map(|minute| seconds(minute * 60)).collect::<std::collections::VecDeque<_>>();
        let (mut now, mut times, mut asked, mut taken) = (Duration::ZERO, 0, 0, Vec::new());
        while let Some(&told) = waiting.front() {
            now = now.max(told);
            assert!(now < end, "{} are left", waiting.len());
            let said = if now < back { Said::Later(None) } else { Said::Taken };
            asked += u32::from(now < back);
            times += 1;
            match next(said, Tried { times, age: now - told, refused: None }, times * 7919) {
                Next::Done => {
                    taken.push((told, now));
                    waiting.pop_front();
                    times = 0;
                }
                Next::Again(wait) => now += wait,
                Next::GiveUp => panic!("{told:?} is given up"),
            }
        }
        assert_eq!(taken.len(), 60);
        assert!(taken.is_sorted(), "the order is kept");
        assert!(asked < 40, "asked {asked} times while it was away");
        assert!(taken.iter().all(|(_, now)| *now <= back + LONGEST), "all of it within five minutes");
    }
}
