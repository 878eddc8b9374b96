//! Is it too much? Limits against what was sent, and what is under way.
//!
//! A limit holds for senders of a kind, and says how much in which window. Whoever is asked whether a recipient, or a whole
//! message, still fits adds what is under way to what was written down: many connections at once can't slip through.
//!
//! Knows: limits, and how amounts are held against them. Must not know: where they are written, how much was sent (that is
//! asked), or the words of an answer.

use std::fmt;
use std::time::Duration;

use glob::Pattern;

use super::standing::Subject;
use super::usage::Amount;
use crate::session::Name;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Messages.
    Messages,
    /// Recipients, those of all messages together.
    Recipients,
    /// Octets of messages.
    Bytes,
    /// Octets of one message.
    MessageSize,
    /// SMTP sessions at a time.
    Connections,
    /// Recipients that the mail server refused for good.
    Refused,
}

impl Measure {
    /// The word, as in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Measure::Messages => "messages",
            Measure::Recipients => "recipients",
            Measure::Bytes => "bytes",
            Measure::MessageSize => "message-size",
            Measure::Connections => "connections",
            Measure::Refused => "refused",
        }
    }

    /// What it is of mail that goes; what is not about such is nothing of it.
    #[must_use]
    pub fn of(self, amount: Amount) -> u64 {
        match self {
            Measure::Messages => amount.messages,
            Measure::Recipients => amount.recipients,
            Measure::Bytes | Measure::MessageSize => amount.octets,
            Measure::Connections | Measure::Refused => 0,
        }
    }

    /// Whether what is too much now will be so for ever.
    #[must_use]
    pub fn is_for_good(self, rate: Option<Rate>) -> bool {
        match self {
            Measure::MessageSize => true,
            Measure::Bytes => rate.is_none(),
            Measure::Messages | Measure::Recipients | Measure::Connections | Measure::Refused => false,
        }
    }
}

/// So much in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Of what.
    pub measure: Measure,
    /// So much may be sent.
    pub most: u64,
    /// In any span of this length.
    pub within: Duration,
}

impl Rate {
    /// How much of it there was within a window that ends now.
    #[must_use]
    pub fn done(self, doing: &impl Doing) -> u64 {
        match self.measure {
            Measure::Refused => doing.refused(self.within),
            measure => measure.of(doing.sent(self.within)),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.within.as_secs();
        let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let (unit, letter) =
            units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "s"));
        write!(f, "{}/{}{letter}", self.most, seconds.checked_div(unit).unwrap_or_default())
    }
}

/// For whom a limit holds: what is not said does not matter, but for static prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kind {
    /// Subscribers, or logins, of this name.
    pub name: Option<Pattern>,
    /// Lines of NASes of this name.
    pub nas: Option<Pattern>,
    /// Subscribers whose accounting has this attribute with such a value.
    pub attribute: Option<(Name, Pattern)>,
    /// Those of static prefixes, which are servers and send much: a limit that does not say so does not hold for them.
    pub is_static: bool,
    /// Whoever has logged in, or has not.
    pub authenticated: Option<bool>,
    /// Those who were limited by an order, servers as well, and nobody else.
    pub limited: bool,
}

/// A sender, as far as limits care.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// At the end of a line of which NAS.
    pub nas: Option<&'a Name>,
    /// What their accounting says, as attributes and values.
    pub attributes: &'a [(Name, Name)],
    /// By a static prefix.
    pub is_static: bool,
    /// Whether the client has logged in.
    pub authenticated: bool,
    /// Whether an order limits it.
    pub limited: bool,
}

impl fmt::Display for Kind {
    /// What it says beside a name, as in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authenticated = self.authenticated.map(|told| format!("authenticated={told}"));
        let nas = self.nas.as_ref().map(|nas| format!("nas={nas}"));
        let words = [(self.is_static, "static"), (self.limited, "limited")];
        let words = words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.to_owned());
        let attribute = self.attribute.as_ref().map(|(name, value)| format!("{name}={value}"));
        let told = words.chain(authenticated).chain(nas).chain(attribute);
        f.write_str(&told.collect::<Vec<_>>().join(" "))
    }
}

impl Kind {
    /// Whether a sender of this name may be of it.
    #[must_use]
    pub fn is_named(&self, subject: &Subject) -> bool {
        self.name.as_ref().is_none_or(|pattern| pattern.matches(&subject.name().to_string()))
    }

    fn has(&self, sender: &Sender<'_>) -> bool {
        let is_of = |pattern: &Pattern| sender.nas.is_some_and(|nas| pattern.matches(&nas.to_string()));
        let has = |(name, pattern): &(Name, Pattern)| {
            let mut of = sender.attributes.iter().filter(|(other, _)| other == name);
            of.any(|(_, value)| pattern.matches(&value.to_string()))
        };
        let is_of_kind = if self.limited { sender.limited } else { self.is_static == sender.is_static };
        is_of_kind
            && self.authenticated.is_none_or(|authenticated| authenticated == sender.authenticated)
            && self.is_named(sender.subject)
            && self.nas.as_ref().is_none_or(is_of)
            && self.attribute.as_ref().is_none_or(has)
    }
}

/// `[[limit]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name, in answers and metrics.
    pub name: Name,
    /// False: it is told who would be held back, and nobody is.
    pub enforced: bool,
    /// For whom it holds.
    pub kind: Kind,
    /// How much in how long.
    pub rates: Vec<Rate>,
    /// Octets that a message may have.
    pub message_size: Option<u64>,
    /// SMTP sessions that may be open at a time.
    pub connections: Option<u64>,
    /// What the customer reads, instead of our own words.
    pub text: Option<String>,
}

/// A limit that does not let something go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded<'a> {
    /// Which.
    pub limit: &'a Limit,
    /// Of what it is too much.
    pub measure: Measure,
    /// The rate; `None`: it is too large by itself, or too many at a time.
    pub rate: Option<Rate>,
}

/// What a sender does, as far as limits care.
pub trait Doing {
    /// What was sent within a window that ends now, and what else is under way.
    fn sent(&self, window: Duration) -> Amount;

    /// How many recipients were refused within it.
    fn refused(&self, window: Duration) -> u64;

    /// The place of this SMTP session among those that are open, from one on, or that of the last one; none where nobody tells.
    fn connection(&self) -> u64;
}

/// The limits that hold for the sender and do not let this go: the first that is enforced, and those before it that are only
/// observed.
pub fn exceeded<'a>(
    limits: &'a [Limit],
    sender: &Sender<'_>,
    wanted: Amount,
    doing: &impl Doing,
) -> Vec<Exceeded<'a>> {
    let mut all = Vec::new();
    for limit in limits.iter().filter(|limit| limit.kind.has(sender)) {
        if let Some(exceeded) = limit.exceeded(wanted, doing) {
            all.push(exceeded);
            if limit.enforced {
                break;
            }
        }
    }
    all
}

impl Limit {
    /// What an order to limit somebody comes to where the configuration says nothing of those: as much as a person writes.
    #[must_use]
    pub fn of_the_limited() -> Limit {
        let within = Duration::from_secs(3600);
        let rate = |measure, most| Rate { measure, most, within };
        Limit {
            name: Name::from("limited"),
            enforced: true,
            kind: Kind { limited: true, ..Kind::default() },
            rates: vec![rate(Measure::Messages, 20), rate(Measure::Recipients, 100)],
            message_size: None,
            connections: None,
            text: None,
        }
    }

    /// Whether it has such a measure.
    #[must_use]
    pub fn has(&self, measure: Measure) -> bool {
        match measure {
            Measure::MessageSize => self.message_size.is_some(),
            Measure::Connections => self.connections.is_some(),
            _ => self.rates.iter().any(|rate| rate.measure == measure),
        }
    }

    fn exceeded(&self, wanted: Amount, doing: &impl Doing) -> Option<Exceeded<'_>> {
        let exceeded = |measure, rate| Exceeded { limit: self, measure, rate };
        if self.connections.is_some_and(|most| doing.connection() > most) {
            return Some(exceeded(Measure::Connections, None));
        }
        if self.message_size.is_some_and(|most| wanted.octets > most) {
            return Some(exceeded(Measure::MessageSize, None));
        }
        self.rates.iter().find_map(|rate| {
            let wanted = rate.measure.of(wanted);
            // One message that is more than a whole window may hold would be tried again for days.
            if rate.measure == Measure::Bytes && wanted > rate.most {
                return Some(exceeded(Measure::Bytes, None));
            }
            let sent = rate.done(doing);
            // Nothing of it is wanted yet (its size, before it was sent): what is full already is full.
            let full = sent.saturating_add(wanted.max(1)) > rate.most;
            full.then(|| exceeded(rate.measure, Some(*rate)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of it was in the last minute.
    #[derive(Default)]
    struct Did {
        sent: Amount,
        refused: u64,
        connection: u64,
    }

    impl Doing for Did {
        fn sent(&self, window: Duration) -> Amount {
            let all = self.sent;
            let half =
                Amount { messages: all.messages / 2, recipients: all.recipients / 2, octets: all.octets / 2 };
            if window > Duration::from_secs(60) { all } else { half }
        }

        fn refused(&self, window: Duration) -> u64 {
            if window > Duration::from_secs(60) { self.refused } else { self.refused / 2 }
        }

        fn connection(&self) -> u64 {
            self.connection
        }
    }

    fn sent(sent: Amount) -> Did {
        Did { sent, ..Did::default() }
    }

    fn limit(rates: &[(Measure, u64, u64)]) -> Limit {
        let rate = |(measure, most, seconds): &(Measure, u64, u64)| Rate {
            measure: *measure,
            most: *most,
            within: Duration::from_secs(*seconds),
        };
        Limit {
            name: Name::from("default"),
            enforced: true,
            kind: Kind::default(),
            rates: rates.iter().map(rate).collect(),
            message_size: None,
            connections: None,
            text: None,
        }
    }

    fn alice() -> Subject {
        Subject::Subscriber(Name::from("alice@office.example"))
    }

    fn amount(messages: u64, recipients: u64, octets: u64) -> Amount {
        Amount { messages, recipients, octets }
    }

    fn ask(limits: &[Limit], sent: Amount, wanted: Amount) -> Option<(Measure, Option<String>)> {
        ask_of(limits, &self::sent(sent), wanted)
    }

    fn ask_of(limits: &[Limit], did: &Did, wanted: Amount) -> Option<(Measure, Option<String>)> {
        let subject = alice();
        let sender = Sender {
            subject: &subject,
            nas: None,
            attributes: &[],
            is_static: false,
            authenticated: false,
            limited: false,
        };
        let all = exceeded(limits, &sender, wanted, did);
        all.first().map(|first| (first.measure, first.rate.map(|rate| rate.to_string())))
    }

    #[test]
    fn as_many_as_are_allowed_pass_and_one_more_does_not() {
        let limits = [limit(&[(Measure::Messages, 20, 60), (Measure::Recipients, 300, 3600)])];
        let sent = |messages, recipients| amount(messages, recipients, 0);
        assert_eq!(ask(&limits, sent(38, 0), sent(1, 1)), None);
        let a_minute = Some((Measure::Messages, Some("20/1m".to_owned())));
        assert_eq!(ask(&limits, sent(40, 0), sent(1, 1)), a_minute);
        assert_eq!(ask(&limits, sent(0, 290), sent(1, 10)), None);
        let an_hour = Some((Measure::Recipients, Some("300/1h".to_owned())));
        assert_eq!(ask(&limits, sent(0, 290), sent(1, 11)), an_hour);
    }

    #[test]
    fn the_last_session_that_is_allowed_goes_on_and_the_next_one_waits_however_little_it_sends() {
        let limits = [Limit { connections: Some(3), ..limit(&[]) }];
        let at = |connection| ask_of(&limits, &Did { connection, ..Did::default() }, amount(1, 1, 0));
        assert_eq!([at(0), at(3), at(4)], [None, None, Some((Measure::Connections, None))]);
    }

    #[test]
    fn as_many_refused_recipients_as_are_allowed_stand_in_nobodys_way_but_the_next_ones() {
        let limits = [limit(&[(Measure::Refused, 50, 3600), (Measure::Refused, 20, 60)])];
        let after = |refused| {
            ask_of(&limits, &Did { refused, ..Did::default() }, amount(1, 1, 0)).map(|(measure, _)| measure)
        };
        assert_eq!([after(39), after(40), after(50)], [None, Some(Measure::Refused), Some(Measure::Refused)]);
        assert_eq!(ask(&limits, amount(1000, 1000, 1000), amount(1, 1, 0)), None, "what goes is none of it");
    }

    #[test]
    fn what_would_be_too_much_at_any_time_is_told_from_what_is_too_much_now() {
        let mut limits = [limit(&[(Measure::Bytes, 1000, 86_400)])];
        assert_eq!(ask(&limits, amount(1, 1, 400), amount(1, 1, 600)), None);
        let a_day = Some((Measure::Bytes, Some("1000/1d".to_owned())));
        assert_eq!(ask(&limits, amount(1, 1, 400), amount(1, 1, 601)), a_day);
        assert_eq!(ask(&limits, amount(0, 0, 0), amount(1, 1, 1000)), None);
        assert_eq!(ask(&limits, amount(0, 0, 0), amount(1, 1, 1001)), Some((Measure::Bytes, None)));
        // Before its size is told: only whoever has nothing left.
        assert_eq!(ask(&limits, amount(1, 1, 999), amount(0, 1, 0)), None);
        assert_eq!(ask(&limits, amount(1, 1, 1000), amount(0, 1, 0)), a_day);
        limits[0].message_size = Some(500);
        assert_eq!(ask(&limits, amount(0, 0, 0), amount(1, 1, 500)), None);
        assert_eq!(ask(&limits, amount(0, 0, 0), amount(1, 1, 501)), Some((Measure::MessageSize, None)));
    }

    #[test]
    fn a_limit_holds_for_its_kind_and_for_servers_only_if_it_says_so() {
        let kind = |change: &dyn Fn(&mut Kind)| {
            let mut kind = Kind::default();
            change(&mut kind);
            kind
        };
        let subject = alice();
        let nas = Name::from("bras1");
        let pair = |name: &str, value: &str| (Name::from(name), Name::from(value));
        let attributes = [pair("Class", "gold"), pair("Class", "fast"), pair("Filter-Id", "open")];
        let plain = Sender {
            subject: &subject,
            nas: Some(&nas),
            attributes: &attributes,
            is_static: false,
            authenticated: false,
            limited: false,
        };
        let server = Sender { nas: None, attributes: &[], is_static: true, ..plain };
        let known = Sender { authenticated: true, ..plain };
        let of_the_limited = kind(&|kind| kind.limited = true);
        assert!(!of_the_limited.has(&plain) && of_the_limited.has(&Sender { limited: true, ..plain }));
        assert!(of_the_limited.has(&Sender { limited: true, ..server }), "an order beats the kind of line");
        assert!(Kind::default().has(&Sender { limited: true, ..plain }), "and the usual limits hold, too");
        let pattern = |text| Some(Pattern::new(text).unwrap());
        let holds = |kind: &Kind| [kind.has(&plain), kind.has(&server), kind.has(&known)];
        assert_eq!(holds(&Kind::default()), [true, false, true]);
        assert_eq!(holds(&kind(&|kind| kind.is_static = true)), [false, true, false]);
        for (name, value, held) in [
            ("Class", "g*", true),
            ("Class", "fast", true),
            ("Class", "open", false),
            ("class", "gold", false),
        ] {
            let of = |attributes| {
                let attribute = Some((Name::from(name), Pattern::new(value).unwrap()));
                Kind { attribute, ..Kind::default() }.has(&Sender { attributes, ..plain })
            };
            assert_eq!((of(&attributes), of(&[])), (held, false), "{name}={value}");
        }
        assert_eq!(holds(&kind(&|kind| kind.authenticated = Some(true))), [false, false, true]);
        assert_eq!(holds(&kind(&|kind| kind.authenticated = Some(false))), [true, false, false]);
        assert_eq!(holds(&kind(&|kind| kind.name = pattern("*@office.example"))), [true, false, true]);
        assert_eq!(holds(&kind(&|kind| kind.name = pattern("*@home.example"))), [false; 3]);
        assert_eq!(holds(&kind(&|kind| kind.nas = pattern("bras?"))), [true, false, true]);
        assert_eq!(holds(&kind(&|kind| kind.nas = pattern("pgw*"))), [false; 3]);
    }

    #[test]
    fn what_is_observed_is_told_and_does_not_hide_what_is_enforced() {
        let observed =
            Limit { enforced: false, name: Name::from("new"), ..limit(&[(Measure::Messages, 5, 3600)]) };
        let (loose, tight) =
            (limit(&[(Measure::Messages, 100, 3600)]), limit(&[(Measure::Messages, 10, 3600)]));
        let subject = alice();
        let sender = Sender {
            subject: &subject,
            nas: None,
            attributes: &[],
            is_static: false,
            authenticated: false,
            limited: false,
        };
        let names = |limits: &[Limit], sent| -> Vec<String> {
            let all = exceeded(limits, &sender, amount(1, 1, 1), &self::sent(amount(sent, sent, sent)));
            all.iter().map(|exceeded| exceeded.limit.name.to_string()).collect()
        };
        let limits = [observed, loose, Limit { name: Name::from("tight"), ..tight }];
        assert_eq!(names(&limits, 3), Vec::<String>::new());
        assert_eq!(names(&limits, 5), ["new"]);
        assert_eq!(names(&limits, 10), ["new", "tight"]);
        assert_eq!(names(&limits, 100), ["new", "default"], "the first that is exceeded answers");
    }
}
