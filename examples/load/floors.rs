//! The least that could be meant by "an accounting server" and by "something that answers lookups".
//!
//! Knows: the same codec as the daemon, so that only what surrounds it is compared. Must not know: sessions.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use relaywarden::mta::netstring::{REQUEST_LIMIT, first_frame};
use relaywarden::radius::authenticator::{self, Response};
use relaywarden::radius::packet::Packet;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Failure;
use super::feed::{OCTETS, SECRET};

/// Datagrams per system call: as many as the feed can have on their way, so that a group is as large as it can be.
const BATCH: usize = 1024;
/// Room for one datagram. These servers may know how long they are.
const ROOM: usize = OCTETS + 4;
/// As the daemon asks for; the kernel grants what it grants to both.
const RECEIVE_BUFFER: usize = 64 << 20;
/// How often a server looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// A server in a thread of this process.
pub(crate) struct Floor {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Floor {
    /// Receives in batches, verifies, appends to one file, makes the group durable, answers in batches.
    pub(crate) fn durable(directory: &Path) -> Result<Floor, Failure> {
        let file =
            File::create(directory.join("floor")).map_err(|e| Failure::System("the floor's file", e))?;
        Floor::udp(move |socket, stop| durable(socket, file, stop))
    }

    /// Receives one, verifies it, answers it; keeps nothing.
    pub(crate) fn least() -> Result<Floor, Failure> {
        Floor::udp(least)
    }

    /// Sends every frame back; a task per connection.
    pub(crate) fn echo_of_tasks() -> Result<Floor, Failure> {
        Floor::tcp(|listener, stop| {
            listener.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                while !stop.load(Ordering::Acquire) {
                    if let Ok(accepted) = tokio::time::timeout(LOOK, listener.accept()).await {
                        // A connection that breaks is its client's to report.
                        tokio::spawn(echo_task(accepted?.0));
                    }
                }
                Ok(())
            })
        })
    }

    /// Sends every frame back; a blocking thread per connection.
    pub(crate) fn echo_of_threads() -> Result<Floor, Failure> {
        Floor::tcp(|listener, stop| {
            listener.set_nonblocking(true)?;
            while !stop.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((stream, _)) => drop(thread::spawn(move || echo_thread(stream))),
                    Err(_) => thread::sleep(LOOK),
                }
            }
            Ok(())
        })
    }

    fn udp(
        serve: impl FnOnce(&UdpSocket, &AtomicBool) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Floor, Failure> {
        let failed = |error| Failure::System("a floor's socket", error);
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(failed)?;
        socket.set_read_timeout(Some(LOOK)).map_err(failed)?;
        // Granted in part, as the daemon's is.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        let address = socket.local_addr().map_err(failed)?;
        Ok(Floor::start(address, move |stop| serve(&socket, stop)))
    }

    fn tcp(
        serve: impl FnOnce(TcpListener, &AtomicBool) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Floor, Failure> {
        let failed = |error| Failure::System("a floor's socket", error);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Floor::start(address, move |stop| serve(listener, stop)))
    }

    fn start(
        address: SocketAddr,
        serve: impl FnOnce(&AtomicBool) -> std::io::Result<()> + Send + 'static,
    ) -> Floor {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = Some(thread::spawn(move || serve(&seen)));
        Floor { address, stop, thread }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // One that failed has answered nothing, which its measurement shows.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(octets: &[u8]) -> Option<Response> {
    let packet = Packet::decode(octets).ok()?;
    authenticator::is_authentic(&packet, SECRET.as_bytes())
        .then(|| authenticator::accounting_response(&packet, SECRET.as_bytes()))
}

fn least(socket: &UdpSocket, stop: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = [0; ROOM];
    while !stop.load(Ordering::Acquire) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = buffer.get(..length).and_then(answer) {
            socket.send_to(&answer, peer)?;
        }
    }
    Ok(())
}

fn durable(socket: &UdpSocket, mut file: File, stop: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = vec![0; BATCH * ROOM];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut group = Vec::with_capacity(BATCH * ROOM);
    let mut answers: Vec<(SocketAddrAny, Response)> = Vec::with_capacity(BATCH);
    while !stop.load(Ordering::Acquire) {
        group.clear();
        answers.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffer.chunks_exact_mut(ROOM).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None);
        let messages = match received {
            Ok(messages) => messages,
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for message in messages {
            let octets = message.iovs().next().unwrap_or_default();
            if let (Some(answer), Some(peer)) = (answer(octets), message.address) {
                group.extend_from_slice(octets);
                answers.push((SocketAddr::from((peer.ip(), peer.port())).into(), answer));
            }
        }
        file.write_all(&group)?;
        file.sync_data()?;
        send(socket, &answers)?;
    }
    Ok(())
}

fn send(socket: &UdpSocket, mut answers: &[(SocketAddrAny, Response)]) -> std::io::Result<()> {
    while !answers.is_empty() {
        let slices: Vec<[IoSlice<'_>; 1]> =
            answers.iter().map(|(_, answer)| [IoSlice::new(answer)]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            answers.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> = answers
            .iter()
            .zip(&slices)
            .zip(&mut controls)
            .map(|(((peer, _), slice), control)| MMsgHdr::new_with_addr(peer, slice, control))
            .collect();
        let sent = rustix::net::sendmmsg(socket, &mut messages, SendFlags::empty())?;
        answers = answers.get(sent..).unwrap_or_default();
    }
    Ok(())
}

async fn echo_task(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(4096);
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Ok(Some(frame)) = first_frame(&buffer, REQUEST_LIMIT) {
            let octets = frame.octets;
            stream.write_all(buffer.get(..octets).unwrap_or_default()).await?;
            buffer.advance(octets);
        }
        buffer.reserve(4096);
    }
    Ok(())
}

fn echo_thread(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let mut chunk = [0; 4096];
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
        while let Ok(Some(frame)) = first_frame(&buffer, REQUEST_LIMIT) {
            let octets = frame.octets;
            stream.write_all(buffer.get(..octets).unwrap_or_default())?;
            buffer.advance(octets);
        }
    }
}
