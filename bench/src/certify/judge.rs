//! What a step proves: lateness and quality rules, pure.

use crate::stats::{percentile, upper_bound_95};
use serde::Serialize;
use std::time::Duration;

/// Outputs must be ready within this share of the segment's duration after its last byte arrived.
pub(crate) const ON_TIME_PER_MILLE: u32 = 800;
/// A rendition made under load may be worse than the same one made alone by this much, in thousandths of a dB.
const TOLERANCE_MILLI_DB: i64 = 500;

/// The rules of one certification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Late segments allowed per million.
    pub(crate) late_ppm: u64,
}

impl Settings {
    pub(crate) fn new(late_ppm: u64) -> Self {
        Self { late_ppm }
    }

    /// Late segments allowed among `total`.
    pub(crate) fn allowed(&self, total: u64) -> u64 {
        (u128::from(total) * u128::from(self.late_ppm) / 1_000_000) as u64
    }
}

/// Everything seen in one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    latencies_us: Vec<u64>,
    /// Segments not ready in time, failed ones included.
    pub(crate) late: u64,
    /// Segments without output.
    pub(crate) failed: u64,
    /// Renditions with another number of pictures than their source.
    pub(crate) wrong_frames: u64,
}

/// A step's latencies in figures, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: u64,
    pub(crate) p95_ms: u64,
    pub(crate) p99_ms: u64,
    pub(crate) max_ms: u64,
}

impl Tally {
    /// A segment of `duration` whose outputs were all ready `latency` after it arrived.
    pub(crate) fn segment(&mut self, latency: Duration, duration: Duration) {
        self.latencies_us.push(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.late += u64::from(latency > duration * ON_TIME_PER_MILLE / 1000);
    }

    /// A segment that gave no output.
    pub(crate) fn failure(&mut self) {
        self.failed += 1;
        self.late += 1;
    }

    /// Segments seen.
    pub(crate) fn total(&self) -> u64 {
        self.latencies_us.len() as u64 + self.failed
    }

    /// Whether the machine kept up: few enough late segments, none failed, no picture lost.
    pub(crate) fn sustained(&self, settings: &Settings) -> bool {
        let kept_up = self.total() > 0 && self.late <= settings.allowed(self.total());
        kept_up && self.failed == 0 && self.wrong_frames == 0
    }

    /// Late segments per million: as seen, and the largest true share that this many segments do not exclude (95 %).
    pub(crate) fn late_ppm(&self) -> (u64, u64) {
        let seen = (self.late * 1_000_000).checked_div(self.total()).unwrap_or(0);
        (seen, (upper_bound_95(self.late, self.total()) * 1e6).ceil() as u64)
    }

    pub(crate) fn latency(&self) -> Latency {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let at = |per_mille| percentile(&sorted, per_mille).div_ceil(1000);
        Latency { p50_ms: at(500), p95_ms: at(950), p99_ms: at(990), max_ms: at(1000) }
    }
}

/// One rendition made under load, against the same one made alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Sampled {
    pub(crate) segment: u64,
    pub(crate) rendition: String,
    pub(crate) source_frames: u64,
    pub(crate) frames: u64,
    /// Luma against the scaled source, thousandths of a dB.
    pub(crate) psnr_milli_db: i64,
    pub(crate) alone_psnr_milli_db: i64,
    /// The CPU engine is reproducible, so both are the same bytes.
    pub(crate) same_bytes: bool,
}

impl Sampled {
    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self, floor_milli_db: i64) -> Option<String> {
        let name = format!("segment {}, rendition {}", self.segment, self.rendition);
        let db = |milli: i64| milli as f64 / 1000.0;
        if self.frames != self.source_frames {
            return Some(format!("{name}: {} pictures instead of {}", self.frames, self.source_frames));
        }
        if self.psnr_milli_db < floor_milli_db {
            return Some(format!(
                "{name}: {:.2} dB, below the floor of {:.2} dB",
                db(self.psnr_milli_db),
                db(floor_milli_db)
            ));
        }
        if self.psnr_milli_db < self.alone_psnr_milli_db - TOLERANCE_MILLI_DB {
            let (have, alone) = (db(self.psnr_milli_db), db(self.alone_psnr_milli_db));
            return Some(format!("{name}: {have:.2} dB under load, {alone:.2} dB alone"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Duration = Duration::from_secs(2);

    fn tally(on_time: u64, late: u64) -> Tally {
        let mut tally = Tally::default();
        (0..on_time).for_each(|_| tally.segment(Duration::from_millis(1600), SEGMENT));
        (0..late).for_each(|_| tally.segment(Duration::from_millis(1601), SEGMENT));
        tally
    }

    #[test]
    fn late_is_later_than_four_fifths() {
        assert_eq!((tally(5, 0).late, tally(5, 2).late), (0, 2));
        assert_eq!(tally(98, 2).latency(), Latency { p50_ms: 1600, p95_ms: 1600, p99_ms: 1601, max_ms: 1601 });
    }

    #[test]
    fn the_limit_is_a_share_and_failures_are_never_allowed() {
        let one_percent = Settings::new(10_000);
        assert!(tally(99, 1).sustained(&one_percent));
        assert!(!tally(98, 2).sustained(&one_percent));
        assert!(!tally(20, 1).sustained(&one_percent), "one of 21 is more than 1 %");
        assert!(!Tally::default().sustained(&one_percent), "nothing seen, nothing proven");
        let mut failed = tally(1000, 0);
        failed.failure();
        assert_eq!((failed.total(), failed.late), (1001, 1));
        assert!(!failed.sustained(&one_percent));
        let mut short = tally(1000, 0);
        short.wrong_frames = 1;
        assert!(!short.sustained(&one_percent));
    }

    #[test]
    fn shares_come_with_their_uncertainty() {
        assert_eq!(tally(300, 0).late_ppm(), (0, 9937));
        assert_eq!(tally(99, 1).late_ppm().0, 10_000);
        assert_eq!(Tally::default().late_ppm(), (0, 1_000_000));
    }

    #[test]
    fn sabotage_is_found() {
        let good = Sampled {
            segment: 3,
            rendition: "240p".into(),
            source_frames: 60,
            frames: 60,
            psnr_milli_db: 36_000,
            alone_psnr_milli_db: 36_100,
            same_bytes: false,
        };
        assert_eq!(good.fault(25_000), None);
        let dropped = Sampled { frames: 59, ..good.clone() };
        assert!(dropped.fault(25_000).is_some_and(|text| text.contains("59 pictures instead of 60")));
        let black = Sampled { psnr_milli_db: 9_000, alone_psnr_milli_db: 9_000, ..good.clone() };
        assert!(black.fault(25_000).is_some_and(|text| text.contains("floor")));
        let blurred = Sampled { psnr_milli_db: 31_000, ..good };
        assert!(blurred.fault(25_000).is_some_and(|text| text.contains("under load")));
    }
}
