//! The life of one MTA's connection: read, answer in order, and how it ends.
//!
//! Knows: buffers and deadlines. Must not know: who was let in, or what the answers are.
//!
//! ```text
//!             ┌── a request is whole ──► answer ──┐
//!   (idle) ── octets ──► (a part is there) ◄──────┘ nothing left ──► (idle)
//!     │ limits.idle, or stop     │ limits.request
//!     ▼                          ▼
//!   closed at a frame's border   dropped
//! ```

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::ready;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Decoder;

use super::busy::{Blocking, Detach, Pace, at_once};
use super::{Counters, Desk, Limits, Peer, count, stopped};
use crate::mta::milter::{self, Conversation, Reply, Step};
use crate::mta::{ReadError, policy, socketmap};
use crate::server::seats::Seat;

/// Octets taken from the kernel at a time, on the stack: an idle connection needs no buffer to wait for them.
pub(super) const CHUNK: usize = 4 * 1024;

/// A buffer that has not grown beyond this is kept between requests: most never do, and need no new one each time.
const KEPT: usize = 1024;

/// Answers are written when they come to this, even if more requests wait: a peer that asks without reading makes
/// itself wait, not us remember.
const ANSWERS: usize = 8 * 1024;

/// One protocol: how its requests are read, and what answers them.
pub(super) trait Speech {
    /// What is asked.
    type Request: Send;
    /// What is wrong with octets that ask nothing.
    type Broken: fmt::Display + Send;
    /// What is remembered from one request to the next.
    type Talk: Send;
    /// Reads it.
    type Codec: Decoder<Item = Self::Request, Error = ReadError<Self::Broken>> + Default + Send;

    /// Whether an answer waits for nothing, so that a busy connection can have a thread.
    const PROMPT: bool = false;

    /// The counter of its requests.
    fn counter(counters: &Counters) -> &AtomicU64;

    /// What is known when a connection begins.
    fn begin<D: Desk>(desk: &D) -> Self::Talk;

    /// Writes the answer to one request.
    fn answer<D: Desk>(
        talk: &mut Self::Talk,
        desk: &D,
        peer: &Peer,
        request: Self::Request,
        answers: &mut BytesMut,
    ) -> impl Future<Output = ()> + Send;

    /// Writes the last answer, to something that was no request.
    fn refuse(answers: &mut BytesMut);
}

/// Socketmap.
pub(super) struct Socketmap;

impl Speech for Socketmap {
    type Request = socketmap::Request;
    type Broken = crate::mta::netstring::Broken;
    type Talk = ();
    type Codec = socketmap::Socketmap;

    const PROMPT: bool = true;

    fn counter(counters: &Counters) -> &AtomicU64 {
        &counters.socketmap
    }

    fn begin<D: Desk>(_: &D) {}

    async fn answer<D: Desk>(
        (): &mut (),
        desk: &D,
        peer: &Peer,
        request: socketmap::Request,
        answers: &mut BytesMut,
    ) {
        desk.socketmap(peer, &request).write(answers);
    }

    fn refuse(answers: &mut BytesMut) {
        socketmap::Reply::BROKEN.write(answers);
    }
}

/// Policy delegation.
pub(super) struct Policy;

impl Speech for Policy {
    type Request = policy::Request;
    type Broken = policy::Broken;
    type Talk = ();
    type Codec = policy::Policy;

    fn counter(counters: &Counters) -> &AtomicU64 {
        &counters.policy
    }

    fn begin<D: Desk>(_: &D) {}

    async fn answer<D: Desk>(
        (): &mut (),
        desk: &D,
        peer: &Peer,
        request: policy::Request,
        answers: &mut BytesMut,
    ) {
        desk.policy(peer, request).await.write(answers);
    }

    /// Without an answer Postfix takes its `default_action`, which is the postmaster's to choose.
    fn refuse(_: &mut BytesMut) {}
}

/// Milter.
pub(super) struct Milter;

impl Speech for Milter {
    type Request = milter::Command;
    type Broken = milter::Broken;
    type Talk = (Conversation, Option<Seat>);
    type Codec = milter::Milter;

    fn counter(counters: &Counters) -> &AtomicU64 {
        &counters.milter
    }

    fn begin<D: Desk>(desk: &D) -> Self::Talk {
        (Conversation::new(desk.milter_terms()), None)
    }

    async fn answer<D: Desk>(
        (talk, seat): &mut Self::Talk,
        desk: &D,
        peer: &Peer,
        request: milter::Command,
        answers: &mut BytesMut,
    ) {
        match talk.take(request) {
            Step::Nothing => {}
            Step::Write(reply) => reply.write(answers),
            Step::Heard(heard, reply) => {
                desk.milter_heard(peer, seat, heard);
                reply.iter().for_each(|reply| reply.write(answers));
            }
            Step::Recipient(query) => {
                let recipient = query.recipient.clone();
                let answer = desk.milter_recipient(peer, *query).await;
                talk.answered(&recipient, &answer);
                Reply::Answer(answer).write(answers);
            }
            Step::End(ended) => Reply::Answer(desk.milter_end(peer, *ended).await).write(answers),
        }
    }

    /// Without an answer the MTA takes its own default (`milter_default_action`, `F=T`), which is the postmaster's to choose.
    fn refuse(_: &mut BytesMut) {}
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Closed {
    /// The peer was done.
    Ended,
    /// We stop, and nothing it asked is left unanswered.
    Stopped,
    /// Nothing was asked for long.
    Idle,
    /// A request did not become whole in time.
    Dribbled,
    /// The peer did not read its answers.
    Unread,
    /// What came is no request.
    Broken(String),
    /// The connection is gone.
    Lost(io::ErrorKind),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Ended => f.write_str("the peer is done"),
            Closed::Stopped => f.write_str("stopping"),
            Closed::Idle => f.write_str("nothing was asked for long"),
            Closed::Dribbled => f.write_str("a request did not become whole in time"),
            Closed::Unread => f.write_str("the peer does not read its answers"),
            Closed::Broken(what) => f.write_str(what),
            Closed::Lost(kind) => write!(f, "lost: {kind}"),
        }
    }
}

/// What all conversations share.
pub(super) struct Terms<'a, D> {
    pub(super) desk: &'a D,
    pub(super) limits: &'a Limits,
    pub(super) counters: &'a Counters,
    /// Threads that busy connections may have.
    pub(super) threads: &'a Semaphore,
}

/// Answers one connection's requests, in order, until it ends. Whatever was asked before the peer's end of stream is
/// answered first: Exim closes its half when it has asked.
pub(super) async fn converse<P: Speech, D: Desk, S: Detach>(
    stream: S,
    peer: &Peer,
    terms: Terms<'_, D>,
    mut shutdown: watch::Receiver<bool>,
) -> Closed {
    let Terms { desk, limits, counters, threads } = terms;
    let mut line = Line::new(stream, limits);
    let mut spoken =
        Spoken::<P, D> { codec: P::Codec::default(), talk: P::begin(desk), desk, peer, counters };
    let stops = shutdown.clone();
    let mut stop = pin!(stopped(&mut shutdown));
    let mut stopping = false;
    // Set again only when it rings too early: moving it at each request would cost more than the request.
    let mut alarm = pin!(sleep_until(Instant::now() + limits.idle));

    loop {
        let mut answered = spoken.answer_all(&mut line).await;
        if P::PROMPT
            && matches!(answered, Ok(true))
            && line.is_between_requests()
            && line.pace.is_busy(Instant::now)
            && let Ok(_thread) = threads.try_acquire()
        {
            (line, answered) = match block_in_place(|| spoken.while_busy(line, &stops)) {
                Ok(went_on) => went_on,
                Err(error) => return Closed::Lost(error.kind()),
            };
        }
        let answered = match answered {
            Ok(answered) => answered,
            Err(Closed::Broken(what)) => return line.part::<P>(what).await,
            Err(closed) => return closed,
        };
        if line.ended {
            return Closed::Ended;
        }
        let due = line.due(answered, stopping);
        if due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
        tokio::select! {
            biased;
            () = &mut stop, if !stopping => stopping = true,
            received = line.receive() => {
                if let Err(error) = received {
                    return Closed::Lost(error.kind());
                }
            }
            () = &mut alarm => {
                if Instant::now() >= due {
                    return line.overdue(stopping);
                }
                alarm.as_mut().reset(due);
            }
        }
    }
}

/// What is spoken on a connection.
struct Spoken<'a, P: Speech, D> {
    codec: P::Codec,
    talk: P::Talk,
    desk: &'a D,
    peer: &'a Peer,
    counters: &'a Counters,
}

impl<P: Speech, D: Desk> Spoken<'_, P, D> {
    /// Answers every whole request that is there. Whether there was one; or how the connection ended meanwhile, or has to
    /// end.
    async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        line: &mut Line<'_, S>,
    ) -> Result<bool, Closed> {
        let Spoken { codec, talk, desk, peer, counters } = self;
        let mut answered = false;
        loop {
            let next =
                if line.ended { codec.decode_eof(&mut line.input) } else { codec.decode(&mut line.input) };
            match next {
                Ok(Some(request)) => {
                    count(P::counter(counters));
                    P::answer(talk, *desk, peer, request, &mut line.answers).await;
                    answered = true;
                    if line.answers.len() >= ANSWERS {
                        line.flush().await?;
                    }
                }
                Ok(None) => {
                    line.flush().await?;
                    return Ok(answered);
                }
                Err(ReadError::Broken(broken)) => return Err(Closed::Broken(broken.to_string())),
                Err(ReadError::Io(error)) => return Err(Closed::Lost(error.kind())),
            }
        }
    }

    /// Answers on this thread, which waits for nothing else, until nothing is asked for a moment, only a part is, or we
    /// stop. What becomes of the connection then is not decided here.
    fn while_busy<'l, S: Detach>(
        &mut self,
        line: Line<'l, S>,
        stops: &watch::Receiver<bool>,
    ) -> io::Result<(Line<'l, S>, Result<bool, Closed>)> {
        let write = line.limits.write;
        let mut line = line.on(|stream| Blocking::detached(stream, write))?;
        let mut answered = Ok(true);
        count(&self.counters.busy);
        // Whoever could tell us to stop may be gone, too.
        let serves = || !*stops.borrow() && stops.has_changed().is_ok();
        while answered.is_ok() && line.is_between_requests() && serves() {
            match at_once(line.receive()) {
                Some(Ok(())) => {}
                // A pause.
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Some(Err(error)) => {
                    answered = Err(Closed::Lost(error.kind()));
                    break;
                }
                None => break,
            }
            // An answer that waits for something would be lost, and the peer must not take another one for it.
            let lost = Err(Closed::Lost(io::ErrorKind::WouldBlock));
            answered = at_once(self.answer_all(&mut line)).unwrap_or(lost);
        }
        self.counters.busy.fetch_sub(1, Ordering::Relaxed);
        Ok((line.on(Blocking::attached)?, answered))
    }
}

/// A stream with what was read from it and what is to be written to it.
struct Line<'a, S> {
    stream: S,
    limits: &'a Limits,
    input: BytesMut,
    /// Whether `input` has grown beyond what is kept.
    grown: bool,
    answers: BytesMut,
    /// Nothing more will be read.
    ended: bool,
    /// The input held a part of a request when it was last looked at.
    partial: bool,
    /// When what has begun must have come to its end.
    due: Instant,
    pace: Pace,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Line<'a, S> {
    fn new(stream: S, limits: &'a Limits) -> Self {
        let now = Instant::now();
        Line {
            stream,
            limits,
            input: BytesMut::new(),
            grown: false,
            answers: BytesMut::new(),
            ended: false,
            partial: false,
            due: now + limits.idle,
            pace: Pace::new(now),
        }
    }

    /// Whether all that was received has been answered, and more may come.
    fn is_between_requests(&self) -> bool {
        self.input.is_empty() && !self.ended
    }

    /// The same, on what becomes of its stream.
    fn on<T>(self, into: impl FnOnce(S) -> io::Result<T>) -> io::Result<Line<'a, T>> {
        let Line { stream, limits, input, grown, answers, ended, partial, due, pace } = self;
        let stream = into(stream)?;
        Ok(Line { stream, limits, input, grown, answers, ended, partial, due, pace })
    }

    /// Until when the next request must have begun, or the one that has begun be whole. Octets that change neither
    /// buy no time.
    fn due(&mut self, answered: bool, stopping: bool) -> Instant {
        let partial = !self.input.is_empty();
        if !partial && stopping {
            // Whoever stops still takes what has already arrived, but waits for nothing more.
            self.due = Instant::now();
        } else if answered || partial != self.partial {
            self.due = Instant::now() + if partial { self.limits.request } else { self.limits.idle };
        }
        self.partial = partial;
        if !partial && self.grown {
            self.input = BytesMut::new();
            self.grown = false;
        }
        self.due
    }

    /// What a deadline that has passed means.
    fn overdue(&self, stopping: bool) -> Closed {
        match (self.input.is_empty(), stopping) {
            (true, true) => Closed::Stopped,
            (true, false) => Closed::Idle,
            (false, _) => Closed::Dribbled,
        }
    }

    /// Waits for octets and appends them to the input, or notes that there will be none.
    async fn receive(&mut self) -> io::Result<()> {
        let Line { stream, input, .. } = self;
        let received = poll_fn(|context| {
            // Not zeroed: that takes half as long as finding the answer.
            let mut chunk = [MaybeUninit::uninit(); CHUNK];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut chunk))?;
            input.extend_from_slice(chunk.filled());
            std::task::Poll::Ready(Ok::<_, io::Error>(chunk.filled().len()))
        })
        .await?;
        self.ended = received == 0;
        self.grown |= self.input.len() > KEPT;
        Ok(())
    }

    /// Writes the answers that have gathered.
    async fn flush(&mut self) -> Result<(), Closed> {
        if self.answers.is_empty() {
            return Ok(());
        }
        match timeout(self.limits.write, self.stream.write_all(&self.answers)).await {
            Ok(Ok(())) => {}
            // A thread that waits for a peer to read has its own way of being told that it does not.
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return Err(Closed::Unread),
            Ok(Err(error)) => return Err(Closed::Lost(error.kind())),
            Err(_) => return Err(Closed::Unread),
        }
        if self.answers.capacity() > KEPT {
            self.answers = BytesMut::new();
        }
        self.answers.clear();
        Ok(())
    }

    /// Ends it after what is no request.
    async fn part<P: Speech>(&mut self, what: String) -> Closed {
        P::refuse(&mut self.answers);
        if let Err(closed) = self.flush().await {
            return closed;
        }
        self.linger().await;
        Closed::Broken(what)
    }

    /// Lets the peer read our last answer. A socket closed over unread octets is reset, and a reset overtakes what we
    /// wrote; so what it still sends is taken for a moment and thrown away.
    async fn linger(&mut self) {
        let gone = async {
            let _ = self.stream.shutdown().await;
            let mut chunk = [0; 64];
            while matches!(self.stream.read(&mut chunk).await, Ok(1..)) {}
        };
        let _ = timeout(self.limits.linger, gone).await;
    }
}
