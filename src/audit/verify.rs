//! Looks through all files of the past: are they what was written, how large are they, and how fast do they grow.
//!
//! It only reads, and may do so beside the daemon that writes. Nothing is set aside: the daemon does that at its start.
//!
//! Knows: which files there should be. Must not know: what is in them, or how a report is shown.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::AuditError;
use super::by_term::Items;
use super::facts::Facts;
use super::partition::{About, Partition};
use super::progress::Progress;
use super::questions::Questions;
use super::register;
use super::schema::open_for_reading;
use super::shelf::{Rows, numbers, set_aside};
use crate::relay::attempts::Attempt;
use crate::relay::message::Message;
use crate::relay::message_id::MessageId;
use crate::relay::scanned::Scanned;
use crate::session::Timestamp;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It should be there.
    Missing,
    /// It was set aside before, and nothing took its place.
    SetAside,
    /// It can't be read, or its parts do not fit together.
    Damaged(String),
    /// Its rows are not those that were written.
    OtherRows,
}

/// One file of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Which.
    pub file: PathBuf,
    /// Its kind: sessions, messages, questions, or the register.
    pub kind: &'static str,
    /// Octets on the disk, with what SQLite keeps beside it.
    pub octets: u64,
    /// Rows that were written; `None`: not known.
    pub rows: Option<u64>,
    /// When it was begun, and the first and last moment of which it tells.
    pub began: Option<Timestamp>,
    /// When it was closed; `None`: it is open, or not known.
    pub closed: Option<Timestamp>,
    /// What is wrong with it; `None`: nothing was found, or nobody looked.
    pub wrong: Option<Wrong>,
}

/// Lists all files below `data`, in order; with `thorough` each row is read. `before` is told each file before it is read, and
/// how many there are.
///
/// # Errors
/// The directory can't be read. A file that can't is in the report.
pub fn files(
    data: &Path,
    thorough: bool,
    before: &mut dyn FnMut(&Path, usize),
) -> Result<Vec<FileReport>, AuditError> {
    let directory = data.join("audit");
    let register = register::file_in(&directory);
    let mut plan: Vec<(PathBuf, &'static str, u32)> = vec![(register, REGISTER, 0)];
    let kinds: [(&'static str, Look); 6] = [
        (Items::<Attempt>::KIND, look::<Items<Attempt>>),
        (Facts::KIND, look::<Facts>),
        (Items::<Message>::KIND, look::<Items<Message>>),
        (Questions::KIND, look::<Questions>),
        (Items::<Scanned>::KIND, look::<Items<Scanned>>),
        (Items::<MessageId>::KIND, look::<Items<MessageId>>),
    ];
    for (kind, _) in kinds {
        let there = numbers(&directory, kind)?;
        let aside = set_aside(&directory, kind)?;
        let mut expected: Vec<u32> = match (there.first(), there.last()) {
            (Some(first), Some(last)) => (*first..=*last).collect(),
            _ => Vec::new(),
        };
        expected.extend(aside);
        expected.sort_unstable();
        expected.dedup();
        plan.extend(
            expected
                .into_iter()
                .map(|number| (directory.join(format!("{kind}-{number:06}.sqlite3")), kind, number)),
        );
    }
    let mut reports = Vec::with_capacity(plan.len());
    let count = plan.len();
    for (file, kind, number) in plan {
        before(&file, count);
        let look = kinds.iter().find(|(name, _)| *name == kind).map(|(_, look)| *look);
        let report = match look {
            Some(look) => of_partition(file, kind, number, thorough.then_some(look)),
            None => of_register(file, thorough),
        };
        reports.push(report);
    }
    Ok(reports)
}

/// Sequence of the log's last entry that the past below `data` knows of; 0: nothing can be told.
#[must_use]
pub fn reached(data: &Path) -> u64 {
    let read = open_for_reading(&register::file_in(&data.join("audit")));
    read.ok().and_then(|connection| Progress::load(&connection).ok()).map_or(0, |progress| progress.applied())
}

const REGISTER: &str = "register";

type Look = fn(&Connection, About) -> rusqlite::Result<Option<Wrong>>;

/// Whether the rows of a partition are those that were written.
fn look<R: Rows>(connection: &Connection, about: About) -> rusqlite::Result<Option<Wrong>> {
    let said = R::read_again(connection)?;
    Ok((said != (about.rows, about.checksum)).then_some(Wrong::OtherRows))
}

/// What can be told of a file without opening it. False: it is not there.
fn seen(file: PathBuf, kind: &'static str) -> (FileReport, bool) {
    let beside = ["", "-wal"].into_iter().filter_map(|companion| {
        let mut name = file.clone().into_os_string();
        name.push(companion);
        fs::metadata(name).ok()
    });
    let octets = beside.map(|metadata| metadata.len()).sum();
    let is_there = file.exists();
    let aside = file.with_extension("sqlite3.damaged").exists();
    let wrong = (!is_there).then_some(if aside { Wrong::SetAside } else { Wrong::Missing });
    (FileReport { file, kind, octets, rows: None, began: None, closed: None, wrong }, is_there)
}

fn damaged(error: &dyn ToString) -> Option<Wrong> {
    Some(Wrong::Damaged(error.to_string()))
}

fn of_register(file: PathBuf, thorough: bool) -> FileReport {
    let (mut report, is_there) = seen(file, REGISTER);
    if is_there {
        let looked = open_for_reading(&report.file)
            .and_then(|connection| if thorough { whole(&report.file, &connection) } else { Ok(()) });
        report.wrong = looked.err().as_ref().and_then(|error| damaged(error));
    }
    report
}

fn of_partition(file: PathBuf, kind: &'static str, number: u32, look: Option<Look>) -> FileReport {
    let (mut report, is_there) = seen(file, kind);
    if !is_there {
        return report;
    }
    // The last may be written meanwhile: it is read as its readers do, in one piece.
    let partition = match Partition::open_any(&report.file, number) {
        Ok(partition) => partition,
        Err(error) => {
            report.wrong = damaged(&error);
            return report;
        }
    };
    report.began = Some(partition.about.began);
    report.closed = partition.about.closed;
    report.rows = Some(partition.about.rows);
    if let Some(look) = look {
        let found = partition.ask(|connection| {
            let about = About::read(number, connection)?;
            let fits: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
            if fits == "ok" { look(connection, about) } else { Ok(Some(Wrong::Damaged(fits))) }
        });
        report.wrong = match found {
            Ok(wrong) => wrong,
            Err(error) => damaged(&error),
        };
    }
    report
}

/// It has no sum, for its rows change; that its parts fit together is all that can be told.
fn whole(file: &Path, connection: &Connection) -> Result<(), AuditError> {
    let check = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get::<_, String>(0));
    match check.map_err(|error| super::schema::failed(file, &error))?.as_str() {
        "ok" => Ok(()),
        _ => Err(AuditError::Damaged { file: file.to_path_buf(), what: "its parts do not fit together" }),
    }
}
