//! A log file that is not what was written stops the start, and the error names file and row.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by failing")]

use std::fs;
use std::path::{Path, PathBuf};

use relaywarden::log::entry::{Entry, FORMAT, OLDEST, Question};
use relaywarden::log::sqlite::SqliteLog;
use relaywarden::log::{Batch, Log, LogError};
use relaywarden::session::{Name, Timestamp};
use rusqlite::Connection;

/// Two files: rows 1, 3 and 5 in the first, 7, 9 and 11 in the second, two entries in each row.
const ROWS: [[u32; 3]; 2] = [[1, 3, 5], [7, 9, 11]];

fn batch(sequence: u64, size: usize) -> Batch {
    let at = Timestamp::from_millis(1000);
    let entry = |octet: u8| {
        Entry::Question(Question { at, by: Name::from("root"), what: Name::new(&vec![octet; size]) })
    };
    Batch { sequence, at, entries: vec![entry(1), entry(2)] }
}

fn written(size: usize) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let mut log = open(data.path(), 0).unwrap();
    for file in ROWS {
        for sequence in file {
            log.append(&batch(sequence.into(), size)).unwrap();
        }
        log.seal().unwrap();
    }
    data
}

fn open(data: &Path, after: u64) -> Result<SqliteLog, LogError> {
    SqliteLog::open(data, after, &mut |_| {})
}

fn file(data: &Path, number: u32) -> PathBuf {
    data.join("log").join(format!("{number:06}.sqlite3"))
}

fn edit(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = fs::read(path).unwrap();
    change(&mut octets);
    fs::write(path, octets).unwrap();
}

/// The log can't be opened, whether the damage is needed for this start or only for one from an older snapshot.
fn expect_damage(data: &Path, number: u32, row: Option<u64>) -> &'static str {
    let mut said = "";
    for after in [0, 11] {
        match open(data, after).err() {
            Some(LogError::Damaged { file: found, row: found_row, what }) => {
                assert_eq!((found, found_row), (file(data, number), row), "after {after}: {what}");
                said = what;
            }
            other => panic!("after {after}: {other:?}"),
        }
    }
    said
}

#[test]
fn what_was_written_can_be_opened() {
    let data = written(10);
    assert_eq!(open(data.path(), 0).unwrap().next_sequence(), 13);
    assert_eq!(open(data.path(), 12).unwrap().next_sequence(), 13);
}

#[test]
fn a_changed_octet_in_any_row_is_found_in_that_row() {
    let data = written(100);
    for (number, rows) in (1..).zip(ROWS) {
        for sequence in rows {
            let path = file(data.path(), number);
            let before = fs::read(&path).unwrap();
            let packed: Vec<u8> = Connection::open(&path)
                .unwrap()
                .query_row("SELECT packed FROM batch WHERE sequence = ?1", (sequence,), |row| row.get(0))
                .unwrap();
            for place in [0, 1, packed.len() / 2, packed.len() - 1] {
                let mut packed = packed.clone();
                packed[place] ^= 1;
                Connection::open(&path)
                    .unwrap()
                    .execute("UPDATE batch SET packed = ?2 WHERE sequence = ?1", (sequence, packed))
                    .unwrap();
                let what = expect_damage(data.path(), number, Some(sequence.into()));
                assert_eq!(what, "the checksum does not fit");
            }
            fs::write(&path, before).unwrap();
        }
    }
}

#[test]
fn a_changed_moment_count_checksum_or_number_is_found_in_that_row() {
    for change in ["at = at + 1", "count = count + 1", "count = 0", "checksum = checksum + 1", "sequence = 4"]
    {
        let data = written(10);
        edit(&file(data.path(), 1), &format!("UPDATE batch SET {change} WHERE sequence = 3"));
        let row = if change == "sequence = 4" { 4 } else { 3 };
        assert_eq!(expect_damage(data.path(), 1, Some(row)), "the checksum does not fit", "{change}");
    }
}

#[test]
fn a_missing_row_is_found_whether_in_the_middle_at_an_end_or_with_its_file() {
    let data = written(10);
    edit(&file(data.path(), 1), "DELETE FROM batch WHERE sequence = 3");
    assert_eq!(expect_damage(data.path(), 1, Some(3)), "it is missing");

    let data = written(10);
    edit(&file(data.path(), 1), "DELETE FROM batch WHERE sequence = 5");
    expect_damage(data.path(), 2, Some(5));

    let data = written(10);
    edit(&file(data.path(), 2), "DELETE FROM batch WHERE sequence = 7");
    expect_damage(data.path(), 2, Some(7));

    let data = written(10);
    fs::remove_file(file(data.path(), 1)).unwrap();
    assert!(matches!(open(data.path(), 0), Err(LogError::Damaged { row: Some(1), .. })));
    assert!(open(data.path(), 6).is_ok(), "a snapshot stands for it");
}

#[test]
fn a_row_that_overlaps_the_one_before_is_damage() {
    let data = written(10);
    let other = tempfile::tempdir().unwrap();
    let mut log = open(other.path(), 0).unwrap();
    let mut wide = batch(1, 10);
    wide.entries.extend(batch(1, 10).entries);
    wide.entries.extend(batch(1, 10).entries);
    log.append(&wide).unwrap();
    log.seal().unwrap();
    fs::copy(file(other.path(), 1), file(data.path(), 1)).unwrap();
    assert!(open(data.path(), 0).is_ok(), "six entries from 1 on are followed by 7");
    wide.sequence = 7;
    log.append(&wide).unwrap();
    log.seal().unwrap();
    // Rows 7 to 12, then the file that holds 7 to 12 as three rows: only the first has the same number.
    fs::rename(file(data.path(), 2), file(data.path(), 3)).unwrap();
    fs::copy(file(other.path(), 2), file(data.path(), 2)).unwrap();
    assert!(open(data.path(), 0).is_ok(), "a row that was given up is followed by others that replace it");
    edit(&file(data.path(), 3), "DELETE FROM batch WHERE sequence = 7");
    assert_eq!(expect_damage(data.path(), 3, Some(9)), "it overlaps the row before");
}

#[test]
fn a_file_cut_short_is_damage() {
    // Several pages a row, so that every cut takes something that was written.
    let data = written(5000);
    let path = file(data.path(), 1);
    let whole = fs::read(&path).unwrap();
    let step = 4096;
    for length in (0..whole.len()).step_by(step) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = open(data.path(), 0).err();
        let named = matches!(&error, Some(LogError::Damaged { file, .. }) if *file == path);
        assert!(named, "cut to {length} of {}: {error:?}", whole.len());
        for companion in ["-wal", "-shm", "-journal"] {
            drop(fs::remove_file(format!("{}{companion}", path.display())));
        }
    }
}

#[test]
fn any_changed_octet_in_a_page_never_passes_for_other_entries() {
    let data = written(600);
    let path = file(data.path(), 1);
    let whole = fs::read(&path).unwrap();
    let mut expected = Vec::new();
    drop(SqliteLog::open(data.path(), 0, &mut |batch| expected.push(batch)).unwrap());
    let mut found = 0;
    for place in (0..whole.len()).step_by(37) {
        change(&path, |octets| octets[place] ^= 0x21);
        let mut seen = Vec::new();
        match SqliteLog::open(data.path(), 0, &mut |batch| seen.push(batch)) {
            // Unused room, or a header field that decides nothing.
            Ok(_) => assert_eq!(seen, expected, "octet {place}"),
            Err(_) => found += 1,
        }
        fs::write(&path, &whole).unwrap();
        for companion in ["-wal", "-shm", "-journal"] {
            drop(fs::remove_file(format!("{}{companion}", path.display())));
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn a_file_that_is_no_log_file_is_named() {
    for octets in [b"".as_slice(), b"hello", &[0; 8192]] {
        let data = written(10);
        fs::write(file(data.path(), 2), octets).unwrap();
        expect_damage(data.path(), 2, None);
    }
    let data = written(10);
    edit(&file(data.path(), 2), "PRAGMA application_id = 7");
    expect_damage(data.path(), 2, None);
    let data = written(10);
    edit(&file(data.path(), 2), "DROP TABLE batch");
    expect_damage(data.path(), 2, None);
}

#[test]
fn a_later_version_of_file_or_entries_is_not_called_damage() {
    let data = written(10);
    edit(&file(data.path(), 2), "PRAGMA user_version = 2");
    assert!(matches!(open(data.path(), 0), Err(LogError::TooNew { version: 2, .. })));

    let data = written(10);
    respell(data.path(), FORMAT + 1);
    let expected = u32::from(FORMAT) + 1;
    assert!(matches!(open(data.path(), 0), Err(LogError::TooNew { version, .. }) if version == expected));
}

#[test]
fn entries_of_the_form_before_are_read_and_older_ones_are_not() {
    let data = written(10);
    respell(data.path(), OLDEST);
    assert!(open(data.path(), 0).is_ok());
    respell(data.path(), OLDEST - 1);
    assert!(matches!(open(data.path(), 0), Err(LogError::Damaged { row: Some(3), .. })));
}

/// Says of the entries from the third on that they are of this form.
fn respell(data: &Path, format: u8) {
    let connection = Connection::open(file(data, 1)).unwrap();
    let (at, mut packed): (i64, Vec<u8>) = connection
        .query_row("SELECT at, packed FROM batch WHERE sequence = 3", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    *packed.first_mut().unwrap() = format;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&3_u64.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(&2_u64.to_le_bytes());
    hasher.update(&packed);
    connection
        .execute(
            "UPDATE batch SET packed = ?1, checksum = ?2 WHERE sequence = 3",
            (packed, hasher.finalize()),
        )
        .unwrap();
}

#[test]
fn the_text_names_file_and_row() {
    let data = written(10);
    edit(&file(data.path(), 1), "UPDATE batch SET at = 7 WHERE sequence = 3");
    let text = open(data.path(), 0).err().unwrap().to_string();
    assert!(text.ends_with("log/000001.sqlite3: row 3: the checksum does not fit"), "{text}");
}

/// A real full disk: 2 MiB of memory, mounted where that is allowed.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mounted() -> Option<Disk> {
        let directory = tempfile::tempdir().unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(directory.path())
            .output();
        mount.is_ok_and(|output| output.status.success()).then_some(Disk(directory))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_and_with_room_it_goes_on() {
    let Some(disk) = Disk::mounted() else {
        eprintln!(
            "not allowed to mount a small disk: SQLite's own page limit stands for it in the unit tests"
        );
        return;
    };
    let data = disk.0.path();
    let mut log = open(data, 0).unwrap();
    log.append(&batch(1, 10)).unwrap();
    let ballast = data.join("ballast");
    let mut size = 2 * 1024 * 1024;
    while fs::write(&ballast, vec![7_u8; size]).is_err() {
        size -= 4096;
    }
    let mut acknowledged = 2;
    while log.append(&batch(acknowledged + 1, 3000)).is_ok() {
        acknowledged += 2;
    }
    for _ in 0..50 {
        assert!(matches!(log.append(&batch(acknowledged + 1, 3000)), Err(LogError::Storage { .. })));
    }
    let files = fs::read_dir(data.join("log")).unwrap().count();
    assert!(files <= 4, "{files} files while nothing could be written");

    // A start must be possible on a full disk: what is known is served from memory.
    drop(log);
    let mut log = open(data, 0).unwrap();
    assert_eq!(log.next_sequence(), acknowledged + 1);
    assert!(log.append(&batch(acknowledged + 1, 3000)).is_err());

    fs::remove_file(&ballast).unwrap();
    log.append(&batch(acknowledged + 1, 3000)).unwrap();
    drop(log);
    let mut entries = 0;
    drop(SqliteLog::open(data, 0, &mut |batch| entries += batch.entries.len()).unwrap());
    assert_eq!(entries as u64, acknowledged + 2);
}
