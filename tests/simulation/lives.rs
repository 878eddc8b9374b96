//! Subscribers come and go: who holds what from when to when, and what their NASes say of it.
//!
//! Knows: a day's NASes and pools, and the habits of each. Must not know: what becomes of what is said.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use relaywarden::session::event::{Claim, ClaimSource, Kind};
use relaywarden::session::{Place, Ports, Realm};

use crate::dialect::{Blocks, Boot, Ids};
use crate::dice::Dice;
use crate::plan::{Beyond, Day, HOUR, MINUTE, SECOND, Said};
use crate::truth::{Fact, Life, Moment, NEVER};

const NAMES: [&str; 14] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "oscar",
    "peggy", "trent",
];

/// A subscriber's line: it comes and goes by itself. Some subscribers have two.
struct Line {
    subscriber: String,
    nases: Vec<usize>,
    /// What it had last, which it is given again at times.
    before: Option<Place>,
}

/// What a life has, from when to when.
#[derive(Clone, Copy)]
struct Had {
    place: Place,
    source: ClaimSource,
    from: Moment,
    to: Moment,
}

/// One life as its NAS sees it.
struct Session {
    life: usize,
    nas: usize,
    line: usize,
    id: String,
    from: Moment,
    /// When it ends, or its NAS does.
    to: Moment,
    killed: bool,
    had: Vec<Had>,
    host: Option<String>,
}

/// Fills the day.
pub(crate) fn live(day: &mut Day, dice: &mut Dice) {
    let mut lives = Lives { ids: BTreeMap::new(), under: BTreeMap::new(), switches: Vec::new(), salt: 0 };
    for _ in 0..dice.below(3) {
        lives.switches.push(dice.within(HOUR / 2, day.end));
    }
    lives.switches.sort_unstable();
    let mut lines = Vec::new();
    let mut turns = BinaryHeap::new();
    let subscribers = usize::try_from(dice.within(6, 14)).unwrap();
    for subscriber in NAMES.iter().take(subscribers) {
        for _ in 0..if dice.chance(1500) { 2 } else { 1 } {
            let home = usize::try_from(dice.below(day.nases.len() as u64)).unwrap();
            let away = usize::try_from(dice.below(day.nases.len() as u64)).unwrap();
            let nases = if dice.chance(3000) { vec![home, away] } else { vec![home] };
            turns.push(Reverse((dice.within(0, 20 * MINUTE), lines.len())));
            lines.push(Line { subscriber: (*subscriber).to_owned(), nases, before: None });
        }
    }
    while let Some(Reverse((at, line))) = turns.pop() {
        if at >= day.end {
            continue;
        }
        let next = match lives.come(day, &mut lines, line, at, dice) {
            Some(to) => to.saturating_add(dice.span(3 * SECOND, 90 * MINUTE)),
            None => at + dice.span(10 * SECOND, 10 * MINUTE),
        };
        turns.push(Reverse((next, line)));
    }
    lives.boots(day);
}

struct Lives {
    /// How many ids a NAS has given since it booted.
    ids: BTreeMap<(usize, usize), u32>,
    /// The lives that had an id, by NAS (or the first of its pair).
    under: BTreeMap<(usize, String), Vec<usize>>,
    /// When the NASes of a pair change places.
    switches: Vec<Moment>,
    salt: u64,
}

impl Lives {
    /// A line comes online, if its NAS is up and there is room. When it goes again.
    fn come(
        &mut self,
        day: &mut Day,
        lines: &mut [Line],
        line: usize,
        at: Moment,
        dice: &mut Dice,
    ) -> Option<Moment> {
        let nas = *dice.pick(&lines[line].nases);
        let nas = self.active(day, nas, at);
        let dialect = day.nases[nas].dialect;
        if day.nases[nas].boots.iter().any(|(down, up)| *down <= at && at < up + SECOND) {
            return None;
        }
        let mut to = at + dice.span(20 * SECOND, 2 * HOUR);
        let down = day.nases[nas].boots.iter().map(|(down, _)| *down).find(|down| *down > at);
        let killed = down.is_some_and(|down| down < to) && dialect.boot != Boot::OnAndKeeps;
        if let Some(down) = down.filter(|_| killed) {
            to = down;
        }
        if to > day.end {
            to = NEVER;
        }
        let had = self.places(day, &mut lines[line], nas, at, to, dice)?;
        let host = dialect.accounts.then(|| format!("host{}", self.fresh()));
        let subscriber = lines[line].subscriber.clone();
        let id = self.id(day, nas, at, dice);
        let life = day.truth.lives.len();
        day.truth.lives.push(Life { subscriber: subscriber.clone(), to });
        let session = Session { life, nas, line, id, from: at, to, killed, had, host };
        for had in &session.had {
            day.truth.hold(had.place, life, had.from, had.to);
        }
        self.say(day, &session, dice);
        if dialect.accounts {
            let twin = day.truth.lives.len();
            let id = self.id(day, nas, at, dice);
            day.truth.lives.push(Life { subscriber, to });
            let from = at + dice.within(0, 900);
            let to = if killed || to == NEVER { to } else { to + dice.within(0, 900) };
            // Its account of the host ends a moment later: the address is the subscriber's until then.
            let had: Vec<Had> =
                session.had.iter().map(|had| Had { from: had.from.max(from), ..*had }).collect();
            for had in &had {
                day.truth.hold(had.place, twin, had.from, had.to);
            }
            let twin = Session { life: twin, id, from, to, had, host: session.host.clone(), ..session };
            self.say(day, &twin, dice);
        }
        if dialect.services {
            self.serve(day, &session, dice);
        }
        Some(to)
    }

    /// Of a pair, the one that is active.
    fn active(&self, day: &Day, nas: usize, at: Moment) -> usize {
        if day.nases[nas].group.is_none() {
            return nas;
        }
        first_of_pair(day, nas) + self.switches.iter().filter(|switch| **switch <= at).count() % 2
    }

    fn fresh(&mut self) -> u64 {
        self.salt += 1;
        self.salt
    }

    fn id(&mut self, day: &Day, nas: usize, at: Moment, dice: &mut Dice) -> String {
        let booted = day.nases[nas].boots.iter().filter(|(_, up)| *up <= at).count();
        match day.nases[nas].dialect.ids {
            Ids::Random => format!("{:08x}", dice.below(1 << 32)),
            Ids::Counted => {
                let given = self.ids.entry((nas, booted)).or_default();
                *given += 1;
                format!("{given:08x}")
            }
        }
    }

    /// What a life gets: an address, perhaps another later, perhaps prefixes, perhaps blocks of ports.
    fn places(
        &mut self,
        day: &Day,
        line: &mut Line,
        nas: usize,
        from: Moment,
        to: Moment,
        dice: &mut Dice,
    ) -> Option<Vec<Had>> {
        let dialect = day.nases[nas].dialect;
        let reports = dialect.interim.is_some() && !dialect.stop_start;
        let mut all = Vec::new();
        for pool in &day.nases[nas].pools {
            let source = day.pools[*pool].source;
            let begin = match source {
                ClaimSource::FramedAddress if dialect.address_later => from + dice.within(50, 2500),
                ClaimSource::FramedAddress => from,
                _ if reports && dice.chance(5000) => from + dice.within(1, 20) * SECOND,
                _ => from,
            };
            if begin + SECOND >= to {
                continue;
            }
            let free = |from: Moment, to: Moment, all: &[Had]| -> Vec<Place> {
                let pool = &day.pools[*pool];
                let mine = |place: &Place| all.iter().any(|had: &Had| had.place == *place);
                let free = |place: &Place| !mine(place) && day.truth.is_free(*place, from, to, pool.pause);
                pool.places.iter().copied().filter(free).collect()
            };
            let candidates = free(begin, to, &all);
            let before = line.before.filter(|_| source == ClaimSource::FramedAddress && dice.chance(4000));
            let place = match before.filter(|before| candidates.contains(before)) {
                Some(before) => before,
                None if candidates.is_empty() && source == ClaimSource::FramedAddress => return None,
                None if candidates.is_empty() => continue,
                None => newest(day, &candidates, begin, dice),
            };
            all.push(Had { place, source, from: begin, to });
            if source == ClaimSource::FramedAddress {
                line.before = Some(place);
                if reports && to.min(day.end) - begin > 2 * MINUTE && dice.chance(1500) {
                    let at = dice.within(begin + MINUTE, to.min(day.end + MINUTE) - SECOND);
                    let candidates = free(at, to, &all);
                    if !candidates.is_empty() {
                        all.last_mut().unwrap().to = at;
                        all.push(Had { place: *dice.pick(&candidates), source, from: at, to });
                    }
                }
            }
            if source == ClaimSource::PortBlock && to.min(day.end) - begin > 2 * MINUTE && dice.chance(5000) {
                let at = dice.within(begin + MINUTE, to.min(day.end + MINUTE) - SECOND);
                let until =
                    if dice.chance(5000) { to } else { dice.within(at, to.min(day.end + MINUTE)) + SECOND };
                let until = until.min(to);
                if let Some(place) = free(at, until, &all).first() {
                    all.push(Had { place: *place, source, from: at, to: until });
                }
            }
        }
        Some(all)
    }

    /// Everything that is said of one session.
    fn say(&mut self, day: &mut Day, session: &Session, dice: &mut Dice) {
        let key = (first_of_pair(day, session.nas), session.id.clone());
        self.under.entry(key).or_default().push(session.life);
        let dialect = day.nases[session.nas].dialect;
        let end = session.to.min(day.end + MINUTE);
        self.tell(day, session, Kind::Start, session.from, session.from);
        if dialect.stop_start {
            let mut began = session.from;
            let period = dialect.interim.unwrap() * SECOND;
            while began + period < end {
                let at = began + period;
                self.tell(day, session, Kind::Stop, at, began);
                self.tell(day, session, Kind::Start, at + 1, at + 1);
                began = at + 1;
            }
            if session.to <= day.end && !session.killed {
                self.tell(day, session, Kind::Stop, session.to, began);
            }
            return;
        }
        if let Some(interval) = dialect.interim {
            let mut times = Vec::new();
            let mut at = session.from + interval * SECOND;
            while at < end {
                times.push(at + dice.within(0, 900));
                at += interval * SECOND;
            }
            // A change is told when it happens.
            let changes = session.had.iter().flat_map(|had| [had.from, had.to]);
            let changes: Vec<_> = changes.filter(|at| session.from < *at && *at < session.to).collect();
            // Of two records of one second nobody knows the order if they are not dated, and one overtakes the other.
            times.retain(|at| changes.iter().all(|change| (at - change).abs() > 2 * SECOND));
            times.extend(changes);
            if day.nases[session.nas].group.is_some() {
                let switches = self.switches.iter().map(|switch| switch + dice.within(1, 8) * SECOND);
                times.extend(switches.filter(|at| session.from < *at));
            }
            times.sort_unstable();
            times.dedup();
            for at in times.into_iter().filter(|at| *at < end) {
                self.tell(day, session, Kind::Interim, at, session.from);
            }
        }
        if session.to <= day.end && !session.killed {
            self.tell(day, session, Kind::Stop, session.to, session.from);
        }
    }

    /// One record of a session whose time counts from `began`.
    fn tell(&mut self, day: &mut Day, session: &Session, kind: Kind, at: Moment, began: Moment) {
        let nas = self.active(day, session.nas, at);
        let dialect = day.nases[nas].dialect;
        // What a Stop tells was held until that moment.
        let is_end = kind == Kind::Stop && at >= session.to;
        let seen = if is_end { session.to - 1 } else { at };
        let now = |had: &&Had| had.from <= seen && seen < had.to;
        let told: Vec<Had> = match kind {
            // A change is told, whatever else is not.
            Kind::Interim if !dialect.full_interims && session.had.iter().all(|had| had.from != at) => {
                Vec::new()
            }
            _ => session.had.iter().filter(now).copied().collect(),
        };
        let changed = |had: &&Had| had.from == at || had.to == at || kind != Kind::Interim;
        let whole = dialect.blocks == Blocks::Whole && kind != Kind::Stop;
        let blocks = |had: &&Had| had.source == ClaimSource::PortBlock && (whole || changed(had));
        let claim =
            |had: &Had| Claim { prefix: had.place.prefix, ports: had.place.ports, source: had.source };
        let mut beyond = Beyond { host: session.host.clone(), ..Beyond::default() };
        let mut facts = self.facts(day, session, nas, kind, at);
        if kind != Kind::Stop {
            beyond.blocks = told.iter().filter(blocks).map(claim).collect();
            let gone = session.had.iter().filter(|had| had.source == ClaimSource::PortBlock && had.to <= at);
            for had in gone {
                if whole || had.to == at {
                    facts.push(Fact::Left { life: session.life, place: had.place });
                }
                if !whole && had.to == at {
                    beyond.taken.push(had.place);
                }
            }
        }
        let claims: Vec<Claim> = told.iter().filter(|had| had.place.ports == Ports::ALL).map(claim).collect();
        if claims.iter().any(|claim| claim.source == ClaimSource::FramedAddress) {
            let left =
                session.had.iter().filter(|had| had.source == ClaimSource::FramedAddress && had.to <= seen);
            facts.extend(left.map(|had| Fact::Left { life: session.life, place: had.place }));
        }
        for claim in claims.iter().chain(&beyond.blocks) {
            let place = Place::new(Realm::PUBLIC, claim.prefix, claim.ports);
            facts.push(Fact::Held { life: session.life, place, at: seen });
        }
        let lasted = u32::try_from((at - began) / SECOND).unwrap();
        let said = Said {
            at,
            nas,
            kind,
            session: session.id.clone(),
            subscriber: Some(day.truth.lives[session.life].subscriber.clone()),
            line: session.line,
            claims,
            session_time: (kind != Kind::Start).then_some(lasted),
            beyond,
            facts,
            salt: self.fresh(),
        };
        day.said.push(said);
    }

    /// What a record tells besides what it claims.
    fn facts(&self, day: &Day, session: &Session, nas: usize, kind: Kind, at: Moment) -> Vec<Fact> {
        let mut facts = Vec::new();
        if kind == Kind::Stop && at >= session.to {
            facts.push(Fact::Over { life: session.life });
        }
        // Whoever had the id before has it no more.
        let under = self.under.get(&(first_of_pair(day, nas), session.id.clone()));
        let former = under.into_iter().flatten().filter(|life| **life < session.life);
        facts.extend(former.map(|life| Fact::Reused { life: *life }));
        facts
    }

    /// Services within a session: their records name it, and often its address.
    fn serve(&mut self, day: &mut Day, session: &Session, dice: &mut Dice) {
        for number in 1..=dice.below(3) {
            let end = session.to.min(day.end);
            if end - session.from < 10 * SECOND {
                return;
            }
            let from = session.from
                + if dice.chance(7000) { 6 } else { dice.within(3 * SECOND, end - session.from - SECOND) };
            // They end before the session does, some long before.
            let to = if dice.chance(5000) { session.to } else { dice.within(from + 1, end) };
            let names_address = dice.chance(6000);
            for (kind, at) in [(Kind::Start, from), (Kind::Stop, to.saturating_sub(9))] {
                if at > day.end || (kind == Kind::Stop && session.killed && to == session.to) {
                    continue;
                }
                let claims = session.had.iter().filter(|had| names_address && had.from <= at && at < had.to);
                let claims = claims.map(|had| Claim::whole(had.place.prefix, had.source)).collect();
                let said = Said {
                    at,
                    nas: session.nas,
                    kind,
                    session: format!("{}-{number}", session.id),
                    subscriber: Some(day.truth.lives[session.life].subscriber.clone()),
                    line: session.line,
                    claims,
                    session_time: (kind == Kind::Stop).then(|| u32::try_from((at - from) / SECOND).unwrap()),
                    beyond: Beyond { service_of: Some(session.id.clone()), ..Beyond::default() },
                    facts: Vec::new(),
                    salt: self.fresh(),
                };
                day.said.push(said);
            }
        }
    }

    /// What NASes say before they go down and when they are up again.
    fn boots(&mut self, day: &mut Day) {
        for nas in 0..day.nases.len() {
            for (down, up) in day.nases[nas].boots.clone() {
                let boot = day.nases[nas].dialect.boot;
                let mut facts = Vec::new();
                if boot != Boot::OnAndKeeps {
                    for said in day.said.iter().filter(|said| said.nas == nas && said.at < up) {
                        for fact in &said.facts {
                            if let Fact::Held { life, .. } = fact
                                && day.truth.lives[*life].to <= up
                                && !facts.contains(&Fact::Over { life: *life })
                            {
                                facts.push(Fact::Over { life: *life });
                            }
                        }
                    }
                }
                if boot == Boot::OffAndOn {
                    let salt = self.fresh();
                    day.said.push(Said::of_nas(nas, Kind::Off, down, facts.clone(), salt));
                }
                if boot != Boot::Silent {
                    let salt = self.fresh();
                    day.said.push(Said::of_nas(nas, Kind::On, up, facts, salt));
                }
            }
        }
    }
}

/// Most NASes give the address that was freed last or first; half of these days the one that was freed last.
fn newest(day: &Day, candidates: &[Place], at: Moment, dice: &mut Dice) -> Place {
    if dice.chance(5000) {
        return *dice.pick(candidates);
    }
    let freed = |place: &&Place| {
        let all = day.truth.places.get(place).map(Vec::as_slice).unwrap_or_default();
        all.iter().map(|held| held.to).filter(|to| *to <= at).max()
    };
    *candidates.iter().max_by_key(freed).unwrap()
}

fn first_of_pair(day: &Day, nas: usize) -> usize {
    match &day.nases[nas].group {
        Some(group) => day.nases.iter().position(|other| other.group.as_ref() == Some(group)).unwrap(),
        None => nas,
    }
}
