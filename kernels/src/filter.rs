//! Where each output sample looks in the source, and with which weights.
//!
//! Filters are stretched by the reduction ratio when reducing, so that they also remove what the smaller picture cannot
//! hold. Positions are exact rationals; weights are exact rationals (Catmull-Rom) or integers of 60 fractional bits
//! (`lanczos.rs`); both are rounded once to 14 fractional bits. So a table is the same on every machine, in
//! every language.

use crate::lanczos::lanczos3;
use crate::scale::ScaleError;

/// One in the fixed-point format of the coefficients: 14 fractional bits.
pub const ONE: i32 = 1 << 14;
/// Largest picture side, in samples.
pub const MAX_SIDE: u32 = 16_384;
/// Largest reduction or enlargement in one direction.
pub const MAX_RATIO: u32 = 64;

/// The curve that the weights follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Filter {
    /// Keys' cubic with a = -1/2: 4 source samples wide when enlarging.
    #[default]
    CatmullRom,
    /// Windowed sine, 6 source samples wide when enlarging: a little sharper, half as much work again.
    Lanczos3,
}

impl Filter {
    /// Half the width of the curve.
    fn radius(self) -> i128 {
        match self {
            Self::CatmullRom => 2,
            Self::Lanczos3 => 3,
        }
    }

    /// The curve at `a / q`, up to a factor that is the same for every `a` of one `q`.
    fn weight(self, a: i128, q: i128) -> i128 {
        match self {
            Self::CatmullRom => cubic(a, q),
            Self::Lanczos3 => lanczos3(a, q),
        }
    }
}

/// Where the samples of a plane lie in the picture along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Siting {
    /// One sample for each luma sample: luma itself, and chroma that is not subsampled this way.
    Full,
    /// Chroma half way between two luma samples (MPEG-1 both ways, MPEG-2 vertically).
    Centre,
    /// Chroma on the even luma samples (MPEG-2 horizontally, the default of H.264 and HEVC, Annex E `chroma_loc` 0).
    Left,
}

impl Siting {
    /// Samples of a plane whose luma has `luma` samples.
    pub fn samples(self, luma: u32) -> u32 {
        match self {
            Self::Full => luma,
            Self::Centre | Self::Left => luma.div_ceil(2),
        }
    }

    /// (distance of two samples, distance of the first from the picture's edge) in half luma samples.
    fn grid(self) -> (i128, i128) {
        match self {
            Self::Full => (2, 1),
            Self::Centre => (4, 2),
            Self::Left => (4, 1),
        }
    }
}

/// The weights of one axis of one plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    taps: usize,
    first: Vec<i32>,
    coef: Vec<i16>,
}

impl Axis {
    /// The table for a plane whose luma goes from `src.0` to `dst.0` samples, sited as `src.1` says in the source and
    /// as `dst.1` says in the output.
    ///
    /// Both pictures cover the same area. Measured from its edge in half luma samples, output sample `i` lies at
    /// `e = step_dst * i + edge_dst`, which is sample `(e * src - edge_src * dst) / (step_src * dst)` of the source;
    /// with luma on both sides that is the usual `(i + 1/2) src/dst - 1/2`.
    pub fn new(filter: Filter, src: (u32, Siting), dst: (u32, Siting)) -> Result<Self, ScaleError> {
        let ((src, src_siting), (dst, dst_siting)) = (src, dst);
        if src == 0 || dst == 0 || src > MAX_SIDE || dst > MAX_SIDE {
            return Err(ScaleError::Side { src, dst });
        }
        if src.max(dst) > src.min(dst).saturating_mul(MAX_RATIO) {
            return Err(ScaleError::Ratio { src, dst });
        }
        let (s, d) = (i128::from(src), i128::from(dst));
        let ((step_src, edge_src), (step_dst, edge_dst)) = (src_siting.grid(), dst_siting.grid());
        // Positions are multiples of 1/unit; `reach` is the filter's unit width (1 when enlarging) in these.
        let unit = step_src * d;
        let reach = unit.max(step_dst * s);
        let radius = filter.radius();
        let taps = ((2 * radius * reach + unit - 1) / unit) as usize;
        let taps = taps.next_multiple_of(2);
        let len = dst_siting.samples(dst);
        let mut axis =
            Self { taps, first: Vec::with_capacity(len as usize), coef: Vec::with_capacity(len as usize * taps) };
        for i in 0..i128::from(len) {
            let at = (step_dst * i + edge_dst) * s - edge_src * d;
            let first = (at - radius * reach).div_euclid(unit) + 1;
            let weights = (0..taps as i128).map(|t| filter.weight(((first + t) * unit - at).abs(), reach));
            axis.coef.extend(rounded(weights.collect()));
            axis.first.push(first as i32);
        }
        Ok(axis)
    }

    /// Taps per output sample: even, and at least 4.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// Output samples.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there are no output samples.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The first source sample of output `i`. May be negative or near the end: indices are clamped to the plane.
    pub fn first(&self, i: usize) -> i32 {
        self.first[i]
    }

    /// The weights of output `i`; they add up to [`ONE`].
    pub fn coefs(&self, i: usize) -> &[i16] {
        &self.coef[i * self.taps..][..self.taps]
    }

    /// Whether every output sample is the source sample of the same number.
    pub fn is_identity(&self) -> bool {
        (0..self.len()).all(|i| {
            let at = i as i32 - self.first(i);
            usize::try_from(at).is_ok_and(|at| self.coefs(i).get(at) == Some(&(ONE as i16)))
        })
    }
}

/// Catmull-Rom at `a / q`, times `2 q^3`.
fn cubic(a: i128, q: i128) -> i128 {
    if a < q {
        3 * a * a * a - 5 * a * a * q + 2 * q * q * q
    } else if a < 2 * q {
        -a * a * a + 5 * a * a * q - 8 * a * q * q + 4 * q * q * q
    } else {
        0
    }
}

/// Scales weights to a sum of [`ONE`]: nearest integer, halves away from zero; what rounding left over goes to the
/// first of the largest weights.
fn rounded(weights: Vec<i128>) -> impl Iterator<Item = i16> {
    let sum: i128 = weights.iter().sum();
    let one = i128::from(ONE);
    let mut coefs: Vec<i128> = weights.iter().map(|w| w.signum() * ((2 * w.abs() * one + sum) / (2 * sum))).collect();
    let rest = one - coefs.iter().sum::<i128>();
    let mut largest = 0;
    for (i, coef) in coefs.iter().enumerate() {
        if *coef > coefs[largest] {
            largest = i;
        }
    }
    coefs[largest] += rest;
    coefs.into_iter().map(|coef| coef as i16)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::Filter::{CatmullRom, Lanczos3};
    use super::Siting::{Centre, Full, Left};
    use super::*;

    const SIDES: [(u32, u32); 12] = [
        (1920, 1280),
        (1080, 720),
        (1920, 854),
        (1920, 640),
        (1920, 426),
        (1080, 240),
        (426, 1920),
        (7, 5),
        (1, 1),
        (64, 1),
        (1, 64),
        (16_384, 256),
    ];

    #[test]
    fn weights_sum_to_one_and_intermediates_fit() {
        for (src, dst) in SIDES {
            for sitings in [(Full, Full), (Centre, Centre), (Left, Left), (Full, Left), (Full, Centre)] {
                for filter in [CatmullRom, Lanczos3] {
                    let axis = Axis::new(filter, (src, sitings.0), (dst, sitings.1)).unwrap();
                    assert_eq!(axis.len(), sitings.1.samples(dst) as usize);
                    for i in 0..axis.len() {
                        let coefs = axis.coefs(i);
                        assert_eq!(coefs.iter().map(|c| i32::from(*c)).sum::<i32>(), ONE, "{src}->{dst} at {i}");
                        let size: i32 = coefs.iter().map(|c| i32::from(*c).abs()).sum();
                        // What keeps the 16-bit intermediate and the 32-bit sums of both passes from overflowing.
                        assert!(size < ONE * 18 / 10, "{filter:?} {src}->{dst} at {i}: {size}");
                    }
                }
            }
        }
    }

    #[test]
    fn known_tables() {
        let table = |src, dst, siting| Axis::new(CatmullRom, (src, siting), (dst, siting)).unwrap();
        // Tap counts that the field's ladder needs from 1080p.
        let taps = |dst| table(1920, dst, Full).taps();
        assert_eq!([taps(1280), taps(854), taps(640), taps(426)], [6, 10, 12, 20]);
        assert_eq!(Axis::new(Lanczos3, (1920, Full), (1280, Full)).unwrap().taps(), 10);
        // No change of size: each sample is itself.
        let same = table(9, 9, Full);
        assert_eq!((same.first(4) + 1, same.coefs(4)), (4, &[0, 16384, 0, 0][..]));
        assert!(same.is_identity() && !table(9, 8, Full).is_identity());
        assert!(Axis::new(Lanczos3, (9, Left), (9, Left)).unwrap().is_identity());
        // Twice as large: the classic Catmull-Rom quarter-sample weights (-9, 111, 29, -3) / 128.
        assert_eq!(table(8, 16, Full).coefs(5), [-9 * 128, 111 * 128, 29 * 128, -3 * 128]);
        // Left-sited chroma stays on the left: no change of size leaves it where it is.
        assert_eq!(table(16, 16, Left).coefs(3), [0, 16384, 0, 0]);
        // Full chroma to left-sited of the same picture: centred on the even samples, half the bandwidth.
        let halved = Axis::new(CatmullRom, (16, Full), (16, Left)).unwrap();
        assert_eq!((halved.taps(), halved.first(4)), (8, 5));
        assert_eq!(halved.coefs(4), [-512, 0, 4608, 8192, 4608, 0, -512, 0]);
        // Full chroma to centred: symmetric about the middle of two rows.
        let centred = Axis::new(CatmullRom, (16, Full), (16, Centre)).unwrap();
        assert_eq!((centred.first(4), centred.coefs(4)[3]), (5, centred.coefs(4)[4]));
    }

    #[test]
    fn refusals() {
        let new = |src, dst| Axis::new(CatmullRom, (src, Full), (dst, Full));
        assert_eq!(new(0, 5), Err(ScaleError::Side { src: 0, dst: 5 }));
        assert_eq!(new(20_000, 5000), Err(ScaleError::Side { src: 20_000, dst: 5000 }));
        assert_eq!(new(1000, 5), Err(ScaleError::Ratio { src: 1000, dst: 5 }));
    }
}
