//! The moment that a line tells: the first stamp in it, in whichever of the usual spellings.
//!
//! | spelling | who writes it |
//! |---|---|
//! | `2026-11-26T02:39:26.123+01:00`, `2026-11-26 02:39:26` | rsyslog, Postfix, Exim, journald, databases |
//! | `2026/11/26 02:39:26` | NGINX's error log |
//! | `26/Nov/2026:02:39:26 +0100`, `26-Nov-2026 02:39:26` | Apache, NGINX, HAProxy, BIND |
//! | `Thu, 26 Nov 2026 02:39:26 +0000` | mail headers (RFC 5322, 3.3) |
//! | `Nov 26 02:39:26`, with the year before or behind the time too | syslog (RFC 3164, 4.1.2), Cisco, Apache's error log |
//! | `1795657166`, `1795657166.123`, `1795657166123` | Squid, CEF, JSON; only where nothing else is |
//!
//! Knows: these spellings. Must not know: what else stands in a line.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::wall::{self, NotOnce};
use crate::session::Timestamp;

/// So far may the clock of whoever wrote the line be ahead of ours.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);
/// So many years back a date is looked for that not every year has.
const YEARS_BACK: i16 = 8;
/// 2001-09-09: from then on seconds since 1970 have ten digits.
const TEN_DIGITS: i64 = 1_000_000_000;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A moment and how it was written.
pub(super) struct Stamp {
    pub(super) at: Result<Timestamp, NotOnce>,
    /// In the form of a web server's access log, whose lines begin with the client.
    pub(super) common_log: bool,
}

/// Date, time, offset in minutes when told; without a year it is still to be found.
struct Written {
    year: Option<i16>,
    month: i8,
    day: i8,
    time: Time,
    offset: Option<i32>,
    common_log: bool,
}

pub(super) fn find(line: &str, now: Timestamp, zone: &TimeZone) -> Option<Stamp> {
    let spellings = [dashed, common, mail, syslog];
    let mut inside = false;
    for (at, c) in line.char_indices() {
        if !inside && let Some(rest) = line.get(at..) {
            let written = spellings.iter().find_map(|spelling| spelling(&mut Scanner(rest)));
            if let Some(written) = written {
                let at = written.moment(now, zone)?;
                return Some(Stamp { at, common_log: written.common_log });
            }
        }
        inside = c.is_ascii_alphanumeric();
    }
    let at = epoch(line, now)?;
    Some(Stamp { at: Ok(at), common_log: false })
}

/// The first stamp that has its offset.
pub(super) fn dated(text: &str) -> Option<Timestamp> {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        if !inside && let Some(rest) = text.get(at..) {
            let written = [dashed, mail].iter().find_map(|spelling| spelling(&mut Scanner(rest)));
            if let Some(Written { year: Some(year), offset: Some(_), .. }) = written {
                return written?.in_year(year, &TimeZone::UTC)?.ok();
            }
        }
        inside = c.is_ascii_alphanumeric();
    }
    None
}

impl Written {
    fn moment(&self, now: Timestamp, zone: &TimeZone) -> Option<Result<Timestamp, NotOnce>> {
        let Some(year) = self.year else { return self.latest(now, zone) };
        self.in_year(year, zone)
    }

    /// `None`: the year has no such day.
    fn in_year(&self, year: i16, zone: &TimeZone) -> Option<Result<Timestamp, NotOnce>> {
        let date = Date::new(year, self.month, self.day).ok()?;
        let written = DateTime::from_parts(date, self.time);
        let Some(minutes) = self.offset else { return Some(wall::moment(written, zone)) };
        let offset = Offset::from_seconds(minutes.checked_mul(60)?).ok()?;
        let at = offset.to_timestamp(written).map_err(|_| NotOnce::OutOfRange);
        Some(at.map(|at| Timestamp::from_millis(at.as_millisecond())))
    }

    /// The newest year in which it is not yet to come.
    fn latest(&self, now: Timestamp, zone: &TimeZone) -> Option<Result<Timestamp, NotOnce>> {
        let limit = now.plus(AHEAD_MAX);
        let last = jiff::Timestamp::from_millisecond(limit.millis()).ok()?;
        let last = zone.to_datetime(last).year();
        let years = (0..=YEARS_BACK).filter_map(|back| last.checked_sub(back));
        let mut read = years.filter_map(|year| self.in_year(year, zone));
        read.find(|at| match at {
            Ok(at) => *at <= limit,
            Err(NotOnce::Twice { earlier: at, .. } | NotOnce::Never { before: at, .. }) => {
                let at: Option<jiff::Timestamp> = at.parse().ok();
                at.is_some_and(|at| at.as_millisecond() <= limit.millis())
            }
            Err(NotOnce::OutOfRange) => false,
        })
    }
}

/// What is left of a line. Each reader takes what it names from the front, or says that it is not there.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn literal(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    fn any(&mut self, of: &[char]) -> Option<char> {
        let c = self.0.chars().next().filter(|c| of.contains(c))?;
        self.literal(c)?;
        Some(c)
    }

    fn blanks(&mut self) -> Option<()> {
        let rest = self.0.trim_start_matches([' ', '\t']);
        let some = rest.len() < self.0.len();
        self.0 = rest;
        some.then_some(())
    }

    fn word(&mut self) -> &'a str {
        let end = self.0.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// So many digits, and no further one behind them.
    fn number(&mut self, least: usize, most: usize) -> Option<i16> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let digits = self.0.get(..end).filter(|digits| (least..=most).contains(&digits.len()))?;
        let number = digits.parse().ok()?;
        self.0 = self.0.get(end..)?;
        Some(number)
    }

    fn two(&mut self) -> Option<i8> {
        i8::try_from(self.number(2, 2)?).ok()
    }

    fn day(&mut self) -> Option<i8> {
        i8::try_from(self.number(1, 2)?).ok()
    }

    fn month(&mut self) -> Option<i8> {
        let word = self.word().to_ascii_lowercase();
        let index = MONTHS.iter().position(|month| *month == word)?;
        i8::try_from(index.checked_add(1)?).ok()
    }

    /// `02:39:26`, `02:39:26.123456`, also with a comma; the seconds may be left out where a spelling allows for that.
    fn time(&mut self, without_seconds: bool) -> Option<Time> {
        let hour = self.two()?;
        self.literal(':')?;
        let minute = self.two()?;
        let second = match self.literal(':') {
            Some(()) => self.two()?,
            None if without_seconds => 0,
            None => return None,
        };
        // A leap second has no place in our time: it is the one before.
        let second = second.min(59);
        let mut nanos = 0;
        let rest = self.0;
        if self.any(&['.', ',']).is_some() {
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let digits = self.0.get(..end).unwrap_or_default();
            match digits.get(..digits.len().min(9)).filter(|digits| !digits.is_empty()) {
                Some(digits) => nanos = format!("{digits:0<9}").parse().ok()?,
                // The dot ends a sentence.
                None => self.0 = rest,
            }
            self.0 = self.0.get(end..).unwrap_or_default();
        }
        Time::new(hour, minute, second, nanos).ok()
    }

    /// `Z`, `+01:00`, `+0100`, `+01`; in minutes.
    fn numeric_offset(&mut self) -> Option<i32> {
        if self.any(&['Z', 'z']).is_some() {
            return Some(0);
        }
        let sign = if self.any(&['+', '-'])? == '+' { 1 } else { -1 };
        let (hours, minutes) = match self.number(4, 4) {
            Some(both) => (both.checked_div(100)?, both.checked_rem(100)?),
            None => {
                let hours = self.number(2, 2)?;
                let rest = self.0;
                let minutes = self.literal(':').and_then(|()| self.number(2, 2));
                if minutes.is_none() {
                    self.0 = rest;
                }
                (hours, minutes.unwrap_or(0))
            }
        };
        // RFC 3339, 5.6: no zone is further away than a day.
        let (hours, minutes) =
            ((0..24).contains(&hours).then_some(hours)?, (0..60).contains(&minutes).then_some(minutes)?);
        i32::from(hours).checked_mul(60)?.checked_add(i32::from(minutes))?.checked_mul(sign)
    }

    /// Blanks and an offset, or nothing at all.
    fn offset_behind_blanks(&mut self) -> Option<i32> {
        let rest = self.0;
        self.blanks()?;
        let offset = self.numeric_offset();
        // What follows may be a queue id that begins like an offset.
        if offset.is_none() || self.0.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            self.0 = rest;
            return None;
        }
        offset
    }

    /// The year, where nothing else can be meant.
    fn year(&mut self) -> Option<i16> {
        self.number(4, 4).filter(|year| (1970..=9999).contains(year))
    }

    /// Exactly what it was before, when `read` finds nothing.
    fn perhaps<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.0;
        let found = read(self);
        if found.is_none() {
            self.0 = before;
        }
        found
    }
}

/// RFC 3339 and what looks like it; with slashes, as NGINX writes it.
fn dashed(line: &mut Scanner<'_>) -> Option<Written> {
    let year = line.year()?;
    let mark = line.any(&['-', '/'])?;
    let month = line.two()?;
    line.literal(mark)?;
    let day = line.two()?;
    line.any(&['T', 't', ' ', '_'])?;
    // Fortinet: date=2026-11-26 time=02:39:26
    line.0 = line.0.strip_prefix("time=").unwrap_or(line.0);
    let time = line.time(true)?;
    let offset = line.perhaps(Scanner::numeric_offset).or_else(|| line.offset_behind_blanks());
    Some(Written { year: Some(year), month, day, time, offset, common_log: false })
}

fn common(line: &mut Scanner<'_>) -> Option<Written> {
    let day = line.two()?;
    let mark = line.any(&['/', '-'])?;
    let month = line.month()?;
    line.literal(mark)?;
    let year = line.year()?;
    line.any(&[':', ' '])?;
    let time = line.time(false)?;
    // HAProxy and BIND tell no offset.
    let offset = line.offset_behind_blanks();
    Some(Written { year: Some(year), month, day, time, offset, common_log: mark == '/' })
}

/// RFC 5322, 3.3, with the zones of 4.3 that mean something. One that means nothing makes it no moment.
fn mail(line: &mut Scanner<'_>) -> Option<Written> {
    let day = line.day()?;
    line.blanks()?;
    let month = line.month()?;
    line.blanks()?;
    let year = line.year()?;
    line.blanks()?;
    let time = line.time(true)?;
    let offset = match line.offset_behind_blanks() {
        Some(offset) => offset,
        None => {
            line.blanks()?;
            match line.word() {
                "UT" | "GMT" | "UTC" => 0,
                "EDT" => -4 * 60,
                "EST" | "CDT" => -5 * 60,
                "CST" | "MDT" => -6 * 60,
                "MST" | "PDT" => -7 * 60,
                "PST" => -8 * 60,
                _ => return None,
            }
        }
    };
    Some(Written { year: Some(year), month, day, time, offset: Some(offset), common_log: false })
}

/// RFC 3164, 4.1.2; with a year before the time (Cisco) or behind it (ctime(3)).
fn syslog(line: &mut Scanner<'_>) -> Option<Written> {
    let month = line.month()?;
    line.blanks()?;
    let day = line.day()?;
    let comma = line.literal(',').is_some();
    line.blanks()?;
    let before = line.perhaps(|line| {
        let year = line.year()?;
        line.blanks()?;
        Some(year)
    });
    if comma && before.is_none() {
        return None;
    }
    let time = line.time(false)?;
    let behind = line.perhaps(|line| {
        line.blanks()?;
        let year = line.year()?;
        line.0.is_empty().then_some(year).or_else(|| line.0.starts_with([']', ' ', ':']).then_some(year))
    });
    let offset = line.offset_behind_blanks().or_else(|| {
        line.perhaps(|line| {
            line.blanks()?;
            ["UTC", "GMT"].contains(&line.word()).then_some(0)
        })
    });
    Some(Written { year: before.or(behind), month, day, time, offset, common_log: false })
}

/// Seconds since 1970, with or without a fraction, or milliseconds. Other numbers are as long: only what was before now
/// counts.
fn epoch(line: &str, now: Timestamp) -> Option<Timestamp> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '@';
    line.split(|c| !word(c)).find_map(|word| {
        // "...Z." ends a sentence.
        let (whole, fraction) =
            word.trim_end_matches('.').split_once('.').unwrap_or((word.trim_end_matches('.'), ""));
        let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return None;
        }
        let number: i64 = whole.parse().ok()?;
        let at = match (whole.len(), fraction) {
            (10, fraction) => {
                let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
                Timestamp::from_seconds(number).plus(Duration::from_millis(millis))
            }
            (13, "") => Timestamp::from_millis(number),
            _ => return None,
        };
        (at >= Timestamp::from_seconds(TEN_DIGITS) && at <= now.plus(AHEAD_MAX)).then_some(at)
    })
}
