//! How far it can be trusted that somebody is the one.
//!
//! Knows: the closed list, part of log entries and so of a file format. Must not know: what an answer rests on.

use serde::{Deserialize, Serialize};

/// How far an answer about who it was can be trusted; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Confidence {
    /// It was so; with no candidate: nobody owned it.
    Exact,
    /// The owner was not heard of again before its end was inferred: probably still the same one.
    UntilLastInterim,
    /// More than one may have owned it.
    Ambiguous,
    /// Nobody is known, and somebody may have owned it.
    Unknown,
}

impl Confidence {
    /// All of them.
    pub const ALL: [Confidence; 4] =
        [Confidence::Exact, Confidence::UntilLastInterim, Confidence::Ambiguous, Confidence::Unknown];

    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Exact => "exact",
            Confidence::UntilLastInterim => "until-last-interim",
            Confidence::Ambiguous => "ambiguous",
            Confidence::Unknown => "unknown",
        }
    }
}
