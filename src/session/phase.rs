//! In which state a session is, for people and for rehearsals: one word, and nothing to act upon.
//!
//! Knows: the states. Must not know: why a session is in one, or what follows from it.

use super::Name;
use super::held::{Id, State};
use super::machine::Machine;

/// A session's state (`docs/sessions.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No usable address yet.
    Pending,
    /// Owns what it claims.
    Active,
    /// In doubt.
    Suspect,
    /// Stopped, and remembered.
    Stopped,
}

impl Phase {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Active => "active",
            Phase::Suspect => "suspect",
            Phase::Stopped => "stopped",
        }
    }
}

impl Machine {
    /// The state of the session that a NAS calls so; `None` when nothing is known of one.
    #[must_use]
    pub fn phase(&self, nas: &Name, session_id: &Name) -> Option<Phase> {
        let id = Id { nas: *self.nas_numbers.get(nas)?, session: session_id.clone() };
        match self.sessions.get(&id).map(|held| held.state()) {
            Some(State::Pending) => Some(Phase::Pending),
            Some(State::Active) => Some(Phase::Active),
            Some(State::Suspect { .. }) => Some(Phase::Suspect),
            None => self.tombstones.contains_key(&id).then_some(Phase::Stopped),
        }
    }
}
