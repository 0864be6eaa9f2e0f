//! The segment's clock: frame rate, wrap-around, and which picture is shown when.

use crate::ladder::{Fps, Rendition};
use crate::segment::TICKS_PER_SECOND;
use crate::ts::{Unit, WRAP, nearest};

/// A time further than this from both its neighbours is wrong.
const JUMP: i64 = 10 * TICKS_PER_SECOND;
/// No source shows one picture for longer; its clock was set ahead.
const LONGEST: i64 = 60 * TICKS_PER_SECOND;

/// What the access units' times say before anything is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// Each unit's time without the wrap at 2^33; `None` where it is missing or cannot be.
    pub(crate) times: Vec<Option<i64>>,
    /// The first picture's time if it has none of its own.
    pub(crate) first: i64,
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
        let mut times: Vec<Option<i64>> = units.iter().map(|unit| unit.pts).collect();
        place(&mut times);
        drop_glitches(&mut times);
        // Again, because what was dropped may have been the reference.
        place(&mut times);
        let (span, gaps) = spacing(units, &times);
        // One picture says nothing: 30 per second is as good as any.
        let (num, den) = if gaps == 0 || span == 0 { (30, 1) } else { usual(gaps * TICKS_PER_SECOND, span) };
        let frame = match gaps {
            0 => 3000,
            gaps => ((2 * span + gaps) / (2 * gaps)).max(1),
        };
        // Pictures are reordered by at most 16.
        let early = times.iter().take(17).flatten().min();
        let first = times.first().copied().flatten().or(early.map(|early| early - frame)).unwrap_or(0);
        Self { times, first, fps: Fps { num, den }, frame }
    }
}

/// Undoes the wrap: all times as near to the first one as they can be.
fn place(times: &mut [Option<i64>]) {
    let Some(first) = times.iter().flatten().next() else { return };
    let reference = first.rem_euclid(WRAP);
    for time in times.iter_mut().flatten() {
        *time = nearest(*time, reference);
    }
}

/// Drops single times that are far from both their neighbours, which are near to each other.
fn drop_glitches(times: &mut [Option<i64>]) {
    let far = |a: i64, b: i64| (a - b).abs() > JUMP;
    let known: Vec<usize> = (0..times.len()).filter(|i| times[*i].is_some()).collect();
    for (k, at) in known.iter().enumerate() {
        let near = |k: usize| known.get(k).and_then(|at| times[*at]);
        let (left, right) = if k == 0 { (near(1), near(2)) } else { (near(k - 1), near(k + 1)) };
        if let (Some(left), Some(right), Some(time)) = (left, right, times[*at])
            && far(time, left)
            && far(time, right)
            && !far(left, right)
        {
            times[*at] = None;
        }
    }
}

/// Time covered by the pictures and how many steps it is made of; without jumps, and with the pictures whose own time is
/// missing.
fn spacing(units: &[Unit], times: &[Option<i64>]) -> (i64, i64) {
    let mut known: Vec<i64> = times.iter().flatten().copied().collect();
    known.sort_unstable();
    known.dedup();
    let mut steps: Vec<i64> = known.windows(2).map(|w| w[1] - w[0]).collect();
    steps.sort_unstable();
    let Some(usual) = steps.get(steps.len() / 2).copied() else { return (0, 0) };
    let steps = steps.into_iter().filter(|step| *step <= 32 * usual);
    let (span, gaps) = steps.fold((0, 0), |(span, gaps), step| (span + step, gaps + 1));
    let inner = times.iter().position(Option::is_some).zip(times.iter().rposition(Option::is_some));
    let missing = inner.map_or(0, |(first, last)| {
        let untimed = (first..last).filter(|i| times[*i].is_none() && begins_picture(&units[*i].data));
        untimed.count()
    });
    (span, gaps + missing as i64)
}

/// Whether a payload without a time is a picture of its own and not the rest of the one before it.
fn begins_picture(data: &[u8]) -> bool {
    data.starts_with(&[0, 0, 0, 1]) || data.starts_with(&[0, 0, 1])
}

/// Gives every picture a time later than the one before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    last: Option<i64>,
    /// Added to the source's times since its clock was set.
    shift: i64,
}

impl Clock {
    /// The time of the next picture in the order in which they are shown, if its own time is `given`.
    ///
    /// A missing time follows from the one before. A time that is equal or a little behind becomes the next possible one.
    /// When the source's clock is set back, or ahead by more than a minute, its pictures go on without a gap.
    pub(crate) fn next(&mut self, given: Option<i64>, timeline: &Timeline) -> i64 {
        let time = match (given, self.last) {
            (given, None) => given.unwrap_or(timeline.first),
            (None, Some(last)) => last + timeline.frame,
            (Some(given), Some(last)) => {
                let expected = last + timeline.frame;
                if (given - expected).abs() < (given + self.shift - expected).abs() {
                    self.shift = 0;
                }
                let step = given + self.shift - last;
                if step <= -2 * timeline.frame || step > LONGEST {
                    self.shift = expected - given;
                }
                (given + self.shift).max(last + 1)
            }
        };
        self.last = Some(time);
        time
    }

    /// Of the last picture.
    pub(crate) fn last(&self) -> Option<i64> {
        self.last
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
    /// What a rendition orders.
    pub(crate) fn of(rendition: &Rendition) -> Self {
        rendition.fps.map_or(Self::Source, Self::Fixed)
    }

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
        // A jump is no step.
        assert_eq!(rate((0..60).map(|i| i * 3000 + i / 30 * 5_000_000).collect()), (30, 1, 3000));
    }

    #[test]
    fn missing_and_impossible_times_are_bridged() {
        let picture = |pts: Option<i64>| Unit { pts, dts: None, data: vec![0, 0, 0, 1, 9] };
        let made = |times: Vec<Option<i64>>| {
            let timeline = Timeline::of(&times.into_iter().map(picture).collect::<Vec<_>>());
            let mut clock = Clock::default();
            timeline.times.iter().map(|time| clock.next(*time, &timeline)).collect::<Vec<_>>()
        };
        let want: Vec<i64> = (0..20).map(|i| 1_000_000 + i * 3000).collect();
        let all = || want.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(made((0..20).map(|i| all()[i].filter(|_| i % 3 == 0)).collect()), want);
        for glitch in 0..20 {
            for value in [want[glitch] + 30 * 90_000, 0] {
                let mut times = all();
                times[glitch] = Some(value);
                let made = made(times);
                // A last picture that is late may be right.
                assert!(made == want || (glitch == 19 && made[..19] == want[..19]), "{glitch}: {made:?}");
            }
        }
        for back in [9000, 45_000, 9_000_000] {
            let times = (0..20).map(|i| Some(want[i] - if i >= 8 { back } else { 0 }).map(|t| t.rem_euclid(WRAP)));
            assert_eq!(made(times.collect()).len(), 20);
        }
        let back = made((0..20).map(|i| Some(want[i] - if i >= 8 { 900_000 } else { 0 })).collect());
        assert_eq!(back, want);
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
