//! What is learned later of rows that stand: other names, ends that are known better now, and a past that nobody had told
//! of.
//!
//! A late record corrects an inferred end openly: the row gets the better end and keeps the one that was believed.
//!
//! Knows: which of two beliefs is the better one. Must not know: how a row came to be, or what is asked.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::writing::Writing;
use super::{RENAMED, STOP_ALONE, is_exact};
use crate::audit::schema::{Moment, Spot};
use crate::session::effect::Ended;
use crate::session::{Name, SessionKey, Timestamp};

impl Writing<'_> {
    /// What the session holds is cut at the moment of the change: before it belongs to the old name.
    pub(super) fn renamed(
        &self,
        session: &SessionKey,
        name: Option<&Name>,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let id = self.session(session, name)?;
        let octets = name.map(Name::octets);
        self.named(id, session, name)?;
        self.execute("UPDATE session SET subscriber = ?2 WHERE id = ?1", (id, octets))?;
        let row = (id, octets, Moment(at));
        self.execute(
            "UPDATE binding SET subscriber = ?2
             WHERE session = ?1 AND valid_until IS NULL AND valid_from >= ?3",
            row,
        )?;
        self.execute(
            "INSERT INTO binding (session, subscriber, realm, length, network, ports, valid_from)
             SELECT session, ?2, realm, length, network, ports, ?3 FROM binding
             WHERE session = ?1 AND valid_until IS NULL AND valid_from < ?3 AND subscriber IS NOT ?2
             ON CONFLICT DO NOTHING",
            (id, octets, Moment(at)),
        )?;
        self.execute(
            "UPDATE binding SET valid_until = ?3, last_seen = ?3, how = ?4
             WHERE session = ?1 AND valid_until IS NULL AND valid_from < ?3 AND subscriber IS NOT ?2",
            (id, octets, Moment(at), RENAMED),
        )?;
        Ok(())
    }

    pub(super) fn closed(
        &self,
        session: &SessionKey,
        at: Timestamp,
        last_seen: Timestamp,
        how: Ended,
    ) -> rusqlite::Result<()> {
        let id = self.session(session, None)?;
        let (known, ended): (Option<String>, Option<Moment>) = self
            .transaction
            .prepare_cached("SELECT how, ended FROM session WHERE id = ?1")?
            .query_row((id,), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let later = ended.is_none_or(|Moment(ended)| at > ended);
        if known.is_none_or(|known| !is_exact(&known) && (how.is_exact() || later)) {
            self.execute(
                "UPDATE session SET ended = ?2, last_seen = ?3, how = ?4 WHERE id = ?1",
                (id, Moment(at), Moment(last_seen), how.word()),
            )?;
        }
        Ok(())
    }

    pub(super) fn past_held(
        &self,
        session: i64,
        subscriber: Option<&Name>,
        place: Spot,
        held: &Held,
    ) -> rusqlite::Result<()> {
        let Spot { realm, key, ports } = place;
        let known = self.known(session, place, held.until)?;
        match known {
            // The same Stop again, out of a file.
            Some(known) if held.inferred && known.is_of_stop_alone() => Ok(()),
            Some(known) if known.inferred() => self.correct(&known, held),
            Some(known) if known.until.is_none_or(|until| until >= held.from) => Ok(()),
            _ => {
                self.in_use_by_sessions(place)?;
                // Half-open, so a moment in which it was held is a millisecond long.
                let until = held.until.max(held.from.plus(Duration::from_millis(1)));
                // Where only the session time tells of it, nothing but its last moment was ever said.
                let (how, last_seen) = match (held.inferred, held.ended) {
                    (true, true) => (STOP_ALONE, held.from),
                    (true, false) => (Ended::Expired.word(), held.from),
                    (false, true) => (Ended::Stopped.word(), held.until),
                    (false, false) => (Ended::Expired.word(), held.until),
                };
                self.execute(
                    "INSERT INTO binding
                        (session, subscriber, realm, length, network, valid_from, valid_until, last_seen, how,
                         ports)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
                    (
                        session,
                        subscriber.map(Name::octets),
                        realm,
                        key.length,
                        key.network,
                        Moment(held.from),
                        Moment(until),
                        Moment(last_seen),
                        how,
                        ports,
                    ),
                )?;
                Ok(())
            }
        }
    }

    /// The last row of a session at a place that begins no later than that.
    fn known(&self, session: i64, place: Spot, until: Timestamp) -> rusqlite::Result<Option<Known>> {
        let Spot { realm, key, ports } = place;
        self.transaction
            .prepare_cached(
                "SELECT id, valid_from, valid_until, last_seen, how FROM binding
                 WHERE session = ?1 AND length = ?2 AND network = ?3 AND ports = ?6 AND realm = ?4
                   AND valid_from <= ?5
                 ORDER BY valid_from DESC LIMIT 1",
            )?
            .query_row((session, key.length, key.network, realm, Moment(until), ports), |row| {
                Ok(Known {
                    id: row.get(0)?,
                    from: row.get::<_, Moment>(1)?.0,
                    until: row.get::<_, Option<Moment>>(2)?.map(|moment| moment.0),
                    last_seen: row.get::<_, Option<Moment>>(3)?.map(|moment| moment.0),
                    how: row.get(4)?,
                })
            })
            .optional()
    }

    /// The end of a session that had lost a place: it had it until then, unless it was lost before; then it lived until it
    /// was.
    pub(super) fn end_told(&self, session: i64, place: Spot, at: Timestamp) -> rusqlite::Result<()> {
        let Some(known) = self.known(session, place, at)?.filter(Known::inferred) else { return Ok(()) };
        let lost = known.until.filter(|until| *until <= at);
        let until = lost.unwrap_or(at);
        self.correct(&known, &Held { from: known.from, until, ended: lost.is_none(), inferred: false })
    }

    /// A late word from a session whose end was inferred. Its first belief is the one that is kept.
    fn correct(&self, known: &Known, held: &Held) -> rusqlite::Result<()> {
        let end = Moment(held.until.max(known.from));
        if held.ended {
            self.execute(
                "UPDATE binding
                 SET was_until = coalesce(was_until, valid_until), was_how = coalesce(was_how, how),
                     valid_until = ?2, last_seen = ?2, how = ?3
                 WHERE id = ?1",
                (known.id, end, Ended::Stopped.word()),
            )?;
            return Ok(());
        }
        if known.last_seen.is_none_or(|last_seen| held.until > last_seen) {
            self.execute("UPDATE binding SET last_seen = ?2 WHERE id = ?1", (known.id, Moment(held.until)))?;
        }
        if known.until.is_some_and(|until| held.until > until) {
            self.execute(
                "UPDATE binding
                 SET was_until = coalesce(was_until, valid_until), was_how = coalesce(was_how, how),
                     valid_until = ?2
                 WHERE id = ?1",
                (known.id, end),
            )?;
        }
        Ok(())
    }
}

/// What a late record tells.
pub(super) struct Held {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) ended: bool,
    pub(super) inferred: bool,
}

/// The row that a late record may be about.
struct Known {
    id: i64,
    from: Timestamp,
    until: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    how: Option<String>,
}

impl Known {
    fn inferred(&self) -> bool {
        self.how.as_deref().is_some_and(|how| !is_exact(how))
    }

    fn is_of_stop_alone(&self) -> bool {
        self.how.as_deref() == Some(STOP_ALONE)
    }
}
