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
use crate::pace::{Pace, RECENT};
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
    let (source, units) = (job.timeline.fps, job.media.video.len() as u64);
    let expected = units * u64::from(fps.num) * u64::from(source.den) / (u64::from(fps.den) * u64::from(source.num));
    let mut rung = Rung {
        rendition,
        job,
        fps,
        pace: pace.unwrap_or_else(|| Pace::start(rendition, fps)),
        pictures: expected.max(1),
        factors: 0,
        encoder: None,
        next_key: i64::MIN,
        times: Vec::new(),
        output: Output::new(rendition, index, job),
        sizes: Vec::new(),
        bytes: 0,
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
    pace: Pace,
    /// Pictures to come, more or less.
    pictures: u64,
    /// The sum of the rate factors of all pictures sent, in parts.
    factors: u64,
    encoder: Option<Encoder<'a>>,
    /// Time from which the next picture is an IDR.
    next_key: i64,
    /// Time of each picture sent; the encoder counts pictures.
    times: Vec<i64>,
    output: Output<'a>,
    /// Bytes of each picture encoded, and of all.
    sizes: Vec<u64>,
    bytes: u64,
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
                    rate_factor: self.pace.rate_factor(),
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
        self.factors += self.pace.parts();
        encoder.send(Some((image, index, key)))?;
        self.drain()?;
        self.ease()
    }

    /// Makes the rest better where content has become much easier than the rate control thought.
    fn ease(&mut self) -> Result<(), EngineError> {
        let recent = self.sizes.iter().rev().take(RECENT).map(|size| 8 * size).sum();
        let done = self.sizes.len() as u64;
        if self.rendition.rate != Rate::Capped
            || !self.times.len().is_multiple_of(2)
            || !Pace::lags(8 * self.bytes, recent, done, self.pictures, self.budget(self.pictures))
        {
            return Ok(());
        }
        let eased = self.pace.eased();
        if self.encoder.as_mut().map_or(Ok(false), |encoder| encoder.set_rate_factor(eased.rate_factor()))? {
            self.pace = eased;
        }
        Ok(())
    }

    /// Bits that so many pictures may take.
    fn budget(&self, pictures: u64) -> u64 {
        u64::from(self.rendition.bitrate_bps) * pictures * u64::from(self.fps.den) / u64::from(self.fps.num)
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
            self.bytes += encoded.data.len() as u64;
            self.sizes.push(encoded.data.len() as u64);
            self.output.push(VideoUnit { pts, key: encoded.key, data: encoded.data })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Made, EngineError> {
        let Some(encoder) = &mut self.encoder else {
            return Err(EngineError::NoFrames { units: self.job.media.video.len() as u32 });
        };
        encoder.send(None)?;
        self.drain()?;
        if self.sizes.len() != self.times.len() {
            return Err(EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: format!(
                    "{} returned {} of {} pictures",
                    self.rendition.codec.encoder(),
                    self.sizes.len(),
                    self.times.len()
                ),
            });
        }
        let sent = self.times.len() as u64;
        let pace = Pace::mean(self.factors, sent).after(8 * self.bytes, self.budget(sent));
        let out = self.output.finish()?;
        // The thread has done nothing else.
        Ok(Made { out, pace, encode: thread_time() })
    }
}
