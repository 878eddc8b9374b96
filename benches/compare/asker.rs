//! Mail servers that ask, each server in its own words: one question on its way per connection, every answer checked.
//!
//! Knows: how a question is framed, and which answer is right. Must not know: who answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use super::postgres;
use super::starts::{address, subscriber};

/// Connections, each with one question on its way.
pub(crate) const CONNECTIONS: usize = 8;
/// Different questions of one connection.
const QUESTIONS: u32 = 10_000;
/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a server is asked for the owner of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As Postfix asks a socketmap.
    Socketmap,
    /// The same, to somebody who sends it back.
    Echo,
    /// As Postfix asks PostgreSQL: a simple query.
    Postgres,
    /// `GET` of the address.
    Redis,
}

impl Dialect {
    /// What is sent, and what is to come back: octet by octet, but of PostgreSQL, of which it is the value of the one
    /// column of the one row.
    fn question(self, number: u32) -> (Vec<u8>, Vec<u8>) {
        let (address, subscriber) = (address(number).to_string(), subscriber(number));
        let netstring = |payload: String| format!("{}:{payload},", payload.len());
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        match self {
            Dialect::Socketmap => (
                netstring(format!("relay {address}")).into_bytes(),
                netstring(format!("OK {subscriber}")).into_bytes(),
            ),
            Dialect::Echo => {
                let frame = netstring(format!("relay {address}")).into_bytes();
                (frame.clone(), frame)
            }
            Dialect::Postgres => {
                let query = format!(
                    "SELECT username FROM radacct WHERE framedipaddress = '{address}' AND acctstoptime IS NULL"
                );
                (postgres::simple_query(&query), subscriber.into_bytes())
            }
            Dialect::Redis => (
                format!("*2\r\n$3\r\nGET\r\n{}", bulk(&address)).into_bytes(),
                bulk(&subscriber).into_bytes(),
            ),
        }
    }

    /// Whether an answer is the right one; `None` while it is not whole.
    fn judge(self, answer: &[u8], right: &[u8]) -> Option<bool> {
        match self {
            Dialect::Postgres => postgres::Answer::read(answer).map(|answer| answer.is(right)),
            _ if answer == right => Some(true),
            _ if right.starts_with(answer) => None,
            _ => Some(false),
        }
    }
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
pub(crate) struct Connection {
    stream: TcpStream,
    dialect: Dialect,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, and says what has to be said before the first question.
    pub(crate) fn open(server: SocketAddr, dialect: Dialect) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(server)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(|error| Failure::System("connecting like a mail server", error))?;
        let stream = if dialect == Dialect::Postgres { postgres::log_in(stream, "lookups")? } else { stream };
        Ok(Connection { stream, dialect, buffer: Vec::new() })
    }

    /// Asks, and compares the answer.
    fn ask(&mut self, question: &[u8], right: &[u8]) -> Result<bool, Failure> {
        let failed = |error| Failure::System("asking like a mail server", error);
        self.stream.write_all(question).map_err(failed)?;
        self.buffer.clear();
        let mut chunk = [0; 1024];
        loop {
            let length = self.stream.read(&mut chunk).map_err(failed)?;
            if length == 0 {
                return Err(Failure::NoAnswer("lookups"));
            }
            self.buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
            if let Some(judged) = self.dialect.judge(&self.buffer, right) {
                return Ok(judged);
            }
        }
    }

    /// Asks who owns the address of this session; whether the answer is the right one.
    pub(crate) fn owns(&mut self, number: u32) -> Result<bool, Failure> {
        let (question, right) = self.dialect.question(number);
        self.ask(&question, &right)
    }
}

/// Asks about sessions below `sessions`, over and over: as fast as answers come, or each connection once in `pace`.
/// Ends after `at_most`, or when somebody says so.
pub(crate) fn ask(
    server: SocketAddr,
    sessions: u32,
    dialect: Dialect,
    pace: Option<Duration>,
    at_most: Duration,
    stop: &AtomicBool,
) -> Result<Seen, Failure> {
    let mut connections = Vec::new();
    for place in (0..QUESTIONS).step_by(QUESTIONS as usize / CONNECTIONS).take(CONNECTIONS) {
        // A factor without a common divisor with the count visits sessions in an order that no cache foresees.
        let numbers = (0..QUESTIONS).map(|turn| (turn + place).wrapping_mul(2_654_435_761) % sessions.max(1));
        let questions: Vec<_> = numbers.map(|number| dialect.question(number)).collect();
        connections.push((Connection::open(server, dialect)?, questions));
    }
    let began = Instant::now();
    let threads: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .map(|(connection, questions)| {
                scope.spawn(move || converse(connection, &questions, pace, began + at_most, stop))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Failure::NoAnswer("lookups")))).collect()
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
    mut connection: Connection,
    questions: &[(Vec<u8>, Vec<u8>)],
    pace: Option<Duration>,
    until: Instant,
    stop: &AtomicBool,
) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    let mut asked = Instant::now();
    for (question, right) in questions.iter().cycle() {
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
        if connection.ask(question, right)? {
            seen.right += 1;
        } else {
            seen.wrong += 1;
        }
        seen.latencies.push(asked.elapsed());
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_wrong_or_not_whole_yet() {
        let (question, right) = Dialect::Redis.question(7);
        assert_eq!(question, b"*2\r\n$3\r\nGET\r\n$8\r\n10.0.0.7\r\n");
        assert_eq!(Dialect::Redis.judge(&right, &right), Some(true));
        assert_eq!(Dialect::Redis.judge(&right[..right.len() - 1], &right), None);
        assert_eq!(Dialect::Redis.judge(b"$-1\r\n", &right), Some(false));
    }
}
