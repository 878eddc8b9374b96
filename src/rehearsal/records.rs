//! A record as a story tells it, to the attributes that its NAS sends.
//!
//! Knows: the short words for attributes, and how a NAS says when something happened: by its clock where it has one, by
//! its delay where it has none. Must not know: what a record does.

use std::net::IpAddr;

use super::Fault;
use super::script::Words;
use super::words::{When, duration, unquoted};
use crate::radius::dictionary::Dictionary;
use crate::radius::text;
use crate::session::Timestamp;

/// What may stand in a record, for whoever wrote something else.
pub(super) const OPTIONS: &str = "session, user, address, prefix, delegated, route, calling, called, port, nas-port, \
    identifier, nas-address, time, interval, delay, event, from, id";

const EVENT_TIMESTAMP: u8 = 55;
const ACCT_DELAY_TIME: u8 = 41;

/// Who sends.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub(super) client: String,
    /// `None`: the first address of its client.
    pub(super) source: Option<IpAddr>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Attributes, but for those about time.
    Attributes(Vec<u8>),
    /// A sample by its name.
    Sample(String),
}

/// One `nas` line.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) speaker: Speaker,
    pub(super) content: Content,
    /// When it happened, if not now.
    pub(super) event: Option<When>,
    /// Acct-Delay-Time, where the story says it.
    pub(super) delay: Option<u32>,
    /// The packet's Identifier, where the story says it.
    pub(super) identifier: Option<u8>,
}

impl Told {
    /// `bras1 start session=1 ...`, after `nas`.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Fault> {
        let client = unquoted(words.next("the name of a client")?).to_owned();
        let kinds = "start, interim, stop, failed, on, off, record or sample";
        let mut list = Attributes::default();
        let mut sample = None;
        match words.next(kinds)? {
            "start" => list.status(1),
            "stop" => list.status(2),
            "interim" => list.status(3),
            "on" => list.status(7),
            "off" => list.status(8),
            "failed" => list.status(15),
            // Whatever it is: its attributes say.
            "record" => {}
            "sample" => sample = Some(unquoted(words.next("the name of a sample")?).to_owned()),
            other => return Err(Fault::Unexpected { word: other.to_owned(), wanted: kinds }),
        }
        let mut told = Told {
            speaker: Speaker { client, source: None },
            content: Content::Attributes(Vec::new()),
            event: None,
            delay: None,
            identifier: None,
        };
        while let Some(word) = words.any() {
            told.option(word, &mut list)?;
        }
        told.content = match sample {
            Some(name) => Content::Sample(name),
            None => Content::Attributes(list.encoded()?),
        };
        Ok(told)
    }

    /// The naming of a NAS that a `clock` line is about: a client, and what tells it from others there.
    pub(super) fn naming(client: &str) -> (Self, Attributes) {
        let mut list = Attributes::default();
        list.status(7);
        let speaker = Speaker { client: unquoted(client).to_owned(), source: None };
        let content = Content::Attributes(Vec::new());
        (Told { speaker, content, event: None, delay: None, identifier: None }, list)
    }

    pub(super) fn option(&mut self, word: &str, list: &mut Attributes) -> Result<(), Fault> {
        let (key, value) =
            word.split_once('=').ok_or_else(|| Fault::UnknownOption { word: word.to_owned() })?;
        let unexpected = |wanted| Fault::Unexpected { word: word.to_owned(), wanted };
        match key {
            "from" => self.source(value, word)?,
            "event" => self.event = Some(When::read(value)?),
            "id" => {
                self.identifier = Some(value.parse().map_err(|_| unexpected("an Identifier from 0 to 255"))?);
            }
            "delay" => self.delay = Some(seconds(value).ok_or_else(|| unexpected("a time, as delay=3"))?),
            _ => list.push(key, value, word)?,
        }
        Ok(())
    }

    fn source(&mut self, value: &str, word: &str) -> Result<(), Fault> {
        let wanted = "an address, as from=192.0.2.1";
        let source = value.parse().map_err(|_| Fault::Unexpected { word: word.to_owned(), wanted })?;
        self.speaker.source = Some(source);
        Ok(())
    }

    /// The attributes as they are sent at `now` by a NAS whose clock is `skew` milliseconds ahead of ours; `None`: it
    /// has none. `attributes` are those that its content says.
    pub(super) fn sent(
        &self,
        attributes: &[u8],
        now: Timestamp,
        skew: Option<i64>,
    ) -> Result<Vec<u8>, Fault> {
        let mut octets = attributes.to_vec();
        let delay = self.delay.unwrap_or_default();
        let happened = match self.event {
            Some(when) => when.from(now),
            None => Timestamp::from_millis(now.millis() - i64::from(delay) * 1000),
        };
        if let Content::Sample(_) = self.content {
            // A sample has stamps of its own day, unless the story says when it was.
            if self.event.is_some() {
                stamp(&mut octets, happened.millis() + skew.unwrap_or_default());
            }
            return Ok(octets);
        }
        let mut delay = self.delay;
        match (skew, self.event) {
            (Some(skew), _) => stamp(&mut octets, happened.millis() + skew),
            (None, Some(_)) if happened > now => return Err(Fault::NeedsClock),
            (None, Some(_)) if delay.is_none() => {
                delay = u32::try_from(now.since(happened).as_secs()).ok();
            }
            (None, _) => {}
        }
        if let Some(delay) = delay {
            octets.extend_from_slice(&[ACCT_DELAY_TIME, 6]);
            octets.extend_from_slice(&delay.to_be_bytes());
        }
        Ok(octets)
    }
}

/// Puts an Event-Timestamp in the place of the one that is there, or at the end.
fn stamp(octets: &mut Vec<u8>, millis: i64) {
    let value = u32::try_from(millis.div_euclid(1000)).unwrap_or_default().to_be_bytes();
    let mut position = 0;
    while let Some(&[kind, length]) = octets.get(position..position + 2) {
        if kind == EVENT_TIMESTAMP
            && let Some(place) = octets.get_mut(position + 2..position + 6)
        {
            return place.copy_from_slice(&value);
        }
        position += usize::from(length.max(2));
    }
    octets.extend_from_slice(&[EVENT_TIMESTAMP, 6]);
    octets.extend_from_slice(&value);
}

fn seconds(word: &str) -> Option<u32> {
    u32::try_from(duration(word)?.as_secs()).ok()
}

/// Attributes as lines of a list, each with the word that it came from.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    lines: Vec<String>,
    words: Vec<String>,
}

impl Attributes {
    fn status(&mut self, status: u32) {
        self.line(format!("Acct-Status-Type = {status}"), "");
    }

    fn line(&mut self, line: String, word: &str) {
        self.lines.push(line);
        self.words.push(word.to_owned());
    }

    fn push(&mut self, key: &str, value: &str, word: &str) -> Result<(), Fault> {
        let unexpected = |wanted| Fault::Unexpected { word: word.to_owned(), wanted };
        let address = || unquoted(value).parse::<IpAddr>().map_err(|_| unexpected("an address"));
        let span = || seconds(value).ok_or_else(|| unexpected("seconds, or a time such as 10m"));
        let line = match key {
            "session" => format!("Acct-Session-Id = {value}"),
            "user" => format!("User-Name = {value}"),
            "address" => match address()? {
                IpAddr::V4(address) => format!("Framed-IP-Address = {address}"),
                IpAddr::V6(address) => format!("Framed-IPv6-Address = {address}"),
            },
            "nas-address" => match address()? {
                IpAddr::V4(address) => format!("NAS-IP-Address = {address}"),
                IpAddr::V6(address) => format!("NAS-IPv6-Address = {address}"),
            },
            "prefix" => format!("Framed-IPv6-Prefix = {value}"),
            "delegated" => format!("Delegated-IPv6-Prefix = {value}"),
            "route" if value.contains(':') => format!("Framed-IPv6-Route = \"{} :: 1\"", unquoted(value)),
            "route" => format!("Framed-Route = \"{} 0.0.0.0 1\"", unquoted(value)),
            "calling" => format!("Calling-Station-Id = {value}"),
            "called" => format!("Called-Station-Id = {value}"),
            "port" => format!("NAS-Port-Id = {value}"),
            "nas-port" => format!("NAS-Port = {value}"),
            "identifier" => format!("NAS-Identifier = {value}"),
            "time" => format!("Acct-Session-Time = {}", span()?),
            "interval" => format!("Acct-Interim-Interval = {}", span()?),
            _ if Dictionary::builtin().find(key).is_some() => format!("{key} = {value}"),
            _ => return Err(Fault::UnknownOption { word: word.to_owned() }),
        };
        self.line(line, word);
        Ok(())
    }

    /// All of them together: neighbours within an extended attribute share it.
    pub(super) fn encoded(&self) -> Result<Vec<u8>, Fault> {
        if self.lines.is_empty() {
            return Ok(Vec::new());
        }
        text::parse_attributes(&self.lines.join("\n"), Dictionary::builtin()).map_err(|error| {
            let written = self.words.get(error.line.wrapping_sub(1)).cloned().unwrap_or_default();
            Fault::Attribute { written, fault: error.fault }
        })
    }
}
