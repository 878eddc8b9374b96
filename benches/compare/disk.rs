//! What the disk alone takes: the floor below everything durable.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// How long it takes to make a small append durable: the middle and the slowest of fifty.
pub(crate) fn fsync_times(directory: &Path) -> io::Result<(Duration, Duration)> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::new();
    for _ in 0..50 {
        file.write_all(&[0; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    Ok((at(times.len() / 2), at(times.len() - 1)))
}

/// Makes the kernel forget its copy of every file below, so that the next reader has to go to the disk.
pub(crate) fn forget(directory: &Path) -> io::Result<()> {
    each_file(directory, &mut |path| {
        let file = File::open(path)?;
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(io::Error::from)
    })
}

/// Octets of every file below, and how long reading them takes.
pub(crate) fn read_all(directory: &Path) -> io::Result<(u64, Duration)> {
    let (began, mut octets) = (Instant::now(), 0);
    let mut chunk = vec![0; 1 << 20];
    each_file(directory, &mut |path| {
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(()),
                length => octets += length as u64,
            }
        }
    })?;
    Ok((octets, began.elapsed()))
}

fn each_file(directory: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            each_file(&entry.path(), visit)?;
        } else {
            visit(&entry.path())?;
        }
    }
    Ok(())
}
