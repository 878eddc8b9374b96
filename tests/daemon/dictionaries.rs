//! An operator's own dictionary: its names in the configuration and on the command line, and what a bad one does.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::common::daemon::{Daemon, SECRET, program, text};
use crate::house::{edit, refused, reload, serve};

/// A vendor that nobody here knows, in a form of its own.
const ACME: &str = "VENDOR Acme 99999 format=2,2\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-Line 300 string\n\
                    ATTRIBUTE Acme-Mood 301 quaternion\nEND-VENDOR Acme\n";
const START: &str = "Acct-Status-Type = Start\nAcct-Session-Id = \"s1\"\nUser-Name = \"pppoe\"\nAcme-Line = \"Line-7\"\n\
                     Framed-IP-Address = 100.64.0.7\n";

/// A daemon whose configuration names a dictionary and an attribute of it, and knows so.
fn with_dictionary() -> (Daemon, PathBuf) {
    let daemon = Daemon::start();
    let dictionary = daemon.configuration().with_file_name("dictionary.acme");
    fs::write(&dictionary, ACME).expect("our own directory");
    edit(
        &daemon,
        "[radius]",
        "[subscriber]\nidentity = [\"Acme-Line\", \"User-Name\"]\n[radius]\ndictionaries = [\"dictionary.acme\"]",
    );
    (daemon, dictionary)
}

fn send(daemon: &Daemon, dictionary: &PathBuf) -> Output {
    let list = daemon.configuration().with_file_name("records.txt");
    fs::write(&list, START).expect("our own directory");
    let mut command = Command::new(program());
    command.args(["send", "--secret", SECRET, "--server", &daemon.radius.to_string(), "--file"]).arg(list);
    command.arg("--dictionary").arg(dictionary).stdin(Stdio::null());
    command.output().expect("relaywarden starts")
}

#[test]
fn an_operators_dictionary_names_the_subscriber() {
    let (daemon, dictionary) = with_dictionary();
    let told = reload(&daemon);
    assert!(told.contains("dictionary.acme:4: the type 'quaternion' is unknown; taken as octets"), "{told}");
    assert_eq!(told.matches("quaternion").count(), 1, "{told}");
    let sent = send(&daemon, &dictionary);
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    assert_eq!(daemon.map("subscriber", "100.64.0.7"), "OK line-7");
}

#[test]
fn a_dictionary_that_cannot_be_used_keeps_the_old_configuration_and_ends_a_start_with_78() {
    let (mut daemon, dictionary) = with_dictionary();
    fs::write(&dictionary, "BEGIN PROTOCOL RADIUS 1\n").expect("our own file");
    let said = "dictionary.acme:1: 'BEGIN' is of FreeRADIUS 4";
    let told = reload(&daemon);
    assert!(told.contains("kept as it was") && told.contains(said), "{told}");
    let sent = send(&daemon, &dictionary);
    assert_eq!(sent.status.code(), Some(2), "{}", text(&sent.stderr));
    assert!(text(&sent.stderr).contains(said), "{}", text(&sent.stderr));
    daemon.terminate();
    let (code, told) = refused(&mut serve(&daemon));
    assert_eq!(code, 78, "{told}");
    assert!(told.contains(said) && told.contains("radius.dictionaries"), "{told}");
}
