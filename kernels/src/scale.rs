//! The scaler's entry point: tables made once per pair of sizes, scratch kept between frames.

use thiserror::Error;

use crate::filter::{Axis, MAX_RATIO, MAX_SIDE, Siting};
use crate::plane::{PlaneMut, PlaneRef, Yuv420Mut, Yuv420Ref};
use crate::simd::{self, Isa};

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
}

/// Tables of one plane, in the layout the fast kernels read.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) vertical: Axis,
    /// Horizontal weights, `tap_stride` per output sample, zeros behind the real taps.
    pub(crate) coefs: Vec<i16>,
    /// First sample of each output in the padded row.
    pub(crate) starts: Vec<u32>,
    /// Taps rounded up to a multiple of 8.
    pub(crate) tap_stride: usize,
    /// Samples of edge repetition in front of the row.
    pub(crate) pad: usize,
    /// Samples of the padded row.
    pub(crate) row_len: usize,
}

impl Plan {
    fn new(src: (u32, u32), dst: (u32, u32), chroma: bool) -> Result<Self, ScaleError> {
        let (len, siting) = match chroma {
            false => ((dst.0, dst.1), Siting::Centre),
            true => ((dst.0.div_ceil(2), dst.1.div_ceil(2)), Siting::Left),
        };
        let width = if chroma { src.0.div_ceil(2) } else { src.0 } as usize;
        let horizontal = Axis::new(src.0, dst.0, len.0 as usize, siting)?;
        let vertical = Axis::new(src.1, dst.1, len.1 as usize, Siting::Centre)?;
        let tap_stride = horizontal.taps().next_multiple_of(8);
        let pad = (0..horizontal.len()).map(|i| (-horizontal.first(i)).max(0)).max().unwrap_or(0) as usize;
        let starts: Vec<u32> = (0..horizontal.len()).map(|i| (horizontal.first(i) + pad as i32) as u32).collect();
        let mut coefs = vec![0; tap_stride * horizontal.len()];
        for (i, padded) in coefs.chunks_exact_mut(tap_stride).enumerate() {
            padded[..horizontal.taps()].copy_from_slice(horizontal.coefs(i));
        }
        let reach = starts.iter().max().map_or(0, |start| *start as usize + tap_stride);
        Ok(Self { vertical, coefs, starts, tap_stride, pad, row_len: reach.max(pad + width) })
    }
}

/// Scales 8-bit 4:2:0 pictures between two fixed sizes; see [`mod@crate::reference`] for what it computes.
///
/// Chroma is taken to be sited as MPEG-2 has it (left), in and out. One scaler serves one thread at a time.
#[derive(Debug, Clone)]
pub struct Scaler {
    src: (u32, u32),
    dst: (u32, u32),
    luma: Plan,
    chroma: Plan,
    row: Vec<i16>,
    isa: Isa,
}

impl Scaler {
    /// A scaler for these luma sizes (width, height), on the best instruction set of this machine.
    pub fn new(src: (u32, u32), dst: (u32, u32)) -> Result<Self, ScaleError> {
        Self::with_isa(src, dst, Isa::best())
    }

    /// The same on a given instruction set; falls back to [`Isa::Portable`] if this machine lacks it.
    pub fn with_isa(src: (u32, u32), dst: (u32, u32), isa: Isa) -> Result<Self, ScaleError> {
        let luma = Plan::new(src, dst, false)?;
        let chroma = Plan::new(src, dst, true)?;
        let row = vec![0; luma.row_len.max(chroma.row_len)];
        Ok(Self { src, dst, luma, chroma, row, isa: if isa.is_available() { isa } else { Isa::Portable } })
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
        for (want, have) in [(self.src, src.size()), (self.dst, dst.size())] {
            let want = (want.0 as usize, want.1 as usize);
            if want != have {
                return Err(ScaleError::Shape { want, have });
            }
        }
        for (i, (src, dst)) in src.planes.iter().zip(&mut dst.planes).enumerate() {
            let plan = if i == 0 { &self.luma } else { &self.chroma };
            if self.src == self.dst {
                copy(src, dst);
            } else {
                simd::scale_plane(self.isa, plan, src, dst, &mut self.row);
            }
        }
        Ok(())
    }
}

/// Equal sizes have tables of single ones, so copying is the same function.
fn copy(src: &PlaneRef<'_>, dst: &mut PlaneMut<'_>) {
    for y in 0..src.height() {
        dst.row_mut(y).copy_from_slice(src.row(y));
    }
}
