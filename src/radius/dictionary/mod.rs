//! Names of attributes, vendors and values (the dictionaries of FreeRADIUS 3) to numbers and types, and back.
//!
//! Knows: what is built in, what an operator adds, and which of them holds. Must not know: files, or which attribute
//! matters to us: ownership never depends on a dictionary, only the names that people write do.
//!
//! What is built in always holds: an operator's dictionary adds names, numbers and vendors, and never changes what a
//! name or number that is built in means, how its values are shown, or how a vendor that is known lays out its
//! attributes.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;

use crate::config::attribute::{Attributes, Remarks as Texts};
use crate::config::file::Files;
use crate::config::{AttributePath, VendorFormat};

use super::template::{self, Template};
use super::vendor;
use fault::{DictionaryError, Fault, Remarks};
use reader::{Reader, Seen};
pub use types::{Flags, Type};

pub mod fault;
mod line;
mod reader;
mod show;
#[cfg(test)]
mod tests;
mod types;

pub use show::Shown;

/// Our own, in the order in which they are read.
const BUILTIN: [&str; 5] = [
    include_str!("../../../dictionaries/standard"),
    include_str!("../../../dictionaries/ipv6"),
    include_str!("../../../dictionaries/extended"),
    include_str!("../../../dictionaries/access"),
    include_str!("../../../dictionaries/vendors"),
];

/// An attribute as a dictionary names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// As written.
    pub name: Box<str>,
    /// Where it stands.
    pub path: AttributePath,
    /// How its value is written.
    pub kind: Type,
    /// What else its octets are.
    pub flags: Flags,
}

/// Names of attributes, vendors and values; all of them are found whatever their case.
#[derive(Debug, Default)]
pub struct Dictionary {
    /// What is built in, beside an operator's own.
    builtin: Option<&'static Dictionary>,
    definitions: Vec<Definition>,
    by_name: HashMap<Box<str>, usize>,
    /// Several names for one number are legal: the last one is shown.
    by_path: HashMap<AttributePath, usize>,
    vendors: HashMap<Box<str>, u32>,
    formats: HashMap<u32, VendorFormat>,
    /// By number rather than by name: attributes that share a number share its values.
    values: HashMap<AttributePath, Vec<(Box<str>, u32)>>,
    seen: Seen,
}

/// How much a dictionary holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Names of attributes.
    pub attributes: usize,
    /// Names of vendors.
    pub vendors: usize,
    /// Names of values.
    pub values: usize,
}

impl Dictionary {
    /// The dictionaries that are compiled in.
    #[must_use]
    pub fn builtin() -> &'static Dictionary {
        static DICTIONARY: OnceLock<Dictionary> = OnceLock::new();
        DICTIONARY.get_or_init(|| {
            let mut dictionary = Dictionary::default();
            for text in BUILTIN {
                // A test reads each of them; a line that is not understood would only lack its name.
                let _ = dictionary.read_text(text.as_bytes());
            }
            dictionary
        })
    }

    /// Room for an operator's dictionaries beside those that are compiled in.
    #[must_use]
    pub fn beside_builtin() -> Dictionary {
        Dictionary { builtin: Some(Dictionary::builtin()), ..Dictionary::default() }
    }

    /// Adds the definitions of a file and of those that it includes. A file that was read is not read again.
    ///
    /// # Errors
    /// Why it can't be used. What was read until then stays; whoever asked for the rest should not go on with it.
    pub fn read(&mut self, path: &Path, files: &dyn Files) -> Result<Remarks, DictionaryError> {
        Reader::new(self).read(path, files)
    }

    /// Adds the definitions of a text that includes nothing.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn read_text(&mut self, text: &[u8]) -> Result<Remarks, DictionaryError> {
        Reader::new(self).read_text(text)
    }

    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Definition> {
        self.builtin.and_then(|builtin| builtin.own(name)).or_else(|| self.own(name))
    }

    /// The attribute of a name or a number, if a packet can hold it: `User-Name`, `1`, `26.3561.1`. With `Attr-` before
    /// the number it is taken as octets, whatever its type: the way to write a value that does not fit.
    #[must_use]
    pub fn find(&self, spelling: &str) -> Option<Definition> {
        let octets = strip_unknown(spelling);
        let path = AttributePath::parse(octets.unwrap_or(spelling), |vendor| self.format(vendor));
        let mut definition = match path {
            Some(path) => {
                let known = self.definition(&path).filter(|_| octets.is_none()).cloned();
                known.unwrap_or_else(|| Definition {
                    name: format!("Attr-{path}").into(),
                    path,
                    kind: Type::Octets,
                    flags: Flags::default(),
                })
            }
            None => self.attribute(spelling)?.clone(),
        };
        // The vendor's form may have been declared after the attribute.
        definition.path = self.placed(definition.path.vendor(), definition.path.numbers())?;
        (!definition.path.is_internal()).then_some(definition)
    }

    /// The numbers of an attribute that may name a subscriber: of all but those that only wrap others.
    #[must_use]
    pub fn id(&self, spelling: &str) -> Option<AttributePath> {
        self.find(spelling).map(|definition| definition.path).filter(|path| !path.is_envelope())
    }

    /// The name of an attribute, for people.
    #[must_use]
    pub fn name(&self, path: &AttributePath) -> Option<&str> {
        self.definition(path).map(|definition| definition.name.as_ref())
    }

    /// The number behind a value's name.
    #[must_use]
    pub fn value(&self, path: &AttributePath, name: &str) -> Option<u32> {
        let own = |dictionary: &Dictionary| {
            let values = dictionary.values.get(path)?;
            values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, number)| number)
        };
        self.builtin.and_then(own).or_else(|| own(self))
    }

    /// The name of a value; of several the last one.
    #[must_use]
    pub fn value_name(&self, path: &AttributePath, number: u32) -> Option<&str> {
        fn own<'a>(dictionary: &'a Dictionary, path: &AttributePath, number: u32) -> Option<&'a str> {
            let values = dictionary.values.get(path)?;
            values.iter().rfind(|&&(_, known)| known == number).map(|(name, _)| name.as_ref())
        }
        self.builtin.and_then(|builtin| own(builtin, path, number)).or_else(|| own(self, path, number))
    }

    /// The form of a vendor's space.
    #[must_use]
    pub fn format(&self, vendor: u32) -> VendorFormat {
        self.known_format(vendor)
            .or_else(|| self.formats.get(&vendor).copied())
            .unwrap_or(VendorFormat::USUAL)
    }

    /// How much was read, without what is built in.
    #[must_use]
    pub fn size(&self) -> Size {
        Size {
            attributes: self.by_name.len(),
            vendors: self.vendors.len(),
            values: self.values.values().map(Vec::len).sum(),
        }
    }

    /// Every attribute that was read, without what is built in.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.iter()
    }

    fn definition(&self, path: &AttributePath) -> Option<&Definition> {
        let own = |dictionary: &'static Dictionary| dictionary.at(path);
        self.builtin.and_then(own).or_else(|| self.at(path))
    }

    fn at(&self, path: &AttributePath) -> Option<&Definition> {
        self.by_path.get(path).and_then(|&index| self.definitions.get(index))
    }

    fn own(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(lower(name).as_ref()).and_then(|&index| self.definitions.get(index))
    }

    /// A form that no dictionary changes: from the table, or the usual one of a vendor that is built in.
    fn known_format(&self, vendor: u32) -> Option<VendorFormat> {
        let named = |builtin: &&Dictionary| builtin.vendors.values().any(|&number| number == vendor);
        vendor::format_of(vendor).or_else(|| self.builtin.filter(named).map(|_| VendorFormat::USUAL))
    }

    // For the reader. What a file says about its own names holds within it: it may use a name that is built in for
    // something else, and is consistent all the same.

    fn own_first(&self, name: &str) -> Option<&Definition> {
        self.own(name).or_else(|| self.builtin.and_then(|builtin| builtin.own(name)))
    }

    fn vendor(&self, name: &str) -> Option<u32> {
        let name = lower(name);
        let builtin = || self.builtin.and_then(|builtin| builtin.vendors.get(&name));
        self.vendors.get(&name).or_else(builtin).copied()
    }

    fn placed(&self, vendor: u32, numbers: &[u32]) -> Option<AttributePath> {
        // `26.9.1` is the standard space's way to name a vendor.
        let whose = if let (0, &[26, named, ..]) = (vendor, numbers) { named } else { vendor };
        AttributePath::new(vendor, self.format(whose), numbers)
    }

    fn define(&mut self, definition: Definition) -> Result<(), Fault> {
        let key = lower(&definition.name);
        let index = match self.by_name.get(&key) {
            Some(&index) => index,
            None => self.definitions.len(),
        };
        let path = definition.path.clone();
        match self.definitions.get_mut(index) {
            Some(known) if known.path != path => return Err(Fault::Redefined(definition.name)),
            Some(known) => *known = definition,
            None => self.definitions.push(definition),
        }
        self.by_path.insert(path.clone(), index);
        self.by_name.insert(key.clone(), index);
        let builtin = self.builtin.and_then(|builtin| builtin.own(&key));
        match builtin.filter(|builtin| builtin.path != path) {
            Some(other) => Err(Fault::BuiltIn(other.name.clone())),
            None => Ok(()),
        }
    }

    fn declare(&mut self, name: &str, number: u32, format: Option<VendorFormat>) -> Result<(), Fault> {
        if *self.vendors.entry(lower(name)).or_insert(number) != number {
            return Err(Fault::Redefined(name.into()));
        }
        let Some(format) = format else { return Ok(()) };
        let holds = match self.known_format(number) {
            Some(known) => known,
            None => *self.formats.entry(number).or_insert(format),
        };
        if holds == format { Ok(()) } else { Err(Fault::FormatKept(name.into(), holds)) }
    }

    fn name_value(&mut self, path: AttributePath, name: &str, number: u32) -> Result<(), Fault> {
        match self.value(&path, name) {
            Some(known) if known == number => Ok(()),
            Some(_) => Err(Fault::Redefined(name.into())),
            None => {
                self.values.entry(path).or_default().push((name.into(), number));
                Ok(())
            }
        }
    }

    fn values_of(&self, path: &AttributePath) -> Vec<(Box<str>, u32)> {
        let own = |dictionary: &Dictionary| dictionary.values.get(path).cloned().unwrap_or_default();
        let mut values = self.builtin.map(own).unwrap_or_default();
        values.extend(own(self));
        values
    }
}

impl Attributes for Dictionary {
    fn add(&mut self, dictionary: &Path, files: &dyn Files) -> Result<Texts, Box<dyn Error + Send + Sync>> {
        let remarks = self.read(dictionary, files)?;
        let first = remarks.first.iter().map(ToString::to_string).collect();
        Ok(Texts { first, more: remarks.more })
    }

    fn path(&self, written: &str) -> Option<AttributePath> {
        self.id(written)
    }

    fn template(&self, written: &str) -> Result<Template, template::Fault> {
        Template::parse(written, self)
    }

    fn number(&self, path: &AttributePath) -> Option<u8> {
        // One octet of a tagged number is its tag.
        let definition = self.definition(path).filter(|definition| !definition.flags.tagged)?;
        match definition.kind {
            Type::Byte => Some(1),
            Type::Short => Some(2),
            Type::Integer => Some(4),
            Type::Integer64 => Some(8),
            _ => None,
        }
    }
}

fn lower(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into_boxed_str()
}

/// What follows `Attr-`, with which FreeRADIUS names what has no name.
fn strip_unknown(spelling: &str) -> Option<&str> {
    let (prefix, digits) = spelling.split_at_checked(5)?;
    prefix.eq_ignore_ascii_case("attr-").then_some(digits)
}
