//! Records whole and broken, in pieces of every size.

use std::net::IpAddr;

use super::*;
use crate::radius::text::{self, Fault, TextError};
use crate::session::Timestamp;

const HEADER: &str = "Wed Nov 25 16:23:24 2026\n";
const START: &str = "\tUser-Name = \"alice\"\n\tAcct-Status-Type = Start\n\tAcct-Session-Id = \"s1\"\n";
const END: &str = "\tTimestamp = 1795620204\n\n";

fn dictionary() -> &'static Dictionary {
    Dictionary::builtin()
}

/// Everything that is found in a text.
fn found(text: &str) -> Vec<Found> {
    let mut reader = Reader::at(0);
    reader.push(text.as_bytes());
    std::iter::from_fn(|| reader.next_record(dictionary())).collect()
}

/// The only record, of these lines beside those of a Start.
fn record(lines: &str) -> Record {
    let text = format!("{HEADER}{START}{lines}{END}");
    let found = found(&text);
    assert_eq!(found.len(), 1, "{text}");
    found[0].record.clone().unwrap()
}

fn rejected(text: &str) -> Vec<Option<Rejected>> {
    found(text).into_iter().map(|found| found.record.err()).collect()
}

fn attributes(record: &Record) -> Vec<u8> {
    record.packet().unwrap().attribute_octets().to_vec()
}

/// The attributes that these lines add, as octets, and the lines that could not be read.
fn added(lines: &str) -> (Vec<u8>, Vec<Fault>, usize) {
    let record = record(lines);
    let plain = text::parse_attributes(START, dictionary()).unwrap();
    let added = attributes(&record).strip_prefix(plain.as_slice()).unwrap().to_vec();
    (added, record.faults.iter().map(|error| error.fault).collect(), record.unknown)
}

fn octets(lines: &str) -> Vec<u8> {
    let (added, faults, unknown) = added(lines);
    assert_eq!((faults, unknown), (vec![], 0), "{lines}");
    added
}

#[test]
fn a_record_is_the_packet_it_was_made_from() {
    let record = record("\tFramed-IP-Address = 192.0.2.7\n\tNAS-Port-Type = Ethernet\n");
    let lines = format!("{START}Framed-IP-Address = 192.0.2.7\nNAS-Port-Type = 15");
    assert_eq!(attributes(&record), text::parse_attributes(&lines, dictionary()).unwrap());
    let packet = record.packet().unwrap();
    assert_eq!((packet.code(), packet.identifier(), packet.authenticator()), (4, 0, &[0; 16]));
    assert_eq!(record.received, Some(Timestamp::from_seconds(1_795_620_204)));
    assert_eq!((record.source, record.unknown, record.faults), (None, 0, vec![]));
}

#[test]
fn several_records_tell_where_each_begins_and_ends() {
    let one = format!("{HEADER}{START}{END}");
    let found = found(&format!("\n{one}\n\n{one}{HEADER}"));
    let places: Vec<_> = found.iter().map(|found| (found.begin, found.end)).collect();
    let length = u64::try_from(one.len()).unwrap();
    assert_eq!(places, [(1, 1 + length), (length + 3, 2 * length + 3)]);
    assert!(found.iter().all(|found| found.record.is_ok()));
}

#[test]
fn records_of_one_second_keep_their_order_wherever_reading_begins_again() {
    let one = |second: i64| format!("{HEADER}{START}\tTimestamp = {second}\n\n");
    let text = [10, 10, 10, 11, 11, 10].map(one).concat();
    let whole = found(&text);
    let millis: Vec<_> =
        whole.iter().map(|found| found.record.as_ref().unwrap().received.unwrap().millis()).collect();
    assert_eq!(millis, [10_000, 10_001, 10_002, 11_000, 11_001, 10_000]);
    for (at, before) in whole.iter().enumerate() {
        let mut reader = Reader::resume(before.end, before.tick);
        reader.push(&text.as_bytes()[usize::try_from(before.end).unwrap()..]);
        let rest: Vec<_> = std::iter::from_fn(|| reader.next_record(dictionary())).collect();
        assert_eq!(rest, whole[at + 1..], "{at}");
    }
}

#[test]
fn a_second_has_room_for_a_thousand_records_and_never_ends_in_the_next_one() {
    let text = format!("{HEADER}{START}\tTimestamp = 10\n\n").repeat(1100);
    let last = found(&text).pop().unwrap();
    assert_eq!(last.record.unwrap().received, Some(Timestamp::from_millis(10_999)));
}

#[test]
fn a_record_is_the_same_in_pieces_of_every_size() {
    let text = format!(
        "{HEADER}{START}{END}{HEADER}{START}\tFramed-IP-Add{HEADER}{START}{END}\n\r\n{HEADER}{START}{END}"
    );
    let whole = found(&text);
    assert_eq!(whole.len(), 4);
    for size in 1..text.len() {
        let mut reader = Reader::at(0);
        let mut pieces = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            reader.push(piece);
            pieces.extend(std::iter::from_fn(|| reader.next_record(dictionary())));
        }
        assert_eq!(pieces, whole, "{size}");
    }
}

#[test]
fn a_record_that_is_still_being_written_is_not_given_yet_and_not_lost() {
    let text = format!("{HEADER}{START}{END}");
    for length in 0..text.len() {
        let mut reader = Reader::at(1000);
        reader.push(&text.as_bytes()[..length]);
        assert_eq!(reader.next_record(dictionary()), None, "{length}");
        assert_eq!(reader.offset(), 1000);
        reader.push(&text.as_bytes()[length..]);
        let found = reader.next_record(dictionary()).unwrap();
        assert_eq!((found.begin, found.end), (1000, 1000 + u64::try_from(text.len()).unwrap()));
        assert!(found.record.is_ok());
    }
}

#[test]
fn every_operator_and_spelling_of_a_name_is_read() {
    let framed = vec![8, 6, 192, 0, 2, 7];
    for line in
        ["Framed-IP-Address = 192.0.2.7", "Framed-IP-Address := 192.0.2.7", "framed-ip-address+=192.0.2.7"]
    {
        assert_eq!(octets(&format!("\t{line}\n")), framed, "{line}");
    }
    let cisco = vec![26, 9, 0, 0, 0, 9, 250, 3, 0x41];
    for line in ["Attr-26.9.250 = 0x41", "Vendor-9-Attr-250 = 0x41"] {
        assert_eq!(octets(&format!("\t{line}\n")), cisco, "{line}");
    }
    // What did not fit its type.
    assert_eq!(octets("\tAttr-8 = 0x0102\n"), [8, 4, 1, 2]);
    assert_eq!(octets("\tAttr-26 = 0x0000\n"), [26, 4, 0, 0]);
}

#[test]
fn escapes_become_the_octets_they_stand_for() {
    let line = r#"	Calling-Station-Id = "\001\\\"\n\r\t\377é""#.to_owned() + "\n";
    assert_eq!(octets(&line), [[31, 11].as_slice(), b"\x01\\\"\n\r\t\xff", "é".as_bytes()].concat());
}

#[test]
fn a_tag_stands_before_a_text_and_within_a_number() {
    assert_eq!(octets("\tTunnel-Client-Endpoint:1 = \"a\"\n"), [66, 4, 1, b'a']);
    assert_eq!(octets("\tAttr-64:31 = 0x00\n"), [64, 4, 31, 0]);
    assert_eq!(octets("\tNAS-Port:2 = 7\n"), [5, 6, 2, 0, 0, 7]);
    let (nothing, faults, _) = added("\tNAS-Port:2 = 16777216\n");
    assert_eq!((nothing.len(), faults.len()), (0, 1));
}

#[test]
fn a_stamp_in_local_time_is_read_by_its_header() {
    let stamp = |line: &str| octets(line);
    let expected = [[55, 6].as_slice(), &1_795_620_200_u32.to_be_bytes()].concat();
    assert_eq!(stamp("\tEvent-Timestamp = \"Nov 25 2026 16:23:20 CET\"\n"), expected);
    assert_eq!(stamp("\tEvent-Timestamp = \"Nov 25 2026 16:23:20 XYZ\"\n"), expected);
    assert_eq!(stamp("\tEvent-Timestamp = \"Nov 25 2026 15:23:20 UTC\"\n"), expected);
    assert_eq!(stamp("\tEvent-Timestamp = 1795620200\n"), expected);
    let (_, faults, _) = added("\tEvent-Timestamp = \"Nov 25 2106 16:23:20 CET\"\n");
    assert_eq!(faults.len(), 1);
}

#[test]
fn what_never_travels_is_left_out_silently() {
    let lines = "\tAcct-Unique-Session-Id = \"0123\"\n\tRequest-Authenticator = Verified\n\
                 \tTmp-String-9 = \"ai:\"\n\tFreeradius-Proxied-To = 127.0.0.1\n\tPacket-Src-Port = 1646\n\
                 \tStripped-User-Name = \"alice\"\n\tRealm = \"isp\"\n";
    assert_eq!(octets(lines), [] as [u8; 0]);
}

#[test]
fn names_that_no_dictionary_has_are_counted_and_leave_the_rest_alone() {
    let lines = "\tERX-Nobody-Knows = 7\n\tNAS-Port-Type = Carrier-Pigeon\n\tFramed-IP-Address = 192.0.2.7\n";
    assert_eq!(added(lines), (vec![8, 6, 192, 0, 2, 7], vec![], 2));
}

#[test]
fn where_the_server_had_it_from_is_told_by_the_packet_and_else_by_the_client() {
    let source = |lines: &str| record(lines).source.map(|address: IpAddr| address.to_string());
    assert_eq!(source("\tClient-IP-Address = 192.0.2.1\n").as_deref(), Some("192.0.2.1"));
    let both = "\tClient-IP-Address = 192.0.2.1\n\tPacket-Src-IP-Address = 192.0.2.2\n";
    assert_eq!(source(both).as_deref(), Some("192.0.2.2"));
    assert_eq!(source("\tPacket-Src-IPv6-Address = 2001:db8::1\n").as_deref(), Some("2001:db8::1"));
    assert_eq!(source("\tPacket-Src-IP-Address = bras1\n"), None);
}

#[test]
fn a_line_that_cannot_be_read_leaves_out_its_attribute_and_is_named() {
    let record = record("\tFramed-IP-Address = 192.0.2.256\n\tNAS-Port-Id = \"open\n\tClass = 0x41\n");
    let bad = |line, fault| TextError { line, fault };
    assert_eq!(record.faults.len(), 2);
    assert_eq!(record.faults[1], bad(6, Fault::UnclosedQuote));
    assert!(attributes(&record).ends_with(&[25, 3, 0x41]));
}

#[test]
fn octets_that_are_no_text_spoil_their_line_only() {
    let mut reader = Reader::at(0);
    for part in [HEADER.as_bytes(), START.as_bytes(), b"\tNAS-Identifier = \"\xff\"\n", END.as_bytes()] {
        reader.push(part);
    }
    let record = reader.next_record(dictionary()).unwrap().record.unwrap();
    assert_eq!(record.faults, [TextError { line: 5, fault: Fault::NotText }]);
}

#[test]
fn a_record_whose_status_or_session_cannot_be_read_is_rejected() {
    let text = |status: &str, session: &str| {
        format!("{HEADER}\tAcct-Status-Type = {status}\n\tAcct-Session-Id = {session}\n{END}")
    };
    assert_eq!(rejected(&text("Start", "\"s1")), [Some(Rejected::Unreadable)]);
    assert_eq!(rejected(&text("Start \"x\"", "\"s1\"")), [None]);
    assert_eq!(rejected(&text("\"Start\"x", "\"s1\"")), [Some(Rejected::Unreadable)]);
    // A NAS as a whole has no session.
    assert_eq!(rejected(&text("Accounting-On", "\"s1")), [None]);
    // Without one from the beginning: that is for the decoder to say, as of a packet.
    assert_eq!(rejected(&format!("{HEADER}\tUser-Name = \"alice\"\n{END}")), [None]);
}

#[test]
fn another_kind_of_packet_is_not_accounting() {
    let text = |kind: &str| format!("{HEADER}\tPacket-Type = {kind}\n{START}{END}");
    assert_eq!(rejected(&text("Access-Request")), [Some(Rejected::NotAccounting)]);
    assert_eq!(rejected(&text("Accounting-Request")), [None]);
    assert_eq!(rejected(&text("4")), [None]);
}

// A full disk, or a loss of power: half a record, and the next one behind it. Whatever the place of the break, nothing of
// the first may come to be part of the second.
#[test]
fn half_a_record_never_mixes_with_the_next() {
    let first = format!("{HEADER}\tFramed-IP-Address = 192.0.2.1\n{START}\tClass = 0x41\n{END}");
    let second = format!(
        "{HEADER}\tUser-Name = \"bob\"\n\tAcct-Status-Type = Stop\n\tAcct-Session-Id = \"s2\"\n{END}"
    );
    let alone = found(&second)[0].record.clone();
    for cut in 1..first.len() - 1 {
        let found = found(&format!("{}{second}", &first[..cut]));
        assert_eq!(found.last().unwrap().record, alone, "{cut}");
        // The first line is lost within a header of its own.
        let others: Vec<_> = found.iter().rev().skip(1).map(|found| found.record.clone().err()).collect();
        let expected: &[_] = if cut < HEADER.len() { &[] } else { &[Some(Rejected::CutShort)] };
        assert_eq!(others, expected, "{cut}: {found:?}");
    }
}

#[test]
fn with_a_header_of_another_form_half_a_record_shows_by_what_is_there_twice() {
    let header = "2026-11-25 16:23:24\n";
    let first = format!("{header}{START}\tFramed-IP-Address = 192.0.2.1\n{END}");
    let second = format!(
        "{header}\tUser-Name = \"bob\"\n\tAcct-Status-Type = Stop\n\tAcct-Session-Id = \"s2\"\n{END}"
    );
    let both = found(&format!("{first}{second}"));
    assert!(both.iter().all(|found| found.record.is_ok()) && both.len() == 2);
    let broken = first.find("\tUser-Name").unwrap() + "\tUser-Name = \"alice\"\n\tAcct".len();
    for cut in broken..first.len() - 2 {
        let joined = rejected(&format!("{}{second}", &first[..cut]));
        let whole_lines = first.as_bytes()[cut - 1] == b'\n';
        let expected =
            if whole_lines { vec![Some(Rejected::CutShort), None] } else { vec![Some(Rejected::TwoInOne)] };
        assert_eq!(joined, expected, "{cut}");
    }
}

#[test]
fn a_subscriber_cannot_write_the_end_of_a_record() {
    // FreeRADIUS escapes line ends; whatever else is within the quotes is text.
    let line = "\tCalling-Station-Id = \"x\\n\\nWed Nov 25 16:23:24 2026\"\n";
    assert_eq!(octets(line), [[31, 29].as_slice(), b"x\n\nWed Nov 25 16:23:24 2026"].concat());
}

#[test]
fn zeros_of_a_lost_write_spoil_no_more_than_their_record() {
    let one = format!("{HEADER}{START}{END}");
    let zeros = "\0".repeat(5000);
    assert_eq!(rejected(&format!("{one}{zeros}{one}")), [None, None]);
    let half = &one[..60];
    assert_eq!(rejected(&format!("{half}{zeros}{one}")), [Some(Rejected::CutShort), None]);
    let tail = &one[30..];
    assert_eq!(rejected(&format!("{zeros}{tail}{one}")), [Some(Rejected::CutShort), None]);
}

#[test]
fn a_record_without_its_header_is_a_part_of_one() {
    assert_eq!(rejected(&format!("{START}{END}{HEADER}{START}{END}")), [Some(Rejected::CutShort), None]);
}

#[test]
fn a_record_of_64_kib_is_read_and_a_longer_one_is_not() {
    let plain = format!("{HEADER}{START}\n");
    // Names that mean nothing: only the text's length counts here.
    let filler = |length: usize| format!("\tNobody = \"{}\"\n", "x".repeat(length - 13));
    let text = |length: usize| format!("{HEADER}{START}{}\n", filler(length + 1 - plain.len()));
    assert_eq!(text(RECORD_MAX).len(), RECORD_MAX + 1);
    let after = format!("{HEADER}{START}{END}");
    assert_eq!(rejected(&format!("{}{after}", text(RECORD_MAX))), [None, None]);
    assert_eq!(rejected(&format!("{}{after}", text(RECORD_MAX + 1))), [Some(Rejected::TooLong), None]);
}

#[test]
fn what_is_too_long_takes_no_memory_and_its_end_is_found() {
    let after = format!("{HEADER}{START}{END}");
    let lines = "\tNobody = \"x\"\n".repeat(300_000 / 14);
    let line = format!("\tNobody = \"{}\"\n", "x".repeat(300_000));
    // Its end is a blank line, the next header, or a header behind half a line.
    for (long, end) in [(&lines, "\n"), (&line, "\n"), (&lines, ""), (&line, ""), (&line, "\tHalf = \"")] {
        let text = format!("{HEADER}{START}{long}{START}{end}{after}");
        for size in [1000, 65_536, text.len()] {
            let mut reader = Reader::at(7);
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                reader.push(piece);
                seen.extend(std::iter::from_fn(|| reader.next_record(dictionary())));
                assert!(reader.buffer.len() <= RECORD_MAX + size + 100, "{}", reader.buffer.len());
            }
            assert_eq!(seen.len(), 2, "{size} {end:?}");
            assert_eq!(seen[0].record, Err(Rejected::TooLong));
            assert!(seen[1].record.is_ok());
            assert_eq!((seen[0].begin, seen[0].end), (7, seen[1].begin));
            assert_eq!(seen[1].end, 7 + u64::try_from(text.len()).unwrap());
        }
    }
}

#[test]
fn attributes_of_4076_octets_are_read_and_one_more_is_not() {
    let text = |octets: usize| {
        let used = text::parse_attributes(START, dictionary()).unwrap().len();
        let rest = octets - used;
        let class = |value: usize| format!("\tClass = 0x{}\n", "41".repeat(value));
        let lines = class(248).repeat(rest / 250 - 1) + &class(rest % 250 + 248 - 100) + &class(98);
        format!("{HEADER}{START}{lines}{END}")
    };
    let read = found(&text(4076))[0].record.clone().unwrap();
    assert_eq!(read.packet().unwrap().octets().len(), 4096);
    assert_eq!(rejected(&text(4077)), [Some(Rejected::TooManyAttributes)]);
}

#[test]
fn what_is_left_at_the_end_is_a_record_only_with_its_last_line() {
    let left = |text: &str| {
        let mut reader = Reader::at(0);
        reader.push(text.as_bytes());
        assert_eq!(reader.next_record(dictionary()), None);
        let left = reader.finish(dictionary());
        assert_eq!(
            (reader.finish(dictionary()), reader.offset()),
            (None, u64::try_from(text.len()).unwrap())
        );
        left.map(|found| found.record.err())
    };
    assert_eq!(left(&format!("{HEADER}{START}\tTimestamp = 1795620204\n")), Some(None));
    for short in ["", "\tTimestamp", "\tTimestamp = 17956202", "\tTimestamp = 1795620204"] {
        assert_eq!(left(&format!("{HEADER}{START}{short}")), Some(Some(Rejected::CutShort)), "{short:?}");
    }
    assert_eq!(left(""), None);
    assert_eq!(left("\n \n"), None);
    assert_eq!(left("\0\0"), None);
}

#[test]
fn a_file_that_does_not_say_when_it_was_told_was_told_before_it_was_written() {
    let at = Timestamp::from_seconds;
    let timed = record("");
    assert_eq!(timed.passage(at(1_795_620_300), at(1_795_620_250)).received, at(1_795_620_204));
    // A server whose clock is ahead.
    assert_eq!(timed.passage(at(1_795_620_100), at(1_795_620_100)).received, at(1_795_620_100));
    let untimed = found(&format!("{HEADER}{START}\n"))[0].record.clone().unwrap();
    assert_eq!(untimed.passage(at(1_795_620_300), at(1_795_620_250)).received, at(1_795_620_250));
}

#[test]
fn any_octets_are_survived() {
    // Octets that mean something here, in every order that a small generator comes to.
    let words: [&[u8]; 14] = [
        b"\n",
        b"\r\n",
        b"\t",
        b"\0",
        b"\"",
        b"\\",
        b"=",
        b" ",
        b"Wed Nov 25 16:23:24 2026",
        b"Acct-Status-Type = Start",
        b"Timestamp = 9",
        b"\xff",
        b"Acct-Session-Id = \"",
        b"0x4",
    ];
    let mut seed = 1_u64;
    for _ in 0..2000 {
        let mut reader = Reader::at(0);
        let mut pushed = 0;
        let mut end = 0;
        for _ in 0..60 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = words[usize::try_from(seed >> 40).unwrap() % words.len()];
            reader.push(word);
            pushed += word.len();
            while let Some(found) = reader.next_record(dictionary()) {
                assert!(found.begin >= end && found.end > found.begin, "{found:?}");
                end = found.end;
            }
        }
        let _ = reader.finish(dictionary());
        assert_eq!(reader.offset(), u64::try_from(pushed).unwrap());
    }
}
