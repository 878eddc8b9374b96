//! Prefixes that no record carries: the operator's list gives them to a subscriber for as long as one of their sessions
//! is active (routed subnets, prefixes that a NAS delegates and does not report).
//!
//! Knows: that a record's own claim comes before the list, and that any session of the subscriber will do. Must not know:
//! how the list was read.

use std::collections::HashSet;

use foldhash::HashMap;
use ipnet::IpNet;

use super::bindings::{Binding, Session, Slot, same_subscriber};
use super::effect::{Effect, Ended};
use super::event::ClaimSource;
use super::held::{Held, HeldClaim, Hold, Id};
use super::machine::Machine;
use super::{Name, Place, Ports, Timestamp};

/// The list, and who of it is online.
#[derive(Debug, Default)]
pub(super) struct Listed {
    prefixes: HashMap<Name, Vec<IpNet>>,
    /// The sessions of those who are listed.
    sessions: HashMap<Name, Vec<Id>>,
}

impl Listed {
    pub(super) fn new(list: &[(Name, IpNet)]) -> Self {
        let mut listed = Listed::default();
        for (subscriber, prefix) in list {
            listed.prefixes.entry(subscriber.clone()).or_default().push(*prefix);
        }
        listed
    }

    pub(super) fn of(&self, subscriber: Option<&[u8]>) -> &[IpNet] {
        subscriber.and_then(|subscriber| self.prefixes.get(subscriber)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn join(&mut self, id: &Id, subscriber: &[u8]) {
        if self.prefixes.contains_key(subscriber) {
            self.sessions.entry(Name::new(subscriber)).or_default().push(id.clone());
        }
    }

    pub(super) fn leave(&mut self, id: &Id, subscriber: &[u8]) {
        if let Some(sessions) = self.sessions.get_mut(subscriber) {
            sessions.retain(|session| session != id);
            if sessions.is_empty() {
                self.sessions.remove(subscriber);
            }
        }
    }

    fn sessions(&self, subscriber: Option<&[u8]>) -> &[Id] {
        subscriber.and_then(|subscriber| self.sessions.get(subscriber)).map_or(&[], Vec::as_slice)
    }
}

impl Machine {
    /// An active session takes what the list gives its subscriber, as far as nobody has it by a record of their own.
    pub(super) fn claim_listed(&mut self, id: &Id, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get(id).filter(|held| held.is_active()) else { return };
        let prefixes = self.listed.of(held.session.subscriber_octets()).to_vec();
        for prefix in prefixes {
            let Some(held) = self.sessions.get_mut(id) else { return };
            let known = held.claim(prefix, Ports::ALL).map(|claim| (claim.hold, claim.source));
            if matches!(known, Some((Hold::Owns, _))) {
                continue;
            }
            if known.is_none() {
                let (ports, source, hold) = (Ports::ALL, ClaimSource::Listed, Hold::Waits);
                held.claims.push(HeldClaim { prefix, ports, source, since: at, hold });
            } else if known.is_some_and(|(_, source)| source != ClaimSource::Listed) {
                // A record of its own speaks of this prefix: that one counts.
                continue;
            }
            let (place, session) = (held.place(prefix, Ports::ALL), held.session.clone());
            match self.map.slot(place) {
                Some(Slot::Owned(owner))
                    if same_subscriber(owner.session.subscriber_octets(), session.subscriber_octets()) =>
                {
                    self.set_hold(id, place, Hold::Shares);
                    if !owner.session.is_active() && self.is_by_list(&owner.session, place) {
                        self.hand_over(&owner, id, place, at, effects);
                    }
                }
                Some(Slot::Owned(_) | Slot::Contested(_)) => self.set_hold(id, place, Hold::Waits),
                Some(Slot::Freed(freed)) if at < freed.claimed => {}
                Some(Slot::Freed(_)) | None => {
                    self.own(id, place, Binding::new(session, at), effects);
                }
            }
        }
    }

    /// Whether a session has everything that the list would give it now.
    pub(super) fn has_listed(&self, held: &Held) -> bool {
        self.listed.of(held.session.subscriber_octets()).iter().all(|prefix| {
            let claim = held.claim(*prefix, Ports::ALL);
            claim.is_some_and(|claim| match claim.hold {
                Hold::Owns => true,
                _ if claim.source != ClaimSource::Listed => true,
                Hold::Shares => self.is_well_owned(held.place(*prefix, Ports::ALL)),
                _ => self
                    .map
                    .slot(held.place(*prefix, Ports::ALL))
                    .is_some_and(|slot| !slot.holders().is_empty()),
            })
        })
    }

    /// Whether an owner has a place by the list only.
    pub(super) fn is_by_list(&self, owner: &Session, place: Place) -> bool {
        let id = Id { nas: owner.nas().number, session: owner.id() };
        let claim = self.sessions.get(&id).and_then(|held| held.claim(place.prefix, place.ports));
        claim.is_some_and(|claim| claim.source == ClaimSource::Listed)
    }

    /// Another session of the subscriber, by which a listed prefix goes on being theirs.
    pub(super) fn listed_heir(&self, session: &Session, place: Place) -> Option<Id> {
        let shares = |id: &Id| {
            self.sessions.get(id).is_some_and(|held| {
                let claim = held.claim(place.prefix, place.ports);
                !held.session.is(session)
                    && held.is_active()
                    && claim.is_some_and(|claim| {
                        claim.hold == Hold::Shares && claim.source == ClaimSource::Listed
                    })
            })
        };
        let sessions = self.listed.sessions(session.subscriber_octets()).iter().filter(|id| shares(id));
        sessions.max_by_key(|id| (self.sessions.get(id).map(Held::last), *id)).cloned()
    }

    /// Gives back what a session has by the list, but for the prefixes that stay.
    pub(super) fn give_back_listed(
        &mut self,
        id: &Id,
        stays: &[IpNet],
        at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(held) = self.sessions.get_mut(id) else { return };
        let gone = |claim: &HeldClaim| claim.source == ClaimSource::Listed && !stays.contains(&claim.prefix);
        let places: Vec<Place> = held
            .claims
            .iter()
            .filter(|claim| gone(claim))
            .map(|claim| held.place(claim.prefix, claim.ports))
            .collect();
        held.claims.retain(|claim| !gone(claim));
        for place in places {
            self.release(id, place, at, Ended::Moved, effects);
        }
    }

    /// Takes over another list: what it no longer says is given back, and what it says anew is taken.
    pub(super) fn follow_list(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.listed, Listed::new(&self.applied.listed));
        let mut concerned: HashSet<Id> = before.sessions.into_values().flatten().collect();
        let mut ids = self.sessions.ids();
        ids.sort_unstable();
        for id in ids {
            let subscriber = self.sessions.get(&id).and_then(|held| held.session.subscriber());
            let Some(subscriber) = subscriber.filter(|name| self.listed.prefixes.contains_key(name)) else {
                continue;
            };
            self.listed.join(&id, subscriber.octets());
            concerned.insert(id);
        }
        let mut concerned: Vec<Id> = concerned.into_iter().collect();
        concerned.sort_unstable();
        for id in &concerned {
            let subscriber = self.sessions.get(id).and_then(|held| held.session.subscriber());
            let stays = self.listed.of(subscriber.as_ref().map(Name::octets)).to_vec();
            self.give_back_listed(id, &stays, at, effects);
        }
        for id in &concerned {
            self.claim_listed(id, at, effects);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::bindings::{LiveMap, Lookup};
    use crate::session::event::{Applied, Claim, Event, Kind, Record, Span};
    use crate::session::{Realm, Timestamp};
    use std::time::Duration;

    const ROUTED: &str = "198.51.100.8/29";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + second)
    }

    fn applied(list: &[(&str, &str)]) -> Event {
        let listed = list.iter().map(|(name, prefix)| (Name::from(*name), prefix.parse().unwrap()));
        let mut applied = Applied {
            listed: listed.collect(),
            pools: vec![(Name::from("bras1"), Vec::new())],
            ..Applied::default()
        };
        applied.rules.warm_up = Span::Fixed(Duration::ZERO);
        Event::Applied(Box::new(applied))
    }

    fn machine() -> Machine {
        let mut machine = Machine::new(Arc::new(LiveMap::default()));
        machine.fold(at(0), &applied(&[("alice", ROUTED)]), &mut Vec::new());
        machine
    }

    fn tell(
        machine: &mut Machine,
        second: i64,
        kind: Kind,
        session: &str,
        subscriber: &str,
        claims: &[&str],
    ) {
        let claim = |prefix: &&str| Claim::whole(prefix.parse().unwrap(), ClaimSource::FramedRoute);
        let record = Record {
            subscriber: Some(Name::from(subscriber)),
            claims: claims.iter().map(claim).collect(),
            ..Record::bare(kind, Name::from("bras1"), Name::from(session), at(second))
        };
        machine.fold(at(second), &Event::Record(Box::new(record)), &mut Vec::new());
    }

    fn owner(machine: &Machine, second: i64) -> Option<String> {
        let address = "198.51.100.9".parse().unwrap();
        match machine.map().lookup(Realm::PUBLIC, address, None, at(second)) {
            Lookup::Found(found) => found.subscriber().map(|name| name.to_string()),
            _ => None,
        }
    }

    #[test]
    fn a_listed_prefix_is_its_subscribers_while_a_session_lives() {
        let mut machine = machine();
        assert_eq!(owner(&machine, 1), None);
        tell(&mut machine, 1, Kind::Start, "1", "alice", &["192.0.2.7/32"]);
        assert_eq!(owner(&machine, 1).as_deref(), Some("alice"));
        tell(&mut machine, 9, Kind::Stop, "1", "alice", &[]);
        assert_eq!(owner(&machine, 9), None);
    }

    #[test]
    fn a_session_without_an_address_is_not_online() {
        let mut machine = machine();
        tell(&mut machine, 1, Kind::Start, "1", "alice", &[]);
        assert_eq!(owner(&machine, 1), None);
    }

    #[test]
    fn it_goes_on_with_another_session_of_the_same_subscriber() {
        let mut machine = machine();
        tell(&mut machine, 1, Kind::Start, "1", "alice", &["192.0.2.7/32"]);
        tell(&mut machine, 2, Kind::Start, "2", "alice", &["192.0.2.8/32"]);
        tell(&mut machine, 3, Kind::Stop, "1", "alice", &[]);
        assert_eq!(owner(&machine, 3).as_deref(), Some("alice"));
        tell(&mut machine, 4, Kind::Stop, "2", "alice", &[]);
        assert_eq!(owner(&machine, 4), None);
    }

    #[test]
    fn a_record_that_claims_it_comes_first_and_afterwards_the_list_holds_again() {
        let mut machine = machine();
        tell(&mut machine, 1, Kind::Start, "1", "alice", &["192.0.2.7/32"]);
        tell(&mut machine, 2, Kind::Start, "2", "bob", &[ROUTED]);
        assert_eq!(owner(&machine, 2).as_deref(), Some("bob"));
        // While bob has it, alice's interim updates claim nothing and begin no conflict.
        tell(&mut machine, 600, Kind::Interim, "1", "alice", &["192.0.2.7/32"]);
        assert_eq!(owner(&machine, 600).as_deref(), Some("bob"));
        tell(&mut machine, 700, Kind::Stop, "2", "bob", &[]);
        tell(&mut machine, 1200, Kind::Interim, "1", "alice", &["192.0.2.7/32"]);
        assert_eq!(owner(&machine, 1200).as_deref(), Some("alice"));
    }

    #[test]
    fn an_interim_update_is_a_refresh_only_while_the_list_has_nothing_to_give() {
        let mut machine = machine();
        tell(&mut machine, 1, Kind::Start, "1", "alice", &["192.0.2.7/32"]);
        let interim = |second| Record {
            subscriber: Some(Name::from("alice")),
            ..Record::bare(Kind::Interim, Name::from("bras1"), Name::from("1"), at(second))
        };
        assert!(machine.as_refresh(&interim(2)).is_some());
        tell(&mut machine, 3, Kind::Start, "2", "bob", &[ROUTED]);
        assert!(machine.as_refresh(&interim(4)).is_some());
        tell(&mut machine, 5, Kind::Stop, "2", "bob", &[]);
        assert!(machine.as_refresh(&interim(6)).is_none());
    }

    #[test]
    fn another_list_is_followed_at_once_and_a_restart_keeps_it() {
        let mut machine = machine();
        tell(&mut machine, 1, Kind::Start, "1", "alice", &["192.0.2.7/32"]);
        tell(&mut machine, 1, Kind::Start, "2", "bob", &["192.0.2.8/32"]);
        machine.fold(at(2), &applied(&[("bob", ROUTED)]), &mut Vec::new());
        assert_eq!(owner(&machine, 2).as_deref(), Some("bob"));
        let mut restored = Machine::restore(Arc::new(LiveMap::default()), machine.image());
        assert_eq!(owner(&restored, 2).as_deref(), Some("bob"));
        tell(&mut restored, 3, Kind::Stop, "2", "bob", &[]);
        assert_eq!(owner(&restored, 3), None);
        machine.fold(at(4), &applied(&[]), &mut Vec::new());
        assert_eq!(owner(&machine, 4), None);
    }
}
