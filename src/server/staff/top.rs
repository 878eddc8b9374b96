//! Who sent most, from the counts by the minute; and what they sent in the same hours on the days before.
//!
//! Knows: which windows are compared. Must not know: how anything is counted.

use std::time::Duration;

use crate::audit::AuditError;
use crate::audit::past::Past;
use crate::audit::top::{Window, usual};
use crate::server::http::top::{TopFilter, TopRow};
use crate::session::Timestamp;

/// Days before.
const DAYS: u64 = 7;
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn top(past: &Past, filter: &TopFilter) -> Result<Vec<TopRow>, AuditError> {
    let (known_from, lost_from) = past.known_from()?;
    // What is lost in part tells of nothing usual.
    let known_from = known_from.filter(|_| lost_from.is_none());
    let windows = known_from.map(|known_from| before(filter, known_from)).unwrap_or_default();
    let since = windows.iter().map(|(since, _)| *since).min();
    let mut rows = Vec::new();
    for (subject, sum) in past.top(filter.by, filter.since, filter.until, filter.limit)? {
        let usual = match since {
            Some(since) => usual(filter.by, &past.minutes(&subject, since, filter.since)?, &windows),
            None => None,
        };
        let (kind, name) = (subject.kind(), subject.name());
        rows.push(TopRow {
            kind: kind.to_owned(),
            subject: name.to_string(),
            messages: sum.messages,
            recipients: sum.recipients,
            bytes: sum.octets,
            usual: usual.map(|usual| usual.average),
            most_before: usual.map(|usual| usual.most),
        });
    }
    Ok(rows)
}

/// The same hours on the days before, as far as they are known; a time of more than a day is compared with times that begin as
/// many whole days earlier.
fn before(filter: &TopFilter, known_from: Timestamp) -> Vec<Window> {
    let days = filter.until.since(filter.since).as_secs().div_ceil(DAY.as_secs()).max(1);
    let back =
        |window: u64| DAY.saturating_mul(u32::try_from(window.saturating_mul(days)).unwrap_or(u32::MAX));
    let windows = (1..=DAYS.div_ceil(days)).map(back);
    windows
        .map(|back| (filter.since.minus(back), filter.until.minus(back)))
        .take_while(|(since, _)| *since >= known_from)
        .collect()
}
