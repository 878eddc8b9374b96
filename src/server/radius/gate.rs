//! One datagram to what is done about it: the order of the checks is the defence.
//!
//! Knows: configuration, secrets, duplicates, the engine's door. Must not know: sockets, threads, time's
//! source. Until the authenticator is proven nothing is remembered; whatever is wrong gets silence and a
//! counter.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tracing::warn;

use super::counters::{Counters, count};
use super::feeds::{Fault, Feeds};
use super::socket::Datagram;
use super::{Offer, Offered, Receipt};
use crate::config::{Client, Config};
use crate::radius::accounting::{self, Ignored, Rules};
use crate::radius::authenticator::{self, Integrity, Response};
use crate::radius::duplicate::{Admission, Key, Memory};
use crate::radius::nas_clock::NasClocks;
use crate::radius::packet::{Malformed, Packet, code};
use crate::server::complaints::Complaints;
use crate::session::{Name, Timestamp};

/// Why a datagram gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    Malformed(Malformed),
    UnknownClient,
    BadCode(u8),
    BadAuthenticator,
    BadMessageAuthenticator,
    DuplicateInFlight,
    MemoryFull,
    QueueFull,
    NotReady,
    /// It is offered to the engine with the batch that it came in, and answered when it is durable.
    Offered,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Malformed(malformed) => malformed.fmt(f),
            Silence::UnknownClient => f.write_str("no RADIUS client is configured for this address"),
            Silence::BadCode(code) => write!(f, "code {code} is not for an accounting server"),
            Silence::BadAuthenticator => {
                f.write_str("bad authenticator; is the secret the same on both sides?")
            }
            Silence::BadMessageAuthenticator => f.write_str("bad or missing Message-Authenticator"),
            Silence::DuplicateInFlight => f.write_str("a repetition of what is being handled"),
            Silence::MemoryFull => f.write_str("too many requests in flight"),
            Silence::QueueFull => f.write_str("the engine's queue is full"),
            Silence::NotReady => f.write_str("not ready"),
            Silence::Offered => f.write_str("offered to the engine"),
        }
    }
}

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) offer: Arc<dyn Offer>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) counters: Arc<Counters>,
    pub(super) feeds: Arc<Feeds>,
    /// A NAS has one clock, whichever listener it speaks to.
    pub(super) clocks: Arc<Mutex<NasClocks>>,
}

/// One listener's.
pub(super) struct Gate {
    pub(super) listener: u16,
    pub(super) shared: Shared,
    /// The answering thread has it too.
    pub(super) memory: Arc<Mutex<Memory>>,
    pub(super) complaints: Complaints<Topic>,
    /// What the present batch of datagrams brought for the engine.
    pub(super) batch: Vec<Offered>,
    /// Whose each of it is.
    pub(super) origins: Vec<Origin>,
}

/// Whose a record is, for the counts of its feed.
pub(super) struct Origin {
    key: Key,
    nas: Name,
    client: Name,
    held_back: bool,
}

impl Gate {
    /// The answer that is due at once, if there is one.
    pub(super) fn pass(
        &mut self,
        datagram: &Datagram<'_>,
        config: &Config,
        now: Timestamp,
    ) -> Option<Receipt> {
        count(&self.shared.counters.received);
        match self.judge(datagram, config, now) {
            Ok(receipt) => Some(receipt),
            Err(silence) => {
                self.note(silence, datagram.peer, now);
                None
            }
        }
    }

    fn judge(
        &mut self,
        datagram: &Datagram<'_>,
        config: &Config,
        now: Timestamp,
    ) -> Result<Receipt, Silence> {
        let packet = Packet::decode(datagram.octets).map_err(Silence::Malformed)?;
        let client = config.radius.client(datagram.peer.ip()).ok_or(Silence::UnknownClient)?;
        let secret = client.secret.octets();
        match packet.code() {
            code::STATUS_SERVER => self.status(&packet, secret, datagram),
            code::ACCOUNTING_REQUEST => {
                if !authenticator::is_authentic(&packet, secret) {
                    self.shared.feeds.unproven(&client.name, Fault::BadAuthenticator, now);
                    return Err(Silence::BadAuthenticator);
                }
                // RFC 3579 section 3.3 forbids it here, so it is never required; but whoever sends one means
                // it.
                if authenticator::integrity(&packet, secret) == Integrity::Invalid {
                    self.shared.feeds.unproven(&client.name, Fault::BadMessageAuthenticator, now);
                    return Err(Silence::BadMessageAuthenticator);
                }
                self.account(&packet, client, config, datagram, now)
            }
            other => Err(Silence::BadCode(other)),
        }
    }

    /// RFC 5997 section 4.2: without a valid Message-Authenticator silence; also while we can't do our work,
    /// so that a NAS with several servers turns to another one.
    fn status(
        &self,
        packet: &Packet<'_>,
        secret: &[u8],
        datagram: &Datagram<'_>,
    ) -> Result<Receipt, Silence> {
        if authenticator::integrity(packet, secret) != Integrity::Valid {
            return Err(Silence::BadMessageAuthenticator);
        }
        if !self.shared.ready.load(Ordering::Acquire) {
            return Err(Silence::NotReady);
        }
        count(&self.shared.counters.status_server);
        let key = Key::new(datagram.peer, packet);
        Ok(self.receipt(datagram, key, authenticator::status_response(packet, secret)))
    }

    fn account(
        &mut self,
        packet: &Packet<'_>,
        client: &Client,
        config: &Config,
        datagram: &Datagram<'_>,
        now: Timestamp,
    ) -> Result<Receipt, Silence> {
        let rules = Rules {
            client,
            source: datagram.peer.ip(),
            identity: &config.identity,
            never: &config.relay.never,
        };
        let key = Key::new(datagram.peer, packet);
        let seen_before = match lock(&self.memory).admit(key, now) {
            Admission::New => None,
            Admission::InFlight => Some(Err(Silence::DuplicateInFlight)),
            Admission::Full => Some(Err(Silence::MemoryFull)),
            Admission::Answered(response) => Some(Ok(response.clone())),
        };
        if let Some(seen_before) = seen_before {
            let nas = accounting::nas_of(packet, &rules, None);
            if seen_before == Err(Silence::MemoryFull) {
                self.shared.feeds.useless(&nas, &client.name, Fault::QueueFull, now);
            } else {
                self.shared.feeds.repeated(&nas, &client.name, now);
            }
            let response = seen_before?;
            count(&self.shared.counters.duplicate_answered);
            return Ok(self.receipt(datagram, key, response));
        }
        let response = authenticator::accounting_response(packet, client.secret.octets());
        let record = {
            let mut clocks = lock(&self.shared.clocks);
            let record = accounting::read(packet, &rules, now, &mut clocks);
            self.shared.counters.absurd_time.store(clocks.absurd(), Ordering::Relaxed);
            record
        };
        let receipt = self.receipt(datagram, key, response);
        let record = match record {
            Ok(record) => record,
            Err(ignored) => {
                self.note_ignored(ignored, datagram.peer, now);
                self.shared.feeds.useless(
                    &accounting::nas_of(packet, &rules, None),
                    &client.name,
                    ignored.into(),
                    now,
                );
                lock(&self.memory).answer(&key, receipt.response.clone(), now);
                return Ok(receipt);
            }
        };
        let held_back = accounting::was_held_back(packet);
        let (nas, client) = (record.nas.clone(), client.name.clone());
        self.origins.push(Origin { key, nas, client, held_back });
        self.batch.push(Offered { record, receipt });
        Err(Silence::Offered)
    }

    /// Offers the engine what the batch brought, all at once: it is woken once, and its queue is locked once.
    pub(super) fn hand_over(&mut self, now: Timestamp) {
        if self.batch.is_empty() {
            return;
        }
        self.shared.offer.offer(&mut self.batch);
        let (mut refused, mut origins) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.origins));
        for Origin { key, nas, client, held_back } in origins.drain(..) {
            match refused.iter().find(|refused| refused.receipt.key == key) {
                None => {
                    count(&self.shared.counters.accepted);
                    self.shared.feeds.taken(&nas, &client, held_back, now);
                }
                Some(refused) => {
                    // Its repetition must find the door open again.
                    lock(&self.memory).forget(&key);
                    self.shared.feeds.useless(&nas, &client, Fault::QueueFull, now);
                    self.note(Silence::QueueFull, refused.receipt.peer, now);
                }
            }
        }
        // Their room is the next batch's.
        refused.clear();
        (self.batch, self.origins) = (refused, origins);
    }

    fn receipt(&self, datagram: &Datagram<'_>, key: Key, response: Response) -> Receipt {
        Receipt {
            listener: self.listener,
            peer: datagram.peer,
            local: datagram.local,
            interface: datagram.interface,
            key,
            response,
        }
    }

    fn note(&mut self, silence: Silence, peer: SocketAddr, now: Timestamp) {
        let counters = &self.shared.counters;
        let (counter, topic) = match silence {
            Silence::Malformed(_) => (&counters.malformed, Some(Topic::Malformed)),
            Silence::UnknownClient => (&counters.unknown_client, Some(Topic::UnknownClient)),
            Silence::BadCode(_) => (&counters.bad_code, Some(Topic::BadCode)),
            Silence::BadAuthenticator => (&counters.bad_authenticator, Some(Topic::BadAuthenticator)),
            Silence::BadMessageAuthenticator => {
                (&counters.bad_message_authenticator, Some(Topic::BadMessageAuthenticator))
            }
            Silence::MemoryFull => (&counters.memory_full, Some(Topic::MemoryFull)),
            Silence::QueueFull => (&counters.queue_full, Some(Topic::QueueFull)),
            // These are part of a good day.
            Silence::DuplicateInFlight => (&counters.duplicate_in_flight, None),
            Silence::NotReady => (&counters.status_server_not_ready, None),
            // Counted when the engine has it.
            Silence::Offered => return,
        };
        count(counter);
        if let Some(topic) = topic {
            self.warn(topic, now, "RADIUS packet dropped", peer, &silence);
        }
    }

    fn note_ignored(&mut self, ignored: Ignored, peer: SocketAddr, now: Timestamp) {
        count(self.ignored_counter(ignored));
        let topic = match ignored {
            Ignored::NoStatus | Ignored::OtherStatus(_) => Topic::IgnoredStatus,
            Ignored::NoSessionId => Topic::IgnoredSessionId,
            Ignored::UnnamedNas => Topic::UnnamedNas,
        };
        self.warn(topic, now, "accounting record ignored", peer, &ignored);
    }

    fn warn(&mut self, topic: Topic, now: Timestamp, what: &str, peer: SocketAddr, why: &dyn fmt::Display) {
        if let Some(left_out) = self.complaints.due(topic, now) {
            warn!(%peer, left_out, "{what}: {why}");
        }
    }

    fn ignored_counter(&self, ignored: Ignored) -> &AtomicU64 {
        match ignored {
            Ignored::NoStatus | Ignored::OtherStatus(_) => &self.shared.counters.ignored_status,
            Ignored::NoSessionId => &self.shared.counters.ignored_session_id,
            Ignored::UnnamedNas => &self.shared.counters.ignored_unnamed_nas,
        }
    }
}

/// A panic elsewhere ends the process, so a poisoned lock only exists in tests.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is complained about separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Malformed,
    UnknownClient,
    BadCode,
    BadAuthenticator,
    BadMessageAuthenticator,
    MemoryFull,
    QueueFull,
    IgnoredStatus,
    IgnoredSessionId,
    UnnamedNas,
    Receiving,
}
