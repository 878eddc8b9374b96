//! The machine as octets and back: what a snapshot holds of sessions.
//!
//! Knows: every field that a fold may read. Must not know: files, or when a snapshot is taken.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::alive::{Saying, Session};
use super::bindings::LiveMap;
use super::event::{Applied, Scope};
use super::held::{Claims, Held, Hold, Id, Sources, State, Tombstone};
use super::interval::Interval;
use super::listed::Listed;
use super::machine::Machine;
use super::nas::{Nas, NasImage, NasState};
use super::ownership::id_of;
use super::scopes::Scopes;
use super::sessions::Sessions;
use super::slot::{Against, Binding, Freed, Slot};
use super::{Line, Name, Place, Realm, Timestamp};

/// So many sessions are packed together.
const OF_A_PART: usize = 4096;

/// Does two things, neither of which waits for the other: side by side, where whoever asks has threads for it.
pub type Both = fn(&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send));

/// Does them without a thread.
pub fn one_after_the_other(one: &mut (dyn FnMut() + Send), other: &mut (dyn FnMut() + Send)) {
    one();
    other();
}

/// A machine at rest. Of the slots only those that the sessions' claims do not tell.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    now: Timestamp,
    applied: Applied,
    statics: Vec<(IpNet, Name, Timestamp)>,
    nases: Vec<NasImage>,
    clients_resumed: Vec<(Name, Timestamp)>,
    realms: Vec<(Name, Realm)>,
    sessions: Vec<SessionImage>,
    tombstones: Vec<(Id, Tombstone)>,
    slots: Vec<SlotImage>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SessionImage {
    id: Id,
    incarnation: Timestamp,
    claimed: Timestamp,
    subscriber: Option<Name>,
    user_name: Option<Name>,
    line: Line,
    seen: Timestamp,
    state: State,
    claims: Claims,
    address_at: Timestamp,
    started: Option<Timestamp>,
    born_after: Timestamp,
    session_time: Option<u32>,
    interval: Interval,
    interval_of_nas: Option<Duration>,
    scope: Scope,
    realm: Realm,
    whole: Sources,
    host: Option<Name>,
    doubted: bool,
    inside: Option<(Realm, IpAddr)>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum SlotImage {
    Held { place: Place, claimants: Vec<(Id, Timestamp, Against)> },
    Freed { place: Place, freed: Freed },
}

impl Machine {
    /// Everything a fold may read, in no order: whoever waits for it waits for no sorting.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut image = Image {
            now: self.now,
            applied: self.applied.clone(),
            statics: self.statics.iter().map(|(net, (name, since))| (*net, name.clone(), *since)).collect(),
            nases: self.nases.iter().map(NasState::image).collect(),
            clients_resumed: self.clients_resumed.iter().map(|(name, at)| (name.clone(), *at)).collect(),
            realms: self.realms.iter().map(|(name, realm)| (name.clone(), *realm)).collect(),
            sessions: self.sessions.values().map(SessionImage::of).collect(),
            tombstones: self.tombstones.iter().map(|(id, tomb)| (id.clone(), tomb.clone())).collect(),
            slots: Vec::new(),
        };
        self.map.each_unusual_slot(|place, slot| image.slots.push(SlotImage::of(place, slot)));
        image
    }

    /// A machine that goes on where the image was taken.
    #[must_use]
    pub fn restore(map: Arc<LiveMap>, mut image: Image) -> Self {
        let mut machine = Machine::without_sessions(map, &mut image);
        Reviving::into(&mut machine).all(std::mem::take(&mut image.sessions));
        machine.go_on(image, one_after_the_other)
    }

    /// The same where its sessions were taken out of it in parts, with what need not wait for each other done as whoever asks does it.
    ///
    /// # Errors
    /// These octets are no sessions.
    pub fn restore_by(
        map: Arc<LiveMap>,
        mut image: Image,
        parts: &[&[u8]],
        both: Both,
    ) -> postcard::Result<Self> {
        let mut machine = Machine::without_sessions(map, &mut image);
        let reviving = Reviving::into(&mut machine);
        // Older versions have them in one.
        reviving.all(std::mem::take(&mut image.sessions));
        let next = AtomicUsize::new(0);
        let unpack = || {
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                reviving.all(postcard::from_bytes(part)?);
            }
            Ok(())
        };
        let (mut one, mut other) = (Ok(()), Ok(()));
        both(&mut || one = unpack(), &mut || other = unpack());
        one.and(other).map(|()| machine.go_on(image, both))
    }

    fn without_sessions(map: Arc<LiveMap>, image: &mut Image) -> Self {
        let mut machine = Machine::new(map);
        machine.now = image.now;
        machine.statics = image.statics.drain(..).map(|(net, name, since)| (net, (name, since))).collect();
        machine.realms = image.realms.drain(..).collect();
        machine.map.publish_realms(machine.realms.clone());
        machine.applied = image.applied.clone();
        machine.listed = Listed::new(&machine.applied.listed);
        machine.publish_applied();
        machine.clients_resumed = image.clients_resumed.drain(..).collect();
        for (number, nas) in (0_u32..).zip(image.nases.drain(..)) {
            let state = NasState::from_image(number, nas);
            machine.nas_numbers.insert(state.shared.name.clone(), number);
            machine.nases.push(state);
        }
        machine.map.publish_nases(machine.nases.iter().map(|nas| Arc::clone(&nas.shared)).collect());
        machine
    }

    /// With all sessions there: what is found by them, and the rest of the image.
    fn go_on(mut self, image: Image, both: Both) -> Self {
        self.enrol_all(both);
        self.tombstones = image.tombstones.into_iter().collect();
        for slot in image.slots {
            let place = slot.place();
            if let Some(slot) = slot.revive(&self.sessions) {
                self.map.put(place, slot);
            }
        }
        self.requeue();
        self.publish_coverage();
        self
    }
}

/// Makes sessions of their images as these are unpacked, by any number of threads: all images at once would take more room than the
/// sessions do, and be out of a processor's reach before they are looked at.
struct Reviving<'a> {
    heads: Vec<Arc<Nas>>,
    scopes: Mutex<&'a mut Scopes>,
    kept: Mutex<(&'a mut Sessions, &'a mut [NasState])>,
}

impl<'a> Reviving<'a> {
    fn into(machine: &'a mut Machine) -> Self {
        let Machine { sessions, nases, scopes, .. } = machine;
        let heads = nases.iter().map(|nas| Arc::clone(&nas.shared)).collect();
        Reviving { heads, scopes: Mutex::new(scopes), kept: Mutex::new((sessions, nases)) }
    }

    fn all(&self, images: Vec<SessionImage>) {
        let revive = |image: SessionImage| {
            let head = self.heads.get(image.id.nas as usize)?;
            Some(image.revive(Arc::clone(head), &self.scopes))
        };
        let revived: Vec<_> = images.into_iter().filter_map(revive).collect();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (sessions, nases) = &mut *kept;
        for (id, held) in revived {
            if let Some(nas) = nases.get_mut(id.nas as usize) {
                nas.reporting = nas.reporting.saturating_add(u64::from(held.interval.known().is_some()));
            }
            sessions.insert(&id, held);
        }
    }
}

impl Held {
    /// What a session has, as if nothing more were known about it. What is known follows.
    pub(super) fn map_usual(&self, map: &LiveMap) {
        let owned = self.claims.iter().filter(|claim| claim.hold == Hold::Owns);
        for claim in owned {
            let binding = Binding::new(self.session.clone(), self.session.claimed());
            map.put(self.place(claim.prefix, claim.ports), Slot::Owned(binding));
        }
    }
}

impl Image {
    /// Takes the sessions out of it, packed in parts that can be unpacked side by side.
    ///
    /// # Errors
    /// Never, into memory; the library can't say so.
    pub fn pack_sessions(&mut self) -> postcard::Result<Vec<Vec<u8>>> {
        std::mem::take(&mut self.sessions).chunks(OF_A_PART).map(postcard::to_stdvec).collect()
    }

    /// It, in an order of its own: images of equal states are equal then.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.statics.sort_by_key(|(prefix, ..)| *prefix);
        self.clients_resumed.sort();
        self.realms.sort();
        self.sessions.sort_by(|a, b| a.id.cmp(&b.id));
        self.tombstones.sort_by(|a, b| a.0.cmp(&b.0));
        self.slots.sort_by_key(SlotImage::place);
        self
    }
}

impl SessionImage {
    fn of(held: &Held) -> Self {
        let session = &held.session;
        SessionImage {
            id: id_of(session),
            incarnation: session.incarnation(),
            claimed: session.claimed(),
            subscriber: session.subscriber(),
            user_name: session.user_name(),
            line: session.line(),
            seen: session.seen(),
            state: held.state(),
            claims: held.claims.clone(),
            address_at: held.address_at,
            started: held.started(),
            born_after: held.born_after(),
            session_time: held.session_time,
            interval: held.interval,
            interval_of_nas: held.interval_of_nas(),
            scope: Scope { nas_port: held.nas_port, ..held.scope.as_ref().clone() },
            realm: held.realm,
            whole: held.whole,
            host: held.host().cloned(),
            doubted: held.doubted,
            inside: session.inside(),
        }
    }

    fn revive(self, nas: Arc<Nas>, scopes: &Mutex<&mut Scopes>) -> (Id, Held) {
        let saying = Saying {
            id: self.id.session.clone(),
            incarnation: self.incarnation,
            claimed: self.claimed,
            subscriber: self.subscriber,
            user_name: self.user_name,
            line: self.line,
            inside: self.inside,
        };
        let session = Session::new(&saying, nas, self.seen);
        let scope = scopes.lock().unwrap_or_else(PoisonError::into_inner).shared(&self.scope);
        let mut held = Held::new(session, self.state, self.born_after, scope);
        held.claims = self.claims;
        held.address_at = self.address_at;
        held.is_started = self.started.is_some();
        held.session_time = self.session_time;
        held.interval = self.interval;
        held.set_interval_of_nas(self.interval_of_nas);
        held.nas_port = self.scope.nas_port;
        held.realm = self.realm;
        held.whole = self.whole;
        held.set_host(self.host.as_ref());
        held.doubted = self.doubted;
        held.begin();
        (self.id, held)
    }
}

impl SlotImage {
    fn of(place: Place, slot: &Slot) -> Self {
        if let Slot::Freed(freed) = slot {
            return SlotImage::Freed { place, freed: freed.as_ref().clone() };
        }
        let named = |one: &Binding| (id_of(&one.session), one.since, one.against().clone());
        SlotImage::Held { place, claimants: slot.holders().iter().map(named).collect() }
    }

    fn place(&self) -> Place {
        match self {
            SlotImage::Held { place, .. } | SlotImage::Freed { place, .. } => *place,
        }
    }

    fn revive(self, sessions: &Sessions) -> Option<Slot> {
        match self {
            SlotImage::Freed { freed, .. } => Some(Slot::Freed(Box::new(freed))),
            SlotImage::Held { claimants, .. } => {
                let mut claimants: Vec<_> = claimants
                    .into_iter()
                    .filter_map(|(id, since, against)| {
                        let session = sessions.get(&id)?.session.clone();
                        Some(Binding::remembering(session, since, against))
                    })
                    .collect();
                match claimants.len() {
                    0 | 1 => claimants.pop().map(Slot::Owned),
                    _ => Some(Slot::Contested(claimants)),
                }
            }
        }
    }
}
