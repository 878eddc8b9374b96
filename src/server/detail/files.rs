//! The files of a directory as they are now, and one of them as far as it was read.
//!
//! Knows: the file system. Must not know: what a record means, who takes it, or when it is durable.
//!
//! The directory is somebody else's: what is in it may be renamed, cut, replaced or deleted at any moment, and a link in
//! it must not lead us anywhere.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use glob::Pattern;
use nix::fcntl::OFlag;

use super::cursor::{Head, Mark};
use crate::radius::detail::{Found, Reader, Tick};
use crate::radius::dictionary::Dictionary;
use crate::session::Timestamp;

/// Octets that are read at once.
const PIECE: usize = 128 * 1024;
/// Octets of a file's beginning by which it is known again.
const HEAD: u64 = 1024;
/// Endings of files that somebody has compressed. They are complete, and were read before if they were followed at all.
const COMPRESSED: [&str; 5] = ["gz", "bz2", "xz", "zst", "lz4"];

/// A file as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    /// When it was last written to.
    pub(super) modified: Timestamp,
}

impl Listed {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let (device, inode, length) = (metadata.dev(), metadata.ino(), metadata.len());
        let millis = metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000);
        Listed { device, inode, path, length, modified: Timestamp::from_millis(millis) }
    }

    pub(super) fn is(&self, other: &Listed) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// What is in a directory, and one level below.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those that count, the oldest first.
    pub(super) files: Vec<Listed>,
    /// One that would count if it were not compressed.
    pub(super) compressed: Option<PathBuf>,
    /// Directories below that can't be listed.
    pub(super) closed: Vec<(PathBuf, io::Error)>,
}

impl Listing {
    /// Lists a directory.
    ///
    /// # Errors
    /// It can't be listed at all.
    pub(super) fn of(directory: &Path, names: &Pattern) -> io::Result<Self> {
        let mut listing = Listing::default();
        for below in listing.add(directory, names)? {
            if let Err(error) = listing.add(&below, names) {
                listing.closed.push((below, error));
            }
        }
        listing.files.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        Ok(listing)
    }

    /// Adds the files of one directory; returns the directories in it.
    fn add(&mut self, directory: &Path, names: &Pattern) -> io::Result<Vec<PathBuf>> {
        let mut below = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            // Of the entry itself: links are neither followed nor read.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                below.push(path);
            } else if metadata.is_file() && names.matches(&entry.file_name().to_string_lossy()) {
                let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
                if COMPRESSED.contains(&ending) {
                    self.compressed = Some(path);
                } else {
                    self.files.push(Listed::new(path, &metadata));
                }
            }
        }
        Ok(below)
    }
}

/// What a step of reading came to.
#[derive(Debug)]
pub(super) enum Step {
    /// A record, or why it is none.
    Found(Found),
    /// A piece was read, and no record ended in it.
    Piece,
    /// Nothing more is there now.
    End,
    /// It was cut, or another file was given its inode: what was read of it is not what it begins with.
    Anew,
}

/// One file as far as it was read.
#[derive(Debug)]
pub(super) struct Followed {
    /// Names it among all that were ever followed; one that begins anew gets another.
    pub(super) key: u64,
    pub(super) listed: Listed,
    /// Where the first record begins that is not durable.
    pub(super) durable: u64,
    /// What reading on from there needs.
    pub(super) durable_tick: Tick,
    /// Whether it is not listed any more, and only kept for what may still be written to it.
    pub(super) gone: bool,
    /// Whether the last attempt to read it failed.
    pub(super) unreadable: bool,
    reader: Reader,
    /// How far its octets were given to the reader.
    position: u64,
    head: Head,
    file: Option<File>,
}

impl Followed {
    /// A file that is followed from its mark, or from its beginning.
    pub(super) fn new(key: u64, listed: Listed, mark: Option<&Mark>) -> Self {
        let offset = mark.map_or(0, |mark| mark.offset);
        let tick = mark.map(|mark| Tick { second: mark.second, records: mark.records }).unwrap_or_default();
        Followed {
            key,
            listed,
            durable: offset,
            durable_tick: tick,
            gone: false,
            unreadable: false,
            reader: Reader::resume(offset, tick),
            position: offset,
            head: mark.map_or_else(Head::default, |mark| mark.head),
            file: None,
        }
    }

    /// Takes note of how it was listed now, maybe under another name.
    pub(super) fn seen_as(self, listed: Listed) -> Self {
        Followed { listed, gone: false, ..self }
    }

    /// Octets that were not looked at yet.
    pub(super) fn unread(&self) -> u64 {
        self.listed.length.saturating_sub(self.position)
    }

    /// Octets that are not durable yet, those of half a record included.
    pub(super) fn behind(&self) -> u64 {
        self.listed.length.saturating_sub(self.durable)
    }

    /// Whether it was cut since it was read.
    pub(super) fn is_cut(&self) -> bool {
        self.listed.length < self.position
    }

    /// Whether something of it is only half there.
    pub(super) fn has_half(&self) -> bool {
        self.reader.offset() < self.position
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            device: self.listed.device,
            inode: self.listed.inode,
            offset: self.durable,
            second: self.durable_tick.second,
            records: self.durable_tick.records,
            length: self.listed.length,
            head: self.head,
            path: self.listed.path.display().to_string(),
        }
    }

    /// The next record, or the next piece where there is something to read.
    ///
    /// # Errors
    /// It can't be opened or read.
    pub(super) fn step(&mut self, dictionary: &Dictionary) -> io::Result<Step> {
        if let Some(found) = self.reader.next_record(dictionary) {
            return Ok(Step::Found(found));
        }
        if self.unread() == 0 {
            self.rest();
            return Ok(Step::End);
        }
        if !self.open()? {
            return Ok(Step::Anew);
        }
        let Some(file) = &self.file else { return Ok(Step::End) };
        let mut piece = vec![0; PIECE];
        let length = file.read_at(&mut piece, self.position)?;
        if length == 0 {
            // It was cut between being listed and being read.
            return Ok(Step::Anew);
        }
        self.reader.push(piece.get(..length).unwrap_or_default());
        self.position = self.position.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.listed.length = self.listed.length.max(self.position);
        if self.head.length < HEAD {
            self.head = head(file, self.position.min(HEAD))?;
        }
        Ok(Step::Piece)
    }

    /// What is left of it when nothing more will be written.
    pub(super) fn finish(&mut self, dictionary: &Dictionary) -> Option<Found> {
        let found = self.reader.finish(dictionary);
        self.rest();
        found
    }

    /// Looks how long a file is that is not listed any more.
    pub(super) fn look(&mut self) {
        if let Some(metadata) = self.file.as_ref().and_then(|file| file.metadata().ok()) {
            self.listed = Listed::new(self.listed.path.clone(), &metadata);
        }
    }

    /// Lets go of the open file; without one, what becomes of a file that is deleted is nothing to us.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Keeps no room for a file of which nothing is in hand.
    fn rest(&mut self) {
        if !self.has_half() {
            self.reader = Reader::resume(self.position, self.reader.tick());
        }
    }

    /// Opens it, unless it is open, and looks whether it still begins as it did. False: it was written anew.
    fn open(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            // Neither a link nor a pipe that took its place in the meantime may hold us up or lead us astray.
            let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.listed.path)?;
            let metadata = file.metadata()?;
            let opened = Listed::new(self.listed.path.clone(), &metadata);
            if !metadata.is_file() || !opened.is(&self.listed) {
                // Renamed since it was listed; the next listing finds it.
                return Err(io::ErrorKind::NotFound.into());
            }
            self.file = Some(file);
        }
        let Some(file) = &self.file else { return Ok(false) };
        Ok(head(file, self.head.length)? == self.head)
    }

    /// Whether its path still names it.
    pub(super) fn is_in_place(&self) -> bool {
        let metadata = fs::symlink_metadata(&self.listed.path);
        metadata.is_ok_and(|now| (now.dev(), now.ino()) == (self.listed.device, self.listed.inode))
    }
}

fn head(file: &File, length: u64) -> io::Result<Head> {
    let mut octets = vec![0; usize::try_from(length.min(HEAD)).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, u64::try_from(filled).unwrap_or_default())? {
            0 => break,
            more => filled = filled.saturating_add(more),
        }
    }
    let octets = octets.get(..filled).unwrap_or_default();
    Ok(Head { length: u64::try_from(filled).unwrap_or_default(), crc: crc32fast::hash(octets) })
}
