//! Two days before the demo: the log of a daemon that was there all along, so that every page has something to show.
//!
//! What is in it went the way that life goes: reports become packets, packets become records, and a message is whose the map
//! says at its moment. Only the network and the waiting are left out. The living demo goes on from where it ends.
//!
//! Knows: a believable day. Must not know: what time it is, or how anything is shown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Bras, Report, Status};
use crate::access::question::{Asked, Reply};
use crate::access::token::{SECRET_OCTETS, TokenId, TokenOrder, Verb, issue};
use crate::access::{Role, Via};
use crate::config::Config;
use crate::log::entry::Entry;
use crate::log::sqlite::SqliteLog;
use crate::log::{Batch, Log as _, LogError};
use crate::radius::accounting::{Rules, read};
use crate::radius::nas_clock::NasClocks;
use crate::radius::packet::Packet;
use crate::relay::Profile;
use crate::relay::case::{Complaint, Reported};
use crate::relay::confidence::Confidence;
use crate::relay::message::Message;
use crate::relay::ruling::{Client, rule};
use crate::relay::standing::{Command, Order, Subject};
use crate::relay::verdict::Verdict;
use crate::server::daemon::applied_by;
use crate::server::nas::accounting_request;
use crate::server::signals::seen;
use crate::session::event::{Event, Refresh};
use crate::session::{Name, Realm, Timestamp};
use crate::views::{Folded, Shared, Views};

/// So long it was there.
const LASTED: Duration = Duration::from_secs(49 * 3600);
/// What happens within a step becomes durable together.
const STEP: Duration = Duration::from_secs(600);
/// Sessions report in every so many steps.
const INTERIM_STEPS: u64 = 3;
/// So many subscribers of each NAS come or go in a step.
const CHANGES: u64 = 3;
/// Messages in a step, by the hour of the day.
const BUSY: [u64; 24] =
    [2, 1, 1, 1, 1, 2, 5, 11, 19, 24, 25, 22, 17, 18, 23, 22, 19, 16, 14, 13, 12, 9, 6, 4];
/// Since when one machine sends what its owner did not write.
const INFECTED: Duration = Duration::from_secs(160 * 60);
/// Whose that is: one who stays online.
const INFECTED_HOME: usize = 3;
/// Who was suspended, and how long before now.
const SUSPENDED: (&str, Duration) = ("home2017@isp.example", Duration::from_secs(20 * 3600));
/// The token's secret ends with the demo; it need not outlast it by much.
const TOKEN_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
const DOMAINS: [&str; 9] = [
    "friends.example",
    "school.example",
    "town.example",
    "shop.example",
    "bank.example",
    "club.example",
    "work.example",
    "family.example",
    "news.example",
];

/// What goes on when it is over.
pub struct Begun {
    /// The NASes, and who is online there.
    pub(super) brases: [Bras; 2],
    /// With which somebody comes in to the pages.
    pub token: String,
}

/// Writes it, up to now.
///
/// # Errors
/// What the storage said.
pub fn begin(data_dir: &Path, config: &Config, now: Timestamp) -> Result<Begun, LogError> {
    let shared = Arc::new(Shared::default());
    let mut story = Story {
        config,
        log: SqliteLog::open(data_dir, 0, &mut |_| {})?,
        views: Views::new(Arc::clone(&shared)),
        shared,
        folded: Vec::new(),
        clocks: NasClocks::default(),
        chance: 0x2545_f491_4f6c_dd1d,
        messages: 0,
    };
    let mut brases = [Bras::new(0), Bras::new(1)];
    let mut at = now.minus(LASTED);
    let mut first = vec![
        Entry::Session(Event::Resumed { since: None }),
        Entry::Session(Event::Applied(Box::new(applied_by(config)))),
    ];
    for bras in &mut brases {
        let reports = bras.opening(at).into_iter().map(|report| Report { interval: interval(), ..report });
        let reports: Vec<Report> = reports.collect();
        first.extend(reports.iter().filter_map(|report| story.record(bras, report, at)));
    }
    story.write(at, first)?;
    let mut step = 0_u64;
    while at < now {
        let until = at.plus(STEP).min(now);
        let mut entries = Vec::new();
        for bras in &mut brases {
            story.sessions(bras, at, until, step, &mut entries);
        }
        story.write(until, entries)?;
        let mut entries = story.messages(&brases, at, until, now);
        entries.extend(staff(at, until, now));
        story.write(until, entries)?;
        (at, step) = (until, step.saturating_add(1));
    }
    let (token, order) = token(data_dir, now)?;
    story.write(now, vec![Entry::Token(Box::new(order))])?;
    Ok(Begun { brases, token })
}

struct Story<'a> {
    config: &'a Config,
    log: SqliteLog,
    shared: Arc<Shared>,
    views: Views,
    folded: Vec<Folded>,
    clocks: NasClocks,
    chance: u64,
    messages: u64,
}

impl Story<'_> {
    fn write(&mut self, at: Timestamp, entries: Vec<Entry>) -> Result<(), LogError> {
        let sequence = self.log.next_sequence();
        for (number, entry) in (sequence..).zip(&entries) {
            self.views.fold(at, number, entry, &mut self.folded);
        }
        self.log.append(&Batch { sequence, at, entries })?;
        let signals = seen(&self.shared.trends, &self.config.trend, &self.folded, at);
        self.folded.clear();
        if signals.is_empty() {
            return Ok(());
        }
        self.write(at, signals.into_iter().map(|signal| Entry::Signal(Box::new(signal))).collect())
    }

    /// A report as the record that its packet would have been.
    fn record(&mut self, bras: &Bras, report: &Report, at: Timestamp) -> Option<Entry> {
        let client = self.config.radius.client(bras.address)?;
        let rules = Rules {
            client,
            source: bras.address,
            identity: &self.config.identity,
            never: &self.config.relay.never,
        };
        // Nobody checks this one: it never was on a wire.
        let octets = accounting_request(report, 0, b"unsent").ok()?;
        let packet = Packet::decode(&octets).ok()?;
        let record = read(&packet, &rules, at, &mut self.clocks).ok()?;
        Some(Entry::Session(Event::Record(record)))
    }

    /// Who came, who went, who is still there.
    fn sessions(
        &mut self,
        bras: &mut Bras,
        since: Timestamp,
        until: Timestamp,
        step: u64,
        entries: &mut Vec<Entry>,
    ) {
        let third =
            Duration::from_millis(u64::try_from(until.since(since).as_millis()).unwrap_or(0) / (CHANGES + 1));
        let mut at = since;
        for _ in 0..CHANGES {
            at = at.plus(third);
            let home = bras.pick();
            // Fewer at night: who comes goes again, and who goes may stay away.
            let report = bras.come(home, at).or_else(|| bras.go(home, at));
            let report = report.map(|report| Report { interval: interval(), ..report });
            entries.extend(report.and_then(|report| self.record(bras, &report, at)));
        }
        let Some(Entry::Session(Event::Record(example))) =
            self.record(bras, &bras.report(Status::On, until), until)
        else {
            return;
        };
        let due = (0u64..)
            .zip(&bras.homes)
            .filter(|(home, _)| home.wrapping_add(step).is_multiple_of(INTERIM_STEPS));
        let alive = due.filter_map(|(_, home)| home.online.as_ref()).map(|online| Refresh {
            nas: example.nas.clone(),
            session_id: Name::from(online.session_id.as_str()),
            event: until,
            arrival: until,
            session_time: u32::try_from(until.since(online.since).as_secs()).ok(),
        });
        entries.push(Entry::Session(Event::Refreshes(alive.collect())));
    }

    fn messages(
        &mut self,
        brases: &[Bras; 2],
        since: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Vec<Entry> {
        let hour = since.millis().div_euclid(3_600_000).rem_euclid(24);
        let busy = usize::try_from(hour).ok().and_then(|hour| BUSY.get(hour)).copied().unwrap_or(1);
        let mut all = Vec::new();
        for _ in 0..busy.saturating_add(self.below(4)) {
            let bras = if self.below(2) == 0 { &brases[0] } else { &brases[1] };
            let home = usize::try_from(self.below(super::HOMES as u64)).unwrap_or(0);
            let at = self.moment(since, until);
            let user = bras.homes.get(home).map(|home| home.user.clone()).unwrap_or_default();
            let recipients = 1 + self.below(3) * self.below(2);
            all.extend(self.message(bras, home, &user, at, recipients));
        }
        // The newsletter of a club: many recipients, and nobody minds.
        let newsletter = hour == 9 && since.millis().div_euclid(60_000).rem_euclid(60) < 10;
        for _ in 0..if newsletter { 6 } else { 0 } {
            let at = self.moment(since, until);
            all.extend(self.message(&brases[1], 0, "club@isp.example", at, 60));
        }
        if now.since(since) <= INFECTED {
            for _ in 0..44 {
                let at = self.moment(since, until);
                let recipients = 4 + self.below(9);
                let sender = format!("support{}@bank.example", self.below(900));
                let strangers =
                    [(); 3].map(|()| Name::from(format!("d{}.example", self.below(50_000)).as_str()));
                let message = self.message(&brases[0], INFECTED_HOME, &sender, at, recipients);
                let helo = Name::from("win-4qk7d2");
                all.extend(message.map(|message| Message {
                    recipient_domains: strangers.into(),
                    helo,
                    ..message
                }));
            }
        }
        all.sort_by_key(|message| message.at);
        all.into_iter().map(|message| Entry::Message(Box::new(message))).collect()
    }

    /// A message of a home, if it was online all the time, and may send.
    fn message(
        &mut self,
        bras: &Bras,
        home: usize,
        sender: &str,
        at: Timestamp,
        recipients: u64,
    ) -> Option<Message> {
        let online = bras.homes.get(home)?.online.as_ref().filter(|online| online.since <= at.minus(STEP))?;
        let port = u16::try_from(20_000 + self.below(40_000)).ok();
        let client = Client {
            realm: Realm::PUBLIC,
            address: Some(online.address.into()),
            port,
            login: None,
            profile: Profile::Relay,
            logins_relay: false,
            blind: false,
        };
        let ruling = rule(&self.shared.map, &self.shared.standing.load(), client, at);
        if ruling.verdict() != Verdict::Permit {
            return None;
        }
        self.messages = self.messages.wrapping_add(1);
        let number = self.messages;
        let domains = recipients.min(1 + self.below(3));
        let first = self.below(DOMAINS.len() as u64);
        let domains = (first..first.saturating_add(domains)).filter_map(|place| {
            DOMAINS.get(usize::try_from(place).ok()? % DOMAINS.len()).map(|domain| Name::from(*domain))
        });
        let large = self.below(12) == 0;
        Some(Message {
            at,
            mta: Name::from(if number.is_multiple_of(3) { "mx2" } else { "mx1" }),
            profile: Profile::Relay,
            queue_id: Name::from(format!("4dHXyz{number:05x}").as_str()),
            instance: Name::from(
                format!("{:x}.{number:x}.0", number.wrapping_mul(2_654_435_761) & 0xffff).as_str(),
            ),
            owners: ruling.owners,
            address: Some(online.address.into()),
            port,
            login: None,
            helo: Name::from(format!("[192.168.1.{}]", 2 + self.below(200)).as_str()),
            sender: Name::from(sender),
            recipient_count: u32::try_from(recipients).unwrap_or(1),
            recipient_domains: domains.collect(),
            recipient_hashes: Vec::new(),
            size: 1800 + self.below(30_000) + if large { self.below(6_000_000) } else { 0 },
            token: Some(Name::from(format!("Zk{:06x}", number.wrapping_mul(40_503) & 0xff_ffff).as_str())),
            reason: ruling.reason,
            observed: false,
            message_id: None,
        })
    }

    fn moment(&mut self, since: Timestamp, until: Timestamp) -> Timestamp {
        let length = u64::try_from(until.since(since).as_millis()).unwrap_or(0);
        since.plus(Duration::from_millis(self.below(length.max(1))))
    }

    /// xorshift64, as for the NASes.
    fn below(&mut self, bound: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 20).checked_rem(bound).unwrap_or(0)
    }
}

fn interval() -> Option<u32> {
    u32::try_from(STEP.as_secs().saturating_mul(INTERIM_STEPS)).ok()
}

/// What staff did within a step.
fn staff(since: Timestamp, until: Timestamp, now: Timestamp) -> Vec<Entry> {
    let desk = || Name::from("desk");
    let happens = |ago: Duration| {
        let at = now.minus(ago);
        (since <= at && at < until).then_some(at)
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let question = |at: Timestamp, what: &str, about: &str, purpose: &str, rows: u64| {
        Entry::Asked(Box::new(Asked {
            at,
            by: desk(),
            role: Some(Role::Operator),
            via: Via::Socket,
            what: Name::from(what),
            about: vec![Name::from(about)],
            purpose: Some(Name::from(purpose)),
            reply: Reply::Rows(rows),
        }))
    };
    let (name, ago) = SUSPENDED;
    let asked = happens(ago.saturating_add(Duration::from_secs(1500))).map(|at| {
        let what = "/v1/messages?subscriber=home2017@isp.example&purpose=ticket+4711";
        question(at, what, name, "ticket 4711", 14)
    });
    let suspended = happens(ago).map(|at| {
        Entry::Command(Command {
            at,
            by: desk(),
            subject: Subject::Subscriber(Name::from(name)),
            order: Order::Suspend { until: None },
            reason: Name::from("ticket 4711: open proxy, customer called"),
        })
    });
    let later = happens(hours(3)).map(|at| {
        question(at, "/v1/lookup?address=198.51.100.8&purpose=ticket+4720", "198.51.100.8", "ticket 4720", 1)
    });
    asked.into_iter().chain(suspended).chain(later).chain(happens(hours(1)).map(complaint)).collect()
}

/// Somebody got what the infected machine sends.
fn complaint(at: Timestamp) -> Entry {
    let about = Name::from("home1003@isp.example");
    Entry::Complaint(Box::new(Complaint {
        at,
        by: Name::from("abuse"),
        about: vec![about],
        confidence: Confidence::Exact,
        key: None,
        evidence: Reported {
            form: Name::from("arf"),
            feedback: Some(Name::from("abuse")),
            reporter: Some(Name::from("spam@town.example")),
            address: Some(std::net::IpAddr::from([198, 51, 100, 10])),
            port: None,
            arrival: Some(at.minus(Duration::from_secs(700))),
            message_id: Some(Name::from("<20261123.4711@laptop.home>")),
            token: None,
            messages: Vec::new(),
            found_by: vec![Name::from("address")],
        },
    }))
}

/// A token for whoever tries the pages, good for everything.
fn token(data_dir: &Path, now: Timestamp) -> Result<(String, TokenOrder), LogError> {
    let mut secret = [0; SECRET_OCTETS];
    getrandom::fill(&mut secret)
        .map_err(|error| LogError::Storage { file: data_dir.to_path_buf(), error: error.to_string() })?;
    let id = TokenId(0xde30);
    let (text, hash) = issue(id, &secret);
    let verb = Verb::Create {
        hash,
        role: Role::Auditor,
        scopes: Vec::new(),
        expires: Some(now.plus(TOKEN_LASTS)),
        note: Name::from("demo"),
    };
    Ok((text, TokenOrder { at: now, by: Name::from("demo"), id, verb }))
}
