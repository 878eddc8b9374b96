//! The index written once, twice, late and after a crash.

use proptest::prelude::*;
use rusqlite::types::Value;

use ipnet::IpNet;

use super::*;
use crate::access::Via;
use crate::access::question::{Asked, Link, Reply};
use crate::audit::rows::{Listed, MessageFilter, SessionFilter, StoryFilter};
use crate::audit::schema::VERSION;
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
        let filter =
            StoryFilter { realm, address, port: None, since: None, until: None, through: None, limit: 1000 };
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

pub(in crate::audit) fn key(number: u8) -> SessionKey {
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
pub(in crate::audit) fn reopened(index: Index, data: &Path) -> Index {
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

pub(in crate::audit) fn asked() -> Asked {
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

pub(in crate::audit) const SPOILED: &[u8] = b"this was a database, once; it is long enough to be looked at";

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
pub(in crate::audit) fn three_days(data: &Path) {
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

pub(in crate::audit) fn owner(index: &Index, host: u8, day: i64) -> (crate::audit::rows::Confidence, usize) {
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
            let past = index.past().unwrap();
            let day = |number: i64| Timestamp::from_seconds(number * 86_400);
            let lost = |since, until| past.lost(Listed::Sessions, since, until);
            assert_eq!(lost(None, None), Some(day(1)), "it has nothing from before the one before it");
            assert_eq!(
                [lost(None, Some(day(1))), lost(Some(day(3).plus(Duration::from_millis(1))), None)],
                [None; 2]
            );
            assert_eq!(past.lost(Listed::Messages, None, None), None);
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

#[test]
fn what_goes_for_its_age_leaves_behind_how_far_the_log_was_taken() {
    const DAY: Duration = Duration::from_secs(86_400);
    let kept = Retention { sessions: DAY * 10, messages: DAY * 10, questions: DAY * 10 };
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    let ask = |index: &mut Index, sequence| {
        let outcome = Outcome::Asked(Box::new(asked()), Link::default());
        index.apply(sequence, &[Folded { sequence, outcome }]).unwrap();
    };
    let file = |number| data.path().join(format!("audit/questions-{number:06}.sqlite3"));
    ask(&mut index, 7);
    index.sync(at(1)).unwrap();
    let next_day = at(1).plus(DAY);
    ask(&mut index, 8);
    index.sync(next_day).unwrap();
    drop(index);
    // The first was closed, and the crash came before another was begun.
    fs::remove_file(file(2)).unwrap();
    let mut index = Index::open(data.path()).unwrap();
    assert_eq!(index.applied(), 7);
    ask(&mut index, 8);
    ask(&mut index, 9);
    index.retire(next_day.plus(DAY * 20), &kept, &Preservations::default()).unwrap();
    assert!(!file(1).exists());
    assert_eq!(reopened(index, data.path()).applied(), 9, "or the first one would come back with the second");
}
