//! The live map: which session owns which prefix at this moment. Read by everybody, written by the machine alone.
//!
//! Knows: slots by prefix, statics, which pools are not whole, longest match. Must not know: why a session lives or
//! dies, records, or what an MTA makes of an answer. Writing is private to `session`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ipnet::IpNet;

use super::nas::Nas;
use super::{Line, Name, Realm, SessionKey, Timestamp};

/// A living session as everybody may see it. What changes with every interim update is atomic; the rest is replaced.
#[derive(Debug)]
pub struct Session {
    /// Its name.
    pub key: SessionKey,
    /// Whose it is.
    pub subscriber: Option<Name>,
    /// User-Name as it came.
    pub user_name: Option<Name>,
    /// Where its line ends.
    pub line: Line,
    /// Which NAS reports it.
    pub nas: Arc<Nas>,
    seen: AtomicI64,
    certain: AtomicU8,
}

impl Session {
    pub(super) fn new(
        key: SessionKey,
        subscriber: Option<Name>,
        user_name: Option<Name>,
        line: Line,
        nas: Arc<Nas>,
        seen: Timestamp,
    ) -> Self {
        let (seen, certain) = (AtomicI64::new(seen.millis()), AtomicU8::new(1));
        Session { key, subscriber, user_name, line, nas, seen, certain }
    }

    /// When it was last heard of alive, by event time.
    #[must_use]
    pub fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.seen.load(Ordering::Relaxed))
    }

    /// Whether it is active rather than suspect.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.certain.load(Ordering::Acquire) != 0
    }

    /// Whether what we know of it dates from before we last lost sight of its NAS.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.nas.is_silent() || self.seen() < self.nas.whole_since()
    }

    pub(super) fn see(&self, at: Timestamp) {
        self.seen.fetch_max(at.millis(), Ordering::Relaxed);
    }

    pub(super) fn set_active(&self, active: bool) {
        self.certain.store(u8::from(active), Ordering::Release);
    }
}

/// A session's hold on one prefix.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Who holds it.
    pub session: Arc<Session>,
    /// Event time of the claim.
    pub since: Timestamp,
    /// Event time of the newest claim that lost against it: when this one is gone, nothing older may win.
    pub(super) outdone: Timestamp,
}

/// What stands at one prefix.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    /// One owner.
    Owned(Binding),
    /// Live sessions of different subscribers claim it in turn.
    Contested(Vec<Binding>),
    /// Nobody, and deferred `until`. `claimed` is the last owner's claim: an older one that comes late must not win,
    /// so the slot stays for as long as such a one may come.
    Freed { claimed: Timestamp, until: Timestamp, forget: Timestamp },
}

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
    pub session: Option<Arc<Session>>,
    /// Whose it is; `None` when no identity rule found a name.
    pub subscriber: Option<Name>,
    /// The prefix that matched.
    pub prefix: IpNet,
    /// Since when.
    pub since: Timestamp,
}

impl From<(&Binding, IpNet)> for Found {
    fn from((binding, prefix): (&Binding, IpNet)) -> Self {
        let session = Arc::clone(&binding.session);
        Found { subscriber: session.subscriber.clone(), session: Some(session), prefix, since: binding.since }
    }
}

/// Why the map does not know. Never folded into `Absent`: that one bounces mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The owner stopped moments ago.
    JustFreed,
    /// The owner is suspect.
    Suspect,
    /// Not heard long enough since a receiving gap.
    WarmUp,
    /// The NAS that would know is silent.
    NasSilent,
    /// The NAS that would know is replaying old records.
    NasLagging,
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
    slots: DashMap<(Realm, IpNet), Slot>,
    lengths: LengthsInUse,
    statics: ArcSwap<(Statics, LengthsInUse)>,
    never: ArcSwap<Vec<IpNet>>,
    open: ArcSwap<Vec<OpenPool>>,
    nases: ArcSwap<Vec<Arc<Nas>>>,
}

impl LiveMap {
    /// Who owns this address now. Reads only; never waits for the writer beyond one shard's short lock.
    #[must_use]
    pub fn lookup(&self, realm: Realm, address: IpAddr, now: Timestamp) -> Lookup {
        if let Some(found) = self.fixed(realm, address) {
            return Lookup::Found(found);
        }
        let hit = self.lengths.longest_first(address).find_map(|prefix| {
            let slot = self.slots.get(&(realm, prefix))?;
            match slot.value() {
                Slot::Owned(binding) => {
                    let found = Found::from((binding, prefix));
                    if binding.session.is_active() {
                        return Some(Lookup::Found(found));
                    }
                    Some(Lookup::Unready(Doubt::Suspect, Some(found)))
                }
                Slot::Contested(bindings) => Some(Lookup::Ambiguous(
                    bindings.iter().map(|binding| Found::from((binding, prefix))).collect(),
                )),
                Slot::Freed { until, .. } if now < *until => Some(Lookup::Unready(Doubt::JustFreed, None)),
                Slot::Freed { .. } => None,
            }
        });
        match hit {
            Some(Lookup::Found(found)) => match self.wider_and_newer(realm, address, &found) {
                Some(wider) => Lookup::Ambiguous(vec![found, wider]),
                None => Lookup::Found(found),
            },
            Some(other) => other,
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
            match self.slots.get(&(realm, prefix))?.value() {
                Slot::Owned(wider)
                    if wider.since > seen
                        && !same_subscriber(wider.session.subscriber.as_ref(), found.subscriber.as_ref()) =>
                {
                    Some(Found::from((wider, prefix)))
                }
                _ => None,
            }
        })
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
        self.slots.iter().filter(|slot| !matches!(slot.value(), Slot::Freed { .. })).count()
    }

    /// Every prefix at which an answer of this space may begin to differ from that of its neighbours: owned, contested
    /// or freed, static, never. In no order.
    #[must_use]
    pub fn prefixes(&self, realm: Realm) -> Vec<IpNet> {
        let slots = self.slots.iter().map(|slot| *slot.key()).filter(|(space, _)| *space == realm);
        let mut prefixes: Vec<IpNet> = slots.map(|(_, prefix)| prefix).collect();
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
    fn fixed(&self, realm: Realm, address: IpAddr) -> Option<Found> {
        if realm != Realm::PUBLIC {
            return None;
        }
        let fixed = self.statics.load();
        let (statics, lengths) = fixed.as_ref();
        lengths.longest_first(address).find_map(|prefix| {
            let (subscriber, since) = statics.get(&prefix)?;
            Some(Found { session: None, subscriber: Some(subscriber.clone()), prefix, since: *since })
        })
    }

    fn unowned(&self, address: IpAddr, now: Timestamp) -> Lookup {
        let open = self.open.load();
        let covers = |pool: &&OpenPool| {
            now < pool.until
                && (pool.prefixes.is_empty() || pool.prefixes.iter().any(|prefix| prefix.contains(&address)))
        };
        open.iter().find(covers).map_or(Lookup::Absent, |pool| Lookup::Unready(pool.doubt, None))
    }

    pub(super) fn slot(&self, realm: Realm, prefix: IpNet) -> Option<Slot> {
        self.slots.get(&(realm, prefix)).map(|slot| slot.value().clone())
    }

    /// Replaces in place: readers see the old slot or the new one, never nothing.
    pub(super) fn put(&self, realm: Realm, prefix: IpNet, slot: Slot) {
        match self.slots.entry((realm, prefix)) {
            Entry::Occupied(mut occupied) => {
                occupied.insert(slot);
            }
            Entry::Vacant(vacant) => {
                // Counted first: a reader that misses the length would miss the slot.
                self.lengths.add(prefix);
                vacant.insert(slot);
            }
        }
    }

    pub(super) fn clear(&self, realm: Realm, prefix: IpNet) {
        if self.slots.remove(&(realm, prefix)).is_some() {
            self.lengths.remove(prefix);
        }
    }

    pub(super) fn each_slot(&self, mut visit: impl FnMut(Realm, IpNet, &Slot)) {
        for slot in &self.slots {
            let (realm, prefix) = *slot.key();
            visit(realm, prefix, slot.value());
        }
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

/// Which prefix lengths occur at all: a longest match probes only those, two or three in practice.
#[derive(Debug)]
struct LengthsInUse {
    counts: [AtomicU64; 33 + 129],
    /// One bit per length and family; a copy of `counts != 0` that is read in three loads.
    present: [AtomicU64; 4],
}

impl Default for LengthsInUse {
    fn default() -> Self {
        LengthsInUse { counts: [const { AtomicU64::new(0) }; 33 + 129], present: Default::default() }
    }
}

impl LengthsInUse {
    /// Position of a length: IPv4 lengths first, then those of IPv6.
    fn position(prefix: IpNet) -> usize {
        match prefix {
            IpNet::V4(net) => usize::from(net.prefix_len()),
            IpNet::V6(net) => 33 + usize::from(net.prefix_len()),
        }
    }

    fn add(&self, prefix: IpNet) {
        let position = Self::position(prefix);
        if let (Some(count), Some(word)) = (self.counts.get(position), self.present.get(position / 64)) {
            count.fetch_add(1, Ordering::AcqRel);
            word.fetch_or(1 << (position % 64), Ordering::AcqRel);
        }
    }

    /// Only the single writer removes, so nobody adds between the count and the bit.
    fn remove(&self, prefix: IpNet) {
        let position = Self::position(prefix);
        if let (Some(count), Some(word)) = (self.counts.get(position), self.present.get(position / 64))
            && count.fetch_sub(1, Ordering::AcqRel) == 1
        {
            word.fetch_and(!(1 << (position % 64)), Ordering::AcqRel);
        }
    }

    /// The prefixes of an address by the lengths in use, longest first. Only bits that are set cost anything.
    fn longest_first(&self, address: IpAddr) -> impl Iterator<Item = IpNet> + '_ {
        let family = match address {
            IpAddr::V4(_) => 0..33,
            IpAddr::V6(_) => 33..33 + 129,
        };
        let mut words = (0..self.present.len()).rev();
        let (mut word, mut base) = (0_u64, 0);
        std::iter::from_fn(move || {
            loop {
                while word != 0 {
                    let bit = 63 - word.leading_zeros() as usize;
                    word &= !(1 << bit);
                    let position = base + bit;
                    if family.contains(&position) {
                        let length = u8::try_from(position - family.start).ok()?;
                        return IpNet::new(address, length).ok().map(|net| net.trunc());
                    }
                }
                let next = words.next()?;
                base = next * 64;
                word = self.present.get(next)?.load(Ordering::Acquire);
            }
        })
    }
}

/// Two names for "the same subscriber": both known and equal.
pub(super) fn same_subscriber(a: Option<&Name>, b: Option<&Name>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn only_lengths_in_use_are_probed_longest_first() {
        let lengths = LengthsInUse::default();
        for prefix in ["192.0.2.0/24", "192.0.2.7/32", "2001:db8::/56", "2001:db8::/128", "0.0.0.0/0", "::/0"]
        {
            lengths.add(net(prefix));
        }
        let probed: Vec<_> = lengths.longest_first("192.0.2.9".parse().unwrap()).collect();
        assert_eq!(probed, [net("192.0.2.9/32"), net("192.0.2.0/24"), net("0.0.0.0/0")]);
        lengths.remove(net("192.0.2.0/24"));
        let probed: Vec<_> = lengths.longest_first("192.0.2.9".parse().unwrap()).collect();
        assert_eq!(probed, [net("192.0.2.9/32"), net("0.0.0.0/0")]);
        let probed: Vec<_> = lengths.longest_first("2001:db8:0:ff::9".parse().unwrap()).collect();
        assert_eq!(probed, [net("2001:db8:0:ff::9/128"), net("2001:db8::/56"), net("::/0")]);
    }

    #[test]
    fn a_length_goes_with_its_last_prefix() {
        let lengths = LengthsInUse::default();
        lengths.add(net("192.0.2.1/32"));
        lengths.add(net("192.0.2.2/32"));
        lengths.remove(net("192.0.2.1/32"));
        assert_eq!(lengths.longest_first("192.0.2.2".parse().unwrap()).count(), 1);
        lengths.remove(net("192.0.2.2/32"));
        assert_eq!(lengths.longest_first("192.0.2.2".parse().unwrap()).count(), 0);
    }
}
