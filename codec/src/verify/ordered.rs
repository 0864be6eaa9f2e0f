//! What a rendition should show, and when: the source decoded exactly, scaled by the reference kernel, at the times
//! that the order gives.

use std::collections::VecDeque;
use std::sync::Arc;

use headframe_kernels::{Isa, UprightScaler};

use super::pictures::Pictures;
use super::raster::Raster;
use super::spans::{SourceClock, Span, Spans, Stop};
use crate::budget::Limits;
use crate::engine::FILTER;
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
pub(crate) struct SourceLook {
    pub(super) full_range: bool,
    pub(super) colours: [Option<u32>; 3],
}

impl SourceLook {
    pub(crate) fn of(picture: &Picture) -> Self {
        let look = picture.look();
        Self { full_range: look.is_full_range(), colours: look.colours() }
    }
}

/// The pictures of a rendition as ordered, in order. It is over after an error.
pub(super) struct Ordered<'a> {
    rendition: &'a Rendition,
    limits: &'a Limits,
    isa: Isa,
    cadence: Cadence,
    spans: Spans,
    scaler: Option<UprightScaler>,
    ready: VecDeque<Shown>,
    over: bool,
}

impl<'a> Ordered<'a> {
    pub(super) fn new(
        rendition: &'a Rendition,
        limits: &'a Limits,
        isa: Isa,
        clock: SourceClock,
        pictures: Pictures,
    ) -> Self {
        let output = u64::from(rendition.width) * u64::from(rendition.height);
        Self {
            rendition,
            limits,
            isa,
            cadence: Cadence::of(rendition),
            spans: Spans::new(pictures, clock, output, limits),
            scaler: None,
            ready: VecDeque::new(),
            over: false,
        }
    }

    fn show(&mut self, span: &Span) -> Result<(), Stop> {
        let look = SourceLook::of(&span.picture);
        let mut raster = None;
        for time in self.cadence.times(span.from, span.until) {
            if self.ready.len() >= self.limits.frames as usize {
                return Err(EngineError::Frames { limit: self.limits.frames }.into());
            }
            let raster = match &raster {
                Some(raster) => Arc::clone(raster),
                None => Arc::clone(raster.insert(Arc::new(self.scale(&span.picture)?))),
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
            None => UprightScaler::new(kind, orientation, &[to], FILTER, self.isa).map_err(refused)?,
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
            let shown = match self.spans.next() {
                Some(span) => span.and_then(|span| self.show(&span)),
                None => {
                    self.over = true;
                    Ok(())
                }
            };
            if let Err(stop) = shown {
                self.over = true;
                return Some(Err(stop));
            }
        }
    }
}
