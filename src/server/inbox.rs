//! The bounded queue in front of the engine. Full, it drops datagrams: a NAS sends again.
//!
//! Knows: how much room there is, and for whom. Must not know: what becomes of an input.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::detail;
use super::radius::{self, Offer, Offered};
use crate::log::entry::Entry;
use crate::relay::message::Message;
use crate::session::event::{Kind, Record};

/// How many inputs one commit takes at most: enough for the price of a sync to vanish, few enough that the first of
/// them does not wait for long.
const AT_ONCE: usize = 8192;

/// Who waits for an accounting record to be durable, and what the acknowledgement needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// A NAS, for its answer.
    Nas(radius::Receipt),
    /// Whoever follows a file, to go on from there after a restart.
    File(detail::Receipt),
}

/// What the engine is given.
pub enum Input {
    /// An accounting record.
    Record(Box<Record>, Receipt),
    /// An entry from an MTA or from staff; the answer is its sequence once it is durable.
    Entry(Box<Entry>, oneshot::Sender<u64>),
    /// Records or messages out of a file, and the entry that says who brought them; the answer is that one's sequence.
    Import(Box<Import>, oneshot::Sender<u64>),
}

/// Records or messages out of a file.
pub struct Import {
    /// Who brought them, and from where.
    pub by: Entry,
    /// In the order in which they stood there.
    pub records: Vec<Record>,
    /// Messages, likewise.
    pub messages: Vec<Message>,
}

/// The queue.
pub struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    inputs: VecDeque<Input>,
    closed: bool,
}

/// What a wait for inputs ended with.
pub struct Taken {
    /// What had gathered, in order of arrival.
    pub inputs: Vec<Input>,
    /// No more will come.
    pub closed: bool,
}

impl Inbox {
    /// A queue for so many inputs.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Inbox { state: Mutex::default(), arrived: Condvar::new(), capacity }
    }

    /// Hands over an entry. `None` when the queue is full: the asker answers for itself.
    pub fn submit(&self, entry: Entry) -> Option<oneshot::Receiver<u64>> {
        let (done, sequence) = oneshot::channel();
        self.push(Input::Entry(Box::new(entry), done), self.capacity).then_some(sequence)
    }

    /// Takes a record out of a file that is followed.
    ///
    /// # Errors
    /// The record, when the queue is half full: a file can wait, NASes can't.
    pub fn offer_from_file(&self, record: Box<Record>, receipt: detail::Receipt) -> Result<(), Box<Record>> {
        let mut state = self.locked();
        if state.closed || state.inputs.len() >= self.capacity / 2 {
            return Err(record);
        }
        state.inputs.push_back(Input::Record(record, Receipt::File(receipt)));
        self.tell(state, 1);
        Ok(())
    }

    /// Hands over records out of a file. `None` when the queue is half full: a file can wait, NASes can't.
    pub fn submit_import(&self, import: Import) -> Option<oneshot::Receiver<u64>> {
        let (done, sequence) = oneshot::channel();
        self.push(Input::Import(Box::new(import), done), self.capacity / 2).then_some(sequence)
    }

    /// Waits until something arrives, the queue is closed, or the time is over.
    pub fn take(&self, patience: Duration) -> Taken {
        let waiting = |state: &mut State| state.inputs.is_empty() && !state.closed;
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(self.locked(), patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let count = state.inputs.len().min(AT_ONCE);
        Taken { inputs: state.inputs.drain(..count).collect(), closed: state.closed }
    }

    /// Takes nothing more; what is in the queue is still handed out.
    pub fn close(&self) {
        self.locked().closed = true;
        self.arrived.notify_all();
    }

    /// How many inputs wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locked().inputs.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&self, input: Input, room: usize) -> bool {
        let mut state = self.locked();
        if state.closed || state.inputs.len() >= room {
            return false;
        }
        state.inputs.push_back(input);
        self.tell(state, 1);
        true
    }

    /// Wakes the engine when so many are all that there is: it sleeps only on an empty queue. Not before the queue is
    /// unlocked, or it would wake up to wait once more.
    fn tell(&self, state: MutexGuard<'_, State>, put: usize) {
        let was_empty = put > 0 && state.inputs.len() == put;
        drop(state);
        if was_empty {
            self.arrived.notify_one();
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offer for Inbox {
    /// Row 45: the last tenth of the room is for what frees addresses, the tenth before it for new sessions. What an
    /// interim update says it says again. Order stays that of arrival.
    fn offer(&self, batch: &mut Vec<Offered>) {
        let tenth = self.capacity / 10;
        let room = |kind| match kind {
            Kind::Stop | Kind::On | Kind::Off => self.capacity,
            Kind::Start => self.capacity - tenth,
            Kind::Interim => self.capacity - 2 * tenth,
        };
        let mut state = self.locked();
        let before = state.inputs.len();
        let mut refused = Vec::new();
        for Offered { record, receipt } in batch.drain(..) {
            if state.closed || state.inputs.len() >= room(record.kind) {
                refused.push(Offered { record, receipt });
            } else {
                state.inputs.push_back(Input::Record(record, Receipt::Nas(receipt)));
            }
        }
        batch.append(&mut refused);
        let put = state.inputs.len().saturating_sub(before);
        self.tell(state, put);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::radius::duplicate::Key;
    use crate::session::{Name, Timestamp};

    fn alive() -> Entry {
        Entry::Alive { ahead: Duration::ZERO }
    }

    fn receipt() -> radius::Receipt {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let key = Key { peer, identifier: 0, authenticator: [0; 16] };
        let response = smallvec::SmallVec::new();
        radius::Receipt { listener: 0, peer, local: None, interface: 0, key, response }
    }

    #[test]
    fn what_is_full_takes_nothing_and_what_is_taken_makes_room() {
        let inbox = Inbox::new(2);
        assert!(inbox.submit(alive()).is_some());
        assert!(inbox.submit(alive()).is_some());
        assert!(inbox.submit(alive()).is_none());
        assert_eq!(inbox.take(Duration::ZERO).inputs.len(), 2);
        assert!(inbox.submit(alive()).is_some());
    }

    #[test]
    fn a_storm_sheds_interim_updates_first_then_starts_and_stops_last() {
        let inbox = Inbox::new(10);
        let offered = |kind| {
            let record = Record::bare(kind, Name::from("bras1"), Name::from("1"), Timestamp::from_seconds(0));
            let mut batch = vec![Offered { record: Box::new(record), receipt: receipt() }];
            inbox.offer(&mut batch);
            batch.is_empty()
        };
        let taken = |kind| (0..20).filter(|_| offered(kind)).count();
        assert_eq!(taken(Kind::Interim), 8);
        assert_eq!(taken(Kind::Start), 1);
        assert_eq!(taken(Kind::Stop), 1);
        assert!(!offered(Kind::Off));
    }

    #[test]
    fn a_file_is_taken_while_the_queue_is_not_half_full() {
        let inbox = Inbox::new(4);
        let import = || Import { by: alive(), records: Vec::new(), messages: Vec::new() };
        assert!(inbox.submit(alive()).is_some());
        assert!(inbox.submit_import(import()).is_some());
        assert!(inbox.submit_import(import()).is_none());
        assert!(inbox.submit(alive()).is_some(), "there is room for everybody else");
    }

    #[test]
    fn one_commit_takes_a_bounded_number_and_leaves_the_rest() {
        let inbox = Inbox::new(AT_ONCE + 1);
        let waiting: Vec<_> = (0..=AT_ONCE).map(|_| inbox.submit(alive())).collect();
        assert!(waiting.iter().all(Option::is_some));
        assert_eq!(inbox.take(Duration::ZERO).inputs.len(), AT_ONCE);
        assert_eq!(inbox.take(Duration::ZERO).inputs.len(), 1);
    }

    #[test]
    fn a_closed_inbox_hands_out_what_it_has_and_takes_no_more() {
        let inbox = Inbox::new(9);
        assert!(inbox.submit(alive()).is_some());
        inbox.close();
        assert!(inbox.submit(alive()).is_none());
        let taken = inbox.take(Duration::from_secs(60));
        assert_eq!((taken.inputs.len(), taken.closed), (1, true));
    }
}
