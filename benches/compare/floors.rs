//! The least that could be meant by "an accounting server" and by "something that answers lookups".
//!
//! Knows: the same codec as the daemon, so that only what surrounds it is compared. Must not know: sessions.

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::thread;

use bytes::{Buf, BytesMut};
use clap::ValueEnum;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use relaywarden::mta::netstring::{REQUEST_LIMIT, first_frame};
use relaywarden::mta::policy::{Action, Policy};
use relaywarden::radius::authenticator::{self, Response};
use relaywarden::radius::packet::Packet;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::codec::Decoder;

use super::Failure;
use super::process::{Process, command, directory};
use super::starts::{OCTETS, SECRET};

/// Datagrams per system call: as many as the feed can have on their way, so that a group is as large as it can be.
const BATCH: usize = 1024;
/// Room for one datagram. These servers may know how long they are.
const ROOM: usize = OCTETS + 4;
/// As the daemon asks for; the kernel grants what it grants to both.
const RECEIVE_BUFFER: usize = 64 << 20;
/// Which of the least servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Receives one, verifies it, answers it; keeps nothing.
    Least,
    /// Receives in batches, verifies, appends to one file, makes the group durable, answers in batches.
    Durable,
    /// Sends every frame back; a task per connection.
    EchoOfTasks,
    /// Sends every frame back; a blocking thread per connection.
    EchoOfThreads,
    /// Reads policy requests, appends them to one file, makes the group durable, answers.
    Policy,
}

impl Kind {
    /// Is this server until it is killed. Its file is made where it was started, its address goes to standard output.
    pub(crate) fn serve(self) -> std::io::Result<()> {
        match self {
            Kind::Least => least(&udp()?),
            Kind::Durable => durable(&udp()?, File::create("floor")?),
            Kind::EchoOfTasks => echo_of_tasks(tcp()?),
            Kind::EchoOfThreads => echo_of_threads(&tcp()?),
            Kind::Policy => policy(&tcp()?, &File::create("floor")?),
        }
    }
}

/// A least server in a process of its own.
pub(crate) struct Floor {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _process: Process,
    _home: TempDir,
}

impl Floor {
    /// Starts one; its file, if it has one, is made within `disk`.
    pub(crate) fn start(kind: Kind, disk: &Path) -> Result<Floor, Failure> {
        let failed = |error| Failure::System("a least server", error);
        let home = directory("compare-floor-", disk)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = command(&program, None);
        let name = kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        command.arg("--floor").arg(name).current_dir(home.path());
        let (process, out) = Process::start_and_listen("a least server", &mut command)?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).map_err(failed)?;
        let address = line.trim().parse().map_err(|_| Failure::NoAnswer("a least server"))?;
        Ok(Floor { address, _process: process, _home: home })
    }
}

#[expect(clippy::print_stdout, reason = "how a child tells its parent where it listens")]
fn tell(address: SocketAddr) {
    println!("{address}");
}

fn udp() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // Granted in part, as the daemon's is.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    tell(socket.local_addr()?);
    Ok(socket)
}

fn tcp() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tell(listener.local_addr()?);
    Ok(listener)
}

fn answer(octets: &[u8]) -> Option<Response> {
    let packet = Packet::decode(octets).ok()?;
    authenticator::is_authentic(&packet, SECRET.as_bytes())
        .then(|| authenticator::accounting_response(&packet, SECRET.as_bytes()))
}

fn least(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = [0; ROOM];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        if let Some(answer) = buffer.get(..length).and_then(answer) {
            socket.send_to(&answer, peer)?;
        }
    }
}

fn durable(socket: &UdpSocket, mut file: File) -> std::io::Result<()> {
    let mut buffer = vec![0; BATCH * ROOM];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut group = Vec::with_capacity(BATCH * ROOM);
    let mut answers: Vec<(SocketAddrAny, Response)> = Vec::with_capacity(BATCH);
    loop {
        group.clear();
        answers.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffer.chunks_exact_mut(ROOM).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None);
        let messages = match received {
            Ok(messages) => messages,
            Err(Errno::EINTR) => continue,
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

fn echo_of_tasks(listener: TcpListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            // A connection that breaks is its client's to report.
            tokio::spawn(echo_task(listener.accept().await?.0));
        }
    })
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

fn echo_of_threads(listener: &TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || echo_thread(stream));
    }
}

fn echo_thread(mut stream: TcpStream) -> std::io::Result<()> {
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

/// One connection of the policy server, and what it has said.
struct Asked {
    stream: TcpStream,
    codec: Policy,
    buffer: BytesMut,
}

/// One thread for all connections: whatever came since the last group is the next one.
fn policy(listener: &TcpListener, mut file: &File) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut connections: Vec<Asked> = Vec::new();
    let (mut group, mut chunk, mut answer) = (Vec::new(), [0; 4096], BytesMut::new());
    Action::Dunno.write(&mut answer);
    loop {
        let ours = connections.iter().map(|asked| asked.stream.as_fd());
        let mut polled: Vec<PollFd<'_>> =
            ours.chain([listener.as_fd()]).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut polled, PollTimeout::NONE)?;
        let ready: Vec<bool> = polled.iter().map(|polled| polled.any().unwrap_or(false)).collect();
        group.clear();
        let (mut whole, mut gone) = (Vec::new(), Vec::new());
        for (place, asked) in
            connections.iter_mut().enumerate().filter(|(place, _)| ready.get(*place) == Some(&true))
        {
            let length = asked.stream.read(&mut chunk).unwrap_or(0);
            if length == 0 {
                gone.push(place);
            }
            let octets = chunk.get(..length).unwrap_or_default();
            asked.buffer.extend_from_slice(octets);
            group.extend_from_slice(octets);
            if let Ok(Some(_)) = asked.codec.decode(&mut asked.buffer) {
                whole.push(place);
            }
        }
        if !group.is_empty() {
            file.write_all(&group)?;
            file.sync_data()?;
        }
        for asked in whole.into_iter().filter_map(|place| connections.get(place)) {
            (&asked.stream).write_all(&answer)?;
        }
        for place in gone.into_iter().rev() {
            connections.swap_remove(place);
        }
        if ready.last() == Some(&true) {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nodelay(true)?;
                connections.push(Asked { stream, codec: Policy::default(), buffer: BytesMut::new() });
            }
        }
    }
}
