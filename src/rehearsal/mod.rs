//! Rehearsals: stories about accounting records as text, played through the real thing.
//!
//! A story says what NASes send and when, and what must be answered. Each record becomes a datagram, and goes the whole
//! way: decoding, the rules of its client, the machine, the ruling that a mail server would be told. The language is
//! in `docs/scenarios.md`; it has no means to reach into a session, so a story can only say what equipment can say.
//!
//! Knows: the language, and the order in which the daemon does things. Must not know: sockets, what time it is, where
//! stories are kept; samples come through a function.

mod answer;
mod expectation;
mod records;
mod script;
mod settings;
mod stage;
mod words;

use std::fmt;
use std::io;

use crate::config::Config;
use script::Step;

/// One story.
#[derive(Debug)]
pub struct Scenario {
    /// What it tells, without its tags.
    pub title: String,
    /// What it is about, as the title has it in brackets: rows of the decision table, and the like.
    pub tags: Vec<String>,
    /// The line of its title, counted from 1.
    pub line: usize,
    steps: Vec<Step>,
}

/// What a story is played with.
pub struct Props<'a> {
    /// The text of a sample, by its name.
    pub samples: &'a dyn Fn(&str) -> io::Result<String>,
    /// A configuration that counts instead of the story's own clients and rules.
    pub config: Option<&'a Config>,
}

/// The stories in a text.
///
/// # Errors
/// The first line that is not understood.
pub fn scenarios(text: &str) -> Result<Vec<Scenario>, Mistake> {
    script::read(text)
}

impl Scenario {
    /// Plays it. What its questions without an expectation were answered, a line each.
    ///
    /// # Errors
    /// The first line that comes out otherwise than told, or can't be played.
    pub fn play(&self, props: &Props<'_>) -> Result<Vec<String>, Mistake> {
        stage::play(&self.steps, props)
    }
}

/// A line that is not understood, can't be played, or comes out otherwise.
#[derive(Debug)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl Mistake {
    /// Whether the story was understood and played, and only came out otherwise.
    #[must_use]
    pub fn is_otherwise(&self) -> bool {
        matches!(self.fault, Fault::Otherwise { .. } | Fault::Forgotten)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.fault)
    }
}

impl std::error::Error for Mistake {}

/// What can be wrong with a line.
#[derive(Debug)]
pub enum Fault {
    /// It stands before the first title.
    NoTitle,
    /// A quote is not closed.
    UnclosedQuote,
    /// A word that means nothing where it stands.
    Unexpected {
        /// As written; empty at the end of the line.
        word: String,
        /// What may stand there.
        wanted: &'static str,
    },
    /// A record's option that is neither one of ours nor an attribute.
    UnknownOption {
        /// As written.
        word: String,
    },
    /// An attribute's value that can't be written.
    Attribute {
        /// As written.
        written: String,
        /// Why.
        fault: crate::radius::text::Fault,
    },
    /// The clients and rules so far make no configuration.
    Settings(String),
    /// A client that is not there.
    UnknownClient {
        /// As written.
        name: String,
        /// Those that are.
        known: String,
    },
    /// A source address that is another client's, or nobody's.
    ForeignSource {
        /// As written.
        source: std::net::IpAddr,
        /// Whose it should be.
        client: String,
    },
    /// No sample of this name.
    NoSample {
        /// As written.
        name: String,
        /// Why it could not be read.
        error: io::Error,
    },
    /// A sample that is no request.
    Sample {
        /// As written.
        name: String,
        /// What is wrong with it.
        error: crate::radius::text::TextError,
    },
    /// The records of one line are too long for a packet, or make none.
    NoPacket,
    /// A moment before the present one.
    Backwards {
        /// The present.
        now: String,
    },
    /// A moment that can't be told by a delay, and the NAS has no clock.
    NeedsClock,
    /// The line is about the last record, and there was none.
    NothingSent,
    /// Sessions of several NASes have this id.
    WhichNas {
        /// Which they are.
        nases: String,
    },
    /// The index could not be used.
    Index(String),
    /// It came out otherwise.
    Otherwise {
        /// What was told.
        expected: String,
        /// What came out.
        found: String,
    },
    /// Going on from a snapshot, or from the log, comes to another state than living through it.
    Forgotten,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoTitle => {
                f.write_str("a scenario begins with its title; write `scenario: what it tells`")
            }
            Fault::UnclosedQuote => f.write_str("a quote is not closed"),
            Fault::Unexpected { word, wanted } if word.is_empty() => {
                write!(f, "the line ends too soon; expected {wanted}")
            }
            Fault::Unexpected { word, wanted } => write!(f, "`{word}` is not understood; expected {wanted}"),
            Fault::UnknownOption { word } => write!(
                f,
                "`{word}` is neither an option nor an attribute; expected {}, or an attribute such as Class=0x01 or \
                 Cisco-AVPair=\"vrf-id=blue\"",
                records::OPTIONS
            ),
            Fault::Attribute { written, fault } => write!(f, "`{written}`: {fault}"),
            Fault::Settings(fault) => f.write_str(fault),
            Fault::UnknownClient { name, known } => {
                write!(f, "no client is called `{name}`; there is {known}")
            }
            Fault::ForeignSource { source, client } => {
                write!(f, "{source} is not an address of client `{client}`")
            }
            Fault::NoSample { name, error } => write!(f, "sample `{name}`: {error}"),
            Fault::Sample { name, error } => write!(f, "sample `{name}`: {error}"),
            Fault::NoPacket => f.write_str("this is too long for a packet"),
            Fault::Backwards { now } => write!(f, "time goes backwards: it is {now} already"),
            Fault::NeedsClock => f.write_str(
                "a NAS without a clock can only say how long ago it was; give it one with `clock` first",
            ),
            Fault::NothingSent => f.write_str("nothing was sent yet that this could be about"),
            Fault::WhichNas { nases } => {
                write!(f, "several NASes have such a session; write `of` and one of: {nases}")
            }
            Fault::Index(error) => write!(f, "the past can't be asked: {error}"),
            Fault::Otherwise { expected, found } => write!(f, "expected {expected}, but it is {found}"),
            Fault::Forgotten => f.write_str("a restart comes to another state than going on"),
        }
    }
}
