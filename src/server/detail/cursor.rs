//! How far a directory of detail files was read, so that a restart goes on from there.
//!
//! Knows: a small file in the data directory, written beside and renamed. Must not know: what was read, or when it is
//! worth storing. Lost or damaged it costs only time: what is read again changes nothing.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How far one file was read, and how it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Device and inode: a file keeps them when it is renamed.
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Where the first record begins that is not durable yet.
    pub(super) offset: u64,
    /// The second of the record before it, and how many were of that second.
    pub(super) second: i64,
    pub(super) records: u16,
    /// Octets that the file had.
    pub(super) length: u64,
    pub(super) head: Head,
    /// What it was called; for people.
    pub(super) path: String,
}

/// What a file begins with. An inode is given to another file once its own is gone, and a file may be cut and written
/// anew; neither begins the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// So many octets.
    pub(super) length: u64,
    /// Their checksum.
    pub(super) crc: u32,
}

#[derive(Serialize, Deserialize)]
struct Body {
    directory: String,
    files: Vec<Mark>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
    /// The directory that is followed.
    directory: String,
}

impl Cursor {
    /// The cursor of a directory, and what it says. One that can't be understood is set aside, and says nothing.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn open(data_dir: &Path, directory: &Path) -> io::Result<(Self, Vec<Mark>)> {
        let home = data_dir.join("detail");
        DirBuilder::new().recursive(true).mode(0o750).create(&home)?;
        let hash = Sha256::digest(directory.as_os_str().as_bytes());
        let name: String = hash.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        let cursor = Cursor { path: home.join(name + ".json"), directory: directory.display().to_string() };
        let text = match fs::read(&cursor.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((cursor, Vec::new())),
            Err(error) => return Err(error),
        };
        if let Some(body) = understood(&text) {
            return Ok((cursor, body.files));
        }
        let aside = cursor.path.with_extension("damaged");
        fs::rename(&cursor.path, &aside)?;
        tracing::warn!(
            file = %aside.display(), directory = cursor.directory,
            "how far these files were read is damaged; they are read again from their beginning"
        );
        Ok((cursor, Vec::new()))
    }

    /// Replaces what it says, durably.
    ///
    /// # Errors
    /// The file system refuses; what it said before is still there.
    pub(super) fn store(&self, files: Vec<Mark>) -> io::Result<()> {
        let body = Body { directory: self.directory.clone(), files };
        let mut text = serde_json::to_vec(&body).map_err(io::Error::other)?;
        let crc = crc32fast::hash(&text);
        text.extend_from_slice(format!("\n{crc:08x}\n").as_bytes());
        let beside = self.path.with_extension("new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o640).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.path.parent().map_or(Ok(()), |home| File::open(home)?.sync_all())
    }
}

/// A digit that was changed would leave records out, so the text has its checksum behind it.
fn understood(text: &[u8]) -> Option<Body> {
    let text = text.strip_suffix(b"\n")?;
    let (body, crc) = text.split_at_checked(text.len().checked_sub(8)?)?;
    let body = body.strip_suffix(b"\n")?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    (crc == crc32fast::hash(body)).then(|| serde_json::from_slice(body).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Vec<Mark> {
        let head = Head { length: 9, crc: 7 };
        let path = "detail".to_owned();
        vec![Mark { device: 1, inode: 2, offset: 3, second: 10, records: 5, length: 4, head, path }]
    }

    #[test]
    fn what_was_stored_is_there_again_and_each_directory_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (cursor, none) = Cursor::open(dir.path(), Path::new("/a")).unwrap();
        assert_eq!(none, []);
        cursor.store(marks()).unwrap();
        assert_eq!(Cursor::open(dir.path(), Path::new("/a")).unwrap().1, marks());
        assert_eq!(Cursor::open(dir.path(), Path::new("/b")).unwrap().1, []);
    }

    #[test]
    fn a_cursor_that_was_changed_anywhere_is_set_aside_and_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (cursor, _) = Cursor::open(dir.path(), Path::new("/a")).unwrap();
        cursor.store(marks()).unwrap();
        let good = fs::read(&cursor.path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&cursor.path, &bad).unwrap();
            let (_, said) = Cursor::open(dir.path(), Path::new("/a")).unwrap();
            assert!(said.is_empty(), "octet {at}");
            assert!(!cursor.path.exists() && cursor.path.with_extension("damaged").exists());
        }
        for length in 0..good.len() {
            fs::write(&cursor.path, &good[..length]).unwrap();
            assert!(Cursor::open(dir.path(), Path::new("/a")).unwrap().1.is_empty(), "{length}");
        }
    }
}
