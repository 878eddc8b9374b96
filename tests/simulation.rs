//! Seeded days in the life of several NASes of different habits, with everything that goes wrong with accounting.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

#[path = "simulation/answer.rs"]
mod answer;
#[path = "simulation/court.rs"]
mod court;
#[path = "simulation/dialect.rs"]
mod dialect;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/lives.rs"]
mod lives;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/receiver.rs"]
mod receiver;
#[path = "simulation/speech.rs"]
mod speech;
#[path = "simulation/story.rs"]
mod story;
#[path = "simulation/truth.rs"]
mod truth;
#[path = "simulation/world.rs"]
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use relaywarden::session::Timestamp;
use relaywarden::session::event::Rules;

use court::{Court, Tally};
use plan::{Day, Weather};
use world::{Fault, World};

/// Days of each test run; `--seeds N` lives more.
const SEEDS: u64 = 500;
/// Days of one test.
const DAYS: u64 = 25;
/// Days of each row of the loss table.
const MEASURED: u64 = 60;
/// How often each day is looked at, at moments that have nothing to do with what happens.
const LOOKS: i64 = 60;
/// Everything goes wrong that can.
const ROUGH: Weather = Weather { lost: 200, doubled: 200, late: 200, storms: true };

fn main() -> ExitCode {
    let (own, theirs) = match Own::of(std::env::args().collect()) {
        Ok(split) => split,
        Err(word) => {
            eprintln!("{word}; --seeds N lives the days of N seeds, --seed K tells the day of one");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = own.seed {
        return tell(seed);
    }
    let days = (1..=own.seeds).step_by(usize::try_from(DAYS).unwrap()).map(|first| {
        let last = (first + DAYS - 1).min(own.seeds);
        Trial::test(format!("days_{first}_to_{last}"), move || live(first, last))
    });
    let losses = [0_u64, 50, 100, 200, 500].map(|lost| {
        let name = format!("at_{}.{}_percent_loss_nobody_is_accused", lost / 100, lost % 100 / 10);
        Trial::test(name, move || lose(lost))
    });
    let trials = losses.into_iter().chain(days).collect();
    libtest_mimic::run(&Arguments::from_iter(theirs), trials).exit_code()
}

/// What only this test takes from its command line.
struct Own {
    seeds: u64,
    seed: Option<u64>,
}

impl Own {
    /// The rest is the harness's.
    fn of(words: Vec<String>) -> Result<(Own, Vec<String>), String> {
        let (mut own, mut theirs) = (Own { seeds: SEEDS, seed: None }, Vec::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse().ok());
                value.ok_or(format!("{word} wants a number"))
            };
            match word.as_str() {
                "--seeds" => own.seeds = number()?,
                "--seed" => own.seed = Some(number()?),
                _ => theirs.push(word),
            }
        }
        Ok((own, theirs))
    }
}

/// Lives a day. What went wrong, and what the receiver that it befell had written by then.
fn run(day: &Day) -> Result<Tally, (Fault, String)> {
    let mut court = Court::new(day);
    let mut world = World::new(day, Rules::default(), LOOKS);
    match world.live(&mut court) {
        Ok(_) => Ok(court.tally),
        Err(fault) => {
            let log = story::told(world.posts[fault.receiver].daemon.log());
            Err((fault, log))
        }
    }
}

fn live(first: u64, last: u64) -> Result<(), Failed> {
    let faults: Vec<String> = (first..=last)
        .filter_map(|seed| Some((seed, run(&Day::of(seed, ROUGH)).err()?)))
        .map(|(seed, (fault, _))| {
            format!("{fault:?}\n  cargo test --test simulation -- --seed {seed}    tells the day, shortened")
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// One row of the loss table: nobody is named for another's mail, and few of those who are online are kept waiting.
fn lose(lost: u64) -> Result<(), Failed> {
    let weather = Weather { lost, doubled: lost, late: lost, storms: false };
    let mut all = Tally::default();
    for seed in 1..=MEASURED {
        match run(&Day::of(seed, weather)) {
            Ok(tally) => all.add(&tally),
            Err((fault, _)) => return Err(format!("seed {seed} at this loss: {fault:?}").into()),
        }
    }
    let owned = all.named + all.deferred + all.refused;
    let percent = |part: u64| part as f64 * 100.0 / owned as f64;
    println!(
        "| {} % lost | {owned} asked | {:.3} % named | {:.3} % deferred | {:.3} % refused | {} former owners not yet told of |",
        lost as f64 / 100.0,
        percent(all.named),
        percent(all.deferred),
        percent(all.refused),
        all.untold,
    );
    if lost <= 200 && percent(all.deferred + all.refused) > 1.0 {
        return Err(format!("more than 1 % of the online are kept waiting: {all:?}").into());
    }
    Ok(())
}

/// One day, with as little as still fails.
fn tell(seed: u64) -> ExitCode {
    let day = Day::of(seed, ROUGH);
    let Err((fault, _)) = run(&day) else {
        println!("the day of seed {seed} passes");
        return ExitCode::SUCCESS;
    };
    let (day, fault) = story::shorten(&day, fault, &|day| run(day).err().map(|(fault, _)| fault));
    let (_, log) = run(&day).unwrap_err();
    let clock = |moment| story::clock(Timestamp::from_millis(speech::BEGIN * 1000 + moment));
    println!("{fault:?} at {}\n{log}", clock(fault.at));
    for said in &day.said {
        let name = &day.nases[said.nas].name;
        let subscriber = said.subscriber.as_deref().unwrap_or("-");
        println!("{} {name} {:?} {} {subscriber} {:?}", clock(said.at), said.kind, said.session, said.facts);
    }
    println!("{:?} {:?}", day.incidents, day.held_back);
    ExitCode::FAILURE
}
