//! Records that come late change the past: a suspension that rests on what was known before is looked at again.

use std::net::IpAddr;

use serde_json::Value;

use crate::access::listen;
use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, Wanted};
use crate::common::eventually;
use crate::common::nas::{Attributes, Nas, Status};
use crate::complaints::{Report, field, taken};

const ADDRESS: &str = "100.64.0.7";

/// Reports what happened so many seconds ago (Acct-Delay-Time, RFC 2866 section 5.2).
fn tell(nas: &mut Nas, status: Status, user: &str, session: &str, ago: u32) {
    let address: IpAddr = ADDRESS.parse().expect("an address");
    let attributes = Attributes::undated(status, user, session, address).with(41, &ago.to_be_bytes());
    assert!(nas.tell(&attributes), "{user}");
}

/// What was noted in a case.
fn notes(daemon: &Daemon, case: &str) -> Vec<String> {
    let case = daemon.json(&["cases", case]).expect("the case");
    let history = case["history"].as_array().expect("a list").iter();
    history.filter(|event| event["what"] == "noted").map(|event| field(event, "note").to_owned()).collect()
}

#[test]
fn a_suspension_for_a_signal_is_told_of_where_the_last_of_what_was_counted_turns_out_to_be_anothers() {
    let policy = "\n[trend]\nlearn = \"0s\"\nstrangers = { floor = 3 }";
    let mut daemon = Daemon::start_with(&Wanted { policy, ..Wanted::default() });
    let mut nas = daemon.nas();
    tell(&mut nas, Status::Start, "alice", "s1", 60);
    let mut mta = Policy::connect(daemon.policy);
    for number in 0..9 {
        let (queue_id, recipient) = (format!("4bAlice{number}"), format!("somebody@d{number}.example"));
        let mail = Mail {
            client: ADDRESS,
            queue_id: &queue_id,
            instance: &queue_id,
            recipient: &recipient,
            ..Mail::default()
        };
        assert_eq!([mta.rcpt(&mail), mta.end_of_message(&mail)], ["OK", "DUNNO"]);
    }
    let case = eventually("a case", || daemon.json(&["cases", "--kind", "signal"])?.get(0).cloned());
    let case = case["id"].to_string();
    daemon.order(&["cases", "suspend", &case, "--reason", "a bot"]);
    daemon.restart();
    assert_eq!(notes(&daemon, &case), [""; 0], "it is still hers");

    tell(&mut nas, Status::Stop, "alice", "s1", 30);
    tell(&mut nas, Status::Start, "bob", "s2", 20);
    tell(&mut nas, Status::Stop, "bob", "s2", 0);
    daemon.restart();
    // Of the nine it tells of the first and the last.
    let told = eventually("the case to say so", || Some(notes(&daemon, &case)).filter(|all| all.len() >= 2));
    assert!(told.iter().all(|note| note.contains("was bob's, and alice is held back")), "{told:?}");
    daemon.restart();
    assert_eq!(notes(&daemon, &case), told, "it is told once");
}

#[test]
fn a_suspension_of_one_whose_the_address_was_not_as_it_turns_out_is_told_of_in_its_case_and_on_the_message() {
    let policy = "header = \"X-Subscriber-Token\"";
    let mut daemon = Daemon::start_with(&Wanted { policy, ..Wanted::default() });
    let mut nas = daemon.nas();
    tell(&mut nas, Status::Start, "alice", "s1", 60);
    let mail = Mail { client: ADDRESS, queue_id: "4bAlice", ..Mail::default() };
    let mut mta = Policy::connect(daemon.policy);
    assert_eq!([mta.rcpt(&mail), mta.end_of_message(&mail)], ["OK", "DUNNO"]);
    let message = daemon.messages(&["--queue-id", "4bAlice"], 1).remove(0);
    assert_eq!(message["subscriber"], "alice");
    let (token, at) = (field(&message, "token"), field(&message, "at"));
    let report = Report { reporter: "a@example.org", source: "", token, queue_id: "", client: ADDRESS, at };
    let case = taken(&daemon, &report.text())["case"].to_string();
    daemon.order(&["cases", "suspend", &case, "--reason", "a complaint"]);
    let history = |daemon: &Daemon| -> Vec<Value> {
        daemon.json(&["cases", &case]).expect("the case")["history"].as_array().expect("a list").clone()
    };

    // What a NAS could not tell in time: she had gone, and he had come, before the message.
    tell(&mut nas, Status::Stop, "alice", "s1", 30);
    tell(&mut nas, Status::Start, "bob", "s2", 20);
    // And he went after it.
    tell(&mut nas, Status::Stop, "bob", "s2", 0);
    let owner = daemon.json(&["who", ADDRESS, "--at", at]).expect("an owner");
    assert_eq!((&owner["subscriber"], &owner["confidence"]), (&"bob".into(), &"exact".into()), "{owner}");
    assert_eq!(history(&daemon).len(), 2);
    let http = listen(&mut daemon);
    let told = eventually("the case to say so", || history(&daemon).get(2).cloned());
    assert_eq!((field(&told, "by"), field(&told, "what")), ("relaywarden", "noted"));
    let words =
        format!("what is known now differs: {ADDRESS} port 40001 at {at} was bob's, and alice is held back");
    assert_eq!(field(&told, "note"), words);
    assert!(!daemon.json(&["suspensions"]).unwrap_or_default().is_null(), "a human decides");

    let token = crate::access::token(&daemon, "viewer");
    let (status, page) = crate::access::get(http, "/message?queue_id=4bAlice", &token);
    assert_eq!(status, 200);
    assert!(page.contains("What is known now differs") && page.contains("/subscriber/bob"), "{page}");
}
