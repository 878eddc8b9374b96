//! `send`: one accounting record, or a Status-Server, to any accounting server.
//!
//! Knows: options and how they become a record. Must not know: octets; `server::nas` speaks.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::Ipv6Net;

use super::{Answer, Exit, Failure, time};
use crate::clock;
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
pub struct SendArgs {
    /// What to send
    #[arg(value_enum)]
    pub what: What,
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
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Acct-Session-Id
    #[arg(long, value_name = "ID", required_if_eq_any = [("what", "start"), ("what", "interim"), ("what", "stop")])]
    pub session_id: Option<String>,
    /// Framed-IP-Address or Framed-IPv6-Address; may be repeated
    #[arg(long)]
    pub address: Vec<IpAddr>,
    /// Framed-IPv6-Prefix; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub ipv6_prefix: Vec<Ipv6Net>,
    /// Delegated-IPv6-Prefix; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub delegated_prefix: Vec<Ipv6Net>,
    /// NAS-Identifier [default: relaywarden-send, unless --nas-address is given]
    #[arg(long, value_name = "TEXT")]
    pub nas_identifier: Option<String>,
    /// NAS-IP-Address or NAS-IPv6-Address
    #[arg(long, value_name = "ADDRESS")]
    pub nas_address: Option<IpAddr>,
    /// NAS-Port-Id
    #[arg(long, value_name = "TEXT")]
    pub port_id: Option<String>,
    /// Calling-Station-Id
    #[arg(long, value_name = "TEXT")]
    pub calling_station: Option<String>,
    /// Acct-Delay-Time in seconds
    #[arg(long, value_name = "SECONDS")]
    pub delay: Option<u32>,
    /// Event-Timestamp
    #[arg(long, value_name = "TIME")]
    pub event_time: Option<String>,
    /// Acct-Session-Time in seconds
    #[arg(long, value_name = "SECONDS")]
    pub session_time: Option<u32>,
    /// Acct-Terminate-Cause by number, such as 1 for User Request
    #[arg(long, value_name = "N")]
    pub terminate_cause: Option<u32>,
    /// Acct-Interim-Interval in seconds
    #[arg(long, value_name = "SECONDS")]
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

/// Sends it, and says what came of it.
///
/// # Errors
/// See [`Failure`]; silence is no failure but an exit code.
pub fn run(args: &SendArgs) -> Result<Answer, Failure> {
    let secret = secret(args)?;
    let server = resolve(&args.server)?;
    let report = report(args)?;
    let patience = Patience { timeout: Duration::from_secs(args.timeout), attempts: args.retries };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Send(SendError::Socket(error)))?;
    let exchange = async {
        let mut nas = Nas::connect(args.source, server, &secret, patience).await?;
        match &report {
            Some(report) => nas.report(report).await,
            None => nas.status(args.nas_identifier.as_deref().unwrap_or(OUR_NAME).as_bytes()).await,
        }
    };
    let outcome = runtime.block_on(exchange).map_err(Failure::Send)?;
    Ok(answer(outcome, server, args.retries))
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
    let octets = std::fs::read(path).map_err(|error| Failure::File(path.clone(), error))?;
    Ok(octets.trim_ascii_end().to_vec())
}

fn resolve(server: &str) -> Result<SocketAddr, Failure> {
    let failed = |error| Failure::NoServer(server.to_owned(), error);
    let mut found = server.to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

/// The record; `None` for a Status-Server, which is none.
fn report(args: &SendArgs) -> Result<Option<Report>, Failure> {
    let status = match args.what {
        What::Start => Status::Start,
        What::Interim => Status::Interim,
        What::Stop => Status::Stop,
        What::On => Status::On,
        What::Off => Status::Off,
        What::Status => return Ok(None),
    };
    let octets = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
    let named =
        args.nas_identifier.clone().or_else(|| args.nas_address.is_none().then(|| OUR_NAME.to_owned()));
    Ok(Some(Report {
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
    }))
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
