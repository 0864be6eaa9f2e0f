//! `headframe-bench compare`: the pool against the plain `ffmpeg` command line, same clip, same ladder, same run.

pub(crate) mod contest;
pub(crate) mod quality;
mod table;

use crate::clip::{self, Clip, Description};
use crate::ffmpeg::Ffmpeg;
use crate::machine::{self, Machine};
use crate::options::CompareOptions;
use crate::progress::Progress;
use crate::stats::{Spread, spread};
use anyhow::{Context as _, Result, ensure};
use contest::{Arena, Outcome, Way};
use headframe_codec::{Fps, Ladder, Rendition, SegmentOut};
use quality::Measured;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// Threads per encoder that ffmpeg is given; its better figure counts.
const FFMPEG_THREADS: [usize; 2] = [1, 2];

/// Others may use this many cores during a run that counts as undisturbed.
const QUIET_CORES: f64 = 0.15;

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    tool: String,
    created_unix: u64,
    machine: Machine,
    versions: Versions,
    clip: Description,
    ladder: Vec<Rendition>,
    commands: Vec<Line>,
    /// In the order in which they ran: contestants take turns.
    runs: Vec<Outcome>,
    summary: Vec<Summary>,
    ratios: Vec<Ratio>,
    /// ffmpeg's time over ours, continuous; the better ffmpeg counts. Above 1 we are faster.
    wall_ratio: f64,
    /// The same of processor time.
    cpu_ratio: f64,
    quality: Vec<Quality>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Versions {
    bench: &'static str,
    bench_profile: &'static str,
    codec: String,
    ffmpeg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    way: Way,
    line: String,
}

/// One contestant over all runs.
#[derive(Debug, Clone, Serialize)]
struct Summary {
    way: Way,
    wall_s: Spread,
    cpu_s: Spread,
    /// Seconds of video made per second, median.
    real_time_factor: f64,
    others_cores: f64,
    bitrate_kbps: Vec<f64>,
}

/// ffmpeg over us; the better of ffmpeg's variants, chosen for each figure by itself.
#[derive(Debug, Clone, Serialize)]
struct Ratio {
    kind: &'static str,
    ours: Way,
    wall_ratio: f64,
    wall_against: Way,
    /// The ratio within each round, least and most.
    wall_spread: (f64, f64),
    cpu_ratio: f64,
    cpu_against: Way,
    cpu_spread: (f64, f64),
}

#[derive(Debug, Serialize)]
struct Quality {
    way: Way,
    rendition: String,
    /// Of the video alone.
    video_kbps: f64,
    #[serde(flatten)]
    measured: Measured,
}

/// Runs the comparison, prints it, and stores it where asked.
pub(crate) fn run(options: &CompareOptions) -> Result<()> {
    let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
    let codec = options.codec.clone().unwrap_or_else(headframe_codec::worker::codec_program);
    let ladder = ladder(options.ladder.as_deref())?;
    let fixed = ladder.renditions().iter().find(|rendition| rendition.fps.is_some());
    if let Some(rendition) = fixed {
        anyhow::bail!("rendition {}: compare needs the source's frame rate, leave fps out", rendition.name);
    }
    let progress = Progress::new();
    let folder = tempfile::Builder::new().prefix("headframe-bench-").tempdir().context("make a folder for outputs")?;
    let folder = folder.path();
    let clip = match clip::choose(options.clip.as_deref())? {
        Some(clip) => clip,
        None => {
            progress.say("no clip here (./run clip builds one): making a synthetic one");
            clip::synthesize(&ffmpeg, folder, options.seconds, (1920, 1080), 1)?
        }
    };
    progress.say(&format!("clip: {} ({})", clip.path.display(), clip.origin));
    let cut = clip::cut(&ffmpeg, &clip, folder, options.start, options.seconds)?;
    let mut arena = Arena {
        ffmpeg: &ffmpeg,
        codec: &codec,
        ladder: &ladder,
        fps: Fps { num: 30, den: 1 },
        audio: false,
        cut: &cut,
        folder,
    };
    let probe = probe(&arena, &progress)?;
    (arena.fps, arena.audio) = (probe.fps, probe.audio);

    let ways = ways(&options.in_flight);
    let runs = take_turns(&arena, &ways, (options.runs, options.retries), &progress)?;
    let seconds = probe.ticks as f64 / 90_000.0;
    let summary: Vec<Summary> = ways.iter().filter_map(|way| summarise(*way, &runs, seconds)).collect();
    let mut ratios = Vec::new();
    for in_flight in &options.in_flight {
        let ours = Way::Headframe { in_flight: *in_flight };
        for kind in ["continuous", "segments"] {
            ratios.extend(ratio(kind, ours, &ways, &runs));
        }
    }
    let first = ratios.first().context("no contestant finished")?;
    let (wall_ratio, cpu_ratio) = (first.wall_ratio, first.cpu_ratio);
    let judged = judged(&ratios);
    let quality = qualities(&arena, &judged, (probe.width, probe.height), seconds, &progress)?;
    let machine = Machine::here();
    let mut report = Report {
        tool: crate::TOOL.to_owned(),
        created_unix: machine::unix_time(),
        versions: Versions {
            bench: env!("CARGO_PKG_VERSION"),
            bench_profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            codec: build_of(&codec),
            ffmpeg: ffmpeg.version().to_owned(),
            commit: machine::commit(),
        },
        clip: describe(&clip, options.start, &cut, &probe),
        ladder: ladder.renditions().to_vec(),
        commands: ways.iter().map(|way| Line { way: *way, line: line(&arena, *way) }).collect(),
        runs,
        summary,
        ratios,
        wall_ratio,
        cpu_ratio,
        quality,
        notes: Vec::new(),
        machine,
    };
    report.notes = notes(&report, options.retries);
    progress.done();
    table::print(&report);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("stored in {}", path.display());
    }
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

/// The ladder of a file (a JSON array of renditions), or the standard one.
pub(crate) fn ladder(path: Option<&Path>) -> Result<Ladder> {
    let Some(path) = path else { return Ok(Ladder::standard()) };
    let text = fs::read(path).with_context(|| format!("cannot read ladder {}", path.display()))?;
    let help = || format!("ladder {}: want a JSON array of {{name, width, height, bitrate_bps}}", path.display());
    serde_json::from_slice(&text).with_context(help)
}

/// Folder and name of the program, which tell the build, and no more of the path.
pub(crate) fn build_of(program: &Path) -> String {
    let folder = program.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.map_or(name.clone(), |folder| format!("{folder}/{name}"))
}

/// What the source turned out to be.
struct Probe {
    fps: Fps,
    audio: bool,
    width: u32,
    height: u32,
    frames: u64,
    ticks: i64,
}

/// Transcodes everything once, which also warms the file cache and proves that the pool works.
fn probe(arena: &Arena<'_>, progress: &Progress) -> Result<Probe> {
    progress.step("looking at the clip");
    let pool = arena.pool(1)?;
    let mut all: Vec<SegmentOut> = Vec::new();
    for (number, path) in arena.cut.segments.iter().enumerate() {
        let mut made = arena.segment(&pool, number as u64, path)?;
        made.renditions.iter_mut().for_each(|rendition| rendition.bytes = Vec::new());
        all.push(made);
    }
    pool.shutdown();
    let first = &all[0].source;
    let (frames, ticks) = (u64::from(first.frames), first.duration.max(1) as u64);
    ensure!(
        all.iter().all(|made| (made.source.width, made.source.height) == (first.width, first.height)),
        "the clip changes its size on the way; use another"
    );
    // Frames over ticks is exact for steady rates; 1001 denominators come out as such.
    let (num, den) = reduce(frames * 90_000, ticks);
    Ok(Probe {
        fps: Fps { num, den },
        audio: first.audio,
        width: first.width,
        height: first.height,
        frames: all.iter().map(|made| u64::from(made.source.frames)).sum(),
        ticks: all.iter().map(|made| made.source.duration).sum(),
    })
}

fn reduce(num: u64, den: u64) -> (u32, u32) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let fit = |value: u64| u32::try_from(value / a.max(1)).unwrap_or(u32::MAX).max(1);
    (fit(num), fit(den))
}

fn ways(in_flight: &[usize]) -> Vec<Way> {
    let ours = in_flight.iter().map(|n| Way::Headframe { in_flight: *n });
    let continuous = FFMPEG_THREADS.map(|threads| Way::Continuous { threads });
    let segments = FFMPEG_THREADS.map(|threads| Way::PerSegment { threads });
    ours.chain(continuous).chain(segments).collect()
}

/// Every contestant once a round, beginning with another one each time, so that a slow minute hits all alike. A run that
/// others disturbed is repeated, at most `retries` times, and the least disturbed counts: chosen by what others used,
/// never by its own figures.
fn take_turns(
    arena: &Arena<'_>,
    ways: &[Way],
    (rounds, retries): (usize, usize),
    progress: &Progress,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for round in 0..rounds {
        for turn in 0..ways.len() {
            let way = ways[(turn + round) % ways.len()];
            let mut kept: Option<Outcome> = None;
            for _ in 0..=retries {
                progress.step(&format!("round {} of {rounds}: {way}", round + 1));
                let outcome = arena.run(way)?;
                let (wall, cpu, others) = (outcome.cost.wall_s, outcome.cost.cpu_s(), outcome.cost.others_cores);
                progress.say(&format!(
                    "round {}: {:<24} {wall:>7.2} s, cpu {cpu:>7.2} s, others used {others:.2} cores",
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

fn of(way: Way, runs: &[Outcome], figure: fn(&Outcome) -> f64) -> impl Iterator<Item = f64> {
    runs.iter().filter(move |run| run.way == way).map(figure)
}

fn wall(run: &Outcome) -> f64 {
    run.cost.wall_s
}

fn cpu(run: &Outcome) -> f64 {
    run.cost.cpu_s()
}

fn summarise(way: Way, runs: &[Outcome], seconds: f64) -> Option<Summary> {
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

/// The ratio of medians against the better ffmpeg of a kind.
fn ratio(kind: &'static str, ours: Way, ways: &[Way], runs: &[Outcome]) -> Option<Ratio> {
    let of_kind = |way: &&Way| match way {
        Way::Continuous { .. } => kind == "continuous",
        Way::PerSegment { .. } => kind == "segments",
        Way::Headframe { .. } => false,
    };
    let against = |figure: fn(&Outcome) -> f64| {
        let mut best: Option<(Way, f64)> = None;
        for way in ways.iter().filter(of_kind) {
            let median = spread(of(*way, runs, figure))?.median;
            if best.is_none_or(|(_, least)| median < least) {
                best = Some((*way, median));
            }
        }
        let (way, median) = best?;
        let pairs = of(way, runs, figure).zip(of(ours, runs, figure)).map(|(theirs, ours)| theirs / ours);
        let pairs = spread(pairs)?;
        Some((way, median / spread(of(ours, runs, figure))?.median, (pairs.min, pairs.max)))
    };
    let (wall_against, wall_ratio, wall_spread) = against(wall)?;
    let (cpu_against, cpu_ratio, cpu_spread) = against(cpu)?;
    Some(Ratio { kind, ours, wall_ratio, wall_against, wall_spread, cpu_ratio, cpu_against, cpu_spread })
}

/// Whose pictures are looked at: ours, and those of every ffmpeg that a ratio names.
fn judged(ratios: &[Ratio]) -> Vec<Way> {
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

fn qualities(
    arena: &Arena<'_>,
    ways: &[Way],
    size: (u32, u32),
    seconds: f64,
    progress: &Progress,
) -> Result<Vec<Quality>> {
    let mut found = Vec::new();
    for rendition in arena.ladder.renditions() {
        progress.step(&format!("measuring the quality of {}", rendition.name));
        let outputs: Vec<_> = ways.iter().map(|way| arena.output(*way, &rendition.name)).collect();
        let paths: Vec<&Path> = outputs.iter().map(AsRef::as_ref).collect();
        let measured = quality::measure(arena.ffmpeg, (&arena.cut.whole, size), rendition, &paths, true)?;
        for ((way, path), measured) in ways.iter().zip(&outputs).zip(measured) {
            let bytes = arena.ffmpeg.video_bytes(path, &arena.folder.join("video.h264"))?;
            let video_kbps = bytes as f64 * 8.0 / 1000.0 / seconds;
            found.push(Quality { way: *way, rendition: rendition.name.clone(), video_kbps, measured });
        }
    }
    Ok(found)
}

fn line(arena: &Arena<'_>, way: Way) -> String {
    match way {
        Way::Headframe { in_flight } => {
            format!(
                "worker pool of {in_flight}, Pool::transcode per segment, one x264 thread per rendition, cpu-independent=1"
            )
        }
        way => format!("ffmpeg -hide_banner -nostdin -v error -y {}", arena.command(way, 0).join(" ")),
    }
}

fn describe(clip: &Clip, start_s: u32, cut: &clip::Cut, probe: &Probe) -> Description {
    Description {
        file: clip.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        origin: clip.origin.clone(),
        start_s,
        segments: cut.segments.len() as u64,
        frames: probe.frames,
        duration_ms: (probe.ticks / 90).unsigned_abs(),
        width: probe.width,
        height: probe.height,
        bytes: cut.bytes,
        sha256: cut.sha256.clone(),
    }
}

fn notes(report: &Report, retries: usize) -> Vec<String> {
    let mut notes = vec![
        "processor time is user and system time of all processes of a contestant, its own start and end included"
            .to_owned(),
        "bit rates: bitrate_kbps of the transport streams with sound, video_kbps of the H.264 alone".to_owned(),
        format!("PSNR over all pictures; SSIM of luma over every {}th", quality::SSIM_EVERY),
        format!("references: source scaled by our reference scaler, and by swscale {}", quality::SWSCALE_FLAGS),
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
    if report.versions.bench_profile == "dev" {
        notes.push("development build: codec and kernels are optimised as in a release, the rest is not".to_owned());
    }
    notes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::machine::Cost;

    fn run(way: Way, wall_s: f64, cpu: f64) -> Outcome {
        let cost = Cost { wall_s, user_s: cpu, system_s: 0.0, others_cores: 0.0 };
        Outcome { way, cost, bytes: vec![], slowest_segment_s: None }
    }

    #[test]
    fn the_better_ffmpeg_counts_for_each_figure() {
        let ways = ways(&[1]);
        let [ours, one, two, ..] = ways[..] else { panic!("{ways:?}") };
        let runs = [
            run(ours, 10.0, 16.0),
            run(one, 30.0, 20.0),
            run(two, 20.0, 24.0),
            run(ours, 8.0, 16.0),
            run(one, 32.0, 22.0),
            run(two, 16.0, 26.0),
        ];
        let ratio = ratio("continuous", ours, &ways, &runs).unwrap();
        assert_eq!((ratio.wall_against, ratio.cpu_against), (two, one));
        assert_eq!((ratio.wall_ratio, ratio.cpu_ratio), (2.0, 21.0 / 16.0));
        assert_eq!((ratio.wall_spread, ratio.cpu_spread), ((2.0, 2.0), (1.25, 1.375)));
        assert!(super::ratio("segments", ours, &ways, &runs).is_none(), "nothing of that kind ran");
        assert_eq!(judged(&[ratio]), [ours, two, one]);
    }

    #[test]
    fn frame_rates_are_exact() {
        assert_eq!(reduce(60 * 90_000, 180_000), (30, 1));
        assert_eq!(reduce(60 * 90_000, 60 * 3003), (30_000, 1001));
    }

    #[test]
    fn only_folder_and_name_of_a_program_are_stored() {
        assert_eq!(build_of(Path::new("/a/b/release/headframe-codec")), "release/headframe-codec");
        assert_eq!(build_of(Path::new("headframe-codec")), "headframe-codec");
    }
}
