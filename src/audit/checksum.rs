//! Whether rows are what was written: a sum over all of a partition, in whatever order they are read.
//!
//! SQLite finds pages that do not fit together, not an octet that is another in a value. The sum is no proof against somebody
//! who means to deceive; it is against disks and copies.
//!
//! Knows: how a row adds to a sum. Must not know: tables.

/// The sum of the checksums of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) const fn of_column(column: i64) -> Checksum {
        Checksum(column.cast_unsigned())
    }

    pub(super) const fn column(self) -> i64 {
        self.0.cast_signed()
    }

    /// Adds a row, told by all that stands in it.
    pub(super) fn add(&mut self, row: &[&[u8]]) {
        let mut hasher = crc32fast::Hasher::new();
        for part in row {
            hasher.update(part);
        }
        self.0 = self.0.wrapping_add(hasher.finalize().into());
    }

    pub(super) fn and(self, other: Checksum) -> Checksum {
        Checksum(self.0.wrapping_add(other.0))
    }
}
