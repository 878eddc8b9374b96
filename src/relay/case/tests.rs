//! What comes of entries about cases, one after the other.

use super::*;
use crate::relay::signal::Delisted;

const KEPT_UNTIL: Timestamp = Timestamp::from_seconds(1000);

fn complaint(at: i64, key: Option<(&str, &str)>) -> Complaint {
    Complaint {
        at: Timestamp::from_seconds(at),
        by: Name::from("mail"),
        about: vec![Name::from("alice")],
        confidence: Confidence::Exact,
        key: key.map(|(reporter, message)| (Name::from(reporter), Name::from(message))),
        evidence: Reported {
            form: Name::from("arf"),
            feedback: Some(Name::from("abuse")),
            reporter: None,
            address: None,
            port: None,
            arrival: Some(Timestamp::from_seconds(at)),
            message_id: None,
            token: None,
            messages: Vec::new(),
            found_by: Vec::new(),
        },
    }
}

fn close(case: u64) -> Action {
    let (at, by) = (Timestamp::from_seconds(99), Name::from("root"));
    let act = Act::Close { kept_until: KEPT_UNTIL };
    Action { at, by, case, act, reason: Name::from("cleaned"), ticket: None }
}

fn subscriber(name: &str) -> Subject {
    Subject::Subscriber(Name::from(name))
}

fn ids(cases: &Cases) -> Vec<u64> {
    cases.newest_first().map(|case| case.id).collect()
}

#[test]
fn the_same_complaint_again_joins_its_case_and_another_opens_one() {
    let mut cases = Cases::default();
    let key = Some(("complaints@example.org", "<1@x>"));
    cases.complain(7, &complaint(1, key));
    assert_eq!(cases.complain(8, &complaint(1, key)).cases, [7]);
    cases.complain(9, &complaint(1, Some(("complaints@example.net", "<1@x>"))));
    cases.complain(10, &complaint(1, None));
    cases.complain(11, &complaint(1, None));
    assert_eq!(ids(&cases), [11, 10, 9, 7], "without a key nothing tells two apart");
    let case = cases.get(7).unwrap();
    assert_eq!((case.evidence_count, case.evidence.len(), case.history.len()), (2, 1, 2));
    assert_eq!(case.history[1].what, Happened::Joined);
}

#[test]
fn a_closed_case_stays_closed_and_says_who_closed_it_and_why() {
    let mut cases = Cases::default();
    cases.complain(7, &complaint(1, Some(("r", "m"))));
    cases.act(8, &close(7));
    cases.act(9, &close(700));
    cases.complain(10, &complaint(2, Some(("r", "m"))));
    let case = cases.get(7).unwrap();
    assert_eq!((case.state, ids(&cases)), (State::Closed, vec![7]));
    let closed = &case.history[1];
    assert_eq!(
        (closed.what, &closed.by, closed.note.as_ref()),
        (Happened::Closed, &Name::from("root"), Some(&Name::from("cleaned")))
    );
}

#[test]
fn a_signal_joins_the_open_case_of_its_sender_and_opens_another_once_that_is_closed() {
    let signal = |at, subject| Signal {
        at: Timestamp::from_seconds(at),
        subject,
        name: Name::from("messages"),
        value: 1024,
        threshold: 40,
        words: Name::from("1,024 messages today; 3 to 14 on the last 28 days"),
    };
    let alice = || Subject::Subscriber(Name::from("alice"));
    let mut cases = Cases::default();
    cases.signal(7, &signal(1, alice()));
    assert_eq!(cases.signal(8, &signal(2, alice())).cases, [7]);
    // A login of that name is somebody else.
    cases.signal(9, &signal(2, Subject::Login(Name::from("alice"))));
    cases.act(10, &close(7));
    assert_eq!(cases.signal(11, &signal(3, alice())).cases, [11]);
    assert_eq!(ids(&cases), [11, 9, 7]);
    cases.advance(KEPT_UNTIL, |_, _| None);
    assert_eq!(
        cases.signal(12, &signal(4, alice())).cases,
        [11],
        "the end of the closed one takes no key with it"
    );
    let about = |id| cases.get(id).unwrap().about.clone();
    assert_eq!((about(11), about(9)), (vec![alice()], vec![Subject::Login(Name::from("alice"))]));
}

#[test]
fn a_listing_names_those_who_stand_out_and_accuses_none_of_them() {
    let suspect = |name: &str| Signal {
        at: Timestamp::from_seconds(1),
        subject: Subject::Subscriber(Name::from(name)),
        name: Name::from("messages"),
        value: 1024,
        threshold: 40,
        words: Name::from("1,024 messages today; 3 to 14 on the last 28 days"),
    };
    let listing = Listing {
        at: Timestamp::from_seconds(1),
        address: "192.0.2.25".parse().unwrap(),
        list: Name::from("zen.example.net"),
        answers: vec!["127.0.0.4".parse().unwrap()],
        text: None,
        suspects: vec![suspect("bob"), suspect("alice"), suspect("bob")],
    };
    let mut cases = Cases::default();
    cases.listing(7, &listing);
    assert_eq!(cases.listing(8, &listing).cases, [7], "the same list");
    let other = Listing { list: Name::from("bl.example.org"), ..listing.clone() };
    assert_eq!(cases.listing(9, &other).cases, [9]);
    let case = cases.get(7).unwrap();
    assert_eq!(
        (&case.about, case.confidence),
        (&vec![subscriber("alice"), subscriber("bob")], Confidence::Ambiguous)
    );
    assert_eq!(case.addresses().next(), None, "our own address is nobody's");
    // Seen again with others who stand out: whoever the evidence names the case is about.
    let again = Listing { list: Name::from("bl.example.org"), suspects: vec![suspect("carol")], ..other };
    assert_eq!(cases.listing(10, &again).cases, [9]);
    assert_eq!(cases.get(9).unwrap().about, ["alice", "bob", "carol"].map(subscriber));
}

#[test]
fn the_oldest_closed_case_goes_first_and_an_open_one_only_when_none_is_closed() {
    let mut cases = Cases::default();
    let many = u64::try_from(CASES_MAX).unwrap();
    for sequence in 1..=many {
        cases.complain(sequence, &complaint(1, Some(("r", &sequence.to_string()))));
    }
    assert_eq!(ids(&cases).len(), CASES_MAX);
    cases.act(many + 1, &close(5));
    assert_eq!(cases.complain(many + 2, &complaint(1, None)).gone, [5]);
    assert!(cases.get(5).is_none() && cases.get(1).is_some());
    cases.complain(many + 3, &complaint(1, None));
    assert!(cases.get(1).is_none() && cases.get(2).is_some());
    assert_eq!((ids(&cases).len(), cases.by_key.len()), (CASES_MAX, CASES_MAX - 2));
    assert!(cases.ends.is_empty(), "what has gone has no end before it");
}

#[test]
fn a_closed_case_goes_when_its_time_is_over_and_an_open_one_stays() {
    let mut cases = Cases::default();
    cases.complain(7, &complaint(1, Some(("r", "m"))));
    cases.complain(8, &complaint(1, None));
    cases.act(9, &close(7));
    // Who closed it again, a moment later, said another end.
    let later = KEPT_UNTIL.plus(std::time::Duration::from_secs(1));
    cases.act(10, &Action { act: Act::Close { kept_until: later }, ..close(7) });
    let before = Timestamp::from_millis(later.millis() - 1);
    let at = |cases: &mut Cases, at| cases.advance(at, |_, _| None).gone;
    assert_eq!((at(&mut cases, before), ids(&cases)), (Vec::new(), vec![8, 7]));
    assert_eq!((at(&mut cases, later), ids(&cases)), (vec![7], vec![8]));
    let ever = Timestamp::from_millis(i64::MAX);
    assert!(at(&mut cases, ever).is_empty(), "an open one waits for somebody");
    // The same complaint after that is news.
    assert_eq!(cases.complain(11, &complaint(3, Some(("r", "m")))).cases, [11]);
    assert!(cases.ends.is_empty());
}

#[test]
fn evidence_and_history_of_one_case_have_an_end_and_what_opened_it_stays() {
    let mut cases = Cases::default();
    for sequence in 1..=500 {
        cases.complain(sequence, &complaint(i64::try_from(sequence).unwrap(), Some(("r", "m"))));
    }
    let case = cases.get(1).unwrap();
    assert_eq!((case.evidence.len(), case.evidence_count), (EVIDENCE_MAX, 500));
    assert_eq!(
        (case.history.len(), case.history[0].sequence, case.history[1].sequence),
        (HISTORY_MAX, 1, 402)
    );
}

#[test]
fn what_somebody_opens_is_a_case_of_its_own_and_its_history_says_what_was_done_to_whom_and_why() {
    let mut cases = Cases::default();
    let opened = Opened {
        at: Timestamp::from_seconds(1),
        by: Name::from("desk"),
        about: subscriber("alice"),
        reason: Name::from("called about spam"),
        ticket: Some(Name::from("T-1")),
    };
    cases.open(7, &opened);
    cases.open(8, &opened);
    assert_eq!(ids(&cases), [8, 7], "two who open one each mean two");
    let until = Some(Timestamp::from_seconds(500));
    let order = |order| Act::Order(subscriber("alice"), order);
    let kept_until = KEPT_UNTIL;
    let acts = [
        Act::Note,
        order(Order::Limit { until: None }),
        order(Order::Suspend { until }),
        order(Order::Release),
        Act::Dismiss { about: vec![subscriber("alice")], kept_until },
    ];
    for (sequence, act) in (9..).zip(acts) {
        let action = Action { act, ticket: Some(Name::from("T-2")), ..close(7) };
        assert_eq!(cases.act(sequence, &action).cases, [7]);
    }
    let case = cases.get(7).unwrap();
    let told: Vec<_> = case
        .history
        .iter()
        .map(|event| (event.what.word(), event.order.as_ref().and_then(|(_, order)| order.until())))
        .collect();
    let expected = [
        ("opened", None),
        ("noted", None),
        ("limited", None),
        ("suspended", until),
        ("released", None),
        ("dismissed", None),
    ];
    assert_eq!(told, expected);
    assert_eq!((&case.history[0].by, &case.history[3].by), (&Name::from("desk"), &Name::from("root")));
    assert_eq!(case.history[0].note, Some(Name::from("called about spam")));
    assert_eq!(case.history[3].order, Some((subscriber("alice"), Order::Suspend { until })));
    assert_eq!(
        (&case.history[0].ticket, &case.history[3].ticket),
        (&Some(Name::from("T-1")), &Some(Name::from("T-2")))
    );
    assert_eq!((case.state, case.kept_until), (State::Closed, Some(KEPT_UNTIL)));
    assert_eq!((case.kind, case.evidence_count, cases.get(8).unwrap().state), (Kind::Staff, 0, State::Open));
}

#[test]
fn an_order_from_a_case_is_one_that_standing_understands_and_a_dismissal_says_whose_ways_are_usual() {
    let act = Act::Order(subscriber("alice"), Order::Suspend { until: None });
    let action = Action { act, ..close(7) };
    let command = action.command().unwrap();
    assert_eq!((command.subject, command.order), (subscriber("alice"), Order::Suspend { until: None }));
    assert_eq!((command.by, command.reason, command.at), (action.by, action.reason, action.at));
    let about = vec![subscriber("alice")];
    let action = Action { act: Act::Dismiss { about: about.clone(), kept_until: KEPT_UNTIL }, ..close(7) };
    assert_eq!((action.command(), action.usual_for()), (None, about.as_slice()));
    assert_eq!(close(7).usual_for(), [], "what was real is nothing to get used to");
}

#[test]
fn a_rule_is_known_by_its_name_and_stands_in_the_case_once() {
    let mut cases = Cases::default();
    cases.complain(7, &complaint(1, None));
    for (sequence, by) in [(8, "rule:flood"), (9, "rule:flood"), (10, "root")] {
        cases.act(sequence, &Action { act: Act::Note, by: Name::from(by), ..close(7) });
    }
    assert_eq!(cases.get(7).unwrap().ruled, [Name::from("flood")]);
}

#[test]
fn the_end_of_a_listing_stands_in_each_case_about_it_and_lets_rules_begin_again() {
    let at = Timestamp::from_seconds;
    let listing = |second, address: &str| Listing {
        at: at(second),
        address: address.parse().unwrap(),
        list: Name::from("zen"),
        answers: Vec::new(),
        text: None,
        suspects: Vec::new(),
    };
    let delisted = |second, address: &str| Delisted {
        at: at(second),
        address: address.parse().unwrap(),
        list: Name::from("zen"),
    };
    let (ours, other) = ("192.0.2.25", "192.0.2.26");
    let ordered = |order| {
        let (by, act) = (Name::from("rule:listed"), Act::Order(subscriber("bob"), order));
        Action { at: at(9), by, case: 3, act, reason: Name::from("r"), ticket: None }
    };
    let mut cases = Cases::default();
    cases.listing(1, &listing(1, ours));
    cases.act(2, &close(1));
    cases.listing(3, &listing(3, ours));
    cases.listing(4, &listing(4, other));
    cases.act(5, &ordered(Order::UntilDelisted));
    assert_eq!(cases.get(3).unwrap().ruled, [Name::from("listed")]);
    assert_eq!(cases.delisted(6, &delisted(6, ours)).cases, [3, 1], "also where it was closed by hand");
    assert!(cases.delisted(7, &delisted(7, ours)).cases.is_empty(), "that is no news");
    cases.act(8, &ordered(Order::Delisted));
    let case = cases.get(3).unwrap();
    let what: Vec<_> = case.history.iter().map(|event| event.what.word()).collect();
    assert_eq!((what, case.state), (vec!["opened", "limited", "delisted", "released"], State::Open));
    assert!(case.is_listed().is_none() && case.ruled.is_empty());
    assert!(cases.get(4).unwrap().is_listed().is_some());
    assert_eq!(cases.listing(9, &listing(9, ours)).cases, [3]);
    assert!(cases.get(3).unwrap().is_listed().is_some(), "it is there again");
}
