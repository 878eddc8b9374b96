//! What happens because nothing happened: overdue sessions, silent NASes, forgotten slots and tombstones; and which
//! pools are therefore not whole.
//!
//! Knows: deadlines and coverage. Must not know: records.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::bindings::{Doubt, OpenPool, Slot};
use super::effect::{Alarm, Effect, Ended, Remark};
use super::event::NasHold;
use super::held::{Held, Id, State, Suspicion, Tombstone};
use super::machine::Machine;
use super::nas::{INTERVAL_ASSUMED, NasState, span};
use super::queue::Due;
use super::{Name, Place, Timestamp};

impl Machine {
    /// Lets everything happen that is due up to this moment, each thing at its own time.
    pub fn advance(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        while let Some((time, due)) = self.deadlines.pop(at, &self.sessions) {
            self.now = self.now.max(time);
            match due {
                Due::Nas(nas) => self.listen_for(nas, time, effects),
                Due::HoldOver(nas) => self.hold_over(nas, time, effects),
                Due::Session(id) => self.session_due(&id, time, effects),
                Due::Slot(place) => self.forget_slot(place, time),
                Due::Tombstone(id) => {
                    if self.tombstones.get(&id).is_some_and(|tomb| tomb.until <= time) {
                        self.tombstones.remove(&id);
                    }
                }
            }
        }
        self.now = self.now.max(at);
    }

    /// When `advance` has something to do next, at the earliest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(super) fn remind(&mut self, at: Timestamp, due: Due) {
        self.deadlines.push(at, due);
    }

    /// Queues a session's deadline. A later one need not be queued: the one that stands finds it.
    pub(super) fn schedule(&mut self, id: &Id) {
        let Some(number) = self.sessions.number(id) else { return };
        self.schedule_number(number);
    }

    fn schedule_number(&mut self, number: u32) {
        let Some(held) = self.sessions.at_mut(number) else { return };
        let Some(nas) = self.nases.get(held.session.nas().number as usize) else { return };
        let deadline = held.deadline(nas, &self.applied.rules);
        if deadline < held.due {
            held.due = deadline;
            self.deadlines.push_session(deadline, number);
        }
    }

    fn session_due(&mut self, id: &Id, time: Timestamp, effects: &mut Vec<Effect>) {
        let Some(held) = self.sessions.get_mut(id) else { return };
        let Some(nas) = self.nases.get(id.nas as usize) else { return };
        if held.due != time {
            return;
        }
        held.due = Timestamp::from_millis(i64::MAX);
        if held.deadline(nas, &self.applied.rules) > time {
            return self.schedule(id);
        }
        match held.state() {
            State::Suspect { why, .. } => self.give_up(id, time, why, effects),
            State::Active if held.reports_every().is_some() => self.overdue(id, time, effects),
            // Row 29, and sessions that never got an address.
            State::Active | State::Pending => self.close(id, time, Ended::Expired, effects),
        }
        // With fewer sessions another word is due.
        self.expect_nas(id.nas);
    }

    /// Rows 28 and 30.
    fn overdue(&mut self, id: &Id, time: Timestamp, effects: &mut Vec<Effect>) {
        let rules = self.rules();
        let Some(held) = self.sessions.get_mut(id) else { return };
        let Some(nas) = self.nases.get(id.nas as usize) else { return };
        let grace = if silent(nas, time) { rules.nas_silence_grace } else { Duration::ZERO };
        let believed_until = nas.shared.heard().plus(grace).max(nas.shared.held_until());
        if time < believed_until {
            held.due = believed_until;
            if let Some(number) = self.sessions.number(id) {
                self.deadlines.push_session(believed_until, number);
            }
            return;
        }
        if held.interval.known().is_none() && !nas.is_reporting() {
            // Row 29: the NAS's interval is that of a few others; this one may never have been asked to report.
            held.set_interval_of_nas(None);
            return self.schedule(id);
        }
        let close_at = time.plus(held.overdue_after(&rules));
        held.enter(State::Suspect { why: Suspicion::Overdue, close_at });
        held.remark(time, Remark::Overdue, effects);
        self.schedule(id);
    }

    fn give_up(&mut self, id: &Id, time: Timestamp, why: Suspicion, effects: &mut Vec<Effect>) {
        let lifetime = self.rules().lifetime_without_interim;
        let Some(held) = self.sessions.get_mut(id) else { return };
        if let Suspicion::DoubtfulStart { .. } = why
            && held.reports_every().is_none()
            && time < held.last().plus(lifetime)
        {
            // One that never reports can't confirm: it may be there for as long as it would be believed.
            held.put_off(held.last().plus(lifetime));
            return self.schedule(id);
        }
        let Some(held) = self.sessions.get(id) else { return };
        // What was sent before a restart, or before an old Stop, must not open the session again. One that was only
        // not heard of any more may come back by its next interim update.
        let (how, at, stopped) = match why {
            Suspicion::Restarted { at } => (Ended::NasRestarted, at, Some(at)),
            Suspicion::Revived | Suspicion::DoubtfulStart { .. } => (Ended::Expired, time, Some(held.last())),
            Suspicion::Overdue | Suspicion::Unheard => (Ended::Expired, time, None),
        };
        let tombstone = stopped.map(|stopped| Tombstone {
            stopped,
            // What was under way then has arrived by now.
            arrival: stopped,
            session_time: held.session_time,
            incarnation: held.opened(),
            known: true,
            until: time.plus(Tombstone::LIFE),
        });
        self.close(id, at, how, effects);
        if let Some(tombstone) = tombstone {
            self.remind(tombstone.until, Due::Tombstone(id.clone()));
            self.tombstones.insert(id.clone(), tombstone);
        }
    }

    fn forget_slot(&mut self, place: Place, time: Timestamp) {
        if let Some(Slot::Freed(freed)) = self.map.slot(place)
            && freed.forget <= time
            && freed.losers.is_empty()
        {
            self.map.clear(place);
        }
    }

    /// Expects a NAS to speak again, if there is reason to.
    pub(super) fn expect_nas(&mut self, number: u32) {
        let Some(nas) = self.nases.get_mut(number as usize) else { return };
        if nas.shared.is_silent() {
            return;
        }
        if let Some(patience) = nas.may_be_silent_for() {
            let due = nas.expected_from().plus(patience);
            if nas.due.is_none_or(|queued| due < queued) {
                nas.due = Some(due);
                self.remind(due, Due::Nas(number));
            }
        }
    }

    fn listen_for(&mut self, number: u32, time: Timestamp, effects: &mut Vec<Effect>) {
        let Some(nas) = self.nases.get_mut(number as usize) else { return };
        if nas.due != Some(time) {
            return;
        }
        nas.due = None;
        if !silent(nas, time) {
            return self.expect_nas(number);
        }
        nas.fall_silent();
        nas.hushed = nas.is_held(time);
        if !nas.hushed {
            effects.push(Effect::Alarm(Alarm::NasSilent { nas: nas.shared.name.clone() }));
        }
        self.publish_coverage();
    }

    /// Staff says that a NAS is under maintenance, or no longer is.
    pub fn hold_nas(&mut self, at: Timestamp, hold: &NasHold, effects: &mut Vec<Effect>) {
        self.advance(at, effects);
        let Some(&number) = self.nas_numbers.get(&hold.nas) else { return };
        let Some(nas) = self.nases.get_mut(number as usize) else { return };
        nas.hold(hold);
        self.remind(hold.until.max(at), Due::HoldOver(number));
        self.schedule_all_of(number);
        self.publish_coverage();
    }

    /// What was not told because the NAS was held is told now, if it still holds.
    fn hold_over(&mut self, number: u32, time: Timestamp, effects: &mut Vec<Effect>) {
        let Some(nas) = self.nases.get_mut(number as usize) else { return };
        if nas.is_held(time) || !std::mem::take(&mut nas.hushed) {
            return;
        }
        if nas.shared.is_silent() {
            effects.push(Effect::Alarm(Alarm::NasSilent { nas: nas.shared.name.clone() }));
        }
        self.publish_coverage();
    }

    /// A silent NAS speaks again: its sessions, believed through the silence, have their time to report from here on.
    pub(super) fn heard_again(&mut self, number: u32, effects: &mut Vec<Effect>) {
        let Some(nas) = self.nases.get_mut(number as usize) else { return };
        if !std::mem::take(&mut nas.hushed) {
            effects.push(Effect::Alarm(Alarm::NasHeard { nas: nas.shared.name.clone() }));
        }
        self.schedule_all_of(number);
        self.publish_coverage();
    }

    pub(super) fn schedule_all(&mut self) {
        let numbers = self.sessions.numbers();
        numbers.into_iter().for_each(|number| self.schedule_number(number));
    }

    pub(super) fn schedule_all_of(&mut self, number: u32) {
        let numbers = self.sessions.numbers_of(number);
        numbers.into_iter().for_each(|number| self.schedule_number(number));
    }

    /// A NAS's interval became known or another one.
    pub(super) fn nas_interval(&mut self, number: u32, seconds: u32) {
        let Some(nas) = self.nases.get_mut(number as usize) else { return };
        let first = nas.shared.interval().is_none();
        if !nas.set_interval(seconds) {
            return;
        }
        if first {
            // Its sessions were believed for a lifetime without interims until now.
            let interval = nas.shared.interval();
            self.sessions.each_of_mut(number, |held| held.set_interval_of_nas(interval));
            self.schedule_all_of(number);
        }
        self.expect_nas(number);
        self.publish_coverage();
    }

    /// Tells readers which pools are not whole, and until when.
    pub(super) fn publish_coverage(&self) {
        let rules = self.rules();
        let mut open = Vec::new();
        for (client, prefixes) in &self.applied.pools {
            let prefixes: Arc<[IpNet]> = prefixes.as_slice().into();
            let untold = self.untold(client, &prefixes);
            if !untold.is_empty() {
                let until = Timestamp::from_millis(i64::MAX);
                let (client, prefixes) = (client.clone(), untold.into());
                open.push(OpenPool { client, prefixes, doubt: Doubt::WarmUp, until });
            }
            let mut add = |doubt, until: Timestamp| {
                if until > self.now {
                    let (client, prefixes) = (client.clone(), Arc::clone(&prefixes));
                    open.push(OpenPool { client, prefixes, doubt, until });
                }
            };
            if let Some(resumed) = self.clients_resumed.get(client) {
                add(Doubt::WarmUp, resumed.plus(span(rules.warm_up, self.slowest_interval(client))));
            }
            for nas in self.nases.iter().filter(|nas| nas.shared.client == *client) {
                if nas.shared.is_silent() {
                    let believed_until = nas.shared.heard().plus(rules.nas_silence_grace);
                    add(Doubt::NasSilent, believed_until.max(nas.shared.held_until()));
                }
                add(Doubt::NasLagging, nas.shared.lagging_until());
                add(Doubt::WarmUp, nas.warm_until(&rules));
            }
        }
        self.map.publish_open(open);
    }

    /// The pools of a client of which nothing was ever heard, as far as no other one that was would know of them: its
    /// customers may be online all the while, and their router not set up to tell us.
    pub(super) fn untold(&self, client: &Name, prefixes: &[IpNet]) -> Vec<IpNet> {
        let heard = |client: &Name| self.nases.iter().any(|nas| nas.shared.client == *client);
        // As after a gap of ours: a beginning from which everything is known has none.
        let began = self.clients_resumed.get(client).is_some_and(|at| *at != Timestamp::EARLIEST);
        if !began || heard(client) {
            return Vec::new();
        }
        let told = |prefix: &&IpNet| {
            self.applied.pools.iter().any(|(other, theirs)| {
                let around = theirs.is_empty() || theirs.iter().any(|their| their.contains(*prefix));
                around && heard(other)
            })
        };
        prefixes.iter().filter(|prefix| !told(prefix)).copied().collect()
    }

    fn slowest_interval(&self, client: &Name) -> Duration {
        let known = self
            .nases
            .iter()
            .filter(|nas| nas.shared.client == *client)
            .filter_map(|nas| nas.shared.interval());
        known.max().unwrap_or(INTERVAL_ASSUMED)
    }
}

/// Whether a NAS has said nothing for longer than its sessions lead to expect.
fn silent(nas: &NasState, time: Timestamp) -> bool {
    nas.shared.is_silent()
        || nas.may_be_silent_for().is_some_and(|patience| nas.expected_from().plus(patience) <= time)
}

/// A fresh machine has no deadlines; one restored from a snapshot queues those of its sessions, slots and tombstones.
impl Machine {
    pub(super) fn requeue(&mut self) {
        let never = Timestamp::from_millis(i64::MAX);
        self.sessions.values_mut().for_each(|held: &mut Held| held.due = never);
        self.schedule_all();
        let tombstones: Vec<_> = self.tombstones.iter().map(|(id, tomb)| (tomb.until, id.clone())).collect();
        tombstones.into_iter().for_each(|(until, id)| self.remind(until, Due::Tombstone(id)));
        let mut freed = Vec::new();
        self.map.each_unusual_slot(|place, slot| {
            if let Slot::Freed(one) = slot {
                freed.push((one.forget, Due::Slot(place)));
            }
        });
        freed.into_iter().for_each(|(forget, due)| self.remind(forget, due));
        let held = |(number, nas): (u32, &NasState)| {
            let until = nas.shared.held_until();
            (until != Timestamp::EARLIEST).then_some((until, Due::HoldOver(number)))
        };
        let holds: Vec<_> = (0_u32..).zip(&self.nases).filter_map(held).collect();
        holds.into_iter().for_each(|(until, due)| self.remind(until, due));
        (0_u32..).take(self.nases.len()).for_each(|number| self.expect_nas(number));
    }
}
