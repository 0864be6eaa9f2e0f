//! `headframe-bench latency`: from a segment in to its first part and its last byte out, one segment at a time.

use crate::compare::contest::Way;
use crate::compare::ratio::FFMPEG_THREADS;
use crate::figures::{self, Head};
use crate::machine::{Meter, used_by};
use crate::options::LatencyOptions;
use crate::progress::Progress;
use crate::stage::Stage;
use crate::stats::{Spread, percentile, spread};
use anyhow::{Context as _, Result};
use headframe_codec::worker::Pool;
use serde::Serialize;

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head,
    rounds: usize,
    /// One worker up, one stream under way.
    warm: Times,
    /// The same segments, until the first part of every rendition is there.
    first_part: Times,
    /// The first segment of a new stream, on a worker that is up.
    new_stream: Times,
    /// The first segment of all, on a worker that has just come up; its start not included.
    fresh_worker: Times,
    /// Until a worker has proven its sandbox and takes work.
    worker_start: Times,
    ffmpeg: Vec<Theirs<'a>>,
    /// The best ffmpeg's median over ours, warm. Above 1 we are faster.
    ratio: f64,
    ratio_against: Way<'a>,
    /// The same within each round, least and most.
    ratio_spread: (f64, f64),
    others_cores: f64,
    notes: Vec<String>,
}

/// A fresh process for each segment.
#[derive(Debug, Serialize)]
struct Theirs<'a> {
    way: Way<'a>,
    #[serde(flatten)]
    times: Times,
}

/// Milliseconds, and what they come to.
#[derive(Debug, Clone, Serialize)]
struct Times {
    count: usize,
    median_ms: f64,
    p95_ms: f64,
    worst_ms: f64,
    /// Median of each round.
    rounds_ms: Spread,
}

impl Times {
    /// Of microseconds, round by round; `None` without any.
    fn of(rounds: &[Vec<u64>]) -> Option<Self> {
        let ms = |us: u64| us as f64 / 1000.0;
        let mut all = rounds.concat();
        all.sort_unstable();
        let medians = rounds.iter().filter_map(|round| median(round));
        Some(Self {
            count: all.len(),
            median_ms: median(&all)?,
            p95_ms: ms(percentile(&all, 950)),
            worst_ms: ms(percentile(&all, 1000)),
            rounds_ms: spread(medians)?,
        })
    }
}

/// Of microseconds, in milliseconds.
fn median(times_us: &[u64]) -> Option<f64> {
    Some(spread(times_us.iter().map(|us| *us as f64 / 1000.0))?.median)
}

/// Microseconds, round by round.
type Rounds = Vec<Vec<u64>>;

/// Measures, prints, and stores where asked.
pub(crate) fn run(options: &LatencyOptions) -> Result<()> {
    let progress = Progress::new();
    let stage = Stage::set(&options.input, 20, &progress)?;
    let sources = stage.sources()?;
    let ways: Vec<Way<'_>> = stage
        .ffmpegs
        .iter()
        .flat_map(|ffmpeg| FFMPEG_THREADS.map(|threads| Way::PerSegment { ffmpeg, threads }))
        .collect();
    for way in &ways {
        std::fs::create_dir(stage.folder().join(way.to_string()))?;
    }
    let pool = stage.pool(1)?;
    stage.transcode(&pool, "warming up", 0, &sources[0])?;
    let (meter, before) = (Meter::start(), used_by(&pool.stats().pids));
    let (mut warm, mut new, mut fresh, mut start) = (Rounds::new(), Rounds::new(), Rounds::new(), Rounds::new());
    let mut parts = Rounds::new();
    let mut theirs: Vec<Rounds> = vec![Rounds::new(); ways.len()];
    for round in 0..options.rounds {
        progress.step(&format!(
            "round {} of {}: warm worker and ffmpeg, segment by segment",
            round + 1,
            options.rounds
        ));
        let stream = format!("round-{round}");
        let (mut ours, mut ours_first) = (Vec::new(), Vec::new());
        theirs.iter_mut().for_each(|rounds| rounds.push(Vec::new()));
        for (number, bytes) in sources.iter().enumerate() {
            // Contestants take turns, from another one on each time. Our turn is the one behind the last ffmpeg.
            for turn in 0..=ways.len() {
                let at = (turn + number + round) % (ways.len() + 1);
                match ways.get(at) {
                    Some(way) => theirs[at][round].push(fresh_ffmpeg(&stage, *way, number)?),
                    None => {
                        let (first, last) = timed(&stage, &pool, &stream, number as u64, bytes)?;
                        ours_first.push(first);
                        ours.push(last);
                    }
                }
            }
        }
        warm.push(ours);
        parts.push(ours_first);
        progress.step(&format!("round {} of {}: first segments", round + 1, options.rounds));
        let first = |(number, bytes): (usize, &Vec<u8>)| {
            timed(&stage, &pool, &format!("new-{round}-{number}"), 0, bytes).map(last)
        };
        new.push(sources.iter().enumerate().map(first).collect::<Result<_>>()?);
        let (started, first) = fresh_worker(&stage, &sources[round % sources.len()])?;
        start.push(vec![started]);
        fresh.push(vec![first]);
    }
    let cost = meter.cost(meter.wall(), used_by(&pool.stats().pids) - before);
    pool.shutdown();
    let times = |rounds: &Rounds| Times::of(rounds).context("nothing was measured");
    let mut ffmpeg = Vec::new();
    for (way, rounds) in ways.iter().zip(&theirs) {
        ffmpeg.push(Theirs { way: *way, times: times(rounds)? });
    }
    let best = (0..ways.len()).min_by(|a, b| ffmpeg[*a].times.median_ms.total_cmp(&ffmpeg[*b].times.median_ms));
    let best = best.context("no ffmpeg took part")?;
    let of_round = |(theirs, ours): (&Vec<u64>, &Vec<u64>)| Some(median(theirs)? / median(ours)?);
    let each = spread(theirs[best].iter().zip(&warm).filter_map(of_round)).context("nothing was measured")?;
    let warm = times(&warm)?;
    let report = Report {
        head: stage.head(),
        rounds: options.rounds,
        ratio: ffmpeg[best].times.median_ms / warm.median_ms,
        ratio_against: ways[best],
        ratio_spread: (each.min, each.max),
        warm,
        first_part: times(&parts)?,
        new_stream: times(&new)?,
        fresh_worker: times(&fresh)?,
        worker_start: times(&start)?,
        ffmpeg,
        others_cores: cost.others_cores,
        notes: notes(cost.others_cores),
    };
    progress.done();
    print(&report);
    figures::store(options.json.as_deref(), &report)
}

/// Microseconds from the segment handed to the pool until the first part of every rendition, and until all of them, are
/// in this process.
fn timed(stage: &Stage, pool: &Pool, stream: &str, number: u64, bytes: &[u8]) -> Result<(u64, u64)> {
    let (mut waiting, mut first) = (stage.ladder.renditions().len(), 0.0);
    let meter = Meter::start();
    stage.transcode_in_parts(pool, stream, number, bytes, &mut |part| {
        waiting -= usize::from(part.number == 0);
        if part.number == 0 && waiting == 0 {
            first = meter.wall();
        }
    })?;
    Ok((micros(first), micros(meter.wall())))
}

/// Of a pair of times, the one of the last byte.
fn last((_, last): (u64, u64)) -> u64 {
    last
}

/// Microseconds from the start of a process to its end, files written.
fn fresh_ffmpeg(stage: &Stage, way: Way<'_>, number: usize) -> Result<u64> {
    let Way::PerSegment { ffmpeg, .. } = way else { return Ok(0) };
    let command = stage.command(way, number);
    let meter = Meter::start();
    ffmpeg.run(stage.folder(), &command)?;
    Ok(micros(meter.wall()))
}

/// Of a pool of its own: its start, and its first segment.
fn fresh_worker(stage: &Stage, bytes: &[u8]) -> Result<(u64, u64)> {
    let meter = Meter::start();
    let pool = stage.pool(1)?;
    let started = micros(meter.wall());
    let first = timed(stage, &pool, "fresh", 0, bytes).map(last)?;
    pool.shutdown();
    Ok((started, first))
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

fn notes(others_cores: f64) -> Vec<String> {
    let mut notes = vec![
        "ours: bytes in memory to bytes in memory; ffmpeg: a process from its start to its end, files in and out"
            .to_owned(),
        "the ratio is that of medians, against the best of ffmpeg's variants".to_owned(),
    ];
    notes.extend(figures::circumstances(others_cores));
    notes
}

fn print(report: &Report<'_>) {
    println!("{}", report.head.lines());
    println!("\n{:<36}{:>8}{:>12}{:>9}{:>10}   medians of rounds", "milliseconds", "count", "median", "p95", "worst");
    let line = |name: &str, times: &Times| {
        println!(
            "{name:<36}{:>8}{:>12.1}{:>9.1}{:>10.1}   {:.1} to {:.1}",
            times.count, times.median_ms, times.p95_ms, times.worst_ms, times.rounds_ms.min, times.rounds_ms.max
        );
    };
    line("warm worker", &report.warm);
    line("  until each has its first part", &report.first_part);
    line("new stream, warm worker", &report.new_stream);
    line("first segment of a fresh worker", &report.fresh_worker);
    line("a worker's start", &report.worker_start);
    for theirs in &report.ffmpeg {
        line(&theirs.way.to_string(), &theirs.times);
    }
    println!();
    report.notes.iter().for_each(|note| println!("note: {note}"));
    let (least, most) = report.ratio_spread;
    println!("\nlatency_ratio {:.3} ({least:.2}..{most:.2}) against {}", report.ratio, report.ratio_against);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn times_come_to_medians_and_ends() {
        let times = Times::of(&[vec![1000, 9000, 2000], vec![4000, 3000, 5000]]).unwrap();
        assert_eq!((times.count, times.median_ms, times.p95_ms, times.worst_ms), (6, 3.5, 9.0, 9.0));
        assert_eq!((times.rounds_ms.min, times.rounds_ms.max), (2.0, 4.0));
        assert!(Times::of(&[]).is_none() && Times::of(&[vec![]]).is_none());
    }
}
