//! How often one session reports.
//!
//! Knows: what was announced, and the gaps between interim updates. Must not know: what an update says, or what follows when
//! one does not come.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Interim updates closer together than this were triggered by something and say nothing about the interval.
const SHORTEST_INTERVAL: u32 = 60;

/// A session's interim interval in seconds: announced by the NAS, or learned from two gaps that agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Interval {
    seconds: u32,
    announced: bool,
    last_gap: u32,
}

impl Interval {
    pub(super) fn known(self) -> Option<u32> {
        (self.seconds > 0).then_some(self.seconds)
    }

    pub(super) fn announce(&mut self, seconds: u32) {
        *self = Interval { seconds, announced: true, last_gap: self.last_gap };
    }

    /// Learns from the gap between two interim updates. Two in a row must agree within a fifth: an update that was
    /// triggered by an address change is followed by a gap that does not.
    pub(super) fn learn(&mut self, gap: Duration) {
        let gap = u32::try_from(gap.as_secs()).unwrap_or(u32::MAX);
        if self.announced || gap < SHORTEST_INTERVAL {
            return;
        }
        if gap.abs_diff(self.last_gap) <= gap / 5 {
            self.seconds = gap.max(self.last_gap);
        }
        self.last_gap = gap;
    }
}
