//! What the access side was asked to do about the lines of those whose mail is held back, and what it said: entries, and the fold over
//! them.
//!
//! What is asked is written down before it is sent, so that a daemon that was stopped in between knows that it may have taken
//! effect. The last word about each session is kept for as long as the session lives, or the order that it followed from holds.
//!
//! Knows: acts and answers. Must not know: how a NAS is spoken to, or which session ought to be asked about.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::standing::{Standing, Subject};
use crate::session::{Name, SessionKey, Timestamp};

/// The last words about so many sessions of one subscriber are kept; those of sessions that are over go first.
const LINES_MAX: usize = 16;

/// What a line is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Act {
    /// As for somebody who is held back.
    Restrict,
    /// As before.
    Restore,
}

impl Act {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Act::Restrict => "restrict",
            Act::Restore => "restore",
        }
    }
}

/// By which request (RFC 5176).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Means {
    /// CoA-Request.
    Coa,
    /// Disconnect-Request.
    Disconnect,
}

impl Means {
    /// The word in the configuration and in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Means::Coa => "coa",
            Means::Disconnect => "disconnect",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// It is about to be sent.
    Asked,
    /// It was done.
    Ack,
    /// It was not done; the Error-Cause, where one was told.
    Nak(Option<u32>),
    /// Nothing, however often it was sent.
    Silence,
    /// It was not sent, for it is only watched what would be.
    Observed,
    /// It can't be sent: nothing that the configuration says would name the session.
    Unsayable,
}

impl Said {
    /// The word in output and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Said::Asked => "asked",
            Said::Ack => "ack",
            Said::Nak(_) => "nak",
            Said::Silence => "silence",
            Said::Observed => "observed",
            Said::Unsayable => "unsayable",
        }
    }
}

/// What was asked about a session, and what came of it. A log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Of which session.
    pub session: SessionKey,
    /// Whose.
    pub subscriber: Name,
    /// Sequence of the order that it follows from: of the one that restricted, where it is restored.
    pub reference: u64,
    /// The case from which that was ordered.
    pub case: Option<u64>,
    /// What was asked.
    pub act: Act,
    /// How.
    pub means: Means,
    /// What came of it.
    pub said: Said,
    /// The same in words: what the NAS said, or what would have been sent.
    pub words: Name,
}

impl fmt::Display for Told {
    /// For people, in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let means = match self.means {
            Means::Coa => "CoA-Request",
            Means::Disconnect => "Disconnect-Request",
        };
        let (act, nas, session) = (self.act.word(), &self.session.nas, &self.session.id);
        write!(f, "{means} to {act} session {session} of {nas}: {}", self.words)
    }
}

/// The last word about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// It.
    pub told: Told,
    /// The session is over.
    pub is_over: bool,
}

/// The last word about each session. A view: rebuilt from the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lines {
    of: BTreeMap<Name, Vec<Line>>,
    /// Whose each session is, to know it when it ends.
    #[serde(skip)]
    whose: HashMap<SessionKey, Name>,
}

impl Lines {
    /// The same as it came from a snapshot.
    #[must_use]
    pub fn restored(mut self) -> Self {
        let known = self.of.iter().flat_map(|(name, lines)| lines.iter().map(move |line| (name, line)));
        let living = known.filter(|(_, line)| !line.is_over);
        self.whose = living.map(|(name, line)| (line.told.session.clone(), name.clone())).collect();
        self
    }

    /// Whether nothing is known of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Folds what was asked or said. It takes the place of the last word about the same session.
    pub fn fold(&mut self, told: &Told, standing: &Standing) {
        if (told.act, told.said) == (Act::Restore, Said::Ack) {
            // As if nothing had ever been asked.
            self.forget(told);
            return self.settle(standing, told.at);
        }
        let lines = self.of.entry(told.subscriber.clone()).or_default();
        match lines.iter_mut().find(|line| line.told.session == told.session) {
            // The answer to a Disconnect-Request may come behind the Stop.
            Some(line) => line.told = told.clone(),
            None => {
                if lines.len() >= LINES_MAX {
                    let over = lines.iter().position(|line| line.is_over).unwrap_or_default();
                    let gone = lines.remove(over);
                    self.whose.remove(&gone.told.session);
                }
                lines.push(Line { told: told.clone(), is_over: false });
                self.whose.insert(told.session.clone(), told.subscriber.clone());
            }
        }
        self.settle(standing, told.at);
    }

    fn forget(&mut self, told: &Told) {
        self.whose.remove(&told.session);
        if let Some(lines) = self.of.get_mut(&told.subscriber) {
            lines.retain(|line| line.told.session != told.session);
        }
    }

    /// A session has ended.
    pub fn end(&mut self, session: &SessionKey) {
        if self.whose.is_empty() {
            return;
        }
        let Some(name) = self.whose.remove(session) else { return };
        let lines = self.of.get_mut(&name);
        if let Some(line) =
            lines.and_then(|lines| lines.iter_mut().find(|line| line.told.session == *session))
        {
            line.is_over = true;
        }
    }

    /// Forgets sessions that are over, of whom is held back no longer.
    pub fn settle(&mut self, standing: &Standing, at: Timestamp) {
        self.of.retain(|name, lines| {
            let subject = Subject::Subscriber(name.clone());
            let held =
                standing.suspension(&subject, at).is_some() || standing.limited(&subject, at).is_some();
            lines.retain(|line| held || !line.is_over);
            !lines.is_empty()
        });
    }

    /// The last words about the sessions of a subscriber, oldest session first.
    #[must_use]
    pub fn of(&self, subscriber: &Name) -> &[Line] {
        self.of.get(subscriber).map_or(&[], Vec::as_slice)
    }

    /// The last word about a session.
    #[must_use]
    pub fn about(&self, subscriber: &Name, session: &SessionKey) -> Option<&Told> {
        self.of(subscriber).iter().find(|line| line.told.session == *session).map(|line| &line.told)
    }

    /// Everybody of whom something is known.
    pub fn subscribers(&self) -> impl Iterator<Item = &Name> {
        self.of.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::super::standing::{Command, Order};
    use super::*;

    fn told(session: &str, said: Said) -> Told {
        let key = SessionKey {
            nas: Name::from("bras1"),
            id: Name::from(session),
            incarnation: Timestamp::from_millis(0),
        };
        Told {
            at: Timestamp::from_millis(5),
            session: key,
            subscriber: Name::from("bob"),
            reference: 7,
            case: None,
            act: Act::Restrict,
            means: Means::Coa,
            said,
            words: Name::from("acknowledged"),
        }
    }

    fn suspended() -> Standing {
        let mut standing = Standing::default();
        let order = Order::Suspend { until: Some(Timestamp::from_millis(10)) };
        standing.fold(
            7,
            &Command {
                at: Timestamp::from_millis(1),
                by: Name::from("root"),
                subject: Subject::Subscriber(Name::from("bob")),
                order,
                reason: Name::from("spam"),
            },
        );
        standing
    }

    #[test]
    fn the_last_word_about_a_session_is_kept_while_it_lives_or_the_order_holds() {
        let (mut lines, standing, bob) = (Lines::default(), suspended(), Name::from("bob"));
        lines.fold(&told("1", Said::Asked), &standing);
        lines.fold(&told("1", Said::Ack), &standing);
        lines.fold(&told("2", Said::Silence), &standing);
        let said = |lines: &Lines| lines.of(&bob).iter().map(|line| line.told.said).collect::<Vec<_>>();
        assert_eq!(said(&lines), [Said::Ack, Said::Silence]);
        lines.end(&told("1", Said::Ack).session);
        assert_eq!(said(&lines), [Said::Ack, Said::Silence], "the order holds");
        lines.settle(&standing, Timestamp::from_millis(9));
        assert_eq!(said(&lines).len(), 2);
        lines.settle(&standing, Timestamp::from_millis(10));
        assert_eq!(said(&lines), [Said::Silence], "it has run out, and the other session lives");
        let written = postcard::to_stdvec(&lines).unwrap();
        let mut again = postcard::from_bytes::<Lines>(&written).unwrap().restored();
        assert_eq!(again, lines);
        again.end(&told("2", Said::Ack).session);
        again.settle(&standing, Timestamp::from_millis(10));
        assert!(again.is_empty());
    }

    #[test]
    fn a_line_that_was_restored_is_as_if_nothing_had_ever_been_asked() {
        let (mut lines, standing) = (Lines::default(), suspended());
        lines.fold(&told("1", Said::Ack), &standing);
        let restored = |said| Told { act: Act::Restore, ..told("1", said) };
        lines.fold(&restored(Said::Silence), &standing);
        assert!(!lines.is_empty());
        lines.fold(&restored(Said::Ack), &standing);
        assert!(lines.is_empty() && lines.whose.is_empty());
    }

    #[test]
    fn sixteen_sessions_of_one_subscriber_are_kept_and_those_that_are_over_go_first() {
        let (mut lines, standing, bob) = (Lines::default(), suspended(), Name::from("bob"));
        for number in 0..LINES_MAX {
            lines.fold(&told(&number.to_string(), Said::Ack), &standing);
        }
        lines.end(&told("3", Said::Ack).session);
        lines.fold(&told("x", Said::Ack), &standing);
        let there = |id: &str| lines.about(&bob, &told(id, Said::Ack).session).is_some();
        assert!(lines.of(&bob).len() == LINES_MAX && there("0") && there("x") && !there("3"));
    }
}
