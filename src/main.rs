//! argv to exit code.

use std::process::ExitCode;

use clap::Parser;
use relaywarden::cli::{self, Cli};

fn main() -> ExitCode {
    // clap exits with 2 on a wrong command line, which is our code for it.
    cli::run(&Cli::parse())
}
