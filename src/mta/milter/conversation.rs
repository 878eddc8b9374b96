//! One connection of an MTA's milter client: what is agreed, and what is gathered of a message until it is whole.
//!
//! ```text
//! NEGOTIATE ─► CONNECT ─► HELO ─► (MACROS) MAIL ─► RCPT ... ─► DATA ─► HEADER ... BODY ... ─► END OF MESSAGE
//!                ▲  XCLIENT       ▲                  │ asked, where we attribute                  │ asked
//!                └────────────────┴──── ABORT ◄──────┴────────────────────────────────────────────┘
//! ```
//!
//! An ABORT comes also after the end of a message, and says nothing of it then.
//!
//! Knows: which steps are needed for what, and what they carry. Must not know: octets, or what is answered.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Command, Reply};
use crate::mta::policy::Action;
use crate::relay::{Profile, Query, Stage};

/// The newest version.
const VERSION: u32 = 6;

/// SMFIF_ADDHDRS: headers may be added.
const ADD_HEADERS: u32 = 0x1;
/// SMFIF_SETSYMLIST: macros may be asked for.
const CHOOSE_MACROS: u32 = 0x100;

const NO_HELO: u32 = 0x2;
const NO_RCPT: u32 = 0x8;
const NO_BODY: u32 = 0x10;
const NO_HEADERS: u32 = 0x20;
const NO_END_OF_HEADERS: u32 = 0x40;
const UNANSWERED_HEADERS: u32 = 0x80;
const NO_UNKNOWN: u32 = 0x100;
const NO_DATA: u32 = 0x200;
const UNANSWERED_CONNECT: u32 = 0x1000;
const UNANSWERED_HELO: u32 = 0x2000;
const UNANSWERED_MAIL: u32 = 0x4000;
const UNANSWERED_RCPT: u32 = 0x8000;
const UNANSWERED_BODY: u32 = 0x80000;
/// SMFIP_RCPT_REJ: recipients that the MTA refuses are told as well, as such.
const REFUSED_RCPT: u32 = 0x800;

/// SMFIM_ENVFROM, SMFIM_ENVRCPT, SMFIM_EOM.
const MACROS: [(u32, &str); 3] =
    [(2, "i {auth_authen}"), (3, "i {rcpt_mailer} {rcpt_host}"), (5, "i {auth_authen}")];

/// Headers of one message that are kept.
const HEADERS_KEPT: usize = 100;
/// Octets of a value that are looked at.
const VALUE_KEPT: usize = 4096;
/// Octets of a name of somebody's: no longer one can be meant (RFC 5321, 4.5.3.1).
const NAME_KEPT: usize = 1024;

/// What is wanted of a connection, as it was configured when it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// What no other connection is called, now or later: messages are told apart by it.
    pub name: String,
    /// Who may send is asked, and messages are written down; `None`: only headers are read.
    pub profile: Option<Profile>,
    /// Headers that are read, by their names in lower case.
    pub headers: Arc<[Vec<u8>]>,
    /// How many SMTP sessions are open at a time matters. Postfix keeps what it need not have answered until it wants an answer,
    /// so it is made to wait until each is known: whoever else it asks then finds them all.
    pub sessions: bool,
    /// How many recipients are refused matters: the same for each recipient.
    pub refused: bool,
    /// Message-IDs are wanted, too.
    pub message_id: bool,
}

/// What is to be done about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// This is to be written.
    Write(Reply),
    /// Somebody may want to know this, and then something may have to be written.
    Heard(Heard, Option<Reply>),
    /// Somebody must say whether this recipient may be.
    Recipient(Box<Query>),
    /// Somebody must say whether this message may leave.
    End(Box<Ended>),
}

/// What is told, and nothing is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An SMTP session has begun; of its query the client is known and nothing else.
    Connected(Box<Query>),
    /// Its client has logged in.
    LoggedIn(Vec<u8>),
    /// The MTA refused a recipient, for good and not by its policy: ours may be a part of that.
    Refused(Box<Query>),
    /// The session is over.
    Gone,
}

/// A message that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What is asked; where nothing is attributed its profile is `submission` with a login, and `relay` without.
    pub query: Query,
    /// Whether it is to be attributed and written down.
    pub attributed: bool,
    /// Headers that were wanted, in their order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The value of the first Message-ID, where that is wanted: of several it is the one that complaints are read by, too.
    pub message_id: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Client {
    address: Option<IpAddr>,
    port: Option<u16>,
    helo: Vec<u8>,
}

#[derive(Debug, Default)]
struct Transaction {
    login: Option<Vec<u8>>,
    queue_id: Vec<u8>,
    sender: Vec<u8>,
    announced: u64,
    recipients: u32,
    /// The first that was accepted.
    recipient: Vec<u8>,
    /// How the MTA refuses the recipient that follows (an enhanced status code), if it does.
    refusal: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    message_id: Option<Vec<u8>>,
    octets: u64,
}

/// A connection.
#[derive(Debug, Default)]
pub struct Conversation {
    terms: Terms,
    /// Steps that are left out, and answers.
    agreed: u32,
    client: Client,
    /// How many messages began.
    begun: u64,
    /// Macros have begun the transaction whose MAIL follows.
    fresh: bool,
    transaction: Transaction,
}

impl Conversation {
    /// One that begins on these terms.
    #[must_use]
    pub fn new(terms: Terms) -> Conversation {
        Conversation { terms, ..Conversation::default() }
    }

    /// Takes a command.
    pub fn take(&mut self, command: Command) -> Step {
        match command {
            Command::Negotiate { version, actions, steps } => {
                Step::Write(self.negotiate(version, actions, steps))
            }
            Command::Macros { of, values } => self.macros(of, values),
            Command::Connect { address, port, .. } => {
                self.client = Client { address, port, helo: Vec::new() };
                self.transaction = Transaction::default();
                let heard = Heard::Connected(Box::new(self.query(Stage::Other)));
                Step::Heard(heard, self.reply_unless(UNANSWERED_CONNECT))
            }
            Command::Helo(name) => {
                self.client.helo = cut(name, NAME_KEPT);
                self.unless(UNANSWERED_HELO)
            }
            Command::Mail { sender, size } => {
                if !std::mem::take(&mut self.fresh) {
                    self.transaction = Transaction::default();
                }
                self.begun = self.begun.saturating_add(1);
                self.transaction.sender = cut(sender, NAME_KEPT);
                self.transaction.announced = size;
                self.unless(UNANSWERED_MAIL)
            }
            Command::Rcpt(recipient) => self.rcpt(cut(recipient, NAME_KEPT)),
            Command::Header { name, value } => {
                self.header(name, value);
                self.unless(UNANSWERED_HEADERS)
            }
            Command::Body(octets) => {
                self.add(octets);
                self.unless(UNANSWERED_BODY)
            }
            Command::EndOfMessage(octets) => {
                self.add(octets);
                Step::End(Box::new(self.end()))
            }
            Command::Data | Command::EndOfHeaders | Command::Unknown => Step::Write(Reply::Continue),
            Command::Abort => {
                (self.transaction, self.fresh) = (Transaction::default(), false);
                Step::Nothing
            }
            Command::QuitNewConnection => {
                (self.client, self.transaction) = (Client::default(), Transaction::default());
                self.fresh = false;
                Step::Heard(Heard::Gone, None)
            }
            Command::Quit => Step::Heard(Heard::Gone, None),
        }
    }

    fn rcpt(&mut self, recipient: Vec<u8>) -> Step {
        let refusal = self.transaction.refusal.take();
        let size = self.transaction.announced;
        let query = Query { recipient, size, ..self.query(Stage::Rcpt) };
        match refusal {
            Some(status) if is_own(&status) => {
                Step::Heard(Heard::Refused(Box::new(query)), self.reply_unless(UNANSWERED_RCPT))
            }
            None if self.terms.profile.is_some() => Step::Recipient(Box::new(query)),
            _ => self.unless(UNANSWERED_RCPT),
        }
    }

    /// A recipient was asked about, and this was answered.
    pub fn answered(&mut self, recipient: &[u8], answer: &Action) {
        if answer.reply().is_none() {
            let transaction = &mut self.transaction;
            if transaction.recipients == 0 {
                transaction.recipient = recipient.to_vec();
            }
            transaction.recipients = transaction.recipients.saturating_add(1);
        }
    }

    fn negotiate(&mut self, version: u32, actions: u32, steps: u32) -> Reply {
        let mut wanted = NO_END_OF_HEADERS
            | NO_UNKNOWN
            | NO_DATA
            | UNANSWERED_CONNECT
            | UNANSWERED_HELO
            | UNANSWERED_MAIL
            | UNANSWERED_HEADERS
            | UNANSWERED_BODY
            | REFUSED_RCPT;
        if self.terms.profile.is_none() {
            // Recipients that are not refused matter to nobody then, and an MTA that can't tell those need not tell any.
            wanted |= NO_HELO | NO_BODY;
            wanted |= match (steps & REFUSED_RCPT, self.terms.refused) {
                (0, _) => NO_RCPT,
                (_, true) => 0,
                (_, false) => UNANSWERED_RCPT,
            };
            if self.terms.headers.is_empty() && !self.terms.message_id {
                wanted |= NO_HEADERS;
            }
        }
        if self.terms.sessions {
            wanted &= !(UNANSWERED_CONNECT | UNANSWERED_MAIL);
        }
        self.agreed = steps & wanted;
        let may_add = if self.terms.profile.is_some() { actions & ADD_HEADERS } else { 0 };
        let chosen = actions & CHOOSE_MACROS;
        let macros = if chosen == 0 { Vec::new() } else { MACROS.to_vec() };
        Reply::Negotiated {
            version: version.min(VERSION),
            actions: may_add | chosen,
            steps: self.agreed,
            macros,
        }
    }

    fn macros(&mut self, of: u8, values: Vec<(Vec<u8>, Vec<u8>)>) -> Step {
        if of == b'M' {
            (self.transaction, self.fresh) = (Transaction::default(), true);
        }
        let (mut is_refused, mut status) = (false, Vec::new());
        for (name, value) in values {
            match name.as_slice() {
                b"i" | b"{i}" => self.transaction.queue_id = cut(value, NAME_KEPT),
                b"{auth_authen}" if !value.is_empty() => {
                    self.transaction.login = Some(cut(value, NAME_KEPT));
                }
                // What Sendmail calls the mailer to which nothing is delivered.
                b"{rcpt_mailer}" => is_refused = value == b"error",
                b"{rcpt_host}" => status = cut(value, NAME_KEPT),
                _ => {}
            }
        }
        self.transaction.refusal = (of == b'R' && is_refused).then_some(status);
        match &self.transaction.login {
            Some(login) if of == b'M' => Step::Heard(Heard::LoggedIn(login.clone()), None),
            _ => Step::Nothing,
        }
    }

    fn header(&mut self, name: Vec<u8>, value: Vec<u8>) {
        // Colon, and what stands around it.
        self.add(name.len().saturating_add(value.len()).saturating_add(4));
        let wanted = self.terms.headers.iter().any(|header| header.eq_ignore_ascii_case(&name));
        let Transaction { headers, message_id, .. } = &mut self.transaction;
        let is_id = self.terms.message_id && name.eq_ignore_ascii_case(b"message-id");
        if is_id && message_id.is_none() {
            *message_id = Some(cut(value.clone(), NAME_KEPT));
        }
        if wanted {
            // Of very many the first and the last ones are kept: those are what position is told by.
            if headers.len() >= HEADERS_KEPT {
                headers.remove(HEADERS_KEPT / 2);
            }
            headers.push((name, cut(value, VALUE_KEPT)));
        }
    }

    fn add(&mut self, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.transaction.octets = self.transaction.octets.saturating_add(octets);
    }

    fn end(&mut self) -> Ended {
        let transaction = &self.transaction;
        let mut query = self.query(Stage::EndOfMessage);
        query.recipient_count = transaction.recipients;
        if transaction.recipients == 1 {
            query.recipient.clone_from(&transaction.recipient);
        }
        // Where the body is left out, what was announced is all that is known.
        query.size = if self.terms.profile.is_some() { transaction.octets } else { transaction.announced };
        let attributed = self.terms.profile.is_some();
        let Transaction { headers, message_id, .. } = std::mem::take(&mut self.transaction);
        Ended { query, attributed, headers, message_id }
    }

    fn query(&self, stage: Stage) -> Query {
        let (client, transaction) = (&self.client, &self.transaction);
        // Where nothing is attributed, policy delegation stands beside and lets a login go from wherever it comes.
        let beside = if transaction.login.is_some() { Profile::Submission } else { Profile::Relay };
        Query {
            stage,
            profile: self.terms.profile.unwrap_or(beside),
            address: client.address,
            port: client.port,
            login: transaction.login.clone(),
            instance: format!("{}.{}", self.terms.name, self.begun).into_bytes(),
            queue_id: transaction.queue_id.clone(),
            helo: client.helo.clone(),
            sender: transaction.sender.clone(),
            recipient: Vec::new(),
            recipient_count: 0,
            size: 0,
        }
    }

    /// Go on; said where it is not agreed that nothing is.
    fn unless(&self, unanswered: u32) -> Step {
        self.reply_unless(unanswered).map_or(Step::Nothing, Step::Write)
    }

    fn reply_unless(&self, unanswered: u32) -> Option<Reply> {
        (self.agreed & unanswered == 0).then_some(Reply::Continue)
    }
}

/// Whether a refusal with this enhanced status code (RFC 3463) says something about the recipient: for good, and neither by policy
/// (5.7, as ours are) nor for what the message is like (5.3, 5.6).
fn is_own(status: &[u8]) -> bool {
    let mut parts = status.split(|octet| *octet == b'.');
    parts.next() == Some(b"5") && matches!(parts.next(), Some(b"1" | b"2" | b"4" | b"5"))
}

fn cut(mut octets: Vec<u8>, most: usize) -> Vec<u8> {
    octets.truncate(most);
    octets
}
