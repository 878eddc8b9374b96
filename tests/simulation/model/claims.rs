//! Who owns what: "Two claims on one prefix" of the page, and rows 4, 6, 23 and 36.
//!
//! Knows: lives and what stands at each place. Must not know: kinds of records.

use std::time::Duration;

use relaywarden::session::event::{ClaimSource, ClockOffset, Kind, Record, Release};
use relaywarden::session::{Name, Place, Realm, Timestamp};

use super::life::{began, differ};
use super::{Key, Life, Model, State, Why};

/// What a life asked for.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) place: Place,
    pub(super) source: ClaimSource,
    pub(super) since: Timestamp,
    pub(super) got: Got,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// It has it, alone or in a conflict.
    It,
    /// A newer claim won.
    Lost,
    /// It asked while in doubt.
    Later,
    /// Another account of its host has it.
    Shared,
    /// It gave it back then.
    Back,
}

/// What stands at a place: nobody any more, one, or several in conflict.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) place: Place,
    pub(super) holders: Vec<Holder>,
    pub(super) freed: Option<Freed>,
}

#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) key: Key,
    pub(super) since: Timestamp,
    /// The newest claim that lost to this one.
    pub(super) best_loser: Timestamp,
    /// The newest moment at which somebody else was told to have it meanwhile.
    pub(super) doubted: Timestamp,
}

impl Holder {
    fn new(key: &Key, since: Timestamp) -> Holder {
        let never = Timestamp::EARLIEST;
        Holder { key: key.clone(), since, best_loser: never, doubted: never }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Freed {
    /// The newest claim that was ever made.
    pub(super) claimed: Timestamp,
    pub(super) deferred_until: Timestamp,
    pub(super) kept_until: Timestamp,
    /// Whose Stop freed it: the session, its subscriber, and when.
    pub(super) stopped: Option<(Key, Option<Name>, Timestamp)>,
}

/// How a life, or its hold on a place, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It said so by its Stop.
    Stop,
    /// It said so by going on elsewhere, or its id went on without it.
    Left,
    /// Nobody said so.
    Gone,
}

/// Which of two claims holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Newcomer,
    Owner,
    Both,
}

impl Model {
    /// What a record gives back, then what it asks for.
    pub(super) fn admit(&mut self, key: &Key, record: &Record) {
        if !record.releases.is_empty() {
            self.give_back(key, record);
        }
        let unsure = matches!(record.clock_offset, Some(ClockOffset::AtMost(_)));
        for claim in &record.claims {
            let place = Place::new(Realm::PUBLIC, claim.prefix, claim.ports);
            let life = self.life(key).unwrap();
            let known = life.wants.iter().find(|want| want.place == place).map(|want| (want.got, want.since));
            let too_old = life.whole.contains(&claim.source) && record.event < life.heard;
            match known {
                Some((Got::It, _)) => self.believe(key, place, record.event),
                Some((Got::Shared, _)) => self.relieve(key, place),
                Some((Got::Back, at)) if record.event <= at => {}
                Some((Got::Lost, _)) => self.claim_by(key, place, record, true, unsure),
                Some((Got::Later, _)) => self.claim_by(key, place, record, false, unsure),
                Some((Got::Back, _)) | None if too_old => {}
                Some((Got::Back, _)) | None => {
                    if claim.source == ClaimSource::FramedAddress && !self.leave_address(key, record.event) {
                        continue;
                    }
                    let want = Want { place, source: claim.source, since: record.event, got: Got::Lost };
                    let life = self.life_mut(key).unwrap();
                    life.wants.retain(|want| want.place != place);
                    life.wants.push(want);
                    self.claim_by(key, place, record, false, unsure);
                }
            }
        }
        if record.claims.iter().any(|claim| claim.source == ClaimSource::FramedAddress) {
            let life = self.life_mut(key).unwrap();
            life.address_at = life.address_at.max(record.event);
        }
    }

    /// Row 4. False when an address of a newer record is known.
    fn leave_address(&mut self, key: &Key, at: Timestamp) -> bool {
        let life = self.life_mut(key).unwrap();
        if at < life.address_at {
            return false;
        }
        life.address_at = at;
        let framed = life.wants.iter().position(|want| want.source == ClaimSource::FramedAddress);
        if let Some(old) = framed.map(|index| life.wants.remove(index)) {
            let host = life.host.clone();
            self.free(key, host.as_ref(), &old, at, End::Left);
        }
        true
    }

    /// Rows 6 and 36.
    fn give_back(&mut self, key: &Key, record: &Record) {
        let forgotten = record.event.minus(self.rules.stale_limit);
        let life = self.life_mut(key).unwrap();
        life.wants.retain(|want| want.got != Got::Back || want.since > forgotten);
        let mut back = Vec::new();
        for release in &record.releases {
            match *release {
                Release::All(source) => {
                    life.whole.push(source);
                    if source == ClaimSource::FramedAddress {
                        life.address_at = life.address_at.max(record.event);
                    }
                    let still = |place: Place| {
                        record
                            .claims
                            .iter()
                            .any(|claim| (claim.prefix, claim.ports) == (place.prefix, place.ports))
                    };
                    let all = life.wants.iter().filter(|want| want.source == source && !still(want.place));
                    back.extend(all.map(|want| want.place));
                }
                Release::Only(prefix, ports) => {
                    let place = Place::new(Realm::PUBLIC, prefix, ports);
                    if !life.wants.iter().any(|want| want.place == place) {
                        let (source, since) = (ClaimSource::PortBlock, record.event);
                        life.wants.push(Want { place, source, since, got: Got::Back });
                    }
                    back.push(place);
                }
            }
        }
        for place in back {
            let life = self.life_mut(key).unwrap();
            let host = life.host.clone();
            let Some(want) = life.wants.iter_mut().find(|want| want.place == place) else { continue };
            if want.got == Got::Back || want.since > record.event {
                continue;
            }
            let had = want.clone();
            (want.got, want.since) = (Got::Back, record.event);
            self.free(key, host.as_ref(), &had, record.event, End::Left);
        }
    }

    /// It claims anew what it has: what was told against it before is over.
    fn believe(&mut self, key: &Key, place: Place, at: Timestamp) {
        let stand = self.stands.iter_mut().filter(|stand| stand.place == place);
        let holders = stand.flat_map(|stand| &mut stand.holders);
        for holder in holders.filter(|holder| holder.key == *key && at >= holder.doubted) {
            holder.doubted = Timestamp::EARLIEST;
        }
    }

    fn claim_by(&mut self, key: &Key, place: Place, record: &Record, again: bool, unsure: bool) {
        self.claim(key, place, record.event, again, unsure);
        // Of what is long ago at least, nothing is sure.
        if unsure && record.arrival.since(record.event) > super::LATE {
            let stand = self.stands.iter_mut().filter(|stand| stand.place == place);
            for holder in stand.flat_map(|stand| &mut stand.holders).filter(|holder| holder.key == *key) {
                holder.doubted = holder.doubted.max(record.arrival);
            }
        }
    }

    /// A life asks for a place; `again` if it had lost it, `unsure` if it is known only how long ago that is at least.
    fn claim(&mut self, key: &Key, place: Place, at: Timestamp, again: bool, unsure: bool) {
        let life = self.life(key).unwrap();
        let revived = matches!(life.state, State::Doubt(Why::HeardAfterStop, _));
        let Some(stand) = self.stands.iter().find(|stand| stand.place == place).cloned() else {
            return self.own(key, place, at);
        };
        if let Some(freed) = stand.freed {
            // Two servers may each tell us of one session.
            let ended = freed.stopped.is_some_and(|(other, subscriber, stopped)| {
                at <= stopped
                    && other.1 == key.1
                    && other.0 != key.0
                    && same_subscriber(&subscriber, &life.subscriber)
            });
            if at < freed.claimed || ended {
                return self.set(key, place, Got::Lost);
            }
            return self.own(key, place, at);
        }
        if let [owner] = &stand.holders[..] {
            if owner.key == *key {
                self.have(key, place, owner.since);
                return;
            }
            if self.are_accounts_of_one_host(key, &owner.key) {
                return self.set(key, place, Got::Shared);
            }
        }
        if !life.is_active() {
            let subscriber = life.subscriber.clone();
            self.set(key, place, if revived { Got::Lost } else { Got::Later });
            if revived {
                let another = |life: &Life| !same_subscriber(&life.subscriber, &subscriber);
                self.doubt_holders(place, &|_, _| at, &another);
            }
            return;
        }
        if let [owner] = &stand.holders[..]
            && self.life(&owner.key).is_some_and(|other| other.has_stopped() && at > other.began)
        {
            self.supersede(&owner.key.clone(), place);
            return self.own(key, place, at);
        }
        if stand.holders.iter().any(|holder| holder.key == *key) {
            return;
        }
        let verdicts: Vec<Which> =
            stand.holders.iter().map(|owner| self.compare(owner, key, at, again)).collect();
        if verdicts.iter().all(|which| *which == Which::Owner) {
            self.set(key, place, Got::Lost);
            if stand.holders.len() == 1 {
                let owner =
                    &mut self.stands.iter_mut().find(|stand| stand.place == place).unwrap().holders[0];
                owner.best_loser = owner.best_loser.max(at);
            }
            let subscriber = self.life(key).unwrap().subscriber.clone();
            let another = |life: &Life| !same_subscriber(&life.subscriber, &subscriber);
            let instant = Duration::from_millis(1);
            let since = |_: &Holder, life: &Life| if unsure { life.heard.plus(instant) } else { at };
            self.doubt_holders(place, &since, &another);
        } else if verdicts.iter().all(|which| *which == Which::Newcomer) {
            stand.holders.iter().for_each(|owner| self.supersede(&owner.key, place));
            self.own(key, place, at);
        } else {
            self.have(key, place, at);
            let stand = self.stands.iter_mut().find(|stand| stand.place == place).unwrap();
            stand.holders.push(Holder::new(key, at));
        }
    }

    /// Somebody else was told to have a place: its holders are not named until they are heard again.
    fn doubt_holders(
        &mut self,
        place: Place,
        since: &dyn Fn(&Holder, &Life) -> Timestamp,
        another: &dyn Fn(&Life) -> bool,
    ) {
        let Some(index) = self.stands.iter().position(|stand| stand.place == place) else { return };
        for number in 0..self.stands[index].holders.len() {
            let holder = &self.stands[index].holders[number];
            let life = self.life(&holder.key).unwrap();
            let at = since(holder, life);
            if another(life) && at > life.heard && at > holder.doubted {
                self.stands[index].holders[number].doubted = at;
            }
        }
    }

    /// A record that takes nothing over tells against whoever has what it claims; but not what was judged already.
    pub(super) fn tell_against(&mut self, key: &Key, record: &Record) {
        let judged = self.grave(key).is_some_and(|grave| grave.known)
            || self.life(key).is_some_and(|life| record.event < life.heard);
        if judged || record.arrival.since(record.event) > self.rules.stale_limit {
            return;
        }
        let at = if record.dated { record.event } else { record.event.minus(super::SAME_MOMENT) };
        // A nameless one of the same line tells against nobody.
        let another = |life: &Life| {
            life.key != *key
                && !same_subscriber(&life.subscriber, &record.subscriber)
                && (record.subscriber.is_some()
                    || differ(&life.calling, &record.line.calling_station)
                    || differ(&life.port, &record.line.port_id))
        };
        // The Stop of an older session that comes moments after the newer one's claim tells what is known.
        let since = |holder: &Holder, _: &Life| {
            let older = record.kind == Kind::Stop
                && record.session_time.is_some()
                && began(record) < holder.since
                && record.event.since(holder.since) < super::COPY;
            if older { Timestamp::EARLIEST } else { at }
        };
        for claim in &record.claims {
            let place = Place::new(Realm::PUBLIC, claim.prefix, claim.ports);
            let own = self.life(key).is_some_and(|life| life.wants.iter().any(|want| want.place == place));
            if !own || record.kind != Kind::Stop {
                self.doubt_holders(place, &since, &another);
            }
        }
    }

    /// A session's record that is too old to bind tells at least that it had left the address it had before.
    pub(super) fn leave_by_history(&mut self, key: &Key, record: &Record) {
        let framed = |source: ClaimSource| source == ClaimSource::FramedAddress;
        let Some(told) = record.claims.iter().find(|claim| framed(claim.source)) else { return };
        let told = Place::new(Realm::PUBLIC, told.prefix, told.ports);
        let Some(life) = self.life_mut(key) else { return };
        if record.event <= life.heard || record.event <= life.address_at || !life.is_same_line(record) {
            return;
        }
        let left = life.wants.iter().position(|want| framed(want.source) && want.place != told);
        if let Some(left) = left.map(|index| life.wants.remove(index)) {
            life.address_at = record.event;
            let host = life.host.clone();
            self.free(key, host.as_ref(), &left, record.event, End::Left);
        }
    }

    fn compare(&self, owner: &Holder, key: &Key, at: Timestamp, again: bool) -> Which {
        let (held, life) = (self.life(&owner.key).unwrap(), self.life(key).unwrap());
        let same = same_subscriber(&held.subscriber, &life.subscriber);
        let both_live = held.is_active() && held.heard > at;
        if at < owner.since || (at == owner.since && again) {
            Which::Owner
        } else if same {
            if both_live { Which::Owner } else { Which::Newcomer }
        } else if again || both_live {
            Which::Both
        } else if at < owner.best_loser {
            Which::Owner
        } else {
            Which::Newcomer
        }
    }

    fn own(&mut self, key: &Key, place: Place, at: Timestamp) {
        self.have(key, place, at);
        let former = self.stands.iter().filter(|stand| stand.place == place).flat_map(|stand| &stand.holders);
        let doubted = former.map(|holder| holder.doubted).max().filter(|doubted| *doubted > at);
        let doubted = doubted.unwrap_or(Timestamp::EARLIEST);
        self.stands.retain(|stand| stand.place != place);
        let holder = Holder { doubted, ..Holder::new(key, at) };
        self.stands.push(Stand { place, holders: vec![holder], freed: None });
    }

    /// Whether somebody lives who had claimed a place and does not have it.
    pub(super) fn has_losers(&self, place: Place) -> bool {
        let lost = |want: &Want| want.place == place && matches!(want.got, Got::Lost | Got::Later);
        self.lives.iter().any(|life| life.wants.iter().any(lost))
    }

    /// An account of a host takes over from another one that is in doubt.
    fn relieve(&mut self, key: &Key, place: Place) {
        let Some(index) = self.stands.iter().position(|stand| stand.place == place) else { return };
        let [owner] = &self.stands[index].holders[..] else { return };
        let owner = owner.clone();
        let active = |key: &Key| self.life(key).is_some_and(Life::is_active);
        if active(key) && !active(&owner.key) && self.are_accounts_of_one_host(key, &owner.key) {
            self.set(&owner.key, place, Got::Shared);
            self.have(key, place, owner.since);
            self.stands[index].holders[0].key = key.clone();
        }
    }

    /// A session that was heard of only by its Stop, or after it, had what it names since `claimed` and until `left`.
    pub(super) fn remember(&mut self, record: &Record, claimed: Timestamp, left: Timestamp) {
        if record.arrival.since(left) > self.rules.stale_limit {
            return;
        }
        let deferred = left.plus(self.rules.defer_after_stop);
        let kept = left.plus(self.rules.stale_limit);
        for claim in &record.claims {
            let place = Place::new(Realm::PUBLIC, claim.prefix, claim.ports);
            let Some(stand) = self.stands.iter_mut().find(|stand| stand.place == place) else {
                let freed = Freed {
                    claimed,
                    deferred_until: deferred,
                    kept_until: kept.max(deferred),
                    stopped: None,
                };
                self.stands.push(Stand { place, holders: Vec::new(), freed: Some(freed) });
                continue;
            };
            for holder in &mut stand.holders {
                holder.best_loser = holder.best_loser.max(claimed);
            }
            if let Some(freed) = stand.freed.as_mut().filter(|freed| freed.claimed < claimed) {
                freed.claimed = claimed;
                freed.deferred_until = freed.deferred_until.max(deferred);
                freed.kept_until = freed.kept_until.max(freed.deferred_until).max(kept);
            }
        }
    }

    fn have(&mut self, key: &Key, place: Place, since: Timestamp) {
        let life = self.life_mut(key).unwrap();
        if let Some(want) = life.wants.iter_mut().find(|want| want.place == place) {
            (want.got, want.since) = (Got::It, since);
        }
    }

    fn set(&mut self, key: &Key, place: Place, got: Got) {
        let life = self.life_mut(key).unwrap();
        if let Some(want) = life.wants.iter_mut().find(|want| want.place == place) {
            want.got = got;
        }
    }

    /// A life loses a place to a newer claim, and with it the other accounts of its host do.
    fn supersede(&mut self, key: &Key, place: Place) {
        self.set(key, place, Got::Lost);
        let host = self.life(key).unwrap().host.clone();
        for life in
            self.lives.iter_mut().filter(|life| life.key.0 == key.0 && host.is_some() && life.host == host)
        {
            for want in life.wants.iter_mut().filter(|want| want.place == place && want.got == Got::Shared) {
                want.got = Got::Lost;
            }
        }
    }

    /// Row 23.
    fn are_accounts_of_one_host(&self, a: &Key, b: &Key) -> bool {
        let (Some(one), Some(other)) = (self.life(a), self.life(b)) else { return false };
        a.0 == b.0
            && one.host.is_some()
            && one.host == other.host
            && same_subscriber(&one.subscriber, &other.subscriber)
    }

    /// A life has a place no longer, or no longer wants one. It is as if it had never had what is another's by now.
    pub(super) fn free(&mut self, key: &Key, host: Option<&Name>, want: &Want, at: Timestamp, end: End) {
        let place = want.place;
        let Some(index) = self.stands.iter().position(|stand| stand.place == place) else { return };
        let soft = end != End::Gone;
        let deferred = if soft { at.plus(self.rules.defer_after_stop) } else { Timestamp::EARLIEST };
        let kept = at.plus(self.rules.stale_limit);
        if let Some(freed) = &mut self.stands[index].freed {
            if matches!(want.got, Got::Lost | Got::Later) {
                // It may have been there until now.
                freed.deferred_until = freed.deferred_until.max(deferred);
                freed.kept_until = freed.kept_until.max(freed.deferred_until).max(kept);
            }
            return;
        }
        let Some(gone) = self.stands[index].holders.iter().position(|holder| holder.key == *key) else {
            return;
        };
        let gone = self.stands[index].holders.remove(gone);
        if self.stands[index].holders.is_empty() {
            if let Some(heir) = self.heir(key, host, place).or_else(|| self.own_loser(&gone, place)) {
                self.have(&heir, place, gone.since);
                self.stands[index].holders.push(Holder { key: heir, ..gone });
                return;
            }
            let claimed = gone.since.max(gone.best_loser).max(gone.doubted);
            let kept_until = deferred.max(kept);
            let subscriber = self.who(&gone).subscriber.clone();
            let stopped = (end == End::Stop).then(|| (key.clone(), subscriber, at));
            self.stands[index].freed = Some(Freed { claimed, deferred_until: deferred, kept_until, stopped });
            return;
        }
        self.settle(index, &gone, at);
    }

    /// The life of a holder, also of one that is being closed.
    fn who(&self, holder: &Holder) -> &Life {
        self.life(&holder.key).or(self.going.as_ref().filter(|life| life.key == holder.key)).unwrap()
    }

    /// A life of the same subscriber that had lost the place to this one and was heard since.
    fn own_loser(&self, owner: &Holder, place: Place) -> Option<Key> {
        let subscriber = &self.who(owner).subscriber;
        let lost = |want: &Want| want.place == place && matches!(want.got, Got::Lost | Got::Later);
        let mine = self.lives.iter().filter(|life| {
            life.is_active()
                && life.heard > owner.since
                && same_subscriber(&life.subscriber, subscriber)
                && life.key.1 != owner.key.1
                && life.wants.iter().any(lost)
        });
        mine.max_by_key(|life| (life.heard, life.key.clone())).map(|life| life.key.clone())
    }

    /// Another account of the host goes on with what this one had; rather one that is active.
    fn heir(&self, key: &Key, host: Option<&Name>, place: Place) -> Option<Key> {
        host?;
        let shares = |life: &&Life| {
            life.key.0 == key.0
                && life.key != *key
                && life.host.as_ref() == host
                && life.wants.iter().any(|want| want.place == place && want.got == Got::Shared)
        };
        let all: Vec<_> = self.lives.iter().filter(shares).collect();
        let order = |life: &&&Life| (life.is_active(), life.heard, life.key.clone());
        all.iter().max_by_key(order).map(|life| life.key.clone())
    }

    /// A conflict of which one is gone: over, when the others are one subscriber's.
    fn settle(&mut self, index: usize, gone: &Holder, at: Timestamp) {
        let holders = self.stands[index].holders.clone();
        let place = self.stands[index].place;
        let name = |holder: &Holder| self.who(holder).subscriber.clone();
        let one = name(&holders[0]);
        let agree = holders.len() == 1 || holders.iter().all(|holder| same_subscriber(&name(holder), &one));
        if !agree {
            return;
        }
        let mut last = &holders[0];
        for holder in &holders {
            if (self.who(holder).heard, holder.since) >= (self.who(last).heard, last.since) {
                last = holder;
            }
        }
        // What one had lost to does not speak against its own subscriber.
        let others = holders.iter().chain([gone]).filter(|other| !same_subscriber(&name(other), &name(last)));
        let outdone = others.clone().map(|other| other.best_loser).max().unwrap_or(Timestamp::EARLIEST);
        // Whoever is left is named when it was heard after the others had claimed the place.
        let lived = others.map(|other| other.since).max().unwrap_or(Timestamp::EARLIEST);
        let copied = lived.since(last.since) < super::COPY || lived <= self.who(last).heard;
        let doubted = if copied { last.doubted } else { lived.max(last.doubted) };
        let mut best_loser = last.best_loser;
        let last = last.clone();
        if last.since < outdone {
            holders.iter().for_each(|holder| self.supersede(&holder.key, place));
            let deferred_until = at.plus(self.rules.defer_after_stop);
            let kept_until = deferred_until.max(at.plus(self.rules.stale_limit));
            self.stands[index].holders.clear();
            self.stands[index].freed =
                Some(Freed { claimed: outdone, deferred_until, kept_until, stopped: None });
            return;
        }
        for other in holders.iter().filter(|holder| holder.key != last.key) {
            best_loser = best_loser.max(other.since);
            self.supersede(&other.key, place);
        }
        self.stands[index].holders = vec![Holder { best_loser, doubted, ..last }];
    }

    /// Ends a life with everything it has.
    pub(super) fn close(&mut self, key: &Key, at: Timestamp, end: End) {
        let Some(index) = self.lives.iter().position(|life| life.key == *key) else { return };
        let life = self.lives.remove(index);
        self.going = Some(life.clone());
        for want in &life.wants {
            self.free(key, life.host.as_ref(), want, at, end);
        }
        self.going = None;
    }
}

/// Both known, and equal.
fn same_subscriber(a: &Option<Name>, b: &Option<Name>) -> bool {
    a.is_some() && a == b
}
