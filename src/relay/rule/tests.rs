//! What follows from a case, and from none.

use super::super::case::{Cases, Complaint, Reported};
use super::super::signal::{Delisted, Listing, Signal};
use super::super::standing::Command;
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn rule(name: &str, when: When, then: Then) -> Rule {
    let (enforce, brake, written) = (true, None, Written::default());
    Rule { name: Name::from(name), when, then, enforce, brake, written }
}

fn flood(then: Then) -> Rule {
    rule("flood", When::Signal { name: Some(Name::from("messages")), at_least: 1000 }, then)
}

fn alone(rule: Rule) -> Rules {
    Rules { all: vec![rule], ..Rules::default() }
}

fn bob() -> Subject {
    Subject::Subscriber(Name::from("bob"))
}

fn signal(subject: Subject, name: &str, value: u64) -> Signal {
    let words = Name::from("many more than usual");
    Signal { at: NOW, subject, name: Name::from(name), value, threshold: 40, words }
}

fn complaint(at: Timestamp, about: &[&str], confidence: Confidence) -> Complaint {
    let evidence = Reported {
        form: Name::from("arf"),
        feedback: None,
        reporter: None,
        address: None,
        port: None,
        arrival: None,
        message_id: None,
        token: None,
        messages: Vec::new(),
        found_by: Vec::new(),
    };
    let about = about.iter().map(|name| Name::from(*name)).collect();
    Complaint { at, by: Name::from("mail"), about, confidence, key: None, evidence }
}

fn all(cases: &Cases) -> Vec<Arc<Case>> {
    cases.newest_first().cloned().collect()
}

/// What follows from the newest case.
fn judged(rules: &Rules, cases: &Cases, standing: &Standing) -> Vec<Action> {
    let known = all(cases);
    let mut recent = Recent::of(&known, NOW.minus(rules.longest()));
    rules.judge(&known[0], &known, standing, &mut recent, NOW)
}

#[test]
fn a_signal_of_its_name_and_size_makes_a_rule_act_and_one_less_does_not() {
    let rules = alone(flood(Then::Suspend(Some(HOUR))));
    for (name, value, acts) in
        [("messages", 1000, true), ("messages", 999, false), ("recipients", 5000, false)]
    {
        let mut cases = Cases::default();
        cases.signal(7, &signal(bob(), name, value));
        let actions = judged(&rules, &cases, &Standing::default());
        assert_eq!(actions.len(), usize::from(acts), "{name} {value}");
    }
    let mut cases = Cases::default();
    cases.signal(7, &signal(bob(), "messages", 1000));
    let [action] = &judged(&rules, &cases, &Standing::default())[..] else { panic!("one") };
    let order = Order::Suspend { until: Some(NOW.plus(HOUR)) };
    assert_eq!((&action.act, action.case), (&Act::Order(bob(), order), 7));
    assert_eq!((&action.by, action.rule()), (&Name::from("rule:flood"), Some(Name::from("flood"))));
    assert_eq!(action.reason, Name::from("messages is 1000: many more than usual"));
    // A case that was opened otherwise is none of its business.
    cases.complain(8, &complaint(NOW, &["bob"], Confidence::Exact));
    assert_eq!(judged(&rules, &cases, &Standing::default()), []);
}

#[test]
fn a_rule_acts_on_a_case_once_and_not_where_somebody_has_done_as_much_already() {
    let rules = alone(flood(Then::Limit(None)));
    let mut cases = Cases::default();
    cases.signal(7, &signal(bob(), "messages", 2000));
    let action = judged(&rules, &cases, &Standing::default()).remove(0);
    let mut standing = Standing::default();
    standing.fold_of(Some(7), 8, &action.command().unwrap());
    assert_eq!(judged(&rules, &cases, &standing), [], "he is limited already");
    cases.act(8, &action);
    cases.signal(9, &signal(bob(), "messages", 3000));
    assert_eq!(judged(&rules, &cases, &Standing::default()), [], "released by a human since");
    let harder = alone(Rule { name: Name::from("harder"), ..flood(Then::Suspend(None)) });
    assert_eq!(judged(&harder, &cases, &standing).len(), 1, "a limit is less than a suspension");
}

#[test]
fn a_rule_that_is_only_watched_says_what_it_would_have_done() {
    let rules = alone(Rule { enforce: false, ..flood(Then::Suspend(None)) });
    let mut cases = Cases::default();
    cases.signal(7, &signal(bob(), "messages", 2000));
    let actions = judged(&rules, &cases, &Standing::default());
    let order = Order::Suspend { until: None };
    assert_eq!(actions[0].act, Act::Observed(bob(), order));
    assert_eq!(actions[0].command(), None, "and nothing follows");
    cases.act(8, &actions[0]);
    assert_eq!(judged(&rules, &cases, &Standing::default()), [], "once is enough");
}

#[test]
fn complaints_count_where_they_can_only_be_ones_and_within_their_time() {
    let when = |within| When::Complaints { at_least: 3, within };
    let rules = alone(rule("three", when(Some(HOUR * 24)), Then::Suspend(None)));
    let mut cases = Cases::default();
    let ago = |hours| NOW.minus(HOUR * hours);
    cases.complain(1, &complaint(ago(24), &["bob"], Confidence::Exact));
    cases.complain(2, &complaint(ago(23), &["bob"], Confidence::UntilLastInterim));
    cases.complain(3, &complaint(ago(1), &["bob", "alice"], Confidence::Ambiguous));
    cases.complain(4, &complaint(ago(1), &["bob"], Confidence::Ambiguous));
    cases.complain(5, &complaint(NOW, &["bob"], Confidence::Exact));
    assert_eq!(judged(&rules, &cases, &Standing::default()), [], "two that are his within a day");
    let ever = alone(rule("three", when(None), Then::Suspend(None)));
    assert_eq!(judged(&ever, &cases, &Standing::default()).len(), 1);
    cases.complain(6, &complaint(NOW, &["bob"], Confidence::Exact));
    assert_eq!(judged(&rules, &cases, &Standing::default())[0].reason, Name::from("3 complaints about bob"));
    let (by, reason) = (Name::from("desk"), Name::from("forged"));
    let act = Act::Dismiss { about: vec![bob()], kept_until: NOW.plus(HOUR) };
    cases.act(7, &Action { at: NOW, by, case: 5, act, reason, ticket: None });
    assert_eq!(judged(&rules, &cases, &Standing::default()), [], "an unfounded one says nothing");
}

#[test]
fn two_cases_about_one_sender_that_come_at_once_give_one_order() {
    let rules = alone(rule("any", When::Complaints { at_least: 1, within: None }, Then::Limit(None)));
    let mut cases = Cases::default();
    cases.complain(1, &complaint(NOW, &["bob"], Confidence::Exact));
    cases.complain(2, &complaint(NOW, &["bob"], Confidence::Exact));
    let (known, mut recent) = (all(&cases), Recent::default());
    let mut judged = |case| rules.judge(case, &known, &Standing::default(), &mut recent, NOW).len();
    assert_eq!((judged(&known[1]), judged(&known[0])), (1, 0));
}

#[test]
fn whoever_stood_out_before_a_listing_is_limited_each_of_them() {
    let rules = alone(rule("listed", When::Listing, Then::Limit(Some(HOUR))));
    let suspect = |name: &str| signal(Subject::Subscriber(Name::from(name)), "messages", 90);
    let listing = Listing {
        at: NOW,
        address: "192.0.2.25".parse().unwrap(),
        list: Name::from("bl.example.org"),
        answers: vec!["127.0.0.2".parse().unwrap()],
        text: None,
        suspects: vec![suspect("bob"), suspect("alice")],
    };
    let mut cases = Cases::default();
    cases.listing(7, &listing);
    let actions = judged(&rules, &cases, &Standing::default());
    let whom: Vec<_> =
        actions.iter().filter_map(|action| Some(action.command()?.subject.name().clone())).collect();
    assert_eq!(whom, ["alice", "bob"].map(Name::from));
    assert_eq!(actions[0].reason, Name::from("192.0.2.25 is on bl.example.org"));
}

fn listing(at: Timestamp, list: &str, suspects: &[&str]) -> Listing {
    let suspect = |name: &&str| signal(Subject::Subscriber(Name::from(*name)), "messages", 90);
    Listing {
        at,
        address: "192.0.2.25".parse().unwrap(),
        list: Name::from(list),
        answers: Vec::new(),
        text: None,
        suspects: suspects.iter().map(suspect).collect(),
    }
}

fn delisted(at: Timestamp, list: &str) -> Delisted {
    Delisted { at, address: "192.0.2.25".parse().unwrap(), list: Name::from(list) }
}

fn whom(actions: &[Action]) -> Vec<String> {
    actions.iter().filter_map(|action| Some(action.act.subject()?.name().to_string())).collect()
}

#[test]
fn a_limit_until_delisted_is_given_once_for_each_listing_and_ended_by_its_rule() {
    let rules = alone(rule("listed", When::Listing, Then::LimitUntilDelisted));
    let (mut cases, mut standing, mut recent) = (Cases::default(), Standing::default(), Recent::default());
    cases.listing(7, &listing(NOW, "zen", &["bob"]));
    cases.listing(8, &listing(NOW, "bl", &["bob"]));
    for (sequence, id) in [(10, 7), (11, 8)] {
        let known = all(&cases);
        let actions = rules.judge(cases.get(id).unwrap(), &known, &standing, &mut recent, NOW);
        assert_eq!(whom(&actions), ["bob"], "also for the second, though he is limited: case {id}");
        let address = "192.0.2.25".parse().unwrap();
        let list = cases.get(id).unwrap().listing().unwrap().list.clone();
        let tie = Tie { case: id, by: actions[0].by.clone(), list, address, over: false };
        standing.fold_tied(sequence, &actions[0].command().unwrap(), tie);
        cases.act(sequence, &actions[0]);
    }
    assert_eq!(judged(&rules, &cases, &standing), []);
    assert_eq!(delistings(&standing, NOW), []);
    standing.delist(&delisted(NOW, "zen"));
    cases.delisted(20, &delisted(NOW, "zen"));
    // Whatever rules there are by now.
    let [end] = &delistings(&standing, NOW)[..] else { panic!("one") };
    assert_eq!((end.rule(), end.case), (Some(Name::from("listed")), 7));
    assert_eq!(end.reason, Name::from("192.0.2.25 is no longer on zen"));
    assert_eq!(end.command().map(|command| command.order), Some(Order::Delisted));
    standing.fold_of(Some(7), 21, &end.command().unwrap());
    assert_eq!(delistings(&standing, NOW), [], "once");
    assert!(standing.limited(&bob(), NOW).is_some(), "the other list has it");
}

#[test]
fn nobody_is_limited_for_a_listing_that_is_over_and_for_the_next_one_who_stood_out_then() {
    let rules = alone(rule("listed", When::Listing, Then::LimitUntilDelisted));
    let mut cases = Cases::default();
    cases.listing(7, &listing(NOW, "zen", &["bob"]));
    assert_eq!(whom(&judged(&rules, &cases, &Standing::default())), ["bob"]);
    cases.act(8, &judged(&rules, &cases, &Standing::default())[0]);
    cases.delisted(9, &delisted(NOW, "zen"));
    assert_eq!(judged(&rules, &cases, &Standing::default()), []);
    let later = NOW.plus(HOUR);
    cases.listing(10, &listing(later, "zen", &["carol"]));
    assert_eq!(whom(&judged(&rules, &cases, &Standing::default())), ["carol"], "not bob, who is quiet now");
}

#[test]
fn a_rehearsal_holds_until_the_listing_was_over_and_a_suspended_sender_is_held_already() {
    let rules = alone(rule("listed", When::Listing, Then::LimitUntilDelisted));
    let mut cases = Cases::default();
    cases.listing(1, &listing(NOW, "zen", &["bob"]));
    cases.listing(2, &listing(NOW.plus(HOUR), "bl", &["bob"]));
    cases.delisted(3, &delisted(NOW.plus(HOUR * 2), "zen"));
    cases.listing(4, &listing(NOW.plus(HOUR * 3), "third", &["bob"]));
    let would = rules.rehearse(&rules.all[0], &all(&cases));
    assert_eq!(would.iter().map(|would| would.case).collect::<Vec<_>>(), [1, 4]);
    let mut standing = Standing::default();
    let order = Order::Suspend { until: None };
    let (by, reason) = (Name::from("desk"), Name::from("x"));
    standing.fold(9, &Command { at: NOW, by, subject: bob(), order, reason });
    assert_eq!(judged(&rules, &cases, &standing), []);
}

#[test]
fn about_a_whole_host_a_human_is_called_and_about_the_site_on_it_the_rule_acts() {
    let hosts = BTreeSet::from([Name::from("web")]);
    let rules = Rules { hosts, ..alone(flood(Then::Suspend(None))) };
    let mut cases = Cases::default();
    let (host, site) =
        (Subject::Subscriber(Name::from("web")), Subject::Within(Name::from("web/shop.example")));
    for (sequence, (subject, expected)) in
        [(host, Happened::Called), (site, Happened::Suspended)].into_iter().enumerate()
    {
        cases.signal(sequence as u64 + 1, &signal(subject, "messages", 2000));
        let done: Vec<_> = judged(&rules, &cases, &Standing::default())
            .iter()
            .map(|action| Happened::from(&action.act))
            .collect();
        assert_eq!(done, [expected]);
    }
    let would = rules.rehearse(&rules.all[0], &all(&cases));
    assert_eq!(would.iter().map(|would| would.braked).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn after_so_many_orders_a_human_is_called_until_the_time_is_over() {
    let brake = Brake { orders: 2, within: HOUR };
    let rules = Rules { brake, ..alone(flood(Then::Suspend(None))) };
    let mut cases = Cases::default();
    let sender = |number: u64| Subject::Subscriber(Name::from(number.to_string().as_str()));
    let mut sequence = 0;
    let mut next = |cases: &mut Cases, rules: &Rules| {
        sequence += 2;
        cases.signal(sequence, &signal(sender(sequence), "messages", 2000));
        let actions = judged(rules, cases, &Standing::default());
        cases.act(sequence + 1, &actions[0]);
        Happened::from(&actions[0].act)
    };
    let done: Vec<_> = (0..4).map(|_| next(&mut cases, &rules)).collect();
    assert_eq!(done, [Happened::Suspended, Happened::Suspended, Happened::Called, Happened::Called]);
    // One of its own holds it and no other rule.
    let other = Rule { name: Name::from("other"), brake: Some(brake), ..flood(Then::Suspend(None)) };
    let own = Rules { brake: Brake { orders: 100, within: HOUR }, ..alone(other) };
    let done: Vec<_> = (0..3).map(|_| next(&mut cases, &own)).collect();
    assert_eq!(done, [Happened::Suspended, Happened::Suspended, Happened::Called]);
    // What was long ago no longer counts: at the edge it does not, a moment before it does.
    let given = Recent { orders: vec![(Name::from("flood"), NOW); 2], ..Recent::default() };
    let later = |millis: u64| NOW.plus(HOUR).plus(Duration::from_millis(millis));
    assert!(given.is_reached(brake, None, NOW.plus(HOUR - Duration::from_millis(1))));
    assert!(!given.is_reached(brake, None, later(0)));
}

#[test]
fn a_rehearsal_tells_what_would_have_been_done_to_each_kept_case_also_to_closed_ones() {
    let brake = Brake { orders: 2, within: HOUR };
    let rules = Rules { brake, ..alone(flood(Then::Suspend(Some(HOUR)))) };
    let mut cases = Cases::default();
    let seen = |minutes: u64, name: &str, value| {
        let subject = Subject::Subscriber(Name::from(name));
        Signal { at: NOW.plus(Duration::from_secs(60 * minutes)), ..signal(subject, "messages", value) }
    };
    let close = |case| {
        let (by, reason) = (Name::from("desk"), Name::from("x"));
        let act = Act::Close { kept_until: NOW.plus(HOUR * 999) };
        Action { at: NOW, by, case, act, reason, ticket: None }
    };
    cases.signal(1, &seen(0, "bob", 2000));
    cases.act(2, &close(1));
    cases.signal(3, &seen(30, "bob", 2000));
    cases.signal(4, &seen(31, "alice", 999));
    cases.signal(5, &seen(32, "carol", 5000));
    cases.signal(6, &seen(33, "dave", 5000));
    let would = rules.rehearse(&rules.all[0], &all(&cases));
    let told: Vec<_> = would.iter().map(|would| (would.case, would.braked)).collect();
    assert_eq!(told, [(1, false), (5, false), (6, true)], "bob was suspended already when he was seen again");
    let (subject, order) = would[0].order.clone().unwrap();
    assert_eq!((subject, order.until()), (bob(), Some(NOW.plus(HOUR))));
    let notes = alone(flood(Then::Note));
    assert_eq!(notes.rehearse(&notes.all[0], &all(&cases)).len(), 4);
}
