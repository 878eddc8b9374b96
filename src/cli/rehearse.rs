//! `rehearse`: scenarios from files, played without a daemon.
//!
//! Knows: where stories, samples and a configuration are read from, and how it is told what came of them. Must not know:
//! the language, or how a story is played.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::safe;
use super::{Answer, Exit, Failure, check};
use crate::config::Config;
use crate::rehearsal::{self, Props};

/// `rehearse`
#[derive(Debug, Clone, Args)]
pub struct RehearseArgs {
    /// Files of scenarios (docs/scenarios.md has the language)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Take clients and rules from this configuration instead of from the scenarios
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where samples are [default: beside the scenarios]
    #[arg(long, value_name = "DIR")]
    pub samples: Option<PathBuf>,
}

/// Plays them all.
///
/// # Errors
/// A file that can't be read or understood; what comes out otherwise than told is no error, but an answer.
pub fn run(args: &RehearseArgs) -> Result<Answer, Failure> {
    let config = args.config.as_deref().map(config).transpose()?;
    let mut text = String::new();
    let (mut played, mut failed) = (0_usize, 0_usize);
    for path in &args.files {
        let beside = args.samples.as_deref().or_else(|| path.parent()).unwrap_or(Path::new(""));
        let samples = |name: &str| fs::read_to_string(beside.join(format!("{name}.txt")));
        let props = Props { samples: &samples, config: config.as_ref() };
        let story = fs::read_to_string(path).map_err(|error| Failure::File(path.clone(), error))?;
        let not_understood = |mistake| Failure::Story(path.clone(), mistake);
        for scenario in rehearsal::scenarios(&story).map_err(not_understood)? {
            played += 1;
            let (word, details) = match scenario.play(&props) {
                Ok(told) => ("ok", told),
                Err(mistake) if mistake.is_otherwise() => {
                    failed += 1;
                    ("OTHERWISE", vec![format!("{}:{mistake}", path.display())])
                }
                Err(mistake) => return Err(not_understood(mistake)),
            };
            let _ = writeln!(text, "{word:<10}{}", safe(&scenario.title));
            details.iter().for_each(|line| {
                let _ = writeln!(text, "{:<10}{}", "", safe(line));
            });
        }
    }
    let remark = (failed > 0).then(|| format!("{failed} of {played} came out otherwise"));
    Ok(Answer { text, remark, exit: if failed > 0 { Exit::NothingFound } else { Exit::Found } })
}

fn config(path: &Path) -> Result<Config, Failure> {
    check::load(path).map(|loaded| loaded.config).map_err(|error| Failure::Configuration(Box::new(error)))
}
