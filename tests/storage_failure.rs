//! Storage that fails and comes back: nothing is acknowledged meanwhile, lookups go on, and no restart is needed.
//!
//! Each test runs in a mount namespace of its own, with the data directory on a 16 MiB tmpfs.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use tempfile::TempDir;

    use crate::common::asking::{Mail, Policy};
    use crate::common::daemon::{Daemon, Wanted};
    use crate::common::nas::{Attributes, Nas, Status};
    use crate::common::{eventually, peer, within};

    const ALICE: &str = "100.64.0.7";
    const PATIENCE: Duration = Duration::from_secs(1);
    /// "Seconds", with room for a machine that is busy with other tests.
    const RECOVERY: Duration = Duration::from_secs(15);

    /// A tmpfs of 16 MiB; it goes with the namespace at the latest.
    struct SmallDisk(TempDir);

    impl SmallDisk {
        fn mount() -> SmallDisk {
            let point = tempfile::Builder::new().prefix("relaywarden-disk-").tempdir().expect("a directory");
            let status = peer::command("mount")
                .args(["-t", "tmpfs", "-o", "size=16m,mode=0755", "tmpfs"])
                .arg(point.path())
                .status()
                .expect("mount starts");
            assert!(status.success(), "a tmpfs could not be mounted ({status})");
            SmallDisk(point)
        }

        fn data_dir(&self) -> PathBuf {
            self.0.path().join("data")
        }

        /// Writes until nothing more fits.
        fn fill(&self) -> PathBuf {
            let path = self.0.path().join("filler");
            let mut file = File::create(&path).expect("room for a name");
            for size in [65_536, 4096, 1] {
                let block = vec![0x55; size];
                while file.write(&block).is_ok_and(|written| written > 0) {}
            }
            path
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = peer::command("umount").arg("-l").arg(self.0.path()).status();
        }
    }

    fn daemon_on(disk: &SmallDisk) -> Daemon {
        let daemon = Daemon::start_with(&Wanted { data_dir: Some(disk.data_dir()), ..Wanted::default() });
        daemon.nas().report(Status::Start, "alice", "s-alice", ALICE);
        daemon
    }

    fn address(number: u32) -> String {
        format!("100.65.{}.{}", number / 250, number % 250 + 1)
    }

    fn start(number: u32) -> Attributes {
        let address = address(number).parse().expect("an address");
        // A thousand octets each, so that a full disk is soon noticed.
        (0..4).fold(
            Attributes::record(Status::Start, &format!("u{number}"), &format!("s{number}"), address),
            |attributes, _| attributes.with(25, &[0x5a; 250]),
        )
    }

    /// Reports new sessions until one is not acknowledged; returns its number.
    ///
    /// A log that has room left in a file of its own may go on for a while on a full disk, and what it acknowledges
    /// then it has to keep.
    fn report_until_silence(nas: &mut Nas) -> u32 {
        (0..20_000)
            .find(|number| !nas.tell_once(&start(*number), PATIENCE))
            .expect("the disk is full, yet all goes on")
    }

    fn assert_only_memory_answers(daemon: &Daemon, nas: &mut Nas, unacknowledged: u32) {
        for number in [unacknowledged, unacknowledged + 1] {
            assert!(!nas.tell_once(&start(number), PATIENCE), "nothing may be acknowledged now");
        }
        assert_eq!(daemon.map("relay", ALICE), "OK alice", "lookups go on from memory");
        // Who came online meanwhile is not known, so whoever is not known is not refused.
        assert_eq!(daemon.map("relay", "100.66.0.1"), "TEMP feed-blocked");
        let mut policy = Policy::connect(daemon.policy);
        let mail = Mail { instance: "11.22.33.0", ..Mail::default() };
        assert_eq!(policy.rcpt(&mail), "OK");
        let end = policy.end_of_message(&mail);
        assert!(end.starts_with("451 "), "a message that can't be recorded is deferred, not {end}");
        let (status, body) =
            eventually("readyz to tell", || daemon.http("/readyz").filter(|(status, _)| *status == 503));
        assert!(body.len() > 20, "{status} says why: {body:?}");
    }

    fn assert_recovers(daemon: &Daemon, nas: &mut Nas, unacknowledged: u32) {
        within(RECOVERY, "the pending Start to be acknowledged", || {
            nas.tell_once(&start(unacknowledged), PATIENCE).then_some(())
        });
        within(RECOVERY, "readyz", || daemon.http("/readyz").filter(|(status, _)| *status == 200));
        let mut policy = Policy::connect(daemon.policy);
        let mail = Mail { instance: "11.22.44.0", queue_id: "4jYLXY6NlJz1SW2G", ..Mail::default() };
        assert_eq!(policy.rcpt(&mail), "OK");
        assert_eq!(policy.end_of_message(&mail), "DUNNO");
        assert_eq!(daemon.messages(&["--queue-id", "4jYLXY6NlJz1SW2G"], 1).len(), 1);
    }

    fn assert_all_there(daemon: &Daemon, acknowledged: impl Iterator<Item = u32>) {
        for number in acknowledged {
            assert_eq!(daemon.map("subscriber", &address(number)), format!("OK u{number}"));
        }
        assert_eq!(daemon.map("relay", ALICE), "OK alice");
    }

    #[test]
    fn a_full_disk_stops_acknowledgements_and_nothing_else() {
        if !peer::present(&[("unshare", "util-linux"), ("mount", "mount")])
            || !peer::inside_namespace("tests::a_full_disk_stops_acknowledgements_and_nothing_else")
        {
            return;
        }
        let disk = SmallDisk::mount();
        let mut daemon = daemon_on(&disk);
        let mut nas = daemon.nas();
        let filler = disk.fill();
        let unacknowledged = report_until_silence(&mut nas);
        assert_only_memory_answers(&daemon, &mut nas, unacknowledged);

        fs::remove_file(filler).expect("our own file");
        assert_recovers(&daemon, &mut nas, unacknowledged);
        assert_all_there(&daemon, 0..=unacknowledged);
        daemon.restart();
        assert_all_there(&daemon, 0..=unacknowledged);
    }

    #[test]
    fn a_crash_on_a_full_disk_loses_nothing_that_was_acknowledged() {
        if !peer::present(&[("unshare", "util-linux"), ("mount", "mount")])
            || !peer::inside_namespace("tests::a_crash_on_a_full_disk_loses_nothing_that_was_acknowledged")
        {
            return;
        }
        let disk = SmallDisk::mount();
        let mut daemon = daemon_on(&disk);
        let filler = disk.fill();
        let unacknowledged = report_until_silence(&mut daemon.nas());
        daemon.crash();
        fs::remove_file(filler).expect("our own file");
        daemon.launch();
        daemon.wait_until_ready();
        assert_all_there(&daemon, 0..unacknowledged);
    }

    /// strace attached to the daemon, making every fsync fail from now on until it is let go.
    struct FailingFsync(Child);

    impl FailingFsync {
        fn attach(pid: i32, notes: &Path) -> FailingFsync {
            let strace = peer::command("strace")
                .args(["-f", "-qq", "-e", "trace=fsync,fdatasync"])
                .args(["-e", "inject=fsync,fdatasync:error=EIO"])
                .arg("-o")
                .arg(notes)
                .args(["-p", &pid.to_string()])
                .stderr(Stdio::inherit())
                .spawn()
                .expect("strace starts");
            let failing = FailingFsync(strace);
            eventually("strace to attach", || {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
                (tracer.trim() != "0").then_some(())
            });
            failing
        }
    }

    impl Drop for FailingFsync {
        fn drop(&mut self) {
            if let Ok(pid) = i32::try_from(self.0.id()) {
                // SIGINT makes strace detach; SIGKILL might leave the daemon stopped.
                let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
            }
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_failed_fsync_is_never_acknowledged_and_the_log_goes_on_elsewhere() {
        if !peer::present(&[("strace", "strace"), ("unshare", "util-linux"), ("mount", "mount")])
            || !peer::inside_namespace(
                "tests::a_failed_fsync_is_never_acknowledged_and_the_log_goes_on_elsewhere",
            )
        {
            return;
        }
        let disk = SmallDisk::mount();
        let mut daemon = daemon_on(&disk);
        let mut nas = daemon.nas();
        let notes = disk.0.path().join("strace");
        let failing = FailingFsync::attach(daemon.pid(), &notes);
        let unacknowledged = report_until_silence(&mut nas);
        assert_eq!(
            unacknowledged, 0,
            "the first commit that fails to reach the disk is the first without an answer"
        );
        assert_only_memory_answers(&daemon, &mut nas, unacknowledged);
        let traced = fs::read_to_string(&notes).unwrap_or_default();
        assert!(traced.contains("INJECTED"), "no fsync was made to fail: {traced}");

        drop(failing);
        assert_recovers(&daemon, &mut nas, unacknowledged);
        daemon.restart();
        assert_all_there(&daemon, 0..=unacknowledged);
    }
}
