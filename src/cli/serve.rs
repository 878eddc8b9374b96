//! `serve`: from a configuration, or none at all for the demo, to a running daemon.
//!
//! Knows: where the configuration comes from, how the log lines look, and which failure has which exit code. Must not
//! know: what the daemon does.

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::check::SystemFiles;
use super::{Exit, LogFormat, ServeArgs, complain};
use crate::audit::AuditError;
use crate::clock;
use crate::config::file;
use crate::log::LogError;
use crate::radius::dictionary::Dictionary;
use crate::server::daemon::{self, Configured, Demo};
use crate::server::demo;
use crate::server::failure::Failure;

/// Runs the daemon until a signal says stop.
#[must_use]
pub fn run(args: &ServeArgs) -> ExitCode {
    log_to_stderr(args.log);
    if args.demo { run_demo() } else { run_configured(&args.config) }
}

fn run_configured(path: &Path) -> ExitCode {
    let configured = match read(path) {
        Ok(configured) => configured,
        Err(error) => {
            complain(&error);
            return Exit::Config.into();
        }
    };
    let again = path.to_path_buf();
    ended(daemon::run(configured, Box::new(move || read(&again)), None))
}

/// Everything in a temporary directory that goes with the demo.
fn run_demo() -> ExitCode {
    let dir = match tempfile::Builder::new().prefix("relaywarden-demo-").tempdir() {
        Ok(dir) => dir,
        Err(error) => {
            complain(&format!("no temporary directory: {error}; set TMPDIR to a place that can be written"));
            return Exit::InputOutput.into();
        }
    };
    let secret = "a demonstration is no secret";
    let path = dir.path().join("relaywarden.toml");
    let written = std::fs::write(&path, demo::configuration(dir.path(), secret))
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)));
    if let Err(error) = written {
        complain(&format!("{}: {error}", path.display()));
        return Exit::InputOutput.into();
    }
    let configured = match read(&path) {
        Ok(configured) => configured,
        Err(error) => {
            complain(&error);
            return Exit::Software.into();
        }
    };
    let program = std::env::current_exe().unwrap_or_else(|_| "relaywarden".into());
    let before = match demo::past::begin(&configured.config.data_dir, &configured.config, clock::now()) {
        Ok(before) => before,
        Err(error) => return ended(Err(Failure::Log(error))),
    };
    let banner = demo::banner(&program, dir.path(), secret, &before.token);
    let demo = Demo { banner, secret: secret.to_owned(), before };
    ended(daemon::run(configured, Box::new(move || read(&path)), Some(demo)))
}

fn read(path: &Path) -> Result<Configured, String> {
    let mut dictionary = Dictionary::beside_builtin();
    let loaded = file::read(path, &SystemFiles, &mut dictionary).map_err(|error| error.to_string())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Configured { config: loaded.config, dictionary })
}

fn ended(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return Exit::Found.into() };
    complain(&failure.to_string());
    exit_of(&failure).into()
}

/// What a service manager is told of it.
pub(super) fn exit_of(failure: &Failure) -> Exit {
    match failure {
        Failure::Socket(_) => Exit::Unavailable,
        Failure::Log(LogError::Damaged { .. }) | Failure::Index(AuditError::Damaged { .. }) => Exit::Damaged,
        Failure::Log(LogError::TooNew { .. }) | Failure::Index(AuditError::TooNew { .. }) => Exit::Config,
        Failure::Log(LogError::InUse { .. }) | Failure::Clock { .. } => Exit::TryAgain,
        Failure::DataDir(..) | Failure::Log(_) | Failure::Index(_) | Failure::System(_) => Exit::InputOutput,
    }
}

/// Everything goes to standard error, for the journal to keep. `RELAYWARDEN_LOG` says how much, as `info` or
/// `warn,relaywarden=debug`.
pub(super) fn log_to_stderr(format: LogFormat) {
    let wanted = std::env::var("RELAYWARDEN_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = wanted.map(EnvFilter::try_new).transpose();
    let (filter, wrong) = match filter {
        Ok(filter) => (filter, None),
        Err(wrong) => (None, Some(wrong)),
    };
    // What comes from the network in place of an answer is counted, and no line for each.
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info,hickory_net=error,hickory_resolver=error"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Plain => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
    if let Some(wrong) = wrong {
        tracing::warn!(%wrong, "RELAYWARDEN_LOG is not understood and counts as \"info\"");
    }
}
