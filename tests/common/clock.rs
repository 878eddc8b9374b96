//! A daemon whose clock is ahead, and that is killed at a certain system call.
//!
//! Knows: libfaketime and strace. Must not know: what a test does with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peer;

/// Where to kill it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    /// At one of these system calls,
    pub(crate) calls: &'static str,
    /// when a thread makes it so many times.
    pub(crate) time: u32,
}

/// Whether there is another clock to be had; see [`peer::present`].
pub(crate) fn present() -> bool {
    let library = library().unwrap_or_else(|| PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1"));
    peer::present_file(&library, "faketime")
}

fn library() -> Option<PathBuf> {
    let below = |directory: PathBuf| {
        Some(directory.join("faketime/libfaketimeMT.so.1")).filter(|file| file.is_file())
    };
    fs::read_dir("/usr/lib").ok()?.flatten().find_map(|entry| below(entry.path()))
}

/// The program, with its clock so many days ahead, and not what it measures waiting by: the kernel, which ends a wait, has none that is ahead,
/// so that ten milliseconds would last for days. What it is called by stays its own process number, also where strace kills it: the
/// tracer is a process beside it.
pub(crate) fn ahead(program: &Path, days: u32, kill: Option<Kill>) -> Command {
    let library = library().expect("`present` has found it");
    let environment = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("+{days}d")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let Some(Kill { calls, time }) = kill else {
        let mut command = Command::new(program);
        command.envs(environment);
        return command;
    };
    let mut command = peer::command("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
    for (name, value) in environment {
        command.arg("-E").arg(format!("{name}={value}"));
    }
    command.arg("-e").arg(format!("trace={calls}"));
    command.arg("-e").arg(format!("inject={calls}:signal=KILL:when={time}"));
    command.arg(program);
    command
}
