//! The file of what waits: its tables, how it is opened, and how a damaged one is told from a disk that refuses.
//!
//! Knows: SQLite. Must not know: who is told of what.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use crate::session::Timestamp;

/// Tells the file from any other: "RWno".
const APPLICATION: i32 = 0x5257_6e6f;

const SCHEMA: &str = "
CREATE TABLE told (sequence INTEGER NOT NULL, ids TEXT NOT NULL) STRICT;
CREATE TABLE receiver (
    name TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0,
    lost_told INTEGER NOT NULL DEFAULT 0,
    reported TEXT
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

pub(super) struct Read {
    pub(super) told: Told,
    pub(super) counts: HashMap<String, u64>,
    pub(super) since: HashMap<String, u64>,
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Read> {
    let number = |count: i64| u64::try_from(count).unwrap_or_default();
    let told: Option<(i64, String)> = connection
        .query_row("SELECT sequence, ids FROM told", (), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let told = told.map_or_else(Told::default, |(sequence, ids)| Told {
        sequence: number(sequence),
        ids: serde_json::from_str(&ids).unwrap_or_default(),
    });
    let pairs = |sql: &str| -> rusqlite::Result<HashMap<String, u64>> {
        let mut statement = connection.prepare(sql)?;
        statement.query_map((), |row| Ok((row.get(0)?, number(row.get(1)?))))?.collect()
    };
    Ok(Read {
        told,
        counts: pairs("SELECT receiver, count(*) FROM waiting GROUP BY receiver")?,
        since: pairs("SELECT name, since FROM receiver")?,
    })
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // What was told is nobody's business any more, so its octets go with it.
    connection.execute_batch(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA journal_mode=TRUNCATE;",
    )?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION {
        connection.execute_batch("BEGIN")?;
        connection.execute_batch(SCHEMA)?;
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
