//! Rows as a daemon has them: a few customers, feeds, cases and what became of an address.

use super::*;

pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn alice() -> Candidate {
    Candidate {
        subscriber: some("alice@isp.example"),
        session: some("bras1/00a1/1795438800000"),
        nas: some("bras1"),
        valid_from: some("2026-11-23T13:00:00.000Z"),
        valid_until: None,
        ports: None,
        line: LineRow { port_id: some("eth 0/1:7"), circuit_id: some("dslam3 1/7"), ..LineRow::default() },
    }
}

pub(super) fn bob() -> Candidate {
    Candidate {
        subscriber: some("bob@isp.example"),
        session: some("bras1/00b2/1795431600000"),
        nas: some("bras1"),
        valid_from: some("2026-11-23T11:00:00.000Z"),
        valid_until: some("2026-11-23T13:30:00.000Z"),
        ports: None,
        line: LineRow::default(),
    }
}

/// One of those who share an address by ports.
pub(super) fn sharer(ports: &str) -> Candidate {
    Candidate { ports: some(ports), ..alice() }
}

/// Candidates of whom none is named.
pub(super) fn several(address: IpAddr, port: Option<u16>, candidates: Vec<Candidate>) -> Who {
    Who { candidates, ..whose(address, port, Vec::new()) }
}

pub(super) fn whose(address: IpAddr, port: Option<u16>, candidates: Vec<Candidate>) -> Who {
    let mut who = Who {
        address: Some(address.to_string()),
        port,
        at: "2026-11-23T14:00:05.007Z".to_owned(),
        confidence: "exact".to_owned(),
        candidates,
        ..Who::default()
    };
    if let [only] = who.candidates.as_slice() {
        who.subscriber.clone_from(&only.subscriber);
        who.session.clone_from(&only.session);
        who.nas.clone_from(&only.nas);
        who.valid_from.clone_from(&only.valid_from);
        who.valid_until.clone_from(&only.valid_until);
    }
    who
}

pub(super) fn message() -> MessageRow {
    MessageRow {
        at: "2026-11-23T14:00:05.007Z".to_owned(),
        mta: "mx1".to_owned(),
        profile: "relay".to_owned(),
        queue_id: "4XyZ1b2c3d".to_owned(),
        instance: "1a2b.5678.0".to_owned(),
        subscriber: some("alice@isp.example"),
        session: some("bras1/00a1/1795438800000"),
        nas: some("bras1"),
        address: some("198.51.100.7"),
        port: Some(40112),
        helo: "laptop.home".to_owned(),
        sender: "alice@isp.example".to_owned(),
        recipient_count: 2,
        recipient_domains: vec!["a.example".to_owned(), "b.example".to_owned()],
        size: 2048,
        token: some("Zk3vQ"),
        message_id: some("1.4711@laptop.home"),
        verdict: "permit".to_owned(),
        reason: "online".to_owned(),
        candidates: vec![alice()],
        ..MessageRow::default()
    }
}

/// Spam of alice, and a virus of a login that is an attack.
pub(super) fn scanned() -> Vec<ScannedRow> {
    vec![
        ScannedRow {
            at: "2026-11-23T14:00:06.007Z".to_owned(),
            finding: "spam".to_owned(),
            by: "header".to_owned(),
            told: "X-Spam: Yes".to_owned(),
            mta: "mx1".to_owned(),
            queue_id: "4XyZ1b2c3d".to_owned(),
            address: some("198.51.100.7"),
            port: Some(40112),
            subscriber: some("alice@isp.example"),
            session: some("bras1/00a1/1795438800000"),
            nas: some("bras1"),
            candidates: vec![alice()],
            ..ScannedRow::default()
        },
        ScannedRow {
            at: "2026-11-23T13:00:06.007Z".to_owned(),
            finding: "virus".to_owned(),
            by: "scanner".to_owned(),
            told: "=cmd|' /c calc'!a1\u{1b}[2J".to_owned(),
            login: some("=1+1\u{202e}"),
            ..ScannedRow::default()
        },
    ]
}

/// A suspended customer, nobody's address, and a flood.
pub(super) fn attempts() -> Vec<AttemptRow> {
    let row = |reference: &str, reason: Reason| AttemptRow {
        reference: reference.to_owned(),
        at: "2026-11-23T13:05:02.100Z".to_owned(),
        until: "2026-11-23T13:05:41.000Z".to_owned(),
        count: 1,
        mta: "mx1".to_owned(),
        profile: "relay".to_owned(),
        verdict: some(reason.verdict().word()),
        reason: reason.word().to_owned(),
        meaning: Advice::on(reason).meaning.to_owned(),
        remedy: Advice::on(reason).remedy.to_owned(),
        helo: "laptop.home".to_owned(),
        ..AttemptRow::default()
    };
    vec![
        AttemptRow {
            count: 340,
            address: some("198.51.100.7"),
            port: Some(40112),
            subscriber: some("alice@isp.example"),
            session: some("bras1/00a1/1795438800000"),
            nas: some("bras1"),
            sender: "a\u{1b}[2J\u{202e}".to_owned(),
            recipient_domain: "b.example".to_owned(),
            suspension: Some(4711),
            candidates: vec![alice()],
            ..row("1a2b3c4d", Reason::Suspended)
        },
        AttemptRow {
            address: some("198.51.100.200"),
            sender: "=cmd|' /c calc'!a1".to_owned(),
            observed: true,
            ..row("0000002b", Reason::NotOnline)
        },
        AttemptRow {
            count: 81_022,
            verdict: None,
            reason: "too-many".to_owned(),
            meaning: COUNTED.meaning.to_owned(),
            remedy: COUNTED.remedy.to_owned(),
            mta: String::new(),
            profile: String::new(),
            helo: String::new(),
            ..row("ffffffff", Reason::NotOnline)
        },
    ]
}

pub(super) fn session(subscriber: &str, state: &str, until: Option<&str>) -> SessionRow {
    SessionRow {
        subscriber: some(subscriber),
        user_name: some(subscriber),
        addresses: vec!["198.51.100.7".to_owned(), "2001:db8:1::/64".to_owned()],
        realm: None,
        inside: None,
        session: "bras1/00a1/1795438800000".to_owned(),
        nas: "bras1".to_owned(),
        state: state.to_owned(),
        valid_from: some("2026-11-23T13:00:00.000Z"),
        valid_until: until.map(str::to_owned),
        last_seen: some("2026-11-23T13:59:00.000Z"),
        line: alice().line,
        kept: BTreeMap::from([("ADSL-Agent-Circuit-Id".to_owned(), "dslam3 1/7".to_owned())]),
    }
}

/// One that is well, one that is silent, one that is held, and one that can't be understood.
pub(super) fn feeds() -> Vec<NasRow> {
    let bras1 = NasRow {
        nas: "bras1".to_owned(),
        client: "bras1".to_owned(),
        feed: "whole".to_owned(),
        last_heard: some("2026-11-23T14:00:00.000Z"),
        last_packet: some("2026-11-23T14:00:01.000Z"),
        records_last_minute: 41,
        active: 812,
        suspect: 3,
        records: 12_345,
        refreshes: 11_000,
        duplicates: 12,
        retransmits: 5,
        late: 2,
        stops_missed: 7,
        unusable: vec![UnusableRow {
            reason: "other-status".to_owned(),
            count: 9,
            last: some("2026-11-23T13:59:00.000Z"),
        }],
        last_fault: some("other-status"),
        last_fault_at: some("2026-11-23T13:59:00.000Z"),
        interval_seconds: Some(300),
        whole: true,
        since: some("2026-11-23T08:00:00.000Z"),
        clock: "known".to_owned(),
        clock_offset_ms: Some(-120),
        ..NasRow::default()
    };
    let bras2 = NasRow {
        nas: "bras2/192.0.2.9".to_owned(),
        client: "bras2".to_owned(),
        feed: "silent".to_owned(),
        last_heard: some("2026-11-23T13:41:12.000Z"),
        active: 640,
        pending: 2,
        records: 900,
        claims_dropped: 1,
        silent: true,
        why: some("nas-silent until 2026-11-23T17:41:12.000Z"),
        clock: "absurd".to_owned(),
        absurd_times: 900,
        ..NasRow::default()
    };
    let bras3 = NasRow {
        nas: "bras3".to_owned(),
        client: "bras3".to_owned(),
        feed: "held".to_owned(),
        last_heard: some("2026-11-23T12:30:00.000Z"),
        active: 55,
        silent: true,
        whole: true,
        clock: "undated".to_owned(),
        held_until: some("2026-11-23T18:00:00.000Z"),
        held_by: some("noc"),
        held_reason: some("new line card"),
        ..NasRow::default()
    };
    let bras4 = NasRow {
        nas: "bras4".to_owned(),
        client: "bras4".to_owned(),
        feed: "unheard".to_owned(),
        unusable: vec![UnusableRow {
            reason: "bad-authenticator".to_owned(),
            count: 311,
            last: some("2026-11-23T14:00:02.000Z"),
        }],
        last_fault: some("bad-authenticator"),
        last_fault_at: some("2026-11-23T14:00:02.000Z"),
        whole: true,
        clock: "undated".to_owned(),
        ..NasRow::default()
    };
    vec![bras1, bras2, bras3, bras4]
}

/// Alice's address went to Bob while Alice's router was away; then a record of Alice's came late.
pub(super) fn story() -> Vec<StoryRow> {
    let line = |at: &str, arrival: Option<&str>, record: &str, owner: &Candidate, what: &str| StoryRow {
        at: some(at),
        arrival: arrival.map(str::to_owned),
        sequence: 4711,
        record: record.to_owned(),
        nas: owner.nas.clone(),
        session: owner.session.clone(),
        subscriber: owner.subscriber.clone(),
        address: some("198.51.100.7"),
        what: what.to_owned(),
        ..StoryRow::default()
    };
    let (began, taken) = ("2026-11-23T13:00:00.000Z", "2026-11-23T13:30:00.000Z");
    let late = "2026-11-23T13:15:00.000Z";
    let of = |sequence, line| StoryRow { sequence, ..line };
    vec![
        line(began, Some(began), "start", &alice(), "bound"),
        StoryRow {
            at: some("2026-11-23T13:20:00.000Z"),
            since: some("2026-11-23T13:10:00.000Z"),
            sequence: 4712,
            record: "resumed".to_owned(),
            what: "gap".to_owned(),
            ..StoryRow::default()
        },
        StoryRow {
            last_seen: some("2026-11-23T13:05:00.000Z"),
            ..of(4713, line(taken, Some("2026-11-23T13:30:02.500Z"), "start", &alice(), "superseded"))
        },
        of(4713, line(taken, Some("2026-11-23T13:30:02.500Z"), "start", &bob(), "bound")),
        of(4714, line(late, Some("2026-11-23T14:16:00.000Z"), "interim", &alice(), "outdone")),
        of(4714, line("2026-11-23T15:30:00.000Z", None, "deadline", &bob(), "overdue")),
    ]
}

/// A sender who does as never before, and what was done about it.
pub(super) fn case_of_signal() -> CaseRow {
    let event = |reference, what: &str, by: &str| HistoryRow {
        reference,
        at: some("2026-11-23T14:00:05.000Z"),
        by: by.to_owned(),
        what: what.to_owned(),
        ..HistoryRow::default()
    };
    let held = HistoryRow {
        order: some("suspend"),
        kind: some("login"),
        subject: some("sales"),
        until: some("2026-12-01T08:00:00.000Z"),
        note: some("password stolen"),
        ticket: some("T-17"),
        ..event(4705, "suspended", "desk")
    };
    CaseRow {
        id: 4700,
        kind: "signal".to_owned(),
        subscribers: Vec::new(),
        logins: vec!["sales".to_owned()],
        confidence: "exact".to_owned(),
        evidence_count: 1,
        evidence: vec![EvidenceRow {
            kind: "signal".to_owned(),
            signal: Some(signal("login", "sales")),
            ..EvidenceRow::default()
        }],
        history: vec![
            event(4700, "opened", "relaywarden"),
            HistoryRow { note: some("no answer"), ..event(4703, "noted", "desk") },
            held,
        ],
        in_force: vec![SuspensionRow {
            kind: "login".to_owned(),
            subject: "sales".to_owned(),
            standing: "suspended".to_owned(),
            reference: 4705,
            since: some("2026-11-23T14:00:05.000Z"),
            until: some("2026-12-01T08:00:00.000Z"),
            by: "desk".to_owned(),
            reason: "password stolen".to_owned(),
            case: Some(4700),
            access: Vec::new(),
            until_delisted: Vec::new(),
        }],
        ..case()
    }
}

/// One of our own addresses on a list, and who stood out before.
pub(super) fn case_of_listing() -> CaseRow {
    CaseRow {
        id: 4690,
        kind: "listing".to_owned(),
        state: "closed".to_owned(),
        subscribers: vec!["alice@isp.example".to_owned()],
        evidence_count: 1,
        evidence: vec![EvidenceRow {
            kind: "listing".to_owned(),
            listing: Some(ListingRow {
                at: some("2026-11-23T14:00:05.000Z"),
                address: "192.0.2.25".to_owned(),
                list: "bl.example.org".to_owned(),
                answers: vec!["127.0.0.4".to_owned()],
                text: some("https://bl.example.org/\u{1b}[2J"),
                suspects: vec![signal("subscriber", "alice@isp.example")],
            }),
            ..EvidenceRow::default()
        }],
        history: vec![HistoryRow {
            reference: 4692,
            at: some("2026-11-23T14:00:06.000Z"),
            by: "rule:listed".to_owned(),
            what: "limited".to_owned(),
            order: some("limit"),
            kind: some("subscriber"),
            subject: some("alice@isp.example"),
            until_delisted: true,
            note: some("192.0.2.25 is on bl.example.org"),
            ..HistoryRow::default()
        }],
        in_force: vec![SuspensionRow {
            kind: "subscriber".to_owned(),
            subject: "alice@isp.example".to_owned(),
            standing: "limited".to_owned(),
            reference: 4692,
            since: some("2026-11-23T14:00:06.000Z"),
            by: "rule:listed".to_owned(),
            reason: "192.0.2.25 is on bl.example.org".to_owned(),
            case: Some(4690),
            until_delisted: vec!["192.0.2.25 on bl.example.org".to_owned()],
            ..SuspensionRow::default()
        }],
        kept_until: some("2027-02-21T14:00:05.000Z"),
        ..case()
    }
}

pub(super) fn signal(kind: &str, subject: &str) -> SignalRow {
    SignalRow {
        at: some("2026-11-23T13:58:00.000Z"),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        name: "messages".to_owned(),
        value: 1024,
        threshold: 40,
        words: "1,024 messages today; 3 to 14 on the last 28 days".to_owned(),
    }
}

pub(super) fn reputation() -> Vec<ReputationRow> {
    let row = |address: &str, list: &str, state: &str, sanity: &str| ReputationRow {
        address: address.to_owned(),
        list: list.to_owned(),
        state: state.to_owned(),
        since: some("2026-11-23T14:00:05.000Z"),
        asked: some("2026-11-23T15:30:05.000Z"),
        sanity: sanity.to_owned(),
        ..ReputationRow::default()
    };
    vec![
        ReputationRow {
            answers: vec!["127.0.0.2".to_owned(), "127.0.0.4".to_owned()],
            text: some("=see https://zen.example/?q=192.0.2.25\u{1b}[2J"),
            case: Some(4711),
            ..row("192.0.2.25", "zen", "listed", "sane")
        },
        ReputationRow {
            why: some(
                "it has the address that no list may have, so it lists everything; it has closed, take it out",
            ),
            ..row("192.0.2.25", "dead.example.net", "unknown", "lists-everything")
        },
        ReputationRow { doubted: true, ..row("2001:db8::25", "zen", "clean", "sane") },
    ]
}

pub(super) fn case() -> CaseRow {
    CaseRow {
        id: 4711,
        opened: some("2026-11-23T14:00:05.000Z"),
        kind: "complaint".to_owned(),
        state: "open".to_owned(),
        subscribers: vec!["alice@isp.example".to_owned(), "=cmd()\u{1b}[2J".to_owned()],
        logins: Vec::new(),
        within: Vec::new(),
        confidence: "ambiguous".to_owned(),
        evidence_count: 3,
        evidence: vec![EvidenceRow {
            kind: "complaint".to_owned(),
            form: some("arf"),
            feedback: some("abuse"),
            reporter: some("complaints@example.org"),
            address: some("198.51.100.7"),
            port: Some(40112),
            arrival: some("2026-11-23T13:59:00.000Z"),
            message_id: some("1@x"),
            messages: vec!["mx1 4bX".to_owned()],
            found_by: vec!["queue-id".to_owned()],
            ..EvidenceRow::default()
        }],
        history: vec![HistoryRow {
            reference: 4711,
            at: some("2026-11-23T14:00:05.000Z"),
            by: "mail".to_owned(),
            what: "opened".to_owned(),
            ..HistoryRow::default()
        }],
        in_force: Vec::new(),
        kept_until: None,
    }
}

pub(super) fn receivers() -> Vec<NoticeRow> {
    let events = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        NoticeRow {
            name: "portal".to_owned(),
            way: "webhook".to_owned(),
            to: "https://portal.isp.example".to_owned(),
            events: events(&["suspended", "limited", "released"]),
            taken_at: some("2026-11-23T14:00:04.000Z"),
            said: some("204 No Content"),
            ..NoticeRow::default()
        },
        NoticeRow {
            name: "pager".to_owned(),
            way: "command".to_owned(),
            to: "/usr/local/bin/page".to_owned(),
            events: events(&["rule-called"]),
            waiting: 12,
            oldest: some("2026-11-23T13:00:00.000Z"),
            retry_at: some("2026-11-23T14:03:20.000Z"),
            taken_at: None,
            said: some("exit status: 1: no\u{1b}[2J pager"),
            lost: 3,
        },
    ]
}

/// A day of two customers, one of whom has a name that is an attack.
#[expect(clippy::too_many_lines, reason = "a day has much in it")]
pub(super) fn report() -> ReportRow {
    let sender = |subject: &str, kind: &str, messages, usual| TopRow {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        messages,
        recipients: messages * 3,
        bytes: messages * 20_480,
        usual,
        most_before: usual,
    };
    let refusal = |reason: &str, verdict: Option<&str>, count, observed| RefusalRow {
        reason: reason.to_owned(),
        verdict: verdict.map(str::to_owned),
        count,
        observed,
    };
    let hostile = "<script>alert(1)</script>\u{202e}=cmd|' /C calc'!A0";
    ReportRow {
        since: some("2026-11-21T23:00:00.000Z"),
        until: some("2026-11-22T23:00:00.000Z"),
        sent: SentRow { messages: 184_211, recipients: 260_004, bytes: 9_812_345_678, senders: 12_041 },
        refusals: vec![
            refusal("not-online", Some("refuse"), 4_210, 0),
            refusal("limited", Some("defer"), 812, 800),
            refusal("too-many", None, 3, 0),
        ],
        top: vec![
            sender("alice@isp.example", "subscriber", 10_240, Some(7)),
            sender("newsletter@a-customer-with-a-long-name.isp.example", "login", 5_120, Some(5_000)),
            sender(hostile, "subscriber", 2, None),
        ],
        cases: CasesRow {
            opened: 2,
            closed: 1,
            open: 7,
            newest: vec![
                CaseLine {
                    id: 4711,
                    opened: some("2026-11-22T12:00:00.000Z"),
                    kind: "complaint".to_owned(),
                    state: "open".to_owned(),
                    about: vec!["bob@isp.example".to_owned(), hostile.to_owned()],
                    words: "abuse from <complaints@example.net>".to_owned(),
                    link: some("https://warden.isp.example/case/4711"),
                },
                CaseLine {
                    id: 4700,
                    opened: some("2026-11-22T09:20:00.000Z"),
                    kind: "signal".to_owned(),
                    state: "closed".to_owned(),
                    about: vec!["alice@isp.example".to_owned()],
                    words: "1,024 messages today; 3 to 14 on the last 28 days, and more words than fit into one line of a \
                            ticket"
                        .to_owned(),
                    link: some("https://warden.isp.example/case/4700"),
                },
            ],
        },
        orders: OrdersRow {
            suspended: 1,
            limited: 0,
            released: 1,
            ran_out: 2,
            suspended_now: 3,
            limited_now: 4,
            newest: vec![
                OrderLine {
                    at: some("2026-11-22T15:00:00.000Z"),
                    order: "release".to_owned(),
                    kind: "login".to_owned(),
                    subject: "bob".to_owned(),
                    until: None,
                    by: "desk".to_owned(),
                    reason: "has cleaned it".to_owned(),
                },
                OrderLine {
                    at: some("2026-11-22T09:21:00.000Z"),
                    order: "suspend".to_owned(),
                    kind: "subscriber".to_owned(),
                    subject: "alice@isp.example".to_owned(),
                    until: some("2026-11-23T09:21:00.000Z"),
                    by: "rule:flood".to_owned(),
                    reason: "messages >= 1000".to_owned(),
                },
            ],
        },
        listed: reputation().into_iter().filter(|row| row.state == "listed").collect(),
        feeds: 3,
        feeds_unwell: vec![FeedRow {
            nas: "bras2/192.0.2.9".to_owned(),
            feed: "silent".to_owned(),
            last_heard: some("2026-11-22T20:00:00.000Z"),
            why: some("nothing was heard for longer than its sessions lead to expect"),
        }],
        gaps: vec![GapRow {
            since: some("2026-11-22T02:00:00.000Z"),
            until: "2026-11-22T02:01:30.000Z".to_owned(),
        }],
        notices_behind: receivers().into_iter().filter(|row| row.waiting > 0).collect(),
        ..ReportRow::default()
    }
}
