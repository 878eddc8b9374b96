//! How far the audit index is, and how far somebody waits for it to be.
//!
//! Knows: two sequences. Must not know: who fills the index, or what is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// What is in the index, and what is wanted to be.
#[derive(Debug)]
pub struct Reached {
    sequence: watch::Sender<u64>,
    wanted: AtomicU64,
}

impl Reached {
    /// An index that has everything up to this entry.
    #[must_use]
    pub fn new(sequence: u64) -> Self {
        Reached { sequence: watch::Sender::new(sequence), wanted: AtomicU64::new(0) }
    }

    /// The last entry that is in it.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        *self.sequence.borrow()
    }

    /// Everything up to this entry is in it.
    pub fn set(&self, sequence: u64) {
        self.sequence.send_replace(sequence);
    }

    /// Waits for an entry to be in it. Whether it is, in time.
    pub async fn wait_for(&self, sequence: u64, within: Duration) -> bool {
        self.wanted.fetch_max(sequence, Ordering::Relaxed);
        let mut reached = self.sequence.subscribe();
        let there = reached.wait_for(|reached| *reached >= sequence);
        matches!(tokio::time::timeout(within, there).await, Ok(Ok(_)))
    }

    /// Whether somebody waits, or has waited, for what is not in it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > self.sequence()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_is_wanted_until_it_is_there() {
        let (reached, within) = (Reached::new(1), Duration::ZERO);
        assert!(reached.wait_for(1, within).await && !reached.is_wanted());
        assert!(!reached.wait_for(3, within).await && reached.is_wanted());
        reached.set(2);
        assert!(reached.is_wanted());
        reached.set(3);
        assert!(!reached.is_wanted() && reached.wait_for(3, within).await);
    }
}
