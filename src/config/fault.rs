//! What can be wrong with a configuration, where, and what to do about it.
//!
//! Knows: facts about values, lines and columns. Must not know: how values are read.

mod place;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use ipnet::IpNet;

pub(super) use self::place::place;
use super::notice::NoticeFault;
use crate::radius::template;
use crate::session::Name;

/// A configuration that can't be used.
#[derive(Debug)]
pub struct ConfigError {
    /// The configuration file.
    pub file: PathBuf,
    /// Where in it; `None` when it could not be read at all.
    pub place: Option<Place>,
    /// What is wrong.
    pub fault: Box<Fault>,
}

/// Something that works and is still worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The configuration file.
    pub file: PathBuf,
    /// Where in it; `None` when it is about something that isn't there.
    pub place: Option<Place>,
    /// What it is.
    pub caution: Caution,
}

/// A place in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The key with its tables, as `radius.client.address`; `None` where the text isn't TOML.
    pub key: Option<String>,
}

/// What can be wrong.
#[derive(Debug)]
pub enum Fault {
    /// The configuration file can't be read.
    Unreadable(io::Error),
    /// The configuration file isn't text.
    NotUtf8,
    /// It isn't TOML, or holds a key or a type that doesn't belong there.
    Toml(toml::de::Error),
    /// Nothing says how long the past is kept.
    RetentionMissing,
    /// A table lacks a key.
    Missing {
        /// Which.
        key: &'static str,
    },
    /// A text is empty.
    Empty,
    /// Not a time.
    NotADuration {
        /// As written.
        written: String,
    },
    /// Neither a time nor a number of interim intervals.
    NotASpan {
        /// As written.
        written: String,
    },
    /// Not a factor.
    NotAFactor {
        /// As written.
        written: String,
    },
    /// A time outside of what makes sense here.
    DurationOutOfRange {
        /// The least.
        least: &'static str,
        /// The most.
        most: &'static str,
    },
    /// Not an address or prefix.
    NotAPrefix {
        /// As written.
        written: String,
    },
    /// A prefix that isn't spelled as what it is: host bits are set, or it is IPv4 dressed as IPv6.
    PrefixMeans {
        /// As written.
        written: String,
        /// What it says.
        meant: IpNet,
    },
    /// Not an address with a port.
    NotASocketAddress {
        /// As written.
        written: String,
    },
    /// A path that no Unix socket can have.
    PathTooLong {
        /// The most octets it may have.
        limit: usize,
    },
    /// Two listeners in one place.
    ListenTwice {
        /// The key that has it already.
        first: &'static str,
    },
    /// Clients are configured, and nothing that they could speak to.
    ClientsUnheard,
    /// Not one of the words that are known here.
    NotAChoice {
        /// As written.
        written: String,
        /// The words.
        choices: &'static [&'static str],
    },
    /// A name or an address that another table of the same kind has.
    Duplicate {
        /// The line of the other one.
        line: usize,
    },
    /// Both ways to give a secret are used, or none.
    SecretOnce,
    /// A secret that can be guessed from one captured packet.
    SecretTooShort {
        /// Its octets.
        octets: usize,
    },
    /// The secret's file can't be read.
    SecretUnreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file that holds a secret is open to everybody.
    SecretExposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A proxy speaks for anybody, so it must be said what for.
    ProxyWithoutPools,
    /// No client has this name.
    UnknownClient {
        /// As written.
        written: String,
    },
    /// A NAS is said to be behind a client that is no proxy, or there is no proxy at all.
    NotAProxy,
    /// A NAS that can't be told from others.
    NasUnnamed,
    /// Neither a NAS nor the proxy before it has pools.
    NasWithoutPools,
    /// A directory of detail files that another table follows already.
    FollowedTwice {
        /// The line of the other one.
        line: usize,
    },
    /// Not a pattern of file names.
    NotAPattern {
        /// As written.
        written: String,
    },
    /// Not an address.
    NotAnAddress {
        /// As written.
        written: String,
    },
    /// `role` and `nas` both say how NASes are named.
    RoleAndNas,
    /// A dictionary can't be used; it says itself which file and why.
    Dictionary(Box<dyn Error + Send + Sync>),
    /// Not an attribute we know.
    UnknownAttribute {
        /// As written.
        written: String,
    },
    /// One static prefix has two subscribers.
    StaticTwice {
        /// Who has it already.
        subscriber: Name,
    },
    /// A static prefix that is never permitted.
    StaticNever {
        /// The entry of `relay.never` that holds it.
        never: IpNet,
    },
    /// A static prefix that permits the whole Internet.
    StaticEverybody,
    /// A subscriber's name of which nothing is left in its canonical form.
    NoName,
    /// A number outside of what makes sense here.
    NumberOutOfRange {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A translation of something else than IPv4.
    NatIpv4Only,
    /// A translation with more inside addresses than blocks.
    NatTooSmall {
        /// Inside addresses.
        inside: u64,
        /// Blocks of ports.
        blocks: u64,
    },
    /// Two translations share outside addresses, so that a port would belong to two.
    NatOverlap {
        /// The other one's.
        outside: IpNet,
        /// Where that stands.
        line: usize,
    },
    /// The list of prefixes can't be read.
    ListUnreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A list that everybody may write: anybody could let himself relay.
    ListWritable {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line of the list that has not its three fields.
    NotALine {
        /// How many it has.
        fields: usize,
    },
    /// A line that is longer than anything that could be meant.
    LineTooLong {
        /// The most octets it may have.
        limit: usize,
    },
    /// A prefix that would open the relay to many.
    PrefixTooShort {
        /// The fewest bits it may have.
        least: u8,
    },
    /// A prefix that is on nobody's line: loopback, link-local, multicast and the like.
    PrefixOfNobody,
    /// One listed prefix has two subscribers.
    ListedTwice {
        /// The line of the other one.
        line: usize,
        /// Who has it there.
        subscriber: Name,
    },
    /// A listed prefix that touches what is never permitted.
    ListedNever {
        /// The entry of `relay.never`.
        never: IpNet,
    },
    /// A listed prefix that the configuration itself says something else about.
    ListedStatic {
        /// Who has it there.
        subscriber: Name,
    },
    /// Not so much in so long.
    NotARate {
        /// As written.
        written: String,
        /// Of octets.
        octets: bool,
    },
    /// Not a number of octets.
    NotASize {
        /// As written.
        written: String,
    },
    /// Not a pattern of names.
    NotANamePattern {
        /// As written.
        written: String,
    },
    /// Not an attribute with a value.
    NotAnAttributeValue {
        /// As written.
        written: String,
    },
    /// Both ways to say the same.
    ClassAndAttribute,
    /// An attribute that records do not bring.
    NotKept {
        /// As written.
        written: String,
    },
    /// A limit that limits nothing.
    LimitOfNothing,
    /// Not a file mode.
    NotAMode {
        /// As written.
        written: String,
    },
    /// Not a host's name.
    NotAHostName {
        /// As written.
        written: String,
    },
    /// Not a time zone.
    NotAZone {
        /// As written.
        written: String,
    },
    /// Not a header's name.
    NotAHeader {
        /// As written.
        written: String,
    },
    /// Not the name of a rule.
    NotARuleName {
        /// As written.
        written: String,
        /// The most letters it may have.
        limit: usize,
    },
    /// Nothing that makes a rule act.
    NotACondition {
        /// As written.
        written: String,
    },
    /// Nothing that a rule does.
    NotAConsequence {
        /// As written.
        written: String,
    },
    /// Not a number of orders within a time.
    NotABrake {
        /// As written.
        written: String,
    },
    /// A rule that would suspend everybody who stood out before a listing.
    SuspectsSuspended,
    /// A rule about something else than a listing that ends with one.
    NothingToDelist,
    /// Text that can't stand in an SMTP reply.
    NotAReplyText {
        /// The most octets it may have.
        limit: usize,
    },
    /// An address that means nothing to others.
    NotPublic {
        /// As written.
        written: String,
    },
    /// A range that no block list can have, or that is too large to be sampled.
    NotSampled {
        /// As written.
        written: String,
    },
    /// No block list can lie there.
    NotABlockList {
        /// As written.
        written: String,
    },
    /// Not an attribute with its value.
    NotATemplate {
        /// As written.
        written: String,
        /// What is wrong with it.
        why: template::Fault,
    },
    /// A request that may mean any session.
    AnySession,
    /// A request that may mean any of several NASes.
    AnyNas,
    /// One host within which senders are told apart in two ways.
    WithinTwice {
        /// The line of the other one.
        line: usize,
    },
    /// A line of logins that has not its two fields.
    NotALoginLine {
        /// How many it has.
        fields: usize,
    },
    /// One login has two subscribers.
    LoginTwice {
        /// The line of the other one.
        line: usize,
        /// Who has it there.
        subscriber: Name,
    },
    /// A receiver of notices that can't be.
    Notice(NoticeFault),
}

/// What is worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caution {
    /// A secret that a determined eavesdropper finds.
    SecretWeak {
        /// Its octets.
        octets: usize,
    },
    /// Nobody may send accounting.
    NoClients,
    /// A listener that other hosts reach, and none of them may ask.
    NoMta,
    /// No MTA can ask.
    NoMtaListener,
    /// A rate that another one of the same limit is always exceeded before.
    RateIdle {
        /// The limit.
        limit: Name,
        /// The rate.
        rate: String,
        /// The other one.
        tighter: String,
    },
    /// A line of a dictionary; it says itself which and what.
    Dictionary {
        /// The remark.
        remark: String,
    },
    /// There are more such lines.
    DictionaryMore {
        /// How many.
        more: usize,
    },
    /// An IPv6 address that no list is asked about.
    NoListForIpv6,
    /// Lines that are restricted and that nothing restores.
    NeverRestored,
    /// Notices that anybody on the way can read.
    NoticeInTheClear,
    /// Notices that anybody can forge.
    NoticeUnsigned,
}

impl fmt::Display for Fault {
    #[expect(clippy::too_many_lines, reason = "a list of sentences, one for each fact")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Fault::NotUtf8 => f.write_str("is not UTF-8 text; save it as such"),
            Fault::Toml(error) => f.write_str(error.message().trim_end()),
            Fault::RetentionMissing => f.write_str(
                "[retention] is missing; add it with sessions = \"180d\", messages = \"90d\", questions = \"365d\" or what the \
                 law of your country says: there is no default",
            ),
            Fault::Missing { key } => write!(f, "'{key}' is missing; add it"),
            Fault::Empty => f.write_str("is empty; write a value or remove the key"),
            Fault::NotADuration { written } => {
                write!(f, "'{written}' is no time; write a number and s, m, h or d, such as \"10m\"")
            }
            Fault::NotASpan { written } => write!(
                f,
                "'{written}' is neither a time nor a number of interim intervals; write \"24h\" or \"3x\""
            ),
            Fault::NotAFactor { written } => {
                write!(f, "'{written}' is no factor; write a number and x, such as \"4x\" or \"1.5x\"")
            }
            Fault::DurationOutOfRange { least, most } => {
                write!(f, "is out of range; write something from \"{least}\" to \"{most}\"")
            }
            Fault::NotAPrefix { written } => write!(
                f,
                "'{written}' is no address and no prefix; write \"192.0.2.7\", \"192.0.2.0/24\" or \"2001:db8::/32\""
            ),
            Fault::PrefixMeans { written, meant } => {
                write!(
                    f,
                    "'{written}' is not the prefix it names; write \"{meant}\", or the address you mean"
                )
            }
            Fault::NotASocketAddress { written } => write!(
                f,
                "'{written}' is no address with a port; write \"127.0.0.1:10023\" or \"[::1]:10023\" (no host names)"
            ),
            Fault::PathTooLong { limit } => {
                write!(f, "a Unix socket's path has {limit} octets at most; choose a shorter one")
            }
            Fault::ListenTwice { first } => {
                write!(f, "{first} has this place already; choose another address, port or path")
            }
            Fault::ClientsUnheard => f.write_str(
                "is empty, so that no [[radius.client]] can be heard; add an address or remove the key",
            ),
            Fault::NotAChoice { written, choices } => {
                write!(f, "'{written}' is unknown; write one of: \"{}\"", choices.join("\", \""))
            }
            Fault::Duplicate { line } => write!(f, "line {line} has the same; change one of them"),
            Fault::SecretOnce => f.write_str("a client needs one of 'secret' and 'secret-file', not both"),
            Fault::SecretTooShort { octets } => {
                write!(f, "the secret has {octets} octets and can be guessed; use 16 or more, at least 8")
            }
            Fault::SecretUnreadable { path, error } => {
                write!(f, "{} cannot be read: {error}; the daemon's user must be able to", path.display())
            }
            Fault::SecretExposed { path, mode } => {
                let path = path.display();
                write!(
                    f,
                    "{path} holds a secret and is open to everybody (mode {mode:04o}); run: chmod o= {path}"
                )
            }
            Fault::ProxyWithoutPools => f.write_str(
                "a proxy speaks for other NASes; add 'may-assign' to say which prefixes are theirs, here or in a [[nas]]",
            ),
            Fault::UnknownClient { written } => {
                write!(f, "no [[radius.client]] is called '{written}'; write the name of one")
            }
            Fault::NotAProxy => f.write_str(
                "only a [[radius.client]] with role = \"proxy\" has NASes behind it; set its role, or remove this table",
            ),
            Fault::NasUnnamed => {
                f.write_str("a NAS behind a proxy is known by its 'identifier' or its 'address'; add one of them")
            }
            Fault::NasWithoutPools => f.write_str(
                "neither this NAS nor its proxy says which prefixes are its own; add 'may-assign' to one of them",
            ),
            Fault::FollowedTwice { line } => {
                write!(f, "line {line} follows these files already; change one of them")
            }
            Fault::NotAPattern { written } => {
                write!(f, "'{written}' is no pattern of file names; write one without a slash, such as \"detail*\"")
            }
            Fault::NotAnAddress { written } => {
                write!(f, "'{written}' is no address; write one, such as \"192.0.2.7\"")
            }
            Fault::RoleAndNas => f.write_str("'role' says already how NASes are named; remove 'nas'"),
            Fault::Dictionary(error) => write!(f, "{error}"),
            Fault::UnknownAttribute { written } => write!(
                f,
                "'{written}' is no attribute known here; write its number, such as \"1\" or \"26.3561.1\" (vendor, type), or \
                 name its dictionary in radius.dictionaries"
            ),
            Fault::StaticTwice { subscriber } => {
                write!(f, "this prefix belongs to '{subscriber}' already; remove one of them")
            }
            Fault::StaticNever { never } => {
                write!(f, "relay.never has {never}, which never relays; remove one of them")
            }
            Fault::StaticEverybody => {
                f.write_str("would make an open relay; write the subscriber's own prefix")
            }
            Fault::NoName => {
                f.write_str("nothing is left of this name by the rules in [subscriber]; write another")
            }
            Fault::NumberOutOfRange { least, most } => {
                write!(f, "is out of range; write a number from {least} to {most}")
            }
            Fault::NatIpv4Only => f.write_str(
                "ports are shared by IPv4 addresses only; write an IPv4 prefix such as \"192.0.2.0/28\"",
            ),
            Fault::NatTooSmall { inside, blocks } => write!(
                f,
                "'inside' has {inside} addresses and 'outside' {blocks} blocks of ports; \
                 widen 'outside', or lower 'block' or 'first-port'"
            ),
            Fault::NatOverlap { outside, line } => write!(
                f,
                "line {line} has {outside}, which overlaps; a port of an outside address can belong to one [[nat]] only"
            ),
            Fault::ListUnreadable { path, error } => {
                write!(f, "{} cannot be read: {error}; the daemon's user must be able to", path.display())
            }
            Fault::ListWritable { path, mode } => {
                let path = path.display();
                write!(
                    f,
                    "{path} says who may relay and can be changed by everybody (mode {mode:04o}); run: chmod o-w {path}"
                )
            }
            Fault::NotALine { fields } => {
                write!(f, "has {fields} fields; write subscriber,prefix,always or subscriber,prefix,online")
            }
            Fault::LineTooLong { limit } => {
                write!(f, "is longer than {limit} octets; is a line break missing?")
            }
            Fault::PrefixTooShort { least } => {
                write!(f, "is wider than a subscriber's can be; write prefixes of /{least} or longer")
            }
            Fault::PrefixOfNobody => {
                f.write_str("no subscriber can have this; write an address or prefix that is routed")
            }
            Fault::ListedTwice { line, subscriber } => {
                write!(f, "line {line} gives this prefix to '{subscriber}'; change one of them")
            }
            Fault::ListedNever { never } => {
                write!(f, "relay.never has {never}, which never relays; change one of them")
            }
            Fault::ListedStatic { subscriber } => {
                write!(f, "relay.static gives this prefix to '{subscriber}' at all times; change one of them")
            }
            Fault::NotARate { written, octets: false } => write!(
                f,
                "'{written}' is not so many in so long; write a number from 1, a slash and a time, such as \"200/1h\""
            ),
            Fault::NotARate { written, octets: true } => write!(
                f,
                "'{written}' is not so many octets in so long; write a size, a slash and a time, such as \"2GiB/24h\""
            ),
            Fault::NotASize { written } => {
                write!(f, "'{written}' is no size; write a number and KiB, MiB or GiB, such as \"35MiB\"")
            }
            Fault::NotANamePattern { written } => {
                write!(f, "'{written}' is no pattern of names; write one with * and ?, such as \"*@office.example\"")
            }
            Fault::NotAnAttributeValue { written } => {
                write!(f, "'{written}' is no attribute with a value; write such as \"Filter-Id=gold*\"")
            }
            Fault::ClassAndAttribute => f.write_str("'attribute' says already which; remove 'class'"),
            Fault::NotKept { written } => {
                write!(f, "'{written}' is not kept, so nobody is known by it; add it to subscriber.keep")
            }
            Fault::LimitOfNothing => {
                f.write_str("limits nothing; add 'messages', 'recipients', 'bytes', 'message-size', 'connections' or 'refused'")
            }
            Fault::NotAMode { written } => {
                write!(f, "'{written}' is no mode; write three or four octal digits, such as \"0660\"")
            }
            Fault::NotAHostName { written } => write!(
                f,
                "'{written}' is no host's name; write it as browsers do, without scheme and port, such as \"warden.isp.example\""
            ),
            Fault::NotAZone { written } => write!(
                f,
                "'{written}' is no time zone that this host knows; write a name such as \"Europe/Berlin\" or \"UTC\""
            ),
            Fault::NotAHeader { written } => write!(
                f,
                "'{written}' is no header's name; write letters, digits and hyphens, such as \"X-Subscriber-Token\""
            ),
            Fault::NotARuleName { written, limit } => write!(
                f,
                "'{written}' is no rule's name; write at most {limit} of a to z, 0 to 9 and '-', such as \"flood\""
            ),
            Fault::NotACondition { written } => write!(
                f,
                "'{written}' makes no rule act; write \"messages >= 500\" or another signal's name and size, \"signal\", \
                 \"signal NAME\", \"complaints >= 3/24h\" or \"listing\""
            ),
            Fault::NotAConsequence { written } => write!(
                f,
                "'{written}' is nothing that a rule does; write \"note\", \"limit 24h\" or \"suspend 24h\" (without a time: \
                 until released), or of a listing \"limit until delisted\""
            ),
            Fault::NotABrake { written } => {
                write!(f, "'{written}' is no number within a time; write such as \"20/1h\"")
            }
            Fault::SuspectsSuspended => f.write_str(
                "who stood out before a listing is a suspect and no more; write \"limit 24h\", \"limit until delisted\" or \"note\", \
                 and suspend by hand",
            ),
            Fault::NothingToDelist => f.write_str(
                "nothing is delisted that was not listed; write \"limit 24h\", or when = \"listing\"",
            ),
            Fault::NotAReplyText { limit } => {
                write!(f, "cannot stand in an SMTP reply; write at most {limit} printable ASCII characters")
            }
            Fault::NotPublic { written } => write!(
                f,
                "no block list can have '{written}', which others never see; write the address that mail leaves from"
            ),
            Fault::NotSampled { written } => write!(
                f,
                "'{written}' can't be sampled; write a public IPv4 prefix of your customers', such as \"198.51.100.0/24\""
            ),
            Fault::Notice(fault) => fault.fmt(f),
            Fault::NotABlockList { written } => write!(
                f,
                "no block list can lie at '{written}'; write its zone as its operator names it, such as \"zen.example.org\""
            ),
            Fault::NotATemplate { written, why } => write!(
                f,
                "'{written}' is no attribute of a request: {why}; write such as 'Acct-Session-Id = \"{{session}}\"'"
            ),
            Fault::WithinTwice { line } => {
                write!(f, "line {line} says something else about the same subscriber; change one of them")
            }
            Fault::NotALoginLine { fields } => write!(f, "has {fields} fields; write login,subscriber"),
            Fault::LoginTwice { line, subscriber } => {
                write!(f, "line {line} gives this login to '{subscriber}'; change one of them")
            }
            Fault::AnySession => f.write_str(
                "nothing in it names one session, so that a NAS might end another's; add 'Acct-Session-Id = \"{session}\"' or \
                 'Framed-IP-Address = {address}'",
            ),
            Fault::AnyNas => f.write_str(
                "nas fits several, whose sessions may have the same number; add 'NAS-Identifier = \"{nas-identifier}\"', or give \
                 each NAS a table of its own with its whole name",
            ),
        }
    }
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caution::SecretWeak { octets } => {
                write!(f, "the secret has only {octets} octets; 16 random ones withstand guessing")
            }
            Caution::NoClients => f.write_str(
                "no [[radius.client]]: nobody can send accounting, only static prefixes and logins can be permitted",
            ),
            Caution::NoMta => {
                f.write_str("other hosts reach this listener, but no [[mta]] says which may ask; only this one can")
            }
            Caution::NoMtaListener => {
                f.write_str("none of socketmap.listen, policy.listen and milter.listen has an entry: no MTA can ask")
            }
            Caution::RateIdle { limit, rate, tighter } => {
                write!(f, "limit '{limit}': {rate} can never be exceeded, for {tighter} is exceeded before")
            }
            Caution::Dictionary { remark } => f.write_str(remark),
            Caution::DictionaryMore { more } => write!(f, "and {more} more remarks about dictionaries"),
            Caution::NoticeInTheClear => {
                f.write_str("whoever is on the way can read and change what is sent here; write https://")
            }
            Caution::NoticeUnsigned => f.write_str(
                "nothing says that a notice comes from here: anybody can forge one; add 'secret-file', unless the address is \
                 the secret",
            ),
            Caution::NoListForIpv6 => {
                f.write_str("no list is asked about IPv6 addresses; a list that has some is told by ipv6 = true")
            }
            Caution::NeverRestored => f.write_str(
                "lines are restricted and nothing of ours restores them; add 'release', or see to it elsewhere",
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)?;
        self.key.iter().try_for_each(|key| write!(f, ": {key}"))
    }
}

fn located(
    f: &mut fmt::Formatter<'_>,
    file: &std::path::Path,
    place: Option<&Place>,
    what: &dyn fmt::Display,
) -> fmt::Result {
    match place {
        Some(place) => write!(f, "{}:{place}: {what}", file.display()),
        None => write!(f, "{}: {what}", file.display()),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        located(f, &self.file, self.place.as_ref(), &self.fault)
    }
}

impl Error for ConfigError {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        located(f, &self.file, self.place.as_ref(), &self.caution)
    }
}
