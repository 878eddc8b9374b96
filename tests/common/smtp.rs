//! A mail client that goes through a message step by step, and pretends to come from where a test wants.
//!
//! Knows: SMTP, and Postfix's XCLIENT. Must not know: what the answers ought to be.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One SMTP session.
pub(crate) struct Smtp(BufReader<TcpStream>);

/// A reply: its code, and its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Reply {
    /// The queue id in `250 2.0.0 Ok: queued as ID`.
    pub(crate) fn queue_id(&self) -> &str {
        assert_eq!(self.code, 250, "not accepted: {}", self.text);
        self.text.rsplit(' ').next().expect("a last word")
    }
}

impl Smtp {
    /// Connects and says EHLO.
    pub(crate) fn connect(server: SocketAddr) -> Smtp {
        Smtp::begin(TcpStream::connect(server).expect("Postfix listens"))
    }

    fn begin(stream: TcpStream) -> Smtp {
        // Postfix itself waits up to 11 s for a policy service that hangs, at each of two stages.
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let mut session = Smtp(BufReader::new(stream));
        assert_eq!(session.reply().code, 220);
        session.say("EHLO client.example");
        session
    }

    /// Connects from this address, which is one of this host, and says EHLO.
    pub(crate) fn bound(server: SocketAddr, client: &str) -> Smtp {
        let client = SocketAddr::new(client.parse().expect("an address"), 0);
        let domain = if client.is_ipv6() { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&client.into()).expect("an address of this host");
        socket.connect(&server.into()).expect("the mail server listens");
        Smtp::begin(socket.into())
    }

    /// Connects and pretends to be this client.
    pub(crate) fn from(server: SocketAddr, client: &str) -> Smtp {
        Smtp::from_port(server, client, 40001)
    }

    /// Connects and pretends to be this client with this source port.
    pub(crate) fn from_port(server: SocketAddr, client: &str, port: u16) -> Smtp {
        let mut session = Smtp::connect(server);
        let spelling = if client.contains(':') { format!("IPV6:{client}") } else { client.to_owned() };
        let reply = session.say(&format!("XCLIENT NAME=[UNAVAILABLE] ADDR={spelling} PORT={port}"));
        assert_eq!(reply.code, 220, "{}", reply.text);
        session.say("EHLO client.example");
        session
    }

    /// AUTH PLAIN (RFC 4616).
    pub(crate) fn login(&mut self, user: &str, password: &str) -> Reply {
        let response = base64(format!("\0{user}\0{password}").as_bytes());
        self.say(&format!("AUTH PLAIN {response}"))
    }

    /// One command, one reply.
    pub(crate) fn say(&mut self, line: &str) -> Reply {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("Postfix reads");
        self.reply()
    }

    /// The sender, and one recipient's reply.
    pub(crate) fn rcpt(&mut self, recipient: &str) -> Reply {
        let reply = self.say("MAIL FROM:<sender@example.org>");
        assert_eq!(reply.code, 250, "{}", reply.text);
        self.say(&format!("RCPT TO:<{recipient}>"))
    }

    /// The content, and the reply at its end.
    pub(crate) fn content(&mut self) -> Reply {
        let reply = self.say("DATA");
        assert_eq!(reply.code, 354, "{}", reply.text);
        self.say("Subject: a test\r\n\r\nHello.\r\n.")
    }

    /// A whole message to one recipient: the reply that decided it.
    pub(crate) fn send(&mut self, recipient: &str) -> Reply {
        let reply = self.rcpt(recipient);
        if reply.code == 250 {
            return self.content();
        }
        self.say("RSET");
        reply
    }

    fn reply(&mut self) -> Reply {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a reply in time");
            let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
            if line.as_bytes().get(3) != Some(&b'-') {
                return Reply { code, text: line.trim_end().to_owned() };
            }
        }
    }
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in octets.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
