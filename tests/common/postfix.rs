//! A Postfix of one's own: configuration, queue, log and ports in a temporary directory, ended by its master's number.
//!
//! Knows: how Postfix is set up, and the snippets in examples/postfix. Must not know: what a test wants to see. The
//! system's own Postfix is never started, stopped or configured.

use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tempfile::TempDir;

use super::daemon::{Daemon, text};
use super::{eventually, free_port, peer};

/// The addresses in the snippets' master.cf, in the order: mx, relay, submission.
const SNIPPET_LISTENERS: [&str; 3] = ["192.0.2.25:smtp", "192.0.2.26:smtp", "192.0.2.26:submission"];

/// Everything but smtpd. Nothing is chrooted: the socketmap and the SASL database are outside the queue directory.
const SERVICES: &str = "\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
";

/// A running Postfix.
pub(crate) struct Postfix {
    home: TempDir,
    starter: Child,
    /// Its only listener, or the one for customers' mail by address.
    pub(crate) relay: SocketAddr,
    /// Inbound; the same as `relay` unless the snippet has three.
    pub(crate) mx: SocketAddr,
    /// Authenticated submission; the same as `relay` unless the snippet has three.
    pub(crate) submission: SocketAddr,
}

/// Whether a test that needs Postfix may go on; see `peer::present`.
pub(crate) fn present() -> bool {
    let programs = [("postfix", "postfix"), ("postmap", "postfix"), ("saslpasswd2", "sasl2-bin")];
    if !peer::present(&programs) {
        return false;
    }
    // Postfix's master refuses to run as anybody else: it starts its children as several users.
    assert!(
        peer::is_root(),
        "Postfix runs as root only: run this test program as root (tests/run uses sudo)"
    );
    true
}

/// A file of examples/postfix as it stands.
pub(crate) fn snippet(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/postfix").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Postfix {
    /// Starts one with these main.cf snippets, asking this daemon.
    pub(crate) fn start(daemon: &Daemon, snippets: &[&str]) -> Postfix {
        Postfix::start_with(daemon, snippets, "")
    }

    /// Starts one with more lines for main.cf.
    pub(crate) fn start_with(daemon: &Daemon, snippets: &[&str], more: &str) -> Postfix {
        Postfix::start_changed(daemon, snippets, more, &[])
    }

    /// Starts one with more lines for main.cf, and others for what stands in the snippets.
    pub(crate) fn start_changed(
        daemon: &Daemon,
        snippets: &[&str],
        more: &str,
        changes: &[(&str, &str)],
    ) -> Postfix {
        let ports = [free_port(), free_port(), free_port()];
        let [mx, relay, submission] = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let home = tempfile::Builder::new().prefix("relaywarden-postfix-").tempdir().expect("a directory");
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("our own directory");

        let mut main = main_cf(home.path());
        for name in snippets {
            main.push_str(&snippet(name));
        }
        // The daemon of this test listens elsewhere than the one in the snippets; nothing else is changed in them.
        let main = main
            .replace("127.0.0.1:10023", &daemon.socketmap.to_string())
            .replace("127.0.0.1:10024", &daemon.policy.to_string())
            .replace("127.0.0.1:10025", &daemon.milter.to_string());
        let main = changes.iter().fold(main, |text, (there, here)| text.replace(there, here));
        let three = snippets.contains(&"profiles.main.cf");
        let smtpd = if three {
            SNIPPET_LISTENERS
                .iter()
                .zip([mx, relay, submission])
                .fold(snippet("profiles.master.cf"), |text, (there, here)| {
                    text.replace(there, &here.to_string())
                })
        } else {
            format!("{relay} inet n - n - - smtpd\n")
        };

        let etc = home.path().join("etc");
        for directory in ["etc", "etc/sasl", "spool", "data"] {
            fs::create_dir(home.path().join(directory)).expect("our own directory");
        }
        let owner =
            User::from_name("postfix").expect("the user database").expect("the package makes its user");
        chown(home.path().join("data"), Some(owner.uid.as_raw()), None).expect("root may");
        make_login(&etc.join("sasl"), &owner);
        fs::write(etc.join("main.cf"), main + more + "\n").expect("our own file");
        fs::write(etc.join("master.cf"), format!("{SERVICES}{smtpd}")).expect("our own file");

        let output = File::create(home.path().join("output")).expect("our own file");
        let starter = peer::command("postfix")
            .arg("-c")
            .arg(&etc)
            .arg("start-fg")
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("postfix starts");
        let (mx, submission) = if three { (mx, submission) } else { (relay, relay) };
        let postfix = Postfix { home, starter, relay, mx, submission };
        eventually("Postfix to start", || postfix.log().contains("daemon started").then_some(()));
        eventually("Postfix to listen", || std::net::TcpStream::connect(relay).ok());
        postfix
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("mail.log")).unwrap_or_default()
    }

    /// A line of the log, once there is one that holds all these words.
    pub(crate) fn logged(&self, words: &[&str]) -> String {
        eventually(&format!("{words:?} in the mail log"), || {
            let log = self.log();
            log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        })
    }

    /// One of Postfix's commands, with this instance's configuration.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = peer::command(program);
        command.arg("-c").arg(self.home.path().join("etc"));
        command
    }

    /// The header of a message that is in the queue.
    pub(crate) fn header(&self, queue_id: &str) -> String {
        // While it moves from one queue directory to the next it is for a moment in neither of those tried.
        eventually("the message in the queue", || {
            let output =
                self.command("postcat").args(["-h", "-q", queue_id]).output().expect("postcat starts");
            output.status.success().then(|| text(&output.stdout))
        })
    }

    fn master(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.home.path().join("spool/pid/master.pid")).ok()?;
        let pid: i32 = pid.trim().parse().ok()?;
        // The number is trusted only while it is a process that was started with our own directory.
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        text(&environment).contains(self.home.path().to_str()?).then(|| Pid::from_raw(pid))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if let Some(master) = self.master() {
            // The master hands SIGTERM on to its children.
            let _ = kill(master, Signal::SIGTERM);
        }
        let _ = self.starter.wait();
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- the mail log\n{log}");
            eprintln!("{}", fs::read_to_string(self.home.path().join("output")).unwrap_or_default());
        }
    }
}

/// `postmap -q KEY socketmap:inet:...:MAP`: what postmasters try first.
pub(crate) fn postmap(daemon: &Daemon, map: &str, key: &str) -> Output {
    let empty = empty_configuration();
    peer::command("postmap")
        .arg("-c")
        .arg(empty.path())
        .args(["-q", key, &format!("socketmap:inet:{}:{map}", daemon.socketmap)])
        .stdin(Stdio::null())
        .output()
        .expect("postmap starts")
}

/// `postmap -q - TABLE`: the lines that it prints for these keys, "KEY tab VALUE" for each that is found.
pub(crate) fn postmap_all(table: &str, keys: &[&str]) -> Vec<String> {
    use std::io::Write as _;
    let empty = empty_configuration();
    let mut child = peer::command("postmap")
        .arg("-c")
        .arg(empty.path())
        .args(["-q", "-", table])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("postmap starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(format!("{}\n", keys.join("\n")).as_bytes()).expect("postmap reads");
    drop(input);
    let output = child.wait_with_output().expect("postmap ends");
    assert_eq!(text(&output.stderr), "", "postmap complains of {table}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// postmap wants a main.cf; one that says next to nothing keeps the system's out of the test.
fn empty_configuration() -> TempDir {
    let empty = tempfile::tempdir().expect("a directory");
    fs::write(empty.path().join("main.cf"), "compatibility_level = 3.6\nmyhostname = mx.isp.example\n")
        .expect("our own file");
    empty
}

fn main_cf(home: &Path) -> String {
    let own = |name: &str| -> PathBuf { home.join(name) };
    format!(
        "\
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
maillog_file = {log}
maillog_file_prefixes = {home}
myhostname = mx.isp.example
mydestination =
relay_domains = isp.example
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = all
alias_maps =
alias_database =
local_recipient_maps =
default_transport = discard:
relay_transport = discard:
local_transport = discard:
smtpd_authorized_xclient_hosts = 127.0.0.1/32
smtpd_peername_lookup = no
cyrus_sasl_config_path = {sasl}
smtpd_sasl_local_domain = isp.example
",
        spool = own("spool").display(),
        data = own("data").display(),
        log = own("mail.log").display(),
        home = home.display(),
        sasl = own("etc/sasl").display(),
    )
}

/// The login bob@isp.example, password "open sesame", in a database of this instance.
///
/// Debian's Postfix looks for smtpd.conf in `sasl` below its configuration, whatever cyrus_sasl_config_path says; others
/// obey the setting. Both lead to the same directory here.
fn make_login(directory: &Path, reader: &User) {
    use std::io::Write as _;
    let database = directory.join("sasldb2");
    let conf = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: {}\n",
        database.display()
    );
    fs::write(directory.join("smtpd.conf"), conf).expect("our own file");
    let mut child = peer::command("saslpasswd2")
        .args(["-p", "-c", "-u", "isp.example", "-f"])
        .arg(&database)
        .arg("bob")
        .stdin(Stdio::piped())
        .spawn()
        .expect("saslpasswd2 starts");
    child.stdin.take().expect("a pipe").write_all(b"open sesame\n").expect("saslpasswd2 reads");
    assert!(child.wait().expect("its end").success(), "saslpasswd2 failed");
    chown(&database, None, Some(reader.gid.as_raw())).expect("root may");
    fs::set_permissions(&database, Permissions::from_mode(0o640)).expect("root may");
}
