//! `headframe-bench compare`: the pool against the plain `ffmpeg` command line, same clip, same ladder, same run.

pub(crate) mod contest;
pub(crate) mod quality;
pub(crate) mod ratio;
mod table;
mod verdict;

use crate::figures::{self, Head, QUIET_CORES};
use crate::machine;
use crate::options::CompareOptions;
use crate::progress::Progress;
use crate::stage::Stage;
use anyhow::{Context as _, Result};
use contest::{Outcome, Way};
use headframe_codec::worker::usual_workers;
use quality::Measured;
use ratio::{Ratio, Summary};
use serde::Serialize;
use std::path::Path;
use verdict::Difference;

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head,
    commands: Vec<Line<'a>>,
    /// In the order in which they ran: contestants take turns.
    runs: Vec<Outcome<'a>>,
    summary: Vec<Summary<'a>>,
    ratios: Vec<Ratio<'a>>,
    /// ffmpeg's time over ours, continuous; the best ffmpeg counts. Above 1 we are faster.
    wall_ratio: f64,
    /// The same of processor time.
    cpu_ratio: f64,
    quality: Vec<Quality<'a>>,
    /// Against the continuous ffmpegs that the ratios name.
    differences: Vec<Difference<'a>>,
    worse: bool,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    way: Way<'a>,
    line: String,
}

#[derive(Debug, Serialize)]
struct Quality<'a> {
    way: Way<'a>,
    rendition: String,
    /// Of the video alone.
    video_kbps: f64,
    #[serde(flatten)]
    measured: Measured,
}

/// Runs the comparison, prints it, and stores it where asked.
pub(crate) fn run(options: &CompareOptions) -> Result<()> {
    let progress = Progress::new();
    let stage = Stage::set(&options.input, 60, &progress)?;
    let in_flight = match &options.in_flight[..] {
        [] => &[usual_workers(machine::cores())],
        given => given,
    };
    let ways = ratio::ways(in_flight, &stage.ffmpegs);
    let runs = take_turns(&stage, &ways, (options.runs, options.retries), &progress)?;
    let seconds = stage.seconds();
    let summary: Vec<Summary<'_>> = ways.iter().filter_map(|way| ratio::summarise(*way, &runs, seconds)).collect();
    let mut ratios = Vec::new();
    for in_flight in in_flight {
        let ours = Way::Headframe { in_flight: *in_flight };
        for kind in ["continuous", "segments"] {
            ratios.extend(ratio::ratio(kind, ours, &ways, &runs));
        }
    }
    let first = ratios.first().context("no contestant finished")?;
    let (wall_ratio, cpu_ratio) = (first.wall_ratio, first.cpu_ratio);
    let judged = ratio::judged(&ratios);
    let quality = qualities(&stage, &judged, &progress)?;
    let continuous: Vec<_> = judged.iter().filter(|way| matches!(way, Way::Continuous { .. })).copied().collect();
    let differences = verdict::differences(&quality, &continuous);
    let mut report = Report {
        head: stage.head(),
        commands: ways.iter().map(|way| Line { way: *way, line: line(&stage, *way) }).collect(),
        runs,
        summary,
        ratios,
        wall_ratio,
        cpu_ratio,
        quality,
        worse: differences.iter().any(|difference| difference.worse),
        differences,
        notes: Vec::new(),
    };
    report.notes = notes(&report, options.retries);
    progress.done();
    table::print(&report);
    figures::store(options.json.as_deref(), &report)?;
    let unequal = report.quality.iter().find(|q| q.measured.frames != q.measured.source_frames);
    if let Some(Quality { way, rendition, measured, .. }) = unequal {
        anyhow::bail!(
            "{way} made {} of {} pictures of {rendition}: speed without quality is void",
            measured.frames,
            measured.source_frames
        );
    }
    Ok(())
}

/// Every contestant once a round, beginning with another one each time, so that a slow minute hits all alike. A run that
/// others disturbed is repeated, at most `retries` times, and the least disturbed counts: chosen by what others used,
/// never by its own figures.
fn take_turns<'a>(
    stage: &Stage,
    ways: &[Way<'a>],
    (rounds, retries): (usize, usize),
    progress: &Progress,
) -> Result<Vec<Outcome<'a>>> {
    let mut outcomes = Vec::new();
    for round in 0..rounds {
        for turn in 0..ways.len() {
            let way = ways[(turn + round) % ways.len()];
            let mut kept: Option<Outcome<'_>> = None;
            for _ in 0..=retries {
                progress.step(&format!("round {} of {rounds}: {way}", round + 1));
                let outcome = stage.run(way)?;
                let (wall, cpu, others) = (outcome.cost.wall_s, outcome.cost.cpu_s(), outcome.cost.others_cores);
                progress.say(&format!(
                    "round {}: {:<28} {wall:>7.2} s, cpu {cpu:>7.2} s, others used {others:.2} cores",
                    round + 1,
                    way.to_string()
                ));
                if kept.as_ref().is_none_or(|kept| others < kept.cost.others_cores) {
                    kept = Some(outcome);
                }
                if others <= QUIET_CORES {
                    break;
                }
            }
            outcomes.extend(kept);
        }
    }
    Ok(outcomes)
}

fn qualities<'a>(stage: &Stage, ways: &[Way<'a>], progress: &Progress) -> Result<Vec<Quality<'a>>> {
    let (judge, probe) = (&stage.ffmpegs[0], &stage.probe);
    let mut found = Vec::new();
    for rendition in stage.ladder.renditions() {
        progress.step(&format!("measuring the quality of {}", rendition.name));
        let outputs: Vec<_> = ways.iter().map(|way| stage.output(*way, &rendition.name)).collect();
        let paths: Vec<&Path> = outputs.iter().map(AsRef::as_ref).collect();
        let source = (stage.cut.whole.as_path(), (probe.width, probe.height));
        let measured = quality::measure(judge, source, rendition, &paths, true)?;
        for ((way, path), measured) in ways.iter().zip(&outputs).zip(measured) {
            let bytes = judge.video_bytes(path, &stage.folder().join("video.h264"))?;
            let video_kbps = bytes as f64 * 8.0 / 1000.0 / stage.seconds();
            found.push(Quality { way: *way, rendition: rendition.name.clone(), video_kbps, measured });
        }
    }
    Ok(found)
}

fn line(stage: &Stage, way: Way<'_>) -> String {
    match way {
        Way::Headframe { in_flight } => {
            format!(
                "worker pool of {in_flight}, Pool::transcode per segment, one x264 thread per rendition, cpu-independent=1"
            )
        }
        way => format!("ffmpeg -hide_banner -nostdin -v error -y {}", stage.command(way, 0).join(" ")),
    }
}

fn notes(report: &Report<'_>, retries: usize) -> Vec<String> {
    let mut notes = vec![
        "processor time is user and system time of all processes of a contestant, its own start and end included"
            .to_owned(),
        "bit rates: bitrate_kbps of the transport streams with sound, video_kbps of the H.264 alone".to_owned(),
        format!("PSNR over all pictures; SSIM of luma over every {}th", quality::SSIM_EVERY),
        format!("references: source scaled by our reference scaler, and by swscale {}", quality::SWSCALE_FLAGS),
        "a rung is judged by the mean difference over both references: each side is nearest to its own scaler's"
            .to_owned(),
    ];
    let others = report.summary.iter().map(|summary| summary.others_cores).fold(0.0, f64::max);
    if others > QUIET_CORES {
        notes.push(format!(
            "the machine was shared: others used up to {others:.2} cores; trust cpu_ratio more than wall_ratio"
        ));
    }
    if retries > 0 {
        notes.push(format!("runs disturbed by more than {QUIET_CORES} cores of others were repeated up to {retries} times; the quietest counts"));
    }
    if figures::is_dev() {
        notes.push(figures::DEV_NOTE.to_owned());
    }
    notes
}
