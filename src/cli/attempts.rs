//! `attempts`: what was refused or deferred, in words for whoever has the customer on the telephone.
//!
//! Knows: options, and which columns people look at first. Must not know: how attempts are kept.

use std::fmt::Write as _;
use std::net::IpAddr;

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::tz::TimeZone;

use super::output::{Row, safe};
use super::read::{Question, Within, listed_in_words, name};
use super::rows::{NOTHING, local, number, or_nothing, subscribers, text};
use super::{Answer, Daemon, Failure, Shown};
use crate::relay::attempts::Reference;
use crate::relay::verdict::{Reason, Verdict};
use crate::server::http::attempts::AttemptRow;

/// `attempts`
#[derive(Debug, Clone, Args)]
pub struct AttemptsArgs {
    /// What the text of the refusal ended with, such as 1a2b3c4d
    #[arg(value_parser = reference)]
    pub reference: Option<Reference>,
    /// From this client address
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub subscriber: Option<String>,
    /// For this reason
    #[arg(long, value_name = "REASON", hide_possible_values = true, value_parser = reasons())]
    pub reason: Option<String>,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

fn reference(text: &str) -> Result<Reference, &'static str> {
    // As it stands in a bounce, it may be pasted whole.
    let digits = text.trim().trim_start_matches('(').trim_end_matches(')');
    let digits = digits.strip_prefix("ref ").unwrap_or(digits);
    Reference::of(digits).ok_or("not the eight hex digits that a refusal ends with")
}

fn reasons() -> PossibleValuesParser {
    let held_back = Reason::ALL.iter().filter(|reason| reason.verdict() != Verdict::Permit);
    PossibleValuesParser::new(held_back.map(|reason| reason.word()))
}

/// Lists attempts. People get beneath the table what each reason means and what to do about it.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &AttemptsArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/attempts", &args.shown);
    question.with("reference", args.reference);
    question.with("address", args.address);
    question.with("subscriber", name(args.subscriber.as_ref()));
    question.with("reason", args.reason.as_ref());
    question.within(&args.within, &style.zone)?;
    let nothing = "no attempt matches; what was let go is in `relaywarden messages`";
    listed_in_words(&question, &args.daemon, &style, nothing, in_words)
}

/// Each reason once, in the order of the rows.
pub(super) fn in_words(rows: &[AttemptRow]) -> String {
    let (mut told, mut words) = (Vec::new(), String::new());
    for row in rows {
        if !told.contains(&&row.reason) {
            told.push(&row.reason);
            // Writing to a String can't fail.
            let _ = write!(
                words,
                "\n{}: {}.\n  To do: {}.\n",
                safe(&row.reason),
                safe(&row.meaning),
                safe(&row.remedy)
            );
        }
    }
    words
}

impl Row for AttemptRow {
    const HEADINGS: &'static [&'static str] =
        &["AT", "COUNT", "REF", "ADDRESS", "SUBSCRIBER", "SENDER", "TO", "VERDICT"];
    const FIELDS: &'static [&'static str] = &[
        "reference",
        "at",
        "until",
        "count",
        "mta",
        "profile",
        "verdict",
        "reason",
        "meaning",
        "remedy",
        "address",
        "port",
        "subscriber",
        "session",
        "nas",
        "login",
        "helo",
        "sender",
        "recipient_domain",
        "suspension",
        "observed",
        "candidates",
    ];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let owner = match (&self.subscriber, &self.login, self.candidates.as_slice()) {
            (Some(subscriber), _, _) => subscriber.clone(),
            (None, _, [_, ..]) => format!("one of: {}", subscribers(&self.candidates)),
            (None, Some(login), []) => format!("login {login}"),
            (None, None, []) => NOTHING.to_owned(),
        };
        let verdict = self.verdict.as_ref().map(|verdict| format!("{verdict}: ")).unwrap_or_default();
        let observed = if self.observed { " (observed)" } else { "" };
        vec![
            local(Some(&self.at), zone),
            self.count.to_string(),
            self.reference.clone(),
            or_nothing(self.address.as_deref()),
            owner,
            or_nothing(Some(&self.sender)),
            or_nothing(Some(&self.recipient_domain)),
            format!("{verdict}{}{observed}", self.reason),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.reference.clone(),
            self.at.clone(),
            self.until.clone(),
            self.count.to_string(),
            self.mta.clone(),
            self.profile.clone(),
            text(self.verdict.as_deref()),
            self.reason.clone(),
            self.meaning.clone(),
            self.remedy.clone(),
            text(self.address.as_deref()),
            number(self.port),
            text(self.subscriber.as_deref()),
            text(self.session.as_deref()),
            text(self.nas.as_deref()),
            text(self.login.as_deref()),
            self.helo.clone(),
            self.sender.clone(),
            self.recipient_domain.clone(),
            number(self.suspension),
            self.observed.to_string(),
            subscribers(&self.candidates),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_may_be_pasted_as_it_stands_in_a_bounce() {
        for text in ["1a2b3c4d", "1A2B3C4D", "(ref 1a2b3c4d)", "ref 1a2b3c4d"] {
            assert_eq!(reference(text), Ok(Reference(0x1a2b_3c4d)), "{text}");
        }
        assert!(reference("4711").is_err());
    }

    #[test]
    fn each_reason_is_explained_once() {
        let row = |reason: &str| AttemptRow {
            reason: reason.to_owned(),
            meaning: format!("{reason} means"),
            remedy: "do".to_owned(),
            ..AttemptRow::default()
        };
        let words = in_words(&[row("a"), row("b"), row("a")]);
        assert_eq!(words, "\na: a means.\n  To do: do.\n\nb: b means.\n  To do: do.\n");
    }
}
