//! Writes what came of an entry into the register's rows, as it happens.
//!
//! Knows: which outcome changes which row. Must not know: what comes again after a crash, or what is asked.

use rusqlite::{OptionalExtension, Params, Transaction};

use super::By;
use crate::access::preservation::PreservationOrder;
use crate::access::token::{TokenOrder, Verb};
use crate::audit::facts::{Position, Told};
use crate::audit::rows::What;
use crate::audit::schema::{Key, Moment, Spot, column, packed_value, unpacked_value};
use crate::relay::standing::Command;
use crate::session::effect::Effect;
use crate::session::event::{NasHold, Translation};
use crate::session::{Name, Place, Realm, SessionKey, Timestamp};
use crate::views::{Cause, Outcome};

/// One transaction, and where the outcome stands that is written in it.
pub(super) struct Writing<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) position: Position,
}

/// Whether an outcome is the register's.
pub(super) fn is_in(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Command(_) | Outcome::Hold(_) | Outcome::Token(_) | Outcome::Preservation(_) => true,
        Outcome::Effect(_, effect) => matches!(
            effect,
            Effect::Conflict { .. }
                | Effect::StaticApplied { .. }
                | Effect::TranslationsApplied { .. }
                | Effect::RealmNamed { .. }
                | Effect::Gap { .. }
                | Effect::Restarted { .. }
        ),
        Outcome::Message(..)
        | Outcome::Attempts(_)
        | Outcome::Scanned(_)
        | Outcome::MessageId(_)
        | Outcome::Asked(..)
        | Outcome::Notice(_) => false,
    }
}

impl Writing<'_> {
    pub(super) fn outcome(&self, outcome: &Outcome) -> rusqlite::Result<()> {
        match outcome {
            Outcome::Effect(cause, effect) => self.effect(*cause, effect),
            Outcome::Command(command) => self.command(command),
            Outcome::Hold(hold) => self.hold(hold),
            Outcome::Token(order) => self.token(order),
            Outcome::Preservation(order) => self.preservation(order),
            Outcome::Message(..)
            | Outcome::Attempts(_)
            | Outcome::Scanned(_)
            | Outcome::MessageId(_)
            | Outcome::Asked(..)
            | Outcome::Notice(_) => Ok(()),
        }
    }

    fn effect(&self, cause: Cause, effect: &Effect) -> rusqlite::Result<()> {
        match effect {
            Effect::Conflict { place, sessions, at } => {
                self.conflict(Spot::of(place), sessions, *at)?;
                let what = What::Conflict { over: sessions.is_empty() };
                self.tell(place, Told { others: sessions.clone(), ..Told::new(cause, *at, what) })
            }
            Effect::StaticApplied { prefix, subscriber, at } => {
                if self.static_applied(Key::of(*prefix), subscriber.as_ref(), *at)? {
                    let what = What::Static { over: subscriber.is_none() };
                    let told = Told { subscriber: subscriber.clone(), ..Told::new(cause, *at, what) };
                    self.tell(&Place::whole(Realm::PUBLIC, *prefix), told)?;
                }
                Ok(())
            }
            Effect::TranslationsApplied { translations, at } => self.translations(cause, translations, *at),
            Effect::RealmNamed { realm, name } => {
                let row = (name.octets(), realm.number());
                self.execute("INSERT INTO realm VALUES (?1, ?2) ON CONFLICT DO NOTHING", row)?;
                Ok(())
            }
            Effect::Gap { since, until } => {
                let since = since.unwrap_or(Timestamp::EARLIEST);
                self.execute(
                    "INSERT INTO gap (until, since, sequence) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET since = min(since, excluded.since)",
                    (Moment(*until), Moment(since), column(self.position.sequence)),
                )?;
                Ok(())
            }
            Effect::Restarted { nas, at } => self.restarted(cause, nas, *at),
            // Facts of sessions, in partitions; alarms are for people now.
            _ => Ok(()),
        }
    }

    pub(super) fn execute(&self, sql: &str, row: impl Params) -> rusqlite::Result<usize> {
        self.transaction.prepare_cached(sql)?.execute(row)
    }

    pub(super) fn exists(&self, sql: &str, row: impl Params) -> rusqlite::Result<bool> {
        self.transaction.prepare_cached(sql)?.exists(row)
    }

    pub(super) fn in_use(&self, by: By, realm: u16, key: Key) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO length_in_use VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (by, realm, key.length),
        )?;
        Ok(())
    }

    fn conflict(&self, place: Spot, sessions: &[SessionKey], at: Timestamp) -> rusqlite::Result<()> {
        let Spot { realm, key, ports } = place;
        if sessions.is_empty() {
            self.execute(
                "UPDATE conflict SET valid_until = ?4
                 WHERE realm = ?1 AND length = ?2 AND network = ?3 AND ports = ?5
                   AND valid_until IS NULL AND valid_from <= ?4",
                (realm, key.length, key.network, Moment(at), ports),
            )?;
            return Ok(());
        }
        let mut open = self.transaction.prepare_cached(
            "SELECT id FROM conflict
             WHERE realm = ?1 AND length = ?2 AND network = ?3 AND ports = ?5
               AND (valid_until IS NULL OR valid_from = ?4)
             ORDER BY valid_until IS NULL DESC LIMIT 1",
        )?;
        let open = open
            .query_row((realm, key.length, key.network, Moment(at), ports), |row| row.get(0))
            .optional()?;
        let conflict: i64 = match open {
            Some(conflict) => {
                // Over and begun again within one moment.
                self.execute(
                    "UPDATE conflict SET valid_until = NULL WHERE id = ?1 AND valid_until <= valid_from",
                    (conflict,),
                )?;
                conflict
            }
            None => {
                self.execute(
                    "INSERT INTO conflict (realm, length, network, valid_from, ports)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    (realm, key.length, key.network, Moment(at), ports),
                )?;
                self.transaction.last_insert_rowid()
            }
        };
        for session in sessions {
            let SessionKey { nas, id, incarnation } = session;
            self.execute(
                "INSERT INTO claimant VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                (conflict, nas.octets(), id.octets(), Moment(*incarnation)),
            )?;
        }
        Ok(())
    }

    /// Whether that changes anything.
    fn static_applied(&self, key: Key, subscriber: Option<&Name>, at: Timestamp) -> rusqlite::Result<bool> {
        // Said again at every start: only a change makes a row. A row that begins later makes this one old news.
        let stands = self.exists(
            "SELECT 1 FROM static_binding
             WHERE length = ?1 AND network = ?2 AND valid_until IS NULL AND (subscriber IS ?3 OR valid_from > ?4)",
            (key.length, key.network, subscriber.map(Name::octets), Moment(at)),
        )?;
        if stands {
            return Ok(false);
        }
        let ended = self.execute(
            "UPDATE static_binding SET valid_until = ?3 WHERE length = ?1 AND network = ?2 AND valid_until IS NULL",
            (key.length, key.network, Moment(at)),
        )?;
        if let Some(subscriber) = subscriber {
            self.in_use(By::Statics, Realm::PUBLIC.number(), key)?;
            self.execute(
                "INSERT INTO static_binding (length, network, valid_from, subscriber) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET subscriber = excluded.subscriber, valid_until = NULL
                 WHERE valid_until <= valid_from",
                (key.length, key.network, Moment(at), subscriber.octets()),
            )?;
        }
        Ok(ended > 0 || subscriber.is_some())
    }

    /// Said again at every start: only what begins or ends makes a row.
    fn translations(&self, cause: Cause, applied: &[Translation], at: Timestamp) -> rusqlite::Result<()> {
        let mut left: Vec<(u16, &Translation)> = Vec::new();
        for translation in applied {
            left.push((self.realm(translation.realm.as_ref())?, translation));
        }
        let open: Vec<(i64, u16, Translation)> = self
            .transaction
            .prepare_cached("SELECT id, realm, packed FROM translation WHERE valid_until IS NULL")?
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?, unpacked_value(row, 2)?)))?
            .collect::<Result<_, _>>()?;
        for (id, realm, known) in open {
            if let Some(stands) = left.iter().position(|(number, one)| *number == realm && **one == known) {
                left.swap_remove(stands);
                continue;
            }
            // One that ends as it begins never held.
            self.execute(
                "UPDATE translation SET valid_until = max(?2, valid_from) WHERE id = ?1",
                (id, Moment(at)),
            )?;
            self.tell_translation(cause, &known, at, true)?;
        }
        for (realm, translation) in left {
            self.execute(
                "INSERT INTO translation (valid_from, realm, packed) VALUES (?1, ?2, ?3)",
                (Moment(at), realm, packed_value(translation)?),
            )?;
            self.tell_translation(cause, translation, at, false)?;
        }
        Ok(())
    }

    /// The number of a VRF, as it was told before.
    fn realm(&self, name: Option<&Name>) -> rusqlite::Result<u16> {
        let Some(name) = name else { return Ok(Realm::PUBLIC.number()) };
        let number = self
            .transaction
            .prepare_cached("SELECT number FROM realm WHERE name = ?1")?
            .query_row((name.octets(),), |row| row.get(0))
            .optional()?;
        Ok(number.unwrap_or(Realm::NOWHERE.number()))
    }

    fn hold(&self, hold: &NasHold) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, 'nas', ?4, 'hold', ?5, ?6) ON CONFLICT DO NOTHING",
            (
                column(self.position.sequence),
                Moment(hold.at),
                hold.by.octets(),
                hold.nas.octets(),
                Moment(hold.until),
                hold.reason.octets(),
            ),
        )?;
        Ok(())
    }

    fn command(&self, command: &Command) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            (
                column(self.position.sequence),
                Moment(command.at),
                command.by.octets(),
                command.subject.kind(),
                command.subject.name().octets(),
                command.order.verb(),
                command.order.until().map(Moment),
                command.reason.octets(),
            ),
        )?;
        Ok(())
    }

    fn preservation(&self, order: &PreservationOrder) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            (
                column(self.position.sequence),
                Moment(order.at),
                order.by.octets(),
                order.about.kind(),
                order.about.to_string().into_bytes(),
                if order.until.is_some() { "preserve" } else { "preserve-no-longer" },
                order.until.map(Moment),
                order.reason.octets(),
            ),
        )?;
        Ok(())
    }

    fn token(&self, order: &TokenOrder) -> rusqlite::Result<()> {
        let nothing = Name::from("");
        let (verb, until, note) = match &order.verb {
            Verb::Create { expires, note, .. } => ("create", *expires, note),
            Verb::Revoke => ("revoke", None, &nothing),
        };
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, 'token', ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            (
                column(self.position.sequence),
                Moment(order.at),
                order.by.octets(),
                order.id.to_string().into_bytes(),
                verb,
                until.map(Moment),
                note.octets(),
            ),
        )?;
        Ok(())
    }
}
