//! A feed of Starts for new sessions: sixteen sockets, each with so many requests on their way, batched system calls.
//!
//! Requests are signed and their answers computed before the clock runs: what is measured is the server, and every
//! answer is still compared octet by octet, Response Authenticator included.
//!
//! Knows: RADIUS accounting as a NAS sees it. Must not know: what answers.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use relaywarden::radius::authenticator::{self, Response};
use relaywarden::radius::packet::{Packet, code};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};

use super::Failure;

/// Sockets, each with an address of its own: so many NASes.
pub(crate) const SOCKETS: usize = 16;
/// Requests on their way per socket.
pub(crate) const IN_FLIGHT: usize = 64;
/// Every request is this long.
pub(crate) const OCTETS: usize = 300;
/// The secret that all of them share with the server.
pub(crate) const SECRET: &str = "a secret of four words";

/// Unanswered for this long, a request is sent again; more than any fsync took so far.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A server that answers nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The address of a subscriber, which identifies the session, too.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0000 | (number & 0x3f_ffff))
}

/// The subscriber's name.
pub(crate) fn subscriber(number: u32) -> String {
    format!("subscriber{number}@isp.example")
}

/// A request that is signed, and the only answer that is right.
struct Request {
    /// Of the session.
    number: u32,
    octets: Vec<u8>,
    answer: Response,
}

/// One socket and what it has to say.
struct Nas {
    socket: UdpSocket,
    /// Where the next request's number stands among identifiers.
    identifier: u8,
    waiting: VecDeque<Request>,
    /// By identifier; with the moment of the last sending.
    flying: Vec<Option<(Request, Instant)>>,
    in_flight: usize,
}

/// What a window showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Right answers.
    pub(crate) answered: u64,
    /// From the first sending to the last answer.
    pub(crate) took: Duration,
    /// Requests that had to be sent again.
    pub(crate) again: u64,
}

impl Window {
    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

/// All sockets, speaking to one server.
pub(crate) struct Feed {
    nases: Vec<Nas>,
    next: u32,
    /// Right answers so far.
    pub(crate) acknowledged: u64,
    /// Answers that nobody can have sent who knows the secret.
    pub(crate) wrong: u64,
    inboxes: Vec<[u8; 64]>,
}

impl Feed {
    /// Sixteen NASes at 127.0.0.2 and up; the first session they will report has this number.
    pub(crate) fn new(server: SocketAddr, first: u32) -> Result<Feed, Failure> {
        let mut nases = Vec::new();
        for host in (2_u8..).take(SOCKETS) {
            let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0))
                .and_then(|socket| socket.connect(server).map(|()| socket))
                .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
                .map_err(|error| Failure::System("a socket for the feed", error))?;
            nases.push(Nas {
                socket,
                identifier: 0,
                waiting: VecDeque::new(),
                flying: (0..=u8::MAX).map(|_| None).collect(),
                in_flight: 0,
            });
        }
        Ok(Feed { nases, next: first, acknowledged: 0, wrong: 0, inboxes: vec![[0; 64]; IN_FLIGHT] })
    }

    /// All sessions below this number were sent; between two measurements that means acknowledged.
    pub(crate) fn known(&self) -> u32 {
        let waiting = self.nases.iter().filter_map(|nas| nas.waiting.front());
        waiting.map(|request| request.number).min().unwrap_or(self.next)
    }

    /// Requests that were sent and have no answer yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.nases.iter().map(|nas| nas.in_flight).sum()
    }

    /// Makes Starts for so many new sessions ready.
    pub(crate) fn prepare(&mut self, count: u32) -> Result<(), Failure> {
        let dated = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for number in self.next..self.next.saturating_add(count) {
            let place = number as usize % SOCKETS;
            let Some(nas) = self.nases.get_mut(place) else { continue };
            nas.waiting.push_back(start(number, nas.identifier, dated)?);
            nas.identifier = nas.identifier.wrapping_add(1);
        }
        self.next = self.next.saturating_add(count);
        Ok(())
    }

    /// Sends what is ready until all of it is answered. After `at_most` nothing new is sent, but what is on its way is
    /// waited for; what was not sent by then stays ready.
    pub(crate) fn run(&mut self, at_most: Duration) -> Result<Window, Failure> {
        self.speak(at_most, true)
    }

    /// The same, but it ends in the middle of things: what is on its way is left to its fate.
    pub(crate) fn run_and_leave(&mut self, at_most: Duration) -> Result<Window, Failure> {
        self.speak(at_most, false)
    }

    fn speak(&mut self, at_most: Duration, settle: bool) -> Result<Window, Failure> {
        let (began, before) = (Instant::now(), self.acknowledged);
        let (mut last_answer, mut again) = (began, 0);
        loop {
            let over = began.elapsed() >= at_most;
            if !over {
                self.nases.iter_mut().try_for_each(Nas::send)?;
            }
            if (over && !settle) || self.in_flight() == 0 {
                break;
            }
            if self.receive(PollTimeout::from(20_u8))? > 0 {
                last_answer = Instant::now();
            } else {
                again += self.send_again(AGAIN_AFTER);
            }
            if last_answer.elapsed() > PATIENCE {
                return Err(Failure::NoAnswer);
            }
        }
        Ok(Window { answered: self.acknowledged - before, took: last_answer - began, again })
    }

    /// Takes the answers that had left before the server was killed: they are promises like any other.
    pub(crate) fn collect(&mut self) -> Result<(), Failure> {
        while self.receive(PollTimeout::ZERO)? > 0 {}
        Ok(())
    }

    /// Repeats everything that has no answer, as a NAS does when its server comes back.
    pub(crate) fn repeat(&mut self) {
        self.send_again(Duration::ZERO);
    }

    fn send_again(&mut self, older_than: Duration) -> u64 {
        let mut count = 0;
        for nas in &mut self.nases {
            for (request, sent) in nas.flying.iter_mut().flatten() {
                if sent.elapsed() >= older_than {
                    // What the kernel does not take now is sent again a second later.
                    let _ = nas.socket.send(&request.octets);
                    *sent = Instant::now();
                    count += 1;
                }
            }
        }
        count
    }

    /// Waits for answers and takes what is there.
    fn receive(&mut self, patience: PollTimeout) -> Result<u64, Failure> {
        let mut polled: Vec<PollFd<'_>> =
            self.nases.iter().map(|nas| PollFd::new(nas.socket.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut polled, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Failure::System("waiting for answers", error.into())),
        }
        let ready: Vec<bool> = polled.iter().map(|polled| polled.any().unwrap_or(false)).collect();
        let (mut right, mut wrong) = (0, 0);
        for (nas, _) in self.nases.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            nas.receive(&mut self.inboxes, &mut right, &mut wrong)?;
        }
        self.acknowledged += right;
        self.wrong += wrong;
        Ok(right)
    }
}

impl Nas {
    /// Fills the window with one system call.
    fn send(&mut self) -> Result<(), Failure> {
        let room = IN_FLIGHT.saturating_sub(self.in_flight);
        // An identifier that is still on its way cannot be used again: behind a lost one the window stands still.
        let identifier = |request: &Request| request.octets.get(1).copied().unwrap_or(0);
        let free = self
            .waiting
            .iter()
            .take(room)
            .take_while(|request| {
                self.flying.get(usize::from(identifier(request))).is_some_and(Option::is_none)
            })
            .count();
        if free == 0 {
            return Ok(());
        }
        let slices: Vec<[IoSlice<'_>; 1]> =
            self.waiting.iter().take(free).map(|request| [IoSlice::new(&request.octets)]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> =
            slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
        let sent = match rustix::net::sendmmsg(&self.socket, &mut messages, SendFlags::empty()) {
            Ok(sent) => sent,
            // A full buffer, or nobody listens (yet): the same again at the next turn.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOBUFS) => 0,
            Err(error) => return Err(Failure::System("sending Starts", error.into())),
        };
        let now = Instant::now();
        for request in self.waiting.drain(..sent) {
            if let Some(place) = self.flying.get_mut(usize::from(identifier(&request))) {
                *place = Some((request, now));
                self.in_flight += 1;
            }
        }
        Ok(())
    }

    fn receive(&mut self, inboxes: &mut [[u8; 64]], right: &mut u64, wrong: &mut u64) -> Result<(), Failure> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            inboxes.iter_mut().map(|inbox| [IoSliceMut::new(inbox)]).collect();
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(slices.len(), None);
        let received =
            recvmmsg(self.socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        let messages = match received {
            Ok(messages) => messages,
            // Refused is what a server that was killed looks like; its successor gets the same requests.
            Err(Errno::EAGAIN | Errno::ECONNREFUSED | Errno::EINTR) => return Ok(()),
            Err(error) => return Err(Failure::System("receiving answers", error.into())),
        };
        for message in messages {
            let octets = message.iovs().next().unwrap_or_default();
            let flying = octets.get(1).and_then(|&identifier| self.flying.get_mut(usize::from(identifier)));
            let Some(flying) = flying else { continue };
            match flying {
                Some((request, _)) if request.answer.as_slice() == octets => {
                    *flying = None;
                    self.in_flight -= 1;
                    *right += 1;
                }
                // The second answer to a request that was sent twice.
                None => {}
                Some(_) => *wrong += 1,
            }
        }
        Ok(())
    }
}

/// The Start of a PPPoE session with an IPv4 address, a prefix for the link and a delegated one.
fn start(number: u32, identifier: u8, dated: u64) -> Result<Request, Failure> {
    let mut list = Attributes::default();
    let user = subscriber(number);
    let [_, high, middle, low] = number.to_be_bytes();
    // Below 2001:db8::/32, where delegated prefixes never reach the upper quarter that the links have.
    let prefix = |length: u8, [a, b, c, d]: [u8; 4]| [0, length, 0x20, 0x01, 0x0d, 0xb8, a, b, c, d];
    list.add(40, &1_u32.to_be_bytes());
    list.add(44, format!("{number:016x}").as_bytes());
    list.add(1, user.as_bytes());
    list.add(55, &u32::try_from(dated).unwrap_or(u32::MAX).to_be_bytes());
    list.add(8, &address(number).octets());
    list.add(97, &prefix(64, [0xc0, high, middle, low]));
    list.add(123, &prefix(56, [high, middle, low, 0]));
    list.add(32, b"petrel1.isp.example");
    list.add(4, &[192, 0, 2, 1]);
    list.add(5, &number.to_be_bytes());
    list.add(87, format!("ge-3/1/0.demux0.{number}:100-200").as_bytes());
    list.add(31, format!("02:00:{high:02x}:{middle:02x}:{low:02x}:01").as_bytes());
    list.add(6, &2_u32.to_be_bytes());
    list.add(7, &1_u32.to_be_bytes());
    list.add(61, &15_u32.to_be_bytes());
    list.add(45, &1_u32.to_be_bytes());
    // Whatever is left of the size asked for is a Class, which a NAS hands back as it got it.
    let left = OCTETS.saturating_sub(list.0.len() + 20 + 2);
    list.add(25, &vec![b'c'; left]);

    let octets = authenticator::sign_request(
        code::ACCOUNTING_REQUEST,
        identifier,
        &[0; 16],
        &list.0,
        SECRET.as_bytes(),
    );
    let octets = octets.map_err(|_| Failure::Encoding)?;
    let packet = Packet::decode(&octets).map_err(|_| Failure::Encoding)?;
    let answer = authenticator::accounting_response(&packet, SECRET.as_bytes());
    Ok(Request { number, octets, answer })
}

#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn add(&mut self, number: u8, value: &[u8]) {
        // An attribute has room for 253 octets (RFC 2865 section 5); what is made here stays far below.
        let value = value.get(..253).unwrap_or(value);
        self.0.push(number);
        self.0.push(u8::try_from(value.len() + 2).unwrap_or(u8::MAX));
        self.0.extend_from_slice(value);
    }
}
