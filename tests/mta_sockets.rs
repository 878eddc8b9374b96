//! The sockets on which MTAs ask, under the peers that nobody wishes for.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod mta;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mta::{PATIENCE, Server, TCP, config, reaches, receive, receive_all, until};
use relaywarden::server::mta::{Limits, Service, bind};

const ALICE: &str = "15:relay 192.0.2.7,";
const OK_ALICE: &str = "8:OK alice,";

/// Long enough for a busy machine, short enough for a test.
const SHORT: Duration = Duration::from_millis(300);

fn ask(stream: &mut (impl Read + Write), question: &str, answer: &str) {
    stream.write_all(question.as_bytes()).unwrap();
    assert_eq!(receive(stream, answer.len()), answer);
}

#[test]
fn many_questions_are_answered_on_one_connection() {
    let server = Server::start(TCP, Limits::default());
    let mut stream = server.connect(Service::Socketmap);
    for _ in 0..100 {
        ask(&mut stream, ALICE, OK_ALICE);
        ask(&mut stream, "13:relay unknown,", "9:NOTFOUND ,");
    }
    drop(stream);
    reaches(&server.counters.open, 0);
    assert_eq!(server.counters.socketmap.load(Ordering::Relaxed), 200);
    assert_eq!(server.counters.broken.load(Ordering::Relaxed), 0);
}

#[test]
fn what_was_asked_before_the_end_of_the_stream_is_answered() {
    let server = Server::start(TCP, Limits::default());
    let mut stream = server.connect(Service::Socketmap);
    stream.write_all(format!("{ALICE}{ALICE}").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive_all(&mut stream), format!("{OK_ALICE}{OK_ALICE}"));
}

#[test]
fn ten_thousand_pipelined_questions_are_answered_in_order() {
    let server = Server::start(TCP, Limits::default());
    let mut stream = server.connect(Service::Socketmap);
    let mut asking = stream.try_clone().unwrap();
    let asker = std::thread::spawn(move || {
        for question in 0..10_000 {
            let key = if question % 3 == 0 { ALICE } else { "17:relay 2001:db8::7," };
            asking.write_all(key.as_bytes()).unwrap();
        }
        asking.shutdown(Shutdown::Write).unwrap();
    });
    let answers = receive_all(&mut stream);
    asker.join().unwrap();
    let expected: String =
        (0..10_000).map(|question| if question % 3 == 0 { OK_ALICE } else { "6:OK bob," }).collect();
    assert!(answers == expected, "{} octets of answers", answers.len());
}

#[test]
fn pipelined_policy_questions_are_answered_in_order() {
    let server = Server::start(TCP, Limits::default());
    let mut stream = server.connect(Service::Policy);
    let question = |state: &str| {
        format!("request=smtpd_access_policy\nprotocol_state={state}\nclient_address=192.0.2.7\n\n")
    };
    stream
        .write_all((question("RCPT") + &question("DATA") + &question("END-OF-MESSAGE")).as_bytes())
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        receive_all(&mut stream),
        "action=OK\n\naction=PREPEND X-Subscriber-Token: k7\n\naction=DUNNO\n\n"
    );
}

#[test]
fn a_request_that_dribbles_in_is_cut_off_however_often_an_octet_comes() {
    let server = Server::start(TCP, Limits { request: SHORT, ..Limits::default() });
    let mut stream = server.connect(Service::Socketmap);
    stream.write_all(b"9999:").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "the octets bought time");
        if stream.write_all(b"a").is_err() {
            break;
        }
        match stream.read(&mut [0; 16]) {
            Ok(0) => break,
            Ok(_) => panic!("a part of a request was answered"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    assert!(began.elapsed() >= SHORT / 2, "cut off after {:?}", began.elapsed());
    reaches(&server.counters.dribbled, 1);
}

#[test]
fn a_connection_that_asks_now_and_then_outlives_the_limit_for_one_request() {
    let server = Server::start(TCP, Limits { request: Duration::from_secs(1), ..Limits::default() });
    let mut stream = server.connect(Service::Socketmap);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        // In two pieces, so that the limit for a request is set and lifted each time.
        stream.write_all(&ALICE.as_bytes()[..9]).unwrap();
        stream.write_all(&ALICE.as_bytes()[9..]).unwrap();
        assert_eq!(receive(&mut stream, OK_ALICE.len()), OK_ALICE);
    }
}

#[test]
fn a_connection_that_asks_nothing_for_long_is_closed() {
    let server = Server::start(TCP, Limits { idle: SHORT, ..Limits::default() });
    let mut stream = server.connect(Service::Policy);
    assert_eq!(receive_all(&mut stream), "");
    reaches(&server.counters.idle, 1);
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_nobody_else_waits() {
    let server = Server::start(TCP, Limits { write: SHORT, ..Limits::default() });
    let mut deaf = server.connect(Service::Socketmap);
    let asker = std::thread::spawn(move || {
        // The longest answers, until our octets find no place or the connection is gone.
        let questions = "17:relay 203.0.113.1,".repeat(1000);
        while deaf.write_all(questions.as_bytes()).is_ok() {}
        deaf
    });
    let mut other = server.connect(Service::Socketmap);
    until(
        || {
            let began = Instant::now();
            ask(&mut other, ALICE, OK_ALICE);
            assert!(began.elapsed() < Duration::from_secs(2), "another peer waited {:?}", began.elapsed());
            server.counters.unread.load(Ordering::Relaxed) == 1
        },
        "the peer was not dropped",
    );
    drop(asker.join().unwrap());
}

#[test]
fn a_broken_frame_is_answered_once_and_then_the_connection_ends() {
    let server = Server::start(TCP, Limits::default());
    for broken in ["99999999999:", "-1:", "05:hello,", "10001:", "3:abcd", "GET / HTTP/1.1\r\n\r\n", "\0"] {
        let mut stream = server.connect(Service::Socketmap);
        // What follows stays unread: the answer must reach the peer all the same.
        stream.write_all(format!("{ALICE}{broken}{}", ALICE.repeat(2000)).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answers = receive_all(&mut stream);
        assert_eq!(answers, format!("{OK_ALICE}22:TEMP malformed request,"), "{broken:?}");
    }
    reaches(&server.counters.broken, 7);
}

#[test]
fn a_broken_policy_request_ends_the_connection_without_an_answer() {
    let server = Server::start(TCP, Limits::default());
    for broken in ["EHLO x\r\n\r\n", "request=other\n\n", "\n", "request=smtpd_access_policy\n"] {
        let mut stream = server.connect(Service::Policy);
        stream.write_all(broken.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receive_all(&mut stream), "", "{broken:?}");
    }
    reaches(&server.counters.broken, 4);
}

#[test]
fn connections_above_the_limit_are_closed_at_once_until_there_is_room() {
    let server = Server::start(TCP, Limits { connections: 2, ..Limits::default() });
    let mut first = server.connect(Service::Socketmap);
    let mut second = server.connect(Service::Policy);
    ask(&mut first, ALICE, OK_ALICE);
    ask(&mut second, "request=smtpd_access_policy\n\n", "action=DUNNO\n\n");
    let mut third = server.connect(Service::Socketmap);
    assert_eq!(receive_all(&mut third), "");
    assert_eq!(server.counters.over_limit.load(Ordering::Relaxed), 1);
    ask(&mut first, ALICE, OK_ALICE);

    drop(second);
    reaches(&server.counters.open, 1);
    until(
        || {
            let mut next = server.connect(Service::Socketmap);
            let mut answer = [0; 11];
            next.write_all(ALICE.as_bytes()).is_ok() && next.read_exact(&mut answer).is_ok()
        },
        "nobody was let in again",
    );
}

/// Asks without a pause until a thread has been given to it.
fn hurry(server: &Server, stream: &mut (impl Read + Write)) {
    let had = server.counters.busy.load(Ordering::Relaxed);
    let asks_on = || {
        ask(stream, ALICE, OK_ALICE);
        server.counters.busy.load(Ordering::Relaxed) > had
    };
    until(asks_on, "nobody found that it asks without a pause");
}

#[test]
fn a_connection_that_asks_without_a_pause_has_a_thread_until_it_pauses() {
    let server = Server::start(TCP, Limits::default());
    let mut stream = server.connect(Service::Socketmap);
    for _ in 0..3 {
        hurry(&server, &mut stream);
        ask(&mut stream, "13:relay unknown,", "9:NOTFOUND ,");
        ask(&mut stream, &format!("{ALICE}{ALICE}"), &format!("{OK_ALICE}{OK_ALICE}"));
        reaches(&server.counters.busy, 0);
        ask(&mut stream, ALICE, OK_ALICE);
    }
    hurry(&server, &mut stream);
    stream.write_all(format!("{ALICE}{ALICE}").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive_all(&mut stream), format!("{OK_ALICE}{OK_ALICE}"));
    reaches(&server.counters.open, 0);
    assert_eq!(server.counters.broken.load(Ordering::Relaxed), 0);
}

#[test]
fn policy_questions_wait_for_commits_and_are_given_no_thread() {
    let server = Server::start(TCP, Limits::default());
    let mut stream = server.connect(Service::Policy);
    for _ in 0..200 {
        ask(&mut stream, "request=smtpd_access_policy\n\n", "action=DUNNO\n\n");
        assert_eq!(server.counters.busy.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn when_no_thread_is_free_whoever_asks_without_a_pause_is_answered_all_the_same() {
    let server = Server::start(TCP, Limits { threads: 1, ..Limits::default() });
    let mut first = server.connect(Service::Socketmap);
    let mut second = server.connect(Service::Socketmap);
    hurry(&server, &mut first);
    for _ in 0..200 {
        ask(&mut first, ALICE, OK_ALICE);
        ask(&mut second, ALICE, OK_ALICE);
        assert!(server.counters.busy.load(Ordering::Relaxed) <= 1);
    }
    drop(first);
    reaches(&server.counters.busy, 0);
    hurry(&server, &mut second);
}

#[test]
fn asking_without_a_pause_gives_nobody_more_patience() {
    let limits = Limits { request: SHORT, write: SHORT, idle: SHORT * 3, ..Limits::default() };
    let server = Server::start(TCP, limits);
    // A part of a request.
    let mut half = server.connect(Service::Socketmap);
    hurry(&server, &mut half);
    half.write_all(&ALICE.as_bytes()[..9]).unwrap();
    assert_eq!(receive_all(&mut half), "");
    reaches(&server.counters.dribbled, 1);
    // No request.
    let mut broken = server.connect(Service::Socketmap);
    hurry(&server, &mut broken);
    broken.write_all(format!("{ALICE}abc").as_bytes()).unwrap();
    assert_eq!(receive_all(&mut broken), format!("{OK_ALICE}22:TEMP malformed request,"));
    reaches(&server.counters.broken, 1);
    // Nothing more.
    let mut idle = server.connect(Service::Socketmap);
    hurry(&server, &mut idle);
    assert_eq!(receive_all(&mut idle), "");
    reaches(&server.counters.idle, 1);
    // Answers that are not read, to questions of which the last one that is read at a time is always whole.
    let mut deaf = server.connect(Service::Socketmap);
    hurry(&server, &mut deaf);
    let question = "28:relay 00:0::ffff:203.0.113.1,";
    assert_eq!(question.len(), 32);
    let long = question.repeat(1000);
    until(|| deaf.write_all(long.as_bytes()).is_err(), "it was borne without an end");
    reaches(&server.counters.unread, 1);
    reaches(&server.counters.busy, 0);
}

#[test]
fn a_connection_that_asks_without_a_pause_keeps_nobody_from_stopping() {
    for told in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let text = format!("[socketmap]\nlisten = ['unix:{}']\n[policy]\nlisten = []\n", path.display());
        let server = Server::start(&text, Limits::default());
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        hurry(&server, &mut stream);
        let asker = std::thread::spawn(move || {
            let mut answer = [0; OK_ALICE.len()];
            let deadline = Instant::now() + PATIENCE + SHORT;
            while Instant::now() < deadline
                && stream.write_all(ALICE.as_bytes()).is_ok()
                && stream.read_exact(&mut answer).is_ok()
            {
                assert_eq!(answer, OK_ALICE.as_bytes());
            }
        });
        let Server { runtime, stop, served, .. } = server;
        // Or whoever could tell it is gone.
        let stop = told.then(|| stop.send(true).map(|()| stop).unwrap());
        runtime.block_on(async { tokio::time::timeout(PATIENCE, served).await }).unwrap().unwrap();
        asker.join().unwrap();
        drop(stop);
    }
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_when_the_server_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let text = format!(
        "[socketmap]\nlisten = ['unix:{}']\nsocket-mode = '0606'\n[policy]\nlisten = []\n",
        path.display()
    );
    let server = Server::start(&text, Limits::default());
    assert_eq!(server.path(Service::Socketmap), path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o606);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(&mut stream, ALICE, OK_ALICE);
    ask(&mut stream, "22:subscriber 203.0.113.2,", "7:OK unix,");
    server.stop();
    assert!(!path.exists());
    assert_eq!(receive_all(&mut stream), "");
}

#[test]
fn a_peer_has_the_name_that_the_configuration_gives_it_from_its_next_connection_on() {
    let server = Server::start(TCP, Limits::default());
    let question = "22:subscriber 203.0.113.2,";
    ask(&mut server.connect(Service::Socketmap), question, "12:OK 127.0.0.1,");
    let named = config(&format!("{TCP}[[mta]]\nname = 'mx1'\naddress = '127.0.0.1'\n"));
    server.config.store(std::sync::Arc::new(named));
    ask(&mut server.connect(Service::Socketmap), question, "6:OK mx1,");
}

#[test]
fn stopping_closes_idle_connections_and_lets_a_request_become_whole() {
    let server = Server::start(TCP, Limits::default());
    let mut idle = server.connect(Service::Policy);
    ask(&mut idle, "request=smtpd_access_policy\n\n", "action=DUNNO\n\n");
    let mut half = server.connect(Service::Socketmap);
    ask(&mut half, ALICE, OK_ALICE);
    half.write_all(&ALICE.as_bytes()[..9]).unwrap();

    server.stop.send(true).unwrap();
    assert_eq!(receive_all(&mut idle), "");
    assert!(!server.served.is_finished());
    half.write_all(&ALICE.as_bytes()[9..]).unwrap();
    assert_eq!(receive_all(&mut half), OK_ALICE);
    let address = server.address(Service::Socketmap);
    server.runtime.block_on(async { tokio::time::timeout(PATIENCE, server.served).await }).unwrap().unwrap();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn questions_that_have_arrived_when_the_server_stops_are_answered() {
    for _ in 0..20 {
        let server = Server::start(TCP, Limits::default());
        let mut stream = server.connect(Service::Socketmap);
        ask(&mut stream, ALICE, OK_ALICE);
        stream.write_all(ALICE.as_bytes()).unwrap();
        server.stop();
        assert_eq!(receive_all(&mut stream), OK_ALICE);
    }
}

#[test]
fn an_endpoint_that_is_taken_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!("[socketmap]\nlisten = []\n[policy]\nlisten = ['{address}']\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async { bind(&config(&text), Limits::default()) }).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with(&format!("policy.listen: cannot listen on {address}: another program")),
        "{error}"
    );
}

/// Kilobytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
fn an_idle_connection_takes_less_than_16_kilobytes() {
    let server = Server::start(TCP, Limits::default());
    let open = |count: usize| -> Vec<TcpStream> {
        (0..count)
            .map(|_| {
                let mut stream = server.connect(Service::Policy);
                // Nearly the largest request there is: what it took must be given back.
                let padding = format!("helo_name={}\n", "x".repeat(8000)).repeat(7);
                let question = format!("request=smtpd_access_policy\n{padding}\n");
                ask(&mut stream, &question, "action=DUNNO\n\n");
                stream
            })
            .collect()
    };
    let warm = open(50);
    let count = (descriptors().saturating_sub(200) / 2).min(2000);
    let before = resident();
    let idle = open(count);
    let each = resident().saturating_sub(before) * 1024 / u64::try_from(count).unwrap();
    println!("{each} octets for each of {count} connections");
    assert!(each < 16 * 1024, "{each} octets each");
    drop((warm, idle));
}

/// Runs as a process of its own with few descriptors, started by the test below.
#[test]
fn inner_run_out_of_descriptors() {
    if std::env::var_os("RELAYWARDEN_TEST_FEW_DESCRIPTORS").is_none() {
        return;
    }
    let server = Server::start(TCP, Limits::default());
    let mut held = vec![server.connect(Service::Socketmap)];
    ask(&mut held[0], ALICE, OK_ALICE);
    // The kernel completes connections that the server has no descriptor for; ours run out as well, and the last of
    // them are given back to it.
    while let Ok(stream) = TcpStream::connect(server.address(Service::Socketmap)) {
        held.push(stream);
    }
    until(|| server.counters.accept_failures.load(Ordering::Relaxed) > 0, "accept did not fail");
    let failed = server.counters.accept_failures.load(Ordering::Relaxed);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        ask(&mut held[0], ALICE, OK_ALICE);
    }
    let turns = server.counters.accept_failures.load(Ordering::Relaxed) - failed;
    assert!(turns <= 12, "accept failed {turns} times in half a second, on two listeners");
    held.truncate(1);
    until(
        || {
            let Ok(mut stream) = TcpStream::connect(server.address(Service::Socketmap)) else { return false };
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            stream.write_all(ALICE.as_bytes()).is_ok() && stream.read_exact(&mut [0; 11]).is_ok()
        },
        "nobody is accepted any more",
    );
}

#[test]
fn accepting_goes_on_after_running_out_of_descriptors() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact inner_run_out_of_descriptors --nocapture"])
        .arg(program)
        .env("RELAYWARDEN_TEST_FEW_DESCRIPTORS", "1")
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Where a milter client asks, beside the others.
const MILTER: &str = "[milter]\nlisten = ['127.0.0.1:0']\n";

fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap().to_be_bytes();
    [&length[..], &[kind], data].concat()
}

/// What an MTA offers that can do everything.
fn offer() -> Vec<u8> {
    frame(b'O', &[6_u32, 0x1ff, 0x1f_ffff].map(u32::to_be_bytes).concat())
}

#[test]
fn somebody_else_on_the_milter_port_gets_silence_and_an_end() {
    let server = Server::start(&format!("{TCP}{MILTER}"), Limits { linger: SHORT, ..Limits::default() });
    let endless = u32::try_from(relaywarden::mta::milter::FRAME_LIMIT + 1).unwrap().to_be_bytes();
    let broken: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0; 4], &endless, &frame(b'z', b"")];
    let mut other = server.connect(Service::Milter);
    other.write_all(&offer()).unwrap();
    let mut head = [0; 5];
    other.read_exact(&mut head).unwrap();
    for octets in broken {
        let mut stream = server.connect(Service::Milter);
        stream.write_all(octets).unwrap();
        assert_eq!(receive_all(&mut stream), "");
    }
    reaches(&server.counters.broken, 4);
    assert_eq!(head[4], b'O', "and nobody else's connection ends");
    other.write_all(&frame(b'R', b"<a@b.example>\0")).unwrap();
    drop(other);
    reaches(&server.counters.open, 0);
}

#[test]
fn a_milter_frame_that_dribbles_in_is_cut_off() {
    let limits = Limits { request: SHORT, ..Limits::default() };
    let server = Server::start(&format!("{TCP}{MILTER}"), limits);
    let mut stream = server.connect(Service::Milter);
    stream.write_all(&offer()[..7]).unwrap();
    assert_eq!(receive_all(&mut stream), "");
    reaches(&server.counters.dribbled, 1);
}

#[test]
fn several_messages_of_a_milter_client_are_answered_on_one_connection() {
    let server = Server::start(&format!("{TCP}{MILTER}"), Limits::default());
    let mut stream = server.connect(Service::Milter);
    stream.write_all(&offer()).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut agreed = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut agreed).unwrap();
    assert_eq!(agreed[0], b'O');
    for _ in 0..100 {
        // No answer but to the end of the message: all else is agreed to need none.
        let commands = [
            frame(b'D', b"M{auth_authen}\0bob\0"),
            frame(b'M', b"<s@example.org>\0"),
            frame(b'L', b"X-Spam\0Yes\0"),
            frame(b'E', b""),
            frame(b'A', b""),
        ];
        stream.write_all(&commands.concat()).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"\0\0\0\x01c");
    }
    stream.write_all(&frame(b'Q', b"")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive_all(&mut stream), "");
    reaches(&server.counters.open, 0);
}
