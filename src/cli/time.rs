//! TIME on the command line, as text to a moment and back: RFC 3339, `2h ago`, or a local time in a zone.
//!
//! Knows: spellings of time. Must not know: what time it is, or which zone the user lives in; both are handed in.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp as Moment};

use crate::paste::wall::{self, NotOnce};
use crate::server::http::api::parse_rfc3339;
use crate::session::Timestamp;

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeError {
    /// It follows none of the spellings.
    NotATime,
    /// It is one, beyond any calendar.
    OutOfRange,
    /// The clocks were set back: this local time was there twice.
    Twice {
        /// The first one.
        earlier: String,
        /// The second one.
        later: String,
    },
    /// The clocks were set forward: this local time never was.
    Never {
        /// What it would be, had the clocks not been set.
        before: String,
        /// What it would be, had they been set already.
        after: String,
    },
    /// No such zone.
    NoSuchZone,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeError::NotATime => write!(
                f,
                "not a time; say 2026-11-23T14:00:00Z, \"2h ago\", or \"2026-11-23 14:00\" with --tz Europe/Berlin"
            ),
            TimeError::OutOfRange => write!(f, "beyond the calendar"),
            TimeError::Twice { earlier, later } => {
                write!(f, "the clocks were set back, so this hour was there twice; say {earlier} or {later}")
            }
            TimeError::Never { before, after } => {
                write!(f, "the clocks were set forward, so this hour never was; say {before} or {after}")
            }
            TimeError::NoSuchZone => write!(f, "no such time zone; say one such as Europe/Berlin or UTC"),
        }
    }
}

impl std::error::Error for TimeError {}

/// The zone of this name; without one, the system's.
///
/// # Errors
/// There is none of this name.
pub fn zone(name: Option<&str>) -> Result<TimeZone, TimeError> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|_| TimeError::NoSuchZone),
    }
}

/// Reads a moment.
///
/// # Errors
/// See [`TimeError`].
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    if let Some(at) = parse_rfc3339(text) {
        return Ok(at);
    }
    if text.ends_with("ago") {
        return ago(text, now);
    }
    local(text, zone)
}

/// Reads a moment to come: a span from now on, such as `90d`, or a moment.
///
/// # Errors
/// See [`TimeError`].
pub fn ahead(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    // What has a span's spelling is no moment in any other.
    ago(text.trim(), now).or_else(|_| parse(text, now, zone))
}

/// Reads a moment as databases write it: RFC 3339 (also with a space, and `+01` for an offset), seconds since 1970, or a
/// local time.
///
/// # Errors
/// See [`TimeError`].
pub fn written(text: &str, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
    // Fewer digits are no moment of this century, more are milliseconds or a date without its marks.
    if digits(whole) && digits(fraction) && (9..=10).contains(&whole.len()) {
        let seconds = whole.parse().map_err(|_| TimeError::OutOfRange)?;
        let millis = format!("{fraction:0<3}").get(..3).and_then(|millis| millis.parse().ok()).unwrap_or(0);
        return Ok(Timestamp::from_seconds(seconds).plus(Duration::from_millis(millis)));
    }
    match parse_rfc3339(text) {
        Some(at) => Ok(at),
        None => local(text, zone),
    }
}

/// `2h ago`, `1d 12h ago`; without the word, as long ahead. A day is 24 hours here: whoever counts back from now means elapsed time.
fn ago(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let span = SpanParser::new().parse_span(text).map_err(|_| TimeError::NotATime)?;
    // Months and years have no length of their own and are refused here.
    let back = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| TimeError::NotATime)?;
    let back = i64::try_from(back.as_millis()).map_err(|_| TimeError::OutOfRange)?;
    // The parser makes it negative where the word says so.
    let at = now.millis().checked_add(back).ok_or(TimeError::OutOfRange)?;
    Moment::from_millisecond(at).map_err(|_| TimeError::OutOfRange)?;
    Ok(Timestamp::from_millis(at))
}

/// `2026-11-23 14:00`, with or without seconds.
fn local(text: &str, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    // The parser would take a bare date as midnight and would ignore an offset or a zone behind the time: each of them
    // means something else than it says.
    let (date, time) = text.split_once([' ', 'T']).ok_or(TimeError::NotATime)?;
    let plain = |part: &str, marks: &str| part.chars().all(|c| c.is_ascii_digit() || marks.contains(c));
    if !plain(date, "-") || !plain(time, ":.") || !time.contains(':') {
        return Err(TimeError::NotATime);
    }
    let written: DateTime = text.parse().map_err(|_| TimeError::NotATime)?;
    Ok(wall::moment(written, zone)?)
}

impl From<NotOnce> for TimeError {
    fn from(error: NotOnce) -> Self {
        match error {
            NotOnce::Twice { earlier, later } => TimeError::Twice { earlier, later },
            NotOnce::Never { before, after } => TimeError::Never { before, after },
            NotOnce::OutOfRange => TimeError::OutOfRange,
        }
    }
}

/// A moment of the API as local time with its offset. What is no moment stays as it is.
#[must_use]
pub fn shown(text: &str, zone: &TimeZone) -> String {
    match text.parse::<Moment>() {
        Ok(at) => at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// How long after one moment of the API another is: `4s`, `1m 30s`, `2h 5m`, `3d 4h`. `None`: less than a second, or
/// before it.
#[must_use]
pub fn later(at: &str, then: &str) -> Option<String> {
    let (at, then): (Moment, Moment) = (at.parse().ok()?, then.parse().ok()?);
    let seconds = u64::try_from(then.as_second().checked_sub(at.as_second())?).ok()?;
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut parts = Vec::new();
    let mut left = seconds;
    for (unit, length) in units {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{}{unit}", left / length));
            left %= length;
        }
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_442_400);

    /// Central European Time by its rule, so that the tests need no zone files.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule")
    }

    fn read(text: &str) -> Result<String, TimeError> {
        parse(text, NOW, &berlin()).map(|at| crate::server::http::api::rfc3339(at).expect("in the calendar"))
    }

    #[test]
    fn all_three_spellings_name_the_same_moment() {
        for text in [
            "2026-11-23T12:00:00Z",
            "2026-11-23 12:00:00Z",
            "2026-11-23T13:00:00+01:00",
            "2h ago",
            "120m ago",
            "1h 60m ago",
            "2026-11-23 13:00",
            "2026-11-23T13:00:00",
            " 2026-11-23 13:00 ",
        ] {
            assert_eq!(read(text).as_deref(), Ok("2026-11-23T12:00:00.000Z"), "{text}");
        }
    }

    #[test]
    fn days_and_weeks_are_counted_in_hours() {
        assert_eq!(read("1d ago").as_deref(), Ok("2026-11-22T14:00:00.000Z"));
        assert_eq!(read("2 weeks ago").as_deref(), Ok("2026-11-09T14:00:00.000Z"));
    }

    #[test]
    fn what_could_be_misread_is_no_time() {
        for text in [
            "",
            "ago",
            "2h",
            "in 2h",
            "1 month ago",
            "yesterday 14:00",
            "14:00",
            "2026-11-23",
            "2026-11-23 14",
            "2026-11-23 25:00",
            "2026-02-30 12:00",
            "2026-11-23 14:00[America/New_York]",
            "23.11.2026 14:00",
            "1795442400",
        ] {
            assert_eq!(read(text), Err(TimeError::NotATime), "{text}");
        }
    }

    #[test]
    fn an_hour_that_was_there_twice_is_refused_with_both_readings() {
        let twice = TimeError::Twice {
            earlier: "2026-10-25T02:30:00+02:00".to_owned(),
            later: "2026-10-25T02:30:00+01:00".to_owned(),
        };
        assert_eq!(read("2026-10-25 02:30"), Err(twice));
        assert_eq!(read("2026-10-25T02:30:00+02:00").as_deref(), Ok("2026-10-25T00:30:00.000Z"));
        assert_eq!(read("2026-10-25 01:59").as_deref(), Ok("2026-10-24T23:59:00.000Z"));
        assert_eq!(read("2026-10-25 03:00").as_deref(), Ok("2026-10-25T02:00:00.000Z"));
    }

    #[test]
    fn an_hour_that_never_was_is_refused_with_both_readings() {
        let never = TimeError::Never {
            before: "2026-03-29T03:30:00+02:00".to_owned(),
            after: "2026-03-29T01:30:00+01:00".to_owned(),
        };
        assert_eq!(read("2026-03-29 02:30"), Err(never));
        assert!(read("2026-03-29 01:59").is_ok());
        assert!(read("2026-03-29 03:00").is_ok());
    }

    #[test]
    fn every_way_in_which_databases_write_a_moment_is_read() {
        for text in [
            "2026-11-23 12:00:00+00",
            "2026-11-23 13:00:00+01",
            "2026-11-23 13:00:00+01:00",
            "2026-11-23T12:00:00Z",
            "2026-11-23 17:30:00+05:30",
            "2026-11-23 12:00:00.000000+00",
            "1795435200",
            "1795435200.000",
            " 2026-11-23 13:00:00 ",
            "2026-11-23 13:00:00.000",
        ] {
            let at = written(text, &berlin()).map(|at| at.millis());
            assert_eq!(at, Ok(1_795_435_200_000), "{text}");
        }
        assert_eq!(written("1795435200.25", &berlin()).map(Timestamp::millis), Ok(1_795_435_200_250));
        assert!(matches!(written("2026-10-25 02:30:00", &berlin()), Err(TimeError::Twice { .. })));
        for text in ["2h ago", "17954352", "17954352000", "1795435200.", "20261123130000", "2026-11-23", ""] {
            assert_eq!(written(text, &berlin()), Err(TimeError::NotATime), "{text}");
        }
    }

    #[test]
    fn a_span_beyond_the_calendar_is_refused() {
        assert_eq!(read("7304484d ago"), Err(TimeError::OutOfRange));
        assert_eq!(read("99999999999h ago"), Err(TimeError::NotATime));
    }

    #[test]
    fn how_much_later_is_told_in_two_units() {
        let later = |then: &str| later("2026-11-23T14:00:05.000Z", then);
        assert_eq!(later("2026-11-23T14:00:05.999Z"), None);
        assert_eq!(later("2026-11-23T14:00:06.000Z").as_deref(), Some("1s"));
        assert_eq!(later("2026-11-23T14:01:35.000Z").as_deref(), Some("1m 30s"));
        assert_eq!(later("2026-11-24T16:05:06.000Z").as_deref(), Some("1d 2h"));
        assert_eq!(later("2026-11-23T14:00:04.000Z"), None);
        assert_eq!(later("never"), None);
    }

    #[test]
    fn shown_times_carry_their_offset() {
        assert_eq!(shown("2026-11-23T14:00:05.007Z", &berlin()), "2026-11-23 15:00:05 +01:00");
        assert_eq!(shown("never", &berlin()), "never");
    }
}
