//! The daemon under load: a child process with a configuration of its own, on free ports of loopback.
//!
//! Knows: its configuration, its metrics, what the kernel says of the process. Must not know: what is measured.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Failure;
use super::feed::SECRET;
use super::mta::Socketmap;

/// A start that takes longer has failed.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// The child process, and what it needs.
pub(crate) struct Daemon {
    child: Option<Child>,
    program: PathBuf,
    home: TempDir,
    data: TempDir,
    /// RADIUS accounting.
    pub(crate) radius: SocketAddr,
    /// Socketmap.
    pub(crate) socketmap: SocketAddr,
    http: SocketAddr,
}

impl Daemon {
    /// Starts it over a new directory within `disk`, and waits until it is ready.
    pub(crate) fn start(program: &Path, disk: &Path) -> Result<Daemon, Failure> {
        let failed = |error| Failure::System("a temporary directory", error);
        let named = |name| {
            let mut builder = tempfile::Builder::new();
            builder.prefix(name);
            builder
        };
        let mut daemon = Daemon {
            child: None,
            program: program.to_owned(),
            home: named("relaywarden-load-").tempdir().map_err(failed)?,
            data: named("load-data-").tempdir_in(disk).map_err(failed)?,
            radius: free_address()?,
            socketmap: free_address()?,
            http: free_address()?,
        };
        daemon.configure().map_err(|error| Failure::System("the configuration", error))?;
        daemon.launch()?;
        daemon.wait(|daemon| daemon.metrics().is_some_and(|metrics| metrics.sum("ready") > 0))?;
        Ok(daemon)
    }

    fn configure(&self) -> std::io::Result<()> {
        let path = self.home.path().join("relaywarden.toml");
        let (data, socket) = (self.data_dir(), self.home.path().join("api.sock"));
        let text = format!(
            "data-dir = {data:?}\n\
             [radius]\nlisten = [\"{}\"]\n\
             [[radius.client]]\nname = \"load\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\
             [session]\nwarm-up = \"0s\"\n\
             [socketmap]\nlisten = [\"{}\"]\n\
             [policy]\nlisten = []\n\
             [http]\nsocket = {socket:?}\nlisten = [\"{}\"]\n",
            self.radius, self.socketmap, self.http,
        );
        fs::write(&path, text)?;
        // A secret stands in it: the daemon refuses a file that everybody may read.
        fs::set_permissions(path, Permissions::from_mode(0o600))
    }

    /// Starts the process over the data that is there; does not wait.
    pub(crate) fn launch(&mut self) -> Result<(), Failure> {
        let failed = |error| Failure::System("starting relaywarden", error);
        let log = File::options().create(true).append(true).open(self.home.path().join("log"));
        let child = Command::new(&self.program)
            .arg("serve")
            .arg("--config")
            .arg(self.home.path().join("relaywarden.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        self.child = Some(child);
        Ok(())
    }

    /// `kill -9`, and its end.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child
            .kill()
            .and_then(|()| child.wait().map(drop))
            .map_err(|e| Failure::System("killing relaywarden", e))
    }

    /// Waits until an address has its right owner again, asking as a mail server does.
    pub(crate) fn wait_for_owner(&mut self, number: u32) -> Result<(), Failure> {
        self.wait(|daemon| {
            Socketmap::connect(daemon.socketmap).is_ok_and(|mut map| map.owns(number).unwrap_or(false))
        })
    }

    /// Waits until nothing is left to be done behind the acknowledgements; how long that took. `None`: too long.
    pub(crate) fn settle(&self, at_most: Duration) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < at_most {
            let idle = |metrics: Metrics| metrics.sum("index_behind") + metrics.sum("inbox_waiting") == 0;
            if self.metrics().is_some_and(idle) {
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
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: relaywarden\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let mut sums = HashMap::new();
        for line in text.lines().filter(|line| line.starts_with("relaywarden_")) {
            let (sample, value) = line.rsplit_once(' ')?;
            let name = sample.split('{').next().unwrap_or(sample);
            *sums.entry(name.to_owned()).or_insert(0) += value.parse::<u64>().unwrap_or(0);
        }
        Some(Metrics(sums))
    }

    /// A size in octets from `/proc/PID/status`, such as `VmRSS`.
    pub(crate) fn memory(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Where its log and index are.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// What it wrote to standard error last.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn wait(&mut self, mut done: impl FnMut(&Daemon) -> bool) -> Result<(), Failure> {
        let began = Instant::now();
        while !done(self) {
            let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || began.elapsed() > STARTS_WITHIN {
                return Err(Failure::NotReady(self.last_words()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing is left to be told when even that fails.
        let _ = self.kill();
    }
}

/// Sums over all labels.
pub(crate) struct Metrics(HashMap<String, u64>);

impl Metrics {
    /// The sum of all samples of a name, which is without its prefix.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.0.get(&format!("relaywarden_{name}")).copied().unwrap_or(0)
    }
}

/// A port that is free for both protocols now; another program may still be faster.
fn free_address() -> Result<SocketAddr, Failure> {
    let failed = |error| Failure::System("a free port", error);
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(failed(std::io::ErrorKind::AddrInUse.into()))
}
