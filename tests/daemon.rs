//! The program as its operators meet it: signals, exit codes, files, log lines, and what it says when something is
//! wrong. Each test is a story with the real binary.
//!
//! Knows: the contract (configuration, commands, protocols, exit codes, files). Must not know: the crate's inside.

#[cfg(test)]
mod common;

#[cfg(test)]
#[path = "daemon/house.rs"]
mod house;

#[cfg(test)]
#[path = "daemon/complaints.rs"]
mod complaints;

#[cfg(test)]
#[path = "daemon/cases.rs"]
mod cases;

#[cfg(test)]
#[path = "daemon/rules.rs"]
mod rules;

#[cfg(test)]
#[path = "daemon/reload.rs"]
mod reload;

#[cfg(test)]
#[path = "daemon/stop.rs"]
mod stop;

#[cfg(test)]
#[path = "daemon/restart.rs"]
mod restart;

#[cfg(test)]
#[path = "daemon/damage.rs"]
mod damage;

#[cfg(test)]
#[path = "daemon/refusals.rs"]
mod refusals;

#[cfg(test)]
#[path = "daemon/host.rs"]
mod host;

#[cfg(test)]
#[path = "daemon/untrusted.rs"]
mod untrusted;

#[cfg(test)]
#[path = "daemon/lies.rs"]
mod lies;

#[cfg(test)]
#[path = "daemon/access.rs"]
mod access;

#[cfg(test)]
#[path = "daemon/attempts.rs"]
mod attempts;

#[cfg(test)]
#[path = "daemon/answers.rs"]
mod answers;

#[cfg(test)]
#[path = "daemon/demo.rs"]
mod demo;

#[cfg(test)]
#[path = "daemon/dictionaries.rs"]
mod dictionaries;

#[cfg(test)]
#[path = "daemon/feeds.rs"]
mod feeds;

#[cfg(test)]
#[path = "daemon/limits.rs"]
mod limits;

#[cfg(test)]
#[path = "daemon/logins.rs"]
mod logins;

#[cfg(test)]
#[path = "daemon/message_ids.rs"]
mod message_ids;

#[cfg(test)]
#[path = "daemon/second_look.rs"]
mod second_look;

#[cfg(test)]
#[path = "daemon/signals.rs"]
mod signals;

#[cfg(test)]
#[path = "daemon/import.rs"]
mod import;

#[cfg(test)]
#[path = "daemon/reputation.rs"]
mod reputation;
