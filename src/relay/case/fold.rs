//! All cases, as a fold over entries: which of them opens one, joins one, or changes one, and which goes when.
//!
//! Knows: what belongs to the same case, and how many there are room for. Must not know: who may do what to a case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    ABOUT_MAX, Act, Action, CASES_MAX, Case, Complaint, EVIDENCE_MAX, Event, Evidence, Happened, Kind,
    Opened, State,
};
use crate::relay::confidence::Confidence;
use crate::relay::line::{Said, Told};
use crate::relay::signal::{Delisted, Listing, Signal};
use crate::relay::standing::{Order, Subject};
use crate::session::{Name, Timestamp};

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
    about: Vec<Subject>,
    confidence: Confidence,
    /// The same opens one once.
    key: Option<(Name, Name)>,
    evidence: Option<Evidence>,
    /// Why, where a human says so.
    note: Option<Name>,
    ticket: Option<Name>,
}

/// All cases. A view: rebuilt from the log. Each case is shared as a value, so that what one entry costs does not grow with
/// their number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cases {
    cases: BTreeMap<u64, Arc<Case>>,
    pub(super) by_key: BTreeMap<(Name, Name), u64>,
    pub(super) ends: BTreeSet<(Timestamp, u64)>,
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
            about: complaint.about.iter().cloned().map(Subject::Subscriber).collect(),
            confidence: complaint.confidence,
            key: complaint.key.clone(),
            evidence: Some(Evidence::Complaint(complaint.evidence.clone())),
            note: None,
            ticket: None,
        })
    }

    /// Folds what somebody of the staff opens: always a case of its own.
    pub fn open(&mut self, sequence: u64, opened: &Opened) -> Changed {
        self.take(Opening {
            sequence,
            at: opened.at,
            by: opened.by.clone(),
            kind: Kind::Staff,
            about: vec![opened.about.clone()],
            confidence: Confidence::Exact,
            key: None,
            evidence: None,
            note: Some(opened.reason.clone()),
            ticket: opened.ticket.clone(),
        })
    }

    /// Folds a signal: it joins the open case that earlier signals of the same sender have opened, or opens one.
    pub fn signal(&mut self, sequence: u64, signal: &Signal) -> Changed {
        let (kind, name) = match &signal.subject {
            Subject::Subscriber(name) => ("signal of subscriber", name),
            Subject::Login(name) => ("signal of login", name),
            Subject::Within(name) => ("signal within", name),
        };
        self.take(Opening {
            sequence,
            at: signal.at,
            by: Name::from(DAEMON),
            kind: Kind::Signal,
            about: vec![signal.subject.clone()],
            confidence: Confidence::Exact,
            key: Some((Name::from(kind), name.clone())),
            evidence: Some(Evidence::Signal(signal.clone())),
            note: None,
            ticket: None,
        })
    }

    /// Folds a listing: it joins the open case of the same address and list, or opens one. Who stands out is a suspect and no more.
    pub fn listing(&mut self, sequence: u64, listing: &Listing) -> Changed {
        let mut about: Vec<Subject> = listing.suspects.iter().map(|signal| signal.subject.clone()).collect();
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
            evidence: Some(Evidence::Listing(listing.clone())),
            note: None,
            ticket: None,
        })
    }

    /// Folds the end of a listing: each case about it says so, whoever closed it. Comes the address on that list again, rules act on
    /// the case anew: it is another listing.
    pub fn delisted(&mut self, sequence: u64, delisted: &Delisted) -> Changed {
        let mut changed = Changed::default();
        for case in self.cases.values_mut().rev() {
            let is_it =
                |listing: &Listing| listing.list == delisted.list && listing.address == delisted.address;
            if !case.is_listed().is_some_and(is_it) {
                continue;
            }
            let case = Arc::make_mut(case);
            case.ruled.clear();
            case.note(Event::new(sequence, delisted.at, Name::from(DAEMON), Happened::Delisted));
            changed.cases.push(case.id);
        }
        changed
    }

    fn take(&mut self, opening: Opening) -> Changed {
        let Opening { sequence, at, by, kind, about, confidence, key, evidence, note, ticket } = opening;
        let event = |what| Event { note, ticket, ..Event::new(sequence, at, by, what) };
        let known = key.as_ref().and_then(|key| self.by_key.get(key)).copied();
        let known = known.and_then(|id| self.cases.get_mut(&id));
        if let Some(case) = known.filter(|case| kind == Kind::Complaint || case.state == State::Open) {
            let case = Arc::make_mut(case);
            case.evidence_count = case.evidence_count.saturating_add(1);
            if let Some(new) = evidence.filter(|evidence| !case.evidence.contains(evidence)) {
                join(case, kind, about, new);
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
            evidence_count: u64::from(evidence.is_some()),
            evidence: evidence.into_iter().collect(),
            history: vec![event(Happened::Opened)],
            kept_until: None,
            ruled: Vec::new(),
            wanted_until: None,
            key,
        };
        self.cases.insert(sequence, Arc::new(case));
        Changed::one(sequence, gone)
    }

    /// Folds what was done. A case that has gone meanwhile stays gone.
    pub fn act(&mut self, sequence: u64, action: &Action) -> Changed {
        let Some(case) = self.cases.get_mut(&action.case) else { return Changed::default() };
        let case = Arc::make_mut(case);
        let order = match &action.act {
            // Two may close it at once.
            Act::Close { kept_until } | Act::Dismiss { kept_until, .. } => {
                end(&mut self.ends, case, *kept_until);
                case.wanted_until = Some(*kept_until);
                case.state = State::Closed;
                None
            }
            Act::Note => None,
            Act::Order(subject, order) | Act::Observed(subject, order) | Act::Called(subject, order) => {
                Some((subject.clone(), *order))
            }
        };
        // Whoever has ended what it did may begin again.
        let ends = matches!(action.act, Act::Order(_, Order::Delisted));
        if let Some(rule) = action.rule().filter(|rule| !ends && !case.ruled.contains(rule)) {
            case.ruled.push(rule);
        }
        case.note(Event {
            order,
            note: Some(action.reason.clone()),
            ticket: action.ticket.clone(),
            ..Event::new(sequence, action.at, action.by.clone(), Happened::from(&action.act))
        });
        Changed::one(case.id, Vec::new())
    }

    /// Folds what the access side said about a line, for the case from which that was ordered.
    pub fn access(&mut self, sequence: u64, told: &Told) -> Changed {
        // That it is about to be asked says nothing yet.
        let case = told.case.filter(|_| told.said != Said::Asked);
        let Some(case) = case.and_then(|case| self.cases.get_mut(&case)) else { return Changed::default() };
        let note = Some(Name::from(told.to_string().as_str()));
        let event = Event::new(sequence, told.at, Name::from(DAEMON), Happened::Access);
        let case = Arc::make_mut(case);
        case.note(Event { note, ..event });
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

/// More of the same. Whom it names the case is about, too. A complaint names nobody: that is found, and was before.
fn join(case: &mut Case, kind: Kind, about: Vec<Subject>, new: Evidence) {
    if kind != Kind::Complaint {
        let others: Vec<Subject> =
            about.into_iter().filter(|subject| !case.about.contains(subject)).collect();
        if case.about.len().saturating_add(others.len()) > ABOUT_MAX {
            return;
        }
        case.about.extend(others);
        if kind == Kind::Listing && !case.about.is_empty() {
            case.confidence = Confidence::Ambiguous;
        }
    }
    let at_most = case.evidence.len() >= EVIDENCE_MAX;
    match case.evidence.last_mut() {
        // The first ones say how it began, the newest how it is.
        Some(newest) if at_most => *newest = new,
        _ => case.evidence.push(new),
    }
}

/// Says when a case goes.
fn end(ends: &mut BTreeSet<(Timestamp, u64)>, case: &mut Case, until: Timestamp) {
    if let Some(before) = case.kept_until.replace(until) {
        ends.remove(&(before, case.id));
    }
    ends.insert((until, case.id));
}
