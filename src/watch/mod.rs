//! What others say of us: whether block lists have our own mail servers; and what the access side is told of those who are held back.
//!
//! Knows: how they are asked, what their answers mean, and when a change is believed. Must not know: how an answer comes
//! here, or who is told.

pub mod coa;
pub mod dnsbl;
pub mod listings;
