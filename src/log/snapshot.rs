//! Snapshots of what is kept in memory: one file each, complete or not there, two generations.
//!
//! A snapshot stands for all entries up to its sequence. It only saves time, so a damaged one is set aside and the older
//! one used, as long as the log still has what follows that.
//!
//! Knows: header, checksum, names, the order of syncs. Must not know: what is in the body.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::LogError;
use super::sqlite::{directory_in as log_directory_in, numbered_files, refused, sync_directory};
use crate::session::Timestamp;

/// First octets of the file.
const MAGIC: [u8; 8] = *b"RWsnap\r\n";

/// Version of the header; the body carries its own.
const VERSION: u32 = 1;

/// Magic, version, sequence, moment, length and checksum.
const HEADER: usize = 8 + 4 + 8 + 8 + 8 + 4;

/// How many are kept.
const GENERATIONS: usize = 2;

/// A snapshot read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Sequence of the last entry it stands for.
    pub sequence: u64,
    /// The moment it stands for.
    pub at: Timestamp,
    /// What was stored.
    pub body: Vec<u8>,
}

/// Stores a snapshot of everything up to `sequence`, durably, and removes all but the two newest.
///
/// # Errors
/// What the file system said; the generations before are untouched then.
pub fn store(data: &Path, sequence: u64, at: Timestamp, body: &[u8]) -> Result<(), LogError> {
    let directory = directory_in(data);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(&directory)
        .map_err(|error| refused(&directory, &error))?;
    let path = directory.join(format!("{sequence:020}.snapshot"));
    let unfinished = path.with_extension("snapshot.new");
    let written = write(&unfinished, &header(sequence, at, body), body)
        .and_then(|()| fs::rename(&unfinished, &path))
        .and_then(|()| sync_directory(&directory));
    if let Err(error) = written {
        // Best effort: the next one with this sequence overwrites it.
        drop(fs::remove_file(&unfinished));
        return Err(refused(&path, &error));
    }
    let generations = generations(&directory)?;
    let Some((oldest, _)) = generations.get(GENERATIONS.saturating_sub(1)) else { return Ok(()) };
    // One that was set aside holds names as well as any, and goes as they do; so does one that a crash left unfinished.
    for old in [SNAPSHOT, "damaged", "new"] {
        for (sequence, path) in with_extension(&directory, old)? {
            if sequence < *oldest {
                fs::remove_file(&path).map_err(|error| refused(&path, &error))?;
            }
        }
    }
    Ok(())
}

/// The newest good snapshot. A damaged one gets the ending `.damaged`, so that it is not counted as a generation any
/// more, and the one before is tried. `None`: replay the log from its first entry.
///
/// # Errors
/// `Damaged` when snapshots were there, none is good and there is no log either; `TooNew` for one of a later version;
/// `Storage` when the file system refuses.
pub fn load(data: &Path) -> Result<Option<Snapshot>, LogError> {
    let directory = directory_in(data);
    if !directory.exists() {
        return Ok(None);
    }
    for (sequence, path) in generations(&directory)? {
        match read(&path, sequence) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(LogError::Damaged { what, .. }) => {
                tracing::warn!(file = %path.display(), what, "this snapshot is damaged and set aside");
                let aside = path.with_extension("snapshot.damaged");
                fs::rename(&path, &aside).map_err(|error| refused(&path, &error))?;
            }
            Err(error) => return Err(error),
        }
    }
    // Whether the log still begins with the first entry is checked where it is opened; without any log, beginning
    // anew would pass for having had no past.
    if has_damaged(&directory)? && !has_log(data)? {
        let what = "no snapshot is good, and there is no log to replay";
        return Err(LogError::Damaged { file: directory, row: None, what });
    }
    Ok(None)
}

/// The newest good snapshot of this entry or one before it, for whoever needs what came after that once more. Nothing is set aside.
///
/// # Errors
/// What the file system said; `TooNew` for one of a later version.
pub fn load_before(data: &Path, sequence: u64) -> Result<Option<Snapshot>, LogError> {
    let directory = directory_in(data);
    if !directory.exists() {
        return Ok(None);
    }
    for (number, path) in generations(&directory)?.into_iter().filter(|(number, _)| *number <= sequence) {
        match read(&path, number) {
            Err(LogError::Damaged { .. }) => {}
            read => return read.map(Some),
        }
    }
    Ok(None)
}

/// The sequence up to which the older of two generations stands: log entries at or below it are not needed for a start
/// any more. `None` while there are not two.
///
/// # Errors
/// What the file system said.
pub fn oldest_sequence(data: &Path) -> Result<Option<u64>, LogError> {
    let directory = directory_in(data);
    if !directory.exists() {
        return Ok(None);
    }
    let older = generations(&directory)?.into_iter().nth(GENERATIONS.saturating_sub(1));
    Ok(older.map(|(sequence, _)| sequence))
}

fn directory_in(data: &Path) -> PathBuf {
    data.join("snapshots")
}

/// Newest first.
fn generations(directory: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    with_extension(directory, SNAPSHOT)
}

const SNAPSHOT: &str = "snapshot";

fn with_extension(directory: &Path, extension: &str) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| refused(directory, &error))? {
        let path = entry.map_err(|error| refused(directory, &error))?.path();
        if path.extension() != Some(OsStr::new(extension)) {
            continue;
        }
        let name = path.file_name().and_then(OsStr::to_str);
        let sequence = name.and_then(|name| name.split('.').next()?.parse().ok());
        found.extend(sequence.map(|sequence: u64| (sequence, path)));
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

fn has_damaged(directory: &Path) -> Result<bool, LogError> {
    let mut entries = fs::read_dir(directory).map_err(|error| refused(directory, &error))?;
    Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension() == Some(OsStr::new("damaged")))))
}

fn has_log(data: &Path) -> Result<bool, LogError> {
    let directory = log_directory_in(data);
    Ok(directory.exists() && !numbered_files(&directory)?.is_empty())
}

fn header(sequence: u64, at: Timestamp, body: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let fields = MAGIC
        .into_iter()
        .chain(VERSION.to_le_bytes())
        .chain(sequence.to_le_bytes())
        .chain(at.millis().to_le_bytes())
        .chain((body.len() as u64).to_le_bytes());
    header.iter_mut().zip(fields).for_each(|(octet, value)| *octet = value);
    if let Some((covered, checksum)) = header.split_last_chunk_mut::<4>() {
        *checksum = checksum_of(covered, body).to_le_bytes();
    }
    header
}

/// CRC-32 over the header but for itself, and the body.
fn checksum_of(covered: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(body);
    hasher.finalize()
}

fn write(path: &Path, header: &[u8], body: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    file.write_all(header)?;
    file.write_all(body)?;
    file.sync_all()
}

fn read(path: &Path, sequence: u64) -> Result<Snapshot, LogError> {
    let damaged = |what| LogError::Damaged { file: path.to_path_buf(), row: None, what };
    let mut octets = fs::read(path).map_err(|error| refused(path, &error))?;
    let (header, body) =
        octets.split_first_chunk::<HEADER>().ok_or_else(|| damaged("it is shorter than a header"))?;
    let fields = Fields::of(header).filter(|fields| fields.magic == MAGIC);
    let fields = fields.ok_or_else(|| damaged("not a snapshot of relaywarden"))?;
    if fields.version > VERSION {
        return Err(LogError::TooNew { file: path.to_path_buf(), version: fields.version });
    }
    if fields.length != body.len() as u64 {
        return Err(damaged("its length does not fit"));
    }
    if fields.checksum != checksum_of(fields.covered, body) {
        return Err(damaged("the checksum does not fit"));
    }
    if fields.sequence != sequence || fields.version != VERSION {
        return Err(damaged("it is another one than its name says"));
    }
    let at = fields.at;
    octets.drain(..HEADER);
    Ok(Snapshot { sequence, at, body: octets })
}

/// The header taken apart.
struct Fields<'a> {
    magic: [u8; 8],
    version: u32,
    sequence: u64,
    at: Timestamp,
    length: u64,
    checksum: u32,
    covered: &'a [u8],
}

impl Fields<'_> {
    fn of(header: &[u8; HEADER]) -> Option<Fields<'_>> {
        let (covered, checksum) = header.split_last_chunk()?;
        let (&magic, rest) = covered.split_first_chunk()?;
        let (&version, rest) = rest.split_first_chunk()?;
        let (&sequence, rest) = rest.split_first_chunk()?;
        let (&at, rest) = rest.split_first_chunk()?;
        let (&length, _) = rest.split_first_chunk()?;
        Some(Fields {
            magic,
            version: u32::from_le_bytes(version),
            sequence: u64::from_le_bytes(sequence),
            at: Timestamp::from_millis(i64::from_le_bytes(at)),
            length: u64::from_le_bytes(length),
            checksum: u32::from_le_bytes(*checksum),
            covered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_123);

    fn data() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn file_of(data: &Path, sequence: u64) -> PathBuf {
        directory_in(data).join(format!("{sequence:020}.snapshot"))
    }

    fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut octets = fs::read(path).unwrap();
        change(&mut octets);
        fs::write(path, octets).unwrap();
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let data = data();
        assert_eq!(load(data.path()).unwrap(), None);
        store(data.path(), 7, AT, b"everything").unwrap();
        let expected = Snapshot { sequence: 7, at: AT, body: b"everything".to_vec() };
        assert_eq!(load(data.path()).unwrap(), Some(expected));
    }

    #[test]
    fn two_generations_are_kept_and_the_older_one_bounds_the_log() {
        let data = data();
        store(data.path(), 9, AT, b"a").unwrap();
        assert_eq!(oldest_sequence(data.path()).unwrap(), None, "one alone has nothing to fall back to");
        store(data.path(), 10, AT, b"b").unwrap();
        assert_eq!(oldest_sequence(data.path()).unwrap(), Some(9));
        store(data.path(), 11, AT, b"c").unwrap();
        assert_eq!(oldest_sequence(data.path()).unwrap(), Some(10));
        assert!(!file_of(data.path(), 9).exists());
        assert_eq!(fs::read_dir(directory_in(data.path())).unwrap().count(), 2);
    }

    #[test]
    fn the_newest_good_one_before_an_entry_is_found_and_a_bad_one_stays_where_it_is() {
        let data = data();
        assert_eq!(load_before(data.path(), 9).unwrap(), None);
        store(data.path(), 9, AT, b"a").unwrap();
        store(data.path(), 11, AT, b"b").unwrap();
        let found = |before| load_before(data.path(), before).unwrap().map(|snapshot| snapshot.sequence);
        assert_eq!(
            [found(8), found(9), found(10), found(11), found(99)],
            [None, Some(9), Some(9), Some(11), Some(11)]
        );
        change(&file_of(data.path(), 11), |octets| octets.truncate(3));
        assert_eq!(found(99), Some(9));
        assert!(file_of(data.path(), 11).exists());
    }

    #[test]
    fn any_changed_octet_and_any_cut_is_noticed() {
        let data = data();
        store(data.path(), 5, AT, b"body").unwrap();
        let path = file_of(data.path(), 5);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut octets = whole.clone();
            octets[place] ^= 0x10;
            fs::write(&path, &octets).unwrap();
            // A changed version may look like a later one; it is refused all the same.
            assert!(read(&path, 5).is_err(), "octet {place}");
            fs::write(&path, &whole[..place]).unwrap();
            assert!(matches!(read(&path, 5), Err(LogError::Damaged { .. })), "cut at {place}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(read(&path, 5).is_ok());
    }

    #[test]
    fn a_damaged_newest_falls_back_and_is_no_generation_any_more() {
        let data = data();
        store(data.path(), 1, AT, b"old").unwrap();
        store(data.path(), 2, AT, b"new").unwrap();
        change(&file_of(data.path(), 2), |octets| *octets.last_mut().unwrap() ^= 1);
        assert_eq!(load(data.path()).unwrap().unwrap().sequence, 1);
        store(data.path(), 3, AT, b"newer").unwrap();
        assert_eq!(oldest_sequence(data.path()).unwrap(), Some(1), "the good one stays");
    }

    #[test]
    fn what_was_set_aside_or_never_finished_goes_with_those_of_its_time() {
        let data = data();
        let directory = directory_in(data.path());
        store(data.path(), 1, AT, b"old").unwrap();
        store(data.path(), 2, AT, b"new").unwrap();
        let damaged = directory.join("00000000000000000002.snapshot");
        fs::write(&damaged, b"not what was stored").unwrap();
        load(data.path()).unwrap();
        fs::write(directory.join("00000000000000000001.snapshot.new"), b"half of").unwrap();
        let aside = |name: &str| directory.join(name).exists();
        let there =
            || ["00000000000000000002.snapshot.damaged", "00000000000000000001.snapshot.new"].map(aside);
        for sequence in [3, 4] {
            assert_eq!(there(), [true; 2], "what may be wanted to look at is there before {sequence}");
            store(data.path(), sequence, AT, b"newer").unwrap();
        }
        assert_eq!(there(), [false; 2]);
    }

    #[test]
    fn none_good_and_no_log_is_damage_also_the_second_time() {
        let data = data();
        store(data.path(), 1, AT, b"old").unwrap();
        change(&file_of(data.path(), 1), |octets| octets.truncate(3));
        for _ in 0..2 {
            assert!(matches!(load(data.path()), Err(LogError::Damaged { .. })));
        }
        fs::create_dir(log_directory_in(data.path())).unwrap();
        fs::write(log_directory_in(data.path()).join("000001.sqlite3"), b"").unwrap();
        assert_eq!(load(data.path()).unwrap(), None);
    }

    #[test]
    fn a_later_version_is_not_mistaken_for_damage() {
        let data = data();
        store(data.path(), 1, AT, b"old").unwrap();
        store(data.path(), 2, AT, b"new").unwrap();
        change(&file_of(data.path(), 2), |octets| octets[8] = 2);
        assert!(matches!(load(data.path()), Err(LogError::TooNew { version: 2, .. })));
    }

    #[test]
    fn an_unfinished_one_is_not_looked_at() {
        let data = data();
        store(data.path(), 1, AT, b"old").unwrap();
        fs::write(directory_in(data.path()).join(format!("{:020}.snapshot.new", 2)), b"half").unwrap();
        assert_eq!(load(data.path()).unwrap().unwrap().sequence, 1);
    }
}
