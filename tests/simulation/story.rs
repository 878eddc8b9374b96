//! A failed day as a short story: as little as still fails, and told as the scenarios tell it.
//!
//! Knows: how to leave things out of a day, and the scenarios' words. Must not know: why it failed.

use std::fmt::Write;

use relaywarden::log::entry::Entry;
use relaywarden::session::event::{Claim, Event, Kind, Record, Release};
use relaywarden::session::{Name, Timestamp};

use crate::plan::{Day, MINUTE, Weather};
use crate::receiver::Batch;
use crate::speech::BEGIN;
use crate::world::Fault;

/// Leaves out whatever can be left out: the fault that remains is of the same kind (its first word).
pub(crate) fn shorten(day: &Day, fault: Fault, run: &dyn Fn(&Day) -> Option<Fault>) -> (Day, Fault) {
    let kind = |fault: &Fault| fault.what.split(' ').next().unwrap_or_default().to_owned();
    let wanted = kind(&fault);
    let mut best = (day.clone(), fault);
    let attempt = |best: &mut (Day, Fault), day: Day| match run(&day) {
        Some(fault) if kind(&fault) == wanted => {
            *best = (day, fault);
            true
        }
        _ => false,
    };
    let mut cut = best.0.clone();
    cut.end = (best.1.at + 10).min(cut.end);
    cut.said.retain(|said| said.at <= best.1.at);
    cut.incidents.retain(|incident| incident.at <= best.1.at);
    attempt(&mut best, cut);
    let mut calm = best.0.clone();
    calm.weather = Weather { lost: 0, doubled: 0, late: 0, ..calm.weather };
    attempt(&mut best, calm);
    let mut size = (best.0.said.len() + best.0.incidents.len()) / 2;
    while size > 0 {
        let mut from = 0;
        let mut less = false;
        while from < best.0.said.len() + best.0.incidents.len() {
            let mut shorter = best.0.clone();
            let said = shorter.said.len();
            let out = |index: usize| from <= index && index < from + size;
            let mut index = 0;
            shorter.said.retain(|_| (!out(index), index += 1).0);
            index = said;
            shorter.incidents.retain(|_| (!out(index), index += 1).0);
            if attempt(&mut best, shorter) {
                less = true;
            } else {
                from += size;
            }
        }
        if !less || size > 1 {
            size /= 2;
        }
    }
    best
}

/// What a receiver wrote down, a line for each record.
pub(crate) fn told(log: &[Batch]) -> String {
    let mut text = String::new();
    for batch in log {
        for entry in &batch.entries {
            let Entry::Session(event) = entry else { continue };
            match event {
                Event::Record(record) => text.push_str(&line(record)),
                Event::Refreshes(all) => {
                    for refresh in all {
                        let (session, nas) = (&refresh.session_id, &refresh.nas);
                        let event = clock(refresh.event);
                        let at = clock(refresh.arrival);
                        writeln!(text, "at {at} refresh {session} nas={nas} event={event}").unwrap();
                    }
                }
                Event::Applied(_) | Event::Imported(_) => {}
                Event::Resumed { since } => {
                    let since = since.map_or("never".to_owned(), clock);
                    writeln!(text, "at {} resumed since={since}", clock(batch.at)).unwrap();
                }
            }
        }
    }
    text
}

fn line(record: &Record) -> String {
    let kind = match record.kind {
        Kind::Start => "start",
        Kind::Stop => "stop",
        Kind::Interim => "interim",
        Kind::On => "on",
        Kind::Off => "off",
    };
    let mut line = format!("at {} {kind}", clock(record.arrival));
    if !matches!(record.kind, Kind::On | Kind::Off) {
        let name = record.subscriber.as_ref().map_or("-".to_owned(), ToString::to_string);
        write!(line, " {} {name}", record.session_id).unwrap();
    }
    for Claim { prefix, ports, .. } in &record.claims {
        let prefix = if prefix.prefix_len() == prefix.max_prefix_len() {
            prefix.addr().to_string()
        } else {
            prefix.to_string()
        };
        write!(line, " {prefix}").unwrap();
        if !ports.is_all() {
            write!(line, ":{ports}").unwrap();
        }
    }
    write!(line, " nas={}", record.nas).unwrap();
    if record.event != record.arrival {
        write!(line, " event={}", clock(record.event)).unwrap();
    }
    let mut option = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(line, " {key}={value}").unwrap();
        }
    };
    let name = |name: &Option<Name>| name.as_ref().map(ToString::to_string);
    option("time", record.session_time.map(|time| time.to_string()));
    option("interval", record.interval.map(|interval| interval.to_string()));
    option("calling", name(&record.line.calling_station));
    option("host", name(&record.multi_session_id));
    option("group", name(&record.group));
    option("service-of", record.service.as_ref().map(|service| name(&service.parent).unwrap_or_default()));
    for release in &record.releases {
        match release {
            Release::All(source) => option("release", Some(format!("{source:?}"))),
            Release::Only(prefix, ports) => option("release", Some(format!("{prefix}:{ports}"))),
        }
    }
    for (word, holds) in [("dated", record.dated), ("stop-start", record.stop_start)] {
        if holds {
            write!(line, " {word}").unwrap();
        }
    }
    line.push('\n');
    line
}

/// The time of the day, which begins at noon.
pub(crate) fn clock(at: Timestamp) -> String {
    let millis = at.millis() - BEGIN * 1000 + 12 * 60 * MINUTE;
    let (days, millis) = (millis.div_euclid(24 * 60 * MINUTE), millis.rem_euclid(24 * 60 * MINUTE));
    let day = if days == 0 { String::new() } else { format!("+{days}d") };
    let seconds = millis / 1000;
    let rest = if millis % 1000 == 0 { String::new() } else { format!(".{:03}", millis % 1000) };
    format!("{day}{:02}:{:02}:{:02}{rest}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
