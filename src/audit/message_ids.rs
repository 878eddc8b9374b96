//! Messages by their Message-IDs, and the Message-IDs of messages.
//!
//! A Message-ID stands by itself, for its message may be in a file that is closed when a milter has seen the header. Each has the moment
//! of its message, so it goes when that goes.
//!
//! Knows: by what the two find each other. Must not know: how items are kept and found (`by_term.rs`), or how a list is shown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::slice;
use std::time::Duration;

use super::AuditError;
use super::by_term::{self, ANY, Asked, Item, Items, term};
use super::messages;
use super::rows::MessageFilter;
use super::shelf::View;
use crate::relay::message::{Message, REPEATED_WITHIN};
use crate::relay::message_id::MessageId;
use crate::session::{Name, Timestamp};
use crate::views::Outcome;

/// By what a Message-ID is found.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    Id(&'a Name),
    Message(Key<'a>),
}

/// What tells messages apart.
type Key<'a> = (&'a Name, &'a Name, &'a Name);

fn key_of(message: &Message) -> Key<'_> {
    (&message.mta, &message.instance, &message.queue_id)
}

fn key(id: &MessageId) -> Key<'_> {
    (&id.mta, &id.instance, &id.queue_id)
}

impl By<'_> {
    fn term(self) -> i64 {
        match self {
            By::Id(id) => term(1, id.octets()),
            By::Message((mta, instance, queue_id)) => {
                term(2, &[mta.octets(), instance.octets(), queue_id.octets()].join(&0))
            }
        }
    }
}

impl Item for MessageId {
    const KIND: &'static str = "message-ids";

    fn of(outcome: &Outcome) -> Option<&[MessageId]> {
        match outcome {
            Outcome::MessageId(id) => Some(slice::from_ref(id)),
            _ => None,
        }
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn terms(&self) -> Vec<i64> {
        vec![By::Id(&self.id).term(), By::Message(key(self)).term()]
    }

    fn subscribers(&self) -> impl Iterator<Item = &Name> {
        self.subscribers.iter()
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// A message that is asked about twice is written down at the first time, and its Message-ID may have been seen at the second.
fn later(at: Timestamp) -> Timestamp {
    at.plus(REPEATED_WITHIN).plus(Duration::from_millis(1))
}

/// Messages with this Message-ID that fit what else is asked, newest first.
pub(super) fn named(
    messages: &View<Items<Message>>,
    ids: &View<Items<MessageId>>,
    id: &Name,
    filter: &MessageFilter,
) -> Result<Vec<Message>, AuditError> {
    let asked = Asked {
        term: By::Id(id).term(),
        since: filter.since.unwrap_or(Timestamp::EARLIEST),
        until: filter.until.map_or(Timestamp::from_millis(i64::MAX), later),
        limit: filter.limit,
    };
    let (found, failed) = (RefCell::new(Vec::new()), RefCell::new(None));
    let fits = by_term::list(ids, asked, &|one: &MessageId| {
        if one.id != *id {
            return false;
        }
        match of(messages, one) {
            Ok(message) => {
                let message = message.filter(|message| filter.admits(message));
                let fits = message.is_some();
                found.borrow_mut().extend(message);
                fits
            }
            Err(error) => {
                failed.replace(Some(error));
                false
            }
        }
    })?;
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    let found = found.into_inner();
    let mut found: HashMap<Key<'_>, &Message> =
        found.iter().map(|message| (key_of(message), message)).collect();
    let named = fits.iter().filter_map(|one| found.remove(&key(one)));
    Ok(named.map(|message| Message { message_id: Some(id.clone()), ..message.clone() }).collect())
}

/// The message of a Message-ID.
fn of(messages: &View<Items<Message>>, id: &MessageId) -> Result<Option<Message>, AuditError> {
    let asked = Asked {
        term: messages::with_queue_id(&id.queue_id),
        since: id.at.minus(REPEATED_WITHIN),
        until: id.at.plus(Duration::from_millis(1)),
        limit: 1,
    };
    Ok(by_term::list(messages, asked, &|message| id.is_of(message))?.pop())
}

/// Puts to each message its Message-ID, where that is known.
pub(super) fn fill(ids: &View<Items<MessageId>>, messages: &mut [Message]) -> Result<(), AuditError> {
    if ids.runs.is_empty() && ids.partitions.is_empty() {
        return Ok(());
    }
    let places = messages.iter().enumerate().map(|(place, message)| (key_of(message), place));
    let places: HashMap<Key<'_>, usize> = places.collect();
    let gathered = ids.runs.iter().flat_map(|run| run.iter());
    let mut known: HashMap<usize, Name> =
        gathered.filter_map(|one| places.get(&key(one)).map(|place| (*place, one.id.clone()))).collect();
    for partition in &ids.partitions {
        let Some(span) = partition.about.span else { continue };
        for (place, message) in messages.iter().enumerate() {
            let (since, until) = (message.at, later(message.at));
            if known.contains_key(&place) || span.first >= until || span.last < since {
                continue;
            }
            let asked = Asked { term: By::Message(key_of(message)).term(), since, until, limit: 1 };
            let one = by_term::newest_of(partition, asked, &|one: &MessageId| one.is_of(message))?;
            known.extend(one.map(|one| (place, one.id)));
        }
    }
    for (place, id) in known {
        if let Some(message) = messages.get_mut(place) {
            message.message_id = Some(id);
        }
    }
    Ok(())
}

/// Those from this moment on, newest first.
pub(super) fn since(
    ids: &View<Items<MessageId>>,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<MessageId>, AuditError> {
    by_term::list(ids, Asked { term: ANY, since, until: Timestamp::from_millis(i64::MAX), limit }, &|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::preservation::{About, PreservationOrder, Preservations};
    use crate::audit::index::Index;
    use crate::audit::past::Past;
    use crate::config::Retention;
    use crate::relay::message::Owner;
    use crate::session::Line;
    use crate::views::Folded;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A message of this hour; the even ones are alice's.
    fn message(number: u32) -> Message {
        let subscriber = if number.is_multiple_of(2) { "alice" } else { "bob" };
        let owner = Owner {
            subscriber: Some(Name::from(subscriber)),
            session: None,
            since: AT,
            line: Line::default(),
        };
        Message {
            // Queue ids are used again.
            queue_id: Name::from(format!("4b{}", number % 3).as_str()),
            instance: Name::from(number.to_string().as_str()),
            owners: vec![owner],
            address: Some([192, 0, 2, u8::try_from(number % 200).unwrap()].into()),
            ..Message::plain(AT.plus(Duration::from_secs(3600) * number))
        }
    }

    fn id_of(message: &Message, id: &str) -> MessageId {
        MessageId {
            at: message.at,
            id: Name::from(id),
            mta: message.mta.clone(),
            instance: message.instance.clone(),
            queue_id: message.queue_id.clone(),
            address: message.address,
            subscribers: message.owners.iter().filter_map(|owner| owner.subscriber.clone()).collect(),
        }
    }

    /// Everybody copies one Message-ID but the third, and the seventh has none.
    fn told(number: u32) -> Vec<Outcome> {
        let message = message(number);
        let id = (number != 7).then(|| id_of(&message, if number == 3 { "3@x" } else { "same@x" }));
        let id = id.map(|id| Outcome::MessageId(Box::new(id)));
        [Outcome::Message(Box::new(message), Vec::new())].into_iter().chain(id).collect()
    }

    fn apply(index: &mut Index, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let sequence = index.applied() + 1;
            index.apply(sequence, &[Folded { sequence, outcome }]).unwrap();
        }
    }

    /// Some are in files, some are gathered, and of the fourth the one is here and the other there.
    fn world() -> (tempfile::TempDir, Index, Past) {
        let data = tempfile::tempdir().unwrap();
        let mut index = Index::open(data.path()).unwrap();
        for number in 1..=8 {
            let mut outcomes = told(number);
            if number == 4 {
                let message = outcomes.remove(0);
                apply(&mut index, vec![message]);
                index.sync(AT).unwrap();
            }
            apply(&mut index, outcomes);
        }
        let past = index.past().unwrap();
        (data, index, past)
    }

    fn found(past: &Past, filter: &MessageFilter) -> Vec<(String, Option<String>)> {
        let rows = past.messages(filter).unwrap();
        let text = |name: &Name| name.to_string();
        rows.iter().map(|row| (text(&row.instance), row.message_id.as_ref().map(text))).collect()
    }

    fn instances(past: &Past, filter: &MessageFilter) -> Vec<String> {
        found(past, filter).into_iter().map(|(instance, _)| instance).collect()
    }

    fn with(id: &str) -> MessageFilter {
        MessageFilter { message_id: Some(Name::from(id)), limit: 100, ..MessageFilter::default() }
    }

    #[test]
    fn messages_are_found_by_message_id_and_whatever_else_is_asked_newest_first() {
        let (_data, mut index, past) = world();
        for _ in 0..2 {
            assert_eq!(instances(&past, &with("same@x")), ["8", "6", "5", "4", "2", "1"]);
            assert_eq!(found(&past, &with("3@x")), [("3".to_owned(), Some("3@x".to_owned()))]);
            assert_eq!(instances(&past, &with("SAME@X")), [""; 0], "its case is a part of it");
            let bob = MessageFilter { subscriber: Some(Name::from("bob")), ..with("same@x") };
            assert_eq!(instances(&past, &bob), ["5", "1"]);
            assert_eq!(instances(&past, &MessageFilter { limit: 1, ..bob }), ["5"]);
            assert_eq!(instances(&past, &MessageFilter { limit: 4, ..with("same@x") }), ["8", "6", "5", "4"]);
            let span =
                MessageFilter { since: Some(message(2).at), until: Some(message(6).at), ..with("same@x") };
            assert_eq!(instances(&past, &span), ["5", "4", "2"]);
            index.sync(AT.plus(DAY)).unwrap();
        }
    }

    #[test]
    fn a_message_tells_its_message_id_wherever_the_two_are() {
        let (_data, mut index, past) = world();
        let any = MessageFilter { limit: 100, ..MessageFilter::default() };
        for _ in 0..2 {
            let ids = found(&past, &any);
            for (instance, id) in &ids {
                let expected = match instance.as_str() {
                    "3" => Some("3@x"),
                    "7" => None,
                    _ => Some("same@x"),
                };
                assert_eq!(id.as_deref(), expected, "{instance}");
            }
            assert_eq!(ids.len(), 8);
            index.sync(AT.plus(DAY)).unwrap();
        }
    }

    #[test]
    fn a_message_that_was_asked_about_twice_has_the_message_id_of_the_second_time() {
        let (_data, mut index, past) = world();
        let again = Message { at: message(7).at.plus(REPEATED_WITHIN), ..message(7) };
        apply(&mut index, vec![Outcome::MessageId(Box::new(id_of(&again, "7@x")))]);
        for _ in 0..2 {
            assert_eq!(found(&past, &with("7@x")), [("7".to_owned(), Some("7@x".to_owned()))]);
            let until = MessageFilter { until: Some(message(8).at), ..with("7@x") };
            assert_eq!(instances(&past, &until), ["7"]);
            index.sync(AT.plus(DAY)).unwrap();
        }
    }

    #[test]
    fn one_that_names_no_message_that_is_there_finds_nothing() {
        let (_data, mut index, past) = world();
        let other = |change: &dyn Fn(&mut MessageId)| {
            let mut id = id_of(&message(8), "other@x");
            change(&mut id);
            Outcome::MessageId(Box::new(id))
        };
        apply(
            &mut index,
            vec![
                other(&|id| id.instance = Name::from("9")),
                other(&|id| id.mta = Name::from("mx2")),
                other(&|id| id.queue_id = Name::from("4b9")),
            ],
        );
        assert_eq!(instances(&past, &with("other@x")), [""; 0]);
        assert_eq!(found(&past, &with("same@x"))[0].0, "8");
    }

    #[test]
    fn message_ids_go_with_their_messages_and_stay_where_these_are_preserved() {
        let kept = Retention { sessions: DAY * 99, messages: DAY * 9, questions: DAY * 99 };
        let mut preserved = Preservations::default();
        preserved.fold(
            1,
            &PreservationOrder {
                at: AT,
                by: Name::from("dpo"),
                about: About::Subscriber(Name::from("alice")),
                until: Some(AT.plus(DAY * 20)),
                reason: Name::from("4 Js 17/26"),
            },
        );
        let (data, mut index, past) = world();
        index.sync(AT.plus(DAY)).unwrap();
        // Another day, another file.
        apply(&mut index, told(80));
        index.sync(AT.plus(DAY * 4)).unwrap();
        index.retire(AT.plus(DAY * 11), &kept, &preserved).unwrap();
        assert_eq!(instances(&past, &with("same@x")), ["80", "8", "6", "4", "2"]);
        let of_nobody = data.path().join("audit/message-ids-000001.sqlite3");
        assert!(!of_nobody.exists(), "bob's are gone");
        let any = MessageFilter { limit: 100, ..MessageFilter::default() };
        assert!(found(&past, &any).iter().all(|(_, id)| id.as_deref() == Some("same@x")));
        apply(&mut index, told(800));
        index.sync(AT.plus(DAY * 34)).unwrap();
        index.retire(AT.plus(DAY * 40), &kept, &preserved).unwrap();
        assert_eq!(instances(&past, &with("same@x")), ["800"], "the order has ended");
    }

    #[test]
    fn an_index_from_before_there_were_message_ids_goes_on_where_it_was() {
        let (data, mut index, past) = world();
        index.sync(AT).unwrap();
        let applied = index.applied();
        drop((index, past));
        std::fs::remove_file(data.path().join("audit/message-ids-000001.sqlite3")).unwrap();
        let mut index = Index::open(data.path()).unwrap();
        assert_eq!(index.applied(), applied);
        let past = index.past().unwrap();
        assert_eq!(instances(&past, &MessageFilter { limit: 9, ..MessageFilter::default() }).len(), 8);
        apply(&mut index, told(9));
        assert_eq!(instances(&past, &with("same@x")), ["9"]);
    }

    #[test]
    fn what_was_written_down_lately_is_told_up_to_a_bound() {
        let (_data, _index, past) = world();
        let lately = past.lately(message(5).at, 3, 3).unwrap();
        let instances: Vec<_> = lately.messages.iter().map(|message| message.instance.to_string()).collect();
        assert_eq!(instances, ["8", "7", "6"]);
        let ids: Vec<_> = lately.message_ids.iter().map(|id| id.instance.to_string()).collect();
        assert_eq!((ids, lately.scanned.len()), (vec!["8".to_owned(), "6".to_owned(), "5".to_owned()], 0));
        assert_eq!(past.lately(message(5).at, 0, 3).unwrap().messages, []);
    }
}
