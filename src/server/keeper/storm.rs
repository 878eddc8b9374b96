//! When the past is filled later, because everybody comes online at once.
//!
//! Knows: numbers and times. Must not know: what waits, or where it goes.
//!
//! What the index would take of the processors is wanted for acknowledgements then, and a NAS that is not answered sends again.
//! Stepping back by priority alone is not enough: a thread that runs goes on for some milliseconds before one that has something more
//! urgent to do takes its place, and each batch passes several threads.

use std::time::Duration;

/// How long is looked whether there is a storm.
pub(super) const A_MOMENT: Duration = Duration::from_millis(10);

/// So many outcomes within [`A_MOMENT`] are one.
const STORM: u64 = 100;

/// Nothing waits any longer than this ...
const WAITS_FOR: Duration = Duration::from_secs(5);

/// ... nor when more waits than this part of what there is room for.
const PART: u32 = 8;

/// Whether the index waits on, having waited so long.
pub(super) fn may_wait(behind: u64, room: u32, waited: Duration) -> bool {
    behind <= u64::from(room / PART) && waited < WAITS_FOR
}

/// Whether there is a storm, by what the index was behind before and after [`A_MOMENT`].
pub(super) fn is_storm(before: u64, after: u64) -> bool {
    after.saturating_sub(before) >= STORM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_outcomes_a_second_are_a_storm() {
        assert!(is_storm(1000, 1100));
        assert!(!is_storm(1000, 1099));
        assert!(!is_storm(1000, 900));
    }

    #[test]
    fn a_storm_is_waited_for_five_seconds_and_to_an_eighth_of_the_room_at_most() {
        let just = WAITS_FOR - Duration::from_millis(1);
        assert!(may_wait(250_000, 2_000_000, just));
        assert!(!may_wait(250_001, 2_000_000, just));
        assert!(!may_wait(250_000, 2_000_000, WAITS_FOR));
    }
}
