//! Moments for people: in the site's zone with UTC beside it; and back from what people type.
//!
//! Knows: spellings of time. Must not know: what time it is; that is an argument.

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::civil::DateTime;
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp as Moment, ToSpan, ZonedDateTime};

use crate::paste::wall::{self, NotOnce};
use crate::server::http::api::parse_rfc3339;
use crate::session::Timestamp;

/// In which zone the site tells times.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(TimeZone);

/// A moment as it stands on a page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Template)]
#[template(
    source = "{% if iso.is_empty() %}<span class=\"none\">\u{2014}</span>{% else %}<time datetime=\"{{ iso }}\">{{ local }}{% if !utc.is_empty() %} <small>{{ utc }}</small>{% endif %}</time>{% endif %}",
    ext = "html"
)]
pub struct When {
    iso: String,
    local: String,
    utc: String,
}

/// Its template has escaped it.
impl HtmlSafe for When {}

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It follows none of the spellings.
    NotATime,
    /// It was there twice, or never.
    NotOnce(NotOnce),
}

impl Zone {
    /// This zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Zone(zone)
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.0
    }

    fn zoned(&self, at: Timestamp) -> Option<ZonedDateTime> {
        Some(Moment::from_millisecond(at.millis()).ok()?.to_zoned_datetime(self.0.clone()))
    }

    /// A moment of the API for people; nothing for none.
    #[must_use]
    pub fn when(&self, text: Option<&str>) -> When {
        let Some(iso) = text.filter(|text| !text.is_empty()) else { return When::default() };
        let Some(zoned) = parse_rfc3339(iso).and_then(|at| self.zoned(at)) else {
            return When { iso: iso.to_owned(), local: iso.to_owned(), utc: String::new() };
        };
        let in_utc = zoned.with_time_zone(TimeZone::UTC);
        let local = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let utc = match (zoned.offset().is_zero(), zoned.date() == in_utc.date()) {
            (true, _) => "UTC".to_owned(),
            (false, true) => in_utc.strftime("%H:%M:%SZ").to_string(),
            (false, false) => in_utc.strftime("%-d %b %H:%M:%SZ").to_string(),
        };
        When { iso: iso.to_owned(), local, utc }
    }

    /// The same in a line of text.
    #[must_use]
    pub fn spelled(&self, at: Timestamp) -> String {
        self.zoned(at).map(|zoned| zoned.strftime("%Y-%m-%d %H:%M %Z").to_string()).unwrap_or_default()
    }

    /// What the zone is called at this moment.
    #[must_use]
    pub fn name(&self, at: Timestamp) -> String {
        self.zoned(at).map(|zoned| zoned.strftime("%Z").to_string()).unwrap_or_default()
    }

    /// Hour and minute.
    #[must_use]
    pub fn hour(&self, at: Timestamp) -> String {
        self.zoned(at).map(|zoned| zoned.strftime("%H:%M").to_string()).unwrap_or_default()
    }

    /// Day and month.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> String {
        self.zoned(at).map(|zoned| zoned.strftime("%-d %b").to_string()).unwrap_or_default()
    }

    /// When the day of this moment began here.
    #[must_use]
    pub fn midnight(&self, at: Timestamp) -> Timestamp {
        let begun = self.zoned(at).and_then(|zoned| zoned.start_of_day().ok());
        begun.map_or(at, |begun| Timestamp::from_millis(begun.timestamp().as_millisecond()))
    }

    /// So many of the wall's hours later: a day in which clocks are set has 23 or 25 of them.
    #[must_use]
    pub fn hours_later(&self, at: Timestamp, hours: i32) -> Timestamp {
        let later = self.zoned(at).and_then(|zoned| {
            let later = zoned.datetime().checked_add(hours.hours()).ok()?;
            self.0.to_ambiguous_zoned_datetime(later).compatible().ok()
        });
        later.map_or(at, |later| Timestamp::from_millis(later.timestamp().as_millisecond()))
    }

    /// Reads what people type: RFC 3339, `2026-11-23 14:00`, `14:00` (today), `2h ago`, `yesterday 14:00`.
    ///
    /// # Errors
    /// See [`Unread`].
    pub fn read(&self, text: &str, now: Timestamp) -> Result<Timestamp, Unread> {
        let text = text.trim();
        if let Some(at) = parse_rfc3339(text) {
            return Ok(at);
        }
        if let Some(at) = text.ends_with("ago").then(|| ago(text, now)) {
            return at.ok_or(Unread::NotATime);
        }
        let today = self.zoned(now).ok_or(Unread::NotATime)?.date();
        let (date, time) = match text.split_once([' ', 'T']) {
            Some(("yesterday", time)) => (today.yesterday().map_err(|_| Unread::NotATime)?, time),
            Some(("today", time)) => (today, time),
            Some((date, time)) => (date.parse().map_err(|_| Unread::NotATime)?, time),
            None => (today, text),
        };
        let plain = time.contains(':') && time.chars().all(|c| c.is_ascii_digit() || ":.".contains(c));
        let time: jiff::civil::Time = time.parse().ok().filter(|_| plain).ok_or(Unread::NotATime)?;
        wall::moment(DateTime::from_parts(date, time), &self.0).map_err(Unread::NotOnce)
    }
}

impl Zone {
    /// Reads a moment to come: a span from now on, such as `7d`, or what [`Zone::read`] reads.
    ///
    /// # Errors
    /// See [`Unread`].
    pub fn ahead(&self, text: &str, now: Timestamp) -> Result<Timestamp, Unread> {
        // What has a span's spelling is no moment in any other.
        ago(text.trim(), now).map_or_else(|| self.read(text, now), Ok)
    }
}

/// Elapsed time, counted back: a day is 24 hours here.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span = SpanParser::new().parse_span(text).ok()?;
    let back = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let at = now.millis().checked_add(i64::try_from(back.as_millis()).ok()?)?;
    Moment::from_millisecond(at).ok()?;
    Some(Timestamp::from_millis(at))
}

impl Unread {
    /// What to say about it.
    #[must_use]
    pub fn remark(&self) -> String {
        match self {
            Unread::NotATime => {
                "This is no time; write 2026-11-23 14:00, 14:00, 2h ago or 2026-11-23T14:00:00Z.".to_owned()
            }
            Unread::NotOnce(NotOnce::Twice { earlier, later }) => {
                format!("The clocks were set back, so this hour was there twice; write {earlier} or {later}.")
            }
            Unread::NotOnce(NotOnce::Never { before, after }) => {
                format!("The clocks were set forward, so this hour never was; write {before} or {after}.")
            }
            Unread::NotOnce(NotOnce::OutOfRange) => "This time is beyond the calendar.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule"))
    }

    fn at(text: &str) -> Timestamp {
        parse_rfc3339(text).expect("a moment")
    }

    #[test]
    fn a_moment_is_told_here_and_in_utc_with_its_day_where_that_is_another() {
        let when = berlin().when(Some("2026-11-23T14:00:05.007Z"));
        assert_eq!((when.local.as_str(), when.utc.as_str()), ("2026-11-23 15:00:05", "14:00:05Z"));
        let when = berlin().when(Some("2026-11-23T23:30:00Z"));
        assert_eq!((when.local.as_str(), when.utc.as_str()), ("2026-11-24 00:30:00", "23 Nov 23:30:00Z"));
        let when = Zone::new(TimeZone::UTC).when(Some("2026-11-23T14:00:05Z"));
        assert_eq!((when.local.as_str(), when.utc.as_str()), ("2026-11-23 14:00:05", "UTC"));
        assert_eq!(berlin().when(None).to_string(), "<span class=\"none\">\u{2014}</span>");
    }

    #[test]
    fn what_people_type_is_read_in_the_zone_of_the_site() {
        let now = at("2026-11-23T14:00:00Z");
        for (text, expected) in [
            ("2026-11-23T12:00:00+01:00", "2026-11-23T11:00:00Z"),
            ("2026-11-22 14:00", "2026-11-22T13:00:00Z"),
            ("2026-11-22 14:00:07", "2026-11-22T13:00:07Z"),
            (" 14:00 ", "2026-11-23T13:00:00Z"),
            ("yesterday 23:30", "2026-11-22T22:30:00Z"),
            ("2h ago", "2026-11-23T12:00:00Z"),
        ] {
            assert_eq!(berlin().read(text, now), Ok(at(expected)), "{text}");
        }
        assert_eq!(berlin().ahead("7d", now), Ok(at("2026-11-30T14:00:00Z")));
        assert_eq!(berlin().ahead("2026-12-01 08:00", now), Ok(at("2026-12-01T07:00:00Z")));
        for text in ["", "soon", "14", "2026-11-23", "25:00", "2026-13-01 10:00", "a ago", "14:00 UTC"] {
            assert_eq!(berlin().read(text, now), Err(Unread::NotATime), "{text}");
        }
    }

    #[test]
    fn an_hour_that_was_there_twice_is_not_guessed() {
        let read = berlin().read("2026-10-25 02:30", at("2026-11-23T14:00:00Z"));
        let remark = read.expect_err("twice").remark();
        assert!(remark.contains("02:30:00+02:00 or 2026-10-25T02:30:00+01:00"), "{remark}");
    }
}
