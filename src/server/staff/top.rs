//! Who sent most: walks the messages of a time and of the same hours on the days before, as many as a question may cost.
//!
//! Knows: how many messages are walked at most. Must not know: what is made of the counts.

use std::time::Duration;

use crate::audit::AuditError;
use crate::audit::past::Past;
use crate::audit::rows::MessageFilter;
use crate::audit::top::{Counts, Sender, senders};
use crate::server::http::top::{TopFilter, TopRow};

/// Messages of the time that is asked about.
const COUNTED_MAX: usize = 50_000;
/// Messages of each day before: what is usual need not be exact.
const COUNTED_BEFORE_MAX: usize = 20_000;
/// Days before.
const DAYS: u64 = 7;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Walks them.
pub(super) fn top(past: &Past, filter: &TopFilter) -> Result<Vec<TopRow>, AuditError> {
    let (counts, whole) = counted(past, filter, Duration::ZERO, COUNTED_MAX)?;
    let (mut before, mut all_whole) = (Vec::new(), whole);
    // A time of more than a day is compared with times that begin as many days earlier.
    let days = filter.until.since(filter.since).as_secs().div_ceil(DAY.as_secs()).max(1);
    for window in 1..=DAYS.div_ceil(days) {
        let back = DAY.saturating_mul(u32::try_from(window.saturating_mul(days)).unwrap_or(u32::MAX));
        let (earlier, whole) = counted(past, filter, back, COUNTED_BEFORE_MAX)?;
        // A day on which nobody sent anything is one of which nothing is kept.
        if !earlier.0.is_empty() {
            before.push(earlier);
            all_whole &= whole;
        }
    }
    let rows = senders(filter.by, counts, &before, filter.limit);
    let row = |Sender { subscriber, count, usual, most_before }| TopRow {
        subscriber: subscriber.to_string(),
        messages: count.messages,
        recipients: count.recipients,
        bytes: count.bytes,
        usual,
        most_before,
        at_least: !all_whole,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The counts of a time, so much earlier; and whether all of it was counted.
fn counted(
    past: &Past,
    filter: &TopFilter,
    back: Duration,
    most: usize,
) -> Result<(Counts, bool), AuditError> {
    let filter = MessageFilter {
        since: Some(filter.since.minus(back)),
        until: Some(filter.until.minus(back)),
        limit: most,
        ..MessageFilter::default()
    };
    let messages = past.messages(&filter)?;
    let mut counts = Counts::default();
    messages.iter().for_each(|message| counts.add(message));
    Ok((counts, messages.len() < most))
}
