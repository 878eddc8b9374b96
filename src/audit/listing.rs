//! Lists of sessions, newest first.
//!
//! The narrowest filter that is given drives the walk; the others are looked at session by session until enough are found,
//! so nothing is read that is not shown, save with a prefix that covers many.
//!
//! Knows: what the facts of a session come to, and which walk answers which filter. Must not know: how a list is shown.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use rusqlite::OptionalExtension;

use super::AuditError;
use super::facts::{Opened, PlaceFact, Position, Said};
use super::holds::{Hold, holds};
use super::past::Register;
use super::rows::{BindingRow, How, SessionFilter, SessionRow, What};
use super::schema::{Key, name, shortest};
use super::sessions::Sessions;
use crate::session::effect::Ended;
use crate::session::{Name, Place, Realm, SessionKey, Timestamp};

pub(super) const REALM: &str = "SELECT name FROM realm WHERE number = ?1 LIMIT 1";

/// The moments between which a filter looks.
struct Window {
    since: Timestamp,
    until: Timestamp,
}

impl Window {
    fn of(filter: &SessionFilter) -> Window {
        Window {
            since: filter.since.unwrap_or(Timestamp::EARLIEST),
            until: filter.until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        }
    }

    fn touches(&self, hold: &Hold) -> bool {
        hold.from < self.until && hold.until.is_none_or(|until| until > self.since)
    }
}

pub(super) fn sessions(
    register: &Register<'_>,
    sessions: &Sessions,
    filter: &SessionFilter,
) -> Result<Vec<SessionRow>, AuditError> {
    let window = Window::of(filter);
    let mut found = Vec::new();
    if let Some(prefix) = filter.prefix {
        for key in holders(sessions, filter, Key::of(prefix), &window)? {
            if found.len() >= filter.limit {
                break;
            }
            let life = Life::of(&sessions.of_session(&key)?);
            if filter.subscriber.as_ref().is_none_or(|wanted| life.names.contains(wanted)) {
                found.push(row(register, sessions, key, life)?);
            }
        }
        return Ok(found);
    }
    sessions.begun(filter.subscriber.as_ref(), window.until, &mut |key| {
        if found.len() >= filter.limit {
            return Ok(false);
        }
        let life = Life::of(&sessions.of_session(&key)?);
        if life.ended.is_none_or(|ended| ended.at > window.since) {
            found.push(row(register, sessions, key, life)?);
        }
        Ok(found.len() < filter.limit)
    })?;
    Ok(found)
}

/// Sessions that held the prefix, one around it or one within it; the latest hold first.
fn holders(
    sessions: &Sessions,
    filter: &SessionFilter,
    wanted: Key,
    window: &Window,
) -> Result<Vec<SessionKey>, AuditError> {
    let Some(around) = wanted.prefix().map(|prefix| prefix.network()) else { return Ok(Vec::new()) };
    let realm = filter.realm.around(around).number();
    let mut latest: HashMap<SessionKey, Timestamp> = HashMap::new();
    for length in sessions.lengths(Realm::of_number(realm), None)? {
        let facts = if length > wanted.length {
            sessions.within(realm, length, wanted, &mut |facts, latest| {
                are_enough(facts, latest, filter, window)
            })?
        } else if length >= shortest(around) {
            sessions.of_place(realm, Key::around(around, length))?
        } else {
            continue;
        };
        let mut by_place: BTreeMap<Key, Vec<&PlaceFact>> = BTreeMap::new();
        for fact in &facts {
            by_place.entry(fact.key).or_default().push(fact);
        }
        for facts in by_place.into_values() {
            for hold in holds(facts.into_iter().map(|fact| (fact.position, &fact.told))) {
                if window.touches(&hold) {
                    let from = latest.entry(hold.session).or_insert(hold.from);
                    *from = hold.from.max(*from);
                }
            }
        }
    }
    let mut holders: Vec<(Timestamp, SessionKey)> =
        latest.into_iter().map(|(key, from)| (from, key)).collect();
    holders.sort_unstable_by(|a, b| b.cmp(a));
    Ok(holders.into_iter().map(|(_, key)| key).collect())
}

/// A wide prefix has as many holds as the pool it is. Once as many sessions as will be shown began to hold something later than
/// what is told in a file, that file, and those before it, have none of interest; unless there is another filter behind.
fn are_enough(
    facts: &[PlaceFact],
    latest: Option<Timestamp>,
    filter: &SessionFilter,
    window: &Window,
) -> bool {
    if filter.subscriber.is_some() {
        return false;
    }
    let mut distinct = HashSet::new();
    for fact in facts {
        let from = match fact.told.what {
            What::Bound => fact.told.at,
            What::Past { from, .. } => from,
            _ => continue,
        };
        if from < window.until && from >= window.since && latest.is_none_or(|latest| from > latest) {
            distinct.extend(&fact.told.session);
        }
    }
    distinct.len() >= filter.limit
}

/// What the facts of a session come to.
#[derive(Default)]
struct Life {
    opened: Opened,
    subscriber: Option<Name>,
    /// All that it ever had.
    names: Vec<Name>,
    places: Vec<Place>,
    ended: Option<End>,
}

#[derive(Clone, Copy)]
struct End {
    at: Timestamp,
    last_seen: Timestamp,
    how: Ended,
}

impl Life {
    fn of(facts: &[(Position, Said)]) -> Life {
        let mut life = Life::default();
        let mut is_open = false;
        for (_, said) in facts {
            life.names.extend(said.subscriber().cloned());
            life.places.extend_from_slice(said.places());
            match said {
                // Told anew of one that is known: nothing is new.
                Said::Opened { .. } if is_open => {}
                Said::Opened { opened, .. } => {
                    is_open = true;
                    life.opened = (**opened).clone();
                    life.subscriber.clone_from(&opened.subscriber);
                }
                Said::Held { subscriber, .. } if !is_open && life.subscriber.is_none() => {
                    life.subscriber.clone_from(subscriber);
                }
                Said::Held { .. } | Said::Touched { .. } => {}
                Said::Named { subscriber } => life.subscriber.clone_from(subscriber),
                Said::Closed { at, last_seen, how, .. } => {
                    life.close(End { at: *at, last_seen: *last_seen, how: *how });
                }
            }
        }
        life.places.sort_unstable();
        life.places.dedup();
        life
    }

    /// An end that is known stays; one that was inferred gives way to one that is known, or later.
    fn close(&mut self, end: End) {
        let better = |known: End| !known.how.is_exact() && (end.how.is_exact() || end.at > known.at);
        if self.ended.is_none_or(better) {
            self.ended = Some(end);
        }
    }
}

fn row(
    register: &Register<'_>,
    sessions: &Sessions,
    key: SessionKey,
    life: Life,
) -> Result<SessionRow, AuditError> {
    let bindings = bindings(sessions, &key, &life.places)?;
    let Life { opened, subscriber, ended, .. } = life;
    let held = bindings.iter().map(|binding| binding.place.realm);
    let mut realms = held.chain(opened.inside.map(|(realm, _)| realm));
    let private = realms.find(|realm| ![Realm::PUBLIC, Realm::NOWHERE].contains(realm));
    let realm = private.map(|realm| realm_name(register, realm)).transpose()?.flatten();
    Ok(SessionRow {
        session: key.to_string(),
        subscriber,
        user_name: opened.user_name,
        nas: key.nas.clone(),
        session_id: key.id.clone(),
        line: opened.line,
        valid_from: key.incarnation,
        valid_until: ended.map(|end| end.at),
        last_seen: ended.map(|end| end.last_seen),
        how: ended.map(|end| How::Ended(end.how)),
        realm,
        inside: opened.inside.map(|(_, inside): (Realm, IpAddr)| inside),
        kept: opened.kept,
        bindings,
        key,
    })
}

fn realm_name(register: &Register<'_>, realm: Realm) -> Result<Option<Name>, AuditError> {
    register.get(|connection| {
        let mut statement = connection.prepare_cached(REALM)?;
        Ok(statement.query_row((realm.number(),), |row| name(row, 0)).optional()?.flatten())
    })
}

/// What a session held, in order of time.
fn bindings(sessions: &Sessions, key: &SessionKey, places: &[Place]) -> Result<Vec<BindingRow>, AuditError> {
    let mut bindings = Vec::new();
    let mut seen = HashSet::new();
    for place in places {
        let (realm, prefix) = (place.realm, place.prefix);
        if !seen.insert((realm, prefix)) {
            continue;
        }
        let facts = sessions.of_place_of(key, realm.number(), Key::of(prefix))?;
        for hold in holds(facts.iter().map(|fact| (fact.position, &fact.told))) {
            bindings.push(BindingRow {
                place: Place { realm, prefix, ports: hold.ports },
                subscriber: hold.subscriber,
                valid_from: hold.from,
                valid_until: hold.until,
                last_seen: hold.last_seen,
                how: hold.how,
                was_until: hold.was_until,
                was_how: hold.was_how,
            });
        }
    }
    bindings.sort_by_key(|binding| (binding.valid_from, binding.place));
    Ok(bindings)
}
