//! What can be wrong with a dictionary: lines that are left out or taken otherwise, and files that can't be used.
//!
//! Knows: facts about lines and files, and what people can do about them. Must not know: how a line is read.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::VendorFormat;
use crate::session::Name;

/// So many remarks are kept; of the others only their number is. A dictionary of another kind has thousands.
const REMARKS_MAX: usize = 20;

/// A word of a dictionary, as written.
pub type Word = Box<str>;

/// Why a line was left out, or not taken as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The first word begins no statement.
    UnknownKeyword(Word),
    /// The first word begins a statement in FreeRADIUS 4 only.
    Version4(Word),
    /// A statement with too few or too many words.
    WrongWordCount(Word),
    /// A number that is none, or does not fit where it stands.
    BadNumber(Word),
    /// A name that attributes can't have.
    BadName(Word),
    /// A type that is not known: the attribute is octets.
    UnknownType(Word),
    /// A flag that is not known: the attribute is octets.
    UnknownFlag(Word),
    /// A form that no vendor's space can have, or no `format=` where one must be.
    BadFormat(Word),
    /// A vendor that was not declared: the attributes of its block have no place.
    UnknownVendor(Word),
    /// A parent that was not defined, or can't hold others: those within it have no place.
    UnknownParent(Word),
    /// A VALUE of an attribute that nobody defined.
    UnknownAttribute(Word),
    /// A VALUE of an attribute whose values have no names, or that is too large for it.
    UnsuitableValue(Word),
    /// Blocks that do not begin and end in pairs.
    Unpaired(Word),
    /// The same name for another attribute, vendor or value: the first holds.
    Redefined(Word),
    /// A name that is built in for another attribute, and keeps that meaning.
    BuiltIn(Word),
    /// Another form for a vendor whose form is known, and stays.
    FormatKept(Word, VendorFormat),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Somebody else's words: shown as such only when they do no harm to a terminal or a log.
        let name = |word: &Word| Name::from(word.as_ref());
        match self {
            Fault::UnknownKeyword(word) => write!(f, "'{}' is no statement known here; left out", name(word)),
            Fault::Version4(word) => write!(
                f,
                "'{}' is of FreeRADIUS 4, whose dictionaries are not read; name those of FreeRADIUS 3, or write attributes \
                 by number, such as \"26.3561.1\"",
                name(word)
            ),
            Fault::WrongWordCount(word) => {
                write!(f, "{} has too few or too many words; left out", name(word))
            }
            Fault::BadNumber(word) => {
                write!(f, "'{}' is no number that can stand here; left out", name(word))
            }
            Fault::BadName(word) => write!(f, "'{}' is a number, not a name; left out", name(word)),
            Fault::UnknownType(word) => write!(f, "the type '{}' is unknown; taken as octets", name(word)),
            Fault::UnknownFlag(word) => write!(f, "the flags '{}' are unknown; taken as octets", name(word)),
            Fault::BadFormat(word) => write!(f, "'{}' is no format; left out", name(word)),
            Fault::UnknownVendor(word) => {
                write!(f, "the vendor '{}' is not declared before; its attributes are left out", name(word))
            }
            Fault::UnknownParent(word) => {
                write!(
                    f,
                    "'{}' is not defined before, or holds no attributes; those within are left out",
                    name(word)
                )
            }
            Fault::UnknownAttribute(word) => {
                write!(f, "the attribute '{}' is not defined; left out", name(word))
            }
            Fault::UnsuitableValue(word) => write!(f, "'{}' can't have this value; left out", name(word)),
            Fault::Unpaired(word) => write!(f, "{} has no counterpart", name(word)),
            Fault::Redefined(word) => write!(f, "'{}' is defined otherwise before; left out", name(word)),
            Fault::BuiltIn(word) => {
                write!(f, "'{}' is another attribute here; write this one by its number", name(word))
            }
            Fault::FormatKept(word, format) => {
                write!(f, "the vendor '{}' has format={format}, which is kept", name(word))
            }
        }
    }
}

/// A line that is worth a look. The dictionary can be used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: Arc<std::path::Path>,
    /// Counted from 1.
    pub line: usize,
    /// What it is.
    pub fault: Fault,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.fault)
    }
}

/// The first remarks, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remarks {
    /// In the order in which they were found.
    pub first: Vec<Remark>,
    /// Those beyond.
    pub more: usize,
}

impl Remarks {
    pub(super) fn push(&mut self, remark: Remark) {
        if self.first.len() < REMARKS_MAX {
            self.first.push(remark);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// A dictionary that can't be used.
#[derive(Debug)]
pub struct DictionaryError {
    /// The file, or the one that includes it.
    pub file: PathBuf,
    /// The line that is to blame, if it is one.
    pub line: Option<usize>,
    /// Why.
    pub reason: Reason,
}

/// Why a dictionary can't be used.
#[derive(Debug)]
pub enum Reason {
    /// The file can't be read.
    Unreadable(io::Error),
    /// A file that it includes can't be read.
    NotIncluded {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Everybody may write what it says.
    OpenToEverybody {
        /// Its mode.
        mode: u32,
    },
    /// FreeRADIUS 4 wrote it, as this word shows.
    Version4(Word),
    /// No line of it says anything.
    NoDictionary,
    /// Files include files, too deep.
    TooDeep,
    /// Too many files, or too much in them.
    TooMuch,
}

impl fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.iter().try_for_each(|line| write!(f, ":{line}"))?;
        match &self.reason {
            Reason::Unreadable(error) => {
                write!(f, " cannot be read: {error}; name a dictionary that is there and may be read")
            }
            Reason::NotIncluded { path, error } => write!(
                f,
                ": {} cannot be read: {error}; put it there, or write $INCLUDE- where it may be missing",
                path.display()
            ),
            Reason::OpenToEverybody { mode } => write!(
                f,
                " is open to everybody (mode {:04o}); run: chmod o-w {}",
                mode & 0o7777,
                self.file.display()
            ),
            Reason::Version4(word) => write!(f, ": {}", Fault::Version4(word.clone())),
            Reason::NoDictionary => {
                f.write_str(" holds no line of a dictionary; name one of FreeRADIUS 3, or remove it")
            }
            Reason::TooDeep => f.write_str(": files include files too deep; name the inner one itself"),
            Reason::TooMuch => f.write_str(": is too much to read; name only what is needed"),
        }
    }
}

impl std::error::Error for DictionaryError {}
