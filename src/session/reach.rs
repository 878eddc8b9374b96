//! Which sessions a subscriber has at this moment, for whoever wants to reach them at the access side.
//!
//! A question is put where the writer sees it, and answered at its next round: nothing is kept for a question that nobody asks.
//!
//! Knows: of which session it is certain that it is this subscriber's. Must not know: why somebody asks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use ipnet::{IpNet, Ipv6Net};

use super::bindings::{LiveMap, Lookup, Session, Slot};
use super::event::ClaimSource;
use super::held::{Hold, Id};
use super::machine::Machine;
use super::{Name, Place, SessionKey, Timestamp};

/// A session that lives, in whatever state.
#[derive(Debug, Clone)]
pub struct Living {
    /// Which.
    pub session: Session,
    /// The NAS-Identifier that its records have.
    pub nas_identifier: Option<Name>,
    /// What it owns.
    owned: Vec<(ClaimSource, Place)>,
}

impl Living {
    /// Whether the map would name its subscriber without a doubt, at each of its places: it is active, its NAS is heard, and nobody
    /// else claims or was told to have any of them. A session without a place has nothing by which that could be known.
    #[must_use]
    pub fn is_certain(&self, map: &LiveMap, now: Timestamp) -> bool {
        let owns = |place: Place| {
            let alone = match map.slot(place) {
                Some(Slot::Owned(binding)) => binding.session.is(&self.session) && binding.is_believed(),
                _ => false,
            };
            // A static prefix around it, or a newer and wider claim, is another's word about the same address.
            let is_host = place.prefix.prefix_len() == place.prefix.max_prefix_len();
            let port = (!place.ports.is_all()).then(|| place.ports.first());
            alone
                && (!is_host
                    || match map.lookup(place.realm, place.prefix.addr(), port, now) {
                        Lookup::Found(found) => {
                            found.session.is_some_and(|session| session.is(&self.session))
                        }
                        _ => false,
                    })
        };
        self.session.is_active()
            && !self.session.is_stale()
            && !self.owned.is_empty()
            && self.owned.iter().all(|(_, place)| owns(*place))
    }

    fn prefix(&self, source: ClaimSource) -> Option<IpNet> {
        let found = self.owned.iter().find(|(own, place)| *own == source && place.ports.is_all());
        found.map(|(_, place)| place.prefix)
    }

    /// Framed-IP-Address.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        match self.prefix(ClaimSource::FramedAddress)?.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// Framed-IPv6-Address.
    #[must_use]
    pub fn ipv6_address(&self) -> Option<Ipv6Addr> {
        self.ipv6(ClaimSource::FramedIpv6Address).map(|prefix| prefix.addr())
    }

    /// Framed-IPv6-Prefix.
    #[must_use]
    pub fn ipv6_prefix(&self) -> Option<Ipv6Net> {
        self.ipv6(ClaimSource::FramedIpv6Prefix)
    }

    /// Delegated-IPv6-Prefix.
    #[must_use]
    pub fn delegated_prefix(&self) -> Option<Ipv6Net> {
        self.ipv6(ClaimSource::DelegatedIpv6Prefix)
    }

    fn ipv6(&self, source: ClaimSource) -> Option<Ipv6Net> {
        match self.prefix(source)? {
            IpNet::V6(prefix) => Some(prefix),
            IpNet::V4(_) => None,
        }
    }
}

/// Of each subscriber asked about, in order of names.
pub type Sessions = BTreeMap<Name, Vec<Living>>;

/// Where a question lies until the writer has answered it.
#[derive(Default)]
pub struct Reach {
    is_asked: AtomicBool,
    subscribers: ArcSwap<Vec<Name>>,
    answer: ArcSwap<(u64, Sessions)>,
}

impl Reach {
    /// Asks about these subscribers, canonical names; an older question that was not answered yet is forgotten.
    pub fn ask(&self, subscribers: Vec<Name>) {
        self.subscribers.store(Arc::new(subscribers));
        self.is_asked.store(true, Ordering::Release);
    }

    /// The newest answer, and how many there were before.
    #[must_use]
    pub fn answer(&self) -> Arc<(u64, Sessions)> {
        self.answer.load_full()
    }

    /// Answers, if somebody has asked.
    pub fn reply(&self, machine: &Machine) {
        if !self.is_asked.load(Ordering::Acquire) || !self.is_asked.swap(false, Ordering::AcqRel) {
            return;
        }
        let subscribers = self.subscribers.load();
        let of = |name: &Name| (name.clone(), machine.living_of(name.octets()));
        let sessions = subscribers.iter().map(of).collect();
        let before = self.answer.load().0;
        self.answer.store(Arc::new((before.saturating_add(1), sessions)));
    }
}

impl Machine {
    /// Whether this life of a session goes on.
    #[must_use]
    pub fn lives(&self, key: &SessionKey) -> bool {
        let Some(nas) = self.nas_numbers.get(&key.nas) else { return false };
        let held = self.sessions.get(&Id { nas: *nas, session: key.id.clone() });
        held.is_some_and(|held| held.session.incarnation() == key.incarnation)
    }

    /// The sessions of a subscriber, oldest first.
    fn living_of(&self, subscriber: &[u8]) -> Vec<Living> {
        let numbers = self.crowds.numbers(subscriber, &self.sessions);
        let held = numbers.into_iter().filter_map(|number| self.sessions.at(number));
        let mut living: Vec<Living> = held
            .map(|held| Living {
                session: held.session.clone(),
                nas_identifier: held.scope.nas_identifier.clone(),
                owned: held
                    .claims
                    .iter()
                    .filter(|claim| claim.hold == Hold::Owns)
                    .map(|claim| (claim.source, held.place(claim.prefix, claim.ports)))
                    .collect(),
            })
            .collect();
        living.sort_by_cached_key(|one| (one.session.incarnation(), one.session.key()));
        living
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Claim, Event, Kind, Record};
    use super::*;

    fn record(kind: Kind, id: &str, subscriber: &str, address: &str, at: i64) -> Event {
        let at = Timestamp::from_seconds(1_700_000_000 + at);
        let claims = vec![Claim::whole(address.parse().unwrap(), ClaimSource::FramedAddress)];
        let name = Some(Name::from(subscriber));
        let bare = Record::bare(kind, Name::from("bras1"), Name::from(id), at);
        Event::Record(Box::new(Record { subscriber: name, claims, ..bare }))
    }

    /// The sessions of a subscriber after these records, each with whether it is certain.
    fn reached(records: &[Event], subscriber: &str) -> Vec<(Name, bool)> {
        let map = Arc::new(LiveMap::default());
        let mut machine = Machine::new(Arc::clone(&map));
        let mut now = Timestamp::EARLIEST;
        for event in records {
            let Event::Record(record) = event else { continue };
            now = record.arrival;
            machine.fold(now, event, &mut Vec::new());
        }
        let reach = Reach::default();
        reach.reply(&machine);
        assert_eq!(reach.answer().0, 0, "nobody has asked");
        reach.ask(vec![Name::from(subscriber)]);
        reach.reply(&machine);
        reach.reply(&machine);
        let answer = reach.answer();
        assert_eq!(answer.0, 1, "asked once, answered once");
        let living = &answer.1[&Name::from(subscriber)];
        living.iter().map(|one| (one.session.id(), one.is_certain(&map, now))).collect()
    }

    #[test]
    fn the_sessions_of_a_subscriber_are_told_and_those_of_others_are_not() {
        let records = [
            record(Kind::Start, "1", "alice", "192.0.2.1/32", 0),
            record(Kind::Start, "2", "bob", "192.0.2.2/32", 1),
            record(Kind::Start, "3", "alice", "192.0.2.3/32", 2),
            record(Kind::Start, "4", "alice", "192.0.2.4/32", 3),
            record(Kind::Stop, "4", "alice", "192.0.2.4/32", 4),
        ];
        let names = |ids: &[&str]| ids.iter().map(|id| (Name::from(*id), true)).collect::<Vec<_>>();
        assert_eq!(reached(&records, "alice"), names(&["1", "3"]));
        assert_eq!(reached(&records, "bob"), names(&["2"]));
        assert_eq!(reached(&records, "carol"), []);
    }

    #[test]
    fn a_session_whose_address_somebody_else_claims_too_is_not_certain() {
        let before = [
            record(Kind::Start, "1", "alice", "192.0.2.1/32", 0),
            record(Kind::Start, "2", "bob", "192.0.2.1/32", 10),
        ];
        assert_eq!(reached(&before, "bob"), [(Name::from("2"), true)], "the newer claim has it");
        assert_eq!(reached(&before, "alice"), [(Name::from("1"), false)], "nothing is left to it");
        let both = [before.as_slice(), &[record(Kind::Interim, "1", "alice", "192.0.2.1/32", 20)]].concat();
        for subscriber in ["alice", "bob"] {
            assert!(reached(&both, subscriber).iter().all(|(_, certain)| !certain), "{subscriber}");
        }
    }
}
