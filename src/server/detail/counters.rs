//! What became of the records of one directory, as numbers for the metrics page and words for the person on call.
//!
//! Knows: numbers. Must not know: how one of them comes about.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::radius::accounting::Ignored;
use crate::radius::detail::Rejected;
use crate::session::Timestamp;

/// A feed that is further behind is told to whoever looks after it; as late as this a record is late to the map.
const BEHIND_AT_MOST: Duration = Duration::from_secs(120);

/// Numbers of one directory.
#[derive(Debug)]
pub struct Counters {
    /// The directory as configured.
    pub directory: String,
    /// Records that the engine took.
    pub accepted: AtomicU64,
    /// Records that change nothing: their status concerns no session, or there is none.
    pub ignored_status: AtomicU64,
    /// Records that change nothing: no Acct-Session-Id.
    pub ignored_session_id: AtomicU64,
    /// Records that change nothing: an Accounting-On or -Off that names no NAS.
    pub ignored_unnamed_nas: AtomicU64,
    /// Text that is no record, by reason in the order of [`Rejected::ALL`].
    pub rejected: [AtomicU64; Rejected::ALL.len()],
    /// Attributes that no dictionary names.
    pub unknown_attributes: AtomicU64,
    /// Lines that can't be read.
    pub unreadable_lines: AtomicU64,
    /// Files that were cut, or replaced by others in their place, and are read from their beginning.
    pub begun_anew: AtomicU64,
    /// Files that were deleted after they were read.
    pub removed: AtomicU64,
    /// Files that can't be read now.
    pub unreadable_files: AtomicU64,
    /// Octets that are not durable yet.
    pub bytes_behind: AtomicU64,
    /// When the oldest record was received that is not durable yet, in milliseconds; `i64::MAX`: there is none.
    pub oldest: AtomicI64,
    /// The directory can't be listed.
    pub unlisted: AtomicBool,
}

impl Counters {
    /// All zero.
    #[must_use]
    pub fn new(directory: String) -> Self {
        Counters {
            directory,
            accepted: AtomicU64::default(),
            ignored_status: AtomicU64::default(),
            ignored_session_id: AtomicU64::default(),
            ignored_unnamed_nas: AtomicU64::default(),
            rejected: Default::default(),
            unknown_attributes: AtomicU64::default(),
            unreadable_lines: AtomicU64::default(),
            begun_anew: AtomicU64::default(),
            removed: AtomicU64::default(),
            unreadable_files: AtomicU64::default(),
            bytes_behind: AtomicU64::default(),
            oldest: AtomicI64::new(i64::MAX),
            unlisted: AtomicBool::default(),
        }
    }

    /// What became of records, with its word.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let taken = [
            ("accepted", read(&self.accepted)),
            ("ignored-status", read(&self.ignored_status)),
            ("ignored-session-id", read(&self.ignored_session_id)),
            ("ignored-unnamed-nas", read(&self.ignored_unnamed_nas)),
        ];
        let rejected = Rejected::ALL.iter().map(|reason| reason.word());
        taken.into_iter().chain(rejected.zip(self.rejected.iter().map(read)))
    }

    /// How long ago the oldest record was received that is not durable yet.
    #[must_use]
    pub fn behind(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_millis(self.oldest.load(Ordering::Relaxed)))
    }

    /// What is not well, in words.
    #[must_use]
    pub fn complaints(&self, now: Timestamp) -> Vec<String> {
        let directory = &self.directory;
        let mut complaints = Vec::new();
        if self.unlisted.load(Ordering::Relaxed) {
            complaints
                .push(format!("feed-unreadable: {directory} cannot be listed; no record is taken from it"));
        }
        match self.unreadable_files.load(Ordering::Relaxed) {
            0 => {}
            files => complaints.push(format!("feed-unreadable: {files} files in {directory} cannot be read")),
        }
        let behind = self.behind(now);
        if behind > BEHIND_AT_MOST {
            let seconds = behind.as_secs();
            complaints.push(format!("feed-behind: what is read in {directory} is {seconds} s old"));
        }
        complaints
    }

    pub(super) fn count_rejected(&self, rejected: Rejected) {
        let place = Rejected::ALL.iter().position(|reason| *reason == rejected);
        if let Some(counter) = place.and_then(|place| self.rejected.get(place)) {
            count(counter);
        }
    }

    pub(super) fn count_ignored(&self, ignored: Ignored) {
        count(match ignored {
            Ignored::NoStatus | Ignored::OtherStatus(_) => &self.ignored_status,
            Ignored::NoSessionId => &self.ignored_session_id,
            Ignored::UnnamedNas => &self.ignored_unnamed_nas,
        });
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_two_minutes_behind_is_no_complaint_and_a_second_more_is() {
        let counters = Counters::new("/d".to_owned());
        let at = Timestamp::from_seconds;
        assert_eq!(counters.complaints(at(1000)), Vec::<String>::new());
        counters.oldest.store(at(880).millis(), Ordering::Relaxed);
        assert_eq!(counters.complaints(at(1000)), Vec::<String>::new());
        assert_eq!(counters.complaints(at(1001)), ["feed-behind: what is read in /d is 121 s old"]);
    }

    #[test]
    fn every_outcome_has_a_word_of_its_own() {
        let counters = Counters::new(String::new());
        counters.count_rejected(Rejected::TwoInOne);
        counters.count_ignored(Ignored::UnnamedNas);
        let outcomes: Vec<_> = counters.outcomes().filter(|(_, count)| *count > 0).collect();
        assert_eq!(outcomes, [("ignored-unnamed-nas", 1), ("two-in-one", 1)]);
    }
}
