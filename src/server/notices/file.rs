//! The file of what waits: its tables, how it is opened, and how a damaged one is told from a disk that refuses.
//!
//! Knows: SQLite. Must not know: who is told of what.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, ffi};

use crate::notice::Kind;
use crate::session::Timestamp;

/// Tells the file from any other: "RWno".
const APPLICATION: i32 = 0x5257_6e6f;

const SCHEMA: &str = "
CREATE TABLE told (sequence INTEGER NOT NULL, ids TEXT NOT NULL) STRICT;
CREATE TABLE state (generation INTEGER NOT NULL, anew INTEGER NOT NULL) STRICT;
CREATE TABLE receiver (
    name TEXT PRIMARY KEY,
    lost INTEGER NOT NULL DEFAULT 0,
    lost_told INTEGER NOT NULL DEFAULT 0,
    reported TEXT
) STRICT;
CREATE TABLE wanted (
    receiver TEXT NOT NULL,
    event TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (receiver, event)
) STRICT;
CREATE TABLE waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    id TEXT NOT NULL,
    queued INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX waiting_once ON waiting (receiver, id);
CREATE INDEX waiting_in_order ON waiting (receiver, number);
";

/// Where the log has been told to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Told {
    pub(super) sequence: u64,
    /// What of that entry: after it more may come of the same one.
    pub(super) ids: Vec<String>,
}

impl Told {
    pub(super) fn has(&self, sequence: u64, id: &str) -> bool {
        sequence < self.sequence || sequence == self.sequence && self.ids.iter().any(|known| known == id)
    }

    pub(super) fn add(&mut self, sequence: u64, id: String) {
        if sequence > self.sequence {
            *self = Told { sequence, ids: Vec::new() };
        }
        self.ids.push(id);
    }
}

/// Sequences and counts are below 2^63: SQLite numbers them so in the log itself.
pub(super) fn wide(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn insert(
    connection: &Connection,
    receiver: &str,
    id: &str,
    body: &str,
    at: Timestamp,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO waiting (receiver, id, queued, checksum, body) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    Ok(statement.execute((receiver, id, at.millis(), crc32fast::hash(body.as_bytes()), body))? > 0)
}

/// From which entry on each is told of what.
pub(super) type Since = HashMap<String, HashMap<Kind, u64>>;

pub(super) struct Read {
    pub(super) told: Told,
    /// Which log the ids are of: another one numbers its entries anew.
    pub(super) generation: u32,
    /// It was made in the place of a damaged one, and who is told is not known yet.
    pub(super) anew: bool,
    pub(super) counts: HashMap<String, u64>,
    pub(super) since: Since,
}

fn narrow(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Read> {
    // Damage where nothing is read now would otherwise show when something is written there.
    let check: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if check != "ok" {
        return Err(failure(ffi::SQLITE_CORRUPT, check));
    }
    let told: Option<(i64, String)> = connection
        .query_row("SELECT sequence, ids FROM told", (), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let told = told.map_or_else(Told::default, |(sequence, ids)| Told {
        sequence: narrow(sequence),
        ids: serde_json::from_str(&ids).unwrap_or_default(),
    });
    let (generation, anew) = connection
        .query_row("SELECT generation, anew FROM state", (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut counts = connection.prepare("SELECT receiver, count(*) FROM waiting GROUP BY receiver")?;
    let counts = counts.query_map((), |row| Ok((row.get(0)?, narrow(row.get(1)?))))?;
    let mut since = Since::new();
    let mut wanted = connection.prepare("SELECT receiver, event, since FROM wanted")?;
    let mut rows = wanted.query(())?;
    while let Some(row) = rows.next()? {
        let (receiver, event): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(kind) = Kind::chosen(&event) {
            since.entry(receiver).or_default().insert(kind, narrow(row.get(2)?));
        }
    }
    Ok(Read { told, generation, anew, counts: counts.collect::<rusqlite::Result<_>>()?, since })
}

/// What is kept of a receiver besides what waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) lost: u64,
    pub(super) lost_told: u64,
    pub(super) reported: Option<String>,
}

/// Of a damaged file: what can still be read of each receiver.
pub(super) fn kept(connection: &Connection) -> HashMap<String, Kept> {
    let read = || -> rusqlite::Result<HashMap<String, Kept>> {
        let mut statement = connection.prepare("SELECT name, lost, lost_told, reported FROM receiver")?;
        let rows = statement.query_map((), |row| {
            let (lost, lost_told) = (narrow(row.get(1)?), narrow(row.get(2)?));
            Ok((row.get(0)?, Kept { lost, lost_told, reported: row.get(3)? }))
        })?;
        rows.collect()
    };
    read().unwrap_or_default()
}

/// Of a damaged file: which log its ids were of, where that can still be read.
pub(super) fn generation(path: &Path) -> u32 {
    let read = Connection::open(path)
        .and_then(|file| file.query_row("SELECT generation FROM state", (), |row| row.get(0)));
    read.unwrap_or_default()
}

/// Puts a damaged file aside, with what SQLite may have left beside it.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let journal = path.with_extension("sqlite3-journal");
    let moved = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    moved(path, &aside(path))?;
    moved(&journal, &path.with_extension("damaged-journal"))
}

/// Where a damaged file lies.
pub(super) fn aside(path: &Path) -> std::path::PathBuf {
    path.with_extension("damaged")
}

pub(super) fn failure(code: std::ffi::c_int, words: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(words))
}

pub(super) fn put_told(connection: &Connection, told: &Told, generation: u32) -> rusqlite::Result<()> {
    let ids = serde_json::to_string(&told.ids).unwrap_or_default();
    connection.execute("DELETE FROM told", ())?;
    connection.execute("INSERT INTO told VALUES (?1, ?2)", (wide(told.sequence), ids))?;
    connection.execute("UPDATE state SET generation = ?1", (generation,)).map(drop)
}

pub(super) fn put_since(connection: &Connection, since: &Since) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM wanted", ())?;
    for (receiver, events) in since {
        connection.execute("INSERT INTO receiver (name) VALUES (?1) ON CONFLICT DO NOTHING", (receiver,))?;
        for (kind, since) in events {
            let row = (receiver, kind.word(), wide(*since));
            connection.execute("INSERT INTO wanted VALUES (?1, ?2, ?3)", row)?;
        }
    }
    Ok(())
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // What was told is nobody's business any more, so its octets go with it.
    connection.execute_batch(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA journal_mode=TRUNCATE;",
    )?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION {
        // Beside a damaged one it takes its place: should we be ended before anybody is known, the next start knows as much.
        let anew = aside(path).exists();
        connection.execute_batch("BEGIN")?;
        connection.execute_batch(SCHEMA)?;
        connection.execute("INSERT INTO state VALUES (0, ?1)", (anew,))?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.execute_batch("COMMIT")?;
        // Whoever may read the data directory may read more than this; it is as closed as what is beside it.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o640));
    }
    Ok(connection)
}

/// Whether it is the disk that refuses: then nothing is known of the file.
pub(super) fn is_refusal(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
        )
    )
}
