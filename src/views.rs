//! Folds log entries into everything that is kept in memory. Pure: an entry and the state before it, nothing else.
//!
//! Knows: which view wants which entry. Must not know: clocks, configuration, sockets, files.

mod at_rest;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use self::at_rest::{Behind, Rest, at_rest};
use crate::access::preservation::{About, PreservationOrder, Preservations};
use crate::access::question::{Asked, Link};
use crate::access::token::{TokenOrder, Tokens};
use crate::log::entry::Entry;
use crate::notice::Notice;
use crate::notice::told::{ended, told};
use crate::relay::attempts::Attempt;
use crate::relay::case::{Act, Action, Case, Cases, Changed};
use crate::relay::class::Classes;
use crate::relay::delisting::Tie;
use crate::relay::line::{Lines, Told};
use crate::relay::message::{Message, MessageKey, RecentMessages};
use crate::relay::message_id::MessageId;
use crate::relay::scanned::{Finding, Scanned};
use crate::relay::standing::{Command, Order, Standing, Subject};
use crate::relay::trend::Trends;
use crate::relay::usage::{Counting, Usages};
use crate::relay::verdict::Reason;
use crate::session::Timestamp;
use crate::session::bindings::LiveMap;
use crate::session::effect::Effect;
use crate::session::event::{Event, Kind, NasHold};
use crate::session::image::{Both, Image, one_after_the_other};
use crate::session::machine::Machine;
use crate::session::reach::Reach;

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
    /// A message was let go, and concerns these beside its owner and its login.
    Message(Box<Message>, Vec<Subject>),
    /// Staff ordered something.
    Command(Command),
    /// Staff asked something; with the link that ties it to all questions before it.
    Asked(Box<Asked>, Link),
    /// A token was given or taken back.
    Token(Box<TokenOrder>),
    /// Something must be kept longer, or no longer.
    Preservation(Box<PreservationOrder>),
    /// Staff asked to believe a NAS for a while.
    Hold(NasHold),
    /// What was not let go.
    Attempts(Vec<Attempt>),
    /// A scanner found something in a message.
    Scanned(Box<Scanned>),
    /// A milter saw the Message-ID of a message.
    MessageId(Box<MessageId>),
    /// Something that others may be told of; no part of the index.
    Notice(Box<Notice>),
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
    /// Who may come in with a token.
    pub tokens: ArcSwap<Tokens>,
    /// The link of the last question, and the sequence of its entry.
    pub link: ArcSwap<(u64, Link)>,
    /// What somebody should look at, by number.
    cases: DashMap<u64, Arc<Case>>,
    /// What must be kept.
    pub preserved: ArcSwap<Preservations>,
    /// Who sent how much lately.
    pub usages: Usages,
    /// What each sender usually sends, and what it sends today.
    pub trends: Trends,
    /// What the access side was asked, and what it said.
    pub lines: ArcSwap<Lines>,
    /// Which attributes subscribers have, for limits of a kind.
    pub classes: Classes,
    /// Which sessions somebody has, for whoever asks.
    pub reach: Reach,
    committed: AtomicU64,
    cases_changed: AtomicU64,
}

impl Shared {
    /// Sequence of the last entry that is durable and folded.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Sequence of the last entry that changed a case.
    #[must_use]
    pub fn cases_changed(&self) -> u64 {
        self.cases_changed.load(Ordering::Acquire)
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
    recent: RecentMessages,
    tokens: Tokens,
    link: (u64, Link),
    cases: Cases,
    preserved: Preservations,
    counting: Counting,
    lines: Lines,
    sequence: u64,
    ahead: (Timestamp, Duration),
    /// When an order runs out.
    next_end: Option<Timestamp>,
    /// When a token or a preservation order is to be forgotten.
    next_forgotten: Option<Timestamp>,
    effects: Vec<Effect>,
}

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
            recent: RecentMessages::default(),
            tokens: Tokens::default(),
            link: Default::default(),
            cases: Cases::default(),
            preserved: Preservations::default(),
            counting: Counting::default(),
            lines: Lines::default(),
            sequence: 0,
            ahead: (Timestamp::EARLIEST, Duration::ZERO),
            next_end: None,
            next_forgotten: None,
            effects: Vec::new(),
            shared,
        }
    }

    /// Views as a snapshot's octets hold them.
    ///
    /// # Errors
    /// The octets are not those of a snapshot of this version.
    pub fn restore(shared: Arc<Shared>, octets: &[u8]) -> Result<Self, Unreadable> {
        Views::restore_by(shared, octets, one_after_the_other)
    }

    /// The same, with what need not wait for each other done as whoever asks does it.
    ///
    /// # Errors
    /// As above.
    pub fn restore_by(shared: Arc<Shared>, octets: &[u8], both: Both) -> Result<Self, Unreadable> {
        let (&format, octets) = octets.split_first().ok_or(Unreadable)?;
        let ((mut rest, Behind { trends, lines, classes }, ties, refused), parts) =
            at_rest(format, octets).ok_or(Unreadable)?;
        let machine = Machine::restore_by(Arc::clone(&shared.map), rest.sessions, &parts, both);
        let machine = machine.map_err(|_| Unreadable)?;
        rest.standing.restore_ties(ties);
        let lines = lines.restored();
        shared.classes.restore(classes);
        shared.lines.store(Arc::new(lines.clone()));
        shared.standing.store(Arc::new(rest.standing.clone()));
        shared.tokens.store(Arc::new(rest.tokens.clone()));
        shared.link.store(Arc::new(rest.link));
        for case in rest.cases.newest_first() {
            shared.cases.insert(case.id, Arc::clone(case));
        }
        shared.preserved.store(Arc::new(rest.preserved.clone()));
        shared.trends.restore(trends);
        shared.usages.restore_refused(refused);
        shared.committed.store(rest.sequence, Ordering::Release);
        shared.cases_changed.store(rest.sequence, Ordering::Release);
        Ok(Views {
            machine,
            next_end: rest.standing.next_end(),
            next_forgotten: next_forgotten(&rest.tokens, &rest.preserved),
            standing: rest.standing,
            recent: rest.recent,
            tokens: rest.tokens,
            link: rest.link,
            cases: rest.cases,
            preserved: rest.preserved,
            counting: Counting::restore(&shared.usages, rest.usages),
            lines,
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
            tokens: self.tokens.clone(),
            link: self.link,
            cases: self.cases.clone(),
            preserved: self.preserved.clone(),
            usages: self.counting.at_rest(&self.shared.usages),
        };
        let (trends, lines, classes) =
            (self.shared.trends.image(), self.lines.clone(), self.shared.classes.at_rest());
        let behind = Behind { trends, lines, classes };
        let (ties, refused) = (self.standing.ties().clone(), self.shared.usages.refused_at_rest());
        at_rest::octets((rest, behind, ties, refused)).expect("a vector takes every octet")
    }

    /// The sessions' part, for questions that only the writer may ask.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What each sender usually sends, and what it sends today.
    #[must_use]
    pub fn trends(&self) -> &Trends {
        &self.shared.trends
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
    pub fn is_repeat(&self, message: &MessageKey) -> bool {
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
                if let Event::Record(record) = event {
                    self.shared.classes.fold(record);
                }
                self.machine.fold(at, event, &mut self.effects);
                self.drain(Cause::of(event), folded);
                None
            }
            Entry::Message(message) => Some(self.sent(at, message, &[])),
            Entry::SentFor(message, beside) => Some(self.sent(at, message, beside)),
            Entry::Command(command) => {
                let outcome = self.ordered(None, sequence, command.clone());
                self.tell(entry, &Changed::default(), folded);
                Some(outcome)
            }
            Entry::Question(question) => Some(self.asked(Box::new(Asked::from(question)))),
            Entry::Asked(asked) => Some(self.asked(asked.clone())),
            Entry::Token(order) => {
                self.tokens.fold(order);
                self.show_access();
                Some(Outcome::Token(order.clone()))
            }
            Entry::Preservation(order) => {
                self.preserved.fold(sequence, order);
                let changed = self.cases.reconsider();
                self.show(&changed);
                self.show_access();
                Some(Outcome::Preservation(order.clone()))
            }
            Entry::Hold(hold) => {
                self.machine.hold_nas(at, hold, &mut self.effects);
                self.drain(Cause::Held, folded);
                Some(Outcome::Hold(hold.clone()))
            }
            Entry::Complaint(_)
            | Entry::CaseOpened(_)
            | Entry::Signal(_)
            | Entry::Listing(_)
            | Entry::Delisted(_) => {
                self.open_or_join(sequence, entry, folded);
                None
            }
            Entry::Case(action) => self.acted(sequence, entry, action, folded),
            Entry::Attempts(attempts) => {
                self.shared.trends.attempts(at, attempts);
                self.shared.usages.refuse(at, attempts);
                Some(Outcome::Attempts(attempts.clone()))
            }
            Entry::Scanned(scanned) => {
                let is_virus = scanned.finding == Finding::Virus;
                for subject in scanned.subjects() {
                    self.shared.trends.scanned(at, scanned.at, &subject, is_virus);
                }
                Some(Outcome::Scanned(scanned.clone()))
            }
            Entry::MessageId(id) => Some(Outcome::MessageId(id.clone())),
            Entry::Coa(told) => {
                self.access(sequence, told);
                None
            }
            Entry::Alive { ahead } => {
                self.alive(at, *ahead);
                None
            }
        };
        folded.extend(outcome.map(|outcome| Folded { sequence, outcome }));
        self.shared.committed.store(sequence, Ordering::Release);
    }

    fn alive(&mut self, at: Timestamp, ahead: Duration) {
        self.ahead = (at, ahead);
        self.recent.forget(at);
        self.counting.forget(&self.shared.usages, at);
    }

    /// Whether a limit until a delisting, or its end, is about what is there no longer.
    fn comes_too_late(&self, action: &Action) -> bool {
        match &action.act {
            Act::Order(subject, Order::UntilDelisted) => {
                let is_listed = self.cases.get(action.case).is_some_and(|case| case.is_listed().is_some());
                !is_listed || !self.standing.may_be_tied(subject, action.case, action.at)
            }
            Act::Order(subject, Order::Delisted) => !self.standing.ties().has(subject, action.case),
            _ => false,
        }
    }

    fn acted(
        &mut self,
        sequence: u64,
        entry: &Entry,
        action: &Action,
        folded: &mut Vec<Folded>,
    ) -> Option<Outcome> {
        if self.comes_too_late(action) {
            return None;
        }
        let changed = self.cases.act(sequence, action);
        self.show(&changed);
        for subject in action.usual_for() {
            self.shared.trends.dismiss(subject);
        }
        // Whoever gave it was told that it holds, also when its case has just gone.
        let outcome = action.command().map(|command| self.ordered(Some(action.case), sequence, command));
        if !self.holds_on(action) {
            self.tell(entry, &changed, folded);
        }
        outcome
    }

    /// Whether somebody is held back still, by another list or by somebody else, though a listing is over.
    fn holds_on(&self, action: &Action) -> bool {
        let Act::Order(subject, Order::Delisted) = &action.act else { return false };
        let standing = &self.standing;
        standing.limited(subject, action.at).is_some() || standing.suspension(subject, action.at).is_some()
    }

    fn sent(&mut self, at: Timestamp, message: &Message, beside: &[Subject]) -> Outcome {
        // What a file tells of is repeated by nobody, and must not push out what may be.
        if message.reason != Reason::Imported {
            self.recent.insert(message);
        }
        self.counting.count(&self.shared.usages, at, message, beside);
        self.shared.trends.message(at, message);
        self.shared.trends.message_within(at, message, beside);
        Outcome::Message(Box::new(message.clone()), beside.to_vec())
    }

    fn access(&mut self, sequence: u64, told: &Told) {
        self.lines.fold(told, &self.standing, self.machine.lives(&told.session));
        self.shared.lines.store(Arc::new(self.lines.clone()));
        let changed = self.cases.access(sequence, told);
        self.show(&changed);
    }

    fn show(&self, changed: &Changed) {
        for case in changed.cases.iter().filter_map(|id| self.cases.get(*id)) {
            self.shared.cases.insert(case.id, Arc::clone(case));
        }
        for id in &changed.gone {
            self.shared.cases.remove(id);
        }
        if !changed.cases.is_empty() {
            self.shared.cases_changed.store(self.sequence, Ordering::Release);
        }
    }

    fn open_or_join(&mut self, sequence: u64, entry: &Entry, folded: &mut Vec<Folded>) {
        let changed = match entry {
            Entry::Complaint(complaint) => self.cases.complain(sequence, complaint),
            Entry::CaseOpened(opened) => self.cases.open(sequence, opened),
            Entry::Signal(signal) => {
                self.shared.trends.signal(signal);
                self.cases.signal(sequence, signal)
            }
            Entry::Listing(listing) => self.cases.listing(sequence, listing),
            Entry::Delisted(delisted) => {
                self.standing.delist(delisted);
                self.shared.standing.store(Arc::new(self.standing.clone()));
                self.cases.delisted(sequence, delisted)
            }
            _ => return,
        };
        self.show(&changed);
        self.tell(entry, &changed, folded);
    }

    /// What others may be told of it, now that it is folded.
    fn tell(&self, entry: &Entry, changed: &Changed, folded: &mut Vec<Folded>) {
        let sequence = self.sequence;
        let case = changed.cases.first().and_then(|id| self.cases.get(*id));
        let told = told(sequence, entry, case.map(|case| &**case));
        let outcome = |notice| Outcome::Notice(Box::new(notice));
        folded.extend(told.into_iter().map(|notice| Folded { sequence, outcome: outcome(notice) }));
    }

    fn ordered(&mut self, case: Option<u64>, sequence: u64, command: Command) -> Outcome {
        let listing = case.and_then(|case| self.cases.get(case)?.listing());
        match (case, listing, command.order) {
            (Some(case), Some(listing), Order::UntilDelisted) => {
                let (list, address) = (listing.list.clone(), listing.address);
                let tie = Tie { case, by: command.by.clone(), list, address, over: false };
                self.standing.fold_tied(sequence, &command, tie);
            }
            _ => self.standing.fold_of(case, sequence, &command),
        }
        self.next_end = self.standing.next_end();
        self.shared.standing.store(Arc::new(self.standing.clone()));
        if !self.lines.is_empty() {
            self.lines.settle(&self.standing, command.at);
            self.shared.lines.store(Arc::new(self.lines.clone()));
        }
        Outcome::Command(command)
    }

    /// Ties a question to those before it.
    fn asked(&mut self, asked: Box<Asked>) -> Outcome {
        let link = self.link.1.then(&asked.packed());
        self.link = (self.sequence, link);
        self.shared.link.store(Arc::new(self.link));
        Outcome::Asked(asked, link)
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
        self.expire(at, folded);
        self.shared.trends.advance(at);
        self.shared.classes.advance(at, |subscriber| self.machine.has_any(subscriber));
        let preserved = &self.preserved;
        let changed = self.cases.advance(at, |case, end| kept_longer(preserved, case, end));
        self.show(&changed);
        // Behind the cases, which were kept by orders that were in force then.
        if self.next_forgotten.is_some_and(|next| at >= next) {
            self.tokens.forget(at);
            self.preserved.forget(at);
            self.show_access();
        }
        self.shared.reach.reply(&self.machine);
    }

    /// Tokens and preservation orders, which are few.
    fn show_access(&mut self) {
        self.next_forgotten = next_forgotten(&self.tokens, &self.preserved);
        self.shared.tokens.store(Arc::new(self.tokens.clone()));
        self.shared.preserved.store(Arc::new(self.preserved.clone()));
    }

    /// Forgets orders that have run out, and has it told.
    fn expire(&mut self, at: Timestamp, folded: &mut Vec<Folded>) {
        if self.next_end.is_none_or(|end| at < end) {
            return;
        }
        for (subject, held, order) in self.standing.expire(at) {
            let case = order.case.and_then(|case| self.cases.get(case));
            let notice = ended(&subject, held, &order, case.map(|case| &**case));
            let outcome = Outcome::Notice(Box::new(notice));
            folded.push(Folded { sequence: self.sequence, outcome });
        }
        self.next_end = self.standing.next_end();
        self.shared.standing.store(Arc::new(self.standing.clone()));
    }

    fn drain(&mut self, cause: Cause, folded: &mut Vec<Folded>) {
        let mut ended = false;
        for effect in &self.effects {
            if let Effect::SessionClosed { session, at, .. } = effect {
                ended |= self.lines.end(session, &self.standing, *at);
            }
        }
        if ended {
            self.shared.lines.store(Arc::new(self.lines.clone()));
        }
        let sequence = self.sequence;
        let outcome = |effect| Outcome::Effect(cause, effect);
        folded.extend(self.effects.drain(..).map(|effect| Folded { sequence, outcome: outcome(effect) }));
    }
}

fn next_forgotten(tokens: &Tokens, preserved: &Preservations) -> Option<Timestamp> {
    tokens.next_forgotten().into_iter().chain(preserved.next_end()).min()
}

/// Until when orders that are in force at this moment keep a case: it may be about whom they name, or of an address.
fn kept_longer(preserved: &Preservations, case: &Case, at: Timestamp) -> Option<Timestamp> {
    let orders = preserved.in_force(at).filter(|(about, _)| match about {
        About::Subscriber(name) => case.about.contains(&Subject::Subscriber(name.clone())),
        About::Prefix(prefix) => case.addresses().any(|address| prefix.contains(&address)),
    });
    orders.map(|(_, order)| order.until).max()
}

#[cfg(test)]
mod tests;
