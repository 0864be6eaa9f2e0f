//! What a person sees of the demo: a line per step as it happens, and one live line while segments flow.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static BAR: OnceLock<ProgressBar> = OnceLock::new();
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Seconds since the first line.
pub(super) fn elapsed() -> Duration {
    BEGAN.get_or_init(Instant::now).elapsed()
}

/// A step that is done.
pub(super) fn step(what: &str, text: &str) {
    print(&format!("[{:6.1} s] {what:<10} {text}", elapsed().as_secs_f64()));
}

/// Something worth knowing that is no step.
pub(super) fn note(text: &str) {
    step("note", text);
}

fn print(line: &str) {
    match BAR.get() {
        Some(bar) if !bar.is_hidden() => bar.println(line),
        _ => println!("{line}"),
    }
}

/// Shows the live line; on a terminal it is redrawn in place, elsewhere printed every few seconds.
pub(super) struct Live {
    printed: Option<Instant>,
}

impl Live {
    pub(super) fn new() -> Self {
        let bar = BAR.get_or_init(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { printed: None }
    }

    pub(super) fn show(&mut self, text: String) {
        let Some(bar) = BAR.get() else { return };
        if !bar.is_hidden() {
            bar.set_message(text);
        } else if self.printed.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
            self.printed = Some(Instant::now());
            step("live", &text);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = BAR.get() {
            bar.finish_and_clear();
        }
    }
}
