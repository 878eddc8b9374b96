//! Lists of sessions and messages, newest first.
//!
//! The narrowest filter that is given drives the walk of an index; the others are looked at row by row until enough
//! rows are found, so nothing is sorted or read that is not shown, save with a prefix that covers many.
//!
//! Knows: which index answers which filter. Must not know: how a list is shown.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Params, Rows};

use super::past::BLOCKS;
use super::rows::{BindingRow, MessageFilter, SessionFilter, SessionRow};
use super::schema::{
    By, HOST, Key, Moment, Spot, address, line_of, moment, name, session_of, unpacked_value, wide,
};
use crate::relay::message::Message;
use crate::session::{Name, Realm, Timestamp};

pub(super) const SESSIONS_BY_NAME: &str = "SELECT n.session FROM named n JOIN session s ON s.id = n.session
    WHERE n.subscriber = ?1 AND n.incarnation < ?2 AND (s.ended IS NULL OR s.ended > ?3)
    ORDER BY n.incarnation DESC";

pub(super) const SESSIONS_BY_TIME: &str = "SELECT id FROM session
    WHERE incarnation < ?1 AND (ended IS NULL OR ended > ?2) ORDER BY incarnation DESC";

pub(super) const HOLDS_OF_PREFIX: &str = "SELECT session, valid_from FROM binding
    WHERE realm = ?1 AND length = ?2 AND network = ?3 AND ports = ?6 AND valid_from < ?4
      AND (valid_until IS NULL OR valid_until > ?5)
    ORDER BY valid_from DESC";

pub(super) const HOLDS_WITHIN_PREFIX: &str = "SELECT session, valid_from FROM binding
    WHERE realm = ?1 AND length = ?2 AND network BETWEEN ?3 AND ?6 AND valid_from < ?4
      AND (valid_until IS NULL OR valid_until > ?5)
    ORDER BY valid_from DESC";

const LENGTHS: &str = "SELECT length FROM length_in_use WHERE by = ?1 AND realm = ?2";

pub(super) const REALM: &str = "SELECT name FROM realm WHERE number = ?1 LIMIT 1";

pub(super) const SESSION: &str =
    "SELECT nas, session_id, incarnation, port_id, calling_station, circuit_id, remote_id,
    subscriber, user_name, ended, last_seen, how, inside_realm, inside, kept FROM session WHERE id = ?1";

pub(super) const BINDINGS: &str =
    "SELECT network, length, realm, subscriber, valid_from, valid_until, last_seen, how,
    was_until, was_how, ports FROM binding WHERE session = ?1";

/// The moments between which a filter looks.
struct Window {
    since: Timestamp,
    until: Timestamp,
}

impl Window {
    fn of(since: Option<Timestamp>, until: Option<Timestamp>) -> Window {
        Window {
            since: since.unwrap_or(Timestamp::EARLIEST),
            until: until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        }
    }
}

pub(super) fn sessions(connection: &Connection, filter: &SessionFilter) -> rusqlite::Result<Vec<SessionRow>> {
    let window = Window::of(filter.since, filter.until);
    let (since, until) = (Moment(window.since), Moment(window.until));
    if let Some(prefix) = filter.prefix {
        let ids = holders(connection, filter, Key::of(prefix), &window)?;
        return collect(connection, filter, ids.into_iter().map(Ok));
    }
    if let Some(subscriber) = &filter.subscriber {
        let mut statement = connection.prepare_cached(SESSIONS_BY_NAME)?;
        let ids = statement.query_map((subscriber.octets(), until, since), |row| row.get(0))?;
        return collect(connection, filter, ids);
    }
    let mut statement = connection.prepare_cached(SESSIONS_BY_TIME)?;
    let ids = statement.query_map((until, since), |row| row.get(0))?;
    collect(connection, filter, ids)
}

/// Sessions that held the prefix, one around it or one within it; the latest hold first.
fn holders(
    connection: &Connection,
    filter: &SessionFilter,
    wanted: Key,
    window: &Window,
) -> rusqlite::Result<Vec<i64>> {
    let around = wanted.prefix().map(|prefix| prefix.network());
    let realm = around.map_or(filter.realm, |address| filter.realm.around(address)).number();
    let lengths: Vec<u8> = connection
        .prepare_cached(LENGTHS)?
        .query_map((By::Sessions, realm), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let (since, until) = (Moment(window.since), Moment(window.until));
    let mut holds: Vec<(Timestamp, i64)> = Vec::new();
    for length in lengths {
        if length > wanted.length {
            let mut statement = connection.prepare_cached(HOLDS_WITHIN_PREFIX)?;
            let row = (realm, length, wanted.network, &until, &since, wanted.last());
            // A wide prefix has as many holds as the pool it is; only as many distinct sessions as will be shown are
            // of interest, unless there is another filter behind.
            take_holds(&mut statement.query(row)?, filter, &mut holds)?;
        } else if let Some(address) = around.filter(|address| length >= super::schema::shortest(*address)) {
            let key = Key::around(address, length);
            let mut ports = vec![0];
            if length == HOST {
                let mut statement = connection.prepare_cached(BLOCKS)?;
                let mut rows = statement.query((realm, key.network))?;
                while let Some(row) = rows.next()? {
                    ports.push(row.get(0)?);
                }
            }
            let mut statement = connection.prepare_cached(HOLDS_OF_PREFIX)?;
            for ports in ports {
                let row = (realm, length, key.network, &until, &since, ports);
                take_holds(&mut statement.query(row)?, filter, &mut holds)?;
            }
        }
    }
    holds.sort_by(|a, b| b.cmp(a));
    Ok(holds.into_iter().map(|(_, session)| session).collect())
}

fn take_holds(
    rows: &mut Rows<'_>,
    filter: &SessionFilter,
    holds: &mut Vec<(Timestamp, i64)>,
) -> rusqlite::Result<()> {
    let mut distinct = HashSet::new();
    while let Some(row) = rows.next()? {
        let (session, from): (i64, Moment) = (row.get(0)?, row.get(1)?);
        holds.push((from.0, session));
        distinct.insert(session);
        if filter.subscriber.is_none() && distinct.len() >= filter.limit {
            break;
        }
    }
    Ok(())
}

fn collect(
    connection: &Connection,
    filter: &SessionFilter,
    ids: impl Iterator<Item = rusqlite::Result<i64>>,
) -> rusqlite::Result<Vec<SessionRow>> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for id in ids {
        if found.len() >= filter.limit {
            break;
        }
        let id = id?;
        if !seen.insert(id) {
            continue;
        }
        let Some(row) = session(connection, id)? else { continue };
        if let Some(wanted) = &filter.subscriber
            && !belonged(connection, id, &row, wanted)?
        {
            continue;
        }
        found.push(row);
    }
    Ok(found)
}

fn belonged(connection: &Connection, id: i64, row: &SessionRow, wanted: &Name) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM named WHERE subscriber = ?1 AND incarnation = ?2 AND session = ?3")?
        .exists((wanted.octets(), Moment(row.valid_from), id))
}

fn session(connection: &Connection, id: i64) -> rusqlite::Result<Option<SessionRow>> {
    let row = connection
        .prepare_cached(SESSION)?
        .query_row((id,), |row| {
            let key = session_of(row, 0)?;
            Ok(SessionRow {
                session: key.to_string(),
                subscriber: name(row, 7)?,
                user_name: name(row, 8)?,
                nas: key.nas.clone(),
                session_id: key.id.clone(),
                line: line_of(row, 3)?,
                valid_from: key.incarnation,
                valid_until: moment(row, 9)?,
                last_seen: moment(row, 10)?,
                how: row.get(11)?,
                realm: None,
                inside: address(row, 13)?,
                kept: match row.get_ref(14)? {
                    ValueRef::Null => Vec::new(),
                    _ => unpacked_value(row, 14)?,
                },
                bindings: Vec::new(),
                key,
            })
            .map(|session| (session, row.get::<_, Option<u16>>(12)))
        })
        .optional()?;
    let Some((mut row, inside_realm)) = row else { return Ok(None) };
    row.bindings = bindings(connection, id)?;
    let held = row.bindings.iter().map(|binding| binding.place.realm);
    let mut realms = held.chain(inside_realm?.map(Realm::of_number));
    let private = realms.find(|realm| ![Realm::PUBLIC, Realm::NOWHERE].contains(realm));
    if let Some(realm) = private {
        row.realm = realm_name(connection, realm)?;
    }
    Ok(Some(row))
}

fn realm_name(connection: &Connection, realm: Realm) -> rusqlite::Result<Option<Name>> {
    let named =
        connection.prepare_cached(REALM)?.query_row((realm.number(),), |row| name(row, 0)).optional()?;
    Ok(named.flatten())
}

fn bindings(connection: &Connection, session: i64) -> rusqlite::Result<Vec<BindingRow>> {
    let mut statement = connection.prepare_cached(BINDINGS)?;
    let mut rows = statement.query((session,))?;
    let mut bindings = Vec::new();
    while let Some(row) = rows.next()? {
        let key = Key { network: row.get(0)?, length: row.get(1)? };
        let Some(place) = (Spot { realm: row.get(2)?, key, ports: row.get(10)? }).place() else { continue };
        bindings.push(BindingRow {
            place,
            subscriber: name(row, 3)?,
            valid_from: row.get::<_, Moment>(4)?.0,
            valid_until: moment(row, 5)?,
            last_seen: moment(row, 6)?,
            how: row.get(7)?,
            was_until: moment(row, 8)?,
            was_how: row.get(9)?,
        });
    }
    bindings.sort_by_key(|binding| (binding.valid_from, binding.place));
    Ok(bindings)
}

/// A query for messages: its columns are always the same, its index is that of the narrowest filter.
macro_rules! messages_by {
    ($column:literal) => {
        concat!(
            "SELECT packed FROM message WHERE ",
            $column,
            " = ?3 AND at >= ?1 AND at < ?2 ORDER BY at DESC, sequence DESC"
        )
    };
}

pub(super) const MESSAGES_BY_TOKEN: &str = messages_by!("token");
pub(super) const MESSAGES_BY_QUEUE_ID: &str = messages_by!("queue_id");
pub(super) const MESSAGES_BY_LOGIN: &str = messages_by!("login");
pub(super) const MESSAGES_BY_ADDRESS: &str = messages_by!("address");

pub(super) const MESSAGES_BY_OWNER: &str =
    "SELECT m.packed FROM message_owner o JOIN message m ON m.sequence = o.sequence
    WHERE o.subscriber = ?3 AND o.at >= ?1 AND o.at < ?2 ORDER BY o.at DESC, o.sequence DESC";

pub(super) const MESSAGES_BY_TIME: &str =
    "SELECT packed FROM message WHERE at >= ?1 AND at < ?2 ORDER BY at DESC, sequence DESC";

pub(super) fn messages(connection: &Connection, filter: &MessageFilter) -> rusqlite::Result<Vec<Message>> {
    let by = |sql, name: &Name| walk(connection, sql, filter, Some(name.octets()));
    if let Some(token) = &filter.token {
        return by(MESSAGES_BY_TOKEN, token);
    }
    if let Some(queue_id) = &filter.queue_id {
        return by(MESSAGES_BY_QUEUE_ID, queue_id);
    }
    if let Some(subscriber) = &filter.subscriber {
        return by(MESSAGES_BY_OWNER, subscriber);
    }
    if let Some(login) = &filter.login {
        return by(MESSAGES_BY_LOGIN, login);
    }
    if let Some(address) = filter.address {
        return walk(connection, MESSAGES_BY_ADDRESS, filter, Some(&wide(address).octets()));
    }
    walk(connection, MESSAGES_BY_TIME, filter, None)
}

fn walk(
    connection: &Connection,
    sql: &str,
    filter: &MessageFilter,
    key: Option<&[u8]>,
) -> rusqlite::Result<Vec<Message>> {
    let window = Window::of(filter.since, filter.until);
    let mut statement = connection.prepare_cached(sql)?;
    match key {
        Some(key) => matching(&mut statement, (Moment(window.since), Moment(window.until), key), filter),
        None => matching(&mut statement, (Moment(window.since), Moment(window.until)), filter),
    }
}

fn matching(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl Params,
    filter: &MessageFilter,
) -> rusqlite::Result<Vec<Message>> {
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while found.len() < filter.limit {
        let Some(row) = rows.next()? else { break };
        let message: Message = unpacked_value(row, 0)?;
        if filter.admits(&message) {
            found.push(message);
        }
    }
    Ok(found)
}
