//! Who may do what: roles, tokens, and the table of what each path asks for. Pure: values in, values out.
//!
//! Knows: which role a path needs, which token is good now, how questions are chained. Must not know: HTTP, sockets, what time
//! it is, or where random octets come from.

pub mod preservation;
pub mod question;
pub mod table;
pub mod token;

use std::fmt;

use serde::{Deserialize, Serialize};

use self::token::TokenId;
use crate::session::Name;

/// What somebody may do. Each may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks things up.
    Viewer,
    /// Also gives orders: suspends, releases, holds a NAS, imports.
    Operator,
    /// Also reads who asked what, and hands out and revokes tokens.
    Auditor,
}

impl Role {
    /// All of them, from the least on.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Auditor];

    /// The word in the API, on the command line and in the record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Via {
    /// Over the Unix socket, known by their Unix user.
    Socket,
    /// With this token in the request.
    Token(TokenId),
    /// From a browser, in a session that was begun with this token.
    Browser(TokenId),
}

impl Via {
    /// The token, if there is one.
    #[must_use]
    pub fn token(self) -> Option<TokenId> {
        match self {
            Via::Socket => None,
            Via::Token(token) | Via::Browser(token) => Some(token),
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Via::Socket => f.write_str("socket"),
            Via::Token(token) => write!(f, "token:{token}"),
            Via::Browser(token) => write!(f, "browser:{token}"),
        }
    }
}

/// Whoever asks, or gives an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The Unix user; or `token:ID` and the token's note. No Unix user has a colon in its name, so nobody can be taken for
    /// another by a note.
    pub name: Name,
    /// What they may do.
    pub role: Role,
    /// How they came in.
    pub via: Via,
    /// What of it, if that is limited; empty: all of it.
    pub scopes: Vec<table::Scope>,
}

impl Asker {
    /// Whether they may do what needs this.
    #[must_use]
    pub fn may(&self, needs: table::Needs) -> bool {
        let table::Needs::Role(role, scope) = needs else { return true };
        self.role >= role && (self.scopes.is_empty() || self.scopes.contains(&scope))
    }
}

#[cfg(test)]
mod tests {
    use super::table::{Needs, Scope};
    use super::*;

    fn asker(role: Role, scopes: &[Scope]) -> Asker {
        Asker { name: Name::from("x"), role, via: Via::Socket, scopes: scopes.to_vec() }
    }

    #[test]
    fn each_role_may_what_the_lesser_ones_may_and_no_more() {
        for (held, role) in Role::ALL.into_iter().enumerate() {
            for (needed, least) in Role::ALL.into_iter().enumerate() {
                let may = asker(role, &[]).may(Needs::Role(least, Scope::Lookup));
                assert_eq!(may, held >= needed, "{role} where {least} is needed");
            }
        }
        assert!(asker(Role::Viewer, &[]).may(Needs::Nothing));
    }

    #[test]
    fn a_scope_narrows_a_role_and_never_widens_it() {
        let owner = asker(Role::Viewer, &[Scope::Owner]);
        assert!(owner.may(Needs::Role(Role::Viewer, Scope::Owner)));
        assert!(!owner.may(Needs::Role(Role::Viewer, Scope::Messages)));
        assert!(!owner.may(Needs::Role(Role::Operator, Scope::Owner)));
    }

    #[test]
    fn a_role_is_found_by_its_word() {
        for role in Role::ALL {
            assert_eq!(Role::of(role.word()), Some(role));
        }
        assert_eq!(Role::of("Auditor"), None);
    }
}
