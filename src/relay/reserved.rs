//! What is under way: recipients that were permitted, of messages whose end is not known yet.
//!
//! A message counts when it is written down, which is at its end. Until then what it may become is held for its sender, so that
//! as many connections as a client can open are counted together.
//!
//! What was written down lately is known by its name for a while: an MTA that asks again, as our answer was lost, is answered as
//! before.
//!
//! Knows: amounts by sender and message, for as long as a message may take. Must not know: limits, or what was written down.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashSet};

use super::standing::Subject;
use super::usage::Amount;
use crate::session::{Name, Timestamp};

/// So long something is held for a message of which no end is heard: its client may have gone.
const HELD_FOR: Duration = Duration::from_secs(600);
/// So many messages of one sender are held. Whoever has more under way is limited, or nobody limits it to less.
const MESSAGES_MAX: usize = 1000;
/// So many recipients of one message: more than mail servers take.
const RECIPIENTS_MAX: usize = 10_000;
/// So many messages that were written down are known.
const WRITTEN_MAX: usize = 200_000;
/// How often it is looked for what is held in vain.
const SWEPT_EVERY: Duration = Duration::from_secs(60);

/// Which message: its MTA, and the MTA's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message<'a> {
    /// The MTA.
    pub mta: &'a Name,
    /// Its name for the message.
    pub instance: &'a Name,
}

#[derive(Debug)]
struct Held {
    mta: Name,
    instance: Name,
    /// When something was held last.
    at: Timestamp,
    /// Recipients by their hashes: one that is asked about again is the same.
    recipients: Vec<u64>,
    amount: Amount,
}

impl Held {
    fn is(&self, message: Message<'_>) -> bool {
        self.instance == *message.instance && self.mta == *message.mta
    }
}

/// All that is under way.
#[derive(Debug, Default)]
pub struct Reserved {
    by_subject: HashMap<Subject, Vec<Held>>,
    swept: Timestamp,
    /// Digests of the names of messages: of a few hundred thousand no two are the same.
    written: HashSet<u64>,
    in_order: VecDeque<u64>,
    digest: RandomState,
}

impl Reserved {
    /// What others than this message hold of a window that ends now. What was held before it belongs to none of its messages.
    #[must_use]
    pub fn beside(
        &self,
        subject: &Subject,
        message: Message<'_>,
        window: Duration,
        now: Timestamp,
    ) -> Amount {
        let window = window.min(HELD_FOR);
        let held = self.by_subject.get(subject).into_iter().flatten();
        let others = held.filter(|held| !held.is(message) && now.since(held.at) < window);
        others.fold(Amount::default(), |sum, held| sum.plus(held.amount))
    }

    /// The recipients that this message has so far, beside this one.
    #[must_use]
    pub fn recipients(&self, subject: &Subject, message: Message<'_>, recipient: u64) -> u64 {
        let held = self.by_subject.get(subject).into_iter().flatten().find(|held| held.is(message));
        held.map_or(0, |held| held.recipients.iter().filter(|known| **known != recipient).count() as u64)
    }

    /// Holds one more recipient.
    pub fn recipient(&mut self, subject: &Subject, message: Message<'_>, recipient: u64, now: Timestamp) {
        let Some(held) = self.held(subject, message, now) else { return };
        if held.recipients.len() < RECIPIENTS_MAX && !held.recipients.contains(&recipient) {
            held.recipients.push(recipient);
        }
        let recipients = held.recipients.len() as u64;
        held.amount = Amount { messages: 1, recipients, ..held.amount };
    }

    /// Holds a whole message, until it is written down or not let go.
    pub fn whole(&mut self, subject: &Subject, message: Message<'_>, amount: Amount, now: Timestamp) {
        if let Some(held) = self.held(subject, message, now) {
            held.amount = amount;
        }
    }

    fn held(&mut self, subject: &Subject, message: Message<'_>, now: Timestamp) -> Option<&mut Held> {
        self.forget(now);
        let all = self.by_subject.entry(subject.clone()).or_default();
        all.retain(|held| now.since(held.at) < HELD_FOR);
        if let Some(place) = all.iter().position(|held| held.is(message)) {
            let known = all.swap_remove(place);
            all.push(known);
        } else if all.len() < MESSAGES_MAX {
            let (mta, instance) = (message.mta.clone(), message.instance.clone());
            all.push(Held { mta, instance, at: now, recipients: Vec::new(), amount: Amount::default() });
        } else {
            return None;
        }
        let held = all.last_mut()?;
        held.at = now;
        Some(held)
    }

    /// Whether a message was written down lately. One without a name is never taken for another.
    #[must_use]
    pub fn is_written(&self, message: Message<'_>) -> bool {
        !message.instance.octets().is_empty() && self.written.contains(&self.digest.hash_one(message))
    }

    /// Notes that a message was written down.
    pub fn written(&mut self, message: Message<'_>) {
        if message.instance.octets().is_empty() {
            return;
        }
        let digest = self.digest.hash_one(message);
        if self.written.insert(digest) {
            self.in_order.push_back(digest);
        }
        if self.in_order.len() > WRITTEN_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.written.remove(&oldest);
        }
    }

    /// Gives back what a message held: it was written down, or was not let go.
    pub fn release(&mut self, subject: &Subject, message: Message<'_>) {
        if let Some(all) = self.by_subject.get_mut(subject) {
            all.retain(|held| !held.is(message));
            if all.is_empty() {
                self.by_subject.remove(subject);
            }
        }
    }

    fn forget(&mut self, now: Timestamp) {
        if now.since(self.swept) < SWEPT_EVERY {
            return;
        }
        self.swept = now;
        self.by_subject.retain(|_, all| {
            all.retain(|held| now.since(held.at) < HELD_FOR);
            !all.is_empty()
        });
    }
}
