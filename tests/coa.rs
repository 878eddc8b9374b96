//! The access side is told of a suspension: Debian's FreeRADIUS as the NAS, and NASes of our own that lie.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::{Duration, Instant};

    use md5::{Digest, Md5};
    use nix::sys::signal::Signal;
    use serde_json::Value;

    use crate::common::daemon::{Daemon, SECRET, Wanted, text};
    use crate::common::freeradius::{FreeRadius, NAS_SECRET, present};
    use crate::common::nas::{Attributes, Nas, Status};
    use crate::common::{eventually, free_port, within};

    const COA: u8 = 43;
    const DISCONNECT: u8 = 40;

    /// A daemon that reaches its NASes at this address.
    fn wanted(coa: &str, address: SocketAddr, secret: &str, lines: &str) -> Wanted {
        let feeds = format!(
            "[[radius.client]]\nname = \"bras1\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\n\
             [coa]\n{coa}\n[[coa.nas]]\nnas = \"bras1/127.0.0.1\"\naddress = \"{address}\"\nsecret = \"{secret}\"\n{lines}\n"
        );
        Wanted { feeds: Some(feeds), ..Wanted::default() }
    }

    const ENFORCE: &str = "mode = \"enforce\"";
    const WALL: &str = "send = \"coa\"\nattributes = ['Acct-Session-Id = \"{session}\"', 'User-Name = \"{user}\"', \
                        'Framed-IP-Address = {address}', 'Filter-Id = \"walled-garden\"', 'Event-Timestamp = {now}']\n\
                        release = { send = \"coa\", attributes = ['Acct-Session-Id = \"{session}\"', 'Filter-Id = \"open\"'] }";
    const CUT: &str = "send = \"disconnect\"\nattributes = ['Acct-Session-Id = \"{session}\"']";

    /// What was said about the lines of whoever is held back, as session, outcome and words.
    fn said(daemon: &Daemon) -> Vec<(String, String, String)> {
        let Some(Value::Array(rows)) = daemon.json(&["suspensions"]) else { return Vec::new() };
        let lines = rows.iter().flat_map(|row| row["access"].as_array().into_iter().flatten());
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        lines.map(|row| (text(row, "session"), text(row, "outcome"), text(row, "words"))).collect()
    }

    fn outcome(daemon: &Daemon, patience: Duration, session: &str, expected: &str) -> String {
        within(patience, &format!("{expected} about {session}"), || {
            let said = said(daemon);
            said.into_iter()
                .find(|(id, outcome, _)| id == session && outcome == expected)
                .map(|(.., words)| words)
        })
    }

    const SOON: Duration = Duration::from_secs(20);

    fn counted(daemon: &Daemon, line: &str) -> bool {
        let metrics = daemon.http("/metrics").map(|(_, metrics)| metrics).unwrap_or_default();
        metrics.lines().any(|counted| counted == format!("relaywarden_coa{line}"))
    }

    /// A site that acknowledges what is whole, and refuses the rest.
    fn site(address: SocketAddr) -> String {
        format!(
            "server access {{
  listen {{
    type = coa
    ipaddr = {}
    port = {}
    virtual_server = access
  }}
  recv-coa {{
    if (&Acct-Session-Id == \"unknown\") {{
      update reply {{
        Error-Cause := Session-Context-Not-Found
      }}
      reject
    }}
    elsif (&Filter-Id == \"walled-garden\" && &User-Name && &Framed-IP-Address == 192.0.2.7 && &Event-Timestamp) {{
      ok
    }}
    elsif (&Filter-Id == \"open\") {{
      ok
    }}
    else {{
      update reply {{
        Error-Cause := Missing-Attribute
      }}
      reject
    }}
  }}
  send-coa {{
    ok
  }}
}}
",
            address.ip(),
            address.port()
        )
    }

    #[test]
    fn freeradius_acknowledges_what_is_right_and_says_why_it_refuses() {
        if !present() {
            return;
        }
        let mut server = FreeRadius::new();
        server.start_site(&site(server.address));
        let signed = format!("{WALL}\nmessage-authenticator = true");
        let mut daemon = Daemon::start_with(&wanted(ENFORCE, server.address, NAS_SECRET, &signed));
        let mut nas = daemon.nas();
        nas.report(Status::Start, "alice", "s1", "192.0.2.7");
        nas.report(Status::Start, "bob", "unknown", "192.0.2.8");
        nas.report(Status::Start, "carol", "s3", "192.0.2.9");
        let out = text(&daemon.cli(&["cases", "open", "alice", "--reason", "she called"]).stdout);
        let case = out.strip_prefix("case ").and_then(|rest| rest.split(':').next()).expect("a number");
        daemon.order(&["cases", "suspend", case, "--reason", "open proxy"]);
        let words = outcome(&daemon, SOON, "s1", "ack");
        assert!(words.starts_with("CoA-Request to restrict session s1 of bras1"), "{words}");
        assert!(words.ends_with(": acknowledged"), "{words}");
        daemon.order(&["suspend", "bob", "--reason", "spam"]);
        let words = outcome(&daemon, SOON, "unknown", "nak");
        assert!(words.ends_with("refused: Session Context Not Found (503)"), "{words}");
        let table = text(&daemon.cli(&["suspensions"]).stdout);
        assert!(table.contains("bob: CoA-Request to restrict session unknown of bras1"), "{table}");

        // It is still there after a restart, and nothing is asked again.
        daemon.restart();
        assert_eq!(said(&daemon).len(), 2, "{:?}", said(&daemon));
        daemon.order(&["release", "alice", "--reason", "clean"]);
        let told = eventually("the release in the case", || {
            let shown = daemon.json(&["cases", case])?.to_string();
            (shown.matches("\"access\"").count() >= 2).then_some(shown)
        });
        for words in ["to restrict session s1 of", "to restore session s1 of"] {
            assert!(told.contains(words) && told.contains("acknowledged"), "{told}");
        }
        let log = daemon.log_text();
        assert_eq!(log.matches("to restrict session s1 of").count(), 1, "{log}");
        assert!(!log.contains("s3"), "carol is nobody's concern");
    }

    #[test]
    fn freeradius_that_was_away_is_told_when_it_is_back() {
        if !present() {
            return;
        }
        let mut server = FreeRadius::new();
        let daemon = Daemon::start_with(&wanted(ENFORCE, server.address, NAS_SECRET, WALL));
        daemon.nas().report(Status::Start, "alice", "s1", "192.0.2.7");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        outcome(&daemon, SOON, "s1", "asked");
        server.start_site(&site(server.address));
        outcome(&daemon, Duration::from_secs(40), "s1", "ack");
    }

    #[test]
    fn freeradius_with_another_secret_is_silent_until_the_secret_is_put_right() {
        if !present() {
            return;
        }
        let mut server = FreeRadius::new();
        server.start_site(&site(server.address));
        let daemon = Daemon::start_with(&wanted(ENFORCE, server.address, "not what the routers know", WALL));
        daemon.nas().report(Status::Start, "alice", "s1", "192.0.2.7");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        let words = outcome(&daemon, Duration::from_secs(60), "s1", "silence");
        assert!(words.ends_with(": no answer"), "{words}");
        daemon.configure(&wanted(ENFORCE, server.address, NAS_SECRET, WALL));
        daemon.signal(Signal::SIGHUP);
        outcome(&daemon, SOON, "s1", "ack");
    }

    /// A NAS of our own.
    struct Access(UdpSocket);

    struct Asked {
        octets: Vec<u8>,
        from: SocketAddr,
    }

    impl Asked {
        fn session(&self) -> String {
            let mut rest = &self.octets[20..];
            while let [kind, length, ..] = *rest {
                let (attribute, after) = rest.split_at(usize::from(length));
                if kind == 44 {
                    return String::from_utf8_lossy(&attribute[2..]).into_owned();
                }
                rest = after;
            }
            String::new()
        }

        /// An answer by RFC 2865 section 3.
        fn answer(&self, code: u8, attributes: &[u8], secret: &str) -> Vec<u8> {
            let length = u16::try_from(20 + attributes.len()).expect("short").to_be_bytes();
            let head = [code, self.octets[1], length[0], length[1]];
            let own = Md5::new()
                .chain_update(head)
                .chain_update(&self.octets[4..20])
                .chain_update(attributes)
                .chain_update(secret)
                .finalize();
            [head.as_slice(), &own, attributes].concat()
        }
    }

    impl Access {
        fn new() -> Access {
            let socket = UdpSocket::bind(("127.0.0.1", free_port())).expect("a free port");
            Access(socket)
        }

        fn address(&self) -> SocketAddr {
            self.0.local_addr().expect("bound")
        }

        fn asked_within(&self, patience: Duration) -> Option<Asked> {
            self.0.set_read_timeout(Some(patience)).expect("a timeout");
            let mut octets = vec![0; 4096];
            let (length, from) = self.0.recv_from(&mut octets).ok()?;
            octets.truncate(length);
            Some(Asked { octets, from })
        }

        fn asked(&self) -> Asked {
            self.asked_within(SOON).expect("a request")
        }

        fn say(&self, asked: &Asked, octets: &[u8]) {
            self.0.send_to(octets, asked.from).expect("loopback");
        }
    }

    /// A daemon that asks a NAS of our own, and the feed of that NAS.
    fn world(coa: &str, lines: &str) -> (Access, Daemon, Nas) {
        let access = Access::new();
        let daemon = Daemon::start_with(&wanted(coa, access.address(), NAS_SECRET, lines));
        let nas = daemon.nas();
        (access, daemon, nas)
    }

    #[test]
    fn answers_that_lie_change_nothing_and_the_right_one_counts_once() {
        let (access, daemon, mut nas) = world(ENFORCE, CUT);
        nas.report(Status::Start, "alice", "s1", "192.0.2.7");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        let asked = access.asked();
        assert_eq!((asked.octets[0], asked.session()), (DISCONNECT, "s1".to_owned()));
        let right = asked.answer(DISCONNECT + 1, &[], NAS_SECRET);
        access.say(&asked, &asked.answer(DISCONNECT + 1, &[], "not what the routers know"));
        let mut another = right.clone();
        another[1] = another[1].wrapping_add(1);
        access.say(&asked, &another);
        access.say(&asked, &asked.answer(COA + 1, &[], NAS_SECRET));
        access.say(&asked, &[DISCONNECT + 1, asked.octets[1]]);
        access.say(&asked, &[]);
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        stranger.send_to(&right, asked.from).expect("loopback");
        for (why, times) in
            [("bad-authenticator", 1), ("unasked", 1), ("bad-code", 1), ("malformed", 2), ("stranger", 1)]
        {
            let line = format!("_ignored_total{{reason=\"{why}\"}} {times}");
            eventually(why, || counted(&daemon, &line).then_some(()));
        }
        assert!(said(&daemon).iter().all(|(_, outcome, _)| outcome == "asked"), "{:?}", said(&daemon));
        // It is sent again as it was, and now answered, twice.
        let again = access.asked();
        assert_eq!(again.octets, asked.octets);
        access.say(&again, &right);
        access.say(&again, &right);
        outcome(&daemon, SOON, "s1", "ack");
        let repeated = "_ignored_total{reason=\"unasked\"} 2";
        eventually("the repetition to be counted", || counted(&daemon, repeated).then_some(()));
        assert!(counted(&daemon, "_total{nas=\"bras1/127.0.0.1\",kind=\"disconnect\",outcome=\"ack\"} 1"));
        assert!(access.asked_within(Duration::from_secs(3)).is_none(), "it has been answered");
    }

    #[test]
    fn a_request_that_nobody_answered_is_sent_no_more_once_the_address_is_anothers_or_the_order_is_over() {
        let by_address = "send = \"disconnect\"\nattributes = ['Framed-IP-Address = {address}']";
        let (access, daemon, mut nas) = world(ENFORCE, by_address);
        nas.report(Status::Start, "alice", "s1", "192.0.2.7");
        nas.report(Status::Start, "bob", "s2", "192.0.2.8");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        access.asked();
        nas.report(Status::Stop, "alice", "s1", "192.0.2.7");
        nas.report(Status::Start, "carol", "s3", "192.0.2.7");
        daemon.order(&["suspend", "bob", "--reason", "spam"]);
        while !access.asked().octets.ends_with(&[192, 0, 2, 8]) {}
        daemon.order(&["release", "bob", "--reason", "he called"]);
        let withdrawn = "_total{nas=\"bras1/127.0.0.1\",kind=\"disconnect\",outcome=\"silence\"} 2";
        eventually("both to be withdrawn", || counted(&daemon, withdrawn).then_some(()));
        // The first repetition would have come after two seconds.
        assert!(access.asked_within(Duration::from_secs(3)).is_none(), "neither carol nor bob is cut off");
    }

    #[test]
    fn whoever_comes_back_is_walled_in_again_and_whoever_was_cut_off_is_not_cut_off_again() {
        for (lines, code, again) in [(WALL, COA, true), (CUT, DISCONNECT, false)] {
            let (access, daemon, mut nas) = world(ENFORCE, lines);
            nas.report(Status::Start, "alice", "s1", "192.0.2.7");
            daemon.order(&["suspend", "alice", "--reason", "spam"]);
            let asked = access.asked();
            access.say(&asked, &asked.answer(code + 1, &[], NAS_SECRET));
            outcome(&daemon, SOON, "s1", "ack");
            nas.report(Status::Stop, "alice", "s1", "192.0.2.7");
            nas.report(Status::Start, "alice", "s2", "192.0.2.8");
            let next = access.asked_within(if again { SOON } else { Duration::from_secs(4) });
            assert_eq!(next.map(|asked| asked.session()), again.then(|| "s2".to_owned()));
        }
    }

    #[test]
    fn a_request_that_was_under_way_is_sent_after_a_crash_and_undone_if_it_was_released() {
        let (access, mut daemon, mut nas) = world(ENFORCE, WALL);
        nas.report(Status::Start, "alice", "s1", "192.0.2.7");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        access.asked();
        daemon.crash();
        daemon.launch();
        daemon.wait_until_ready();
        let asked = access.asked();
        assert_eq!((asked.octets[0], asked.session()), (COA, "s1".to_owned()));
        // Nothing is said to it; it may have taken effect all the same.
        daemon.order(&["release", "alice", "--reason", "clean"]);
        let open = b"open";
        within(Duration::from_secs(60), "the request that restores", || {
            let asked = access.asked_within(Duration::from_secs(1))?;
            asked.octets.windows(open.len()).any(|octets| octets == open).then_some(())
        });
    }

    #[test]
    fn a_session_of_which_it_is_not_certain_whose_it_is_is_left_alone() {
        let (access, daemon, mut nas) = world(ENFORCE, CUT);
        // Dated by their arrival, to the millisecond: a stamp has whole seconds only, and within one nobody comes later.
        let mut tell = |status, user, session| {
            let address = "192.0.2.7".parse().expect("an address");
            assert!(nas.tell(&Attributes::undated(status, user, session, address)), "{user}");
        };
        let who = |field: &str, is: &str| {
            eventually(is, || (daemon.json(&["who", "192.0.2.7"])?[field] == is).then_some(()));
        };
        tell(Status::Start, "alice", "s1");
        who("subscriber", "alice");
        tell(Status::Start, "bob", "s2");
        who("subscriber", "bob");
        tell(Status::Interim, "alice", "s1");
        who("confidence", "ambiguous");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        daemon.order(&["suspend", "bob", "--reason", "spam"]);
        assert!(access.asked_within(Duration::from_secs(4)).is_none());
        // One of the two is gone, and the other says that it is there.
        tell(Status::Stop, "bob", "s2");
        tell(Status::Interim, "alice", "s1");
        assert_eq!(access.asked().session(), "s1");
    }

    #[test]
    fn what_is_only_watched_is_told_and_not_sent() {
        let (access, daemon, mut nas) = world("", CUT);
        nas.report(Status::Start, "alice", "s1", "192.0.2.7");
        daemon.order(&["suspend", "alice", "--reason", "spam"]);
        let words = outcome(&daemon, SOON, "s1", "observed");
        assert!(words.ends_with("not sent: mode is \"observe\""), "{words}");
        assert!(access.asked_within(Duration::from_secs(2)).is_none());
    }

    #[test]
    fn a_mistake_cuts_off_no_more_than_the_brake_lets_go() {
        let (access, daemon, mut nas) = world("mode = \"enforce\"\nmax-requests = \"2/1h\"", CUT);
        for number in 1..=5 {
            let name = format!("customer{number}");
            nas.report(Status::Start, &name, &format!("s{number}"), &format!("192.0.2.{number}"));
            daemon.order(&["suspend", &name, "--reason", "a mistake"]);
        }
        let mut sessions = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(6) {
            if let Some(asked) = access.asked_within(Duration::from_secs(1)) {
                access.say(&asked, &asked.answer(DISCONNECT + 1, &[], NAS_SECRET));
                sessions.push(asked.session());
            }
        }
        sessions.sort();
        sessions.dedup();
        assert_eq!(sessions.len(), 2, "{sessions:?}");
        assert!(daemon.log_text().contains("coa.max-requests is reached"), "{}", daemon.log_text());
    }
}
