//! The engine that every machine has: libavcodec decodes, our kernels scale, libx264 encodes.
//!
//! One thread decodes and scales, so that a picture is still in the cache when the rungs are made of it and only the
//! rungs' small pictures wait in queues; every rung is encoded on a thread of its own.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::orientation::Turning;
use super::rung::{self, Made};
use super::scaling::Scaling;
use super::sei::Tail;
use super::timeline::{Clock, Timeline, in_stream};
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::clock::thread_time;
use crate::ffi::ffmpeg::{Decoder, Parser, Picture, Sent};
use crate::ladder::Ladder;
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
) -> Result<SegmentOut, EngineError> {
    match attempt(ladder, media, paces, limits, started, Order::AsGiven) {
        // Known only when pictures come out; few sources are worth a second run, and none the wrong times.
        Err(Stop::Disordered) => attempt(ladder, media, paces, limits, started, Order::Sorted),
        done => done,
    }
    .map_err(|stop| match stop {
        Stop::Failed(error) => error,
        Stop::HungUp | Stop::Disordered => EngineError::NoFrames { units: media.video.len() as u32 },
    })
}

fn attempt(
    ladder: &Ladder,
    media: &Media,
    paces: &[Pace],
    limits: &Limits,
    started: Instant,
    order: Order,
) -> Result<SegmentOut, Stop> {
    let job = &Job { media, timeline: Timeline::of(&media.video), limits, started };
    thread::scope(|scope| {
        let mut scaling = Scaling::new(job, ladder);
        let mut threads = Vec::new();
        for (i, rendition) in ladder.renditions().iter().enumerate() {
            let (queue, pictures) = sync_channel(QUEUE);
            let spare = scaling.feed(rendition, queue);
            let thread = thread::Builder::new().name(format!("rung-{}", rendition.name));
            let pace = paces.get(i).copied();
            let spawned = thread.spawn_scoped(scope, move || rung::run(rendition, job, pace, &pictures, &spare));
            let failed = |_| EngineError::Memory { what: "start an encoder thread".to_owned() };
            threads.push(spawned.map_err(failed)?);
        }
        let decoded = decode(job, ladder, scaling, order);
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
            (Err(stop @ (Stop::Failed(_) | Stop::Disordered)), _) => Err(stop),
            (_, Some(error)) => Err(error.into()),
            (Err(Stop::HungUp), None) => Err(Stop::HungUp),
            (Ok(decoded), None) => Ok(finish(made, decoded)),
        }
    })
}

/// Why decoding ended early.
pub(super) enum Stop {
    /// For this reason.
    Failed(EngineError),
    /// A rung takes no more pictures; it knows why.
    HungUp,
    /// Times are not in the order in which pictures are shown.
    Disordered,
}

/// Which picture has which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The one that came with it.
    AsGiven,
    /// The earliest that is left: a multiplexer mixed up the times of pictures that are near to each other. Where nothing
    /// is mixed up that is the picture's own.
    Sorted,
}

/// Pictures are reordered by at most 16.
const REORDERED: i64 = 16;

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

fn finish(made: Vec<Made>, decoded: Decoded) -> SegmentOut {
    let timings = Timings {
        decode: decoded.decode,
        scale: decoded.scale,
        encode: made.iter().map(|rung| rung.encode).sum(),
        total: Duration::ZERO,
    };
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
fn decode(job: &Job<'_>, ladder: &Ladder, scaling: Scaling<'_>, order: Order) -> Result<Decoded, Stop> {
    let media = job.media;
    let mut feed = Feed {
        job,
        scaling,
        decoder: Decoder::new(media.kind, job.limits.frame_pixels)?,
        output_pixels: ladder.renditions().iter().map(|r| u64::from(r.width) * u64::from(r.height)).sum(),
        pixels: 0,
        clock: Clock::default(),
        order,
        given: None,
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
    let before = thread_time();
    let mut parser = Parser::new(media.kind)?;
    let mut units = 0;
    let flush = [(&[][..], None)];
    let all = media.video.iter().zip(&job.timeline.times).map(|(unit, time)| (&unit.data[..], *time));
    // To the parser, no bytes mean the end.
    let all = all.filter(|(data, _)| !data.is_empty());
    let mut tail = Tail::new(media.kind);
    for (data, pts) in all.chain(flush) {
        let data = tail.moved(data);
        let mut cut = Vec::new();
        parser.feed(&data, pts, |unit, pts| {
            cut.push((unit.to_vec(), pts));
            Ok(())
        })?;
        let (width, height) = parser.size();
        if u64::from(width) * u64::from(height) > job.limits.frame_pixels {
            return Err(EngineError::FramePixels { width, height, limit: job.limits.frame_pixels }.into());
        }
        for (unit, pts) in cut {
            units += 1;
            feed.send(Some((&unit, pts)))?;
        }
    }
    feed.send(None)?;
    let Some(last) = feed.clock.last() else { return Err(EngineError::NoFrames { units }.into()) };
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
    /// The last picture's own time.
    given: Option<i64>,
    /// Times of pictures that were sent and not shown yet.
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
            (_, unit) => self.waiting.extend(unit.and_then(|(_, time)| time)),
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
        let time = self.time(given)?;
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
    fn time(&mut self, given: Option<i64>) -> Result<Option<i64>, Stop> {
        let Some(own) = given else { return Ok(None) };
        let back = self.given.replace(own).map_or(0, |before| before - own);
        if self.order == Order::AsGiven {
            self.waiting.clear();
            let near = 1..=REORDERED * self.job.timeline.frame;
            return if near.contains(&back) { Err(Stop::Disordered) } else { Ok(given) };
        }
        let first = self.waiting.iter().enumerate().min_by_key(|(_, time)| **time).map(|(i, _)| i);
        Ok(Some(first.map_or(own, |first| self.waiting.swap_remove(first))))
    }
}
