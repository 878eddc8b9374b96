//! The form in which people write accounting records: `Name = value` lines, as `radclient -f` reads them.
//!
//! Knows: the spelling of names, values and escapes, and how they become octets. Must not know: files,
//! sockets, or what an attribute means. What it makes goes to other servers, into tests, and, for the lines of a
//! detail file, through the same decoder as a packet; never into our own map directly.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::authenticator::{self, MESSAGE_AUTHENTICATOR, TooLong};
use super::dictionary::{Definition, Dictionary, Type};
use super::packet::{HEADER_LENGTH, LENGTH_MAX};
use super::vendor::VENDOR_SPECIFIC;
use crate::config::{AttributePath, Envelope, VendorFormat};

/// RFC 6929 section 2.2, and WiMAX alike: the value goes on in the next attribute.
const MORE: u8 = 0x80;
/// Octets of an attribute's value.
const VALUE_MAX: usize = 253;

/// Why a line was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not UTF-8.
    NotText,
    /// No `=` after the name.
    NoOperator,
    /// No attribute of this name or number.
    UnknownAttribute,
    /// Nothing after the `=`.
    NoValue,
    /// A quoted value without its end.
    UnclosedQuote,
    /// A backslash before something that can't be escaped.
    BadEscape,
    /// Something follows the value.
    TrailingText,
    /// The value is not of the attribute's type, or its name is unknown.
    BadValue(Type),
    /// The value is longer than an attribute, or the list longer than a packet.
    TooLong,
    /// Attributes of this kind can't be written.
    Unsupported,
    /// Where one request was expected, the text holds none or several (a blank line separates them).
    NotOneRequest,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotText => f.write_str("not UTF-8 text"),
            Fault::NoOperator => f.write_str("expected `name = value`"),
            Fault::UnknownAttribute => f.write_str("unknown attribute"),
            Fault::NoValue => f.write_str("no value"),
            Fault::UnclosedQuote => f.write_str("the quote is not closed"),
            Fault::BadEscape => f.write_str("unknown escape"),
            Fault::TrailingText => f.write_str("unexpected text behind the value"),
            Fault::BadValue(kind) => write!(f, "the value is not of type {kind:?}"),
            Fault::TooLong => f.write_str("too long"),
            Fault::Unsupported => f.write_str("attributes of this form can't be written"),
            Fault::NotOneRequest => f.write_str("expected exactly one request"),
        }
    }
}

/// A line that was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl std::error::Error for TextError {}

/// The attribute lists of all requests in a text; blank lines separate them.
///
/// # Errors
/// The first line that is not understood.
pub fn parse_requests(text: &str, dictionary: &Dictionary) -> Result<Vec<Vec<u8>>, TextError> {
    let mut requests = Vec::new();
    let mut list = List::default();
    let mut number = 0_usize;
    for line in text.lines() {
        number = number.saturating_add(1);
        let line = line.trim();
        if line.is_empty() {
            if !list.octets.is_empty() {
                requests.push(std::mem::take(&mut list).octets);
            }
        } else if !line.starts_with('#') {
            list.push_line(line, dictionary).map_err(|fault| TextError { line: number, fault })?;
        }
    }
    if !list.octets.is_empty() {
        requests.push(list.octets);
    }
    Ok(requests)
}

/// The attribute list of the only request in a text.
///
/// # Errors
/// The first line that is not understood, or that there is no request or more than one.
pub fn parse_attributes(text: &str, dictionary: &Dictionary) -> Result<Vec<u8>, TextError> {
    let requests = parse_requests(text, dictionary)?;
    let not_one = TextError { line: text.lines().count(), fault: Fault::NotOneRequest };
    <[Vec<u8>; 1]>::try_from(requests).map(|[attributes]| attributes).map_err(|_| not_one)
}

/// A signed request out of an attribute list. A Message-Authenticator in the list is filled in.
///
/// # Errors
/// When the packet would be too long.
pub fn encode_request(
    code: u8,
    identifier: u8,
    attributes: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, TooLong> {
    authenticator::sign_request(code, identifier, &[0; 16], attributes, secret)
}

/// A line taken apart: `name = value`.
pub(super) struct Assignment<'a> {
    pub(super) name: &'a str,
    pub(super) value: Value<'a>,
}

impl<'a> Assignment<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, Fault> {
        let (name, rest) = line.split_once('=').ok_or(Fault::NoOperator)?;
        // FreeRADIUS knows `:=`, `+=` and `==` too; in a request they all say the same.
        let name = name.trim_end_matches([':', '+']).trim();
        let value = Value::parse(rest.strip_prefix('=').unwrap_or(rest).trim())?;
        Ok(Assignment { name, value })
    }
}

/// Attributes encoded so far.
#[derive(Default)]
pub(super) struct List {
    pub(super) octets: Vec<u8>,
    /// The extended attribute at the end: its two types and where it begins.
    open: Option<([u8; 2], usize)>,
}

impl List {
    fn push_line(&mut self, line: &str, dictionary: &Dictionary) -> Result<(), Fault> {
        let Assignment { name, value } = Assignment::parse(line)?;
        let definition = dictionary.find(name).ok_or(Fault::UnknownAttribute)?;
        let octets = octets_of(&definition, &value, dictionary)?;
        self.push(&definition.path, &octets)
    }

    /// Adds an attribute that stands at `path`.
    pub(super) fn push(&mut self, path: &AttributePath, value: &[u8]) -> Result<(), Fault> {
        let (envelope, nested) = path.envelope().ok_or(Fault::Unsupported)?;
        let value = nest(nested, value)?;
        match envelope {
            Envelope::Standard { kind } => self.attribute(kind, &[], &value),
            Envelope::Extended { kind, long, extension, vendor } => {
                let head = vendor.map(|(vendor, kind)| [vendor.to_be_bytes().as_slice(), &[kind]].concat());
                let value = [head.unwrap_or_default(), value].concat();
                if long {
                    return self.in_parts(kind, &[extension], &value);
                }
                // A vendor's would have to share its number and type as well; it goes by itself.
                self.extended(kind, extension, &value, !nested.is_empty() && vendor.is_none())
            }
            Envelope::Vendor { vendor, format, kind } => self.vendors(vendor, format, kind, &value),
        }
    }

    fn vendors(&mut self, vendor: u32, format: VendorFormat, kind: u32, value: &[u8]) -> Result<(), Fault> {
        let width = |width: u8| 4_usize.saturating_sub(width.into());
        let kind = kind.to_be_bytes();
        let kind = kind.get(width(format.kind())..).ok_or(Fault::Unsupported)?;
        let head = [vendor.to_be_bytes().as_slice(), kind].concat();
        if format.continued() {
            // The octet about continuation stands behind the length, which is filled in for each part.
            return self.in_parts(VENDOR_SPECIFIC, &[&head, [0].as_slice()].concat(), value);
        }
        let octets = kind.len().saturating_add(format.length().into()).saturating_add(value.len());
        let length = u32::try_from(octets).map_err(|_| Fault::TooLong)?.to_be_bytes();
        let length = length.get(width(format.length())..).ok_or(Fault::Unsupported)?;
        self.attribute(VENDOR_SPECIFIC, &[&head, length].concat(), value)
    }

    /// Neighbours of one parent share it.
    fn extended(&mut self, kind: u8, extension: u8, value: &[u8], shared: bool) -> Result<(), Fault> {
        if let Some((kinds, start)) = self.open
            && kinds == [kind, extension]
            && shared
            && self.grow(start, value)
        {
            return Ok(());
        }
        let start = self.octets.len();
        self.attribute(kind, &[extension], value)?;
        self.open = Some(([kind, extension], start));
        Ok(())
    }

    /// As many attributes as the value needs, all but the last with a flag that there is more. `head` stands before the
    /// flag in each; in a vendor's its last octet is the length.
    fn in_parts(&mut self, kind: u8, head: &[u8], value: &[u8]) -> Result<(), Fault> {
        let room = VALUE_MAX.saturating_sub(head.len()).saturating_sub(1);
        let mut rest = value;
        loop {
            let (part, after) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            let mut head = head.to_vec();
            if kind == VENDOR_SPECIFIC
                && let Some(length) = head.last_mut()
            {
                // Type, length and flag; a part fits an octet.
                *length = u8::try_from(part.len().saturating_add(3)).map_err(|_| Fault::TooLong)?;
            }
            head.push(if after.is_empty() { 0 } else { MORE });
            self.attribute(kind, &head, part)?;
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Adds to the attribute that begins at `start` and is the last one; `false` when it would become too
    /// long.
    fn grow(&mut self, start: usize, more: &[u8]) -> bool {
        let Some(length) = self.octets.get_mut(start.saturating_add(1)) else { return false };
        let Ok(longer) = u8::try_from(usize::from(*length).saturating_add(more.len())) else { return false };
        *length = longer;
        self.octets.extend_from_slice(more);
        true
    }

    fn attribute(&mut self, kind: u8, head: &[u8], value: &[u8]) -> Result<(), Fault> {
        let length = head.len().saturating_add(value.len()).saturating_add(2);
        self.octets.extend_from_slice(&[kind, u8::try_from(length).map_err(|_| Fault::TooLong)?]);
        self.octets.extend_from_slice(head);
        self.octets.extend_from_slice(value);
        self.open = None;
        let fits = self.octets.len().saturating_add(HEADER_LENGTH) <= LENGTH_MAX;
        if fits { Ok(()) } else { Err(Fault::TooLong) }
    }
}

/// Wraps a value into attributes with one octet of type and one of length, innermost first.
fn nest(kinds: &[u32], value: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut octets = value.to_vec();
    for &kind in kinds.iter().rev() {
        let length = u8::try_from(octets.len().saturating_add(2)).map_err(|_| Fault::TooLong)?;
        octets.splice(..0, [octet(kind)?, length]);
    }
    Ok(octets)
}

fn octet(number: u32) -> Result<u8, Fault> {
    u8::try_from(number).map_err(|_| Fault::Unsupported)
}

/// A value as written.
pub(super) enum Value<'a> {
    /// Between quotes; escapes are resolved.
    Quoted(Vec<u8>),
    /// A word.
    Bare(&'a str),
}

impl<'a> Value<'a> {
    fn parse(text: &'a str) -> Result<Self, Fault> {
        if let Some(inner) = text.strip_prefix('"') {
            let (octets, rest) = unquote(inner)?;
            return if is_end(rest) { Ok(Value::Quoted(octets)) } else { Err(Fault::TrailingText) };
        }
        if let Some(inner) = text.strip_prefix('\'') {
            let (octets, rest) = inner.split_once('\'').ok_or(Fault::UnclosedQuote)?;
            return if is_end(rest) { Ok(Value::Quoted(octets.into())) } else { Err(Fault::TrailingText) };
        }
        let text = text.split(" #").next().unwrap_or_default().trim_end().trim_end_matches(',').trim_end();
        if text.is_empty() { Err(Fault::NoValue) } else { Ok(Value::Bare(text)) }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Value::Quoted(octets) => std::str::from_utf8(octets).ok(),
            Value::Bare(text) => Some(text),
        }
    }
}

/// A comma or a comment may follow a quoted value.
fn is_end(rest: &str) -> bool {
    let rest = rest.trim_start().trim_start_matches(',').trim_start();
    rest.is_empty() || rest.starts_with('#')
}

/// The octets up to the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(Vec<u8>, &str), Fault> {
    let mut octets = Vec::new();
    let mut rest = text;
    loop {
        let mut chars = rest.chars();
        match chars.next().ok_or(Fault::UnclosedQuote)? {
            '"' => return Ok((octets, chars.as_str())),
            '\\' => {
                let (octet, after) = unescape(chars.as_str())?;
                octets.push(octet);
                rest = after;
            }
            other => {
                octets.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                rest = chars.as_str();
            }
        }
    }
}

/// What stands behind a backslash: `n`, `r`, `t`, a quote, a backslash, `xHH`, or three octal digits.
fn unescape(text: &str) -> Result<(u8, &str), Fault> {
    let mut chars = text.chars();
    let octet = match chars.next().ok_or(Fault::UnclosedQuote)? {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '\\' => b'\\',
        '"' => b'"',
        'x' => return numeric_escape(chars.as_str(), 2, 16),
        '0'..='7' => return numeric_escape(text, 3, 8),
        _ => return Err(Fault::BadEscape),
    };
    Ok((octet, chars.as_str()))
}

fn numeric_escape(text: &str, digits: usize, radix: u32) -> Result<(u8, &str), Fault> {
    let (digits, rest) = text.split_at_checked(digits).ok_or(Fault::BadEscape)?;
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Fault::BadEscape);
    }
    u8::from_str_radix(digits, radix).map(|octet| (octet, rest)).map_err(|_| Fault::BadEscape)
}

pub(super) fn octets_of(
    definition: &Definition,
    value: &Value<'_>,
    dictionary: &Dictionary,
) -> Result<Vec<u8>, Fault> {
    // Whatever is written there, sixteen zeros are the place for the signature.
    if definition.path == AttributePath::standard(MESSAGE_AUTHENTICATOR) {
        return Ok(vec![0; 16]);
    }
    let bad = Fault::BadValue(definition.kind);
    let word = || value.text().map(str::trim).ok_or(bad);
    let number =
        |text: &str| number(text).or_else(|| dictionary.value(&definition.path, text).map(u64::from));
    match definition.kind {
        Type::Text => Ok(match value {
            Value::Quoted(octets) => octets.clone(),
            Value::Bare(text) => text.as_bytes().to_vec(),
        }),
        Type::Octets | Type::FixedOctets(_) | Type::Filter | Type::Tlv | Type::Envelope => match value {
            Value::Quoted(octets) => Ok(octets.clone()),
            Value::Bare(text) => text.strip_prefix("0x").and_then(hex).ok_or(bad),
        },
        Type::Signed => word()?.parse().map(|number: i32| number.to_be_bytes().to_vec()).map_err(|_| bad),
        Type::Byte => big_endian(number(word()?), 1).ok_or(bad),
        Type::Short => big_endian(number(word()?), 2).ok_or(bad),
        Type::Integer => big_endian(number(word()?), 4).ok_or(bad),
        Type::Integer64 => big_endian(number(word()?), 8).ok_or(bad),
        Type::Date => big_endian(date(word()?), 4).ok_or(bad),
        Type::Ipv4 => word()?.parse().map(|address: Ipv4Addr| address.octets().to_vec()).map_err(|_| bad),
        Type::Ipv6 => word()?.parse().map(|address: Ipv6Addr| address.octets().to_vec()).map_err(|_| bad),
        Type::Ip => match word()?.parse().map_err(|_| bad)? {
            IpAddr::V4(address) => Ok(address.octets().to_vec()),
            IpAddr::V6(address) => Ok(address.octets().to_vec()),
        },
        Type::Ipv4Prefix => word()?.parse().map(ipv4_prefix).map_err(|_| bad),
        Type::Ipv6Prefix => word()?.parse().map(ipv6_prefix).map_err(|_| bad),
        Type::Ether => ether(word()?).ok_or(bad),
        Type::InterfaceId => interface_id(word()?).ok_or(bad),
    }
}

/// An integer in so many octets, most significant first; `None` when it needs more.
fn big_endian(number: Option<u64>, width: usize) -> Option<Vec<u8>> {
    let octets = number?.to_be_bytes();
    let (above, octets) = octets.split_at_checked(octets.len().checked_sub(width)?)?;
    above.iter().all(|&octet| octet == 0).then(|| octets.to_vec())
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => {
                let digit =
                    |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                Some(digit(*high)?.wrapping_shl(4) | digit(*low)?)
            }
            _ => None,
        })
        .collect()
}

/// Seconds since 1970, RFC 3339, or FreeRADIUS's `Nov 23 2026 14:00:00 UTC`.
fn date(text: &str) -> Option<u64> {
    if let Some(number) = number(text) {
        return Some(number);
    }
    let moment = text.parse().or_else(|_| {
        let civil = text.trim_end_matches("UTC").trim_end();
        let civil = jiff::civil::DateTime::strptime("%b %d %Y %H:%M:%S", civil)?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil)
    });
    moment.ok().and_then(|moment: jiff::Timestamp| u64::try_from(moment.as_second()).ok())
}

/// RFC 8044 section 3.11: a reserved octet, the length, and the address.
fn ipv4_prefix(prefix: Ipv4Net) -> Vec<u8> {
    [[0, prefix.prefix_len()].as_slice(), &prefix.network().octets()].concat()
}

/// RFC 3162 section 2.3: a reserved octet, the length, and the octets that the length covers.
fn ipv6_prefix(prefix: Ipv6Net) -> Vec<u8> {
    let covered = usize::from(prefix.prefix_len().div_ceil(8));
    let mut octets = vec![0, prefix.prefix_len()];
    octets.extend_from_slice(prefix.network().octets().get(..covered).unwrap_or_default());
    octets
}

fn interface_id(text: &str) -> Option<Vec<u8>> {
    let groups: Option<Vec<u16>> = text.split(':').map(|group| u16::from_str_radix(group, 16).ok()).collect();
    let groups = <[u16; 4]>::try_from(groups?).ok()?;
    Some(groups.iter().flat_map(|group| group.to_be_bytes()).collect())
}

fn ether(text: &str) -> Option<Vec<u8>> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets.filter(|octets| octets.len() == 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<u8>, Fault> {
        parse_attributes(text, Dictionary::builtin()).map_err(|error| error.fault)
    }

    #[test]
    fn values_of_every_type_become_octets() {
        for (text, octets) in [
            ("User-Name = \"bob\"", [1, 5].as_slice()),
            ("User-Name = bob", &[1, 5]),
            ("User-Name := 'bob'", &[1, 5]),
        ] {
            assert_eq!(parse(text).unwrap(), [octets, b"bob"].concat(), "{text}");
        }
        assert_eq!(parse("Acct-Status-Type = Interim-Update"), Ok(vec![40, 6, 0, 0, 0, 3]));
        assert_eq!(parse("Acct-Status-Type = 3"), Ok(vec![40, 6, 0, 0, 0, 3]));
        assert_eq!(parse("NAS-Port = 0x10"), Ok(vec![5, 6, 0, 0, 0, 16]));
        assert_eq!(parse("Framed-IP-Address = 192.0.2.1"), Ok(vec![8, 6, 192, 0, 2, 1]));
        assert_eq!(parse("Class = 0xCAfe"), Ok(vec![25, 4, 0xca, 0xfe]));
        assert_eq!(parse("Class = \"ab\""), Ok(vec![25, 4, b'a', b'b']));
        assert_eq!(parse("Framed-Interface-Id = 1:2:3:ff"), Ok(vec![96, 10, 0, 1, 0, 2, 0, 3, 0, 255]));
        let prefix = "Delegated-IPv6-Prefix = 2001:db8:f200::/56";
        assert_eq!(parse(prefix), Ok(vec![123, 11, 0, 56, 0x20, 1, 0xd, 0xb8, 0xf2, 0, 0]));
    }

    #[test]
    fn a_date_is_seconds_or_text() {
        let expected = Ok([[55, 6].as_slice(), &1_700_000_000_u32.to_be_bytes()].concat());
        for date in ["1700000000", "\"2023-11-14T22:13:20Z\"", "\"Nov 14 2023 22:13:20 UTC\""] {
            assert_eq!(parse(&format!("Event-Timestamp = {date}")), expected, "{date}");
        }
        assert_eq!(parse("Event-Timestamp = \"yesterday\""), Err(Fault::BadValue(Type::Date)));
    }

    #[test]
    fn escapes_are_resolved_within_double_quotes() {
        let expected = [[1, 12].as_slice(), b"\x01\\\"\n\xff\r\txy", "é".as_bytes()].concat();
        let mut expected = expected;
        expected[1] = u8::try_from(expected.len()).unwrap();
        assert_eq!(parse(r#"User-Name = "\001\\\"\n\xFF\r\txyé""#), Ok(expected));
        assert_eq!(parse(r#"User-Name = "\q""#), Err(Fault::BadEscape));
        assert_eq!(parse(r#"User-Name = "\x1""#), Err(Fault::BadEscape));
        assert_eq!(parse(r#"User-Name = "\777""#), Err(Fault::BadEscape));
        assert_eq!(parse(r#"User-Name = "open"#), Err(Fault::UnclosedQuote));
    }

    #[test]
    fn a_vendors_attribute_stands_within_vendor_specific() {
        let expected = Ok(vec![26, 10, 0, 0, 0x0d, 0xe9, 1, 4, b'a', b'b']);
        assert_eq!(parse("ADSL-Agent-Circuit-Id = 0x6162"), expected);
        assert_eq!(parse("Attr-26.3561.1 = 0x6162"), expected);
    }

    #[test]
    fn neighbours_within_an_extended_attribute_share_it() {
        let text = "IP-Port-Range-Alloc = Allocation\nIP-Port-Range-Range-Start = 1024\nNAS-Port = 1\n\
                    IP-Port-Range-Range-End = 2047";
        let expected = [
            [241, 15, 6, 8, 6, 0, 0, 0, 1, 9, 6, 0, 0, 4, 0].as_slice(),
            &[5, 6, 0, 0, 0, 1],
            &[241, 9, 6, 10, 6, 0, 0, 7, 255],
        ]
        .concat();
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn comments_commas_and_blank_lines_are_read() {
        let text = "# first\n\nNAS-Port = 1, # one\nUser-Name = \"a#b\", # two\n\n# second\nNAS-Port = 2\n";
        let requests = parse_requests(text, Dictionary::builtin()).unwrap();
        assert_eq!(requests, [vec![5, 6, 0, 0, 0, 1, 1, 5, b'a', b'#', b'b'], vec![5, 6, 0, 0, 0, 2]]);
        assert_eq!(parse(text), Err(Fault::NotOneRequest));
        assert_eq!(parse("# nothing\n"), Err(Fault::NotOneRequest));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let error = parse_attributes("NAS-Port = 1\nNobody = 2", Dictionary::builtin()).unwrap_err();
        assert_eq!(error, TextError { line: 2, fault: Fault::UnknownAttribute });
        assert_eq!(parse("User-Name"), Err(Fault::NoOperator));
        assert_eq!(parse("User-Name ="), Err(Fault::NoValue));
        assert_eq!(parse("User-Name = \"a\" b"), Err(Fault::TrailingText));
        assert_eq!(parse("NAS-Port = many"), Err(Fault::BadValue(Type::Integer)));
        assert_eq!(parse("NAS-Port = 4294967296"), Err(Fault::BadValue(Type::Integer)));
        assert_eq!(parse("Class = 0x123"), Err(Fault::BadValue(Type::Octets)));
        assert_eq!(parse("Framed-IPv6-Prefix = 2001:db8::/129"), Err(Fault::BadValue(Type::Ipv6Prefix)));
    }

    #[test]
    fn a_value_of_253_octets_is_accepted_and_254_refused() {
        assert!(parse(&format!("User-Name = {}", "x".repeat(253))).is_ok());
        assert_eq!(parse(&format!("User-Name = {}", "x".repeat(254))), Err(Fault::TooLong));
        assert!(parse(&format!("Cisco-AVPair = {}", "x".repeat(247))).is_ok());
        assert_eq!(parse(&format!("Cisco-AVPair = {}", "x".repeat(248))), Err(Fault::TooLong));
    }

    #[test]
    fn a_message_authenticator_is_a_place_to_be_filled_in() {
        let attributes = parse("Message-Authenticator = 0x00").unwrap();
        assert_eq!(attributes, [[80, 18].as_slice(), &[0; 16]].concat());
        let octets = encode_request(4, 1, &attributes, b"testing123").unwrap();
        let packet = super::super::packet::Packet::decode(&octets).unwrap();
        assert_eq!(authenticator::integrity(&packet, b"testing123"), authenticator::Integrity::Valid);
    }
}
