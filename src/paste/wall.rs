//! The time on a wall, in a zone: it was there once, twice or never.
//!
//! Knows: what happens when clocks are set. Must not know: which zone somebody lives in, or how a time was spelled.

use jiff::Timestamp as Moment;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::session::Timestamp;

/// Why a local time is no moment. The readings are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOnce {
    /// The clocks were set back: it was there twice.
    Twice {
        /// The first one.
        earlier: String,
        /// The second one.
        later: String,
    },
    /// The clocks were set forward: it never was.
    Never {
        /// What it would be, had the clocks not been set.
        before: String,
        /// What it would be, had they been set already.
        after: String,
    },
    /// It is beyond any calendar.
    OutOfRange,
}

/// The moment at which a wall in this zone showed this time.
///
/// # Errors
/// There is none, or more than one.
pub fn moment(written: DateTime, zone: &TimeZone) -> Result<Timestamp, NotOnce> {
    let with = |offset: Offset| offset.to_timestamp(written).map_err(|_| NotOnce::OutOfRange);
    let spelled = |offset: Offset| with(offset).map(|at: Moment| at.display_with_offset(offset).to_string());
    match zone.to_ambiguous_timestamp(written).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(Timestamp::from_millis(with(offset)?.as_millisecond())),
        AmbiguousOffset::Fold { before, after } => {
            Err(NotOnce::Twice { earlier: spelled(before)?, later: spelled(after)? })
        }
        AmbiguousOffset::Gap { before, after } => {
            // Each reading in the offset that then held: that is the time on the wall.
            let wall = |offset| with(offset).map(|at| at.display_with_offset(zone.to_offset(at)).to_string());
            Err(NotOnce::Never { before: wall(before)?, after: wall(after)? })
        }
    }
}
