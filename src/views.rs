//! Folds log entries into everything that is kept in memory. Pure: an entry and the state before it, nothing else.
//!
//! Knows: which view wants which entry. Must not know: clocks, configuration, sockets, files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use crate::log::entry::{Entry, Question};
use crate::relay::case::{Case, Cases, Changed};
use crate::relay::message::{Message, RecentMessages};
use crate::relay::standing::{Command, Standing};
use crate::session::Timestamp;
use crate::session::bindings::LiveMap;
use crate::session::effect::Effect;
use crate::session::event::{Event, Kind, NasHold};
use crate::session::image::Image;
use crate::session::machine::Machine;

/// What the audit index stores of one folded entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Sequence of the entry; for a deadline that took effect, of the entry folded before it.
    pub sequence: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What can come of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Sessions or bindings changed.
    Effect(Cause, Effect),
    /// A message was let go.
    Message(Box<Message>),
    /// Staff ordered something.
    Command(Command),
    /// Staff asked something.
    Question(Question),
    /// Staff asked to believe a NAS for a while.
    Hold(NasHold),
}

/// What an effect came of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// An accounting record of this kind, which reached us then.
    Record(Kind, Timestamp),
    /// Signs of life that had gathered.
    Refreshes,
    /// Rules, static prefixes, pools or translations that were applied.
    Applied,
    /// We listened again.
    Resumed,
    /// Staff held a NAS.
    Held,
    /// Nothing was heard: a deadline passed.
    Deadline,
    /// Nothing new: it was told anew for an index that had lost it.
    Retold,
}

impl Cause {
    fn of(event: &Event) -> Self {
        match event {
            Event::Record(record) | Event::Imported(record) => Cause::Record(record.kind, record.arrival),
            Event::Refreshes(_) => Cause::Refreshes,
            Event::Applied(_) => Cause::Applied,
            Event::Resumed { .. } => Cause::Resumed,
        }
    }

    /// The word used in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::Record(Kind::Start, _) => "start",
            Cause::Record(Kind::Stop, _) => "stop",
            Cause::Record(Kind::Interim, _) => "interim",
            Cause::Record(Kind::On, _) => "on",
            Cause::Record(Kind::Off, _) => "off",
            Cause::Refreshes => "refresh",
            Cause::Applied => "configuration",
            Cause::Resumed => "resumed",
            Cause::Held => "hold",
            Cause::Deadline => "deadline",
            Cause::Retold => "retold",
        }
    }
}

/// What everybody may read of the views while one writer folds.
#[derive(Default)]
pub struct Shared {
    /// Who owns which address.
    pub map: Arc<LiveMap>,
    /// Who may send at all.
    pub standing: ArcSwap<Standing>,
    /// What somebody should look at, by number.
    cases: DashMap<u64, Arc<Case>>,
    committed: AtomicU64,
}

impl Shared {
    /// Sequence of the last entry that is durable and folded.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// The case of this number.
    #[must_use]
    pub fn case(&self, id: u64) -> Option<Arc<Case>> {
        self.cases.get(&id).map(|case| Arc::clone(&case))
    }

    /// All cases, the newest first.
    #[must_use]
    pub fn cases(&self) -> Vec<Arc<Case>> {
        let mut cases: Vec<Arc<Case>> = self.cases.iter().map(|case| Arc::clone(&case)).collect();
        cases.sort_unstable_by_key(|case| std::cmp::Reverse(case.id));
        cases
    }

    /// The case that this entry opened, joined or acted on.
    #[must_use]
    pub fn case_of_entry(&self, sequence: u64) -> Option<Arc<Case>> {
        let of = |case: &Case| case.history.iter().rev().any(|event| event.sequence == sequence);
        self.case(sequence).or_else(|| self.cases().into_iter().find(|case| of(case)))
    }
}

/// All views in memory.
pub struct Views {
    shared: Arc<Shared>,
    machine: Machine,
    standing: Standing,
    cases: Cases,
    recent: RecentMessages,
    sequence: u64,
    ahead: (Timestamp, Duration),
    effects: Vec<Effect>,
}

/// The views at rest. Its fields are a file format.
#[derive(Serialize, Deserialize)]
struct Rest {
    sequence: u64,
    ahead: (Timestamp, Duration),
    sessions: Image,
    standing: Standing,
    recent: RecentMessages,
}

/// Version of the views at rest. Up to 2 it was that of the log; 3 had no cases, which now stand behind the rest.
const SNAPSHOT: u8 = 4;
/// The version before, which is still read.
const WITHOUT_CASES: u8 = 3;

/// A snapshot that does not hold what one of this version holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl Views {
    /// Views of an empty log, shown through `shared`.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Views {
            machine: Machine::new(Arc::clone(&shared.map)),
            standing: Standing::default(),
            cases: Cases::default(),
            recent: RecentMessages::default(),
            sequence: 0,
            ahead: (Timestamp::EARLIEST, Duration::ZERO),
            effects: Vec::new(),
            shared,
        }
    }

    /// Views as a snapshot's octets hold them.
    ///
    /// # Errors
    /// The octets are not those of a snapshot of this version.
    pub fn restore(shared: Arc<Shared>, octets: &[u8]) -> Result<Self, Unreadable> {
        let (&format, octets) = octets.split_first().ok_or(Unreadable)?;
        if ![WITHOUT_CASES, SNAPSHOT].contains(&format) {
            return Err(Unreadable);
        }
        let (rest, behind): (Rest, &[u8]) = postcard::take_from_bytes(octets).map_err(|_| Unreadable)?;
        let cases: Cases = match format {
            WITHOUT_CASES => Cases::default(),
            _ => postcard::from_bytes(behind).map_err(|_| Unreadable)?,
        };
        for case in cases.newest_first() {
            shared.cases.insert(case.id, Arc::clone(case));
        }
        shared.standing.store(Arc::new(rest.standing.clone()));
        shared.committed.store(rest.sequence, Ordering::Release);
        Ok(Views {
            machine: Machine::restore(Arc::clone(&shared.map), rest.sessions),
            standing: rest.standing,
            cases,
            recent: rest.recent,
            sequence: rest.sequence,
            ahead: rest.ahead,
            effects: Vec::new(),
            shared,
        })
    }

    /// The views as octets, for a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.octets(self.machine.image())
    }

    /// Whether everything in them is as in these others.
    #[must_use]
    pub fn are_as(&self, others: &Views) -> bool {
        let octets = |views: &Views| views.octets(views.machine.image().in_order());
        octets(self) == octets(others)
    }

    fn octets(&self, sessions: Image) -> Vec<u8> {
        let rest = Rest {
            sequence: self.sequence,
            ahead: self.ahead,
            sessions,
            standing: self.standing.clone(),
            recent: self.recent.clone(),
        };
        let octets = postcard::to_extend(&rest, vec![SNAPSHOT]).expect("a vector takes every octet");
        postcard::to_extend(&self.cases, octets).expect("a vector takes every octet")
    }

    /// The sessions' part, for questions that only the writer may ask.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Sequence of the last entry folded.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How far our time was ahead of the host's clock, when that was written down last.
    #[must_use]
    pub fn ahead(&self) -> (Timestamp, Duration) {
        self.ahead
    }

    /// Whether this message was written down already: the MTA asks again when our answer was lost.
    #[must_use]
    pub fn is_repeat(&self, message: &Message) -> bool {
        self.recent.contains(message)
    }

    /// Folds one entry that takes effect at `at`. One that was folded before is skipped.
    pub fn fold(&mut self, at: Timestamp, sequence: u64, entry: &Entry, folded: &mut Vec<Folded>) {
        if sequence <= self.sequence {
            return;
        }
        if let Entry::Session(event) = entry {
            self.machine.rest(at, event, &mut self.effects);
        }
        self.advance(at, folded);
        self.sequence = sequence;
        let outcome = match entry {
            Entry::Session(event) => {
                self.machine.fold(at, event, &mut self.effects);
                self.drain(Cause::of(event), folded);
                return self.shared.committed.store(sequence, Ordering::Release);
            }
            Entry::Message(message) => {
                self.recent.insert(message);
                Outcome::Message(message.clone())
            }
            Entry::Command(command) => {
                self.standing.fold(sequence, command);
                self.shared.standing.store(Arc::new(self.standing.clone()));
                Outcome::Command(command.clone())
            }
            Entry::Question(question) => Outcome::Question(question.clone()),
            Entry::Hold(hold) => {
                self.machine.hold_nas(at, hold, &mut self.effects);
                self.drain(Cause::Held, folded);
                Outcome::Hold(hold.clone())
            }
            Entry::Complaint(complaint) => {
                let changed = self.cases.complain(sequence, complaint);
                self.show(&changed);
                return self.shared.committed.store(sequence, Ordering::Release);
            }
            Entry::Case(action) => {
                let changed = self.cases.act(sequence, action);
                self.show(&changed);
                return self.shared.committed.store(sequence, Ordering::Release);
            }
            Entry::Alive { ahead } => {
                self.ahead = (at, *ahead);
                return self.shared.committed.store(sequence, Ordering::Release);
            }
        };
        folded.push(Folded { sequence, outcome });
        self.shared.committed.store(sequence, Ordering::Release);
    }

    fn show(&self, changed: &Changed) {
        if let Some(case) = changed.case.and_then(|id| self.cases.get(id)) {
            self.shared.cases.insert(case.id, Arc::clone(case));
        }
        for id in &changed.gone {
            self.shared.cases.remove(id);
        }
    }

    /// Everything that lives, told anew: for an index that has lost it.
    #[must_use]
    pub fn retell(&self) -> Vec<Folded> {
        let mut effects = Vec::new();
        self.machine.retell(&mut effects);
        let sequence = self.sequence;
        let outcome = |effect| Outcome::Effect(Cause::Retold, effect);
        effects.into_iter().map(|effect| Folded { sequence, outcome: outcome(effect) }).collect()
    }

    /// Lets deadlines up to this moment take effect.
    pub fn advance(&mut self, at: Timestamp, folded: &mut Vec<Folded>) {
        self.machine.advance(at, &mut self.effects);
        self.drain(Cause::Deadline, folded);
    }

    fn drain(&mut self, cause: Cause, folded: &mut Vec<Folded>) {
        let sequence = self.sequence;
        let outcome = |effect| Outcome::Effect(cause, effect);
        folded.extend(self.effects.drain(..).map(|effect| Folded { sequence, outcome: outcome(effect) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::case::{Complaint, Reported};
    use crate::relay::confidence::Confidence;
    use crate::session::Name;

    fn with_a_case() -> Views {
        let mut views = Views::new(Arc::default());
        let at = Timestamp::from_seconds(1);
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
        let (by, about, confidence) = (Name::from("mail"), vec![Name::from("alice")], Confidence::Exact);
        let complaint = Complaint { at, by, about, confidence, key: None, evidence };
        let mut folded = Vec::new();
        views.fold(at, 1, &Entry::Complaint(Box::new(complaint)), &mut folded);
        assert!(folded.is_empty(), "the index has no rows of it");
        views
    }

    #[test]
    fn a_case_is_in_the_snapshot_and_one_of_the_version_before_has_none() {
        let views = with_a_case();
        let octets = views.snapshot();
        let shared = Arc::<Shared>::default();
        let restored = Views::restore(Arc::clone(&shared), &octets).unwrap();
        assert!(restored.are_as(&views));
        assert!(shared.case(1).is_some());
        let cases = postcard::to_stdvec(&views.cases).unwrap();
        let mut older = octets[..octets.len() - cases.len()].to_vec();
        older[0] = WITHOUT_CASES;
        let shared = Arc::<Shared>::default();
        let restored = Views::restore(Arc::clone(&shared), &older).unwrap();
        assert_eq!((restored.sequence(), shared.cases().len()), (1, 0));
        older[0] = SNAPSHOT;
        assert!(Views::restore(Arc::default(), &older).is_err(), "a cut one is none");
    }
}
