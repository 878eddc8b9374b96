//! How many instructions and allocations each piece of the hot path takes, held against what it took before.
//!
//! Instructions are counted by `valgrind --tool=callgrind`, which runs this same program once more: seconds depend on the
//! machine and on who else uses it, instructions hardly do, so that a change which makes something slower is seen in the
//! change itself. What it took before is in `counts.toml` beside this file.
//!
//! Knows: how valgrind is started, and in which order things are told. Must not know: what a piece does.

mod callgrind;
mod counts;
#[path = "../hot_path/mod.rs"]
mod hot_path;
mod page;

use std::fmt::{self, Write as _};
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use callgrind::Spent;
use counts::{Count, Counts};
use hot_path::{HotPath, PIECES};

/// How often each piece is done while it is counted. Hashes are seeded anew in each process: over so many turns their
/// luck evens out.
const TURNS: usize = 1024;
/// Where counts are kept, below the root of the repository.
const KEPT: &str = "benches/instructions/counts.toml";
/// The page that shows them.
const PAGE: &str = "docs/performance.md";
/// The function between whose beginning and end valgrind counts.
const COUNTED: &str = "instructions::counted";

/// Counts instructions and allocations of each piece of the hot path, and compares them with those that are kept
#[derive(Parser)]
#[command(
    name = "instructions",
    after_help = "Exit 0: as before, or renewed. Exit 1: a piece takes more or less than before, or nothing could be counted."
)]
struct Arguments {
    /// Keep what is counted now, and show it in docs/performance.md
    #[arg(long)]
    renew: bool,
    /// Do the work that is to be counted
    #[arg(long, hide = true)]
    work: bool,
}

/// Why nothing could be counted.
#[derive(Debug)]
enum Failure {
    /// Files, or the start of valgrind.
    System(&'static str, io::Error),
    /// valgrind or the work under it failed, with what was said last.
    Valgrind(String),
    /// valgrind wrote something else than expected.
    Unexpected(String),
    /// `counts.toml` is not what it should be.
    Kept(String),
    /// The page's table has no row for this piece.
    NoRow(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::System(what, error) => write!(f, "{what}: {error}"),
            Failure::Valgrind(said) => write!(f, "valgrind failed:\n{said}"),
            Failure::Unexpected(what) => write!(f, "valgrind's file is not as expected: {what}"),
            Failure::NoRow(piece) => write!(f, "{PAGE}: its table has no row for \"{piece}\""),
            Failure::Kept(error) => write!(f, "{KEPT}: {error}"),
        }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that people read")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.work {
        work();
        return ExitCode::SUCCESS;
    }
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: what is kept was counted on x86_64");
        return ExitCode::SUCCESS;
    }
    match compare(arguments.renew) {
        Ok((text, true)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok((text, false)) => {
            println!("{text}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be said, and whether nothing takes more than it took.
fn compare(renew: bool) -> Result<(String, bool), Failure> {
    let now = Counts { compiler: compiler()?, pieces: count()? };
    let kept =
        read(KEPT).and_then(|text| Counts::read(&text).map_err(|error| Failure::Kept(error.to_string())));
    if renew {
        let page = page::renewed(&read(PAGE)?, &now).map_err(Failure::NoRow)?;
        write(PAGE, &page)?;
        write(KEPT, &now.text())?;
        // Whatever was kept before, also nothing or what can't be read, is kept no longer.
        return Ok((now.table(kept.as_ref().unwrap_or(&now)), true));
    }
    let kept = kept?;
    let (mut text, gained, exceeding) = (now.table(&kept), now.gained(&kept), now.exceeding(&kept));
    if !gained.is_empty() {
        let _ =
            write!(text, "\n\nLess than before, and worth keeping with `--renew`: {}.", gained.join("; "));
    }
    if !exceeding.is_empty() {
        let _ = write!(text, "\n{}", now.advice(&kept, &exceeding));
    }
    Ok((text, exceeding.is_empty()))
}

/// A file of the repository.
fn read(name: &'static str) -> Result<String, Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).map_err(|error| Failure::System(name, error))
}

fn write(name: &'static str, text: &str) -> Result<(), Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::write(path, text).map_err(|error| Failure::System(name, error))
}

/// Does each piece, once to warm up and once to be counted.
fn work() {
    stay_on_one_processor();
    let mut path = HotPath::new();
    for piece in PIECES {
        (piece.round)(&mut path, TURNS, &mut |work| work());
        (piece.round)(&mut path, TURNS, &mut counted);
    }
}

#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // The call before must not become a jump, which would be the end of this function for valgrind.
    black_box(());
}

/// How finely the live map is divided follows from the number of processors, and from that when which part grows.
fn stay_on_one_processor() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("the processors of this process");
    let first = (0..CpuSet::count()).find(|place| allowed.is_set(*place).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(first.expect("a processor that it runs on")).expect("a number that was found");
    sched_setaffinity(this, &one).expect("a processor that is allowed");
}

/// Runs this program under valgrind, and reads what it wrote.
fn count() -> Result<Vec<(String, Count)>, Failure> {
    let directory = tempfile::tempdir().map_err(|error| Failure::System("a temporary directory", error))?;
    let file = directory.path().join("callgrind");
    let program = std::env::current_exe().map_err(|error| Failure::System("this program", error))?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no", "--dump-instr=yes"])
        // One file for each piece: what is counted so far is written, and begins at zero again.
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg("--work")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::System("valgrind (Debian package valgrind)", error))?;
    if !run.status.success() {
        return Err(Failure::Valgrind(String::from_utf8_lossy(&run.stderr).into_owned()));
    }
    PIECES
        .iter()
        .zip(1..)
        .map(|(piece, number)| Ok((piece.name.to_owned(), count_of(&file, number)?)))
        .collect()
}

fn count_of(file: &Path, number: usize) -> Result<Count, Failure> {
    let path = PathBuf::from(format!("{}.{number}", file.display()));
    let text = fs::read_to_string(&path).map_err(|error| Failure::System("what valgrind wrote", error))?;
    let spent = Spent::read(&text).ok_or_else(|| Failure::Unexpected(text.chars().take(400).collect()))?;
    Ok(Count::of(spent, TURNS))
}

/// `rustc 1.95.0`, as cargo would start it.
fn compiler() -> Result<String, Failure> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let run = Command::new(program).arg("--version").output();
    let run = run.map_err(|error| Failure::System("rustc --version", error))?;
    let words: Vec<String> =
        String::from_utf8_lossy(&run.stdout).split(' ').take(2).map(str::to_owned).collect();
    Ok(words.join(" "))
}
