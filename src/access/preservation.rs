//! Preservation orders: what must be kept although it is older than is to be kept, until somebody decides.
//!
//! Knows: orders and their deadlines. Must not know: where the past is kept. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::session::{Name, Timestamp};

/// About whom or what everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum About {
    /// A subscriber, canonical name.
    Subscriber(Name),
    /// Addresses, in whatever realm.
    Prefix(IpNet),
}

impl About {
    /// What it is called in the API.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            About::Subscriber(_) => "subscriber",
            About::Prefix(_) => "prefix",
        }
    }
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            About::Subscriber(name) => name.fmt(f),
            About::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => prefix.addr().fmt(f),
            About::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

/// An order with its circumstances; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreservationOrder {
    /// When it was given.
    pub at: Timestamp,
    /// By whom.
    pub by: Name,
    /// About whom or what.
    pub about: About,
    /// Until when; `None`: no longer.
    pub until: Option<Timestamp>,
    /// Why; the number of the order, as a rule.
    pub reason: Name,
}

/// An order in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preservation {
    /// Sequence of its entry.
    pub reference: u64,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// By whom.
    pub by: Name,
    /// Why.
    pub reason: Name,
}

/// All of them. A view: rebuilt from the log, replaced as a whole for its readers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preservations(BTreeMap<About, Preservation>);

impl Preservations {
    /// Folds one order. `sequence` is that of its entry.
    pub fn fold(&mut self, sequence: u64, order: &PreservationOrder) {
        self.forget(order.at);
        match order.until {
            Some(until) => {
                let preservation = Preservation {
                    reference: sequence,
                    since: order.at,
                    until,
                    by: order.by.clone(),
                    reason: order.reason.clone(),
                };
                self.0.insert(order.about.clone(), preservation);
            }
            None => drop(self.0.remove(&order.about)),
        }
    }

    /// Forgets those that are over.
    pub fn forget(&mut self, at: Timestamp) {
        self.0.retain(|_, preservation| preservation.until > at);
    }

    /// When the next one is over.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.0.values().map(|preservation| preservation.until).min()
    }

    /// Those in force.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = (&About, &Preservation)> {
        self.0.iter().filter(move |(_, preservation)| preservation.until > now)
    }

    /// Whether there is one about this.
    #[must_use]
    pub fn is_about(&self, about: &About, now: Timestamp) -> bool {
        self.0.get(about).is_some_and(|preservation| preservation.until > now)
    }

    /// Whether a subscriber's past is kept.
    #[must_use]
    pub fn keep_subscriber(&self, name: &Name, now: Timestamp) -> bool {
        !self.0.is_empty() && self.is_about(&About::Subscriber(name.clone()), now)
    }

    /// Whether the past of an address, or of one in this prefix, is kept.
    #[must_use]
    pub fn keep_prefix(&self, prefix: IpNet, now: Timestamp) -> bool {
        self.in_force(now).any(|(about, _)| match about {
            About::Prefix(kept) => kept.contains(&prefix) || prefix.contains(kept),
            About::Subscriber(_) => false,
        })
    }

    /// The same for a single address.
    #[must_use]
    pub fn keep_address(&self, address: IpAddr, now: Timestamp) -> bool {
        self.keep_prefix(address.to_canonical().into(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn order(seconds: i64, about: About, until: Option<i64>) -> PreservationOrder {
        PreservationOrder {
            at: at(seconds),
            by: Name::from("dpo"),
            about,
            until: until.map(at),
            reason: Name::from("4 Js 17/26"),
        }
    }

    fn prefix(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn an_order_holds_until_its_end_or_until_it_is_lifted() {
        let alice = || About::Subscriber(Name::from("alice"));
        let mut kept = Preservations::default();
        kept.fold(7, &order(10, alice(), Some(20)));
        let holds = |kept: &Preservations, seconds| kept.keep_subscriber(&Name::from("alice"), at(seconds));
        assert_eq!((holds(&kept, 19), holds(&kept, 20)), (true, false));
        assert!(!kept.keep_subscriber(&Name::from("bob"), at(11)));
        kept.fold(8, &order(12, alice(), None));
        assert_eq!((holds(&kept, 13), kept.in_force(at(13)).count()), (false, 0));
    }

    #[test]
    fn an_address_is_kept_by_a_prefix_around_it_and_a_prefix_by_an_address_in_it() {
        let mut kept = Preservations::default();
        kept.fold(7, &order(10, About::Prefix(prefix("192.0.2.8/30")), Some(20)));
        kept.fold(8, &order(10, About::Prefix(prefix("2001:db8::1/128")), Some(20)));
        let of = |text: &str| kept.keep_prefix(prefix(text), at(11));
        assert_eq!(["192.0.2.8/32", "192.0.2.11/32", "192.0.2.12/32"].map(of), [true, true, false]);
        assert_eq!(["192.0.2.0/24", "2001:db8::/56", "2001:db8:1::/56"].map(of), [true, true, false]);
        assert!(kept.keep_address("::ffff:192.0.2.9".parse().unwrap(), at(11)));
    }

    #[test]
    fn what_it_is_about_is_spelled_as_it_was_said() {
        let spelled =
            [prefix("192.0.2.8/32"), prefix("192.0.2.8/30")].map(|prefix| About::Prefix(prefix).to_string());
        assert_eq!(spelled, ["192.0.2.8", "192.0.2.8/30"]);
    }
}
