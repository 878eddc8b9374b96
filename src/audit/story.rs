//! The story of an address: what came of each entry for it, in the order in which the entries were taken.
//!
//! A story says what was done when it was done. What is known better by now is in the bindings, which late records
//! correct; here such a record is a line of its own.
//!
//! Knows: how a line is kept, and where the lines of one address are. Must not know: how a story is shown.

use std::collections::HashMap;
use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::rows::{StoryFilter, StoryRow, What};
use super::schema::{By, Key, address, name, session_of, shortest, unpacked_value};
use crate::session::effect::Ended;
use crate::session::{Name, Place, Ports, Realm, SessionKey, Timestamp};
use crate::views::Cause;

/// A line as it is kept. Sessions are told by their rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) cause: Cause,
    pub(super) ports: Ports,
    pub(super) session: Option<i64>,
    pub(super) subscriber: Option<Name>,
    pub(super) others: Vec<i64>,
    pub(super) what: What,
}

impl Told {
    pub(super) fn new(cause: Cause, at: Timestamp, what: What) -> Told {
        Told { at, cause, ports: Ports::ALL, session: None, subscriber: None, others: Vec::new(), what }
    }

    /// About this session.
    pub(super) fn of(self, session: i64, subscriber: Option<&Name>) -> Told {
        Told { session: Some(session), subscriber: subscriber.cloned(), ..self }
    }

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

pub(super) const SESSION: &str =
    "SELECT nas, session_id, incarnation, subscriber, inside FROM session WHERE id = ?1";

pub(super) const RESTARTS: &str =
    "SELECT sequence, told FROM restart WHERE nas = ?1 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence";

pub(super) const GAPS: &str = "SELECT sequence, until, since FROM gap WHERE sequence >= ?1 ORDER BY sequence";

/// A line, where it stands in the whole.
struct Line {
    sequence: i64,
    step: i64,
    place: Option<Place>,
    nas: Option<Name>,
    told: Told,
}

/// What is known of a session.
#[derive(Clone)]
struct Known {
    key: SessionKey,
    subscriber: Option<Name>,
    inside: Option<IpAddr>,
}

/// The story of an address, oldest line first.
pub(super) fn story(connection: &Connection, filter: &StoryFilter) -> rusqlite::Result<Vec<StoryRow>> {
    let mut teller = Teller { connection, sessions: HashMap::new() };
    let mut lines = teller.lines(filter)?;
    let Some(first) = lines.first().map(|line| line.sequence) else { return Ok(Vec::new()) };
    renames(&mut lines);
    lines.extend(teller.restarts(&lines)?.into_iter().filter(|line| line.told.is_within(filter)));
    lines.extend(teller.gaps(first)?.into_iter().filter(|line| line.told.is_within(filter)));
    lines.sort_by_key(|line| (line.sequence, line.step));
    let spare = lines.len().saturating_sub(filter.limit);
    lines.drain(..spare);
    teller.rows(lines)
}

struct Teller<'a> {
    connection: &'a Connection,
    sessions: HashMap<i64, Option<Known>>,
}

impl Teller<'_> {
    /// What is about prefixes around the address: the newest lines that fit.
    fn lines(&self, filter: &StoryFilter) -> rusqlite::Result<Vec<Line>> {
        let realm = filter.realm.around(filter.address);
        let mut lines = Vec::new();
        for length in lengths(self.connection, By::Stories, realm, filter.address)? {
            let key = Key::around(filter.address, length);
            let Some(prefix) = key.prefix() else { continue };
            let mut statement = self.connection.prepare_cached(STORY)?;
            let mut rows = statement.query((realm.number(), length, key.network))?;
            let mut found: usize = 0;
            while found < filter.limit {
                let Some(row) = rows.next()? else { break };
                let told: Told = unpacked_value(row, 2)?;
                if told.is_within(filter) {
                    found = found.saturating_add(1);
                    let place = Some(Place { realm, prefix, ports: told.ports });
                    lines.push(Line { sequence: row.get(0)?, step: row.get(1)?, place, nas: None, told });
                }
            }
        }
        lines.sort_by_key(|line| (line.sequence, line.step));
        Ok(lines)
    }

    /// That the NAS of a session began anew while the session owned the address.
    fn restarts(&mut self, lines: &[Line]) -> rusqlite::Result<Vec<Line>> {
        let mut restarts: Vec<Line> = Vec::new();
        let mut owned: HashMap<i64, i64> = HashMap::new();
        let mut spans = Vec::new();
        for line in lines {
            let Some(session) = line.told.session else { continue };
            match line.told.what {
                What::Bound => drop(owned.insert(session, line.sequence)),
                What::Unbound { .. } => {
                    spans.extend(owned.remove(&session).map(|from| (session, from, line.sequence)));
                }
                _ => {}
            }
        }
        spans.extend(owned.into_iter().map(|(session, from)| (session, from, i64::MAX)));
        for (session, from, until) in spans {
            let Some(known) = self.session(session)? else { continue };
            let mut statement = self.connection.prepare_cached(RESTARTS)?;
            let mut rows = statement.query((known.key.nas.octets(), from, until))?;
            while let Some(row) = rows.next()? {
                let (sequence, nas) = (row.get(0)?, Some(known.key.nas.clone()));
                if !restarts.iter().any(|line| line.sequence == sequence) {
                    let told = unpacked_value(row, 1)?;
                    restarts.push(Line { sequence, step: -1, place: None, nas, told });
                }
            }
        }
        Ok(restarts)
    }

    /// Times in which nothing was received, since the story began.
    fn gaps(&self, first: i64) -> rusqlite::Result<Vec<Line>> {
        self.connection
            .prepare_cached(GAPS)?
            .query_map((first,), |row| {
                let (until, since) = (row.get(1)?, row.get(2)?);
                let what = What::Gap { since: Timestamp::from_millis(since) };
                let told = Told::new(Cause::Resumed, Timestamp::from_millis(until), what);
                Ok(Line { sequence: row.get(0)?, step: -1, place: None, nas: None, told })
            })?
            .collect()
    }

    fn rows(&mut self, lines: Vec<Line>) -> rusqlite::Result<Vec<StoryRow>> {
        // A session that was renamed is told under the name that it had then.
        let mut names: HashMap<i64, Option<Name>> = HashMap::new();
        let mut rows = Vec::with_capacity(lines.len());
        for Line { sequence, place, nas, told, .. } in lines {
            let session = match told.session {
                Some(session) => self.session(session)?,
                None => None,
            };
            let mut subscriber = told.subscriber;
            if let (Some(id), Some(session)) = (told.session, &session) {
                match told.what {
                    What::Bound | What::Renamed => drop(names.insert(id, subscriber.clone())),
                    What::Past { .. } => {}
                    _ => subscriber = names.get(&id).cloned().unwrap_or_else(|| session.subscriber.clone()),
                }
            }
            let mut others = Vec::new();
            for other in &told.others {
                others.extend(self.session(*other)?.map(|known| known.key));
            }
            rows.push(StoryRow {
                sequence: u64::try_from(sequence).unwrap_or_default(),
                cause: told.cause,
                at: told.at,
                nas: nas.or_else(|| session.as_ref().map(|session| session.key.nas.clone())),
                inside: session.as_ref().and_then(|session| session.inside),
                session: session.map(|session| session.key),
                subscriber,
                place,
                others,
                what: told.what,
            });
        }
        Ok(rows)
    }

    fn session(&mut self, id: i64) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.sessions.get(&id) {
            return Ok(known.clone());
        }
        let known = self
            .connection
            .prepare_cached(SESSION)?
            .query_row((id,), |row| {
                Ok(Known { key: session_of(row, 0)?, subscriber: name(row, 3)?, inside: address(row, 4)? })
            })
            .optional()?;
        self.sessions.insert(id, known.clone());
        Ok(known)
    }
}

/// A session's other name is folded as an end and a beginning in one moment.
fn renames(lines: &mut Vec<Line>) {
    let mut index: usize = 0;
    while let Some([left, right]) = lines.get_mut(index..index.saturating_add(2)) {
        let same = (left.sequence, left.place, left.told.session)
            == (right.sequence, right.place, right.told.session)
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
    connection: &Connection,
    by: By,
    realm: Realm,
    address: IpAddr,
) -> rusqlite::Result<Vec<u8>> {
    connection
        .prepare_cached(LENGTHS)?
        .query_map((by, realm.number(), shortest(address)), |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests;
