//! Who had an address, or a port of it, at a moment.
//!
//! Who had address `a` at moment `t`, from the first line that holds:
//!
//! | what the index knows | confidence | candidates |
//! |---|---|---|
//! | a static prefix covers `a` at `t` | exact | its subscriber |
//! | blocks of ports of `a` were held at `t`, and no port is told | ambiguous | all who held one, and who held `a` whole |
//! | with a port: sessions of several subscribers claimed a block around it | ambiguous | all of them |
//! | several held blocks around it, or `a` whole, and an older one was alive when the newest began | ambiguous | these |
//! | only `a` whole was held around it, by somebody who had it before it came to be shared | ambiguous | that one |
//! | the newest of those who held a block around it, or `a` whole | as below | it |
//! | nobody did, but other blocks were held | as for nobody below | |
//! | `a` was shared by a configured rule at `t` (RFC 7422), and no port is told | unknown | |
//! | the same, with a port that the rule gives to an inside address | as for that address | its owner |
//! | the same, with a port that it gives to nobody | as for nobody below | |
//! | sessions of several subscribers claimed the prefix at `t`, or held it by what is known now | ambiguous | all of them |
//! | a session held the longest prefix around `a`, and its end is known, or it was seen alive at `t` or later | exact | it |
//! | the same, but `t` is after its last sign of life and before its inferred end (or it is still open) | until-last-interim | it |
//! | the same, but nothing else than its Stop, `t` being within its session time, was ever heard of it | until-last-interim | it |
//! | one of these, but a wider prefix around it went to another subscriber after that sign of life | ambiguous | both |
//! | nobody held it; `t` is before the index begins, or in a gap | unknown | |
//! | nobody held it; the last owner's end was inferred less than [`REPORTING`] before | unknown | that one |
//! | nobody held it; a gap ended less than [`REPORTING`] before, and nobody held it since | unknown | |
//! | nobody held it | exact | none: nobody had it |
//!
//! A block may be held for an address behind a translator, by a session that names no subscriber: then the question is
//! asked again for that address, in its realm and at the same moment. The worse of the two confidences counts, and the
//! candidates are those of the inside address. Where nobody had it, the answer is unknown: somebody had the block.
//!
//! A session that was seen on both sides of a gap held its addresses through it. Several sessions of one subscriber are
//! one owner. A session that no rule could name is somebody else than any other.
//!
//! Knows: the table above, and the queries for it (`owner/shared.rs`: addresses shared by ports). Must not know: how an
//! answer is shown, or what time it is.

pub(super) mod shared;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;

use rusqlite::OptionalExtension;

use super::{LastSeen, REPORTING, Register};
use crate::audit::AuditError;
use crate::audit::facts::Said;
use crate::audit::holds::{Hold, holds};
use crate::audit::register::By;
use crate::audit::rows::{Candidate, Confidence, How, PastOwner};
use crate::audit::schema::{Key, Moment, Octets, Spot, moment, packed, session_of};
use crate::audit::sessions::Sessions;
use crate::audit::story;
use crate::session::{Line, Place, Ports, Realm, SessionKey, Timestamp};

pub(in crate::audit) const STATIC: &str = "SELECT subscriber, valid_from, valid_until FROM static_binding
    WHERE length = ?1 AND network = ?2 AND valid_from <= ?3 AND (valid_until IS NULL OR valid_until > ?3)";

/// Who claimed a place in turn.
pub(in crate::audit) const CLAIMANTS: &str = "SELECT m.nas, m.session_id, m.incarnation
    FROM conflict c CROSS JOIN claimant m ON m.conflict = c.id
    WHERE c.realm = ?1 AND c.length = ?2 AND c.network = ?3 AND c.ports = ?5
      AND c.valid_from <= ?4 AND (c.valid_until IS NULL OR c.valid_until > ?4)";

pub(in crate::audit) const GAP_AROUND: &str = "SELECT since FROM gap WHERE until > ?1 ORDER BY until LIMIT 1";

pub(in crate::audit) const GAP_BEFORE: &str =
    "SELECT until FROM gap WHERE until <= ?1 ORDER BY until DESC LIMIT 1";

/// By realm and prefix.
type Folded = HashMap<(u16, Key), Rc<[Hold]>>;

/// The index at one moment, and what was folded of it already.
pub(super) struct Seen<'a> {
    register: &'a Register<'a>,
    sessions: Sessions,
    holds: RefCell<Folded>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(register: &'a Register<'a>, sessions: Sessions) -> Self {
        Seen { register, sessions, holds: RefCell::default() }
    }

    /// All that was ever held of a prefix.
    fn holds(&self, realm: u16, key: Key) -> Result<Rc<[Hold]>, AuditError> {
        if let Some(known) = self.holds.borrow().get(&(realm, key)) {
            return Ok(Rc::clone(known));
        }
        let facts = self.sessions.of_place(realm, key)?;
        let folded: Rc<[Hold]> = holds(facts.iter().map(|fact| (fact.position, &fact.told))).into();
        self.holds.borrow_mut().insert((realm, key), Rc::clone(&folded));
        Ok(folded)
    }
}

/// What is asked, within one view of the index.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) seen: &'a Seen<'a>,
    pub(super) realm: Realm,
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) at: Timestamp,
    pub(super) live_last_seen: LastSeen<'a>,
}

/// Whoever held or claimed one place at the moment.
#[derive(Default)]
struct Around {
    candidates: Vec<Candidate>,
    disputed: bool,
}

impl Around {
    fn add(&mut self, other: Around) {
        self.candidates.extend(other.candidates);
        self.disputed |= other.disputed;
    }
}

impl Question<'_> {
    pub(super) fn owner(&self) -> Result<PastOwner, AuditError> {
        if let Some(candidate) = self.static_owner()? {
            return Ok(answer(Confidence::Exact, vec![candidate], "a static prefix"));
        }
        let blocks = self.blocks()?;
        if let Some(answer) = self.shared(&blocks)? {
            return Ok(answer);
        }
        self.whole(&blocks)
    }

    /// Who had all of the address.
    fn whole(&self, blocks: &[Ports]) -> Result<PastOwner, AuditError> {
        let lengths = self.seen.sessions.lengths(self.realm, Some(self.address))?;
        for (index, &length) in lengths.iter().enumerate() {
            let around = self.around(Key::around(self.address, length), Ports::ALL)?;
            if let Some(answer) = judge(around, self.at) {
                let wider = lengths.get(index.saturating_add(1)..).unwrap_or_default();
                return self.unless_wider(answer, wider);
            }
        }
        self.nobody(blocks)
    }

    /// Was the session not heard since another subscriber was given a wider prefix, then its Stop may be lost and the
    /// address have been the other's.
    fn unless_wider(&self, found: PastOwner, wider: &[u8]) -> Result<PastOwner, AuditError> {
        let sure = matches!(found.confidence, Confidence::Exact | Confidence::UntilLastInterim);
        let Some(first) = found.candidates.first().filter(|_| sure) else { return Ok(found) };
        let alive = found.candidates.iter().filter_map(alive_until).max();
        for &length in wider {
            let place = Spot { realm: self.realm.number(), key: Key::around(self.address, length), ports: 0 };
            let newer = self
                .holders(place)?
                .into_iter()
                .find(|holder| !same_owner(first, holder) && Some(holder.valid_from) > alive);
            if let Some(newer) = newer {
                let because =
                    "a wider prefix went to another subscriber after the last sign of life of the session";
                let candidates = found.candidates.into_iter().chain([newer]).collect();
                return Ok(answer(Confidence::Ambiguous, candidates, because));
            }
        }
        Ok(found)
    }

    fn static_owner(&self) -> Result<Option<Candidate>, AuditError> {
        if self.realm != Realm::PUBLIC {
            return Ok(None);
        }
        for length in story::lengths(self.seen.register, By::Statics, self.realm, self.address)? {
            let key = Key::around(self.address, length);
            let Some(prefix) = key.prefix() else { continue };
            let found = self.seen.register.get(|connection| {
                let mut statement = connection.prepare_cached(STATIC)?;
                let row = (key.length, key.network, Moment(self.at));
                statement
                    .query_row(row, |row| {
                        Ok(Candidate {
                            subscriber: Some(row.get::<_, Octets>(0)?.0),
                            session: None,
                            key: None,
                            nas: None,
                            line: Line::default(),
                            prefix,
                            ports: Ports::ALL,
                            inside: None,
                            valid_from: row.get::<_, Moment>(1)?.0,
                            valid_until: moment(row, 2)?,
                            last_seen: None,
                            how: None,
                            was_until: None,
                            was_how: None,
                            is_static: true,
                        })
                    })
                    .optional()
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn around(&self, key: Key, ports: Ports) -> Result<Around, AuditError> {
        let place = Spot { realm: self.realm.number(), key, ports: packed(ports) };
        let mut candidates = self.holders(place)?;
        let claimants = self.claimants(place)?;
        let disputed = !claimants.is_empty();
        let mut seen = HashSet::new();
        candidates.extend(claimants);
        candidates.retain(|candidate| seen.insert(candidate.session.clone()));
        Ok(Around { candidates, disputed })
    }

    /// Whoever held a place at the moment, by what is known now; the latest first.
    fn holders(&self, place: Spot) -> Result<Vec<Candidate>, AuditError> {
        self.candidates(place, |hold| hold.covers(self.at))
    }

    /// Those who claimed a place in turn: for each what it held of it, whether it still had it or had lost it to the other.
    fn claimants(&self, place: Spot) -> Result<Vec<Candidate>, AuditError> {
        let claimants: Vec<SessionKey> = self.seen.register.get(|connection| {
            let row = (place.realm, place.key.length, place.key.network, Moment(self.at), place.ports);
            connection.prepare_cached(CLAIMANTS)?.query_map(row, |row| session_of(row, 0))?.collect()
        })?;
        if claimants.is_empty() {
            return Ok(Vec::new());
        }
        self.candidates(place, |hold| hold.from <= self.at && claimants.contains(&hold.session))
    }

    /// Holds of a place as candidates; the latest first.
    fn candidates(&self, spot: Spot, wanted: impl Fn(&Hold) -> bool) -> Result<Vec<Candidate>, AuditError> {
        let Some(place) = spot.place() else { return Ok(Vec::new()) };
        let all = self.seen.holds(spot.realm, spot.key)?;
        let mut holds: Vec<&Hold> =
            all.iter().filter(|hold| hold.ports == place.ports && wanted(hold)).collect();
        holds.sort_by_key(|hold| std::cmp::Reverse(hold.from));
        holds.into_iter().map(|hold| self.candidate(place, hold)).collect()
    }

    fn candidate(&self, place: Place, hold: &Hold) -> Result<Candidate, AuditError> {
        let facts = self.seen.sessions.of_session(&hold.session)?;
        let opened = facts.into_iter().find_map(|(_, said)| match said {
            Said::Opened { opened, .. } => Some(opened),
            _ => None,
        });
        let opened = opened.unwrap_or_default();
        let last_seen = match hold.until {
            None => (self.live_last_seen)(&hold.session, place),
            Some(_) => hold.last_seen,
        };
        Ok(Candidate {
            subscriber: hold.subscriber.clone(),
            session: Some(hold.session.to_string()),
            key: Some(hold.session.clone()),
            nas: Some(hold.session.nas.clone()),
            line: opened.line,
            prefix: place.prefix,
            ports: place.ports,
            inside: opened.inside,
            valid_from: hold.from,
            valid_until: hold.until,
            last_seen,
            how: hold.how,
            was_until: hold.was_until,
            was_how: hold.was_how,
            is_static: false,
        })
    }

    /// The lower half of the table: no row covers the moment.
    fn nobody(&self, blocks: &[Ports]) -> Result<PastOwner, AuditError> {
        let unknown = |candidates, because| Ok(answer(Confidence::Unknown, candidates, because));
        if self.seen.register.begins()?.is_none_or(|begins| self.at < begins) {
            return unknown(Vec::new(), "before the first record");
        }
        let around: Option<Moment> = self.moment(GAP_AROUND)?;
        if around.is_some_and(|Moment(since)| since <= self.at) {
            return unknown(Vec::new(), "nothing was received at this moment");
        }
        if self.seen.sessions.lost_since().is_some_and(|since| since <= self.at) {
            return unknown(Vec::new(), "a part of what was recorded is lost");
        }
        let former = self.former(blocks)?;
        let freed = former.as_ref().and_then(|former| former.valid_until);
        if let (Some(candidate), Some(freed)) = (former, freed)
            && !ended_exactly(&candidate)
            && !is_of_stop_alone(&candidate)
            && self.at.since(freed) < REPORTING
        {
            let because = "the end of the owner before is inferred and was not long before";
            return unknown(self.joined(candidate)?.candidates, because);
        }
        let resumed: Option<Moment> = self.moment(GAP_BEFORE)?;
        if let Some(Moment(resumed)) = resumed
            && self.at.since(resumed) < REPORTING
            && freed.is_none_or(|freed| freed < resumed)
        {
            let because = "a session that began while nothing was received may not have reported yet";
            return unknown(Vec::new(), because);
        }
        Ok(answer(Confidence::Exact, Vec::new(), "nobody owned the address"))
    }

    /// Whoever had the address, or the port of it, last.
    fn former(&self, blocks: &[Ports]) -> Result<Option<Candidate>, AuditError> {
        let realm = self.realm.number();
        let mut places = Vec::new();
        for length in self.seen.sessions.lengths(self.realm, Some(self.address))? {
            places.push(Spot { realm, key: Key::around(self.address, length), ports: 0 });
        }
        let wanted = blocks.iter().filter(|ports| self.port.is_none_or(|port| ports.contains(port)));
        let key = Key::of(self.address.into());
        places.extend(wanted.map(|ports| Spot { realm, key, ports: packed(*ports) }));
        let mut former = Vec::new();
        for place in places {
            former.extend(self.last_before(place)?);
        }
        Ok(former.into_iter().max_by_key(|candidate| candidate.valid_until))
    }

    /// Whoever held a place last before the moment.
    fn last_before(&self, spot: Spot) -> Result<Option<Candidate>, AuditError> {
        let Some(place) = spot.place() else { return Ok(None) };
        let all = self.seen.holds(spot.realm, spot.key)?;
        let over = |hold: &&Hold| {
            hold.ports == place.ports
                && hold.from <= self.at
                && hold.until.is_some_and(|until| until <= self.at)
        };
        let last = all.iter().filter(over).max_by_key(|hold| hold.until);
        last.map(|hold| self.candidate(place, hold)).transpose()
    }

    fn moment(&self, sql: &str) -> Result<Option<Moment>, AuditError> {
        let row = (Moment(self.at),);
        self.seen
            .register
            .get(|connection| connection.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional())
    }
}

fn answer(confidence: Confidence, candidates: Vec<Candidate>, because: &'static str) -> PastOwner {
    PastOwner { confidence, candidates, because }
}

/// The upper half of the table, for the rows of one place. `None`: nobody held or claimed it.
fn judge(around: Around, at: Timestamp) -> Option<PastOwner> {
    let Around { candidates, disputed } = around;
    let first = candidates.first()?;
    if disputed || !candidates.iter().all(|other| same_owner(first, other)) {
        let because = if disputed { CLAIMED_IN_TURN } else { HELD_BY_SEVERAL };
        return Some(answer(Confidence::Ambiguous, candidates, because));
    }
    if candidates.iter().any(|candidate| ended_exactly(candidate) || candidate.last_seen >= Some(at)) {
        let because = "the session was seen alive then or later, or its end is known";
        return Some(answer(Confidence::Exact, candidates, because));
    }
    let because = if candidates.iter().any(is_of_stop_alone) { ONLY_ITS_STOP } else { NOT_SEEN_ALIVE };
    Some(answer(Confidence::UntilLastInterim, candidates, because))
}

const NOT_SEEN_ALIVE: &str = "the end was never reported; sure only until the last sign of life";
pub(super) const ONLY_ITS_STOP: &str =
    "nothing but its Stop was reported; that it had the address before is told by its session time alone";

const CLAIMED_IN_TURN: &str = "sessions of different subscribers claimed the address in turn";
const HELD_BY_SEVERAL: &str = "by what is known now, sessions of different subscribers held the address";

fn same_owner(one: &Candidate, other: &Candidate) -> bool {
    one.session == other.session || one.subscriber.is_some() && one.subscriber == other.subscriber
}

fn ended_exactly(candidate: &Candidate) -> bool {
    candidate.how.is_some_and(How::is_exact)
}

fn is_of_stop_alone(candidate: &Candidate) -> bool {
    candidate.how == Some(How::StopAlone)
}

/// Until when a session is known to have had what it held.
fn alive_until(candidate: &Candidate) -> Option<Timestamp> {
    if ended_exactly(candidate) { candidate.valid_until } else { candidate.last_seen }
}
