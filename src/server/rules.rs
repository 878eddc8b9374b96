//! Has rules judged when a case has changed, and makes entries of what follows.
//!
//! A case counts as changed when something was told of it, not when somebody acted on it; and only as long as that is news: a rule
//! that is new, or a daemon that was away, acts on nothing that has been lying there. What could not be written is judged again.
//!
//! Knows: when rules are asked, and what becomes of their answers. Must not know: what a rule looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};

use super::health::Health;
use super::inbox::Inbox;
use crate::clock;
use crate::config::Config;
use crate::log::entry::Entry;
use crate::relay::case::{Act, Action, Case, Happened};
use crate::relay::rule::{Recent, delistings};
use crate::relay::standing::Order;
use crate::session::Timestamp;
use crate::views::Shared;

/// How often it is looked whether a case has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What was told before that is no news.
const NEWS: Duration = Duration::from_secs(10 * 60);
/// How long an entry may take to be durable.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);

/// What rules did.
#[derive(Debug, Default)]
pub struct Counters {
    ordered: AtomicU64,
    released: AtomicU64,
    noted: AtomicU64,
    observed: AtomicU64,
    called: AtomicU64,
}

impl Counters {
    /// Each outcome, and how often it was.
    pub fn read(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("ordered", read(&self.ordered)),
            ("released", read(&self.released)),
            ("noted", read(&self.noted)),
            ("observed", read(&self.observed)),
            ("called", read(&self.called)),
        ]
    }

    fn count(&self, act: &Act) {
        let counter = match act {
            Act::Order(_, Order::Delisted) => &self.released,
            Act::Order(..) => &self.ordered,
            Act::Observed(..) => &self.observed,
            Act::Called(..) => &self.called,
            Act::Note | Act::Close { .. } | Act::Dismiss { .. } => &self.noted,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whoever has rules judged.
pub struct Judge {
    /// Reloaded as a whole.
    pub config: Arc<ArcSwap<Config>>,
    /// Cases and standing.
    pub shared: Arc<Shared>,
    /// Where entries go.
    pub inbox: Arc<Inbox>,
    /// Whether they can be written.
    pub health: Arc<Health>,
    /// What was done.
    pub counters: Arc<Counters>,
    /// The last change of a case that was looked at, by its entry.
    pub seen: u64,
}

impl Judge {
    /// Looks until told to stop.
    pub async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = look.tick() => self.look().await,
                _ = stopping.changed() => return,
            }
        }
    }

    async fn look(&mut self) {
        let now = clock::now();
        if self.health.is_blind(now) || !self.end_delisted(now).await {
            return;
        }
        let changed = self.shared.cases_changed();
        if changed <= self.seen {
            return;
        }
        let Some(submitted) = self.submitted(now) else { return };
        if self.committed(submitted).await {
            self.seen = changed;
        }
    }

    /// Releases whoever was limited until a listing was over. What stands in the views says who, so what could not be written is
    /// tried again, also after a restart; whether it could.
    async fn end_delisted(&self, now: Timestamp) -> bool {
        let ends = delistings(&self.shared.standing.load(), now);
        let submit = |action: Action| Some((action.clone(), self.inbox.submit(Entry::Case(action))?));
        match ends.into_iter().map(submit).collect() {
            Some(submitted) => self.committed(submitted).await,
            None => false,
        }
    }

    async fn committed(&self, submitted: Vec<(Action, oneshot::Receiver<u64>)>) -> bool {
        for (action, done) in submitted {
            let committed = tokio::time::timeout(COMMIT_WITHIN, done).await;
            if !committed.is_ok_and(|done| done.is_ok()) {
                return false;
            }
            self.counters.count(&action.act);
            say(&action);
        }
        true
    }

    /// What follows from the cases of which something was told, on its way to the log. `None`: there is no room for it now.
    fn submitted(&self, now: Timestamp) -> Option<Vec<(Action, oneshot::Receiver<u64>)>> {
        let config = self.config.load();
        let rules = &config.case_rules;
        if rules.all.is_empty() {
            return Some(Vec::new());
        }
        let (known, standing) = (self.shared.cases(), self.shared.standing.load());
        let mut recent = Recent::of(&known, now.minus(rules.longest()));
        let mut submitted = Vec::new();
        for case in known.iter().rev().filter(|case| self.is_news(case, now)) {
            for action in rules.judge(case, &known, &standing, &mut recent, now) {
                // Without room the ones before are given up with it: the engine passes over what nobody waits for.
                let done = self.inbox.submit(Entry::Case(action.clone()))?;
                submitted.push((action, done));
            }
        }
        Some(submitted)
    }

    fn is_news(&self, case: &Case, now: Timestamp) -> bool {
        let told = |what| matches!(what, Happened::Opened | Happened::Joined);
        let newest = case.history.iter().rev().find(|event| told(event.what));
        newest.is_some_and(|event| event.sequence > self.seen && now.since(event.at) <= NEWS)
    }
}

fn say(action: &Action) {
    let Action { by, case, reason, .. } = action;
    match &action.act {
        Act::Order(subject, order) => {
            let (kind, name, order) = (subject.kind(), subject.name(), order.word());
            tracing::info!(%by, case, kind, %name, order, %reason, "a rule gave an order");
        }
        Act::Called(subject, order) => {
            let (kind, name, order) = (subject.kind(), subject.name(), order.word());
            tracing::warn!(%by, case, kind, %name, order, %reason, "a rule has given too many orders: somebody must look at this case");
        }
        Act::Observed(..) | Act::Note | Act::Close { .. } | Act::Dismiss { .. } => {}
    }
}
