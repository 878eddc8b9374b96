//! Policy delegation (Postfix `SMTPD_POLICY_README`): `name=value` lines and an empty one asked, one action answered.
//!
//! Knows: the attributes that a question is made of, and how an action is spelled so that a peer can't put words
//! into it. Must not know: which action follows from which question.

use std::borrow::Cow;
use std::fmt;

use bytes::{Buf, BufMut, BytesMut};
use memchr::{memchr, memchr_iter};
use tokio_util::codec::{Decoder, Encoder};

use super::{ReadError, address, number, port};
use crate::relay::{Profile, Query, Stage};

/// Longest line in octets, without its end (CVE-2007-3791 was a policy daemon that trusted the line's length).
pub const LINE_LIMIT: usize = 8 * 1024;
/// Longest request in octets.
pub const REQUEST_LIMIT: usize = 64 * 1024;
/// Lines in a request; Postfix 3.7 sends 29.
pub const LINES_LIMIT: usize = 200;

/// Longest text of a reply. RFC 5321, 4.5.3.1.5 allows a reply line 512 octets, and Postfix writes the recipient
/// before our text.
const TEXT_LIMIT: usize = 300;

/// What makes octets no policy request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A line is longer than `LINE_LIMIT`.
    LineTooLong,
    /// A request is longer than `REQUEST_LIMIT`.
    RequestTooLong,
    /// A request has more than `LINES_LIMIT` lines.
    TooManyLines,
    /// A line holds no `=`.
    NotAnAttribute,
    /// `request=smtpd_access_policy` is missing: whoever speaks isn't asking us.
    NotSmtpdAccessPolicy,
    /// The stream ended within a request.
    CutShort,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::LineTooLong => write!(f, "a line of a policy request is longer than {LINE_LIMIT} octets"),
            Broken::RequestTooLong => write!(f, "a policy request is longer than {REQUEST_LIMIT} octets"),
            Broken::TooManyLines => write!(f, "a policy request has more than {LINES_LIMIT} lines"),
            Broken::NotAnAttribute => f.write_str("a line of a policy request is not name=value"),
            Broken::NotSmtpdAccessPolicy => f.write_str("a request is not smtpd_access_policy"),
            Broken::CutShort => f.write_str("the stream ended within a policy request"),
        }
    }
}

impl std::error::Error for Broken {}

/// What `policy_context` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// One of our profiles; an empty context is `relay`.
    Known(Profile),
    /// A word that is no profile: somebody mistyped, and must see it rather than get another profile's answers.
    Unknown(Vec<u8>),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The question; its profile is `relay` where the context is unknown.
    pub query: Query,
    /// Where the profile came from.
    pub context: Context,
}

impl Request {
    fn empty() -> Self {
        Request {
            query: Query {
                stage: Stage::Other,
                profile: Profile::Relay,
                address: None,
                port: None,
                login: None,
                instance: Vec::new(),
                queue_id: Vec::new(),
                helo: Vec::new(),
                sender: Vec::new(),
                recipient: Vec::new(),
                recipient_count: 0,
                size: 0,
            },
            context: Context::Known(Profile::Relay),
        }
    }

    /// The question in a request's lines, its empty line excluded.
    fn from_lines(lines: &[u8]) -> Result<Self, Broken> {
        let (mut reading, mut begin) = (Reading::default(), 0);
        for end in memchr_iter(b'\n', lines) {
            reading.take(without_cr(lines.get(begin..end).unwrap_or_default()))?;
            begin = end.saturating_add(1);
        }
        reading.done()
    }

    /// The question that stands whole at the beginning of the stream, as nearly all do, and how many octets it takes.
    /// `None`: it is not all there, or something is wrong with it; whoever looks at it line by line finds out.
    fn whole(octets: &[u8]) -> Option<(Self, usize)> {
        let (mut reading, mut begin) = (Reading::default(), 0);
        for end in memchr_iter(b'\n', octets.get(..REQUEST_LIMIT).unwrap_or(octets)).take(LINES_LIMIT) {
            let line = without_cr(octets.get(begin..end)?);
            begin = end.saturating_add(1);
            if line.is_empty() {
                return Some((reading.done().ok()?, begin));
            }
            if line.len() > LINE_LIMIT {
                return None;
            }
            reading.take(line).ok()?;
        }
        None
    }

    /// Takes one attribute; a repeated one wins over what came before it.
    fn set(&mut self, name: &[u8], value: &[u8]) {
        let query = &mut self.query;
        match name {
            b"protocol_state" => query.stage = stage(value),
            b"client_address" => query.address = address(value),
            b"client_port" => query.port = port(value),
            b"sasl_username" => query.login = (!value.is_empty()).then(|| value.to_vec()),
            b"instance" => query.instance = value.to_vec(),
            b"queue_id" => query.queue_id = value.to_vec(),
            b"helo_name" => query.helo = value.to_vec(),
            b"sender" => query.sender = value.to_vec(),
            b"recipient" => query.recipient = value.to_vec(),
            b"recipient_count" => query.recipient_count = number(value).unwrap_or_default(),
            b"size" => query.size = number(value).unwrap_or_default(),
            b"policy_context" => {
                self.context = context(value);
                query.profile = match self.context {
                    Context::Known(profile) => profile,
                    Context::Unknown(_) => Profile::default(),
                };
            }
            // Newer versions of Postfix add attributes.
            _ => {}
        }
    }
}

/// A question of which some lines were read.
struct Reading {
    request: Request,
    asks_us: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Reading { request: Request::empty(), asks_us: false }
    }
}

impl Reading {
    fn take(&mut self, line: &[u8]) -> Result<(), Broken> {
        let equals = memchr(b'=', line).ok_or(Broken::NotAnAttribute)?;
        let (name, value) = line.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match name {
            b"request" => self.asks_us = value == b"smtpd_access_policy",
            _ => self.request.set(name, value),
        }
        Ok(())
    }

    fn done(self) -> Result<Request, Broken> {
        if self.asks_us { Ok(self.request) } else { Err(Broken::NotSmtpdAccessPolicy) }
    }
}

fn stage(value: &[u8]) -> Stage {
    match value {
        b"RCPT" => Stage::Rcpt,
        // BDAT is reported as DATA.
        b"DATA" => Stage::Data,
        b"END-OF-MESSAGE" => Stage::EndOfMessage,
        _ => Stage::Other,
    }
}

fn context(value: &[u8]) -> Context {
    match value {
        b"" | b"relay" => Context::Known(Profile::Relay),
        b"submission" => Context::Known(Profile::Submission),
        b"mx" => Context::Known(Profile::Mx),
        other => Context::Unknown(other.to_vec()),
    }
}

/// A line whose LF is gone already, without its CR.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A stream of questions, and of actions the other way.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Octets at the front of the stream that are known to be whole lines. A peer that dribbles costs one look at
    /// each octet, not one for each of its packets.
    whole: usize,
    /// Lines among them.
    lines: usize,
    /// Octets behind them that hold no line end.
    seen: usize,
    broken: Option<Broken>,
}

impl Policy {
    /// The next whole request of the stream.
    fn next(&mut self, stream: &mut BytesMut) -> Result<Option<Request>, Broken> {
        let octets: &[u8] = stream;
        if self.whole == 0
            && self.seen == 0
            && let Some((request, length)) = Request::whole(octets)
        {
            stream.advance(length);
            return Ok(Some(request));
        }
        let unseen = self.whole.saturating_add(self.seen);
        for found in memchr_iter(b'\n', octets.get(unseen..).unwrap_or_default()) {
            let end = unseen.saturating_add(found);
            let line = without_cr(octets.get(self.whole..end).unwrap_or_default());
            self.within_limits(line.len())?;
            if line.is_empty() {
                let request = Request::from_lines(octets.get(..self.whole).unwrap_or_default())?;
                stream.advance(end.saturating_add(1));
                *self = Policy::default();
                return Ok(Some(request));
            }
            self.lines = self.lines.saturating_add(1);
            self.whole = end.saturating_add(1);
            if self.lines > LINES_LIMIT {
                return Err(Broken::TooManyLines);
            }
        }
        self.seen = octets.len().saturating_sub(self.whole);
        // One octet more: a CR that its LF hasn't followed yet is no part of the line.
        self.within_limits(self.seen.saturating_sub(1)).map(|()| None)
    }

    /// Whether a line of so many octets may follow what is there.
    fn within_limits(&self, line: usize) -> Result<(), Broken> {
        if line > LINE_LIMIT {
            return Err(Broken::LineTooLong);
        }
        if self.whole.saturating_add(line) > REQUEST_LIMIT {
            return Err(Broken::RequestTooLong);
        }
        Ok(())
    }

    fn remember<T>(&mut self, outcome: Result<T, Broken>) -> Result<T, ReadError<Broken>> {
        outcome.map_err(|broken| {
            self.broken = Some(broken);
            ReadError::Broken(broken)
        })
    }
}

impl Decoder for Policy {
    type Item = Request;
    type Error = ReadError<Broken>;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Request>, Self::Error> {
        let outcome = self.broken.map_or_else(|| self.next(stream), Err);
        self.remember(outcome)
    }

    fn decode_eof(&mut self, stream: &mut BytesMut) -> Result<Option<Request>, Self::Error> {
        match self.decode(stream)? {
            None if !stream.is_empty() => self.remember(Err(Broken::CutShort)),
            outcome => Ok(outcome),
        }
    }
}

/// One answer, in the words of access(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Permitted here.
    Ok,
    /// Not our business: the MTA's next restriction decides.
    Dunno,
    /// A header goes before the message. Only at DATA: before it, each recipient would add one; after it, none is.
    Prepend {
        /// The header's name.
        header: String,
        /// The header's value.
        value: String,
    },
    /// Refused for good: `550 5.7.1`.
    Reject550 {
        /// For people.
        text: Cow<'static, str>,
    },
    /// Refused, where no rule of the operator's follows that would: `554 5.7.1`.
    Refuse554 {
        /// For people.
        text: Cow<'static, str>,
    },
    /// Not now: `451 4.7.1`.
    Defer451 {
        /// For people.
        text: Cow<'static, str>,
    },
    /// Not now, because it is too much: `450 4.7.1`.
    Limited450 {
        /// For people.
        text: Cow<'static, str>,
    },
    /// Refused for good, because it is too large: `552 5.3.4`.
    TooLarge552 {
        /// For people.
        text: Cow<'static, str>,
    },
    /// Not now, because the MTA's configuration asks for something that doesn't exist: `451 4.3.5`.
    Misconfigured451 {
        /// For the postmaster.
        text: Cow<'static, str>,
    },
}

impl Action {
    /// Appends the answer to `stream`.
    pub fn write(&self, stream: &mut BytesMut) {
        stream.put_slice(b"action=");
        match (self.reply(), self) {
            (Some(reply), _) => stream.put_slice(&reply),
            (None, Action::Ok) => stream.put_slice(b"OK"),
            (None, Action::Prepend { header, value }) if is_field_name(header) => {
                stream.put_slice(b"PREPEND ");
                stream.put_slice(header.as_bytes());
                stream.put_slice(b": ");
                stream.extend(line(value));
            }
            // What is no header's name would become a line of the message: it adds nothing rather than that.
            (None, _) => stream.put_slice(b"DUNNO"),
        }
        stream.put_slice(b"\n\n");
    }

    /// What the client is to hear, as one line of SMTP; `None`: nothing stands in its way.
    #[must_use]
    pub fn reply(&self) -> Option<Vec<u8>> {
        // Enhanced codes are always whole (RFC 3463, 2); Postfix has read beyond shorter ones (CVE-2026-43964).
        let (code, text, otherwise) = match self {
            Action::Ok | Action::Dunno | Action::Prepend { .. } => return None,
            Action::Reject550 { text } => ("550 5.7.1 ", text, "refused"),
            Action::Refuse554 { text } => ("554 5.7.1 ", text, "refused"),
            Action::Defer451 { text } => ("451 4.7.1 ", text, "try again later"),
            Action::Limited450 { text } => ("450 4.7.1 ", text, "too much mail, try again later"),
            Action::TooLarge552 { text } => ("552 5.3.4 ", text, "message too large"),
            Action::Misconfigured451 { text } => ("451 4.3.5 ", text, "configuration error"),
        };
        let text = if text.trim().is_empty() { otherwise } else { text };
        Some(code.bytes().chain(line(text)).collect())
    }
}

/// Text within one line: whoever chose a part of it can't end the answer and begin another, nor write what RFC 5321,
/// 4.2 doesn't allow in a reply. Postfix is none the wiser for more than `TEXT_LIMIT` of it.
pub(super) fn line(text: &str) -> impl Iterator<Item = u8> {
    text.trim().chars().take(TEXT_LIMIT).map(|c| match u8::try_from(c) {
        Ok(octet @ b' '..=b'~') => octet,
        Ok(octet) if octet.is_ascii_control() => b' ',
        _ => b'?',
    })
}

/// RFC 5322, 2.2: printable ASCII without a colon.
#[must_use]
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':')
}

impl Encoder<Action> for Policy {
    type Error = ReadError<Broken>;

    fn encode(&mut self, action: Action, stream: &mut BytesMut) -> Result<(), Self::Error> {
        action.write(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(text: &str) -> Result<Option<Request>, Broken> {
        Policy::default().next(&mut BytesMut::from(text))
    }

    fn question(attributes: &str) -> Request {
        request(&format!("request=smtpd_access_policy\n{attributes}\n")).unwrap().unwrap()
    }

    fn written(action: &Action) -> String {
        let mut stream = BytesMut::new();
        action.write(&mut stream);
        String::from_utf8(stream.to_vec()).unwrap()
    }

    #[test]
    fn every_attribute_finds_its_place() {
        let asked = question(
            "protocol_state=END-OF-MESSAGE\nclient_address=2001:DB8::7\nclient_port=40001\nsasl_username=bob\n\
             instance=6464.6b.0\nqueue_id=76DEB\nhelo_name=h.example\nsender=s@example.org\nrecipient=r@example.net\n\
             recipient_count=2\nsize=21\npolicy_context=submission\n",
        );
        let query = Query {
            stage: Stage::EndOfMessage,
            profile: Profile::Submission,
            address: "2001:db8::7".parse().ok(),
            port: Some(40001),
            login: Some(b"bob".to_vec()),
            instance: b"6464.6b.0".to_vec(),
            queue_id: b"76DEB".to_vec(),
            helo: b"h.example".to_vec(),
            sender: b"s@example.org".to_vec(),
            recipient: b"r@example.net".to_vec(),
            recipient_count: 2,
            size: 21,
        };
        assert_eq!(asked, Request { query, context: Context::Known(Profile::Submission) });
    }

    #[test]
    fn states_are_stages() {
        for (word, stage) in [
            ("RCPT", Stage::Rcpt),
            ("DATA", Stage::Data),
            ("END-OF-MESSAGE", Stage::EndOfMessage),
            ("VRFY", Stage::Other),
        ] {
            assert_eq!(question(&format!("protocol_state={word}\n")).query.stage, stage);
        }
        assert_eq!(question("").query.stage, Stage::Other);
    }

    #[test]
    fn an_unknown_context_is_told_apart_from_an_empty_one() {
        assert_eq!(question("policy_context=\n").context, Context::Known(Profile::Relay));
        assert_eq!(question("policy_context=mx\n").context, Context::Known(Profile::Mx));
        assert_eq!(question("policy_context=submision\n").context, Context::Unknown(b"submision".to_vec()));
        assert_eq!(question("policy_context=MX\n").context, Context::Unknown(b"MX".to_vec()));
    }

    #[test]
    fn an_empty_login_is_no_login() {
        assert_eq!(question("sasl_username=\n").query.login, None);
    }

    #[test]
    fn the_last_of_a_repeated_attribute_wins() {
        assert_eq!(question("sender=a\nsender=b\n").query.sender, b"b");
        assert_eq!(question("policy_context=mx\npolicy_context=\n").query.profile, Profile::Relay);
    }

    #[test]
    fn order_unknown_names_and_values_with_equals_signs_do_not_matter() {
        let asked =
            request("sender=a=b\nserver_sni=x\nsize=\nrequest=smtpd_access_policy\n\n").unwrap().unwrap();
        assert_eq!(asked.query.sender, b"a=b");
    }

    #[test]
    fn numbers_that_are_none_count_as_not_told() {
        let asked =
            question("size=-1\nrecipient_count=99999999999\nclient_port=unknown\nclient_address=unknown\n");
        assert_eq!((asked.query.size, asked.query.recipient_count), (0, 0));
        assert_eq!((asked.query.port, asked.query.address), (None, None));
    }

    #[test]
    fn both_line_ends_are_read() {
        let asked = request("request=smtpd_access_policy\r\nsender=a\r\n\r\n").unwrap().unwrap();
        assert_eq!(asked.query.sender, b"a");
    }

    #[test]
    fn a_request_of_another_kind_is_broken() {
        assert_eq!(request("request=other\n\n"), Err(Broken::NotSmtpdAccessPolicy));
        assert_eq!(request("sender=a\n\n"), Err(Broken::NotSmtpdAccessPolicy));
        assert_eq!(request("\n"), Err(Broken::NotSmtpdAccessPolicy));
        assert_eq!(request("request=smtpd_access_policy\nsender\n\n"), Err(Broken::NotAnAttribute));
    }

    #[test]
    fn the_longest_line_is_read_and_one_octet_more_refused_before_its_end() {
        let longest = format!("sender={}", "a".repeat(LINE_LIMIT - "sender=".len()));
        assert_eq!(question(&format!("{longest}\r\n")).query.sender.len(), LINE_LIMIT - 7);
        assert_eq!(request(&format!("{longest}\r")), Ok(None));
        assert_eq!(request(&format!("{longest}a\n")), Err(Broken::LineTooLong));
        assert_eq!(request(&format!("{longest}aa")), Err(Broken::LineTooLong));
    }

    #[test]
    fn as_many_lines_as_allowed_are_read_and_one_more_is_refused() {
        let lines = "a=\n".repeat(LINES_LIMIT - 1);
        question(&lines);
        assert_eq!(request(&format!("request=smtpd_access_policy\n{lines}a=\n")), Err(Broken::TooManyLines));
    }

    #[test]
    fn the_longest_request_is_read_and_one_octet_more_refused() {
        let head = "request=smtpd_access_policy\n";
        let line = format!("a={}\n", "a".repeat(LINE_LIMIT - 2));
        let most = format!("{head}{}", line.repeat(7));
        let fill = |octets: usize| format!("{most}a={}\n\n", "a".repeat(octets - most.len() - 3));
        assert!(matches!(request(&fill(REQUEST_LIMIT)), Ok(Some(_))));
        assert_eq!(request(&fill(REQUEST_LIMIT + 1)), Err(Broken::RequestTooLong));
    }

    #[test]
    fn a_broken_stream_stays_broken() {
        let mut policy = Policy::default();
        assert!(policy.decode(&mut BytesMut::from("x\n\n")).is_err());
        assert!(policy.decode(&mut BytesMut::from("request=smtpd_access_policy\n\n")).is_err());
    }

    #[test]
    fn at_the_end_a_part_of_a_request_is_broken() {
        let mut stream = BytesMut::from("request=smtpd_access_policy\n\nrequest=smtpd_access_policy\n");
        let mut policy = Policy::default();
        assert!(matches!(policy.decode_eof(&mut stream), Ok(Some(_))));
        assert!(matches!(policy.decode_eof(&mut stream), Err(ReadError::Broken(Broken::CutShort))));
        assert!(matches!(Policy::default().decode_eof(&mut BytesMut::new()), Ok(None)));
    }

    #[test]
    fn actions_are_spelled_as_access_5_says() {
        assert_eq!(written(&Action::Ok), "action=OK\n\n");
        assert_eq!(written(&Action::Dunno), "action=DUNNO\n\n");
        assert_eq!(written(&Action::Reject550 { text: "no".into() }), "action=550 5.7.1 no\n\n");
        assert_eq!(written(&Action::Defer451 { text: "wait".into() }), "action=451 4.7.1 wait\n\n");
        assert_eq!(written(&Action::Misconfigured451 { text: "typo".into() }), "action=451 4.3.5 typo\n\n");
        let prepend = Action::Prepend { header: "X-Subscriber-Token".into(), value: "k7".into() };
        assert_eq!(written(&prepend), "action=PREPEND X-Subscriber-Token: k7\n\n");
    }

    #[test]
    fn no_text_can_end_the_answer_and_begin_another() {
        let text = "no\n\naction=OK\r\n\u{85}\u{2028}.".to_owned();
        assert_eq!(
            written(&Action::Reject550 { text: text.into() }),
            "action=550 5.7.1 no  action=OK  ??.\n\n"
        );
        let prepend = Action::Prepend { header: "X-A".into(), value: "v\r\nBcc: all".into() };
        assert_eq!(written(&prepend), "action=PREPEND X-A: v  Bcc: all\n\n");
    }

    #[test]
    fn a_header_whose_name_is_none_is_not_written() {
        for header in ["", "X A", "X:A", "X-Ä", "X\n"] {
            let prepend = Action::Prepend { header: header.into(), value: "v".into() };
            assert_eq!(written(&prepend), "action=DUNNO\n\n", "{header:?}");
        }
    }

    #[test]
    fn a_reply_always_says_something_and_never_too_much() {
        assert_eq!(written(&Action::Reject550 { text: " \n".into() }), "action=550 5.7.1 refused\n\n");
        let long = written(&Action::Defer451 { text: "a".repeat(TEXT_LIMIT + 1).into() });
        assert_eq!(long.len(), "action=451 4.7.1 \n\n".len() + TEXT_LIMIT);
    }

    proptest! {
        #[test]
        fn questions_survive_any_way_of_splitting_the_stream(
            senders in prop::collection::vec("[a-z@.]{0,20}", 0..5),
            cuts in prop::collection::vec(1usize..9, 1..40),
        ) {
            let whole: String =
                senders.iter().map(|s| format!("request=smtpd_access_policy\r\nsender={s}\n\n")).collect();
            let mut policy = Policy::default();
            let (mut stream, mut found, mut rest) = (BytesMut::new(), Vec::new(), whole.as_bytes());
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                stream.extend_from_slice(piece);
                while let Some(request) = policy.decode(&mut stream).unwrap() {
                    found.push(String::from_utf8(request.query.sender).unwrap());
                }
                rest = later;
                if rest.is_empty() { break; }
            }
            prop_assert!(stream.is_empty());
            prop_assert_eq!(found, senders);
        }

        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Policy::default().decode_eof(&mut BytesMut::from(&octets[..]));
        }
    }
}
