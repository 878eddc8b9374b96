//! `send` and the demo's feed against servers made for the occasion.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use relaywarden::server::demo;
use tokio::sync::watch;

use crate::fake::{Run, run_with};

const SECRET: &str = "testing123";
const DEADLINE: Duration = Duration::from_secs(20);

/// An Accounting-Response by RFC 2866, 3, with nothing of the codec under test.
fn response(request: &[u8], secret: &str) -> Vec<u8> {
    let mut octets = vec![5, request[1], 0, 20];
    let digest =
        Md5::new().chain_update(&octets).chain_update(&request[4..20]).chain_update(secret).finalize();
    octets.extend(digest);
    octets
}

fn server() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

/// Runs `send status` while `serve` plays the server.
fn status(retries: &str, serve: impl FnOnce(UdpSocket) + Send + 'static) -> Run {
    let (socket, address) = server();
    let server = std::thread::spawn(move || serve(socket));
    let run =
        run_with(&["send", "status", "--server", &address, "--secret", SECRET, "--retries", retries], &[]);
    server.join().unwrap();
    run
}

#[test]
fn a_genuine_answer_is_0_and_timed() {
    let run = status("3", |socket| {
        let (request, from) = receive(&socket);
        socket.send_to(&response(&request, SECRET), from).unwrap();
    });
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.out.contains(" answered in ") && run.out.ends_with(" ms (copy 1 of 3)\n"), "{run:?}");
}

#[test]
fn a_lost_packet_is_sent_again_as_it_was() {
    let run = status("3", |socket| {
        let (first, _) = receive(&socket);
        let (second, from) = receive(&socket);
        assert_eq!(first, second);
        socket.send_to(&response(&second, SECRET), from).unwrap();
    });
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.out.ends_with("(copy 2 of 3)\n"), "{run:?}");
}

#[test]
fn another_secret_is_76_and_a_forger_cannot_hide_the_genuine_answer() {
    let wrong = |socket: &UdpSocket, request: &[u8], from| {
        socket.send_to(&response(request, "another1"), from).unwrap();
    };
    let run = status("1", move |socket| {
        let (request, from) = receive(&socket);
        wrong(&socket, &request, from);
    });
    assert_eq!(run.exit, 76, "{run:?}");
    assert!(run.err.contains("compare both sides' secrets"), "{run:?}");
    let run = status("1", move |socket| {
        let (request, from) = receive(&socket);
        wrong(&socket, &request, from);
        socket.send_to(&response(&request, SECRET), from).unwrap();
    });
    assert_eq!(run.exit, 0, "{run:?}");
}

#[test]
fn silence_is_75_whoever_else_answers() {
    let run = status("1", |socket| {
        let (request, from) = receive(&socket);
        // A genuine answer from another port proves nothing about the server that was asked.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&response(&request, SECRET), from).unwrap();
    });
    assert_eq!(run.exit, 75, "{run:?}");
    assert!(run.err.contains("gave no answer"), "{run:?}");
}

#[test]
fn a_closed_port_is_75_and_says_so() {
    let (socket, address) = server();
    drop(socket);
    let run = run_with(&["send", "status", "--server", &address, "--secret", SECRET, "--retries", "2"], &[]);
    assert_eq!(run.exit, 75, "{run:?}");
    assert!(run.err.contains("nothing listens at"), "{run:?}");
}

#[test]
fn options_become_attributes_and_the_secret_may_come_from_a_file() {
    let (socket, address) = server();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let server = std::thread::spawn(move || {
        let (request, from) = receive(&socket);
        socket.send_to(&response(&request, SECRET), from).unwrap();
        request
    });
    let run = run_with(
        &[
            "send",
            "stop",
            "--server",
            &address,
            "--secret-file",
            file.to_str().unwrap(),
            "--user",
            "alice",
            "--session-id",
            "s1",
            "--address",
            "198.51.100.7",
            "--address",
            "2001:db8::7",
            "--ipv6-prefix",
            "2001:db8:1::/64",
            "--delegated-prefix",
            "2001:db8:2::/60",
            "--nas-identifier",
            "b1",
            "--delay",
            "5",
            "--session-time",
            "61",
            "--terminate-cause",
            "1",
            "--calling-station",
            "cs",
            "--event-time",
            "2026-11-23T14:00:00Z",
        ],
        &[],
    );
    assert_eq!(run.exit, 0, "{run:?}");
    let request = server.join().unwrap();
    let attributes: [&[u8]; 14] = [
        b"\x28\x06\0\0\0\x02",
        b"\x01\x07alice",
        b"\x2c\x04s1",
        b"\x20\x04b1",
        b"\x1f\x04cs",
        &[8, 6, 198, 51, 100, 7],
        &[168, 18, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
        &[97, 12, 0, 64, 0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0],
        &[123, 12, 0, 60, 0x20, 1, 0x0d, 0xb8, 0, 2, 0, 0],
        &[46, 6, 0, 0, 0, 61],
        &[49, 6, 0, 0, 0, 1],
        &[55, 6, 0x6b, 0x04, 0x46, 0xe0],
        &[41, 6, 0, 0, 0, 5],
        &[],
    ];
    assert_eq!(request[20..], attributes.concat());
}

#[test]
fn a_value_that_no_attribute_can_carry_is_2() {
    let user = "a".repeat(254);
    let run = run_with(&["send", "start", "--secret", SECRET, "--session-id", "s", "--user", &user], &[]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("attribute 1"), "{run:?}");
}

#[tokio::test]
async fn the_feed_tells_of_alice_first_from_two_nases_and_stops_when_told() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let feed = tokio::spawn(async move { demo::feed(server, SECRET.as_bytes(), stopped).await });
    let began = Instant::now();
    let mut sources = HashSet::new();
    let mut starts = 0;
    let mut buffer = [0; 4096];
    while starts < 160 {
        assert!(began.elapsed() < DEADLINE, "{starts} subscribers came");
        let received = tokio::time::timeout(DEADLINE, socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("the feed goes on").unwrap();
        let request = &buffer[..length];
        sources.insert(from.ip().to_string());
        if request[20..26] == [40, 6, 0, 0, 0, 1] {
            starts += 1;
        }
        socket.send_to(&response(request, SECRET), from).await.unwrap();
    }
    assert_eq!(sources, HashSet::from(["127.0.0.11".to_owned(), "127.0.0.12".to_owned()]));
    stop.send(true).unwrap();
    tokio::time::timeout(DEADLINE, feed).await.expect("it stops").unwrap();
}
