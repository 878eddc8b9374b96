//! `check-config` (to come).

use std::path::Path;
use std::process::ExitCode;

/// Checks a configuration.
#[must_use]
pub fn run(_: &Path) -> ExitCode {
    super::Exit::Software.into()
}
