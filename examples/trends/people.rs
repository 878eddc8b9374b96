//! Honest senders of an access provider: what each kind of them sends on a day.
//!
//! Everything here is an assumption; docs/trends.md lists it. Domains are numbers: the first few are those of the great mail
//! services, the others are small ones.
//!
//! Knows: habits. Must not know: what is done with the messages.

use super::dice::{Dice, whole};

/// Small domains, each as likely as any other.
const SMALL: u32 = 50_000;
/// How often each of the great mail services is somebody's, of a hundred.
const GREAT: [u32; 12] = [30, 14, 12, 9, 8, 7, 5, 4, 4, 3, 2, 2];
/// Numbers of names that are used once begin here.
const ONCE: u32 = 1 << 28;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Seconds since the day began, UTC.
    pub(crate) second: u32,
    pub(crate) sender: u32,
    pub(crate) helo: u32,
    /// Of each recipient.
    pub(crate) domains: Vec<u32>,
}

/// What somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Has a mailbox elsewhere.
    Silent,
    /// A household: a few messages a day, now and then an invitation or a dozen enquiries.
    Household,
    /// The same at night.
    NightShift,
    /// The same, and applications for work on weekdays.
    Applicant,
    /// The same, away for two or three weeks, and then all at once.
    Traveller,
    /// A dozen people behind one line.
    Office,
    /// An office that sends its invoices on the first weekday of a month.
    Invoices,
    /// Each order is confirmed to a new customer.
    Shop,
    /// A newsletter on one weekday.
    Weekly,
    /// A newsletter on one day of the month.
    Monthly,
    /// A letter to all members now and then, in a few messages with many recipients.
    Club,
    /// A host of mailing lists, each message with a sender of its own.
    Lists,
    /// A host that forwards, with senders that are rewritten.
    Forwarder,
    /// Machines that report to one mailbox, and now and then all at once.
    Monitor,
}

/// Of ten thousand subscribers so many are of each kind, but for households, which are the rest.
pub(crate) const OF_TEN_THOUSAND: [(Kind, u32); 13] = [
    (Kind::Silent, 3000),
    (Kind::NightShift, 100),
    (Kind::Applicant, 30),
    (Kind::Traveller, 400),
    (Kind::Office, 400),
    (Kind::Invoices, 80),
    (Kind::Shop, 80),
    (Kind::Weekly, 40),
    (Kind::Monthly, 30),
    (Kind::Club, 60),
    (Kind::Lists, 5),
    (Kind::Forwarder, 10),
    (Kind::Monitor, 30),
];

/// One subscriber's habits.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) kind: Kind,
    dice: Dice,
    /// Messages a day, on average.
    rate: f64,
    /// Domains of people it writes to, again and again.
    contacts: Vec<u32>,
    /// Of those who get a newsletter, an invoice, or a letter to all.
    list: Vec<u32>,
    senders: u32,
    devices: u32,
    /// A weekday, a day of the month, or the day on which a journey begins.
    when: u32,
    /// The day on which a newsletter began.
    began: u32,
    /// The day on which it moved in.
    moved_in: u32,
    /// Addresses that it took on while we look.
    taken_on: u32,
    /// Its own name begins here.
    number: u32,
}

/// A domain of somebody who is not known yet.
pub(crate) fn anybody(dice: &mut Dice, small: f64) -> u32 {
    let great = u32::try_from(GREAT.len()).unwrap_or_default();
    if dice.chance(small) {
        return great + dice.below(SMALL);
    }
    let mut left = dice.below(GREAT.iter().sum());
    for (number, share) in (0..).zip(GREAT) {
        if left < share {
            return number;
        }
        left -= share;
    }
    0
}

impl Person {
    pub(crate) fn new(kind: Kind, number: u32, seed: u64, days: u32) -> Person {
        let mut dice = Dice::new(seed, u64::from(number) + 1);
        let d = &mut dice;
        let (rate, contacts, small) = match kind {
            Kind::Silent => (0.0, 0, 0.0),
            Kind::Household | Kind::NightShift | Kind::Applicant | Kind::Traveller => {
                (d.skewed(0.05, 12.0), d.within(4, 50), 0.25)
            }
            Kind::Office => (d.skewed(15.0, 150.0), d.within(30, 300), 0.6),
            Kind::Invoices => (d.skewed(10.0, 60.0), d.within(30, 150), 0.6),
            Kind::Shop => (d.skewed(20.0, 300.0), 20, 0.3),
            Kind::Weekly | Kind::Monthly | Kind::Club => (d.skewed(0.3, 12.0), d.within(10, 50), 0.3),
            Kind::Lists => (d.skewed(300.0, 3000.0), 10, 0.5),
            Kind::Forwarder => (d.skewed(20.0, 300.0), 3, 0.1),
            Kind::Monitor => (d.skewed(3.0, 20.0), 1, 0.5),
        };
        let contacts = (0..contacts).map(|_| anybody(d, small)).collect();
        let list = match kind {
            Kind::Invoices => whole(d.skewed(40.0, 300.0)),
            Kind::Weekly | Kind::Monthly => whole(d.skewed(100.0, 2000.0)),
            Kind::Club => whole(d.skewed(50.0, 200.0)),
            Kind::Lists => 3000,
            _ => 0,
        };
        let small = if kind == Kind::Invoices { 0.6 } else { 0.3 };
        let list = (0..list).map(|_| anybody(d, small)).collect();
        let crew = if matches!(kind, Kind::Office | Kind::Invoices) { d.within(3, 15) } else { 1 };
        let when = match kind {
            Kind::Traveller => d.below(days),
            Kind::Weekly => d.below(5),
            _ => d.below(28),
        };
        let moved_in = if d.chance(0.01) { d.below(days) } else { 0 };
        // One newsletter of a hundred is begun while we look.
        let began = if d.chance(0.01) { d.below(days) } else { 0 };
        let senders = if crew > 1 { crew } else { d.within(1, 3) };
        let devices = if crew > 1 { crew } else { d.within(1, 4) };
        let taken_on = 0;
        Person { kind, dice, rate, contacts, list, senders, devices, when, began, moved_in, taken_on, number }
    }

    /// What it sends on a day, in order. Day 0 is a Monday, and the first of a month of thirty days.
    pub(crate) fn day(&mut self, day: u32) -> Vec<Sent> {
        let weekday = day % 7;
        let is_workday = weekday < 5;
        let mut sent = Vec::new();
        if day < self.moved_in {
            return sent;
        }
        // A new address of somebody in the house, or of somebody new in the office.
        if self.dice.chance(1.0 / 800.0) {
            self.taken_on += 1;
        }
        match self.kind {
            Kind::Silent => {}
            Kind::Household | Kind::NightShift => self.household(day, 1.0, &mut sent),
            Kind::Applicant => {
                self.household(day, 1.0, &mut sent);
                if is_workday && day % 14 < 10 {
                    let count = self.dice.within(1, 8);
                    self.write(&mut sent, 8 * 3600, count, (300, 1500), Whom::Strangers(0.9));
                }
            }
            Kind::Traveller => match day.checked_sub(self.when) {
                Some(0..16) => {}
                Some(16..18) => self.household(day, 4.0, &mut sent),
                _ => self.household(day, 1.0, &mut sent),
            },
            Kind::Office | Kind::Invoices => {
                self.spread(if is_workday { 1.0 } else { 0.03 }, &mut sent);
                // The first weekday of a month.
                let first = day % 30 < 3 && is_workday && (day.is_multiple_of(30) || weekday == 0);
                if self.kind == Kind::Invoices && first {
                    self.issue(9 * 3600, (2, 8), &mut sent);
                }
            }
            Kind::Shop => {
                let sale = if self.dice.chance(1.0 / 45.0) { 2.0 } else { 1.0 };
                self.spread(if is_workday { sale } else { 0.8 * sale }, &mut sent);
            }
            Kind::Weekly => {
                self.household(day, 1.0, &mut sent);
                if weekday == self.when && day >= self.began {
                    self.issue(8 * 3600, (0, 2), &mut sent);
                }
            }
            Kind::Monthly => {
                self.household(day, 1.0, &mut sent);
                if day % 30 == self.when && day >= self.began {
                    self.issue(8 * 3600, (0, 2), &mut sent);
                }
            }
            Kind::Club => {
                self.household(day, 1.0, &mut sent);
                if self.when.is_multiple_of(2) && weekday == self.when % 5 || day % 30 == self.when {
                    self.letter(18 * 3600, &mut sent);
                }
            }
            Kind::Lists | Kind::Forwarder => self.spread(1.0, &mut sent),
            Kind::Monitor => {
                self.spread(1.0, &mut sent);
                if self.dice.chance(1.0 / 60.0) {
                    let (count, begin) = (whole(self.dice.skewed(50.0, 600.0)), self.dice.below(20 * 3600));
                    self.write(&mut sent, begin, count, (2, 15), Whom::Contacts);
                }
            }
        }
        sent.retain(|sent| sent.second < 86_400);
        sent.sort_by_key(|sent| sent.second);
        sent
    }

    /// A few at a time, whenever somebody sits down.
    fn household(&mut self, day: u32, busy: f64, sent: &mut Vec<Sent>) {
        let weekend = if day % 7 >= 5 { 0.7 } else { 1.0 };
        let busy = if self.dice.chance(0.03) { 3.0 * busy } else { busy };
        let mut left = self.dice.poisson(self.rate * weekend * busy);
        while left > 0 {
            let count = left.min(1 + self.dice.run(0.5, 10));
            left -= count;
            let begin = self.awake();
            self.write(sent, begin, count, (60, 600), Whom::Mixed);
        }
        if self.dice.chance(1.0 / 700.0) {
            // Hotels, craftsmen, landlords: the same question to several.
            let (begin, count) = (self.awake(), 3 + self.dice.run(0.65, 12));
            self.write(sent, begin, count, (90, 420), Whom::Strangers(0.85));
        }
        if self.dice.chance(1.0 / 365.0) {
            // An invitation, or "this is my new address", to everybody at once or to one after the other.
            let begin = self.awake();
            self.taken_on += u32::from(self.dice.chance(0.1));
            if self.dice.chance(0.9) {
                let count = self.dice.within(10, 60);
                let domains = (0..count).map(|_| self.friend(0.6)).collect();
                sent.push(self.message(begin, domains));
            } else {
                let count = self.dice.within(10, 50);
                self.write(sent, begin, count, (15, 120), Whom::Friends);
            }
        }
    }

    fn awake(&mut self) -> u32 {
        let hour = if self.kind == Kind::NightShift {
            [19, 20, 21, 22, 23, 0, 1, 2, 3, 4][self.dice.below(10) as usize]
        } else {
            [6, 7, 8, 9, 10, 11, 13, 15, 16, 17, 18, 18, 19, 19, 20, 20, 21, 22][self.dice.below(18) as usize]
        };
        hour * 3600 + self.dice.below(3600)
    }

    /// Through the day, one by one.
    fn spread(&mut self, busy: f64, sent: &mut Vec<Sent>) {
        let count = self.dice.poisson(self.rate * busy);
        for _ in 0..count {
            let second = match self.kind {
                Kind::Office | Kind::Invoices => 7 * 3600 + self.dice.below(10 * 3600),
                Kind::Shop => 5 * 3600 + self.dice.below(18 * 3600),
                _ => self.dice.below(86_400),
            };
            let domain = match self.kind {
                Kind::Shop => anybody(&mut self.dice, 0.2),
                Kind::Lists => self.dice.pick(&self.list),
                Kind::Office | Kind::Invoices if self.dice.chance(0.06) => anybody(&mut self.dice, 0.5),
                _ => self.dice.pick(&self.contacts),
            };
            let mut message = self.message(second, vec![domain]);
            if matches!(self.kind, Kind::Lists | Kind::Forwarder) {
                message.sender = ONCE + self.dice.below(ONCE);
            }
            sent.push(message);
        }
    }

    /// One message for each who is on the list, which grows a little each time.
    fn issue(&mut self, begin: u32, gap: (u32, u32), sent: &mut Vec<Sent>) {
        let more = self.list.len() / 100 + 1;
        let new: Vec<u32> = (0..more).map(|_| anybody(&mut self.dice, 0.3)).collect();
        self.list.extend(new);
        let mut second = begin;
        for domain in self.list.clone() {
            second += self.dice.within(gap.0, gap.1);
            sent.push(self.message(second, vec![domain]));
        }
    }

    /// Fifty members to a message.
    fn letter(&mut self, begin: u32, sent: &mut Vec<Sent>) {
        for (number, members) in (0..).zip(self.list.clone().chunks(50)) {
            sent.push(self.message(begin + 40 * number, members.to_vec()));
        }
    }

    fn write(&mut self, sent: &mut Vec<Sent>, begin: u32, count: u32, gap: (u32, u32), whom: Whom) {
        let mut second = begin;
        for _ in 0..count {
            let domains = match whom {
                Whom::Contacts => vec![self.dice.pick(&self.contacts)],
                Whom::Strangers(small) => vec![anybody(&mut self.dice, small)],
                Whom::Friends => vec![self.friend(0.6)],
                Whom::Mixed => {
                    let count = match self.dice.below(100) {
                        0..85 => 1,
                        85..98 => self.dice.within(2, 4),
                        _ => self.dice.within(5, 15),
                    };
                    (0..count).map(|_| self.friend(0.93)).collect()
                }
            };
            sent.push(self.message(second, domains));
            second += self.dice.within(gap.0, gap.1);
        }
    }

    /// Somebody who is known, or somebody new, who may be written to again.
    fn friend(&mut self, known: f64) -> u32 {
        if self.dice.chance(known) {
            return self.dice.pick(&self.contacts);
        }
        let domain = anybody(&mut self.dice, 0.25);
        if self.dice.chance(0.5) {
            let place = self.dice.below(u32::try_from(self.contacts.len()).unwrap_or(1)) as usize;
            self.contacts[place] = domain;
        }
        domain
    }

    fn message(&mut self, second: u32, domains: Vec<u32>) -> Sent {
        let own = own_address(self.number);
        let most = if self.senders > 3 { 0.3 } else { 0.8 };
        let sender = match self.taken_on {
            taken_on if taken_on > 0 && self.dice.chance(0.4) => own + 32 + taken_on,
            _ if self.dice.chance(most) => own,
            _ => own + self.dice.below(self.senders),
        };
        let device = self.dice.below(self.devices);
        Sent { second, sender, helo: own + device, domains }
    }
}

/// The first sender address of a subscriber.
pub(crate) fn own_address(number: u32) -> u32 {
    number * 64
}

#[derive(Clone, Copy)]
enum Whom {
    Contacts,
    Friends,
    Mixed,
    /// So many of them in small domains.
    Strangers(f64),
}
