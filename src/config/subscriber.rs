//! `[subscriber]`: by which attributes subscribers are named, in which form, and what else is kept of their sessions.
//!
//! Knows: how the names of attributes are resolved, and which names are left once they are in their form. Must not know:
//! any record.

use super::fault::{ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use super::{AttributePath, Identity};
use crate::session::Name;
use crate::session::identity::Canonical;

/// A household has a few sessions at a time; a shared password has dozens.
const MANY_SESSIONS: u32 = 16;

/// Beyond this it is another way to write "never".
const MANY_SESSIONS_MOST: u32 = 1_000_000;

impl Reader<'_> {
    pub(super) fn identity(&self, table: &table::Subscriber) -> Result<Identity, ConfigError> {
        let canonical = Canonical {
            lowercase: table.lowercase,
            strip_realm: table.strip_realm,
            fold_mac: table.fold_mac,
        };
        let attribute = |text: &Text| {
            self.parse(text, |written| {
                let path = self.attributes.path(written);
                path.ok_or_else(|| Fault::UnknownAttribute { written: written.to_owned() })
            })
        };
        let chain = match &table.identity {
            // User-Name (RFC 2865, 5.1).
            None => vec![AttributePath::standard(1)],
            Some(texts) if texts.get_ref().is_empty() => {
                return Err(self.error(&texts.span(), Fault::Empty));
            }
            Some(texts) => texts.get_ref().iter().map(attribute).collect::<Result<_, _>>()?,
        };
        let shared_names = table.shared_names.iter().map(|text| self.subscriber(text, canonical));
        let keep = table.keep.iter().map(|text| Ok((Name::from_text(text.get_ref()), attribute(text)?)));
        Ok(Identity {
            chain,
            canonical,
            shared_names: shared_names.collect::<Result<_, _>>()?,
            keep: keep.collect::<Result<_, _>>()?,
        })
    }

    /// A subscriber's name in the form of the names in accounting records, or the same customer would have two of them.
    pub(super) fn subscriber(&self, text: &Text, canonical: Canonical) -> Result<Name, ConfigError> {
        self.parse(text, |written| canonical.name(Name::from_text(written).octets()).ok_or(Fault::NoName))
    }

    pub(super) fn many_sessions(&self, table: &table::Subscriber) -> Result<u32, ConfigError> {
        self.number(table.many_sessions.as_ref(), 0..=MANY_SESSIONS_MOST, MANY_SESSIONS)
    }
}
