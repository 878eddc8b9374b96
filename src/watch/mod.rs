//! What others say of us: whether block lists have our own mail servers.
//!
//! Knows: how lists are asked, what their answers mean, and when a change is believed. Must not know: how an answer comes
//! here, or who is told.

pub mod dnsbl;
pub mod listings;
