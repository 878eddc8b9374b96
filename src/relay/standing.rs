//! Who may send at all, and who little: the standing of subscribers and logins (normal, limited, suspended), as a fold over
//! orders.
//!
//! Both kinds of orders stand side by side, and the suspension outranks the limit: it ends at its own time, and the limit below
//! it holds again. So whoever limits a sender never lets one go who is suspended. A release ends both.
//!
//! Knows: orders and their deadlines. Must not know: who asks, how an order reached us, or how much a limited sender may send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
}

impl Order {
    /// The word of the order in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Order::Suspend { .. } => "suspend",
            Order::Release => "release",
            Order::Limit { .. } => "limit",
        }
    }

    /// Until when it holds; `None`: until another one.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Order::Suspend { until } | Order::Limit { until } => until,
            Order::Release => None,
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
        Standing { suspended, limited: BTreeMap::new() }
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
            Order::Limit { .. } => &mut self.limited,
            Order::Release => {
                self.suspended.remove(&command.subject);
                self.limited.remove(&command.subject);
                return;
            }
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
}
