//! Colour: from one matrix and range to another, on a picture that is already small.
//!
//! The three matrices differ in how luma and colour differences are mixed from the same R'G'B', so going from one to
//! another is linear: grey stays grey, colour differences mix among themselves, and luma takes a little of them.
//! Primaries and transfer stay as they are: this is about how the samples are written down, not about what colours a
//! screen can show.

use crate::filter::ONE;
use crate::plane::Yuv420Mut;
use crate::simd::{self, Isa};

/// How luma and colour differences are mixed (H.273 `MatrixCoefficients`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// Rec. ITU-R BT.601 (values 5 and 6).
    Bt601,
    /// Rec. ITU-R BT.709 (value 1).
    Bt709,
    /// Rec. ITU-R BT.2020, non-constant luminance (value 9).
    Bt2020,
}

/// What the ends of the scale mean (H.273 `VideoFullRangeFlag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// Black 16, white 235, colour differences 128 - 112 to 128 + 112.
    Limited,
    /// Black 0, white 255, colour differences 128 - 127.5 to 128 + 127.5.
    Full,
}

/// How the samples of a picture are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colour {
    /// The mixture.
    pub matrix: Matrix,
    /// The scale.
    pub range: Range,
}

/// Ten-thousandths: the matrices' constants have four digits.
const WHOLE: i128 = 10_000;

impl Matrix {
    /// The shares of R, G and B in luma, in ten-thousandths.
    fn shares(self) -> [i128; 3] {
        match self {
            Self::Bt601 => [2990, 5870, 1140],
            Self::Bt709 => [2126, 7152, 722],
            Self::Bt2020 => [2627, 6780, 593],
        }
    }
}

impl Range {
    /// (black, luma steps from black to white, steps of a colour difference from end to end).
    fn scale(self) -> (i32, i128, i128) {
        match self {
            Self::Limited => (16, 219, 224),
            Self::Full => (0, 255, 255),
        }
    }
}

/// A conversion in numbers of 14 fractional bits; see [`crate::reference::convert`] for what it does with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// Black before and after.
    pub black: (i32, i32),
    /// Luma's share in luma.
    pub luma: i32,
    /// U's and V's share in luma.
    pub luma_from: [i32; 2],
    /// U's and V's share in U, then in V.
    pub chroma: [[i32; 2]; 2],
}

impl Conversion {
    /// The conversion of samples meant as `from` into such meant as `to`.
    pub fn new(from: Colour, to: Colour) -> Self {
        let [[r, g, b], [to_r, to_g, to_b]] = [from.matrix.shares(), to.matrix.shares()];
        let ((black, luma, chroma), (to_black, to_luma, to_chroma)) = (from.range.scale(), to.range.scale());
        // With R = Y + 2 (1 - r) V and so on, what is left of the new luma when the old one is taken off, each over
        // the common g * WHOLE^2.
        let common = g * WHOLE * WHOLE;
        let from_u = 2 * (WHOLE - b) * (to_b * g - to_g * b);
        let from_v = 2 * (WHOLE - r) * (to_r * g - to_g * r);
        // The new U is (B - Y) / (2 (1 - b)), the new V likewise.
        let (over_u, over_v) = (2 * (WHOLE - to_b) * WHOLE * g, 2 * (WHOLE - to_r) * WHOLE * g);
        let (own_u, own_v) = (2 * (WHOLE - b) * WHOLE * g - from_u, 2 * (WHOLE - r) * WHOLE * g - from_v);
        let in_chroma = |share: i128, over: i128| fixed(share * to_chroma, over * chroma);
        Self {
            black: (black, to_black),
            luma: fixed(to_luma, luma),
            luma_from: [from_u, from_v].map(|share| fixed(share * to_luma, common * chroma)),
            chroma: [
                [in_chroma(own_u, over_u), in_chroma(-from_v, over_u)],
                [in_chroma(-from_u, over_v), in_chroma(own_v, over_v)],
            ],
        }
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        let straight = self.luma == ONE && self.chroma == [[ONE, 0], [0, ONE]];
        straight && self.luma_from == [0, 0] && self.black.0 == self.black.1
    }

    /// Converts a picture in place.
    pub fn apply(&self, picture: &mut Yuv420Mut<'_>) {
        self.apply_with(Isa::best(), picture);
    }

    /// The same on a given instruction set; falls back to [`Isa::Portable`] if this machine lacks it.
    pub fn apply_with(&self, isa: Isa, picture: &mut Yuv420Mut<'_>) {
        if !self.is_identity() {
            simd::convert(isa, self, picture);
        }
    }
}

/// `num / den` with 14 fractional bits, to the nearest, halves away from zero.
fn fixed(num: i128, den: i128) -> i32 {
    let scaled = 2 * num.abs() * i128::from(ONE) + den;
    (num.signum() * (scaled / (2 * den))) as i32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::plane::PlaneMut;

    fn colours() -> impl Iterator<Item = Colour> {
        let ranges = |matrix| [Range::Limited, Range::Full].map(|range| Colour { matrix, range });
        [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020].into_iter().flat_map(ranges)
    }

    fn applied(from: Colour, to: Colour, samples: [u8; 3]) -> [u8; 3] {
        let mut planes = samples.map(|sample| vec![sample; 16]);
        let [y, u, v] = &mut planes;
        let plane = |data, side| PlaneMut::new(data, side, side, side).unwrap();
        let mut picture = Yuv420Mut::new(plane(y, 4), plane(u, 2), plane(v, 2)).unwrap();
        Conversion::new(from, to).apply(&mut picture);
        planes.map(|plane| plane[0])
    }

    /// R'G'B' to samples, in floating point.
    fn written(colour: Colour, rgb: [f64; 3]) -> [f64; 3] {
        let share = colour.matrix.shares().map(|share| share as f64 / WHOLE as f64);
        let (black, luma, chroma) = colour.range.scale();
        let y: f64 = share.iter().zip(rgb).map(|(share, part)| share * part).sum();
        let difference = |part: f64, share: f64| 128.0 + (part - y) / (2.0 * (1.0 - share)) * chroma as f64;
        [f64::from(black) + y * luma as f64, difference(rgb[2], share[2]), difference(rgb[0], share[0])]
    }

    #[test]
    fn colours_keep_their_rgb() {
        for (from, to) in colours().flat_map(|from| colours().map(move |to| (from, to))) {
            for n in 0..125 {
                let rgb = [n / 25, n / 5 % 5, n % 5].map(|part| 0.1 + 0.2 * f64::from(part));
                let have = applied(from, to, written(from, rgb).map(|sample| sample.round() as u8));
                for (have, want) in have.iter().zip(written(to, rgb)) {
                    // Half a step of rounding on either side, and what differences that were rounded add.
                    assert!((f64::from(*have) - want).abs() < 1.6, "{from:?} -> {to:?}, {rgb:?}: {have}, not {want}");
                }
            }
        }
    }

    #[test]
    fn same_to_same_is_nothing_and_grey_stays_grey() {
        for (from, to) in colours().flat_map(|from| colours().map(move |to| (from, to))) {
            assert_eq!(Conversion::new(from, to).is_identity(), from == to);
            for grey in [16, 100, 235] {
                assert_eq!(applied(from, to, [grey, 128, 128])[1..], [128, 128]);
            }
        }
        let [limited, full] = [Range::Limited, Range::Full].map(|range| Colour { matrix: Matrix::Bt709, range });
        assert_eq!([16, 235, 0, 255].map(|y| applied(limited, full, [y, 128, 128])[0]), [0, 255, 0, 255]);
        assert_eq!([0, 255].map(|y| applied(full, limited, [y, 128, 128])[0]), [16, 235]);
    }
}
