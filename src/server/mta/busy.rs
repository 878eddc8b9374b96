//! A connection that asks without a pause, answered by a thread that waits for nothing else.
//!
//! Knows: when a connection is busy, and how it leaves the runtime and comes back. Must not know: what is asked.
//!
//! What is answered from memory costs less than to be told by the runtime that it was asked. So whoever asks again within
//! milliseconds is read by a thread that sleeps in the kernel until the question is there; and of a machine whose
//! processors are all wanted, such threads get their part one by one, not behind each other. All others, of whom there
//! may be thousands, are the runtime's.

use std::io::{self, Read, Write};
use std::num::NonZero;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection::CHUNK;

/// So many questions, one after the other ...
const QUESTIONS: u32 = 32;

/// ... in so little time make a connection busy.
const WITHIN: Duration = Duration::from_millis(320);

/// When nothing is asked for so long, it no longer is. Whoever stops waits for a thread no longer than that.
const PAUSE: Duration = Duration::from_millis(50);

/// How fast questions come.
pub(super) struct Pace {
    since: Instant,
    questions: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Pace { since: now, questions: 0 }
    }

    /// Counts one more. Whether it comes after many in a short time.
    pub(super) fn is_busy(&mut self, now: impl FnOnce() -> Instant) -> bool {
        self.questions = self.questions.saturating_add(1);
        if self.questions < QUESTIONS {
            return false;
        }
        let now = now();
        let took = now.saturating_duration_since(self.since);
        *self = Pace::new(now);
        took <= WITHIN
    }
}

/// A stream that can leave the runtime and come back.
pub(super) trait Detach: AsyncRead + AsyncWrite + Unpin + Send + Sized {
    /// Nobody is told any more that there is something to read.
    fn detach(self) -> io::Result<Socket>;

    /// Back again.
    fn attach(socket: Socket) -> io::Result<Self>;
}

/// A stream on which reading waits for a pause at most, and writing as long as is borne: futures of it are ready when they
/// are asked.
pub(super) struct Blocking {
    socket: Socket,
    chunk: [u8; CHUNK],
    /// How long the peer may take to read an answer, and since when it does.
    write: Duration,
    writing: Option<Instant>,
}

impl Blocking {
    pub(super) fn detached(stream: impl Detach, write: Duration) -> io::Result<Self> {
        let socket = stream.detach()?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PAUSE))?;
        socket.set_write_timeout(Some(write))?;
        Ok(Blocking { socket, chunk: [0; CHUNK], write, writing: None })
    }

    pub(super) fn attached<S: Detach>(self) -> io::Result<S> {
        self.socket.set_nonblocking(true)?;
        S::attach(self.socket)
    }
}

impl AsyncRead for Blocking {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Blocking { socket, chunk, .. } = self.get_mut();
        let room = into.remaining().min(chunk.len());
        let read = uninterrupted(|| socket.read(chunk.get_mut(..room).unwrap_or_default()))?;
        into.put_slice(chunk.get(..read).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        // The kernel's limit is one for each call, of which a peer that reads a little at a time would be given one more each time.
        let write = self.write;
        if self.writing.get_or_insert_with(Instant::now).elapsed() >= write {
            return Poll::Ready(Err(io::ErrorKind::WouldBlock.into()));
        }
        let written = uninterrupted(|| self.socket.write(octets));
        if matches!(written, Ok(written) if written == octets.len()) {
            self.writing = None;
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(std::net::Shutdown::Write))
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// How many connections may have a thread: so many that all processors are busy, and so few that others who want one are not
/// crowded out.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).saturating_mul(4).min(64)
}

/// What a future comes to that waits for nothing. `None`: it does.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn a_connection_is_busy_after_many_questions_in_a_short_time() {
        let began = Instant::now();
        let busy_after = |apart: Duration| {
            let (mut pace, mut now) = (Pace::new(began), began);
            (1..=3 * QUESTIONS).find(|_| {
                now += apart;
                pace.is_busy(|| now)
            })
        };
        assert_eq!(busy_after(Duration::ZERO), Some(QUESTIONS));
        assert_eq!(busy_after(Duration::from_millis(10)), Some(QUESTIONS));
        assert_eq!(busy_after(Duration::from_millis(11)), None);
    }

    #[test]
    fn a_long_silence_before_many_questions_delays_it_by_as_many() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        let later = began + Duration::from_secs(60);
        let busy = (1..=3 * QUESTIONS).find(|_| pace.is_busy(|| later));
        assert_eq!(busy, Some(2 * QUESTIONS));
    }

    #[tokio::test]
    async fn a_peer_that_reads_a_little_has_no_more_time_for_an_answer_than_one_that_reads_nothing() {
        let (ours, peer) = tokio::net::UnixStream::pair().unwrap();
        let mut peer = peer.into_std().unwrap();
        peer.set_nonblocking(false).unwrap();
        let mut stream = Blocking::detached(ours, Duration::from_millis(50)).unwrap();
        let mut write = |octets: &[u8]| at_once(stream.write(octets)).unwrap();
        let answer = vec![b'a'; 8 << 20];
        let written = write(&answer).unwrap();
        assert!(written < answer.len());
        peer.read_exact(&mut vec![0; written]).unwrap();
        assert_eq!(write(&answer[written..]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn each_answer_that_is_read_in_time_has_the_whole_limit_again() {
        let (ours, _peer) = tokio::net::UnixStream::pair().unwrap();
        let mut stream = Blocking::detached(ours, Duration::from_secs(3600)).unwrap();
        assert_eq!(at_once(stream.write(b"one")).unwrap().unwrap(), 3);
        assert!(stream.writing.is_none());
    }
}
