//! What a story expects beside answers: alarms, what became of the last record, the state of a session.
//!
//! Knows: how each of these is written. Must not know: how it came about.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Fault;
use super::script::{Words, unexpected};
use super::words::{When, name, spelled};
use crate::radius::accounting::Ignored;
use crate::session::effect::Alarm;
use crate::session::phase::Phase;
use crate::session::{Line, Name};

/// After `expect`.
#[derive(Debug, Clone)]
pub(super) enum Expectation {
    /// `alarm conflict 192.0.2.7`: raised and not yet expected.
    Alarm(String),
    /// `no alarm`: none that was not yet expected.
    NoAlarm,
    /// `refresh`, `repeated`, `ignored no-session-id`, `dropped 1`, `absurd`: what became of the last record.
    Became(String),
    /// `event 12:00:03 dated`: when the last record happened, and on whose word.
    Event(When, &'static str),
    /// `session 0001 of bras1 active`.
    Session { id: Name, nas: Option<Name>, state: &'static str },
    /// `nas bras1 active 1 suspect 2`: its sessions by state, those that it has.
    Nas { nas: Name, counts: String },
    /// `line 192.0.2.7 port=.. calling=..`: where the owner's line ends.
    Line { address: IpAddr, line: String },
    /// `bound 192.0.2.7 2001:db8::/56`: everything that was ever bound.
    Bound(BTreeSet<String>),
}

/// Dated by the NAS's own stamp.
pub(super) const DATED: &str = "dated";
/// Dated by when it came, less its delay.
pub(super) const UNDATED: &str = "undated";
const WANTED: &str =
    "alarm, no alarm, refresh, repeated, ignored, dropped, absurd, event, session, nas, line or bound";

impl Expectation {
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Fault> {
        Ok(match words.next(WANTED)? {
            "alarm" => Expectation::Alarm(alarm(words)?),
            "no" => {
                let word = words.next("alarm")?;
                if word != "alarm" {
                    return Err(unexpected(word, "alarm"));
                }
                Expectation::NoAlarm
            }
            became @ ("refresh" | "repeated" | "absurd") => Expectation::Became(became.to_owned()),
            "ignored" => {
                let wanted = "why: no-status, other-status, no-session-id or unnamed-nas";
                let word = words.next(wanted)?;
                if !["no-status", "other-status", "no-session-id", "unnamed-nas"].contains(&word) {
                    return Err(unexpected(word, wanted));
                }
                Expectation::Became(format!("ignored {word}"))
            }
            "dropped" => {
                let wanted = "how many claims";
                let word = words.next(wanted)?;
                let count: u16 = word.parse().map_err(|_| unexpected(word, wanted))?;
                Expectation::Became(format!("dropped {count}"))
            }
            "event" => {
                let when = words.moment()?;
                let word = words.next("dated or undated")?;
                let known = [DATED, UNDATED].into_iter().find(|known| *known == word);
                Expectation::Event(when, known.ok_or_else(|| unexpected(word, "dated or undated"))?)
            }
            "session" => session(words)?,
            "nas" => {
                let nas = name(words.next("the name of a NAS")?);
                Expectation::Nas { nas, counts: words.rest().join(" ") }
            }
            "line" => {
                let address = words.address()?;
                Expectation::Line { address, line: words.rest().join(" ") }
            }
            "bound" => Expectation::Bound(words.rest().iter().map(|word| (*word).to_owned()).collect()),
            other => return Err(unexpected(other, WANTED)),
        })
    }
}

fn alarm(words: &mut Words<'_>) -> Result<String, Fault> {
    let wanted = "conflict ADDRESS, crowd SUBSCRIBER, nas-silent NAS, nas-heard NAS or claims-dropped NAS";
    let kind = words.next(wanted)?;
    if !["conflict", "crowd", "nas-silent", "nas-heard", "claims-dropped"].contains(&kind) {
        return Err(unexpected(kind, wanted));
    }
    let about = words.next(wanted)?;
    let rest = words.rest().join(" ");
    Ok(format!("{kind} {about} {rest}").trim_end().to_owned())
}

fn session(words: &mut Words<'_>) -> Result<Expectation, Fault> {
    let id = name(words.next("an Acct-Session-Id")?);
    let nas = if words.take("of") { Some(name(words.next("the name of a NAS")?)) } else { None };
    let wanted = "pending, active, suspect, stopped or none";
    let word = words.next(wanted)?;
    let states = [Phase::Pending, Phase::Active, Phase::Suspect, Phase::Stopped].map(Phase::word);
    let known = states.into_iter().chain([NONE]).find(|known| *known == word);
    Ok(Expectation::Session { id, nas, state: known.ok_or_else(|| unexpected(word, wanted))? })
}

/// No session of this id is known.
pub(super) const NONE: &str = "none";

/// An alarm as it is expected.
pub(super) fn spelled_alarm(alarm: &Alarm) -> String {
    match alarm {
        Alarm::Conflict { place } => {
            let ports = if place.ports.is_all() { String::new() } else { format!(" ports {}", place.ports) };
            format!("conflict {}{ports}", spelled_prefix(place.prefix))
        }
        Alarm::Crowd { subscriber, .. } => format!("crowd {}", spelled(subscriber)),
        Alarm::NasSilent { nas } => format!("nas-silent {}", spelled(nas)),
        Alarm::NasHeard { nas } => format!("nas-heard {}", spelled(nas)),
        Alarm::ClaimsDropped { nas, .. } => format!("claims-dropped {}", spelled(nas)),
    }
}

/// A single address without its length.
pub(super) fn spelled_prefix(prefix: IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// Why a record was ignored, as it is expected.
pub(super) fn spelled_ignored(ignored: Ignored) -> String {
    let why = match ignored {
        Ignored::NoStatus => "no-status",
        Ignored::OtherStatus(_) => "other-status",
        Ignored::NoSessionId => "no-session-id",
        Ignored::UnnamedNas => "unnamed-nas",
    };
    format!("ignored {why}")
}

/// Where a line ends, as it is expected.
pub(super) fn spelled_line(line: &Line) -> String {
    let parts = [
        ("port", &line.port_id),
        ("calling", &line.calling_station),
        ("circuit", &line.circuit_id),
        ("remote", &line.remote_id),
    ];
    let some = parts.iter().filter_map(|(word, part)| Some(format!("{word}={}", spelled(part.as_ref()?))));
    some.collect::<Vec<_>>().join(" ")
}
