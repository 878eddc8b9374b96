//! The configuration as a value that can't be wrong: whoever holds a `Config` need not check it again.
//!
//! Knows: every key, its unit, default and effect. Must not know: sockets, or anything a daemon does with it. It
//! reads the files that the configuration names (secrets, the list of prefixes) only through a function it is handed.

pub mod fault;
pub mod file;
mod prefixes;
mod table;
mod value;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::session::Name;
use crate::session::event::Rules;
use crate::session::identity::Canonical;

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Log, snapshots, audit index, keys.
    pub data_dir: PathBuf,
    /// `[radius]`.
    pub radius: Radius,
    /// `[subscriber]`.
    pub identity: Identity,
    /// `prefixes` of `[subscriber]`, in order of prefixes, each once.
    pub prefixes: Vec<Listed>,
    /// `[session]`.
    pub rules: Rules,
    /// `[relay]`.
    pub relay: Relay,
    /// `[[mta]]`: who may ask over TCP from another host.
    pub mtas: Vec<Mta>,
    /// `[socketmap]`.
    pub socketmap: Listeners,
    /// `[policy]`.
    pub policy: Policy,
    /// `[http]`.
    pub http: Http,
}

/// `[radius]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Radius {
    /// UDP sockets.
    pub listen: Vec<SocketAddr>,
    /// `[[radius.client]]`, longest prefix first.
    pub clients: Vec<Client>,
}

/// `[[radius.client]]`: whose secret we hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its name in output and in the log.
    pub name: Name,
    /// Source addresses that share the secret.
    pub address: IpNet,
    /// At least eight octets.
    pub secret: Secret,
    /// Prefixes it may assign; empty: everything.
    pub may_assign: Vec<IpNet>,
    /// How its NASes are told apart.
    pub nas: NasIdentity,
    /// Stop and Start instead of interim updates.
    pub stop_start: bool,
}

/// How the NAS behind a packet is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NasIdentity {
    /// `nas = "source"`: each source address is a NAS.
    #[default]
    Source,
    /// `nas = "client"`: all source addresses are one.
    Client,
    /// `role = "proxy"`: NAS-Identifier, else NAS-IP-Address or NAS-IPv6-Address names it.
    Attributes,
}

/// `[subscriber]`
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Attributes by which the subscriber is named; the first present wins.
    pub chain: Vec<AttributeId>,
    /// The form names are brought into.
    pub canonical: Canonical,
}

/// A line of `prefixes`: what no accounting record carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose, in canonical form.
    pub subscriber: Name,
    /// What.
    pub prefix: IpNet,
    /// And when.
    pub when: When,
}

/// When a listed prefix is its subscriber's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At all times, as one in `static` of `[relay]`.
    Always,
    /// While the subscriber has a session.
    Online,
}

/// An attribute by number: (0, type) in the standard space, (vendor, type) in a vendor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttributeId {
    /// Private enterprise number; 0 for the standard space.
    pub vendor: u32,
    /// Type within the space.
    pub number: u32,
}

impl fmt::Display for AttributeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vendor {
            0 => self.number.fmt(f),
            // RFC 2865, 5.26: vendors' attributes are within attribute 26.
            vendor => write!(f, "26.{vendor}.{}", self.number),
        }
    }
}

/// `[relay]`
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    /// `mode = "observe"`: nothing is permitted nor refused by us.
    pub observe: bool,
    /// `unrecorded = "permit"`: a message that can't be recorded now passes all the same.
    pub permit_unrecorded: bool,
    /// Never bound, never permitted.
    pub never: Vec<IpNet>,
    /// Prefixes that always belong to the same subscriber.
    pub statics: Vec<(IpNet, Name)>,
    /// `authenticated = "permit"`: a SASL login may relay from anywhere.
    pub permit_authenticated: bool,
}

/// `[[mta]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Mta {
    /// Its name in output and in the log.
    pub name: Name,
    /// Source addresses it asks from.
    pub address: IpNet,
}

/// One place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[socketmap]`, and the sockets of `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listeners {
    /// Where to listen.
    pub listen: Vec<Endpoint>,
    /// `socket-mode` of the Unix sockets.
    pub mode: Option<u32>,
    /// `socket-group` of the Unix sockets.
    pub group: Option<String>,
}

/// `[policy]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Where to listen.
    pub listeners: Listeners,
    /// `header`: name of the header that carries the token, asked for at DATA; `None`: no header.
    pub header: Option<String>,
    /// `contact`: how a suspended customer reaches somebody (a link or a telephone number), appended to refusals.
    pub contact: Option<String>,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Http {
    /// The command line's way in.
    pub socket: PathBuf,
    /// `socket-mode`, 0660 by default.
    pub mode: u32,
    /// `socket-group`.
    pub group: Option<String>,
    /// TCP: health and metrics.
    pub listen: Vec<SocketAddr>,
}

/// A shared secret. Its `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the octets; whoever parses the configuration has checked their number.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Secret(octets.into())
    }

    /// The octets, for the authenticators only.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Radius {
    /// The client a source address belongs to: longest prefix first.
    #[must_use]
    pub fn client(&self, source: IpAddr) -> Option<&Client> {
        self.clients.iter().find(|client| client.address.contains(&source))
    }
}
