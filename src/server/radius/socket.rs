//! A UDP socket that receives and sends in batches, and answers from the address that was asked.
//!
//! Knows: system calls, control messages, buffers. Must not know: RADIUS.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrStorage, recvmmsg, sendmsg, setsockopt, sockopt,
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
        Ok(Socket { udp, local, receive_buffer })
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
        if self.local.ip().is_unspecified() {
            return answers.iter().filter(|answer| self.send_from_asked(answer).is_ok()).count();
        }
        answers.chunks(BATCH).map(|batch| self.send_batch(batch)).fold(0, usize::saturating_add)
    }

    fn send_batch(&self, mut rest: &[Receipt]) -> usize {
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

    fn send_some(&self, answers: &[Receipt]) -> io::Result<usize> {
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
    fn send_from_asked(&self, answer: &Receipt) -> io::Result<usize> {
        let slices = [IoSlice::new(&answer.response)];
        let socket = self.udp.as_raw_fd();
        let flags = MsgFlags::empty();
        let sent = match (answer.local, answer.peer) {
            (Some(IpAddr::V4(local)), SocketAddr::V4(peer)) => {
                let info =
                    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: octets_v4(local), ipi_addr: octets_v4(local) };
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(socket, &slices, &control, flags, Some(&SockaddrIn::from(peer)))?
            }
            (Some(IpAddr::V6(local)), SocketAddr::V6(peer)) => {
                // A link-local address means something on its own interface only; others follow the route.
                let interface = if local.is_unicast_link_local() { answer.interface } else { 0 };
                let address = in6_addr { s6_addr: local.octets() };
                let info = in6_pktinfo { ipi6_addr: address, ipi6_ifindex: interface };
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(socket, &slices, &control, flags, Some(&SockaddrIn6::from(peer)))?
            }
            _ => self.udp.send_to(&answer.response, answer.peer)?,
        };
        Ok(sent)
    }
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
