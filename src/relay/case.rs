//! Cases: what a human should look at, as a fold over complaints and what staff did about them.
//!
//! A case is about the subscribers that it may have been, with the confidence of that; it has evidence, a history and a
//! state. Whatever opens a case or acts on one is an entry of its own; kinds of either are added at the end of their lists.
//!
//! An open case waits for somebody, however old it is. Whoever closes it says until when it is kept, by the rules of that moment;
//! what must be kept longer is asked about then.
//!
//! Knows: entries about cases. Must not know: how a complaint was read, how a subscriber was found, or for how long anything
//! is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::confidence::Confidence;
use super::signal::{Listing, Signal};
use super::standing::Subject;
use crate::session::{Name, Timestamp};

/// So many cases are kept. Beyond that the oldest closed one goes first, and an open one only where none is closed.
const CASES_MAX: usize = 10_000;
/// So many pieces of evidence of one case are kept; further ones are counted.
const EVIDENCE_MAX: usize = 20;
/// So much of the history of one case is kept, the newest; what opened it stays.
const HISTORY_MAX: usize = 100;
/// So many messages of one complaint are named.
pub const MESSAGES_MAX: usize = 20;

/// A complaint that was taken; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// When it was taken.
    pub at: Timestamp,
    /// By whom it was handed in: see [`crate::access::Asker::name`].
    pub by: Name,
    /// Whom it may be about, as found when it came.
    pub about: Vec<Name>,
    /// How far that can be trusted.
    pub confidence: Confidence,
    /// Who complains and of which message; a second complaint with the same belongs to the same case.
    pub key: Option<(Name, Name)>,
    /// What it says.
    pub evidence: Reported,
}

/// What a complaint says, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// `arf` or `x-arf`.
    pub form: Name,
    /// What is complained about.
    pub feedback: Option<Name>,
    /// Who complains.
    pub reporter: Option<Name>,
    /// The source address it names.
    pub address: Option<IpAddr>,
    /// The source port it names.
    pub port: Option<u16>,
    /// When the message arrived there.
    pub arrival: Option<Timestamp>,
    /// Message-ID.
    pub message_id: Option<Name>,
    /// The token in the message's header.
    pub token: Option<Name>,
    /// Messages that were written down and match: mail server and queue id.
    pub messages: Vec<(Name, Name)>,
    /// By which ways it was found whose it is.
    pub found_by: Vec<Name>,
}

/// What staff does to a case; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When.
    pub at: Timestamp,
    /// Who: see [`crate::access::Asker::name`].
    pub by: Name,
    /// Which case.
    pub case: u64,
    /// What.
    pub act: Act,
    /// Why.
    pub reason: Name,
}

/// What can be done to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// It is dealt with.
    Close {
        /// Until when it is kept: how long that is changes, and a replay must not change what is there.
        kept_until: Timestamp,
    },
}

/// What opened a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A complaint.
    Complaint,
    /// A signal: somebody sends as they never did.
    Signal,
    /// A block list has one of our own addresses.
    Listing,
}

impl Kind {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Complaint => "complaint",
            Kind::Signal => "signal",
            Kind::Listing => "listing",
        }
    }
}

/// Whether a case waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It does.
    Open,
    /// It is dealt with.
    Closed,
}

impl State {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Closed => "closed",
        }
    }
}

/// What speaks for a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// A complaint.
    Complaint(Reported),
    /// A signal.
    Signal(Signal),
    /// A listing.
    Listing(Listing),
}

/// What happened to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// It was opened.
    Opened,
    /// More came of the same.
    Joined,
    /// Staff closed it.
    Closed,
}

impl Happened {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Happened::Opened => "opened",
            Happened::Joined => "joined",
            Happened::Closed => "closed",
        }
    }
}

/// A line of the history of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Sequence of the entry.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Name,
    /// What.
    pub what: Happened,
    /// Why, in the words of whoever did it.
    pub note: Option<Name>,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Sequence of the entry that opened it.
    pub id: u64,
    /// When it was opened.
    pub opened: Timestamp,
    /// By what.
    pub kind: Kind,
    /// Whom it may be about.
    pub about: Vec<Name>,
    /// How far that can be trusted.
    pub confidence: Confidence,
    /// Whether it waits for somebody.
    pub state: State,
    /// What speaks for it, the first pieces.
    pub evidence: Vec<Evidence>,
    /// How many pieces there were.
    pub evidence_count: u64,
    /// What happened, oldest first.
    pub history: Vec<Event>,
    /// When it goes; `None`: not before it is closed.
    pub kept_until: Option<Timestamp>,
    /// What was said of that when it was closed.
    wanted_until: Option<Timestamp>,
    key: Option<(Name, Name)>,
}

impl Case {
    /// Source addresses that its evidence names.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.evidence.iter().filter_map(|evidence| match evidence {
            Evidence::Complaint(reported) => reported.address.map(|address| address.to_canonical()),
            // One of our own is nobody's.
            Evidence::Signal(_) | Evidence::Listing(_) => None,
        })
    }

    fn note(&mut self, event: Event) {
        if self.history.len() >= HISTORY_MAX {
            // What opened it stays first.
            self.history.remove(1);
        }
        self.history.push(event);
    }
}

/// Which cases an entry has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Those that are others now.
    pub cases: Vec<u64>,
    /// Those that have gone.
    pub gone: Vec<u64>,
}

impl Changed {
    fn one(case: u64, gone: Vec<u64>) -> Changed {
        Changed { cases: vec![case], gone }
    }
}

/// By whom cases are opened that nobody handed in.
const DAEMON: &str = "relaywarden";

/// What opens a case, or joins one.
struct Opening {
    sequence: u64,
    at: Timestamp,
    by: Name,
    kind: Kind,
    about: Vec<Name>,
    confidence: Confidence,
    /// The same opens one once.
    key: Option<(Name, Name)>,
    evidence: Evidence,
}

/// All cases. A view: rebuilt from the log. Each case is shared as a value, so that what one entry costs does not grow with
/// their number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cases {
    cases: BTreeMap<u64, Arc<Case>>,
    by_key: BTreeMap<(Name, Name), u64>,
    ends: BTreeSet<(Timestamp, u64)>,
}

impl Cases {
    /// Folds a complaint: it opens a case, or joins the one that the same complaint has opened before. A closed case stays
    /// closed then: the same report again says nothing new.
    pub fn complain(&mut self, sequence: u64, complaint: &Complaint) -> Changed {
        self.take(Opening {
            sequence,
            at: complaint.at,
            by: complaint.by.clone(),
            kind: Kind::Complaint,
            about: complaint.about.clone(),
            confidence: complaint.confidence,
            key: complaint.key.clone(),
            evidence: Evidence::Complaint(complaint.evidence.clone()),
        })
    }

    /// Folds a signal: it joins the open case that earlier signals of the same sender have opened, or opens one.
    pub fn signal(&mut self, sequence: u64, signal: &Signal) -> Changed {
        let (kind, name) = match &signal.subject {
            Subject::Subscriber(name) => ("signal of subscriber", name),
            Subject::Login(name) => ("signal of login", name),
        };
        self.take(Opening {
            sequence,
            at: signal.at,
            by: Name::from(DAEMON),
            kind: Kind::Signal,
            about: signal.subject.subscriber().cloned().into_iter().collect(),
            confidence: Confidence::Exact,
            key: Some((Name::from(kind), name.clone())),
            evidence: Evidence::Signal(signal.clone()),
        })
    }

    /// Folds a listing: it joins the open case of the same address and list, or opens one. Who stands out is a suspect and no more.
    pub fn listing(&mut self, sequence: u64, listing: &Listing) -> Changed {
        let mut about: Vec<Name> =
            listing.suspects.iter().filter_map(|signal| signal.subject.subscriber().cloned()).collect();
        about.sort_unstable();
        about.dedup();
        // Any of them may be it, or somebody who does not stand out.
        let confidence = if about.is_empty() { Confidence::Unknown } else { Confidence::Ambiguous };
        let address = Name::from(listing.address.to_string().as_str());
        self.take(Opening {
            sequence,
            at: listing.at,
            by: Name::from(DAEMON),
            kind: Kind::Listing,
            about,
            confidence,
            key: Some((listing.list.clone(), address)),
            evidence: Evidence::Listing(listing.clone()),
        })
    }

    fn take(&mut self, opening: Opening) -> Changed {
        let Opening { sequence, at, by, kind, about, confidence, key, evidence } = opening;
        let event = |what| Event { sequence, at, by, what, note: None };
        let known = key.as_ref().and_then(|key| self.by_key.get(key)).copied();
        let known = known.and_then(|id| self.cases.get_mut(&id));
        if let Some(case) = known.filter(|case| kind == Kind::Complaint || case.state == State::Open) {
            let case = Arc::make_mut(case);
            case.evidence_count = case.evidence_count.saturating_add(1);
            if case.evidence.len() < EVIDENCE_MAX && !case.evidence.contains(&evidence) {
                case.evidence.push(evidence);
            }
            case.note(event(Happened::Joined));
            return Changed::one(case.id, Vec::new());
        }
        let gone = self.make_room();
        if let Some(key) = key.clone() {
            self.by_key.insert(key, sequence);
        }
        let case = Case {
            id: sequence,
            opened: at,
            kind,
            about,
            confidence,
            state: State::Open,
            evidence: vec![evidence],
            evidence_count: 1,
            history: vec![event(Happened::Opened)],
            kept_until: None,
            wanted_until: None,
            key,
        };
        self.cases.insert(sequence, Arc::new(case));
        Changed::one(sequence, gone)
    }

    /// Folds what staff did. A case that has gone meanwhile stays gone.
    pub fn act(&mut self, sequence: u64, action: &Action) -> Changed {
        let Some(case) = self.cases.get_mut(&action.case) else { return Changed::default() };
        let case = Arc::make_mut(case);
        let what = match action.act {
            Act::Close { kept_until } => {
                // Two may close it at once.
                end(&mut self.ends, case, kept_until);
                case.wanted_until = Some(kept_until);
                case.state = State::Closed;
                Happened::Closed
            }
        };
        let note = Some(action.reason.clone());
        case.note(Event { sequence, at: action.at, by: action.by.clone(), what, note });
        Changed::one(case.id, Vec::new())
    }

    fn make_room(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        while self.cases.len() >= CASES_MAX {
            let closed = self.cases.values().find(|case| case.state == State::Closed).map(|case| case.id);
            let oldest = closed.or_else(|| self.cases.keys().next().copied());
            let Some(oldest) = oldest else { break };
            self.forget(oldest);
            all.push(oldest);
        }
        all
    }

    /// Lets cases go that were to be kept until this moment, but for what must be kept longer: that is asked about as it was at
    /// the case's end, so that it does not matter when somebody looks.
    pub fn advance(
        &mut self,
        at: Timestamp,
        kept_longer: impl Fn(&Case, Timestamp) -> Option<Timestamp>,
    ) -> Changed {
        let mut changed = Changed::default();
        while let Some(&(due, id)) = self.ends.first().filter(|(end, _)| *end <= at) {
            let case = self.cases.get_mut(&id);
            let longer = case.and_then(|case| {
                let until = kept_longer(case, due).filter(|until| *until > due)?;
                Some((Arc::make_mut(case), until))
            });
            match longer {
                Some((case, until)) => {
                    end(&mut self.ends, case, until);
                    changed.cases.push(id);
                }
                None => {
                    self.forget(id);
                    self.ends.remove(&(due, id));
                    changed.gone.push(id);
                }
            }
        }
        changed
    }

    /// What must be kept longer is something else now: who is kept for it is asked about again.
    pub fn reconsider(&mut self) -> Changed {
        let mut changed = Changed::default();
        for case in self.cases.values_mut() {
            if let Some(wanted) = case.wanted_until.filter(|wanted| Some(*wanted) != case.kept_until) {
                end(&mut self.ends, Arc::make_mut(case), wanted);
                changed.cases.push(case.id);
            }
        }
        changed
    }

    fn forget(&mut self, id: u64) {
        let Some(case) = self.cases.remove(&id) else { return };
        if let Some(key) = &case.key
            && self.by_key.get(key) == Some(&id)
        {
            self.by_key.remove(key);
        }
        if let Some(end) = case.kept_until {
            self.ends.remove(&(end, id));
        }
    }

    /// The case of this number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Arc<Case>> {
        self.cases.get(&id)
    }

    /// All of them, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Case>> {
        self.cases.values().rev()
    }
}

/// Says when a case goes.
fn end(ends: &mut BTreeSet<(Timestamp, u64)>, case: &mut Case, until: Timestamp) {
    if let Some(before) = case.kept_until.replace(until) {
        ends.remove(&(before, case.id));
    }
    ends.insert((until, case.id));
}

#[cfg(test)]
mod tests {
    use super::*;

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
        Action { at, by, case, act, reason: Name::from("cleaned") }
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
        assert_eq!((about(11), about(9)), (vec![Name::from("alice")], Vec::new()));
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
        let other = Listing { list: Name::from("bl.example.org"), ..listing };
        assert_eq!(cases.listing(9, &other).cases, [9]);
        let case = cases.get(7).unwrap();
        assert_eq!(
            (&case.about, case.confidence),
            (&vec![Name::from("alice"), Name::from("bob")], Confidence::Ambiguous)
        );
        assert_eq!(case.addresses().next(), None, "our own address is nobody's");
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
}
