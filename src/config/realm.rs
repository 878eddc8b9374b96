//! `realm-attributes`: what in a record names the VRF in which its private addresses lie.
//!
//! Knows: how such an attribute is spelled, and which ones count where the operator names none. Must not know: any
//! record, or which names of VRFs mean the public space.

use super::attribute::{AttributePath, Attributes, VendorFormat};
use super::fault::{ConfigError, Fault};
use super::file::Reader;
use super::table::{Text, Texts};

/// An attribute that names a VRF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealmAttribute {
    /// Where it stands.
    pub path: AttributePath,
    /// How the name is got out of its value.
    pub form: RealmForm,
}

/// How an attribute's value names a VRF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealmForm {
    /// It is the name.
    Name,
    /// It is a number of so many octets; 0 is no VRF.
    Number {
        /// 1, 2, 4 or 8.
        octets: u8,
    },
    /// `Cisco-AVPair=vrf-id`: it is text `vrf-id=NAME`, and there may be others of the same number with another key.
    Pair {
        /// What stands before the equals sign.
        key: Box<str>,
    },
}

impl RealmAttribute {
    /// Reads `NAME`, or `NAME=KEY` for one of several pairs under a name. `None` when there is no such attribute, or the
    /// key is empty.
    #[must_use]
    pub fn parse(written: &str, attributes: &dyn Attributes) -> Option<Self> {
        // No name of an attribute has an equals sign: dictionaries and lists of attributes could not be written.
        match written.split_once('=') {
            Some((_, "")) => None,
            Some((name, key)) => Some(RealmAttribute {
                path: attributes.path(name)?,
                form: RealmForm::Pair { key: key.into() },
            }),
            None => {
                let path = attributes.path(written)?;
                let number = attributes.number(&path).map(|octets| RealmForm::Number { octets });
                Some(RealmAttribute { path, form: number.unwrap_or(RealmForm::Name) })
            }
        }
    }

    /// What counts where the key is not written: Cisco-AVPair=vrf-id, ERX-Virtual-Router-Name, Context-Name and
    /// Alc-Serv-Id.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let each = [
            (9, 1, RealmForm::Pair { key: "vrf-id".into() }),
            (4874, 1, RealmForm::Name),
            (2352, 4, RealmForm::Name),
            (6527, 100, RealmForm::Number { octets: 4 }),
        ];
        each.into_iter()
            .filter_map(|(vendor, number, form)| {
                let path = AttributePath::new(vendor, VendorFormat::USUAL, &[number])?;
                Some(RealmAttribute { path, form })
            })
            .collect()
    }
}

impl Reader<'_> {
    /// `None` where the key is not written; an empty list says that every address is public.
    pub(super) fn realm_attributes(
        &self,
        texts: Option<&Texts>,
    ) -> Result<Option<Vec<RealmAttribute>>, ConfigError> {
        let attribute = |text: &Text| {
            self.parse(text, |written| {
                let known = RealmAttribute::parse(written, &*self.attributes);
                known.ok_or_else(|| Fault::UnknownAttribute { written: written.to_owned() })
            })
        };
        texts.map(|texts| texts.get_ref().iter().map(attribute).collect()).transpose()
    }
}
