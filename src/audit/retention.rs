//! How long the past is kept: partitions that are too old are removed as a whole.
//!
//! What somebody may still have to answer for is moved to a younger partition before: facts of sessions that have not ended, or
//! ended within the time, and what somebody ordered to be kept. A fact that moves keeps its position, so that nothing comes of it twice.
//!
//! Knows: what is too old, and what of it moves. Must not know: why it is kept for so long.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::AuditError;
use super::facts::{Facts, Position, Said, SessionFact};
use super::holds::holds;
use super::partition::Partition;
use super::schema::Key;
use super::sessions::{Sessions, sessions_after};
use crate::access::preservation::Preservations;
use crate::session::{Name, SessionKey, Timestamp};

/// So many sessions are looked at in one step, so that nobody waits long for the thread.
const AT_ONCE: usize = 1_000;

/// A partition of sessions that is being emptied.
pub(super) struct Retiring {
    pub(super) partition: Arc<Partition>,
    /// What ended before is not moved.
    limit: Timestamp,
    /// The last session that was looked at.
    after: Option<SessionKey>,
    moved: Facts,
}

impl Retiring {
    pub(super) fn begin(partition: Arc<Partition>, limit: Timestamp) -> Retiring {
        Retiring { partition, limit, after: None, moved: Facts::default() }
    }

    /// Looks at some more sessions; what moves when it has seen all.
    pub(super) fn step(
        &mut self,
        sessions: &Sessions,
        preserved: &Preservations,
        now: Timestamp,
    ) -> Result<Option<Facts>, AuditError> {
        let any_is_preserved = preserved.in_force(now).next().is_some();
        let keys =
            self.partition.ask(|connection| sessions_after(connection, self.after.as_ref(), AT_ONCE))?;
        for key in &keys {
            let is_preserved = any_is_preserved && is_preserved(&sessions.of_session(key)?, preserved, now);
            if is_preserved || self.moves(sessions, key)? {
                self.take(sessions, key)?;
            }
        }
        let seen_all = keys.len() < AT_ONCE;
        self.after = keys.into_iter().next_back();
        Ok(seen_all.then(|| std::mem::take(&mut self.moved)))
    }

    /// Whether somebody may still be asked about a session.
    fn moves(&self, sessions: &Sessions, key: &SessionKey) -> Result<bool, AuditError> {
        if let Some(closed) = sessions.closed(key, self.partition.about.number)? {
            return Ok(closed >= self.limit);
        }
        // It lives, or nothing but a past was ever told of it.
        for (_, said) in sessions.of_session(key)? {
            if matches!(said, Said::Opened { .. }) {
                return Ok(true);
            }
            for place in said.places() {
                let facts = sessions.of_place_of(key, place.realm.number(), Key::of(place.prefix))?;
                let held = holds(facts.iter().map(|fact| (fact.position, &fact.told)));
                if held.iter().any(|hold| hold.until.is_none_or(|until| until >= self.limit)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// All that was ever told of it moves at once, also what stands in younger partitions already: they go before the one to which
    /// it moves, and what is left would look as if it had never ended. What stands twice is one fact.
    fn take(&mut self, sessions: &Sessions, key: &SessionKey) -> Result<(), AuditError> {
        let said = sessions.of_session(key)?;
        let places = said.iter().flat_map(|(_, said)| said.places());
        let mut places: Vec<(u16, Key)> =
            places.map(|place| (place.realm.number(), Key::of(place.prefix))).collect();
        places.sort_unstable();
        places.dedup();
        for (realm, place) in places {
            self.moved.places.append(&mut sessions.of_place_of(key, realm, place)?);
        }
        let facts =
            said.into_iter().map(|(position, said)| SessionFact { session: key.clone(), position, said });
        self.moved.sessions.extend(facts);
        Ok(())
    }
}

/// Whether somebody ordered that what these did from this address be kept.
pub(super) fn are_preserved<'a>(
    mut subscribers: impl Iterator<Item = &'a Name>,
    address: Option<IpAddr>,
    preserved: &Preservations,
    now: Timestamp,
) -> bool {
    subscribers.any(|name| preserved.keep_subscriber(name, now))
        || address.is_some_and(|address| preserved.keep_address(address, now))
}

/// What is of no use any more and may hold names: files that were set aside, and those of an earlier version. Nobody wrote to them
/// since what is in them; they go when that is too old. Those that went, by their names.
pub(super) fn remove_disused(directory: &Path, limit: Timestamp) -> io::Result<Vec<String>> {
    let mut gone = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let Ok(name) = file.file_name().into_string() else { continue };
        let is_disused =
            name.contains(".sqlite3.damaged") || name.starts_with(EARLIER) || name.ends_with(".new");
        if !is_disused {
            continue;
        }
        let written = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        if Timestamp::from_seconds(0).plus(written) < limit {
            fs::remove_file(file.path())?;
            gone.push(name);
        }
    }
    Ok(gone)
}

/// The index up to version 2 was one file.
const EARLIER: &str = "index.sqlite3";

/// Whether somebody ordered that a session be kept: its subscriber, under whatever name, or what it held.
fn is_preserved(facts: &[(Position, Said)], preserved: &Preservations, now: Timestamp) -> bool {
    facts.iter().any(|(_, said)| {
        said.subscriber().is_some_and(|name| preserved.keep_subscriber(name, now))
            || said.places().iter().any(|place| preserved.keep_prefix(place.prefix, now))
    })
}

#[cfg(test)]
mod tests;
