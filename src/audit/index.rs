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
use std::sync::Arc;
use std::time::Duration;

use super::AuditError;
use super::by_term::{self, Item, Items};
use super::facts::Facts;
use super::partition::{self, Partition};
use super::past::Past;
use super::progress::marked;
use super::questions::Questions;
use super::register::{self, Register};
use super::retention::{Retiring, are_preserved, remove_disused};
use super::sessions::Sessions;
use super::shelf::{Fill, Rows, Shelf};
use crate::access::preservation::Preservations;
use crate::config::Retention;
use crate::relay::attempts::Attempt;
use crate::relay::message::Message;
use crate::relay::message_id::MessageId;
use crate::relay::scanned::Scanned;
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
    messages: Shelf<Items<Message>>,
    questions: Shelf<Questions>,
    attempts: Shelf<Items<Attempt>>,
    scanned: Shelf<Items<Scanned>>,
    message_ids: Shelf<Items<MessageId>>,
    /// When everything was written last.
    flushed: Timestamp,
    retiring: Option<Retiring>,
}

impl Index {
    /// Opens the index below `data`, or makes an empty one.
    ///
    /// # Errors
    /// What the file system said. A file that is damaged is none: it is set aside, [`Index::applied`] says from where on the log is
    /// to be read again for it, and what the log no longer has is lost, which answers say.
    pub fn open(data: &Path) -> Result<Index, AuditError> {
        let directory = data.join("audit");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&directory)
            .map_err(|error| AuditError::storage(&directory, &error))?;
        let mut index = Index {
            register: match Register::open(&directory) {
                Err(error @ AuditError::Damaged { .. }) => {
                    tracing::error!(%error, "the register of the past is damaged: it is set aside and made again from the log");
                    let path = register::file_in(&directory);
                    partition::set_aside(&path).map_err(|error| AuditError::storage(&path, &error))?;
                    Register::open(&directory)?
                }
                opened => opened?,
            },
            sessions: Shelf::open(&directory)?,
            messages: Shelf::open(&directory)?,
            questions: Shelf::open(&directory)?,
            attempts: Shelf::open(&directory)?,
            scanned: Shelf::open(&directory)?,
            message_ids: Shelf::open(&directory)?,
            flushed: Timestamp::EARLIEST,
            retiring: None,
            directory,
        };
        // The log of an index that had no room for verdicts has none, and no Message-IDs.
        let before = [&index.sessions as &dyn Fill, &index.messages, &index.questions, &index.attempts];
        let before = before.into_iter().map(Fill::applied).min().unwrap_or_default();
        index.scanned.begin_behind(before);
        index.message_ids.begin_behind(before);
        Ok(index)
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
            self.attempts.readers(),
            self.scanned.readers(),
            self.message_ids.readers(),
        )
    }

    /// Sequence of the last entry whose outcome is in the index; 0 when it is empty.
    #[must_use]
    pub fn applied(&self) -> u64 {
        let partitions = self.shelves().into_iter().map(Fill::applied);
        // How far the register is filled is not written while there is nothing for it.
        partitions.min().unwrap_or_default().min(self.register.applied())
    }

    /// Sets a file aside that was found damaged as it was written. Nothing can be written any more; the next start makes it again
    /// from the log.
    ///
    /// # Errors
    /// What the file system said.
    pub fn condemn(&self, file: &Path) -> io::Result<()> {
        partition::set_aside(file)
    }

    /// What was lost with damaged files does not come again: the log does not have it any more.
    pub fn give_up_lost(&mut self) {
        self.shelves_mut().into_iter().for_each(Fill::give_up_lost);
    }

    /// Takes what came of the entries up to `through`. It is found from now on, and written by [`Index::keep_up`] or
    /// [`Index::sync`].
    ///
    /// # Errors
    /// What SQLite said; nothing was taken then, and the same may be offered again.
    pub fn apply(&mut self, through: u64, folded: &[Folded]) -> Result<(), AuditError> {
        let mut applied: Vec<u64> = self.shelves().into_iter().map(Fill::applied).collect();
        applied.push(self.register.applied());
        let items = marked(folded, through, &applied);
        self.register.apply(through, &items, || folded.iter().find_map(|item| moment_of(&item.outcome)))?;
        self.shelves_mut().into_iter().for_each(|shelf| shelf.apply(through, &items));
        Ok(())
    }

    /// How many rows of a kind wait to be written, at most.
    #[must_use]
    pub fn gathered(&self) -> usize {
        self.shelves().into_iter().map(Fill::gathered).max().unwrap_or_default()
    }

    /// Writes what has gathered, when it is much or has waited long.
    ///
    /// # Errors
    /// What SQLite said; it may be tried again.
    pub fn keep_up(&mut self, at: Timestamp) -> Result<(), AuditError> {
        if self.flushed == Timestamp::EARLIEST {
            self.flushed = at;
        }
        let gathered = self.gathered();
        if gathered >= GATHERED_MAX || gathered > 0 && at.since(self.flushed) >= WRITTEN_WITHIN {
            self.flush(at)?;
        }
        Ok(())
    }

    /// Removes what is older than it is to be kept, or prepares to. A partition is a day at most, so what is in it may stay that day
    /// longer. It does a part of the work, so that nobody waits for long. True when there is
    /// more to do at once.
    ///
    /// # Errors
    /// What SQLite or the file system said; it may be tried again.
    pub fn retire(
        &mut self,
        at: Timestamp,
        kept: &Retention,
        preserved: &Preservations,
    ) -> Result<bool, AuditError> {
        // What moved the last time may not be written yet, as the disk refused.
        if self.shelves().into_iter().any(Fill::has_left) {
            self.sync(at)?;
        }
        if let Some(retiring) = &mut self.retiring {
            let sessions = Sessions::now(&self.sessions.readers());
            let Some(moved) = retiring.step(&sessions, preserved, at)? else { return Ok(true) };
            let partition = Arc::clone(&retiring.partition);
            self.retiring = None;
            self.sessions.replace(&partition, moved);
            self.sync(at)?;
            return Ok(true);
        }
        let limit = at.minus(kept.messages);
        self.let_go(|index| &mut index.messages, limit, at, preserved)?;
        self.let_go(|index| &mut index.message_ids, limit, at, preserved)?;
        self.let_go(|index| &mut index.attempts, limit, at, preserved)?;
        self.let_go(|index| &mut index.scanned, limit, at, preserved)?;
        while let Some(partition) =
            self.too_old(|index| &mut index.questions, at.minus(kept.questions), at)?
        {
            self.questions.remove(&partition)?;
        }
        let limit = at.minus(kept.sessions);
        self.register.forget(limit, at.minus(kept.questions))?;
        self.remove_disused(at, kept)?;
        self.retiring = self
            .too_old(|index| &mut index.sessions, limit, at)?
            .map(|partition| Retiring::begin(partition, limit));
        Ok(self.retiring.is_some())
    }

    /// Removes the partitions of a kind that are older than the limit. What of them is preserved moves to the youngest before.
    fn let_go<T: Item>(
        &mut self,
        shelf: fn(&mut Index) -> &mut Shelf<Items<T>>,
        limit: Timestamp,
        at: Timestamp,
        preserved: &Preservations,
    ) -> Result<(), AuditError> {
        let any_is_preserved = preserved.in_force(at).next().is_some();
        while let Some(partition) = self.too_old(shelf, limit, at)? {
            if any_is_preserved {
                let keeps = |item: &T| are_preserved(item.subscribers(), item.address(), preserved, at);
                let kept = by_term::kept(&partition, &shelf(self).moved_to(&partition), keeps)?;
                shelf(self).replace(&partition, kept);
                self.sync(at)?;
            } else {
                shelf(self).remove(&partition)?;
            }
        }
        Ok(())
    }

    /// The oldest partition of a kind, when all of it is too old. How far the log was taken stands in the last one, and a crash may have
    /// come between closing that and beginning another: it goes only once what came since is in another, or the next crash
    /// would bring all of it back from the log, into a younger one.
    fn too_old<R: Rows>(
        &mut self,
        shelf: fn(&mut Index) -> &mut Shelf<R>,
        limit: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Arc<Partition>>, AuditError> {
        let partition = shelf(self).too_old(limit);
        if partition.as_ref().is_some_and(|partition| shelf(self).is_last(partition)) {
            self.sync(at)?;
        }
        Ok(partition)
    }

    /// A file that was set aside goes when the shortest time is over: what is in it was not told to anybody since.
    fn remove_disused(&mut self, at: Timestamp, kept: &Retention) -> Result<(), AuditError> {
        let shortest = kept.sessions.min(kept.messages).min(kept.questions);
        let gone = remove_disused(&self.directory, at.minus(shortest))
            .map_err(|error| AuditError::storage(&self.directory, &error))?;
        if !gone.is_empty() {
            self.shelves_mut().into_iter().for_each(|shelf| shelf.forget_lost(&gone));
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
        self.shelves_mut().into_iter().try_for_each(Fill::sync)
    }

    fn shelves(&self) -> [&dyn Fill; 6] {
        let Index { sessions, messages, questions, attempts, scanned, message_ids, .. } = self;
        [message_ids, scanned, sessions, messages, questions, attempts]
    }

    fn shelves_mut(&mut self) -> [&mut dyn Fill; 6] {
        let Index { sessions, messages, questions, attempts, scanned, message_ids, .. } = self;
        // A kind that came later is the first to be written: whatever the others have, it has too (see where it begins).
        [message_ids, scanned, sessions, messages, questions, attempts]
    }

    fn flush(&mut self, at: Timestamp) -> Result<(), AuditError> {
        self.register.flush()?;
        self.shelves_mut().into_iter().try_for_each(|shelf| shelf.flush(at))?;
        self.flushed = at;
        Ok(())
    }
}

/// When an outcome happened; the first one says since when the index knows anything.
fn moment_of(outcome: &Outcome) -> Option<Timestamp> {
    match outcome {
        Outcome::Message(message, _) => Some(message.at),
        Outcome::Command(command) => Some(command.at),
        Outcome::Asked(asked, _) => Some(asked.at),
        Outcome::Token(order) => Some(order.at),
        Outcome::Preservation(order) => Some(order.at),
        Outcome::Hold(hold) => Some(hold.at),
        Outcome::Scanned(scanned) => Some(scanned.at),
        Outcome::MessageId(id) => Some(id.at),
        Outcome::Notice(_) => None,
        Outcome::Attempts(attempts) => attempts.iter().map(|attempt| attempt.first).min(),
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
pub(super) mod tests;
