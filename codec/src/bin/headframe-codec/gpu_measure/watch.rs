//! The card, looked at while it works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Bench;

/// How often.
const LOOK: Duration = Duration::from_millis(100);
/// What is left out at both ends of a step when it is told how busy the engines were.
const END: Duration = Duration::from_secs(1);
/// What is kept for the next segments is there after this part of the time.
const EARLY: u32 = 5;

/// What was seen.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Watched {
    pub(super) memory: Memory,
    /// Half of the time no more than this, without the first and the last second, where the driver tells.
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
    /// When, and per cent, as often as the driver told.
    decoders: Vec<(Duration, u32)>,
    encoders: Vec<(Duration, u32)>,
    /// When it was over.
    length: Duration,
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
        decoders_busy_percent: steady(&seen.decoders, seen.length),
        encoders_busy_percent: steady(&seen.encoders, seen.length),
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
            let now = started.elapsed();
            seen.decoders.extend(health.decoder_percent.map(|percent| (now, percent)));
            seen.encoders.extend(health.encoder_percent.map(|percent| (now, percent)));
        }
        thread::sleep(LOOK);
    }
    seen.length = started.elapsed();
    seen
}

/// The median. The driver tells of up to the last second, and at both ends of a step the engines are not all at work; what is
/// too short to leave those out is taken whole.
fn steady(told: &[(Duration, u32)], length: Duration) -> Option<f64> {
    let inner = told.iter().filter(|(at, _)| *at >= END && *at + END <= length);
    let mut percents: Vec<u32> = inner.map(|(_, percent)| *percent).collect();
    if percents.is_empty() {
        percents = told.iter().map(|(_, percent)| *percent).collect();
    }
    percents.sort_unstable();
    percents.get(percents.len() / 2).map(|percent| f64::from(*percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_do_not_count_where_there_is_more() {
        let at = |ms, percent| (Duration::from_millis(ms), percent);
        let told = [at(0, 0), at(900, 10), at(1000, 95), at(1500, 97), at(2000, 96), at(2100, 20), at(2900, 0)];
        assert_eq!(steady(&told, Duration::from_secs(3)), Some(96.0));
        assert_eq!(steady(&told[..2], Duration::from_secs(1)), Some(10.0));
        assert_eq!(steady(&[], Duration::from_secs(1)), None);
    }
}
