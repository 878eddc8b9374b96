//! What goes on from a snapshot, and what has gone.

use super::at_rest::{IN_ONE, RestBefore, SNAPSHOT, WITHOUT_CASES, WITHOUT_TIES, WITHOUT_TRENDS, at_rest};
use super::*;
use crate::access::token::{SECRET_OCTETS, TokenId, Verb, issue};
use crate::access::{Role, Via};
use crate::log::entry::Question;
use crate::relay::case::{Act, Complaint, Reported, State};
use crate::relay::confidence::Confidence;
use crate::relay::delisting::Ties;
use crate::relay::line::{self, Means, Said};
use crate::relay::rule::delistings;
use crate::relay::signal::{Delisted, Listing, Signal};
use crate::relay::standing::StandingBefore;
use crate::relay::usage::RefusedAtRest;
use crate::session::event::Record;
use crate::session::{Name, SessionKey};

const AT: Timestamp = Timestamp::from_seconds(1_795_442_405);

fn question(what: &str) -> Entry {
    Entry::Question(Question { at: AT, by: Name::from("root"), what: Name::from(what) })
}

fn token() -> Entry {
    let (_, hash) = issue(TokenId(7), &[1; SECRET_OCTETS]);
    let (scopes, note) = (Vec::new(), Name::from(""));
    let verb = Verb::Create { hash, role: Role::Viewer, scopes, expires: None, note };
    Entry::Token(Box::new(TokenOrder { at: AT, by: Name::from("root"), id: TokenId(7), verb }))
}

fn complaint() -> Entry {
    let evidence = Reported {
        form: Name::from("arf"),
        feedback: None,
        reporter: None,
        address: Some("192.0.2.7".parse().unwrap()),
        port: None,
        arrival: None,
        message_id: None,
        token: None,
        messages: Vec::new(),
        found_by: Vec::new(),
    };
    let (by, about, confidence) = (Name::from("mail"), vec![Name::from("alice")], Confidence::Exact);
    Entry::Complaint(Box::new(Complaint { at: AT, by, about, confidence, key: None, evidence }))
}

fn close(case: u64, kept_until: Timestamp) -> Entry {
    let (by, act, reason) = (Name::from("root"), Act::Close { kept_until }, Name::from("cleaned"));
    Entry::Case(Action { at: AT, by, case, act, reason, ticket: None })
}

fn folded(entries: &[Entry]) -> (Views, Vec<Folded>) {
    let (mut views, mut folded) = (Views::new(Arc::default()), Vec::new());
    for (sequence, entry) in (1..).zip(entries) {
        views.fold(AT, sequence, entry, &mut folded);
    }
    (views, folded)
}

#[test]
fn tokens_and_the_chain_go_on_from_a_snapshot_as_if_nothing_had_been() {
    let entries = [token(), question("/a"), question("/b")];
    let (whole, outcomes) = folded(&entries);
    let (before, _) = folded(&entries[..2]);
    let shared = Arc::new(Shared::default());
    let mut views = Views::restore(Arc::clone(&shared), &before.snapshot()).unwrap();
    let mut more = Vec::new();
    views.fold(AT, 3, &entries[2], &mut more);
    assert!(views.are_as(&whole) && more == outcomes[2..]);
    assert!(shared.tokens.load().get(TokenId(7)).is_some());
    assert_eq!(shared.link.load().0, 3);
    let Outcome::Asked(asked, link) = &more[0].outcome else { panic!("{more:?}") };
    assert_eq!((**shared.link.load(), asked.via, asked.role), ((3, *link), Via::Socket, None));
}

#[test]
fn a_case_goes_on_from_a_snapshot_and_goes_at_its_end_with_or_without_an_entry() {
    let case = close(1, AT.plus(Duration::from_secs(60)));
    let (before, told) = folded(&[complaint()]);
    let others = |told: &Folded| matches!(told.outcome, Outcome::Notice(_));
    assert!(!told.is_empty() && told.iter().all(others), "the index has no rows of it");
    let shared = Arc::<Shared>::default();
    let mut views = Views::restore(Arc::clone(&shared), &before.snapshot()).unwrap();
    assert!(views.are_as(&before) && shared.case(1).is_some());
    views.fold(AT, 2, &case, &mut Vec::new());
    let (mut whole, _) = folded(&[complaint(), case]);
    assert!(views.are_as(&whole));
    views.advance(AT.plus(Duration::from_secs(59)), &mut Vec::new());
    assert_eq!(shared.case(1).unwrap().state, State::Closed);
    views.advance(AT.plus(Duration::from_secs(60)), &mut Vec::new());
    assert!(shared.case(1).is_none() && shared.cases().is_empty());
    // A replay looks only when there is an entry, and comes to the same.
    let later = AT.plus(Duration::from_secs(90));
    for views in [&mut views, &mut whole] {
        views.fold(later, 3, &question("/a"), &mut Vec::new());
    }
    assert!(views.are_as(&whole));
}

#[test]
fn a_closed_case_that_an_order_keeps_goes_with_the_order() {
    let later = |seconds| AT.plus(Duration::from_secs(seconds));
    let order = |about: About, until: Option<u64>| {
        let (by, reason) = (Name::from("dpo"), Name::from("4 Js 17/26"));
        let order = PreservationOrder { at: AT, by, about, until: until.map(later), reason };
        Entry::Preservation(Box::new(order))
    };
    let alice = || About::Subscriber(Name::from("alice"));
    let source = || About::Prefix("192.0.2.0/24".parse().unwrap());
    for about in [alice(), source()] {
        let entries = [complaint(), order(about, Some(200)), close(1, later(60))];
        let (mut views, _) = folded(&entries);
        let is_there = |views: &mut Views, seconds| {
            views.advance(later(seconds), &mut Vec::new());
            views.shared.case(1).is_some()
        };
        assert!(is_there(&mut views, 60) && is_there(&mut views, 199));
        assert_eq!(views.shared.case(1).unwrap().kept_until, Some(later(200)), "and it says so");
        assert!(!is_there(&mut views, 200));
    }
    // Two orders; one is lifted, then the other.
    let (mut views, _) =
        folded(&[complaint(), order(alice(), Some(200)), order(source(), Some(150)), close(1, later(60))]);
    views.advance(later(100), &mut Vec::new());
    assert_eq!(views.shared.case(1).unwrap().kept_until, Some(later(200)), "the longer one counts");
    for (sequence, lifted, end) in [(5, alice(), Some(later(150))), (6, source(), None)] {
        views.advance(later(100), &mut Vec::new());
        views.fold(later(100), sequence, &order(lifted, None), &mut Vec::new());
        views.advance(later(100), &mut Vec::new());
        assert_eq!(views.shared.case(1).and_then(|case| case.kept_until), end);
    }
}

#[test]
fn a_snapshot_of_a_version_before_is_read_and_lacks_what_was_not_there_yet() {
    let (views, _) = folded(&[]);
    let before = RestBefore {
        sequence: 0,
        ahead: (Timestamp::EARLIEST, Duration::ZERO),
        sessions: views.machine.image(),
        standing: StandingBefore::default(),
        recent: RecentMessages::default(),
    };
    let mut octets = postcard::to_extend(&before, vec![WITHOUT_CASES]).unwrap();
    let restored = Views::restore(Arc::default(), &octets).unwrap();
    assert!(restored.are_as(&views));
    octets[0] = 2;
    assert!(Views::restore(Arc::default(), &octets).is_err());
    octets[0] = SNAPSHOT + 1;
    assert!(Views::restore(Arc::default(), &octets).is_err());
    let (views, _) = folded(&[complaint(), token(), start("s-1"), start("s-2")]);
    let octets = views.snapshot();
    let ((mut rest, behind, ties, refused), _) = at_rest(SNAPSHOT, &octets[1..]).unwrap();
    rest.sessions = views.machine.image();
    let mut octets = postcard::to_extend(&(rest, behind, ties, refused), vec![IN_ONE]).unwrap();
    assert!(Views::restore(Arc::default(), &octets).unwrap().are_as(&views));
    let without = |octets: &mut Vec<u8>, what: Vec<u8>| octets.truncate(octets.len() - what.len());
    without(&mut octets, postcard::to_stdvec(&(Ties::default(), RefusedAtRest::default())).unwrap());
    octets[0] = WITHOUT_TIES;
    assert!(Views::restore(Arc::default(), &octets).unwrap().are_as(&views));
    without(&mut octets, postcard::to_stdvec(&Behind::default()).unwrap());
    octets[0] = WITHOUT_TRENDS;
    assert!(Views::restore(Arc::default(), &octets).unwrap().are_as(&views));
    octets[0] = SNAPSHOT;
    assert!(Views::restore(Arc::default(), &octets).is_err());
}

#[test]
fn sessions_of_many_parts_come_back_in_whatever_order_they_are_unpacked() {
    let starts: Vec<Entry> = (0..9000).map(|number| start(&format!("s-{number}"))).collect();
    let (views, _) = folded(&starts);
    let octets = views.snapshot();
    let backwards: Both = |one, other| {
        other();
        one();
    };
    let at_once: Both = |one, other| {
        std::thread::scope(|scope| {
            scope.spawn(one);
            other();
        });
    };
    for both in [one_after_the_other, backwards, at_once] {
        let restored = Views::restore_by(Arc::default(), &octets, both).unwrap();
        assert!(restored.machine.sessions() == 9000 && restored.are_as(&views));
    }
    assert!(Views::restore(Arc::default(), &octets[..octets.len() - 1]).is_err());
    let (all, parts) = at_rest(SNAPSHOT, &octets[1..]).unwrap();
    assert_eq!(parts.len(), 3);
    for broken in 0..parts.len() {
        let mut parts = parts.clone();
        parts[broken] = &parts[broken][..100];
        let octets = postcard::to_extend(&(&all.0, &all.1, &all.2, &all.3, parts), vec![SNAPSHOT]).unwrap();
        assert!(Views::restore_by(Arc::default(), &octets, at_once).is_err(), "part {broken}");
    }
}

#[test]
fn trends_go_on_from_a_snapshot_and_remember_what_was_told_and_what_was_dismissed() {
    let webmail = || Subject::Login(Name::from("webmail"));
    let message = |seconds| {
        let at = AT.plus(Duration::from_secs(seconds));
        Entry::Message(Box::new(Message { login: Some(Name::from("webmail")), ..Message::plain(at) }))
    };
    let (name, words) = (Name::from("messages"), Name::from("many"));
    let signal = Signal { at: AT, subject: webmail(), name, value: 2, threshold: 2, words };
    let dismiss = || {
        let act = Act::Dismiss { about: vec![webmail()], kept_until: AT.plus(Duration::from_secs(60)) };
        let (by, reason) = (Name::from("desk"), Name::from("a newsletter"));
        Entry::Case(Action { at: AT, by, case: 3, act, reason, ticket: None })
    };
    let entries = [message(0), message(1), Entry::Signal(Box::new(signal)), message(2), dismiss()];
    let (whole, _) = folded(&entries);
    let (before, _) = folded(&entries[..3]);
    let shared = Arc::<Shared>::default();
    let mut views = Views::restore(Arc::clone(&shared), &before.snapshot()).unwrap();
    views.fold(AT, 4, &entries[3], &mut Vec::new());
    let sender = shared.trends.sender(&webmail()).unwrap();
    assert!(sender.today().odd && sender.today().messages == 3);
    views.fold(AT, 5, &entries[4], &mut Vec::new());
    assert!(views.are_as(&whole));
    assert!(!shared.trends.sender(&webmail()).unwrap().today().odd, "what he did is usual for him");
}

#[test]
fn an_order_from_a_case_holds_names_the_case_and_goes_on_from_a_snapshot() {
    let alice = || Subject::Subscriber(Name::from("alice"));
    let act = |order| {
        let (by, act, reason) = (Name::from("desk"), Act::Order(alice(), order), Name::from("open proxy"));
        Entry::Case(Action { at: AT, by, case: 1, act, reason, ticket: None })
    };
    let (before, mut told) = folded(&[complaint(), act(Order::Suspend { until: None })]);
    told.retain(|told| !matches!(told.outcome, Outcome::Notice(_)));
    assert!(matches!(&told[..], [Folded { sequence: 2, outcome: Outcome::Command(_) }]), "{told:?}");
    let shared = Arc::<Shared>::default();
    let mut views = Views::restore(Arc::clone(&shared), &before.snapshot()).unwrap();
    let suspension = shared.standing.load().suspension(&alice(), AT).cloned().unwrap();
    assert_eq!((suspension.reference, suspension.case), (2, Some(1)));
    assert_eq!(shared.case(1).unwrap().history.len(), 2);
    views.fold(AT, 3, &act(Order::Limit { until: None }), &mut Vec::new());
    assert!(shared.standing.load().limited(&alice(), AT).is_some());
    views.fold(AT, 4, &act(Order::Release), &mut Vec::new());
    assert!(shared.standing.load().in_force(AT).is_empty());
    // The case may have gone between the order and its commit: whoever gave it was told that it holds.
    let mut gone = act(Order::Suspend { until: None });
    if let Entry::Case(action) = &mut gone {
        action.case = 99;
    }
    views.fold(AT, 5, &gone, &mut Vec::new());
    assert!(shared.standing.load().suspension(&alice(), AT).is_some());
}

/// What a NAS said about a session of alice, for the case of the first entry.
fn said(session: &str, said: Said) -> Entry {
    let session = SessionKey { nas: Name::from("bras1"), id: Name::from(session), incarnation: AT };
    Entry::Coa(Box::new(Told {
        at: AT,
        session,
        subscriber: Name::from("alice"),
        reference: 2,
        case: Some(1),
        act: line::Act::Restrict,
        means: Means::Coa,
        said,
        words: Name::from("acknowledged"),
    }))
}

/// A session of alice begins.
fn start(session: &str) -> Entry {
    let record = Record::bare(Kind::Start, Name::from("bras1"), Name::from(session), AT);
    let subscriber = Some(Name::from("alice"));
    Entry::Session(Event::Record(Box::new(Record { subscriber, ..record })))
}

#[test]
fn what_a_nas_said_stands_in_its_case_and_goes_on_from_a_snapshot() {
    let alice = Subject::Subscriber(Name::from("alice"));
    let (by, reason) = (Name::from("desk"), Name::from("open proxy"));
    let act = Act::Order(alice, Order::Suspend { until: None });
    let suspend = Entry::Case(Action { at: AT, by, case: 1, act, reason, ticket: None });
    let (silence, asked) = (said("s2", Said::Silence), said("s1", Said::Asked));
    let entries = [complaint(), suspend, start("s1"), start("s2"), silence, asked, said("s1", Said::Ack)];
    let (whole, _) = folded(&entries);
    let (before, _) = folded(&entries[..6]);
    let shared = Arc::<Shared>::default();
    let mut views = Views::restore(Arc::clone(&shared), &before.snapshot()).unwrap();
    views.fold(AT, 7, &entries[6], &mut Vec::new());
    assert!(views.are_as(&whole));
    let lines = shared.lines.load();
    let known: Vec<_> = lines.of(&Name::from("alice")).iter().map(|line| line.told.said).collect();
    assert_eq!(known, [Said::Silence, Said::Ack]);
    let case = shared.case(1).unwrap();
    let last = case.history.last().unwrap();
    assert_eq!((case.history.len(), last.what.word(), last.sequence), (4, "access", 7));
    let note = last.note.as_ref().unwrap().to_string();
    assert_eq!(note, "CoA-Request to restrict session s1 of bras1: acknowledged");
}

#[test]
fn a_limit_until_delisted_goes_on_from_a_snapshot_between_the_delisting_and_its_end() {
    let alice = || Subject::Subscriber(Name::from("alice"));
    let (list, address) = (Name::from("zen"), "192.0.2.25".parse().unwrap());
    let signal = Signal {
        at: AT,
        subject: alice(),
        name: Name::from("messages"),
        value: 90,
        threshold: 2,
        words: Name::from("many"),
    };
    let (answers, text, suspects) = (Vec::new(), None, vec![signal]);
    let listing = Listing { at: AT, address, list: list.clone(), answers, text, suspects };
    let act = |order| {
        let (by, act) = (Name::from("rule:listed"), Act::Order(alice(), order));
        Entry::Case(Action { at: AT, by, case: 1, act, reason: Name::from("r"), ticket: None })
    };
    let entries = [
        Entry::Listing(Box::new(listing)),
        act(Order::UntilDelisted),
        close(1, AT.plus(Duration::from_secs(60))),
        Entry::Delisted(Box::new(Delisted { at: AT, address, list })),
        act(Order::Delisted),
    ];
    let (whole, _) = folded(&entries);
    let (before, _) = folded(&entries[..4]);
    let shared = Arc::<Shared>::default();
    let mut views = Views::restore(Arc::clone(&shared), &before.snapshot()).unwrap();
    assert!(shared.standing.load().limited(&alice(), AT).is_some());
    let [end] = &delistings(&shared.standing.load(), AT)[..] else { panic!("one is to be ended") };
    let mut told = Vec::new();
    views.fold(AT, 5, &Entry::Case(Action { reason: Name::from("r"), ..end.clone() }), &mut told);
    assert!(views.are_as(&whole), "whichever way it came there");
    assert!(shared.standing.load().in_force(AT).is_empty());
    let words = |told: &[Folded]| -> Vec<&str> {
        let word = |told: &Folded| match &told.outcome {
            Outcome::Notice(notice) => Some(notice.kind.word()),
            Outcome::Command(_) => Some("command"),
            _ => None,
        };
        told.iter().filter_map(word).collect()
    };
    assert_eq!(words(&told), ["released", "command"]);
    // Whom somebody has suspended meanwhile is not let go, and nobody is told so.
    let mut told = Vec::new();
    let (mut views, _) = folded(&entries[..4]);
    views.fold(AT, 5, &act(Order::Suspend { until: None }), &mut Vec::new());
    views.fold(AT, 6, &act(Order::Delisted), &mut told);
    assert_eq!(words(&told), ["command"]);
    assert!(views.shared.standing.load().suspension(&alice(), AT).is_some());
    let mut told = Vec::new();
    let mut views = Views::restore(Arc::clone(&shared), &whole.snapshot()).unwrap();
    // A second end, and an order about a listing that is over, come too late and stand nowhere.
    told.clear();
    views.fold(AT, 6, &act(Order::Delisted), &mut told);
    views.fold(AT, 7, &act(Order::UntilDelisted), &mut told);
    assert!(told.is_empty() && shared.standing.load().in_force(AT).is_empty(), "{told:?}");
    assert_eq!(shared.case(1).unwrap().history.len(), 5);
}

#[test]
fn an_order_that_runs_out_is_told_once_by_its_own_number_and_one_that_was_ended_before_is_not() {
    let (until, whom) = (AT.plus(Duration::from_secs(60)), |name: &str| Subject::Login(Name::from(name)));
    let order = |name: &str, order| {
        let (by, reason) = (Name::from("desk"), Name::from("spam"));
        Entry::Command(Command { at: AT, by, subject: whom(name), order, reason })
    };
    let suspend = Order::Suspend { until: Some(until) };
    let entries = [
        order("alice", suspend),
        order("bob", suspend),
        order("bob", Order::Release),
        order("carol", Order::Limit { until: Some(until) }),
        order("dora", Order::Suspend { until: None }),
    ];
    let (views, _) = folded(&entries);
    let shared = Arc::<Shared>::default();
    let mut restored = Views::restore(Arc::clone(&shared), &views.snapshot()).unwrap();
    let mut folded = Vec::new();
    restored.advance(until.minus(Duration::from_millis(1)), &mut folded);
    assert_eq!(folded, []);
    restored.advance(until, &mut folded);
    let told: Vec<_> = folded
        .iter()
        .filter_map(|told| match &told.outcome {
            Outcome::Notice(notice) => Some((notice.id(told.sequence, 0), notice.about.clone(), notice.at)),
            _ => None,
        })
        .collect();
    let expected = [("1-ended", "alice"), ("4-ended", "carol")];
    assert_eq!(told, expected.map(|(id, name)| (id.to_owned(), vec![whom(name)], Some(until))));
    folded.clear();
    restored.advance(until.plus(Duration::from_secs(1)), &mut folded);
    assert_eq!(folded, [], "once");
    assert_eq!(shared.standing.load().in_force(AT).len(), 1, "dora is suspended until released");
}

#[test]
fn a_token_and_an_order_to_keep_go_by_time_alone_with_or_without_a_snapshot_between() {
    let day = |days: u64| AT.plus(Duration::from_secs(days * 24 * 3600));
    let (by, reason, about) =
        (Name::from("dpo"), Name::from("4 Js 17/26"), About::Subscriber(Name::from("alice")));
    let kept = PreservationOrder { at: AT, by: by.clone(), about, until: Some(day(20)), reason };
    let revoked = TokenOrder { at: AT, by, id: TokenId(7), verb: Verb::Revoke };
    let entries = [token(), Entry::Preservation(Box::new(kept)), Entry::Token(Box::new(revoked))];
    let (mut views, _) = folded(&entries);
    for again in [false, true] {
        let there = |views: &mut Views, days| {
            views.advance(day(days), &mut Vec::new());
            let (tokens, preserved) = (views.shared.tokens.load(), views.shared.preserved.load());
            let snapshot = views.snapshot();
            let spelled = snapshot.windows(5).any(|octets| octets == b"alice");
            let is_about = preserved.next_end().is_some();
            assert_eq!(is_about, spelled, "day {days}");
            (tokens.get(TokenId(7)).is_some(), spelled)
        };
        if again {
            views = Views::restore(Arc::default(), &folded(&entries).0.snapshot()).unwrap();
        }
        assert_eq!(there(&mut views, 19), (true, true));
        assert_eq!(there(&mut views, 20), (true, false));
        assert_eq!(there(&mut views, 89), (true, false));
        assert_eq!(there(&mut views, 90), (false, false));
    }
}
