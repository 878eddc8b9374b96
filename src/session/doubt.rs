//! What speaks against an owner without taking anything from it: that somebody else was told to have the place, and those
//! who had claimed it and live on.
//!
//! Knows: slots and who is alive. Must not know: how claims are judged, or what becomes of a place.

use super::bindings::{Session, same_subscriber};
use super::event::{Kind, Record};
use super::held::{Hold, Id, SAME_MOMENT, UNDATED_START_DOUBT, began};
use super::machine::Machine;
use super::ownership::id_of;
use super::queue::Due;
use super::slot::{Against, Binding, Freed, Slot};
use super::{Place, Realm, Timestamp};

/// So many sessions that may be at a place still are remembered, the last ones: where one address is told for everybody
/// the list would grow with the NAS.
const LOSERS_MAX: usize = 16;

impl Machine {
    /// A record tells that somebody else had a place, and takes nothing over: it came too late, or is in doubt itself. An owner
    /// of whom it is `another` is not named until it is heard again after that moment, which may differ by owner.
    pub(super) fn doubt(
        &mut self,
        place: Place,
        since: &dyn Fn(&Binding) -> Timestamp,
        another: &dyn Fn(&Session) -> bool,
    ) {
        let Some(mut slot) = self.map.slot(place) else { return };
        let mut told = false;
        for holder in slot.holders_mut() {
            let at = since(holder);
            if at > holder.session.seen().max(holder.against().doubted) && another(&holder.session) {
                holder.against_mut().doubted = at;
                self.set_doubted(&id_of(&holder.session));
                told = true;
            }
        }
        if told {
            self.map.put(place, slot);
        }
    }

    pub(super) fn set_doubted(&mut self, id: &Id) {
        if let Some(held) = self.sessions.get_mut(id) {
            held.doubted = true;
        }
    }

    /// A session claims what it has: what was told against it before that is over.
    pub(super) fn believe(&mut self, id: &Id, place: Place, at: Timestamp) {
        if !self.sessions.get(id).is_some_and(|held| held.doubted) {
            return;
        }
        let Some(mut slot) = self.map.slot(place) else { return };
        for holder in slot.holders_mut().iter_mut().filter(|holder| id_of(&holder.session) == *id) {
            if holder.is_doubted() && at >= holder.against().doubted {
                holder.against_mut().doubted = Timestamp::EARLIEST;
            }
        }
        self.map.put(place, slot);
        let doubted = self.sessions.get(id).is_some_and(|held| {
            let mut slots =
                held.claims.iter().map(|claim| self.map.slot(held.place(claim.prefix, claim.ports)));
            slots.any(|slot| {
                let mut holders = slot.iter().flat_map(Slot::holders);
                holders.any(|holder| holder.is_doubted() && id_of(&holder.session) == *id)
            })
        });
        if let Some(held) = self.sessions.get_mut(id) {
            held.doubted = doubted;
        }
    }

    /// Of a claim it is known only how old it is at least, and that is long: whoever has the place by it is named when it
    /// claims it anew.
    pub(super) fn doubt_own(&mut self, id: &Id, place: Place, at: Timestamp) {
        let Some(mut slot) = self.map.slot(place) else { return };
        for holder in slot.holders_mut().iter_mut().filter(|holder| id_of(&holder.session) == *id) {
            let against = holder.against_mut();
            against.doubted = against.doubted.max(at);
        }
        self.map.put(place, slot);
        self.set_doubted(id);
    }

    /// The same for all that a record claims. What a session lost it may keep naming in its Stop.
    pub(super) fn doubt_claims(&mut self, id: &Id, record: &Record) {
        // I6: what is history may have been judged long ago, and so may what a known session said before it stopped.
        let judged = self.tombstones.get(id).is_some_and(|tombstone| tombstone.known)
            || self.sessions.get(id).is_some_and(|held| record.event < held.last());
        if judged || record.arrival.since(record.event) > self.rules().stale_limit {
            return;
        }
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        // Undated moments may be rounded past each other.
        let at = if record.dated { record.event } else { record.event.minus(SAME_MOMENT) };
        // Of a Stop without a name what the line says counts.
        let another = |holder: &Session| {
            let own = holder.nas().number == id.nas && holder.id_octets() == id.session.octets();
            let named = record.subscriber.is_some() || holder.is_on_other_line(&record.line);
            !own && named && !same_subscriber(holder.subscriber_octets(), record.subscriber.as_ref())
        };
        // A Stop moments after somebody was given the place, of a session that is the older one: it had it before.
        let since = |holder: &Binding| {
            let before = record.kind == Kind::Stop
                && record.session_time.is_some()
                && began(record) < holder.since
                && record.event.since(holder.since) < UNDATED_START_DOUBT;
            if before { Timestamp::EARLIEST } else { at }
        };
        for claim in &record.claims {
            let held = self.sessions.get(id).and_then(|held| held.claim(claim.prefix, claim.ports));
            if held.is_none() || record.kind != Kind::Stop {
                let place = Place::new(realm, claim.prefix, claim.ports);
                self.doubt(place, &since, &another);
            }
        }
    }

    /// A Stop, or what comes after one, tells that its session had places of which nobody else was heard: an older claim
    /// that comes late must not win there either. Had since `claimed`, and left at `left`.
    pub(super) fn remember_claims(&mut self, record: &Record, claimed: Timestamp, left: Timestamp) {
        let rules = self.rules();
        if record.arrival.since(left) > rules.stale_limit {
            return;
        }
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        for claim in &record.claims {
            let place = Place::new(realm, claim.prefix, claim.ports);
            let mut freed = match self.map.slot(place) {
                None => Box::new(Freed::at(claimed)),
                Some(Slot::Freed(freed)) if freed.claimed < claimed => freed,
                Some(Slot::Freed(_)) => continue,
                Some(mut slot) => {
                    for holder in slot.holders_mut() {
                        let against = holder.against_mut();
                        against.outdone = against.outdone.max(claimed);
                    }
                    self.map.put(place, slot);
                    continue;
                }
            };
            freed.claimed = claimed;
            freed.until = freed.until.max(left.plus(rules.defer_after_stop));
            self.put_freed(place, freed, left);
        }
    }

    /// Puts a freed slot, to be forgotten when nothing older than `left` can come any more.
    pub(super) fn put_freed(&mut self, place: Place, mut freed: Box<Freed>, left: Timestamp) {
        freed.forget = freed.forget.max(freed.until).max(left.plus(self.rules().stale_limit));
        self.remind(freed.forget, Due::Slot(place));
        self.map.put(place, Slot::Freed(freed));
    }

    /// A session lives on without a place that it claimed: whoever has the place may be gone before it is.
    pub(super) fn note_loser(&mut self, place: Place, id: &Id) {
        let Some(mut slot) = self.map.slot(place) else { return };
        let losers = match &mut slot {
            Slot::Freed(freed) => Some(&mut freed.losers),
            held => held.holders_mut().first_mut().map(|holder| &mut holder.against_mut().losers),
        };
        let Some(losers) = losers.filter(|losers| !losers.contains(id)) else { return };
        if losers.len() >= LOSERS_MAX {
            losers.remove(0);
        }
        losers.push(id.clone());
        self.map.put(place, slot);
    }

    /// Whether a place has one owner, who is not in doubt.
    pub(super) fn is_well_owned(&self, place: Place) -> bool {
        matches!(self.map.slot(place), Some(Slot::Owned(owner)) if owner.session.is_active())
    }

    /// What the new owner of a place takes over of what speaks against its owners.
    pub(super) fn left_against(&mut self, id: &Id, place: Place, since: Timestamp) -> Against {
        let left = self.map.see(place, |slot| {
            let holders = slot.holders().iter();
            let doubted = holders.clone().map(|holder| holder.against().doubted).max();
            let losers = match slot {
                Slot::Freed(freed) => self.living(place, &freed.losers),
                _ => self.those_left(place, holders),
            };
            (doubted, losers)
        });
        let (doubted, losers) = left.unwrap_or_default();
        let doubted = doubted.filter(|doubted| *doubted > since);
        if doubted.is_some() {
            self.set_doubted(id);
        }
        Against {
            doubted: doubted.unwrap_or(Timestamp::EARLIEST),
            outdone: Timestamp::EARLIEST,
            losers: losers.into_iter().filter(|loser| loser != id).collect(),
        }
    }

    /// Of those who held a place and those who had lost it to them, who lives and has claimed it.
    pub(super) fn those_left<'a>(&self, place: Place, holders: impl Iterator<Item = &'a Binding>) -> Vec<Id> {
        let mut ids = Vec::new();
        for holder in holders {
            ids.push(id_of(&holder.session));
            ids.extend(holder.against().losers.iter().cloned());
        }
        self.living(place, &ids)
    }

    /// Those of them who live, and have claimed the place without having it.
    pub(super) fn living(&self, place: Place, ids: &[Id]) -> Vec<Id> {
        let mut living: Vec<Id> = Vec::new();
        if ids.is_empty() {
            return living;
        }
        for id in ids {
            let lost = self.sessions.get(id).is_some_and(|held| {
                held.realm.around(place.prefix.addr()) == place.realm
                    && held
                        .claim(place.prefix, place.ports)
                        .is_some_and(|claim| matches!(claim.hold, Hold::Lost | Hold::Waits))
            });
            if lost && !living.contains(id) {
                living.push(id.clone());
            }
        }
        living.drain(..living.len().saturating_sub(LOSERS_MAX));
        living
    }

    /// A session that is over, or gave a place back, is nobody who may be there still.
    pub(super) fn strike_loser(&mut self, place: Place, id: &Id) {
        let Some(mut slot) = self.map.slot(place) else { return };
        let mut struck = false;
        for holder in slot.holders_mut().iter_mut().filter(|holder| holder.against().losers.contains(id)) {
            holder.against_mut().losers.retain(|loser| loser != id);
            struck = true;
        }
        if struck {
            self.map.put(place, slot);
        }
    }

    /// A session that moves to another NAS is known by another number.
    pub(super) fn rename_loser(&mut self, place: Place, from: &Id, to: &Id) {
        let Some(mut slot) = self.map.slot(place) else { return };
        let mut renamed = false;
        let mut rename = |losers: &mut Vec<Id>| {
            for loser in losers.iter_mut().filter(|loser| *loser == from) {
                (*loser, renamed) = (to.clone(), true);
            }
        };
        match &mut slot {
            Slot::Freed(freed) => rename(&mut freed.losers),
            held => {
                for holder in held.holders_mut().iter_mut().filter(|one| !one.against().losers.is_empty()) {
                    rename(&mut holder.against_mut().losers);
                }
            }
        }
        if renamed {
            self.map.put(place, slot);
        }
    }
}
