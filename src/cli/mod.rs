//! One file per family of commands.

pub mod check;
pub mod client;
pub mod command;
pub mod output;
pub mod read;
pub mod send;
pub mod serve;
pub mod time;
