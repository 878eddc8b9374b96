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
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::AuditError;
use super::blocks::{self, Range};
use super::checksum::Checksum;
use super::entries::{Entries, Spelled, Words};
use super::facts::{Facts, PlaceFact, Position, Said, SessionFact};
use super::partition::{Partition, Span};
use super::schema::{Key, shortest};
use super::shelf::{Published, Rows, View};
use crate::session::{Name, Realm, SessionKey, Timestamp};
use crate::views::Outcome;

/// What was told of a prefix: realm, length, network, position. A length counts from the 128 bits of the IPv6 form, in which an
/// IPv4 prefix has at least 96.
const PLACE: u8 = 1;
/// What was told of a session: NAS, id, incarnation, position.
const SESSION: u8 = 2;
/// Every name that a session ever had: name, incarnation, NAS, id.
const NAMED: u8 = 3;
/// Sessions in order of time: incarnation, NAS, id.
const BEGUN: u8 = 4;

/// Octets of a key of [`PLACE`] up to its position.
const PLACE_LENGTH: usize = 20;

fn of_realm(words: Words, realm: u16) -> Words {
    words.kind(PLACE).octets(&realm.to_be_bytes())
}

fn of_place(words: Words, realm: u16, key: Key) -> Words {
    of_realm(words, realm).octets(&[key.length]).octets(&key.network)
}

fn of_session(words: Words, SessionKey { nas, id, incarnation }: &SessionKey) -> Words {
    words.kind(SESSION).name(nas).name(id).moment(*incarnation)
}

/// Sessions by one of their names, or all of them.
fn listed(words: Words, subscriber: Option<&Name>) -> Words {
    match subscriber {
        Some(name) => words.kind(NAMED).name(name),
        None => words.kind(BEGUN),
    }
}

fn in_time(words: Words, SessionKey { nas, id, incarnation }: &SessionKey) -> Words {
    words.moment(*incarnation).name(nas).name(id)
}

/// Facts that are not written yet, in the order in which they are found.
impl Rows for Facts {
    const KIND: &'static str = "sessions";
    const TABLES: &'static [&'static str] = &[blocks::TABLES];

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

    fn write(
        runs: &[Arc<Facts>],
        transaction: &Transaction<'_>,
        moved: Option<u64>,
    ) -> rusqlite::Result<(u64, Checksum)> {
        // All that was told of a session moves at once, also what stands here already.
        let is_there = |position: &Position, spell: &dyn Fn(Words) -> Words| -> rusqlite::Result<bool> {
            Ok(moved.is_some_and(|moved| position.sequence <= moved)
                && blocks::any(transaction, &Range::beginning(spell(Words::default())))?)
        };
        let mut entries = Entries::default();
        for PlaceFact { realm, key, position, told } in runs.iter().flat_map(|run| &run.places) {
            let spell = |words| of_place(words, *realm, *key).octets(&position.octets());
            if !is_there(position, &spell)? {
                entries.add(spell, told).map_err(blocks::unpackable)?;
            }
        }
        let facts = || runs.iter().flat_map(|run| &run.sessions);
        for SessionFact { session, position, said } in facts() {
            let spell = |words| of_session(words, session).octets(&position.octets());
            if !is_there(position, &spell)? {
                entries.add(spell, said).map_err(blocks::unpackable)?;
            }
        }
        for SessionFact { session, said, .. } in facts() {
            entries.add_key(|words| in_time(listed(words, None), session));
            if let Some(name) = said.subscriber() {
                entries.add_key(|words| in_time(listed(words, Some(name)), session));
            }
        }
        blocks::write(transaction, entries)
    }

    fn settle(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        // More would come at the worst of times: a storm of Starts fills a partition in seconds.
        blocks::settle(transaction)
    }

    fn read_again(connection: &Connection) -> rusqlite::Result<(u64, Checksum)> {
        blocks::read_again(connection)
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
                let key = |network| of_place(Words::default(), realm, Key { network, length });
                let range = Range::between(key(first), key(last).end());
                blocks::each(connection, &range, &mut |key, told| {
                    facts.push(place_fact(key, told)?);
                    Ok(())
                })
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
            let named = Range::beginning(listed(Words::default(), Some(subscriber)));
            if partition.ask(|connection| blocks::any(connection, &named))? {
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
                let from = || of_realm(Words::default(), number).octets(&[shortest]);
                let mut to = of_realm(Words::default(), number).end();
                while let Some(key) = blocks::last(connection, &Range::between(from(), to))? {
                    let length = place_fact_key(&key)?.1.length;
                    lengths.insert(length);
                    to = of_realm(Words::default(), number).octets(&[length]);
                }
                Ok(())
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
const PAGE: usize = 256;

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
            if self.rest.len() < PAGE {
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
    let from = listed(Words::default(), subscriber);
    let to = match after {
        Some(after) => in_time(from.clone(), after),
        None => from.clone().moment(until),
    };
    let known = from.as_slice().len();
    let range = Range::between(from, to);
    let mut found = Vec::new();
    for run in blocks::runs(connection)? {
        let mut wanted = PAGE;
        blocks::descend(connection, run, &range, &mut |key, _| {
            let mut spelled = Spelled::behind(key, known);
            let incarnation = spelled.moment().ok_or_else(blocks::torn)?;
            let (nas, id) = spelled.name().zip(spelled.name()).ok_or_else(blocks::torn)?;
            found.push(SessionKey { nas, id, incarnation });
            wanted = wanted.saturating_sub(1);
            Ok(if wanted == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    found.sort_unstable_by(|a, b| (b.incarnation, b).cmp(&(a.incarnation, a)));
    found.dedup();
    found.truncate(PAGE);
    Ok(found)
}

/// What a partition tells of a prefix, in order.
pub(super) fn place_facts_of(
    connection: &Connection,
    realm: u16,
    key: Key,
) -> rusqlite::Result<Vec<PlaceFact>> {
    let mut facts = Vec::new();
    blocks::each(connection, &Range::beginning(of_place(Words::default(), realm, key)), &mut |key, told| {
        facts.push(place_fact(key, told)?);
        Ok(())
    })?;
    in_order(&mut facts, |fact| fact.position);
    Ok(facts)
}

fn place_fact_key(key: &[u8]) -> rusqlite::Result<(u16, Key)> {
    let mut spelled = Spelled::behind(key, 1);
    let realm = spelled.array().map(u16::from_be_bytes).ok_or_else(blocks::torn)?;
    let ([length], network) = spelled.array().zip(spelled.array()).ok_or_else(blocks::torn)?;
    Ok((realm, Key { length, network }))
}

fn place_fact(key: &[u8], told: &[u8]) -> rusqlite::Result<PlaceFact> {
    let (realm, place) = place_fact_key(key)?;
    let position = position_at(key, PLACE_LENGTH)?;
    Ok(PlaceFact { realm, key: place, position, told: blocks::value(told)? })
}

fn position_at(key: &[u8], known: usize) -> rusqlite::Result<Position> {
    let mut spelled = Spelled::behind(key, known);
    let (sequence, step) = spelled.array().zip(spelled.array()).ok_or_else(blocks::torn)?;
    Ok(Position { sequence: u64::from_be_bytes(sequence), step: u32::from_be_bytes(step) })
}

/// What a partition tells of a session, in order.
pub(super) fn said(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Vec<(Position, Said)>> {
    let session = of_session(Words::default(), key);
    let known = session.as_slice().len();
    let mut facts = Vec::new();
    blocks::each(connection, &Range::beginning(session), &mut |key, said| {
        facts.push((position_at(key, known)?, blocks::value(said)?));
        Ok(())
    })?;
    in_order(&mut facts, |(position, _)| *position);
    Ok(facts)
}

/// The next sessions of a partition, in the order of their keys.
pub(super) fn sessions_after(
    connection: &Connection,
    after: Option<&SessionKey>,
    count: usize,
) -> rusqlite::Result<Vec<SessionKey>> {
    let all = || Words::default().kind(SESSION);
    let from = after.map_or_else(all, |after| of_session(Words::default(), after).end());
    let range = Range::between(from, all().end());
    let mut found: Vec<SessionKey> = Vec::new();
    for run in blocks::runs(connection)? {
        let begins = found.len();
        blocks::ascend(connection, run, &range, &mut |key, _| {
            let mut spelled = Spelled::behind(key, 1);
            let (nas, id) = spelled.name().zip(spelled.name()).ok_or_else(blocks::torn)?;
            let key = SessionKey { nas, id, incarnation: spelled.moment().ok_or_else(blocks::torn)? };
            let of_run = found.get(begins..).unwrap_or_default();
            if of_run.last() != Some(&key) {
                if of_run.len() >= count {
                    return Ok(ControlFlow::Break(()));
                }
                found.push(key);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(count);
    Ok(found)
}

/// In order of their positions, each once: what is being written may be found in a file and in a run.
fn in_order<T>(facts: &mut Vec<T>, position: impl Fn(&T) -> Position) {
    facts.sort_by_key(&position);
    facts.dedup_by_key(|fact| position(fact));
}
