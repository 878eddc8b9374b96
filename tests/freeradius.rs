//! Debian's FreeRADIUS between the routers and us, each way that examples/freeradius shows: the map is the one that the
//! routers' own datagrams make.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use crate::common::daemon::{Daemon, SECRET, Wanted, text};
    use crate::common::freeradius::{FreeRadius, NAS_SECRET, present};
    use crate::common::nas::{Attributes, Feed, Nas, Status, radclient};
    use crate::common::{Dice, eventually, within};

    /// A client of this name that speaks for several NASes, and more tables.
    fn proxy(name: &str, more: &str) -> Wanted {
        let feeds = format!(
            "[[radius.client]]\nname = \"{name}\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\
             role = \"proxy\"\nmay-assign = [\"0.0.0.0/0\", \"::/0\"]\n{more}"
        );
        Wanted { feeds: Some(feeds), ..Wanted::default() }
    }

    fn follow(directory: &Path) -> String {
        format!("[[radius.detail]]\ndirectory = \"{}\"\nclient = \"freeradius\"\n", directory.display())
    }

    /// A daemon that is told everything by the routers themselves.
    fn direct() -> Daemon {
        Daemon::start_with(&proxy("direct", ""))
    }

    /// The samples in the order of their names: several makers, several NASes.
    fn samples() -> Vec<String> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/samples");
        let entries =
            fs::read_dir(directory).expect("the samples").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
        files.sort();
        assert_eq!(files.len(), 36);
        files.into_iter().map(|path| fs::read_to_string(path).expect("a sample")).collect()
    }

    fn tell(server: SocketAddr, secret: &str, lines: &str) {
        let output = radclient(server, "acct", secret, lines, &[]);
        let printed = text(&output.stdout);
        assert!(printed.contains("Received Accounting-Response"), "{lines}\n{printed}");
    }

    /// What a daemon knows, as far as it does not depend on which way it heard it nor on the moment.
    fn known(daemon: &Daemon) -> BTreeSet<String> {
        let Some(Value::Array(rows)) = daemon.json(&["sessions"]) else { return BTreeSet::new() };
        let shape = |row: &Value| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let nas = text("nas");
            let session = text("session");
            let session = session.strip_prefix(&format!("{nas}/")).expect("a session of its NAS");
            let (session, _) = session.rsplit_once('/').expect("when it began");
            let nas = nas.split_once('/').map_or("", |(_, nas)| nas);
            let addresses: BTreeSet<_> =
                row["addresses"].as_array().into_iter().flatten().map(Value::to_string).collect();
            let line = &row["line"];
            json!([nas, session, row["subscriber"], row["user_name"], row["state"], addresses, line])
                .to_string()
        };
        rows.iter().map(shape).collect()
    }

    /// What makers do not send, and users may: one session id on two NASes, a NAS that is only known by its IPv6 address,
    /// names that are hard to write down, attributes that nobody knows, and the restart of one NAS among others.
    const ODDITIES: [&str; 9] = [
        "Acct-Status-Type = Start\nAcct-Session-Id = 1\nUser-Name = one\nNAS-Identifier = bras1\nFramed-IP-Address = 198.18.0.1\nClass = 0x00ff\n",
        "Acct-Status-Type = Start\nAcct-Session-Id = 1\nUser-Name = two\nNAS-Identifier = bras2\nFramed-IP-Address = 198.18.0.2\n\
         Tunnel-Client-Endpoint:1 = \"192.0.2.9\"\nAttr-26.99.7 = 0x0102\n",
        "Acct-Status-Type = Start\nAcct-Session-Id = 2\nUser-Name = six\nNAS-IP-Address = 0.0.0.0\nNAS-IPv6-Address = 2001:db8::1\nFramed-IP-Address = 198.18.0.3\n\
         Framed-IPv6-Prefix = 2001:db8:77::/64\nDelegated-IPv6-Prefix = 2001:db8:7700::/56\nFramed-IPv6-Address = 2001:db8:78::1\n",
        "Acct-Status-Type = Start\nAcct-Session-Id = \"a \\\"b\\\" \\\\ c\\n\"\nUser-Name = \"\\303\\274ser \\\"q\\\"\\001\\377\"\nNAS-Identifier = bras1\n\
         Framed-IP-Address = 198.18.0.4\nNAS-Port-Id = \"x\\n\\nWed Nov 25 16:23:24 2026\"\n",
        "Acct-Status-Type = Interim-Update\nAcct-Session-Id = 1\nUser-Name = one\nNAS-Identifier = bras1\nFramed-IP-Address = 198.18.0.5\n\
         Acct-Session-Time = 60\nFramed-Route = \"198.18.1.0/29 0.0.0.0 1\"\n",
        "Acct-Status-Type = Start\nAcct-Session-Id = 3\nUser-Name = three\nNAS-Identifier = bras3\nFramed-IP-Address = 198.18.0.6\n",
        "Acct-Status-Type = Accounting-On\nNAS-Identifier = bras3\n",
        "Acct-Status-Type = Stop\nAcct-Session-Id = 1\nUser-Name = two\nNAS-Identifier = bras2\nAcct-Terminate-Cause = User-Request\n",
        "Acct-Status-Type = Tunnel-Start\nAcct-Session-Id = 9\nNAS-Identifier = bras9\n",
    ];

    /// Every address that is spoken of.
    const ADDRESSES: [&str; 27] = [
        "198.18.0.1",
        "198.18.0.2",
        "198.18.0.3",
        "198.18.0.4",
        "198.18.0.5",
        "198.18.0.6",
        "198.18.1.7",
        "2001:db8:77::9",
        "2001:db8:7700:1::9",
        "2001:db8:78::1",
        "10.99.0.2",
        "2001:db8:99:2::1",
        "2001:db8:f200::1",
        "203.0.0.10",
        "203.0.0.5",
        "100.1.0.2",
        "192.168.243.38",
        "172.20.125.183",
        "10.1.0.2",
        "100.64.9.9",
        "11.10.10.125",
        "100.72.3.9",
        "100.64.0.3",
        "192.168.2.11",
        "198.51.100.232",
        "192.168.0.1",
        "10.0.5.20",
    ];

    fn answers(daemon: &Daemon) -> Vec<(&'static str, String)> {
        ADDRESSES.into_iter().map(|address| (address, daemon.map("subscriber", address))).collect()
    }

    /// Once `fed` has heard everything, it is of one mind with `direct`.
    fn assert_agree(direct: &Daemon, fed: &Daemon) {
        let wanted = known(direct);
        assert!(wanted.len() >= 20, "{wanted:#?}");
        let mut seen = BTreeSet::new();
        let agree = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("both to know the same", || {
                seen = known(fed);
                (seen == wanted && answers(direct) == answers(fed)).then_some(())
            });
        }));
        if agree.is_err() {
            let lacks: Vec<_> = wanted.difference(&seen).collect();
            let more: Vec<_> = seen.difference(&wanted).collect();
            panic!("lacks {lacks:#?}\nhas instead {more:#?}\n{:#?}\n{:#?}", answers(direct), answers(fed));
        }
        let named = answers(direct).iter().filter(|(_, answer)| answer.starts_with("OK ")).count();
        assert!(named >= 12, "{:?}", answers(direct));
    }

    fn tell_both(freeradius: &FreeRadius, direct: &Daemon) {
        for lines in samples().into_iter().chain(ODDITIES.map(str::to_owned)) {
            tell(freeradius.address, NAS_SECRET, &lines);
            tell(direct.radius, SECRET, &lines);
        }
    }

    #[test]
    fn a_proxy_in_front_makes_the_same_map() {
        if !present() {
            return;
        }
        let (direct, fed) = (direct(), Daemon::start_with(&proxy("freeradius", "")));
        let mut freeradius = FreeRadius::new();
        freeradius.start(&["relaywarden-proxy"], Some(fed.radius), &[]);
        tell_both(&freeradius, &direct);
        assert_agree(&direct, &fed);
    }

    #[test]
    fn copies_by_replicate_make_the_same_map() {
        if !present() {
            return;
        }
        let (direct, fed) = (direct(), Daemon::start_with(&proxy("freeradius", "")));
        let mut freeradius = FreeRadius::new();
        freeradius.start(&["relaywarden-replicate"], Some(fed.radius), &[]);
        tell_both(&freeradius, &direct);
        assert_agree(&direct, &fed);
    }

    #[test]
    fn detail_files_make_the_same_map() {
        if !present() {
            return;
        }
        let mut freeradius = FreeRadius::new();
        let (direct, fed) =
            (direct(), Daemon::start_with(&proxy("freeradius", &follow(&freeradius.detail_directory()))));
        freeradius.start(&["relaywarden-detail"], None, &[]);
        tell_both(&freeradius, &direct);
        assert_agree(&direct, &fed);
    }

    #[test]
    fn a_nas_that_does_not_say_its_name_is_known_by_where_freeradius_had_it_from() {
        if !present() {
            return;
        }
        let mut freeradius = FreeRadius::new();
        let proxied = Daemon::start_with(&proxy("freeradius", ""));
        let nas =
            "[[nas]]\naddress = \"127.0.0.12\"\nname = \"berlin-12\"\nmay-assign = [\"198.18.0.0/16\"]\n";
        let follows = follow(&freeradius.detail_directory());
        let followed = Daemon::start_with(&proxy("freeradius", &format!("{follows}{nas}")));
        let both = [("relaywarden\n\t}", "relaywarden\n\t\trelaywarden_proxy\n\t}")];
        freeradius.start(&["relaywarden-detail"], Some(proxied.radius), &both);
        for (source, address) in
            [("127.0.0.11", "198.18.0.1"), ("127.0.0.12", "198.18.0.2"), ("127.0.0.12", "198.51.100.1")]
        {
            let lines = format!(
                "Packet-Src-IP-Address = {source}\nAcct-Status-Type = Start\nAcct-Session-Id = \"{address}\"\n\
                 User-Name = alice\nFramed-IP-Address = {address}\n"
            );
            tell(freeradius.address, NAS_SECRET, &lines);
        }
        let nases = |daemon: &Daemon| {
            let rows = daemon.sessions(&["--subscriber", "alice"], 3);
            let mut names: Vec<_> = rows.iter().map(|row| row["nas"].as_str().map(str::to_owned)).collect();
            names.sort();
            names.into_iter().flatten().collect::<Vec<_>>()
        };
        assert_eq!(
            nases(&proxied),
            ["freeradius/127.0.0.11", "freeradius/127.0.0.12", "freeradius/127.0.0.12"]
        );
        assert_eq!(nases(&followed), ["berlin-12", "berlin-12", "freeradius/127.0.0.11"]);
        // The pools of that NAS are its own.
        assert_eq!(followed.map("subscriber", "198.18.0.2"), "OK alice");
        assert_eq!(followed.map("subscriber", "198.51.100.1"), "NOTFOUND ");
        assert_eq!(proxied.map("subscriber", "198.51.100.1"), "OK alice");
    }

    fn address(number: usize) -> String {
        format!("198.18.{}.{}", number / 250, number % 250 + 1)
    }

    fn start(number: usize) -> Attributes {
        let address = address(number).parse().expect("an address");
        Attributes::record(Status::Start, &format!("user{number}"), &format!("s{number}"), address)
    }

    /// Once it has heard everything, so many subscribers own so many addresses.
    fn assert_owned(daemon: &Daemon, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let expected = format!("OK user{number}");
            within(Duration::from_secs(90), &format!("{} to be {expected}", address(number)), || {
                (daemon.map("subscriber", &address(number)) == expected).then_some(())
            });
        }
    }

    #[test]
    fn while_we_are_down_routers_are_answered_at_once_and_afterwards_nothing_is_missing() {
        if !present() {
            return;
        }
        let mut freeradius = FreeRadius::new();
        let mut daemon = Daemon::start_with(&proxy("freeradius", &follow(&freeradius.detail_directory())));
        freeradius.start(&["relaywarden-detail"], None, &[]);
        let mut nas = Nas::new(freeradius.address, NAS_SECRET.as_bytes());
        let mut tell = |numbers: std::ops::Range<usize>| {
            for number in numbers {
                let began = Instant::now();
                assert!(nas.tell_once(&start(number), Duration::from_secs(1)), "{number} waited in vain");
                assert!(began.elapsed() < Duration::from_secs(1));
            }
        };
        tell(0..20);
        assert_owned(&daemon, 0..20);
        daemon.terminate();
        tell(20..60);
        daemon.launch();
        tell(60..80);
        daemon.wait_until_ready();
        assert_owned(&daemon, 0..80);
        // And over a restart of FreeRADIUS.
        freeradius.terminate();
        freeradius.launch();
        let mut nas = Nas::new(freeradius.address, NAS_SECRET.as_bytes());
        assert!(nas.tell(&start(80)));
        assert_owned(&daemon, 80..81);
        let metrics = daemon.http("/metrics").expect("metrics").1;
        for outcome in ["cut-short", "two-in-one", "unreadable", "too-long"] {
            let rejected = metrics.lines().find(|line| {
                line.starts_with("relaywarden_detail_records_total")
                    && line.contains(&format!("\"{outcome}\""))
            });
            assert!(rejected.is_some_and(|line| line.ends_with(" 0")), "{rejected:?}");
        }
    }

    const LINES: usize = 100;
    const CRASHES: usize = 8;

    /// Owners come and go, and each change is in the file when FreeRADIUS has answered it.
    #[test]
    fn crashes_while_files_are_followed_lose_and_confuse_nothing() {
        if !present() {
            return;
        }
        let mut dice = Dice::cast();
        let mut freeradius = FreeRadius::new();
        let mut daemon = Daemon::start_with(&proxy("freeradius", &follow(&freeradius.detail_directory())));
        freeradius.start(&["relaywarden-detail"], None, &[]);
        let mut feed = Feed::new(Nas::new(freeradius.address, NAS_SECRET.as_bytes()), 16);
        // By line: its newest session, whether that is online, and whether the change is answered.
        let mut lines = [(0_usize, false, true); LINES];
        let mut changes = 0;
        for crash in 0..=CRASHES {
            // A crash comes at a moment of its own, in the middle of what is being followed.
            let mut left = 20 + dice.below(80);
            let mut again = Instant::now() + Duration::from_secs(2);
            let mut number = 0;
            while left > 0 || crash == CRASHES && feed.unacknowledged().next().is_some() {
                if Instant::now() >= again {
                    feed.send_again();
                    again = Instant::now() + Duration::from_secs(2);
                }
                number = (number + 1) % LINES;
                let (session, online, answered) = lines[number];
                if left > 0 && answered && feed.has_room() {
                    let (session, online) = if online { (session, false) } else { (session + 1, true) };
                    lines[number] = (session, online, false);
                    let status = if online { Status::Start } else { Status::Stop };
                    let user = format!("user{number}-{session}");
                    let address = address(number).parse().expect("an address");
                    feed.send(&Attributes::undated(status, &user, &format!("s-{user}"), address), number);
                    changes += 1;
                    left -= 1;
                }
                for number in feed.acknowledged(Duration::from_micros(200)) {
                    lines[number].2 = true;
                }
            }
            if crash < CRASHES {
                daemon.crash();
                daemon.launch();
                daemon.wait_until_ready();
            }
        }
        assert!(changes > 20 * CRASHES, "too few changes to prove anything: {changes}");
        for (number, (session, online, _)) in lines.into_iter().enumerate() {
            let expected = online.then(|| format!("user{number}-{session}"));
            eventually(&format!("{} to be {expected:?}", address(number)), || {
                let answer = daemon.map("subscriber", &address(number));
                (answer.strip_prefix("OK ").map(str::to_owned) == expected).then_some(())
            });
        }
    }

    #[test]
    fn two_daemons_that_one_freeradius_feeds_agree() {
        if !present() {
            return;
        }
        let mut freeradius = FreeRadius::new();
        let directory = follow(&freeradius.detail_directory());
        // Two follow the same files, one of them with an interruption; the third is sent copies.
        let mut first = Daemon::start_with(&proxy("freeradius", &directory));
        let second = Daemon::start_with(&proxy("freeradius", &directory));
        let third = Daemon::start_with(&proxy("freeradius", ""));
        let both = [("relaywarden\n\t}", "relaywarden\n\t\trelaywarden_replicate\n\t}")];
        freeradius.start(&["relaywarden-detail"], Some(third.radius), &both);
        for (position, lines) in samples().into_iter().chain(ODDITIES.map(str::to_owned)).enumerate() {
            match position {
                10 => first.crash(),
                30 => first.launch(),
                _ => {}
            }
            tell(freeradius.address, NAS_SECRET, &lines);
        }
        let mut nas = Nas::new(freeradius.address, NAS_SECRET.as_bytes());
        assert!(nas.tell(&start(200)));
        first.wait_until_ready();
        for daemon in [&first, &second, &third] {
            assert_owned(daemon, 200..201);
        }
        assert_agree(&second, &first);
        assert_agree(&second, &third);
    }

    #[test]
    fn a_queue_to_another_host_outlasts_its_absence() {
        if !present() {
            return;
        }
        let mut freeradius = FreeRadius::new();
        let mut daemon = Daemon::start_with(&proxy("freeradius", ""));
        let queue = [("\t\trelaywarden\n", "\t\trelaywarden_queue\n")];
        freeradius.start(&["relaywarden-detail"], Some(daemon.radius), &queue);
        freeradius.add("relaywarden-queue");
        let mut nas = Nas::new(freeradius.address, NAS_SECRET.as_bytes());
        let mut tell = |numbers: std::ops::Range<usize>| {
            for number in numbers {
                assert!(nas.tell_once(&start(number), Duration::from_secs(1)), "{number} waited in vain");
            }
        };
        tell(0..5);
        assert_owned(&daemon, 0..5);
        daemon.terminate();
        tell(5..10);
        daemon.launch();
        daemon.wait_until_ready();
        assert_owned(&daemon, 0..10);
    }
}
