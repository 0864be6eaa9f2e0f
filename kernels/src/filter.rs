//! Where each output sample looks in the source, and with which weights.
//!
//! Filter: Catmull-Rom (Keys' cubic with a = -1/2), stretched by the reduction ratio when reducing so that it also
//! removes what the smaller picture cannot hold. Positions and weights are exact rationals evaluated in integers, then
//! rounded once to 14 fractional bits; so a table is the same on every machine, in every language.

use crate::scale::ScaleError;

/// One in the fixed-point format of the coefficients: 14 fractional bits.
pub const ONE: i32 = 1 << 14;
/// Largest picture side, in samples.
pub const MAX_SIDE: u32 = 16_384;
/// Largest reduction or enlargement in one direction.
pub const MAX_RATIO: u32 = 64;

/// Where the samples of a plane lie in the picture along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Siting {
    /// Luma, or chroma half way between two luma samples (MPEG-1 both ways, MPEG-2 vertically).
    Centre,
    /// Chroma on the even luma samples (MPEG-2 horizontally, the default of H.264 and HEVC, Annex E `chroma_loc` 0).
    Left,
}

/// The weights of one axis of one plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    taps: usize,
    first: Vec<i32>,
    coef: Vec<i16>,
}

impl Axis {
    /// The table for `len` output samples when luma goes from `src` to `dst` samples.
    ///
    /// With the half-sample convention, luma sample `i` of the output lies at `(i + 1/2) src/dst - 1/2` of the source;
    /// centred chroma comes to the same formula, left chroma to `((4i + 1) src - dst) / (4 dst)`.
    pub fn new(src: u32, dst: u32, len: usize, siting: Siting) -> Result<Self, ScaleError> {
        if src == 0 || dst == 0 || src > MAX_SIDE || dst > MAX_SIDE {
            return Err(ScaleError::Side { src, dst });
        }
        if src.max(dst) > src.min(dst).saturating_mul(MAX_RATIO) {
            return Err(ScaleError::Ratio { src, dst });
        }
        let (s, d) = (i128::from(src), i128::from(dst));
        // Positions are multiples of 1/unit; `reach` is the filter's unit width (1 when enlarging) in these.
        let per = match siting {
            Siting::Centre => 2,
            Siting::Left => 4,
        };
        let unit = per * d;
        let reach = per * s.max(d);
        let taps = (4 * src.max(dst)).div_ceil(dst).next_multiple_of(2) as usize;
        let mut axis = Self { taps, first: Vec::with_capacity(len), coef: Vec::with_capacity(len * taps) };
        for i in 0..len as i128 {
            let at = (per * i + 1) * s - d;
            let first = (at - 2 * reach).div_euclid(unit) + 1;
            let weights = (0..taps as i128).map(|t| cubic(((first + t) * unit - at).abs(), reach));
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
    use super::*;

    #[test]
    fn weights_sum_to_one_and_cover_the_output() {
        for (src, dst) in [
            (1920u32, 1280u32),
            (1080, 720),
            (1920, 854),
            (1920, 640),
            (1920, 426),
            (1080, 240),
            (426, 1920),
            (7, 5),
            (64, 1),
            (1, 64),
        ] {
            for (len, siting) in
                [(dst, Siting::Centre), (dst.div_ceil(2), Siting::Centre), (dst.div_ceil(2), Siting::Left)]
            {
                let axis = Axis::new(src, dst, len as usize, siting).unwrap();
                assert_eq!(axis.len(), len as usize);
                for i in 0..axis.len() {
                    assert_eq!(axis.coefs(i).iter().map(|c| i32::from(*c)).sum::<i32>(), ONE, "{src}->{dst} at {i}");
                }
            }
        }
    }

    #[test]
    fn known_tables() {
        // Tap counts that the field's ladder needs from 1080p.
        let taps = |src, dst| Axis::new(src, dst, 1, Siting::Centre).unwrap().taps();
        assert_eq!([taps(1920, 1280), taps(1920, 854), taps(1920, 640), taps(1920, 426)], [6, 10, 12, 20]);
        // No change of size: each sample is itself.
        let same = Axis::new(9, 9, 9, Siting::Centre).unwrap();
        assert_eq!((same.first(4) + 1, same.coefs(4)), (4, &[0, 16384, 0, 0][..]).clone());
        // Twice as large: the classic Catmull-Rom quarter-sample weights (-9, 111, 29, -3) / 128.
        let double = Axis::new(8, 16, 16, Siting::Centre).unwrap();
        assert_eq!(double.coefs(5), [-9 * 128, 111 * 128, 29 * 128, -3 * 128]);
        // Left-sited chroma stays on the left: sample 0 of half-size output looks between 0 and its mirror image.
        let left = Axis::new(16, 16, 8, Siting::Left).unwrap();
        assert_eq!(left.coefs(3), [0, 16384, 0, 0]);
    }

    #[test]
    fn refusals() {
        assert_eq!(Axis::new(0, 5, 5, Siting::Centre), Err(ScaleError::Side { src: 0, dst: 5 }));
        assert_eq!(Axis::new(20_000, 5000, 5, Siting::Centre), Err(ScaleError::Side { src: 20_000, dst: 5000 }));
        assert_eq!(Axis::new(1000, 5, 5, Siting::Centre), Err(ScaleError::Ratio { src: 1000, dst: 5 }));
    }
}
