//! `serve --demo`: what it prints works when it is pasted, a taken port is named, and Ctrl-C leaves nothing behind.
//!
//! The demo's ports are fixed, so each test has a network of its own.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::common::daemon::{program, text};
use crate::common::{eventually, peer};
use crate::house::{Process, get, inside_own_network, refused};

fn demo(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["serve", "--demo"]).env("TMPDIR", directory).stdin(Stdio::null());
    command
}

/// What it printed, once it prints.
struct Running {
    process: Process,
    banner: String,
}

fn running(directory: &Path) -> Running {
    let printed = directory.join("printed");
    // A shell puts standard output aside: the log goes elsewhere.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$1\" serve --demo >\"$2\"", "sh"]).arg(program()).arg(&printed);
    command.env("TMPDIR", directory).stdin(Stdio::null());
    let mut process = Process::start(&mut command, &directory.join("log"));
    process.says("ready");
    let banner = eventually("the lines to paste", || {
        fs::read_to_string(&printed).ok().filter(|banner| banner.contains("Ctrl-C"))
    });
    Running { process, banner }
}

fn sh(line: &str) -> (Option<i32>, String) {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output().expect("sh");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn every_line_it_prints_works_and_ctrl_c_leaves_nothing_behind() {
    if !inside_own_network("demo::every_line_it_prints_works_and_ctrl_c_leaves_nothing_behind") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let Running { mut process, banner } = running(directory.path());
    let program = program().display().to_string();
    // Without its main.cf it answers nothing, whatever it is asked.
    let postmap = peer::find("postmap").is_some() && Path::new("/etc/postfix/main.cf").exists();
    let lines: Vec<&str> = banner.lines().map(str::trim).collect();
    let lines: Vec<&str> =
        lines.into_iter().filter(|line| line.starts_with(&program) || line.starts_with("postmap ")).collect();
    assert!(lines.len() >= 8, "{banner}");
    eventually("alice to dial in", || (sh(lines[0]).0 == Some(0)).then_some(()));
    let mut suspended = false;
    for line in lines {
        if line.starts_with("postmap ") && !postmap {
            continue;
        }
        // A whole list of answers may take a moment to begin; an address that is nobody's never gets one.
        let nobodys = line.contains(" 198.51.100.250 ");
        let expected =
            if nobodys || (suspended && line.contains("who 198.51.100.8 ")) { [0, 1] } else { [0, 0] };
        let said = eventually(line, || {
            let (code, said) = sh(line);
            code.filter(|code| expected.contains(code)).map(|_| said)
        });
        if nobodys {
            assert!(said.contains("not-online"), "{line}: {said}");
        }
        if suspended && line.contains("who 198.51.100.8 ") {
            assert!(said.contains("suspended") && said.contains("bob"), "{line}: {said}");
        }
        suspended |= line.contains(" suspend ");
    }
    let (status, _) = get("127.0.0.1:8025".parse().expect("an address"), "/readyz");
    assert_eq!(status, 200);
    let zoe = format!("{program} who 198.51.100.201 --socket {}", socket_in(&banner));
    assert!(sh(&zoe).1.contains("zoe@isp.example"), "{zoe}");

    process.signal(Signal::SIGINT);
    assert!(process.ended().success(), "{}", process.log_text());
    let left: Vec<_> = fs::read_dir(directory.path())
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name != "log" && name != "printed")
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn socket_in(banner: &str) -> &str {
    let line = banner.lines().find(|line| line.trim_start().starts_with("API ")).expect("the API's line");
    line.split_whitespace().nth(1).expect("its path")
}

#[test]
fn each_taken_port_is_named() {
    if !inside_own_network("demo::each_taken_port_is_named") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let assert_named = |endpoint: &str, key: &str| {
        let (code, said) = refused(&mut demo(directory.path()));
        assert_eq!(code, 69, "{said}");
        assert!(said.contains(endpoint) && said.contains(key), "{endpoint} and {key} are not in {said}");
    };
    let taken = UdpSocket::bind("127.0.0.1:1813").expect("a network of our own");
    assert_named("127.0.0.1:1813", "radius.listen");
    drop(taken);
    for (endpoint, key) in [
        ("127.0.0.1:10023", "socketmap.listen"),
        ("127.0.0.1:10024", "policy.listen"),
        ("127.0.0.1:8025", "http.listen"),
    ] {
        let _taken = TcpListener::bind(endpoint).expect("a network of our own");
        assert_named(endpoint, key);
    }
    let left = fs::read_dir(directory.path()).expect("the directory").count();
    assert_eq!(left, 0, "a demo that could not start leaves nothing behind");
}

#[test]
fn a_directory_that_cannot_be_had_is_named() {
    let (code, said) = refused(&mut demo(Path::new("/nonexistent/relaywarden")));
    assert_eq!(code, 74, "{said}");
    assert!(said.contains("TMPDIR"), "{said}");
}
