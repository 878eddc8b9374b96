//! The gate, with a real Postfix in it: each test is a story that a postmaster could tell.
//!
//! The configuration lines are those of examples/postfix, with nothing changed but the daemon's ports.

#[cfg(test)]
mod common;

#[cfg(test)]
mod stories {
    use std::time::{Duration, Instant};

    use nix::sys::signal::Signal;
    use serde_json::Value;

    use crate::common::daemon::{Daemon, Wanted, text};
    use crate::common::nas::{Attributes, Status};
    use crate::common::postfix::{Postfix, postmap, postmap_all, present};
    use crate::common::smtp::Smtp;
    use crate::common::{PATIENCE, eventually, peer};

    const ALICE: &str = "100.64.0.7";
    const NOBODY: &str = "100.64.9.9";
    const OUTSIDE: &str = "somebody@example.net";
    const INSIDE: &str = "customer@isp.example";

    fn alice_is_online(daemon: &Daemon) {
        daemon.nas().report(Status::Start, "alice", "s-alice-1", ALICE);
    }

    /// The one message that `messages` finds for this queue id.
    fn message(daemon: &Daemon, queue_id: &str) -> Value {
        let mut found = daemon.messages(&["--queue-id", queue_id], 1);
        assert_eq!(found.len(), 1, "a message is written down once: {found:?}");
        found.remove(0)
    }

    fn candidates(row: &Value) -> Vec<&str> {
        let candidates = row["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<_> = candidates.iter().filter_map(|one| one["subscriber"].as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_socketmap_in_mynetworks_relays_for_the_online_address_only() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        daemon.nas().report(Status::Start, "carol", "s-carol-1", "2001:db8:0:7::1");
        let postfix = Postfix::start(&daemon, &["socketmap.main.cf"]);

        assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 250);
        // Spelled out in full, the way a client may write it: Postfix and we must both fold it to the same address.
        let carol = "2001:0DB8:0000:0007:0000:0000:0000:0001";
        assert_eq!(Smtp::from(postfix.relay, carol).send(OUTSIDE).code, 250);
        assert_eq!(Smtp::from(postfix.relay, "2001:db8:0:7::2").send(OUTSIDE).code, 554, "her neighbour");
        assert_eq!(Smtp::from(postfix.relay, NOBODY).send(OUTSIDE).code, 554);
        // Mail to the ISP's own domain asks nobody.
        assert_eq!(Smtp::from(postfix.relay, "198.51.100.9").send(INSIDE).code, 250);

        daemon.nas().report(Status::Stop, "alice", "s-alice-1", ALICE);
        assert_eq!(
            Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code,
            451,
            "just freed: deferred, not refused"
        );
    }

    #[test]
    fn policy_relays_for_the_online_address_and_writes_down_whose_message_it_was() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);

        let accepted = Smtp::from(postfix.relay, ALICE).send(OUTSIDE);
        let queue_id = accepted.queue_id().to_owned();
        postfix.logged(&[&queue_id, "client=unknown[100.64.0.7]"]);
        let refused = Smtp::from(postfix.relay, NOBODY).send(OUTSIDE);
        assert_eq!(refused.code, 554, "{}", refused.text);

        let alices = daemon.messages(&["--subscriber", "alice"], 1);
        assert_eq!(alices.len(), 1, "one message, one row: {alices:?}");
        assert_eq!(alices[0]["queue_id"], queue_id.as_str());
        assert_eq!(alices[0]["subscriber"], "alice");
        assert_eq!(alices[0]["address"], ALICE);
        assert_eq!(alices[0]["port"], 40001);
        assert_eq!(alices[0]["recipient_count"], 1);
        assert_eq!(alices[0]["sender"], "sender@example.org");
        assert!(alices[0]["size"].as_u64().is_some_and(|size| size > 20), "{}", alices[0]);
        assert_eq!(daemon.json(&["messages", "--subscriber", "nobody"]), None);
    }

    #[test]
    fn policy_relays_for_ipv6_addresses_and_delegated_prefixes() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        let mut nas = daemon.nas();
        nas.report(Status::Start, "carol", "s-carol-1", "2001:db8:0:7::1");
        // Delegated-IPv6-Prefix 2001:db8:4200::/56 (RFC 4818 section 3).
        let delegated = [0, 56, 0x20, 0x01, 0x0d, 0xb8, 0x42, 0, 0];
        let dave =
            Attributes::of_nas(Status::Start).with(1, b"dave").with(44, b"s-dave-1").with(123, &delegated);
        assert!(nas.tell(&dave), "Start of dave was not acknowledged");
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);

        let carols = Smtp::from(postfix.relay, "2001:0DB8:0:7::0001").send(OUTSIDE);
        assert_eq!(message(&daemon, carols.queue_id())["subscriber"], "carol");
        let daves = Smtp::from(postfix.relay, "2001:db8:4200:ff::25").send(OUTSIDE);
        assert_eq!(message(&daemon, daves.queue_id())["subscriber"], "dave");
        assert_eq!(
            Smtp::from(postfix.relay, "2001:db8:4200:100::25").send(OUTSIDE).code,
            554,
            "beyond the /56"
        );
    }

    #[test]
    fn swaks_a_client_of_somebody_elses_gets_the_same_answers() {
        if !present() || !peer::present(&[("swaks", "swaks")]) {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        let send = |client: &str| {
            let output = peer::command("swaks")
                .args([
                    "--server",
                    &postfix.relay.to_string(),
                    "--xclient",
                    &format!("ADDR={client} PORT=40002"),
                ])
                .args(["--from", "sender@example.org", "--to", OUTSIDE, "--helo", "client.example"])
                .output()
                .expect("swaks starts");
            (output.status.code(), text(&output.stdout))
        };
        let (status, transcript) = send(ALICE);
        assert_eq!(status, Some(0), "{transcript}");
        assert_eq!(daemon.messages(&["--subscriber", "alice"], 1)[0]["port"], 40002);
        // 24: no recipient was accepted.
        let (status, transcript) = send(NOBODY);
        assert_eq!(status, Some(24), "{transcript}");
        assert!(transcript.contains("<** 554 5.7.1"), "{transcript}");
    }

    #[test]
    fn an_address_whose_owner_has_just_stopped_is_deferred() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.send(OUTSIDE).code, 250);
        daemon.nas().report(Status::Stop, "alice", "s-alice-1", ALICE);
        let deferred = session.send(OUTSIDE);
        assert_eq!(deferred.code, 451, "{}", deferred.text);
        assert!(deferred.text.contains("4.7.1"), "{}", deferred.text);
    }

    #[test]
    fn without_a_grace_a_stopped_owners_address_is_refused_at_once() {
        if !present() {
            return;
        }
        let session = "warm-up = \"0s\"\ndefer-after-stop = \"0s\"";
        let daemon = Daemon::start_with(&Wanted { session, ..Wanted::default() });
        alice_is_online(&daemon);
        daemon.nas().report(Status::Stop, "alice", "s-alice-1", ALICE);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 554);
    }

    #[test]
    fn while_warming_up_an_unknown_address_is_deferred_and_a_known_one_relays() {
        if !present() {
            return;
        }
        let daemon = Daemon::start_with(&Wanted { session: "warm-up = \"24h\"", ..Wanted::default() });
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        assert_eq!(Smtp::from(postfix.relay, NOBODY).send(OUTSIDE).code, 451);
        assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 250);
    }

    #[test]
    fn three_listeners_have_three_profiles() {
        if !present() {
            return;
        }
        // The longest warm-up there is: inbound mail must not notice.
        let wanted =
            Wanted { session: "warm-up = \"24h\"", relay: "authenticated = \"permit\"", ..Wanted::default() };
        let daemon = Daemon::start_with(&wanted);
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["profiles.main.cf"]);

        assert_eq!(Smtp::from(postfix.mx, "198.51.100.9").send(INSIDE).code, 250, "inbound flows");
        assert_eq!(Smtp::from(postfix.mx, "198.51.100.9").send(OUTSIDE).code, 554, "and the mx is no relay");
        assert_eq!(Smtp::from(postfix.mx, ALICE).send(OUTSIDE).code, 554, "not even for a customer");
        assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 250);
        assert_eq!(
            Smtp::from(postfix.relay, "198.51.100.9").send(OUTSIDE).code,
            451,
            "unknown while warming up"
        );

        // Bob is on a journey: his login decides, the address is somebody else's.
        let mut bob = Smtp::from(postfix.submission, "198.51.100.9");
        assert_ne!(bob.rcpt(OUTSIDE).code, 250, "no login, no relay");
        bob.say("RSET");
        assert_eq!(bob.login("bob@isp.example", "open sesame").code, 235);
        let sent = bob.send(OUTSIDE);
        let row = message(&daemon, sent.queue_id());
        assert_eq!(row["login"], "bob@isp.example");
        assert_eq!(row["profile"], "submission");

        // Bob at Alice's: both are recorded.
        let mut bob = Smtp::from(postfix.submission, ALICE);
        assert_eq!(bob.login("bob@isp.example", "open sesame").code, 235);
        let row = message(&daemon, bob.send(OUTSIDE).queue_id());
        assert_eq!(row["login"], "bob@isp.example");
        assert_eq!(row["subscriber"], "alice");
    }

    #[test]
    fn a_suspended_customer_is_refused_on_each_listener_until_released() {
        if !present() {
            return;
        }
        let wanted = Wanted { relay: "authenticated = \"permit\"", ..Wanted::default() };
        let daemon = Daemon::start_with(&wanted);
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["profiles.main.cf"]);
        let mut by_address = Smtp::from(postfix.relay, ALICE);
        let mut inbound = Smtp::from(postfix.mx, ALICE);
        let mut by_login = Smtp::from(postfix.submission, ALICE);
        assert_eq!(by_login.login("bob@isp.example", "open sesame").code, 235);
        assert_eq!(by_address.send(OUTSIDE).code, 250);
        assert_eq!(inbound.send(INSIDE).code, 250);
        assert_eq!(by_login.send(OUTSIDE).code, 250);

        // The sessions stay open: what holds is what was ordered before the query, not before the connection.
        daemon.order(&["suspend", "alice", "--reason", "open proxy"]);
        let refused = by_address.send(OUTSIDE);
        assert_eq!((refused.code, refused.text.contains("5.7.1")), (550, true), "{}", refused.text);
        assert!(
            !refused.text.contains("open proxy"),
            "staff's reason is not for the customer: {}",
            refused.text
        );
        assert_eq!(inbound.send(INSIDE).code, 550);
        assert_eq!(by_login.send(OUTSIDE).code, 550, "the address's owner is suspended, whoever logs in");

        daemon.order(&["release", "alice", "--reason", "cleaned up"]);
        assert_eq!(by_address.send(OUTSIDE).code, 250);
        assert_eq!(inbound.send(INSIDE).code, 250);
        assert_eq!(by_login.send(OUTSIDE).code, 250);
    }

    #[test]
    fn whoever_sent_too_much_is_told_so_on_any_address_and_after_a_restart_and_nobody_else_is() {
        if !present() {
            return;
        }
        let wanted = Wanted {
            session: "warm-up = \"0s\"\ndefer-after-stop = \"0s\"",
            policy: "[[limit]]\nname = \"default\"\nmode = \"enforce\"\nmessages = [\"2/1h\"]\nrecipients = [\"4/1h\"]\n\
                     message-size = \"64KiB\"",
            ..Wanted::default()
        };
        let mut daemon = Daemon::start_with(&wanted);
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        // Four recipients fit, the fifth is tried again later, and the message goes to the four.
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.rcpt("r1@example.net").code, 250);
        let more: Vec<u16> =
            (2..=5).map(|n| session.say(&format!("RCPT TO:<r{n}@example.net>")).code).collect();
        assert_eq!(more, [250, 250, 250, 450]);
        let sent = session.content();
        assert_eq!(message(&daemon, sent.queue_id())["recipient_count"], 4);
        let over = session.send(OUTSIDE);
        assert_eq!((over.code, over.text.contains("4.7.1")), (450, true), "{}", over.text);

        daemon.nas().report(Status::Stop, "alice", "s-alice-1", ALICE);
        daemon.nas().report(Status::Start, "alice", "s-alice-2", "100.64.0.77");
        daemon.nas().report(Status::Start, "bob", "s-bob-1", ALICE);
        assert_eq!(Smtp::from(postfix.relay, "100.64.0.77").send(OUTSIDE).code, 450, "with a new address");
        assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 250, "bob has the old one");
        daemon.restart();
        assert_eq!(Smtp::from(postfix.relay, "100.64.0.77").send(OUTSIDE).code, 450, "after a restart");

        // Size is known for sure only at the end; announced, it is refused at once.
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.say("MAIL FROM:<sender@example.org> SIZE=70000").code, 250);
        let announced = session.say(&format!("RCPT TO:<{OUTSIDE}>"));
        assert_eq!((announced.code, announced.text.contains("5.3.4")), (552, true), "{}", announced.text);
        session.say("RSET");
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        assert_eq!(session.say("DATA").code, 354);
        let large = session.say(&format!("Subject: large\r\n\r\n{}.", "0123456789abcdef\r\n".repeat(4000)));
        assert_eq!((large.code, large.text.contains("5.3.4")), (552, true), "{}", large.text);
    }

    #[test]
    fn a_message_under_way_when_its_sender_is_suspended_is_refused_at_its_end() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        daemon.order(&["suspend", "alice", "--reason", "open proxy"]);
        assert_eq!(session.content().code, 550);
    }

    #[test]
    fn observing_changes_nothing_and_tells_what_would_have_been() {
        if !present() {
            return;
        }
        let wanted = Wanted { relay: "mode = \"observe\"", ..Wanted::default() };
        let mut daemon = Daemon::start_with(&wanted);
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["observe.main.cf"]);

        let outsider = Smtp::from(postfix.relay, "198.51.100.9").send(OUTSIDE);
        assert_eq!(outsider.code, 554, "the old rule refuses an outsider: {}", outsider.text);
        let served = Smtp::from(postfix.relay, ALICE).send(OUTSIDE);
        let row = message(&daemon, served.queue_id());
        assert_eq!((&row["reason"], &row["observed"]), (&"online".into(), &true.into()), "{row}");

        // An address of the old range that nobody owns: served still, and we say that it would not have been.
        let stray = Smtp::from(postfix.relay, NOBODY).send(OUTSIDE);
        let row = message(&daemon, stray.queue_id());
        assert_eq!((&row["reason"], &row["observed"]), (&"not-online".into(), &true.into()), "{row}");

        daemon.order(&["suspend", "alice", "--reason", "a trial"]);
        let suspended = Smtp::from(postfix.relay, ALICE).send(OUTSIDE);
        let row = message(&daemon, suspended.queue_id());
        assert_eq!((&row["reason"], &row["observed"]), (&"suspended".into(), &true.into()), "{row}");

        daemon.terminate();
        assert_eq!(
            Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code,
            250,
            "nobody notices that we are away"
        );
        assert_eq!(Smtp::from(postfix.relay, "198.51.100.9").send(OUTSIDE).code, 554);
    }

    #[test]
    fn the_token_stands_once_in_the_header_and_names_its_sender() {
        if !present() {
            return;
        }
        let wanted = Wanted { policy: "header = \"X-Subscriber-Token\"", ..Wanted::default() };
        let daemon = Daemon::start_with(&wanted);
        alice_is_online(&daemon);
        // Deliveries wait, so that the message can be read in the queue.
        let snippets = ["policy.main.cf", "token.main.cf"];
        let postfix = Postfix::start_with(&daemon, &snippets, "defer_transports = discard");

        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        assert_eq!(session.say("RCPT TO:<another@example.net>").code, 250);
        let queue_id = session.content().queue_id().to_owned();
        let header = postfix.header(&queue_id);
        let tokens: Vec<_> =
            header.lines().filter_map(|line| line.strip_prefix("X-Subscriber-Token: ")).collect();
        let [token] = tokens[..] else {
            panic!("one token for two recipients was promised:\n{header}");
        };
        assert!(!token.contains("alice"), "a token is opaque: {token}");

        eventually("the token to be resolved", || {
            let answer = daemon.json(&["who", "--token", token])?;
            answer.to_string().contains("\"alice\"").then_some(())
        });
        assert_eq!(message(&daemon, &queue_id)["recipient_count"], 2);
    }

    #[test]
    fn an_address_that_changes_hands_during_a_message_accuses_nobody() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["policy.main.cf"]);
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);

        let mut nas = daemon.nas();
        nas.report(Status::Stop, "alice", "s-alice-1", ALICE);
        nas.report(Status::Start, "mallory", "s-mallory-1", ALICE);
        assert_eq!(daemon.map("subscriber", ALICE), "OK mallory");

        let queue_id = session.content().queue_id().to_owned();
        let row = message(&daemon, &queue_id);
        assert_eq!(row["subscriber"], Value::Null, "{row}");
        assert_eq!(candidates(&row), ["alice", "mallory"], "{row}");
    }

    #[test]
    fn while_the_daemon_is_away_customers_are_deferred_and_inbound_mail_flows() {
        if !present() {
            return;
        }
        let mut daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["profiles.main.cf"]);
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.send(OUTSIDE).code, 250);

        daemon.terminate();
        let deferred = session.send(OUTSIDE);
        assert_eq!(deferred.code, 451, "{}", deferred.text);
        assert!(deferred.text.contains("Relay authorisation is unavailable"), "{}", deferred.text);
        assert_eq!(Smtp::from(postfix.mx, "198.51.100.9").send(INSIDE).code, 250);

        daemon.launch();
        daemon.wait_until_ready();
        assert_eq!(session.send(OUTSIDE).code, 250, "the same SMTP session goes on");
    }

    #[test]
    fn while_the_daemon_hangs_answers_come_within_the_snippets_time_limits() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let postfix = Postfix::start(&daemon, &["profiles.main.cf"]);
        let (mut customer, mut stranger) =
            (Smtp::from(postfix.relay, ALICE), Smtp::from(postfix.mx, "198.51.100.9"));

        daemon.signal(Signal::SIGSTOP);
        let asked = Instant::now();
        assert_eq!(customer.send(OUTSIDE).code, 451);
        let waited = asked.elapsed();
        // Two tries of 5 s, one second apart.
        assert!((Duration::from_secs(4)..Duration::from_secs(14)).contains(&waited), "after {waited:?}");
        let asked = Instant::now();
        assert_eq!(stranger.send(INSIDE).code, 250);
        let waited = asked.elapsed();
        // One try of 3 s at RCPT and one at the end.
        assert!(waited < Duration::from_secs(9), "after {waited:?}");

        daemon.signal(Signal::SIGCONT);
        let resumed = Instant::now();
        while customer.send(OUTSIDE).code != 250 {
            assert!(resumed.elapsed() < PATIENCE, "it never recovered");
        }
    }

    #[test]
    fn a_restart_is_not_noticed_by_a_live_postfix() {
        if !present() {
            return;
        }
        let mut daemon = Daemon::start();
        alice_is_online(&daemon);
        let by_map = Postfix::start(&daemon, &["socketmap.main.cf"]);
        let by_policy = Postfix::start(&daemon, &["policy.main.cf"]);
        let (mut first, mut second) = (Smtp::from(by_map.relay, ALICE), Smtp::from(by_policy.relay, ALICE));
        assert_eq!(first.send(OUTSIDE).code, 250);
        let before = second.send(OUTSIDE).queue_id().to_owned();

        daemon.restart();
        assert_eq!(first.send(OUTSIDE).code, 250);
        let after = second.send(OUTSIDE).queue_id().to_owned();
        let rows = daemon.messages(&["--subscriber", "alice"], 2);
        let mut ids: Vec<_> = rows.iter().filter_map(|row| row["queue_id"].as_str()).collect();
        ids.sort_unstable();
        let mut expected = [before.as_str(), after.as_str()];
        expected.sort_unstable();
        assert_eq!(ids, expected);
    }

    #[test]
    fn postmap_reads_every_map_with_its_exit_codes() {
        if !present() {
            return;
        }
        let daemon = Daemon::start();
        alice_is_online(&daemon);
        let ask = |map: &str, key: &str| {
            let output = postmap(&daemon, map, key);
            (output.status.code(), text(&output.stdout).trim_end().to_owned())
        };
        assert_eq!(ask("relay", ALICE), (Some(0), "alice".to_owned()));
        assert_eq!(ask("relay", "::ffff:100.64.0.7"), (Some(0), "alice".to_owned()));
        assert_eq!(ask("access", ALICE), (Some(0), "OK".to_owned()));
        assert_eq!(ask("subscriber", ALICE), (Some(0), "alice".to_owned()));
        assert_eq!(ask("subscriber", "100.64.0.7 40001"), (Some(0), "alice".to_owned()));
        // Exit 1: not found. A hostname is chosen by whoever owns the reverse zone: it must never match.
        for key in [NOBODY, "unknown", "host.isp.example", "100.64.0", "100.64.0.7.", "garbage \u{1}"] {
            assert_eq!(ask("relay", key), (Some(1), String::new()), "{key:?}");
        }
        for map in ["access", "subscriber"] {
            assert_eq!(ask(map, "host.isp.example"), (Some(1), String::new()), "{map}");
        }
        let unknown = postmap(&daemon, "no-such-map", ALICE);
        assert_eq!(unknown.status.code(), Some(1));
        assert!(!text(&unknown.stderr).is_empty(), "a map that is not there is an error, not an absence");
    }

    /// The daemon's map as a table, in a file that Postfix's users may read.
    fn table(daemon: &Daemon, home: &tempfile::TempDir) -> String {
        let file = home.path().join("online.cidr");
        let file = file.to_str().expect("a path of ours").to_owned();
        daemon.order(&["export", "cidr", "-o", &file]);
        file
    }

    #[test]
    fn the_exported_table_says_what_the_socketmap_says() {
        if !present() {
            return;
        }
        let relay =
            "static = [{ prefix = \"192.0.2.0/28\", subscriber = \"office\" }]\nnever = [\"192.0.2.9\"]";
        let daemon = Daemon::start_with(&Wanted { relay, ..Wanted::default() });
        let mut nas = daemon.nas();
        // Framed-Routes (RFC 2865 section 5.22) around those who come after them.
        let route =
            Attributes::record(Status::Start, "emil", "s-emil-1", "100.64.1.1".parse().expect("an address"))
                .with(22, b"100.64.0.0/29 0.0.0.0 1")
                .with(22, b"100.64.0.8/29 0.0.0.0 1");
        assert!(nas.tell(&route));
        alice_is_online(&daemon);
        nas.report(Status::Start, "bob", "s-bob-1", "100.64.0.8");
        nas.report(Status::Start, "carol", "s-carol-1", "2001:db8:0:7::1");
        nas.report(Status::Start, "dora", "s-dora-1", "100.64.0.9");
        nas.report(Status::Stop, "dora", "s-dora-1", "100.64.0.9");
        daemon.order(&["suspend", "bob", "--reason", "an open proxy"]);

        let home = tempfile::tempdir().expect("a directory");
        let file = table(&daemon, &home);
        let addresses = [
            ALICE,
            "100.64.0.8",
            "100.64.0.9",
            "100.64.0.10",
            "100.64.0.15",
            "100.64.0.16",
            "100.64.1.1",
            NOBODY,
            "192.0.2.8",
            "192.0.2.9",
            "192.0.2.16",
            "2001:db8:0:7::1",
            "2001:db8:0:7::2",
        ];
        let found = postmap_all(&format!("cidr:{file}"), &addresses);
        let told: Vec<_> =
            addresses.iter().filter(|address| daemon.map("access", address) == "OK OK").collect();
        let told: Vec<_> = told.iter().map(|address| format!("{address}\tOK")).collect();
        assert_eq!(found, told);
        assert_eq!(found.len(), 6, "both answers were seen");
    }

    #[test]
    fn the_exported_table_goes_on_relaying_when_the_daemon_is_gone() {
        if !present() {
            return;
        }
        let mut daemon = Daemon::start();
        alice_is_online(&daemon);
        let home = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("our own directory");
        let file = table(&daemon, &home);
        daemon.terminate();
        for restrictions in [
            format!(
                "smtpd_relay_restrictions = permit_auth_destination, check_client_access cidr:{file}, reject"
            ),
            format!(
                "mynetworks = 127.0.0.1/32 cidr:{file}\n\
                 smtpd_relay_restrictions = permit_auth_destination, permit_mynetworks, reject"
            ),
        ] {
            let postfix = Postfix::start_with(&daemon, &[], &restrictions);
            assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 250, "{restrictions}");
            assert_eq!(Smtp::from(postfix.relay, NOBODY).send(OUTSIDE).code, 554, "{restrictions}");
        }
    }
}
