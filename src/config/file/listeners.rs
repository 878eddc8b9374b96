//! Who asks, and where: mail servers, the listeners that they reach, and the one for staff.
//!
//! Knows: the tables `[[mta]]`, `[socketmap]`, `[policy]`, `[milter]` and `[http]`, and that no place may be listened on twice. Must not
//! know: what is answered there.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::Reader;
use crate::config::fault::{Caution, ConfigError, Fault};
use crate::config::table::{self, Text, Texts};
use crate::config::{Config, Endpoint, Http, Listeners, Milter, Mta, Policy, value};
use crate::mta::policy::is_field_name;
use crate::relay::Profile;

/// The most a contact may add to an SMTP reply.
const CONTACT_LIMIT: usize = 120;

/// Mode of `http.socket`, which knows its callers by their user.
const HTTP_MODE: u32 = 0o660;

impl Reader<'_> {
    pub(super) fn mtas(&self, tables: &[Spanned<table::Mta>]) -> Result<Vec<Mta>, ConfigError> {
        let mut mtas: Vec<Mta> = Vec::new();
        for table in tables {
            let (span, table) = (table.span(), table.get_ref());
            let name = self.name(&span, table.name.as_ref())?;
            let text = self.required(&span, "address", table.address.as_ref())?;
            let address = self.parse(text, value::prefix)?;
            if let Some((other, _)) = tables.iter().zip(&mtas).find(|(_, earlier)| earlier.address == address)
            {
                return Err(self.duplicate(Some(text), other.get_ref().address.as_ref()));
            }
            mtas.push(Mta { name, address, realm: self.realm(table.realm.as_ref())? });
        }
        mtas.sort_by_key(|mta| Reverse(mta.address.prefix_len()));
        Ok(mtas)
    }

    pub(super) fn socketmap(&self, table: &table::Sockets) -> Result<Listeners, ConfigError> {
        let sockets = (table.socket_mode.as_ref(), table.socket_group.as_ref());
        let realm = self.realm(table.realm.as_ref())?;
        Ok(Listeners { realm, ..self.listeners(table.listen.as_ref(), sockets, 10023)? })
    }

    pub(super) fn policy(&self, table: &table::Policy) -> Result<Policy, ConfigError> {
        let sockets = (table.socket_mode.as_ref(), table.socket_group.as_ref());
        let header = |written: &str| match is_field_name(written) {
            true => Ok(written.to_owned()),
            false => Err(Fault::NotAHeader { written: written.to_owned() }),
        };
        // RFC 5321, 4.2: a reply's text is printable ASCII.
        let contact = |written: &str| match written {
            "" => Err(Fault::Empty),
            text if text.len() <= CONTACT_LIMIT && text.bytes().all(|octet| matches!(octet, b' '..=b'~')) => {
                Ok(text.to_owned())
            }
            _ => Err(Fault::NotAReplyText { limit: CONTACT_LIMIT }),
        };
        let realm = self.realm(table.realm.as_ref())?;
        Ok(Policy {
            listeners: Listeners { realm, ..self.listeners(table.listen.as_ref(), sockets, 10024)? },
            header: table.header.as_ref().map(|text| self.parse(text, header)).transpose()?,
            contact: table.contact.as_ref().map(|text| self.parse(text, contact)).transpose()?,
        })
    }

    /// A scanner's header counts, or a message is written down, only where somebody has a use for it: no default listens.
    pub(super) fn milter(&self, table: &table::Milter) -> Result<Milter, ConfigError> {
        let sockets = (table.socket_mode.as_ref(), table.socket_group.as_ref());
        let realm = self.realm(table.realm.as_ref())?;
        let listeners = match &table.listen {
            None => Listeners { realm, ..Listeners::default() },
            listen => Listeners { realm, ..self.listeners(listen.as_ref(), sockets, 10025)? },
        };
        let profiles = [Profile::Relay, Profile::Submission, Profile::Mx];
        let profile = table.profile.as_ref().map(|text| {
            let place = self.choice(Some(text), &["relay", "submission", "mx"])?;
            Ok(profiles.get(place).copied().unwrap_or_default())
        });
        Ok(Milter {
            listeners,
            profile: profile.transpose()?,
            message_ids: table.message_ids.unwrap_or(true),
        })
    }

    fn listeners(
        &self,
        listen: Option<&Texts>,
        (mode, group): (Option<&Text>, Option<&Text>),
        port: u16,
    ) -> Result<Listeners, ConfigError> {
        let listen = match listen {
            Some(texts) => {
                let texts = texts.get_ref().iter();
                texts
                    .map(|text| self.parse(text, |written| value::endpoint(written, self.base)))
                    .collect::<Result<_, _>>()?
            }
            None => vec![Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))],
        };
        Ok(Listeners {
            listen,
            mode: mode.map(|text| self.parse(text, value::mode)).transpose()?,
            group: group.map(|text| self.filled(text).map(str::to_owned)).transpose()?,
            realm: None,
        })
    }

    pub(super) fn http(&self, table: &table::Http) -> Result<Http, ConfigError> {
        Ok(Http {
            socket: self.parse_or(
                table.socket.as_ref(),
                PathBuf::from("/run/relaywarden/api.sock"),
                |written| value::socket_path(written, self.base),
            )?,
            mode: self.parse_or(table.socket_mode.as_ref(), HTTP_MODE, value::mode)?,
            group: self.group(table.socket_group.as_ref())?,
            viewers: self.group(table.viewers_group.as_ref())?,
            operators: self.group(table.operators_group.as_ref())?,
            auditors: self.group(table.auditors_group.as_ref())?,
            listen: match &table.listen {
                Some(texts) => self.socket_addresses(texts)?,
                None => vec![SocketAddr::from(([127, 0, 0, 1], 8025))],
            },
            names: match &table.names {
                Some(texts) => {
                    let texts = texts.get_ref().iter();
                    texts.map(|text| self.parse(text, value::host_name)).collect::<Result<_, _>>()?
                }
                None => Vec::new(),
            },
            zone: table
                .time_zone
                .as_ref()
                .map(|text| self.parse(text, |name| self.zone(name)))
                .transpose()?,
            url: table.url.as_ref().map(|text| self.pages(text)).transpose()?,
        })
    }

    fn zone(&self, name: &str) -> Result<TimeZone, Fault> {
        self.files.zone(name).ok_or_else(|| Fault::NotAZone { written: name.to_owned() })
    }

    fn group(&self, text: Option<&Text>) -> Result<Option<String>, ConfigError> {
        text.map(|text| self.filled(text).map(str::to_owned)).transpose()
    }

    // What concerns several tables.

    /// Two listeners in one place would fail when they are bound, and not say which two.
    pub(super) fn no_place_twice(&self, file: &table::File, config: &Config) -> Result<(), ConfigError> {
        let tcp = |listen: &[SocketAddr]| listen.iter().copied().map(Endpoint::Tcp).collect();
        let socket = vec![Endpoint::Unix(config.http.socket.clone())];
        let streams: [(_, Option<&Texts>, Vec<Endpoint>); 5] = [
            ("http.socket", None, socket),
            ("socketmap.listen", file.socketmap.listen.as_ref(), config.socketmap.listen.clone()),
            ("policy.listen", file.policy.listen.as_ref(), config.policy.listeners.listen.clone()),
            ("milter.listen", file.milter.listen.as_ref(), config.milter.listeners.listen.clone()),
            ("http.listen", file.http.listen.as_ref(), tcp(&config.http.listen)),
        ];
        self.distinct(&streams)?;
        // UDP ports are another space.
        self.distinct(&[("radius.listen", file.radius.listen.as_ref(), tcp(&config.radius.listen))])
    }

    fn distinct(&self, places: &[(&'static str, Option<&Texts>, Vec<Endpoint>)]) -> Result<(), ConfigError> {
        let mut taken: Vec<(&'static str, &Endpoint)> = Vec::new();
        for (key, texts, endpoints) in places {
            for (position, endpoint) in endpoints.iter().enumerate() {
                let holder = taken.iter().find(|(_, taken)| *taken == endpoint);
                if let Some((first, _)) = holder {
                    let text = texts.and_then(|texts| texts.get_ref().get(position));
                    return Err(ConfigError {
                        file: self.path.to_owned(),
                        place: text.map(|text| self.place(&text.span())),
                        fault: Box::new(Fault::ListenTwice { first }),
                    });
                }
                // Port 0 is another one each time.
                if !matches!(endpoint, Endpoint::Tcp(address) if address.port() == 0) {
                    taken.push((key, endpoint));
                }
            }
        }
        Ok(())
    }

    /// Warns of listeners that can't be of use.
    pub(super) fn reachable(&mut self, file: &table::File, config: &Config) {
        let sockets = [
            (file.socketmap.listen.as_ref(), &config.socketmap.listen),
            (file.policy.listen.as_ref(), &config.policy.listeners.listen),
            (file.milter.listen.as_ref(), &config.milter.listeners.listen),
        ];
        if sockets.iter().all(|(_, endpoints)| endpoints.is_empty()) {
            self.warn(None, Caution::NoMtaListener);
        }
        for (texts, endpoints) in sockets {
            let Some(texts) = texts.filter(|_| config.mtas.is_empty()) else { continue };
            for (text, endpoint) in texts.get_ref().iter().zip(endpoints) {
                if matches!(endpoint, Endpoint::Tcp(address) if !address.ip().is_loopback()) {
                    self.warn(Some(&text.span()), Caution::NoMta);
                }
            }
        }
    }

    // What is used again and again.
}
