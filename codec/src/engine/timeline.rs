//! The segment's clock: frame rate, wrap-around, and which picture is shown when.

use crate::ladder::Fps;
use crate::segment::TICKS_PER_SECOND;
use crate::ts::{Unit, WRAP, nearest};

/// What the access units' times say before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// A time of the segment, 0..2^33; all others are taken as near to it as they can be.
    pub(crate) reference: i64,
    /// The source's frame rate, snapped to a usual one.
    pub(crate) fps: Fps,
    /// The length of one picture in ticks.
    pub(crate) frame: i64,
}

/// Rates that encoders are told when the measured one is within half a percent: timestamps are often rounded to ms.
const USUAL: [(u32, u32); 14] = [
    (24, 1),
    (24000, 1001),
    (25, 1),
    (30, 1),
    (30000, 1001),
    (50, 1),
    (60, 1),
    (60000, 1001),
    (48, 1),
    (15, 1),
    (20, 1),
    (12, 1),
    (10, 1),
    (120, 1),
];

impl Timeline {
    pub(crate) fn of(units: &[Unit]) -> Self {
        let reference = units.iter().find_map(|unit| unit.pts).unwrap_or(0);
        let mut times: Vec<i64> = units.iter().filter_map(|u| u.pts).map(|pts| nearest(pts, reference)).collect();
        times.sort_unstable();
        times.dedup();
        let span = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
        let gaps = times.len().saturating_sub(1) as i64;
        // One picture says nothing: 30 per second is as good as any.
        let (num, den) = if gaps == 0 || span == 0 { (30, 1) } else { usual(gaps * TICKS_PER_SECOND, span) };
        let frame = match gaps {
            0 => 3000,
            gaps => ((2 * span + gaps) / (2 * gaps)).max(1),
        };
        Self { reference, fps: Fps { num, den }, frame }
    }

    /// `pts` on this timeline: without the wrap at 2^33.
    pub(crate) fn place(&self, pts: i64) -> i64 {
        nearest(pts, self.reference)
    }
}

/// `num / den` pictures per second as a ratio that an encoder takes, between 1 and 240.
fn usual(num: i64, den: i64) -> (u32, u32) {
    let rate = num as f64 / den as f64;
    let off = |(n, d): &(u32, u32)| (rate * f64::from(*d) / f64::from(*n) - 1.0).abs();
    let near = USUAL.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    match near {
        Some(near) if off(&near) < 0.005 => near,
        _ => ((rate.clamp(1.0, 240.0) * 1000.0).round() as u32, 1000),
    }
}

/// Times at which a rendition shows a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cadence {
    /// As the source.
    Source,
    /// On a grid that starts at time zero, so that neighbouring segments join without a seam.
    Fixed(Fps),
}

impl Cadence {
    /// The times within `from..until` at which the picture that is current then is shown.
    pub(crate) fn times(self, from: i64, until: i64) -> impl Iterator<Item = i64> {
        let (first, last, fps) = match self {
            Self::Source => (0, 1, None),
            Self::Fixed(fps) => (grid_index(from, fps), grid_index(until, fps), Some(fps)),
        };
        (first..last).map(move |k| fps.map_or(from, |fps| grid_time(k, fps)))
    }
}

fn ticks(fps: Fps) -> (i128, i128) {
    (i128::from(TICKS_PER_SECOND) * i128::from(fps.den), i128::from(fps.num))
}

/// The first grid point not before `time`.
fn grid_index(time: i64, fps: Fps) -> i64 {
    let (ticks, num) = ticks(fps);
    let mut k = (i128::from(time) * num).div_euclid(ticks) as i64;
    while grid_time(k, fps) < time {
        k += 1;
    }
    k
}

fn grid_time(k: i64, fps: Fps) -> i64 {
    let (ticks, num) = ticks(fps);
    (i128::from(k) * ticks).div_euclid(num) as i64
}

/// Where in the stream's own count a time lies.
pub(crate) fn in_stream(time: i64) -> i64 {
    time.rem_euclid(WRAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(times: impl Iterator<Item = i64>) -> Vec<Unit> {
        times.map(|t| Unit { pts: Some(t.rem_euclid(WRAP)), ..Unit::default() }).collect()
    }

    #[test]
    fn rates_are_measured_and_snapped() {
        let rate = |times: Vec<i64>| {
            let timeline = Timeline::of(&units(times.into_iter()));
            (timeline.fps.num, timeline.fps.den, timeline.frame)
        };
        assert_eq!(rate((0..60).map(|i| i * 3000).collect()), (30, 1, 3000));
        assert_eq!(rate((0..60).map(|i| i * 3003).collect()), (30000, 1001, 3003));
        assert_eq!(rate((0..48).map(|i| i * 3750).collect()), (24, 1, 3750));
        // Rounded to milliseconds, out of order, across the wrap.
        let rough: Vec<i64> = [3, 1, 2, 0].into_iter().chain(4..120).map(|i| WRAP - 700 + i * 1000 / 60 * 90).collect();
        assert_eq!(rate(rough), (60, 1, 1500));
        assert_eq!(rate(vec![77]), (30, 1, 3000));
        assert_eq!(rate(vec![0, 27_000]), (3333, 1000, 27_000));
    }

    #[test]
    fn a_fixed_grid_has_no_seam() {
        for fps in [Fps { num: 30, den: 1 }, Fps { num: 30000, den: 1001 }, Fps { num: 7, den: 1 }] {
            let whole: Vec<i64> = Cadence::Fixed(fps).times(1234, 1_000_000).collect();
            let cut = [1234, 5000, 5001, 400_000, 1_000_000];
            let parts: Vec<i64> = cut.windows(2).flat_map(|w| Cadence::Fixed(fps).times(w[0], w[1])).collect();
            assert_eq!(whole, parts);
            assert!(whole.len() as i64 >= 998_766 * i64::from(fps.num) / i64::from(fps.den) / 90_000);
        }
        assert_eq!(Cadence::Source.times(42, 99).collect::<Vec<_>>(), [42]);
    }
}
