//! A directory of real files, and an engine that is played by the test: it takes from the queue and says what is durable.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;

use arc_swap::ArcSwap;
use tempfile::TempDir;

use super::*;
use crate::config::file::{Contents, Files};
use crate::radius::dictionary::Dictionary;
use crate::radius::nas_clock::NasClocks;
use crate::server::health::Health;
use crate::server::inbox::{self, Inbox, Input};
use crate::server::radius;
use crate::session::Name;

const RETENTION: &str = "[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n";

const CONFIG: &str = "[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n\
    [[radius.client]]\nname = 'freeradius'\naddress = '127.0.0.1'\nsecret = 'sixteen octets!!'\n\
    role = 'proxy'\nmay-assign = ['192.0.2.0/24']\n[[radius.detail]]\ndirectory = '/nowhere'\nclient = 'freeradius'\n";

struct OneFile(&'static str);

impl Files for OneFile {
    fn read(&self, _: &Path) -> io::Result<Contents> {
        Ok(Contents { octets: self.0.into(), mode: 0o600 })
    }
}

fn config(text: &'static str) -> Config {
    let mut dictionary = Dictionary::beside_builtin();
    crate::config::file::read(Path::new("/c"), &OneFile(text), &mut dictionary).unwrap().config
}

struct World {
    home: TempDir,
    settings: Detail,
    shared: Shared,
    follower: Follower,
    taken: Vec<u64>,
}

impl World {
    fn new() -> World {
        World::with(1000, |_| {})
    }

    fn with(capacity: usize, change: impl FnOnce(&mut Detail)) -> World {
        let home = tempfile::tempdir().unwrap();
        let config = config(CONFIG);
        let mut settings = config.radius.details[0].clone();
        settings.directory = home.path().join("files");
        change(&mut settings);
        fs::create_dir(&settings.directory).unwrap();
        let shared = Shared {
            config: Arc::new(ArcSwap::from_pointee(config)),
            dictionary: Arc::new(ArcSwap::from_pointee(Dictionary::beside_builtin())),
            inbox: Arc::new(Inbox::new(capacity)),
            health: Arc::new(Health::default()),
            clocks: Arc::new(Mutex::new(NasClocks::default())),
            radius: Arc::new(radius::Counters::default()),
            feeds: Arc::default(),
        };
        let follower = begin(&home, &settings, &shared);
        World { home, settings, shared, follower, taken: Vec::new() }
    }

    /// Begins again from what was stored; what was not is as after a crash.
    fn crash(&mut self) {
        let _ = self.sessions();
        self.follower = begin(&self.home, &self.settings, &self.shared);
        self.taken.clear();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.settings.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Says when a file was last written to.
    fn age(&self, name: &str, seconds: u64) {
        let now = Duration::from_millis(u64::try_from(clock::now().millis()).unwrap());
        let then = std::time::UNIX_EPOCH + now - Duration::from_secs(seconds);
        fs::File::options().append(true).open(self.path(name)).unwrap().set_modified(then).unwrap();
    }

    /// One turn that looks at the directory first.
    fn turn(&mut self) -> Turn {
        self.follower.look_at = Instant::now();
        self.turn_without_looking()
    }

    fn turn_without_looking(&mut self) -> Turn {
        let turn = self.follower.turn(clock::now());
        self.follower.tell(clock::now());
        turn
    }

    /// What the engine finds in its queue; their tickets are kept.
    fn records(&mut self) -> Vec<Record> {
        let inputs = self.shared.inbox.take(Duration::ZERO).inputs;
        let records = inputs.into_iter().map(|input| match input {
            Input::Record(record, inbox::Receipt::File(receipt)) => {
                self.taken.push(receipt.ticket);
                *record
            }
            _ => panic!("only records are offered"),
        });
        records.collect()
    }

    fn sessions(&mut self) -> Vec<String> {
        self.records().iter().map(|record| record.session_id.to_string()).collect()
    }

    /// A turn, and what it hands over.
    fn read(&mut self) -> Vec<String> {
        self.turn();
        self.sessions()
    }

    /// Everything that was taken becomes durable, and is remembered.
    fn settle(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.follower.land(&taken);
        self.follower.store(clock::now());
    }
}

fn begin(home: &TempDir, settings: &Detail, shared: &Shared) -> Follower {
    let counters = Arc::new(Counters::new("files".to_owned()));
    Follower::new(0, settings.clone(), home.path(), shared.clone(), counters).unwrap()
}

fn record(session: &str) -> String {
    record_at(session, clock::now().millis() / 1000)
}

fn record_at(session: &str, seconds: i64) -> String {
    format!(
        "Wed Nov 25 16:23:24 2026\n\tPacket-Src-IP-Address = 192.0.2.99\n\tUser-Name = \"alice\"\n\
         \tAcct-Status-Type = Start\n\tAcct-Session-Id = \"{session}\"\n\tTimestamp = {seconds}\n\n"
    )
}

fn count_of(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn what_is_written_is_handed_over_once_and_in_order() {
    let mut world = World::new();
    assert_eq!(world.turn(), Turn::Idle);
    world.write("detail", &(record("1") + &record("2")));
    assert_eq!(world.read(), ["1", "2"]);
    assert_eq!(world.read(), [""; 0]);
    world.write("detail", &record("3"));
    assert_eq!(world.read(), ["3"]);
}

#[test]
fn a_record_says_when_it_was_told_and_arrives_now() {
    let mut world = World::new();
    let minutes_ago = clock::now().millis() / 1000 - 300;
    world.write(
        "detail",
        &format!(
            "Wed Nov 25 16:23:24 2026\n\tAcct-Status-Type = Start\n\tAcct-Session-Id = \"1\"\n\tUser-Name = \"Alice\"\n\
             \tNAS-Identifier = \"bras7\"\n\tFramed-IP-Address = 192.0.2.7\n\tAcct-Delay-Time = 7\n\tTimestamp = {minutes_ago}\n\n"
        ),
    );
    let before = clock::now();
    world.turn();
    let record = &world.records()[0];
    assert!(record.arrival >= before && record.arrival <= clock::now());
    assert_eq!(record.event, Timestamp::from_seconds(minutes_ago - 7));
    assert_eq!((&record.nas, &record.client), (&Name::from("freeradius/bras7"), &Name::from("freeradius")));
    assert_eq!((record.claims.len(), record.subscriber.clone()), (1, Some(Name::from("alice"))));
}

#[test]
fn a_nas_without_a_name_is_named_by_the_source_of_its_packet() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    world.turn();
    assert_eq!(world.records()[0].nas, Name::from("freeradius/192.0.2.99"));
}

#[test]
fn half_a_record_is_waited_for() {
    let mut world = World::new();
    let text = record("1");
    let (first, second) = text.split_at(100);
    world.write("detail", first);
    assert_eq!(world.read(), [""; 0]);
    assert_eq!(count_of(&world.follower.counters.bytes_behind), 100);
    world.write("detail", second);
    assert_eq!(world.read(), ["1"]);
}

#[test]
fn a_crash_reads_again_what_was_not_durable_and_nothing_else() {
    let mut world = World::new();
    world.write("detail", &(record("1") + &record("2") + &record("3")));
    assert_eq!(world.read(), ["1", "2", "3"]);
    // The first is still on its way: what follows it can't be passed over.
    let tickets = world.taken.clone();
    world.follower.land(&tickets[1..]);
    world.follower.store(clock::now());
    world.crash();
    assert_eq!(world.read(), ["1", "2", "3"]);
    let tickets = world.taken.clone();
    world.follower.land(&tickets[..2]);
    world.follower.store(clock::now());
    world.crash();
    assert_eq!(world.read(), ["3"]);
    world.settle();
    world.crash();
    world.write("detail", &record("4"));
    assert_eq!(world.read(), ["4"]);
}

#[test]
fn a_record_is_of_the_same_moment_when_it_is_read_again() {
    let mut world = World::new();
    let second = clock::now().millis() / 1000 - 10;
    world.write("detail", &["1", "2", "3"].map(|session| record_at(session, second)).concat());
    world.turn();
    let first: Vec<_> = world.records().iter().map(|record| record.event).collect();
    assert_eq!(first[2].since(first[0]), Duration::from_millis(2));
    let tickets = world.taken.clone();
    world.follower.land(&tickets[..2]);
    world.follower.store(clock::now());
    world.crash();
    world.turn();
    assert_eq!(world.records()[0].event, first[2]);
}

#[test]
fn durable_but_not_remembered_is_read_again() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    assert_eq!(world.read(), ["1"]);
    let tickets = world.taken.clone();
    world.follower.land(&tickets);
    world.crash();
    assert_eq!(world.read(), ["1"]);
}

#[test]
fn what_is_no_record_is_counted_and_passed() {
    let mut world = World::new();
    let broken = "Wed Nov 25 16:23:24 2026\n\tUser-Name = \"al";
    let nobody = "Wed Nov 25 16:23:24 2026\n\tUser-Name = \"alice\"\n\tNobody-Knows = 1\n\tNAS-Port = \"\n\n";
    world.write("detail", &format!("{broken}{}{nobody}{}", record("1"), record("2")));
    assert_eq!(world.read(), ["1", "2"]);
    let outcomes: Vec<_> = world.follower.counters.outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(outcomes, [("accepted", 2), ("cut-short", 1), ("unreadable", 1)]);
    world.settle();
    world.crash();
    assert_eq!(world.read(), [""; 0]);
}

#[test]
fn lines_left_out_and_records_without_effect_are_counted() {
    let mut world = World::new();
    let tunnel = record("1").replace("= Start", "= Tunnel-Start");
    let unnamed = "Wed Nov 25 16:23:24 2026\n\tAcct-Status-Type = Accounting-On\n\n";
    let lines = record("2")
        .replace("\tUser", "\tNobody-Knows = 1\n\tNAS-Port = many\n\tFramed-IP-Address = x\n\tUser");
    world.write("detail", &format!("{tunnel}{unnamed}{lines}"));
    assert_eq!(world.read(), ["2"]);
    let counters = &world.follower.counters;
    let outcomes: Vec<_> = counters.outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(outcomes, [("accepted", 1), ("ignored-status", 1), ("ignored-unnamed-nas", 1)]);
    assert_eq!((count_of(&counters.unknown_attributes), count_of(&counters.unreadable_lines)), (2, 1));
}

#[test]
fn a_file_that_is_renamed_is_the_same_file() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    assert_eq!(world.read(), ["1"]);
    world.settle();
    fs::rename(world.path("detail"), world.path("detail-20261125")).unwrap();
    world.write("detail", &record("3"));
    world.write("detail-20261125", &record("2"));
    world.age("detail-20261125", 5);
    assert_eq!(world.read(), ["2", "3"]);
    world.settle();
    world.crash();
    assert_eq!(world.read(), [""; 0]);
}

#[test]
fn the_oldest_file_is_read_first_and_directories_one_level_below_count() {
    let mut world = World::new();
    for below in ["192.0.2.1", "192.0.2.1/deeper"] {
        fs::create_dir(world.path(below)).unwrap();
    }
    for (name, age) in [("192.0.2.1/detail-2", 20), ("detail-9", 10), ("detail-3", 30), ("other", 40)] {
        world.write(name, &record(name));
        world.age(name, age);
    }
    world.write("192.0.2.1/deeper/detail", &record("too deep"));
    assert_eq!(world.read(), ["detail-3", "192.0.2.1/detail-2", "detail-9"]);
}

#[test]
fn a_file_that_was_cut_is_read_from_its_beginning() {
    let mut world = World::new();
    world.write("detail", &(record("1") + &record("2")));
    assert_eq!(world.read(), ["1", "2"]);
    fs::write(world.path("detail"), record("3")).unwrap();
    assert_eq!(world.read(), ["3"]);
    assert_eq!(count_of(&world.follower.counters.begun_anew), 1);
    // What was on its way when it was cut says nothing about the file that it is now.
    world.settle();
    world.crash();
    assert_eq!(world.read(), [""; 0]);
}

#[test]
fn a_file_that_was_written_anew_is_known_by_its_beginning_though_it_is_longer() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    assert_eq!(world.read(), ["1"]);
    world.settle();
    let longer = record("another") + &record("2");
    fs::write(world.path("detail"), &longer).unwrap();
    assert_eq!(world.read(), [""; 0], "it is noticed first");
    assert_eq!(world.read(), ["another", "2"]);
    world.settle();
    // The same while we are away.
    fs::write(world.path("detail"), record("one more").repeat(3)).unwrap();
    world.crash();
    world.turn();
    assert_eq!(world.read(), ["one more"; 3]);
}

#[test]
fn a_file_that_is_deleted_or_compressed_is_read_to_its_end_first() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    assert_eq!(world.read(), ["1"]);
    // Between two looks more is written, and the file goes.
    world.write("detail", &record("2"));
    fs::remove_file(world.path("detail")).unwrap();
    fs::write(world.path("detail-1.gz"), "compressed").unwrap();
    assert_eq!(world.read(), ["2"]);
    assert_eq!(world.follower.files.len(), 1);
}

#[test]
fn compressed_files_links_and_pipes_are_left_alone() {
    let mut world = World::new();
    let elsewhere = world.home.path().join("elsewhere");
    fs::write(&elsewhere, record("linked")).unwrap();
    symlink(&elsewhere, world.path("detail-link")).unwrap();
    symlink(world.home.path(), world.path("below")).unwrap();
    nix::unistd::mkfifo(&world.path("detail-pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for ending in ["gz", "bz2", "xz", "zst"] {
        world.write(&format!("detail.{ending}"), &record("compressed"));
    }
    assert_eq!(world.read(), [""; 0]);
    assert!(world.follower.told_compressed);
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    world.follower.look(clock::now());
    let elsewhere = world.home.path().join("elsewhere");
    fs::write(&elsewhere, record("linked")).unwrap();
    fs::remove_file(world.path("detail")).unwrap();
    symlink(&elsewhere, world.path("detail")).unwrap();
    world.turn_without_looking();
    assert_eq!(world.sessions(), [""; 0]);
    let counters = &world.follower.counters;
    assert_eq!(count_of(&counters.unreadable_files), 1);
    assert_eq!(counters.complaints(clock::now()), ["feed-unreadable: 1 files in files cannot be read"]);
    // Once it is a file again, it is read.
    fs::remove_file(world.path("detail")).unwrap();
    world.write("detail", &record("2"));
    assert_eq!(world.read(), ["2"]);
    assert_eq!(count_of(&world.follower.counters.unreadable_files), 0);
}

#[test]
fn a_directory_that_is_not_there_yet_is_waited_for() {
    let mut world = World::new();
    fs::remove_dir(&world.settings.directory).unwrap();
    assert_eq!(world.turn(), Turn::Idle);
    let said = world.follower.counters.complaints(clock::now());
    assert_eq!(said, ["feed-unreadable: files cannot be listed; no record is taken from it"]);
    fs::create_dir(&world.settings.directory).unwrap();
    world.write("detail", &record("1"));
    assert_eq!(world.read(), ["1"]);
    assert_eq!(world.follower.counters.complaints(clock::now()), Vec::<String>::new());
}

#[test]
fn a_full_queue_only_slows_it_down() {
    let mut world = World::with(10, |_| {});
    let all: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    world.write("detail", &all.iter().map(|session| record(session)).collect::<String>());
    // Half of the room is kept for those who can't wait.
    assert_eq!(world.turn(), Turn::Blocked);
    assert_eq!(world.turn(), Turn::Blocked);
    let mut seen = world.sessions();
    assert_eq!(seen.len(), 5);
    while seen.len() < 30 {
        world.turn();
        let more = world.sessions();
        assert!(!more.is_empty());
        seen.extend(more);
    }
    assert_eq!(seen, all);
    world.settle();
    world.crash();
    assert_eq!(world.read(), [""; 0]);
}

#[test]
fn a_record_that_had_to_wait_arrives_when_it_is_taken() {
    let mut world = World::with(2, |_| {});
    world.write("detail", &(record("1") + &record("2")));
    assert_eq!(world.turn(), Turn::Blocked);
    let later = clock::now().plus(Duration::from_secs(3600));
    assert_eq!(world.sessions(), ["1"]);
    assert_eq!(world.follower.turn(later), Turn::Idle);
    assert_eq!(world.records()[0].arrival, later);
}

#[test]
fn no_more_is_in_flight_than_may_be() {
    let mut world = World::with(100_000, |_| {});
    world.write("detail", &record("1").repeat(IN_FLIGHT + 10));
    while world.turn() == Turn::More {}
    assert_eq!(world.turn(), Turn::Full);
    assert_eq!(world.sessions().len(), IN_FLIGHT);
    assert_eq!(world.turn(), Turn::Full);
    assert_eq!(world.sessions().len(), 0);
    world.settle();
    assert_eq!(world.turn(), Turn::Idle);
    assert_eq!(world.sessions().len(), 10);
}

#[test]
fn a_file_without_a_record_does_not_hold_a_turn_for_ever() {
    let mut world = World::new();
    let file = fs::File::create(world.path("detail")).unwrap();
    // Zeros that take no room on the disk.
    file.set_len((u64::from(STEPS) + 10) * 128 * 1024).unwrap();
    assert_eq!(world.turn(), Turn::More);
    assert_eq!(world.turn(), Turn::Idle);
}

#[test]
fn half_a_record_that_nobody_finishes_is_given_up_once_there_is_a_newer_file() {
    let mut world = World::new();
    let half = &record("1")[..100];
    world.write("detail-1", half);
    world.age("detail-1", 59);
    world.write("detail-2", &record("2"));
    assert_eq!(world.read(), ["2"]);
    assert_eq!(world.follower.counters.rejected.iter().map(count_of).sum::<u64>(), 0);
    world.age("detail-1", 61);
    world.turn();
    let outcomes: Vec<_> = world.follower.counters.outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(outcomes, [("accepted", 1), ("cut-short", 1)]);
    world.settle();
    world.turn();
    assert_eq!(count_of(&world.follower.counters.bytes_behind), 0);
}

#[test]
fn a_file_is_deleted_only_when_it_was_read_is_durable_and_remembered_rests_and_has_a_successor() {
    let mut world = World::with(1000, |detail| detail.remove = true);
    world.write("detail-1", &record("1"));
    world.age("detail-1", 100);
    world.write("detail-2", &record("2"));
    assert_eq!(world.read(), ["1", "2"]);
    world.turn();
    assert!(world.path("detail-1").exists(), "not durable");
    let taken = std::mem::take(&mut world.taken);
    world.follower.land(&taken);
    world.turn();
    assert!(world.path("detail-1").exists(), "not remembered");
    world.follower.store(clock::now());
    world.age("detail-1", 59);
    world.turn();
    assert!(world.path("detail-1").exists(), "does not rest");
    world.age("detail-1", 61);
    world.turn();
    assert!(!world.path("detail-1").exists());
    world.age("detail-2", 100);
    world.turn();
    assert!(world.path("detail-2").exists(), "has no successor");
    assert_eq!(count_of(&world.follower.counters.removed), 1);
}

#[test]
fn nothing_is_deleted_unless_that_is_wanted() {
    let mut world = World::new();
    world.write("detail-1", &record("1"));
    world.age("detail-1", 100);
    world.write("detail-2", &record("2"));
    world.turn();
    let _ = world.sessions();
    world.settle();
    world.turn();
    assert!(world.path("detail-1").exists());
}

#[test]
fn without_its_client_nothing_is_read_and_nothing_lost() {
    let mut world = World::new();
    world.shared.config.store(Arc::new(config(RETENTION)));
    world.write("detail", &record("1"));
    assert_eq!(world.read(), [""; 0]);
    world.shared.config.store(Arc::new(config(CONFIG)));
    assert_eq!(world.read(), ["1"]);
}

#[test]
fn how_far_it_is_behind_is_told() {
    let mut world = World::new();
    let old = record_at("1", clock::now().millis() / 1000 - 3600);
    world.write("detail", &old);
    world.turn();
    let counters = Arc::clone(&world.follower.counters);
    let behind = counters.behind(clock::now()).as_secs();
    assert!((3600..3660).contains(&behind), "{behind}");
    assert_eq!(count_of(&counters.bytes_behind), u64::try_from(old.len()).unwrap());
    assert_eq!(counters.complaints(clock::now()).len(), 1);
    let _ = world.sessions();
    world.settle();
    world.turn();
    assert_eq!((counters.behind(clock::now()), count_of(&counters.bytes_behind)), (Duration::ZERO, 0));
}

#[test]
fn a_damaged_cursor_costs_only_a_second_reading() {
    let mut world = World::new();
    world.write("detail", &record("1"));
    assert_eq!(world.read(), ["1"]);
    world.settle();
    let cursor = fs::read_dir(world.home.path().join("detail")).unwrap().next().unwrap().unwrap().path();
    fs::write(&cursor, "{}").unwrap();
    world.crash();
    assert_eq!(world.read(), ["1"]);
}
