//! A row of FreeRADIUS's table `radacct` as what its NAS said: a Start, and the interim update or the Stop that was the
//! last word.
//!
//! Knows: the table's columns, and what a session without an end says. Must not know: files, quotes, the daemon; nor what
//! is believed of a row, which is the daemon's affair.
//!
//! | row | says |
//! |---|---|
//! | `acctstoptime` is told | Start at `acctstarttime`, Stop at `acctstoptime` |
//! | it is not | Start at `acctstarttime`, interim update at `acctupdatetime`, or at `acctstarttime` again where that is not told |
//!
//! A column that is none of the table's and has the name of an attribute (`"Framed-Route"`) is that attribute: so what an
//! identity rule or a routed subnet needs can be selected beside.

use std::collections::HashSet;
use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::cli::time::TimeError;
use crate::config::AttributePath;
use crate::radius::dictionary::{Dictionary, Type};
use crate::radius::text::{self, Fault};
use crate::server::http::api::rfc3339;
use crate::server::http::import::{ImportRecord, ImportRow};
use crate::session::{Name, Timestamp};

/// As long as a row's times and its session time are so close, they say the same.
const SESSION_TIME_AGREES: Duration = Duration::from_secs(60);
/// Clocks of NAS and server may make the end of a short session come before its beginning by as much.
const BACKWARDS_MAX: Duration = Duration::from_secs(60);

/// Reads a moment as the row has it.
pub type Clock<'a> = &'a dyn Fn(&str) -> Result<Timestamp, TimeError>;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Column {
    Start,
    Update,
    Stop,
    SessionTime,
    Nas,
    Cause,
    /// An address, or a prefix, under the name of its attribute.
    Address(&'static str),
    Prefix(&'static str),
    /// Any other attribute.
    Attribute(String),
}

/// Names of columns without `-` and `_`, and what they hold.
const COLUMNS: [(&str, Column); 8] = [
    ("acctstarttime", Column::Start),
    ("acctupdatetime", Column::Update),
    ("acctstoptime", Column::Stop),
    ("acctsessiontime", Column::SessionTime),
    ("nasipaddress", Column::Nas),
    ("acctterminatecause", Column::Cause),
    ("framedipaddress", Column::Address("Framed-IP-Address")),
    ("framedipv6address", Column::Address("Framed-IPv6-Address")),
];
const PREFIXES: [(&str, &str); 2] =
    [("framedipv6prefix", "Framed-IPv6-Prefix"), ("delegatedipv6prefix", "Delegated-IPv6-Prefix")];
const ATTRIBUTES: [(&str, &str); 7] = [
    ("username", "User-Name"),
    ("acctsessionid", "Acct-Session-Id"),
    ("nasportid", "NAS-Port-Id"),
    ("nasidentifier", "NAS-Identifier"),
    ("callingstationid", "Calling-Station-Id"),
    ("calledstationid", "Called-Station-Id"),
    ("class", "Class"),
];
/// Without these a row can't be told apart from any other, or an open one from a closed one.
const NEEDED: [&str; 3] = ["acctsessionid", "acctstarttime", "acctstoptime"];
/// Of these the row's own times say more.
const OVERRULED: [&str; 4] = ["acctstatustype", "acctdelaytime", "eventtimestamp", "acctinterval"];

/// Why a first line names no columns of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadFault {
    /// One that is needed is missing.
    Missing(&'static str),
    /// One is there twice.
    Twice(Name),
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadFault::Missing(column) => {
                write!(f, "has no column {column}; its first line must name the columns")
            }
            HeadFault::Twice(column) => write!(f, "has the column {column} twice"),
        }
    }
}

/// Why a row can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowFault {
    /// It has another number of fields than the first line.
    Fields {
        /// Columns.
        expected: usize,
        /// Fields.
        found: usize,
    },
    /// It has no Acct-Session-Id.
    NoSessionId,
    /// It tells no moment at all.
    NoTime,
    /// A moment can't be read.
    Time(&'static str, TimeError),
    /// An address or a prefix is none.
    Address(&'static str),
    /// A number is none.
    SessionTime,
    /// It ended before it began.
    Backwards,
    /// An attribute can't hold what its column does.
    Attribute(String, Fault),
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowFault::Fields { expected, found } => {
                write!(f, "{found} fields, where there are {expected} columns")
            }
            RowFault::NoSessionId => f.write_str("no acctsessionid"),
            RowFault::NoTime => f.write_str("no moment at all"),
            RowFault::Time(column, TimeError::NotATime) => {
                write!(
                    f,
                    "{column}: not a moment; write 2026-11-23 14:00:00, the same with +01 behind it, or seconds since 1970"
                )
            }
            RowFault::Time(column, error) => write!(f, "{column}: {error}"),
            RowFault::Address(attribute) => write!(f, "{attribute}: not an address or prefix of its kind"),
            RowFault::SessionTime => f.write_str("acctsessiontime: not a number of seconds"),
            RowFault::Backwards => f.write_str("acctstoptime is before acctstarttime"),
            RowFault::Attribute(attribute, fault) => write!(f, "{attribute}: {fault}"),
        }
    }
}

/// The columns of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Option<Column>>);

impl Columns {
    /// Reads the first line.
    ///
    /// # Errors
    /// See [`HeadFault`].
    pub fn of(fields: &[Vec<u8>]) -> Result<Columns, HeadFault> {
        let names: Vec<String> = fields.iter().map(|field| plain(field)).collect();
        if let Some(missing) = NEEDED.into_iter().find(|needed| !names.iter().any(|name| name == needed)) {
            return Err(HeadFault::Missing(missing));
        }
        let mut seen = HashSet::new();
        let columns = names.iter().zip(fields).map(|(name, field)| {
            let column = column(name, field);
            if column.as_ref().is_some_and(|column| !seen.insert(column.clone())) {
                return Err(HeadFault::Twice(Name::new(field)));
            }
            Ok(column)
        });
        columns.collect::<Result<_, _>>().map(Columns)
    }

    /// What a row says. Fields that are empty are not told.
    ///
    /// # Errors
    /// See [`RowFault`].
    pub fn row(
        &self,
        line: u64,
        fields: &[Option<Vec<u8>>],
        clock: Clock<'_>,
    ) -> Result<ImportRow, RowFault> {
        if fields.len() != self.0.len() {
            return Err(RowFault::Fields { expected: self.0.len(), found: fields.len() });
        }
        let mut told = Told::default();
        for (column, field) in self.0.iter().zip(fields) {
            if let (Some(column), Some(octets)) = (column, field) {
                told.take(column, octets, clock)?;
            }
        }
        if !told.has_session_id {
            return Err(RowFault::NoSessionId);
        }
        let records = told.records()?;
        Ok(ImportRow { line, nas: told.nas, records })
    }
}

fn plain(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field).trim().to_ascii_lowercase();
    text.chars().filter(|c| !matches!(c, '-' | '_')).collect()
}

fn column(name: &str, field: &[u8]) -> Option<Column> {
    fn of<T: Clone>(table: &[(&str, T)], name: &str) -> Option<T> {
        table.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
    if OVERRULED.contains(&name) {
        return None;
    }
    let attribute = || {
        let spelled = std::str::from_utf8(field).ok()?.trim();
        // A number is a number, not the attribute that has it.
        let named = spelled.starts_with(|c: char| c.is_ascii_alphabetic()) && spelled.contains('-');
        let definition = named.then(|| Dictionary::builtin().find(spelled)).flatten()?;
        Some(Column::Attribute(definition.name.into()))
    };
    of(&COLUMNS, name)
        .or_else(|| of(&PREFIXES, name).map(Column::Prefix))
        .or_else(|| of(&ATTRIBUTES, name).map(|attribute| Column::Attribute(attribute.to_owned())))
        .or_else(attribute)
}

/// What a row's fields say, one by one.
#[derive(Default)]
struct Told {
    start: Option<Timestamp>,
    update: Option<Timestamp>,
    stop: Option<Timestamp>,
    session_time: Option<u32>,
    nas: Option<IpAddr>,
    cause: Option<u32>,
    has_session_id: bool,
    /// Lines of all records of the row, and which attribute each is about.
    lines: String,
    attributes: Vec<String>,
}

impl Told {
    fn take(&mut self, column: &Column, octets: &[u8], clock: Clock<'_>) -> Result<(), RowFault> {
        let text = String::from_utf8_lossy(octets);
        let text = text.trim();
        let moment = |column| match text {
            // MySQL's "never".
            never if never.starts_with("0000-00-00") => Ok(None),
            text => clock(text).map(Some).map_err(|error| RowFault::Time(column, error)),
        };
        match column {
            Column::Start => self.start = moment("acctstarttime")?,
            Column::Update => self.update = moment("acctupdatetime")?,
            Column::Stop => self.stop = moment("acctstoptime")?,
            Column::SessionTime => {
                let seconds: u64 = text.parse().map_err(|_| RowFault::SessionTime)?;
                // The column may hold more than the attribute can; so long no session lasts.
                self.session_time = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
            }
            Column::Nas => {
                let address = host(text).ok_or(RowFault::Address("nasipaddress"))?;
                self.nas = Some(address);
                let attribute = if address.is_ipv4() { "NAS-IP-Address" } else { "NAS-IPv6-Address" };
                self.say(attribute, address.to_string().as_bytes());
            }
            Column::Cause => {
                let number = || Dictionary::builtin().value(&AttributePath::standard(49), text);
                // Why a session ended is for people; a word that is not known is not worth the row.
                self.cause = text.parse().ok().or_else(number);
            }
            Column::Address(attribute) => {
                let address =
                    host(text).filter(|address| address.is_ipv4() == (*attribute == "Framed-IP-Address"));
                let address = address.ok_or(RowFault::Address(attribute))?;
                self.say(attribute, address.to_string().as_bytes());
            }
            Column::Prefix(attribute) => {
                let prefix: Option<IpNet> = text.parse().ok().or_else(|| host(text).map(IpNet::from));
                let Some(IpNet::V6(prefix)) = prefix else { return Err(RowFault::Address(attribute)) };
                self.say(attribute, prefix.trunc().to_string().as_bytes());
            }
            Column::Attribute(attribute) => {
                self.has_session_id |= attribute == "Acct-Session-Id";
                self.say(attribute, octets);
            }
        }
        Ok(())
    }

    fn say(&mut self, attribute: &str, value: &[u8]) {
        let kind = Dictionary::builtin().find(attribute).map(|definition| definition.kind);
        if kind == Some(Type::Octets)
            && value.starts_with(b"0x")
            && value.iter().all(u8::is_ascii_alphanumeric)
        {
            // FreeRADIUS writes octets as hex.
            let _ = writeln!(self.lines, "{attribute} = {}", String::from_utf8_lossy(value));
        } else {
            let _ = writeln!(self.lines, "{attribute} = \"{}\"", escaped(value));
        }
        self.attributes.push(attribute.to_owned());
    }

    /// The row's records, in the order in which the NAS sent them.
    fn records(&self) -> Result<Vec<ImportRecord>, RowFault> {
        let last = match (self.stop, self.start, self.update) {
            (Some(stop), ..) => stop,
            (None, Some(start), update) => update.map_or(start, |update| update.max(start)),
            (None, None, Some(update)) => update,
            (None, None, None) => return Err(RowFault::NoTime),
        };
        let start = match self.start {
            Some(start) if start.since(last) > BACKWARDS_MAX => return Err(RowFault::Backwards),
            start => start.map(|start| start.min(last)),
        };
        let mut records = Vec::with_capacity(2);
        if let Some(start) = start {
            records.push(self.record("Start", start, "")?);
        }
        let mut more = String::new();
        if let Some(seconds) = self.lasted(start, last) {
            let _ = writeln!(more, "Acct-Session-Time = {seconds}");
        }
        if let Some(cause) = self.cause.filter(|_| self.stop.is_some()) {
            let _ = writeln!(more, "Acct-Terminate-Cause = {cause}");
        }
        let status = if self.stop.is_some() { "Stop" } else { "Interim-Update" };
        records.push(self.record(status, last, &more)?);
        Ok(records)
    }

    /// How long the session had lasted then. The row's times say it as the Start does; where the NAS counted otherwise,
    /// the row began with another life of the id, or late.
    fn lasted(&self, start: Option<Timestamp>, last: Timestamp) -> Option<u64> {
        let by_times = start.map(|start| last.since(start));
        let counted = self.session_time.map(|seconds| Duration::from_secs(seconds.into()));
        let lasted = match (by_times, counted) {
            // A NAS that does not count, or a server that did not write it down.
            (Some(by_times), None | Some(Duration::ZERO)) => by_times,
            (Some(by_times), Some(counted)) if by_times.abs_diff(counted) <= SESSION_TIME_AGREES => by_times,
            (_, counted) => counted?,
        };
        Some(lasted.as_secs())
    }

    fn record(&self, status: &str, at: Timestamp, more: &str) -> Result<ImportRecord, RowFault> {
        let text = format!("{}Acct-Status-Type = {status}\n{more}", self.lines);
        let octets = text::parse_attributes(&text, Dictionary::builtin()).map_err(|error| {
            let attribute = self.attributes.get(error.line.saturating_sub(1)).cloned();
            RowFault::Attribute(attribute.unwrap_or_default(), error.fault)
        })?;
        let at = rfc3339(at).unwrap_or_default();
        Ok(ImportRecord { at, dated: true, attributes: super::hex(&octets) })
    }
}

/// A host's address. Databases write it with a length, too, which widens nothing (row 47 of `docs/sessions.md`).
fn host(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.addr()))
}

/// A value between quotes: everything that is not plain as three octal digits.
fn escaped(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &octet in value {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            b' '..=b'~' => text.push(char::from(octet)),
            _ => drop(write!(text, "\\{octet:03o}")),
        }
    }
    text
}

#[cfg(test)]
mod tests;
