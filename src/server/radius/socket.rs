//! A UDP socket that receives and sends in batches, and answers from the address that was asked.
//!
//! Knows: system calls, control messages, buffers. Must not know: RADIUS.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrStorage, getsockopt, recvmmsg, sendmsg, setsockopt, sockopt,
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use super::Receipt;
use crate::radius::packet::LENGTH_MAX;

/// Datagrams per system call.
pub(super) const BATCH: usize = 64;
/// Asked for; the kernel grants at most `net.core.rmem_max`. A reboot of a large NAS sends a hundred thousand
/// records within seconds.
const RECEIVE_BUFFER: usize = 64 << 20;
/// Datagrams that the kernel cuts from one piece, at most: 64 (`UDP_MAX_SEGMENTS`, before 6.9). Before 5.16 it takes the headers for a
/// part of what it cuts, which may be those of three answers.
const SEGMENTS_MAX: usize = 61;
/// Each of them must fit into what the path takes at a time; an answer has twenty octets and rarely many more.
const SEGMENT_MAX: usize = 512;
/// How long a receiving thread sleeps at most before it looks whether it should stop.
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(100);

/// A datagram and the way it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub(super) octets: &'a [u8],
    pub(super) peer: SocketAddr,
    /// The address that was asked; `None` when the socket is bound to one.
    pub(super) local: Option<IpAddr>,
    /// The interface it came in by.
    pub(super) interface: u32,
}

/// Room for one batch, used again and again.
pub(super) struct Buffers(Vec<u8>);

impl Buffers {
    pub(super) fn new() -> Self {
        // What is longer than the longest packet is padding, and may be cut by the kernel.
        Buffers(vec![0; BATCH.saturating_mul(LENGTH_MAX)])
    }
}

#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    local: SocketAddr,
    /// Octets of buffer that the kernel granted.
    pub(super) receive_buffer: usize,
    /// Whether the kernel takes several datagrams in one piece, as far as is known.
    segments: AtomicBool,
}

impl Socket {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // Otherwise `[::]` would take IPv4 too, with sources that look unlike the configured clients.
            raw.set_only_v6(true)?;
        }
        // Before it is bound: no datagram comes in without saying where it came.
        prepare(&raw, address)?;
        raw.bind(&address.into())?;
        Socket::of(raw)
    }

    /// A socket that is bound already, and may have gathered datagrams.
    pub(super) fn inherited(udp: UdpSocket) -> io::Result<Self> {
        let address = udp.local_addr()?;
        let raw = RawSocket::from(udp);
        raw.set_nonblocking(false)?;
        prepare(&raw, address)?;
        Socket::of(raw)
    }

    fn of(raw: RawSocket) -> io::Result<Self> {
        let receive_buffer = raw.recv_buffer_size()?;
        let udp = UdpSocket::from(raw);
        let local = udp.local_addr()?;
        // A kernel before 4.18 does not know it, and would not refuse: it would send all in one datagram.
        let segments = getsockopt(&udp, sockopt::UdpGsoSegment).is_ok();
        Ok(Socket { udp, local, receive_buffer, segments: AtomicBool::new(segments) })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for datagrams and hands each to `each`. Returns the kernel's count of dropped ones, when it
    /// tells it.
    ///
    /// # Errors
    /// `WouldBlock` when nothing came for a while.
    pub(super) fn receive(
        &self,
        buffers: &mut Buffers,
        mut each: impl FnMut(Datagram<'_>),
    ) -> io::Result<Option<u32>> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffers.0.chunks_exact_mut(LENGTH_MAX).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        // Made anew for each batch: the kernel writes into them how much of the control buffer it used, and
        // the next batch would have no more room than that.
        let control = cmsg_space!(in6_pktinfo, u32);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(control));
        // Blocks for the first datagram only.
        let flags = MsgFlags::MSG_WAITFORONE;
        let messages = recvmmsg(self.udp.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)?;
        let mut dropped = None;
        for message in messages {
            let Some(peer) = message.address.as_ref().and_then(peer_of) else { continue };
            let control = Control::of(&message);
            dropped = control.dropped.or(dropped);
            // An empty datagram has no slice.
            let octets = message.iovs().next().unwrap_or_default();
            each(Datagram { octets, peer, local: control.local, interface: control.interface });
        }
        Ok(dropped)
    }

    /// Sends the answers and returns how many the kernel took. One that can't be sent does not hold up the
    /// others.
    pub(super) fn send(&self, answers: &[Receipt]) -> usize {
        let mut answers: Vec<&Receipt> = answers.iter().collect();
        if !self.segments.load(Ordering::Relaxed) {
            return self.send_each(&answers);
        }
        // Whoever waits for several knows them by their identifiers, in whatever order they come.
        answers.sort_by_key(|answer| (answer.peer, answer.local, answer.interface, answer.response.len()));
        let (mut sent, mut alone) = (0_usize, Vec::new());
        for group in answers.chunk_by(|a, b| are_alike(a, b)).flat_map(|group| group.chunks(SEGMENTS_MAX)) {
            let taken = match group {
                [first, _, ..] if first.response.len() <= SEGMENT_MAX => self.send_together(first, group),
                _ => {
                    alone.extend_from_slice(group);
                    0
                }
            };
            sent = sent.saturating_add(taken);
        }
        sent.saturating_add(self.send_each(&alone))
    }

    /// Answers of one length to one NAS, which the kernel takes in one piece and cuts into datagrams behind what is expensive: it
    /// looks for the way once.
    fn send_together(&self, first: &Receipt, answers: &[&Receipt]) -> usize {
        let slices: Vec<IoSlice<'_>> = answers.iter().map(|answer| IoSlice::new(&answer.response)).collect();
        let length = u16::try_from(first.response.len()).ok();
        match self.send_from_asked(first, &slices, length.as_ref()) {
            Ok(_) => answers.len(),
            Err(error) => {
                let sent = self.send_each(answers);
                if sent > 0 && matches!(error, Errno::EIO | Errno::EINVAL) {
                    // The NAS can be reached, but not in this way: an interface without checksums of its own, or IPsec.
                    self.segments.store(false, Ordering::Relaxed);
                }
                sent
            }
        }
    }

    fn send_each(&self, answers: &[&Receipt]) -> usize {
        if self.local.ip().is_unspecified() {
            let send = |answer: &&&Receipt| {
                self.send_from_asked(answer, &[IoSlice::new(&answer.response)], None).is_ok()
            };
            return answers.iter().filter(send).count();
        }
        answers.chunks(BATCH).map(|batch| self.send_batch(batch)).fold(0, usize::saturating_add)
    }

    fn send_batch(&self, mut rest: &[&Receipt]) -> usize {
        let mut sent = 0_usize;
        while !rest.is_empty() {
            match self.send_some(rest) {
                Ok(count) => {
                    sent = sent.saturating_add(count);
                    rest = rest.get(count.max(1)..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The error concerns the first one; the kernel did not look at the others.
                Err(_) => rest = rest.get(1..).unwrap_or_default(),
            }
        }
        sent
    }

    fn send_some(&self, answers: &[&Receipt]) -> io::Result<usize> {
        let peers: Vec<SocketAddrAny> = answers.iter().map(|answer| answer.peer.into()).collect();
        let slices: Vec<[IoSlice<'_>; 1]> =
            answers.iter().map(|answer| [IoSlice::new(&answer.response)]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            answers.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> = peers
            .iter()
            .zip(&slices)
            .zip(&mut controls)
            .map(|((peer, slice), control)| MMsgHdr::new_with_addr(peer, slice, control))
            .collect();
        Ok(rustix::net::sendmmsg(&self.udp, &mut messages, SendFlags::empty())?)
    }

    /// RFC 2866 section 3: ports (and so addresses) are reversed. A wildcard socket would answer from
    /// whichever address the route prefers, and the NAS would not recognise the answer.
    fn send_from_asked(
        &self,
        answer: &Receipt,
        slices: &[IoSlice<'_>],
        segment: Option<&u16>,
    ) -> nix::Result<usize> {
        let socket = self.udp.as_raw_fd();
        let flags = MsgFlags::empty();
        let mut control: Vec<ControlMessage<'_>> =
            segment.map(ControlMessage::UdpGsoSegments).into_iter().collect();
        let (ipv4, ipv6);
        match (answer.local, answer.peer) {
            (Some(IpAddr::V4(local)), SocketAddr::V4(_)) => {
                ipv4 =
                    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: octets_v4(local), ipi_addr: octets_v4(local) };
                control.push(ControlMessage::Ipv4PacketInfo(&ipv4));
            }
            (Some(IpAddr::V6(local)), SocketAddr::V6(_)) => {
                // A link-local address means something on its own interface only; others follow the route.
                let interface = if local.is_unicast_link_local() { answer.interface } else { 0 };
                let address = in6_addr { s6_addr: local.octets() };
                ipv6 = in6_pktinfo { ipi6_addr: address, ipi6_ifindex: interface };
                control.push(ControlMessage::Ipv6PacketInfo(&ipv6));
            }
            _ => {}
        }
        loop {
            let sent = match answer.peer {
                SocketAddr::V4(peer) => {
                    sendmsg(socket, slices, &control, flags, Some(&SockaddrIn::from(peer)))
                }
                SocketAddr::V6(peer) => {
                    sendmsg(socket, slices, &control, flags, Some(&SockaddrIn6::from(peer)))
                }
            };
            if sent != Err(Errno::EINTR) {
                return sent;
            }
        }
    }
}

/// Whether they go the same way, and are as long.
fn are_alike(a: &Receipt, b: &Receipt) -> bool {
    (a.peer, a.local, a.interface, a.response.len()) == (b.peer, b.local, b.interface, b.response.len())
}

fn prepare(raw: &RawSocket, address: SocketAddr) -> io::Result<()> {
    // A smaller buffer than asked for is no reason not to start; what was granted is logged. A larger one stays.
    if raw.recv_buffer_size()? < RECEIVE_BUFFER {
        let _ = raw.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    raw.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
    setsockopt(raw, sockopt::RxqOvfl, &1)?;
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => setsockopt(raw, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(raw, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    Ok(())
}

/// What the kernel tells beside a datagram.
#[derive(Default)]
struct Control {
    local: Option<IpAddr>,
    interface: u32,
    dropped: Option<u32>,
}

impl Control {
    fn of(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Self {
        let mut control = Control::default();
        let Ok(messages) = message.cmsgs() else { return control };
        for message in messages {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    // The address of ours that took it, also when it was sent to a broadcast address.
                    control.local = Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                    control.interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    control.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    control.interface = info.ipi6_ifindex;
                }
                ControlMessageOwned::RxqOvfl(dropped) => control.dropped = Some(dropped),
                _ => {}
            }
        }
        control
    }
}

fn octets_v4(address: Ipv4Addr) -> in_addr {
    in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn peer_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(ipv4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((ipv4.ip(), ipv4.port())));
    }
    let ipv6 = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(ipv6.ip(), ipv6.port(), 0, ipv6.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::duplicate::Key;

    /// What a NAS waits for: many answers of one length, and some others among them.
    fn responses() -> Vec<Vec<u8>> {
        let number = |number: u8| (number, if number.is_multiple_of(50) { 38 } else { 20 });
        let mut all: Vec<Vec<u8>> =
            (0..150).map(number).map(|(number, length)| vec![number; length]).collect();
        all.extend([vec![7; SEGMENT_MAX], vec![8; 600], vec![9; 600]]);
        all
    }

    fn arrived(nas: &UdpSocket) -> Vec<(Vec<u8>, SocketAddr)> {
        let mut octets = [0; LENGTH_MAX];
        let received = std::iter::from_fn(|| {
            let (length, from) = nas.recv_from(&mut octets).ok()?;
            Some((octets[..length].to_vec(), from))
        });
        received.collect()
    }

    #[test]
    fn answers_of_several_lengths_to_several_nases_all_arrive_from_where_they_were_asked() {
        let cases =
            [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "::1")];
        for ((listen, asked), together) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
            let socket = Socket::open(listen.parse().unwrap()).unwrap();
            socket.segments.store(together, Ordering::Relaxed);
            let asked: IpAddr = asked.parse().unwrap();
            let nases: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind((asked, 0)).unwrap()).collect();
            let mut answers = Vec::new();
            for response in responses() {
                for nas in &nases {
                    nas.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                    let peer = nas.local_addr().unwrap();
                    let key = Key { peer, identifier: 0, authenticator: [0; 16] };
                    let local = socket.local.ip().is_unspecified().then_some(asked);
                    let response = response.clone().into();
                    answers.push(Receipt { listener: 0, peer, local, interface: 0, key, response });
                }
            }
            assert_eq!(socket.send(&answers), answers.len(), "{listen}");
            assert_eq!(socket.segments.load(Ordering::Relaxed), together, "{listen}");
            for nas in &nases {
                let (mut octets, from): (Vec<_>, Vec<_>) = arrived(nas).into_iter().unzip();
                let mut wanted = responses();
                octets.sort();
                wanted.sort();
                assert_eq!(octets, wanted, "{listen}");
                let here = SocketAddr::new(asked, socket.local.port());
                assert!(from.iter().all(|from| *from == here), "{listen}");
            }
        }
    }

    #[test]
    fn one_that_cannot_be_sent_holds_up_no_other() {
        let socket = Socket::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let nas = UdpSocket::bind("127.0.0.1:0").unwrap();
        nas.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let answer = |peer: SocketAddr, octet: u8| {
            let key = Key { peer, identifier: 0, authenticator: [0; 16] };
            let response = vec![octet; 20].into();
            Receipt { listener: 0, peer, local: None, interface: 0, key, response }
        };
        // From a loopback address nothing goes out into the world.
        let far = "192.0.2.1:1813".parse().unwrap();
        let here = nas.local_addr().unwrap();
        let answers = [answer(far, 1), answer(here, 2), answer(far, 3), answer(here, 4)];
        assert_eq!(socket.send(&answers), 2);
        let mut octets: Vec<u8> = arrived(&nas).iter().map(|(octets, _)| octets[0]).collect();
        octets.sort_unstable();
        assert_eq!(octets, [2, 4]);
        // Two to one that can't be reached say nothing about the others.
        let answers = [answer(far, 1), answer(far, 2), answer(here, 3), answer(here, 4)];
        assert_eq!(socket.send(&answers), 2);
        assert!(socket.segments.load(Ordering::Relaxed));
    }
}
