//! FreeRADIUS as an accounting server: a process of its own for each way in which it keeps what it is told.
//!
//! Knows: its configuration. Must not know: what is measured.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use super::Failure;
use super::postgres::Postgres;
use super::process::{Process, command, directory, find, free_address, version};
use super::starts::SECRET;

/// What its PostgreSQL module is, as a file.
const SQL_MODULE: &str = "/usr/lib/freeradius/rlm_sql_postgresql.so";

/// What it does with a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keeps {
    /// Nothing.
    Nothing,
    /// It appends to a file; nobody makes that durable.
    Detail,
    /// A row in PostgreSQL, which is durable.
    Sql,
}

impl Keeps {
    fn module(self) -> &'static str {
        match self {
            Keeps::Nothing => include_str!("freeradius/ok"),
            Keeps::Detail => include_str!("freeradius/detail"),
            Keeps::Sql => include_str!("freeradius/sql"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Keeps::Nothing => "ok",
            Keeps::Detail => "detail",
            Keeps::Sql => "sql",
        }
    }
}

/// A running server.
pub(crate) struct FreeRadius {
    /// Where it takes accounting.
    pub(crate) address: SocketAddr,
    /// In its own words.
    pub(crate) version: String,
    _process: Process,
    _home: TempDir,
}

impl FreeRadius {
    /// Starts one within `disk`. With `Keeps::Sql` it writes into this database.
    pub(crate) fn start(disk: &Path, keeps: Keeps, database: &Postgres) -> Result<FreeRadius, Failure> {
        let program = find("freeradius", "freeradius")?;
        if !Path::new(SQL_MODULE).is_file() {
            return Err(Failure::Missing("FreeRADIUS's module for PostgreSQL", "freeradius-postgresql"));
        }
        let home = directory("compare-freeradius-", disk)?;
        let (address, said) = (free_address()?, home.path().join("said"));
        let text = include_str!("freeradius/radiusd.conf")
            .replace("MODULE", keeps.module())
            .replace("ACCOUNTING", keeps.name())
            .replace("HOME", &home.path().display().to_string())
            .replace("PORT", &address.port().to_string())
            .replace("DATABASE", &database.address.port().to_string())
            .replace("SECRET", SECRET);
        fs::write(home.path().join("radiusd.conf"), text)
            .map_err(|error| Failure::System("the configuration of FreeRADIUS", error))?;
        let mut command = command(&program, None);
        command.args(["-f", "-l", "stdout", "-D", "/usr/share/freeradius", "-d"]).arg(home.path());
        let mut process = Process::start("FreeRADIUS", &mut command, &said)?;
        let ready = || fs::read_to_string(&said).is_ok_and(|said| said.contains("Ready to process requests"));
        process.wait(&said, ready)?;
        Ok(FreeRadius { address, version: version(&program, "-v"), _process: process, _home: home })
    }
}
