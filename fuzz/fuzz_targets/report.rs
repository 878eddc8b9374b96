//! Any octets as a complaint, and as a line of somebody's log.
#![no_main]

use std::time::Duration;

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use relaywarden::relay::message_id;
use relaywarden::{complaint, paste};
use relaywarden_fuzz::NOW;

const DAY: Duration = Duration::from_secs(24 * 3600);

fuzz_target!(|octets: &[u8]| {
    if let Ok(complaint) = complaint::read(octets, Some("X-Subscriber-Token")) {
        assert!(complaint.port != Some(0) && complaint.hops.iter().all(|hop| hop.port != Some(0)));
        assert!(complaint.uris.len() <= 20 && complaint.rcpt_to.len() <= 20 && complaint.hops.len() <= 30);
        // It is looked for as the milter kept it, so it has the same length and is read the same way.
        let id = complaint.message_id.as_ref();
        assert!(id.is_none_or(|id| id.octets().len() <= message_id::OCTETS_MAX));
        assert_eq!(id.and_then(|id| message_id::read(id.octets())).as_ref(), id);
        // What is read once is read the same again.
        assert_eq!(complaint::read(octets, Some("X-Subscriber-Token")), Ok(complaint));
    }
    let understood = paste::read(octets, NOW, &TimeZone::UTC);
    assert!(understood.endpoints.len() <= paste::ADDRESSES_MAX);
    for endpoint in &understood.endpoints {
        assert!(endpoint.port != Some(0) && !endpoint.address.is_unspecified());
    }
    // A year is told, or is one that lets it be past.
    if let Some(Ok(at)) = understood.at {
        let told = octets.windows(4).any(|four| four.iter().all(u8::is_ascii_digit));
        assert!(told || at <= NOW.plus(DAY));
    }
});
