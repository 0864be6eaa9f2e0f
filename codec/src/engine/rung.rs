//! One rendition: encode, and pass on to be multiplexed.

use std::time::Duration;

use super::job::Job;
use super::output::Output;
use super::scaling::Waiting;
use crate::error::EngineError;
use crate::ffi::clock::thread_time;
use crate::ffi::encoder::{Encoder, Settings};
use crate::ffi::picture::{Image, Look};
use crate::ladder::{Fps, Rate, Rendition};
use crate::pace::{Budget, Pace};
use crate::segment::{RenditionOut, TICKS_PER_SECOND};
use crate::ts::VideoUnit;

/// A rendition, whose bytes have been handed over, and what it cost.
pub(super) struct Made {
    pub(super) out: RenditionOut,
    /// For the segment after the next.
    pub(super) pace: Pace,
    pub(super) encode: Duration,
}

/// Takes pictures until the sender hangs up, then finishes the rendition. Pictures that were read go back.
pub(super) fn run(
    (index, rendition): (usize, &Rendition),
    job: &Job<'_>,
    pace: Option<Pace>,
    waiting: &Waiting,
) -> Result<Made, EngineError> {
    let fps = rendition.fps.unwrap_or(job.timeline.fps);
    let budget = Budget::new(rendition, fps);
    let pace = pace.unwrap_or_else(|| Pace::start(rendition, &budget));
    let mut rung = Rung {
        rendition,
        job,
        fps,
        budget,
        pace,
        factor: pace.parts(&budget),
        encoder: None,
        keys: Keys::new(rendition, job.timeline.frame),
        times: Vec::new(),
        output: Output::new(rendition, index, job),
        received: 0,
    };
    while let Ok(mut shown) = waiting.pictures.recv() {
        for time in &shown.times {
            job.check_time()?;
            if rung.times.len() >= job.limits.frames as usize {
                return Err(EngineError::Frames { limit: job.limits.frames });
            }
            rung.encode(&mut shown.image, shown.look, *time)?;
        }
        // Nobody takes it any more when the source has ended.
        let _ = waiting.spare.send(shown.image);
    }
    rung.finish()
}

/// Which pictures are IDR pictures.
pub(super) struct Keys {
    /// Ticks from one to the next.
    gop: i64,
    /// Half a picture of tolerance: times are often rounded to milliseconds.
    tolerance: i64,
    first: Option<i64>,
    next: i64,
}

impl Keys {
    pub(super) fn new(rendition: &Rendition, frame: i64) -> Self {
        let gop = i64::from(rendition.gop_ms) * TICKS_PER_SECOND / 1000;
        Self { gop, tolerance: frame / 2, first: None, next: i64::MIN }
    }

    /// Whether the next picture, shown at `time`, is one.
    pub(super) fn due(&mut self, time: i64) -> bool {
        let first = *self.first.get_or_insert(time);
        let due = time + self.tolerance >= self.next;
        if due {
            self.next = first + ((time + self.tolerance - first) / self.gop + 1) * self.gop;
        }
        due
    }
}

struct Rung<'a> {
    rendition: &'a Rendition,
    job: &'a Job<'a>,
    fps: Fps,
    budget: Budget,
    pace: Pace,
    /// The rate factor at which the encoder works, in parts.
    factor: i64,
    encoder: Option<Encoder<'a>>,
    keys: Keys,
    /// Time of each picture sent; the encoder counts pictures.
    times: Vec<i64>,
    output: Output<'a>,
    /// Pictures that came back.
    received: usize,
}

impl Rung<'_> {
    fn encode(&mut self, image: &mut Image, look: Look, time: i64) -> Result<(), EngineError> {
        let fps = self.fps;
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                self.output.aspect = look.aspect;
                let pictures = u64::from(self.rendition.gop_ms) * u64::from(fps.num) / (u64::from(fps.den) * 1000);
                Encoder::new(&Settings {
                    rendition: self.rendition,
                    rate_factor: Pace::of_parts(self.factor),
                    fps,
                    // The clock decides (below); this only tells the rate control what to expect.
                    gop: u32::try_from(pictures).unwrap_or(u32::MAX).min(5000) + 2,
                    look,
                })?
            }
        };
        let encoder = self.encoder.insert(encoder);
        let key = self.keys.due(time);
        let index = self.times.len() as i64;
        self.times.push(time);
        encoder.send(Some((image, index, key)))?;
        self.drain()?;
        self.follow()
    }

    /// Lets the encoder follow the rate control, every other picture: the more often, the more x264 starts over.
    fn follow(&mut self) -> Result<(), EngineError> {
        let factor = self.pace.parts(&self.budget);
        if self.rendition.rate == Rate::Capped
            && self.times.len().is_multiple_of(2)
            && factor != self.factor
            && let Some(encoder) = &mut self.encoder
            && encoder.set_rate_factor(Pace::of_parts(factor))?
        {
            self.factor = factor;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), EngineError> {
        while let Some(encoded) = self.encoder.as_mut().map_or(Ok(None), Encoder::receive)? {
            let time = usize::try_from(encoded.index).ok().and_then(|index| self.times.get(index));
            let lost = || EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: format!(
                    "{} returned a picture that was not sent ({})",
                    self.rendition.codec.encoder(),
                    encoded.index
                ),
            };
            let pts = *time.ok_or_else(lost)?;
            self.pace.add(8 * encoded.data.len() as u64, self.factor, &self.budget);
            self.output.push(VideoUnit { pts, key: encoded.key, data: encoded.data })?;
            self.received += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Made, EngineError> {
        let Some(encoder) = &mut self.encoder else {
            return Err(EngineError::NoFrames { units: self.job.timeline.times.len() as u32 });
        };
        encoder.send(None)?;
        self.drain()?;
        if self.received != self.times.len() {
            return Err(EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: format!(
                    "{} returned {} of {} pictures",
                    self.rendition.codec.encoder(),
                    self.received,
                    self.times.len()
                ),
            });
        }
        let out = self.output.finish()?;
        // The thread has done nothing else.
        Ok(Made { out, pace: self.pace, encode: thread_time() })
    }
}
