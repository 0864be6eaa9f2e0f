//! `headframe-bench kernels`: what a 1080p picture costs, against copying it and against FFmpeg's scalers.

mod cases;
mod filters;

use crate::ffmpeg::Ffmpeg;
use crate::figures::{self, Head, Versions};
use crate::machine::{self, Machine, Meter};
use crate::options::KernelsOptions;
use crate::progress::Progress;
use crate::stage::ladder;
use crate::stats::{Spread, spread};
use anyhow::{Context as _, Result};
use headframe_kernels::Isa;
use serde::Serialize;
use std::path::Path;

const SIZE: (u32, u32) = (1920, 1080);
/// The case that is the floor.
const COPY: &str = "copying the source";

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    frames: usize,
    rounds: usize,
    results: Vec<Timed>,
    ratios: Vec<Ratio>,
    others_cores: f64,
    notes: Vec<String>,
}

/// Processor time of one kernel.
#[derive(Debug, Clone, Serialize)]
struct Timed {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    isa: Option<String>,
    ms_per_frame: Spread,
    /// Bytes read and written for each second of processor time, 10^9; of ours alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    gb_per_s: Option<Spread>,
    /// Time over that of the copy, within each round. 1 is the floor for a kernel that moves as many bytes.
    over_copy: Spread,
    #[serde(skip)]
    rounds: Vec<f64>,
}

/// A scaler's time over ours, on the best instruction set. Above 1 we are faster.
#[derive(Debug, Clone, Serialize)]
struct Ratio {
    theirs: String,
    ours: String,
    /// Of medians.
    ratio: f64,
    /// Within each round, least and most.
    spread: (f64, f64),
}

/// Measures, prints, and stores where asked.
pub(crate) fn run(options: &KernelsOptions) -> Result<()> {
    let progress = Progress::new();
    let machine = Machine::here();
    let ladder = ladder(options.ladder.as_deref())?;
    let rungs: Vec<(u32, u32)> = ladder.renditions().iter().map(|r| (r.width, r.height)).collect();
    let ffmpegs = match options.no_ffmpeg {
        true => Vec::new(),
        false => Ffmpeg::find_all(&options.ffmpeg)?,
    };
    let folder = tempfile::Builder::new().prefix("headframe-bench-").tempdir().context("make a folder for pictures")?;
    progress.step("making pictures");
    if !ffmpegs.is_empty() {
        filters::prepare(folder.path(), SIZE)?;
    }
    let scalings = filters::find(&ffmpegs, folder.path());
    let mut cases = cases::all(SIZE, &rungs)?;
    let mut ours: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); scalings.len()];
    let meter = Meter::start();
    for round in 0..options.rounds {
        // Every case once a round, so that all see the same weather.
        for (case, times) in cases.iter_mut().zip(&mut ours) {
            progress.step(&format!("round {} of {}: {} {:?}", round + 1, options.rounds, case.kernel, case.isa));
            let started = Meter::start();
            for frame in 0..options.frames {
                (case.frame)(frame)?;
            }
            times.push(started.cost(started.wall(), 0.0).cpu_s() * 1000.0 / options.frames as f64);
        }
        for (scaling, times) in scalings.iter().zip(&mut theirs) {
            progress.step(&format!("round {} of {}: {}", round + 1, options.rounds, scaling.name()));
            times.push(scaling.run(folder.path(), SIZE, &rungs, options.frames)?);
        }
    }
    let others_cores = meter.cost(meter.wall(), 0.0).others_cores;
    let copy = ours.first().cloned().context("no copy")?;
    let mut results = Vec::new();
    for (case, times) in cases.iter().zip(ours) {
        results.push(timed(case.kernel.clone(), case.isa, Some(case.bytes), times, &copy)?);
    }
    for (scaling, times) in scalings.iter().zip(theirs) {
        results.push(timed(scaling.name(), None, None, times, &copy)?);
    }
    let versions = Versions::new(Path::new(""), &ffmpegs);
    let tool = crate::TOOL.to_owned();
    let ladder = ladder.renditions().to_vec();
    let report = Report {
        head: Head { tool, created_unix: machine::unix_time(), machine, versions, clip: None, ladder },
        frames: options.frames,
        rounds: options.rounds,
        ratios: ratios(&results),
        results,
        others_cores,
        notes: notes(others_cores),
    };
    progress.done();
    print(&report);
    figures::store(options.json.as_deref(), &report)
}

fn timed(name: String, isa: Option<Isa>, bytes: Option<usize>, rounds: Vec<f64>, copy: &[f64]) -> Result<Timed> {
    let some = "nothing was measured";
    let speed = |bytes: usize| spread(rounds.iter().map(|ms| bytes as f64 / 1e6 / ms.max(1e-9)));
    Ok(Timed {
        name,
        isa: isa.map(|isa| format!("{isa:?}").to_lowercase()),
        ms_per_frame: spread(rounds.iter().copied()).context(some)?,
        gb_per_s: bytes.and_then(speed),
        over_copy: spread(rounds.iter().zip(copy).map(|(ms, copy)| ms / copy.max(1e-9))).context(some)?,
        rounds,
    })
}

/// Every scaler of FFmpeg against our ladder of its depth; in 8 bits also against our rungs made one by one, as it does.
fn ratios(results: &[Timed]) -> Vec<Ratio> {
    let best = format!("{:?}", Isa::best()).to_lowercase();
    let ours = |name: &str| results.iter().find(|r| r.name == name && r.isa.as_deref() == Some(&best));
    let mut found = Vec::new();
    for theirs in results.iter().filter(|result| result.isa.is_none() && result.name != COPY) {
        let names: &[&str] = match theirs.name.ends_with("10-bit") {
            true => &["ladder 10-bit"],
            false => &["ladder 8-bit", "rungs apart 8-bit"],
        };
        for ours in names.iter().filter_map(|name| ours(name)) {
            let pairs = theirs.rounds.iter().zip(&ours.rounds).map(|(theirs, ours)| theirs / ours.max(1e-9));
            let Some(each) = spread(pairs) else { continue };
            found.push(Ratio {
                theirs: theirs.name.clone(),
                ours: format!("{} {best}", ours.name),
                ratio: theirs.ms_per_frame.median / ours.ms_per_frame.median.max(1e-9),
                spread: (each.min, each.max),
            });
        }
    }
    found
}

fn notes(others_cores: f64) -> Vec<String> {
    let mut notes = vec![
        "processor time for one 1920x1080 picture; GB/s are bytes read and written, each counted once".to_owned(),
        "FFmpeg's scalers: raw video in, nothing out, less the same without scaling; bicubic; every rung from the source"
            .to_owned(),
        "our ladder makes smaller rungs from larger ones where that loses nothing to speak of; rungs apart do as FFmpeg"
            .to_owned(),
    ];
    notes.extend(figures::circumstances(others_cores));
    notes
}

fn print(report: &Report) {
    println!("{}", report.head.lines());
    println!("\n{:<30}{:<13}{:>9}{:>18}{:>8}{:>12}", "", "", "ms/frame", "(min..max)", "GB/s", "x the copy");
    for r in &report.results {
        println!(
            "{:<30}{:<13}{:>9.3}{:>18}{:>8}{:>12.2}",
            r.name,
            r.isa.as_deref().unwrap_or_default(),
            r.ms_per_frame.median,
            format!("({:.3}..{:.3})", r.ms_per_frame.min, r.ms_per_frame.max),
            r.gb_per_s.map(|speed| format!("{:.1}", speed.median)).unwrap_or_default(),
            r.over_copy.median
        );
    }
    if !report.ratios.is_empty() {
        println!("\nFFmpeg's time over ours (above 1 we are faster)");
    }
    for r in &report.ratios {
        let (least, most) = r.spread;
        println!("{:<30} {:>7.2} ({least:.2}..{most:.2}) against our {}", r.theirs, r.ratio, r.ours);
    }
    println!();
    report.notes.iter().for_each(|note| println!("note: {note}"));
}
