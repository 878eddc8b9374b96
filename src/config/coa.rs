//! `[coa]`: what the access side is told about the lines of those whose mail is held back.
//!
//! Knows: what makes a request one that can only mean one session. Must not know: when one is sent.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use glob::Pattern;
use toml::Spanned;

use super::Secret;
use super::fault::{Caution, ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text};
use super::value;
use crate::radius::template::Template;
use crate::relay::line::Means;
use crate::relay::standing::Held;

/// RFC 5176 section 3.
const PORT: u16 = 3799;

/// So many requests may be sent in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// How many.
    pub requests: u32,
    /// In any span of this length.
    pub within: Duration,
}

impl Default for Most {
    fn default() -> Self {
        Most { requests: 50, within: Duration::from_secs(60) }
    }
}

/// `[coa]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coa {
    /// `mode = "enforce"`: requests are sent, rather than told of.
    pub enforce: bool,
    /// `max-requests`: the brake, of all NASes together.
    pub most: Most,
    /// `[[coa.nas]]`; the first that fits a NAS counts.
    pub nases: Vec<Reached>,
}

/// `[[coa.nas]]`: NASes that are reached in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    /// Their names in output.
    pub nas: Pattern,
    /// Where requests go.
    pub address: SocketAddr,
    /// Which proves both sides to each other.
    pub secret: Secret,
    /// The least that must hold for somebody whose lines are restricted.
    pub on: Held,
    /// Whether sessions that begin while an order holds are restricted, too.
    pub on_start: bool,
    /// Whether requests have a Message-Authenticator.
    pub signed: bool,
    /// How a line is restricted.
    pub restrict: Request,
    /// How it is restored; `None`: not by us.
    pub restore: Option<Request>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which request.
    pub means: Means,
    /// What is in it; at least one of them names one session.
    pub attributes: Vec<Template>,
}

impl Coa {
    /// How a NAS of this name is reached.
    #[must_use]
    pub fn of(&self, nas: &str) -> Option<&Reached> {
        self.nases.iter().find(|reached| reached.nas.matches(nas))
    }

    /// Whether those who are limited matter to anybody.
    #[must_use]
    pub fn cares_for_limits(&self) -> bool {
        self.nases.iter().any(|reached| reached.on == Held::Limited)
    }
}

impl Reader<'_> {
    pub(super) fn coa(&mut self, table: &table::Coa) -> Result<Coa, ConfigError> {
        let mut nases: Vec<Reached> = Vec::new();
        for one in &table.nas {
            let reached = self.reached(one)?;
            if let Some((other, _)) = table.nas.iter().zip(&nases).find(|(_, other)| other.nas == reached.nas)
            {
                return Err(self.duplicate(one.get_ref().nas.as_ref(), other.get_ref().nas.as_ref()));
            }
            nases.push(reached);
        }
        Ok(Coa {
            enforce: self.choice(table.mode.as_ref(), &["observe", "enforce"])? == 1,
            most: self.parse_or(table.max_requests.as_ref(), Most::default(), most)?,
            nases,
        })
    }

    fn reached(&mut self, table: &Spanned<table::Reached>) -> Result<Reached, ConfigError> {
        let (span, table) = (table.span(), table.get_ref());
        let nas = self.required(&span, "nas", table.nas.as_ref())?;
        let nas = self.parse(nas, |written| {
            let fault = || Fault::NotANamePattern { written: written.to_owned() };
            if written.trim().is_empty() {
                Err(Fault::Empty)
            } else {
                Pattern::new(written).map_err(|_| fault())
            }
        })?;
        let address = self.parse(self.required(&span, "address", table.address.as_ref())?, address)?;
        let secret = self.secret(&span, table.secret.as_ref(), table.secret_file.as_ref())?;
        let is_one = !nas.as_str().contains(['*', '?', '[']);
        let restrict = self.request(&span, is_one, table.send.as_ref(), table.attributes.as_ref())?;
        let restore = match &table.release {
            Some(release) => {
                let (span, release) = (release.span(), release.get_ref());
                Some(self.request(&span, is_one, release.send.as_ref(), release.attributes.as_ref())?)
            }
            None => None,
        };
        if restrict.means == Means::Coa && restore.is_none() {
            self.warn(Some(&span), Caution::NeverRestored);
        }
        let on = match self.choice(table.on.as_ref(), &["suspend", "limit"])? {
            0 => Held::Suspended,
            _ => Held::Limited,
        };
        // Whoever was cut off comes back to what the authentication server gives them, and would be cut off for ever.
        let on_start = table.on_start.unwrap_or(restrict.means == Means::Coa);
        let signed = table.message_authenticator;
        Ok(Reached { nas, address, secret, on, on_start, signed, restrict, restore })
    }

    fn request(
        &self,
        table: &std::ops::Range<usize>,
        is_one: bool,
        send: Option<&Text>,
        attributes: Option<&table::Texts>,
    ) -> Result<Request, ConfigError> {
        let send = self.required(table, "send", send)?;
        let means = match self.choice(Some(send), &["coa", "disconnect"])? {
            0 => Means::Coa,
            _ => Means::Disconnect,
        };
        let Some(texts) = attributes else {
            return Err(self.error(table, Fault::Missing { key: "attributes" }));
        };
        let template = |text: &Text| {
            self.parse(text, |written| {
                let fault = |why| Fault::NotATemplate { written: written.to_owned(), why };
                self.attributes.template(written).map_err(fault)
            })
        };
        let attributes: Vec<Template> = texts.get_ref().iter().map(template).collect::<Result<_, _>>()?;
        if !attributes.iter().any(Template::identifies) {
            return Err(self.error(&texts.span(), Fault::AnySession));
        }
        // Two NASes may have sessions of one number, and the address is that of one of them, or of a proxy.
        if !is_one && !attributes.iter().any(Template::names_nas) {
            return Err(self.error(&texts.span(), Fault::AnyNas));
        }
        Ok(Request { means, attributes })
    }
}

/// An address, with or without a port.
fn address(written: &str) -> Result<SocketAddr, Fault> {
    if let Ok(address) = written.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, PORT));
    }
    value::socket_address(written)
}

/// `50/1m`.
fn most(written: &str) -> Result<Most, Fault> {
    let fault = || Fault::NotABrake { written: written.to_owned() };
    let (requests, within) = written.split_once('/').ok_or_else(fault)?;
    let requests = value::digits(requests).ok_or_else(fault)?;
    let within = value::duration(within)?;
    if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&within) {
        return Err(Fault::DurationOutOfRange { least: "1s", most: "1d" });
    }
    Ok(Most { requests, within })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_port_of_the_rfc_unless_it_says_another() {
        for (written, meant) in [
            ("192.0.2.1", "192.0.2.1:3799"),
            ("192.0.2.1:1700", "192.0.2.1:1700"),
            ("2001:db8::1", "[2001:db8::1]:3799"),
            ("[2001:db8::1]:1700", "[2001:db8::1]:1700"),
        ] {
            assert_eq!(address(written).unwrap().to_string(), meant);
        }
        for written in ["", "bras1", "192.0.2.1:", "192.0.2.0/24", "192.0.2.1:65536"] {
            assert!(matches!(address(written), Err(Fault::NotASocketAddress { .. })), "{written}");
        }
    }

    #[test]
    fn a_brake_is_a_number_and_a_time_of_at_most_a_day() {
        assert_eq!(most("50/1m").unwrap(), Most::default());
        assert!(most("0/1d").is_ok() && most("1/1s").is_ok());
        for written in ["", "50", "/1m", "50/", "-1/1m", "50/0s", "50/25h", "4294967296/1m"] {
            assert!(most(written).is_err(), "{written}");
        }
    }
}
