//! Detail files that a FreeRADIUS writes, followed as they grow: threads, and their contract with the engine.
//!
//! Knows: when a file is read on, and when that is remembered. Must not know: what a record does to a session, or when it
//! is durable; the engine hands the receipts back then.
//!
//! Nobody waits for us here. FreeRADIUS has answered its NAS when a record is in the file, and the file keeps it as long as
//! need be: a full queue, a log that refuses or a daemon that is not there only make it late.

pub mod counters;
mod cursor;
mod files;
mod follower;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;

pub use self::counters::Counters;
use self::follower::{Follower, Told};
use super::health::Health;
use super::inbox::Inbox;
use super::radius;
use super::radius::feeds::Feeds;
use crate::config::Config;
use crate::radius::dictionary::Dictionary;
use crate::radius::nas_clock::NasClocks;

/// Names a record that was handed to the engine. The engine keeps it and hands it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Which directory it is from.
    follower: u16,
    /// Which record; they are numbered as they are read.
    ticket: u64,
}

/// What all followers share.
#[derive(Clone)]
pub struct Shared {
    /// Reloaded as a whole; which directories are followed is not.
    pub config: Arc<ArcSwap<Config>>,
    /// The names that a file's lines have: those that are compiled in, and the operator's own.
    pub dictionary: Arc<ArcSwap<Dictionary>>,
    /// The engine's door.
    pub inbox: Arc<Inbox>,
    /// Nothing is read before lookups are true.
    pub health: Arc<Health>,
    /// A NAS has one clock, whichever way it is heard.
    pub clocks: Arc<Mutex<NasClocks>>,
    /// Where absurd times are counted.
    pub radius: Arc<radius::Counters>,
    /// What comes from each NAS, whichever way.
    pub feeds: Arc<Feeds>,
}

/// The threads of all directories.
#[derive(Debug, Default)]
pub struct Running {
    counters: Vec<Arc<Counters>>,
    told: Vec<Sender<Told>>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Running {
    /// Starts a thread for each directory of the configuration.
    ///
    /// # Errors
    /// How far they were read can't be told, or the system gives no more threads.
    pub fn start(data_dir: &Path, shared: &Shared) -> io::Result<Self> {
        let mut running = Running::default();
        let details = shared.config.load().radius.details.clone();
        for (detail, number) in details.into_iter().zip(0_u16..) {
            let directory = detail.directory.display().to_string();
            let counters = Arc::new(Counters::new(directory.clone()));
            let follower = Follower::new(number, detail, data_dir, shared.clone(), Arc::clone(&counters))?;
            let (told, hears) = channel();
            running.counters.push(counters);
            running.told.push(told);
            let stop = Arc::clone(&running.stop);
            let thread = thread::Builder::new()
                .name(format!("detail-{number}"))
                .spawn(move || follower.run(&hears, &stop))?;
            tracing::info!(directory, "following detail files");
            running.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(running)
    }

    /// Takes note that records are durable. Never waits.
    pub fn committed(&self, receipts: &[Receipt]) {
        for (told, number) in self.told.iter().zip(0_u16..) {
            let own = receipts.iter().filter(|receipt| receipt.follower == number);
            let tickets: Vec<u64> = own.map(|receipt| receipt.ticket).collect();
            if !tickets.is_empty() {
                // It only fails after the thread has ended; then they are read again.
                let _ = told.send(Told::Durable(tickets));
            }
        }
    }

    /// What became of the records of each directory.
    #[must_use]
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// First phase of stopping: nothing more is read.
    pub fn stop_reading(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Second phase: whatever was told durable so far is remembered when this returns.
    pub fn stop(&self) {
        self.stop_reading();
        for told in &self.told {
            let _ = told.send(Told::End);
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that follows detail files ended by a panic");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
