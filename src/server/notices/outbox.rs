//! What is still to be told, receiver by receiver: a small SQLite file in the data directory, filled behind the acknowledgement.
//!
//! The log is where notices come from, but no queue for a receiver that is away: its file in use is open to its writer alone, and
//! none of it is kept for longer than two snapshots. So what somebody is to be told is written here before a snapshot may stand
//! for its entry, and taken out when it was told. After a crash the log tells it again, and what was taken already is known by its
//! id.
//!
//! Knows: the file, its bounds, and what is lost when they are reached. Must not know: how a receiver is told, or when.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::watch;

use super::file::{Read, Told, connect, insert, is_refusal, read, wide};
use crate::config::Receiver;
use crate::notice::body::Body;
use crate::notice::{Kind, Notice};
use crate::session::effect::{Alarm, Effect};
use crate::session::{Name, Timestamp};
use crate::views::{Folded, Outcome};

/// So many may wait for one receiver; then the oldest is lost. A kilobyte each.
const WAITING_MOST: u64 = 100_000;
/// So many may wait in memory for a disk that refuses.
const UNWRITTEN_MOST: usize = 10_000;
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
    /// How many wait for each.
    counts: HashMap<String, u64>,
    /// From which entry on each is told.
    since: HashMap<String, u64>,
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
        let mut anew = false;
        let read =
            match connect(&path).and_then(|connection| read(&connection).map(|read| (connection, read))) {
                Ok((connection, read)) => (connection, read),
                Err(error) if is_refusal(&error) => return Err(io::Error::other(error)),
                Err(error) => {
                    anew = true;
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside)?;
                    tracing::warn!(
                        file = %aside.display(), %error,
                        "the notices that wait are damaged: those that the log still has are told again"
                    );
                    let connection = connect(&path).map_err(io::Error::other)?;
                    let read = read(&connection).map_err(io::Error::other)?;
                    (connection, read)
                }
            };
        let (connection, Read { told, counts, since }) = read;
        let inner = Inner {
            connection,
            receivers: Vec::new(),
            pages: None,
            told,
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
    /// on, or nobody would hear anything until it is as long as the other one was.
    pub fn begin(&self, sequence: u64) {
        let mut inner = self.lock();
        if inner.told.sequence > sequence {
            tracing::warn!(
                "others were told of more than the log has: they are told what happens from now on"
            );
            inner.told = Told { sequence, ids: Vec::new() };
        }
        if inner.since.values().all(|since| *since <= sequence) {
            return;
        }
        inner.since.values_mut().for_each(|since| *since = (*since).min(sequence));
        let sql = "UPDATE receiver SET since = ?1 WHERE since > ?1";
        if let Err(error) = inner.connection.execute(sql, (wide(sequence),)) {
            tracing::error!(%error, "from when on others are told cannot be written");
        }
    }

    /// Takes note of who is configured: somebody new is told what happens after `sequence`; what waits for somebody who is no
    /// longer there goes.
    ///
    /// # Errors
    /// The disk refuses; then it is as before.
    pub fn know(&self, receivers: &[Receiver], pages: Option<&str>, sequence: u64) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        (inner.receivers, inner.pages) = (receivers.to_vec(), pages.map(str::to_owned));
        let sequence = if std::mem::take(&mut inner.anew) { 0 } else { sequence };
        let names: Vec<String> = receivers.iter().map(|receiver| receiver.name.to_string()).collect();
        let gone: Vec<String> = inner.since.keys().filter(|name| !names.contains(name)).cloned().collect();
        let new: Vec<&String> = names.iter().filter(|name| !inner.since.contains_key(*name)).collect();
        if gone.is_empty() && new.is_empty() {
            return Ok(());
        }
        let transaction = inner.connection.unchecked_transaction()?;
        for name in &gone {
            transaction.execute("DELETE FROM waiting WHERE receiver = ?1", (name,))?;
            transaction.execute("DELETE FROM receiver WHERE name = ?1", (name,))?;
        }
        for name in &new {
            transaction
                .execute("INSERT INTO receiver (name, since) VALUES (?1, ?2)", (name, wide(sequence)))?;
        }
        transaction.commit()?;
        for name in &gone {
            inner.since.remove(name);
            if let Some(waiting) = inner.counts.remove(name).filter(|waiting| *waiting > 0) {
                tracing::warn!(
                    notice = name,
                    waiting,
                    "no longer configured: what waited for it is given up"
                );
            }
        }
        for name in new {
            inner.since.insert(name.clone(), sequence);
        }
        drop(inner);
        self.news.send_modify(|turn| *turn = turn.wrapping_add(1));
        Ok(())
    }

    /// Takes what came of entries. What a disk refuses is kept in memory, and tried again the next time.
    pub fn accept(&self, folded: &[Folded], now: Timestamp) {
        let mut inner = self.lock();
        for Folded { sequence, outcome } in folded {
            let alarm;
            let notice = match outcome {
                Outcome::Notice(notice) => &**notice,
                Outcome::Effect(_, Effect::Alarm(said)) => match of_alarm(said) {
                    Some(notice) => {
                        alarm = notice;
                        &alarm
                    }
                    None => continue,
                },
                _ => continue,
            };
            inner.add(*sequence, notice, now);
        }
        if inner.unwritten.is_empty() {
            return;
        }
        match inner.write() {
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

    /// Has the report of a day told to one receiver, and notes that it was.
    ///
    /// # Errors
    /// The disk refuses; then it is as before.
    pub fn report(&self, receiver: &str, day: &str, body: &Body, now: Timestamp) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        let transaction = inner.connection.unchecked_transaction()?;
        let new = insert(&transaction, receiver, body.id(), &body.json(), now)?;
        transaction.execute("UPDATE receiver SET reported = ?2 WHERE name = ?1", (receiver, day))?;
        transaction.commit()?;
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
        loop {
            let mut inner = self.lock();
            let found = {
                let mut statement = inner.connection.prepare_cached(
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
                    inner.take_out(receiver, waiting.number, true)?;
                    self.show(&inner, receiver);
                }
                found => return Ok(found.map(|(waiting, _)| waiting)),
            }
        }
    }

    /// It was told, or it is given up.
    ///
    /// # Errors
    /// The disk refuses; then it is still there.
    pub fn done(&self, receiver: &str, number: i64, lost: bool) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        inner.take_out(receiver, number, lost)?;
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
            let since = self.since.get(&receiver.name.to_string()).copied().unwrap_or(u64::MAX);
            receiver.events.contains(&notice.kind) && sequence > since
        };
        let receivers: Vec<String> =
            self.receivers.iter().filter(wants).map(|receiver| receiver.name.to_string()).collect();
        let id = notice.id(sequence);
        let is_known = self.unwritten.iter().any(|unwritten| unwritten.id == id);
        if receivers.is_empty() || self.told.has(sequence, &id) || is_known {
            return;
        }
        if self.unwritten.len() >= UNWRITTEN_MOST {
            receivers.into_iter().for_each(|name| *self.crowded_out.entry(name).or_default() += 1);
            return;
        }
        let body = Body::of(notice, sequence, now, self.pages.as_deref()).json();
        self.unwritten.push(Unwritten { sequence, receivers, id, body, at: now });
    }

    fn write(&mut self) -> rusqlite::Result<()> {
        let mut told = self.told.clone();
        let mut new: HashMap<String, u64> = HashMap::new();
        let transaction = self.connection.unchecked_transaction()?;
        for Unwritten { sequence, receivers, id, body, at } in &self.unwritten {
            told.add(*sequence, id.clone());
            for receiver in receivers {
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
        let ids = serde_json::to_string(&told.ids).unwrap_or_default();
        transaction.execute("DELETE FROM told", ())?;
        transaction.execute("INSERT INTO told VALUES (?1, ?2)", (wide(told.sequence), ids))?;
        transaction.commit()?;
        (self.told, self.counts) = (told, counts);
        self.unwritten.clear();
        self.crowded_out.clear();
        Ok(())
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

fn of_alarm(alarm: &Alarm) -> Option<Notice> {
    let (kind, nas) = match alarm {
        Alarm::NasSilent { nas } => (Kind::FeedSilent, nas),
        Alarm::NasHeard { nas } => (Kind::FeedHeard, nas),
        Alarm::Conflict { .. } | Alarm::Crowd { .. } | Alarm::ClaimsDropped { .. } => return None,
    };
    Some(Notice { nas: Some(nas.clone()), ..Notice::bare(kind, None) })
}
