//! How often something is complained about in the journal.
//!
//! Knows: what was written, and when. Must not know: what a complaint is about.

use std::time::Duration;

use crate::session::Timestamp;

/// At most one line per topic in this time: an attacker must not be able to fill the disk.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets the first complaint of each kind through, then at most one in ten seconds, with the number left out.
#[derive(Debug)]
pub(super) struct Complaints<T> {
    /// A handful of topics: a list is enough.
    written: Vec<(T, Timestamp, u64)>,
}

impl<T> Default for Complaints<T> {
    fn default() -> Self {
        Complaints { written: Vec::new() }
    }
}

impl<T: PartialEq> Complaints<T> {
    /// How many were left out since the last one, when this one is to be written.
    pub(super) fn due(&mut self, topic: T, now: Timestamp) -> Option<u64> {
        let Some((_, last, left_out)) = self.written.iter_mut().find(|(known, ..)| *known == topic) else {
            self.written.push((topic, now, 0));
            return Some(0);
        };
        if now.since(*last) < INTERVAL {
            *left_out = left_out.saturating_add(1);
            return None;
        }
        *last = now;
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_written_once_in_ten_seconds_and_counts_what_was_left_out() {
        let at = |millis: i64| Timestamp::from_millis(1_000_000 + millis);
        let mut complaints = Complaints::default();
        assert_eq!(complaints.due("code", at(0)), Some(0));
        assert_eq!(complaints.due("code", at(1)), None);
        assert_eq!(complaints.due("queue", at(1)), Some(0));
        assert_eq!(complaints.due("code", at(9_999)), None);
        assert_eq!(complaints.due("code", at(10_000)), Some(2));
    }
}
