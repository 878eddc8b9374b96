//! Who sent most, and how that compares with what they usually send: from counts to rows.
//!
//! Knows: what is counted, and how a usual amount is made of earlier windows. Must not know: where the counts come from.

use std::collections::HashMap;

use crate::relay::message::Message;
use crate::session::Name;

/// By what senders are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measure {
    /// Messages.
    #[default]
    Messages,
    /// Recipients, all of them.
    Recipients,
    /// Octets, each message once.
    Bytes,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 3] = [Measure::Messages, Measure::Recipients, Measure::Bytes];

    /// The word in the API and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Measure::Messages => "messages",
            Measure::Recipients => "recipients",
            Measure::Bytes => "bytes",
        }
    }

    /// The measure of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Measure> {
        Measure::ALL.into_iter().find(|measure| measure.word() == word)
    }
}

/// What one subscriber sent in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Recipients of all of them.
    pub recipients: u64,
    /// Octets of all of them.
    pub bytes: u64,
}

impl Count {
    /// One of the three.
    #[must_use]
    pub fn by(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Messages => self.messages,
            Measure::Recipients => self.recipients,
            Measure::Bytes => self.bytes,
        }
    }

    /// One more message.
    pub fn add(&mut self, recipients: u32, size: u64) {
        self.messages = self.messages.saturating_add(1);
        self.recipients = self.recipients.saturating_add(u64::from(recipients));
        self.bytes = self.bytes.saturating_add(size);
    }
}

/// What everybody sent in one window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(pub HashMap<Name, Count>);

impl Counts {
    /// Counts a message of one owner; of several nobody is accused.
    pub fn add(&mut self, message: &Message) {
        let [owner] = message.owners.as_slice() else { return };
        if let Some(name) = &owner.subscriber {
            self.0.entry(name.clone()).or_default().add(message.recipient_count, message.size);
        }
    }
}

/// A sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Who.
    pub subscriber: Name,
    /// What they sent in the window.
    pub count: Count,
    /// What they sent in an earlier window of that length, on average; `None`: there is none to compare with.
    pub usual: Option<u64>,
    /// The most in one of them.
    pub most_before: Option<u64>,
}

/// Those who sent most, the most first; those who sent the same by name. `before` are earlier windows of the same length in
/// which something was counted at all.
#[must_use]
pub fn senders(by: Measure, counts: Counts, before: &[Counts], limit: usize) -> Vec<Sender> {
    let mut all: Vec<(Name, Count)> = counts.0.into_iter().collect();
    all.sort_by(|(one, a), (other, b)| {
        b.by(by).cmp(&a.by(by)).then_with(|| one.octets().cmp(other.octets()))
    });
    all.truncate(limit);
    let windows = u64::try_from(before.len()).unwrap_or(u64::MAX);
    let sender = |(subscriber, count): (Name, Count)| {
        let earlier = before.iter().map(|counts| counts.0.get(&subscriber).map_or(0, |count| count.by(by)));
        let sum = earlier.clone().fold(0_u64, u64::saturating_add);
        // Rounded to the nearest, so that one message in seven days is none a day.
        let usual = sum.saturating_add(windows / 2).checked_div(windows);
        let most_before = earlier.max();
        Sender { subscriber, count, usual, most_before }
    };
    all.into_iter().map(sender).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> Counts {
        let each = |(name, messages): &(&str, u64)| {
            let count = Count { messages: *messages, recipients: messages * 2, bytes: 1000 - messages };
            (Name::from(*name), count)
        };
        Counts(all.iter().map(each).collect())
    }

    fn named(senders: &[Sender]) -> Vec<String> {
        senders.iter().map(|sender| sender.subscriber.to_string()).collect()
    }

    #[test]
    fn the_most_comes_first_and_equals_are_in_the_order_of_their_names() {
        let all = || counts(&[("b", 5), ("a", 5), ("c", 9), ("d", 1)]);
        assert_eq!(named(&senders(Measure::Messages, all(), &[], 10)), ["c", "a", "b", "d"]);
        assert_eq!(named(&senders(Measure::Recipients, all(), &[], 2)), ["c", "a"]);
        assert_eq!(named(&senders(Measure::Bytes, all(), &[], 1)), ["d"]);
    }

    #[test]
    fn usual_is_the_average_of_the_windows_before_whoever_was_silent_in_some() {
        let before = [counts(&[("a", 9)]), counts(&[]), counts(&[("a", 1), ("b", 1)])];
        let rows = senders(Measure::Messages, counts(&[("a", 30), ("b", 2), ("c", 1)]), &before, 10);
        let usual: Vec<_> = rows.iter().map(|row| (row.usual, row.most_before)).collect();
        assert_eq!(usual, [(Some(3), Some(9)), (Some(0), Some(1)), (Some(0), Some(0))]);
        assert_eq!(senders(Measure::Messages, counts(&[("a", 30)]), &[], 10)[0].usual, None);
    }
}
