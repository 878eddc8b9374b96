//! Commands that ask: `who`, `explain`, `sessions`, `messages`, `suspensions`.
//!
//! Knows: which options become which parameters, and when "nothing found" is the answer. Must not know: how an answer is
//! found or spelled.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use clap::Args;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::output::{self, Format, Row, Style, safe};
use super::rows;
use super::{Answer, Daemon, Exit, Failure, Shown, lines, time};
use crate::clock;
use crate::server::http::api::{MessageRow, SessionRow, StoryRow, SuspensionRow, Who, rfc3339};
use crate::session::Name;

/// `who`
#[derive(Debug, Clone, Args)]
pub struct WhoArgs {
    /// The address; or - to read lines of a log from standard input and answer each
    #[arg(required_unless_present = "token", allow_hyphen_values = true)]
    pub address: Option<Whom>,
    /// The source port; needed where an address is shared
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The VRF of a private address [default: the public space]
    #[arg(long, value_name = "NAME")]
    pub realm: Option<String>,
    /// Then instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// All who had it so long before and after that time, such as 2m
    #[arg(long, value_name = "SPAN")]
    pub within: Option<String>,
    /// Whose message carries this token in its header
    #[arg(long, conflicts_with_all = ["address", "port", "realm", "at", "within"])]
    pub token: Option<String>,
    #[command(flatten)]
    pub(super) shown: Shown,
    #[command(flatten)]
    pub(super) daemon: Daemon,
}

/// Whom a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// An address.
    Address(IpAddr),
    /// Whoever the lines on standard input name.
    Lines,
}

impl FromStr for Whom {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" {
            return Ok(Whom::Lines);
        }
        let wrong = "not an IP address; quote a whole line of a log and give it to `who -` instead";
        text.parse().map(Whom::Address).map_err(|_| wrong)
    }
}

/// `explain`
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The address
    pub address: IpAddr,
    /// What concerns this port of it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The VRF of a private address [default: the public space]
    #[arg(long, value_name = "NAME")]
    pub realm: Option<String>,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// A span of time, and how many rows of it.
#[derive(Debug, Clone, Args)]
pub struct Within {
    /// From then on
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most so many rows, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: Option<u32>,
}

/// `sessions`
#[derive(Debug, Clone, Args)]
pub struct SessionsArgs {
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub subscriber: Option<String>,
    /// That held this address, or one in this prefix
    #[arg(long, value_name = "ADDRESS", value_parser = address_or_prefix)]
    pub address: Option<IpNet>,
    /// The VRF of that address, where it is a private one [default: the public space]
    #[arg(long, value_name = "NAME", requires = "address")]
    pub realm: Option<String>,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// `messages`
#[derive(Debug, Clone, Args)]
pub struct MessagesArgs {
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub subscriber: Option<String>,
    /// From this client address
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// With this queue id
    #[arg(long, value_name = "ID")]
    pub queue_id: Option<String>,
    /// With this token in the header
    #[arg(long)]
    pub token: Option<String>,
    /// With this Message-ID, where a milter saw it; with or without the brackets around it
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// With this SASL login
    #[arg(long, value_name = "NAME")]
    pub login: Option<String>,
    /// From this envelope sender, whatever its case
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// To this recipient, of the first hundred of a message
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// To a recipient in this domain
    #[arg(long, value_name = "DOMAIN")]
    pub recipient_domain: Option<String>,
    /// With this HELO name
    #[arg(long, value_name = "NAME")]
    pub helo: Option<String>,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// Commands without a filter.
#[derive(Debug, Clone, Args)]
pub struct PlainArgs {
    #[command(flatten)]
    pub(super) shown: Shown,
    #[command(flatten)]
    pub(super) daemon: Daemon,
}

fn address_or_prefix(text: &str) -> Result<IpNet, &'static str> {
    let host = text.parse::<IpAddr>().map(IpNet::from);
    host.or_else(|_| text.parse()).map_err(|_| "neither an IP address nor a prefix such as 198.51.100.0/24")
}

/// Parameters of one question.
pub(super) struct Question {
    path: Cow<'static, str>,
    query: Vec<(&'static str, String)>,
}

impl Question {
    pub(super) fn new(path: &'static str, shown: &Shown) -> Self {
        Question::of(path, shown)
    }

    pub(super) fn of(path: impl Into<Cow<'static, str>>, shown: &Shown) -> Self {
        let mut question = Question { path: path.into(), query: Vec::new() };
        question.with("purpose", shown.purpose.as_ref());
        question
    }

    pub(super) fn with<T: ToString>(&mut self, name: &'static str, value: Option<T>) {
        self.query.extend(value.map(|value| (name, value.to_string())));
    }

    pub(super) fn with_time(
        &mut self,
        name: &'static str,
        option: &'static str,
        text: Option<&str>,
        zone: &TimeZone,
    ) -> Result<(), Failure> {
        let Some(text) = text else { return Ok(()) };
        let at = time::parse(text, clock::now(), zone).map_err(|error| Failure::Time(option, error))?;
        self.with(name, rfc3339(at));
        Ok(())
    }

    pub(super) fn within(&mut self, within: &Within, zone: &TimeZone) -> Result<(), Failure> {
        self.with_time("since", "--since", within.since.as_deref(), zone)?;
        self.with_time("until", "--until", within.until.as_deref(), zone)?;
        self.with("limit", within.limit);
        Ok(())
    }

    fn ask_list<T: DeserializeOwned>(&self, daemon: &Daemon) -> Result<(Vec<T>, Option<String>), Failure> {
        Ok(daemon.client()?.ask_list(&self.path, &self.query)?)
    }

    pub(super) fn ask<T: DeserializeOwned>(&self, daemon: &Daemon) -> Result<T, Failure> {
        Ok(daemon.client()?.ask(&self.path, &self.query)?)
    }
}

/// A name as typed, in the spelling of the API: what is not text as we print it goes as hex.
pub(super) fn name(text: Option<&String>) -> Option<Name> {
    text.map(|text| Name::from_text(text))
}

/// Who owns an address, or owned it then.
///
/// # Errors
/// See [`Failure`].
pub fn who(args: &WhoArgs) -> Result<Answer, Failure> {
    let address = match args.address {
        Some(Whom::Lines) => return lines::answer(args, io::stdin().lock()),
        Some(Whom::Address(address)) => Some(address),
        None => None,
    };
    let style = args.shown.style()?;
    let past = args.at.is_some() || args.within.is_some() || args.token.is_some();
    let mut question = Question::new(if past { "/v1/owner" } else { "/v1/lookup" }, &args.shown);
    question.with("address", address);
    question.with("port", args.port);
    question.with("realm", name(args.realm.as_ref()));
    question.with("within", args.within.as_ref());
    question.with("token", name(args.token.as_ref()));
    question.with_time("at", "--at", args.at.as_deref(), &style.zone)?;
    let who: Who = question.ask(&args.daemon)?;
    let text = match style.format {
        Format::Table => rows::card(&who, &style.zone),
        Format::Json => output::json(&who)?,
        Format::Ndjson => output::ndjson(&who)?,
        Format::Csv => output::csv(std::slice::from_ref(&who))?,
    };
    Ok(Answer { text, remark: None, exit: exit_of(&who) })
}

/// "Nobody" and "not known yet" are different answers, to scripts too: the second is worth another try.
fn exit_of(who: &Who) -> Exit {
    if who.names_somebody() {
        Exit::Found
    } else if who.verdict.as_deref() == Some("defer") {
        Exit::TryAgain
    } else {
        Exit::NothingFound
    }
}

/// What came of each entry for an address.
///
/// # Errors
/// See [`Failure`].
pub fn explain(args: &ExplainArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/explain", &args.shown);
    question.with("address", Some(args.address));
    question.with("port", args.port);
    question.with("realm", name(args.realm.as_ref()));
    question.within(&args.within, &style.zone)?;
    listed::<StoryRow>(&question, &args.daemon, &style, "nothing was told about this address")
}

/// Sessions, living and past.
///
/// # Errors
/// See [`Failure`].
pub fn sessions(args: &SessionsArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/sessions", &args.shown);
    question.with("subscriber", name(args.subscriber.as_ref()));
    question.with("address", args.address);
    question.with("realm", name(args.realm.as_ref()));
    question.within(&args.within, &style.zone)?;
    listed::<SessionRow>(&question, &args.daemon, &style, "no session matches")
}

/// Messages that were let go.
///
/// # Errors
/// See [`Failure`].
pub fn messages(args: &MessagesArgs) -> Result<Answer, Failure> {
    let style = args.shown.style()?;
    let mut question = Question::new("/v1/messages", &args.shown);
    question.with("subscriber", name(args.subscriber.as_ref()));
    question.with("address", args.address);
    question.with("queue_id", name(args.queue_id.as_ref()));
    question.with("token", name(args.token.as_ref()));
    question.with("message_id", name(args.message_id.as_ref()));
    question.with("login", name(args.login.as_ref()));
    question.with("sender", name(args.sender.as_ref()));
    question.with("recipient", name(args.recipient.as_ref()));
    question.with("recipient_domain", name(args.recipient_domain.as_ref()));
    question.with("helo", name(args.helo.as_ref()));
    question.within(&args.within, &style.zone)?;
    listed::<MessageRow>(&question, &args.daemon, &style, "no message matches")
}

/// Who is suspended or limited.
///
/// # Errors
/// See [`Failure`].
pub fn suspensions(args: &PlainArgs) -> Result<Answer, Failure> {
    let question = Question::new("/v1/suspensions", &args.shown);
    let style = args.shown.style()?;
    let nothing = "nobody is suspended or limited";
    listed_in_words(&question, &args.daemon, &style, nothing, |rows: &[SuspensionRow]| {
        let said = rows.iter().flat_map(|row| row.access.iter().map(move |said| (&row.subject, said)));
        said.map(|(subject, said)| format!("{}: {}\n", safe(subject), safe(&said.words))).collect()
    })
}

pub(super) fn listed<R: Row + DeserializeOwned>(
    question: &Question,
    daemon: &Daemon,
    style: &Style,
    nothing: &str,
) -> Result<Answer, Failure> {
    listed_in_words::<R>(question, daemon, style, nothing, |_| String::new())
}

/// The same, with words below the table.
pub(super) fn listed_in_words<R: Row + DeserializeOwned>(
    question: &Question,
    daemon: &Daemon,
    style: &Style,
    nothing: &str,
    words: impl FnOnce(&[R]) -> String,
) -> Result<Answer, Failure> {
    let (rows, lost_from): (Vec<R>, _) = question.ask_list(daemon)?;
    let mut text = output::rows(&rows, style)?;
    if style.format == Format::Table {
        text.push_str(&words(&rows));
    }
    if let Some(lost_from) = lost_from {
        let since =
            if lost_from == "ever" { String::new() } else { format!(" from {} on", safe(&lost_from)) };
        let remark = Some(format!(
            "a part of the past{since} is lost, so rows may be missing; `relaywarden audit verify` says which"
        ));
        // Nothing found, and something lost, is not nothing.
        let exit = if rows.is_empty() { Exit::Damaged } else { Exit::Found };
        return Ok(Answer { text, remark, exit });
    }
    if rows.is_empty() {
        // Programs read it from the empty list and the exit code.
        let remark = (style.format == Format::Table).then(|| nothing.to_owned());
        return Ok(Answer { text, remark, exit: Exit::NothingFound });
    }
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_and_not_known_yet_are_different_exits() {
        let with = |verdict: &str, subscriber: Option<&str>| Who {
            verdict: Some(verdict.to_owned()),
            subscriber: subscriber.map(str::to_owned),
            ..Who::default()
        };
        assert_eq!(exit_of(&with("permit", Some("alice"))), Exit::Found);
        assert_eq!(exit_of(&with("defer", Some("alice"))), Exit::Found);
        assert_eq!(exit_of(&with("refuse", None)), Exit::NothingFound);
        assert_eq!(exit_of(&with("defer", None)), Exit::TryAgain);
        assert_eq!(exit_of(&Who::default()), Exit::NothingFound);
    }
}
