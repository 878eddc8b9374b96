//! What these stories share: another configuration for the same house, a process started by hand, a network of one's
//! own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::{Daemon, program, text};
use crate::common::{eventually, peer};

/// Changes the configuration's text; the running daemon does not know yet.
pub(crate) fn edit(daemon: &Daemon, from: &str, to: &str) {
    let path = daemon.configuration();
    let before = fs::read_to_string(&path).expect("our own file");
    assert!(before.contains(from), "{from:?} is not in\n{before}");
    fs::write(&path, before.replacen(from, to, 1)).expect("our own file");
}

/// `SIGHUP`, and the line that says what came of it.
pub(crate) fn reload(daemon: &Daemon) -> String {
    let before = daemon.log_text().len();
    daemon.signal(Signal::SIGHUP);
    eventually("the reload to be told", || {
        let log = daemon.log_text();
        let new = log.get(before..)?;
        let told = new.lines().any(|line| line.contains("read again") || line.contains("kept as it was"));
        told.then(|| new.to_owned())
    })
}

/// `serve` with this daemon's configuration, for a process with settings of its own.
pub(crate) fn serve(daemon: &Daemon) -> Command {
    serve_from(&daemon.configuration())
}

/// `serve` with this configuration.
pub(crate) fn serve_from(configuration: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg("serve").arg("--config").arg(configuration).stdin(Stdio::null());
    command
}

/// The exit code of a start that must fail, and what was written about it.
pub(crate) fn refused(command: &mut Command) -> (i32, String) {
    let home = tempfile::tempdir().expect("a directory");
    let mut process = Process::start(command, &home.path().join("log"));
    let status = process.ended();
    (status.code().expect("an exit code"), process.log_text())
}

/// A process with its log in a file; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Process {
        let file = File::create(log).expect("a log file");
        let child = command.stdout(Stdio::null()).stderr(file).spawn().expect("it starts");
        Process { child, log: log.to_owned() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("our own child");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process to end", || child.try_wait().expect("its status"))
    }

    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for a line of its log.
    pub(crate) fn says(&mut self, what: &str) {
        eventually(&format!("the log to say {what:?}"), || {
            let log = self.log_text();
            if let Some(status) = self.child.try_wait().expect("its status") {
                panic!("it ended ({status}) before it said {what:?}:\n{log}");
            }
            log.contains(what).then_some(())
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status line, headers and body of a `GET` over TCP.
pub(crate) fn get(server: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

/// The sample of the metrics whose line begins so.
pub(crate) fn metric(daemon: &Daemon, name_and_labels: &str) -> u64 {
    let (_, body) = daemon.http("/metrics").expect("the daemon answers");
    let line = body.lines().find(|line| line.starts_with(name_and_labels));
    let line = line.unwrap_or_else(|| panic!("no {name_and_labels} in\n{body}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// What a command printed; it must have ended with this code.
pub(crate) fn printed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A moment as the command line takes it. It is over: whatever is done next happens later, also when moments are
/// counted in milliseconds.
pub(crate) fn a_moment() -> String {
    let moment = jiff::Timestamp::now();
    while jiff::Timestamp::now().as_millisecond() <= moment.as_millisecond() {
        std::hint::spin_loop();
    }
    moment.to_string()
}

/// Runs the calling test again in a network of its own, whose only interface is its loopback: there every port is
/// free. `true`: we are inside already, and the test goes on.
pub(crate) fn inside_own_network(test: &str) -> bool {
    const INSIDE: &str = "RELAYWARDEN_TEST_NETWORK";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !peer::present(&[("unshare", "util-linux")]) {
        return false;
    }
    // Root can do without iproute2: the kernel takes the interface's flags (IFF_UP, IFF_LOOPBACK) from a file, too.
    let inside = "PATH=$PATH:/sbin:/usr/sbin; ip link set lo up 2>/dev/null ||
        { mount -t sysfs sysfs /sys && echo 0x9 >/sys/class/net/lo/flags; } || { echo 'no ip (iproute2)' >&2; exit 1; }
        exec \"$0\" \"$@\"";
    let mut unshare = peer::command("unshare");
    if !peer::is_root() {
        unshare.arg("--map-root-user");
    }
    let status = unshare
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c", inside])
        .arg(std::env::current_exe().expect("the path of this test program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare starts");
    assert!(status.success(), "{test} failed in a network of its own ({status})");
    false
}
