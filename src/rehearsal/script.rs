//! The text of stories to steps that can be played.
//!
//! Knows: the statements. Must not know: what comes of them.

use std::net::IpAddr;

use super::answer::{Answer, PastAnswer, Question};
use super::expectation::Expectation;
use super::records::{Attributes, Told};
use super::settings::Setting;
use super::words::{When, duration, name, unquoted, words};
use super::{Fault, Mistake, Scenario};
use crate::session::Name;

/// One line.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    /// The moment to go to first.
    pub(super) at: Option<When>,
    pub(super) what: Statement,
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Statement {
    /// `client`, `rule`, `nat`, `listed`.
    Setting(Setting),
    /// `clock`: the NAS as it names itself, how far its clock is ahead of ours in milliseconds (`None`: it has none),
    /// and whether that is known already.
    Clock { nas: Told, skew: Option<i64>, learned: bool },
    /// `host clock forward 61m`, `back 40m`: our own clock is set, by so many milliseconds.
    HostClock { by: i64 },
    /// `nas`.
    Record(Box<Told>),
    /// `hold bras1 until 14:00`: staff says that a NAS is under maintenance.
    Hold { nas: Name, until: When },
    /// `again`: the last datagram, octet for octet.
    Again,
    /// Only time goes on.
    Wait,
    /// `restart`, `restart after 2h`.
    Restart { after: When },
    /// `restart empty`: nothing is left of what was known.
    Anew,
    /// `lookup`.
    Lookup(Question, Option<Answer>),
    /// `past`.
    Past(Question, When, Option<PastAnswer>),
    /// `expect`.
    Expect(Expectation),
}

const STATEMENTS: &str = "client, rule, nat, listed, clock, host, nas, again, hold, advance, restart, lookup, past, expect, or `at` a time and one of them";

pub(super) fn read(text: &str) -> Result<Vec<Scenario>, Mistake> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if let Some(title) = text.strip_prefix("scenario:") {
            let (title, tags) = title_and_tags(title);
            scenarios.push(Scenario { title, tags, line, steps: Vec::new() });
            continue;
        }
        let mistake = |fault| Mistake { line, fault };
        let words = words(text).map_err(mistake)?;
        if words.is_empty() {
            continue;
        }
        let scenario = scenarios.last_mut().ok_or_else(|| mistake(Fault::NoTitle))?;
        let (at, what) = Words { words, next: 0 }.step().map_err(mistake)?;
        scenario.steps.push(Step { line, at, what });
    }
    Ok(scenarios)
}

/// `a Stop frees the address [10] [44]`.
fn title_and_tags(text: &str) -> (String, Vec<String>) {
    let mut title = text.trim();
    let mut tags = Vec::new();
    while let Some((before, tag)) = title.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        tags.insert(0, tag.to_owned());
        title = before.trim_end();
    }
    (title.to_owned(), tags)
}

/// The words of a line, one after the other.
pub(super) struct Words<'a> {
    words: Vec<&'a str>,
    next: usize,
}

impl<'a> Words<'a> {
    /// The next word, whatever it is.
    pub(super) fn any(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied();
        self.next = self.next.saturating_add(usize::from(word.is_some()));
        word
    }

    /// The next word, which must be there.
    pub(super) fn next(&mut self, wanted: &'static str) -> Result<&'a str, Fault> {
        self.any().ok_or(Fault::Unexpected { word: String::new(), wanted })
    }

    /// Whether the next word is this one; then it is taken.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let there = self.words.get(self.next) == Some(&word);
        self.next = self.next.saturating_add(usize::from(there));
        there
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &[&'a str] {
        let rest = self.words.get(self.next..).unwrap_or_default();
        self.next = self.words.len();
        rest
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.next >= self.words.len()
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.any().map_or(Ok(()), |word| Err(unexpected(word, "nothing more on this line")))
    }

    pub(super) fn moment(&mut self) -> Result<When, Fault> {
        When::read(self.next(When::WANTED)?)
    }

    pub(super) fn address(&mut self) -> Result<IpAddr, Fault> {
        let wanted = "an address";
        let word = self.next(wanted)?;
        word.parse().map_err(|_| unexpected(word, wanted))
    }

    fn step(mut self) -> Result<(Option<When>, Statement), Fault> {
        let at = if self.take("at") { Some(self.moment()?) } else { None };
        if at.is_some() && self.is_over() {
            return Ok((at, Statement::Wait));
        }
        let what = match self.next(STATEMENTS)? {
            "client" => {
                let name = self.next("the name of a client")?;
                Statement::Setting(Setting::client(name, self.rest()))
            }
            "rule" => Statement::Setting(Setting::rule(self.rest())),
            "nat" => Statement::Setting(Setting::nat(self.rest())),
            "listed" => Statement::Setting(Setting::listed(self.rest())),
            "clock" => self.clock()?,
            "host" => self.host_clock()?,
            "nas" => Statement::Record(Box::new(Told::read(&mut self)?)),
            "hold" => {
                let nas = name(self.next("the name of a NAS")?);
                if !self.take("until") {
                    return Err(unexpected(self.any().unwrap_or_default(), "`until` and a time"));
                }
                Statement::Hold { nas, until: self.moment()? }
            }
            "again" => Statement::Again,
            "advance" => {
                let wanted = "how long, as 5m";
                let word = self.next(wanted)?;
                let span = duration(word).ok_or_else(|| unexpected(word, wanted))?;
                self.end()?;
                return match at {
                    None => Ok((Some(When::After(span)), Statement::Wait)),
                    Some(_) => Err(unexpected("advance", "`at` or `advance`, not both")),
                };
            }
            "restart" => self.restart()?,
            "lookup" => {
                let question = Question::read(&mut self)?;
                let answer = self.arrow()?.then(|| Answer::read(&mut self)).transpose()?;
                Statement::Lookup(question, answer)
            }
            "past" => {
                let question = Question::read(&mut self)?;
                let wanted = "`at` and a time";
                let word = self.next(wanted)?;
                if word != "at" {
                    return Err(unexpected(word, wanted));
                }
                let moment = self.moment()?;
                let answer = self.arrow()?.then(|| PastAnswer::read(&mut self)).transpose()?;
                Statement::Past(question, moment, answer)
            }
            "expect" => Statement::Expect(Expectation::read(&mut self)?),
            other => return Err(unexpected(other, STATEMENTS)),
        };
        self.end()?;
        Ok((at, what))
    }

    /// Whether an expectation follows.
    fn arrow(&mut self) -> Result<bool, Fault> {
        match self.any() {
            None => Ok(false),
            Some("->") => Ok(true),
            Some(other) => Err(unexpected(other, "`->` and the answer, or nothing more")),
        }
    }

    /// `bras1 slow 66s learned`, after `clock`.
    fn clock(&mut self) -> Result<Statement, Fault> {
        let wanted = "right, slow 66s, fast 66s or none";
        let (mut nas, mut list) = Told::naming(self.next("the name of a client")?);
        let word = loop {
            let word = self.next(wanted)?;
            if !word.contains('=') {
                break word;
            }
            nas.option(word, &mut list)?;
        };
        nas.content = super::records::Content::Attributes(Attributes::encoded(&list)?);
        let skew = match word {
            "none" => None,
            "right" => Some(0),
            "slow" | "fast" => {
                let wanted = "how far, as 66s";
                let far = self.next(wanted)?;
                let span = duration(far).ok_or_else(|| unexpected(far, wanted))?;
                let span = i64::try_from(span.as_millis()).unwrap_or_default();
                Some(if word == "slow" { -span } else { span })
            }
            other => return Err(unexpected(other, wanted)),
        };
        Ok(Statement::Clock { nas, skew, learned: self.take("learned") })
    }

    /// `clock back 40m`, after `host`.
    fn host_clock(&mut self) -> Result<Statement, Fault> {
        let wanted = "clock, and forward 61m or back 40m";
        let word = self.next(wanted)?;
        if word != "clock" {
            return Err(unexpected(word, wanted));
        }
        let way = self.next(wanted)?;
        let far = self.next(wanted)?;
        let span = duration(far).ok_or_else(|| unexpected(far, wanted))?;
        let by = i64::try_from(span.as_millis()).unwrap_or_default();
        match way {
            "forward" => Ok(Statement::HostClock { by }),
            "back" => Ok(Statement::HostClock { by: -by }),
            other => Err(unexpected(other, wanted)),
        }
    }

    fn restart(&mut self) -> Result<Statement, Fault> {
        if self.take("empty") {
            return Ok(Statement::Anew);
        }
        let wanted = "how long, as 2h";
        let after = if self.take("after") { self.next(wanted)? } else { "0s" };
        let span = duration(after).ok_or_else(|| unexpected(after, wanted))?;
        Ok(Statement::Restart { after: When::After(span) })
    }
}

pub(super) fn unexpected(word: &str, wanted: &'static str) -> Fault {
    Fault::Unexpected { word: unquoted(word).to_owned(), wanted }
}
