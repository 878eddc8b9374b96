//! A real Postfix that asks by milter, and a real rspamd before us: each test is a story that a postmaster could tell.
//!
//! The configuration lines are those of examples/postfix, with nothing changed but ports.

#[cfg(test)]
mod common;

#[cfg(test)]
mod stories {
    use std::time::{Duration, Instant};

    use nix::sys::signal::Signal;
    use serde_json::Value;

    use crate::common::daemon::{Daemon, Wanted, text};
    use crate::common::nas::Status;
    use crate::common::postfix::{Postfix, present};
    use crate::common::rspamd::{self, Rspamd};
    use crate::common::smtp::{Reply, Smtp};
    use crate::common::{eventually, within};

    const ALICE: &str = "100.64.0.7";
    const NOBODY: &str = "100.64.9.9";
    const OUTSIDE: &str = "somebody@example.net";
    /// Of the two parts each is harmless, also to whatever looks through the files of this repository.
    const EICAR: [&str; 2] = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"];
    /// The pattern that rspamd rejects, and the one that it marks.
    const GTUBE: [&str; 2] = [
        "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
        "YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
    ];
    const UNWANTED: &str = "buy this watch now";
    /// Deliveries wait, so that a message can be read in the queue.
    const HELD: &str = "defer_transports = discard";

    fn attributing(more: &'static str) -> Wanted {
        Wanted { milter: Some(more), policy: "header = \"X-Subscriber-Token\"", ..Wanted::default() }
    }

    fn online(wanted: &Wanted) -> Daemon {
        let daemon = Daemon::start_with(wanted);
        daemon.nas().report(Status::Start, "alice", "s-alice-1", ALICE);
        daemon
    }

    fn content(session: &mut Smtp, headers: &str, body: &str) -> Reply {
        let reply = session.say("DATA");
        assert_eq!(reply.code, 354, "{}", reply.text);
        session.say(&format!("Subject: a test\r\nFrom: <a@example.org>\r\n{headers}\r\n{body}\r\n."))
    }

    fn sent(postfix: &Postfix, client: &str, headers: &str, body: &str) -> Reply {
        let mut session = Smtp::from(postfix.relay, client);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        content(&mut session, headers, body)
    }

    fn scanned(daemon: &Daemon, filter: &[&str], at_least: usize) -> Vec<Value> {
        eventually(&format!("{at_least} verdicts for {filter:?}"), || {
            let found = daemon.json(&[&["scanned"], filter].concat())?;
            found.as_array().filter(|found| found.len() >= at_least).cloned()
        })
    }

    /// The only message with this Message-ID.
    fn named(daemon: &Daemon, id: &str) -> Value {
        eventually(&format!("a message with {id}"), || {
            let found = daemon.json(&["messages", "--message-id", id])?;
            found.as_array().filter(|found| found.len() == 1).and_then(|found| found.first().cloned())
        })
    }

    fn counted(daemon: &Daemon, labels: &str) -> u64 {
        let (_, metrics) = daemon.http("/metrics").expect("the daemon answers");
        let line = metrics.lines().find(|line| line.contains(labels) && !line.starts_with('#'));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    #[test]
    fn a_message_by_milter_is_written_down_once_with_its_token_and_a_stranger_is_refused() {
        if !present() {
            return;
        }
        let daemon = online(&attributing("profile = \"relay\""));
        let postfix = Postfix::start_with(&daemon, &["milter.main.cf"], HELD);

        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        assert_eq!(session.say("RCPT TO:<another@example.net>").code, 250);
        let first = session.content().queue_id().to_owned();
        let header = postfix.header(&first);
        let tokens: Vec<_> =
            header.lines().filter_map(|line| line.strip_prefix("X-Subscriber-Token: ")).collect();
        assert_eq!(tokens.len(), 1, "{header}");
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        let id = "Message-Id: <1.4711@client.example>\r\nMessage-Id: <2@client.example>\r\n";
        let second = content(&mut session, id, "hello").queue_id().to_owned();

        let rows = daemon.messages(&["--subscriber", "alice"], 2);
        assert_eq!(rows.len(), 2, "two messages of one connection, two rows: {rows:?}");
        let row = &rows[1];
        assert_eq!((&row["queue_id"], &row["port"]), (&first.as_str().into(), &40001.into()), "{row}");
        assert_eq!((&row["recipient_count"], &row["sender"]), (&2.into(), &"sender@example.org".into()));
        assert_eq!((&row["helo"], &row["token"]), (&"client.example".into(), &tokens[0].into()), "{row}");
        assert!(row["size"].as_u64().is_some_and(|size| (20..200).contains(&size)), "{row}");
        assert_eq!(rows[0]["queue_id"], second.as_str());
        let row = named(&daemon, "<1.4711@client.example>");
        assert_eq!(
            (&row["queue_id"], &row["message_id"]),
            (&second.as_str().into(), &"1.4711@client.example".into())
        );
        assert_eq!(
            daemon.json(&["messages", "--message-id", "<2@client.example>"]),
            None,
            "the first counts"
        );
        eventually("the token to be resolved", || {
            let answer = daemon.json(&["who", "--token", tokens[0]])?;
            answer.to_string().contains("\"alice\"").then_some(())
        });

        let refused = Smtp::from(postfix.relay, NOBODY).send(OUTSIDE);
        assert_eq!((refused.code, refused.text.contains("5.7.1")), (554, true), "{}", refused.text);
        let reference = refused.text.rsplit("(ref ").next().and_then(|text| text.split(')').next()).unwrap();
        assert_eq!(daemon.json(&["attempts", reference]).unwrap()[0]["reason"], "not-online");
        let sample = daemon.json(&["sample", "--refused", "20"]).expect("a sample");
        assert_eq!(sample[0]["address"], NOBODY, "{sample}");
        let tokenless = daemon.json(&["messages", "--address", NOBODY]);
        assert_eq!(tokenless, None, "what is refused is no message");
    }

    #[test]
    fn suspensions_limits_and_addresses_just_freed_hold_by_milter_too() {
        if !present() {
            return;
        }
        let policy = "contact = \"https://isp.example/mail%20help\"\n[[limit]]\nname = \"default\"\nmode = \"enforce\"\nmessages = [\"3/1h\"]\nmessage-size = \"64KiB\"";
        let daemon = online(&Wanted { policy, ..attributing("profile = \"relay\"") });
        let postfix = Postfix::start(&daemon, &["milter.main.cf"]);
        let mut session = Smtp::from(postfix.relay, ALICE);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        daemon.order(&["suspend", "alice", "--reason", "open proxy"]);
        let refused = session.content();
        assert_eq!(refused.code, 550, "at its end");
        assert!(refused.text.contains("https://isp.example/mail%20help"), "{}", refused.text);
        assert_eq!(session.send(OUTSIDE).code, 550, "and at the next recipient");
        daemon.order(&["release", "alice", "--reason", "cleaned up"]);
        assert_eq!(session.rcpt(OUTSIDE).code, 250);
        let large = session.say("DATA");
        assert_eq!(large.code, 354);
        let large = session.say(&format!("Subject: large\r\n\r\n{}.", "0123456789abcdef\r\n".repeat(4000)));
        assert_eq!((large.code, large.text.contains("5.3.4")), (552, true), "{}", large.text);
        let codes: Vec<u16> = (0..4).map(|_| session.send(OUTSIDE).code).collect();
        assert_eq!(codes, [250, 250, 250, 450]);

        daemon.nas().report(Status::Stop, "alice", "s-alice-1", ALICE);
        assert_eq!(Smtp::from(postfix.relay, ALICE).send(OUTSIDE).code, 451);
    }

    #[test]
    fn the_milters_profile_is_for_addresses_logins_or_inbound_mail() {
        if !present() {
            return;
        }
        let daemon = online(&attributing("profile = \"submission\""));
        daemon.nas().report(Status::Start, "carol", "s-carol-1", "2001:db8:0:7::1");
        let sasl = "smtpd_sasl_auth_enable = yes";
        let postfix = Postfix::start_with(&daemon, &["milter.main.cf"], sasl);
        let refused = Smtp::from(postfix.relay, ALICE).send(OUTSIDE);
        assert_eq!((refused.code, refused.text.contains("authentication")), (554, true), "{}", refused.text);
        let mut bob = Smtp::from(postfix.relay, "2001:db8:0:7::1");
        assert_eq!(bob.login("bob@isp.example", "open sesame").code, 235);
        assert_eq!(bob.send(OUTSIDE).code, 250);
        let row = daemon.messages(&["--login", "bob@isp.example"], 1).remove(0);
        assert_eq!((&row["subscriber"], &row["profile"]), (&"carol".into(), &"submission".into()), "{row}");
        drop(postfix);

        let daemon = online(&attributing("profile = \"mx\""));
        let postfix = Postfix::start(&daemon, &["milter.main.cf"]);
        assert_eq!(Smtp::from(postfix.relay, NOBODY).send("customer@isp.example").code, 250, "inbound flows");
        assert_eq!(Smtp::from(postfix.relay, ALICE).send("customer@isp.example").code, 250);
        assert_eq!(daemon.messages(&[], 1).len(), 1, "and is nobody's message");
        daemon.order(&["suspend", "alice", "--reason", "open proxy"]);
        assert_eq!(Smtp::from(postfix.relay, ALICE).send("customer@isp.example").code, 550);
    }

    /// Both ways in which a milter stands: it attributes itself, or beside policy delegation.
    const WAYS: [(&str, &[&str]); 2] =
        [("profile = \"relay\"", &["milter.main.cf"]), ("", &["policy.main.cf", "verdicts.main.cf"])];

    #[test]
    fn as_many_sessions_go_on_as_are_allowed_and_the_next_one_waits_until_one_of_them_ends() {
        if !present() {
            return;
        }
        let policy = "[[limit]]\nname = \"default\"\nmode = \"enforce\"\nconnections = 2";
        for (milter, snippets) in WAYS {
            let daemon = online(&Wanted { milter: Some(milter), policy, ..Wanted::default() });
            daemon.nas().report(Status::Start, "bob", "s-bob-1", "100.64.0.8");
            daemon.nas().report(Status::Start, "alice", "s-alice-2", "2001:db8:0:7::1");
            let postfix = Postfix::start_changed(&daemon, snippets, "", &[("inet:127.0.0.1:11332, ", "")]);
            let mut first = Smtp::from_port(postfix.relay, ALICE, 40001);
            let mut second = Smtp::from_port(postfix.relay, "2001:db8:0:7::1", 40002);
            let mut third = Smtp::from_port(postfix.relay, ALICE, 40003);
            let waits = third.send(OUTSIDE);
            assert_eq!((waits.code, waits.text.contains("4.7.1")), (450, true), "{milter:?}: {}", waits.text);
            assert_eq!([first.send(OUTSIDE).code, second.send(OUTSIDE).code], [250, 250], "{milter:?}");
            assert_eq!(Smtp::from(postfix.relay, "100.64.0.8").send(OUTSIDE).code, 250, "bob's is another");
            let usage = daemon.json(&["usage", "alice"]).expect("the limit");
            let told = (&usage[0]["measure"], &usage[0]["sent"], &usage[0]["full"]);
            assert_eq!(told, (&"connections".into(), &3.into(), &true.into()), "{usage}");
            assert_eq!(first.say("QUIT").code, 221);
            eventually("the third session to go on", || (third.send(OUTSIDE).code == 250).then_some(()));
            // A client that is gone without a word gives its place back, too.
            drop(second);
            let mut fourth = Smtp::from_port(postfix.relay, ALICE, 40004);
            eventually("the fourth session to go on", || (fourth.send(OUTSIDE).code == 250).then_some(()));
            assert_eq!(counted(&daemon, "smtp_sessions "), 2);
        }
    }

    #[test]
    fn a_login_has_its_sessions_counted_from_wherever_it_is_used() {
        if !present() {
            return;
        }
        let policy = "[[limit]]\nname = \"default\"\nmode = \"enforce\"\nconnections = 1";
        let relay = "authenticated = \"permit\"";
        let daemon = online(&Wanted { milter: Some(""), policy, relay, ..Wanted::default() });
        let sasl = "smtpd_sasl_auth_enable = yes";
        let changes = [("inet:127.0.0.1:11332, ", "")];
        let postfix =
            Postfix::start_changed(&daemon, &["policy.main.cf", "verdicts.main.cf"], sasl, &changes);
        let mut sessions = ["198.51.100.1", "198.51.100.2"].map(|client| Smtp::from(postfix.relay, client));
        for session in &mut sessions {
            assert_eq!(session.login("bob@isp.example", "open sesame").code, 235);
        }
        assert_eq!(sessions.each_mut().map(|session| session.send(OUTSIDE).code), [250, 450]);
    }

    #[test]
    fn whoever_tries_recipients_that_there_are_not_is_held_back_and_the_neighbour_is_not() {
        if !present() {
            return;
        }
        let policy = "[[limit]]\nname = \"default\"\nmode = \"enforce\"\nrefused = [\"3/1h\"]";
        let known = "relay_recipient_maps = inline:{ { known@isp.example = ok } }";
        for (milter, snippets) in WAYS {
            let mut daemon = online(&Wanted { milter: Some(milter), policy, ..Wanted::default() });
            daemon.nas().report(Status::Start, "bob", "s-bob-1", "100.64.0.8");
            let changes = [("inet:127.0.0.1:11332, ", "")];
            let postfix = Postfix::start_changed(&daemon, snippets, known, &changes);
            let mut alice = Smtp::from(postfix.relay, ALICE);
            assert_eq!(alice.rcpt("known@isp.example").code, 250);
            for number in 0..3 {
                assert_eq!(alice.say("RCPT TO:<known@isp.example>").code, 250, "{number} are too few");
                let refused = alice.say(&format!("RCPT TO:<nobody{number}@isp.example>"));
                assert_eq!((refused.code, refused.text.contains("5.1.1")), (550, true), "{}", refused.text);
            }
            eventually("alice to be held back", || {
                (alice.say(&format!("RCPT TO:<{OUTSIDE}>")).code == 450).then_some(())
            });
            let bob = Smtp::from(postfix.relay, "100.64.0.8").send(OUTSIDE);
            assert_eq!(bob.code, 250, "{}", bob.text);
            let rows = daemon.json(&["attempts", "--reason", "recipient-refused"]).expect("they are kept");
            assert_eq!((rows.as_array().map(Vec::len), &rows[0]["count"]), (Some(1), &3.into()), "{rows}");
            assert_eq!(rows[0]["subscriber"], "alice", "{rows}");
            assert_eq!(daemon.json(&["sample", "--refused", "9"]), None, "nothing of it was ours to judge");

            daemon.restart();
            let mut alice = Smtp::from_port(postfix.relay, ALICE, 40002);
            assert_eq!(alice.send(OUTSIDE).code, 450, "after a restart as before");
            let usage = daemon.json(&["usage", "alice"]).expect("the limit");
            assert_eq!((&usage[0]["measure"], &usage[0]["sent"]), (&"refused".into(), &3.into()), "{usage}");
        }
    }

    #[test]
    fn observed_a_milter_refuses_nobody_and_adds_nothing() {
        if !present() {
            return;
        }
        let relay = "mode = \"observe\"";
        let daemon = online(&Wanted { relay, ..attributing("profile = \"relay\"") });
        let postfix = Postfix::start_with(&daemon, &["milter.main.cf"], HELD);
        let sent = Smtp::from(postfix.relay, NOBODY).send(OUTSIDE);
        let header = postfix.header(sent.queue_id());
        assert!(!header.contains("X-Subscriber-Token"), "{header}");
        let row = daemon.messages(&["--queue-id", sent.queue_id()], 1).remove(0);
        assert_eq!((&row["reason"], &row["observed"]), (&"not-online".into(), &true.into()), "{row}");
    }

    #[test]
    fn beside_policy_delegation_a_milter_adds_no_second_message_and_no_second_header() {
        if !present() {
            return;
        }
        let policy = "header = \"X-Subscriber-Token\"\n[[limit]]\nname = \"default\"\nmode = \"enforce\"\nmessages = [\"3/1h\"]";
        let daemon = online(&Wanted { policy, ..attributing("profile = \"relay\"") });
        let milter =
            format!("{HELD}\nalways_add_missing_headers = yes\nsmtpd_milters = inet:{}\n", daemon.milter);
        let postfix = Postfix::start_with(&daemon, &["policy.main.cf", "token.main.cf"], &milter);
        let queue_id = Smtp::from(postfix.relay, ALICE).send(OUTSIDE).queue_id().to_owned();
        let header = postfix.header(&queue_id);
        assert_eq!(header.matches("X-Subscriber-Token: ").count(), 1, "{header}");
        let rows = daemon.messages(&["--subscriber", "alice"], 1);
        assert_eq!(rows.len(), 1, "{rows:?}");
        // What the milter held for the message is given back: a second one fits below the limit.
        let second = sent(&postfix, ALICE, "MESSAGE-ID: <3@client.example>\r\n", "hello");
        let row = named(&daemon, "3@client.example");
        assert_eq!(
            (&row["queue_id"], &row["subscriber"]),
            (&second.queue_id().into(), &"alice".into()),
            "{row}"
        );
        // What Postfix adds to a message without one, milters are shown as well.
        let added = header.lines().find_map(|line| line.strip_prefix("Message-Id: "));
        let row = named(&daemon, added.unwrap_or_else(|| panic!("none was added: {header}")));
        assert_eq!(row["queue_id"], queue_id.as_str(), "{row}");
    }

    #[test]
    fn while_the_milter_is_away_or_hangs_mail_is_deferred_where_it_decides_and_flows_where_it_only_reads() {
        if !present() {
            return;
        }
        let daemon = online(&attributing("profile = \"relay\""));
        let deciding = Postfix::start(&daemon, &["milter.main.cf"]);
        let changes = [("inet:127.0.0.1:11332, ", "")];
        let permit = "mynetworks = 0.0.0.0/0";
        let reading = Postfix::start_changed(&daemon, &["verdicts.main.cf"], permit, &changes);
        assert_eq!(Smtp::from(deciding.relay, ALICE).send(OUTSIDE).code, 250);

        // As a machine that is out of memory: it takes connections, and says nothing.
        daemon.signal(Signal::SIGSTOP);
        let began = Instant::now();
        let mut session = Smtp::connect(deciding.relay);
        assert_eq!(session.say("MAIL FROM:<sender@example.org>").code, 451, "slow");
        assert_eq!(Smtp::connect(reading.relay).send(OUTSIDE).code, 250);
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        daemon.signal(Signal::SIGCONT);
        // It answers at once, and defers for as long as its last commit is as old as it was stopped.
        eventually("it to be back", || {
            (Smtp::from(deciding.relay, ALICE).send(OUTSIDE).code == 250).then_some(())
        });

        let mut daemon = daemon;
        daemon.crash();
        let mut session = Smtp::connect(deciding.relay);
        let down = session.say("MAIL FROM:<sender@example.org>");
        assert_eq!((down.code, down.text.contains("4.7.1")), (451, true), "{}", down.text);
        assert_eq!(Smtp::connect(reading.relay).send(OUTSIDE).code, 250);
    }

    #[test]
    fn a_header_that_says_spam_is_held_against_its_sender_and_one_that_says_clean_is_nothing() {
        if !present() {
            return;
        }
        let daemon = online(&Wanted { milter: Some(""), ..Wanted::default() });
        let changes = [("inet:127.0.0.1:11332, ", "")];
        let postfix = Postfix::start_changed(&daemon, &["policy.main.cf", "verdicts.main.cf"], "", &changes);
        let spam = sent(&postfix, ALICE, "X-Spam-Flag: NO\r\nX-Spam-Flag: YES\r\n", "hello");
        let rows = scanned(&daemon, &["--subscriber", "alice"], 1);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((&rows[0]["finding"], &rows[0]["by"]), (&"spam".into(), &"header".into()), "{rows:?}");
        assert_eq!(rows[0]["queue_id"], spam.queue_id());
        assert_eq!((&rows[0]["address"], &rows[0]["port"]), (&ALICE.into(), &40001.into()));

        assert_eq!(sent(&postfix, ALICE, "X-Spam-Flag: NO\r\nX-Spam: No\r\n", "hello").code, 250);
        assert_eq!(sent(&postfix, ALICE, "X-Virus-Status: Infected (x)\r\n", "hello").code, 250);
        let rows = scanned(&daemon, &["--subscriber", "alice"], 2);
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows[0]["finding"], "virus");
        assert_eq!(daemon.messages(&["--subscriber", "alice"], 3).len(), 3);
        assert_eq!(counted(&daemon, r#"scanned_total{verdict="spam",by="header",outcome="recorded"}"#), 1);

        // After a restart it is still known.
        let mut daemon = daemon;
        daemon.restart();
        assert_eq!(scanned(&daemon, &["--finding", "virus"], 1).len(), 1);
    }

    /// A daemon with a token for rspamd and nothing else.
    fn told(daemon: &Daemon) -> String {
        let made =
            daemon.cli(&["token", "create", "--role", "operator", "--scope", "verdicts", "--note", "rspamd"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        text(&made.stdout).trim().to_owned()
    }

    #[test]
    fn what_rspamd_rejects_never_reaches_the_queue_and_is_held_against_its_sender_all_the_same() {
        if !present() || !rspamd::present() {
            return;
        }
        let daemon = online(&Wanted { milter: Some(""), web: true, ..Wanted::default() });
        let token = told(&daemon);
        let rspamd = Rspamd::start(Some((daemon.web, &token)));
        let there = rspamd.milter.to_string();
        let changes = [("127.0.0.1:11332", there.as_str())];
        let postfix =
            Postfix::start_changed(&daemon, &["policy.main.cf", "verdicts.main.cf"], HELD, &changes);

        let clean = sent(&postfix, ALICE, "", "hello");
        assert_eq!(clean.code, 250, "{}", clean.text);
        let rejected = sent(&postfix, ALICE, "", UNWANTED);
        assert_eq!(rejected.code, 554, "rspamd rejects it: {}", rejected.text);
        let rows = scanned(&daemon, &["--subscriber", "alice"], 1);
        assert_eq!((&rows[0]["finding"], &rows[0]["by"]), (&"spam".into(), &"scanner".into()), "{rows:?}");
        assert!(rows[0]["told"].as_str().is_some_and(|told| told.starts_with("reject")), "{rows:?}");

        // The pattern of EICAR is let go with a header: read as such, and told by rspamd as what it is.
        let infected = sent(&postfix, ALICE, "", &EICAR.concat());
        let header = postfix.header(infected.queue_id());
        assert!(header.contains("X-Spam: Yes"), "{header}");
        let rows = scanned(&daemon, &["--queue-id", infected.queue_id()], 2);
        let mut found: Vec<_> = rows.iter().filter_map(|row| row["finding"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["spam", "virus"], "{rows:?}");
        assert!(rows.iter().all(|row| row["subscriber"] == "alice"), "{rows:?}");
        // A header of one's own does not hide the one that rspamd adds.
        let forged = sent(&postfix, ALICE, "X-Spam: No\r\n", GTUBE[1]);
        let header = postfix.header(forged.queue_id());
        let rows = scanned(&daemon, &["--queue-id", forged.queue_id()], 1);
        assert_eq!((&rows[0]["finding"], &rows[0]["by"]), (&"spam".into(), &"header".into()), "{rows:?}");
        assert_eq!(header.matches("X-Spam:").count(), 1, "{header}");
        // Of the pattern of GTUBE rspamd tells nobody; the header says it.
        assert_eq!(sent(&postfix, ALICE, "", GTUBE[0]).code, 554);
        let marked = sent(&postfix, ALICE, "", GTUBE[1]);
        let rows = scanned(&daemon, &["--queue-id", marked.queue_id()], 1);
        assert_eq!((&rows[0]["finding"], &rows[0]["by"]), (&"spam".into(), &"header".into()), "{rows:?}");
        let all = scanned(&daemon, &["--subscriber", "alice"], 5);
        assert_eq!(all.len(), 5, "the clean one is not among them");
    }

    #[test]
    fn without_a_message_that_was_written_down_the_address_says_whose_it_was_and_one_in_doubt_nobodys() {
        if !present() || !rspamd::present() {
            return;
        }
        let daemon = online(&Wanted { web: true, ..Wanted::default() });
        let token = told(&daemon);
        let rspamd = Rspamd::start(Some((daemon.web, &token)));
        let more = format!("mynetworks = 0.0.0.0/0\nsmtpd_milters = inet:{}", rspamd.milter);
        let postfix = Postfix::start_with(&daemon, &[], &more);
        assert_eq!(sent(&postfix, ALICE, "", UNWANTED).code, 554);
        let rows = scanned(&daemon, &["--address", ALICE], 1);
        assert_eq!(rows[0]["subscriber"], "alice", "{rows:?}");

        // Two claim it: nobody is accused, and the metrics say so.
        daemon.nas().report(Status::Start, "mallory", "s-mallory-1", ALICE);
        daemon.nas().report(Status::Interim, "alice", "s-alice-1", ALICE);
        assert_eq!(sent(&postfix, ALICE, "", UNWANTED).code, 554);
        within(Duration::from_secs(20), "a verdict that is nobody's", || {
            let count = counted(&daemon, r#"scanned_total{verdict="spam",by="scanner",outcome="nobodys"}"#);
            (count == 1).then_some(())
        });
        assert_eq!(scanned(&daemon, &["--address", ALICE], 1).len(), 1);
    }
}
