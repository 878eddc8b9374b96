//! Dictionary text (the format of FreeRADIUS 3) to names, numbers and types.
//!
//! Knows: the grammar, and the dictionaries that are compiled in. Must not know: files, or which attribute
//! matters to us: ownership never depends on a dictionary, only the names that people write do.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use smallvec::SmallVec;

use crate::config::AttributeId;

/// Our own, in the order in which they are read.
const BUILTIN: [&str; 3] = [
    include_str!("../../dictionaries/standard"),
    include_str!("../../dictionaries/access"),
    include_str!("../../dictionaries/vendors"),
];

/// How deep attributes nest in RFC 6929; deeper ones are a mistake or an attack.
const DEPTH_MAX: usize = 4;
/// Type of Vendor-Specific, with which a vendor's attribute is spelled.
const VENDOR_SPECIFIC: u32 = 26;

/// Where an attribute stands: a vendor (0 for none) and the numbers from the outside in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// Private enterprise number, 0 for the standard space.
    pub vendor: u32,
    /// One number, or several for attributes within attributes (`241.6.3`).
    pub numbers: SmallVec<[u32; DEPTH_MAX]>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.vendor != 0 {
            write!(f, "{VENDOR_SPECIFIC}.{}.", self.vendor)?;
        }
        for (at, number) in self.numbers.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text, or octets that are usually text.
    Text,
    /// Octets; also every type that we need not tell apart.
    Octets,
    /// Four octets.
    Integer,
    /// Two octets.
    Short,
    /// One octet.
    Byte,
    /// Eight octets.
    Integer64,
    /// Seconds since 1970.
    Date,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv6 prefix.
    Ipv6Prefix,
    /// Eight octets in groups.
    InterfaceId,
}

/// An attribute as the dictionary names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// As first written.
    pub name: Box<str>,
    /// Where it stands.
    pub path: Path,
    /// How its value is written.
    pub kind: Type,
}

/// Why a line was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The first word begins no statement.
    UnknownKeyword,
    /// A statement with too few or too many words.
    WrongWordCount,
    /// A number that is none, or too large.
    BadNumber,
    /// A vendor that was not declared before.
    UnknownVendor,
    /// BEGIN-VENDOR within BEGIN-VENDOR, or END-VENDOR of another one.
    VendorBlock,
    /// The same name for another attribute, vendor or value.
    Redefined,
    /// A VALUE of an attribute that nobody defined.
    UnknownAttribute,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::UnknownKeyword => "unknown keyword",
            Fault::WrongWordCount => "wrong number of words",
            Fault::BadNumber => "not a number in range",
            Fault::UnknownVendor => "vendor not declared",
            Fault::VendorBlock => "BEGIN-VENDOR and END-VENDOR do not match",
            Fault::Redefined => "defined otherwise before",
            Fault::UnknownAttribute => "attribute not defined",
        })
    }
}

/// A line that was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl std::error::Error for DictionaryError {}

/// Names of attributes, vendors and values; all of them are found whatever their case.
#[derive(Debug, Default)]
pub struct Dictionary {
    by_name: HashMap<Box<str>, Definition>,
    by_path: HashMap<Path, Box<str>>,
    vendors: HashMap<Box<str>, u32>,
    values: HashMap<(Box<str>, Box<str>), u32>,
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
                let _ = dictionary.read(text.as_bytes());
            }
            dictionary
        })
    }

    /// Adds the definitions of one text. Octets, because other people's dictionaries have any encoding in
    /// their comments.
    ///
    /// # Errors
    /// The first line that is not understood; what stands before it is kept.
    pub fn read(&mut self, text: &[u8]) -> Result<(), DictionaryError> {
        let mut reader = Reader { dictionary: self, block: None, pending: Vec::new() };
        let mut line = 0_usize;
        for octets in text.split(|&octet| octet == b'\n') {
            line = line.saturating_add(1);
            // A `#` begins a comment wherever it stands; there are no quotes.
            let statement = octets.split(|&octet| octet == b'#').next().unwrap_or_default();
            let statement = String::from_utf8_lossy(statement);
            let words: SmallVec<[&str; 6]> = statement.split_ascii_whitespace().collect();
            reader.statement(&words, line).map_err(|fault| DictionaryError { line, fault })?;
        }
        reader.finish()
    }

    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(lower(name).as_ref())
    }

    /// The attribute of a name or a number: `User-Name`, `1`, `26.3561.1`. With `Attr-` before the number it
    /// is taken as octets, whatever its type: the way to write a value that does not fit.
    #[must_use]
    pub fn find(&self, spelling: &str) -> Option<Definition> {
        if let Some(definition) = self.attribute(spelling) {
            return Some(definition.clone());
        }
        let octets = spelling.split_at_checked(5).filter(|(prefix, _)| prefix.eq_ignore_ascii_case("attr-"));
        let path = path_of(octets.map_or(spelling, |(_, digits)| digits), 0).ok()?;
        let known = self.by_path.get(&path).and_then(|name| self.by_name.get(name));
        if let Some(known) = known.filter(|_| octets.is_none()) {
            return Some(known.clone());
        }
        let name = format!("Attr-{path}").into_boxed_str();
        Some(Definition { name, path, kind: Type::Octets })
    }

    /// The same for the configuration, whose identity rules know attributes of one number only.
    #[must_use]
    pub fn id(&self, spelling: &str) -> Option<AttributeId> {
        let definition = self.find(spelling)?;
        match definition.path.numbers.as_slice() {
            [number] if *number <= 255 => {
                Some(AttributeId { vendor: definition.path.vendor, number: *number })
            }
            _ => None,
        }
    }

    /// The name of an attribute, for people.
    #[must_use]
    pub fn name(&self, id: AttributeId) -> Option<&str> {
        let path = Path { vendor: id.vendor, numbers: SmallVec::from_slice(&[id.number]) };
        let definition = self.by_name.get(self.by_path.get(&path)?)?;
        Some(&definition.name)
    }

    /// The number behind a value's name.
    #[must_use]
    pub fn value(&self, attribute: &str, name: &str) -> Option<u32> {
        self.values.get(&(lower(attribute), lower(name))).copied()
    }

    /// How many attributes have names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// One text while it is read.
struct Reader<'a> {
    dictionary: &'a mut Dictionary,
    /// The vendor whose block is open.
    block: Option<u32>,
    /// Values may stand before their attribute, so they are checked at the end.
    pending: Vec<(usize, Box<str>)>,
}

impl Reader<'_> {
    fn statement(&mut self, words: &[&str], line: usize) -> Result<(), Fault> {
        let Some((keyword, words)) = words.split_first() else { return Ok(()) };
        match keyword.to_ascii_uppercase().as_str() {
            "ATTRIBUTE" => self.attribute(words),
            "VALUE" => self.value(words, line),
            "VENDOR" => self.vendor(words),
            "BEGIN-VENDOR" => self.begin_vendor(words),
            "END-VENDOR" => self.end_vendor(words),
            _ => Err(Fault::UnknownKeyword),
        }
    }

    /// `ATTRIBUTE name number type [flags]`. Flags (tags, encryption) are of no use in accounting. Without a
    /// block a fifth word may name the vendor.
    fn attribute(&mut self, words: &[&str]) -> Result<(), Fault> {
        let (name, number, kind, flags) = match *words {
            [name, number, kind] => (name, number, kind, None),
            [name, number, kind, flags] => (name, number, kind, Some(flags)),
            _ => return Err(Fault::WrongWordCount),
        };
        let of_flags = flags.and_then(|flags| self.dictionary.vendors.get(&lower(flags)).copied());
        let path = path_of(number, self.block.or(of_flags).unwrap_or(0))?;
        let key = lower(name);
        let definition = Definition { name: name.into(), path: path.clone(), kind: type_of(kind) };
        if self.dictionary.by_name.get(&key).is_some_and(|known| known.path != path) {
            return Err(Fault::Redefined);
        }
        // Several names for one number are legal; the later one is shown, all of them are understood.
        self.dictionary.by_path.insert(path, key.clone());
        self.dictionary.by_name.insert(key, definition);
        Ok(())
    }

    /// `VALUE attribute name number`.
    fn value(&mut self, words: &[&str], line: usize) -> Result<(), Fault> {
        let &[attribute, name, number] = words else { return Err(Fault::WrongWordCount) };
        let number = number_of(number)?;
        let attribute = lower(attribute);
        if !self.dictionary.by_name.contains_key(&attribute) {
            self.pending.push((line, attribute.clone()));
        }
        match self.dictionary.values.insert((attribute, lower(name)), number) {
            Some(before) if before != number => Err(Fault::Redefined),
            _ => Ok(()),
        }
    }

    /// `VENDOR name number [format=...]`. Several names for one number are legal.
    fn vendor(&mut self, words: &[&str]) -> Result<(), Fault> {
        let (name, number) = match *words {
            [name, number] | [name, number, _] => (name, number_of(number)?),
            _ => return Err(Fault::WrongWordCount),
        };
        match self.dictionary.vendors.insert(lower(name), number) {
            Some(before) if before != number => Err(Fault::Redefined),
            _ => Ok(()),
        }
    }

    fn begin_vendor(&mut self, words: &[&str]) -> Result<(), Fault> {
        let name = words.first().ok_or(Fault::WrongWordCount)?;
        if self.block.is_some() {
            return Err(Fault::VendorBlock);
        }
        self.block = Some(*self.dictionary.vendors.get(&lower(name)).ok_or(Fault::UnknownVendor)?);
        Ok(())
    }

    fn end_vendor(&mut self, words: &[&str]) -> Result<(), Fault> {
        let name = words.first().ok_or(Fault::WrongWordCount)?;
        let vendor = self.dictionary.vendors.get(&lower(name)).ok_or(Fault::UnknownVendor)?;
        if self.block.take() == Some(*vendor) { Ok(()) } else { Err(Fault::VendorBlock) }
    }

    fn finish(self) -> Result<(), DictionaryError> {
        let unknown = self.pending.iter().find(|(_, name)| !self.dictionary.by_name.contains_key(name));
        match unknown {
            Some(&(line, _)) => Err(DictionaryError { line, fault: Fault::UnknownAttribute }),
            None => Ok(()),
        }
    }
}

fn lower(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into_boxed_str()
}

/// Decimal, whatever zeros it begins with, or hexadecimal with `0x`.
fn number_of(word: &str) -> Result<u32, Fault> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    // `from_str_radix` alone would take a leading plus sign.
    if digits.starts_with('+') {
        return Err(Fault::BadNumber);
    }
    u32::from_str_radix(digits, radix).map_err(|_| Fault::BadNumber)
}

/// `4`, `241.6.3`, and in the standard space also a vendor's `26.3561.1`.
fn path_of(word: &str, vendor: u32) -> Result<Path, Fault> {
    let mut numbers: SmallVec<[u32; DEPTH_MAX]> = SmallVec::new();
    let mut vendor = vendor;
    for part in word.split('.') {
        numbers.push(number_of(part)?);
        if numbers.len() == 3
            && vendor == 0
            && let &[VENDOR_SPECIFIC, named, inner] = numbers.as_slice()
        {
            vendor = named;
            numbers = SmallVec::from_slice(&[inner]);
        }
        if numbers.len() > DEPTH_MAX {
            return Err(Fault::BadNumber);
        }
    }
    let in_range = match numbers.first() {
        // Zero is legal in a vendor's space only, and numbers above 255 never travel.
        Some(&outer) if vendor == 0 => (1..=255).contains(&outer),
        Some(_) => true,
        None => false,
    };
    if in_range { Ok(Path { vendor, numbers }) } else { Err(Fault::BadNumber) }
}

fn type_of(word: &str) -> Type {
    match word.to_ascii_lowercase().as_str() {
        "string" => Type::Text,
        "integer" | "uint32" | "signed" | "int32" => Type::Integer,
        "short" | "uint16" => Type::Short,
        "byte" | "uint8" => Type::Byte,
        "integer64" | "uint64" => Type::Integer64,
        "date" => Type::Date,
        "ipaddr" => Type::Ipv4,
        "ipv6addr" => Type::Ipv6,
        "ipv6prefix" => Type::Ipv6Prefix,
        "ifid" => Type::InterfaceId,
        // An unknown type must not make a dictionary unusable: its values are octets.
        _ => Type::Octets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dictionary, DictionaryError> {
        let mut dictionary = Dictionary::default();
        dictionary.read(text.as_bytes()).map(|()| dictionary)
    }

    fn fault(text: &str) -> (usize, Fault) {
        let error = read(text).unwrap_err();
        (error.line, error.fault)
    }

    #[test]
    fn the_dictionaries_that_are_compiled_in_are_understood() {
        let mut dictionary = Dictionary::default();
        for text in BUILTIN {
            dictionary.read(text.as_bytes()).unwrap();
        }
        assert!(dictionary.len() > 80);
    }

    #[test]
    fn attributes_are_found_by_name_and_number_whatever_their_case() {
        let dictionary = Dictionary::builtin();
        let expected = Some(AttributeId { vendor: 3561, number: 1 });
        for spelling in ["ADSL-Agent-Circuit-Id", "adsl-agent-circuit-id", "26.3561.1", "Attr-26.3561.1"] {
            assert_eq!(dictionary.id(spelling), expected, "{spelling}");
        }
        assert_eq!(dictionary.id("User-Name"), Some(AttributeId { vendor: 0, number: 1 }));
        assert_eq!(dictionary.id("4"), dictionary.id("NAS-IP-Address"));
        assert_eq!(dictionary.name(AttributeId { vendor: 0, number: 25 }), Some("Class"));
    }

    #[test]
    fn numbers_that_name_no_attribute_are_refused() {
        for spelling in ["", "0", "256", "x", "26.", "1.2.3.4.5", "+1", "26.9.300", "99999999999", "Attr-"] {
            assert_eq!(Dictionary::builtin().id(spelling), None, "{spelling}");
        }
        // What stands within another attribute can't be an identity.
        assert_eq!(Dictionary::builtin().id("IP-Port-Range-Range-Start"), None);
    }

    #[test]
    fn values_have_names() {
        let dictionary = Dictionary::builtin();
        assert_eq!(dictionary.value("Acct-Status-Type", "Interim-Update"), Some(3));
        assert_eq!(dictionary.value("acct-status-type", "ALIVE"), Some(3));
        assert_eq!(dictionary.value("Acct-Status-Type", "Sleep"), None);
    }

    #[test]
    fn comments_blank_lines_and_line_ends_of_every_kind_are_read() {
        let text = "# all\r\n\n \t\nattribute Foo 0x0a String # why\r\nVALUE Foo One 1#glued\r\n";
        let dictionary = read(text).unwrap();
        assert_eq!(dictionary.attribute("foo").unwrap().path.to_string(), "10");
        assert_eq!(dictionary.value("Foo", "One"), Some(1));
        let mut latin = Dictionary::default();
        assert!(latin.read(b"ATTRIBUTE Foo 1 string # caf\xe9\n").is_ok());
    }

    #[test]
    fn a_vendor_block_puts_its_attributes_into_the_vendors_space() {
        let text = "VENDOR Acme 99\nBEGIN-VENDOR acme\nATTRIBUTE Acme-Zero 0 string\nEND-VENDOR Acme\nATTRIBUTE Plain 7 octets\n\
             ATTRIBUTE Acme-Old 8 string Acme";
        let dictionary = read(text).unwrap();
        assert_eq!(dictionary.id("Acme-Zero"), Some(AttributeId { vendor: 99, number: 0 }));
        assert_eq!(dictionary.id("Plain"), Some(AttributeId { vendor: 0, number: 7 }));
        assert_eq!(dictionary.id("Acme-Old"), Some(AttributeId { vendor: 99, number: 8 }));
    }

    #[test]
    fn a_value_may_stand_before_its_attribute_but_not_without_one() {
        assert!(read("VALUE Foo One 1\nATTRIBUTE Foo 1 integer").is_ok());
        assert_eq!(fault("\nVALUE Foo One 1\n"), (2, Fault::UnknownAttribute));
    }

    #[test]
    fn two_names_for_a_number_are_legal_and_two_numbers_for_a_name_are_not() {
        let dictionary = read("ATTRIBUTE Old 9 string\nATTRIBUTE New 9 string").unwrap();
        assert_eq!(dictionary.id("Old"), dictionary.id("New"));
        assert_eq!(dictionary.name(AttributeId { vendor: 0, number: 9 }), Some("New"));
        assert_eq!(fault("ATTRIBUTE A 1 string\nATTRIBUTE a 2 string"), (2, Fault::Redefined));
    }

    #[test]
    fn a_type_nobody_knows_is_octets() {
        assert_eq!(read("ATTRIBUTE Foo 1 quaternion").unwrap().attribute("Foo").unwrap().kind, Type::Octets);
    }

    #[test]
    fn faults_name_their_line() {
        assert_eq!(fault("HELLO world"), (1, Fault::UnknownKeyword));
        assert_eq!(fault("\nATTRIBUTE Foo 1"), (2, Fault::WrongWordCount));
        assert_eq!(fault("ATTRIBUTE Foo 256 string"), (1, Fault::BadNumber));
        assert_eq!(fault("BEGIN-VENDOR Nobody"), (1, Fault::UnknownVendor));
        assert_eq!(fault("VENDOR A 1\nVENDOR B 2\nBEGIN-VENDOR A\nEND-VENDOR B"), (4, Fault::VendorBlock));
    }
}
