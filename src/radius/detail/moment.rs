//! How a detail file spells moments: local time, in a header without a zone and in attributes with a zone's letters.
//!
//! Knows: these spellings, and the letters that zones have. Must not know: this system's zone, which need not be that of
//! the server that wrote the file.

/// `Wed Nov 25 16:23:24 2026`.
pub(super) const HEADER_LENGTH: usize = 24;
/// The zones of the world are so far from each other, in seconds.
const STEP: i64 = 15 * 60;
/// None is further from UTC.
const FURTHEST: i64 = 14 * 3600;

/// What zones are called, and their minutes from UTC. Only where the daylight saving time has another name than the
/// rest of the year: that is what the header can't tell.
const ZONES: [(&str, i64); 28] = [
    ("WET", 0),
    ("WEST", 60),
    ("BST", 60),
    ("CET", 60),
    ("MET", 60),
    ("CEST", 120),
    ("MEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("MSD", 240),
    ("NST", -210),
    ("NDT", -150),
    ("AST", -240),
    ("ADT", -180),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("AEST", 600),
    ("AEDT", 660),
    ("NZDT", 780),
];

/// Letters that others use too, far away. Without a header nobody knows who is meant.
const SHARED: [&str; 6] = ["AST", "BST", "CST", "EST", "MST", "PST"];

/// Whether this is a header as FreeRADIUS writes it by default. Only its shape: what can't be a moment is still no
/// attribute.
pub(super) fn is_header(text: &[u8]) -> bool {
    const SHAPE: &[u8; HEADER_LENGTH] = b"Aaa Aaa _9 99:99:99 9999";
    let fits = |(shape, octet): (&u8, &u8)| match shape {
        b'A' => octet.is_ascii_uppercase(),
        b'a' => octet.is_ascii_lowercase(),
        b'9' => octet.is_ascii_digit(),
        b'_' => octet.is_ascii_digit() || *octet == b' ',
        other => octet == other,
    };
    text.len() == HEADER_LENGTH && SHAPE.iter().zip(text).all(fits)
}

/// How far the writer's clock on the wall was ahead of UTC, in seconds: by the header, and by the seconds since 1970 that
/// it wrote into the same record.
pub(super) fn offset(header: &[u8], received: i64) -> Option<i64> {
    let text = std::str::from_utf8(header).ok()?;
    let ahead = seconds(text, "%a %b %d %H:%M:%S %Y")?.checked_sub(received)?;
    (ahead % STEP == 0 && ahead.abs() <= FURTHEST).then_some(ahead)
}

/// The value of a date in seconds since 1970: a number, or `Nov 25 2026 16:23:24 CET`. `offset` is the writer's.
pub(super) fn date(text: &str, offset: Option<i64>) -> Option<i64> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (civil, zone) = text.rsplit_once(' ')?;
    seconds(civil, "%b %d %Y %H:%M:%S")?.checked_sub(zone_offset(zone, offset)?)
}

/// A zone's letters mean several zones. Those that can't be the writer's are left out: at the moment of the event its
/// clock was an hour away from that of the header at most, by daylight saving.
fn zone_offset(zone: &str, of_header: Option<i64>) -> Option<i64> {
    if matches!(zone, "UTC" | "GMT" | "UCT" | "Z") {
        return Some(0);
    }
    let named = ZONES.iter().find(|(name, _)| *name == zone).map(|(_, minutes)| minutes.saturating_mul(60));
    let exact = named.or_else(|| numeric(zone));
    match (exact, of_header) {
        (Some(exact), Some(header)) if exact.abs_diff(header) <= 3600 => Some(exact),
        (_, Some(header)) => Some(header),
        (exact, None) => exact.filter(|_| !SHARED.contains(&zone)),
    }
}

/// Zones without letters: `+03`, `-0330`.
fn numeric(zone: &str) -> Option<i64> {
    let sign = match zone.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..).filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit()))?;
    let (hours, minutes) = digits.split_at_checked(2)?;
    let hours: i64 = hours.parse().ok()?;
    let minutes: i64 = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60)?.checked_mul(sign)
}

/// A clock on the wall as if it showed UTC.
fn seconds(civil: &str, format: &str) -> Option<i64> {
    let civil = jiff::civil::DateTime::strptime(format, civil).ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-25 15:23:24 UTC.
    const RECEIVED: i64 = 1_795_620_204;

    #[test]
    fn a_header_is_known_by_its_shape() {
        assert!(is_header(b"Wed Nov 25 16:23:24 2026"));
        assert!(is_header(b"Sun Nov  1 06:03:04 2026"));
        for other in ["", "Wed Nov 25 16:23:24 202", "wed Nov 25 16:23:24 2026", "Wed Nov 25 16:23:24 2026 "]
        {
            assert!(!is_header(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn header_and_seconds_together_tell_the_writers_zone() {
        assert_eq!(offset(b"Wed Nov 25 16:23:24 2026", RECEIVED), Some(3600));
        assert_eq!(offset(b"Wed Nov 25 15:23:24 2026", RECEIVED), Some(0));
        assert_eq!(offset(b"Wed Nov 25 20:53:24 2026", RECEIVED), Some(19_800));
        assert_eq!(offset(b"Wed Nov 25 11:53:24 2026", RECEIVED), Some(-12_600));
        // Another moment than the record's: no zone is a minute from the next one.
        assert_eq!(offset(b"Wed Nov 25 16:24:24 2026", RECEIVED), None);
        assert_eq!(offset(b"Wed Nov 25 15:23:24 2025", RECEIVED), None);
        assert_eq!(offset(b"2026-11-25T15:23:24Z", RECEIVED), None);
    }

    #[test]
    fn a_date_is_read_in_the_zone_it_names() {
        for (text, of_header) in [
            ("1795620204", None),
            ("Nov 25 2026 15:23:24 UTC", Some(3600)),
            ("Nov 25 2026 16:23:24 CET", Some(3600)),
            ("Nov 25 2026 16:23:24 CET", None),
            ("Nov 25 2026 18:23:24 +03", None),
            ("Nov 25 2026 11:53:24 -0330", Some(-12_600)),
            ("Nov 25 2026 20:53:24 IST", Some(19_800)),
            ("Nov 25 2026 17:23:24 IST", Some(7200)),
        ] {
            assert_eq!(date(text, of_header), Some(RECEIVED), "{text} {of_header:?}");
        }
        assert_eq!(date("Oct  5 2011 13:25:43 CEST", Some(3600)), Some(1_317_813_943));
    }

    // The night in which the clocks go back: the event before, the record after it, and the other way in spring.
    #[test]
    fn daylight_saving_is_told_by_the_zones_letters_and_not_by_the_header() {
        let before = date("Oct 25 2026 02:59:59 CEST", Some(3600)).unwrap();
        let after = date("Oct 25 2026 02:00:00 CET", Some(3600)).unwrap();
        assert_eq!(after - before, 1);
        let before = date("Mar 29 2026 01:59:59 CET", Some(7200)).unwrap();
        let after = date("Mar 29 2026 03:00:00 CEST", Some(7200)).unwrap();
        assert_eq!(after - before, 1);
    }

    #[test]
    fn letters_that_mean_several_zones_are_read_as_the_header_says() {
        // China, not Chicago; Bangladesh, not Britain.
        assert_eq!(date("Nov 25 2026 23:23:24 CST", Some(28_800)), Some(RECEIVED));
        assert_eq!(date("Nov 25 2026 21:23:24 BST", Some(21_600)), Some(RECEIVED));
        assert_eq!(date("Nov 25 2026 09:23:24 CST", Some(-21_600)), Some(RECEIVED));
    }

    #[test]
    fn what_is_no_date_or_of_no_known_zone_is_none() {
        for text in [
            "",
            "yesterday",
            "Nov 25 2026",
            "Nov 25 2026 16:23:24 XYZ",
            "Nov 25 2026 16:23:24 CST",
            "Nov 31 2026 16:23:24 UTC",
        ] {
            assert_eq!(date(text, None), None, "{text:?}");
        }
        assert_eq!(date("99999999999999999999", None), None);
    }
}
