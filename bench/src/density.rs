//! `headframe-bench density`: how many live ladders a core sustains, by the processor time that each costs.

use crate::compare::contest::Way;
use crate::compare::ratio::FFMPEG_THREADS;
use crate::figures::{self, Head};
use crate::machine::{self, Cost, Meter};
use crate::options::DensityOptions;
use crate::progress::Progress;
use crate::stage::Stage;
use crate::stats::{Spread, spread};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    workers: usize,
    /// In the order in which they ran: contestants take turns.
    runs: Vec<Run>,
    summary: Vec<Summary>,
    /// Our streams per core over the best ffmpeg's, both with as many at once as there are workers. Above 1 we carry more.
    ratio: f64,
    ratio_against: String,
    /// The same within each round, least and most.
    ratio_spread: (f64, f64),
    notes: Vec<String>,
}

/// Some streams at once, each as fast as it goes.
#[derive(Debug, Clone, Serialize)]
struct Run {
    who: String,
    streams: usize,
    #[serde(flatten)]
    cost: Cost,
    /// Per second of video of one stream.
    cpu_s_per_s: f64,
    /// Most memory of one process, bytes.
    rss_bytes: u64,
}

/// One contestant over all rounds.
#[derive(Debug, Clone, Serialize)]
struct Summary {
    who: String,
    streams: usize,
    streams_per_core: Spread,
    cpu_s_per_s: Spread,
    /// Seconds of video of all streams together made per second.
    real_time_factor: Spread,
    rss_mib: u64,
    others_cores: f64,
}

/// Measures, prints, and stores where asked.
pub(crate) fn run(options: &DensityOptions) -> Result<()> {
    let progress = Progress::new();
    let stage = Stage::set(&options.input, 20, &progress)?;
    let sources = stage.sources()?;
    let workers = options.workers.unwrap_or_else(|| machine::cores().max(1));
    let mut at_once = vec![1, workers];
    at_once.dedup();
    let ways: Vec<Way<'_>> = stage
        .ffmpegs
        .iter()
        .flat_map(|ffmpeg| FFMPEG_THREADS.map(|threads| Way::Continuous { ffmpeg, threads }))
        .collect();
    let mut turns: Vec<(Option<Way<'_>>, usize)> = at_once.iter().map(|streams| (None, *streams)).collect();
    turns.extend(at_once.iter().flat_map(|streams| ways.iter().map(|way| (Some(*way), *streams))));
    let mut runs = Vec::new();
    for round in 0..options.rounds {
        for turn in 0..turns.len() {
            let (way, streams) = turns[(turn + round) % turns.len()];
            let who = way.map_or("headframe".to_owned(), |way| way.to_string());
            progress.step(&format!("round {} of {}: {who}, {streams} at once", round + 1, options.rounds));
            let (cost, rss_bytes) = match way {
                None => ours(&stage, &sources, streams)?,
                Some(way) => theirs(&stage, way, streams)?,
            };
            let cpu_s_per_s = cost.cpu_s() / (stage.seconds() * streams as f64);
            progress.say(&format!(
                "round {}: {who:<30} {streams} at once: {cpu_s_per_s:.3} CPU s per second of video, others used {:.2} cores",
                round + 1,
                cost.others_cores
            ));
            runs.push(Run { who, streams, cost, cpu_s_per_s, rss_bytes });
        }
    }
    let mut summary = Vec::new();
    for (way, streams) in &turns {
        let who = way.map_or("headframe".to_owned(), |way| way.to_string());
        summary.push(summarise(&who, *streams, &runs, stage.seconds()).context("nothing was measured")?);
    }
    let (ratio, ratio_against, ratio_spread) = ratio(&summary, &runs, workers).context("no ffmpeg took part")?;
    let others = summary.iter().map(|summary| summary.others_cores).fold(0.0, f64::max);
    let report =
        Report { head: stage.head(), workers, runs, summary, ratio, ratio_against, ratio_spread, notes: notes(others) };
    progress.done();
    print(&report);
    figures::store(options.json.as_deref(), &report)
}

/// `streams` streams on as many workers that are up; their start does not count, as on a rig. Cost, and memory of a worker.
fn ours(stage: &Stage, sources: &[Vec<u8>], streams: usize) -> Result<(Cost, u64)> {
    let pool = stage.pool(streams)?;
    // One segment each, at once, so that every worker has its memory.
    let all = |segments: &[Vec<u8>]| -> Result<()> {
        let one = |stream: usize| -> Result<()> {
            for (number, bytes) in segments.iter().enumerate() {
                stage.transcode(&pool, &format!("density-{stream}"), number as u64, bytes)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..streams).map(|stream| scope.spawn(move || one(stream))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a stream ended")))
        })
    };
    all(&sources[..1])?;
    let (meter, before) = (Meter::start(), machine::used_by(&pool.stats().pids));
    all(sources)?;
    let cost = meter.cost(meter.wall(), (machine::used_by(&pool.stats().pids) - before).max(0.0));
    let stats = pool.stats();
    let rss = stats.rss_bytes / stats.workers.max(1) as u64;
    pool.shutdown();
    ensure!(stats.restarts_total() == 0, "codec workers were replaced during the run; it does not count");
    Ok((cost, rss))
}

/// `streams` processes at once over the whole clip, each in a folder of its own. Cost, and memory of the largest.
fn theirs(stage: &Stage, way: Way<'_>, streams: usize) -> Result<(Cost, u64)> {
    let Way::Continuous { ffmpeg, .. } = way else { anyhow::bail!("{way} is not continuous") };
    let mut folders = Vec::new();
    for stream in 0..streams {
        let folder = stage.folder().join(format!("density-{stream}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join(way.to_string()))?;
        // Same command line everywhere: it reads and writes relative to its folder.
        std::os::unix::fs::symlink(&stage.cut.whole, folder.join("source.ts"))?;
        folders.push(folder);
    }
    let (command, peak) = (stage.command(way, 0), AtomicU64::new(0));
    let meter = Meter::start();
    std::thread::scope(|scope| {
        let (command, peak) = (&command, &peak);
        let start = |folder: &PathBuf| {
            let folder = folder.clone();
            scope.spawn(move || ffmpeg.run_watched(&folder, command, peak))
        };
        let threads: Vec<_> = folders.iter().map(start).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a stream ended")))
    })?;
    Ok((meter.cost(meter.wall(), 0.0), peak.load(Ordering::Relaxed)))
}

fn of<'a>(who: &'a str, streams: usize, runs: &'a [Run]) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.who == who && run.streams == streams)
}

fn summarise(who: &str, streams: usize, runs: &[Run], seconds: f64) -> Option<Summary> {
    let mine = || of(who, streams, runs);
    Some(Summary {
        who: who.to_owned(),
        streams,
        streams_per_core: spread(mine().map(|run| 1.0 / run.cpu_s_per_s))?,
        cpu_s_per_s: spread(mine().map(|run| run.cpu_s_per_s))?,
        real_time_factor: spread(mine().map(|run| seconds * streams as f64 / run.cost.wall_s.max(1e-9)))?,
        rss_mib: mine().map(|run| run.rss_bytes).max()? >> 20,
        others_cores: spread(mine().map(|run| run.cost.others_cores))?.median,
    })
}

/// Ours over the best ffmpeg's at `streams` at once: ratio of medians, whose, and the rounds' least and most.
fn ratio(summary: &[Summary], runs: &[Run], streams: usize) -> Option<(f64, String, (f64, f64))> {
    let here = || summary.iter().filter(|summary| summary.streams == streams);
    let ours = here().find(|summary| summary.who == "headframe")?;
    let theirs = here().filter(|summary| summary.who != "headframe");
    let best = theirs.max_by(|a, b| a.streams_per_core.median.total_cmp(&b.streams_per_core.median))?;
    let pairs = of(&best.who, streams, runs).zip(of("headframe", streams, runs));
    let each = spread(pairs.map(|(theirs, ours)| theirs.cpu_s_per_s / ours.cpu_s_per_s))?;
    Some((ours.streams_per_core.median / best.streams_per_core.median, best.who.clone(), (each.min, each.max)))
}

fn notes(others_cores: f64) -> Vec<String> {
    let mut notes = vec![
        "streams per core = 1 / (CPU seconds per second of video): what the work leaves room for, with no queue and no \
         deadline; what a machine keeps on time is for certify"
            .to_owned(),
        "processor time of warm workers and of this process; of ffmpeg, whole processes".to_owned(),
    ];
    notes.extend(figures::circumstances(others_cores));
    notes
}

fn print(report: &Report) {
    println!("{}", report.head.lines());
    println!(
        "\n{:<30}{:>8}{:>14}{:>16}{:>16}{:>9}{:>10}",
        "", "at once", "streams/core", "(min..max)", "CPU s/s video", "x live", "RSS MiB"
    );
    for s in &report.summary {
        println!(
            "{:<30}{:>8}{:>14.3}{:>16}{:>16.3}{:>9.2}{:>10}",
            s.who,
            s.streams,
            s.streams_per_core.median,
            format!("({:.2}..{:.2})", s.streams_per_core.min, s.streams_per_core.max),
            s.cpu_s_per_s.median,
            s.real_time_factor.median,
            s.rss_mib
        );
    }
    println!();
    report.notes.iter().for_each(|note| println!("note: {note}"));
    let (least, most) = report.ratio_spread;
    println!("\ndensity_ratio {:.3} ({least:.2}..{most:.2}) against {}", report.ratio, report.ratio_against);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_ffmpeg_that_costs_least_counts() {
        let run = |who: &str, cpu: f64| Run {
            who: who.into(),
            streams: 2,
            cost: Cost { wall_s: 10.0, user_s: cpu, system_s: 0.0, others_cores: 0.0 },
            cpu_s_per_s: cpu / 20.0,
            rss_bytes: 3 << 20,
        };
        let runs = [run("headframe", 10.0), run("a", 15.0), run("b", 12.0), run("headframe", 8.0), run("b", 12.0)];
        let summary: Vec<_> = ["headframe", "a", "b"].map(|who| summarise(who, 2, &runs, 10.0).unwrap()).into();
        assert_eq!((summary[2].cpu_s_per_s.median, summary[2].real_time_factor.median), (0.6, 2.0));
        let (ratio, who, (least, most)) = ratio(&summary, &runs, 2).unwrap();
        // Streams per core in the two rounds: 2 and 2.5, median 2.25, against 1 / 0.6.
        assert!((ratio - 2.25 * 0.6).abs() < 1e-9 && who == "b", "{ratio} {who}");
        assert!((least - 1.2).abs() < 1e-9 && (most - 1.5).abs() < 1e-9, "{least} {most}");
    }
}
