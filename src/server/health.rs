//! What is well with us and what is not, for whoever asks and for those who must act on it.
//!
//! Knows: flags and their words. Must not know: who sets them, or what is done about it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::log::LogError;
use crate::session::Timestamp;

/// While all is well something is written every five seconds, if only that we listen. So long without is not well.
const COMMITS_AT_LEAST: Duration = Duration::from_secs(15);

/// Our time is ahead of the host's clock by more than this, and whoever compares our answers with other logs must know.
pub(super) const WORTH_SAYING: Duration = Duration::from_secs(2);

/// Shared by everybody.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    accepting: Arc<AtomicBool>,
    became_ready: Notify,
    stopping: AtomicBool,
    storage_failing: AtomicBool,
    index_failing: AtomicBool,
    index_given_up: AtomicBool,
    retention_failing: AtomicBool,
    deaf: AtomicBool,
    last_commit: AtomicI64,
    /// Milliseconds.
    ahead: AtomicU64,
    storage_said: Mutex<String>,
}

impl Health {
    /// Whether lookups are true: the map is whole as far as the log goes.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says that lookups are true from now on.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
        self.accepting.store(!self.is_storage_failing(), Ordering::Release);
        self.became_ready.notify_waiters();
    }

    /// Returns once lookups are true.
    pub async fn until_ready(&self) {
        loop {
            let notified = self.became_ready.notified();
            if self.is_ready() {
                return;
            }
            notified.await;
        }
    }

    /// Whether what is reported to us cannot be taken: the log refuses, or a commit hangs. What is known is then old
    /// knowledge, and what is not known may be so.
    #[must_use]
    pub fn is_blind(&self, now: Timestamp) -> bool {
        let deaf = self.deaf.load(Ordering::Acquire);
        deaf || self.is_storage_failing()
            || self.is_ready() && now.since(self.last_commit()) > COMMITS_AT_LEAST
    }

    /// Says whether there is a time behind us in which nothing could be taken, and which is not folded yet.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Release);
    }

    /// Says that nothing more is indexed until the next start.
    pub fn give_up_index(&self) {
        self.index_given_up.store(true, Ordering::Release);
    }

    /// Whether nothing is indexed any more until the next start.
    #[must_use]
    pub fn is_index_given_up(&self) -> bool {
        self.index_given_up.load(Ordering::Acquire)
    }

    /// Looks whether a commit hangs: no error says so.
    pub fn look(&self, now: Timestamp) {
        self.accepting.store(self.is_ready() && !self.is_blind(now), Ordering::Release);
    }

    /// Whether accounting is taken: ready, and able to write. A NAS that asks (Status-Server) gets silence otherwise, so
    /// that it turns to another server of its list.
    #[must_use]
    pub fn accepting(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.accepting)
    }

    /// Whether we were told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Says that we were told to stop.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the log can't be written, so that nothing can be acknowledged.
    #[must_use]
    pub fn is_storage_failing(&self) -> bool {
        self.storage_failing.load(Ordering::Acquire)
    }

    /// Says that the log refused.
    pub fn storage_failed(&self, error: &LogError) {
        *self.storage_said.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
        self.storage_failing.store(true, Ordering::Release);
        self.accepting.store(false, Ordering::Release);
    }

    /// Says that a batch became durable.
    pub fn committed(&self, at: Timestamp) {
        self.last_commit.store(at.millis(), Ordering::Relaxed);
        if self.storage_failing.swap(false, Ordering::AcqRel) {
            self.accepting.store(self.is_ready(), Ordering::Release);
        }
    }

    /// When a batch became durable last.
    #[must_use]
    pub fn last_commit(&self) -> Timestamp {
        Timestamp::from_millis(self.last_commit.load(Ordering::Relaxed))
    }

    /// Whether the audit index can't be written.
    #[must_use]
    pub fn is_index_failing(&self) -> bool {
        self.index_failing.load(Ordering::Acquire)
    }

    /// Says whether what is too old can be removed.
    pub fn set_retention_failing(&self, failing: bool) {
        self.retention_failing.store(failing, Ordering::Release);
    }

    /// Says whether the audit index can be written.
    pub fn set_index_failing(&self, failing: bool) {
        self.index_failing.store(failing, Ordering::Release);
    }

    /// Says how far our time is ahead of the host's clock.
    pub fn set_ahead(&self, ahead: Duration) {
        self.ahead.store(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Everything that is not well, in words for the person on call.
    #[must_use]
    pub fn complaints(&self, now: Timestamp) -> Vec<String> {
        let mut complaints = Vec::new();
        if !self.is_ready() {
            complaints.push("starting: the log is being read".to_owned());
        }
        if self.is_storage_failing() {
            let said = self.storage_said.lock().unwrap_or_else(PoisonError::into_inner);
            complaints.push(format!("storage-failing: nothing is acknowledged: {said}"));
        } else if self.is_blind(now) {
            let waited = now.since(self.last_commit()).as_secs();
            complaints.push(format!(
                "storage-hanging: nothing was written for {waited} s, nothing is acknowledged"
            ));
        }
        if self.index_failing.load(Ordering::Acquire) {
            complaints.push("index-failing: the audit index cannot be written".to_owned());
        }
        if self.retention_failing.load(Ordering::Acquire) {
            let what =
                "retention-failing: what is older than [retention] says cannot be removed; the log says why";
            complaints.push(what.to_owned());
        }
        if self.index_given_up.load(Ordering::Acquire) {
            let what = "index-given-up: the past is not filled any more until a restart, which refills it from the log";
            complaints.push(what.to_owned());
        }
        let ahead = Duration::from_millis(self.ahead.load(Ordering::Relaxed));
        if ahead > WORTH_SAYING {
            let (ahead, agree) = (ahead.as_secs(), ahead.as_secs().saturating_mul(4) / 60 + 1);
            complaints.push(format!(
                "clock-set-back: times here are {ahead} s ahead of this machine's clock, and of other logs; they agree again \
                 within {agree} min"
            ));
        }
        if self.is_stopping() {
            complaints.push("stopping".to_owned());
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_our_time_is_ahead_of_the_machines_clock_is_told_from_two_seconds_on() {
        let health = Health::default();
        health.set_ready();
        let now = Timestamp::from_seconds(1_800_000_000);
        health.committed(now);
        for (millis, told) in [(0, false), (2000, false), (2001, true), (1_800_000, true), (0, false)] {
            health.set_ahead(Duration::from_millis(millis));
            let complaints = health.complaints(now);
            assert_eq!(complaints.len(), usize::from(told), "{millis}");
            if millis == 1_800_000 {
                let expected = "clock-set-back: times here are 1800 s ahead of this machine's clock, and of other logs; they \
                                agree again within 121 min";
                assert_eq!(complaints, [expected]);
            }
        }
    }
}
