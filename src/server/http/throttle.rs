//! Failed logins by source address: so many at once, and then one at a time.
//!
//! A right token is never refused: it can't be guessed, so that nothing is won by it, and behind a reverse proxy one
//! attacker would lock out everybody. What is bounded is the work and the lines that wrong ones make.
//!
//! Knows: how many failures a source has left. Must not know: tokens, requests, or the clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::session::Timestamp;

/// What one failure costs.
const EACH: Duration = Duration::from_secs(6);
/// What a source may owe: ten failures.
const AT_ONCE: Duration = Duration::from_secs(60);
/// Sources that are remembered; the one that owes least is forgotten first.
const SOURCES_MAX: usize = 4096;

/// What each source owes, as the moment when it will be paid.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, Timestamp>>);

impl Throttle {
    /// Counts a failure of this source.
    ///
    /// # Errors
    /// It had too many: after so long it may try again.
    pub fn failed(&self, source: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let source = network(source);
        let paid = sources.get(&source).copied().unwrap_or(now).max(now).plus(EACH);
        let limit = now.plus(AT_ONCE);
        if paid > limit {
            return Err(paid.since(limit));
        }
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&source) {
            sources.retain(|_, paid| *paid > now);
            let least = sources.iter().min_by_key(|(_, paid)| **paid).map(|(source, _)| *source);
            if let Some(least) = least.filter(|_| sources.len() >= SOURCES_MAX) {
                sources.remove(&least);
            }
        }
        sources.insert(source, paid);
        Ok(())
    }
}

/// One host of IPv6 has a whole network to itself.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn ten_failures_at_once_and_then_one_in_six_seconds() {
        let (throttle, source) = (Throttle::default(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..10 {
            assert_eq!(throttle.failed(source, at(0)), Ok(()));
        }
        assert_eq!(throttle.failed(source, at(0)), Err(Duration::from_secs(6)));
        assert_eq!(throttle.failed(source, at(5_999)), Err(Duration::from_millis(1)));
        assert_eq!(throttle.failed(source, at(6_000)), Ok(()));
        assert!(throttle.failed(source, at(6_000)).is_err());
        assert_eq!(throttle.failed(IpAddr::from([192, 0, 2, 2]), at(0)), Ok(()), "another source");
    }

    #[test]
    fn a_host_of_ipv6_is_its_network() {
        let throttle = Throttle::default();
        let source = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        for last in 0..10 {
            assert_eq!(throttle.failed(source(last), at(0)), Ok(()));
        }
        assert!(throttle.failed(source(99), at(0)).is_err());
        assert!(throttle.failed(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]), at(0)).is_ok());
    }

    #[test]
    fn more_sources_than_there_is_room_for_are_forgotten_from_the_least_on() {
        let (throttle, worst) = (Throttle::default(), IpAddr::from([192, 0, 2, 1]));
        while throttle.failed(worst, at(0)).is_ok() {}
        for number in 0..10_000_u32 {
            assert!(throttle.failed(IpAddr::from(number.to_be_bytes()), at(0)).is_ok());
        }
        assert!(throttle.failed(worst, at(0)).is_err());
        assert!(throttle.0.lock().unwrap().len() <= SOURCES_MAX);
    }
}
