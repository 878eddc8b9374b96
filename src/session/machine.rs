//! The session machine: folds events into who owns which address. Pure: an event and the state before it.
//!
//! Knows: the state that is folded, who speaks, and what was applied. Must not know: clocks, sockets, configuration text,
//! how a record was decoded; and what a record means for its session, which is in `records.rs`.
//!
//! Deadlines take effect at their own time, whenever they are processed: `fold` first lets everything happen that was
//! due before the event, so that replaying a log and living through it come to the same state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::HashMap;
use ipnet::IpNet;

use super::bindings::{Binding, LiveMap, Session};
use super::crowds::Crowds;
use super::effect::{Alarm, Effect};
use super::event::{Applied, ClockOffset, Event, Kind, Record, Refresh, Release, Rules};
use super::held::{Hold, Id, State, Suspicion, Tombstone, began};
use super::kin::Hosts;
use super::listed::Listed;
use super::nas::{LAG, LAG_LASTS, NasState};
use super::queue::Queue;
use super::scopes::Scopes;
use super::sessions::Sessions;
use super::{Name, Place, Realm, Timestamp};

/// A receiving gap up to this loses nothing: every NAS sends again for longer.
pub const GAP_BRIDGED: Duration = Duration::from_secs(10);

/// Sessions, tombstones, NASes and the live map that they write.
///
/// What is asked for every record is hashed with a seed of this process, as names come from outside, and fast: an attacker
/// sees no more of a table than how soon it answers, behind a write to a disk.
pub struct Machine {
    pub(super) map: Arc<LiveMap>,
    pub(super) applied: Applied,
    pub(super) statics: HashMap<IpNet, (Name, Timestamp)>,
    pub(super) sessions: Sessions,
    pub(super) scopes: Scopes,
    pub(super) tombstones: HashMap<Id, Tombstone>,
    pub(super) nases: Vec<NasState>,
    pub(super) nas_numbers: HashMap<Name, u32>,
    /// Since when each RADIUS client is listened to without a gap, where there was one.
    pub(super) clients_resumed: HashMap<Name, Timestamp>,
    /// The number of each VRF, in the order in which they were first heard of.
    pub(super) realms: HashMap<Name, Realm>,
    /// The accounts of each host: by NAS and Acct-Multi-Session-Id the Acct-Session-Ids.
    pub(super) hosts: Hosts,
    pub(super) crowds: Crowds,
    pub(super) listed: Listed,
    pub(super) deadlines: Queue,
    pub(super) now: Timestamp,
    /// The subscriber whom the last record named: what it does speaks of the same one again and again, and a long name is
    /// then shared rather than made anew from what its session keeps.
    spoken_of: Option<Name>,
}

impl Machine {
    /// An empty machine that writes this map.
    #[must_use]
    pub fn new(map: Arc<LiveMap>) -> Self {
        Machine {
            map,
            applied: Applied::default(),
            statics: HashMap::default(),
            sessions: Sessions::default(),
            scopes: Scopes::default(),
            tombstones: HashMap::default(),
            nases: Vec::new(),
            nas_numbers: HashMap::default(),
            clients_resumed: HashMap::default(),
            realms: HashMap::default(),
            hosts: Hosts::default(),
            crowds: Crowds::default(),
            listed: Listed::default(),
            deadlines: Queue::default(),
            now: Timestamp::EARLIEST,
            spoken_of: None,
        }
    }

    /// The map it writes.
    #[must_use]
    pub fn map(&self) -> &Arc<LiveMap> {
        &self.map
    }

    /// What was applied last.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// How far the NASes' clocks are from ours, as far as their records tell.
    pub fn clock_offsets(&self) -> impl Iterator<Item = (&Name, ClockOffset)> {
        self.nases.iter().filter_map(|nas| Some((&nas.shared.name, nas.clock_offset?)))
    }

    /// Whether a subscriber has any session.
    #[must_use]
    pub fn has_any(&self, subscriber: &Name) -> bool {
        self.crowds.count(subscriber.octets(), &self.sessions) > 0
    }

    /// How many sessions live, in whatever state.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Folds one event that takes effect at `at`. Total: it never fails.
    pub fn fold(&mut self, at: Timestamp, event: &Event, effects: &mut Vec<Effect>) {
        self.rest(at, event, effects);
        self.advance(at, effects);
        match event {
            Event::Record(record) => {
                let nas = self.hear(record, effects);
                self.follow(nas, record, effects);
            }
            Event::Imported(record) => self.import(record, effects),
            Event::Refreshes(refreshes) => {
                refreshes.iter().for_each(|refresh| self.refresh(refresh, effects));
            }
            Event::Applied(applied) => self.apply(at, applied, effects),
            Event::Resumed { since } => self.resume(at, *since, effects),
        }
    }

    /// A gap of ours is over by this event: what nobody said to us meanwhile says nothing, so no NAS is found silent in it and
    /// no session overdue, and what waited for a word waits on. Comes before the time of the gap is let pass.
    pub fn rest(&mut self, at: Timestamp, event: &Event, effects: &mut Vec<Effect>) {
        let Event::Resumed { since: Some(since) } = *event else { return };
        let gap = at.since(since);
        if gap <= GAP_BRIDGED || self.now >= at {
            return;
        }
        self.advance(since, effects);
        self.nases.iter_mut().for_each(|nas| nas.resume(at));
        for held in self.sessions.values_mut() {
            if let State::Suspect { close_at, .. } = held.state() {
                held.put_off(close_at.plus(gap));
            }
        }
    }

    /// Whether a record says no more than "still alive", and as what it is then to be logged: a pure predicate on
    /// folded state. The caller sees to it that nothing of the session is on its way.
    #[must_use]
    pub fn as_refresh(&self, record: &Record) -> Option<Refresh> {
        if record.kind != Kind::Interim {
            return None;
        }
        let nas = *self.nas_numbers.get(&record.nas)?;
        let held = self.sessions.get(&Id { nas, session: record.session_id.clone() })?;
        let unchanged = held.is_active()
            && (!held.doubted || record.claims.is_empty())
            && record.event >= held.last()
            && record.arrival.since(record.event) <= LAG
            && record.claims_dropped == 0
            && !self.nases.get(nas as usize).is_some_and(|nas| nas.learns_clock(record))
            && held.continues(record.session_time)
            && held.same_identity(record)
            && !held.is_named_anew(record)
            && record.interval.is_none_or(|seconds| held.interval.known() == Some(seconds))
            && record.service.is_none()
            && self.known_realm(record) == Some(held.realm)
            && self.has_listed(held)
            && !held.claims.iter().any(|claim| held.is_given_back(claim, record))
            && record.releases.iter().all(|release| match release {
                Release::All(source) => held.whole.contains(*source),
                // Folded it is remembered, for what gave the block may come later.
                Release::Only(..) => false,
            })
            && record.claims.iter().all(|claim| {
                match held.claim(claim.prefix, claim.ports).map(|known| known.hold) {
                    Some(Hold::Owns) => true,
                    // From one in doubt it takes over.
                    Some(Hold::Shares) => self.is_well_owned(held.place(claim.prefix, claim.ports)),
                    _ => false,
                }
            });
        unchanged.then(|| Refresh {
            nas: record.nas.clone(),
            session_id: record.session_id.clone(),
            event: record.event,
            arrival: record.arrival,
            session_time: record.session_time,
        })
    }

    /// The other sessions that a record concerns, by NAS and Acct-Session-Id; what they said last bears on what it does:
    /// those that own or contest what it claims, the session that a service is part of, and the same session under a
    /// NAS of the same redundancy group.
    #[must_use]
    pub fn concerned(&self, record: &Record) -> Vec<(Name, Name)> {
        let parent = record.service.as_ref().and_then(|service| service.parent.clone());
        let mut concerned: Vec<_> = parent.map(|parent| (record.nas.clone(), parent)).into_iter().collect();
        if record.group.is_some() {
            let partners = self.nases.iter().filter(|nas| nas.group == record.group);
            let partners = partners.map(|nas| nas.shared.name.clone()).filter(|nas| *nas != record.nas);
            concerned.extend(partners.map(|nas| (nas, record.session_id.clone())));
        }
        let Some(realm) = self.known_realm(record) else { return concerned };
        for claim in &record.claims {
            let named = |one: &Binding| (one.session.nas().name.clone(), one.session.id());
            self.map.see(Place::new(realm, claim.prefix, claim.ports), |slot| {
                concerned.extend(slot.holders().iter().map(named));
            });
        }
        concerned
    }

    /// Tells everything that lives as if it had just been heard, for an index that has lost it.
    pub fn retell(&self, effects: &mut Vec<Effect>) {
        // Whatever ended before is lost: nothing can be said of that time but what lives through it.
        effects.push(Effect::Gap { since: None, until: self.now });
        for (name, realm) in &self.realms {
            effects.push(Effect::RealmNamed { realm: *realm, name: name.clone() });
        }
        for (prefix, (subscriber, since)) in &self.statics {
            let subscriber = Some(subscriber.clone());
            effects.push(Effect::StaticApplied { prefix: *prefix, subscriber, at: *since });
        }
        let translations = self.applied.translations.clone();
        effects.push(Effect::TranslationsApplied { translations, at: self.now });
        for held in self.sessions.values() {
            effects.push(held.opened_effect());
            let session = &held.session;
            for claim in held.claims.iter().filter(|claim| claim.hold == Hold::Owns) {
                effects.push(Effect::Bound {
                    session: session.key(),
                    subscriber: session.subscriber(),
                    place: held.place(claim.prefix, claim.ports),
                    from: claim.since,
                });
            }
        }
    }

    /// The subscriber of a session.
    pub(super) fn subscriber_of(&self, session: &Session) -> Option<Name> {
        let octets = session.subscriber_octets()?;
        let spoken_of = self.spoken_of.as_ref().filter(|name| name.octets() == octets);
        Some(spoken_of.cloned().unwrap_or_else(|| Name::new(octets)))
    }

    pub(super) fn rules(&self) -> Rules {
        self.applied.rules
    }

    /// What a record of this NAS does to its session.
    pub(super) fn follow(&mut self, nas: u32, record: &Record, effects: &mut Vec<Effect>) {
        let id = Id { nas, session: record.session_id.clone() };
        self.spoken_of.clone_from(&record.subscriber);
        if let Some(service) = &record.service {
            self.service(nas, service, record);
            return self.expect_nas(nas);
        }
        let overtaken = self.overtaken(&id, record);
        let record = overtaken.as_ref().unwrap_or(record);
        self.name_realm(record.realm.as_ref(), effects);
        let stale = self.is_stale(record);
        match record.kind {
            Kind::On | Kind::Off => self.restart(nas, record, effects),
            Kind::Stop => {
                if !self.tombstones.contains_key(&id) {
                    self.take_over(&id, record, effects);
                }
                self.stop(&id, record, effects);
            }
            // Row 31.
            Kind::Start | Kind::Interim if stale => {
                self.leave_by_history(&id, record, effects);
                self.note_past(&id, record, began(record), effects);
            }
            // Row 34: a straggler from before its Stop, by the other NAS of its group.
            Kind::Start | Kind::Interim if self.has_stopped_at_partner(&id, record) => {
                self.note_past(&id, record, record.event, effects);
            }
            Kind::Start | Kind::Interim => {
                self.take_over(&id, record, effects);
                match record.kind {
                    Kind::Start => self.start(&id, record, effects),
                    _ => self.interim(&id, record, effects),
                }
            }
        }
        if self.sessions.contains(&id) {
            self.schedule(&id);
        }
        self.expect_nas(nas);
    }

    /// Row 31: whether a Start or an interim update is history rather than ownership.
    pub(super) fn is_stale(&self, record: &Record) -> bool {
        record.arrival.since(record.event) > self.rules().stale_limit
    }

    /// Notes that the NAS speaks; the number it has from its first word on.
    fn hear(&mut self, record: &Record, effects: &mut Vec<Effect>) -> u32 {
        let number = match self.nas_numbers.get(&record.nas) {
            Some(&number) => number,
            None => self.meet(record, record.arrival),
        };
        let Some(nas) = self.nases.get_mut(number as usize) else { return number };
        nas.shared.records.fetch_add(1, Ordering::Relaxed);
        if nas.group != record.group {
            nas.group.clone_from(&record.group);
        }
        if nas.learns_clock(record) {
            nas.clock_offset = record.clock_offset;
        }
        let mut news = nas.hear(record.arrival);
        if record.kind == Kind::Interim {
            nas.hear_report(record.arrival);
        }
        let heard_again = news;
        if record.claims_dropped > 0 {
            let dropped = u64::from(record.claims_dropped);
            nas.shared.claims_dropped.fetch_add(dropped, Ordering::Relaxed);
            let alarm = Alarm::ClaimsDropped { nas: record.nas.clone(), count: record.claims_dropped };
            effects.push(Effect::Alarm(alarm));
        }
        // A NAS that brings old records now may not have told us of the present yet.
        let lagging = record.arrival.since(record.event) > LAG;
        nas.shared.late.fetch_add(lagging.into(), Ordering::Relaxed);
        if lagging && nas.shared.lagging_until() < record.arrival.plus(LAG_LASTS / 2) {
            nas.lag(record.arrival.plus(LAG_LASTS));
            news = true;
        }
        if news {
            self.publish_coverage();
        }
        if heard_again {
            self.heard_again(number, effects);
        }
        number
    }

    /// Gives the NAS of a record its number; it was `heard` then.
    pub(super) fn meet(&mut self, record: &Record, heard: Timestamp) -> u32 {
        let number = u32::try_from(self.nases.len()).unwrap_or(u32::MAX);
        let pools = self.applied.pools.iter().find(|(client, _)| *client == record.client);
        if let Some((client, prefixes)) = pools
            && !self.untold(client, prefixes).is_empty()
        {
            self.clients_resumed.insert(client.clone(), heard);
        }
        let resumed = self.clients_resumed.get(&record.client).copied().unwrap_or(Timestamp::EARLIEST);
        let (name, client) = (record.nas.clone(), record.client.clone());
        self.nases.push(NasState::new(number, name.clone(), client, heard, resumed));
        self.nas_numbers.insert(name, number);
        self.map.publish_nases(self.nases.iter().map(|nas| Arc::clone(&nas.shared)).collect());
        self.publish_coverage();
        number
    }

    fn refresh(&mut self, refresh: &Refresh, effects: &mut Vec<Effect>) {
        let Some(&nas) = self.nas_numbers.get(&refresh.nas) else { return };
        if let Some(state) = self.nases.get_mut(nas as usize) {
            state.shared.refreshes.fetch_add(1, Ordering::Relaxed);
            let heard_again = state.hear(refresh.arrival);
            state.hear_report(refresh.arrival);
            if heard_again {
                self.heard_again(nas, effects);
            }
        }
        let id = Id { nas, session: refresh.session_id.clone() };
        let Some(held) = self.sessions.get_mut(&id) else { return };
        let last = held.last();
        if refresh.event < last {
            return;
        }
        held.session.see(refresh.event);
        held.set_interval_of_nas(held.session.nas().interval());
        held.session_time = refresh.session_time.or(held.session_time);
        // It may have come into doubt while the refresh was on its way to the log.
        match held.state() {
            State::Suspect { why: Suspicion::Overdue | Suspicion::Unheard, .. } => held.enter(held.settled()),
            State::Suspect { why: Suspicion::Restarted { at }, .. } if refresh.event > at => {
                held.enter(held.settled());
            }
            _ => {}
        }
        self.learned(&id, refresh.event.since(last));
        self.schedule(&id);
        self.expect_nas(nas);
    }

    fn apply(&mut self, at: Timestamp, applied: &Applied, effects: &mut Vec<Effect>) {
        let before = std::mem::take(&mut self.statics);
        for (prefix, subscriber) in &applied.statics {
            let since = match before.get(prefix) {
                Some((owner, since)) if owner == subscriber => *since,
                _ => {
                    let subscriber = Some(subscriber.clone());
                    effects.push(Effect::StaticApplied { prefix: *prefix, subscriber, at });
                    at
                }
            };
            self.statics.insert(*prefix, (subscriber.clone(), since));
        }
        let mut gone: Vec<_> = before.keys().filter(|prefix| !self.statics.contains_key(*prefix)).collect();
        gone.sort();
        for prefix in gone {
            effects.push(Effect::StaticApplied { prefix: *prefix, subscriber: None, at });
        }
        // Nothing is known yet of a client that is listened to from now on.
        for (client, _) in &applied.pools {
            if !self.applied.pools.iter().any(|(known, _)| known == client) {
                self.clients_resumed.insert(client.clone(), at);
            }
        }
        for realm in applied.translations.iter().filter_map(|translation| translation.realm.as_ref()) {
            self.name_realm(Some(realm), effects);
        }
        if applied.translations != self.applied.translations {
            let translations = applied.translations.clone();
            effects.push(Effect::TranslationsApplied { translations, at });
        }
        let another_list = applied.listed != self.applied.listed;
        self.applied = applied.clone();
        self.publish_applied();
        if another_list {
            self.follow_list(at, effects);
        }
        self.schedule_all();
        self.publish_coverage();
    }

    /// Tells readers what was applied, as far as it answers lookups.
    pub(super) fn publish_applied(&self) {
        self.map.publish_statics(self.statics.clone(), self.applied.never.clone());
        let number = |name: Option<&Name>| match name {
            None => Realm::PUBLIC,
            Some(name) => self.realms.get(name).copied().unwrap_or(Realm::NOWHERE),
        };
        let translations = self.applied.translations.iter();
        self.map.publish_translations(
            translations.map(|one| (number(one.realm.as_ref()), one.clone())).collect(),
        );
    }

    /// Gives a VRF its number when it is heard of for the first time. Numbers are never used again.
    pub(super) fn name_realm(&mut self, name: Option<&Name>, effects: &mut Vec<Effect>) {
        let Some(name) = name.filter(|name| !self.realms.contains_key(*name)) else { return };
        // Those who come when there are no numbers left share the space in which nothing is found.
        let number = u16::try_from(self.realms.len().saturating_add(1)).unwrap_or(u16::MAX);
        let realm = Realm::of_number(number);
        self.realms.insert(name.clone(), realm);
        effects.push(Effect::RealmNamed { realm, name: name.clone() });
        self.map.publish_realms(self.realms.clone());
    }

    /// The space in which a record's private addresses lie; `None`: one that was never heard of.
    pub(super) fn known_realm(&self, record: &Record) -> Option<Realm> {
        match &record.realm {
            None => Some(Realm::PUBLIC),
            Some(name) => self.realms.get(name).copied(),
        }
    }

    /// Row 48: we listen again after a gap.
    fn resume(&mut self, at: Timestamp, since: Option<Timestamp>, effects: &mut Vec<Effect>) {
        if since.is_some_and(|since| at.since(since) <= GAP_BRIDGED) {
            return;
        }
        effects.push(Effect::Gap { since, until: at });
        self.clients_resumed = self.applied.pools.iter().map(|(client, _)| (client.clone(), at)).collect();
        self.nases.iter_mut().for_each(|nas| nas.resume(at));
        if since.is_some_and(|since| at.since(since) > self.rules().stale_limit) {
            // One that never reports cannot confirm; it is known from before the gap, and said to be.
            for held in
                self.sessions.values_mut().filter(|held| held.is_active() && held.reports_every().is_some())
            {
                let close_at = at.plus(held.overdue_after(&self.applied.rules));
                held.enter(State::Suspect { why: Suspicion::Unheard, close_at });
            }
        }
        self.schedule_all();
        self.publish_coverage();
    }
}
