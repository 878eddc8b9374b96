//! A FreeRADIUS of one's own: configuration, files, log and port in a temporary directory, ended by its process number.
//!
//! Knows: how FreeRADIUS is set up, and the files in examples/freeradius. Must not know: what a test wants to see. The
//! system's own FreeRADIUS is never started, stopped or configured.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::daemon::SECRET;
use super::{eventually, free_port, peer};

/// The secret between a NAS and FreeRADIUS.
pub(crate) const NAS_SECRET: &str = "what the routers know";

/// A FreeRADIUS, running or not.
pub(crate) struct FreeRadius {
    home: TempDir,
    child: Option<Child>,
    /// Where it takes accounting.
    pub(crate) address: SocketAddr,
}

/// Whether a test that needs FreeRADIUS may go on; see `peer::present`.
pub(crate) fn present() -> bool {
    peer::present(&[("freeradius", "freeradius"), ("radclient", "freeradius-utils")])
}

/// A file of examples/freeradius as it stands.
pub(crate) fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/freeradius").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What Debian's own configuration has as well, and the examples build on.
const MODULES: &str = "\
preprocess {
	huntgroups = ${raddbdir}/huntgroups
	hints = ${raddbdir}/hints
}
replicate {
}
always ok {
	rcode = ok
}
always reject {
	rcode = reject
}
";

impl FreeRadius {
    /// A place for one.
    pub(crate) fn new() -> FreeRadius {
        let home = tempfile::Builder::new().prefix("relaywarden-freeradius-").tempdir().expect("a directory");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        FreeRadius { home, child: None, address }
    }

    /// Where the example writes detail files.
    pub(crate) fn detail_directory(&self) -> PathBuf {
        self.home.path().join("radacct/relaywarden")
    }

    /// Starts it with these sites of the examples, and maybe a relaywarden to send to. `changes` are made in all of them.
    pub(crate) fn start(
        &mut self,
        sites: &[&str],
        home_server: Option<SocketAddr>,
        changes: &[(&str, &str)],
    ) {
        self.prepare(home_server);
        let raddb = self.home.path().join("raddb");
        for site in sites {
            let text = example(&format!("sites-available/{site}"))
                .replace("ipaddr = *", &format!("ipaddr = {}", self.address.ip()))
                .replace("port = 1813", &format!("port = {}", self.address.port()));
            let text = changes.iter().fold(text, |text, (from, to)| {
                assert!(text.contains(from), "{site} has no {from:?}");
                text.replace(from, to)
            });
            fs::write(raddb.join("sites-enabled").join(site), &text).expect("our own file");
        }
        self.launch();
    }

    /// Starts it with one site that is no example.
    pub(crate) fn start_site(&mut self, text: &str) {
        self.prepare(None);
        fs::write(self.home.path().join("raddb/sites-enabled/own"), text).expect("our own file");
        self.launch();
    }

    fn prepare(&self, home_server: Option<SocketAddr>) {
        let raddb = self.home.path().join("raddb");
        for directory in ["", "mods-enabled", "policy.d", "sites-enabled"] {
            fs::create_dir_all(raddb.join(directory)).expect("our own directory");
        }
        fs::create_dir_all(self.home.path().join("log")).expect("our own directory");
        let write = |name: &str, text: &str| fs::write(raddb.join(name), text).expect("our own file");
        for name in ["hints", "huntgroups"] {
            write(name, "");
        }
        write("dictionary", "$INCLUDE /usr/share/freeradius/dictionary\n");
        write("radiusd.conf", &self.radiusd_conf());
        write("mods-enabled/debian", MODULES);
        for module in ["relaywarden", "relaywarden_queue"] {
            write(&format!("mods-enabled/{module}"), &example(&format!("mods-available/{module}")));
        }
        write("policy.d/relaywarden", &example("policy.d/relaywarden"));
        // The places and the secret are those of this test; nothing else is changed in the examples.
        let server = home_server.unwrap_or(SocketAddr::from(([127, 0, 0, 1], free_port())));
        let proxy = example("home-server.conf")
            .replace("ipaddr = 192.0.2.25", &format!("ipaddr = {}", server.ip()))
            .replace("port = 1813", &format!("port = {}", server.port()))
            .replace("change me, sixteen or more", SECRET);
        write("proxy.conf", &proxy);
    }

    /// Starts it again with one more site of the examples.
    pub(crate) fn add(&mut self, site: &str) {
        self.terminate();
        let path = self.home.path().join("raddb/sites-enabled").join(site);
        fs::write(path, example(&format!("sites-available/{site}"))).expect("our own file");
        self.launch();
    }

    /// Starts it with the configuration that is there.
    pub(crate) fn launch(&mut self) {
        let output = File::create(self.output()).expect("our own file");
        let child = peer::command("freeradius")
            .args(["-f", "-l", "stdout", "-d"])
            .arg(self.home.path().join("raddb"))
            // A zone with daylight saving: what is written in local time must come out right.
            .env("TZ", "Europe/Berlin")
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("freeradius starts");
        self.child = Some(child);
        eventually("FreeRADIUS to start", || {
            let said = self.said();
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "FreeRADIUS ended while starting:\n{said}");
            said.contains("Ready to process requests").then_some(())
        });
    }

    /// Stops it as systemd would.
    pub(crate) fn terminate(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = i32::try_from(child.id()).expect("a process number");
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let _ = child.wait();
        }
    }

    /// What it has written to its standard output so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.output()).unwrap_or_default()
    }

    fn output(&self) -> PathBuf {
        self.home.path().join("output")
    }

    /// The part of radiusd.conf that Debian's has as well, without its users and places.
    fn radiusd_conf(&self) -> String {
        format!(
            "\
name = freeradius
raddbdir = {home}/raddb
confdir = ${{raddbdir}}
logdir = {home}/log
run_dir = {home}
radacctdir = {home}/radacct
libdir = /usr/lib/freeradius
pidfile = {home}/freeradius.pid
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
log {{
	destination = stdout
}}
security {{
	max_attributes = 200
	status_server = yes
}}
proxy_requests = yes
thread pool {{
	start_servers = 2
	max_servers = 8
	min_spare_servers = 1
	max_spare_servers = 4
	max_requests_per_server = 0
}}
client routers {{
	ipaddr = 127.0.0.0/8
	secret = \"{NAS_SECRET}\"
}}
$INCLUDE proxy.conf
modules {{
	$INCLUDE mods-enabled/
}}
policy {{
	$INCLUDE policy.d/
}}
$INCLUDE sites-enabled/
",
            home = self.home.path().display(),
        )
    }
}

impl Drop for FreeRadius {
    fn drop(&mut self) {
        self.terminate();
        if std::thread::panicking() {
            eprintln!("--- FreeRADIUS said\n{}", self.said());
        }
    }
}
