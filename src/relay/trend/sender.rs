//! What is known of one sender: the day that lasts, the four weeks before it, and to whom and as whom it writes.
//!
//! Knows: how a message, an attempt and a signal change that. Must not know: whose it is, or what is a signal.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::day::{Before, DAYS, Day, REMEMBERED, Usual, day_of, quarter_of};
use super::distinct::{DOMAINS_MOST, Few, Known, NAMES_MOST, hash, hash_of};
use super::measure::Measure;
use crate::relay::message::Message;
use crate::session::Timestamp;

/// Messages under new sender addresses are looked at together within so many seconds.
const WINDOW_SECONDS: i64 = 1800;
/// And so many of them, the last ones.
pub const WINDOW_MOST: usize = 32;
/// For so many days after its first a sender address is new: one that begins before midnight is so after it.
const NEW_FOR: u16 = 1;

/// One sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The first day of which anything is known.
    first: u16,
    today: Day,
    /// Days before with mail, in their order, [`DAYS`] of them at most.
    days: Vec<Day>,
    /// Of the time before those, the day with the most messages.
    best: Option<Day>,
    domains: Known<DOMAINS_MOST>,
    senders: Known<NAMES_MOST>,
    /// When the last messages under new sender addresses were sent, in seconds since 1970, and whether to a new domain.
    window: Vec<(i64, bool)>,
    helos: Few,
    /// From where a login was used today.
    addresses: Few,
    /// What was a signal today, and at which value.
    signals: Vec<(Measure, u64)>,
}

impl Sender {
    pub(super) fn new(day: u16) -> Self {
        Sender {
            first: day,
            today: Day { day, ..Day::default() },
            days: Vec::new(),
            best: None,
            domains: Known::default(),
            senders: Known::default(),
            window: Vec::new(),
            helos: Few::default(),
            addresses: Few::default(),
            signals: Vec::new(),
        }
    }

    /// The last day on which it sent, or tried to.
    #[must_use]
    pub fn today(&self) -> &Day {
        &self.today
    }

    /// The days before that of which something is known, in their order.
    #[must_use]
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// How many recipient domains of it are known.
    #[must_use]
    pub fn domains(&self) -> usize {
        self.domains.len()
    }

    /// What is usual for a measure on this day, by the days before it.
    #[must_use]
    pub fn usual(&self, day: u16, measure: Measure, quarter: u8) -> Usual {
        self.before().usual(day, measure, quarter)
    }

    pub(super) fn before(&self) -> Before<'_> {
        Before { days: &self.days, best: self.best.as_ref(), first: self.first }
    }

    /// At which value there was a signal today already.
    pub(super) fn told(&self, measure: Measure) -> Option<u64> {
        self.signals.iter().find(|(told, _)| *told == measure).map(|(_, value)| *value)
    }

    pub(super) fn message(&mut self, at: Timestamp, message: &Message) {
        let day = day_of(at);
        self.begin(day);
        if day < self.today.day {
            return self.late(day, at, message);
        }
        let today = &mut self.today;
        count(today, at, message);
        let mut is_new_domain = false;
        for domain in &message.recipient_domains {
            let noted = self.domains.note(hash(domain), day);
            is_new_domain |= noted.is_new;
            today.domains = today.domains.saturating_add(noted.is_first_today.into());
        }
        today.new_domains = today.new_domains.saturating_add(is_new_domain.into());
        let sender = self.senders.note(hash(&message.sender), day);
        today.senders = today.senders.saturating_add(sender.is_first_today.into());
        today.helos = self.helos.note(hash(&message.helo));
        if sender.known_for <= NEW_FOR {
            self.under_new_address(at, is_new_domain);
        }
    }

    /// Who tells his friends of his new address writes to some whose domains are new here; a bot to hardly any other.
    fn under_new_address(&mut self, at: Timestamp, is_new_domain: bool) {
        let now = at.millis().div_euclid(1000);
        self.window.retain(|(then, _)| now.saturating_sub(*then) < WINDOW_SECONDS);
        if self.window.len() >= WINDOW_MOST {
            self.window.remove(0);
        }
        self.window.push((now, is_new_domain));
        let strangers = self.window.iter().filter(|(_, is_new_domain)| *is_new_domain).count();
        if strangers.saturating_mul(5) >= self.window.len().saturating_mul(2) {
            let strangers = u8::try_from(strangers).unwrap_or(u8::MAX);
            self.today.strangers = self.today.strangers.max(strangers);
        }
    }

    /// Of a day that is over. How many different names there were on it is not known any more.
    fn late(&mut self, day: u16, at: Timestamp, message: &Message) {
        if self.today.day.saturating_sub(day) > DAYS {
            return;
        }
        self.first = self.first.min(day);
        self.senders.note(hash(&message.sender), day);
        for domain in &message.recipient_domains {
            self.domains.note(hash(domain), day);
        }
        if let Some(then) = self.on(day) {
            count(then, at, message);
        }
    }

    /// A day that is over, which begins here where nothing was known of it.
    fn on(&mut self, day: u16) -> Option<&mut Day> {
        let place = match self.days.binary_search_by_key(&day, |before| before.day) {
            Ok(place) => place,
            Err(place) => {
                self.days.insert(place, Day { day, ..Day::default() });
                place
            }
        };
        self.days.get_mut(place)
    }

    /// So many recipients were refused.
    pub(super) fn refused(&mut self, at: Timestamp, count: u64) {
        if let Some(then) = self.day(at) {
            then.refused = then.refused.saturating_add(u16::try_from(count).unwrap_or(u16::MAX));
        }
    }

    /// A login was used from there.
    pub(super) fn used_from(&mut self, at: Timestamp, address: IpAddr) {
        let day = day_of(at);
        self.begin(day);
        // How many there were on a day that is over is not known any more.
        if day == self.today.day {
            self.today.addresses = self.addresses.note(hash_of(address));
        }
    }

    /// A scanner found a virus in a message, or spam.
    pub(super) fn scanned(&mut self, at: Timestamp, is_virus: bool) {
        if let Some(then) = self.day(at) {
            let found = if is_virus { &mut then.viruses } else { &mut then.spam };
            *found = found.saturating_add(1);
        }
    }

    /// The day of this moment, unless it is too long ago.
    fn day(&mut self, at: Timestamp) -> Option<&mut Day> {
        let day = day_of(at);
        self.begin(day);
        match self.today.day.checked_sub(day) {
            Some(0) | None => Some(&mut self.today),
            Some(ago) if ago <= DAYS => self.on(day),
            Some(_) => None,
        }
    }

    /// There was a signal: the day is no example, and the same is not told again.
    pub(super) fn signal(&mut self, day: u16, measure: Measure, value: u64) {
        if day == self.today.day {
            self.today.odd = true;
            match self.signals.iter_mut().find(|(told, _)| *told == measure) {
                Some((_, told)) => *told = value,
                None => self.signals.push((measure, value)),
            }
        } else if let Some(then) = self.days.iter_mut().find(|then| then.day == day) {
            then.odd = true;
        }
    }

    /// Somebody looked: what it did is usual for it.
    pub(super) fn dismiss(&mut self) {
        self.today.odd = false;
        self.days.iter_mut().for_each(|day| day.odd = false);
    }

    fn begin(&mut self, day: u16) {
        if day <= self.today.day {
            return;
        }
        let today = std::mem::replace(&mut self.today, Day { day, ..Day::default() });
        if self.days.len() == self.days.capacity() {
            // Twice as many as there are is what a vector takes by itself.
            self.days.reserve_exact(4);
        }
        self.days.push(today);
        let over = self.days.partition_point(|before| day.saturating_sub(before.day) > DAYS);
        let best = self.best.filter(|best| day.saturating_sub(best.day) <= REMEMBERED);
        self.best = self.days.drain(..over).chain(best).max_by_key(|day| (day.messages, day.day));
        self.helos.clear();
        self.addresses.clear();
        self.signals.clear();
        self.domains.forget(day);
        self.senders.forget(day);
    }
}

fn count(day: &mut Day, at: Timestamp, message: &Message) {
    day.messages = day.messages.saturating_add(1);
    day.recipients = day.recipients.saturating_add(message.recipient_count);
    if let Some(quarter) = day.quarters.get_mut(usize::from(quarter_of(at))) {
        *quarter = quarter.saturating_add(1);
    }
}
