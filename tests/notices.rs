//! Who is told what happens, with the real daemon: nothing is lost, the order is kept, nobody waits.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use nix::sys::signal::Signal;
    use serde_json::{Value, json};

    use crate::common::daemon::{Daemon, SECRET, Wanted, text};
    use crate::common::receiver::{Got, Receiver};
    use crate::common::{eventually, free_port, peer};

    const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// A daemon's configuration with this behind its client.
    fn with(notices: &str) -> Wanted {
        let feeds = format!(
            "[[radius.client]]\nname = \"bras1\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\n{notices}"
        );
        Wanted { feeds: Some(feeds), ..Wanted::default() }
    }

    fn webhook(name: &str, port: u16, events: &str) -> String {
        format!(
            "[[notice]]\nname = \"{name}\"\nwebhook = \"http://127.0.0.1:{port}/hook\"\nevents = {events}\n"
        )
    }

    fn suspend(daemon: &Daemon, whom: &str) {
        daemon.order(&["suspend", whom, "--reason", "open proxy", "--force"]);
    }

    /// In the order in which they came first.
    fn ids(got: &[Got]) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for got in got {
            if !ids.contains(&got.id()) {
                ids.push(got.id());
            }
        }
        ids
    }

    fn counted(daemon: &Daemon, line: &str) -> bool {
        let metrics = daemon.http("/metrics").expect("the daemon answers").1;
        metrics.lines().any(|counted| counted == format!("relaywarden_{line}"))
    }

    fn signed(file: &Path) -> String {
        fs::write(file, SIGNING).expect("our own directory");
        fs::set_permissions(file, Permissions::from_mode(0o600)).expect("our own file");
        format!("secret-file = \"{}\"\n", file.display())
    }

    #[test]
    fn a_receiver_that_was_away_is_told_everything_in_order_though_the_daemon_was_killed_meanwhile() {
        let port = free_port();
        let home = tempfile::tempdir().expect("a directory");
        let secret = signed(&home.path().join("secret"));
        let notices = webhook("portal", port, "[\"suspended\"]") + &secret;
        let mut daemon = Daemon::start_with(&with(&notices));
        for number in 0..5 {
            suspend(&daemon, &format!("early{number}"));
        }
        assert_eq!(daemon.map("relay", "198.51.100.1"), "NOTFOUND ", "mail servers are answered meanwhile");
        daemon.crash();
        daemon.launch();
        daemon.wait_until_ready();
        for number in 0..5 {
            suspend(&daemon, &format!("late{number}"));
        }
        eventually("all ten to wait", || {
            counted(&daemon, "notices_waiting{notice=\"portal\"} 10").then_some(())
        });
        let receiver = Receiver::start(port, &[]);
        // Whoever has mended something need not wait for the next attempt.
        daemon.signal(Signal::SIGHUP);
        let got = receiver.got(10);
        let told: Vec<String> = got.iter().map(Got::subject).collect();
        let expected: Vec<String> =
            ["early", "late"].iter().flat_map(|when| (0..5).map(move |n| format!("{when}{n}"))).collect();
        assert_eq!(told, expected);
        assert_eq!(ids(&got).len(), 10);
        let first = got.first().expect("the first");
        assert_eq!((first.path.as_str(), first.header("content-type")), ("/hook", "application/json"));
        assert_eq!(first.header("webhook-id"), first.id());
        assert_eq!(first.json()["reason"], "open proxy");
        if peer::present(&[("python3", "python3-venv")]) {
            assert!(got.iter().all(|got| verified(got, &got.body)), "{got:?}");
            assert!(!verified(first, &first.body.replace("early0", "early1")), "a changed body is noticed");
        }
        eventually("nothing to wait", || {
            (counted(&daemon, "notices_waiting{notice=\"portal\"} 0")
                && counted(&daemon, "notice_seconds_behind{notice=\"portal\"} 0"))
            .then_some(())
        });
        // A clean start tells nothing again.
        daemon.restart();
        suspend(&daemon, "last");
        let got = receiver.got(11);
        assert_eq!((got.len(), got.last().map(Got::subject)), (11, Some("last".to_owned())));
    }

    /// By the example of the page about notices.
    fn verified(got: &Got, body: &str) -> bool {
        let page = include_str!("../docs/notices.md");
        let example = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
        let mut python = Command::new("python3")
            .args(["-c", example.expect("an example")])
            .env("SECRET", SIGNING)
            .env("ID", got.header("webhook-id"))
            .env("TIMESTAMP", got.header("webhook-timestamp"))
            .env("SIGNATURE", got.header("webhook-signature"))
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        python.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("it reads");
        python.wait().expect("its end").success()
    }

    #[test]
    fn a_receiver_that_is_slow_of_mind_gets_the_same_octets_until_it_takes_them() {
        let (port, elsewhere) = (free_port(), free_port());
        let redirect = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        );
        let answers = [
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
            redirect.as_str(),
            "no HTTP at all\r\n\r\n",
            "",
        ];
        let receiver = Receiver::start(port, &answers);
        let other = Receiver::start(elsewhere, &[]);
        let daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\", \"released\"]")));
        suspend(&daemon, "alice");
        daemon.order(&["release", "alice", "--reason", "cleaned"]);
        for attempt in 1..=answers.len() {
            receiver.got(attempt);
            daemon.signal(Signal::SIGHUP);
        }
        let got = receiver.got(answers.len() + 2);
        assert_eq!(receiver.left(), 0);
        let (same, last) = got.split_at(answers.len() + 1);
        assert!(same.iter().all(|got| got.body == same[0].body && got.subject() == "alice"), "{got:#?}");
        assert_eq!(last.first().map(|got| got.json()["event"].clone()), Some(json!("released")));
        assert_eq!(other.count(), 0, "a redirect is not followed");
        for line in [
            "notices_total{notice=\"portal\",outcome=\"refused\"} 1",
            "notices_lost_total{notice=\"portal\"} 0",
        ] {
            eventually(line, || counted(&daemon, line).then_some(()));
        }
    }

    #[test]
    fn an_answer_without_end_is_an_answer_and_takes_no_memory() {
        let port = free_port();
        let receiver = Receiver::start(port, &["endless"]);
        let daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "alice");
        suspend(&daemon, "bob");
        let got = receiver.got(2);
        assert_eq!(got.iter().map(Got::subject).collect::<Vec<_>>(), ["alice", "bob"]);
        assert_eq!(daemon.map("relay", "198.51.100.1"), "NOTFOUND ");
    }

    #[test]
    fn a_command_that_hangs_or_fails_is_ended_and_tried_again() {
        let home = tempfile::tempdir().expect("a directory");
        let (once, twice, kept) =
            (home.path().join("once"), home.path().join("twice"), home.path().join("kept"));
        let script = format!(
            "if ! [ -e {0} ]; then touch {0}; sleep 600; fi; if ! [ -e {1} ]; then touch {1}; exit 1; fi; cat >> {2}; echo >> {2}",
            once.display(),
            twice.display(),
            kept.display()
        );
        let notices = format!(
            "[[notice]]\nname = \"pager\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\nevents = [\"suspended\"]\ntimeout = \"1s\"\n"
        );
        let daemon = Daemon::start_with(&with(&notices));
        suspend(&daemon, "alice");
        suspend(&daemon, "bob");
        let lines = eventually("both to be told", || {
            let text = fs::read_to_string(&kept).unwrap_or_default();
            (text.lines().count() == 2).then_some(text)
        });
        let told: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
        assert_eq!(
            told.iter().map(|told| told["about"][0]["subject"].clone()).collect::<Vec<_>>(),
            ["alice", "bob"]
        );
        for line in [
            "notices_total{notice=\"pager\",outcome=\"refused\"} 2",
            "notices_total{notice=\"pager\",outcome=\"taken\"} 2",
        ] {
            eventually(line, || counted(&daemon, line).then_some(()));
        }
    }

    #[test]
    fn whoever_is_new_is_told_what_happens_from_then_on_and_a_test_says_what_it_answers() {
        let port = free_port();
        let receiver = Receiver::start(port, &[]);
        let daemon = Daemon::start_with(&with(""));
        assert_eq!(daemon.json(&["notice"]), None, "nobody is told");
        suspend(&daemon, "before");
        daemon.configure(&with(&webhook("portal", port, "[\"suspended\"]")));
        daemon.signal(Signal::SIGHUP);
        eventually("the new one to be known", || daemon.json(&["notice"]));
        suspend(&daemon, "after");
        let told: Vec<String> = receiver.got(1).iter().map(Got::subject).collect();
        assert_eq!(told, ["after"]);
        let output = daemon.cli(&["notice", "test", "portal"]);
        let said = text(&output.stdout);
        assert!(output.status.success() && said.starts_with("portal: taken after "), "{said}");
        assert!(said.ends_with(": 204 No Content\n"), "{said}");
        let last = receiver.got(2).pop().expect("the test");
        assert_eq!((last.json()["event"].clone(), last.header("webhook-signature")), (json!("test"), ""));
        assert_eq!(daemon.cli(&["notice", "test", "nobody"]).status.code(), Some(1));
        let rows = daemon.json(&["notice"]).expect("a row");
        assert_eq!(rows[0]["to"], format!("http://127.0.0.1:{port}"), "what follows may be a secret");
        drop(receiver);
        let output = daemon.cli(&["notice", "test", "portal"]);
        assert_eq!(output.status.code(), Some(75), "{}", text(&output.stdout));
    }

    #[test]
    fn names_that_are_meant_to_act_stay_inert_on_their_way() {
        let port = free_port();
        let receiver = Receiver::start(port, &[]);
        let daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "0x610d0a1b5b326d");
        suspend(&daemon, "\"}],\"event\":\"released\"<script>");
        let got = receiver.got(2);
        assert_eq!(got[0].subject(), "0x610d0a1b5b326d");
        assert_eq!(got[1].json()["event"], "suspended");
        assert!(
            got.iter().all(|got| got.body.bytes().all(|octet| (b' '..=b'~').contains(&octet))),
            "{got:?}"
        );
        let page = text(&daemon.cli(&["report", "--day", &today(&daemon), "--format", "html"]).stdout);
        assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }

    /// By the daemon's own words: a day that is yet to come has nothing in it.
    fn today(daemon: &Daemon) -> String {
        let row = daemon.http("/v1/report").expect("the daemon answers").1;
        let row: Value = serde_json::from_str(&row).expect("JSON was promised");
        row["until"].as_str().and_then(|until| until.get(..10)).map_or_else(String::new, |_| {
            let yesterday: jiff::civil::Date =
                row["day"].as_str().and_then(|day| day.parse().ok()).expect("a day");
            yesterday.tomorrow().expect("today").to_string()
        })
    }

    #[test]
    fn a_receiver_that_has_missed_something_is_told_how_much_once_it_listens() {
        let port = free_port();
        let mut daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "alice");
        suspend(&daemon, "bob");
        eventually("both to wait", || counted(&daemon, "notices_waiting{notice=\"portal\"} 2").then_some(()));
        daemon.terminate();
        // As after an hour in which each was refused.
        rusqlite::Connection::open(daemon.data_dir().join("notices.sqlite3"))
            .and_then(|connection| connection.execute("UPDATE receiver SET lost = 3", ()))
            .expect("our own file");
        let receiver = Receiver::start(port, &[]);
        daemon.launch();
        daemon.wait_until_ready();
        let got = receiver.got(3);
        let told: Vec<_> = got.iter().map(|got| got.json()["event"].clone()).collect();
        assert_eq!(told, ["suspended", "lost", "suspended"], "first it shows that it listens");
        assert_eq!(got[1].json()["lost"], 3);
        assert!(counted(&daemon, "notices_lost_total{notice=\"portal\"} 3"));
        daemon.restart();
        assert!(daemon.cli(&["notice", "test", "portal"]).status.success());
        let told = receiver.got(4).iter().filter(|got| got.json()["event"] == "lost").count();
        assert_eq!(told, 1, "told once");
    }

    #[test]
    fn a_receiver_that_does_not_want_to_hear_of_a_loss_now_is_told_the_next_one_meanwhile() {
        let port = free_port();
        let mut daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "alice");
        suspend(&daemon, "bob");
        eventually("both to wait", || counted(&daemon, "notices_waiting{notice=\"portal\"} 2").then_some(()));
        daemon.terminate();
        rusqlite::Connection::open(daemon.data_dir().join("notices.sqlite3"))
            .and_then(|connection| connection.execute("UPDATE receiver SET lost = 3", ()))
            .expect("our own file");
        let answers = [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        ];
        let receiver = Receiver::start(port, &answers);
        daemon.launch();
        daemon.wait_until_ready();
        let got = receiver.got(4);
        let told: Vec<_> = got.iter().map(|got| got.json()["event"].clone()).collect();
        assert_eq!(told, ["suspended", "lost", "suspended", "lost"]);
        assert_eq!(got[1].body, got[3].body, "of the same loss the same octets");
    }

    #[test]
    fn whoever_is_told_is_told_on_when_the_past_can_no_longer_be_written_down() {
        let port = free_port();
        let receiver = Receiver::start(port, &[]);
        let mut daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "alice");
        receiver.got(1);
        daemon.terminate();
        let path = daemon.data_dir().join("audit/register.sqlite3");
        let connection = rusqlite::Connection::open(&path).expect("our own file");
        let root = "SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name = 'gap'";
        let page: u32 = connection.query_row(root, (), |row| row.get(0)).expect("a table");
        drop(connection);
        let mut octets = fs::read(&path).expect("our own file");
        octets.iter_mut().skip(page as usize).take(4096).for_each(|octet| *octet = 0x5a);
        fs::write(&path, octets).expect("our own file");
        daemon.launch();
        eventually("the index to be given up", || daemon.log_text().contains("given up").then_some(()));
        suspend(&daemon, "bob");
        assert_eq!(receiver.got(2)[1].subject(), "bob");
    }

    #[test]
    fn what_the_log_still_has_is_told_again_when_what_waits_was_damaged_in_a_crash() {
        let port = free_port();
        let mut daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "alice");
        suspend(&daemon, "bob");
        daemon.crash();
        let file = daemon.data_dir().join("notices.sqlite3");
        fs::write(&file, "no file of ours").expect("our own file");
        let receiver = Receiver::start(port, &[]);
        daemon.launch();
        daemon.wait_until_ready();
        let told: Vec<String> = receiver.got(2).iter().map(Got::subject).collect();
        assert_eq!(told, ["alice", "bob"]);
        assert!(daemon.log_text().contains("the notices that wait are damaged"), "{}", daemon.log_text());
        assert!(file.with_extension("damaged").exists());
    }

    #[test]
    fn who_was_not_told_for_long_is_named_to_the_person_on_call_and_answers_go_on() {
        let port = free_port();
        let mut daemon = Daemon::start_with(&with(&webhook("portal", port, "[\"suspended\"]")));
        suspend(&daemon, "alice");
        eventually("it to wait", || counted(&daemon, "notices_waiting{notice=\"portal\"} 1").then_some(()));
        let named = |daemon: &Daemon| {
            let (status, body) = daemon.http("/readyz").expect("the daemon answers");
            assert_eq!(status, 200, "{body}");
            body.contains("notice-behind: portal was not told for ")
        };
        assert!(!named(&daemon));
        daemon.terminate();
        // As after a quarter of an hour.
        rusqlite::Connection::open(daemon.data_dir().join("notices.sqlite3"))
            .and_then(|connection| connection.execute("UPDATE waiting SET queued = queued - 900000", ()))
            .expect("our own file");
        daemon.launch();
        daemon.wait_until_ready();
        assert!(named(&daemon));
        let receiver = Receiver::start(port, &[]);
        daemon.signal(Signal::SIGHUP);
        receiver.got(1);
        eventually("it to be told", || (!named(&daemon)).then_some(()));
    }

    #[test]
    fn a_report_that_was_missed_is_sent_once_and_somebody_new_gets_none_of_before() {
        let port = free_port();
        let receiver = Receiver::start(port, &[]);
        let notices = webhook("morning", port, "[\"report\"]") + "report-at = \"00:00\"\n";
        let mut daemon = Daemon::start_with(&with(&notices));
        let file = daemon.data_dir().join("notices.sqlite3");
        let day = |daemon: &Daemon| {
            let row = daemon.http("/v1/report").expect("the daemon answers").1;
            let row: Value = serde_json::from_str(&row).expect("JSON was promised");
            row["day"].as_str().expect("a day").to_owned()
        };
        suspend(&daemon, "alice");
        // It has noted that it need not tell of yesterday.
        let yesterday = day(&daemon);
        let noted = eventually("the day to be noted", || {
            daemon.terminate();
            let connection = rusqlite::Connection::open(&file).expect("our own file");
            let noted: Option<String> = connection
                .query_row("SELECT reported FROM receiver", (), |row| row.get(0))
                .expect("the receiver");
            if noted.is_none() {
                daemon.launch();
                daemon.wait_until_ready();
            }
            noted
        });
        assert_eq!((noted, receiver.count()), (yesterday.clone(), 0));
        // As after days without a daemon.
        rusqlite::Connection::open(&file)
            .and_then(|connection| connection.execute("UPDATE receiver SET reported = '2020-01-01'", ()))
            .expect("our own file");
        daemon.launch();
        daemon.wait_until_ready();
        let got = receiver.got(1);
        let body = got[0].json();
        assert_eq!((&body["event"], &body["report"]["day"]), (&json!("report"), &json!(yesterday)));
        let (page, plain) = (body["report"]["html"].to_string(), body["report"]["text"].to_string());
        assert!(page.contains("<!DOCTYPE html>") && plain.contains("messages let go"), "{body:#}");
        daemon.restart();
        // By then it has looked at the clock again.
        assert!(daemon.cli(&["notice", "test", "morning"]).status.success());
        assert_eq!(receiver.got(2)[1].json()["event"], "test");
        let asked = daemon.json(&["audit", "questions"]).expect("questions").to_string();
        assert!(asked.contains("notice:morning"), "what names people is written down: {asked}");
    }

    #[test]
    fn the_report_of_a_day_has_its_orders_and_is_written_down_as_a_question() {
        let daemon = Daemon::start();
        suspend(&daemon, "alice");
        daemon.order(&["release", "alice", "--reason", "cleaned"]);
        daemon.order(&[
            "suspend",
            "web/shop.example",
            "--within",
            "--force",
            "--reason",
            "a hole in its form",
        ]);
        // That somebody's past is preserved is for auditors, and this goes to viewers and by mail.
        daemon.order(&["audit", "hold", "alice", "--until", "30d", "--reason", "4 Js 17/26"]);
        let day = today(&daemon);
        let output = daemon.cli(&["report", "--day", &day, "--format", "json", "--purpose", "T-1"]);
        let row: Value = serde_json::from_slice(&output.stdout).expect("JSON was promised");
        let orders = &row["orders"];
        assert_eq!((&orders["suspended"], &orders["released"]), (&json!(2), &json!(1)), "{row:#}");
        assert_eq!(
            (&orders["newest"][0]["kind"], &orders["newest"][2]["subject"]),
            (&json!("within"), &json!("alice"))
        );
        assert!(!row.to_string().contains("4 Js"), "{row:#}");
        let (status, _) = daemon.http("/v1/report?day=2026-02-30").expect("the daemon answers");
        assert_eq!(status, 400);
        let asked = daemon.json(&["audit", "questions"]).expect("questions");
        let asked = asked.to_string();
        assert!(asked.contains("/v1/report?") && asked.contains("T-1"), "{asked}");
    }
}
