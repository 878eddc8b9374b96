//! What Postfix logs, joined by queue id to messages.
//!
//! ```text
//! smtpd    4jYLXY6NlJz1SW1G: client=name[198.51.100.7]:40112, sasl_method=PLAIN, sasl_username=alice
//! cleanup  4jYLXY6NlJz1SW1G: message-id=<...>
//! qmgr     4jYLXY6NlJz1SW1G: from=<alice@isp.example>, size=2100, nrcpt=2 (queue active)
//! ```
//!
//! A message is complete when qmgr has it: then it was taken into the queue. What came without a client (from the machine
//! itself) and what qmgr takes up again is none.
//!
//! Knows: the lines of syslog and of Postfix. Must not know: files, or the daemon.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::time;
use crate::server::http::api::{parse_rfc3339, rfc3339};
use crate::server::http::maillog::MailRow;
use crate::session::{Name, Timestamp};

/// Messages that have begun and are not complete; what was given up (a client that hung up) leaves in the order in which it
/// came.
const OPEN_MAX: usize = 100_000;
/// A log's clock may be ahead of the one that dated its file by as much; a syslog stamp that is later is of the year before.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);
/// 29 February comes again after eight years at the latest.
const YEARS_BACK: i16 = 8;
/// Queue ids have between six and some twenty characters.
const QUEUE_ID_MAX: usize = 40;

/// How moments are to be understood that say less than all.
#[derive(Clone, Copy)]
pub struct Clock<'a> {
    /// Zone of stamps without one.
    pub zone: &'a TimeZone,
    /// The moment that the file tells of.
    pub as_of: Timestamp,
}

/// What a line came to.
#[derive(Debug, PartialEq)]
pub enum Joined {
    /// It is not Postfix's.
    Foreign,
    /// Something is known that was not, or nothing that concerns us.
    Noted,
    /// A message is complete.
    Message(Box<MailRow>),
    /// A message begins, and when can't be read.
    Unreadable(String),
}

/// Messages that are not complete, of all files of a run: logs are rotated while mail flows.
#[derive(Debug, Default)]
pub struct Joiner {
    open: HashMap<(String, String), MailRow>,
    in_order: VecDeque<(String, String)>,
}

impl Joiner {
    /// Takes a line.
    pub fn line(&mut self, line: &[u8], number: u64, clock: &Clock<'_>) -> Joined {
        let Some(read) = Read::of(line) else { return Joined::Foreign };
        let Some((queue_id, rest)) = queue_id(read.text) else { return Joined::Noted };
        let key = (shown(read.host), shown(queue_id));
        if let (b"smtpd", Some(client)) = (read.service, rest.strip_prefix(b"client=")) {
            return self.begin(key, client, &read, clock);
        }
        let Some(open) = self.open.get_mut(&key) else { return Joined::Noted };
        if let (b"cleanup", Some(id)) = (read.service, rest.strip_prefix(b"message-id=")) {
            open.message_id = (!id.is_empty()).then(|| shown(id));
        }
        let queued = if read.service == b"qmgr" { queued(rest) } else { None };
        let Some((sender, size, recipients)) = queued else { return Joined::Noted };
        let Some(row) = self.open.remove(&key) else { return Joined::Noted };
        let sender = if sender.is_empty() { String::new() } else { shown(sender) };
        Joined::Message(Box::new(MailRow { line: number, sender, size, recipients, ..row }))
    }

    fn begin(&mut self, key: (String, String), client: &[u8], read: &Read<'_>, clock: &Clock<'_>) -> Joined {
        let Some((address, port, login)) = client_of(client) else { return Joined::Noted };
        let at = match moment(read.stamp, clock) {
            Ok(at) => rfc3339(at).unwrap_or_default(),
            Err(why) => return Joined::Unreadable(why),
        };
        let row = MailRow {
            at,
            mta: key.0.clone(),
            queue_id: key.1.clone(),
            address,
            port,
            login: login.map(shown),
            ..MailRow::default()
        };
        while self.in_order.len() >= OPEN_MAX {
            let Some(oldest) = self.in_order.pop_front() else { break };
            self.open.remove(&oldest);
        }
        self.in_order.push_back(key.clone());
        self.open.insert(key, row);
        Joined::Noted
    }
}

/// Octets as the API spells a name.
fn shown(octets: &[u8]) -> String {
    Name::new(octets).to_string()
}

/// A line of a Postfix, taken apart.
struct Read<'a> {
    stamp: &'a str,
    host: &'a [u8],
    /// `smtpd`, whatever stands before it in `postfix/submission/smtpd`.
    service: &'a [u8],
    text: &'a [u8],
}

impl<'a> Read<'a> {
    fn of(line: &'a [u8]) -> Option<Read<'a>> {
        let (stamp, rest) = stamped(line)?;
        let (host, rest) = cut(rest, b' ')?;
        let (program, text) = cut(rest, b' ')?;
        let program = program.strip_suffix(b":")?;
        let program = cut(program, b'[').map_or(program, |(name, _)| name);
        // A syslog_name of the operator's own still has the service behind it.
        let at = program.iter().rposition(|&octet| octet == b'/')?;
        let service = program.get(at.saturating_add(1)..)?;
        let known: [&[u8]; 3] = [b"smtpd", b"cleanup", b"qmgr"];
        known.contains(&service).then_some(Read { stamp, host, service, text })
    }
}

/// What stands before and behind the first one of these.
fn cut(octets: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = octets.iter().position(|&octet| octet == mark)?;
    Some((octets.get(..at)?, octets.get(at.saturating_add(1)..)?))
}

/// Length of `Nov  3 14:00:05`.
const SYSLOG_STAMP: usize = 15;

/// A stamp, and what stands behind it and a space.
fn stamped(line: &[u8]) -> Option<(&str, &[u8])> {
    let length = match line.first()? {
        b'0'..=b'9' => line.iter().position(|&octet| octet == b' ')?,
        _ => SYSLOG_STAMP,
    };
    let stamp = std::str::from_utf8(line.get(..length)?).ok()?;
    let rest = line.get(length..)?.strip_prefix(b" ")?;
    Some((stamp, rest))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A stamp of syslog has no year: it is the latest one with which it is not later than the file.
fn moment(stamp: &str, clock: &Clock<'_>) -> Result<Timestamp, String> {
    if stamp.starts_with(|first: char| first.is_ascii_digit()) {
        return parse_rfc3339(stamp).ok_or_else(|| "its stamp is not RFC 3339".to_owned());
    }
    let wrong = || "its stamp is no moment".to_owned();
    let mut parts = stamp.split_ascii_whitespace();
    let (Some(month), Some(day), Some(hour), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    if hour.len() != "14:00:05".len() {
        return Err(wrong());
    }
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month).map(|(number, _): (u8, _)| number);
    let (month, day) = month.zip(day.parse::<u8>().ok()).ok_or_else(wrong)?;
    let as_of = jiff::Timestamp::from_millisecond(clock.as_of.millis()).map_err(|_| wrong())?;
    let year = clock.zone.to_datetime(as_of).year();
    let latest = clock.as_of.plus(AHEAD_MAX);
    let mut why = wrong();
    // The last day of a year may be logged before the zone's new year, and read after it.
    let years = (0..=YEARS_BACK.saturating_add(1)).map(|back| year.saturating_add(1).saturating_sub(back));
    for year in years {
        match time::written(&format!("{year:04}-{month:02}-{day:02} {hour}"), clock.zone) {
            Ok(at) if at <= latest => return Ok(at),
            Ok(_) => {}
            Err(error @ (time::TimeError::Twice { .. } | time::TimeError::Never { .. })) => {
                // In this year it would be a wrong one; an hour that was there twice is not guessed.
                if latest >= first_of(year, clock.zone) {
                    return Err(format!("its stamp: {error}"));
                }
            }
            Err(_) => why = wrong(),
        }
    }
    Err(why)
}

/// When a year begins.
fn first_of(year: i16, zone: &TimeZone) -> Timestamp {
    time::written(&format!("{year:04}-01-01 12:00:00"), zone).unwrap_or(Timestamp::from_millis(i64::MAX))
}

/// A queue id, and what stands behind it.
fn queue_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (id, rest) = cut(text, b':')?;
    let plain = id.iter().all(u8::is_ascii_alphanumeric) && (5..=QUEUE_ID_MAX).contains(&id.len());
    (plain && id != b"NOQUEUE").then_some((id, rest.strip_prefix(b" ")?))
}

type Client<'a> = (Option<IpAddr>, Option<u16>, Option<&'a [u8]>);

/// `name[198.51.100.7]:40112, sasl_method=PLAIN, sasl_username=alice`
fn client_of(text: &[u8]) -> Option<Client<'_>> {
    let (_, rest) = cut(text, b'[')?;
    let (address, rest) = cut(rest, b']')?;
    let address = std::str::from_utf8(address).ok()?;
    let address: IpAddr = address.strip_prefix("IPv6:").unwrap_or(address).parse().ok()?;
    let port = rest.strip_prefix(b":").map(|rest| cut(rest, b',').map_or(rest, |(port, _)| port));
    let port = port.and_then(|port| std::str::from_utf8(port).ok()?.parse().ok()).filter(|port| *port > 0);
    // A login is the client's own choice of characters: it ends where Postfix goes on, seen from the end of the line.
    let login = find(rest, b", sasl_username=").and_then(|(_, login)| {
        let ends: [&[u8]; 3] = [b", sasl_sender=", b", orig_queue_id=", b", orig_client="];
        let end = ends.iter().filter_map(|end| find(login, end).map(|(before, _)| before.len())).min();
        login.get(..end.unwrap_or(login.len()))
    });
    Some((Some(address.to_canonical()), port, login.filter(|login| !login.is_empty())))
}

/// `from=<sender>, size=2100, nrcpt=2 (queue active)`
fn queued(text: &[u8]) -> Option<(&[u8], u64, u32)> {
    let rest = text.strip_prefix(b"from=<")?;
    let rest = rest.strip_suffix(b" (queue active)").unwrap_or(rest);
    let mark: &[u8] = b">, size=";
    // A sender may have anything in quotes, so what Postfix says is looked for from the end.
    let at = rest.windows(mark.len()).rposition(|window| window == mark)?;
    let (size, recipients) = find(rest.get(at.saturating_add(mark.len())..)?, b", nrcpt=")?;
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    Some((rest.get(..at)?, number(size)?, u32::try_from(number(recipients)?).ok()?))
}

/// What stands before and behind the first time that this is there.
fn find<'a>(octets: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = octets.windows(mark.len()).position(|window| window == mark)?;
    Some((octets.get(..at)?, octets.get(at.saturating_add(mark.len())..)?))
}

#[cfg(test)]
mod tests;
