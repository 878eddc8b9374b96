//! Words of the API in sentences: what a confidence, a verdict or a state means to whoever has to act on it.
//!
//! Knows: the closed lists of words. Must not know: how one was arrived at.

use crate::relay::verdict::Reason;
use crate::server::http::api::{LineRow, Who};
use crate::server::http::nas::NasRow;

/// A word with its meaning, and how it is set apart. Never by colour alone: the word stands there, with a mark of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The class of the style sheet: `good`, `fair`, `bad` or `plain`.
    pub class: &'static str,
    /// The mark before it, for the eye only.
    pub mark: &'static str,
    /// The word.
    pub word: String,
}

impl Badge {
    fn new(class: &'static str, word: &str) -> Self {
        let mark = match class {
            "good" => "\u{2713}",
            "fair" => "\u{25d0}",
            "bad" => "\u{2715}",
            _ => "\u{00b7}",
        };
        Badge { class, mark, word: word.to_owned() }
    }
}

/// A confidence.
#[must_use]
pub fn confidence(word: &str) -> Badge {
    match word {
        "exact" => Badge::new("good", "exact"),
        "until-last-interim" => Badge::new("fair", "until last interim"),
        "ambiguous" => Badge::new("bad", "ambiguous"),
        word => Badge::new("bad", word),
    }
}

/// What the confidence of an answer means, and why it is what it is.
#[must_use]
pub fn why(who: &Who) -> String {
    let because = who.because.as_deref();
    let meaning = match who.confidence.as_str() {
        "exact" if who.candidates.is_empty() => "Nobody had it, and that is known",
        "exact" if because.is_none() => "It is so: the session lasts, or the prefix is configured",
        "exact" => "It was so",
        "until-last-interim" => "Probably still the same one; sure only until the last sign of life",
        "ambiguous" => "More than one may have had it; accuse nobody on this alone",
        _ if who.reason.as_deref() == Some(Reason::PortRequired.word()) => {
            "The address is shared by ports; ask again with the source port"
        }
        _ => "Nobody is known, and somebody may have had it",
    };
    match because {
        Some(because) => format!("{meaning}: {because}."),
        None => format!("{meaning}."),
    }
}

/// The name on top of an answer.
#[must_use]
pub fn whose(who: &Who) -> &'static str {
    match (who.candidates.as_slice(), who.confidence.as_str()) {
        ([_], "ambiguous" | "unknown") => "Not known; perhaps the one below",
        ([_], _) => "A session that no identity rule names",
        ([_, ..], _) => "One of those below",
        ([], "exact") => "Nobody",
        ([], _) => "Not known",
    }
}

/// A verdict.
#[must_use]
pub fn verdict(word: &str) -> Badge {
    match word {
        "permit" => Badge::new("good", "permit"),
        "defer" => Badge::new("fair", "defer"),
        "refuse" => Badge::new("bad", "refuse"),
        word => Badge::new("plain", word),
    }
}

/// A reason, as a sentence's part.
#[must_use]
pub fn reason(word: &str) -> &str {
    Reason::ALL.iter().find(|reason| reason.word() == word).map_or(word, |reason| reason.text())
}

/// The state of a session, or how it ended.
#[must_use]
pub fn state(word: &str) -> Badge {
    match word {
        "active" => Badge::new("good", word),
        "suspect" | "pending" => Badge::new("fair", word),
        word => Badge::new("plain", word),
    }
}

/// The state of a feed.
#[must_use]
pub fn feed(word: &str) -> Badge {
    match word {
        "whole" => Badge::new("good", word),
        "held" | "lagging" | "warm-up" => Badge::new("fair", word),
        _ => Badge::new("bad", word),
    }
}

/// Whether a block list has one of our own addresses.
#[must_use]
pub fn reputation(word: &str) -> Badge {
    match word {
        "clean" => Badge::new("good", word),
        "listed" => Badge::new("bad", word),
        _ => Badge::new("fair", word),
    }
}

/// What is wrong with a feed and what to do; empty when nothing is.
#[must_use]
pub fn remedies(row: &NasRow) -> Vec<String> {
    let mut remedies = Vec::new();
    match row.feed.as_str() {
        "unheard" if row.unusable.is_empty() => remedies.push(
            "Nothing ever came from it. Does it send its accounting to this host and port, from its configured address?"
                .to_owned(),
        ),
        "unheard" => remedies.push("No record of it was ever taken; what came was of no use.".to_owned()),
        "silent" => remedies.push(format!(
            "Its {} sessions are old knowledge. Is it up, and does it still send its accounting here?",
            row.active.saturating_add(row.suspect)
        )),
        "lagging" => remedies
            .push("It is catching up on old records; whoever is not in the map is deferred meanwhile.".to_owned()),
        "warm-up" => remedies
            .push("Not listened to for long enough yet; whoever is not in the map is deferred.".to_owned()),
        _ => {}
    }
    if let Some(fault) = &row.last_fault {
        let count = row.unusable.iter().fold(0_u64, |sum, unusable| sum.saturating_add(unusable.count));
        remedies.push(format!("{count} packets were of no use since the start, the last one: {fault}."));
    }
    if row.claims_dropped > 0 {
        remedies.push(format!(
            "{} claims were dropped: its client may not assign those addresses (may-assign, never).",
            row.claims_dropped
        ));
    }
    if row.clock == "absurd" {
        remedies.push("Its clock said something that can't be true; arrival counts instead.".to_owned());
    }
    remedies
}

/// Where a line ends, in words; `None`: nothing is told of it.
#[must_use]
pub fn line(line: &LineRow) -> Option<String> {
    let parts = [
        ("port", &line.port_id),
        ("station", &line.calling_station),
        ("circuit", &line.circuit_id),
        ("remote", &line.remote_id),
    ];
    let parts: Vec<String> =
        parts.iter().filter_map(|(name, part)| part.as_ref().map(|part| format!("{name} {part}"))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The first of several, and how many more there are.
#[must_use]
pub fn some(all: &[String]) -> String {
    match all {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        all => all.join(", "),
    }
}

/// Octets, in the unit that reads best.
#[must_use]
pub fn octets(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths =
        (count / 1024).saturating_mul(10).saturating_add((count % 1024).saturating_mul(10) / 1024);
    for unit in UNITS {
        if tenths < 10_240 {
            return match (tenths / 10, tenths % 10) {
                (whole, tenth) if whole < 10 => format!("{whole}.{tenth} {unit}"),
                (whole, _) => format!("{whole} {unit}"),
            };
        }
        tenths /= 1024;
    }
    format!("{} EiB", tenths / 10)
}

/// A number with its thousands apart.
#[must_use]
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_and_numbers_read_well_at_every_size() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_239, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1023 KiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(octets(count), text);
        }
        assert_eq!((number(999).as_str(), number(1000).as_str()), ("999", "1\u{202f}000"));
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn every_confidence_has_words_and_nobody_is_told_from_not_known() {
        let who = |confidence: &str| Who { confidence: confidence.to_owned(), ..Who::default() };
        assert_eq!(whose(&who("exact")), "Nobody");
        assert_eq!(whose(&who("unknown")), "Not known");
        for word in ["exact", "until-last-interim", "ambiguous", "unknown"] {
            assert!(why(&who(word)).ends_with('.'), "{word}");
        }
    }
}
