//! Requests under way: sent, sent again, answered or given up (RFC 5080 section 2.2.1, RFC 5176 section 2.3).
//!
//! A request is sent again as it was, octet by octet: the NAS knows a repetition by its identifier and authenticator. An identifier
//! is used by one request at a time; an answer that comes late is one to an authenticator that nobody asks with any more.
//!
//! Knows: identifiers, times, what makes an answer one. Must not know: sockets, or what is asked.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Secret;
use crate::radius::dynamic::{self, Answer, Asking, NoAnswer};
use crate::session::Timestamp;

/// RFC 5080 section 2.2.1: the first wait,
const IRT: Duration = Duration::from_secs(2);
/// the longest,
const MRT: Duration = Duration::from_secs(16);
/// how often it is sent,
const MRC: u32 = 5;
/// and for how long.
const MRD: Duration = Duration::from_secs(30);

/// So many requests to one address are under way at once, however many there are: a NAS answers them one after the other.
pub const AT_ONCE: usize = 16;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Answered(Answer),
    /// None, however often it was sent.
    Silence,
}

/// Why a datagram changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Nobody there was asked anything.
    Stranger,
    /// No request with this identifier is under way: late, repeated, or made up.
    Unasked,
    /// It is no answer to the one that is.
    NoAnswer(NoAnswer),
}

impl Ignored {
    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Ignored::Stranger => "stranger",
            Ignored::Unasked => "unasked",
            Ignored::NoAnswer(NoAnswer::Malformed) => "malformed",
            Ignored::NoAnswer(NoAnswer::OtherCode) => "bad-code",
            Ignored::NoAnswer(NoAnswer::Forged) => "bad-authenticator",
            Ignored::NoAnswer(NoAnswer::BadSignature) => "bad-message-authenticator",
        }
    }
}

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Letter {
    /// To whom.
    pub to: SocketAddr,
    /// With which secret.
    pub secret: Secret,
    /// Whether it has a Message-Authenticator.
    pub signed: bool,
    /// Which request.
    pub asking: Asking,
    /// Its attributes.
    pub attributes: Vec<u8>,
}

/// A request under way, and whatever its sender wants to know when it is over.
#[derive(Debug)]
struct Flight<T> {
    octets: Vec<u8>,
    authenticator: [u8; 16],
    secret: Secret,
    asking: Asking,
    begun: Timestamp,
    next: Timestamp,
    wait: Duration,
    sent: u32,
    about: T,
}

#[derive(Debug)]
struct Nas<T> {
    next: u8,
    flights: BTreeMap<u8, Flight<T>>,
}

/// All requests under way.
#[derive(Debug)]
pub struct Outbox<T> {
    nases: HashMap<SocketAddr, Nas<T>>,
    chance: u64,
}

impl<T> Outbox<T> {
    /// None under way. `chance` is a number that nobody knows: it spreads repetitions, so that many do not come at once.
    #[must_use]
    pub fn new(chance: u64) -> Self {
        Outbox { nases: HashMap::new(), chance: chance | 1 }
    }

    /// Whether one more may be under way to this address.
    #[must_use]
    pub fn has_room(&self, to: SocketAddr) -> bool {
        self.has_room_for(to, 1)
    }

    /// Whether so many more may.
    #[must_use]
    pub fn has_room_for(&self, to: SocketAddr, more: usize) -> bool {
        let under_way = self.nases.get(&to).map_or(0, |nas| nas.flights.len());
        under_way.saturating_add(more) <= AT_ONCE
    }

    /// Everything that is under way.
    pub fn under_way(&self) -> impl Iterator<Item = &T> {
        self.nases.values().flat_map(|nas| nas.flights.values().map(|flight| &flight.about))
    }

    /// Takes a request, to be sent at once.
    ///
    /// # Errors
    /// What it is about, where there is no room or it does not fit a packet.
    pub fn put(&mut self, letter: &Letter, about: T, now: Timestamp) -> Result<(), T> {
        let Letter { to, secret, signed, asking, attributes } = letter;
        if !self.has_room(*to) {
            return Err(about);
        }
        let nas = self.nases.entry(*to).or_insert_with(|| Nas { next: 0, flights: BTreeMap::new() });
        // There is a free one, as fewer are under way than there are.
        while nas.flights.contains_key(&nas.next) {
            nas.next = nas.next.wrapping_add(1);
        }
        let identifier = nas.next;
        let made = dynamic::request(*asking, identifier, attributes, *signed, secret.octets());
        let Ok((octets, authenticator)) = made else { return Err(about) };
        nas.next = nas.next.wrapping_add(1);
        let (secret, asking) = (secret.clone(), *asking);
        let flight = Flight {
            octets,
            authenticator,
            secret,
            asking,
            begun: now,
            next: now,
            wait: Duration::ZERO,
            sent: 0,
            about,
        };
        nas.flights.insert(identifier, flight);
        Ok(())
    }

    /// When something is due next.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.nases.values().flat_map(|nas| nas.flights.values().map(|flight| flight.next)).min()
    }

    /// What must be sent now, and what is given up.
    pub fn turn(&mut self, now: Timestamp) -> (Vec<(SocketAddr, Vec<u8>)>, Vec<T>) {
        let (mut letters, mut given_up) = (Vec::new(), Vec::new());
        for (to, nas) in &mut self.nases {
            let due: Vec<u8> =
                nas.flights.iter().filter(|(_, flight)| flight.next <= now).map(|(id, _)| *id).collect();
            for identifier in due {
                let Some(flight) = nas.flights.get_mut(&identifier) else { continue };
                let over = flight.sent >= MRC || (flight.sent > 0 && now.since(flight.begun) >= MRD);
                if over {
                    given_up.extend(nas.flights.remove(&identifier).map(|flight| flight.about));
                    continue;
                }
                flight.wait = match flight.sent {
                    0 => IRT,
                    _ => flight.wait.saturating_mul(2).min(MRT),
                };
                // RAND of RFC 5080: a tenth more or less.
                let tenth = flight.wait / 10;
                let jitter = tenth.saturating_mul(roll(&mut self.chance)) / 1024;
                flight.wait = flight.wait.saturating_sub(tenth).saturating_add(jitter.saturating_mul(2));
                flight.sent = flight.sent.saturating_add(1);
                let end = flight.begun.plus(MRD);
                flight.next = now.plus(flight.wait).min(end);
                letters.push((*to, flight.octets.clone()));
            }
        }
        (letters, given_up)
    }

    /// Lets go of those that are to be sent no more, and says of which. Whether they had an effect nobody knows.
    pub fn withdraw(&mut self, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let unwanted = |nas: &mut Nas<T>| {
            let gone = nas.flights.extract_if(.., |_, flight| !is_wanted(&flight.about));
            gone.map(|(_, flight)| flight.about).collect::<Vec<_>>()
        };
        self.nases.values_mut().flat_map(unwanted).collect()
    }

    /// Takes what came from this address.
    ///
    /// # Errors
    /// Why it changes nothing.
    pub fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<(T, Answer), Ignored> {
        let nas = self.nases.get_mut(&from).ok_or(Ignored::Stranger)?;
        let identifier = datagram.get(1).ok_or(Ignored::NoAnswer(NoAnswer::Malformed))?;
        let flight = nas.flights.get(identifier).ok_or(Ignored::Unasked)?;
        let Flight { asking, authenticator, secret, .. } = flight;
        let answer = dynamic::answer(datagram, *asking, authenticator, secret.octets());
        let answer = answer.map_err(Ignored::NoAnswer)?;
        let flight = nas.flights.remove(identifier).ok_or(Ignored::Unasked)?;
        Ok((flight.about, answer))
    }
}

/// A number below 1024. Nobody gains by guessing it: it spreads load, and hides nothing.
fn roll(chance: &mut u64) -> u32 {
    // Marsaglia's xorshift64.
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    u32::try_from(*chance >> 54).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    fn letter() -> Letter {
        Letter {
            to: SocketAddr::from(([192, 0, 2, 1], 3799)),
            secret: Secret::new(b"a secret of four words"),
            signed: false,
            asking: Asking::End,
            attributes: vec![44, 4, b's', b'1'],
        }
    }

    /// When a request that nobody answers is sent, in milliseconds, and when it is given up.
    fn times(chance: u64) -> (Vec<i64>, i64, Vec<Vec<u8>>) {
        let mut outbox = Outbox::new(chance);
        outbox.put(&letter(), "s1", at(0)).unwrap();
        let (mut sent, mut octets) = (Vec::new(), Vec::new());
        while let Some(next) = outbox.next() {
            let (letters, given_up) = outbox.turn(next);
            let millis = next.millis() - at(0).millis();
            if !given_up.is_empty() {
                assert_eq!(given_up, ["s1"]);
                return (sent, millis, octets);
            }
            sent.push(millis);
            octets.extend(letters.into_iter().map(|(_, octets)| octets));
        }
        panic!("never given up");
    }

    #[test]
    fn a_request_is_sent_again_as_it_was_ever_later_and_given_up_after_thirty_seconds() {
        for chance in [1, 7, 99, u64::MAX] {
            let (sent, given_up, octets) = times(chance);
            assert!(octets.windows(2).all(|pair| pair[0] == pair[1]), "the same octets each time");
            assert_eq!((sent[0], given_up), (0, 30_000), "{sent:?}");
            assert!((4..=5).contains(&sent.len()), "{sent:?}");
            let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!((1800..=2200).contains(&gaps[0]), "{gaps:?}");
            assert!(gaps.windows(2).all(|pair| pair[1] * 10 >= pair[0] * 17), "{gaps:?}");
        }
        assert_ne!(times(1).0, times(99).0, "not all at the same moment");
    }

    #[test]
    fn sixteen_are_under_way_to_one_address_and_no_two_with_one_identifier() {
        let mut outbox = Outbox::new(1);
        for number in 0..AT_ONCE {
            assert_eq!(outbox.put(&letter(), number, at(0)), Ok(()));
        }
        assert_eq!(outbox.put(&letter(), 99, at(0)), Err(99));
        let other = Letter { to: SocketAddr::from(([192, 0, 2, 2], 3799)), ..letter() };
        assert!(outbox.put(&other, 100, at(0)).is_ok(), "another address has room of its own");
        let (letters, _) = outbox.turn(at(0));
        let mut identifiers: Vec<u8> =
            letters.iter().filter(|(to, _)| *to == letter().to).map(|(_, octets)| octets[1]).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        assert_eq!(identifiers.len(), AT_ONCE);
    }

    #[test]
    fn what_is_withdrawn_is_sent_no_more_and_its_answer_counts_no_more() {
        let mut outbox = Outbox::new(1);
        for about in ["alice", "bob"] {
            outbox.put(&letter(), about, at(0)).unwrap();
        }
        assert_eq!(outbox.turn(at(0)).0.len(), 2);
        assert_eq!(outbox.withdraw(|about| *about == "bob"), ["alice"]);
        let (letters, given_up) = outbox.turn(at(10_000));
        assert_eq!((letters.len(), given_up.len()), (1, 0));
        assert_eq!(outbox.hear(letter().to, &[41, 0, 0, 20]), Err(Ignored::Unasked));
        assert_eq!(outbox.under_way().collect::<Vec<_>>(), [&"bob"]);
    }

    #[test]
    fn an_answer_of_somebody_else_to_something_else_or_without_the_secret_changes_nothing() {
        let mut outbox = Outbox::new(1);
        outbox.put(&letter(), "s1", at(0)).unwrap();
        let to = letter().to;
        assert_eq!(outbox.hear(SocketAddr::from(([192, 0, 2, 9], 3799)), &[41; 20]), Err(Ignored::Stranger));
        assert_eq!(outbox.hear(SocketAddr::from(([192, 0, 2, 1], 3800)), &[41; 20]), Err(Ignored::Stranger));
        let forged = |identifier| [[41, identifier, 0, 20].as_slice(), &[7; 16]].concat();
        assert_eq!(outbox.hear(to, &forged(9)), Err(Ignored::Unasked));
        assert_eq!(outbox.hear(to, &forged(0)), Err(Ignored::NoAnswer(NoAnswer::Forged)));
        assert_eq!(outbox.hear(to, &[41]), Err(Ignored::NoAnswer(NoAnswer::Malformed)));
        assert_eq!(outbox.hear(to, &[]), Err(Ignored::NoAnswer(NoAnswer::Malformed)));
        assert_eq!(outbox.under_way().count(), 1, "the real answer may still come");
    }
}
