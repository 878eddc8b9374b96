//! Conversations with MTAs, as an operator would write them down: every file of tests/data/transcripts is played
//! against a real listener.
//!
//! ```text
//! # a comment
//! -> 15:relay 192.0.2.7,       what the MTA sends, octet by octet: \n \r \t \\ \xNN
//! <- 8:OK alice,               what it gets, all of it before anything further is sent
//! end                          the MTA closes its half
//! closed                       we have closed
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod mta;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};

use mta::{Server, TCP};
use relaywarden::server::mta::{Limits, Service};

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match characters.next() {
            Some('n') => octets.push(b'\n'),
            Some('r') => octets.push(b'\r'),
            Some('t') => octets.push(b'\t'),
            Some('\\') => octets.push(b'\\'),
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                octets.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            other => panic!("unknown escape \\{other:?} in {text}"),
        }
    }
    octets
}

fn play(server: &Server, service: Service, file: &Path) {
    let mut stream = server.connect(service);
    for (number, line) in fs::read_to_string(file).unwrap().lines().enumerate() {
        let at = format!("{}:{}", file.display(), number + 1);
        if let Some(sent) = line.strip_prefix("-> ") {
            stream.write_all(&unescaped(sent)).unwrap();
        } else if let Some(expected) = line.strip_prefix("<- ") {
            let expected = unescaped(expected);
            let mut received = vec![0; expected.len()];
            stream.read_exact(&mut received).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(received.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{at}");
        } else {
            match line {
                "end" => stream.shutdown(Shutdown::Write).unwrap(),
                "closed" => assert_eq!(mta::receive_all(&mut stream), "", "{at}"),
                _ => assert!(line.is_empty() || line.starts_with('#'), "{at}: not understood"),
            }
        }
    }
    // Nothing is said that the transcript does not hold.
    let _ = stream.shutdown(Shutdown::Write);
    assert_eq!(mta::receive_all(&mut stream), "", "{}: more was said", file.display());
}

fn play_all(service: Service, directory: &str) {
    let server = Server::start(TCP, Limits::default());
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transcripts").join(directory);
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        play(&server, service, &file);
    }
}

#[test]
fn socketmap_conversations_go_as_written() {
    play_all(Service::Socketmap, "socketmap");
}

#[test]
fn policy_conversations_go_as_written() {
    play_all(Service::Policy, "policy");
}
