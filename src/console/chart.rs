//! Pictures as values: where each part of a chart stands, in hundredths of a percent of its width, so that one drawing fits
//! every screen and its text keeps its size.
//!
//! Nothing here has a style: the sheet colours classes, and what a picture tells stands in its title, its description and a
//! table beside it, too.
//!
//! Knows: geometry. Must not know: what is drawn.

use std::fmt;
use std::time::Duration;

use askama::Template;

use super::moment::Zone;
use crate::session::Timestamp;

/// Height of a lane with its name, in pixels.
const LANE: usize = 34;
/// Room for the hours above the lanes.
const HOURS: usize = 20;
/// Height of the bars.
const BARS: u64 = 96;
/// Marks of an axis at most; more would run into each other.
const MARKS_MAX: usize = 9;
const HOUR: Duration = Duration::from_secs(3600);

/// A part of the width, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Part(pub u32);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

/// A span of time that is as wide as a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub since: Timestamp,
    /// Before then.
    pub until: Timestamp,
}

impl Window {
    /// Where a moment stands; at the edge if it is beyond.
    #[must_use]
    pub fn place(&self, at: Timestamp) -> Part {
        let whole = i128::from(self.until.millis().saturating_sub(self.since.millis())).max(1);
        let passed = i128::from(at.millis().saturating_sub(self.since.millis())).clamp(0, whole);
        Part(u32::try_from(passed.saturating_mul(10_000) / whole).unwrap_or(10_000))
    }

    /// Whether a moment is within.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }

    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.until.since(self.since)
    }

    /// Round hours, or days, of the wall within.
    #[must_use]
    pub fn marks(&self, zone: &Zone) -> Vec<Mark> {
        let hours = self.length().as_secs() / 3600;
        let step = match hours {
            0..=8 => 1,
            9..=25 => 3,
            26..=73 => 6,
            74..=192 => 24,
            _ => i32::try_from(hours.div_ceil(8 * 24).saturating_mul(24)).unwrap_or(i32::MAX),
        };
        let mut marks = Vec::new();
        let mut at = zone.midnight(self.since);
        // As many steps as a window of this length can have, and a day before it.
        for _ in 0..64 {
            if at >= self.until || marks.len() > MARKS_MAX.saturating_mul(2) {
                break;
            }
            let here = self.place(at);
            if at > self.since && here.0 <= 9_600 {
                let midnight = zone.midnight(at) == at;
                let text = if midnight { zone.day(at) } else { zone.hour(at) };
                marks.push(Mark { x: here, text, minor: marks.len() % 2 == 1 && (!midnight || step >= 24) });
            }
            let next = zone.hours_later(at, step);
            if next <= at {
                break;
            }
            at = next;
        }
        marks
    }
}

/// A mark of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Where.
    pub x: Part,
    /// What it says.
    pub text: String,
    /// It gives way on a narrow screen.
    pub minor: bool,
}

/// Somebody's time in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From where.
    pub x: Part,
    /// How far.
    pub width: Part,
    /// The class of the sheet: `one`, `other`, `chosen` or `doubtful`.
    pub class: &'static str,
    /// What stands in it, where there is room.
    pub text: String,
    /// All of it in words.
    pub title: String,
}

/// What may become a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which lane: spans of one name are in one, unless they overlap.
    pub lane: String,
    /// From then on.
    pub since: Timestamp,
    /// Before then.
    pub until: Timestamp,
    /// The class of the sheet.
    pub class: &'static str,
    /// What stands in it.
    pub text: String,
    /// All of it in words.
    pub title: String,
}

/// A lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Its name; the same as the one before: empty.
    pub name: String,
    /// Where it begins, in pixels from the top.
    pub y: usize,
    /// What is in it.
    pub spans: Vec<Span>,
    ends: Timestamp,
}

impl Lane {
    /// Where its name stands.
    #[must_use]
    pub fn text_y(&self) -> usize {
        self.y.saturating_add(11)
    }

    /// Where its bar begins.
    #[must_use]
    pub fn bar_y(&self) -> usize {
        self.y.saturating_add(15)
    }
}

/// Lanes over time.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "lanes.html")]
pub struct Lanes {
    /// Tells the titles of several pictures of a page apart.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// The same at more length, for whoever can't see it.
    pub description: String,
    /// From top to bottom.
    pub lanes: Vec<Lane>,
    /// Hours or days.
    pub marks: Vec<Mark>,
    /// The moment that is asked about.
    pub asked: Option<Part>,
    /// Height in pixels.
    pub height: usize,
    /// Lanes that did not fit in.
    pub left_out: usize,
    /// What it means where there is nothing.
    pub gap: &'static str,
}

impl Lanes {
    /// Draws what was held, the latest first, in at most so many lanes.
    #[must_use]
    pub fn new(
        id: &'static str,
        title: String,
        window: Window,
        zone: &Zone,
        mut held: Vec<Held>,
        lanes_max: usize,
    ) -> Self {
        held.retain(|held| held.since < window.until && held.until > window.since);
        held.sort_by(|one, other| (one.since, &one.text).cmp(&(other.since, &other.text)));
        let mut order: Vec<String> = Vec::new();
        for each in held.iter().rev() {
            if !order.contains(&each.lane) {
                order.push(each.lane.clone());
            }
        }
        let mut lanes: Vec<Lane> = Vec::new();
        let mut left_out = 0_usize;
        for name in &order {
            if lanes.len() >= lanes_max {
                left_out = left_out.saturating_add(1);
                continue;
            }
            let first = lanes.len();
            for each in held.iter().filter(|each| each.lane == *name) {
                let free = lanes.iter().skip(first).position(|lane| lane.ends <= each.since);
                let index = match free {
                    Some(place) => first.saturating_add(place),
                    None if lanes.len() < lanes_max.saturating_add(2) => {
                        let y = HOURS.saturating_add(lanes.len().saturating_mul(LANE));
                        let name = if lanes.len() == first { name.clone() } else { String::new() };
                        lanes.push(Lane { name, y, spans: Vec::new(), ends: Timestamp::EARLIEST });
                        lanes.len().saturating_sub(1)
                    }
                    None => continue,
                };
                let Some(lane) = lanes.get_mut(index) else { continue };
                let x = window.place(each.since);
                // What lasted for a moment is still to be seen.
                let width = Part(window.place(each.until).0.saturating_sub(x.0).max(20));
                let Held { class, text, title, .. } = each;
                lane.ends = each.until;
                lane.spans.push(Span { x, width, class, text: text.clone(), title: title.clone() });
            }
        }
        if lanes.is_empty() {
            lanes.push(Lane { name: String::new(), y: HOURS, spans: Vec::new(), ends: Timestamp::EARLIEST });
        }
        let said: Vec<&str> = held.iter().map(|held| held.title.as_str()).take(50).collect();
        let description = if said.is_empty() { "Nothing in this time.".to_owned() } else { said.join("; ") };
        let height = HOURS.saturating_add(lanes.len().saturating_mul(LANE)).saturating_add(2);
        let marks = window.marks(zone);
        Lanes { id, title, description, lanes, marks, asked: None, height, left_out, gap: "nobody" }
    }

    /// With a line at this moment.
    #[must_use]
    pub fn asking(self, window: Window, at: Timestamp) -> Self {
        Lanes { asked: Some(window.place(at)), ..self }
    }
}

/// A bar, and its row in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// From where.
    pub x: Part,
    /// How far.
    pub width: Part,
    /// Top of it, in pixels.
    pub y: u64,
    /// How high, in pixels.
    pub height: u64,
    /// Which hour, or day.
    pub when: String,
    /// How many.
    pub count: u64,
}

/// Bars over time.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "bars.html")]
pub struct Bars {
    /// Tells the titles of several pictures of a page apart.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// The same at more length, for whoever can't see it.
    pub description: String,
    /// From left to right.
    pub bars: Vec<Bar>,
    /// Hours or days.
    pub marks: Vec<Mark>,
    /// The highest.
    pub most: u64,
    /// All of them.
    pub sum: u64,
}

impl Bars {
    /// Adds up counts by the hours of the wall or, in a window of more than eight days, by its days.
    #[must_use]
    pub fn new(
        id: &'static str,
        what: &str,
        window: Window,
        zone: &Zone,
        counted: impl Iterator<Item = (Timestamp, u64)>,
    ) -> Self {
        let days = window.length() > HOUR.saturating_mul(8 * 24);
        let mut edges = vec![zone.midnight(window.since)];
        while let Some(last) = edges.last().copied().filter(|last| *last < window.until)
            && edges.len() < 1000
        {
            // An hour is an hour, also the one that the wall shows twice; a day is the wall's.
            let next = if days { zone.hours_later(last, 24) } else { last.plus(HOUR) };
            edges.push(next.max(last.plus(HOUR)));
        }
        edges.retain(|edge| *edge > window.since && *edge < window.until);
        edges.insert(0, window.since);
        let mut counts = vec![0_u64; edges.len()];
        for (at, more) in counted.filter(|(at, _)| window.holds(*at)) {
            let index = edges.partition_point(|edge| *edge <= at).saturating_sub(1);
            if let Some(count) = counts.get_mut(index) {
                *count = count.saturating_add(more);
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        let sum = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let ends = edges.iter().skip(1).copied().chain([window.until]);
        let bars: Vec<Bar> = edges
            .iter()
            .zip(ends)
            .zip(&counts)
            .map(|((&since, until), &count)| {
                let x = window.place(since);
                let whole = window.place(until).0.saturating_sub(x.0);
                let height = count.saturating_mul(BARS).div_ceil(most.max(1)).min(BARS);
                let when = if days { zone.day(since) } else { zone.spelled(since) };
                let gap = (whole / 8).min(20);
                Bar {
                    x,
                    width: Part(whole.saturating_sub(gap)),
                    y: BARS.saturating_sub(height).saturating_add(4),
                    height,
                    when,
                    count,
                }
            })
            .collect();
        let per = if days { "day" } else { "hour" };
        let peak = bars.iter().max_by_key(|bar| bar.count).filter(|bar| bar.count > 0);
        let description = match peak {
            Some(bar) => format!("{sum} in all; the most, {most}, in the {per} of {}.", bar.when),
            None => "None in this time.".to_owned(),
        };
        let title = format!("{what} per {per}");
        Bars { id, title, description, bars, marks: window.marks(zone), most, sum }
    }

    /// Those that are not empty, the latest first: the rows of the table.
    pub fn told(&self) -> impl Iterator<Item = &Bar> {
        self.bars.iter().rev().filter(|bar| bar.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn hours(hours: i64) -> Timestamp {
        Timestamp::from_seconds(1_795_392_000 + hours * 3600)
    }

    fn day() -> Window {
        Window { since: hours(0), until: hours(24) }
    }

    fn utc() -> Zone {
        Zone::new(TimeZone::UTC)
    }

    fn held(lane: &str, since: i64, until: i64) -> Held {
        Held {
            lane: lane.to_owned(),
            since: hours(since),
            until: hours(until),
            class: "one",
            text: lane.to_owned(),
            title: format!("{lane} from {since} to {until}"),
        }
    }

    #[test]
    fn a_moment_has_its_place_and_one_beyond_stands_at_the_edge() {
        assert_eq!(day().place(hours(6)).to_string(), "25.00%");
        assert_eq!(day().place(hours(-1)).to_string(), "0.00%");
        assert_eq!(day().place(hours(25)).to_string(), "100.00%");
        let none = Window { since: hours(1), until: hours(1) };
        assert_eq!(none.place(hours(1)).to_string(), "0.00%");
    }

    #[test]
    fn what_overlaps_is_below_each_other_and_what_follows_is_in_one_lane() {
        let all =
            vec![held("a", 0, 6), held("a", 5, 9), held("a", 9, 12), held("b", 20, 30), held("c", 30, 31)];
        let lanes = Lanes::new("x", "who".to_owned(), day(), &utc(), all, 8);
        let names: Vec<&str> = lanes.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, ["b", "a", ""]);
        assert_eq!(lanes.lanes[1].spans.len() + lanes.lanes[2].spans.len(), 3);
        assert_eq!(lanes.lanes[0].spans[0].width, Part(10_000 - lanes.lanes[0].spans[0].x.0));
    }

    #[test]
    fn lanes_beyond_the_room_are_counted() {
        let all = (0..12).map(|n| held(&format!("lane {n}"), n, n + 1)).collect();
        let lanes = Lanes::new("x", "who".to_owned(), day(), &utc(), all, 8);
        assert_eq!((lanes.lanes.len(), lanes.left_out), (8, 4));
        assert_eq!(lanes.lanes[0].name, "lane 11", "the latest are shown");
    }

    #[test]
    fn every_moment_within_is_counted_once_in_the_hour_it_is_of() {
        let moments = [0, 0, 1, 23, 24, -1].map(hours);
        let bars = Bars::new("x", "Messages", day(), &utc(), moments.into_iter().map(|at| (at, 1)));
        let counts: Vec<u64> = bars.bars.iter().map(|bar| bar.count).collect();
        assert_eq!((counts.len(), counts[0], counts[1], counts[23]), (24, 2, 1, 1));
        assert_eq!((bars.sum, bars.most), (4, 2));
        assert_eq!((bars.bars[0].height, bars.bars[1].height, bars.bars[2].height), (96, 48, 0));
        assert_eq!(bars.told().count(), 3);
    }

    #[test]
    fn a_day_in_which_clocks_are_set_has_its_own_number_of_hours() {
        let zone = Zone::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule"));
        for (from, count) in [(1_792_879_200, 25), (1_774_738_800, 23)] {
            let since = Timestamp::from_seconds(from);
            assert_eq!(zone.midnight(since), since);
            let window = Window { since, until: zone.hours_later(since, 24) };
            let bars = Bars::new("x", "Messages", window, &zone, std::iter::empty());
            assert_eq!(u64::try_from(bars.bars.len()).unwrap(), window.length().as_secs() / 3600);
            assert_eq!(bars.bars.len(), count);
        }
    }

    #[test]
    fn marks_never_run_into_each_other() {
        for length in [1, 7, 24, 25, 48, 72, 168, 192, 720, 2000, 9000] {
            let window = Window { since: hours(5), until: hours(5 + length) };
            let marks = window.marks(&utc());
            assert!(marks.len() <= MARKS_MAX + 4, "{length} h: {}", marks.len());
        }
    }
}
