//! Answers about the past, from a read-only view of the index.
//!
//! The index is a little behind the log: for the present moment the live map answers.
//!
//! Knows: which answers there are, and where each is found (`past/owner.rs`: who had an address). Must not know: how an answer is
//! shown, or what time it is.

mod owner;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use self::owner::{Question, Seen};
use super::AuditError;
use super::asked::{self, AskedFilter, AskedRow, Chain};
use super::attempts;
use super::by_term::Items;
use super::facts::Facts;
use super::listing;
use super::message_ids;
use super::messages;
use super::orders::{self, Ordered, Refused};
use super::questions::Questions;
use super::rows::{
    AttemptFilter, Count, Listed, MessageFilter, PastOwner, ScannedFilter, SessionFilter, SessionRow,
    StoryFilter, StoryRow, Sum,
};
use super::scanned;
use super::schema::{Moment, failed, open_for_reading};
use super::sessions::Sessions;
use super::shelf::Published;
use super::story;
use crate::access::question::Link;
use crate::relay::attempts::Attempt;
use crate::relay::message::Message;
use crate::relay::message_id::MessageId;
use crate::relay::scanned::Scanned;
use crate::relay::standing::Subject;
use crate::relay::verdict::Reason;
use crate::session::{Name, Place, Realm, SessionKey, Timestamp};

/// Interim intervals longer than this are rare: so long after a gap, or after an end that was only inferred, a session
/// may still exist that has not had its turn to report.
pub const REPORTING: Duration = Duration::from_secs(3600);

/// Connections kept for the next question. More questions at once open more, and close them again.
const IDLE_MAX: usize = 4;

/// When a session that still holds a place was last seen alive, by the live map; `None` when that does not know of it.
pub type LastSeen<'a> = &'a dyn Fn(&SessionKey, Place) -> Option<Timestamp>;

/// What was written down lately.
#[derive(Debug, Default)]
pub struct Lately {
    /// Messages.
    pub messages: Vec<Message>,
    /// Their Message-IDs.
    pub message_ids: Vec<MessageId>,
    /// What scanners found.
    pub scanned: Vec<Scanned>,
}

/// The readers' side of the index. Shared between threads.
pub struct Past {
    register: PathBuf,
    /// Connections to the register.
    idle: Mutex<Vec<Connection>>,
    sessions: Published<Facts>,
    messages: Published<Items<Message>>,
    questions: Published<Questions>,
    attempts: Published<Items<Attempt>>,
    scanned: Published<Items<Scanned>>,
    message_ids: Published<Items<MessageId>>,
}

impl Past {
    pub(super) fn open(
        register: &Path,
        sessions: Published<Facts>,
        messages: Published<Items<Message>>,
        questions: Published<Questions>,
        attempts: Published<Items<Attempt>>,
        scanned: Published<Items<Scanned>>,
        message_ids: Published<Items<MessageId>>,
    ) -> Result<Past, AuditError> {
        let idle = Mutex::new(vec![open_for_reading(register)?]);
        let register = register.to_path_buf();
        Ok(Past { register, idle, sessions, messages, questions, attempts, scanned, message_ids })
    }

    /// Who had an address, or this port of it, at a moment.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn owner(
        &self,
        realm: Realm,
        address: IpAddr,
        port: Option<u16>,
        at: Timestamp,
        live_last_seen: LastSeen<'_>,
    ) -> Result<PastOwner, AuditError> {
        self.ask(|register| {
            let address = address.to_canonical();
            let realm = realm.around(address);
            let seen = &Seen::new(register, Sessions::now(&self.sessions));
            Question { seen, realm, address, port, at, live_last_seen }.owner()
        })
    }

    /// What came of each entry for an address, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn story(&self, filter: &StoryFilter) -> Result<Vec<StoryRow>, AuditError> {
        self.ask(|register| story::story(register, &Sessions::now(&self.sessions), filter))
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, AuditError> {
        self.ask(|register| listing::sessions(register, &Sessions::now(&self.sessions), filter))
    }

    /// Messages, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn messages(&self, filter: &MessageFilter) -> Result<Vec<Message>, AuditError> {
        messages::list(&self.messages.now(), &self.message_ids.now(), filter)
    }

    /// What was written down from this moment on of which somebody may speak again, each newest first: messages, their Message-IDs, and
    /// what scanners found. At most so many messages, and so many verdicts.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn lately(&self, since: Timestamp, messages: usize, verdicts: usize) -> Result<Lately, AuditError> {
        let message_ids = message_ids::since(&self.message_ids.now(), since, messages)?;
        let filter = MessageFilter { since: Some(since), limit: messages, ..MessageFilter::default() };
        let messages = messages::without_ids(&self.messages.now(), &filter)?;
        let filter = ScannedFilter { since: Some(since), limit: verdicts, ..ScannedFilter::default() };
        Ok(Lately { messages, message_ids, scanned: scanned::list(&self.scanned.now(), &filter)? })
    }

    /// What was not let go, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn attempts(&self, filter: &AttemptFilter) -> Result<Vec<Attempt>, AuditError> {
        attempts::list(&self.attempts.now(), filter)
    }

    /// What scanners found, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn scanned(&self, filter: &ScannedFilter) -> Result<Vec<Scanned>, AuditError> {
        scanned::list(&self.scanned.now(), filter)
    }

    /// How often each reason was given for what was not let go from `since` on and before `until`.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn refused(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<HashMap<Option<Reason>, Refused>, AuditError> {
        orders::refused(&self.attempts, (since, until))
    }

    /// Orders about somebody's mail from `since` on and before `until`, the newest first; and how many ended by themselves.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn orders(&self, since: Timestamp, until: Timestamp) -> Result<(Vec<Ordered>, u64), AuditError> {
        self.ask(|register| {
            let span = (since, until);
            Ok((orders::given(register, span)?, orders::ran_out(register, span)?))
        })
    }

    /// Who sent most from `since` on and before `until`, in whole minutes.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn top(
        &self,
        by: Count,
        since: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Subject, Sum)>, AuditError> {
        messages::top(&self.messages, by, (since, until), limit)
    }

    /// What somebody sent from `since` on and before `until`, by the minute; minutes without messages are not there.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn minutes(
        &self,
        subject: &Subject,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Timestamp, Sum)>, AuditError> {
        messages::minutes(&self.messages, subject, (since, until))
    }

    /// Spans in which nothing was received, as far as they lie from `since` on and before `until`; oldest first. One may have begun
    /// before, or ended after.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn gaps(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Timestamp, Timestamp)>, AuditError> {
        self.ask(|register| {
            register.get(|connection| {
                let mut statement = connection.prepare_cached(GAPS_BETWEEN)?;
                let row =
                    |row: &rusqlite::Row<'_>| Ok((row.get::<_, Moment>(0)?.0, row.get::<_, Moment>(1)?.0));
                statement.query_map((Moment(since), Moment(until)), row)?.collect()
            })
        })
    }

    /// Since when the index knows anything, and since when a part of that is lost.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn known_from(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), AuditError> {
        let begins = self.ask(|register| register.begins())?;
        let lost = [self.sessions.now().lost_since(), self.messages.now().lost_since()];
        Ok((begins, lost.into_iter().flatten().min()))
    }

    /// Since when something is lost that a list of this time would have needed; `None`: the list is whole.
    #[must_use]
    pub fn lost(
        &self,
        listed: Listed,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let since = since.unwrap_or(Timestamp::EARLIEST);
        let until = until.unwrap_or(Timestamp::from_millis(i64::MAX));
        match listed {
            Listed::Sessions => self.sessions.now().lost_within(since, until),
            // What has no Message-ID in a list may have had one.
            Listed::Messages => {
                let lost = self.messages.now().lost_within(since, until);
                lost.into_iter().chain(self.message_ids.now().lost_within(since, until)).min()
            }
            Listed::Attempts => self.attempts.now().lost_within(since, until),
            Listed::Scanned => self.scanned.now().lost_within(since, until),
            Listed::Questions => self.questions.now().lost_within(since, until),
        }
    }

    /// Who asked what, newest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn questions(&self, filter: &AskedFilter) -> Result<Vec<AskedRow>, AuditError> {
        asked::questions(&self.questions.now(), filter)
    }

    /// Whether the chain of questions is whole, and its link at that entry.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn chain(&self, at: u64) -> Result<(Chain, Option<Link>), AuditError> {
        asked::chain(&self.questions.now(), at)
    }

    /// Whether a session or a static prefix ever belonged to this subscriber.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn known_subscriber(&self, name: &Name) -> Result<bool, AuditError> {
        if Sessions::now(&self.sessions).is_named(name)? {
            return Ok(true);
        }
        self.ask(|register| {
            register.get(|connection| connection.prepare_cached(STATIC_NAMED)?.exists((name.octets(),)))
        })
    }

    /// Whether a message ever came with this SASL login.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn known_login(&self, name: &Name) -> Result<bool, AuditError> {
        messages::knows_login(&self.messages.now(), name)
    }

    /// Runs a question within one read transaction of the register.
    fn ask<T>(&self, question: impl FnOnce(&Register<'_>) -> Result<T, AuditError>) -> Result<T, AuditError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_for_reading(&self.register)?,
        };
        let transaction =
            connection.unchecked_transaction().map_err(|error| failed(&self.register, &error))?;
        let answer = question(&Register { connection: &connection, path: &self.register })?;
        drop(transaction);
        // A connection that met an error is not kept.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

/// The register at one moment.
pub(super) struct Register<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl Register<'_> {
    pub(super) fn get<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, AuditError> {
        question(self.connection).map_err(|error| failed(self.path, &error))
    }

    /// Since when anything is known; `None`: nothing is.
    fn begins(&self) -> Result<Option<Timestamp>, AuditError> {
        let begins: Option<Moment> =
            self.get(|connection| connection.prepare_cached(BEGINS)?.query_row((), |row| row.get(0)))?;
        Ok(begins.map(|Moment(begins)| begins))
    }
}

pub(super) const STATIC_NAMED: &str = "SELECT 1 FROM static_binding WHERE subscriber = ?1";

pub(super) const GAPS_BETWEEN: &str =
    "SELECT since, until FROM gap WHERE until > ?1 AND since < ?2 ORDER BY until";

pub(super) const BEGINS: &str = "SELECT begins FROM state";

#[cfg(test)]
pub(super) mod tests;
