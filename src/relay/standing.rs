//! Who may send at all, and who little: the standing of subscribers and logins (normal, limited, suspended), as a fold over
//! orders.
//!
//! Both kinds of orders stand side by side, and the suspension outranks the limit: it ends at its own time, and the limit below
//! it holds again. So whoever limits a sender never lets one go who is suspended. A release ends both.
//!
//! Knows: orders and their deadlines. Must not know: who asks, how an order reached us, or how much a limited sender may send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::delisting::{Tie, Ties};
use super::signal::Delisted;
use crate::session::{Name, Timestamp};

/// Whom an order is about. Logins and subscribers are different name spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A subscriber, canonical name.
    Subscriber(Name),
    /// A SASL login.
    Login(Name),
    /// Who sends within a host that is trusted with the mail of many, as `host/sender`.
    Within(Name),
}

impl Subject {
    /// The subscriber, if it is one.
    #[must_use]
    pub fn subscriber(&self) -> Option<&Name> {
        match self {
            Subject::Subscriber(name) => Some(name),
            Subject::Login(_) | Subject::Within(_) => None,
        }
    }

    /// The subject of this kind, by the word of that, and this name.
    #[must_use]
    pub fn of(kind: &str, name: Name) -> Option<Subject> {
        match kind {
            "subscriber" => Some(Subject::Subscriber(name)),
            "login" => Some(Subject::Login(name)),
            "within" => Some(Subject::Within(name)),
            _ => None,
        }
    }

    /// The word for which of them it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Subject::Subscriber(_) => "subscriber",
            Subject::Login(_) => "login",
            Subject::Within(_) => "within",
        }
    }

    /// Its name, whichever it is.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Subject::Subscriber(name) | Subject::Login(name) | Subject::Within(name) => name,
        }
    }
}

/// What was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// No mail from here on.
    Suspend {
        /// Until when; `None`: until released.
        until: Option<Timestamp>,
    },
    /// As before again.
    Release,
    /// Little mail from here on: as much as is configured for those who are limited.
    Limit {
        /// Until when; `None`: until released.
        until: Option<Timestamp>,
    },
    /// Little mail from here on, until the listing is over for which it was given from a case.
    UntilDelisted,
    /// That listing is over: an end of the order before, and of no other.
    Delisted,
}

impl Order {
    /// The word of the order in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Order::Suspend { .. } => "suspend",
            Order::Release | Order::Delisted => "release",
            Order::Limit { .. } | Order::UntilDelisted => "limit",
        }
    }

    /// The word in the index of the past, which tells what ends in another way apart.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Order::UntilDelisted => "limit-until-delisted",
            Order::Delisted => "delist",
            order => order.word(),
        }
    }

    /// Whether it holds until something is delisted.
    #[must_use]
    pub fn is_until_delisted(self) -> bool {
        self == Order::UntilDelisted
    }

    /// Until when it holds; `None`: until another one.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Order::Suspend { until } | Order::Limit { until } => until,
            Order::Release | Order::UntilDelisted | Order::Delisted => None,
        }
    }
}

/// How far somebody's mail is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Held {
    /// None is let go.
    Suspended,
    /// Little is.
    Limited,
}

impl Held {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Held::Suspended => "suspended",
            Held::Limited => "limited",
        }
    }
}

/// An order with its circumstances; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When it was given.
    pub at: Timestamp,
    /// By whom: the Unix user behind the socket.
    pub by: Name,
    /// About whom.
    pub subject: Subject,
    /// What.
    pub order: Order,
    /// Why.
    pub reason: Name,
}

/// An order in force that holds mail back: a suspension, or a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Sequence of the entry that ordered it: what the refusal's text refers to.
    pub reference: u64,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until released.
    pub until: Option<Timestamp>,
    /// By whom.
    pub by: Name,
    /// Why.
    pub reason: Name,
    /// The case from which it was ordered.
    pub case: Option<u64>,
}

impl Suspension {
    fn holds(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

/// All that is held back. A view: rebuilt from the log, replaced as a whole for its readers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    suspended: BTreeMap<Subject, Suspension>,
    limited: BTreeMap<Subject, Suspension>,
    /// Which limits end when something is delisted. They came later, and are kept elsewhere in a snapshot.
    #[serde(skip)]
    ties: Ties,
}

/// The same as it was kept before there were limits and cases that order something.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub struct StandingBefore {
    suspended: BTreeMap<Subject, SuspensionBefore>,
}

/// A suspension as it was kept then.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct SuspensionBefore {
    reference: u64,
    since: Timestamp,
    until: Option<Timestamp>,
    by: Name,
    reason: Name,
}

impl From<StandingBefore> for Standing {
    fn from(before: StandingBefore) -> Self {
        let suspension = |(subject, before): (Subject, SuspensionBefore)| {
            let SuspensionBefore { reference, since, until, by, reason } = before;
            (subject, Suspension { reference, since, until, by, reason, case: None })
        };
        let suspended = before.suspended.into_iter().map(suspension).collect();
        Standing { suspended, ..Standing::default() }
    }
}

impl Standing {
    /// Folds one order. `sequence` is that of its entry.
    pub fn fold(&mut self, sequence: u64, command: &Command) {
        self.fold_of(None, sequence, command);
    }

    /// The same, of an order that was given from a case.
    pub fn fold_of(&mut self, case: Option<u64>, sequence: u64, command: &Command) {
        // What has run out is forgotten here, so that the view stays as small as what is in force.
        for held in [&mut self.suspended, &mut self.limited] {
            held.retain(|_, suspension| suspension.holds(command.at));
        }
        let held = match command.order {
            Order::Suspend { .. } => &mut self.suspended,
            Order::Limit { .. } => {
                self.ties.cut(&command.subject);
                &mut self.limited
            }
            Order::Release => {
                self.suspended.remove(&command.subject);
                self.limited.remove(&command.subject);
                return self.ties.cut(&command.subject);
            }
            Order::Delisted => {
                if case.is_some_and(|case| self.ties.untie(&command.subject, case)) {
                    self.limited.remove(&command.subject);
                }
                return;
            }
            // Without a listing there is nothing that could end it: see `fold_tied`.
            Order::UntilDelisted => return,
        };
        let suspension = Suspension {
            reference: sequence,
            since: command.at,
            until: command.order.until(),
            by: command.by.clone(),
            reason: command.reason.clone(),
            case,
        };
        held.insert(command.subject.clone(), suspension);
    }

    /// The same, of a limit that holds until a listing is over.
    pub fn fold_tied(&mut self, sequence: u64, command: &Command, tie: Tie) {
        if !self.may_be_tied(&command.subject, tie.case, command.at) {
            return;
        }
        let order = Order::Limit { until: None };
        let before = self.ties.take(&command.subject);
        self.fold_of(Some(tie.case), sequence, &Command { order, ..command.clone() });
        before.into_iter().for_each(|before| self.ties.tie(command.subject.clone(), before));
        self.ties.tie(command.subject.clone(), tie);
    }

    /// Whether this case may limit this sender until its listing is over: a limit by anybody else stays as it is, and one for another
    /// listing is tied to this one, too.
    #[must_use]
    pub fn may_be_tied(&self, subject: &Subject, case: u64, now: Timestamp) -> bool {
        let is_tied = !self.ties.of(subject).is_empty();
        self.limited(subject, now).is_none() || is_tied && !self.ties.has(subject, case)
    }

    /// A list no longer has an address: what was ordered until then is over, and waits to be ended.
    pub fn delist(&mut self, delisted: &Delisted) {
        self.ties.end(delisted);
    }

    /// When the next order runs out by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        let all = self.suspended.values().chain(self.limited.values());
        all.filter_map(|order| order.until).min()
    }

    /// Forgets what has run out, and says what that was.
    pub fn expire(&mut self, at: Timestamp) -> Vec<(Subject, Held, Suspension)> {
        let mut over = Vec::new();
        for (held, orders) in [(Held::Suspended, &mut self.suspended), (Held::Limited, &mut self.limited)] {
            let ended = orders.extract_if(.., |_, order| !order.holds(at));
            over.extend(ended.map(|(subject, order)| (subject, held, order)));
        }
        over
    }

    /// Which limits end when something is delisted.
    #[must_use]
    pub fn ties(&self) -> &Ties {
        &self.ties
    }

    /// The same as they were at rest.
    pub fn restore_ties(&mut self, ties: Ties) {
        self.ties = ties;
    }

    /// Whether nobody is suspended, be it that a suspension ran out and was not forgotten yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.suspended.is_empty()
    }

    /// Whether somebody is limited, or was until a limit ran out that was not forgotten yet.
    #[must_use]
    pub fn limits_somebody(&self) -> bool {
        !self.limited.is_empty()
    }

    /// The suspension that holds for this subject at this moment.
    #[must_use]
    pub fn suspension(&self, subject: &Subject, now: Timestamp) -> Option<&Suspension> {
        self.suspended.get(subject).filter(|suspension| suspension.holds(now))
    }

    /// The order by which this subject may send little at this moment, be it that a suspension outranks it.
    #[must_use]
    pub fn limited(&self, subject: &Subject, now: Timestamp) -> Option<&Suspension> {
        self.limited.get(subject).filter(|suspension| suspension.holds(now))
    }

    /// What is in force, in order of subjects; of one who is both, the suspension first.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> Vec<(&Subject, Held, &Suspension)> {
        let suspended = self.suspended.iter().map(|(subject, one)| (subject, Held::Suspended, one));
        let limited = self.limited.iter().map(|(subject, one)| (subject, Held::Limited, one));
        let mut all: Vec<_> = suspended.chain(limited).filter(|(.., one)| one.holds(now)).collect();
        all.sort_by_key(|(subject, held, _)| (*subject, *held));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(at: i64, order: Order) -> Command {
        Command {
            at: Timestamp::from_millis(at),
            by: Name::from("root"),
            subject: Subject::Subscriber(Name::from("bob")),
            order,
            reason: Name::from("spam"),
        }
    }

    #[test]
    fn a_suspension_ends_at_its_own_time() {
        let mut standing = Standing::default();
        standing.fold(7, &order(0, Order::Suspend { until: Some(Timestamp::from_millis(10)) }));
        let bob = Subject::Subscriber(Name::from("bob"));
        assert_eq!(standing.suspension(&bob, Timestamp::from_millis(9)).map(|s| s.reference), Some(7));
        assert!(standing.suspension(&bob, Timestamp::from_millis(10)).is_none());
    }

    #[test]
    fn release_ends_it_and_a_login_of_the_same_name_is_somebody_else() {
        let mut standing = Standing::default();
        standing.fold(1, &order(0, Order::Suspend { until: None }));
        assert!(standing.suspension(&Subject::Login(Name::from("bob")), Timestamp::from_millis(1)).is_none());
        standing.fold(2, &order(5, Order::Release));
        assert!(standing.in_force(Timestamp::from_millis(6)).is_empty());
    }

    #[test]
    fn a_limit_stands_below_a_suspension_and_a_release_ends_both() {
        let at = Timestamp::from_millis;
        let bob = Subject::Subscriber(Name::from("bob"));
        let mut standing = Standing::default();
        standing.fold(1, &order(0, Order::Limit { until: Some(at(20)) }));
        assert!(standing.is_empty() && standing.limits_somebody(), "a limit stops nothing");
        standing.fold_of(Some(7), 2, &order(1, Order::Suspend { until: Some(at(10)) }));
        standing.fold(3, &order(2, Order::Limit { until: Some(at(20)) }));
        let in_force = |standing: &Standing, now| -> Vec<(Held, u64, Option<u64>)> {
            let all = standing.in_force(at(now));
            all.into_iter().map(|(_, held, one)| (held, one.reference, one.case)).collect()
        };
        assert_eq!(in_force(&standing, 9), [(Held::Suspended, 2, Some(7)), (Held::Limited, 3, None)]);
        assert_eq!(in_force(&standing, 10), [(Held::Limited, 3, None)], "the suspension has run out");
        assert_eq!(standing.limited(&bob, at(19)).map(|one| one.reference), Some(3));
        assert!(standing.limited(&bob, at(20)).is_none());
        standing.fold(4, &order(3, Order::Release));
        assert!(standing.is_empty() && !standing.limits_somebody());
    }

    fn tie(case: u64, address: &str) -> Tie {
        let (by, list) = (Name::from("rule:listed"), Name::from("zen"));
        Tie { case, by, list, address: address.parse().unwrap(), over: false }
    }

    /// A sender who was limited by the entries 1 and 2, for two listings.
    fn tied_twice() -> Standing {
        let mut standing = Standing::default();
        for (at, case, address) in [(1, 71, "192.0.2.25"), (2, 72, "192.0.2.26")] {
            let limit = order(at, Order::UntilDelisted);
            standing.fold_tied(u64::try_from(at).unwrap(), &limit, tie(case, address));
        }
        standing
    }

    #[test]
    fn who_is_limited_for_two_listings_is_so_until_both_are_over() {
        let mut standing = tied_twice();
        let bob = Subject::Subscriber(Name::from("bob"));
        let now = Timestamp::from_millis(9);
        let over = |standing: &Standing| -> Vec<u64> {
            standing.ties().all().filter(|(_, tie)| tie.over).map(|(_, tie)| tie.case).collect()
        };
        let delisted =
            |address: &str| Delisted { at: now, address: address.parse().unwrap(), list: Name::from("zen") };
        standing.delist(&Delisted { list: Name::from("other"), ..delisted("192.0.2.25") });
        assert!(over(&standing).is_empty(), "another list says nothing of it");
        standing.delist(&delisted("192.0.2.25"));
        assert_eq!(over(&standing), [71]);
        assert!(standing.limited(&bob, now).is_some(), "until somebody ends it");
        standing.fold_of(Some(71), 3, &order(3, Order::Delisted));
        assert!(standing.limited(&bob, now).is_some(), "the other list still has us");
        // Whoever suspended him meanwhile has not let him go, and the same end again ends nothing.
        standing.fold(4, &order(4, Order::Suspend { until: None }));
        standing.fold_of(Some(71), 5, &order(5, Order::Delisted));
        assert!(standing.limited(&bob, now).is_some());
        standing.fold_of(Some(72), 6, &order(6, Order::Delisted));
        assert!(standing.limited(&bob, now).is_none() && standing.suspension(&bob, now).is_some());
        assert_eq!(standing.ties(), &Ties::default());
    }

    #[test]
    fn what_a_human_orders_stands_whatever_is_delisted() {
        let bob = Subject::Subscriber(Name::from("bob"));
        let now = Timestamp::from_millis(9);
        let mut standing = tied_twice();
        standing.fold(3, &order(3, Order::Limit { until: None }));
        for case in [71, 72] {
            standing.fold_of(Some(case), 4, &order(4, Order::Delisted));
        }
        assert_eq!(standing.limited(&bob, now).map(|limit| limit.reference), Some(3));
        // Nor does a rule that comes later make it end with a listing.
        standing.fold_tied(5, &order(5, Order::UntilDelisted), tie(73, "192.0.2.25"));
        assert_eq!(standing.limited(&bob, now).map(|limit| limit.reference), Some(3));
        assert_eq!(standing.ties(), &Ties::default());
        let mut standing = tied_twice();
        standing.fold(3, &order(3, Order::Release));
        assert!(standing.limited(&bob, now).is_none() && *standing.ties() == Ties::default());
    }
}
