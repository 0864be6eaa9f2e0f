//! The source's side: each picture decoded exactly, scaled to every rung as it lies, and hashed.

use headframe_commit::stream::plane_tops;
use headframe_commit::{Chroma, Hash, Shape};
use headframe_kernels::{Isa, LadderScaler, Orientation, SourceRef, Yuv420Ref};

use super::CommitError;
use crate::budget::Limits;
use crate::engine::FILTER;
use crate::engine::timeline::Cadence;
use crate::error::EngineError;
use crate::ladder::Ladder;
use crate::verify::ordered::SourceLook;
use crate::verify::raster::Raster;
use crate::verify::spans::{Span, Spans, Stop};

/// One picture of the source and what every rung shows of it.
pub(super) struct Step {
    pub(super) shape: Shape,
    pub(super) time: i64,
    pub(super) tops: [Hash; 3],
    /// How it is shown.
    pub(super) orientation: Orientation,
    pub(super) look: SourceLook,
    /// In the ladder's order.
    pub(super) rungs: Vec<Shown>,
}

/// What a rung shows of a picture, as the source lies.
pub(super) struct Shown {
    /// When; never, for a rung with fewer pictures.
    pub(super) times: Vec<i64>,
    pub(super) raster: Raster,
    /// Of its planes; not made for one that is never shown.
    pub(super) tops: [Hash; 3],
}

/// All of them, in order. It is over after an error.
pub(super) struct Steps<'a> {
    ladder: &'a Ladder,
    limits: &'a Limits,
    isa: Isa,
    spans: Spans,
    scaler: Option<LadderScaler>,
    /// Of the first picture.
    orientation: Option<Orientation>,
    number: u32,
    /// Pictures shown so far by each rung.
    shown: Vec<usize>,
    over: bool,
}

/// Luma samples of a picture of every rung.
pub(super) fn pixels(ladder: &Ladder) -> u64 {
    ladder.renditions().iter().map(|rendition| u64::from(rendition.width) * u64::from(rendition.height)).sum()
}

/// A picture of the scaler's, or of a rendition.
pub(super) fn shape_420(size: (u32, u32)) -> Result<Shape, EngineError> {
    Shape::new(size, Chroma::Yuv420, 8).map_err(|error| EngineError::Scale { reason: error.to_string() })
}

/// The tops over the planes of such a picture.
pub(super) fn tops_420(shape: &Shape, picture: &Yuv420Ref<'_>) -> [Hash; 3] {
    plane_tops(shape, |plane, y, row| row.copy_from_slice(picture.planes()[plane].row(y)))
}

impl<'a> Steps<'a> {
    pub(super) fn new(ladder: &'a Ladder, limits: &'a Limits, isa: Isa, spans: Spans) -> Self {
        let shown = vec![0; ladder.renditions().len()];
        Self { ladder, limits, isa, spans, scaler: None, orientation: None, number: 0, shown, over: false }
    }

    fn step(&mut self, span: &Span) -> Result<Step, CommitError> {
        let orientation = span.picture.orientation;
        if *self.orientation.get_or_insert(orientation) != orientation {
            return Err(CommitError::Turned { picture: self.number });
        }
        self.number += 1;
        let view = span.picture.view()?;
        let shape = shape_of(&view)?;
        let tops = plane_tops(&shape, |plane, y, row| view.copy_row(plane, y, row));
        let rungs = self.scale(&view, orientation, span)?;
        Ok(Step { shape, time: span.from, tops, orientation, look: SourceLook::of(&span.picture), rungs })
    }

    fn scale(
        &mut self,
        view: &SourceRef<'_>,
        orientation: Orientation,
        span: &Span,
    ) -> Result<Vec<Shown>, CommitError> {
        let refused = |error: headframe_kernels::ScaleError| EngineError::Scale { reason: error.to_string() };
        let upright = self.ladder.renditions().iter().map(|rendition| (rendition.width, rendition.height));
        let sizes: Vec<_> = upright.map(|size| orientation.turned(size)).collect();
        // Made again when the source changes its size or format on the way.
        let scaler = match self.scaler.take_if(|scaler| scaler.source() == view.source()) {
            Some(scaler) => scaler,
            None => LadderScaler::with_isa(view.source(), &sizes, FILTER, self.isa).map_err(refused)?,
        };
        let scaler = self.scaler.insert(scaler);
        let mut rasters: Vec<_> = sizes.iter().map(|(width, height)| Raster::new(*width, *height)).collect();
        let mut views: Vec<_> = rasters.iter_mut().map(Raster::view_mut).collect();
        scaler.scale(view, &mut views).map_err(refused)?;
        let made = rasters.into_iter().zip(self.ladder.renditions()).zip(&mut self.shown);
        let mut rungs = Vec::with_capacity(sizes.len());
        for ((raster, rendition), shown) in made {
            let room = (self.limits.frames as usize).saturating_sub(*shown);
            let times: Vec<i64> = Cadence::of(rendition).times(span.from, span.until).take(room + 1).collect();
            if times.len() > room {
                return Err(EngineError::Frames { limit: self.limits.frames }.into());
            }
            *shown += times.len();
            // Each is decoded from the rendition as well.
            self.spans.spend(times.len() as u64 * u64::from(rendition.width) * u64::from(rendition.height))?;
            let tops = match times.is_empty() {
                true => Default::default(),
                false => tops_420(&shape_420(orientation.turned((rendition.width, rendition.height)))?, &raster.view()),
            };
            rungs.push(Shown { times, raster, tops });
        }
        Ok(rungs)
    }
}

fn shape_of(view: &SourceRef<'_>) -> Result<Shape, EngineError> {
    let source = view.source();
    let bits = if source.format.bits() == 8 { 8 } else { 10 };
    let chroma = Chroma::of(source.format.chroma()).unwrap_or(Chroma::Grey);
    let refused = |error: headframe_commit::PictureError| EngineError::Scale { reason: error.to_string() };
    Shape::new((source.width, source.height), chroma, bits).map_err(refused)
}

impl Iterator for Steps<'_> {
    type Item = Result<Step, CommitError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = match self.spans.next()? {
            Ok(span) => self.step(&span),
            Err(Stop::Failed(error)) => Err(error.into()),
            Err(Stop::Unclean(picture)) => Err(CommitError::Unclean {
                reason: format!("picture {picture} has errors, or no time later than that of the one before"),
            }),
        };
        self.over = step.is_err();
        Some(step)
    }
}
