//! Writes the beginnings of the corpus anew, from `tests/data` and `dictionaries`: what real equipment and people send, in the
//! shapes that the targets take. The corpus of `machine` is what fuzzing found.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example corpus`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::packet::Packet;
use relaywarden::radius::text;
use relaywarden_fuzz::{OWN, Sent, VENDORS, request};

const SECRET: &[u8] = b"testing123";
/// Longer seeds are mutated less often where it matters.
const DICTIONARY_LINES: usize = 24;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("fuzz/ lies in the repository").to_owned()
}

fn files(directory: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(repository().join(directory)).expect("a directory of ours");
    let paths = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    let mut files: Vec<_> = paths
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("text"))
        })
        .collect();
    files.sort();
    files
}

fn write(target: &str, name: &str, octets: &[u8]) {
    let directory = repository().join("fuzz/corpus").join(target);
    fs::create_dir_all(&directory).expect("our own directory");
    fs::write(directory.join(name), octets).expect("our own file");
}

/// `juniper-mx-pppoe-1-start` is the first of the story `juniper-mx-pppoe`.
fn story(name: &str) -> &str {
    let step = |(at, _): &(usize, &str)| {
        let behind = name[at + 1..].as_bytes();
        behind.first().is_some_and(u8::is_ascii_digit) && behind.get(1) == Some(&b'-')
    };
    name.match_indices('-').filter(step).last().map_or(name, |(at, _)| &name[..at])
}

/// A message as Postfix tells of it, as the target takes it.
fn milter(first: u8) -> Vec<u8> {
    let said: [(u8, &[u8]); 13] = [
        (b'O', b"\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"),
        (b'C', b"[192.0.2.7]\x004\x9c\x41192.0.2.7\0"),
        (b'H', b"client.example\0"),
        (b'D', b"M{auth_authen}\0bob\0"),
        (b'M', b"<s@example.org>\0SIZE=20\0"),
        (b'R', b"<r@example.net>\0"),
        (b'L', b"X-Spam-Status\0Yes, score=12.3\n\ttests=A\0"),
        (b'L', b"X-Virus-Status\0Infected (x)\0"),
        (b'N', b""),
        (b'B', b"hello\r\n"),
        (b'D', b"Ei\04bX\0"),
        (b'E', b""),
        (b'Q', b""),
    ];
    let mut octets = vec![first];
    for (kind, data) in said {
        let length = u32::try_from(data.len() + 1).expect("a line or two");
        octets.extend(length.to_be_bytes());
        octets.push(kind);
        octets.extend(data);
    }
    octets
}

/// The vendors' attributes, and those with a grammar of their own, as `vendors_record` takes them.
fn vendors(attributes: &[u8]) -> Vec<u8> {
    let whole = request(attributes);
    let packet = Packet::decode(&whole).expect("it was made whole");
    let mut octets = Vec::new();
    for attribute in packet.attributes() {
        let vendor = attribute.value.split_first_chunk::<4>().filter(|_| attribute.kind == 26);
        let (which, content) = match vendor {
            Some((vendor, content)) => {
                let vendor = u32::from_be_bytes(*vendor);
                (VENDORS.iter().position(|known| *known == vendor), content)
            }
            None => {
                let own = OWN.iter().position(|kind| *kind == attribute.kind);
                // Those behind the vendors; the first that the remainder maps onto this one.
                let own =
                    own.map(|own| (VENDORS.len()..64).find(|which| which % OWN.len() == own).unwrap_or(own));
                (own, attribute.value)
            }
        };
        let (Some(which), Ok(length)) = (which, u8::try_from(content.len())) else { continue };
        octets.extend([u8::try_from(which).expect("below 64"), length]);
        octets.extend(content);
    }
    octets
}

fn main() {
    let mut stories: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut vendors_of: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, sample) in files("tests/data/samples") {
        let Ok(requests) = text::parse_requests(&sample, Dictionary::builtin()) else { continue };
        for attributes in requests {
            // From the client without pools, a minute after the one before.
            stories.entry(story(&name).to_owned()).or_default().extend(Sent::spelled(0x30, &attributes));
            vendors_of.entry(story(&name).to_owned()).or_default().extend(vendors(&attributes));
            if name.ends_with("1-start") || name.ends_with("accounting-on") {
                let packet = text::encode_request(4, 7, &attributes, SECRET).expect("it fits");
                write("packet", &name, &packet);
            }
        }
    }
    stories.iter().for_each(|(name, octets)| write("accounting", name, octets));
    let told = vendors_of.iter().filter(|(_, octets)| !octets.is_empty());
    told.for_each(|(name, octets)| write("vendors", name, octets));
    for (name, first) in [("decides", 0), ("reads", 1)] {
        write("milter", name, &milter(first));
    }
    for (name, report) in files("tests/data/complaint") {
        write("report", &name, report.as_bytes());
    }
    for (name, lines) in files("tests/data/paste") {
        let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', ' ']));
        for (number, line) in (1..).zip(lines) {
            write("report", &format!("{name}-{number}"), line.as_bytes());
        }
    }
    for (name, dictionary) in files("dictionaries") {
        let lines = dictionary.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let some: Vec<&str> = lines.take(DICTIONARY_LINES).collect();
        write("dictionary", &name, some.join("\n").as_bytes());
    }
}
