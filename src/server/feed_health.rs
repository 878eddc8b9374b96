//! How each NAS's feed is: what the machine knows of it beside what its sockets saw, as rows and as metrics.
//!
//! Knows: which of two facts about a feed matters more. Must not know: who asks, or what is to be done.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::http::api::rfc3339;
use super::http::metrics::Exposition;
use super::http::nas::{NasRow, UnusableRow};
use super::radius;
use super::radius::feeds::{Fault, Feed, Known};
use crate::config::Config;
use crate::radius::nas_clock::{self, State};
use crate::session::bindings::{Doubt, LiveMap};
use crate::session::nas::Nas;
use crate::session::{Name, Timestamp};

/// One NAS from both sides; at least one of them knows it, or it is a client that never spoke.
struct Sides {
    client: Name,
    machine: Option<Arc<Nas>>,
    socket: Option<Feed>,
    clock: nas_clock::Reading,
}

impl Sides {
    fn of(client: &Name) -> Self {
        Sides { client: client.clone(), machine: None, socket: None, clock: nas_clock::Reading::default() }
    }
}

/// All NASes that were heard of, by name, and the clients of which none was.
fn sides(map: &LiveMap, radius: &radius::Running, config: &Config) -> BTreeMap<Name, Sides> {
    let mut all: BTreeMap<Name, Sides> = BTreeMap::new();
    for nas in map.nases().iter() {
        let side = all.entry(nas.name.clone()).or_insert_with(|| Sides::of(&nas.client));
        side.machine = Some(Arc::clone(nas));
    }
    for (name, Known { client, feed }) in radius.feeds().all() {
        all.entry(name).or_insert_with(|| Sides::of(&client)).socket = Some(feed);
    }
    let spoke: HashSet<Name> = all.values().map(|side| side.client.clone()).collect();
    for client in config.radius.clients.iter().filter(|client| !spoke.contains(&client.name)) {
        all.insert(client.name.clone(), Sides::of(&client.name));
    }
    for (name, side) in &mut all {
        side.clock = radius.clock(name);
    }
    all
}

/// A row for each NAS, in the order of their names.
pub(super) fn rows(map: &LiveMap, radius: &radius::Running, config: &Config, now: Timestamp) -> Vec<NasRow> {
    let doubts = map.doubts(now);
    sides(map, radius, config).iter().map(|(name, side)| row(name, side, &doubts, now)).collect()
}

fn row(name: &Name, side: &Sides, doubts: &[(Name, Doubt, Timestamp)], now: Timestamp) -> NasRow {
    let doubts: Vec<_> = doubts.iter().filter(|(client, ..)| *client == side.client).collect();
    let warming = doubts.iter().any(|(_, doubt, _)| *doubt == Doubt::WarmUp);
    let why = doubts
        .first()
        .map(|(_, doubt, until)| format!("{} until {}", doubt.word(), rfc3339(*until).unwrap_or_default()));
    let mut row = NasRow {
        nas: name.to_string(),
        client: side.client.to_string(),
        feed: "unheard".to_owned(),
        whole: doubts.is_empty(),
        why,
        clock: side.clock.state.word().to_owned(),
        clock_offset_ms: side.clock.offset_millis,
        absurd_times: side.clock.absurd_records,
        ..NasRow::default()
    };
    if let Some(nas) = &side.machine {
        tell_machine(&mut row, nas, warming, now);
    }
    if let Some(feed) = &side.socket {
        tell_socket(&mut row, feed, now);
    }
    row
}

fn tell_machine(row: &mut NasRow, nas: &Nas, warming: bool, now: Timestamp) {
    let counts = nas.counts();
    feed(nas, warming, now).clone_into(&mut row.feed);
    row.last_heard = rfc3339(nas.heard());
    (row.active, row.suspect, row.pending) = (counts.active, counts.suspect, counts.pending);
    row.records = counts.records.saturating_add(counts.refreshes);
    row.refreshes = counts.refreshes;
    (row.late, row.stops_missed, row.claims_dropped) =
        (counts.late, counts.stops_missed, counts.claims_dropped);
    row.interval_seconds = nas.interval().map(|interval| interval.as_secs());
    row.silent = nas.is_silent();
    row.since = rfc3339(nas.whole_since());
    if let Some(hold) = nas.hold().filter(|hold| now < hold.until) {
        row.held_until = rfc3339(hold.until);
        row.held_by = Some(hold.by.to_string());
        row.held_reason = Some(hold.reason.to_string());
    }
}

/// What its own NAS is in, not what others of its client are.
fn feed(nas: &Nas, warming: bool, now: Timestamp) -> &'static str {
    if now < nas.held_until() {
        "held"
    } else if nas.is_silent() {
        "silent"
    } else if now < nas.lagging_until() {
        "lagging"
    } else if warming {
        "warm-up"
    } else {
        "whole"
    }
}

fn tell_socket(row: &mut NasRow, feed: &Feed, now: Timestamp) {
    row.last_packet = feed.last_packet.and_then(rfc3339);
    row.records_last_minute = feed.rate(now);
    (row.duplicates, row.retransmits) = (feed.duplicates, feed.retransmits);
    let occurred: Vec<_> = feed.faults().filter(|(_, faults)| faults.count > 0).collect();
    if let Some((fault, faults)) = occurred.iter().max_by_key(|(_, faults)| faults.last) {
        row.last_fault = Some(fault.word().to_owned());
        row.last_fault_at = rfc3339(faults.last);
    }
    row.unusable = occurred
        .into_iter()
        .map(|(fault, faults)| UnusableRow {
            reason: fault.word().to_owned(),
            count: faults.count,
            last: rfc3339(faults.last),
        })
        .collect();
}

/// The same as numbers.
pub(super) fn expose(
    out: &mut Exposition,
    map: &LiveMap,
    radius: &radius::Running,
    config: &Config,
    now: Timestamp,
) {
    for (name, side) in sides(map, radius, config) {
        let name = name.to_string();
        if let Some(nas) = &side.machine {
            expose_machine(out, &name, nas, now);
        }
        expose_clock(out, &name, side.clock);
        if let Some(feed) = &side.socket {
            expose_socket(out, &name, feed);
        }
    }
    // Those who came when there was no room for another name have none.
    expose_socket(out, "", &radius.feeds().nameless());
}

fn expose_machine(out: &mut Exposition, name: &str, nas: &Nas, now: Timestamp) {
    let counts = nas.counts();
    let labels = [("nas", name)];
    for (state, count) in
        [("active", counts.active), ("suspect", counts.suspect), ("pending", counts.pending)]
    {
        out.gauge("sessions", "Sessions by NAS", &[("nas", name), ("state", state)], gauge(count));
    }
    out.counter("claims_dropped", "Claims a NAS may not make", &labels, counts.claims_dropped);
    let records = counts.records.saturating_add(counts.refreshes);
    out.counter("nas_records", "Records of a NAS that were taken", &labels, records);
    out.counter(
        "nas_late",
        "Records that were late by more than retransmissions explain",
        &labels,
        counts.late,
    );
    out.counter("nas_stops_missed", "Sessions that ended without a Stop", &labels, counts.stops_missed);
    let heard = nas.heard().millis().div_euclid(1000);
    out.gauge("nas_last_heard_seconds", "When a record of a NAS was taken last, Unix time", &labels, heard);
    // Whoever is told that a NAS is worked on does not want to be woken by it.
    let held = now < nas.held_until();
    out.gauge("nas_held", "Whether staff asked to believe a NAS", &labels, held.into());
    let silent = nas.is_silent() && !held;
    out.gauge("nas_silent", "Whether a NAS is silent, and not held", &labels, silent.into());
}

fn expose_clock(out: &mut Exposition, name: &str, clock: nas_clock::Reading) {
    let labels = [("nas", name)];
    let absurd = clock.state == State::Absurd;
    out.gauge(
        "nas_clock_absurd",
        "Whether what a NAS said last about time can't be true",
        &labels,
        absurd.into(),
    );
    if let Some(offset) = clock.offset_millis {
        let help = "Our clock less that of a NAS, as learned";
        out.gauge("nas_clock_offset_milliseconds", help, &labels, offset);
    }
}

fn expose_socket(out: &mut Exposition, name: &str, feed: &Feed) {
    let labels = [("nas", name)];
    out.counter("nas_duplicates", "Identical requests again", &labels, feed.duplicates);
    out.counter("nas_retransmits", "Records that say that they had to wait", &labels, feed.retransmits);
    for (fault, faults) in feed.faults() {
        let labels = [("nas", name), ("reason", Fault::word(fault))];
        out.counter("nas_unusable", "Packets of a NAS that were of no use", &labels, faults.count);
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::event::{Applied, Claim, ClaimSource, Event, Kind, NasHold, Record};
    use crate::session::machine::Machine;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + second)
    }

    /// A NAS with one session that reports every ten minutes, and did so at second 0.
    fn reporting() -> Machine {
        let mut machine = Machine::new(Arc::default());
        let applied = Applied { pools: vec![(Name::from("bras1"), Vec::new())], ..Applied::default() };
        machine.fold(at(0), &Event::Applied(Box::new(applied)), &mut Vec::new());
        let start = Record {
            interval: Some(600),
            claims: vec![Claim::whole("192.0.2.7/32".parse().unwrap(), ClaimSource::FramedAddress)],
            ..Record::bare(Kind::Start, Name::from("bras1"), Name::from("1"), at(0))
        };
        machine.fold(at(0), &Event::Record(Box::new(start)), &mut Vec::new());
        machine
    }

    fn hold(second: i64, until: i64) -> NasHold {
        let (by, reason) = (Name::from("noc"), Name::from("new line card"));
        NasHold { at: at(second), by, nas: Name::from("bras1"), until: at(until), reason }
    }

    fn seen(machine: &Machine, second: i64) -> (String, Option<String>) {
        let nas = Arc::clone(&machine.map().nases()[0]);
        let mut row = NasRow::default();
        tell_machine(&mut row, &nas, false, at(second));
        (row.feed, row.held_by)
    }

    fn gauges(machine: &Machine, second: i64) -> (bool, bool) {
        let mut out = Exposition::new();
        expose_machine(&mut out, "bras1", &machine.map().nases()[0], at(second));
        let text = out.finish();
        let is = |name: &str| text.contains(&format!("relaywarden_{name}{{nas=\"bras1\"}} 1\n"));
        (is("nas_silent"), is("nas_held"))
    }

    #[test]
    fn a_hold_hides_silence_from_alarms_until_it_is_over_and_says_whose_it_is() {
        let mut machine = reporting();
        machine.advance(at(1800), &mut Vec::new());
        assert_eq!(seen(&machine, 1800), ("silent".to_owned(), None));
        assert_eq!(gauges(&machine, 1800), (true, false));
        machine.hold_nas(at(1801), &hold(1801, 9000), &mut Vec::new());
        assert_eq!(seen(&machine, 8999), ("held".to_owned(), Some("noc".to_owned())));
        assert_eq!(gauges(&machine, 8999), (false, true));
        assert_eq!(seen(&machine, 9000), ("silent".to_owned(), None));
        assert_eq!(gauges(&machine, 9000), (true, false));
    }

    #[test]
    fn a_nas_that_brings_old_records_is_lagging_for_five_minutes() {
        let mut machine = reporting();
        let late = Record {
            event: at(60),
            ..Record::bare(Kind::Interim, Name::from("bras1"), Name::from("1"), at(181))
        };
        machine.fold(at(181), &Event::Record(Box::new(late)), &mut Vec::new());
        assert_eq!(seen(&machine, 480).0, "lagging");
        assert_eq!(seen(&machine, 481).0, "whole");
    }

    #[test]
    fn the_last_fault_is_the_newest_and_only_what_occurred_is_told() {
        let feeds = radius::feeds::Feeds::default();
        let bras = Name::from("bras1");
        feeds.useless(&bras, &bras, Fault::QueueFull, at(2));
        feeds.useless(&bras, &bras, Fault::NoStatus, at(1));
        let mut row = NasRow::default();
        tell_socket(&mut row, &feeds.all()[0].1.feed, at(3));
        assert_eq!(row.last_fault.as_deref(), Some("queue-full"));
        assert_eq!(row.last_fault_at, rfc3339(at(2)));
        let told: Vec<_> =
            row.unusable.iter().map(|unusable| (unusable.reason.as_str(), unusable.count)).collect();
        assert_eq!(told, [("no-status", 1), ("queue-full", 1)]);
    }
}
