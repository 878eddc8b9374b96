//! Which SMTP sessions are open now, for limits: each is there for as long as whoever told of it holds its seat.
//!
//! Knows: how seats are taken and given back, also by a milter client that is gone without a word. Must not know: milter, limits, or how
//! the owner of an address is found.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::relay::connections::{Client, Connections, Turn};
use crate::relay::standing::Subject;

/// All of them.
#[derive(Debug, Default)]
pub struct Seats(Mutex<Connections>);

/// One session's; given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    turn: Turn,
}

impl Seats {
    /// A session begins; `sender`: whose the client's address surely is.
    pub fn take(self: &Arc<Self>, client: Client, sender: Option<Subject>) -> Seat {
        let turn = self.connections().begin(client, sender);
        Seat { seats: Arc::clone(self), turn }
    }

    /// It turns out whose a session is of which nobody was known at its beginning.
    pub fn claim(&self, client: Client, sender: Subject) {
        self.connections().claim(client, sender);
    }

    /// The place of a client's session among its sender's.
    pub fn place(&self, client: Client, sender: &Subject) -> u64 {
        self.connections().place(client, sender)
    }

    /// How many this sender has.
    pub fn count(&self, sender: &Subject) -> u64 {
        self.connections().count(sender)
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.connections().len()
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// It is this sender's as well.
    pub fn is_of(&self, sender: Subject) {
        self.seats.connections().is_of(self.turn, sender);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.connections().end(self.turn);
    }
}
