//! A file that is imported, as a stream of octets: plain or gzip, a path or standard input, in memory that does not grow
//! with it.
//!
//! Knows: the file system, gzip, lines. Must not know: what is in a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::session::Timestamp;

/// A longer line is no row: its attributes would not fit into a packet.
pub const LINE_OCTETS_MAX: usize = 64 * 1024;
/// How much is looked at to see what a file is.
const LOOKED_AT: usize = 16 * 1024;
/// RFC 1952, 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An open file.
pub struct Source {
    octets: Box<dyn BufRead>,
    /// What was looked at already, uncompressed.
    beginning: Vec<u8>,
    /// Octets of the file itself that were read.
    read: Arc<AtomicU64>,
    /// Where the next octet stands, uncompressed.
    pub offset: u64,
    /// How many lines stand before it.
    pub lines: u64,
    /// What the file system says of it.
    pub about: About,
}

/// What tells a file from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// Octets, as it lies there.
    pub size: Option<u64>,
    /// When it was last written.
    pub modified: Option<Timestamp>,
    /// Its first octets, as it lies there.
    pub head: Vec<u8>,
}

impl About {
    /// A digest of its first octets.
    #[must_use]
    pub fn digest(&self, octets: usize) -> Option<String> {
        self.head.get(..octets).map(|head| super::hex(&Sha256::digest(head)))
    }
}

/// What a look for a line ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Whole,
    /// One that is longer than any row; it was passed over.
    TooLong,
    /// The end of the file.
    End,
}

impl Source {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// What the file system said.
    pub fn open(path: &Path) -> io::Result<Source> {
        if path == Path::new("-") {
            return Source::of(io::stdin(), About::default());
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| i64::try_from(since.as_millis()).ok());
        let about = About {
            size: metadata.is_file().then_some(metadata.len()),
            modified: modified.map(Timestamp::from_millis),
            head: Vec::new(),
        };
        Source::of(file, about)
    }

    fn of(file: impl Read + 'static, mut about: About) -> io::Result<Source> {
        let read = Arc::new(AtomicU64::new(0));
        let mut counted = Counted { inner: file, read: Arc::clone(&read) };
        let mut head = vec![0; 4096];
        let length = fill(&mut counted, &mut head)?;
        head.truncate(length);
        about.head.clone_from(&head);
        let is_gzip = head.starts_with(&GZIP);
        let raw = BufReader::with_capacity(LINE_OCTETS_MAX, Cursor::new(head).chain(counted));
        let mut octets: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(LINE_OCTETS_MAX, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        let mut beginning = vec![0; LOOKED_AT];
        let length = fill(&mut octets, &mut beginning)?;
        beginning.truncate(length);
        let octets = Box::new(Cursor::new(beginning.clone()).chain(octets));
        Ok(Source { octets, beginning, read, offset: 0, lines: 0, about })
    }

    /// What it begins with, for seeing what it is.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// Octets of the file itself that were read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Passes over what stands before an offset; `lines` is how many lines that is.
    ///
    /// # Errors
    /// What the file system said, or that the file ends before.
    pub fn skip_to(&mut self, offset: u64, lines: u64) -> io::Result<()> {
        while self.offset < offset {
            let left = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let piece = self.octets.fill_buf()?.len().min(left);
            if piece == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.consume(piece);
        }
        self.lines = lines;
        Ok(())
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// What the file system said.
    pub fn line(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let mut too_long = false;
        loop {
            let piece = self.octets.fill_buf()?;
            if piece.is_empty() {
                // The last line may lack its end.
                return Ok(match (too_long, line.is_empty()) {
                    (true, _) => self.ended(Line::TooLong),
                    (false, false) => self.ended(Line::Whole),
                    (false, true) => Line::End,
                });
            }
            let end = piece.iter().position(|&octet| octet == b'\n');
            let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            too_long |= line.len().saturating_add(part.len()) > LINE_OCTETS_MAX;
            if !too_long {
                line.extend_from_slice(part);
            }
            let used = part.len().saturating_add(usize::from(end.is_some()));
            self.consume(used);
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(self.ended(if too_long { Line::TooLong } else { Line::Whole }));
            }
        }
    }

    /// What comes next, however long; empty at the end of the file.
    ///
    /// # Errors
    /// What the file system said.
    pub fn piece(&mut self) -> io::Result<Vec<u8>> {
        let piece = self.octets.fill_buf()?.to_vec();
        self.consume(piece.len());
        Ok(piece)
    }

    fn ended(&mut self, line: Line) -> Line {
        self.lines = self.lines.saturating_add(1);
        line
    }

    fn consume(&mut self, octets: usize) {
        self.octets.consume(octets);
        self.offset = self.offset.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
    }
}

/// Reads until the buffer is full or nothing more comes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(octets) => length = length.saturating_add(octets),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.inner.read(buffer)?;
        self.read.fetch_add(u64::try_from(octets).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn source(octets: &[u8]) -> Source {
        Source::of(Cursor::new(octets.to_vec()), About::default()).unwrap()
    }

    fn gz(octets: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn lines(mut source: Source) -> Vec<(Line, usize)> {
        let mut line = Vec::new();
        let mut found = Vec::new();
        loop {
            match source.line(&mut line).unwrap() {
                Line::End => return found,
                what => found.push((what, line.len())),
            }
        }
    }

    #[test]
    fn line_ends_of_every_kind_are_none_of_the_line() {
        let all = [(Line::Whole, 1), (Line::Whole, 2), (Line::Whole, 0), (Line::Whole, 3)];
        for text in ["a\nbb\n\nccc\n", "a\r\nbb\r\n\r\nccc\r\n", "a\nbb\r\n\nccc"] {
            assert_eq!(lines(source(text.as_bytes())), all, "{text:?}");
            assert_eq!(lines(source(&gz(text.as_bytes()))), all, "{text:?}");
        }
        assert_eq!(lines(source(b"")), []);
    }

    #[test]
    fn a_line_of_64_kib_is_read_and_a_longer_one_is_passed_over() {
        for more in [0, 1, 10_000_000] {
            let text = [vec![b'a'; LINE_OCTETS_MAX + more], b"\nbb\n".to_vec()].concat();
            let first = if more == 0 { Line::Whole } else { Line::TooLong };
            let found = lines(source(&text));
            assert_eq!((found[0].0, found[1]), (first, (Line::Whole, 2)), "{more}");
        }
        assert_eq!(lines(source(&vec![b'a'; LINE_OCTETS_MAX + 1]))[0].0, Line::TooLong);
    }

    #[test]
    fn several_gzip_files_in_one_are_read_to_their_end() {
        assert_eq!(lines(source(&[gz(b"a\n"), gz(b"bb\n")].concat())), [(Line::Whole, 1), (Line::Whole, 2)]);
        let long = gz(&b"a line\n".repeat(1_000_000));
        let mut cut = source(&long[..long.len() / 2]);
        let mut line = Vec::new();
        let error = loop {
            match cut.line(&mut line) {
                Ok(Line::End) => panic!("what was cut is whole"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn reading_goes_on_where_it_stopped() {
        for octets in [b"a\nbb\nccc\n".to_vec(), gz(b"a\nbb\nccc\n")] {
            let mut first = source(&octets);
            let mut line = Vec::new();
            first.line(&mut line).unwrap();
            first.line(&mut line).unwrap();
            let mut second = source(&octets);
            second.skip_to(first.offset, first.lines).unwrap();
            second.line(&mut line).unwrap();
            assert_eq!((line.as_slice(), second.lines), (b"ccc".as_slice(), 3));
            assert_eq!(source(&octets).skip_to(10, 9).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
