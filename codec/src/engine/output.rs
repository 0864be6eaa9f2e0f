//! From encoded pictures to parts of a rendition: they are multiplexed and handed over while later ones are still in work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::codecs::codecs;
use super::job::Job;
use super::timeline::{Cadence, in_stream};
use crate::cmaf::{self, Shape};
use crate::error::EngineError;
use crate::ladder::{Codec, Container, Rendition};
use crate::segment::{LONGEST_PART, Part, RenditionOut, TICKS_PER_SECOND};
use crate::ts::{self, VideoUnit};

/// What is told while a segment is in work.
#[derive(Debug)]
pub enum Event {
    /// A part of a rendition.
    Part(Part),
    /// Half of the source has been decoded. Another segment may begin, so that it is under way when this one runs dry. Told
    /// once.
    Halfway,
}

/// Takes the parts of all renditions, each rendition's in order, from several threads. An error ends the segment.
pub type Sink<'a> = &'a (dyn Fn(Event) -> Result<(), EngineError> + Sync);

/// Where the parts of a segment go, and how much went.
pub(super) struct Outlet<'a> {
    sink: Sink<'a>,
    limit: u64,
    bytes: AtomicU64,
    told: AtomicBool,
}

impl<'a> Outlet<'a> {
    /// Hands parts to `sink` until they are `limit` bytes.
    pub(super) fn new(sink: Sink<'a>, limit: u64) -> Self {
        Self { sink, limit, bytes: AtomicU64::new(0), told: AtomicBool::new(false) }
    }

    /// Half of the source has been decoded.
    pub(super) fn halfway(&self) -> Result<(), EngineError> {
        self.told.store(true, Ordering::Relaxed);
        (self.sink)(Event::Halfway)
    }

    /// Nothing was told yet, so another engine can begin again.
    pub(super) fn is_untouched(&self) -> bool {
        !self.told.load(Ordering::Relaxed)
    }

    fn give(&self, part: Part) -> Result<(), EngineError> {
        self.told.store(true, Ordering::Relaxed);
        let bytes = (part.bytes.len() + part.init.as_ref().map_or(0, Vec::len)) as u64;
        match self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit {
            true => (self.sink)(Event::Part(part)),
            false => Err(EngineError::OutputBytes { limit: self.limit }),
        }
    }
}

enum Muxer<'a> {
    Ts(ts::Muxer<'a>),
    Cmaf(cmaf::Muxer),
}

/// One rendition on its way out.
pub(super) struct Output<'a> {
    rendition: &'a Rendition,
    /// Its index in the ladder.
    index: usize,
    job: &'a Job<'a>,
    /// Sample aspect ratio; to be set before the first picture.
    pub(super) aspect: (i32, i32),
    /// Made for the first picture.
    muxer: Option<Muxer<'a>>,
    /// Pictures of the next part. When the last one ends is known with the one after it.
    pending: Vec<VideoUnit>,
    parts: u32,
    frames: u32,
    codecs: String,
}

impl<'a> Output<'a> {
    pub(super) fn new(rendition: &'a Rendition, index: usize, job: &'a Job<'a>) -> Self {
        let (codecs, pending) = (String::new(), Vec::new());
        Self { rendition, index, job, aspect: (0, 0), muxer: None, pending, parts: 0, frames: 0, codecs }
    }

    /// Takes the next picture.
    pub(super) fn push(&mut self, unit: VideoUnit) -> Result<(), EngineError> {
        self.cut(unit.pts)?;
        self.pending.push(unit);
        Ok(())
    }

    /// Hands over all pending pictures but the last one if with that, which is shown until `end`, the part would become too
    /// long.
    fn cut(&mut self, end: i64) -> Result<(), EngineError> {
        if let [first, .., last] = &self.pending[..]
            && end - first.pts > LONGEST_PART
        {
            let part_end = last.pts;
            let rest = self.pending.split_off(self.pending.len() - 1);
            self.give(part_end, false)?;
            self.pending = rest;
        }
        Ok(())
    }

    /// Hands over what is left. The parts together are the rendition.
    pub(super) fn finish(mut self) -> Result<RenditionOut, EngineError> {
        let last = self.pending.last().map_or(0, |unit| unit.pts);
        let end = match self.rendition.fps {
            None => last + self.job.timeline.frame,
            Some(fps) => Cadence::Fixed(fps).times(last + 1, last + 2 * TICKS_PER_SECOND).next().unwrap_or(last + 1),
        };
        self.cut(end)?;
        self.give(end, true)?;
        Ok(RenditionOut {
            name: self.rendition.name.clone(),
            width: self.rendition.width,
            height: self.rendition.height,
            init: None,
            bytes: Vec::new(),
            frames: self.frames,
            codecs: self.codecs,
        })
    }

    /// Multiplexes the pending pictures, of which the last one is shown until `end`.
    fn give(&mut self, end: i64, last: bool) -> Result<(), EngineError> {
        let Some(first) = self.pending.first() else { return Ok(()) };
        let audio = &self.job.media.audio;
        let mut init = None;
        if self.muxer.is_none() {
            let codec = self.rendition.codec;
            self.codecs = codecs(codec, &first.data, audio);
            let (width, height) = (self.rendition.width, self.rendition.height);
            self.muxer = Some(match self.rendition.container {
                Container::Mpegts => Muxer::Ts(ts::Muxer::new(audio, stream_type(codec)?)),
                Container::Cmaf => {
                    let muxer = cmaf::Muxer::new(codec, first, audio, Shape { width, height, aspect: self.aspect })?;
                    init = Some(muxer.init()?);
                    Muxer::Cmaf(muxer)
                }
            });
        }
        let bytes = match &mut self.muxer {
            Some(Muxer::Ts(muxer)) => {
                self.pending.iter().for_each(|unit| muxer.push(unit));
                if last {
                    muxer.finish();
                }
                muxer.take()
            }
            Some(Muxer::Cmaf(muxer)) => muxer.fragment(&self.pending, end, last)?,
            None => return Ok(()),
        };
        let frames = self.pending.len() as u32;
        let part = Part {
            rendition: self.index,
            number: self.parts,
            init,
            bytes,
            pts: in_stream(first.pts),
            duration: end - first.pts,
            frames,
            independent: first.key,
            last,
        };
        self.pending.clear();
        self.parts += 1;
        self.frames += frames;
        self.job.outlet.give(part)
    }
}

/// Of pictures in MPEG-TS.
fn stream_type(codec: Codec) -> Result<u8, EngineError> {
    match codec {
        Codec::H264 => Ok(ts::H264),
        Codec::Hevc => Ok(ts::HEVC),
        // Ladders do not order it.
        Codec::Av1 => Err(EngineError::Codec {
            what: "write MPEG-TS".to_owned(),
            code: 0,
            reason: "it cannot carry AV1; order cmaf".to_owned(),
        }),
    }
}
