//! The story of an address: what came of each entry for it, in the order in which the entries were taken.
//!
//! A story says what was done when it was done. What is known better by now is in the bindings, which late records
//! correct; here such a record is a line of its own.
//!
//! Knows: how a line is kept, and where the lines of one address are. Must not know: how a story is shown.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::AuditError;
use super::facts::{Position, Said, Told};
use super::past::Register;
use super::register::By;
use super::rows::{StoryFilter, StoryRow, What};
use super::schema::{Key, column, shortest, unpacked_value};
use super::sessions::Sessions;
use crate::session::effect::Ended;
use crate::session::{Name, Place, Realm, SessionKey, Timestamp};
use crate::views::Cause;

impl Told {
    fn is_within(&self, filter: &StoryFilter) -> bool {
        let within = |at: Timestamp| {
            filter.since.is_none_or(|since| at >= since) && filter.until.is_none_or(|until| at < until)
        };
        let concerned = filter.port.is_none_or(|port| self.ports.contains(port));
        concerned && (within(self.at) || self.arrival().is_some_and(within))
    }

    fn arrival(&self) -> Option<Timestamp> {
        match self.cause {
            Cause::Record(_, arrival) => Some(arrival),
            _ => None,
        }
    }
}

pub(super) const LENGTHS: &str =
    "SELECT length FROM length_in_use WHERE by = ?1 AND realm = ?2 AND length >= ?3 ORDER BY length DESC";

pub(super) const STORY: &str = "SELECT sequence, step, told FROM story
    WHERE realm = ?1 AND length = ?2 AND network = ?3 ORDER BY sequence DESC, step DESC";

pub(super) const RESTARTS: &str =
    "SELECT sequence, told FROM restart WHERE nas = ?1 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence";

pub(super) const GAPS: &str =
    "SELECT sequence, until, since FROM gap WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence";

/// A line, where it stands in the whole.
struct Line {
    position: Position,
    place: Option<Place>,
    nas: Option<Name>,
    told: Told,
}

/// What is about a whole NAS, or about everything, stands before what else an entry told.
fn before_all(sequence: i64) -> Position {
    Position { sequence: u64::try_from(sequence).unwrap_or_default(), step: 0 }
}

/// What is known of a session.
#[derive(Clone)]
struct Known {
    subscriber: Option<Name>,
    inside: Option<IpAddr>,
}

/// The story of an address, oldest line first.
pub(super) fn story(
    register: &Register<'_>,
    sessions: &Sessions,
    filter: &StoryFilter,
) -> Result<Vec<StoryRow>, AuditError> {
    let mut teller = Teller { register, sessions, known: HashMap::new() };
    // A part of a story tells what the whole would tell there: what is before it is looked at, too.
    let mut before = teller.lines(filter)?;
    renames(&mut before);
    let spare = before.len().saturating_sub(filter.limit);
    let Some(first) = before.get(spare).map(|line| line.position.sequence) else { return Ok(Vec::new()) };
    let shown = first..=filter.through.unwrap_or(u64::MAX);
    let mut all = teller.restarts(&before, &shown)?;
    all.extend(teller.gaps(&shown)?);
    all.retain(|line| line.told.is_within(filter));
    all.extend(before.split_off(spare));
    all.sort_by_key(|line| line.position);
    let spare = all.len().saturating_sub(filter.limit);
    before.extend(all.drain(..spare));
    teller.rows(&before, all)
}

struct Teller<'a> {
    register: &'a Register<'a>,
    sessions: &'a Sessions,
    known: HashMap<SessionKey, Known>,
}

impl Teller<'_> {
    /// What is about prefixes around the address.
    fn lines(&self, filter: &StoryFilter) -> Result<Vec<Line>, AuditError> {
        let realm = filter.realm.around(filter.address);
        let mut lines = Vec::new();
        for length in self.sessions.lengths(realm, Some(filter.address))? {
            let key = Key::around(filter.address, length);
            let Some(prefix) = key.prefix() else { continue };
            for fact in self.sessions.of_place(realm.number(), key)? {
                // What it means for the address is told beside it.
                if fact.told.what == What::EndTold {
                    continue;
                }
                let place = Some(Place { realm, prefix, ports: fact.told.ports });
                lines.push(Line { position: fact.position, place, nas: None, told: fact.told });
            }
        }
        for length in lengths(self.register, By::Stories, realm, filter.address)? {
            let key = Key::around(filter.address, length);
            let Some(prefix) = key.prefix() else { continue };
            let told: Vec<(i64, u32, Told)> = self.register.get(|connection| {
                let mut statement = connection.prepare_cached(STORY)?;
                let row = (realm.number(), length, key.network);
                statement
                    .query_map(row, |row| Ok((row.get(0)?, row.get(1)?, unpacked_value(row, 2)?)))?
                    .collect()
            })?;
            for (sequence, step, told) in told {
                let place = Some(Place { realm, prefix, ports: told.ports });
                lines.push(Line {
                    position: Position { step, ..before_all(sequence) },
                    place,
                    nas: None,
                    told,
                });
            }
        }
        let is_told = |line: &Line| filter.through.is_none_or(|through| line.position.sequence <= through);
        lines.retain(|line| is_told(line) && line.told.is_within(filter));
        lines.sort_by_key(|line| line.position);
        Ok(lines)
    }

    /// That the NAS of a session began anew while the session owned the address.
    fn restarts(&self, lines: &[Line], shown: &RangeInclusive<u64>) -> Result<Vec<Line>, AuditError> {
        let mut restarts: Vec<Line> = Vec::new();
        let mut owned: HashMap<&SessionKey, u64> = HashMap::new();
        let mut spans = Vec::new();
        for line in lines {
            let Some(session) = &line.told.session else { continue };
            match line.told.what {
                What::Bound => drop(owned.insert(session, line.position.sequence)),
                What::Unbound { .. } => {
                    spans.extend(owned.remove(session).map(|from| (session, from, line.position.sequence)));
                }
                _ => {}
            }
        }
        spans.extend(owned.into_iter().map(|(session, from)| (session, from, u64::MAX)));
        for (session, from, until) in spans {
            let (from, until) = (from.max(*shown.start()), until.min(*shown.end()));
            if from > until {
                continue;
            }
            let told: Vec<(i64, Told)> = self.register.get(|connection| {
                let mut statement = connection.prepare_cached(RESTARTS)?;
                let row = (session.nas.octets(), column(from), column(until));
                statement.query_map(row, |row| Ok((row.get(0)?, unpacked_value(row, 1)?)))?.collect()
            })?;
            for (sequence, told) in told {
                let position = before_all(sequence);
                if !restarts.iter().any(|line| line.position == position) {
                    restarts.push(Line { position, place: None, nas: Some(session.nas.clone()), told });
                }
            }
        }
        Ok(restarts)
    }

    /// Times in which nothing was received, since the story began.
    fn gaps(&self, shown: &RangeInclusive<u64>) -> Result<Vec<Line>, AuditError> {
        self.register.get(|connection| {
            let mut statement = connection.prepare_cached(GAPS)?;
            let lines = statement.query_map((column(*shown.start()), column(*shown.end())), |row| {
                let (until, since) = (row.get(1)?, row.get(2)?);
                let what = What::Gap { since: Timestamp::from_millis(since) };
                let told = Told::new(Cause::Resumed, Timestamp::from_millis(until), what);
                Ok(Line { position: before_all(row.get(0)?), place: None, nas: None, told })
            })?;
            lines.collect()
        })
    }

    /// The lines as rows; those before them are not told.
    fn rows(&mut self, before: &[Line], lines: Vec<Line>) -> Result<Vec<StoryRow>, AuditError> {
        // A session that was renamed is told under the name that it had then.
        let mut names: HashMap<SessionKey, Option<Name>> = HashMap::new();
        for Line { told, .. } in before {
            if let (Some(session), What::Bound | What::Renamed) = (&told.session, &told.what) {
                names.insert(session.clone(), told.subscriber.clone());
            }
        }
        let mut rows = Vec::with_capacity(lines.len());
        for Line { position, place, nas, told } in lines {
            let mut subscriber = told.subscriber;
            let mut inside = None;
            if let Some(session) = &told.session {
                let known = self.session(session)?;
                inside = known.inside;
                match told.what {
                    What::Bound | What::Renamed => drop(names.insert(session.clone(), subscriber.clone())),
                    What::Past { .. } => {}
                    _ => subscriber = names.get(session).cloned().unwrap_or(known.subscriber),
                }
            }
            rows.push(StoryRow {
                sequence: position.sequence,
                cause: told.cause,
                at: told.at,
                nas: nas.or_else(|| told.session.as_ref().map(|session| session.nas.clone())),
                inside,
                session: told.session,
                subscriber,
                place,
                others: told.others,
                what: told.what,
            });
        }
        Ok(rows)
    }

    fn session(&mut self, key: &SessionKey) -> Result<Known, AuditError> {
        if let Some(known) = self.known.get(key) {
            return Ok(known.clone());
        }
        let mut known = Known { subscriber: None, inside: None };
        for (_, said) in self.sessions.of_session(key)? {
            match said {
                Said::Opened { opened, .. } => {
                    known.inside = opened.inside.map(|(_, inside)| inside);
                    known.subscriber = opened.subscriber;
                }
                Said::Named { subscriber } => known.subscriber = subscriber,
                Said::Held { subscriber, .. } => known.subscriber = known.subscriber.or(subscriber),
                Said::Touched { .. } | Said::Closed { .. } => {}
            }
        }
        self.known.insert(key.clone(), known.clone());
        Ok(known)
    }
}

/// A session's other name is folded as an end and a beginning in one moment.
fn renames(lines: &mut Vec<Line>) {
    let mut index: usize = 0;
    while let Some([left, right]) = lines.get_mut(index..index.saturating_add(2)) {
        let same = (left.position.sequence, left.place, &left.told.session)
            == (right.position.sequence, right.place, &right.told.session)
            && left.told.session.is_some();
        let moved = matches!(left.told.what, What::Unbound { how: Ended::Moved, .. });
        if same && moved && right.told.what == What::Bound {
            right.told.what = What::Renamed;
            lines.remove(index);
        }
        index = index.saturating_add(1);
    }
}

/// Prefix lengths in use that can cover an address, longest first.
pub(super) fn lengths(
    register: &Register<'_>,
    by: By,
    realm: Realm,
    address: IpAddr,
) -> Result<Vec<u8>, AuditError> {
    register.get(|connection| {
        let mut statement = connection.prepare_cached(LENGTHS)?;
        statement.query_map((by, realm.number(), shortest(address)), |row| row.get(0))?.collect()
    })
}

#[cfg(test)]
mod tests;
