//! The past of shared addresses as stories. Invariant I8: without a port nobody is named.

use super::*;
use crate::audit::past::tests::{BLUE, World, at, bound, key, listening, net};
use crate::audit::rows::Confidence::{Ambiguous, Exact, Unknown, UntilLastInterim};
use crate::session::effect::{Effect, Ended};
use crate::session::{Line, Name, Place, SessionKey, Timestamp};

const NAT: &str = "203.0.113.77";
const LOW: (u16, u16) = (1024, 2047);
const HIGH: (u16, u16) = (2048, 3071);

fn block((first, last): (u16, u16)) -> Place {
    Place::new(Realm::PUBLIC, net("203.0.113.77/32"), Ports::new(first, last).unwrap())
}

fn given(session: &SessionKey, subscriber: &str, ports: (u16, u16), from: i64) -> Effect {
    let subscriber = Some(Name::from(subscriber));
    Effect::Bound { session: session.clone(), subscriber, place: block(ports), from: at(from) }
}

fn taken(session: &SessionKey, ports: (u16, u16), until: i64, last_seen: i64, how: Ended) -> Effect {
    let (until, last_seen) = (at(until), at(last_seen));
    Effect::Unbound { session: session.clone(), place: block(ports), until, last_seen, how }
}

fn whole(session: &SessionKey, subscriber: &str, from: i64) -> Effect {
    bound(session, subscriber, "203.0.113.77/32", from)
}

/// A translator's session, which names no subscriber.
fn opened_for(session: &SessionKey, realm: Realm, inside: &str) -> Effect {
    Effect::SessionOpened {
        session: session.clone(),
        subscriber: None,
        user_name: None,
        line: Line::default(),
        inside: Some((realm, inside.parse().unwrap())),
        kept: Vec::new(),
    }
}

fn given_to_translator(session: &SessionKey, ports: (u16, u16), from: i64) -> Effect {
    Effect::Bound { session: session.clone(), subscriber: None, place: block(ports), from: at(from) }
}

fn inside(session: &SessionKey, subscriber: &str, address: &str, from: i64) -> Effect {
    let (subscriber, prefix) = (Some(Name::from(subscriber)), net(address));
    Effect::Bound { session: session.clone(), subscriber, place: Place::whole(BLUE, prefix), from: at(from) }
}

fn inside_left(session: &SessionKey, address: &str, until: i64, last_seen: i64, how: Ended) -> Effect {
    let place = Place::whole(BLUE, net(address));
    let (until, last_seen) = (at(until), at(last_seen));
    Effect::Unbound { session: session.clone(), place, until, last_seen, how }
}

/// Sessions still open were last seen in minute 500.
fn ask(world: &World, port: Option<u16>, minute: i64) -> PastOwner {
    let seen = |_: &SessionKey, _: Place| Some(at(500));
    world.past.owner(Realm::PUBLIC, NAT.parse().unwrap(), port, at(minute), &seen).unwrap()
}

fn told(answer: &PastOwner) -> Vec<String> {
    let one = |one: &Candidate| {
        let name = one.subscriber.as_ref().map_or("-".to_owned(), ToString::to_string);
        if one.ports.is_all() { name } else { format!("{name} {}", one.ports) }
    };
    answer.candidates.iter().map(one).collect()
}

#[track_caller]
fn expect(world: &World, rows: &[(Option<u16>, i64, Confidence, &[&str])]) {
    for (port, minute, confidence, expected) in rows {
        let found = ask(world, *port, *minute);
        let names = told(&found);
        assert_eq!(
            (found.confidence, names.iter().map(String::as_str).collect::<Vec<_>>()),
            (*confidence, expected.to_vec()),
            "port {port:?} in minute {minute}: {}",
            found.because
        );
    }
}

#[test]
fn without_a_port_everybody_who_held_a_block_is_a_candidate_and_nobody_the_owner() {
    let (one, two, three) = (key("1", 100), key("2", 150), key("3", 50));
    let world = World::new([
        listening(0),
        whole(&three, "carol", 50),
        given(&one, "alice", LOW, 100),
        given(&two, "bob", HIGH, 150),
        taken(&one, LOW, 200, 200, Ended::Stopped),
        taken(&two, HIGH, 300, 300, Ended::Stopped),
    ]);
    let (alice, bob) = ("alice 1024-2047", "bob 2048-3071");
    expect(
        &world,
        &[
            (None, 99, Exact, &["carol"]),
            // One block is enough: the others may be somebody's that nobody told of.
            (None, 100, Ambiguous, &["carol", alice]),
            (None, 150, Ambiguous, &["carol", alice, bob]),
            (None, 200, Ambiguous, &["carol", bob]),
            (None, 299, Ambiguous, &["carol", bob]),
            (None, 300, Exact, &["carol"]),
        ],
    );
    assert_eq!(ask(&world, None, 150).because, PORT_REQUIRED);
}

#[test]
fn with_a_port_a_block_is_its_holders_to_the_last_port_and_the_last_moment() {
    let (one, two, pool) = (key("1", 100), key("2", 150), key("3", 50));
    let world = World::new([
        listening(0),
        bound(&pool, "carol", "203.0.113.0/24", 50),
        given(&one, "alice", LOW, 100),
        given(&two, "bob", HIGH, 150),
        taken(&one, LOW, 200, 200, Ended::Stopped),
        taken(&two, HIGH, 300, 300, Ended::Stopped),
    ]);
    let (alice, bob): (&[&str], &[&str]) = (&["alice 1024-2047"], &["bob 2048-3071"]);
    expect(
        &world,
        &[
            (Some(1024), 99, Exact, &["carol"]),
            (Some(1024), 100, Exact, alice),
            (Some(2047), 199, Exact, alice),
            (Some(2048), 149, Exact, &[]),
            (Some(2048), 150, Exact, bob),
            (Some(3071), 299, Exact, bob),
            // While others share the address, a port that nobody was given is nobody's, whoever has the pool around it.
            (Some(1023), 150, Exact, &[]),
            (Some(3072), 150, Exact, &[]),
            (Some(1024), 200, Exact, &[]),
            (Some(1024), 300, Exact, &["carol"]),
        ],
    );
}

#[test]
fn an_inferred_end_of_a_block_is_as_unsure_as_that_of_an_address() {
    let one = key("1", 100);
    let world = World::new([
        listening(0),
        given(&one, "alice", LOW, 100),
        taken(&one, LOW, 200, 150, Ended::Expired),
    ]);
    let alice: &[&str] = &["alice 1024-2047"];
    expect(
        &world,
        &[
            (Some(1024), 150, Exact, alice),
            (Some(1024), 151, UntilLastInterim, alice),
            (Some(1024), 200, Unknown, alice),
            (None, 200, Unknown, alice),
            (Some(2048), 200, Exact, &[]),
            (Some(1024), 260, Exact, &[]),
            (None, 260, Exact, &[]),
        ],
    );
}

#[test]
fn of_blocks_that_overlap_the_newest_counts_unless_the_other_was_alive_then() {
    let (one, two) = (key("1", 100), key("2", 200));
    let wide = (1024, 4095);
    let world = |last_seen| {
        World::new([
            listening(0),
            given(&one, "alice", wide, 100),
            given(&two, "bob", HIGH, 200),
            taken(&two, HIGH, 400, 400, Ended::Stopped),
            taken(&one, wide, 300, last_seen, Ended::Expired),
        ])
    };
    let (alice, bob): (&[&str], &[&str]) = (&["alice 1024-4095"], &["bob 2048-3071"]);
    expect(
        &world(200),
        &[(Some(2048), 199, Exact, alice), (Some(2048), 200, Exact, bob), (Some(1024), 200, Exact, alice)],
    );
    let both: &[&str] = &["bob 2048-3071", "alice 1024-4095"];
    expect(&world(201), &[(Some(2048), 200, Ambiguous, both), (Some(2048), 300, Exact, bob)]);
}

#[test]
fn whoever_had_the_whole_address_before_it_was_shared_is_not_named_for_a_port_of_nobody() {
    let (one, two) = (key("1", 100), key("2", 150));
    let world = World::new([listening(0), whole(&one, "alice", 100), given(&two, "bob", LOW, 150)]);
    expect(
        &world,
        &[
            (Some(5000), 149, Exact, &["alice"]),
            (Some(5000), 150, Ambiguous, &["alice"]),
            (None, 150, Ambiguous, &["alice", "bob 1024-2047"]),
        ],
    );
    let world = World::new([listening(0), given(&two, "bob", LOW, 50), whole(&one, "alice", 100)]);
    expect(&world, &[(Some(5000), 150, Exact, &["alice"])]);
}

#[test]
fn a_conflict_about_a_block_is_about_that_block() {
    let (one, two, three) = (key("1", 100), key("2", 150), key("3", 100));
    let conflict = |sessions: &[&SessionKey], from| Effect::Conflict {
        place: block(LOW),
        sessions: sessions.iter().map(|session| (*session).clone()).collect(),
        at: at(from),
    };
    let world = World::new([
        listening(0),
        given(&three, "carol", HIGH, 100),
        given(&one, "alice", LOW, 100),
        taken(&one, LOW, 150, 140, Ended::Superseded),
        given(&two, "bob", LOW, 150),
        conflict(&[&one, &two], 160),
        conflict(&[], 170),
    ]);
    let (alice, bob) = ("alice 1024-2047", "bob 1024-2047");
    expect(
        &world,
        &[
            (Some(1024), 159, Exact, &[bob]),
            (Some(1024), 160, Ambiguous, &[bob, alice]),
            (Some(2048), 160, Exact, &["carol 2048-3071"]),
            (Some(1024), 170, Exact, &[bob]),
        ],
    );
}

#[test]
fn a_block_of_which_is_heard_too_late_is_found_and_a_late_end_corrects_it() {
    let (one, two) = (key("1", 100), key("2", 100));
    let past = |session: &SessionKey, ports, until| Effect::PastHeld {
        session: session.clone(),
        subscriber: Some(Name::from("alice")),
        place: block(ports),
        from: at(100),
        until: at(until),
        ended: true,
        inferred: false,
    };
    let mut world = World::new([
        listening(0),
        past(&one, HIGH, 120),
        given(&two, "alice", LOW, 100),
        taken(&two, LOW, 200, 150, Ended::Expired),
    ]);
    let high: &[&str] = &["alice 2048-3071"];
    expect(&world, &[(Some(2048), 119, Exact, high), (Some(2048), 120, Exact, &[])]);
    world.effects([past(&two, LOW, 180)]);
    let low: &[&str] = &["alice 1024-2047"];
    expect(&world, &[(Some(1024), 179, Exact, low), (Some(1024), 180, Exact, &[])]);
    let candidate = ask(&world, Some(1024), 150).candidates.remove(0);
    assert_eq!(candidate.was_until, Some(at(200)));
}

const ALICES: &str = "100.64.0.7/32";

/// Alice behind a translator from minute 100 to 300; its block for her from 150 on.
fn translated(how: Ended) -> World {
    let (line, nat) = (key("line", 100), key("nat", 150));
    World::new([
        listening(0),
        inside(&line, "alice", ALICES, 100),
        opened_for(&nat, BLUE, "100.64.0.7"),
        given_to_translator(&nat, LOW, 150),
        inside_left(&line, ALICES, 300, 250, how),
        taken(&nat, LOW, 400, 400, Ended::Stopped),
    ])
}

#[test]
fn a_translators_block_is_whose_the_inside_address_was_then() {
    let world = translated(Ended::Stopped);
    let alice: &[&str] = &["alice 1024-2047"];
    expect(
        &world,
        &[
            (Some(1024), 149, Exact, &[]),
            (Some(1024), 150, Exact, alice),
            (Some(2047), 299, Exact, alice),
            // Somebody used the block all the same: "nobody had it" would be a lie.
            (Some(1024), 300, Unknown, &["- 1024-2047"]),
            (Some(1024), 400, Exact, &[]),
            (None, 200, Ambiguous, alice),
        ],
    );
    let candidate = ask(&world, Some(1024), 200).candidates.remove(0);
    assert_eq!(candidate.session, Some(key("line", 100).to_string()));
    assert_eq!(candidate.inside, Some((BLUE, "100.64.0.7".parse().unwrap())));
    assert_eq!((candidate.valid_from, candidate.valid_until), (at(150), Some(at(300))), "while it had both");
}

#[test]
fn of_block_and_inside_address_the_less_sure_one_counts() {
    let world = translated(Ended::Expired);
    let alice: &[&str] = &["alice 1024-2047"];
    expect(
        &world,
        &[
            (Some(1024), 250, Exact, alice),
            (Some(1024), 251, UntilLastInterim, alice),
            (Some(1024), 300, Unknown, alice),
        ],
    );
    let (line, other, nat) = (key("line", 100), key("other", 200), key("nat", 150));
    let claimed = Effect::Conflict {
        place: Place::whole(BLUE, net(ALICES)),
        sessions: vec![line.clone(), other.clone()],
        at: at(200),
    };
    let world = World::new([
        listening(0),
        inside(&line, "alice", ALICES, 100),
        opened_for(&nat, BLUE, "100.64.0.7"),
        given_to_translator(&nat, LOW, 150),
        inside(&other, "bob", ALICES, 200),
        claimed,
        taken(&nat, LOW, 300, 260, Ended::Expired),
    ]);
    let both: &[&str] = &["bob 1024-2047", "alice 1024-2047"];
    expect(&world, &[(Some(1024), 199, Exact, alice), (Some(1024), 280, Ambiguous, both)]);
}

#[test]
fn an_inside_address_of_another_realm_is_another_customers() {
    let (line, other, nat) = (key("line", 100), key("other", 100), key("nat", 150));
    let elsewhere = Place::whole(Realm::of_number(2), net(ALICES));
    let world = World::new([
        listening(0),
        inside(&line, "alice", ALICES, 100),
        Effect::Bound {
            session: other,
            subscriber: Some(Name::from("bob")),
            place: elsewhere,
            from: at(100),
        },
        opened_for(&nat, Realm::of_number(2), "100.64.0.7"),
        given_to_translator(&nat, LOW, 150),
    ]);
    expect(&world, &[(Some(1024), 200, Exact, &["bob 1024-2047"])]);
}

fn applied(blocks: &[u16], from: i64) -> Effect {
    let translation = |block: &u16| Translation {
        realm: Some(Name::from("blue")),
        inside: net("100.64.0.0/22"),
        outside: net("203.0.113.77/32"),
        first_port: 1024,
        block: *block,
    };
    Effect::TranslationsApplied { translations: blocks.iter().map(translation).collect(), at: at(from) }
}

#[test]
fn a_configured_translation_has_a_past_too() {
    let (line, other) = (key("line", 100), key("other", 100));
    let seventh = Ports::new(1024 + 7 * 1008, 1024 + 8 * 1008 - 1).unwrap();
    let mut world = World::new([
        listening(0),
        Effect::RealmNamed { realm: BLUE, name: Name::from("blue") },
        applied(&[1008], 150),
        inside(&line, "alice", ALICES, 100),
        inside(&other, "bob", "100.64.0.14/32", 100),
        inside_left(&line, ALICES, 250, 250, Ended::Stopped),
    ]);
    let alice = format!("alice {seventh}");
    let alice: &[&str] = &[&alice];
    let (first, last) = (Some(seventh.first()), Some(seventh.last()));
    expect(
        &world,
        &[
            (first, 149, Exact, &[]),
            (first, 150, Exact, alice),
            (last, 249, Exact, alice),
            (first, 250, Exact, &[]),
            // The translator's own ports, those of an inside address that nobody has, and no port at all.
            (Some(1023), 200, Exact, &[]),
            (Some(1024), 200, Exact, &[]),
            (None, 149, Exact, &[]),
            (None, 150, Unknown, &[]),
        ],
    );
    assert_eq!(ask(&world, None, 150).because, PORT_REQUIRED);
    // Said again it is the same one; with smaller blocks the port is another customer's.
    world.effects([applied(&[1008], 180), applied(&[504], 300)]);
    expect(
        &world,
        &[(first, 249, Exact, alice), (first, 299, Exact, &[]), (first, 300, Exact, &["bob 8080-8583"])],
    );
    world.effects([applied(&[], 350)]);
    expect(
        &world,
        &[(first, 349, Exact, &["bob 8080-8583"]), (first, 350, Exact, &[]), (None, 350, Exact, &[])],
    );
}

#[test]
fn what_was_static_behind_a_translator_is_its_subscribers() {
    let nat = key("nat", 150);
    let world = World::new([
        listening(0),
        Effect::StaticApplied {
            prefix: net("100.64.0.0/29"),
            subscriber: Some(Name::from("office")),
            at: Timestamp::EARLIEST,
        },
        opened_for(&nat, Realm::PUBLIC, "100.64.0.7"),
        given_to_translator(&nat, LOW, 150),
    ]);
    expect(&world, &[(Some(1024), 200, Exact, &["office 1024-2047"])]);
}
