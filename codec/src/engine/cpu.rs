//! The engine that every machine has: libavcodec decodes, our kernels scale, libx264 encodes.
//!
//! One thread decodes and scales, so that a picture is still in the cache when the rungs are made of it and only the
//! rungs' small pictures wait in queues; every rung is encoded on a thread of its own.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::orientation::Turning;
use super::output::{Outlet, Sink};
use super::rung::{self, Made};
use super::scaling::Scaling;
use super::timeline::{Clock, Timeline, in_stream};
use super::units::{self, Order};
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::clock::{process_time, thread_time};
use crate::ffi::decoder::{Decoder, Sent};
use crate::ffi::picture::Picture;
use crate::ladder::{Codec, Ladder};
use crate::pace::Pace;
use crate::segment::{SegmentOut, SourceInfo, Timings};
use crate::ts::Media;

/// Pictures that may wait for one encoder: enough to ride out its uneven pace, few enough to keep a ladder below 190 MB.
pub(super) const QUEUE: usize = 3;

/// What all threads of one segment share.
pub(super) struct Job<'a> {
    pub(super) media: &'a Media,
    pub(super) timeline: Timeline,
    pub(super) limits: &'a Limits,
    pub(super) started: Instant,
    pub(super) outlet: Outlet<'a>,
}

impl Job<'_> {
    pub(super) fn check_time(&self) -> Result<(), EngineError> {
        match self.started.elapsed() > self.limits.wall {
            true => Err(EngineError::Wall { limit_ms: self.limits.wall.as_millis() as u64 }),
            false => Ok(()),
        }
    }
}

pub(super) fn run(
    ladder: &Ladder,
    media: &Media,
    paces: &[Pace],
    limits: &Limits,
    started: Instant,
    sink: Sink<'_>,
) -> Result<SegmentOut, EngineError> {
    let outlet = Outlet::new(sink, limits.output_bytes);
    let job = &Job { media, timeline: Timeline::of(&media.video), limits, started, outlet };
    let before = process_time();
    thread::scope(|scope| {
        let mut scaling = Scaling::new(job, ladder);
        let mut threads = Vec::new();
        for (i, rendition) in ladder.renditions().iter().enumerate() {
            let (queue, pictures) = sync_channel(QUEUE);
            let spare = scaling.feed(rendition, queue);
            let thread = thread::Builder::new().name(format!("rung-{}", rendition.name));
            let pace = paces.get(i).copied();
            let spawned = thread.spawn_scoped(scope, move || rung::run((i, rendition), job, pace, &pictures, &spare));
            let failed = |_| EngineError::Memory { what: "start an encoder thread".to_owned() };
            threads.push(spawned.map_err(failed)?);
        }
        let decoded = decode(job, ladder, scaling);
        let mut made = Vec::new();
        let mut failure = None;
        for thread in threads {
            let panicked = || EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: "the encoder thread panicked; this is a bug".to_owned(),
            };
            match thread.join().unwrap_or_else(|_| Err(panicked())) {
                Ok(rung) => made.push(rung),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        // Each side stops when the other does; what counts is who stopped for a reason of its own.
        match (decoded, failure) {
            (Err(Stop::Failed(error)), _) | (_, Some(error)) => Err(error),
            (Err(Stop::HungUp), None) => Err(EngineError::NoFrames { units: media.video.len() as u32 }),
            (Ok(decoded), None) => Ok(finish(ladder, made, decoded, process_time().saturating_sub(before))),
        }
    })
}

/// Why decoding ended early.
pub(super) enum Stop {
    /// For this reason.
    Failed(EngineError),
    /// A rung takes no more pictures; it knows why.
    HungUp,
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// `process` is what all threads of the process have used meanwhile.
fn finish(ladder: &Ladder, made: Vec<Made>, decoded: Decoded, process: Duration) -> SegmentOut {
    let (decode, scale) = (decoded.decode, decoded.scale);
    // x264 works on the rung's thread. The others have threads of their own, whose time only the process tells; a worker
    // does nothing else meanwhile.
    let encode = match ladder.renditions().iter().all(|rendition| rendition.codec == Codec::H264) {
        true => made.iter().map(|rung| rung.encode).sum(),
        false => process.saturating_sub(decode + scale),
    };
    let timings = Timings { decode, scale, encode, total: Duration::ZERO };
    let paces = made.iter().map(|rung| rung.pace).collect();
    let renditions = made.into_iter().map(|rung| rung.out).collect();
    SegmentOut { renditions, source: decoded.source, timings, paces }
}

struct Decoded {
    source: SourceInfo,
    decode: Duration,
    scale: Duration,
}

/// Decodes everything and sends every picture to every rung.
fn decode(job: &Job<'_>, ladder: &Ladder, scaling: Scaling<'_>) -> Result<Decoded, Stop> {
    let media = job.media;
    let before = thread_time();
    let units = units::cut(job)?;
    let mut feed = Feed {
        job,
        scaling,
        decoder: Decoder::new(media.kind, job.limits.frame_pixels)?,
        output_pixels: ladder.renditions().iter().map(|r| u64::from(r.width) * u64::from(r.height)).sum(),
        pixels: 0,
        clock: Clock::default(),
        order: Order::of(&units, job.timeline.frame),
        waiting: Vec::new(),
        turning: Turning::new(media.kind),
        source: SourceInfo {
            width: 0,
            height: 0,
            frames: 0,
            damaged: 0,
            first_pts: 0,
            duration: 0,
            audio: !media.audio.is_empty(),
        },
    };
    for (at, unit) in units.iter().enumerate() {
        if at == units.len() / 2 {
            job.outlet.halfway()?;
        }
        feed.send(Some((&unit.data, unit.time)))?;
    }
    feed.send(None)?;
    let Some(last) = feed.clock.last() else { return Err(EngineError::NoFrames { units: units.len() as u32 }.into()) };
    let end = last + job.timeline.frame;
    let scale = feed.scaling.finish(end)?;
    let mut source = feed.source;
    source.duration = end - source.first_pts;
    source.first_pts = in_stream(source.first_pts);
    Ok(Decoded { source, decode: thread_time().saturating_sub(before + scale), scale })
}

struct Feed<'a> {
    job: &'a Job<'a>,
    scaling: Scaling<'a>,
    decoder: Decoder,
    output_pixels: u64,
    pixels: u64,
    clock: Clock,
    order: Order,
    /// Where times are sorted: those of pictures that were sent and not shown yet.
    waiting: Vec<i64>,
    turning: Turning,
    source: SourceInfo,
}

impl Feed<'_> {
    fn send(&mut self, unit: Option<(&[u8], Option<i64>)>) -> Result<(), Stop> {
        self.job.check_time()?;
        if let Some((data, time)) = unit {
            self.turning.sent(data, time);
        }
        match (self.decoder.send(unit)?, unit) {
            (Sent::Damaged, Some(_)) => self.source.damaged += 1,
            (_, unit) if self.order == Order::Sorted => self.waiting.extend(unit.and_then(|(_, time)| time)),
            _ => {}
        }
        while let Some(picture) = self.decoder.receive()? {
            self.take(picture)?;
        }
        Ok(())
    }

    fn take(&mut self, mut picture: Picture) -> Result<(), Stop> {
        picture.view()?;
        let (width, height) = picture.size();
        let limits = self.job.limits;
        self.pixels += u64::from(width) * u64::from(height) + self.output_pixels;
        if self.pixels > limits.pixels {
            return Err(EngineError::Pixels { limit: limits.pixels }.into());
        }
        if self.source.frames >= limits.frames {
            return Err(EngineError::Frames { limit: limits.frames }.into());
        }
        let given = picture.sent_pts();
        let first = self.clock.last().is_none();
        let time = self.time(given);
        picture.pts = self.clock.next(time, &self.job.timeline);
        picture.orientation = self.turning.of(&picture);
        let source = &mut self.source;
        if picture.is_damaged() || given != Some(picture.pts) {
            source.damaged += 1;
        }
        if first {
            (source.width, source.height) = picture.upright_size();
            source.first_pts = picture.pts;
        }
        source.frames += 1;
        self.scaling.take(&picture)
    }

    /// The time of a picture that came with `given`.
    fn time(&mut self, given: Option<i64>) -> Option<i64> {
        let own = given?;
        let first = self.waiting.iter().enumerate().min_by_key(|(_, time)| **time).map(|(i, _)| i);
        Some(first.map_or(own, |first| self.waiting.swap_remove(first)))
    }
}
