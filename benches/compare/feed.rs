//! A feed of Starts for new sessions: a few sockets, each with so many requests on their way, batched system calls.
//!
//! Requests are signed and their answers computed before the clock runs: what is measured is the server, and every
//! answer is still compared octet by octet, Response Authenticator included.
//!
//! Knows: RADIUS accounting as a NAS sees it. Must not know: what answers.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};

use super::Failure;
use super::starts::{self, Request};

/// How much is on its way at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Sockets, each with an address of its own: so many NASes.
    pub(crate) sockets: u8,
    /// Requests on their way per socket; an identifier is free for each of 256.
    pub(crate) in_flight: usize,
    /// Unanswered for this long, a request is sent again.
    pub(crate) again_after: Duration,
}

/// What servers are measured with.
pub(crate) const WIDE: Shape = Shape { sockets: 16, in_flight: 64, again_after: Duration::from_secs(1) };
/// What FreeRADIUS is measured with as well. Asked less at a time it answers more; it loses a few even so, which hold
/// up their sockets the less the sooner they are sent again.
pub(crate) const NARROW: Shape = Shape { sockets: 8, in_flight: 16, again_after: Duration::from_millis(100) };

/// How often it is looked whether something has to be sent again.
const LOOK: Duration = Duration::from_millis(20);
/// A server that answers nothing for this long is given up. Shorter silences are in its rate.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests that are signed at a time, where nobody measures: their memory is ours.
const FILLED_AT_ONCE: u32 = 200_000;

/// One socket and what it has to say.
struct Nas {
    socket: UdpSocket,
    /// Where the next request's number stands among identifiers.
    identifier: u8,
    waiting: VecDeque<Request>,
    /// By identifier; with the moment of the last sending.
    flying: Vec<Option<(Request, Instant)>>,
    in_flight: usize,
    /// The most that may be.
    window: usize,
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
    again_after: Duration,
    next: u32,
    /// Right answers so far.
    pub(crate) acknowledged: u64,
    /// Answers that nobody can have sent who knows the secret.
    pub(crate) wrong: u64,
    inboxes: Vec<[u8; 64]>,
}

impl Feed {
    /// NASes at 127.0.0.2 and up; the first session they will report has this number.
    pub(crate) fn new(server: SocketAddr, shape: Shape, first: u32) -> Result<Feed, Failure> {
        Feed::from(2, server, shape, first)
    }

    /// NASes at 127.0.0.`host` and up.
    pub(crate) fn from(host: u8, server: SocketAddr, shape: Shape, first: u32) -> Result<Feed, Failure> {
        let mut nases = Vec::new();
        for host in (host..).take(usize::from(shape.sockets)) {
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
                window: shape.in_flight,
            });
        }
        let inboxes = vec![[0; 64]; shape.in_flight];
        Ok(Feed { nases, again_after: shape.again_after, next: first, acknowledged: 0, wrong: 0, inboxes })
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

    /// Makes Starts of new sessions, until so many are ready.
    pub(crate) fn prepare(&mut self, count: u32) -> Result<(), Failure> {
        let dated = starts::dated();
        let ready: usize = self.nases.iter().map(|nas| nas.waiting.len()).sum();
        let more = count.saturating_sub(u32::try_from(ready).unwrap_or(u32::MAX));
        for number in self.next..self.next.saturating_add(more) {
            let place = number as usize % self.nases.len().max(1);
            let Some(nas) = self.nases.get_mut(place) else { continue };
            nas.waiting.push_back(starts::start(number, nas.identifier, dated)?);
            nas.identifier = nas.identifier.wrapping_add(1);
        }
        self.next = self.next.saturating_add(more);
        Ok(())
    }

    /// Opens sessions until so many were acknowledged, without a look at the clock.
    pub(crate) fn fill(&mut self, sessions: u64) -> Result<(), Failure> {
        while self.acknowledged < sessions {
            let missing = u32::try_from(sessions - self.acknowledged).unwrap_or(u32::MAX);
            self.prepare(missing.min(FILLED_AT_ONCE))?;
            self.run(Duration::from_secs(600))?;
        }
        Ok(())
    }

    /// Its first NAS says that it has begun anew. How long the answer took.
    pub(crate) fn begin_anew(&mut self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let Some(nas) = self.nases.first_mut() else { return Err(Failure::NoAnswer("accounting")) };
        nas.waiting.push_front(starts::accounting_on(nas.identifier, starts::dated())?);
        nas.identifier = nas.identifier.wrapping_add(1);
        self.run(PATIENCE)?;
        // It opened no session.
        self.acknowledged = self.acknowledged.saturating_sub(1);
        Ok(began.elapsed())
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
        let (mut last_answer, mut looked, mut again) = (began, began, 0);
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
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                again += self.send_again(self.again_after);
            }
            if last_answer.elapsed() > PATIENCE {
                return Err(Failure::NoAnswer("accounting"));
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
        let room = self.window.saturating_sub(self.in_flight);
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
