//! relaywarden

pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod log;
pub mod mta;
pub mod radius;
pub mod relay;
pub mod server;
pub mod session;
pub mod views;
