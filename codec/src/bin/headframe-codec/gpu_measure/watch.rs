//! The card, looked at while it works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Bench;

/// How often.
const LOOK: Duration = Duration::from_millis(100);
/// What is kept for the next segments is there after this part of the time.
const EARLY: u32 = 5;

/// What was seen.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Watched {
    pub(super) memory: Memory,
    /// On average, where the driver tells.
    pub(super) decoders_busy_percent: Option<f64>,
    pub(super) encoders_busy_percent: Option<f64>,
}

/// Of the card, bytes in use by all programs.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Memory {
    before: u64,
    /// The most in the first fifth of the time.
    most_early: u64,
    most: u64,
    /// At the end, with everything that is kept for the next segments.
    after: u64,
}

#[derive(Default)]
struct Seen {
    most_early: u64,
    most: u64,
    /// Per cent, as often as the driver told.
    decoders: Vec<u32>,
    encoders: Vec<u32>,
}

/// Does `work`, which takes `length`, and looks at the card meanwhile.
pub(super) fn watched<T>(
    bench: &Bench<'_>,
    length: Duration,
    work: impl FnOnce() -> T,
) -> Result<(T, Watched), String> {
    let used = || bench.device.memory().map(|(free, total)| total - free).map_err(|error| error.to_string());
    let (before, over) = (used()?, AtomicBool::new(false));
    let (done, seen) = thread::scope(|scope| {
        let looking = scope.spawn(|| look(bench, length / EARLY, &over));
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, looking.join().unwrap_or_default())
    });
    let after = used()?;
    let watched = Watched {
        memory: Memory { before, most_early: seen.most_early, most: seen.most.max(after), after },
        decoders_busy_percent: mean(&seen.decoders),
        encoders_busy_percent: mean(&seen.encoders),
    };
    Ok((done, watched))
}

/// Looks until it is over.
fn look(bench: &Bench<'_>, early: Duration, over: &AtomicBool) -> Seen {
    let (mut seen, started) = (Seen::default(), Instant::now());
    while !over.load(Ordering::Relaxed) {
        if let Ok((free, total)) = bench.device.memory() {
            seen.most = seen.most.max(total - free);
            if started.elapsed() <= early {
                seen.most_early = seen.most;
            }
        }
        if let Some(health) = bench.driver.health(bench.device.info().uuid) {
            seen.decoders.extend(health.decoder_percent);
            seen.encoders.extend(health.encoder_percent);
        }
        thread::sleep(LOOK);
    }
    seen
}

fn mean(percents: &[u32]) -> Option<f64> {
    let sum: f64 = percents.iter().map(|percent| f64::from(*percent)).sum();
    (!percents.is_empty()).then(|| sum / percents.len() as f64)
}
