//! Takes what came of entries, for questions about the past.
//!
//! What is few and changes goes into the register at once. What is much (facts of sessions, messages, questions) gathers in
//! memory, is found there, and is written to partitions by and by: see `shelf.rs`.
//!
//! Knows: which files there are, and when it is time to write. Must not know: rows, or what is asked.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::AuditError;
use super::facts::Facts;
use super::messages::Gathered;
use super::partition;
use super::past::Past;
use super::progress::marked;
use super::questions::Questions;
use super::register::{self, Register};
use super::shelf::Shelf;
use crate::session::Timestamp;
use crate::session::effect::Effect;
use crate::views::{Folded, Outcome};

/// So many rows of a kind gather before they are written, some 250 octets each.
const GATHERED_MAX: usize = 100_000;
/// And they are written at the latest after this: so much is taken from the log again after a crash.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// The writer of the index. There is one.
pub struct Index {
    directory: PathBuf,
    register: Register,
    sessions: Shelf<Facts>,
    messages: Shelf<Gathered>,
    questions: Shelf<Questions>,
    /// When everything was written last.
    flushed: Timestamp,
}

impl Index {
    /// Opens the index below `data`, or makes an empty one.
    ///
    /// # Errors
    /// `Damaged` when it can't be used: then [`Index::begin_anew`] and a replay of the whole log make a good one.
    pub fn open(data: &Path) -> Result<Index, AuditError> {
        let directory = data.join("audit");
        if condemned(&directory).exists() {
            let file = register::file_in(&directory);
            return Err(AuditError::Damaged { file, what: "it was found damaged when it was written last" });
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&directory)
            .map_err(|error| AuditError::storage(&directory, &error))?;
        Ok(Index {
            register: Register::open(&directory)?,
            sessions: Shelf::open(&directory)?,
            messages: Shelf::open(&directory)?,
            questions: Shelf::open(&directory)?,
            flushed: Timestamp::EARLIEST,
            directory,
        })
    }

    /// Removes the index and makes an empty one, to be filled by replay. What the log no longer holds is forgotten, and
    /// answers about that time say so. No reader may be open.
    ///
    /// # Errors
    /// What the file system said.
    pub fn begin_anew(data: &Path) -> Result<Index, AuditError> {
        let directory = data.join("audit");
        let failed = |error: io::Error| AuditError::storage(&directory, &error);
        match fs::read_dir(&directory) {
            Ok(files) => {
                for file in files {
                    let path = file.map_err(failed)?.path();
                    if path.extension().is_some_and(|extension| extension == "sqlite3") {
                        partition::remove(&path).map_err(failed)?;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        match fs::remove_file(condemned(&directory)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => Index::open(data),
        }
    }

    /// For those who ask. What is applied from now on is seen by them, too.
    ///
    /// # Errors
    /// As for opening.
    pub fn past(&self) -> Result<Past, AuditError> {
        Past::open(
            &register::file_in(&self.directory),
            self.sessions.readers(),
            self.messages.readers(),
            self.questions.readers(),
        )
    }

    /// Sequence of the last entry whose outcome is in the index; 0 when it is empty.
    #[must_use]
    pub fn applied(&self) -> u64 {
        let partitions = self.sessions.applied().min(self.messages.applied()).min(self.questions.applied());
        // How far the register is filled is not written while there is nothing for it.
        partitions.min(self.register.applied())
    }

    /// Has the next start make it again: it can't be written any more, for it is damaged.
    ///
    /// # Errors
    /// What the file system said.
    pub fn condemn(&self) -> io::Result<()> {
        fs::write(condemned(&self.directory), "")
    }

    /// Takes what came of the entries up to `through`. It is found from now on, and written by [`Index::keep_up`] or
    /// [`Index::sync`].
    ///
    /// # Errors
    /// What SQLite said; nothing was taken then, and the same may be offered again.
    pub fn apply(&mut self, through: u64, folded: &[Folded]) -> Result<(), AuditError> {
        let applied = [
            self.register.applied(),
            self.sessions.applied(),
            self.messages.applied(),
            self.questions.applied(),
        ];
        let items = marked(folded, through, &applied);
        self.register.apply(through, &items, || folded.iter().find_map(|item| moment_of(&item.outcome)))?;
        self.sessions.apply(through, &items);
        self.messages.apply(through, &items);
        self.questions.apply(through, &items);
        Ok(())
    }

    /// Writes what has gathered, when it is much or has waited long.
    ///
    /// # Errors
    /// What SQLite said; it may be tried again.
    pub fn keep_up(&mut self, at: Timestamp) -> Result<(), AuditError> {
        let gathered = self.sessions.gathered().max(self.messages.gathered()).max(self.questions.gathered());
        if gathered >= GATHERED_MAX || gathered > 0 && at.since(self.flushed) >= WRITTEN_WITHIN {
            self.flush(at)?;
        }
        Ok(())
    }

    /// Writes all that has gathered, and makes it survive a loss of power.
    ///
    /// # Errors
    /// What SQLite said; it may be tried again.
    pub fn sync(&mut self, at: Timestamp) -> Result<(), AuditError> {
        self.flush(at)?;
        self.register.sync()?;
        self.sessions.sync()?;
        self.messages.sync()?;
        self.questions.sync()
    }

    fn flush(&mut self, at: Timestamp) -> Result<(), AuditError> {
        self.register.flush()?;
        self.sessions.flush(at)?;
        self.messages.flush(at)?;
        self.questions.flush(at)?;
        self.flushed = at;
        Ok(())
    }
}

/// The file that says that the index is not to be used.
fn condemned(directory: &Path) -> PathBuf {
    directory.join("damaged")
}

/// When an outcome happened; the first one says since when the index knows anything.
fn moment_of(outcome: &Outcome) -> Option<Timestamp> {
    match outcome {
        Outcome::Message(message) => Some(message.at),
        Outcome::Command(command) => Some(command.at),
        Outcome::Question(question) => Some(question.at),
        Outcome::Hold(hold) => Some(hold.at),
        Outcome::Effect(_, effect) => match effect {
            Effect::Gap { until, .. } => Some(*until),
            Effect::Bound { from, .. } => Some(*from),
            Effect::Unbound { until, .. } | Effect::PastHeld { until, .. } => Some(*until),
            Effect::EndTold { at, .. } => Some(*at),
            Effect::SubscriberChanged { at, .. }
            | Effect::SessionClosed { at, .. }
            | Effect::Conflict { at, .. }
            | Effect::StaticApplied { at, .. }
            | Effect::TranslationsApplied { at, .. } => Some(*at),
            // A session may have begun long before it was heard of, and what is too late may be as old as it likes.
            Effect::SessionOpened { .. }
            | Effect::Noted { .. }
            | Effect::Restarted { .. }
            | Effect::RealmNamed { .. }
            | Effect::Alarm(_) => None,
        },
    }
}

#[cfg(test)]
mod tests;
