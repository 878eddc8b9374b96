//! What was let go is in no file any more: each octet of everything below the data directory is looked at.
//!
//! The real binary runs with its clock ahead (libfaketime), through more than a year. Names that are nowhere else are told to it on
//! the first day in every way there is; each is found then, or the search would prove nothing. Nothing in the data directory is
//! compressed, so a name is found as it is spelled.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use relaywarden::server::http::api::rfc3339;

    use crate::common::asking::{Content, Mail, Policy};
    use crate::common::clock;
    use crate::common::daemon::{Daemon, SECRET, Wanted, text};
    use crate::common::free_port;
    use crate::common::nas::{Attributes, Status};

    /// `[retention]` of these daemons is 90 days for messages,
    const MESSAGES: [&str; 16] = [
        "zqhelo",
        "zqsender",
        "zqdomain",
        "zqqueue",
        "zqinstance",
        "zqmessageid",
        "zqrefusedhelo",
        "zqrefusedsender",
        "zqrefuseddomain",
        "zqrefusedlogin",
        "zqreporter",
        "zqlogin",
        "zqopened",
        "zqcased",
        "zqticket",
        "zqnoted",
    ];
    /// 180 for sessions,
    const SESSIONS: [&str; 4] = ["zqalice", "zqsession", "zqcalling", "zqclass"];
    /// and 365 for questions and orders.
    const ORDERS: [&str; 7] =
        ["zqasked", "zqpurpose", "zqsuspended", "zqreason", "zqreleased", "zqtoken", "zqlimited"];
    /// Somebody ordered that this be kept.
    const KEPT: [&str; 4] = ["zqkept", "zqkeptsession", "zqkeptqueue", "zqkeptsender"];

    const ALICE: &str = "100.64.0.7";

    fn feeds() -> String {
        format!(
            "[[radius.client]]\nname = \"bras1\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\n\
             [subscriber]\nkeep = [\"Class\", \"Calling-Station-Id\"]\n\n\
             [[limit]]\nname = \"many\"\nmessages = [\"1000/3d\"]\nmode = \"enforce\"\n\n\
             [[notice]]\nname = \"away\"\nwebhook = \"http://127.0.0.1:{}/hook\"\nevents = [\"suspended\"]\n",
            free_port()
        )
    }

    fn session(daemon: &Daemon, status: Status, name: &str, id: &str, address: &str) {
        let address = address.parse().expect("an address");
        // Undated: it is the daemon's own clock that counts.
        let mut record = Attributes::undated(status, name, id, address);
        if name == "zqalice" {
            record = record.with(31, b"zqcalling-00-11").with(25, b"zqclass-gold");
        }
        assert!(daemon.nas().tell(&record), "{status:?} of {name}");
    }

    fn run(daemon: &Daemon, arguments: &[&str]) {
        let output = daemon.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    }

    /// Everything that is told of anybody, in every way.
    fn first_day(daemon: &Daemon) {
        session(daemon, Status::Start, "zqalice", "zqsession", ALICE);
        session(daemon, Status::Start, "zqkept", "zqkeptsession", "100.64.0.8");
        let mut policy = Policy::connect(daemon.policy);
        let mail = Mail {
            helo: "zqhelo.example",
            sender: "zqsender@isp.example",
            recipient: "somebody@zqdomain.example",
            login: "zqlogin",
            queue_id: "zqqueue1",
            instance: "zqinstance.1",
            ..Mail::default()
        };
        assert_eq!([policy.rcpt(&mail), policy.end_of_message(&mail)], ["OK", "DUNNO"]);
        let headers = [("Message-ID", "<zqmessageid@isp.example>"), ("X-Spam-Flag", "YES")];
        let content = Content { client: ALICE, queue_id: "zqqueue1", headers: &headers };
        assert_eq!(content.told(daemon.milter), 'c');
        let kept = Mail {
            client: "100.64.0.8",
            sender: "zqkeptsender@isp.example",
            queue_id: "zqkeptqueue",
            instance: "zqkeptqueue",
            ..Mail::default()
        };
        assert_eq!([policy.rcpt(&kept), policy.end_of_message(&kept)], ["OK", "DUNNO"]);
        session(daemon, Status::Stop, "zqkept", "zqkeptsession", "100.64.0.8");
        let refused = Mail {
            client: "100.64.0.9",
            helo: "zqrefusedhelo.example",
            sender: "zqrefusedsender@isp.example",
            recipient: "somebody@zqrefuseddomain.example",
            login: "zqrefusedlogin",
            instance: "refused",
            ..Mail::default()
        };
        policy.rcpt(&refused);
        orders(daemon);
        opened_and_closed(daemon);
    }

    fn orders(daemon: &Daemon) {
        run(
            daemon,
            &["audit", "hold", "zqkept", "--until", "2200-01-01T00:00:00Z", "--reason", "4 Js 17/26"],
        );
        run(daemon, &["who", ALICE, "--purpose", "zqpurpose"]);
        daemon.cli(&["sessions", "--subscriber", "zqasked"]);
        run(daemon, &["suspend", "zqsuspended", "--reason", "zqreason", "--force"]);
        run(daemon, &["release", "zqsuspended", "--reason", "zqreleased"]);
        let until = rfc3339(relaywarden::clock::now().plus(Duration::from_secs(7200))).expect("a moment");
        run(daemon, &["limit", "zqlimited", "--until", &until, "--reason", "so much", "--force"]);
        run(daemon, &["token", "create", "--role", "viewer", "--expires", "1d", "--note", "zqtoken"]);
    }

    /// The numbers of all cases.
    fn cases(daemon: &Daemon) -> Vec<String> {
        let rows = daemon.json(&["cases"]).unwrap_or_default();
        rows.as_array().into_iter().flatten().map(|row| row["id"].to_string()).collect()
    }

    fn opened_and_closed(daemon: &Daemon) {
        run(daemon, &["cases", "open", "zqopened", "--reason", "zqcased", "--ticket", "zqticket", "--force"]);
        let home = tempfile::tempdir().expect("a directory");
        let report = home.path().join("report.eml");
        let source = format!("Source-IP: {ALICE}\n");
        let complaint = format!(
            "From: <zqreporter@example.org>\nMIME-Version: 1.0\n\
             Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n\
             --b\nContent-Type: text/plain\n\nSpam.\n\
             --b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n{source}\n\
             --b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <zqmessageid@isp.example>\n\n--b--\n"
        );
        fs::write(&report, complaint).expect("our own directory");
        run(daemon, &["complaint", &report.display().to_string()]);
        let cases = cases(daemon);
        assert_eq!(cases.len(), 2, "{cases:?}");
        for id in cases {
            run(daemon, &["cases", "note", &id, "--reason", "zqnoted"]);
            run(daemon, &["cases", "close", &id, "--reason", "done"]);
        }
    }

    /// Everything below a directory.
    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }

    /// Which of these names are in which files, by their contents or by what they are called.
    fn found<'a>(data: &Path, names: &[&'a str]) -> BTreeSet<(&'a str, String)> {
        let mut all = Vec::new();
        files(data, &mut all);
        let mut found = BTreeSet::new();
        for file in all {
            let called = file.strip_prefix(data).expect("below it").display().to_string();
            let octets = fs::read(&file).expect("our own file");
            for name in names {
                let is_in =
                    |octets: &[u8]| octets.windows(name.len()).any(|window| window == name.as_bytes());
                if is_in(&octets) || is_in(called.as_bytes()) {
                    found.insert((*name, called.clone()));
                }
            }
        }
        found
    }

    /// So much happens on three days from then on, and each ends with a snapshot.
    fn goes_on(daemon: &mut Daemon, from: u32) {
        for days in from..from + 3 {
            daemon.launch_ahead(days, None);
            daemon.wait_until_ready();
            for round in ["a", "b", "c"] {
                let id = format!("later{days}{round}");
                session(daemon, Status::Start, "later", &id, "100.64.0.20");
                let mail = Mail { client: "100.64.0.20", queue_id: &id, instance: &id, ..Mail::default() };
                assert_eq!(Policy::connect(daemon.policy).end_of_message(&mail), "DUNNO");
                session(daemon, Status::Stop, "later", &id, "100.64.0.20");
            }
            daemon.terminate();
        }
    }

    /// What is in a file, and which is none of what was to be let go by then.
    fn assert_gone(data: &Path, names: &[&str]) {
        let left = found(data, names);
        assert!(left.is_empty(), "{left:#?}");
    }

    fn assert_there(data: &Path, names: &[&str]) {
        let there = found(data, names);
        let lacking: Vec<_> =
            names.iter().filter(|name| there.iter().all(|(other, _)| other != *name)).collect();
        assert!(lacking.is_empty(), "{lacking:?} are nowhere, and only {there:#?}");
    }

    #[test]
    fn no_file_holds_what_was_let_go() {
        if !clock::present() {
            return;
        }
        let wanted = Wanted {
            session: "warm-up = \"0s\"\ndefer-after-stop = \"0s\"",
            milter: Some(""),
            feeds: Some(feeds()),
            ..Wanted::default()
        };
        let mut daemon = Daemon::start_with(&wanted);
        first_day(&daemon);
        let data = daemon.data_dir();
        session(&daemon, Status::Stop, "zqalice", "zqsession", ALICE);
        daemon.terminate();
        let all = [&MESSAGES[..], &SESSIONS, &ORDERS, &KEPT].concat();
        assert_there(&data, &all);
        let in_files = found(&data, &all);
        for place in ["log/", "snapshots/", "notices", "audit/register", "audit/questions", "audit/scanned"] {
            assert!(in_files.iter().any(|(_, file)| file.starts_with(place)), "{place}: nothing is there");
        }
        goes_on(&mut daemon, 1);
        assert_there(&data, &all);

        goes_on(&mut daemon, 100);
        assert_gone(&data, &MESSAGES);
        assert_there(&data, &[&SESSIONS[..], &ORDERS, &KEPT].concat());
        goes_on(&mut daemon, 200);
        assert_gone(&data, &[&MESSAGES[..], &SESSIONS].concat());
        assert_there(&data, &[&ORDERS[..], &KEPT].concat());
        goes_on(&mut daemon, 380);
        assert_gone(&data, &[&MESSAGES[..], &SESSIONS, &ORDERS].concat());
        assert_there(&data, &KEPT);

        daemon.launch_ahead(383, None);
        daemon.wait_until_ready();
        run(&daemon, &["audit", "unhold", "zqkept", "--reason", "closed"]);
        daemon.terminate();
        // It went on to a younger partition, and goes with that one.
        goes_on(&mut daemon, 600);
        assert_gone(&data, &["zqkeptsession", "zqkeptqueue", "zqkeptsender"]);
    }
}
