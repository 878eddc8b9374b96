//! What is sent: a JSON document whose shape is a contract (docs/notices.md), and one sentence that says the same.
//!
//! Knows: its fields, and how names that somebody else chose stay harmless in it. Must not know: who reads it.

use serde::Serialize;

use super::{Kind, Notice};
use crate::relay::case::{Evidence, Kind as CaseKind, Reported};
use crate::relay::signal::{Listing, Signal};
use crate::relay::standing::{Order, Subject};
use crate::session::{Name, Timestamp};

/// A field that has nothing to say is not there; more fields may come.
#[derive(Debug, Clone, Serialize)]
pub struct Body {
    id: String,
    event: &'static str,
    at: String,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    about: Vec<Whom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    until_delisted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complaint: Option<Complained>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listing: Option<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nas: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Day>,
}

#[derive(Debug, Clone, Serialize)]
struct Whom {
    kind: &'static str,
    subject: String,
}

#[derive(Debug, Clone, Serialize)]
struct Number {
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Measured {
    name: String,
    value: u64,
    threshold: u64,
    words: String,
}

#[derive(Debug, Clone, Serialize)]
struct Complained {
    form: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reporter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Listed {
    address: String,
    list: String,
    answers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Day {
    day: String,
    text: String,
    html: String,
}

impl Body {
    /// What is sent of this; `now` where it does not say when it happened, `pages` the address under which people find ours.
    #[must_use]
    pub fn of(notice: &Notice, id: String, now: Timestamp, pages: Option<&str>) -> Body {
        let case = notice.case.map(|(number, kind)| Number {
            number,
            kind: kind.map(CaseKind::word),
            link: pages.map(|pages| format!("{}/case/{number}", pages.trim_end_matches('/'))),
        });
        let mut body = Body {
            about: notice.about.iter().map(Whom::of).collect(),
            by: notice.by.as_ref().map(Name::to_string),
            reason: notice.reason.as_ref().map(Name::to_string),
            ticket: notice.ticket.as_ref().map(Name::to_string),
            order: notice.order.map(Order::word),
            until: notice.order.and_then(Order::until).and_then(moment),
            until_delisted: notice.order.is_some_and(Order::is_until_delisted),
            nas: notice.nas.as_ref().map(Name::to_string),
            case,
            ..Body::bare(id, notice.kind, notice.at.unwrap_or(now), sentence(notice))
        };
        match &notice.evidence {
            Some(Evidence::Signal(signal)) => body.signal = Some(Measured::of(signal)),
            Some(Evidence::Complaint(reported)) => body.complaint = Some(Complained::of(reported)),
            Some(Evidence::Listing(listing)) => body.listing = Some(Listed::of(listing)),
            None => {}
        }
        body
    }

    /// So many notices could not be told to this receiver.
    #[must_use]
    pub fn lost(id: String, at: Timestamp, count: u64) -> Body {
        let text =
            format!("{count} notices were given up and are not told any more; the daemon's log says why");
        Body { lost: Some(count), ..Body::bare(id, Kind::Lost, at, text) }
    }

    /// Somebody tries whether it arrives.
    #[must_use]
    pub fn test(id: String, at: Timestamp, by: &Name) -> Body {
        let text = "A test: nothing happened".to_owned();
        Body { by: Some(by.to_string()), ..Body::bare(id, Kind::Test, at, text) }
    }

    /// The report of a day, in both forms.
    #[must_use]
    pub fn report(day: &str, at: Timestamp, text: String, html: String) -> Body {
        let sentence = text.lines().next().unwrap_or_default().to_owned();
        let report = Some(Day { day: day.to_owned(), text, html });
        Body { report, ..Body::bare(format!("report-{day}"), Kind::Report, at, sentence) }
    }

    fn bare(id: String, kind: Kind, at: Timestamp, text: String) -> Body {
        Body {
            id,
            event: kind.word(),
            at: moment(at).unwrap_or_default(),
            text,
            about: Vec::new(),
            case: None,
            by: None,
            reason: None,
            ticket: None,
            order: None,
            until: None,
            until_delisted: false,
            signal: None,
            complaint: None,
            listing: None,
            nas: None,
            lost: None,
            report: None,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The document. It is kept as it is, so that each attempt sends the same octets.
    #[must_use]
    pub fn json(&self) -> String {
        // Texts and numbers only: there is nothing that could not be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Whom {
    fn of(subject: &Subject) -> Whom {
        Whom { kind: subject.kind(), subject: subject.name().to_string() }
    }
}

impl Measured {
    fn of(signal: &Signal) -> Measured {
        let Signal { name, value, threshold, words, .. } = signal;
        Measured { name: name.to_string(), value: *value, threshold: *threshold, words: words.to_string() }
    }
}

impl Complained {
    fn of(reported: &Reported) -> Complained {
        let text = |name: &Option<Name>| name.as_ref().map(Name::to_string);
        Complained {
            form: reported.form.to_string(),
            feedback: text(&reported.feedback),
            reporter: text(&reported.reporter),
            address: reported.address.map(|address| address.to_string()),
            port: reported.port,
            arrival: reported.arrival.and_then(moment),
            message_id: text(&reported.message_id),
        }
    }
}

impl Listed {
    fn of(listing: &Listing) -> Listed {
        Listed {
            address: listing.address.to_string(),
            list: listing.list.to_string(),
            answers: listing.answers.iter().map(ToString::to_string).collect(),
            text: listing.text.as_ref().map(Name::to_string),
        }
    }
}

fn moment(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
    Some(format!("{at:.3}"))
}

/// What happened, for somebody who reads it in a chat or on a pager.
fn sentence(notice: &Notice) -> String {
    let whom = match notice.about.as_slice() {
        [] => "nobody who is known".to_owned(),
        [one] => spoken(one),
        [one, more @ ..] => format!("{} and {} more", spoken(one), more.len()),
    };
    let why = notice.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let by = notice.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let until = match notice.order {
        None | Some(Order::Release | Order::Delisted) => String::new(),
        Some(Order::UntilDelisted) => " until delisted".to_owned(),
        Some(order) => order
            .until()
            .and_then(moment)
            .map_or(" until released".to_owned(), |until| format!(" until {until}")),
    };
    let evidence = notice.evidence.as_ref().map(said).unwrap_or_default();
    let kind = notice.case.and_then(|(_, kind)| kind).map_or("staff", CaseKind::word);
    let what = match notice.kind {
        Kind::CaseOpened if evidence.is_empty() => format!("A case was opened about {whom}{by}{why}"),
        Kind::CaseOpened => format!("A case ({kind}) was opened about {whom}: {evidence}"),
        Kind::CaseClosed => format!("The case about {whom} was closed{by}{why}"),
        Kind::Signal => format!("{} stands out: {evidence}", capital(&whom)),
        Kind::Complaint => format!("A complaint about {whom}: {evidence}"),
        Kind::Listing => format!("{evidence}; {whom} stood out before"),
        Kind::Delisted => match &notice.evidence {
            Some(Evidence::Listing(listing)) => {
                format!("{} is no longer on {}", listing.address, listing.list)
            }
            _ => notice.kind.word().to_owned(),
        },
        Kind::Suspended => format!("{} is suspended{until}{by}{why}", capital(&whom)),
        Kind::Limited => format!("{} is limited{until}{by}{why}", capital(&whom)),
        Kind::Released => format!("{} is released{by}{why}", capital(&whom)),
        Kind::Ended => {
            let what = match notice.order {
                Some(Order::Limit { .. }) => "limit",
                _ => "suspension",
            };
            format!("The {what} of {whom}{by} is over{why}")
        }
        Kind::RuleCalled | Kind::RuleObserved => {
            let would = notice.order.map_or("do something to", Order::word);
            let held = if notice.kind == Kind::RuleCalled {
                "is braked and calls you: look whether to"
            } else {
                "is only watched, and would"
            };
            let rule = notice.by.as_ref().map_or_else(|| "A rule".to_owned(), |by| capital(&by.to_string()));
            format!("{rule} {held} {would} {whom}{why}")
        }
        Kind::FeedSilent | Kind::FeedHeard => {
            let nas = notice.nas.as_ref().map(Name::to_string).unwrap_or_default();
            let what = if notice.kind == Kind::FeedSilent { "is silent" } else { "is heard again" };
            format!("NAS {nas} {what}")
        }
        Kind::Report | Kind::Lost | Kind::Test => notice.kind.word().to_owned(),
    };
    match notice.case {
        Some((number, _)) => format!("{what} (case {number})"),
        None => what,
    }
}

fn spoken(subject: &Subject) -> String {
    format!("{} {}", subject.kind(), subject.name())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn said(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Signal(signal) => format!("{} ({})", signal.words, signal.name),
        Evidence::Listing(listing) => format!("{} is on {}", listing.address, listing.list),
        Evidence::Complaint(reported) => {
            let from = reported.reporter.as_ref().map_or_else(|| "somebody".to_owned(), Name::to_string);
            let what = reported.feedback.as_ref().unwrap_or(&reported.form);
            format!("{what}, reported by {from}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn suspended(name: &[u8], reason: &[u8]) -> Notice {
        Notice {
            case: Some((4690, Some(CaseKind::Signal))),
            about: vec![Subject::Subscriber(Name::new(name))],
            by: Some(Name::from("rule:flood")),
            reason: Some(Name::new(reason)),
            order: Some(Order::Suspend { until: Some(AT) }),
            ..Notice::bare(Kind::Suspended, Some(AT))
        }
    }

    fn sent(notice: &Notice) -> Value {
        serde_json::from_str(
            &Body::of(notice, notice.id(4711, 0), AT, Some("https://warden.isp.example/")).json(),
        )
        .unwrap()
    }

    #[test]
    fn a_suspension_says_whom_until_when_why_and_where_more_stands() {
        let expected = json!({
            "id": "4711-suspended",
            "event": "suspended",
            "at": "2026-11-23T14:00:00.000Z",
            "text": "Subscriber alice is suspended until 2026-11-23T14:00:00.000Z by rule:flood: 1,024 messages (case 4690)",
            "about": [{"kind": "subscriber", "subject": "alice"}],
            "case": {"number": 4690, "kind": "signal", "link": "https://warden.isp.example/case/4690"},
            "by": "rule:flood",
            "reason": "1,024 messages",
            "order": "suspend",
            "until": "2026-11-23T14:00:00.000Z",
        });
        assert_eq!(sent(&suspended(b"alice", b"1,024 messages")), expected);
    }

    #[test]
    fn names_that_are_meant_to_act_stay_inert_in_the_document_and_in_its_sentence() {
        for hostile in [b"a\r\nevil: x".as_slice(), b"\x1b[2J", b"caf\xe9", "\u{202e}x".as_bytes(), b"\0"] {
            let sent = sent(&suspended(hostile, hostile));
            let whole = sent.to_string();
            assert!(sent["about"][0]["subject"].as_str().unwrap().starts_with("0x"), "{whole}");
            assert!(whole.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '), "{whole}");
        }
        let quoted = sent(&suspended(b"\"}],\"event\":\"released\"", b"\\"));
        assert_eq!((&quoted["event"], quoted["about"].as_array().unwrap().len()), (&json!("suspended"), 1));
    }

    #[test]
    fn each_kind_has_a_sentence() {
        let signal = Evidence::Signal(Signal {
            at: AT,
            subject: Subject::Login(Name::from("bob")),
            name: Name::from("messages"),
            value: 1024,
            threshold: 40,
            words: Name::from("1,024 messages today"),
        });
        let listing = Evidence::Listing(Listing {
            at: AT,
            address: "192.0.2.25".parse().unwrap(),
            list: Name::from("zen"),
            answers: vec!["127.0.0.2".parse().unwrap()],
            text: None,
            suspects: Vec::new(),
        });
        let bob = || vec![Subject::Login(Name::from("bob"))];
        let limit = Some(Order::Limit { until: None });
        let bare = |kind| Notice { about: bob(), ..Notice::bare(kind, Some(AT)) };
        let rule = |kind| Notice { by: Some(Name::from("rule:flood")), order: limit, ..bare(kind) };
        for (notice, expected) in [
            (
                Notice { evidence: Some(signal.clone()), ..bare(Kind::Signal) },
                "Login bob stands out: 1,024 messages today (messages)",
            ),
            (
                Notice { evidence: Some(listing.clone()), about: Vec::new(), ..bare(Kind::Listing) },
                "192.0.2.25 is on zen; nobody who is known stood out before",
            ),
            (
                Notice { evidence: Some(listing), about: Vec::new(), ..bare(Kind::Delisted) },
                "192.0.2.25 is no longer on zen",
            ),
            (
                Notice { order: limit, by: Some(Name::from("desk")), ..bare(Kind::Ended) },
                "The limit of login bob by desk is over",
            ),
            (Notice { order: limit, ..bare(Kind::Limited) }, "Login bob is limited until released"),
            (
                Notice { order: Some(Order::UntilDelisted), ..bare(Kind::Limited) },
                "Login bob is limited until delisted",
            ),
            (bare(Kind::Released), "Login bob is released"),
            (rule(Kind::RuleCalled), "Rule:flood is braked and calls you: look whether to limit login bob"),
            (rule(Kind::RuleObserved), "Rule:flood is only watched, and would limit login bob"),
            (bare(Kind::CaseClosed), "The case about login bob was closed"),
            (
                Notice { nas: Some(Name::from("bras1")), ..Notice::bare(Kind::FeedSilent, None) },
                "NAS bras1 is silent",
            ),
        ] {
            assert_eq!(sent(&notice)["text"], expected);
        }
        assert!(
            sent(&Notice { evidence: Some(signal), ..bare(Kind::CaseOpened) })["signal"]["value"] == 1024
        );
    }
}
