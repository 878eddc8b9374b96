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
mod tests {
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
        assert_eq!(
            judged(&rules, &cases, &Standing::default())[0].reason,
            Name::from("3 complaints about bob")
        );
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
        let (mut cases, mut standing, mut recent) =
            (Cases::default(), Standing::default(), Recent::default());
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
        assert_eq!(
            whom(&judged(&rules, &cases, &Standing::default())),
            ["carol"],
            "not bob, who is quiet now"
        );
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
        assert_eq!(
            told,
            [(1, false), (5, false), (6, true)],
            "bob was suspended already when he was seen again"
        );
        let (subject, order) = would[0].order.clone().unwrap();
        assert_eq!((subject, order.until()), (bob(), Some(NOW.plus(HOUR))));
        let notes = alone(flood(Then::Note));
        assert_eq!(notes.rehearse(&notes.all[0], &all(&cases)).len(), 4);
    }
}
