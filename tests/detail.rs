//! What a FreeRADIUS wrote down of the samples is what the samples say.
//!
//! `tests/data/detail/samples-by-freeradius-3.2` is Debian's FreeRADIUS 3.2.1, in Berlin, after radclient had sent it every
//! file of `tests/data/samples` in the order of their names.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use relaywarden::radius::detail::{Found, Reader};
    use relaywarden::radius::dictionary::Dictionary;
    use relaywarden::radius::packet::Packet;
    use relaywarden::radius::text;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    fn samples() -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(data("samples")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
        files.sort();
        let attributes = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            text::parse_attributes(&text, Dictionary::builtin()).unwrap()
        };
        files.iter().map(|path| (path.display().to_string(), attributes(path))).collect()
    }

    fn written() -> Vec<Found> {
        let mut reader = Reader::at(0);
        reader.push(&fs::read(data("detail/samples-by-freeradius-3.2")).unwrap());
        std::iter::from_fn(|| reader.next_record(Dictionary::builtin())).collect()
    }

    /// Each attribute with its octets, vendors' one by one.
    fn attributes(packet: &Packet<'_>) -> Vec<(u8, Vec<u8>)> {
        packet.attributes().map(|attribute| (attribute.kind, attribute.value.to_vec())).collect()
    }

    #[test]
    fn every_sample_is_read_back_attribute_by_attribute() {
        let (samples, written) = (samples(), written());
        assert_eq!((samples.len(), written.len()), (36, 36));
        for ((name, sample), found) in samples.iter().zip(&written) {
            let record = found.record.as_ref().unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(record.faults.is_empty(), "{name}: {:?}", record.faults);
            assert!(record.received.is_some(), "{name}");
            assert_eq!(record.source, Some("127.0.0.1".parse().unwrap()), "{name}");
            let octets = text::encode_request(4, 0, sample, b"irrelevant").unwrap();
            let sent = attributes(&Packet::decode(&octets).unwrap());
            let read = attributes(&record.packet().unwrap());
            // What has no name in the dictionary is the only difference, and the order stays.
            let lost: Vec<_> = sent.iter().filter(|attribute| !read.contains(attribute)).collect();
            assert!(lost.len() <= record.unknown, "{name}: {lost:?}");
            let kept: Vec<_> = sent.iter().filter(|attribute| read.contains(attribute)).cloned().collect();
            assert_eq!(read, kept, "{name}");
        }
    }
}
