//! What is kept of the pictures as they leave the decoder: when each is shown, and what the source turned out to be.

use super::job::Job;
use super::timeline::{Clock, in_stream};
use super::units::Order;
use crate::error::EngineError;
use crate::ffi::decoder::Unit;
use crate::ladder::Ladder;
use crate::segment::SourceInfo;

/// A picture that was decoded.
pub(super) struct Seen {
    /// The time of its access unit.
    pub(super) given: Option<i64>,
    /// Luma width and height as decoded.
    pub(super) size: (u32, u32),
    /// The same of the picture turned upright.
    pub(super) upright: (u32, u32),
    /// Data was missing.
    pub(super) damaged: bool,
}

/// Takes note of the pictures of one segment, in the order in which they are shown.
pub(super) struct Intake<'a> {
    job: &'a Job<'a>,
    output_pixels: u64,
    pixels: u64,
    clock: Clock,
    order: Order,
    /// Where times are sorted: those of pictures that were sent and not shown yet.
    waiting: Vec<i64>,
    source: SourceInfo,
}

impl<'a> Intake<'a> {
    /// For pictures of `units`.
    pub(super) fn new(job: &'a Job<'a>, ladder: &Ladder, units: &[Unit]) -> Self {
        Self {
            job,
            output_pixels: ladder.renditions().iter().map(|r| u64::from(r.width) * u64::from(r.height)).sum(),
            pixels: 0,
            clock: Clock::default(),
            order: Order::of(units, job.timeline.frame),
            waiting: Vec::new(),
            source: SourceInfo {
                kind: job.media.kind,
                width: 0,
                height: 0,
                frames: 0,
                damaged: 0,
                first_pts: 0,
                duration: 0,
                audio: !job.media.audio.is_empty(),
            },
        }
    }

    /// An access unit of this time is with the decoder.
    pub(super) fn sent(&mut self, time: Option<i64>) {
        if self.order == Order::Sorted {
            self.waiting.extend(time);
        }
    }

    /// It does not belong to those that were [`Self::sent`] after all.
    pub(super) fn unsent(&mut self, time: Option<i64>) {
        if let Some(at) = self.waiting.iter().rposition(|waiting| Some(*waiting) == time) {
            self.waiting.swap_remove(at);
        }
    }

    /// An access unit could not be decoded.
    pub(super) fn lost(&mut self) {
        self.source.damaged += 1;
    }

    /// The time at which the next picture is shown.
    pub(super) fn picture(&mut self, seen: &Seen) -> Result<i64, EngineError> {
        let limits = self.job.limits;
        self.pixels += u64::from(seen.size.0) * u64::from(seen.size.1) + self.output_pixels;
        if self.pixels > limits.pixels {
            return Err(EngineError::Pixels { limit: limits.pixels });
        }
        if self.source.frames >= limits.frames {
            return Err(EngineError::Frames { limit: limits.frames });
        }
        let first = self.clock.last().is_none();
        let time = self.time(seen.given);
        let pts = self.clock.next(time, &self.job.timeline);
        let source = &mut self.source;
        if seen.damaged || seen.given != Some(pts) {
            source.damaged += 1;
        }
        if first {
            (source.width, source.height) = seen.upright;
            source.first_pts = pts;
        }
        source.frames += 1;
        Ok(pts)
    }

    /// The time of a picture that came with `given`.
    fn time(&mut self, given: Option<i64>) -> Option<i64> {
        let own = given?;
        let first = self.waiting.iter().enumerate().min_by_key(|(_, time)| **time).map(|(i, _)| i);
        Some(first.map_or(own, |first| self.waiting.swap_remove(first)))
    }

    /// When the last picture ends, if there was one.
    pub(super) fn end(&self) -> Option<i64> {
        self.clock.last().map(|last| last + self.job.timeline.frame)
    }

    /// What the source is, if its last picture ends at `end`.
    pub(super) fn finish(self, end: i64) -> SourceInfo {
        let mut source = self.source;
        source.duration = end - source.first_pts;
        source.first_pts = in_stream(source.first_pts);
        source
    }
}
