//! `[[notice]]`: who is told of what.
//!
//! Knows: how a receiver is written. Must not know: how one is reached.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Time;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use toml::Spanned;

use super::fault::{Caution, ConfigError, Fault};
use super::file::Reader;
use super::table::{self, Text, Texts};
use super::{Secret, rule, value};
use crate::notice::address::Address;
use crate::notice::{Kind, signature};
use crate::session::Name;

/// Each has a task and a connection of its own.
const NOTICES_MOST: usize = 16;
/// How long a receiver may take by default, and may be given.
const WEBHOOK_WITHIN: Duration = Duration::from_secs(10);
const COMMAND_WITHIN: Duration = Duration::from_secs(30);
const WITHIN_MOST: Duration = Duration::from_secs(300);
/// When a day is reported by default: before people come to work.
const REPORT_AT: Time = Time::constant(7, 0, 0, 0);

/// What can be wrong with a receiver.
#[derive(Debug)]
pub enum NoticeFault {
    /// More receivers of notices than there is room for.
    NoticesTooMany {
        /// The most there may be.
        most: usize,
    },
    /// Not the name of a receiver.
    NotANoticeName {
        /// As written.
        written: String,
    },
    /// A receiver that is reached in two ways, or in none.
    NoticeOnce,
    /// Nowhere that something can be sent to. What was written may hold a secret, as with chat systems, and this is logged.
    NotAWebhook,
    /// A secret that begins as base64 does, and goes on otherwise.
    NotASigningSecret,
    /// Certificates for what uses none.
    AuthoritiesOfNoTls,
    /// A file without a certificate.
    NoAuthorities {
        /// Which.
        path: PathBuf,
    },
    /// A key that only a webhook has.
    OfAWebhook {
        /// Which.
        key: &'static str,
    },
    /// Nothing that can be started.
    NotAProgram {
        /// As written.
        written: String,
    },
    /// Not a time of day.
    NotATimeOfDay {
        /// As written.
        written: String,
    },
    /// When a report is sent that nobody has asked for.
    NoReport,
    /// Nowhere that pages can be.
    NotAPage {
        /// As written.
        written: String,
    },
}

impl From<NoticeFault> for Fault {
    fn from(fault: NoticeFault) -> Self {
        Fault::Notice(fault)
    }
}

impl fmt::Display for NoticeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoticeFault::NoticesTooMany { most } => {
                write!(f, "there is room for {most} receivers; take this one out")
            }
            NoticeFault::NotANoticeName { written } => write!(
                f,
                "'{written}' is no receiver's name; write at most 64 of a to z, 0 to 9 and '-', such as \"portal\""
            ),
            NoticeFault::NoticeOnce => f.write_str("write either 'webhook' or 'command'"),
            NoticeFault::NotAWebhook => f.write_str(
                "is no address of a webhook; write a URL without a user in it, such as \
                 \"https://portal.isp.example/hook\"",
            ),
            NoticeFault::NotASigningSecret => {
                f.write_str("begins with whsec_ and is no base64 behind it; write the secret as it was given")
            }
            NoticeFault::AuthoritiesOfNoTls => {
                f.write_str("certificates say nothing about http://; write https:// or take this out")
            }
            NoticeFault::NoAuthorities { path } => {
                write!(f, "{} has no certificate in it; write those that are believed in PEM", path.display())
            }
            NoticeFault::OfAWebhook { key } => write!(f, "a command has no '{key}'; take it out"),
            NoticeFault::NotAProgram { written } => write!(
                f,
                "'{written}' is no program; write its whole path and each argument by itself, such as \
                 [\"/usr/local/bin/page\", \"abuse\"]"
            ),
            NoticeFault::NotATimeOfDay { written } => {
                write!(f, "'{written}' is no time of day; write such as \"07:00\"")
            }
            NoticeFault::NoReport => f.write_str("no report is sent here; add \"report\" to 'events'"),
            NoticeFault::NotAPage { written } => write!(
                f,
                "'{written}' is no address of pages; write what browsers open, such as \"https://warden.isp.example\""
            ),
        }
    }
}

/// `[[notice]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Its name in output, in metrics and in the log: a word.
    pub name: Name,
    /// How it is told.
    pub way: Way,
    /// Of what; at least one.
    pub events: Vec<Kind>,
    /// When it is told of the day before, by the clock of the site.
    pub report_at: Time,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Over HTTP.
    Webhook {
        /// Where.
        address: Address,
        /// What it is signed with.
        secret: Option<Secret>,
        /// Certificates that are believed in place of this host's, in DER; empty: this host's.
        authorities: Vec<Vec<u8>>,
    },
    /// A program with its arguments; an absolute path.
    Command(Vec<String>),
}

impl Reader<'_> {
    pub(super) fn notices(
        &mut self,
        tables: &[Spanned<table::Notice>],
    ) -> Result<Vec<Receiver>, ConfigError> {
        let mut all: Vec<Receiver> = Vec::new();
        for table in tables {
            let receiver = self.receiver(table)?;
            if let Some((earlier, _)) = tables.iter().zip(&all).find(|(_, other)| other.name == receiver.name)
            {
                let (ours, theirs) = (table.get_ref().name.as_ref(), earlier.get_ref().name.as_ref());
                return Err(self.duplicate(ours, theirs));
            }
            if all.len() >= NOTICES_MOST {
                return Err(
                    self.error(&table.span(), NoticeFault::NoticesTooMany { most: NOTICES_MOST }.into())
                );
            }
            all.push(receiver);
        }
        Ok(all)
    }

    fn receiver(&mut self, table: &Spanned<table::Notice>) -> Result<Receiver, ConfigError> {
        let (span, table) = (table.span(), table.get_ref());
        let name = self.parse(self.required(&span, "name", table.name.as_ref())?, |written| {
            rule::name(written)
                .map_err(|_| NoticeFault::NotANoticeName { written: written.to_owned() }.into())
        })?;
        let Some(events) = &table.events else {
            return Err(self.error(&span, Fault::Missing { key: "events" }));
        };
        let events = self.events(events)?;
        if let Some(text) = table.report_at.as_ref().filter(|_| !events.contains(&Kind::Report)) {
            return Err(self.error(&text.span(), NoticeFault::NoReport.into()));
        }
        let (way, usual) = match (&table.webhook, &table.command) {
            (Some(address), None) => (self.webhook(address, table)?, WEBHOOK_WITHIN),
            (None, Some(command)) => (self.command(command, table)?, COMMAND_WITHIN),
            (Some(_), Some(command)) => {
                return Err(self.error(&command.span(), NoticeFault::NoticeOnce.into()));
            }
            (None, None) => return Err(self.error(&span, NoticeFault::NoticeOnce.into())),
        };
        let within = |written: &str| match value::duration(written)? {
            time if time.is_zero() || time > WITHIN_MOST => {
                Err(Fault::DurationOutOfRange { least: "1s", most: "5m" })
            }
            time => Ok(time),
        };
        Ok(Receiver {
            name,
            way,
            events,
            report_at: self.parse_or(table.report_at.as_ref(), REPORT_AT, time_of_day)?,
            timeout: self.parse_or(table.timeout.as_ref(), usual, within)?,
        })
    }

    fn events(&self, texts: &Texts) -> Result<Vec<Kind>, ConfigError> {
        if texts.get_ref().is_empty() {
            return Err(self.error(&texts.span(), Fault::Empty));
        }
        let mut events = Vec::new();
        for text in texts.get_ref() {
            let kind = self.parse(text, |written| {
                let fault = || Fault::NotAChoice { written: written.to_owned(), choices: Kind::CHOICES };
                Kind::chosen(written).ok_or_else(fault)
            })?;
            if let Some(earlier) = events.iter().position(|other| *other == kind) {
                return Err(self.duplicate(Some(text), texts.get_ref().get(earlier)));
            }
            events.push(kind);
        }
        Ok(events)
    }

    fn webhook(&mut self, text: &Text, table: &table::Notice) -> Result<Way, ConfigError> {
        let address = self
            .parse(text, |written| Address::read(written).ok_or_else(|| NoticeFault::NotAWebhook.into()))?;
        if !address.tls && !address.is_here() {
            self.warn(Some(&text.span()), Caution::NoticeInTheClear);
        }
        let secret = match &table.secret_file {
            None => {
                self.warn(Some(&text.span()), Caution::NoticeUnsigned);
                None
            }
            Some(file) => {
                let octets = self.secret_in(file)?;
                let octets = signature::secret(&octets)
                    .ok_or_else(|| self.error(&file.span(), NoticeFault::NotASigningSecret.into()))?;
                Some(self.long_enough(&octets, &file.span())?)
            }
        };
        let authorities = match &table.ca_file {
            Some(file) if !address.tls => {
                return Err(self.error(&file.span(), NoticeFault::AuthoritiesOfNoTls.into()));
            }
            Some(file) => self.authorities(file)?,
            None => Vec::new(),
        };
        Ok(Way::Webhook { address, secret, authorities })
    }

    fn command(&self, texts: &Texts, table: &table::Notice) -> Result<Way, ConfigError> {
        for (file, key) in [(&table.secret_file, "secret-file"), (&table.ca_file, "ca-file")] {
            if let Some(file) = file {
                return Err(self.error(&file.span(), NoticeFault::OfAWebhook { key }.into()));
            }
        }
        let words: Vec<String> = texts.get_ref().iter().map(|text| text.get_ref().clone()).collect();
        let Some(program) = texts.get_ref().first() else {
            return Err(self.error(&texts.span(), Fault::Empty));
        };
        if !Path::new(program.get_ref()).is_absolute() {
            let written = program.get_ref().clone();
            return Err(self.error(&program.span(), NoticeFault::NotAProgram { written }.into()));
        }
        if let Some(text) = texts.get_ref().iter().find(|text| text.get_ref().contains('\0')) {
            return Err(
                self.error(&text.span(), NoticeFault::NotAProgram { written: text.get_ref().clone() }.into())
            );
        }
        Ok(Way::Command(words))
    }

    fn authorities(&self, file: &Text) -> Result<Vec<Vec<u8>>, ConfigError> {
        let (path, contents) = self.contents(file)?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.octets).collect();
        let read = read.unwrap_or_default();
        if read.is_empty() {
            return Err(self.error(&file.span(), NoticeFault::NoAuthorities { path }.into()));
        }
        Ok(read.into_iter().map(|certificate| certificate.to_vec()).collect())
    }

    /// The address under which people find our pages.
    pub(super) fn pages(&self, text: &Text) -> Result<String, ConfigError> {
        self.parse(text, |written| {
            let is_base = !written.contains('?') && Address::read(written).is_some();
            is_base
                .then(|| written.trim_end_matches('/').to_owned())
                .ok_or_else(|| NoticeFault::NotAPage { written: written.to_owned() }.into())
        })
    }
}

/// `07:00`.
fn time_of_day(written: &str) -> Result<Time, Fault> {
    let fault = || NoticeFault::NotATimeOfDay { written: written.to_owned() }.into();
    let (hour, minute) = written.split_once(':').ok_or_else(fault)?;
    let number = |text: &str, range: Range<i8>| {
        let plain = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
        text.parse().ok().filter(|number| plain && range.contains(number)).ok_or_else(fault)
    };
    Time::new(number(hour, 0..24)?, number(minute, 0..60)?, 0, 0).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_two_digits_a_colon_and_two_more() {
        assert_eq!(time_of_day("07:00").unwrap(), REPORT_AT);
        assert_eq!(time_of_day("23:59").unwrap(), Time::constant(23, 59, 0, 0));
        assert_eq!(time_of_day("00:00").unwrap(), Time::midnight());
        for written in ["", "7:00", "07.00", "24:00", "07:60", "07:00:00", "+7:00", "07:0x", "-1:00"] {
            assert!(time_of_day(written).is_err(), "{written}");
        }
    }
}
