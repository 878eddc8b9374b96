//! Reports as they come, and as nobody should send them.

use proptest::prelude::*;

use super::*;

const ARF: &[u8] = include_bytes!("../../tests/data/complaint/arf.eml");
const AUTH_FAILURE: &[u8] = include_bytes!("../../tests/data/complaint/arf-auth-failure.eml");
const XARF: &[u8] = include_bytes!("../../tests/data/complaint/xarf.json");
const XARF_MAIL: &[u8] = include_bytes!("../../tests/data/complaint/xarf-mail.eml");
const HEADER: Option<&str> = Some("X-Subscriber-Token");

fn name(text: &str) -> Option<Name> {
    Some(Name::from(text))
}

/// The hop at which our own mail server took the message from the customer.
#[track_caller]
fn names_the_message(complaint: &Complaint) {
    assert_eq!(complaint.message_id, name("spam.1@helo.example"));
    assert_eq!(complaint.hops.len(), 2);
    let first = &complaint.hops[1];
    assert_eq!((&first.by, &first.queue_id), (&name("mail.isp.example"), &name("4bXyz1KqmZz9rT")));
    assert_eq!((first.address, first.port), ("192.0.2.7".parse().ok(), Some(51234)));
    assert_eq!(first.at, Some(Timestamp::from_seconds(1_795_660_766)));
    assert_eq!(complaint.hops[0].address, "198.51.100.25".parse().ok());
}

#[test]
fn an_arf_report_says_who_complains_about_whom_and_when() {
    let complaint = read(ARF, HEADER).unwrap();
    assert_eq!((complaint.form, &complaint.feedback), (Form::Arf, &name("abuse")));
    assert_eq!((complaint.address, complaint.port), ("192.0.2.7".parse().ok(), Some(51234)));
    assert_eq!(complaint.arrival, Some(Timestamp::from_seconds(1_795_660_766)));
    assert_eq!(complaint.reporter, name("complaints@example.org"));
    assert_eq!(complaint.mail_from, name("somebody@example.com"));
    assert_eq!(complaint.rcpt_to, [Name::from("redacted@example.org")]);
    assert_eq!((complaint.domains.len(), complaint.uris.len()), (1, 2));
    assert_eq!(complaint.token, name("0123456789abcdef0123"));
    assert!(complaint.missing().is_empty(), "{:?}", complaint.missing());
    assert_eq!(complaint.key(), name("complaints@example.org").zip(name("0123456789abcdef0123")));
    names_the_message(&complaint);
    assert_eq!(read(ARF, None).unwrap().token, None, "without a header's name none is looked for");
}

#[test]
fn a_report_of_an_authentication_failure_with_the_header_alone_says_what_it_lacks() {
    let complaint = read(AUTH_FAILURE, HEADER).unwrap();
    assert_eq!(complaint.feedback, name("auth-failure"));
    assert_eq!((complaint.address, complaint.port), ("2001:db8::7".parse().ok(), None));
    assert_eq!(complaint.missing(), ["source port", "token header"]);
    names_the_message(&complaint);
}

#[test]
fn x_arf_says_the_same_as_json_and_within_a_mail() {
    let complaint = read(XARF, HEADER).unwrap();
    assert_eq!((complaint.form, &complaint.feedback), (Form::Xarf, &name("messaging/spam")));
    assert_eq!((complaint.address, complaint.port), ("192.0.2.7".parse().ok(), Some(51234)));
    assert_eq!(complaint.arrival, Some(Timestamp::from_seconds(1_795_660_766)));
    assert_eq!(complaint.token, name("0123456789abcdef0123"));
    names_the_message(&complaint);
    assert_eq!(read(XARF_MAIL, HEADER).unwrap(), complaint);
}

#[test]
fn an_mbox_line_before_the_mail_is_no_header() {
    let piped = [b"From complaints@example.org  Thu Nov 26 09:00:00 2026\n".as_slice(), ARF].concat();
    assert_eq!(read(&piped, HEADER), read(ARF, HEADER));
    let crlf = String::from_utf8(ARF.to_vec()).unwrap().replace('\n', "\r\n");
    assert_eq!(read(crlf.as_bytes(), HEADER), read(ARF, HEADER));
}

#[test]
fn a_report_of_10_mib_is_read_and_a_longer_one_is_not() {
    let mut long = ARF.to_vec();
    long.resize(OCTETS_MAX, b'\n');
    assert!(read(&long, HEADER).is_ok());
    long.push(b'\n');
    assert_eq!(read(&long, HEADER), Err(Unreadable::TooLong));
}

#[test]
fn what_is_no_report_says_what_it_is_instead() {
    for (octets, unreadable) in [
        (b"".as_slice(), Unreadable::NotAMail),
        (b"\xff\x00", Unreadable::NotAMail),
        (b"From: a@b\n\nPlease stop this.\n", Unreadable::NoReport),
        (b"{}", Unreadable::NotXarf),
        (b"{\"xarf_version\": \"3\"}", Unreadable::NotXarf),
        (b"{\"xarf_version\": 4}", Unreadable::NotXarf),
        (b"{\"xarf_version\": \"4.0.0\"", Unreadable::NotXarf),
        (b"From: a@b\nContent-Type: application/json\n\n{}", Unreadable::NotXarf),
    ] {
        assert_eq!(read(octets, HEADER), Err(unreadable), "{}", String::from_utf8_lossy(octets));
    }
}

#[test]
fn a_report_that_says_nothing_says_what_is_missing() {
    let report = b"Content-Type: message/feedback-report\n\nSource-IP: nobody\nSource-Port: 0\nArrival-Date: Thu, 26 Nov 2026 02:39:26\n";
    let complaint = read(report, HEADER).unwrap();
    assert_eq!((complaint.address, complaint.port, complaint.arrival), (None, None, None));
    assert_eq!(complaint.missing().len(), 7);
    assert_eq!(complaint.key(), None);
}

#[test]
fn mails_within_mails_and_parts_within_parts_end_where_they_are_no_longer_looked_at() {
    let within = "Content-Type: message/rfc822\n\n".repeat(100_000);
    assert_eq!(read(within.as_bytes(), HEADER), Err(Unreadable::NoReport));
    let nested: String =
        (0..100_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    assert_eq!(read(nested.as_bytes(), HEADER), Err(Unreadable::NoReport));
    let many = format!("Content-Type: multipart/report; boundary=b\n\n{}", "--b\n\n\n".repeat(100_000));
    assert_eq!(read(many.as_bytes(), HEADER), Err(Unreadable::NoReport));
    let deep = format!("{{\"xarf_version\":\"4.0.0\",\"x\":{}", "[".repeat(1_000_000));
    assert_eq!(read(deep.as_bytes(), HEADER), Err(Unreadable::NotXarf));
}

#[test]
fn lists_and_texts_of_a_report_have_an_end() {
    let uris: String =
        (0..1000).map(|n| format!("Reported-Uri: http://x/{n}/{}\n", "a".repeat(2000))).collect();
    let report = format!("Content-Type: message/feedback-report\n\n{uris}");
    let complaint = read(report.as_bytes(), HEADER).unwrap();
    assert_eq!(complaint.uris.len(), LIST_MAX);
    assert!(complaint.uris.iter().all(|uri| uri.octets().len() == TEXT_OCTETS_MAX));
}

proptest! {
    #[test]
    fn any_octets_and_any_report_that_was_changed_are_survived(
        which in 0usize..4, at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), put in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut octets = [ARF, AUTH_FAILURE, XARF, XARF_MAIL][which].to_vec();
        let at = at.index(octets.len());
        let end = at + cut.index(octets.len() - at).min(200);
        octets.splice(at..end, put.iter().copied());
        if let Ok(complaint) = read(&octets, HEADER) {
            prop_assert_ne!(complaint.port, Some(0));
            prop_assert!(complaint.hops.len() <= 30);
        }
        let _ = read(&put, HEADER);
    }
}
