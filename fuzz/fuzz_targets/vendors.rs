//! Vendors' attributes of any content, as each of their readers meets them: in a record that is otherwise right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden_fuzz::{Clients, NOW, assert_admissible, vendors_record};

fuzz_target!(|octets: &[u8]| {
    let clients = Clients::configured();
    let request = vendors_record(octets);
    for source in Clients::SOURCES {
        let record = clients.read(&request, source, NOW, &mut NasClocks::default());
        let record = record.expect("whatever a vendor says, it is a record");
        assert_admissible(&record, clients.of(source), clients.never());
    }
});
