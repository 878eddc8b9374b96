//! How one infected machine was found, as SVG that can be read on a light ground and on a dark one.
//!
//! Knows: lengths, colours, labels. Must not know: what a signal is.

use std::fmt::Write as _;

use super::world::Chronicle;

/// The ground is painted, so that a viewer without a notion of light and dark shows dark on light.
const STYLE: &str = "\
<style>
text { font: 13px system-ui, 'DejaVu Sans', Verdana, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.small { font-size: 11px; fill: #59636e; }
.ground { fill: #ffffff; }
.day { fill: #1f6f9f; }
.bot { fill: #b35900; }
.axis { stroke: #59636e; stroke-width: 1; fill: none; }
.line { stroke: #b35900; stroke-width: 2; fill: none; }
.mark { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3; fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .ground { fill: #0d1117; }
  .day { fill: #58a6d6; }
  .bot { fill: #f0a35c; }
  .axis { stroke: #9198a1; }
  .line { stroke: #f0a35c; }
  .mark { stroke: #e6edf3; }
}
</style>
";

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 330.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 270.0;
/// The panel of days, and the panel of minutes.
const DAYS: (f64, f64) = (60.0, 500.0);
const MINUTES: (f64, f64) = (570.0, 870.0);
/// Half an hour is drawn.
const SECONDS: f64 = 1800.0;

/// A panel of all days, with messages by powers of ten, and one of the first half hour of the bot.
pub(crate) fn draw(chronicle: &Chronicle, learned: u32) -> String {
    let title = "An infected machine, and when it was a signal";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<title>{title}</title>\n\
         {STYLE}<rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    put(&mut svg, 20.0, 30.0, "start", "title", title);
    days(&mut svg, chronicle, learned);
    minutes(&mut svg, chronicle);
    svg.push_str("</svg>\n");
    svg
}

fn days(svg: &mut String, chronicle: &Chronicle, learned: u32) {
    put(svg, DAYS.0, 62.0, "start", "", "messages on each day");
    let count = f64::from(u32::try_from(chronicle.days.len()).unwrap_or(1));
    let width = (DAYS.1 - DAYS.0) / count;
    let height = |messages: f64| (messages + 1.0).log10() / 4.0 * (BOTTOM - TOP);
    for messages in [1.0, 10.0, 100.0, 1000.0] {
        let y = BOTTOM - height(messages);
        put(svg, DAYS.0 - 8.0, y + 4.0, "end", "small", &format!("{messages}"));
        let _ = writeln!(svg, "<path class=\"axis\" opacity=\".3\" d=\"M{} {y:.1} H{}\"/>", DAYS.0, DAYS.1);
    }
    let most_before = chronicle.days.iter().take(learned as usize).max().copied().unwrap_or_default();
    for (day, messages) in (0_u32..).zip(&chronicle.days) {
        let (x, tall) = (DAYS.0 + f64::from(day) * width, height(f64::from(*messages)));
        // A day of the bot is one that no day of the first weeks came near to.
        let class = if *messages > 3 * most_before + 30 { "bot" } else { "day" };
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
            BOTTOM - tall,
            width - 1.5
        );
        if day.is_multiple_of(7) {
            put(svg, x, BOTTOM + 18.0, "start", "small", &format!("week {}", day / 7 + 1));
        }
    }
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{} {BOTTOM} H{}\"/>", DAYS.0, DAYS.1);
}

fn minutes(svg: &mut String, chronicle: &Chronicle) {
    put(svg, MINUTES.0, 62.0, "start", "", "messages since the machine began");
    let most = f64::from(u32::try_from(chronicle.sent.len()).unwrap_or(1).max(1));
    let x = |second: u32| MINUTES.0 + f64::from(second) / SECONDS * (MINUTES.1 - MINUTES.0);
    let y = |count: f64| BOTTOM - count / most * (BOTTOM - TOP - 20.0);
    let mut line = format!("M{} {BOTTOM}", MINUTES.0);
    let mut count = 0.0;
    for second in &chronicle.sent {
        let _ = write!(line, " H{:.1}", x(*second));
        count += 1.0;
        let _ = write!(line, " V{:.1}", y(count));
    }
    let _ = writeln!(svg, "<path class=\"line\" d=\"{line} H{}\"/>", MINUTES.1);
    put(svg, MINUTES.1 + 6.0, y(most) + 4.0, "start", "small", &format!("{most}"));
    for minute in [0, 10, 20, 30] {
        put(svg, x(minute * 60), BOTTOM + 18.0, "middle", "small", &format!("{minute} min"));
    }
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{} {BOTTOM} H{}\"/>", MINUTES.0, MINUTES.1);
    if let Some((second, signal)) = chronicle.signals.first().filter(|(second, _)| *second <= 1800) {
        let at = x(*second);
        let _ = writeln!(svg, "<path class=\"mark\" d=\"M{at:.1} {} V{BOTTOM}\"/>", TOP - 4.0);
        let when = format!("{} after {}:{:02} min", signal.name, second / 60, second % 60);
        put(svg, at + 6.0, TOP + 8.0, "start", "small", &when);
        put(svg, DAYS.0, BOTTOM + 46.0, "start", "small", &format!("{}: {}", signal.name, signal.words));
    }
}

fn put(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
    );
}
