//! A NAS: encodes accounting requests, signs them, sends them, sends them again, and checks who answered.
//!
//! Knows: RFC 2866 as a client sees it. Must not know: the daemon's decoder; the two must meet on the wire only.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use super::peer;

/// What is reported; the value of Acct-Status-Type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Start = 1,
    Stop = 2,
    Interim = 3,
    On = 7,
    Off = 8,
}

const ACCOUNTING_REQUEST: u8 = 4;
const ACCOUNTING_RESPONSE: u8 = 5;
const STATUS_SERVER: u8 = 12;

/// The attributes of one request.
#[derive(Clone, Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    /// One session's record, as a BNG would fill it.
    pub(crate) fn record(status: Status, user: &str, session: &str, address: IpAddr) -> Attributes {
        Attributes::undated(status, user, session, address).dated()
    }

    /// One session's record from a NAS that does not say when it happened.
    pub(crate) fn undated(status: Status, user: &str, session: &str, address: IpAddr) -> Attributes {
        let attributes = Attributes::of_nas(status).with(1, user.as_bytes()).with(44, session.as_bytes());
        match address {
            IpAddr::V4(address) => attributes.with(8, &address.octets()),
            // Framed-IPv6-Address (RFC 6911 section 3.1).
            IpAddr::V6(address) => attributes.with(168, &address.octets()),
        }
    }

    /// The beginning of every record.
    pub(crate) fn of_nas(status: Status) -> Attributes {
        Attributes::default().with(40, &(status as u32).to_be_bytes()).with(32, b"bras1.isp.example")
    }

    /// With an Event-Timestamp (RFC 2869 section 5.3): now.
    pub(crate) fn dated(self) -> Attributes {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.with(55, &u32::try_from(now).unwrap_or(u32::MAX).to_be_bytes())
    }

    /// With one attribute more.
    pub(crate) fn with(mut self, number: u8, value: &[u8]) -> Attributes {
        let length = u8::try_from(value.len() + 2).expect("an attribute holds 253 octets");
        self.0.extend([number, length]);
        self.0.extend(value);
        self
    }
}

/// A NAS with a socket of its own.
pub(crate) struct Nas {
    socket: UdpSocket,
    server: SocketAddr,
    secret: Vec<u8>,
    identifier: u8,
}

impl Nas {
    pub(crate) fn new(server: SocketAddr, secret: &[u8]) -> Nas {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).expect("a port");
        socket.connect(server).expect("loopback");
        Nas { socket, server, secret: secret.to_vec(), identifier: 0 }
    }

    /// Reports one session's change and insists on the answer.
    pub(crate) fn report(&mut self, status: Status, user: &str, session: &str, address: &str) {
        let address = address.parse().expect("an address");
        let attributes = Attributes::record(status, user, session, address);
        assert!(self.tell(&attributes), "{status:?} of {user} was not acknowledged");
    }

    /// Sends one request up to four times, a second apart; whether it was acknowledged.
    pub(crate) fn tell(&mut self, attributes: &Attributes) -> bool {
        let packet = self.request(attributes);
        (0..4).any(|_| self.exchange(&packet, Duration::from_secs(1)))
    }

    /// Sends one request once; whether it was acknowledged within `patience`.
    pub(crate) fn tell_once(&mut self, attributes: &Attributes, patience: Duration) -> bool {
        let packet = self.request(attributes);
        self.exchange(&packet, patience)
    }

    /// A request that is signed and numbered.
    pub(crate) fn request(&mut self, attributes: &Attributes) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        accounting_request(self.identifier, attributes, &self.secret)
    }

    /// A Status-Server with its Message-Authenticator (RFC 5997 section 3).
    pub(crate) fn status_server(&mut self) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        status_server(self.identifier, &self.secret)
    }

    /// Sends the octets and waits for an answer that is truly the server's.
    pub(crate) fn exchange(&mut self, packet: &[u8], patience: Duration) -> bool {
        // A connected socket reports an earlier ICMP error (the daemon was down) at the next call; that is no answer.
        let _ = self.socket.send(packet);
        let deadline = Instant::now() + patience;
        while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            match self.receive(left) {
                Some(answer) if is_answer(&answer, packet, &self.secret) => return true,
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        false
    }

    fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(patience)).ok()?;
        let mut answer = vec![0; 4096];
        let length = self.socket.recv(&mut answer).ok()?;
        answer.truncate(length);
        Some(answer)
    }

    /// `radclient` with these attribute lines, towards the same server.
    pub(crate) fn radclient(&self, command: &str, lines: &str) -> Output {
        radclient(self.server, command, std::str::from_utf8(&self.secret).expect("text"), lines, &[])
    }
}

fn accounting_request(identifier: u8, attributes: &Attributes, secret: &[u8]) -> Vec<u8> {
    let mut packet = header(ACCOUNTING_REQUEST, identifier, [0; 16], &attributes.0);
    // RFC 2866 section 3: sixteen zero octets stand in the authenticator's place while it is computed.
    let authenticator: [u8; 16] = Md5::new().chain_update(&packet).chain_update(secret).finalize().into();
    packet[4..20].copy_from_slice(&authenticator);
    packet
}

fn status_server(identifier: u8, secret: &[u8]) -> Vec<u8> {
    let nonce: [u8; 16] = Md5::new()
        .chain_update(
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_be_bytes(),
        )
        .finalize()
        .into();
    let attributes = Attributes::default().with(80, &[0; 16]);
    let mut packet = header(STATUS_SERVER, identifier, nonce, &attributes.0);
    let mut keyed = Hmac::<Md5>::new_from_slice(secret).expect("HMAC takes a key of any length");
    keyed.update(&packet);
    packet[22..38].copy_from_slice(&keyed.finalize().into_bytes());
    packet
}

fn header(code: u8, identifier: u8, authenticator: [u8; 16], attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + attributes.len()).expect("a packet of at most 4096 octets");
    let mut packet = vec![code, identifier];
    packet.extend(length.to_be_bytes());
    packet.extend(authenticator);
    packet.extend(attributes);
    packet
}

/// Whether these octets are the server's answer to this request (RFC 2866 section 3, Response Authenticator).
fn is_answer(answer: &[u8], request: &[u8], secret: &[u8]) -> bool {
    if answer.len() < 20 || answer[0] != ACCOUNTING_RESPONSE || answer[1] != request[1] {
        return false;
    }
    let expected = Md5::new()
        .chain_update(&answer[..4])
        .chain_update(&request[4..20])
        .chain_update(&answer[20..])
        .chain_update(secret)
        .finalize();
    expected[..] == answer[4..20]
}

/// A load with many requests in flight; knows which change was acknowledged.
pub(crate) struct Feed<C> {
    nas: Nas,
    in_flight: HashMap<u8, (Vec<u8>, C)>,
    window: usize,
}

impl<C> Feed<C> {
    /// At most `window` requests in flight; fewer than there are identifiers.
    pub(crate) fn new(nas: Nas, window: usize) -> Feed<C> {
        assert!(window < 256, "an identifier is one octet");
        Feed { nas, in_flight: HashMap::new(), window }
    }

    /// Whether another request may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.len() < self.window
    }

    /// Sends a change without waiting.
    pub(crate) fn send(&mut self, attributes: &Attributes, change: C) {
        let packet = loop {
            let packet = self.nas.request(attributes);
            if !self.in_flight.contains_key(&packet[1]) {
                break packet;
            }
        };
        let _ = self.nas.socket.send(&packet);
        self.in_flight.insert(packet[1], (packet, change));
    }

    /// Sends again whatever is not acknowledged, the very same octets.
    pub(crate) fn send_again(&mut self) {
        for (packet, _) in self.in_flight.values() {
            let _ = self.nas.socket.send(packet);
        }
    }

    /// The changes whose acknowledgement arrives within `patience`; returns as soon as there is one.
    pub(crate) fn acknowledged(&mut self, patience: Duration) -> Vec<C> {
        let mut changes = Vec::new();
        let mut wait = patience;
        while let Some(answer) = self.nas.receive(wait) {
            let Some((packet, _)) = answer.get(1).and_then(|identifier| self.in_flight.get(identifier))
            else {
                continue;
            };
            if is_answer(&answer, packet, &self.nas.secret) {
                changes.extend(self.in_flight.remove(&answer[1]).map(|(_, change)| change));
            }
            // What has arrived already is taken along; nothing more is waited for.
            wait = Duration::from_micros(1);
        }
        changes
    }

    /// The changes nobody has acknowledged yet.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = &C> {
        self.in_flight.values().map(|(_, change)| change)
    }
}

/// The real radclient: one packet of these attribute lines, two tries of one second.
pub(crate) fn radclient(
    server: SocketAddr,
    command: &str,
    secret: &str,
    lines: &str,
    flags: &[&str],
) -> Output {
    let mut child = peer::command("radclient")
        .args(["-x", "-r", "2", "-t", "1"])
        .args(flags)
        .args([&server.to_string(), command, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("radclient starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines.as_bytes()).expect("radclient reads");
    drop(input);
    child.wait_with_output().expect("radclient ends")
}
