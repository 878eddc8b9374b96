//! The milter protocol (version 6, down to 2), as Sendmail and Postfix speak it: frames to commands, replies to frames.
//!
//! A frame is a length of four octets, one octet that says what it is, and what belongs to it. The MTA asks, and waits for an
//! answer where it was not agreed that there is none. What is agreed, and what becomes of a message's commands, is in
//! `conversation.rs`.
//!
//! Knows: frames, and how commands and replies are spelled, with limits. Must not know: sockets, or what an answer is.

mod conversation;

use std::fmt;
use std::net::IpAddr;

use bytes::{Buf, BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

pub use self::conversation::{Conversation, Ended, Heard, Step, Terms};
use super::policy::{self, Action};
use super::{ReadError, address};

/// Longest frame in octets. Postfix cuts a header at 102,400 octets unless it is told otherwise, and sends a body in pieces of
/// 65,535.
pub const FRAME_LIMIT: usize = 1024 * 1024;

/// Macros of one frame that are looked at.
const MACROS_MOST: usize = 100;

/// The oldest version that is spoken with.
const VERSION_LEAST: u32 = 2;

/// What makes octets no milter frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A frame has no room for its own kind.
    Empty,
    /// A frame is longer than `FRAME_LIMIT`.
    TooLong,
    /// A frame of a kind that there is not.
    UnknownKind(u8),
    /// A frame of this kind that does not hold what it must.
    Malformed(u8),
    /// A version that is too old.
    Version(u32),
    /// The stream ended within a frame.
    CutShort,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Empty => f.write_str("a milter frame is empty"),
            Broken::TooLong => write!(f, "a milter frame is longer than {FRAME_LIMIT} octets"),
            Broken::UnknownKind(kind) => write!(f, "there is no milter command 0x{kind:02x}"),
            Broken::Malformed(kind) => {
                write!(f, "a milter command 0x{kind:02x} does not hold what belongs to it")
            }
            Broken::Version(version) => {
                write!(f, "milter version {version} is older than {VERSION_LEAST}")
            }
            Broken::CutShort => f.write_str("the stream ended within a milter frame"),
        }
    }
}

impl std::error::Error for Broken {}

/// What an MTA says. Octets as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What it can do: its version, what may be changed, and which steps may be left out.
    Negotiate {
        /// Version.
        version: u32,
        /// Bits of what may be changed.
        actions: u32,
        /// Bits of what may be left out.
        steps: u32,
    },
    /// Values that belong to the command that follows.
    Macros {
        /// That command.
        of: u8,
        /// Names as they are written, with their braces.
        values: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// A client is there.
    Connect {
        /// Its name.
        host: Vec<u8>,
        /// Its address, folded; `None`: it came over a Unix socket, or the MTA does not know.
        address: Option<IpAddr>,
        /// Its port.
        port: Option<u16>,
    },
    /// HELO or EHLO.
    Helo(Vec<u8>),
    /// A message begins.
    Mail {
        /// Its sender, without angle brackets.
        sender: Vec<u8>,
        /// Octets that were announced.
        size: u64,
    },
    /// A recipient, without angle brackets.
    Rcpt(Vec<u8>),
    /// The content follows.
    Data,
    /// A header.
    Header {
        /// Its name.
        name: Vec<u8>,
        /// Its value, with its line ends.
        value: Vec<u8>,
    },
    /// There are no more headers.
    EndOfHeaders,
    /// So many octets of the body.
    Body(usize),
    /// The message is whole; so many octets of the body come with that.
    EndOfMessage(usize),
    /// This message is given up, or was done with.
    Abort,
    /// The connection is over.
    Quit,
    /// Another client is there on the same connection.
    QuitNewConnection,
    /// A command that the MTA itself does not know.
    Unknown,
}

impl Command {
    fn read(kind: u8, data: &[u8]) -> Result<Command, Broken> {
        let malformed = Broken::Malformed(kind);
        Ok(match kind {
            b'O' => {
                let version = number(data, 0).ok_or(malformed)?;
                let (actions, steps) = (number(data, 4).ok_or(malformed)?, number(data, 8).ok_or(malformed)?);
                if version < VERSION_LEAST {
                    return Err(Broken::Version(version));
                }
                Command::Negotiate { version, actions, steps }
            }
            b'D' => {
                let (&of, rest) = data.split_first().ok_or(malformed)?;
                let mut texts = Texts(rest);
                let mut values = Vec::new();
                while values.len() < MACROS_MOST
                    && let Some(name) = texts.next()
                {
                    // Whoever leaves the last value out means an empty one.
                    values.push((name.to_vec(), texts.next().unwrap_or_default().to_vec()));
                }
                Command::Macros { of, values }
            }
            b'C' => connect(data).ok_or(malformed)?,
            b'H' => Command::Helo(first(data).to_vec()),
            b'M' => {
                let mut texts = Texts(data);
                let sender = bare(texts.next().ok_or(malformed)?).to_vec();
                let size = texts.find_map(announced).unwrap_or_default();
                Command::Mail { sender, size }
            }
            b'R' => Command::Rcpt(bare(Texts(data).next().ok_or(malformed)?).to_vec()),
            b'T' => Command::Data,
            b'L' => {
                let mut texts = Texts(data);
                let name = texts.next().ok_or(malformed)?.to_vec();
                Command::Header { name, value: texts.next().unwrap_or_default().to_vec() }
            }
            b'N' => Command::EndOfHeaders,
            b'B' => Command::Body(data.len()),
            b'E' => Command::EndOfMessage(data.len()),
            b'A' => Command::Abort,
            b'Q' => Command::Quit,
            b'K' => Command::QuitNewConnection,
            b'U' => Command::Unknown,
            kind => return Err(Broken::UnknownKind(kind)),
        })
    }
}

/// Name, family, port and address of a client. Postfix writes an IPv6 address plainly, Sendmail with `IPv6:` before it.
fn connect(data: &[u8]) -> Option<Command> {
    let end = memchr::memchr(0, data)?;
    let (host, rest) = data.split_at(end);
    let (family, rest) = rest.get(1..)?.split_first()?;
    let (told, port) = match family {
        b'4' | b'6' => {
            let (port, text) = rest.split_first_chunk::<2>()?;
            (address(first(text)), Some(u16::from_be_bytes(*port)).filter(|&port| port != 0))
        }
        b'L' | b'U' => (None, None),
        _ => return None,
    };
    Some(Command::Connect { host: host.to_vec(), address: told, port })
}

fn number(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

/// What stands before the first NUL.
fn first(data: &[u8]) -> &[u8] {
    Texts(data).next().unwrap_or_default()
}

/// An envelope's address without what stands around it.
fn bare(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_prefix(b"<").and_then(|text| text.strip_suffix(b">")).unwrap_or(text)
}

/// What `SIZE=` announces (RFC 1870).
fn announced(parameter: &[u8]) -> Option<u64> {
    let (keyword, octets) = parameter.split_at_checked(5)?;
    keyword.eq_ignore_ascii_case(b"size=").then(|| super::number(octets))?
}

/// Texts that end with NUL each; the last may lack it.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr(0, self.0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(text)
    }
}

/// Commands one way, replies the other.
#[derive(Debug, Clone, Default)]
pub struct Milter {
    broken: Option<Broken>,
}

impl Milter {
    fn next(stream: &mut BytesMut) -> Result<Option<Command>, Broken> {
        let Some(length) = number(stream, 0) else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| Broken::TooLong)?;
        if length > FRAME_LIMIT {
            return Err(Broken::TooLong);
        }
        let Some(frame) = stream.get(4..length.saturating_add(4)) else { return Ok(None) };
        let (&kind, data) = frame.split_first().ok_or(Broken::Empty)?;
        let command = Command::read(kind, data)?;
        stream.advance(length.saturating_add(4));
        Ok(Some(command))
    }

    fn remember<T>(&mut self, outcome: Result<T, Broken>) -> Result<T, ReadError<Broken>> {
        outcome.map_err(|broken| {
            self.broken = Some(broken);
            ReadError::Broken(broken)
        })
    }
}

impl Decoder for Milter {
    type Item = Command;
    type Error = ReadError<Broken>;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Command>, Self::Error> {
        let outcome = self.broken.map_or_else(|| Milter::next(stream), Err);
        self.remember(outcome)
    }

    fn decode_eof(&mut self, stream: &mut BytesMut) -> Result<Option<Command>, Self::Error> {
        match self.decode(stream)? {
            None if !stream.is_empty() => self.remember(Err(Broken::CutShort)),
            outcome => Ok(outcome),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What is agreed.
    Negotiated {
        /// The version that is spoken.
        version: u32,
        /// Bits of what may be changed.
        actions: u32,
        /// Bits of what is left out.
        steps: u32,
        /// For a stage by its number, the macros that are wanted.
        macros: Vec<(u32, &'static str)>,
    },
    /// Go on.
    Continue,
    /// What the client hears, or what is added before going on.
    Answer(Action),
}

impl Reply {
    /// Appends the reply to `stream`.
    pub fn write(&self, stream: &mut BytesMut) {
        match self {
            Reply::Continue => put(stream, b'c', &[]),
            Reply::Negotiated { version, actions, steps, macros } => {
                let mut data = Vec::new();
                for bits in [version, actions, steps] {
                    data.put_u32(*bits);
                }
                for (stage, names) in macros {
                    data.put_u32(*stage);
                    data.put_slice(names.as_bytes());
                    data.put_u8(0);
                }
                put(stream, b'O', &data);
            }
            Reply::Answer(action) => answer(action, stream),
        }
    }
}

fn answer(action: &Action, stream: &mut BytesMut) {
    if let Some(text) = action.reply() {
        // Sendmail takes a per cent sign for the beginning of a format, and another reply than ours where it stands alone.
        let mut text: Vec<u8> =
            text.iter().flat_map(|&octet| [octet].repeat(1 + usize::from(octet == b'%'))).collect();
        text.push(0);
        return put(stream, b'y', &text);
    }
    if let Action::Prepend { header, value } = action
        && policy::is_field_name(header)
    {
        let mut data = header.as_bytes().to_vec();
        data.push(0);
        data.extend(policy::line(value));
        data.push(0);
        put(stream, b'h', &data);
    }
    put(stream, b'c', &[]);
}

fn put(stream: &mut BytesMut, kind: u8, data: &[u8]) {
    // Nothing of ours is longer than a line or two.
    let length = u32::try_from(data.len()).unwrap_or_default().saturating_add(1);
    stream.put_u32(length);
    stream.put_u8(kind);
    stream.put_slice(data);
}

impl Encoder<Reply> for Milter {
    type Error = ReadError<Broken>;

    fn encode(&mut self, reply: Reply, stream: &mut BytesMut) -> Result<(), Self::Error> {
        reply.write(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
