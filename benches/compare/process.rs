//! A child process of ours, and what all of them need: a free port, a directory, an end.
//!
//! Knows: how a process is started and ended. Must not know: which program it is.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::Failure;

/// A start that takes longer has failed.
const STARTS_WITHIN: Duration = Duration::from_secs(300);
/// Whoever is told to end and takes longer is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// A running child. It ends with its owner.
pub(crate) struct Process {
    child: Child,
    what: &'static str,
    /// Asks it to end.
    farewell: Signal,
}

impl Process {
    /// Starts it; both its outputs go to the file `said`.
    pub(crate) fn start(what: &'static str, command: &mut Command, said: &Path) -> Result<Process, Failure> {
        let failed = |error| Failure::System(what, error);
        let log = fs::File::options().create(true).append(true).open(said).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        Ok(Process { child: command.spawn().map_err(failed)?, what, farewell: Signal::SIGTERM })
    }

    /// Starts it, and returns its standard output, too.
    pub(crate) fn start_and_listen(
        what: &'static str,
        command: &mut Command,
    ) -> Result<(Process, ChildStdout), Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::System(what, error))?;
        let out = child.stdout.take();
        let process = Process { child, what, farewell: Signal::SIGTERM };
        out.map(|out| (process, out)).ok_or(Failure::NoAnswer("a process of ours"))
    }

    /// The same, ended by another signal than SIGTERM.
    pub(crate) fn ended_by(mut self, farewell: Signal) -> Process {
        self.farewell = farewell;
        self
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and its end.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.child
            .kill()
            .and_then(|()| self.child.wait().map(drop))
            .map_err(|error| Failure::System(self.what, error))
    }

    /// Waits until it is ready; `said` is where its last words stand if it never is.
    pub(crate) fn wait(&mut self, said: &Path, mut ready: impl FnMut() -> bool) -> Result<(), Failure> {
        let began = Instant::now();
        while !ready() {
            if !matches!(self.child.try_wait(), Ok(None)) || began.elapsed() > STARTS_WITHIN {
                return Err(Failure::NotReady(self.what, last_words(said)));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Ok(number) = i32::try_from(self.child.id()) else { return };
        // Whoever has ended already was waited for, or is our zombie still: the number is nobody else's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(number), self.farewell);
        }
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > ENDS_WITHIN {
                let _ = self.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The end of a log.
fn last_words(said: &Path) -> String {
    let text = fs::read_to_string(said).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A command whose process dies with the thread that starts it, however that ends: nothing is left running behind an
/// interrupted comparison. `user` is who it runs as, if not we.
pub(crate) fn command(program: &Path, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--init-groups");
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Where a program is, also in the places that an ordinary user's PATH leaves out.
pub(crate) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, Failure> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut places =
        path.split(':').chain(["/usr/sbin", "/sbin"]).map(|place| Path::new(place).join(program));
    places.find(|candidate| candidate.is_file()).ok_or(Failure::Missing(program, package))
}

/// What a program says of its version, in one line.
pub(crate) fn version(program: &Path, argument: &str) -> String {
    let out = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// A directory of one's own below `place`, removed with its owner.
pub(crate) fn directory(prefix: &str, place: &Path) -> Result<TempDir, Failure> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(place);
    made.map_err(|error| Failure::System("a temporary directory", error))
}

/// A port that is free for both protocols now; another program may still be faster.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
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
