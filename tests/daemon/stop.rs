//! `SIGTERM` in two phases: what is in hand is answered, what was answered is on disk, and the next start is quick.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::daemon::Daemon;
use crate::common::eventually;
use crate::common::nas::{Attributes, Feed, Status};

fn address(number: u32) -> String {
    format!("100.64.{}.{}", number / 200, number % 200 + 1)
}

fn start(number: u32) -> Attributes {
    let address = address(number).parse().expect("an address");
    Attributes::record(Status::Start, &format!("u{number}"), &format!("s{number}"), address)
}

#[test]
fn whatever_was_acknowledged_until_the_end_is_there_afterwards() {
    let mut daemon = Daemon::start();
    let mut feed = Feed::new(daemon.nas(), 48);
    let mut acknowledged = BTreeSet::new();
    for number in 0..400 {
        while !feed.has_room() {
            acknowledged.extend(feed.acknowledged(Duration::from_millis(20)));
        }
        feed.send(&start(number), number);
        if number == 300 {
            daemon.signal(Signal::SIGTERM);
            break;
        }
    }
    daemon.terminate();
    // What left before the end is in our socket by now.
    loop {
        let more = feed.acknowledged(Duration::from_millis(50));
        if more.is_empty() {
            break;
        }
        acknowledged.extend(more);
    }
    assert!(acknowledged.len() > 100, "only {} were acknowledged", acknowledged.len());
    daemon.launch();
    daemon.wait_until_ready();
    for number in &acknowledged {
        assert_eq!(daemon.map("relay", &address(*number)), format!("OK u{number}"), "it was acknowledged");
    }
}

/// Messages whose end was told before the signal are answered; those answered with `DUNNO` are written down.
#[test]
fn messages_in_hand_are_answered_and_written_down() {
    const MESSAGES: usize = 200;
    const ANSWER: &str = "action=DUNNO\n\n";
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    let mut stream = TcpStream::connect(daemon.policy).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    let end_of_message = |number: usize| {
        format!(
            "request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nclient_address=100.64.0.7\n\
             sender=a@isp.example\nrecipient=b@example.net\nrecipient_count=1\nsize=100\n\
             queue_id=Q{number}\ninstance=i{number}\n\n"
        )
    };
    // Once one is answered, the daemon has this connection and not only the kernel.
    stream.write_all(end_of_message(MESSAGES).as_bytes()).expect("the daemon reads");
    let mut first = [0; ANSWER.len()];
    stream.read_exact(&mut first).expect("an answer");
    let asked: String = (0..MESSAGES).map(end_of_message).collect();
    stream.write_all(asked.as_bytes()).expect("the daemon reads");
    daemon.signal(Signal::SIGTERM);
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers, and a clean end");
    daemon.terminate();
    let given = answers.matches(ANSWER).count();
    assert_eq!(answers, ANSWER.repeat(given), "whole answers only");
    assert!(given > 0, "what had arrived was not answered");
    daemon.launch();
    daemon.wait_until_ready();
    let written = daemon.messages(&["--subscriber", "alice", "--limit", "1000"], given);
    assert!(written.len() >= given, "{given} answered, {} written down", written.len());
}

#[test]
fn a_clean_stop_leaves_a_snapshot_and_the_next_start_reads_nothing_else() {
    let mut daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    daemon.terminate();
    let snapshots = fs::read_dir(daemon.data_dir().join("snapshots")).expect("the directory").count();
    assert_eq!(snapshots, 1);
    let log = daemon.log_text();
    assert!(log.lines().last().is_some_and(|line| line.ends_with("stopped")), "{log}");
    daemon.launch();
    daemon.wait_until_ready();
    let log = daemon.log_text();
    let read = log.lines().rfind(|line| line.contains("the log is read")).expect("it tells");
    assert!(read.contains("entries=0") && !read.contains("snapshot=0"), "{read}");
    assert_eq!(daemon.map("relay", "100.64.0.7"), "OK alice");
}

#[test]
fn a_stop_while_idle_connections_are_open_is_quick() {
    let mut daemon = Daemon::start();
    let idle: Vec<_> = [daemon.socketmap, daemon.policy]
        .into_iter()
        .flat_map(|server| (0..20).map(move |_| TcpStream::connect(server).expect("it listens")))
        .collect();
    let began = std::time::Instant::now();
    daemon.terminate();
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    for mut connection in idle {
        let mut rest = Vec::new();
        assert_eq!(connection.read_to_end(&mut rest).unwrap_or_default(), 0, "nothing was asked");
    }
}

#[test]
fn an_interrupt_stops_it_like_a_termination() {
    let mut daemon = Daemon::start();
    daemon.signal(Signal::SIGINT);
    eventually("the socket to go", || (!daemon.socket().exists()).then_some(()));
    daemon.terminate();
}
