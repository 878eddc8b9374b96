//! Real datagrams over loopback against real listeners; the engine is played by a list.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Instant;

use smallvec::SmallVec;

use super::*;
use crate::config::{Client, Http, Identity, Policy, Radius, Relay, Room, Secret};
use crate::radius::authenticator::sign_request;
use crate::radius::dictionary::Dictionary;
use crate::radius::packet::Packet;
use crate::radius::text;
use crate::session::event::{Kind, Rules};
use crate::session::identity::Canonical;
use crate::session::{Name, Timestamp};

const SECRET: &[u8] = b"testing123";
const START: &str = "Acct-Status-Type = Start\nAcct-Session-Id = s1\nUser-Name = bob\n";
const MESSAGE_AUTHENTICATOR: &str = "Message-Authenticator = 0x00\n";
/// How long a test waits for what must come, and how long it watches that nothing comes.
const PATIENCE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(200);

/// An engine without a log: it keeps what it is offered until a test says otherwise.
#[derive(Default)]
struct Engine {
    taken: Mutex<Vec<(Record, Receipt)>>,
    full: AtomicBool,
}

impl Offer for Engine {
    fn offer(&self, batch: &mut Vec<Offered>) {
        if !self.full.load(Ordering::Acquire) {
            lock(&self.taken).extend(batch.drain(..).map(|offered| (*offered.record, offered.receipt)));
        }
    }
}

struct Server {
    running: Running,
    engine: Arc<Engine>,
    ready: Arc<AtomicBool>,
    counters: Arc<Counters>,
    config: Arc<ArcSwap<Config>>,
}

fn config(secret: &[u8]) -> Config {
    let client =
        |address: &str| Client::new(Name::from("nas"), address.parse().unwrap(), Secret::new(secret));
    Config {
        retention: crate::config::Retention::of_all(Duration::from_secs(180 * 86_400)),
        trend: crate::relay::trend::Thresholds::default(),
        require_purpose: false,
        room: Room::default(),
        case_rules: Default::default(),
        dnsbl: None,
        milter: Default::default(),
        scanned: Default::default(),
        coa: crate::config::Coa::default(),
        logins: Default::default(),
        notices: Vec::new(),
        data_dir: "/nonexistent".into(),
        radius: Radius { clients: vec![client("127.0.0.0/30"), client("::1/128")], ..Radius::default() },
        identity: Identity::new(
            Dictionary::builtin().id("User-Name").into_iter().collect(),
            Canonical::default(),
        ),
        many_sessions: 0,
        prefixes: Vec::new(),
        rules: Rules::default(),
        relay: Relay {
            observe: false,
            permit_unrecorded: false,
            never: Vec::new(),
            statics: Vec::new(),
            permit_authenticated: false,
            within: Vec::new(),
        },
        limits: Vec::new(),
        translations: Vec::new(),
        mtas: Vec::new(),
        socketmap: crate::config::Listeners::default(),
        policy: Policy::default(),
        http: Http::default(),
    }
}

impl Server {
    fn start(addresses: &[&str]) -> Server {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Server::on(Listeners::bind(&addresses).unwrap())
    }

    fn on(bound: Bound) -> Server {
        let server = Server::held_back(bound);
        server.running.begin([]);
        server
    }

    /// Its log is not read yet.
    fn held_back(bound: Bound) -> Server {
        let engine = Arc::new(Engine::default());
        let offer: Arc<dyn Offer> = Arc::clone(&engine) as Arc<dyn Offer>;
        let (ready, counters) = (Arc::new(AtomicBool::new(true)), Arc::new(Counters::default()));
        let config = Arc::new(ArcSwap::from_pointee(config(SECRET)));
        let running =
            bound.start(Arc::clone(&config), offer, Arc::clone(&ready), Arc::clone(&counters)).unwrap();
        Server { running, engine, ready, counters, config }
    }

    fn address(&self) -> SocketAddr {
        self.running.local_addrs()[0]
    }

    /// Waits until the engine holds so many records, and gives the last.
    fn taken(&self, number: usize) -> (Record, Receipt) {
        wait("the engine has the record", || lock(&self.engine.taken).len() >= number);
        let taken = lock(&self.engine.taken);
        assert_eq!(taken.len(), number);
        taken[number - 1].clone()
    }

    fn count(&self, name: &str) -> u64 {
        self.counters.readings().find(|(known, _)| *known == name).unwrap().1
    }

    fn wait_for(&self, name: &str, number: u64) {
        wait(name, || self.count(name) >= number);
        assert_eq!(self.count(name), number, "{name}");
    }
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// A NAS on its own port.
struct Nas(UdpSocket);

impl Nas {
    fn at(address: &str, server: SocketAddr) -> Nas {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.connect(server).unwrap();
        Nas(socket)
    }

    fn of(server: &Server) -> Nas {
        Nas::at("127.0.0.1", server.address())
    }

    fn send(&self, octets: &[u8]) {
        self.0.send(octets).unwrap();
    }

    fn hear(&self) -> Vec<u8> {
        self.listen(PATIENCE).expect("an answer")
    }

    fn hears_nothing(&self) {
        assert_eq!(self.listen(QUIET), None);
    }

    fn listen(&self, patience: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 5000];
        self.0.set_read_timeout(Some(patience)).unwrap();
        let length = self.0.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }
}

fn request(identifier: u8, lines: &str, secret: &[u8]) -> Vec<u8> {
    let attributes = text::parse_attributes(lines, Dictionary::builtin()).unwrap();
    text::encode_request(4, identifier, &attributes, secret).unwrap()
}

fn status_server(lines: &str) -> Vec<u8> {
    let attributes: Vec<u8> = text::parse_requests(lines, Dictionary::builtin()).unwrap().concat();
    sign_request(12, 7, b"sixteen random o", &attributes, SECRET).unwrap()
}

/// The second opinion on answers.
fn is_answer(answer: &[u8], request: &[u8]) -> bool {
    radius::core::packet::Packet::is_authentic_response(answer, request, SECRET)
}

#[test]
fn a_record_is_answered_when_the_engine_says_so_and_not_before() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let sent = request(1, &format!("{START}Proxy-State = 0x01\nProxy-State = 0x0203"), SECRET);
    nas.send(&sent);
    let (record, receipt) = server.taken(1);
    assert_eq!((record.kind, record.nas), (Kind::Start, Name::from("nas/127.0.0.1")));
    assert_eq!(receipt.local, None);
    nas.hears_nothing();
    server.running.answer(vec![receipt]);
    let answer = nas.hear();
    assert!(is_answer(&answer, &sent));
    assert_eq!(Packet::decode(&answer).unwrap().attribute_octets(), [33, 3, 1, 33, 4, 2, 3]);
}

#[test]
fn the_first_record_waits_for_the_log_and_is_dated_by_what_that_tells_of_its_clock() {
    let server = Server::held_back(Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap());
    let nas = Nas::of(&server);
    let before = clock::now().millis() / 1000;
    // Ten minutes slow, and held back for an hour.
    let stamp = before - 600 - 3600;
    nas.send(&request(1, &format!("{START}Event-Timestamp = {stamp}"), SECRET));
    nas.hears_nothing();
    assert_eq!(server.count("received"), 0);
    server.running.begin([(&Name::from("nas/127.0.0.1"), ClockOffset::Known(600_000))]);
    let (record, _) = server.taken(1);
    assert_eq!((record.event, record.dated), (Timestamp::from_seconds(before - 3600), true));
    assert_eq!(record.clock_offset, Some(ClockOffset::Known(600_000)));
    assert!(record.arrival.millis() / 1000 >= before);
}

#[test]
fn what_is_held_back_can_be_stopped() {
    let server = Server::held_back(Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap());
    Nas::of(&server).send(&request(1, START, SECRET));
    server.running.stop();
    assert_eq!(server.count("received"), 0);
}

#[test]
fn a_wrong_secret_gets_silence() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    nas.send(&request(1, START, b"testing124"));
    server.wait_for("bad_authenticator", 1);
    nas.hears_nothing();
    assert!(lock(&server.engine.taken).is_empty());
}

// CVE-2025-24912: a forged packet must not make the genuine one look like its repetition.
#[test]
fn a_genuine_packet_is_taken_after_a_forged_one_with_the_same_port_and_identifier() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let genuine = request(1, START, SECRET);
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    nas.send(&forged);
    nas.send(&genuine);
    let (record, _) = server.taken(1);
    assert_eq!(record.user_name, Some(Name::from("bob")));
    server.wait_for("bad_authenticator", 1);
}

#[test]
fn a_repetition_in_flight_is_dropped_and_after_the_answer_gets_the_same_one() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let sent = request(1, START, SECRET);
    nas.send(&sent);
    let (_, receipt) = server.taken(1);
    nas.send(&sent);
    server.wait_for("duplicate_in_flight", 1);
    server.running.answer(vec![receipt]);
    let answer = nas.hear();
    nas.send(&sent);
    assert_eq!(nas.hear(), answer);
    assert_eq!(server.taken(1).0.session_id, Name::from("s1"));
    server.wait_for("duplicate_answered", 1);
}

#[test]
fn the_same_identifier_with_another_content_is_another_request() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    nas.send(&request(1, START, SECRET));
    nas.send(&request(1, &format!("{START}Acct-Delay-Time = 5"), SECRET));
    assert_eq!(server.taken(2).1.key.identifier, 1);
}

#[test]
fn a_record_that_finds_the_queue_full_is_taken_when_it_is_repeated() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    server.engine.full.store(true, Ordering::Release);
    let sent = request(1, START, SECRET);
    nas.send(&sent);
    server.wait_for("queue_full", 1);
    nas.hears_nothing();
    let useless = |server: &Server| {
        let feed = server.running.feeds().all()[0].1.feed.clone();
        feed.faults().filter(|(_, faults)| faults.count > 0).map(|(fault, _)| fault).collect::<Vec<_>>()
    };
    assert_eq!(useless(&server), [feeds::Fault::QueueFull]);
    server.engine.full.store(false, Ordering::Release);
    nas.send(&sent);
    let _ = server.taken(1);
}

#[test]
fn padding_is_ignored() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let sent = request(1, START, SECRET);
    nas.send(&[sent.as_slice(), &[0xff; 100]].concat());
    let (_, receipt) = server.taken(1);
    server.running.answer(vec![receipt]);
    assert!(is_answer(&nas.hear(), &sent));
}

#[test]
fn a_packet_of_4096_octets_is_taken_whole() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let mut attributes = text::parse_attributes(START, Dictionary::builtin()).unwrap();
    while attributes.len() < 4076 {
        let length = u8::try_from((4076 - attributes.len()).min(200)).unwrap();
        attributes.extend([[33, length].as_slice(), &vec![7; usize::from(length) - 2]].concat());
    }
    let sent = text::encode_request(4, 1, &attributes, SECRET).unwrap();
    assert_eq!(sent.len(), 4096);
    nas.send(&sent);
    let (_, receipt) = server.taken(1);
    server.running.answer(vec![receipt]);
    assert!(is_answer(&nas.hear(), &sent));
}

#[test]
fn what_is_authentic_but_ignored_is_answered_at_once_and_repeated_the_same() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let sent = request(1, "Acct-Status-Type = Tunnel-Start\nAcct-Session-Id = t", SECRET);
    nas.send(&sent);
    let answer = nas.hear();
    assert!(is_answer(&answer, &sent));
    nas.send(&sent);
    assert_eq!(nas.hear(), answer);
    server.wait_for("ignored_status", 1);
    assert!(lock(&server.engine.taken).is_empty());
}

#[test]
fn codes_sources_and_octets_that_are_none_of_ours_get_silence() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    for code in [1, 2, 3, 5, 11, 40, 43, 255] {
        nas.send(&sign_request(code, 1, &[0; 16], &[], SECRET).unwrap());
    }
    server.wait_for("bad_code", 8);
    nas.send(b"");
    nas.send(&request(1, START, SECRET)[..30]);
    server.wait_for("malformed", 2);
    // 127.0.0.0/30 ends at 127.0.0.3.
    let stranger = Nas::at("127.0.0.4", server.address());
    stranger.send(&request(1, START, SECRET));
    server.wait_for("unknown_client", 1);
    nas.hears_nothing();
    stranger.hears_nothing();
}

#[test]
fn a_wrong_message_authenticator_drops_a_record_that_is_otherwise_right() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let right = request(1, &format!("{START}{MESSAGE_AUTHENTICATOR}"), SECRET);
    nas.send(&right);
    let _ = server.taken(1);
    // Signed as text: the authenticator over it is right, the sixteen octets are not.
    let attributes = [right[20..right.len() - 16].to_vec(), vec![9; 16]].concat();
    let mut wrong = radius::core::packet::Packet::decode(&right, SECRET).unwrap().encode().unwrap();
    wrong[20..].copy_from_slice(&attributes);
    let digest = <md5::Md5 as md5::Digest>::digest([&wrong[..4], &[0; 16], &attributes, SECRET].concat());
    wrong[4..20].copy_from_slice(&digest);
    nas.send(&wrong);
    server.wait_for("bad_message_authenticator", 1);
    assert_eq!(lock(&server.engine.taken).len(), 1);
}

#[test]
fn a_status_server_is_answered_only_when_it_is_signed() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    nas.send(&status_server(""));
    server.wait_for("bad_message_authenticator", 1);
    let mut wrong = status_server(MESSAGE_AUTHENTICATOR);
    wrong[25] ^= 1;
    nas.send(&wrong);
    server.wait_for("bad_message_authenticator", 2);
    nas.hears_nothing();
    let right = status_server(MESSAGE_AUTHENTICATOR);
    nas.send(&right);
    let answer = nas.hear();
    assert!(is_answer(&answer, &right));
    assert_eq!((answer[0], answer.len()), (5, 20));
}

#[test]
fn a_status_server_gets_silence_while_we_are_not_ready() {
    let server = Server::start(&["127.0.0.1:0"]);
    server.ready.store(false, Ordering::Release);
    let nas = Nas::of(&server);
    nas.send(&status_server(MESSAGE_AUTHENTICATOR));
    server.wait_for("status_server_not_ready", 1);
    nas.hears_nothing();
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let server = Server::start(&["0.0.0.0:0"]);
    for asked in ["127.0.0.1", "127.0.0.2"] {
        let address = SocketAddr::new(asked.parse().unwrap(), server.address().port());
        // A connected socket hears only whom it asked.
        let nas = Nas::at("127.0.0.1", address);
        let sent = request(1, START, SECRET);
        nas.send(&sent);
        wait("the record is there", || !lock(&server.engine.taken).is_empty());
        let (_, receipt) = lock(&server.engine.taken).pop().unwrap();
        assert_eq!(receipt.local, Some(asked.parse().unwrap()));
        server.running.answer(vec![receipt]);
        assert!(is_answer(&nas.hear(), &sent));
    }
}

#[test]
fn ipv6_works_bound_and_as_a_wildcard() {
    let server = Server::start(&["[::1]:0", "[::]:0"]);
    for (listener, local) in [(0, None), (1, Some("::1".parse().unwrap()))] {
        let address = SocketAddr::new("::1".parse().unwrap(), server.running.local_addrs()[listener].port());
        let nas = Nas::at("::1", address);
        let sent = request(1, START, SECRET);
        nas.send(&sent);
        let (record, receipt) = server.taken(listener + 1);
        assert_eq!((receipt.local, usize::from(receipt.listener)), (local, listener));
        assert_eq!(record.nas, Name::from("nas"));
        server.running.answer(vec![receipt]);
        assert!(is_answer(&nas.hear(), &sent));
    }
}

#[test]
fn many_answers_at_once_reach_their_own_ports_over_several_listeners() {
    let server = Server::start(&["127.0.0.1:0", "127.0.0.1:0"]);
    let fleet: Vec<Nas> =
        (0..150).map(|at| Nas::at("127.0.0.1", server.running.local_addrs()[at % 2])).collect();
    let sent: Vec<Vec<u8>> =
        (0..150_u8).map(|at| request(at, &format!("{START}NAS-Port = {at}"), SECRET)).collect();
    for (nas, octets) in fleet.iter().zip(&sent) {
        nas.send(octets);
    }
    let _ = server.taken(150);
    let receipts = lock(&server.engine.taken).drain(..).map(|(_, receipt)| receipt).collect();
    server.running.answer(receipts);
    for (nas, octets) in fleet.iter().zip(&sent) {
        assert!(is_answer(&nas.hear(), octets));
    }
    server.wait_for("answered", 150);
}

#[test]
fn a_new_secret_holds_from_the_next_packet_on() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    nas.send(&request(1, START, SECRET));
    let _ = server.taken(1);
    server.config.store(Arc::new(config(b"another secret")));
    // The batch that is being waited for still has the old one.
    wait("the new secret holds", || {
        nas.send(&request(2, START, b"another secret"));
        !lock(&server.engine.taken).iter().all(|(_, receipt)| receipt.key.identifier == 1)
    });
}

#[test]
fn stopping_sends_what_was_handed_over_and_receives_no_more() {
    let server = Server::start(&["127.0.0.1:0"]);
    let nas = Nas::of(&server);
    let sent = request(1, START, SECRET);
    nas.send(&sent);
    let (_, receipt) = server.taken(1);
    server.running.stop_receiving();
    nas.send(&request(2, START, SECRET));
    server.running.answer(vec![receipt]);
    server.running.stop();
    assert!(is_answer(&nas.hear(), &sent));
    assert_eq!(server.count("received"), 1);
}

#[test]
fn what_came_before_the_start_is_received_after_it() {
    let bound = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let nas = Nas::at("127.0.0.1", bound.local_addrs()[0]);
    nas.send(&request(1, START, SECRET));
    let server = Server::on(bound);
    assert_eq!(server.taken(1).0.kind, Kind::Start);
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let bound = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let nas = Nas::at("127.0.0.1", bound.local_addrs()[0]);
    let room = bound.sockets[0].receive_buffer;
    for _ in 0..room / 4000 + 10 {
        nas.send(&[0; 4000]);
    }
    let server = Server::on(bound);
    // The kernel tells its count with the next datagram that it queues, and that needs room too.
    wait("the drops are counted", || {
        nas.send(&[0; 4000]);
        server.count("kernel_dropped") > 0
    });
}

#[test]
fn an_address_that_is_taken_is_named() {
    let server = Server::start(&["127.0.0.1:0"]);
    let error = Listeners::bind(&[server.address()]).unwrap_err();
    assert_eq!(error.address, server.address());
    assert!(error.to_string().contains(&server.address().to_string()));
}

#[test]
fn a_receipt_needs_no_allocation_of_its_own() {
    assert!(!SmallVec::<[u8; 32]>::from_slice(&[0; 20]).spilled());
}

/// Runs FreeRADIUS's client with these lines and tells whether it was content with the answer.
fn radclient(server: &Server, kind: &str, lines: &str, secret: &str) -> bool {
    // With the wrong secret there is no answer to wait for a second time.
    let tries = if secret.as_bytes() == SECRET { "5" } else { "1" };
    let mut child = Command::new("radclient")
        .args(["-r", tries, "-t", "1", &server.address().to_string(), kind, secret])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("radclient (Debian: freeradius-utils) is needed; RELAYWARDEN_WITHOUT_PEERS=1 leaves it out");
    {
        use std::io::Write;
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    }
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        let receipts = lock(&server.engine.taken).drain(..).map(|(_, receipt)| receipt).collect();
        server.running.answer(receipts);
        thread::yield_now();
    }
}

#[test]
fn radclient_of_freeradius_is_content_with_our_answers() {
    if std::env::var_os("RELAYWARDEN_WITHOUT_PEERS").is_some() {
        return;
    }
    let server = Server::start(&["127.0.0.1:0"]);
    let session = "Acct-Session-Id = \"s1\"\nUser-Name = \"bob\"\nFramed-IP-Address = 198.51.100.7\n";
    for status in ["Start", "Interim-Update", "Stop", "Accounting-On", "Accounting-Off"] {
        assert!(radclient(&server, "acct", &format!("Acct-Status-Type = {status}\n{session}"), "testing123"));
    }
    let proxied = format!("{START}Proxy-State = 0x01\nProxy-State = 0x0203\n");
    assert!(radclient(&server, "acct", &proxied, "testing123"));
    // Whether our idea of a Message-Authenticator in an Accounting-Request is the one of FreeRADIUS.
    assert!(radclient(&server, "acct", &format!("{START}{MESSAGE_AUTHENTICATOR}"), "testing123"));
    assert_eq!(server.count("bad_message_authenticator"), 0);
    assert!(radclient(&server, "status", MESSAGE_AUTHENTICATOR, "testing123"));
    assert!(server.count("status_server") > 0);
    assert!(!radclient(&server, "acct", START, "testing124"));
    assert_eq!(server.count("bad_authenticator"), 1);
}
