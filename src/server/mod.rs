//! Sockets, tasks, deadlines; start order, signals, stop in two phases.

pub mod api;
pub mod demo;
pub mod desk;
pub mod engine;
pub mod http;
pub mod metrics;
pub mod mta;
pub mod nas;
pub mod parameters;
pub mod problem;
pub mod radius;
pub mod web;
