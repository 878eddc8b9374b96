//! What the tests against real peers share: a daemon of their own, a NAS, an MTA's questions, a
//! Postfix, a FreeRADIUS.
//!
//! Knows: the contract that operators hold in their hands (configuration, command line, protocols). Must not know:
//! anything of the crate's inside; a test that includes this sees the daemon as its users do.

#![allow(dead_code, reason = "every test program uses its own part of what is shared here")]

pub(crate) mod asking;
pub(crate) mod clock;
pub(crate) mod daemon;
pub(crate) mod freeradius;
pub(crate) mod lists;
pub(crate) mod nas;
pub(crate) mod nsd;
pub(crate) mod peer;
pub(crate) mod postfix;
pub(crate) mod receiver;
pub(crate) mod rspamd;
pub(crate) mod sendmail;
pub(crate) mod smtp;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Long enough for a machine that is busy with other tests, short enough to end a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer; says what it waited for when there never is one.
pub(crate) fn eventually<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, &mut answer)
}

/// `eventually` with a deadline of its own.
pub(crate) fn within<T>(patience: Duration, what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = answer() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody uses, for TCP and UDP alike.
///
/// Taken from below the range that the kernel hands out by itself: between the moment it is tried here and the
/// moment its user binds it, no outgoing connection of another test can be given the same one.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..4000 {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        // Tests run as processes side by side: the process number spreads them over the range.
        let spread = std::process::id().wrapping_mul(97).wrapping_add(turn) % 12_000;
        let port = u16::try_from(20_000 + spread).expect("below 32000");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind(("::1", port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// Pseudo-random numbers from a seed that is printed, so that a failure can be run again (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    /// From `RELAYWARDEN_SEED`, else from the clock; printed either way.
    pub(crate) fn cast() -> Dice {
        let seed =
            std::env::var("RELAYWARDEN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.map_or(1, |since| u64::try_from(since.as_nanos() % u128::from(u64::MAX)).unwrap_or(1))
            });
        println!("RELAYWARDEN_SEED={seed}");
        Dice(seed.max(1))
    }

    /// Below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}
