//! What an attempt that was refused or deferred is found by.
//!
//! Knows: the terms of an attempt. Must not know: how items are kept and found (`by_term.rs`), or how a list is shown.

use std::net::IpAddr;

use super::AuditError;
use super::by_term::{self, ANY, Asked, Item, Items, term};
use super::rows::AttemptFilter;
use super::schema::wide;
use super::shelf::View;
use crate::relay::attempts::{Attempt, MINUTE, Reference};
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// By what an attempt is found.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    Reference(Reference),
    Subscriber(&'a Name),
    Address(IpAddr),
}

impl By<'_> {
    fn term(self) -> i64 {
        match self {
            By::Reference(reference) => term(1, &reference.0.to_be_bytes()),
            By::Subscriber(name) => term(2, name.octets()),
            By::Address(address) => term(3, &wide(address).octets()),
        }
    }

    /// The narrowest of what is asked for; `None`: any attempt.
    fn narrowest(filter: &AttemptFilter) -> Option<By<'_>> {
        let reference = filter.reference.map(By::Reference);
        reference.or(filter.subscriber.as_ref().map(By::Subscriber)).or(filter.address.map(By::Address))
    }
}

impl Item for Attempt {
    const KIND: &'static str = "attempts";

    fn of(outcome: &Outcome) -> Option<&[Attempt]> {
        match outcome {
            Outcome::Attempts(attempts) => Some(attempts),
            _ => None,
        }
    }

    fn at(&self) -> Timestamp {
        self.first
    }

    fn until(&self) -> Timestamp {
        self.last
    }

    fn terms(&self) -> Vec<i64> {
        let mut by = vec![By::Reference(self.reference)];
        by.extend(self.subscribers().map(By::Subscriber));
        by.extend(self.address.map(By::Address));
        by.into_iter().map(By::term).collect()
    }

    fn subscribers(&self) -> impl Iterator<Item = &Name> {
        self.owners.iter().filter_map(|owner| owner.subscriber.as_ref())
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// Those that fit, newest first.
pub(super) fn list(view: &View<Items<Attempt>>, filter: &AttemptFilter) -> Result<Vec<Attempt>, AuditError> {
    let asked = Asked {
        term: By::narrowest(filter).map_or(ANY, By::term),
        // They stand by the first moment, and may reach to the end of its minute.
        since: filter.since.map_or(Timestamp::EARLIEST, |since| since.minus(MINUTE)),
        until: filter.until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        limit: filter.limit,
    };
    by_term::list(view, asked, &|attempt| filter.admits(attempt))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::preservation::Preservations;
    use crate::audit::index::Index;
    use crate::audit::past::Past;
    use crate::config::Retention;
    use crate::relay::Profile;
    use crate::relay::message::Owner;
    use crate::relay::verdict::Reason;
    use crate::session::Line;
    use crate::views::Folded;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    /// An attempt in the minute of this number.
    fn attempt(number: u32) -> Attempt {
        let subscriber = if number.is_multiple_of(2) { "alice" } else { "bob" };
        let owner = Owner {
            subscriber: Some(Name::from(subscriber)),
            session: None,
            since: AT,
            line: Line::default(),
        };
        let first = AT.plus(MINUTE * number);
        Attempt {
            reference: Reference(number),
            first,
            last: first.plus(Duration::from_secs(30)),
            count: 3,
            reason: Some(if number == 5 { Reason::Suspended } else { Reason::Conflict }),
            mta: Name::from("mx1"),
            profile: Profile::Relay,
            address: Some([192, 0, 2, u8::try_from(number % 3).unwrap()].into()),
            port: None,
            owners: vec![owner],
            login: None,
            helo: Name::from("h"),
            sender: Name::from(""),
            recipient_domain: Name::from("b.example"),
            suspension: None,
            observed: false,
        }
    }

    /// Six minutes, two of them an entry; the entries from `gathering` on are not written yet.
    fn world(gathering: u64) -> (tempfile::TempDir, Index, Past) {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        for sequence in 1..=3 {
            let number = u32::try_from(sequence).unwrap() * 2;
            let outcome = Outcome::Attempts(vec![attempt(number - 1), attempt(number)]);
            index.apply(sequence, &[Folded { sequence, outcome }]).unwrap();
            if sequence + 1 == gathering {
                index.sync(AT).unwrap();
            }
        }
        let past = index.past().unwrap();
        (data, index, past)
    }

    fn found(past: &Past, filter: AttemptFilter) -> Vec<u32> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let rows = past.attempts(&AttemptFilter { limit, ..filter }).unwrap();
        rows.into_iter().map(|attempt| attempt.reference.0).collect()
    }

    #[test]
    fn they_are_found_by_reference_subscriber_address_reason_and_time_newest_first() {
        let any = AttemptFilter::default;
        for gathering in [0, 2, 4] {
            let (_data, _index, past) = world(gathering);
            assert_eq!(found(&past, any()), [6, 5, 4, 3, 2, 1], "{gathering}");
            assert_eq!(found(&past, AttemptFilter { reference: Some(Reference(4)), ..any() }), [4]);
            assert_eq!(found(&past, AttemptFilter { reference: Some(Reference(7)), ..any() }), [0; 0]);
            let bob = AttemptFilter { subscriber: Some(Name::from("bob")), ..any() };
            assert_eq!(found(&past, AttemptFilter { limit: 2, ..bob.clone() }), [5, 3]);
            assert_eq!(found(&past, bob), [5, 3, 1]);
            let mapped = "::ffff:192.0.2.1".parse().ok();
            assert_eq!(found(&past, AttemptFilter { address: mapped, ..any() }), [4, 1]);
            assert_eq!(found(&past, AttemptFilter { reason: Some(Reason::Suspended), ..any() }), [5]);
            // A customer says when it was: any moment of a row finds it.
            let (last, first) = (attempt(3).last, attempt(5).first);
            let within = AttemptFilter { since: Some(last), until: Some(first), ..any() };
            assert_eq!(found(&past, within), [4, 3]);
            let later = AttemptFilter {
                since: Some(last.plus(Duration::from_millis(1))),
                until: Some(first.plus(Duration::from_millis(1))),
                ..any()
            };
            assert_eq!(found(&past, later), [5, 4]);
        }
    }

    #[test]
    fn what_was_written_is_there_afterwards_and_comes_from_the_log_once() {
        let (data, index, past) = world(4);
        drop((index, past));
        let mut index = Index::open(data.path()).unwrap();
        let outcome = Outcome::Attempts(vec![attempt(5), attempt(6)]);
        index.apply(3, &[Folded { sequence: 3, outcome }]).unwrap();
        assert_eq!(found(&index.past().unwrap(), AttemptFilter::default()), [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn they_are_kept_as_long_as_messages() {
        let day = Duration::from_secs(24 * 3600);
        let kept = Retention { sessions: day * 99, messages: day * 9, questions: day * 99 };
        let (_data, mut index, past) = world(4);
        // The partition is closed by the first row of another day.
        index.apply(4, &[Folded { sequence: 4, outcome: Outcome::Attempts(vec![attempt(3000)]) }]).unwrap();
        index.sync(AT.plus(day * 2)).unwrap();
        index.retire(AT.plus(day * 8), &kept, &Preservations::default()).unwrap();
        assert_eq!(found(&past, AttemptFilter::default()).len(), 7);
        index.retire(AT.plus(day * 12), &kept, &Preservations::default()).unwrap();
        assert_eq!(found(&past, AttemptFilter::default()), [3000]);
    }
}
