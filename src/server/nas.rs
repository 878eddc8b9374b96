//! A NAS made of software: tells an accounting server what a real one would, and believes only genuine answers.
//! `send` and the demo speak through it.
//!
//! Knows: RFC 2866 and 5997 from the client's side, one UDP socket. Must not know: whose sessions it reports.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use ipnet::Ipv6Net;
use md5::Md5;
use radius::core::avp::AVP;
use radius::core::code::Code;
use radius::core::packet::Packet;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::radius::text;

/// RFC 2865, 3.
const HEADER_OCTETS: usize = 20;
/// RFC 2865, 3: the longest packet.
const PACKET_OCTETS_MAX: usize = 4096;
/// RFC 2865, 5: what a length octet leaves for the value.
const VALUE_OCTETS_MAX: usize = 253;

const USER_NAME: u8 = 1;
const NAS_IP_ADDRESS: u8 = 4;
const FRAMED_IP_ADDRESS: u8 = 8;
const CALLING_STATION_ID: u8 = 31;
const NAS_IDENTIFIER: u8 = 32;
const ACCT_STATUS_TYPE: u8 = 40;
const ACCT_DELAY_TIME: u8 = 41;
const ACCT_SESSION_ID: u8 = 44;
const ACCT_SESSION_TIME: u8 = 46;
const ACCT_TERMINATE_CAUSE: u8 = 49;
const EVENT_TIMESTAMP: u8 = 55;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const ACCT_INTERIM_INTERVAL: u8 = 85;
const NAS_PORT_ID: u8 = 87;
const NAS_IPV6_ADDRESS: u8 = 95;
const FRAMED_IPV6_PREFIX: u8 = 97;
const DELEGATED_IPV6_PREFIX: u8 = 123;
const FRAMED_IPV6_ADDRESS: u8 = 168;

/// Acct-Status-Type (RFC 2866, 5.1), as far as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 1.
    Start,
    /// 2.
    Stop,
    /// 3.
    Interim,
    /// 7.
    On,
    /// 8.
    Off,
}

impl Status {
    fn number(self) -> u32 {
        match self {
            Status::Start => 1,
            Status::Stop => 2,
            Status::Interim => 3,
            Status::On => 7,
            Status::Off => 8,
        }
    }
}

/// One accounting record to report. What is `None` or empty is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub status: Status,
    /// User-Name.
    pub user: Option<Vec<u8>>,
    /// Acct-Session-Id.
    pub session_id: Option<Vec<u8>>,
    /// Framed-IP-Address or Framed-IPv6-Address each.
    pub addresses: Vec<IpAddr>,
    /// Framed-IPv6-Prefix each.
    pub ipv6_prefixes: Vec<Ipv6Net>,
    /// Delegated-IPv6-Prefix each.
    pub delegated_prefixes: Vec<Ipv6Net>,
    /// NAS-Identifier.
    pub nas_identifier: Option<Vec<u8>>,
    /// NAS-IP-Address or NAS-IPv6-Address.
    pub nas_address: Option<IpAddr>,
    /// NAS-Port-Id.
    pub port_id: Option<Vec<u8>>,
    /// Calling-Station-Id.
    pub calling_station: Option<Vec<u8>>,
    /// Acct-Delay-Time in seconds.
    pub delay: Option<u32>,
    /// Acct-Session-Time in seconds.
    pub session_time: Option<u32>,
    /// Acct-Terminate-Cause.
    pub terminate_cause: Option<u32>,
    /// Acct-Interim-Interval in seconds.
    pub interval: Option<u32>,
    /// Event-Timestamp, seconds since 1970.
    pub event: Option<u32>,
}

impl Report {
    /// A report that says no more than this.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Report {
            status,
            user: None,
            session_id: None,
            addresses: Vec::new(),
            ipv6_prefixes: Vec::new(),
            delegated_prefixes: Vec::new(),
            nas_identifier: None,
            nas_address: None,
            port_id: None,
            calling_station: None,
            delay: None,
            session_time: None,
            terminate_cause: None,
            interval: None,
            event: None,
        }
    }
}

/// Why a packet could not be made or sent.
#[derive(Debug)]
pub enum SendError {
    /// A value is longer than an attribute can carry.
    ValueTooLong {
        /// Type of the attribute.
        attribute: u8,
        /// Octets of the value.
        length: usize,
    },
    /// All together it is more than a packet can carry.
    PacketTooLong,
    /// The secret is empty: anybody could forge with it.
    NoSecret,
    /// The socket can't be had or used.
    Socket(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::ValueTooLong { attribute, length } => {
                write!(
                    f,
                    "attribute {attribute}: {length} octets are given, {VALUE_OCTETS_MAX} is the most it can carry"
                )
            }
            SendError::PacketTooLong => {
                write!(f, "more attributes than the {PACKET_OCTETS_MAX} octets of a packet can carry")
            }
            SendError::NoSecret => write!(f, "the shared secret is empty"),
            SendError::Socket(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for SendError {}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A genuine answer came.
    Answered {
        /// How long after the copy that was sent last.
        after: Duration,
        /// Which copy that was, from 1.
        attempt: u32,
    },
    /// None came.
    Silence {
        /// The host said that nothing listens on the port.
        refused: bool,
    },
    /// Only answers came whose authenticator is wrong: another secret, or a forger.
    WrongAuthenticator,
}

/// One UDP port of a NAS, talking to one accounting server.
#[derive(Debug)]
pub struct Nas {
    socket: UdpSocket,
    secret: Vec<u8>,
    identifier: u8,
    patience: Patience,
}

/// How long a NAS waits and how often it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to each copy.
    pub timeout: Duration,
    /// Copies in all.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { timeout: Duration::from_secs(1), attempts: 3 }
    }
}

impl Nas {
    /// A NAS that speaks from `source` (port 0: any) to `server`.
    ///
    /// # Errors
    /// The secret is empty, or the socket can't be had.
    pub async fn connect(
        source: Option<IpAddr>,
        server: SocketAddr,
        secret: &[u8],
        patience: Patience,
    ) -> Result<Self, SendError> {
        if secret.is_empty() {
            return Err(SendError::NoSecret);
        }
        let any = match server {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((source.unwrap_or(any), 0)).await.map_err(SendError::Socket)?;
        // A connected socket takes datagrams from the server only; the kernel drops everybody else's.
        socket.connect(server).await.map_err(SendError::Socket)?;
        // Identifiers start anywhere, so that a second run at once is no duplicate of the first.
        let identifier = Packet::new(Code::AccountingRequest, secret).get_identifier();
        Ok(Nas { socket, secret: secret.to_vec(), identifier, patience })
    }

    /// The address this NAS speaks from.
    ///
    /// # Errors
    /// What the socket said.
    pub fn source(&self) -> Result<SocketAddr, SendError> {
        self.socket.local_addr().map_err(SendError::Socket)
    }

    /// Reports a record.
    ///
    /// # Errors
    /// See [`SendError`]; silence is no error but an [`Outcome`].
    pub async fn report(&mut self, report: &Report) -> Result<Outcome, SendError> {
        self.identifier = self.identifier.wrapping_add(1);
        let request = accounting_request(report, self.identifier, &self.secret)?;
        self.exchange(&request).await
    }

    /// Sends an Accounting-Request of these attributes; what is written in them is the caller's affair.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn request(&mut self, attributes: &[u8]) -> Result<Outcome, SendError> {
        self.identifier = self.identifier.wrapping_add(1);
        let code = Code::AccountingRequest as u8;
        let request = text::encode_request(code, self.identifier, attributes, &self.secret)
            .map_err(|_| SendError::PacketTooLong)?;
        self.exchange(&request).await
    }

    /// Asks whether the server is there (RFC 5997).
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn status(&mut self, nas_identifier: &[u8]) -> Result<Outcome, SendError> {
        self.identifier = self.identifier.wrapping_add(1);
        let request = status_server(nas_identifier, self.identifier, &self.secret)?;
        self.exchange(&request).await
    }

    /// Sends the same octets until a genuine answer comes. The same octets, because a copy with a newer Acct-Delay-Time
    /// would be another request (RFC 2866, 4.1); within a few seconds the difference is worth less than the match.
    async fn exchange(&mut self, request: &[u8]) -> Result<Outcome, SendError> {
        let mut refused = false;
        let mut forged = false;
        for attempt in 1..=self.patience.attempts {
            let sent = Instant::now();
            match self.socket.send(request).await {
                Ok(_) => {}
                // The ICMP answer to an earlier copy is reported here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused = true,
                Err(error) => return Err(SendError::Socket(error)),
            }
            let deadline = sent.checked_add(self.patience.timeout).unwrap_or(sent);
            loop {
                match self.receive(request, deadline).await? {
                    Received::Genuine => return Ok(Outcome::Answered { after: sent.elapsed(), attempt }),
                    // Whoever sends a wrong answer first must not keep us from hearing the right one.
                    Received::Forged => forged = true,
                    Received::Refused => refused = true,
                    Received::Other => {}
                    Received::Nothing => break,
                }
            }
        }
        Ok(if forged { Outcome::WrongAuthenticator } else { Outcome::Silence { refused } })
    }

    async fn receive(&self, request: &[u8], deadline: Instant) -> Result<Received, SendError> {
        let mut buffer = [0; PACKET_OCTETS_MAX];
        let Ok(received) = timeout_at(deadline, self.socket.recv(&mut buffer)).await else {
            return Ok(Received::Nothing);
        };
        match received {
            Ok(length) => Ok(judge(buffer.get(..length).unwrap_or_default(), request, &self.secret)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Received::Refused),
            Err(error) => Err(SendError::Socket(error)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    Genuine,
    Forged,
    Refused,
    Other,
    Nothing,
}

/// Is this datagram the answer to `request`?
fn judge(datagram: &[u8], request: &[u8], secret: &[u8]) -> Received {
    let Some(([code, identifier, high, low], _)) = datagram.split_first_chunk() else {
        return Received::Other;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    // RFC 2865, 3: what follows Length is padding, and a datagram shorter than Length is discarded.
    let Some(response) = datagram.get(..length).filter(|_| length >= HEADER_OCTETS) else {
        return Received::Other;
    };
    if *code != Code::AccountingResponse as u8 || Some(identifier) != request.get(1) {
        return Received::Other;
    }
    if Packet::is_authentic_response(response, request, secret) {
        Received::Genuine
    } else {
        Received::Forged
    }
}

/// The octets of an Accounting-Request.
pub(super) fn accounting_request(
    report: &Report,
    identifier: u8,
    secret: &[u8],
) -> Result<Vec<u8>, SendError> {
    let mut attributes = Attributes::default();
    attributes.number(ACCT_STATUS_TYPE, Some(report.status.number()));
    attributes.octets(USER_NAME, report.user.as_deref());
    attributes.octets(ACCT_SESSION_ID, report.session_id.as_deref());
    attributes.octets(NAS_IDENTIFIER, report.nas_identifier.as_deref());
    attributes.address(NAS_IP_ADDRESS, NAS_IPV6_ADDRESS, report.nas_address);
    attributes.octets(NAS_PORT_ID, report.port_id.as_deref());
    attributes.octets(CALLING_STATION_ID, report.calling_station.as_deref());
    for address in &report.addresses {
        attributes.address(FRAMED_IP_ADDRESS, FRAMED_IPV6_ADDRESS, Some(*address));
    }
    for prefix in &report.ipv6_prefixes {
        attributes.octets(FRAMED_IPV6_PREFIX, Some(&prefix_octets(prefix)));
    }
    for prefix in &report.delegated_prefixes {
        attributes.octets(DELEGATED_IPV6_PREFIX, Some(&prefix_octets(prefix)));
    }
    attributes.number(ACCT_SESSION_TIME, report.session_time);
    attributes.number(ACCT_INTERIM_INTERVAL, report.interval);
    attributes.number(ACCT_TERMINATE_CAUSE, report.terminate_cause);
    attributes.number(EVENT_TIMESTAMP, report.event);
    attributes.number(ACCT_DELAY_TIME, report.delay);
    attributes.encode(Code::AccountingRequest, identifier, secret)
}

/// The octets of a Status-Server request.
fn status_server(nas_identifier: &[u8], identifier: u8, secret: &[u8]) -> Result<Vec<u8>, SendError> {
    let mut attributes = Attributes::default();
    // First in the list, so that its place in the packet is known.
    attributes.octets(MESSAGE_AUTHENTICATOR, Some(&[0; 16]));
    attributes.octets(NAS_IDENTIFIER, Some(nas_identifier));
    let mut request = attributes.encode(Code::StatusServer, identifier, secret)?;
    // RFC 3579, 3.2, to which RFC 5997, 3 refers: HMAC-MD5 over the packet with sixteen zero octets in its place. The
    // codec writes the attribute but computes nothing.
    let mut mac = Hmac::<Md5>::new_from_slice(secret).map_err(|_| SendError::NoSecret)?;
    mac.update(&request);
    let value = HEADER_OCTETS.saturating_add(2)..HEADER_OCTETS.saturating_add(18);
    request.get_mut(value).ok_or(SendError::PacketTooLong)?.copy_from_slice(&mac.finalize().into_bytes());
    Ok(request)
}

/// RFC 3162, 2.3 and RFC 4818, 3: a reserved octet, the length, and no more octets than the length needs. Written here
/// because the codec's own spelling of a prefix can express whole octets only.
fn prefix_octets(prefix: &Ipv6Net) -> Vec<u8> {
    let needed = usize::from(prefix.prefix_len().div_ceil(8));
    let mut octets = vec![0, prefix.prefix_len()];
    octets.extend(prefix.trunc().addr().octets().iter().take(needed));
    octets
}

/// Attributes in the order in which they are sent; remembers the first that can't be.
#[derive(Default)]
struct Attributes {
    list: Vec<AVP>,
    too_long: Option<(u8, usize)>,
}

impl Attributes {
    fn octets(&mut self, attribute: u8, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        if value.len() > VALUE_OCTETS_MAX {
            self.too_long.get_or_insert((attribute, value.len()));
            return;
        }
        self.list.push(AVP::from_bytes(attribute, value));
    }

    fn number(&mut self, attribute: u8, value: Option<u32>) {
        self.octets(attribute, value.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
    }

    fn address(&mut self, v4: u8, v6: u8, value: Option<IpAddr>) {
        match value {
            Some(IpAddr::V4(address)) => self.octets(v4, Some(&address.octets())),
            Some(IpAddr::V6(address)) => self.octets(v6, Some(&address.octets())),
            None => {}
        }
    }

    fn encode(self, code: Code, identifier: u8, secret: &[u8]) -> Result<Vec<u8>, SendError> {
        if let Some((attribute, length)) = self.too_long {
            return Err(SendError::ValueTooLong { attribute, length });
        }
        // Counted here: the codec counts in sixteen bits and would wrap before it refuses.
        let octets: usize = self.list.iter().map(|avp| avp.encode_bytes().len().saturating_add(2)).sum();
        if octets.saturating_add(HEADER_OCTETS) > PACKET_OCTETS_MAX {
            return Err(SendError::PacketTooLong);
        }
        let mut packet = Packet::new_with_identifier(code, secret, identifier);
        packet.extend(self.list);
        packet.encode().map_err(|_| SendError::PacketTooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::Digest;

    const SECRET: &[u8] = b"testing123";

    fn start() -> Report {
        Report {
            user: Some(b"alice".to_vec()),
            session_id: Some(b"s1".to_vec()),
            addresses: vec!["198.51.100.7".parse().expect("an address")],
            ..Report::new(Status::Start)
        }
    }

    /// Signs a response by RFC 2866, 3, with nothing of the codec under test.
    fn response(request: &[u8], secret: &[u8], attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + attributes.len()).expect("short");
        let mut octets = vec![5, request[1]];
        octets.extend(length.to_be_bytes());
        let digest = Md5::new()
            .chain_update(&octets)
            .chain_update(&request[4..20])
            .chain_update(attributes)
            .chain_update(secret)
            .finalize();
        octets.extend(digest);
        octets.extend(attributes);
        octets
    }

    #[test]
    fn a_request_is_signed_over_the_whole_packet_with_a_zero_authenticator() {
        let request = accounting_request(&start(), 7, SECRET).expect("it fits");
        assert_eq!(request.get(..4), Some([4, 7, 0, 43].as_slice()));
        let digest = Md5::new()
            .chain_update(&request[..4])
            .chain_update([0; 16])
            .chain_update(&request[20..])
            .chain_update(SECRET)
            .finalize();
        assert_eq!(request[4..20], digest[..]);
        let list =
            [[40, 6, 0, 0, 0, 1].as_slice(), b"\x01\x07alice", b"\x2c\x04s1", &[8, 6, 198, 51, 100, 7]];
        assert_eq!(request[20..], list.concat());
    }

    #[test]
    fn a_prefix_keeps_its_length_and_only_the_octets_it_needs() {
        let octets = |text: &str| prefix_octets(&text.parse().expect("a prefix"));
        assert_eq!(octets("2001:db8:1:10::/60"), [0, 60, 0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0x10]);
        assert_eq!(octets("2001:db8::/29"), [0, 29, 0x20, 1, 0x0d, 0xb8]);
        assert_eq!(octets("::/0"), [0, 0]);
    }

    #[test]
    fn a_status_server_request_carries_the_hmac_of_itself() {
        let mut request = status_server(b"tester", 1, SECRET).expect("it fits");
        assert_eq!(request.get(20..22), Some([80, 18].as_slice()));
        let sent: Vec<u8> = request[22..38].to_vec();
        request[22..38].fill(0);
        let mut mac = Hmac::<Md5>::new_from_slice(SECRET).expect("any length");
        mac.update(&request);
        assert_eq!(sent, mac.finalize().into_bytes()[..]);
    }

    #[test]
    fn a_value_of_253_octets_fits_and_one_of_254_is_named() {
        let report = |length| Report { user: Some(vec![b'a'; length]), ..Report::new(Status::Start) };
        assert!(accounting_request(&report(253), 0, SECRET).is_ok());
        let refused = accounting_request(&report(254), 0, SECRET);
        assert!(matches!(refused, Err(SendError::ValueTooLong { attribute: 1, length: 254 })));
    }

    #[test]
    fn a_packet_of_4096_octets_fits_and_a_longer_one_is_refused() {
        let report = |addresses, user| Report {
            addresses: vec!["2001:db8::1".parse().expect("an address"); addresses],
            user: Some(vec![b'a'; user]),
            ..Report::new(Status::Start)
        };
        // 20 + 6 + 226 * 18 = 4094, and an attribute of no octets takes 2.
        let longest = accounting_request(&report(226, 0), 0, SECRET).expect("it fits");
        assert_eq!(longest.len(), 4096);
        assert!(matches!(accounting_request(&report(226, 1), 0, SECRET), Err(SendError::PacketTooLong)));
    }

    #[test]
    fn an_answer_counts_only_with_its_identifier_code_and_authenticator() {
        let request = accounting_request(&start(), 7, SECRET).expect("it fits");
        let genuine = response(&request, SECRET, b"\x21\x04ab");
        assert_eq!(judge(&genuine, &request, SECRET), Received::Genuine);
        let padded = [genuine.as_slice(), b"pad"].concat();
        assert_eq!(judge(&padded, &request, SECRET), Received::Genuine);
        assert_eq!(judge(&response(&request, b"another1", &[]), &request, SECRET), Received::Forged);
        let with = |at: usize, octet| {
            let mut changed = genuine.clone();
            changed[at] = octet;
            judge(&changed, &request, SECRET)
        };
        assert_eq!(with(0, 2), Received::Other);
        assert_eq!(with(1, 8), Received::Other);
        assert_eq!(with(3, 19), Received::Other);
        assert_eq!(with(2, 0xff), Received::Other);
        assert_eq!(with(23, b'c'), Received::Forged);
        for length in 0..genuine.len() {
            assert_eq!(judge(&genuine[..length], &request, SECRET), Received::Other, "cut at {length}");
        }
    }
}
