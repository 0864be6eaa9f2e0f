//! A rendition's side: its pictures, paired with those that the scaler made.

use std::num::NonZeroUsize;

use headframe_commit::shape::TILE;
use headframe_commit::stream::{ErrorStream, PictureStream};
use headframe_commit::{ByteTree, FrameErrors, Hash, Rung, Shape};
use headframe_kernels::metric::tile_errors_with;
use headframe_kernels::{Isa, Orientation, Yuv420Ref};

use super::CommitError;
use super::steps::{Shown, Step, shape_420, tops_420};
use crate::error::EngineError;
use crate::ladder::Rendition;
use crate::verify::candidate::{Candidate, Order, Refused};
use crate::verify::raster::Raster;
use crate::verify::{Fault, Profile};

const SIDE: NonZeroUsize = NonZeroUsize::new(TILE).expect("tiles have samples");

/// A rendition on its way.
pub(super) struct Track<'a> {
    rendition: &'a Rendition,
    bytes: &'a [u8],
    profile: Profile,
    candidate: Candidate,
    /// Pictures ordered so far.
    ordered: u32,
    scaled: PictureStream,
    decoded: PictureStream,
    errors: ErrorStream,
    /// The largest squared errors of a picture: Y, and U with V.
    worst: (u64, u64),
    /// Size and format as the source lies, once that is known.
    shape: Option<Shape>,
    /// Where pictures are turned back.
    lying: Option<Raster>,
}

impl<'a> Track<'a> {
    pub(super) fn open(rendition: &'a Rendition, bytes: &'a [u8], order: &Order) -> Result<Self, CommitError> {
        let fault = |fault: String| CommitError::Rendition { rendition: rendition.name.clone(), fault };
        let profile = Profile::of(rendition.clone()).map_err(|error| fault(error.to_string()))?;
        let candidate = Candidate::open(bytes, &profile, order).map_err(|refused| named(refused, rendition))?;
        Ok(Self {
            rendition,
            bytes,
            profile,
            candidate,
            ordered: 0,
            scaled: PictureStream::default(),
            decoded: PictureStream::default(),
            errors: ErrorStream::default(),
            worst: (0, 0),
            shape: None,
            lying: None,
        })
    }

    /// Takes all of the rendition's pictures that show this one of the source.
    pub(super) fn take(&mut self, step: &Step, shown: &Shown, isa: Isa) -> Result<(), CommitError> {
        let size = step.orientation.turned((self.rendition.width, self.rendition.height));
        let shape = *self.shape.insert(shape_420(size)?);
        for time in &shown.times {
            self.ordered += 1;
            let next = self.candidate.next(*time, step.look, &self.profile);
            let Some(picture) = next.map_err(|refused| named(refused, self.rendition))? else { continue };
            // Checked to be 8-bit 4:2:0 of the ordered size. Its time is the order's: what it is off by was found to be within
            // the bounds.
            let view = picture.view()?;
            let upright = view.yuv420().ok_or_else(odd)?;
            let turned = match step.orientation {
                Orientation::UPRIGHT => None,
                orientation => Some(turned_back(&mut self.lying, &upright, orientation, size)?),
            };
            let decoded = turned.as_ref().map_or(upright, |raster| raster.view());
            self.scaled.push(&shape, *time, &shown.tops);
            self.decoded.push(&shape, *time, &tops_420(&shape, &decoded));
            let tiles = tile_errors(&shown.raster.view(), &decoded, isa)?;
            let frame = FrameErrors::new(tiles.each_ref().map(Vec::as_slice)).ok_or_else(odd)?;
            let node = frame.node();
            self.worst = (self.worst.0.max(node.luma), self.worst.1.max(node.chroma));
            self.errors.push(node).ok_or_else(odd)?;
        }
        Ok(())
    }

    /// When the source has ended: as many pictures as ordered, and everything about them.
    pub(super) fn finish(mut self, limits: Hash) -> Result<Rung, CommitError> {
        let rest = self.candidate.rest().map_err(|refused| named(refused, self.rendition))?;
        let have = self.decoded.count() + rest;
        if have != self.ordered {
            return Err(named(Fault::Count { have, want: self.ordered }.into(), self.rendition));
        }
        let (shape, top) = (self.shape.ok_or_else(odd)?, self.errors.top().ok_or_else(odd)?);
        let (width, height) = shape.size();
        Ok(Rung {
            width,
            height,
            content: ByteTree::new(self.bytes).root(),
            bytes: self.bytes.len() as u64,
            scaled: self.scaled.root(),
            decoded: self.decoded.root(),
            errors: self.errors.root().ok_or_else(odd)?,
            limits,
            pictures: self.ordered,
            luma: top.luma,
            chroma: top.chroma,
            worst_luma: self.worst.0,
            worst_chroma: self.worst.1,
        })
    }
}

fn turned_back<'r>(
    room: &'r mut Option<Raster>,
    upright: &Yuv420Ref<'_>,
    orientation: Orientation,
    (width, height): (u32, u32),
) -> Result<&'r Raster, EngineError> {
    let raster = room.get_or_insert_with(|| Raster::new(width, height));
    let refused = |error: headframe_kernels::ScaleError| EngineError::Scale { reason: error.to_string() };
    orientation.inverse().apply(upright, &mut raster.view_mut()).map_err(refused)?;
    Ok(raster)
}

fn tile_errors(a: &Yuv420Ref<'_>, b: &Yuv420Ref<'_>, isa: Isa) -> Result<[Vec<u64>; 3], EngineError> {
    let plane = |plane: usize| tile_errors_with(isa, &a.planes()[plane], &b.planes()[plane], SIDE).map_err(|_| odd());
    Ok([plane(0)?, plane(1)?, plane(2)?])
}

/// What the checks before rule out.
fn odd() -> EngineError {
    EngineError::PixelFormat { format: "other than 8-bit 4:2:0 of the ordered size".to_owned() }
}

fn named(refused: Refused, rendition: &Rendition) -> CommitError {
    match refused {
        Refused::Fault(fault) => CommitError::Rendition { rendition: rendition.name.clone(), fault: fault.to_string() },
        Refused::Machine(error) => CommitError::Machine { error },
    }
}
