//! From where on a measure is a signal: a floor below which nothing is one, and how much more than usual it must be.
//!
//! Knows: the operator's numbers, and their defaults. Must not know: where they are written.

use std::time::Duration;

use super::measure::Measure;

/// For one measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Below it nothing is a signal.
    pub floor: u64,
    /// So many times what is usual on such a day, in tenths.
    pub tenths: u32,
}

/// `[trend]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    /// Whether there are signals at all.
    pub signals: bool,
    /// Nothing is a signal before messages were counted for so long.
    pub learn: Duration,
    /// For each measure, in the order of [`Measure::ALL`].
    pub of: [Threshold; Measure::ALL.len()],
}

impl Threshold {
    /// Where nobody has said anything else. docs/trends.md has the simulation by which they were chosen.
    #[must_use]
    pub fn default_of(measure: Measure) -> Threshold {
        let (floor, tenths) = match measure {
            Measure::Messages | Measure::Hours => (600, 40),
            Measure::Recipients => (1000, 40),
            Measure::Domains | Measure::Refused => (200, 40),
            Measure::NewDomains => (60, 40),
            Measure::Strangers => (6, 20),
            Measure::Senders => (60, 30),
            Measure::Helo => (20, 30),
            Measure::Spam => (10, 40),
            Measure::Virus => (1, 20),
            Measure::Addresses => (20, 30),
        };
        Threshold { floor, tenths }
    }

    /// From where on it is a signal, where so much is usual on such a day and so much is the most of all days.
    pub(super) fn reached_at(&self, such: u64, most: u64) -> u64 {
        let times = |value: u64, tenths: u64| value.saturating_mul(tenths).div_ceil(10);
        // Who has a great day now and then has it on any weekday.
        let beyond_most = times(most, 15).max(most.saturating_add(1));
        self.floor.max(times(such, self.tenths.into())).max(beyond_most)
    }

    /// Of whom nothing was known two days ago everything is new, be it no stranger than the first day of others.
    pub(super) fn of_a_newcomer(&self) -> u64 {
        self.floor.saturating_mul(3).div_ceil(2)
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        let of = Measure::ALL.map(Threshold::default_of);
        Thresholds { signals: true, learn: Duration::from_secs(7 * 86_400), of }
    }
}

impl Thresholds {
    /// Each measure with its threshold.
    pub fn iter(&self) -> impl Iterator<Item = (Measure, &Threshold)> {
        Measure::ALL.into_iter().zip(&self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_takes_the_floor_more_than_usual_and_more_than_ever() {
        let threshold = Threshold { floor: 100, tenths: 40 };
        assert_eq!(threshold.reached_at(25, 66), 100);
        assert_eq!(threshold.reached_at(26, 0), 104);
        assert_eq!(threshold.reached_at(0, 67), 101);
        assert_eq!(threshold.reached_at(0, 400), 600);
        assert_eq!(Threshold { floor: 0, tenths: 40 }.reached_at(0, 0), 1, "nothing is never a signal");
    }
}
