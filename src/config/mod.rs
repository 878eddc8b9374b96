//! The configuration as a value that can't be wrong: whoever holds a `Config` need not check it again.
//!
//! Knows: every key, its unit, default and effect. Must not know: sockets, or anything a daemon does with it. It
//! reads the files that the configuration names (secrets) only through a function it is handed.

pub mod fault;
pub mod file;
mod table;
mod value;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use glob::Pattern;
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
    /// `[[radius.detail]]`.
    pub details: Vec<Detail>,
}

/// `[[radius.detail]]`: files that a FreeRADIUS writes, and we follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// Where they are: in it, and one level below.
    pub directory: PathBuf,
    /// The client by whose rules they are read; it exists.
    pub client: Name,
    /// `files`: which names count, `detail*` by default.
    pub files: Pattern,
    /// Whether a file that was read wholly is deleted when there is a newer one beside it.
    pub remove: bool,
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
    /// `[[nas]]`: NASes behind it that have settings of their own. Only a proxy has some.
    pub nases: Vec<Nas>,
}

/// `[[nas]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Nas {
    /// The NAS-Identifier it is known by.
    pub identifier: Option<Name>,
    /// The address it is known by where no identifier is. One of the two is there.
    pub address: Option<IpAddr>,
    /// Its name in output and in the log; by default made of its client's and of what it is known by.
    pub name: Option<Name>,
    /// Prefixes it may assign; empty: those of its client.
    pub may_assign: Vec<IpNet>,
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

impl Client {
    /// The NAS behind this proxy that has this NAS-Identifier, else the one that has this address.
    #[must_use]
    pub fn nas_behind(&self, identifier: Option<&[u8]>, address: Option<IpAddr>) -> Option<&Nas> {
        let called = |nas: &&Nas| nas.identifier.as_ref().is_some_and(|own| Some(own.octets()) == identifier);
        let placed = |nas: &&Nas| nas.address.is_some() && nas.address == address;
        self.nases.iter().find(called).or_else(|| self.nases.iter().find(placed))
    }

    /// What this NAS of its may assign; `None`: nothing, because it is not listed and the proxy itself has no pools.
    #[must_use]
    pub fn may_assign<'a>(&'a self, nas: Option<&'a Nas>) -> Option<&'a [IpNet]> {
        let own = nas.map(|nas| nas.may_assign.as_slice()).filter(|own| !own.is_empty());
        let known = self.nas != NasIdentity::Attributes || !self.may_assign.is_empty();
        own.or_else(|| known.then_some(self.may_assign.as_slice()))
    }

    /// Everything that may be assigned through it; empty: any prefix.
    #[must_use]
    pub fn pools(&self) -> Vec<IpNet> {
        self.may_assign.iter().chain(self.nases.iter().flat_map(|nas| &nas.may_assign)).copied().collect()
    }
}
