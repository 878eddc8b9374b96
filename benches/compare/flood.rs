//! More than can be taken: datagrams at a fixed rate, whether answers come or not, as when a region loses its power.
//!
//! Starts of new sessions are signed beforehand and sent in a circle: what comes round again is the repetition that a NAS
//! sends when it has no answer. Every answer is compared with the one that its request must have.
//!
//! Knows: RADIUS accounting as many NASes see it. Must not know: what answers.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};

use super::Failure;
use super::starts::{self, OCTETS};

/// Sockets of each NAS: identifiers come round again later.
const SOCKETS_EACH: usize = 16;
/// NASes, at 127.0.0.130 and up.
const NASES: u8 = 16;
const FIRST_HOST: u8 = 130;
const SOCKETS: usize = SOCKETS_EACH * NASES as usize;
/// Datagrams per system call.
const BATCH: usize = 64;
/// An Accounting-Response without attributes.
const ANSWER: usize = 20;
/// After the last datagram, answers are waited for until none has come for so long.
const QUIET: Duration = Duration::from_millis(500);

/// All NASes, and all they have to say.
pub(crate) struct Flood {
    sockets: Vec<UdpSocket>,
    first: u32,
    requests: Vec<u8>,
    answers: Vec<[u8; ANSWER]>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Datagrams handed to the kernel.
    pub(crate) offered: u64,
    /// How long that took.
    pub(crate) took: Duration,
    /// Right answers, those to repetitions included.
    pub(crate) answered: u64,
    /// Answers that nobody can have sent who knows the secret.
    pub(crate) wrong: u64,
    /// Numbers of the sessions that were acknowledged, in order.
    pub(crate) acknowledged: Vec<u32>,
    /// Answers that were lost between the kernel and us.
    pub(crate) unheard: u64,
    /// Different sessions that were reported.
    pub(crate) reported: u64,
}

impl Flood {
    /// Signs so many Starts.
    pub(crate) fn new(server: SocketAddr, first: u32, count: u32) -> Result<Flood, Failure> {
        let failed = |error| Failure::System("a socket for the flood", error);
        let mut sockets = Vec::new();
        for host in (FIRST_HOST..).take(usize::from(NASES)) {
            for _ in 0..SOCKETS_EACH {
                let socket =
                    UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0)).map_err(failed)?;
                socket.connect(server).map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                sockets.push(socket);
            }
        }
        // Whole batches only.
        let count = count - count % u32::try_from(BATCH).unwrap_or(1);
        let dated = starts::dated();
        let (mut requests, mut answers) = (Vec::with_capacity(count as usize * OCTETS), Vec::new());
        for place in 0..count {
            let (_, position) = seat(place as usize);
            let identifier = u8::try_from(position % 256).unwrap_or_default();
            let request = starts::start(first + place, identifier, dated)?;
            requests.extend_from_slice(&request.octets);
            answers.push(request.answer.as_slice().try_into().map_err(|_| Failure::Encoding)?);
        }
        Ok(Flood { sockets, first, requests, answers })
    }

    /// Sends at this rate for so long.
    pub(crate) fn run(&self, rate: u32, lasts: Duration) -> Result<Passed, Failure> {
        let (offered, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let dropped = kernel_drops(&self.ports());
        let (sent, heard) = thread::scope(|scope| {
            let hearing = scope.spawn(|| self.hear(&over));
            let sent = self.send(rate, lasts, &offered);
            over.store(true, Ordering::Release);
            (sent, hearing.join().unwrap_or(Err(Failure::NoAnswer("the flood"))))
        });
        let (took, mut passed) = (sent?, heard?);
        passed.offered = offered.load(Ordering::Acquire);
        passed.took = took;
        passed.reported = passed.offered.min(self.answers.len() as u64);
        passed.unheard = kernel_drops(&self.ports()).saturating_sub(dropped);
        Ok(passed)
    }

    fn send(&self, rate: u32, lasts: Duration, offered: &AtomicU64) -> Result<Duration, Failure> {
        let began = Instant::now();
        // What is sent again comes from the socket that sent it before, as `seat` has it.
        let mut batches = self.requests.chunks_exact(BATCH * OCTETS).zip(self.sockets.iter().cycle()).cycle();
        let mut count: u64 = 0;
        while began.elapsed() < lasts {
            let due = Duration::from_secs_f64(
                f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(rate),
            );
            let early = due.saturating_sub(began.elapsed());
            // Shorter sleeps come out longer than they are.
            if early > Duration::from_micros(200) {
                thread::sleep(early);
            }
            let Some((batch, socket)) = batches.next() else { break };
            count += send(socket, batch)?;
            offered.store(count, Ordering::Release);
        }
        Ok(began.elapsed())
    }

    fn hear(&self, over: &AtomicBool) -> Result<Passed, Failure> {
        let (mut passed, mut last) = (Passed::default(), Instant::now());
        let mut known = vec![false; self.answers.len()];
        let mut inboxes = vec![[0; 64]; BATCH];
        while !over.load(Ordering::Acquire) || last.elapsed() < QUIET {
            let mut polled: Vec<PollFd<'_>> =
                self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
            match poll(&mut polled, PollTimeout::from(20_u8)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(Failure::System("waiting for answers", error.into())),
            }
            let ready = polled.iter().enumerate().filter(|(_, polled)| polled.any().unwrap_or(false));
            for (place, _) in ready {
                let Some(socket) = self.sockets.get(place) else { continue };
                for answer in receive(socket, &mut inboxes)? {
                    last = Instant::now();
                    match self.whose(place, &answer) {
                        Some(number) => {
                            passed.answered += 1;
                            if let Some(known) = known.get_mut(number) {
                                *known = true;
                            }
                        }
                        None => passed.wrong += 1,
                    }
                }
            }
        }
        let numbers = known.iter().zip(self.first..).filter(|(known, _)| **known);
        passed.acknowledged = numbers.map(|(_, number)| number).collect();
        Ok(passed)
    }

    /// Which request this answers: one of those with its identifier on its socket.
    fn whose(&self, socket: usize, answer: &[u8]) -> Option<usize> {
        let identifier = usize::from(*answer.get(1)?);
        (identifier..)
            .step_by(256)
            .map(|position| place(socket, position))
            .map_while(|place| self.answers.get(place).map(|right| (place, right)))
            .find(|(_, right)| right.as_slice() == answer)
            .map(|(place, _)| place)
    }

    fn ports(&self) -> Vec<u16> {
        self.sockets.iter().filter_map(|socket| Some(socket.local_addr().ok()?.port())).collect()
    }
}

/// Where a request is sent from: its socket, and how many were sent from there before it.
fn seat(place: usize) -> (usize, usize) {
    let batch = place / BATCH;
    (batch % SOCKETS, batch / SOCKETS * BATCH + place % BATCH)
}

/// The other way round.
fn place(socket: usize, position: usize) -> usize {
    (position / BATCH * SOCKETS + socket) * BATCH + position % BATCH
}

fn send(socket: &UdpSocket, batch: &[u8]) -> Result<u64, Failure> {
    let slices: Vec<[IoSlice<'_>; 1]> = batch.chunks_exact(OCTETS).map(|one| [IoSlice::new(one)]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<MMsgHdr<'_>> =
        slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
    match rustix::net::sendmmsg(socket, &mut messages, SendFlags::empty()) {
        Ok(sent) => Ok(sent as u64),
        // What the kernel does not take is offered to nobody.
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOBUFS) => Ok(0),
        Err(error) => Err(Failure::System("sending Starts", error.into())),
    }
}

fn receive(socket: &UdpSocket, inboxes: &mut [[u8; 64]]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut slices: Vec<[IoSliceMut<'_>; 1]> =
        inboxes.iter_mut().map(|inbox| [IoSliceMut::new(inbox)]).collect();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(slices.len(), None);
    let received =
        recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
    match received {
        Ok(messages) => {
            Ok(messages.map(|message| message.iovs().next().unwrap_or_default().to_vec()).collect())
        }
        Err(Errno::EAGAIN | Errno::ECONNREFUSED | Errno::EINTR) => Ok(Vec::new()),
        Err(error) => Err(Failure::System("receiving answers", error.into())),
    }
}

/// What the kernel dropped at IPv4 UDP sockets with these ports, because nobody took it in time.
pub(crate) fn kernel_drops(ports: &[u16]) -> u64 {
    let text = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    text.lines().filter_map(drops).filter(|(port, _)| ports.contains(port)).map(|(_, dropped)| dropped).sum()
}

/// The local port and the drops in a line of `/proc/net/udp`.
fn drops(line: &str) -> Option<(u16, u64)> {
    let mut words = line.split_whitespace();
    let (_, port) = words.nth(1)?.split_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, words.next_back()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_a_seat_of_its_own() {
        for request in [0, 63, 64, 16_383, 16_384, 999_999] {
            let (socket, position) = seat(request);
            assert!(socket < SOCKETS);
            assert_eq!(place(socket, position), request);
        }
    }

    #[test]
    fn the_kernels_drops_stand_at_the_end_of_a_line() {
        let line =
            " 9: 0100007F:0714 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2 0000 31";
        assert_eq!(drops(line), Some((1812, 31)));
        assert_eq!(drops("  sl  local_address rem_address"), None);
    }
}
