//! Asks as an MTA asks: socketmap and policy delegation, directly.
//!
//! Knows: the two protocols as their callers speak them. Must not know: the daemon's codecs.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take, so that a late one is seen as late and not as missing.
const ANSWER: Duration = Duration::from_secs(15);

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the daemon listens");
    stream.set_read_timeout(Some(ANSWER)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A connection of a socketmap client; many questions, one after the other.
pub(crate) struct Socketmap(BufReader<TcpStream>);

impl Socketmap {
    pub(crate) fn connect(server: SocketAddr) -> Socketmap {
        Socketmap(BufReader::new(connect(server)))
    }

    /// The reply's payload: `OK alice`, `NOTFOUND `, `TEMP ...`.
    pub(crate) fn ask(&mut self, map: &str, key: &str) -> String {
        let request = format!("{map} {key}");
        let framed = format!("{}:{request},", request.len());
        self.0.get_mut().write_all(framed.as_bytes()).expect("the daemon reads");
        let mut length = Vec::new();
        self.0.read_until(b':', &mut length).expect("a reply in time");
        let digits = String::from_utf8(length).expect("digits");
        let length: usize = digits.trim_end_matches(':').parse().expect("a length");
        let mut reply = vec![0; length + 1];
        self.0.read_exact(&mut reply).expect("as long as was said");
        assert_eq!(reply.pop(), Some(b','), "a netstring ends with a comma");
        String::from_utf8(reply).expect("text")
    }
}

/// A connection of a policy client.
pub(crate) struct Policy(BufReader<TcpStream>);

/// What Postfix would say about one message.
#[derive(Clone, Copy)]
pub(crate) struct Mail<'a> {
    pub(crate) context: &'a str,
    pub(crate) client: &'a str,
    pub(crate) helo: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) queue_id: &'a str,
    pub(crate) login: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) recipient: &'a str,
}

impl Default for Mail<'_> {
    fn default() -> Self {
        Mail {
            context: "relay",
            client: "100.64.0.7",
            helo: "client.example",
            instance: "1.2.3.0",
            queue_id: "4jYLXY6NlJz1SW1G",
            login: "",
            sender: "sender@example.org",
            recipient: "somebody@example.net",
        }
    }
}

impl Policy {
    pub(crate) fn connect(server: SocketAddr) -> Policy {
        Policy(BufReader::new(connect(server)))
    }

    /// The action for the first recipient.
    pub(crate) fn rcpt(&mut self, mail: &Mail<'_>) -> String {
        self.ask("RCPT", mail, &[("recipient", mail.recipient), ("queue_id", "")])
    }

    /// The action at the end of the message.
    pub(crate) fn end_of_message(&mut self, mail: &Mail<'_>) -> String {
        self.end(mail, "1", "2100")
    }

    /// The action at the end of a message with so many recipients and octets.
    pub(crate) fn end(&mut self, mail: &Mail<'_>, recipients: &str, size: &str) -> String {
        // Postfix names the recipient only if there is one.
        let recipient = if recipients == "1" { mail.recipient } else { "" };
        let end = [("recipient_count", recipients), ("recipient", recipient), ("size", size)];
        self.ask("END-OF-MESSAGE", mail, &end)
    }

    fn ask(&mut self, state: &str, mail: &Mail<'_>, more: &[(&str, &str)]) -> String {
        let mut request = String::from("request=smtpd_access_policy\n");
        let common = [
            ("protocol_state", state),
            ("protocol_name", "ESMTP"),
            ("client_address", mail.client),
            ("client_name", "unknown"),
            ("client_port", "40001"),
            ("helo_name", mail.helo),
            ("sender", mail.sender),
            ("queue_id", mail.queue_id),
            ("instance", mail.instance),
            ("sasl_username", mail.login),
            ("policy_context", mail.context),
        ];
        for (name, value) in common.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name)) {
            writeln!(request, "{name}={value}").expect("memory");
        }
        for (name, value) in more {
            writeln!(request, "{name}={value}").expect("memory");
        }
        request.push('\n');
        self.0.get_mut().write_all(request.as_bytes()).expect("the daemon reads");
        let mut action = String::new();
        self.0.read_line(&mut action).expect("an answer in time");
        let mut end = String::new();
        self.0.read_line(&mut end).expect("the empty line");
        assert_eq!(end, "\n", "an answer ends with an empty line");
        action.trim_end().strip_prefix("action=").expect("an action").to_owned()
    }
}

/// What a milter client offers: every action, and every step left out or unanswered that may be.
const OFFERED: [u32; 3] = [6, 0x1ff, 0x1f_ffff];

/// A message as a milter client tells of it beside policy delegation, on a connection of its own.
pub(crate) struct Content<'a> {
    pub(crate) client: &'a str,
    pub(crate) queue_id: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

impl Content<'_> {
    /// The answer at its end, by its kind: `c` lets it go.
    pub(crate) fn told(&self, server: SocketAddr) -> char {
        let mut stream = connect(server);
        let mut say = |kind: u8, data: &[u8]| {
            let length = u32::try_from(data.len() + 1).expect("a short frame");
            let octets = [&length.to_be_bytes()[..], &[kind], data].concat();
            stream.write_all(&octets).expect("the daemon reads");
        };
        say(b'O', &OFFERED.map(u32::to_be_bytes).concat());
        say(b'C', format!("[{0}]\x004\x02\x01{0}\0", self.client).as_bytes());
        say(b'M', b"<sender@example.org>\0");
        for (name, value) in self.headers {
            say(b'L', format!("{name}\0{value}\0").as_bytes());
        }
        say(b'D', format!("Ei\0{}\0", self.queue_id).as_bytes());
        say(b'E', b"");
        let mut kinds = (0..2).map(|_| {
            let mut length = [0; 4];
            stream.read_exact(&mut length).expect("an answer in time");
            let mut frame = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut frame).expect("as long as was said");
            char::from(frame[0])
        });
        assert_eq!(kinds.next(), Some('O'), "what is agreed comes first");
        kinds.next().expect("the answer at the end")
    }
}
