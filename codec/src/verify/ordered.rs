//! What a rendition should show, and when: the source decoded exactly, scaled by the reference kernel, at the times
//! that the order gives.

use std::collections::VecDeque;
use std::sync::Arc;

use headframe_kernels::{Filter, Isa, UprightScaler};

use super::pictures::Pictures;
use super::raster::Raster;
use crate::budget::Limits;
use crate::engine::timeline::Cadence;
use crate::error::EngineError;
use crate::ffi::picture::Picture;
use crate::ladder::Rendition;

/// One picture as ordered.
#[derive(Clone)]
pub(super) struct Shown {
    /// Presentation time on the source's timeline.
    pub(super) time: i64,
    pub(super) raster: Arc<Raster>,
    pub(super) look: SourceLook,
}

/// What the source says of its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceLook {
    pub(super) full_range: bool,
    pub(super) colours: [Option<u32>; 3],
}

/// Why there is no further picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The source is damaged at this picture: encoders may conceal that each in its own way.
    Unclean(u32),
    /// The source cannot be used, or this machine cannot go on.
    Failed(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// The pictures of a rendition as ordered, in order. It is over after an error.
pub(super) struct Ordered<'a> {
    rendition: &'a Rendition,
    limits: &'a Limits,
    isa: Isa,
    /// Length of one source picture in ticks.
    frame: i64,
    cadence: Cadence,
    pictures: Pictures,
    scaler: Option<UprightScaler>,
    /// The picture that is current until the next one's time.
    held: Option<(Picture, i64)>,
    decoded: u32,
    pixels: u64,
    ready: VecDeque<Shown>,
    over: bool,
}

impl<'a> Ordered<'a> {
    pub(super) fn new(rendition: &'a Rendition, limits: &'a Limits, isa: Isa, frame: i64, pictures: Pictures) -> Self {
        let cadence = rendition.fps.map_or(Cadence::Source, Cadence::Fixed);
        Self {
            rendition,
            limits,
            isa,
            frame,
            cadence,
            pictures,
            scaler: None,
            held: None,
            decoded: 0,
            pixels: 0,
            ready: VecDeque::new(),
            over: false,
        }
    }

    fn advance(&mut self) -> Result<(), Stop> {
        let next = self.pictures.next()?;
        if self.pictures.refused > 0 {
            return Err(Stop::Unclean(self.decoded));
        }
        let Some(picture) = next else {
            self.over = true;
            return match self.held.take() {
                Some((picture, time)) => self.show(&picture, time, time + self.frame),
                None => Err(EngineError::NoFrames { units: 0 }.into()),
            };
        };
        picture.view()?;
        let (width, height) = picture.size();
        let output = u64::from(self.rendition.width) * u64::from(self.rendition.height);
        self.pixels += u64::from(width) * u64::from(height) + output;
        if self.pixels > self.limits.pixels {
            return Err(EngineError::Pixels { limit: self.limits.pixels }.into());
        }
        let last = self.held.as_ref().map(|(_, time)| *time);
        let time = picture.sent_pts().filter(|time| last.is_none_or(|last| *time > last));
        let (Some(time), false) = (time, picture.is_damaged()) else { return Err(Stop::Unclean(self.decoded)) };
        self.decoded += 1;
        match self.held.replace((picture, time)) {
            Some((picture, from)) => self.show(&picture, from, time),
            None => Ok(()),
        }
    }

    fn show(&mut self, picture: &Picture, from: i64, until: i64) -> Result<(), Stop> {
        let look = picture.look();
        let look = SourceLook { full_range: look.is_full_range(), colours: look.colours() };
        let mut raster = None;
        for time in self.cadence.times(from, until) {
            if self.ready.len() >= self.limits.frames as usize {
                return Err(EngineError::Frames { limit: self.limits.frames }.into());
            }
            let raster = match &raster {
                Some(raster) => Arc::clone(raster),
                None => Arc::clone(raster.insert(Arc::new(self.scale(picture)?))),
            };
            self.ready.push_back(Shown { time, raster, look });
        }
        Ok(())
    }

    fn scale(&mut self, picture: &Picture) -> Result<Raster, EngineError> {
        let refused = |error: headframe_kernels::ScaleError| EngineError::Scale { reason: error.to_string() };
        let (source, to) = (picture.view()?, (self.rendition.width, self.rendition.height));
        let (kind, orientation) = (source.source(), picture.orientation);
        // Made again when the source changes its size, format or orientation on the way.
        let scaler = match self.scaler.take_if(|scaler| scaler.takes(kind, orientation)) {
            Some(scaler) => scaler,
            None => UprightScaler::new(kind, orientation, &[to], Filter::CatmullRom, self.isa).map_err(refused)?,
        };
        let scaler = self.scaler.insert(scaler);
        let mut raster = Raster::new(to.0, to.1);
        scaler.scale(&source, &mut [raster.view_mut()]).map_err(refused)?;
        Ok(raster)
    }
}

impl Iterator for Ordered<'_> {
    type Item = Result<Shown, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(shown) = self.ready.pop_front() {
                return Some(Ok(shown));
            }
            if self.over {
                return None;
            }
            if let Err(stop) = self.advance() {
                self.over = true;
                return Some(Err(stop));
            }
        }
    }
}
