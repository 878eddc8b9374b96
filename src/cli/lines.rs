//! `who -`: lines of somebody's log on standard input, each answered in its turn.
//!
//! Knows: how lines come in, and which question each becomes. Must not know: how a line is understood, or how an answer is
//! found.

use std::io::{self, BufRead};
use std::net::IpAddr;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::output::{self, Format, Row};
use super::read::{Question, WhoArgs, name};
use super::rows::{NOTHING, candidates_of, local, number, or_nothing, text};
use super::{Answer, Exit, Failure, time};
use crate::clock;
use crate::paste::wall::NotOnce;
use crate::paste::{self, Endpoint, LINE_OCTETS_MAX, Understood};
use crate::server::http::api::{Who, rfc3339};
use crate::session::Timestamp;

/// Each line is a question of its own, which is written down.
const LINES_MAX: u64 = 10_000;

/// A line, what was understood of it, and the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct LineRow {
    /// Counted from 1.
    line: u64,
    /// The address that was asked about.
    address: Option<String>,
    port: Option<u16>,
    at: Option<String>,
    /// What a person should know: nothing was found, or what was taken for the rest.
    remark: Option<String>,
    /// Further addresses, when none is marked as the client's; then nothing was asked.
    addresses: Vec<String>,
    answer: Option<Who>,
}

/// Answers line by line.
///
/// # Errors
/// See [`Failure`].
pub(super) fn answer(args: &WhoArgs, mut input: impl BufRead) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let otherwise = match &args.at {
        None => None,
        Some(at) => {
            let at = time::parse(at, clock::now(), &style.zone);
            Some(at.map_err(|error| Failure::Time("--at", error))?)
        }
    };
    let mut rows = Vec::new();
    let mut count: u64 = 0;
    while let Some(line) =
        next_line(&mut input).map_err(|error| Failure::File("standard input".into(), error))?
    {
        count = count.saturating_add(1);
        if count > LINES_MAX {
            return Err(Failure::TooManyLines(LINES_MAX));
        }
        if !line.trim_ascii().is_empty() {
            let understood = paste::read(&line, clock::now(), &style.zone);
            rows.push(ask(args, count, understood, otherwise)?);
        }
    }
    let text = match style.format {
        Format::Table | Format::Csv | Format::Ndjson => output::rows(&rows, &style)?,
        Format::Json => output::json(&rows)?,
    };
    let found = rows.iter().any(|row| row.answer.as_ref().is_some_and(Who::names_somebody));
    let remark = rows.is_empty().then(|| "no line on standard input".to_owned());
    Ok(Answer { text, remark, exit: if found { Exit::Found } else { Exit::NothingFound } })
}

/// A line without its end; what is beyond the longest is passed over unkept.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let (mut line, mut some) = (Vec::new(), false);
    loop {
        let piece = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            piece => piece?,
        };
        if piece.is_empty() {
            return Ok(some.then_some(line));
        }
        some = true;
        let end = piece.iter().position(|&octet| octet == b'\n');
        let length = end.unwrap_or(piece.len());
        let room = LINE_OCTETS_MAX.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..length.min(room)).unwrap_or_default());
        input.consume(end.map_or(length, |end| end.saturating_add(1)));
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

fn ask(
    args: &WhoArgs,
    line: u64,
    understood: Understood,
    otherwise: Option<Timestamp>,
) -> Result<LineRow, Failure> {
    let mut row = LineRow {
        line,
        address: None,
        port: None,
        at: None,
        remark: None,
        addresses: Vec::new(),
        answer: None,
    };
    let at = match understood.at {
        Some(Err(error)) => {
            row.remark = Some(why_not(error));
            None
        }
        Some(Ok(at)) => Some(at),
        None => otherwise,
    };
    row.at = at.and_then(rfc3339);
    let Endpoint { address, port } = match understood.endpoints.as_slice() {
        [] => {
            row.remark = Some("no address found in this line".to_owned());
            return Ok(row);
        }
        [only] => *only,
        several => {
            row.addresses = several.iter().map(spelled).collect();
            row.remark =
                Some(format!("several addresses, none marked as the client's: {}", row.addresses.join(" ")));
            return Ok(row);
        }
    };
    let port = port.or(args.port);
    row.address = Some(address.to_string());
    row.port = port;
    if row.remark.is_some() {
        return Ok(row);
    }
    let who: Who = question(args, address, port, row.at.as_ref()).ask(&args.daemon)?;
    if row.at.is_none() {
        row.remark = Some("no time found in this line: as of now".to_owned());
        row.at = Some(who.at.clone());
    }
    row.answer = Some(who);
    Ok(row)
}

fn question(args: &WhoArgs, address: IpAddr, port: Option<u16>, at: Option<&String>) -> Question {
    let mut question = Question::new(if at.is_some() { "/v1/owner" } else { "/v1/lookup" }, &args.shown);
    question.with("address", Some(address));
    question.with("port", port);
    question.with("realm", name(args.realm.as_ref()));
    question.with("at", at);
    question.with("within", args.within.as_ref().filter(|_| at.is_some()));
    question
}

fn why_not(error: NotOnce) -> String {
    format!("{}; ask with --at", time::TimeError::from(error))
}

fn spelled(endpoint: &Endpoint) -> String {
    match (endpoint.address, endpoint.port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
    }
}

impl LineRow {
    fn confidence(&self) -> Option<&str> {
        self.answer.as_ref().map(|who| who.confidence.as_str())
    }

    fn because(&self) -> Option<&str> {
        self.answer.as_ref().and_then(|who| who.because.as_deref())
    }
}

impl Row for LineRow {
    const HEADINGS: &'static [&'static str] =
        &["LINE", "ADDRESS", "PORT", "AT", "SUBSCRIBER", "CONFIDENCE", "REMARK"];
    const FIELDS: &'static [&'static str] = &[
        "line",
        "address",
        "port",
        "at",
        "remark",
        "addresses",
        "subscriber",
        "session",
        "nas",
        "valid_from",
        "valid_until",
        "confidence",
        "because",
        "candidates",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let whose = match &self.answer {
            None => NOTHING.to_owned(),
            Some(Who { subscriber: Some(subscriber), .. }) => subscriber.clone(),
            Some(who) if who.candidates.is_empty() => "nobody".to_owned(),
            Some(who) => format!("one of: {}", candidates_of(who)),
        };
        vec![
            self.line.to_string(),
            or_nothing(self.address.as_deref()),
            self.port.map_or_else(|| NOTHING.to_owned(), |port| port.to_string()),
            local(self.at.as_deref(), zone),
            if self.confidence() == Some("unknown") { "not known".to_owned() } else { whose },
            or_nothing(self.confidence()),
            self.remark.clone().or_else(|| self.because().map(str::to_owned)).unwrap_or_default(),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let who = self.answer.clone().unwrap_or_default();
        vec![
            self.line.to_string(),
            text(self.address.as_deref()),
            number(self.port),
            text(self.at.as_deref()),
            text(self.remark.as_deref()),
            self.addresses.join(" "),
            text(who.subscriber.as_deref()),
            text(who.session.as_deref()),
            text(who.nas.as_deref()),
            text(who.valid_from.as_deref()),
            text(who.valid_until.as_deref()),
            text(self.confidence()),
            text(self.because()),
            candidates_of(&who),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_their_longest_and_the_next_one_is_whole() {
        let text = [vec![b'a'; LINE_OCTETS_MAX + 1], b"\nnext\n\nlast".to_vec()].concat();
        let mut input = io::BufReader::with_capacity(7, text.as_slice());
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines[0].len(), LINE_OCTETS_MAX);
        assert_eq!(lines[1..], [b"next".to_vec(), Vec::new(), b"last".to_vec()]);
    }
}
