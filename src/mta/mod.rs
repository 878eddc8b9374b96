//! What MTAs say, as codecs over octets: octets to a question, an answer to octets.
//!
//! Knows: framing and spelling, with limits. Must not know: sockets, the live map, or why an answer is what it is.

pub mod netstring;
pub mod policy;
pub mod socketmap;
