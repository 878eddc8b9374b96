//! What is measured of a sender: a closed list, with what each is called and how it is told.
//!
//! Knows: the words. Must not know: thresholds, or how anything is counted.

use serde::{Deserialize, Serialize};

use super::day::{Day, Usual};

/// What is measured. Its place in the list is part of a snapshot: new ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Measure {
    /// Messages of the day.
    Messages,
    /// Messages of this quarter of the day.
    Hours,
    /// Recipients of the day.
    Recipients,
    /// Different recipient domains of the day.
    Domains,
    /// Messages of the day to domains that are new to this sender.
    NewDomains,
    /// The most messages within half an hour from strangers to strangers: sender address and domain are both new to it.
    Strangers,
    /// Different sender addresses of the day.
    Senders,
    /// Different HELO names of the day.
    Helo,
    /// Recipients refused on the day.
    Refused,
    /// Messages of the day in which a scanner found spam.
    Spam,
    /// Messages of the day in which a scanner found a virus.
    Virus,
    /// Different addresses of the day from which a login was used.
    Addresses,
}

impl Measure {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Measure; 12] = [
        Measure::Messages,
        Measure::Hours,
        Measure::Recipients,
        Measure::Domains,
        Measure::NewDomains,
        Measure::Strangers,
        Measure::Senders,
        Measure::Helo,
        Measure::Refused,
        Measure::Spam,
        Measure::Virus,
        Measure::Addresses,
    ];

    /// The word in output, and the key of its threshold.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Measure::Messages => "messages",
            Measure::Hours => "hours",
            Measure::Recipients => "recipients",
            Measure::Domains => "domains",
            Measure::NewDomains => "new-domains",
            Measure::Strangers => "strangers",
            Measure::Senders => "senders",
            Measure::Helo => "helo",
            Measure::Refused => "refused",
            Measure::Spam => "spam",
            Measure::Virus => "virus",
            Measure::Addresses => "addresses",
        }
    }

    /// The measure of this word; `None`: it is another signal's.
    #[must_use]
    pub fn of_word(word: &[u8]) -> Option<Measure> {
        Measure::ALL.into_iter().find(|measure| measure.word().as_bytes() == word)
    }

    /// Whether it says how much was sent, and not how strange that was.
    pub(super) fn is_volume(self) -> bool {
        matches!(self, Measure::Messages | Measure::Hours | Measure::Recipients | Measure::Domains)
    }

    /// Whether a scanner says it: that it is bad takes no comparison.
    pub(super) fn is_found(self) -> bool {
        matches!(self, Measure::Spam | Measure::Virus)
    }

    /// What it comes to on this day, or in this quarter of it.
    #[must_use]
    pub fn of(self, day: &Day, quarter: u8) -> u64 {
        match self {
            Measure::Messages => day.messages.into(),
            Measure::Hours => day.quarters.get(usize::from(quarter)).copied().unwrap_or_default().into(),
            Measure::Recipients => day.recipients.into(),
            Measure::Domains => day.domains.into(),
            Measure::NewDomains => day.new_domains.into(),
            Measure::Strangers => day.strangers.into(),
            Measure::Senders => day.senders.into(),
            Measure::Helo => day.helos.into(),
            Measure::Refused => day.refused.into(),
            Measure::Spam => day.spam.into(),
            Measure::Virus => day.viruses.into(),
            Measure::Addresses => day.addresses.into(),
        }
    }

    /// The value in words, with what is usual: "1,024 messages today; 3 to 14 on the last 28 days".
    pub(super) fn words(self, value: u64, quarter: u8, when: &str, usual: Usual) -> String {
        let number = grouped(value);
        let messages = if value == 1 { "message" } else { "messages" };
        let what = match self {
            Measure::Messages => format!("{number} messages {when}"),
            Measure::Hours => {
                let from = u16::from(quarter).saturating_mul(6);
                let until = from.saturating_add(6);
                format!("{number} messages {when} from {from:02}:00 to {until:02}:00 UTC")
            }
            Measure::Recipients => format!("{number} recipients {when}"),
            Measure::Domains => format!("{number} different recipient domains {when}"),
            Measure::NewDomains => {
                format!("{number} messages {when} to domains that it had not written to in nine weeks")
            }
            Measure::Strangers => {
                format!("{number} messages within half an hour under new sender addresses to new domains")
            }
            Measure::Senders => format!("{number} different sender addresses {when}"),
            Measure::Helo => format!("{number} different HELO names {when}"),
            Measure::Refused => format!("{number} recipients refused {when}"),
            Measure::Spam => format!("a scanner found spam in {number} {messages} {when}"),
            Measure::Addresses => format!("used from {number} different addresses {when}"),
            Measure::Virus => format!("a scanner found a virus in {number} {messages} {when}"),
        };
        let range = match (usual.least, usual.most) {
            (least, most) if least == most => grouped(most),
            (least, most) => format!("{} to {}", grouped(least), grouped(most)),
        };
        match usual.days {
            0 => format!("{what}; nothing is known of the days before"),
            1 => format!("{what}; {range} on the day before"),
            days => format!("{what}; {range} on the last {days} days"),
        }
    }
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(place);
        if place > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_with_what_is_usual() {
        let usual = |least, most, days| Usual { least, most, such: 0, days };
        let words = |measure: Measure, value, usual| measure.words(value, 1, "today", usual);
        assert_eq!(
            words(Measure::Messages, 1024, usual(3, 14, 28)),
            "1,024 messages today; 3 to 14 on the last 28 days"
        );
        assert_eq!(
            words(Measure::Hours, 310, usual(0, 0, 1)),
            "310 messages today from 06:00 to 12:00 UTC; 0 on the day before"
        );
        assert_eq!(
            words(Measure::Senders, 20, usual(0, 0, 0)),
            "20 different sender addresses today; nothing is known of the days before"
        );
    }

    #[test]
    fn every_measure_has_a_word_of_its_own() {
        for measure in Measure::ALL {
            assert_eq!(Measure::of_word(measure.word().as_bytes()), Some(measure));
        }
        assert_eq!(Measure::of_word(b"complaint"), None);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
