//! The first page, with whose an address was, and the page of one message.
//!
//! Knows: what belongs to an answer. Must not know: how it was found.

use askama::Template;

use super::chart::{Held, Lanes, Window};
use super::link::{Href, Link};
use super::lists::{MessageTable, SessionTable};
use super::{Frame, NOTHING, words};
use crate::server::http::api::{MessageRow, SessionRow, SuspensionRow, Who, parse_rfc3339};
use crate::server::http::cases::EvidenceRow;
use crate::session::Timestamp;

/// The first page: a box that takes anything, and what came of it.
#[derive(Debug, Template)]
#[template(path = "look.html")]
pub struct Look {
    /// What is around it.
    pub frame: Frame,
    /// What stands in the box.
    pub q: String,
    /// What stands in the field for the time.
    pub at: String,
    /// The VRF of a private address.
    pub realm: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a look-up.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing was asked: how things are.
    Overview(Overview),
    /// It can't be answered so.
    Remark(String),
    /// It may mean one of these.
    Choice(String, Vec<Link>),
    /// Whose an address was.
    Card(Box<Card>),
    /// What a word is known as.
    Found(Found),
}

/// How things are.
#[derive(Debug, Default)]
pub struct Overview {
    /// Whether lookups are true.
    pub ready: bool,
    /// Why not; also what else is wrong.
    pub reasons: Vec<String>,
    /// How many NASes there are.
    pub feeds: usize,
    /// How many of them are not whole.
    pub troubled: usize,
    /// Active sessions.
    pub active: u64,
    /// How many are suspended.
    pub suspended: usize,
}

/// Whose an address was.
#[derive(Debug)]
pub struct Card {
    /// The answer.
    pub who: Who,
    /// What mail servers are told now.
    pub now: Who,
    /// Whether the answer is about another moment than now.
    pub past: bool,
    /// Whether it was found in a pasted line, and what was found there.
    pub from_line: bool,
    /// Who had it around that moment.
    pub owners: Lanes,
    /// The same as rows.
    pub sessions: Vec<SessionRow>,
    /// What was sent from it.
    pub messages: Vec<MessageRow>,
    /// The subscriber's suspension.
    pub suspension: Option<SuspensionRow>,
    /// To the story of the address, its sessions, its messages, and this answer as JSON.
    pub links: Vec<Link>,
}

impl Card {
    fn confidence(&self) -> words::Badge {
        words::confidence(&self.who.confidence)
    }

    fn why(&self) -> String {
        words::why(&self.who)
    }

    fn whose(&self) -> &'static str {
        words::whose(&self.who)
    }

    fn verdict(&self) -> words::Badge {
        words::verdict(self.now.verdict.as_deref().unwrap_or(NOTHING))
    }

    fn reason(&self) -> &str {
        self.now.reason.as_deref().map_or("", words::reason)
    }

    /// What was asked about.
    fn asked(&self) -> String {
        let address = self.who.address.as_deref().unwrap_or(NOTHING);
        match self.who.port {
            Some(port) => format!("{address} port {port}"),
            None => address.to_owned(),
        }
    }

    /// Where the line ends, of an answer with one owner.
    fn line(&self) -> Option<String> {
        match self.who.candidates.as_slice() {
            [only] => words::line(&only.line),
            _ => None,
        }
    }

    fn ports(&self) -> Option<&str> {
        match self.who.candidates.as_slice() {
            [only] => only.ports.as_deref(),
            _ => None,
        }
    }

    /// Whether the candidates are to be told one by one.
    fn several(&self) -> bool {
        self.who.subscriber.is_none() && !self.who.candidates.is_empty() || self.who.candidates.len() > 1
    }
}

/// Draws who had an address. Sessions that were taken over without a Stop end where the next one begins.
#[must_use]
pub fn owners(frame: &Frame, who: &Who, sessions: &[SessionRow], window: Window, asked: Timestamp) -> Lanes {
    let mut spans: Vec<(Timestamp, Timestamp, &SessionRow)> = sessions
        .iter()
        .filter_map(|row| {
            let since = parse_rfc3339(row.valid_from.as_deref()?)?;
            let until = row.valid_until.as_deref().and_then(parse_rfc3339).unwrap_or(frame.now);
            Some((since, until, row))
        })
        .collect();
    spans.sort_by_key(|(since, ..)| *since);
    let begins: Vec<Timestamp> = spans.iter().map(|(since, ..)| *since).collect();
    let held = spans.into_iter().map(|(since, until, row)| {
        let next = begins.iter().copied().find(|next| *next > since);
        let until = match (row.state.as_str(), next) {
            ("superseded", Some(next)) => until.min(next),
            _ => until,
        };
        let name = row.subscriber.as_deref().unwrap_or("no name");
        let chosen = who.session.as_deref() == Some(row.session.as_str());
        let doubtful = who.candidates.iter().any(|one| one.session.as_deref() == Some(row.session.as_str()));
        let class = match (chosen, doubtful) {
            (true, _) => "chosen",
            (false, true) => "doubtful",
            (false, false) => "other",
        };
        let (from, to) = (frame.zone.spelled(since), frame.zone.spelled(until));
        let last = if row.valid_until.is_none() && until == frame.now { "now".to_owned() } else { to };
        let title = format!("{name}: {from} to {last}");
        Held { lane: String::new(), since, until, class, text: name.to_owned(), title }
    });
    let address = who.address.as_deref().unwrap_or_default();
    Lanes::new("owners", format!("Who had {address}"), window, &frame.zone, held.collect(), 4)
        .asking(window, asked)
}

/// What a word is known as.
#[derive(Debug, Default)]
pub struct Found {
    /// The word.
    pub word: String,
    /// Messages with this queue id.
    pub by_queue_id: Vec<MessageRow>,
    /// Messages with this token.
    pub by_token: Vec<MessageRow>,
    /// Messages with this Message-ID.
    pub by_message_id: Vec<MessageRow>,
    /// Messages of this login.
    pub by_login: Vec<MessageRow>,
    /// Sessions of this subscriber.
    pub sessions: Vec<SessionRow>,
    /// Whether there is such a subscriber.
    pub subscriber: bool,
}

impl Found {
    fn nothing(&self) -> bool {
        self.by_queue_id.is_empty()
            && self.by_token.is_empty()
            && self.by_message_id.is_empty()
            && self.by_login.is_empty()
            && !self.subscriber
    }
}

/// One message.
#[derive(Debug, Template)]
#[template(path = "message.html")]
pub struct Message {
    /// What is around it.
    pub frame: Frame,
    /// The queue id that was asked for.
    pub queue_id: String,
    /// The message, and others that fit as well; each with whose it is known to have been by now, where that is surely another.
    pub rows: Vec<(MessageRow, Option<Who>)>,
    /// The same as JSON and CSV.
    pub as_rows: [Href; 2],
}

impl Frame {
    /// A message, and its page.
    #[must_use]
    pub fn message(&self, row: &MessageRow) -> Link {
        let MessageRow { at, mta, queue_id, instance, .. } = row;
        let told = [("at", at.as_str()), ("mta", mta), ("queue_id", queue_id), ("instance", instance)];
        let text = if queue_id.is_empty() { "message" } else { queue_id };
        Link::new(self.href("/message", &told), text)
    }

    /// Where a message came from, and whose that was then.
    #[must_use]
    pub fn client(&self, row: &MessageRow) -> Link {
        self.address(row.address.as_deref(), row.port, Some(row.at.as_str()))
    }

    /// The address that a report names, and whose it was then.
    #[must_use]
    pub fn reported(&self, evidence: &EvidenceRow) -> Link {
        self.address(evidence.address.as_deref(), evidence.port, evidence.arrival.as_deref())
    }

    /// A message by its mail server and queue id, as evidence names it.
    #[must_use]
    pub fn named(&self, message: &str) -> Link {
        match message.split_once(' ') {
            Some((mta, queue_id)) => {
                Link::new(self.href("/message", &[("mta", mta), ("queue_id", queue_id)]), message)
            }
            None => Link::nowhere(message),
        }
    }

    /// What a session held: an address, and whose it was then. A prefix, or a block of ports, is no one address.
    #[must_use]
    pub fn held(&self, place: &str, row: &SessionRow) -> Link {
        match place.parse::<std::net::IpAddr>() {
            Ok(_) => {
                let at = row.valid_from.as_deref().unwrap_or_default();
                let realm = row.realm.as_deref().unwrap_or_default();
                Link::new(self.href("/", &[("q", place), ("at", at), ("realm", realm)]), place)
            }
            Err(_) => Link::nowhere(place),
        }
    }
}

impl Message {
    fn octets(row: &MessageRow) -> String {
        format!("{} ({} octets)", words::octets(row.size), words::number(row.size))
    }
}
