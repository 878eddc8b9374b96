//! Lines as Postfix 3.7 writes them, through rsyslog, journald's export and its own log file; and lines that are not what
//! they seem.

use super::*;

static UTC: TimeZone = TimeZone::UTC;

fn utc() -> Clock<'static> {
    // 2026-11-23 14:00:00.
    Clock { zone: &UTC, as_of: Timestamp::from_seconds(1_795_442_400) }
}

fn joined(lines: &[&str]) -> Vec<MailRow> {
    let mut joiner = Joiner::default();
    let rows =
        (1..).zip(lines).filter_map(|(number, line)| match joiner.line(line.as_bytes(), number, &utc()) {
            Joined::Message(row) => Some(*row),
            _ => None,
        });
    rows.collect()
}

#[test]
fn the_lines_of_one_queue_id_are_one_message() {
    let rows = joined(&[
        "Nov 23 13:05:01 mail1 postfix/smtpd[811]: connect from host7.isp.example[198.51.100.7]:40112",
        "Nov 23 13:05:02 mail1 postfix/smtpd[811]: 4jYLXY6NlJz1SW1G: client=host7.isp.example[198.51.100.7]:40112, \
         sasl_method=PLAIN, sasl_username=alice@isp.example",
        "Nov 23 13:05:02 mail2 postfix/smtpd[99]: 4jYLXY6NlJz1SW1G: client=unknown[198.51.100.9]",
        "Nov 23 13:05:02 mail1 postfix/smtpd[812]: 4jYLXY6NlJz1SW1H: client=unknown[2001:db8::7]",
        "Nov 23 13:05:03 mail1 postfix/cleanup[813]: 4jYLXY6NlJz1SW1G: message-id=<a@b.example>",
        "Nov 23 13:05:03 mail1 postfix/qmgr[12]: 4jYLXY6NlJz1SW1G: from=<alice@isp.example>, size=2100, nrcpt=2 (queue active)",
        "Nov 23 13:05:04 mail1 postfix/qmgr[12]: 4jYLXY6NlJz1SW1H: from=<>, size=7, nrcpt=1 (queue active)",
        "Nov 23 13:05:05 mail1 postfix/smtp[14]: 4jYLXY6NlJz1SW1G: to=<x@y.example>, relay=z, status=sent (250 ok)",
        "Nov 23 13:05:05 mail1 postfix/qmgr[12]: 4jYLXY6NlJz1SW1G: removed",
    ]);
    let alice = MailRow {
        line: 6,
        at: "2026-11-23T13:05:02.000Z".to_owned(),
        mta: "mail1".to_owned(),
        queue_id: "4jYLXY6NlJz1SW1G".to_owned(),
        address: "198.51.100.7".parse().ok(),
        port: Some(40112),
        login: Some("alice@isp.example".to_owned()),
        message_id: Some("<a@b.example>".to_owned()),
        sender: "alice@isp.example".to_owned(),
        size: 2100,
        recipients: 2,
    };
    assert_eq!(rows[0], alice);
    assert_eq!(
        (rows.len(), rows[1].sender.as_str(), &rows[1].login),
        (2, "", &None),
        "mail2's is not complete"
    );
    assert_eq!(rows[1].address, "2001:db8::7".parse().ok());
}

#[test]
fn what_was_not_taken_into_the_queue_or_came_from_no_client_is_no_message() {
    let rows = joined(&[
        "Nov 23 13:05:02 m postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 5.7.1 <x>: Relay access denied",
        "Nov 23 13:05:02 m postfix/smtpd[1]: 4jYLXY6NlJz1: client=unknown[198.51.100.7]",
        "Nov 23 13:05:02 m postfix/smtpd[1]: lost connection after DATA from unknown[198.51.100.7]",
        "Nov 23 13:05:02 m postfix/pickup[1]: 4jYLXY6NlJz2: uid=0 from=<root>",
        "Nov 23 13:05:02 m postfix/qmgr[1]: 4jYLXY6NlJz2: from=<root@m>, size=7, nrcpt=1 (queue active)",
        "Nov 23 13:05:02 m dovecot: lmtp(alice)<1><x>: 4jYLXY6NlJz1: from=<a>, size=7, nrcpt=1 (queue active)",
        "Nov 23 13:05:02 m postfix/qmgr[1]: 4jYLXY6NlJz1: from=<a@b>, status=expired, returned to sender",
    ]);
    assert_eq!(rows, []);
}

#[test]
fn a_message_that_is_taken_up_again_is_one_and_a_queue_id_that_is_used_again_another() {
    let client = "Nov 23 13:05:02 m postfix/smtpd[1]: 4AA2D1C0E9: client=unknown[198.51.100.7]";
    let queued = "Nov 23 13:05:02 m postfix/qmgr[1]: 4AA2D1C0E9: from=<a@b>, size=7, nrcpt=1 (queue active)";
    let rows = joined(&[client, queued, queued, client, queued]);
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn services_and_syslog_names_of_the_operators_own_are_known_by_their_last_part() {
    let of = |program: &str| {
        let line = format!("Nov 23 13:05:02 m {program}: 4AA2D1C0E9: client=unknown[198.51.100.7]");
        Joiner::default().line(line.as_bytes(), 1, &utc()) != Joined::Foreign
    };
    for program in
        ["postfix/smtpd[1]", "postfix/submission/smtpd[1]", "postfix-out/smtpd[1]", "postfix/smtpd"]
    {
        assert!(of(program), "{program}");
    }
    for program in ["smtpd[1]", "postfix/smtp[1]", "postfix/smtpd[1] x", "postfix", ""] {
        assert!(!of(program), "{program}");
    }
}

#[test]
fn a_login_or_a_sender_that_looks_like_a_log_is_no_more_than_itself() {
    let rows = joined(&[
        "Nov 23 13:05:02 m postfix/smtpd[1]: 4AA2D1C0E9: client=unknown[198.51.100.7], sasl_method=LOGIN, \
         sasl_username=eve, sasl_username=alice, sasl_sender=x@y",
        "Nov 23 13:05:02 m postfix/qmgr[1]: 4AA2D1C0E9: from=<\"a>, size=1, nrcpt=9\"@b>, size=7, nrcpt=1 (queue active)",
    ]);
    assert_eq!(rows[0].login.as_deref(), Some("eve, sasl_username=alice"));
    assert_eq!(
        (rows[0].sender.as_str(), rows[0].size, rows[0].recipients),
        ("\"a>, size=1, nrcpt=9\"@b", 7, 1)
    );
    let mut joiner = Joiner::default();
    let client =
        b"Nov 23 13:05:02 m postfix/smtpd[1]: 4AA2D1C0E9: client=x[198.51.100.7], sasl_username=\xff\x1b[2J";
    assert_eq!(joiner.line(client, 1, &utc()), Joined::Noted);
    let queued =
        b"Nov 23 13:05:02 m postfix/qmgr[1]: 4AA2D1C0E9: from=<\xff>, size=7, nrcpt=1 (queue active)";
    let Joined::Message(row) = joiner.line(queued, 2, &utc()) else { panic!("a message") };
    assert_eq!((row.login.as_deref(), row.sender.as_str()), (Some("0xff1b5b324a"), "0xff"));
}

#[test]
fn a_stamp_without_a_year_is_of_the_latest_that_is_not_after_the_file() {
    let at = |stamp: &str, clock: &Clock<'_>| moment(stamp, clock).map(|at| rfc3339(at).unwrap());
    let told = |stamp: &str| at(stamp, &utc()).unwrap();
    assert_eq!(told("Nov 23 14:00:00"), "2026-11-23T14:00:00.000Z");
    assert_eq!(told("Nov 24 14:00:00"), "2026-11-24T14:00:00.000Z", "its clock may be ahead by a day");
    assert_eq!(told("Nov 24 14:00:01"), "2025-11-24T14:00:01.000Z");
    assert_eq!(told("Jan  3 00:00:00"), "2026-01-03T00:00:00.000Z");
    assert_eq!(told("Feb 29 12:00:00"), "2024-02-29T12:00:00.000Z");
    assert_eq!(told("2026-11-23T14:00:05.123456+01:00"), "2026-11-23T13:00:05.123Z");
    for wrong in
        ["Nov 31 14:00:00", "Nov 23 25:00:00", "Foo 23 14:00:00", "Nov 23 14:00", "2026-11-23 14:00:00"]
    {
        assert!(at(wrong, &utc()).is_err(), "{wrong}");
    }
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let clock = Clock { zone: &berlin, ..utc() };
    assert_eq!(at("Nov 23 14:00:00", &clock).as_deref(), Ok("2026-11-23T13:00:00.000Z"));
    // The clocks were set back on 25 October 2026: this hour was there twice.
    assert!(at("Oct 25 02:30:00", &clock).unwrap_err().contains("twice"));
    let new_year = Clock { as_of: Timestamp::from_seconds(1_798_758_000), ..clock };
    assert_eq!(at("Dec 31 23:59:59", &new_year).as_deref(), Ok("2026-12-31T22:59:59.000Z"));
}

#[test]
fn messages_that_never_become_complete_take_no_memory_for_ever() {
    let mut joiner = Joiner::default();
    for number in 0..=OPEN_MAX {
        let line =
            format!("Nov 23 13:05:02 m postfix/smtpd[1]: 4AA2D{number:06}: client=unknown[198.51.100.7]");
        joiner.line(line.as_bytes(), 1, &utc());
    }
    assert_eq!((joiner.open.len(), joiner.in_order.len()), (OPEN_MAX, OPEN_MAX));
}

#[test]
fn any_line_is_survived() {
    let whole =
        b"Nov 23 13:05:02 m postfix/smtpd[1]: 4AA2D1C0E9: client=unknown[198.51.100.7]:7, sasl_username=a";
    let queued = b"Nov 23 13:05:02 m postfix/qmgr[1]: 4AA2D1C0E9: from=<a>, size=7, nrcpt=1 (queue active)";
    let mut joiner = Joiner::default();
    for line in [whole.as_slice(), queued] {
        for length in 0..=line.len() {
            joiner.line(&line[..length], 1, &utc());
            let mut changed = line.to_vec();
            changed.iter_mut().skip(length).take(1).for_each(|octet| *octet = 0xff);
            joiner.line(&changed, 1, &utc());
        }
    }
}
