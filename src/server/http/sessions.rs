//! Sessions of browsers: who has shown a token at the login page and need not show it again for a while. They are kept in
//! memory, and a restart ends them.
//!
//! Knows: how long a session lasts, and its CSRF token. Must not know: requests, the clock, or which tokens are good.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::access::token::TokenId;
use crate::session::Timestamp;

/// A day's work: after it the token is shown again.
const WHOLE: Duration = Duration::from_secs(12 * 3600);
/// Nobody is before the screen any more.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Sessions at once; the one that was used least lately makes room.
pub const SESSIONS_MAX: usize = 1024;

/// Octets from which an id or a CSRF token is made.
pub type Random = [u8; 32];

/// A session that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The token that began it.
    pub token: TokenId,
    began: Timestamp,
    used: Timestamp,
    csrf: String,
}

impl Session {
    /// What a form of this session carries (RFC 6749, 10.12, has the idea): another site can send a form, but can't read
    /// one of ours.
    #[must_use]
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a form is of this session.
    #[must_use]
    pub fn sent(&self, csrf: &str) -> bool {
        bool::from(self.csrf.as_bytes().ct_eq(csrf.as_bytes()))
    }

    fn lasts(&self, now: Timestamp) -> bool {
        now < self.began.plus(WHOLE) && now < self.used.plus(IDLE)
    }
}

/// All of them. By the hash of their id, so that how long a look-up takes tells nothing about an id.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions {
    /// Begins one; returns its id, which only the browser has from here on.
    pub fn begin(&self, token: TokenId, now: Timestamp, id: &Random, csrf: &Random) -> String {
        let id = hex(id);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| session.lasts(now));
        }
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(key(&id), Session { token, began: now, used: now, csrf: hex(csrf) });
        id
    }

    /// The session of this id, if it lasts. It is used by that.
    #[must_use]
    pub fn find(&self, id: &str, now: Timestamp) -> Option<Session> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(id);
        let session = sessions.get_mut(&key)?;
        if !session.lasts(now) {
            sessions.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Ends one.
    pub fn end(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(id));
    }

    /// How many are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn key(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

fn hex(octets: &Random) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String can't fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: TokenId = TokenId(7);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn numbered(number: usize) -> Random {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&number.to_le_bytes());
        octets
    }

    #[test]
    fn it_ends_thirty_minutes_after_it_was_used_last() {
        let sessions = Sessions::default();
        let id = sessions.begin(TOKEN, at(0), &[1; 32], &[2; 32]);
        assert!(sessions.find(&id, at(1799)).is_some());
        assert!(sessions.find(&id, at(1799 + 1799)).is_some());
        assert!(sessions.find(&id, at(1799 + 1799 + 1800)).is_none());
        assert!(sessions.find(&id, at(1799 + 1799)).is_none(), "what is over is over");
    }

    #[test]
    fn it_ends_twelve_hours_after_it_began_however_busy() {
        let sessions = Sessions::default();
        let id = sessions.begin(TOKEN, at(0), &[1; 32], &[2; 32]);
        for minute in (0..720).step_by(20) {
            assert!(sessions.find(&id, at(minute * 60)).is_some(), "{minute}");
        }
        assert!(sessions.find(&id, at(12 * 3600 - 1)).is_some());
        assert!(sessions.find(&id, at(12 * 3600)).is_none());
    }

    #[test]
    fn another_id_is_nobody_and_another_form_is_not_its_own() {
        let sessions = Sessions::default();
        let id = sessions.begin(TOKEN, at(0), &[1; 32], &[2; 32]);
        let session = sessions.find(&id, at(1)).unwrap();
        assert!(session.sent(&"02".repeat(32)) && !session.sent(&"03".repeat(32)) && !session.sent(""));
        assert!(sessions.find(&id[1..], at(1)).is_none());
        sessions.end(&id);
        assert!(sessions.find(&id, at(1)).is_none());
    }

    #[test]
    fn beyond_the_room_the_one_that_was_used_least_lately_goes() {
        let sessions = Sessions::default();
        let all: Vec<String> = (0..SESSIONS_MAX)
            .map(|n| sessions.begin(TOKEN, at(i64::try_from(n).unwrap()), &numbered(n), &[0; 32]))
            .collect();
        assert!(sessions.find(&all[0], at(1100)).is_some());
        sessions.begin(TOKEN, at(1100), &numbered(SESSIONS_MAX), &[0; 32]);
        assert_eq!(sessions.count(), SESSIONS_MAX);
        assert!(sessions.find(&all[0], at(1100)).is_some() && sessions.find(&all[1], at(1100)).is_none());
    }
}
