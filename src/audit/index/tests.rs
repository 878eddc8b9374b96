//! The index written once, twice, late and after a crash.

use proptest::prelude::*;
use rusqlite::types::Value;

use ipnet::IpNet;

use super::*;
use crate::access::Via;
use crate::access::question::{Asked, Link, Reply};
use crate::audit::schema::VERSION;
use crate::session::effect::Remark;
use crate::session::event::Translation;
use crate::session::{Line, Name, Place, Ports, Realm, SessionKey};
use crate::views::Cause;

const TABLES: [&str; 19] = [
    "written",
    "state",
    "session",
    "named",
    "binding",
    "block",
    "translation",
    "realm",
    "story",
    "restart",
    "static_binding",
    "length_in_use",
    "gap",
    "conflict",
    "claimant",
    "message",
    "message_owner",
    "command",
    "question",
];

fn dump(index: &Index) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for table in TABLES {
        let mut statement = index.connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let columns = statement.column_count();
        let table = statement.query_map((), |row| (0..columns).map(|column| row.get(column)).collect());
        rows.extend(table.unwrap().map(|row: rusqlite::Result<Vec<Value>>| row.unwrap()));
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
        items.retain(|item| seen.insert(digest(item)));
        items
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_again_after_a_crash_changes_nothing(items in folded(), cut in 0_usize..40, from in 0_usize..40) {
        let data = tempfile::tempdir().unwrap();
        let cut = cut.min(items.len());
        let (before, after) = items.split_at(cut);
        let mut index = Index::open(data.path()).unwrap();
        if let Some(last) = before.last() {
            index.apply(last.sequence, before).unwrap();
        }
        let once = dump(&index);
        // The process dies; an older snapshot is folded from again, whose first entry may be any before.
        drop(index);
        let mut index = Index::open(data.path()).unwrap();
        let start = before.get(from.min(cut.saturating_sub(1))).map_or(0, |item| item.sequence);
        let again: Vec<_> = before.iter().filter(|item| item.sequence >= start).cloned().collect();
        index.apply(index.applied(), &again).unwrap();
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
            index.apply(last.sequence, &items).unwrap();
            prop_assert_eq!(dump(&index), dump(&uninterrupted));
        }
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
    let ended: i64 =
        index.connection.query_row("SELECT valid_until FROM binding", (), |row| row.get(0)).unwrap();
    assert_eq!(ended, 9);
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
    let mut statement = index.connection.prepare("SELECT valid_from FROM binding").unwrap();
    let begins: Vec<i64> = statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(begins, [3]);
}

#[test]
fn applied_is_kept_with_what_was_applied() {
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    assert_eq!(index.applied(), 0);
    let asked = Asked {
        at: at(1),
        by: Name::from("root"),
        role: None,
        via: Via::Socket,
        what: Name::from("/v1/owner"),
        about: Vec::new(),
        purpose: None,
        reply: Reply::Rows(1),
    };
    let outcome = Outcome::Asked(Box::new(asked), Link::default());
    index.apply(9, &[Folded { sequence: 7, outcome }]).unwrap();
    index.apply(3, &[]).unwrap();
    drop(index);
    let index = Index::open(data.path()).unwrap();
    assert_eq!(index.applied(), 9, "it never goes back");
    let questions: i64 =
        index.connection.query_row("SELECT count(*) FROM question", (), |row| row.get(0)).unwrap();
    assert_eq!(questions, 1);
}

#[test]
fn a_damaged_index_says_so_and_can_be_begun_anew() {
    let data = tempfile::tempdir().unwrap();
    let mut index = Index::open(data.path()).unwrap();
    index.apply(5, &[]).unwrap();
    drop(index);
    fs::write(file_in(data.path()), b"this was a database, once; it is long enough to be looked at").unwrap();
    let error = Index::open(data.path()).err().unwrap();
    assert!(matches!(error, AuditError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("begin it anew"));
    assert_eq!(Index::begin_anew(data.path()).unwrap().applied(), 0);
}

#[test]
fn a_later_version_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    drop(Index::open(data.path()).unwrap());
    let connection = Connection::open(file_in(data.path())).unwrap();
    connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(connection);
    let later = u32::try_from(VERSION + 1).unwrap();
    assert!(matches!(Index::open(data.path()), Err(AuditError::TooNew { version, .. }) if version == later));
}

#[test]
fn an_index_that_was_condemned_is_not_opened_again_and_begun_anew() {
    let data = tempfile::tempdir().unwrap();
    let index = Index::open(data.path()).unwrap();
    index.condemn().unwrap();
    drop(index);
    assert!(matches!(Index::open(data.path()), Err(AuditError::Damaged { .. })));
    drop(Index::begin_anew(data.path()).unwrap());
    assert_eq!(Index::open(data.path()).unwrap().applied(), 0);
}
