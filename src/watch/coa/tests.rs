//! Who is asked about, when, and when no more: what follows from orders, sessions and what was said.

use std::net::Ipv4Addr;

use glob::Pattern;

use super::*;
use crate::config::Secret;
use crate::radius::dictionary::Dictionary;
use crate::radius::template::Template;
use crate::relay::standing::{Command, Order};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn request(means: Means) -> Request {
    let template = Template::parse("Acct-Session-Id = {session}", Dictionary::builtin()).unwrap();
    Request { means, attributes: vec![template] }
}

fn coa(means: Means) -> Coa {
    let reached = Reached {
        nas: Pattern::new("bras*").unwrap(),
        address: "192.0.2.1:3799".parse().unwrap(),
        secret: Secret::new(b"a secret of four words"),
        on: Held::Suspended,
        on_start: true,
        signed: false,
        restrict: request(means),
        restore: Some(request(Means::Coa)),
    };
    Coa { enforce: true, most: Most::default(), nases: vec![reached] }
}

fn online(id: &str, began: i64) -> Online {
    let session = SessionKey { nas: Name::from("bras1"), id: Name::from(id), incarnation: at(began) };
    let facts = Facts { address: Some(Ipv4Addr::new(192, 0, 2, 7)), ..Facts::default() };
    Online { session, subscriber: Name::from("bob"), is_certain: true, facts }
}

/// What is known, and goes on by what is asked and said.
#[derive(Default)]
struct World {
    standing: Standing,
    lines: Lines,
    sequence: u64,
}

impl World {
    fn order(&mut self, seconds: i64, order: Order) {
        self.sequence += 1;
        let command = Command {
            at: at(seconds),
            by: Name::from("root"),
            subject: Subject::Subscriber(Name::from("bob")),
            order,
            reason: Name::from("spam"),
        };
        self.standing.fold_of(Some(3), self.sequence, &command);
        self.lines.settle(&self.standing, at(seconds));
    }

    /// What is wished about these sessions: each with the act and whether it is written down already.
    fn wished(&self, coa: &Coa, online: &[Online], seconds: i64) -> Vec<(Name, Act, bool)> {
        let wishes = wishes(coa, &self.standing, &self.lines, online, at(seconds));
        wishes.iter().map(|wish| (wish.told.session.id.clone(), wish.told.act, wish.is_told)).collect()
    }

    /// It is asked, and this is said.
    fn say(&mut self, coa: &Coa, online: &Online, seconds: i64, said: Said) {
        let online = [online.clone()];
        let told = wishes(coa, &self.standing, &self.lines, &online, at(seconds)).remove(0).told;
        self.lines.fold(&Told { said, ..told }, &self.standing, true);
    }
}

const SUSPEND: Order = Order::Suspend { until: None };
const LIMIT: Order = Order::Limit { until: None };

fn named(id: &str, act: Act, is_told: bool) -> Vec<(Name, Act, bool)> {
    vec![(Name::from(id), act, is_told)]
}

#[test]
fn a_suspended_line_is_restricted_once_and_restored_when_the_order_is_over() {
    let (coa, one, mut world) = (coa(Means::Coa), [online("s1", 0)], World::default());
    assert_eq!(world.wished(&coa, &one, 9), []);
    world.order(10, SUSPEND);
    assert_eq!(world.wished(&coa, &one, 11), named("s1", Act::Restrict, false));
    world.say(&coa, &one[0], 11, Said::Asked);
    assert_eq!(world.wished(&coa, &one, 12), named("s1", Act::Restrict, false), "until there is an answer");
    world.say(&coa, &one[0], 12, Said::Ack);
    assert_eq!(world.wished(&coa, &one, 13), []);
    world.order(14, SUSPEND);
    assert_eq!(world.wished(&coa, &one, 15), [], "another order changes nothing about what holds");
    world.order(20, Order::Release);
    assert_eq!(world.wished(&coa, &one, 21), named("s1", Act::Restore, false));
    world.say(&coa, &one[0], 21, Said::Ack);
    assert_eq!(world.wished(&coa, &one, 22), []);
    world.order(30, Order::Suspend { until: Some(at(40)) });
    assert_eq!(world.wished(&coa, &one, 31), named("s1", Act::Restrict, false));
    world.say(&coa, &one[0], 31, Said::Ack);
    assert_eq!(world.wished(&coa, &one, 39), []);
    assert_eq!(world.wished(&coa, &one, 40), named("s1", Act::Restore, false), "it has run out by itself");
}

#[test]
fn a_session_that_is_not_certain_is_left_alone() {
    let (coa, mut world) = (coa(Means::Disconnect), World::default());
    world.order(10, SUSPEND);
    let doubtful = Online { is_certain: false, ..online("s1", 0) };
    let elsewhere = {
        let other = online("s2", 0);
        Online { session: SessionKey { nas: Name::from("wlan1"), ..other.session.clone() }, ..other }
    };
    let somebody_else = Online { subscriber: Name::from("alice"), ..online("s3", 0) };
    assert_eq!(world.wished(&coa, &[doubtful, elsewhere, somebody_else], 11), []);
}

#[test]
fn a_later_session_is_restricted_where_that_is_wanted() {
    let mut coa = coa(Means::Coa);
    let mut world = World::default();
    world.order(10, SUSPEND);
    let both = [online("s1", 10), online("s2", 11)];
    assert_eq!(world.wished(&coa, &both, 12).len(), 2);
    coa.nases[0].on_start = false;
    assert_eq!(world.wished(&coa, &both, 12), named("s1", Act::Restrict, false));
}

#[test]
fn a_limit_restricts_a_line_only_where_that_is_wanted() {
    let (mut coa, one, mut world) = (coa(Means::Coa), [online("s1", 0)], World::default());
    world.order(10, LIMIT);
    assert_eq!(world.wished(&coa, &one, 11), []);
    assert_eq!(subscribers(&coa, &world.standing, &world.lines, at(11)), []);
    coa.nases[0].on = Held::Limited;
    assert_eq!(world.wished(&coa, &one, 11), named("s1", Act::Restrict, false));
    assert_eq!(subscribers(&coa, &world.standing, &world.lines, at(11)), [Name::from("bob")]);
}

#[test]
fn what_was_not_answered_is_asked_again_and_what_was_refused_is_not() {
    for (said, again) in [
        (Said::Silence, true),
        (Said::Asked, true),
        (Said::Nak(Some(506)), true),
        (Said::Nak(Some(503)), false),
        (Said::Nak(None), false),
        (Said::Unsayable, false),
    ] {
        let (coa, one, mut world) = (coa(Means::Coa), [online("s1", 0)], World::default());
        world.order(10, SUSPEND);
        world.say(&coa, &one[0], 11, said);
        assert_eq!(!world.wished(&coa, &one, 12).is_empty(), again, "{said:?}");
        world.order(20, SUSPEND);
        assert_eq!(world.wished(&coa, &one, 21).len(), 1, "{said:?}: another order is another question");
        world.order(30, Order::Release);
        // Whoever did not answer may have done it.
        let restored = matches!(said, Said::Silence | Said::Asked);
        assert_eq!(!world.wished(&coa, &one, 31).is_empty(), restored, "{said:?}");
    }
}

#[test]
fn what_is_only_watched_is_said_once_and_sent_once_it_is_in_force() {
    let (mut coa, one, mut world) = (coa(Means::Disconnect), [online("s1", 0)], World::default());
    coa.enforce = false;
    world.order(10, SUSPEND);
    world.say(&coa, &one[0], 11, Said::Observed);
    assert_eq!(world.wished(&coa, &one, 12), []);
    coa.enforce = true;
    assert_eq!(world.wished(&coa, &one, 13), named("s1", Act::Restrict, false));
    coa.enforce = false;
    world.order(20, Order::Release);
    assert_eq!(world.wished(&coa, &one, 21), [], "nothing was sent, so nothing is to be undone");
}

#[test]
fn what_may_have_been_done_is_undone_though_it_was_only_watched_or_refused_since() {
    for (watched, said) in [(true, Said::Observed), (false, Said::Nak(None)), (false, Said::Unsayable)] {
        let (mut coa, one, mut world) = (coa(Means::Coa), [online("s1", 0)], World::default());
        world.order(10, SUSPEND);
        world.say(&coa, &one[0], 11, Said::Silence);
        coa.enforce = !watched;
        world.say(&coa, &one[0], 12, said);
        coa.enforce = true;
        world.order(20, Order::Release);
        assert_eq!(world.wished(&coa, &one, 21), named("s1", Act::Restore, false), "{said:?}");
    }
}

#[test]
fn a_request_is_wanted_while_its_order_holds_and_it_is_to_be_sent_at_all() {
    let (mut coa, one, mut world) = (coa(Means::Disconnect), online("s1", 5), World::default());
    world.order(10, SUSPEND);
    let of = |world: &World, coa: &Coa, seconds| {
        let online = [one.clone()];
        wishes(coa, &world.standing, &world.lines, &online, at(seconds)).remove(0).told
    };
    let restrict = of(&world, &coa, 11);
    let wanted = |world: &World, coa: &Coa, told: &Told| is_wanted(coa, &world.standing, told, at(30));
    assert!(wanted(&world, &coa, &restrict));
    coa.enforce = false;
    assert!(!wanted(&world, &coa, &restrict), "it is only watched now");
    coa.enforce = true;
    let nowhere = Coa { nases: Vec::new(), ..coa.clone() };
    assert!(!wanted(&world, &nowhere, &restrict), "the NAS is reached no more");
    world.say(&coa, &one, 11, Said::Silence);
    world.order(12, Order::Release);
    assert!(!wanted(&world, &coa, &restrict), "the order is over");
    let restore = of(&world, &coa, 13);
    assert!(restore.act == Act::Restore && wanted(&world, &coa, &restore));
    world.order(14, LIMIT);
    assert!(!wanted(&world, &coa, &restrict) && wanted(&world, &coa, &restore));
    world.order(15, SUSPEND);
    assert!(wanted(&world, &coa, &restrict), "another order holds");
    assert!(!wanted(&world, &coa, &restore));
    coa.nases[0].on_start = false;
    let later = Told { session: online("s1", 16).session, ..restrict.clone() };
    assert!(wanted(&world, &coa, &restrict) && !wanted(&world, &coa, &later));
}

#[test]
fn those_who_are_to_be_restored_come_first() {
    let (coa, mut world) = (coa(Means::Coa), World::default());
    let bob = online("s1", 0);
    world.order(10, SUSPEND);
    world.say(&coa, &bob, 11, Said::Ack);
    world.order(20, Order::Release);
    let alice = Online { subscriber: Name::from("alice"), ..online("s0", 0) };
    let subject = Subject::Subscriber(Name::from("alice"));
    let (by, reason) = (Name::from("root"), Name::from("spam"));
    world.standing.fold(9, &Command { at: at(21), by, subject, order: SUSPEND, reason });
    let wished = world.wished(&coa, &[alice, bob], 22);
    assert_eq!(wished.iter().map(|(_, act, _)| *act).collect::<Vec<_>>(), [Act::Restore, Act::Restrict]);
}

#[test]
fn whoever_is_silent_is_asked_ever_more_seldom_and_at_least_once_an_hour() {
    let (mut patience, session) = (Patience::default(), online("s1", 0).session);
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        patience.hear(&session, Act::Restrict, Said::Silence, now);
        let wait = (1..=3600)
            .find(|wait| patience.is_over(&session, Act::Restrict, now.plus(Duration::from_secs(*wait))));
        let wait = wait.unwrap();
        assert!(patience.is_over(&session, Act::Restore, now), "another question is not held up");
        waits.push(wait);
        now = now.plus(Duration::from_secs(wait));
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    patience.hear(&session, Act::Restrict, Said::Ack, now);
    assert!(patience.is_over(&session, Act::Restrict, now));
}

#[test]
fn the_brake_lets_so_many_go_in_any_span_of_its_length() {
    let (mut brake, most) = (Brake::default(), Most { requests: 2, within: Duration::from_secs(60) });
    let mut goes = |seconds| brake.lets_go(most, at(seconds));
    assert_eq!([goes(0), goes(30), goes(31), goes(59)], [true, true, false, false]);
    assert_eq!([goes(60), goes(89), goes(90)], [true, false, true]);
    assert!(!Brake::default().lets_go(Most { requests: 0, ..most }, at(0)));
}
