//! Who may send at all: suspensions of subscribers and logins, as a fold over staff's orders.
//!
//! Knows: orders and their deadlines. Must not know: who asks, or how an order reached us.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::session::{Name, Timestamp};

/// Whom an order is about. Logins and subscribers are different name spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A subscriber, canonical name.
    Subscriber(Name),
    /// A SASL login.
    Login(Name),
}

impl Subject {
    /// The subscriber, if it is one.
    #[must_use]
    pub fn subscriber(&self) -> Option<&Name> {
        match self {
            Subject::Subscriber(name) => Some(name),
            Subject::Login(_) => None,
        }
    }

    /// Its name, whichever it is.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Subject::Subscriber(name) | Subject::Login(name) => name,
        }
    }
}

/// What staff ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// No mail from here on.
    Suspend {
        /// Until when; `None`: until released.
        until: Option<Timestamp>,
    },
    /// As before again.
    Release,
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

/// A suspension in force.
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
}

/// All suspensions. A view: rebuilt from the log, replaced as a whole for its readers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    suspended: HashMap<Subject, Suspension>,
}

impl Standing {
    /// Folds one order. `sequence` is that of its entry.
    pub fn fold(&mut self, sequence: u64, command: &Command) {
        // What has run out is forgotten here, so that the view stays as small as what is in force.
        self.suspended.retain(|_, suspension| suspension.until.is_none_or(|until| until > command.at));
        match command.order {
            Order::Suspend { until } => {
                let suspension = Suspension {
                    reference: sequence,
                    since: command.at,
                    until,
                    by: command.by.clone(),
                    reason: command.reason.clone(),
                };
                self.suspended.insert(command.subject.clone(), suspension);
            }
            Order::Release => {
                self.suspended.remove(&command.subject);
            }
        }
    }

    /// Whether nobody is suspended, be it that a suspension ran out and was not forgotten yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.suspended.is_empty()
    }

    /// The suspension that holds for this subject at this moment.
    #[must_use]
    pub fn suspension(&self, subject: &Subject, now: Timestamp) -> Option<&Suspension> {
        self.suspended.get(subject).filter(|suspension| suspension.until.is_none_or(|until| now < until))
    }

    /// Those in force, in order of their subjects.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> Vec<(&Subject, &Suspension)> {
        let mut all: Vec<_> =
            self.suspended.iter().filter(|(_, s)| s.until.is_none_or(|until| now < until)).collect();
        all.sort_by_key(|(subject, _)| *subject);
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
}
