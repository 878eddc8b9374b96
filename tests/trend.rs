//! The signals of senders, tried on a made-up provider: bots are found soon, and honest senders are let alone. The whole run is
//! `examples/trends`, whose people and bots these are; docs/trends.md has its figures.
#![expect(clippy::indexing_slicing, reason = "a test fails loudly")]
// Each of them has parts that only the example needs.
#![allow(dead_code, reason = "shared with an example")]

#[path = "../examples/trends/bots.rs"]
mod bots;
#[path = "../examples/trends/dice.rs"]
mod dice;
#[path = "../examples/trends/people.rs"]
mod people;
#[path = "../examples/trends/world.rs"]
mod world;

#[cfg(test)]
mod tests {
    use relaywarden::relay::trend::Thresholds;

    use super::bots::Bot;
    use super::world::{Findings, Plan, run};

    /// Of the default rate of false alarms one is one too many among so few.
    const SUBSCRIBERS: u32 = 600;

    fn findings(seed: u64) -> Findings {
        let thresholds = Thresholds::default();
        run(&Plan { seed, subscribers: SUBSCRIBERS, weeks: 6, bots: 6, thresholds }, |_| ())
    }

    /// When those of a kind were found, in seconds, and how many of them there were.
    fn times(findings: &Findings, bot: Bot) -> (Vec<u32>, usize) {
        let of: Vec<_> = findings.bots.iter().filter(|found| found.bot == bot).collect();
        let mut times: Vec<u32> =
            of.iter().filter_map(|found| found.after.as_ref().map(|(after, _)| *after)).collect();
        times.sort_unstable();
        (times, of.len())
    }

    #[test]
    fn a_bot_of_a_thousand_a_day_is_found_within_twenty_minutes_and_honest_senders_are_let_alone() {
        let findings = findings(1);
        let (flat, planted) = times(&findings, Bot::Flat);
        assert_eq!(flat.len(), planted);
        assert!(flat.iter().all(|after| *after <= 20 * 60), "{flat:?}");
        for (bot, at_most) in [(Bot::Burst, 120), (Bot::Snowshoe, 2 * 3600), (Bot::OneService, 36 * 3600)] {
            let (times, planted) = times(&findings, bot);
            assert!(
                times.len() == planted && times.iter().all(|after| *after <= at_most),
                "{bot:?}: {times:?}"
            );
        }
        let wrong = findings.wrong_weeks(super::world::LEARNED);
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
