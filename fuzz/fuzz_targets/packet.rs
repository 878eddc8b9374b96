//! Any octets as a datagram: decoded, walked, checked against its secret, answered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relaywarden::radius::authenticator;
use relaywarden::radius::packet::{Attribute, Packet, code};
use relaywarden::radius::vendor;

const SECRET: &[u8] = b"testing123";

fuzz_target!(|octets: &[u8]| {
    let Ok(packet) = Packet::decode(octets) else { return };
    assert!((20..=4096).contains(&packet.octets().len()) && packet.octets().len() <= octets.len());
    let attributes: Vec<Attribute<'_>> = packet.attributes().collect();
    let taken: usize = attributes.iter().map(|attribute| attribute.value.len() + 2).sum();
    assert_eq!(taken, packet.attribute_octets().len(), "every octet belongs to an attribute");
    let vendors = attributes.iter().filter(|attribute| attribute.kind == vendor::VENDOR_SPECIFIC);
    for outer in vendors {
        let inner: usize = vendor::attributes(outer.value).map(|inner| inner.value.len()).sum();
        assert!(inner <= outer.value.len(), "a vendor's attribute ends within its own");
    }
    // What is cut off behind Length changes nothing.
    let bare = Packet::decode(packet.octets()).expect("it was decoded before");
    assert!(bare.attributes().eq(packet.attributes()));
    let authentic = authenticator::is_authentic(&packet, SECRET);
    assert_eq!(authentic, authenticator::is_authentic(&bare, SECRET));

    let answer = authenticator::accounting_response(&packet, SECRET);
    let answer = Packet::decode(&answer).expect("an answer of ours");
    assert_eq!((answer.code(), answer.identifier()), (code::ACCOUNTING_RESPONSE, packet.identifier()));

    let list = packet.attribute_octets();
    let signed = authenticator::sign_request(code::ACCOUNTING_REQUEST, 1, &[0; 16], list, SECRET);
    let signed = signed.expect("no longer than it was");
    let signed = Packet::decode(&signed).expect("a request of ours");
    assert!(authenticator::is_authentic(&signed, SECRET));
    let _ = authenticator::integrity(&packet, SECRET);
});
