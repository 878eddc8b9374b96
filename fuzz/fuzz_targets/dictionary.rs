//! Any octets as a dictionary, and as a list of attributes that is written with its names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::text;

fuzz_target!(|octets: &[u8]| {
    let mut dictionary = Dictionary::default();
    let _ = dictionary.read_text(octets);
    let _ = text::parse_requests(&String::from_utf8_lossy(octets), &dictionary);
});
