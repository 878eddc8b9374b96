//! Takes what is told of messages that were written down, what scanners found and Message-IDs: whose the message was, whether that is
//! news, and into the log.
//!
//! Knows: what becomes of a verdict, and what is counted of it. Must not know: how it was told, or what follows from it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::inbox::Inbox;
use crate::audit::past::Lately;
use crate::log::entry::Entry;
use crate::relay::scanned::{By, Finding, Scanned, Whose};
use crate::relay::written::{Noted, Written};
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// How long a verdict waits to be durable: as long as the end of a message.
const COMMIT_WITHIN: Duration = Duration::from_millis(3500);

/// What becomes of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is durable.
    Recorded,
    /// It was told before.
    Known,
    /// It is not known for sure whose the message was: nobody is held to it.
    Nobodys,
    /// It could not be made durable in time.
    Unrecorded,
}

impl Fate {
    /// The word in metrics and in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fate::Recorded => "recorded",
            Fate::Known => "known",
            Fate::Nobodys => "nobodys",
            Fate::Unrecorded => "unrecorded",
        }
    }
}

/// What was found, by which way, and what became of it.
type Counts = BTreeMap<(Finding, By, Fate), u64>;

/// Messages of which a scanner may speak, and what was counted.
#[derive(Debug, Default)]
pub struct Scanning {
    written: Mutex<Written>,
    counts: Mutex<Counts>,
    /// For the metrics.
    pub named: Named,
}

/// What became of Message-IDs.
#[derive(Debug, Default)]
pub struct Named {
    /// Durable.
    pub recorded: AtomicU64,
    /// They could not be made durable in time.
    pub unrecorded: AtomicU64,
}

impl Scanning {
    /// Notes a message that is durable.
    pub fn note(&self, noted: Noted) {
        self.written().note(noted);
    }

    /// Remembers what was written down before a restart: what the index has, and what it still lacks.
    pub fn remember<'a>(&self, lately: &Lately, left: impl Iterator<Item = &'a Outcome>, now: Timestamp) {
        let Lately { messages, message_ids, scanned } = lately;
        let mut written = self.written();
        written.remember(messages, message_ids, scanned, now);
        for outcome in left {
            match outcome {
                Outcome::Message(message, _) => {
                    written.remember(std::slice::from_ref(message), &[], &[], now);
                }
                Outcome::MessageId(id) => written.remember(&[], std::slice::from_ref(id), &[], now),
                Outcome::Scanned(scanned) => written.remember(&[], &[], std::slice::from_ref(scanned), now),
                _ => {}
            }
        }
    }

    /// Writes down the Message-ID of the message of this queue id that came from this address. A customer chooses neither of those.
    pub async fn name(&self, inbox: &Inbox, queue_id: &Name, address: Option<IpAddr>, id: Name) {
        let named = self.written().name(queue_id, address, id);
        let Some(named) = named else { return };
        let durable = match inbox.submit(Entry::MessageId(Box::new(named.clone()))) {
            Some(done) => matches!(tokio::time::timeout(COMMIT_WITHIN, done).await, Ok(Ok(_))),
            None => false,
        };
        let count = if durable { &self.named.recorded } else { &self.named.unrecorded };
        count.fetch_add(1, Ordering::Relaxed);
        if !durable {
            self.written().take_back_name(&named);
        }
    }

    /// Whose the message of this queue id was, that came from this address, if it was written down lately.
    pub fn recall(&self, queue_id: &Name, address: Option<IpAddr>) -> Option<Whose> {
        self.written().recall(queue_id, address).cloned()
    }

    /// Writes a verdict down, unless it was told before or nobody is surely meant.
    pub async fn take(&self, inbox: &Inbox, scanned: Scanned) -> Fate {
        let (finding, by) = (scanned.finding, scanned.by);
        let fate = self.record(inbox, scanned).await;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((finding, by, fate)).or_default();
        *count = count.saturating_add(1);
        fate
    }

    async fn record(&self, inbox: &Inbox, scanned: Scanned) -> Fate {
        if scanned.subjects().next().is_none() {
            return Fate::Nobodys;
        }
        let (queue_id, address, finding) = (scanned.queue_id.clone(), scanned.address, scanned.finding);
        if !self.written().is_news(&queue_id, address, finding, scanned.at) {
            return Fate::Known;
        }
        let done = inbox.submit(Entry::Scanned(Box::new(scanned)));
        let durable = match done {
            Some(done) => matches!(tokio::time::timeout(COMMIT_WITHIN, done).await, Ok(Ok(_))),
            None => false,
        };
        if !durable {
            self.written().take_back(&queue_id, address, finding);
            return Fate::Unrecorded;
        }
        Fate::Recorded
    }

    /// What became of how many, by what was found and by which way.
    pub fn read(&self) -> Vec<((Finding, By, Fate), u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(what, count)| (*what, *count)).collect()
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
