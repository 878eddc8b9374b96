//! The daemon under load: a child process with a configuration of its own, on free ports of loopback.
//!
//! Knows: its configuration, its metrics, what the kernel says of the process. Must not know: what is measured.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Failure;
use super::asker::{Connection, Dialect};
use super::process::{Process, command, directory, free_address};
use super::starts::SECRET;

/// The child process, and what it needs.
pub(crate) struct Daemon {
    process: Option<Process>,
    program: PathBuf,
    home: TempDir,
    data: TempDir,
    /// RADIUS accounting.
    pub(crate) radius: SocketAddr,
    /// Socketmap.
    pub(crate) socketmap: SocketAddr,
    /// Policy delegation.
    pub(crate) policy: SocketAddr,
    http: SocketAddr,
}

impl Daemon {
    /// Starts it over a new directory within `disk`, and waits until it is ready.
    pub(crate) fn start(program: &Path, disk: &Path) -> Result<Daemon, Failure> {
        Daemon::start_with(program, disk, "")
    }

    /// The same, with further lines in its configuration.
    pub(crate) fn start_with(program: &Path, disk: &Path, more: &str) -> Result<Daemon, Failure> {
        let mut daemon = Daemon {
            process: None,
            program: program.to_owned(),
            home: directory("relaywarden-compare-", &std::env::temp_dir())?,
            data: directory("compare-data-", disk)?,
            radius: free_address()?,
            socketmap: free_address()?,
            policy: free_address()?,
            http: free_address()?,
        };
        daemon.configure(more).map_err(|error| Failure::System("the configuration", error))?;
        daemon.launch()?;
        daemon.wait(|daemon| daemon.metrics().is_some_and(|metrics| metrics.sum("ready") > 0))?;
        Ok(daemon)
    }

    fn configure(&self, more: &str) -> std::io::Result<()> {
        let path = self.home.path().join("relaywarden.toml");
        let (data, socket) = (self.data_dir(), self.home.path().join("api.sock"));
        let text = format!(
            "data-dir = {data:?}\n\
             [retention]\nsessions = \"180d\"\nmessages = \"90d\"\nquestions = \"365d\"\n\
             [radius]\nlisten = [\"{}\"]\n\
             [[radius.client]]\nname = \"compare\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\
             [session]\nwarm-up = \"0s\"\n\
             [socketmap]\nlisten = [\"{}\"]\n\
             [policy]\nlisten = [\"{}\"]\n\
             [http]\nsocket = {socket:?}\nlisten = [\"{}\"]\n{more}",
            self.radius, self.socketmap, self.policy, self.http,
        );
        fs::write(&path, text)?;
        // A secret stands in it: the daemon refuses a file that everybody may read.
        fs::set_permissions(path, Permissions::from_mode(0o600))
    }

    /// Starts the process over the data that is there; does not wait.
    pub(crate) fn launch(&mut self) -> Result<(), Failure> {
        let mut command = command(&self.program, None);
        command.arg("serve").arg("--config").arg(self.home.path().join("relaywarden.toml"));
        self.process = Some(Process::start("relaywarden", &mut command, &self.log())?);
        Ok(())
    }

    /// `kill -9`, and its end.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn wait(&mut self, ready: impl Fn(&Daemon) -> bool) -> Result<(), Failure> {
        // Taken out for as long as it is waited for, so that the daemon can be looked at.
        let Some(mut process) = self.process.take() else { return Err(Failure::NoAnswer("relaywarden")) };
        let outcome = process.wait(&self.log(), || ready(self));
        self.process = Some(process);
        outcome
    }

    /// Waits until an address has its right owner again, asking as a mail server does.
    pub(crate) fn wait_for_owner(&mut self, number: u32) -> Result<(), Failure> {
        self.wait(|daemon| {
            Connection::open(daemon.socketmap, Dialect::Socketmap)
                .is_ok_and(|mut map| map.owns(number).unwrap_or(false))
        })
    }

    /// Waits until nothing is left to be done behind the acknowledgements, be it the past or a snapshot; how long that took.
    /// `None`: too long.
    pub(crate) fn settle(&self, at_most: Duration) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < at_most {
            let idle = |metrics: Metrics| metrics.sum("index_behind") + metrics.sum("inbox_waiting") == 0;
            if self.metrics().is_some_and(idle) && !self.has_thread("snapshot") {
                return Some(began.elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// What `/metrics` says; `None` while nobody answers.
    pub(crate) fn metrics(&self) -> Option<Metrics> {
        let mut stream = TcpStream::connect(self.http).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http);
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("relaywarden_")?.rsplit_once(' '));
        let readings = lines.map(|(sample, value)| (sample.to_owned(), value.parse().unwrap_or(0))).collect();
        Some(Metrics(readings))
    }

    /// A size in octets from `/proc/PID/status`, such as `VmRSS`.
    pub(crate) fn memory(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.as_ref()?.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    }

    fn has_thread(&self, name: &str) -> bool {
        let Some(process) = self.process.as_ref() else { return false };
        let threads = fs::read_dir(format!("/proc/{}/task", process.id())).into_iter().flatten().flatten();
        let mut names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        names.any(|other| other.trim() == name)
    }

    /// Octets that the process had the disk read for it so far.
    pub(crate) fn octets_read(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/io", self.process.as_ref()?.id())).ok()?;
        text.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
    }

    /// Where its log and index are.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }
}

/// What `/metrics` said: samples with their labels.
pub(crate) struct Metrics(HashMap<String, u64>);

impl Metrics {
    /// The sum of all samples of a name, which is without its prefix.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let of_name = |sample: &str| sample.split('{').next() == Some(name);
        self.0.iter().filter(|(sample, _)| of_name(sample)).map(|(_, value)| value).sum()
    }

    /// Sessions that are believed no longer, or not yet.
    pub(crate) fn suspect(&self) -> u64 {
        let is = |sample: &str| sample.starts_with("sessions{") && sample.contains("state=\"suspect\"");
        self.0.iter().filter(|(sample, _)| is(sample)).map(|(_, value)| value).sum()
    }

    /// What became of RADIUS datagrams.
    pub(crate) fn datagrams(&self, outcome: &str) -> u64 {
        self.0.get(&format!("radius_datagrams_total{{outcome=\"{outcome}\"}}")).copied().unwrap_or(0)
    }
}
