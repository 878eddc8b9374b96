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
    pub(crate) instance: &'a str,
    pub(crate) queue_id: &'a str,
    pub(crate) login: &'a str,
    pub(crate) sender: &'a str,
}

impl Default for Mail<'_> {
    fn default() -> Self {
        Mail {
            context: "relay",
            client: "100.64.0.7",
            instance: "1.2.3.0",
            queue_id: "4jYLXY6NlJz1SW1G",
            login: "",
            sender: "sender@example.org",
        }
    }
}

impl Policy {
    pub(crate) fn connect(server: SocketAddr) -> Policy {
        Policy(BufReader::new(connect(server)))
    }

    /// The action for the first recipient.
    pub(crate) fn rcpt(&mut self, mail: &Mail<'_>) -> String {
        self.ask("RCPT", mail, &[("recipient", "somebody@example.net"), ("queue_id", "")])
    }

    /// The action at the end of the message.
    pub(crate) fn end_of_message(&mut self, mail: &Mail<'_>) -> String {
        self.end(mail, "1", "2100")
    }

    /// The action at the end of a message with so many recipients and octets.
    pub(crate) fn end(&mut self, mail: &Mail<'_>, recipients: &str, size: &str) -> String {
        // Postfix names the recipient only if there is one.
        let recipient = if recipients == "1" { "somebody@example.net" } else { "" };
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
            ("helo_name", "client.example"),
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
