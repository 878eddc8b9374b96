//! A real Sendmail that permits by socketmap and has messages written down by milter, as in examples/sendmail.

#[cfg(test)]
mod common;

#[cfg(test)]
mod stories {
    use std::process::Command;

    use nix::sys::signal::Signal;

    use crate::common::daemon::{Daemon, Wanted};
    use crate::common::eventually;
    use crate::common::nas::Status;
    use crate::common::peer;
    use crate::common::sendmail::{Sendmail, present};
    use crate::common::smtp::Smtp;

    const HERE: &str = "100.64.0.25";
    const ALICE: &str = "100.64.0.7";
    const NOBODY: &str = "100.64.9.9";
    const OUTSIDE: &str = "somebody@example.net";

    fn run(program: &str, arguments: &[&str]) {
        let status = peer::command(program).args(arguments).status().expect("it starts");
        assert!(status.success(), "{program} {arguments:?}");
    }

    #[test]
    fn sendmail_has_messages_written_down_by_milter_and_refuses_strangers() {
        if !present() || !peer::present(&[("unshare", "util-linux"), ("ip", "iproute2")]) {
            return;
        }
        let name = "stories::sendmail_has_messages_written_down_by_milter_and_refuses_strangers";
        if !peer::inside_network(name) {
            return;
        }
        run("ip", &["link", "set", "lo", "up"]);
        for address in [HERE, ALICE, NOBODY] {
            run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        // Without a whole name it waits for a minute when it starts.
        assert!(Command::new("hostname").arg("mx.isp.example").status().is_ok_and(|status| status.success()));

        let wanted = Wanted {
            milter: Some("profile = \"relay\""),
            policy: "header = \"X-Subscriber-Token\"",
            ..Wanted::default()
        };
        let daemon = Daemon::start_with(&wanted);
        daemon.nas().report(Status::Start, "alice", "s-alice-1", ALICE);
        let sendmail = Sendmail::start(&daemon, HERE);

        let mut session = Smtp::bound(sendmail.relay, ALICE);
        for number in 1..=2 {
            assert_eq!(session.rcpt(OUTSIDE).code, 250);
            assert_eq!(session.say("RCPT TO:<another@example.net>").code, 250);
            // The first has none of its own.
            let id = if number == 2 { "Message-Id: <2.4711@client.example>\r\n" } else { "" };
            assert_eq!(session.say("DATA").code, 354);
            let sent = session.say(&format!("Subject: a test\r\n{id}\r\nHello.\r\n."));
            assert_eq!(sent.code, 250, "message {number}");
        }
        let rows = daemon.messages(&["--subscriber", "alice"], 2);
        assert_eq!(rows.len(), 2, "{rows:?}");
        for row in &rows {
            assert_eq!((&row["recipient_count"], &row["address"]), (&2.into(), &ALICE.into()), "{row}");
            assert_eq!(
                (&row["sender"], &row["helo"]),
                (&"sender@example.org".into(), &"client.example".into())
            );
            let header = sendmail.header(row["queue_id"].as_str().expect("a queue id"));
            let token = format!("X-Subscriber-Token: {}", row["token"].as_str().expect("a token"));
            assert_eq!(header.matches(&token).count(), 1, "{header}");
        }
        assert_ne!(rows[0]["queue_id"], rows[1]["queue_id"]);
        let named = eventually("the Message-ID", || {
            let found = daemon.json(&["messages", "--message-id", "<2.4711@client.example>"])?;
            found.as_array().filter(|found| found.len() == 1).cloned()
        });
        assert_eq!(named[0]["queue_id"], rows[0]["queue_id"], "{named:?}");
        let first = sendmail.header(rows[1]["queue_id"].as_str().expect("a queue id"));
        let row = daemon.messages(&["--subscriber", "alice"], 2).remove(1);
        assert!(row["message_id"].is_null(), "{row} {first}");

        let refused = Smtp::bound(sendmail.relay, NOBODY).rcpt(OUTSIDE);
        assert_eq!((refused.code, refused.text.contains("5.7.1")), (554, true), "{}", refused.text);
        daemon.order(&["suspend", "alice", "--reason", "open proxy"]);
        let suspended = session.rcpt(OUTSIDE);
        assert_eq!(suspended.code, 550, "{}", suspended.text);
        daemon.order(&["release", "alice", "--reason", "cleaned up"]);
        session.say("RSET");

        daemon.signal(Signal::SIGSTOP);
        let slow = Smtp::bound(sendmail.relay, ALICE).say("MAIL FROM:<sender@example.org>");
        assert_eq!(slow.code, 451, "{}", slow.text);
        daemon.signal(Signal::SIGCONT);
        let mut daemon = daemon;
        daemon.crash();
        let down = Smtp::bound(sendmail.relay, ALICE).say("MAIL FROM:<sender@example.org>");
        assert_eq!(down.code, 451, "{}", down.text);
    }
}
