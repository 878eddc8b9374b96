//! How the feed of a NAS looks to people: the line in the list, what is wrong and what to do below it, and the card of one.
//!
//! Knows: what whoever is on call asks first. Must not know: how a feed is judged; the daemon's word for it stands.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::output::{Row, safe};
use super::rows::{NOTHING, local, number, text};
use super::time::shown;
use crate::server::http::nas::{NasRow, UnusableRow};

impl Row for NasRow {
    const HEADINGS: &'static [&'static str] =
        &["NAS", "HEARD", "FEED", "/MIN", "ACTIVE", "SUSPECT", "PENDING", "UNUSABLE", "DROPPED"];
    const FIELDS: &'static [&'static str] = &[
        "nas",
        "client",
        "feed",
        "last_heard",
        "last_packet",
        "records_last_minute",
        "active",
        "suspect",
        "pending",
        "records",
        "refreshes",
        "duplicates",
        "retransmits",
        "late",
        "stops_missed",
        "claims_dropped",
        "unusable",
        "last_fault",
        "last_fault_at",
        "interval_seconds",
        "silent",
        "whole",
        "since",
        "why",
        "clock",
        "clock_offset_ms",
        "absurd_times",
        "held_until",
        "held_by",
        "held_reason",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        vec![
            self.nas.clone(),
            local(self.last_heard.as_deref(), zone),
            self.feed.clone(),
            self.records_last_minute.to_string(),
            self.active.to_string(),
            self.suspect.to_string(),
            self.pending.to_string(),
            self.unusable.iter().map(|unusable| unusable.count).fold(0, u64::saturating_add).to_string(),
            self.claims_dropped.to_string(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let unusable: Vec<_> =
            self.unusable.iter().map(|unusable| format!("{}={}", unusable.reason, unusable.count)).collect();
        vec![
            self.nas.clone(),
            self.client.clone(),
            self.feed.clone(),
            text(self.last_heard.as_deref()),
            text(self.last_packet.as_deref()),
            self.records_last_minute.to_string(),
            self.active.to_string(),
            self.suspect.to_string(),
            self.pending.to_string(),
            self.records.to_string(),
            self.refreshes.to_string(),
            self.duplicates.to_string(),
            self.retransmits.to_string(),
            self.late.to_string(),
            self.stops_missed.to_string(),
            self.claims_dropped.to_string(),
            unusable.join(" "),
            text(self.last_fault.as_deref()),
            text(self.last_fault_at.as_deref()),
            number(self.interval_seconds),
            self.silent.to_string(),
            self.whole.to_string(),
            text(self.since.as_deref()),
            text(self.why.as_deref()),
            self.clock.clone(),
            number(self.clock_offset_ms),
            self.absurd_times.to_string(),
            text(self.held_until.as_deref()),
            text(self.held_by.as_deref()),
            text(self.held_reason.as_deref()),
        ]
    }
}

/// What is wrong with which NAS, since when, and what to do; empty when nothing is.
#[must_use]
pub fn notes(rows: &[NasRow], zone: &TimeZone) -> String {
    let mut notes = String::new();
    for row in rows {
        let troubles = troubles(row, zone);
        if troubles.is_empty() {
            continue;
        }
        // Writing to a String can't fail.
        let _ = writeln!(notes, "\n{}:", safe(&row.nas));
        for trouble in troubles {
            let _ = writeln!(notes, "  {}", safe(&trouble));
        }
    }
    notes
}

/// One NAS: one fact a line, times both local and in UTC, fit for a ticket; then what is wrong with it.
#[must_use]
pub fn card(row: &NasRow, zone: &TimeZone) -> String {
    let both = |at: Option<&str>| at.map(|at| format!("{} ({at})", shown(at, zone)));
    let sessions = format!("{} active, {} suspect, {} pending", row.active, row.suspect, row.pending);
    let facts = [
        ("NAS", Some(row.nas.clone())),
        ("Client", Some(row.client.clone())),
        ("Feed", Some(row.feed.clone())),
        ("Last heard", both(row.last_heard.as_deref())),
        ("Last packet", both(row.last_packet.as_deref())),
        ("Rate", Some(format!("{} records in the last whole minute", row.records_last_minute))),
        ("Sessions", Some(sessions)),
        ("Records", Some(format!("{}, {} of them refreshes", row.records, row.refreshes))),
        ("Again", Some(format!("{} duplicates, {} retransmits", row.duplicates, row.retransmits))),
        ("Late", Some(format!("{} records", row.late))),
        ("No Stop", Some(format!("{} sessions ended without one", row.stops_missed))),
        ("Dropped", Some(format!("{} (claims that its client may not make)", row.claims_dropped))),
        ("Interval", row.interval_seconds.map(|seconds| format!("{seconds} s"))),
        ("Coverage", Some(coverage(row))),
        ("Anew since", both(row.since.as_deref())),
        ("Clock", Some(clock(row))),
        ("Held until", both(row.held_until.as_deref())),
    ];
    let mut card = String::new();
    for (title, fact) in facts {
        let Some(fact) = fact else { continue };
        let _ = writeln!(card, "{title:<12}{}", safe(&fact));
    }
    for unusable in &row.unusable {
        let _ = writeln!(card, "{:<12}{}", "Unusable", safe(&told(unusable, zone)));
    }
    card + &notes(std::slice::from_ref(row), zone)
}

fn coverage(row: &NasRow) -> String {
    match (row.whole, &row.why) {
        (true, _) => "whole: nobody else is online in its client's pools".to_owned(),
        (false, Some(why)) => format!("not whole: {why}; whoever is not in the map is deferred"),
        (false, None) => "not whole".to_owned(),
    }
}

fn clock(row: &NasRow) -> String {
    let meaning = match row.clock.as_str() {
        "undated" => "it sends no Event-Timestamp; arrival counts",
        "learning" => "its stamps did not agree for long enough yet; arrival counts",
        "absurd" => "what it said last can't be true; arrival counts",
        _ => "its stamps are corrected",
    };
    let offset = row.clock_offset_ms.map(|millis| format!(", by {millis} ms")).unwrap_or_default();
    format!("{}: {meaning}{offset}", row.clock)
}

fn troubles(row: &NasRow, zone: &TimeZone) -> Vec<String> {
    let mut troubles = Vec::new();
    let heard = row.last_heard.as_deref().map_or_else(|| NOTHING.to_owned(), |at| shown(at, zone));
    if let Some(until) = &row.held_until {
        let (by, reason) = (text(row.held_by.as_deref()), text(row.held_reason.as_deref()));
        let silence = if row.silent { format!("; it is silent since {heard}") } else { String::new() };
        troubles.push(format!("held until {} by {by}: {reason}{silence}", shown(until, zone)));
    } else if row.silent {
        let sessions = row.active.saturating_add(row.suspect);
        troubles.push(format!("silent since {heard}; its {sessions} sessions are old knowledge"));
        troubles.push("is it up, and does it still send its accounting here?".to_owned());
        let name = if is_plain(&row.nas) { &row.nas } else { "NAME" };
        troubles
            .push(format!("while it is worked on: relaywarden nas hold {name} --until TIME --reason TEXT"));
    }
    match row.feed.as_str() {
        "unheard" if row.unusable.is_empty() => {
            let question = "does it send its accounting to this host and port, from its configured address?";
            troubles.push(format!("nothing ever came from it; {question}"));
        }
        "unheard" => troubles.push("no record of it was ever taken".to_owned()),
        "lagging" => {
            let late = format!("catching up on old records ({} came late so far)", row.late);
            troubles.push(format!("{late}; whoever is not in the map is deferred meanwhile"));
        }
        _ => {}
    }
    if row.clock == "absurd" {
        troubles.push("its clock says what can't be true, so arrival counts; let it follow NTP".to_owned());
    }
    // Tunnels and modems are reported by design.
    let wrong = row.unusable.iter().filter(|unusable| unusable.reason != "other-status");
    troubles.extend(wrong.map(|unusable| told(unusable, zone)));
    troubles
}

/// Whether a shell takes the name as it stands: what is shown is pasted.
fn is_plain(name: &str) -> bool {
    !name.starts_with('-')
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"._:/-".contains(&octet))
}

fn told(unusable: &UnusableRow, zone: &TimeZone) -> String {
    let UnusableRow { reason, count, last } = unusable;
    let last = local(last.as_deref(), zone);
    let packets = if *count == 1 { "packet" } else { "packets" };
    let remedy = match reason.as_str() {
        "no-status" => "no Acct-Status-Type in it; is that accounting?",
        "other-status" => "not about a session; harmless",
        "no-session-id" => "let it send Acct-Session-Id",
        "unnamed-nas" => "let the proxy pass NAS-Identifier or NAS-IP-Address on",
        "queue-full" => "we were too slow; it sends them again",
        "bad-authenticator" | "bad-message-authenticator" => "is the secret the same on both sides?",
        _ => "",
    };
    format!("{reason}: {count} {packets}, last {last}; {remedy}").trim_end_matches([';', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(nas: &str) -> String {
        let row = NasRow { nas: nas.to_owned(), silent: true, ..NasRow::default() };
        notes(&[row], &TimeZone::UTC)
    }

    #[test]
    fn what_is_to_be_pasted_holds_a_name_only_where_a_shell_takes_it_as_it_stands() {
        assert!(silent("bras2/2001:db8::9").contains("nas hold bras2/2001:db8::9 --until"));
        for name in ["a; reboot", "$(id)", "--help", "a b", "caf\u{e9}"] {
            assert!(silent(name).contains("nas hold NAME --until"), "{name}");
        }
    }

    #[test]
    fn a_nas_that_is_well_has_no_note() {
        let row = NasRow { nas: "bras1".to_owned(), feed: "whole".to_owned(), ..NasRow::default() };
        assert_eq!(notes(std::slice::from_ref(&row), &TimeZone::UTC), "");
        assert_eq!(notes(&[NasRow { feed: "warm-up".to_owned(), ..row }], &TimeZone::UTC), "");
    }
}
