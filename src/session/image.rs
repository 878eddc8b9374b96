//! The machine as octets and back: what a snapshot holds of sessions.
//!
//! Knows: every field that a fold may read. Must not know: files, or when a snapshot is taken.

use std::net::IpAddr;
use std::sync::Arc;
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
use super::nas::{NasImage, NasState};
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
    pub fn restore(map: Arc<LiveMap>, image: Image) -> Self {
        Machine::restore_by(map, image, one_after_the_other)
    }

    /// The same, with what need not wait for each other done as whoever asks does it.
    #[must_use]
    pub fn restore_by(map: Arc<LiveMap>, image: Image, both: Both) -> Self {
        let mut machine = Machine::new(map);
        machine.now = image.now;
        machine.statics = image.statics.into_iter().map(|(net, name, since)| (net, (name, since))).collect();
        machine.realms = image.realms.into_iter().collect();
        machine.map.publish_realms(machine.realms.clone());
        machine.applied = image.applied;
        machine.listed = Listed::new(&machine.applied.listed);
        machine.publish_applied();
        machine.clients_resumed = image.clients_resumed.into_iter().collect();
        for (number, nas) in (0_u32..).zip(image.nases) {
            let state = NasState::from_image(number, nas);
            machine.nas_numbers.insert(state.shared.name.clone(), number);
            machine.nases.push(state);
        }
        machine.map.publish_nases(machine.nases.iter().map(|nas| Arc::clone(&nas.shared)).collect());
        let mut of_nas = vec![0_usize; machine.nases.len()];
        for session in &image.sessions {
            of_nas
                .get_mut(session.id.nas as usize)
                .into_iter()
                .for_each(|count| *count = count.saturating_add(1));
        }
        machine.sessions.reserve(&of_nas);
        for session in image.sessions {
            if let Some(nas) = machine.nases.get_mut(session.id.nas as usize) {
                nas.reporting = nas.reporting.saturating_add(u64::from(session.interval.known().is_some()));
                let (id, held) = session.revive(nas, &mut machine.scopes);
                machine.sessions.insert(&id, held);
            }
        }
        machine.enrol_all(both);
        machine.tombstones = image.tombstones.into_iter().collect();
        for slot in image.slots {
            let place = slot.place();
            if let Some(slot) = slot.revive(&machine.sessions) {
                machine.map.put(place, slot);
            }
        }
        machine.requeue();
        machine.publish_coverage();
        machine
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

    /// The reverse.
    ///
    /// # Errors
    /// These octets are no sessions.
    pub fn unpack_sessions(&mut self, parts: &[&[u8]], both: Both) -> postcard::Result<()> {
        let (front, back) = parts.split_at(parts.len() / 2);
        let (mut one, mut other) = (Ok(Vec::new()), Ok(Vec::new()));
        both(&mut || one = unpacked(front), &mut || other = unpacked(back));
        self.sessions.append(&mut one?);
        self.sessions.append(&mut other?);
        Ok(())
    }

    /// The same in an order of its own: images of equal states are equal then.
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

fn unpacked(parts: &[&[u8]]) -> postcard::Result<Vec<SessionImage>> {
    let mut sessions = Vec::with_capacity(parts.len().saturating_mul(OF_A_PART));
    for part in parts {
        sessions.append(&mut postcard::from_bytes(part)?);
    }
    Ok(sessions)
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

    fn revive(self, nas: &NasState, scopes: &mut Scopes) -> (Id, Held) {
        let saying = Saying {
            id: self.id.session.clone(),
            incarnation: self.incarnation,
            claimed: self.claimed,
            subscriber: self.subscriber,
            user_name: self.user_name,
            line: self.line,
            inside: self.inside,
        };
        let session = Session::new(&saying, Arc::clone(&nas.shared), self.seen);
        let scope = scopes.shared(&self.scope);
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
