//! Fills an index of the past with made-up sessions and messages, and measures how long questions about it take.
//!
//!     cargo run --release --example past -- --dir /var/tmp/past --sessions 1000000 --messages 10000000 --days 30
//!
//! Each subscriber has a session a day, with an address that was another's the day before; messages are spread over
//! subscribers and days. A directory that is filled already is only asked. What it prints goes into docs/performance.md, and with
//! `--figures` into a file of which `--picture` draws docs/past.svg.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use relaywarden::audit::index::Index;
use relaywarden::audit::past::Past;
use relaywarden::audit::rows::{Count, MessageFilter, SessionFilter};
use relaywarden::relay::Profile;
use relaywarden::relay::message::{Message, Owner};
use relaywarden::relay::verdict::Reason;
use relaywarden::session::effect::{Effect, Ended};
use relaywarden::session::{Line, Name, Place, Realm, SessionKey, Timestamp};
use relaywarden::views::{Cause, Folded, Outcome};

#[path = "../benches/compare/picture.rs"]
#[allow(dead_code, reason = "there are bars in it, too")]
mod picture;

use picture::Panel;

/// 2027-01-15T08:00:00Z, and some.
const BEGINS: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
/// Outcomes that are handed over at a time, as behind a busy daemon.
const AT_ONCE: usize = 20_000;

#[derive(Parser)]
#[command(about = "Fills an index of the past and measures questions about it")]
struct Arguments {
    /// Where the index is made; one that is there is only asked.
    #[arg(long, default_value = "/var/tmp/past")]
    dir: PathBuf,
    /// Sessions, in all.
    #[arg(long, default_value_t = 100_000)]
    sessions: u64,
    /// Messages, in all.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Over so many days.
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// So many questions of each kind.
    #[arg(long, default_value_t = 2_000)]
    questions: u64,
    /// A file to which what was measured is added.
    #[arg(long)]
    figures: Option<PathBuf>,
    /// A picture to be drawn of such a file; nothing is measured then.
    #[arg(long, requires = "figures")]
    picture: Option<PathBuf>,
}

/// Numbers that look like dice and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % limit.max(1)
    }
}

struct World {
    subscribers: u64,
    days: u64,
    messages: u64,
}

impl World {
    /// The address that a subscriber has on a day: another's on the day before.
    fn address(&self, subscriber: u64, day: u64) -> Ipv4Addr {
        let host = (subscriber + day * 7919) % self.subscribers;
        Ipv4Addr::from(0x0a00_0000 + u32::try_from(host).unwrap_or_default())
    }

    fn subscriber_of(&self, host: u64, day: u64) -> u64 {
        (host + self.subscribers - (day * 7919) % self.subscribers) % self.subscribers
    }

    fn key(subscriber: u64, day: u64) -> SessionKey {
        SessionKey {
            nas: Name::from(format!("bras{}", subscriber % 16).as_str()),
            id: Name::from(format!("{subscriber:08x}{day:04x}").as_str()),
            incarnation: begin_of(day),
        }
    }
}

fn name(subscriber: u64) -> Name {
    Name::from(format!("subscriber{subscriber:07}@isp.example").as_str())
}

fn begin_of(day: u64) -> Timestamp {
    Timestamp::from_seconds(BEGINS + i64::try_from(day).unwrap_or_default() * DAY)
}

/// Gathers outcomes as the keeper does.
struct Filler {
    index: Index,
    sequence: u64,
    folded: Vec<Folded>,
    taken: u64,
    bar: ProgressBar,
}

impl Filler {
    fn entry(
        &mut self,
        at: Timestamp,
        outcomes: impl IntoIterator<Item = Outcome>,
    ) -> Result<(), Box<dyn Error>> {
        self.sequence += 1;
        let sequence = self.sequence;
        self.folded.extend(outcomes.into_iter().map(|outcome| Folded { sequence, outcome }));
        self.taken += 1;
        if self.folded.len() >= AT_ONCE {
            self.hand_over(at)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, at: Timestamp) -> Result<(), Box<dyn Error>> {
        self.index.apply(self.sequence, &self.folded)?;
        self.index.keep_up(at)?;
        self.folded.clear();
        self.bar.set_position(self.taken);
        Ok(())
    }
}

fn effect(effect: Effect) -> Outcome {
    Outcome::Effect(Cause::Deadline, effect)
}

fn opened(session: &SessionKey, subscriber: u64, place: Place) -> [Outcome; 2] {
    let line = Line {
        port_id: Some(Name::from(format!("eth {}/1:{}", subscriber % 48, subscriber % 4094).as_str())),
        calling_station: Some(Name::from(format!("02-00-00-{:06x}", subscriber).as_str())),
        ..Line::default()
    };
    let subscriber = Some(name(subscriber));
    let from = session.incarnation;
    [
        effect(Effect::SessionOpened {
            session: session.clone(),
            user_name: subscriber.clone(),
            subscriber: subscriber.clone(),
            line,
            inside: None,
            kept: Vec::new(),
        }),
        effect(Effect::Bound { session: session.clone(), subscriber, place, from }),
    ]
}

fn closed(session: &SessionKey, place: Place, at: Timestamp) -> [Outcome; 2] {
    let session = || session.clone();
    [
        effect(Effect::Unbound { session: session(), place, until: at, last_seen: at, how: Ended::Stopped }),
        effect(Effect::SessionClosed { session: session(), at, last_seen: at, how: Ended::Stopped }),
    ]
}

fn message(world: &World, dice: &mut Dice, day: u64, at: Timestamp, number: u64) -> Message {
    let subscriber = dice.below(world.subscribers);
    let owner = Owner {
        subscriber: Some(name(subscriber)),
        session: Some(World::key(subscriber, day)),
        since: begin_of(day),
        line: Line::default(),
    };
    Message {
        at,
        mta: Name::from("mx1"),
        profile: Profile::Relay,
        queue_id: Name::from(format!("4bX{number:012x}").as_str()),
        instance: Name::from(format!("{number:x}.1").as_str()),
        owners: vec![owner],
        address: Some(world.address(subscriber, day).into()),
        port: Some(40_000),
        login: None,
        helo: Name::from("pc.local"),
        sender: Name::from(format!("user{subscriber}@isp.example").as_str()),
        recipient_count: 1,
        recipient_domains: vec![Name::from(format!("domain{}.example", dice.below(5_000)).as_str())],
        recipient_hashes: vec![dice.below(u64::MAX)],
        size: 2_000 + dice.below(50_000),
        token: None,
        reason: Reason::Online,
        observed: false,
        message_id: None,
    }
}

fn fill(arguments: &Arguments, world: &World) -> Result<(), Box<dyn Error>> {
    let bar = ProgressBar::new(world.subscribers * world.days * 2 + world.messages);
    bar.set_style(ProgressStyle::with_template(
        "{elapsed_precise} {bar:40} {human_pos}/{human_len} {per_sec} {eta}",
    )?);
    let index = Index::open(&arguments.dir)?;
    let mut filler = Filler { index, sequence: 0, folded: Vec::new(), taken: 0, bar };
    let mut dice = Dice(1);
    let (per_day, mut number) = (world.messages / world.days, 0);
    let place =
        |subscriber, day| Place::whole(Realm::PUBLIC, IpAddr::from(world.address(subscriber, day)).into());
    for day in 0..world.days {
        let at = begin_of(day);
        for subscriber in 0..world.subscribers {
            if let Some(before) = day.checked_sub(1) {
                let session = World::key(subscriber, before);
                filler.entry(at, closed(&session, place(subscriber, before), at))?;
            }
            filler.entry(at, opened(&World::key(subscriber, day), subscriber, place(subscriber, day)))?;
        }
        for of_day in 0..per_day {
            number += 1;
            let at = at.plus(Duration::from_millis(of_day * 86_400_000 / per_day.max(1)));
            let message = message(world, &mut dice, day, at, number);
            filler.entry(at, [Outcome::Message(Box::new(message), Vec::new())])?;
        }
    }
    let end = begin_of(world.days);
    filler.hand_over(end)?;
    filler.index.sync(end)?;
    filler.bar.finish();
    let took = filler.bar.elapsed().as_secs_f64();
    println!("filled {} entries in {took:.0} s: {:.0} entries/s", filler.taken, filler.taken as f64 / took);
    Ok(())
}

/// The times that questions took, as a line of a table.
fn measure(
    what: &'static str,
    times: u64,
    mut question: impl FnMut(u64) -> Result<usize, Box<dyn Error>>,
) -> Result<(&'static str, f64), Box<dyn Error>> {
    let (mut taken, mut rows) = (Vec::new(), 0);
    // What comes first finds nothing warm.
    for number in 0..times + times / 4 {
        let began = Instant::now();
        let found = question(number)?;
        if number >= times / 4 {
            taken.push(began.elapsed());
            rows += found;
        }
    }
    taken.sort_unstable();
    let at = |percent: usize| {
        taken.get((taken.len() * percent / 100).min(taken.len() - 1)).copied().unwrap_or_default()
    };
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| {what} | {:.2} | {:.2} | {:.2} | {:.1} |",
        millis(at(50)),
        millis(at(99)),
        millis(at(100)),
        rows as f64 / times as f64
    );
    Ok((what, millis(at(99))))
}

fn ask(
    arguments: &Arguments,
    world: &World,
    past: &Past,
) -> Result<Vec<(&'static str, f64)>, Box<dyn Error>> {
    let mut figures = Vec::new();
    let mut dice = Dice(2);
    println!("| question | p50 ms | p99 ms | most ms | rows |\n|---|---|---|---|---|");
    figures.push(measure("who had this address then", arguments.questions, |_| {
        let (host, day) = (dice.below(world.subscribers), dice.below(world.days));
        let at = begin_of(day).plus(Duration::from_secs(1 + dice.below(86_000)));
        let address = Ipv4Addr::from(0x0a00_0000 + u32::try_from(host)?).into();
        let owner = past.owner(Realm::PUBLIC, address, None, at, &|_, _| Some(begin_of(world.days)))?;
        let expected = name(world.subscriber_of(host, day));
        let found = owner.candidates.iter().filter_map(|one| one.subscriber.clone());
        let found: Vec<Name> = found.collect();
        if found == [expected] { Ok(1) } else { Err(format!("{address} at {at:?}: {found:?}").into()) }
    })?);
    let mut dice = Dice(3);
    figures.push(measure("messages of one subscriber, the last 100", arguments.questions, |_| {
        let subscriber = Some(name(dice.below(world.subscribers)));
        Ok(past.messages(&MessageFilter { subscriber, limit: 100, ..MessageFilter::default() })?.len())
    })?);
    let mut dice = Dice(4);
    figures.push(measure("messages of one subscriber, 30 days", arguments.questions, |_| {
        let subscriber = Some(name(dice.below(world.subscribers)));
        let since = Some(begin_of(world.days.saturating_sub(30)));
        Ok(past
            .messages(&MessageFilter { subscriber, since, limit: 10_000, ..MessageFilter::default() })?
            .len())
    })?);
    let mut dice = Dice(5);
    figures.push(measure("a message by its queue id", arguments.questions, |_| {
        let queue_id = Some(Name::from(format!("4bX{:012x}", 1 + dice.below(world.messages)).as_str()));
        Ok(past.messages(&MessageFilter { queue_id, limit: 10, ..MessageFilter::default() })?.len())
    })?);
    let mut dice = Dice(6);
    figures.push(measure("sessions of one subscriber, 30 days", arguments.questions / 4, |_| {
        let subscriber = Some(name(dice.below(world.subscribers)));
        Ok(past.sessions(&SessionFilter { subscriber, limit: 100, ..SessionFilter::default() })?.len())
    })?);
    figures.push(measure("who sent most on the last day", 5, |_| {
        let (since, until) = (begin_of(world.days.saturating_sub(1)), begin_of(world.days));
        Ok(past.top(Count::Messages, since, until, 20)?.len())
    })?);
    Ok(figures)
}

/// Adds what was measured with so many messages to a file, a line each.
fn note(file: &Path, messages: u64, figures: &[(&str, f64)]) -> Result<(), Box<dyn Error>> {
    let mut file = fs::File::options().create(true).append(true).open(file)?;
    for (what, millis) in figures {
        writeln!(file, "{messages};{what};{millis:.3}")?;
    }
    Ok(())
}

/// Draws what such a file holds: a panel for each question, over the number of messages.
fn draw(figures: &Path, picture: &Path) -> Result<(), Box<dyn Error>> {
    let mut panels: Vec<Panel> = Vec::new();
    let text = fs::read_to_string(figures)?;
    for line in text.lines() {
        let mut parts = line.split(';');
        let (Some(messages), Some(what), Some(millis)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("no figure: {line}").into());
        };
        let title = format!("{what}, p99 in ms");
        let point = (messages.parse()?, millis.parse()?);
        match panels.iter_mut().find(|panel| panel.title == title) {
            Some(panel) => panel.points.push(point),
            None => panels.push(Panel { title, points: vec![point] }),
        }
    }
    panels.iter_mut().for_each(|panel| panel.points.sort_by_key(|(messages, _)| *messages));
    fs::write(picture, picture::lines("What more of a past costs", "messages", &panels))?;
    Ok(())
}

/// Octets of the files of each kind.
fn octets(dir: &Path) -> Result<HashMap<String, (u64, usize)>, Box<dyn Error>> {
    let mut kinds: HashMap<String, (u64, usize)> = HashMap::new();
    for file in fs::read_dir(dir.join("audit"))? {
        let file = file?;
        let kind = file.file_name().to_string_lossy().split('-').next().unwrap_or_default().to_owned();
        let (octets, files) = kinds.entry(kind).or_default();
        *octets += file.metadata()?.len();
        *files += 1;
    }
    Ok(kinds)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let (Some(figures), Some(picture)) = (&arguments.figures, &arguments.picture) {
        return draw(figures, picture);
    }
    let world = World {
        subscribers: (arguments.sessions / arguments.days).max(1),
        days: arguments.days,
        messages: arguments.messages,
    };
    if !arguments.dir.join("audit").exists() {
        fs::create_dir_all(&arguments.dir)?;
        fill(&arguments, &world)?;
    }
    let kinds = octets(&arguments.dir)?;
    for (kind, rows) in [("sessions", world.subscribers * world.days), ("messages", world.messages)] {
        let (octets, files) = kinds.get(kind).copied().unwrap_or_default();
        println!("{kind}: {rows} in {files} files, {:.0} octets each", octets as f64 / rows.max(1) as f64);
    }
    let index = Index::open(&arguments.dir)?;
    let figures = ask(&arguments, &world, &index.past()?)?;
    arguments.figures.as_deref().map_or(Ok(()), |file| note(file, world.messages, &figures))
}
