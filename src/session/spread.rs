//! How a NAS's reports are spread over time.
//!
//! Knows: pauses between interim updates. Must not know: what follows from one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// How long a NAS lets its listeners wait between two interim updates. Some report all sessions in one burst, so that
/// nothing comes for a whole interval; it is looked at over as long as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spread {
    /// The last interim update, and when the present interval began.
    last: Timestamp,
    began: Timestamp,
    /// The longest pause of the present interval.
    longest: Duration,
    /// Those of the two intervals before.
    before: [Option<Duration>; 2],
}

impl Spread {
    pub(super) const UNKNOWN: Spread = Spread {
        last: Timestamp::EARLIEST,
        began: Timestamp::EARLIEST,
        longest: Duration::ZERO,
        before: [None; 2],
    };

    /// An interim update arrived, of a NAS whose sessions report so often. What went before a silence or a gap of ours tells
    /// nothing about the pause: `resumed` is when that was over.
    pub(super) fn note(&mut self, arrival: Timestamp, interval: Duration, resumed: Timestamp) {
        if self.last == Timestamp::EARLIEST || self.last < resumed {
            (self.last, self.began, self.longest) = (arrival, arrival, Duration::ZERO);
            return;
        }
        self.longest = self.longest.max(arrival.since(self.last));
        self.last = self.last.max(arrival);
        if arrival.since(self.began) >= interval {
            self.before = [Some(self.longest), self.before[0]];
            (self.began, self.longest) = (arrival, Duration::ZERO);
        }
    }

    /// The longest pause of two whole intervals, when that much was seen.
    pub(super) fn longest(&self) -> Option<Duration> {
        let [Some(one), Some(other)] = self.before else { return None };
        Some(one.max(other).max(self.longest))
    }
}
