//! DNS block lists as RFC 5782 has them: under which name an address stands in a list, and what an answer means.
//!
//! An answer alone proves nothing. Lists close, and their zones then answer for every name; they refuse whoever asks too much, or
//! through somebody else's resolver, with an answer that looks like a listing; and resolvers have answers of their own for
//! what they don't like. So each list has to show that it has what every list must have, and has not what none may.
//!
//! Knows: names and answers. Must not know: sockets, or what was answered before.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Sample;
use crate::session::Name;

/// So many addresses of one answer are looked at: a list that says more has no more to say.
const ANSWERS_MAX: usize = 16;
/// So much of a text is kept: it is shown in lists, and stands in a case.
const TEXT_OCTETS_MAX: usize = 255;
/// From one address of a sample to the next: far, and odd.
const STEP: u64 = 0x9e37_79b1;

/// Lists keep the two kinds of addresses apart, and many have only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// 32 bits.
    Ipv4,
    /// 128 bits.
    Ipv6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// Every list has this address (RFC 5782, section 5).
    #[must_use]
    pub fn always_listed(self) -> IpAddr {
        match self {
            Family::Ipv4 => Ipv4Addr::new(127, 0, 0, 2).into(),
            Family::Ipv6 => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 2).into(),
        }
    }

    /// No list has this one (RFC 5782, section 5).
    #[must_use]
    pub fn never_listed(self) -> IpAddr {
        match self {
            Family::Ipv4 => Ipv4Addr::new(127, 0, 0, 1).into(),
            Family::Ipv6 => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1).into(),
        }
    }
}

/// The name under which an address stands in the list at `zone`, with the dot at its end.
#[must_use]
pub fn name(address: IpAddr, zone: &str) -> String {
    let mut name = String::new();
    // Writing to a String can't fail.
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 0xf, octet >> 4);
            }
        }
    }
    name.push_str(zone);
    name.push('.');
    name
}

/// The addresses of a range that are asked about in a round: others in each, from all over it, until all had their turn.
#[must_use]
pub fn sample(sample: &Sample, round: u64) -> Vec<Ipv4Addr> {
    let bits = 32_u8.saturating_sub(sample.prefix.prefix_len());
    let size = 1_u64 << bits.min(32);
    let count = u64::from(sample.count).min(size);
    let begin = u32::from(sample.prefix.network());
    let address = |turn: u64| {
        // The size is a power of two, so a step that is odd comes to each address once.
        let place = round.wrapping_mul(count).wrapping_add(turn).wrapping_mul(STEP) % size;
        Ipv4Addr::from(begin.wrapping_add(u32::try_from(place).unwrap_or_default()))
    };
    (0..count).map(address).collect()
}

/// What a list says beside, as it is kept. Whoever holds the zone writes it.
#[must_use]
pub fn text(said: &[u8]) -> Option<Name> {
    let said = said.get(..TEXT_OCTETS_MAX).unwrap_or(said).trim_ascii();
    (!said.is_empty()).then(|| Name::new(said))
}

/// Why nothing was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came in time.
    Timeout,
    /// SERVFAIL: the resolver could not find out.
    ServerFailure,
    /// REFUSED: the resolver does not answer us, or the list does not answer it.
    Refused,
    /// No resolver could be reached, or it answered what is no answer.
    Unreachable,
}

impl Failure {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::ServerFailure => "server-failure",
            Failure::Refused => "refused",
            Failure::Unreachable => "unreachable",
        }
    }
}

/// What a list said about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There is no such name, or nothing under it.
    NotListed,
    /// It has it; what the codes mean is the list's own business. In order, each once.
    Listed(Vec<Ipv4Addr>),
    /// It does not answer us.
    Barred(Ipv4Addr),
    /// No list answers so: somebody else has its zone now, or comes between.
    Foreign(Ipv4Addr),
    /// Nothing is known.
    Unanswered(Failure),
}

impl Answer {
    /// What these addresses mean; none: there is no such name.
    #[must_use]
    pub fn of(addresses: &[Ipv4Addr]) -> Answer {
        if let Some(foreign) = addresses.iter().find(|address| !address.is_loopback()) {
            return Answer::Foreign(*foreign);
        }
        if let Some(code) = addresses.iter().find(|address| says_no(**address)) {
            return Answer::Barred(*code);
        }
        if addresses.is_empty() {
            return Answer::NotListed;
        }
        let mut answers: Vec<_> = addresses.iter().copied().take(ANSWERS_MAX).collect();
        answers.sort_unstable();
        answers.dedup();
        Answer::Listed(answers)
    }
}

/// Spamhaus and others answer 127.255.255.0/24 to whom they refuse. URIBL says 127.0.0.1, and so do resolvers that hide what
/// they don't like.
fn says_no(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [127, 255, 255, _] | [127, 0, 0, 1])
}

/// What a list showed of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanity {
    /// It has what every list must have, and has not what none may.
    Sane,
    /// It has nothing: it has closed, its zone is misspelled, or it has no addresses of this family.
    Empty,
    /// It has everything.
    Everything,
    /// It does not answer us.
    Barred(Ipv4Addr),
    /// Somebody else has its zone now.
    Foreign(Ipv4Addr),
    /// Nothing is known.
    Unanswered(Failure),
}

impl Sanity {
    /// What follows from the answers about what is [always](Family::always_listed) and what is [never](Family::never_listed)
    /// listed.
    #[must_use]
    pub fn of(always: &Answer, never: &Answer) -> Sanity {
        match (always, never) {
            (Answer::Foreign(said), _) | (_, Answer::Foreign(said)) => Sanity::Foreign(*said),
            (Answer::Barred(said), _) | (_, Answer::Barred(said)) => Sanity::Barred(*said),
            (_, Answer::Listed(_)) => Sanity::Everything,
            (Answer::Unanswered(failure), _) | (_, Answer::Unanswered(failure)) => {
                Sanity::Unanswered(*failure)
            }
            (Answer::NotListed, Answer::NotListed) => Sanity::Empty,
            (Answer::Listed(_), Answer::NotListed) => Sanity::Sane,
        }
    }

    /// Whether its answers are believed.
    #[must_use]
    pub fn is_sane(self) -> bool {
        self == Sanity::Sane
    }

    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Sanity::Sane => "sane",
            Sanity::Empty => "empty",
            Sanity::Everything => "lists-everything",
            Sanity::Barred(_) => "barred",
            Sanity::Foreign(_) => "foreign",
            Sanity::Unanswered(failure) => failure.word(),
        }
    }
}

impl fmt::Display for Sanity {
    /// What is wrong, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sanity::Sane => f.write_str("it has what every list must have"),
            Sanity::Empty => f.write_str(
                "it does not have the address that every list has: it has closed, its zone is misspelled, or it has no such \
                 addresses",
            ),
            Sanity::Everything => f.write_str(
                "it has the address that no list may have, so it lists everything; it has closed, take it out",
            ),
            Sanity::Barred(code) => {
                let why = match code.octets() {
                    [_, _, _, 252] => "its zone is misspelled",
                    [_, _, _, 254] => "it answers no public resolvers; name one of your own in 'resolver'",
                    [_, _, _, 255] => "it was asked too often; its terms say how often it may be",
                    _ => "it, or the resolver, does not answer us; its terms say who is answered",
                };
                write!(f, "it answered {code}: {why}")
            }
            Sanity::Foreign(said) => {
                write!(f, "it answered {said}, which no list does: somebody else has its zone now; take it out")
            }
            Sanity::Unanswered(Failure::Timeout) => f.write_str("nothing was answered in time"),
            Sanity::Unanswered(Failure::ServerFailure) => f.write_str("the resolver could not find out (SERVFAIL)"),
            Sanity::Unanswered(Failure::Refused) => {
                f.write_str("the resolver refused to answer; may this host ask it?")
            }
            Sanity::Unanswered(Failure::Unreachable) => {
                f.write_str("no resolver could be reached, or what it answered is no answer")
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn answer(addresses: &[&str]) -> Answer {
        Answer::of(&addresses.iter().map(|text| v4(text)).collect::<Vec<_>>())
    }

    #[test]
    fn an_address_stands_in_a_list_back_to_front() {
        let name = |address: &str| name(address.parse().unwrap(), "bl.example.org");
        assert_eq!(name("192.0.2.25"), "25.2.0.192.bl.example.org.");
        assert_eq!(
            name("2001:db8:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.org."
        );
    }

    #[test]
    fn what_proves_a_list_is_what_the_rfc_says() {
        let name = |address| name(address, "x");
        assert_eq!(name(Family::Ipv4.always_listed()), "2.0.0.127.x.");
        assert_eq!(name(Family::Ipv4.never_listed()), "1.0.0.127.x.");
        let before = format!("f.f.f.f.{}.x.", ["0"; 20].join("."));
        assert_eq!(name(Family::Ipv6.always_listed()), format!("2.0.0.0.0.0.f.7.{before}"));
        assert_eq!(name(Family::Ipv6.never_listed()), format!("1.0.0.0.0.0.f.7.{before}"));
        assert_eq!(Family::Ipv6.always_listed().to_string(), "::ffff:127.0.0.2");
        assert_eq!(Family::of(Family::Ipv6.never_listed()), Family::Ipv6);
    }

    #[test]
    fn only_what_lies_in_127_and_says_nothing_else_is_a_listing() {
        let listed = |addresses: &[&str]| matches!(answer(addresses), Answer::Listed(_));
        assert_eq!(answer(&[]), Answer::NotListed);
        assert_eq!(
            answer(&["127.0.0.4", "127.0.0.2", "127.0.0.4"]),
            Answer::Listed(vec![v4("127.0.0.2"), v4("127.0.0.4")])
        );
        // The ends of what a list may say, and what lies beyond.
        assert!(listed(&["127.0.0.0"]) && listed(&["127.0.0.2"]) && listed(&["127.255.254.255"]));
        assert_eq!(answer(&["127.0.0.1"]), Answer::Barred(v4("127.0.0.1")));
        assert_eq!(answer(&["127.255.255.0"]), Answer::Barred(v4("127.255.255.0")));
        assert_eq!(answer(&["127.255.255.255"]), Answer::Barred(v4("127.255.255.255")));
        assert_eq!(answer(&["126.255.255.255"]), Answer::Foreign(v4("126.255.255.255")));
        assert_eq!(answer(&["128.0.0.0"]), Answer::Foreign(v4("128.0.0.0")));
        // One of them is enough.
        assert_eq!(answer(&["127.0.0.2", "127.255.255.254"]), Answer::Barred(v4("127.255.255.254")));
        assert_eq!(answer(&["127.0.0.2", "203.0.113.1"]), Answer::Foreign(v4("203.0.113.1")));
        assert_eq!(answer(&["127.255.255.254", "0.0.0.0"]), Answer::Foreign(v4("0.0.0.0")));
    }

    #[test]
    fn an_answer_without_end_is_looked_at_for_a_while() {
        let many: Vec<_> = (0..=255).map(|last| Ipv4Addr::new(127, 0, 1, last)).collect();
        let Answer::Listed(answers) = Answer::of(&many) else { panic!() };
        assert_eq!(answers.len(), ANSWERS_MAX);
    }

    #[test]
    fn a_sample_takes_others_in_each_round_until_all_had_their_turn() {
        let of =
            |prefix: &str, count, round| sample(&Sample { prefix: prefix.parse().unwrap(), count }, round);
        let net: ipnet::Ipv4Net = "198.51.100.16/28".parse().unwrap();
        let mut all: Vec<_> = (7..11).flat_map(|round| of("198.51.100.16/28", 4, round)).collect();
        assert!(all.iter().all(|address| net.contains(address)));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 16);
        assert_eq!(of("198.51.100.7/32", 256, 3), [v4("198.51.100.7")]);
        assert_eq!((of("198.51.100.0/24", 256, 0).len(), of("8.0.0.0/5", 3, u64::MAX).len()), (256, 3));
        let first = of("198.51.100.0/24", 2, 1);
        assert!(u32::from(first[0]).abs_diff(u32::from(first[1])) > 16, "{first:?}");
    }

    #[test]
    fn what_a_list_says_does_not_act_on_a_terminal_and_has_an_end() {
        let said = |octets: &[u8]| text(octets).map(|text| text.to_string());
        assert_eq!(said(b" see https://zen.example "), Some("see https://zen.example".to_owned()));
        assert_eq!(said(b"a\x1b[2J"), Some("0x611b5b324a".to_owned()));
        assert_eq!((said(b""), said(b" \t")), (None, None));
        let length = |octets: usize| text(&vec![b'x'; octets]).unwrap().octets().len();
        assert_eq!((length(255), length(256), length(65_535)), (255, 255, 255));
    }

    #[test]
    fn a_list_is_believed_when_it_has_the_one_and_not_the_other() {
        let listed = || answer(&["127.0.0.2"]);
        let barred = || answer(&["127.255.255.254"]);
        let foreign = || answer(&["203.0.113.1"]);
        let silent = || Answer::Unanswered(Failure::Timeout);
        let timeout = Sanity::Unanswered(Failure::Timeout);
        for (always, never, sanity) in [
            (listed(), Answer::NotListed, Sanity::Sane),
            (Answer::NotListed, Answer::NotListed, Sanity::Empty),
            (listed(), listed(), Sanity::Everything),
            (Answer::NotListed, listed(), Sanity::Everything),
            (silent(), listed(), Sanity::Everything),
            (barred(), Answer::NotListed, Sanity::Barred(v4("127.255.255.254"))),
            (listed(), answer(&["127.0.0.1"]), Sanity::Barred(v4("127.0.0.1"))),
            (silent(), barred(), Sanity::Barred(v4("127.255.255.254"))),
            (foreign(), foreign(), Sanity::Foreign(v4("203.0.113.1"))),
            (barred(), foreign(), Sanity::Foreign(v4("203.0.113.1"))),
            (listed(), silent(), timeout),
            (silent(), Answer::NotListed, timeout),
            (silent(), silent(), timeout),
        ] {
            assert_eq!(Sanity::of(&always, &never), sanity, "{always:?} {never:?}");
            assert_eq!(sanity.is_sane(), sanity.word() == "sane");
        }
    }

    #[test]
    fn whoever_is_barred_is_told_why() {
        let told = |last| Sanity::Barred(Ipv4Addr::new(127, 255, 255, last)).to_string();
        assert!(told(252).contains("misspelled") && told(254).contains("public resolvers"));
        assert!(told(255).contains("too often") && told(253).contains("terms"));
    }
}
