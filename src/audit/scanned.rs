//! What a scanner's verdict on a message is found by.
//!
//! Knows: the terms of a verdict. Must not know: how items are kept and found (`by_term.rs`), or how a list is shown.

use std::net::IpAddr;
use std::slice;

use super::AuditError;
use super::by_term::{self, ANY, Asked, Item, Items, term};
use super::rows::ScannedFilter;
use super::schema::wide;
use super::shelf::View;
use crate::relay::scanned::Scanned;
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// By what a verdict is found.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    QueueId(&'a Name),
    Subscriber(&'a Name),
    Login(&'a Name),
    Address(IpAddr),
}

impl By<'_> {
    fn term(self) -> i64 {
        match self {
            By::QueueId(id) => term(1, id.octets()),
            By::Subscriber(name) => term(2, name.octets()),
            By::Login(name) => term(3, name.octets()),
            By::Address(address) => term(4, &wide(address).octets()),
        }
    }

    /// The narrowest of what is asked for; `None`: any.
    fn narrowest(filter: &ScannedFilter) -> Option<By<'_>> {
        let queue_id = filter.queue_id.as_ref().map(By::QueueId);
        queue_id
            .or(filter.subscriber.as_ref().map(By::Subscriber))
            .or(filter.login.as_ref().map(By::Login))
            .or(filter.address.map(By::Address))
    }
}

impl Item for Scanned {
    const KIND: &'static str = "scanned";

    fn of(outcome: &Outcome) -> Option<&[Scanned]> {
        match outcome {
            Outcome::Scanned(scanned) => Some(slice::from_ref(scanned)),
            _ => None,
        }
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn terms(&self) -> Vec<i64> {
        let mut by = vec![By::QueueId(&self.queue_id)];
        by.extend(self.subscribers().map(By::Subscriber));
        by.extend(self.login.as_ref().map(By::Login));
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
pub(super) fn list(view: &View<Items<Scanned>>, filter: &ScannedFilter) -> Result<Vec<Scanned>, AuditError> {
    let asked = Asked {
        term: By::narrowest(filter).map_or(ANY, By::term),
        since: filter.since.unwrap_or(Timestamp::EARLIEST),
        until: filter.until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        limit: filter.limit,
    };
    by_term::list(view, asked, &|scanned| filter.admits(scanned))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::preservation::Preservations;
    use crate::audit::index::Index;
    use crate::audit::past::Past;
    use crate::config::Retention;
    use crate::relay::message::{Message, Owner};
    use crate::relay::scanned;
    use crate::relay::scanned::Finding;
    use crate::relay::verdict::Reason;
    use crate::session::Line;
    use crate::views::Folded;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn scanned(number: u32) -> Scanned {
        let subscriber = if number.is_multiple_of(2) { "alice" } else { "bob" };
        let owner = Owner {
            subscriber: Some(Name::from(subscriber)),
            session: None,
            since: AT,
            line: Line::default(),
        };
        Scanned {
            at: AT.plus(Duration::from_secs(60) * number),
            finding: if number == 5 { Finding::Virus } else { Finding::Spam },
            by: scanned::By::Header,
            told: Name::from("X-Spam: Yes"),
            mta: Name::from("mx1"),
            queue_id: Name::from(format!("4b{number}").as_str()),
            address: Some([192, 0, 2, u8::try_from(number % 3).unwrap()].into()),
            port: None,
            owners: vec![owner],
            login: (number == 6).then(|| Name::from("office")),
            reason: Reason::Online,
        }
    }

    fn folded(sequence: u64, number: u32) -> [Folded; 1] {
        [Folded { sequence, outcome: Outcome::Scanned(Box::new(scanned(number))) }]
    }

    fn world() -> (tempfile::TempDir, Index, Past) {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        for number in 1..=6 {
            index.apply(u64::from(number), &folded(u64::from(number), number)).unwrap();
            if number == 3 {
                index.sync(AT).unwrap();
            }
        }
        let past = index.past().unwrap();
        (data, index, past)
    }

    fn found(past: &Past, filter: ScannedFilter) -> Vec<String> {
        let rows = past.scanned(&ScannedFilter { limit: 100, ..filter }).unwrap();
        rows.into_iter().map(|scanned| scanned.queue_id.to_string()).collect()
    }

    #[test]
    fn verdicts_are_found_by_whose_they_are_queue_id_address_finding_and_time_newest_first() {
        let (_data, _index, past) = world();
        let any = ScannedFilter::default;
        assert_eq!(found(&past, any()), ["4b6", "4b5", "4b4", "4b3", "4b2", "4b1"]);
        let bob = ScannedFilter { subscriber: Some(Name::from("bob")), ..any() };
        assert_eq!(found(&past, bob), ["4b5", "4b3", "4b1"]);
        assert_eq!(found(&past, ScannedFilter { login: Some(Name::from("office")), ..any() }), ["4b6"]);
        assert_eq!(found(&past, ScannedFilter { queue_id: Some(Name::from("4b2")), ..any() }), ["4b2"]);
        let mapped = "::ffff:192.0.2.1".parse().ok();
        assert_eq!(found(&past, ScannedFilter { address: mapped, ..any() }), ["4b4", "4b1"]);
        assert_eq!(found(&past, ScannedFilter { finding: Some(Finding::Virus), ..any() }), ["4b5"]);
        let within = ScannedFilter { since: Some(scanned(2).at), until: Some(scanned(4).at), ..any() };
        assert_eq!(found(&past, within), ["4b3", "4b2"]);
    }

    #[test]
    fn verdicts_are_there_after_a_restart_and_come_from_the_log_once() {
        let (data, mut index, past) = world();
        index.sync(AT).unwrap();
        drop((index, past));
        let mut index = Index::open(data.path()).unwrap();
        index.apply(6, &folded(6, 6)).unwrap();
        assert_eq!(found(&index.past().unwrap(), ScannedFilter::default()).len(), 6);
    }

    #[test]
    fn verdicts_are_kept_as_long_as_messages() {
        let day = Duration::from_secs(24 * 3600);
        let kept = Retention { sessions: day * 99, messages: day * 9, questions: day * 99 };
        let (_data, mut index, past) = world();
        index.sync(AT).unwrap();
        index.apply(7, &folded(7, 3000)).unwrap();
        index.sync(AT.plus(day * 2)).unwrap();
        index.retire(AT.plus(day * 8), &kept, &Preservations::default()).unwrap();
        assert_eq!(found(&past, ScannedFilter::default()).len(), 7);
        index.retire(AT.plus(day * 12), &kept, &Preservations::default()).unwrap();
        assert_eq!(found(&past, ScannedFilter::default()), ["4b3000"]);
    }

    #[test]
    fn an_index_from_before_there_were_verdicts_goes_on_where_it_was() {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        let message = |sequence| Folded {
            sequence,
            outcome: Outcome::Message(Box::new(Message::plain(AT)), Vec::new()),
        };
        index.apply(9, &[message(9)]).unwrap();
        index.sync(AT).unwrap();
        drop(index);
        std::fs::remove_file(data.path().join("audit/scanned-000001.sqlite3")).unwrap();
        assert_eq!(Index::open(data.path()).unwrap().applied(), 9);
    }
}
