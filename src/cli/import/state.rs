//! How far an import is: a small file, written anew after each chunk that is acknowledged, so that the next run goes on
//! from there.
//!
//! Knows: the file, and whether it is about the file at hand. Must not know: rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::source::About;
use super::summary::Counts;
use crate::cli::whole;

/// What is added to a file's name.
const ENDING: &str = ".relaywarden-import";
/// It holds no secret, and names no person.
const MODE: u32 = 0o644;
/// Version of the file.
const VERSION: u32 = 1;
/// A state is a few hundred octets.
const OCTETS_MAX: u64 = 64 * 1024;

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this file.
    pub version: u32,
    /// Octets of the file, uncompressed, whose rows are taken.
    pub octets: u64,
    /// Lines of the file that are.
    pub lines: u64,
    /// RFC 3339: the moment that the file tells of.
    pub as_of: String,
    /// By how many first octets the file is known again.
    pub head_octets: usize,
    /// Their digest.
    pub head: String,
    /// What became of the rows so far.
    pub counts: Counts,
}

/// Why a state is of no use.
#[derive(Debug)]
pub enum StateError {
    /// It can't be read or written.
    File(io::Error),
    /// It is none, or of another version.
    NotOne,
    /// It is about another file.
    OfAnother,
}

impl State {
    /// The state of an import that begins.
    #[must_use]
    pub fn beginning(about: &About, as_of: String) -> State {
        let head_octets = about.head.len();
        let head = about.digest(head_octets).unwrap_or_default();
        State { version: VERSION, as_of, head_octets, head, ..State::default() }
    }

    /// The state that is there, if there is one.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn read(path: &Path, about: &About) -> Result<Option<State>, StateError> {
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > OCTETS_MAX => return Err(StateError::NotOne),
            Ok(_) | Err(_) => fs::read(path).map_err(StateError::File)?,
        };
        let state: State = serde_json::from_slice(&text).map_err(|_| StateError::NotOne)?;
        if state.version != VERSION {
            return Err(StateError::NotOne);
        }
        // A file that grew since is the same one; its first octets are as they were.
        if about.digest(state.head_octets) != Some(state.head.clone()) {
            return Err(StateError::OfAnother);
        }
        Ok(Some(state))
    }

    /// Puts it in the place of the old one.
    ///
    /// # Errors
    /// What the file system said.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        // A struct of strings and numbers always has a spelling.
        let text = serde_json::to_vec(self).unwrap_or_default();
        whole::replace(path, &text, MODE)
    }
}

/// Where the state of a file's import is, unless it is said otherwise.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ENDING);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(head: &[u8]) -> About {
        About { head: head.to_vec(), ..About::default() }
    }

    #[test]
    fn a_state_is_of_one_file_also_when_that_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let path = beside(&dir.path().join("radacct.csv"));
        assert!(path.ends_with("radacct.csv.relaywarden-import"));
        assert!(State::read(&path, &about(b"a")).unwrap().is_none());
        let mut state = State::beginning(&about(b"acctsessionid"), "2026-11-23T14:00:00.000Z".to_owned());
        state.octets = 7;
        state.write(&path).unwrap();
        assert_eq!(State::read(&path, &about(b"acctsessionid")).unwrap(), Some(state.clone()));
        assert_eq!(State::read(&path, &about(b"acctsessionid,and more")).unwrap(), Some(state));
        for other in [b"acctsession".as_slice(), b"username,acctsessionid"] {
            assert!(matches!(State::read(&path, &about(other)), Err(StateError::OfAnother)));
        }
    }

    #[test]
    fn what_is_no_state_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let whole = serde_json::to_string(&State::beginning(&about(b"a"), String::new())).unwrap();
        for text in ["", "{}", &whole[..whole.len() - 1], &whole.replace("\"version\":1", "\"version\":2")] {
            fs::write(&path, text).unwrap();
            assert!(matches!(State::read(&path, &about(b"a")), Err(StateError::NotOne)), "{text}");
        }
        assert!(matches!(State::read(dir.path(), &about(b"a")), Err(StateError::File(_))));
    }
}
