//! Files of a dictionary, one after the other, to definitions: blocks, includes, and what refers to what.
//!
//! Knows: what each statement does to those after it. Must not know: the grammar of a line, the file system (files
//! come through a function), or which attribute matters to us.
//!
//! Everything that FreeRADIUS 3 takes is taken as it means it. What it refuses is left out with a remark, so that a
//! newer tree with one strange line still names everything else.

use std::collections::HashSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::fault::{DictionaryError, Fault, Reason, Remark, Remarks};
use super::line::{self, Numbers, Statement};
use super::types::{Flags, Type};
use super::{Definition, Dictionary};
use crate::config::VendorFormat;
use crate::config::file::{Contents, Files};

/// Files within files. FreeRADIUS's own tree has two levels.
const INCLUDE_DEPTH_MAX: usize = 16;
/// Files in all; FreeRADIUS's own tree has 237.
const FILES_MAX: usize = 2_000;
/// Octets in all; FreeRADIUS's own tree has one million.
const OCTETS_MAX: usize = 32 * 1024 * 1024;

/// What outlives one dictionary: files that were read are not read again.
#[derive(Debug, Default)]
pub(super) struct Seen {
    files: HashSet<PathBuf>,
    octets: usize,
}

/// One dictionary with its includes, while it is read.
pub(super) struct Reader<'a> {
    dictionary: &'a mut Dictionary,
    remarks: Remarks,
    /// What may stand before the attribute that it is about.
    pending: Vec<Pending>,
    /// Statements that were understood.
    understood: usize,
}

struct Pending {
    file: Arc<Path>,
    line: usize,
    what: Named,
}

enum Named {
    Value { attribute: Box<str>, name: Box<str>, number: u32 },
    Alias { attribute: Box<str>, other: Box<str> },
}

/// Where the attributes of a block stand: the vendor, and the numbers before their own. `None`: nobody knows.
type Base = Option<(u32, Numbers)>;

/// The blocks that are open in one file. They end with it: what a file includes begins with none.
#[derive(Default)]
struct Blocks {
    vendor: Option<(Box<str>, Base)>,
    tlvs: Vec<(Box<str>, Base)>,
}

impl Blocks {
    /// Where the next attribute stands; the standard space outside of all blocks.
    fn base(&self) -> Base {
        match (self.tlvs.last(), &self.vendor) {
            (Some((_, base)), _) | (None, Some((_, base))) => base.clone(),
            (None, None) => Some((0, Numbers::new())),
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(dictionary: &'a mut Dictionary) -> Self {
        Reader { dictionary, remarks: Remarks::default(), pending: Vec::new(), understood: 0 }
    }

    /// Reads the file at `path` and whatever it includes.
    pub(super) fn read(mut self, path: &Path, files: &dyn Files) -> Result<Remarks, DictionaryError> {
        let refused = |reason| DictionaryError { file: path.to_owned(), line: None, reason };
        if self.dictionary.seen.files.insert(resolved(path)) {
            let contents = files.read(path).map_err(|error| refused(Reason::Unreadable(error)))?;
            self.file(path, &contents, files, 0)?;
            if self.understood == 0 && !self.remarks.first.is_empty() {
                return Err(refused(Reason::NoDictionary));
            }
        }
        Ok(self.finish())
    }

    /// Reads a text that includes nothing.
    pub(super) fn read_text(mut self, text: &[u8]) -> Result<Remarks, DictionaryError> {
        let contents = Contents { octets: text.to_vec(), mode: 0 };
        self.file(Path::new("builtin"), &contents, &NoFiles, 0)?;
        Ok(self.finish())
    }

    fn file(
        &mut self,
        path: &Path,
        contents: &Contents,
        files: &dyn Files,
        depth: usize,
    ) -> Result<(), DictionaryError> {
        let refused = |line, reason| DictionaryError { file: path.to_owned(), line, reason };
        // As FreeRADIUS has it: whoever may write the dictionary decides what its names mean.
        if contents.mode & 0o002 != 0 {
            return Err(refused(None, Reason::OpenToEverybody { mode: contents.mode }));
        }
        let seen = &mut self.dictionary.seen;
        seen.octets = seen.octets.saturating_add(contents.octets.len());
        if seen.octets > OCTETS_MAX || seen.files.len() > FILES_MAX {
            return Err(refused(None, Reason::TooMuch));
        }
        let file: Arc<Path> = Arc::from(path);
        let mut blocks = Blocks::default();
        let mut number = 0_usize;
        for octets in contents.octets.split(|&octet| octet == b'\n') {
            number = number.saturating_add(1);
            let text = line::text(octets);
            let statement = match line::statement(&text) {
                Ok(None) => continue,
                Ok(Some(statement)) => statement,
                Err(Fault::Version4(word)) => return Err(refused(Some(number), Reason::Version4(word))),
                Err(fault) => {
                    self.remark(&file, number, fault);
                    continue;
                }
            };
            self.understood = self.understood.saturating_add(1);
            if let Statement::Include { path: named, optional } = statement {
                let reason = self.include(path, named, optional, files, depth);
                reason.map_err(|error| match error {
                    Refused::Here(reason) => refused(Some(number), reason),
                    Refused::Within(error) => error,
                })?;
            } else if let Err(fault) = self.statement(&statement, &mut blocks, &file, number) {
                self.remark(&file, number, fault);
            }
        }
        let open = [blocks.vendor.map(|_| "BEGIN-VENDOR"), blocks.tlvs.last().map(|_| "BEGIN-TLV")];
        for keyword in open.into_iter().flatten() {
            self.remark(&file, number, Fault::Unpaired(keyword.into()));
        }
        Ok(())
    }

    /// Relative paths begin at the directory of the file that includes. A file that was read, or is being read, is not
    /// read again, so loops end.
    fn include(
        &mut self,
        from: &Path,
        named: &str,
        optional: bool,
        files: &dyn Files,
        depth: usize,
    ) -> Result<(), Refused> {
        let path = from.parent().unwrap_or(Path::new("")).join(named);
        if self.dictionary.seen.files.contains(&resolved(&path)) {
            return Ok(());
        }
        if depth >= INCLUDE_DEPTH_MAX {
            return Err(Refused::Here(Reason::TooDeep));
        }
        let contents = match files.read(&path) {
            Ok(contents) => contents,
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Refused::Here(Reason::NotIncluded { path, error })),
        };
        self.dictionary.seen.files.insert(resolved(&path));
        self.file(&path, &contents, files, depth.saturating_add(1)).map_err(Refused::Within)
    }

    fn remark(&mut self, file: &Arc<Path>, line: usize, fault: Fault) {
        self.remarks.push(Remark { file: Arc::clone(file), line, fault });
    }

    fn statement(
        &mut self,
        statement: &Statement<'_>,
        blocks: &mut Blocks,
        file: &Arc<Path>,
        line: usize,
    ) -> Result<(), Fault> {
        let later = |what| Pending { file: Arc::clone(file), line, what };
        match *statement {
            Statement::Attribute { name, ref numbers, kind, flags } => {
                self.attribute(name, numbers, (kind, flags), blocks)
            }
            Statement::Value { attribute, name, number } => {
                let (attribute, name) = (attribute.into(), name.into());
                self.pending.push(later(Named::Value { attribute, name, number }));
                Ok(())
            }
            Statement::ValueAlias { attribute, other } => {
                let (attribute, other) = (attribute.into(), other.into());
                self.pending.push(later(Named::Alias { attribute, other }));
                Ok(())
            }
            Statement::Vendor { name, number, format } => self.vendor(name, number, format),
            Statement::BeginVendor { name, within } => self.begin_vendor(name, within, blocks),
            Statement::EndVendor { name } => ended(blocks.vendor.take(), name, "END-VENDOR"),
            Statement::BeginTlv { name } => self.begin_tlv(name, blocks),
            Statement::EndTlv { name } => ended(blocks.tlvs.pop(), name, "END-TLV"),
            // The caller's, who has the files.
            Statement::Include { .. } => Ok(()),
        }
    }

    /// Defines an attribute, even where the fault is that it was taken otherwise than it is written. That a parent is
    /// not defined is no fault: the numbers say where it stands.
    fn attribute(
        &mut self,
        name: &str,
        numbers: &Numbers,
        (kind, flags): (&str, Option<&str>),
        blocks: &Blocks,
    ) -> Result<(), Fault> {
        // What was said about the block need not be said about each attribute in it.
        let Some((mut vendor, mut path)) = blocks.base() else { return Ok(()) };
        // FreeRADIUS gives `Attr-` names to what has none; one that looks like a number would be taken for it.
        if super::strip_unknown(name).is_some() || name.bytes().all(|o| o == b'.' || o.is_ascii_digit()) {
            return Err(Fault::BadName(name.into()));
        }
        // The oldest dictionaries name the vendor here, having no blocks.
        let in_no_block = vendor == 0 && path.is_empty() && numbers.len() == 1;
        let named = flags.filter(|_| in_no_block).and_then(|word| self.dictionary.vendor(word));
        let flags = if named.is_some() { None } else { flags };
        vendor = named.unwrap_or(vendor);
        path.extend_from_slice(numbers);
        let path = self.dictionary.placed(vendor, &path);
        let path = path.ok_or_else(|| Fault::BadNumber(spelled(numbers)))?;

        let known = Type::named(kind);
        let parsed = flags.map_or(Some(Flags::default()), Flags::parse);
        let fault = match (known, parsed) {
            (None, _) => Some(Fault::UnknownType(kind.into())),
            (_, None) => Some(Fault::UnknownFlag(flags.unwrap_or_default().into())),
            _ => None,
        };
        let (kind, flags) = known.zip(parsed).unwrap_or((Type::Octets, Flags::default()));
        self.dictionary.define(Definition { name: name.into(), path, kind, flags })?;
        fault.map_or(Ok(()), Err)
    }

    fn vendor(&mut self, name: &str, number: u32, format: Option<&str>) -> Result<(), Fault> {
        // RFC 2865, 5.26: the high octet is zero.
        if number == 0 || number >= 1 << 24 {
            return Err(Fault::BadNumber(number.to_string().into()));
        }
        let format = match format {
            Some(written) => {
                Some(VendorFormat::parse(written).ok_or_else(|| Fault::BadFormat(written.into()))?)
            }
            None => None,
        };
        self.dictionary.declare(name, number, format)
    }

    fn begin_vendor(&self, name: &str, within: Option<&str>, blocks: &mut Blocks) -> Result<(), Fault> {
        let vendor = self.dictionary.vendor(name);
        let (base, fault) = match (vendor, within) {
            (None, _) => (None, Some(Fault::UnknownVendor(name.into()))),
            (Some(vendor), None) => (Some((vendor, Numbers::new())), None),
            (Some(vendor), Some(within)) => match self.extended(within) {
                Some(mut numbers) => {
                    numbers.push(vendor);
                    (Some((0, numbers)), None)
                }
                None => (None, Some(Fault::UnknownParent(within.into()))),
            },
        };
        // Where an END-VENDOR is missing, the attributes that follow are all the same this one's.
        let unpaired =
            blocks.vendor.replace((name.into(), base)).map(|_| Fault::Unpaired("BEGIN-VENDOR".into()));
        fault.or(unpaired).map_or(Ok(()), Err)
    }

    /// The numbers of an attribute in which vendors have spaces of their own (RFC 6929): `245.26`.
    fn extended(&self, name: &str) -> Option<Numbers> {
        let definition = self.dictionary.own_first(name)?;
        let numbers = definition.path.numbers();
        let fits = definition.path.is_envelope() && numbers.len() == 2;
        fits.then(|| Numbers::from_slice(numbers))
    }

    fn begin_tlv(&self, name: &str, blocks: &mut Blocks) -> Result<(), Fault> {
        let within_nowhere = blocks.base().is_none();
        let parent = self.dictionary.own_first(name).filter(|parent| parent.kind == Type::Tlv);
        let base = parent.map(|parent| (parent.path.vendor(), Numbers::from_slice(parent.path.numbers())));
        let fault = base.is_none() && !within_nowhere;
        blocks.tlvs.push((name.into(), base));
        if fault { Err(Fault::UnknownParent(name.into())) } else { Ok(()) }
    }

    /// What may refer forward finds its attribute now, or never.
    fn finish(mut self) -> Remarks {
        let mut pending = std::mem::take(&mut self.pending);
        // An alias has the values that come after it, too.
        pending.sort_by_key(|pending| matches!(pending.what, Named::Alias { .. }));
        for Pending { file, line, what } in pending {
            let done = match what {
                Named::Value { attribute, name, number } => self.value(&attribute, &name, number),
                Named::Alias { attribute, other } => self.alias(&attribute, &other),
            };
            if let Err(fault) = done {
                self.remark(&file, line, fault);
            }
        }
        self.remarks
    }

    fn value(&mut self, attribute: &str, name: &str, number: u32) -> Result<(), Fault> {
        let definition = self.dictionary.own_first(attribute);
        let definition = definition.ok_or_else(|| Fault::UnknownAttribute(attribute.into()))?;
        if definition.kind.value_max().is_none_or(|max| number > max) {
            return Err(Fault::UnsuitableValue(attribute.into()));
        }
        let path = definition.path.clone();
        self.dictionary.name_value(path, name, number)
    }

    fn alias(&mut self, attribute: &str, other: &str) -> Result<(), Fault> {
        let path = |name: &str| {
            let definition = self.dictionary.own_first(name).map(|definition| definition.path.clone());
            definition.ok_or_else(|| Fault::UnknownAttribute(name.into()))
        };
        let (path, other) = (path(attribute)?, path(other)?);
        for (name, number) in self.dictionary.values_of(&other) {
            self.dictionary.name_value(path.clone(), &name, number)?;
        }
        Ok(())
    }
}

/// Why an include is refused: what the line says, or what is in the file.
enum Refused {
    Here(Reason),
    Within(DictionaryError),
}

/// For texts that are compiled in.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Contents> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A block ends with its keyword, whichever name stands there: what follows is in no case meant to be in it.
fn ended(open: Option<(Box<str>, Base)>, name: &str, keyword: &str) -> Result<(), Fault> {
    let same = open.is_some_and(|(open, _)| open.eq_ignore_ascii_case(name));
    if same { Ok(()) } else { Err(Fault::Unpaired(keyword.into())) }
}

fn spelled(numbers: &Numbers) -> Box<str> {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".").into()
}

/// A path without `.` and `..`, so that one file has one name. Links are not followed: who goes in circles through them
/// meets the limits.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(resolved.components().next_back(), Some(Component::Normal(_))) =>
            {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}
