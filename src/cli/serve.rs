//! `serve` (to come).

use std::process::ExitCode;

/// Runs the daemon.
#[must_use]
pub fn run(_: &super::ServeArgs) -> ExitCode {
    super::complain("serve: not in this build");
    super::Exit::Software.into()
}
