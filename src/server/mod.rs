//! Sockets, tasks, deadlines; start order, signals, stop in two phases.

pub mod demo;
pub mod desk;
pub mod engine;
pub mod http;
pub mod metrics;
pub mod mta;
pub mod radius;
