//! Whose turn it is at one receiver: the first of what waits, or that something was lost.
//!
//! Of a loss a receiver is told once it has shown that it listens. If it does not want to hear of it then, that holds up nothing
//! else: the next one that it takes is followed by another attempt, with the same octets.
//!
//! Knows: what was tried in vain, and since when. Must not know: what time it is, or how something is sent.

use std::time::Duration;

use super::event_of;
use super::outbox::Waiting;
use crate::notice::Kind;
use crate::notice::body::Body;
use crate::notice::schedule::{Next, Said, Tried, next};
use crate::session::Timestamp;

/// What is done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// This is sent; of a loss with how many were lost in all.
    Send(Waiting, Option<u64>),
    /// There is nothing, or nothing for so long.
    Wait(Option<Duration>),
}

/// What was tried at one receiver.
#[derive(Debug, Default)]
pub(super) struct Turns {
    tries: Tries,
    /// It has just taken something.
    heard: bool,
    loss: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    /// How many were lost in all.
    all: u64,
    waiting: Waiting,
    tries: Tries,
    /// It is not tried again before.
    retry_at: Timestamp,
}

impl Turns {
    /// Whose turn it is; `lost` is how many were lost unsaid, and in all.
    pub(super) fn whose(&mut self, first: Option<Waiting>, lost: Option<(u64, u64)>, now: Timestamp) -> Turn {
        match lost {
            Some((untold, all)) if self.loss.as_ref().is_none_or(|loss| loss.all != all) => {
                let waiting = document(untold, all, now);
                // More was lost meanwhile: it is as old as before.
                self.loss = Some(match self.loss.take() {
                    Some(loss) => {
                        let waiting = Waiting { queued: loss.waiting.queued, ..waiting };
                        Loss { all, waiting, ..loss }
                    }
                    None => Loss { all, waiting, tries: Tries::default(), retry_at: now },
                });
            }
            Some(_) => {}
            None => self.loss = None,
        }
        match (first, &self.loss) {
            (first, Some(loss)) if loss.retry_at <= now && (self.heard || first.is_none()) => {
                Turn::Send(loss.waiting.clone(), Some(loss.all))
            }
            (Some(first), _) => Turn::Send(first, None),
            (None, loss) => Turn::Wait(loss.as_ref().map(|loss| loss.retry_at.since(now))),
        }
    }

    /// What follows of this answer. `dice` is any number.
    pub(super) fn answered(&mut self, sent: &Waiting, said: Said, now: Timestamp, dice: u32) -> Next {
        if event_of(&sent.id) != Kind::Lost.word() {
            let next = self.tries.next(sent, said, now, dice);
            self.heard = next == Next::Done;
            return next;
        }
        self.heard = false;
        let Some(loss) = &mut self.loss else { return Next::Done };
        let next = loss.tries.next(sent, said, now, dice);
        if let Next::Again(wait) = next {
            loss.retry_at = now.plus(wait);
        }
        next
    }

    /// Somebody may have mended something, and need not wait.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        if let Some(loss) = &mut self.loss {
            loss.retry_at = now;
        }
    }
}

fn document(untold: u64, all: u64, now: Timestamp) -> Waiting {
    let body = Body::lost(format!("{all}-lost"), now, untold);
    Waiting { number: 0, id: body.id().to_owned(), queued: now, body: body.json() }
}

/// What was tried in vain.
#[derive(Debug, Default)]
struct Tries {
    id: String,
    times: u32,
    refused: Option<Timestamp>,
}

impl Tries {
    fn next(&mut self, waiting: &Waiting, said: Said, now: Timestamp, dice: u32) -> Next {
        if self.id != waiting.id {
            // More was lost meanwhile, and it was refused already.
            let refused = self.refused.filter(|_| event_of(&waiting.id) == Kind::Lost.word());
            *self = Tries { id: waiting.id.clone(), refused, ..Tries::default() };
        }
        self.times = self.times.saturating_add(1);
        if said == Said::Refused {
            self.refused.get_or_insert(now);
        }
        let tried = Tried {
            times: self.times,
            age: now.since(waiting.queued),
            refused: self.refused.map(|since| now.since(since)),
        };
        next(said, tried, dice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::schedule::KEPT;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn first(number: i64) -> Option<Waiting> {
        let id = format!("{number}-suspended");
        Some(Waiting { number, id, queued: AT, body: "{}".to_owned() })
    }

    fn sent(turn: &Turn) -> &Waiting {
        let Turn::Send(waiting, _) = turn else { panic!("{turn:?}") };
        waiting
    }

    #[test]
    fn a_loss_that_is_not_heard_now_yields_and_is_told_after_the_next_one_with_the_same_octets() {
        let mut turns = Turns::default();
        let mut ids = Vec::new();
        let mut losses = Vec::new();
        for (number, said) in
            [(1, Said::Taken), (2, Said::Later(None)), (2, Said::Taken), (3, Said::Taken), (3, Said::Taken)]
        {
            let now = AT.plus(Duration::from_secs(10 * u64::try_from(ids.len()).unwrap()));
            let turn = turns.whose(first(number), Some((3, 3)), now);
            ids.push(sent(&turn).id.clone());
            losses.extend(Some(sent(&turn).clone()).filter(|sent| sent.id == "3-lost"));
            turns.answered(sent(&turn), said, now, 0);
        }
        assert_eq!(ids, ["1-suspended", "3-lost", "2-suspended", "3-lost", "3-suspended"]);
        assert_eq!(losses[0], losses[1]);
    }

    #[test]
    fn a_loss_that_nobody_hears_of_is_given_up_after_four_days_though_it_grows() {
        let mut turns = Turns::default();
        let turn = turns.whose(None, Some((3, 3)), AT);
        assert!(matches!(turns.answered(sent(&turn), Said::Later(None), AT, 0), Next::Again(_)));
        assert!(matches!(turns.whose(None, Some((3, 3)), AT), Turn::Wait(Some(wait)) if !wait.is_zero()));
        assert_eq!(sent(&turns.whose(first(1), Some((3, 3)), AT)).id, "1-suspended", "that need not wait");
        for (lost, age, is_over) in [(3, KEPT - Duration::from_secs(1), false), (4, KEPT, true)] {
            let now = AT.plus(age);
            turns.hurry(now);
            let turn = turns.whose(None, Some((lost, lost)), now);
            let next = turns.answered(sent(&turn), Said::Later(None), now, 0);
            assert_eq!((sent(&turn).id.clone(), next == Next::GiveUp), (format!("{lost}-lost"), is_over));
        }
        assert_eq!(turns.whose(None, None, AT), Turn::Wait(None));
    }
}
