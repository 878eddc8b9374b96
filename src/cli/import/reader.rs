//! A file to rows: which of the two formats it has, what stands in it, and how far that was read.
//!
//! Knows: both formats' outsides. Must not know: the daemon, or what is done with a row.

use std::collections::VecDeque;
use std::fmt;
use std::io;

use jiff::tz::TimeZone;

use super::radacct::{Columns, HeadFault};
use super::source::{LINE_OCTETS_MAX, Line, Source};
use super::table::Form;
use crate::cli::time;
use crate::radius::dictionary::Dictionary;
use crate::radius::packet::Packet;
use crate::radius::{detail, value};
use crate::server::http::api::rfc3339;
use crate::server::http::import::{ImportRecord, ImportRow};
use crate::session::Timestamp;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// An export of FreeRADIUS's table radacct: CSV, or tab-separated
    Radacct,
    /// A FreeRADIUS detail file
    Detail,
}

impl Format {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Format::Radacct => "radacct",
            Format::Detail => "detail",
        }
    }

    /// What a file is by its beginning.
    fn of(beginning: &[u8]) -> Option<Format> {
        let mut lines = beginning.split(|&octet| octet == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
        let has_column = |line: &[u8]| {
            let text = String::from_utf8_lossy(line).to_ascii_lowercase();
            text.replace(['-', '_'], "").contains("acctsessionid")
        };
        let is_assignment =
            |line: &[u8]| line.first().is_some_and(u8::is_ascii_whitespace) && line.contains(&b'=');
        if !first.first().is_some_and(u8::is_ascii_whitespace) && is_assignment(second) {
            return Some(Format::Detail);
        }
        has_column(first).then_some(Format::Radacct)
    }
}

/// Why a file can't be read at all.
#[derive(Debug)]
pub enum Fault {
    /// The file system, or gzip.
    File(io::Error),
    /// It is neither of the formats.
    NoFormat,
    /// No line of it is Postfix's.
    NoMail,
    /// Its first line is no heading of the table.
    Head(HeadFault),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::File(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::File(error) => error.fmt(f),
            Fault::NoFormat => f.write_str(
                "neither a radacct export (its first line must name columns, such as acctsessionid) nor a detail file; \
                 say --format",
            ),
            Fault::NoMail => {
                f.write_str("no line of it is of a Postfix (host postfix/smtpd[1234]: ...), so it is no log of mail")
            }
            Fault::Head(fault) => fault.fmt(f),
        }
    }
}

/// What stands at a place of a file.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// A row.
    Row(ImportRow),
    /// A row that can't be read: its line, and why.
    Unreadable(u64, String),
    /// The end of the file, in the middle of a record: it may still be written.
    CutShort(u64, String),
}

/// A file that is read.
pub struct Reader {
    source: Source,
    /// What it is.
    pub format: Format,
    /// Attributes of detail files that have no name here, or no value, and were left out.
    pub left_out: u64,
    body: Body,
}

enum Body {
    Radacct { form: Form, columns: Columns, zone: TimeZone, line: Vec<u8> },
    Detail(Box<Detail>),
}

struct Detail {
    reader: detail::Reader,
    /// Where lines end that are not given yet.
    ends: VecDeque<u64>,
    /// Lines that are.
    lines: u64,
    over: bool,
    as_of: Timestamp,
}

impl Reader {
    /// Begins to read. A moment that a row does not tell is `as_of`; local times are in `zone`.
    ///
    /// # Errors
    /// See [`Fault`]. `None`: the file is empty.
    pub fn open(
        mut source: Source,
        format: Option<Format>,
        zone: &TimeZone,
        as_of: Timestamp,
    ) -> Result<Option<Reader>, Fault> {
        if source.beginning().trim_ascii().is_empty() {
            return Ok(None);
        }
        let format = format.or_else(|| Format::of(source.beginning())).ok_or(Fault::NoFormat)?;
        let body = match format {
            Format::Radacct => heading(&mut source, zone)?,
            Format::Detail => Body::Detail(Box::new(Detail {
                reader: detail::Reader::at(0),
                ends: VecDeque::new(),
                lines: 0,
                over: false,
                as_of,
            })),
        };
        Ok(Some(Reader { source, format, left_out: 0, body }))
    }

    /// Goes on where an earlier run stopped.
    ///
    /// # Errors
    /// What the file system said.
    pub fn resume(&mut self, octets: u64, lines: u64) -> io::Result<()> {
        // A table that ends with its heading has nothing before it to pass over.
        self.source.skip_to(octets, lines.max(self.source.lines))?;
        if let Body::Detail(detail) = &mut self.body {
            detail.reader = detail::Reader::at(octets);
            detail.lines = lines;
        }
        Ok(())
    }

    /// Octets, uncompressed, and lines that stand before what is given next.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        match &self.body {
            Body::Radacct { .. } => (self.source.offset, self.source.lines),
            Body::Detail(detail) => (detail.reader.offset(), detail.lines),
        }
    }

    /// Octets of the file, as it lies there, that were read.
    #[must_use]
    pub fn octets_read(&self) -> u64 {
        self.source.read()
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// What the file system, or gzip, said.
    pub fn item(&mut self) -> io::Result<Option<Item>> {
        match &mut self.body {
            Body::Radacct { form, columns, zone, line } => {
                row_of_table(&mut self.source, *form, columns, zone, line)
            }
            Body::Detail(detail) => {
                let found = detail.found(&mut self.source)?;
                Ok(found.map(|(line, end, found)| detail.item(line, end, found, &mut self.left_out)))
            }
        }
    }
}

fn heading(source: &mut Source, zone: &TimeZone) -> Result<Body, Fault> {
    let mut line = Vec::new();
    while line.trim_ascii().is_empty() {
        match source.line(&mut line)? {
            Line::Whole => {}
            Line::TooLong | Line::End => return Err(Fault::NoFormat),
        }
    }
    // Spreadsheets put a mark before the first line.
    let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).to_vec();
    let form = Form::of(&text);
    let fields = form.split(&text).map_err(|_| Fault::NoFormat)?;
    let names: Vec<Vec<u8>> = fields.into_iter().map(Option::unwrap_or_default).collect();
    let columns = Columns::of(&names).map_err(Fault::Head)?;
    Ok(Body::Radacct { form, columns, zone: zone.clone(), line })
}

fn row_of_table(
    source: &mut Source,
    form: Form,
    columns: &Columns,
    zone: &TimeZone,
    line: &mut Vec<u8>,
) -> io::Result<Option<Item>> {
    loop {
        let what = source.line(line)?;
        let number = source.lines;
        match what {
            Line::End => return Ok(None),
            Line::TooLong => {
                let why = format!("longer than {LINE_OCTETS_MAX} octets");
                return Ok(Some(Item::Unreadable(number, why)));
            }
            Line::Whole if line.trim_ascii().is_empty() => {}
            Line::Whole => {
                let clock = |text: &str| time::written(text, zone);
                let row = form.split(line).map_err(|unclosed| unclosed.to_string()).and_then(|fields| {
                    columns.row(number, &fields, &clock).map_err(|fault| fault.to_string())
                });
                return Ok(Some(row.map_or_else(|why| Item::Unreadable(number, why), Item::Row)));
            }
        }
    }
}

impl Detail {
    /// The next record, the line it begins at, and whether it is what the file ends with.
    fn found(&mut self, source: &mut Source) -> io::Result<Option<(u64, bool, detail::Found)>> {
        loop {
            if let Some(found) = self.reader.next_record(Dictionary::builtin()) {
                return Ok(Some((self.line_of(&found), false, found)));
            }
            if self.over {
                return Ok(None);
            }
            let begin = source.offset;
            let piece = source.piece()?;
            if piece.is_empty() {
                self.over = true;
                let found = self.reader.finish(Dictionary::builtin());
                return Ok(found.map(|found| (self.line_of(&found), true, found)));
            }
            let ends = (begin..).zip(&piece).filter(|(_, octet)| **octet == b'\n');
            self.ends.extend(ends.map(|(at, _)| at));
            self.reader.push(&piece);
        }
    }

    fn line_of(&mut self, found: &detail::Found) -> u64 {
        self.pass(found.begin);
        let line = self.lines.saturating_add(1);
        self.pass(found.end);
        line
    }

    fn pass(&mut self, offset: u64) {
        while self.ends.front().is_some_and(|end| *end < offset) {
            self.ends.pop_front();
            self.lines = self.lines.saturating_add(1);
        }
    }

    fn item(&self, line: u64, end: bool, found: detail::Found, left_out: &mut u64) -> Item {
        let record = match found.record {
            Ok(record) => record,
            Err(detail::Rejected::CutShort) if end => {
                return Item::CutShort(line, detail::Rejected::CutShort.to_string());
            }
            Err(rejected) => return Item::Unreadable(line, rejected.to_string()),
        };
        let lacking = record.unknown.saturating_add(record.faults.len());
        *left_out = left_out.saturating_add(u64::try_from(lacking).unwrap_or(u64::MAX));
        let packet = match record.packet() {
            Ok(packet) => packet,
            Err(malformed) => return Item::Unreadable(line, malformed.to_string()),
        };
        let at = rfc3339(record.received.unwrap_or(self.as_of)).unwrap_or_default();
        let attributes = super::hex(packet.attribute_octets());
        let nas = record.source.or_else(|| nas_address(&packet));
        Item::Row(ImportRow { line, nas, records: vec![ImportRecord { at, dated: false, attributes }] })
    }
}

/// NAS-IP-Address, else NAS-IPv6-Address.
fn nas_address(packet: &Packet<'_>) -> Option<std::net::IpAddr> {
    let ipv4 = packet.values(4).find_map(value::ipv4).filter(|address| !address.is_unspecified());
    let ipv6 = || packet.values(95).find_map(value::ipv6).filter(|address| !address.is_unspecified());
    ipv4.map(Into::into).or_else(|| ipv6().map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    const TABLE: &str =
        "acctsessionid,acctstarttime,acctstoptime\ns1,1795435200,\n\ns2,never,\ns3,1795435200,\n";
    const RECORD: &str = "Mon Nov 23 12:00:00 2026\n\tUser-Name = \"alice\"\n\tAcct-Status-Type = Start\n\
                          \tAcct-Session-Id = \"s1\"\n\tNAS-IP-Address = 192.0.2.1\n\tTimestamp = 1795435200\n\n";

    fn as_of() -> Timestamp {
        Timestamp::from_seconds(1_795_442_400)
    }

    fn opened(text: &str, format: Option<Format>) -> Result<Option<Reader>, Fault> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, text).unwrap();
        Reader::open(Source::open(&path).unwrap(), format, &TimeZone::UTC, as_of())
    }

    /// Lines of what is given, with `!` at what can't be read and `?` at what is cut short; and the places behind each.
    fn read(mut reader: Reader) -> (Vec<String>, Vec<(u64, u64)>) {
        let (mut lines, mut places) = (Vec::new(), Vec::new());
        while let Some(item) = reader.item().unwrap() {
            lines.push(match item {
                Item::Row(row) => row.line.to_string(),
                Item::Unreadable(line, _) => format!("{line}!"),
                Item::CutShort(line, _) => format!("{line}?"),
            });
            places.push(reader.place());
        }
        (lines, places)
    }

    fn lines(text: &str) -> Vec<String> {
        read(opened(text, None).unwrap().unwrap()).0
    }

    #[test]
    fn a_file_is_known_by_its_beginning() {
        let format = |text: &str| opened(text, None).map(|reader| reader.map(|reader| reader.format));
        assert_eq!(format(TABLE).unwrap(), Some(Format::Radacct));
        assert_eq!(format(&TABLE.replace(',', "\t")).unwrap(), Some(Format::Radacct));
        assert_eq!(format(&format!("\n\n{RECORD}")).unwrap(), Some(Format::Detail));
        assert_eq!(format("").unwrap(), None);
        assert_eq!(format(" \r\n\n").unwrap(), None);
        for none in ["alice,192.0.2.0/28,always\n", "+----+\n| id |\n+----+\n", "\tUser-Name = \"alice\"\n"] {
            assert!(matches!(format(none), Err(Fault::NoFormat)), "{none}");
        }
        assert!(matches!(format("acctsessionid,username\ns1,alice\n"), Err(Fault::Head(_))));
        let told = opened("alice,192.0.2.0/28,always\n", Some(Format::Radacct));
        assert!(matches!(told, Err(Fault::Head(_))), "what is said is believed");
    }

    #[test]
    fn rows_of_a_table_have_the_numbers_of_their_lines() {
        assert_eq!(lines(TABLE), ["2", "4!", "5"]);
        assert_eq!(lines(&TABLE.replace('\n', "\r\n")), ["2", "4!", "5"]);
        assert_eq!(lines(&format!("\u{feff}{TABLE}")), ["2", "4!", "5"]);
        let long = TABLE.replace("never", &"9".repeat(LINE_OCTETS_MAX));
        assert_eq!(lines(&long), ["2", "4!", "5"]);
        let quoted = TABLE.replace("s2,never", "\"s2,1795435200");
        assert_eq!(lines(&quoted), ["2", "4!", "5"]);
    }

    #[test]
    fn records_of_a_detail_file_have_the_number_of_their_first_line() {
        let twice = "\tAcct-Status-Type = Start\n\tAcct-Status-Type = Stop\n";
        let broken = RECORD.replace("\tAcct-Status-Type = Start\n", twice);
        let text = format!("\n{RECORD}{broken}\n{RECORD}Mon Nov 23 12:00:05 2026\n\tUser-Name = \"bob\"\n");
        assert_eq!(lines(&text), ["2", "9!", "18", "25?"]);
        let mut reader = opened(RECORD, None).unwrap().unwrap();
        let Some(Item::Row(row)) = reader.item().unwrap() else { panic!("a row") };
        assert_eq!(row.nas, Some("192.0.2.1".parse().unwrap()));
        assert_eq!((row.records[0].at.as_str(), row.records[0].dated), ("2026-11-23T12:00:00.000Z", false));
    }

    #[test]
    fn a_record_that_does_not_tell_its_moment_is_as_old_as_its_file() {
        let mut reader = opened(&RECORD.replace("\tTimestamp = 1795435200\n", ""), None).unwrap().unwrap();
        let Some(Item::Row(row)) = reader.item().unwrap() else { panic!("a row") };
        assert_eq!(row.records[0].at, "2026-11-23T14:00:00.000Z");
    }

    #[test]
    fn reading_goes_on_behind_any_row_as_if_it_had_never_stopped() {
        for text in [TABLE.to_owned(), RECORD.repeat(5), format!("\n\n{RECORD}\n\n{RECORD}")] {
            let whole = read(opened(&text, None).unwrap().unwrap());
            for (given, (octets, line)) in whole.1.iter().enumerate() {
                let mut reader = opened(&text, None).unwrap().unwrap();
                reader.resume(*octets, *line).unwrap();
                let rest = read(reader);
                assert_eq!(rest.0, whole.0[given + 1..], "{text}");
                assert_eq!(rest.1, whole.1[given + 1..], "{text}");
            }
        }
    }

    #[test]
    fn what_a_file_ends_with_in_its_middle_is_read_again_when_it_is_whole() {
        let half = format!("{RECORD}Mon Nov 23 12:00:05 2026\n\tUser-Name = \"bob\"\n");
        let (lines, places) = read(opened(&half, None).unwrap().unwrap());
        assert_eq!(lines, ["1", "8?"]);
        let mut reader = opened(&RECORD.repeat(2), None).unwrap().unwrap();
        reader.resume(places[0].0, places[0].1).unwrap();
        assert_eq!(read(reader).0, ["8"]);
    }
}
