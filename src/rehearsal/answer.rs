//! What is asked, and what is answered: the words after `lookup` and `past`.
//!
//! Knows: how a ruling and an answer about the past are written. Must not know: how either is found.

use std::fmt;
use std::net::IpAddr;

use super::Fault;
use super::script::{Words, unexpected};
use super::words::{name, spelled};
use crate::audit::rows::{Confidence, PastOwner};
use crate::relay::ruling::Ruling;
use crate::relay::verdict::{Reason, Verdict};
use crate::session::Name;

/// About whom.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) realm: Option<Name>,
}

impl Question {
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Fault> {
        let mut question = Question { address: words.address()?, port: None, realm: None };
        loop {
            if words.take("port") {
                let wanted = "a port";
                let word = words.next(wanted)?;
                question.port = Some(word.parse().map_err(|_| unexpected(word, wanted))?);
            } else if words.take("realm") {
                question.realm = Some(name(words.next("the name of a realm")?));
            } else {
                return Ok(question);
            }
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        self.port.iter().try_for_each(|port| write!(f, " port {port}"))?;
        self.realm.iter().try_for_each(|realm| write!(f, " realm {}", spelled(realm)))
    }
}

/// What a mail server is told, why, and who is named: `permit alice`, `refuse not-online`, `defer conflict alice bob`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    reason: Reason,
    /// In order; `None`: somebody without a name.
    names: Vec<Option<Name>>,
}

impl Answer {
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Fault> {
        let verdicts = "permit, refuse or defer";
        let word = words.next(verdicts)?;
        let Some(verdict) = [Verdict::Permit, Verdict::Refuse, Verdict::Defer]
            .into_iter()
            .find(|verdict| verdict.word() == word)
        else {
            return Err(unexpected(word, verdicts));
        };
        let mut names = Vec::new();
        if verdict == Verdict::Permit {
            names.push(one(words.next("whom")?));
            if words.is_over() {
                return Ok(Answer { reason: Reason::Online, names });
            }
        }
        let reason = reason(verdict, words)?;
        if reason == Reason::Conflict {
            names.extend(words.rest().iter().map(|word| one(word)));
            names.sort();
        }
        Ok(Answer { reason, names })
    }

    pub(super) fn of(ruling: &Ruling) -> Self {
        let mut names = Vec::new();
        if ruling.verdict() == Verdict::Permit || ruling.reason == Reason::Conflict {
            names.extend(ruling.owners.iter().map(|owner| owner.subscriber.clone()));
            names.sort();
        }
        Answer { reason: ruling.reason, names }
    }
}

fn reason(verdict: Verdict, words: &mut Words<'_>) -> Result<Reason, Fault> {
    let wanted = match verdict {
        Verdict::Permit => "why: feed-stale, static, login or changed-hands",
        Verdict::Refuse => "why: not-online, suspended, never, no-identity, no-login or no-address",
        Verdict::Defer => {
            "why: just-freed, session-suspect, conflict, port-required, warm-up, nas-silent or nas-lagging"
        }
    };
    let word = words.next(wanted)?;
    let known = Reason::ALL.iter().find(|reason| reason.word() == word && reason.verdict() == verdict);
    known.copied().ok_or_else(|| unexpected(word, wanted))
}

fn one(word: &str) -> Option<Name> {
    (word != "-").then(|| name(word))
}

fn write_names(f: &mut fmt::Formatter<'_>, names: &[Option<Name>]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, " {}", name.as_ref().map_or("-".to_owned(), spelled)))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.reason.verdict();
        f.write_str(verdict.word())?;
        if verdict == Verdict::Permit {
            write_names(f, &self.names)?;
            return match self.reason {
                Reason::Online => Ok(()),
                other => write!(f, " {}", other.word()),
            };
        }
        write!(f, " {}", self.reason.word())?;
        write_names(f, &self.names)
    }
}

/// How sure, and who it may have been: `exact alice`, `exact nobody`, `ambiguous alice bob`, `unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PastAnswer {
    confidence: Confidence,
    names: Vec<Option<Name>>,
}

impl PastAnswer {
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Fault> {
        let wanted = "exact, until-last-interim, ambiguous or unknown";
        let word = words.next(wanted)?;
        let all =
            [Confidence::Exact, Confidence::UntilLastInterim, Confidence::Ambiguous, Confidence::Unknown];
        let known = all.into_iter().find(|confidence| confidence.word() == word);
        let confidence = known.ok_or_else(|| unexpected(word, wanted))?;
        let mut names: Vec<_> =
            words.rest().iter().filter(|word| **word != NOBODY).map(|word| one(word)).collect();
        names.sort();
        Ok(PastAnswer { confidence, names })
    }

    pub(super) fn of(owner: &PastOwner) -> Self {
        let mut names: Vec<_> =
            owner.candidates.iter().map(|candidate| candidate.subscriber.clone()).collect();
        names.sort();
        names.dedup();
        PastAnswer { confidence: owner.confidence, names }
    }
}

const NOBODY: &str = "nobody";

impl fmt::Display for PastAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.confidence.word())?;
        if self.names.is_empty() {
            return write!(f, " {NOBODY}");
        }
        write_names(f, &self.names)
    }
}
