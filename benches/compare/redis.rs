//! Redis: a server of its own that keeps nothing on disk, and how it is filled.
//!
//! Knows: how it is started, and RESP as far as SET needs it. Must not know: what is measured.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::Failure;
use super::process::{Process, command, directory, find, free_address, version};
use super::starts::{address, subscriber};

/// Commands that are on their way at a time while it is filled.
const AT_ONCE: u32 = 1_000;
const DONE: &[u8] = b"+OK\r\n";

/// A running server.
pub(crate) struct Redis {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// In its own words.
    pub(crate) version: String,
    _process: Process,
    _home: TempDir,
}

impl Redis {
    /// Starts one without a key.
    pub(crate) fn start(disk: &Path) -> Result<Redis, Failure> {
        let program = find("redis-server", "redis-server")?;
        let home = directory("compare-redis-", disk)?;
        let (server, said) = (free_address()?, home.path().join("said"));
        let mut command = command(&program, None);
        command.args(["--bind", "127.0.0.1", "--port"]).arg(server.port().to_string());
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"]).arg(home.path());
        let mut process = Process::start("Redis", &mut command, &said)?;
        process.wait(&said, || TcpStream::connect(server).is_ok())?;
        Ok(Redis { address: server, version: version(&program, "--version"), _process: process, _home: home })
    }

    /// One key for each session below this number.
    pub(crate) fn load(&self, sessions: u32) -> Result<(), Failure> {
        let failed = |error| Failure::System("filling Redis", error);
        let mut stream = TcpStream::connect(self.address).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
        for first in (0..sessions).step_by(AT_ONCE as usize) {
            let numbers = first..first.saturating_add(AT_ONCE).min(sessions);
            let (mut commands, mut answers) = (String::new(), vec![0; numbers.len() * DONE.len()]);
            for number in numbers {
                let (key, value) = (address(number).to_string(), subscriber(number));
                // Writing to a String cannot fail.
                let _ = write!(
                    commands,
                    "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
                    key.len(),
                    value.len()
                );
            }
            stream.write_all(commands.as_bytes()).map_err(failed)?;
            stream.read_exact(&mut answers).map_err(failed)?;
            if answers.chunks(DONE.len()).any(|answer| answer != DONE) {
                return Err(Failure::Refused(String::from_utf8_lossy(&answers).into_owned()));
            }
        }
        Ok(())
    }
}
