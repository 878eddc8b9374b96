//! Folds log entries into everything that is kept in memory. Pure: an entry and the state before it, nothing else.
//!
//! Knows: which view wants which entry. Must not know: clocks, configuration, sockets, files.

use crate::log::entry::Question;
use crate::relay::message::Message;
use crate::relay::standing::Command;
use crate::session::event::Effect;

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
    Effect(Effect),
    /// A message was let go.
    Message(Box<Message>),
    /// Staff ordered something.
    Command(Command),
    /// Staff asked something.
    Question(Question),
}
