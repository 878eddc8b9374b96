//! Sockets, tasks, deadlines; start order, signals, stop in two phases.

pub mod attempts;
mod complaints;
pub mod daemon;
pub mod demo;
pub mod desk;
pub mod detail;
pub mod dnsbl;
pub mod engine;
pub mod failure;
mod feed_health;
pub mod health;
pub mod http;
pub mod import;
pub mod inbox;
pub mod inherited;
pub mod keeper;
pub mod maillog;
pub mod mta;
pub mod nas;
pub mod notices;
pub mod radius;
pub mod recovery;
pub mod rules;
pub mod scales;
pub mod secret_key;
pub mod snapshots;
pub mod staff;
