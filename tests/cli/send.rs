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

const LIST: &str = "# A Start, then its Stop.\nAcct-Status-Type = Start\nAcct-Session-Id = \"s1\"\n\n\n\
                    Acct-Status-Type = Stop\nAcct-Session-Id = \"s1\"\nDelegated-IPv6-Prefix = 2001:db8:2::/60\n";

/// Runs `send --file` with this list while a server answers so many requests, which are returned.
fn send_list(list: &str, answers: usize) -> (Run, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("list");
    std::fs::write(&file, list).unwrap();
    let (socket, address) = server();
    let server = std::thread::spawn(move || {
        let mut requests = Vec::new();
        while requests.len() < answers {
            let (request, from) = receive(&socket);
            socket.send_to(&response(&request, SECRET), from).unwrap();
            requests.push(request);
        }
        // Kept open until the program is done: silence is not a closed port.
        (socket, requests)
    });
    let file = file.to_str().unwrap();
    let run =
        run_with(&["send", "--file", file, "--server", &address, "--secret", SECRET, "--retries", "1"], &[]);
    (run, server.join().unwrap().1)
}

#[test]
fn the_requests_of_a_list_are_sent_in_order_under_identifiers_of_their_own() {
    let (run, requests) = send_list(LIST, 2);
    assert_eq!(run.exit, 0, "{run:?}");
    let told: Vec<_> = run.out.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(
        told.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
        ["request 1 of 2", "request 2 of 2"]
    );
    assert!(told.iter().all(|(_, answer)| answer.ends_with(" ms (copy 1 of 1)")), "{run:?}");
    assert_eq!(requests[0][20..], *b"\x28\x06\0\0\0\x01\x2c\x04s1");
    let prefix = [123, 12, 0, 60, 0x20, 1, 0x0d, 0xb8, 0, 2, 0, 0];
    assert_eq!(requests[1][20..], [b"\x28\x06\0\0\0\x02\x2c\x04s1".as_slice(), &prefix].concat());
    assert_eq!(requests[1][1], requests[0][1].wrapping_add(1));
    for request in &requests {
        let digest = Md5::new()
            .chain_update(&request[..4])
            .chain_update([0; 16])
            .chain_update(&request[20..])
            .chain_update(SECRET)
            .finalize();
        assert_eq!(request[4..20], digest[..]);
    }
}

#[test]
fn a_list_ends_at_the_first_request_without_an_answer() {
    let (run, requests) = send_list(LIST, 1);
    assert_eq!((run.exit, requests.len()), (75, 1), "{run:?}");
    assert!(run.out.starts_with("request 1 of 2: ") && run.out.lines().count() == 1, "{run:?}");
    assert!(run.err.contains("request 2 of 2: ") && run.err.contains("gave no answer"), "{run:?}");
}

#[test]
fn a_list_that_is_not_understood_is_2_and_nothing_of_it_is_sent() {
    let (run, _) = send_list(&format!("{LIST}\nNo-Such-Attribute = 1\n"), 0);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("line 10: unknown attribute"), "{run:?}");
    let (run, _) = send_list("# nothing\n\n", 0);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("no attributes in it"), "{run:?}");
}

#[test]
fn a_list_that_is_not_there_is_74() {
    let run = run_with(&["send", "--file", "/nonexistent/list", "--secret", SECRET], &[]);
    assert_eq!(run.exit, 74, "{run:?}");
    assert!(run.err.contains("/nonexistent/list"), "{run:?}");
}

#[test]
fn a_list_says_everything_itself() {
    for more in
        [["stop", "--retries", "1"], ["--user", "alice", "--retries=1"], ["--delay", "5", "--retries=1"]]
    {
        let run = run_with(&[["send", "--file", "list", "--secret", SECRET].as_slice(), &more].concat(), &[]);
        assert_eq!(run.exit, 2, "{more:?} {run:?}");
        assert!(run.err.contains("cannot be used with"), "{more:?} {run:?}");
    }
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
