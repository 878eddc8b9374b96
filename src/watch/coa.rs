//! Which lines the access side must be asked about: what ought to be, against what was asked and said.
//!
//! Nothing is remembered of what has happened: who is held back, which sessions they have, and the last word about each of those
//! decide. So an order that was given while a NAS was away, a daemon that was stopped in between, a session that begins later
//! and an order that runs out by itself are all the same case.
//!
//! Knows: when a word is the last one, and how many requests may be sent. Must not know: how a request is written, or sockets.

pub mod outbox;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::config::{Coa, Most, Reached, Request};
use crate::radius::dynamic;
use crate::radius::template::Facts;
use crate::relay::line::{Act, Lines, Means, Said, Told};
use crate::relay::standing::{Held, Standing, Subject, Suspension};
use crate::session::{Name, SessionKey, Timestamp};

/// After silence it is asked again: at first so soon,
const PATIENCE_LEAST: Duration = Duration::from_secs(30);
/// and at last so late.
const PATIENCE_MOST: Duration = Duration::from_secs(3600);

/// A session of somebody who is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Which.
    pub session: SessionKey,
    /// Whose.
    pub subscriber: Name,
    /// Whether it is certain that it is theirs.
    pub is_certain: bool,
    /// What is known of it.
    pub facts: Facts,
}

/// A request that must be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish<'a> {
    /// About which session.
    pub online: &'a Online,
    /// To whom.
    pub reached: &'a Reached,
    /// Which request.
    pub request: &'a Request,
    /// What is to be written down of it, for now.
    pub told: Told,
    /// Whether that is written down already.
    pub is_told: bool,
}

/// Whom to ask about: everybody who is held back, and everybody of whom something was asked.
#[must_use]
pub fn subscribers(coa: &Coa, standing: &Standing, lines: &Lines, now: Timestamp) -> Vec<Name> {
    if coa.nases.is_empty() {
        return Vec::new();
    }
    let held = standing.in_force(now).into_iter();
    let held = held.filter(|(_, held, _)| *held == Held::Suspended || coa.cares_for_limits());
    let mut names: Vec<Name> = held.filter_map(|(subject, ..)| subject.subscriber().cloned()).collect();
    names.extend(lines.subscribers().cloned());
    names.sort_unstable();
    names.dedup();
    names
}

/// What must be asked now. Those who are to be restored come first: they wait for nothing but us.
#[must_use]
pub fn wishes<'a>(
    coa: &'a Coa,
    standing: &Standing,
    lines: &Lines,
    online: &'a [Online],
    now: Timestamp,
) -> Vec<Wish<'a>> {
    let mut wishes: Vec<Wish<'a>> =
        online.iter().filter_map(|one| wish(coa, standing, lines, one, now)).collect();
    wishes.sort_by_key(|wish| std::cmp::Reverse(wish.told.act));
    wishes
}

fn wish<'a>(
    coa: &'a Coa,
    standing: &Standing,
    lines: &Lines,
    online: &'a Online,
    now: Timestamp,
) -> Option<Wish<'a>> {
    let nas = online.session.nas.text()?;
    let reached = coa.of(nas).filter(|_| online.is_certain)?;
    let line = lines.about(&online.subscriber, &online.session);
    let known = line.map(|line| &line.told);
    let (act, request, reference, case) = match holding(reached, standing, &online.subscriber, now) {
        Some(order) => {
            if is_passed(reached, order, &online.session) {
                return None;
            }
            (Act::Restrict, &reached.restrict, order.reference, order.case)
        }
        None => {
            let known = &line.filter(|line| line.may_hold())?.told;
            (Act::Restore, reached.restore.as_ref()?, known.reference, known.case)
        }
    };
    let known = known.filter(|known| known.act == act);
    if known.is_some_and(|known| is_last(known, reference, coa.enforce)) {
        return None;
    }
    // In silence nothing new is to be written down. A question that nobody waits for any more was asked by a daemon that was stopped:
    // that it is asked again says that it may have been done.
    let is_told =
        coa.enforce && known.is_some_and(|known| known.reference == reference && known.said == Said::Silence);
    let told = Told {
        at: now,
        session: online.session.clone(),
        subscriber: online.subscriber.clone(),
        reference,
        case,
        act,
        means: request.means,
        said: if coa.enforce { Said::Asked } else { Said::Observed },
        words: Name::from(if coa.enforce { "asked" } else { "not sent: mode is \"observe\"" }),
    };
    Some(Wish { online, reached, request, told, is_told })
}

/// The order by which the lines of a subscriber are to be restricted.
fn holding<'a>(
    reached: &Reached,
    standing: &'a Standing,
    subscriber: &Name,
    now: Timestamp,
) -> Option<&'a Suspension> {
    let subject = Subject::Subscriber(subscriber.clone());
    let limited = || standing.limited(&subject, now).filter(|_| reached.on == Held::Limited);
    standing.suspension(&subject, now).or_else(limited)
}

/// Whether a session has begun too late for an order to concern it.
fn is_passed(reached: &Reached, order: &Suspension, session: &SessionKey) -> bool {
    session.incarnation > order.since && !reached.on_start
}

/// Whether what was asked ought to be asked still: by the configuration, and by the orders as they are now. Of the session it must be
/// certain besides.
#[must_use]
pub fn is_wanted(coa: &Coa, standing: &Standing, told: &Told, now: Timestamp) -> bool {
    let reached = told.session.nas.text().and_then(|nas| coa.of(nas)).filter(|_| coa.enforce);
    let Some(reached) = reached else { return false };
    let order = holding(reached, standing, &told.subscriber, now);
    match told.act {
        Act::Restrict => order.is_some_and(|order| !is_passed(reached, order, &told.session)),
        Act::Restore => order.is_none(),
    }
}

/// Whether nothing more is to be asked after this was said.
fn is_last(known: &Told, reference: u64, enforce: bool) -> bool {
    match known.said {
        // Whichever order it was: it holds. What restores it is another act.
        Said::Ack => true,
        Said::Observed => !enforce && known.reference == reference,
        // Another order is worth another question.
        Said::Nak(cause) => known.reference == reference && !is_for_now(cause),
        Said::Unsayable => known.reference == reference,
        Said::Asked | Said::Silence => false,
    }
}

/// Whether a NAS, or a proxy before it, refuses for now only (RFC 5176 section 3.5).
fn is_for_now(cause: Option<u32>) -> bool {
    matches!(cause, Some(502 | 505 | 506))
}

/// The answer of a NAS in words.
#[must_use]
pub fn words(said: Said) -> Name {
    let text = match said {
        Said::Ack => "acknowledged".to_owned(),
        Said::Nak(None) => "refused, without a cause".to_owned(),
        Said::Nak(Some(cause)) => match dynamic::error_cause(cause) {
            Some(words) => format!("refused: {words} ({cause})"),
            None => format!("refused: Error-Cause {cause}"),
        },
        Said::Silence => "no answer".to_owned(),
        Said::Unsayable => "not sent: nothing that is known of the session would name it".to_owned(),
        Said::Asked | Said::Observed => said.word().to_owned(),
    };
    Name::from(text.as_str())
}

/// By which request something is asked.
#[must_use]
pub fn asking(means: Means) -> dynamic::Asking {
    match means {
        Means::Coa => dynamic::Asking::Change,
        Means::Disconnect => dynamic::Asking::End,
    }
}

/// When somebody who did not answer is asked again.
#[derive(Debug, Default)]
pub struct Patience {
    of: HashMap<SessionKey, (Act, Timestamp, Duration)>,
}

impl Patience {
    /// Whether it may be asked now.
    #[must_use]
    pub fn is_over(&self, session: &SessionKey, act: Act, now: Timestamp) -> bool {
        self.of.get(session).is_none_or(|(waits, until, _)| *waits != act || *until <= now)
    }

    /// What was said, and when.
    pub fn hear(&mut self, session: &SessionKey, act: Act, said: Said, now: Timestamp) {
        let again = match said {
            Said::Silence => true,
            Said::Nak(cause) => is_for_now(cause),
            _ => false,
        };
        if !again {
            self.of.remove(session);
            return;
        }
        let before = self.of.get(session).filter(|(waited, ..)| *waited == act);
        let wait = before.map_or(PATIENCE_LEAST, |(.., wait)| wait.saturating_mul(2).min(PATIENCE_MOST));
        self.of.insert(session.clone(), (act, now.plus(wait), wait));
    }

    /// Forgets whoever is not there any more.
    pub fn keep(&mut self, is_there: impl Fn(&SessionKey) -> bool) {
        self.of.retain(|session, _| is_there(session));
    }
}

/// How many requests may be sent, whatever is wished: a mistake cuts off no more than so many.
#[derive(Debug, Default)]
pub struct Brake {
    sent: VecDeque<Timestamp>,
}

impl Brake {
    /// Whether one more may be sent now; it then counts.
    pub fn lets_go(&mut self, most: Most, now: Timestamp) -> bool {
        let since = now.minus(most.within);
        while self.sent.front().is_some_and(|sent| *sent <= since) {
            self.sent.pop_front();
        }
        let goes = self.sent.len() < usize::try_from(most.requests).unwrap_or(usize::MAX);
        if goes {
            self.sent.push_back(now);
        }
        goes
    }
}

#[cfg(test)]
mod tests;
