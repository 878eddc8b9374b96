//! `check-config`: what the daemon would make of its configuration.
//!
//! Knows: the file system, and how a configuration is shown to people. Must not know: how it is parsed.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use jiff::tz::TimeZone;

use crate::config::fault::ConfigError;
use crate::config::file::{self, Contents, Files, Loaded};
use crate::config::{
    AttributePath, Client, Coa, Config, Detail, Dnsbl, Identity, Listeners, Most, NamedRealm, Nas,
    NasIdentity, Reached, RealmAttribute, RealmForm, Retention, Sample, Way, When,
};
use crate::radius::dictionary::Dictionary;
use crate::relay::Profile;
use crate::relay::trend::Thresholds;

/// EX_CONFIG of sysexits.h.
const BAD_CONFIGURATION: u8 = 78;

/// No configuration, secret or dictionary is larger, and no list of some hundred thousand prefixes. A path that names a
/// device must not fill the memory.
const FILE_LIMIT: u64 = 32 * 1024 * 1024;

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        let file = File::open(path)?;
        // The mode of what was opened, not of what the path names by now.
        let mode = file.metadata()?.permissions().mode();
        let mut octets = Vec::new();
        file.take(FILE_LIMIT.saturating_add(1)).read_to_end(&mut octets)?;
        if u64::try_from(octets.len()).is_ok_and(|octets| octets > FILE_LIMIT) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Contents { octets, mode })
    }

    fn zone(&self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }
}

/// Reads the configuration at `path`, and the secrets and dictionaries it names.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    file::read(path, &SystemFiles, &mut Dictionary::beside_builtin())
}

/// `relaywarden check-config`: shows what was understood, or says what is wrong.
#[must_use]
pub fn run(path: &Path) -> ExitCode {
    // Nobody is left to tell when these streams are closed.
    match load(path) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                let _ = writeln!(io::stderr(), "warning: {warning}");
            }
            let _ = write!(io::stdout(), "{} is good\n\n{}", path.display(), Summary(&loaded.config));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

/// A configuration in a few lines. Secrets are not in it.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a>(pub &'a Config);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary(config) = self;
        let relay = &config.relay;
        row(f, "mode", if relay.observe { "observe: nothing is permitted nor refused" } else { "enforce" })?;
        row(f, "data", config.data_dir.display())?;
        let Retention { sessions, messages, questions } = config.retention;
        let days = |kept: std::time::Duration| kept.as_secs() / 86_400;
        row(
            f,
            "retention",
            format_args!(
                "sessions {} days, messages {} days, questions {} days",
                days(sessions),
                days(messages),
                days(questions)
            ),
        )?;
        row(f, "radius", list(&config.radius.listen))?;
        for client in &config.radius.clients {
            row(f, "  client", ClientLine(client))?;
            realms(f, client)?;
            for nas in &client.nases {
                row(f, "  nas", NasLine(client, nas))?;
            }
        }
        for detail in &config.radius.details {
            row(f, "  detail", DetailLine(detail))?;
        }
        identity(f, &config.identity)?;
        match config.many_sessions {
            0 => row(f, "sessions", "of one subscriber may be any number")?,
            many => row(f, "sessions", format_args!("of one subscriber are worth a look from {many} on"))?,
        }
        for nat in &config.translations {
            let (inside, outside) = (nat.inside, nat.outside);
            let realm = nat.realm.as_ref().map(|realm| format!(" of {realm}")).unwrap_or_default();
            let (block, first) = (nat.block, nat.first_port);
            row(
                f,
                "nat",
                format_args!("{inside}{realm} behind {outside}, {block} ports each from {first} on"),
            )?;
        }
        without_a_feed(f, config)?;
        for prefix in &relay.never {
            row(f, "never", prefix)?;
        }
        row(
            f,
            "logins",
            if relay.permit_authenticated { "may relay from anywhere" } else { "permit nothing" },
        )?;
        case_rules(f, config)?;
        row(f, "unrecorded", if relay.permit_unrecorded { "permitted" } else { "deferred" })?;
        signals(f, &config.trend)?;
        listeners(f, config)?;
        for mta in &config.mtas {
            row(f, "mta", format_args!("{} from {}{}", mta.name, mta.address, Within(mta.realm.as_ref())))?;
        }
        others(f, config)?;
        row(f, "api", format_args!("{} mode {:04o}", config.http.socket.display(), config.http.mode))?;
        row(f, "http", list(&config.http.listen))
    }
}

/// Where mail servers ask, and what is said there.
fn listeners(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    row(f, "socketmap", list(&config.socketmap.listen))?;
    sockets(f, &config.socketmap)?;
    row(f, "policy", list(&config.policy.listeners.listen))?;
    sockets(f, &config.policy.listeners)?;
    if let Some(header) = &config.policy.header {
        row(f, "  header", header)?;
    }
    if let Some(contact) = &config.policy.contact {
        row(f, "  contact", contact)?;
    }
    if !config.milter.listeners.listen.is_empty() {
        row(f, "milter", list(&config.milter.listeners.listen))?;
        sockets(f, &config.milter.listeners)?;
        let does = config.milter.profile.map_or("reads headers only", Profile::word);
        row(f, "  profile", does)?;
    }
    Ok(())
}

fn row(f: &mut fmt::Formatter<'_>, what: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "{what:<12}{value}")
}

fn sockets(f: &mut fmt::Formatter<'_>, listeners: &Listeners) -> fmt::Result {
    if let Some(mode) = listeners.mode {
        row(f, "  mode", format_args!("{mode:04o}"))?;
    }
    if let Some(realm) = &listeners.realm {
        row(f, "  realm", realm)?;
    }
    listeners.group.iter().try_for_each(|group| row(f, "  group", group))
}

/// Addresses whose subscriber no NAS tells.
fn without_a_feed(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    for (prefix, subscriber) in &config.relay.statics {
        row(f, "static", format_args!("{prefix} belongs to {subscriber}"))?;
    }
    if !config.prefixes.is_empty() {
        let always = config.prefixes.iter().filter(|listed| listed.when == When::Always).count();
        let online = config.prefixes.len().saturating_sub(always);
        row(f, "prefixes", format_args!("{always} at all times, {online} while their subscriber is online"))?;
    }
    Ok(())
}

fn signals(f: &mut fmt::Formatter<'_>, trend: &Thresholds) -> fmt::Result {
    if !trend.signals {
        return row(f, "signals", "none, whatever anybody sends");
    }
    let hours = trend.learn.as_secs() / 3600;
    row(
        f,
        "signals",
        format_args!("of senders who differ from what they did before, after {hours} hours of learning"),
    )
}

fn notices(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    config.notices.iter().try_for_each(|receiver| {
        let events: Vec<_> = receiver.events.iter().map(|event| event.word()).collect();
        let to = match &receiver.way {
            Way::Webhook { address, .. } => address.to_string(),
            Way::Command(words) => words.first().cloned().unwrap_or_default(),
        };
        row(f, "notice", format_args!("{}, {to}: {}", receiver.name, list(&events)))
    })
}

fn case_rules(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    config.case_rules.all.iter().try_for_each(|rule| {
        let (when, then) = (&rule.written.when, &rule.written.then);
        let watched = if rule.enforce { "" } else { " (only watched)" };
        row(f, "rule", format_args!("{}: when {when} then {then}{watched}", rule.name))
    })?;
    notices(f, config)
}

/// Whom the daemon speaks to by itself, and whose logins are.
fn others(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    config.dnsbl.iter().try_for_each(|dnsbl| watched(f, dnsbl))?;
    access_side(f, &config.coa)?;
    if config.logins.is_empty() {
        return Ok(());
    }
    let others = if config.logins.are_names() { ", others are subscribers' names" } else { "" };
    row(f, "logins", format_args!("{} listed{others}", config.logins.len()))
}

fn access_side(f: &mut fmt::Formatter<'_>, coa: &Coa) -> fmt::Result {
    if coa.nases.is_empty() {
        return Ok(());
    }
    let mode = if coa.enforce { "enforce" } else { "observe" };
    let Most { requests, within } = coa.most;
    row(f, "coa", format_args!("{mode}, at most {requests} requests in {} s", within.as_secs()))?;
    coa.nases.iter().try_for_each(|Reached { nas, address, on, on_start, restrict, restore, .. }| {
        let release = restore.as_ref().map_or("nothing", |restore| restore.means.word());
        let later = if *on_start { ", and when they begin" } else { "" };
        let (on, means) = (on.word(), restrict.means.word());
        row(f, "  of", format_args!("{nas} at {address}: {means} while {on}{later}; {release} at release"))
    })
}

fn watched(f: &mut fmt::Formatter<'_>, dnsbl: &Dnsbl) -> fmt::Result {
    let names: Vec<_> = dnsbl.lists.iter().map(|list| &list.name).collect();
    let every = dnsbl.every.as_secs();
    row(f, "dnsbl", format_args!("{}, every {every} s", list(&names)))?;
    row(f, "  of", list(&dnsbl.addresses))?;
    for Sample { prefix, count } in &dnsbl.sample {
        row(f, "  sample", format_args!("{prefix}, {count} addresses each time"))?;
    }
    match dnsbl.resolvers.as_slice() {
        [] => row(f, "  resolver", "this host's"),
        resolvers => row(f, "  resolver", list(resolvers)),
    }
}

fn identity(f: &mut fmt::Formatter<'_>, identity: &Identity) -> fmt::Result {
    let chain: Vec<_> = identity.chain.iter().map(Spelled).collect();
    row(f, "identity", list(&chain))?;
    if !identity.shared_names.is_empty() {
        row(f, "  but not", list(&identity.shared_names))?;
    }
    if !identity.keep.is_empty() {
        let names: Vec<_> = identity.keep.iter().map(|(name, _)| name).collect();
        row(f, "  keep", list(&names))?;
    }
    Ok(())
}

/// By what records name their VRF, where that was the operator's choice and matters.
fn realms(f: &mut fmt::Formatter<'_>, client: &Client) -> fmt::Result {
    if client.realm.is_some() || client.realm_attributes == RealmAttribute::usual() {
        return Ok(());
    }
    let attributes: Vec<_> = client
        .realm_attributes
        .iter()
        .map(|RealmAttribute { path, form }| match form {
            RealmForm::Pair { key } => format!("{key} in {}", Spelled(path)),
            RealmForm::Name | RealmForm::Number { .. } => Spelled(path).to_string(),
        })
        .collect();
    match attributes.as_slice() {
        [] => row(f, "  realm", "public, whatever its records name"),
        attributes => row(f, "  realm", format_args!("as named by {}", list(attributes))),
    }
}

/// By the name that is built in, with the number; an operator's own attribute by its number.
struct Spelled<'a>(&'a AttributePath);

impl Display for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Dictionary::builtin().name(self.0) {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// `, realm ...`, where one is configured.
struct Within<'a>(Option<&'a NamedRealm>);

impl Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|realm| write!(f, ", realm {realm}"))
    }
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

struct ClientLine<'a>(&'a Client);

impl Display for ClientLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientLine(client) = self;
        let nas = match client.nas {
            NasIdentity::Source => "each source is a NAS",
            NasIdentity::Client => "all sources are one NAS",
            NasIdentity::Attributes => "a proxy: attributes name the NAS",
        };
        write!(f, "{} at {} ({nas}", client.name, client.address)?;
        if client.stop_start {
            f.write_str(", Stop and Start instead of interims")?;
        }
        for (is, what) in [
            (client.snapshot, ", each record lists everything"),
            (client.routed_netmask, ", netmasks are routed subnets"),
            (client.one_to_one, ", no public address is shared"),
        ] {
            if is {
                f.write_str(what)?;
            }
        }
        write!(f, "{}", Within(client.realm.as_ref()))?;
        if let Some(group) = &client.group {
            write!(f, ", group {group}")?;
        }
        match client.may_assign.as_slice() {
            [] if client.nas == NasIdentity::Attributes => {
                f.write_str(") may assign nothing beyond its NASes' prefixes")
            }
            [] => f.write_str(") may assign any prefix"),
            prefixes => write!(f, ") may assign {}", list(prefixes)),
        }
    }
}

struct NasLine<'a>(&'a Client, &'a Nas);

impl Display for NasLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NasLine(client, nas) = self;
        write!(f, "behind {}", client.name)?;
        nas.identifier.iter().try_for_each(|identifier| write!(f, ", identifier {identifier}"))?;
        nas.address.iter().try_for_each(|address| write!(f, ", address {address}"))?;
        nas.name.iter().try_for_each(|name| write!(f, ", called {name}"))?;
        write!(f, "{}", Within(nas.realm.as_ref()))?;
        match nas.may_assign.as_slice() {
            [] => f.write_str(", may assign what its proxy may"),
            prefixes => write!(f, ", may assign {}", list(prefixes)),
        }
    }
}

struct DetailLine<'a>(&'a Detail);

impl Display for DetailLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DetailLine(detail) = self;
        write!(f, "{} in {}, by the rules of {}", detail.files, detail.directory.display(), detail.client)?;
        if detail.remove { f.write_str(", removed when read") } else { Ok(()) }
    }
}
