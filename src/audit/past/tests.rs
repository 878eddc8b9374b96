//! Past answers as stories: what was written, what is asked, what must be said.

use ipnet::IpNet;

use super::*;
use crate::audit::blocks;
use crate::audit::index::Index;
use crate::audit::rows::{Confidence, How};
use crate::relay::Profile;
use crate::relay::message::{Message, Owner};
use crate::relay::verdict::Reason;
use crate::session::effect::{Effect, Ended};
use crate::session::{Line, Place};
use crate::views::{Cause, Folded, Outcome};

/// Minutes, so that gaps and `REPORTING` are easy to see.
pub(in crate::audit) fn at(minute: i64) -> Timestamp {
    Timestamp::from_seconds(minute * 60)
}

pub(in crate::audit) fn key(id: &str, from: i64) -> SessionKey {
    SessionKey { nas: Name::from("bras1"), id: Name::from(id), incarnation: at(from) }
}

pub(in crate::audit) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn place(text: &str) -> Place {
    Place::whole(REALM, net(text))
}

pub(in crate::audit) const REALM: Realm = Realm::PUBLIC;
pub(in crate::audit) const BLUE: Realm = Realm::of_number(1);
pub(in crate::audit) const HOST: &str = "192.0.2.1/32";

pub(in crate::audit) fn opened(session: &SessionKey, subscriber: &str) -> Effect {
    let line = Line { port_id: Some(Name::from("eth1:7")), ..Line::default() };
    let subscriber = Some(Name::from(subscriber));
    Effect::SessionOpened {
        session: session.clone(),
        user_name: subscriber.clone(),
        subscriber,
        line,
        inside: None,
        kept: Vec::new(),
    }
}

pub(in crate::audit) fn bound(session: &SessionKey, subscriber: &str, prefix: &str, from: i64) -> Effect {
    let subscriber = Some(Name::from(subscriber));
    Effect::Bound { session: session.clone(), subscriber, place: place(prefix), from: at(from) }
}

pub(in crate::audit) fn unbound(
    session: &SessionKey,
    prefix: &str,
    until: i64,
    last_seen: i64,
    how: Ended,
) -> Effect {
    let (until, last_seen) = (at(until), at(last_seen));
    Effect::Unbound { session: session.clone(), place: place(prefix), until, last_seen, how }
}

pub(in crate::audit) fn past_held(
    session: &SessionKey,
    subscriber: &str,
    from: i64,
    until: i64,
    ended: bool,
) -> Effect {
    let (session, subscriber) = (session.clone(), Some(Name::from(subscriber)));
    Effect::PastHeld {
        session,
        subscriber,
        place: place(HOST),
        from: at(from),
        until: at(until),
        ended,
        inferred: false,
    }
}

pub(in crate::audit) fn listening(from: i64) -> Effect {
    Effect::Gap { since: None, until: at(from) }
}

pub(in crate::audit) struct World {
    data: tempfile::TempDir,
    index: Index,
    pub(in crate::audit) past: Past,
}

impl World {
    pub(in crate::audit) fn new(effects: impl IntoIterator<Item = Effect>) -> World {
        let data = tempfile::tempdir().unwrap();
        let index = Index::open(data.path()).unwrap();
        let past = index.past().unwrap();
        let mut world = World { data, index, past };
        world.effects(effects);
        world
    }

    pub(in crate::audit) fn outcomes(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        let first = self.index.applied() + 1;
        let folded: Vec<_> =
            (first..).zip(outcomes).map(|(sequence, outcome)| Folded { sequence, outcome }).collect();
        let through = folded.last().map_or(first, |item| item.sequence);
        self.index.apply(through, &folded).unwrap();
        // Some of it is found in files, some is still gathering.
        if through % 3 == 0 {
            self.index.sync(at(0)).unwrap();
        }
    }

    /// What came of one entry.
    pub(in crate::audit) fn entry(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        let sequence = self.index.applied() + 1;
        let folded: Vec<_> = outcomes.into_iter().map(|outcome| Folded { sequence, outcome }).collect();
        self.index.apply(sequence, &folded).unwrap();
    }

    pub(in crate::audit) fn effects(&mut self, effects: impl IntoIterator<Item = Effect>) {
        self.outcomes(effects.into_iter().map(|effect| Outcome::Effect(Cause::Deadline, effect)));
    }

    /// Confidence and subscribers. Sessions still open were last seen in minute 500.
    pub(in crate::audit) fn owner(&self, address: &str, minute: i64) -> (Confidence, Vec<String>) {
        let answer = self.ask(address, minute);
        let names = answer.candidates.iter().map(|one| one.subscriber.clone().unwrap().to_string());
        (answer.confidence, names.collect())
    }

    pub(in crate::audit) fn ask(&self, address: &str, minute: i64) -> PastOwner {
        let address = address.parse().unwrap();
        self.past.owner(REALM, address, None, at(minute), &|_, _| Some(at(500))).unwrap()
    }

    pub(in crate::audit) fn expect(&self, address: &str, rows: &[(i64, Confidence, &[&str])]) {
        for (minute, confidence, subscribers) in rows {
            let (found, names) = self.owner(address, *minute);
            assert_eq!(
                (found, names.as_slice()),
                (*confidence, strings(subscribers).as_slice()),
                "minute {minute}"
            );
        }
    }
}

pub(in crate::audit) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

use Confidence::{Ambiguous, Exact, Unknown, UntilLastInterim};

#[test]
fn a_session_that_stopped_is_exact_to_the_moment() {
    let one = key("1", 100);
    let world = World::new([
        listening(0),
        opened(&one, "alice"),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 200, 200, Ended::Stopped),
    ]);
    world.expect(
        "192.0.2.1",
        &[(99, Exact, &[]), (100, Exact, &["alice"]), (199, Exact, &["alice"]), (200, Exact, &[])],
    );
    let candidate = world.ask("192.0.2.1", 150).candidates.remove(0);
    assert_eq!(candidate.session.as_deref(), Some(one.to_string().as_str()));
    assert_eq!((candidate.valid_from, candidate.valid_until), (at(100), Some(at(200))));
    assert_eq!(candidate.line.port_id, Some(Name::from("eth1:7")));
    assert_eq!(candidate.how.map(How::word), Some("stopped"));
    world.expect("192.0.2.2", &[(150, Exact, &[])]);
}

#[test]
fn an_expired_session_is_sure_until_it_was_last_seen_and_possible_for_a_while_after() {
    let one = key("1", 100);
    let world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 200, 150, Ended::Expired),
    ]);
    world.expect(
        "192.0.2.1",
        &[
            (150, Exact, &["alice"]),
            (151, UntilLastInterim, &["alice"]),
            (199, UntilLastInterim, &["alice"]),
            (200, Unknown, &["alice"]),
            (259, Unknown, &["alice"]),
            (260, Exact, &[]),
        ],
    );
}

#[test]
fn a_superseded_session_is_likely_until_its_successor_began() {
    let (one, two) = (key("1", 100), key("2", 200));
    let world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 200, 150, Ended::Superseded),
        bound(&two, "bob", HOST, 200),
    ]);
    world.expect(
        "192.0.2.1",
        &[(199, UntilLastInterim, &["alice"]), (200, Exact, &["bob"]), (500, Exact, &["bob"])],
    );
}

#[test]
fn an_open_session_is_sure_until_the_live_map_saw_it_last() {
    let one = key("1", 100);
    let world = World::new([listening(0), bound(&one, "alice", HOST, 100)]);
    world.expect("192.0.2.1", &[(500, Exact, &["alice"]), (501, UntilLastInterim, &["alice"])]);
    let address = "192.0.2.1".parse().unwrap();
    let answer = world.past.owner(REALM, address, Some(4711), at(150), &|_, _| None).unwrap();
    assert_eq!(answer.confidence, UntilLastInterim, "the live map has lost it already");
}

#[test]
fn a_late_stop_corrects_an_inferred_end_openly() {
    let one = key("1", 100);
    let mut world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 200, 150, Ended::Expired),
    ]);
    world.effects([past_held(&one, "alice", 100, 180, true)]);
    world.expect("192.0.2.1", &[(179, Exact, &["alice"]), (180, Exact, &[])]);
    let candidate = world.ask("192.0.2.1", 150).candidates.remove(0);
    assert_eq!((candidate.was_until, candidate.was_how.map(How::word)), (Some(at(200)), Some("expired")));
    world.effects([past_held(&one, "alice", 100, 170, true)]);
    world.expect("192.0.2.1", &[(179, Exact, &["alice"])]);
}

#[test]
fn a_late_stop_that_reaches_into_the_next_owner_is_ambiguous() {
    let (one, two) = (key("1", 100), key("2", 200));
    let mut world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 200, 150, Ended::Superseded),
        bound(&two, "bob", HOST, 200),
    ]);
    world.effects([past_held(&one, "alice", 100, 220, true)]);
    world.expect(
        "192.0.2.1",
        &[(199, Exact, &["alice"]), (210, Ambiguous, &["bob", "alice"]), (220, Exact, &["bob"])],
    );
}

#[test]
fn a_late_sign_of_life_makes_more_of_the_past_sure() {
    let one = key("1", 100);
    let mut world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 200, 150, Ended::Expired),
    ]);
    world.effects([past_held(&one, "alice", 100, 180, false)]);
    world.expect("192.0.2.1", &[(180, Exact, &["alice"]), (181, UntilLastInterim, &["alice"])]);
}

#[test]
fn a_session_that_is_history_when_it_is_heard_of_is_found() {
    let one = key("1", 100);
    let world = World::new([listening(0), past_held(&one, "alice", 100, 120, true)]);
    world.expect("192.0.2.1", &[(100, Exact, &["alice"]), (119, Exact, &["alice"]), (120, Exact, &[])]);
    let world = World::new([listening(0), past_held(&one, "alice", 100, 100, false)]);
    world.expect("192.0.2.1", &[(100, Exact, &["alice"])]);
}

#[test]
fn a_conflict_is_ambiguous_while_it_lasts() {
    let (one, two) = (key("1", 100), key("2", 150));
    let conflict = |sessions: &[&SessionKey], from| Effect::Conflict {
        place: place(HOST),
        sessions: sessions.iter().map(|session| (*session).clone()).collect(),
        at: at(from),
    };
    let world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 150, 140, Ended::Superseded),
        bound(&two, "bob", HOST, 150),
        conflict(&[&one, &two], 160),
        conflict(&[], 170),
    ]);
    world.expect(
        "192.0.2.1",
        &[(159, Exact, &["bob"]), (160, Ambiguous, &["bob", "alice"]), (170, Exact, &["bob"])],
    );
}

#[test]
fn two_sessions_of_one_subscriber_are_one_owner() {
    let (one, two) = (key("1", 100), key("2", 150));
    let world = World::new([listening(0), bound(&one, "alice", HOST, 100), bound(&two, "alice", HOST, 150)]);
    world.expect("192.0.2.1", &[(160, Exact, &["alice", "alice"])]);
}

#[test]
fn the_longest_prefix_owns_and_a_static_one_stands_above_all() {
    let (one, two) = (key("1", 100), key("2", 100));
    let static_to = |subscriber: Option<&str>, from| Effect::StaticApplied {
        prefix: net("192.0.2.0/29"),
        subscriber: subscriber.map(Name::from),
        at: at(from),
    };
    let world = World::new([
        listening(0),
        bound(&one, "alice", "192.0.2.0/28", 100),
        bound(&two, "bob", HOST, 100),
        static_to(Some("office"), 300),
        static_to(Some("office"), 310),
        static_to(Some("shop"), 320),
        static_to(None, 340),
    ]);
    world.expect("192.0.2.9", &[(200, Exact, &["alice"]), (330, Exact, &["alice"])]);
    world.expect(
        "192.0.2.1",
        &[
            (299, Exact, &["bob"]),
            (300, Exact, &["office"]),
            (319, Exact, &["office"]),
            (320, Exact, &["shop"]),
            (340, Exact, &["bob"]),
        ],
    );
    assert!(world.ask("192.0.2.1", 330).candidates[0].is_static);
    assert!(world.past.known_subscriber(&Name::from("office")).unwrap());
}

#[test]
fn a_longer_prefix_not_heard_of_since_a_wider_one_went_to_another_is_ambiguous() {
    let (one, two, three) = (key("1", 100), key("2", 200), key("3", 300));
    let around = "192.0.2.0/28";
    let mut world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        bound(&two, "bob", around, 200),
        unbound(&one, HOST, 400, 150, Ended::Expired),
    ]);
    let rows: &[(i64, Confidence, &[&str])] = &[
        (199, UntilLastInterim, &["alice"]),
        (200, Ambiguous, &["alice", "bob"]),
        (399, Ambiguous, &["alice", "bob"]),
        (400, Exact, &["bob"]),
    ];
    world.expect("192.0.2.1", rows);
    world.expect("192.0.2.2", &[(250, Exact, &["bob"])]);
    // Heard at the moment in which the wider one began, it had not stopped before.
    world.effects([past_held(&one, "alice", 100, 200, false)]);
    world.expect("192.0.2.1", &[(200, Exact, &["alice"]), (201, UntilLastInterim, &["alice"])]);
    // A known end leaves no doubt, and one's own prefix around it is no other's.
    let world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        bound(&two, "bob", around, 200),
        unbound(&one, HOST, 300, 150, Ended::Stopped),
        bound(&three, "bob", HOST, 300),
    ]);
    world.expect("192.0.2.1", &[(299, Exact, &["alice"]), (300, Exact, &["bob"])]);
}

#[test]
fn a_prefix_as_wide_as_all_of_ipv6_owns_nothing_of_ipv4() {
    let one = key("1", 100);
    let world = World::new([listening(0), bound(&one, "alice", "::/0", 100)]);
    world.expect("2001:db8::1", &[(150, Exact, &["alice"])]);
    world.expect("192.0.2.1", &[(150, Exact, &[])]);
}

#[test]
fn an_address_in_its_mapped_spelling_is_the_same() {
    let one = key("1", 100);
    let world = World::new([listening(0), bound(&one, "alice", HOST, 100)]);
    world.expect("::ffff:192.0.2.1", &[(150, Exact, &["alice"])]);
}

#[test]
fn another_realm_is_another_space_for_private_addresses_and_the_same_for_public_ones() {
    let (one, two) = (key("1", 100), key("2", 100));
    let inside = |realm| Place::whole(realm, net("10.0.0.1/32"));
    let hold = |session: &SessionKey, subscriber: &str, place| {
        let subscriber = Some(Name::from(subscriber));
        Effect::Bound { session: session.clone(), subscriber, place, from: at(100) }
    };
    let world = World::new([
        listening(0),
        bound(&one, "alice", HOST, 100),
        hold(&one, "alice", inside(BLUE)),
        hold(&two, "bob", inside(REALM)),
    ]);
    let names = |realm, address: &str| {
        let answer = world.past.owner(realm, address.parse().unwrap(), None, at(150), &|_, _| None).unwrap();
        answer.candidates.into_iter().map(|one| one.subscriber.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(BLUE, "10.0.0.1"), ["alice"]);
    assert_eq!(names(REALM, "10.0.0.1"), ["bob"]);
    assert!(names(Realm::of_number(2), "10.0.0.1").is_empty());
    assert_eq!(names(BLUE, "192.0.2.1"), ["alice"], "what is routed is the same everywhere");
}

#[test]
fn where_nothing_was_received_nobody_is_not_said() {
    let one = key("1", 1000);
    let world = World::new([
        listening(0),
        Effect::Gap { since: Some(at(900)), until: at(950) },
        bound(&one, "alice", HOST, 1000),
        unbound(&one, HOST, 1005, 1005, Ended::Stopped),
    ]);
    world.expect(
        "192.0.2.1",
        &[
            (-1, Unknown, &[]),
            (59, Unknown, &[]),
            (60, Exact, &[]),
            (899, Exact, &[]),
            (900, Unknown, &[]),
            (949, Unknown, &[]),
            (999, Unknown, &[]),
            // It was held and given back since, so whoever comes next began while we listened.
            (1005, Exact, &[]),
        ],
    );
    world.expect("192.0.2.2", &[(1009, Unknown, &[]), (1010, Exact, &[])]);
}

#[test]
fn an_index_that_was_begun_anew_does_not_know_what_was_before() {
    let one = key("1", 100);
    let world = World::new([bound(&one, "alice", HOST, 100)]);
    world.expect("192.0.2.9", &[(99, Unknown, &[]), (100, Exact, &[])]);
    assert_eq!(World::new([]).owner("192.0.2.9", 100), (Unknown, vec![]));
}

#[test]
fn a_new_name_holds_from_its_moment_on() {
    let one = key("1", 100);
    let named = Effect::SubscriberChanged {
        session: one.clone(),
        subscriber: Some(Name::from("alicia")),
        at: at(120),
    };
    let renamed = |effect: Effect| Outcome::Effect(Cause::Refreshes, effect);
    let mut world = World::new([listening(0), opened(&one, "alice"), bound(&one, "alice", HOST, 100)]);
    // As one entry tells it.
    world.entry([
        renamed(named),
        renamed(unbound(&one, HOST, 120, 120, Ended::Moved)),
        renamed(bound(&one, "alicia", HOST, 120)),
    ]);
    world.effects([unbound(&one, HOST, 200, 200, Ended::Stopped)]);
    world.expect(
        "192.0.2.1",
        &[(119, Exact, &["alice"]), (120, Exact, &["alicia"]), (199, Exact, &["alicia"])],
    );
    assert_eq!(world.ask("192.0.2.1", 119).candidates[0].how, Some(How::Renamed));
    for subscriber in ["alice", "alicia"] {
        let filter =
            SessionFilter { subscriber: Some(Name::from(subscriber)), limit: 9, ..SessionFilter::default() };
        let rows = world.past.sessions(&filter).unwrap();
        assert_eq!(rows.len(), 1, "{subscriber}");
        assert_eq!(rows[0].bindings.len(), 2);
    }
}

fn found(world: &World, filter: &SessionFilter) -> Vec<String> {
    world.past.sessions(filter).unwrap().into_iter().map(|row| row.session_id.to_string()).collect()
}

#[test]
fn sessions_are_found_by_whose_where_and_when() {
    let (one, two, three) = (key("1", 100), key("2", 200), key("3", 300));
    let closed = |session: &SessionKey, minute| Effect::SessionClosed {
        session: session.clone(),
        at: at(minute),
        last_seen: at(minute),
        how: Ended::Stopped,
    };
    let world = World::new([
        opened(&one, "alice"),
        bound(&one, "alice", HOST, 100),
        unbound(&one, HOST, 150, 150, Ended::Stopped),
        closed(&one, 150),
        opened(&two, "bob"),
        bound(&two, "bob", HOST, 200),
        bound(&two, "bob", "2001:db8::/56", 200),
        opened(&three, "alice"),
        bound(&three, "alice", "192.0.2.64/28", 300),
    ]);
    let all = SessionFilter { limit: 9, ..SessionFilter::default() };
    let by = |text: &str| SessionFilter { prefix: Some(net(text)), ..all.clone() };
    let of = |name: &str| SessionFilter { subscriber: Some(Name::from(name)), ..all.clone() };
    assert_eq!(found(&world, &all), ["3", "2", "1"]);
    assert_eq!(found(&world, &SessionFilter { limit: 2, ..all.clone() }), ["3", "2"]);
    assert_eq!(found(&world, &SessionFilter { since: Some(at(150)), ..all.clone() }), ["3", "2"]);
    assert_eq!(found(&world, &SessionFilter { until: Some(at(300)), ..all.clone() }), ["2", "1"]);
    assert_eq!(found(&world, &of("alice")), ["3", "1"]);
    assert_eq!(found(&world, &by(HOST)), ["2", "1"]);
    assert_eq!(found(&world, &by("192.0.2.0/24")), ["3", "2", "1"]);
    assert_eq!(found(&world, &by("192.0.2.70/32")), ["3"]);
    assert_eq!(found(&world, &by("2001:db8::7/128")), ["2"]);
    assert_eq!(found(&world, &SessionFilter { subscriber: Some(Name::from("alice")), ..by(HOST) }), ["1"]);
    assert_eq!(found(&world, &SessionFilter { limit: 1, ..by("192.0.2.0/24") }), ["3"]);
    assert_eq!(found(&world, &SessionFilter { limit: 0, ..by("192.0.2.0/24") }).len(), 0);
}

fn message(queue_id: &str, owners: &[&str], minute: i64) -> Message {
    let owner = |name: &&str| Owner {
        subscriber: Some(Name::from(*name)),
        session: Some(key("1", 100)),
        since: at(100),
        line: Line::default(),
    };
    Message {
        at: at(minute),
        mta: Name::from("mx1"),
        profile: Profile::Relay,
        queue_id: Name::from(queue_id),
        instance: Name::from("i"),
        owners: owners.iter().map(owner).collect(),
        address: Some("192.0.2.1".parse().unwrap()),
        port: Some(2525),
        login: owners.is_empty().then(|| Name::from("alice")),
        helo: Name::from("pc"),
        sender: Name::from(""),
        recipient_count: 1,
        recipient_domains: vec![Name::from("example.net")],
        recipient_hashes: vec![7],
        size: 1000,
        token: Some(Name::from(format!("token-{queue_id}").as_str())),
        reason: Reason::Online,
        observed: false,
        message_id: None,
    }
}

#[test]
fn messages_are_found_by_each_filter_and_by_all_together() {
    let mut world = World::new([]);
    let mails = [
        message("Q1", &["alice"], 1),
        message("Q2", &["alice", "bob"], 2),
        message("Q3", &["bob"], 3),
        message("Q4", &[], 4),
    ];
    world.outcomes(mails.map(|mail| Outcome::Message(Box::new(mail), Vec::new())));
    let all = MessageFilter { limit: 9, ..MessageFilter::default() };
    let found = |filter: &MessageFilter| -> Vec<String> {
        world.past.messages(filter).unwrap().into_iter().map(|row| row.queue_id.to_string()).collect()
    };
    let named = |name: &str| Some(Name::from(name));
    assert_eq!(found(&all), ["Q4", "Q3", "Q2", "Q1"]);
    assert_eq!(found(&MessageFilter { limit: 1, ..all.clone() }), ["Q4"]);
    assert_eq!(found(&MessageFilter { subscriber: named("alice"), ..all.clone() }), ["Q2", "Q1"]);
    assert_eq!(found(&MessageFilter { login: named("alice"), ..all.clone() }), ["Q4"]);
    assert_eq!(found(&MessageFilter { queue_id: named("Q3"), ..all.clone() }), ["Q3"]);
    assert_eq!(found(&MessageFilter { token: named("token-Q1"), ..all.clone() }), ["Q1"]);
    let address = |text: &str| Some(text.parse().unwrap());
    assert_eq!(found(&MessageFilter { address: address("192.0.2.1"), ..all.clone() }).len(), 4);
    assert_eq!(found(&MessageFilter { address: address("192.0.2.2"), ..all.clone() }).len(), 0);
    let window = MessageFilter { since: Some(at(2)), until: Some(at(4)), ..all.clone() };
    assert_eq!(found(&window), ["Q3", "Q2"]);
    assert_eq!(found(&MessageFilter { subscriber: named("alice"), ..window.clone() }), ["Q2"]);
    assert_eq!(found(&MessageFilter { token: named("token-Q1"), ..window }).len(), 0);
    assert!(world.past.known_login(&Name::from("alice")).unwrap());
    assert!(!world.past.known_login(&Name::from("bob")).unwrap());
}

#[test]
fn an_ambiguous_message_keeps_all_its_owners() {
    let mut world = World::new([]);
    world.outcomes([Outcome::Message(Box::new(message("Q2", &["alice", "bob"], 2)), Vec::new())]);
    let message =
        world.past.messages(&MessageFilter { limit: 1, ..MessageFilter::default() }).unwrap().remove(0);
    assert_eq!(message.owners.len(), 2);
}

#[test]
fn readers_in_many_threads_see_what_is_written_meanwhile() {
    let one = key("1", 100);
    let mut world = World::new([listening(0)]);
    std::thread::scope(|scope| {
        let past = &world.past;
        let readers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    let address = "192.0.2.1".parse().unwrap();
                    let deadline = std::time::Instant::now() + Duration::from_secs(20);
                    while past
                        .owner(REALM, address, None, at(150), &|_, _| None)
                        .unwrap()
                        .candidates
                        .is_empty()
                    {
                        assert!(std::time::Instant::now() < deadline);
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        let bound = bound(&one, "alice", HOST, 100);
        world
            .index
            .apply(9, &[Folded { sequence: 9, outcome: Outcome::Effect(Cause::Applied, bound) }])
            .unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert!(world.past.idle.lock().unwrap().len() <= IDLE_MAX);
}

#[test]
fn what_a_stop_alone_tells_is_not_sure_before_it_and_sure_after_it_however_often_it_is_told() {
    let one = key("1", 10);
    let told = || {
        let held = past_held(&one, "alice", 10, 60, true);
        let Effect::PastHeld { session, subscriber, place, from, until, ended, .. } = held else {
            unreachable!()
        };
        Effect::PastHeld { session, subscriber, place, from, until, ended, inferred: true }
    };
    let mut world = World::new([listening(-600), told()]);
    for _ in 0..2 {
        let during = world.ask("192.0.2.1", 30);
        assert_eq!((during.confidence, during.because), (UntilLastInterim, owner::ONLY_ITS_STOP));
        assert_eq!(during.candidates[0].valid_until, Some(at(60)));
        assert_eq!(world.ask("192.0.2.1", 60).confidence, Exact);
        assert!(world.ask("192.0.2.1", 60).candidates.is_empty());
        world.effects([told()]);
    }
    // What was said of it before then is as good as ever.
    world.effects([past_held(&one, "alice", 30, 30, false)]);
    assert_eq!(world.ask("192.0.2.1", 30).confidence, Exact);
    assert_eq!(world.ask("192.0.2.1", 31).confidence, UntilLastInterim);
}

#[test]
fn gaps_are_those_that_touch_the_period_and_how_far_back_anything_is_known_is_told() {
    let mut world = World::new([]);
    assert_eq!(world.past.known_from().unwrap(), (None, None));
    let gap = |since: i64, until: i64| Effect::Gap { since: Some(at(since)), until: at(until) };
    world.effects([listening(10), gap(20, 25), gap(40, 60)]);
    let gaps = |since, until| world.past.gaps(since, until).unwrap();
    let (first, second, third) = ((Timestamp::EARLIEST, at(10)), (at(20), at(25)), (at(40), at(60)));
    assert_eq!(gaps(Timestamp::EARLIEST, at(1000)), [first, second, third]);
    // A gap is over at its end, and a period before its own.
    assert_eq!(gaps(Timestamp::from_millis(at(10).millis() - 1), at(20)), [first]);
    assert_eq!(gaps(at(10), Timestamp::from_millis(at(20).millis() + 1)), [second]);
    assert_eq!(gaps(at(50), at(51)), [third], "a period within a gap");
    assert_eq!(gaps(at(25), at(40)), []);
    assert_eq!(world.past.known_from().unwrap(), (Some(at(10)), None));
}

#[test]
fn every_question_walks_an_index() {
    let mut world = World::new([]);
    world.index.sync(at(0)).unwrap();
    let of_register: &[&str] = &[
        story::LENGTHS,
        story::STORY,
        story::RESTARTS,
        story::GAPS,
        owner::shared::TRANSLATIONS,
        listing::REALM,
        owner::STATIC,
        STATIC_NAMED,
        owner::CLAIMANTS,
        BEGINS,
        GAPS_BETWEEN,
        owner::GAP_AROUND,
        owner::GAP_BEFORE,
    ];
    let of_blocks: &[&str] = &[blocks::ASCENDING, blocks::DESCENDING, blocks::OF_RUN];
    let of_questions: &[&str] = &[asked::BY_SEQUENCE, asked::FROM_SEQUENCE];
    let files = [
        ("register.sqlite3", of_register),
        ("sessions-000001.sqlite3", of_blocks),
        ("messages-000001.sqlite3", of_blocks),
        ("questions-000001.sqlite3", of_questions),
        ("attempts-000001.sqlite3", of_blocks),
        ("scanned-000001.sqlite3", of_blocks),
    ];
    for (file, questions) in files {
        let connection = open_for_reading(&world.data.path().join("audit").join(file)).unwrap();
        for sql in questions {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
            let steps: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let plan = steps.join("; ");
            let one_row = *sql == BEGINS;
            assert!(one_row || steps.iter().all(|step| !step.starts_with("SCAN")), "{sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
}
