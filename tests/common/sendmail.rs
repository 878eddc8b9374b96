//! A Sendmail of one's own, in a network of its own: it has no XCLIENT, so a client's address must be one that the host has.
//!
//! Debian lets nobody install it beside Postfix: `tests/run` unpacks its packages into `target/sendmail`, and nothing is installed.
//!
//! Knows: how Sendmail is set up, and the snippet in examples/sendmail. Must not know: what a test wants to see.

use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::daemon::{Daemon, text};
use super::{eventually, free_port, peer};

/// What every Sendmail needs; the snippet follows.
const BASE: &str = r"
OSTYPE(`linux')dnl
define(`confPID_FILE', `HOME/pid')dnl
define(`QUEUE_DIR', `HOME/queue')dnl
define(`STATUS_FILE', `HOME/statistics')dnl
define(`ALIAS_FILE', `')dnl
define(`confCW_FILE', `HOME/names')dnl
define(`confRUN_AS_USER', `root')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe,MapInUnsafeDirPath')dnl
define(`confTO_IDENT', `0')dnl
define(`confDELIVERY_MODE', `queueonly')dnl
define(`confDOMAIN_NAME', `mx.isp.example')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Name=MTA, Addr=HERE, Port=PORT')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
";

/// A running Sendmail.
pub(crate) struct Sendmail {
    home: TempDir,
    child: Child,
    /// Where it listens.
    pub(crate) relay: SocketAddr,
}

fn unpacked() -> PathBuf {
    std::env::var_os("RELAYWARDEN_SENDMAIL")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sendmail"), PathBuf::from)
}

/// Whether a test that needs Sendmail may go on.
pub(crate) fn present() -> bool {
    if !peer::present_file(&unpacked().join("usr/libexec/sendmail/sendmail"), "sendmail-bin") {
        return false;
    }
    assert!(
        peer::is_root(),
        "a network of its own takes root: run this test program as root (tests/run uses sudo)"
    );
    true
}

impl Sendmail {
    /// Starts one at this address, asking this daemon.
    pub(crate) fn start(daemon: &Daemon, here: &str) -> Sendmail {
        let home = tempfile::Builder::new().prefix("relaywarden-sendmail-").tempdir().expect("a directory");
        let own = |name: &str| home.path().join(name);
        let relay = SocketAddr::new(here.parse().expect("an address"), free_port());
        fs::create_dir(own("queue")).expect("our own directory");
        fs::write(own("names"), "").expect("our own file");
        let snippet = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sendmail/relaywarden.mc");
        let snippet = fs::read_to_string(snippet).expect("the snippet");
        // The daemon of this test listens elsewhere than the one in the snippet; nothing else is changed in it.
        let snippet = snippet
            .replace("inet:10023@", &format!("inet:{}@", daemon.socketmap.port()))
            .replace("inet:10025@", &format!("inet:{}@", daemon.milter.port()));
        let base = BASE
            .replace("HOME", &home.path().display().to_string())
            .replace("HERE", here)
            .replace("PORT", &relay.port().to_string());
        fs::write(own("sendmail.mc"), base + &snippet).expect("our own file");
        let share = unpacked().join("usr/share/sendmail/cf");
        let m4 = Command::new(unpacked().join("usr/bin/m4"))
            .arg(format!("-D_CF_DIR_={}/", share.display()))
            .arg(share.join("m4/cf.m4"))
            .arg(own("sendmail.mc"))
            .output()
            .expect("m4 starts");
        assert!(m4.status.success(), "{}", text(&m4.stderr));
        fs::write(own("sendmail.cf"), m4.stdout).expect("our own file");
        // Whoever takes on another group when it starts is not told where to look for libraries.
        fs::copy(unpacked().join("usr/libexec/sendmail/sendmail"), own("sendmail")).expect("room");
        fs::set_permissions(own("sendmail"), Permissions::from_mode(0o755)).expect("our own file");
        let libraries = fs::read_dir(unpacked().join("usr/lib")).expect("libraries");
        let libraries: Vec<String> =
            libraries.map(|entry| entry.expect("an entry").path().display().to_string()).collect();
        let output = File::create(own("output")).expect("our own file");
        let child = Command::new(own("sendmail"))
            .arg("-C")
            .arg(own("sendmail.cf"))
            .arg("-bD")
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("Sendmail starts");
        let mut sendmail = Sendmail { home, child, relay };
        eventually("Sendmail to listen", || {
            if let Some(status) = sendmail.child.try_wait().expect("its status") {
                panic!("Sendmail ended while starting ({status}):\n{}", sendmail.output());
            }
            std::net::TcpStream::connect(relay).ok()
        });
        sendmail
    }

    fn output(&self) -> String {
        fs::read_to_string(self.home.path().join("output")).unwrap_or_default()
    }

    /// The header of a message that is in the queue.
    pub(crate) fn header(&self, queue_id: &str) -> String {
        let file = self.home.path().join("queue").join(format!("qf{queue_id}"));
        text(&fs::read(file).expect("the message in the queue"))
    }
}

impl Drop for Sendmail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Sendmail said\n{}", self.output());
        }
    }
}
