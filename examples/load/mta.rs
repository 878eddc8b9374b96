//! Mail servers that ask: socketmap over TCP, one question on its way per connection, every answer checked.
//!
//! Knows: frames, and which answer is right. Must not know: who answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use relaywarden::mta::netstring::{REQUEST_LIMIT, first_frame};

use super::Failure;
use super::feed::{address, subscriber};

/// Connections, each with one question on its way.
pub(crate) const CONNECTIONS: usize = 8;
/// Different questions of one connection.
const QUESTIONS: u32 = 10_000;
/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to come back.
#[derive(Clone, Copy)]
pub(crate) enum Expect {
    /// The subscriber's name.
    Owner,
    /// The question.
    Echo,
}

/// What the connections saw together.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Right answers.
    pub(crate) right: u64,
    /// Answers that were not right.
    pub(crate) wrong: u64,
    /// How long answers took, sorted.
    pub(crate) latencies: Vec<Duration>,
    took: Duration,
}

impl Seen {
    /// Right answers per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    pub(crate) fn rate(&self) -> f64 {
        self.right as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    /// So many in a hundred answers came within this.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.latencies.len().saturating_sub(1)).saturating_mul(percent) / 100;
        self.latencies.get(place).copied().unwrap_or_default()
    }
}

/// One connection.
pub(crate) struct Socketmap {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socketmap {
    /// Connects.
    pub(crate) fn connect(server: SocketAddr) -> Result<Socketmap, Failure> {
        let stream = TcpStream::connect(server)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(|error| Failure::System("connecting like a mail server", error))?;
        Ok(Socketmap { stream, buffer: Vec::new() })
    }

    /// Asks, and compares the answer's payload.
    pub(crate) fn ask(&mut self, frame: &[u8], payload: &[u8]) -> Result<bool, Failure> {
        let failed = |error| Failure::System("asking like a mail server", error);
        self.stream.write_all(frame).map_err(failed)?;
        self.buffer.clear();
        let mut chunk = [0; 1024];
        loop {
            let length = self.stream.read(&mut chunk).map_err(failed)?;
            self.buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
            match first_frame(&self.buffer, REQUEST_LIMIT) {
                Ok(Some(frame)) => return Ok(frame.payload == payload),
                Ok(None) if length > 0 => {}
                Ok(None) | Err(_) => return Ok(false),
            }
        }
    }

    /// Asks who owns the address of this session; whether the answer is the right one.
    pub(crate) fn owns(&mut self, number: u32) -> Result<bool, Failure> {
        let (frame, answer) = question(number, Expect::Owner);
        self.ask(&frame, &answer)
    }
}

fn question(number: u32, expect: Expect) -> (Vec<u8>, Vec<u8>) {
    let payload = format!("relay {}", address(number));
    let frame = format!("{}:{payload},", payload.len());
    let answer = match expect {
        Expect::Owner => format!("OK {}", subscriber(number)),
        Expect::Echo => payload,
    };
    (frame.into_bytes(), answer.into_bytes())
}

/// Asks about sessions below `sessions`, over and over: as fast as answers come, or each connection once in `pace`.
/// Ends after `at_most`, or when somebody says so.
pub(crate) fn ask(
    server: SocketAddr,
    sessions: u32,
    expect: Expect,
    pace: Option<Duration>,
    at_most: Duration,
    stop: &AtomicBool,
) -> Result<Seen, Failure> {
    let mut connections = Vec::new();
    for place in (0..QUESTIONS).step_by(QUESTIONS as usize / CONNECTIONS).take(CONNECTIONS) {
        // A factor without a common divisor with the count visits sessions in an order that no cache foresees.
        let numbers = (0..QUESTIONS).map(|turn| (turn + place).wrapping_mul(2_654_435_761) % sessions.max(1));
        let questions: Vec<_> = numbers.map(|number| question(number, expect)).collect();
        connections.push((Socketmap::connect(server)?, questions));
    }
    let began = Instant::now();
    let threads: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .map(|(connection, questions)| {
                scope.spawn(move || converse(connection, &questions, pace, began + at_most, stop))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Failure::NoAnswer))).collect()
    });
    let mut seen = Seen { took: began.elapsed(), ..Seen::default() };
    for one in threads {
        let one = one?;
        seen.right += one.right;
        seen.wrong += one.wrong;
        seen.latencies.extend(one.latencies);
    }
    seen.latencies.sort_unstable();
    Ok(seen)
}

fn converse(
    mut connection: Socketmap,
    questions: &[(Vec<u8>, Vec<u8>)],
    pace: Option<Duration>,
    until: Instant,
    stop: &AtomicBool,
) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    let mut asked = Instant::now();
    for (frame, payload) in questions.iter().cycle() {
        let now = Instant::now();
        if now >= until || stop.load(Ordering::Relaxed) {
            break;
        }
        match pace {
            None => asked = now,
            // A question that had to wait for the answer before it has waited since it was due; one that our own
            // timer woke up late for has not.
            Some(pace) => {
                let due = asked + pace;
                let early = due.saturating_duration_since(now);
                if !early.is_zero() {
                    thread::sleep(early);
                }
                asked = if early.is_zero() { due } else { Instant::now() };
            }
        }
        if connection.ask(frame, payload)? {
            seen.right += 1;
        } else {
            seen.wrong += 1;
        }
        seen.latencies.push(asked.elapsed());
    }
    Ok(seen)
}
