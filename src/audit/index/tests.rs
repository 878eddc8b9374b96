//! The index written once, twice, late and after a crash.

use proptest::prelude::*;
use rusqlite::types::Value;

use ipnet::IpNet;

use super::*;
use crate::access::Via;
use crate::access::question::{Asked, Link, Reply};
use crate::audit::rows::{MessageFilter, SessionFilter, StoryFilter};
use crate::audit::schema::VERSION;
use crate::config::Retention;
use crate::relay::message::Message;
use crate::session::effect::{Ended, Remark};
use crate::session::event::Translation;
use crate::session::{Line, Name, Place, Ports, Realm, SessionKey};
use crate::views::Cause;
use rusqlite::Connection;

/// Tables of the register whose rows are all that can be asked of it.
const REGISTER: [&str; 10] = [
    "translation",
    "realm",
    "story",
    "restart",
    "static_binding",
    "length_in_use",
    "gap",
    "conflict",
    "claimant",
    "command",
];

/// Everything that can be asked, answered.
fn dump(index: &Index) -> Vec<String> {
    let mut rows = Vec::new();
    let connection = Connection::open(register::file_in(&index.directory)).unwrap();
    for table in REGISTER {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
        let columns = statement.column_count();
        let table = statement.query_map((), |row| (0..columns).map(|column| row.get(column)).collect());
        let table = table.unwrap().map(|row: rusqlite::Result<Vec<Value>>| row.unwrap());
        rows.extend(table.map(|row| format!("{row:?}")));
    }
    let past = index.past().unwrap();
    let all = SessionFilter { limit: 1000, ..SessionFilter::default() };
    rows.extend(past.sessions(&all).unwrap().iter().map(|row| format!("{row:?}")));
    let mut messages = past.messages(&MessageFilter { limit: 1000, ..MessageFilter::default() }).unwrap();
    rows.extend(messages.drain(..).map(|row| format!("{row:?}")));
    for (realm, address) in [(0, "192.0.2.1"), (1, "192.0.2.1"), (0, "2001:db8::1"), (0, "203.0.113.77")] {
        let (realm, address) = (Realm::of_number(realm), address.parse().unwrap());
        let filter = StoryFilter { realm, address, port: None, since: None, until: None, limit: 1000 };
        rows.extend(past.story(&filter).unwrap().iter().map(|row| format!("{row:?}")));
        for moment in 0..12 {
            for port in [None, Some(1500)] {
                let owner = past.owner(realm, address, port, at(moment), &|_, _| None).unwrap();
                rows.push(format!("{owner:?}"));
            }
        }
    }
    rows
}

fn at(moment: i64) -> Timestamp {
    Timestamp::from_millis(moment)
}

fn key(number: u8) -> SessionKey {
    SessionKey { nas: Name::from("bras1"), id: Name::new(&[number]), incarnation: at(0) }
}

fn translation() -> impl Strategy<Value = Translation> {
    let inside = prop::sample::select(vec!["100.64.0.0/22", "100.64.4.0/22"]);
    let realm = prop::option::of(Just(Name::from("blue")));
    (inside, realm).prop_map(|(inside, realm)| Translation {
        realm,
        inside: inside.parse().unwrap(),
        outside: "203.0.113.0/28".parse().unwrap(),
        first_port: 1024,
        block: 1008,
    })
}

fn effect() -> impl Strategy<Value = Effect> {
    let moment = || (0_i64..12).prop_map(at);
    let session = || (0_u8..3).prop_map(key);
    let subscriber = || prop::option::of(prop_oneof![Just(Name::from("alice")), Just(Name::from("bob"))]);
    let prefix = || {
        let texts = ["192.0.2.1/32", "192.0.2.0/28", "2001:db8::/56"];
        prop::sample::select(texts.to_vec()).prop_map(|text| text.parse::<IpNet>().unwrap())
    };
    let how = || {
        let all = [Ended::Stopped, Ended::Moved, Ended::Superseded, Ended::Expired];
        prop::sample::select(all.to_vec())
    };
    let block = || {
        let host = "203.0.113.77/32".parse().unwrap();
        let blocks = [(1024, 2047), (2048, 3071), (1024, 4095)];
        prop::sample::select(blocks.to_vec())
            .prop_map(move |(first, last)| Place::new(Realm::PUBLIC, host, Ports::new(first, last).unwrap()))
    };
    let place = || {
        let realm = (0_u16..2).prop_map(Realm::of_number);
        prop_oneof![
            2 => (prefix(), realm).prop_map(|(prefix, realm)| Place { realm, prefix, ports: Ports::ALL }),
            1 => block(),
        ]
    };
    prop_oneof![
        1 => (session(), subscriber(), prop::collection::vec(Just((Name::from("Class"), Name::from("x"))), 0..2))
            .prop_map(|(session, subscriber, kept)| Effect::SessionOpened {
                session,
                subscriber,
                user_name: None,
                line: Line::default(),
                inside: (!kept.is_empty()).then(|| (Realm::of_number(1), "100.64.0.7".parse().unwrap())),
                kept,
            }),
        1 => (session(), subscriber(), moment())
            .prop_map(|(session, subscriber, at)| Effect::SubscriberChanged { session, subscriber, at }),
        1 => (session(), moment(), moment(), how()).prop_map(|(session, at, last_seen, how)| {
            Effect::SessionClosed { session, at, last_seen, how }
        }),
        4 => (session(), subscriber(), place(), moment()).prop_map(|(session, subscriber, place, from)| {
            Effect::Bound { session, subscriber, place, from }
        }),
        4 => (session(), place(), moment(), moment(), how()).prop_map(
            |(session, place, until, last_seen, how)| {
                Effect::Unbound { session, place, until, last_seen, how }
            }
        ),
        2 => (session(), subscriber(), place(), moment(), moment(), any::<bool>()).prop_map(
            |(session, subscriber, place, one, other, ended)| Effect::PastHeld {
                session,
                subscriber,
                place,
                from: one.min(other),
                until: one.max(other),
                ended,
                inferred: false,
            }
        ),
        1 => (place(), prop::collection::vec(session(), 0..3), moment())
            .prop_map(|(place, sessions, at)| Effect::Conflict { place, sessions, at }),
        1 => (prefix(), subscriber(), moment())
            .prop_map(|(prefix, subscriber, at)| Effect::StaticApplied { prefix, subscriber, at }),
        1 => (prop::collection::vec(translation(), 0..3), moment())
            .prop_map(|(translations, at)| Effect::TranslationsApplied { translations, at }),
        1 => Just(Effect::RealmNamed { realm: Realm::of_number(1), name: Name::from("blue") }),
        1 => moment().prop_map(|at| Effect::Restarted { nas: Name::from("bras1"), at }),
        1 => (session(), place(), moment())
            .prop_map(|(session, place, at)| Effect::Noted { session, place, at, why: Remark::Outdone }),
        1 => (prop::option::of(moment()), moment()).prop_map(|(since, until)| Effect::Gap { since, until }),
    ]
}

/// Outcomes as they come: each either of a further entry or of a deadline after the entry before. No entry has the
/// same outcome twice.
fn folded() -> impl Strategy<Value = Vec<Folded>> {
    prop::collection::vec((effect(), any::<bool>()), 1..40).prop_map(|effects| {
        let mut sequence = 1;
        let number = |(effect, further): (Effect, bool)| {
            sequence += u64::from(further);
            Folded { sequence, outcome: Outcome::Effect(Cause::Applied, effect) }
        };
        let mut items: Vec<Folded> = effects.into_iter().map(number).collect();
        let mut seen = std::collections::HashSet::new();
        items.retain(|item| seen.insert(format!("{item:?}")));
        items
    })
}

/// Ends the process, or what is left of it: what was not written is gone.
fn reopened(index: Index, data: &Path) -> Index {
    drop(index);
    Index::open(data).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_again_after_a_crash_changes_nothing(
        items in folded(),
        cut in 0_usize..40,
        written in 0_usize..40,
        from in 0_usize..40,
    ) {
        let data = tempfile::tempdir().unwrap();
        let cut = cut.min(items.len());
        let (before, after) = items.split_at(cut);
        let (to_disk, to_memory) = before.split_at(written.min(before.len()));
        let mut index = Index::open(data.path()).unwrap();
        for (items, is_written) in [(to_disk, true), (to_memory, false)] {
            if let Some(last) = items.last() {
                index.apply(last.sequence, items).unwrap();
            }
            if is_written {
                index.sync(at(0)).unwrap();
            }
        }
        let once = dump(&index);
        // The process dies; an older snapshot is folded from again, whose first entry may be any before what is lost.
        let mut index = reopened(index, data.path());
        let start = before.get(from.min(to_disk.len().saturating_sub(1))).map_or(0, |item| item.sequence);
        let again: Vec<_> = before.iter().filter(|item| item.sequence >= start).cloned().collect();
        let through = before.last().map_or(0, |last| last.sequence);
        index.apply(through, &again).unwrap();
        prop_assert_eq!(dump(&index), once);
        if let Some(last) = after.last() {
            index.apply(last.sequence, after).unwrap();
            // What follows is as if nothing had happened, even if it comes with all that went before.
            let whole = tempfile::tempdir().unwrap();
            let mut uninterrupted = Index::open(whole.path()).unwrap();
            if let Some(last) = before.last() {
                uninterrupted.apply(last.sequence, before).unwrap();
            }
            uninterrupted.apply(last.sequence, after).unwrap();
            prop_assert_eq!(dump(&index), dump(&uninterrupted));
            index.sync(at(1)).unwrap();
            index.apply(last.sequence, &items).unwrap();
            prop_assert_eq!(dump(&index), dump(&uninterrupted));
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_what_is_written_already(items in folded(), each in 1_usize..7) {
        let (gathered, written) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut gathering = Index::open(gathered.path()).unwrap();
        let mut writing = Index::open(written.path()).unwrap();
        for (day, items) in items.chunks(each).enumerate() {
            let through = items.last().map_or(0, |last| last.sequence);
            gathering.apply(through, items).unwrap();
            writing.apply(through, items).unwrap();
            // A partition a day.
            writing.sync(Timestamp::from_seconds(i64::try_from(day).unwrap() * 86_400)).unwrap();
            if day % 3 == 2 {
                writing = reopened(writing, written.path());
            }
        }
        prop_assert_eq!(dump(&gathering), dump(&writing));
    }
}

#[test]
fn a_deadline_after_the_last_applied_entry_is_not_taken_for_a_repetition() {
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    let place = Place::whole(Realm::PUBLIC, "192.0.2.1/32".parse().unwrap());
    let folded = |effect| [Folded { sequence: 4, outcome: Outcome::Effect(Cause::Applied, effect) }];
    let bound = Effect::Bound { session: key(1), subscriber: None, place, from: at(3) };
    index.apply(4, &folded(bound)).unwrap();
    let (until, last_seen) = (at(9), at(5));
    let expired = Effect::Unbound { session: key(1), place, until, last_seen, how: Ended::Expired };
    index.apply(4, &folded(expired)).unwrap();
    let filter = SessionFilter { limit: 9, ..SessionFilter::default() };
    let sessions = index.past().unwrap().sessions(&filter).unwrap();
    assert_eq!(sessions[0].bindings[0].valid_until, Some(at(9)));
}

#[test]
fn what_is_held_already_is_not_bound_again() {
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    let place = Place::whole(Realm::PUBLIC, "192.0.2.1/32".parse().unwrap());
    let bound = |sequence, from| {
        let effect = Effect::Bound { session: key(1), subscriber: None, place, from: at(from) };
        Folded { sequence, outcome: Outcome::Effect(Cause::Applied, effect) }
    };
    index.apply(2, &[bound(1, 3), bound(2, 5)]).unwrap();
    let filter = SessionFilter { limit: 9, ..SessionFilter::default() };
    let sessions = index.past().unwrap().sessions(&filter).unwrap();
    let begins: Vec<_> = sessions[0].bindings.iter().map(|binding| binding.valid_from).collect();
    assert_eq!(begins, [at(3)]);
}

fn asked() -> Asked {
    Asked {
        at: at(1),
        by: Name::from("root"),
        role: None,
        via: Via::Socket,
        what: Name::from("/v1/owner"),
        about: Vec::new(),
        purpose: None,
        reply: Reply::Rows(1),
    }
}

#[test]
fn applied_is_kept_with_what_was_applied() {
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    assert_eq!(index.applied(), 0);
    let asked = asked();
    let outcome = Outcome::Asked(Box::new(asked), Link::default());
    index.apply(9, &[Folded { sequence: 7, outcome }]).unwrap();
    index.apply(3, &[]).unwrap();
    index.sync(at(1)).unwrap();
    let index = reopened(index, data.path());
    assert_eq!(index.applied(), 9, "it never goes back");
    let file = index.directory.join("questions-000001.sqlite3");
    let connection = Connection::open(file).unwrap();
    let questions: i64 = connection.query_row("SELECT count(*) FROM question", (), |row| row.get(0)).unwrap();
    assert_eq!(questions, 1);
}

const SPOILED: &[u8] = b"this was a database, once; it is long enough to be looked at";

#[test]
fn a_damaged_register_is_set_aside_and_everything_is_wanted_from_the_log_again() {
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    index.apply(5, &[]).unwrap();
    index.sync(at(1)).unwrap();
    drop(index);
    let file = register::file_in(&data.path().join("audit"));
    fs::write(&file, SPOILED).unwrap();
    assert_eq!(Index::open(data.path()).unwrap().applied(), 0);
    assert!(file.with_extension("sqlite3.damaged").exists());
}

/// A partition a day, each with a session of its own that lasts.
fn three_days(data: &Path) {
    let mut index = Index::open(data).unwrap();
    for day in 1..=3_u8 {
        let at = Timestamp::from_seconds(i64::from(day) * 86_400);
        let place = Place::whole(Realm::PUBLIC, format!("192.0.2.{day}/32").parse().unwrap());
        let bound =
            Effect::Bound { session: key(day), subscriber: Some(Name::from("alice")), place, from: at };
        let outcome = Outcome::Effect(Cause::Applied, bound);
        index.apply(day.into(), &[Folded { sequence: day.into(), outcome }]).unwrap();
        index.sync(at).unwrap();
    }
}

fn owner(index: &Index, host: u8, day: i64) -> (crate::audit::rows::Confidence, usize) {
    let (address, at) = ([192, 0, 2, host].into(), Timestamp::from_seconds(day * 86_400 + 1));
    let owner = index.past().unwrap().owner(Realm::PUBLIC, address, None, at, &|_, _| Some(at)).unwrap();
    (owner.confidence, owner.candidates.len())
}

#[test]
fn a_partition_that_is_damaged_or_gone_is_told_by_each_answer_that_would_have_needed_it() {
    use crate::audit::rows::Confidence::{Exact, Unknown};
    for is_gone in [false, true] {
        let data = tempfile::tempdir().unwrap();
        three_days(data.path());
        let file = data.path().join("audit/sessions-000002.sqlite3");
        let index = Index::open(data.path()).unwrap();
        assert_eq!([owner(&index, 2, 2), owner(&index, 9, 3)], [(Exact, 1), (Exact, 0)]);
        drop(index);
        if is_gone {
            fs::remove_file(&file).unwrap();
        } else {
            fs::write(&file, SPOILED).unwrap();
        }
        for _ in 0..2 {
            let index = Index::open(data.path()).unwrap();
            assert_eq!(index.applied(), 3, "what came after it is whole");
            assert_eq!(owner(&index, 1, 1), (Exact, 1));
            assert_eq!(owner(&index, 3, 3), (Exact, 1), "somebody is known");
            assert_eq!(owner(&index, 2, 2), (Unknown, 0));
            assert_eq!(owner(&index, 9, 3), (Unknown, 0), "nobody is known, and somebody may have been lost");
        }
    }
}

#[test]
fn what_the_last_partition_had_is_wanted_from_the_log_again_and_takes_its_place() {
    use crate::audit::rows::Confidence::Exact;
    let data = tempfile::tempdir().unwrap();
    three_days(data.path());
    fs::write(data.path().join("audit/sessions-000003.sqlite3"), SPOILED).unwrap();
    let index = Index::open(data.path()).unwrap();
    assert_eq!(index.applied(), 2);
    drop(index);
    three_days(data.path());
    let index = Index::open(data.path()).unwrap();
    assert_eq!(
        [owner(&index, 3, 3), owner(&index, 9, 3)],
        [(Exact, 1), (Exact, 0)],
        "nothing is lost any more"
    );
}

#[test]
fn a_later_version_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    drop(Index::open(data.path()).unwrap());
    let connection = Connection::open(register::file_in(&data.path().join("audit"))).unwrap();
    connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(connection);
    let later = u32::try_from(VERSION + 1).unwrap();
    assert!(matches!(Index::open(data.path()), Err(AuditError::TooNew { version, .. }) if version == later));
}

#[test]
fn a_file_that_was_condemned_is_made_again() {
    let data = tempfile::tempdir().unwrap();
    three_days(data.path());
    let index = Index::open(data.path()).unwrap();
    index.condemn(&data.path().join("audit/sessions-000003.sqlite3")).unwrap();
    drop(index);
    assert_eq!(Index::open(data.path()).unwrap().applied(), 2);
}

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
    use crate::relay::Profile;
    use crate::relay::message::Owner;
    use crate::relay::verdict::Reason;
    Message {
        at: day(number),
        mta: Name::from("mx1"),
        profile: Profile::Relay,
        queue_id: Name::from(subscriber),
        instance: Name::from("i"),
        owners: vec![Owner {
            subscriber: Some(Name::from(subscriber)),
            session: None,
            since: day(0),
            line: Line::default(),
        }],
        address: Some(address.parse().unwrap()),
        port: None,
        login: None,
        helo: Name::from("h"),
        sender: Name::from("s"),
        recipient_count: 1,
        recipient_domains: Vec::new(),
        recipient_hashes: Vec::new(),
        size: 1,
        token: None,
        reason: Reason::Online,
        observed: false,
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
        .map(|(sequence, message)| Folded { sequence, outcome: Outcome::Message(Box::new(message)) })
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

#[test]
fn what_moved_before_a_crash_and_moves_again_is_there_once() {
    use crate::access::preservation::{About, PreservationOrder};
    use crate::relay::standing::Subject;
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    for (sequence, number) in [(1, 1), (2, 30)] {
        let message = message_of(number, "kept", "192.0.2.77");
        let folded = Folded { sequence, outcome: Outcome::Message(Box::new(message)) };
        index.apply(sequence, &[folded]).unwrap();
        index.sync(day(number)).unwrap();
    }
    let mut preserved = Preservations::default();
    let (at, by, reason) = (day(2), Name::from("dpo"), Name::from("4 Js 17/26"));
    let about = About::Subscriber(Name::from("kept"));
    preserved.fold(1, &PreservationOrder { at, by, about, until: Some(day(200)), reason });
    let file = data.path().join("audit/messages-000001.sqlite3");
    let before = fs::read(&file).unwrap();
    for _ in 0..2 {
        while index.retire(day(31), &keep_days(10), &preserved).unwrap() {}
        index.sync(day(31)).unwrap();
        assert!(!file.exists(), "it has moved");
        let past = index.past().unwrap();
        let filter = MessageFilter { limit: 9, ..MessageFilter::default() };
        assert_eq!(past.messages(&filter).unwrap().len(), 2);
        let minutes = past.minutes(&Subject::Subscriber(Name::from("kept")), day(0), day(40)).unwrap();
        let counts: Vec<u64> = minutes.iter().map(|(_, sum)| sum.messages).collect();
        assert_eq!(counts, [1, 1]);
        drop(index);
        // It died before the file was removed.
        fs::write(&file, &before).unwrap();
        index = Index::open(data.path()).unwrap();
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
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(86_400)).unwrap();
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
