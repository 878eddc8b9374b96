//! What grows too old, day after day, and what of it stays.

use std::time::Duration;

use super::*;
use crate::access::question::{Asked, Link};
use crate::audit::index::Index;
use crate::audit::index::tests::{SPOILED, asked, key, owner, reopened, three_days};
use crate::audit::rows::{MessageFilter, SessionFilter};
use crate::config::Retention;
use crate::relay::message::Message;
use crate::session::effect::{Effect, Ended};
use crate::session::{Line, Name, Place, Realm};
use crate::views::{Cause, Folded, Outcome};

const DAY: i64 = 86_400;

fn day(number: i64) -> Timestamp {
    Timestamp::from_seconds(number * DAY)
}

fn keep_days(days: u64) -> Retention {
    Retention::of_all(Duration::from_secs(days * 86_400))
}

/// A session a day: of each of the first, one ends on the next day, and one that begins on the first day stays.
fn forty_days(data: &Path) -> Index {
    let mut index = Index::open(data).unwrap();
    let mut sequence = 0;
    let place = |host: i64| Place::whole(Realm::PUBLIC, format!("192.0.2.{host}/32").parse().unwrap());
    let alice = || Some(Name::from("alice"));
    for number in 1..=40 {
        let mut effects = vec![
            Effect::SessionOpened {
                session: SessionKey { incarnation: day(number), ..key(u8::try_from(number).unwrap()) },
                subscriber: alice(),
                user_name: None,
                line: Line::default(),
                inside: None,
                kept: Vec::new(),
            },
            Effect::Bound {
                session: SessionKey { incarnation: day(number), ..key(u8::try_from(number).unwrap()) },
                subscriber: alice(),
                place: place(number),
                from: day(number),
            },
        ];
        // The first lasts; the second lasts for thirty days; each other ends on the next day.
        let ending = match number {
            1..=2 => None,
            32 => Some(2),
            other => Some(other - 1).filter(|other| *other > 2),
        };
        for ending in ending.into_iter().chain((number == 32).then_some(31)) {
            let session = SessionKey { incarnation: day(ending), ..key(u8::try_from(ending).unwrap()) };
            let (at, how) = (day(number), Ended::Stopped);
            let unbound = Effect::Unbound {
                session: session.clone(),
                place: place(ending),
                until: at,
                last_seen: at,
                how,
            };
            effects.extend([unbound, Effect::SessionClosed { session, at, last_seen: at, how }]);
        }
        for effect in effects {
            sequence += 1;
            index
                .apply(sequence, &[Folded { sequence, outcome: Outcome::Effect(Cause::Applied, effect) }])
                .unwrap();
        }
        index.sync(day(number)).unwrap();
    }
    index
}

/// Everything below a directory, octet by octet.
fn holds_octets(directory: &Path, wanted: &[u8]) -> bool {
    let found = |path: &Path| fs::read(path).unwrap().windows(wanted.len()).any(|octets| octets == wanted);
    fs::read_dir(directory).unwrap().any(|file| found(&file.unwrap().path()))
}

#[test]
fn what_is_too_old_goes_and_what_somebody_may_still_be_asked_about_stays() {
    use crate::audit::rows::Confidence::{Exact, Unknown};
    let data = tempfile::tempdir().unwrap();
    let mut index = forty_days(data.path());
    assert!(
        index
            .past()
            .unwrap()
            .sessions(&SessionFilter { limit: 99, ..SessionFilter::default() })
            .unwrap()
            .len()
            == 40
    );
    let ask = |index: &Index, host, number: i64| owner(index, host, number);
    for (host, number) in [(1, 1), (1, 40), (2, 2), (2, 31), (5, 5), (39, 39)] {
        assert_eq!(ask(&index, host, number), (Exact, 1), "host {host} on day {number}");
    }
    for _ in 0..2 {
        while index.retire(day(40), &keep_days(10), &Preservations::default()).unwrap() {}
        // The first lasts, the second ended nine days ago: both are known from their beginning.
        for (host, number) in [(1, 1), (1, 40), (2, 2), (2, 31), (35, 35), (39, 39)] {
            assert_eq!(ask(&index, host, number), (Exact, 1), "host {host} on day {number}");
        }
        assert_eq!(ask(&index, 5, 5), (Unknown, 0), "what was is not known any more");
        assert_eq!(ask(&index, 2, 33), (Exact, 0));
        index = reopened(index, data.path());
    }
    let sessions =
        index.past().unwrap().sessions(&SessionFilter { limit: 99, ..SessionFilter::default() }).unwrap();
    let numbers: Vec<u8> = sessions.iter().map(|row| row.session_id.octets()[0]).collect();
    assert_eq!(numbers, [40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 2, 1]);
}

#[test]
fn no_octet_of_what_is_too_old_stays() {
    let data = tempfile::tempdir().unwrap();
    let audit = data.path().join("audit");
    let mut index = forty_days(data.path());
    let (secret, order) = (b"a-name-to-be-forgotten", b"an-order-to-be-forgotten");
    let told = |number: i64, sequence| {
        let at = day(number);
        let prefix = "198.51.100.0/24".parse().unwrap();
        let effect =
            Effect::StaticApplied { prefix, subscriber: (number == 1).then(|| Name::new(secret)), at };
        let static_changed = Folded { sequence, outcome: Outcome::Effect(Cause::Applied, effect) };
        let subject = crate::relay::standing::Subject::Subscriber(Name::new(secret));
        let by = Name::from("root");
        let order = crate::relay::standing::Order::Release;
        let command = crate::relay::standing::Command {
            at,
            by: by.clone(),
            subject,
            order,
            reason: Name::new(b"an-order-to-be-forgotten"),
        };
        let asked = Asked { at, by, what: Name::new(secret), ..asked() };
        [
            static_changed,
            Folded { sequence: sequence + 1, outcome: Outcome::Command(command) },
            Folded { sequence: sequence + 2, outcome: Outcome::Asked(Box::new(asked), Link::default()) },
        ]
    };
    let next = index.applied() + 1;
    index.apply(next + 2, &told(1, next)).unwrap();
    index.sync(day(1)).unwrap();
    index.apply(next + 3, &told(2, next + 3)[..1]).unwrap();
    index.sync(day(40)).unwrap();
    assert!(holds_octets(&audit, secret) && holds_octets(&audit, order));
    while index.retire(day(80), &keep_days(10), &Preservations::default()).unwrap() {}
    index.sync(day(80)).unwrap();
    while index.retire(day(95), &keep_days(10), &Preservations::default()).unwrap() {}
    index.sync(day(95)).unwrap();
    drop(index);
    assert!(!holds_octets(&audit, secret), "a subscriber is still there");
    assert!(!holds_octets(&audit, order), "an order is still there");
}

fn message_of(number: i64, subscriber: &str, address: &str) -> Message {
    use crate::relay::message::Owner;
    let owner = Owner {
        subscriber: Some(Name::from(subscriber)),
        session: None,
        since: day(0),
        line: Line::default(),
    };
    Message {
        queue_id: Name::from(subscriber),
        owners: vec![owner],
        address: Some(address.parse().unwrap()),
        ..Message::plain(day(number))
    }
}

#[test]
fn what_somebody_ordered_to_be_kept_stays_and_goes_when_the_order_ends() {
    use crate::access::preservation::{About, PreservationOrder};
    use crate::audit::rows::Confidence::{Exact, Unknown};
    let data = tempfile::tempdir().unwrap();
    let mut index = forty_days(data.path());
    let first = index.applied() + 1;
    let messages = [
        message_of(1, "kept", "192.0.2.77"),
        message_of(1, "gone", "192.0.2.78"),
        message_of(1, "there", "192.0.2.5"),
    ];
    let folded: Vec<Folded> = (first..)
        .zip(messages)
        .map(|(sequence, message)| Folded {
            sequence,
            outcome: Outcome::Message(Box::new(message), Vec::new()),
        })
        .collect();
    index.apply(first + 2, &folded).unwrap();
    index.sync(day(41)).unwrap();
    let mut preserved = Preservations::default();
    let host = |text: &str| About::Prefix(text.parse().unwrap());
    for about in [About::Subscriber(Name::from("kept")), host("192.0.2.5/32"), host("192.0.2.6/32")] {
        let (at, by, reason) = (day(40), Name::from("dpo"), Name::from("4 Js 17/26"));
        preserved.fold(1, &PreservationOrder { at, by, about, until: Some(day(200)), reason });
    }
    let queue_ids = |index: &Index| -> Vec<String> {
        let filter = MessageFilter { limit: 9, ..MessageFilter::default() };
        let found = index.past().unwrap().messages(&filter).unwrap();
        found.iter().map(|message| message.queue_id.to_string()).collect()
    };
    for now in [60, 100, 150] {
        index.sync(day(now)).unwrap();
        while index.retire(day(now), &keep_days(10), &preserved).unwrap() {}
        assert_eq!(queue_ids(&index), ["there", "kept"], "day {now}");
        assert_eq!([owner(&index, 5, 5), owner(&index, 6, 6)], [(Exact, 1), (Exact, 1)], "day {now}");
        assert_eq!(owner(&index, 7, 7), (Unknown, 0), "day {now}");
    }
    index.sync(day(201)).unwrap();
    while index.retire(day(220), &keep_days(10), &preserved).unwrap() {}
    index.sync(day(221)).unwrap();
    while index.retire(day(240), &keep_days(10), &preserved).unwrap() {}
    assert_eq!(queue_ids(&index), Vec::<String>::new(), "the order has ended");
    assert_eq!(owner(&index, 5, 5), (Unknown, 0));
}

/// Days on which each of these is told, and what is too old goes.
fn lived(data: &Path, effects: &[(i64, Effect)], until: i64) -> Index {
    let mut index = Index::open(data).unwrap();
    for now in 1..=until {
        for (sequence, (number, effect)) in (1..).zip(effects) {
            if *number == now {
                let outcome = Outcome::Effect(Cause::Applied, effect.clone());
                index.apply(sequence, &[Folded { sequence, outcome }]).unwrap();
            }
        }
        index.sync(day(now)).unwrap();
        while index.retire(day(now), &keep_days(10), &Preservations::default()).unwrap() {}
    }
    index
}

fn session_of(number: u8) -> SessionKey {
    SessionKey { incarnation: day(number.into()), ..key(number) }
}

fn opened(session: &SessionKey, subscriber: &str) -> Effect {
    Effect::SessionOpened {
        session: session.clone(),
        subscriber: Some(Name::from(subscriber)),
        user_name: None,
        line: Line::default(),
        inside: None,
        kept: Vec::new(),
    }
}

fn host(number: u8) -> Place {
    Place::whole(Realm::PUBLIC, format!("192.0.2.{number}/32").parse().unwrap())
}

fn bound(session: &SessionKey, subscriber: &str, place: Place, from: i64) -> Effect {
    let subscriber = Some(Name::from(subscriber));
    Effect::Bound { session: session.clone(), subscriber, place, from: day(from) }
}

fn unbound(session: &SessionKey, place: Place, until: i64, how: Ended) -> Effect {
    let until = day(until);
    Effect::Unbound { session: session.clone(), place, until, last_seen: until, how }
}

fn closed(session: &SessionKey, at: i64) -> Effect {
    let at = day(at);
    Effect::SessionClosed { session: session.clone(), at, last_seen: at, how: Ended::Stopped }
}

#[test]
fn what_a_session_gave_up_while_it_lasted_stays_given_up_when_its_beginning_moves() {
    use crate::audit::rows::Confidence::Exact;
    let data = tempfile::tempdir().unwrap();
    let (alice, bob) = (session_of(1), session_of(8));
    let told = [
        (1, opened(&alice, "alice")),
        (1, bound(&alice, "alice", host(1), 1)),
        (3, unbound(&alice, host(1), 3, Ended::Moved)),
        (5, bound(&alice, "alice", host(2), 5)),
        (8, opened(&bob, "bob")),
        (8, bound(&bob, "bob", host(1), 8)),
        (9, unbound(&bob, host(1), 9, Ended::Stopped)),
        (9, closed(&bob, 9)),
    ];
    let index = lived(data.path(), &told, 25);
    assert_eq!([owner(&index, 1, 2), owner(&index, 2, 6), owner(&index, 2, 40)], [(Exact, 1); 3]);
    let past = index.past().unwrap();
    for number in [4, 6, 40] {
        let found =
            past.owner(Realm::PUBLIC, [192, 0, 2, 1].into(), None, day(number), &|_, _| None).unwrap();
        assert_eq!(found.candidates, [], "alice had given it up by day {number}");
    }
}

#[test]
fn a_session_that_came_back_after_its_end_stays_and_one_of_which_more_was_learned_goes() {
    use crate::audit::rows::Confidence::{Exact, Unknown};
    let data = tempfile::tempdir().unwrap();
    let (back, gone) = (session_of(1), session_of(2));
    let past = Effect::PastHeld {
        session: gone.clone(),
        subscriber: Some(Name::from("bob")),
        place: host(3),
        from: day(2),
        until: day(3),
        ended: true,
        inferred: false,
    };
    let told = [
        (1, opened(&back, "alice")),
        (1, bound(&back, "alice", host(1), 1)),
        (2, unbound(&back, host(1), 2, Ended::Stopped)),
        (2, closed(&back, 2)),
        (2, opened(&gone, "bob")),
        (2, bound(&gone, "bob", host(2), 2)),
        (3, unbound(&gone, host(2), 3, Ended::Stopped)),
        (3, closed(&gone, 3)),
        (4, opened(&back, "alice")),
        (4, bound(&back, "alice", host(1), 4)),
        (5, past),
        (40, bound(&session_of(40), "carol", host(40), 40)),
    ];
    let index = lived(data.path(), &told, 40);
    assert_eq!([owner(&index, 1, 4), owner(&index, 1, 40)], [(Exact, 1); 2]);
    assert_eq!([owner(&index, 2, 2), owner(&index, 3, 2)], [(Unknown, 0); 2]);
    drop(index);
    assert!(!holds_octets(&data.path().join("audit"), b"bob"));
}

/// A message of day 1 and one of day 30, whose sender's past must be kept.
fn of_somebody_preserved() -> (tempfile::TempDir, Index, Preservations) {
    use crate::access::preservation::{About, PreservationOrder};
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    for (sequence, number) in [(1, 1), (2, 30)] {
        let message = message_of(number, "kept", "192.0.2.77");
        let folded = Folded { sequence, outcome: Outcome::Message(Box::new(message), Vec::new()) };
        index.apply(sequence, &[folded]).unwrap();
        index.sync(day(number)).unwrap();
    }
    let mut preserved = Preservations::default();
    let (at, by, reason) = (day(2), Name::from("dpo"), Name::from("4 Js 17/26"));
    let about = About::Subscriber(Name::from("kept"));
    preserved.fold(1, &PreservationOrder { at, by, about, until: Some(day(200)), reason });
    (data, index, preserved)
}

/// How many messages of theirs are listed, and how many are counted in each minute.
fn listed_and_counted(index: &Index) -> (usize, Vec<u64>) {
    use crate::relay::standing::Subject;
    let filter = MessageFilter { limit: 9, ..MessageFilter::default() };
    let past = index.past().unwrap();
    let minutes = past.minutes(&Subject::Subscriber(Name::from("kept")), day(0), day(40)).unwrap();
    let counts = minutes.iter().map(|(_, sum)| sum.messages).collect();
    (past.messages(&filter).unwrap().len(), counts)
}

#[test]
fn what_moved_before_a_crash_and_moves_again_is_there_once() {
    let (data, mut index, preserved) = of_somebody_preserved();
    let file = data.path().join("audit/messages-000001.sqlite3");
    let before = fs::read(&file).unwrap();
    // The last time the day is over, and what it moved to is closed first.
    for number in [31, 31, 32] {
        while index.retire(day(number), &keep_days(10), &preserved).unwrap() {}
        index.sync(day(number)).unwrap();
        assert!(!file.exists(), "it has moved");
        assert_eq!(listed_and_counted(&index), (2, vec![1, 1]));
        drop(index);
        // It died before the file was removed.
        fs::write(&file, &before).unwrap();
        index = Index::open(data.path()).unwrap();
    }
}

#[test]
fn what_moves_again_as_the_disk_refused_is_there_once_and_what_was_closed_meanwhile_is_found() {
    let (data, mut index, preserved) = of_somebody_preserved();
    // The day is over, so that the partition is closed, and the next can't be begun.
    let file = data.path().join("audit/messages-000001.sqlite3");
    let obstacle = data.path().join("audit/messages-000003.new");
    fs::create_dir(&obstacle).unwrap();
    fs::write(obstacle.join("file"), "in the way").unwrap();
    for _ in 0..3 {
        assert!(matches!(index.retire(day(31), &keep_days(10), &preserved), Err(AuditError::Storage { .. })));
        assert_eq!(listed_and_counted(&index), (2, vec![1, 1]));
        assert!(file.exists(), "what is kept of it is written nowhere else");
    }
    fs::remove_dir_all(&obstacle).unwrap();
    while index.retire(day(31), &keep_days(10), &preserved).unwrap() {}
    assert!(!file.exists(), "it has moved");
    assert_eq!(listed_and_counted(&index), (2, vec![1, 1]));
    let reports = crate::audit::verify::files(data.path(), true, &mut |_, _| ()).unwrap();
    let wrong: Vec<_> = reports.iter().filter(|report| report.wrong.is_some()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn what_was_closed_while_somebody_read_it_goes_in_its_time() {
    let data = tempfile::tempdir().unwrap();
    let message = |sequence, number| {
        let message = message_of(number, "alice", "192.0.2.77");
        [Folded { sequence, outcome: Outcome::Message(Box::new(message), Vec::new()) }]
    };
    let mut index = Index::open(data.path()).unwrap();
    index.apply(1, &message(1, 1)).unwrap();
    index.sync(day(1)).unwrap();
    drop(index);
    let file = data.path().join("audit/messages-000001.sqlite3");
    let open = || rusqlite::Connection::open(&file).unwrap();
    // A backup began to read, the partition was closed, and we died before the file itself said so.
    let backup = open();
    backup.execute_batch("BEGIN; SELECT * FROM partition;").unwrap();
    open().execute("UPDATE partition SET closed = written", ()).unwrap();
    let mut index = Index::open(data.path()).unwrap();
    drop(backup);
    index.apply(2, &message(2, 2)).unwrap();
    index.sync(day(2)).unwrap();
    drop(index);
    let mut index = Index::open(data.path()).unwrap();
    while index.retire(day(20), &keep_days(10), &Preservations::default()).unwrap() {}
    assert!(!file.exists(), "it says that it is closed, to whoever looks at the file alone");
}

#[test]
fn a_partition_to_which_something_had_moved_is_lost_though_the_log_has_all_that_came_later() {
    use crate::access::preservation::{About, PreservationOrder};
    use crate::audit::rows::Listed;
    for (kept, is_gone) in [(false, false), (true, false), (true, true)] {
        let data = tempfile::tempdir().unwrap();
        let mut preserved = Preservations::default();
        let (at, by, reason) = (day(2), Name::from("dpo"), Name::from("4 Js 17/26"));
        let about = About::Subscriber(Name::from("kept"));
        if kept {
            preserved.fold(1, &PreservationOrder { at, by, about, until: Some(day(200)), reason });
        }
        let tell = |index: &mut Index, sequence, number| {
            let message = Box::new(message_of(number, "kept", "192.0.2.77"));
            let folded = Folded { sequence, outcome: Outcome::Message(message, Vec::new()) };
            index.apply(sequence, &[folded]).unwrap();
            index.sync(day(number)).unwrap();
        };
        let mut index = Index::open(data.path()).unwrap();
        for (sequence, number) in [(1, 1), (2, 9), (3, 15)] {
            tell(&mut index, sequence, number);
            while index.retire(day(number), &keep_days(10), &preserved).unwrap() {}
        }
        drop(index);
        let last = data.path().join("audit/messages-000003.sqlite3");
        if is_gone {
            fs::remove_file(&last).unwrap();
        } else {
            fs::write(&last, SPOILED).unwrap();
        }
        // Again and again: it has not been, and it was, filled from the log.
        for _ in 0..3 {
            let mut index = Index::open(data.path()).unwrap();
            tell(&mut index, 3, 15);
            let past = index.past().unwrap();
            let filter = MessageFilter { limit: 9, ..MessageFilter::default() };
            assert_eq!(past.messages(&filter).unwrap().len(), 2, "what came later is there");
            assert_eq!(past.lost(Listed::Messages, None, None).is_some(), kept, "{kept} {is_gone}");
        }
        let mut index = Index::open(data.path()).unwrap();
        for number in [40, 60] {
            index.sync(day(number)).unwrap();
            while index.retire(day(number), &keep_days(10), &Preservations::default()).unwrap() {}
        }
        assert_eq!(index.past().unwrap().lost(Listed::Messages, None, None), None, "it would have gone");
        let left = fs::read_dir(data.path().join("audit")).unwrap().flatten();
        let left: Vec<_> = left.filter(|file| file.file_name().to_string_lossy().contains("moved")).collect();
        assert!(
            is_gone
                || !kept
                || left.iter().all(|file| file.file_name().to_string_lossy().contains("damaged"))
        );
    }
}

#[test]
fn files_that_were_set_aside_go_when_their_time_is_over_and_are_not_missed_then() {
    use crate::audit::rows::Confidence::{Exact, Unknown};
    let data = tempfile::tempdir().unwrap();
    let audit = data.path().join("audit");
    three_days(data.path());
    fs::write(audit.join("sessions-000001.sqlite3"), SPOILED).unwrap();
    let mut index = Index::open(data.path()).unwrap();
    let others = ["index.sqlite3", "index.sqlite3-wal", "register.sqlite3.damaged", "sessions-000009.new"];
    for other in others {
        fs::write(audit.join(other), SPOILED).unwrap();
    }
    let all = others.iter().copied().chain(["sessions-000001.sqlite3.damaged"]);
    let all: Vec<_> = all.map(|name| audit.join(name)).collect();
    for file in &all {
        let file = fs::OpenOptions::new().write(true).open(file).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(86_400)).unwrap();
    }
    assert_eq!(owner(&index, 9, 3), (Unknown, 0), "somebody may have been lost");
    while index.retire(day(11), &keep_days(10), &Preservations::default()).unwrap() {}
    assert!(all.iter().all(|file| file.exists()), "not a moment too early");
    while index
        .retire(day(11).plus(Duration::from_millis(1)), &keep_days(10), &Preservations::default())
        .unwrap()
    {}
    assert!(all.iter().all(|file| !file.exists()));
    assert_eq!(owner(&index, 9, 3), (Exact, 0), "what was lost would not be known any more either");
    assert_eq!(owner(&reopened(index, data.path()), 9, 3), (Exact, 0));
}
