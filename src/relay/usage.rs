//! How much each sender sent lately, and how many of its recipients were refused, for limits: a view that survives a new address
//! and a restart.
//!
//! A sender's last three days are a row of spans, short ones for what was just now and longer ones for what is long ago: none is longer
//! than a sixty-fourth of its age. A window counts each span that touches it, so it counts nothing too little, and what is older than
//! it by a sixty-fourth of it at most: 200 an hour may mean an hour and 56 seconds. That bounds what a sender takes: 32 octets a
//! message while there are few, and 70 KB for one that sends without a pause for days.
//!
//! Knows: messages that were written down. Must not know: any limit, or who asks.

use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::attempts::Attempt;
use super::message::Message;
use super::standing::Subject;
use super::verdict::Reason;
use super::within::{self, Rooms};
use crate::session::Timestamp;

/// The longest window that a limit may have: shorter than the shortest time for which messages may be kept, so that nobody is
/// known here who is forgotten elsewhere.
pub const LONGEST: Duration = Duration::from_secs(3 * 24 * 3600);

/// A span is no longer than this part of its age.
const PARTS: u64 = 64;

/// So many spans are not worth being made fewer.
const FEW: usize = 32;

/// How often it is looked for senders who have not sent anything for long.
const SWEPT_EVERY: Duration = Duration::from_secs(3600);

/// Much mail, or little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Messages.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Their octets.
    pub octets: u64,
}

impl Amount {
    /// Both.
    #[must_use]
    pub fn plus(self, other: Amount) -> Amount {
        Amount {
            messages: self.messages.saturating_add(other.messages),
            recipients: self.recipients.saturating_add(other.recipients),
            octets: self.octets.saturating_add(other.octets),
        }
    }
}

/// What was sent from one moment to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    first: Timestamp,
    last: Timestamp,
    messages: u32,
    recipients: u32,
    octets: u64,
}

impl Sent {
    fn amount(&self) -> Amount {
        Amount { messages: self.messages.into(), recipients: self.recipients.into(), octets: self.octets }
    }

    fn add(&mut self, later: &Sent) {
        self.last = later.last;
        self.messages = self.messages.saturating_add(later.messages);
        self.recipients = self.recipients.saturating_add(later.recipients);
        self.octets = self.octets.saturating_add(later.octets);
    }
}

/// What one sender sent lately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// In order of time.
    spans: Vec<Sent>,
    /// At so many it is worth while to make them fewer.
    many: u32,
}

impl Usage {
    /// Counts what was sent at a moment, which is none before the last.
    fn count(&mut self, at: Timestamp, recipients: u32, octets: u64) {
        let at = self.spans.last().map_or(at, |last| last.last.max(at));
        let sent = Sent { first: at, last: at, messages: 1, recipients, octets };
        match self.spans.last_mut() {
            Some(last) if last.first == at => last.add(&sent),
            _ => self.spans.push(sent),
        }
        if self.spans.len() >= FEW.max(self.many as usize) {
            self.make_fewer(at);
            self.many = u32::try_from(self.spans.len().saturating_mul(2)).unwrap_or(u32::MAX);
        }
    }

    fn make_fewer(&mut self, now: Timestamp) {
        let mut fewer: Vec<Sent> = Vec::new();
        for span in self.spans.drain(..).filter(|span| now.since(span.last) < LONGEST) {
            match fewer.last_mut() {
                Some(before) if is_short(before.first, span.last, now) => before.add(&span),
                _ => fewer.push(span),
            }
        }
        self.spans = fewer;
    }

    /// What was sent within a window that ends now: at its first moment no more, a moment later still.
    #[must_use]
    pub fn within(&self, window: Duration, now: Timestamp) -> Amount {
        let spans = self.spans.iter().rev().take_while(|span| now.since(span.last) < window);
        spans.fold(Amount::default(), |sum, span| sum.plus(span.amount()))
    }

    /// When something was sent last.
    fn last(&self) -> Timestamp {
        self.spans.last().map_or(Timestamp::EARLIEST, |last| last.last)
    }
}

/// Whether what lies so far apart is close together, for how long ago it is.
fn is_short(first: Timestamp, last: Timestamp, now: Timestamp) -> bool {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    millis(last.since(first)).saturating_mul(PARTS) <= millis(now.since(last))
}

/// All senders. Written by one, read by many.
#[derive(Debug, Default)]
pub struct Usages {
    by_subject: DashMap<Subject, Usage, RandomState>,
    /// How many of them are within each trusted host. Only the writer changes it.
    within: Rooms,
    /// Recipients that were refused; of messages there are none here.
    refused: DashMap<Subject, Usage, RandomState>,
}

/// The same at rest; part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UsagesAtRest {
    by_subject: Vec<(Subject, Usage)>,
    swept: Timestamp,
}

/// Recipients that were refused, at rest; part of a snapshot.
pub type RefusedAtRest = Vec<(Subject, Usage)>;

impl Usages {
    /// Counts a message for whoever sent it, and for those whom it concerns beside. Of several possible senders none is counted
    /// against.
    pub fn count(&self, at: Timestamp, message: &Message, beside: &[Subject]) {
        // What a file told of was let go long ago, and by others.
        if message.reason == Reason::Imported {
            return;
        }
        for subject in senders(message, beside) {
            // Of those whose names a client chooses there may be too many.
            if !self.by_subject.contains_key(&subject) && !self.within.take(&subject) {
                continue;
            }
            let mut usage = self.by_subject.entry(subject).or_default();
            usage.count(at, message.recipient_count, message.size);
        }
    }

    /// Counts recipients that were refused. Those of a minute are known together, and count as if they were its last.
    pub fn refuse(&self, at: Timestamp, attempts: &[Attempt]) {
        for attempt in attempts {
            let Some(sender) = attempt.refused_for() else { continue };
            let refused = u32::try_from(attempt.count).unwrap_or(u32::MAX);
            self.refused.entry(sender).or_default().count(attempt.last.min(at), refused, 0);
        }
    }

    /// How many recipients of somebody were refused within a window that ends now.
    #[must_use]
    pub fn refused(&self, subject: &Subject, window: Duration, now: Timestamp) -> u64 {
        self.refused.get(subject).map_or(0, |usage| usage.within(window, now).recipients)
    }

    /// Those that were refused, as they are at rest.
    #[must_use]
    pub fn refused_at_rest(&self) -> RefusedAtRest {
        in_order(&self.refused)
    }

    /// The reverse.
    pub fn restore_refused(&self, rest: RefusedAtRest) {
        for (subject, usage) in rest {
            self.refused.insert(subject, usage);
        }
    }

    fn recount(&self) {
        self.within.recount(self.by_subject.iter().filter_map(|each| within::host(each.key())));
    }

    /// Looks at what somebody sent lately, if anything.
    pub fn look<T>(&self, subject: &Subject, look: impl FnOnce(Option<&Usage>) -> T) -> T {
        look(self.by_subject.get(subject).as_deref())
    }

    /// What somebody sent lately.
    #[must_use]
    pub fn of(&self, subject: &Subject) -> Usage {
        self.by_subject.get(subject).map(|usage| usage.clone()).unwrap_or_default()
    }

    /// How many senders are kept.
    #[must_use]
    pub fn senders(&self) -> usize {
        self.by_subject.len()
    }

    /// Forgets who has not sent anything for the longest window.
    fn forget(&self, now: Timestamp) {
        for senders in [&self.by_subject, &self.refused] {
            senders.retain(|_, usage| now.since(usage.last()) < LONGEST);
        }
        self.recount();
    }
}

/// The writer's side: whoever reads never sees it half done.
#[derive(Debug, Default)]
pub struct Counting {
    swept: Timestamp,
}

impl Counting {
    /// Counts a message, and now and then forgets whom no window reaches any more.
    pub fn count(&mut self, usages: &Usages, at: Timestamp, message: &Message, beside: &[Subject]) {
        self.forget(usages, at);
        usages.count(at, message, beside);
    }

    /// Forgets whom no window reaches any more, when it was not done for long.
    pub fn forget(&mut self, usages: &Usages, at: Timestamp) {
        if at.since(self.swept) >= SWEPT_EVERY {
            self.swept = at;
            usages.forget(at);
        }
    }

    /// Everything as it is at rest.
    #[must_use]
    pub fn at_rest(&self, usages: &Usages) -> UsagesAtRest {
        UsagesAtRest { by_subject: in_order(&usages.by_subject), swept: self.swept }
    }

    /// The reverse.
    #[must_use]
    pub fn restore(usages: &Usages, rest: UsagesAtRest) -> Counting {
        for (subject, usage) in rest.by_subject {
            usages.by_subject.insert(subject, usage);
        }
        usages.recount();
        Counting { swept: rest.swept }
    }
}

fn in_order(senders: &DashMap<Subject, Usage, RandomState>) -> Vec<(Subject, Usage)> {
    let mut all: Vec<_> = senders.iter().map(|each| (each.key().clone(), each.value().clone())).collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Against whom a message counts: its only owner, its login, and those whom it concerns beside, each once.
fn senders(message: &Message, beside: &[Subject]) -> impl Iterator<Item = Subject> {
    let owner = match &message.owners[..] {
        [owner] => owner.subscriber.clone().map(Subject::Subscriber),
        _ => None,
    };
    let beside = beside.iter().filter(|subject| owner.as_ref() != Some(subject)).cloned();
    let beside: Vec<Subject> = beside.collect();
    owner.into_iter().chain(message.login.clone().map(Subject::Login)).chain(beside)
}

#[cfg(test)]
mod tests {
    use super::within::WITHIN_MAX;
    use super::*;
    use crate::relay::message::Owner;
    use crate::session::{Line, Name, SessionKey};

    const BEGAN: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn after(millis: u64) -> Timestamp {
        BEGAN.plus(Duration::from_millis(millis))
    }

    fn owner(name: &str) -> Owner {
        Owner { subscriber: Some(Name::from(name)), session: None, since: BEGAN, line: Line::default() }
    }

    fn message(owners: &[&str], login: Option<&str>) -> Message {
        Message {
            owners: owners.iter().map(|name| owner(name)).collect(),
            login: login.map(Name::from),
            recipient_count: 3,
            size: 1000,
            ..Message::plain(BEGAN)
        }
    }

    fn alice() -> Subject {
        Subject::Subscriber(Name::from("alice"))
    }

    #[test]
    fn a_message_counts_until_its_window_is_over_and_not_a_moment_longer() {
        let mut usage = Usage::default();
        usage.count(after(0), 3, 1000);
        let minute = Duration::from_secs(60);
        let one = Amount { messages: 1, recipients: 3, octets: 1000 };
        assert_eq!(usage.within(minute, after(0)), one);
        assert_eq!(usage.within(minute, after(59_999)), one);
        assert_eq!(usage.within(minute, after(60_000)), Amount::default());
    }

    #[test]
    fn no_window_counts_too_little_and_none_more_than_a_sixty_fourth_of_itself_too_much() {
        let mut usage = Usage::default();
        let mut all = Vec::new();
        let mut at = 0;
        // Bursts and pauses, as a generator of no great quality makes them.
        for step in 0_u64..20_000 {
            at += if step % 97 == 0 { 90_000 } else { (step * 7919) % 4_001 };
            usage.count(after(at), 1, step);
            all.push((at, step));
            if step % 501 == 0 {
                for seconds in [1, 60, 3600, 24 * 3600, 3 * 24 * 3600] {
                    let window: u64 = seconds * 1000;
                    let sent = |window: u64| {
                        let within = all.iter().filter(|(sent, _)| at - sent < window);
                        within.fold((0_u64, 0_u64), |(n, octets), (_, step)| (n + 1, octets + step))
                    };
                    let told = usage.within(Duration::from_millis(window), after(at));
                    let (least, most) = (sent(window), sent(window + window / PARTS + 1));
                    assert!(
                        (least.0..=most.0).contains(&told.messages),
                        "{seconds} s: {told:?} {least:?} {most:?}"
                    );
                    assert!(
                        (least.1..=most.1).contains(&told.octets),
                        "{seconds} s: {told:?} {least:?} {most:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn whoever_sends_without_a_pause_for_days_takes_no_more_than_is_said() {
        let mut usage = Usage::default();
        let (mut most, longest) = (0, LONGEST.as_secs());
        for second in 0..longest * 2 {
            usage.count(after(second * 1000 + second % 7), 1, 1);
            most = most.max(usage.spans.capacity());
        }
        assert!(most * size_of::<Sent>() <= 70_000, "{most} spans");
        assert!(size_of::<Sent>() == 32);
    }

    #[test]
    fn a_clock_that_was_set_back_loses_nothing_and_a_busy_moment_is_one_span() {
        let mut usage = Usage::default();
        usage.count(after(5000), 1, 1);
        usage.count(after(4000), 1, 1);
        usage.count(after(5000), 1, 1);
        assert_eq!((usage.spans.len(), usage.within(Duration::from_secs(1), after(5999)).messages), (1, 3));
    }

    #[test]
    fn a_message_counts_for_its_only_owner_and_for_its_login_and_of_two_owners_for_none() {
        let usages = Usages::default();
        let hour = Duration::from_secs(3600);
        usages.count(BEGAN, &message(&["alice"], Some("alice@office")), &[]);
        usages.count(BEGAN, &message(&["alice", "bob"], None), &[]);
        usages.count(BEGAN, &message(&[], Some("carol")), &[]);
        usages.count(BEGAN, &Message { reason: Reason::Imported, ..message(&["alice"], None) }, &[]);
        let sent = |subject| usages.of(&subject).within(hour, BEGAN).messages;
        let login = |name: &str| Subject::Login(Name::from(name));
        let bob = Subject::Subscriber(Name::from("bob"));
        assert_eq!(
            [alice(), login("alice@office"), bob, login("carol"), login("alice")].map(sent),
            [1, 1, 0, 1, 0]
        );
    }

    #[test]
    fn what_a_login_sends_counts_for_its_subscriber_and_once_where_that_is_the_owner() {
        let usages = Usages::default();
        let bob = [Subject::Subscriber(Name::from("bob"))];
        let sent = |subject| usages.of(&subject).within(Duration::from_secs(3600), BEGAN).messages;
        let of_bob = || sent(bob[0].clone());
        usages.count(BEGAN, &message(&["alice"], Some("sales")), &bob);
        assert_eq!((sent(alice()), sent(Subject::Login(Name::from("sales"))), of_bob()), (1, 1, 1));
        usages.count(BEGAN, &message(&["bob"], Some("sales")), &bob);
        usages.count(BEGAN, &message(&["alice", "dora"], Some("sales")), &bob);
        assert_eq!((sent(alice()), of_bob()), (1, 3));
    }

    #[test]
    fn a_client_that_makes_up_senders_takes_no_more_memory_than_a_hundred_thousand_of_them() {
        let (usages, mut counting) = (Usages::default(), Counting::default());
        let within = |number: usize| [Subject::Within(Name::from(format!("web/{number}").as_str()))];
        let sent = |usages: &Usages, number| usages.look(&within(number)[0], |usage| usage.is_some());
        for number in 0..=WITHIN_MAX {
            counting.count(&usages, BEGAN, &message(&["web"], None), &within(number));
        }
        assert_eq!(usages.senders(), WITHIN_MAX + 1, "and the host");
        assert!(sent(&usages, 0) && sent(&usages, WITHIN_MAX - 1) && !sent(&usages, WITHIN_MAX));
        let other = Subject::Within(Name::from("mail/shop.example"));
        counting.count(&usages, BEGAN, &message(&["mail"], None), std::slice::from_ref(&other));
        assert!(usages.look(&other, |usage| usage.is_some()), "another host has its own room");
        let restored = Usages::default();
        let mut later = Counting::restore(&restored, counting.at_rest(&usages));
        later.count(&restored, BEGAN, &message(&["web"], None), &within(WITHIN_MAX));
        assert!(!sent(&restored, WITHIN_MAX));
        let after = BEGAN.plus(LONGEST);
        later.count(&restored, after, &message(&["web"], None), &within(WITHIN_MAX));
        assert!(sent(&restored, WITHIN_MAX), "the others are forgotten");
    }

    #[test]
    fn refused_recipients_count_for_whoever_surely_tried_them_and_go_on_from_rest() {
        let key = SessionKey { nas: Name::from("bras1"), id: Name::from("s-1"), incarnation: BEGAN };
        let online = |name: &&str| Owner { session: Some(key.clone()), ..owner(name) };
        let attempt = |owners: &[&str], login: Option<&str>, reason| Attempt {
            owners: owners.iter().map(online).collect(),
            login: login.map(Name::from),
            reason: Some(reason),
            ..Attempt::of_many(after(5000), 7)
        };
        let usages = Usages::default();
        let refused = Reason::RecipientRefused;
        let rows = [
            attempt(&["alice"], Some("sales"), refused),
            attempt(&["alice"], None, Reason::NotOnline),
            attempt(&["bob", "carol"], Some("sales"), refused),
            attempt(&[], Some("sales"), refused),
            attempt(&[], None, refused),
        ];
        usages.refuse(after(9000), &rows);
        let minute = Duration::from_secs(60);
        let told =
            |usages: &Usages, subject: Subject, millis| usages.refused(&subject, minute, after(millis));
        let sales = Subject::Login(Name::from("sales"));
        let bob = Subject::Subscriber(Name::from("bob"));
        assert_eq!([alice(), sales, bob].map(|subject| told(&usages, subject, 9000)), [7, 7, 0]);
        assert_eq!([64_999, 65_000].map(|millis| told(&usages, alice(), millis)), [7, 0]);
        assert_eq!(usages.senders(), 0, "and nothing was sent");
        let restored = Usages::default();
        restored.restore_refused(usages.refused_at_rest());
        assert_eq!(told(&restored, alice(), 9000), 7);
        restored.forget(after(5000).plus(LONGEST));
        assert!(restored.refused_at_rest().is_empty());
    }

    #[test]
    fn whom_no_window_reaches_is_forgotten_and_all_goes_on_from_rest() {
        let (usages, mut counting) = (Usages::default(), Counting::default());
        let at = |hours: u64| BEGAN.plus(Duration::from_secs(hours * 3600));
        counting.count(&usages, at(0), &message(&["alice"], None), &[]);
        counting.count(&usages, at(50), &message(&["bob"], None), &[]);
        let restored = Usages::default();
        let rest = counting.at_rest(&usages);
        let mut later = Counting::restore(&restored, rest.clone());
        assert_eq!(later.at_rest(&restored), rest);
        for (counting, usages) in [(&mut counting, &usages), (&mut later, &restored)] {
            counting.forget(usages, at(24 * 3 - 1));
            assert_eq!(usages.senders(), 2);
            counting.forget(usages, at(24 * 3));
            assert_eq!(usages.senders(), 1, "bob sent within these days");
        }
        assert_eq!(later.at_rest(&restored), counting.at_rest(&usages));
    }
}
