//! What the parts of a card do, each alone and as often as wanted: for benchmarks. The whole is [`Card::transcode`].
//! Decoders are the driver's own: FFmpeg's are not measured.

use std::time::Instant;

use super::super::job::Job;
use super::super::output::Outlet;
use super::super::timeline::Timeline;
use super::super::{prepare, units};
use super::decoding::Decoding;
use super::{Card, settings};
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::decoder::Unit;
use crate::ladder::{Fps, Ladder};
use crate::nvidia::{Format, NvidiaError, Picture, Planes, Surface, VideoCodec};
use crate::segment::TICKS_PER_SECOND;

/// A segment cut into access units, so that what is left is the card's work.
pub struct Reel {
    codec: VideoCodec,
    units: Vec<Unit>,
    fps: Fps,
}

impl Reel {
    /// Of a segment that a card can decode.
    ///
    /// # Errors
    /// As [`Card::transcode`] has them before the first picture.
    pub fn cut(ladder: &Ladder, input: &[u8], limits: &Limits) -> Result<Self, EngineError> {
        let started = Instant::now();
        let media = prepare(ladder, input.into(), limits, started)?;
        let outlet = Outlet::new(&|_| Ok(()), limits.output_bytes);
        let job = Job { media: &media, timeline: Timeline::of(&media.video), limits, started, outlet };
        Ok(Self {
            codec: media.kind.into(),
            units: units::cut(&job, media.video.iter().map(|unit| &unit.data))?,
            fps: job.timeline.fps,
        })
    }

    /// Bytes that go to the card each time that it is decoded.
    pub fn bytes(&self) -> u64 {
        self.units.iter().map(|unit| unit.data.len() as u64).sum()
    }
}

/// Decoded pictures that stay on a card, and all renditions of each.
pub struct Stills {
    sources: Vec<Surface>,
    /// For every source, in the order of the ladder.
    rungs: Vec<Vec<Surface>>,
    format: Format,
    fps: Fps,
    ladder: Ladder,
}

impl Stills {
    fn source(&self, i: usize) -> Planes<'_> {
        self.sources[i].planes(self.format.size)
    }

    fn outputs(&self, i: usize) -> Vec<Planes<'_>> {
        let rungs = self.rungs[i].iter().zip(self.ladder.renditions());
        rungs.map(|(surface, rendition)| surface.planes((rendition.width, rendition.height))).collect()
    }
}

impl Card {
    fn each_picture(
        &self,
        reel: &Reel,
        limits: &Limits,
        mut take: impl FnMut(&Picture) -> Result<(), NvidiaError>,
    ) -> Result<u64, EngineError> {
        let opening = super::opening(reel.codec, &reel.units);
        let mut decoder = self.warm.direct_decoder(&self.device, &opening, limits.frame_pixels)?;
        let mut count = 0;
        let mut sink = |picture: Picture| {
            count += 1;
            take(&picture)
        };
        for (at, unit) in reel.units.iter().enumerate() {
            decoder.feed(&unit.data, at as i64, &mut sink)?;
        }
        decoder.flush(&mut sink)?;
        self.warm.keep_decoder(reel.codec, limits.frame_pixels, Decoding::Direct(decoder));
        Ok(count)
    }

    fn blanks(&self, ladder: &Ladder) -> Result<Vec<Surface>, NvidiaError> {
        let blank = |(width, height)| Surface::new(&self.device, (width, height), 8);
        ladder.renditions().iter().map(|rendition| blank((rendition.width, rendition.height))).collect()
    }

    /// Decodes a segment, and nothing else. The number of pictures.
    pub fn decode(&self, reel: &Reel, limits: &Limits) -> Result<u64, EngineError> {
        self.each_picture(reel, limits, |_| Ok(()))
    }

    /// Decodes a segment and scales every picture to all sizes of `ladder`, as a segment is made: pictures of several threads are
    /// scaled together. Only the last picture stays. The number of pictures.
    pub fn decode_and_scale(&self, reel: &Reel, ladder: &Ladder, limits: &Limits) -> Result<u64, EngineError> {
        let sizes: Vec<_> = ladder.renditions().iter().map(|it| (it.width, it.height)).collect();
        let blanks = sizes.iter().map(|size| self.warm.surface(&self.device, *size)).collect::<Result<Vec<_>, _>>()?;
        let outputs: Vec<_> = blanks.iter().zip(&sizes).map(|(surface, size)| surface.planes(*size)).collect();
        let count = self.each_picture(reel, limits, |picture| {
            let planes = picture.planes();
            let batcher = self.warm.batcher(&self.device, (planes.size(), planes.bit_depth()), &sizes)?;
            self.scaled(planes.size(), batcher.scale(&planes, &outputs)?);
            Ok(())
        })?;
        drop(outputs);
        sizes.into_iter().zip(blanks).for_each(|(size, surface)| self.warm.keep_surface(size, surface));
        Ok(count)
    }

    /// Keeps up to `most` pictures of a segment on the card, with their renditions.
    pub fn stills(&self, reel: &Reel, ladder: &Ladder, limits: &Limits, most: usize) -> Result<Stills, EngineError> {
        let mut scaler = self.warm.scaler(&self.device)?;
        let mut stills: Option<Stills> = None;
        self.each_picture(reel, limits, |picture| {
            let kept = stills.get_or_insert_with(|| Stills {
                sources: Vec::new(),
                rungs: Vec::new(),
                format: *picture.format(),
                fps: reel.fps,
                ladder: ladder.clone(),
            });
            if kept.sources.len() >= most || picture.format().size != kept.format.size {
                return Ok(());
            }
            let source = Surface::new(&self.device, kept.format.size, kept.format.bit_depth)?;
            scaler.copy(&picture.planes(), &source.planes(kept.format.size))?;
            kept.sources.push(source);
            kept.rungs.push(self.blanks(ladder)?);
            let last = kept.sources.len() - 1;
            scaler.scale(&kept.source(last), &kept.outputs(last)).map(drop)
        })?;
        self.warm.keep_scaler(scaler);
        stills.ok_or(EngineError::NoFrames { units: reel.units.len() as u32 })
    }

    /// Scales each picture once to all sizes. The number of pictures.
    pub fn scale(&self, stills: &Stills) -> Result<u64, EngineError> {
        let mut scaler = self.warm.scaler(&self.device)?;
        for i in 0..stills.sources.len() {
            scaler.scale(&stills.source(i), &stills.outputs(i))?;
        }
        self.warm.keep_scaler(scaler);
        Ok(stills.sources.len() as u64)
    }

    /// Encodes `count` pictures of one rung, the kept ones in turns; each is copied into the encoder's surface first, on the
    /// card. The session is leased and given back as for a segment. `None`: there is no session for it.
    pub fn encode(&self, stills: &Stills, rung: usize, count: u64) -> Result<Option<u64>, EngineError> {
        let Some(rendition) = stills.ladder.renditions().get(rung) else { return Ok(None) };
        let told = settings::of(rendition, stills.fps, (1, 1), &stills.format);
        let Some(mut session) = self.warm.session(&self.device, &told)? else { return Ok(None) };
        let mut scaler = self.warm.scaler(&self.device)?;
        let tick = TICKS_PER_SECOND * i64::from(stills.fps.den) / i64::from(stills.fps.num.max(1));
        let mut received = 0;
        for i in 0..count {
            while !session.has_room() && session.output()?.is_some() {
                received += 1;
            }
            let still = i as usize % stills.rungs.len();
            scaler.copy(&stills.outputs(still)[rung], &session.input()?)?;
            session.encode(i as i64 * tick, false)?;
        }
        received += session.drain()?.len() as u64;
        self.warm.keep_session(session);
        self.warm.keep_scaler(scaler);
        Ok(Some(received))
    }
}
