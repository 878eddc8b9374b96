//! The command line's way to the daemon: finds its Unix socket, asks, and turns refusals into exit codes.
//!
//! Knows: HTTP over a Unix socket, where sockets are found. Must not know: what any question means.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::http::response::Parts;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Exit;
use super::output::safe;
use crate::server::http::problem::{Kind, Problem};
use crate::server::http::walk::LOST_FROM;

/// The configuration of an installed package.
pub const DEFAULT_CONFIG: &str = "/etc/relaywarden/relaywarden.toml";
/// The socket when nothing else says where it is.
const DEFAULT_SOCKET: &str = "/run/relaywarden/api.sock";
/// The daemon gives up on a question before this.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The largest answer is a hundred thousand rows; a peer that sends more is not our daemon.
const ANSWER_OCTETS_MAX: usize = 512 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// The configuration that names the socket can't be used.
    Config(PathBuf, ConfigFault),
    /// Nobody listens there.
    NotThere(PathBuf),
    /// The socket's owner, group and mode keep us out.
    NotPermitted(PathBuf),
    /// The connection broke.
    Broken(PathBuf, String),
    /// No answer came in time.
    TimedOut,
    /// The answer is not what our daemon would say.
    NotUnderstood(String),
    /// The daemon refused, and said why.
    Refused(Box<Problem>),
}

/// What is wrong with the configuration, as far as the socket is concerned.
#[derive(Debug)]
pub enum ConfigFault {
    /// It can't be read.
    Unreadable(io::Error),
    /// It is not TOML.
    NotToml(toml::de::Error),
    /// `[http] socket` is no string.
    NotAPath,
}

impl ClientError {
    /// The exit code it stands for.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ClientError::Config(_, ConfigFault::Unreadable(error))
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::NotPermitted
            }
            ClientError::Config(..) => Exit::Config,
            ClientError::NotThere(_) => Exit::Unavailable,
            ClientError::NotPermitted(_) => Exit::NotPermitted,
            ClientError::Broken(..) => Exit::InputOutput,
            ClientError::TimedOut => Exit::TryAgain,
            ClientError::NotUnderstood(_) => Exit::Unavailable,
            ClientError::Refused(problem) => exit_of(problem),
        }
    }
}

fn exit_of(problem: &Problem) -> Exit {
    match problem.kind() {
        Some(
            Kind::BadParameter
            | Kind::BadBody
            | Kind::BodyTooLarge
            | Kind::StaticRange
            | Kind::PurposeRequired
            | Kind::TooManyTokens,
        ) => Exit::Usage,
        Some(
            Kind::UnknownSubject
            | Kind::UnknownRealm
            | Kind::NotSuspended
            | Kind::UnknownNas
            | Kind::NotHeld
            | Kind::NotResolved
            | Kind::UnknownCase
            | Kind::CaseClosed
            | Kind::UnknownRule
            | Kind::UnknownNotice
            | Kind::UnknownToken
            | Kind::NotPreserved,
        ) => Exit::NothingFound,
        Some(Kind::NotPermitted | Kind::NoToken | Kind::BadToken | Kind::WrongHost | Kind::CrossSite) => {
            Exit::NotPermitted
        }
        Some(Kind::TooManyAttempts | Kind::Unrecorded | Kind::Storage | Kind::TooSlow | Kind::NotReady) => {
            Exit::TryAgain
        }
        Some(Kind::Damaged) => Exit::Damaged,
        // A daemon of another version.
        Some(Kind::NoSuchPath | Kind::NoSuchMethod) | None => Exit::Unavailable,
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Config(path, fault) => {
                write!(f, "{}: ", path.display())?;
                match fault {
                    ConfigFault::Unreadable(error) => {
                        write!(f, "{error}; name the socket itself with --socket")
                    }
                    ConfigFault::NotToml(error) => write!(f, "{error}"),
                    ConfigFault::NotAPath => write!(f, "socket in [http] is not a string"),
                }
            }
            ClientError::NotThere(path) => write!(
                f,
                "no daemon answers at {}; start it (systemctl start relaywarden), or name its socket with --socket, \
                 RELAYWARDEN_SOCKET or --config",
                path.display()
            ),
            ClientError::NotPermitted(path) => write!(
                f,
                "{}: permission denied; join the group of the socket, or ask as a user who is in it",
                path.display()
            ),
            ClientError::Broken(path, error) => {
                write!(
                    f,
                    "{}: the connection broke ({}); look into the daemon's log",
                    path.display(),
                    safe(error)
                )
            }
            ClientError::TimedOut => {
                write!(f, "no answer within {} s; narrow the question, or try again", ANSWER_WITHIN.as_secs())
            }
            ClientError::NotUnderstood(error) => write!(
                f,
                "the answer can't be understood ({}); is the daemon of the same version?",
                safe(error)
            ),
            ClientError::Refused(problem) => {
                write!(f, "{}", safe(&problem.title))?;
                if let Some(parameter) = &problem.parameter {
                    write!(f, ": {}", safe(parameter))?;
                }
                write!(f, ": {}", safe(&problem.detail))
            }
        }
    }
}

impl std::error::Error for ClientError {}

/// Finds the daemon's socket: the option, then the environment, then the configuration, then where packages put it.
///
/// # Errors
/// A configuration was named and does not help.
pub fn find_socket(
    option: Option<&Path>,
    environment: Option<&Path>,
    config: Option<&Path>,
) -> Result<PathBuf, ClientError> {
    if let Some(path) = option.or(environment.filter(|_| config.is_none())) {
        return Ok(path.to_owned());
    }
    let named = config.is_some();
    let path = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    match socket_in(path) {
        Ok(socket) => Ok(socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))),
        // Staff may talk to the daemon without being allowed to read its secrets.
        Err(ConfigFault::Unreadable(_)) if !named => Ok(PathBuf::from(DEFAULT_SOCKET)),
        Err(fault) => Err(ClientError::Config(path.to_owned(), fault)),
    }
}

/// `[http] socket`, and nothing else: whether the rest is right is the daemon's business.
fn socket_in(path: &Path) -> Result<Option<PathBuf>, ConfigFault> {
    let text = std::fs::read_to_string(path).map_err(ConfigFault::Unreadable)?;
    let table: toml::Table = text.parse().map_err(ConfigFault::NotToml)?;
    let Some(value) = table.get("http").and_then(|http| http.get("socket")) else { return Ok(None) };
    let socket = value.as_str().ok_or(ConfigFault::NotAPath)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    // An absolute path replaces what it is joined to.
    Ok(Some(beside.join(socket)))
}

/// Asks the daemon at one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon at this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Client { socket }
    }

    /// Asks a question.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        self.exchange(Method::GET, &target(path, query), Vec::new())
    }

    /// Asks for a list: its rows, and from when on a part of the past is lost, so that some may be missing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn ask_list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(Vec<T>, Option<String>), ClientError> {
        let (answer, lost_from) = self.answer(Method::GET, &target(path, query), Vec::new())?;
        Ok((understood(&answer)?, lost_from))
    }

    /// Asks a question that is answered in lines.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn ask_lines<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        let answer = self.octets(Method::GET, path, Vec::new())?;
        let lines = answer.split(|&octet| octet == b'\n').filter(|line| !line.is_empty());
        lines.map(understood).collect()
    }

    /// Gives an order.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn order<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        self.exchange(Method::POST, path, body)
    }

    /// Hands something in that is a question, too.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn hand_in<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        self.exchange(Method::POST, &target(path, query), body)
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        understood(&self.octets(method, target, body)?)
    }

    /// The body of an answer that is none of a refusal.
    fn octets(&self, method: Method, target: &str, body: Vec<u8>) -> Result<Bytes, ClientError> {
        Ok(self.answer(method, target, body)?.0)
    }

    /// The same, and from when on it may lack something.
    fn answer(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<(Bytes, Option<String>), ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.broken(&error))?;
        let exchange = async { tokio::time::timeout(ANSWER_WITHIN, self.talk(method, target, body)).await };
        let (head, answer) = runtime.block_on(exchange).map_err(|_| ClientError::TimedOut)??;
        if head.status == StatusCode::OK {
            let lost_from = head.headers.get(LOST_FROM).and_then(|value| value.to_str().ok());
            return Ok((answer, lost_from.map(str::to_owned)));
        }
        Err(ClientError::Refused(Box::new(understood(&answer)?)))
    }

    async fn talk(&self, method: Method, target: &str, body: Vec<u8>) -> Result<(Parts, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted(self.socket.clone()),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotThere(self.socket.clone())
            }
            _ => self.broken(&error),
        })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        // It ends with the exchange; what goes wrong on it is reported by the exchange.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_OCTETS_MAX).collect().await;
        let body = body.map_err(|error| ClientError::Broken(self.socket.clone(), error.to_string()))?;
        Ok((head, body.to_bytes()))
    }

    fn broken(&self, error: &dyn std::error::Error) -> ClientError {
        ClientError::Broken(self.socket.clone(), error.to_string())
    }
}

fn understood<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::NotUnderstood(error.to_string()))
}

fn target(path: &str, query: &[(&str, String)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// RFC 3986, 2.1: everything but the unreserved characters as `%` and two hex digits.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            text.push(char::from(octet));
        } else {
            text.push_str(&format!("%{octet:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_parameter() {
        assert_eq!(encoded("a&b=c d+é"), "a%26b%3Dc%20d%2B%C3%A9");
    }

    #[test]
    fn the_option_beats_the_configuration_and_the_configuration_beats_the_environment() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("relaywarden.toml");
        std::fs::write(&config, "[http]\nsocket = \"/run/x.sock\"\n").expect("it can be written");
        let (option, environment) = (Some(Path::new("/o")), Some(Path::new("/e")));
        let find = |o, e, c| find_socket(o, e, c).expect("all are usable");
        assert_eq!(find(option, environment, Some(&config)), Path::new("/o"));
        assert_eq!(find(None, environment, Some(&config)), Path::new("/run/x.sock"));
        assert_eq!(find(None, environment, None), Path::new("/e"));
    }

    #[test]
    fn a_relative_socket_lies_beside_its_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("relaywarden.toml");
        std::fs::write(&config, "[http]\nsocket = \"api.sock\"\n").expect("it can be written");
        assert_eq!(find_socket(None, None, Some(&config)).expect("usable"), dir.path().join("api.sock"));
    }

    #[test]
    fn a_configuration_that_was_named_must_help() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("relaywarden.toml");
        let missing = find_socket(None, None, Some(&config)).expect_err("there is none");
        assert_eq!(missing.exit(), Exit::Config);
        std::fs::write(&config, "[http]\nsocket = 7\n").expect("it can be written");
        assert!(matches!(
            find_socket(None, None, Some(&config)),
            Err(ClientError::Config(_, ConfigFault::NotAPath))
        ));
    }
}
