//! Who sent most, and how that compares with what they usually send.
//!
//! Knows: how a usual amount is made of earlier windows. Must not know: where counts come from.

use super::rows::{Count, Sum};
use crate::session::Timestamp;

/// From then on, and before then.
pub type Window = (Timestamp, Timestamp);

/// What is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// On average, rounded to the nearest.
    pub average: u64,
    /// The most in one window.
    pub most: u64,
}

/// What is usual in windows like these, by somebody's minutes; `None`: there are no such windows.
#[must_use]
pub fn usual(by: Count, minutes: &[(Timestamp, Sum)], windows: &[Window]) -> Option<Usual> {
    let sum = |(since, until): &Window| {
        let within = minutes.iter().filter(|(at, _)| since <= at && at < until);
        within.fold(0_u64, |sum, (_, each)| sum.saturating_add(each.of(by)))
    };
    let count = u64::try_from(windows.len()).unwrap_or(u64::MAX);
    let most = windows.iter().map(sum).max()?;
    let all = windows.iter().map(sum).fold(0_u64, u64::saturating_add);
    Some(Usual { average: all.saturating_add(count / 2).checked_div(count)?, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_seconds(minute * 60)
    }

    fn minute(minute: i64, messages: u64) -> (Timestamp, Sum) {
        (at(minute), Sum { messages, recipients: messages * 2, octets: messages * 1000 })
    }

    #[test]
    fn usual_is_the_average_of_the_windows_before_also_of_those_in_which_nothing_was_sent() {
        let minutes = [minute(0, 9), minute(9, 1), minute(10, 100), minute(20, 1), minute(29, 1)];
        let windows = [(at(0), at(10)), (at(20), at(30)), (at(40), at(50))];
        assert_eq!(usual(Count::Messages, &minutes, &windows), Some(Usual { average: 4, most: 10 }));
        assert_eq!(usual(Count::Recipients, &minutes, &windows), Some(Usual { average: 8, most: 20 }));
        assert_eq!(usual(Count::Octets, &[], &windows), Some(Usual { average: 0, most: 0 }));
        assert_eq!(usual(Count::Messages, &minutes, &[]), None);
    }
}
