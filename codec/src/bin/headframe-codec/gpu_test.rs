//! The engine of NVIDIA cards tried on a card of this machine, with its owner's own segments and in this process.

use std::sync::Arc;
use std::time::Duration;

use headframe_codec::engine;
use headframe_codec::engine::nvidia::proof::{self, Likeness, Reuse, SessionTimes};
use headframe_codec::engine::nvidia::{Card, Choice, Doubt, Engine, NoEngine, Refusal, Scaling, Tally, choose};
use headframe_codec::nvidia::Device;
use headframe_codec::{Ladder, Limits, Rendition, SegmentOut};
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
    /// What the driver says that the card decodes and does not come out as it should. Not known of an engine that was not chosen
    /// by its test.
    doubts: Option<Vec<Doubt>>,
    /// Decoded and scaled by the card, encoded by the processors: the same bytes as without a card.
    decodes_and_scales_exactly: bool,
    /// Every rendition that the card encoded has every picture, and each shows what was to be encoded.
    encodes_all_pictures: bool,
    /// How near they come, of all segments. Empty where the card encodes nothing.
    renditions: Vec<Likeness>,
    #[serde(flatten)]
    sessions: Sessions,
    problems: Vec<String>,
    sustained: Sustained,
}

/// The driver's sessions. Nothing is known where the card encodes nothing, nor with FFmpeg, which keeps none.
#[derive(Debug, Default, Serialize)]
struct Sessions {
    /// What a session makes that was used before is what a new one makes, to the byte. Not known either where the
    /// driver does not reconfigure.
    reconfigured_equals_fresh: Option<bool>,
    /// Of the largest rendition, the median of a few.
    session_open_ms: Option<f64>,
    /// From one size and bit rate to another, the same way.
    session_reconfigure_ms: Option<f64>,
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
    let (engine, refused, doubts) = engine(options.engine, &device, &mut problems);
    let card = || Card::with(device.clone(), engine);
    eprintln!("decoding and scaling on {} with the engine {engine}, encoding here", info.name);
    let exact = decodes_and_scales_exactly(&card().leave_encoding(), &ladder, &segments, &mut problems);
    eprintln!("encoding on the card");
    let encoding = card();
    let (whole, renditions) = encodes_all_pictures(&encoding, &ladder, &segments, &mut problems);
    let encodes = encoding.tally().rungs_on_card > 0;
    // Its sessions may be all there are.
    drop(encoding);
    let sessions = match (engine, segments.first()) {
        (Engine::Direct, Some(segment)) if encodes => {
            eprintln!("encoding with sessions that were used before");
            used_again(&device, &ladder, segment, &mut problems)
        }
        _ => Sessions::default(),
    };
    eprintln!("{} streams for {} s", options.streams, options.seconds);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        card: info.name.clone(),
        uuid: info.uuid.to_string(),
        cuda: driver.cuda_version(),
        nvenc_api: driver.encode_api().ok().map(|api| api.to_string()),
        engine,
        refused,
        doubts,
        decodes_and_scales_exactly: exact,
        encodes_all_pictures: whole,
        renditions,
        sessions,
        sustained: sustain(&device, &card(), &ladder, &segments, options, &mut problems)?,
        problems,
    };
    print(&report, options.json);
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(format!("{} problems, see above", report.problems.len())),
    }
}

/// The engine to use, those that did not pass, and what it is not to be trusted with.
fn engine(way: Way, device: &Arc<Device>, problems: &mut Vec<String>) -> (Engine, Vec<Refusal>, Option<Vec<Doubt>>) {
    match way {
        Way::Direct => (Engine::Direct, Vec::new(), None),
        Way::Ffmpeg => (Engine::Ffmpeg, Vec::new(), None),
        Way::Auto => match choose(device) {
            Ok((_, Choice { engine, refused, doubts, .. })) => {
                problems.extend(
                    doubts.iter().map(|doubt| format!("the card does not decode what it says it does: {doubt}")),
                );
                (engine, refused, Some(doubts))
            }
            Err(NoEngine(refused)) => {
                problems.push("no engine passes its own test on this card".to_owned());
                (Engine::default(), refused, None)
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

/// With what every rendition looks like, where the card encoded any.
fn encodes_all_pictures(
    card: &Card,
    ladder: &Ladder,
    segments: &[Vec<u8>],
    problems: &mut Vec<String>,
) -> (bool, Vec<Likeness>) {
    let before = problems.len();
    let mut renditions = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        let rungs = card.tally().rungs_on_card;
        let out = match card.transcode(ladder, segment, &[], &limits()) {
            Ok(out) => out,
            Err(error) => {
                problems.push(format!("segment {i}: {error}"));
                continue;
            }
        };
        problems.extend(short_of(&out, ladder).map(|what| format!("segment {i}: {what}")));
        if card.tally().rungs_on_card == rungs {
            continue;
        }
        let due = proof::due(ladder, segment, &limits());
        match due.and_then(|due| proof::looks_like(&due, &out)) {
            Ok(found) => {
                for one in found {
                    let what = match one {
                        Ok(likeness) => count(&mut renditions, likeness),
                        Err(what) => Some(what),
                    };
                    problems.extend(what.map(|what| format!("segment {i}: {what}")));
                }
            }
            Err(error) => problems.push(format!("segment {i}, to compare with: {error}")),
        }
    }
    let Tally { rungs_on_card, rungs_on_host, .. } = card.tally();
    if rungs_on_host > 0 {
        problems
            .push(format!("{rungs_on_host} rungs of {} were encoded by the processors", rungs_on_card + rungs_on_host));
    }
    (problems.len() == before, renditions)
}

/// Puts it to what is known of the rendition from earlier segments. What is wrong with it, if anything is.
fn count(renditions: &mut Vec<Likeness>, likeness: Likeness) -> Option<String> {
    let wrong = likeness.complaint();
    match renditions.iter_mut().find(|known| known.name == likeness.name) {
        Some(known) => *known = known.clone().and(&likeness),
        None => renditions.push(likeness),
    }
    wrong
}

fn used_again(device: &Arc<Device>, ladder: &Ladder, segment: &[u8], problems: &mut Vec<String>) -> Sessions {
    let mut found = Sessions::default();
    let ms = |took: Duration| Some(took.as_secs_f64() * 1000.0);
    let samples = |rung: &&Rendition| u64::from(rung.width) * u64::from(rung.height);
    let Some(largest) = ladder.renditions().iter().max_by_key(samples) else { return found };
    match proof::session_times(device, largest) {
        Ok(Some(SessionTimes { open, reconfigure })) => {
            found.session_open_ms = ms(open);
            match reconfigure {
                Ok(took) => found.session_reconfigure_ms = ms(took),
                Err(error) => {
                    problems.push(format!("the driver does not reconfigure encoder sessions: {error}"));
                    return found;
                }
            }
        }
        Ok(None) => {}
        Err(error) => problems.push(format!("encoder sessions for {}: {error}", largest.name)),
    }
    for rung in ladder.renditions() {
        let Reuse { again, after_another } = match proof::reuse(device, rung, segment, &limits()) {
            Ok(Some(reuse)) => reuse,
            Ok(None) => continue,
            Err(error) => {
                problems.push(format!("{} made again: {error}", rung.name));
                continue;
            }
        };
        let unlike = [(again, "made it before"), (after_another, "made another rendition before")];
        for (_, what) in unlike.into_iter().filter(|(equal, _)| !equal) {
            problems.push(format!("{}: a session that {what} does not make what a new one makes", rung.name));
        }
        let equal = found.reconfigured_equals_fresh.unwrap_or(true) && again && after_another;
        found.reconfigured_equals_fresh = Some(equal);
    }
    found
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
    let Report { card, uuid, cuda, nvenc_api, sessions, sustained: it, .. } = report;
    let yes = |it: bool| if it { "yes" } else { "NO" };
    println!("{card} ({uuid}), CUDA {}.{}, NVENC {}", cuda.0, cuda.1, nvenc_api.as_deref().unwrap_or("none"));
    println!("engine                        {}", report.engine);
    for Refusal { engine, reason } in &report.refused {
        println!("the engine {engine} does not work here: {reason}");
    }
    println!("decodes and scales exactly    {}", yes(report.decodes_and_scales_exactly));
    println!("encodes all pictures          {}", yes(report.encodes_all_pictures));
    for Likeness { name, pictures, worst_psnr_db: worst, mean_psnr_db: mean, .. } in &report.renditions {
        println!("    {name:<26}worst {worst:.1} dB of luma, mean {mean:.1} dB, {pictures} pictures");
    }
    let known = |it: Option<bool>| it.map_or("not known", yes);
    let ms = |it: Option<f64>| it.map_or("not known".to_owned(), |ms| format!("{ms:.1} ms"));
    println!("used sessions equal new ones  {}", known(sessions.reconfigured_equals_fresh));
    println!("a session is opened in        {}", ms(sessions.session_open_ms));
    println!("a session is reconfigured in  {}", ms(sessions.session_reconfigure_ms));
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
