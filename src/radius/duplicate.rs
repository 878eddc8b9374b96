//! Remembers requests for as long as their sender may repeat them (RFC 5080 section 2.2.2): one in flight is
//! not handled twice, one that was answered gets the same answer again.
//!
//! Knows: keys, answers, and the time it is told. Must not know: what was in a request. Only authentic
//! requests may be shown to it: a forged one must not make a genuine one look like a repetition
//! (CVE-2025-24912).

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::authenticator::Response;
use super::packet::Packet;
use crate::session::Timestamp;

/// RFC 5080 section 2.2.2: five to thirty seconds.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// Names one request at one listener. The authenticator belongs to it, because equipment uses an identifier
/// again for another request while the first is still remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Where it came from.
    pub peer: SocketAddr,
    /// Its identifier.
    pub identifier: u8,
    /// Its Request Authenticator.
    pub authenticator: [u8; 16],
}

impl Key {
    /// The key of a packet from this peer.
    #[must_use]
    pub fn new(peer: SocketAddr, packet: &Packet<'_>) -> Self {
        Key { peer, identifier: packet.identifier(), authenticator: *packet.authenticator() }
    }
}

/// What is known of a request that has just come.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    /// Nothing: it is now in flight.
    New,
    /// It is being handled: silence, the answer is on its way.
    InFlight,
    /// It was answered: the same answer again.
    Answered(&'a Response),
    /// Nothing, and there is no room: everything remembered is still in flight.
    Full,
}

#[derive(Debug)]
enum State {
    InFlight { serial: u64 },
    Answered { response: Response },
}

/// The requests of one listener.
#[derive(Debug)]
pub struct Memory {
    entries: HashMap<Key, State>,
    /// In the order of arrival, and so of expiry. The slot of a request that was answered or forgotten stays
    /// until it comes to the front or until the dead outnumber the living.
    in_flight: VecDeque<(Timestamp, Key, u64)>,
    living: usize,
    /// In the order of answering, and so of expiry; exactly one slot for each answered request.
    answered: VecDeque<(Timestamp, Key)>,
    capacity: usize,
    next_serial: u64,
}

impl Memory {
    /// Room for so many requests.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Memory {
            entries: HashMap::new(),
            in_flight: VecDeque::new(),
            living: 0,
            answered: VecDeque::new(),
            capacity,
            next_serial: 0,
        }
    }

    /// Looks a request up and, when it is new, remembers it as in flight.
    pub fn admit(&mut self, key: Key, now: Timestamp) -> Admission<'_> {
        self.expire(now);
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            // The oldest answer is the one whose repetition is least likely to come still.
            let Some((_, oldest)) = self.answered.pop_front() else { return Admission::Full };
            self.entries.remove(&oldest);
        }
        match self.entries.entry(key) {
            Entry::Occupied(occupied) => match occupied.into_mut() {
                State::InFlight { .. } => Admission::InFlight,
                State::Answered { response } => Admission::Answered(response),
            },
            Entry::Vacant(vacant) => {
                let serial = self.next_serial;
                self.next_serial = self.next_serial.wrapping_add(1);
                vacant.insert(State::InFlight { serial });
                self.in_flight.push_back((now, key, serial));
                self.living = self.living.saturating_add(1);
                Admission::New
            }
        }
    }

    /// The request was answered so. One that is no longer remembered stays forgotten.
    pub fn answer(&mut self, key: &Key, response: Response, now: Timestamp) {
        if let Some(state @ State::InFlight { .. }) = self.entries.get_mut(key) {
            *state = State::Answered { response };
            self.answered.push_back((now, *key));
            self.bury();
        }
    }

    /// The request could not be handled: its repetition is to be treated as new.
    pub fn forget(&mut self, key: &Key) {
        if let Some(State::InFlight { .. }) = self.entries.get(key) {
            self.entries.remove(key);
            self.bury();
        }
    }

    /// How many requests are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One request less is in flight. Its slot is swept out when half of them are dead, so that each slot is
    /// looked at a bounded number of times.
    fn bury(&mut self) {
        self.living = self.living.saturating_sub(1);
        if self.in_flight.len() > self.living.saturating_mul(2).saturating_add(64) {
            let entries = &self.entries;
            self.in_flight.retain(|(_, key, serial)| is_in_flight(entries, key, *serial));
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.answered.pop_front_if(|(since, _)| now.since(*since) >= LIFETIME) {
            self.entries.remove(&key);
        }
        while let Some((_, key, serial)) =
            self.in_flight.pop_front_if(|(since, ..)| now.since(*since) >= LIFETIME)
        {
            if is_in_flight(&self.entries, &key, serial) {
                self.entries.remove(&key);
                self.living = self.living.saturating_sub(1);
            }
        }
    }
}

fn is_in_flight(entries: &HashMap<Key, State>, key: &Key, serial: u64) -> bool {
    matches!(entries.get(key), Some(State::InFlight { serial: alive }) if *alive == serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(identifier: u8) -> Key {
        Key { peer: "192.0.2.1:1024".parse().unwrap(), identifier, authenticator: [identifier; 16] }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn answer(octet: u8) -> Response {
        Response::from_slice(&[octet; 20])
    }

    #[test]
    fn a_request_is_new_then_in_flight_then_answered() {
        let mut memory = Memory::new(8);
        assert_eq!(memory.admit(key(1), at(0)), Admission::New);
        assert_eq!(memory.admit(key(1), at(1)), Admission::InFlight);
        memory.answer(&key(1), answer(5), at(2));
        assert_eq!(memory.admit(key(1), at(3)), Admission::Answered(&answer(5)));
    }

    #[test]
    fn peer_port_identifier_and_authenticator_each_make_another_request() {
        let mut memory = Memory::new(8);
        assert_eq!(memory.admit(key(1), at(0)), Admission::New);
        let others = [
            Key { peer: "192.0.2.2:1024".parse().unwrap(), ..key(1) },
            Key { peer: "192.0.2.1:1025".parse().unwrap(), ..key(1) },
            Key { identifier: 2, ..key(1) },
            Key { authenticator: [9; 16], ..key(1) },
        ];
        for other in others {
            assert_eq!(memory.admit(other, at(0)), Admission::New);
        }
    }

    #[test]
    fn an_answer_is_kept_just_short_of_thirty_seconds() {
        let mut memory = Memory::new(8);
        let _ = memory.admit(key(1), at(0));
        memory.answer(&key(1), answer(5), at(0));
        let last = Timestamp::from_millis(29_999);
        assert_eq!(memory.admit(key(1), last), Admission::Answered(&answer(5)));
        assert_eq!(memory.admit(key(1), at(30)), Admission::New);
    }

    #[test]
    fn a_request_whose_answer_never_comes_is_new_again_after_thirty_seconds() {
        let mut memory = Memory::new(8);
        let _ = memory.admit(key(1), at(0));
        assert_eq!(memory.admit(key(1), at(29)), Admission::InFlight);
        assert_eq!(memory.admit(key(1), at(30)), Admission::New);
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn a_forgotten_request_is_new_when_it_is_repeated() {
        let mut memory = Memory::new(8);
        let _ = memory.admit(key(1), at(0));
        memory.forget(&key(1));
        assert_eq!(memory.admit(key(1), at(10)), Admission::New);
        // The slot of the first life must not end the second.
        assert_eq!(memory.admit(key(1), at(30)), Admission::InFlight);
        assert_eq!(memory.admit(key(1), at(40)), Admission::New);
    }

    #[test]
    fn an_answered_request_cannot_be_forgotten() {
        let mut memory = Memory::new(8);
        let _ = memory.admit(key(1), at(0));
        memory.answer(&key(1), answer(5), at(0));
        memory.forget(&key(1));
        assert_eq!(memory.admit(key(1), at(1)), Admission::Answered(&answer(5)));
    }

    #[test]
    fn the_oldest_answer_makes_room_and_requests_in_flight_stay() {
        let mut memory = Memory::new(3);
        for identifier in 1..=3 {
            let _ = memory.admit(key(identifier), at(0));
        }
        assert_eq!(memory.admit(key(4), at(1)), Admission::Full);
        memory.answer(&key(3), answer(3), at(1));
        memory.answer(&key(2), answer(2), at(2));
        assert_eq!(memory.admit(key(4), at(3)), Admission::New);
        assert_eq!(memory.admit(key(2), at(3)), Admission::Answered(&answer(2)));
        assert_eq!(memory.admit(key(1), at(3)), Admission::InFlight);
        assert_eq!(memory.len(), 3);
    }

    #[test]
    fn nothing_grows_beyond_the_capacity() {
        let mut memory = Memory::new(100);
        for number in 0..10_000_u32 {
            let mut key = key(0);
            key.authenticator[..4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(memory.admit(key, at(0)), Admission::New);
            memory.answer(&key, answer(0), at(0));
        }
        assert_eq!(memory.len(), 100);
        assert!(memory.answered.len() <= 100);
        assert!(memory.in_flight.len() <= 200);
        assert_eq!(memory.admit(key(1), at(60)), Admission::New);
        assert_eq!(memory.len(), 1);
    }
}
