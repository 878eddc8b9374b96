//! The data directory: who may change it, which files lie in it, and what SQLite leaves beside them.
//!
//! Knows: names and directories. Must not know: what a file holds.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::log::LogError;

/// The right to change a data directory. Held until its last copy is gone; then another daemon may have it.
#[derive(Debug, Clone)]
pub struct DataLock {
    _held: Arc<File>,
}

impl DataLock {
    /// Takes it, if nobody else has it. Taken before anything below `data` is touched.
    ///
    /// # Errors
    /// `InUse` when another daemon runs here, `Storage` when the file system refuses.
    pub fn take(data: &Path) -> Result<DataLock, LogError> {
        let path = data.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| refused(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(DataLock { _held: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(LogError::InUse { file: path }),
            Err(TryLockError::Error(error)) => Err(refused(&path, &error)),
        }
    }
}

/// Where the numbered files are.
pub(in crate::log) fn directory_in(data: &Path) -> PathBuf {
    data.join("log")
}

/// The log files of a directory, by number.
pub(in crate::log) fn numbered_files(directory: &Path) -> Result<Vec<(u32, PathBuf)>, LogError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| refused(directory, &error))? {
        let path = entry.map_err(|error| refused(directory, &error))?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(number_of);
        files.extend(number.map(|number| (number, path)));
    }
    files.sort();
    Ok(files)
}

pub(super) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".sqlite3")?;
    digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Removes what an interrupted creation or removal left: files that never got their name, and companions whose main
/// file is gone, which SQLite would otherwise apply to a new file of that name.
pub(super) fn remove_leftovers(directory: &Path) -> Result<(), LogError> {
    for entry in fs::read_dir(directory).map_err(|error| refused(directory, &error))? {
        let path = entry.map_err(|error| refused(directory, &error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let main = COMPANIONS.iter().find_map(|companion| name.strip_suffix(companion)).unwrap_or(name);
        let unfinished = main.strip_suffix(".new").and_then(number_of).is_some();
        let orphan = main != name && number_of(main).is_some() && !directory.join(main).exists();
        if unfinished || orphan {
            remove_if_there(&path).map_err(|error| refused(&path, &error))?;
        }
    }
    Ok(())
}

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

pub(super) fn beside(path: &Path, companion: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(companion);
    PathBuf::from(name)
}

/// The main file goes first: without its write-ahead file it would look whole and have lost its end.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    COMPANIONS.iter().try_for_each(|companion| remove_if_there(&beside(path, companion)))
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// A name is durable when its directory is.
pub(in crate::log) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

pub(super) fn column(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(in crate::log) fn refused(file: &Path, error: &dyn std::error::Error) -> LogError {
    LogError::Storage { file: file.to_path_buf(), error: error.to_string() }
}

/// Tells "this is not what we wrote" from "this can't be read now".
pub(super) fn damaged_or_refused(file: &Path, row: Option<u64>, error: &rusqlite::Error) -> LogError {
    let damaged = |what| LogError::Damaged { file: file.to_path_buf(), row, what };
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt => damaged("the database file is malformed"),
            ErrorCode::NotADatabase => damaged("not a database file"),
            // The table is not there: the statement can't be prepared.
            ErrorCode::Unknown => damaged("the table of batches is missing"),
            _ => refused(file, error),
        },
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            damaged("a value is of another kind than was written")
        }
        _ => refused(file, error),
    }
}
