//! Rules that act alone on cases: when, then, and a brake.
//!
//! Values in, values out: a rule is judged outside of any fold, because what is configured must not enter one. What comes of it is
//! an entry like any by staff, by the rule's name. That a rule has acted on a case stands in the case, so it does so once; how
//! often it has acted lately stands in the cases, too, so a brake holds over a restart.
//!
//! Nobody is accused on a guess: a complaint counts where it can only be one's, and those who stood out before a listing may be
//! limited, and not suspended.
//!
//! Knows: what a rule may look at, and what follows. Must not know: how rules are written, or who makes entries of what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::case::{Act, Action, Case, Evidence, Happened, Kind, RULE, State};
use super::confidence::Confidence;
use super::delisting::Tie;
use super::standing::{Order, Standing, Subject};
use crate::session::{Name, Timestamp};

/// What makes a rule act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// A signal.
    Signal {
        /// Of this name; `None`: of any.
        name: Option<Name>,
        /// Whose value is at least so much.
        at_least: u64,
    },
    /// A block list has one of our own addresses.
    Listing,
    /// So many complaints about one subscriber.
    Complaints {
        /// How many.
        at_least: u64,
        /// Within so long; `None`: among those that are kept.
        within: Option<Duration>,
    },
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Has it remembered with the case.
    Note,
    /// Limits them for so long; `None`: until released.
    Limit(Option<Duration>),
    /// Suspends them for so long; `None`: until released.
    Suspend(Option<Duration>),
    /// Limits them until the listing is over.
    LimitUntilDelisted,
}

impl Then {
    fn order(self, now: Timestamp) -> Option<Order> {
        let until = |span: Option<Duration>| span.map(|span| now.plus(span));
        match self {
            Then::Note => None,
            Then::Limit(span) => Some(Order::Limit { until: until(span) }),
            Then::Suspend(span) => Some(Order::Suspend { until: until(span) }),
            Then::LimitUntilDelisted => Some(Order::UntilDelisted),
        }
    }
}

/// At most so many orders within so long; after that a human is called instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    /// How many.
    pub orders: u32,
    /// Within how long.
    pub within: Duration,
}

impl Default for Brake {
    fn default() -> Self {
        Brake { orders: 20, within: Duration::from_secs(3600) }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// What makes it act.
    pub when: When,
    /// What it does.
    pub then: Then,
    /// Whether it does so; otherwise it only says what it would have done.
    pub enforce: bool,
    /// A brake of its own, beside the common one.
    pub brake: Option<Brake>,
    /// `when`, `then` and the brake as they were written.
    pub written: Written,
}

/// How a rule was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// `when`.
    pub when: String,
    /// `then`.
    pub then: String,
    /// `max-actions`.
    pub max_actions: Option<String>,
}

/// All rules, and the brake that is common to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// In the order in which they are written.
    pub all: Vec<Rule>,
    /// So many orders by all of them together.
    pub brake: Brake,
    /// Those who stand for a whole server of ours, and everybody behind it: about them only a human orders.
    pub hosts: BTreeSet<Name>,
}

/// Which rule gave an order, and when: what brakes go by. And what has just been ordered, and stands in no view yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recent {
    orders: Vec<(Name, Timestamp)>,
    under_way: Vec<(Subject, Order, u64)>,
}

impl Recent {
    /// The orders that rules gave, as the histories of cases have them, from then on.
    #[must_use]
    pub fn of(cases: &[Arc<Case>], since: Timestamp) -> Recent {
        let changed = cases.iter().filter(|case| case.history.last().is_some_and(|event| event.at >= since));
        let given = |what| matches!(what, Happened::Limited | Happened::Suspended);
        let orders =
            changed.flat_map(|case| &case.history).filter(|event| event.at >= since && given(event.what));
        let by = |by: &Name| by.octets().strip_prefix(RULE.as_bytes()).map(Name::new);
        let orders = orders.filter_map(|event| Some((by(&event.by)?, event.at))).collect();
        Recent { orders, under_way: Vec::new() }
    }

    /// Whether an order that does as much is on its way. Until something is delisted is as much as that for the same case alone.
    fn has(&self, subject: &Subject, order: Order, case: u64) -> bool {
        let as_much = |given: Order, of: u64| match (given, order) {
            (Order::Suspend { .. }, _) => true,
            (Order::UntilDelisted, Order::UntilDelisted) => of == case,
            (_, Order::Limit { .. } | Order::UntilDelisted) => true,
            _ => false,
        };
        self.under_way.iter().any(|(whom, given, of)| whom == subject && as_much(*given, *of))
    }

    fn is_reached(&self, brake: Brake, rule: Option<&Name>, now: Timestamp) -> bool {
        let since = now.minus(brake.within);
        let counts = |(by, at): &&(Name, Timestamp)| *at > since && rule.is_none_or(|rule| by == rule);
        let count = self.orders.iter().filter(counts).count();
        u32::try_from(count).is_ok_and(|count| count >= brake.orders)
    }
}

/// What a rule would have done to a case that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Would {
    /// Which case.
    pub case: u64,
    /// When.
    pub at: Timestamp,
    /// The order, and about whom; `None`: a note.
    pub order: Option<(Subject, Order)>,
    /// Whether the brake would have held, and a human been called instead.
    pub braked: bool,
    /// Why.
    pub because: Name,
}

impl Rules {
    /// How far back brakes look.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let own = self.all.iter().filter_map(|rule| rule.brake).map(|brake| brake.within);
        own.fold(self.brake.within, Duration::max)
    }

    /// The rule of this name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&Rule> {
        self.all.iter().find(|rule| rule.name == *name)
    }

    /// What follows from a case that has changed, as entries. `known` are all cases; orders are added to `recent`.
    #[must_use]
    pub fn judge(
        &self,
        case: &Case,
        known: &[Arc<Case>],
        standing: &Standing,
        recent: &mut Recent,
        now: Timestamp,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        let open =
            self.all.iter().filter(|rule| case.state == State::Open && !case.ruled.contains(&rule.name));
        for rule in open {
            // A listing that is over already is none.
            let is_over = rule.when == When::Listing && case.is_listed().is_none();
            let Some(because) = rule.when.holds(case, known).filter(|_| !is_over) else { continue };
            let by = Name::new(&[RULE.as_bytes(), rule.name.octets()].concat());
            let mut push = |act| {
                let (by, reason) = (by.clone(), because.clone());
                actions.push(Action { at: now, by, case: case.id, act, reason, ticket: None });
            };
            let Some(order) = rule.then.order(now) else {
                push(Act::Note);
                continue;
            };
            for subject in rule.when.whom(case) {
                if is_held(standing, &subject, order, case.id, now) || recent.has(&subject, order, case.id) {
                    continue;
                }
                if !rule.enforce {
                    push(Act::Observed(subject, order));
                } else if self.is_host(&subject) || self.holds_back(rule, recent, now) {
                    push(Act::Called(subject, order));
                } else {
                    recent.orders.push((rule.name.clone(), now));
                    recent.under_way.push((subject.clone(), order, case.id));
                    push(Act::Order(subject, order));
                }
            }
        }
        actions
    }

    /// A host stands out together with the one site on it that was broken into, and everybody else there would go with it.
    fn is_host(&self, subject: &Subject) -> bool {
        subject.subscriber().is_some_and(|name| self.hosts.contains(name))
    }

    fn holds_back(&self, rule: &Rule, recent: &Recent, now: Timestamp) -> bool {
        recent.is_reached(self.brake, None, now)
            || rule.brake.is_some_and(|brake| recent.is_reached(brake, Some(&rule.name), now))
    }

    /// What a rule would have done to the cases that are kept, the oldest first, had it been there alone and in force: each is
    /// looked at as of when something was last told of it, whether or not it was closed since.
    #[must_use]
    pub fn rehearse(&self, rule: &Rule, known: &[Arc<Case>]) -> Vec<Would> {
        let told = |case: &Arc<Case>| {
            let of = case.history.iter().rev();
            let mut told = of.filter(|event| matches!(event.what, Happened::Opened | Happened::Joined));
            Some((told.next()?.at, Arc::clone(case)))
        };
        let mut cases: Vec<(Timestamp, Arc<Case>)> = known.iter().filter_map(told).collect();
        cases.sort_by_key(|(at, case)| (*at, case.id));
        let (mut all, mut recent) = (Vec::new(), Recent::default());
        let mut held: BTreeMap<Subject, Option<Timestamp>> = BTreeMap::new();
        for (at, case) in cases {
            let Some(because) = rule.when.holds(&case, known) else { continue };
            let mut push = |order, braked| {
                all.push(Would { case: case.id, at, order, braked, because: because.clone() });
            };
            let Some(order) = rule.then.order(at) else {
                push(None, false);
                continue;
            };
            let until = match order {
                Order::UntilDelisted => delisted(&case, at),
                order => order.until(),
            };
            for subject in rule.when.whom(&case) {
                if held.get(&subject).is_some_and(|until| until.is_none_or(|until| at < until)) {
                    continue;
                }
                let braked = self.is_host(&subject) || self.holds_back(rule, &recent, at);
                if !braked {
                    recent.orders.push((rule.name.clone(), at));
                    held.insert(subject.clone(), until);
                }
                push(Some((subject, order)), braked);
            }
        }
        all
    }
}

/// What follows from listings that are over: whoever was limited until then is released by the rule that limited them. It does not
/// matter what is configured now.
#[must_use]
pub fn delistings(standing: &Standing, now: Timestamp) -> Vec<Action> {
    let over = standing.ties().all().filter(|(_, tie)| tie.over);
    let action = |(subject, tie): (&Subject, &Tie)| Action {
        at: now,
        by: tie.by.clone(),
        case: tie.case,
        act: Act::Order(subject.clone(), Order::Delisted),
        reason: words(&format!("{} is no longer on {}", tie.address, tie.list)),
        ticket: None,
    };
    over.map(action).collect()
}

/// When the listing was over that a case told of at this moment.
fn delisted(case: &Case, at: Timestamp) -> Option<Timestamp> {
    let mut ends = case.history.iter().filter(|event| event.what == Happened::Delisted && event.at >= at);
    ends.next().map(|event| event.at)
}

impl When {
    /// Whom a case that makes a rule act is about: of a listing those who stood out before the newest, as others may have done so before
    /// one that is long over.
    fn whom(&self, case: &Case) -> Vec<Subject> {
        let Some(listing) = case.listing().filter(|_| *self == When::Listing) else {
            return case.about.clone();
        };
        let mut whom: Vec<Subject> = listing.suspects.iter().map(|signal| signal.subject.clone()).collect();
        whom.sort_unstable();
        whom.dedup();
        whom
    }

    /// Whether it is so of this case, and why, in words.
    fn holds(&self, case: &Case, known: &[Arc<Case>]) -> Option<Name> {
        match (self, case.kind) {
            (When::Signal { name, at_least }, Kind::Signal) => {
                let signals = case.evidence.iter().filter_map(|evidence| match evidence {
                    Evidence::Signal(signal) => Some(signal),
                    Evidence::Complaint(_) | Evidence::Listing(_) => None,
                });
                let mut fit = signals.filter(|signal| {
                    signal.value >= *at_least && name.as_ref().is_none_or(|name| signal.name == *name)
                });
                let signal = fit.next()?;
                Some(words(&format!("{} is {}: {}", signal.name, signal.value, signal.words)))
            }
            (When::Listing, Kind::Listing) => {
                let listing = case.listing()?;
                Some(words(&format!("{} is on {}", listing.address, listing.list)))
            }
            (When::Complaints { at_least, within }, Kind::Complaint) => {
                let subject = only(case)?;
                // Up to this one: those before it were looked at when they came.
                let since = within.map_or(Timestamp::EARLIEST, |within| case.opened.minus(within));
                let counts = |other: &&Arc<Case>| {
                    other.kind == Kind::Complaint
                        && other.opened > since
                        && other.id <= case.id
                        && only(other) == Some(subject)
                        // What was unfounded says nothing.
                        && other.history.iter().all(|event| event.what != Happened::Dismissed)
                };
                let count = u64::try_from(known.iter().filter(counts).count()).unwrap_or(u64::MAX);
                (count >= *at_least).then(|| words(&format!("{count} complaints about {}", subject.name())))
            }
            _ => None,
        }
    }
}

fn words(text: &str) -> Name {
    Name::from(text)
}

/// Whom a case is about, where it can only be one.
fn only(case: &Case) -> Option<&Subject> {
    match (case.about.as_slice(), case.confidence) {
        ([only], Confidence::Exact | Confidence::UntilLastInterim) => Some(only),
        _ => None,
    }
}

/// Whether they are held back as much already, by whomever.
fn is_held(standing: &Standing, subject: &Subject, order: Order, case: u64, now: Timestamp) -> bool {
    let suspended = standing.suspension(subject, now).is_some();
    match order {
        Order::Suspend { .. } => suspended,
        Order::Limit { .. } => suspended || standing.limited(subject, now).is_some(),
        Order::UntilDelisted => suspended || !standing.may_be_tied(subject, case, now),
        Order::Release | Order::Delisted => false,
    }
}

#[cfg(test)]
mod tests;
