//! Plays the steps of one story as the daemon would live through them.
//!
//! Knows: the order in which a datagram is handled, an entry folded, a restart done. Must not know: the language.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, PastAnswer, Question};
use super::expectation::{
    DATED, Expectation, NONE, UNDATED, spelled_alarm, spelled_ignored, spelled_line, spelled_prefix,
};
use super::records::{Content, Told};
use super::script::{Statement, Step};
use super::settings::Settings;
use super::words::{MIDNIGHT, When, name, shown, spelled};
use super::{Fault, Mistake, Props};
use crate::audit::index::Index;
use crate::config::{Client, Config};
use crate::log::entry::Entry;
use crate::radius::accounting::{self, Ignored};
use crate::radius::authenticator;
use crate::radius::dictionary::Dictionary;
use crate::radius::duplicate::{Admission, Key, Memory};
use crate::radius::nas_clock::NasClocks;
use crate::radius::packet::{Packet, code};
use crate::radius::text;
use crate::relay::Profile;
use crate::relay::ruling::{self, rule};
use crate::relay::standing::Standing;
use crate::server::daemon::applied_by;
use crate::session::bindings::{Found, Lookup};
use crate::session::effect::{Alarm, Effect};
use crate::session::event::{Event, NasHold, Record};
use crate::session::machine::GAP_BRIDGED;
use crate::session::phase::Phase;
use crate::session::{Name, Place, Realm, SessionKey, Timestamp};
use crate::views::{Folded, Outcome, Shared, Views};

/// The port that every NAS sends from.
const SOURCE_PORT: u16 = 1646;
/// Requests remembered, as many as a story may have.
const REMEMBERED: usize = 4096;
/// So many records, so far apart, teach a NAS's clock.
const LESSONS: i64 = 5;
const LESSON_EVERY: i64 = 3000;

pub(super) fn play(steps: &[Step], props: &Props<'_>) -> Result<Vec<String>, Mistake> {
    let mut stage = Stage::new(props).map_err(|fault| Mistake { line: 0, fault })?;
    for step in steps {
        stage.step(step).map_err(|fault| Mistake { line: step.line, fault })?;
    }
    Ok(stage.told)
}

/// What became of the last record.
enum Became {
    Refresh,
    Folded { event: Timestamp, dated: bool, dropped: u16 },
    Ignored(Ignored),
    Repeated,
}

struct Last {
    octets: Vec<u8>,
    peer: SocketAddr,
    became: Became,
    absurd: bool,
}

struct Stage<'a> {
    props: &'a Props<'a>,
    settings: Settings,
    config: Config,
    /// Whether what is configured is applied.
    applied: bool,
    shared: Arc<Shared>,
    views: Views,
    log: Vec<(Timestamp, Entry)>,
    folded: Vec<Folded>,
    now: Timestamp,
    clocks: NasClocks,
    memory: Memory,
    /// How far the clock of each NAS that has one is ahead of ours, in milliseconds.
    skews: HashMap<Name, i64>,
    /// How far our time has moved against one that nobody sets, in milliseconds, since midnight.
    lead: i64,
    /// How far our time is ahead of our host's clock, which was set back.
    ahead: i64,
    identifier: u8,
    last: Option<Last>,
    alarms: Vec<Alarm>,
    bound: BTreeSet<String>,
    told: Vec<String>,
}

impl<'a> Stage<'a> {
    fn new(props: &'a Props<'a>) -> Result<Self, Fault> {
        let settings = Settings::default();
        let config = match props.config {
            Some(config) => config.clone(),
            None => settings.config()?,
        };
        let shared: Arc<Shared> = Arc::default();
        Ok(Stage {
            props,
            settings,
            config,
            applied: false,
            views: Views::new(Arc::clone(&shared)),
            shared,
            log: Vec::new(),
            folded: Vec::new(),
            now: MIDNIGHT,
            clocks: NasClocks::default(),
            memory: Memory::new(REMEMBERED),
            skews: HashMap::new(),
            lead: 0,
            ahead: 0,
            identifier: 0,
            last: None,
            alarms: Vec::new(),
            bound: BTreeSet::new(),
            told: Vec::new(),
        })
    }

    fn step(&mut self, step: &Step) -> Result<(), Fault> {
        if let Statement::Setting(setting) = &step.what {
            if let Some(at) = step.at {
                self.go_to(at)?;
            }
            self.settings.set(setting);
            if self.props.config.is_none() {
                self.config = self.settings.config()?;
                self.applied = false;
            }
            return Ok(());
        }
        // Before anything happened the configuration was there for ever; later it is a reload.
        if self.log.is_empty() {
            self.apply(Timestamp::EARLIEST);
        }
        if let Some(at) = step.at {
            self.go_to(at)?;
        }
        self.apply(self.now);
        match &step.what {
            Statement::Setting(_) | Statement::Wait => Ok(()),
            Statement::Clock { nas, skew, learned } => self.clock(nas, *skew, *learned),
            Statement::HostClock { by } => {
                self.set_host_clock(*by);
                Ok(())
            }
            Statement::Record(told) => self.send(told),
            Statement::Again => self.again(),
            Statement::Hold { nas, until } => {
                let hold = NasHold {
                    at: self.now,
                    by: Name::from("staff"),
                    nas: nas.clone(),
                    until: until.from(self.now),
                    reason: Name::from("maintenance"),
                };
                self.fold(self.now, Entry::Hold(hold));
                Ok(())
            }
            Statement::Restart { after } => self.restart(*after),
            Statement::Anew => {
                self.begin_anew();
                Ok(())
            }
            Statement::Lookup(question, expected) => {
                let answer = Answer::of(&self.ruling(question));
                self.compare(&format!("lookup {question}"), expected.as_ref(), &answer)
            }
            Statement::Past(question, at, expected) => {
                let at = at.from(self.now);
                let answer = self.past(question, at)?;
                self.compare(&format!("past {question} at {}", shown(at)), expected.as_ref(), &answer)
            }
            Statement::Expect(expectation) => self.expect(expectation),
        }
    }

    /// Tells the answer where nothing was expected.
    fn compare<T: PartialEq + ToString>(
        &mut self,
        asked: &str,
        expected: Option<&T>,
        found: &T,
    ) -> Result<(), Fault> {
        match expected {
            None => {
                self.told.push(format!("{} {asked} -> {}", shown(self.now), found.to_string()));
                Ok(())
            }
            Some(expected) if expected == found => Ok(()),
            Some(expected) => otherwise(expected.to_string(), found.to_string()),
        }
    }

    /// When that is, if it is not before now.
    fn later(&self, at: When) -> Result<Timestamp, Fault> {
        let at = at.from(self.now);
        if at < self.now { Err(Fault::Backwards { now: shown(self.now) }) } else { Ok(at) }
    }

    fn go_to(&mut self, at: When) -> Result<(), Fault> {
        self.pass_time_until(at)?;
        let mut folded = Vec::new();
        self.views.advance(self.now, &mut folded);
        self.note(folded);
        Ok(())
    }

    /// Time goes on, and nothing comes of it yet.
    fn pass_time_until(&mut self, at: When) -> Result<(), Fault> {
        let at = self.later(at)?;
        // As `clock.rs` has it: of four seconds our time goes on by three, until the host's clock has caught up.
        let caught_up = self.now.plus(Duration::from_millis(self.ahead.unsigned_abs()).saturating_mul(3));
        for at in [at.min(caught_up), at] {
            let missed = i64::try_from(at.since(self.now).as_millis()).unwrap_or(i64::MAX) / 3;
            let missed = missed.min(self.ahead);
            self.ahead -= missed;
            self.pass_time(at, -missed);
        }
        Ok(())
    }

    /// Time goes on, and ours moves by so much against everybody else's.
    fn pass_time(&mut self, to: Timestamp, by: i64) {
        self.now = to;
        self.lead = self.lead.saturating_add(by);
        self.skews.values_mut().for_each(|skew| *skew = skew.saturating_sub(by));
        self.clocks.follow(self.lead, to);
    }

    /// One that is set forward is followed, after it has caught up with our time. To the engine that is a time in which it
    /// did not listen.
    fn set_host_clock(&mut self, by: i64) {
        let since = self.now;
        let jump = by.saturating_sub(self.ahead).max(0);
        self.ahead = self.ahead.saturating_sub(by).max(0);
        let span = Duration::from_millis(jump.unsigned_abs());
        self.pass_time(since.plus(span), jump);
        if span > GAP_BRIDGED {
            self.fold(self.now, Entry::Session(Event::Resumed { since: Some(since) }));
        }
    }

    fn apply(&mut self, at: Timestamp) {
        if !self.applied {
            self.applied = true;
            self.fold(at, Entry::Session(Event::Applied(Box::new(applied_by(&self.config)))));
        }
    }

    fn fold(&mut self, at: Timestamp, entry: Entry) {
        let mut folded = Vec::new();
        self.views.fold(at, self.views.sequence().saturating_add(1), &entry, &mut folded);
        self.log.push((at, entry));
        self.note(folded);
    }

    fn note(&mut self, folded: Vec<Folded>) {
        for item in &folded {
            match &item.outcome {
                Outcome::Effect(_, Effect::Alarm(alarm)) => self.alarms.push(alarm.clone()),
                Outcome::Effect(_, Effect::Bound { place, .. }) => {
                    let ports =
                        if place.ports.is_all() { String::new() } else { format!(":{}", place.ports) };
                    self.bound.insert(format!("{}{ports}", spelled_prefix(place.prefix)));
                }
                _ => {}
            }
        }
        self.folded.extend(folded);
    }

    /// The client of a record, and the address that it comes from.
    fn speaker(&self, told: &Told) -> Result<(&Client, IpAddr), Fault> {
        let (clients, wanted) = (&self.config.radius.clients, name(&told.speaker.client));
        let Some(client) = clients.iter().find(|client| client.name == wanted) else {
            let known: Vec<_> = clients.iter().map(|client| spelled(&client.name)).collect();
            let name = told.speaker.client.clone();
            return Err(Fault::UnknownClient { name, known: known.join(", ") });
        };
        let source = told.speaker.source.unwrap_or_else(|| client.address.addr());
        // Where several clients' addresses lie within one another, the longest prefix is who sends.
        match self.config.radius.client(source) {
            Some(found) if found.name == client.name => Ok((client, source)),
            _ => Err(Fault::ForeignSource { source, client: told.speaker.client.clone() }),
        }
    }

    /// The NAS that attributes speak of, by the decoder's own word.
    fn nas(&self, told: &Told, attributes: &[u8]) -> Result<Name, Fault> {
        let (client, source) = self.speaker(told)?;
        let octets = text::encode_request(code::ACCOUNTING_REQUEST, 0, attributes, client.secret.octets());
        let octets = octets.map_err(|_| Fault::NoPacket)?;
        let packet = Packet::decode(&octets).map_err(|_| Fault::NoPacket)?;
        let record =
            accounting::read(&packet, &self.rules(client, source), self.now, &mut NasClocks::default());
        // Who says too little to be anybody is the client.
        Ok(record.map_or_else(|_| client.name.clone(), |record| record.nas))
    }

    fn rules<'b>(&'b self, client: &'b Client, source: IpAddr) -> accounting::Rules<'b> {
        accounting::Rules { client, source, identity: &self.config.identity, never: &self.config.relay.never }
    }

    fn clock(&mut self, told: &Told, skew: Option<i64>, learned: bool) -> Result<(), Fault> {
        let nas = self.nas(told, attributes(told, self.props)?.as_slice())?;
        let Some(skew) = skew else {
            self.skews.remove(&nas);
            return Ok(());
        };
        for lesson in (0..LESSONS).rev().filter(|_| learned) {
            let arrival = self.now.millis() - lesson * LESSON_EVERY;
            let stamp = u32::try_from((arrival + skew).div_euclid(1000)).ok();
            let arrival = Timestamp::from_millis(arrival);
            self.clocks.moment(&nas, arrival, arrival, None, stamp);
        }
        self.skews.insert(nas, skew);
        Ok(())
    }

    fn send(&mut self, told: &Told) -> Result<(), Fault> {
        let attributes = attributes(told, self.props)?;
        let skew = self.skews.get(&self.nas(told, &attributes)?).copied();
        let attributes = told.sent(&attributes, self.now, skew)?;
        let (client, source) = self.speaker(told)?;
        let secret = client.secret.octets();
        let identifier = told.identifier.unwrap_or_else(|| self.identifier.wrapping_add(1));
        let octets = text::encode_request(code::ACCOUNTING_REQUEST, identifier, &attributes, secret);
        let octets = octets.map_err(|_| Fault::NoPacket)?;
        self.identifier = identifier;
        self.receive(octets, SocketAddr::new(source, SOURCE_PORT))
    }

    fn again(&mut self) -> Result<(), Fault> {
        let last = self.last.take().ok_or(Fault::NothingSent)?;
        self.receive(last.octets, last.peer)
    }

    /// One datagram, as its listener and the engine handle it.
    fn receive(&mut self, octets: Vec<u8>, peer: SocketAddr) -> Result<(), Fault> {
        let packet = Packet::decode(&octets).map_err(|_| Fault::NoPacket)?;
        let key = Key::new(peer, &packet);
        let absurd = self.clocks.absurd();
        let became = match self.memory.admit(key, self.now) {
            Admission::Answered(_) | Admission::InFlight | Admission::Full => Became::Repeated,
            Admission::New => {
                let Some(client) = self.config.radius.client(peer.ip()) else { return Err(Fault::NoPacket) };
                let rules = accounting::Rules {
                    client,
                    source: peer.ip(),
                    identity: &self.config.identity,
                    never: &self.config.relay.never,
                };
                let read = accounting::read(&packet, &rules, self.now, &mut self.clocks);
                let response = authenticator::accounting_response(&packet, client.secret.octets());
                let became = match read {
                    Ok(record) => self.record(record),
                    Err(ignored) => Became::Ignored(ignored),
                };
                // Whatever it meant it is answered, or its NAS would send it for ever.
                self.memory.answer(&key, response, self.now);
                became
            }
        };
        let absurd = self.clocks.absurd() > absurd;
        self.last = Some(Last { octets, peer, became, absurd });
        Ok(())
    }

    fn record(&mut self, record: Box<Record>) -> Became {
        if let Some(refresh) = self.views.machine().as_refresh(&record) {
            self.fold(self.now, Entry::Session(Event::Refreshes(vec![refresh])));
            return Became::Refresh;
        }
        let (event, dated, dropped) = (record.event, record.dated, record.claims_dropped);
        self.fold(self.now, Entry::Session(Event::Record(record)));
        Became::Folded { event, dated, dropped }
    }

    /// As the daemon stops and starts again: from a snapshot and what was logged after it, without what only a
    /// running daemon knows. Both ways to come back, and going on, must be the same.
    fn restart(&mut self, after: When) -> Result<(), Fault> {
        let since = self.now;
        let whole = self.replayed(None, self.log.len());
        let half = self.replayed(None, self.log.len() / 2).snapshot();
        let rest = self.replayed(Some(&half), self.log.len());
        let octets = self.views.snapshot();
        if !whole.are_as(&self.views) || !rest.are_as(&self.views) {
            return Err(Fault::Forgotten);
        }
        self.shared = Arc::default();
        self.views = Views::restore(Arc::clone(&self.shared), &octets).map_err(|_| Fault::Forgotten)?;
        self.forget_what_only_runs();
        self.views.machine().clock_offsets().for_each(|(nas, offset)| self.clocks.seed(nas, offset));
        self.pass_time_until(after)?;
        self.fold(self.now, Entry::Session(Event::Resumed { since: Some(since) }));
        Ok(())
    }

    /// Views that fold the log up to an entry, from its beginning or from a snapshot.
    fn replayed(&self, from: Option<&[u8]>, entries: usize) -> Views {
        let restored = from.and_then(|octets| Views::restore(Arc::default(), octets).ok());
        let mut views = restored.unwrap_or_else(|| Views::new(Arc::default()));
        let mut folded = Vec::new();
        for (sequence, (at, entry)) in (1_u64..).zip(self.log.iter().take(entries)) {
            views.fold(*at, sequence, entry, &mut folded);
        }
        if entries == self.log.len() {
            views.advance(self.now, &mut folded);
        }
        views
    }

    fn begin_anew(&mut self) {
        self.shared = Arc::default();
        self.views = Views::new(Arc::clone(&self.shared));
        self.log.clear();
        self.folded.clear();
        self.forget_what_only_runs();
        self.applied = false;
        self.apply(self.now);
        self.fold(self.now, Entry::Session(Event::Resumed { since: None }));
    }

    fn forget_what_only_runs(&mut self) {
        self.clocks = NasClocks::default();
        self.clocks.follow(self.lead, self.now);
        self.memory = Memory::new(REMEMBERED);
    }

    fn ruling(&self, question: &Question) -> ruling::Ruling {
        let client = ruling::Client {
            realm: self.shared.map.realm(question.realm.as_ref()),
            address: Some(question.address),
            port: question.port,
            login: None,
            profile: Profile::Relay,
            logins_relay: false,
            blind: false,
        };
        rule(&self.shared.map, &Standing::default(), client, self.now)
    }

    fn owners(&self, realm: Realm, address: IpAddr, port: Option<u16>) -> Vec<Found> {
        match self.shared.map.lookup(realm, address, port, self.now) {
            Lookup::Found(found) | Lookup::Unready(_, Some(found)) => vec![found],
            Lookup::Ambiguous(all) => all,
            Lookup::Absent | Lookup::Unready(_, None) => Vec::new(),
        }
    }

    /// Fills an index with everything so far and asks it.
    fn past(&self, question: &Question, at: Timestamp) -> Result<PastAnswer, Fault> {
        let failed = |error: &dyn ToString| Fault::Index(error.to_string());
        let realm = self.shared.map.realm(question.realm.as_ref());
        let directory = tempfile::Builder::new().prefix("relaywarden-rehearsal-").tempdir();
        let directory = directory.map_err(|error| failed(&error))?;
        let mut index = Index::open(directory.path()).map_err(|error| failed(&error))?;
        index.apply(self.views.sequence(), &self.folded).map_err(|error| failed(&error))?;
        let past = index.past().map_err(|error| failed(&error))?;
        let seen = |key: &SessionKey, place: Place| {
            let holder = self.shared.map.holder(place, key)?;
            let known = holder.is_believed() && !holder.session.is_stale();
            Some(if known { self.now } else { holder.session.seen() })
        };
        let owner = past.owner(realm, question.address, question.port, at, &seen);
        owner.map(|owner| PastAnswer::of(&owner)).map_err(|error| failed(&error))
    }

    fn expect(&mut self, expectation: &Expectation) -> Result<(), Fault> {
        let spelled_alarms: Vec<_> = self.alarms.iter().map(spelled_alarm).collect();
        let alarms = || match spelled_alarms.as_slice() {
            [] => "no alarm".to_owned(),
            some => format!("alarm {}", some.join(", ")),
        };
        let (expected, found) = match expectation {
            Expectation::Alarm(wanted) => {
                let Some(position) = spelled_alarms.iter().position(|alarm| alarm == wanted) else {
                    return otherwise(format!("alarm {wanted}"), alarms());
                };
                self.alarms.remove(position);
                return Ok(());
            }
            Expectation::NoAlarm => ("no alarm".to_owned(), alarms()),
            Expectation::Became(wanted) => (wanted.clone(), self.became(wanted)?),
            Expectation::Event(when, word) => {
                let expected = format!("event {} {word}", shown(when.from(self.now)));
                let last = self.last.as_ref().ok_or(Fault::NothingSent)?;
                let found = match &last.became {
                    Became::Folded { event, dated, .. } => {
                        format!("event {} {}", shown(*event), if *dated { DATED } else { UNDATED })
                    }
                    other => spelled_became(other),
                };
                (expected, found)
            }
            Expectation::Session { id, nas, state } => {
                ((*state).to_owned(), self.state(id, nas.as_ref())?.to_owned())
            }
            Expectation::Nas { nas, counts } => (counts.clone(), self.counts(nas)),
            Expectation::Line { address, line } => {
                let owners = self.owners(Realm::PUBLIC, *address, None);
                let session = owners.first().and_then(|found| found.session.as_ref());
                (line.clone(), session.map_or(NONE.to_owned(), |session| spelled_line(&session.line())))
            }
            Expectation::Bound(all) => (joined(all), joined(&self.bound)),
        };
        if expected == found { Ok(()) } else { otherwise(expected, found) }
    }

    fn became(&self, wanted: &str) -> Result<String, Fault> {
        let last = self.last.as_ref().ok_or(Fault::NothingSent)?;
        let became = spelled_became(&last.became);
        match wanted {
            "absurd" => Ok(if last.absurd { wanted.to_owned() } else { became }),
            _ => Ok(became),
        }
    }

    fn state(&self, id: &Name, nas: Option<&Name>) -> Result<&'static str, Fault> {
        let machine = self.views.machine();
        if let Some(nas) = nas {
            return Ok(machine.phase(nas, id).map_or(NONE, Phase::word));
        }
        let nases = self.shared.map.nases();
        let all: Vec<_> = nases.iter().filter_map(|nas| Some((nas, machine.phase(&nas.name, id)?))).collect();
        match all[..] {
            [] => Ok(NONE),
            [(_, phase)] => Ok(phase.word()),
            _ => {
                let nases: Vec<_> = all.iter().map(|(nas, _)| spelled(&nas.name)).collect();
                Err(Fault::WhichNas { nases: nases.join(", ") })
            }
        }
    }

    fn counts(&self, nas: &Name) -> String {
        let nases = self.shared.map.nases();
        let Some(nas) = nases.iter().find(|known| known.name == *nas) else { return NONE.to_owned() };
        let counts = nas.counts();
        let states = [("active", counts.active), ("suspect", counts.suspect), ("pending", counts.pending)];
        let some = states.iter().filter(|(_, count)| *count > 0);
        let some: Vec<_> = some.map(|(state, count)| format!("{state} {count}")).collect();
        if some.is_empty() { NONE.to_owned() } else { some.join(" ") }
    }
}

fn otherwise(expected: String, found: String) -> Result<(), Fault> {
    Err(Fault::Otherwise { expected, found })
}

fn joined(words: &BTreeSet<String>) -> String {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    if words.is_empty() { NONE.to_owned() } else { words.join(" ") }
}

fn spelled_became(became: &Became) -> String {
    match became {
        Became::Refresh => "refresh".to_owned(),
        Became::Repeated => "repeated".to_owned(),
        Became::Ignored(ignored) => spelled_ignored(*ignored),
        Became::Folded { dropped: 0, .. } => "taken".to_owned(),
        Became::Folded { dropped, .. } => format!("dropped {dropped}"),
    }
}

/// The attributes that a record's content says.
fn attributes(told: &Told, props: &Props<'_>) -> Result<Vec<u8>, Fault> {
    match &told.content {
        Content::Attributes(attributes) => Ok(attributes.clone()),
        Content::Sample(sample) => {
            let name = sample.clone();
            let text = (props.samples)(sample).map_err(|error| Fault::NoSample { name, error })?;
            let name = sample.clone();
            text::parse_attributes(&text, Dictionary::builtin())
                .map_err(|error| Fault::Sample { name, error })
        }
    }
}
