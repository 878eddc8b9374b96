//! The end of a message, asked by 256 smtpd processes: answered when it is written down. Beside the least server that
//! does so.
//!
//! Knows: policy delegation as Postfix speaks it. Must not know: who answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::daemon::Daemon;
use super::feed::{Feed, WIDE};
use super::floors::{Floor, Kind};
use super::report::{Rates, Report, millis};
use super::starts::address;
use super::{Failure, Scale, say};

/// Connections, each with one message at its end.
const CONNECTIONS: usize = 256;
const WINDOW: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);
/// What both answer: the message is written down, the mail server's next rule decides.
const RIGHT: &[u8] = b"action=DUNNO\n\n";

/// Both in turns. Whether every answer was right and every message written down.
pub(crate) fn compare(
    scale: &Scale,
    daemon: &Daemon,
    feed: &Feed,
    report: &mut Report,
) -> Result<bool, Failure> {
    let least = Floor::start(Kind::Policy, &scale.disk)?;
    let mut mail = Mail { serial: 0, known: feed.known() };
    let (mut ours, mut theirs, mut counted, mut wrong) = (Vec::new(), Vec::new(), 0, 0);
    let mut slowest = Duration::ZERO;
    let entries =
        || daemon.metrics().map(|metrics| metrics.sum("log_entries_total")).ok_or(Failure::NoMetrics);
    let before = entries()?;
    for round in 0..scale.rounds {
        say(&format!("policy at END-OF-MESSAGE, round {} of {}", round + 1, scale.rounds));
        for turn in 0..2 {
            let to_us = (round + turn) % 2 == 0;
            let server = if to_us { daemon.policy } else { least.address };
            let mut seen = mail.send(server, scale.longest.min(WINDOW))?;
            wrong += seen.wrong;
            if to_us {
                ours.push(seen.rate());
                counted += seen.right;
                slowest = slowest.max(seen.percentile_99());
                let _ = daemon.settle(super::acks::SETTLES_WITHIN);
            } else {
                theirs.push(seen.rate());
            }
        }
    }
    report.compare(&Rates {
        what: &format!("policy requests/s at END-OF-MESSAGE, {CONNECTIONS} connections"),
        ours: &ours,
        against: "the least policy server: one thread, parses, one file, an fdatasync per group",
        promise: "the message is durable (fdatasync)",
        theirs: &theirs,
        wanted: Some(0.7),
    });
    let written = entries()?.saturating_sub(before);
    report.note(format!(
        "Messages: {counted} answered by the daemon, {written} entries in its log, {wrong} wrong answers; the p99 was at most \
         {}.",
        millis(slowest)
    ));
    Ok(wrong == 0 && written >= counted)
}

/// What limits and signals cost: the same daemon with limits that hold for everybody and hold nobody back, and senders looked at
/// after each message, and without any, in turns. What each usually sends is learned by both.
pub(crate) fn with_limits(scale: &Scale, report: &mut Report) -> Result<bool, Failure> {
    let (with, without) = (
        Daemon::start_with(&scale.program, &scale.disk, LIMITS)?,
        Daemon::start_with(&scale.program, &scale.disk, "[trend]\nsignals = false\n")?,
    );
    let mut known = 0;
    for daemon in [&with, &without] {
        let mut feed = Feed::new(daemon.radius, WIDE, 0)?;
        feed.fill(SENDERS)?;
        known = feed.known();
        let _ = daemon.settle(super::acks::SETTLES_WITHIN);
    }
    let mut mail = Mail { serial: 0, known };
    let (mut limited, mut free, mut wrong) = (Vec::new(), Vec::new(), 0);
    for round in 0..scale.rounds {
        say(&format!("limits, round {} of {}", round + 1, scale.rounds));
        for turn in 0..2 {
            let to_limited = (round + turn) % 2 == 0;
            let (daemon, rates) = if to_limited { (&with, &mut limited) } else { (&without, &mut free) };
            let seen = mail.send(daemon.policy, scale.longest.min(WINDOW))?;
            wrong += seen.wrong;
            rates.push(seen.rate());
            let _ = daemon.settle(super::acks::SETTLES_WITHIN);
        }
    }
    report.compare(&Rates {
        what: &format!(
            "messages/s at END-OF-MESSAGE with limits and signals, {CONNECTIONS} connections, {SENDERS} senders"
        ),
        ours: &limited,
        against: "the same daemon without limits and signals",
        promise: "the message is durable (fdatasync)",
        theirs: &free,
        wanted: Some(0.85),
    });
    report.note(format!("Limits: {wrong} wrong answers."));
    Ok(wrong == 0)
}

/// As in the documentation, and so much that nobody is held back.
const LIMITS: &str = "[trend]\nlearn = \"0s\"\n[[limit]]\nname = \"default\"\nmode = \"enforce\"\n\
                      messages = [\"1000000/1m\", \"1000000/1h\", \"1000000/24h\"]\n\
                      recipients = [\"1000000/1h\", \"1000000/24h\"]\nbytes = [\"100GiB/24h\"]\n\
                      message-size = \"35MiB\"\n";
/// Subscribers who send.
const SENDERS: u64 = 20_000;

/// Messages that nobody has seen before.
struct Mail {
    serial: u32,
    known: u32,
}

#[derive(Default)]
struct Seen {
    right: u64,
    wrong: u64,
    took: Duration,
    latencies: Vec<Duration>,
}

impl Seen {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    fn rate(&self) -> f64 {
        self.right as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    fn percentile_99(&mut self) -> Duration {
        self.latencies.sort_unstable();
        let place = self.latencies.len().saturating_mul(99) / 100;
        self.latencies.get(place).copied().unwrap_or_default()
    }
}

struct Smtpd {
    stream: TcpStream,
    heard: Vec<u8>,
    asked: Instant,
}

impl Mail {
    /// What Postfix 3.7 says at the end of a message.
    fn next(&mut self) -> String {
        self.serial += 1;
        let (serial, client) =
            (self.serial, address(self.serial.wrapping_mul(2_654_435_761) % self.known.max(1)));
        format!(
            "request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nprotocol_name=ESMTP\n\
             client_address={client}\nclient_name=unknown\nclient_port=40001\nreverse_client_name=unknown\n\
             server_address=192.0.2.25\nserver_port=25\nhelo_name=client.example\nsender=sender@example.org\n\
             recipient=somebody@example.net\nrecipient_count=1\nqueue_id=4j{serial:08x}\n\
             instance=1a2b.{serial:x}.0\nsize=2100\netrn_domain=\nstress=\nsasl_method=\nsasl_username=\n\
             sasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n\
             encryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n"
        )
    }

    /// Every connection asks again as soon as it is answered.
    fn send(&mut self, server: SocketAddr, window: Duration) -> Result<Seen, Failure> {
        let failed = |error| Failure::System("asking like Postfix", error);
        let mut smtpds = Vec::new();
        let ready = Ready::new()?;
        for place in 0..CONNECTIONS {
            let stream = TcpStream::connect(server).map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            ready.watch(&stream, place)?;
            smtpds.push(Smtpd { stream, heard: Vec::new(), asked: Instant::now() });
        }
        let began = Instant::now();
        let (mut seen, mut open, mut last) = (Seen::default(), CONNECTIONS, began);
        for smtpd in &mut smtpds {
            self.ask(smtpd).map_err(failed)?;
        }
        while open > 0 {
            for place in ready.wait()? {
                let Some(smtpd) = smtpds.get_mut(place) else { continue };
                let Some(right) = smtpd.hear().map_err(failed)? else { continue };
                last = Instant::now();
                seen.latencies.push(smtpd.asked.elapsed());
                *(if right { &mut seen.right } else { &mut seen.wrong }) += 1;
                if began.elapsed() < window {
                    self.ask(smtpd).map_err(failed)?;
                } else {
                    open -= 1;
                }
            }
            if last.elapsed() > PATIENCE {
                return Err(Failure::NoAnswer("policy"));
            }
        }
        seen.took = last - began;
        Ok(seen)
    }

    fn ask(&mut self, smtpd: &mut Smtpd) -> std::io::Result<()> {
        smtpd.asked = Instant::now();
        smtpd.heard.clear();
        smtpd.stream.write_all(self.next().as_bytes())
    }
}

impl Smtpd {
    /// Whether the answer is right; `None` while it is not whole.
    fn hear(&mut self) -> std::io::Result<Option<bool>> {
        let mut chunk = [0; 1024];
        let length = self.stream.read(&mut chunk)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.heard.extend_from_slice(chunk.get(..length).unwrap_or_default());
        Ok(self.heard.ends_with(b"\n\n").then(|| self.heard == RIGHT))
    }
}

/// Who has been answered, without looking through all connections each time: an smtpd waits for its own answer alone.
struct Ready(Epoll);

impl Ready {
    fn new() -> Result<Self, Failure> {
        Epoll::new(EpollCreateFlags::empty()).map(Ready).map_err(waiting)
    }

    fn watch(&self, stream: &TcpStream, place: usize) -> Result<(), Failure> {
        self.0.add(stream, EpollEvent::new(EpollFlags::EPOLLIN, place as u64)).map_err(waiting)
    }

    fn wait(&self) -> Result<Vec<usize>, Failure> {
        let mut events = [EpollEvent::empty(); CONNECTIONS];
        let count = match self.0.wait(&mut events, EpollTimeout::from(100_u8)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(waiting(error)),
        };
        Ok(events.iter().take(count).filter_map(|event| usize::try_from(event.data()).ok()).collect())
    }
}

fn waiting(error: Errno) -> Failure {
    Failure::System("waiting for answers", error.into())
}
