//! Writes what came of an entry into rows, as it happens.
//!
//! Knows: which outcome changes which row. Must not know: what comes again after a crash, or what is asked.

use std::net::IpAddr;

use rusqlite::{OptionalExtension, Params, Transaction};

use super::correcting::Held;
use super::known::Known;
use crate::access::token::{TokenOrder, Verb};
use crate::audit::asked;
use crate::audit::rows::What;
use crate::audit::schema::{By, Key, Moment, Spot, column, packed_value, unpacked_value, wide};
use crate::audit::story::Told;
use crate::relay::message::Message;
use crate::relay::standing::{Command, Order, Subject};
use crate::session::effect::{Effect, Ended};
use crate::session::event::{NasHold, Translation};
use crate::session::{Line, Name, Place, Realm, SessionKey, Timestamp};
use crate::views::{Cause, Outcome};

/// One transaction, and the entry whose outcomes are written in it.
pub(super) struct Writing<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) known: &'a Known,
    /// The last entry of the transactions before.
    pub(super) applied: u64,
    pub(super) sequence: u64,
}

/// How a binding ended.
#[derive(Clone, Copy)]
struct End<'a> {
    until: Timestamp,
    last_seen: Timestamp,
    how: &'a Ended,
}

impl Writing<'_> {
    pub(super) fn outcome(&self, outcome: &Outcome) -> rusqlite::Result<()> {
        match outcome {
            Outcome::Effect(cause, effect) => self.effect(*cause, effect),
            Outcome::Message(message) => self.message(message),
            Outcome::Command(command) => self.command(command),
            Outcome::Asked(asked, link) => asked::write(self.transaction, self.sequence, asked, link),
            Outcome::Token(order) => self.token(order),
            Outcome::Hold(hold) => self.hold(hold),
        }
    }

    fn effect(&self, cause: Cause, effect: &Effect) -> rusqlite::Result<()> {
        match effect {
            Effect::SessionOpened { session, subscriber, user_name, line, inside, kept } => {
                self.opened(session, subscriber.as_ref(), user_name.as_ref(), line, *inside, kept)
            }
            Effect::SubscriberChanged { session, subscriber, at } => {
                self.renamed(session, subscriber.as_ref(), *at)
            }
            Effect::SessionClosed { session, at, last_seen, how } => {
                self.closed(session, *at, *last_seen, *how)
            }
            Effect::Bound { session, subscriber, place, from } => {
                let id = self.session(session, subscriber.as_ref())?;
                self.bound(id, subscriber.as_ref(), Spot::of(place), *from)?;
                let told = Told::new(cause, *from, What::Bound).of(id, subscriber.as_ref());
                self.tell(place, told)
            }
            Effect::Unbound { session, place, until, last_seen, how } => {
                let id = self.session(session, None)?;
                self.unbound(id, Spot::of(place), End { until: *until, last_seen: *last_seen, how })?;
                let what = What::Unbound { how: *how, last_seen: *last_seen };
                self.tell(place, Told::new(cause, *until, what).of(id, None))
            }
            Effect::PastHeld { session, subscriber, place, from, until, ended, inferred } => {
                let id = self.session(session, subscriber.as_ref())?;
                let held = Held { from: *from, until: *until, ended: *ended, inferred: *inferred };
                self.past_held(id, subscriber.as_ref(), Spot::of(place), &held)?;
                let what = What::Past { from: *from, ended: *ended, inferred: *inferred };
                self.tell(place, Told::new(cause, *until, what).of(id, subscriber.as_ref()))
            }
            Effect::EndTold { session, place, at } => {
                let id = self.session(session, None)?;
                self.end_told(id, Spot::of(place), *at)
            }
            Effect::Conflict { place, sessions, at } => {
                let ids: Vec<i64> =
                    sessions.iter().map(|session| self.session(session, None)).collect::<Result<_, _>>()?;
                self.conflict(Spot::of(place), &ids, *at)?;
                let what = What::Conflict { over: ids.is_empty() };
                self.tell(place, Told { others: ids, ..Told::new(cause, *at, what) })
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
                    (Moment(*until), Moment(since), column(self.sequence)),
                )?;
                Ok(())
            }
            Effect::Restarted { nas, at } => self.restarted(cause, nas, *at),
            Effect::Noted { session, place, at, why } => {
                let id = self.session(session, None)?;
                self.tell(place, Told::new(cause, *at, What::Noted(*why)).of(id, None))
            }
            // Alarms are for people now; their causes are in the other tables.
            Effect::Alarm(_) => Ok(()),
        }
    }

    pub(super) fn execute(&self, sql: &str, row: impl Params) -> rusqlite::Result<usize> {
        self.transaction.prepare_cached(sql)?.execute(row)
    }

    pub(super) fn exists(&self, sql: &str, row: impl Params) -> rusqlite::Result<bool> {
        self.transaction.prepare_cached(sql)?.exists(row)
    }

    fn opened(
        &self,
        session: &SessionKey,
        subscriber: Option<&Name>,
        user_name: Option<&Name>,
        line: &Line,
        inside: Option<(Realm, IpAddr)>,
        kept: &[(Name, Name)],
    ) -> rusqlite::Result<()> {
        let octets = |name: &Option<Name>| name.as_ref().map(|name| name.octets().to_vec());
        let kept = if kept.is_empty() { None } else { Some(packed_value(&kept)?) };
        let inserted = self.execute(
            "INSERT INTO session
                (nas, session_id, incarnation, subscriber, user_name,
                 port_id, calling_station, circuit_id, remote_id, inside_realm, inside, kept)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
            (
                session.nas.octets(),
                session.id.octets(),
                Moment(session.incarnation),
                subscriber.map(Name::octets),
                user_name.map(Name::octets),
                octets(&line.port_id),
                octets(&line.calling_station),
                octets(&line.circuit_id),
                octets(&line.remote_id),
                inside.map(|(realm, _)| realm.number()),
                inside.map(|(_, address)| wide(address).octets()),
                kept,
            ),
        )?;
        if inserted > 0 {
            let id = self.transaction.last_insert_rowid();
            self.known.remember_session(session, id);
            self.named(id, session, subscriber)
        } else {
            Ok(())
        }
    }

    /// The row of a session. One that was opened before the index began is not there yet.
    pub(super) fn session(&self, session: &SessionKey, subscriber: Option<&Name>) -> rusqlite::Result<i64> {
        if let Some(id) = self.known.session(session) {
            return Ok(id);
        }
        let find = || {
            self.transaction
                .prepare_cached(
                    "SELECT id FROM session WHERE nas = ?1 AND session_id = ?2 AND incarnation = ?3",
                )?
                .query_row((session.nas.octets(), session.id.octets(), Moment(session.incarnation)), |row| {
                    row.get(0)
                })
                .optional()
        };
        if let Some(id) = find()? {
            self.known.remember_session(session, id);
            return Ok(id);
        }
        self.opened(session, subscriber, None, &Line::default(), None, &[])?;
        find()?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    pub(super) fn named(
        &self,
        id: i64,
        session: &SessionKey,
        subscriber: Option<&Name>,
    ) -> rusqlite::Result<()> {
        let Some(subscriber) = subscriber else { return Ok(()) };
        self.execute(
            "INSERT INTO named VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (subscriber.octets(), Moment(session.incarnation), id),
        )?;
        Ok(())
    }

    fn bound(
        &self,
        session: i64,
        subscriber: Option<&Name>,
        place: Spot,
        from: Timestamp,
    ) -> rusqlite::Result<()> {
        let Spot { realm, key, ports } = place;
        self.in_use_by_sessions(place)?;
        // One that is open stays as it is. A row that begins at the same moment is this very one, unless the address came and
        // went within it.
        self.execute(
            "INSERT INTO binding (session, subscriber, realm, length, network, valid_from, ports)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
             WHERE NOT EXISTS (
                SELECT 1 FROM binding
                WHERE session = ?1 AND length = ?4 AND network = ?5 AND ports = ?7 AND realm = ?3
                  AND valid_until IS NULL
             )
             ON CONFLICT DO UPDATE SET valid_until = NULL, last_seen = NULL, how = NULL
             WHERE valid_until <= valid_from",
            (session, subscriber.map(Name::octets), realm, key.length, key.network, Moment(from), ports),
        )?;
        Ok(())
    }

    /// What the lookups of bindings have to probe.
    pub(super) fn in_use_by_sessions(&self, place: Spot) -> rusqlite::Result<()> {
        if place.ports != 0 {
            self.execute(
                "INSERT INTO block VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (place.realm, place.key.network, place.ports),
            )?;
        }
        self.in_use(By::Sessions, place.realm, place.key)
    }

    pub(super) fn in_use(&self, by: By, realm: u16, key: Key) -> rusqlite::Result<()> {
        if !self.known.is_new_length(by, realm, key.length) {
            return Ok(());
        }
        self.execute(
            "INSERT INTO length_in_use VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (by, realm, key.length),
        )?;
        Ok(())
    }

    fn unbound(&self, session: i64, place: Spot, end: End<'_>) -> rusqlite::Result<()> {
        let Spot { realm, key, ports } = place;
        let End { until, last_seen, how } = end;
        // An end before the beginning (clocks) still is an end: left open, the row would accuse for ever.
        self.execute(
            "UPDATE binding
             SET valid_until = max(?5, valid_from), last_seen = max(?6, valid_from), how = ?7
             WHERE session = ?1 AND length = ?2 AND network = ?3 AND ports = ?8 AND realm = ?4
               AND valid_until IS NULL",
            (session, key.length, key.network, realm, Moment(until), Moment(last_seen), how.word(), ports),
        )?;
        Ok(())
    }

    fn conflict(&self, place: Spot, sessions: &[i64], at: Timestamp) -> rusqlite::Result<()> {
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
            self.execute("INSERT INTO claimant VALUES (?1, ?2) ON CONFLICT DO NOTHING", (conflict, session))?;
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

    fn message(&self, message: &Message) -> rusqlite::Result<()> {
        let packed = packed_value(message)?;
        let sequence = column(self.sequence);
        let inserted = self.execute(
            "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            (
                sequence,
                Moment(message.at),
                message.address.map(|address| wide(address).octets()),
                message.login.as_ref().map(Name::octets),
                message.queue_id.octets(),
                message.token.as_ref().map(Name::octets),
                packed,
            ),
        )?;
        if inserted == 0 {
            return Ok(());
        }
        for subscriber in message.owners.iter().filter_map(|owner| owner.subscriber.as_ref()) {
            self.execute(
                "INSERT INTO message_owner VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (subscriber.octets(), Moment(message.at), sequence),
            )?;
        }
        Ok(())
    }

    fn hold(&self, hold: &NasHold) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, 'nas', ?4, 'hold', ?5, ?6) ON CONFLICT DO NOTHING",
            (
                column(self.sequence),
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
        let (kind, subject) = match &command.subject {
            Subject::Subscriber(name) => ("subscriber", name),
            Subject::Login(name) => ("login", name),
        };
        let (verb, until) = match command.order {
            Order::Suspend { until } => ("suspend", until),
            Order::Release => ("release", None),
        };
        self.execute(
            "INSERT INTO command VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            (
                column(self.sequence),
                Moment(command.at),
                command.by.octets(),
                kind,
                subject.octets(),
                verb,
                until.map(Moment),
                command.reason.octets(),
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
                column(self.sequence),
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
