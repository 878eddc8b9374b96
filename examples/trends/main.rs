//! Tries the signals of senders on a made-up provider: thousands of subscribers for six weeks, some of whose machines become
//! infected. What it prints goes into docs/trends.md.
//!
//! ```text
//! cargo run --release --example trends
//! ```
//!
//! Every message is folded by the very code that the daemon has, and every sender is looked at after each of them, as the
//! daemon does after each commit. The same seed makes the same six weeks.

#![expect(clippy::print_stdout, reason = "numbers are what it is for")]
#![expect(clippy::indexing_slicing, reason = "an example: a mistake here ends it, and nothing else")]

mod bots;
mod dice;
mod people;
mod picture;
mod world;

use std::alloc::System;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use relaywarden::relay::trend::{Image, Measure, Thresholds, Trends};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use bots::Bot;
use world::{Findings, LEARNED, Plan, moment};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tries the signals of senders on made-up subscribers, some of whose machines become infected.
#[derive(Debug, Parser)]
struct Arguments {
    /// Subscribers, half of whom send little and a third nothing.
    #[arg(long, default_value_t = 10_000)]
    subscribers: u32,
    /// Weeks, the first four of which are learned from.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(6..=60))]
    weeks: u32,
    /// Infected machines of each kind.
    #[arg(long, default_value_t = 20)]
    bots: u32,
    /// The same seed makes the same weeks; several, one after the other.
    #[arg(long, default_values_t = [1])]
    seed: Vec<u64>,
    /// Try a floor other than the default, as `strangers=6`.
    #[arg(long, value_parser = floor)]
    floor: Vec<(Measure, u64)>,
    /// Each false alarm in words.
    #[arg(long)]
    explain: bool,
    /// Draw how one of the machines was found, as SVG, into this file.
    #[arg(long)]
    picture: Option<PathBuf>,
}

fn floor(text: &str) -> Result<(Measure, u64), String> {
    let (word, floor) = text.split_once('=').ok_or("write measure=number")?;
    let measure = Measure::of_word(word.as_bytes()).ok_or("no such measure")?;
    Ok((measure, floor.parse().map_err(|error| format!("{error}"))?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut thresholds = Thresholds::default();
    for (measure, floor) in &arguments.floor {
        let threshold = Measure::ALL.iter().zip(&mut thresholds.of).find(|(known, _)| *known == measure);
        threshold.ok_or("no such measure")?.1.floor = *floor;
    }
    let mut all = Vec::new();
    for &seed in &arguments.seed {
        let plan = Plan {
            seed,
            subscribers: arguments.subscribers,
            weeks: arguments.weeks,
            bots: arguments.bots,
            thresholds: thresholds.clone(),
        };
        let bar = ProgressBar::new((plan.weeks * 7).into());
        bar.set_style(ProgressStyle::with_template("{bar:40} day {pos} of {len}, {eta} left")?);
        let began = Instant::now();
        let findings = world::run(&plan, |day| bar.set_position(u64::from(day) + 1));
        bar.finish_and_clear();
        println!(
            "seed {seed}: {} subscribers for {} weeks, {} messages, {} signals, in {:.0?}",
            plan.subscribers,
            plan.weeks,
            findings.messages,
            findings.signals,
            began.elapsed()
        );
        if arguments.explain {
            for alarm in findings.wrong_weeks(1).values() {
                println!("  week {}, {:?}: {}", alarm.week + 1, alarm.kind, alarm.signal.words);
            }
        }
        all.push(findings);
    }
    bots(&all);
    false_alarms(&all, arguments.weeks);
    let Some(first) = all.first() else { return Ok(()) };
    memory(&first.trends, arguments.weeks)?;
    if let Some(path) = &arguments.picture {
        fs::write(path, picture::draw(&first.chronicle, LEARNED * 7))?;
        println!("drawn into {}", path.display());
    }
    Ok(())
}

fn bots(all: &[Findings]) {
    println!(
        "\n| machine sends | planted | found | within 20 minutes | median | 9 of 10 within | messages until then | first signal |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for bot in Bot::ALL {
        let of: Vec<_> =
            all.iter().flat_map(|findings| &findings.bots).filter(|found| found.bot == bot).collect();
        let mut times: Vec<(u32, u32)> = Vec::new();
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for found in &of {
            if let Some((after, by)) = &found.after {
                times.push((*after, found.messages));
                *first.entry(by).or_default() += 1;
            }
        }
        times.sort_unstable();
        let soon = times.iter().filter(|(after, _)| *after <= 1200).count();
        let at = |share: usize| {
            // Those that were not found come last.
            let place = (of.len() * share).div_ceil(100).saturating_sub(1);
            times.get(place).map_or_else(|| "never".to_owned(), |(after, _)| span(*after))
        };
        let until = times.get(times.len() / 2).map_or(0, |(_, messages)| *messages);
        let mut by: Vec<_> = first.into_iter().collect();
        by.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let by: Vec<_> = by.iter().map(|(word, count)| format!("`{word}` {count}")).collect();
        println!(
            "| {} | {} | {} | {soon} | {} | {} | {until} | {} |",
            bot.words(),
            of.len(),
            times.len(),
            at(50),
            at(90),
            by.join(", ")
        );
    }
}

fn false_alarms(all: &[Findings], weeks: u32) {
    let planted: usize = all.iter().map(|findings| findings.bots.len()).sum();
    let found = all.iter().flat_map(|findings| &findings.bots).filter(|found| found.after.is_some()).count();
    let wrong: usize = all.iter().map(|findings| findings.wrong_weeks(LEARNED).len()).sum();
    let rate: f64 = all.iter().map(|findings| findings.wrong_of_ten_thousand(weeks)).sum();
    println!(
        "\nrecall {:.3} ({found} of {planted}), precision {:.3}",
        part(found, planted),
        part(found, found + wrong)
    );
    println!(
        "honest subscribers with a signal: {:.2} of 10,000 a week, from the fifth week on ({wrong} in all)",
        rate / f64::from(u32::try_from(all.len()).unwrap_or(1))
    );
    let mut of: BTreeMap<(String, String), [usize; 2]> = BTreeMap::new();
    for findings in all {
        for alarm in findings.wrong_weeks(0).values() {
            let counts = of.entry((format!("{:?}", alarm.kind), alarm.signal.name.to_string())).or_default();
            counts[usize::from(alarm.week >= LEARNED)] += 1;
        }
    }
    println!("\n| who | first signal | weeks 2 to 4 | from week 5 on |\n|---|---|---|---|");
    for ((kind, by), [before, after]) in of {
        println!("| {kind} | `{by}` | {before} | {after} |");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share, to a thousandth")]
fn part(some: usize, all: usize) -> f64 {
    some as f64 / all.max(1) as f64
}

fn span(seconds: u32) -> String {
    match seconds {
        0..600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        600..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What is known of the senders, read back as after a restart.
fn memory(trends: &Trends, weeks: u32) -> Result<(), Box<dyn Error>> {
    let octets = postcard::to_stdvec(&trends.image())?;
    let taken = || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
    };
    let before = taken();
    let again = Trends::default();
    again.restore(postcard::from_bytes::<Image>(&octets)?);
    let senders = again.len().max(1);
    println!(
        "\n{senders} senders: {} octets of memory for each, {} octets of a snapshot",
        taken().saturating_sub(before) / senders,
        octets.len() / senders
    );
    let began = Instant::now();
    let all = again.standing_out(moment(weeks * 7 - 1, 86_399), 20).len();
    println!("{all} of those who stand out, found in {:.0?}", began.elapsed());
    Ok(())
}
