//! Too much mail: who is held back, by what, for how long, and who is not.

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::Status;

const ALICE: &str = "100.64.0.7";
const ELSEWHERE: &str = "100.64.0.77";

fn limited(policy: &'static str) -> Wanted {
    Wanted {
        session: "warm-up = \"0s\"\ndefer-after-stop = \"0s\"",
        relay: "authenticated = \"permit\"\nstatic = [{ prefix = \"192.0.2.0/28\", subscriber = \"webmail\" }]",
        policy,
        ..Wanted::default()
    }
}

const TWO_AN_HOUR: &str = r#"contact = "https://isp.example/help"
[[limit]]
name = "default"
mode = "enforce"
messages = ["2/1h"]
text = "Your line sent unusually much mail""#;

/// A whole message: what is answered to its recipient, and if that is let go at its end.
fn send(policy: &mut Policy, mail: &Mail<'_>) -> Vec<String> {
    let rcpt = policy.rcpt(mail);
    let end = (rcpt == "OK").then(|| policy.end_of_message(mail));
    [rcpt].into_iter().chain(end).collect()
}

fn codes(policy: &mut Policy, client: &str, instances: &[&str]) -> Vec<String> {
    let mail = |instance| Mail { client, instance, queue_id: instance, ..Mail::default() };
    let last = |answers: Vec<String>| answers.last().cloned().unwrap_or_default();
    let code = |answer: String| answer.split(' ').next().unwrap_or_default().to_owned();
    instances.iter().map(|instance| code(last(send(policy, &mail(instance))))).collect()
}

fn usage(daemon: &Daemon, who: &[&str]) -> Vec<(String, Value, Value)> {
    let rows = daemon.json(&[&["usage"], who].concat()).unwrap_or_default();
    let rows = rows.as_array().cloned().unwrap_or_default();
    let told = |row: Value| {
        (row["measure"].as_str().unwrap_or_default().to_owned(), row["sent"].clone(), row["full"].clone())
    };
    rows.into_iter().map(told).collect()
}

#[test]
fn a_sender_is_limited_on_any_address_and_after_a_restart_and_the_next_owner_of_the_old_one_is_free() {
    let mut daemon = Daemon::start_with(&limited(TWO_AN_HOUR));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let mut policy = Policy::connect(daemon.policy);
    assert_eq!(codes(&mut policy, ALICE, &["a", "b", "c"]), ["DUNNO", "DUNNO", "450"]);
    let over = Mail { client: ALICE, instance: "d", ..Mail::default() };
    let answer = policy.rcpt(&over);
    let (said, reference) = answer.split_once(" (ref ").expect("a reference");
    assert_eq!(said, "450 4.7.1 Your line sent unusually much mail, https://isp.example/help");
    let attempts = daemon.json(&["attempts", reference.trim_end_matches(')')]).expect("what it refers to");
    assert_eq!((&attempts[0]["reason"], &attempts[0]["observed"]), (&"limited".into(), &false.into()));
    assert_eq!(usage(&daemon, &["alice"]), [("messages".to_owned(), 2.into(), true.into())]);

    daemon.nas().report(Status::Stop, "alice", "s1", ALICE);
    daemon.nas().report(Status::Start, "alice", "s2", ELSEWHERE);
    daemon.nas().report(Status::Start, "bob", "s3", ALICE);
    assert_eq!(codes(&mut policy, ELSEWHERE, &["e"]), ["450"], "a new address");
    assert_eq!(
        codes(&mut policy, ALICE, &["f", "g", "h"]),
        ["DUNNO", "DUNNO", "450"],
        "bob begins with nothing"
    );
    for crash in [false, true] {
        if crash {
            daemon.crash();
        } else {
            daemon.terminate();
        }
        daemon.launch();
        daemon.wait_until_ready();
        policy = Policy::connect(daemon.policy);
        assert_eq!(codes(&mut policy, ELSEWHERE, &["i"]), ["450"], "after a restart (crash: {crash})");
    }
}

#[test]
fn messages_under_way_at_once_count_together_and_one_that_is_given_up_makes_room() {
    let daemon = Daemon::start_with(&limited(TWO_AN_HOUR));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let mut connections: Vec<Policy> = (0..4).map(|_| Policy::connect(daemon.policy)).collect();
    let instances = ["a", "b", "c", "d"];
    let mail = |instance| Mail { client: ALICE, instance, queue_id: instance, ..Mail::default() };
    let first: Vec<bool> =
        connections.iter_mut().zip(instances).map(|(policy, one)| policy.rcpt(&mail(one)) == "OK").collect();
    assert_eq!(first, [true, true, false, false]);
    for (policy, one) in connections.iter_mut().zip(instances).take(2) {
        assert_eq!(policy.end_of_message(&mail(one)), "DUNNO");
    }
    // One that comes without having been announced finds nothing left either.
    assert!(connections[3].end_of_message(&mail("z")).starts_with("450 4.7.1 "));
    assert_eq!(daemon.messages(&["--subscriber", "alice"], 2).len(), 2);
}

#[test]
fn a_message_that_is_asked_about_again_is_let_go_again_and_counts_once() {
    let daemon = Daemon::start_with(&limited(TWO_AN_HOUR));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let mut policy = Policy::connect(daemon.policy);
    let mail = |instance| Mail { client: ALICE, instance, queue_id: instance, ..Mail::default() };
    assert_eq!(codes(&mut policy, ALICE, &["a", "b"]), ["DUNNO", "DUNNO"]);
    for _ in 0..3 {
        assert_eq!(policy.end_of_message(&mail("a")), "DUNNO", "its answer was lost");
    }
    assert_eq!(usage(&daemon, &["alice"])[0].1, 2);
    // Without a question at RCPT, too.
    daemon.nas().report(Status::Start, "bob", "s2", ELSEWHERE);
    let end = |instance| Mail { client: ELSEWHERE, ..mail(instance) };
    for instance in ["k", "l", "k", "l"] {
        assert_eq!(policy.end_of_message(&end(instance)), "DUNNO");
    }
    assert!(policy.end_of_message(&end("m")).starts_with("450 "));
}

#[test]
fn what_is_too_large_at_any_time_is_refused_for_good_and_what_is_too_much_now_is_not() {
    let daemon = Daemon::start_with(&limited(
        "[[limit]]\nname = \"size\"\nmode = \"enforce\"\nmessage-size = \"4KiB\"\nbytes = [\"6KiB/1d\"]\nrecipients = \
         [\"5/1h\"]",
    ));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let mut policy = Policy::connect(daemon.policy);
    let mut end = |instance: &str, recipients: &str, size: &str| {
        let mail = Mail { client: ALICE, instance, queue_id: instance, ..Mail::default() };
        let answer = policy.end(&mail, recipients, size);
        answer.split(" (").next().unwrap_or_default().to_owned()
    };
    let too_large = "552 5.3.4 this message is larger than this connection may send";
    let too_much = "450 4.7.1 too much mail from this connection, try again later";
    assert_eq!(end("a", "1", "4096"), "DUNNO");
    assert_eq!(end("b", "1", "4097"), too_large);
    assert_eq!(end("c", "1", "2049"), too_much, "there are 2048 octets left today");
    assert_eq!(end("d", "4", "2048"), "DUNNO");
    assert_eq!(end("e", "1", "1"), too_much);
    let rows = usage(&daemon, &["alice"]);
    let bytes = rows.iter().find(|(measure, ..)| measure == "bytes").expect("a row");
    assert_eq!((&bytes.1, &bytes.2), (&6144.into(), &true.into()));
    assert_eq!(rows[0], ("recipients".to_owned(), 5.into(), true.into()));
    let large = daemon.json(&["attempts", "--reason", "too-large"]).expect("it is found");
    assert_eq!((&large[0]["count"], &large[0]["verdict"]), (&1.into(), &"refuse".into()));
}

#[test]
fn what_is_observed_holds_nobody_back_and_says_whom_it_would() {
    let daemon = Daemon::start_with(&limited("[[limit]]\nname = \"new\"\nmessages = [\"1/1h\"]"));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let mut policy = Policy::connect(daemon.policy);
    assert_eq!(codes(&mut policy, ALICE, &["a", "b", "c"]), ["DUNNO"; 3]);
    let rows = eventually("the attempts", || daemon.json(&["attempts", "--reason", "limited"]));
    let told = (&rows[0]["count"], &rows[0]["observed"], &rows[0]["subscriber"]);
    assert_eq!(told, (&2.into(), &true.into(), &"alice".into()), "{rows}");
    assert_eq!(usage(&daemon, &["alice"]), [("messages".to_owned(), 3.into(), true.into())]);
    let (_, metrics) = daemon.http("/metrics").expect("metrics");
    let line = "relaywarden_limit_exceeded_total{limit=\"new\",measure=\"messages\",mode=\"observe\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(daemon.json(&["usage", "nobody"]).map(|rows| rows[0]["sent"].clone()), Some(0.into()));
}

#[test]
fn a_login_is_limited_wherever_it_comes_from_and_a_server_only_by_what_names_it() {
    let daemon = Daemon::start_with(&limited(TWO_AN_HOUR));
    let mut policy = Policy::connect(daemon.policy);
    let mut ends = |client, login, instances: &[&str]| -> Vec<bool> {
        let mail = |instance| Mail { client, login, instance, queue_id: instance, ..Mail::default() };
        instances
            .iter()
            .map(|one| send(&mut policy, &mail(one)).last().is_some_and(|end| end == "DUNNO"))
            .collect()
    };
    assert_eq!(ends("198.51.100.1", "bob@isp.example", &["a"]), [true]);
    assert_eq!(ends("198.51.100.2", "bob@isp.example", &["b", "c"]), [true, false]);
    assert_eq!(ends("198.51.100.2", "carol@isp.example", &["d"]), [true]);
    assert_eq!(ends("192.0.2.3", "", &["e", "f", "g", "h"]), [true; 4], "the web server's own mail");
    assert_eq!(
        ends("192.0.2.3", "dave@isp.example", &["i", "j", "k"]),
        [true, true, false],
        "one of its users"
    );
    assert_eq!(usage(&daemon, &["bob@isp.example", "--login"])[0].1, 2);
    assert_eq!(usage(&daemon, &["webmail"])[0].1, 6);
}

#[test]
fn a_changed_limit_holds_for_what_was_sent_already_from_the_next_question_on() {
    let daemon = Daemon::start_with(&limited(TWO_AN_HOUR));
    daemon.nas().report(Status::Start, "alice", "s1", ALICE);
    let mut policy = Policy::connect(daemon.policy);
    assert_eq!(codes(&mut policy, ALICE, &["a", "b", "c"]), ["DUNNO", "DUNNO", "450"]);
    daemon.configure(&limited("[[limit]]\nname = \"default\"\nmode = \"enforce\"\nmessages = [\"3/1h\"]"));
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("three an hour", || {
        let rows = daemon.json(&["usage", "alice"])?;
        (rows[0]["most"] == 3).then_some(())
    });
    assert_eq!(codes(&mut policy, ALICE, &["d", "e"]), ["DUNNO", "450"]);
}

#[test]
fn whoever_is_limited_by_an_order_sends_little_until_it_is_taken_back() {
    for (policy, most) in [
        (
            "[[limit]]\nname = \"few\"\nmode = \"enforce\"\nmatch = { limited = true }\nmessages = [\"2/1h\"]",
            2,
        ),
        ("", 20),
    ] {
        let daemon = Daemon::start_with(&limited(policy));
        daemon.nas().report(Status::Start, "alice", "s1", ALICE);
        daemon.nas().report(Status::Start, "bob", "s2", ELSEWHERE);
        let mut policy = Policy::connect(daemon.policy);
        for instance in 0..most {
            assert_eq!(codes(&mut policy, ALICE, &[&format!("a{instance}")]), ["DUNNO"]);
        }
        assert!(usage(&daemon, &["alice"]).is_empty(), "no limit is configured for her");
        daemon.order(&["limit", "alice", "--reason", "case 4711"]);
        assert_eq!(codes(&mut policy, ALICE, &["b"]), ["450"], "what she sent before counts");
        assert_eq!(codes(&mut policy, ELSEWHERE, &["c"]), ["DUNNO"], "nobody limits bob");
        assert_eq!(usage(&daemon, &["alice"])[0], ("messages".to_owned(), most.into(), true.into()));
        daemon.order(&["release", "alice", "--reason", "cleaned"]);
        assert_eq!(codes(&mut policy, ALICE, &["d"]), ["DUNNO"]);
    }
}
