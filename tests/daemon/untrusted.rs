//! Octets that somebody else chose: a subscriber's name, a session id, a HELO, a key. None of them comes out as it
//! is where it could act: on a terminal, in a log line, in a spreadsheet, in an answer to a mail server.

use std::net::IpAddr;

use serde_json::Value;

use crate::common::asking::{Mail, Policy, Socketmap};
use crate::common::daemon::Daemon;
use crate::common::nas::{Attributes, Nas};
use crate::house::{Process, printed, serve};

/// Clears a screen, begins a new line that looks like ours, and reads backwards.
const HOSTILE: &[u8] = b"eve\x1b[2J\r\nforged line\xe2\x80\xaegnp.exe\x07";
/// No text at all.
const NO_TEXT: &[u8] = b"\xff\xfe\x00\x80eve";
/// A formula to a spreadsheet.
const FORMULA: &[u8] = b"=cmd|' /c calc'!a1";

const ADDRESSES: [&str; 3] = ["100.64.0.7", "100.64.0.8", "100.64.0.9"];

/// A Start whose every text is this one.
fn start(octets: &[u8], address: &str) -> Attributes {
    let IpAddr::V4(address) = address.parse().expect("an address") else { panic!("IPv4") };
    Attributes::default()
        .with(40, &1_u32.to_be_bytes())
        .with(32, octets)
        .with(1, octets)
        .with(44, octets)
        .with(8, &address.octets())
        .with(87, octets)
        .with(31, octets)
        .with(30, octets)
        .with(25, octets)
}

fn feed(nas: &mut Nas) {
    for (octets, address) in [HOSTILE, NO_TEXT, FORMULA].into_iter().zip(ADDRESSES) {
        assert!(nas.tell(&start(octets, address)), "it is a record like any other");
    }
}

fn assert_harmless(what: &str, text: &str) {
    let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
    assert!(bad.is_none(), "{what} lets {bad:?} out:\n{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("forged line")), "{what}:\n{text}");
}

fn send_mail(daemon: &Daemon) {
    let mut policy = Policy::connect(daemon.policy);
    for (number, client) in ADDRESSES.into_iter().enumerate() {
        let instance = format!("i{number}");
        let mail = Mail {
            client,
            login: "\u{1b}]0;owned\u{7}",
            queue_id: "=\u{1b}[31mQ",
            instance: &instance,
            ..Mail::default()
        };
        let actions = [policy.rcpt(&mail), policy.end_of_message(&mail)];
        assert_eq!(actions, ["OK", "DUNNO"]);
    }
    // What makes the daemon write a line of its own about it.
    let unknown = Mail { context: "\u{1b}[2Jrelay\u{7}", ..Mail::default() };
    assert_harmless("the policy answer", &policy.rcpt(&unknown));
}

#[test]
fn no_command_prints_what_could_act() {
    let daemon = Daemon::start();
    feed(&mut daemon.nas());
    send_mail(&daemon);
    daemon.messages(&["--address", ADDRESSES[0]], 1);
    for format in ["table", "json", "ndjson", "csv"] {
        let mut questions = vec![vec!["sessions"], vec!["messages"], vec!["nas"]];
        questions.extend(ADDRESSES.map(|address| vec!["who", address]));
        for question in questions {
            let output = daemon.cli(&[question.as_slice(), &["-o", format]].concat());
            let text = printed(&output, 0);
            std::str::from_utf8(&output.stdout).expect("UTF-8");
            assert_harmless(&format!("{question:?} -o {format}"), &text);
            match format {
                "json" => drop(serde_json::from_str::<Value>(&text).expect("JSON")),
                "ndjson" => text.lines().for_each(|line| {
                    serde_json::from_str::<Value>(line).expect("an object a line");
                }),
                "csv" => assert!(!text.contains(",=") && !text.contains("\n="), "a formula: {text}"),
                _ => {}
            }
        }
    }
    let names: Vec<String> = ADDRESSES
        .map(|address| {
            daemon.json(&["who", address]).expect("an owner")["subscriber"].as_str().map(str::to_owned)
        })
        .into_iter()
        .flatten()
        .collect();
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let lower = HOSTILE.to_ascii_lowercase();
    assert_eq!(names[0], format!("0x{}", hex(&lower)), "nothing of it is lost");
    assert_eq!(names[1], format!("0x{}", hex(&NO_TEXT.to_ascii_lowercase())));
    assert_eq!(names[2], "=cmd|' /c calc'!a1", "JSON is no spreadsheet");
    let found = daemon.sessions(&["--subscriber", &names[1]], 1);
    assert_eq!(found.len(), 1, "what was printed can be asked for");
}

#[test]
fn no_mail_server_is_told_what_could_act() {
    let daemon = Daemon::start();
    feed(&mut daemon.nas());
    let mut map = Socketmap::connect(daemon.socketmap);
    for address in ADDRESSES {
        for name in ["relay", "access", "subscriber"] {
            let answer = map.ask(name, address);
            assert!(answer.starts_with("OK ") && answer.len() > 3, "{answer:?}");
            assert_harmless("socketmap", &answer);
            assert!(!answer.contains('\n'), "{answer:?}");
        }
    }
    for key in ["100.64.0.7\r\nOK evil", "\u{1b}[2J", "100.64.0.7\0"] {
        assert_eq!(map.ask("relay", key), "NOTFOUND ");
    }
    daemon.order(&["suspend", "=cmd|' /c calc'!a1", "--reason", "\u{1b}[2Jreason\r\nX-Evil: yes"]);
    let mut policy = Policy::connect(daemon.policy);
    let answer = policy.rcpt(&Mail { client: ADDRESSES[2], ..Mail::default() });
    assert!(answer.starts_with("550 5.7.1 "), "{answer:?}");
    assert_harmless("policy", &answer);
    for format in ["table", "json", "ndjson", "csv"] {
        assert_harmless("suspensions", &printed(&daemon.cli(&["suspensions", "-o", format]), 0));
    }
    let (_, metrics) = daemon.http("/metrics").expect("the daemon answers");
    assert_harmless("metrics", &metrics);
}

#[test]
fn no_log_line_holds_what_could_act() {
    let mut daemon = Daemon::start();
    daemon.terminate();
    for format in ["plain", "json"] {
        let log = daemon.socket().with_file_name(format);
        let mut process =
            Process::start(serve(&daemon).args(["--log", format]).env("RELAYWARDEN_LOG", "trace"), &log);
        process.says("ready");
        feed(&mut daemon.nas());
        send_mail(&daemon);
        // A conflict is told with the names of those concerned or not at all.
        let mut map = Socketmap::connect(daemon.socketmap);
        map.ask("\u{1b}[2J", "100.64.0.7");
        printed(&daemon.cli(&["who", ADDRESSES[0], "--purpose", "\u{1b}[2J\r\nforged line"]), 0);
        assert!(process.terminate().success());
        let log = process.log_text();
        assert!(log.contains("no such profile"), "{log}");
        assert_harmless(&format!("the {format} log"), &log);
        assert!(!log.contains('\u{fffd}'), "the {format} log is UTF-8");
        for line in log.lines() {
            if format == "json" {
                serde_json::from_str::<Value>(line).expect("an object a line");
            } else {
                let moment = line.split_whitespace().next().unwrap_or_default();
                assert!(moment.parse::<jiff::Timestamp>().is_ok(), "a line that is none of ours: {line:?}");
            }
        }
    }
}
