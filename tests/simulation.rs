//! Seeded days in the life of several NASes of different habits, with everything that goes wrong with accounting.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
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

use std::time::Instant;

use relaywarden::session::event::Rules;

fn run(day: &plan::Day) -> Result<usize, (world::Fault, String)> {
    let mut court = court::Court::new(day);
    let mut world = world::World::new(day, Rules::default(), 60);
    world.live(&mut court).map_err(|fault| {
        let log = story::told(world.posts[fault.receiver].daemon.log());
        (fault, log)
    })
}

fn main() {
    let told = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = told("RELAYWARDEN_SEED").unwrap_or(1);
    let seeds = told("RELAYWARDEN_SEEDS").unwrap_or(if told("RELAYWARDEN_SEED").is_some() { 1 } else { 100 });
    let weather = plan::Weather { lost: 200, doubled: 200, late: 200, storms: true };
    let began = Instant::now();
    let (mut steps, mut said, mut planning, mut faults) = (0, 0, 0.0, 0);
    for seed in first..first + seeds {
        let t = Instant::now();
        let day = plan::Day::of(seed, weather);
        planning += t.elapsed().as_secs_f64();
        said += day.said.len();
        match run(&day) {
            Ok(lived) => steps += lived,
            Err((fault, _)) => {
                faults += 1;
                println!("seed {seed}: {fault:?}; RELAYWARDEN_SEED={seed} tells the day, shortened");
                if told("RELAYWARDEN_SEED").is_some() {
                    let (day, fault) =
                        story::shorten(&day, fault, &|day| run(day).err().map(|(fault, _)| fault));
                    let (_, log) = run(&day).unwrap_err();
                    println!(
                        "{fault:?} at {}\n{log}",
                        story::clock(relaywarden::session::Timestamp::from_millis(
                            speech::BEGIN * 1000 + fault.at
                        ))
                    );
                    for said in &day.said {
                        println!(
                            "{} {} {:?} {} {:?} {:?}",
                            story::clock(relaywarden::session::Timestamp::from_millis(
                                speech::BEGIN * 1000 + said.at
                            )),
                            day.nases[said.nas].name,
                            said.kind,
                            said.session,
                            said.subscriber,
                            said.facts
                        );
                    }
                    println!("{:?} {:?}", day.incidents, day.held_back);
                }
            }
        }
    }
    println!(
        "{steps} steps, {said} records, {faults} days with a fault, {:?}, planning {planning:.1} s",
        began.elapsed()
    );
    if faults > 0 {
        std::process::exit(1);
    }
}
