//! Which entries tell of what.
//!
//! Knows: entries about cases and standing, and alarms about NASes. Must not know: who is told, or how that is spelled.

use super::{Kind, Notice};
use crate::log::entry::Entry;
use crate::relay::case::{Act, Action, Case, Evidence, State};
use crate::relay::signal::{Delisted, Listing};
use crate::relay::standing::{Command, Held, Order, Subject, Suspension};
use crate::session::effect::Alarm;
use crate::session::{Name, Timestamp};

/// What an entry of this sequence tells of, in order; `case` is the one that it changed, as it is now.
#[must_use]
pub fn told(sequence: u64, entry: &Entry, case: Option<&Case>) -> Vec<Notice> {
    let named = case.map(|case| (case.id, Some(case.kind)));
    let (at, news, opened) = match entry {
        Entry::Command(command) => return vec![ordered(command)],
        Entry::Case(action) => return acted(action, case).into_iter().collect(),
        Entry::Delisted(delisted) => {
            let Delisted { at, address, list } = (**delisted).clone();
            let (answers, text, suspects) = (Vec::new(), None, Vec::new());
            let evidence = Evidence::Listing(Listing { at, address, list, answers, text, suspects });
            return vec![Notice { case: named, ..with(Kind::Delisted, at, evidence) }];
        }
        Entry::CaseOpened(opened) => {
            let opened = Notice {
                about: vec![opened.about.clone()],
                by: Some(opened.by.clone()),
                reason: Some(opened.reason.clone()),
                ticket: opened.ticket.clone(),
                ..Notice::bare(Kind::CaseOpened, Some(opened.at))
            };
            return vec![Notice { case: named, ..opened }];
        }
        Entry::Complaint(complaint) => {
            let about = complaint.about.iter().cloned().map(Subject::Subscriber).collect();
            let evidence = Evidence::Complaint(complaint.evidence.clone());
            let by = Some(complaint.by.clone());
            let news = Notice { about, by, ..with(Kind::Complaint, complaint.at, evidence) };
            (complaint.at, news, sequence)
        }
        Entry::Signal(signal) => {
            let about = vec![signal.subject.clone()];
            let news =
                Notice { about, ..with(Kind::Signal, signal.at, Evidence::Signal((**signal).clone())) };
            (signal.at, news, sequence)
        }
        Entry::Listing(listing) => {
            let evidence = Evidence::Listing((**listing).clone());
            let mut about: Vec<_> = listing.suspects.iter().map(|suspect| suspect.subject.clone()).collect();
            about.sort_unstable();
            about.dedup();
            (listing.at, Notice { about, ..with(Kind::Listing, listing.at, evidence) }, sequence)
        }
        _ => return Vec::new(),
    };
    let news = Notice { case: named, ..news };
    // A case is called by the entry that opened it: any other one has joined it.
    let is_new = case.is_some_and(|case| case.id == opened);
    let opened = Notice { kind: Kind::CaseOpened, at: Some(at), ..news.clone() };
    std::iter::once(news).chain(is_new.then_some(opened)).collect()
}

/// What it tells that an order has run out; `case` is the one from which it was ordered, if that is still there.
#[must_use]
pub fn ended(subject: &Subject, held: Held, order: &Suspension, case: Option<&Case>) -> Notice {
    let until = order.until;
    Notice {
        about: vec![subject.clone()],
        by: Some(order.by.clone()),
        reason: Some(order.reason.clone()),
        order: Some(match held {
            Held::Suspended => Order::Suspend { until },
            Held::Limited => Order::Limit { until },
        }),
        case: order.case.map(|id| (id, case.map(|case| case.kind))),
        order_entry: Some(order.reference),
        ..Notice::bare(Kind::Ended, until)
    }
}

/// What an alarm tells of; most of them are for staff alone.
#[must_use]
pub fn of_alarm(alarm: &Alarm) -> Option<Notice> {
    let (kind, nas) = match alarm {
        Alarm::NasSilent { nas } => (Kind::FeedSilent, nas),
        Alarm::NasHeard { nas } => (Kind::FeedHeard, nas),
        Alarm::Conflict { .. } | Alarm::Crowd { .. } | Alarm::ClaimsDropped { .. } => return None,
    };
    Some(Notice { nas: Some(nas.clone()), ..Notice::bare(kind, None) })
}

fn with(kind: Kind, at: Timestamp, evidence: Evidence) -> Notice {
    Notice { evidence: Some(evidence), ..Notice::bare(kind, Some(at)) }
}

fn of_order(order: Order) -> Kind {
    match order {
        Order::Suspend { .. } => Kind::Suspended,
        Order::Limit { .. } | Order::UntilDelisted => Kind::Limited,
        Order::Release | Order::Delisted => Kind::Released,
    }
}

fn ordered(command: &Command) -> Notice {
    Notice {
        about: vec![command.subject.clone()],
        by: Some(command.by.clone()),
        reason: Some(command.reason.clone()),
        order: Some(command.order),
        ..Notice::bare(of_order(command.order), Some(command.at))
    }
}

/// A note is between those who work on the case.
fn acted(action: &Action, case: Option<&Case>) -> Option<Notice> {
    let (kind, order) = match &action.act {
        Act::Note => return None,
        Act::Close { .. } | Act::Dismiss { .. } => {
            // Two may close it at once, and it was news when the first one did.
            case.filter(|case| case.state == State::Closed && is_first_end(case, action))?;
            (Kind::CaseClosed, None)
        }
        Act::Order(_, order) => (of_order(*order), Some(*order)),
        Act::Observed(_, order) => (Kind::RuleObserved, Some(*order)),
        Act::Called(_, order) => (Kind::RuleCalled, Some(*order)),
    };
    let about = match (action.act.subject(), case) {
        (Some(subject), _) => vec![subject.clone()],
        (None, Some(case)) => case.about.clone(),
        (None, None) => Vec::new(),
    };
    Some(Notice {
        case: Some((action.case, case.map(|case| case.kind))),
        about,
        by: Some(action.by.clone()),
        reason: Some(action.reason.clone()).filter(|reason| *reason != Name::from("")),
        ticket: action.ticket.clone(),
        order,
        ..Notice::bare(kind, Some(action.at))
    })
}

fn is_first_end(case: &Case, action: &Action) -> bool {
    use crate::relay::case::Happened;
    let ends =
        case.history.iter().filter(|event| matches!(event.what, Happened::Closed | Happened::Dismissed));
    ends.count() == 1 && case.id == action.case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::case::{Cases, Opened};
    use crate::relay::signal::Signal;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn alice() -> Subject {
        Subject::Subscriber(Name::from("alice"))
    }

    fn action(act: Act) -> Action {
        Action { at: AT, by: Name::from("rule:flood"), case: 7, act, reason: Name::from("r"), ticket: None }
    }

    fn kinds(told: &[Notice]) -> Vec<&'static str> {
        told.iter().map(|notice| notice.kind.word()).collect()
    }

    #[test]
    fn what_opens_a_case_tells_of_both_and_what_joins_one_of_itself_alone() {
        let signal = Signal {
            at: AT,
            subject: alice(),
            name: Name::from("messages"),
            value: 1024,
            threshold: 40,
            words: Name::from("1,024 messages today; 3 to 14 on the last 28 days"),
        };
        let mut cases = Cases::default();
        let mut tell = |sequence| {
            let changed = cases.signal(sequence, &signal);
            let case = changed.cases.first().and_then(|id| cases.get(*id)).map(|case| &**case);
            told(sequence, &Entry::Signal(Box::new(signal.clone())), case)
        };
        let first = tell(7);
        assert_eq!(kinds(&first), ["signal", "case-opened"]);
        assert!(first.iter().all(|notice| notice.case.unwrap().0 == 7 && notice.about == [alice()]));
        let second = tell(9);
        assert_eq!((kinds(&second), second[0].case.unwrap().0), (vec!["signal"], 7));
    }

    #[test]
    fn each_act_tells_of_what_it_does_and_a_note_of_nothing() {
        let mut cases = Cases::default();
        let (by, reason) = (Name::from("desk"), Name::from("called"));
        let opened = Opened { at: AT, by, about: alice(), reason, ticket: None };
        cases.open(7, &opened);
        let case = |cases: &Cases| cases.get(7).map(|case| (**case).clone());
        assert_eq!(
            kinds(&told(7, &Entry::CaseOpened(Box::new(opened)), case(&cases).as_ref())),
            ["case-opened"]
        );
        let until = None;
        let end = || Act::Close { kept_until: AT };
        for (act, expected) in [
            (Act::Note, None),
            (Act::Observed(alice(), Order::Limit { until }), Some("rule-observed")),
            (Act::Called(alice(), Order::Limit { until }), Some("rule-called")),
            (Act::Order(alice(), Order::Limit { until }), Some("limited")),
            (Act::Order(alice(), Order::Suspend { until }), Some("suspended")),
            (Act::Order(alice(), Order::Release), Some("released")),
            (end(), Some("case-closed")),
            (end(), None),
        ] {
            let action = action(act);
            cases.act(8, &action);
            let told = told(8, &Entry::Case(action.clone()), case(&cases).as_ref());
            assert_eq!(told.first().map(|notice| notice.kind.word()), expected, "{action:?}");
            assert!(told.iter().all(|notice| notice.about == [alice()] && notice.case.unwrap().0 == 7));
        }
        // It has gone meanwhile; whoever was suspended is suspended.
        let order = action(Act::Order(alice(), Order::Suspend { until }));
        assert_eq!(kinds(&told(9, &Entry::Case(order), None)), ["suspended"]);
    }

    #[test]
    fn an_alarm_tells_of_a_nas_that_is_silent_or_heard_and_of_nothing_else() {
        let nas = Name::from("bras1");
        let word = |alarm| of_alarm(&alarm).map(|notice| notice.kind.word());
        assert_eq!(word(Alarm::NasSilent { nas: nas.clone() }), Some("feed-silent"));
        assert_eq!(word(Alarm::NasHeard { nas: nas.clone() }), Some("feed-heard"));
        assert_eq!(word(Alarm::Crowd { subscriber: nas, sessions: 9 }), None);
    }

    #[test]
    fn the_end_of_a_listing_tells_of_itself_with_the_case_that_it_was() {
        let (address, list) = ("192.0.2.25".parse().unwrap(), Name::from("zen"));
        let entry = Entry::Delisted(Box::new(Delisted { at: AT, address, list }));
        let told = told(7, &entry, None);
        assert_eq!((kinds(&told), told[0].case, told[0].about.len()), (vec!["delisted"], None, 0));
        assert!(matches!(&told[0].evidence, Some(Evidence::Listing(listing)) if listing.address == address));
    }

    #[test]
    fn messages_and_questions_tell_nobody() {
        assert_eq!(told(7, &Entry::Alive { ahead: std::time::Duration::ZERO }, None), []);
        assert_eq!(told(7, &Entry::Attempts(Vec::new()), None), []);
    }
}
