//! The UDP side of accounting: listeners, their threads, and the contract with the engine.
//!
//! Knows: when a datagram is received and an answer sent. Must not know: what a record does to a session, or
//! when it is durable; the engine hands the receipts back when they may be answered.

pub mod counters;
pub mod feeds;
mod gate;
mod socket;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info};

pub use self::counters::Counters;
use self::counters::{add, count};
use self::feeds::Feeds;
use self::gate::{Gate, Shared, Topic, lock};
use self::socket::{Buffers, Socket};
use super::complaints::Complaints;
use super::inherited::Inherited;
use crate::clock;
use crate::config::Config;
use crate::radius::authenticator::Response;
use crate::radius::duplicate::{Key, Memory};
use crate::radius::nas_clock::{self, NasClocks};
use crate::session::Name;
use crate::session::event::{ClockOffset, Record};

/// After an error of receiving, so that one that lasts does not keep a processor busy.
const PAUSE: Duration = Duration::from_millis(50);

/// What is needed to answer a request, once its record is durable. The engine keeps it and hands it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Which listener the request came to.
    pub listener: u16,
    /// Where the answer goes.
    pub peer: SocketAddr,
    /// The address that was asked; `None` when the listener is bound to one.
    pub local: Option<IpAddr>,
    /// The interface it came in by; needed for link-local addresses.
    pub interface: u32,
    /// Names the request among those remembered.
    pub key: Key,
    /// The answer, ready to be sent.
    pub response: Response,
}

/// A record for the engine, and what its acknowledgement needs.
#[derive(Debug, Clone)]
pub struct Offered {
    /// What came.
    pub record: Box<Record>,
    /// Who waits.
    pub receipt: Receipt,
}

/// The engine's door.
pub trait Offer: Send + Sync {
    /// Takes records for commit, in their order; never waits. What there is no room for stays in `batch`: the NAS will send
    /// it again.
    fn offer(&self, batch: &mut Vec<Offered>);
}

/// A socket that could not be had.
#[derive(Debug)]
pub struct BindError {
    /// Which address.
    pub address: SocketAddr,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen for RADIUS on udp {}: {}", self.address, self.error)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Sockets that are bound, and whose datagrams wait in the kernel until [`Listeners::start`].
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<Arc<Socket>>,
}

/// What [`Listeners::bind`] returns.
pub type Bound = Listeners;

impl Listeners {
    /// Binds every address, or none.
    ///
    /// # Errors
    /// The first address that can't be had.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Bound, BindError> {
        Listeners::inherit(addresses, &mut Inherited::default())
    }

    /// The same, but of what was inherited nothing need be bound.
    ///
    /// # Errors
    /// The first address that can't be had.
    pub fn inherit(addresses: &[SocketAddr], inherited: &mut Inherited) -> Result<Bound, BindError> {
        let mut open = |&address| {
            let socket = inherited.udp(address).map_or_else(|| Socket::open(address), Socket::inherited);
            socket.map(Arc::new).map_err(|error| BindError { address, error })
        };
        Ok(Listeners { sockets: addresses.iter().map(&mut open).collect::<Result<_, _>>()? })
    }

    /// Where the sockets listen, with the real port where 0 was asked for.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.local_addr()).collect()
    }

    /// Starts a receiving and an answering thread for each socket. Datagrams wait in the kernel until
    /// [`Running::begin`].
    ///
    /// # Errors
    /// When the system gives no more threads; those already started end.
    pub fn start(
        self,
        config: Arc<ArcSwap<Config>>,
        offer: Arc<dyn Offer>,
        ready: Arc<AtomicBool>,
        counters: Arc<Counters>,
    ) -> io::Result<Running> {
        let clocks = Arc::new(Mutex::new(NasClocks::default()));
        let feeds = Arc::new(Feeds::default());
        let mut running = Running {
            clocks: Arc::clone(&clocks),
            feeds: Arc::clone(&feeds),
            addresses: self.local_addrs(),
            stop: Arc::new(AtomicBool::new(false)),
            receiving: Mutex::default(),
            answering: Mutex::default(),
            answers: Vec::new(),
            held_back: Mutex::default(),
        };
        let remembered = config.load().room.remembered as usize;
        let shared = Shared { config, offer, ready, counters, clocks, feeds };
        for (socket, listener) in self.sockets.into_iter().zip(0_u16..) {
            let address = socket.local_addr();
            info!(%address, receive_buffer = socket.receive_buffer, "listening for RADIUS accounting");
            let memory = Arc::new(Mutex::new(Memory::new(remembered)));
            let gate = Gate {
                listener,
                shared: shared.clone(),
                memory: Arc::clone(&memory),
                complaints: Complaints::default(),
                batch: Vec::new(),
                origins: Vec::new(),
            };
            let (sender, receiver) = mpsc::channel();
            let counters = Arc::clone(&shared.counters);
            let answerer = Answerer { socket: Arc::clone(&socket), memory, counters };
            let answering = thread::Builder::new()
                .name(format!("radius-out-{listener}"))
                .spawn(move || answerer.run(&receiver))?;
            running.answers.push(sender);
            lock(&running.answering).push(answering);
            let stop = Arc::clone(&running.stop);
            let (held_back, begins) = mpsc::channel();
            lock(&running.held_back).push(held_back);
            let receiving =
                thread::Builder::new().name(format!("radius-in-{listener}")).spawn(move || {
                    // It never says anything: that it is gone is the word.
                    let _ = begins.recv();
                    receive(&socket, gate, &stop);
                })?;
            lock(&running.receiving).push(receiving);
        }
        Ok(running)
    }
}

enum Work {
    Answer(Vec<Receipt>),
    /// Everything before it has been sent.
    End,
}

/// The threads of all listeners.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    receiving: Mutex<Vec<JoinHandle<()>>>,
    answering: Mutex<Vec<JoinHandle<()>>>,
    answers: Vec<Sender<Work>>,
    clocks: Arc<Mutex<NasClocks>>,
    feeds: Arc<Feeds>,
    /// As long as they are there, nothing is received.
    held_back: Mutex<Vec<Sender<Infallible>>>,
}

impl Running {
    /// Receives from now on. `offsets`: what is known of the NASes' clocks. The very first record may have waited for us for
    /// an hour, and nothing but its stamp may say so.
    pub fn begin<'a>(&self, offsets: impl IntoIterator<Item = (&'a Name, ClockOffset)>) {
        let mut clocks = lock(&self.clocks);
        offsets.into_iter().for_each(|(nas, offset)| clocks.seed(nas, offset));
        lock(&self.held_back).clear();
    }

    /// What a NAS says about time.
    #[must_use]
    pub fn clock(&self, nas: &Name) -> nas_clock::Reading {
        lock(&self.clocks).reading(nas)
    }

    /// What comes from each NAS.
    #[must_use]
    pub fn feeds(&self) -> &Arc<Feeds> {
        &self.feeds
    }

    /// The NASes' clocks, as learned here; a NAS that is heard by another way as well has no second one.
    pub(super) fn clocks(&self) -> Arc<Mutex<NasClocks>> {
        Arc::clone(&self.clocks)
    }

    /// Answers requests whose records are durable. Never waits. Not more can queue up than requests are
    /// remembered.
    pub fn answer(&self, receipts: Vec<Receipt>) {
        let mut rest = receipts;
        while let Some(listener) = rest.first().map(|receipt| receipt.listener) {
            let is_same = |receipt: &Receipt| receipt.listener == listener;
            // Mostly there is one listener.
            let (same, others) = if rest.iter().all(is_same) {
                (rest, Vec::new())
            } else {
                rest.into_iter().partition(is_same)
            };
            if let Some(sender) = self.answers.get(usize::from(listener)) {
                // It only fails after the threads have ended; then the NAS asks the next process again.
                let _ = sender.send(Work::Answer(same));
            }
            rest = others;
        }
    }

    /// Where the sockets listen.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// First phase of stopping: nothing more is received when this returns. Answers are still sent.
    pub fn stop_receiving(&self) {
        self.stop.store(true, Ordering::Release);
        lock(&self.held_back).clear();
        join(&self.receiving);
    }

    /// Second phase: every answer handed over so far has been sent when this returns.
    pub fn stop(&self) {
        self.stop_receiving();
        for sender in &self.answers {
            let _ = sender.send(Work::End);
        }
        join(&self.answering);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    let threads = std::mem::take(&mut *lock(threads));
    for thread in threads {
        if thread.join().is_err() {
            error!("a RADIUS thread ended by a panic");
        }
    }
}

fn receive(socket: &Socket, mut gate: Gate, stop: &AtomicBool) {
    let Shared { config, counters, clocks, .. } = gate.shared.clone();
    let mut buffers = Buffers::new();
    let mut at_once = Vec::new();
    let mut dropped_before = 0;
    while !stop.load(Ordering::Acquire) {
        // Looked at when a batch is there, not when it is waited for: the first datagram after a reload is judged by it.
        let mut begun = None;
        let received = socket.receive(&mut buffers, |datagram| {
            let (config, now) = begun.get_or_insert_with(|| (config.load(), follow_clock(&clocks).now));
            at_once.extend(gate.pass(&datagram, config, *now));
        });
        if let Some((_, now)) = begun {
            gate.hand_over(now);
        }
        match received {
            Ok(dropped) => {
                // The kernel counts from the socket's beginning, and wraps.
                let dropped = dropped.unwrap_or(dropped_before);
                let more: u32 = dropped.wrapping_sub(dropped_before);
                add(&counters.kernel_dropped, more.into());
                dropped_before = dropped;
            }
            Err(error) if is_nothing(&error) => {}
            Err(error) => {
                count(&counters.receive_failed);
                if let Some(left_out) = gate.complaints.due(Topic::Receiving, clock::now()) {
                    error!(address = %socket.local_addr(), left_out, "cannot receive RADIUS: {error}");
                }
                thread::sleep(PAUSE);
            }
        }
        if !at_once.is_empty() {
            send(socket, &at_once, &counters);
            at_once.clear();
        }
    }
}

/// The present moment, by which the NASes' clocks are right: whoever reads a record asks for it first, as our own clock may
/// have been set a moment ago.
pub(super) fn follow_clock(clocks: &Mutex<NasClocks>) -> clock::Look {
    // Looked at while nobody else can, or an older look would come after a newer one.
    let mut clocks = lock(clocks);
    let look = clock::look();
    clocks.follow(look.lead, look.now);
    look
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn send(socket: &Socket, answers: &[Receipt], counters: &Counters) {
    let sent = socket.send(answers);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    add(&counters.answered, count(sent));
    add(&counters.send_failed, count(answers.len().saturating_sub(sent)));
}

struct Answerer {
    socket: Arc<Socket>,
    memory: Arc<Mutex<Memory>>,
    counters: Arc<Counters>,
}

impl Answerer {
    fn run(&self, work: &Receiver<Work>) {
        while let Ok(Work::Answer(receipts)) = work.recv() {
            // Remembered before it is sent: a repetition that crosses the answer finds it.
            for batch in receipts.chunks(socket::BATCH) {
                let now = clock::now();
                let mut memory = lock(&self.memory);
                for receipt in batch {
                    memory.answer(&receipt.key, receipt.response.clone(), now);
                }
            }
            send(&self.socket, &receipts, &self.counters);
        }
    }
}

#[cfg(test)]
mod tests;
