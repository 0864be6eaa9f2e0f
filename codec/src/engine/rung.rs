//! One rendition: encode, and pass on to be multiplexed.

use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::cpu::Job;
use super::output::Output;
use super::scaling::Shown;
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

/// Takes pictures until the sender hangs up, then finishes the rendition. Read pictures go back through `spare`.
pub(super) fn run(
    (index, rendition): (usize, &Rendition),
    job: &Job<'_>,
    pace: Option<Pace>,
    pictures: &Receiver<Shown>,
    spare: &Sender<Image>,
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
        next_key: i64::MIN,
        times: Vec::new(),
        output: Output::new(rendition, index, job),
        received: 0,
    };
    while let Ok(mut shown) = pictures.recv() {
        for time in &shown.times {
            job.check_time()?;
            if rung.times.len() >= job.limits.frames as usize {
                return Err(EngineError::Frames { limit: job.limits.frames });
            }
            rung.encode(&mut shown.image, shown.look, *time)?;
        }
        // Nobody takes it any more when the source has ended.
        let _ = spare.send(shown.image);
    }
    rung.finish()
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
    /// Time from which the next picture is an IDR.
    next_key: i64,
    /// Time of each picture sent; the encoder counts pictures.
    times: Vec<i64>,
    output: Output<'a>,
    /// Pictures that came back.
    received: usize,
}

impl Rung<'_> {
    fn encode(&mut self, image: &mut Image, look: Look, time: i64) -> Result<(), EngineError> {
        let fps = self.fps;
        let gop = i64::from(self.rendition.gop_ms) * TICKS_PER_SECOND / 1000;
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
        // Half a picture of tolerance: times are often rounded to milliseconds.
        let key = self.times.is_empty() || time + self.job.timeline.frame / 2 >= self.next_key;
        if key {
            let start = self.times.first().copied().unwrap_or(time);
            let due = time + self.job.timeline.frame / 2 - start;
            self.next_key = start + (due / gop + 1) * gop;
        }
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
            return Err(EngineError::NoFrames { units: self.job.media.video.len() as u32 });
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
