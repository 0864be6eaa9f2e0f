//! Progress on standard error: a line that moves on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// What is being done now.
    pub(crate) fn step(&self, text: &str) {
        self.0.set_message(text.to_owned());
        self.0.reset_elapsed();
    }

    /// A line that stays.
    pub(crate) fn say(&self, text: &str) {
        match self.0.is_hidden() {
            true => eprintln!("{text}"),
            false => self.0.println(text),
        }
    }

    /// Takes the moving line away.
    pub(crate) fn done(&self) {
        self.0.finish_and_clear();
    }
}
