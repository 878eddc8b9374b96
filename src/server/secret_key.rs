//! The key of this installation, for hashes and tokens that say nothing to whoever has no access to it.
//!
//! Knows: the key's file, and how recipients and messages are hashed with it. Must not know: what is done with a hash.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::relay::attempts::{Kept, Reference};
use crate::session::Name;

/// Octets of the key.
const KEY_OCTETS: usize = 32;
/// Octets of a token: nobody guesses one of eighty bits.
const TOKEN_OCTETS: usize = 10;

/// The key. Lost, old tokens and recipient hashes can no longer be matched; nothing else is lost.
pub struct SecretKey([u8; KEY_OCTETS]);

impl SecretKey {
    /// Reads the key of a data directory, or makes one.
    ///
    /// # Errors
    /// The file can't be read or written, or isn't a key.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let file = data_dir.join("key");
        match fs::read(&file) {
            Ok(octets) => {
                let key = octets
                    .try_into()
                    .map_err(|_| io::Error::other("the file `key` is not 32 octets long"))?;
                Ok(SecretKey(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(data_dir, &file),
            Err(error) => Err(error),
        }
    }

    fn make(data_dir: &Path, file: &Path) -> io::Result<Self> {
        let mut key = [0; KEY_OCTETS];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        // Written beside and renamed: a key that is half there would be refused at every later start.
        let beside = data_dir.join("key.new");
        let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        new.write_all(&key)?;
        new.sync_all()?;
        fs::rename(&beside, file)?;
        fs::File::open(data_dir)?.sync_all()?;
        Ok(SecretKey(key))
    }

    /// A recipient as a number: equal recipients are equal, and nothing else can be told.
    #[must_use]
    pub fn recipient(&self, recipient: &[u8]) -> u64 {
        let hash = self.hash(b"recipient", &[&recipient.to_ascii_lowercase()]);
        hash.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
    }

    /// The token of one message within one MTA, as it stands in its header.
    #[must_use]
    pub fn token(&self, mta: &Name, instance: &Name) -> Name {
        let hash = self.hash(b"token", &[mta.octets(), instance.octets()]);
        let token: String = hash.iter().take(TOKEN_OCTETS).map(|octet| format!("{octet:02x}")).collect();
        Name::from(token.as_str())
    }

    /// What attempts are called in the text of a refusal. Whoever reads it learns nothing, and can't make up another one's.
    #[must_use]
    pub fn reference(&self, kept: Kept<'_>) -> Reference {
        let hash = match kept {
            Kept::Counted(minute) => self.hash(b"attempts", &[&minute.millis().to_be_bytes()]),
            Kept::Apart(common) => {
                let address = common.address.map(|address| address.to_canonical().to_string());
                let parts: [&[u8]; 6] = [
                    &common.minute.millis().to_be_bytes(),
                    common.mta.octets(),
                    common.profile.word().as_bytes(),
                    address.as_deref().unwrap_or_default().as_bytes(),
                    common.reason.word().as_bytes(),
                    common.login.as_ref().map_or(&[], Name::octets),
                ];
                self.hash(b"attempt", &parts)
            }
        };
        Reference(hash.first_chunk().map_or(0, |octets| u32::from_be_bytes(*octets)))
    }

    fn hash(&self, purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        hash.update(purpose);
        for part in parts {
            // The length keeps ("a", "bc") and ("ab", "c") apart.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Profile;
    use crate::relay::attempts::Common;
    use crate::relay::verdict::Reason;
    use crate::session::Timestamp;

    #[test]
    fn the_key_is_made_once_and_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = SecretKey::open(dir.path()).unwrap();
        let again = SecretKey::open(dir.path()).unwrap();
        assert_eq!(first.recipient(b"a@example.net"), again.recipient(b"A@EXAMPLE.net"));
        assert_eq!(fs::metadata(dir.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        let other = SecretKey::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert_ne!(first.recipient(b"a@example.net"), other.recipient(b"a@example.net"));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("key"), [1; 31]).unwrap();
        assert!(SecretKey::open(dir.path()).is_err());
    }

    #[test]
    fn tokens_differ_by_message_and_mta() {
        let key = SecretKey([7; KEY_OCTETS]);
        let token = |mta, instance| key.token(&Name::from(mta), &Name::from(instance)).to_string();
        assert_eq!(token("a", "bc").len(), 20);
        assert_ne!(token("a", "bc"), token("ab", "c"));
        assert_ne!(token("a", "bc"), token("a", "bd"));
    }
    #[test]
    fn references_differ_by_all_that_tells_attempts_apart_and_by_installation() {
        let common = Common {
            minute: Timestamp::from_seconds(1_795_442_400),
            mta: Name::from("mx1"),
            profile: Profile::Relay,
            address: "192.0.2.7".parse().ok(),
            reason: Reason::NotOnline,
            login: None,
        };
        let others = [
            Common { minute: Timestamp::from_seconds(1_795_442_460), ..common.clone() },
            Common { mta: Name::from("mx2"), ..common.clone() },
            Common { profile: Profile::Submission, ..common.clone() },
            Common { address: "192.0.2.8".parse().ok(), ..common.clone() },
            Common { address: None, ..common.clone() },
            Common { reason: Reason::JustFreed, ..common.clone() },
            Common { login: Some(Name::from("sales")), ..common.clone() },
        ];
        let key = SecretKey([7; KEY_OCTETS]);
        let mut references: Vec<_> = others.iter().map(|other| key.reference(Kept::Apart(other))).collect();
        references.push(key.reference(Kept::Apart(&common)));
        references.push(key.reference(Kept::Counted(common.minute)));
        references.push(SecretKey([8; KEY_OCTETS]).reference(Kept::Apart(&common)));
        let count = references.len();
        references.sort_unstable();
        references.dedup();
        assert_eq!(references.len(), count);
        assert_eq!(key.reference(Kept::Apart(&common)), key.reference(Kept::Apart(&common.clone())));
    }
}
