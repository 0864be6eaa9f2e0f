//! The engine that every machine has: libavcodec decodes, our kernels scale, libx264 encodes. Where there is a device for it
//! ([`super::vulkan`]), that scales.
//!
//! One thread decodes and scales, so that a picture is still in the cache when the rungs are made of it and only the
//! rungs' small pictures wait in queues; every rung is encoded on a thread of its own.

use std::time::{Duration, Instant};
use std::{mem, thread};

use super::intake::{Intake, Seen};
use super::job::{Job, Stop, Threads};
use super::orientation::Turning;
use super::output::{Outlet, Sink};
use super::rung::Made;
use super::scaling::Scaling;
use super::timeline::Timeline;
use super::{units, vulkan};
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::clock::{process_time, thread_time};
use crate::ffi::decoder::{Decoder, Sent};
use crate::ffi::picture::Picture;
use crate::ladder::{Codec, Ladder};
use crate::pace::Pace;
use crate::segment::{SegmentOut, SourceInfo, Timings};
use crate::ts::{Media, Unit};

pub(super) fn run(
    device: Option<&vulkan::Device>,
    ladder: &Ladder,
    mut media: Media,
    paces: &[Pace],
    limits: &Limits,
    started: Instant,
    sink: Sink<'_>,
) -> Result<SegmentOut, EngineError> {
    let outlet = Outlet::new(sink, limits.output_bytes);
    let timeline = Timeline::of(&media.video);
    // Freed piece by piece as it is cut: these bytes are in memory twice otherwise.
    let video = mem::take(&mut media.video);
    let job = &Job { media: &media, timeline, limits, started, outlet };
    let before = process_time();
    thread::scope(|scope| {
        let mut scaling = Scaling::new(job, ladder, device);
        let mut threads = Threads::of(ladder);
        for (i, rendition) in ladder.renditions().iter().enumerate() {
            threads.spawn(scope, job, (i, rendition), paces.get(i).copied(), scaling.feed(rendition))?;
        }
        let decoded = decode(job, video, ladder, scaling);
        let made = threads.join();
        // Each side stops when the other does; what counts is who stopped for a reason of its own.
        match (decoded, made) {
            (Err(Stop::Failed(error)), _) | (_, Err(error)) => Err(error),
            (Err(Stop::HungUp), Ok(_)) => Err(EngineError::NoFrames { units: job.timeline.times.len() as u32 }),
            (Ok(decoded), Ok(made)) => Ok(finish(ladder, made, decoded, process_time().saturating_sub(before))),
        }
    })
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
fn decode(job: &Job<'_>, video: Vec<Unit>, ladder: &Ladder, scaling: Scaling<'_>) -> Result<Decoded, Stop> {
    let kind = job.media.kind;
    let before = thread_time();
    let units = units::cut(job, video.into_iter().map(|unit| unit.data))?;
    let mut feed = Feed {
        job,
        scaling,
        decoder: Decoder::new(kind, job.limits.frame_pixels)?,
        intake: Intake::new(job, ladder, &units),
        turning: Turning::new(kind, job.media.orientation),
    };
    let count = units.len();
    for (at, unit) in units.into_iter().enumerate() {
        if at == count / 2 {
            job.outlet.halfway()?;
        }
        feed.send(Some((&unit.data, unit.time)))?;
    }
    feed.send(None)?;
    let end = feed.intake.end().ok_or(EngineError::NoFrames { units: count as u32 })?;
    let scale = feed.scaling.finish(end)?;
    let source = feed.intake.finish(end);
    Ok(Decoded { source, decode: thread_time().saturating_sub(before + scale), scale })
}

struct Feed<'a> {
    job: &'a Job<'a>,
    scaling: Scaling<'a>,
    decoder: Decoder,
    intake: Intake<'a>,
    turning: Turning,
}

impl Feed<'_> {
    fn send(&mut self, unit: Option<(&[u8], Option<i64>)>) -> Result<(), Stop> {
        self.job.check_time()?;
        if let Some((data, time)) = unit {
            self.turning.sent(data, time);
        }
        match (self.decoder.send(unit)?, unit) {
            (Sent::Damaged, Some(_)) => self.intake.lost(),
            (_, Some((_, time))) => self.intake.sent(time),
            _ => {}
        }
        while let Some(picture) = self.decoder.receive()? {
            self.take(picture)?;
        }
        Ok(())
    }

    fn take(&mut self, mut picture: Picture) -> Result<(), Stop> {
        picture.view()?;
        picture.orientation = self.turning.of(&picture);
        let (size, upright) = (picture.size(), picture.upright_size());
        let (given, damaged) = (picture.sent_pts(), picture.is_damaged());
        picture.pts = self.intake.picture(&Seen { given, size, upright, damaged })?;
        self.scaling.take(&picture)
    }
}
