//! What each sender usually sends, what it sends today, and what of that a human should look at.
//!
//! A message counts for the subscriber that was its only owner, else for its login; what may be several people's counts for
//! nobody. What a mail server's log tells of counts on its own day: it was sent, and it teaches what is usual, but nobody
//! looks at a sender because a file was read. What was only observed counts like everything else: whoever let it go.
//!
//! Who sends within a trusted host counts as well, beside the host, which goes on having its own. Their names are the clients' word, so
//! only so many of each host are kept, and while many are those of one day go soon: whoever makes up a name for each message
//! fills nothing, and is nobody's signal.
//!
//! A sender takes some two hundred octets, 36 for each of the last four weeks' days with mail, and eight for each recipient
//! domain of nine weeks; never more than 11 KiB. After nine weeks without mail it is forgotten: what goes out once a month is
//! not news each time.
//!
//! Knows: entries, as the machine of sessions does. Must not know: what time it is, the operator's thresholds while it folds,
//! or what follows from a signal.

mod day;
mod distinct;
mod measure;
mod sender;
mod thresholds;

use std::cmp::Reverse;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

pub use self::day::{DAYS, Day, REMEMBERED, Usual, begin_of_day, day_of, quarter_of};
pub use self::distinct::{DOMAINS_MOST, NAMES_MOST};
pub use self::measure::Measure;
pub use self::sender::{Sender, WINDOW_MOST};
pub use self::thresholds::{Threshold, Thresholds};

use super::attempts::Attempt;
use super::message::Message;
use super::signal::Signal;
use super::standing::Subject;
use super::verdict::Reason;
use super::within::{self, Rooms, WITHIN_MAX};
use crate::session::{Name, Timestamp};

/// A signal is told again on the same day when its measure has grown so many times.
const GROWN: u64 = 2;
/// Where there are many of them, one within a host who was there on one day only is kept for so many more.
const FLEETING: u16 = 3;
/// Who stands out has at least so many messages or recipients, and so on.
const WORTH_NAMING: u64 = 10;

/// All senders. A view: rebuilt from the log, with one writer; readers wait for it no longer than one sender takes.
#[derive(Debug)]
pub struct Trends {
    senders: DashMap<Subject, Sender, RandomState>,
    /// How many of them are within each trusted host.
    within: Rooms,
    /// The first message that was counted, in milliseconds.
    since: AtomicI64,
    /// The day on which was last looked for senders that are to be forgotten.
    swept: AtomicU16,
}

impl Default for Trends {
    fn default() -> Self {
        let (senders, within) = Default::default();
        Trends { senders, within, since: AtomicI64::new(NEVER), swept: AtomicU16::default() }
    }
}

const NEVER: i64 = i64::MAX;

/// All senders at rest. Its fields are a file format.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    since: Option<Timestamp>,
    senders: Vec<(Subject, Sender)>,
}

/// For whom a message counts; `None`: for nobody, as it may be several people's.
#[must_use]
pub fn subject_of(message: &Message) -> Option<Subject> {
    match message.owners.as_slice() {
        // Of a conflict one may be known alone: that does not make him the owner.
        [owner] if message.reason != Reason::Conflict => owner.subscriber.clone().map(Subject::Subscriber),
        [] => message.login.clone().map(Subject::Login),
        _ => None,
    }
}

/// For whom an attempt counts: what is not known yet, or is about the feed, is nobody's doing.
#[must_use]
pub fn subject_of_attempt(attempt: &Attempt) -> Option<Subject> {
    if attempt.reason != Some(Reason::Suspended) {
        return attempt.refused_for();
    }
    attempt.owner().and_then(|owner| owner.subscriber.clone()).map(Subject::Subscriber)
}

impl Trends {
    /// Folds a message that was written down at `at`.
    pub fn message(&self, at: Timestamp, message: &Message) {
        self.used(at, message);
        let Some(subject) = subject_of(message) else { return };
        // A file may tell of any time; nothing was sent after it was told.
        let sent = message.at.min(at);
        let day = day_of(sent);
        if day_of(at).saturating_sub(day) > REMEMBERED {
            return;
        }
        if sent.millis() < self.since.load(Ordering::Relaxed) {
            self.since.store(sent.millis(), Ordering::Relaxed);
        }
        self.senders.entry(subject).or_insert_with(|| Sender::new(day)).message(sent, message);
    }

    /// The same for those within a trusted host whom it concerns beside.
    pub fn message_within(&self, at: Timestamp, message: &Message, beside: &[Subject]) {
        let sent = message.at.min(at);
        let day = day_of(sent);
        if day_of(at).saturating_sub(day) > REMEMBERED {
            return;
        }
        for subject in beside.iter().filter(|subject| is_within(subject)) {
            if self.senders.contains_key(subject) || self.within.take(subject) {
                let mut sender = self.senders.entry(subject.clone()).or_insert_with(|| Sender::new(day));
                sender.message(sent, message);
            }
        }
    }

    /// A login counts for itself wherever it is used, and whoever's line that is.
    fn used(&self, at: Timestamp, message: &Message) {
        let sent = message.at.min(at);
        if let (Some(login), Some(address)) = (&message.login, message.address)
            && day_of(at).saturating_sub(day_of(sent)) <= REMEMBERED
        {
            let subject = Subject::Login(login.clone());
            let mut sender = self.senders.entry(subject).or_insert_with(|| Sender::new(day_of(sent)));
            sender.used_from(sent, address);
        }
    }

    /// Folds what was not let go.
    pub fn attempts(&self, at: Timestamp, attempts: &[Attempt]) {
        for attempt in attempts {
            let Some(subject) = subject_of_attempt(attempt) else { continue };
            let tried = attempt.last.min(at);
            let mut sender = self.senders.entry(subject).or_insert_with(|| Sender::new(day_of(tried)));
            sender.refused(tried, attempt.count);
        }
    }

    /// Folds what a scanner found in a message that was sent, or tried to be, at `sent`.
    pub fn scanned(&self, at: Timestamp, sent: Timestamp, subject: &Subject, is_virus: bool) {
        let sent = sent.min(at);
        let mut sender = self.senders.entry(subject.clone()).or_insert_with(|| Sender::new(day_of(sent)));
        sender.scanned(sent, is_virus);
    }

    /// Folds a signal. One that is none of ours changes nothing.
    pub fn signal(&self, signal: &Signal) {
        if let Some(measure) = Measure::of_word(signal.name.octets())
            && let Some(mut sender) = self.senders.get_mut(&signal.subject)
        {
            sender.signal(day_of(signal.at), measure, signal.value);
        }
    }

    /// Somebody has looked and found nothing wrong: what this sender did is usual for it from here on.
    pub fn dismiss(&self, subject: &Subject) {
        if let Some(mut sender) = self.senders.get_mut(subject) {
            sender.dismiss();
        }
    }

    /// Forgets, once a day, who has sent nothing for [`REMEMBERED`] days.
    pub fn advance(&self, at: Timestamp) {
        let day = day_of(at);
        // There is one writer.
        if self.swept.load(Ordering::Relaxed) < day {
            self.swept.store(day, Ordering::Relaxed);
            self.senders.retain(|subject, sender| {
                let ago = day.saturating_sub(sender.today().day);
                ago <= REMEMBERED && !(ago > FLEETING && is_fleeting(subject, sender, &self.within))
            });
            self.recount();
        }
    }

    fn recount(&self) {
        self.within.recount(self.senders.iter().filter_map(|entry| within::host(entry.key())));
    }

    /// What is known of a sender.
    #[must_use]
    pub fn sender(&self, subject: &Subject) -> Option<Sender> {
        self.senders.get(subject).map(|sender| sender.clone())
    }

    /// How many senders are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.senders.len()
    }

    /// Whether no sender is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }

    /// What of this sender is a signal now and was not told yet.
    #[must_use]
    pub fn look(&self, subject: &Subject, thresholds: &Thresholds, now: Timestamp) -> Vec<Signal> {
        let since = Timestamp::from_millis(self.since.load(Ordering::Relaxed));
        if !thresholds.signals {
            return Vec::new();
        }
        let has_learned = now.since(since) >= thresholds.learn;
        let sender = self.senders.get(subject);
        sender.map_or_else(Vec::new, |sender| evaluate(subject, &sender, thresholds, has_learned, now))
    }

    /// Who sends more today, or sent more yesterday, than on any of the days before, with the measure by which that is most; those
    /// first who do most. At most so many.
    #[must_use]
    pub fn standing_out(&self, now: Timestamp, limit: usize) -> Vec<Signal> {
        let mut all: Vec<(u64, Signal)> =
            self.senders.iter().filter_map(|entry| stands_out(entry.key(), entry.value(), now)).collect();
        all.sort_by(|(a, left), (b, right)| (Reverse(a), &left.subject).cmp(&(Reverse(b), &right.subject)));
        all.truncate(limit);
        all.into_iter().map(|(_, signal)| signal).collect()
    }

    /// As it is at rest.
    #[must_use]
    pub fn image(&self) -> Image {
        let since = Some(self.since.load(Ordering::Relaxed)).filter(|since| *since != NEVER);
        let mut senders: Vec<_> =
            self.senders.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        senders.sort_by(|(left, _), (right, _)| left.cmp(right));
        Image { since: since.map(Timestamp::from_millis), senders }
    }

    /// Takes what was at rest, in place of all that is known.
    pub fn restore(&self, image: Image) {
        self.since.store(image.since.map_or(NEVER, Timestamp::millis), Ordering::Relaxed);
        self.swept.store(0, Ordering::Relaxed);
        self.senders.clear();
        for (subject, sender) in image.senders {
            self.senders.insert(subject, sender);
        }
        self.recount();
    }
}

fn is_within(subject: &Subject) -> bool {
    matches!(subject, Subject::Within(_))
}

/// Whether it is one of very many within its host, and was there on one day only.
fn is_fleeting(subject: &Subject, sender: &Sender, within: &Rooms) -> bool {
    is_within(subject) && sender.days().is_empty() && within.taken(subject) > WITHIN_MAX / 2
}

/// What of a sender's day is a signal and was not told yet, or has grown much since. Of a day that is over nothing is, and before
/// anything is learned only what needs no comparison.
fn evaluate(
    subject: &Subject,
    sender: &Sender,
    thresholds: &Thresholds,
    has_learned: bool,
    now: Timestamp,
) -> Vec<Signal> {
    let (day, quarter) = (day_of(now), quarter_of(now));
    let today = sender.today();
    if today.day != day {
        return Vec::new();
    }
    let signal = |(measure, threshold): (Measure, &Threshold)| {
        let value = measure.of(today, quarter);
        // Nearly all are below it, and nothing else need be looked at.
        if value < threshold.floor || !(has_learned || measure.is_found()) {
            return None;
        }
        if sender.told(measure).is_some_and(|told| value < told.saturating_mul(GROWN)) {
            return None;
        }
        let before = sender.before();
        let usual = before.usual(day, measure, quarter);
        let most = usual.most.max(before.long_ago(day, measure, quarter));
        let is_newcomer = measure == Measure::Strangers && usual.days <= 1;
        let threshold = match threshold.reached_at(usual.such, most) {
            reached if is_newcomer => reached.max(threshold.of_a_newcomer()),
            reached => reached,
        };
        (value >= threshold).then(|| Signal {
            at: now,
            subject: subject.clone(),
            name: Name::from(measure.word()),
            value,
            threshold,
            words: Name::from(measure.words(value, quarter, "today", usual).as_str()),
        })
    };
    thresholds.iter().filter_map(signal).collect()
}

/// How far beyond the most of its days before somebody is, and by what.
fn stands_out(subject: &Subject, sender: &Sender, now: Timestamp) -> Option<(u64, Signal)> {
    const BY: [Measure; 5] =
        [Measure::Messages, Measure::Recipients, Measure::NewDomains, Measure::Senders, Measure::Helo];
    let today = day_of(now);
    let is_recent = |day: &&Day| today.saturating_sub(day.day) <= 1;
    let days = std::iter::once(sender.today()).chain(sender.days().iter().rev().take(1)).filter(is_recent);
    let by = days.flat_map(|day| BY.map(|measure| (day, measure)));
    let found = by.filter_map(|(day, measure)| {
        let value = measure.of(day, 0);
        if value < WORTH_NAMING {
            return None;
        }
        let usual = sender.usual(day.day, measure, 0);
        // What is usual for everybody makes nobody stand out: a tenth of the floor is added to what is usual for him.
        let common = Threshold::default_of(measure).floor.div_ceil(10);
        let score = value.saturating_mul(1000) / usual.most.saturating_add(common).max(1);
        (value > usual.most).then_some((score, day, measure, value, usual))
    });
    let (score, day, measure, value, usual) = found.max_by_key(|(score, ..)| *score)?;
    let when = if day.day == today { "today" } else { "on the day before" };
    let words = measure.words(value, 0, when, usual);
    let signal = Signal {
        at: now,
        subject: subject.clone(),
        name: Name::from(measure.word()),
        value,
        threshold: usual.most.saturating_add(1),
        words: Name::from(words.as_str()),
    };
    Some((score, signal))
}

#[cfg(test)]
mod tests;
