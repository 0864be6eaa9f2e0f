//! What one card does: its parts alone, ladders at once, ladders live. `headframe-bench gpu` runs this in a process of its own, so
//! that memory and processor time are the engine's, and tells the result. What is being done goes to standard error.

mod ladders;
mod live;
mod parts;
mod watch;

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use headframe_codec::engine::nvidia::Card;
use headframe_codec::nvidia::{Device, DeviceInfo, Driver, doubles};
use headframe_codec::{Ladder, SegmentOut};
use serde::Serialize;

use crate::gpu_test::limits;
use crate::streams::{self, Task};
use ladders::{Link, Run, Who};

/// More sessions than this are not looked for.
const SESSIONS: usize = 64;
/// Twice the streams must be worth so much more to try yet more of them.
const GAIN: f64 = 1.05;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    task: Task,
    /// Most streams at once
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    streams: u32,
    /// Length of a step
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Length of a step in real time; 0: none
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=3600))]
    live_seconds: u64,
    /// Bytes a second of a link to simulate; 0: none
    #[arg(long)]
    riser: u64,
    /// Length of a long step in which --soak-streams are decoded and scaled, seconds; 0: none
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
    soak_seconds: u64,
    /// Streams of the long step
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=256))]
    soak_streams: u32,
}

/// What was found, as `headframe-bench` reads it.
#[derive(Debug, Serialize)]
struct Report {
    card: DeviceInfo,
    cuda: (u32, u32),
    nvenc_api: Option<String>,
    /// Libraries that are test doubles.
    doubles: Vec<&'static str>,
    encodes: bool,
    /// Sessions that could be had at the beginning.
    sessions: usize,
    parts: Vec<parts::Rate>,
    ladders: Vec<Run>,
    live: Vec<live::Try>,
    soak: Option<parts::Rate>,
    problems: Vec<String>,
}

/// What all steps need.
struct Bench<'a> {
    driver: Arc<Driver>,
    device: Arc<Device>,
    ladder: Ladder,
    segments: Vec<Vec<u8>>,
    /// Playing time of each.
    lengths: Vec<Duration>,
    /// Luma width and height of their pictures.
    source: (u32, u32),
    sessions: usize,
    options: &'a Options,
}

impl Bench<'_> {
    fn length(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    fn transcode(&self, card: &Card, segment: &[u8]) -> Result<SegmentOut, String> {
        card.transcode(&self.ladder, segment, &[], &limits()).map_err(|error| error.to_string())
    }

    /// Measures with 1, 2, 4 ... at once until more of them gain nothing or fail, as they do where the card's memory ends;
    /// gives all that was tried, and the place of the best. Why more failed goes to `problems`.
    fn until_full<T>(
        &self,
        most: usize,
        speed: impl Fn(&T) -> f64,
        run: impl Fn(usize) -> Result<T, String>,
        problems: &mut Vec<String>,
    ) -> Result<(Vec<T>, usize), String> {
        let (mut tried, mut best, mut at_once) = (vec![run(1)?], 0, 1);
        while at_once < most {
            at_once = (2 * at_once).min(most);
            match run(at_once) {
                Ok(more) => tried.push(more),
                Err(error) => {
                    problems.push(format!("{at_once} at once are too many: {error}"));
                    break;
                }
            }
            let last = tried.len() - 1;
            let gain = speed(&tried[last]) / speed(&tried[best]);
            if gain > 1.0 {
                best = last;
            }
            if gain < GAIN {
                break;
            }
        }
        Ok((tried, best))
    }
}

fn say(what: &str) {
    eprintln!("step: {what}");
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let ladder = crate::transcode::ladder(options.task.ladder.as_deref(), None)?;
    let segments = streams::read(&options.task.segments)?;
    let (driver, info) = streams::card(&options.task)?;
    let device = Device::open(&driver, info.uuid).map_err(|error| error.to_string())?;
    let encodes = device.encodes().is_ok_and(|codecs| !codecs.is_empty());
    let sessions = if encodes { device.free_sessions(SESSIONS).map_err(|error| error.to_string())? } else { 0 };
    say("every segment once");
    let mut problems = Vec::new();
    let (lengths, source) = first(&device, &ladder, &segments, &mut problems)?;
    let bench = Bench { driver, device, ladder, segments, lengths, source, sessions, options };
    let parts = parts::all(&bench, &mut problems)?;
    let streams = options.streams as usize;
    let mut ladders = Vec::new();
    let mut on_card = None;
    if encodes {
        let run = |streams| ladders::run(&bench, Who::Card, None, streams);
        let (tried, best) = bench.until_full(streams, Run::ladders, run, &mut problems)?;
        on_card = Some(tried[best].clone());
        ladders.extend(tried);
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    ladders.push(ladders::run(&bench, Who::Processors, None, cores.min(streams))?);
    if let Some(rate) = NonZeroU64::new(options.riser) {
        let link = Some(Link::new(rate));
        if let Some(best) = &on_card {
            ladders.push(ladders::run(&bench, Who::Card, link, best.streams)?);
        }
        ladders.push(ladders::run(&bench, Who::Processors, link, cores.min(streams))?);
    }
    let who = if encodes { Who::Card } else { Who::Processors };
    let fastest = ladders.iter().filter(|run| run.link.is_none() && run.who == who).map(Run::ladders);
    let live = match options.live_seconds {
        0 => Vec::new(),
        length => live::search(&bench, who, fastest.fold(0.0, f64::max), Duration::from_secs(length))?,
    };
    let soak = match options.soak_seconds {
        0 => None,
        length => Some(parts::soak(&bench, options.soak_streams as usize, Duration::from_secs(length))?),
    };
    problems.extend(ladders.iter().flat_map(|run| run.problems.iter().cloned()));
    let report = Report {
        cuda: bench.driver.cuda_version(),
        nvenc_api: bench.driver.encode_api().ok().map(|api| api.to_string()),
        doubles: doubles(&options.task.source()),
        card: info,
        encodes,
        sessions,
        parts,
        ladders,
        live,
        soak,
        problems,
    };
    println!("{}", serde_json::json!(report));
    Ok(())
}

/// Makes every segment once, which loads all there is to load. How long each plays, and how large the first one's pictures are.
fn first(
    device: &Arc<Device>,
    ladder: &Ladder,
    segments: &[Vec<u8>],
    problems: &mut Vec<String>,
) -> Result<(Vec<Duration>, (u32, u32)), String> {
    let card = Card::new(device.clone());
    let (mut lengths, mut size) = (Vec::new(), None);
    for segment in segments {
        let out = card.transcode(ladder, segment, &[], &limits()).map_err(|error| error.to_string())?;
        size.get_or_insert((out.source.width, out.source.height));
        lengths.push(Duration::from_secs_f64(out.source.duration.max(0) as f64 / 90_000.0));
    }
    let left = card.tally().segments_left;
    if left > 0 {
        problems.push(format!("{left} segments of {} cannot be done by this card", segments.len()));
    }
    Ok((lengths, size.ok_or("no segments")?))
}
