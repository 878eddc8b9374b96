//! Any octets as what a milter client says, and what its headers come to.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use relaywarden::mta::milter::{Conversation, Milter, Step, Terms};
use relaywarden::mta::policy::Action;
use relaywarden::relay::Profile;
use relaywarden::relay::scanner::Rules;
use tokio_util::codec::Decoder;

fuzz_target!(|octets: &[u8]| {
    let rules = Rules::default();
    // The first octet says whether it decides or only reads.
    let Some((&first, octets)) = octets.split_first() else { return };
    let profile = (first & 1 == 0).then_some(Profile::Relay);
    let headers = rules.names().into();
    let terms = Terms { name: "m1.1".to_owned(), profile, headers, message_id: true, ..Terms::default() };
    let mut talk = Conversation::new(terms);
    let (mut milter, mut stream, mut answers) = (Milter::default(), BytesMut::from(octets), BytesMut::new());
    while let Ok(Some(command)) = milter.decode_eof(&mut stream) {
        match talk.take(command) {
            Step::Nothing => {}
            Step::Write(reply) | Step::Heard(_, Some(reply)) => reply.write(&mut answers),
            Step::Heard(_, None) => {}
            Step::Recipient(query) => {
                assert!(profile.is_some() && query.port != Some(0));
                talk.answered(&query.recipient, &Action::Ok);
            }
            Step::End(ended) => {
                assert!(ended.headers.len() <= 100 && ended.attributed == profile.is_some());
                assert!(ended.query.recipient_count <= 1_000_000 && ended.query.sender.len() <= 1024);
                let found = rules.by_headers(&ended.headers);
                assert!(found.is_none_or(|found| found.told.octets().len() <= 255));
            }
        }
    }
    // What is answered are frames, whatever was asked.
    let mut rest = &answers[..];
    while let Some((length, frame)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("a small number");
        assert!((1..200).contains(&length));
        rest = &frame[length..];
    }
    assert!(rest.is_empty());
});
