//! Lines to words, and words to moments, durations and names.
//!
//! Knows: quotes, comments, how time is written. Must not know: what a line means.

use std::time::Duration;

use super::Fault;
use crate::session::{Name, Timestamp};

/// Midnight of a story's first day: 2027-01-15T00:00:00Z.
pub(super) const MIDNIGHT: Timestamp = Timestamp::from_seconds(1_799_971_200);
const DAY: i64 = 86_400;

/// The words of a line. A quoted part of a word keeps its blanks and its quotes; `#` before a word begins a comment.
pub(super) fn words(line: &str) -> Result<Vec<&str>, Fault> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn word(text: &str) -> Result<(&str, &str), Fault> {
    let (mut quoted, mut escaped) = (false, false);
    for (position, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ if character.is_whitespace() && !quoted => {
                return Ok(text.split_at_checked(position).unwrap_or((text, "")));
            }
            _ => {}
        }
    }
    if quoted { Err(Fault::UnclosedQuote) } else { Ok((text, "")) }
}

/// A word without the quotes around it.
pub(super) fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word)
}

/// A name as output shows it, as one word.
pub(super) fn name(word: &str) -> Name {
    Name::from_text(unquoted(word))
}

/// A name as one word.
pub(super) fn spelled(name: &Name) -> String {
    let text = name.to_string();
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text }
}

/// `90` and `90s`, `10m`, `4h`, `2d`.
pub(super) fn duration(word: &str) -> Option<Duration> {
    let digits = word.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let (digits, unit) = word.split_at_checked(digits.len())?;
    let unit: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(unit).map(Duration::from_secs)
}

/// A moment as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// `now`, `+5m`: so much later than the present.
    After(Duration),
    /// `-3s`.
    Before(Duration),
    /// `12:00:05`, or `+1d12:00` for a later day.
    At(Timestamp),
}

impl When {
    pub(super) const WANTED: &str =
        "a time: 12:00 or 12:00:05 on the first day, +1d12:00 on the next, +5m from now";

    pub(super) fn read(word: &str) -> Result<Self, Fault> {
        let wrong = || Fault::Unexpected { word: word.to_owned(), wanted: When::WANTED };
        if word.contains(':') {
            return time_of_day(word).map(When::At).ok_or_else(wrong);
        }
        if word == "now" {
            return Ok(When::After(Duration::ZERO));
        }
        let later = word.strip_prefix('+').and_then(duration).map(When::After);
        let earlier = || word.strip_prefix('-').and_then(duration).map(When::Before);
        later.or_else(earlier).ok_or_else(wrong)
    }

    pub(super) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            When::After(span) => now.plus(span),
            When::Before(span) => now.minus(span),
            When::At(at) => at,
        }
    }
}

fn time_of_day(word: &str) -> Option<Timestamp> {
    let (days, time) = match word.strip_prefix('+') {
        Some(rest) => {
            let (days, time) = rest.split_once('d')?;
            (days.parse::<u16>().ok()?, time)
        }
        None => (0, word),
    };
    let mut parts = time.split(':').map(|part| part.parse::<u8>().ok().filter(|_| part.len() == 2));
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let of_day = i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
    let seconds = i64::from(days) * DAY + of_day;
    Some(MIDNIGHT.plus(Duration::from_secs(u64::try_from(seconds).ok()?)))
}

/// A moment as it is written.
pub(super) fn shown(at: Timestamp) -> String {
    let seconds = at.millis().saturating_sub(MIDNIGHT.millis()).div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let time = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    if days == 0 { time } else { format!("{days:+}d{time}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_part_keeps_its_blanks_and_a_comment_ends_the_line() {
        assert_eq!(
            words(r#" user="two words"  Class="a \" # b" x#y # rest"#).unwrap(),
            [r#"user="two words""#, r#"Class="a \" # b""#, "x#y"]
        );
        assert!(words("  # nothing").unwrap().is_empty());
        assert!(matches!(words("user=\"open"), Err(Fault::UnclosedQuote)));
    }

    #[test]
    fn moments_are_written_as_they_are_read() {
        for text in ["00:00:00", "12:00:05", "+1d09:30:00", "+14d23:59:59"] {
            assert_eq!(shown(time_of_day(text).unwrap()), text);
        }
        assert_eq!(time_of_day("12:00"), time_of_day("12:00:00"));
        for text in
            ["24:00", "12:60", "12:0", "1:00", "12:00:00:00", "12:", "+d12:00", "-1d12:00", "+1x12:00"]
        {
            assert_eq!(time_of_day(text), None, "{text}");
        }
    }

    #[test]
    fn spans_have_a_unit_or_are_seconds() {
        assert_eq!(duration("90"), duration("90s"));
        assert_eq!(duration("2h"), duration("120m"));
        assert_eq!(duration("1d"), Some(Duration::from_secs(86_400)));
        for text in ["", "m", "5w", "-5m", "+5m", "5 m", "99999999999999999999d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
