//! Frames as Postfix and Sendmail send them, and as nobody should.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::relay::{Profile, Stage};

fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut stream = BytesMut::new();
    put(&mut stream, kind, data);
    stream.to_vec()
}

fn read(octets: &[u8]) -> Result<Option<Command>, Broken> {
    Milter::next(&mut BytesMut::from(octets))
}

fn command(kind: u8, data: &[u8]) -> Command {
    read(&frame(kind, data)).unwrap().unwrap()
}

fn written(reply: &Reply) -> Vec<u8> {
    let mut stream = BytesMut::new();
    reply.write(&mut stream);
    stream.to_vec()
}

#[test]
fn a_client_is_known_in_the_spelling_of_postfix_and_of_sendmail() {
    let connect = |data: &[u8]| match command(b'C', data) {
        Command::Connect { address, port, .. } => (address.map(|address| address.to_string()), port),
        other => panic!("{other:?}"),
    };
    assert_eq!(connect(b"[192.0.2.7]\x004\x9c\x41192.0.2.7\0"), (Some("192.0.2.7".to_owned()), Some(40001)));
    assert_eq!(connect(b"h\x006\x9c\x412001:db8::7\0"), (Some("2001:db8::7".to_owned()), Some(40001)));
    assert_eq!(connect(b"h\x006\0\0IPv6:2001:db8::7\0"), (Some("2001:db8::7".to_owned()), None));
    assert_eq!(connect(b"h\x006\0\x19::ffff:192.0.2.7\0"), (Some("192.0.2.7".to_owned()), Some(25)));
    assert_eq!(connect(b"h\x004\0\x19host.example\0"), (None, Some(25)), "a name is no address");
    assert_eq!(connect(b"localhost\0L\0\0/run/socket\0"), (None, None));
    assert_eq!(connect(b"unknown\0U"), (None, None));
}

#[test]
fn a_client_without_family_or_address_is_malformed() {
    for data in [&b"host"[..], b"host\0", b"host\0X\0\0a\0", b"host\x004\0"] {
        assert_eq!(read(&frame(b'C', data)), Err(Broken::Malformed(b'C')), "{data:?}");
    }
}

#[test]
fn senders_and_recipients_lose_their_brackets_and_a_size_is_read() {
    let mail = |sender: &[u8], size| Command::Mail { sender: sender.to_vec(), size };
    assert_eq!(command(b'M', b"<a@b.example>\0SIZE=4711\0BODY=8BITMIME\0"), mail(b"a@b.example", 4711));
    assert_eq!(command(b'M', b"<>\0size=1\0"), mail(b"", 1));
    assert_eq!(command(b'M', b"a@b.example\0SIZE=-1\0"), mail(b"a@b.example", 0));
    assert_eq!(command(b'R', b"<c@d.example>\0NOTIFY=NEVER\0"), Command::Rcpt(b"c@d.example".to_vec()));
    assert_eq!(read(&frame(b'R', b"")), Err(Broken::Malformed(b'R')));
}

#[test]
fn a_frame_of_the_greatest_length_is_read_and_one_octet_more_refused_before_it_is_there() {
    let longest = frame(b'B', &vec![b'a'; FRAME_LIMIT - 1]);
    assert_eq!(read(&longest), Ok(Some(Command::Body(FRAME_LIMIT - 1))));
    assert_eq!(read(&longest[..longest.len() - 1]), Ok(None));
    let longer = u32::try_from(FRAME_LIMIT + 1).unwrap().to_be_bytes();
    assert_eq!(read(&longer), Err(Broken::TooLong));
    assert_eq!(read(&[0xff; 4]), Err(Broken::TooLong));
}

#[test]
fn a_frame_that_is_empty_of_another_kind_or_cut_short_is_broken_and_stays_so() {
    assert_eq!(read(&[0, 0, 0, 0]), Err(Broken::Empty));
    assert_eq!(read(&frame(b'z', b"")), Err(Broken::UnknownKind(b'z')));
    assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(Broken::TooLong), "somebody else");
    let mut milter = Milter::default();
    let mut stream = BytesMut::from(&frame(b'A', b"")[..4]);
    assert!(matches!(milter.decode_eof(&mut stream), Err(ReadError::Broken(Broken::CutShort))));
    assert!(milter.decode(&mut BytesMut::from(&frame(b'A', b"")[..])).is_err());
}

#[test]
fn a_version_before_2_is_not_spoken_with() {
    let offer = |version: u32| {
        let words = [version, 0x1ff, 0x1f_ffff];
        read(&frame(b'O', &words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>()))
    };
    assert_eq!(offer(1), Err(Broken::Version(1)));
    assert!(matches!(offer(2), Ok(Some(Command::Negotiate { version: 2, .. }))));
    assert_eq!(read(&frame(b'O', &[0; 11])), Err(Broken::Malformed(b'O')));
}

fn conversation(profile: Option<Profile>) -> Conversation {
    let headers = vec![b"x-spam".to_vec()].into();
    Conversation::new(Terms {
        name: "m1.1".to_owned(),
        profile,
        headers,
        message_id: true,
        ..Terms::default()
    })
}

#[test]
fn no_more_is_agreed_than_what_is_offered_and_what_is_needed() {
    let all = Command::Negotiate { version: 6, actions: 0x1ff, steps: 0x1f_ffff };
    let agreed = |profile, offer: &Command| match conversation(profile).take(offer.clone()) {
        Step::Write(Reply::Negotiated { version, actions, steps, macros }) => {
            (version, actions, steps, macros.len())
        }
        other => panic!("{other:?}"),
    };
    // Steps that carry what is asked about are not left out; a body that nobody weighs is.
    assert_eq!(agreed(Some(Profile::Relay), &all), (6, 0x101, 0x8_7bc0, 3));
    assert_eq!(agreed(None, &all), (6, 0x100, 0x8_fbd2, 3));
    let old = Command::Negotiate { version: 2, actions: 0x1f, steps: 0x7f };
    assert_eq!(agreed(Some(Profile::Relay), &old), (2, 0x1, 0x40, 0));
    let later = Command::Negotiate { version: 9, actions: 0, steps: 0 };
    assert_eq!(agreed(Some(Profile::Relay), &later), (6, 0, 0, 0));
}

#[test]
fn where_silence_is_not_agreed_each_step_is_answered() {
    let mut old = conversation(None);
    old.take(Command::Negotiate { version: 2, actions: 0, steps: 0 });
    let go_on = Step::Write(Reply::Continue);
    let connect = Command::Connect { host: Vec::new(), address: None, port: None };
    assert!(matches!(old.take(connect), Step::Heard(Heard::Connected(_), Some(Reply::Continue))));
    for said in [Command::Helo(Vec::new()), Command::Body(1), Command::Data, Command::EndOfHeaders] {
        assert_eq!(old.take(said.clone()), go_on, "{said:?}");
    }
    let nothing = [
        (Command::Abort, Step::Nothing),
        (Command::Quit, Step::Heard(Heard::Gone, None)),
        (Command::QuitNewConnection, Step::Heard(Heard::Gone, None)),
    ];
    for (said, expected) in nothing {
        assert_eq!(old.take(said), expected, "an answer would be taken for the next one's");
    }
}

fn header(name: &str, value: &str) -> Command {
    Command::Header { name: name.into(), value: value.into() }
}

fn connected(profile: Option<Profile>) -> Conversation {
    let mut talk = conversation(profile);
    talk.take(Command::Negotiate { version: 6, actions: 0x1ff, steps: 0x1f_ffff });
    let address = "192.0.2.7".parse().ok();
    talk.take(Command::Connect { host: b"h".to_vec(), address, port: Some(40001) });
    talk.take(Command::Helo(b"client.example".to_vec()));
    talk
}

fn begin(talk: &mut Conversation, login: &str) {
    let values = vec![(b"{auth_authen}".to_vec(), login.into())];
    talk.take(Command::Macros { of: b'M', values });
    talk.take(Command::Mail { sender: b"s@example.org".to_vec(), size: 9 });
}

fn end(talk: &mut Conversation, queue_id: &str) -> Ended {
    talk.take(Command::Macros { of: b'E', values: vec![(b"i".to_vec(), queue_id.into())] });
    match talk.take(Command::EndOfMessage(3)) {
        Step::End(ended) => *ended,
        other => panic!("{other:?}"),
    }
}

fn recipient(talk: &mut Conversation, recipient: &str, answer: &Action) -> Query {
    match talk.take(Command::Rcpt(recipient.into())) {
        Step::Recipient(query) => {
            talk.answered(&query.recipient, answer);
            *query
        }
        other => panic!("{other:?}"),
    }
}

use crate::relay::Query;

#[test]
fn several_messages_of_one_connection_share_the_client_and_nothing_else() {
    let mut talk = connected(Some(Profile::Relay));
    begin(&mut talk, "bob");
    let first = recipient(&mut talk, "r1@example.net", &Action::Ok);
    assert_eq!((first.stage, first.size, &first.instance[..]), (Stage::Rcpt, 9, &b"m1.1.1"[..]));
    recipient(&mut talk, "r2@example.net", &Action::Defer451 { text: "no".into() });
    talk.take(header("X-Spam", "Yes"));
    talk.take(header("Subject", "hello"));
    talk.take(Command::Body(100));
    let ended = end(&mut talk, "4bX");
    assert_eq!(ended.headers, [(b"X-Spam".to_vec(), b"Yes".to_vec())]);
    let query = ended.query;
    assert_eq!((query.login.as_deref(), &query.queue_id[..]), (Some(&b"bob"[..]), &b"4bX"[..]));
    assert_eq!((query.recipient_count, &query.recipient[..]), (1, &b"r1@example.net"[..]));
    assert_eq!((query.size, query.port), (100 + 3 + 13 + 16, Some(40001)));

    talk.take(Command::Abort);
    begin(&mut talk, "");
    let second = end(&mut talk, "4bY");
    assert_eq!((second.query.login, second.headers.len(), second.query.recipient_count), (None, 0, 0));
    assert_eq!(second.query.instance, b"m1.1.2");
    assert_eq!(second.query.address, "192.0.2.7".parse().ok(), "the client is the same");
}

#[test]
fn a_message_that_was_given_up_leaves_nothing_to_the_next_though_no_macro_begins_it() {
    let mut talk = connected(Some(Profile::Relay));
    begin(&mut talk, "bob");
    recipient(&mut talk, "r1@example.net", &Action::Ok);
    talk.take(header("X-Spam", "Yes"));
    talk.take(Command::Mail { sender: b"other@example.org".to_vec(), size: 0 });
    let ended = end(&mut talk, "4bX");
    assert_eq!((ended.query.login, ended.headers.len(), ended.query.recipient_count), (None, 0, 0));
}

#[test]
fn another_client_on_the_same_connection_inherits_no_address() {
    let mut talk = connected(None);
    talk.take(Command::QuitNewConnection);
    begin(&mut talk, "");
    assert_eq!(end(&mut talk, "4bX").query.address, None);
}

fn refused(talk: &mut Conversation, mailer: &str, status: &str) -> Step {
    let values = [("{rcpt_mailer}", mailer), ("{rcpt_host}", status)];
    let values = values.map(|(name, value)| (name.into(), value.into())).to_vec();
    talk.take(Command::Macros { of: b'R', values });
    talk.take(Command::Rcpt(b"nobody@example.net".to_vec()))
}

#[test]
fn a_recipient_that_the_mail_server_refuses_is_told_and_never_asked_about_nor_counted() {
    let mut talk = connected(Some(Profile::Relay));
    begin(&mut talk, "bob");
    for status in ["5.1.1", "5.2.1", "5.4.6", "5.5.2"] {
        match refused(&mut talk, "error", status) {
            Step::Heard(Heard::Refused(query), Some(Reply::Continue)) => {
                assert_eq!((&query.recipient[..], query.port), (&b"nobody@example.net"[..], Some(40001)));
                assert_eq!(query.login.as_deref(), Some(&b"bob"[..]));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    // Ours, the policy's, what may be otherwise tomorrow, and what nobody can read.
    for status in ["5.7.1", "5.3.4", "4.1.2", "5", "", "5.1", "5x1"] {
        let told = matches!(refused(&mut talk, "error", status), Step::Heard(..));
        assert_eq!(told, status == "5.1", "{status}");
    }
    assert!(matches!(refused(&mut talk, "smtp", "mx.example.net"), Step::Recipient(_)), "it is accepted");
    refused(&mut talk, "error", "5.1.1");
    recipient(&mut talk, "r1@example.net", &Action::Ok);
    assert_eq!(end(&mut talk, "4bX").query.recipient_count, 1);
}

#[test]
fn beside_policy_delegation_recipients_are_told_unanswered_and_where_refused_ones_cant_be_none_is() {
    let mut talk = connected(None);
    begin(&mut talk, "");
    assert_eq!(talk.take(Command::Rcpt(b"r1@example.net".to_vec())), Step::Nothing);
    assert!(matches!(refused(&mut talk, "error", "5.1.1"), Step::Heard(Heard::Refused(_), None)));
    let cant = Command::Negotiate { version: 6, actions: 0, steps: 0x1f_ffff & !0x800 };
    let Step::Write(Reply::Negotiated { steps, .. }) = conversation(None).take(cant) else { panic!() };
    assert_eq!(steps & 0x8808, 0x8, "no recipients at all");
    let mut waited_for = Conversation::new(Terms { refused: true, ..Terms::default() });
    waited_for.take(Command::Negotiate { version: 6, actions: 0, steps: 0x1f_ffff });
    assert!(matches!(refused(&mut waited_for, "error", "5.1.1"), Step::Heard(_, Some(Reply::Continue))));
    assert_eq!(waited_for.take(Command::Rcpt(Vec::new())), Step::Write(Reply::Continue));
}

#[test]
fn a_login_is_told_when_a_message_begins_and_where_sessions_count_the_mail_server_waits_for_it() {
    let terms = |sessions| Terms { sessions, ..Terms::default() };
    for (sessions, answered) in [(false, 0), (true, 2)] {
        let mut talk = Conversation::new(terms(sessions));
        talk.take(Command::Negotiate { version: 6, actions: 0, steps: 0x1f_ffff });
        let connect = Command::Connect { host: Vec::new(), address: None, port: None };
        let connected = matches!(talk.take(connect), Step::Heard(Heard::Connected(_), Some(_)));
        let values = vec![(b"{auth_authen}".to_vec(), b"bob".to_vec())];
        let login = talk.take(Command::Macros { of: b'M', values });
        assert_eq!(login, Step::Heard(Heard::LoggedIn(b"bob".to_vec()), None));
        let mail = talk.take(Command::Mail { sender: Vec::new(), size: 0 });
        let mailed = mail == Step::Write(Reply::Continue);
        assert_eq!(usize::from(connected) + usize::from(mailed), answered);
    }
}

#[test]
fn where_a_milter_only_tells_a_login_is_asked_about_as_policy_delegation_asks() {
    for (profile, login, asked) in [
        (None, "", Profile::Relay),
        (None, "bob", Profile::Submission),
        (Some(Profile::Mx), "bob", Profile::Mx),
    ] {
        let mut talk = connected(profile);
        begin(&mut talk, login);
        assert_eq!(end(&mut talk, "4bX").query.profile, asked, "{profile:?} {login}");
    }
}

#[test]
fn of_endless_headers_the_first_and_the_last_are_kept() {
    let mut talk = connected(None);
    begin(&mut talk, "");
    for number in 0..1000 {
        talk.take(header("X-Spam", &format!("{number}{}", "a".repeat(10_000))));
    }
    let headers = end(&mut talk, "4bX").headers;
    assert_eq!(headers.len(), 100);
    assert!(headers.iter().all(|(_, value)| value.len() == 4096));
    assert!(headers[0].1.starts_with(b"0a") && headers[99].1.starts_with(b"999a"));
}

#[test]
fn the_first_message_id_counts_whatever_its_case_and_wherever_it_stands() {
    let mut talk = connected(None);
    begin(&mut talk, "");
    for _ in 0..200 {
        talk.take(header("X-Spam", "No"));
    }
    talk.take(header("X-Message-ID", "<0@x>"));
    talk.take(header("message-Id", "<1@x>"));
    for _ in 0..200 {
        talk.take(header("Message-ID", "<2@x>"));
        talk.take(header("X-Spam", "No"));
    }
    let ended = end(&mut talk, "4bX");
    assert_eq!(ended.message_id.as_deref(), Some(&b"<1@x>"[..]));
    assert!(ended.headers.iter().all(|(name, _)| name == b"X-Spam"));
    begin(&mut talk, "");
    assert_eq!(end(&mut talk, "4bY").message_id, None, "the next message has none");
    begin(&mut talk, "");
    talk.take(header("Message-ID", &"a".repeat(100_000)));
    assert_eq!(end(&mut talk, "4bZ").message_id.map(|id| id.len()), Some(1024));
    talk.take(header("Message-ID", "<3@x>"));
    talk.take(Command::Abort);
    begin(&mut talk, "");
    assert_eq!(end(&mut talk, "4bA").message_id, None);
}

#[test]
fn headers_are_asked_for_where_a_scanners_or_message_ids_are_wanted_and_else_not() {
    for (headers, message_id, left_out) in
        [(vec![], false, true), (vec![], true, false), (vec![b"x-spam".to_vec()], false, false)]
    {
        let terms = Terms { headers: headers.into(), message_id, ..Terms::default() };
        let mut talk = Conversation::new(terms);
        let Step::Write(Reply::Negotiated { steps, .. }) =
            talk.take(Command::Negotiate { version: 6, actions: 0x1ff, steps: 0x1f_ffff })
        else {
            panic!("nothing is agreed")
        };
        assert_eq!(steps & 0x20 != 0, left_out);
        begin(&mut talk, "");
        talk.take(header("Message-ID", "<1@x>"));
        assert_eq!(end(&mut talk, "4bX").message_id.is_some(), message_id);
    }
}

#[test]
fn replies_are_frames_and_no_text_becomes_a_second_line() {
    assert_eq!(written(&Reply::Continue), b"\0\0\0\x01c");
    assert_eq!(written(&Reply::Answer(Action::Dunno)), b"\0\0\0\x01c");
    let text = "no\r\n250 ok\0.".to_owned();
    let rejected = written(&Reply::Answer(Action::Reject550 { text: text.into() }));
    assert_eq!(rejected, frame(b'y', b"550 5.7.1 no  250 ok .\0"));
    let link = written(&Reply::Answer(Action::Reject550 { text: "a%20b".into() }));
    assert_eq!(link, frame(b'y', b"550 5.7.1 a%%20b\0"));
    let refused = written(&Reply::Answer(Action::Refuse554 { text: "".into() }));
    assert_eq!(refused, frame(b'y', b"554 5.7.1 refused\0"));
    let token = Action::Prepend { header: "X-Token".into(), value: "k7\r\nBcc: all\0.".into() };
    let added = [frame(b'h', b"X-Token\0k7  Bcc: all .\0"), frame(b'c', b"")].concat();
    assert_eq!(written(&Reply::Answer(token)), added);
    let none = Action::Prepend { header: "X Token".into(), value: "k7".into() };
    assert_eq!(written(&Reply::Answer(none)), frame(b'c', b""));
    let agreed = Reply::Negotiated { version: 6, actions: 1, steps: 2, macros: vec![(5, "i")] };
    assert_eq!(written(&agreed), frame(b'O', b"\0\0\0\x06\0\0\0\x01\0\0\0\x02\0\0\0\x05i\0"));
}

proptest! {
    #[test]
    fn any_octets_from_a_milter_client_are_survived(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let _ = Milter::default().decode_eof(&mut BytesMut::from(&octets[..]));
        let mut talk = conversation(Some(Profile::Mx));
        let mut answers = BytesMut::new();
        for (kind, data) in frames {
            if let Ok(Some(said)) = read(&frame(kind, &data))
                && let Step::Write(reply) = talk.take(said)
            {
                reply.write(&mut answers);
            }
        }
    }

    #[test]
    fn milter_commands_survive_any_way_of_splitting_the_stream(
        names in prop::collection::vec("[a-z.]{0,20}", 0..6),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let whole: Vec<u8> = names.iter().flat_map(|name| frame(b'H', format!("{name}\0").as_bytes())).collect();
        let (mut milter, mut stream, mut found, mut rest) =
            (Milter::default(), BytesMut::new(), Vec::new(), &whole[..]);
        for cut in cuts.iter().cycle() {
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            stream.extend_from_slice(piece);
            while let Some(said) = milter.decode(&mut stream).unwrap() {
                let Command::Helo(name) = said else { panic!("{said:?}") };
                found.push(String::from_utf8(name).unwrap());
            }
            rest = later;
            if rest.is_empty() { break; }
        }
        prop_assert!(stream.is_empty());
        prop_assert_eq!(found, names);
    }
}
