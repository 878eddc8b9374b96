//! Holds what wants to leave against the limits that are configured, what was sent, and what is under way.
//!
//! Knows: where these three come from, and what was counted of it. Must not know: what a limit is, or the words of an answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::relay::limit::{Doing, Exceeded, Limit, Measure, Sender, exceeded};
use crate::relay::reserved::{Message, Reserved};
use crate::relay::ruling::Ruling;
use crate::relay::standing::Subject;
use crate::relay::usage::{Amount, Usage, Usages};
use crate::relay::verdict::Reason;
use crate::session::{Name, Timestamp};

/// Somebody against whom a message counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payer {
    /// Who.
    pub subject: Subject,
    /// What the accounting of a subscriber says.
    pub attributes: Vec<(Name, Name)>,
    /// Recipients that were refused and are not written down yet.
    pub refused: u64,
    /// The place of this SMTP session among those that are open.
    pub connection: u64,
    nas: Option<Name>,
    is_static: bool,
    authenticated: bool,
    limited: bool,
}

/// Against whom it counts: the only owner of the address, the login, and those whom it concerns beside. An order limits each.
#[must_use]
pub fn payers(
    ruling: &Ruling,
    login: Option<&Name>,
    beside: Vec<Subject>,
    is_limited: impl Fn(&Subject) -> bool,
) -> Vec<Payer> {
    let authenticated = login.is_some();
    let owner = ruling.owner().and_then(|owner| {
        let subject = Subject::Subscriber(owner.subscriber.clone()?);
        let nas = owner.session.as_ref().map(|session| session.nas.clone());
        let limited = is_limited(&subject);
        let is_static = owner.session.is_none();
        Some(Payer { nas, is_static, ..Payer::new(subject, authenticated, limited) })
    });
    // A login behind a server of ours is one of many, and no server; neither is whoever else is concerned.
    let behind = |subject: Subject| {
        let limited = is_limited(&subject);
        Payer::new(subject, authenticated, limited)
    };
    let beside =
        beside.into_iter().filter(|of| owner.as_ref().is_none_or(|owner: &Payer| owner.subject != *of));
    let beside: Vec<Payer> = beside.map(&behind).collect();
    let login = login.map(|login| behind(Subject::Login(login.clone())));
    owner.into_iter().chain(login).chain(beside).collect()
}

impl Payer {
    fn new(subject: Subject, authenticated: bool, limited: bool) -> Payer {
        let (attributes, nas, is_static) = (Vec::new(), None, false);
        Payer { subject, attributes, nas, is_static, authenticated, limited, refused: 0, connection: 0 }
    }
}

/// What the limits said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weighed<'a> {
    /// What does not let it go.
    pub held_back: Option<Exceeded<'a>>,
    /// What would not, if it were enforced; the first.
    pub observed: Option<Exceeded<'a>>,
}

/// The reason for which something is not let go by a limit.
#[must_use]
pub fn reason(exceeded: &Exceeded<'_>) -> Reason {
    // What is too large would be so tomorrow.
    if exceeded.measure.is_for_good(exceeded.rate) { Reason::TooLarge } else { Reason::Limited }
}

/// How often a limit was exceeded: its name, of what, and whether it was enforced.
type Exceedances = BTreeMap<(Name, &'static str, bool), u64>;

/// What is under way, and what was counted.
#[derive(Debug, Default)]
pub struct Scales {
    reserved: Mutex<Reserved>,
    exceedances: Mutex<Exceedances>,
}

/// What is weighed: somebody's message, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Against whom it counts.
    pub payers: &'a [Payer],
    /// Which message.
    pub message: Message<'a>,
    /// When.
    pub now: Timestamp,
}

/// What one of the payers does, in all places where that is known.
struct Weighing<'a> {
    payer: &'a Payer,
    usage: Option<&'a Usage>,
    usages: &'a Usages,
    reserved: &'a Reserved,
    load: Load<'a>,
}

impl Doing for Weighing<'_> {
    fn sent(&self, window: Duration) -> Amount {
        let Load { message, now, .. } = self.load;
        let sent = self.usage.map_or(Amount::default(), |usage| usage.within(window, now));
        sent.plus(self.reserved.beside(&self.payer.subject, message, window, now))
    }

    fn refused(&self, window: Duration) -> u64 {
        let refused = self.usages.refused(&self.payer.subject, window, self.load.now);
        refused.saturating_add(self.payer.refused)
    }

    fn connection(&self) -> u64 {
        self.payer.connection
    }
}

impl Scales {
    /// Whether one more recipient (by its hash) fits, of a message that is to have so many octets. If so it is held.
    pub fn recipient<'l>(
        &self,
        limits: &'l [Limit],
        usages: &Usages,
        load: Load<'_>,
        (recipient, octets): (u64, u64),
    ) -> Weighed<'l> {
        let mut reserved = self.reserved();
        let weighed = Self::weigh(limits, usages, &reserved, load, |subject| {
            let others = reserved.recipients(subject, load.message, recipient);
            Amount { messages: 1, recipients: others.saturating_add(1), octets }
        });
        // Without a name there is nothing to give it back by.
        if weighed.held_back.is_none() && !load.message.instance.octets().is_empty() {
            for payer in load.payers {
                reserved.recipient(&payer.subject, load.message, recipient, load.now);
            }
        }
        drop(reserved);
        // What is only observed is counted once, at the end of the message.
        self.count(weighed.held_back);
        weighed
    }

    /// Whether a whole message fits. If so it is held until it is given back, else it is given back at once. One that was written
    /// down already was let go.
    pub fn whole<'l>(
        &self,
        limits: &'l [Limit],
        usages: &Usages,
        load: Load<'_>,
        amount: Amount,
    ) -> Weighed<'l> {
        let mut reserved = self.reserved();
        if reserved.is_written(load.message) {
            return Weighed::default();
        }
        let weighed = Self::weigh(limits, usages, &reserved, load, |_| amount);
        for payer in load.payers {
            if weighed.held_back.is_some() {
                reserved.release(&payer.subject, load.message);
            } else {
                reserved.whole(&payer.subject, load.message, amount, load.now);
            }
        }
        drop(reserved);
        self.count(weighed.held_back);
        self.count(weighed.observed);
        weighed
    }

    fn weigh<'l>(
        limits: &'l [Limit],
        usages: &Usages,
        reserved: &Reserved,
        load: Load<'_>,
        wanted: impl Fn(&Subject) -> Amount,
    ) -> Weighed<'l> {
        let mut weighed = Weighed::default();
        for payer in load.payers {
            let subject = &payer.subject;
            let sender = Sender {
                subject,
                nas: payer.nas.as_ref(),
                attributes: &payer.attributes,
                is_static: payer.is_static,
                authenticated: payer.authenticated,
                limited: payer.limited,
            };
            let all = usages.look(subject, |usage| {
                let weighing = Weighing { payer, usage, usages, reserved, load };
                exceeded(limits, &sender, wanted(subject), &weighing)
            });
            for exceeded in all {
                let place =
                    if exceeded.limit.enforced { &mut weighed.held_back } else { &mut weighed.observed };
                place.get_or_insert(exceeded);
            }
        }
        weighed
    }

    /// Gives back what a message held, whether it was written down or not.
    pub fn release(&self, payers: &[Payer], message: Message<'_>, is_written: bool) {
        let mut reserved = self.reserved();
        if is_written {
            reserved.written(message);
        }
        for payer in payers {
            reserved.release(&payer.subject, message);
        }
    }

    fn count(&self, exceeded: Option<Exceeded<'_>>) {
        let Some(Exceeded { limit, measure, .. }) = exceeded else { return };
        let key = (limit.name.clone(), Measure::word(measure), limit.enforced);
        let count = &mut *self.exceedances.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    /// How often each limit was exceeded: its name, of what, whether it was enforced, and how often.
    #[must_use]
    pub fn exceedances(&self) -> Vec<(Name, &'static str, bool, u64)> {
        let counts = self.exceedances.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((name, measure, enforced), n)| (name.clone(), *measure, *enforced, *n)).collect()
    }

    fn reserved(&self) -> MutexGuard<'_, Reserved> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::limit::{Kind, Rate};
    use crate::relay::message::Owner;
    use crate::session::Line;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn limits(messages: u64, recipients: u64) -> Vec<Limit> {
        let rate = |measure, most| Rate { measure, most, within: Duration::from_secs(3600) };
        vec![Limit {
            name: Name::from("default"),
            enforced: true,
            kind: Kind::default(),
            rates: vec![rate(Measure::Messages, messages), rate(Measure::Recipients, recipients)],
            message_size: None,
            connections: None,
            text: None,
        }]
    }

    fn alice() -> Vec<Payer> {
        let owner =
            Owner { subscriber: Some(Name::from("alice")), session: None, since: NOW, line: Line::default() };
        let ruling = Ruling { reason: Reason::Online, owners: vec![owner], suspension: None };
        let mut payers = payers(&ruling, None, Vec::new(), |_| false);
        payers[0].is_static = false;
        payers
    }

    struct World {
        scales: Scales,
        usages: Usages,
        limits: Vec<Limit>,
        payers: Vec<Payer>,
        mta: Name,
    }

    impl World {
        fn new(limits: Vec<Limit>) -> World {
            let (scales, usages, payers) = (Scales::default(), Usages::default(), alice());
            World { scales, usages, limits, payers, mta: Name::from("mx1") }
        }

        fn load<'a>(&'a self, instance: &'a Name, now: Timestamp) -> Load<'a> {
            Load { payers: &self.payers, message: Message { mta: &self.mta, instance }, now }
        }

        fn recipient(&self, instance: &str, recipient: u64, now: Timestamp) -> bool {
            let instance = Name::from(instance);
            let load = self.load(&instance, now);
            self.scales.recipient(&self.limits, &self.usages, load, (recipient, 0)).held_back.is_none()
        }

        fn whole(&self, instance: &str, recipients: u64, now: Timestamp) -> bool {
            let instance = Name::from(instance);
            let amount = Amount { messages: 1, recipients, octets: 1000 };
            let load = self.load(&instance, now);
            self.scales.whole(&self.limits, &self.usages, load, amount).held_back.is_none()
        }
    }

    #[test]
    fn messages_that_are_under_way_at_once_count_together() {
        let world = World::new(limits(2, 100));
        assert!(world.recipient("a", 1, NOW) && world.recipient("b", 1, NOW));
        assert!(!world.recipient("c", 1, NOW), "two are under way");
        assert!(world.recipient("a", 2, NOW), "one of them has one recipient more");
        assert!(world.whole("a", 2, NOW) && world.whole("b", 1, NOW), "and both may end");
        let b = Name::from("b");
        world.scales.release(&world.payers, Message { mta: &world.mta, instance: &b }, false);
        assert!(world.recipient("c", 1, NOW), "one was not let go after all");
    }

    #[test]
    fn a_recipient_that_is_asked_about_again_is_the_same_one() {
        let world = World::new(limits(10, 3));
        for _ in 0..5 {
            assert!(world.recipient("a", 1, NOW) && world.recipient("a", 2, NOW));
        }
        assert!(world.recipient("a", 3, NOW));
        assert!(!world.recipient("a", 4, NOW) && !world.recipient("b", 1, NOW));
        assert!(world.whole("a", 3, NOW) && !world.whole("b", 1, NOW));
    }

    #[test]
    fn what_never_ended_is_given_back_after_ten_minutes_or_when_its_window_is_over() {
        let world = World::new(limits(1, 100));
        let after = |millis| NOW.plus(Duration::from_millis(millis));
        assert!(world.recipient("a", 1, NOW));
        assert!(!world.recipient("b", 1, after(599_999)));
        assert!(world.recipient("b", 1, after(600_000)));
        let mut minute = limits(1, 100);
        minute[0].rates[0].within = Duration::from_secs(60);
        let world = World::new(minute);
        assert!(world.recipient("a", 1, NOW));
        assert!(!world.recipient("b", 1, after(59_999)) && world.recipient("b", 1, after(60_000)));
    }

    #[test]
    fn what_is_observed_holds_nobody_back_and_is_counted_at_the_end_of_the_message() {
        let mut observed = limits(1, 100);
        observed[0].enforced = false;
        let world = World::new(observed);
        for instance in ["a", "b", "c"] {
            assert!(world.recipient(instance, 1, NOW) && world.whole(instance, 1, NOW));
        }
        assert_eq!(world.scales.exceedances(), [(Name::from("default"), "messages", false, 2)]);
    }

    #[test]
    fn a_login_behind_a_server_pays_for_itself_and_is_no_server() {
        let owner = Owner {
            subscriber: Some(Name::from("webmail")),
            session: None,
            since: NOW,
            line: Line::default(),
        };
        let ruling = Ruling { reason: Reason::Static, owners: vec![owner], suspension: None };
        let login = Name::from("bob");
        let of = |of: &str| {
            let payers = payers(&ruling, Some(&login), vec![Subject::Subscriber(Name::from(of))], |_| false);
            let told = payers.iter().map(|payer| (payer.subject.name().to_string(), payer.is_static));
            told.collect::<Vec<_>>()
        };
        let (webmail, bob) = (("webmail".to_owned(), true), ("bob".to_owned(), false));
        assert_eq!(of("robert"), [webmail.clone(), bob.clone(), ("robert".to_owned(), false)]);
        assert_eq!(of("webmail"), [webmail, bob], "nobody pays twice");
    }

    #[test]
    fn however_many_messages_one_sender_begins_memory_has_an_end() {
        let world = World::new(limits(1_000_000, 1_000_000));
        for number in 0..3000_u64 {
            assert!(world.recipient(&number.to_string(), number, NOW));
        }
        let beside = |instance: &str| {
            let instance = Name::from(instance);
            let message = Message { mta: &world.mta, instance: &instance };
            let reserved = world.scales.reserved();
            reserved.beside(&world.payers[0].subject, message, Duration::from_secs(3600), NOW).messages
        };
        assert_eq!([beside("none"), beside("999"), beside("1000")], [1000, 999, 1000]);
    }
}
