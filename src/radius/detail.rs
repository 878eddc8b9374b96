//! FreeRADIUS's detail files: their octets, as they come, to accounting records that the packet decoder reads.
//!
//! Knows: where a record begins and ends, also when its writer was interrupted. Must not know: files, which NAS speaks,
//! what an attribute means. What a record's lines say is in `detail/record.rs`, how they spell moments in
//! `detail/moment.rs`.
//!
//! ```text
//! Wed Nov 25 16:23:24 2026                <- header: local time, or whatever the operator had it written
//!         User-Name = "alice"             <- an attribute to a line, behind a tab
//!         Acct-Status-Type = Start
//!         Timestamp = 1795620204          <- when FreeRADIUS received it; always the last line
//!                                         <- the end
//! ```
//!
//! Who writes is trusted to be FreeRADIUS; what it writes down was chosen by NASes and subscribers, and its escapes keep
//! their octets within the quotes. The danger is the writer itself: a disk that was full or a loss of power leaves half
//! a record, and the next one is written right behind it. Two records read as one would give an address to another's
//! name, so a record that can't be whole is rejected, never guessed at.

mod moment;
mod record;

use std::fmt;
use std::time::Duration;

pub use self::record::Record;
use super::dictionary::Dictionary;
use crate::session::Timestamp;

/// A record of more octets than this is no record: the attributes of a full packet, written in octal escapes, are far
/// below.
pub const RECORD_MAX: usize = 64 * 1024;

/// Why a record's text is no record. It changes nothing; what follows it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// More than [`RECORD_MAX`] octets without an end.
    TooLong,
    /// More attributes than a packet can carry.
    TooManyAttributes,
    /// Its end or its beginning is missing.
    CutShort,
    /// It says twice what can be said once: another record was written into it.
    TwoInOne,
    /// It is about another kind of packet (`Packet-Type`).
    NotAccounting,
    /// Status or session are missing, and lines can't be read.
    Unreadable,
}

impl Rejected {
    /// All of them.
    pub const ALL: [Rejected; 6] = [
        Rejected::TooLong,
        Rejected::TooManyAttributes,
        Rejected::CutShort,
        Rejected::TwoInOne,
        Rejected::NotAccounting,
        Rejected::Unreadable,
    ];

    /// The word used in output and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Rejected::TooLong => "too-long",
            Rejected::TooManyAttributes => "too-many-attributes",
            Rejected::CutShort => "cut-short",
            Rejected::TwoInOne => "two-in-one",
            Rejected::NotAccounting => "not-accounting",
            Rejected::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::TooLong => write!(f, "more than {RECORD_MAX} octets without an end"),
            Rejected::TooManyAttributes => f.write_str("more attributes than a packet can carry"),
            Rejected::CutShort => f.write_str("a part of it is missing"),
            Rejected::TwoInOne => f.write_str("two records in one"),
            Rejected::NotAccounting => f.write_str("not about an accounting request"),
            Rejected::Unreadable => f.write_str("its status or its session can't be read"),
        }
    }
}

/// A record's text, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it begins: octets from the beginning of the file.
    pub begin: u64,
    /// Where it ends, and reading may go on later.
    pub end: u64,
    /// What reading on from there needs to know beside it.
    pub tick: Tick,
    /// The record, or why there is none.
    pub record: Result<Record, Rejected>,
}

/// How many records in a row were received within one second.
///
/// FreeRADIUS writes whole seconds, but an address goes from one session to the next within milliseconds. The order in
/// the file is all that is left of that, so it counts as milliseconds. It is the same whenever the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// Since 1970.
    pub second: i64,
    /// Records of that second so far.
    pub records: u16,
}

impl Tick {
    /// When the next record was received, by its second and its place among those of it.
    fn next(&mut self, received: Timestamp) -> Timestamp {
        let second = received.millis().div_euclid(1000);
        let records = if second == self.second { self.records.saturating_add(1) } else { 0 };
        *self = Tick { second, records };
        received.plus(Duration::from_millis(records.min(999).into()))
    }
}

/// Takes a file's octets in whatever pieces they come, and gives its records.
///
/// A record whose end has not come yet is not given; nothing is lost when the reader is dropped and another one begins
/// at [`Reader::offset`].
#[derive(Debug)]
pub struct Reader {
    /// What is not given yet.
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    offset: u64,
    /// Where the current record begins in the buffer.
    begin: usize,
    /// What follows from here on was not looked at.
    line: usize,
    /// Whether that is the middle of a line.
    within_line: bool,
    /// Octets of the current record that are gone from the buffer: it is too long, and only its end is looked for.
    thrown: u64,
    tick: Tick,
}

impl Reader {
    /// A reader of what stands from here on, where a record begins.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Reader::resume(offset, Tick::default())
    }

    /// A reader that goes on where another one found this.
    #[must_use]
    pub fn resume(offset: u64, tick: Tick) -> Self {
        Reader { buffer: Vec::new(), offset, begin: 0, line: 0, within_line: false, thrown: 0, tick }
    }

    /// Takes what comes next in the file.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.begin);
        self.offset = self.offset.saturating_add(long(self.begin));
        self.line = self.line.saturating_sub(self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// Where the first record begins that was not given yet.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset.saturating_add(long(self.begin)).saturating_sub(self.thrown)
    }

    /// What another reader needs to go on from there.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The next record, if its end has come.
    pub fn next_record(&mut self, dictionary: &Dictionary) -> Option<Found> {
        while let Some(length) = self.unseen().iter().position(|&octet| octet == b'\n') {
            let line = self.unseen().get(..length).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let next = self.line.saturating_add(length).saturating_add(1);
            let is_first = self.line == self.begin && self.thrown == 0;
            if line.is_empty() && !self.within_line {
                if !is_first {
                    return Some(self.give(self.line, next, true, dictionary));
                }
                (self.begin, self.line) = (next, next);
                continue;
            }
            if !is_first && let Some(before) = before_another(line, self.within_line) {
                let cut = self.line.saturating_add(before);
                return Some(self.give(cut, cut, false, dictionary));
            }
            self.line = next;
            self.within_line = false;
            self.throw();
        }
        // A line without an end is thrown away too, but for its last octets, which may be half of a header.
        let seen = self.buffer.len().saturating_sub(moment::HEADER_LENGTH);
        if self.buffer.len().saturating_sub(self.begin) > RECORD_MAX && seen > self.line {
            self.line = seen;
            self.within_line = true;
            self.throw();
        }
        None
    }

    /// What is left when nothing more will come: a whole record but for its blank line, or a part of one. Nothing is left
    /// afterwards.
    pub fn finish(&mut self, dictionary: &Dictionary) -> Option<Found> {
        let left = self.buffer.get(self.begin..).unwrap_or_default();
        let end = self.buffer.len();
        if self.thrown == 0 && left.iter().all(|octet| octet.is_ascii_whitespace() || *octet == 0) {
            (self.begin, self.line) = (end, end);
            return None;
        }
        // FreeRADIUS writes last when it received the packet: what has that line has all of them.
        let whole = left.ends_with(b"\n") && record::is_timed(left);
        Some(self.give(end, end, whole, dictionary))
    }

    fn unseen(&self) -> &[u8] {
        self.buffer.get(self.line..).unwrap_or_default()
    }

    /// Gives the record that ends at `end` in the buffer; what follows it begins at `next`.
    fn give(&mut self, end: usize, next: usize, whole: bool, dictionary: &Dictionary) -> Found {
        let begin = self.offset();
        let text = self.buffer.get(self.begin..end).unwrap_or_default();
        let mut record = if self.thrown > 0 || text.len() > RECORD_MAX {
            Err(Rejected::TooLong)
        } else if whole {
            record::read(text, dictionary)
        } else {
            Err(Rejected::CutShort)
        };
        if let Ok(Record { received: Some(received), .. }) = &mut record {
            *received = self.tick.next(*received);
        }
        (self.begin, self.line) = (next, next);
        (self.within_line, self.thrown) = (false, 0);
        Found { begin, end: self.offset(), tick: self.tick, record }
    }

    /// Keeps no more of a record that is too long than what was not looked at.
    fn throw(&mut self) {
        let seen = self.line.saturating_sub(self.begin);
        if seen > RECORD_MAX || self.thrown > 0 {
            self.thrown = self.thrown.saturating_add(long(seen));
            self.begin = self.line;
        }
    }
}

/// How many octets of a line that does not begin its record belong to that record, when another one begins within it.
fn before_another(line: &[u8], within_line: bool) -> Option<usize> {
    if !within_line && !line.first().is_some_and(u8::is_ascii_whitespace) {
        return Some(0);
    }
    // What a line says ends with a quote or is a single word. So this can only be the header of the next record, written
    // behind half a line.
    let (before, header) = line.split_at_checked(line.len().checked_sub(moment::HEADER_LENGTH)?)?;
    moment::is_header(header).then_some(before.len())
}

fn long(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
