//! Which foreign programs a test needs, and what happens where they can't be had.
//!
//! Knows: names of programs and packages. Must not know: what a test does with them.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether a test that needs these programs may go on. `false`: the run was told to do without peers.
///
/// # Panics
/// When one is missing and nobody said that this is all right: a test that silently skips itself proves nothing.
pub(crate) fn present(programs: &[(&str, &str)]) -> bool {
    if std::env::var_os("RELAYWARDEN_WITHOUT_PEERS").is_some() {
        eprintln!("skipped: RELAYWARDEN_WITHOUT_PEERS is set");
        return false;
    }
    for (program, package) in programs {
        assert!(
            find(program).is_some(),
            "{program} is missing (Debian package {package}); tests/run installs it, \
             RELAYWARDEN_WITHOUT_PEERS=1 goes on without it"
        );
    }
    true
}

/// The same for a file that a package brings.
///
/// # Panics
/// As [`present`].
pub(crate) fn present_file(file: &Path, package: &str) -> bool {
    if !present(&[]) {
        return false;
    }
    assert!(
        file.is_file(),
        "{} is missing (Debian package {package}); tests/run installs it, RELAYWARDEN_WITHOUT_PEERS=1 goes on without it",
        file.display()
    );
    true
}

/// The program's path, also from the places that an ordinary user's PATH leaves out.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|directory| Path::new(directory).join(program))
        .find(|candidate| candidate.is_file())
}

/// A command for a program that `present` has found.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    command.stdin(Stdio::null());
    command
}

/// Whether we are root (possibly only in a user namespace of our own).
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Runs the calling test again in a mount namespace of its own, where it may mount what it likes and where
/// everything is gone when it ends, however it ends. `true`: we are inside already, and the test goes on.
///
/// An ordinary user becomes root of a user namespace for it.
pub(crate) fn inside_namespace(test: &str) -> bool {
    inside(test, &["--mount", "--propagation", "private"])
}

/// The same in a network and with a host's name of its own: nothing is in that network until the test puts it there.
pub(crate) fn inside_network(test: &str) -> bool {
    inside(test, &["--net", "--uts"])
}

fn inside(test: &str, spaces: &[&str]) -> bool {
    const INSIDE: &str = "RELAYWARDEN_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut unshare = command("unshare");
    if !is_root() {
        unshare.arg("--map-root-user");
    }
    let status = unshare
        .args(spaces)
        .arg(std::env::current_exe().expect("the path of this test program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare starts");
    assert!(status.success(), "{test} failed in its namespace ({status})");
    false
}
