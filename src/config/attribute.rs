//! How an attribute is named inside: by the numbers under which it stands in a packet.
//!
//! Knows: numbers, how they are spelled, and the forms of vendors' spaces. Must not know: names of attributes,
//! dictionaries, packets.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;

use smallvec::SmallVec;

use super::file::Files;
use crate::radius::template::{self, Template};

/// Type of Vendor-Specific (RFC 2865, 5.26), and its extended type in RFC 6929.
const VENDOR_SPECIFIC: u32 = 26;
/// RFC 6929: types whose value begins with another type.
const EXTENDED: std::ops::RangeInclusive<u32> = 241..=244;
/// RFC 6929: the same with a flag that the value goes on in the next attribute.
const LONG_EXTENDED: std::ops::RangeInclusive<u32> = 245..=246;
/// Attributes within attributes: no more than so many. No RFC has more than two, WiMAX has three.
const NESTED_MAX: usize = 4;

/// Where an attribute stands: the vendor (0 for none) and the numbers from the outside in.
///
/// Spelled as RFC 6929 does: `1`, `26.3561.1` (vendor, type), `241.6.3` (extended type, TLV), `245.26.11344.1`.
/// Equal when vendor and numbers are: the form of its space follows from the vendor.
#[derive(Debug, Clone)]
pub struct AttributePath {
    vendor: u32,
    numbers: SmallVec<[u32; 4]>,
    /// What it is wrapped in, and how many of the numbers say so. Asked for with every packet.
    outside: Option<(Envelope, usize)>,
}

/// In what an attribute is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// In nothing.
    Standard {
        /// Its type.
        kind: u8,
    },
    /// An extended attribute (RFC 6929).
    Extended {
        /// 241 to 246.
        kind: u8,
        /// Whether the value may go on in the next attribute.
        long: bool,
        /// Its extended type.
        extension: u8,
        /// The vendor and its type, when the extended type is 26.
        vendor: Option<(u32, u8)>,
    },
    /// Vendor-Specific.
    Vendor {
        /// Private enterprise number.
        vendor: u32,
        /// How its attributes are laid out.
        format: VendorFormat,
        /// Its type there.
        kind: u32,
    },
}

impl AttributePath {
    /// An attribute of the standard space.
    #[must_use]
    pub fn standard(kind: u8) -> Self {
        AttributePath::of(0, VendorFormat::USUAL, &[u32::from(kind)])
    }

    fn of(vendor: u32, format: VendorFormat, numbers: &[u32]) -> Self {
        let outside = envelope(vendor, format, numbers)
            .map(|(envelope, nested)| (envelope, numbers.len().saturating_sub(nested.len())));
        AttributePath { vendor, numbers: SmallVec::from_slice(numbers), outside }
    }

    /// An attribute by its numbers, or `None` where none can stand. `format` is its vendor's.
    ///
    /// Numbers of the standard space above 255 are names for use inside of a server: see [`Self::is_internal`].
    #[must_use]
    pub fn new(vendor: u32, format: VendorFormat, numbers: &[u32]) -> Option<Self> {
        if let (0, &[VENDOR_SPECIFIC, vendor, ref numbers @ ..]) = (vendor, numbers) {
            return if vendor == 0 { None } else { Self::new(vendor, format, numbers) };
        }
        let format = if vendor == 0 { VendorFormat::USUAL } else { format };
        let path = AttributePath::of(vendor, format, numbers);
        (path.is_internal() || path.envelope().is_some()).then_some(path)
    }

    /// Reads the spelling by numbers. `format_of` knows the form of each vendor's space.
    #[must_use]
    pub fn parse(written: &str, format_of: impl Fn(u32) -> VendorFormat) -> Option<Self> {
        let mut numbers: SmallVec<[u32; 4]> = SmallVec::new();
        for part in written.split('.').take(NESTED_MAX.saturating_add(6)) {
            // The standard parser would take a plus sign.
            let digits = !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
            numbers.push(digits.then(|| part.parse().ok()).flatten()?);
        }
        let format = match *numbers.as_slice() {
            [VENDOR_SPECIFIC, vendor, ..] => format_of(vendor),
            _ => VendorFormat::USUAL,
        };
        Self::new(0, format, &numbers)
    }

    /// Private enterprise number; 0 for the standard space.
    #[must_use]
    pub fn vendor(&self) -> u32 {
        self.vendor
    }

    /// The numbers within the space, from the outside in; at least one.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Whether it can't stand in any packet: types have one octet there.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.vendor == 0 && self.numbers.first().is_some_and(|&kind| kind > 255)
    }

    /// Whether it is only what wraps others: Vendor-Specific and the extended types.
    #[must_use]
    pub fn is_envelope(&self) -> bool {
        match (self.vendor, self.numbers.as_slice()) {
            (0, &[kind]) => {
                kind == VENDOR_SPECIFIC || EXTENDED.contains(&kind) || LONG_EXTENDED.contains(&kind)
            }
            (0, &[kind, VENDOR_SPECIFIC]) => EXTENDED.contains(&kind) || LONG_EXTENDED.contains(&kind),
            _ => false,
        }
    }

    /// What it is wrapped in, and its numbers as a TLV within that (none for the attribute itself). `None` when it is
    /// internal.
    #[must_use]
    pub fn envelope(&self) -> Option<(Envelope, &[u32])> {
        let (envelope, outer) = self.outside?;
        Some((envelope, self.numbers.get(outer..).unwrap_or_default()))
    }
}

/// See [`AttributePath::envelope`].
fn envelope(vendor: u32, format: VendorFormat, numbers: &[u32]) -> Option<(Envelope, &[u32])> {
    let octet = |number: u32| u8::try_from(number).ok();
    let (envelope, nested) = match (vendor, numbers) {
        (0, &[kind, extension, ref rest @ ..])
            if EXTENDED.contains(&kind) || LONG_EXTENDED.contains(&kind) =>
        {
            let (vendor, nested) = match (extension, rest) {
                (VENDOR_SPECIFIC, &[vendor, inner, ref nested @ ..]) if vendor != 0 => {
                    (Some((vendor, octet(inner)?)), nested)
                }
                (VENDOR_SPECIFIC, [_, ..]) => return None,
                _ => (None, rest),
            };
            let long = LONG_EXTENDED.contains(&kind);
            let extension = octet(extension).filter(|&extension| extension != 0)?;
            (Envelope::Extended { kind: octet(kind)?, long, extension, vendor }, nested)
        }
        // Zero is no type, but in vendors' spaces it is used all the same.
        (0, &[kind, ref nested @ ..]) if kind != 0 => (Envelope::Standard { kind: octet(kind)? }, nested),
        (vendor, &[kind, ref nested @ ..]) if vendor != 0 && kind <= format.kind_max() => {
            (Envelope::Vendor { vendor, format, kind }, nested)
        }
        _ => return None,
    };
    // TLVs have one octet of type, whatever the space has that they are in.
    let octets = nested.iter().all(|&kind| kind <= 255);
    (octets && nested.len() <= NESTED_MAX).then_some((envelope, nested))
}

impl PartialEq for AttributePath {
    fn eq(&self, other: &Self) -> bool {
        self.vendor == other.vendor && self.numbers == other.numbers
    }
}

impl Eq for AttributePath {}

impl Hash for AttributePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.vendor.hash(state);
        self.numbers.hash(state);
    }
}

impl fmt::Display for AttributePath {
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

/// How a vendor's attributes are laid out within Vendor-Specific: octets of type and of length, and whether an octet
/// follows that says whether the value goes on in the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorFormat {
    kind: u8,
    length: u8,
    continued: bool,
}

impl VendorFormat {
    /// One octet of each: what RFC 2865, 5.26 recommends and nearly everybody does.
    pub const USUAL: VendorFormat = VendorFormat::plain(1, 1);
    /// WiMAX: as usual, and the octet about continuation.
    pub const CONTINUED: VendorFormat = VendorFormat { kind: 1, length: 1, continued: true };

    /// A form without continuation; only for tables within the program.
    pub(crate) const fn plain(kind: u8, length: u8) -> VendorFormat {
        VendorFormat { kind, length, continued: false }
    }

    /// Reads `2,1` or `1,1,c` as a dictionary has it.
    #[must_use]
    pub fn parse(written: &str) -> Option<Self> {
        let (kind, rest) = written.split_once(',')?;
        let (length, rest) = rest.split_once(',').map_or((rest, None), |(length, rest)| (length, Some(rest)));
        let format = match (kind, length) {
            (_, "0" | "1" | "2") if matches!(kind, "1" | "2" | "4") => {
                VendorFormat::plain(kind.parse().ok()?, length.parse().ok()?)
            }
            _ => return None,
        };
        match rest {
            None => Some(format),
            Some("c") if format == VendorFormat::USUAL => Some(VendorFormat::CONTINUED),
            Some(_) => None,
        }
    }

    /// Octets of the type: 1, 2 or 4.
    #[must_use]
    pub fn kind(self) -> u8 {
        self.kind
    }

    /// Octets of the length: 0 (the attribute fills the rest), 1 or 2.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether an octet about continuation follows.
    #[must_use]
    pub fn continued(self) -> bool {
        self.continued
    }

    /// The largest type that fits.
    #[must_use]
    pub fn kind_max(self) -> u32 {
        match self.kind {
            1 => u32::from(u8::MAX),
            2 => u32::from(u16::MAX),
            _ => u32::MAX,
        }
    }
}

impl fmt::Display for VendorFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}{}", self.kind, self.length, if self.continued { ",c" } else { "" })
    }
}

/// Whoever knows attributes by their names. The configuration says which dictionaries are read and which attributes
/// it means; how a dictionary is written is none of its business.
pub trait Attributes {
    /// Reads a dictionary and whatever it includes, from `files`.
    ///
    /// # Errors
    /// Why it can't be used, with its file, its line and what to do.
    fn add(&mut self, dictionary: &Path, files: &dyn Files) -> Result<Remarks, Box<dyn Error + Send + Sync>>;

    /// The attribute of a name or of numbers, if a packet can hold it.
    fn path(&self, written: &str) -> Option<AttributePath>;

    /// How many octets the numbers have that this attribute holds; `None` where it holds something else.
    fn number(&self, path: &AttributePath) -> Option<u8>;

    /// An attribute of a request, and how its value is made of what is known of a session.
    ///
    /// # Errors
    /// What is wrong with it.
    fn template(&self, written: &str) -> Result<Template, template::Fault>;
}

/// What is worth a look in a dictionary that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remarks {
    /// The first of them, each with file and line.
    pub first: Vec<String>,
    /// How many there are beyond those.
    pub more: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(written: &str) -> Option<AttributePath> {
        AttributePath::parse(written, |vendor| match vendor {
            8164 => VendorFormat::plain(2, 2),
            429 => VendorFormat::plain(4, 0),
            _ => VendorFormat::USUAL,
        })
    }

    #[test]
    fn a_path_is_spelled_as_it_was_read() {
        for written in
            ["1", "255", "26.3561.1", "26.9.0", "26.24757.28.11.5.5", "241.6.3", "173.1", "245.26.11344.1"]
        {
            assert_eq!(path(written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn numbers_that_name_no_attribute_are_refused() {
        for written in [
            "",
            "0",
            "x",
            "+1",
            "0x1",
            "1.",
            ".1",
            "1..2",
            "26.",
            "26.9",
            "26.0.1",
            "26.9.256",
            "241.0",
            "241.256",
            "241.26.9",
            "241.26.0.1",
            "241.26.9.256",
            "173.256",
            "99999999999",
            "26.9.1.1.1.1.1.1.1.1.1.1.1",
        ] {
            assert_eq!(path(written), None, "{written}");
        }
    }

    #[test]
    fn a_vendors_form_says_how_large_its_types_are() {
        assert!(path("26.8164.65535").is_some());
        assert_eq!(path("26.8164.65536"), None);
        assert!(path("26.429.4294967295").is_some());
        // TLVs have one octet, whatever their vendor has.
        assert!(path("26.8164.300.255").is_some());
        assert_eq!(path("26.8164.300.256"), None);
    }

    #[test]
    fn four_levels_of_tlv_are_accepted_and_five_refused() {
        for within in ["1", "26.9.1", "241.6", "245.26.9.1"] {
            assert!(path(&format!("{within}.1.1.1.1")).is_some(), "{within}");
            assert_eq!(path(&format!("{within}.1.1.1.1.1")), None, "{within}");
        }
    }

    #[test]
    fn what_never_travels_is_internal_and_what_only_wraps_an_envelope() {
        let internal = path("1000").unwrap();
        assert!(internal.is_internal() && internal.envelope().is_none());
        for wraps in ["26", "241", "246", "241.26"] {
            assert!(path(wraps).unwrap().is_envelope(), "{wraps}");
        }
        for whole in ["1", "26.9.26", "241.6", "173.1", "247"] {
            assert!(!path(whole).unwrap().is_envelope(), "{whole}");
        }
    }

    #[test]
    fn a_path_is_the_same_whichever_form_its_vendor_had_when_it_was_read() {
        let usual = AttributePath::new(8164, VendorFormat::USUAL, &[1]);
        assert_eq!(usual, path("26.8164.1"));
        assert_ne!(usual, path("26.8164.2"));
    }

    #[test]
    fn a_format_is_one_that_a_dictionary_may_declare() {
        for written in ["1,1", "1,0", "1,2", "2,1", "2,2", "2,0", "4,0", "4,1", "4,2", "1,1,c"] {
            assert_eq!(
                VendorFormat::parse(written).map(|format| format.to_string()).as_deref(),
                Some(written)
            );
        }
        for written in ["", "1", "3,1", "1,3", "0,1", "2,1,c", "1,1,d", "1,1,c,c", "+1,1", "1,,c"] {
            assert_eq!(VendorFormat::parse(written), None, "{written}");
        }
    }
}
