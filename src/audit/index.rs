//! Writes what came of entries into rows.
//!
//! After a crash the caller folds again from its newest snapshot, so everything may come a second time. What belongs
//! to an entry before the last one applied is skipped. What belongs to that entry itself may be new all the same (a
//! deadline that took effect after it carries its sequence), so its outcomes are remembered by their digests until the
//! next entry, and only those are skipped.
//!
//! A late record corrects an inferred end openly: the row gets the better end and keeps the one that was believed.
//!
//! Knows: which effect changes which row. Must not know: what is asked.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use super::AuditError;
use super::schema::{Key, Moment, column, failed, file_in, open_for_writing};
use crate::relay::message::Message;
use crate::relay::standing::{Command, Order, Subject};
use crate::session::event::{Effect, Ended, NasHold};
use crate::session::{Line, Name, Realm, SessionKey, Timestamp};
use crate::views::{Folded, Outcome};

/// How a binding ended whose session lived on under another name. Exact, like those that `Ended` calls so.
pub(super) const RENAMED: &str = "renamed";

/// Whether an end is known rather than inferred, by its word.
pub(super) fn is_exact(how: &str) -> bool {
    how == RENAMED || how == Ended::Stopped.word() || how == Ended::Moved.word()
}

/// The writer of the index. There is one.
pub struct Index {
    connection: Connection,
    path: PathBuf,
    applied: u64,
}

impl Index {
    /// Opens the index below `data`, or makes an empty one.
    ///
    /// # Errors
    /// `Damaged` when it can't be used: then [`Index::begin_anew`] and a replay of the whole log make a good one.
    pub fn open(data: &Path) -> Result<Index, AuditError> {
        let path = file_in(data);
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)
                .map_err(|error| AuditError::storage(directory, &error))?;
        }
        let connection = open_for_writing(&path)?;
        let applied: i64 = connection
            .query_row("SELECT applied FROM state", (), |row| row.get(0))
            .map_err(|error| failed(&path, &error))?;
        let applied = u64::try_from(applied)
            .map_err(|_| AuditError::Damaged { file: path.clone(), what: "its state makes no sense" })?;
        Ok(Index { connection, path, applied })
    }

    /// Removes the index and makes an empty one, to be filled by replay. What the log no longer holds is forgotten, and
    /// answers about that time say so. No reader may be open.
    ///
    /// # Errors
    /// What the file system said.
    pub fn begin_anew(data: &Path) -> Result<Index, AuditError> {
        let path = file_in(data);
        for companion in ["", "-wal", "-shm", "-journal"] {
            let mut name = path.clone().into_os_string();
            name.push(companion);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(AuditError::storage(Path::new(&name), &error));
                }
                _ => {}
            }
        }
        Index::open(data)
    }

    /// Sequence of the last entry whose outcome is in the index; 0 when it is empty.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Makes what was applied so far survive a loss of power.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn sync(&mut self) -> Result<(), AuditError> {
        // A checkpoint syncs the write-ahead file and then the database, also at synchronous=NORMAL.
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        done.map_err(|error| failed(&self.path, &error))
    }

    /// Writes what came of the entries up to `through`, and that it did, in one transaction.
    ///
    /// # Errors
    /// What SQLite said; nothing was written then, and the same may be offered again.
    pub fn apply(&mut self, through: u64, folded: &[Folded]) -> Result<(), AuditError> {
        let through = through.max(self.applied);
        let applied = self.applied;
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let begins = folded.iter().find_map(|item| moment_of(&item.outcome)).map(Moment);
            let mut known =
                if through > applied { forget_written(&transaction)? } else { written(&transaction)? };
            for item in folded.iter().filter(|item| item.sequence >= applied) {
                let digest = (item.sequence == applied || item.sequence == through).then(|| digest(item));
                if let Some(digest) = &digest
                    && let Some(place) = known.iter().position(|known| known == digest)
                {
                    known.swap_remove(place);
                    continue;
                }
                Writing { transaction: &transaction }.outcome(item)?;
                if let Some(digest) = digest.filter(|_| item.sequence == through) {
                    transaction.prepare_cached("INSERT INTO written VALUES (?1)")?.execute((digest,))?;
                }
            }
            transaction
                .prepare_cached("UPDATE state SET applied = ?1, begins = coalesce(begins, ?2)")?
                .execute((column(through), begins))?;
            transaction.commit()
        };
        write(&mut self.connection).map_err(|error| failed(&self.path, &error))?;
        self.applied = through;
        Ok(())
    }
}

type Digest = [u8; 32];

/// One outcome of an entry, as its debugging text tells it from others.
fn digest(item: &Folded) -> Digest {
    Sha256::digest(format!("{item:?}")).into()
}

/// The outcomes of the last entry that are in the index.
fn written(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Digest>> {
    transaction.prepare_cached("SELECT digest FROM written")?.query_map((), |row| row.get(0))?.collect()
}

/// The same, when another entry is going to be the last.
fn forget_written(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Digest>> {
    let known = written(transaction)?;
    transaction.prepare_cached("DELETE FROM written")?.execute(())?;
    Ok(known)
}

/// When an outcome happened; the first one says since when the index knows anything.
fn moment_of(outcome: &Outcome) -> Option<Timestamp> {
    match outcome {
        Outcome::Message(message) => Some(message.at),
        Outcome::Command(command) => Some(command.at),
        Outcome::Question(question) => Some(question.at),
        Outcome::Hold(hold) => Some(hold.at),
        Outcome::Effect(effect) => match effect {
            Effect::Gap { until, .. } => Some(*until),
            Effect::Bound { from, .. } => Some(*from),
            Effect::Unbound { until, .. } | Effect::PastHeld { until, .. } => Some(*until),
            Effect::SubscriberChanged { at, .. }
            | Effect::SessionClosed { at, .. }
            | Effect::Conflict { at, .. }
            | Effect::StaticApplied { at, .. }
            | Effect::TranslationsApplied { at, .. } => Some(*at),
            // A session may have begun long before it was heard of.
            Effect::SessionOpened { .. } | Effect::RealmNamed { .. } | Effect::Alarm(_) => None,
        },
    }
}

/// A prefix in an address space.
#[derive(Clone, Copy)]
struct Spot {
    realm: u16,
    key: Key,
}

impl Spot {
    fn of(place: &crate::session::Place) -> Spot {
        Spot { realm: place.realm.number(), key: Key::of(place.prefix) }
    }
}

struct Writing<'a> {
    transaction: &'a Transaction<'a>,
}

impl Writing<'_> {
    fn outcome(&self, item: &Folded) -> rusqlite::Result<()> {
        match &item.outcome {
            Outcome::Effect(effect) => self.effect(effect),
            Outcome::Message(message) => self.message(item.sequence, message),
            Outcome::Command(command) => self.command(item.sequence, command),
            Outcome::Hold(hold) => self.hold(item.sequence, hold),
            Outcome::Question(question) => {
                let row = (
                    column(item.sequence),
                    Moment(question.at),
                    question.by.octets(),
                    question.what.octets(),
                );
                self.execute("INSERT INTO question VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING", row)?;
                Ok(())
            }
        }
    }

    fn effect(&self, effect: &Effect) -> rusqlite::Result<()> {
        match effect {
            Effect::SessionOpened { session, subscriber, user_name, line, .. } => {
                self.opened(session, subscriber.as_ref(), user_name.as_ref(), line)?;
                Ok(())
            }
            Effect::SubscriberChanged { session, subscriber, at } => {
                self.renamed(session, subscriber.as_ref(), *at)
            }
            Effect::SessionClosed { session, at, last_seen, how } => {
                self.closed(session, *at, *last_seen, *how)
            }
            Effect::Bound { session, subscriber, place, from } => {
                let session = self.session(session, subscriber.as_ref())?;
                self.bound(session, subscriber.as_ref(), Spot::of(place), *from)
            }
            Effect::Unbound { session, place, until, last_seen, how } => {
                let session = self.session(session, None)?;
                self.unbound(session, Spot::of(place), End { until: *until, last_seen: *last_seen, how })
            }
            Effect::PastHeld { session, subscriber, place, from, until, ended, inferred } => {
                let id = self.session(session, subscriber.as_ref())?;
                let held = Held { from: *from, until: *until, ended: *ended, inferred: *inferred };
                self.past_held(id, subscriber.as_ref(), Spot::of(place), &held)
            }
            Effect::Conflict { place, sessions, at } => self.conflict(Spot::of(place), sessions, *at),
            Effect::StaticApplied { prefix, subscriber, at } => {
                self.static_applied(Key::of(*prefix), subscriber.as_ref(), *at)
            }
            Effect::Gap { since, until } => {
                let since = since.unwrap_or(Timestamp::EARLIEST);
                self.execute(
                    "INSERT INTO gap (until, since) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET since = min(since, excluded.since)",
                    (Moment(*until), Moment(since)),
                )?;
                Ok(())
            }
            // Alarms are for people now; their causes are in the other tables.
            Effect::Alarm(_) | Effect::RealmNamed { .. } | Effect::TranslationsApplied { .. } => Ok(()),
        }
    }

    fn execute(&self, sql: &str, row: impl Params) -> rusqlite::Result<usize> {
        self.transaction.prepare_cached(sql)?.execute(row)
    }

    fn exists(&self, sql: &str, row: impl Params) -> rusqlite::Result<bool> {
        self.transaction.prepare_cached(sql)?.exists(row)
    }

    fn opened(
        &self,
        session: &SessionKey,
        subscriber: Option<&Name>,
        user_name: Option<&Name>,
        line: &Line,
    ) -> rusqlite::Result<()> {
        let octets = |name: &Option<Name>| name.as_ref().map(|name| name.octets().to_vec());
        let inserted = self.execute(
            "INSERT INTO session
                (nas, session_id, incarnation, subscriber, user_name,
                 port_id, calling_station, circuit_id, remote_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            (
                session.nas.octets(),
                session.id.octets(),
                Moment(session.incarnation),
                subscriber.map(Name::octets),
                user_name.map(Name::octets),
                octets(&line.port_id),
                octets(&line.calling_station),
                octets(&line.circuit_id),
                octets(&line.remote_id),
            ),
        )?;
        if inserted > 0 {
            self.named(self.transaction.last_insert_rowid(), session, subscriber)
        } else {
            Ok(())
        }
    }

    /// The row of a session. One that was opened before the index began is not there yet.
    fn session(&self, session: &SessionKey, subscriber: Option<&Name>) -> rusqlite::Result<i64> {
        let find = || {
            self.transaction
                .prepare_cached(
                    "SELECT id FROM session WHERE nas = ?1 AND session_id = ?2 AND incarnation = ?3",
                )?
                .query_row((session.nas.octets(), session.id.octets(), Moment(session.incarnation)), |row| {
                    row.get(0)
                })
                .optional()
        };
        if let Some(id) = find()? {
            return Ok(id);
        }
        self.opened(session, subscriber, None, &Line::default())?;
        find()?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn named(&self, id: i64, session: &SessionKey, subscriber: Option<&Name>) -> rusqlite::Result<()> {
        let Some(subscriber) = subscriber else { return Ok(()) };
        self.execute(
            "INSERT INTO named VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (subscriber.octets(), Moment(session.incarnation), id),
        )?;
        Ok(())
    }

    /// What the session holds is cut at the moment of the change: before it belongs to the old name.
    fn renamed(&self, session: &SessionKey, name: Option<&Name>, at: Timestamp) -> rusqlite::Result<()> {
        let id = self.session(session, name)?;
        let octets = name.map(Name::octets);
        self.named(id, session, name)?;
        self.execute("UPDATE session SET subscriber = ?2 WHERE id = ?1", (id, octets))?;
        let row = (id, octets, Moment(at));
        self.execute(
            "UPDATE binding SET subscriber = ?2
             WHERE session = ?1 AND valid_until IS NULL AND valid_from >= ?3",
            row,
        )?;
        self.execute(
            "INSERT INTO binding (session, subscriber, realm, length, network, valid_from)
             SELECT session, ?2, realm, length, network, ?3 FROM binding
             WHERE session = ?1 AND valid_until IS NULL AND valid_from < ?3 AND subscriber IS NOT ?2
             ON CONFLICT DO NOTHING",
            (id, octets, Moment(at)),
        )?;
        self.execute(
            "UPDATE binding SET valid_until = ?3, last_seen = ?3, how = ?4
             WHERE session = ?1 AND valid_until IS NULL AND valid_from < ?3 AND subscriber IS NOT ?2",
            (id, octets, Moment(at), RENAMED),
        )?;
        Ok(())
    }

    fn closed(
        &self,
        session: &SessionKey,
        at: Timestamp,
        last_seen: Timestamp,
        how: Ended,
    ) -> rusqlite::Result<()> {
        let id = self.session(session, None)?;
        let (known, ended): (Option<String>, Option<Moment>) = self
            .transaction
            .prepare_cached("SELECT how, ended FROM session WHERE id = ?1")?
            .query_row((id,), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let later = ended.is_none_or(|Moment(ended)| at > ended);
        if known.is_none_or(|known| !is_exact(&known) && (how.is_exact() || later)) {
            self.execute(
                "UPDATE session SET ended = ?2, last_seen = ?3, how = ?4 WHERE id = ?1",
                (id, Moment(at), Moment(last_seen), how.word()),
            )?;
        }
        Ok(())
    }

    fn bound(
        &self,
        session: i64,
        subscriber: Option<&Name>,
        place: Spot,
        from: Timestamp,
    ) -> rusqlite::Result<()> {
        let Spot { realm, key } = place;
        let open = self.exists(
            "SELECT 1 FROM binding
             WHERE session = ?1 AND length = ?2 AND network = ?3 AND realm = ?4 AND valid_until IS NULL",
            (session, key.length, key.network, realm),
        )?;
        if open {
            return Ok(());
        }
        self.in_use(false, realm, key)?;
        // A row that begins at the same moment is this very one, unless the address came and went within it.
        self.execute(
            "INSERT INTO binding (session, subscriber, realm, length, network, valid_from)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET valid_until = NULL, last_seen = NULL, how = NULL
             WHERE valid_until <= valid_from",
            (session, subscriber.map(Name::octets), realm, key.length, key.network, Moment(from)),
        )?;
        Ok(())
    }

    fn in_use(&self, is_static: bool, realm: u16, key: Key) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO length_in_use VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (is_static, realm, key.length),
        )?;
        Ok(())
    }

    fn unbound(&self, session: i64, place: Spot, end: End<'_>) -> rusqlite::Result<()> {
        let Spot { realm, key } = place;
        let End { until, last_seen, how } = end;
        // An end before the beginning (clocks) still is an end: left open, the row would accuse for ever.
        self.execute(
            "UPDATE binding
             SET valid_until = max(?5, valid_from), last_seen = max(?6, valid_from), how = ?7
             WHERE session = ?1 AND length = ?2 AND network = ?3 AND realm = ?4 AND valid_until IS NULL",
            (session, key.length, key.network, realm, Moment(until), Moment(last_seen), how.word()),
        )?;
        Ok(())
    }

    fn past_held(
        &self,
        session: i64,
        subscriber: Option<&Name>,
        place: Spot,
        held: &Held,
    ) -> rusqlite::Result<()> {
        let Spot { realm, key } = place;
        let known = self
            .transaction
            .prepare_cached(
                "SELECT id, valid_from, valid_until, last_seen, how FROM binding
                 WHERE session = ?1 AND length = ?2 AND network = ?3 AND realm = ?4 AND valid_from <= ?5
                 ORDER BY valid_from DESC LIMIT 1",
            )?
            .query_row((session, key.length, key.network, realm, Moment(held.until)), |row| {
                Ok(Known {
                    id: row.get(0)?,
                    from: row.get::<_, Moment>(1)?.0,
                    until: row.get::<_, Option<Moment>>(2)?.map(|moment| moment.0),
                    last_seen: row.get::<_, Option<Moment>>(3)?.map(|moment| moment.0),
                    how: row.get(4)?,
                })
            })
            .optional()?;
        match known {
            Some(known) if known.inferred() => self.correct(&known, held),
            Some(known) if known.until.is_none_or(|until| until >= held.from) => Ok(()),
            _ => {
                self.in_use(false, realm, key)?;
                // Half-open, so a moment in which it was held is a millisecond long.
                let until = held.until.max(held.from.plus(Duration::from_millis(1)));
                // Where only the session time tells of it, nothing but its last moment was ever said.
                let (how, last_seen) = match (held.inferred, held.ended) {
                    (true, _) => (Ended::Expired, held.from),
                    (false, true) => (Ended::Stopped, held.until),
                    (false, false) => (Ended::Expired, held.until),
                };
                self.execute(
                    "INSERT INTO binding
                        (session, subscriber, realm, length, network, valid_from, valid_until, last_seen, how)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
                    (
                        session,
                        subscriber.map(Name::octets),
                        realm,
                        key.length,
                        key.network,
                        Moment(held.from),
                        Moment(until),
                        Moment(last_seen),
                        how.word(),
                    ),
                )?;
                Ok(())
            }
        }
    }

    /// A late word from a session whose end was inferred. Its first belief is the one that is kept.
    fn correct(&self, known: &Known, held: &Held) -> rusqlite::Result<()> {
        let end = Moment(held.until.max(known.from));
        if held.ended {
            self.execute(
                "UPDATE binding
                 SET was_until = coalesce(was_until, valid_until), was_how = coalesce(was_how, how),
                     valid_until = ?2, last_seen = ?2, how = ?3
                 WHERE id = ?1",
                (known.id, end, Ended::Stopped.word()),
            )?;
            return Ok(());
        }
        if known.last_seen.is_none_or(|last_seen| held.until > last_seen) {
            self.execute("UPDATE binding SET last_seen = ?2 WHERE id = ?1", (known.id, Moment(held.until)))?;
        }
        if known.until.is_some_and(|until| held.until > until) {
            self.execute(
                "UPDATE binding
                 SET was_until = coalesce(was_until, valid_until), was_how = coalesce(was_how, how),
                     valid_until = ?2
                 WHERE id = ?1",
                (known.id, end),
            )?;
        }
        Ok(())
    }

    fn conflict(&self, place: Spot, sessions: &[SessionKey], at: Timestamp) -> rusqlite::Result<()> {
        let Spot { realm, key } = place;
        if sessions.is_empty() {
            self.execute(
                "UPDATE conflict SET valid_until = ?4
                 WHERE realm = ?1 AND length = ?2 AND network = ?3 AND valid_until IS NULL AND valid_from <= ?4",
                (realm, key.length, key.network, Moment(at)),
            )?;
            return Ok(());
        }
        let mut open = self.transaction.prepare_cached(
            "SELECT id FROM conflict
             WHERE realm = ?1 AND length = ?2 AND network = ?3 AND (valid_until IS NULL OR valid_from = ?4)
             ORDER BY valid_until IS NULL DESC LIMIT 1",
        )?;
        let open =
            open.query_row((realm, key.length, key.network, Moment(at)), |row| row.get(0)).optional()?;
        let conflict: i64 = match open {
            Some(conflict) => {
                // Over and begun again within one moment.
                self.execute(
                    "UPDATE conflict SET valid_until = NULL WHERE id = ?1 AND valid_until <= valid_from",
                    (conflict,),
                )?;
                conflict
            }
            None => {
                self.execute(
                    "INSERT INTO conflict (realm, length, network, valid_from) VALUES (?1, ?2, ?3, ?4)",
                    (realm, key.length, key.network, Moment(at)),
                )?;
                self.transaction.last_insert_rowid()
            }
        };
        for session in sessions {
            let session = self.session(session, None)?;
            self.execute("INSERT INTO claimant VALUES (?1, ?2) ON CONFLICT DO NOTHING", (conflict, session))?;
        }
        Ok(())
    }

    fn static_applied(&self, key: Key, subscriber: Option<&Name>, at: Timestamp) -> rusqlite::Result<()> {
        // Said again at every start: only a change makes a row. A row that begins later makes this one old news.
        let stands = self.exists(
            "SELECT 1 FROM static_binding
             WHERE length = ?1 AND network = ?2 AND valid_until IS NULL AND (subscriber IS ?3 OR valid_from > ?4)",
            (key.length, key.network, subscriber.map(Name::octets), Moment(at)),
        )?;
        if stands {
            return Ok(());
        }
        self.execute(
            "UPDATE static_binding SET valid_until = ?3 WHERE length = ?1 AND network = ?2 AND valid_until IS NULL",
            (key.length, key.network, Moment(at)),
        )?;
        if let Some(subscriber) = subscriber {
            self.in_use(true, Realm::PUBLIC.number(), key)?;
            self.execute(
                "INSERT INTO static_binding (length, network, valid_from, subscriber) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET subscriber = excluded.subscriber, valid_until = NULL
                 WHERE valid_until <= valid_from",
                (key.length, key.network, Moment(at), subscriber.octets()),
            )?;
        }
        Ok(())
    }

    fn message(&self, sequence: u64, message: &Message) -> rusqlite::Result<()> {
        let packed = postcard::to_stdvec(message)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let sequence = column(sequence);
        let inserted = self.execute(
            "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            (
                sequence,
                Moment(message.at),
                message.address.map(|address| super::schema::wide(address).octets()),
                message.login.as_ref().map(Name::octets),
                message.queue_id.octets(),
                message.token.as_ref().map(Name::octets),
                packed,
            ),
        )?;
        if inserted == 0 {
            return Ok(());
        }
        for subscriber in message.owners.iter().filter_map(|owner| owner.subscriber.as_ref()) {
            self.execute(
                "INSERT INTO message_owner VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (subscriber.octets(), Moment(message.at), sequence),
            )?;
        }
        Ok(())
    }

    fn hold(&self, sequence: u64, hold: &NasHold) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, 'nas', ?4, 'hold', ?5, ?6) ON CONFLICT DO NOTHING",
            (
                column(sequence),
                Moment(hold.at),
                hold.by.octets(),
                hold.nas.octets(),
                Moment(hold.until),
                hold.reason.octets(),
            ),
        )?;
        Ok(())
    }

    fn command(&self, sequence: u64, command: &Command) -> rusqlite::Result<()> {
        let (kind, subject) = match &command.subject {
            Subject::Subscriber(name) => ("subscriber", name),
            Subject::Login(name) => ("login", name),
        };
        let (verb, until) = match command.order {
            Order::Suspend { until } => ("suspend", until),
            Order::Release => ("release", None),
        };
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            (
                column(sequence),
                Moment(command.at),
                command.by.octets(),
                kind,
                subject.octets(),
                verb,
                until.map(Moment),
                command.reason.octets(),
            ),
        )?;
        Ok(())
    }
}

/// How a binding ended.
#[derive(Clone, Copy)]
struct End<'a> {
    until: Timestamp,
    last_seen: Timestamp,
    how: &'a Ended,
}

/// What a late record tells.
struct Held {
    from: Timestamp,
    until: Timestamp,
    ended: bool,
    inferred: bool,
}

/// The row that a late record may be about.
struct Known {
    id: i64,
    from: Timestamp,
    until: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    how: Option<String>,
}

impl Known {
    fn inferred(&self) -> bool {
        self.how.as_deref().is_some_and(|how| !is_exact(how))
    }
}

#[cfg(test)]
mod tests;
