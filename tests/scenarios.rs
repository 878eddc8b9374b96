//! Stories about sessions, as text that an operator could write: `tests/data/scenarios/*.txt`.
//!
//! ```text
//! scenario: a Stop frees the address            a new machine begins
//! rules warm-up=0s defer-after-stop=10m         optional, before anything happens
//! client bras1 192.0.2.0/24                     a client and its pools; none given: everything
//! static 192.0.2.240/28 office
//! resumed since=11:00:00                        we listen again after a gap (`since=never`: a new log)
//! at 12:00:00 start s1 alice 192.0.2.7          [nas=bras1 event=11:59:58 dated time=60 interval=600 port=p1
//!                                                calling=m1 stop-start called=b1 nas-port=3 ident=x dropped=1]
//! at 12:00:05 refresh s1                        an interim update that must count as a refresh
//! at 12:00:06 ask 192.0.2.7 => found alice      found NAME | absent | unready WHY | ambiguous NAME NAME, stale
//! at 12:00:07 restart                           the machine goes through its own image
//! ```

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use relaywarden::session::bindings::{LiveMap, Lookup};
use relaywarden::session::event::{
    Applied, Claim, ClaimSource, Effect, Event, Kind, Record, Rules, Scope, Span,
};
use relaywarden::session::image::Image;
use relaywarden::session::machine::Machine;
use relaywarden::session::{Line, Name, Realm, Timestamp};

struct World {
    machine: Machine,
    applied: Applied,
    effects: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        let rules = Rules { warm_up: Span::Fixed(Duration::ZERO), ..Rules::default() };
        let applied = Applied { rules, pools: vec![(Name::from("bras1"), Vec::new())], ..Applied::default() };
        World { machine: Machine::new(Arc::new(LiveMap::default())), applied, effects: Vec::new() }
    }

    fn fold(&mut self, at: Timestamp, event: &Event) {
        self.effects.clear();
        self.machine.fold(at, event, &mut self.effects);
    }

    fn line(&mut self, words: &[&str]) {
        match words {
            ["rules", options @ ..] => {
                let rules = &mut self.applied.rules;
                for (key, value) in options.iter().filter_map(|option| option.split_once('=')) {
                    match key {
                        "defer-after-stop" => rules.defer_after_stop = duration(value),
                        "interim-overdue" => rules.interim_overdue = span(value),
                        "lifetime" => rules.lifetime_without_interim = duration(value),
                        "grace" => rules.nas_silence_grace = duration(value),
                        "stale-limit" => rules.stale_limit = duration(value),
                        "warm-up" => rules.warm_up = span(value),
                        _ => panic!("no such rule: {key}"),
                    }
                }
            }
            ["client", name, pools @ ..] => {
                let pools = pools.iter().map(|pool| pool.parse().unwrap()).collect();
                self.applied
                    .pools
                    .retain(|(known, _)| *known != Name::from(*name) && *known != Name::from("bras1"));
                self.applied.pools.push((Name::from(*name), pools));
            }
            ["static", prefix, subscriber] => {
                self.applied.statics.push((prefix.parse().unwrap(), Name::from(*subscriber)));
            }
            ["never", prefix] => self.applied.never.push(prefix.parse().unwrap()),
            ["at", time, rest @ ..] => self.at(clock(time), rest),
            other => panic!("not understood: {other:?}"),
        }
    }

    fn at(&mut self, now: Timestamp, words: &[&str]) {
        match words {
            ["apply"] => self.fold(now, &Event::Applied(Box::new(self.applied.clone()))),
            ["resumed", since] => {
                let since = since.strip_prefix("since=").unwrap();
                let since = (since != "never").then(|| clock(since));
                self.fold(now, &Event::Resumed { since });
            }
            ["restart"] => {
                let packed = postcard::to_stdvec(&self.machine.image()).unwrap();
                let image: Image = postcard::from_bytes(&packed).unwrap();
                assert_eq!(image, self.machine.image());
                self.machine = Machine::restore(Arc::new(LiveMap::default()), image);
                assert_eq!(self.machine.image(), postcard::from_bytes(&packed).unwrap());
            }
            ["ask", address, "=>", expected @ ..] => {
                self.machine.advance(now, &mut self.effects);
                let answer = self.machine.map().lookup(Realm::PUBLIC, address.parse().unwrap(), None, now);
                assert_eq!(told(&answer), expected.join(" "), "about {address}");
            }
            ["refresh", session, options @ ..] => {
                let record = record(now, "interim", session, &[], options);
                let refresh = self.machine.as_refresh(&record).expect("no refresh: something changes");
                self.fold(now, &Event::Refreshes(vec![refresh]));
            }
            ["alarm", expected] => {
                let seen = self.effects.iter().any(|effect| format!("{effect:?}").contains(expected));
                assert!(seen, "no {expected} in {:?}", self.effects);
            }
            [kind @ ("start" | "interim" | "stop" | "on" | "off"), rest @ ..] => {
                let (session, rest) = match *kind {
                    "on" | "off" => ("", rest),
                    _ => rest.split_first().map(|(session, rest)| (*session, rest)).unwrap(),
                };
                let options = rest
                    .iter()
                    .position(|word| word.contains('=') || *word == "dated" || *word == "stop-start");
                let (said, options) = rest.split_at(options.unwrap_or(rest.len()));
                let record = record(now, kind, session, said, options);
                self.fold(now, &Event::Record(Box::new(record)));
            }
            other => panic!("not understood: {other:?}"),
        }
    }
}

fn record(now: Timestamp, kind: &str, session: &str, said: &[&str], options: &[&str]) -> Record {
    let options: HashMap<&str, &str> =
        options.iter().map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
    let name = |key: &str| options.get(key).map(|value| Name::from(*value));
    let number = |key: &str| options.get(key).map(|value| value.parse::<u32>().unwrap());
    let subscriber = said.first().filter(|word| **word != "-").map(|word| Name::from(*word));
    let claims = said.iter().skip(1).map(|claim| {
        let prefix = claim.parse().or_else(|_| claim.parse::<IpAddr>().map(Into::into)).unwrap();
        let source = match prefix {
            ipnet::IpNet::V4(net) if net.prefix_len() == 32 => ClaimSource::FramedAddress,
            ipnet::IpNet::V4(_) => ClaimSource::FramedRoute,
            ipnet::IpNet::V6(net) if net.prefix_len() == 64 => ClaimSource::FramedIpv6Prefix,
            ipnet::IpNet::V6(net) if net.prefix_len() == 128 => ClaimSource::FramedIpv6Address,
            ipnet::IpNet::V6(_) => ClaimSource::DelegatedIpv6Prefix,
        };
        Claim::whole(prefix, source)
    });
    let nas = name("nas").unwrap_or(Name::from("bras1"));
    let kind = match kind {
        "start" => Kind::Start,
        "stop" => Kind::Stop,
        "interim" => Kind::Interim,
        "on" => Kind::On,
        _ => Kind::Off,
    };
    Record {
        event: options.get("event").map_or(now, |time| clock(time)),
        dated: options.contains_key("dated"),
        client: name("client").unwrap_or(nas.clone()),
        user_name: subscriber.clone(),
        subscriber,
        claims: claims.collect(),
        claims_dropped: number("dropped").unwrap_or(0).try_into().unwrap(),
        session_time: number("time"),
        interval: number("interval"),
        line: Line { port_id: name("port"), calling_station: name("calling"), ..Line::default() },
        scope: Scope {
            nas_identifier: name("ident"),
            called_station: name("called"),
            nas_port: number("nas-port"),
            context: name("context"),
        },
        stop_start: options.contains_key("stop-start"),
        group: name("group"),
        ..Record::bare(kind, nas, Name::from(session), now)
    }
}

fn told(answer: &Lookup) -> String {
    let name = |found: &relaywarden::session::bindings::Found| {
        found.subscriber.as_ref().map_or("-".to_owned(), ToString::to_string)
    };
    match answer {
        Lookup::Found(found) => {
            let stale = found.session.as_ref().is_some_and(|session| session.is_stale());
            format!("found {}{}", name(found), if stale { " stale" } else { "" })
        }
        Lookup::Absent => "absent".to_owned(),
        Lookup::Ambiguous(all) => {
            let mut names: Vec<_> = all.iter().map(name).collect();
            names.sort();
            format!("ambiguous {}", names.join(" "))
        }
        Lookup::Unready(doubt, _) => format!("unready {}", doubt.word()),
    }
}

/// `HH:MM:SS` of one day, `+N` days in front: `+1d09:00:00`.
fn clock(text: &str) -> Timestamp {
    let (days, time) = match text.strip_prefix('+').and_then(|rest| rest.split_once('d')) {
        Some((days, time)) => (days.parse::<i64>().unwrap(), time),
        None => (0, text),
    };
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds] = parts[..] else { panic!("no time: {text}") };
    Timestamp::from_seconds(1_800_000_000 + days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => panic!("no duration: {text}"),
    };
    Duration::from_secs(number.parse::<u64>().unwrap() * seconds)
}

fn span(text: &str) -> Span {
    match text.strip_suffix('x') {
        Some(intervals) => Span::Intervals { tenths: intervals.parse::<u32>().unwrap() * 10 },
        None => Span::Fixed(duration(text)),
    }
}

#[test]
fn every_scenario_comes_out_as_told() {
    let mut told = 0;
    let mut files: Vec<_> =
        std::fs::read_dir("tests/data/scenarios").unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut world: Option<World> = None;
        let mut title = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<_> = line.split_whitespace().collect();
            if words.is_empty() {
                continue;
            }
            if words[0] == "scenario:" {
                title = words[1..].join(" ");
                world = Some(World::new());
                told += 1;
                continue;
            }
            let world = world.as_mut().expect("a scenario begins with its title");
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if words[0] == "at" && world.machine.applied().pools.is_empty() {
                    let applied = world.applied.clone();
                    world.fold(Timestamp::EARLIEST, &Event::Applied(Box::new(applied)));
                }
                world.line(&words);
            }));
            assert!(outcome.is_ok(), "{}:{number}: {title}\n    {line}", file.display());
        }
    }
    assert!(told >= 40, "only {told} scenarios were found");
}
