//! What is still to be told, receiver by receiver: a small SQLite file in the data directory, filled behind the acknowledgement.
//!
//! The log is where notices come from, but no queue for a receiver that is away: its file in use is open to its writer alone, and
//! none of it is kept for longer than two snapshots. So what somebody is to be told is written here before a snapshot may stand
//! for its entry, and taken out when it was told. After a crash the log tells it again, and what was taken already is known by its
//! id.
//!
//! Knows: the file, its bounds, and what is lost when they are reached. Must not know: how a receiver is told, or when.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, ffi};
use tokio::sync::watch;

use super::file::{
    Read, Since, Told, aside, connect, failure, generation, insert, is_refusal, kept, put_since, put_told,
    read, set_aside, wide,
};
use crate::clock;
use crate::config::Receiver;
use crate::notice::Notice;
use crate::notice::body::Body;
use crate::notice::told::of_alarm;
use crate::session::effect::Effect;
use crate::session::{Name, Timestamp};
use crate::views::{Folded, Outcome};

/// So many may wait for one receiver; then the oldest is lost. A kilobyte each.
const WAITING_MOST: u64 = 100_000;
/// So many may wait in memory for a disk that refuses.
const UNWRITTEN_MOST: usize = 10_000;
/// So many are written at once.
const AT_ONCE: usize = 2000;

/// What others may be told of it.
#[must_use]
pub fn noticed(outcome: &Outcome) -> Option<Cow<'_, Notice>> {
    match outcome {
        Outcome::Notice(notice) => Some(Cow::Borrowed(notice)),
        Outcome::Effect(_, Effect::Alarm(alarm)) => of_alarm(alarm).map(Cow::Owned),
        _ => None,
    }
}

/// Something that waits to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place.
    pub number: i64,
    /// Its id.
    pub id: String,
    /// Since when.
    pub queued: Timestamp,
    /// The document.
    pub body: String,
}

/// How much waits for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behind {
    /// So many.
    pub waiting: u64,
    /// The first of them since then.
    pub oldest: Option<Timestamp>,
    /// How many were lost, ever.
    pub lost: u64,
}

/// A notice for whoever wants it.
struct Unwritten {
    sequence: u64,
    receivers: Vec<String>,
    id: String,
    body: String,
    at: Timestamp,
}

struct Inner {
    connection: Connection,
    receivers: Vec<Receiver>,
    /// Where people find our pages.
    pages: Option<String>,
    told: Told,
    /// Which log its ids are of.
    generation: u32,
    /// How many wait for each.
    counts: HashMap<String, u64>,
    since: Since,
    unwritten: Vec<Unwritten>,
    /// How many found no room there.
    crowded_out: HashMap<String, u64>,
    failing: bool,
    /// What was there is lost: whoever is there is told again what the log still has.
    anew: bool,
}

/// The file, and what could not be written to it yet.
pub struct Outbox {
    path: PathBuf,
    inner: Mutex<Inner>,
    /// How much waits for each, for those who must not wait for a disk that hangs.
    board: Mutex<HashMap<String, Behind>>,
    durable: AtomicBool,
    /// Changes whenever there may be something new.
    news: watch::Sender<u64>,
}

impl Outbox {
    /// Opens the file, or makes it. One that is damaged is set aside: then what the log still has is told again.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(data_dir: &Path) -> io::Result<Outbox> {
        DirBuilder::new().recursive(true).mode(0o750).create(data_dir)?;
        let path = data_dir.join("notices.sqlite3");
        let opened =
            || connect(&path).and_then(|connection| read(&connection).map(|read| (connection, read)));
        let (connection, read) = match opened() {
            Ok(opened) => opened,
            Err(error) if is_refusal(&error) => return Err(io::Error::other(error)),
            Err(error) => {
                let generation = generation(&path);
                set_aside(&path)?;
                tracing::warn!(
                    file = %aside(&path).display(), %error,
                    "the notices that wait are damaged: those that the log still has are told again"
                );
                let (connection, read) = opened().map_err(io::Error::other)?;
                put_told(&connection, &read.told, generation).map_err(io::Error::other)?;
                (connection, Read { generation, ..read })
            }
        };
        let Read { told, generation, anew, counts, since } = read;
        let inner = Inner {
            connection,
            receivers: Vec::new(),
            pages: None,
            told,
            generation,
            counts,
            since,
            unwritten: Vec::new(),
            crowded_out: HashMap::new(),
            failing: false,
            anew,
        };
        let (news, _) = watch::channel(0);
        let names: Vec<String> = inner.since.keys().cloned().collect();
        let (board, durable) = (Mutex::default(), AtomicBool::new(true));
        let outbox = Outbox { path, inner: Mutex::new(inner), board, durable, news };
        names.iter().for_each(|name| outbox.show(&outbox.lock(), name));
        Ok(outbox)
    }

    /// The entry up to which everything was told of: what comes before need not be told again. While nobody is known that is
    /// everything.
    #[must_use]
    pub fn told(&self) -> u64 {
        let inner = self.lock();
        let nobody = inner.since.is_empty() && !inner.anew;
        if nobody { u64::MAX } else { inner.told.sequence }
    }

    /// The log ends with this entry. One that was begun anew, or put back, ends before what was told: then it is told from its end
    /// on, or nobody would hear anything until it is as long as the other one was; and under ids of its own, as it uses the
    /// numbers of the other one again.
    pub fn begin(&self, sequence: u64) {
        let mut inner = self.lock();
        let is_another = inner.told.sequence > sequence;
        let begins_later = |since: &HashMap<_, u64>| since.values().any(|since| *since > sequence);
        if !is_another && !inner.since.values().any(begins_later) {
            return;
        }
        if is_another {
            tracing::warn!(
                "others were told of more than the log has: they are told what happens from now on"
            );
            inner.told = Told { sequence, ids: Vec::new() };
            inner.generation = another(inner.generation);
        }
        let events = inner.since.values_mut().flat_map(HashMap::values_mut);
        events.for_each(|since| *since = (*since).min(sequence));
        // Of one alone the next start would not know that it lacks the other.
        let written = self.guarded(&mut inner, |inner| {
            let transaction = inner.connection.unchecked_transaction()?;
            put_since(&transaction, &inner.since)?;
            put_told(&transaction, &inner.told, inner.generation)?;
            transaction.commit()
        });
        if let Err(error) = written {
            tracing::error!(%error, "from when on others are told cannot be written");
        }
    }

    /// Takes note of who is configured: somebody new, or somebody who asks for more, is told of that what happens after `sequence`;
    /// what waits for somebody who is no longer there goes.
    ///
    /// # Errors
    /// The disk refuses; then it is as before.
    pub fn know(&self, receivers: &[Receiver], pages: Option<&str>, sequence: u64) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        if inner.receivers.is_empty() {
            // At a start: whoever is known from before is told, even if the disk refuses.
            (inner.receivers, inner.pages) = (receivers.to_vec(), pages.map(str::to_owned));
        }
        let from = if inner.anew { 0 } else { sequence };
        let since: Since = receivers
            .iter()
            .map(|receiver| {
                let name = receiver.name.to_string();
                let known = inner.since.get(&name);
                let since = |kind| known.and_then(|known| known.get(kind)).copied().unwrap_or(from);
                let events = receiver.events.iter().map(|kind| (*kind, since(kind))).collect();
                (name, events)
            })
            .collect();
        if since != inner.since || inner.anew {
            let gone = |inner: &Inner| -> Vec<String> {
                inner.since.keys().filter(|name| !since.contains_key(*name)).cloned().collect()
            };
            self.guarded(&mut inner, |inner| {
                let transaction = inner.connection.unchecked_transaction()?;
                for name in gone(inner) {
                    transaction.execute("DELETE FROM waiting WHERE receiver = ?1", (&name,))?;
                    transaction.execute("DELETE FROM receiver WHERE name = ?1", (&name,))?;
                }
                put_since(&transaction, &since)?;
                transaction.execute("UPDATE state SET anew = 0", ())?;
                transaction.commit()
            })?;
            for name in gone(&inner) {
                if let Some(waiting) = inner.counts.remove(&name).filter(|waiting| *waiting > 0) {
                    tracing::warn!(
                        notice = name,
                        waiting,
                        "no longer configured: what waited for it is given up"
                    );
                }
            }
            (inner.since, inner.anew) = (since, false);
        }
        (inner.receivers, inner.pages) = (receivers.to_vec(), pages.map(str::to_owned));
        drop(inner);
        self.news.send_modify(|turn| *turn = turn.wrapping_add(1));
        Ok(())
    }

    /// Takes what came of entries. What a disk refuses is kept in memory, and tried again the next time.
    pub fn accept(&self, folded: &[Folded], now: Timestamp) {
        let notices: Vec<_> = folded
            .iter()
            .filter_map(|Folded { sequence, outcome }| Some((*sequence, noticed(outcome)?)))
            .collect();
        // Most of what happens tells nobody anything: then whoever reads need not be waited for.
        if notices.is_empty() && self.is_durable() {
            return;
        }
        let mut inner = self.lock();
        let mut written = Ok(());
        for (sequence, notice) in &notices {
            // A log that is told from far back is more than there is room for.
            if inner.unwritten.len() >= AT_ONCE && written.is_ok() {
                written = self.guarded(&mut inner, Inner::write);
            }
            inner.add(*sequence, notice, now);
        }
        if written.is_ok() && !inner.unwritten.is_empty() {
            written = self.guarded(&mut inner, Inner::write);
        }
        match written {
            Ok(()) => {
                if std::mem::take(&mut inner.failing) {
                    tracing::info!("notices are written again");
                }
                self.durable.store(true, Ordering::Release);
                inner.since.keys().for_each(|name| self.show(&inner, name));
                drop(inner);
                self.news.send_modify(|turn| *turn = turn.wrapping_add(1));
            }
            Err(error) => {
                self.durable.store(false, Ordering::Release);
                if !std::mem::replace(&mut inner.failing, true) {
                    tracing::error!(file = %self.path.display(), %error, "notices cannot be written; the log is kept for them");
                }
            }
        }
    }

    /// What fails, and not because the disk refuses, fails as the file is damaged: then it is begun anew there, and tried once more.
    fn guarded<T>(
        &self,
        inner: &mut Inner,
        work: impl Fn(&mut Inner) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        match work(inner) {
            Err(error) if !is_refusal(&error) => {
                inner.begin_anew(&self.path, &error)?;
                inner.since.keys().for_each(|name| self.show(inner, name));
                work(inner)
            }
            done => done,
        }
    }

    /// Has the report of a day told to one receiver, and notes that it was.
    ///
    /// # Errors
    /// The disk refuses; then it is as before.
    pub fn report(&self, receiver: &str, day: &str, body: &Body, now: Timestamp) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        let new = self.guarded(&mut inner, |inner| {
            let transaction = inner.connection.unchecked_transaction()?;
            let new = insert(&transaction, receiver, body.id(), &body.json(), now)?;
            transaction.execute("UPDATE receiver SET reported = ?2 WHERE name = ?1", (receiver, day))?;
            transaction.commit()?;
            Ok(new)
        })?;
        if new {
            *inner.counts.entry(receiver.to_owned()).or_default() += 1;
        }
        self.show(&inner, receiver);
        drop(inner);
        self.news.send_modify(|turn| *turn = turn.wrapping_add(1));
        Ok(())
    }

    /// The last day of which this receiver was to be told; `None`: it is not known, `Some(None)`: of none yet.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn reported(&self, receiver: &str) -> rusqlite::Result<Option<Option<String>>> {
        let inner = self.lock();
        let mut statement =
            inner.connection.prepare_cached("SELECT reported FROM receiver WHERE name = ?1")?;
        statement.query_row((receiver,), |row| row.get(0)).optional()
    }

    /// Notes that a receiver need not be told of this day or those before.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn set_reported(&self, receiver: &str, day: &str) -> rusqlite::Result<()> {
        let sql = "UPDATE receiver SET reported = ?2 WHERE name = ?1";
        self.lock().connection.execute(sql, (receiver, day)).map(drop)
    }

    /// What is to be told first; what was changed on the disk is lost, and counted so.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn first(&self, receiver: &str) -> rusqlite::Result<Option<Waiting>> {
        let mut inner = self.lock();
        let (first, damaged) = self.guarded(&mut inner, |inner| inner.first(receiver))?;
        if damaged {
            self.show(&inner, receiver);
        }
        Ok(first)
    }

    /// Gives up what waits since this moment or longer; returns how many.
    ///
    /// # Errors
    /// The disk refuses; then it is still there.
    pub fn expire(&self, receiver: &str, until: Timestamp) -> rusqlite::Result<u64> {
        let mut inner = self.lock();
        let gone = self.guarded(&mut inner, |inner| inner.expire(receiver, until))?;
        self.show(&inner, receiver);
        Ok(gone)
    }

    /// It was told, or it is given up.
    ///
    /// # Errors
    /// The disk refuses; then it is still there.
    pub fn done(&self, receiver: &str, number: i64, lost: bool) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        self.guarded(&mut inner, |inner| inner.take_out(receiver, number, lost))?;
        self.show(&inner, receiver);
        Ok(())
    }

    /// How many were lost of which the receiver was not told, and how many in all.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn lost(&self, receiver: &str) -> rusqlite::Result<Option<(u64, u64)>> {
        let inner = self.lock();
        let mut statement =
            inner.connection.prepare_cached("SELECT lost - lost_told, lost FROM receiver WHERE name = ?1")?;
        let counts = statement.query_row((receiver,), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let number = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(counts.map(|(untold, all)| (number(untold), number(all))).filter(|(untold, _)| *untold > 0))
    }

    /// It was told that so many were lost in all.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn lost_told(&self, receiver: &str, all: u64) -> rusqlite::Result<()> {
        let sql = "UPDATE receiver SET lost_told = ?2 WHERE name = ?1";
        self.lock().connection.execute(sql, (receiver, wide(all))).map(drop)
    }

    /// How much waits for a receiver.
    #[must_use]
    pub fn behind(&self, receiver: &str) -> Behind {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).get(receiver).copied().unwrap_or_default()
    }

    /// Whether everything that came of the log so far is on the disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    fn show(&self, inner: &Inner, receiver: &str) {
        // What can't be read now is shown as it was.
        let Ok(behind) = inner.behind(receiver) else { return };
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.insert(receiver.to_owned(), behind);
    }

    /// Hears whenever there may be something new.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, sequence: u64, notice: &Notice, now: Timestamp) {
        let wants = |receiver: &&Receiver| {
            let since = self.since.get(&receiver.name.to_string()).and_then(|since| since.get(&notice.kind));
            receiver.events.contains(&notice.kind) && since.is_some_and(|since| sequence > *since)
        };
        let receivers: Vec<String> =
            self.receivers.iter().filter(wants).map(|receiver| receiver.name.to_string()).collect();
        let id = notice.id(sequence, self.generation);
        let is_known = self.unwritten.iter().any(|unwritten| unwritten.id == id);
        if receivers.is_empty() || self.told.has(sequence, &id) || is_known {
            return;
        }
        if self.unwritten.len() >= UNWRITTEN_MOST {
            receivers.into_iter().for_each(|name| *self.crowded_out.entry(name).or_default() += 1);
            return;
        }
        let body = Body::of(notice, id.clone(), now, self.pages.as_deref()).json();
        self.unwritten.push(Unwritten { sequence, receivers, id, body, at: now });
    }

    fn write(&mut self) -> rusqlite::Result<()> {
        let mut told = self.told.clone();
        let mut new: HashMap<String, u64> = HashMap::new();
        let transaction = self.connection.unchecked_transaction()?;
        for Unwritten { sequence, receivers, id, body, at } in &self.unwritten {
            told.add(*sequence, id.clone());
            // Whoever is no longer configured has gone with all that waited.
            for receiver in receivers.iter().filter(|receiver| self.since.contains_key(*receiver)) {
                let is_new = insert(&transaction, receiver, id, body, *at)?;
                *new.entry(receiver.clone()).or_default() += u64::from(is_new);
            }
        }
        let mut counts = self.counts.clone();
        for (receiver, new) in new {
            let count = counts.entry(receiver.clone()).or_default();
            *count = count.saturating_add(new);
            let over = count.saturating_sub(WAITING_MOST);
            if over > 0 {
                *count = WAITING_MOST;
                transaction.execute(
                    "DELETE FROM waiting WHERE number IN
                        (SELECT number FROM waiting WHERE receiver = ?1 ORDER BY number LIMIT ?2)",
                    (&receiver, wide(over)),
                )?;
                transaction.execute(
                    "UPDATE receiver SET lost = lost + ?2 WHERE name = ?1",
                    (&receiver, wide(over)),
                )?;
                tracing::error!(notice = receiver, lost = over, "too many wait for it: the oldest are lost");
            }
        }
        for (receiver, lost) in &self.crowded_out {
            transaction
                .execute("UPDATE receiver SET lost = lost + ?2 WHERE name = ?1", (receiver, wide(*lost)))?;
        }
        put_told(&transaction, &told, self.generation)?;
        transaction.commit()?;
        (self.told, self.counts) = (told, counts);
        self.unwritten.clear();
        self.crowded_out.clear();
        Ok(())
    }

    /// A new file in the place of a damaged one: what waited is lost, and each receiver is told how much that was.
    fn begin_anew(&mut self, path: &Path, why: &rusqlite::Error) -> rusqlite::Result<()> {
        let waited: u64 = self.counts.values().sum();
        tracing::error!(
            file = %aside(path).display(), error = %why, lost = waited,
            "the notices that wait are damaged: they are set aside and lost"
        );
        let kept = kept(&self.connection);
        // Until there is a new one nothing may be written to the old one under another name.
        self.connection = Connection::open_in_memory()?;
        set_aside(path).map_err(|error| failure(ffi::SQLITE_CANTOPEN, error.to_string()))?;
        let connection = connect(path)?;
        let transaction = connection.unchecked_transaction()?;
        put_since(&transaction, &self.since)?;
        for name in self.since.keys() {
            let known = kept.get(name).cloned().unwrap_or_default();
            let lost = known.lost.saturating_add(self.counts.get(name).copied().unwrap_or_default());
            transaction.execute(
                "UPDATE receiver SET lost = ?2, lost_told = ?3, reported = ?4 WHERE name = ?1",
                (name, wide(lost), wide(known.lost_told), &known.reported),
            )?;
        }
        put_told(&transaction, &self.told, self.generation)?;
        transaction.execute("UPDATE state SET anew = ?1", (self.anew,))?;
        transaction.commit()?;
        self.connection = connection;
        self.counts.clear();
        Ok(())
    }

    /// What is to be told first, and whether something before it was damaged.
    fn first(&mut self, receiver: &str) -> rusqlite::Result<(Option<Waiting>, bool)> {
        let mut damaged = false;
        loop {
            let found = {
                let mut statement = self.connection.prepare_cached(
                    "SELECT number, id, queued, body, checksum FROM waiting WHERE receiver = ?1 ORDER BY number LIMIT 1",
                )?;
                let read = |row: &rusqlite::Row<'_>| {
                    let waiting = Waiting {
                        number: row.get(0)?,
                        id: row.get(1)?,
                        queued: Timestamp::from_millis(row.get(2)?),
                        body: row.get(3)?,
                    };
                    Ok((waiting, row.get::<_, u32>(4)?))
                };
                statement.query_row((receiver,), read).optional()?
            };
            match found {
                Some((waiting, checksum)) if checksum != crc32fast::hash(waiting.body.as_bytes()) => {
                    tracing::error!(notice = receiver, id = %Name::from(waiting.id.as_str()), "damaged, and not told");
                    self.take_out(receiver, waiting.number, true)?;
                    damaged = true;
                }
                found => return Ok((found.map(|(waiting, _)| waiting), damaged)),
            }
        }
    }

    fn expire(&mut self, receiver: &str, until: Timestamp) -> rusqlite::Result<u64> {
        let transaction = self.connection.unchecked_transaction()?;
        let gone = transaction.execute(
            "DELETE FROM waiting WHERE receiver = ?1 AND queued <= ?2",
            (receiver, until.millis()),
        )?;
        let gone = u64::try_from(gone).unwrap_or(u64::MAX);
        let sql = "UPDATE receiver SET lost = lost + ?2 WHERE name = ?1";
        transaction.execute(sql, (receiver, wide(gone)))?;
        transaction.commit()?;
        if let Some(count) = self.counts.get_mut(receiver) {
            *count = count.saturating_sub(gone);
        }
        Ok(gone)
    }

    fn behind(&self, receiver: &str) -> rusqlite::Result<Behind> {
        let waiting = self.counts.get(receiver).copied().unwrap_or_default();
        let mut statement = self.connection.prepare_cached(
            "SELECT (SELECT queued FROM waiting WHERE receiver = ?1 ORDER BY number LIMIT 1),
                (SELECT lost FROM receiver WHERE name = ?1)",
        )?;
        let (oldest, lost): (Option<i64>, Option<i64>) =
            statement.query_row((receiver,), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let lost = lost.and_then(|lost| u64::try_from(lost).ok()).unwrap_or_default();
        Ok(Behind { waiting, oldest: oldest.map(Timestamp::from_millis), lost })
    }

    fn take_out(&mut self, receiver: &str, number: i64, lost: bool) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        let gone = transaction.execute("DELETE FROM waiting WHERE number = ?1", (number,))?;
        if lost && gone > 0 {
            transaction.execute("UPDATE receiver SET lost = lost + 1 WHERE name = ?1", (receiver,))?;
        }
        transaction.commit()?;
        if gone > 0
            && let Some(count) = self.counts.get_mut(receiver)
        {
            *count = count.saturating_sub(1);
        }
        Ok(())
    }
}

/// The generation of another log than that of this one; 0 is the first.
fn another(than: u32) -> u32 {
    let mut chance = [0; 4];
    // Without chance there is the clock, which does not show the same moment again.
    let drawn = getrandom::fill(&mut chance).ok().map(|()| u32::from_le_bytes(chance));
    let moment = u32::try_from(clock::now().millis().div_euclid(1000)).unwrap_or(1);
    drawn.filter(|drawn| ![0, than].contains(drawn)).unwrap_or(moment)
}
