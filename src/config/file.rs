//! TOML text to a `Config`: read once, checked once, with the place of everything that is wrong.
//!
//! Knows: how keys depend on each other, and every default. Must not know: the file system; what a path holds is
//! asked of `Files`.

mod feeds;
mod listeners;

use std::cmp::Reverse;
use std::io;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeTable;

use super::attribute::Attributes;
use super::fault::{Caution, ConfigError, Fault, Place, Warning, place};
use super::limit;
use super::table::{self, Number, Text, Texts};
use super::{
    Client, Config, Listed, NamedRealm, NasIdentity, Radius, RealmAttribute, Relay, Retention, Room, Secret,
    prefixes, value,
};
use crate::relay::within::By;
use crate::session::Name;
use crate::session::event::{Rules, Span};
use crate::session::identity::Canonical;

/// Fewer octets than this are refused: one captured packet is enough to try them all.
const SECRET_LEAST: usize = 8;

/// From here on a secret is not warned about.
const SECRET_GOOD: usize = 16;

/// A closed session is remembered for at least a day. A record older than that could not be told from a new one.
const STALE_LIMIT_BELOW: Duration = Duration::from_secs(24 * 3600);

/// The log reaches back to the older of two snapshots, which are a day apart, in files of a day: what is forgotten earlier would
/// still be there.
const RETENTION_LEAST: Duration = Duration::from_secs(4 * 24 * 3600);

/// What a file holds, and who may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its octets.
    pub octets: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// Where the configuration and the files it names are read from.
pub trait Files {
    /// What `path` holds.
    ///
    /// # Errors
    /// What the file system said.
    fn read(&self, path: &Path) -> io::Result<Contents>;

    /// The time zone of this name; `None`: there is none. Whoever keeps no zones knows the one that needs no file.
    fn zone(&self, name: &str) -> Option<TimeZone> {
        (name == "UTC").then_some(TimeZone::UTC)
    }
}

/// A configuration that can be used, and what is worth a look in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// In the order in which they were found.
    pub warnings: Vec<Warning>,
}

/// Reads the configuration at `path`. `attributes` knows the names of RADIUS attributes, and reads the dictionaries that
/// the configuration names.
///
/// Relative paths in it begin at its own directory, so that a configuration can be moved as a whole and means the same
/// to the daemon and to `check-config`, wherever they are started.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(path: &Path, files: &dyn Files, attributes: &mut dyn Attributes) -> Result<Loaded, ConfigError> {
    let whole = |fault| ConfigError { file: path.to_owned(), place: None, fault: Box::new(fault) };
    let contents = files.read(path).map_err(|error| whole(Fault::Unreadable(error)))?;
    let text = std::str::from_utf8(&contents.octets).map_err(|_| whole(Fault::NotUtf8))?;

    let tree = DeTable::parse(text);
    let tree = tree.as_ref().ok().map(Spanned::get_ref);
    let file: table::File = toml::from_str(text).map_err(|error| ConfigError {
        file: path.to_owned(),
        place: error.span().map(|span| place(text, tree, &span)),
        fault: Box::new(Fault::Toml(error)),
    })?;

    let base = path.parent().unwrap_or(Path::new(""));
    let mut reader =
        Reader { path, base, text, tree, mode: contents.mode, files, attributes, warnings: Vec::new() };
    let config = reader.config(&file)?;
    Ok(Loaded { config, warnings: reader.warnings })
}

pub(super) struct Reader<'a> {
    path: &'a Path,
    base: &'a Path,
    text: &'a str,
    tree: Option<&'a DeTable<'a>>,
    mode: u32,
    files: &'a dyn Files,
    pub(super) attributes: &'a mut dyn Attributes,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    fn config(&mut self, file: &table::File) -> Result<Config, ConfigError> {
        // Names of attributes may come from there.
        self.dictionaries(&file.radius.dictionaries)?;
        let identity = self.identity(&file.subscriber)?;
        let mtas = self.mtas(&file.mta)?;
        let limits = self.limits(&file.limit, &identity.keep)?;
        for (limit, rate, tighter) in limit::idle(&limits) {
            let (rate, tighter) = (rate.to_string(), tighter.to_string());
            self.warn(None, Caution::RateIdle { limit, rate, tighter });
        }
        let relay = self.relay(&file.relay, identity.canonical)?;
        let logins = self.logins(&file.logins, identity.canonical)?;
        let config = Config {
            data_dir: match &file.data_dir {
                Some(text) => self.base.join(self.filled(text)?),
                None => PathBuf::from("/var/lib/relaywarden"),
            },
            radius: self.radius(file)?,
            rules: self.rules(&file.session)?,
            prefixes: self.listed(&file.subscriber, identity.canonical, &relay)?,
            case_rules: self.case_rules(file, &relay)?,
            relay,
            many_sessions: self.many_sessions(&file.subscriber)?,
            limits,
            translations: self.translations(&file.nat)?,
            identity,
            socketmap: self.socketmap(&file.socketmap)?,
            policy: self.policy(&file.policy)?,
            milter: self.milter(&file.milter)?,
            scanned: self.scanned(&file.scanned)?,
            http: self.http(&file.http)?,
            require_purpose: file.audit.require_purpose.as_ref().is_some_and(|required| *required.get_ref()),
            room: self.room(&file.room)?,
            mtas,
            retention: self.retention(file.retention.as_ref())?,
            trend: self.trend(&file.trend)?,
            dnsbl: self.dnsbl(file.watch.dnsbl.as_ref())?,
            coa: self.coa(&file.coa)?,
            logins,
            notices: self.notices(&file.notice)?,
        };
        self.no_place_twice(file, &config)?;
        self.reachable(file, &config);
        Ok(config)
    }

    // What each table becomes.

    fn retention(&self, table: Option<&Spanned<table::Retention>>) -> Result<Retention, ConfigError> {
        let Some(table) = table else {
            let fault = Box::new(Fault::RetentionMissing);
            return Err(ConfigError { file: self.path.to_owned(), place: None, fault });
        };
        let kept = |key, text: Option<&Text>| {
            self.parse(self.required(&table.span(), key, text)?, |written| {
                let kept = value::duration(written)?;
                if kept < RETENTION_LEAST {
                    return Err(Fault::DurationOutOfRange { least: "4d", most: "3650d" });
                }
                Ok(kept)
            })
        };
        let table::Retention { sessions, messages, questions } = table.get_ref();
        Ok(Retention {
            sessions: kept("sessions", sessions.as_ref())?,
            messages: kept("messages", messages.as_ref())?,
            questions: kept("questions", questions.as_ref())?,
        })
    }

    fn room(&self, table: &table::Room) -> Result<Room, ConfigError> {
        let usual = Room::default();
        let number = |number: &Option<Number>, within, usual| self.number(number.as_ref(), within, usual);
        Ok(Room {
            // A tenth is kept for Stop, On and Off.
            requests: number(&table.requests, 1_000..=10_000_000, usual.requests)?,
            remembered: number(&table.remembered, 1_000..=10_000_000, usual.remembered)?,
            connections: number(&table.connections, 10..=1_000_000, usual.connections)?,
            past: number(&table.past, 100_000..=100_000_000, usual.past)?,
        })
    }

    fn radius(&mut self, file: &table::File) -> Result<Radius, ConfigError> {
        let table = &file.radius;
        let realm_attributes = self.realm_attributes(table.realm_attributes.as_ref())?;
        let realm_attributes = realm_attributes.unwrap_or_else(RealmAttribute::usual);
        let mut clients: Vec<Client> = Vec::new();
        for (position, client) in table.client.iter().enumerate() {
            let parsed = self.client(client, &file.nas, &realm_attributes)?;
            for (other, earlier) in table.client.iter().zip(&clients).take(position) {
                let (ours, theirs) = (client.get_ref(), other.get_ref());
                if earlier.name == parsed.name {
                    return Err(self.duplicate(ours.name.as_ref(), theirs.name.as_ref()));
                }
                if earlier.address == parsed.address {
                    return Err(self.duplicate(ours.address.as_ref(), theirs.address.as_ref()));
                }
            }
            clients.push(parsed);
        }
        self.nases(&file.nas, &mut clients)?;
        let details = self.details(&table.detail, &clients)?;
        let is_read = |client: &Client| details.iter().any(|detail| detail.client == client.name);
        let listen = match &table.listen {
            Some(texts) if texts.get_ref().is_empty() && !clients.iter().all(is_read) => {
                return Err(self.error(&texts.span(), Fault::ClientsUnheard));
            }
            Some(texts) => self.socket_addresses(texts)?,
            None if clients.is_empty() => Vec::new(),
            None => vec![SocketAddr::from(([127, 0, 0, 1], 1813))],
        };
        if clients.is_empty() {
            self.warn(None, Caution::NoClients);
        }
        clients.sort_by_key(|client| Reverse(client.address.prefix_len()));
        Ok(Radius { listen, clients, details })
    }

    fn client(
        &mut self,
        table: &Spanned<table::Client>,
        nases: &[Spanned<table::Nas>],
        realm_attributes: &[RealmAttribute],
    ) -> Result<Client, ConfigError> {
        let (span, table) = (table.span(), table.get_ref());
        let name = self.name(&span, table.name.as_ref())?;
        let address = self.required(&span, "address", table.address.as_ref())?;
        let address = self.parse(address, value::prefix)?;
        let may_assign = match &table.may_assign {
            Some(texts) => self.prefixes(texts.get_ref())?,
            None => Vec::new(),
        };
        let nas = match (&table.role, &table.nas) {
            (Some(_), Some(nas)) => return Err(self.error(&nas.span(), Fault::RoleAndNas)),
            (Some(role), None) => {
                self.choice(Some(role), &["proxy"])?;
                let behind = |nas: &table::Nas| {
                    nas.client.as_ref().is_none_or(|client| Name::from_text(client.get_ref()) == name)
                };
                if may_assign.is_empty() && !nases.iter().any(|nas| behind(nas.get_ref())) {
                    return Err(self.error(&role.span(), Fault::ProxyWithoutPools));
                }
                NasIdentity::Attributes
            }
            (None, nas) => match self.choice(nas.as_ref(), &["source", "client"])? {
                0 => NasIdentity::Source,
                _ => NasIdentity::Client,
            },
        };
        Ok(Client {
            may_assign,
            nas,
            stop_start: table.stop_start,
            realm: self.realm(table.realm.as_ref())?,
            realm_attributes: self
                .realm_attributes(table.realm_attributes.as_ref())?
                .unwrap_or_else(|| realm_attributes.to_vec()),
            group: table.group.as_ref().map(|text| self.filled(text).map(Name::from_text)).transpose()?,
            snapshot: table.snapshot,
            routed_netmask: table.routed_netmask,
            one_to_one: table.one_to_one,
            ..Client::new(
                name,
                address,
                self.secret(&span, table.secret.as_ref(), table.secret_file.as_ref())?,
            )
        })
    }

    pub(super) fn secret(
        &mut self,
        span: &Range<usize>,
        inline: Option<&Text>,
        file: Option<&Text>,
    ) -> Result<Secret, ConfigError> {
        let (octets, at) = match (inline, file) {
            (Some(inline), None) => {
                self.private(&inline.span(), self.path, self.mode)?;
                (inline.get_ref().clone().into_bytes(), inline.span())
            }
            (None, Some(file)) => (self.secret_in(file)?, file.span()),
            (Some(_), Some(file)) => return Err(self.error(&file.span(), Fault::SecretOnce)),
            (None, None) => return Err(self.error(span, Fault::SecretOnce)),
        };
        self.long_enough(&octets, &at)
    }

    pub(super) fn long_enough(&mut self, octets: &[u8], at: &Range<usize>) -> Result<Secret, ConfigError> {
        if octets.len() < SECRET_LEAST {
            return Err(self.error(at, Fault::SecretTooShort { octets: octets.len() }));
        }
        if octets.len() < SECRET_GOOD {
            self.warn(Some(at), Caution::SecretWeak { octets: octets.len() });
        }
        Ok(Secret::new(octets))
    }

    /// What a file holds that nobody else may read.
    pub(super) fn secret_in(&self, file: &Text) -> Result<Vec<u8>, ConfigError> {
        let (path, contents) = self.contents(file)?;
        self.private(&file.span(), &path, contents.mode)?;
        Ok(without_newline(contents.octets))
    }

    pub(super) fn contents(&self, file: &Text) -> Result<(PathBuf, Contents), ConfigError> {
        let path = self.base.join(self.filled(file)?);
        match self.files.read(&path) {
            Ok(contents) => Ok((path, contents)),
            Err(error) => Err(self.error(&file.span(), Fault::SecretUnreadable { path, error })),
        }
    }

    /// A file that holds a secret can't be read nor replaced by everybody.
    fn private(&self, span: &Range<usize>, path: &Path, mode: u32) -> Result<(), ConfigError> {
        if mode & 0o006 != 0 {
            return Err(self.error(span, Fault::SecretExposed { path: path.to_owned(), mode: mode & 0o7777 }));
        }
        Ok(())
    }

    fn dictionaries(&mut self, texts: &[Text]) -> Result<(), ConfigError> {
        let mut more = 0_usize;
        for text in texts {
            let path = self.base.join(self.filled(text)?);
            let remarks = self.attributes.add(&path, self.files);
            let remarks = remarks.map_err(|error| self.error(&text.span(), Fault::Dictionary(error)))?;
            for remark in remarks.first {
                self.warn(Some(&text.span()), Caution::Dictionary { remark });
            }
            more = more.saturating_add(remarks.more);
        }
        if let Some(last) = texts.last().filter(|_| more > 0) {
            self.warn(Some(&last.span()), Caution::DictionaryMore { more });
        }
        Ok(())
    }

    fn listed(
        &self,
        table: &table::Subscriber,
        canonical: Canonical,
        relay: &Relay,
    ) -> Result<Vec<Listed>, ConfigError> {
        let Some(text) = &table.prefixes else { return Ok(Vec::new()) };
        let (path, octets) = self.list(text)?;
        let terms = prefixes::Terms { canonical, never: &relay.never, statics: &relay.statics };
        prefixes::read(&octets, &terms).map_err(|wrong| ConfigError {
            file: path,
            place: Some(Place { line: wrong.line, column: wrong.column, key: None }),
            fault: Box::new(wrong.fault),
        })
    }

    /// A list of the operator's beside the configuration, and where it is.
    pub(super) fn list(&self, text: &Text) -> Result<(PathBuf, Vec<u8>), ConfigError> {
        let path = self.base.join(self.filled(text)?);
        let contents = self.files.read(&path).map_err(|error| {
            let path = path.clone();
            self.error(&text.span(), Fault::ListUnreadable { path, error })
        })?;
        if contents.mode & 0o002 != 0 {
            let (path, mode) = (path.clone(), contents.mode & 0o7777);
            return Err(self.error(&text.span(), Fault::ListWritable { path, mode }));
        }
        Ok((path, contents.octets))
    }

    fn rules(&self, table: &table::Session) -> Result<Rules, ConfigError> {
        let default = Rules::default();
        Ok(Rules {
            defer_after_stop: self.parse_or(
                table.defer_after_stop.as_ref(),
                default.defer_after_stop,
                value::duration,
            )?,
            interim_overdue: self.parse_or(
                table.interim_overdue.as_ref(),
                default.interim_overdue,
                |written| match value::span(written)? {
                    Span::Fixed(Duration::ZERO) => {
                        Err(Fault::DurationOutOfRange { least: "1s", most: "3650d" })
                    }
                    span => Ok(span),
                },
            )?,
            lifetime_without_interim: self.parse_or(
                table.lifetime_without_interim.as_ref(),
                default.lifetime_without_interim,
                positive,
            )?,
            nas_silence_grace: self.parse_or(
                table.nas_silence_grace.as_ref(),
                default.nas_silence_grace,
                positive,
            )?,
            stale_limit: self.parse_or(table.stale_limit.as_ref(), default.stale_limit, |written| {
                let limit = positive(written)?;
                if limit >= STALE_LIMIT_BELOW {
                    return Err(Fault::DurationOutOfRange { least: "1s", most: "23h" });
                }
                Ok(limit)
            })?,
            warm_up: self.parse_or(table.warm_up.as_ref(), default.warm_up, value::span)?,
        })
    }

    fn relay(&self, table: &table::Relay, canonical: Canonical) -> Result<Relay, ConfigError> {
        let never = self.prefixes(&table.never)?;
        Ok(Relay {
            observe: self.choice(table.mode.as_ref(), &["enforce", "observe"])? == 1,
            permit_unrecorded: self.choice(table.unrecorded.as_ref(), &["defer", "permit"])? == 1,
            statics: self.statics(&table.statics, &never, canonical)?,
            within: self.within(&table.statics, canonical)?,
            never,
            permit_authenticated: match &table.authenticated {
                Some(text) => self.choice(Some(text), &["permit"])? == 0,
                None => false,
            },
        })
    }

    fn within(
        &self,
        tables: &[Spanned<table::Static>],
        canonical: Canonical,
    ) -> Result<Vec<(Name, By)>, ConfigError> {
        let mut all: Vec<(Name, By, &Text)> = Vec::new();
        for table in tables.iter().map(Spanned::get_ref) {
            let (Some(text), Some(subscriber)) = (&table.within, &table.subscriber) else { continue };
            let by = match self.choice(Some(text), &["sender", "sender-domain"])? {
                0 => By::Sender,
                _ => By::SenderDomain,
            };
            let subscriber = self.subscriber(subscriber, canonical)?;
            match all.iter().find(|(other, ..)| *other == subscriber) {
                Some((_, other, place)) if *other != by => {
                    let line = self.place(&place.span()).line;
                    return Err(self.error(&text.span(), Fault::WithinTwice { line }));
                }
                Some(_) => {}
                None => all.push((subscriber, by, text)),
            }
        }
        Ok(all.into_iter().map(|(subscriber, by, _)| (subscriber, by)).collect())
    }

    fn statics(
        &self,
        tables: &[Spanned<table::Static>],
        never: &[IpNet],
        canonical: Canonical,
    ) -> Result<Vec<(IpNet, Name)>, ConfigError> {
        let mut statics: Vec<(IpNet, Name)> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let text = self.required(&span, "prefix", table.prefix.as_ref())?;
            let prefix = self.parse(text, value::prefix)?;
            let subscriber = self.required(&span, "subscriber", table.subscriber.as_ref())?;
            let subscriber = self.subscriber(subscriber, canonical)?;
            let fault = |fault| Err(self.error(&text.span(), fault));
            if prefix.prefix_len() == 0 {
                return fault(Fault::StaticEverybody);
            }
            if let Some(&never) = never.iter().find(|never| never.contains(&prefix)) {
                return fault(Fault::StaticNever { never });
            }
            match statics.iter().find(|(earlier, _)| *earlier == prefix) {
                Some((_, holder)) if *holder != subscriber => {
                    return fault(Fault::StaticTwice { subscriber: holder.clone() });
                }
                Some(_) => {}
                None => statics.push((prefix, subscriber)),
            }
        }
        Ok(statics)
    }

    pub(super) fn parse<T>(
        &self,
        text: &Text,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Result<T, ConfigError> {
        parse(text.get_ref()).map_err(|fault| self.error(&text.span(), fault))
    }

    pub(super) fn parse_or<T>(
        &self,
        text: Option<&Text>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Result<T, ConfigError> {
        text.map_or(Ok(default), |text| self.parse(text, parse))
    }

    /// The position of the word among `choices`; the first where none is written.
    pub(super) fn choice(
        &self,
        text: Option<&Text>,
        choices: &'static [&'static str],
    ) -> Result<usize, ConfigError> {
        self.parse_or(text, 0, |written| {
            let found = choices.iter().position(|choice| *choice == written);
            found.ok_or_else(|| Fault::NotAChoice { written: written.to_owned(), choices })
        })
    }

    pub(super) fn realm(&self, text: Option<&Text>) -> Result<Option<NamedRealm>, ConfigError> {
        text.map(|text| self.parse(text, value::realm)).transpose()
    }

    /// A number within a range; `default` where none is written.
    pub(super) fn number<N: Copy + TryFrom<i64> + Into<i64>>(
        &self,
        number: Option<&Number>,
        range: RangeInclusive<N>,
        default: N,
    ) -> Result<N, ConfigError> {
        let Some(number) = number else { return Ok(default) };
        let (least, most) = ((*range.start()).into(), (*range.end()).into());
        let written = *number.get_ref();
        let within = (least..=most).contains(&written).then(|| N::try_from(written).ok()).flatten();
        within.ok_or_else(|| self.error(&number.span(), Fault::NumberOutOfRange { least, most }))
    }

    fn prefixes(&self, texts: &[Text]) -> Result<Vec<IpNet>, ConfigError> {
        texts.iter().map(|text| self.parse(text, value::prefix)).collect()
    }

    pub(super) fn socket_addresses(&self, texts: &Texts) -> Result<Vec<SocketAddr>, ConfigError> {
        texts.get_ref().iter().map(|text| self.parse(text, value::socket_address)).collect()
    }

    pub(super) fn required<'t>(
        &self,
        table: &Range<usize>,
        key: &'static str,
        text: Option<&'t Text>,
    ) -> Result<&'t Text, ConfigError> {
        text.ok_or_else(|| self.error(table, Fault::Missing { key }))
    }

    pub(super) fn name(&self, table: &Range<usize>, text: Option<&Text>) -> Result<Name, ConfigError> {
        self.filled(self.required(table, "name", text)?).map(Name::from_text)
    }

    pub(super) fn filled<'t>(&self, text: &'t Text) -> Result<&'t str, ConfigError> {
        if text.get_ref().trim().is_empty() {
            return Err(self.error(&text.span(), Fault::Empty));
        }
        Ok(text.get_ref())
    }

    pub(super) fn duplicate(&self, text: Option<&Text>, other: Option<&Text>) -> ConfigError {
        let span = |text: Option<&Text>| text.map_or(0..0, Spanned::span);
        let line = self.place(&span(other)).line;
        self.error(&span(text), Fault::Duplicate { line })
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        place(self.text, self.tree, span)
    }

    pub(super) fn error(&self, span: &Range<usize>, fault: Fault) -> ConfigError {
        ConfigError { file: self.path.to_owned(), place: Some(self.place(span)), fault: Box::new(fault) }
    }

    pub(super) fn warn(&mut self, span: Option<&Range<usize>>, caution: Caution) {
        let place = span.map(|span| self.place(span));
        self.warnings.push(Warning { file: self.path.to_owned(), place, caution });
    }
}

fn positive(written: &str) -> Result<Duration, Fault> {
    match value::duration(written)? {
        Duration::ZERO => Err(Fault::DurationOutOfRange { least: "1s", most: "3650d" }),
        duration => Ok(duration),
    }
}

/// Editors end a file with a newline that is no part of the secret.
fn without_newline(mut octets: Vec<u8>) -> Vec<u8> {
    if octets.last() == Some(&b'\n') {
        octets.pop();
        if octets.last() == Some(&b'\r') {
            octets.pop();
        }
    }
    octets
}
