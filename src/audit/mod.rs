//! The index that answers about the past, filled from the log behind the acknowledgement.
//!
//! Knows: effects, messages and questions as rows; what was known when. Must not know: how an answer is shown.

pub mod index;
pub mod past;
