//! The only reader of time. It never goes back.
//!
//! Knows: the system's clock. Must not know: who asks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::session::Timestamp;

/// The latest moment handed out. A wall clock stepped back must not make a session younger than its last record.
static LATEST: AtomicI64 = AtomicI64::new(0);

/// The present moment, never earlier than one handed out before.
#[must_use]
pub fn now() -> Timestamp {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Timestamp::from_millis(LATEST.fetch_max(millis, Ordering::Relaxed).max(millis))
}
