//! Hands what was not let go to the engine, a minute at a time, and answers nobody later for it.
//!
//! An attempt is no promise: the mail server has its answer before anything is written. So nobody waits for these entries,
//! and what a crash loses is a minute of rows; but what storage refuses for a while is offered again.
//!
//! Knows: when rows are handed over, and what becomes of them then. Must not know: what is one row.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::inbox::Inbox;
use super::secret_key::SecretKey;
use crate::audit::rows::AttemptFilter;
use crate::log::entry::Entry;
use crate::relay::attempts::{Attempt, Attempts, Reference, Tried};
use crate::relay::standing::Subject;
use crate::session::Timestamp;

/// How often minutes that are over are handed over.
pub const HAND_OVER_EVERY: Duration = Duration::from_secs(10);

/// What gathers, and what is under way to the log.
#[derive(Default)]
pub struct Gathering {
    attempts: Mutex<Attempts>,
    under_way: Mutex<Vec<UnderWay>>,
    apart: AtomicU64,
    counted: AtomicU64,
}

/// Rows that the engine has, and how it tells that they are durable. It passes over what nobody waits for.
struct UnderWay {
    rows: Vec<Attempt>,
    done: oneshot::Receiver<u64>,
}

impl Gathering {
    /// Notes an attempt, and says what it is called.
    pub fn note(&self, tried: &Tried<'_>, key: &SecretKey) -> Reference {
        let (reference, is_apart) = self.attempts().note(tried, |kept| key.reference(kept));
        let counter = if is_apart { &self.apart } else { &self.counted };
        counter.fetch_add(1, Ordering::Relaxed);
        reference
    }

    /// Hands minutes that are over to the engine, unless it has not done with those before.
    pub fn hand_over(&self, inbox: &Inbox, now: Timestamp) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting =
            std::mem::take(&mut *under_way).into_iter().filter_map(|UnderWay { rows, mut done }| match done
                .try_recv()
            {
                Ok(_) => None,
                Err(TryRecvError::Empty) => Some(UnderWay { rows, done }),
                Err(TryRecvError::Closed) => {
                    self.attempts().take_back(rows);
                    None
                }
            });
        *under_way = waiting.collect();
        if under_way.is_empty() {
            let rows = self.attempts().take(Some(now));
            under_way.extend(self.submit(inbox, rows));
        }
    }

    /// Hands over all that there is: there will be no more.
    pub fn hand_over_rest(&self, inbox: &Inbox) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let rows = self.attempts().take(None);
            let Some(handed) = self.submit(inbox, rows) else { return };
            under_way.push(handed);
        }
    }

    /// `None`: nothing was handed over.
    fn submit(&self, inbox: &Inbox, rows: Vec<Attempt>) -> Option<UnderWay> {
        if rows.is_empty() {
            return None;
        }
        match inbox.submit(Entry::Attempts(rows.clone())) {
            Some(done) => Some(UnderWay { rows, done }),
            None => {
                self.attempts().take_back(rows);
                None
            }
        }
    }

    /// Those that are not known to be written down, in no order. What is under way counts: while storage refuses, minutes that
    /// are over are nowhere else.
    pub fn gathered(&self, filter: &AttemptFilter) -> Vec<Attempt> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = self.attempts();
        let all = under_way.iter().flat_map(|under_way| &under_way.rows).chain(attempts.iter());
        all.filter(|attempt| filter.admits(attempt)).cloned().collect()
    }

    /// How many recipients of this sender were refused that are not on their way to the log yet.
    pub fn refused(&self, sender: &Subject) -> u64 {
        self.attempts().refused(sender)
    }

    /// How many attempts were kept how.
    pub fn read(&self) -> [(&'static str, u64); 2] {
        [("apart", &self.apart), ("counted", &self.counted)]
            .map(|(kept, counter)| (kept, counter.load(Ordering::Relaxed)))
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Profile;
    use crate::relay::attempts::MINUTE;
    use crate::relay::ruling::Ruling;
    use crate::relay::verdict::Reason;
    use crate::server::inbox::Input;
    use crate::session::Name;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn note(gathering: &Gathering, key: &SecretKey, at: Timestamp) {
        let (mta, ruling) =
            (Name::from("mx1"), Ruling { reason: Reason::NotOnline, owners: Vec::new(), suspension: None });
        let tried = Tried {
            at,
            mta: &mta,
            profile: Profile::Relay,
            address: None,
            port: None,
            login: None,
            helo: b"",
            sender: b"",
            recipient_domain: b"",
            ruling: &ruling,
            observed: false,
        };
        gathering.note(&tried, key);
    }

    fn taken(inbox: &Inbox) -> Vec<(usize, oneshot::Sender<u64>)> {
        let input = |input| match input {
            Input::Entry(entry, done) => match *entry {
                Entry::Attempts(rows) => (rows.len(), done),
                other => panic!("{other:?}"),
            },
            _ => panic!("something else"),
        };
        inbox.take(Duration::ZERO).inputs.into_iter().map(input).collect()
    }

    #[test]
    fn minutes_go_one_hand_over_at_a_time_and_what_was_not_written_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::open(dir.path()).unwrap();
        let (gathering, inbox) = (Gathering::default(), Inbox::new(9));
        note(&gathering, &key, AT);
        gathering.hand_over(&inbox, AT);
        assert!(taken(&inbox).is_empty(), "the minute lasts");
        gathering.hand_over(&inbox, AT.plus(MINUTE));
        let (rows, done) = taken(&inbox).remove(0);
        assert_eq!(rows, 1);
        assert!(!done.is_closed(), "or the engine would pass over it");
        assert_eq!(gathering.gathered(&AttemptFilter::default()).len(), 1, "it may never be written");
        note(&gathering, &key, AT.plus(MINUTE));
        gathering.hand_over(&inbox, AT.plus(MINUTE * 2));
        assert!(taken(&inbox).is_empty(), "the one before is not written yet");
        drop(done);
        gathering.hand_over(&inbox, AT.plus(MINUTE * 2));
        let (rows, done) = taken(&inbox).remove(0);
        assert_eq!(rows, 2, "both");
        done.send(1).unwrap();
        gathering.hand_over(&inbox, AT.plus(MINUTE * 3));
        assert!(taken(&inbox).is_empty() && gathering.gathered(&AttemptFilter::default()).is_empty());
    }

    #[test]
    fn a_full_queue_loses_none_and_a_stop_takes_the_minute_that_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::open(dir.path()).unwrap();
        let gathering = Gathering::default();
        note(&gathering, &key, AT);
        gathering.hand_over(&Inbox::new(0), AT.plus(MINUTE));
        assert_eq!(gathering.gathered(&AttemptFilter::default()).len(), 1);
        note(&gathering, &key, AT.plus(MINUTE));
        let inbox = Inbox::new(9);
        gathering.hand_over_rest(&inbox);
        let (rows, done) = taken(&inbox).remove(0);
        assert_eq!((rows, done.is_closed()), (2, false));
        assert_eq!(gathering.read(), [("apart", 2), ("counted", 0)]);
    }
}
