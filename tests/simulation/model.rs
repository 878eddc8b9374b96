//! The decision table of docs/sessions.md told a second time, plainly: everything is a list, and every question a walk over
//! all of it. Nothing is counted, indexed, shared or queued, and nothing is done ahead of time.
//!
//! Knows: the rows of the table. Must not know: the machine. What it is asked is answered in `model/lookup.rs`; who owns
//! what is in `model/claims.rs`, what NASes show of themselves in `model/nases.rs`, what a life is in `model/life.rs`, and what
//! happens because nothing does in `model/time.rs`.

#[path = "model/claims.rs"]
mod claims;
#[path = "model/life.rs"]
mod life;
#[path = "model/lookup.rs"]
mod lookup;
#[path = "model/nases.rs"]
mod nases;
#[path = "model/time.rs"]
mod time;

use std::time::Duration;

use ipnet::IpNet;
use relaywarden::log::entry::Entry;
use relaywarden::session::event::{
    Claim, ClaimSource, ClockOffset, Event, Kind, Record, Refresh, Rules, Scope, Service,
};
use relaywarden::session::{Name, Place, Realm, Timestamp};

use self::claims::{End, Stand, Want};
use self::life::{began, differ};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
/// "Constants, and why" of the page.
const COPY: Duration = Duration::from_secs(120);
const SAME_MOMENT: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(120);
const LATE_LASTS: Duration = Duration::from_secs(300);
const RESTART_GRACE: Duration = Duration::from_secs(300);
const GAP: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);
const INTERVAL_ASSUMED: Duration = Duration::from_secs(3600);
const OVERDUE_AT_LEAST: Duration = Duration::from_secs(900);

/// A session by the number of its NAS and its id: there is only one at a time.
type Key = (usize, Name);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Active,
    Doubt(Why, Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Overdue,
    Unheard,
    NasBeganAnew(Timestamp),
    HeardAfterStop,
    UndatedStart(Timestamp),
}

/// A life of a session.
#[derive(Debug, Clone)]
struct Life {
    key: Key,
    began: Timestamp,
    /// When the life before it under this id was over.
    after: Timestamp,
    /// When it began, if that was told.
    started: Option<Timestamp>,
    heard: Timestamp,
    state: State,
    subscriber: Option<Name>,
    calling: Option<Name>,
    port: Option<Name>,
    scope: Scope,
    lasted: Option<u32>,
    /// Its own interval, and whether it is announced; the gap before.
    interval: Option<u32>,
    announced: bool,
    gap: u32,
    /// What its NAS's others showed when it was heard.
    interval_of_nas: Option<Duration>,
    wants: Vec<Want>,
    /// Event time of the record that told the framed address last.
    address_at: Timestamp,
    /// Attributes of which a record tells all.
    whole: Vec<ClaimSource>,
    host: Option<Name>,
}

/// A session that stopped.
#[derive(Debug, Clone)]
struct Grave {
    key: Key,
    stopped: Timestamp,
    arrival: Timestamp,
    lasted: Option<u32>,
    began: Timestamp,
    /// It was known before it stopped.
    known: bool,
    until: Timestamp,
}

#[derive(Debug, Clone)]
struct Nas {
    name: Name,
    client: Name,
    group: Option<Name>,
    heard: Timestamp,
    silent: bool,
    /// Since when it is heard without a gap, if there was one.
    resumed: Timestamp,
    late_until: Timestamp,
    interval: Option<u32>,
    /// When interim updates arrived since the last gap or silence.
    reports: Vec<Timestamp>,
    /// The longest pauses of the last whole intervals, and when the present one began.
    pauses: Vec<Duration>,
    counted_from: Timestamp,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Model {
    rules: Rules,
    pools: Vec<(Name, Vec<IpNet>)>,
    /// Since when each client is heard without a gap.
    resumed: Vec<(Name, Timestamp)>,
    nases: Vec<Nas>,
    lives: Vec<Life>,
    graves: Vec<Grave>,
    stands: Vec<Stand>,
    /// The life that is being closed.
    going: Option<Life>,
}

impl Model {
    /// What was made durable at this moment.
    pub(crate) fn fold(&mut self, at: Timestamp, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Session(Event::Resumed { since: Some(since) }) = entry {
                self.rest(at, *since);
            }
            self.advance(at);
            let Entry::Session(event) = entry else { continue };
            match event {
                Event::Record(record) => self.record(record),
                Event::Refreshes(refreshes) => refreshes.iter().for_each(|refresh| self.refresh(refresh)),
                Event::Resumed { since } => self.resume(at, *since),
                Event::Imported(_) => panic!("nothing is imported on these days"),
                Event::Applied(applied) => {
                    for (client, _) in &applied.pools {
                        if !self.pools.iter().any(|(known, _)| known == client) {
                            self.resumed.push((client.clone(), at));
                        }
                    }
                    self.rules = applied.rules;
                    self.pools.clone_from(&applied.pools);
                }
            }
        }
    }

    fn life(&self, key: &Key) -> Option<&Life> {
        self.lives.iter().find(|life| life.key == *key)
    }

    fn life_mut(&mut self, key: &Key) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.key == *key)
    }

    fn grave(&self, key: &Key) -> Option<&Grave> {
        self.graves.iter().find(|grave| grave.key == *key)
    }

    fn record(&mut self, record: &Record) {
        let nas = self.hear(record);
        let key = (nas, record.session_id.clone());
        if let Some(service) = &record.service {
            return self.service(nas, service, record);
        }
        let overtaken = self.life(&key).and_then(|life| life.overtaken_at(record));
        let overtaken = overtaken.map(|event| Record { event, ..record.clone() });
        let record = overtaken.as_ref().unwrap_or(record);
        let history = record.arrival.since(record.event) > self.rules.stale_limit;
        match record.kind {
            Kind::On | Kind::Off => self.nas_begins_anew(nas, record),
            Kind::Stop => {
                if self.grave(&key).is_none() {
                    self.take_over(&key, record);
                }
                self.stop(&key, record);
            }
            // Row 31.
            Kind::Start | Kind::Interim if history => self.leave_by_history(&key, record),
            // Row 34: a straggler from before its Stop at the partner.
            Kind::Start | Kind::Interim if self.has_stopped_at_partner(&key, record) => {
                self.tell_against(&key, record);
            }
            Kind::Start => {
                self.take_over(&key, record);
                self.start(&key, record);
            }
            Kind::Interim => {
                self.take_over(&key, record);
                self.interim(&key, record);
            }
        }
    }

    fn start(&mut self, key: &Key, record: &Record) {
        let event = record.event;
        let Some(life) = self.life(key) else {
            let Some(grave) = self.grave(key) else {
                // Row 1.
                return self.open(key, record, event, Timestamp::EARLIEST, State::Active);
            };
            let stopped = grave.stopped;
            // Rows 16 and 17.
            if event < stopped || (event == stopped && !record.stop_start) {
                return self.told_after_stop(key, record);
            }
            let tried_since = grave.began.max(self.nases[key.0].resumed);
            let long_gone = (grave.known || grave.lasted.is_some()) && event.since(tried_since) >= COPY;
            let soon = record.arrival.since(grave.arrival) < COPY;
            let unsure = !record.dated && !record.stop_start && soon && !long_gone;
            let state = match unsure {
                true => self.doubt(key.0, record, Why::UndatedStart(stopped)),
                false => State::Active,
            };
            return self.open(key, record, event, stopped, state);
        };
        let heard = life.heard;
        match life.state {
            State::Doubt(Why::NasBeganAnew(at), _) if event >= at => {
                self.close(key, event, End::Left);
                self.open(key, record, event, event, State::Active);
            }
            _ if event <= life.after => self.tell_against(key, record),
            // Row 16, though something straggled in between.
            _ if life.is_same_line(record)
                && life.has_stopped()
                && event > heard
                && (record.dated || record.stop_start || event.since(heard) >= COPY) =>
            {
                self.close(key, heard, End::Left);
                self.open(key, record, event, heard, State::Active);
            }
            // Row 14: long after the first it is a new beginning.
            _ if life.is_same_line(record) && !life.begins_again(record) => {
                self.go_on(key, record);
            }
            // Row 14 or 15.
            _ if event >= heard => {
                self.close(key, event, End::Left);
                self.open(key, record, event, heard, State::Active);
            }
            _ => self.tell_against(key, record),
        }
    }

    fn interim(&mut self, key: &Key, record: &Record) {
        let event = record.event;
        let Some(life) = self.life(key) else { return self.interim_of_none(key, record) };
        let heard = life.heard;
        if event <= life.after {
            return self.tell_against(key, record);
        }
        let newer = event >= heard;
        let shorter = matches!((record.session_time, life.lasted), (Some(now), Some(before)) if now < before);
        if let State::Doubt(Why::NasBeganAnew(at), _) = life.state {
            if event <= at {
            } else if newer && (shorter || !life.is_same_line(record)) {
                self.close(key, at, End::Left);
                self.open(key, record, began(record).max(at), at, State::Active);
            } else {
                self.go_on(key, record);
            }
            return;
        }
        // Row 15.
        let another = newer && shorter && (!life.is_same_line(record) || life.is_begun_since(record));
        if another || (newer && life.is_elsewhere(record)) {
            let from = began(record).max(heard);
            self.close(key, from, End::Left);
            self.open(key, record, from, heard, State::Active);
        } else if newer || life.is_same_line(record) {
            self.go_on(key, record);
        } else {
            self.tell_against(key, record);
        }
    }

    fn interim_of_none(&mut self, key: &Key, record: &Record) {
        let Some(grave) = self.grave(key).cloned() else {
            // Row 7.
            return self.open(key, record, began(record), Timestamp::EARLIEST, State::Active);
        };
        // Row 8.
        if record.event <= grave.stopped {
            return self.told_after_stop(key, record);
        }
        // Row 9: another life, if it is told to have begun after the Stop.
        let exact = record.dated || record.arrival.since(grave.arrival) >= COPY;
        let not_before = if exact { grave.stopped.minus(SAME_MOMENT) } else { grave.stopped.plus(COPY) };
        let another = record.session_time.is_some() && began(record) >= not_before;
        let no_younger =
            matches!((record.session_time, grave.lasted), (Some(now), Some(then)) if now <= then);
        let state = self.doubt(key.0, record, Why::HeardAfterStop);
        if another {
            self.open(key, record, began(record).max(grave.stopped), grave.stopped, state);
        } else if !no_younger {
            self.open(key, record, grave.began, Timestamp::EARLIEST, state);
        } else {
            self.told_after_stop(key, record);
        }
    }

    fn stop(&mut self, key: &Key, record: &Record) {
        let event = record.event;
        let Some(life) = self.life(key) else {
            return self.stop_of_none(key, record);
        };
        // Row 13.
        let slack = if record.dated { Duration::ZERO } else { SAME_MOMENT };
        let before = life.started.is_some_and(|started| event.plus(slack) < started);
        let of_former = record.session_time.is_some()
            && life.started.is_some_and(|started| began(record).plus(COPY) < started)
            && !life.is_same_line(record);
        let unsure = matches!(record.clock_offset, Some(ClockOffset::AtMost(_)));
        let goes_on = matches!((record.session_time, life.lasted), (Some(now), Some(heard)) if now > heard);
        let own = !record.dated && goes_on && life.is_same_line(record);
        if !unsure && !own && (event <= life.after || before) {
            return;
        }
        if life.is_elsewhere(record) && life.is_begun_since(record) {
            self.close(key, began(record), End::Left);
            return self.stop_of_none(key, record);
        }
        if of_former || life.is_elsewhere(record) {
            return self.tell_against(key, record);
        }
        // Row 9 the other way round.
        let overtaken = match (record.session_time, life.lasted) {
            (Some(stop), Some(heard)) => heard > stop && event < life.heard,
            _ => event.plus(SAME_MOMENT) < life.heard,
        };
        if overtaken {
            let state = self.doubt(key.0, record, Why::HeardAfterStop);
            self.life_mut(key).unwrap().state = state;
            return;
        }
        // Row 10.
        let stands = DAY.max(life.reports_every().map_or(Duration::ZERO, |interval| interval * 3));
        let began = life.began;
        self.tell_against(key, record);
        self.close(key, event, End::Stop);
        self.bury(key, record, began, true, stands);
    }

    /// Row 12; the same Stop again is no later one, and one whose session began since is another's.
    fn stop_of_none(&mut self, key: &Key, record: &Record) {
        let event = record.event;
        let mut known = self.grave(key).map(|grave| (grave.stopped, grave.began));
        if known.is_some_and(|(stopped, _)| event <= stopped) {
            return;
        }
        let exact = |stopped| record.dated || event.since(stopped) >= COPY;
        let since = |stopped| {
            exact(stopped) && record.session_time.is_some() && began(record).plus(SAME_MOMENT) >= stopped
        };
        if known.is_none_or(|(stopped, _)| since(stopped)) {
            known = None;
            self.graves.retain(|grave| grave.key != *key);
            self.tell_against(key, record);
            self.remember(record, began(record), event);
        }
        self.bury(key, record, known.map_or(began(record), |(_, began)| began), false, DAY);
    }

    /// Rows 8 and 17.
    fn told_after_stop(&mut self, key: &Key, record: &Record) {
        let grave = self.grave(key).unwrap();
        let (known, stopped) = (grave.known, grave.stopped);
        self.tell_against(key, record);
        if !known {
            self.remember(record, record.event, stopped);
        }
    }

    fn bury(&mut self, key: &Key, record: &Record, began: Timestamp, known: bool, stands: Duration) {
        self.graves.retain(|grave| grave.key != *key);
        self.graves.push(Grave {
            key: key.clone(),
            stopped: record.event,
            arrival: record.arrival,
            lasted: record.session_time,
            began,
            known,
            until: record.arrival.plus(stands),
        });
    }

    /// Rows 21 and 22.
    fn service(&mut self, nas: usize, service: &Service, record: &Record) {
        let Some(parent) = &service.parent else { return };
        if record.kind == Kind::Stop {
            return;
        }
        let Some(life) = self.life_mut(&(nas, parent.clone())) else { return };
        if !differ(&life.subscriber, &record.subscriber) && record.event > life.heard {
            life.heard = record.event;
            if matches!(life.state, State::Doubt(Why::Overdue | Why::Unheard, _)) {
                life.state = life.settled();
            }
        }
    }

    fn doubt(&self, nas: usize, record: &Record, why: Why) -> State {
        let interval = self.nases[nas].interval.map_or(INTERVAL_ASSUMED, |seconds| SECONDS(seconds.into()));
        let patience = time::span(self.rules.interim_overdue, interval).max(OVERDUE_AT_LEAST);
        State::Doubt(why, record.arrival.plus(patience))
    }

    fn open(&mut self, key: &Key, record: &Record, began: Timestamp, after: Timestamp, state: State) {
        let pending = state == State::Active && record.claims.is_empty();
        let told = record.kind == Kind::Start || record.session_time.is_some();
        self.graves.retain(|grave| grave.key != *key);
        self.lives.push(Life {
            key: key.clone(),
            began,
            after,
            started: told.then_some(began),
            heard: record.event,
            state: if pending { State::Pending } else { state },
            subscriber: record.subscriber.clone(),
            calling: record.line.calling_station.clone(),
            port: record.line.port_id.clone(),
            scope: record.scope.clone(),
            lasted: record.session_time,
            interval: None,
            announced: false,
            gap: 0,
            interval_of_nas: self.nases[key.0].interval.map(|seconds| SECONDS(seconds.into())),
            wants: Vec::new(),
            address_at: Timestamp::EARLIEST,
            whole: Vec::new(),
            host: record.multi_session_id.clone(),
        });
        if began < record.event {
            self.tell_against(key, record);
        }
        self.announce(key, record);
        self.admit(key, record);
    }

    /// A record of a life that goes on.
    fn go_on(&mut self, key: &Key, record: &Record) {
        let event = record.event;
        let life = self.life_mut(key).unwrap();
        let before = life.heard;
        let newer = event >= before;
        // Row 42.
        if newer && record.subscriber.is_some() && record.subscriber != life.subscriber {
            life.subscriber.clone_from(&record.subscriber);
            life.calling.clone_from(&record.line.calling_station);
            life.port.clone_from(&record.line.port_id);
        }
        let confirmed = match life.state {
            State::Doubt(Why::Overdue | Why::Unheard, _) => event > before,
            State::Doubt(Why::NasBeganAnew(at), _) => {
                let shorter =
                    matches!((record.session_time, life.lasted), (Some(now), Some(then)) if now < then);
                event > at && !shorter
            }
            State::Doubt(Why::HeardAfterStop, _) => event > before && record.kind == Kind::Interim,
            State::Doubt(Why::UndatedStart(stopped), _) => {
                let later = record.session_time.is_none() || began(record).plus(SAME_MOMENT) >= stopped;
                record.kind == Kind::Interim && event > stopped && later
            }
            State::Pending => !record.claims.is_empty(),
            State::Active => false,
        };
        if confirmed {
            life.state = life.settled();
            if life.state == State::Pending && !record.claims.is_empty() {
                life.state = State::Active;
            }
        }
        self.announce(key, record);
        if newer {
            self.learn(key, event.since(before));
            let of_nas = self.nases[key.0].interval.map(|seconds| SECONDS(seconds.into()));
            let life = self.life_mut(key).unwrap();
            life.heard = life.heard.max(event);
            life.interval_of_nas = of_nas;
            life.lasted = record.session_time.or(life.lasted);
        }
        let life = self.life_mut(key).unwrap();
        life.host = life.host.take().or_else(|| record.multi_session_id.clone());
        self.admit(key, record);
    }

    fn refresh(&mut self, refresh: &Refresh) {
        let Some(nas) = self.nases.iter().position(|nas| nas.name == refresh.nas) else { return };
        self.nas_heard(nas, refresh.arrival);
        self.nas_reports(nas, refresh.arrival);
        let key = (nas, refresh.session_id.clone());
        let of_nas = self.nases[nas].interval.map(|seconds| SECONDS(seconds.into()));
        let Some(life) = self.life_mut(&key) else { return };
        let before = life.heard;
        if refresh.event < before {
            return;
        }
        life.heard = refresh.event;
        life.interval_of_nas = of_nas;
        life.lasted = refresh.session_time.or(life.lasted);
        match life.state {
            State::Doubt(Why::Overdue | Why::Unheard, _) => life.state = life.settled(),
            State::Doubt(Why::NasBeganAnew(at), _) if refresh.event > at => life.state = life.settled(),
            _ => {}
        }
        self.learn(&key, refresh.event.since(before));
    }

    /// Row 34.
    fn take_over(&mut self, key: &Key, record: &Record) {
        let Some(group) = &record.group else { return };
        let here = self.life(key);
        if record.subscriber.is_none() || here.is_some_and(|life| !life.is_same_line(record)) {
            return;
        }
        let here = here.is_some();
        let partner = |nas: &usize| self.nases[*nas].group.as_ref() == Some(group) && *nas != key.0;
        let told_enough = record.kind == Kind::Stop && record.claims.is_empty();
        let same = |nas: &usize| {
            self.life(&(*nas, key.1.clone())).is_some_and(|life| {
                let has = |claim: &Claim| {
                    let place = Place::new(Realm::PUBLIC, claim.prefix, claim.ports);
                    life.wants.iter().any(|want| want.place == place)
                };
                life.subscriber == record.subscriber
                    && record.event > life.heard
                    && !differ(&life.calling, &record.line.calling_station)
                    && (here || told_enough || record.claims.iter().any(has))
            })
        };
        let Some(nas) = (0..self.nases.len()).filter(partner).find(same) else { return };
        let from = (nas, key.1.clone());
        if here {
            return self.close(&from, record.event, End::Left);
        }
        self.graves.retain(|grave| grave.key != *key);
        for stand in &mut self.stands {
            for holder in stand.holders.iter_mut().filter(|holder| holder.key == from) {
                holder.key = key.clone();
            }
        }
        self.life_mut(&from).unwrap().key = key.clone();
    }

    fn has_stopped_at_partner(&self, key: &Key, record: &Record) -> bool {
        let partner =
            |nas: usize| nas != key.0 && record.group.is_some() && self.nases[nas].group == record.group;
        let later =
            |grave: &Grave| partner(grave.key.0) && grave.key.1 == key.1 && record.event <= grave.stopped;
        self.life(key).is_none() && self.graves.iter().any(later)
    }

    /// Whether what a record told is news against others: not from before what is known of its session, nor in doubt.
    pub(crate) fn is_news(&self, record: &Record) -> bool {
        let Some(nas) = self.nases.iter().position(|nas| nas.name == record.nas) else { return false };
        let key = (nas, record.session_id.clone());
        let history = record.arrival.since(record.event) > self.rules.stale_limit;
        match (self.life(&key), self.grave(&key)) {
            _ if history => false,
            (Some(life), _) => {
                record.event >= life.heard && !matches!(life.state, State::Doubt(Why::UndatedStart(_), _))
            }
            (None, Some(grave)) => !grave.known,
            (None, None) => false,
        }
    }
}
