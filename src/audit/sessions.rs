//! Sessions and what they held, as facts in partitions.
//!
//! A fact of a place stands where the place is, one of a session where the session is: a question reads what lies side by
//! side. Each partition is probed for each question, which costs it some microseconds.
//!
//! Knows: the tables, and how facts are found in files and in runs that are not written yet. Must not know: what they come
//! to.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::AuditError;
use super::checksum::Checksum;
use super::facts::{Facts, PlaceFact, Position, Said, SessionFact};
use super::partition::{Partition, Span};
use super::schema::{Key, Moment, column, packed_value, session_of, shortest, unpacked_value};
use super::shelf::{Published, Rows, View};
use crate::session::{Name, Realm, SessionKey, Timestamp};
use crate::views::Outcome;

/// Tables of facts, each in the order in which it is asked for.
///
/// `place_fact` is what was told of each prefix, `session_fact` what was told of each session, `named` every name that a
/// session ever had, `begun` the sessions in order of time. A length counts from the 128 bits of the IPv6 form, in which an
/// IPv4 prefix has at least 96.
const TABLES: &str = "
CREATE TABLE place_fact (
    realm INTEGER NOT NULL,
    length INTEGER NOT NULL,
    network BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    step INTEGER NOT NULL,
    told BLOB NOT NULL,
    PRIMARY KEY (realm, length, network, sequence, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE session_fact (
    nas BLOB NOT NULL,
    session_id BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    step INTEGER NOT NULL,
    said BLOB NOT NULL,
    PRIMARY KEY (nas, session_id, incarnation, sequence, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE named (
    subscriber BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    nas BLOB NOT NULL,
    session_id BLOB NOT NULL,
    PRIMARY KEY (subscriber, incarnation, nas, session_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE begun (
    incarnation INTEGER NOT NULL,
    nas BLOB NOT NULL,
    session_id BLOB NOT NULL,
    PRIMARY KEY (incarnation, nas, session_id)
) STRICT, WITHOUT ROWID;
";

pub(super) const OF_PLACE: &str = "SELECT sequence, step, told FROM place_fact
    WHERE realm = ?1 AND length = ?2 AND network = ?3 ORDER BY sequence, step";

pub(super) const WITHIN: &str = "SELECT network, sequence, step, told FROM place_fact
    WHERE realm = ?1 AND length = ?2 AND network BETWEEN ?3 AND ?4";

pub(super) const OF_SESSION: &str = "SELECT sequence, step, said FROM session_fact
    WHERE nas = ?1 AND session_id = ?2 AND incarnation = ?3 ORDER BY sequence, step";

pub(super) const AFTER: &str = "SELECT DISTINCT nas, session_id, incarnation FROM session_fact
    WHERE (nas, session_id, incarnation) > (?1, ?2, ?3) ORDER BY nas, session_id, incarnation LIMIT ?4";

pub(super) const NAMED: &str = "SELECT nas, session_id, incarnation FROM named
    WHERE subscriber = ?1 AND (incarnation, nas, session_id) < (?2, ?3, ?4)
    ORDER BY incarnation DESC, nas DESC, session_id DESC LIMIT ?5";

pub(super) const BEGUN: &str = "SELECT nas, session_id, incarnation FROM begun
    WHERE (incarnation, nas, session_id) < (?1, ?2, ?3)
    ORDER BY incarnation DESC, nas DESC, session_id DESC LIMIT ?4";

pub(super) const IS_NAMED: &str = "SELECT 1 FROM named WHERE subscriber = ?1 LIMIT 1";

/// The next length in use after one. As a comparison of rows it would walk all that have the same length.
pub(super) const NEXT_LENGTH: &str =
    "SELECT length FROM place_fact WHERE realm = ?1 AND length > ?2 ORDER BY length LIMIT 1";

/// Facts that are not written yet, in the order of the tables.
impl Rows for Facts {
    const KIND: &'static str = "sessions";
    const TABLES: &'static [&'static str] = &[TABLES];

    fn are_in(outcome: &Outcome) -> bool {
        Facts::are_in(outcome)
    }

    fn gather(&mut self, position: Position, outcome: &Outcome) {
        Facts::gather(self, position, outcome);
    }

    fn sort(&mut self) {
        self.places.sort_by_key(|fact| (fact.realm, fact.key, fact.position));
        self.sessions.sort_by(|a, b| (&a.session, a.position).cmp(&(&b.session, b.position)));
    }

    fn add(&mut self, others: &Facts) {
        self.places.extend_from_slice(&others.places);
        self.sessions.extend_from_slice(&others.sessions);
    }

    fn count(&self) -> usize {
        self.places.len().saturating_add(self.sessions.len())
    }

    fn span(&self) -> Option<Span> {
        let places = self.places.iter().map(|fact| fact.told.at);
        let sessions = self.sessions.iter().map(|fact| fact.session.incarnation);
        places.chain(sessions).map(Span::of).reduce(Span::and)
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut place =
            transaction.prepare_cached("INSERT OR IGNORE INTO place_fact VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for PlaceFact { realm, key, position, told } in &self.places {
            let Position { sequence, step } = *position;
            let told = packed_value(told)?;
            // What moved here before a crash may come once more.
            if place.execute((realm, key.length, key.network, column(sequence), step, &told))? > 0 {
                sum.add(&[&key.network, &[key.length], &realm.to_be_bytes(), &position.octets(), &told]);
                count = count.saturating_add(1);
            }
        }
        let mut session = transaction
            .prepare_cached("INSERT OR IGNORE INTO session_fact VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let mut named: Vec<(&Name, &SessionKey)> = Vec::new();
        let mut begun: Vec<&SessionKey> = Vec::new();
        for SessionFact { session: key, position, said } in &self.sessions {
            let SessionKey { nas, id, incarnation } = key;
            let Position { sequence, step } = *position;
            let told = packed_value(said)?;
            let began = incarnation.millis().to_be_bytes();
            let row = (nas.octets(), id.octets(), Moment(*incarnation), column(sequence), step, &told);
            if session.execute(row)? > 0 {
                sum.add(&[nas.octets(), id.octets(), &began, &position.octets(), &told]);
                count = count.saturating_add(1);
            }
            named.extend(said.subscriber().map(|name| (name, key)));
            begun.push(key);
        }
        named.sort_unstable_by(|a, b| (a.0, a.1.incarnation, a.1).cmp(&(b.0, b.1.incarnation, b.1)));
        named.dedup();
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO named VALUES (?1, ?2, ?3, ?4)")?;
        for (name, SessionKey { nas, id, incarnation }) in named {
            insert.execute((name.octets(), Moment(*incarnation), nas.octets(), id.octets()))?;
        }
        begun.sort_unstable_by(|a, b| (a.incarnation, a).cmp(&(b.incarnation, b)));
        begun.dedup();
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO begun VALUES (?1, ?2, ?3)")?;
        for SessionKey { nas, id, incarnation } in begun {
            insert.execute((Moment(*incarnation), nas.octets(), id.octets()))?;
        }
        Ok((count, sum))
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        let (mut count, mut sum) = (0_u64, Checksum::default());
        let mut statement =
            connection.prepare("SELECT network, length, realm, sequence, step, told FROM place_fact")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let position = Position { sequence: sequence(row.get(3)?), step: row.get(4)? };
            let (length, realm): (u8, u16) = (row.get(1)?, row.get(2)?);
            let (network, told) = (row.get_ref(0)?.as_blob()?, row.get_ref(5)?.as_blob()?);
            sum.add(&[network, &[length], &realm.to_be_bytes(), &position.octets(), told]);
            count = count.saturating_add(1);
        }
        let mut statement = connection
            .prepare("SELECT nas, session_id, incarnation, sequence, step, said FROM session_fact")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let position = Position { sequence: sequence(row.get(3)?), step: row.get(4)? };
            let (nas, id, said) =
                (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?, row.get_ref(5)?.as_blob()?);
            sum.add(&[nas, id, &row.get::<_, i64>(2)?.to_be_bytes(), &position.octets(), said]);
            count = count.saturating_add(1);
        }
        Ok((count, sum))
    }
}

/// What readers ask of the facts.
pub(super) struct Sessions(Arc<View<Facts>>);

impl Sessions {
    pub(super) fn now(published: &Published<Facts>) -> Sessions {
        Sessions(published.now())
    }

    /// The same in files alone, newest first.
    fn newest_first(&self) -> impl Iterator<Item = &Partition> {
        self.0.partitions.iter().rev().map(AsRef::as_ref)
    }

    /// What was told of a prefix, in order.
    pub(super) fn of_place(&self, realm: u16, key: Key) -> Result<Vec<PlaceFact>, AuditError> {
        self.told_of(realm, key, |_| true)
    }

    /// The same for one that it had.
    pub(super) fn of_place_of(
        &self,
        session: &SessionKey,
        realm: u16,
        key: Key,
    ) -> Result<Vec<PlaceFact>, AuditError> {
        let mut facts = self.told_of(realm, key, |partition| may_tell_of(partition, session))?;
        facts.retain(|fact| fact.told.session.as_ref() == Some(session));
        Ok(facts)
    }

    fn told_of(
        &self,
        realm: u16,
        key: Key,
        wanted: impl Fn(&Partition) -> bool,
    ) -> Result<Vec<PlaceFact>, AuditError> {
        let mut facts = Vec::new();
        for partition in self.0.partitions.iter().filter(|partition| wanted(partition)) {
            facts.append(&mut partition.ask(|connection| place_facts_of(connection, realm, key))?);
        }
        for run in &self.0.runs {
            let from = run.places.partition_point(|fact| (fact.realm, fact.key) < (realm, key));
            let of_place =
                run.places.iter().skip(from).take_while(|fact| (fact.realm, fact.key) == (realm, key));
            facts.extend(of_place.cloned());
        }
        in_order(&mut facts, |fact| fact.position);
        Ok(facts)
    }

    /// What was told of prefixes of a length that lie in a wider one, no file older than `since` told of it.
    pub(super) fn within(
        &self,
        realm: u16,
        length: u8,
        wide: Key,
        enough: &mut dyn FnMut(&[PlaceFact], Option<Timestamp>) -> bool,
    ) -> Result<Vec<PlaceFact>, AuditError> {
        let (first, last) = (wide.network, wide.last());
        let mut facts: Vec<PlaceFact> = Vec::new();
        for run in &self.0.runs {
            let from = run.places.partition_point(|fact| {
                (fact.realm, fact.key.length, fact.key.network) < (realm, length, first)
            });
            let within = run.places.iter().skip(from).take_while(|fact| {
                (fact.realm, fact.key.length) == (realm, length) && fact.key.network <= last
            });
            facts.extend(within.cloned());
        }
        for partition in self.newest_first() {
            let latest = partition.about.span.map(|span| span.last);
            if enough(&facts, latest) {
                break;
            }
            partition.ask(|connection| {
                let mut statement = connection.prepare_cached(WITHIN)?;
                let mut rows = statement.query((realm, length, first, last))?;
                while let Some(row) = rows.next()? {
                    let key = Key { network: row.get(0)?, length };
                    let position = Position { sequence: sequence(row.get(1)?), step: row.get(2)? };
                    facts.push(PlaceFact { realm, key, position, told: unpacked_value(row, 3)? });
                }
                Ok(())
            })?;
        }
        in_order(&mut facts, |fact| fact.position);
        Ok(facts)
    }

    /// What was told of a session, in order.
    pub(super) fn of_session(&self, key: &SessionKey) -> Result<Vec<(Position, Said)>, AuditError> {
        let mut facts = Vec::new();
        for partition in self.0.partitions.iter().filter(|partition| may_tell_of(partition, key)) {
            facts.append(&mut partition.ask(|connection| said(connection, key))?);
        }
        facts.extend(self.of_runs(key));
        in_order(&mut facts, |(position, _)| *position);
        Ok(facts)
    }

    /// When a session ended, as is told in a partition of this number or a later one; `None`: nothing tells that it did, or it
    /// came back.
    pub(super) fn closed(&self, key: &SessionKey, from: u32) -> Result<Option<Timestamp>, AuditError> {
        // What moved stands in a younger partition than what was told after it.
        let mut latest: Option<(Position, Option<Timestamp>)> = None;
        let mut take = |facts: &[(Position, Said)]| {
            for (position, said) in facts {
                let closed = match said {
                    Said::Closed { at, .. } => Some(*at),
                    // What it held once may be learned after its end; whoever comes back is opened.
                    Said::Opened { .. } => None,
                    Said::Held { .. } | Said::Named { .. } | Said::Touched { .. } => continue,
                };
                if latest.is_none_or(|(known, _)| *position > known) {
                    latest = Some((*position, closed));
                }
            }
            latest.and_then(|(_, closed)| closed)
        };
        // Most end in the partition in which they began, or in the next.
        let later =
            |partition: &&Arc<Partition>| partition.about.number >= from && may_tell_of(partition, key);
        for partition in self.0.partitions.iter().filter(later) {
            let closed = take(&partition.ask(|connection| said(connection, key))?);
            if closed.is_some_and(|at| partition.about.began > at.plus(COMES_BACK_WITHIN)) {
                return Ok(closed);
            }
        }
        Ok(take(&self.of_runs(key)))
    }

    fn of_runs(&self, key: &SessionKey) -> Vec<(Position, Said)> {
        let mut facts = Vec::new();
        for run in &self.0.runs {
            let from = run.sessions.partition_point(|fact| fact.session < *key);
            let of_session = run.sessions.iter().skip(from).take_while(|fact| fact.session == *key);
            facts.extend(of_session.map(|fact| (fact.position, fact.said.clone())));
        }
        in_order(&mut facts, |(position, _)| *position);
        facts
    }

    /// Sessions that began before a moment, newest first; of a subscriber, by any name it had, or all of them. `take` says whether
    /// to go on.
    pub(super) fn begun(
        &self,
        subscriber: Option<&Name>,
        until: Timestamp,
        take: &mut dyn FnMut(SessionKey) -> Result<bool, AuditError>,
    ) -> Result<(), AuditError> {
        let mut walks = BinaryHeap::new();
        for partition in &self.0.partitions {
            if let Some(span) = partition.about.span {
                // It can't have a later one, so it is not asked before its turn comes.
                let walk = Walk {
                    next: span.last.min(until),
                    key: None,
                    rest: Vec::new(),
                    last: None,
                    partition: Some(partition),
                };
                walks.push(walk);
            }
        }
        for run in &self.0.runs {
            let fits = run.sessions.iter().filter(|fact| {
                fact.session.incarnation < until
                    && subscriber.is_none_or(|wanted| fact.said.subscriber() == Some(wanted))
            });
            let mut rest: Vec<SessionKey> = fits.map(|fact| fact.session.clone()).collect();
            rest.sort_unstable_by(|a, b| (a.incarnation, a).cmp(&(b.incarnation, b)));
            walks.extend(
                Walk { next: until, key: None, rest, last: None, partition: None }.step(subscriber, until)?,
            );
        }
        let mut seen = HashSet::new();
        while let Some(mut walk) = walks.pop() {
            if let Some(key) = walk.key.take()
                && seen.insert(key.clone())
                && !take(key)?
            {
                break;
            }
            walks.extend(walk.step(subscriber, until)?);
        }
        Ok(())
    }

    /// Whether a session ever had this name.
    pub(super) fn is_named(&self, subscriber: &Name) -> Result<bool, AuditError> {
        let names =
            |run: &Arc<Facts>| run.sessions.iter().any(|fact| fact.said.subscriber() == Some(subscriber));
        if self.0.runs.iter().any(names) {
            return Ok(true);
        }
        for partition in self.newest_first() {
            if partition
                .ask(|connection| connection.prepare_cached(IS_NAMED)?.exists((subscriber.octets(),)))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lengths of prefixes of which anything was told, longest first, of those that can cover an address.
    pub(super) fn lengths(&self, realm: Realm, address: Option<IpAddr>) -> Result<Vec<u8>, AuditError> {
        let (number, shortest) = (realm.number(), address.map_or(0, shortest));
        let mut lengths = BTreeSet::new();
        for partition in &self.0.partitions {
            partition.ask(|connection| {
                let mut statement = connection.prepare_cached(NEXT_LENGTH)?;
                let mut after = i64::from(shortest).saturating_sub(1);
                loop {
                    let mut rows = statement.query((number, after))?;
                    let Some(row) = rows.next()? else { return Ok(()) };
                    let length: u8 = row.get(0)?;
                    lengths.insert(length);
                    after = i64::from(length);
                }
            })?;
        }
        for run in &self.0.runs {
            let mut rest = run.places.as_slice();
            while let Some(fact) = rest.first() {
                if fact.realm == number && fact.key.length >= shortest {
                    lengths.insert(fact.key.length);
                }
                let same = rest.partition_point(|other| {
                    (other.realm, other.key.length) <= (fact.realm, fact.key.length)
                });
                rest = rest.get(same..).unwrap_or_default();
            }
        }
        Ok(lengths.into_iter().rev().collect())
    }

    /// Since when something that should be known is lost; `None`: nothing is.
    pub(super) fn lost_since(&self) -> Option<Timestamp> {
        self.0.lost_since()
    }
}

/// Whether anything of a session may be in a file. Whatever is told of it or of what it had is told of itself beside it, and the span of
/// that has its beginning; most sessions begin and end in two or three of hundreds of files.
fn may_tell_of(partition: &Partition, session: &SessionKey) -> bool {
    partition.about.span.is_some_and(|span| span.has(session.incarnation))
}

/// A session that ended is remembered for a day or a few of its interim intervals; so long after it, nothing opens it again.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// So many rows of a partition are read at a time.
const PAGE: u32 = 256;

/// A walk through the sessions of one file or run, newest first.
struct Walk<'a> {
    /// None that it still has is later.
    next: Timestamp,
    key: Option<SessionKey>,
    /// The latest last.
    rest: Vec<SessionKey>,
    /// Where the last page ended.
    last: Option<SessionKey>,
    partition: Option<&'a Partition>,
}

impl Walk<'_> {
    /// Goes to the next session; `None`: there is none.
    fn step(mut self, subscriber: Option<&Name>, until: Timestamp) -> Result<Option<Self>, AuditError> {
        if self.rest.is_empty()
            && let Some(partition) = self.partition
        {
            let before = self.last.take();
            self.rest = partition.ask(|connection| page(connection, subscriber, until, before.as_ref()))?;
            self.rest.reverse();
            if self.rest.len() < PAGE as usize {
                self.partition = None;
            }
            self.last = self.rest.first().cloned();
        }
        self.key = self.rest.pop();
        let Some(key) = &self.key else { return Ok(None) };
        self.next = key.incarnation;
        Ok(Some(self))
    }
}

impl Ord for Walk<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // What is not known yet may be the later one.
        (self.next, self.key.is_none(), &self.key).cmp(&(other.next, other.key.is_none(), &other.key))
    }
}

impl PartialOrd for Walk<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Walk<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Walk<'_> {}

/// The next sessions of a partition, the latest first, after one of them.
fn page(
    connection: &Connection,
    subscriber: Option<&Name>,
    until: Timestamp,
    after: Option<&SessionKey>,
) -> rusqlite::Result<Vec<SessionKey>> {
    let (began, nas, id) = match after {
        Some(SessionKey { nas, id, incarnation }) => (*incarnation, nas.octets(), id.octets()),
        // No name is shorter: of the moment itself nothing is less.
        None => (until, &[][..], &[][..]),
    };
    match subscriber {
        Some(name) => {
            let mut statement = connection.prepare_cached(NAMED)?;
            let row = (name.octets(), Moment(began), nas, id, PAGE);
            statement.query_map(row, |row| session_of(row, 0))?.collect()
        }
        None => {
            let mut statement = connection.prepare_cached(BEGUN)?;
            let row = (Moment(began), nas, id, PAGE);
            statement.query_map(row, |row| session_of(row, 0))?.collect()
        }
    }
}

/// What a partition tells of a prefix, in order.
pub(super) fn place_facts_of(
    connection: &Connection,
    realm: u16,
    key: Key,
) -> rusqlite::Result<Vec<PlaceFact>> {
    let mut statement = connection.prepare_cached(OF_PLACE)?;
    let facts = statement.query_map((realm, key.length, key.network), |row| {
        let position = Position { sequence: sequence(row.get(0)?), step: row.get(1)? };
        Ok(PlaceFact { realm, key, position, told: unpacked_value(row, 2)? })
    })?;
    facts.collect()
}

/// What a partition tells of a session, in order.
pub(super) fn said(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Vec<(Position, Said)>> {
    let mut statement = connection.prepare_cached(OF_SESSION)?;
    let row = (key.nas.octets(), key.id.octets(), Moment(key.incarnation));
    let facts = statement.query_map(row, |row| {
        Ok((Position { sequence: sequence(row.get(0)?), step: row.get(1)? }, unpacked_value(row, 2)?))
    })?;
    facts.collect()
}

/// The next sessions of a partition, in the order of their keys.
pub(super) fn sessions_after(
    connection: &Connection,
    after: Option<&SessionKey>,
    count: u32,
) -> rusqlite::Result<Vec<SessionKey>> {
    let row = match after {
        Some(SessionKey { nas, id, incarnation }) => (nas.octets(), id.octets(), Moment(*incarnation), count),
        None => (&[][..], &[][..], Moment(Timestamp::EARLIEST), count),
    };
    let mut statement = connection.prepare_cached(AFTER)?;
    statement.query_map(row, |row| session_of(row, 0))?.collect()
}

/// In order of their positions, each once: what is being written may be found in a file and in a run.
fn in_order<T>(facts: &mut Vec<T>, position: impl Fn(&T) -> Position) {
    facts.sort_by_key(&position);
    facts.dedup_by_key(|fact| position(fact));
}

fn sequence(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}
