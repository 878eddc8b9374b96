//! Answers about the past, from a read-only view of the index.
//!
//! Who had address `a` at moment `t`, from the first line that holds:
//!
//! | what the index knows | confidence | candidates |
//! |---|---|---|
//! | a static prefix covers `a` at `t` | exact | its subscriber |
//! | blocks of ports of `a` were held at `t`, and no port is told | ambiguous | all who held one, and who held `a` whole |
//! | with a port: sessions of several subscribers claimed a block around it | ambiguous | all of them |
//! | several held blocks around it, or `a` whole, and an older one was alive when the newest began | ambiguous | these |
//! | only `a` whole was held around it, by somebody who had it before it came to be shared | ambiguous | that one |
//! | the newest of those who held a block around it, or `a` whole | as below | it |
//! | nobody did, but other blocks were held | as for nobody below | |
//! | `a` was shared by a configured rule at `t` (RFC 7422), and no port is told | unknown | |
//! | the same, with a port that the rule gives to an inside address | as for that address | its owner |
//! | the same, with a port that it gives to nobody | as for nobody below | |
//! | sessions of several subscribers claimed the prefix at `t`, or held it by what is known now | ambiguous | all of them |
//! | a session held the longest prefix around `a`, and its end is known, or it was seen alive at `t` or later | exact | it |
//! | the same, but `t` is after its last sign of life and before its inferred end (or it is still open) | until-last-interim | it |
//! | the same, but nothing else than its Stop, `t` being within its session time, was ever heard of it | until-last-interim | it |
//! | one of these, but a wider prefix around it went to another subscriber after that sign of life | ambiguous | both |
//! | nobody held it; `t` is before the index begins, or in a gap | unknown | |
//! | nobody held it; the last owner's end was inferred less than [`REPORTING`] before | unknown | that one |
//! | nobody held it; a gap ended less than [`REPORTING`] before, and nobody held it since | unknown | |
//! | nobody held it | exact | none: nobody had it |
//!
//! A block may be held for an address behind a translator, by a session that names no subscriber: then the question is
//! asked again for that address, in its realm and at the same moment. The worse of the two confidences counts, and the
//! candidates are those of the inside address. Where nobody had it, the answer is unknown: somebody had the block.
//!
//! A session that was seen on both sides of a gap held its addresses through it. Several sessions of one subscriber are
//! one owner. A session that no rule could name is somebody else than any other.
//!
//! The index is a little behind the log: for the present moment the live map answers.
//!
//! Knows: the table above, and the queries for it (`past/shared.rs`: addresses shared by ports). Must not know: how an
//! answer is shown, or what time it is.

mod shared;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

pub(super) use self::shared::BLOCKS;
use super::AuditError;
use super::asked::{self, AskedFilter, AskedRow, Chain};
use super::index::{STOP_ALONE, is_exact};
use super::listing;
use super::rows::{
    Candidate, Confidence, MessageFilter, PastOwner, SessionFilter, SessionRow, StoryFilter, StoryRow,
};
use super::schema::{
    By, Key, Moment, Octets, Spot, address, failed, file_in, line_of, moment, name, open_for_reading, packed,
    session_of,
};
use super::story;
use crate::access::question::Link;
use crate::relay::message::Message;
use crate::session::{Line, Name, Place, Ports, Realm, SessionKey, Timestamp};

/// Interim intervals longer than this are rare: so long after a gap, or after an end that was only inferred, a session
/// may still exist that has not had its turn to report.
pub const REPORTING: Duration = Duration::from_secs(3600);

/// Connections kept for the next question. More questions at once open more, and close them again.
const IDLE_MAX: usize = 4;

/// When a session that still holds a place was last seen alive, by the live map; `None` when that does not know of it.
pub type LastSeen<'a> = &'a dyn Fn(&SessionKey, Place) -> Option<Timestamp>;

/// The readers' side of the index. Shared between threads; each question has a connection of its own.
pub struct Past {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Past {
    /// Opens the index below `data`; [`super::index::Index::open`] has made it.
    ///
    /// # Errors
    /// As for the writer.
    pub fn open(data: &Path) -> Result<Past, AuditError> {
        let path = file_in(data);
        let connection = open_for_reading(&path)?;
        Ok(Past { path, idle: Mutex::new(vec![connection]) })
    }

    /// Who had an address, or this port of it, at a moment.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn owner(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
        live_last_seen: LastSeen<'_>,
    ) -> Result<PastOwner, AuditError> {
        self.ask(|connection| {
            let address = address.to_canonical();
            let realm = realm.around(address);
            Question { connection, realm, address, port, at, live_last_seen }.owner()
        })
    }

    /// What came of each entry for an address, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn story(&self, filter: &StoryFilter) -> Result<Vec<StoryRow>, AuditError> {
        self.ask(|connection| story::story(connection, filter))
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, AuditError> {
        self.ask(|connection| listing::sessions(connection, filter))
    }

    /// Messages, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn messages(&self, filter: &MessageFilter) -> Result<Vec<Message>, AuditError> {
        self.ask(|connection| listing::messages(connection, filter))
    }

    /// Who asked what, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn questions(&self, filter: &AskedFilter) -> Result<Vec<AskedRow>, AuditError> {
        self.ask(|connection| asked::questions(connection, filter))
    }

    /// Whether the chain of questions is whole, and its link at that entry.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn chain(&self, at: u64) -> Result<(Chain, Option<Link>), AuditError> {
        self.ask(|connection| Ok((asked::chain(connection)?, asked::link_of(connection, at)?)))
    }

    /// Whether a session or a static prefix ever belonged to this subscriber.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn known_subscriber(&self, name: &Name) -> Result<bool, AuditError> {
        self.ask(|connection| {
            Ok(exists(connection, "SELECT 1 FROM named WHERE subscriber = ?1", name)?
                || exists(connection, "SELECT 1 FROM static_binding WHERE subscriber = ?1", name)?)
        })
    }

    /// Whether a message ever came with this SASL login.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn known_login(&self, name: &Name) -> Result<bool, AuditError> {
        self.ask(|connection| exists(connection, "SELECT 1 FROM message WHERE login = ?1", name))
    }

    /// Runs a question within one read transaction, so that it sees the index at one moment.
    fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, AuditError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_for_reading(&self.path)?,
        };
        let answer = connection.unchecked_transaction().and_then(|transaction| {
            let answer = question(&connection);
            drop(transaction);
            answer
        });
        let answer = answer.map_err(|error| failed(&self.path, &error))?;
        // A connection that met an error is not kept.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

fn exists(connection: &Connection, sql: &str, name: &Name) -> rusqlite::Result<bool> {
    connection.prepare_cached(sql)?.exists((name.octets(),))
}

/// The columns of a candidate.
macro_rules! candidate {
    ($rest:literal) => {
        concat!(
            "SELECT s.nas, s.session_id, s.incarnation, s.port_id, s.calling_station, s.circuit_id, s.remote_id,
                    b.subscriber, b.valid_from, b.valid_until, b.last_seen, b.how, b.was_until, b.was_how,
                    s.inside_realm, s.inside
             FROM ",
            $rest
        )
    };
}

pub(super) const STATIC: &str = "SELECT subscriber, valid_from, valid_until FROM static_binding
    WHERE length = ?1 AND network = ?2 AND valid_from <= ?3 AND (valid_until IS NULL OR valid_until > ?3)";

pub(super) const HOLDERS: &str = candidate!(
    "binding b JOIN session s ON s.id = b.session
     WHERE b.realm = ?1 AND b.length = ?2 AND b.network = ?3 AND b.ports = ?5
       AND b.valid_from <= ?4 AND (b.valid_until IS NULL OR b.valid_until > ?4)
     ORDER BY b.valid_from DESC"
);

pub(super) const FORMER: &str = candidate!(
    "binding b JOIN session s ON s.id = b.session
     WHERE b.realm = ?1 AND b.length = ?2 AND b.network = ?3 AND b.ports = ?5
       AND b.valid_from <= ?4 AND b.valid_until <= ?4
     ORDER BY b.valid_until DESC LIMIT 1"
);

/// For each claimant its latest hold on the place, whether it still had it or had lost it to the other. The order of
/// the joins is fixed: conflicts are few, holds of one place may be many.
pub(super) const CLAIMANTS: &str = candidate!(
    "conflict c CROSS JOIN claimant m ON m.conflict = c.id CROSS JOIN session s ON s.id = m.session
     CROSS JOIN binding b
        ON b.session = s.id AND b.length = c.length AND b.network = c.network AND b.ports = c.ports
       AND b.realm = c.realm
     WHERE c.realm = ?1 AND c.length = ?2 AND c.network = ?3 AND c.ports = ?5
       AND c.valid_from <= ?4 AND (c.valid_until IS NULL OR c.valid_until > ?4) AND b.valid_from <= ?4
     ORDER BY b.valid_from DESC"
);

pub(super) const GAP_AROUND: &str = "SELECT since FROM gap WHERE until > ?1 ORDER BY until LIMIT 1";

pub(super) const GAP_BEFORE: &str = "SELECT until FROM gap WHERE until <= ?1 ORDER BY until DESC LIMIT 1";

/// What is asked, within one view of the index.
#[derive(Clone, Copy)]
struct Question<'a> {
    connection: &'a Connection,
    realm: Realm,
    address: IpAddr,
    port: Option<u16>,
    at: Timestamp,
    live_last_seen: LastSeen<'a>,
}

/// Whoever held or claimed one place at the moment.
#[derive(Default)]
struct Around {
    candidates: Vec<Candidate>,
    disputed: bool,
}

impl Around {
    fn add(&mut self, other: Around) {
        self.candidates.extend(other.candidates);
        self.disputed |= other.disputed;
    }
}

impl Question<'_> {
    fn owner(&self) -> rusqlite::Result<PastOwner> {
        if let Some(candidate) = self.static_owner()? {
            return Ok(answer(Confidence::Exact, vec![candidate], "a static prefix"));
        }
        let blocks = self.blocks()?;
        if let Some(answer) = self.shared(&blocks)? {
            return Ok(answer);
        }
        self.whole(&blocks)
    }

    /// Who had all of the address.
    fn whole(&self, blocks: &[Ports]) -> rusqlite::Result<PastOwner> {
        let lengths = story::lengths(self.connection, By::Sessions, self.realm, self.address)?;
        for (index, &length) in lengths.iter().enumerate() {
            let around = self.around(Key::around(self.address, length), Ports::ALL)?;
            if let Some(answer) = judge(around, self.at) {
                let wider = lengths.get(index.saturating_add(1)..).unwrap_or_default();
                return self.unless_wider(answer, wider);
            }
        }
        self.nobody(blocks)
    }

    /// Was the session not heard since another subscriber was given a wider prefix, then its Stop may be lost and the
    /// address have been the other's.
    fn unless_wider(&self, found: PastOwner, wider: &[u8]) -> rusqlite::Result<PastOwner> {
        let sure = matches!(found.confidence, Confidence::Exact | Confidence::UntilLastInterim);
        let Some(first) = found.candidates.first().filter(|_| sure) else { return Ok(found) };
        let alive = found.candidates.iter().filter_map(alive_until).max();
        for &length in wider {
            let place = Spot { realm: self.realm.number(), key: Key::around(self.address, length), ports: 0 };
            let newer = self
                .candidates(HOLDERS, place)?
                .into_iter()
                .find(|holder| !same_owner(first, holder) && Some(holder.valid_from) > alive);
            if let Some(newer) = newer {
                let because =
                    "a wider prefix went to another subscriber after the last sign of life of the session";
                let candidates = found.candidates.into_iter().chain([newer]).collect();
                return Ok(answer(Confidence::Ambiguous, candidates, because));
            }
        }
        Ok(found)
    }

    fn static_owner(&self) -> rusqlite::Result<Option<Candidate>> {
        if self.realm != Realm::PUBLIC {
            return Ok(None);
        }
        for length in story::lengths(self.connection, By::Statics, self.realm, self.address)? {
            let key = Key::around(self.address, length);
            let Some(prefix) = key.prefix() else { continue };
            let found = self
                .connection
                .prepare_cached(STATIC)?
                .query_row((key.length, key.network, Moment(self.at)), |row| {
                    Ok(Candidate {
                        subscriber: Some(row.get::<_, Octets>(0)?.0),
                        session: None,
                        nas: None,
                        line: Line::default(),
                        prefix,
                        ports: Ports::ALL,
                        inside: None,
                        valid_from: row.get::<_, Moment>(1)?.0,
                        valid_until: moment(row, 2)?,
                        last_seen: None,
                        how: None,
                        was_until: None,
                        was_how: None,
                        is_static: true,
                    })
                })
                .optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn around(&self, key: Key, ports: Ports) -> rusqlite::Result<Around> {
        let place = Spot { realm: self.realm.number(), key, ports: packed(ports) };
        let mut candidates = self.candidates(HOLDERS, place)?;
        let claimants = self.candidates(CLAIMANTS, place)?;
        let disputed = !claimants.is_empty();
        let mut seen = HashSet::new();
        candidates.extend(claimants);
        candidates.retain(|candidate| seen.insert(candidate.session.clone()));
        Ok(Around { candidates, disputed })
    }

    fn candidates(&self, sql: &str, spot: Spot) -> rusqlite::Result<Vec<Candidate>> {
        let Some(place) = spot.place() else { return Ok(Vec::new()) };
        let parameters = (spot.realm, spot.key.length, spot.key.network, Moment(self.at), spot.ports);
        self.connection
            .prepare_cached(sql)?
            .query_map(parameters, |row| {
                let session = session_of(row, 0)?;
                let valid_until = moment(row, 9)?;
                let last_seen = if valid_until.is_none() {
                    (self.live_last_seen)(&session, place)
                } else {
                    moment(row, 10)?
                };
                let inside: Option<u16> = row.get(14)?;
                let inside = inside.map(Realm::of_number).zip(address(row, 15)?);
                Ok(Candidate {
                    subscriber: name(row, 7)?,
                    session: Some(session.to_string()),
                    nas: Some(session.nas),
                    line: line_of(row, 3)?,
                    prefix: place.prefix,
                    ports: place.ports,
                    inside,
                    valid_from: row.get::<_, Moment>(8)?.0,
                    valid_until,
                    last_seen,
                    how: row.get(11)?,
                    was_until: moment(row, 12)?,
                    was_how: row.get(13)?,
                    is_static: false,
                })
            })?
            .collect()
    }

    /// The lower half of the table: no row covers the moment.
    fn nobody(&self, blocks: &[Ports]) -> rusqlite::Result<PastOwner> {
        let unknown = |candidates, because| Ok(answer(Confidence::Unknown, candidates, because));
        let begins: Option<Moment> =
            self.connection.prepare_cached("SELECT begins FROM state")?.query_row((), |row| row.get(0))?;
        if begins.is_none_or(|Moment(begins)| self.at < begins) {
            return unknown(Vec::new(), "before the first record");
        }
        let around: Option<Moment> = self.moment(GAP_AROUND)?;
        if around.is_some_and(|Moment(since)| since <= self.at) {
            return unknown(Vec::new(), "nothing was received at this moment");
        }
        let former = self.former(blocks)?;
        let freed = former.as_ref().and_then(|former| former.valid_until);
        if let (Some(candidate), Some(freed)) = (former, freed)
            && !ended_exactly(&candidate)
            && !is_of_stop_alone(&candidate)
            && self.at.since(freed) < REPORTING
        {
            let because = "the end of the owner before is inferred and was not long before";
            return unknown(self.joined(candidate)?.candidates, because);
        }
        let resumed: Option<Moment> = self.moment(GAP_BEFORE)?;
        if let Some(Moment(resumed)) = resumed
            && self.at.since(resumed) < REPORTING
            && freed.is_none_or(|freed| freed < resumed)
        {
            let because = "a session that began while nothing was received may not have reported yet";
            return unknown(Vec::new(), because);
        }
        Ok(answer(Confidence::Exact, Vec::new(), "nobody owned the address"))
    }

    /// Whoever had the address, or the port of it, last.
    fn former(&self, blocks: &[Ports]) -> rusqlite::Result<Option<Candidate>> {
        let realm = self.realm.number();
        let mut places = Vec::new();
        for length in story::lengths(self.connection, By::Sessions, self.realm, self.address)? {
            places.push(Spot { realm, key: Key::around(self.address, length), ports: 0 });
        }
        let wanted = blocks.iter().filter(|ports| self.port.is_none_or(|port| ports.contains(port)));
        let key = Key::of(self.address.into());
        places.extend(wanted.map(|ports| Spot { realm, key, ports: packed(*ports) }));
        let mut former = Vec::new();
        for place in places {
            former.append(&mut self.candidates(FORMER, place)?);
        }
        Ok(former.into_iter().max_by_key(|candidate| candidate.valid_until))
    }

    fn moment(&self, sql: &str) -> rusqlite::Result<Option<Moment>> {
        self.connection.prepare_cached(sql)?.query_row((Moment(self.at),), |row| row.get(0)).optional()
    }
}

fn answer(confidence: Confidence, candidates: Vec<Candidate>, because: &'static str) -> PastOwner {
    PastOwner { confidence, candidates, because }
}

/// The upper half of the table, for the rows of one place. `None`: nobody held or claimed it.
fn judge(around: Around, at: Timestamp) -> Option<PastOwner> {
    let Around { candidates, disputed } = around;
    let first = candidates.first()?;
    if disputed || !candidates.iter().all(|other| same_owner(first, other)) {
        let because = if disputed { CLAIMED_IN_TURN } else { HELD_BY_SEVERAL };
        return Some(answer(Confidence::Ambiguous, candidates, because));
    }
    if candidates.iter().any(|candidate| ended_exactly(candidate) || candidate.last_seen >= Some(at)) {
        let because = "the session was seen alive then or later, or its end is known";
        return Some(answer(Confidence::Exact, candidates, because));
    }
    let because = if candidates.iter().any(is_of_stop_alone) { ONLY_ITS_STOP } else { NOT_SEEN_ALIVE };
    Some(answer(Confidence::UntilLastInterim, candidates, because))
}

const NOT_SEEN_ALIVE: &str = "the end was never reported; sure only until the last sign of life";
const ONLY_ITS_STOP: &str =
    "nothing but its Stop was reported; that it had the address before is told by its session time alone";

const CLAIMED_IN_TURN: &str = "sessions of different subscribers claimed the address in turn";
const HELD_BY_SEVERAL: &str = "by what is known now, sessions of different subscribers held the address";

fn same_owner(one: &Candidate, other: &Candidate) -> bool {
    one.session == other.session || one.subscriber.is_some() && one.subscriber == other.subscriber
}

fn ended_exactly(candidate: &Candidate) -> bool {
    candidate.how.as_deref().is_some_and(is_exact)
}

fn is_of_stop_alone(candidate: &Candidate) -> bool {
    candidate.how.as_deref() == Some(STOP_ALONE)
}

/// Until when a session is known to have had what it held.
fn alive_until(candidate: &Candidate) -> Option<Timestamp> {
    if ended_exactly(candidate) { candidate.valid_until } else { candidate.last_seen }
}

#[cfg(test)]
pub(super) mod tests;
