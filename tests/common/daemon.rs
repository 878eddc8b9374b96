//! A relaywarden of one's own: in a temporary directory, on free ports, ended by its process number.
//!
//! Knows: keys of the configuration, the command line, HTTP over the Unix socket. Must not know: the crate.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::clock::{self, Kill};
use super::{asking, eventually, free_port, nas::Nas};

/// The secret of the RADIUS client on loopback.
pub(crate) const SECRET: &str = "a secret of four words";
/// The client on `::1` has another, from a file.
pub(crate) const SECRET_V6: &str = "another secret for IPv6";

/// What a test wants different from the ordinary.
pub(crate) struct Wanted {
    /// Lines for `[session]`.
    pub(crate) session: &'static str,
    /// Lines for `[relay]`.
    pub(crate) relay: &'static str,
    /// Lines for `[policy]`.
    pub(crate) policy: &'static str,
    /// Lines for `[milter]`, which listens only then.
    pub(crate) milter: Option<&'static str>,
    /// Whether it is reached over TCP, too.
    pub(crate) web: bool,
    /// Where the log lives, when not in the temporary directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// `[[radius.client]]` and all that feeds it, in place of the two clients on loopback.
    pub(crate) feeds: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        // Without a warm-up the daemon knows from its first second; tests of the warm-up say so.
        Wanted {
            session: "warm-up = \"0s\"",
            relay: "",
            policy: "",
            milter: None,
            web: false,
            data_dir: None,
            feeds: None,
        }
    }
}

/// The running daemon.
pub(crate) struct Daemon {
    child: Option<Child>,
    home: TempDir,
    /// The socket for RADIUS over IPv4, if we hold it for the daemon as a service manager does.
    held: Option<UdpSocket>,
    /// RADIUS over IPv4.
    pub(crate) radius: SocketAddr,
    /// RADIUS over IPv6.
    pub(crate) radius_v6: SocketAddr,
    /// Socketmap.
    pub(crate) socketmap: SocketAddr,
    /// Policy delegation.
    pub(crate) policy: SocketAddr,
    /// Milter, where it listens.
    pub(crate) milter: SocketAddr,
    /// HTTP over TCP, where it listens.
    pub(crate) web: SocketAddr,
}

impl Daemon {
    /// Starts one with ordinary settings and waits until it answers truly.
    pub(crate) fn start() -> Daemon {
        Daemon::start_with(&Wanted::default())
    }

    /// Starts one.
    pub(crate) fn start_with(wanted: &Wanted) -> Daemon {
        let home = tempfile::Builder::new().prefix("relaywarden-").tempdir().expect("a temporary directory");
        // Postfix's own user looks up nothing in here, but a Unix socket needs a way to it.
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("our own directory");
        let mut daemon = Daemon {
            child: None,
            held: None,
            radius: SocketAddr::from(([127, 0, 0, 1], free_port())),
            radius_v6: format!("[::1]:{}", free_port()).parse().expect("an address"),
            socketmap: SocketAddr::from(([127, 0, 0, 1], free_port())),
            policy: SocketAddr::from(([127, 0, 0, 1], free_port())),
            milter: SocketAddr::from(([127, 0, 0, 1], free_port())),
            web: SocketAddr::from(([127, 0, 0, 1], free_port())),
            home,
        };
        daemon.configure(wanted);
        daemon.launch();
        daemon.wait_until_ready();
        daemon
    }

    /// Writes the configuration; a running daemon reads it at `SIGHUP`, a stopped one when it is launched.
    pub(crate) fn configure(&self, wanted: &Wanted) {
        let secret = self.home.path().join("secret6");
        write_private(&secret, SECRET_V6);
        let data = wanted.data_dir.clone().unwrap_or_else(|| self.data_dir());
        let text = format!(
            r#"
data-dir = "{data}"

[retention]
sessions = "180d"
messages = "90d"
questions = "365d"

[radius]
listen = ["{radius}", "{radius_v6}"]

{feeds}

[session]
{session}

[relay]
{relay}

[socketmap]
listen = ["{socketmap}"]

[policy]
listen = ["{policy}"]
{policy_more}

{milter}

[http]
socket = "{socket}"
listen = [{web}]
"#,
            data = data.display(),
            radius = self.radius,
            radius_v6 = self.radius_v6,
            feeds = wanted.feeds.clone().unwrap_or_else(clients_on_loopback),
            session = wanted.session,
            relay = wanted.relay,
            socketmap = self.socketmap,
            policy = self.policy,
            policy_more = wanted.policy,
            milter = wanted.milter.map_or(String::new(), |lines| {
                format!("[milter]\nlisten = [\"{}\"]\n{lines}", self.milter)
            }),
            web = if wanted.web { format!("\"{}\"", self.web) } else { String::new() },
            socket = self.socket().display(),
        );
        write_private(&self.configuration(), &text);
    }

    /// Holds the socket for RADIUS from here on, also while no daemon runs. None may run now.
    pub(crate) fn hold_socket(&mut self) {
        self.held = Some(UdpSocket::bind(self.radius).expect("a free address"));
    }

    /// Starts the process over the data that is there; does not wait.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "one process at a time");
        let command = match &self.held {
            None => Command::new(program()),
            Some(_) => {
                // The first descriptor that a service manager hands over is the third.
                let hand_over = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
                let mut shell = Command::new("sh");
                shell.args(["-c", hand_over]).arg(program());
                shell
            }
        };
        self.spawn(command);
    }

    /// The same with its clock so many days ahead, and killed at a certain place.
    pub(crate) fn launch_ahead(&mut self, days: u32, kill: Option<Kill>) {
        assert!(self.child.is_none(), "one process at a time");
        self.spawn(clock::ahead(&program(), days, kill));
    }

    fn spawn(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log file");
        let held = self.held.as_ref().map(|held| OwnedFd::from(held.try_clone().expect("a second handle")));
        let child = command
            .arg("serve")
            .arg("--config")
            .arg(self.configuration())
            .stdin(held.map_or_else(Stdio::null, Stdio::from))
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("relaywarden starts");
        self.child = Some(child);
    }

    /// Waits until `/readyz` says 200.
    pub(crate) fn wait_until_ready(&mut self) {
        eventually("the daemon to become ready", || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                panic!("relaywarden ended while starting ({status}):\n{}", self.log_text());
            }
            let (status, _) = self.http("/readyz")?;
            (status == 200).then_some(())
        });
    }

    /// Whether the process has ended, by whatever hand.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("its status").is_some())
    }

    /// Stops it as systemd would and starts it again over the same data.
    pub(crate) fn restart(&mut self) {
        self.terminate();
        self.launch();
        self.wait_until_ready();
    }

    /// `SIGTERM`, and its end, which must be a clean one.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
        let mut child = self.child.take().expect("a running daemon");
        let status = eventually("the daemon to stop", || child.try_wait().expect("its status"));
        assert!(status.success(), "a stop that was asked for ended with {status}:\n{}", self.log_text());
    }

    /// `SIGKILL`: the crash that needs no accident.
    pub(crate) fn crash(&mut self) {
        let mut child = self.child.take().expect("a running daemon");
        child.kill().expect("our own child");
        child.wait().expect("its end");
    }

    /// Sends a signal to the running process. Once it is told to stop, none of it runs any more when this returns: on a busy machine
    /// that takes a moment.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("our own child");
        if signal == Signal::SIGSTOP {
            eventually("each thread to stop", || self.is_stopped().then_some(()));
        }
    }

    fn is_stopped(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a running process");
        let mut states = threads.flatten().map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        });
        states.all(|stopped| stopped)
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> i32 {
        let pid = self.child.as_ref().expect("a running daemon").id();
        i32::try_from(pid).expect("a process number")
    }

    /// A command line that talks to this daemon.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(program())
            .args(arguments)
            .env("RELAYWARDEN_SOCKET", self.socket())
            .stdin(Stdio::null())
            .output()
            .expect("relaywarden starts")
    }

    /// What a reading command prints with `-o json`; `None` when it found nothing (exit 1).
    pub(crate) fn json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.cli(&[arguments, &["-o", "json"]].concat());
        match output.status.code() {
            Some(0) => Some(serde_json::from_slice(&output.stdout).expect("JSON on standard output")),
            Some(1) => None,
            _ => panic!("{arguments:?} failed ({}): {}", output.status, text(&output.stderr)),
        }
    }

    /// The messages that `messages` finds, once there are this many.
    pub(crate) fn messages(&self, filter: &[&str], at_least: usize) -> Vec<Value> {
        self.rows("messages", filter, at_least)
    }

    /// The sessions that `sessions` finds, once there are this many.
    pub(crate) fn sessions(&self, filter: &[&str], at_least: usize) -> Vec<Value> {
        self.rows("sessions", filter, at_least)
    }

    /// The index is filled behind the acknowledgement, so the newest row may be moments away.
    fn rows(&self, command: &str, filter: &[&str], at_least: usize) -> Vec<Value> {
        eventually(&format!("{at_least} {command} for {filter:?}"), || {
            let Value::Array(found) = self.json(&[&[command], filter].concat())? else {
                panic!("an array was promised");
            };
            (found.len() >= at_least).then_some(found)
        })
    }

    /// Suspends or releases; panics with what the command said when it failed.
    pub(crate) fn order(&self, arguments: &[&str]) {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }

    /// Status and body of a `GET` over the Unix socket; `None` when nobody answers.
    pub(crate) fn http(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Some((status, body))
    }

    /// A NAS on IPv4 loopback that knows the secret.
    pub(crate) fn nas(&self) -> Nas {
        Nas::new(self.radius, SECRET.as_bytes())
    }

    /// One socketmap question on a connection of its own.
    pub(crate) fn map(&self, map: &str, key: &str) -> String {
        asking::Socketmap::connect(self.socketmap).ask(map, key)
    }

    /// The Unix socket of the command line.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("api.sock")
    }

    /// Where the log lives, unless the test wanted it elsewhere.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The configuration file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.home.path().join("relaywarden.toml")
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("daemon.log")
    }

    /// What it has written to standard error so far.
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A stopped process takes SIGKILL all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log_text();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the daemon's last lines");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The program under test: the one just built, or an installed one that a packager wants tried.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("RELAYWARDEN_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_relaywarden")), PathBuf::from)
}

/// Octets as text for a message to the reader of a failed test.
pub(crate) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn clients_on_loopback() -> String {
    format!(
        r#"[[radius.client]]
name = "bras1"
address = "127.0.0.0/8"
secret = "{SECRET}"

[[radius.client]]
name = "bras6"
address = "::1/128"
secret-file = "secret6""#
    )
}

fn write_private(path: &Path, content: &str) {
    fs::write(path, content).expect("our own directory");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("our own file");
}
