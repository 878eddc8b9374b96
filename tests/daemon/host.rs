//! The host around it: an unprivileged user, systemd's notifications, the journal, the monitoring.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::daemon::{Daemon, Wanted, program};
use crate::common::nas::{Attributes, Nas, Status};
use crate::common::{eventually, free_port, peer};
use crate::house::{Process, edit, get, metric, refused, serve};

/// `nobody`, as on every Debian.
const NOBODY: u32 = 65534;

fn idle() -> Daemon {
    let mut daemon = Daemon::start();
    daemon.terminate();
    daemon
}

/// `serve` by a user who may do nothing in particular; ourselves when we are that already.
fn serve_unprivileged(home: &Path, configuration: &Path) -> Command {
    if !peer::is_root() {
        return crate::house::serve_from(configuration);
    }
    // The directory of the build may be closed to others.
    let copy = home.join("relaywarden");
    fs::copy(program(), &copy).expect("room for a copy");
    let mut command = peer::command("setpriv");
    command.args([
        &format!("--reuid={NOBODY}"),
        &format!("--regid={NOBODY}"),
        "--clear-groups",
        "--no-new-privs",
    ]);
    command
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(copy)
        .arg("serve")
        .arg("--config")
        .arg(configuration);
    command.stdin(Stdio::null());
    command
}

#[test]
fn an_unprivileged_user_needs_nothing_but_a_place_of_its_own() {
    let daemon = idle();
    let home = daemon.configuration().parent().expect("a directory").to_owned();
    let log = home.join("unprivileged.log");
    if peer::is_root() {
        if !peer::present(&[("setpriv", "util-linux")]) {
            return;
        }
        for path in [home.clone(), daemon.configuration(), home.join("secret6")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("we are root");
        }
    }
    let own = home.join("own");
    edit(&daemon, &daemon.data_dir().display().to_string(), &own.display().to_string());
    let mut process = Process::start(&mut serve_unprivileged(&home, &daemon.configuration()), &log);
    process.says("ready");
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    assert_eq!(daemon.map("relay", "100.64.0.7"), "OK alice");
    assert_eq!(daemon.json(&["who", "100.64.0.7"]).expect("an owner")["subscriber"], "alice");
    let made = fs::metadata(&own).expect("the data directory");
    assert_eq!(made.permissions().mode() & 0o777, 0o750, "nobody else reads it");
    assert!(!peer::is_root() || made.uid() == NOBODY);
    assert!(process.terminate().success(), "{}", process.log_text());
}

#[test]
fn a_data_directory_that_may_not_be_made_ends_with_74_and_is_named() {
    let daemon = idle();
    let home = daemon.configuration().parent().expect("a directory").to_owned();
    if peer::is_root() {
        if !peer::present(&[("setpriv", "util-linux")]) {
            return;
        }
        for path in [home.clone(), daemon.configuration(), home.join("secret6")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("we are root");
        }
    }
    let closed = home.join("closed");
    fs::create_dir(&closed).expect("our own directory");
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).expect("our own directory");
    edit(&daemon, &daemon.data_dir().display().to_string(), &closed.join("data").display().to_string());
    let (code, said) = refused(&mut serve_unprivileged(&home, &daemon.configuration()));
    assert_eq!(code, 74, "{said}");
    assert!(said.contains("data-dir") && said.contains("closed/data"), "{said}");
}

#[test]
fn the_service_manager_is_told_of_readiness_reload_and_stop() {
    let daemon = idle();
    let path = daemon.socket().with_file_name("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("a free name");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let told = || {
        let mut state = [0; 512];
        let length = manager.recv(&mut state).expect("a notification in time");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    let log = daemon.socket().with_file_name("notify.log");
    let mut process = Process::start(serve(&daemon).env("NOTIFY_SOCKET", &path), &log);
    assert!(told().lines().any(|line| line == "READY=1"));
    let (status, _) = daemon.http("/readyz").expect("every listener is there");
    assert_eq!(status, 200, "ready means ready");
    process.signal(Signal::SIGHUP);
    assert!(told().lines().any(|line| line == "RELOADING=1"));
    assert!(told().lines().any(|line| line == "READY=1"));
    process.signal(Signal::SIGTERM);
    assert!(told().lines().any(|line| line == "STOPPING=1"));
    assert!(process.ended().success());
}

#[test]
fn every_line_of_the_json_log_is_an_object_with_its_moment_and_level() {
    let daemon = idle();
    let log = daemon.socket().with_file_name("json.log");
    let mut process = Process::start(serve(&daemon).args(["--log", "json"]), &log);
    process.says("ready");
    let record = Attributes::of_nas(Status::Interim);
    assert!(
        !Nas::new(daemon.radius, b"not the secret at all").tell_once(&record, Duration::from_millis(200))
    );
    process.signal(Signal::SIGHUP);
    process.says("read again");
    assert!(process.terminate().success());
    let log = process.log_text();
    assert!(log.lines().count() > 5, "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let text = |name: &str| line[name].as_str().map(str::to_owned).unwrap_or_default();
        assert!(text("timestamp").parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["INFO", "WARN", "ERROR"].contains(&text("level").as_str()), "{line}");
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
}

#[test]
fn the_environment_says_how_much_is_logged() {
    let daemon = idle();
    let log = daemon.socket().with_file_name("quiet.log");
    let mut process = Process::start(serve(&daemon).env("RELAYWARDEN_LOG", "error"), &log);
    eventually("it to be ready", || daemon.http("/readyz").filter(|(status, _)| *status == 200));
    assert!(process.terminate().success());
    assert_eq!(process.log_text(), "", "a good day is no error");

    let mut process = Process::start(serve(&daemon).env("RELAYWARDEN_LOG", "warn,relaywarden=debug"), &log);
    process.says("ready");
    assert!(process.terminate().success());

    let mut process = Process::start(serve(&daemon).env("RELAYWARDEN_LOG", "relaywarden=loud"), &log);
    process.says("ready");
    assert!(process.log_text().contains("RELAYWARDEN_LOG"), "a filter that is none is told about");
    assert!(process.terminate().success());
}

#[test]
fn without_a_token_tcp_serves_health_and_metrics_and_nothing_about_people() {
    let mut daemon = idle();
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    edit(&daemon, "listen = []", &format!("listen = [\"{http}\"]"));
    daemon.launch();
    daemon.wait_until_ready();
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    assert_eq!(get(http, "/healthz").0, 200);
    let (status, answer) = get(http, "/readyz");
    assert!(status == 200 && answer.contains("\"ready\":true"), "{answer}");
    let (status, answer) = get(http, "/metrics");
    assert_eq!(status, 200);
    assert!(answer.contains("relaywarden_radius_datagrams_total{outcome=\"accepted\"} 1\n"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "whole");
    assert!(!answer.contains("alice") && !answer.contains("100.64.0.7"), "no person is named: {answer}");
    for path in
        ["/v1/lookup?address=100.64.0.7", "/v1/owner?address=100.64.0.7", "/v1/sessions", "/v1/messages"]
    {
        let (status, answer) = get(http, path);
        assert_eq!(status, 401, "{path}: {answer}");
        assert!(answer.contains("urn:relaywarden:problem:no-token"), "{answer}");
        assert!(!answer.contains("alice"), "{answer}");
    }
}

#[test]
fn another_secret_is_counted_and_complained_about_once() {
    let daemon = Daemon::start();
    let mut stranger = Nas::new(daemon.radius, b"not the secret at all");
    for number in 0..5 {
        let address = "100.64.0.7".parse().expect("an address");
        let record = Attributes::record(Status::Start, "eve", &format!("s{number}"), address);
        assert!(!stranger.tell_once(&record, Duration::from_millis(50)));
    }
    eventually("five to be counted", || {
        (metric(&daemon, "relaywarden_radius_datagrams_total{outcome=\"bad_authenticator\"}") == 5)
            .then_some(())
    });
    let log = daemon.log_text();
    assert_eq!(log.matches("is the secret the same on both sides?").count(), 1, "{log}");
    assert_eq!(daemon.map("relay", "100.64.0.7"), "NOTFOUND ");
}

/// Fills its disk until a record is not acknowledged any more.
fn exhaust(daemon: &Daemon, disk: &Path) {
    let mut filler = File::create(disk.join("filler")).expect("room for a name");
    for size in [65_536, 4096, 1] {
        while filler.write(&vec![0x55; size]).is_ok_and(|written| written > 0) {}
    }
    let mut nas = daemon.nas();
    let silent = (0..20_000).any(|number: u32| {
        let address = format!("100.65.{}.{}", number / 200, number % 200 + 1).parse().expect("an address");
        let record =
            Attributes::record(Status::Start, "u", &format!("s{number}"), address).with(25, &[0x5a; 250]);
        !nas.tell_once(&record, Duration::from_secs(1))
    });
    assert!(silent, "the disk is full, yet all goes on");
}

#[test]
fn a_question_that_cant_be_written_down_is_answered_and_noted_in_the_journal() {
    let name = "host::a_question_that_cant_be_written_down_is_answered_and_noted_in_the_journal";
    if !peer::present(&[("unshare", "util-linux"), ("mount", "mount")]) || !peer::inside_namespace(name) {
        return;
    }
    let disk = tempfile::tempdir().expect("a directory");
    let mount = ["-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs"];
    let mounted = peer::command("mount").args(mount).arg(disk.path()).status().expect("mount starts");
    assert!(mounted.success());
    let data_dir = Some(disk.path().join("data"));
    let daemon = Daemon::start_with(&Wanted { data_dir, ..Wanted::default() });
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    exhaust(&daemon, disk.path());
    let who = daemon.json(&["who", "100.64.0.7", "--purpose", "ticket 4711"]).expect("an answer from memory");
    assert_eq!(who["subscriber"], "alice");
    let log = daemon.log_text();
    let note = log.lines().find(|line| line.contains("could not be written to the log")).expect("a note");
    assert!(note.contains("100.64.0.7") && note.contains("4711"), "who asked what: {note}");
    let order = daemon.cli(&["suspend", "alice", "--reason", "now"]);
    let said = String::from_utf8_lossy(&order.stderr);
    assert_eq!(order.status.code(), Some(75), "an order that can't be kept does not hold: {said}");
    assert_eq!(daemon.map("relay", "100.64.0.7"), "OK alice");
}
