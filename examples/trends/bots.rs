//! Infected machines: what each kind of them sends, on top of what its owner does.
//!
//! Knows: how fast, to whom, and as whom. Must not know: whose machine it is, or how it is found.

use super::dice::{Dice, whole};
use super::people::{Kind, Sent, anybody, own_address};

/// What a machine was infected with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bot {
    /// A thousand messages a day.
    Flat,
    /// Five thousand within an hour, then nothing.
    Burst,
    /// Twenty on the first day, and each day sixty of a hundred more.
    Ramp,
    /// Four hundred a day, each with another sender and another HELO name.
    Snowshoe,
    /// A hundred and fifty a day.
    Slow,
    /// A thousand a day, all to one great mail service.
    OneService,
    /// A thousand a day under its owner's own address.
    Mimic,
    /// As `Flat`, in an office or a shop that sends much anyway.
    Hidden,
}

impl Bot {
    pub(crate) const ALL: [Bot; 8] = [
        Bot::Flat,
        Bot::OneService,
        Bot::Mimic,
        Bot::Hidden,
        Bot::Burst,
        Bot::Ramp,
        Bot::Snowshoe,
        Bot::Slow,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Bot::Flat => "1,000 a day",
            Bot::Burst => "5,000 within an hour",
            Bot::Ramp => "20 on the first day, 60 % more each day",
            Bot::Snowshoe => "400 a day, random senders and HELO names",
            Bot::Slow => "150 a day",
            Bot::OneService => "1,000 a day, all to one mail service",
            Bot::Mimic => "1,000 a day, under its owner's own address",
            Bot::Hidden => "1,000 a day, from an office or a shop",
        }
    }

    /// Whether it can be in the house of such people.
    pub(crate) fn lives_with(self, kind: Kind) -> bool {
        match self {
            Bot::Hidden => matches!(kind, Kind::Office | Kind::Invoices | Kind::Shop),
            Bot::Mimic => matches!(kind, Kind::Household | Kind::Traveller | Kind::NightShift),
            _ => matches!(kind, Kind::Silent | Kind::Household | Kind::Traveller | Kind::NightShift),
        }
    }
}

/// One infected machine.
#[derive(Debug, Clone)]
pub(crate) struct Infection {
    pub(crate) bot: Bot,
    /// Its first message, in seconds since the beginning of day 0.
    pub(crate) begins: u32,
    dice: Dice,
    next: f64,
    sender: u32,
    sent: u32,
}

/// Names that bots make up begin here.
const MADE_UP: u32 = 3 << 29;

impl Infection {
    pub(crate) fn new(bot: Bot, begins: u32, number: u32, seed: u64) -> Infection {
        let mut dice = Dice::new(seed ^ 0x00b0_7000, u64::from(number) + 1);
        let sender = match bot {
            Bot::Mimic => own_address(number),
            _ => MADE_UP + dice.below(1 << 28),
        };
        Infection { bot, begins, dice, next: f64::from(begins), sender, sent: 0 }
    }

    /// What it sends on a day, in order.
    pub(crate) fn day(&mut self, day: u32) -> Vec<Sent> {
        let (begin, end) = (f64::from(day * 86_400), f64::from((day + 1) * 86_400));
        let mut sent = Vec::new();
        while self.next < end && !(self.bot == Bot::Burst && self.sent >= 5000) {
            let message = self.message(whole(self.next - begin).min(86_399));
            sent.push(message);
            self.sent += 1;
            // A machine's pace, with what the network adds.
            self.next += 86_400.0 / self.a_day() * (0.5 + self.dice.share());
        }
        sent
    }

    fn a_day(&self) -> f64 {
        match self.bot {
            Bot::Flat | Bot::OneService | Bot::Mimic | Bot::Hidden => 1000.0,
            Bot::Burst => 24.0 * 5000.0,
            Bot::Ramp => {
                let days = (self.next - f64::from(self.begins)) / 86_400.0;
                20.0 * 1.6_f64.powf(days.floor()).min(100.0)
            }
            Bot::Snowshoe => 400.0,
            Bot::Slow => 150.0,
        }
    }

    fn message(&mut self, second: u32) -> Sent {
        let dice = &mut self.dice;
        let recipients = if self.bot == Bot::Burst { dice.within(1, 3) } else { 1 };
        // Lists of addresses are full of the great services.
        let domains = (0..recipients)
            .map(|_| if self.bot == Bot::OneService { 0 } else { anybody(dice, 0.6) })
            .collect();
        let made_up = |dice: &mut Dice| MADE_UP + dice.below(1 << 28);
        let (sender, helo) = match self.bot {
            Bot::Burst => (made_up(dice), self.sender),
            Bot::Snowshoe => (made_up(dice), made_up(dice)),
            _ => (self.sender, self.sender),
        };
        Sent { second, sender, helo, domains }
    }
}
