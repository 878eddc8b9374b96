//! Pictures of what was measured, as SVG that can be read on a light ground and on a dark one.
//!
//! Knows: lengths, colours, labels. Must not know: what is measured.

use std::fmt::Write as _;

/// A horizontal bar: how much of a target was reached.
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) against: String,
    /// 1 is the target, more is better.
    pub(crate) share: f64,
    /// What the number is, in words.
    pub(crate) words: String,
}

/// A line over a number of something, which goes by powers of ten.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) points: Vec<(u64, f64)>,
}

/// The ground is painted, so that a viewer without a notion of light and dark shows dark on light.
const STYLE: &str = "\
<style>
text { font: 13px system-ui, 'DejaVu Sans', Verdana, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.small { font-size: 11px; fill: #59636e; }
.ground { fill: #ffffff; }
.reached { fill: #1f6f9f; }
.missed { fill: #ffffff; stroke: #b35900; stroke-width: 1.5; }
.axis { stroke: #59636e; stroke-width: 1; fill: none; }
.target { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3; }
.line { stroke: #1f6f9f; stroke-width: 2; fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .ground { fill: #0d1117; }
  .reached { fill: #58a6d6; }
  .missed { fill: #0d1117; stroke: #f0a35c; }
  .axis { stroke: #9198a1; }
  .target { stroke: #e6edf3; }
  .line { stroke: #58a6d6; }
}
</style>
";

const WIDTH: f64 = 900.0;

/// Bars from 0 to twice the target; longer ones are cut there, and their number says how long they are.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    const LEFT: f64 = 390.0;
    const TARGET: f64 = 150.0;
    const HEIGHT: f64 = 40.0;
    const TOP: f64 = 76.0;
    let bottom = bars.iter().fold(TOP, |y, _| y + HEIGHT);
    let mut svg = open(title, bottom + 44.0);
    for (y, bar) in rows(TOP, HEIGHT).zip(bars) {
        let (length, class) =
            (bar.share.clamp(0.0, 2.0) * TARGET, if bar.share >= 1.0 { "reached" } else { "missed" });
        // A cut bar ends in an arrow.
        let tip = if bar.share > 2.0 { 10.0 } else { 0.0 };
        let (x, right) = (LEFT, LEFT + length);
        put(&mut svg, LEFT - 12.0, y + 13.0, "end", "", &bar.what);
        put(&mut svg, LEFT - 12.0, y + 27.0, "end", "small", &bar.against);
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{x:.1} {:.1} H{right:.1} l{tip:.1} 10 l-{tip:.1} 10 V{:.1} H{x:.1} Z\"/>",
            y + 4.0,
            y + 24.0
        );
        put(&mut svg, LEFT + 2.0 * TARGET + 18.0, y + 18.0, "start", "", &share(bar.share));
        put(&mut svg, LEFT + 2.0 * TARGET + 60.0, y + 18.0, "start", "small", &bar.words);
    }
    let mark = |svg: &mut String, share: f64, class: &str, word: &str| {
        let x = LEFT + share * TARGET;
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {:.1} V{bottom:.1}\"/>", TOP - 8.0);
        put(svg, x, TOP - 14.0, "middle", "small", word);
    };
    mark(&mut svg, 0.0, "axis", "0");
    mark(&mut svg, 1.0, "target", "target");
    mark(&mut svg, 2.0, "axis", "2 x");
    let legend = "Filled: the target is reached. Hollow: it is not. An arrow: more than twice the target.";
    put(&mut svg, 24.0, bottom + 26.0, "start", "small", legend);
    svg.push_str("</svg>\n");
    svg
}

/// Panels over the number of `over`, beside and below each other, each from 0 to a little more than its largest value.
pub(crate) fn lines(title: &str, over: &str, panels: &[Panel]) -> String {
    const ACROSS: usize = 2;
    const WIDE: f64 = 340.0;
    const HIGH: f64 = 150.0;
    let place = |number: usize| {
        let (column, row) = (number % ACROSS, number / ACROSS);
        let steps = |count: usize, size: f64| (0..count).fold(0.0, |sum, _| sum + size);
        (80.0 + steps(column, WIDE + 90.0), 86.0 + steps(row, HIGH + 84.0))
    };
    let (_, last) = place(panels.len().saturating_sub(1));
    let mut svg = open(title, last + HIGH + 60.0);
    for (number, panel) in panels.iter().enumerate() {
        let (left, top) = place(number);
        let most = panel.points.iter().map(|&(_, value)| value).fold(f64::MIN_POSITIVE, f64::max) * 1.15;
        let bottom = top + HIGH;
        let sizes: Vec<f64> = panel.points.iter().map(|&(sessions, _)| tens(sessions)).collect();
        let (low, high) = (sizes.first().copied().unwrap_or(0.0), sizes.last().copied().unwrap_or(1.0));
        // A single point stands in the middle.
        let x = |size: f64| {
            let share = if high > low { (size - low) / (high - low) } else { 0.5 };
            left + 24.0 + share * (WIDE - 48.0)
        };
        put(&mut svg, left, top - 12.0, "start", "", &panel.title);
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left:.1} {top:.1} V{bottom:.1} H{:.1}\"/>",
            left + WIDE
        );
        put(&mut svg, left - 8.0, bottom + 4.0, "end", "small", "0");
        let mut way = String::new();
        for (&(sessions, value), &size) in panel.points.iter().zip(&sizes) {
            let (x, y) = (x(size), bottom - value / most * HIGH);
            let _ = write!(way, "{}{x:.1} {y:.1} ", if way.is_empty() { 'M' } else { 'L' });
            let _ = writeln!(svg, "<circle class=\"reached\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
            put(&mut svg, x, y - 9.0, "middle", "small", &short(value));
            put(&mut svg, x, bottom + 16.0, "middle", "small", &short(tens_back(sessions)));
        }
        let _ = writeln!(svg, "<path class=\"line\" d=\"{}\"/>", way.trim_end());
        put(&mut svg, left + WIDE / 2.0, bottom + 32.0, "middle", "small", over);
    }
    svg.push_str("</svg>\n");
    svg
}

fn open(title: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n{STYLE}",
        escaped(title)
    );
    let _ = writeln!(svg, "<rect class=\"ground\" width=\"{WIDTH}\" height=\"{height:.0}\"/>");
    put(&mut svg, 24.0, 32.0, "start", "title", title);
    svg
}

fn rows(top: f64, height: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(top), move |y| Some(y + height))
}

fn put(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(
        svg,
        "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn tens(sessions: u64) -> f64 {
    tens_back(sessions.max(1)).log10()
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn tens_back(sessions: u64) -> f64 {
    sessions as f64
}

fn share(share: f64) -> String {
    let digits = if share < 10.0 { 2 } else { 0 };
    format!("{share:.digits$}")
}

/// A number in few letters.
fn short(value: f64) -> String {
    let (divisor, unit) = match value {
        value if value >= 1e6 => (1e6, " M"),
        value if value >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let value = value / divisor;
    let digits = usize::from(value < 10.0 && value.fract() > 0.05);
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_reaches_its_target_is_filled_and_one_that_does_not_is_hollow() {
        let bar =
            |share| Bar { what: "a < b".to_owned(), against: "c".to_owned(), share, words: String::new() };
        let svg = |share| bars("t", &[bar(share)]);
        assert!(svg(1.0).contains("<path class=\"reached\""));
        assert!(svg(0.99).contains("<path class=\"missed\""));
        assert!(svg(1.0).contains("a &lt; b") && !svg(1.0).contains("a < b"));
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [90_000.0, 1_500_000.0, 207.0, 2.5, 10_000_000.0].map(short);
        assert_eq!(numbers, ["90 k", "1.5 M", "207", "2.5", "10 M"]);
    }
}
