//! One day of a sender in numbers, and what is usual by the days before it.
//!
//! Knows: UTC days, quarters of them, weekdays and weekends. Must not know: whose days they are, or from where on a number is
//! a signal.

use serde::{Deserialize, Serialize};

use super::measure::Measure;
use crate::session::Timestamp;

/// The days that say what is usual: four weeks.
pub const DAYS: u16 = 28;
/// For so many days is known to whom somebody writes, and which day before those had the most messages: nine weeks. What goes
/// out once a month is not within four.
pub const REMEMBERED: u16 = 63;
/// After so many days a day on which there was a signal says again how much is usual: somebody has had the time to look,
/// and what goes out once a week does so again.
const LOOKED_AT: u16 = 7;
/// Weeks within [`DAYS`]: what happens once a week happened so often.
const WEEKS: usize = 4;

const DAY_MILLIS: i64 = 86_400_000;
const QUARTER_MILLIS: i64 = DAY_MILLIS / 4;

/// The UTC day of a moment, counted from 1970-01-01; the first and the last one (in 2149) stand for all beyond.
#[must_use]
pub fn day_of(at: Timestamp) -> u16 {
    let day = at.millis().div_euclid(DAY_MILLIS).max(0);
    u16::try_from(day).unwrap_or(u16::MAX)
}

/// When the UTC day of a moment began.
#[must_use]
pub fn begin_of_day(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(at.millis().rem_euclid(DAY_MILLIS)))
}

/// The quarter of its day in which a moment lies: 0 to 3.
#[must_use]
pub fn quarter_of(at: Timestamp) -> u8 {
    u8::try_from(at.millis().rem_euclid(DAY_MILLIS) / QUARTER_MILLIS).unwrap_or_default()
}

/// Monday is 0; 1970-01-01 was a Thursday.
fn weekday(day: u16) -> u16 {
    day.wrapping_add(3) % 7
}

fn is_weekend(day: u16) -> bool {
    weekday(day) >= 5
}

/// What somebody sent on one day. Numbers that do not fit stay at their most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Day {
    /// Which: see [`day_of`].
    pub day: u16,
    /// Messages.
    pub messages: u32,
    /// Recipients of these.
    pub recipients: u32,
    /// Messages in each quarter.
    pub quarters: [u16; 4],
    /// Different domains of recipients.
    pub domains: u16,
    /// Messages to a domain that was not written to for [`REMEMBERED`] days.
    pub new_domains: u16,
    /// The most messages within half an hour to such a domain under sender addresses that were not used before this day and
    /// the last, while they were two of five or more of those under such addresses.
    pub strangers: u8,
    /// Different sender addresses.
    pub senders: u8,
    /// Different HELO names.
    pub helos: u8,
    /// Recipients that were refused.
    pub refused: u16,
    /// Messages in which a scanner found spam.
    pub spam: u16,
    /// Messages in which a scanner found a virus.
    pub viruses: u16,
    /// Different addresses from which a login was used.
    pub addresses: u8,
    /// Whether there was a signal, and nobody said that it was all right.
    pub odd: bool,
}

/// What is usual for one measure on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usual {
    /// The least of the days that count; of one without mail that is nothing.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// The most on such a day: on this weekday, or on other weekdays (or days of a weekend) but for what is once a week.
    pub such: u64,
    /// How many of the days before count: none is known of a sender that is new.
    pub days: u16,
}

/// The days before one, as far as they are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    /// In their order; those without mail are not there.
    pub(super) days: &'a [Day],
    /// Of the time before those, the day with the most messages.
    pub(super) best: Option<&'a Day>,
    /// The first day of which anything is known.
    pub(super) first: u16,
}

impl Before<'_> {
    /// What is usual on this day.
    pub(super) fn usual(&self, day: u16, measure: Measure, quarter: u8) -> Usual {
        let known = day.saturating_sub(self.first).min(DAYS);
        let (mut seen, mut odd) = (0_u16, 0_u16);
        let (mut least, mut most, mut same_weekday) = (u64::MAX, 0, 0);
        // The most of days of this kind, in falling order, one more than there are weeks.
        let mut highest = [0_u64; WEEKS + 1];
        for before in self.days.iter().filter(|before| before.day < day) {
            let ago = day.saturating_sub(before.day);
            if ago > DAYS {
                continue;
            }
            if before.odd && !(measure.is_volume() && ago >= LOOKED_AT) {
                odd = odd.saturating_add(1);
                continue;
            }
            let value = measure.of(before, quarter);
            seen = seen.saturating_add(1);
            (least, most) = (least.min(value), most.max(value));
            if weekday(before.day) == weekday(day) {
                same_weekday = same_weekday.max(value);
            }
            if is_weekend(before.day) == is_weekend(day) {
                let mut value = value;
                for place in &mut highest {
                    if value > *place {
                        std::mem::swap(place, &mut value);
                    }
                }
            }
        }
        let days = known.saturating_sub(odd);
        let [.., beyond_once_a_week] = highest;
        Usual {
            least: if seen < days || seen == 0 { 0 } else { least },
            most,
            such: same_weekday.max(beyond_once_a_week),
            days,
        }
    }

    /// The most before the days that say what is usual; only of how much, not of how strange it was.
    pub(super) fn long_ago(&self, day: u16, measure: Measure, quarter: u8) -> u64 {
        let best = self.best.filter(|best| day.saturating_sub(best.day) <= REMEMBERED);
        best.filter(|_| measure.is_volume()).map_or(0, |best| measure.of(best, quarter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(day: u16, messages: u32) -> Day {
        Day { day, messages, ..Day::default() }
    }

    fn usual(days: &[Day], day: u16) -> Usual {
        let first = days.first().map_or(day, |first| first.day);
        Before { days, best: None, first }.usual(day, Measure::Messages, 0)
    }

    #[test]
    fn a_day_and_its_quarters_begin_at_midnight_utc() {
        let at =
            |millis| (day_of(Timestamp::from_millis(millis)), quarter_of(Timestamp::from_millis(millis)));
        assert_eq!((at(DAY_MILLIS - 1), at(DAY_MILLIS)), ((0, 3), (1, 0)));
        assert_eq!((at(QUARTER_MILLIS - 1), at(QUARTER_MILLIS)), ((0, 0), (0, 1)));
        assert_eq!((at(-1).0, at(i64::MAX).0), (0, u16::MAX));
        // 2026-11-23 was a Monday.
        let monday = day_of(Timestamp::from_seconds(1_795_392_000));
        assert_eq!((weekday(monday), is_weekend(monday + 4), is_weekend(monday + 5)), (0, false, true));
    }

    #[test]
    fn four_weeks_count_and_a_day_more_does_not() {
        let days = [sent(100, 50), sent(101, 7)];
        assert_eq!(usual(&days, 128).most, 50);
        assert_eq!(usual(&days, 129), Usual { least: 0, most: 7, such: 7, days: 28 });
    }

    #[test]
    fn what_is_once_a_week_is_usual_on_its_weekday_and_not_on_others() {
        // Each day 5 messages, on Mondays 400.
        let days: Vec<Day> =
            (100..150).map(|day| sent(day, if weekday(day) == 0 { 400 } else { 5 })).collect();
        let monday = (130..137).find(|day| weekday(*day) == 0).unwrap();
        assert_eq!(usual(&days, monday), Usual { least: 5, most: 400, such: 400, days: 28 });
        assert_eq!(usual(&days, monday + 1), Usual { least: 5, most: 400, such: 5, days: 28 });
    }

    #[test]
    fn a_day_without_mail_is_one_with_none_and_a_new_sender_has_no_days() {
        assert_eq!(usual(&[sent(100, 9), sent(102, 3)], 103), Usual { least: 0, most: 9, such: 0, days: 3 });
        assert_eq!(usual(&[sent(100, 9), sent(101, 3)], 102), Usual { least: 3, most: 9, such: 0, days: 2 });
        assert_eq!(usual(&[], 100), Usual::default());
    }

    #[test]
    fn an_odd_day_says_how_much_is_usual_after_a_week_and_never_what_is_strange() {
        let odd = Day { messages: 900, strangers: 30, odd: true, ..sent(100, 0) };
        let days = [sent(99, 4), odd];
        let of = |measure, day| Before { days: &days, best: None, first: 99 }.usual(day, measure, 0);
        assert_eq!((of(Measure::Messages, 106).most, of(Measure::Messages, 106).days), (4, 6));
        assert_eq!((of(Measure::Messages, 107).most, of(Measure::Messages, 107).days), (900, 8));
        assert_eq!((of(Measure::Strangers, 107).most, of(Measure::Strangers, 120).most), (0, 0));
    }

    #[test]
    fn the_best_day_long_ago_counts_for_nine_weeks() {
        let best = Day { strangers: 30, ..sent(100, 900) };
        let before = Before { days: &[], best: Some(&best), first: 100 };
        assert_eq!(before.long_ago(163, Measure::Messages, 0), 900);
        assert_eq!(before.long_ago(164, Measure::Messages, 0), 0);
        assert_eq!(before.long_ago(163, Measure::Strangers, 0), 0);
    }
}
