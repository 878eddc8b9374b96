//! PostgreSQL: a cluster of its own with Debian's settings but for its memory, and the little of the protocol that asks it.
//!
//! Knows: how a cluster is made, started, ended; messages of protocol 3.0. Must not know: what is measured.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User, chown};
use tempfile::TempDir;

use super::Failure;
use super::process::{Process, command, directory, free_address, version};

/// What FreeRADIUS writes into, and what mail servers ask.
const SCHEMA: &str = include_str!("postgresql/radacct.sql");
/// Where FreeRADIUS writes, and where mail servers ask: apart, so that the second holds exactly what was loaded.
const DATABASES: [&str; 2] = ["radius", "lookups"];
/// Where Debian has the server's programs, by version.
const PLACE: &str = "/usr/lib/postgresql";
/// Whom Debian made for it: it does not run as root.
const USER: &str = "postgres";
/// Loading a million rows takes less.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running server.
pub(crate) struct Postgres {
    /// Where it listens; anyone is let in as `postgres`.
    pub(crate) address: SocketAddr,
    /// In its own words.
    pub(crate) version: String,
    // In this order: it ends before its files go.
    _process: Process,
    _home: TempDir,
}

impl Postgres {
    /// Makes a cluster within `disk` and starts it, with the tables and without a row.
    pub(crate) fn start(disk: &Path) -> Result<Postgres, Failure> {
        let programs = newest().ok_or(Failure::Missing("PostgreSQL", "postgresql"))?;
        let home = directory("compare-postgresql-", disk)?;
        let user = Uid::effective().is_root().then_some(USER);
        if let Some(user) = user {
            let found = User::from_name(user).ok().flatten();
            let found = found.ok_or(Failure::Missing("the user postgres", "postgresql"))?;
            chown(home.path(), Some(found.uid), Some(found.gid))
                .map_err(|error| Failure::System("the directory of PostgreSQL", error.into()))?;
        }
        let (data, said) = (home.path().join("data"), home.path().join("said"));
        let made = command(&programs.join("initdb"), user)
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ])
            .arg("-D")
            .arg(&data)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::System("initdb", error))?;
        if !made.status.success() {
            return Err(Failure::NotReady("initdb", String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let address = free_address()?;
        let program = programs.join("postgres");
        let mut command = command(&program, user);
        command.current_dir(home.path()).arg("-D").arg(&data).arg("-k").arg(home.path());
        command.arg("-p").arg(address.port().to_string()).args(["-h", "127.0.0.1"]);
        // As much memory as its users would give it, and no checkpoint in the middle of a measurement. What decides
        // about durability stays as it comes: fsync and synchronous_commit are on.
        command.args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]);
        let process = Process::start("PostgreSQL", &mut command, &said)?;
        // Its "fast" end: sessions are cut off, nothing is waited for.
        let mut process = process.ended_by(Signal::SIGINT);
        process.wait(&said, || Session::open(address, "postgres").is_ok())?;
        let version = version(&program, "--version");
        for name in DATABASES {
            Session::open(address, "postgres")?.run(&format!("CREATE DATABASE {name}"))?;
            Session::open(address, name)?.run(SCHEMA)?;
        }
        Ok(Postgres { address, version, _process: process, _home: home })
    }

    /// Fills the table that mail servers ask: one live session for each number below.
    pub(crate) fn load(&self, sessions: u32) -> Result<(), Failure> {
        let mut session = Session::open(self.address, "lookups")?;
        session.run(&format!(
            "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, acctstarttime, \
                 acctupdatetime, framedipaddress, framedipv6prefix, delegatedipv6prefix, callingstationid, class) \
             SELECT lpad(to_hex(n), 16, '0'), md5(n::text), 'subscriber' || n || '@isp.example', '192.0.2.1', \
                 'ge-3/1/0.demux0.' || n || ':100-200', now(), now(), '10.0.0.0'::inet + n, \
                 '2001:db8::'::inet + n, '2001:db8:8000::'::inet + n, to_hex(n), 'c' \
             FROM generate_series(0, {}) AS n",
            i64::from(sessions) - 1
        ))?;
        session.run("VACUUM ANALYZE radacct")?;
        session.run("CHECKPOINT")
    }

    /// How many sessions FreeRADIUS has written.
    pub(crate) fn written(&self) -> Result<u64, Failure> {
        let answer = Session::open(self.address, "radius")?.ask("SELECT count(*) FROM radacct")?;
        let count = answer.value.and_then(|value| String::from_utf8(value).ok()?.parse().ok());
        count.ok_or(Failure::NoAnswer("PostgreSQL"))
    }
}

/// The programs of the newest version that is installed.
fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(PLACE).ok()?.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter(|path| path.join("bin/postgres").is_file()).max_by_key(number)?;
    Some(newest.join("bin"))
}

/// A session that is used for what is not measured.
struct Session(TcpStream);

impl Session {
    fn open(server: SocketAddr, database: &str) -> Result<Session, Failure> {
        let stream =
            TcpStream::connect(server).map_err(|e| Failure::System("connecting to PostgreSQL", e))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| Failure::System("PostgreSQL", e))?;
        log_in(stream, database).map(Session)
    }

    fn run(&mut self, sql: &str) -> Result<(), Failure> {
        self.ask(sql).map(drop)
    }

    fn ask(&mut self, sql: &str) -> Result<Answer, Failure> {
        let sent = self.0.write_all(&simple_query(sql));
        sent.map_err(|error| Failure::System("asking PostgreSQL", error))?;
        let answer = read_answer(&mut self.0)?;
        answer.refused.clone().map_or(Ok(answer), |words| Err(Failure::Refused(words)))
    }
}

/// Says who asks, and waits until questions are taken.
pub(crate) fn log_in(mut stream: TcpStream, database: &str) -> Result<TcpStream, Failure> {
    let mut message = 196_608_u32.to_be_bytes().to_vec();
    for word in ["user", USER, "database", database, ""] {
        message.extend_from_slice(word.as_bytes());
        message.push(0);
    }
    let framed = [&length(&message)[..], &message].concat();
    stream.write_all(&framed).map_err(|error| Failure::System("logging in to PostgreSQL", error))?;
    let answer = read_answer(&mut stream)?;
    answer.refused.map_or(Ok(stream), |words| Err(Failure::Refused(words)))
}

/// The message that asks at once, without anything prepared.
pub(crate) fn simple_query(sql: &str) -> Vec<u8> {
    let text = [sql.as_bytes(), &[0]].concat();
    [b"Q", &length(&text)[..], &text].concat()
}

/// Of a message: its own four octets count.
fn length(rest: &[u8]) -> [u8; 4] {
    u32::try_from(rest.len() + 4).unwrap_or(u32::MAX).to_be_bytes()
}

fn read_answer(stream: &mut TcpStream) -> Result<Answer, Failure> {
    let (mut octets, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let more = stream.read(&mut chunk).map_err(|error| Failure::System("hearing PostgreSQL", error))?;
        if more == 0 {
            // Whoever is refused before he is let in is told so and cut off.
            return Answer::read(&octets).ok_or(Failure::NoAnswer("PostgreSQL"));
        }
        octets.extend_from_slice(chunk.get(..more).unwrap_or_default());
        if let Some(answer) = Answer::read(&octets) {
            return Ok(answer);
        }
    }
}

/// What came back, up to the next question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    rows: u32,
    /// The first column of the last row.
    value: Option<Vec<u8>>,
    refused: Option<String>,
}

impl Answer {
    /// The answer in these octets; `None` while it is not whole.
    pub(crate) fn read(mut octets: &[u8]) -> Option<Answer> {
        let mut answer = Answer::default();
        loop {
            let (&kind, rest) = octets.split_first()?;
            let size = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
            let body = rest.get(4..size)?;
            match kind {
                b'Z' => return Some(answer),
                b'D' => {
                    answer.rows += 1;
                    answer.value = first_column(body);
                }
                b'E' => {
                    let words = String::from_utf8_lossy(body).replace('\0', " ");
                    let fatal = words.starts_with("SFATAL");
                    answer.refused = Some(words);
                    if fatal {
                        return Some(answer);
                    }
                }
                // Anything but a zero asks for a password.
                b'R' if body.first_chunk() != Some(&[0; 4]) => {
                    answer.refused = Some("it asks for a password".to_owned());
                    return Some(answer);
                }
                _ => {}
            }
            octets = rest.get(size..)?;
        }
    }

    /// Whether it is one row with this value.
    pub(crate) fn is(&self, value: &[u8]) -> bool {
        self.rows == 1 && self.value.as_deref() == Some(value) && self.refused.is_none()
    }
}

fn first_column(row: &[u8]) -> Option<Vec<u8>> {
    let column = row.get(2..)?;
    // -1 stands for NULL.
    let size = usize::try_from(i32::from_be_bytes(*column.first_chunk()?)).ok()?;
    column.get(4..)?.get(..size).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &[u8]) -> Vec<u8> {
        let body = [&[0, 1][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat();
        [b"D", &length(&body)[..], &body].concat()
    }

    #[test]
    fn one_row_with_the_value_is_right_and_neither_none_nor_two_are() {
        let end = b"Z\0\0\0\x05I";
        let (one, two) =
            ([&row(b"alice")[..], end].concat(), [&row(b"alice")[..], &row(b"alice"), end].concat());
        assert!(Answer::read(&one).unwrap().is(b"alice"));
        assert!(!Answer::read(&one).unwrap().is(b"bob"));
        assert!(!Answer::read(&two).unwrap().is(b"alice"));
        assert!(!Answer::read(end).unwrap().is(b"alice"));
    }

    #[test]
    fn an_answer_is_whole_with_its_last_octet() {
        let whole = [&row(b"alice")[..], b"Z\0\0\0\x05I"].concat();
        assert!((0..whole.len()).all(|length| Answer::read(&whole[..length]).is_none()));
        assert!(Answer::read(&whole).is_some());
    }
}
