//! Listening sockets: TCP, and Unix sockets with an owner's care for the file.
//!
//! Knows: addresses, paths, modes, groups. Must not know: what is spoken on them.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Group;
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::busy::Detach;
use crate::config::Endpoint;

/// Connections that the kernel keeps for us until they are accepted: more than the smtpd processes of an MTA that
/// all come back in the moment in which we are restarted.
const BACKLOG: i32 = 1024;

/// Whoever may not write to a Unix socket can't connect: by default its owner and its group may.
const MODE: u32 = 0o660;

/// Why a listener could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The key of the configuration.
    pub key: &'static str,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What stands in the way.
    pub fault: BindFault,
}

/// What stands in the way of a listener.
#[derive(Debug)]
pub enum BindFault {
    /// Another program listens there.
    InUse,
    /// The path names something that is no socket; it is not ours to remove.
    NotASocket,
    /// The group that the socket shall belong to doesn't exist.
    NoSuchGroup {
        /// Its name.
        group: String,
    },
    /// The group can't be given the socket: only root, or a member of the group, can.
    NotInGroup {
        /// Its name.
        group: String,
    },
    /// The system refused.
    Refused(io::Error),
}

impl From<io::Error> for BindFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => BindFault::InUse,
            _ => BindFault::Refused(error),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot listen on {}: {}", self.key, self.endpoint, self.fault)
    }
}

impl std::error::Error for BindError {}

impl fmt::Display for BindFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindFault::InUse => f.write_str("another program listens there; stop it or choose another place"),
            BindFault::NotASocket => {
                f.write_str("a file that is no socket has this name; remove it or choose another name")
            }
            BindFault::NoSuchGroup { group } => {
                write!(f, "there is no group '{group}'; create it or change socket-group")
            }
            BindFault::NotInGroup { group } => {
                write!(
                    f,
                    "not allowed to give the socket to group '{group}'; make the daemon's user a member of it"
                )
            }
            BindFault::Refused(error) => error.fmt(f),
        }
    }
}

/// Binds a TCP listener, not yet handed to tokio.
///
/// # Errors
/// What stands in the way.
pub fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindFault> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Without it, connections of the daemon before us that linger in TIME_WAIT would keep us from starting.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A TCP socket that listens already, not yet handed to tokio.
///
/// # Errors
/// What the system said.
pub(super) fn adopt_tcp(listener: TcpListener) -> Result<TcpListener, BindFault> {
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Binds a Unix socket, not yet handed to tokio. It can be connected to only when mode and group are right. A file
/// left behind by a daemon that died is replaced; one on which somebody listens is not.
///
/// # Errors
/// What stands in the way.
pub fn bind_unix(
    path: &Path,
    mode: Option<u32>,
    group: Option<&str>,
) -> Result<(UnixListener, SocketFile), BindFault> {
    let group = group.map(|name| Ok::<_, BindFault>((name, group_id(name)?))).transpose()?;
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode.unwrap_or(MODE)))?;
    if let Some((name, id)) = group {
        std::os::unix::fs::chown(path, None, Some(id)).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => BindFault::NotInGroup { group: name.to_owned() },
            _ => BindFault::Refused(error),
        })?;
    }
    // Until here every connect was refused: nobody got in while the file still had the mode of the umask.
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), file))
}

fn group_id(name: &str) -> Result<u32, BindFault> {
    let group = Group::from_name(name).map_err(io::Error::from)?;
    let group = group.ok_or_else(|| BindFault::NoSuchGroup { group: name.to_owned() })?;
    Ok(group.gid.as_raw())
}

/// Removes the socket of a daemon that is gone. Only a refused connection proves that nobody listens.
fn remove_stale(path: &Path) -> Result<(), BindFault> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(there) if !there.file_type().is_socket() => return Err(BindFault::NotASocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindFault::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        // Its queue is full: somebody is there, only slow.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(BindFault::InUse),
        Err(error) => Err(error.into()),
    }
}

/// The file of a Unix socket. Dropping it removes the file, unless another daemon has put its own there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The socket that was just bound at `path`.
    ///
    /// # Errors
    /// It is gone already.
    pub fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |file: &fs::Metadata| file.dev() == self.device && file.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(|file| ours(&file)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A listener within the runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener, SocketFile),
}

/// A connection of either family.
pub(super) enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    pub(super) fn tcp(listener: TcpListener) -> Result<Self, BindFault> {
        Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?))
    }

    pub(super) fn unix(listener: UnixListener, file: SocketFile) -> Result<Self, BindFault> {
        Ok(Listener::Unix(tokio::net::UnixListener::from_std(listener)?, file))
    }

    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok().map(Endpoint::Tcp),
            Listener::Unix(_, file) => Some(Endpoint::Unix(file.path().to_owned())),
        }
    }

    /// The next connection, and where it comes from unless it comes over a Unix socket.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, source) = listener.accept().await?;
                // An answer is one small write; held back by Nagle's algorithm it would wait for the peer's ack.
                let _ = stream.set_nodelay(true);
                // A mail server whose host lost its power ends nothing: what it told us of, such as open SMTP sessions, must not stay for
                // as long as one that lives may be silent.
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive());
                Ok((Stream::Tcp(stream), Some(source.ip())))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

impl Detach for tokio::net::TcpStream {
    fn detach(self) -> io::Result<Socket> {
        self.into_std().map(Socket::from)
    }

    fn attach(socket: Socket) -> io::Result<Self> {
        Self::from_std(socket.into())
    }
}

impl Detach for tokio::net::UnixStream {
    fn detach(self) -> io::Result<Socket> {
        self.into_std().map(Socket::from)
    }

    fn attach(socket: Socket) -> io::Result<Self> {
        Self::from_std(socket.into())
    }
}

/// Within a minute and a half it shows that there is nobody any more.
fn keepalive() -> TcpKeepalive {
    let (after, each) = (Duration::from_secs(60), Duration::from_secs(10));
    TcpKeepalive::new().with_time(after).with_interval(each).with_retries(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::Tcp(listener);
        let (accepted, _peer) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(address));
        let (Stream::Tcp(stream), _) = accepted.unwrap() else { panic!("a TCP connection") };
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_unix_socket_has_the_mode_that_was_asked_for_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let (_first, _file) = bind_unix(&dir.path().join("a"), None, None).unwrap();
        let (_second, _other) = bind_unix(&dir.path().join("b"), Some(0o666), None).unwrap();
        assert_eq!(mode_of(&dir.path().join("a")), 0o660);
        assert_eq!(mode_of(&dir.path().join("b")), 0o666);
    }

    #[test]
    fn a_socket_left_behind_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        bind_unix(&path, None, None).unwrap();
    }

    #[test]
    fn a_socket_on_which_somebody_listens_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (_listener, _file) = bind_unix(&path, None, None).unwrap();
        assert!(matches!(bind_unix(&path, None, None), Err(BindFault::InUse)));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(bind_unix(&path, None, None), Err(BindFault::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn the_file_goes_with_the_listener_but_never_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (_listener, file) = bind_unix(&path, None, None).unwrap();
        // The other file is made while ours still exists, so that it can't be given our inode number.
        let (_other, others) = bind_unix(&dir.path().join("t"), None, None).unwrap();
        fs::rename(others.path(), &path).unwrap();
        drop(file);
        assert!(path.exists());

        let (_listener, file) = bind_unix(&dir.path().join("u"), None, None).unwrap();
        drop(file);
        assert!(!dir.path().join("u").exists());
    }

    #[test]
    fn a_group_that_does_not_exist_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let fault = bind_unix(&dir.path().join("s"), None, Some("no-such-group")).unwrap_err();
        assert_eq!(fault.to_string(), "there is no group 'no-such-group'; create it or change socket-group");
        assert!(!dir.path().join("s").exists());
    }

    #[test]
    fn an_address_in_use_is_said_with_key_and_endpoint() {
        let first = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let fault = bind_tcp(address).unwrap_err();
        let error = BindError { key: "policy.listen", endpoint: Endpoint::Tcp(address), fault };
        assert_eq!(
            error.to_string(),
            format!(
                "policy.listen: cannot listen on {address}: another program listens there; stop it or choose another place"
            )
        );
    }
}
