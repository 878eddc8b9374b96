//! A real radclient and real datagrams against the daemon: what is acknowledged, what meets silence.
//!
//! radclient checks the Response Authenticator of what it receives, independently of the code that made it.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Output;
    use std::time::Duration;

    use crate::common::daemon::{Daemon, SECRET, SECRET_V6, text};
    use crate::common::nas::{Attributes, Nas, Status, radclient};
    use crate::common::peer;

    const ALICE: &str = "100.64.0.7";
    /// Long enough for an acknowledgement on a busy machine, short enough to wait for one that must not come.
    const SILENCE: Duration = Duration::from_millis(1500);

    fn present() -> bool {
        peer::present(&[("radclient", "freeradius-utils")])
    }

    fn record(status: &str, more: &str) -> String {
        format!(
            "Acct-Status-Type = {status}\nUser-Name = \"Alice@ISP.example\"\nAcct-Session-Id = \"0A000001\"\n\
             Framed-IP-Address = {ALICE}\nNAS-Identifier = \"bras1\"\nNAS-IP-Address = 127.0.0.1\n{more}"
        )
    }

    fn assert_answered(output: &Output) {
        let printed = text(&output.stdout);
        assert!(output.status.success() && printed.contains("Received Accounting-Response"), "{printed}");
    }

    fn assert_silence(output: &Output) {
        let printed = text(&output.stdout);
        assert!(!output.status.success() && !printed.contains("Received"), "{printed}");
    }

    #[test]
    fn a_session_starts_lives_on_and_stops() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let nas = daemon.nas();
        assert_eq!(daemon.map("subscriber", ALICE), "NOTFOUND ");
        assert_answered(&nas.radclient("acct", &record("Start", "")));
        // Lower case by default: two spellings are one subscriber.
        assert_eq!(daemon.map("subscriber", ALICE), "OK alice@isp.example");
        assert_answered(&nas.radclient("acct", &record("Interim-Update", "Acct-Session-Time = 300\n")));
        assert_eq!(daemon.map("relay", ALICE), "OK alice@isp.example");
        assert_answered(&nas.radclient("acct", &record("Stop", "Acct-Terminate-Cause = User-Request\n")));
        // Freed a moment ago: the next owner's Start may be on its way, so it is not known to be nobody's yet.
        assert!(daemon.map("subscriber", ALICE).starts_with("TEMP "));
        assert_eq!(daemon.sessions(&["--subscriber", "alice@isp.example"], 1).len(), 1);
    }

    #[test]
    fn an_interim_alone_makes_a_session() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        assert_answered(
            &daemon.nas().radclient("acct", &record("Interim-Update", "Acct-Session-Time = 300\n")),
        );
        assert_eq!(daemon.map("subscriber", ALICE), "OK alice@isp.example");
    }

    #[test]
    fn accounting_on_and_off_end_the_sessions_of_their_nas() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let nas = daemon.nas();
        for status in ["Accounting-On", "Accounting-Off"] {
            // Ids are not used again here: a Start of a session that has just ended would rightly be doubted.
            let begin = record("Start", "").replace("0A000001", status);
            assert_answered(&nas.radclient("acct", &begin));
            assert_eq!(daemon.map("relay", ALICE), "OK alice@isp.example", "before {status}");
            let reboot = format!(
                "Acct-Status-Type = {status}\nNAS-Identifier = \"bras1\"\nNAS-IP-Address = 127.0.0.1\n"
            );
            assert_answered(&nas.radclient("acct", &reboot));
            assert!(!daemon.map("relay", ALICE).starts_with("OK"), "after {status}");
        }
    }

    #[test]
    fn status_server_is_answered_with_the_right_key_only() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        // radclient signs it when a Message-Authenticator is asked for (RFC 5997 section 3).
        let lines = "Message-Authenticator = 0x00\nNAS-Identifier = \"bras1\"\n";
        assert_answered(&daemon.nas().radclient("status", lines));
        assert_silence(&radclient(daemon.radius, "status", "a wrong secret here", lines, &["-r", "1"]));
    }

    #[test]
    fn a_status_server_without_its_message_authenticator_meets_silence() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let mut nas = daemon.nas();
        let signed = nas.status_server();
        assert!(nas.exchange(&signed, SILENCE));
        let mut broken = nas.status_server();
        broken[30] ^= 1;
        assert!(!nas.exchange(&broken, SILENCE));
        let mut bare = nas.status_server();
        bare.truncate(20);
        bare[3] = 20;
        assert!(!nas.exchange(&bare, SILENCE));
    }

    #[test]
    fn a_wrong_secret_meets_silence_and_changes_nothing() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        assert_silence(&radclient(
            daemon.radius,
            "acct",
            "a wrong secret here",
            &record("Start", ""),
            &["-r", "1"],
        ));
        assert_eq!(daemon.map("subscriber", ALICE), "NOTFOUND ");
    }

    #[test]
    fn a_forged_packet_does_not_stand_in_the_way_of_the_genuine_one() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let mut nas = daemon.nas();
        let alice = ALICE.parse().expect("an address");
        let genuine = nas.request(&Attributes::record(Status::Start, "alice", "s1", alice));
        // Same port, same identifier, same authenticator even: only the content differs.
        let mut forged = genuine.clone();
        let end = forged.len() - 1;
        forged[end] ^= 1;
        assert!(!nas.exchange(&forged, SILENCE));
        assert_eq!(daemon.map("subscriber", ALICE), "NOTFOUND ");
        assert!(nas.exchange(&genuine, SILENCE));
        assert_eq!(daemon.map("subscriber", ALICE), "OK alice");
        // And once more: answered again, and nothing happens twice.
        assert!(nas.exchange(&genuine, SILENCE));
        assert_eq!(daemon.sessions(&["--subscriber", "alice"], 1).len(), 1);
    }

    #[test]
    fn the_ipv6_listener_has_its_own_secret() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let lines = record("Start", "Framed-IPv6-Prefix = 2001:db8:77::/64\n");
        assert_silence(&radclient(daemon.radius_v6, "acct", SECRET, &lines, &["-r", "1"]));
        assert_answered(&radclient(daemon.radius_v6, "acct", SECRET_V6, &lines, &[]));
        assert_eq!(daemon.map("subscriber", "2001:db8:77::25"), "OK alice@isp.example");
        assert_eq!(daemon.map("subscriber", "2001:db8:78::25"), "NOTFOUND ");
    }

    #[test]
    fn proxy_state_comes_back_in_order_and_nothing_else_does() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let output = daemon
            .nas()
            .radclient("acct", &record("Start", "Proxy-State = 0x6f6e65\nProxy-State = 0x74776f\n"));
        assert_answered(&output);
        let printed = text(&output.stdout);
        let answer =
            printed.split_once("Received Accounting-Response").map(|(_, answer)| answer).unwrap_or_default();
        let attributes: Vec<&str> =
            answer.lines().skip(1).map(str::trim).filter(|line| line.contains('=')).collect();
        assert_eq!(attributes, ["Proxy-State = 0x6f6e65", "Proxy-State = 0x74776f"], "{printed}");
    }

    #[test]
    fn a_packet_of_nearly_4096_octets_is_read_to_its_end() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let class = "Class = 0x".to_owned() + &"ab".repeat(250) + "\n";
        // The address stands last, behind 3.8 kilobytes of other attributes.
        let lines = format!(
            "Acct-Status-Type = Start\nUser-Name = \"alice\"\nAcct-Session-Id = \"big\"\nNAS-Identifier = \"bras1\"\n\
             {}Framed-IP-Address = {ALICE}\n",
            class.repeat(15)
        );
        assert_answered(&daemon.nas().radclient("acct", &lines));
        assert_eq!(daemon.map("subscriber", ALICE), "OK alice");
    }

    #[test]
    fn octets_beyond_the_length_are_padding() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let mut nas: Nas = daemon.nas();
        let alice = ALICE.parse().expect("an address");
        let mut padded = nas.request(&Attributes::record(Status::Start, "alice", "s1", alice));
        padded.extend([0; 64]);
        assert!(nas.exchange(&padded, SILENCE));
        assert_eq!(daemon.map("subscriber", ALICE), "OK alice");
    }

    #[test]
    fn the_log_is_an_ordinary_sqlite_database() {
        if !present() || !peer::present(&[("sqlite3", "sqlite3")]) {
            return;
        }
        let mut daemon = Daemon::start();
        assert_answered(&daemon.nas().radclient("acct", &record("Start", "")));
        daemon.terminate();
        let files = fs::read_dir(daemon.data_dir().join("log")).expect("the log");
        let mut checked = 0;
        for path in files.map(|entry| entry.expect("an entry").path()) {
            if path.extension().is_some_and(|extension| extension == "sqlite3") {
                let output = peer::command("sqlite3")
                    .arg(&path)
                    .arg("PRAGMA integrity_check")
                    .output()
                    .expect("sqlite3 starts");
                assert_eq!(text(&output.stdout).trim(), "ok", "{}", path.display());
                checked += 1;
            }
        }
        assert!(checked > 0, "an acknowledged Start is in a file");
    }

    #[test]
    fn a_restart_keeps_what_was_acknowledged() {
        if !present() {
            return;
        }
        let mut daemon = Daemon::start();
        assert_answered(&daemon.nas().radclient("acct", &record("Start", "")));
        daemon.restart();
        assert_eq!(daemon.map("subscriber", ALICE), "OK alice@isp.example");
        let who = daemon.json(&["who", ALICE]).expect("somebody owns it");
        assert_eq!(who["verdict"], "permit", "{who}");
        assert_eq!(who["subscriber"], "alice@isp.example", "{who}");
    }
}
