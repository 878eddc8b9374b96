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

/// The last words about so many sessions of one subscriber that are over are kept, the newest. Those that live are as many as there
/// are sessions: without its last word a line would be asked about again and again, and never be restored.
const OVER_MAX: usize = 16;

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
    /// It was restricted, or may have been by a request whose answer was lost.
    held: bool,
    /// The session is over.
    pub is_over: bool,
}

impl Line {
    fn new(told: &Told, is_over: bool) -> Self {
        Line { held: told.act == Act::Restore || restricts(told), told: told.clone(), is_over }
    }

    /// Whether the line may be restricted: nothing but a restored line, or the end of the session, says that it is not.
    #[must_use]
    pub fn may_hold(&self) -> bool {
        self.held || is_question(&self.told)
    }

    fn hear(&mut self, told: &Told) {
        // What was asked and not answered may have been done, whatever is said next.
        let is_answer = told.act == Act::Restrict && matches!(told.said, Said::Nak(_));
        self.held |= restricts(told) || is_question(&self.told) && !is_answer;
        self.told = told.clone();
    }
}

fn is_question(told: &Told) -> bool {
    (told.act, told.said) == (Act::Restrict, Said::Asked)
}

fn restricts(told: &Told) -> bool {
    told.act == Act::Restrict && matches!(told.said, Said::Ack | Said::Silence)
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

    /// Folds what was asked or said. It takes the place of the last word about the same session, whether that lives or not; of a
    /// session that is over and of which nothing was known, nothing is kept.
    pub fn fold(&mut self, told: &Told, standing: &Standing, lives: bool) {
        let name = &told.subscriber;
        if (told.act, told.said) == (Act::Restore, Said::Ack) {
            // As if nothing had ever been asked.
            self.forget(told);
            return self.settle_of(name, standing, told.at);
        }
        let known = self.of.get_mut(name).into_iter().flatten();
        match known.into_iter().find(|line| line.told.session == told.session) {
            // The answer to a Disconnect-Request may come behind the Stop.
            Some(line) => line.hear(told),
            None if lives => {
                self.of.entry(name.clone()).or_default().push(Line::new(told, false));
                self.whose.insert(told.session.clone(), name.clone());
            }
            None => {}
        }
        self.settle_of(name, standing, told.at);
    }

    fn forget(&mut self, told: &Told) {
        self.whose.remove(&told.session);
        if let Some(lines) = self.of.get_mut(&told.subscriber) {
            lines.retain(|line| line.told.session != told.session);
        }
    }

    /// A session has ended at this moment. Whether anything was known of it.
    pub fn end(&mut self, session: &SessionKey, standing: &Standing, at: Timestamp) -> bool {
        if self.whose.is_empty() {
            return false;
        }
        let Some(name) = self.whose.remove(session) else { return false };
        let known = self.of.get_mut(&name).into_iter().flatten();
        if let Some(line) = known.into_iter().find(|line| line.told.session == *session) {
            line.is_over = true;
        }
        self.settle_of(&name, standing, at);
        true
    }

    /// Forgets sessions that are over, of whom is held back no longer.
    pub fn settle(&mut self, standing: &Standing, at: Timestamp) {
        self.of.retain(|name, lines| remain(name, lines, standing, at));
    }

    fn settle_of(&mut self, name: &Name, standing: &Standing, at: Timestamp) {
        let remain = |lines| remain(name, lines, standing, at);
        if !self.of.get_mut(name).is_none_or(remain) {
            self.of.remove(name);
        }
    }

    /// The last words about the sessions of a subscriber, oldest session first.
    #[must_use]
    pub fn of(&self, subscriber: &Name) -> &[Line] {
        self.of.get(subscriber).map_or(&[], Vec::as_slice)
    }

    /// The last word about a session.
    #[must_use]
    pub fn about(&self, subscriber: &Name, session: &SessionKey) -> Option<&Line> {
        self.of(subscriber).iter().find(|line| line.told.session == *session)
    }

    /// Everybody of whom something is known about a session that lives.
    pub fn subscribers(&self) -> impl Iterator<Item = &Name> {
        let lives = |lines: &[Line]| lines.iter().any(|line| !line.is_over);
        self.of.iter().filter(move |(_, lines)| lives(lines)).map(|(name, _)| name)
    }
}

/// Lets go what need not be known of a subscriber any more. Whether anything is left.
fn remain(name: &Name, lines: &mut Vec<Line>, standing: &Standing, at: Timestamp) -> bool {
    let over = lines.iter().filter(|line| line.is_over).count();
    if over > 0 {
        let subject = Subject::Subscriber(name.clone());
        let is_held = standing.suspension(&subject, at).is_some() || standing.limited(&subject, at).is_some();
        let mut too_many = if is_held { over.saturating_sub(OVER_MAX) } else { over };
        lines.retain(|line| {
            let goes = line.is_over && too_many > 0;
            too_many = too_many.saturating_sub(usize::from(goes));
            !goes
        });
    }
    !lines.is_empty()
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
        lines.fold(&told("1", Said::Asked), &standing, true);
        lines.fold(&told("1", Said::Ack), &standing, true);
        lines.fold(&told("2", Said::Silence), &standing, true);
        let said = |lines: &Lines| lines.of(&bob).iter().map(|line| line.told.said).collect::<Vec<_>>();
        assert_eq!(said(&lines), [Said::Ack, Said::Silence]);
        let now = Timestamp::from_millis(6);
        lines.end(&told("1", Said::Ack).session, &standing, now);
        assert_eq!(said(&lines), [Said::Ack, Said::Silence], "the order holds");
        lines.settle(&standing, Timestamp::from_millis(9));
        assert_eq!(said(&lines).len(), 2);
        lines.settle(&standing, Timestamp::from_millis(10));
        assert_eq!(said(&lines), [Said::Silence], "it has run out, and the other session lives");
        let written = postcard::to_stdvec(&lines).unwrap();
        let mut again = postcard::from_bytes::<Lines>(&written).unwrap().restored();
        assert_eq!(again, lines);
        again.end(&told("2", Said::Ack).session, &standing, Timestamp::from_millis(10));
        assert!(again.is_empty());
    }

    #[test]
    fn a_line_that_was_restored_is_as_if_nothing_had_ever_been_asked() {
        let (mut lines, standing) = (Lines::default(), suspended());
        lines.fold(&told("1", Said::Ack), &standing, true);
        let restored = |said| Told { act: Act::Restore, ..told("1", said) };
        lines.fold(&restored(Said::Silence), &standing, true);
        assert!(!lines.is_empty());
        lines.fold(&restored(Said::Ack), &standing, true);
        assert!(lines.is_empty() && lines.whose.is_empty());
    }

    #[test]
    fn every_session_that_lives_is_kept_however_many_there_are_and_sixteen_that_are_over() {
        let (mut lines, standing, bob) = (Lines::default(), suspended(), Name::from("bob"));
        let ids: Vec<String> = (0..=OVER_MAX).map(|number| number.to_string()).collect();
        for id in &ids {
            lines.fold(&told(id, Said::Ack), &standing, true);
        }
        let there = |lines: &Lines, id: &str| lines.about(&bob, &told(id, Said::Ack).session).is_some();
        assert!(ids.iter().all(|id| there(&lines, id)), "seventeen live");
        let end = |lines: &mut Lines, id: &str| {
            lines.end(&told(id, Said::Ack).session, &standing, Timestamp::from_millis(6))
        };
        for id in &ids[..OVER_MAX] {
            end(&mut lines, id);
        }
        assert!(ids.iter().all(|id| there(&lines, id)), "sixteen are over, and one lives");
        end(&mut lines, &ids[OVER_MAX]);
        assert!(lines.of(&bob).len() == OVER_MAX && !there(&lines, "0") && there(&lines, "16"));
    }

    #[test]
    fn a_word_about_a_session_that_is_over_makes_no_line_and_changes_one_that_is_there() {
        let (mut lines, standing, bob) = (Lines::default(), suspended(), Name::from("bob"));
        for said in [Said::Asked, Said::Ack, Said::Silence, Said::Nak(None)] {
            lines.fold(&told("1", said), &standing, false);
            assert!(lines.is_empty() && lines.whose.is_empty(), "{said:?}");
        }
        lines.fold(&told("1", Said::Asked), &standing, true);
        lines.end(&told("1", Said::Asked).session, &standing, Timestamp::from_millis(6));
        lines.fold(&told("1", Said::Ack), &standing, false);
        let [line] = lines.of(&bob) else { panic!("{lines:?}") };
        assert!(line.told.said == Said::Ack && line.is_over);
        assert_eq!(lines.subscribers().count(), 0, "nothing is to be done about it");
    }

    #[test]
    fn a_session_that_ends_after_its_order_leaves_nothing() {
        let (mut lines, standing) = (Lines::default(), suspended());
        lines.fold(&told("1", Said::Ack), &standing, true);
        assert!(lines.end(&told("1", Said::Ack).session, &standing, Timestamp::from_millis(10)));
        assert!(lines.is_empty());
        assert!(!lines.end(&told("1", Said::Ack).session, &standing, Timestamp::from_millis(10)));
    }

    #[test]
    fn what_may_have_been_done_is_remembered_until_it_is_undone() {
        let (standing, bob) = (suspended(), Name::from("bob"));
        for (words, expected) in [
            (&[Said::Asked][..], true),
            (&[Said::Asked, Said::Ack], true),
            (&[Said::Asked, Said::Nak(None)], false),
            (&[Said::Observed], false),
            (&[Said::Unsayable], false),
            (&[Said::Asked, Said::Observed], true),
            (&[Said::Asked, Said::Unsayable], true),
            (&[Said::Asked, Said::Silence, Said::Observed], true),
            (&[Said::Asked, Said::Silence, Said::Nak(None)], true),
            (&[Said::Asked, Said::Silence, Said::Unsayable], true),
            // A daemon was stopped between the two: the first may have been done.
            (&[Said::Asked, Said::Asked, Said::Nak(None)], true),
            (&[Said::Asked, Said::Nak(None), Said::Asked, Said::Nak(None)], false),
        ] {
            let mut lines = Lines::default();
            for said in words {
                lines.fold(&told("1", *said), &standing, true);
            }
            let may_hold =
                |lines: &Lines| lines.about(&bob, &told("1", Said::Ack).session).map(Line::may_hold);
            assert_eq!(may_hold(&lines), Some(expected), "{words:?}");
            let restored = |said| Told { act: Act::Restore, ..told("1", said) };
            lines.fold(&restored(Said::Nak(None)), &standing, true);
            assert_eq!(may_hold(&lines), Some(expected), "{words:?}: it was not restored");
            lines.fold(&restored(Said::Ack), &standing, true);
            assert_eq!(may_hold(&lines), None);
        }
    }
}
