//! One piece of equipment as a story tells of it: what it has yet to send, the daemon that it reports to, and what that
//! daemon knows.
//!
//! Knows: radclient, the samples' names, the answers of `/v1/lookup`, `/v1/sessions` and `/v1/nas`. Must not know: what is
//! in a sample.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::daemon::{Daemon, SECRET, Wanted, text};
use crate::common::eventually;
use crate::common::nas::radclient;
use crate::common::peer;

/// The samples by name, in the order of their names: within a prefix that is the order in which they were sent.
pub(crate) fn samples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/samples");
    let entries = fs::read_dir(directory).expect("the samples").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

pub(crate) fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name")
}

fn of_prefix(prefix: &str) -> VecDeque<PathBuf> {
    let found: VecDeque<_> = samples().into_iter().filter(|path| stem(path).starts_with(prefix)).collect();
    assert!(!found.is_empty(), "no sample begins with {prefix}");
    found
}

/// One piece of equipment, what it has not sent yet, and the daemon that it reports to.
pub(crate) struct Story {
    daemon: Daemon,
    prefix: &'static str,
    left: VecDeque<PathBuf>,
}

impl Story {
    /// The samples whose names begin so, towards a daemon whose one client has these keys. `None`: the run was told
    /// to do without peers.
    pub(crate) fn of(prefix: &'static str, keys: &str) -> Option<Story> {
        if !peer::present(&[("radclient", "freeradius-utils")]) {
            return None;
        }
        let feeds = format!(
            "[[radius.client]]\nname = \"gear\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n{keys}\n"
        );
        let daemon = Daemon::start_with(&Wanted { feeds: Some(feeds), ..Wanted::default() });
        Some(Story { daemon, prefix, left: of_prefix(prefix) })
    }

    /// The next file, whose name goes on so behind the prefix.
    fn next(&mut self, rest: &str) -> String {
        let path = self.left.pop_front().expect("a sample that was not sent yet");
        assert_eq!(stem(&path).strip_prefix(self.prefix), Some(rest), "in the order of their names");
        fs::read_to_string(path).expect("a sample")
    }

    /// Sends the next file.
    pub(crate) fn sends(&mut self, rest: &str) {
        let lines = self.next(rest);
        self.tells(&lines);
    }

    /// Sends the next file from another address of the loopback network.
    pub(crate) fn sends_from(&mut self, source: &str, rest: &str) {
        let lines = self.next(rest);
        self.tells(&format!("Packet-Src-IP-Address = {source}\n{lines}"));
    }

    /// From its first file on, once more.
    pub(crate) fn begins_again(&mut self) {
        assert!(self.left.is_empty(), "not sent: {:?}", self.left);
        self.left = of_prefix(self.prefix);
    }

    /// In this story the next file is not sent.
    pub(crate) fn leaves_out(&mut self, rest: &str) {
        self.next(rest);
    }

    /// Sends what is in no file: a session that the samples take for granted.
    pub(crate) fn tells(&self, lines: &str) {
        let output = radclient(self.daemon.radius, "acct", SECRET, lines, &[]);
        let printed = text(&output.stdout);
        assert!(
            output.status.success() && printed.contains("Received Accounting-Response"),
            "{lines}\n{printed}"
        );
    }

    /// Whose this is (`203.0.113.77`, `203.0.113.77 port=4096`, `192.168.0.1 realm=100`), as staff are told, in the
    /// words of `who`: verdict, and subscriber or reason.
    fn who(&self, what: &str) -> String {
        let (_, body) =
            self.daemon.http(&format!("/v1/lookup?address={}", what.replace(' ', "&"))).expect("an answer");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let word = |key: &str| answer[key].as_str().unwrap_or_default();
        let told = match word("verdict") {
            "permit" => word("subscriber"),
            _ => word("reason"),
        };
        format!("{} {told}", word("verdict"))
    }

    /// Who owns what, all of it; and where no port or realm is asked for, a mail server is told the same.
    #[track_caller]
    pub(crate) fn owners(&self, expected: &[(&str, &str)]) {
        for (what, whose) in expected {
            assert_eq!(self.who(what), *whose, "{what}");
            if what.contains(' ') {
                continue;
            }
            let answer = self.daemon.map("subscriber", what);
            let (verdict, told) = whose.split_once(' ').expect("a verdict and a word");
            let wanted = match verdict {
                "permit" => format!("OK {told}"),
                "defer" if told == "port-required" => "TEMP port-required".to_owned(),
                "defer" => "TEMP not known at the moment".to_owned(),
                _ => "NOTFOUND ".to_owned(),
            };
            assert_eq!(answer, wanted, "{what}");
        }
    }

    /// All sessions that there are or were: state, Acct-Session-Id, subscriber, and what it holds or held last.
    #[track_caller]
    pub(crate) fn sessions(&self, expected: &[&str]) {
        let row = |row: &Value| {
            let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let id = word("session");
            let id = id.strip_prefix(&(word("nas") + "/")).expect("a session of its NAS");
            let (id, _) = id.rsplit_once('/').expect("its incarnation");
            let addresses: Vec<_> =
                row["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let line = format!("{} {id} {} {}", word("state"), word("subscriber"), addresses.join(" "));
            line.trim_end().to_owned()
        };
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let mut seen = Vec::new();
        // The index is filled behind the acknowledgement.
        let alike = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("the sessions", || {
                let (_, body) = self.daemon.http("/v1/sessions")?;
                let Value::Array(rows) = serde_json::from_str(&body).ok()? else { return None };
                seen = rows.iter().map(row).collect();
                seen.sort_unstable();
                (seen == expected).then_some(())
            });
        }));
        assert!(alike.is_ok(), "{seen:#?}\nare not\n{expected:#?}");
    }

    /// How many sessions of the NAS at this address are active, suspect and pending.
    #[track_caller]
    pub(crate) fn counts(&self, source: &str, counts: [u64; 3]) {
        let (_, body) = self.daemon.http("/v1/nas").expect("an answer");
        let rows: Value = serde_json::from_str(&body).expect("JSON");
        let name = format!("gear/{source}");
        let row = rows.as_array().into_iter().flatten().find(|row| row["nas"] == *name).cloned();
        let row = row.unwrap_or_else(|| panic!("no {name} in {rows}"));
        let seen = ["active", "suspect", "pending"].map(|state| row[state].as_u64().expect("a number"));
        assert_eq!(seen, counts, "{row}");
    }
}

/// A Start that is in no file.
pub(crate) fn start(session: &str, user: &str, address: &str) -> String {
    format!(
        "Acct-Status-Type = Start\nAcct-Session-Id = \"{session}\"\nUser-Name = \"{user}\"\n\
         Framed-IP-Address = {address}\n"
    )
}

impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.left.is_empty(), "not sent: {:?}", self.left);
        }
    }
}
