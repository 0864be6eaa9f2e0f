//! Size and format of a picture, and how it falls into planes and tiles.

use thiserror::Error;

/// Samples to a side of a tile; those at the right and lower edge may be smaller.
pub const TILE: usize = 32;
/// The longest side that can be committed to.
pub const MAX_SIDE: u32 = 16_384;

/// How much colour a picture has, as H.264 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// None.
    Grey = 0,
    /// Half the samples both ways, rounded up.
    Yuv420 = 1,
    /// Half the samples across.
    Yuv422 = 2,
    /// As many as luma.
    Yuv444 = 3,
}

impl Chroma {
    /// From its number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::Grey, Self::Yuv420, Self::Yuv422, Self::Yuv444].into_iter().find(|chroma| *chroma as u8 == number)
    }
}

/// Why samples are not a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PictureError {
    /// A side is 0 or too long.
    #[error("a picture of {width}x{height} samples; both sides must be 1..={MAX_SIDE}")]
    Side {
        /// Luma samples per row.
        width: u32,
        /// Luma rows.
        height: u32,
    },
    /// Neither 8 nor 10 bits.
    #[error("samples of {0} bits; 8 and 10 are known")]
    Bits(u8),
    /// The planes given do not hold the samples.
    #[error("plane {plane} has {have} bytes, {want} were expected")]
    Plane {
        /// 0 to 2; the number given where there are too many or too few.
        plane: usize,
        /// Bytes given.
        have: usize,
        /// Bytes expected.
        want: usize,
    },
}

/// Size and format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) chroma: Chroma,
    pub(crate) bits: u8,
}

impl Shape {
    /// Luma width and height, colour, and bits of a sample: 8 or 10.
    pub fn new((width, height): (u32, u32), chroma: Chroma, bits: u8) -> Result<Self, PictureError> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(PictureError::Side { width, height });
        }
        if bits != 8 && bits != 10 {
            return Err(PictureError::Bits(bits));
        }
        Ok(Self { width, height, chroma, bits })
    }

    /// Luma width and height.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Planes: 1 or 3.
    pub fn planes(&self) -> usize {
        if self.chroma == Chroma::Grey { 1 } else { 3 }
    }

    /// Samples across and down of a plane.
    pub fn extent(&self, plane: usize) -> (usize, usize) {
        let (width, height) = (self.width as usize, self.height as usize);
        let across = plane > 0 && matches!(self.chroma, Chroma::Yuv420 | Chroma::Yuv422);
        let down = plane > 0 && self.chroma == Chroma::Yuv420;
        (if across { width.div_ceil(2) } else { width }, if down { height.div_ceil(2) } else { height })
    }

    /// Tiles across and down of a plane.
    pub fn tiles(&self, plane: usize) -> (usize, usize) {
        let (width, height) = self.extent(plane);
        (width.div_ceil(TILE), height.div_ceil(TILE))
    }

    /// Bytes of a sample: one of 8 bits, two (high byte first) of 10.
    pub fn sample_bytes(&self) -> usize {
        if self.bits == 8 { 1 } else { 2 }
    }
}
