//! `kill -9` at each step of filling, closing and letting go of the past's partitions: afterwards each row is there once.
//!
//! The real binary runs with its clock ahead (libfaketime): what was written on its first day is past `[retention]` on its last, and
//! what was written in between is not, and not in the index either, as a crash came before. So one start fills a partition, closes it,
//! and lets others go. strace kills it at the first, second, ... write, sync or unlink of that; the next start must come to
//! the same rows as one that nothing has befallen.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use nix::sys::signal::Signal;
    use serde_json::Value;

    use crate::common::asking::{Mail, Policy};
    use crate::common::clock::{self, Kill};
    use crate::common::daemon::{Daemon, Wanted, text};
    use crate::common::nas::{Attributes, Status};
    use crate::common::{Dice, eventually, peer};

    /// `[retention]` of these daemons is 180 days for sessions and 90 for messages.
    const IN_BETWEEN: u32 = 110;
    const LAST: u32 = 190;
    const MESSAGES: u32 = 30;
    const PATIENCE: Duration = Duration::from_secs(2);

    fn present() -> bool {
        peer::present(&[("strace", "strace")]) && clock::present()
    }

    fn online(daemon: &Daemon, name: &str, address: &str) {
        let address = address.parse().expect("an address");
        // Undated: it is the daemon's own clock that counts.
        let start = Attributes::undated(Status::Start, name, &format!("s-{name}"), address);
        assert!(daemon.nas().tell(&start), "{name} could not come online");
    }

    fn offline(daemon: &Daemon, name: &str, address: &str) {
        let address = address.parse().expect("an address");
        let stop = Attributes::undated(Status::Stop, name, &format!("s-{name}"), address);
        assert!(daemon.nas().tell(&stop), "{name} could not go offline");
    }

    fn send(daemon: &Daemon, name: &str, address: &str, count: u32) {
        let mut policy = Policy::connect(daemon.policy);
        for number in 0..count {
            let queue_id = format!("{name}{number}");
            let mail = Mail { client: address, queue_id: &queue_id, instance: &queue_id, ..Mail::default() };
            assert_eq!(policy.end_of_message(&mail), "DUNNO", "{queue_id}");
        }
    }

    /// Two days of a past: the first is in the index, of the second only the log knows.
    fn two_days() -> Daemon {
        let session = "warm-up = \"0s\"\ndefer-after-stop = \"0s\"";
        let mut daemon = Daemon::start_with(&Wanted { session, ..Wanted::default() });
        online(&daemon, "alice", "100.64.0.1");
        online(&daemon, "bob", "100.64.0.2");
        send(&daemon, "alice", "100.64.0.1", MESSAGES);
        send(&daemon, "bob", "100.64.0.2", MESSAGES);
        offline(&daemon, "bob", "100.64.0.2");
        daemon.terminate();
        daemon.launch_ahead(IN_BETWEEN, None);
        daemon.wait_until_ready();
        online(&daemon, "carol", "100.64.0.3");
        online(&daemon, "dave", "100.64.0.4");
        send(&daemon, "carol", "100.64.0.3", MESSAGES);
        offline(&daemon, "dave", "100.64.0.4");
        daemon.crash();
        daemon
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("our own directory");
        for entry in fs::read_dir(from).expect("a directory").flatten() {
            let (path, to) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                copy(&path, &to);
            } else {
                fs::copy(&path, &to).expect("our own file");
            }
        }
    }

    fn listed(daemon: &Daemon, command: &str, field: &str) -> Vec<String> {
        let rows = daemon.json(&[command, "--limit", "1000"]).unwrap_or_default();
        let of = |row: &Value| row[field].as_str().unwrap_or_default().to_owned();
        let mut all: Vec<String> = rows.as_array().into_iter().flatten().map(of).collect();
        // What somebody sends to get the daemon going may have been written down or not.
        all.retain(|name| !name.contains("erin"));
        all.sort_unstable();
        all
    }

    /// What is known in the end, once what is too old is gone.
    fn known(daemon: &Daemon) -> [Vec<String>; 2] {
        eventually("what is too old to be gone", || {
            let messages = listed(daemon, "messages", "queue_id");
            let sessions = listed(daemon, "sessions", "subscriber");
            let is_old = |name: &String| name.starts_with("bob");
            (!messages.iter().chain(&sessions).any(is_old)).then_some([messages, sessions])
        })
    }

    fn begin(daemon: &Daemon) {
        online(daemon, "erin", "100.64.0.5");
        send(daemon, "erin", "100.64.0.5", 1);
    }

    /// What is done to a daemon while it may be killed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Doing {
        /// A start fills the index from the log, and a stop writes it and closes the partition of the day before.
        Closing,
        /// A start lets go of what is too old.
        LettingGo,
    }

    /// Goes on from the same past again and again, killed at another place each time.
    struct Killed {
        daemon: Daemon,
        doing: Doing,
        before: tempfile::TempDir,
        wanted: [Vec<String>; 2],
    }

    impl Killed {
        fn begin(doing: Doing) -> Killed {
            let mut daemon = two_days();
            if doing == Doing::LettingGo {
                close(&mut daemon);
            }
            let before = tempfile::tempdir().expect("a directory");
            copy(&daemon.data_dir(), before.path());
            let wanted = outcome(&mut daemon);
            let mut carols: Vec<String> = (0..MESSAGES).map(|number| format!("carol{number}")).collect();
            carols.sort_unstable();
            assert_eq!(wanted[0], carols, "of the messages those of the second day are left");
            assert!(wanted[1].contains(&"carol".to_owned()), "{wanted:?}");
            Killed { daemon, doing, before, wanted }
        }

        /// Whether it was killed there; then what the next starts come to is looked at.
        fn at(&mut self, kill: Kill) -> bool {
            let data = self.daemon.data_dir();
            fs::remove_dir_all(&data).expect("our own directory");
            copy(self.before.path(), &data);
            self.daemon.launch_ahead(LAST, Some(kill));
            let was_killed = self.is_gone();
            self.daemon.crash();
            assert_eq!(outcome(&mut self.daemon), self.wanted, "{:?}, killed at {kill:?}", self.doing);
            was_killed
        }

        /// Gives it something to do once it is ready, and time to be killed.
        fn is_gone(&mut self) -> bool {
            let (mut end, mut is_ready) = (Instant::now() + Duration::from_secs(20), false);
            while Instant::now() < end {
                if self.daemon.is_gone() {
                    // A stop that was asked for is none of strace's.
                    return !(is_ready && self.daemon.log_text().trim_end().ends_with("stopped"));
                }
                if !is_ready && self.daemon.http("/readyz").is_some_and(|(status, _)| status == 200) {
                    is_ready = true;
                    end = Instant::now() + PATIENCE;
                    let address = "100.64.0.5".parse().expect("an address");
                    let start = Attributes::undated(Status::Start, "erin", "s-erin", address);
                    self.daemon.nas().tell_once(&start, Duration::from_millis(200));
                    if self.doing == Doing::Closing {
                        self.daemon.signal(Signal::SIGTERM);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            false
        }
    }

    /// Fills, writes and closes.
    fn close(daemon: &mut Daemon) {
        daemon.launch_ahead(LAST, None);
        daemon.wait_until_ready();
        begin(daemon);
        daemon.terminate();
    }

    /// What is known in the end, where nothing is in the way any more.
    fn outcome(daemon: &mut Daemon) -> [Vec<String>; 2] {
        close(daemon);
        daemon.launch_ahead(LAST, None);
        daemon.wait_until_ready();
        begin(daemon);
        let known = known(daemon);
        let configuration = daemon.configuration();
        let verified = daemon.cli(&["audit", "verify", "--config", &configuration.display().to_string()]);
        assert!(verified.status.success(), "{verified:?}");
        daemon.crash();
        known
    }

    fn killed_at_each(doing: Doing, calls: &'static str) {
        if !present() {
            return;
        }
        let mut killed = Killed::begin(doing);
        // Each of the first ones, then some: of syncs there are many, of what matters here few at the end.
        let mut times = (1..16).chain((16..).step_by(7));
        let survived = times.find(|time| !killed.at(Kill { calls, time: *time })).expect("an end");
        assert!(survived > 3, "{calls} came {survived} times at most: that proves nothing");
    }

    #[test]
    fn killed_at_each_sync_of_closing_no_row_is_there_twice_and_none_is_missing() {
        killed_at_each(Doing::Closing, "fsync,fdatasync");
    }

    #[test]
    fn killed_at_each_unlink_of_letting_go_no_row_is_there_twice_and_none_is_missing() {
        killed_at_each(Doing::LettingGo, "unlink,unlinkat,rename,renameat");
    }

    #[test]
    fn killed_at_any_write_no_row_is_there_twice_and_none_is_missing() {
        if !present() {
            return;
        }
        let mut dice = Dice::cast();
        for doing in [Doing::Closing, Doing::LettingGo] {
            let (mut killed, mut most, mut hit) = (Killed::begin(doing), 400, 0);
            for _ in 0..10 {
                let time = u32::try_from(1 + dice.below(most)).expect("a small number");
                if killed.at(Kill { calls: "pwrite64", time }) {
                    hit += 1;
                } else {
                    most = u64::from(time).max(8);
                }
            }
            assert!(hit >= 3, "{doing:?}: {hit} of 10 is no proof");
        }
    }

    #[test]
    fn what_the_last_partition_had_comes_back_though_the_log_has_lost_its_beginning() {
        if !clock::present() {
            return;
        }
        let session = "warm-up = \"0s\"\ndefer-after-stop = \"0s\"";
        let mut daemon = Daemon::start_with(&Wanted { session, ..Wanted::default() });
        online(&daemon, "alice", "100.64.0.1");
        send(&daemon, "alice", "100.64.0.1", 3);
        daemon.terminate();
        daemon.launch_ahead(1, None);
        daemon.wait_until_ready();
        send(&daemon, "alice", "100.64.0.1", 4);
        online(&daemon, "carol", "100.64.0.3");
        daemon.terminate();
        // A day later it begins with a snapshot, and with a partition.
        let made = |daemon: &Daemon| daemon.log_text().matches("a snapshot is made").count();
        let before = made(&daemon);
        daemon.launch_ahead(2, None);
        daemon.wait_until_ready();
        online(&daemon, "bob", "100.64.0.2");
        send(&daemon, "bob", "100.64.0.2", 3);
        eventually("the snapshot", || (made(&daemon) > before).then_some(()));
        daemon.crash();
        let data = daemon.data_dir();
        assert!(!data.join("log/000001.sqlite3").exists(), "two snapshots stand for it");
        let listed = |daemon: &Daemon| {
            [listed(daemon, "messages", "queue_id"), listed(daemon, "sessions", "subscriber")]
        };
        for kind in ["messages-", "sessions-"] {
            let all =
                fs::read_dir(data.join("audit")).expect("a directory").flatten().map(|file| file.path());
            let of = |file: &PathBuf| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(kind) && name.ends_with(".sqlite3")
            };
            let last = all.filter(of).max().expect("a partition");
            fs::write(last, [0x5a; 8192]).expect("our own file");
        }
        daemon.launch_ahead(2, None);
        daemon.wait_until_ready();
        let found = listed(&daemon);
        // What she sent on the next day has the same names: the first three are repetitions.
        assert_eq!(found[0], ["alice0", "alice1", "alice2", "alice3", "bob0", "bob1", "bob2"]);
        assert_eq!(found[1], ["alice", "bob", "carol"]);
        let said = text(&daemon.cli(&["messages"]).stderr);
        assert!(!said.contains("lost"), "{said}");
        assert!(daemon.log_text().contains("filled again from there"));
    }
}
