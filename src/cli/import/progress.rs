//! How far an import is, for the person who waits: a bar on a terminal, a line every few seconds elsewhere.
//!
//! Knows: standard error. Must not know: what is counted.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::safe;

/// A log that collects standard error wants to see that something moves, and no more.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown.
pub struct Progress {
    name: String,
    size: Option<u64>,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// Shows nothing yet. `size` is that of the file as it lies there.
    #[must_use]
    pub fn new(name: &str, size: Option<u64>) -> Self {
        let name = safe(name);
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let form = if size.is_some() {
                "{prefix} {wide_bar} {percent:>3} %  {msg}"
            } else {
                "{prefix} {spinner} {bytes}  {msg}"
            };
            bar.set_prefix(name.clone());
            // The forms above are in order.
            if let Ok(style) = ProgressStyle::with_template(form) {
                bar.set_style(style);
            }
            bar
        });
        Progress { name, size, bar, told: Instant::now() }
    }

    /// So many octets of the file are read, and so many rows are taken.
    pub fn show(&mut self, octets: u64, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(octets);
            bar.set_message(format!("{rows} rows"));
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let percent = self.size.and_then(|size| octets.saturating_mul(100).checked_div(size));
            let percent = percent.map_or_else(String::new, |percent| format!("{percent} %, "));
            let name = self.name.clone();
            self.say(&format!("{name}: {percent}{rows} rows"));
        }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        let write = || {
            // When standard error is gone, the exit code is all that is left to say.
            let _ = writeln!(std::io::stderr(), "relaywarden: {text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
