//! A day as a text for a ticket, and as a page for a mail: one file with its style in it, that needs nothing from anywhere.
//!
//! Knows: how it looks in both. Must not know: where the numbers come from.

use std::fmt::Write as _;

use askama::Template;
use jiff::tz::TimeZone;

use super::moment::Zone;
use super::words;
use crate::server::http::api::parse_rfc3339;
use crate::server::http::report::{CaseLine, FeedRow, OrderLine, RefusalRow, ReportRow};
use crate::server::http::top::TopRow;
use crate::session::is_harmful;

/// Tickets and terminals break longer lines.
const WIDTH: usize = 78;

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    row: &'a ReportRow,
    zone: Zone,
    headline: Vec<(String, &'static str)>,
    /// What is not well, in sentences.
    unwell: Vec<String>,
}

impl Page<'_> {
    fn hour(&self, text: Option<&str>) -> String {
        hour(text, &self.zone)
    }

    fn until(&self, order: &OrderLine) -> String {
        until(order, &self.zone)
    }

    fn usual(&self, row: &TopRow) -> String {
        usual(row)
    }

    fn about(&self, case: &CaseLine) -> String {
        about(case)
    }

    /// The share of the largest, in percent.
    fn share(&self, count: u64) -> u64 {
        let most = self.row.refusals.iter().map(|row| row.count).max().unwrap_or(1).max(1);
        count.saturating_mul(100).checked_div(most).unwrap_or_default().max(1)
    }
}

/// The page, whole.
#[must_use]
pub fn html(row: &ReportRow, zone: &TimeZone) -> String {
    let zone = Zone::new(zone.clone());
    let (headline, unwell) = (headline(row), unwell(row, &zone));
    let page = Page { row, zone, headline, unwell };
    // It is written into memory.
    inert(&page.render().unwrap_or_default())
}

/// The text; no line is longer than 78 columns but for a name that is.
#[must_use]
pub fn text(row: &ReportRow, zone: &TimeZone) -> String {
    let zone = Zone::new(zone.clone());
    let mut out = String::new();
    let title = format!("relaywarden, {} ({})", row.day, row.zone);
    // Writing to a String can't fail, here and below.
    let _ = writeln!(out, "{}\n{}\n", title, "=".repeat(title.chars().count().min(WIDTH)));
    for (number, what) in headline(row) {
        let _ = writeln!(out, "{number:>12}  {what}");
    }
    section(&mut out, "Not well now", unwell(row, &zone).iter().map(|line| wrapped(line)));
    let refusal = |row: &RefusalRow| {
        let observed = match row.observed {
            0 => String::new(),
            observed => format!(" ({} only observed)", words::number(observed)),
        };
        let verdict = row.verdict.as_deref().unwrap_or("-");
        format!("{:>12}  {:<7} {}{observed}", words::number(row.count), verdict, row.reason)
    };
    section(&mut out, "Refused and deferred", row.refusals.iter().map(refusal));
    let sender = |row: &TopRow| {
        let kind = if row.kind == "subscriber" { String::new() } else { format!(" ({})", row.kind) };
        let whom = cut(&format!("{}{kind}", row.subject), 34);
        let (messages, bytes) = (words::number(row.messages), words::octets(row.bytes));
        format!("{messages:>12}  {whom:<34} {bytes:>10}  usual {}", usual(row))
    };
    section(&mut out, "Most messages", row.top.iter().map(sender));
    let case = |case: &CaseLine| {
        let first =
            format!("  {} #{} {}, {}: ", hour(case.opened.as_deref(), &zone), case.id, case.kind, case.state);
        let line = format!("{first}{}", about(case));
        let words =
            if case.words.is_empty() { String::new() } else { format!("\n{}", indented(&case.words)) };
        let link = case.link.as_ref().map(|link| format!("\n        {link}")).unwrap_or_default();
        format!("{}{words}{link}", cut(&line, WIDTH))
    };
    section(&mut out, "Cases opened", row.cases.newest.iter().map(case));
    let order = |order: &OrderLine| {
        let kind = if order.kind == "subscriber" { String::new() } else { format!("{} ", order.kind) };
        let at = hour(order.at.as_deref(), &zone);
        let line =
            format!("  {at} {} {kind}{}{} by {}", order.order, order.subject, until(order, &zone), order.by);
        format!("{}\n{}", cut(&line, WIDTH), indented(&order.reason))
    };
    section(&mut out, "Orders", row.orders.newest.iter().map(order));
    inert(&out)
}

/// The daemon spells names so that they do nothing, but whoever sits at the other end of a socket need not be the daemon. One
/// letter for another, so that columns stay.
fn inert(text: &str) -> String {
    let harmful = |c: char| c != '\n' && is_harmful(c);
    text.chars().map(|c| if harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (place, line) in lines.enumerate() {
        if place == 0 {
            let _ = writeln!(out, "\n{title}");
        }
        for line in line.lines() {
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
}

fn headline(row: &ReportRow) -> Vec<(String, &'static str)> {
    let refused = row.refusals.iter().fold(0_u64, |sum, row| sum.saturating_add(row.count));
    let count =
        |number: u64, one: &'static str, more| (words::number(number), if number == 1 { one } else { more });
    let ended = row.orders.released.saturating_add(row.orders.ran_out);
    vec![
        count(row.sent.messages, "message let go", "messages let go"),
        count(row.sent.recipients, "recipient", "recipients"),
        (words::octets(row.sent.bytes), "of mail"),
        count(row.sent.senders, "sender", "senders"),
        count(refused, "refused or deferred", "refused or deferred"),
        count(row.cases.opened, "case opened", "cases opened"),
        count(row.cases.closed, "case closed", "cases closed"),
        count(row.cases.open, "case open now", "cases open now"),
        count(row.orders.suspended, "suspension given", "suspensions given"),
        count(row.orders.limited, "limit given", "limits given"),
        count(ended, "order lifted or run out", "orders lifted or run out"),
        count(row.orders.suspended_now, "suspended now", "suspended now"),
        count(row.orders.limited_now, "limited now", "limited now"),
        count(row.feeds, "feed", "feeds"),
    ]
}

/// What somebody should look at, in sentences.
fn unwell(row: &ReportRow, zone: &Zone) -> Vec<String> {
    let feed = |feed: &FeedRow| {
        let why = feed.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let heard = match feed.last_heard.as_deref() {
            Some(at) => format!(", last heard {}", moment(Some(at), zone)),
            None => String::new(),
        };
        format!("The feed of {} is {}{heard}{why}.", feed.nas, feed.feed)
    };
    let listed = row.listed.iter().map(|row| {
        let case = row.case.map(|case| format!(" (case {case})")).unwrap_or_default();
        format!("{} is on {} since {}{case}.", row.address, row.list, moment(row.since.as_deref(), zone))
    });
    let gap = row.gaps.iter().map(|gap| {
        let (since, until) = (moment(gap.since.as_deref(), zone), moment(Some(gap.until.as_str()), zone));
        format!("Nothing was heard from {since} to {until}.")
    });
    let notice = row.notices_behind.iter().map(|row| {
        let said = row.said.as_ref().map(|said| format!("; it said last: {said}")).unwrap_or_default();
        let name = &row.name;
        format!("For the notice {name} {} wait and {} were lost{said}.", row.waiting, row.lost)
    });
    listed.chain(row.feeds_unwell.iter().map(feed)).chain(gap).chain(notice).collect()
}

fn moment(text: Option<&str>, zone: &Zone) -> String {
    text.and_then(parse_rfc3339).map_or_else(|| "?".to_owned(), |at| zone.spelled(at))
}

fn hour(text: Option<&str>, zone: &Zone) -> String {
    text.and_then(parse_rfc3339).map_or_else(|| "?".to_owned(), |at| zone.hour(at))
}

fn until(order: &OrderLine, zone: &Zone) -> String {
    match (order.order.as_str(), order.until.as_deref()) {
        ("release" | "delist" | "limit-until-delisted", _) => String::new(),
        (_, Some(at)) => format!(" until {}", moment(Some(at), zone)),
        (_, None) => " until released".to_owned(),
    }
}

fn usual(row: &TopRow) -> String {
    row.usual.map_or_else(|| "unknown".to_owned(), words::number)
}

fn about(case: &CaseLine) -> String {
    if case.about.is_empty() { "nobody is named".to_owned() } else { case.about.join(", ") }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{kept}...")
}

fn wrapped(text: &str) -> String {
    fold(text, "  ", "    ")
}

fn indented(text: &str) -> String {
    fold(text, "        ", "        ")
}

/// Lines that fit, broken at blanks.
fn fold(text: &str, first: &str, others: &str) -> String {
    let mut lines = vec![first.to_owned()];
    let mut empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if !empty && length.saturating_add(1).saturating_add(word.chars().count()) > WIDTH {
            lines.push(others.to_owned());
            empty = true;
        }
        if let Some(line) = lines.last_mut() {
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
        }
        empty = false;
    }
    lines.join("\n")
}
