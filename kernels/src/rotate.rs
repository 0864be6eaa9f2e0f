//! Orientation: quarter turns and mirror images of a picture that is already small.
//!
//! Every sample moves, none changes. Chroma keeps its place relative to the picture's edges, so after a quarter turn it is
//! off by a quarter of a chroma sample from where MPEG-2 puts it: less than anybody sees, and what FFmpeg does.

use crate::plane::{PlaneMut, PlaneRef, Yuv420Mut, Yuv420Ref};
use crate::scale::ScaleError;

/// Samples to a side of the squares in which a quarter turn proceeds: rows of both pictures stay in the cache.
const BLOCK: usize = 32;

/// One of the eight ways to lay a rectangle onto a rectangle: first rows and columns change places, or not, then the
/// result is mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Orientation {
    /// Rows become columns.
    pub transpose: bool,
    /// Left and right change sides.
    pub mirror_x: bool,
    /// Top and bottom change sides.
    pub mirror_y: bool,
}

impl Orientation {
    /// The one that changes nothing.
    pub const UPRIGHT: Self = Self { transpose: false, mirror_x: false, mirror_y: false };

    /// From a linear map of coordinates (x to the right, y down): `x' = a x + c y`, `y' = b x + d y`, of which only the
    /// signs and the larger pair count. `None` for what is no quarter turn within half a percent.
    pub fn of_map([a, b, c, d]: [i32; 4]) -> Option<Self> {
        let [wide, slant] = [[a, d], [b, c]].map(|pair| pair.map(i32::unsigned_abs));
        let (large, small) = if wide[0] >= slant[0] { (wide, slant) } else { (slant, wide) };
        let least = large[0].min(large[1]);
        if least == 0 || small.iter().any(|small| u64::from(*small) * 200 > u64::from(least)) {
            return None;
        }
        Some(match wide[0] >= slant[0] {
            true => Self { transpose: false, mirror_x: a < 0, mirror_y: d < 0 },
            false => Self { transpose: true, mirror_x: c < 0, mirror_y: b < 0 },
        })
    }

    /// Size of what has been turned, or had to be turned to get this size.
    pub fn turned(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// The one that undoes this one.
    #[must_use]
    pub fn inverse(self) -> Self {
        let (mirror_x, mirror_y) =
            if self.transpose { (self.mirror_y, self.mirror_x) } else { (self.mirror_x, self.mirror_y) };
        Self { transpose: self.transpose, mirror_x, mirror_y }
    }

    /// Writes `from`, turned, to `to`, whose size has to be the turned one.
    pub fn apply(self, from: &Yuv420Ref<'_>, to: &mut Yuv420Mut<'_>) -> Result<(), ScaleError> {
        let (width, height) = from.size();
        let (want, have) = (if self.transpose { (height, width) } else { (width, height) }, to.size());
        if want != have {
            return Err(ScaleError::Shape { want, have });
        }
        for (from, to) in from.planes().iter().zip(&mut to.planes) {
            self.apply_plane(from, to);
        }
        Ok(())
    }

    fn apply_plane(self, from: &PlaneRef<'_>, to: &mut PlaneMut<'_>) {
        let (width, height) = (to.width(), to.height());
        let mirrored = |at: usize, len: usize, mirror: bool| if mirror { len - 1 - at } else { at };
        if !self.transpose {
            for y in 0..height {
                let (from, to) = (from.row(mirrored(y, height, self.mirror_y)), to.row_mut(y));
                to.copy_from_slice(from);
                if self.mirror_x {
                    to.reverse();
                }
            }
            return;
        }
        for top in (0..height).step_by(BLOCK) {
            for left in (0..width).step_by(BLOCK) {
                for y in top..height.min(top + BLOCK) {
                    let column = mirrored(y, height, self.mirror_y);
                    let row = to.row_mut(y);
                    for (x, sample) in row.iter_mut().enumerate().take(left + BLOCK).skip(left) {
                        *sample = from.row(mirrored(x, width, self.mirror_x))[column];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Orientation> {
        (0..8).map(|i| Orientation { transpose: i & 1 != 0, mirror_x: i & 2 != 0, mirror_y: i & 4 != 0 })
    }

    fn turned(how: Orientation, samples: &[Vec<u8>; 3], size: (usize, usize)) -> [Vec<u8>; 3] {
        let half = |(w, h): (usize, usize)| (w.div_ceil(2), h.div_ceil(2));
        let to = if how.transpose { (size.1, size.0) } else { size };
        let mut out = samples.clone();
        let [y, u, v] = samples;
        let plane = |data, (w, h)| PlaneRef::new(data, w, h, w).unwrap();
        let from = Yuv420Ref::new(plane(y, size), plane(u, half(size)), plane(v, half(size))).unwrap();
        let [y, u, v] = &mut out;
        fn plane_mut(data: &mut [u8], (w, h): (usize, usize)) -> PlaneMut<'_> {
            PlaneMut::new(data, w, h, w).unwrap()
        }
        let to = Yuv420Mut::new(plane_mut(y, to), plane_mut(u, half(to)), plane_mut(v, half(to)));
        how.apply(&from, &mut to.unwrap()).unwrap();
        out
    }

    #[test]
    fn every_sample_goes_where_the_definition_says() {
        for (width, height) in [(70usize, 44usize), (33, 97), (1, 3), (64, 32)] {
            let len = |w: usize, h: usize| (0..w * h).map(|i| (i * 7 + i / w * 13) as u8).collect::<Vec<_>>();
            let half = (width.div_ceil(2), height.div_ceil(2));
            let samples = [len(width, height), len(half.0, half.1), len(half.1, half.0)];
            for how in all() {
                let out = turned(how, &samples, (width, height));
                assert_eq!(
                    turned(how.inverse(), &out, if how.transpose { (height, width) } else { (width, height) }),
                    samples
                );
                for (plane, (w, h)) in [(0, (width, height)), (1, half), (2, half)] {
                    let (to_w, to_h) = if how.transpose { (h, w) } else { (w, h) };
                    for (x, y) in (0..w).flat_map(|x| (0..h).map(move |y| (x, y))) {
                        let (to_x, to_y) = if how.transpose { (y, x) } else { (x, y) };
                        let to_x = if how.mirror_x { to_w - 1 - to_x } else { to_x };
                        let to_y = if how.mirror_y { to_h - 1 - to_y } else { to_y };
                        assert_eq!(out[plane][to_y * to_w + to_x], samples[plane][y * w + x], "{how:?} {plane}");
                    }
                }
            }
        }
    }

    #[test]
    fn maps_are_read_by_their_signs() {
        const ONE: i32 = 1 << 16;
        assert_eq!(Orientation::of_map([ONE, 0, 0, ONE]), Some(Orientation::UPRIGHT));
        // Clockwise on a screen: right becomes down.
        let clockwise = Orientation { transpose: true, mirror_x: true, mirror_y: false };
        assert_eq!(Orientation::of_map([3, ONE, -ONE, -2]), Some(clockwise));
        assert_eq!(Orientation::of_map([-ONE, 0, 0, -ONE]).map(|how| (how.mirror_x, how.mirror_y)), Some((true, true)));
        for odd in [[0; 4], [ONE, ONE, -ONE, ONE], [ONE, 0, 0, 0], [0, i32::MIN, 0, 0], [ONE, 1000, -1000, ONE]] {
            assert_eq!(Orientation::of_map(odd), None, "{odd:?}");
        }
    }
}
