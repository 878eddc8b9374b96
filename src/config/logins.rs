//! `[logins]`: which subscriber a login belongs to, by a list, one `login,subscriber` per line, or by equal names.
//!
//! Knows: the form of a line, and that the list comes before equal names. Must not know: where the text comes from, or what follows
//! for a message.

use std::collections::HashMap;

use toml::Spanned;

use super::fault::{ConfigError, Fault, Place};
use super::file::Reader;
use super::lines::{Heading, Misplaced, records};
use super::table;
use crate::session::Name;
use crate::session::identity::Canonical;

const HEADING: Heading = Heading { names: &["login", "subscriber"], fields: 2 };

/// Whose logins are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logins {
    /// By the list: logins as mail servers tell them, subscribers in canonical form.
    listed: HashMap<Name, Name>,
    /// The form in which a login is a subscriber's name; `None`: it is none.
    same_names: Option<Canonical>,
}

impl Logins {
    /// The subscriber of a login.
    #[must_use]
    pub fn subscriber(&self, login: &Name) -> Option<Name> {
        let same = || self.same_names.and_then(|canonical| canonical.name(login.octets()));
        self.listed.get(login).cloned().or_else(same)
    }

    /// How many are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether no login belongs to anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.same_names.is_none()
    }

    /// Whether a login that is not listed belongs to the subscriber of the same name.
    #[must_use]
    pub fn are_names(&self) -> bool {
        self.same_names.is_some()
    }
}

impl Reader<'_> {
    pub(super) fn logins(&self, table: &table::Logins, canonical: Canonical) -> Result<Logins, ConfigError> {
        let same_names =
            table.same_names.as_ref().is_some_and(|same| *Spanned::get_ref(same)).then_some(canonical);
        let Some(text) = &table.file else { return Ok(Logins { listed: HashMap::new(), same_names }) };
        let (path, octets) = self.list(text)?;
        let listed = read(&octets, canonical).map_err(|wrong| ConfigError {
            file: path,
            place: Some(Place { line: wrong.line, column: wrong.column, key: None }),
            fault: Box::new(wrong.fault),
        })?;
        Ok(Logins { listed, same_names })
    }
}

fn read(octets: &[u8], canonical: Canonical) -> Result<HashMap<Name, Name>, Misplaced> {
    let mut known: HashMap<Name, (usize, Name)> = HashMap::new();
    for record in records(octets, &HEADING) {
        let record = record?;
        let [login, subscriber] = record.fields.as_slice() else {
            return Err(record.wrong(1, Fault::NotALoginLine { fields: record.fields.len() }));
        };
        if login.text.is_empty() {
            return Err(record.wrong(login.column, Fault::Empty));
        }
        let name = canonical.name(Name::from_text(&subscriber.text).octets());
        let name = name.ok_or_else(|| record.wrong(subscriber.column, Fault::NoName))?;
        let login_name = Name::from_text(&login.text);
        match known.get(&login_name) {
            Some((_, earlier)) if *earlier == name => {}
            Some((line, earlier)) => {
                let fault = Fault::LoginTwice { line: *line, subscriber: earlier.clone() };
                return Err(record.wrong(login.column, fault));
            }
            None => {
                known.insert(login_name, (record.line, name));
            }
        }
    }
    Ok(known.into_iter().map(|(login, (_, subscriber))| (login, subscriber)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::lines::LINE_OCTETS_MAX;
    use super::*;

    const CANONICAL: Canonical = Canonical { lowercase: true, strip_realm: false, fold_mac: false };

    fn logins(text: &str) -> Result<Logins, String> {
        read(text.as_bytes(), CANONICAL)
            .map(|listed| Logins { listed, same_names: None })
            .map_err(|wrong| format!("{}:{}: {}", wrong.line, wrong.column, wrong.fault))
    }

    fn of(logins: &Logins, login: &str) -> Option<String> {
        logins.subscriber(&Name::from(login)).map(|name| name.to_string())
    }

    #[test]
    fn a_login_belongs_to_whom_its_line_says_and_else_to_whoever_has_its_name() {
        let text = "\u{feff}Login,Subscriber\r\n# mailboxes\r\n\r\nsales@shop.example, Alice \r\nAlice,bob\n\
                    \"smith, j\",carol\nAlice,bob";
        let mut logins = logins(text).unwrap();
        assert_eq!(logins.len(), 3);
        assert_eq!(of(&logins, "sales@shop.example").as_deref(), Some("alice"));
        assert_eq!(of(&logins, "Alice").as_deref(), Some("bob"), "as the mail server spells it");
        assert_eq!(of(&logins, "smith, j").as_deref(), Some("carol"));
        assert_eq!(of(&logins, "Dora"), None);
        logins.same_names = Some(CANONICAL);
        assert_eq!(of(&logins, "Dora").as_deref(), Some("dora"));
        assert_eq!(of(&logins, "Alice").as_deref(), Some("bob"), "the list comes first");
        assert!(Logins::default().is_empty() && !logins.is_empty());
    }

    #[test]
    fn each_line_of_logins_that_cant_be_used_is_named() {
        for (text, expected) in [
            ("a,b\nsales", "2:1: has 1 fields; write login,subscriber"),
            ("sales,alice,x", "1:1: has 3 fields; write login,subscriber"),
            (",alice", "1:1: is empty; write a value or remove the key"),
            ("sales,", "1:7: nothing is left of this name by the rules in [subscriber]; write another"),
            ("sales,alice\n sales,bob", "2:2: line 1 gives this login to 'alice'; change one of them"),
        ] {
            assert_eq!(logins(text).unwrap_err(), expected, "{text}");
        }
        let long = |octets: usize| format!("{},alice", "x".repeat(octets - 6));
        assert!(logins(&long(LINE_OCTETS_MAX)).is_ok() && logins(&long(LINE_OCTETS_MAX + 1)).is_err());
        assert!(read(b"\xff,alice", CANONICAL).is_err());
    }
}
