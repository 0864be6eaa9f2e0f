//! Parameters of launches, as the driver copies them: twins of the structures in `cu/*.h`. A test compares the layouts.

/// Surfaces that one launch can name: what 4096 bytes of parameters have room for.
pub const MAX_SURFACES: usize = 160;
/// Pairs of planes that one launch compares.
pub const MAX_PAIRS: usize = 64;
/// Pictures that one launch converts.
pub const MAX_PICTURES: usize = 64;
/// Pictures that one launch hashes.
pub const MAX_SHOTS: usize = 60;
/// Windows of SSIM that one block makes, across and down.
pub const WINDOWS: (u32, u32) = (32, 8);

/// A picture in device memory.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Surface {
    /// Address of the first sample of Y.
    pub base: u64,
    /// How far behind it U and V begin, or both together and nothing.
    pub offsets: [u32; 2],
    /// Bytes from row to row: luma, chroma.
    pub pitches: [u32; 2],
}

/// The surfaces of several pictures, those of a picture behind each other.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Batch {
    /// As many as the launch has pictures times surfaces of each; the others are not looked at.
    pub surfaces: [Surface; MAX_SURFACES],
}

impl Default for Batch {
    fn default() -> Self {
        Self { surfaces: [Surface::default(); MAX_SURFACES] }
    }
}

/// Two planes to compare.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Pair {
    /// Addresses of the first samples.
    pub first: [u64; 2],
    /// Bytes from row to row.
    pub pitches: [u32; 2],
    /// Bytes from sample to sample.
    pub steps: [u32; 2],
    /// Samples of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Address of the results.
    pub sums: u64,
}

/// Several of them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Pairs {
    /// As many as the launch says.
    pub pairs: [Pair; MAX_PAIRS],
}

impl Default for Pairs {
    fn default() -> Self {
        Self { pairs: [Pair::default(); MAX_PAIRS] }
    }
}

/// A [`crate::convert::Conversion`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Conversion {
    /// Black before and after.
    pub black: [i32; 2],
    /// Luma's share in luma.
    pub luma: i32,
    /// U's and V's share in luma.
    pub luma_from: [i32; 2],
    /// U's and V's share in U, then in V.
    pub chroma: [[i32; 2]; 2],
}

impl From<&crate::convert::Conversion> for Conversion {
    fn from(of: &crate::convert::Conversion) -> Self {
        Self { black: [of.black.0, of.black.1], luma: of.luma, luma_from: of.luma_from, chroma: of.chroma }
    }
}

/// A picture to convert in place.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Picture {
    /// Addresses of the first samples of Y, U and V.
    pub planes: [u64; 3],
    /// Bytes from row to row: luma, chroma.
    pub pitches: [u32; 2],
    /// Bytes from one sample of chroma to the next.
    pub step: u32,
    /// Luma samples of a row.
    pub width: u32,
    /// Luma rows.
    pub height: u32,
    /// Nothing.
    pub unused: u32,
}

/// Several of them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Pictures {
    /// As many as the launch says.
    pub pictures: [Picture; MAX_PICTURES],
}

impl Default for Pictures {
    fn default() -> Self {
        Self { pictures: [Picture::default(); MAX_PICTURES] }
    }
}

/// A picture whose rows are to be hashed.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Shot {
    /// Addresses of the first samples of Y, U and V.
    pub channels: [u64; 3],
    /// Where the hashes go: eight words for each row of Y, then of U and V.
    pub hashes: u64,
    /// Bytes from row to row: luma, chroma.
    pub pitches: [u32; 2],
    /// Samples of a row.
    pub widths: [u32; 2],
    /// Rows; no chroma in a grey picture.
    pub heights: [u32; 2],
    /// Chroma samples from one to the next.
    pub step: u32,
    /// How samples are stored: 8, 10, or 16 for ten bits in the upper part of a word.
    pub depth: u32,
}

impl Shot {
    /// Rows of all channels.
    pub fn rows(&self) -> u32 {
        self.heights[0] + 2 * self.heights[1]
    }
}

/// Several of them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Shots {
    /// As many as the launch says.
    pub shots: [Shot; MAX_SHOTS],
}

impl Default for Shots {
    fn default() -> Self {
        Self { shots: [Shot::default(); MAX_SHOTS] }
    }
}
