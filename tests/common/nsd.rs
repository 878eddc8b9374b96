//! An NSD of one's own: configuration, zones and port in a temporary directory, ended by its process number.
//!
//! Knows: how NSD is set up, and how a zone is written. Must not know: what a test wants to see. The system's own NSD is never
//! started, stopped or configured.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{eventually, free_port, peer};

/// Whether a test that needs NSD may go on; see `peer::present`.
pub(crate) fn present() -> bool {
    peer::present(&[("nsd", "nsd")])
}

/// A running NSD.
pub(crate) struct Nsd {
    home: TempDir,
    child: Option<Child>,
    serial: u32,
    /// Where it answers.
    pub(crate) address: SocketAddr,
}

impl Nsd {
    /// Starts one with these zones, each with its records. A zone without any has no file, and nothing is known of it
    /// (SERVFAIL).
    pub(crate) fn start(zones: &[(&str, &str)]) -> Nsd {
        let home = tempfile::Builder::new().prefix("relaywarden-nsd-").tempdir().expect("a directory");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut nsd = Nsd { home, child: None, serial: 0, address };
        let place = nsd.home.path().display().to_string();
        let mut config = format!(
            "server:\n ip-address: {}@{}\n port: {}\n username: \"\"\n zonesdir: \"{place}\"\n database: \"\"\n pidfile: \"\"\n \
             xfrdfile: \"{place}/xfrd.state\"\n xfrdir: \"{place}\"\n zonelistfile: \"{place}/zone.list\"\n server-count: 1\n \
             rrl-ratelimit: 0\nremote-control:\n control-enable: no\n",
            address.ip(),
            address.port(),
            address.port(),
        );
        for (zone, records) in zones {
            config += &format!("zone:\n name: \"{zone}\"\n zonefile: \"{zone}.zone\"\n");
            if !records.is_empty() {
                nsd.write(zone, records);
            }
        }
        fs::write(nsd.home.path().join("nsd.conf"), config).expect("our own file");
        nsd.launch(zones.first().expect("a zone").0);
        nsd
    }

    fn launch(&mut self, zone: &str) {
        let output = File::create(self.home.path().join("output")).expect("our own file");
        let child = peer::command("nsd")
            .args(["-d", "-c"])
            .arg(self.home.path().join("nsd.conf"))
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("nsd starts");
        self.child = Some(child);
        eventually("NSD to answer", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "NSD ended while starting:\n{}", self.said());
            (self.serial(zone)? > 0).then_some(())
        });
    }

    fn write(&mut self, zone: &str, records: &str) {
        self.serial += 1;
        let text = format!(
            "$ORIGIN {zone}.\n$TTL 1\n@ IN SOA ns.{zone}. hostmaster.{zone}. {} 60 60 60 1\n@ IN NS ns.{zone}.\n{records}\n",
            self.serial
        );
        fs::write(self.home.path().join(format!("{zone}.zone")), text).expect("our own file");
    }

    /// Has other records in a zone from here on.
    pub(crate) fn change(&mut self, zone: &str, records: &str) {
        self.write(zone, records);
        self.signal(Signal::SIGHUP);
        eventually("NSD to have read its zones again", || (self.serial(zone)? == self.serial).then_some(()));
    }

    /// The serial of the zone as it is answered.
    fn serial(&self, zone: &str) -> Option<u32> {
        let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        socket.connect(self.address).ok()?;
        let mut query = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in zone.split('.') {
            query.push(u8::try_from(label.len()).ok()?);
            query.extend(label.as_bytes());
        }
        // SOA, IN
        query.extend([0, 0, 6, 0, 1]);
        socket.send(&query).ok()?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).ok()?;
        let answered = answer.get(7) > Some(&0);
        // The answer's name is a pointer; then type, class, TTL, length, and two names, of which the serial is behind. The zone has
        // "ns" and "hostmaster" before a pointer each: 5 and 13 octets.
        let behind = query.len() + 12 + 5 + 13;
        let serial = answer.get(behind..behind + 4).filter(|_| answered && behind + 4 <= length)?;
        Some(u32::from_be_bytes(serial.try_into().ok()?))
    }

    fn said(&self) -> String {
        fs::read_to_string(self.home.path().join("output")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let pid = i32::try_from(child.id()).expect("a process number");
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- NSD said\n{}", self.said());
        }
    }
}
