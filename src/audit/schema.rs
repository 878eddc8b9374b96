//! How a file of the index is opened, and how addresses, names and moments become columns.
//!
//! Knows: what all its files have in common. Must not know: tables, what is written when, or what is asked.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::AuditError;
use crate::session::{Name, Place, Ports, Realm, SessionKey, Timestamp};

/// Tells an index from any other SQLite file: "RWax".
const APPLICATION: i32 = 0x5257_6178;

/// Version of the tables. Files of another one are begun anew from the log.
pub(super) const VERSION: i32 = 5;

/// How long one side waits for the other; with a write-ahead file only a checkpoint ever makes it wait.
const BUSY: Duration = Duration::from_secs(5);

/// Opens a file of the index for its writer, and lays it out when it is new.
pub(super) fn open_for_writing(path: &Path, tables: &[&str]) -> Result<Connection, AuditError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| failed(path, &error))?;
    let version = prepare(&mut connection, tables).map_err(|error| failed(path, &error))?;
    check(path, version)?;
    Ok(connection)
}

/// Lays out a new file, in one piece.
pub(super) fn create(path: &Path, tables: &[&str]) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    // Pages that are free in the end are given back then, and no copy of all is needed for it.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    lay_out(&mut connection, tables)?;
    Ok(connection)
}

/// Makes a file as small as what is in it.
pub(super) fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut pages = statement.query(())?;
    while pages.next()?.is_some() {}
    Ok(())
}

/// Whether what is removed from a file is written over with zeros.
pub(super) fn wipe(connection: &Connection, wipes: bool) -> rusqlite::Result<()> {
    connection.execute_batch(if wipes { "PRAGMA secure_delete=ON" } else { "PRAGMA secure_delete=OFF" })
}

fn lay_out(connection: &mut Connection, tables: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    tables.iter().try_for_each(|tables| transaction.execute_batch(tables))?;
    transaction.commit()
}

/// Opens a file of the index for a reader, who can't change it.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, AuditError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(path, &error))?;
    opened_for_reading(path, connection)
}

/// The same for a file that is never written again: nothing need be locked, and nobody looks whether it was changed.
pub(super) fn open_closed(path: &Path) -> Result<Connection, AuditError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let mut uri = String::from("file:");
    for octet in path.as_os_str().as_encoded_bytes() {
        match octet {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*octet));
            }
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let connection = Connection::open_with_flags(uri, flags).map_err(|error| failed(path, &error))?;
    opened_for_reading(path, connection)
}

fn opened_for_reading(path: &Path, connection: Connection) -> Result<Connection, AuditError> {
    let version = connection.busy_timeout(BUSY).and_then(|()| version_of(&connection));
    check(path, version.map_err(|error| failed(path, &error))?)?;
    keep_plans(&connection).map_err(|error| failed(path, &error))?;
    // There may be hundreds of these: each keeps the upper pages of its trees, the system keeps the rest.
    connection.pragma_update(None, "cache_size", -512).map_err(|error| failed(path, &error))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes what was written to a file survive a loss of power. Somebody who reads it for long may stand in the way; then it is not
/// done.
pub(super) fn sync(path: &Path, connection: &Connection) -> Result<(), AuditError> {
    // A checkpoint syncs the write-ahead file and then the database, also at synchronous=NORMAL.
    let busy: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
        .map_err(|error| failed(path, &error))?;
    if busy == 0 {
        return Ok(());
    }
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    Err(failed(path, &rusqlite::Error::SqliteFailure(busy, None)))
}

/// A statement is planned once, whatever is bound to it. As SQLite is built here, it would otherwise look at each bound value
/// again whether another plan were better, and planning takes longer than the row.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn prepare(connection: &mut Connection, tables: &[&str]) -> rusqlite::Result<(i32, i32)> {
    connection.busy_timeout(BUSY)?;
    keep_plans(connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Thirty-two mebibytes of pages are kept, for a run that is written may take the place of others. A commit need not be durable before the next: what is lost comes again from the log. A reader may keep the
    // write-ahead file from being used again for a while; it is cut back afterwards.
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=67108864;
         PRAGMA cache_size=-32768; PRAGMA secure_delete=ON;",
    )?;
    if version_of(connection)? == (0, 0) {
        let known: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        if known == 0 && !tables.is_empty() {
            lay_out(connection, tables)?;
        }
    }
    version_of(connection)
}

fn version_of(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn check(path: &Path, (application, version): (i32, i32)) -> Result<(), AuditError> {
    if application == APPLICATION && version == VERSION {
        return Ok(());
    }
    match u32::try_from(version) {
        Ok(later) if application == APPLICATION && version > VERSION => {
            Err(AuditError::TooNew { file: path.to_path_buf(), version: later })
        }
        _ => Err(AuditError::Damaged { file: path.to_path_buf(), what: "not an index of this version" }),
    }
}

/// Tells "this is not what we wrote" from "this can't be had now".
pub(super) fn failed(path: &Path, error: &rusqlite::Error) -> AuditError {
    let damaged = |what| AuditError::Damaged { file: path.to_path_buf(), what };
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt => damaged("the database file is malformed"),
            ErrorCode::NotADatabase => damaged("not a database file"),
            ErrorCode::Unknown => damaged("a table is missing or another than was laid out"),
            _ => AuditError::storage(path, error),
        },
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            damaged("a value is of another kind than was written")
        }
        _ => AuditError::storage(path, error),
    }
}

/// A prefix as it stands in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Counted in the IPv6 form.
    pub(super) length: u8,
    /// The first address, in its IPv6 form.
    pub(super) network: [u8; 16],
}

/// Bits that the IPv6 form of an IPv4 address has in front of it.
const MAPPED: u8 = 96;

impl Key {
    pub(super) fn of(prefix: IpNet) -> Key {
        match prefix {
            IpNet::V4(net) => Key {
                network: net.network().to_ipv6_mapped().octets(),
                length: net.prefix_len().saturating_add(MAPPED),
            },
            IpNet::V6(net) => Key { network: net.network().octets(), length: net.prefix_len() },
        }
    }

    /// The prefix of this length around an address.
    pub(super) fn around(address: IpAddr, length: u8) -> Key {
        Key { network: masked(wide(address), length).octets(), length }
    }

    /// The last address in it.
    pub(super) fn last(self) -> [u8; 16] {
        let below = u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
        (u128::from_be_bytes(self.network) | below).to_be_bytes()
    }

    pub(super) fn prefix(self) -> Option<IpNet> {
        let address = Ipv6Addr::from(self.network);
        if let (Some(address), Some(length)) = (address.to_ipv4_mapped(), self.length.checked_sub(MAPPED)) {
            return Ipv4Net::new(address, length).ok().map(IpNet::V4);
        }
        Ipv6Net::new(address, self.length).ok().map(IpNet::V6)
    }
}

/// A place as it stands in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) realm: u16,
    pub(super) key: Key,
    /// See [`packed`].
    pub(super) ports: i64,
}

impl Spot {
    pub(super) fn of(place: &Place) -> Spot {
        Spot { realm: place.realm.number(), key: Key::of(place.prefix), ports: packed(place.ports) }
    }

    pub(super) fn place(self) -> Option<Place> {
        let (prefix, ports) = (self.key.prefix()?, unpacked(self.ports)?);
        Some(Place { realm: Realm::of_number(self.realm), prefix, ports })
    }
}

/// Ports as one number: 0 for all of them.
pub(super) fn packed(ports: Ports) -> i64 {
    if ports.is_all() {
        return 0;
    }
    ((i64::from(ports.first()) << 16) | i64::from(ports.last())).saturating_add(1)
}

/// The reverse. `None`: not what was written.
pub(super) fn unpacked(column: i64) -> Option<Ports> {
    if column == 0 {
        return Some(Ports::ALL);
    }
    let ends = u32::try_from(column.checked_sub(1)?).ok()?;
    let [a, b, c, d] = ends.to_be_bytes();
    Ports::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Several values in one column.
pub(super) fn packed_value(value: &impl Serialize) -> rusqlite::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The reverse.
pub(super) fn unpacked_value<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    postcard::from_bytes(row.get_ref(index)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Blob, Box::new(error)))
}

/// The shortest length, in the IPv6 form, that can cover an address: an IPv6 prefix as wide as `::/0` must not own
/// all of IPv4.
pub(super) fn shortest(address: IpAddr) -> u8 {
    if address.to_canonical().is_ipv4() { MAPPED } else { 0 }
}

/// An address in its IPv6 form.
pub(super) fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn masked(address: Ipv6Addr, length: u8) -> Ipv6Addr {
    let below = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    Ipv6Addr::from(u128::from(address) & !below)
}

/// A name in a column.
pub(super) struct Octets(pub(super) Name);

impl FromSql for Octets {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob().map(|octets| Octets(Name::new(octets)))
    }
}

/// A moment in a column.
pub(super) struct Moment(pub(super) Timestamp);

impl ToSql for Moment {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.millis()))
    }
}

impl FromSql for Moment {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|millis| Moment(Timestamp::from_millis(millis)))
    }
}

/// A sequence in a column. They begin at 1 and never get that far.
pub(super) fn column(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// A moment that may be missing.
pub(super) fn moment(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<Moment>>(index)?.map(|moment| moment.0))
}

/// A name that may be missing.
pub(super) fn name(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Name>> {
    Ok(row.get::<_, Option<Octets>>(index)?.map(|octets| octets.0))
}

/// NAS, id and incarnation, from three columns on.
pub(super) fn session_of(row: &Row<'_>, first: usize) -> rusqlite::Result<SessionKey> {
    Ok(SessionKey {
        nas: row.get::<_, Octets>(first)?.0,
        id: row.get::<_, Octets>(first.saturating_add(1))?.0,
        incarnation: row.get::<_, Moment>(first.saturating_add(2))?.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_back_from_its_columns() {
        for text in ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32", "::/0", "2001:db8::/32", "2001:db8::1/128"]
        {
            let prefix: IpNet = text.parse().unwrap();
            assert_eq!(Key::of(prefix).prefix(), Some(prefix));
        }
    }

    #[test]
    fn the_prefix_around_an_address_is_the_one_that_was_stored() {
        for (address, prefix) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7", "0.0.0.0/0"),
            ("2001:db8:1::5", "2001:db8:1::/56"),
            ("2001:db8:1::5", "::/0"),
        ] {
            let key = Key::of(prefix.parse().unwrap());
            assert_eq!(Key::around(address.parse().unwrap(), key.length), key, "{address} in {prefix}");
        }
    }

    #[test]
    fn ports_are_read_back_from_their_column_and_all_of_them_are_0() {
        assert_eq!(packed(Ports::ALL), 0);
        for (first, last) in [(0, 0), (0, 1), (1024, 2047), (1, u16::MAX), (u16::MAX, u16::MAX)] {
            let ports = Ports::new(first, last).unwrap();
            assert_eq!(unpacked(packed(ports)), Some(ports));
        }
        let last = packed(Ports::new(u16::MAX, u16::MAX).unwrap());
        for column in [-1, last + 1, i64::MIN, i64::MAX, packed(Ports::new(2, 2).unwrap()) - 1] {
            assert_eq!(unpacked(column), None, "{column}");
        }
    }

    #[test]
    fn the_last_address_of_a_prefix() {
        let last = |text: &str| Ipv6Addr::from(Key::of(text.parse().unwrap()).last());
        assert_eq!(last("192.0.2.0/24"), "::ffff:192.0.2.255".parse::<Ipv6Addr>().unwrap());
        assert_eq!(last("2001:db8::1/128"), "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(last("::/0"), Ipv6Addr::from(u128::MAX));
    }
}
