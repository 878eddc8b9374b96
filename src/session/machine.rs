//! The session machine: folds events into who owns which address. Pure: an event and the state before it.
//!
//! Knows: the state that is folded, who speaks, and what was applied. Must not know: clocks, sockets, configuration text,
//! how a record was decoded; and what a record means for its session, which is in `records.rs`.
//!
//! Deadlines take effect at their own time, whenever they are processed: `fold` first lets everything happen that was
//! due before the event, so that replaying a log and living through it come to the same state.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ipnet::IpNet;

use super::bindings::{Binding, LiveMap, Slot};
use super::deadlines::Due;
use super::event::{Alarm, Applied, Effect, Event, Kind, Record, Refresh, Rules};
use super::held::{Hold, Id, State, Suspicion, Tombstone, began};
use super::nas::{LAG, LAG_LASTS, NasState};
use super::sessions::Sessions;
use super::{Name, Realm, Timestamp};

/// A receiving gap up to this loses nothing: every NAS sends again for longer.
pub const GAP_BRIDGED: Duration = Duration::from_secs(10);

/// Sessions, tombstones, NASes and the live map that they write.
pub struct Machine {
    pub(super) map: Arc<LiveMap>,
    pub(super) applied: Applied,
    pub(super) statics: HashMap<IpNet, (Name, Timestamp)>,
    pub(super) sessions: Sessions,
    pub(super) tombstones: HashMap<Id, Tombstone>,
    pub(super) nases: Vec<NasState>,
    pub(super) nas_numbers: HashMap<Name, u32>,
    /// Since when each RADIUS client is listened to without a gap, where there was one.
    pub(super) clients_resumed: HashMap<Name, Timestamp>,
    pub(super) deadlines: BinaryHeap<Reverse<(Timestamp, Due)>>,
    pub(super) now: Timestamp,
}

impl Machine {
    /// An empty machine that writes this map.
    #[must_use]
    pub fn new(map: Arc<LiveMap>) -> Self {
        Machine {
            map,
            applied: Applied::default(),
            statics: HashMap::new(),
            sessions: Sessions::default(),
            tombstones: HashMap::new(),
            nases: Vec::new(),
            nas_numbers: HashMap::new(),
            clients_resumed: HashMap::new(),
            deadlines: BinaryHeap::new(),
            now: Timestamp::EARLIEST,
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

    /// How many sessions live, in whatever state.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Folds one event that takes effect at `at`. Total: it never fails.
    pub fn fold(&mut self, at: Timestamp, event: &Event, effects: &mut Vec<Effect>) {
        self.advance(at, effects);
        match event {
            Event::Record(record) => self.record(record, effects),
            Event::Refreshes(refreshes) => {
                refreshes.iter().for_each(|refresh| self.refresh(refresh, effects));
            }
            Event::Applied(applied) => self.apply(at, applied, effects),
            Event::Resumed { since } => self.resume(at, *since, effects),
        }
    }

    /// Whether a record says no more than "still alive", and as what it is then to be logged: a pure predicate on
    /// folded state. The caller sees to it that nothing of the session is on its way.
    #[must_use]
    pub fn as_refresh(&self, record: &Record) -> Option<Refresh> {
        let nas = *self.nas_numbers.get(&record.nas)?;
        let held = self.sessions.get(&Id { nas, session: record.session_id.clone() })?;
        let unchanged = matches!(record.kind, Kind::Interim)
            && held.is_active()
            && record.event >= held.last()
            && record.arrival.since(record.event) <= LAG
            && record.claims_dropped == 0
            && held.continues(record.session_time)
            && held.same_identity(record)
            && record.interval.is_none_or(|seconds| held.interval.known() == Some(seconds))
            && record
                .claims
                .iter()
                .all(|claim| held.claim(claim.prefix).is_some_and(|held| held.hold == Hold::Owns));
        unchanged.then(|| Refresh {
            nas: record.nas.clone(),
            session_id: record.session_id.clone(),
            event: record.event,
            arrival: record.arrival,
            session_time: record.session_time,
        })
    }

    /// The sessions that own or contest a prefix, by NAS and Acct-Session-Id: what they said last bears on whoever
    /// claims it next.
    #[must_use]
    pub fn claimants(&self, realm: Realm, prefix: IpNet) -> Vec<(Name, Name)> {
        let named = |claimant: &Binding| (claimant.session.key.nas.clone(), claimant.session.key.id.clone());
        match self.map.slot(realm, prefix) {
            Some(Slot::Owned(owner)) => vec![named(&owner)],
            Some(Slot::Contested(claimants)) => claimants.iter().map(named).collect(),
            Some(Slot::Freed { .. }) | None => Vec::new(),
        }
    }

    /// Tells everything that lives as if it had just been heard, for an index that has lost it.
    pub fn retell(&self, effects: &mut Vec<Effect>) {
        // Whatever ended before is lost: nothing can be said of that time but what lives through it.
        effects.push(Effect::Gap { since: None, until: self.now });
        for (prefix, (subscriber, since)) in &self.statics {
            let subscriber = Some(subscriber.clone());
            effects.push(Effect::StaticApplied { prefix: *prefix, subscriber, at: *since });
        }
        for (_, held) in self.sessions.iter() {
            let session = &held.session;
            effects.push(Effect::SessionOpened {
                session: session.key.clone(),
                subscriber: session.subscriber.clone(),
                user_name: session.user_name.clone(),
                line: session.line.clone(),
            });
            for claim in held.claims.iter().filter(|claim| claim.hold == Hold::Owns) {
                effects.push(Effect::Bound {
                    session: session.key.clone(),
                    subscriber: session.subscriber.clone(),
                    realm: held.realm,
                    prefix: claim.prefix,
                    from: claim.since,
                });
            }
        }
    }

    pub(super) fn rules(&self) -> Rules {
        self.applied.rules
    }

    fn record(&mut self, record: &Record, effects: &mut Vec<Effect>) {
        let nas = self.hear(record, effects);
        let id = Id { nas, session: record.session_id.clone() };
        let stale = record.arrival.since(record.event) > self.rules().stale_limit;
        match record.kind {
            Kind::On | Kind::Off => self.restart(nas, record),
            Kind::Stop => self.stop(&id, record, effects),
            // Row 31.
            Kind::Start | Kind::Interim if stale => self.note_past(&id, record, began(record), effects),
            Kind::Start => self.start(&id, record, effects),
            Kind::Interim => self.interim(&id, record, effects),
        }
        if self.sessions.contains(&id) {
            self.schedule(&id);
        }
        self.expect_nas(nas);
    }

    /// Notes that the NAS speaks; the number it has from its first word on.
    fn hear(&mut self, record: &Record, effects: &mut Vec<Effect>) -> u32 {
        let number = match self.nas_numbers.get(&record.nas) {
            Some(&number) => number,
            None => self.meet(record),
        };
        let Some(nas) = self.nases.get_mut(number as usize) else { return number };
        nas.shared.records.fetch_add(1, Ordering::Relaxed);
        let mut news = nas.hear(record.arrival);
        let heard_again = news;
        if record.claims_dropped > 0 {
            let dropped = u64::from(record.claims_dropped);
            nas.shared.claims_dropped.fetch_add(dropped, Ordering::Relaxed);
            let alarm = Alarm::ClaimsDropped { nas: record.nas.clone(), count: record.claims_dropped };
            effects.push(Effect::Alarm(alarm));
        }
        // A NAS that brings old records now may not have told us of the present yet.
        let lagging = record.arrival.since(record.event) > LAG;
        if lagging && nas.lagging_until < record.arrival.plus(LAG_LASTS / 2) {
            nas.lagging_until = record.arrival.plus(LAG_LASTS);
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

    fn meet(&mut self, record: &Record) -> u32 {
        let number = u32::try_from(self.nases.len()).unwrap_or(u32::MAX);
        let resumed = self.clients_resumed.get(&record.client).copied().unwrap_or(Timestamp::EARLIEST);
        let (name, client) = (record.nas.clone(), record.client.clone());
        self.nases.push(NasState::new(number, name.clone(), client, record.arrival, resumed));
        self.nas_numbers.insert(name, number);
        self.map.publish_nases(self.nases.iter().map(|nas| Arc::clone(&nas.shared)).collect());
        self.publish_coverage();
        number
    }

    fn refresh(&mut self, refresh: &Refresh, effects: &mut Vec<Effect>) {
        let Some(&nas) = self.nas_numbers.get(&refresh.nas) else { return };
        if let Some(state) = self.nases.get_mut(nas as usize) {
            state.shared.refreshes.fetch_add(1, Ordering::Relaxed);
            if state.hear(refresh.arrival) {
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
        held.interval_of_nas = held.session.nas.interval();
        held.session_time = refresh.session_time.or(held.session_time);
        // It may have come into doubt while the refresh was on its way to the log.
        match held.state {
            State::Suspect { why: Suspicion::Overdue | Suspicion::Unheard, .. } => held.enter(State::Active),
            State::Suspect { why: Suspicion::Restarted { at }, .. } if refresh.event > at => {
                held.enter(State::Active);
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
        self.applied = applied.clone();
        self.map.publish_statics(self.statics.clone(), applied.never.clone());
        self.schedule_all();
        self.publish_coverage();
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
