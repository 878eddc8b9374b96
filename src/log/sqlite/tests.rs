//! The log written, cut, damaged and refused.

use proptest::prelude::*;

use super::*;
use crate::log::entry::{OLDEST, Question};
use crate::session::Name;

fn batch(sequence: u64, count: u64) -> Batch {
    let at = Timestamp::from_millis(i64::try_from(sequence).unwrap() * 1000);
    let entry = |number: u64| {
        let what = Name::from(format!("/v1/lookup?address=192.0.2.{number}").as_str());
        Entry::Question(Question { at, by: Name::from("root"), what })
    };
    Batch { sequence, at, entries: (sequence..sequence + count).map(entry).collect() }
}

/// Everything from `after` on, as single entries with their sequences.
fn replay(data: &Path, after: u64) -> Result<(SqliteLog, Vec<(u64, Entry)>), LogError> {
    let mut seen = Vec::new();
    let log = SqliteLog::open(data, after, &mut |batch| {
        seen.extend((batch.sequence..).zip(batch.entries));
    })?;
    Ok((log, seen))
}

fn numbers(seen: &[(u64, Entry)]) -> Vec<u64> {
    seen.iter().map(|(sequence, _)| *sequence).collect()
}

fn files(data: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory_in(data))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The file system as it is after `kill -9`: nothing is closed, everything written is there.
fn killed(log: SqliteLog, data: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(directory_in(copy.path())).unwrap();
    for name in files(data) {
        fs::copy(directory_in(data).join(&name), directory_in(copy.path()).join(&name)).unwrap();
    }
    drop(log);
    copy
}

/// What a sync looks like that fails although the commit reached the disk.
fn pretend_failure(log: &mut SqliteLog, batch: &Batch) {
    log.append(batch).unwrap();
    log.next_sequence = batch.sequence;
    let mut file = log.current.take().unwrap();
    file.last = batch.sequence.checked_sub(1).filter(|last| *last > 0);
    log.abandon(file);
}

/// The next append finds no room: SQLite's own limit, with the error of a full disk.
fn fill(log: &LogFile) {
    log.connection.execute_batch("PRAGMA max_page_count=1").unwrap();
}

#[test]
fn what_was_appended_is_replayed() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, seen) = replay(data.path(), 0).unwrap();
    assert!(seen.is_empty());
    assert_eq!(log.next_sequence(), 1);
    log.append(&batch(1, 3)).unwrap();
    log.append(&batch(4, 1)).unwrap();
    drop(log);
    let (log, seen) = replay(data.path(), 0).unwrap();
    let expected: Vec<_> = (1..).zip([batch(1, 3).entries, batch(4, 1).entries].concat()).collect();
    assert_eq!(seen, expected);
    assert_eq!(log.next_sequence(), 5);
}

#[test]
fn a_batch_across_the_snapshot_is_cut_at_it() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    log.append(&batch(1, 2)).unwrap();
    log.append(&batch(3, 4)).unwrap();
    drop(log);
    for (after, expected) in [(1, 2..7), (2, 3..7), (4, 5..7), (5, 6..7), (6, 7..7)] {
        let (log, seen) = replay(data.path(), after).unwrap();
        assert_eq!(numbers(&seen), expected.collect::<Vec<u64>>(), "after {after}");
        assert_eq!(log.next_sequence(), 7);
    }
    let error = replay(data.path(), 7).err().unwrap();
    assert!(matches!(error, LogError::Damaged { row: Some(7), .. }), "{error}");
}

#[test]
fn only_the_batch_that_is_due_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    for given in [0, 2] {
        let error = log.append(&batch(given, 1)).unwrap_err();
        assert!(matches!(error, LogError::OutOfOrder { expected: 1, given: g } if g == given));
    }
    log.append(&batch(1, 0)).unwrap();
    assert_eq!(log.next_sequence(), 1);
    assert!(files(data.path()).is_empty(), "nothing to write makes no file");
}

#[test]
fn a_second_daemon_is_refused_until_the_first_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let (log, _) = replay(data.path(), 0).unwrap();
    assert!(matches!(replay(data.path(), 0), Err(LogError::InUse { .. })));
    drop(log);
    assert!(replay(data.path(), 0).is_ok());
}

#[test]
fn after_kill_nine_everything_committed_is_there() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    log.append(&batch(1, 2)).unwrap();
    log.append(&batch(3, 2)).unwrap();
    let after = killed(log, data.path());
    assert!(files(after.path()).contains(&"000001.sqlite3-wal".to_owned()));
    let (log, seen) = replay(after.path(), 0).unwrap();
    assert_eq!(numbers(&seen), [1, 2, 3, 4]);
    assert_eq!(files(after.path()), ["000001.sqlite3"], "what was ahead is in the main file now");
    drop(log);
}

#[test]
fn killed_between_a_seal_and_the_next_commit() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    log.append(&batch(1, 2)).unwrap();
    log.seal().unwrap();
    assert_eq!(files(data.path()), ["000001.sqlite3"]);
    // As if killed with the file made and nothing in it, and while making one.
    drop(LogFile::create(&directory_in(data.path()), 2).unwrap());
    fs::write(directory_in(data.path()).join("000003.sqlite3.new"), b"half").unwrap();
    fs::write(directory_in(data.path()).join("000009.sqlite3-wal"), b"orphan").unwrap();
    drop(log);
    let (mut log, seen) = replay(data.path(), 0).unwrap();
    assert_eq!(numbers(&seen), [1, 2]);
    assert_eq!(files(data.path()), ["000001.sqlite3"]);
    log.append(&batch(3, 1)).unwrap();
    log.seal().unwrap();
    assert_eq!(log.size(), 0);
    drop(log);
    assert_eq!(numbers(&replay(data.path(), 0).unwrap().1), [1, 2, 3]);
}

#[test]
fn a_batch_that_stands_in_two_files_counts_once() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    log.append(&batch(1, 2)).unwrap();
    pretend_failure(&mut log, &batch(3, 2));
    log.append(&batch(3, 2)).unwrap();
    pretend_failure(&mut log, &batch(5, 1));
    drop(log);
    let (log, seen) = replay(data.path(), 0).unwrap();
    assert_eq!(numbers(&seen), [1, 2, 3, 4, 5]);
    assert_eq!(log.next_sequence(), 6);
}

#[test]
fn of_two_rows_with_one_sequence_the_acknowledged_one_counts() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    log.append(&batch(1, 1)).unwrap();
    pretend_failure(&mut log, &batch(2, 5));
    log.append(&batch(2, 1)).unwrap();
    log.append(&batch(3, 1)).unwrap();
    drop(log);
    let (_, seen) = replay(data.path(), 0).unwrap();
    assert_eq!(numbers(&seen), [1, 2, 3]);
}

#[test]
fn a_file_that_failed_is_not_written_again_and_a_full_disk_collects_no_files() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    log.append(&batch(1, 1)).unwrap();
    fill(log.current.as_ref().unwrap());
    assert!(matches!(log.append(&batch(2, 300)), Err(LogError::Storage { .. })));
    let away = data.path().join("away");
    fs::rename(directory_in(data.path()), &away).unwrap();
    for _ in 0..3 {
        assert!(matches!(log.append(&batch(2, 300)), Err(LogError::Storage { .. })));
    }
    fs::rename(&away, directory_in(data.path())).unwrap();
    log.append(&batch(2, 300)).unwrap();
    let mains: Vec<_> = files(data.path()).into_iter().filter(|name| name.ends_with("sqlite3")).collect();
    assert_eq!(mains, ["000001.sqlite3", "000002.sqlite3"]);
    drop(log);
    assert_eq!(replay(data.path(), 0).unwrap().1.len(), 301);
}

#[test]
fn a_first_row_that_fails_takes_its_file_with_it() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    let file = LogFile::create(&directory_in(data.path()), 1).unwrap();
    fill(&file);
    log.current = Some(file);
    assert!(log.append(&batch(1, 300)).is_err());
    assert!(files(data.path()).is_empty());
    log.append(&batch(1, 300)).unwrap();
    assert!(files(data.path()).contains(&"000001.sqlite3".to_owned()));
}

#[test]
fn only_sealed_files_wholly_below_are_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    for sequence in [1, 3, 5] {
        log.append(&batch(sequence, 2)).unwrap();
        log.seal().unwrap();
    }
    log.append(&batch(7, 2)).unwrap();
    log.forget_below(2).unwrap();
    assert_eq!(log.sealed.len(), 3);
    log.forget_below(3).unwrap();
    assert_eq!(log.sealed.len(), 2);
    log.forget_below(100).unwrap();
    drop(log);
    assert_eq!(numbers(&replay(data.path(), 6).unwrap().1), [7, 8]);
    let error = replay(data.path(), 5).err().unwrap();
    assert!(matches!(error, LogError::Damaged { row: Some(6), .. }), "{error}");
}

#[test]
fn the_write_ahead_file_stays_short() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = replay(data.path(), 0).unwrap();
    let mut large = batch(1, 1);
    for round in 0..20 {
        let what = Name::new(&vec![7; 1_000_000]);
        large.sequence = round + 1;
        large.entries = vec![Entry::Question(Question { at: large.at, by: Name::from("root"), what })];
        log.append(&large).unwrap();
    }
    let ahead = fs::metadata(directory_in(data.path()).join("000001.sqlite3-wal")).unwrap().len();
    assert!(ahead < 2 * CHECKPOINT_OCTETS, "{ahead}");
    assert!(log.size() > 20_000_000);
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    FailBefore(u64),
    FailAfter(u64),
    NoDirectory(u64),
    Seal,
    Restart,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_u64..40).prop_map(Step::Append),
        1 => (200_u64..300).prop_map(Step::FailBefore),
        1 => (1_u64..40).prop_map(Step::FailAfter),
        1 => (1_u64..40).prop_map(Step::NoDirectory),
        1 => Just(Step::Seal),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The caller's duty is kept: a batch that failed is offered again until it is taken.
    #[test]
    fn replay_equals_what_was_acknowledged(steps in steps()) {
        let mut data = tempfile::tempdir().unwrap();
        let mut log = replay(data.path(), 0).unwrap().0;
        let mut acknowledged = Vec::new();
        for step in steps {
            let next = log.next_sequence();
            let mut due = None;
            match step {
                Step::Append(count) => due = Some(batch(next, count)),
                Step::FailBefore(count) => {
                    let batch = batch(next, count);
                    if let Some(file) = &log.current {
                        fill(file);
                        prop_assert!(log.append(&batch).is_err());
                    }
                    due = Some(batch);
                }
                Step::FailAfter(count) => {
                    let batch = batch(next, count);
                    pretend_failure(&mut log, &batch);
                    due = Some(batch);
                }
                Step::NoDirectory(count) => {
                    let batch = batch(next, count);
                    log.seal().unwrap();
                    let away = data.path().join("away");
                    fs::rename(directory_in(data.path()), &away).unwrap();
                    prop_assert!(log.append(&batch).is_err());
                    fs::rename(&away, directory_in(data.path())).unwrap();
                    due = Some(batch);
                }
                Step::Seal => log.seal().unwrap(),
                Step::Restart => {
                    drop(log);
                    log = replay(data.path(), 0).unwrap().0;
                }
                Step::Kill => {
                    data = killed(log, data.path());
                    log = replay(data.path(), 0).unwrap().0;
                }
            }
            if let Some(batch) = due {
                log.append(&batch).unwrap();
                acknowledged.extend((batch.sequence..).zip(batch.entries));
            }
        }
        drop(log);
        prop_assert_eq!(replay(data.path(), 0).unwrap().1, acknowledged);
    }
}

#[test]
fn entries_of_the_versions_before_are_read_and_older_ones_are_not() {
    let entries = batch(7, 2).entries;
    let row = |format: u8| {
        let packed = postcard::to_extend(&entries, vec![format]).unwrap();
        let (sequence, at, count) = (7, Timestamp::from_millis(0), 2);
        replay::unpack(&Row { sequence, at, count, packed: &packed }, Path::new("log"))
    };
    assert_eq!(row(FORMAT).unwrap(), entries);
    for older in OLDEST..FORMAT {
        assert_eq!(row(older).unwrap(), entries, "{older}");
    }
    assert!(matches!(row(OLDEST - 1), Err(LogError::Damaged { .. })));
    assert!(matches!(row(FORMAT + 1), Err(LogError::TooNew { .. })));
}
