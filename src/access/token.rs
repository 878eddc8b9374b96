//! Tokens: what stands for a person or a program where no Unix user does. A fold over orders to give and to take them.
//!
//! Only the hash of a secret is ever kept. A secret has 256 random bits, so that one round of SHA-256 is as good as many:
//! there is nothing to guess.
//!
//! Knows: the text of a token, and which is good at a moment. Must not know: random octets, the clock, or who carries one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::table::Scope;
use super::{Asker, Role, Via};
use crate::session::{Name, Timestamp};

/// What every token begins with, so that one that strayed into a repository or a log can be found.
const PREFIX: &str = "rw_";
/// Hex digits of the number.
const ID_DIGITS: usize = 8;
/// Octets of a secret.
pub const SECRET_OCTETS: usize = 32;
/// Tokens that are good at once; more than that nobody keeps track of.
pub const TOKENS_MAX: usize = 1000;
/// So long after its end a token is still listed.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);

/// The part of a token that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId(pub u32);

impl TokenId {
    /// The number of this spelling.
    #[must_use]
    pub fn of(text: &str) -> Option<TokenId> {
        let spelled = text.len() == ID_DIGITS && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        spelled.then(|| u32::from_str_radix(text, 16).ok().map(TokenId)).flatten()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A token as its holder has it. Its `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Which one it says it is.
    pub id: TokenId,
    hash: [u8; 32],
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({})", self.id)
    }
}

impl Presented {
    /// Reads `rw_<id>_<secret>`.
    #[must_use]
    pub fn of(text: &str) -> Option<Presented> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let plain = secret.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if secret.len() != SECRET_OCTETS.saturating_mul(2) || !plain {
            return None;
        }
        Some(Presented { id: TokenId::of(id)?, hash: Sha256::digest(secret.as_bytes()).into() })
    }
}

/// The text of a token of this number and secret, to be shown once; and what is kept of it.
#[must_use]
pub fn issue(id: TokenId, secret: &[u8; SECRET_OCTETS]) -> (String, [u8; 32]) {
    let secret: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let hash = Sha256::digest(secret.as_bytes()).into();
    (format!("{PREFIX}{id}_{secret}"), hash)
}

/// An order about a token; a log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOrder {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Name,
    /// Which.
    pub id: TokenId,
    /// What.
    pub verb: Verb,
}

/// What is ordered about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// It is good from here on.
    Create {
        /// SHA-256 of its secret.
        hash: [u8; 32],
        /// What its holder may do.
        role: Role,
        /// What of it; empty: all of it.
        scopes: Vec<Scope>,
        /// Until when; `None`: until it is revoked.
        expires: Option<Timestamp>,
        /// Who holds it, or what it is for.
        note: Name,
    },
    /// It is good no longer.
    Revoke,
}

/// A token that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    hash: [u8; 32],
    /// What its holder may do.
    pub role: Role,
    /// What of it; empty: all of it.
    pub scopes: Vec<Scope>,
    /// Until when; `None`: until it is revoked.
    pub expires: Option<Timestamp>,
    /// Who holds it, or what it is for.
    pub note: Name,
    /// When it was given.
    pub created: Timestamp,
    /// By whom.
    pub by: Name,
    /// When it was taken back, and by whom.
    pub revoked: Option<(Timestamp, Name)>,
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// None was given of this number, or that was long ago.
    Unknown,
    /// The secret is another.
    Wrong,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Token {
    /// When it was good last; `None`: it is.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends().filter(|end| *end <= now)
    }

    /// When it will have been good last, as far as is known.
    fn ends(&self) -> Option<Timestamp> {
        let revoked = self.revoked.as_ref().map(|(at, _)| *at);
        self.expires.into_iter().chain(revoked).min()
    }
}

/// All tokens. A view: rebuilt from the log, replaced as a whole for its readers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens(BTreeMap<TokenId, Token>);

impl Tokens {
    /// Folds one order.
    pub fn fold(&mut self, order: &TokenOrder) {
        self.forget(order.at);
        match &order.verb {
            Verb::Create { hash, role, scopes, expires, note } => {
                let token = Token {
                    hash: *hash,
                    role: *role,
                    scopes: scopes.clone(),
                    expires: *expires,
                    note: note.clone(),
                    created: order.at,
                    by: order.by.clone(),
                    revoked: None,
                };
                self.0.insert(order.id, token);
            }
            Verb::Revoke => {
                if let Some(token) = self.0.get_mut(&order.id).filter(|token| token.revoked.is_none()) {
                    token.revoked = Some((order.at, order.by.clone()));
                }
            }
        }
    }

    /// Forgets those that ended long ago.
    pub fn forget(&mut self, at: Timestamp) {
        let forgotten = at.minus(REMEMBERED);
        self.0.retain(|_, token| token.ended(at).is_none_or(|ended| ended > forgotten));
    }

    /// When the next one will have ended long ago.
    #[must_use]
    pub fn next_forgotten(&self) -> Option<Timestamp> {
        let ends = self.0.values().filter_map(Token::ends);
        ends.min().map(|end| end.plus(REMEMBERED))
    }

    /// Who carries this token.
    ///
    /// # Errors
    /// Why it is not good. Whoever does not know the secret learns nothing about its number: that is for the journal.
    pub fn asker(&self, presented: &Presented, now: Timestamp) -> Result<Asker, Bad> {
        let token = self.0.get(&presented.id).ok_or(Bad::Unknown)?;
        if !bool::from(token.hash.ct_eq(&presented.hash)) {
            return Err(Bad::Wrong);
        }
        self.holder(presented.id, now).map(|asker| Asker { via: Via::Token(presented.id), ..asker })
    }

    /// Who holds the token of this number, whose secret was told before.
    ///
    /// # Errors
    /// Why it is not good any more.
    pub fn holder(&self, id: TokenId, now: Timestamp) -> Result<Asker, Bad> {
        let token = self.0.get(&id).ok_or(Bad::Unknown)?;
        if token.revoked.is_some() {
            return Err(Bad::Revoked);
        }
        if token.expires.is_some_and(|expires| expires <= now) {
            return Err(Bad::Expired);
        }
        let name = named(id, &token.note);
        Ok(Asker { name, role: token.role, via: Via::Browser(id), scopes: token.scopes.clone() })
    }

    /// All that are remembered, by number.
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, &Token)> {
        self.0.iter().map(|(id, token)| (*id, token))
    }

    /// The token of this number.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<&Token> {
        self.0.get(&id)
    }

    /// How many are good.
    #[must_use]
    pub fn good(&self, now: Timestamp) -> usize {
        self.0.values().filter(|token| token.ended(now).is_none()).count()
    }
}

/// How a token's holder is called in the record.
fn named(id: TokenId, note: &Name) -> Name {
    let mut name = format!("token:{id}").into_bytes();
    if !note.octets().is_empty() {
        name.push(b' ');
        name.extend_from_slice(note.octets());
    }
    Name::new(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TokenId = TokenId(0x00c0_ffee);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    fn order(second: i64, verb: Verb) -> TokenOrder {
        TokenOrder { at: at(second), by: Name::from("root"), id: ID, verb }
    }

    fn given(expires: Option<i64>) -> (Tokens, Presented, String) {
        let (text, hash) = issue(ID, &[7; SECRET_OCTETS]);
        let note = Name::from("help desk");
        let create =
            Verb::Create { hash, role: Role::Viewer, scopes: Vec::new(), expires: expires.map(at), note };
        let mut tokens = Tokens::default();
        tokens.fold(&order(10, create));
        (tokens, Presented::of(&text).unwrap(), text)
    }

    #[test]
    fn a_token_is_greppable_and_read_back_and_any_other_digit_is_another_token() {
        let (tokens, presented, text) = given(None);
        assert!(text.starts_with("rw_00c0ffee_0707") && text.len() == 76, "{text}");
        let asker = tokens.asker(&presented, at(11)).unwrap();
        assert_eq!((asker.name.to_string(), asker.role), ("token:00c0ffee help desk".into(), Role::Viewer));
        assert_eq!(asker.via.to_string(), "token:00c0ffee");
        for place in 0..text.len() {
            let mut octets = text.clone().into_bytes();
            octets[place] = if octets[place] == b'0' { b'1' } else { b'0' };
            let changed = Presented::of(std::str::from_utf8(&octets).unwrap());
            assert!(changed.is_none_or(|other| tokens.asker(&other, at(11)).is_err()), "{place}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        let (_, _, text) = given(None);
        for bad in ["", "rw_", "rw__", &text[1..], &text[..75], &format!("{text}0"), &text.to_uppercase()] {
            assert!(Presented::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn it_is_good_until_it_expires_and_not_at_that_moment() {
        let (tokens, presented, _) = given(Some(20));
        assert!(tokens.asker(&presented, Timestamp::from_millis(19_999)).is_ok());
        assert_eq!(tokens.asker(&presented, at(20)), Err(Bad::Expired));
    }

    #[test]
    fn a_revoked_one_is_good_for_nobody_and_its_end_is_the_first_one() {
        let (mut tokens, presented, _) = given(None);
        tokens.fold(&order(12, Verb::Revoke));
        tokens.fold(&order(13, Verb::Revoke));
        assert_eq!(tokens.asker(&presented, at(14)), Err(Bad::Revoked));
        assert_eq!(tokens.holder(ID, at(14)), Err(Bad::Revoked));
        assert_eq!(tokens.get(ID).unwrap().ended(at(14)), Some(at(12)));
        assert_eq!(tokens.good(at(14)), 0);
    }

    #[test]
    fn whoever_does_not_know_the_secret_is_not_told_what_became_of_the_number() {
        let (mut tokens, _, _) = given(Some(20));
        tokens.fold(&order(12, Verb::Revoke));
        let (other, _) = issue(ID, &[8; SECRET_OCTETS]);
        assert_eq!(tokens.asker(&Presented::of(&other).unwrap(), at(30)), Err(Bad::Wrong));
    }

    #[test]
    fn no_debug_text_shows_a_secret() {
        let (tokens, presented, text) = given(None);
        let secret = &text[12..];
        assert!(!format!("{presented:?}{tokens:?}").contains(secret));
    }

    #[test]
    fn what_ended_long_ago_is_forgotten() {
        let (mut tokens, _, _) = given(Some(20));
        let other = |second| TokenOrder { id: TokenId(1), ..order(second, Verb::Revoke) };
        let ninety_days = 90 * 24 * 3600;
        tokens.fold(&other(19 + ninety_days));
        assert!(tokens.get(ID).is_some());
        tokens.fold(&other(20 + ninety_days));
        assert!(tokens.get(ID).is_none());
    }
}
