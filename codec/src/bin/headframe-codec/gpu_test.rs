//! The engine of NVIDIA cards tried on a card of this machine, with its owner's own segments and in this process.

use std::sync::Arc;
use std::time::Duration;

use headframe_codec::engine;
use headframe_codec::engine::nvidia::{Card, Choice, Engine, NoEngine, Refusal, Scaling, Tally, choose};
use headframe_codec::nvidia::Device;
use headframe_codec::{Ladder, Limits, SegmentOut};
use serde::Serialize;

use crate::streams::{self, Task, process_seconds};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    task: Task,
    /// How to get at the card's decoders and encoders: the driver's own interfaces, FFmpeg's, or the first of both that passes
    /// its test
    #[arg(long, value_enum, default_value_t = Way::Auto)]
    engine: Way,
    /// Streams at once in the last part
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    streams: u32,
    /// Length of the last part, seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Direct,
    Ffmpeg,
    Auto,
}

/// What was found. Times are seconds.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    card: String,
    uuid: String,
    cuda: (u32, u32),
    nvenc_api: Option<String>,
    /// What all of it was done with.
    engine: Engine,
    /// Engines that did not pass their own test, where one was to be found.
    refused: Vec<Refusal>,
    /// Decoded and scaled by the card, encoded by the processors: the same bytes as without a card.
    decodes_and_scales_exactly: bool,
    /// Every rendition that the card encoded has every picture.
    encodes_all_pictures: bool,
    problems: Vec<String>,
    sustained: Sustained,
}

/// Several streams at once, each segment as soon as the one before it is done.
#[derive(Debug, Serialize)]
struct Sustained {
    streams: u32,
    wall_s: f64,
    /// Seconds of video made into ladders for each second: live ladders, if nothing else were in the way.
    ladders: f64,
    pictures_per_s: f64,
    /// Of all streams, for each launch of the scaler.
    pictures_per_launch: f64,
    /// Of the whole process, for a second of video.
    cpu_s_per_video_s: f64,
    memory_mib: [u64; 2],
    made: Tally,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let ladder = crate::transcode::ladder(options.task.ladder.as_deref(), None)?;
    let segments = streams::read(&options.task.segments)?;
    let failed = |error: headframe_codec::nvidia::NvidiaError| error.to_string();
    let (driver, info) = streams::card(&options.task)?;
    let device = Device::open(&driver, info.uuid).map_err(failed)?;
    let mut problems = Vec::new();
    let (engine, refused) = engine(options.engine, &device, &mut problems);
    let card = || Card::with(device.clone(), engine);
    eprintln!("decoding and scaling on {} with the engine {engine}, encoding here", info.name);
    let exact = decodes_and_scales_exactly(&card().leave_encoding(), &ladder, &segments, &mut problems);
    eprintln!("encoding on the card");
    let whole = encodes_all_pictures(&card(), &ladder, &segments, &mut problems);
    eprintln!("{} streams for {} s", options.streams, options.seconds);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        card: info.name.clone(),
        uuid: info.uuid.to_string(),
        cuda: driver.cuda_version(),
        nvenc_api: driver.encode_api().ok().map(|api| api.to_string()),
        engine,
        refused,
        decodes_and_scales_exactly: exact,
        encodes_all_pictures: whole,
        sustained: sustain(&device, &card(), &ladder, &segments, options, &mut problems)?,
        problems,
    };
    print(&report, options.json);
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(format!("{} problems, see above", report.problems.len())),
    }
}

/// The engine to use, and those that did not pass.
fn engine(way: Way, device: &Arc<Device>, problems: &mut Vec<String>) -> (Engine, Vec<Refusal>) {
    match way {
        Way::Direct => (Engine::Direct, Vec::new()),
        Way::Ffmpeg => (Engine::Ffmpeg, Vec::new()),
        Way::Auto => match choose(device) {
            Ok((_, Choice { engine, refused, .. })) => (engine, refused),
            Err(NoEngine(refused)) => {
                problems.push("no engine passes its own test on this card".to_owned());
                (Engine::default(), refused)
            }
        },
    }
}

pub(crate) fn limits() -> Limits {
    Limits { wall: Duration::from_secs(300), ..Limits::default() }
}

fn decodes_and_scales_exactly(card: &Card, ladder: &Ladder, segments: &[Vec<u8>], problems: &mut Vec<String>) -> bool {
    let before = problems.len();
    let mut paces = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        let due = engine::transcode(ladder, segment, &paces, &limits());
        let have = card.transcode(ladder, segment, &paces, &limits());
        match (due, have) {
            (Ok(due), Ok(have)) => {
                let other = due.renditions.iter().zip(&have.renditions).find(|(due, have)| due != have);
                problems
                    .extend(other.map(|(due, _)| format!("segment {i}: {} differs from the processors'", due.name)));
                paces = due.paces;
            }
            (due, have) => {
                problems.extend([due.err(), have.err()].into_iter().flatten().map(|e| format!("segment {i}: {e}")))
            }
        }
    }
    if card.tally().segments_left > 0 {
        problems.push(format!("{} segments were left to the processors", card.tally().segments_left));
    }
    problems.len() == before
}

fn encodes_all_pictures(card: &Card, ladder: &Ladder, segments: &[Vec<u8>], problems: &mut Vec<String>) -> bool {
    let before = problems.len();
    for (i, segment) in segments.iter().enumerate() {
        match card.transcode(ladder, segment, &[], &limits()) {
            Ok(out) => problems.extend(short_of(&out, ladder).map(|what| format!("segment {i}: {what}"))),
            Err(error) => problems.push(format!("segment {i}: {error}")),
        }
    }
    let Tally { rungs_on_card, rungs_on_host, .. } = card.tally();
    if rungs_on_host > 0 {
        problems
            .push(format!("{rungs_on_host} rungs of {} were encoded by the processors", rungs_on_card + rungs_on_host));
    }
    problems.len() == before
}

/// The first rendition at the source's rate that lacks pictures.
fn short_of(out: &SegmentOut, ladder: &Ladder) -> Option<String> {
    let all = ladder.renditions().iter().zip(&out.renditions);
    let short = all.filter(|(want, have)| want.fps.is_none() && have.frames != out.source.frames).map(|(_, have)| have);
    short.map(|have| format!("{} has {} of {} pictures", have.name, have.frames, out.source.frames)).next()
}

fn sustain(
    device: &Device,
    card: &Card,
    ladder: &Ladder,
    segments: &[Vec<u8>],
    options: &Options,
    problems: &mut Vec<String>,
) -> Result<Sustained, String> {
    let used = || device.memory().map(|(free, total)| (total - free) >> 20).map_err(|error| error.to_string());
    let (cpu, memory, scaled) = (process_seconds(), used()?, card.scaling());
    let length = Duration::from_secs(options.seconds);
    let make = |segment: &[u8]| card.transcode(ladder, segment, &[], &limits()).map_err(|error| error.to_string());
    let done = streams::run(options.streams as usize, length, segments, &make);
    problems.extend(done.errors.iter().map(|error| format!("a stream: {error}")));
    let (wall, video) = (done.wall_s, done.video_s());
    let Scaling { pictures, launches, .. } = card.scaling();
    let launches = (launches - scaled.launches).max(1);
    Ok(Sustained {
        streams: options.streams,
        wall_s: wall,
        ladders: video / wall,
        pictures_per_s: done.pictures as f64 / wall,
        pictures_per_launch: (pictures - scaled.pictures) as f64 / launches as f64,
        cpu_s_per_video_s: (process_seconds() - cpu) / video.max(0.001),
        memory_mib: [memory, used()?],
        made: card.tally(),
    })
}

fn print(report: &Report, json: bool) {
    if json {
        println!("{:#}", serde_json::json!(report));
        return;
    }
    let Report { card, uuid, cuda, nvenc_api, sustained: it, .. } = report;
    let yes = |it: bool| if it { "yes" } else { "NO" };
    println!("{card} ({uuid}), CUDA {}.{}, NVENC {}", cuda.0, cuda.1, nvenc_api.as_deref().unwrap_or("none"));
    println!("engine                        {}", report.engine);
    for Refusal { engine, reason } in &report.refused {
        println!("the engine {engine} does not work here: {reason}");
    }
    println!("decodes and scales exactly    {}", yes(report.decodes_and_scales_exactly));
    println!("encodes all pictures          {}", yes(report.encodes_all_pictures));
    println!(
        "{} streams for {:.1} s: {:.2} live ladders, {:.0} pictures/s",
        it.streams, it.wall_s, it.ladders, it.pictures_per_s
    );
    println!("pictures scaled together      {:.2}", it.pictures_per_launch);
    println!("processor time                {:.3} s for a second of video", it.cpu_s_per_video_s);
    println!("card's memory in use          {} MiB before, {} MiB after", it.memory_mib[0], it.memory_mib[1]);
    let Tally { rungs_on_card, rungs_on_host, segments_left } = it.made;
    println!(
        "rungs encoded by the card {rungs_on_card}, by the processors {rungs_on_host}; segments left to them {segments_left}"
    );
    report.problems.iter().for_each(|problem| println!("problem: {problem}"));
}
