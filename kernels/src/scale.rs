//! One picture into one output: the ladder of a single rung, for callers that need no more.

use thiserror::Error;

use crate::filter::{Filter, MAX_RATIO, MAX_SIDE};
use crate::ladder::LadderScaler;
use crate::plane::{Yuv420Mut, Yuv420Ref};
use crate::simd::Isa;
use crate::source::{Source, SourceRef};

/// Why a pair of sizes cannot be scaled, or a picture does not fit the scaler.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScaleError {
    /// A side is zero or too long.
    #[error("cannot scale a side of {src} to {dst} samples; both must be 1..={MAX_SIDE}")]
    Side {
        /// Source samples.
        src: u32,
        /// Output samples.
        dst: u32,
    },
    /// The sizes are too far apart.
    #[error("cannot scale a side of {src} to {dst} samples: more than {MAX_RATIO} to 1")]
    Ratio {
        /// Source samples.
        src: u32,
        /// Output samples.
        dst: u32,
    },
    /// A picture of another size was given.
    #[error("the scaler was made for {want:?}, the picture is {have:?}")]
    Shape {
        /// Width and height the scaler was made for.
        want: (usize, usize),
        /// Width and height of the picture.
        have: (usize, usize),
    },
    /// A picture of another size or format was given.
    #[error("the scaler was made for {want:?}, the picture is {have:?}")]
    Source {
        /// What the scaler was made for.
        want: Source,
        /// What the picture is.
        have: Source,
    },
    /// Not as many outputs as the ladder has rungs.
    #[error("the ladder has {want} outputs, {have} were given")]
    Outputs {
        /// Outputs of the ladder.
        want: usize,
        /// Outputs given.
        have: usize,
    },
}

/// Whether a picture and its outputs are what a scaler from `source` into outputs of luma `sizes` was made for.
pub(crate) fn check_pictures(
    source: Source,
    sizes: &[(u32, u32)],
    src: &SourceRef<'_>,
    out: &[Yuv420Mut<'_>],
) -> Result<(), ScaleError> {
    if src.source() != source {
        return Err(ScaleError::Source { want: source, have: src.source() });
    }
    if out.len() != sizes.len() {
        return Err(ScaleError::Outputs { want: sizes.len(), have: out.len() });
    }
    for (want, out) in sizes.iter().zip(out) {
        let want = (want.0 as usize, want.1 as usize);
        if want != out.size() {
            return Err(ScaleError::Shape { want, have: out.size() });
        }
    }
    Ok(())
}

/// Scales 8-bit 4:2:0 pictures between two fixed sizes; see [`mod@crate::reference`] for what it computes.
///
/// Chroma is taken to be sited as MPEG-2 has it (left), in and out. One scaler serves one thread at a time.
#[derive(Debug, Clone)]
pub struct Scaler {
    src: (u32, u32),
    dst: (u32, u32),
    ladder: LadderScaler,
}

impl Scaler {
    /// A scaler for these luma sizes (width, height), on the best instruction set of this machine.
    pub fn new(src: (u32, u32), dst: (u32, u32)) -> Result<Self, ScaleError> {
        Self::with_isa(src, dst, Isa::best())
    }

    /// The same on a given instruction set; falls back to [`Isa::Portable`] if this machine lacks it.
    pub fn with_isa(src: (u32, u32), dst: (u32, u32), isa: Isa) -> Result<Self, ScaleError> {
        let ladder = LadderScaler::with_isa(Source::yuv420(src), &[dst], Filter::CatmullRom, isa)?;
        Ok(Self { src, dst, ladder })
    }

    /// Luma width and height this scaler reads.
    pub fn source_size(&self) -> (u32, u32) {
        self.src
    }

    /// Luma width and height this scaler writes.
    pub fn output_size(&self) -> (u32, u32) {
        self.dst
    }

    /// Scales `src` into `dst`; both must have the sizes this scaler was made for.
    pub fn scale_yuv420(&mut self, src: &Yuv420Ref<'_>, dst: &mut Yuv420Mut<'_>) -> Result<(), ScaleError> {
        let want = (self.src.0 as usize, self.src.1 as usize);
        if src.size() != want {
            return Err(ScaleError::Shape { want, have: src.size() });
        }
        self.ladder.scale(&SourceRef::from(*src), std::slice::from_mut(dst))
    }
}
