//! A provider's subscribers for some weeks, some of whose machines become infected, told to the real trends message by message.
//!
//! Knows: who is who, and when which machine was infected. Must not know: what is a signal; that it is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use relaywarden::relay::Profile;
use relaywarden::relay::message::{Message, Owner};
use relaywarden::relay::signal::Signal;
use relaywarden::relay::standing::Subject;
use relaywarden::relay::trend::{Thresholds, Trends};
use relaywarden::relay::verdict::Reason;
use relaywarden::session::{Line, Name, Timestamp};

use super::bots::{Bot, Infection};
use super::dice::Dice;
use super::people::{Kind, OF_TEN_THOUSAND, Person, Sent};

/// 2026-06-01T00:00:00Z, a Monday.
const BEGINS: i64 = 1_780_272_000;
const DAY: u32 = 86_400;
/// Weeks in which what is usual is learned. Bots come afterwards, and only then are false alarms counted.
pub(crate) const LEARNED: u32 = 4;

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) subscribers: u32,
    pub(crate) weeks: u32,
    /// Of each kind.
    pub(crate) bots: u32,
    pub(crate) thresholds: Thresholds,
}

/// What became of an infected machine.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) bot: Bot,
    /// Seconds until the first signal, and which it was.
    pub(crate) after: Option<(u32, String)>,
    /// Messages until then.
    pub(crate) messages: u32,
}

/// A signal of somebody who did nothing wrong.
#[derive(Debug, Clone)]
pub(crate) struct FalseAlarm {
    pub(crate) kind: Kind,
    pub(crate) subscriber: u32,
    pub(crate) week: u32,
    pub(crate) signal: Signal,
}

/// One infected machine's story, for a picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chronicle {
    /// Messages of each day.
    pub(crate) days: Vec<u32>,
    /// Seconds after the first message of the bot at which something was sent, for half an hour.
    pub(crate) sent: Vec<u32>,
    /// The signals: seconds after that first message, and in words.
    pub(crate) signals: Vec<(u32, Signal)>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) bots: Vec<Found>,
    pub(crate) false_alarms: Vec<FalseAlarm>,
    /// Honest subscribers, and all messages.
    pub(crate) honest: u32,
    pub(crate) messages: u64,
    pub(crate) signals: u64,
    pub(crate) chronicle: Chronicle,
    /// What is known in the end.
    pub(crate) trends: Trends,
}

impl Findings {
    /// Honest subscribers with a signal in these weeks, each once a week.
    pub(crate) fn wrong_weeks(&self, from: u32) -> BTreeMap<(u32, u32), &FalseAlarm> {
        let mut all = BTreeMap::new();
        for alarm in self.false_alarms.iter().filter(|alarm| alarm.week >= from) {
            all.entry((alarm.subscriber, alarm.week)).or_insert(alarm);
        }
        all
    }

    /// Of ten thousand honest subscribers in a week, once what is usual is learned.
    pub(crate) fn wrong_of_ten_thousand(&self, weeks: u32) -> f64 {
        let wrong = u32::try_from(self.wrong_weeks(LEARNED).len()).unwrap_or(u32::MAX);
        let looked_at = f64::from(self.honest) * f64::from(weeks - LEARNED);
        f64::from(wrong) * 10_000.0 / looked_at
    }
}

struct House {
    person: Person,
    infection: Option<(usize, Infection)>,
    name: Name,
}

/// Lets it all happen. `told` hears of each day that is over.
pub(crate) fn run(plan: &Plan, mut told: impl FnMut(u32)) -> Findings {
    let days = plan.weeks * 7;
    let mut houses = houses(plan, days);
    let mut findings = Findings::default();
    infect(plan, days, &mut houses, &mut findings);
    findings.honest = plan.subscribers - u32::try_from(findings.bots.len()).unwrap_or_default();
    let trends = Trends::default();
    for day in 0..days {
        for (number, house) in (0..).zip(&mut houses) {
            house.day(day, number, &trends, plan, &mut findings);
        }
        trends.advance(moment(day, DAY - 1));
        told(day);
    }
    findings.trends = trends;
    findings
}

fn houses(plan: &Plan, days: u32) -> Vec<House> {
    let mut kinds = Vec::new();
    for (kind, share) in OF_TEN_THOUSAND {
        let count = u64::from(share) * u64::from(plan.subscribers) / 10_000;
        kinds.extend((0..count.max(1)).map(|_| kind));
    }
    kinds.resize(plan.subscribers as usize, Kind::Household);
    let house = |(number, kind)| House {
        person: Person::new(kind, number, plan.seed, days),
        infection: None,
        name: Name::from(format!("s{number:06}@isp.example").as_str()),
    };
    (0..).zip(kinds).map(house).collect()
}

fn infect(plan: &Plan, days: u32, houses: &mut [House], findings: &mut Findings) {
    let mut dice = Dice::new(plan.seed, 0);
    for bot in Bot::ALL {
        for _ in 0..plan.bots {
            // A week is left for it to be found, at least.
            let begins = LEARNED * 7 * DAY + dice.below((days - 7 - LEARNED * 7) * DAY);
            let free = |house: &House| house.infection.is_none() && bot.lives_with(house.person.kind);
            let places: Vec<u32> =
                (0..).zip(houses.iter()).filter(|(_, house)| free(house)).map(|(place, _)| place).collect();
            let Some(place) = (!places.is_empty()).then(|| dice.pick(&places)) else { continue };
            let infection = Infection::new(bot, begins, place, plan.seed);
            houses[place as usize].infection = Some((findings.bots.len(), infection));
            findings.bots.push(Found { bot, after: None, messages: 0 });
        }
    }
}

impl House {
    fn day(&mut self, day: u32, number: u32, trends: &Trends, plan: &Plan, findings: &mut Findings) {
        let mut sent = self.person.day(day);
        let mut begins = None;
        let mut bots = 0;
        if let Some((place, infection)) = &mut self.infection {
            let of_bot = infection.day(day);
            begins = Some((*place, infection.begins));
            bots = u32::try_from(of_bot.len()).unwrap_or_default();
            sent.extend(of_bot);
            sent.sort_by_key(|sent| sent.second);
        }
        // The first one is the one in the picture.
        let is_drawn = begins.is_some_and(|(place, _)| place == 0);
        if is_drawn {
            findings.chronicle.days.push(u32::try_from(sent.len()).unwrap_or_default());
        }
        for sent in sent {
            let second = day * DAY + sent.second;
            let since = begins.and_then(|(_, begins)| second.checked_sub(begins));
            if let Some(since) = since.filter(|since| is_drawn && *since <= 1800) {
                findings.chronicle.sent.push(since);
            }
            if let (Some((place, _)), Some(_)) = (begins, since.filter(|_| bots > 0)) {
                let found = &mut findings.bots[place];
                found.messages += u32::from(found.after.is_none());
            }
            let at = moment(day, sent.second);
            let message = self.message(&sent, at);
            trends.message(at, &message);
            findings.messages += 1;
            for signal in trends.look(&Subject::Subscriber(self.name.clone()), &plan.thresholds, at) {
                trends.signal(&signal);
                findings.signals += 1;
                match (begins, since) {
                    (Some((place, _)), Some(since)) => {
                        if is_drawn {
                            findings.chronicle.signals.push((since, signal.clone()));
                        }
                        let found = &mut findings.bots[place].after;
                        found.get_or_insert_with(|| (since, signal.name.to_string()));
                    }
                    _ => findings.false_alarms.push(FalseAlarm {
                        kind: self.person.kind,
                        subscriber: number,
                        week: day / 7,
                        signal,
                    }),
                }
            }
        }
    }

    fn message(&self, sent: &Sent, at: Timestamp) -> Message {
        let name = |text: String| Name::from(text.as_str());
        let mut domains: Vec<u32> = sent.domains.clone();
        domains.sort_unstable();
        domains.dedup();
        let owner = Owner {
            subscriber: Some(self.name.clone()),
            session: None,
            since: Timestamp::EARLIEST,
            line: Line::default(),
        };
        Message {
            at,
            mta: Name::from("mx1"),
            profile: Profile::Relay,
            queue_id: Name::from("4bX"),
            instance: Name::from("1"),
            owners: vec![owner],
            address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: None,
            login: None,
            helo: name(format!("h{:x}", sent.helo)),
            sender: name(format!("s{:x}@x.example", sent.sender)),
            recipient_count: u32::try_from(sent.domains.len()).unwrap_or(u32::MAX),
            // A mail server tells of a hundred at most.
            recipient_domains: domains
                .iter()
                .take(100)
                .map(|domain| name(format!("d{domain}.example")))
                .collect(),
            recipient_hashes: Vec::new(),
            size: 4000,
            token: None,
            reason: Reason::Online,
            observed: false,
            message_id: None,
        }
    }
}

pub(crate) fn moment(day: u32, second: u32) -> Timestamp {
    Timestamp::from_seconds(BEGINS + i64::from(day) * i64::from(DAY) + i64::from(second))
}
