//! Why the daemon could not start.
//!
//! Knows: the kinds of failure and what each says. Must not know: which exit code each has.

use std::fmt;
use std::path::PathBuf;

use crate::audit::AuditError;
use crate::log::LogError;
use crate::session::Timestamp;

/// Why the daemon could not start or go on. Each has its exit code.
#[derive(Debug)]
pub enum Failure {
    /// A socket can't be had.
    Socket(String),
    /// The data directory can't be used.
    DataDir(PathBuf, std::io::Error),
    /// The log can't be used.
    Log(LogError),
    /// The index can't be used.
    Index(AuditError),
    /// The log's last entry is of a time that our clock has not reached: deadlines would all be wrong.
    Clock {
        /// The moment of the last entry, milliseconds since 1970.
        last: Timestamp,
    },
    /// The system gives no thread, no runtime, no signal.
    System(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Socket(what) => f.write_str(what),
            Failure::DataDir(dir, error) => write!(f, "data-dir {}: {error}", dir.display()),
            Failure::Log(error) => error.fmt(f),
            Failure::Index(error) => error.fmt(f),
            Failure::Clock { last } => write!(
                f,
                "the log was written up to {} by this machine's clock, which is behind that now: set the clock",
                jiff::Timestamp::from_millisecond(last.millis())
                    .map_or_else(|_| "?".to_owned(), |at| at.to_string())
            ),
            Failure::System(error) => write!(f, "the system refuses: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::System(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Failure::Log(error)
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        Failure::Index(error)
    }
}
