//! The lines of one record to the packet they were made from.
//!
//! Knows: which lines are about the packet and not in it, and which attributes can stand in it only once. Must not know:
//! where the text came from, or what an attribute means for a session.

use std::net::IpAddr;

use super::{Rejected, moment};
use crate::radius::accounting::Passage;
use crate::radius::dictionary::{Definition, Dictionary, Type};
use crate::radius::packet::{HEADER_LENGTH, LENGTH_MAX, Malformed, Packet, code};
use crate::radius::text::{Assignment, Fault, List, TextError, Value, octets_of};
use crate::radius::value;
use crate::session::Timestamp;

/// What a packet has room for.
const ATTRIBUTES_MAX: usize = LENGTH_MAX - HEADER_LENGTH;

/// What FreeRADIUS writes beside the attributes, or keeps for itself; other names of its own are in no dictionary of ours
/// and are left out like any unknown attribute.
const INTERNAL: [&str; 7] = [
    "tmp-",
    "freeradius-",
    "packet-",
    "acct-unique-session-id",
    "request-authenticator",
    "stripped-",
    "realm",
];

/// Types of the standard space that a packet has only once. The first two may not even seem to be there twice.
const ONCE: [u32; 7] = [ACCT_STATUS_TYPE, ACCT_SESSION_ID, 1, 4, 8, 32, 55];
const ACCT_STATUS_TYPE: u32 = 40;
const ACCT_SESSION_ID: u32 = 44;

/// An accounting record as a server wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When that server received it, by its own clock (`Timestamp`); not every file tells. See [`super::Tick`] for its
    /// milliseconds.
    pub received: Option<Timestamp>,
    /// Where that server had it from: Packet-Src-IP-Address or Packet-Src-IPv6-Address, else Client-IP-Address.
    pub source: Option<IpAddr>,
    /// How many attributes were left out because the dictionary does not have their name, or that of their value. They
    /// mean nothing to us.
    pub unknown: usize,
    /// Lines that can't be read, counted from the record's first; their attributes are left out.
    pub faults: Vec<TextError>,
    /// An unsigned request.
    octets: Vec<u8>,
}

impl Record {
    /// The packet it was made from, as far as it is known: every attribute that has a name, in order. Authenticator and
    /// identifier are zero.
    ///
    /// # Errors
    /// None that a record from [`super::Reader`] could have.
    pub fn packet(&self) -> Result<Packet<'_>, Malformed> {
        Packet::decode(&self.octets)
    }

    /// Without them it would concern nothing, and the lines that tell them are among those that can't be read.
    fn lacks_status_or_session(&self) -> bool {
        let Ok(packet) = self.packet() else { return true };
        let status = packet.values(40).find_map(value::integer);
        // Those are about a whole NAS.
        let needs_session = !matches!(status, Some(7 | 8 | 18 | 19));
        status.is_none() || needs_session && packet.values(44).next().is_none()
    }

    /// When it came and by which way, for [`crate::radius::accounting::read_relayed`]. A file that does not say when its
    /// server received the record is `written` at the latest.
    #[must_use]
    pub fn passage(&self, arrival: Timestamp, written: Timestamp) -> Passage {
        // A server whose clock is ahead does not make anything happen in the future.
        let received = self.received.unwrap_or(written).min(arrival);
        Passage { arrival, received, origin: self.source }
    }
}

/// Whether a record's text says when it was received.
pub(super) fn is_timed(text: &[u8]) -> bool {
    text.split(|&octet| octet == b'\n').any(|line| timestamp(line).is_some())
}

/// Reads a record from its header up to its last line.
pub(super) fn read(text: &[u8], dictionary: &Dictionary) -> Result<Record, Rejected> {
    // A loss of power leaves zeros where something was to be written; what stands behind them may be any part of it.
    let zeros = text.iter().take_while(|octet| **octet == 0).count();
    let text = text.get(zeros..).unwrap_or_default();
    let mut lines = text.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let header = lines.next().unwrap_or_default();
    let headless = header.first().is_none_or(u8::is_ascii_whitespace);
    if headless || zeros > 0 && !moment::is_header(header) {
        return Err(Rejected::CutShort);
    }
    let received = text.split(|&octet| octet == b'\n').find_map(timestamp);
    let offset = received.and_then(|received| moment::offset(header, received));
    let mut read = Lines::new(dictionary, offset, moment::is_header(header));
    for (line, number) in lines.zip(2..) {
        read.line(line, number);
    }
    read.finish(received.map(Timestamp::from_seconds))
}

/// `Timestamp`, or `Donestamp` once FreeRADIUS has read its own file.
fn timestamp(line: &[u8]) -> Option<i64> {
    let line = line.trim_ascii();
    let rest = line.strip_prefix(b"Timestamp").or_else(|| line.strip_prefix(b"Donestamp"))?;
    let digits = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let seconds: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // Whoever has no clock at all has no say in when it was.
    (seconds > 0).then_some(seconds)
}

/// A record while its lines are read.
struct Lines<'a> {
    dictionary: &'a Dictionary,
    /// Of the writer's clock on the wall to UTC, in seconds.
    offset: Option<i64>,
    usual_header: bool,
    list: List,
    /// By place in [`ONCE`]: how often it was there.
    seen: [u32; ONCE.len()],
    packet_source: Option<IpAddr>,
    client: Option<IpAddr>,
    /// Of another kind.
    other_packet: bool,
    too_many: bool,
    unknown: usize,
    faults: Vec<TextError>,
}

impl<'a> Lines<'a> {
    fn new(dictionary: &'a Dictionary, offset: Option<i64>, usual_header: bool) -> Self {
        Lines {
            dictionary,
            offset,
            usual_header,
            list: List::default(),
            seen: [0; ONCE.len()],
            packet_source: None,
            client: None,
            other_packet: false,
            too_many: false,
            unknown: 0,
            faults: Vec::new(),
        }
    }

    fn line(&mut self, line: &[u8], number: usize) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        // FreeRADIUS escapes what is no UTF-8, so octets that are none are no value either.
        let text = std::str::from_utf8(line).map_err(|_| Fault::NotText);
        let outcome = text.and_then(Assignment::parse).and_then(|assignment| self.assign(&assignment));
        if let Err(fault) = outcome {
            self.faults.push(TextError { line: number, fault });
        }
    }

    fn assign(&mut self, Assignment { name, value }: &Assignment<'_>) -> Result<(), Fault> {
        let address = || value.text().and_then(|text| text.trim().parse().ok());
        match *name {
            "Timestamp" | "Donestamp" => {}
            "Packet-Src-IP-Address" | "Packet-Src-IPv6-Address" => {
                self.packet_source = self.packet_source.or_else(address);
            }
            "Client-IP-Address" => self.client = self.client.or_else(address),
            "Packet-Type" => self.other_packet = !matches!(value.text(), Some("Accounting-Request" | "4")),
            _ if is_internal(name) => {}
            _ => return self.attribute(name, value),
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: &Value<'_>) -> Result<(), Fault> {
        let (name, tag) = tagged(name);
        let known = match numbered(name) {
            Some(spelling) => self.dictionary.find(&spelling),
            None => self.dictionary.find(name),
        };
        let Some(definition) = known else {
            self.unknown = self.unknown.saturating_add(1);
            return Ok(());
        };
        let octets = match self.octets(&definition, value) {
            Err(_) if is_word(definition.kind, value) => {
                self.unknown = self.unknown.saturating_add(1);
                return Ok(());
            }
            octets => octets?,
        };
        let octets = match tag {
            Some(tag) => with_tag(tag, definition.kind, &octets)?,
            None => octets,
        };
        match self.list.push(&definition.path, &octets) {
            // A name for something that never travels, or in a form that is not written here.
            Err(Fault::Unsupported) => self.unknown = self.unknown.saturating_add(1),
            Err(Fault::TooLong) if self.list.octets.len() > ATTRIBUTES_MAX => self.too_many = true,
            outcome => outcome?,
        }
        if definition.path.vendor() == 0
            && let [number] = definition.path.numbers()
            && let Some(place) = ONCE.iter().position(|once| once == number)
            && let Some(seen) = self.seen.get_mut(place)
        {
            *seen = seen.saturating_add(1);
        }
        Ok(())
    }

    fn octets(&self, definition: &Definition, value: &Value<'_>) -> Result<Vec<u8>, Fault> {
        if definition.kind != Type::Date {
            return octets_of(definition, value, self.dictionary);
        }
        let seconds = value.text().and_then(|text| moment::date(text.trim(), self.offset));
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        seconds.map(|seconds| seconds.to_be_bytes().to_vec()).ok_or(Fault::BadValue(Type::Date))
    }

    fn finish(self, received: Option<Timestamp>) -> Result<Record, Rejected> {
        if self.too_many {
            return Err(Rejected::TooManyAttributes);
        }
        if self.other_packet {
            return Err(Rejected::NotAccounting);
        }
        // Behind half a record a header of the usual form was seen already; of another form it shows by what is there
        // twice. A NAS that says its name twice is another matter.
        let twice = |seen: &[u32]| seen.iter().any(|times| *times > 1);
        let (always, otherwise) = self.seen.split_at(2);
        if twice(always) || twice(otherwise) && !self.usual_header {
            return Err(Rejected::TwoInOne);
        }
        let octets = request(&self.list.octets);
        let record = Record {
            received,
            source: self.packet_source.or(self.client),
            unknown: self.unknown,
            faults: self.faults,
            octets,
        };
        if !record.faults.is_empty() && record.lacks_status_or_session() {
            return Err(Rejected::Unreadable);
        }
        Ok(record)
    }
}

/// An Accounting-Request of these attributes, without an authenticator.
fn request(attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len().saturating_add(HEADER_LENGTH)).unwrap_or(u16::MAX);
    let mut octets = vec![code::ACCOUNTING_REQUEST, 0];
    octets.extend_from_slice(&length.to_be_bytes());
    octets.resize(HEADER_LENGTH, 0);
    octets.extend_from_slice(attributes);
    octets
}

fn is_internal(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    INTERNAL.iter().any(|beginning| name.starts_with(beginning))
}

/// FreeRADIUS 2 writes `Vendor-9-Attr-250` where its successor writes `Attr-26.9.250`.
fn numbered(name: &str) -> Option<String> {
    let (vendor, number) = name.strip_prefix("Vendor-")?.split_once("-Attr-")?;
    let is_number = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_digit());
    is_number(vendor).then(|| format!("Attr-26.{vendor}.{number}"))
}

/// `Tunnel-Type:1`: RFC 2868 puts an octet before the value that groups attributes.
fn tagged(name: &str) -> (&str, Option<u8>) {
    match name.rsplit_once(':') {
        Some((name, tag)) => match tag.parse() {
            Ok(tag @ 0..=0x1f) => (name, Some(tag)),
            _ => (name, None),
        },
        None => (name, None),
    }
}

/// RFC 2868 section 3: before a text, in place of an integer's first octet.
fn with_tag(tag: u8, kind: Type, octets: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut tagged = vec![tag];
    match (kind, octets) {
        (Type::Integer, [0, rest @ ..]) => tagged.extend_from_slice(rest),
        (Type::Integer, _) => return Err(Fault::BadValue(kind)),
        (_, all) => tagged.extend_from_slice(all),
    }
    Ok(tagged)
}

/// Whether a number is given by a name: then it is the name that is unknown, and nothing is broken.
fn is_word(kind: Type, value: &Value<'_>) -> bool {
    let is_number = matches!(kind, Type::Byte | Type::Short | Type::Integer | Type::Integer64);
    is_number && matches!(value, Value::Bare(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()))
}
