//! Sockets under the HTTP API: the Unix socket with its owner and mode, accept loops with limits, stop in two phases.
//!
//! Knows: file system and sockets, and who is at the other end of a Unix socket. Must not know: any path of the API.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::unistd::{Gid, Group, Uid};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::UCred;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::Peer;
use super::auth::Source;
use super::peers::Peers;

/// A request's head arrives within this; an idle connection is closed after it, too.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Octets of a head, and of what is buffered of a connection.
const HEAD_OCTETS_MAX: usize = 16 * 1024;
/// Header fields of a head.
const HEADERS_MAX: usize = 64;
/// Connections at once per listener; the next ones wait in the kernel.
const CONNECTIONS_MAX: usize = 256;
/// After stop, requests in hand have this long.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// Nobody needs one connection for longer; a peer that never reads its answer gives its place back.
const CONNECTION_WITHIN: Duration = Duration::from_secs(120);
/// The user database has this long to name a user; it may be in the network.
const NAME_WITHIN: Duration = Duration::from_secs(2);
/// Pause after a failed accept: when descriptors run out, trying again at once only burns the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a Unix socket can't be had.
#[derive(Debug)]
pub enum BindError {
    /// Another process listens there.
    InUse(PathBuf),
    /// Something that is no socket has this name; it is not removed.
    NotASocket(PathBuf),
    /// The system knows no such group.
    NoSuchGroup(String),
    /// The system refused.
    Refused(PathBuf, io::Error),
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BindError::InUse(path) => {
                write!(f, "{}: another process listens here; stop it or name another socket", path.display())
            }
            BindError::NotASocket(path) => {
                write!(f, "{}: exists and is not a socket; remove it or name another", path.display())
            }
            BindError::NoSuchGroup(group) => write!(f, "socket-group {group}: there is no such group"),
            BindError::Refused(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds a Unix socket with this mode and group. A socket that a dead process left behind is replaced.
///
/// # Errors
/// See [`BindError`].
pub fn bind_unix(path: &Path, mode: u32, group: Option<&str>) -> Result<UnixListener, BindError> {
    let refused = |error| BindError::Refused(path.to_owned(), error);
    let gid = group.map(find_group).transpose()?;
    remove_stale(path)?;
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    if let Some(gid) = gid {
        nix::unistd::chown(path, None, Some(gid)).map_err(|errno| refused(errno.into()))?;
    }
    // The mode comes last: connecting needs the right to write, and until here the umask keeps it from others.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(refused)?;
    UnixListener::from_std(listener).map_err(refused)
}

fn find_group(name: &str) -> Result<Gid, BindError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(BindError::NoSuchGroup(name.to_owned())),
    }
}

/// Removes a socket on which nobody listens. Anything else of that name stays.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let refused = |error| BindError::Refused(path.to_owned(), error);
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(refused)?;
    // Without waiting: a daemon that hangs with a full backlog still listens, and must not hang us.
    probe.set_nonblocking(true).map_err(refused)?;
    match probe.connect(&SockAddr::unix(path).map_err(refused)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(refused)
        }
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(refused(error)),
        Ok(()) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

/// Serves staff over a Unix socket until `stop` turns true. Each connection knows its Unix user.
pub async fn serve_unix(
    listener: UnixListener,
    router: Router,
    peers: Arc<Peers>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = Connections::new(stop);
    while let Some(permit) = connections.room().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut connections.stop) => break,
        };
        match accepted {
            Ok((stream, _)) => connections.open_named(stream, router.clone(), Arc::clone(&peers), permit),
            Err(error) => pause_after(&error).await,
        }
    }
    connections.finish().await;
}

/// Serves whoever comes over TCP until `stop` turns true.
pub async fn serve_tcp(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    let mut connections = Connections::new(stop);
    while let Some(permit) = connections.room().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut connections.stop) => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let router = router.clone().layer(Extension(Source(from.ip().to_canonical())));
                connections.open(stream, router, permit);
            }
            Err(error) => pause_after(&error).await,
        }
    }
    connections.finish().await;
}

async fn pause_after(error: &io::Error) {
    warn!(%error, "HTTP: accept failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Returns once stop is said, or nobody is left who could say it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}

/// The open connections of one listener.
struct Connections {
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Connections {
    fn new(stop: watch::Receiver<bool>) -> Self {
        Connections { tasks: JoinSet::new(), room: Arc::new(Semaphore::new(CONNECTIONS_MAX)), stop }
    }

    /// Waits for room for one more; `None` once stop is said.
    async fn room(&mut self) -> Option<OwnedSemaphorePermit> {
        while self.tasks.try_join_next().is_some() {}
        tokio::select! {
            permit = Arc::clone(&self.room).acquire_owned() => permit.ok(),
            () = stopped(&mut self.stop) => None,
        }
    }

    fn open_named(
        &mut self,
        stream: UnixStream,
        router: Router,
        peers: Arc<Peers>,
        permit: OwnedSemaphorePermit,
    ) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            match stream.peer_cred() {
                Ok(credentials) => {
                    let router = router.layer(Extension(peer_of(peers, credentials).await));
                    speak(stream, router, stop).await;
                }
                Err(error) => warn!(%error, "HTTP: the kernel does not say who connected"),
            }
            drop(permit);
        });
    }

    fn open<T>(&mut self, stream: T, router: Router, permit: OwnedSemaphorePermit)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            speak(stream, router, stop).await;
            drop(permit);
        });
    }

    /// Second phase: what is in hand is answered, the rest is cut off.
    async fn finish(mut self) {
        let all_done = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_WITHIN, all_done).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Who is at the other end; without a name when the system does not say it in time.
async fn peer_of(peers: Arc<Peers>, credentials: UCred) -> Peer {
    let (user, group) = (Uid::from_raw(credentials.uid()), Gid::from_raw(credentials.gid()));
    let database = Arc::clone(&peers);
    let asking = tokio::task::spawn_blocking(move || database.peer(user, group));
    match tokio::time::timeout(NAME_WITHIN, asking).await {
        Ok(Ok(peer)) => peer,
        _ => peers.unnamed(user, group),
    }
}

async fn speak<T>(stream: T, router: Router, mut stop: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_OCTETS_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        () = stopped(&mut stop) => {}
        () = tokio::time::sleep(CONNECTION_WITHIN) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = tokio::time::timeout(CONNECTION_WITHIN, connection).await {
        note(ended);
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        // Broken requests are answered by hyper itself; a peer that goes away is none of the operator's trouble.
        debug!(%error, "HTTP: connection ended");
    }
}
