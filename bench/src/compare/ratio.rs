//! Ratios from runs: ffmpeg's figure over ours, always the better ffmpeg's.

use super::contest::{Outcome, Way};
use crate::ffmpeg::Ffmpeg;
use crate::stats::{Spread, spread};
use serde::Serialize;

/// Threads per encoder that ffmpeg is given; its better figure counts.
pub(crate) const FFMPEG_THREADS: [usize; 2] = [1, 2];

/// One contestant over all runs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary<'a> {
    pub(super) way: Way<'a>,
    pub(super) wall_s: Spread,
    pub(super) cpu_s: Spread,
    /// Seconds of video made per second, median.
    pub(super) real_time_factor: f64,
    pub(super) others_cores: f64,
    pub(super) bitrate_kbps: Vec<f64>,
}

/// ffmpeg over us; the best of ffmpeg's variants, chosen for each figure by itself.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ratio<'a> {
    pub(super) kind: &'static str,
    pub(super) ours: Way<'a>,
    pub(super) wall_ratio: f64,
    pub(super) wall_against: Way<'a>,
    /// The ratio within each round, least and most.
    pub(super) wall_spread: (f64, f64),
    pub(super) cpu_ratio: f64,
    pub(super) cpu_against: Way<'a>,
    pub(super) cpu_spread: (f64, f64),
}

/// All contestants: we, then each ffmpeg in all its ways.
pub(super) fn ways<'a>(in_flight: &[usize], ffmpegs: &'a [Ffmpeg]) -> Vec<Way<'a>> {
    let mut ways: Vec<_> = in_flight.iter().map(|n| Way::Headframe { in_flight: *n }).collect();
    for ffmpeg in ffmpegs {
        ways.extend(FFMPEG_THREADS.map(|threads| Way::Continuous { ffmpeg, threads }));
        ways.extend(FFMPEG_THREADS.map(|threads| Way::PerSegment { ffmpeg, threads }));
    }
    ways
}

fn of<'a>(way: Way<'a>, runs: &[Outcome<'a>], figure: fn(&Outcome<'_>) -> f64) -> Vec<f64> {
    runs.iter().filter(|run| run.way == way).map(figure).collect()
}

fn wall(run: &Outcome<'_>) -> f64 {
    run.cost.wall_s
}

fn cpu(run: &Outcome<'_>) -> f64 {
    run.cost.cpu_s()
}

pub(super) fn summarise<'a>(way: Way<'a>, runs: &[Outcome<'a>], seconds: f64) -> Option<Summary<'a>> {
    let wall_s = spread(of(way, runs, wall))?;
    let last = runs.iter().rfind(|run| run.way == way)?;
    Some(Summary {
        way,
        wall_s,
        cpu_s: spread(of(way, runs, cpu))?,
        real_time_factor: seconds / wall_s.median.max(1e-9),
        others_cores: spread(of(way, runs, |run| run.cost.others_cores))?.median,
        bitrate_kbps: last.bytes.iter().map(|bytes| *bytes as f64 * 8.0 / 1000.0 / seconds).collect(),
    })
}

/// The ratio of medians against the best ffmpeg of a kind.
pub(super) fn ratio<'a>(
    kind: &'static str,
    ours: Way<'a>,
    ways: &[Way<'a>],
    runs: &[Outcome<'a>],
) -> Option<Ratio<'a>> {
    let of_kind = |way: &&Way<'_>| match way {
        Way::Continuous { .. } => kind == "continuous",
        Way::PerSegment { .. } => kind == "segments",
        Way::Headframe { .. } => false,
    };
    let against = |figure: fn(&Outcome<'_>) -> f64| {
        let mut best: Option<(Way<'_>, f64)> = None;
        for way in ways.iter().filter(of_kind) {
            let median = spread(of(*way, runs, figure))?.median;
            if best.is_none_or(|(_, least)| median < least) {
                best = Some((*way, median));
            }
        }
        let (way, median) = best?;
        let mine = of(ours, runs, figure);
        let pairs = spread(of(way, runs, figure).iter().zip(&mine).map(|(theirs, ours)| theirs / ours))?;
        Some((way, median / spread(mine)?.median, (pairs.min, pairs.max)))
    };
    let (wall_against, wall_ratio, wall_spread) = against(wall)?;
    let (cpu_against, cpu_ratio, cpu_spread) = against(cpu)?;
    Some(Ratio { kind, ours, wall_ratio, wall_against, wall_spread, cpu_ratio, cpu_against, cpu_spread })
}

/// Whose pictures are looked at: ours, and those of every ffmpeg that a ratio names.
pub(super) fn judged<'a>(ratios: &[Ratio<'a>]) -> Vec<Way<'a>> {
    let mut ways = Vec::new();
    for ratio in ratios {
        for way in [ratio.ours, ratio.wall_against, ratio.cpu_against] {
            // Our output does not depend on how many segments are in flight.
            let known = ways
                .iter()
                .any(|known| *known == way || matches!((known, way), (Way::Headframe { .. }, Way::Headframe { .. })));
            if !known {
                ways.push(way);
            }
        }
    }
    ways
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::machine::Cost;

    fn run(way: Way<'_>, wall_s: f64, cpu: f64) -> Outcome<'_> {
        let cost = Cost { wall_s, user_s: cpu, system_s: 0.0, others_cores: 0.0 };
        Outcome { way, cost, bytes: vec![], slowest_segment_s: None }
    }

    #[test]
    fn the_best_of_all_ffmpegs_counts_for_each_figure() {
        let ffmpegs = ["5.1.9", "9.0.2"].map(Ffmpeg::named);
        let ways = ways(&[1], &ffmpegs);
        assert_eq!(ways.len(), 9, "us, and two ffmpegs in four ways");
        let (ours, old, new) = (ways[0], ways[1], ways[6]);
        assert_eq!(
            (old.to_string(), new.to_string()),
            ("ffmpeg-5.1.9-continuous-t1".to_owned(), "ffmpeg-9.0.2-continuous-t2".to_owned())
        );
        let runs = [
            run(ours, 10.0, 16.0),
            run(old, 30.0, 20.0),
            run(new, 20.0, 24.0),
            run(ours, 8.0, 16.0),
            run(old, 32.0, 22.0),
            run(new, 16.0, 26.0),
        ];
        let took_part = [ours, old, new];
        let ratio = ratio("continuous", ours, &took_part, &runs).unwrap();
        assert_eq!((ratio.wall_against, ratio.cpu_against), (new, old));
        assert_eq!((ratio.wall_ratio, ratio.cpu_ratio), (2.0, 21.0 / 16.0));
        assert_eq!((ratio.wall_spread, ratio.cpu_spread), ((2.0, 2.0), (1.25, 1.375)));
        assert!(super::ratio("segments", ours, &took_part, &runs).is_none(), "nothing of that kind ran");
        assert_eq!(judged(&[ratio]), [ours, new, old]);
    }
}
