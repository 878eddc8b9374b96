//! Detail files without the server that writes them: what a FreeRADIUS wrote down of the samples is what the samples say,
//! and a daemon that follows a long file through crashes comes to its end with nothing missing.
//!
//! `tests/data/detail/samples-by-freeradius-3.2` is Debian's FreeRADIUS 3.2.1, in Berlin, after radclient had sent it every
//! file of `tests/data/samples` in the order of their names.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use relaywarden::radius::detail::{Found, Reader};
    use relaywarden::radius::dictionary::Dictionary;
    use relaywarden::radius::packet::Packet;
    use relaywarden::radius::text;

    use crate::common::asking::Socketmap;
    use crate::common::daemon::{Daemon, SECRET, Wanted};
    use crate::common::{Dice, eventually, within};

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

    fn following(directory: &Path) -> Wanted {
        let feeds = format!(
            "[[radius.client]]\nname = \"freeradius\"\naddress = \"127.0.0.1\"\nsecret = \"{SECRET}\"\n\
             role = \"proxy\"\nmay-assign = [\"100.64.0.0/10\"]\n\
             [[radius.detail]]\ndirectory = \"{}\"\nclient = \"freeradius\"\n",
            directory.display()
        );
        Wanted { feeds: Some(feeds), ..Wanted::default() }
    }

    fn address(number: u32) -> String {
        std::net::Ipv4Addr::from_bits((100 << 24) + (64 << 16) + number).to_string()
    }

    fn record(number: u32) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        format!(
            "Wed Nov 25 16:23:24 2026\n\tAcct-Status-Type = Start\n\tAcct-Session-Id = \"s{number}\"\n\
             \tUser-Name = \"user{number}\"\n\tNAS-Identifier = \"bras{}\"\n\tFramed-IP-Address = {}\n\
             \tTimestamp = {now}\n\n",
            number % 3,
            address(number)
        )
    }

    /// A number on the metrics page.
    fn metric(daemon: &Daemon, name: &str) -> Option<u64> {
        let page = daemon.http("/metrics")?.1;
        let line = page.lines().find(|line| line.starts_with(&format!("relaywarden_{name}")))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    const RECORDS: u32 = 40_000;

    #[test]
    fn crashes_in_the_middle_of_a_long_file_lose_nothing() {
        let mut dice = Dice::cast();
        let directory = tempfile::tempdir().expect("a directory");
        let mut text = String::new();
        (0..RECORDS).for_each(|number| text.write_str(&record(number)).expect("memory"));
        fs::write(directory.path().join("detail"), text).expect("our own file");
        let mut daemon = Daemon::start_with(&following(directory.path()));
        for _ in 0..6 {
            let enough = dice.below(3000);
            eventually("some records to be read", || {
                (metric(&daemon, "detail_records_total")? > enough).then_some(())
            });
            daemon.crash();
            daemon.launch();
            daemon.wait_until_ready();
        }
        within(Duration::from_secs(60), "the file to be read", || {
            let read = metric(&daemon, "detail_bytes_behind") == Some(0);
            (read && daemon.map("subscriber", &address(RECORDS - 1)).starts_with("OK")).then_some(())
        });
        let mut map = Socketmap::connect(daemon.socketmap);
        let wrong: Vec<_> = (0..RECORDS)
            .map(|number| (number, map.ask("subscriber", &address(number))))
            .filter(|(number, answer)| *answer != format!("OK user{number}"))
            .collect();
        assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(10)]);
        let last = metric(&daemon, "detail_records_total").expect("a number");
        assert!(last > 0, "the file was read before the last crash");
    }

    #[test]
    fn a_stop_remembers_where_it_was_and_a_backlog_is_late() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("detail");
        fs::write(&file, record(1)).expect("our own file");
        let mut daemon = Daemon::start_with(&following(directory.path()));
        eventually("the first", || (daemon.map("subscriber", &address(1)) == "OK user1").then_some(()));
        eventually("nothing to be left", || {
            (metric(&daemon, "detail_bytes_behind") == Some(0)).then_some(())
        });
        daemon.terminate();
        // Ten minutes old when it is read: its NAS is catching up, so who is not known is not refused.
        let old = record(2).rsplit_once("Timestamp = ").map(|(before, seconds)| {
            let seconds: u64 = seconds.trim().parse().expect("a number");
            format!("{before}Timestamp = {}\n\n", seconds - 600)
        });
        let mut more = fs::File::options().append(true).open(&file).expect("our own file");
        more.write_all(old.expect("a last line").as_bytes()).expect("our own file");
        daemon.launch();
        daemon.wait_until_ready();
        eventually("the second", || (daemon.map("subscriber", &address(2)) == "OK user2").then_some(()));
        assert_eq!(metric(&daemon, "detail_records_total"), Some(1), "the first is not read again");
        assert!(daemon.map("relay", &address(3)).starts_with("TEMP "));
        let nases = daemon.json(&["nas"]).expect("a NAS").to_string();
        assert!(nases.contains("nas-lagging"), "{nases}");
    }
}
