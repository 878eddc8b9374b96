//! A file that is replaced as a whole: whoever reads it sees the old or the new one, never a part, whatever happens.
//!
//! Knows: the file system. Must not know: what is in the file.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Puts these octets in the place of what the file held. One that is there keeps its mode, a new one gets this.
///
/// # Errors
/// What the file system said; the old file is as it was.
pub fn replace(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    // What a link leads to is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => metadata.permissions().mode() & 0o777,
        // A device or a directory of that name would be gone.
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists and is no file")),
        Err(_) => mode,
    };
    let directory = directory_of(&path);
    let mut file = tempfile::Builder::new().prefix(".relaywarden-").tempfile_in(&directory)?;
    file.write_all(octets)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    // Renamed before it is on the disk, a loss of power could leave an empty file under the good name.
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_gets_the_mode_and_an_old_one_keeps_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("table");
        let mode = || fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        replace(&path, b"one", 0o644).expect("it can be written");
        assert_eq!((fs::read(&path).expect("it is there"), mode()), (b"one".to_vec(), 0o644));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("our own file");
        replace(&path, b"two", 0o644).expect("it can be written");
        assert_eq!((fs::read(&path).expect("it is there"), mode()), (b"two".to_vec(), 0o640));
        assert_eq!(fs::read_dir(dir.path()).expect("our own directory").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_link_stays_one_and_what_is_no_file_stays_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, link) = (dir.path().join("table"), dir.path().join("link"));
        fs::write(&path, "one").expect("our own directory");
        std::os::unix::fs::symlink(&path, &link).expect("our own directory");
        replace(&link, b"two", 0o644).expect("it can be written");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert!(replace(dir.path(), b"three", 0o644).is_err());
        assert!(replace(Path::new("/dev/null"), b"three", 0o644).is_err());
    }

    #[test]
    fn a_name_without_a_directory_is_one_in_this_one() {
        assert_eq!(directory_of(Path::new("table")), Path::new("."));
        assert_eq!(directory_of(Path::new("/etc/table")), Path::new("/etc"));
    }
}
