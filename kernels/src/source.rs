//! What a scaler reads: the formats that decoders give, and a borrowed picture in one of them.

use crate::filter::{Axis, Filter, Siting};
use crate::plane::{PlaneError, PlaneRef, Yuv420Ref};
use crate::scale::ScaleError;

/// How the samples of a source picture are stored. Ten-bit samples are 16-bit words, low byte first.
///
/// Horizontally subsampled chroma lies on the even luma samples, vertically subsampled chroma half way between two rows
/// (MPEG-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Y, U, V; chroma halved both ways.
    Yuv420,
    /// Y, U, V; chroma halved horizontally.
    Yuv422,
    /// Y, U, V; full chroma.
    Yuv444,
    /// Y only.
    Grey,
    /// Y, then U and V interleaved; chroma halved both ways.
    Nv12,
    /// [`Self::Yuv420`] of ten bits; words above 1023 count as 1023, here and in the next three.
    Yuv420Ten,
    /// [`Self::Yuv422`] of ten bits.
    Yuv422Ten,
    /// [`Self::Yuv444`] of ten bits.
    Yuv444Ten,
    /// [`Self::Grey`] of ten bits.
    GreyTen,
    /// [`Self::Nv12`] of ten bits, in the upper bits of each word; the six lower ones are ignored.
    P010,
}

/// How a sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// A byte.
    Eight,
    /// A word whose value counts up to 1023.
    Ten,
    /// A word whose upper ten bits count.
    HighTen,
}

impl Depth {
    /// Bytes per sample.
    pub(crate) fn bytes(self) -> usize {
        if self == Self::Eight { 1 } else { 2 }
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Yuv420,
        Self::Yuv422,
        Self::Yuv444,
        Self::Grey,
        Self::Nv12,
        Self::Yuv420Ten,
        Self::Yuv422Ten,
        Self::Yuv444Ten,
        Self::GreyTen,
        Self::P010,
    ];

    /// Bits that count in a sample: 8 or 10.
    pub fn bits(self) -> u32 {
        if self.depth() == Depth::Eight { 8 } else { 10 }
    }

    /// How much colour, as H.264 counts: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub fn chroma(self) -> u8 {
        match self {
            Self::Grey | Self::GreyTen => 0,
            Self::Yuv420 | Self::Nv12 | Self::Yuv420Ten | Self::P010 => 1,
            Self::Yuv422 | Self::Yuv422Ten => 2,
            Self::Yuv444 | Self::Yuv444Ten => 3,
        }
    }

    /// Planes in memory.
    pub fn planes(self) -> usize {
        match self {
            Self::Grey | Self::GreyTen => 1,
            Self::Nv12 | Self::P010 => 2,
            _ => 3,
        }
    }

    /// Where the samples of channel Y, U or V (0, 1, 2) lie, horizontally and vertically. Grey has no channels 1 and 2.
    pub fn siting(self, channel: usize) -> (Siting, Siting) {
        match self {
            _ if channel == 0 => (Siting::Full, Siting::Full),
            Self::Yuv422 | Self::Yuv422Ten => (Siting::Left, Siting::Full),
            Self::Yuv444 | Self::Yuv444Ten => (Siting::Full, Siting::Full),
            _ => (Siting::Left, Siting::Centre),
        }
    }

    pub(crate) fn depth(self) -> Depth {
        match self {
            Self::Yuv420 | Self::Yuv422 | Self::Yuv444 | Self::Grey | Self::Nv12 => Depth::Eight,
            Self::Yuv420Ten | Self::Yuv422Ten | Self::Yuv444Ten | Self::GreyTen => Depth::Ten,
            Self::P010 => Depth::HighTen,
        }
    }

    /// Whether U and V share a plane.
    pub(crate) fn is_interleaved(self) -> bool {
        matches!(self, Self::Nv12 | Self::P010)
    }

    /// Bytes per row and rows of plane `plane` of a picture of this size.
    pub fn extent(self, plane: usize, size: (u32, u32)) -> (usize, usize) {
        let (across, down) = self.siting(plane);
        let (width, height) = (across.samples(size.0) as usize, down.samples(size.1) as usize);
        let pairs = if plane > 0 && self.is_interleaved() { 2 } else { 1 };
        (width * pairs * self.depth().bytes(), height)
    }
}

/// Size and format of source pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// Luma samples per row.
    pub width: u32,
    /// Luma rows.
    pub height: u32,
    /// How they are stored.
    pub format: Format,
}

impl Source {
    /// The weights of both passes, columns then rows, over luma (0) or chroma (1) into 8-bit 4:2:0 of luma size `to`.
    pub(crate) fn axes(self, to: (u32, u32), channel: usize, filter: Filter) -> Result<[Axis; 2], ScaleError> {
        let (src, dst) = (self.format.siting(channel), Format::Yuv420.siting(channel));
        let columns = Axis::new(filter, (self.width, src.0), (to.0, dst.0))?;
        Ok([columns, Axis::new(filter, (self.height, src.1), (to.1, dst.1))?])
    }

    /// 8-bit planar 4:2:0 of this size.
    pub fn yuv420((width, height): (u32, u32)) -> Self {
        Self { width, height, format: Format::Yuv420 }
    }
}

/// A readable picture in any [`Format`].
#[derive(Debug, Clone, Copy)]
pub struct SourceRef<'a> {
    source: Source,
    /// Widths in bytes. A format with fewer planes repeats its last.
    planes: [PlaneRef<'a>; 3],
}

impl<'a> SourceRef<'a> {
    /// Borrows the planes of a picture, each as its bytes and the distance of its rows in bytes, in the order of the
    /// format's description.
    pub fn new(source: Source, planes: &[(&'a [u8], usize)]) -> Result<Self, PlaneError> {
        let (want, have) = (source.format.planes(), planes.len());
        if want != have {
            return Err(PlaneError::Planes { want, have });
        }
        let size = (source.width, source.height);
        let plane = |i: usize| {
            let i = i.min(want - 1);
            let (width, height) = source.format.extent(i, size);
            PlaneRef::new(planes[i].0, width, height, planes[i].1)
        };
        Ok(Self { source, planes: [plane(0)?, plane(1)?, plane(2)?] })
    }

    /// Size and format.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The planes, where the format is 8-bit planar 4:2:0.
    pub fn yuv420(&self) -> Option<Yuv420Ref<'a>> {
        (self.source.format == Format::Yuv420).then_some(Yuv420Ref { planes: self.planes })
    }

    /// The bytes of row `y` of plane `plane`.
    #[inline(always)]
    pub(crate) fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        self.planes[plane].row(y)
    }

    /// The bytes of a plane from its first to its last sample, and from row to row.
    #[cfg(feature = "cuda")]
    pub(crate) fn plane(&self, plane: usize) -> (&'a [u8], usize) {
        self.planes[plane].bytes()
    }

    /// Samples per row and rows of channel Y, U or V (0, 1, 2). Grey has no channels 1 and 2.
    pub fn extent(&self, channel: usize) -> (usize, usize) {
        let (across, down) = self.source.format.siting(channel);
        (across.samples(self.source.width) as usize, down.samples(self.source.height) as usize)
    }

    /// The samples of row `y` of channel Y, U or V (0, 1, 2), however they are stored: a byte each of 8 bits, two (high byte
    /// first) of 10.
    ///
    /// # Panics
    /// If there is no such row, or `to` has not its length.
    pub fn copy_row(&self, channel: usize, y: usize, to: &mut [u8]) {
        let format = self.source.format;
        if !format.is_interleaved() || channel == 0 {
            assert!(channel < format.planes(), "grey pictures have no chroma");
            match format.depth() {
                Depth::Eight => return to.copy_from_slice(self.row(channel, y)),
                Depth::Ten => {
                    let row = self.row(channel, y);
                    assert_eq!(row.len(), to.len(), "a row of another length");
                    for (word, to) in row.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
                        *to = u16::from_le_bytes(*word).min(1023).to_be_bytes();
                    }
                    return;
                }
                Depth::HighTen => {}
            }
        }
        let bytes = if format.bits() == 8 { 1 } else { 2 };
        assert_eq!(to.len(), self.extent(channel).0 * bytes, "a row of another length");
        for (x, to) in to.chunks_exact_mut(bytes).enumerate() {
            to.copy_from_slice(&self.sample(channel, x, y).to_be_bytes()[2 - bytes..]);
        }
    }

    /// The sample of channel Y, U or V (0, 1, 2) in column `x` of row `y`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, channel: usize, x: usize, y: usize) -> u16 {
        let format = self.source.format;
        let (plane, x) = if channel > 0 && format.is_interleaved() { (1, 2 * x + channel - 1) } else { (channel, x) };
        assert!(channel == 0 || plane < format.planes(), "grey pictures have no chroma");
        let row = self.row(plane, y);
        let word = || u16::from_le_bytes([row[2 * x], row[2 * x + 1]]);
        match format.depth() {
            Depth::Eight => u16::from(row[x]),
            Depth::Ten => word().min(1023),
            Depth::HighTen => word() >> 6,
        }
    }
}

impl<'a> From<Yuv420Ref<'a>> for SourceRef<'a> {
    fn from(picture: Yuv420Ref<'a>) -> Self {
        let (width, height) = picture.size();
        // Sides that no scaler takes stay such: they only have to compare unequal to any that it does take.
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Self { source: Source::yuv420((side(width), side(height))), planes: picture.planes }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn samples_of_each_layout() {
        let bytes: Vec<u8> = (0..200).collect();
        let at = |format, planes: &[(&[u8], usize)], channel| {
            SourceRef::new(Source { width: 5, height: 3, format }, planes).unwrap().sample(channel, 2, 1)
        };
        let (wide, half) = ((&bytes[..], 10), (&bytes[100..], 8));
        assert_eq!(at(Format::Yuv420, &[wide, half, half], 0), 12);
        assert_eq!(at(Format::Yuv420, &[wide, half, half], 2), 110);
        assert_eq!(at(Format::Nv12, &[wide, half], 1), 112);
        assert_eq!(at(Format::Nv12, &[wide, half], 2), 113);
        // Words of two bytes: 0x0f0e is more than ten bits hold; its upper ten are 0x3c.
        assert_eq!(at(Format::GreyTen, &[wide], 0), 1023);
        assert_eq!(at(Format::P010, &[wide, (&bytes[100..], 12)], 0), 0x0f0e >> 6);
        assert_eq!(at(Format::P010, &[wide, (&bytes[100..], 12)], 2), u16::from_le_bytes([122, 123]) >> 6);
    }

    #[test]
    fn shapes_are_checked() {
        let bytes = [0u8; 60];
        let new = |format, planes: &[(&'static [u8], usize)]| {
            SourceRef::new(Source { width: 5, height: 3, format }, planes).map(|_| ())
        };
        let plane = |len: usize, stride| (&[0u8; 60][..len], stride);
        assert_eq!(bytes.len(), 60);
        assert_eq!(new(Format::Nv12, &[plane(15, 5)]), Err(PlaneError::Planes { want: 2, have: 1 }));
        assert_eq!(new(Format::Nv12, &[plane(15, 5), plane(12, 6)]), Ok(()));
        assert_eq!(new(Format::Nv12, &[plane(15, 5), plane(11, 6)]), Err(PlaneError::Short { have: 11, need: 12 }));
        assert_eq!(new(Format::GreyTen, &[plane(30, 9)]), Err(PlaneError::Stride { stride: 9, width: 10 }));
        assert!(new(Format::Yuv444, &[plane(15, 5), plane(15, 5), plane(14, 5)]).is_err());
        assert_eq!(new(Format::Yuv422, &[plane(15, 5), plane(9, 3), plane(9, 3)]), Ok(()));
    }
}
