//! `send`: one accounting record, a list of them, or a Status-Server, to any accounting server.
//!
//! Knows: options and how they become a record, and where lists are read from. Must not know: octets; `radius::text`
//! reads lists and `server::nas` speaks.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use ipnet::Ipv6Net;

use super::check::SystemFiles;
use super::{Answer, Exit, Failure, time};
use crate::clock;
use crate::radius::dictionary::Dictionary;
use crate::radius::text;
use crate::server::nas::{Nas, Outcome, Patience, Report, SendError, Status};

/// The NAS-Identifier when none is given: RFC 2866, 4.1 wants the NAS named.
const OUR_NAME: &str = "relaywarden-send";

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Accounting Start
    Start,
    /// Interim-Update
    Interim,
    /// Accounting Stop
    Stop,
    /// Accounting-On: the NAS begins anew
    On,
    /// Accounting-Off: the NAS goes down
    Off,
    /// Status-Server: is it there?
    Status,
}

/// `send`
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("record").multiple(true)))]
pub struct SendArgs {
    /// What to send
    #[arg(value_enum, required_unless_present = "file")]
    pub what: Option<What>,
    /// Send the requests in this file instead, one after the other: `Name = value` lines as radclient -f reads them,
    /// with blank lines between requests. Acct-Status-Type says what each is; `-` is standard input
    #[arg(long, value_name = "LIST", conflicts_with_all = ["what", "record"])]
    pub file: Option<PathBuf>,
    /// A dictionary of FreeRADIUS 3 with further names for the list, as in radius.dictionaries; may be repeated
    #[arg(long, value_name = "FILE", requires = "file")]
    pub dictionary: Vec<PathBuf>,
    /// The accounting server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1813")]
    pub server: String,
    /// The shared secret; everybody on this host can read it in the process list
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "secret_file",
        conflicts_with = "secret_file"
    )]
    pub secret: Option<String>,
    /// A file that holds the shared secret; a line end behind it does not count
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Send from this local address
    #[arg(long, value_name = "ADDRESS")]
    pub source: Option<IpAddr>,
    /// User-Name
    #[arg(long, value_name = "NAME", group = "record")]
    pub user: Option<String>,
    /// Acct-Session-Id
    #[arg(long, value_name = "ID", required_if_eq_any = [("what", "start"), ("what", "interim"), ("what", "stop")], group = "record")]
    pub session_id: Option<String>,
    /// Framed-IP-Address or Framed-IPv6-Address; may be repeated
    #[arg(long, group = "record")]
    pub address: Vec<IpAddr>,
    /// Framed-IPv6-Prefix; may be repeated
    #[arg(long, value_name = "PREFIX", group = "record")]
    pub ipv6_prefix: Vec<Ipv6Net>,
    /// Delegated-IPv6-Prefix; may be repeated
    #[arg(long, value_name = "PREFIX", group = "record")]
    pub delegated_prefix: Vec<Ipv6Net>,
    /// NAS-Identifier [default: relaywarden-send, unless --nas-address is given]
    #[arg(long, value_name = "TEXT", group = "record")]
    pub nas_identifier: Option<String>,
    /// NAS-IP-Address or NAS-IPv6-Address
    #[arg(long, value_name = "ADDRESS", group = "record")]
    pub nas_address: Option<IpAddr>,
    /// NAS-Port-Id
    #[arg(long, value_name = "TEXT", group = "record")]
    pub port_id: Option<String>,
    /// Calling-Station-Id
    #[arg(long, value_name = "TEXT", group = "record")]
    pub calling_station: Option<String>,
    /// Acct-Delay-Time in seconds
    #[arg(long, value_name = "SECONDS", group = "record")]
    pub delay: Option<u32>,
    /// Event-Timestamp
    #[arg(long, value_name = "TIME", group = "record")]
    pub event_time: Option<String>,
    /// Acct-Session-Time in seconds
    #[arg(long, value_name = "SECONDS", group = "record")]
    pub session_time: Option<u32>,
    /// Acct-Terminate-Cause by number, such as 1 for User Request
    #[arg(long, value_name = "N", group = "record")]
    pub terminate_cause: Option<u32>,
    /// Acct-Interim-Interval in seconds
    #[arg(long, value_name = "SECONDS", group = "record")]
    pub interval: Option<u32>,
    /// Wait so many seconds for the answer to each copy
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout: u64,
    /// Send so many copies in all
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub retries: u32,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// What there is to say to the server.
enum Speech {
    Status,
    Report(Box<Report>),
    /// Attributes of one request each.
    Requests(Vec<Vec<u8>>),
}

/// Sends it, and says what came of it.
///
/// # Errors
/// See [`Failure`]; silence is no failure but an exit code.
pub fn run(args: &SendArgs) -> Result<Answer, Failure> {
    let secret = secret(args)?;
    let server = resolve(&args.server)?;
    let speech = speech(args)?;
    let patience = Patience { timeout: Duration::from_secs(args.timeout), attempts: args.retries };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Send(SendError::Socket(error)))?;
    let exchange = async {
        let mut nas = Nas::connect(args.source, server, &secret, patience).await?;
        let outcome = match &speech {
            Speech::Report(report) => nas.report(report).await?,
            Speech::Status => {
                nas.status(args.nas_identifier.as_deref().unwrap_or(OUR_NAME).as_bytes()).await?
            }
            Speech::Requests(requests) => return all(&mut nas, requests, server, args.retries).await,
        };
        Ok(answer(outcome, server, args.retries))
    };
    runtime.block_on(exchange).map_err(Failure::Send)
}

/// Sends requests in order, up to the first without a genuine answer: a Stop that came through without its Start would
/// tell another story than the one that was written.
async fn all(
    nas: &mut Nas,
    requests: &[Vec<u8>],
    server: SocketAddr,
    attempts: u32,
) -> Result<Answer, SendError> {
    let mut text = String::new();
    for (number, attributes) in (1_usize..).zip(requests) {
        let place = format!("request {number} of {}", requests.len());
        let answer = answer(nas.request(attributes).await?, server, attempts);
        if let Some(remark) = answer.remark {
            return Ok(Answer { text, remark: Some(format!("{place}: {remark}")), exit: answer.exit });
        }
        text.extend([&place, ": ", &answer.text]);
    }
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn answer(outcome: Outcome, server: SocketAddr, attempts: u32) -> Answer {
    let silent = |remark: String, exit| Answer { text: String::new(), remark: Some(remark), exit };
    match outcome {
        Outcome::Answered { after, attempt } => Answer {
            text: format!("{server} answered in {} (copy {attempt} of {attempts})\n", Millis(after)),
            remark: None,
            exit: Exit::Found,
        },
        Outcome::Silence { refused: true } => {
            silent(format!("nothing listens at {server}; is the accounting server running?"), Exit::TryAgain)
        }
        Outcome::Silence { refused: false } => silent(
            format!(
                "{server} gave no answer to {attempts} copies; a server stays silent when it does not know the sender, \
                 when the secret differs, or when it can't store the record"
            ),
            Exit::TryAgain,
        ),
        Outcome::WrongAuthenticator => silent(
            format!("{server} answered, but not with this secret; compare both sides' secrets"),
            Exit::Protocol,
        ),
    }
}

/// A duration in milliseconds with two decimals.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.0.as_secs_f64() * 1000.0)
    }
}

fn secret(args: &SendArgs) -> Result<Vec<u8>, Failure> {
    let Some(path) = &args.secret_file else {
        return Ok(args.secret.clone().unwrap_or_default().into_bytes());
    };
    let octets = fs::read(path).map_err(|error| Failure::File(path.clone(), error))?;
    Ok(octets.trim_ascii_end().to_vec())
}

fn resolve(server: &str) -> Result<SocketAddr, Failure> {
    let failed = |error| Failure::NoServer(server.to_owned(), error);
    let mut found = server.to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

fn speech(args: &SendArgs) -> Result<Speech, Failure> {
    if let Some(path) = &args.file {
        return Ok(Speech::Requests(requests(path, &args.dictionary)?));
    }
    let status = match args.what {
        Some(What::Start) => Status::Start,
        Some(What::Interim) => Status::Interim,
        Some(What::Stop) => Status::Stop,
        Some(What::On) => Status::On,
        Some(What::Off) => Status::Off,
        // The command line asks for something to say; with nothing said, asking is all that does no harm.
        Some(What::Status) | None => return Ok(Speech::Status),
    };
    Ok(Speech::Report(Box::new(report(args, status)?)))
}

/// The attributes of every request in a list.
fn requests(path: &Path, dictionaries: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut dictionary = Dictionary::beside_builtin();
    for path in dictionaries {
        // What it lacks is said where the list needs it; what else is odd in it is for check-config to say.
        dictionary.read(path, &SystemFiles).map_err(Failure::Dictionary)?;
    }
    let unreadable = |error| Failure::File(path.to_owned(), error);
    let text = match path.to_str() {
        Some("-") => io::read_to_string(io::stdin()),
        _ => fs::read_to_string(path),
    };
    let requests = text::parse_requests(&text.map_err(unreadable)?, &dictionary);
    let requests = requests.map_err(|error| Failure::List(path.to_owned(), error))?;
    if requests.is_empty() {
        return Err(Failure::EmptyList(path.to_owned()));
    }
    Ok(requests)
}

fn report(args: &SendArgs, status: Status) -> Result<Report, Failure> {
    let octets = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
    let named =
        args.nas_identifier.clone().or_else(|| args.nas_address.is_none().then(|| OUR_NAME.to_owned()));
    Ok(Report {
        status,
        user: octets(&args.user),
        session_id: octets(&args.session_id),
        addresses: args.address.clone(),
        ipv6_prefixes: args.ipv6_prefix.clone(),
        delegated_prefixes: args.delegated_prefix.clone(),
        nas_identifier: octets(&named),
        nas_address: args.nas_address,
        port_id: octets(&args.port_id),
        calling_station: octets(&args.calling_station),
        delay: args.delay,
        session_time: args.session_time,
        terminate_cause: args.terminate_cause,
        interval: args.interval,
        event: event(args)?,
    })
}

/// RFC 2869, 5.3: seconds since 1970 in 32 bits without sign.
fn event(args: &SendArgs) -> Result<Option<u32>, Failure> {
    let Some(text) = &args.event_time else { return Ok(None) };
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let at = time::parse(text, clock::now(), &zone).map_err(|error| Failure::Time("--event-time", error))?;
    match u32::try_from(at.millis().div_euclid(1000)) {
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) => Err(Failure::Time("--event-time", time::TimeError::OutOfRange)),
    }
}
