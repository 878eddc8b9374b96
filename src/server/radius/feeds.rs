//! What comes from each NAS, as far as the log does not hold it: repetitions, packets that are of no use, and when the
//! last one came. Numbers since the daemon's start.
//!
//! Knows: which NAS a packet counts for, once somebody has said so, and how much room there is. Must not know: how a
//! packet is judged, or what a record means.
//!
//! A proxy chooses the names of its NASes, so there are only so many; what comes in other names is counted in none. What
//! is not proven to come from a client may be anybody's, so it is counted in the client's name and says nothing about
//! when the client was heard.

use std::sync::Mutex;

use foldhash::HashMap;

use super::gate::lock;
use crate::radius::accounting::Ignored;
use crate::session::{Name, Timestamp};

/// A million customers are behind a few hundred NASes; more than this are invented.
const NASES_MAX: usize = 10_000;
const MINUTE_MILLIS: i64 = 60_000;

macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident = $word:literal,)+) => {
        /// Why a packet was of no use. A closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])+ $name,)+
        }

        impl Fault {
            /// All of them, in a fixed order.
            pub const ALL: [Fault; [$($word,)+].len()] = [$(Fault::$name,)+];

            /// The word for it in output and as a label.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Fault::$name => $word,)+ }
            }
        }
    };
}

faults! {
    /// No Acct-Status-Type. It was answered.
    NoStatus = "no-status",
    /// An Acct-Status-Type that concerns no session. It was answered.
    OtherStatus = "other-status",
    /// No Acct-Session-Id. It was answered.
    NoSessionId = "no-session-id",
    /// A proxy's Accounting-On or -Off that names no NAS. It was answered.
    UnnamedNas = "unnamed-nas",
    /// We had no room, in the engine's queue or among the requests in flight: silence, the NAS sends it again.
    QueueFull = "queue-full",
    /// From the client's address, but made with another secret, or forged: silence.
    BadAuthenticator = "bad-authenticator",
    /// The same of its Message-Authenticator.
    BadMessageAuthenticator = "bad-message-authenticator",
}

impl From<Ignored> for Fault {
    fn from(ignored: Ignored) -> Self {
        match ignored {
            Ignored::NoStatus => Fault::NoStatus,
            Ignored::OtherStatus(_) => Fault::OtherStatus,
            Ignored::NoSessionId => Fault::NoSessionId,
            Ignored::UnnamedNas => Fault::UnnamedNas,
        }
    }
}

/// How often something was wrong, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// How often.
    pub count: u64,
    /// When last; of no meaning while it never was.
    pub last: Timestamp,
}

/// What came from one NAS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// When something of it came last that was proven to be its own.
    pub last_packet: Option<Timestamp>,
    /// Identical requests again.
    pub duplicates: u64,
    /// Records that say that they had to wait (Acct-Delay-Time above zero). A copy under a new Identifier that does not
    /// say so can't be told from a new record.
    pub retransmits: u64,
    /// In the order of [`Fault::ALL`].
    faults: [Faults; Fault::ALL.len()],
    /// The minute of the last record, and how many came in it and in the one before.
    minute: i64,
    in_minute: u64,
    in_minute_before: u64,
}

impl Feed {
    fn new() -> Self {
        let never = Faults { count: 0, last: Timestamp::EARLIEST };
        Feed {
            last_packet: None,
            duplicates: 0,
            retransmits: 0,
            faults: [never; Fault::ALL.len()],
            minute: i64::MIN,
            in_minute: 0,
            in_minute_before: 0,
        }
    }

    /// Each fault, also those that never were.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, Faults)> {
        Fault::ALL.into_iter().zip(self.faults)
    }

    /// How many records were taken in the last whole minute of the clock.
    #[must_use]
    pub fn rate(&self, now: Timestamp) -> u64 {
        match minute_of(now).saturating_sub(self.minute) {
            // Another thread may have counted a record of the next minute already.
            ..=0 => self.in_minute_before,
            1 => self.in_minute,
            _ => 0,
        }
    }

    fn take(&mut self, now: Timestamp) {
        let minute = minute_of(now);
        match minute.saturating_sub(self.minute) {
            ..=0 => {}
            1 => self.in_minute_before = std::mem::take(&mut self.in_minute),
            _ => (self.in_minute_before, self.in_minute) = (0, 0),
        }
        self.minute = self.minute.max(minute);
        self.in_minute = self.in_minute.saturating_add(1);
    }

    fn fail(&mut self, fault: Fault, now: Timestamp) {
        for (known, faults) in Fault::ALL.into_iter().zip(&mut self.faults) {
            if known == fault {
                *faults = Faults { count: faults.count.saturating_add(1), last: now };
            }
        }
    }

    fn hear(&mut self, now: Timestamp) {
        self.last_packet = Some(now);
    }
}

fn minute_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(MINUTE_MILLIS)
}

/// A feed by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The RADIUS client that the NAS speaks through.
    pub client: Name,
    /// What came.
    pub feed: Feed,
}

/// The feeds of all NASes.
#[derive(Debug)]
pub struct Feeds {
    known: Mutex<HashMap<Name, Known>>,
    nameless: Mutex<Feed>,
    room: usize,
}

impl Default for Feeds {
    fn default() -> Self {
        Feeds::with_room(NASES_MAX)
    }
}

impl Feeds {
    fn with_room(room: usize) -> Self {
        Feeds { known: Mutex::default(), nameless: Mutex::new(Feed::new()), room }
    }

    /// The feed of each NAS that was heard of, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(Name, Known)> {
        lock(&self.known).iter().map(|(nas, known)| (nas.clone(), known.clone())).collect()
    }

    /// What came when there was no room for another name.
    #[must_use]
    pub fn nameless(&self) -> Feed {
        lock(&self.nameless).clone()
    }

    /// A record was taken.
    pub(in crate::server) fn taken(&self, nas: &Name, client: &Name, held_back: bool, now: Timestamp) {
        self.change(nas, client, |feed| {
            feed.hear(now);
            feed.take(now);
            feed.retransmits = feed.retransmits.saturating_add(held_back.into());
        });
    }

    /// An identical request came again.
    pub(super) fn repeated(&self, nas: &Name, client: &Name, now: Timestamp) {
        self.change(nas, client, |feed| {
            feed.hear(now);
            feed.duplicates = feed.duplicates.saturating_add(1);
        });
    }

    /// A packet of this NAS was of no use.
    pub(in crate::server) fn useless(&self, nas: &Name, client: &Name, fault: Fault, now: Timestamp) {
        self.change(nas, client, |feed| {
            feed.hear(now);
            feed.fail(fault, now);
        });
    }

    /// A packet came from the client's address that may be anybody's.
    pub(super) fn unproven(&self, client: &Name, fault: Fault, now: Timestamp) {
        self.change(client, client, |feed| feed.fail(fault, now));
    }

    fn change(&self, nas: &Name, client: &Name, change: impl FnOnce(&mut Feed)) {
        let mut known = lock(&self.known);
        if let Some(known) = known.get_mut(nas) {
            return change(&mut known.feed);
        }
        if known.len() < self.room {
            let mut feed = Feed::new();
            change(&mut feed);
            known.insert(nas.clone(), Known { client: client.clone(), feed });
            return;
        }
        drop(known);
        change(&mut lock(&self.nameless));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    fn bras() -> Name {
        Name::from("bras1")
    }

    fn of(feeds: &Feeds, nas: &str) -> Option<Feed> {
        feeds.all().into_iter().find(|(name, _)| *name == Name::from(nas)).map(|(_, known)| known.feed)
    }

    #[test]
    fn the_rate_is_that_of_the_last_whole_minute() {
        let feeds = Feeds::default();
        let rate = |millis| of(&feeds, "bras1").unwrap().rate(at(millis));
        for millis in [0, 1, 59_999] {
            feeds.taken(&bras(), &bras(), false, at(millis));
        }
        assert_eq!(rate(59_999), 0, "the first minute is not whole yet");
        assert_eq!(rate(60_000), 3);
        assert_eq!(rate(119_999), 3);
        assert_eq!(rate(120_000), 0);
        feeds.taken(&bras(), &bras(), false, at(60_000));
        assert_eq!((rate(119_999), rate(120_000), rate(180_000)), (3, 1, 0));
        feeds.taken(&bras(), &bras(), false, at(240_000));
        assert_eq!((rate(240_000), rate(300_000)), (0, 1), "nothing came in the minutes between");
    }

    #[test]
    fn each_fault_is_counted_by_itself_with_its_time() {
        let feeds = Feeds::default();
        feeds.useless(&bras(), &bras(), Fault::NoSessionId, at(1));
        feeds.useless(&bras(), &bras(), Fault::NoSessionId, at(2));
        feeds.useless(&bras(), &bras(), Fault::QueueFull, at(3));
        let feed = of(&feeds, "bras1").unwrap();
        let seen: Vec<_> = feed
            .faults()
            .filter(|(_, faults)| faults.count > 0)
            .map(|(fault, faults)| (fault.word(), faults.count, faults.last))
            .collect();
        assert_eq!(seen, [("no-session-id", 2, at(2)), ("queue-full", 1, at(3))]);
        assert_eq!(feed.last_packet, Some(at(3)));
    }

    #[test]
    fn what_is_not_proven_does_not_make_a_client_heard() {
        let feeds = Feeds::default();
        feeds.unproven(&bras(), Fault::BadAuthenticator, at(1));
        assert_eq!(of(&feeds, "bras1").unwrap().last_packet, None);
        feeds.repeated(&bras(), &bras(), at(2));
        feeds.unproven(&bras(), Fault::BadAuthenticator, at(3));
        let feed = of(&feeds, "bras1").unwrap();
        assert_eq!((feed.last_packet, feed.duplicates), (Some(at(2)), 1));
    }

    #[test]
    fn names_beyond_the_room_are_counted_in_none_and_known_ones_go_on() {
        let feeds = Feeds::with_room(2);
        for nas in ["a", "b", "c", "d"] {
            feeds.taken(&Name::from(nas), &bras(), true, at(0));
        }
        feeds.taken(&Name::from("a"), &bras(), true, at(1));
        assert_eq!(of(&feeds, "a").unwrap().retransmits, 2);
        assert_eq!((of(&feeds, "c"), feeds.all().len()), (None, 2));
        assert_eq!(feeds.nameless().retransmits, 2);
    }

    #[test]
    fn ten_thousand_nases_have_room() {
        let feeds = Feeds::default();
        for number in 0..=NASES_MAX {
            feeds.taken(&Name::from(number.to_string().as_str()), &bras(), false, at(0));
        }
        assert_eq!(feeds.all().len(), 10_000);
        assert_eq!(feeds.nameless().rate(at(60_000)), 1);
    }
}
