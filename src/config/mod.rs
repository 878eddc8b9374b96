//! The configuration as a value that can't be wrong: whoever holds a `Config` need not check it again.
//!
//! Knows: every key, its unit, default and effect. Must not know: sockets, or anything a daemon does with it. It
//! reads the files that the configuration names (secrets, the list of prefixes) only through a function it is handed, and
//! leaves dictionaries to whoever understands them.

pub mod attribute;
mod coa;
mod dnsbl;
pub mod fault;
pub mod file;
mod limit;
mod lines;
mod logins;
mod nat;
mod notice;
mod prefixes;
mod realm;
mod rule;
mod scanned;
mod subscriber;
mod table;
mod trend;
mod value;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use glob::Pattern;
use ipnet::IpNet;
use jiff::tz::TimeZone;

pub use self::attribute::{AttributePath, Envelope, VendorFormat};
pub use self::coa::{Coa, Most, Reached, Request};
pub use self::dnsbl::{BlockList, Dnsbl, Sample};
pub use self::logins::Logins;
pub use self::notice::{NoticeFault, Receiver, Way};
pub use self::realm::{RealmAttribute, RealmForm};
use crate::relay::limit::Limit;
use crate::relay::trend::Thresholds;
use crate::relay::within::By;
use crate::relay::{Profile, rule as case_rules, scanner};
use crate::session::Name;
use crate::session::event::{Rules, Translation};
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
    /// `subscriber.many-sessions`: so many sessions of one subscriber are worth a look; zero: never.
    pub many_sessions: u32,
    /// `[relay]`.
    pub relay: Relay,
    /// `[[limit]]`, in their order.
    pub limits: Vec<Limit>,
    /// `[[nat]]`: translators whose blocks of ports follow from the inside address.
    pub translations: Vec<Translation>,
    /// `[[mta]]`: who may ask over TCP from another host.
    pub mtas: Vec<Mta>,
    /// `[socketmap]`.
    pub socketmap: Listeners,
    /// `[policy]`.
    pub policy: Policy,
    /// `[milter]`.
    pub milter: Milter,
    /// `[scanned]`: what scanners say, and what of it counts.
    pub scanned: scanner::Rules,
    /// `[http]`.
    pub http: Http,
    /// `[retention]`.
    pub retention: Retention,
    /// `[trend]`: from where on it is a signal what a sender does.
    pub trend: Thresholds,
    /// `[audit] require-purpose`: no question about a person without one.
    pub require_purpose: bool,
    /// `[room]`: how much there is for what comes and goes.
    pub room: Room,
    /// `[rules]` and `[[rule]]`: what acts alone on cases.
    pub case_rules: case_rules::Rules,
    /// `[watch.dnsbl]`; `None`: no list is asked.
    pub dnsbl: Option<Dnsbl>,
    /// `[coa]`: what the access side is told.
    pub coa: Coa,
    /// `[logins]`: whose logins are.
    pub logins: Logins,
    /// `[[notice]]`: who is told of what.
    pub notices: Vec<Receiver>,
}

/// `[room]`: how many may be in memory of what comes and goes, beside the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Requests and entries that wait to become durable.
    pub requests: u32,
    /// Requests of each listener that are remembered, for their repetitions.
    pub remembered: u32,
    /// Mail servers' connections.
    pub connections: u32,
    /// Outcomes that wait to be written to the past.
    pub past: u32,
}

impl Default for Room {
    /// A second's worth of a storm waits; what is remembered reaches back thirty seconds at two thousand requests a second.
    fn default() -> Self {
        Room { requests: 100_000, remembered: 65_536, connections: 20_000, past: 2_000_000 }
    }
}

/// `[retention]`: how long the past is kept. There is no default: the law differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Who had which address, after the end of the session.
    pub sessions: Duration,
    /// Messages.
    pub messages: Duration,
    /// What staff asked and ordered.
    pub questions: Duration,
}

impl Retention {
    /// Everything for as long.
    #[must_use]
    pub const fn of_all(kept: Duration) -> Retention {
        Retention { sessions: kept, messages: kept, questions: kept }
    }
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
    /// Where its private addresses lie; `None`: each record says it by its VRF.
    pub realm: Option<NamedRealm>,
    /// By what a record says it, the first that it has; empty: by nothing, everything is in the public space.
    pub realm_attributes: Vec<RealmAttribute>,
    /// NASes of one group take each other's sessions over.
    pub group: Option<Name>,
    /// Each record lists everything that its session has.
    pub snapshot: bool,
    /// Framed-IP-Netmask is the subscriber's own subnet.
    pub routed_netmask: bool,
    /// Its translators give each subscriber a public address of its own, named by an attribute that elsewhere names
    /// shared ones, too.
    pub one_to_one: bool,
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
    /// Where its private addresses lie; `None`: where its client says.
    pub realm: Option<NamedRealm>,
}

impl Client {
    /// A client of which no more is said than this.
    #[must_use]
    pub fn new(name: Name, address: IpNet, secret: Secret) -> Self {
        Client {
            name,
            address,
            secret,
            may_assign: Vec::new(),
            nas: NasIdentity::default(),
            stop_start: false,
            realm: None,
            realm_attributes: RealmAttribute::usual(),
            group: None,
            snapshot: false,
            routed_netmask: false,
            one_to_one: false,
            nases: Vec::new(),
        }
    }

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

/// An address space as a key `realm` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedRealm {
    /// `"public"`: the one in which an address means the same to everybody.
    Public,
    /// The private addresses of a VRF, spelled as its NASes spell it.
    Vrf(Name),
}

impl NamedRealm {
    /// The VRF, unless it is the public space.
    #[must_use]
    pub fn vrf(&self) -> Option<&Name> {
        match self {
            NamedRealm::Public => None,
            NamedRealm::Vrf(name) => Some(name),
        }
    }
}

impl fmt::Display for NamedRealm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedRealm::Public => f.write_str("public"),
            NamedRealm::Vrf(name) => name.fmt(f),
        }
    }
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
    pub chain: Vec<AttributePath>,
    /// The form names are brought into.
    pub canonical: Canonical,
    /// Canonical names that many share, so that they name nobody.
    pub shared_names: Vec<Name>,
    /// Further attributes that are kept with each session, under the names they were asked for by.
    pub keep: Vec<(Name, AttributePath)>,
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

impl Identity {
    /// A chain and the form of its names; nothing shared, nothing kept.
    #[must_use]
    pub fn new(chain: Vec<AttributePath>, canonical: Canonical) -> Self {
        Identity { chain, canonical, shared_names: Vec::new(), keep: Vec::new() }
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
    /// Subscribers of static prefixes within whom senders are told apart.
    pub within: Vec<(Name, By)>,
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
    /// Where the private addresses that it tells of lie; `None`: as its listener says.
    pub realm: Option<NamedRealm>,
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
    /// Where the private addresses lie that are asked for here; `None`: in the public space.
    pub realm: Option<NamedRealm>,
}

impl Listeners {
    /// Whether the same sockets are listened on, whatever is made of what comes.
    #[must_use]
    pub fn same_sockets(&self, other: &Listeners) -> bool {
        (&self.listen, self.mode, &self.group) == (&other.listen, other.mode, &other.group)
    }
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

/// `[milter]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Milter {
    /// Where to listen; nowhere unless it is said.
    pub listeners: Listeners,
    /// `profile`: messages are let go, refused and written down by it; `None`: only what scanners wrote is read.
    pub profile: Option<Profile>,
    /// `message-ids`: Message-IDs of messages that are written down are, too; each is an entry more.
    pub message_ids: bool,
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
    /// `viewers-group`: whoever is in it may look things up.
    pub viewers: Option<String>,
    /// `operators-group`: whoever is in it may give orders, too.
    pub operators: Option<String>,
    /// `auditors-group`: whoever is in it may read who asked what, too.
    pub auditors: Option<String>,
    /// TCP: health and metrics for anybody, the rest with a token.
    pub listen: Vec<SocketAddr>,
    /// Names under which browsers reach it, beside those of this host.
    pub names: Vec<String>,
    /// `time-zone`: in which the pages tell times; `None`: the host's.
    pub zone: Option<TimeZone>,
    /// `url`: where people find the pages, without a slash at its end; it stands in links.
    pub url: Option<String>,
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
