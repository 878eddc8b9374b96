//! The live map: which session owns which prefix at this moment. Read by everybody, written by the machine alone.
//!
//! Knows: slots by place, statics, which pools are not whole, longest match; ports are `shared.rs`'s. Must not know: why a
//! session lives or dies, records, or what an MTA makes of an answer. Writing is private to `session`.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use ipnet::IpNet;

pub use super::alive::Session;
pub(super) use super::alive::same_subscriber;
use super::event::Translation;
use super::lengths::LengthsInUse;
use super::nas::Nas;
pub use super::slot::Binding;
pub(super) use super::slot::Slot;
use super::slots::Slots;
use super::{Name, Place, Ports, Realm, SessionKey, Timestamp};

/// What the map says about an address.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Exactly one owner.
    Found(Found),
    /// Nobody owns it, and the feed is whole: it is known that nobody does.
    Absent,
    /// Several live sessions claim it.
    Ambiguous(Vec<Found>),
    /// Not known at the moment. The doubtful owner, when there is one.
    Unready(Doubt, Option<Found>),
}

/// The owner of an address.
#[derive(Debug, Clone)]
pub struct Found {
    /// By which session; `None`: a static prefix.
    pub session: Option<Session>,
    /// Whose a static prefix is.
    fixed: Option<Name>,
    /// The prefix that matched.
    pub prefix: IpNet,
    /// Since when.
    pub since: Timestamp,
}

impl Found {
    /// Whose it is; `None` when no identity rule found a name.
    #[must_use]
    pub fn subscriber(&self) -> Option<Name> {
        self.subscriber_octets().map(Name::new)
    }

    /// The same, without a name made of it.
    #[must_use]
    pub fn subscriber_octets(&self) -> Option<&[u8]> {
        match &self.session {
            Some(session) => session.subscriber_octets(),
            None => self.fixed.as_ref().map(Name::octets),
        }
    }
}

impl From<(&Binding, IpNet)> for Found {
    fn from((binding, prefix): (&Binding, IpNet)) -> Self {
        Found { session: Some(binding.session.clone()), fixed: None, prefix, since: binding.since }
    }
}

/// Why the map does not know. Never folded into `Absent`: that one bounces mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The owner stopped moments ago.
    JustFreed,
    /// The owner is suspect, or gone while somebody lives who had claimed the address before.
    Suspect,
    /// Not heard long enough since a receiving gap.
    WarmUp,
    /// The NAS that would know is silent.
    NasSilent,
    /// The NAS that would know is replaying old records.
    NasLagging,
    /// Several subscribers share the address, and no port was told.
    PortRequired,
    /// A translator has just given the port to an inside address of which nobody is known to be the owner yet.
    Unjoined,
}

impl Doubt {
    /// The word used in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Doubt::JustFreed => "just-freed",
            Doubt::Suspect => "suspect",
            Doubt::WarmUp => "warm-up",
            Doubt::NasSilent => "nas-silent",
            Doubt::NasLagging => "nas-lagging",
            Doubt::PortRequired => "port-required",
            Doubt::Unjoined => "unjoined",
        }
    }
}

/// Pools about which nothing can be said for now. No prefix means: the whole address space.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OpenPool {
    pub(super) client: Name,
    pub(super) prefixes: Arc<[IpNet]>,
    pub(super) doubt: Doubt,
    pub(super) until: Timestamp,
}

/// A static prefix's owner and since when it was configured.
pub(super) type Statics = HashMap<IpNet, (Name, Timestamp)>;

/// The live map.
#[derive(Default)]
pub struct LiveMap {
    slots: Slots,
    /// The blocks that stand at addresses shared by ports.
    pub(super) blocks: DashMap<(Realm, IpAddr), Vec<Ports>, RandomState>,
    pub(super) translations: ArcSwap<Vec<(Realm, Translation)>>,
    realms: ArcSwap<HashMap<Name, Realm>>,
    lengths: LengthsInUse,
    statics: ArcSwap<(Statics, LengthsInUse)>,
    never: ArcSwap<Vec<IpNet>>,
    open: ArcSwap<Vec<OpenPool>>,
    nases: ArcSwap<Vec<Arc<Nas>>>,
}

impl LiveMap {
    /// Who owns this address, or this port of it, now. Reads only; never waits for the writer beyond one shard's short
    /// lock.
    #[must_use]
    pub fn lookup(&self, realm: Realm, address: IpAddr, port: Option<u16>, now: Timestamp) -> Lookup {
        let realm = realm.around(address);
        if let Some(found) = self.fixed(realm, address) {
            return Lookup::Found(found);
        }
        if let Some(answer) = self.shared(realm, address, port, now) {
            return answer;
        }
        self.unshared(realm, address, now)
    }

    /// Who owns the whole of an address.
    pub(super) fn unshared(&self, realm: Realm, address: IpAddr, now: Timestamp) -> Lookup {
        // A longer prefix that somebody may have still, since it was claimed then.
        let mut left: Option<Timestamp> = None;
        let hit = self.lengths.longest_first(address).find_map(|prefix| {
            let slot = self.slots.get(Place { realm, prefix, ports: Ports::ALL })?;
            match &slot {
                Slot::Owned(binding) if left.is_none_or(|left| binding.since > left) => {
                    let found = Found::from((binding, prefix));
                    if binding.is_believed() {
                        return Some(Lookup::Found(found));
                    }
                    Some(Lookup::Unready(Doubt::Suspect, Some(found)))
                }
                Slot::Contested(bindings) => Some(Lookup::Ambiguous(
                    bindings.iter().map(|binding| Found::from((binding, prefix))).collect(),
                )),
                Slot::Owned(_) => Some(Lookup::Unready(Doubt::Suspect, None)),
                slot @ Slot::Freed(freed) => match slot.doubt(now)? {
                    Doubt::Suspect => {
                        left.get_or_insert(freed.claimed);
                        None
                    }
                    doubt => Some(Lookup::Unready(doubt, None)),
                },
            }
        });
        match hit {
            Some(Lookup::Found(found)) => match self.wider_and_newer(realm, address, &found) {
                Some(wider) => Lookup::Ambiguous(vec![found, wider]),
                None => Lookup::Found(found),
            },
            Some(other) => other,
            None if left.is_some() => Lookup::Unready(Doubt::Suspect, None),
            None => self.unowned(address, now),
        }
    }

    /// Packets go to the longest prefix as long as its session lives. Was it not heard since another subscriber was given
    /// a wider one around it, then its Stop may be lost and the address be the other's: neither is to be named.
    fn wider_and_newer(&self, realm: Realm, address: IpAddr, found: &Found) -> Option<Found> {
        let seen = found.session.as_ref()?.seen();
        self.lengths.longest_first(address).find_map(|prefix| {
            if prefix.prefix_len() >= found.prefix.prefix_len() {
                return None;
            }
            match &self.slots.get(Place { realm, prefix, ports: Ports::ALL })? {
                Slot::Owned(wider)
                    if wider.since > seen
                        && !same_subscriber(wider.session.subscriber_octets(), found.subscriber_octets()) =>
                {
                    Some(Found::from((wider, prefix)))
                }
                _ => None,
            }
        })
    }

    /// The hold of the living session of this key, if it owns or contests this very place.
    #[must_use]
    pub fn holder(&self, place: Place, key: &SessionKey) -> Option<Binding> {
        let slot = self.slots.get(place)?;
        slot.holders().iter().find(|binding| binding.session.is_called(key)).cloned()
    }

    /// Whether an address belongs to us in a way that must never relay.
    #[must_use]
    pub fn is_never(&self, address: IpAddr) -> bool {
        self.never.load().iter().any(|prefix| prefix.contains(&address))
    }

    /// The NASes heard of so far, in the order in which they were.
    #[must_use]
    pub fn nases(&self) -> Arc<Vec<Arc<Nas>>> {
        self.nases.load_full()
    }

    /// Prefixes that somebody owns or contests.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut held = 0_usize;
        self.slots.each(|_, slot| held = held.saturating_add(usize::from(!matches!(slot, Slot::Freed(_)))));
        held
    }

    /// Every prefix at which an answer of this space may begin to differ from that of its neighbours: owned, contested,
    /// freed or shared by ports, static, never. In no order.
    #[must_use]
    pub fn prefixes(&self, realm: Realm) -> Vec<IpNet> {
        let mut prefixes = Vec::new();
        self.slots.each(|place, _| {
            if place.realm == realm {
                prefixes.push(place.prefix);
            }
        });
        prefixes.extend(self.translations.load().iter().map(|(_, translation)| translation.outside));
        prefixes.extend(self.statics.load().0.keys());
        prefixes.extend(self.never.load().iter());
        prefixes
    }

    /// Whether nobody owns anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whose pools are not whole at this moment, why, and until when: for people.
    #[must_use]
    pub fn doubts(&self, now: Timestamp) -> Vec<(Name, Doubt, Timestamp)> {
        let open = self.open.load();
        let open = open.iter().filter(|pool| now < pool.until);
        open.map(|pool| (pool.client.clone(), pool.doubt, pool.until)).collect()
    }

    /// The static prefix an address belongs to. Statics win: the operator wrote them down by name.
    pub(super) fn fixed(&self, realm: Realm, address: IpAddr) -> Option<Found> {
        if realm != Realm::PUBLIC {
            return None;
        }
        let fixed = self.statics.load();
        let (statics, lengths) = fixed.as_ref();
        lengths.longest_first(address).find_map(|prefix| {
            let (subscriber, since) = statics.get(&prefix)?;
            Some(Found { session: None, fixed: Some(subscriber.clone()), prefix, since: *since })
        })
    }

    pub(super) fn unowned(&self, address: IpAddr, now: Timestamp) -> Lookup {
        let open = self.open.load();
        let covers = |pool: &&OpenPool| {
            now < pool.until
                && (pool.prefixes.is_empty() || pool.prefixes.iter().any(|prefix| prefix.contains(&address)))
        };
        open.iter().find(covers).map_or(Lookup::Absent, |pool| Lookup::Unready(pool.doubt, None))
    }

    pub(super) fn slot(&self, place: Place) -> Option<Slot> {
        self.slots.get(place)
    }

    /// Looks at what stands at a place without taking a copy; nothing may be put meanwhile.
    pub(super) fn see<T>(&self, place: Place, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        self.slots.see(place, look)
    }

    /// Replaces in place: readers see the old slot or the new one, never nothing.
    pub(super) fn put(&self, place: Place, slot: Slot) {
        // Counted first: a reader that misses the length, or the block, would miss the slot. Nobody else puts something there.
        if place.ports.is_all() {
            return self.slots.put(place, slot, || self.lengths.add(place.prefix));
        }
        // Not within the slots' lock: readers hold that of the blocks while they ask for slots.
        if !self.slots.contains(place) {
            let mut blocks = self.blocks.entry((place.realm, place.prefix.addr())).or_default();
            // In order, so that whoever is told first does not depend on who came first: a snapshot forgets that.
            let at = blocks.partition_point(|ports| *ports < place.ports);
            blocks.insert(at, place.ports);
        }
        self.slots.put(place, slot, || {});
    }

    pub(super) fn clear(&self, place: Place) {
        if !self.slots.remove(place) {
            return;
        }
        if place.ports.is_all() {
            return self.lengths.remove(place.prefix);
        }
        let address = (place.realm, place.prefix.addr());
        self.blocks.remove_if_mut(&address, |_, blocks| {
            blocks.retain(|ports| *ports != place.ports);
            blocks.is_empty()
        });
    }

    /// Each slot but those with one owner of whom nothing more is known than the session and its claim.
    pub(super) fn each_unusual_slot(&self, visit: impl FnMut(Place, &Slot)) {
        self.slots.each_unusual(visit);
    }

    /// Makes room for so many slots more.
    pub(super) fn reserve(&self, more: usize) {
        self.slots.reserve(more);
    }

    /// The space of this name: the public one where there is none, and [`Realm::NOWHERE`] before anything was heard of
    /// it.
    #[must_use]
    pub fn realm(&self, name: Option<&Name>) -> Realm {
        let Some(name) = name else { return Realm::PUBLIC };
        self.realms.load().get(name).copied().unwrap_or(Realm::NOWHERE)
    }

    pub(super) fn publish_realms(&self, realms: HashMap<Name, Realm>) {
        self.realms.store(Arc::new(realms));
    }

    pub(super) fn publish_translations(&self, translations: Vec<(Realm, Translation)>) {
        self.translations.store(Arc::new(translations));
    }

    pub(super) fn publish_statics(&self, statics: Statics, never: Vec<IpNet>) {
        let lengths = LengthsInUse::default();
        statics.keys().for_each(|&prefix| lengths.add(prefix));
        self.statics.store(Arc::new((statics, lengths)));
        self.never.store(Arc::new(never));
    }

    pub(super) fn publish_open(&self, open: Vec<OpenPool>) {
        if *self.open.load_full() != open {
            self.open.store(Arc::new(open));
        }
    }

    pub(super) fn publish_nases(&self, nases: Vec<Arc<Nas>>) {
        self.nases.store(Arc::new(nases));
    }
}
