//! Whom a limit holds for beside the owner of an address: logins that belong to subscribers, and whose accounting says something.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::{Attributes, Status};

const ALICE: &str = "100.64.0.7";
const ELSEWHERE: &str = "203.0.113.9";

fn wanted(logins: &'static str) -> Wanted {
    Wanted { relay: "authenticated = \"permit\"", policy: logins, ..Wanted::default() }
}

const BY_NAME: &str = r#"
[logins]
same-names = true
[[limit]]
name = "default"
mode = "enforce"
messages = ["3/1h"]"#;

const BY_LIST: &str = r#"
[logins]
file = "logins.csv"
[[limit]]
name = "default"
mode = "enforce"
messages = ["3/1h"]"#;

/// What is answered to the recipient of a message, and if it is let go also to its end.
fn send(daemon: &Daemon, client: &str, login: &str, instance: &str) -> String {
    let mut policy = Policy::connect(daemon.policy);
    let mail = Mail { client, login, instance, queue_id: instance, ..Mail::default() };
    let code = |answer: String| answer.split(' ').next().unwrap_or_default().to_owned();
    match policy.rcpt(&mail).as_str() {
        "OK" => code(policy.end_of_message(&mail)),
        other => code(other.to_owned()),
    }
}

#[test]
fn a_suspended_subscribers_logins_are_suspended_from_elsewhere_and_their_mail_counts() {
    let mut daemon = Daemon::start_with(&wanted(BY_NAME));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    assert_eq!(send(&daemon, ELSEWHERE, "alice", "a"), "DUNNO");
    daemon.order(&["suspend", "alice", "--reason", "spam"]);
    assert_eq!(send(&daemon, ELSEWHERE, "alice", "b"), "550", "her mailbox, too");
    assert_eq!(send(&daemon, ELSEWHERE, "bob", "c"), "DUNNO", "nobody else's");
    daemon.order(&["release", "alice", "--reason", "clean"]);

    // What the login sent counts with what the line sent, also after a restart.
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    let two: Vec<_> = ["d", "e", "f"].map(|instance| send(&daemon, ALICE, "", instance)).into();
    assert_eq!(two, ["DUNNO", "DUNNO", "450"]);
    assert_eq!(send(&daemon, ELSEWHERE, "alice", "g"), "450");

    // A list says otherwise: the login is bob's from here on.
    let list = daemon.configuration().with_file_name("logins.csv");
    let reload = |text: &str, expected: &str| {
        let before = daemon.log_text().matches(expected).count();
        fs::write(&list, text).expect("our own directory");
        daemon.configure(&wanted(BY_LIST));
        daemon.signal(Signal::SIGHUP);
        eventually(expected, || (daemon.log_text().matches(expected).count() > before).then_some(()));
    };
    reload("login,subscriber\nalice,Bob\n", "the configuration was read again");
    assert_eq!(send(&daemon, ELSEWHERE, "alice", "h"), "DUNNO", "the limit of the line is alice's");
    daemon.order(&["suspend", "bob", "--reason", "spam", "--force"]);
    assert_eq!(send(&daemon, ELSEWHERE, "alice", "i"), "550");
    // A bad line keeps the list that was in force.
    reload("alice,carol\nalice,dora\n", "logins.csv:2:1: line 1 gives this login to 'carol'");
    assert_eq!(send(&daemon, ELSEWHERE, "alice", "j"), "550");
}

const GOLD: &str = r#"
[subscriber]
keep = ["Class"]
[[limit]]
name = "gold"
mode = "enforce"
match = { class = "go*" }
messages = ["1/1h"]"#;

#[test]
fn a_limit_holds_for_whoever_has_the_class_and_after_a_restart_still() {
    let mut daemon = Daemon::start_with(&wanted(GOLD));
    let mut nas = daemon.nas();
    let start = |user: &str, session: &str, address: &str| {
        Attributes::record(Status::Start, user, session, address.parse().expect("an address"))
    };
    assert!(nas.tell(&start("alice", "s1", ALICE).with(25, b"gold")));
    assert!(nas.tell(&start("bob", "s2", "100.64.0.8").with(25, b"silver")));
    assert!(nas.tell(&start("carol", "s3", "100.64.0.9")));
    assert_eq!(send(&daemon, ALICE, "", "a"), "DUNNO");
    for crash in [false, true] {
        assert_eq!(send(&daemon, ALICE, "", "b"), "450");
        for (number, address) in ["100.64.0.8", "100.64.0.9"].into_iter().enumerate() {
            let instances = [format!("c{number}"), format!("d{number}")];
            assert!(
                instances.iter().all(|instance| send(&daemon, address, "", instance) == "DUNNO"),
                "{address}"
            );
        }
        if crash {
            daemon.crash();
        } else {
            daemon.terminate();
        }
        daemon.launch();
        daemon.wait_until_ready();
    }
    assert_eq!(send(&daemon, ALICE, "", "e"), "450");
    // What she has is another class from the next session on.
    nas.report(Status::Stop, "alice", "s1", ALICE);
    assert!(nas.tell(&start("alice", "s4", ALICE).with(25, b"silver")));
    assert_eq!(send(&daemon, ALICE, "", "f"), "DUNNO");
}

const BY_SENDER: &str = r#"
[[limit]]
name = "default"
mode = "enforce"
messages = ["2/1h"]"#;

#[test]
fn a_web_site_that_was_broken_into_is_limited_and_suspended_by_itself() {
    let mut daemon = Daemon::start_with(&Wanted {
        relay: "static = [{ prefix = \"192.0.2.16/28\", subscriber = \"web\", within = \"sender-domain\" }]",
        policy: BY_SENDER,
        ..Wanted::default()
    });
    let send = |daemon: &Daemon, client, sender, instance| {
        let mut policy = Policy::connect(daemon.policy);
        let mail = Mail { client, sender, instance, queue_id: instance, ..Mail::default() };
        let code = |answer: String| answer.split(' ').next().unwrap_or_default().to_owned();
        match policy.rcpt(&mail).as_str() {
            "OK" => code(policy.end_of_message(&mail)),
            other => code(other.to_owned()),
        }
    };
    let web = |daemon: &Daemon, sender, instance| send(daemon, "192.0.2.17", sender, instance);
    assert_eq!(web(&daemon, "www@shop.example", "a"), "DUNNO");
    assert_eq!(web(&daemon, "SRS0=h=t=Shop.example=info@web.isp.example", "b"), "DUNNO");
    daemon.crash();
    daemon.launch();
    daemon.wait_until_ready();
    assert_eq!(web(&daemon, "other@shop.example", "c"), "450", "the site, whichever address it makes up");
    assert_eq!(web(&daemon, "www@club.example", "d"), "DUNNO", "and no other");
    let sent = daemon.json(&["usage", "--within", "web/shop.example"]).expect("what it sent");
    assert_eq!((&sent[0]["sent"], &sent[0]["full"]), (&2.into(), &true.into()));

    daemon.order(&["suspend", "--within", "web/club.example", "--reason", "spam"]);
    assert_eq!(web(&daemon, "www@club.example", "e"), "550");
    assert_eq!(web(&daemon, "www@third.example", "f"), "DUNNO");
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    assert_eq!(send(&daemon, ALICE, "www@club.example", "g"), "DUNNO", "elsewhere a sender is nobody's word");
    let held = daemon.json(&["suspensions"]).expect("one");
    assert_eq!((&held[0]["kind"], &held[0]["subject"]), (&"within".into(), &"web/club.example".into()));
    daemon.order(&["release", "--within", "web/club.example", "--reason", "clean"]);
    assert_eq!(web(&daemon, "www@club.example", "h"), "DUNNO");
}
