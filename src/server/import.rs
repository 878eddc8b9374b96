//! Judges rows of somebody else's files: by the same code as packets, as of the moment that the file tells of.
//!
//! Knows: which client a row belongs to, how old is too old, and that nothing happened after the file was made. Must not
//! know: HTTP, files, or what a record does to a session.
//!
//! A row counts for who owns what if it was fresh when the file was made, and the file is fresh now (`stale-limit`, both
//! times): then it is folded as if it had arrived when it was sent. Everything else is history, as a record is that
//! arrives as late.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::http::api::{parse_rfc3339, rfc3339};
use super::http::import::{Chunk, Fate, ImportRecord, ImportRow, Outcome, RECORDS_OF_ROW_MAX};
use crate::config::{Client, Config, NasIdentity};
use crate::radius::accounting::{self, Ignored, Passage, Rules};
use crate::radius::nas_clock::NasClocks;
use crate::radius::packet::{HEADER_LENGTH, LENGTH_MAX, Malformed, Packet, code};
use crate::session::event::Record;
use crate::session::{Name, Timestamp};

/// A server's clock may be ahead of the one that dated the file by as much; more is a wrong time zone.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// A chunk, judged.
#[derive(Debug, PartialEq)]
pub struct Judged {
    /// What is to be folded, in order.
    pub records: Vec<Record>,
    /// What becomes of each row.
    pub rows: Vec<Outcome>,
}

/// No client has the name that was given for the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchClient;

/// Why a row can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unusable {
    NoRecord,
    TooManyRecords,
    NotHex,
    NotAMoment,
    TooLong,
    Malformed(Malformed),
    /// No client's address has this one.
    NoClient(IpAddr),
    NoNas,
    /// The client that was named has several NASes, and this is none of them.
    ForeignNas(IpAddr),
    Later,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::NoRecord => f.write_str("says nothing"),
            Unusable::TooManyRecords => write!(f, "more than {RECORDS_OF_ROW_MAX} records"),
            Unusable::NotHex => f.write_str("its attributes are no hex digits"),
            Unusable::NotAMoment => f.write_str("its moment is not RFC 3339"),
            Unusable::TooLong => f.write_str("more attributes than a packet can carry"),
            Unusable::Malformed(malformed) => malformed.fmt(f),
            Unusable::NoClient(nas) => {
                write!(f, "no [[radius.client]] has {nas}; say whose records they are with --client")
            }
            Unusable::NoNas => f.write_str("does not tell its NAS; say whose records they are with --client"),
            Unusable::ForeignNas(nas) => write!(f, "{nas} is no address of the client that was named"),
            Unusable::Later => {
                f.write_str("later than the moment that the file tells of; are --tz and --as-of right?")
            }
        }
    }
}

/// Why a row gives nothing to fold.
enum Nothing {
    Unusable(Unusable),
    Ignored(Ignored),
}

impl From<Unusable> for Nothing {
    fn from(unusable: Unusable) -> Self {
        Nothing::Unusable(unusable)
    }
}

/// Judges a chunk at this moment.
///
/// # Errors
/// See [`NoSuchClient`].
pub fn judge(chunk: &Chunk, config: &Config, now: Timestamp) -> Result<Judged, NoSuchClient> {
    let named = match &chunk.client {
        None => None,
        Some(name) => {
            Some(config.radius.clients.iter().find(|client| client.name == *name).ok_or(NoSuchClient)?)
        }
    };
    let stale_limit = config.rules.stale_limit;
    // A file that is old itself tells of nothing that is known to last.
    let as_of = if now.since(chunk.as_of) > stale_limit { now } else { chunk.as_of };
    let desk = Desk { config, named, told: chunk.as_of, as_of, stale_limit };
    let (mut records, mut rows) = (Vec::new(), Vec::with_capacity(chunk.rows.len()));
    for row in &chunk.rows {
        let (outcome, reason) = match desk.row(row) {
            Ok(read) => {
                let outcome = desk.fate(&read);
                let dropped: u32 =
                    read.iter().map(|record| u32::from(record.claims_dropped)).max().unwrap_or(0);
                let client = read.last().map(|record| record.client.clone());
                records.extend(read);
                let dropped = client.filter(|_| dropped > 0).map(|client| {
                    format!("left out what {client} may not assign: {dropped} of its addresses and prefixes")
                });
                (outcome, dropped)
            }
            Err(Nothing::Ignored(ignored)) => (Fate::Ignored, Some(ignored.to_string())),
            Err(Nothing::Unusable(unusable)) => (Fate::Rejected, Some(unusable.to_string())),
        };
        rows.push(Outcome { line: row.line, outcome, reason });
    }
    Ok(Judged { records, rows })
}

/// A chunk as it is written down beside what came of it: who imported it is kept with that.
#[must_use]
pub fn spelled(chunk: &Chunk) -> Name {
    let line = |row: Option<&ImportRow>| row.map_or(0, |row| row.line);
    let client = chunk.client.as_ref().map(|client| format!("&client={client}")).unwrap_or_default();
    let text = format!(
        "/v1/import?file={}{client}&as_of={}&lines={}-{}",
        chunk.file,
        rfc3339(chunk.as_of).unwrap_or_default(),
        line(chunk.rows.first()),
        line(chunk.rows.last()),
    );
    Name::from(text.as_str())
}

/// How many rows became what.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; Fate::ALL.len()]);

impl Counters {
    /// Counts a chunk's rows.
    pub fn count(&self, rows: &[Outcome]) {
        for (fate, counter) in Fate::ALL.iter().zip(&self.0) {
            let count = rows.iter().filter(|row| row.outcome == *fate).count();
            counter.fetch_add(count.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// What became of rows, and how many.
    pub fn read(&self) -> impl Iterator<Item = (Fate, u64)> + '_ {
        Fate::ALL.iter().zip(&self.0).map(|(fate, counter)| (*fate, counter.load(Ordering::Relaxed)))
    }
}

struct Desk<'a> {
    config: &'a Config,
    named: Option<&'a Client>,
    /// The moment that the file tells of.
    told: Timestamp,
    /// The moment as of which what it says is judged.
    as_of: Timestamp,
    stale_limit: Duration,
}

impl Desk<'_> {
    /// What a row's records are: all of them, or none.
    fn row(&self, row: &ImportRow) -> Result<Vec<Record>, Nothing> {
        if row.records.is_empty() {
            return Err(Unusable::NoRecord.into());
        }
        if row.records.len() > RECORDS_OF_ROW_MAX {
            return Err(Unusable::TooManyRecords.into());
        }
        let (client, source) = self.client(row.nas)?;
        row.records.iter().map(|record| self.record(record, row.nas, client, source)).collect()
    }

    /// Whose a row is, and the address by which its NAS is named where that decides.
    fn client(&self, nas: Option<IpAddr>) -> Result<(&Client, IpAddr), Unusable> {
        let client = match (self.named, nas) {
            (Some(client), _) => client,
            (None, Some(nas)) => self.config.radius.client(nas).ok_or(Unusable::NoClient(nas))?,
            (None, None) => return Err(Unusable::NoNas),
        };
        let several = client.address.prefix_len() < client.address.max_prefix_len();
        match nas {
            // Under another name than its own packets have it would be another NAS.
            _ if client.nas != NasIdentity::Source || !several => {}
            None => return Err(Unusable::NoNas),
            Some(nas) if !client.address.contains(&nas) => return Err(Unusable::ForeignNas(nas)),
            Some(_) => {}
        }
        Ok((client, nas.unwrap_or_else(|| client.address.addr())))
    }

    fn record(
        &self,
        told: &ImportRecord,
        nas: Option<IpAddr>,
        client: &Client,
        source: IpAddr,
    ) -> Result<Record, Nothing> {
        let at = parse_rfc3339(&told.at).ok_or(Unusable::NotAMoment)?;
        if at > self.told.plus(AHEAD_MAX) {
            return Err(Unusable::Later.into());
        }
        let received = at.min(self.told);
        let octets = request(&told.attributes)?;
        let packet = Packet::decode(&octets).map_err(Unusable::Malformed)?;
        let rules =
            Rules { client, source, identity: &self.config.identity, never: &self.config.relay.never };
        let passage = Passage { arrival: received, received, origin: nas };
        // What the NAS's clock showed then is not known: what the other server's showed counts.
        let read = accounting::read_relayed(&packet, &rules, passage, &mut NasClocks::default());
        let mut record = *read.map_err(Nothing::Ignored)?;
        record.dated |= told.dated;
        if self.is_stale(&record) {
            record.arrival = self.as_of;
        }
        Ok(record)
    }

    fn is_stale(&self, record: &Record) -> bool {
        self.as_of.since(record.event) > self.stale_limit
    }

    fn fate(&self, records: &[Record]) -> Fate {
        if records.iter().all(|record| self.is_stale(record)) { Fate::History } else { Fate::Accepted }
    }
}

/// An unsigned Accounting-Request of these attributes.
fn request(hex: &str) -> Result<Vec<u8>, Unusable> {
    let digits = hex.as_bytes();
    let length = digits.len() / 2 + HEADER_LENGTH;
    if length > LENGTH_MAX {
        return Err(Unusable::TooLong);
    }
    let [high, low] = u16::try_from(length).map_err(|_| Unusable::TooLong)?.to_be_bytes();
    let mut octets = Vec::with_capacity(length);
    octets.extend([code::ACCOUNTING_REQUEST, 0, high, low]);
    octets.extend([0; 16]);
    let mut pairs = digits.chunks_exact(2);
    for pair in pairs.by_ref() {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
        let octet = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        octets.push(octet.ok_or(Unusable::NotHex)?);
    }
    if pairs.remainder().is_empty() { Ok(octets) } else { Err(Unusable::NotHex) }
}

#[cfg(test)]
mod tests;
